#!/bin/sh
# Install the Debian packages that are missing for the groups named: build, test, demo, debian, bench, fuzz.
# As root or through sudo; without either it says what it would install and fails.
set -eu

list() {
    case $1 in
    build) echo "gcc make libc6-dev libcapstone-dev libffi-dev libfdt-dev libjansson-dev libzstd-dev zlib1g-dev libdeflate-dev liblzma-dev liburing-dev libpcap-dev libpng-dev" \
        "libsdl2-dev libfreetype-dev libfontconfig-dev fonts-dejavu-core" ;;
    test) echo "libcmocka-dev libmpfr-dev libgmp-dev libvterm-dev gcc-riscv64-linux-gnu libc6-dev-riscv64-cross binutils-riscv64-linux-gnu" \
        "iproute2 iputils-ping dnsmasq-base passt python3 time e2fsprogs fdisk qemu-utils xz-utils zstd mandoc bsdextrautils zsh" \
        "xvfb xdotool x11-xkb-utils" ;;
    demo) echo "cpio kmod xz-utils debian-archive-keyring ca-certificates" ;;
    bench) echo "iperf3 wrk" ;;
    debian) echo "debootstrap fakeroot e2fsprogs" ;;
    fuzz) echo "clang" ;;
    *) echo "packages.sh: no group $1" >&2; exit 1 ;;
    esac
}

missing=
for group in "$@"; do
    for p in $(list "$group"); do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $p"
    done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "guise: this system has no apt; please install what these Debian packages hold:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null && ! [ -t 0 ]; then
        echo "guise: missing packages; as root, run: apt-get install$missing" >&2
        exit 1
    fi
fi
echo "guise: installing$missing" >&2
install() { DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends "$@" >&2; }
# shellcheck disable=SC2086
install $missing || { $as_root apt-get update >&2 && install $missing; } || {
    echo "guise: could not install:$missing" >&2
    exit 1
}
