#!/bin/bash
# One image, two processes: the second is refused, and told who the first is. Ours and QEMU's, in both orders.
. "$(dirname "$0")/../system/lib.sh"
cd "$tmp" || exit 1

# A process that holds an image open: hold NAME COMMAND... ; its id in $holder
hold() {
    rm -f fifo
    mkfifo fifo
    "$@" <fifo >hold.out 2>&1 &
    holder=$!
    exec 9>fifo
    for _ in $(seq 100); do
        # Its locks, or (where the tool takes none) its open file.
        ls -l /proc/$holder/fd 2>/dev/null | grep -q "$tmp/base\|$tmp/disk" && sleep 0.3 && return
        sleep 0.1
    done
}
release() {
    kill "$holder" 2>/dev/null
    exec 9>&-
    wait "$holder" 2>/dev/null
}

# refused NAME WORDS COMMAND...: fails, and one line has all the words
refused() {
    name=$1 words=$2
    shift 2
    timeout 20 "$@" >out 2>&1 </dev/null
    code=$?
    good=1
    [ $code != 0 ] && [ $code -lt 124 ] || good=0
    for w in $words; do grep -q -- "$w" out || good=0; done
    [ $good = 1 ]
    ok $? "refused: $name" out
}
allowed() {
    name=$1
    shift
    timeout 20 "$@" >out 2>&1 </dev/null
    ok $? "allowed: $name" out
}

for format in raw qcow2; do
    qemu-img create -q -f "$format" disk 16M
    drive="file=disk,format=$format,if=none,id=d"

    hold "$qemu" -M virt -display none -serial null -monitor none -S -kernel "$top/tests/guest/teach.elf" -drive "$drive" -device virtio-blk-pci,drive=d
    refused "$format: a second guise" "disk qemu-system $holder" timeout 10 "$qemu" -M virt -display none -serial null -monitor none -kernel "$top/tests/guest/teach.elf" -drive "$drive" -device virtio-blk-pci,drive=d
    refused "$format: guise img resize of a running disk" "disk $holder" "$guise" img resize -f "$format" disk 32M
    refused "$format: qemu-io writes to a running disk" "lock" qemu-io -f "$format" -c 'write 0 512' disk
    refused "$format: qemu-img reads a running disk" "lock" qemu-img convert -f "$format" -O raw disk copy
    allowed "$format: qemu-img info -U of a running disk" qemu-img info -U -f "$format" disk
    allowed "$format: guise img info -U of a running disk" "$guise" img info -U -f "$format" disk
    release

    hold qemu-io -f "$format" disk
    refused "$format: guise, while qemu-io has it open" "disk qemu-io $holder" timeout 10 "$qemu" -M virt -display none -serial null -monitor none -kernel "$top/tests/guest/teach.elf" -drive "$drive" -device virtio-blk-pci,drive=d
    refused "$format: guise img convert, while qemu-io has it open" "disk qemu-io $holder" "$guise" img convert -f "$format" -O raw disk copy
    release

    hold qemu-io -r -f "$format" disk
    [ "$format" = raw ] || # which QEMU lets others write to while it reads
        refused "$format: guise writes, while qemu-io reads" "disk qemu-io $holder" timeout 10 "$qemu" -M virt -display none -serial null -monitor none -kernel "$top/tests/guest/teach.elf" -drive "$drive" -device virtio-blk-pci,drive=d
    allowed "$format: guise img info, while qemu-io reads" "$guise" img info -f "$format" disk
    release

    # A backing file is read by the guest above it: nobody may write to it.
    mv disk base
    qemu-img create -q -f qcow2 -b base -F "$format" disk
    hold "$qemu" -M virt -display none -serial null -monitor none -S -kernel "$top/tests/guest/teach.elf" -drive "file=disk,format=qcow2,if=none,id=d" -device virtio-blk-pci,drive=d
    refused "$format as backing file: qemu-io writes" "lock" qemu-io -f "$format" -c 'write 0 512' base
    refused "$format as backing file: guise img resizes" "base $holder" "$guise" img resize -f "$format" base 32M
    allowed "$format as backing file: a second overlay" sh -c "qemu-img create -q -f qcow2 -b base -F $format other && qemu-io -c 'read 0 512' other && '$guise' img map other"
    release
    allowed "$format: afterwards the disk is free" qemu-io -f qcow2 -c 'write 0 512' disk
    rm -f disk base other copy
done
echo "1..$n"
