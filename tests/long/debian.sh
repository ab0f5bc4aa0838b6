#!/bin/sh
# Debian 13 from its own disk: to a login, a few commands as root, poweroff. TAP.
#   FIRMWARE=no: without OpenSBI and U-Boot
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
line="console=ttyS0 root=LABEL=guise systemd.default_device_timeout_sec=1200 systemd.default_timeout_start_sec=1200"

boot() { # boot CPUS ENGINE BUS NAME [ARGS...]: ARGS say what is started instead of the kernel
    cpus=$1 engine=$2 bus=$3 name=$4
    shift 4
    [ $# -gt 0 ] || set -- "$cache/vmlinuz" --initrd "$cache/initrd" --append "$line"
    rm -f "$tmp/in" "$tmp/out"
    mkfifo "$tmp/in"
    : >"$tmp/out"
    timeout -k 5 "${LIMIT:-1800}" "$guise" run "$@" \
        --cpus "$cpus" --engine "$engine" --memory 1G --snapshot --disk "$disk,bus=$bus" <"$tmp/in" >"$tmp/out" 2>&1 &
    pid=$!
    exec 3>"$tmp/in"
    session
    wait $pid
    code=$?
    exec 3>&-
    ! grep -aqE 'Kernel panic|WARNING: CPU|BUG:|rcu.*detected|Oops|soft lockup|blocked for more|nobody cared' "$tmp/out" || code=99
    [ $code != 0 ] || { grep -aq 'THE END' "$tmp/out" && grep -aq '0 loaded units listed' "$tmp/out" &&
        grep -aq '^gcc (Debian' "$tmp/out" && grep -aq 'Power down' "$tmp/out"; } || code=98
    [ $code = 0 ] || cp "$tmp/out" "${LOGS:-$tmp}/debian-$cpus-$engine-$((n + 1)).log"
    ok $code "$name" "$tmp/out"
}

i=0
while [ $i -lt "${COUNT:-20}" ]; do
    i=$((i + 1))
    on=mmio
    [ $((i % 2)) = 1 ] || on=pci
    for c in ${CPUS:-1 2 4}; do boot "$c" jit $on "jit, $c vCPUs, virtio-$on, boot $i"; done
done

# Firmware from Debian's packages: OpenSBI starts the kernel; U-Boot on it finds the kernel on the disk.
opensbi=$cache/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic uboot=$cache/unpacked/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin
if [ "${FIRMWARE:-yes}" = yes ]; then
    boot 2 jit mmio "OpenSBI, 2 vCPUs" "$cache/vmlinuz" --initrd "$cache/initrd" --append "$line" --bios "$opensbi/fw_dynamic.bin"
    boot 2 jit pci "U-Boot on OpenSBI, 2 vCPUs" --bios "$opensbi/fw_dynamic.bin" --kernel "$uboot"
    boot 1 jit mmio "U-Boot on the built-in firmware" --kernel "$uboot"
fi
for o in ${OTHERS-8:jit 1:interp 1:ir}; do boot "${o%:*}" "${o#*:}" mmio "${o#*:}, ${o%:*} vCPUs"; done
echo "1..$n"
