/*
 * TCP flows of the NAT: found by both ends' addresses, counted by guest, evicted fairly.
 *
 * The hash is keyed, so that a guest cannot choose ports that fall into one bucket. A guest is a MAC: it may have many
 * addresses, but it cannot have another's MAC. When the table is full, the guest with the most flows loses the one it has
 * not used for the longest time, of those that only wait for their end if there are any.
 */
#include <stdlib.h>

#include "base/gate.h"
#include "base/siphash.h"
#include "netstack/nat_tcp_int.h"

bool tcp_table_init(struct nat_tcp *t, unsigned cap)
{
    uint32_t n = 16;

    while (n < cap && n < UINT32_C(1) << 20)
        n *= 2;
    t->cap = cap;
    t->mask = n - 1;
    gate_random(t->n->env.gate, t->hash_key, sizeof t->hash_key);
    gate_random(t->n->env.gate, t->isn_key, sizeof t->isn_key);
    t->buckets = calloc(n, sizeof(struct tcp_flow *));
    return t->buckets != NULL;
}

void tcp_table_fini(struct nat_tcp *t)
{
    for (uint32_t i = 0; t->buckets && i <= t->mask; i++)
        while (t->buckets[i]) { /* the peer of a guest that did not say good-bye must not think that it did */
            struct tcp_flow *f = t->buckets[i];

            (f->fin_taken ? tcp_flow_free : tcp_flow_kill)(f);
        }
    free(t->buckets);
}

static uint32_t hash_of(const struct nat_tcp *t, const struct tcp_key *key)
{
    return (uint32_t)siphash(t->hash_key, key, sizeof *key);
}

struct tcp_flow *tcp_table_find(const struct nat_tcp *t, const struct tcp_key *key)
{
    uint32_t hash = hash_of(t, key);
    struct tcp_flow *f = t->buckets[hash & t->mask];

    while (f && (f->hash != hash || memcmp(&f->key, key, sizeof *key)))
        f = f->chain;
    return f;
}

/* --- guests and the order of use ------------------------------------------------------------------------------- */

static struct tcp_guest *guest_of(struct nat_tcp *t, const uint8_t mac[ETH_ALEN])
{
    struct tcp_guest *g = t->guests;

    while (g && memcmp(g->mac, mac, ETH_ALEN))
        g = g->next;
    if (g || !(g = calloc(1, sizeof *g)))
        return g;
    memcpy(g->mac, mac, ETH_ALEN);
    g->next = t->guests;
    t->guests = g;
    return g;
}

static struct tcp_uses *uses_of(struct tcp_flow *f) { return &f->guest->uses[f->ending]; }

static void unlink_use(struct tcp_flow *f)
{
    struct tcp_uses *u = uses_of(f);

    *(f->idler ? &f->idler->busier : &u->idlest) = f->busier;
    *(f->busier ? &f->busier->idler : &u->busiest) = f->idler;
    f->idler = f->busier = NULL;
}

static void link_busiest(struct tcp_flow *f)
{
    struct tcp_uses *u = uses_of(f);

    f->idler = u->busiest;
    *(f->idler ? &f->idler->busier : &u->idlest) = f;
    u->busiest = f;
}

void tcp_table_touch(struct tcp_flow *f, uint64_t now)
{
    f->used = now;
    if (uses_of(f)->busiest == f)
        return;
    unlink_use(f);
    link_busiest(f);
}

void tcp_table_ending(struct tcp_flow *f)
{
    unlink_use(f);
    f->ending = true;
    link_busiest(f);
}

bool tcp_table_evict(struct nat_tcp *t)
{
    struct tcp_guest *most = t->guests;

    for (struct tcp_guest *g = most; g; g = g->next)
        if (g->count > most->count)
            most = g;
    if (!most)
        return false;
    t->c.evicted++;
    if (most->uses[true].idlest)
        tcp_flow_kill(most->uses[true].idlest);
    else
        tcp_flow_evict(most->uses[false].idlest);
    return true;
}

/* --- in and out ------------------------------------------------------------------------------------------------ */

bool tcp_table_add(struct nat_tcp *t, struct tcp_flow *f, const uint8_t mac[ETH_ALEN])
{
    struct tcp_flow **bucket;

    while (t->count >= t->cap)
        tcp_table_evict(t);
    f->guest = guest_of(t, mac);
    if (!f->guest)
        return false;
    f->guest->count++;
    link_busiest(f);
    f->hash = hash_of(t, &f->key);
    bucket = &t->buckets[f->hash & t->mask];
    f->chain = *bucket;
    *bucket = f;
    t->count++;
    return true;
}

void tcp_table_remove(struct tcp_flow *f)
{
    struct nat_tcp *t = f->t;
    struct tcp_flow **p = &t->buckets[f->hash & t->mask];
    struct tcp_guest *g = f->guest, **pg = &t->guests;

    while (*p != f)
        p = &(*p)->chain;
    *p = f->chain;
    unlink_use(f);
    t->count--;
    if (--g->count)
        return;
    while (*pg != g)
        pg = &(*pg)->next;
    *pg = g->next;
    free(g);
}

/* RFC 6528: a clock of 4 us and a keyed hash of both ends. */
uint32_t tcp_table_isn(const struct nat_tcp *t, const struct tcp_key *key)
{
    return (uint32_t)(clock_now(t->n->env.clock) / 4000 + siphash(t->isn_key, key, sizeof *key));
}
