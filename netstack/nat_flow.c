/* Tables of flows: see nat_flow.h. */
#include "netstack/nat_flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

struct nat_flow_guest {
    uint8_t mac[ETH_ALEN];
    unsigned count; /* never 0 */
    struct nat_flow *eldest, *youngest;
    struct nat_flow_guest *next;
};

static void arm(struct nat_flows *t)
{
    uint64_t due = CLOCK_NEVER;

    for (unsigned i = 0; i < NAT_FLOW_LISTS; i++) {
        const struct nat_flow_list *l = &t->list[i];

        if (l->oldest && l->oldest->used + l->timeout < due)
            due = l->oldest->used + l->timeout;
    }
    if (due == CLOCK_NEVER)
        timer_cancel(&t->timer);
    else
        timer_arm(&t->timer, due);
}

static void expire(void *arg)
{
    struct nat_flows *t = arg;
    uint64_t now = clock_now(t->clock);

    for (unsigned i = 0; i < NAT_FLOW_LISTS; i++) {
        struct nat_flow_list *l = &t->list[i];

        while (l->oldest && l->oldest->used + l->timeout <= now) {
            t->expired++;
            t->end(t, l->oldest);
        }
    }
    arm(t);
}

bool nat_flows_init(struct nat_flows *t, struct clock *clock, unsigned cap, nat_flow_end *end)
{
    uint32_t n = 16;

    while (n < cap && n < UINT32_C(1) << 20)
        n *= 2;
    *t = (struct nat_flows){.clock = clock, .end = end, .cap = cap, .mask = n - 1};
    timer_init(&t->timer, clock, expire, t);
    t->buckets = calloc(n, sizeof *t->buckets);
    return t->buckets != NULL;
}

void nat_flows_fini(struct nat_flows *t)
{
    if (!t->clock)
        return;
    for (unsigned i = 0; i < NAT_FLOW_LISTS; i++)
        while (t->list[i].oldest)
            t->end(t, t->list[i].oldest);
    clock_drop_timer(&t->timer);
    free(t->buckets);
    t->buckets = NULL;
}

static struct nat_flow *with_hash(struct nat_flow *f, uint32_t hash)
{
    while (f && f->hash != hash)
        f = f->chain;
    return f;
}

struct nat_flow *nat_flows_first(const struct nat_flows *t, uint32_t hash)
{
    return with_hash(t->buckets[hash & t->mask], hash);
}

struct nat_flow *nat_flows_next(const struct nat_flow *f) { return with_hash(f->chain, f->hash); }

/* --- lists ---------------------------------------------------------------------------------------------------- */

static void list_add(struct nat_flows *t, struct nat_flow *f, unsigned list)
{
    struct nat_flow_list *l = &t->list[list];

    f->list = list;
    f->used = clock_now(t->clock);
    f->newer = NULL;
    f->older = l->newest;
    if (l->newest)
        l->newest->newer = f;
    else
        l->oldest = f;
    l->newest = f;
}

static void list_remove(struct nat_flows *t, struct nat_flow *f)
{
    struct nat_flow_list *l = &t->list[f->list];

    *(f->older ? &f->older->newer : &l->oldest) = f->newer;
    *(f->newer ? &f->newer->older : &l->newest) = f->older;
}

void nat_flows_use(struct nat_flows *t, struct nat_flow *f, unsigned list)
{
    bool sooner = t->list[list].timeout < t->list[f->list].timeout;

    if (f->list == list && t->list[list].newest == f) {
        f->used = clock_now(t->clock);
        return;
    }
    list_remove(t, f);
    list_add(t, f, list);
    if (sooner) /* a later end is found when the timer runs */
        arm(t);
}

/* --- guests ---------------------------------------------------------------------------------------------------- */

static struct nat_flow_guest *guest_of(struct nat_flows *t, const uint8_t *mac)
{
    static const uint8_t nobody[ETH_ALEN];
    struct nat_flow_guest *g = t->guests;

    mac = mac ? mac : nobody;
    while (g && memcmp(g->mac, mac, ETH_ALEN))
        g = g->next;
    if (g || !(g = calloc(1, sizeof *g)))
        return g;
    memcpy(g->mac, mac, ETH_ALEN);
    g->next = t->guests;
    t->guests = g;
    return g;
}

static void guest_drop(struct nat_flows *t, struct nat_flow_guest *g)
{
    struct nat_flow_guest **p = &t->guests;

    while (*p != g)
        p = &(*p)->next;
    *p = g->next;
    free(g);
}

static void guest_add(struct nat_flow_guest *g, struct nat_flow *f)
{
    f->guest = g;
    f->younger = NULL;
    f->elder = g->youngest;
    *(g->youngest ? &g->youngest->younger : &g->eldest) = f;
    g->youngest = f;
    g->count++;
}

static void guest_remove(struct nat_flows *t, struct nat_flow *f)
{
    struct nat_flow_guest *g = f->guest;

    *(f->elder ? &f->elder->younger : &g->eldest) = f->younger;
    *(f->younger ? &f->younger->elder : &g->youngest) = f->elder;
    if (!--g->count)
        guest_drop(t, g);
}

bool nat_flows_evict(struct nat_flows *t)
{
    struct nat_flow_guest *most = t->guests;

    for (struct nat_flow_guest *g = t->guests; g; g = g->next)
        if (g->count > most->count || (g->count == most->count && g->eldest->born < most->eldest->born))
            most = g;
    if (!most)
        return false;
    t->evicted++;
    t->end(t, most->eldest);
    return true;
}

/* --- flows ----------------------------------------------------------------------------------------------------- */

bool nat_flows_add(struct nat_flows *t, struct nat_flow *f, uint32_t hash, const uint8_t *mac, unsigned list)
{
    struct nat_flow_guest *g;

    while (t->count >= t->cap && nat_flows_evict(t))
        continue;
    g = guest_of(t, mac);
    if (!g)
        return false;
    f->hash = hash;
    f->born = clock_now(t->clock);
    f->chain = t->buckets[hash & t->mask];
    t->buckets[hash & t->mask] = f;
    guest_add(g, f);
    list_add(t, f, list);
    t->count++;
    if (t->timer.when > f->used + t->list[list].timeout)
        arm(t);
    return true;
}

void nat_flows_remove(struct nat_flows *t, struct nat_flow *f)
{
    struct nat_flow **p = &t->buckets[f->hash & t->mask];

    while (*p != f)
        p = &(*p)->chain;
    *p = f->chain;
    list_remove(t, f);
    guest_remove(t, f);
    t->count--;
    t->removed++;
}

/* Mixing as in MurmurHash3's finish: not secret; a bad day costs a walk over the table, which has a cap. */
static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0xff51afd7ed558ccd);
    return h ^ h >> 33;
}

uint32_t nat_flow_hash(const struct net_addr *guest, uint16_t port, const struct net_addr *peer, uint16_t peer_port)
{
    uint64_t h = mix(mix(ld64(guest->b), ld64(guest->b + 8)), (uint64_t)port << 16 | peer_port);

    if (peer)
        h = mix(mix(h, ld64(peer->b)), ld64(peer->b + 8));
    return (uint32_t)(h ^ h >> 32);
}
