#!/bin/sh
# Replay the corpora of the fuzz targets in builds by gcc with its address and undefined-behaviour sanitizers. TAP.
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory -j2 MODE=asan replay >build/replay.log 2>&1 || {
    sed 's/^/# /' build/replay.log
    echo "not ok 1 - the replay programs build"
    exit 1
}
n=0
for t in build/asan/tests/fuzz/fuzz_*; do
    name=${t##*/fuzz_}
    case $name in *.o | *.d) continue ;; esac
    n=$((n + 1))
    if timeout -k 5 60 "$t" tests/fuzz/corpus/"$name"/* >build/replay.log 2>&1; then
        echo "ok $n - $name: $(tail -n 1 build/replay.log)"
    else
        echo "not ok $n - $name ended with code $?"
        grep -avE "^tests/fuzz/corpus/" build/replay.log | head -n 40 | sed "s/^/# /"; echo "# input: $(grep -aE "^tests/fuzz/corpus/" build/replay.log | tail -n 1)"
    fi
done
echo "1..$n"
