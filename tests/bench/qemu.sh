#!/bin/sh
# Print the path of a qemu-system-riscv64 of version 10 or newer: the installed one, or Debian's bookworm-backports
# packages unpacked into the cache (its libraries are installed from the machine's own suite).
#   qemu.sh CACHE [window]    window: with its screens and its SDL window, which are packages of their own
set -eu
cache=$1 window=${2:-}
fetch=$(cd "$(dirname "$0")/../../frontend/demo" && pwd)/fetch.sh
ver() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'; }
for q in $(command -v qemu-system-riscv64 || true) "$cache/qemu/qemu-system-riscv64"; do
    v=$(ver "$q")
    [ -n "$v" ] && [ "$v" -ge 10 ] || continue
    [ -z "$window" ] || "$q" -display help 2>/dev/null | grep -qx sdl && "$q" -device virtio-gpu-pci,help >/dev/null 2>&1 || continue
    echo "$q"
    exit 0
done
arch=$(dpkg --print-architecture)
"$fetch" "$cache" bookworm-backports "$arch" update >&2
"$fetch" "$cache" bookworm-backports "$arch" download qemu-system-riscv qemu-system-data qemu-system-common \
    ${window:+qemu-system-gui qemu-system-modules-opengl} >&2
"$fetch" "$cache" trixie riscv64 update >&2
"$fetch" "$cache" trixie riscv64 download opensbi >&2 # what it boots with
mkdir -p "$cache/qemu"
dpkg-deb -x "$(ls "$cache"/trixie-riscv64/packages/opensbi_*.deb | tail -n 1)" "$cache/qemu"
libs=
for p in "$cache/bookworm-backports-$arch/packages"/*.deb; do
    dpkg-deb -x "$p" "$cache/qemu"
    libs="$libs $(dpkg-deb -f "$p" Depends | tr ',' '\n' | awk '$1 ~ /^lib/ && $1 != "libc6" && $1 !~ /gtk|vte|jack|pipewire|pulse/ {print $1}')"
done
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends $libs >&2
q=$cache/qemu/qemu-system-riscv64
printf '#!/bin/sh\nQEMU_MODULE_DIR="%s" exec "%s" -L "%s" "$@"\n' "$(echo "$cache"/qemu/usr/lib/*/qemu)" \
    "$cache/qemu/usr/bin/qemu-system-riscv64" "$cache/qemu/usr/share/qemu" >"$q"
chmod +x "$q"
[ -n "$(ver "$q")" ] || { echo "guise: the packages of QEMU hold no qemu-system-riscv64 that runs" >&2; exit 1; }
echo "$q"
