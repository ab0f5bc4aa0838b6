#!/bin/sh
# Every header compiles alone. TAP.
set -u
cd "$(dirname "$0")/.."
echo 1..1
bad=
for h in $(find base mmu cpu translator devices netstack images frontend -name '*.h'); do
    ${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -fsyntax-only -x c "$h" 2>/dev/null || bad="$bad $h"
done
[ -z "$bad" ] && echo "ok 1 - headers compile alone" && exit 0
echo "not ok 1 - headers compile alone"
echo "#$bad"
exit 1
