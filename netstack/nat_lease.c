/*
 * Leases: which guest has which addresses.
 *
 * A guest is its MAC, nothing else. RFC 2131 would have the client identifier decide when there is one; but one machine uses
 * several on its way up (firmware, netboot loader, installer, system), and forwards must find it at the same address
 * in all of them; and copies of one disk share a machine-id, from which systemd makes the identifier, and must not share
 * an address. Behind a virtual cable a MAC is a machine.
 *
 * Addresses are remembered for as long as there is room: the same guest gets the same address again, also after its
 * lease ended. Nothing is kept on disk: after a restart of the gateway a guest that asks for the address it had gets it
 * if nobody else did in between.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netstack/nat_svc.h"

enum { POOL_SCAN_MAX = 4096, POOL6_OFFSET = 0x1000 };

struct nat_dhcp *nat_dhcp_new(struct nat *n, struct err *e)
{
    struct nat_dhcp *d = calloc(1, sizeof *d);

    if (!d)
        err_set(e, "out of memory");
    else
        d->n = n;
    return d;
}

void nat_dhcp_free(struct nat_dhcp *d) { free(d); }

/* --- the table ------------------------------------------------------------------------------------------------------ */

static uint64_t now(const struct nat_dhcp *d) { return clock_now(d->n->env.clock); }

bool lease_active(const struct nat_dhcp *d, const struct nat_lease *l, bool is4)
{
    return l->used && (is4 ? l->until4 : l->until6) > now(d);
}

/* Its addresses are not for others. */
static bool lease_kept(const struct nat_dhcp *d, const struct nat_lease *l)
{
    return lease_active(d, l, true) || lease_active(d, l, false) || l->held > now(d);
}

struct nat_lease *lease_find(struct nat_dhcp *d, const uint8_t mac[ETH_ALEN])
{
    for (unsigned i = 0; i < NAT_LEASES_MAX; i++)
        if (d->lease[i].used && !memcmp(d->lease[i].mac, mac, ETH_ALEN)) {
            d->lease[i].seen = ++d->seen;
            return &d->lease[i];
        }
    return NULL;
}

/* The slot of nobody, else of the guest that was not heard of for longest and has nothing; NULL: all have. */
static struct nat_lease *slot_for_new(struct nat_dhcp *d)
{
    struct nat_lease *old = NULL;

    for (unsigned i = 0; i < NAT_LEASES_MAX; i++) {
        struct nat_lease *l = &d->lease[i];

        if (!l->used)
            return l;
        if (!lease_kept(d, l) && (!old || l->seen < old->seen))
            old = l;
    }
    return old;
}

static const struct nat_static_lease *static_of(const struct nat *n, const uint8_t mac[ETH_ALEN])
{
    for (unsigned i = 0; i < n->c.leases; i++)
        if (!memcmp(n->c.lease[i].mac, mac, ETH_ALEN))
            return &n->c.lease[i];
    return NULL;
}

struct nat_lease *lease_of(struct nat_dhcp *d, const uint8_t mac[ETH_ALEN])
{
    struct nat_lease *l = lease_find(d, mac);

    if (l || !(l = slot_for_new(d)))
        return l;
    *l = (struct nat_lease){.used = true, .fixed = static_of(d->n, mac), .seen = ++d->seen};
    memcpy(l->mac, mac, ETH_ALEN);
    return l;
}

void lease_hold(struct nat_dhcp *d, struct nat_lease *l) { l->held = now(d) + LEASE_HOLD_SECONDS * NS_PER_SEC; }

void lease_bind(struct nat_dhcp *d, struct nat_lease *l, bool is4, uint32_t seconds)
{
    *(is4 ? &l->until4 : &l->until6) = seconds ? now(d) + seconds * NS_PER_SEC : 0;
    l->held = 0;
}

void lease_decline(struct nat_dhcp *d, struct nat_lease *l, const struct net_addr *a)
{
    bool is4 = net_addr_is4(a);

    d->declined[d->declined_next].addr = *a;
    d->declined[d->declined_next].until = now(d) + LEASE_DECLINED_SECONDS * NS_PER_SEC;
    d->declined_next = (d->declined_next + 1) % LEASES_DECLINED_MAX;
    lease_bind(d, l, is4, 0);
    *(is4 ? &l->a4 : &l->a6) = (struct net_addr){{0}};
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static uint32_t low_bits(const struct net_addr *a) { return ld32be(a->b + 12); }

static unsigned host_bits(const struct nat *n, bool is4) { return is4 ? 32 - n->c.prefix_len : 128 - n->c.prefix6_len; }

/* Not the network's own (host part all zeroes or, IPv4, all ones: broadcast). */
static bool is_host_part(const struct nat *n, const struct net_addr *a)
{
    bool is4 = net_addr_is4(a);
    unsigned bits = host_bits(n, is4);
    uint32_t mask = bits < 32 ? (UINT32_C(1) << bits) - 1 : UINT32_MAX;

    if (!(low_bits(a) & mask) && (is4 || bits <= 32))
        return false;
    return !is4 || (low_bits(a) & mask) != mask;
}

static bool same_net(const struct nat *n, const struct net_addr *a)
{
    const struct net_addr *net = net_addr_is4(a) ? &n->c.net : &n->c.net6;
    unsigned bits = 128 - host_bits(n, net_addr_is4(a));

    if (net_addr_is4(a) != net_addr_is4(net) || memcmp(a->b, net->b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || (a->b[bits / 8] ^ net->b[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool is_declined(const struct nat_dhcp *d, const struct net_addr *a)
{
    for (unsigned i = 0; i < LEASES_DECLINED_MAX; i++)
        if (net_addr_equal(&d->declined[i].addr, a) && d->declined[i].until > now(d))
            return true;
    return false;
}

static bool is_static_of_another(const struct nat *n, const struct nat_lease *l, const struct net_addr *a)
{
    for (unsigned i = 0; i < n->c.leases; i++)
        if (&n->c.lease[i] != l->fixed && net_addr_equal(&n->c.lease[i].addr, a))
            return true;
    return false;
}

/* The other guest to whom a was given, if any. */
static struct nat_lease *owner(struct nat_dhcp *d, const struct nat_lease *l, const struct net_addr *a)
{
    for (unsigned i = 0; i < NAT_LEASES_MAX; i++) {
        struct nat_lease *o = &d->lease[i];

        if (o != l && o->used && (net_addr_equal(&o->a4, a) || net_addr_equal(&o->a6, a)))
            return o;
    }
    return NULL;
}

/* An address that a guest may have at all, and that no guest with an address of its own making uses. */
static bool usable(struct nat_dhcp *d, const struct nat_lease *l, const struct net_addr *a)
{
    if (!same_net(d->n, a) || !is_host_part(d->n, a) || nat_is_ours(d->n, a) || is_static_of_another(d->n, l, a))
        return false;
    return !is_declined(d, a) && !nat_neighbour_in_use(d->n, a, l->mac);
}

bool lease_may_have(struct nat_dhcp *d, const struct nat_lease *l, const struct net_addr *a)
{
    if (net_addr_is4(a) && l->fixed)
        return net_addr_equal(a, &l->fixed->addr);
    if (lease_kept(d, l) && net_addr_equal(a, net_addr_is4(a) ? &l->a4 : &l->a6))
        return true;
    return usable(d, l, a) && !owner(d, l, a);
}

static struct net_addr pool_start(const struct nat *n, bool is4)
{
    struct net_addr a = is4 ? n->c.dhcp_start : n->c.net6;
    unsigned bits = host_bits(n, is4);

    if (!is4) /* above what people give by hand */
        st32be(a.b + 12, low_bits(&a) + (bits > 13 ? POOL6_OFFSET : bits > 5 ? 16 : 1));
    return a;
}

/* The first address of the pool that is free. */
static bool pool_take(struct nat_dhcp *d, const struct nat_lease *l, bool is4, struct net_addr *a)
{
    *a = pool_start(d->n, is4);
    for (unsigned i = 0; i < POOL_SCAN_MAX && same_net(d->n, a); i++) {
        if (usable(d, l, a) && !owner(d, l, a))
            return true;
        if (low_bits(a) == UINT32_MAX)
            break;
        st32be(a->b + 12, low_bits(a) + 1);
    }
    return false;
}

/* The address of the guest that was not heard of for longest, among those that have no lease. */
static bool pool_steal(struct nat_dhcp *d, const struct nat_lease *l, bool is4, struct net_addr *a)
{
    struct nat_lease *old = NULL;

    for (unsigned i = 0; i < NAT_LEASES_MAX; i++) {
        struct nat_lease *o = &d->lease[i];
        const struct net_addr *theirs = is4 ? &o->a4 : &o->a6;

        if (o != l && o->used && !net_addr_none(theirs) && !lease_kept(d, o) && usable(d, o, theirs) &&
            (!old || o->seen < old->seen))
            old = o;
    }
    if (!old)
        return false;
    *a = is4 ? old->a4 : old->a6;
    *(is4 ? &old->a4 : &old->a6) = (struct net_addr){{0}};
    return true;
}

bool lease_address(struct nat_dhcp *d, struct nat_lease *l, bool is4, const struct net_addr *want)
{
    struct net_addr *mine = is4 ? &l->a4 : &l->a6;

    if (is4 && l->fixed) {
        *mine = l->fixed->addr;
        return true;
    }
    if (!net_addr_none(mine) && (lease_kept(d, l) || usable(d, l, mine)))
        return true;
    if (!net_addr_none(want) && net_addr_is4(want) == is4 && lease_may_have(d, l, want)) {
        *mine = *want;
        return true;
    }
    return pool_take(d, l, is4, mine) || pool_steal(d, l, is4, mine);
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

/* Names that must not be a guest's: others would be led to it by asking for what they take to be something else. */
static bool reserved(const char *name)
{
    static const char *const names[] = {"host", "dns", "localhost", "wpad", "isatap"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!strcasecmp(name, names[i]))
            return true;
    return false;
}

void lease_set_name(struct nat_lease *l, const uint8_t *name, size_t len)
{
    size_t n = 0;

    while (n < len && (isalnum(name[n]) || name[n] == '-' || name[n] == '_'))
        n++;
    l->name[0] = 0;
    if (!n || n >= NAT_NAME_MAX || (n < len && name[n] != '.' && name[n] != 0) || name[0] == '-')
        return;
    memcpy(l->name, name, n);
    l->name[n] = 0;
    if (reserved(l->name))
        l->name[0] = 0;
}

const char *lease_name(const struct nat_lease *l)
{
    return l->fixed && l->fixed->hostname ? l->fixed->hostname : l->name;
}

/* IPv6 addresses that guests make themselves are known by their neighbour entry: the usual one is from the MAC (RFC 4291). */
static bool address_from_mac(const struct nat *n, const struct nat_lease *l, struct net_addr *a)
{
    uint8_t mac[ETH_ALEN];

    if (n->c.no_ipv6 || n->c.prefix6_len != 64)
        return false;
    *a = n->c.net6;
    memcpy(a->b + 8, (uint8_t[]){l->mac[0] ^ 2, l->mac[1], l->mac[2], 0xff, 0xfe, l->mac[3], l->mac[4], l->mac[5]}, 8);
    return nat_neighbour(n, a, mac) && !memcmp(mac, l->mac, ETH_ALEN);
}

bool nat_dhcp_lookup(const struct nat_dhcp *d, const char *name, struct net_addr *a4, struct net_addr *a6)
{
    *a4 = *a6 = (struct net_addr){{0}};
    for (unsigned i = 0; *name && i < NAT_LEASES_MAX; i++) {
        const struct nat_lease *l = &d->lease[i];

        if (!l->used || strcasecmp(lease_name(l), name) != 0 ||
            (!lease_active(d, l, true) && !lease_active(d, l, false)))
            continue;
        if (lease_active(d, l, true))
            *a4 = l->a4;
        if (lease_active(d, l, false))
            *a6 = l->a6;
        else if (!address_from_mac(d->n, l, a6))
            *a6 = (struct net_addr){{0}};
        return true;
    }
    for (unsigned i = 0; *name && i < d->n->c.leases; i++)
        if (d->n->c.lease[i].hostname && !strcasecmp(d->n->c.lease[i].hostname, name)) {
            *a4 = d->n->c.lease[i].addr;
            return true;
        }
    return false;
}

const char *lease_name_of(const struct nat_dhcp *d, const struct net_addr *a)
{
    const char *name = NULL;

    for (unsigned i = 0; i < NAT_LEASES_MAX && !name; i++) {
        const struct nat_lease *l = &d->lease[i];
        struct net_addr made;

        if (!l->used)
            continue;
        if ((net_addr_equal(&l->a4, a) && lease_active(d, l, true)) ||
            (net_addr_equal(&l->a6, a) && lease_active(d, l, false)) ||
            (address_from_mac(d->n, l, &made) && net_addr_equal(&made, a)))
            name = lease_name(l);
    }
    for (unsigned i = 0; i < d->n->c.leases && !name; i++)
        if (net_addr_equal(&d->n->c.lease[i].addr, a))
            name = d->n->c.lease[i].hostname;
    return name && *name ? name : NULL;
}

/* --- for others ----------------------------------------------------------------------------------------------------- */

struct net_addr nat_dhcp_first(const struct nat_dhcp *d)
{
    for (unsigned i = 0; i < NAT_LEASES_MAX; i++)
        if (lease_active(d, &d->lease[i], true))
            return d->lease[i].a4;
    return d->n->c.leases ? d->n->c.lease[0].addr : d->n->c.dhcp_start;
}

struct net_addr nat_dhcp_of(const struct nat_dhcp *d, const uint8_t mac[ETH_ALEN])
{
    const struct nat_static_lease *fixed = static_of(d->n, mac);

    if (fixed)
        return fixed->addr;
    for (unsigned i = 0; i < NAT_LEASES_MAX; i++)
        if (lease_active(d, &d->lease[i], true) && !memcmp(d->lease[i].mac, mac, ETH_ALEN))
            return d->lease[i].a4;
    return (struct net_addr){{0}};
}

void nat_dhcp_info(const struct nat_dhcp *d, FILE *out)
{
    char mac[18], a4[NET_ADDR_TEXT], a6[NET_ADDR_TEXT];

    for (unsigned i = 0; i < NAT_LEASES_MAX; i++) {
        const struct nat_lease *l = &d->lease[i];
        uint64_t until = l->until4 > l->until6 ? l->until4 : l->until6;

        if (!l->used)
            continue;
        fprintf(out, "  lease %s %s %s %s", svc_mac_text(l->mac, mac),
                net_addr_none(&l->a4) ? "-" : net_addr_text(&l->a4, a4),
                net_addr_none(&l->a6) ? "-" : net_addr_text(&l->a6, a6), *lease_name(l) ? lease_name(l) : "-");
        if (until > now(d))
            fprintf(out, " %llu s left\n", (unsigned long long)((until - now(d)) / NS_PER_SEC));
        else
            fprintf(out, " %s\n", l->held > now(d) ? "offered" : "ended");
    }
}

void nat_dhcp_counts(const struct nat_dhcp *d, struct nat_counts *c)
{
    c->leases = 0;
    for (unsigned i = 0; i < NAT_LEASES_MAX; i++)
        c->leases += lease_active(d, &d->lease[i], true) || lease_active(d, &d->lease[i], false);
}
