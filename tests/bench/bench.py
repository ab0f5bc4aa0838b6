#!/usr/bin/env python3
"""Run the bench programs on guise, on QEMU and on this host in turn, and print ratios of medians.

Rounds alternate A B / B A so that drift of a shared machine hits both sides alike. Inside a guest each program times itself;
boots are whole processes from start to exit. The noise column is (max - min) / median of the host's own times.
"""
import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "..", "frontend", "demo")

REAL = r"""
cd /tmp; export LC_ALL=C
t() { n=$1; shift; a=$(date +%s.%N); "$@" >/tmp/out 2>&1 || echo "FAILED $n"; b=$(date +%s.%N); echo "BENCH real $n $(echo "$b $a" | awk '{print $1-$2}') 0"; }
cat >p.py <<'X'
import json,re
d={i:str(i)*3 for i in range(60000)}
s=json.dumps(d); e=json.loads(s)
print(len(re.findall(r'1[0-9]2',s)), sum(len(v) for v in e.values()))
def f(n): return n if n<2 else f(n-1)+f(n-2)
print(f(22), sorted(d.values())[5])
X
cat >p.pl <<'X'
my %h; for my $i (1..150000) { $h{$i % 5003} .= chr(97+$i%26); } my $n=0;
for my $k (sort keys %h) { $n++ while $h{$k} =~ /[aeiou]+/g; } print "$n\n";
X
cat >p.sql <<'X'
create table t(a integer primary key, b text, c real);
with recursive n(x) as (select 1 union all select x+1 from n where x<60000) insert into t select x, 'row '||(x*7919%60000), x*0.5 from n;
create index i on t(b); select count(*), sum(c) from t where b like 'row 1%'; select b, count(*) from t group by substr(b,1,5) order by 2 desc limit 3;
X
for i in 1 2 3 4 5 6; do echo "int f$i(int x){int s=0;for(int i=0;i<x;i++){switch(i%7){case 0:s+=i;break;case 1:s^=x;break;default:s-=i*3;}}return s;}"; done >base.c
for k in $(seq 60); do sed "s/ f/ g${k}_/" base.c; done >p.c
cat >p.sh <<'X'
i=0; while [ $i -lt 150 ]; do x=$(echo $i | sed s/1/2/); [ -n "$x" ] && i=$((i+1)); done
X
head -c 6000000 /usr/lib/riscv64-linux-gnu/libc.so.6 >data; cat data data >data2
t gcc gcc -O2 -c p.c -o p.o
t python python3 p.py
t perl perl p.pl
t sqlite sh -c 'rm -f db; sqlite3 db <p.sql'
t shell sh p.sh
t zstd sh -c 'zstd -q -f -9 data2 -o z && zstd -q -d -f z -o data3'
t openssl_sha sh -c 'for i in 1 2 3 4 5; do openssl dgst -sha256 data2; done'
t openssl_aes sh -c 'for i in 1 2 3; do openssl enc -aes-256-cbc -k x -pbkdf2 -in data2 -out e; done'
t sort sh -c 'od -An -tx1 data | head -60000 | sort | uniq -c | tail -1'
t gzip gzip -k -f data
echo REALDONE
"""


def initrd(a, script, name):
    path = os.path.join(a.out, name)
    with open(path + ".script", "w") as f:
        f.write(script)
    subprocess.run([os.path.join(DEMO, "initrd.sh"), os.path.join(a.cache, "unpacked"), path, path + ".script"], check=True)
    return path


def add_file(cpio, source, name, out):
    """Append one executable to a cpio archive (a second archive: the kernel reads both)."""
    data = open(source, "rb").read()
    def entry(n, mode, body):
        n = n.encode() + b"\0"
        h = b"070701" + b"".join(b"%08X" % v for v in (0, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(n), 0))
        r = h + n
        r += b"\0" * (-len(r) % 4)
        return r + body + b"\0" * (-len(body) % 4)
    with open(out, "wb") as f:
        f.write(open(cpio, "rb").read())
        f.write(b"\0" * (-f.tell() % 512))
        f.write(entry(name, 0o100755, data) + entry("TRAILER!!!", 0, b""))


def command(a, who, ird, append="", disk=None, mem="1024"):
    tool = a.guise_cmd if who == "guise" else [a.qemu]
    cmd = tool + ["-machine", "virt", "-m", mem, "-smp", "1", "-nographic", "-no-reboot", "-kernel", os.path.join(a.cache, "vmlinuz"),
           "-initrd", ird, "-append", "console=ttyS0 quiet " + append]
    if disk:
        cmd += ["-snapshot", "-drive", "file=%s,format=raw,if=none,id=d0" % disk, "-device", "virtio-blk-device,drive=d0"]
    return cmd


def run(cmd, limit):
    start = time.monotonic()
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
    return time.monotonic() - start, p.stdout.decode("latin1")


def parse(text, times, who):
    for m in re.finditer(r"BENCH (\w+) (\w+) ([0-9.]+) (\w+)", text):
        times.setdefault((m[1], m[2]), {}).setdefault(who, []).append(max(float(m[3]), 1e-6))


def geomean(v):
    return math.exp(sum(map(math.log, v)) / len(v)) if v else float("nan")


def table(times):
    groups = {}
    print("%-6s %-12s %9s %9s %9s   %11s %12s %6s" % ("group", "program", "host s", "qemu s", "guise s", "qemu/guise", "guise/host", "noise"))
    for (g, n), t in times.items():
        med = {w: statistics.median(t[w]) for w in t}
        if "qemu" not in med or "guise" not in med:
            print("%-6s %-12s incomplete: %s" % (g, n, " ".join(med)))
            continue
        ratio = med["qemu"] / med["guise"]
        host = med.get("host")
        noise = (max(t["host"]) - min(t["host"])) / host if host else 0
        groups.setdefault(g, []).append((ratio, med["guise"] / host if host else None, n))
        print("%-6s %-12s %9s %9.3f %9.3f   %10.2fx %12s %5.0f%%" % (g, n, "%.3f" % host if host else "-", med["qemu"], med["guise"], ratio,
              "%.2f" % (med["guise"] / host) if host else "-", 100 * noise))
    print()
    for g, rows in groups.items():
        hosts = [h for _, h, _ in rows if h]
        low = min(rows)
        print("%-6s geometric mean: %.2f times QEMU's speed%s; slowest row %s %.2f" % (g, geomean([r for r, _, _ in rows]),
              ", %.2f times slower than this host" % geomean(hosts) if hosts else "", low[2], low[0]))
    every = [r for rows in groups.values() for r in rows]
    small = [r for g, rows in groups.items() if g not in ("boot", "real") for r in rows]
    if small:
        print("bench programs (%d): %.2f times QEMU's speed" % (len(small), geomean([r for r, _, _ in small])))
    return every


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--guise", required=True)
    p.add_argument("--qemu", required=True)
    p.add_argument("--cache", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default="", help="groups or programs, comma-separated")
    p.add_argument("--boots", type=int, default=5, help="paired boots (0: none)")
    p.add_argument("--real", action="store_true", help="real programs on the Debian disk (made first by make demo GUEST=debian)")
    p.add_argument("--no-qemu", action="store_true", help="guise and this host only")
    a = p.parse_args()
    # The personality is chosen by the name.
    a.guise_cmd = [os.path.join(os.path.dirname(os.path.abspath(a.guise)), "qemu-system-riscv64")]
    sides = ["guise"] if a.no_qemu else ["guise", "qemu"]
    times = {}

    if a.boots:
        ird = initrd(a, "echo MARK; poweroff -f", "boot.initrd")
        for r in range(a.boots + 1):
            for who in sides if r % 2 else sides[::-1]:
                t, text = run(command(a, who, ird), 300)
                if "MARK" not in text:
                    sys.exit("%s did not boot:\n%s" % (who, text[-2000:]))
                if r:  # the first is the warm-up
                    times.setdefault(("boot", "kernel"), {}).setdefault(who, []).append(t)
    names = " ".join(a.only.split(",")) if a.only else ""
    if names != "boot" and names != "real":
        script = "mount -t tmpfs tmp /tmp; /bench %s; poweroff -f" % names
        ird = os.path.join(a.out, "bench.initrd")
        add_file(initrd(a, script, "bench0.initrd"), os.path.join(a.out, "bench.guest"), "bench", ird)
        for r in range(a.rounds):
            for who in sides if r % 2 else sides[::-1]:
                _, text = run(command(a, who, ird), 1800)
                parse(text, times, who)
            _, text = run([os.path.join(a.out, "bench.host")] + names.split(), 600)
            parse(text, times, "host")
    if a.real:
        disk = os.path.join(a.cache, "debian.img")
        if not os.path.exists(disk):
            sys.exit("no %s: run make demo GUEST=debian first" % disk)
        ird = initrd(a, REAL, "real.initrd")
        for r in range(a.rounds):
            for who in sides if r % 2 else sides[::-1]:
                _, text = run(command(a, who, ird, "root=LABEL=guise", disk, "2048"), 1800)
                if "FAILED" in text or "REALDONE" not in text:
                    print(who, text[-1500:])
                parse(text, times, who)
    if a.no_qemu:
        for t in times.values():
            t["qemu"] = t.get("guise", [1])
    table(times)


main()
