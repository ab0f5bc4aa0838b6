/* Hops out, errors in: see nat_relay.h. Source: ip(7), ipv6(7), on IP_RECVERR. */
#include "netstack/nat_relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    HLEN4 = 20,
    HLEN6 = 40,
    QUOTE4 = 548, /* of an IPv4 error: 576 bytes with its own headers (RFC 1812, 4.3.2.3) */
};

/* --- out ------------------------------------------------------------------------------------------------------- */

void nat_shape_apply(int fd, struct nat_shape *s, const struct nat_ip *ip)
{
    int level = ip->is4 ? IPPROTO_IP : IPPROTO_IPV6, value;

    if (s->ttl != ip->ttl && ip->ttl > 1) {
        value = ip->ttl - 1;
        setsockopt(fd, level, ip->is4 ? IP_TTL : IPV6_UNICAST_HOPS, &value, sizeof value);
        s->ttl = ip->ttl;
    }
    if (!s->tos_set || s->tos != ip->tos) {
        value = ip->tos;
        setsockopt(fd, level, ip->is4 ? IP_TOS : IPV6_TCLASS, &value, sizeof value);
        s->tos = ip->tos;
        s->tos_set = true;
    }
    if (!s->df_set || s->df != ip->df) {
        if (ip->is4)
            value = ip->df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
        else
            value = ip->df ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT;
        setsockopt(fd, level, ip->is4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &value, sizeof value);
        s->df = ip->df;
        s->df_set = true;
    }
}

/* --- in -------------------------------------------------------------------------------------------------------- */

void nat_relay_enable(int fd, int family)
{
    int on = 1;

    setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on); /* an IPv6 socket may speak IPv4 */
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

/* The offender's address follows the error in its control message. */
static bool error_of(const struct cmsghdr *c, struct nat_host_error *e)
{
    bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
    size_t len = c->cmsg_len - CMSG_LEN(0), rest;

    if ((!v4 && (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR)) || len < sizeof e->ee)
        return false;
    memcpy(&e->ee, CMSG_DATA(c), sizeof e->ee);
    rest = len - sizeof e->ee;
    memcpy(&e->offender, CMSG_DATA(c) + sizeof e->ee, rest < sizeof e->offender ? rest : sizeof e->offender);
    return true;
}

bool nat_relay_read(int fd, struct nat_host_error *e)
{
    _Alignas(struct cmsghdr) uint8_t control[512];
    struct iovec iov = {e->data, sizeof e->data};
    struct msghdr m = {.msg_name = &e->dst,
                       .msg_namelen = sizeof e->dst,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t len;

    memset(&e->ee, 0, sizeof e->ee);
    memset(&e->dst, 0, sizeof e->dst);
    memset(&e->offender, 0, sizeof e->offender);
    len = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (len < 0)
        return false;
    e->len = (size_t)len;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (error_of(c, e))
            break;
    return true;
}

bool nat_relay_alive(const struct nat_host_error *e)
{
    uint16_t port;
    struct net_addr dst = net_addr_of_sock(&e->dst, &port), from = net_addr_of_sock(&e->offender, &port);

    return e->ee.ee_errno == ECONNREFUSED && net_addr_equal(&dst, &from);
}

/* --- to the guest ---------------------------------------------------------------------------------------------- */

/*
 * Type and code of what the guest is told; false: nothing. What a router or the far end said goes on as it is, what this
 * host itself says is put into the gateway's mouth.
 */
static bool kind_of(struct nat *n, const struct nat_host_error *e, const struct nat_quote *q, struct nat_icmp_msg *m)
{
    bool is4 = net_addr_is4(&q->guest);
    uint8_t type = e->ee.ee_type, code = e->ee.ee_code;

    m->src = nat_guest_view_for(n, &e->offender, &q->guest);
    if (e->ee.ee_origin == (is4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)) {
        if (is4 ? type != 3 && type != 11 : type < 1 || type > 3)
            return false;
    } else if (e->ee.ee_origin == SO_EE_ORIGIN_LOCAL && e->ee.ee_errno == EMSGSIZE) {
        m->src = nat_gateway_for(n, &q->guest);
        type = is4 ? 3 : 2;
        code = is4 ? 4 : 0;
    } else {
        return false;
    }
    m->type = type;
    m->code = code;
    m->rest = e->ee.ee_errno == EMSGSIZE ? e->ee.ee_info : 0;
    return true;
}

/* The guest's packet, as far as it is known: an IP header made anew. Its length. */
static size_t quote(const struct nat_quote *q, const uint8_t *data, size_t len, uint8_t *b)
{
    size_t l4 = sizeof q->head + len, hlen = net_addr_is4(&q->guest) ? HLEN4 : HLEN6;

    memset(b, 0, hlen);
    if (hlen == HLEN4) {
        b[0] = 0x45;
        st16be(b + 2, (uint16_t)(HLEN4 + l4));
        b[8] = 1;
        b[9] = q->proto;
        memcpy(b + 12, q->guest.b + 12, 4);
        memcpy(b + 16, q->dst.b + 12, 4);
        st16be(b + 10, csum_fold(csum_add(0, b, HLEN4)));
    } else {
        b[0] = 0x60;
        st16be(b + 4, (uint16_t)l4);
        b[6] = q->proto;
        b[7] = 1;
        memcpy(b + 8, q->guest.b, 16);
        memcpy(b + 24, q->dst.b, 16);
    }
    memcpy(b + hlen, q->head, sizeof q->head);
    memcpy(b + hlen + sizeof q->head, data, len);
    return hlen + l4;
}

void nat_relay_send(struct nat *n, const struct nat_host_error *e, const struct nat_quote *q)
{
    uint8_t b[HLEN6 + 8 + NAT_RELAY_DATA], mac[ETH_ALEN] = {0};
    bool icmp = q->proto == IP_PROTO_ICMP || q->proto == IP_PROTO_ICMP6;
    size_t skip = icmp ? (e->len < 8 ? e->len : 8) : 0;
    struct nat_icmp_msg m = {.dst = q->guest, .data = b};

    if (net_addr_is4(&q->dst) != net_addr_is4(&q->guest) || !kind_of(n, e, q, &m))
        return;
    m.len = quote(q, e->data + skip, e->len - skip, b);
    if (net_addr_is4(&q->guest) && m.len > QUOTE4)
        m.len = QUOTE4;
    nat_neighbour(n, &q->guest, mac);
    if (!nat_icmp_may(n, mac))
        return;
    n->errors_sent++;
    nat_icmp_send(n, &m);
}
