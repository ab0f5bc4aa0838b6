/*
 * DHCP for IPv4, the server's side: what a message means and what is answered (RFC 2131, 2132; BOOTP: RFC 951, 1542).
 * Messages are read in nat_dhcp4_msg.c, replies written in nat_dhcp4_reply.c, leases kept in nat_lease.c.
 *
 * The server is the only one on its network and says so: a wrong address is refused at once (NAK), an address that is free
 * is given to who asks for it even when nothing is known of the guest, which is how guests go on after the gateway
 * started anew. Rapid commit (RFC 4039) saves a guest one exchange. Relays (giaddr) are not served.
 */
#include <string.h>

#include "netstack/nat_dhcp4.h"

static const struct net_addr none;

/* Seconds of lease for what was asked: no more than ours, no less than a minute. */
static uint32_t lease_seconds(const struct dhcp4_msg *m)
{
    if (!m->lease_time || m->lease_time > LEASE_SECONDS)
        return LEASE_SECONDS;
    return m->lease_time < 60 ? 60 : m->lease_time;
}

static void grant(struct nat_dhcp *d, struct nat_lease *l, const struct dhcp4_msg *m)
{
    lease_bind(d, l, true, lease_seconds(m));
    if (m->own_mac)
        nat_neighbour_learn(d->n, &l->a4, l->mac);
    dhcp4_reply(d, l, m, DHCP_ACK, lease_seconds(m));
}

static struct nat_lease *lease_for(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = lease_of(d, m->mac);

    if (!l)
        nat_bad(d->n, "dhcp: no room for another guest");
    else if (m->name_len)
        lease_set_name(l, m->name, m->name_len);
    return l;
}

static void discover(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = lease_for(d, m);

    if (!l || !lease_address(d, l, true, &m->requested))
        return;
    if (m->rapid_commit) {
        grant(d, l, m);
        return;
    }
    lease_hold(d, l);
    dhcp4_reply(d, l, m, DHCP_OFFER, lease_seconds(m));
}

/* The address a REQUEST is about: in SELECTING and INIT-REBOOT an option, in RENEWING and REBINDING ciaddr. */
static const struct net_addr *wanted(const struct dhcp4_msg *m)
{
    return net_addr_none(&m->requested) ? &m->ciaddr : &m->requested;
}

static void request(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    const struct net_addr *want = wanted(m);
    struct nat_lease *l;

    if (!net_addr_none(&m->server_id) && !net_addr_equal(&m->server_id, &d->n->c.host)) {
        l = lease_find(d, m->mac); /* it chose another server */
        if (l)
            l->held = 0;
        return;
    }
    l = lease_for(d, m);
    if (!l)
        return;
    if (net_addr_none(want) || !lease_may_have(d, l, want)) {
        dhcp4_reply(d, NULL, m, DHCP_NAK, 0);
        return;
    }
    l->a4 = *want;
    grant(d, l, m);
}

/* A guest says so of itself only: another's lease is not ended by a forged hardware address. */
static struct nat_lease *own_lease(struct nat_dhcp *d, const struct dhcp4_msg *m, const struct net_addr *a)
{
    struct nat_lease *l = m->own_mac ? lease_find(d, m->mac) : NULL;

    if (!l || net_addr_none(a) || !net_addr_equal(&l->a4, a)) {
        nat_bad(d->n, "dhcp: end of a lease that is not the sender's");
        return NULL;
    }
    return l;
}

static void decline(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = own_lease(d, m, &m->requested);

    if (l)
        lease_decline(d, l, &m->requested);
}

static void release(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = own_lease(d, m, &m->ciaddr);

    if (l)
        lease_bind(d, l, true, 0);
}

/* A guest with an address of its own making wants the rest. */
static void inform(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = lease_find(d, m->mac);

    if (!net_addr_none(&m->ciaddr) && nat_in_net(d->n, &m->ciaddr) && !nat_is_ours(d->n, &m->ciaddr))
        dhcp4_reply(d, l, m, DHCP_ACK, 0);
}

/* BOOTP knows no leases: an address is given and never given back, so it is bound for as long as leases are. */
static void bootp(struct nat_dhcp *d, const struct dhcp4_msg *m)
{
    struct nat_lease *l = lease_for(d, m);

    if (!l || !lease_address(d, l, true, &none))
        return;
    lease_bind(d, l, true, LEASE_SECONDS);
    if (m->own_mac)
        nat_neighbour_learn(d->n, &l->a4, l->mac);
    dhcp4_reply(d, l, m, 0, 0);
}

bool nat_dhcp4_input(struct nat *n, const struct nat_ip *ip, uint16_t sport, uint16_t dport, struct packet *p)
{
    static void (*const handlers[])(struct nat_dhcp *, const struct dhcp4_msg *) = {
        [0] = bootp,
        [DHCP_DISCOVER] = discover,
        [DHCP_REQUEST] = request,
        [DHCP_DECLINE] = decline,
        [DHCP_RELEASE] = release,
        [DHCP_INFORM] = inform,
    };
    struct dhcp4_msg m;

    (void)sport; /* 68, but nothing depends on it: replies go there */
    if (dport != PORT_DHCP_SERVER || !ip->is4 || n->c.no_dhcp || n->c.no_ipv4 || nat_is_dns(n, &ip->dst))
        return false;
    if (!dhcp4_read(&m, p))
        nat_bad(n, "dhcp: a message that is too short or not for a server");
    else if (m.type < ARRAY_LEN(handlers) && handlers[m.type]) {
        m.own_mac = !memcmp(m.mac, ip->mac, ETH_ALEN);
        handlers[m.type](n->dhcp, &m);
    }
    return true;
}
