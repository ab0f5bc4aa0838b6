#!/bin/sh
# What guests put on their screens, in pictures: screens.py with Debian's kernel, busybox and EDK2.
. "$(dirname "$0")/lib.sh"
need_guest
need_netboot
script "$line_guest"
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp EDK2=$edk2 timeout -k 10 1000 \
    python3 "$top/tests/system/screens.py"
