/*
 * A bucket leaks at the rate `avg`; a request may go while the level is not above what the bucket holds, and adds itself
 * (so one larger than the bucket goes too, and the next ones wait longer). With `max` the bucket holds max_seconds of
 * bursting, and a second, small bucket that leaks at `max` keeps the burst at that rate. As QEMU's throttling groups.
 */
#include "images/throttle.h"

#include <string.h>

#include "base/clock.h"

static const double START = 0.1; /* seconds of a rate that may come at once */

static bool is_read(const struct block_req *r) { return r->op == BLOCK_READ; }

bool throttle_counts(const struct block_req *r)
{
    return r->op == BLOCK_READ || r->op == BLOCK_WRITE || r->op == BLOCK_WRITE_ZEROES;
}

bool throttle_set(struct throttle *t, const struct block_limits *l, uint64_t now)
{
    bool any = false;

    memset(t, 0, sizeof *t);
    t->last = now;
    if (l)
        t->limits = *l;
    for (unsigned i = 0; i < LIMITS; i++)
        any |= t->limits.rate[i].avg != 0;
    return any;
}

/* What r puts into bucket i. */
static double cost(const struct throttle *t, unsigned i, const struct block_req *r)
{
    uint64_t unit = t->limits.iops_size;

    if (!t->limits.rate[i].avg)
        return 0;
    switch ((enum block_limit)i) {
    case LIMIT_IOPS_READ:
    case LIMIT_BPS_READ:
        if (!is_read(r))
            return 0;
        break;
    case LIMIT_IOPS_WRITE:
    case LIMIT_BPS_WRITE:
        if (is_read(r))
            return 0;
        break;
    default: break;
    }
    if (i >= LIMIT_BPS)
        return (double)r->len;
    return unit && r->len > unit ? (double)r->len / (double)unit : 1;
}

static double leaked(double level, double by) { return level > by ? level - by : 0; }

static void leak(struct throttle *t, uint64_t now)
{
    double sec = now > t->last ? (double)(now - t->last) / NS_PER_SEC : 0;

    t->last = now > t->last ? now : t->last;
    for (unsigned i = 0; i < LIMITS; i++) {
        t->level[i] = leaked(t->level[i], sec * (double)t->limits.rate[i].avg);
        t->burst[i] = leaked(t->burst[i], sec * (double)t->limits.rate[i].max);
    }
}

uint64_t throttle_wait(struct throttle *t, const struct block_req *r, uint64_t now)
{
    double longest = 0;

    leak(t, now);
    for (unsigned i = 0; i < LIMITS; i++) {
        const struct block_rate *l = &t->limits.rate[i];
        double avg = (double)l->avg, max = (double)l->max, wait;
        double room = l->max ? max * (l->max_seconds ? l->max_seconds : 1) : avg * START;

        if (cost(t, i, r) <= 0)
            continue;
        wait = t->level[i] > room ? (t->level[i] - room) / avg : 0;
        if (l->max && l->max_seconds > 1 && t->burst[i] > max * START && wait < (t->burst[i] - max * START) / max)
            wait = (t->burst[i] - max * START) / max;
        if (wait > longest)
            longest = wait;
    }
    return longest > 0 ? (uint64_t)(longest * NS_PER_SEC) + 1 : 0;
}

static void add(struct throttle *t, const struct block_req *r, double sign)
{
    for (unsigned i = 0; i < LIMITS; i++) {
        double by = sign * cost(t, i, r);

        t->level[i] = leaked(t->level[i] + by, 0);
        if (t->limits.rate[i].max)
            t->burst[i] = leaked(t->burst[i] + by, 0);
    }
}

void throttle_take(struct throttle *t, const struct block_req *r) { add(t, r, 1); }
void throttle_give_back(struct throttle *t, const struct block_req *r) { add(t, r, -1); }
