#!/bin/sh
# Consoles as tabs of the window, under a virtual X server: consoles.py with Debian's kernel and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
script "$input_guest"
need_xserver
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 900 python3 "$top/tests/system/consoles.py"
