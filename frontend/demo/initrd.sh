#!/bin/sh
# Make the demo's initial RAM disk from unpacked Debian packages.
#   initrd.sh UNPACKED OUT [SCRIPT-FILE]
# UNPACKED holds the kernel's modules and busybox-static. OUT is an uncompressed cpio archive: the guest reads it at
# memory speed, and nothing is gained by packing 3 MB.
set -eu
x=$1 out=$2 script=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM

mods=$(echo "$x"/usr/lib/modules/*)
mkdir -p "$tmp/bin" "$tmp/etc" "$tmp/lib/modules"
cp "$x/usr/bin/busybox" "$tmp/bin/busybox"
cp "$here/init.sh" "$tmp/init"
cp "$here/udhcpc.sh" "$tmp/etc/udhcpc.sh"
chmod 755 "$tmp/init" "$tmp/etc/udhcpc.sh" "$tmp/bin/busybox"
[ -z "$script" ] || cp "$script" "$tmp/script"

# Modules and what they need, depth first, each once. A name without a file is built into the kernel.
seen=" "
need() {
    case $seen in *" $1 "*) return ;; esac
    seen="$seen$1 "
    file=$(find "$mods" -name "$1.ko*" -o -name "$(echo "$1" | tr _ -).ko*" | head -n 1)
    [ -n "$file" ] || return 0
    for d in $(PATH=$PATH:/usr/sbin:/sbin modinfo -F depends "$file" | tr , ' '); do need "$d"; done
    file=$(find "$mods" -name "$1.ko*" -o -name "$(echo "$1" | tr _ -).ko*" | head -n 1)
    case $file in
    *.xz) xz -dc "$file" >"$tmp/lib/modules/$1.ko" ;;
    *) cp "$file" "$tmp/lib/modules/$1.ko" ;;
    esac
    echo "$1.ko" >>"$list"
}
list=$tmp/modules
for m in virtio_mmio virtio_blk virtio_rng virtio_net crc32c_generic ext4; do need "$m"; done
list=$tmp/modules.nvme # loaded where there is such a controller
need nvme
list=$tmp/modules.e1000e
need e1000e
list=$tmp/modules.gpu
need virtio_gpu
list=$tmp/modules.input
for m in virtio_input altera_ps2 evdev; do need "$m"; done
list=$tmp/modules.usb # evdev is in modules.input too
seen=" "
for m in xhci_hcd xhci_pci usbhid hid_generic evdev; do need "$m"; done
list=$tmp/modules.bochs # what virtio_gpu needs too is in both lists: only one of the screens may be there
seen=" "
need bochs
(cd "$tmp" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out.new"
mv "$out.new" "$out"
