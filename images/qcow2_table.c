/*
 * qcow2: from a guest offset to its L2 entry, what an entry says, and runs of clusters that are alike.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

static uint64_t l1_index(const struct qcow2 *q, uint64_t off) { return off >> (q->l2_bits + q->cluster_bits); }

static uint64_t slice_offset(const struct qcow2 *q, uint64_t table, uint64_t off)
{
    uint64_t index = cluster_of(q, off) & ((UINT64_C(1) << q->l2_bits) - 1);

    return table + align_down(index << q->entry_bits, q->l2.slice_size);
}

static void l2_point(struct qcow2 *q, uint64_t off, struct slice *s, struct l2_ref *r)
{
    unsigned per_slice = q->l2.slice_size >> q->entry_bits;

    r->s = s;
    r->index = (unsigned)(cluster_of(q, off) & (per_slice - 1));
    r->left = per_slice - r->index;
}

static bool table_valid(const struct qcow2 *q, uint64_t table)
{
    return !in_cluster(q, table) && table < image_size(q->file);
}

int l2_get(struct qcow2 *q, uint64_t off, struct l2_ref *r)
{
    uint64_t i = l1_index(q, off);

    for (;;) {
        uint64_t table = i < q->l1_size ? q->l1[i] & QCOW2_OFFSET : 0;
        struct slice *s;
        int ret;

        if (!table)
            return L2_NONE;
        if (!table_valid(q, table))
            return q_corrupt(q);
        ret = slices_get(q, &q->l2, slice_offset(q, table, off), true, &s);
        if (ret)
            return ret;
        if ((q->l1[i] & QCOW2_OFFSET) == table && !s->orphan) {
            l2_point(q, off, s, r);
            return 0;
        }
        slices_put(&q->l2, s);
    }
}

int l2_peek(struct qcow2 *q, uint64_t off, struct l2_ref *r)
{
    uint64_t i = l1_index(q, off), table = i < q->l1_size ? q->l1[i] & QCOW2_OFFSET : 0;
    struct slice *s;

    if (!table)
        return L2_NONE;
    s = slices_peek(&q->l2, slice_offset(q, table, off));
    if (!s)
        return -EAGAIN;
    l2_point(q, off, s, r);
    return 0;
}

/*
 * A table of its own for l1[i]: empty, or a copy of the one that snapshots share. It is whole in the file before the L1
 * entry is (a flush writes L1 after a sync). A shared table has no changes in the cache.
 */
static int l2_new_table(struct qcow2 *q, uint64_t i)
{
    uint64_t old = q->l1[i] & QCOW2_OFFSET, host, got;
    uint8_t *buf = calloc(1, q->cluster_size);
    bool pristine;
    int ret = buf ? 0 : -ENOMEM;

    if (!ret && old && !table_valid(q, old))
        ret = q_corrupt(q);
    if (!ret && old)
        ret = q_pread(q->file, buf, old, q->cluster_size);
    if (!ret)
        ret = cluster_alloc(q, 1, 1, &host, &got, &pristine);
    if (!ret) {
        slices_forget(&q->l2, host, q->cluster_size);
        ret = image_pwrite(q->file, buf, host, q->cluster_size, 0);
        if (!ret && !sectors_add(&q->l1_dirty, i, q->l1_size))
            ret = -ENOMEM;
        if (!ret && !owner_add(q, host, 1, OWNER_L2))
            ret = -ENOMEM;
        if (ret)
            cluster_unalloc(q, host, q->cluster_size);
    }
    free(buf);
    if (ret)
        return ret;
    q->l1[i] = host | QCOW2_COPIED;
    if (old) {
        owner_del(q, old, 1);
        free_later(q, old, q->cluster_size, false);
    }
    return 0;
}

int l2_get_own(struct qcow2 *q, uint64_t off, struct l2_ref *r)
{
    uint64_t i = l1_index(q, off);

    if (i >= q->l1_size)
        return -EIO;
    for (;;) {
        int ret = q->l1[i] & QCOW2_COPIED ? 0 : l2_new_table(q, i);

        if (!ret)
            ret = l2_get(q, off, r);
        if (ret || q->l1[i] & QCOW2_COPIED)
            return ret == L2_NONE ? q_corrupt(q) : ret;
        l2_put(q, r);
    }
}

void l2_put(struct qcow2 *q, struct l2_ref *r) { slices_put(&q->l2, r->s); }

uint64_t l2_entry(const struct qcow2 *q, const struct l2_ref *r, unsigned n)
{
    return ld64be(r->s->data + ((size_t)(r->index + n) << q->entry_bits));
}

uint64_t l2_bitmap(const struct qcow2 *q, const struct l2_ref *r, unsigned n)
{
    return q->extended ? ld64be(r->s->data + ((size_t)(r->index + n) << q->entry_bits) + 8) : 0;
}

void l2_set(struct qcow2 *q, struct l2_ref *r, unsigned n, uint64_t entry, uint64_t bitmap)
{
    uint8_t *p = r->s->data + ((size_t)(r->index + n) << q->entry_bits);

    st64be(p, entry);
    if (q->extended)
        st64be(p + 8, bitmap);
    slices_dirty(&q->l2, r->s);
}

bool entry_has_host(const struct qcow2 *q, uint64_t entry)
{
    if (entry & QCOW2_COMPRESSED)
        return true;
    return entry & QCOW2_OFFSET || (q->data != q->file && entry & QCOW2_COPIED);
}

uint64_t entry_host(const struct qcow2 *q, uint64_t entry, uint64_t guest)
{
    return q->data != q->file ? align_down(guest, q->cluster_size) : entry & QCOW2_OFFSET;
}

enum what entry_what(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, unsigned sub)
{
    if (entry & QCOW2_COMPRESSED)
        return WHAT_COMPRESSED;
    if (q->extended)
        return bitmap >> sub & 1 ? WHAT_DATA : bitmap >> (sub + 32) & 1 ? WHAT_ZERO : WHAT_HOLE;
    if (entry & QCOW2_ZERO)
        return WHAT_ZERO;
    return entry_has_host(q, entry) ? WHAT_DATA : WHAT_HOLE;
}

void compressed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t sectors = extract64(entry, x, q->cluster_bits - 8) + 1;

    *off = extract64(entry, 0, x) & (QCOW2_MAX_OFFSET - 1);
    *len = sectors * 512 - (*off & 511);
}

bool entry_valid(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, uint64_t guest)
{
    if (entry & QCOW2_COMPRESSED)
        return q->data == q->file;
    if (in_cluster(q, entry & QCOW2_OFFSET))
        return false;
    if (q->extended && (bitmap & bitmap >> 32 & 0xffffffff || (bitmap & 0xffffffff && !entry_has_host(q, entry))))
        return false;
    if (q->data != q->file && entry & QCOW2_OFFSET && (entry & QCOW2_OFFSET) != align_down(guest, q->cluster_size))
        return false;
    return q->version >= 3 || !(entry & QCOW2_ZERO);
}

/* The state of subcluster `sub` of an entry, as a run up to the cluster's end. */
static void run_one(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, uint64_t off, struct run *r)
{
    unsigned sub = (unsigned)(in_cluster(q, off) >> q->sub_bits), n = 1;
    unsigned subs = 1u << (q->cluster_bits - q->sub_bits);
    enum what w = entry_what(q, entry, bitmap, sub);

    while (sub + n < subs && entry_what(q, entry, bitmap, sub + n) == w)
        n++;
    *r = (struct run){.what = w, .entry = entry};
    r->len = ((uint64_t)(sub + n) << q->sub_bits) - in_cluster(q, off);
    r->host_kept = w != WHAT_COMPRESSED && entry_has_host(q, entry);
    r->host = entry_host(q, entry, off) + in_cluster(q, off);
    r->own = w == WHAT_DATA && entry & QCOW2_COPIED;
}

static bool run_joins(const struct run *a, const struct run *b)
{
    if (a->what != b->what || a->what == WHAT_COMPRESSED || a->own != b->own || a->host_kept != b->host_kept)
        return false;
    return !a->host_kept || a->host + a->len == b->host;
}

int run_find(struct qcow2 *q, uint64_t off, uint64_t len, bool peek, struct run *r)
{
    struct l2_ref l;
    int ret = peek ? l2_peek(q, off, &l) : l2_get(q, off, &l);

    if (ret == L2_NONE) {
        *r = (struct run){.what = WHAT_HOLE, .len = l2_covers(q) - (off & (l2_covers(q) - 1))};
        r->len = r->len < len ? r->len : len;
        return 0;
    }
    if (ret)
        return ret;
    for (unsigned i = 0; i < l.left && (!i || r->len < len); i++) {
        uint64_t entry = l2_entry(q, &l, i), bitmap = l2_bitmap(q, &l, i), at = i ? off + r->len : off;
        struct run next;

        if (!entry_valid(q, entry, bitmap, at)) {
            if (i)
                break;
            l2_put(q, &l);
            return q_corrupt(q);
        }
        run_one(q, entry, bitmap, at, &next);
        if (!i)
            *r = next;
        else if (run_joins(r, &next))
            r->len += next.len;
        else
            break;
        if (in_cluster(q, off + r->len)) /* the rest of this cluster is different */
            break;
    }
    l2_put(q, &l);
    r->len = r->len < len ? r->len : len;
    return 0;
}
