/*
 * What a named network has besides its members: a NAT for natnet, the host for hostonly, a DHCP server for internal when it
 * is wanted. All are places on the leader's switch, and gateways for its isolated members.
 *
 *     natnet    as nat_config says: 10.0.2.0/24, gateway .2, DNS .3, leases from .15
 *     hostonly  192.168.56.0/24, the host .1, servers .2 and .3, leases from .101; fec0:0:0:56::/64; nothing behind the host
 *     internal  192.168.57.0/24, the server .2, leases from .101; nothing else
 *
 * So that a guest on several kinds of network at once has no address twice. The nets of the last two are the ones that
 * desktop virtual machines use for the purpose.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "netstack/segment_host.h"
#include "netstack/segment_int.h"

struct gateway {
    struct net_switch *sw;
    struct host_side *host; /* hostonly */
    struct nat *nat;
    struct plug nat_plug;
};

enum { HOSTONLY_NET = 0xc0a83800, INTERNAL_NET = 0xc0a83900 /* 192.168.56.0, 192.168.57.0 */ };

static uint32_t number(const struct net_addr *a) { return ld32be(a->b + 12); }

/* n of c's net, where none was given. */
static void default_addr(const struct nat_config *c, struct net_addr *a, unsigned n)
{
    if (net_addr_none(a))
        *a = net_addr_of4(number(&c->net) + n);
}

static void default_net(struct nat_config *c, uint32_t net)
{
    bool ours = net_addr_none(&c->net) && net_addr_none(&c->host);

    if (net_addr_none(&c->net))
        c->net = ours ? net_addr_of4(net) : c->host;
    if (!c->prefix_len)
        c->prefix_len = 24;
    c->net = net_addr_of4(number(&c->net) & (uint32_t)(UINT64_C(0xffffffff) << (32 - (c->prefix_len & 31))));
    if (ours)
        default_addr(c, &c->dhcp_start, 101);
}

/* The servers' own address, next to the host's: the first that is not taken. */
static struct net_addr server_addr(const struct nat_config *c)
{
    struct net_addr a = net_addr_of4(number(&c->net) + 2);

    while (net_addr_equal(&a, &c->host) || net_addr_equal(&a, &c->dns) || net_addr_equal(&a, &c->dhcp_start))
        a = net_addr_of4(number(&a) + 1);
    return a;
}

/* --- hostonly ----------------------------------------------------------------------------------------------------- */

static bool add_host(struct gateway *g, struct segment *s, struct nat_config *c, struct err *e)
{
    bool given = !net_addr_none(&c->net) || !net_addr_none(&c->host);
    struct net_addr host;

    default_net(c, HOSTONLY_NET);
    default_addr(c, &c->host, 1);
    if (net_addr_none(&c->net6) && net_addr_none(&c->host6))
        c->net6 = (struct net_addr){{0xfe, 0xc0, [7] = 0x56}};
    host = c->host;
    g->host = host_side_new(s, g->sw, &host, &c->prefix_len, e);
    if (!g->host)
        return false;
    if (!net_addr_equal(&host, &c->host) && given)
        return err_set(e, "interface %s has another address than the network", s->c.tap);
    if (!net_addr_equal(&host, &c->host)) { /* the interface's own */
        c->net = c->host = host;
        c->dns = c->dhcp_start = (struct net_addr){{0}};
        default_net(c, 0);
    }
    default_addr(c, &c->dns, number(&host) == number(&c->net) + 3 ? 4 : 3);
    c->host = server_addr(c);
    return true;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static bool settings(struct gateway *g, struct segment *s, struct nat_config *c, struct err *e)
{
    *c = s->c.nat;
    if (!c->name)
        c->name = s->name;
    if (s->c.kind == SEGMENT_NAT)
        return true;
    c->restrict_ = true;
    c->host_loopback = false;
    if (s->c.kind == SEGMENT_HOSTONLY)
        return add_host(g, s, c, e);
    default_net(c, INTERNAL_NET);
    c->no_ipv6 = true;
    return true;
}

static bool add_nat(struct gateway *g, struct segment *s, struct err *e)
{
    struct nat_config c;

    if (!settings(g, s, &c, e))
        return false;
    g->nat = nat_new(&s->env, &c, e);
    if (!g->nat || !nat_guestfwd_add_all(g->nat, s->c.guestfwd, s->c.guestfwds, e) ||
        !plug_in(&g->nat_plug, &s->env, g->sw, nat_port(g->nat), false, e))
        return false;
    net_switch_set_gateway(g->sw, g->nat_plug.port);
    return true;
}

struct gateway *gateway_new(struct segment *s, struct net_switch *sw, struct err *e)
{
    struct gateway *g;

    e->msg[0] = '\0';
    if (s->c.kind == SEGMENT_INTERNAL && !s->c.dhcp)
        return NULL;
    g = calloc(1, sizeof *g);
    if (!g) {
        err_set(e, "out of memory");
        return NULL;
    }
    g->sw = sw;
    if (add_nat(g, s, e))
        return g;
    gateway_free(g);
    return NULL;
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    plug_out(&g->nat_plug);
    if (g->nat)
        nat_free(g->nat);
    host_side_free(g->host);
    free(g);
}

struct nat *gateway_nat(const struct gateway *g) { return g->nat; }

void gateway_info(const struct gateway *g, FILE *out)
{
    if (g->host)
        host_side_info(g->host, out);
    nat_info(g->nat, false, out);
}
