#!/bin/sh
# make bench-disk: fio in the guest, on guise and on QEMU 10 in turn: same kernel, RAM disk and raw image, ratios of medians.
#   DISK_ROUNDS=3 DISK_SECONDS=4 DISK_CPUS=1 DISK_DEVICES="virtio-blk-pci virtio-blk-device nvme"
# Random: 4 KiB, queue depth 16, direct. Sequential: 256 KiB, depth 8. The image is in the host's page cache for both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/rounds.sh"
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
top=$here/../..
out=$top/build/bench
guise=$(dirname "$GUISE")/qemu-system-riscv64
rounds=${DISK_ROUNDS:-3} seconds=${DISK_SECONDS:-4} cpus=${DISK_CPUS:-1}
mkdir -p "$out"
"$top/frontend/demo/demo.sh" fetch
qemu=$("$here/qemu.sh" "$cache")
"$here/fio.sh" "$cache" "$cache/fio.cpio"
cat >"$out/disk.script" <<EOF
umount /disk 2>/dev/null
d=/dev/vda; [ -b \$d ] || d=/dev/nvme0n1
export LD_LIBRARY_PATH=/lib
f() { n=\$1; shift; fio --name=\$n --filename=\$d --direct=1 --ioengine=libaio --time_based --runtime=$seconds --ramp_time=1 --minimal \
    --thread "\$@" 2>&1 | awk -F';' -v n=\$n 'NF > 60 {print "FIO", n, \$8 + \$49, \$7 + \$48}'; }
f randread --rw=randread --bs=4k --iodepth=16
f randwrite --rw=randwrite --bs=4k --iodepth=16
f seqread --rw=read --bs=256k --iodepth=8
f seqwrite --rw=write --bs=256k --iodepth=8
EOF
"$top/frontend/demo/initrd.sh" "$cache/unpacked" "$out/disk.initrd0" "$out/disk.script"
cat "$out/disk.initrd0" "$cache/fio.cpio" >"$out/disk.initrd"
trap 'rm -f "$out/disk.img" "$out/disk.initrd0" "$out/disk.initrd"' EXIT INT TERM
head -c 536870912 /dev/urandom >"$out/disk.img"

one() { # one WHO PROGRAM DEVICE: lines WHO DEVICE ROW IOPS KB/S
    serial=
    [ "$3" != nvme ] || serial=,serial=1
    timeout 300 "$2" -M virt -m 512M -smp "$cpus" -nographic -no-reboot -kernel "$cache/vmlinuz" -initrd "$out/disk.initrd" \
        -append "console=ttyS0 quiet" -global virtio-mmio.force-legacy=false \
        -drive "file=$out/disk.img,format=raw,if=none,id=d" -device "$3,drive=d$serial" </dev/null 2>&1 |
        tr -d '\r' | sed -n "s/^FIO /$1 $3 /p"
}

# shellcheck disable=SC2086
rounds "$out/disk.rows" "$rounds" ${DISK_DEVICES:-virtio-blk-pci virtio-blk-device nvme}
python3 - "$out/disk.rows" <<'EOF'
import collections, statistics, sys
rows = collections.defaultdict(list)
for line in open(sys.argv[1]):
    who, dev, row, iops, kb = line.split()
    rows[dev, row, who].append((float(iops), float(kb) / 1024))
print(f"{'device':<20}{'row':<12}{'guise':>12}{'QEMU':>12}{'ratio':>8}   (medians; IOPS for random rows, MiB/s for sequential ones)")
for dev, row in dict.fromkeys((d, r) for d, r, _ in rows):
    col = row.startswith("seq")
    a, b = ([v[col] for v in rows[dev, row, who]] for who in ("guise", "qemu"))
    if a and b:
        a, b = statistics.median(a), statistics.median(b)
        print(f"{dev:<20}{row:<12}{a:>12.0f}{b:>12.0f}{a / b:>8.2f}")
EOF
