/*
 * Addresses and sockets of the host: where packets of guests may go, and as whom the guests see those who send to them.
 *
 * The rules: loopback, link-local, group and "this network" addresses never leave by a socket of ours, whatever their
 * dress (an IPv4 address inside an IPv6 one is refused where packets come in). The gateway's own address stands for the
 * host's loopback when the user said so. An address of the virtual network that is nobody's goes nowhere: it is not looked
 * for in the world, where another network may use the same numbers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/nat_int.h"

/* --- addresses ------------------------------------------------------------------------------------------------- */

static const struct net_addr loopback6 = {{[15] = 1}};

static uint32_t addr4(const struct net_addr *a) { return ld32be(a->b + 12); }

static bool same_prefix(const struct net_addr *a, const struct net_addr *b, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;

    if (memcmp(a->b, b->b, bytes))
        return false;
    return !rest || (a->b[bytes] ^ b->b[bytes]) >> (8 - rest) == 0;
}

static bool link_local(const struct net_addr *a)
{
    if (net_addr_is4(a))
        return addr4(a) >> 16 == 0xa9fe; /* 169.254/16 (RFC 3927) */
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool net_addr_loopback(const struct net_addr *a)
{
    return net_addr_is4(a) ? addr4(a) >> 24 == 127 : net_addr_equal(a, &loopback6);
}

/* Never sent to, and never shown to a guest as a peer. 240/4 with broadcast; ::/96 with ::, ::1 and IPv4-compatibles. */
static bool forbidden(const struct net_addr *a)
{
    static const struct net_addr zero;

    if (net_addr_is4(a))
        return addr4(a) >> 24 == 0 || addr4(a) >> 24 == 127 || addr4(a) >> 28 >= 14 || link_local(a);
    return a->b[0] == 0xff || link_local(a) || same_prefix(a, &zero, 96);
}

bool nat_in_net(const struct nat *n, const struct net_addr *a)
{
    if (net_addr_is4(a))
        return !n->c.no_ipv4 && same_prefix(a, &n->c.net, 96 + n->c.prefix_len);
    return !n->c.no_ipv6 && (same_prefix(a, &n->c.net6, n->c.prefix6_len) || link_local(a));
}

/* Parts that are off have addresses of none. */
static bool is(const struct net_addr *ours, const struct net_addr *a)
{
    return net_addr_equal(ours, a) && !net_addr_none(a);
}

bool nat_is_gateway(const struct nat *n, const struct net_addr *a)
{
    return is(&n->c.host, a) || is(&n->c.host6, a) || is(&n->link6, a);
}

bool nat_is_dns(const struct nat *n, const struct net_addr *a) { return is(&n->c.dns, a) || is(&n->c.dns6, a); }

bool nat_is_ours(const struct nat *n, const struct net_addr *a)
{
    return nat_is_gateway(n, a) || nat_is_dns(n, a) || nat_guestfwd_addr(n, a);
}

struct net_addr net_addr_of_sock(const struct sockaddr_storage *from, uint16_t *port)
{
    struct net_addr a = {{0}};

    *port = 0;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *s = (const void *)from;

        *port = ntohs(s->sin_port);
        return net_addr_of4(ntohl(s->sin_addr.s_addr));
    }
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *s = (const void *)from;

        *port = ntohs(s->sin6_port);
        memcpy(a.b, &s->sin6_addr, sizeof a.b);
    }
    return a;
}

socklen_t net_addr_to_sock(const struct net_addr *a, uint16_t port, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (net_addr_is4(a)) {
        struct sockaddr_in *s = (void *)to;

        *s = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr4(a))};
        return sizeof *s;
    }
    struct sockaddr_in6 *s = (void *)to;

    *s = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&s->sin6_addr, a->b, sizeof a->b);
    return sizeof *s;
}

/* --- who may reach what ---------------------------------------------------------------------------------------- */

bool nat_host_target(struct nat *n, const struct net_addr *dst, uint16_t port, struct sockaddr_storage *to,
                     socklen_t *len, enum nat_unreach *why)
{
    *why = UNREACH_ADMIN;
    if (n->c.restrict_)
        return false;
    if (nat_is_dns(n, dst)) {
        *why = UNREACH_PORT;
        return false; /* what is served there was offered before */
    }
    if (nat_is_gateway(n, dst)) {
        struct net_addr loopback = net_addr_is4(dst) ? net_addr_of4(INADDR_LOOPBACK) : loopback6;

        *why = UNREACH_PORT;
        *len = net_addr_to_sock(&loopback, port, to);
        return n->c.host_loopback;
    }
    if (nat_in_net(n, dst)) {
        *why = UNREACH_HOST;
        return false;
    }
    *len = net_addr_to_sock(dst, port, to);
    return !forbidden(dst);
}

struct net_addr nat_guest_view(struct nat *n, const struct sockaddr_storage *from)
{
    uint16_t port;
    struct net_addr a = net_addr_of_sock(from, &port);

    if (!forbidden(&a) && !nat_in_net(n, &a))
        return a;
    return net_addr_is4(&a) ? n->c.host : n->c.host6;
}

struct net_addr nat_guest_view_for(struct nat *n, const struct sockaddr_storage *from, const struct net_addr *guest)
{
    struct net_addr a = nat_guest_view(n, from);

    if (net_addr_is4(&a) == net_addr_is4(guest))
        return a;
    return net_addr_is4(guest) ? n->c.host : n->c.host6;
}

struct net_addr nat_first_guest(const struct nat *n) { return nat_dhcp_first(n->dhcp); }

/* Its lease, else what it has given itself. */
struct net_addr nat_forward_guest(const struct nat *n, const struct nat_forward *f)
{
    static const uint8_t any[ETH_ALEN];
    struct net_addr a;

    if (!net_addr_none(&f->guest_addr))
        return f->guest_addr;
    if (!memcmp(f->guest_mac, any, ETH_ALEN))
        return nat_first_guest(n);
    a = nat_dhcp_of(n->dhcp, f->guest_mac);
    return net_addr_none(&a) ? nat_neighbour_of(n, f->guest_mac) : a;
}

/* --- sockets --------------------------------------------------------------------------------------------------- */

int nat_adopt(struct nat *n, int fd)
{
    if (fd < 0)
        return -1;
    if (fd >= n->fd_limit) { /* the kernel gives the lowest number that is free: the table is nearly full */
        close(fd);
        errno = EMFILE;
        return -1;
    }
    n->sockets++;
    return fd;
}

int nat_socket(struct nat *n, int family, int type, int protocol)
{
    return nat_adopt(n, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

void nat_close(struct nat *n, int fd)
{
    if (fd < 0)
        return;
    close(fd);
    n->sockets--;
}

enum nat_unreach nat_unreach_of(int error)
{
    switch (error) {
    case ECONNREFUSED: return UNREACH_PORT;
    case ENETUNREACH:
    case EAFNOSUPPORT: /* the host has no IPv6 */
    case ENETDOWN: return UNREACH_NET;
    case EACCES:
    case EPERM: return UNREACH_ADMIN;
    case ENOPROTOOPT: return UNREACH_PROTO;
    case EMSGSIZE: return UNREACH_TOO_BIG;
    default: return UNREACH_HOST;
    }
}
