#!/bin/sh
# The window under a virtual X server: window.py with Debian's kernel, its drivers and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
script "$input_guest"
mkdir -p "$tmp/x/bin"
riscv64-linux-gnu-gcc -O2 -static -D_GNU_SOURCE -I/usr/riscv64-linux-gnu/include/drm -o "$tmp/x/bin/follow" "$top/tests/system/follow.c" || exit
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
Xvfb -displayfd 3 -screen 0 1600x1000x24 -nolisten tcp 3>"$tmp/display" 2>"$tmp/xvfb.log" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
for i in $(seq 200); do
    [ ! -s "$tmp/display" ] || break
    sleep 0.05
done
if [ ! -s "$tmp/display" ]; then
    ok 1 "a virtual X server starts" "$tmp/xvfb.log"
    echo "1..$n"
    exit 1
fi
DISPLAY=:$(cat "$tmp/display") XSERVER=$server GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1500 python3 "$top/tests/system/window.py"
