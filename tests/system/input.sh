#!/bin/sh
# Keyboards and pointers as a guest sees them: input.py with Debian's kernel, its drivers and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
# The guest does what it is told on its console. ev NAME is that device's event file, wait_for NAME waits until there is
# one; record NAME keeps what it says in a file; heard NAME BYTES waits for so much of it, prints type, code and value of
# each event, and begins anew.
script 'stty -echo
ev() { for d in /sys/class/input/event*; do [ "$(cat $d/device/name)" != "$1" ] || echo /dev/input/${d##*/}; done; }
wait_for() { n=0; while [ -z "$(ev "$1")" ] && [ $n -lt 400 ]; do n=$((n + 1)); usleep 50000; done; [ -n "$(ev "$1")" ]; }
log() { e=$(ev "$1"); echo "/tmp/${e##*/}"; }
record() { f=$(log "$1"); exec 3<"$(ev "$1")" && echo 0 >"$f.at" && : >"$f" && { cat <&3 >>"$f" & exec 3<&-; }; }
heard() {
    f=$(log "$1") n=0
    at=$(cat "$f.at")
    while [ $(($(wc -c <"$f") - at)) -lt $2 ] && [ $n -lt 200 ]; do n=$((n + 1)); usleep 50000; done
    wc -c <"$f" >"$f.at"
    tail -c +$((at + 1)) "$f" | od -An -v -tu2 -w24 | while read -r a b c d e f g h type code low high; do
        echo "$type/$code/$(((low + high * 65536 + 2147483648) % 4294967296 - 2147483648))"
    done
}
echo READY
while read -r tag line; do eval "$line" 2>&1; echo "=$tag=$?="; done'
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp timeout -k 10 1500 \
    python3 "$top/tests/system/input.py"
