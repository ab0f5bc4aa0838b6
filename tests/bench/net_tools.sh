#!/bin/sh
# The second part of make bench-net: the tools that others measure with. iperf3 in the guest against iperf3 on this host,
# both directions, TCP and datagrams of 64 bytes; wrk on this host against lighttpd in the guest, by a forward. The same guest on
# guise and on QEMU 10 in turn. NET_ROUNDS=3 NET_SECONDS=3 NET_CPUS=1 NET_DEVICES=virtio-net-pci
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
top=$here/../..
rounds=${NET_ROUNDS:-3} seconds=${NET_SECONDS:-3} cpus=${NET_CPUS:-1}
mkdir -p "$top/build/bench"
"$top/frontend/demo/demo.sh" fetch
"$top/tests/guest_root.sh" "$cache/net-root" iperf3 lighttpd
theirs=$("$here/qemu.sh" "$cache")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM

# A command for the guest a line; it says how each ended.
cat >"$tmp/script" <<'EOF'
mount -t devtmpfs dev /net/dev
mount -t proc proc /net/proc
stty -echo
echo READY
while read -r tag line; do eval "$line" 2>&1; echo "=$tag=$?="; done
EOF
mkdir -p "$tmp/x/net/www"
cp -a "$cache/net-root/." "$tmp/x/net"
head -c 612 /dev/zero >"$tmp/x/net/www/index.html" # the size of the page that web servers bring along
cat >"$tmp/x/net/lighttpd.conf" <<'EOF'
server.document-root = "/www"
server.port = 80
server.max-keep-alive-requests = 65535
index-file.names = ("index.html")
EOF
"$top/frontend/demo/initrd.sh" "$cache/unpacked" "$tmp/initrd" "$tmp/script"
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
GUISE=$GUISE QEMU=$(dirname "$GUISE")/qemu-system-riscv64 THEIRS=$theirs KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    PYTHONPATH=$top/tests/system python3 "$here/net_tools.py" "$rounds" "$seconds" "$cpus" "${NET_DEVICES:-virtio-net-pci}" |
    tee "$top/build/bench/net_tools.txt"
