/*
 * UDP sockets of the host: datagrams in batches, several in one where the host can (UDP_GRO, UDP_SEGMENT), errors.
 *
 * One batch is under way at a time. When the guest's end has no room it is kept, and sockets that then have something to
 * say are not watched; nat_udp_ready goes on with the batch and watches them again. Source: udp(7), recvmmsg(2).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_udp.h"

#ifndef UDP_SEGMENT /* Debian 12's netinet/udp.h has them, older ones do not */
enum { UDP_SEGMENT = 103, UDP_GRO = 104 };
#endif

enum {
    PIECES = 64,
    SEGMENTS = 64, /* in one send: UDP_MAX_SEGMENTS of kernels before 6.1 */
    ERRORS = 16,   /* read at a time */
    RECEIVE_BUFFER = 1 << 20,
};

static void event(void *arg, int fd, unsigned events);

/* --- life ------------------------------------------------------------------------------------------------------ */

struct nat_udp_sock *nat_udp_sock_new(struct nat *n, int fd, int family)
{
    struct nat_udp_sock *s = calloc(1, sizeof *s);
    int on = 1, size = RECEIVE_BUFFER;
    struct err e;

    if (!s || !loop_add(n->env.loop, fd, LOOP_IN, event, s, &e)) {
        free(s);
        nat_close(n, fd);
        return NULL;
    }
    s->nat = n;
    s->fd = fd;
    s->family = family;
    nat_relay_enable(fd, family);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    return s;
}

void nat_udp_sock_free(struct nat_udp_sock *s)
{
    struct nat_udp_batch *b = &s->nat->udp->batch;

    if (b->sock == s)
        b->sock = NULL;
    s->nat->udp->stopped -= s->stopped;
    loop_remove(s->nat->env.loop, s->fd);
    nat_close(s->nat, s->fd);
    free(s);
}

bool nat_udp_batch_init(struct nat_udp *u)
{
    u->batch.buf = malloc((size_t)UDP_BATCH * UDP_BUF); /* pages that no datagram reaches are not touched */
    return u->batch.buf != NULL;
}

/* --- to the guest ---------------------------------------------------------------------------------------------- */

/* What came with a datagram. */
struct extra {
    uint16_t segment; /* 0: it is one */
    uint8_t tos;
    struct in6_pktinfo local;
};

static void read_extra(struct msghdr *m, struct extra *x)
{
    *x = (struct extra){0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        const void *d = CMSG_DATA(c);
        int value = 0;

        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&value, d, sizeof value);
            x->segment = (uint16_t)value;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            memcpy(&x->tos, d, 1);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            memcpy(&value, d, sizeof value);
            x->tos = (uint8_t)value;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            memcpy(&x->local, d, sizeof x->local);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo local4;
            struct net_addr a;

            memcpy(&local4, d, sizeof local4);
            a = net_addr_of4(ntohl(local4.ipi_addr.s_addr));
            memcpy(&x->local.ipi6_addr, a.b, sizeof a.b);
        }
    }
}

/* The flow that a datagram from `from` belongs to; NULL: nobody's, or it may not be heard. */
static struct nat_udp_flow *flow_for(struct nat_udp_sock *s, struct msghdr *m, const struct extra *x)
{
    const struct sockaddr_storage *from = m->msg_name;
    struct nat_udp_flow *f = s->flow;
    uint16_t port;
    struct net_addr a = net_addr_of_sock(from, &port);

    if (!port)
        return NULL;
    if (!f) {
        f = nat_udp_client(s, from, m->msg_namelen, true);
        if (f)
            f->local.ipi6_addr = x->local.ipi6_addr;
        return f;
    }
    return net_addr_loopback(&a) && !s->nat->c.host_loopback ? NULL : f;
}

/* len bytes of data as one datagram, or as segments. */
static bool to_guest(struct nat_udp_flow *f, const struct net_addr *src, uint16_t sport, uint8_t tos, uint16_t segment,
                     uint8_t *data, size_t len)
{
    uint8_t h[UDP_HLEN];
    struct iovec iov[2] = {{h, sizeof h}, {data, len}};
    struct nat_out o = {.src = *src,
                        .dst = f->guest,
                        .proto = IP_PROTO_UDP,
                        .tos = tos,
                        .iov = iov,
                        .iovcnt = 2,
                        .len = UDP_HLEN + len,
                        .csum_offset = 6,
                        .gso_size = segment};

    st16be(h, sport);
    st16be(h + 2, f->guest_port);
    st16be(h + 4, (uint16_t)o.len);
    st16be(h + 6, 0);
    return nat_ip_send(f->sock->nat, &o);
}

/* The guest cannot be given segments that are larger than its MTU, nor a whole that is longer than a packet. */
static bool may_segment(const struct nat_udp_flow *f, uint16_t segment, size_t len)
{
    size_t head = UDP_HLEN + (net_addr_is4(&f->guest) ? 20u : 40u);

    return segment && segment < len && segment + head <= nat_mtu(f->sock->nat) && len + head <= 65535;
}

/* false: no room; b->off says how far it came. */
static bool deliver(struct nat_udp_batch *b, unsigned i)
{
    struct nat_udp_sock *s = b->sock;
    struct msghdr *m = &b->message[i].msg_hdr;
    size_t len = b->message[i].msg_len;
    struct extra x;
    struct nat_udp_flow *f;
    struct net_addr src;
    uint16_t port = 0;
    uint64_t removed;

    read_extra(m, &x);
    f = flow_for(s, m, &x); /* may evict one */
    removed = s->nat->udp->flows.removed;
    if (!f || m->msg_flags & MSG_TRUNC)
        return true;
    src = f->client.ss_family ? f->peer : nat_guest_view_for(s->nat, m->msg_name, &f->guest);
    net_addr_of_sock(m->msg_name, &port);
    port = f->client.ss_family ? f->peer_port : port;
    nat_flows_use(&s->nat->udp->flows, &f->flow, f->flow.list);
    do {
        bool whole = !x.segment || may_segment(f, x.segment, len - b->off);
        size_t part = whole || len - b->off < x.segment ? len - b->off : x.segment;

        if (!to_guest(f, &src, port, x.tos, whole ? x.segment : 0, b->iov[i].iov_base + b->off, part))
            return false;
        if (removed != s->nat->udp->flows.removed) /* sending may come back and end the flow */
            return true;
        f->got += part;
        b->off += part;
    } while (b->off < len);
    return true;
}

/* --- batches --------------------------------------------------------------------------------------------------- */

static void stop(struct nat_udp_sock *s)
{
    if (s->stopped)
        return;
    loop_change(s->nat->env.loop, s->fd, 0);
    s->stopped = true;
    s->nat->udp->stopped++;
}

static void go_on(struct nat_udp_sock *s)
{
    if (!s->stopped)
        return;
    loop_change(s->nat->env.loop, s->fd, LOOP_IN);
    s->stopped = false;
    s->nat->udp->stopped--;
}

/* false: no room again. */
static bool run_batch(struct nat_udp *u)
{
    struct nat_udp_batch *b = &u->batch;

    while (b->sock && b->next < b->count) {
        if (!deliver(b, b->next)) {
            stop(b->sock);
            return false;
        }
        b->next++;
        b->off = 0;
    }
    b->sock = NULL;
    return true;
}

static void receive(struct nat_udp_sock *s)
{
    struct nat_udp_batch *b = &s->nat->udp->batch;
    int n;

    for (unsigned i = 0; i < UDP_BATCH; i++) {
        b->iov[i] = (struct iovec){b->buf + (size_t)i * UDP_BUF, UDP_BUF};
        b->message[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                                .msg_namelen = sizeof b->from[i],
                                                .msg_iov = &b->iov[i],
                                                .msg_iovlen = 1,
                                                .msg_control = &b->control[i],
                                                .msg_controllen = sizeof b->control[i]};
    }
    n = recvmmsg(s->fd, b->message, UDP_BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return;
    b->sock = s;
    b->next = 0;
    b->off = 0;
    b->count = (unsigned)n;
    run_batch(s->nat->udp);
}

void nat_udp_ready(struct nat *n)
{
    struct nat_udp *u = n->udp;

    if (!run_batch(u) || !u->stopped)
        return;
    for (unsigned i = 0; i < NAT_FLOW_LISTS; i++)
        for (struct nat_flow *f = u->flows.list[i].oldest; f; f = f->newer)
            go_on(((struct nat_udp_flow *)f)->sock);
    for (struct nat_udp_sock *s = u->forwards; s; s = s->next)
        go_on(s);
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

static void errors(struct nat_udp_sock *s)
{
    struct nat_host_error e;
    const struct nat_flows *t = &s->nat->udp->flows;
    uint64_t removed = t->removed; /* a send may come back and end the flow */

    for (unsigned i = 0; i < ERRORS && removed == t->removed && nat_relay_read(s->fd, &e); i++) {
        uint16_t port;
        struct net_addr dst = net_addr_of_sock(&e.dst, &port);
        struct nat_udp_flow *f = s->flow ? s->flow : nat_udp_client(s, &e.dst, sizeof e.dst, false);
        struct nat_quote q = {.proto = IP_PROTO_UDP};

        if (!f || net_addr_none(&dst))
            continue;
        q.guest = f->guest;
        q.dst = s->flow ? nat_guest_view_for(s->nat, &e.dst, &f->guest) : f->peer;
        st16be(q.head, f->guest_port);
        /* what this host itself says comes at once, and without the port */
        st16be(q.head + 2, s->flow && port ? port : f->peer_port);
        st16be(q.head + 4, (uint16_t)(UDP_HLEN + e.len));
        nat_relay_send(s->nat, &e, &q);
    }
}

static void event(void *arg, int fd, unsigned events)
{
    struct nat_udp_sock *s = arg;
    uint64_t removed = s->nat->udp->flows.removed;

    (void)fd;
    if (events & LOOP_HUP)
        errors(s);
    if (removed != s->nat->udp->flows.removed)
        return;
    if (s->nat->udp->batch.sock)
        stop(s);
    else
        receive(s);
}

/* --- to the host ----------------------------------------------------------------------------------------------- */

struct send_control {
    _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    size_t len;
};

static void add_control(struct send_control *c, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *h = (struct cmsghdr *)(c->bytes + c->len);

    h->cmsg_level = level;
    h->cmsg_type = type;
    h->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(h), data, len);
    c->len += CMSG_SPACE(len);
}

/* A client is answered from the address that it used. */
static void control_of(const struct nat_udp_flow *f, uint16_t segment, struct send_control *c)
{
    *c = (struct send_control){0};
    if (segment)
        add_control(c, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    if (IN6_IS_ADDR_UNSPECIFIED(&f->local.ipi6_addr))
        return;
    if (f->sock->family == AF_INET6) {
        add_control(c, IPPROTO_IPV6, IPV6_PKTINFO, &f->local, sizeof f->local);
    } else {
        struct in_pktinfo local = {0};

        memcpy(&local.ipi_spec_dst, (const uint8_t *)&f->local.ipi6_addr + 12, 4);
        add_control(c, IPPROTO_IP, IP_PKTINFO, &local, sizeof local);
    }
}

/*
 * One sendmsg. An error that waits on the socket about an earlier packet is reported by the next send instead of sending:
 * once more then. What is too big is on the error queue, with the MTU.
 */
static int send_one(const struct nat_udp_flow *f, const struct packet *p, uint16_t segment,
                    const struct sockaddr_storage *to, socklen_t to_len)
{
    struct iovec iov[PIECES];
    struct send_control control;
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = to_len, .msg_iov = iov};
    size_t left;

    m.msg_iovlen = packet_iov(p, iov, PIECES, &left);
    if (left)
        return 0; /* a guest that hands over a datagram in more pieces than that loses it */
    control_of(f, segment, &control);
    if (control.len) {
        m.msg_control = control.bytes;
        m.msg_controllen = control.len;
    }
    for (unsigned try = 0; try < 2; try++) {
        if (sendmsg(f->sock->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN || errno == ENOBUFS)
            return 0;
        if (segment && (errno == EINVAL || errno == EMSGSIZE || errno == EIO || errno == ENOPROTOOPT))
            return errno;
        int error = errno;
        errors(f->sock);
        errno = error;
        if (error == EMSGSIZE)
            return 0;
    }
    return errno;
}

static int send_segments(const struct nat_udp_flow *f, const struct packet *p, uint16_t segment, unsigned at_once,
                         const struct sockaddr_storage *to, socklen_t to_len)
{
    struct packet rest = *p;
    int error = 0;

    while (rest.len && !error) {
        struct packet part = rest;
        size_t n = (size_t)segment * at_once;

        packet_trim(&part, n < rest.len ? n : rest.len);
        error = send_one(f, &part, at_once > 1 && part.len > segment ? segment : 0, to, to_len);
        packet_skip(&rest, part.len);
    }
    return error;
}

int nat_udp_host_send(struct nat_udp_flow *f, const struct nat_ip *ip, const struct packet *p,
                      const struct sockaddr_storage *to, socklen_t to_len)
{
    struct nat_udp_sock *s = f->sock;
    int error;

    if (s->flow)
        nat_shape_apply(s->fd, &s->shape, ip);
    if (!ip->gso_size || ip->gso_size >= p->len)
        return send_one(f, p, 0, to, to_len);
    if (s->no_gso)
        return send_segments(f, p, ip->gso_size, 1, to, to_len);
    error = send_segments(f, p, ip->gso_size, SEGMENTS, to, to_len);
    if (error != EINVAL && error != EMSGSIZE && error != EIO && error != ENOPROTOOPT)
        return error;
    s->no_gso = true;
    return send_segments(f, p, ip->gso_size, 1, to, to_len);
}
