#!/bin/sh
# Run test programs, count their TAP lines, print what failed and, last, `N passed, N failed`.
#   run.sh MODE fast|full|sanitizer
# fast: units and instructions; full: all; sanitizer: fast, guest programs, a few random programs and boots.
# Programs run two at a time; each writes build/MODE/log/NAME.log. A program that ends badly without a failed line, or
# prints no line at all, counts as one failure. Nothing is skipped silently: `# SKIP` lines are counted apart.
set -u
mode=$1 what=$2
cd "$(dirname "$0")/.."
b=build/$mode
log=$b/log
rm -rf "$log"
mkdir -p "$log"
export CMOCKA_MESSAGE_OUTPUT=TAP GUISE=$b/guise MODE=$mode
# A report ends the program with a code that no test expects of it.
export ASAN_OPTIONS="exitcode=86 ${ASAN_OPTIONS:-}" UBSAN_OPTIONS="exitcode=86:print_stacktrace=1 ${UBSAN_OPTIONS:-}"
ulimit -c 0
limit=300
# Under a sanitizer a test takes 5 to 20 times as long: what is random is done an eighth as often,
# and of random programs a fiftieth: they have three engines each.
case $mode in asan | tsan)
    limit=1200
    export GUISE_JIT_BLOCKS=500 GUISE_FP_BLOCKS=312 GUISE_FP_CASES=1312500 INSNS=2000000
    ;;
esac

# one NAME LIMIT COMMAND...: run with a time limit in seconds
one() {
    name=$1 limit=$2
    shift 2
    start=$(date +%s)
    timeout -k 10 "$limit" "$@" >"$log/$name.log" 2>&1 </dev/null
    code=$?
    grep -aqE '^not ok ' "$log/$name.log" || [ $code = 0 ] || echo "not ok - $name ended with code $code" >>"$log/$name.log"
    planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$log/$name.log" | awk '{n += $1; some = 1} END {if (some) print n}')
    seen=$(grep -acE '^(not )?ok ' "$log/$name.log")
    [ "${planned:-$seen}" = "$seen" ] || [ $code != 0 ] || echo "not ok - $name planned $planned results, gave $seen" >>"$log/$name.log"
    grep -aqE '^(not )?ok ' "$log/$name.log" || echo "not ok - $name printed no result" >>"$log/$name.log"
    [ -n "${QUIET:-}" ] || printf '  %-36s %4d ok %3d not ok  %3d s\n' "$name" "$(grep -acE '^ok ' "$log/$name.log")" \
        "$(grep -acE '^not ok ' "$log/$name.log")" $(($(date +%s) - start))
}

# lane N OF: run every OF-th entry of the list
list=$log/list
: >"$list"
for t in "$b"/tests/unit/test_* "$b"/tests/insn/test_*; do
    case $t in *.o | *.d | *'*') continue ;; esac
    echo "$(basename "$t") $limit $t" >>"$list"
done
echo "deps 60 tests/check_deps.sh" >>"$list"
echo "headers 120 tests/check_headers.sh" >>"$list"
case $what in
full) more="tests/guest/run.sh tests/random/run.sh $(ls tests/system/[!l]*.sh) $(ls tests/disk/test_*.sh) tests/fuzz/replay.sh" ;;
sanitizer) more="tests/sanitizer/boot.sh tests/guest/run.sh tests/random/run.sh" ;;
*) more= ;;
esac
for t in $more; do
    [ -e "$t" ] && echo "$(echo "$t" | sed 's|tests/||; s|/|-|g; s|\.sh$||') 3000 $t" >>"$list"
done

# Two lanes take from the same list; the lock is a directory.
take() {
    while ! mkdir "$log/lock" 2>/dev/null; do sleep 0.02; done
    line=$(head -n 1 "$list")
    sed -i 1d "$list"
    rmdir "$log/lock"
    [ -n "$line" ]
}
lane() {
    # shellcheck disable=SC2086
    while take; do one $line; done
}
lane &
lane
wait

failed=$(cat "$log"/*.log | grep -acE '^not ok ')
skipped=$(cat "$log"/*.log | grep -aE '^ok ' | grep -acE '# SKIP')
passed=$(($(cat "$log"/*.log | grep -acE '^ok ') - skipped))
if [ "$failed" != 0 ]; then
    echo
    grep -aE -B 3 -A 28 '^not ok ' "$log"/*.log | sed 's|^[^ ]*/log/||' | head -n 200
fi
[ "$skipped" = 0 ] || {
    grep -ahE '^ok .*# SKIP' "$log"/*.log | sed 's/^ok [0-9]* - /skipped: /'
    echo "$skipped skipped"
}
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
