/*
 * qcow2: a change of many reference counts that takes effect at once.
 *
 * Blocks of refcounts that change are copied; so is the table. Clusters are taken only where the old state and the new
 * one are both free. In the end the new blocks and the table are written to such places, and one write of the header's
 * first sector, which names the refcount table, L1 and the snapshot table, switches from the old state to the new.
 * For all of it: lock held, exclusive, nothing waiting to be written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

struct txn {
    struct qcow2 *q;
    bool from_nothing;
    uint32_t room;    /* of the next two */
    uint8_t **block;  /* new contents; NULL: as it was */
    uint64_t *place;  /* where they will be; 0: not known yet */
    uint64_t next;    /* nothing free below */
    uint64_t highest; /* end of what was taken */
    struct freed_list freed;
};

struct txn *txn_begin(struct qcow2 *q, bool from_nothing)
{
    struct txn *t = calloc(1, sizeof *t);

    if (t) {
        t->q = q;
        t->from_nothing = from_nothing;
        t->next = from_nothing ? 0 : q->next_free;
    }
    return t;
}

void txn_abort(struct txn *t)
{
    if (t->q->pristine < t->highest) /* written to, if in vain */
        t->q->pristine = t->highest;
    for (uint32_t i = 0; i < t->room; i++)
        free(t->block[i]);
    free(t->block);
    free(t->place);
    free(t->freed.run);
    free(t);
}

static int make_room(struct txn *t, uint64_t i)
{
    uint64_t room = t->room ? t->room : 64;
    uint8_t **block;
    uint64_t *place;

    if (i >= MAX_REFTABLE_BYTES / 8)
        return -EFBIG;
    while (room <= i)
        room *= 2;
    if (room == t->room)
        return 0;
    block = realloc(t->block, room * sizeof *block);
    if (!block)
        return -ENOMEM;
    t->block = block;
    place = realloc(t->place, room * sizeof *place);
    if (!place)
        return -ENOMEM;
    t->place = place;
    memset(block + t->room, 0, (room - t->room) * sizeof *block);
    memset(place + t->room, 0, (room - t->room) * sizeof *place);
    t->room = (uint32_t)room;
    return 0;
}

static uint64_t old_block(const struct txn *t, uint64_t i)
{
    return i < t->q->reftable_size ? t->q->reftable[i] & QCOW2_REF_OFFSET : 0;
}

/* The old contents, by way of the cache. */
static int load_block(struct txn *t, uint64_t i, uint8_t *to)
{
    struct qcow2 *q = t->q;
    uint64_t off = old_block(t, i);

    if (off && (in_cluster(q, off) || off >= image_size(q->file)))
        return q_corrupt(q);
    for (uint64_t at = 0; off && at < q->cluster_size; at += q->refs.slice_size) {
        struct slice *s;
        int ret = slices_get(q, &q->refs, off + at, false, &s);

        if (ret)
            return ret;
        memcpy(to + at, s->data, q->refs.slice_size);
        slices_put(&q->refs, s);
    }
    return 0;
}

static int own_block(struct txn *t, uint64_t i)
{
    int ret = make_room(t, i);

    if (ret || t->block[i])
        return ret;
    t->block[i] = calloc(1, t->q->cluster_size);
    if (!t->block[i])
        return -ENOMEM;
    return t->from_nothing ? 0 : load_block(t, i, t->block[i]);
}

static uint64_t in_block(const struct txn *t, uint64_t c) { return c & ((UINT64_C(1) << refblock_bits(t->q)) - 1); }

int txn_ref_get(struct txn *t, uint64_t c, uint64_t *v)
{
    uint64_t i = c >> refblock_bits(t->q);

    *v = 0;
    if (i < t->room && t->block[i])
        *v = ref_load(t->block[i], t->q->ref_order, in_block(t, c));
    else if (!t->from_nothing)
        return ref_get(t->q, c, v);
    return 0;
}

int txn_ref(struct txn *t, uint64_t c, int64_t delta)
{
    uint64_t i = c >> refblock_bits(t->q), v;
    int ret = own_block(t, i);

    if (ret)
        return ret;
    v = ref_load(t->block[i], t->q->ref_order, in_block(t, c));
    if (delta < 0 ? v < (uint64_t)-delta : ref_max(t->q) - v < (uint64_t)delta)
        return delta < 0 ? q_corrupt(t->q) : -ERANGE;
    v += (uint64_t)delta;
    ref_store(t->block[i], t->q->ref_order, in_block(t, c), v);
    if (!v && !freed_add(&t->freed, c, 1, false))
        return -ENOMEM;
    return 0;
}

/* Free before and after? */
static int is_free(struct txn *t, uint64_t c, bool *yes)
{
    uint64_t v = 0, old = 0;
    int ret = txn_ref_get(t, c, &v);

    if (!ret && !v && !t->from_nothing)
        ret = ref_get(t->q, c, &old);
    *yes = !v && !old && !owner_kind(t->q, c << t->q->cluster_bits);
    return ret;
}

int txn_alloc(struct txn *t, uint64_t n, uint64_t *off)
{
    struct qcow2 *q = t->q;
    uint64_t c = t->next, len = 0;
    bool first = true, yes;
    int ret = 0;

    while (len < n) {
        if (c + len >= QCOW2_MAX_OFFSET >> q->cluster_bits)
            return -EFBIG;
        ret = is_free(t, c + len, &yes);
        if (ret)
            return ret;
        if (yes) {
            if (first)
                t->next = c;
            first = false;
            len++;
        } else {
            c += len + 1;
            len = 0;
        }
    }
    for (uint64_t i = 0; i < n && !ret; i++)
        ret = txn_ref(t, c + i, 1);
    if (n == 1 && !ret)
        t->next = c + 1;
    *off = c << q->cluster_bits;
    if (t->highest < (c + n) << q->cluster_bits)
        t->highest = (c + n) << q->cluster_bits;
    return ret;
}

/* Places for all changed blocks, each of which may change another block. */
static int place_blocks(struct txn *t)
{
    bool more = true;
    int ret = 0;

    while (more && !ret) {
        more = false;
        for (uint64_t i = 0; i < t->room && !ret; i++) {
            if (!t->block[i] || t->place[i])
                continue;
            more = true;
            ret = txn_alloc(t, 1, &t->place[i]);
            if (!ret && !t->from_nothing && old_block(t, i))
                ret = txn_ref(t, cluster_of(t->q, old_block(t, i)), -1);
        }
    }
    return ret;
}

/* Blocks and the table that names them all. */
static int place_table(struct txn *t, uint64_t *off, uint64_t *entries)
{
    struct qcow2 *q = t->q;
    uint64_t per = q->cluster_size / 8, n = t->from_nothing ? 1 : q->reftable_size / per, last = 0;
    int ret = place_blocks(t);

    for (uint64_t i = 0; i < t->room; i++)
        if (t->block[i])
            last = i;
    while (n * per <= last + 2)
        n++;
    for (; !ret; n += 1 + n / 2) {
        if (n << q->cluster_bits > MAX_REFTABLE_BYTES)
            return -EFBIG;
        ret = txn_alloc(t, n, off);
        if (!ret)
            ret = place_blocks(t);
        for (uint64_t i = last; i < t->room; i++)
            if (t->block[i])
                last = i;
        if (!ret && last < n * per)
            break;
        for (uint64_t i = 0; i < n && !ret; i++)
            ret = txn_ref(t, cluster_of(q, *off) + i, -1);
    }
    *entries = n * per;
    for (uint64_t i = 0; i < clusters_for(q, 8 * (uint64_t)q->reftable_size) && !ret && !t->from_nothing; i++)
        ret = txn_ref(t, cluster_of(q, q->reftable_offset) + i, -1);
    return ret ? ret : place_blocks(t); /* blocks that only the last counts changed; the table has room to spare */
}

static int write_blocks(struct txn *t)
{
    int ret = 0;

    for (uint64_t i = 0; i < t->room && !ret; i++)
        if (t->block[i])
            ret = image_pwrite(t->q->file, t->block[i], t->place[i], t->q->cluster_size, 0);
    return ret;
}

static int write_table(struct txn *t, const uint64_t *table, uint64_t n, uint64_t off)
{
    uint8_t *raw = malloc(8 * n);
    int ret;

    if (!raw)
        return -ENOMEM;
    for (uint64_t i = 0; i < n; i++)
        st64be(raw + 8 * i, table[i]);
    ret = image_pwrite(t->q->file, raw, off, 8 * n, 0);
    free(raw);
    return ret;
}

/* Space that only the old state used goes back to the host. */
static void punch_freed(struct txn *t)
{
    struct image *f = t->q->file;

    for (size_t i = 0; i < t->freed.n && f->ops->discard; i++) {
        uint64_t c = t->freed.run[i].cluster, end = c + t->freed.run[i].count;

        while (c < end) {
            uint64_t n = 0, v;

            while (c + n < end && !ref_get(t->q, c + n, &v) && !v)
                n++;
            if (n)
                f->ops->discard(f, c << t->q->cluster_bits, n << t->q->cluster_bits);
            c += n + 1;
        }
        if (t->freed.run[i].cluster < t->q->next_free)
            t->q->next_free = t->freed.run[i].cluster;
    }
}

/* The new state is in the file: now in memory too. */
static int adopt(struct txn *t, uint64_t *table, uint64_t n)
{
    struct qcow2 *q = t->q;
    struct err e;

    slices_forget_all(&q->refs);
    slices_forget_all(&q->l2);
    sectors_clear(&q->reftable_dirty);
    sectors_clear(&q->l1_dirty);
    free(q->reftable);
    q->reftable = table;
    q->reftable_size = (uint32_t)n;
    q->packed = 0;
    if (t->from_nothing)
        q->next_free = 0;
    codec_forget(q, 0, UINT64_MAX);
    return owner_load(q, &e) ? 0 : q_corrupt(q);
}

static int switch_header(struct txn *t, const struct places *p, uint64_t table, uint64_t entries)
{
    struct qcow2 *q = t->q;
    uint8_t old[512];

    memcpy(old, q->head, sizeof old);
    if (p) {
        st32be(q->head + H_L1_SIZE, p->l1_size);
        st64be(q->head + H_L1_OFFSET, p->l1_offset);
        st32be(q->head + H_SNAPSHOTS, p->nb_snapshots);
        st64be(q->head + H_SNAPSHOTS_OFFSET, p->snapshots_offset);
        st64be(q->head + H_SIZE, p->disk_size);
    }
    st64be(q->head + H_REFTABLE_OFFSET, table);
    st32be(q->head + H_REFTABLE_CLUSTERS, (uint32_t)clusters_for(q, 8 * entries));
    return header_switch(q, old);
}

/* fn(arg) puts the places into q, with what is there. Ends t in any case. */
int txn_commit(struct txn *t, const struct places *p, void (*fn)(struct qcow2 *q, void *arg), void *arg)
{
    struct qcow2 *q = t->q;
    uint64_t off = 0, n = 0, *table = NULL;
    int ret = place_table(t, &off, &n);

    if (!ret && !(table = calloc(n, 8)))
        ret = -ENOMEM;
    if (!ret && !t->from_nothing)
        memcpy(table, q->reftable, 8 * (n < q->reftable_size ? n : q->reftable_size));
    for (uint64_t i = 0; i < t->room && !ret; i++)
        if (t->block[i] && i >= n)
            ret = -EFBIG;
        else if (t->block[i])
            table[i] = t->place[i];
    if (!ret)
        ret = write_blocks(t);
    if (!ret)
        ret = write_table(t, table, n, off);
    if (!ret)
        ret = q->file->ops->flush(q->file);
    if (!ret)
        ret = switch_header(t, p, off, n);
    if (ret) {
        free(table);
        txn_abort(t);
        return ret;
    }
    q->reftable_offset = off;
    if (fn)
        fn(q, arg);
    ret = adopt(t, table, n);
    punch_freed(t);
    txn_abort(t);
    return ret;
}
