/*
 * The NAT's configuration: defaults and checks.
 *
 * Addresses that were not given follow the net that was, as in QEMU's user network: gateway .2, DNS .3, first guest .15 (or
 * the first that is left in a small net).
 */
#include <arpa/inet.h>
#include <string.h>

#include "netstack/nat_int.h"

enum { FIRST_HOST = 2, FIRST_DNS = 3, FIRST_GUEST = 15, IP6_MTU_MIN = 1280 };

static uint32_t number(const struct net_addr *a) { return ld32be(a->b + 12); }
static uint32_t host_mask(const struct nat_config *c) { return (uint32_t)(UINT64_C(0xffffffff) >> c->prefix_len); }

static bool in_net4(const struct nat_config *c, const struct net_addr *a)
{
    uint32_t host = number(a) & host_mask(c);

    return net_addr_is4(a) && ((number(a) ^ number(&c->net)) & ~host_mask(c)) == 0 && host && host != host_mask(c);
}

static bool in_net6(const struct nat_config *c, const struct net_addr *a)
{
    for (unsigned i = 0; i < c->prefix6_len; i++)
        if ((a->b[i / 8] ^ c->net6.b[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

/* "host 10.0.3.2: why" */
static bool wrong(const char *what, const struct net_addr *a, const char *why, struct err *e)
{
    char text[NET_ADDR_TEXT];

    return err_set(e, "%s %s: %s", what, net_addr_text(a, text), why);
}

/* --- IPv4 ------------------------------------------------------------------------------------------------------ */

static void fill4(struct nat_config *c)
{
    uint32_t net, last;

    if (!c->prefix_len)
        c->prefix_len = 24;
    if (net_addr_none(&c->net) && !net_addr_none(&c->host))
        c->net = c->host;
    if (net_addr_none(&c->net))
        c->net = net_addr_of4(0x0a000200);
    if (c->prefix_len > 30 || !net_addr_is4(&c->net))
        return; /* refused by check4 */
    net = number(&c->net) & ~host_mask(c);
    last = host_mask(c) - 1;
    c->net = net_addr_of4(net);
    if (net_addr_none(&c->host))
        c->host = net_addr_of4(net + (last < FIRST_HOST ? 1 : FIRST_HOST));
    if (net_addr_none(&c->dns))
        c->dns = net_addr_of4(net + FIRST_DNS);
    if (net_addr_none(&c->dhcp_start))
        c->dhcp_start = net_addr_of4(net + (last < FIRST_GUEST ? FIRST_DNS + 1 : FIRST_GUEST));
}

static bool check_lease(const struct nat_config *c, unsigned i, struct err *e)
{
    const struct nat_static_lease *l = &c->lease[i];

    if (!in_net4(c, &l->addr))
        return wrong("lease", &l->addr, "it is not an address of the network", e);
    if (net_addr_equal(&l->addr, &c->host) || net_addr_equal(&l->addr, &c->dns))
        return wrong("lease", &l->addr, "it is the gateway's or the DNS server's", e);
    if (l->mac[0] & 1)
        return wrong("lease", &l->addr, "its MAC is a group's", e);
    for (unsigned k = 0; k < i; k++) {
        if (net_addr_equal(&l->addr, &c->lease[k].addr))
            return wrong("lease", &l->addr, "it is given twice", e);
        if (!memcmp(l->mac, c->lease[k].mac, ETH_ALEN))
            return wrong("lease", &l->addr, "its MAC has another lease", e);
    }
    return true;
}

static bool check4(const struct nat_config *c, struct err *e)
{
    uint32_t first = number(&c->net) >> 24;

    if (!net_addr_is4(&c->net) || c->prefix_len < 4 || c->prefix_len > 29)
        return err_set(e, "net: an IPv4 network of 4 to 29 bits is needed");
    if (!first || first == 127 || first >= 224 || number(&c->net) >> 16 == 0xa9fe)
        return wrong("net", &c->net, "these addresses are not for networks", e);
    if (!in_net4(c, &c->host))
        return wrong("host", &c->host, "it is not an address of the network", e);
    if (!in_net4(c, &c->dns))
        return wrong("dns", &c->dns, "it is not an address of the network", e);
    if (net_addr_equal(&c->host, &c->dns))
        return wrong("dns", &c->dns, "it is the gateway's too", e);
    if (!in_net4(c, &c->dhcp_start))
        return wrong("dhcp_start", &c->dhcp_start, "it is not an address of the network", e);
    if (net_addr_equal(&c->dhcp_start, &c->host) || net_addr_equal(&c->dhcp_start, &c->dns))
        return wrong("dhcp_start", &c->dhcp_start, "it is the gateway's or the DNS server's", e);
    if (c->leases > NAT_LEASES_MAX)
        return err_set(e, "%u leases: at most %d", c->leases, NAT_LEASES_MAX);
    for (unsigned i = 0; i < c->leases; i++)
        if (!check_lease(c, i, e))
            return false;
    return true;
}

/* --- IPv6 ------------------------------------------------------------------------------------------------------ */

static struct net_addr with_last(const struct net_addr *net, uint8_t last)
{
    struct net_addr a = *net;

    a.b[15] = last;
    return a;
}

static void fill6(struct nat_config *c)
{
    if (!c->prefix6_len)
        c->prefix6_len = 64;
    if (net_addr_none(&c->net6) && !net_addr_none(&c->host6))
        c->net6 = c->host6;
    if (net_addr_none(&c->net6))
        c->net6 = (struct net_addr){{0xfe, 0xc0}};
    for (unsigned i = c->prefix6_len; i < 128 && !net_addr_is4(&c->net6); i++)
        c->net6.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    if (net_addr_none(&c->host6))
        c->host6 = with_last(&c->net6, FIRST_HOST);
    if (net_addr_none(&c->dns6))
        c->dns6 = with_last(&c->net6, FIRST_DNS);
}

static bool check6(const struct nat_config *c, struct err *e)
{
    if (net_addr_is4(&c->net6) || c->prefix6_len < 8 || c->prefix6_len > 120)
        return err_set(
            e, "net6: an IPv6 network of 8 to 120 bits is needed (64 for addresses that guests make themselves)");
    if (!c->net6.b[0] || c->net6.b[0] == 0xff || (c->net6.b[0] == 0xfe && (c->net6.b[1] & 0xc0) == 0x80))
        return wrong("net6", &c->net6, "these addresses are not for networks", e);
    if (!in_net6(c, &c->host6))
        return wrong("host6", &c->host6, "it is not an address of the network", e);
    if (!in_net6(c, &c->dns6))
        return wrong("dns6", &c->dns6, "it is not an address of the network", e);
    if (net_addr_equal(&c->host6, &c->dns6))
        return wrong("dns6", &c->dns6, "it is the gateway's too", e);
    if (c->mtu < IP6_MTU_MIN)
        return err_set(e, "mtu %u: IPv6 needs %d, or is to be off", c->mtu, IP6_MTU_MIN);
    return true;
}

bool nat_config_fill(struct nat_config *c, struct err *e)
{
    static const struct net_addr none;

    if (!c->name)
        c->name = "nat";
    if (!c->resolv_conf)
        c->resolv_conf = "/etc/resolv.conf";
    if (!c->mtu)
        c->mtu = NET_MTU_DEFAULT;
    if (c->mtu < NET_MTU_MIN || c->mtu > NET_MTU_MAX)
        return err_set(e, "mtu %u: %d to %d", c->mtu, NET_MTU_MIN, NET_MTU_MAX);
    if (c->no_ipv4 && c->no_ipv6)
        return err_set(e, "neither IPv4 nor IPv6 is left");
    if (c->no_ipv4) { /* so that no packet's address is taken for one of ours */
        c->net = c->host = c->dns = c->dhcp_start = none;
        c->prefix_len = 24;
    } else {
        fill4(c);
    }
    if (c->no_ipv6) {
        c->net6 = c->host6 = c->dns6 = none;
        c->prefix6_len = 64;
    } else {
        fill6(c);
    }
    return (c->no_ipv4 || check4(c, e)) && (c->no_ipv6 || check6(c, e));
}
