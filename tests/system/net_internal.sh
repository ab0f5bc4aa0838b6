#!/bin/sh
# Named networks end to end: net_internal.py with Debian's kernel and busybox, in network namespaces made here.
#
#   a, b, c: each with v0, 10.8.1.1, 10.8.2.1, 10.8.3.1 - the way out to r: v1, v2, v3, 10.8.N.254, a router
. "$(dirname "$0")/lib.sh"
id=$$
names="guise-a$id guise-b$id guise-c$id guise-r$id"
made=
finish() {
    for ns in $made; do ip netns del "$ns"; done
    rm -rf "$tmp"
}
trap finish EXIT
for ns in $names; do
    why=$(ip netns add "$ns" 2>&1) || {
        echo "ok 1 - named networks in namespaces # SKIP network namespaces are refused here: $why"
        echo "1..1"
        exit 0
    }
    made="$made $ns"
    ip netns exec "$ns" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null
    ip netns exec "$ns" ip link set lo up
done
r=guise-r$id i=0
for ns in guise-a$id guise-b$id guise-c$id; do
    i=$((i + 1))
    ip netns exec "$ns" ip link add v0 type veth peer name "v$i" netns "$r"
    ip netns exec "$ns" ip addr add "10.8.$i.1/24" dev v0
    ip netns exec "$r" ip addr add "10.8.$i.254/24" dev "v$i"
    ip netns exec "$ns" ip link set v0 up
    ip netns exec "$r" ip link set "v$i" up
    ip netns exec "$ns" ip route add default via "10.8.$i.254"
done
need_guest
# The guest does what it is told on its console, and says how that ended.
script 'stty -echo; echo READY
while read -r tag line; do eval "$line" 2>&1; echo "=$tag=$?="; done'
NS=$names GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1500 python3 "$top/tests/system/net_internal.py"
