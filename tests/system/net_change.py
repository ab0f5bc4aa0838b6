#!/usr/bin/env python3
"""A host that sleeps, moves to another network and gets another resolver, with a guest behind its NAT.

  net_change.py         the tests; environment: see guests.py; NEAR and FAR, namespaces (net_change.sh)
  net_change.py serve FILE   the far side: port 80 a file, 7001 takes bytes and answers with their MD5, 7002 echoes; by UDP
                        7003 writes to FILE who sent what

Sleep is what a process sees of it: it stops (SIGSTOP), the adapter is down meanwhile, its routes are gone and come back. SLEEP=6 seconds.
"""
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

BLOB = bytes(range(256)) * 40000  # 10 MB
SERVER = "10.99.0.1"


def give(c):
    c.recv(4096)
    c.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BLOB)


def take(c):
    h = hashlib.md5()
    while data := c.recv(65536):
        h.update(data)
    c.sendall(h.hexdigest().encode())


def echo(c):
    while data := c.recv(65536):
        c.sendall(data)


def one(handle, c):
    with c:
        handle(c)


def listen(port, handle):
    s = socket.create_server((SERVER, port))
    while True:
        threading.Thread(target=one, args=(handle, s.accept()[0]), daemon=True).start()


def serve(path):
    for port, handle in ((80, give), (7001, take), (7002, echo)):
        threading.Thread(target=listen, args=(port, handle), daemon=True).start()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((SERVER, 7003))
    print("ready", flush=True)
    with open(path, "a") as f:
        while True:
            data, who = u.recvfrom(2048)
            print(*who, data.decode("utf-8", "replace"), file=f, flush=True)


if len(sys.argv) > 1:
    serve(sys.argv[2])

from guests import DIR, Guest, done, ok  # noqa: E402

NEAR, FAR = os.environ["NEAR"], os.environ["FAR"]
SLEEP = int(os.environ.get("SLEEP", "6"))  # s
RESOLV = os.path.join(DIR, "resolv.conf")
DATAGRAMS = os.path.join(DIR, "datagrams")
SUM = hashlib.md5(BLOB).hexdigest()


def inside(ns, *command):
    return ["ip", "netns", "exec", ns, *command]


def near(*lines):
    for line in lines:
        subprocess.run(inside(NEAR, *line.split()), check=True)


def resolver(address):
    with open(RESOLV, "w") as f:
        f.write(f"nameserver {address}\n")


def network(n):
    """The host's address, route and resolver as network n gives them."""
    near(f"ip link set v{n * 2 - 2} up", f"ip addr add 10.9.{n}.2/24 dev v{n * 2 - 2}", f"ip route add default via 10.9.{n}.1")
    resolver(f"10.9.{n}.1")


def far_side():
    """Its name servers answer differently, each on a network of its own."""
    started = [subprocess.Popen(inside(FAR, sys.executable, os.path.abspath(__file__), "serve", DATAGRAMS), stdout=subprocess.PIPE)]
    started[0].stdout.readline()
    for n in (1, 2):
        started.append(subprocess.Popen(inside(
            FAR, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--bind-interfaces",
            f"--listen-address=10.9.{n}.1", f"--host-record=where.example,192.0.2.{n}", f"--pid-file={DIR}/dnsmasq{n}.pid"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return started


def in_guest(g):
    """An echoed connection on descriptor 5 of the guest's shell, and datagrams from one port: the system log's."""
    g.run("mkfifo /tmp/t.in; nc 10.99.0.1 7002 </tmp/t.in >/tmp/t.out & exec 5>/tmp/t.in")
    g.run("syslogd -n -R 10.99.0.1:7003 & n=0; while [ ! -e /dev/log ] && [ $n -lt 100 ]; do n=$((n+1)); usleep 100000; done")


def says(g, word):
    """It is sent on the connection and comes back."""
    text, _ = g.run(f"echo {word} >&5; n=0; while ! grep -q {word} /tmp/t.out && [ $n -lt 200 ]; do n=$((n+1)); usleep 100000; done; "
                    "cat /tmp/t.out")
    return word in text


def logs(g, word):
    """It arrives as a datagram; the port of the host that it comes from."""
    g.run(f"logger {word}")
    for _ in range(100):
        for line in open(DATAGRAMS):
            if word in line:
                return line.split()[:2]
        time.sleep(0.1)
    return [None, None]


def where(g, n):
    """The name as network n's server has it, within a few seconds of the change."""
    text, _ = g.run(f"n=0; while ! nslookup where.example | grep -q 192.0.2.{n} && [ $n -lt 50 ]; do n=$((n+1)); usleep 100000; done; "
                    "nslookup where.example")
    return f"192.0.2.{n}" in text


def moves(g):
    in_guest(g)
    first = logs(g, "datagram-one")
    ok(says(g, "one") and first[0] == "10.9.1.2" and where(g, 1), "TCP, datagrams and names on the first network", g.text[-500:])
    near("ip addr del 10.9.1.2/24 dev v0")
    g.run("echo two >&5")
    time.sleep(2)
    network_back = ("ip addr add 10.9.1.2/24 dev v0", "ip route add default via 10.9.1.1")
    near(*network_back)
    ok(says(g, "three") and "two" in g.run("cat /tmp/t.out")[0], "a connection goes on when the address was away and is back", g.text[-500:])
    ok(logs(g, "datagram-two") == first, "and a flow of datagrams")

    near("ip link set v0 down", "ip addr flush dev v0")
    text, code = g.run("ping -c 1 -W 2 10.99.0.1; wget -T 5 -q -O - http://10.99.0.1/ | wc -c")
    ok("1 packets received" not in text and "can't connect" in text, "without a network what is new is refused at once", text)
    network(2)
    text, _ = g.run("wget -T 20 -q -O - http://10.99.0.1/ | md5sum; ping -c 1 -W 5 10.99.0.1")
    ok(SUM in text and "1 packets received" in text, "on another network, with another address, new connections and pings work", text)
    ok(logs(g, "datagram-three") == ["10.9.2.2", first[1]], "a flow of datagrams moves along", open(DATAGRAMS).read())
    ok(where(g, 2), "names are those of the new network's server", g.text[-500:])
    g.run("echo five >&5")
    text, _ = g.run("n=0; while pidof nc >/dev/null && [ $n -lt 600 ]; do n=$((n+1)); usleep 100000; done; "
                    "pidof nc; cat /tmp/t.out")
    ok("five" not in text and not text.split("\n")[0].strip().isdigit(), "the old connection ends as the host's own do", text)
    info = g.ask("info network -v")
    ok("tcp: 0 of" in info, "and leaves nothing", info)
    text, _ = g.run("kill -USR1 $(pidof udhcpc); usleep 500000; ip -4 addr show dev eth0")
    ok("10.0.2.15/24" in text, "the guest's address is what it was", text)


def sleeps(g, pid, port):
    """Three transfers are under way: from the far side, to it, and by a forward from the guest."""
    g.run("mkdir -p /tmp/www; wget -q -O /tmp/www/f http://10.99.0.1/; httpd -p 80 -h /tmp/www")
    g.ask("net_set net0 rate=40mbit")
    g.run("(wget -q -O - http://10.99.0.1/ | md5sum >/tmp/down) & d=$!; nc 10.99.0.1 7001 </tmp/www/f >/tmp/up & u=$!")
    fetch = "import urllib.request as u, hashlib; print(hashlib.md5(u.urlopen('http://127.0.0.1:%d/f').read()).hexdigest())" % port
    forward = subprocess.Popen(inside(NEAR, sys.executable, "-c", fetch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(1)
    before = g.run("wc -c </tmp/down; cat /tmp/up")[0]
    os.kill(pid, signal.SIGSTOP)
    near("ip link set v2 down")
    time.sleep(SLEEP)
    near("ip link set v2 up", "ip route add default via 10.9.2.1")
    os.kill(pid, signal.SIGCONT)
    ok(SUM not in before and forward.poll() is None, "(all are under way when the host goes to sleep)", before)
    try:
        out = forward.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        forward.kill()
        out = "it does not end"
    ok(SUM in out, f"a transfer by a forward goes on after a sleep of {SLEEP} s", out)
    text, _ = g.run("wait $d $u; cat /tmp/down; echo; cat /tmp/up")
    ok(text.count(SUM) == 2, "and one in each direction to the world", text)
    g.ask("net_set net0 off")
    text, _ = g.run("kill -USR1 $(pidof udhcpc); usleep 500000; ip -4 addr show dev eth0; ping -c 1 -W 5 10.99.0.1")
    ok("10.0.2.15/24" in text and "1 packets received" in text and where(g, 2), "lease, ping and names are as before", text)


def main():
    started = far_side()
    network(1)
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    sh = 'mount --bind "$0" /etc/resolv.conf && echo $$ && exec "$@"'
    g = Guest("--net", f"nat,id=net0,forward={port}-80", prefix=inside(NEAR, "unshare", "-m", "sh", "-c", sh, RESOLV), wait=False)
    pid = g.expect(r"(\d+)\n")
    ok(pid and g.boot(), "the guest is up", g.text)
    moves(g)
    sleeps(g, int(pid.group(1)), port)
    ok(g.close(), "the machine ends well", g.text)
    for p in started:
        p.terminate()
        p.wait()


main()
done()
