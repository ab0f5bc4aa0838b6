#!/bin/busybox sh
# /init of the demo's initial RAM disk: loads the modules listed in /modules in their order, then
#   root=DEV or root=LABEL=NAME on the kernel command line: mounts DEV and hands over to its init (or init=...),
#   a /script: runs it (on DEV's system when root= is given) and powers off,
#   otherwise: a root shell on the console, with the disk (if there is one) mounted on /disk.
# Without root= the network is set up by DHCP; with it that is left to DEV's system.
/bin/busybox mkdir -p /sbin /proc /sys /dev /etc /tmp /disk /root /newroot /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts 2>/dev/null
while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules
if grep -qs 0x10d3 /sys/bus/pci/devices/*/device; then
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.e1000e
fi
if grep -qs 0x0010 /sys/bus/virtio/devices/*/device; then # a screen
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.gpu
fi
if grep -qs 0x0012 /sys/bus/virtio/devices/*/device || ls -d /proc/device-tree/soc/ps2@* >/dev/null 2>&1; then # keyboard, pointer
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.input
fi
if grep -qs 0x0c0330 /sys/bus/pci/devices/*/class; then # USB
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.usb
fi
if grep -qs 0x1111 /sys/bus/pci/devices/*/device; then # bochs-display
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.bochs
fi
nvme=
if grep -qs 0x010802 /sys/bus/pci/devices/*/class; then
    while read -r m; do insmod "/lib/modules/$m" 2>/dev/null; done </modules.nvme
    nvme=1
fi
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=${TERM:-linux} PS1='guise:\w# '
hostname guise
init=/sbin/init root=
for w in $(cat /proc/cmdline); do
    case $w in
    root=*) root=${w#root=} ;;
    init=*) init=${w#init=} ;;
    esac
done

# A disk shows up when its driver has probed it: wait for the event, not for a time.
wait_for() {
    n=0
    while [ ! -b "$1" ] && [ $n -lt 200 ]; do
        n=$((n + 1))
        usleep 50000
    done
    [ -b "$1" ]
}

# Every adapter asks for an address. Where nobody answers it goes on asking, and the boot goes on too.
network() {
    ip link set lo up
    for i in /sys/class/net/*; do
        i=${i##*/}
        [ "$i" = lo ] || udhcpc -b -t 2 -T 1 -O search -O mtu -i "$i" -s /etc/udhcpc.sh >/dev/null 2>&1
    done
}

if [ -n "$root" ]; then
    case $root in
    LABEL=*)
        n=0
        while ! dev=$(findfs "$root" 2>/dev/null) && [ $n -lt 200 ]; do
            n=$((n + 1))
            usleep 50000
        done
        root=${dev:-$root}
        ;;
    esac
    if wait_for "$root" && mount -t ext4 -o rw "$root" /newroot; then
        umount /dev/pts
        for d in dev sys proc; do mount --move /$d /newroot/$d; done
        if [ -f /script ]; then
            mount -t tmpfs run /newroot/run
            mount -t tmpfs tmp /newroot/tmp
            { cat /script; echo; echo "sync; mount -o remount,ro /; echo o >/proc/sysrq-trigger; sleep 60"; } >/newroot/run/script
            exec switch_root /newroot /bin/sh /run/script
        fi
        exec switch_root /newroot $init
    fi
    echo "guise: no file system on $root; here is a shell"
else
    disk=/dev/vda
    [ -b $disk ] || [ -z "$nvme" ] || { disk=/dev/nvme0n1 && wait_for $disk; }
    if [ -b $disk ] && ! mount $disk /disk 2>/dev/null; then
        # Only a disk that holds nothing at all is given a file system.
        if [ -z "$(dd if=$disk bs=64k count=1 2>/dev/null | tr -d '\000' | head -c 1)" ]; then
            mke2fs -q $disk >/dev/null 2>&1
            mount $disk /disk 2>/dev/null
        fi
    fi
fi
network
cd /root
if [ -f /script ]; then
    sh /script
    sync
    umount /disk 2>/dev/null
    poweroff -f
fi
echo
echo "Welcome to guise. This is $(uname -srm); $(grep -q ' /disk ' /proc/mounts && echo "a disk is mounted on /disk." || echo "no disk.")"
case $(cat /proc/cmdline) in
*console=tty0*) echo "Type 'poweroff -f' to end; Ctrl-Alt-M opens the window's menu." ;;
*) echo "Type 'poweroff -f' to end, Ctrl-A h for the emulator's keys." ;;
esac
echo
setsid cttyhack sh
sync
umount /disk 2>/dev/null
poweroff -f
