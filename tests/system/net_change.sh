#!/bin/sh
# What a laptop does to a guest behind NAT: it sleeps, its network changes, its resolver changes. net_change.py, in network
# namespaces made here.
#
#   near: guise; v0 10.9.1.2, later v2 10.9.2.2 - two veths - far: v1 10.9.1.1, v3 10.9.2.1, a name server on each, and servers
#   on 10.99.0.1, which both lead to
. "$(dirname "$0")/lib.sh"
near=guise-n$$ far=guise-f$$
need_namespaces "a host that sleeps and moves" "$near" "$far"
for n in 1 2; do
    ip netns exec "$near" ip link add "v$((n * 2 - 2))" type veth peer name "v$((n * 2 - 1))" netns "$far"
    ip netns exec "$far" ip addr add "10.9.$n.1/24" dev "v$((n * 2 - 1))"
    ip netns exec "$far" ip link set "v$((n * 2 - 1))" up
done
ip netns exec "$far" ip addr add 10.99.0.1/32 dev lo
# A connection whose packets are not answered ends after seconds instead of a quarter of an hour.
ip netns exec "$near" sh -c 'echo 4 >/proc/sys/net/ipv4/tcp_retries2'
need_guest
script "$line_guest"
NEAR=$near FAR=$far GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1000 python3 "$top/tests/system/net_change.py"
