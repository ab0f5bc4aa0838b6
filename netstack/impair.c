/*
 * Impairment: what a bad line does to frames, from random numbers that repeat.
 *
 * For each frame four numbers are drawn, whatever is switched on, so that with the same seed the same frames are dropped
 * with a delay and without one. A frame's time: it begins to leave when the frame before it has left (rate), takes as long
 * as its bits do, and arrives delay + jitter later, but not before the frame ahead of it.
 */
#include "netstack/cable_int.h"

enum { MILLION = 1000000 };

/* splitmix64 (Steele, Lea, Flood 2014): any seed will do. */
static uint64_t draw(struct cable_dir *d)
{
    uint64_t z = d->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. n - 1; the bias of at most n / 2^64 does not matter here. */
static uint64_t draw_below(struct cable_dir *d, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)draw(d) * n) >> 64);
}

void net_cable_set_impair(struct net_cable *c, const struct net_impair *i)
{
    c->impair = *i;
    for (unsigned end = 0; end < 2; end++) {
        struct cable_dir *d = &c->dir[end];

        d->random = i->seed;
        for (unsigned n = 0; n <= end; n++) /* unlike numbers for the two directions */
            d->random = draw(d);
        d->wire_free = 0;
    }
}

void net_cable_impair(const struct net_cable *c, struct net_impair *i) { *i = c->impair; }

uint64_t net_cable_impaired(const struct net_cable *c) { return c->dir[0].impaired + c->dir[1].impaired; }

bool impair_delays(const struct cable_dir *d)
{
    const struct net_impair *i = &d->cable->impair;

    return i->delay || i->jitter || i->rate;
}

bool impair_segments(const struct cable_dir *d)
{
    const struct net_impair *i = &d->cable->impair;

    return i->drop || i->reorder || i->duplicate;
}

/* Also while something waits that an earlier setting delayed: nothing overtakes it. */
bool impair_on(const struct cable_dir *d)
{
    return impair_segments(d) || impair_delays(d) || (d->head && !d->stuck);
}

/* When f would arrive. Sums are bounded: a century of nanoseconds fits 30 times into 64 bits. */
static uint64_t arrival(struct cable_dir *d, const struct net_frame *f, const struct gso *g, uint64_t jitter)
{
    const struct net_impair *i = &d->cable->impair;
    uint64_t when = clock_now(d->cable->env.clock);

    if (i->rate) {
        uint64_t bits = 8 * (f->gso ? gso_wire_len(g) : f->len);

        when = d->wire_free > when ? d->wire_free : when;
        when += (uint64_t)((unsigned __int128)bits * NS_PER_SEC / i->rate);
        d->wire_free = when;
    }
    when += i->delay + jitter;
    if (d->head && when < d->last_due)
        when = d->last_due;
    d->last_due = when;
    return when;
}

static void impair_lost(struct cable_dir *d, const struct net_frame *f, const char *why)
{
    capture_frame(d, f, why);
    d->impaired++;
    cable_lost(d);
}

/* The frame's fate is decided: if the receiver refuses now it waits, and what comes after it is not let in. */
static void deliver_now(struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    unsigned segment = 0;

    if (!cable_deliver(d, f, g, &segment) && !wait_first(d, f, segment))
        cable_lost(d);
}

void impair_send(struct cable_dir *d, const struct net_frame *f, const struct gso *g)
{
    const struct net_impair i = d->cable->impair; /* a receiver may change it under us */
    bool drop = draw_below(d, MILLION) < i.drop, twice = draw_below(d, MILLION) < i.duplicate;
    bool ahead = draw_below(d, MILLION) < i.reorder;
    uint64_t jitter = draw_below(d, i.jitter + 1);

    if (drop) {
        impair_lost(d, f, "dropped by impairment");
        return;
    }
    for (unsigned n = 0; n <= twice; n++) {
        uint64_t when = ahead ? 0 : arrival(d, f, g, jitter);
        bool now = !d->stuck && (ahead || (!d->head && when <= clock_now(d->cable->env.clock)));

        if (!now && !wait_room(d, f)) {
            impair_lost(d, f, "dropped: too much waits in the cable");
            continue;
        }
        capture_frame(d, f, n ? "duplicated by impairment" : NULL);
        if (now)
            deliver_now(d, f, g);
        else if (!wait_last(d, f, when))
            cable_lost(d);
    }
}
