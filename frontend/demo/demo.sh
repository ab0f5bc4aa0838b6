#!/bin/sh
# The demo: fetch a Debian 13 riscv64 guest with the machine's own apt, then boot it.
#   GUISE=path of guise, GUEST= (kernel and busybox) | debian (a full system) | builtin, SCRIPT= commands to run instead of a shell,
#   GUISE_CACHE= where downloads are kept, GUISE_MIRROR= a Debian mirror, GUISE_ARGS= more options for guise,
#   DISPLAY_MODE=window: the guest's screen, keyboard and pointer in a window, its console and the monitor in tabs
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
guise=${GUISE:-$top/build/release/guise}
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
pk=$cache/trixie-riscv64/packages
say() { echo "guise: $*" >&2; }

builtin_guest() {
    say "booting the small built-in guest"
    # shellcheck disable=SC2086
    exec "$guise" run "$top/tests/guest/teach.elf" ${GUISE_ARGS:-}
}

# fetch_guest: packages into the cache, unpacked, kernel and RAM disk made. Everything is written beside and renamed last.
fetch_guest() {
    mkdir -p "$cache"
    say "fetching a Debian 13 riscv64 kernel and busybox (115 MB, once; kept in $cache)"
    "$here/fetch.sh" "$cache" trixie riscv64 update >&2 || return 1
    kernel=$("$here/fetch.sh" "$cache" trixie riscv64 depends linux-image-riscv64 | head -n 1)
    [ -n "$kernel" ] || return 1
    "$here/fetch.sh" "$cache" trixie riscv64 download "$kernel" busybox-static opensbi u-boot-qemu >&2 || return 1
    say "unpacking"
    rm -rf "$cache/unpacked.new"
    mkdir "$cache/unpacked.new"
    for p in "$pk"/*.deb; do dpkg-deb -x "$p" "$cache/unpacked.new"; done
    "$here/initrd.sh" "$cache/unpacked.new" "$cache/initrd"
    cp "$cache/unpacked.new"/boot/vmlinu[xz]-* "$cache/vmlinuz"
    rm -rf "$cache/unpacked" "$pk"
    mv "$cache/unpacked.new" "$cache/unpacked"
}

[ "${GUEST:-}" != builtin ] || builtin_guest
if [ ! -d "$cache/unpacked" ] && ! fetch_guest; then
    say "no guest in $cache and Debian's packages cannot be fetched here"
    [ -z "${SCRIPT:-}" ] || exit 1
    builtin_guest
fi
# A RAM disk made by an older init.sh is made again.
for f in init.sh initrd.sh udhcpc.sh; do
    [ "$cache/initrd" -nt "$here/$f" ] || "$here/initrd.sh" "$cache/unpacked" "$cache/initrd"
done
[ "${1:-}" != fetch ] || exit 0

cpus=${CPUS:-2} memory=${MEMORY:-1G}
window= tty=
case ${DISPLAY_MODE:-} in
"" | none) ;;
window)
    window="--window --name demo" tty=" console=tty0"
    say "the guest is in the window: Ctrl-Alt-M there is the menu; closing it ends the emulator"
    ;;
*)
    say "DISPLAY_MODE=$DISPLAY_MODE: there are window and none"
    exit 1
    ;;
esac
boot() { # boot INITRD DISK APPEND
    # shellcheck disable=SC2086
    "$guise" run "$cache/vmlinuz" --initrd "$1" --append "console=ttyS0$tty $3" --disk "$2" --cpus "$cpus" --memory "$memory" $window ${GUISE_ARGS:-}
}

script_initrd() {
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    echo "$SCRIPT" >"$tmp/script"
    "$here/initrd.sh" "$cache/unpacked" "$tmp/initrd" "$tmp/script"
}

case ${GUEST:-} in
debian)
    version=2 # of what debian.sh makes
    if [ ! -f "$cache/debian.img" ] || [ "$(cat "$cache/debian.version" 2>/dev/null)" != $version ] || [ "${1:-}" = rebuild ]; then
        "$top/tests/packages.sh" debian
        cat >"$cache/configure.sh" <<EOF
#!/bin/sh
exec "$guise" run "$cache/vmlinuz" --initrd "$cache/initrd" --append "console=ttyS0 quiet panic=-1 root=LABEL=guise init=/guise-setup" --no-reboot --disk "\$1" --cpus 1 --memory 2G </dev/null
EOF
        "$here/debian.sh" "$cache" "$cache/unpacked" "$cache/debian.img" 6G sh "$cache/configure.sh"
        echo $version >"$cache/debian.version"
    fi
    [ "${1:-}" != disk ] || exit 0
    if [ -n "${SCRIPT:-}" ]; then
        script_initrd
        boot "$tmp/initrd" "$cache/debian.img" "quiet root=LABEL=guise" </dev/null
        exit
    fi
    say "log in as root, password guise; the network is up; Ctrl-A x ends the emulator"
    boot "$cache/initrd" "$cache/debian.img" "root=LABEL=guise"
    ;;
"")
    [ -f "$cache/disk.img" ] || truncate -s 256M "$cache/disk.img"
    if [ -n "${SCRIPT:-}" ]; then
        script_initrd
        boot "$tmp/initrd" "$cache/disk.img" quiet </dev/null
    else
        boot "$cache/initrd" "$cache/disk.img" quiet
    fi
    ;;
*)
    say "GUEST=$GUEST: the guests are '' (kernel and busybox), debian and builtin"
    exit 1
    ;;
esac
