#!/bin/sh
# Keyboards and pointers as a guest sees them: input.py with Debian's kernel, its drivers and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
script "$input_guest"
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp timeout -k 10 1500 \
    python3 "$top/tests/system/input.py"
