#!/usr/bin/env python3
"""The two ends that tests/system/net_host.sh runs in its namespaces.

  net_host.py serve                  answers on TCP and UDP port 7000 until its input ends
  net_host.py try ADDRESS MEGABYTES  sends and fetches that much by TCP, and datagrams of all sizes; 0: all came back right
  net_host.py tcp ADDRESS MEGABYTES  the same without datagrams
  net_host.py frames IF MAC COUNT    sends COUNT frames to MAC
  net_host.py helper ...             what qemu-bridge-helper does: a tap on --br=BRIDGE, sent over --fd=N
"""
import fcntl, hashlib, os, random, socket, struct, subprocess, sys, threading

PORT = 7000


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def pattern(size):
    return random.Random(size).randbytes(size)


def serve_tcp(c):
    with c, c.makefile('rwb') as f:
        size = struct.unpack('!Q', f.read(8))[0]
        got = f.read(size)
        f.write(hashlib.sha256(got).digest())
        f.write(pattern(size))
        f.flush()


def serve():
    tcp = socket.create_server(('::', PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(('::', PORT))

    def tcp_loop():
        while True:
            threading.Thread(target=serve_tcp, args=(tcp.accept()[0],), daemon=True).start()

    def udp_loop():
        while True:
            data, peer = udp.recvfrom(65536)
            udp.sendto(data, peer)

    for loop in tcp_loop, udp_loop:
        threading.Thread(target=loop, daemon=True).start()
    print('ready', flush=True)
    sys.stdin.read()


def try_tcp(address, size):
    data = pattern(size)
    with socket.create_connection((address, PORT), timeout=120) as c, c.makefile('rwb') as f:
        f.write(struct.pack('!Q', size) + data)
        f.flush()
        assert f.read(32) == hashlib.sha256(data).digest(), 'what was sent arrived otherwise'
        assert f.read(size) == data, 'what was fetched is otherwise'


def try_udp(address):
    with socket.socket(family(address), socket.SOCK_DGRAM) as u:
        u.settimeout(2)
        u.connect((address, PORT))
        for size in list(range(0, 64)) + [500, 1400, 1451, 1452, 1472, 1473, 3000, 20000]:
            for attempt in range(5):  # a datagram may be lost
                u.send(pattern(size))
                try:
                    while (back := u.recv(65536)) != pattern(size):
                        assert len(back) != size, 'a datagram came back otherwise'
                    break
                except TimeoutError:
                    assert attempt < 4, 'datagrams of %d bytes do not come back' % size


def frames(interface, mac, count):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((interface, 0))
        own = s.getsockname()[4]
        for _ in range(count):
            s.send(bytes.fromhex(mac.replace(':', '')) + own + b'\x88\xb5' + bytes(46))


def helper(arguments):
    options = dict(a[2:].split('=') for a in arguments if '=' in a)
    tap = os.open('/dev/net/tun', os.O_RDWR)
    flags = 0x0002 | 0x1000 | (0x4000 if '--use-vnet' in arguments else 0)  # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
    name = fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH22x', b'helped%d', flags))[:16].rstrip(b'\0').decode()
    subprocess.run(['ip', 'link', 'set', name, 'master', options['br'], 'up'], check=True)
    with socket.socket(fileno=int(options['fd'])) as s:
        socket.send_fds(s, [b'\0'], [tap])


if __name__ == '__main__':
    what, rest = sys.argv[1], sys.argv[2:]
    if what == 'serve':
        serve()
    elif what in ('try', 'tcp'):
        try_tcp(rest[0], int(float(rest[1]) * 1e6))
        if what == 'try':
            try_udp(rest[0])
    elif what == 'frames':
        frames(rest[0], rest[1], int(rest[2]))
    elif what == 'helper':
        helper(rest)
