#!/bin/bash
# The disk proofs in full: make check-disks. Hours on a slow machine; SEED= takes other seeds, each count can be given.
#   STATES=100000 SEQUENCES=10000 FAULTS=100000 KILLS=100
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
GUISE=${GUISE:-$top/build/release/guise}
case $GUISE in /*) ;; *) GUISE=$top/$GUISE ;; esac
export GUISE GUISE_IMG=$GUISE
disk=${GUISE%/*}/tests/disk/disk
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
seed=${SEED:-1} bad=0
part() {
    echo "== $*"
    "$@" || bad=1
}
part "$disk" crash --format qcow2 --seed "$seed" --count "${STATES:-100000}"
part "$disk" crash --format vdi --seed "$seed" --count $((${STATES:-100000} / 50))
part "$disk" crash --format raw --seed "$seed" --count $((${STATES:-100000} / 10))
part "$disk" fault --format qcow2 --seed "$seed" --count "${FAULTS:-100000}"
part "$disk" fault --format vdi --seed "$seed" --count $((${FAULTS:-100000} / 50))
part "$disk" fault --format raw --seed "$seed" --count $((${FAULTS:-100000} / 10))
part "$disk" random --seed "$seed" --count "${SEQUENCES:-10000}"
part "$top/tests/guest_root.sh" "$cache/fio-root" fio
FIO_ROOT=$cache/fio-root part "$top/tests/disk/kill.sh" "${KILLS:-100}" "$seed"
[ $bad = 0 ] && echo "all disk proofs hold" || echo "a disk proof failed"
exit $bad
