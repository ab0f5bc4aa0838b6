/*
 * Neighbours: which MAC a guest's address is behind, and packets that wait to know it.
 *
 * The table is bounded: a MAC has a share of it, and the address that was longest not seen makes room. ARP, neighbour
 * discovery and DHCP may move an address to another MAC, as on any Ethernet; a plain packet may not while the address is
 * in use, so one guest does not speak into another's flows. An unknown address is asked for three times, a second apart.
 */
#include <stdlib.h>
#include <string.h>

#include "netstack/nat_int.h"

enum {
    NEIGHBOURS = 256,
    SHARE = 16, /* of one MAC; the unknown ones are together one */
    BUCKETS = 256,
    WAITING = 4, /* frames for one neighbour */
    ASKS = 3,
    WAITING_BYTES = 256 << 10, /* of all */
};
static const uint64_t IN_USE = 60 * NS_PER_SEC;

struct waiting {
    struct waiting *next;
    struct net_frame frame;
    struct iovec iov;
    uint8_t data[];
};

struct neighbour {
    struct neighbour *chain; /* of its bucket, or of the free ones */
    struct net_addr addr;
    uint8_t mac[ETH_ALEN]; /* zero: asked for */
    bool used;
    unsigned asked, frames;
    uint64_t seen;
    struct waiting *first, **end;
};

struct nat_neighbours {
    struct nat *nat;
    struct neighbour *bucket[BUCKETS];
    struct neighbour *spare;
    struct timer timer; /* armed while something is asked for */
    size_t waiting_bytes;
    struct neighbour all[NEIGHBOURS];
};

static const uint8_t unknown[ETH_ALEN];

static bool known(const struct neighbour *e) { return memcmp(e->mac, unknown, ETH_ALEN) != 0; }

static unsigned bucket_of(const struct net_addr *a)
{
    uint64_t h = (ld64(a->b) ^ ld64(a->b + 8)) * UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned)(h >> 56) % BUCKETS;
}

static struct neighbour *find(const struct nat_neighbours *nb, const struct net_addr *a)
{
    struct neighbour *e = nb->bucket[bucket_of(a)];

    while (e && !net_addr_equal(&e->addr, a))
        e = e->chain;
    return e;
}

/* --- entries --------------------------------------------------------------------------------------------------- */

static struct waiting *take_waiting(struct nat_neighbours *nb, struct neighbour *e)
{
    struct waiting *w = e->first;

    for (struct waiting *i = w; i; i = i->next)
        nb->waiting_bytes -= i->frame.len;
    e->first = NULL;
    e->end = &e->first;
    e->frames = 0;
    return w;
}

static void drop_waiting(struct nat_neighbours *nb, struct neighbour *e)
{
    struct waiting *w = take_waiting(nb, e);

    while (w) {
        struct waiting *next = w->next;

        free(w);
        w = next;
    }
}

static void forget(struct nat_neighbours *nb, struct neighbour *e)
{
    struct neighbour **p = &nb->bucket[bucket_of(&e->addr)];

    drop_waiting(nb, e);
    while (*p != e)
        p = &(*p)->chain;
    *p = e->chain;
    e->used = false;
    e->chain = nb->spare;
    nb->spare = e;
}

/* Of those behind mac, or of all (NULL), the one longest not seen; how many there are. */
static struct neighbour *oldest(struct nat_neighbours *nb, const uint8_t *mac, unsigned *count)
{
    struct neighbour *found = NULL;

    *count = 0;
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        struct neighbour *e = &nb->all[i];

        if (!e->used || (mac && memcmp(e->mac, mac, ETH_ALEN)))
            continue;
        ++*count;
        if (!found || e->seen < found->seen)
            found = e;
    }
    return found;
}

static struct neighbour *enter(struct nat_neighbours *nb, const struct net_addr *a, const uint8_t mac[ETH_ALEN])
{
    unsigned count;
    struct neighbour *e = oldest(nb, mac, &count), **b;

    if (count >= SHARE)
        forget(nb, e);
    if (!nb->spare)
        forget(nb, oldest(nb, NULL, &count));
    e = nb->spare;
    nb->spare = e->chain;
    b = &nb->bucket[bucket_of(a)];
    *e = (struct neighbour){.chain = *b, .addr = *a, .used = true, .seen = clock_now(nb->nat->env.clock)};
    e->end = &e->first;
    memcpy(e->mac, mac, ETH_ALEN);
    *b = e;
    return e;
}

/* --- learning -------------------------------------------------------------------------------------------------- */

static bool may_learn(const struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN])
{
    uint32_t mask = n->c.prefix_len ? ~UINT32_C(0) << (32 - n->c.prefix_len) : 0, host = ld32be(a->b + 12) & ~mask;

    if (mac[0] & 1 || !memcmp(mac, unknown, ETH_ALEN) || !nat_in_net(n, a) || nat_is_ours(n, a))
        return false;
    return !net_addr_is4(a) || (host != 0 && host != ~mask); /* not the net, not its broadcast address */
}

static void send_to(struct nat *n, struct waiting *w, const uint8_t mac[ETH_ALEN])
{
    memcpy(w->data, mac, ETH_ALEN);
    if (!net_port_send(&n->port, &w->frame))
        net_port_drop(&n->port, 1);
    free(w);
}

/* Sending may come back here and change the table: what waits is taken off before. */
static void set_mac(struct nat_neighbours *nb, struct neighbour *e, const uint8_t mac[ETH_ALEN])
{
    struct waiting *w = take_waiting(nb, e);

    e->seen = clock_now(nb->nat->env.clock);
    memcpy(e->mac, mac, ETH_ALEN);
    while (w) {
        struct waiting *next = w->next;

        send_to(nb->nat, w, mac);
        w = next;
    }
}

void nat_neighbour_learn(struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN])
{
    struct neighbour *e;

    if (!may_learn(n, a, mac))
        return;
    e = find(n->neighbours, a);
    set_mac(n->neighbours, e ? e : enter(n->neighbours, a, mac), mac);
}

bool nat_neighbour_seen(struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN])
{
    struct neighbour *e = find(n->neighbours, a);

    if (e && known(e) && !memcmp(e->mac, mac, ETH_ALEN)) {
        e->seen = clock_now(n->env.clock);
        return true;
    }
    if (e && known(e) && clock_now(n->env.clock) - e->seen < IN_USE)
        return false;
    nat_neighbour_learn(n, a, mac);
    return true;
}

bool nat_neighbour(const struct nat *n, const struct net_addr *a, uint8_t mac[ETH_ALEN])
{
    const struct neighbour *e = find(n->neighbours, a);

    if (!e || !known(e))
        return false;
    memcpy(mac, e->mac, ETH_ALEN);
    return true;
}

struct net_addr nat_neighbour_of(const struct nat *n, const uint8_t mac[ETH_ALEN])
{
    const struct neighbour *found = NULL;

    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        const struct neighbour *e = &n->neighbours->all[i];

        if (e->used && net_addr_is4(&e->addr) && !memcmp(e->mac, mac, ETH_ALEN) && (!found || e->seen > found->seen))
            found = e;
    }
    return found ? found->addr : (struct net_addr){{0}};
}

bool nat_neighbour_in_use(const struct nat *n, const struct net_addr *a, const uint8_t mac[ETH_ALEN])
{
    const struct neighbour *e = find(n->neighbours, a);

    return e && known(e) && memcmp(e->mac, mac, ETH_ALEN) && clock_now(n->env.clock) - e->seen < IN_USE;
}

/* --- asking ---------------------------------------------------------------------------------------------------- */

static void ask(struct nat *n, struct neighbour *e)
{
    struct net_addr a = e->addr;

    e->asked++;
    if (net_addr_is4(&a))
        nat_arp_ask(n, &a);
    else
        nat_nd_ask(n, &a);
}

static void ask_again(void *arg)
{
    struct nat_neighbours *nb = arg;
    bool more = false;

    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        struct neighbour *e = &nb->all[i];

        if (!e->used || known(e))
            continue;
        more = true;
        if (e->asked >= ASKS)
            forget(nb, e);
        else
            ask(nb->nat, e);
    }
    if (more)
        timer_arm(&nb->timer, clock_now(nb->nat->env.clock) + NS_PER_SEC);
}

/* A copy in one piece, with its offload fields. */
static struct waiting *copy_of(const struct net_frame *f)
{
    struct packet p = packet_of(f);
    struct waiting *w = malloc(sizeof *w + f->len);

    if (!w)
        return NULL;
    w->next = NULL;
    w->frame = *f;
    w->frame.iov = &w->iov;
    w->frame.iovcnt = 1;
    w->iov = (struct iovec){w->data, f->len};
    packet_copy(&p, 0, w->data, f->len);
    return w;
}

void nat_neighbour_wait(struct nat *n, const struct net_addr *a, const struct net_frame *f)
{
    struct nat_neighbours *nb = n->neighbours;
    struct neighbour *e = find(nb, a);
    struct waiting *w;

    if (!nat_in_net(n, a) || nat_is_ours(n, a) || f->len < ETH_ALEN)
        return;
    if (!e)
        e = enter(nb, a, unknown);
    w = e->frames < WAITING && nb->waiting_bytes + f->len <= WAITING_BYTES ? copy_of(f) : NULL;
    if (!w) {
        net_port_drop(&n->port, 1);
        return;
    }
    *e->end = w;
    e->end = &w->next;
    e->frames++;
    nb->waiting_bytes += f->len;
    if (!e->asked) {
        if (nb->timer.when == CLOCK_NEVER)
            timer_arm(&nb->timer, clock_now(n->env.clock) + NS_PER_SEC);
        ask(n, e);
    }
}

/* --- life ------------------------------------------------------------------------------------------------------ */

struct nat_neighbours *nat_neighbours_new(struct nat *n)
{
    struct nat_neighbours *nb = calloc(1, sizeof *nb);

    if (!nb)
        return NULL;
    nb->nat = n;
    timer_init(&nb->timer, n->env.clock, ask_again, nb);
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        nb->all[i].chain = nb->spare;
        nb->spare = &nb->all[i];
    }
    return nb;
}

void nat_neighbours_free(struct nat_neighbours *nb)
{
    if (!nb)
        return;
    clock_drop_timer(&nb->timer);
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        if (nb->all[i].used)
            drop_waiting(nb, &nb->all[i]);
    free(nb);
}

void nat_neighbours_info(const struct nat_neighbours *nb, FILE *out)
{
    char text[NET_ADDR_TEXT];

    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        const struct neighbour *e = &nb->all[i];
        const uint8_t *m = e->mac;

        if (e->used && known(e))
            fprintf(out, "  neighbour %s at %02x:%02x:%02x:%02x:%02x:%02x\n", net_addr_text(&e->addr, text), m[0], m[1],
                    m[2], m[3], m[4], m[5]);
        else if (e->used)
            fprintf(out, "  neighbour %s is asked for, %u frames wait\n", net_addr_text(&e->addr, text), e->frames);
    }
}
