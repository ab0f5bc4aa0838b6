#!/bin/sh
# Power cuts and faults under an image, a sample: `make check-disks` runs many more (long.sh).
set -u
disk=${GUISE%/*}/tests/disk/disk
n=0
proof() {
    n=$((n + 1))
    "$disk" "$@" | sed "s/^ok - /ok $n - /; s/^not ok - /not ok $n - /"
}
# The proof is one only if it finds a host that loses a flush.
proof crash --format raw --count 1000 --plant flush
proof crash --format qcow2 --count 1000 --plant flush
proof crash --format vdi --count 1000 --plant flush
proof crash --format qcow2 --count 5000
proof crash --format raw --count 500
proof crash --format vdi --count 150
proof fault --format qcow2 --count 1500
proof fault --format raw --count 300
proof fault --format vdi --count 150
echo "1..$n"
