/*
 * qcow2: a cache of slices of L2 tables or refcount blocks, found by their offset in the file.
 *
 * Eviction goes round (a slice used since the last round is spared), takes no pinned slice, and no dirty one of L2: those
 * wait for a flush, which keeps their order. A dirty slice of refcounts may be written at any time: raised refcounts do
 * no harm early, and lowered ones get here only when nothing in the file refers to the cluster.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

bool slices_init(struct slices *c, uint32_t slice_size, uint64_t bytes)
{
    uint64_t limit = bytes / slice_size;

    c->slice_size = slice_size;
    c->limit = limit < 8 ? 8 : limit > (1u << 20) ? 1u << 20 : (unsigned)limit;
    for (c->buckets = 16; c->buckets < c->limit; c->buckets *= 2)
        continue;
    c->hash = calloc(c->buckets, sizeof *c->hash);
    return c->hash;
}

void slices_fini(struct slices *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        free(c->all[i]->data);
        free(c->all[i]);
    }
    free(c->all);
    free(c->hash);
    *c = (struct slices){0};
}

static struct slice **bucket(struct slices *c, uint64_t off)
{
    return &c->hash[(off / c->slice_size * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (c->buckets - 1)];
}

static struct slice *find(struct slices *c, uint64_t off)
{
    struct slice *s = *bucket(c, off);

    while (s && s->off != off)
        s = s->next;
    return s;
}

static void unhash(struct slices *c, struct slice *s)
{
    struct slice **p = bucket(c, s->off);

    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
}

void slices_dirty(struct slices *c, struct slice *s)
{
    if (!s->dirty && !s->orphan)
        c->dirty++;
    s->dirty = true;
}

void slices_clean(struct slices *c, struct slice *s)
{
    if (s->dirty && !s->orphan)
        c->dirty--;
    s->dirty = false;
}

static void slice_free(struct slice *s)
{
    free(s->data);
    free(s);
}

/* Out of the cache; whoever has it pinned keeps it. */
static void drop_at(struct slices *c, unsigned i)
{
    struct slice *s = c->all[i];

    slices_clean(c, s);
    unhash(c, s);
    c->all[i] = c->all[--c->count];
    if (s->pins)
        s->orphan = true;
    else
        slice_free(s);
}

static unsigned index_of(const struct slices *c, const struct slice *s)
{
    unsigned i = 0;

    while (c->all[i] != s)
        i++;
    return i;
}

void slices_forget(struct slices *c, uint64_t off, uint64_t len)
{
    for (uint64_t at = align_down(off, c->slice_size); at < off + len; at += c->slice_size) {
        struct slice *s = find(c, at);

        if (s)
            drop_at(c, index_of(c, s));
    }
}

void slices_forget_all(struct slices *c)
{
    while (c->count)
        drop_at(c, c->count - 1);
}

/* A slice to use anew, not in the hash: a fresh one while there is room, else one that was not used lately. */
static struct slice *take(struct qcow2 *q, struct slices *c)
{
    struct slice *s, *dirty = NULL;

    for (unsigned tries = 0; c->count >= c->limit && tries < 2 * c->count; tries++) {
        c->hand = c->hand + 1 < c->count ? c->hand + 1 : 0;
        s = c->all[c->hand];
        if (s->pins || s->loading)
            continue;
        if (s->recent) {
            s->recent = false;
            continue;
        }
        if (s->dirty) {
            dirty = dirty ? dirty : s;
            continue;
        }
        unhash(c, s);
        return s;
    }
    if (dirty && c == &q->refs && owner_is(q, dirty->off, c->slice_size, OWNER_REFBLOCK) &&
        !image_pwrite(q->file, dirty->data, dirty->off, c->slice_size, 0)) {
        slices_clean(c, dirty);
        unhash(c, dirty);
        return dirty;
    }
    if (c->count == c->room) {
        unsigned room = c->room ? 2 * c->room : 64;
        struct slice **all = realloc(c->all, room * sizeof(struct slice *));

        if (!all)
            return NULL;
        c->all = all;
        c->room = room;
    }
    s = calloc(1, sizeof *s);
    if (!s || !(s->data = malloc(c->slice_size))) {
        free(s);
        return NULL;
    }
    c->all[c->count++] = s;
    return s;
}

static void load_failed(struct slices *c, struct slice *s)
{
    if (!s->orphan)
        drop_at(c, index_of(c, s));
    slices_put(c, s);
}

int slices_get(struct qcow2 *q, struct slices *c, uint64_t off, bool drop, struct slice **out)
{
    struct slice *s, **b;
    int ret;

    for (;;) {
        s = find(c, off);
        if (s && s->loading) {
            pthread_cond_wait(&q->wake, &q->lock);
            continue;
        }
        if (s) {
            s->pins++;
            s->recent = true;
            *out = s;
            return 0;
        }
        s = take(q, c);
        if (!s)
            return -ENOMEM;
        b = bucket(c, off);
        *s = (struct slice){.off = off, .data = s->data, .next = *b, .pins = 1, .loading = true, .recent = true};
        *b = s;
        if (drop)
            pthread_mutex_unlock(&q->lock);
        ret = q_pread(q->file, s->data, off, c->slice_size);
        if (drop) {
            pthread_mutex_lock(&q->lock);
            pthread_cond_broadcast(&q->wake);
        }
        s->loading = false;
        if (ret) {
            load_failed(c, s);
            return ret;
        }
        if (!s->orphan) {
            *out = s;
            return 0;
        }
        slices_put(c, s);
    }
}

struct slice *slices_peek(struct slices *c, uint64_t off)
{
    struct slice *s = find(c, off);

    if (!s || s->loading)
        return NULL;
    s->pins++;
    s->recent = true;
    return s;
}

void slices_put(struct slices *c, struct slice *s)
{
    (void)c;
    if (!--s->pins && s->orphan)
        slice_free(s);
}
