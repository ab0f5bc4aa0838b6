/*
 * Frames that wait in a cable: copies, in the order in which they leave. The first may be stuck: the receiver refused it, and
 * cable_room goes on with it; else the timer does when it is due.
 */
#include <stdlib.h>

#include "netstack/cable_int.h"

enum { FLUSH_MAX = 256 }; /* frames a turn: a loop in the network does not keep the event loop from its other work */

static void due(void *arg)
{
    struct cable_dir *d = arg;

    cable_room(d);
}

void wait_init(struct cable_dir *d)
{
    d->tail = &d->head;
    timer_init(&d->timer, d->cable->env.clock, due, d);
}

static struct waiting *wait_new(struct cable_dir *d, const struct net_frame *f)
{
    struct packet p = packet_of(f);
    struct waiting *w = malloc(sizeof *w + f->len);

    if (!w)
        return NULL;
    *w = (struct waiting){.f = *f, .iov = {w->data, f->len}};
    w->f.iov = &w->iov;
    w->f.iovcnt = 1;
    if (packet_copy(&p, 0, w->data, f->len) != f->len) {
        free(w);
        return NULL;
    }
    d->waiting_bytes += sizeof *w + f->len;
    return w;
}

bool wait_room(const struct cable_dir *d, const struct net_frame *f)
{
    return d->waiting_bytes + sizeof(struct waiting) + f->len <= NET_IMPAIR_BYTES;
}

bool wait_last(struct cable_dir *d, const struct net_frame *f, uint64_t when)
{
    struct waiting *w = wait_new(d, f);

    if (!w)
        return false;
    w->due = when;
    *d->tail = w;
    d->tail = &w->next;
    if (d->head == w && !d->flushing)
        timer_arm(&d->timer, when);
    return true;
}

static void put_first(struct cable_dir *d, struct waiting *w)
{
    w->next = d->head;
    d->head = w;
    if (!w->next)
        d->tail = &w->next;
    d->stuck = true;
}

static struct waiting *take_first(struct cable_dir *d)
{
    struct waiting *w = d->head;

    d->head = w->next;
    if (!d->head)
        d->tail = &d->head;
    return w;
}

static void wait_free(struct cable_dir *d, struct waiting *w)
{
    d->waiting_bytes -= sizeof *w + w->f.len;
    free(w);
}

bool wait_first(struct cable_dir *d, const struct net_frame *f, unsigned segment)
{
    struct waiting *w = wait_new(d, f);

    if (!w)
        return false;
    w->segment = segment;
    put_first(d, w);
    return true;
}

void wait_drop(struct cable_dir *d)
{
    while (d->head) {
        wait_free(d, take_first(d));
        cable_lost(d);
    }
    d->stuck = false;
    timer_cancel(&d->timer);
}

/* false: refused, it waits on. */
static bool hand_over(struct cable_dir *d, struct waiting *w)
{
    struct gso g;

    /* Checked when it was sent; but then it was the guest's memory, and this is what we copied of it. */
    if (w->f.gso && !gso_parse(&g, &w->f))
        cable_lost(d);
    else if (!cable_deliver(d, &w->f, &g, &w->segment))
        return false;
    wait_free(d, w);
    return true;
}

void wait_flush(struct cable_dir *d)
{
    uint64_t now = clock_now(d->cable->env.clock);

    if (d->flushing)
        return;
    d->flushing = true;
    d->stuck = false;
    for (unsigned i = 0; i < FLUSH_MAX && d->head && d->head->due <= now; i++) {
        struct waiting *w = take_first(d);

        if (!hand_over(d, w)) {
            put_first(d, w);
            break;
        }
    }
    d->flushing = false;
    if (d->head && !d->stuck)
        timer_arm(&d->timer, d->head->due);
}
