/*
 * The NAT's lower layers: Ethernet, ARP, neighbour discovery, IPv4, IPv6, fragments, ICMP, UDP, with peers that answer.
 *
 * The input is a list of operations: frames as they are, or with addresses and sums put right so that they come further in;
 * the clock moved, the guest's room taken away, peers and clients of forwards that speak.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/nat.h"
#include "tests/fuzz/nat_fuzz.h"

enum { LONGEST = 4096, OPERATIONS = 64 };

static struct nat_fuzz z;
static int peer, client; /* at 192.0.2.7:7, and one of the forward at 127.0.0.1:5000; -1: none */
static struct nat_forward forward;

static int bound(const char *addr, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(addr)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* What the peer got goes back, at most n of them. */
static void answer(unsigned n)
{
    uint8_t buf[2048];
    struct sockaddr_in from;

    for (unsigned i = 0; i < n && peer >= 0; i++) {
        socklen_t len = sizeof from;
        ssize_t got = recvfrom(peer, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);

        if (got < 0)
            return;
        sendto(peer, buf, (size_t)got, 0, (struct sockaddr *)&from, len);
    }
}

static void put_eth(uint8_t *b, uint16_t type, uint8_t flags)
{
    static const uint8_t gateway[6] = {0x52, 0x55, 10, 0, 2, 2}, guest[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

    memcpy(b, gateway, 6);
    if (flags & 1)
        memset(b, type == 0x86dd ? 0x33 : 0xff, 6);
    memcpy(b + 6, guest, 6);
    b[11] ^= flags >> 6;
    st16be(b + 12, type);
}

/* Addresses that come further: a guest's, and one of those that there are. */
static void put_addresses(uint8_t *ip, size_t len, uint8_t pick)
{
    static const uint8_t to4[8][4] = {{10, 0, 2, 2},  {10, 0, 2, 3},  {192, 0, 2, 7},   {255, 255, 255, 255},
                                      {10, 0, 2, 77}, {127, 0, 0, 1}, {203, 0, 113, 1}, {10, 0, 2, 100}};
    static const uint8_t to6[4][16] = {
        {0xfe, 0xc0, [15] = 2}, {0x20, 1, 0xd, 0xb8, [15] = 1}, {0xff, 2, [15] = 2}, {0xfe, 0x80, [15] = 2}};

    if (len >= 20 && ip[0] >> 4 == 4) {
        st32be(ip + 12, 0x0a00020f);
        memcpy(ip + 16, to4[pick & 7], 4);
    } else if (len >= 40 && ip[0] >> 4 == 6) {
        memset(ip + 8, 0, 16);
        st16be(ip + 8, pick & 8 ? 0xfe80 : 0xfec0);
        ip[23] = 15;
        memcpy(ip + 24, to6[pick & 3], 16);
    }
}

static size_t take_bytes(struct fuzz_in *in, uint8_t *to)
{
    size_t n = fuzz_take(in, 2) % LONGEST;

    n = n < in->left ? n : in->left;
    memcpy(to, in->p, n);
    in->p += n;
    in->left -= n;
    return n;
}

static void send_packet(struct fuzz_in *in, bool mend)
{
    uint8_t b[ETH_HLEN + LONGEST], flags = (uint8_t)fuzz_take(in, 1), pick = (uint8_t)fuzz_take(in, 1);
    size_t len = take_bytes(in, b + ETH_HLEN);
    uint8_t *ip = b + ETH_HLEN;
    uint16_t type = len && ip[0] >> 4 == 6 ? 0x86dd : len && ip[0] >> 4 == 4 ? 0x0800 : 0x0806;

    put_eth(b, type, flags);
    if (mend && len) {
        put_addresses(ip, len, pick);
        nat_fuzz_mend(ip, len);
    }
    nat_fuzz_send(&z, b, ETH_HLEN + len, flags & 2 ? 1 + (pick >> 4) : 0);
}

/* One that stands for several, or whose sum is left to the receiver. */
static void send_offload(struct fuzz_in *in)
{
    uint8_t b[ETH_HLEN + LONGEST], gso = (uint8_t)fuzz_take(in, 1), pick = (uint8_t)fuzz_take(in, 1);
    struct iovec iov = {b, 0};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .flags = gso >> 4, .gso = gso % 5};
    size_t len;

    f.gso_size = (uint16_t)fuzz_take(in, 2);
    f.csum_start = (uint16_t)(fuzz_take(in, 1) % 64);
    f.csum_offset = (uint16_t)(fuzz_take(in, 1) % 20);
    len = take_bytes(in, b + ETH_HLEN);
    put_eth(b, len && b[ETH_HLEN] >> 4 == 6 ? 0x86dd : 0x0800, 0);
    put_addresses(b + ETH_HLEN, len, pick);
    nat_fuzz_mend(b + ETH_HLEN, len);
    iov.iov_len = f.len = ETH_HLEN + len;
    nat_fuzz_send_frame(&z, &f);
}

static void speak(struct fuzz_in *in)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned what = (unsigned)fuzz_take(in, 1);
    struct err e;

    if (what & 1)
        nat_forward_add(z.nat, &forward, &e);
    if (what & 2 && client >= 0)
        sendto(client, "client", what >> 5, 0, (struct sockaddr *)&to, sizeof to);
    if (what & 4)
        answer(1 + what / 16);
    if (what & 8)
        nat_forward_remove(z.nat, &forward, &e);
    nat_fuzz_turn(&z);
}

static void operation(struct fuzz_in *in)
{
    uint8_t raw[LONGEST];
    size_t len;

    switch (fuzz_take(in, 1) % 8) {
    case 0:
        len = take_bytes(in, raw);
        nat_fuzz_send(&z, raw, len, 0);
        break;
    case 1: send_packet(in, false); break;
    case 2:
    case 3: send_packet(in, true); break;
    case 4: send_offload(in); break;
    case 5:
        clock_advance(z.env.clock, fuzz_take(in, 1) * (NS_PER_SEC / 4));
        nat_fuzz_turn(&z);
        break;
    case 6: nat_fuzz_room(&z, (unsigned)fuzz_take(in, 1) % 4); break;
    case 7: speak(in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    uint8_t how = (uint8_t)fuzz_take(&in, 1);
    struct nat_config c = {.host_loopback = how & 1,
                           .restrict_ = (how & 0x0e) == 0x0e,
                           .flows_max = how & 16 ? 3 : 40,
                           .no_ipv6 = (how & 0x60) == 0x60};
    struct err e;
    struct net_addr fwd = net_addr_of4(0x0a000264);

    nat_fuzz_begin(&z, &c);
    nat_guestfwd_add(z.nat, fwd, 80, "tcp:127.0.0.1:1", &e);
    peer = bound("192.0.2.7", 7);
    client = bound("127.0.0.1", 0);
    forward = (struct nat_forward){.udp = true, .host_port = 5000, .guest_port = 53};
    for (unsigned i = 0; i < OPERATIONS && in.left; i++)
        operation(&in);
    if (peer >= 0)
        close(peer);
    if (client >= 0)
        close(client);
    nat_fuzz_end(&z);
    return 0;
}
