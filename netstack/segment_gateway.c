/*
 * What a named network has besides its members: a NAT for natnet, the host for hostonly, a DHCP server for internal when it
 * is wanted. All are places on the leader's switch, and gateways for its isolated members.
 *
 *     natnet    nat_config as given: 10.0.2.0/24, gateway .2, DNS .3
 *     hostonly  192.168.56.0/24, the host .1, leases from .101; nothing behind the host
 *     internal  192.168.57.0/24, the server .100, leases from .101; a server and nothing else
 *
 * So that a guest on several kinds of network at once has no address twice. Source of the last two: the defaults of
 * desktop virtual machines, which people's notes contain.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "netstack/segment_int.h"

struct gateway {
    struct net_switch *sw;
    struct nat *nat;
    struct plug nat_plug;
};

enum { HOSTONLY_NET = 0xc0a83800, INTERNAL_NET = 0xc0a83900 /* 192.168.56.0, .57.0 */ };

static void default_net(struct nat_config *c, uint32_t net, unsigned host, unsigned dns, unsigned first)
{
    if (!net_addr_none(&c->net))
        return;
    c->net = net_addr_of4(net);
    c->prefix_len = 24;
    if (net_addr_none(&c->host))
        c->host = net_addr_of4(net + host);
    if (net_addr_none(&c->dns))
        c->dns = net_addr_of4(net + dns);
    if (net_addr_none(&c->dhcp_start))
        c->dhcp_start = net_addr_of4(net + first);
}

static struct nat_config nat_settings(const struct segment *s)
{
    struct nat_config c = s->c.nat;

    if (!c.name)
        c.name = s->name;
    if (s->c.kind == SEGMENT_NAT)
        return c;
    c.restrict_ = true;
    c.host_loopback = false;
    if (s->c.kind == SEGMENT_HOSTONLY) {
        default_net(&c, HOSTONLY_NET, 1, 3, 101);
    } else {
        default_net(&c, INTERNAL_NET, 100, 99, 101);
        c.no_ipv6 = true;
    }
    return c;
}

static bool add_nat(struct gateway *g, struct segment *s, struct err *e)
{
    struct nat_config c = nat_settings(s);

    g->nat = nat_new(&s->env, &c, e);
    if (!g->nat || !plug_in(&g->nat_plug, &s->env, g->sw, nat_port(g->nat), false, e))
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
    free(g);
}

struct nat *gateway_nat(const struct gateway *g) { return g->nat; }
void gateway_info(const struct gateway *g, FILE *out) { nat_info(g->nat, false, out); }
