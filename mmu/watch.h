/*
 * Watches: which pages of RAM were written since one last looked, for screens, whose guests draw without a word.
 *
 * Looking costs a byte a page while nothing is written, and a slow store for each page that is written once in between
 * (PAGE_SCREEN). To look takes the right to write silently away from the vCPUs; they give it up when they next poll, so a
 * page that was written is told twice: at once, and when all have given up.
 *
 * A watch is its owner's, who holds a lock of its own around these calls; several may cover one page.
 */
#ifndef MMU_WATCH_H
#define MMU_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bus;
struct region;

struct bus_watch { /* zeroed; watch.c's own */
    uint8_t *host, *flags;
    size_t pages;    /* 0: watches nothing */
    uint8_t *news;   /* a bit a page: to be told */
    uint8_t *unsure; /* a vCPU may still write it silently */
    bool any_unsure;
    uint64_t ticket; /* when all have given up their rights to the unsure ones */
    struct bus_watch *next;
};

/* Watch the pages of [off, off + len) of RAM r, which lie in it. Nothing is news yet. */
bool bus_watch_start(struct bus *b, struct bus_watch *w, const struct region *r, uint64_t off, uint64_t len,
                     struct err *e);
void bus_watch_stop(struct bus *b, struct bus_watch *w); /* also of one that was not started */
/*
 * What was written since the last call: a bit a page, counted from the page of off, in news ((pages + 7) / 8 bytes). False:
 * nothing. What is written after this call began may be told by this one or by the next.
 */
bool bus_watch_take(struct bus *b, struct bus_watch *w, uint8_t *news);

/* The machine's side: take the right to write [host, host + len) silently from every vCPU, soon. Any thread. */
struct write_rights {
    uint64_t (*take)(void *arg, const uint8_t *host, uint64_t len); /* returns a ticket, larger ones later */
    bool (*taken)(void *arg, uint64_t ticket);                      /* all have given up what was asked until then */
    void *arg;
};
void bus_on_watch(struct bus *b, const struct write_rights *rights); /* copied; NULL: there are no vCPUs */

struct watch_list { /* in the bus */
    pthread_mutex_t lock;
    struct bus_watch *first;
    struct write_rights rights;
};

#endif
