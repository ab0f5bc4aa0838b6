#!/bin/sh
# A riscv64 root directory with Debian's fio in it and the libraries it loads: fio_root.sh DIR
set -eu
out=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
cache=${GUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/guise}
[ ! -x "$out/usr/bin/fio" ] || exit 0
fetch() { verb=$1; shift; "$top/frontend/demo/fetch.sh" "$cache/fio" trixie riscv64 "$verb" "$@"; }
fetch update >&2
todo=fio have=
while [ -n "$todo" ]; do
    next=
    for p in $todo; do
        case " $have " in *" $p "*) continue ;; esac
        have="$have $p"
        for d in $(fetch depends "$p"); do
            case $d in
            python3* | init-system-helpers | debconf* | perl* | adduser | *-common | *-data | tzdata | ca-certificates | openssl*) ;;
            *) next="$next $d" ;;
            esac
        done
    done
    todo=$next
done
# shellcheck disable=SC2086
fetch download $have >&2
rm -rf "$out.new"
mkdir -p "$out.new"
for p in "$cache"/fio/trixie-riscv64/packages/*.deb; do dpkg-deb -x "$p" "$out.new"; done
mkdir -p "$out.new/mnt" "$out.new/dev" "$out.new/proc" "$out.new/tmp"
rm -rf "$out.new/usr/share/doc" "$out.new/usr/share/man" "$out.new/usr/share/locale" "$cache/fio"
for l in bin sbin lib; do # merged /usr, which Debian's base-files makes
    [ -e "$out.new/$l" ] || ln -s "usr/$l" "$out.new/$l"
done
mv "$out.new" "$out"
