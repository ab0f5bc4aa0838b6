#!/usr/bin/env python3
"""Guests on the network of an adapter: addresses from that network's own DHCP server, and traffic with what is there.

Environment: see guests.py; NEAR and FAR, namespaces joined by v0 and v1 (net_bridge.sh). The server is dnsmasq.
"""
import os
import subprocess
import sys

from guests import DIR, KERNEL, QEMU, Guest, done, ok

NEAR, FAR = os.environ["NEAR"], os.environ["FAR"]
WEB = "import http.server, os; os.chdir(%r); http.server.ThreadingHTTPServer(('', 80), http.server.SimpleHTTPRequestHandler).serve_forever()"


def inside(ns, *command):
    return ["ip", "netns", "exec", ns, *command]


def call(ns, *command):
    out = subprocess.run(inside(ns, *command), capture_output=True, text=True)
    return out.returncode, out.stdout + out.stderr


def open_in(ns, *command):
    return call(ns, *command)[1]


def fetch(ns, url):
    return call(ns, sys.executable, "-c", f"import urllib.request as u; print(u.urlopen({url!r}, timeout=20).read())")[1]


class Far:
    """The other end of the veth: DHCP, a name for itself, routes for IPv6, and a web server."""

    def __init__(self):
        www = os.path.join(DIR, "www")
        os.makedirs(www)
        with open(os.path.join(www, "f"), "wb") as f:
            f.write(os.urandom(3000000))
        self.leases = os.path.join(DIR, "leases")
        self.started = [subprocess.Popen(inside(FAR, *c), stdin=subprocess.DEVNULL, stdout=log, stderr=log) for c, log in (
            (["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--interface=v1",
              "--except-interface=lo", "--bind-interfaces", "--dhcp-range=10.9.0.50,10.9.0.99,1h", "--dhcp-range=fd09::,ra-only,64",
              "--enable-ra", "--domain=far.example", "--host-record=server.far.example,10.9.0.1", f"--dhcp-leasefile={self.leases}",
              f"--pid-file={DIR}/dnsmasq.pid", "--no-ping"], open(os.path.join(DIR, "dnsmasq.log"), "w")),
            ([sys.executable, "-c", WEB % www], subprocess.DEVNULL))]
        self.sum = subprocess.run(["md5sum", os.path.join(www, "f")], capture_output=True, text=True).stdout.split()[0]

    def lease(self, mac):
        """The address that the server has given to mac."""
        lines = [line.split() for line in (open(self.leases) if os.path.exists(self.leases) else [])]
        return next((x[2] for x in lines if len(x) > 3 and x[1] == mac), None)

    def end(self):
        for p in self.started:
            p.terminate()
            p.wait()


def guest(net, mac):
    return Guest("--net", f"{net},mac={mac}", prefix=inside(NEAR), wait=False)


def address(g):
    return g.run("ip -4 -o addr show dev eth0 | sed 's/.*inet //; s|/.*||'")[0].strip()


def on_the_far_network(name, net, far, mac):
    g = guest(net, mac)
    g.boot()
    mine = address(g)
    ok(mine and mine.startswith("10.9.0.") and far.lease(mac) == mine, f"{name}: the far side's DHCP server gives an address",
       (g.text, far.lease(mac), open(os.path.join(DIR, "dnsmasq.log")).read()))
    text, _ = g.run("ip route; cat /etc/resolv.conf")
    ok("default via 10.9.0.1" in text and "nameserver 10.9.0.1" in text and "far.example" in text, f"{name}: and its route and names", text)
    text, code = g.run("wget -T 20 -q -O - http://server.far.example/f | md5sum")
    ok(code == 0 and far.sum in text, f"{name}: a file from a server there, by its name", text)
    text, code = g.run("n=0; while ! ip -6 addr show dev eth0 | grep fd09:: | grep -vq tentative && [ $n -lt 100 ]; "
                       "do n=$((n+1)); usleep 100000; done; ping6 -c 1 -W 5 fd09::1")
    ok(code == 0, f"{name}: an IPv6 address by its advertisements", text)
    g.run("mkdir /tmp/www; echo of-the-guest >/tmp/www/f; httpd -p 80 -h /tmp/www")
    text = fetch(FAR, f"http://{mine}/f")
    ok("of-the-guest" in text, f"{name}: the far side reaches a server of the guest", text)
    text, code = g.run("kill -USR2 $(pidof udhcpc); usleep 500000; kill -USR1 $(pidof udhcpc); "
                       "n=0; while ! ip -4 addr show dev eth0 | grep -q inet && [ $n -lt 100 ]; do n=$((n+1)); usleep 100000; done")
    ok(address(g) == mine, f"{name}: the address is given back, and the same again on request", text)
    return g


def scripts():
    """A tap's own programs, in QEMU's words."""
    log = os.path.join(DIR, "scripts")
    path = {}
    for name, text in (("up", f'echo "up $1 $(cat /sys/class/net/$1/carrier)" >>{log}; ip link set "$1" master br0'),
                       ("down", f'echo "down $1 $(echo $(ls /sys/class/net/br0/brif))" >>{log}'), ("bad", "exit 3")):
        path[name] = os.path.join(DIR, name)
        with open(path[name], "w") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path[name], 0o755)
    run = lambda net: subprocess.run(inside(NEAR, QEMU, "-machine", "virt", "-m", "64M", "-S", "-display", "none", "-serial", "null", "-monitor",
                                            "stdio", "-kernel", KERNEL, "-device", "virtio-net-pci,netdev=n", "-netdev", f"tap,id=n,ifname=tap7,{net}"),
                                     input="quit\n", capture_output=True, text=True, timeout=120)
    out = run(f"script={path['up']},downscript={path['down']}")
    said = open(log).read().splitlines() if os.path.exists(log) else [""]
    ok(out.returncode == 0 and said[0].startswith("up tap7") and said[1:] == ["down tap7 tap7 v0"],
       "tap: script= and downscript= are run with the interface's name", (out, said))
    out = run(f"script={path['bad']},downscript=no")
    ok(out.returncode == 1 and f"network script {path['bad']} failed with status 768" in out.stderr, "tap: a script that fails ends it", out)


def main():
    far = Far()
    g = on_the_far_network("bridge by libpcap", "bridge:v0", far, "52:54:00:0a:00:01")
    ok("net0: the host itself and the guest do not reach each other over v0" in g.text, "bridge by libpcap: what cannot work is said at start", g.text)
    h = guest("bridge:v0", "52:54:00:0a:00:02")
    h.boot()
    theirs = address(h)
    text, code = g.run(f"wget -T 20 -q -O - http://server.far.example/f | md5sum; ping -c 1 -W 5 {theirs}")
    ok(theirs and theirs != address(g) and far.sum in text, "bridge by libpcap: a second guest has an address of its own", theirs)
    ok(g.close() and h.close(), "bridge by libpcap: the machines end well", g.text + h.text)

    g = on_the_far_network("behind the adapter's MAC", "bridge:v0,mac-nat=on", far, "52:54:00:0a:00:05")
    own = open_in(NEAR, "cat", "/sys/class/net/v0/address").strip()
    known = open_in(FAR, "ip", "neigh", "show", "dev", "v1")
    mine = [line for line in known.splitlines() if line.startswith(address(g) + " ") or "fe80::5054:ff:fe0a:5" in line]
    ok(mine and all(own in line for line in mine), "behind the adapter's MAC: it is the only one that the far side knows", known)
    ok("promiscuity 0" in open_in(NEAR, "ip", "-d", "link", "show", "v0"), "behind the adapter's MAC: which is not promiscuous for it")
    ok(g.close(), "behind the adapter's MAC: the machine ends well", g.text)

    for command in ("ip link add br0 type bridge", "ip link set v0 master br0", "ip addr add 10.9.0.2/24 dev br0", "ip link set br0 up"):
        code, text = call(NEAR, *command.split())
        if code:
            ok(True, f"tap on a bridge # SKIP this kernel has no bridges: {text}")
            far.end()
            return
    g = on_the_far_network("tap on a bridge", "bridge:br0", far, "52:54:00:0a:00:03")
    h = guest("bridge:br0", "52:54:00:0a:00:04")
    h.boot()
    text, code = g.run(f"ping -c 1 -W 5 {address(h)} && ping -c 1 -W 5 10.9.0.2")
    ok(code == 0, "tap on a bridge: the guest reaches another guest, and this host", text)
    text = fetch(NEAR, f"http://{address(g)}/f")
    ok("of-the-guest" in text, "tap on a bridge: and this host the guest", text)
    ok(g.close() and h.close(), "tap on a bridge: the machines end well", g.text + h.text)
    scripts()
    far.end()


main()
done()
