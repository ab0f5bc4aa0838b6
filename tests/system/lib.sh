# Shared by the system tests: TAP output, a guest made of Debian's kernel and busybox, and boots with a limit. Sourced.
top=$(cd "$(dirname "$0")/../.." && pwd)
guise=${GUISE:-$top/build/release/guise}
case $guise in /*) ;; *) guise=$top/$guise ;; esac
qemu=$(dirname "$guise")/qemu-system-riscv64
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
demo=$top/frontend/demo
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

start=$(date +%s)
ok() { # ok CODE NAME [FILE shown on failure]; with the seconds it took
    n=$((n + 1))
    echo "# $(($(date +%s) - start)) s"
    start=$(date +%s)
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
        return 0
    fi
    echo "not ok $n - $2"
    [ -z "${3:-}" ] || tail -n 15 "$3" | sed 's/^/# /'
    return 1
}

need_guest() {
    GUISE=$guise "$demo/demo.sh" fetch >"$tmp/fetch.log" 2>&1 && return
    ok 1 "Debian's kernel and busybox are fetched" "$tmp/fetch.log"
    echo "1..$n"
    exit 1
}

# need_packages NAME WHAT PACKAGE...: trixie's packages for riscv64, unpacked in $cache/NAME; WHAT is for people
need_packages() {
    packages=$cache/$1 what=$2
    shift 2
    mkdir -p "$cache"
    (
        flock 9
        [ ! -d "$packages" ] || exit 0
        rm -rf "$packages.new"
        mkdir -p "$packages.new"
        { "$demo/fetch.sh" "$packages.apt" trixie riscv64 update && "$demo/fetch.sh" "$packages.apt" trixie riscv64 download "$@" &&
            for p in "$packages.apt"/trixie-riscv64/packages/*.deb; do dpkg-deb -x "$p" "$packages.new" || exit 1; done &&
            rm -rf "$packages.apt" && mv "$packages.new" "$packages"; } >"$tmp/fetch.log" 2>&1
    ) 9>"$packages.lock" && return
    ok 1 "$what: fetched" "$tmp/fetch.log"
    echo "1..$n"
    exit 1
}

# need_netboot: Debian's installer for booting by network in $tftp, EDK2 in $edk2. It runs on the serial line alone: left to
# itself it also runs on tty1, and when one of the two reads dpkg's status while the other writes it, it crashes. What makes it
# run once is the word "auto", whatever its value (its reopen-console).
need_netboot() {
    need_packages installer "Debian's installer" debian-installer-13-netboot-riscv64 qemu-efi-riscv64
    tftp=$cache/installer/usr/lib/debian-installer/images/13/riscv64/text edk2=$cache/installer/usr/share/qemu-efi-riscv64
    sed -i 's|/linux --- quiet|/linux auto=false console=ttyS0 --- quiet|' "$tftp/debian-installer/riscv64/grub/grub.cfg"
}

# An X server of its own for windows, in DISPLAY; its process is $server.
need_xserver() {
    Xvfb -displayfd 3 -screen 0 1600x1000x24 -nolisten tcp 3>"$tmp/display" 2>"$tmp/xvfb.log" &
    server=$!
    trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
    for i in $(seq 200); do
        [ ! -s "$tmp/display" ] || break
        sleep 0.05
    done
    if [ ! -s "$tmp/display" ]; then
        ok 1 "a virtual X server starts" "$tmp/xvfb.log"
        echo "1..$n"
        exit 1
    fi
    DISPLAY=:$(cat "$tmp/display")
    export DISPLAY
}

# need_namespaces WHAT NAME...: network namespaces with their loopback up; they go at the end. WHAT is skipped where they are refused.
need_namespaces() {
    what=$1 made=
    shift
    trap 'for ns in $made; do ip netns del "$ns"; done; rm -rf "$tmp"' EXIT
    for ns; do
        why=$(ip netns add "$ns" 2>&1) || {
            echo "ok 1 - $what # SKIP network namespaces are refused here: $why"
            echo "1..1"
            exit 0
        }
        made="$made $ns"
        ip netns exec "$ns" ip link set lo up
    done
}

# script TEXT: an initial RAM disk that runs it, in $tmp/initrd
script() {
    echo "$1" >"$tmp/script"
    "$demo/initrd.sh" "$cache/unpacked" "$tmp/initrd" "$tmp/script"
}

# run LIMIT COMMAND...: output in $tmp/out, exit code as result; a kernel warning is a failure (99). LIMIT is in seconds
# of a machine with nothing else to do; one that has is given six times that.
run() {
    limit=$(($1 * 6))
    shift
    timeout -k 5 "$limit" "$@" >"$tmp/out" 2>&1 </dev/null
    code=$?
    grep -aE 'Kernel panic|WARNING: CPU|BUG:|rcu.*detected|Oops|soft lockup' "$tmp/out" >"$tmp/warnings" && code=99
    sed 's/^/the kernel warned: /' "$tmp/warnings" >>"$tmp/out"
    return $code
}

# A script for guests that do what lines on their console say, and say how that ended: guests.py.
line_guest='stty -echo; echo READY
while read -r tag line; do eval "$line" 2>&1; echo "=$tag=$?="; done'

# A script for guests that do what they are told on their console, and hear keys and pointers. ev NAME is that device's
# event file, wait_for NAME waits until there is one; record NAME keeps what it says in a file; heard NAME BYTES waits for
# so much of it, prints type, code and value of each event, and begins anew.
input_guest='ev() { for d in /sys/class/input/event*; do [ "$(cat $d/device/name)" != "$1" ] || echo /dev/input/${d##*/}; done; }
wait_for() { n=0; while [ -z "$(ev "$1")" ] && [ $n -lt 400 ]; do n=$((n + 1)); usleep 50000; done; [ -n "$(ev "$1")" ]; }
log() { e=$(ev "$1"); echo "/tmp/${e##*/}"; }
record() { f=$(log "$1"); exec 3<"$(ev "$1")" && echo 0 >"$f.at" && : >"$f" && { cat <&3 >>"$f" & exec 3<&-; }; }
heard() {
    f=$(log "$1") n=0
    at=$(cat "$f.at")
    while [ $(($(wc -c <"$f") - at)) -lt $2 ] && [ $n -lt 200 ]; do n=$((n + 1)); usleep 50000; done
    end=$(wc -c <"$f") # what comes from here on is for the next time
    echo "$end" >"$f.at"
    tail -c +$((at + 1)) "$f" | head -c $((end - at)) | od -An -v -tu2 -w24 | while read -r a b c d e f g h type code low high; do
        echo "$type/$code/$(((low + high * 65536 + 2147483648) % 4294967296 - 2147483648))"
    done
}
'$line_guest
