#!/bin/sh
# How guests end, what bad input says, and what an idle guest costs.
. "$(dirname "$0")/lib.sh"
need_guest

script 'echo PANIC SOON; echo c >/proc/sysrq-trigger'
timeout 300 "$qemu" -M virt -nographic -no-reboot -m 512 -kernel "$cache/vmlinuz" -append "console=ttyS0 panic=-1" -initrd "$tmp/initrd" \
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

# An idle guest: user and system time of the process over ten seconds, once the guest has nothing left to do. Its kernel goes
# on with its own start for a while after it said IDLE, longer on a busy host, so that the first ten quiet seconds count.
script 'echo 0 >/proc/sys/kernel/printk; echo IDLE; sleep 1000'
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; } # fields utime and stime of proc_pid_stat(5), 10 ms each
for cpus in 1 4; do
    : >"$tmp/out"
    "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet" --cpus $cpus --console "file:$tmp/out" </dev/null 2>"$tmp/err" &
    pid=$!
    for i in $(seq 300); do
        grep -aqs '^IDLE' "$tmp/out" && break
        sleep 1
    done
    for i in $(seq 12); do
        before=$(ticks $pid)
        sleep 10
        used=$(($(ticks $pid) - before))
        [ $used -ge 30 ] || break
    done
    kill $pid
    wait $pid
    echo "# $cpus vCPUs idle for 10 s: $used hundredths of a second"
    grep -aq '^IDLE' "$tmp/out" && [ $used -lt 30 ]
    ok $? "an idle guest with $cpus vCPUs uses less than 3 % of a core" "$tmp/out"
done

# How bare programs end the run. program CODE NAME ASSEMBLY OPTIONS...
program() {
    want=$1 name=$2
    echo "$3" >"$tmp/program.s"
    shift 3
    riscv64-linux-gnu-gcc -march=rv64gc -mabi=lp64d -nostdlib -static -no-pie -Wl,-Ttext=${TEXT:-0x80000000} -Wl,--build-id=none -Wl,-N \
        -o "$tmp/elf" "$tmp/program.s" >"$tmp/out" 2>&1
    timeout 60 "$guise" run "$tmp/elf" --console null "$@" </dev/null >>"$tmp/out" 2>&1
    code=$?
    [ $code = "$want" ]
    ok $? "exit code $want: $name (was $code)" "$tmp/out"
}
finisher=".globl _start; _start: li t0, 0x100000; li t1,"
program 0 "the finisher's PASS" "$finisher 0x5555; sw t1, (t0); j ." --bios none
program 7 "the finisher's FAIL 7" "$finisher 0x73333; sw t1, (t0); j ." --bios none
program 0 "a reset with --no-reboot" "$finisher 0x7777; sw t1, (t0); j ." --bios none --no-reboot
srst=".globl _start; _start: li a7, 0x53525354; li a6, 0;"
TEXT=0x80200000 program 0 "SBI reset, shut down" "$srst li a0, 0; li a1, 0; ecall; j ."
TEXT=0x80200000 program 1 "SBI reset, system failure" "$srst li a0, 0; li a1, 1; ecall; j ."
TEXT=0x80200000 program 0 "SBI warm reboot with --no-reboot" "$srst li a0, 2; li a1, 0; ecall; j ." --no-reboot
program 5 "HTIF" ".globl _start, tohost; _start: la t0, tohost; li t1, 11; sd t1, (t0); j .; .align 6; tohost: .dword 0; .globl fromhost; fromhost: .dword 0" --bios none
program 9 "semihosting" ".option norvc; .globl _start; .align 4; _start: la a1, block; li a0, 0x20; j go; .align 4; go: slli x0, x0, 0x1f; ebreak; srai x0, x0, 7; j .
.align 3; block: .dword 0x20026, 9" --bios none --semihosting
program 0 "a program with a signature" ".globl _start, begin_signature, end_signature; _start: li t0, 0x100000; li t1, 0x5555; la t2, begin_signature; sw t1, 4(t2); sw t1, (t0); j .
.align 4; begin_signature: .word 0x12345678, 0; end_signature: .word 1" --bios none --signature "$tmp/signature"
[ "$(cat "$tmp/signature")" = "12345678
00005555" ]
ok $? "the signature is written" "$tmp/signature"

# Asked to end from outside: 0, as QEMU.
for sig in TERM INT HUP; do
    timeout -s $sig 3 "$guise" run "$top/tests/guest/teach.elf" </dev/null >"$tmp/out" 2>&1
    [ $? = 124 ] && grep -q 'terminating on signal' "$tmp/out"
    ok $? "SIG$sig ends it" "$tmp/out"
done

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
truncate -s 100M "$tmp/large"
bad "initrd larger than memory" "$tmp/large" run "$cache/vmlinuz" --memory 64M --initrd "$tmp/large"
bad "kernel larger than memory" "$cache/vmlinuz" run "$cache/vmlinuz" --memory 16M
bad "kernel for another processor" "$(command -v sleep)" run "$(command -v sleep)"
bad "memory beyond all hosts" "--memory" run "$cache/vmlinuz" --memory 100T
bad "no CPUs" "--cpus 0" run "$cache/vmlinuz" --cpus 0
bad "too many CPUs" "--cpus 9999" run "$cache/vmlinuz" --cpus 9999
bad "no such device" "virtio-foo" run "$cache/vmlinuz" --device virtio-foo
bad "a device without its drive" "virtio-blk-pci" run "$cache/vmlinuz" --device virtio-blk-pci
bad "a directory as disk" "$tmp" run "$cache/vmlinuz" --disk "$tmp"
bad "no such firmware" "$tmp/none" run "$cache/vmlinuz" --bios "$tmp/none"
bad "empty firmware" "$tmp/empty" run "$cache/vmlinuz" --bios "$tmp/empty"
bad "log file not writable" "$tmp/none/log" run "$cache/vmlinuz" -d int -D "$tmp/none/log"
bad "no such log item" "-d: no log item 'foo'" run "$cache/vmlinuz" -d foo
bad "console file not writable" "$tmp/none/console" run "$cache/vmlinuz" --console "file:$tmp/none/console"
bad "monitor socket not possible" "$tmp/none/sock" run "$cache/vmlinuz" --monitor "unix:$tmp/none/sock,server=on,wait=off"
bad "pid file not writable" "-pidfile $tmp/none/pid" qemu -nographic -kernel "$cache/vmlinuz" -pidfile "$tmp/none/pid"
bad "no such loader file" "$tmp/none" qemu -nographic -device "loader,file=$tmp/none,addr=0x80200000"
bad "flash of a wrong size" "$tmp/noise" qemu -nographic -drive "file=$tmp/noise,if=pflash,format=raw"
bad "an option without its argument" "-kernel" qemu -nographic -kernel
bad "an unknown property" "fooo" qemu -nographic -kernel "$cache/vmlinuz" -device virtio-rng-pci,fooo=1
bad "nothing to boot" "nothing to boot" qemu -nographic

# Nothing is overwritten by a run that cannot start.
echo keep >"$tmp/kept"
for where in "-serial file:$tmp/kept -kernel $tmp/none" "-D $tmp/kept -d int -kernel $tmp/none" "-pidfile $tmp/kept -kernel $tmp/none" \
    "-serial file:$tmp/kept -kernel $tmp/cut" "-drive file=$tmp/kept,format=raw -kernel $tmp/elf2"; do
    # shellcheck disable=SC2086
    timeout 20 "$qemu" -display none $where </dev/null >"$tmp/out" 2>&1
    code=$?
    [ $code = 1 ] && [ "$(cat "$tmp/kept")" = keep ]
    ok $? "not overwritten: ${where%% *}" "$tmp/out"
done
echo "1..$n"
