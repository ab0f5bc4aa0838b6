#!/bin/sh
# Disks as a guest and a person see them: NVMe, options, errors, sizes.
. "$(dirname "$0")/lib.sh"
need_guest

# Debian's own nvme driver; the file system is mounted from the controller and written to.
truncate -s 64M "$tmp/nvme.img"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -F "$tmp/nvme.img" >/dev/null
script 'for f in serial model; do echo $f=$(cat /sys/class/nvme/nvme0/$f); done
dd if=/dev/urandom of=/disk/x bs=64k count=32 2>/dev/null
a=$(md5sum </disk/x); umount /disk; mount /dev/nvme0n1 /disk; [ "$a" = "$(md5sum </disk/x)" ] && echo DISK OK
rm /disk/x; fstrim -v /disk; sync; echo DONE; umount /disk; poweroff -f'
run 60 "$qemu" -machine virt -nographic -m 512M -smp 2 -no-reboot -kernel "$cache/vmlinuz" -append "console=ttyS0 quiet" -initrd "$tmp/initrd" \
    -drive "file=$tmp/nvme.img,format=raw,id=d0,if=none" -device nvme,drive=d0,serial=abc123
code=$?
grep -aq '^serial=abc123' "$tmp/out" && grep -aq '^DISK OK' "$tmp/out" && grep -aq 'bytes trimmed' "$tmp/out" &&
    grep -aq '^DONE' "$tmp/out" || code=98
ok $code "Linux uses an NVMe disk" "$tmp/out"
PATH=$PATH:/usr/sbin:/sbin e2fsck -fn "$tmp/nvme.img" >"$tmp/fsck" 2>&1
ok $? "its file system is clean" "$tmp/fsck"

# With the monitor: disks.py, in a name space of its own where a small file system can be mounted.
script 'set -- $(cat /proc/cmdline); for w; do case $w in run=*) run=${w#run=} ;; esac; done
d=/dev/vda; [ -b $d ] || d=/dev/nvme0n1; s=/sys/block/${d#/dev/}/size
umount /disk 2>/dev/null
case $run in
resize) o=; i=0; while [ $i -lt 600 ]; do n=$(cat $s); [ "$n" = "$o" ] || echo SIZE $n; o=$n; [ $n = 49152 ] && break; i=$((i+1)); usleep 50000; done ;;
limits) for k in 1 2; do a=$(cut -d" " -f1 /proc/uptime | tr -d .)
    dd if=$d of=/dev/null bs=4k count=200 iflag=direct 2>/dev/null; b=$(cut -d" " -f1 /proc/uptime | tr -d .); echo TOOK $(((b-a)*10)); sleep 1; done ;;
fill) yes "words that are no zeroes" | head -c 14000000 >/tmp/x; dd if=/tmp/x of=$d bs=64k conv=fsync 2>/tmp/err || echo FAILED $(cat /tmp/err)
    echo 3 >/proc/sys/vm/drop_caches; [ "$(md5sum </tmp/x)" = "$(head -c 14000000 $d | md5sum)" ] && echo SAME ;;
snap) exec 3<&0; (read -r line <&3; : >/tmp/stop) & i=1000; while [ ! -e /tmp/stop ]; do i=$((i+1)); for k in a b; do echo $i | dd of=/dev/vd$k bs=512 conv=sync,fsync 2>/dev/null; done; [ $i != 1001 ] || echo GOING; done; echo DONE $i ;;
commit) yes guise | head -c 1000000 | dd of=$d bs=64k conv=fsync 2>/dev/null; echo WRITTEN; sleep 2 ;;
esac; poweroff -f'
export GUISE="$guise" KERNEL="$cache/vmlinuz" INITRD="$tmp/initrd" DIR="$tmp" FIRST=$((n + 1))
mkdir "$tmp/full"
if unshare -Urm mount -t tmpfs -o size=16M none "$tmp/full" 2>/dev/null; then
    FULL=$tmp/full timeout -k 5 900 unshare -Urm sh -c 'mount -t tmpfs -o size=16M none "$FULL" && exec python3 "$0"' "$top/tests/system/disks.py"
else
    FULL='' timeout -k 5 900 python3 "$top/tests/system/disks.py"
fi
