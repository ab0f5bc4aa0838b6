/*
 * Echo where the host has no ICMP sockets for us: the far end is asked by what we have, a UDP datagram to a port where
 * nobody listens (traceroute's) and a TCP connection, and a reply is made when it answers one of them.
 *
 * So a reply still means that the far end is there, and comes after a real round trip; no answer is no reply. Hops and
 * errors of the UDP datagram pass as those of the echo would have. The log and `info` say that replies are synthesised.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "netstack/nat_icmp.h"
#include "netstack/nat_relay.h"

enum {
    UDP_PORT = 33434, /* RFC 1393's traceroute counts up from here */
    UDP_PORTS = 90,
    TCP_PORT = 443,
    BATCH = 8,
};
static const uint64_t PATIENCE = 5 * NS_PER_SEC;

struct probe {
    struct nat_flow flow; /* first */
    struct nat *nat;
    struct net_addr guest, dst;
    uint8_t h[ICMP_HLEN];
    int udp, tcp; /* -1: none, or no more */
    size_t len;
    uint8_t data[];
};

static void drop_socket(struct probe *b, int *fd)
{
    if (*fd < 0)
        return;
    loop_remove(b->nat->env.loop, *fd);
    nat_close(b->nat, *fd);
    *fd = -1;
}

static void end(struct nat_flows *t, struct nat_flow *f)
{
    struct probe *b = (struct probe *)f;

    nat_flows_remove(t, f);
    drop_socket(b, &b->udp);
    drop_socket(b, &b->tcp);
    free(b);
}

bool nat_probe_init(struct nat_icmp *i, unsigned cap)
{
    bool ok = nat_flows_init(&i->probes, i->nat->env.clock, cap, end);

    i->probes.list[0].timeout = PATIENCE;
    return ok;
}

void nat_probe_counts(const struct nat_icmp *i, struct nat_counts *c)
{
    for (const struct nat_flow *f = i->probes.list[0].oldest; f; f = f->newer)
        c->memory += ((const struct probe *)f)->len;
}

/* --- answers --------------------------------------------------------------------------------------------------- */

static void alive(struct probe *b)
{
    struct nat *n = b->nat;

    n->icmp->synthesised++;
    nat_flows_remove(&n->icmp->probes, &b->flow); /* first: a send may come back here */
    nat_echo_reply(n, &b->dst, &b->guest, 0, ld32be(b->h + 4), b->data, b->len);
    drop_socket(b, &b->udp);
    drop_socket(b, &b->tcp);
    free(b);
}

/* What the UDP datagram met on its way is what the echo would have met. true: b is gone. */
static bool errors(struct probe *b)
{
    struct nat_host_error e;
    struct nat_quote q = {.guest = b->guest, .dst = b->dst};

    q.proto = net_addr_is4(&b->guest) ? IP_PROTO_ICMP : IP_PROTO_ICMP6;
    memcpy(q.head, b->h, ICMP_HLEN);
    for (unsigned i = 0; i < BATCH && nat_relay_read(b->udp, &e); i++) {
        if (nat_relay_alive(&e)) {
            alive(b);
            return true;
        }
        e.len = 0; /* the datagram's bytes are not the echo's */
        nat_relay_send(b->nat, &e, &q);
    }
    return false;
}

static void udp_event(void *arg, int fd, unsigned events)
{
    struct probe *b = arg;
    uint8_t byte;
    int error;
    socklen_t len = sizeof error;

    if (events & LOOP_HUP && errors(b))
        return;
    if (events & LOOP_HUP) /* one without a packet in the queue would be reported for ever */
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (events & LOOP_IN && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        alive(b);
}

static void tcp_event(void *arg, int fd, unsigned events)
{
    struct probe *b = arg;
    int error = 0;
    socklen_t len = sizeof error;

    (void)events;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (!error || error == ECONNREFUSED)
        alive(b);
    else
        drop_socket(b, &b->tcp);
}

/* --- questions ------------------------------------------------------------------------------------------------- */

static int open_probe(struct probe *b, const struct nat_echo *e, int type, uint16_t port)
{
    struct nat_shape shape = {0};
    struct net_addr to;
    struct sockaddr_storage sa;
    uint16_t old;
    socklen_t len;
    int fd = nat_socket(b->nat, e->to.ss_family, type, 0);
    struct linger reset = {.l_onoff = 1};

    if (fd < 0)
        return -1;
    to = net_addr_of_sock(&e->to, &old);
    len = net_addr_to_sock(&to, port, &sa);
    nat_shape_apply(fd, &shape, e->ip);
    if (type == SOCK_DGRAM)
        nat_relay_enable(fd, e->to.ss_family);
    else
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!connect(fd, (struct sockaddr *)&sa, len) || errno == EINPROGRESS)
        return fd;
    nat_close(b->nat, fd);
    return -1;
}

static bool watch(struct probe *b)
{
    struct loop *l = b->nat->env.loop;
    struct err e;

    if (b->udp >= 0 && !loop_add(l, b->udp, LOOP_IN, udp_event, b, &e)) {
        nat_close(b->nat, b->udp);
        b->udp = -1;
    }
    if (b->tcp >= 0 && !loop_add(l, b->tcp, LOOP_OUT, tcp_event, b, &e)) {
        nat_close(b->nat, b->tcp);
        b->tcp = -1;
    }
    return b->udp >= 0 || b->tcp >= 0;
}

static void ask(struct probe *b, const struct nat_echo *e)
{
    uint16_t seq = ld16be(b->h + 6);

    b->udp = open_probe(b, e, SOCK_DGRAM, (uint16_t)(UDP_PORT + seq % UDP_PORTS));
    if (b->udp < 0)
        nat_icmp_error(b->nat, e->ip, nat_unreach_of(errno), 0);
    b->tcp = b->udp < 0 ? -1 : open_probe(b, e, SOCK_STREAM, TCP_PORT);
    if (!watch(b))
        end(&b->nat->icmp->probes, &b->flow);
    else if (b->udp >= 0 && send(b->udp, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != ECONNREFUSED)
        drop_socket(b, &b->udp);
}

void nat_probe_request(struct nat *n, const struct nat_echo *e)
{
    struct nat_flows *t = &n->icmp->probes;
    size_t len = e->p->len;
    struct probe *b = malloc(sizeof *b + len);

    if (!b)
        return;
    *b = (struct probe){.nat = n, .guest = e->ip->src, .dst = e->ip->dst, .udp = -1, .tcp = -1};
    memcpy(b->h, e->h, ICMP_HLEN);
    b->len = packet_copy(e->p, 0, b->data, len);
    if (nat_flows_add(t, &b->flow, nat_flow_hash(&b->guest, ld16be(b->h + 4), NULL, ld16be(b->h + 6)), e->ip->mac, 0))
        ask(b, e);
    else
        free(b);
}
