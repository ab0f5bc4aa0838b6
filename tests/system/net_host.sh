#!/bin/sh
# Ports that end on adapters and taps of the host, between kernels' network stacks in namespaces made here.
#
#   guest namespace        near namespace                        far namespace
#   tap g0 10.9.0.2   <-   [ port - cable - port ]  v0 or br0 - veth - v1 10.9.0.1
#
# What is in brackets is tests/net/joint. The guest's stack is behind a tap, so segments and checksums are left undone on
# both sides.
top=$(cd "$(dirname "$0")/../.." && pwd)
joint=${GUISE:-$top/build/release/guise}
joint=$(dirname "$joint")/tests/net/joint
case $joint in /*) ;; *) joint=$top/$joint ;; esac
py="python3 $top/tests/system/net_host.py"
tmp=$(mktemp -d)
near=guise-n$$ far=guise-f$$ guest=guise-g$$
n=0

ok() { # ok CODE NAME [FILE shown on failure]
    n=$((n + 1))
    [ "$1" != 0 ] || { echo "ok $n - $2" && return; }
    echo "not ok $n - $2"
    [ -z "${3:-}" ] || tail -n 15 "$3" | sed 's/^/# /'
}

why=$(ip netns add "$near" 2>&1 && ip netns add "$far" 2>&1 && ip netns add "$guest" 2>&1) || {
    ip netns del "$near" 2>/dev/null
    ip netns del "$far" 2>/dev/null
    echo "ok 1 - ports on adapters of the host # SKIP network namespaces are refused here: $why"
    echo "1..1"
    exit 0
}
server='' joined='' passt=''
finish() {
    [ -z "$joined" ] || kill "$joined" 2>/dev/null
    [ -z "$server" ] || kill "$server" 2>/dev/null
    [ -z "$passt" ] || kill "$passt" 2>/dev/null
    for ns in "$near" "$far" "$guest"; do ip netns del "$ns"; done
    rm -rf "$tmp"
}
trap finish EXIT
in_near() { ip netns exec "$near" "$@"; }
in_far() { ip netns exec "$far" "$@"; }
in_guest() { ip netns exec "$guest" "$@"; }

make_veth() {
    in_near ip link add v0 type veth peer name v1 address 02:00:00:00:00:01 netns "$far" # the guest knows its address
    in_far ip addr add 10.9.0.1/24 dev v1
    in_far ip addr add fd09::1/64 dev v1 nodad
    in_far ip link set v1 up
    in_near ip link set v0 up
}

# join PORT [MAC]: the guest's tap to PORT; standard input of the joint stays open on descriptor 9
join() {
    rm -f "$tmp/in"
    mkfifo "$tmp/in"
    in_near "$joint" "$1" tap:g0 <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
    joined=$!
    exec 9>"$tmp/in"
    for i in $(seq 100); do
        grep -q '^joined' "$tmp/out" && break
        kill -0 $joined 2>/dev/null || return 1
        sleep 0.1
    done
    [ -z "${2:-}" ] || in_near ip link set g0 address "$2"
    in_near ip link set g0 netns "$guest"
    in_guest ip addr add 10.9.0.2/24 dev g0
    in_guest ip addr add fd09::2/64 dev g0 nodad
    in_guest ip link set g0 up
}

leave() {
    exec 9>&-
    wait $joined
    code=$?
    joined=
    return $code
}

# received: how many frames the first port has had from outside
received() {
    before=$(grep -c '^\.$' "$tmp/out")
    echo >&9
    for i in $(seq 100); do
        [ "$(grep -c '^\.$' "$tmp/out")" -gt "$before" ] && break
        sleep 0.1
    done
    sed -n 's/^\(bridge\|tap\) [^g].* \([0-9]*\) frames received.*/\2/p' "$tmp/out" | tail -n 1
}

# traffic WHAT: the guest and the far side exchange all kinds of things
traffic() {
    in_guest ping -c 3 -i 0.2 -W 2 10.9.0.1 >"$tmp/ping" 2>&1
    ok $? "$1: ping" "$tmp/ping"
    in_guest ping -c 3 -i 0.2 -W 2 fd09::1 >"$tmp/ping" 2>&1
    ok $? "$1: ping by IPv6" "$tmp/ping"
    in_guest $py try 10.9.0.1 "${2:-20}" >"$tmp/try" 2>&1
    ok $? "$1: TCP both ways, datagrams of all sizes" "$tmp/try"
    in_guest $py try fd09::1 "${2:-20}" >"$tmp/try" 2>&1
    ok $? "$1: the same by IPv6" "$tmp/try"
}

serve() {
    rm -f "$tmp/serve"
    mkfifo "$tmp/serve.in" 2>/dev/null
    in_far $py serve <"$tmp/serve.in" >"$tmp/serve" 2>&1 &
    server=$!
    exec 8>"$tmp/serve.in"
    for i in $(seq 100); do
        grep -q ready "$tmp/serve" && break
        sleep 0.1
    done
}

in_near sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' # the taps are quiet until the guest has them
make_veth
serve

join pcap:v0
ok $? "bridge:v0 by libpcap opens" "$tmp/err"
grep -q '^limits: the host itself and the guest do not reach each other over v0' "$tmp/err"
ok $? "and says what cannot work" "$tmp/err"
traffic "bridge by libpcap"

# The kernel's filter: what is for others does not reach the port, what is for the guest and for groups does.
mac=$(in_guest cat /sys/class/net/g0/address)
a=$(received)
in_far $py frames v1 02:00:00:00:00:99 500
in_far $py frames v1 01:00:5e:00:00:05 20
in_far $py frames v1 "$mac" 30
for i in $(seq 50); do
    b=$(received)
    [ $((b - a)) -lt 50 ] || break
    sleep 0.1
done
[ $((b - a)) -ge 50 ] && [ $((b - a)) -lt 100 ]
ok $? "frames for others are filtered by the kernel ($((b - a)) frames of 550 seen, 50 for the guest and groups)"
in_guest ping -f -c 2000 -W 2 10.9.0.1 >"$tmp/ping" 2>&1
ok $? "a flood of pings is answered" "$tmp/ping"

# The adapter goes away and another of its name comes.
in_near ip link del v0
make_veth
for i in $(seq 50); do
    in_guest ping -c 1 -W 1 10.9.0.1 >"$tmp/ping" 2>&1 && break
done
in_guest ping -c 3 -W 5 10.9.0.1 >"$tmp/ping" 2>&1
back=$?
cat "$tmp/err" >>"$tmp/ping"; ip -n "$near" -s link show v0 >>"$tmp/ping"
ok $back "an adapter that went away is used again when it is back" "$tmp/ping"
leave
ok $? "and all ends well" "$tmp/err"

# Promiscuous mode, in which every frame on the wire costs the host time: only while a guest's address calls for it.
promiscuous() { in_near ip -d link show v0 | sed -n 's/.*promiscuity \([0-9]*\).*/\1/p'; }
[ "$(promiscuous)" = 0 ] && join pcap:v0 && in_guest ping -c 1 -W 2 10.9.0.1 >"$tmp/ping" 2>&1 && [ "$(promiscuous)" = 1 ]
ok $? "an adapter that cannot filter is promiscuous for a guest's address" "$tmp/ping"
leave
join pcap:v0 "$(in_near cat /sys/class/net/v0/address)" && in_guest ping -c 1 -W 2 10.9.0.1 >"$tmp/ping" 2>&1 && [ "$(promiscuous)" = 0 ]
ok $? "and is not for a guest that uses the adapter's own" "$tmp/ping"
leave

in_near ip link add br0 type bridge
in_near ip link set br0 up
in_near ip link set v0 master br0
join tap:t1,br0
ok $? "a tap joins a bridge" "$tmp/err"
grep -q 'on bridge br0' "$tmp/out" || received >/dev/null
grep -q 'tap t1: with offloads, on bridge br0' "$tmp/out"
ok $? "with offloads" "$tmp/out"
traffic "tap on a bridge" 100
leave
in_near test ! -e /sys/class/net/t1
ok $? "the tap is gone with its port"

join "helper:$py helper,br0"
ok $? "a helper hands over a tap" "$tmp/err"
in_guest $py try 10.9.0.1 5 >"$tmp/try" 2>&1
ok $? "and it works" "$tmp/try"
leave

# passt, a NAT of others, over its unix socket: its gateway's address stands for the far side's loopback.
in_far ip link set lo up
in_far ip route add default via 10.9.0.254
in_far passt -f -i v1 -4 -a 10.9.0.2 -g 10.9.0.254 -s "$tmp/passt" --runas 0 >"$tmp/passt.log" 2>&1 &
passt=$!
join "stream:$tmp/passt" && in_guest ip route add default via 10.9.0.254
in_guest $py tcp 10.9.0.254 10 >"$tmp/try" 2>&1
ok $? "passt's socket: TCP both ways" "$tmp/try"
leave
kill $passt 2>/dev/null
passt=

in_near "$joint" "helper:/bin/false,br0" tap:g0 </dev/null >/dev/null 2>"$tmp/err"
grep -q 'joint: helper /bin/false: it sent no tap and ended with code 1' "$tmp/err"
ok $? "a helper that does not is told" "$tmp/err"
in_near "$joint" pcap:nothing tap:g0 </dev/null >/dev/null 2>"$tmp/err"
grep -q 'bridge:nothing: there is no such adapter' "$tmp/err"
ok $? "an adapter that is not there is told" "$tmp/err"
in_near "$joint" tap:t1,nobr tap:g0 </dev/null >/dev/null 2>"$tmp/err"
grep -q 'there is no bridge nobr' "$tmp/err"
ok $? "a bridge that is not there is told" "$tmp/err"

# Without privilege: what is lacking, and what would give it.
cp "$joint" "$tmp/joint"
chmod 755 "$tmp" "$tmp/joint"
as_nobody() { in_near setpriv --reuid 65534 --regid 65534 --clear-groups "$tmp/joint" "$@" </dev/null; }
as_nobody pcap:v0 tap:g0 >/dev/null 2>"$tmp/err"
grep -q 'this user may not open v0: that takes CAP_NET_RAW' "$tmp/err"
ok $? "a user without rights is told what libpcap takes" "$tmp/err"
as_nobody tap:t1 tap:g0 >/dev/null 2>"$tmp/err"
grep -Eq 'CAP_NET_ADMIN|/dev/net/tun: Permission denied' "$tmp/err"
ok $? "and what a tap takes" "$tmp/err"
in_near ip tuntap add dev t2 mode tap user 65534
in_near ip link set t2 up
as_nobody tap:t2 stream:/nowhere >"$tmp/list" 2>"$tmp/err"
case $(stat -c %a /dev/net/tun) in
*6) grep -q '^joined' "$tmp/list" ;;
*) grep -q '/dev/net/tun: Permission denied' "$tmp/err" ;; # udev's rule, 0666, is not in force here
esac
ok $? "a tap made for this user is its own, where the device may be opened" "$tmp/err"

in_near "$joint" json >"$tmp/list" && python3 - "$tmp/list" <<'END'
import json, sys
l = json.load(open(sys.argv[1]))
a = {x['name']: x for x in l['adapters']}
assert l['pcap'] == l['make_tap'] == 'yes', l
assert a['v0']['kind'] == 'veth' and a['v0']['pcap'] == 'yes' and a['v0']['master'] == 'br0', a['v0']
assert 'bridge:br0 is the better choice' in a['v0']['limits'], a['v0']
assert a['br0']['kind'] == 'bridge' and a['br0']['bridge'] == 'yes', a['br0']
assert a['t2']['kind'] == 'tap' and a['t2']['tap'] == 'yes', a['t2']
assert a['lo']['kind'] == 'loopback' and a['lo']['pcap'].startswith('no: '), a['lo']
END
ok $? "the list of adapters says what may be done on each" "$tmp/list"
as_nobody list >"$tmp/list"
grep -q 'bridge:v0 by libpcap: no: needs CAP_NET_RAW' "$tmp/list" && grep -q 'this user may make taps: no: ' "$tmp/list"
ok $? "and why not" "$tmp/list"

echo "1..$n"
