#!/bin/sh
# Consoles as tabs of the window, under a virtual X server: consoles.py with Debian's kernel and busybox.
. "$(dirname "$0")/lib.sh"
need_guest
script "$input_guest"
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
DISPLAY=:$(cat "$tmp/display") GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd DIR=$tmp \
    timeout -k 10 900 python3 "$top/tests/system/consoles.py"
