#!/bin/busybox sh
# busybox's udhcpc calls this with what a DHCP server told: addresses, routes and names of one adapter.
case $1 in
deconfig)
    ip -4 addr flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    [ -z "${mtu:-}" ] || ip link set "$interface" mtu "$mtu"
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" broadcast "${broadcast:-+}" dev "$interface"
    for r in ${router:-}; do
        ip route add default via "$r" dev "$interface"
        break
    done
    {
        [ -z "${search:-${domain:-}}" ] || echo "search ${search:-$domain}"
        for d in ${dns:-}; do echo "nameserver $d"; done
    } >/etc/resolv.conf
    [ -z "${hostname:-}" ] || hostname "$hostname"
    ;;
esac
