#!/bin/sh
# make bench: guise against QEMU 10 and this host, side by side in one run.
#   BENCH="--rounds 5 --only fp,int --real"; see bench.py --help
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
top=$here/../..
out=$top/build/bench
mkdir -p "$out"
"$top/frontend/demo/demo.sh" fetch
qemu=$("$here/qemu.sh" "$cache")
cd "$here" # the other programs in this folder have a main of their own
gcc -O2 -static -o "$out/bench.host" main.c calls.c fp.c int.c mem.c os.c -lm -lpthread
riscv64-linux-gnu-gcc -O2 -static -o "$out/bench.guest" main.c calls.c fp.c int.c mem.c os.c -lm -lpthread
cd - >/dev/null
exec python3 "$here/bench.py" --guise "$GUISE" --qemu "$qemu" --cache "$cache" --out "$out" "$@"
