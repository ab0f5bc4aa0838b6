#!/bin/sh
# Seeing inside: every log item gives lines of its kind, the filter holds, perf's map appears, lockstep boots a kernel.
. "$(dirname "$0")/lib.sh"
need_guest
teach=$top/tests/guest/teach.elf

# logged ITEM PATTERN [OPTIONS]: the built-in guest's page fault and end, with -d ITEM
logged() {
    item=$1 pattern=$2
    shift 2
    (sleep 1; printf 'touch\roff\r'; sleep 2) | timeout 120 "$guise" run "$teach" --console stdio -d "$item" -D "$tmp/log" "$@" >"$tmp/out" 2>&1
    code=$?
    [ $code != 0 ] || grep -qE "$pattern" "$tmp/log" || code=98
    head -n 5 "$tmp/log" >>"$tmp/out"
    ok $code "-d $item" "$tmp/out"
}
logged in_asm '^0x0000000080200000: .* auipc|^0x00000000802000'
logged ir '^  insn 0x802'
logged out_asm '^0x[0-9a-f]{16}:  +mov '
logged int 'exception 15 \(store page fault\) U -> S pc 0x[0-9a-f]{16} tval 0x0000000000020000'
logged exec '^exec 0: 0x80200'
logged mmu 'walk for store of 0x0000000000020000: page fault'
logged mmu 'flush of page 0x0000000000020000, all address spaces'
logged dev:serial0 '^serial0: write 0x0, 1 bytes: 0x50'
logged dev:all '^serial0: read 0x5, 1 bytes: 0x60'
logged in_asm,int 'ecall from U'
logged in_asm '^0x0000000000010' --dfilter 0x10000..0x1ffff
! grep -q '^IN: 0x8' "$tmp/log"
ok $? "--dfilter keeps the rest out" "$tmp/log"
"$guise" run "$teach" -d help >"$tmp/out"
for item in in_asm ir out_asm exec int mmu guest_errors dev:NAME; do
    grep -q "^$item " "$tmp/out" || echo "missing $item" >"$tmp/missing"
done
[ "$(wc -l <"$tmp/out")" = 8 ] && [ ! -e "$tmp/missing" ]
ok $? "-d help lists what these tests look at, and no more" "$tmp/out"

"$guise" run "$teach" --console null --perf-map </dev/null >"$tmp/out" 2>&1 &
pid=$!
for i in $(seq 60); do
    grep -qsE '^[0-9a-f]+ [0-9a-f]+ guest_0x80200' "/tmp/perf-$pid.map" && break
    sleep 1
done
kill $pid
wait $pid
grep -qsE '^[0-9a-f]+ [0-9a-f]+ guest_0x80200' "/tmp/perf-$pid.map"
ok $? "--perf-map writes perf's map" "$tmp/out"
rm -f "/tmp/perf-$pid.map"

# Block by block on both engines: the built-in guest to its end, Linux as far as two minutes take it.
(sleep 2; printf 'walk 10000\rtouch\rfault\rcount\roff\r'; sleep 2) |
    timeout 300 "$guise" run "$teach" --console stdio --engine lockstep >"$tmp/out" 2>&1
code=$?
[ $code != 0 ] || grep -q 'Bye' "$tmp/out" || code=98
ok $code "lockstep: the built-in guest without a difference" "$tmp/out"
script 'echo UP; sha256sum /bin/busybox; poweroff -f'
timeout 120 "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append console=ttyS0 --engine lockstep </dev/null >"$tmp/out" 2>&1
case $? in 0 | 124) ! grep -aq 'differs from' "$tmp/out" ;; *) false ;; esac
ok $? "lockstep: Linux without a difference" "$tmp/out"
echo "1..$n"
