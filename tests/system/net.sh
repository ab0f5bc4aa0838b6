#!/bin/sh
# Networks as a guest and a person see them: net.py with Debian's kernel and busybox. Nothing leaves this host's loopback.
. "$(dirname "$0")/lib.sh"
need_guest
script "$line_guest"
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    UBOOT=$cache/unpacked/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin timeout -k 10 1500 python3 "$top/tests/system/net.py"
