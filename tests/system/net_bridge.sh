#!/bin/sh
# A guest on the network of an adapter of this host: net_bridge.py, in network namespaces made here.
#
#   far: dnsmasq and a web server on v1, 10.9.0.1 - veth - near: v0 with the machines on it, by libpcap; later v0 is a
#   port of br0, with the machines' taps beside it
. "$(dirname "$0")/lib.sh"
near=guise-n$$ far=guise-f$$
made=
finish() {
    for ns in $made; do ip netns del "$ns"; done
    rm -rf "$tmp"
}
trap finish EXIT
for ns in $near $far; do
    why=$(ip netns add "$ns" 2>&1) || {
        echo "ok 1 - guests on an adapter's network # SKIP network namespaces are refused here: $why"
        echo "1..1"
        exit 0
    }
    made="$made $ns"
    ip netns exec "$ns" ip link set lo up
done
ip netns exec "$near" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' # has nothing to say by itself
ip netns exec "$near" ip link add v0 type veth peer name v1 netns "$far"
ip netns exec "$near" ip link set v0 up
ip netns exec "$far" ip addr add 10.9.0.1/24 dev v1
ip netns exec "$far" ip addr add fd09::1/64 dev v1 nodad
ip netns exec "$far" ip link set v1 up
need_guest
script 'stty -echo; echo READY
while read -r tag line; do eval "$line" 2>&1; echo "=$tag=$?="; done'
NEAR=$near FAR=$far GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 1000 python3 "$top/tests/system/net_bridge.py"
