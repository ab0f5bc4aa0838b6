#!/bin/sh
# Random sequences of operations, ours and QEMU's on the same images, a sample: `make check-disks` runs 10,000.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
case $GUISE in /*) ;; *) GUISE=$top/$GUISE ;; esac
GUISE_IMG=$GUISE "${GUISE%/*}/tests/disk/disk" random --count "${COUNT:-120}" --seed "${SEED:-1}" | sed 's/ok - /ok 1 - /'
echo "1..1"
