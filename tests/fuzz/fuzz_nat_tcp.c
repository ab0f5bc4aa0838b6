/*
 * TCP of the NAT: segments of a guest, calls of the far peers, time, a far end without room, in any order.
 *
 * No network is touched: a connect gives one end of a pair of unix sockets. Numbers of segments are near those of the flow
 * they are for, else nothing would ever be in a window. After each operation every flow is checked for what always holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/gate.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/nat_tcp_int.h"
#include "tests/fuzz/machine.h"

enum { PEERS = 8, PORTS = 3, HEADERS = 14 + 20, OPERATIONS = 400 };

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

struct fuzz_tcp {
    struct net_env env;
    struct nat *nat;
    struct nat_tcp *t;
    struct net_port port;
    struct net_cable *cable;
    unsigned room; /* frames that are taken before there is none */
    int peer[PEERS];
    unsigned peers;
    int connect_error;
};

static struct fuzz_tcp z;
static uint8_t junk[70000];

/* --- both ends ------------------------------------------------------------------------------------------------------- */

static int pair(void)
{
    int fd[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
        abort();
    if (z.peer[z.peers % PEERS] >= 0)
        close(z.peer[z.peers % PEERS]);
    z.peer[z.peers++ % PEERS] = fd[0];
    return nat_adopt(z.nat, fd[1]);
}

static int fake_connect(struct nat_tcp *t, const struct sockaddr_storage *to, socklen_t len)
{
    (void)t;
    (void)to;
    (void)len;
    errno = z.connect_error;
    return z.connect_error ? -1 : pair();
}

static bool receive(struct net_port *p, const struct net_frame *f)
{
    (void)p;
    (void)f;
    if (!z.room)
        return false;
    z.room--;
    return true;
}

static const struct net_port_ops ops = {"fuzz", receive, NULL, NULL};

static void nothing(void *arg) { (void)arg; }

static void turn(void)
{
    for (unsigned i = 0; i < 2; i++) {
        loop_post(z.env.loop, nothing, NULL);
        loop_turn(z.env.loop);
    }
}

/* --- operations ------------------------------------------------------------------------------------------------------ */

static struct tcp_flow *flow_at(unsigned port)
{
    struct tcp_key k = {.guest = net_addr_of4(0x0a00020f), .peer = net_addr_of4(0xc0000201), .guest_port = (uint16_t)(1000 + port),
                        .peer_port = 80};

    return tcp_table_find(z.t, &k);
}

static uint32_t seq_near(const struct tcp_flow *f, unsigned how, int32_t off)
{
    if (!f)
        return (uint32_t)off;
    switch (how % 4) {
    case 0: return f->rcv + (uint32_t)off;
    case 1: return f->irs + (uint32_t)off;
    case 2: return f->adv + (uint32_t)off;
    default: return f->rcv;
    }
}

static uint32_t ack_near(const struct tcp_flow *f, unsigned how, int32_t off)
{
    if (!f)
        return (uint32_t)off;
    switch (how % 4) {
    case 0: return f->nxt + (uint32_t)off;
    case 1: return f->una + (uint32_t)off;
    case 2: return f->iss + (uint32_t)off;
    default: return f->nxt;
    }
}

static int32_t offset(struct fuzz_in *in)
{
    int32_t off = (int8_t)fuzz_take(in, 1);

    return off < -100 ? off * 4096 : off > 100 ? off * 8192 : off;
}

static void ip_header(uint8_t *h, size_t len)
{
    memcpy(h, z.nat->mac, 6);
    memcpy(h + 6, guest_mac, 6);
    st16be(h + 12, 0x0800);
    memset(h + 14, 0, 20);
    h[14] = 0x45;
    st16be(h + 16, (uint16_t)(20 + len));
    h[22] = 64;
    h[23] = IP_PROTO_TCP;
    st32be(h + 26, 0x0a00020f);
    st32be(h + 30, 0xc0000201);
    st16be(h + 24, csum_fold(csum_add(0, h + 14, 20)));
}

/* SACK blocks near what is on its way, or the input's bytes as they are. */
static unsigned options(struct fuzz_in *in, const struct tcp_flow *f, uint8_t *o)
{
    unsigned kind = (unsigned)fuzz_take(in, 1), n = kind % 4;

    if (kind & 0x80 && f && n) {
        st32be(o, 1 << 24 | 1 << 16 | 5 << 8 | (2 + 8 * n));
        for (unsigned i = 0; i < n; i++) {
            st32be(o + 4 + 8 * i, f->una + (uint32_t)offset(in));
            st32be(o + 8 + 8 * i, f->una + (uint32_t)offset(in) + 50);
        }
        return 4 + 8 * n;
    }
    for (unsigned i = 0; i < 4 * n; i++)
        o[i] = (uint8_t)fuzz_take(in, 1);
    return 4 * n;
}

static void op_segment(struct fuzz_in *in)
{
    unsigned what = (unsigned)fuzz_take(in, 1), port = what % PORTS, hlen;
    struct tcp_flow *f = flow_at(port);
    uint8_t h[HEADERS + 60] = {0}, *t = h + HEADERS;
    size_t len = (size_t)fuzz_take(in, 1);
    struct iovec iov[2] = {{h, 0}, {junk, 0}};
    struct net_frame nf = {.iov = iov, .iovcnt = 2, .flags = NET_CSUM_VALID};

    st16be(t, (uint16_t)(1000 + port));
    st16be(t + 2, 80);
    st32be(t + 4, seq_near(f, what >> 2, offset(in)));
    st32be(t + 8, ack_near(f, what >> 4, offset(in)));
    t[13] = (uint8_t)fuzz_take(in, 1);
    st16be(t + 14, (uint16_t)(fuzz_take(in, 1) * 257));
    hlen = TCP_HLEN + options(in, f, t + TCP_HLEN);
    t[12] = (uint8_t)((what & 0xc0) == 0xc0 ? fuzz_take(in, 1) : hlen / 4 << 4);
    len = len > 200 ? (len - 200) * 1100 : len;
    ip_header(h, hlen + len);
    iov[0].iov_len = HEADERS + hlen;
    iov[1].iov_len = len;
    nf.len = HEADERS + hlen + len;
    if (len > 1400) {
        nf.flags = NET_CSUM_PARTIAL;
        nf.gso = NET_GSO_TCP4;
        nf.gso_size = 1400;
        nf.csum_start = HEADERS;
        nf.csum_offset = 16;
        nf.header_len = (uint16_t)(HEADERS + hlen);
    }
    net_port_send(&z.port, &nf);
}

static void op_forward(struct fuzz_in *in)
{
    struct net_addr from = net_addr_of4(0xc0000201), guest = net_addr_of4(0x0a00020f);

    nat_tcp_forwarded(z.nat, pair(), &from, 80, &guest, (uint16_t)(1000 + fuzz_take(in, 1) % PORTS));
}

static void op_peer(struct fuzz_in *in)
{
    unsigned what = (unsigned)fuzz_take(in, 1);
    int fd = z.peer[what % PEERS];
    size_t n = (size_t)fuzz_take(in, 1) * ((what >> 4) & 1 ? 257 : 1);

    if (fd < 0)
        return;
    switch (what >> 5) {
    case 0:
    case 1: send(fd, junk, n, MSG_NOSIGNAL | MSG_DONTWAIT); break;
    case 2:
    case 3: recv(fd, junk, n + 1, MSG_DONTWAIT); break;
    case 4: shutdown(fd, SHUT_WR); break;
    case 5: shutdown(fd, SHUT_RD); break;
    case 6:
        close(fd);
        z.peer[what % PEERS] = -1;
        break;
    }
}

static void op_time(struct fuzz_in *in)
{
    unsigned n = (unsigned)fuzz_take(in, 1) % 44; /* up to 2.4 hours */

    clock_advance(z.env.clock, UINT64_C(1) << n);
}

static void op_room(struct fuzz_in *in)
{
    unsigned room = (unsigned)fuzz_take(in, 1);
    bool had = z.room;

    z.room = room < 128 ? room % 4 : 1000000;
    if (!had && z.room)
        net_port_room(&z.port);
}

static void operation(struct fuzz_in *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1);

    switch (op % 16) {
    case 8:
    case 9:
    case 10: op_peer(in); break;
    case 11:
    case 12: op_time(in); break;
    case 13: op_room(in); break;
    case 14: op_forward(in); break;
    case 15: z.connect_error = fuzz_take(in, 1) % 8 ? 0 : ECONNREFUSED; break;
    default: op_segment(in);
    }
    if (op & 0x80)
        turn();
}

/* --- what always holds ------------------------------------------------------------------------------------------------- */

#define must(x) must_hold(x, #x)

static void must_hold(bool x, const char *what)
{
    if (x)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static void check_ranges(uint32_t first, const uint32_t (*r)[2], unsigned n, uint32_t last)
{
    for (unsigned i = 0; i < n; i++) {
        must(seq_le(first, r[i][0]) && seq_lt(r[i][0], r[i][1]));
        first = r[i][1];
    }
    must(seq_le(first, last));
}

static void check_flow(const struct tcp_flow *f)
{
    must(f->state < FLOW_DEAD && f->mss >= (f->synced ? TCP_MSS_MIN : 0));
    must(seq_le(f->una, f->nxt) && (f->fd < 0 || f->state <= FLOW_SYN_RCVD || seq_le(f->head, f->nxt)));
    must((f->fd >= 0) == (f->state != FLOW_TIME_WAIT && f->state != FLOW_RESET));
    must(seq_le(f->taken, f->rcv) && f->rcv - f->taken <= TCP_RING_MAX + 1);
    check_ranges(f->una, f->sack, f->sacks, f->nxt);
    if (f->ring) {
        must(f->ring->ranges && f->ring->size <= TCP_RING_MAX);
        check_ranges(f->taken, f->ring->range, f->ring->ranges, f->taken + f->ring->size);
    }
    must(tcp_pipe(f) <= f->nxt - f->una);
}

static void check(void)
{
    unsigned n = 0;
    uint64_t held = 0;

    for (uint32_t i = 0; i <= z.t->mask; i++)
        for (const struct tcp_flow *f = z.t->buckets[i]; f; f = f->chain) {
            check_flow(f);
            held += f->ring ? f->ring->size : 0;
            n++;
        }
    must(n == z.t->count && n <= z.t->cap && held == z.t->held);
}

/* --- */

/* The gateway lasts, its TCP is made anew for each input. */
static void begin_once(void)
{
    struct nat_config c = {.flows_max = 4, .no_ipv6 = true, .resolv_conf = "/dev/null"};
    struct err e;

    z.env.clock = clock_new_fake();
    z.env.loop = loop_new(z.env.clock, &e);
    z.env.log = log_new();
    z.env.gate = gate_new(z.env.clock);
    z.nat = nat_new(&z.env, &c, &e);
    must(z.nat);
    z.port = (struct net_port){.ops = &ops, .name = "fuzz", .can = NET_CAN_ALL};
    z.cable = net_cable_new(&z.env, "fuzz", &z.port, nat_port(z.nat), &e);
    must(z.cable);
}

static void begin(unsigned flags)
{
    if (!z.nat)
        begin_once();
    nat_tcp_free(z.nat->tcp);
    gate_set_seed(z.env.gate, 1);
    z.t = z.nat->tcp = nat_tcp_new(z.nat);
    must(z.t);
    memset(z.peer, -1, sizeof z.peer);
    z.peers = 0;
    z.connect_error = 0;
    z.room = 1000000;
    net_port_room(&z.port);
    z.t->connect = fake_connect;
    z.t->no_peek_off = flags & 1;
    z.port.mtu = flags & 2 ? 65535 : 1500;
    nat_neighbour_learn(z.nat, &(struct net_addr){{[10] = 0xff, 0xff, 10, 0, 2, 15}}, guest_mac);
}

static void end(void)
{
    while (tcp_table_evict(z.t))
        ;
    turn();
    must(!z.nat->sockets && !z.t->held && !z.t->guests);
    for (unsigned i = 0; i < PEERS; i++)
        if (z.peer[i] >= 0)
            close(z.peer[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};

    begin((unsigned)fuzz_take(&in, 1));
    for (unsigned i = 0; i < OPERATIONS && in.left; i++) {
        operation(&in);
        check();
    }
    turn();
    check();
    end();
    return 0;
}
