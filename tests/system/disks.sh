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
echo "1..$n"
