#!/bin/sh
# A riscv64 root directory with programs of Debian in it and the libraries they load: guest_root.sh DIR PACKAGE...
set -eu
out=$1
shift
top=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$out" ] || exit 0
fetch() { verb=$1; shift; "$top/frontend/demo/fetch.sh" "$out.apt" trixie riscv64 "$verb" "$@"; }
fetch update >&2
todo=$* have=
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
for p in "$out.apt"/trixie-riscv64/packages/*.deb; do dpkg-deb -x "$p" "$out.new"; done
mkdir -p "$out.new/mnt" "$out.new/dev" "$out.new/proc" "$out.new/tmp"
rm -rf "$out.new/usr/share/doc" "$out.new/usr/share/man" "$out.new/usr/share/locale" "$out.apt"
for l in bin sbin lib; do # merged /usr, which Debian's base-files makes
    [ -e "$out.new/$l" ] || ln -s "usr/$l" "$out.new/$l"
done
mv "$out.new" "$out"
