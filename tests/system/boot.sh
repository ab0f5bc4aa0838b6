#!/bin/sh
# Debian's kernel with a busybox user land: every engine, several vCPUs, disks on both transports, other firmware.
. "$(dirname "$0")/lib.sh"
need_guest

# What the guest does with its disk: a checksum of a file written, the disk unmounted and mounted again.
script 'echo CPUS $(grep -c ^processor /proc/cpuinfo)
grep -qw sv39 /proc/cpuinfo && echo SV39
dd if=/dev/urandom of=/disk/x bs=64k count=32 2>/dev/null
a=$(md5sum </disk/x); umount /disk; mount /dev/vda /disk; [ "$a" = "$(md5sum </disk/x)" ] && echo DISK OK
i=0; while [ $i -lt 20 ]; do i=$((i+1)); (exit 3); [ $? = 3 ] || echo BAD; done
echo DONE; umount /disk; poweroff -f'

boot() { # boot NAME LIMIT CPUS ARGS...
    name=$1 limit=$2 cpus=$3
    shift 3
    rm -f "$tmp/disk"
    truncate -s 16M "$tmp/disk"
    run "$limit" "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 ${line:-}" --cpus "$cpus" "$@"
    code=$?
    [ $code != 0 ] || { grep -aq "^CPUS $cpus" "$tmp/out" && grep -aq '^DISK OK' "$tmp/out" && grep -aq '^DONE' "$tmp/out" &&
        grep -aq 'reboot: Power down' "$tmp/out"; } || code=98
    ok $code "$name" "$tmp/out"
}

boot "jit, 1 vCPU, virtio-mmio" 300 1 --disk "$tmp/disk,bus=mmio"
boot "jit, 1 vCPU, virtio-pci" 300 1 --disk "$tmp/disk,bus=pci"
boot "jit, 2 vCPUs" 300 2 --disk "$tmp/disk,bus=mmio"
boot "jit, 4 vCPUs" 300 4 --disk "$tmp/disk,bus=pci"
boot "jit, 8 vCPUs" 300 8 --disk "$tmp/disk,bus=mmio"
boot "jit, 256 KiB of code cache" 900 1 --disk "$tmp/disk,bus=mmio" --jit-cache-size 256K
boot "jit, blocks not linked" 300 1 --disk "$tmp/disk,bus=mmio" --jit-no-link
line="rcupdate.rcu_cpu_stall_timeout=300 nosoftlockup workqueue.watchdog_thresh=0" # the slow engines on a loaded host: 21 s without a turn are no bug
boot "interp" 900 1 --engine interp --disk "$tmp/disk,bus=mmio"
boot "interp, 2 vCPUs" 900 2 --engine interp --disk "$tmp/disk,bus=mmio"
boot "ir" 900 1 --engine ir --disk "$tmp/disk,bus=mmio"
line=
boot "jit, OpenSBI" 300 2 --bios "$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" --disk "$tmp/disk,bus=mmio"
boot "jit, RVA22 without B" 300 1 --cpu rva22s64,zba=off,zbb=off,zbs=off --disk "$tmp/disk,bus=mmio"

# The same through QEMU's command line, as tuxrun writes it.
truncate -s 16M "$tmp/disk"
run 300 "$qemu" -cpu rv64 -machine virt -nographic -nic none -m 1G -monitor none -no-reboot -smp 2 -kernel "$cache/vmlinuz" \
    -append "console=ttyS0,115200 earlycon" -initrd "$tmp/initrd" -drive "file=$tmp/disk,format=raw,id=hd0,if=none" \
    -device virtio-blk-device,drive=hd0
code=$?
grep -aq '^DISK OK' "$tmp/out" || code=98
ok $code "QEMU's command line (tuxrun)" "$tmp/out"
cp "$tmp/disk" "$tmp/disk.before"
run 300 "$qemu" -machine virt -nographic -m 1G -no-reboot -snapshot -kernel "$cache/vmlinuz" -append console=ttyS0 -initrd "$tmp/initrd" \
    -drive "file=$tmp/disk,format=raw,id=hd0,if=none" -device virtio-blk-pci,drive=hd0
code=$?
grep -aq '^DISK OK' "$tmp/out" && cmp -s "$tmp/disk" "$tmp/disk.before" || code=98
ok $code "-snapshot leaves the disk as it was" "$tmp/out"

# U-Boot from Debian's packages: on OpenSBI, on the built-in firmware, and by itself. It reads kernel and RAM disk from a
# partition by extlinux.conf; the version it puts into the device tree says that it was there.
script 'echo CPUS $(grep -c ^processor /proc/cpuinfo); cat /sys/firmware/devicetree/base/chosen/u-boot,version; echo
echo DONE; poweroff -f'
mkdir -p "$tmp/boot/extlinux"
cp "$cache/vmlinuz" "$tmp/initrd" "$tmp/boot/"
cat >"$tmp/boot/extlinux/extlinux.conf" <<EOF
default guise
label guise
 kernel /vmlinuz
 initrd /initrd
 append console=ttyS0 quiet
EOF
truncate -s 97M "$tmp/bootdisk"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -F -E offset=1048576 -d "$tmp/boot" "$tmp/bootdisk" 96M >"$tmp/out" 2>&1 ||
    ok 1 "a boot disk is made" "$tmp/out"
# The partition table: one entry, bootable, Linux, 96 MiB from sector 2048; and its mark.
put() { dd of="$tmp/bootdisk" bs=1 seek="$1" conv=notrunc status=none; }
printf '\200\000\041\000\203\376\377\377\000\010\000\000\000\000\003\000' | put 446
printf '\125\252' | put 510
uboot=$cache/unpacked/usr/lib/u-boot opensbi=$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic

uboot() { # uboot NAME CPUS ARGS...
    name=$1 cpus=$2
    shift 2
    run 300 "$guise" run --kernel "$uboot/qemu-riscv64_smode/u-boot.bin" --cpus "$cpus" "$@"
    code=$?
    [ $code != 0 ] || { grep -aq "^CPUS $cpus" "$tmp/out" && grep -aq '^20[0-9][0-9]\.' "$tmp/out" &&
        grep -aq '^DONE' "$tmp/out"; } || code=98
    ok $code "$name" "$tmp/out"
}

uboot "U-Boot on OpenSBI (fw_dynamic), virtio-mmio" 1 --bios "$opensbi/fw_dynamic.bin" --disk "$tmp/bootdisk,bus=mmio"
uboot "U-Boot on OpenSBI (fw_jump), virtio-pci" 2 --bios "$opensbi/fw_jump.bin" --disk "$tmp/bootdisk,bus=pci"
uboot "U-Boot on the built-in firmware" 1 --disk "$tmp/bootdisk,bus=mmio"

# In M-mode it has no SBI to offer, so Debian's kernel cannot run on it (nor on QEMU): as far as handing over.
: >"$tmp/out" # what the last one said must not be taken for its words
"$guise" run --bios "$uboot/qemu-riscv64/u-boot.bin" --disk "$tmp/bootdisk,bus=mmio" --append quiet </dev/null >"$tmp/out" 2>&1 &
pid=$! i=0
while kill -0 $pid 2>/dev/null && [ $i -lt 600 ] && ! grep -aq 'Using Device Tree' "$tmp/out"; do
    sleep 0.5
    i=$((i + 1))
done
kill $pid
wait $pid
grep -aq 'Using Device Tree' "$tmp/out" && grep -aq 'Retrieving file: /initrd' "$tmp/out"
ok $? "U-Boot in M-mode loads a kernel from a disk" "$tmp/out"
echo "1..$n"
