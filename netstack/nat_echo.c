/*
 * Echo through the host's unprivileged ICMP sockets: a socket for each identifier of a guest.
 *
 * The kernel puts an identifier of its own into what is sent and delivers the replies to it; sequence numbers and data pass
 * as they are, and so do hops and errors (nat_relay.h), so that ping and traceroute -I see the path.
 * Source: icmp(7), Linux net/ipv4/ping.c; time-outs: RFC 5508, REQ-1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "netstack/nat_icmp.h"
#include "netstack/nat_relay.h"

enum { IOV_MAX_PIECES = 64, BATCH = 16 };
static const uint64_t TIMEOUT = 60 * NS_PER_SEC;

struct echo {
    struct nat_flow flow; /* first */
    struct nat *nat;
    struct net_addr guest, dst; /* dst: the last one */
    uint16_t id;
    int fd;
    struct nat_shape shape;
    uint64_t sent, got;
};

static void end(struct nat_flows *t, struct nat_flow *f)
{
    struct echo *s = (struct echo *)f;

    nat_flows_remove(t, f);
    loop_remove(s->nat->env.loop, s->fd);
    nat_close(s->nat, s->fd);
    free(s);
}

bool nat_echo_init(struct nat_icmp *i, unsigned cap)
{
    bool ok = nat_flows_init(&i->echo, i->nat->env.clock, cap, end);

    i->echo.list[0].timeout = TIMEOUT;
    return ok;
}

/* --- from the host --------------------------------------------------------------------------------------------- */

static void errors(struct echo *s)
{
    struct nat_host_error e;
    const struct nat_flows *t = &s->nat->icmp->echo;
    uint64_t removed = t->removed;

    for (unsigned i = 0; i < BATCH && removed == t->removed && nat_relay_read(s->fd, &e); i++) {
        struct nat_quote q = {.guest = s->guest, .dst = nat_guest_view_for(s->nat, &e.dst, &s->guest)};

        q.proto = net_addr_is4(&s->guest) ? IP_PROTO_ICMP : IP_PROTO_ICMP6;
        q.head[0] = net_addr_is4(&s->guest) ? ICMP_ECHO : ICMP6_ECHO;
        if (e.len >= ICMP_HLEN)
            memcpy(q.head, e.data, ICMP_HLEN); /* with the identifier of the guest, not the socket's: */
        st16be(q.head + 4, s->id);
        nat_relay_send(s->nat, &e, &q);
    }
}

/* One reply into buf; its length, -1: there is none. hops: what it has left. */
static ssize_t receive(struct echo *s, uint8_t *buf, struct sockaddr_storage *from, int *hops)
{
    _Alignas(struct cmsghdr) uint8_t control[128];
    struct iovec iov = {buf, NAT_ECHO_MAX};
    struct msghdr m = {.msg_name = from,
                       .msg_namelen = sizeof *from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t len;

    memset(from, 0, sizeof *from);
    len = recvmsg(s->fd, &m, MSG_DONTWAIT);
    *hops = 64;
    for (struct cmsghdr *c = len < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
            memcpy(hops, CMSG_DATA(c), sizeof *hops);
    return len;
}

static void event(void *arg, int fd, unsigned events)
{
    struct echo *s = arg;
    struct nat *n = s->nat;
    uint8_t *buf = n->icmp->buf;
    uint64_t removed = n->icmp->echo.removed; /* a send may come back and end this flow */
    struct sockaddr_storage from;
    int hops;

    (void)fd;
    if (events & LOOP_HUP)
        errors(s);
    for (unsigned i = 0; i < BATCH && removed == n->icmp->echo.removed; i++) {
        ssize_t len = receive(s, buf, &from, &hops);
        struct net_addr src;

        if (len < ICMP_HLEN)
            return;
        if (buf[0] != (net_addr_is4(&s->guest) ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY))
            continue;
        src = nat_guest_view_for(n, &from, &s->guest);
        s->got++;
        nat_echo_reply(n, &src, &s->guest, (uint8_t)(hops > 1 ? hops - 1 : 1), (uint32_t)s->id << 16 | ld16be(buf + 6),
                       buf + ICMP_HLEN, (size_t)len - ICMP_HLEN);
    }
}

/* --- from the guest -------------------------------------------------------------------------------------------- */

static int open_socket(struct nat *n, bool is4)
{
    int on = 1, fd = nat_socket(n, is4 ? AF_INET : AF_INET6, SOCK_DGRAM, is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);

    if (fd < 0 && errno == EMFILE && nat_flows_evict(&n->icmp->echo))
        fd = nat_socket(n, is4 ? AF_INET : AF_INET6, SOCK_DGRAM, is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    if (fd < 0)
        return -1;
    nat_relay_enable(fd, is4 ? AF_INET : AF_INET6);
    if (is4)
        setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    return fd;
}

static struct echo *begin(struct nat *n, const struct nat_ip *ip, uint16_t id, uint32_t hash)
{
    struct echo *s = calloc(1, sizeof *s);
    struct err e;

    if (!s)
        return NULL;
    *s = (struct echo){.nat = n, .guest = ip->src, .id = id, .fd = open_socket(n, ip->is4)};
    if (s->fd < 0 || !loop_add(n->env.loop, s->fd, LOOP_IN, event, s, &e)) {
        int error = s->fd < 0 ? errno : ENOMEM;

        nat_close(n, s->fd);
        free(s);
        errno = error;
        return NULL;
    }
    if (nat_flows_add(&n->icmp->echo, &s->flow, hash, ip->mac, 0))
        return s;
    loop_remove(n->env.loop, s->fd);
    nat_close(n, s->fd);
    free(s);
    errno = ENOMEM;
    return NULL;
}

static struct echo *find(struct nat *n, const struct nat_ip *ip, uint16_t id)
{
    uint32_t hash = nat_flow_hash(&ip->src, id, NULL, 0);

    for (struct nat_flow *f = nat_flows_first(&n->icmp->echo, hash); f; f = nat_flows_next(f)) {
        struct echo *s = (struct echo *)f;

        if (s->id == id && net_addr_equal(&s->guest, &ip->src))
            return s;
    }
    return begin(n, ip, id, hash);
}

/*
 * An error that waits on the socket is reported by the next send, whomever that was for: once more then. What is too big
 * is on the error queue, with the MTU.
 */
static int send_echo(struct echo *s, const struct nat_echo *e)
{
    struct iovec iov[1 + IOV_MAX_PIECES] = {{(void *)(uintptr_t)e->h, ICMP_HLEN}};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)&e->to, .msg_namelen = e->to_len, .msg_iov = iov};
    size_t left;
    int error;

    m.msg_iovlen = 1 + packet_iov(e->p, iov + 1, IOV_MAX_PIECES, &left);
    if (left)
        return 0; /* a guest that hands over an echo in more pieces than that loses it */
    if (sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN || errno == ENOBUFS)
        return 0; /* the latter two: lost */
    error = errno;
    errors(s);
    if (error == EMSGSIZE)
        return 0;
    return sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

static bool refuses(int error)
{
    return error == EACCES || error == EPERM || error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT ||
           error == EAFNOSUPPORT;
}

void nat_echo_request(struct nat *n, const struct nat_echo *e)
{
    const struct nat_ip *ip = e->ip;
    struct echo *s = find(n, ip, ld16be(e->h + 4));
    int error;

    if (!s && refuses(errno)) {
        n->icmp->refused[!ip->is4] = true;
        if (n->env.log)
            log_write(
                n->env.log,
                "%s: icmp: host refuses ICMPv%u sockets (%s; see net.ipv4.ping_group_range): replies to pings are "
                "synthesised from UDP and TCP probes\n",
                n->c.name, ip->is4 ? 4 : 6, strerror(errno));
        nat_probe_request(n, e);
        return;
    }
    if (!s)
        return;
    nat_flows_use(&n->icmp->echo, &s->flow, 0);
    nat_shape_apply(s->fd, &s->shape, ip);
    s->dst = ip->dst;
    s->sent++;
    error = send_echo(s, e);
    if (error)
        nat_icmp_error(n, ip, nat_unreach_of(error), 0);
}

void nat_echo_info(const struct nat_icmp *i, FILE *out)
{
    uint64_t now = clock_now(i->nat->env.clock);

    for (const struct nat_flow *f = i->echo.list[0].oldest; f; f = f->newer) {
        const struct echo *s = (const struct echo *)f;
        char state[32];
        struct nat_info_row r = {.state = state,
                                 .fd = s->fd,
                                 .src = &s->guest,
                                 .dst = &s->dst,
                                 .sport = s->id,
                                 .bytes_out = s->sent,
                                 .bytes_in = s->got,
                                 .age = now - f->born + 1};

        snprintf(state, sizeof state, "ICMP[%" PRIu64 " sec]", (f->used + TIMEOUT - now) / NS_PER_SEC);
        nat_info_row(out, &r);
    }
}
