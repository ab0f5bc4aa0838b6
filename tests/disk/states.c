/* States after a power cut: see states.h. */
#include "tests/disk/states.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void bytes_size(struct bytes *b, uint64_t size)
{
    if (size > b->cap) {
        uint64_t cap = size + size / 2 + SECTOR;

        b->data = realloc(b->data, cap);
        if (!b->data)
            abort();
        b->cap = cap;
    }
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

void bytes_copy(struct bytes *to, const struct bytes *from)
{
    bytes_size(to, from->size);
    memcpy(to->data, from->data, from->size);
}

static void apply(struct bytes *b, const struct record *r)
{
    if (r->kind == RECORD_FLUSH)
        return;
    if (r->kind == RECORD_RESIZE) {
        bytes_size(b, r->off);
        return;
    }
    if (r->off + r->len > b->size)
        bytes_size(b, r->off + r->len);
    if (r->kind == RECORD_WRITE)
        memcpy(b->data + r->off, r->data, r->len);
    else
        memset(b->data + r->off, 0, r->len);
}

void states_init(struct states *s, const struct recording *log, const void *data, uint64_t size)
{
    *s = (struct states){.log = log};
    bytes_size(&s->live, size);
    memcpy(s->live.data, data, size);
    bytes_copy(&s->durable, &s->live);
}

void states_fini(struct states *s)
{
    free(s->live.data);
    free(s->durable.data);
}

void states_step(struct states *s)
{
    const struct record *r = &s->log->v[s->at++];

    apply(&s->live, r);
    if (r->kind != RECORD_FLUSH)
        return;
    for (; s->epoch < r->off; s->epoch++)
        apply(&s->durable, &s->log->v[s->epoch]);
}

/* Which requests reach the disk. */
enum { HALF, TORN, ONE_LOST, ONE_KEPT, LAST_TORN, LOW_PLACES, HIGH_PLACES, HOW };
static const char *const how_names[HOW] = {
    "half of the requests", "half of the sectors", "one request lost",           "one request only",
    "last request torn",    "only low places",     "only the places above them",
};

struct choice {
    unsigned how;
    size_t one, last;
    uint64_t pivot;
};

static bool keeps(const struct choice *c, struct rng *r, size_t i, const struct record *rec)
{
    switch (c->how) {
    case HALF: return rng_one_in(r, 2);
    case TORN: return true;
    case ONE_LOST: return i != c->one;
    case ONE_KEPT: return i == c->one;
    case LOW_PLACES: return rec->off < c->pivot;
    case HIGH_PLACES: return rec->off >= c->pivot;
    default: return true;
    }
}

/* Bring the sectors that the request touched from the live bytes to the state. */
static void bring(struct bytes *out, const struct bytes *live, const struct record *rec, struct rng *torn)
{
    uint64_t end = rec->off + rec->len;

    for (uint64_t at = rec->off & ~(uint64_t)(SECTOR - 1); at < end; at += SECTOR) {
        uint64_t len = live->size - at < SECTOR ? live->size - at : SECTOR;

        if (torn && rng_one_in(torn, 2))
            continue;
        if (at + len > out->size)
            bytes_size(out, at + len);
        memcpy(out->data + at, live->data + at, len);
    }
}

void states_variant(const struct states *s, struct rng *r, struct bytes *out, char *name, size_t n)
{
    size_t count = s->at - s->epoch;
    struct choice c = {.how = (unsigned)rng_below(r, HOW), .one = s->epoch + rng_below(r, count), .last = s->at - 1};
    struct bytes live = {0};

    snprintf(name, n, "%s of %zu since the flush", how_names[c.how], count);
    if (count)
        c.pivot = s->log->v[c.one].off;
    bytes_copy(out, &s->durable);
    bytes_copy(&live, &s->durable);
    for (size_t i = s->epoch; i < s->at; i++) {
        const struct record *rec = &s->log->v[i];
        bool torn = !rec->fua && (c.how == TORN || (c.how == LAST_TORN && i == c.last));

        apply(&live, rec);
        if (!rec->fua && !keeps(&c, r, i, rec))
            continue;
        if (rec->kind == RECORD_RESIZE)
            bytes_size(out, rec->off);
        else if (rec->kind != RECORD_FLUSH)
            bring(out, &live, rec, torn ? r : NULL);
    }
    free(live.data);
}
