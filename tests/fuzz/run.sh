#!/bin/sh
# Run fuzz targets with libFuzzer. TAP.
#   run.sh SECONDS PROGRAM...
# Each runs that long over its corpus, tests/fuzz/corpus/NAME; what it finds new goes to build/fuzz/new/NAME. A crash, a leak, an
# input above 10 s or 1 GiB of memory fails the target, and its input is kept in build/fuzz/found.
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
mkdir -p build/fuzz/found build/fuzz/log
n=0 failed=0
echo "1..$#"
for t; do
    n=$((n + 1))
    name=$(basename "$t" | sed 's/^fuzz_//')
    new=build/fuzz/new/$name
    mkdir -p "$new"
    corpus=tests/fuzz/corpus/$name
    [ -d "$corpus" ] || corpus=
    # shellcheck disable=SC2086
    timeout -k 10 $((seconds * 2 + 120)) "$t" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=4096 -print_final_stats=1 \
        -verbosity=1 -artifact_prefix="build/fuzz/found/$name-" "$new" $corpus >"build/fuzz/log/$name" 2>&1 </dev/null
    code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/log/$name")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "build/fuzz/log/$name" | tail -n 1)
    if [ $code = 0 ]; then
        echo "ok $n - $name: ${runs:-0} inputs, ${edges:-0} edges"
    else
        failed=$((failed + 1))
        echo "not ok $n - $name ended with code $code; see build/fuzz/log/$name"
        grep -aE 'ERROR|runtime error|SUMMARY|Test unit written' "build/fuzz/log/$name" | head -n 8 | sed 's/^/# /'
    fi
done
[ $failed = 0 ]
