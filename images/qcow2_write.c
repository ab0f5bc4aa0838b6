/*
 * qcow2: writes of guest data.
 *
 * A run of clusters that are ours alone is overwritten in place. Anything else (a hole, zeroes, compressed, shared with a
 * snapshot) gets new clusters: what the request does not cover of the first and of the last one is read first, and head,
 * data and tail go out in one write; then the L2 entries change in memory. Where the new place is known to read as zeroes
 * and the rest is zeroes too, only the data is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum how { IN_PLACE, KEEP /* its own host cluster, but the entry changes */, FRESH };

struct plan {
    enum how how;
    uint64_t n, host;  /* clusters */
    uint64_t from, to; /* the request's bytes in them, guest offsets */
    uint64_t lo, hi;   /* what is to be written: lo <= from, to <= hi */
    bool pristine, zero_head, zero_tail;
};

int q_writable(struct qcow2 *q)
{
    header_again(q);
    if (q->broken)
        return q->broken;
    if (q->img->read_only || q->view)
        return -EROFS;
    return q->prepared ? 0 : header_prepare(q);
}

static uint64_t sub_mask(const struct qcow2 *q, uint64_t cluster, uint64_t lo, uint64_t hi)
{
    uint64_t base = cluster << q->cluster_bits, a = lo > base ? lo - base : 0, b = hi - base;
    unsigned first, end;

    if (b > q->cluster_size)
        b = q->cluster_size;
    first = (unsigned)(a >> q->sub_bits);
    end = (unsigned)((b + (UINT64_C(1) << q->sub_bits) - 1) >> q->sub_bits);
    return end <= first ? 0 : (((UINT64_C(1) << (end - first)) - 1) << first) & 0xffffffff;
}

static enum how how_of(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, uint64_t cluster, uint64_t from,
                       uint64_t to)
{
    uint64_t mask;

    if (entry & QCOW2_COMPRESSED || !(entry & QCOW2_COPIED) || !entry_has_host(q, entry))
        return FRESH;
    if (!q->extended)
        return entry & QCOW2_ZERO ? KEEP : IN_PLACE;
    mask = sub_mask(q, cluster, from, to);
    return (bitmap & mask) == mask ? IN_PLACE : KEEP;
}

/* Does guest [from, to), inside one cluster, read as zeroes by what its entry says? */
static bool zero_part(const struct qcow2 *q, uint64_t entry, uint64_t bitmap, uint64_t from, uint64_t to)
{
    uint64_t below = q->img->backing ? image_size(q->img->backing) : 0, sub = UINT64_C(1) << q->sub_bits;

    for (uint64_t at = from; at < to; at = align_down(at, sub) + sub) {
        enum what w = entry_what(q, entry, bitmap, (unsigned)(in_cluster(q, at) >> q->sub_bits));

        if (w != WHAT_ZERO && (w != WHAT_HOLE || at < below))
            return false;
    }
    return true;
}

/* Where writing has to begin in the first cluster (lo) or may end in the last (hi), by its old entry. */
static void bounds(const struct qcow2 *q, struct plan *p, uint64_t entry, uint64_t bitmap, bool last)
{
    uint64_t pos = last ? p->to - 1 : p->from, base = align_down(pos, q->cluster_size),
             sub = UINT64_C(1) << q->sub_bits;
    uint64_t lo = align_down(p->from, sub), hi = align_up(p->to, sub);
    uint32_t alloc = q->extended && !(entry & QCOW2_COMPRESSED) ? (uint32_t)bitmap : 0;

    if (p->how == FRESH && entry & QCOW2_COMPRESSED) {
        lo = base;
        hi = base + q->cluster_size;
    } else if (p->how == FRESH && alloc) { /* what the old cluster holds moves along */
        uint64_t a = base + ((uint64_t)__builtin_ctz(alloc) << q->sub_bits);
        uint64_t b = base + ((uint64_t)(32 - __builtin_clz(alloc)) << q->sub_bits);

        lo = a < lo ? a : lo;
        hi = b > hi ? b : hi;
    } else if (p->how == KEEP && q->extended) { /* data that is there stays */
        if (alloc >> (in_cluster(q, p->from) >> q->sub_bits) & 1)
            lo = p->from;
        if (alloc >> (in_cluster(q, p->to - 1) >> q->sub_bits) & 1)
            hi = p->to;
    }
    if (!last) {
        p->lo = lo;
        p->zero_head = zero_part(q, entry, bitmap, lo, p->from);
    } else {
        p->hi = hi;
        p->zero_tail = zero_part(q, entry, bitmap, p->to, hi);
    }
}

static int check_owner(struct qcow2 *q, uint64_t host, uint64_t n)
{
    for (uint64_t i = 0; i < n && q->data == q->file; i++)
        if (owner_kind(q, host + (i << q->cluster_bits)))
            return q_corrupt(q);
    return 0;
}

/* How many clusters from the first one on are treated alike; their common treatment and, if they have one, place. */
static int plan_run(struct qcow2 *q, const struct l2_ref *l, uint64_t off, uint64_t end, struct plan *p)
{
    uint64_t first = cluster_of(q, off), last = cluster_of(q, end - 1);

    for (p->n = 0; p->n < l->left && first + p->n <= last; p->n++) {
        unsigned i = (unsigned)p->n;
        uint64_t guest = (first + i) << q->cluster_bits, entry = l2_entry(q, l, i), bitmap = l2_bitmap(q, l, i);
        enum how how;

        if (!entry_valid(q, entry, bitmap, guest))
            return i ? 0 : q_corrupt(q);
        how = how_of(q, entry, bitmap, first + i, off, end);
        if (!i) {
            p->how = how;
            p->host = entry_host(q, entry, guest);
        } else if (how != p->how ||
                   (how != FRESH && entry_host(q, entry, guest) != p->host + (p->n << q->cluster_bits))) {
            break;
        }
    }
    return p->how == FRESH ? 0 : check_owner(q, p->host, p->n);
}

static int take_clusters(struct qcow2 *q, uint64_t first, struct plan *p)
{
    uint64_t got;
    int ret;

    if (q->data != q->file) {
        p->host = first << q->cluster_bits;
        p->pristine = false;
        return 0;
    }
    ret = cluster_alloc(q, p->n, 1, &p->host, &got, &p->pristine);
    p->n = ret ? p->n : got;
    return ret;
}

enum { RETRY = 1 };

/* What to do with the first clusters of [off, end); FRESH ones are allocated. RETRY: wait for others' changes. */
static int plan_make(struct qcow2 *q, uint64_t off, uint64_t end, bool peek, struct plan *p)
{
    uint64_t first = cluster_of(q, off), table_end = align_down(off, l2_covers(q)) + l2_covers(q);
    struct l2_ref l = {0};
    int ret = peek ? l2_peek(q, off, &l) : l2_get(q, off, &l), none = ret == L2_NONE;
    uint64_t last;

    *p = (struct plan){.from = off, .how = FRESH};
    if (ret && !none)
        return ret;
    ret = 0;
    if (ops_overlap(q, first, cluster_of(q, end - 1) + 1)) /* one began while the table was read */
        ret = peek ? -EAGAIN : RETRY;
    else if (none)
        p->n = cluster_of(q, (end < table_end ? end : table_end) - 1) - first + 1;
    else
        ret = plan_run(q, &l, off, end, p);
    if (!ret && peek && p->how != IN_PLACE)
        ret = -EAGAIN;
    if (!ret && p->how == FRESH)
        ret = take_clusters(q, first, p);
    if (!ret) {
        p->to = (first + p->n) << q->cluster_bits;
        p->to = p->to < end ? p->to : end;
        p->lo = p->from;
        p->hi = p->to;
    }
    if (!ret && p->how != IN_PLACE) {
        last = p->n - 1;
        bounds(q, p, none ? 0 : l2_entry(q, &l, 0), none ? 0 : l2_bitmap(q, &l, 0), false);
        bounds(q, p, none ? 0 : l2_entry(q, &l, (unsigned)last), none ? 0 : l2_bitmap(q, &l, (unsigned)last), true);
    }
    if (!none)
        l2_put(q, &l);
    return ret;
}

/* iov bytes [skip, skip + len) between head and tail, in one host write if it can be. */
static int write_out(struct image *d, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                     struct iovec head, struct iovec tail, uint64_t host, unsigned flags)
{
    struct iovec small[66], *v = n > 64 ? malloc((n + 2) * sizeof *v) : small;
    unsigned cnt = 0;
    uint64_t got;
    int ret;

    if (!v)
        return -ENOMEM;
    if (head.iov_len)
        v[cnt++] = head;
    cnt += iov_slice(v + cnt, n, iov, n, skip, len, &got);
    if (tail.iov_len)
        v[cnt++] = tail;
    ret = d->ops->writev(d, v, cnt, host, flags);
    if (v != small)
        free(v);
    return ret;
}

static int read_part(struct qcow2 *q, void *buf, uint64_t off, uint64_t len)
{
    struct iovec v = {buf, len};

    return len ? q_read(q, &v, 1, off, len, 0) : 0;
}

/* The data of a plan with what surrounds it. Lock held, dropped meanwhile. */
static int plan_write(struct qcow2 *q, const struct plan *p, const struct iovec *iov, unsigned n, uint64_t skip,
                      unsigned flags)
{
    uint64_t base = align_down(p->from, q->cluster_size), start = p->lo, end = p->hi;
    uint8_t *buf = NULL;
    struct iovec head, tail;
    int ret = 0;

    if (p->pristine && p->zero_head)
        start = p->from;
    if (p->pristine && p->zero_tail)
        end = p->to;
    if (start < p->from || p->to < end) {
        buf = malloc(p->from - start + end - p->to);
        if (!buf)
            return -ENOMEM;
    }
    head = (struct iovec){buf, p->from - start};
    tail = (struct iovec){buf ? buf + head.iov_len : NULL, end - p->to};
    if (buf && p->zero_head)
        memset(head.iov_base, 0, head.iov_len);
    else
        ret = read_part(q, head.iov_base, start, head.iov_len);
    if (buf && p->zero_tail)
        memset(tail.iov_base, 0, tail.iov_len);
    else if (!ret)
        ret = read_part(q, tail.iov_base, p->to, tail.iov_len);
    if (!ret) {
        pthread_mutex_unlock(&q->lock);
        ret = write_out(q->data, iov, n, skip, p->to - p->from, head, tail, p->host + (start - base), flags);
        pthread_mutex_lock(&q->lock);
    }
    free(buf);
    return ret;
}

static uint64_t new_bitmap(const struct qcow2 *q, const struct plan *p, uint64_t cluster, uint64_t entry,
                           uint64_t bitmap)
{
    uint64_t mask;

    if (!q->extended)
        return 0;
    mask = sub_mask(q, cluster, p->lo, p->hi);
    if (entry & QCOW2_COMPRESSED)
        bitmap = 0;
    return (bitmap | mask) & ~(mask << 32);
}

/* The L2 entries of what was written. */
static int plan_link(struct qcow2 *q, const struct plan *p)
{
    uint64_t first = cluster_of(q, p->from), i = 0;
    int ret = 0;

    while (i < p->n && !ret) {
        struct l2_ref l;

        ret = l2_get_own(q, (first + i) << q->cluster_bits, &l);
        for (unsigned k = 0; !ret && k < l.left && i < p->n; k++, i++) {
            uint64_t old = l2_entry(q, &l, k), bitmap = l2_bitmap(q, &l, k), host = p->host + (i << q->cluster_bits);

            l2_set(q, &l, k, host | QCOW2_COPIED, new_bitmap(q, p, first + i, old, bitmap));
            if (p->how == FRESH)
                entry_free(q, old, (first + i) << q->cluster_bits, false);
        }
        if (!ret)
            l2_put(q, &l);
    }
    if (ret && p->how == FRESH)
        cluster_unalloc(q, p->host + (i << q->cluster_bits), (p->n - i) << q->cluster_bits);
    return ret;
}

/* One plan's worth of a write, lock held. *done: how many bytes it took. */
static int write_some(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t off, uint64_t end,
                      unsigned flags, uint64_t *done)
{
    bool nowait = flags & IMAGE_NOWAIT;
    struct alloc_op op;
    struct plan p;
    int ret;

    do {
        if (!nowait)
            ops_wait(q, cluster_of(q, off), cluster_of(q, end - 1) + 1);
        ret = plan_make(q, off, end, nowait, &p);
    } while (ret == RETRY);
    if (ret)
        return ret;
    *done = p.to - p.from;
    if (p.how == IN_PLACE)
        return plan_write(q, &p, iov, n, skip, flags);
    op = (struct alloc_op){cluster_of(q, p.from), cluster_of(q, p.from) + p.n, NULL};
    op_begin(q, &op);
    ret = plan_write(q, &p, iov, n, skip, 0);
    if (!ret)
        ret = plan_link(q, &p);
    else if (p.how == FRESH)
        cluster_unalloc(q, p.host, p.n << q->cluster_bits);
    op_end(q, &op);
    return ret;
}

/* Lock held, request entered. */
int q_write(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n), done = 0, step;
    bool plain_fua = flags & IMAGE_FUA && !q_has_dirty(q), changed = false;
    int ret = q_writable(q);

    while (!ret && done < total) {
        if (q_wants_flush(q) && !(flags & IMAGE_NOWAIT))
            ret = q_flush(q);
        if (!ret)
            ret = write_some(q, iov, n, done, off + done, off + total, plain_fua ? flags : flags & ~(unsigned)IMAGE_FUA,
                             &step);
        if (!ret)
            done += step;
    }
    changed = q_has_dirty(q);
    if (!ret && flags & IMAGE_FUA && (!plain_fua || changed))
        ret = q_flush(q);
    return ret;
}

int q_writev_op(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct qcow2 *q = img->priv;
    struct io io;
    int ret;

    if (flags & IMAGE_NOWAIT) {
        if (flags & IMAGE_FUA || pthread_mutex_trylock(&q->lock))
            return -EAGAIN;
        if (q->exclusive || !q->prepared || q_wants_flush(q)) {
            pthread_mutex_unlock(&q->lock);
            return -EAGAIN;
        }
    } else {
        pthread_mutex_lock(&q->lock);
    }
    io_enter(q, &io);
    ret = q_write(q, iov, n, off, flags);
    io_leave(q, &io);
    pthread_mutex_unlock(&q->lock);
    return ret;
}
