#!/bin/sh
# Debian 13 from its own disk: to a login, a few commands as root, poweroff. TAP.
#   COUNT= boots in a row on jit with 1, 2 and 4 vCPUs each (20), CPUS= other numbers of vCPUs, OTHERS="8:jit 1:interp 1:ir" once each
# The disk is that of `make demo GUEST=debian` and is not changed. It counts as failed: no login or no shell in time, a
# kernel warning, a systemd unit that failed, no clean power down, a wrong exit code.
. "$(dirname "$0")/../system/lib.sh"
need_guest
disk=$cache/debian.img
if [ ! -f "$disk" ] && ! GUISE=$guise GUEST=debian "$demo/demo.sh" disk >"$tmp/out" 2>&1; then
    ok 1 "a Debian disk is made" "$tmp/out"
    echo "1..$n"
    exit 1
fi

say() { printf '%s\r' "$*" >&3; }
shown() { # shown TEXT [TIMES]: wait until the console has shown it so often
    while kill -0 "$pid" 2>/dev/null; do
        [ "$(grep -aoF -e "$1" "$tmp/out" | wc -l)" -lt "${2:-1}" ] || return 0
        sleep 0.5
    done
    return 1
}

# The password is sent late: PAM throws away what was typed before its prompt.
session() {
    shown 'guise login:' && say root && shown 'Password:' && sleep 2 && say guise && shown 'root@guise:~#' &&
        say 'export SYSTEMD_COLORS=0; uname -a; nproc; systemctl --failed --no-pager; gcc --version | head -n 1; echo "THE"" END"' &&
        shown 'THE END' && say poweroff
}

# On a slow engine or a loaded host 90 s are not enough for every device and unit.
line="console=ttyS0 root=/dev/vda systemd.default_device_timeout_sec=1200 systemd.default_timeout_start_sec=1200"

boot() { # boot CPUS ENGINE BUS NAME
    rm -f "$tmp/in" "$tmp/out"
    mkfifo "$tmp/in"
    : >"$tmp/out"
    timeout -k 5 "${LIMIT:-1800}" "$guise" run "$cache/vmlinuz" --initrd "$cache/initrd" --append "$line" \
        --cpus "$1" --engine "$2" --memory 1G --snapshot --disk "$disk,bus=$3" <"$tmp/in" >"$tmp/out" 2>&1 &
    pid=$!
    exec 3>"$tmp/in"
    session
    wait $pid
    code=$?
    exec 3>&-
    ! grep -aqE 'Kernel panic|WARNING: CPU|BUG:|rcu.*detected|Oops|soft lockup|blocked for more|nobody cared' "$tmp/out" || code=99
    [ $code != 0 ] || { grep -aq 'THE END' "$tmp/out" && grep -aq '0 loaded units listed' "$tmp/out" &&
        grep -aq '^gcc (Debian' "$tmp/out" && grep -aq 'Power down' "$tmp/out"; } || code=98
    [ $code = 0 ] || cp "$tmp/out" "${LOGS:-$tmp}/debian-$1-$2-$((n + 1)).log"
    ok $code "$4" "$tmp/out"
}

i=0
while [ $i -lt "${COUNT:-20}" ]; do
    i=$((i + 1))
    bus=mmio
    [ $((i % 2)) = 1 ] || bus=pci
    for c in ${CPUS:-1 2 4}; do boot "$c" jit $bus "jit, $c vCPUs, virtio-$bus, boot $i"; done
done
for o in ${OTHERS-8:jit 1:interp 1:ir}; do boot "${o%:*}" "${o#*:}" mmio "${o#*:}, ${o%:*} vCPUs"; done
echo "1..$n"
