#!/bin/sh
# make bench-net: the guest's network through NAT, on guise and on QEMU 10 in turn: same kernel, RAM disk and far end, ratios
# of medians. NET_ROUNDS=3 NET_SECONDS=3 NET_CPUS=1 NET_DEVICES="virtio-net-pci virtio-net-device"
# The far end is tests/bench/net.c on this host's loopback, which is 10.0.2.2 to the guest. TCP in Mbit/s, small datagrams
# (64 bytes) and connections per second, round trips in microseconds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/rounds.sh"
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
top=$here/../..
out=$top/build/bench
guise=$(dirname "$GUISE")/qemu-system-riscv64
rounds=${NET_ROUNDS:-3} seconds=${NET_SECONDS:-3} cpus=${NET_CPUS:-1}
port=$((20000 + $$ % 10000))
mkdir -p "$out"
"$top/frontend/demo/demo.sh" fetch
qemu=$("$here/qemu.sh" "$cache")
tmp=$(mktemp -d)
server=
trap 'rm -rf "$tmp"; [ -z "$server" ] || kill "$server"' EXIT INT TERM
${CC:-gcc} -O2 -pthread -D_GNU_SOURCE -o "$tmp/net" "$here/net.c"
mkdir -p "$tmp/x/bin"
riscv64-linux-gnu-gcc -O2 -static -pthread -D_GNU_SOURCE -o "$tmp/x/bin/net" "$here/net.c"
echo "net 10.0.2.2 $port $seconds" >"$tmp/script" # the RAM disk's init has set up eth0 by DHCP
"$top/frontend/demo/initrd.sh" "$cache/unpacked" "$tmp/initrd" "$tmp/script"
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
"$tmp/net" $port &
server=$!

one() { # one WHO PROGRAM DEVICE: lines WHO DEVICE ROW VALUE
    rom=
    case $1-$3 in qemu-*-pci) rom=,romfile= ;; esac
    timeout 300 "$2" -M virt -m 512M -smp "$cpus" -nographic -no-reboot -kernel "$cache/vmlinuz" -initrd "$tmp/initrd" \
        -append "console=ttyS0 quiet" -global virtio-mmio.force-legacy=false -netdev user,id=n -device "$3,netdev=n$rom" \
        </dev/null 2>&1 | tr -d '\r' | sed -n "s/^NET /$1 $3 /p"
}

# shellcheck disable=SC2086
rounds "$out/net.rows" "$rounds" ${NET_DEVICES:-virtio-net-pci}
python3 "$here/medians.py" "$out/net.rows"
