#!/bin/sh
# The window under a virtual X server: window.py with Debian's kernel, its drivers and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
script "$input_guest"
mkdir -p "$tmp/x/bin"
riscv64-linux-gnu-gcc -O2 -static -D_GNU_SOURCE -I/usr/riscv64-linux-gnu/include/drm -o "$tmp/x/bin/follow" "$top/tests/system/follow.c" || exit
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
need_xserver
XSERVER=$server GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1500 python3 "$top/tests/system/window.py"
