#!/bin/sh
# What Linux's processes may rely on of their memory (processes.c), on the translator and on the interpreter: more of them
# than vCPUs.
. "$(dirname "$0")/lib.sh"
need_guest
script 'for i in 1 2 3; do processes 5 & done; wait; echo ENDED; poweroff -f'
mkdir -p "$tmp/x/bin" "$tmp/x/lib"
riscv64-linux-gnu-gcc -O2 -fPIE -pie -Wall -Wextra -o "$tmp/x/bin/processes" "$top/tests/system/processes.c" || exit
cp /usr/riscv64-linux-gnu/lib/ld-linux-riscv64-lp64d.so.1 /usr/riscv64-linux-gnu/lib/libc.so.6 "$tmp/x/lib/"
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"

# processes NAME LIMIT ARGS...
processes() {
    name=$1 limit=$2
    shift 2
    run "$limit" "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet nosoftlockup" "$@"
    code=$?
    [ $code != 0 ] || { [ "$(grep -ac '^ROUNDS [1-9]' "$tmp/out")" = 3 ] && grep -aq '^ENDED' "$tmp/out" &&
        ! grep -aq '^WRONG' "$tmp/out"; } || code=98
    grep -a '^ROUNDS' "$tmp/out" | sed "s/^/# $name: /"
    ok $code "$name" "$tmp/out"
}

processes "jit, 1 vCPU" 60 --cpus 1
processes "jit, 2 vCPUs" 60 --cpus 2
processes "jit, 256 KiB of code cache" 60 --jit-cache-size 256K
processes "interp" 120 --engine interp
echo "1..$n"
