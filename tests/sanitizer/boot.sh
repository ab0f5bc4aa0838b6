#!/bin/sh
# Debian's kernel on builds with sanitizers, to user space and to its end: what `make check-asan` and `make check-tsan` boot.
# A report of a sanitizer ends the emulator with a code of its own (asan and ubsan 86, tsan 66), so it fails the boot.
. "$(dirname "$0")/../system/lib.sh"
need_guest

script 'echo CPUS $(grep -c ^processor /proc/cpuinfo)
dd if=/dev/urandom of=/disk/x bs=64k count=32 2>/dev/null
a=$(md5sum </disk/x); umount /disk; mount /dev/vda /disk; [ "$a" = "$(md5sum </disk/x)" ] && echo DISK OK
[ $(dd if=/dev/hwrng bs=16 count=4 2>/dev/null | wc -c) = 64 ] && echo RNG OK
echo PORT OK >/dev/hvc0
ping -c 3 -i 0.2 10.0.2.2 >/dev/null && nslookup host.guise 10.0.2.3 >/dev/null && echo NET OK
i=0; while [ $i -lt 20 ]; do i=$((i+1)); (exit 3); [ $? = 3 ] || echo BAD; done
echo DONE; umount /disk; poweroff -f'

boot() { # boot LIMIT ENGINE CPUS TRANSPORT: disk, random numbers, a network and a console port on TRANSPORT
    truncate -s 0 "$tmp/disk" "$tmp/port"
    truncate -s 16M "$tmp/disk"
    run "$1" "$qemu" -machine virt -m 512M -smp "$3" -accel "$2" -nographic -monitor none -no-reboot \
        -netdev user,id=n -device "virtio-net-$4,netdev=n" -kernel "$cache/vmlinuz" -initrd "$tmp/initrd" -append "console=ttyS0 rcupdate.rcu_cpu_stall_timeout=300 nosoftlockup" \
        -drive "file=$tmp/disk,format=raw,id=d,if=none" -device "virtio-blk-$4,drive=d" -device "virtio-rng-$4" \
        -chardev "file,id=port,path=$tmp/port" -device "virtio-serial-$4" -device virtconsole,chardev=port
    code=$?
    for line in "CPUS $3" 'DISK OK' 'RNG OK' 'NET OK' DONE; do
        [ $code != 0 ] || grep -aq "^$line" "$tmp/out" || code=98
    done
    [ $code != 0 ] || grep -aq '^PORT OK' "$tmp/port" || code=98
    ok $code "a boot with ${MODE:-} on $2, $3 vCPUs, $4" "$tmp/out"
}

boot 150 jit 1 device
boot 150 jit 4 pci
boot 300 interp 1 pci
echo "1..$n"
