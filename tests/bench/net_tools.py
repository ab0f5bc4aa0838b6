#!/usr/bin/env python3
"""net_tools.py ROUNDS SECONDS CPUS DEVICES: see net_tools.sh. What is received counts, not what is sent.

The guest's clock gives the seconds of what iperf3 says; wrk's are this host's. Ratios are medians of each round's ratio.
"""
import collections
import json
import os
import re
import socket
import statistics
import subprocess
import sys

from guests import INITRD, KERNEL, QEMU, Guest

ROUNDS, SECONDS, CPUS = (int(a) for a in sys.argv[1:4])
DEVICES = sys.argv[4].split()
PROGRAMS = {"guise": QEMU, "QEMU": os.environ["THEIRS"]}
IPERF = (("TCP out, Mbit/s", ""), ("TCP in, Mbit/s", "-R"), ("TCP out, 4 flows, Mbit/s", "-P 4"), ("TCP in, 4 flows, Mbit/s", "-R -P 4"),
         ("UDP out, 64 B, /s", "-u -b 0 -l 64"), ("UDP in, 64 B, /s", "-u -b 0 -l 64 -R"))
WRK = (("connections, /s", ["-H", "Connection: close"]), ("requests, /s", []))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def boot(program, device, *netdev):
    rom = ",romfile=" if device.endswith("-pci") and program != QEMU else ""  # its boot ROMs are not installed
    return Guest("-machine", "virt", "-m", "512M", "-smp", str(CPUS), "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot",
                 "-kernel", KERNEL, "-initrd", INITRD, "-append", "console=ttyS0 quiet", "-global", "virtio-mmio.force-legacy=false",
                 "-netdev", ",".join(["user,id=n", *netdev]), "-device", f"{device},netdev=n{rom}", program=[program])


def iperf(g, port, options):
    """Mbit/s of TCP, datagrams a second of UDP; None: it did not work."""
    text, code = g.run(f"chroot /net iperf3 -c 10.0.2.2 -p {port} -t {SECONDS} -i 0 -J {options}")
    try:
        end = json.loads(text[text.index("{"):])["end"]
        if "-u" not in options:
            return end["sum_received"]["bits_per_second"] / 1e6
        s = end.get("sum_received") or end["sum"]
        if not s.get("packets"):
            s = end["sum"]
        return (s["packets"] - s["lost_packets"]) / s["seconds"]
    except (ValueError, KeyError, ZeroDivisionError) as e:
        print(f"iperf3 {options}: {e}: {text[-300:]}", file=sys.stderr)
        return None


def wrk(port, options):
    out = subprocess.run(["wrk", "-t", "1", "-c", "16", "-d", str(SECONDS), *options, f"http://127.0.0.1:{port}/"], capture_output=True, text=True)
    m = re.search(r"Requests/sec:\s*([0-9.]+)", out.stdout)
    if not m:
        print(f"wrk: {out.stdout[-300:]}{out.stderr[-300:]}", file=sys.stderr)
    return float(m.group(1)) if m else None


def measure(program, device):
    """{row: value} of one boot."""
    port, web = free_port(), free_port()
    server = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    g = boot(program, device, f"hostfwd=tcp:127.0.0.1:{web}-:80")
    found = {row: iperf(g, port, options) for row, options in IPERF}
    text, code = g.run("chroot /net lighttpd -f /lighttpd.conf")
    if code:
        print(f"lighttpd: {text[-300:]}", file=sys.stderr)
    found.update({row: wrk(web, options) for row, options in WRK})
    g.close()
    server.terminate()
    server.wait()
    return found


def main():
    rows = collections.defaultdict(list)
    for i in range(ROUNDS):
        for device in DEVICES:
            pair = {}
            for who in sorted(PROGRAMS, reverse=i % 2 == 1):
                print(f"round {i + 1} of {ROUNDS}: {who}, {device}", file=sys.stderr)
                pair[who] = measure(PROGRAMS[who], device)
            for row in pair["guise"]:
                rows[device, row].append((pair["guise"][row], pair["QEMU"][row]))
    print(f"{'device':<20}{'row':<28}{'guise':>12}{'QEMU':>12}{'ratio':>8}   (medians; the ratio is that of the rounds')")
    for (device, row), pairs in rows.items():
        pairs = [p for p in pairs if all(p)]
        if not pairs:
            print(f"{device:<20}{row:<28}     no result")
            continue
        a, b = (statistics.median(p[k] for p in pairs) for k in (0, 1))
        print(f"{device:<20}{row:<28}{a:>12.1f}{b:>12.1f}{statistics.median(p[0] / p[1] for p in pairs):>8.2f}")


main()
