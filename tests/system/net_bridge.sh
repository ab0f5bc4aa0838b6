#!/bin/sh
# A guest on the network of an adapter of this host: net_bridge.py, in network namespaces made here.
#
#   far: dnsmasq and a web server on v1, 10.9.0.1 - veth - near: v0 with the machines on it, by libpcap; later v0 is a
#   port of br0, with the machines' taps beside it
. "$(dirname "$0")/lib.sh"
near=guise-n$$ far=guise-f$$
need_namespaces "guests on an adapter's network" "$near" "$far"
ip netns exec "$near" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' # has nothing to say by itself
ip netns exec "$near" ip link add v0 type veth peer name v1 netns "$far"
ip netns exec "$near" ip link set v0 up
ip netns exec "$far" ip addr add 10.9.0.1/24 dev v1
ip netns exec "$far" ip addr add fd09::1/64 dev v1 nodad
ip netns exec "$far" ip link set v1 up
need_guest
script "$line_guest"
NEAR=$near FAR=$far GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1000 python3 "$top/tests/system/net_bridge.py"
