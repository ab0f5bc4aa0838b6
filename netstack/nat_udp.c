/*
 * UDP flows and the guests' side of them: see nat_udp.h.
 *
 * A datagram is first offered to the services, then to the forward whose client it answers, then to the world.
 * Source: RFC 768, RFC 4787.
 */
#include "netstack/nat_udp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

enum {
    PORT_DNS = 53,
    PORT_DYNAMIC = 49152, /* RFC 6335 */
    VIEWS = 4,            /* ports under which clients with one address are told apart */
};

static struct nat_udp_flow *flow_of(struct nat_flow *f) { return (struct nat_udp_flow *)f; }
static bool is_client(const struct nat_udp_flow *f) { return f->client.ss_family != 0; }

/* --- life of flows --------------------------------------------------------------------------------------------- */

static void unlink_forward(struct nat_udp *u, struct nat_udp_sock *s)
{
    struct nat_udp_sock **p = &u->forwards;

    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    nat_udp_sock_free(s);
}

static void end(struct nat_flows *t, struct nat_flow *flow)
{
    struct nat_udp_flow *f = flow_of(flow);
    struct nat_udp_sock *s = f->sock;
    struct nat_udp *u = s->nat->udp;

    nat_flows_remove(t, flow);
    if (!is_client(f)) {
        nat_udp_sock_free(s);
    } else {
        u->clients--;
        s->clients--;
        if (s->ended && !s->clients)
            unlink_forward(u, s);
    }
    free(f);
}

struct nat_udp *nat_udp_new(struct nat *n)
{
    struct nat_udp *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->nat = n;
    if (!nat_flows_init(&u->flows, n->env.clock, n->c.flows_max ? n->c.flows_max : 1024, end) ||
        !nat_udp_batch_init(u)) {
        nat_udp_free(u);
        return NULL;
    }
    u->flows.list[UDP_LIST_LONG].timeout = 120 * NS_PER_SEC;
    u->flows.list[UDP_LIST_SHORT].timeout = 5 * NS_PER_SEC;
    return u;
}

void nat_udp_free(struct nat_udp *u)
{
    if (!u)
        return;
    nat_flows_fini(&u->flows);
    while (u->forwards)
        unlink_forward(u, u->forwards);
    free(u->batch.buf);
    free(u);
}

/* --- flows of guests ------------------------------------------------------------------------------------------- */

static int open_socket(struct nat *n, int family)
{
    int one = 1, fd = nat_socket(n, family, SOCK_DGRAM, 0);

    if (fd < 0 && errno == EMFILE && nat_flows_evict(&n->udp->flows))
        fd = nat_socket(n, family, SOCK_DGRAM, 0);
    if (fd >= 0 && family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    return fd;
}

/* NULL with errno. */
static struct nat_udp_flow *begin(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint32_t hash)
{
    int family = ip->is4 ? AF_INET : AF_INET6, fd = open_socket(n, family);
    struct nat_udp_sock *s;
    struct nat_udp_flow *f;

    if (fd < 0)
        return NULL;
    s = nat_udp_sock_new(n, fd, family);
    f = s ? calloc(1, sizeof *f) : NULL;
    if (f) {
        *f = (struct nat_udp_flow){.sock = s, .guest = ip->src, .guest_port = sport};
        s->flow = f;
        if (nat_flows_add(&n->udp->flows, &f->flow, hash, ip->mac, UDP_LIST_SHORT))
            return f;
    }
    free(f);
    if (s)
        nat_udp_sock_free(s);
    errno = ENOMEM;
    return NULL;
}

static struct nat_udp_flow *find_guest(const struct nat_udp *u, const struct net_addr *guest, uint16_t port,
                                       uint32_t hash)
{
    for (struct nat_flow *f = nat_flows_first(&u->flows, hash); f; f = nat_flows_next(f)) {
        struct nat_udp_flow *v = flow_of(f);

        if (!is_client(v) && v->guest_port == port && net_addr_equal(&v->guest, guest))
            return v;
    }
    return NULL;
}

/* --- flows of forwards ----------------------------------------------------------------------------------------- */

static struct nat_udp_flow *find_client(const struct nat_udp *u, const struct net_addr *guest, uint16_t port,
                                        const struct net_addr *peer, uint16_t peer_port)
{
    struct nat_flow *f = nat_flows_first(&u->flows, nat_flow_hash(guest, port, peer, peer_port));

    for (; f; f = nat_flows_next(f)) {
        struct nat_udp_flow *v = flow_of(f);

        if (is_client(v) && v->guest_port == port && v->peer_port == peer_port && net_addr_equal(&v->guest, guest) &&
            net_addr_equal(&v->peer, peer))
            return v;
    }
    return NULL;
}

/* The port a client has for the guest: its own, or another when two clients look alike (both on the host's loopback). */
static uint16_t view_port(uint16_t port, const struct sockaddr_storage *from, unsigned try)
{
    uint16_t p;
    struct net_addr a = net_addr_of_sock(from, &p);

    if (!try)
        return port;
    return (uint16_t)(PORT_DYNAMIC + nat_flow_hash(&a, p, NULL, (uint16_t)try) % (65536 - PORT_DYNAMIC));
}

static bool same_client(const struct nat_udp_flow *f, const struct nat_udp_sock *s, const struct sockaddr_storage *from)
{
    uint16_t port, other;
    struct net_addr a = net_addr_of_sock(from, &port), b = net_addr_of_sock(&f->client, &other);

    return f->sock == s && port == other && net_addr_equal(&a, &b);
}

static struct nat_udp_flow *new_client(struct nat_udp_sock *s, const struct nat_udp_flow *like)
{
    struct nat_udp *u = s->nat->udp;
    struct nat_udp_flow *f = malloc(sizeof *f);
    uint32_t hash = nat_flow_hash(&like->guest, like->guest_port, &like->peer, like->peer_port);

    if (!f)
        return NULL;
    *f = *like;
    s->clients++; /* before a flow of the same socket is evicted: it stays open */
    u->clients++;
    if (nat_flows_add(&u->flows, &f->flow, hash, NULL, UDP_LIST_LONG))
        return f;
    s->clients--;
    u->clients--;
    free(f);
    return NULL;
}

struct nat_udp_flow *nat_udp_client(struct nat_udp_sock *s, const struct sockaddr_storage *from, socklen_t len,
                                    bool make)
{
    struct nat_udp_flow like = {
        .sock = s, .guest = nat_forward_guest(s->nat, &s->forward), .guest_port = s->forward.guest_port};
    unsigned spare = VIEWS;
    uint16_t port;

    net_addr_of_sock(from, &port);
    like.peer = nat_guest_view_for(s->nat, from, &like.guest);
    for (unsigned i = VIEWS; i-- > 0;) {
        struct nat_udp_flow *f;

        like.peer_port = view_port(port, from, i);
        f = find_client(s->nat->udp, &like.guest, like.guest_port, &like.peer, like.peer_port);
        if (f && same_client(f, s, from))
            return f;
        if (!f)
            spare = i;
    }
    if (!make || spare == VIEWS || s->ended || net_addr_none(&like.guest))
        return NULL;
    like.peer_port = view_port(port, from, spare);
    like.client = *from;
    like.client_len = len;
    return new_client(s, &like);
}

bool nat_udp_forward(struct nat *n, int fd, const struct nat_forward *f)
{
    struct nat_udp_sock *s = nat_udp_sock_new(n, fd, net_addr_is4(&f->host_addr) ? AF_INET : AF_INET6);
    int on = 1;

    if (!s)
        return false;
    s->forward = *f;
    if (s->family == AF_INET) /* to answer from the address that was spoken to */
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    s->next = n->udp->forwards;
    n->udp->forwards = s;
    return true;
}

void nat_udp_forward_end(struct nat *n, int fd)
{
    for (struct nat_udp_sock *s = n->udp->forwards; s; s = s->next) {
        if (s->fd != fd)
            continue;
        s->ended = true;
        if (!s->clients)
            unlink_forward(n->udp, s);
        return;
    }
}

int nat_udp_forward_again(struct nat *n, const struct nat_forward *f)
{
    for (struct nat_udp_sock *s = n->udp->forwards; s; s = s->next)
        if (s->ended && nat_forward_same_host(&s->forward, f)) {
            s->ended = false;
            s->forward = *f;
            return s->fd;
        }
    return -1;
}

/* --- what guests send ------------------------------------------------------------------------------------------ */

static bool service(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    if (!ip->group && !nat_is_gateway(n, &ip->dst) && !nat_is_dns(n, &ip->dst))
        return false;
    if (nat_dns_input(n, ip, sport, dport, p))
        return true;
    if (ip->is4 ? nat_dhcp4_input(n, ip, sport, dport, p) : nat_dhcp6_input(n, ip, sport, dport, p))
        return true;
    return nat_tftp_input(n, ip, sport, dport, p);
}

/* By a forward's socket, when it answers one of its clients. */
static bool answer(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    struct nat_udp_flow *f = n->udp->clients ? find_client(n->udp, &ip->src, sport, &ip->dst, dport) : NULL;

    if (!f)
        return false;
    f->sent += p->len;
    nat_flows_use(&n->udp->flows, &f->flow, UDP_LIST_LONG);
    nat_udp_host_send(f, ip, p, &f->client, f->client_len);
    return true;
}

/* A flow that only ever asked a DNS server is short-lived; the first other datagram makes it an ordinary one. */
static unsigned list_of(const struct nat_udp_flow *f, uint16_t dport)
{
    return f->flow.list == UDP_LIST_SHORT && dport == PORT_DNS ? UDP_LIST_SHORT : UDP_LIST_LONG;
}

static void to_world(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    struct sockaddr_storage to;
    socklen_t to_len;
    enum nat_unreach why;
    uint32_t hash = nat_flow_hash(&ip->src, sport, NULL, 0);
    struct nat_udp_flow *f;
    int error;

    if (!nat_host_target(n, &ip->dst, dport, &to, &to_len, &why)) {
        nat_icmp_error(n, ip, why, 0);
        return;
    }
    f = find_guest(n->udp, &ip->src, sport, hash);
    if (!f)
        f = begin(n, ip, sport, hash);
    if (!f) { /* no descriptor, no memory: lost; no such family: there is no way */
        if (errno == EAFNOSUPPORT)
            nat_icmp_error(n, ip, UNREACH_NET, 0);
        return;
    }
    f->peer = ip->dst;
    f->peer_port = dport;
    f->sent += p->len;
    nat_flows_use(&n->udp->flows, &f->flow, list_of(f, dport));
    error = nat_udp_host_send(f, ip, p, &to, to_len);
    if (error)
        nat_icmp_error(n, ip, nat_unreach_of(error), 0);
}

/* Lengths and checksum (RFC 768; RFC 8200, 8.1: IPv6 does not go without). The header of a frame that stands for many
 * has the length of all. */
static bool header_right(const struct nat_ip *ip, struct packet *p, const uint8_t *h, size_t have)
{
    size_t len = have < UDP_HLEN ? 0 : ld16be(h + 4);

    if (ip->gso_size && have == UDP_HLEN)
        len = p->len;
    if (len < UDP_HLEN || !packet_trim(p, len))
        return false;
    return (ip->is4 && !ld16be(h + 6)) || nat_csum_right(ip, p);
}

void nat_udp_input(struct nat *n, const struct nat_ip *ip, struct packet *p)
{
    uint8_t h[UDP_HLEN];
    size_t have = packet_copy(p, 0, h, sizeof h);
    uint16_t sport, dport;

    if (!header_right(ip, p, h, have)) {
        nat_bad(n, "UDP header or checksum that is wrong");
        return;
    }
    packet_skip(p, UDP_HLEN);
    sport = ld16be(h);
    dport = ld16be(h + 2);
    if (service(n, ip, sport, dport, p) || ip->group || (ip->is4 && !ld32be(ip->src.b + 12)))
        return;
    if (!dport || net_addr_none(&ip->src)) {
        nat_bad(n, "UDP datagram to port 0, or from nobody");
        return;
    }
    if (!answer(n, ip, sport, dport, p))
        to_world(n, ip, sport, dport, p);
}

bool nat_udp_send(struct nat *n, const struct net_addr *src, uint16_t sport, const struct net_addr *dst, uint16_t dport,
                  const void *data, size_t len)
{
    uint8_t h[UDP_HLEN];
    struct iovec iov[2] = {{h, sizeof h}, {(void *)(uintptr_t)data, len}};
    struct nat_out o = {.src = *src,
                        .dst = *dst,
                        .proto = IP_PROTO_UDP,
                        .iov = iov,
                        .iovcnt = 2,
                        .len = UDP_HLEN + len,
                        .csum_offset = 6};

    if (o.len > 65535)
        return true;
    st16be(h, sport);
    st16be(h + 2, dport);
    st16be(h + 4, (uint16_t)o.len);
    st16be(h + 6, 0);
    return nat_ip_send(n, &o);
}

/* --- what people see ------------------------------------------------------------------------------------------- */

static void flow_row(const struct nat_udp *u, const struct nat_udp_flow *f, FILE *out)
{
    uint64_t now = clock_now(u->nat->env.clock), due = f->flow.used + u->flows.list[f->flow.list].timeout;
    char state[32];
    struct nat_info_row r = {.state = state,
                             .fd = f->sock->fd,
                             .src = &f->guest,
                             .dst = &f->peer,
                             .sport = f->guest_port,
                             .dport = f->peer_port,
                             .bytes_out = f->sent,
                             .bytes_in = f->got,
                             .age = now - f->flow.born + 1};

    snprintf(state, sizeof state, "UDP[%" PRIu64 " sec]", (due > now ? due - now : 0) / NS_PER_SEC);
    nat_info_row(out, &r);
}

void nat_udp_info(const struct nat_udp *u, bool flows, FILE *out)
{
    fprintf(out, "  udp: %u flows, %" PRIu64 " ended by time, %" PRIu64 " evicted\n", u->flows.count, u->flows.expired,
            u->flows.evicted);
    for (unsigned i = 0; flows && i < NAT_FLOW_LISTS; i++)
        for (const struct nat_flow *f = u->flows.list[i].oldest; f; f = f->newer)
            flow_row(u, (const struct nat_udp_flow *)f, out);
}

void nat_udp_counts(const struct nat_udp *u, struct nat_counts *c)
{
    c->udp += u->flows.count;
    c->memory += u->flows.count * (sizeof(struct nat_udp_flow) + sizeof(struct nat_udp_sock));
}
