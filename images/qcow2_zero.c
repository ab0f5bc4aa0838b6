/*
 * qcow2: discard, zeroes, and making everything a hole again.
 *
 * A discarded cluster reads as zeroes (version 3: the zero flag, so that a backing file does not show through); its place
 * is freed in the file. In a version 2 image that has a backing file a discard does nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum zero_mode { DISCARD, ZERO_KEEP /* the place */, ZERO_UNMAP, DROP /* a hole: the backing file shows */ };

static bool has_below(const struct qcow2 *q) { return q->img->backing || q->backing_path; }

/* The entry that replaces (entry, bitmap) of a whole cluster. false: it stays. *gone: its place is no longer named. */
static bool whole_entry(const struct qcow2 *q, enum zero_mode mode, uint64_t *entry, uint64_t *bitmap, bool *gone)
{
    uint64_t old = *entry, old_map = *bitmap;
    bool compressed = old & QCOW2_COMPRESSED, used = compressed || entry_has_host(q, old);

    *gone = used && (compressed || mode != ZERO_KEEP);
    if (mode == DISCARD && !used && !has_below(q))
        return false;
    if (mode == DROP) {
        *entry = *bitmap = 0;
    } else if (q->extended) {
        *entry = *gone ? 0 : old;
        *bitmap = UINT64_C(0xffffffff) << 32;
    } else if (q->version >= 3) {
        *entry = (*gone ? 0 : old) | QCOW2_ZERO;
    } else {
        *entry = 0; /* only without a backing file */
        *gone = used;
    }
    return *entry != old || *bitmap != old_map;
}

/* Subclusters of mask read as zeroes from now on. */
static bool part_entry(uint64_t *entry, uint64_t *bitmap, uint64_t mask)
{
    uint64_t old = *bitmap;

    (void)entry;
    *bitmap = (*bitmap & ~mask) | mask << 32;
    return *bitmap != old;
}

/* Clusters of one L2 slice. Lock held; [off, end) is aligned to clusters. *done: where it stopped. */
static int zero_slice(struct qcow2 *q, uint64_t off, uint64_t end, enum zero_mode mode, uint64_t *done)
{
    struct alloc_op op;
    struct l2_ref l;
    uint64_t table_end = align_down(off, l2_covers(q)) + l2_covers(q), slice;
    unsigned i;
    int ret = l2_get(q, off, &l);

    *done = table_end < end ? table_end : end;
    if (ret == L2_NONE && (mode == DROP || !has_below(q)))
        return 0;
    if (!ret) {
        slice = align_down(off, q->cluster_size) + ((uint64_t)l.left << q->cluster_bits);
        *done = slice < end ? slice : end;
        l2_put(q, &l);
    }
    if (ret && ret != L2_NONE)
        return ret;
    op = (struct alloc_op){cluster_of(q, off), cluster_of(q, *done), NULL};
    ops_wait(q, op.first, op.end);
    op_begin(q, &op);
    ret = l2_get_own(q, off, &l);
    for (i = 0; !ret && i < l.left && off < *done; i++, off += q->cluster_size) {
        uint64_t old = l2_entry(q, &l, i), bitmap = l2_bitmap(q, &l, i), entry = old;
        bool gone;

        if (!entry_valid(q, old, bitmap, off)) {
            ret = q_corrupt(q);
        } else if (whole_entry(q, mode, &entry, &bitmap, &gone)) {
            l2_set(q, &l, i, entry, bitmap);
            if (gone)
                entry_free(q, old, off, true);
        }
        if (ret)
            l2_put(q, &l);
    }
    if (!ret) {
        *done = off;
        l2_put(q, &l);
    }
    op_end(q, &op);
    return ret;
}

static int zero_clusters(struct qcow2 *q, uint64_t off, uint64_t end, enum zero_mode mode)
{
    int ret = 0;

    while (!ret && off < end) {
        if (q_wants_flush(q))
            ret = q_flush(q);
        if (!ret)
            ret = zero_slice(q, off, end, mode, &off);
    }
    return ret;
}

/* Whole subclusters inside one cluster. 1: not possible by the entry alone. */
static int zero_subclusters(struct qcow2 *q, uint64_t off, uint64_t end)
{
    struct alloc_op op = {cluster_of(q, off), cluster_of(q, off) + 1, NULL};
    unsigned first = (unsigned)(in_cluster(q, off) >> q->sub_bits), n = (unsigned)((end - off) >> q->sub_bits);
    struct l2_ref l;
    int ret;

    ops_wait(q, op.first, op.end);
    op_begin(q, &op);
    ret = l2_get_own(q, off, &l);
    if (!ret) {
        uint64_t entry = l2_entry(q, &l, 0), bitmap = l2_bitmap(q, &l, 0);

        if (entry & QCOW2_COMPRESSED)
            ret = 1;
        else if (!entry_valid(q, entry, bitmap, off))
            ret = q_corrupt(q);
        else if (part_entry(&entry, &bitmap, ((UINT64_C(1) << n) - 1) << first))
            l2_set(q, &l, 0, entry, bitmap);
        l2_put(q, &l);
    }
    op_end(q, &op);
    return ret;
}

/* Less than a (sub)cluster: nothing if it is zero already, else zeroes are written as data. */
static int zero_bytes(struct qcow2 *q, uint64_t off, uint64_t end)
{
    struct iovec v;
    void *zero;
    int ret = 0;

    while (off < end && !ret) {
        struct run r;
        uint64_t len;

        ret = run_find(q, off, end - off, false, &r);
        if (ret)
            return ret;
        if (r.what == WHAT_ZERO || (r.what == WHAT_HOLE && !has_below(q))) {
            off += r.len;
            continue;
        }
        len = r.len < 1 << 20 ? r.len : 1 << 20;
        zero = calloc(1, len);
        if (!zero)
            return -ENOMEM;
        v = (struct iovec){zero, len};
        ret = q_write(q, &v, 1, off, 0);
        free(zero);
        off += len;
    }
    return ret;
}

/* Inside one cluster, not all of it. */
static int zero_inside(struct qcow2 *q, uint64_t off, uint64_t end)
{
    uint64_t sub = UINT64_C(1) << q->sub_bits, a = align_up(off, sub), b = align_down(end, sub);
    int ret;

    if (!q->extended || a >= b)
        return zero_bytes(q, off, end);
    ret = zero_subclusters(q, a, b);
    if (ret)
        return ret > 0 ? zero_bytes(q, off, end) : ret;
    ret = zero_bytes(q, off, a);
    return ret ? ret : zero_bytes(q, b, end);
}

static int zero_range(struct qcow2 *q, uint64_t off, uint64_t end, enum zero_mode mode)
{
    uint64_t a = align_up(off, q->cluster_size), b = align_down(end, q->cluster_size);
    int ret = 0;

    if (a > b)
        return zero_inside(q, off, end);
    if (off < a)
        ret = zero_inside(q, off, a);
    if (!ret && a < b)
        ret = zero_clusters(q, a, b, mode);
    if (!ret && b < end)
        ret = zero_inside(q, b, end);
    return ret;
}

int q_zero_range(struct qcow2 *q, uint64_t off, uint64_t end)
{
    return q->version < 3 && has_below(q) ? zero_bytes(q, off, end) : zero_range(q, off, end, ZERO_UNMAP);
}

/* The last cluster of the disk counts as whole when all that the disk has of it is meant. */
static uint64_t whole_end(const struct qcow2 *q, uint64_t end)
{
    return end == image_size(q->img) ? align_up(end, q->cluster_size) : end;
}

int q_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct qcow2 *q = img->priv;
    uint64_t end, from;
    struct io io;
    int ret;

    pthread_mutex_lock(&q->lock);
    io_enter(q, &io);
    ret = q_writable(q);
    from = align_up(off, q->cluster_size);
    end = align_down(whole_end(q, off + len), q->cluster_size);
    if (!ret && q->data_raw)
        ret = from < end
                  ? q->data->ops->write_zeroes(q->data, from, (end < img->size ? end : img->size) - from, IMAGE_UNMAP)
                  : 0;
    else if (!ret && from < end && (q->version >= 3 || !has_below(q)))
        ret = zero_clusters(q, from, end, DISCARD);
    io_leave(q, &io);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

int q_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct qcow2 *q = img->priv;
    struct io io;
    int ret;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    if (!len)
        return 0;
    pthread_mutex_lock(&q->lock);
    io_enter(q, &io);
    ret = q_writable(q);
    if (!ret && q->data_raw)
        ret = q->data->ops->write_zeroes(q->data, off, len, flags & IMAGE_UNMAP);
    else if (!ret && q->version < 3 && has_below(q))
        ret = zero_bytes(q, off, off + len);
    else if (!ret)
        ret =
            zero_range(q, off, whole_end(q, off + len), flags & IMAGE_UNMAP || q->version < 3 ? ZERO_UNMAP : ZERO_KEEP);
    if (!ret && flags & IMAGE_FUA)
        ret = q_flush(q);
    io_leave(q, &io);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

/* Everything that l1[i] leads to is no longer named: the entries are not touched, snapshots may share them. */
static int drop_table(struct qcow2 *q, uint32_t i)
{
    uint64_t table = q->l1[i] & QCOW2_OFFSET, guest = (uint64_t)i << (q->l2_bits + q->cluster_bits);

    for (uint64_t c = 0; c < UINT64_C(1) << q->l2_bits;) {
        struct l2_ref l;
        int ret = l2_get(q, guest + (c << q->cluster_bits), &l);

        if (ret)
            return ret < 0 ? ret : -EIO;
        for (unsigned k = 0; k < l.left; k++, c++)
            entry_free(q, l2_entry(q, &l, k), guest + (c << q->cluster_bits), true);
        l2_put(q, &l);
    }
    if (!sectors_add(&q->l1_dirty, i, q->l1_size))
        return -ENOMEM;
    q->l1[i] = 0;
    owner_del(q, table, 1);
    slices_forget(&q->l2, table, q->cluster_size);
    free_later(q, table, q->cluster_size, true);
    return 0;
}

int q_drop_clusters(struct qcow2 *q, uint64_t off, uint64_t end)
{
    int ret = 0;

    while (!ret && off < end) {
        uint64_t next = align_down(off, l2_covers(q)) + l2_covers(q), i = off >> (q->l2_bits + q->cluster_bits);

        if (next > end || next < off)
            next = end;
        if (i >= q->l1_size)
            return 0;
        if (q_wants_flush(q))
            ret = q_flush(q);
        if (ret || !(q->l1[i] & QCOW2_OFFSET)) {
            off = next;
            continue;
        }
        if (next - off == l2_covers(q))
            ret = drop_table(q, (uint32_t)i);
        else
            ret = zero_clusters(q, off, next, DROP);
        off = next;
    }
    return ret;
}

int q_make_empty(struct image *img)
{
    struct qcow2 *q = img->priv;
    int ret;

    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    ret = q_writable(q);
    if (!ret && q->data_raw)
        ret = -EOPNOTSUPP;
    if (!ret)
        ret = q_drop_clusters(q, 0, (uint64_t)q->l1_size << (q->l2_bits + q->cluster_bits));
    if (!ret)
        ret = q_settle(q);
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    return ret;
}
