#!/bin/sh
# make bench-screen: pictures a guest gets onto its screen, with a window open, on guise and on QEMU 10 in turn: same kernel,
# RAM disk, device and X server (Xvfb, of its own), ratios of medians. SCREEN_ROUNDS=3 SCREEN_SECONDS=3
# SCREEN_DEVICES="virtio-gpu-pci bochs-display". The guest's program is tests/bench/screen.c, which says what the rows are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/rounds.sh"
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
top=$here/../..
out=$top/build/bench
guise=$(dirname "$GUISE")/qemu-system-riscv64
rounds=${SCREEN_ROUNDS:-3} seconds=${SCREEN_SECONDS:-3}
mkdir -p "$out"
"$top/frontend/demo/demo.sh" fetch
qemu=$("$here/qemu.sh" "$cache" window)
tmp=$(mktemp -d)
x=
trap 'rm -rf "$tmp"; [ -z "$x" ] || kill "$x"' EXIT INT TERM
mkdir -p "$tmp/x/bin"
riscv64-linux-gnu-gcc -O2 -static -D_GNU_SOURCE -I/usr/riscv64-linux-gnu/include/drm -o "$tmp/x/bin/screen" "$here/screen.c"
echo "screen $seconds" >"$tmp/script"
"$top/frontend/demo/initrd.sh" "$cache/unpacked" "$tmp/initrd" "$tmp/script"
(cd "$tmp/x" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
Xvfb -displayfd 3 -screen 0 2048x1200x24 -nolisten tcp 3>"$tmp/display" 2>"$tmp/x.log" &
x=$!
while kill -0 $x && ! [ -s "$tmp/display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$tmp/display")
export DISPLAY SDL_VIDEODRIVER=x11 SDL_RENDER_DRIVER=software

one() { # one WHO PROGRAM DEVICE: lines WHO DEVICE ROW VALUE
    rom= # QEMU's has one for PCs, from a package of its own
    case $1-$3 in qemu-bochs-display) rom=,romfile= ;; esac
    timeout 300 "$2" -M virt -m 512M -display sdl -serial stdio -monitor none -no-reboot -kernel "$cache/vmlinuz" \
        -initrd "$tmp/initrd" -append "console=ttyS0 quiet" -device "$3,xres=1920,yres=1080$rom" </dev/null 2>"$tmp/err" |
        tr -d '\r' | sed -n "s/^SCREEN /$1 $3 /p" | tee "$tmp/rows"
    [ -s "$tmp/rows" ] || cat "$tmp/err" >&2
}

# shellcheck disable=SC2086
rounds "$out/screen.rows" "$rounds" ${SCREEN_DEVICES:-virtio-gpu-pci bochs-display}
python3 "$here/medians.py" "$out/screen.rows"
