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
    run "$limit" "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0" --cpus "$cpus" "$@"
    code=$?
    [ $code != 0 ] || { grep -aq "^CPUS $cpus" "$tmp/out" && grep -aq '^DISK OK' "$tmp/out" && grep -aq '^DONE' "$tmp/out" &&
        grep -aq 'reboot: Power down' "$tmp/out"; } || code=98
    ok $code "$name" "$tmp/out"
}

boot "jit, 1 vCPU, virtio-mmio" 60 1 --disk "$tmp/disk,bus=mmio"
boot "jit, 1 vCPU, virtio-pci" 60 1 --disk "$tmp/disk,bus=pci"
boot "jit, 2 vCPUs" 60 2 --disk "$tmp/disk,bus=mmio"
boot "jit, 4 vCPUs" 90 4 --disk "$tmp/disk,bus=pci"
boot "jit, 8 vCPUs" 120 8 --disk "$tmp/disk,bus=mmio"
boot "jit, 64 KiB of code cache" 200 1 --disk "$tmp/disk,bus=mmio" --jit-cache-size 64K
boot "jit, blocks not linked" 120 1 --disk "$tmp/disk,bus=mmio" --jit-no-link
boot "interp" 300 1 --engine interp --disk "$tmp/disk,bus=mmio"
boot "interp, 2 vCPUs" 300 2 --engine interp --disk "$tmp/disk,bus=mmio"
boot "ir" 600 1 --engine ir --disk "$tmp/disk,bus=mmio"
boot "jit, OpenSBI" 60 2 --bios "$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" --disk "$tmp/disk,bus=mmio"
boot "jit, RVA22 without B" 60 1 --cpu rva22s64,zba=off,zbb=off,zbs=off --disk "$tmp/disk,bus=mmio"

# The same through QEMU's command line, as tuxrun writes it.
truncate -s 16M "$tmp/disk"
run 60 "$qemu" -cpu rv64 -machine virt -nographic -nic none -m 1G -monitor none -no-reboot -smp 2 -kernel "$cache/vmlinuz" \
    -append "console=ttyS0,115200 earlycon" -initrd "$tmp/initrd" -drive "file=$tmp/disk,format=raw,id=hd0,if=none" \
    -device virtio-blk-device,drive=hd0
code=$?
grep -aq '^DISK OK' "$tmp/out" || code=98
ok $code "QEMU's command line (tuxrun)" "$tmp/out"
cp "$tmp/disk" "$tmp/disk.before"
run 60 "$qemu" -machine virt -nographic -m 1G -no-reboot -snapshot -kernel "$cache/vmlinuz" -append console=ttyS0 -initrd "$tmp/initrd" \
    -drive "file=$tmp/disk,format=raw,id=hd0,if=none" -device virtio-blk-pci,drive=hd0
code=$?
grep -aq '^DISK OK' "$tmp/out" && cmp -s "$tmp/disk" "$tmp/disk.before" || code=98
ok $code "-snapshot leaves the disk as it was" "$tmp/out"
echo "1..$n"
