#!/bin/sh
# The command lines that other tools write for qemu-system-riscv64, end to end: each guest must boot and say so.
# Where a tool's kernel holds its own user land, an initial RAM disk is added; nothing else is changed.
. "$(dirname "$0")/lib.sh"
need_guest
opensbi=$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic
cd "$tmp" || exit 1

said() { # said CODE WORD NAME: the guest's run ended with 0 and printed WORD
    code=$1
    [ "$code" != 0 ] || grep -aq "$2" "$tmp/out" || code=98
    ok $code "$3" "$tmp/out"
}

compile() { # compile OUT FLAGS...: tests/guest/disk.c
    out=$1
    shift
    riscv64-linux-gnu-gcc -O2 -march=rv64gc -mabi=lp64d -mcmodel=medany -ffreestanding -nostdlib -static -fno-pic -no-pie \
        -fno-stack-protector -mno-relax "-Wl,-T,$top/tests/guest/test.ld" -Wl,--build-id=none -o "$out" "$@" \
        "$top/tests/guest/crt.S" "$top/tests/guest/test_lib.c" "$top/tests/guest/disk.c" >"$tmp/out" 2>&1
}

# kunit.py: the kernel reboots when the tests are done; the accelerator list; a firmware file by name; Image.gz.
script 'echo "KTAP version 1"; reboot -f'
cp "$opensbi/fw_dynamic.bin" "$tmp/opensbi-riscv64-generic-fw_dynamic.bin"
gzip -1 <"$cache/vmlinuz" >"$tmp/Image.gz"
run 90 "$qemu" -nodefaults -m 1024 -kernel "$tmp/Image.gz" -append "console=ttyS0 kunit_shutdown=reboot" -no-reboot -nographic \
    -accel kvm -accel hvf -accel tcg -serial stdio -machine virt -cpu rv64 -bios "$tmp/opensbi-riscv64-generic-fw_dynamic.bin" \
    -initrd "$tmp/initrd"
said $? '^KTAP version 1' "kunit.py"

# tuxrun, with and without a network.
script 'echo DISK $(cat /sys/block/vda/size) CPUS $(grep -c ^processor /proc/cpuinfo)
echo NET $(cat /sys/class/net/eth0/address) $(ip -4 -o addr show dev eth0 | grep -o "inet [0-9./]*")'
truncate -s 8M "$tmp/disk"
tuxrun() {
    run 90 "$qemu" -cpu rv64 -machine virt -nographic "$@" -m 4G -monitor none -no-reboot -smp 2 -kernel "$cache/vmlinuz" \
        -append "console=ttyS0,115200 rootwait earlycon" -drive "file=$tmp/disk,format=raw,id=hd0" \
        -device virtio-blk-device,drive=hd0 -initrd "$tmp/initrd"
}
tuxrun -nic none
said $? 'DISK 16384 CPUS 2' "tuxrun without a network"
tuxrun -net nic,model=virtio,macaddr=52:54:00:12:34:58 -net user
said $? 'NET 52:54:00:12:34:58 inet 10.0.2.15/24' "tuxrun with a network"

# xv6 labs: addresses and the virtio version are hard-coded, three harts, the modern transport.
compile "$tmp/kernel" -DVERSION=2 || ok 1 "the disk driver builds" "$tmp/out"
echo "hello from sector 0" >"$tmp/fs.img"
truncate -s 64K "$tmp/fs.img"
run 30 "$qemu" -machine virt -bios none -kernel "$tmp/kernel" -m 128M -smp 3 -nographic -global virtio-mmio.force-legacy=false \
    -drive "file=$tmp/fs.img,if=none,format=raw,id=x0" -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0
code=$?
[ "$(dd if="$tmp/fs.img" bs=512 skip=1 count=1 2>/dev/null | head -c 4)" = seen ] || code=97
said $code 'hello from sector 0' "xv6 labs, virtio-mmio version 2"
compile "$tmp/kernel1" -DVERSION=1
run 30 "$qemu" -machine virt -bios none -kernel "$tmp/kernel1" -m 128M -smp 3 -nographic \
    -drive "file=$tmp/fs.img,if=none,format=raw,id=x0" -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0
said $? 'hello from sector 0' "old xv6 and rCore, virtio-mmio version 1"
run 30 "$qemu" -machine virt -bios none -kernel "$tmp/kernel" -m 128M -smp 3 -nographic -S -gdb tcp::26000
[ $? = 1 ] && grep -q -e '-gdb .*gdb server is not there yet' "$tmp/out"
ok $? "xv6's qemu-gdb says that the gdb server is not there" "$tmp/out"

# rCore labs: firmware from a file that jumps to 0x80200000, where the loader device has put the kernel.
riscv64-linux-gnu-objcopy -O binary "$top/tests/guest/teach.elf" "$tmp/os.bin"
printf 'walk 0x10000\rfault\roff\r' | timeout 120 "$qemu" -machine virt -nographic -bios "$opensbi/fw_jump.bin" \
    -device "loader,file=$tmp/os.bin,addr=0x80200000" >"$tmp/out" 2>&1
code=$?
grep -aq 'OpenSBI' "$tmp/out" && grep -aq 'Hello from user mode' "$tmp/out" || code=98
said $code 'Bye\.' "rCore labs"

# wireguard's selftest: the result comes through a virtio serial port into a file.
script 'for p in /dev/vport*p1; do printf success >$p; done; cat /sys/class/virtio-ports/*/name; echo CPUS $(grep -c ^processor /proc/cpuinfo)'
run 90 "$qemu" -nodefaults -nographic -smp 4 -cpu rv64 -machine virt -m 256M -serial stdio -chardev "file,path=$tmp/result,id=result" \
    -device virtio-serial-device -device virtserialport,chardev=result -no-reboot -monitor none -kernel "$cache/vmlinuz" \
    -initrd "$tmp/initrd" -append console=ttyS0
code=$?
[ "$(cat "$tmp/result" 2>/dev/null)" = success ] || code=97
said $code '^CPUS 4' "wireguard's selftest"
script 'echo success >/dev/ttyS1 || true; echo END'
run 90 "$qemu" -nodefaults -nographic -cpu rv64 -machine virt -m 256M -serial stdio -serial null -no-reboot -monitor none \
    -kernel "$cache/vmlinuz" -initrd "$tmp/initrd" -append console=ttyS0
case $? in 0 | 1) grep -aqE '^END|serial' "$tmp/out" ;; *) false ;; esac
ok $? "a second serial port works or is refused by name" "$tmp/out"

# virtme-ng: kernel messages on a console of their own (stderr), the command's stream on a port, the RAM disk on a descriptor.
script 'while [ ! -e /dev/hvc0 ]; do usleep 10000; done
p=/dev/$(basename $(dirname $(grep -l virtme.stdout /sys/class/virtio-ports/*/name)))
echo "stdout of the command" >$p; echo "kernel side" >/dev/hvc0; echo "on the console"'
timeout 360 "$qemu" -name vng -m 512M -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem -machine virt \
    -bios default -parallel none -net none -echr 1 -chardev file,path=/proc/self/fd/2,id=dmesg -device virtio-serial-pci \
    -device virtconsole,chardev=dmesg -chardev stdio,id=console,signal=off,mux=on -serial chardev:console -mon chardev=console \
    -vga none -display none -smp 2 -chardev "file,path=/proc/self/fd/4,id=out" \
    -device virtserialport,name=virtme.stdout,chardev=out -kernel "$cache/vmlinuz" -append "console=ttyS0 panic=-1" \
    -initrd /proc/self/fd/3 -no-reboot 3<"$tmp/initrd" 4>"$tmp/stream" >"$tmp/out" 2>"$tmp/err" </dev/null
code=$?
grep -q 'stdout of the command' "$tmp/stream" || code=97
grep -aq 'kernel side' "$tmp/err" || code=96
said $code 'on the console' "virtme-ng: streams apart, RAM disk on a descriptor"

# rcutorture: the console into a file; interactive: monitor on the terminal, started stopped.
script 'echo TORTURE; poweroff -f'
run 90 "$qemu" -machine virt -cpu rv64 -display none -serial "file:$tmp/console.log" -net none -m 512 -smp 2 -kernel "$cache/vmlinuz" \
    -initrd "$tmp/initrd" -append "console=ttyS0"
code=$?
grep -aq '^TORTURE' "$tmp/console.log" || code=97
ok $code "rcutorture" "$tmp/out"
printf 'info status\rquit\r' | timeout 60 "$qemu" -machine virt -display none -monitor stdio -serial pty -S -m 512 -kernel "$cache/vmlinuz" \
    >"$tmp/out" 2>&1
code=$?
grep -q 'char device redirected to /dev/pts/' "$tmp/out" || code=97
said $code 'VM status: paused' "rcutorture, interactive: monitor on the terminal, serial port on a pty"

# BPF's vmtest.sh and syzkaller; their machine protocol is not there.
script 'echo LAST $(cat /sys/block/vda/size); ip -4 -o addr show dev eth0 2>/dev/null; poweroff -f'
run 90 "$qemu" -nodefaults -display none -serial mon:stdio -M virt -smp 8 -m 1G \
    -drive "file=$tmp/disk,format=raw,index=1,media=disk,if=virtio,cache=none" -kernel "$cache/vmlinuz" -append console=ttyS0 -initrd "$tmp/initrd"
said $? '^LAST 16384' "vmtest.sh"
run 90 "$qemu" -m 512 -smp 2 -display none -serial stdio -no-reboot -name VM-0 -device virtio-rng-pci -machine virt \
    -device virtio-net-pci,netdev=net0 -netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22 \
    -device virtio-blk-device,drive=hd0 -drive "file=$tmp/disk,if=none,format=raw,id=hd0" -snapshot -kernel "$cache/vmlinuz" \
    -append console=ttyS0 -initrd "$tmp/initrd"
code=$?
grep -aq '^LAST 16384' "$tmp/out" || code=97
said $code 'inet 10.0.2.15/24' "syzkaller"

# What is not there yet says so by its name.
refused() { # refused NAME WORD ARGS...
    name=$1 word=$2
    shift 2
    timeout 60 "$qemu" "$@" >"$tmp/out" 2>&1 </dev/null
    [ $? = 1 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -qF -e "$word" "$tmp/out"
    ok $? "refused by name: $name" "$tmp/out"
}
refused "libvirt's probe" "-machine none" -S -no-user-config -nodefaults -nographic -machine none,accel=kvm:tcg -qmp unix:q,server=on,wait=off \
    -pidfile p -daemonize
refused "-netdev vde" "vde is not there" -netdev vde,id=net0 -device virtio-net-pci,netdev=net0
refused "virtio-9p-pci" "-fsdev local" -fsdev local,id=f,path=/,security_model=none -device virtio-9p-pci,fsdev=f,mount_tag=r
refused "vhost-user-fs-pci" "vhost-user-fs-pci" -device vhost-user-fs-pci,tag=ROOTFS
refused "another machine" "sifive_u" -M sifive_u
refused "another processor" "cortex-a57" -M virt -cpu cortex-a57
refused "-enable-kvm" "-enable-kvm" -enable-kvm -kernel "$cache/vmlinuz"
refused "a misspelt option" "-kernel" -kernal x
"$qemu" --version | grep -qE '^QEMU emulator version ([5-9]|[1-9][0-9])\.[0-9]+'
ok $? "--version reads as QEMU 5 or later"
echo "1..$n"
