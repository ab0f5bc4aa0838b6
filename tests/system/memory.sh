#!/bin/sh
# The emulator's own memory: all of the process but the guest's RAM, after a boot and many short processes.
. "$(dirname "$0")/lib.sh"
need_guest

limit_kib=$((96 << 10))
script 'echo 0 >/proc/sys/kernel/printk; i=0; while [ $i -lt 400 ]; do x=$(echo $i | sed s/1/2/ | md5sum); i=$((i + 1)); done; echo FILLED; sleep 1000'

# Proportional set size of every mapping, in KiB (proc_pid_smaps(5)); mappings of the RAM file apart.
own_memory() {
    awk '/^[0-9a-f]+-[0-9a-f]+ / { ram = /memfd:ram/; any += ram } /^Pss:/ && !ram { own += $2 } END { print any ? own : "no RAM mapping found" }' "/proc/$1/smaps"
}

for cpus in 1 4; do
    rm -f "$tmp/out"
    "$guise" run "$cache/vmlinuz" --initrd "$tmp/initrd" --append "console=ttyS0 quiet" --cpus $cpus --console "file:$tmp/out" </dev/null 2>"$tmp/err" &
    pid=$!
    for i in $(seq 300); do
        grep -aqs '^FILLED' "$tmp/out" && break
        sleep 1
    done
    used=$(own_memory $pid)
    kill $pid
    wait $pid
    echo "# $used KiB"
    grep -aqs '^FILLED' "$tmp/out" && [ "$used" -le $limit_kib ]
    ok $? "with $cpus vCPUs at most 96 MiB beside the guest's RAM" "$tmp/out"
done

echo "1..$n"
