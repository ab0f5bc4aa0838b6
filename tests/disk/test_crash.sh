#!/bin/sh
# Power cuts and faults under an image, a sample: `make check-disks` runs many more (long.sh).
set -u
disk=${GUISE%/*}/tests/disk/disk
n=0
proof() {
    n=$((n + 1))
    "$disk" "$@" | sed "s/^ok - /ok $n - /; s/^not ok - /not ok $n - /"
}
proof crash --format raw --count 1000 --plant flush
proof crash --format raw --count 2000
proof fault --format raw --count 500
echo "1..$n"
