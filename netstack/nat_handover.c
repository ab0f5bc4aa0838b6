/*
 * Leases handed from one gateway to the next, when a named network's switch moves to another process: the guests keep
 * their addresses and names, and nobody else is given them. What comes from outside is checked like a guest's wishes.
 */
#include <string.h>

#include "netstack/nat_svc.h"

static uint32_t seconds_left(const struct nat_dhcp *d, uint64_t until)
{
    uint64_t now = clock_now(d->n->env.clock);

    return until > now ? (uint32_t)((until - now) / NS_PER_SEC) : 0;
}

/* Latest heard first: max of them are the ones that matter most. */
static const struct nat_lease *next_lease(const struct nat_dhcp *d, uint64_t before)
{
    const struct nat_lease *found = NULL;

    for (unsigned i = 0; i < NAT_LEASES_MAX; i++) {
        const struct nat_lease *l = &d->lease[i];

        if (l->used && l->seen < before && (!found || l->seen > found->seen) &&
            (lease_active(d, l, true) || lease_active(d, l, false)))
            found = l;
    }
    return found;
}

unsigned nat_leases(const struct nat *n, struct nat_lease_state *out, unsigned max)
{
    const struct nat_dhcp *d = n->dhcp;
    uint64_t before = UINT64_MAX;
    unsigned count = 0;

    for (const struct nat_lease *l; count < max && (l = next_lease(d, before)); count++) {
        out[count] = (struct nat_lease_state){.a4 = l->a4, .a6 = l->a6};
        memcpy(out[count].mac, l->mac, ETH_ALEN);
        memcpy(out[count].name, l->name, sizeof l->name);
        out[count].left4 = seconds_left(d, l->until4);
        out[count].left6 = seconds_left(d, l->until6);
        before = l->seen;
    }
    return count;
}

uint64_t nat_leases_version(const struct nat *n) { return n->dhcp->seen; }

static void restore_address(struct nat_dhcp *d, struct nat_lease *l, bool is4, const struct net_addr *a, uint32_t left)
{
    if (!left || net_addr_none(a) || net_addr_is4(a) != is4 || !lease_may_have(d, l, a))
        return;
    *(is4 ? &l->a4 : &l->a6) = *a;
    lease_bind(d, l, is4, left < LEASE_SECONDS ? left : LEASE_SECONDS);
}

void nat_leases_restore(struct nat *n, const struct nat_lease_state *in, unsigned count)
{
    while (count--) { /* so that the latest is the latest again */
        const struct nat_lease_state *s = &in[count];
        struct nat_lease *l = s->mac[0] & 1 ? NULL : lease_of(n->dhcp, s->mac);

        if (!l)
            continue;
        restore_address(n->dhcp, l, true, &s->a4, s->left4);
        restore_address(n->dhcp, l, false, &s->a6, s->left6);
        if (memchr(s->name, 0, sizeof s->name))
            lease_set_name(l, (const uint8_t *)s->name, strlen(s->name));
    }
}
