#!/bin/sh
# Debian's installer over the network in all ways that firmware knows, and TFTP beside QEMU 10's: net_boot.py long. TAP.
. "$(dirname "$0")/../system/lib.sh"
need_guest
need_netboot
theirs=$("$top/tests/bench/qemu.sh" "$cache") || exit 1
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$cache/initrd DIR=$tmp TFTP=$tftp UBOOT=$cache/unpacked/usr/lib/u-boot \
    OPENSBI=$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic EDK2=$edk2 THEIRS=$theirs \
    timeout -k 10 3000 python3 "$top/tests/system/net_boot.py" long
