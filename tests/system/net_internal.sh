#!/bin/sh
# Named networks end to end: net_internal.py with Debian's kernel and busybox, in network namespaces made here.
#
#   a, b, c: each with v0, 10.8.1.1, 10.8.2.1, 10.8.3.1 - the way out to r: v1, v2, v3, 10.8.N.254, a router
. "$(dirname "$0")/lib.sh"
id=$$
names="guise-a$id guise-b$id guise-c$id guise-r$id"
# shellcheck disable=SC2086
need_namespaces "named networks in namespaces" $names
for ns in $names; do
    ip netns exec "$ns" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; echo 1 >/proc/sys/net/ipv4/ip_forward' 2>/dev/null
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
script "$line_guest"
NS=$names GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1500 python3 "$top/tests/system/net_internal.py"
