#!/bin/sh
# A cpio archive with fio for a riscv64 guest, to be put behind the demo's RAM disk (the kernel takes several, one after another).
#   fio.sh CACHE OUT
# Debian's fio is linked with the libraries of remote storage. What a local disk needs of them is nothing, so each of those is an
# empty library of the same name, with the functions that the program would not start without; none of them is ever called.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
fetch=$here/../../frontend/demo/fetch.sh
cache=$1 out=$2 suite=trixie arch=riscv64
real="libnuma.so.1 libz.so.1 libm.so.6 libaio.so.1t64 libc.so.6 ld-linux-riscv64-lp64d.so.1"
[ ! -s "$out" ] || exit 0
pk=$cache/$suite-$arch/packages
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
[ -d "$cache/$suite-$arch/state" ] || "$fetch" "$cache" $suite $arch update >&2
get() { "$fetch" "$cache" $suite $arch download fio libc6 libaio1t64 libnuma1 zlib1g >&2; }
get || { "$fetch" "$cache" $suite $arch update >&2 && get; }
for p in fio libc6 libaio1t64 libnuma1 zlib1g; do dpkg-deb -x "$(ls "$pk/${p}"_*.deb | tail -n 1)" "$tmp/x"; done
mkdir -p "$tmp/root/bin" "$tmp/root/lib"
cp "$tmp/x/usr/bin/fio" "$tmp/root/bin/"
nm=riscv64-linux-gnu-nm
for so in $real; do cp -L "$(find "$tmp/x" -name "$so" | head -n 1)" "$tmp/root/lib/"; done
# Functions that fio wants and that the libraries above do not have.
"$nm" -D --undefined-only "$tmp/x/usr/bin/fio" | awk '$1 == "U" {sub(/@.*/, "", $2); print $2}' | sort -u >"$tmp/want"
for so in $real; do "$nm" -D --defined-only "$tmp/root/lib/$so" | awk '{sub(/@.*/, "", $3); print $3}'; done | sort -u >"$tmp/have"
comm -23 "$tmp/want" "$tmp/have" | sed 's/.*/void &(void) {}/' >"$tmp/stub.c"
for so in $(riscv64-linux-gnu-readelf -d "$tmp/x/usr/bin/fio" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'); do
    case " $real " in *" $so "*) continue ;; esac
    riscv64-linux-gnu-gcc -w -fno-builtin -shared -nostdlib -fPIC -Wl,-soname,"$so" -o "$tmp/root/lib/$so" "$tmp/stub.c"
    : >"$tmp/stub.c"
done
(cd "$tmp/root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$out.new"
mv "$out.new" "$out"
