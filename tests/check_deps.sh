#!/bin/sh
# Refuse an #include "..." that the table in tests/deps.txt does not allow. TAP.
set -eu
cd "$(dirname "$0")/.."
echo 1..1
bad=$(for part in $(sed -n 's/^\([a-z]*\):.*/\1/p' tests/deps.txt); do
    allowed=$(sed -n "s/^$part: *//p" tests/deps.txt)
    [ "$allowed" != "*" ] || continue
    [ ! -d "$part" ] || find "$part" -name '*.[ch]' -o -name '*.def' | while read -r f; do
        sed -n 's/^# *include "\([^"]*\)".*/\1/p' "$f" | while read -r inc; do
            ok=
            for a in "$part/" $allowed; do
                case $inc in "$a"*) ok=1 ;; esac
            done
            [ -n "$ok" ] || echo "# $f includes $inc"
        done
    done
done)
[ -z "$bad" ] && echo "ok 1 - includes follow tests/deps.txt" && exit 0
echo "not ok 1 - includes follow tests/deps.txt"
echo "$bad"
exit 1
