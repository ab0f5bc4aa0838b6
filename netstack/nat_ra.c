/*
 * Router advertisements (RFC 4861, 6.2): the prefix, the MTU, the DNS server, and whether there is a way out.
 *
 * Guests make their address themselves when the prefix is /64 (A flag). The O flag sends them to DHCPv6 for the rest; the M
 * flag is set only with prefixes of other lengths, where DHCPv6 is the one way to an address: systemd-networkd and
 * ifupdown then have one address, not two. Whoever starts DHCPv6 by hand is served in any case.
 *
 * A host without IPv6 is the usual reason why a guest hangs: it has an address and a default route, so its programs try
 * IPv6 first and wait. So the gateway says that it is a default router (lifetime 1800 s) only while the host has a route
 * to the world with a source address that is not link-local; else the lifetime is 0, guests get "network is
 * unreachable" at once and take IPv4, and what is on the virtual network (the gateway, DNS, each other) works all the same.
 * Nothing is sent to find out: the kernel is asked for a route by connecting a UDP socket. Changes of the host's routes
 * come by netlink, and are told to the guests within a second; without netlink with the next advertisement.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_svc.h"

enum { /* seconds */
       RA_MIN = 200,
       RA_MAX = 600,
       RA_FIRST = 16, /* the first few come this often (MAX_INITIAL_RTR_ADVERT_INTERVAL) */
       ROUTER_LIFETIME = 3 * RA_MAX,
       PREFIX_VALID = 86400,
       PREFIX_PREFERRED = 14400,
};
enum { RA_FIRST_COUNT = 3, RA_SOLICITED_MAX = 10 /* a second */ };

enum { RA_TYPE = 134, RA_MANAGED = 0x80, RA_OTHER = 0x40 };
enum { ND_OPT_SOURCE_MAC = 1, ND_OPT_PREFIX = 3, ND_OPT_MTU = 5, ND_OPT_RDNSS = 25, ND_OPT_DNSSL = 31 };

/* --- the host's way out --------------------------------------------------------------------------------------------- */

/* A root name server, only to have an address that is somewhere in the world. */
static const struct in6_addr somewhere = {{{0x20, 0x01, 0x05, 0x03, 0xba, 0x3e, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x30}}};

static bool host_is_routed(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = somewhere};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof a) &&
               !getsockname(fd, (struct sockaddr *)&a, &len) && !IN6_IS_ADDR_LINKLOCAL(&a.sin6_addr) &&
               !IN6_IS_ADDR_LOOPBACK(&a.sin6_addr);

    if (fd >= 0)
        close(fd);
    return yes;
}

/* --- the advertisement ---------------------------------------------------------------------------------------------- */

static void put_prefix(struct nat *n, struct writer *w)
{
    unsigned len = n->c.prefix6_len;

    writer_u8(w, ND_OPT_PREFIX);
    writer_u8(w, 4);
    writer_u8(w, (uint8_t)len);
    writer_u8(w, len == 64 ? 0xc0 : 0x80); /* on-link; for SLAAC */
    writer_u32(w, PREFIX_VALID);
    writer_u32(w, PREFIX_PREFERRED);
    writer_u32(w, 0);
    writer_bytes(w, n->c.net6.b, 16);
}

static void put_dns(struct nat *n, struct writer *w)
{
    if (net_addr_none(&n->c.dns6))
        return;
    writer_u8(w, ND_OPT_RDNSS);
    writer_u8(w, 3);
    writer_u16(w, 0);
    writer_u32(w, ROUTER_LIFETIME);
    writer_bytes(w, n->c.dns6.b, 16);
}

/* RFC 8106, 5.2: names without compression, zeroes up to a multiple of 8. Left out when it does not fit. */
static void put_search(struct nat *n, struct writer *out)
{
    uint8_t buf[512];
    struct writer w = {.buf = buf, .cap = sizeof buf};
    const char *const domain[] = {n->c.domainname, NULL};

    writer_u8(&w, ND_OPT_DNSSL);
    writer_u8(&w, 0);
    writer_u16(&w, 0);
    writer_u32(&w, ROUTER_LIFETIME);
    for (const char *const *s = n->c.dnssearch ? n->c.dnssearch : domain; *s; s++)
        dns_name_write(&w, *s);
    if (w.len == 8)
        return;
    writer_room(&w, -w.len & 7);
    buf[1] = (uint8_t)(w.len / 8);
    if (!w.bad)
        writer_bytes(out, buf, w.len);
}

static size_t advertisement(struct nat *n, uint8_t *buf, size_t cap)
{
    struct writer w = {.buf = buf, .cap = cap};
    bool router = n->ra.routed && !n->c.restrict_;

    writer_u8(&w, RA_TYPE);
    writer_u8(&w, 0);
    writer_u16(&w, 0);
    writer_u8(&w, 64); /* hop limit of guests' packets */
    writer_u8(&w, n->c.no_dhcp ? 0 : n->c.prefix6_len == 64 ? RA_OTHER : RA_OTHER | RA_MANAGED);
    writer_u16(&w, router ? ROUTER_LIFETIME : 0);
    writer_u32(&w, 0);
    writer_u32(&w, 0);
    writer_u8(&w, ND_OPT_SOURCE_MAC);
    writer_u8(&w, 1);
    writer_bytes(&w, n->mac, ETH_ALEN);
    writer_u8(&w, ND_OPT_MTU);
    writer_u8(&w, 1);
    writer_u16(&w, 0);
    writer_u32(&w, nat_mtu(n));
    put_prefix(n, &w);
    put_dns(n, &w);
    put_search(n, &w);
    return w.len;
}

/* to, mac NULL: to all nodes. */
static void advertise(struct nat *n, const struct net_addr *to, const uint8_t *mac)
{
    static const struct net_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    static const uint8_t all_nodes_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
    uint8_t buf[1024];
    struct iovec iov = {buf, advertisement(n, buf, sizeof buf)};
    struct nat_out o = {.src = n->link6,
                        .dst = to ? *to : all_nodes,
                        .proto = IP_PROTO_ICMP6,
                        .ttl = 255,
                        .iov = &iov,
                        .iovcnt = 1,
                        .len = iov.iov_len,
                        .csum_offset = 2,
                        .mac = mac};

    if (to)
        nat_ip_send(n, &o);
    else
        nat_ip_send_group(n, &o, all_nodes_mac);
}

/* --- when ----------------------------------------------------------------------------------------------------------- */

static void arm(struct nat *n)
{
    uint64_t seconds = RA_MIN + svc_random(n) % (RA_MAX - RA_MIN + 1);

    if (n->ra.first) {
        n->ra.first--;
        seconds = RA_FIRST;
    }
    timer_arm(&n->ra.timer, clock_now(n->env.clock) + seconds * NS_PER_SEC);
}

static void expired(void *arg)
{
    struct nat *n = arg;

    n->ra.routed = host_is_routed();
    advertise(n, NULL, NULL);
    arm(n);
}

/* Routes come and go in groups: look a second after the first. Each is read away. */
static void route_changed(void *arg, int fd, unsigned events)
{
    struct nat *n = arg;
    uint8_t buf[8192];

    (void)events;
    for (int i = 0; i < 64 && (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0 || errno == ENOBUFS); i++)
        ;
    if (host_is_routed() != n->ra.routed) {
        n->ra.first = RA_FIRST_COUNT;
        timer_arm(&n->ra.timer, clock_now(n->env.clock) + NS_PER_SEC);
    }
}

static void watch_routes(struct nat *n)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct err e;

    n->ra.netlink = fd;
    if (fd < 0)
        return;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || !loop_add(n->env.loop, fd, LOOP_IN, route_changed, n, &e)) {
        close(fd);
        n->ra.netlink = -1;
    }
}

void nat_ra_init(struct nat *n)
{
    n->ra = (struct nat_ra){.netlink = -1, .first = RA_FIRST_COUNT};
    timer_init(&n->ra.timer, n->env.clock, expired, n);
    if (n->c.no_ipv6)
        return;
    n->ra.routed = host_is_routed();
    watch_routes(n);
    arm(n);
}

void nat_ra_fini(struct nat *n)
{
    clock_drop_timer(&n->ra.timer);
    if (n->ra.netlink >= 0) {
        loop_remove(n->env.loop, n->ra.netlink);
        close(n->ra.netlink);
        n->ra.netlink = -1;
    }
}

/* A storm of solicitations is answered up to a measure, and never by a storm to all. */
void nat_ra_solicited(struct nat *n, const struct nat_ip *ip)
{
    uint64_t now = clock_now(n->env.clock);

    if (now - n->ra.second >= NS_PER_SEC) {
        n->ra.second = now;
        n->ra.solicited = 0;
    }
    if (n->ra.solicited++ >= RA_SOLICITED_MAX)
        return;
    if (net_addr_none(&ip->src))
        advertise(n, NULL, NULL);
    else
        advertise(n, &ip->src, ip->mac);
}
