#!/bin/sh
# A graphical session in the window: desktop.py with Debian's Weston, on virtio-gpu and on bochs-display, with a tablet and with
# a mouse. TAP. The disk of `make demo GUEST=debian` stays as it is: Weston is installed, by the guest itself, into an overlay
# that is kept beside it. Pictures of the window are left in build/desktop.
. "$(dirname "$0")/../system/lib.sh"
need_guest
disk=$cache/debian.img desk=$cache/desktop.qcow2
if [ ! -f "$disk" ] && ! GUISE=$guise GUEST=debian "$demo/demo.sh" disk >"$tmp/out" 2>&1; then
    ok 1 "a Debian disk is made" "$tmp/out"
    echo "1..$n"
    exit 1
fi
mkdir -p "$top/build/desktop"
need_xserver
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$cache/initrd DIR=$tmp BASE=$disk DISK=$desk \
    PICTURES=$top/build/desktop PYTHONPATH=$top/tests/system timeout -k 10 3000 python3 "$top/tests/long/desktop.py"
