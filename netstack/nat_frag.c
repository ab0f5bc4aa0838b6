/* Reassembly: see nat_frag.h. */
#include "netstack/nat_frag.h"

#include <stdlib.h>
#include <string.h>

enum {
    DATAGRAMS = 64,
    SHARE = 16,   /* of one guest */
    PIECES = 128, /* of one datagram: 65,535 bytes in pieces of 512 */
    LONGEST = 65535,
    HEADER = 128,
    GROWTH = 8192,
};
static const uint64_t TIME4 = 30 * NS_PER_SEC, TIME6 = 60 * NS_PER_SEC;

struct piece {
    uint32_t off, end;
};

struct datagram {
    struct datagram *next; /* younger */
    struct net_addr src, dst;
    uint32_t id;
    uint8_t proto, tos, ttl; /* proto: IPv4 only, it belongs to the key (RFC 791) */
    uint8_t upper;           /* of the first fragment */
    bool is4, group, spoilt, has_first;
    uint8_t mac[ETH_ALEN];
    uint64_t due;
    uint8_t header[HEADER]; /* of the first fragment, for ICMP errors and the layers above */
    size_t header_len;
    uint8_t *data;
    size_t cap, have;
    size_t end; /* 0: the last fragment has not come */
    unsigned pieces;
    struct piece piece[PIECES];
};

struct nat_frag {
    struct nat *nat;
    struct datagram *oldest, **youngest;
    unsigned count;
    struct timer timer;
};

/* --- datagrams under way --------------------------------------------------------------------------------------- */

static void arm(struct nat_frag *t)
{
    uint64_t due = CLOCK_NEVER;

    for (struct datagram *d = t->oldest; d; d = d->next)
        if (d->due < due)
            due = d->due;
    if (due == CLOCK_NEVER)
        timer_cancel(&t->timer);
    else
        timer_arm(&t->timer, due);
}

static void unlink_datagram(struct nat_frag *t, struct datagram *d)
{
    struct datagram **p = &t->oldest;

    while (*p != d)
        p = &(*p)->next;
    *p = d->next;
    if (!d->next)
        t->youngest = p;
    t->count--;
}

static void free_datagram(struct datagram *d)
{
    free(d->data);
    free(d);
}

static void drop(struct nat_frag *t, struct datagram *d)
{
    unlink_datagram(t, d);
    free_datagram(d);
}

static struct datagram *find(const struct nat_frag *t, const struct nat_ip *ip, uint32_t id)
{
    struct datagram *d = t->oldest;

    while (d && (d->id != id || d->is4 != ip->is4 || (ip->is4 && d->proto != ip->proto) ||
                 !net_addr_equal(&d->src, &ip->src) || !net_addr_equal(&d->dst, &ip->dst)))
        d = d->next;
    return d;
}

/* Room for one more: a guest at its share loses its oldest, a full table the oldest of the guest with the most. */
static void make_room(struct nat_frag *t, const uint8_t mac[ETH_ALEN])
{
    struct datagram *own = NULL, *busiest = NULL;
    unsigned mine = 0, most = 0;

    if (t->count < SHARE)
        return;
    for (struct datagram *d = t->oldest; d; d = d->next) {
        unsigned same = 0;

        for (struct datagram *e = d; e; e = e->next)
            same += !memcmp(e->mac, d->mac, ETH_ALEN);
        if (same > most) {
            most = same;
            busiest = d;
        }
        if (!memcmp(d->mac, mac, ETH_ALEN)) {
            own = own ? own : d;
            mine++;
        }
    }
    if (mine >= SHARE)
        drop(t, own);
    else if (t->count >= DATAGRAMS)
        drop(t, busiest);
}

static struct datagram *begin(struct nat_frag *t, const struct nat_ip *ip, uint32_t id)
{
    struct datagram *d;

    make_room(t, ip->mac);
    d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->src = ip->src;
    d->dst = ip->dst;
    d->id = id;
    d->is4 = ip->is4;
    d->proto = ip->proto;
    d->group = ip->group;
    memcpy(d->mac, ip->mac, ETH_ALEN);
    d->due = clock_now(t->nat->env.clock) + (ip->is4 ? TIME4 : TIME6);
    *t->youngest = d;
    t->youngest = &d->next;
    t->count++;
    if (t->timer.when > d->due)
        timer_arm(&t->timer, d->due);
    return d;
}

/* What the first fragment says of the whole. */
static void as_ip(const struct datagram *d, struct nat_ip *ip)
{
    *ip = (struct nat_ip){.src = d->src,
                          .dst = d->dst,
                          .proto = d->is4 ? d->proto : d->upper,
                          .ttl = d->ttl,
                          .tos = d->tos,
                          .is4 = d->is4,
                          .group = d->group,
                          .mac = d->mac,
                          .header = d->header,
                          .header_len = d->header_len};
}

/* The sender learns of it only if we have what it would recognise (RFC 792, RFC 8200). */
static void expire(void *arg)
{
    struct nat_frag *t = arg;
    uint64_t now = clock_now(t->nat->env.clock);
    struct datagram *d = t->oldest;

    while (d) {
        struct nat_ip ip;

        if (d->due > now) {
            d = d->next;
            continue;
        }
        unlink_datagram(t, d);
        as_ip(d, &ip);
        if (d->has_first && !d->spoilt)
            nat_icmp_error(t->nat, &ip, UNREACH_REASSEMBLY, 0);
        free_datagram(d);
        d = t->oldest;
    }
    arm(t);
}

/* --- pieces ---------------------------------------------------------------------------------------------------- */

static void spoil(struct nat *n, struct datagram *d, const char *why)
{
    nat_bad(n, "fragments: %s; the datagram is dropped", why);
    free(d->data);
    d->data = NULL;
    d->cap = 0;
    d->spoilt = true;
}

static bool reserve(struct datagram *d, size_t len)
{
    size_t cap = (len + GROWTH - 1) / GROWTH * GROWTH;
    uint8_t *data;

    if (len <= d->cap)
        return true;
    data = realloc(d->data, cap);
    if (!data)
        return false;
    d->data = data;
    d->cap = cap;
    return true;
}

enum fit { FIT_NEW, FIT_AGAIN, FIT_OVERLAP };

/* The same piece again is no overlap (RFC 8200, 4.5) if its bytes are the same. */
static enum fit fit_of(const struct datagram *d, size_t off, size_t end, const struct packet *p)
{
    for (unsigned i = 0; i < d->pieces; i++) {
        const struct piece *q = &d->piece[i];
        uint8_t part[256];

        if (end <= q->off || off >= q->end)
            continue;
        if (off != q->off || end != q->end)
            return FIT_OVERLAP;
        for (size_t at = 0; at < p->len; at += sizeof part) {
            size_t n = packet_copy(p, at, part, sizeof part);

            if (memcmp(d->data + off + at, part, n))
                return FIT_OVERLAP;
        }
        return FIT_AGAIN;
    }
    return FIT_NEW;
}

static size_t furthest(const struct datagram *d)
{
    size_t end = 0;

    for (unsigned i = 0; i < d->pieces; i++)
        if (d->piece[i].end > end)
            end = d->piece[i].end;
    return end;
}

static void keep_first(struct datagram *d, const struct nat_ip *ip, uint8_t next)
{
    d->has_first = true;
    d->upper = next;
    d->tos = ip->tos;
    d->ttl = ip->ttl;
    d->header_len = ip->header_len < HEADER ? ip->header_len : HEADER;
    memcpy(d->header, ip->header, d->header_len);
}

/* NULL: it fits. */
static const char *wrong(const struct datagram *d, const struct nat_fragment *fr, size_t end, enum fit fit)
{
    if (end > LONGEST)
        return "longer than any packet";
    if (fit == FIT_OVERLAP)
        return "they overlap";
    if (d->end && (end > d->end || (!fr->more && end != d->end)))
        return "two ends";
    if (!fr->more && end < furthest(d))
        return "an end before others";
    return d->pieces >= PIECES ? "too many" : NULL;
}

/* false: the piece adds nothing. */
static bool put(struct nat *n, struct datagram *d, const struct nat_ip *ip, const struct nat_fragment *fr,
                const struct packet *p)
{
    size_t end = fr->off + p->len;
    enum fit fit = fit_of(d, fr->off, end, p);
    const char *why = wrong(d, fr, end, fit);

    if (!why && fit == FIT_AGAIN)
        return false;
    if (!why && !reserve(d, end))
        why = "no memory";
    if (why) {
        spoil(n, d, why);
        return false;
    }
    packet_copy(p, 0, d->data + fr->off, p->len);
    d->piece[d->pieces++] = (struct piece){(uint32_t)fr->off, (uint32_t)end};
    d->have += p->len;
    if (!fr->more)
        d->end = end;
    if (!fr->off)
        keep_first(d, ip, fr->next);
    return true;
}

static void complete(struct nat_frag *t, struct datagram *d)
{
    struct nat_ip ip;
    struct iovec iov;
    struct packet p = packet_of_bytes(&iov, d->data, d->end);

    unlink_datagram(t, d);
    as_ip(d, &ip);
    if (ip.is4)
        nat_ip_deliver(t->nat, &ip, &p);
    else
        nat_ip6_upper(t->nat, &ip, d->upper, &p);
    free_datagram(d);
}

void nat_frag_input(struct nat *n, const struct nat_ip *ip, const struct nat_fragment *fr, struct packet *p)
{
    struct nat_frag *t = n->frag;
    struct datagram *d = find(t, ip, fr->id);

    if (!p->len || (fr->more && p->len % 8)) {
        nat_bad(n, "fragment of %zu bytes", p->len);
        return;
    }
    if (!d)
        d = begin(t, ip, fr->id);
    if (d && !d->spoilt && put(n, d, ip, fr, p) && d->end && d->have == d->end)
        complete(t, d);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

struct nat_frag *nat_frag_new(struct nat *n)
{
    struct nat_frag *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->nat = n;
    t->youngest = &t->oldest;
    timer_init(&t->timer, n->env.clock, expire, t);
    return t;
}

void nat_frag_free(struct nat_frag *t)
{
    if (!t)
        return;
    clock_drop_timer(&t->timer);
    while (t->oldest)
        drop(t, t->oldest);
    free(t);
}

void nat_frag_counts(const struct nat_frag *t, struct nat_counts *c)
{
    c->fragments += t->count;
    for (const struct datagram *d = t->oldest; d; d = d->next)
        c->memory += sizeof *d + d->cap;
}
