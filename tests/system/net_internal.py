#!/usr/bin/env python3
"""Named networks between guests of several processes, each process in a network namespace of its own.

  net_internal.py                   the tests; TAP on stdout; environment: see guests.py, and NS, the names of four namespaces
  net_internal.py watch FILE all    write every frame of every interface of this namespace to FILE, until the input ends
  net_internal.py watch FILE guests the same, but only frames of guests: from an address of theirs, or with MARKER in them
  net_internal.py serve TEXT PORT   answer connections with TEXT, until the input ends

Namespaces: the first three have an interface each to the fourth, which routes between them: what a guest's frames would leave
by, if they left. IPv6 is off in all, so that the kernels have nothing to say by themselves.
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

MARKER = b"marker-of-this-test"
RUN = [sys.executable, os.path.abspath(__file__)]


def of_guest(frame):
    return frame[6:9] == b"\x52\x54\x00" or MARKER in frame


def watch(path, what):
    """Lines of an interface and a frame in hexadecimal."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as s, open(path, "w") as f:
        f.write("watching\n")
        f.flush()
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        while True:
            frame, where = s.recvfrom(65600)
            if what == "all" or of_guest(frame):
                f.write(f"{where[0]} {frame.hex()}\n")
                f.flush()


def serve(text, port):
    with socket.create_server(("0.0.0.0", int(port))) as s:
        print("ready", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        while True:
            c, _ = s.accept()
            with c:
                c.sendall(text.encode() + b"\n")


if len(sys.argv) > 1:
    {"watch": watch, "serve": serve}[sys.argv[1]](*sys.argv[2:])
    sys.exit(0)

from guests import DIR, GUISE, Guest, done, ok  # noqa: E402

NS = os.environ["NS"].split()
ENV = {"XDG_RUNTIME_DIR": DIR}


def inside(ns, *command):
    return ["ip", "netns", "exec", ns, *command]


def guest(ns, name, *nets):
    return Guest(*(a for n in nets for a in ("--net", n)), "--name", name, env=ENV, prefix=inside(ns), wait=False)


class Watch:
    """Every frame of every interface of a namespace (None: this one), from now until it is asked."""

    def __init__(self, ns):
        self.ns, self.file = ns, os.path.join(DIR, f"watch-{ns or 'here'}")
        command = [*RUN, "watch", self.file, "all" if ns else "guests"]
        self.process = subprocess.Popen(inside(ns, *command) if ns else command, stdin=subprocess.PIPE)
        while not (os.path.exists(self.file) and open(self.file).readline()):
            time.sleep(0.05)

    def end(self):
        time.sleep(0.5)  # for a frame that is on its way
        self.process.stdin.close()
        self.process.wait()
        lines = [line.split() for line in open(self.file).readlines()[1:]]
        return [(line[0], bytes.fromhex(line[1])) for line in lines if len(line) == 2]


def told(frames):
    return "\n".join(f"{name} {frame[:80].hex()}" for name, frame in frames)


def internal():
    """A file is copied while every interface is watched; the one with the switch is killed in the midst of another copy."""
    watches = [Watch(ns) for ns in NS]
    here = Watch(None)
    a = guest(NS[0], "alpha", "internal:lab,rate=40mbit")
    a.boot()  # so it is the one with the switch
    b, c = (guest(ns, name, "internal:lab,rate=40mbit") for ns, name in zip(NS[1:], ("beta", "gamma")))
    for number, g in enumerate((a, b, c), 1):
        g.up or g.boot()
        g.run(f"ip addr flush dev eth0; ip addr add 10.9.0.{number}/24 dev eth0; ip route add default via 10.9.0.254")
    a.run(f"echo {MARKER.decode()} >/tmp/f; head -c 3000000 /dev/urandom >>/tmp/f; httpd -p 80 -h /tmp")
    c.run("head -c 20000000 /dev/urandom >/tmp/f; httpd -p 80 -h /tmp")
    text, code = b.run("wget -T 20 -q -O /tmp/f http://10.9.0.1/f; md5sum </tmp/f")
    ours, _ = a.run("md5sum </tmp/f")
    ok(code == 0 and text.strip() == ours.strip(), "internal: a guest copies the file of one in another process and namespace", text)
    for command in ("ping -c 2 -W 1 10.8.1.254", "wget -T 3 -q -O - http://10.8.1.254:7000/", "ping -c 2 -W 1 10.9.0.254"):
        text, code = b.run(command)
        ok(code, f"internal: nobody answers to {command}", text)
    known = b.ask("info network")
    ok(all(name in known for name in ("alpha", "beta", "gamma")), "info network names the members", known)

    out = subprocess.run([GUISE, "net", "list", "--json"], env={**os.environ, **ENV}, capture_output=True, text=True)
    try:
        lab = next(n for n in json.loads(out.stdout)["networks"] if n["name"] == "lab")
    except (ValueError, KeyError, StopIteration):
        lab = {"members": []}
    members = {m["name"]: m for m in lab["members"]}
    ok(lab.get("kind") == "internal" and lab.get("process") == a.process.pid and set(members) == {"alpha", "beta", "gamma"} and
       [n for n in members if members[n]["has_switch"]] == ["alpha"] and members["beta"]["process"] == b.process.pid,
       "guise net list --json has the network, who has its switch and its members", out)

    b.begin("wget -T 60 -q -O /tmp/g http://10.9.0.3/f; md5sum </tmp/g")
    time.sleep(1)
    ok("has the switch" in line_of(known, "alpha"), "the first one has the switch", known)
    a.process.kill()
    text, code = b.end()
    ours, _ = c.run("md5sum </tmp/f")
    ok(code == 0 and text.strip() == ours.strip(), "a copy goes on when that process is killed", (known, text))
    known = c.ask("info network")
    ok("alpha" not in known and "beta" in known and "gamma" in known, "and the others know who is left", known)
    d = guest(NS[0], "delta", "internal:lab")
    d.boot()
    d.run("ip addr flush dev eth0; ip addr add 10.9.0.4/24 dev eth0")
    text, code = d.run("wget -T 20 -q -O - http://10.9.0.3/f | md5sum")
    ok(code == 0 and text.strip() == ours.strip(), "one that comes later finds them", text)
    ok(all([g.close() for g in (b, c, d)]), "the machines end well", b.text + c.text + d.text)
    for w in watches:
        frames = w.end()
        ok(not frames, f"no frame at all on any interface of {'a member' if w.ns != NS[3] else 'the router'}'s namespace", told(frames))
    leaked = here.end()
    ok(not leaked, "and none of theirs on this host's", told(leaked))


def line_of(text, name):
    return next((line for line in text.splitlines() if line.strip().startswith(f"{name} (process")), "")


def shared():
    """Two guests of two namespaces behind one NAT, with names; and on a host-only network of the first's namespace."""
    a = guest(NS[0], "one", "natnet:lab,guestfwd=10.0.2.100:7-cmd:echo of-the-command", "hostonly:den")
    a.boot()  # it has both switches, and the host's interface is in its namespace
    b = guest(NS[1], "two", "natnet:lab", "hostonly:den")
    b.boot()
    for g, name in ((a, "one"), (b, "two")):
        g.run(f"pkill udhcpc; udhcpc -q -n -t 10 -O search -x hostname:{name} -i eth0 -s /etc/udhcpc.sh")
    for g, name in ((a, "two"), (b, "one")):
        text, code = g.run(f"ping -c 1 -W 5 {name}.guise")
        ok(code == 0 and "1 packets received" in text, f"natnet: a guest reaches the other as {name}.guise", text)
    text, _ = b.run("nc -w 5 10.0.2.100 7 </dev/null")
    ok("of-the-command" in text, "natnet: guestfwd= of the one with the switch, for all guests", text)
    text, _ = a.run("ip addr")
    text2, _ = b.run("ip addr")
    ok("10.0.2.15/24" in text and "10.0.2.16/24" in text2, "natnet: both have addresses", text + text2)
    host_only(a, b)
    ok(a.close() and b.close(), "the machines end well", a.text + b.text)


def host_only(a, b):
    host, far = NS[0], NS[3]
    servers = [subprocess.Popen(inside(ns, *RUN, "serve", ns, "7000"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) for ns in (host, far)]
    for s in servers:
        s.stdout.readline()
    text, code = a.run("ip addr show dev eth1; ping -c 1 -W 5 192.168.56.1")
    ok(code == 0 and "192.168.56.10" in text, "hostonly: the host answers to a guest of its process", text)
    text, code = b.run("nc -w 5 192.168.56.1 7000 </dev/null")
    ok(host in text, "hostonly: a guest of another process reaches the host's server", text)
    address = b.run("ip -4 -o addr show dev eth1 | sed 's/.*inet //; s|/.*||'")[0].strip()
    text, code = a.run(f"ping -c 1 -W 5 -I eth1 {address}")
    ok(code == 0, "hostonly: guests reach each other", text)
    b.run("mkdir /tmp/www; echo of-the-guest >/tmp/www/f; httpd -p 80 -h /tmp/www")
    out = subprocess.run(inside(host, *RUN[:1], "-c", f"import urllib.request as u; print(u.urlopen('http://{address}/f', timeout=20).read())"),
                         capture_output=True, text=True)
    ok("of-the-guest" in out.stdout, "hostonly: the host reaches a guest's server", out)

    # The host is a router here, and there is a server behind it; the guest's way leads by the host.
    w = Watch(far)
    for command in ("ping -c 2 -W 1 10.8.1.254", "nc -w 3 10.8.1.254 7000 </dev/null"):
        text, code = b.run(f"ip route replace 10.8.0.0/16 via 192.168.56.1 dev eth1; {command}")
        ok(far not in text and "1 packets received" not in text and "2 packets received" not in text,
           f"hostonly: nothing behind the host answers to {command}", text)
    leaked = [f for f in w.end() if bytes((192, 168, 56)) in f[1][26:34]]
    ok(not leaked, "hostonly: no frame of a guest is seen behind the host", told(leaked))
    out = subprocess.run(inside(host, "ping", "-c", "1", "-W", "5", "10.8.1.254"), capture_output=True, text=True)
    ok(out.returncode == 0, "(the host itself reaches what is there)", out)
    for s in servers:
        s.stdin.close()
        s.wait()


internal()
shared()
done()
