#!/bin/sh
# How guests end, what bad input says, and what an idle guest costs.
. "$(dirname "$0")/lib.sh"
need_guest

script 'echo PANIC SOON; echo c >/proc/sysrq-trigger'
timeout 60 "$qemu" -M virt -nographic -no-reboot -m 512 -kernel "$cache/vmlinuz" -append "console=ttyS0 panic=-1" -initrd "$tmp/initrd" \
    </dev/null >"$tmp/out" 2>&1
code=$?
grep -aq 'Kernel panic' "$tmp/out" && [ $code -lt 124 ]
ok $? "a panic with panic=-1 and -no-reboot ends the run" "$tmp/out"

script 'reboot -f'
run 60 "$qemu" -M virt -nographic -no-reboot -m 512 -kernel "$cache/vmlinuz" -append "console=ttyS0 quiet" -initrd "$tmp/initrd"
ok $? "a reboot with -no-reboot ends with 0" "$tmp/out"

# A reboot without it starts again: seen as the second greeting of the same process.
script 'echo UP; if [ -e /disk/flag ]; then poweroff -f; fi; touch /disk/flag; umount /disk; reboot -f'
truncate -s 8M "$tmp/disk"
run 90 "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet" --disk "$tmp/disk,bus=mmio"
code=$?
[ $code != 0 ] || [ "$(grep -ac '^UP' "$tmp/out")" = 2 ] || code=98
ok $code "a reboot starts the guest again" "$tmp/out"

script 'echo IDLE; sleep 6; poweroff -f'
run 60 /usr/bin/env time -f 'cpu %U %S wall %e rss %M' "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet" --cpus 2
code=$?
busy=$(awk '/^cpu/ {print ($2 + $3)}' "$tmp/out")
script 'echo IDLE; poweroff -f'
run 60 /usr/bin/env time -f 'cpu %U %S wall %e rss %M' "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet" --cpus 2
base=$(awk '/^cpu/ {print ($2 + $3)}' "$tmp/out")
echo "# cpu seconds with 6 s of idling: $busy, without: $base"
awk -v a="$busy" -v b="$base" 'BEGIN {exit !((a - b) / 6 < 0.25)}' || code=98
ok $code "an idle guest uses little of a core" "$tmp/out"

# Bad input: one line that names the file or the option, exit 1, the file untouched.
bad() { # bad NAME WORD ARGS...
    name=$1 word=$2
    shift 2
    timeout 20 "$guise" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    code=$?
    [ $code = 1 ] && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -qF -e "$word" "$tmp/err"
    ok $? "bad input: $name" "$tmp/err"
}
head -c 100000 "$cache/vmlinuz" >"$tmp/cut"
head -c 64 /dev/urandom >"$tmp/noise"
printf '\177ELF\002\001\001' >"$tmp/elf"
head -c 1000 "$top/tests/guest/teach.elf" >"$tmp/elf2"
: >"$tmp/empty"
bad "no such kernel" "$tmp/none" run "$tmp/none"
bad "truncated kernel" "$tmp/cut" run "$tmp/cut"
bad "truncated ELF" "$tmp/elf" run "$tmp/elf"
bad "ELF cut in its segments" "$tmp/elf2" run "$tmp/elf2"
bad "empty kernel" "$tmp/empty" run "$tmp/empty"
bad "a directory as kernel" "$tmp" run "$tmp"
bad "no such initrd" "$tmp/none" run "$cache/vmlinuz" --initrd "$tmp/none"
bad "no such disk" "$tmp/none" run "$cache/vmlinuz" --disk "$tmp/none"
bad "broken device tree" "$tmp/noise" run "$cache/vmlinuz" --dtb "$tmp/noise"
bad "unknown option" "--memry" run "$cache/vmlinuz" --memry 1G
bad "memory too small" "--memory" run "$cache/vmlinuz" --memory 0
bad "unknown extension" "zzz" run "$cache/vmlinuz" --cpu rv64,zzz=on
bad "unknown engine" "fast" run "$cache/vmlinuz" --engine fast
bad "initrd larger than memory" "$tmp/initrd" run "$cache/vmlinuz" --memory 64M --initrd "$tmp/initrd"
echo "1..$n"
