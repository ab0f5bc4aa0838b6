#!/usr/bin/env python3
"""Networks with a Linux guest: addresses, names, traffic both ways, forwards, captures, impairment, links, adapters.

TAP on stdout. Environment: GUISE, QEMU, KERNEL, INITRD (its script does what lines on the console say), UBOOT, DIR for files.
Servers of the host are this program's own, on loopback.
"""
import hashlib
import os
import re
import socket
import struct
import subprocess
import threading
import time
import zlib

from guests import DIR, INITRD, KERNEL, QEMU, Console, Guest, done, ok

UBOOT = os.environ["UBOOT"]


class Server:
    """A TCP server on loopback: handle(connection) in a thread for each."""

    def __init__(self, handle):
        self.handle = handle
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        with c:
            self.handle(c)


BLOB = os.urandom(65536) * 64 + os.urandom(77)
SUM = hashlib.md5(BLOB).hexdigest()


def fetch(port, request=b"GET /f HTTP/1.0\r\n\r\n", limit=30):
    try:
        with socket.create_connection(("127.0.0.1", port), limit) as s:
            s.sendall(request)
            data = b""
            while more := s.recv(65536):
                data += more
            return data
    except OSError as e:
        return str(e).encode()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def blocks(path):
    """The blocks of a pcapng file: (type, body); raises when it is not one."""
    data = open(path, "rb").read()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length % 4 or length < 12 or struct.unpack_from("<I", data, at + length - 4)[0] != length:
            raise ValueError(f"block at {at}: length {length}")
        yield kind, data[at + 8:at + length - 4]
        at += length


def defaults():
    capture = os.path.join(DIR, "default.pcapng")
    g = Guest("--net", f"nat,capture={capture}")
    text, _ = g.run("ip -4 addr show dev eth0")
    ok("inet 10.0.2.15/24" in text, "DHCP gives an address", text)
    text, _ = g.run("ip route; cat /etc/resolv.conf")
    ok("default via 10.0.2.2" in text and "nameserver 10.0.2.3" in text, "and a route and a name server", text)
    text, code = g.run("nslookup host.guise")
    ok(code == 0 and "10.0.2.2" in text, "the name host.guise resolves", text)
    text, code = g.run("ping -c 3 -i 0.1 10.0.2.2")
    ok(code == 0 and " 0% packet loss" in text, "the gateway answers ping", text)
    text, code = g.run("n=0; while ! ip -6 addr show dev eth0 | grep fec0:: | grep -vq tentative && [ $n -lt 100 ]; "
                       "do n=$((n+1)); usleep 100000; done; ip -6 addr show dev eth0; ping6 -c 1 fec0::2")
    ok(code == 0 and "inet6 fec0::" in text, "IPv6: an address by advertisement, and the gateway answers", text)
    info = g.ask("info network")
    ok("10.0.2.15" in info and "52:54:00:12:34:56" in info, "info network shows the lease", info)
    text, code = g.run(f"wget -T 5 -q -O - http://10.0.2.2:{free_port()}/")
    ok(code not in (0, None), "the host's loopback is not there unless asked for", text)
    ok(g.close(), "the machine ends well", g.text)
    try:
        all_blocks = list(blocks(capture))
        packets = [b for t, b in all_blocks if t == 6]
        ok(all_blocks[0][0] == 0x0a0d0d0a and len(packets) > 10, "the capture is pcapng with packets", len(packets))
        frames = b"".join(packets)
        ok(b"\x63\x82\x53\x63" in frames and b"\x04host\x05guise" in frames, "it holds the guest's DHCP and DNS")
    except (OSError, ValueError) as e:
        ok(False, "the capture is pcapng with packets", e)
        ok(False, "it holds the guest's DHCP and DNS")


def traffic(name, *options):
    """TCP both ways, with checksums; a forward given at start and one at run time."""
    got = {}

    def give(c):
        c.recv(4096)
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BLOB)

    def take(c):
        h = hashlib.md5()
        while data := c.recv(65536):
            h.update(data)
        got["sum"] = h.hexdigest()
        c.sendall(got["sum"].encode())

    giver, taker, port, later = Server(give), Server(take), free_port(), free_port()
    net, rest = options[0], options[1:]
    g = Guest("--net", f"{net},host-loopback=on,forward=tcp:{port}-80", *rest)
    text, _ = g.run(f"wget -q -O /tmp/f http://10.0.2.2:{giver.port}/; md5sum </tmp/f")
    ok(SUM in text, f"{name}: 4 MiB from a server of the host", text)
    text, _ = g.run(f"nc 10.0.2.2 {taker.port} </tmp/f")
    ok(got.get("sum") == SUM and SUM in text, f"{name}: and back, with the other half of the connection still open", text)
    g.run("mkdir /tmp/www; mv /tmp/f /tmp/www/f; httpd -p 80 -h /tmp/www")
    ok(hashlib.md5(fetch(port).split(b"\r\n\r\n", 1)[-1]).hexdigest() == SUM, f"{name}: a server of the guest through a forward")
    answer = g.ask(f"hostfwd_add tcp:127.0.0.1:{later}-:80")
    ok(hashlib.md5(fetch(later).split(b"\r\n\r\n", 1)[-1]).hexdigest() == SUM, f"{name}: and through one made later", answer)
    g.ask(f"hostfwd_remove tcp:127.0.0.1:{later}")
    ok(b"refused" in fetch(later), f"{name}: which is gone when it is removed")
    ok(g.close(), f"{name}: the machine ends well", g.text)


def cable():
    g = Guest("--net", "nat,id=up,delay=100ms")
    ping = lambda: g.run("ping -c 3 -i 0.2 -W 5 10.0.2.2")
    rtt = lambda text: float((re.search(r"= ([0-9.]+)/", text) or [0, "0"])[1])
    text, code = ping()
    ok(code == 0 and rtt(text) >= 200, "delay=100ms: a ping takes 200 ms", text)
    g.ask("net_set up off")
    text, code = ping()
    ok(code == 0 and 0 < rtt(text) < 200, "net_set off: no more", text)
    g.ask("net_set up drop=100%")
    text, code = g.run("ping -c 2 -i 0.2 -W 1 10.0.2.2")
    ok(code == 1, "drop=100%: nothing arrives", text)
    ok("drop=100%" in g.ask("info network up"), "info network says so")
    g.ask("net_set up off")
    wait = "n=0; while [ $(cat /sys/class/net/eth0/carrier) != {} ] && [ $n -lt 200 ]; do n=$((n+1)); usleep 50000; done; " \
           "cat /sys/class/net/eth0/carrier"
    g.ask("set_link up off")
    text, _ = g.run(wait.format(0))
    ok(text.strip() == "0", "set_link off: the guest sees no carrier", text)
    g.ask("set_link up on")
    text, _ = g.run(wait.format(1) + "; n=0; while ! ping -c 1 -W 1 10.0.2.2 >/dev/null && [ $n -lt 30 ]; do n=$((n+1)); done; echo PINGED $n")
    ok(text.strip().startswith("1") and "PINGED" in text and "PINGED 30" not in text, "set_link on: it is back", text)
    path = os.path.join(DIR, "late.pcapng")
    g.ask(f"net_capture up start {path} icmp")
    ping()
    g.ask("net_capture up stop")
    packets = [b for t, b in blocks(path) if t == 6] if os.path.exists(path) else []
    ok(len(packets) == 6, "net_capture with a filter: six frames of three pings", len(packets))
    ok(g.close(), "the machine ends well", g.text)


def jumbo():
    g = Guest("--net", "nat,mtu=9000,queues=4,net=192.168.7.0/24,domain=lab.example,lease=52:54:00:12:34:56=192.168.7.77/probe",
              "--cpus", "4")
    text, _ = g.run("ip addr show dev eth0; hostname; cat /etc/resolv.conf; ls -d /sys/class/net/eth0/queues/rx-*")
    ok("mtu 9000" in text, "mtu=9000 reaches the guest", text)
    ok("192.168.7.77/24" in text, "a fixed lease", text)
    ok("probe" in text and "lab.example" in text and "nameserver 192.168.7.3" in text, "names by DHCP", text)
    ok("rx-3" in text, "queues=4", text)
    text, code = g.run("ping -c 1 -s 8000 192.168.7.2")
    ok(code == 0, "a ping of 8000 bytes", text)
    ok(g.close(), "the machine ends well", g.text)


def e1000e():
    """Frames of 9000 bytes, which the driver receives in split descriptors, and the driver taken out and put in again."""
    def give(c):
        c.recv(4096)
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + BLOB)

    giver = Server(give)
    get = f"wget -q -O - http://10.0.2.2:{giver.port}/ | md5sum"
    g = Guest("--net", "nat,model=e1000e,mtu=9000,host-loopback=on")
    text, _ = g.run(f"cat /sys/class/net/eth0/mtu; ping -c 1 -s 8900 10.0.2.2 && {get}")
    ok("9000" in text and SUM in text, "e1000e: 4 MiB in frames of 9000 bytes", text)
    text, _ = g.run(f"for i in 1 2 3; do {get} >/dev/null & usleep 100000; rmmod e1000e && insmod /lib/modules/e1000e.ko; "
                    f"udhcpc -n -q -i eth0 -s /etc/udhcpc.sh >/dev/null 2>&1; done; {get}")
    ok(SUM in text, "e1000e: and after its driver was put in again, thrice, under traffic", text)
    ok(g.close(), "e1000e: the machine ends well", g.text)


def firmware():
    """U-Boot has a driver of its own: it polls, has one receive buffer at a time, and reads the EEPROM by its pins."""
    folder = os.path.join(DIR, "tftp")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "blob"), "wb") as f:
        f.write(BLOB[-300000:])
    g = Console([QEMU, "-machine", "virt", "-m", "256M", "-nographic", "-monitor", "none", "-kernel", UBOOT, "-netdev",
                 f"user,id=n,tftp={folder}", "-device", "e1000e,netdev=n"])
    if g.expect("Hit any key"):
        g.type(" ")
    g.expect("=> ")
    g.type("setenv autoload no; dhcp\n")
    ok(g.expect("bound to address 10.0.2.15"), "U-Boot's own driver for the e1000e: DHCP", g.text)
    g.type("setenv serverip 10.0.2.2; tftpboot 0x84000000 blob; crc32 0x84000000 ${filesize}\n")
    ok(g.expect(f"==> {zlib.crc32(BLOB[-300000:]):08x}"), "and a file by TFTP", g.text)
    g.type("poweroff\n")
    ok(g.expect("poweroff") and g.wait() == 0, "U-Boot ends well", g.text)


def qemu_words():
    """What tuxrun and syzkaller write; 10.0.2.2 is the host's loopback there, as QEMU has it."""
    port, busy = free_port(), Server(lambda c: c.sendall(b"here\n"))
    common = ["-machine", "virt", "-m", "256M", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel",
              KERNEL, "-initrd", INITRD, "-append", "console=ttyS0 quiet"]
    g = Guest("-net", "nic,model=virtio,macaddr=52:54:00:12:34:58", "-net", "user", program=[QEMU, *common])
    text, _ = g.run("ip addr show dev eth0")
    ok("52:54:00:12:34:58" in text and "10.0.2.15/24" in text, "tuxrun: -net nic -net user", text)
    text, _ = g.run(f"nc 10.0.2.2 {busy.port} </dev/null")
    ok("here" in text, "10.0.2.2 is the host", text)
    ok(g.close(), "the machine ends well", g.text)
    g = Guest("-device", "virtio-net-pci,netdev=net0", "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
              program=[QEMU, *common])
    g.run("echo answer >/tmp/a; (while :; do nc -l -p 22 </tmp/a; done) >/dev/null 2>&1 &")
    text = b""
    for _ in range(30):  # until nc listens
        text = fetch(port, b"")
        if b"answer" in text:
            break
        time.sleep(0.2)
    ok(b"answer" in text, "syzkaller: restrict=on with a forward", text)
    text, _ = g.run(f"nc -w 3 10.0.2.2 {busy.port} </dev/null")
    ok("here" not in text, "restrict=on keeps the host away", text)
    g.close()
    out = subprocess.run([QEMU, *common, "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{busy.port}-:22", "-device", "virtio-net-pci,netdev=n"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    ok(out.returncode == 1 and "ould not set up host forwarding rule" in out.stderr, "syzkaller's words for a port that is taken", out)


def internal():
    """Two guests of two processes on a network by name."""
    env = {"XDG_RUNTIME_DIR": DIR}
    a, b = (Guest("--net", "internal:lab", "--name", n, env=env) for n in ("alpha", "beta"))
    a.run("ip addr add 10.9.0.1/24 dev eth0; head -c 1000000 /dev/urandom >/tmp/f; httpd -p 80 -h /tmp")
    b.run("ip addr add 10.9.0.2/24 dev eth0")
    text, code = b.run("wget -T 20 -q -O /tmp/f http://10.9.0.1/f; md5sum </tmp/f")
    ours, _ = a.run("md5sum </tmp/f")
    ok(code == 0 and text.strip() == ours.strip(), "internal: one guest copies the other's file", text)
    ok("alpha" in b.ask("info network") or "beta" in a.ask("info network"), "info network names the members", b.ask("info network"))
    ok(a.close() and b.close(), "both machines end well", a.text + b.text)


defaults()
traffic("virtio, PCI", "nat")
traffic("virtio, mmio", "nat,bus=mmio")
traffic("e1000e", "nat,model=e1000e")
cable()
jumbo()
e1000e()
firmware()
qemu_words()
internal()
done()
