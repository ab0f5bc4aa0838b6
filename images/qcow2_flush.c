/*
 * qcow2: metadata to the file, in its order (the head of qcow2.h).
 *
 * A flush copies what is dirty under the lock and writes the copies without it, so that requests go on meanwhile; what
 * they change is of the next flush. One flush at a time; whoever comes while one runs is served by the next, together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

struct copy {
    uint64_t off;
    uint8_t *data;
    struct slice *from; /* pinned; NULL: sectors of a table in memory */
};

struct copies {
    struct copy *at;
    size_t n;
    uint8_t *bytes;
};

struct job {
    struct copies refs, reftable, l2, l1;
    struct freed_list freed;
    uint64_t seq;
    bool data; /* the external data file is to be flushed too */
};

bool q_has_dirty(const struct qcow2 *q)
{
    return q->l2.dirty || q->l1_dirty.n || q->refs.dirty || q->reftable_dirty.n || q->freed.n || q->flushing;
}

bool q_wants_flush(const struct qcow2 *q) { return q->l2.dirty > q->l2.limit / 4 * 3 || q->freed.n > FREED_MAX; }

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct copy *)a)->off, y = ((const struct copy *)b)->off;

    return x < y ? -1 : x > y;
}

static int copy_slices(struct qcow2 *q, struct slices *c, enum owner kind, struct copies *out)
{
    if (!c->dirty)
        return 0;
    out->at = calloc(c->dirty, sizeof *out->at);
    out->bytes = malloc((size_t)c->dirty * c->slice_size);
    if (!out->at || !out->bytes)
        return -ENOMEM;
    for (unsigned i = 0; i < c->count; i++) {
        struct slice *s = c->all[i];

        if (!s->dirty)
            continue;
        if (!owner_is(q, s->off, c->slice_size, kind))
            return q_corrupt(q);
        out->at[out->n] = (struct copy){s->off, out->bytes + out->n * c->slice_size, s};
        memcpy(out->at[out->n].data, s->data, c->slice_size);
        s->pins++;
        out->n++;
    }
    for (size_t i = 0; i < out->n; i++)
        slices_clean(c, out->at[i].from);
    qsort(out->at, out->n, sizeof *out->at, by_offset);
    return 0;
}

/* The dirty sectors of a table of n entries; the last may be shorter than 512 bytes. */
static int copy_sectors(struct qcow2 *q, struct sector_set *set, const uint64_t *table, uint64_t n, uint64_t off,
                        enum owner kind, struct copies *out)
{
    if (!set->n)
        return 0;
    out->at = calloc(set->n, sizeof *out->at);
    out->bytes = calloc(set->n, 512);
    if (!out->at || !out->bytes)
        return -ENOMEM;
    for (size_t i = 0; i < set->n; i++) {
        uint64_t first = (uint64_t)set->list[i] * 64;

        if (!owner_is(q, off + 8 * first, 512, kind))
            return q_corrupt(q);
        out->at[i] = (struct copy){off + 8 * first, out->bytes + 512 * i, NULL};
        for (uint64_t e = first; e < first + 64 && e < n; e++)
            st64be(out->at[i].data + 8 * (e - first), table[e]);
    }
    out->n = set->n;
    qsort(out->at, out->n, sizeof *out->at, by_offset);
    for (size_t i = 0; i < set->n; i++)
        set->in[set->list[i] / 8] = 0;
    set->n = 0;
    return 0;
}

/* Lock held. What cannot be copied leaves the rest dirty as it was. */
static int job_take(struct qcow2 *q, struct job *j)
{
    bool lazy = q->incompatible & INCOMPAT_DIRTY && !q->settling;
    int ret = lazy ? 0 : copy_slices(q, &q->refs, OWNER_REFBLOCK, &j->refs);

    if (!ret)
        ret = copy_sectors(q, &q->reftable_dirty, q->reftable, q->reftable_size, q->reftable_offset, OWNER_REFTABLE,
                           &j->reftable);
    if (!ret)
        ret = copy_slices(q, &q->l2, OWNER_L2, &j->l2);
    if (!ret)
        ret = copy_sectors(q, &q->l1_dirty, q->l1, q->l1_size, q->l1_offset, OWNER_L1, &j->l1);
    if (ret)
        return ret;
    j->freed = q->freed;
    q->freed = (struct freed_list){0};
    j->seq = q->io_seq;
    j->data = q->data != q->file;
    return 0;
}

static int write_copies(struct qcow2 *q, const struct copies *c, uint32_t size)
{
    for (size_t i = 0; i < c->n;) {
        struct iovec v[64];
        unsigned n = 0;
        int ret;

        do {
            v[n] = (struct iovec){c->at[i + n].data, size};
            n++;
        } while (n < ARRAY_LEN(v) && i + n < c->n && c->at[i + n].off == c->at[i].off + (uint64_t)n * size);
        ret = q->file->ops->writev(q->file, v, n, c->at[i].off, 0);
        if (ret)
            return ret;
        i += n;
    }
    return 0;
}

static int job_run(struct qcow2 *q, const struct job *j)
{
    struct image *f = q->file;
    int ret = write_copies(q, &j->refs, q->refs.slice_size);

    if (!ret && j->data)
        ret = q->data->ops->flush(q->data);
    if (!ret && j->reftable.n) {
        ret = f->ops->flush(f);
        if (!ret)
            ret = write_copies(q, &j->reftable, 512);
    }
    if (!ret && j->l2.n + j->l1.n) {
        ret = f->ops->flush(f);
        if (!ret)
            ret = write_copies(q, &j->l2, q->l2.slice_size);
        if (!ret)
            ret = write_copies(q, &j->l1, 512);
    }
    return ret ? ret : f->ops->flush(f);
}

static void slices_done(struct slices *c, struct copies *out, bool failed)
{
    for (size_t i = 0; i < out->n; i++) {
        if (failed)
            slices_dirty(c, out->at[i].from);
        slices_put(c, out->at[i].from);
    }
    free(out->at);
    free(out->bytes);
}

static void sectors_done(struct sector_set *set, uint64_t table, uint64_t entries, struct copies *out, bool failed)
{
    for (size_t i = 0; i < out->n && failed; i++)
        if (out->at[i].off >= table && (out->at[i].off - table) / 8 < entries) /* it may have moved meanwhile */
            sectors_add(set, (out->at[i].off - table) / 8, entries);
    free(out->at);
    free(out->bytes);
}

static void job_end(struct qcow2 *q, struct job *j, bool failed)
{
    struct limbo *l = failed || !j->freed.n ? NULL : malloc(sizeof *l);

    q->leaked |= failed; /* what was written earlier may be lost with it: look at the next opening */
    slices_done(&q->refs, &j->refs, failed);
    slices_done(&q->l2, &j->l2, failed);
    sectors_done(&q->reftable_dirty, q->reftable_offset, q->reftable_size, &j->reftable, failed);
    sectors_done(&q->l1_dirty, q->l1_offset, q->l1_size, &j->l1, failed);
    if (l) {
        *l = (struct limbo){q->limbo, j->seq, j->freed};
        q->limbo = l;
        return;
    }
    for (size_t i = 0; i < j->freed.n; i++)
        if (!freed_add(&q->freed, j->freed.run[i].cluster, j->freed.run[i].count, j->freed.run[i].punch))
            q->leaked = true;
    free(j->freed.run);
}

static int flush_once(struct qcow2 *q)
{
    struct job j = {0};
    int ret = job_take(q, &j), settled;

    if (!ret) {
        pthread_mutex_unlock(&q->lock);
        ret = job_run(q, &j);
        pthread_mutex_lock(&q->lock);
    }
    job_end(q, &j, ret);
    settled = ret ? 0 : limbo_settle(q);
    return ret ? ret : settled;
}

int q_flush(struct qcow2 *q)
{
    uint64_t mine = q->flush_begun + 1;

    header_again(q);
    for (;;) {
        if (q->broken)
            return q->broken;
        if (!q->flushing)
            break;
        pthread_cond_wait(&q->wake, &q->lock);
        if (q->flush_done >= mine && !q->flush_result)
            return 0;
    }
    if (q->flush_done >= mine && !q->flush_result)
        return 0;
    q->flushing = true;
    mine = ++q->flush_begun;
    q->flush_result = flush_once(q);
    q->flush_done = mine;
    q->flushing = false;
    pthread_cond_broadcast(&q->wake);
    return q->flush_result;
}

/* For close and for exclusive work: also what the frees of the first flush changed. */
int q_settle(struct qcow2 *q)
{
    int ret;

    q->settling = true;
    ret = q_flush(q);
    for (int i = 0; i < 8 && !ret && (q_has_dirty(q) || q->limbo); i++)
        ret = q_flush(q);
    q->settling = false;
    return ret;
}
