#!/bin/sh
# Debian's installer comes over the network by itself: net_boot.py quick. The long one is tests/long/netboot.sh.
. "$(dirname "$0")/lib.sh"
need_guest
need_netboot
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$cache/initrd DIR=$tmp TFTP=$tftp UBOOT=$cache/unpacked/usr/lib/u-boot \
    timeout -k 10 1000 python3 "$top/tests/system/net_boot.py" quick
