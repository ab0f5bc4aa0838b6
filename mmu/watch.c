/*
 * Watches: see watch.h.
 *
 * A page is armed while PAGE_SCREEN is set: its next write takes the slow path and clears it. A look arms what it finds
 * cleared, and marks it for every watch that covers it. Whoever held a write right then may have stored since without a
 * word, until the vCPUs have dropped their rights: such pages are unsure, and told again once they have.
 */
#include "mmu/watch.h"

#include <stdlib.h>
#include <string.h>

#include "mmu/bus.h"

static void set_bit(uint8_t *map, size_t i) { map[i / 8] |= (uint8_t)(1u << (i % 8)); }

void bus_on_watch(struct bus *b, const struct write_rights *rights)
{
    bus_watches(b)->rights = rights ? *rights : (struct write_rights){0};
}

bool bus_watch_start(struct bus *b, struct bus_watch *w, const struct region *r, uint64_t off, uint64_t len,
                     struct err *e)
{
    struct watch_list *l = bus_watches(b);
    uint64_t first = off >> PAGE_BITS, last = (off + len - 1) >> PAGE_BITS;
    size_t pages = (size_t)(last - first + 1), bytes = (pages + 7) / 8;

    bus_watch_stop(b, w);
    w->news = calloc(1, bytes);
    w->unsure = calloc(1, bytes);
    if (!w->news || !w->unsure) {
        bus_watch_stop(b, w);
        return err_set(e, "out of memory");
    }
    w->pages = pages;
    w->host = r->host + (first << PAGE_BITS);
    w->flags = r->page_flags + first;
    pthread_mutex_lock(&l->lock);
    w->next = l->first;
    l->first = w;
    pthread_mutex_unlock(&l->lock);
    return true;
}

void bus_watch_stop(struct bus *b, struct bus_watch *w)
{
    struct watch_list *l = bus_watches(b);

    pthread_mutex_lock(&l->lock);
    for (struct bus_watch **p = &l->first; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    pthread_mutex_unlock(&l->lock);
    free(w->news);
    free(w->unsure);
    *w = (struct bus_watch){0};
}

/* The page of this flag was written: tell everybody who looks at it. The lock is held. */
static void mark(struct watch_list *l, const uint8_t *flag, bool unsure)
{
    for (struct bus_watch *w = l->first; w; w = w->next) {
        size_t i = (size_t)(flag - w->flags);

        if (flag < w->flags || i >= w->pages)
            continue;
        set_bit(w->news, i);
        if (unsure) {
            set_bit(w->unsure, i);
            w->any_unsure = true;
        }
    }
}

/* Arm what was written. True: rights to pages [*lo, *hi] must be taken. */
static bool arm(struct watch_list *l, struct bus_watch *w, size_t *lo, size_t *hi)
{
    bool any = false;

    for (size_t i = 0; i < w->pages; i++) {
        bool held;

        if (__atomic_load_n(&w->flags[i], __ATOMIC_RELAXED) & PAGE_SCREEN)
            continue;
        held = page_flags_set(&w->flags[i], PAGE_SCREEN) & PAGE_WTLB;
        mark(l, &w->flags[i], held);
        if (!held)
            continue;
        if (!any)
            *lo = i;
        *hi = i;
        any = true;
    }
    return any;
}

bool bus_watch_take(struct bus *b, struct bus_watch *w, uint8_t *news)
{
    struct watch_list *l = bus_watches(b);
    size_t bytes = (w->pages + 7) / 8, lo = 0, hi = 0;
    bool any = false;

    pthread_mutex_lock(&l->lock);
    if (w->any_unsure) {
        for (size_t i = 0; i < bytes; i++)
            w->news[i] |= w->unsure[i];
        if (!l->rights.taken || l->rights.taken(l->rights.arg, w->ticket)) {
            memset(w->unsure, 0, bytes);
            w->any_unsure = false;
        }
    }
    if (arm(l, w, &lo, &hi) && l->rights.take) {
        uint64_t ticket = l->rights.take(l->rights.arg, w->host + (lo << PAGE_BITS), (hi - lo + 1) << PAGE_BITS);

        for (struct bus_watch *o = l->first; o; o = o->next) /* those that share pages are among them */
            o->ticket = ticket;
    }
    for (size_t i = 0; i < bytes; i++)
        any |= w->news[i] != 0;
    if (bytes) {
        memcpy(news, w->news, bytes);
        memset(w->news, 0, bytes);
    }
    pthread_mutex_unlock(&l->lock);
    return any;
}
