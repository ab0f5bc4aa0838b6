/*
 * qcow2: reads, the map, and places lent to io_uring.
 */
#include <errno.h>
#include <stdlib.h>

#include "images/qcow2.h"

/* What the backing image holds at off; zeroes past its end, and past our own (its bytes there are not the disk's). */
static int read_below(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t off, uint64_t len,
                      unsigned flags)
{
    struct image *b = q->img->backing;
    uint64_t end = b ? image_size(b) : 0, done = 0, have;

    if (end > image_size(q->img))
        end = image_size(q->img);
    have = off < end ? end - off : 0;
    if (have > len)
        have = len;
    iov_zero(iov, n, skip + have, len - have);
    while (done < have) {
        struct iovec win[64];
        uint64_t bytes;
        unsigned cnt = iov_slice(win, ARRAY_LEN(win), iov, n, skip + done, have - done, &bytes);
        int ret = b->ops->readv(b, win, cnt, off + done, flags);

        if (ret)
            return ret;
        done += bytes;
    }
    return 0;
}

static int read_data(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t skip, const struct run *r,
                     unsigned flags)
{
    uint64_t done = 0;

    while (done < r->len) {
        struct iovec win[64];
        uint64_t bytes;
        unsigned cnt = iov_slice(win, ARRAY_LEN(win), iov, n, skip + done, r->len - done, &bytes);
        int ret = q_readv(q->data, win, cnt, r->host + done, flags);

        if (ret)
            return ret;
        done += bytes;
    }
    return 0;
}

/* Lock held, request entered; the lock is dropped while data moves. Offsets past the disk's end are allowed. */
int q_read(struct qcow2 *q, const struct iovec *iov, unsigned n, uint64_t off, uint64_t total, unsigned flags)
{
    bool nowait = flags & IMAGE_NOWAIT;

    for (uint64_t done = 0; done < total;) {
        uint64_t pos = off + done;
        struct run r;
        int ret = run_find(q, pos, total - done, nowait, &r);

        if (ret)
            return ret;
        if (r.what == WHAT_COMPRESSED && nowait)
            return -EAGAIN;
        pthread_mutex_unlock(&q->lock);
        switch (r.what) {
        case WHAT_HOLE: ret = read_below(q, iov, n, done, pos, r.len, flags); break;
        case WHAT_ZERO: iov_zero(iov, n, done, r.len); break;
        case WHAT_DATA: ret = read_data(q, iov, n, done, &r, flags); break;
        case WHAT_COMPRESSED: ret = codec_read(q, r.entry, in_cluster(q, pos), iov, n, done, r.len); break;
        }
        pthread_mutex_lock(&q->lock);
        if (ret)
            return ret;
        done += r.len;
    }
    return 0;
}

int q_readv_op(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct qcow2 *q = img->priv;
    struct io io;
    int ret;

    if (flags & IMAGE_NOWAIT) {
        if (pthread_mutex_trylock(&q->lock))
            return -EAGAIN;
        if (q->exclusive) {
            pthread_mutex_unlock(&q->lock);
            return -EAGAIN;
        }
    } else {
        pthread_mutex_lock(&q->lock);
    }
    io_enter(q, &io);
    ret = q_read(q, iov, n, off, iov_total(iov, n), flags);
    io_leave(q, &io);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

int q_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct qcow2 *q = img->priv;
    struct io io;
    struct run r;
    int ret;

    pthread_mutex_lock(&q->lock);
    io_enter(q, &io);
    ret = run_find(q, off, len, false, &r);
    if (!ret) {
        *x = (struct image_extent){.len = r.len, .layer = img};
        x->allocated = r.what != WHAT_HOLE;
        x->data = r.what == WHAT_DATA || r.what == WHAT_COMPRESSED;
        x->zero = r.what == WHAT_ZERO;
        x->compressed = r.what == WHAT_COMPRESSED;
        x->has_offset = r.host_kept && (r.what == WHAT_DATA || r.what == WHAT_ZERO);
        x->offset = x->has_offset ? r.host : 0;
        while (r.len < len && r.what != WHAT_COMPRESSED) { /* across slices and tables */
            struct run next;

            if (run_find(q, off + x->len, len - x->len, false, &next) || next.what != r.what ||
                (x->has_offset && (!next.host_kept || next.host != r.host + x->len)) ||
                (!x->has_offset && x->zero && next.host_kept))
                break;
            x->len += next.len;
            if (x->len >= len)
                break;
        }
    }
    io_leave(q, &io);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

/* --- places for io_uring: only where it is one run of plain data and everything that says so is in memory --- */

static int lend(struct qcow2 *q, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct image *d = q->data;
    struct direct *lent;
    struct run r;
    int ret;

    if (!d->ops->direct_begin || q->exclusive || (write && (!q->prepared || q->broken || q->view || q->img->read_only)))
        return -EAGAIN;
    if (write && ops_overlap(q, cluster_of(q, off), cluster_of(q, off + len - 1) + 1))
        return -EAGAIN;
    ret = run_find(q, off, len, true, &r);
    if (ret || r.len < len || r.what != WHAT_DATA || (write && !r.own) || r.host + len > image_size(d))
        return -EAGAIN;
    for (uint64_t at = align_down(r.host, q->cluster_size); write && at < r.host + len && d == q->file;
         at += q->cluster_size)
        if (owner_kind(q, at))
            return q_corrupt(q);
    lent = q->spare ? q->spare : malloc(sizeof *lent);
    if (!lent)
        return -EAGAIN;
    q->spare = lent == q->spare ? lent->next : q->spare;
    ret = d->ops->direct_begin(d, r.host, len, write, fd, host_off);
    if (ret) {
        lent->next = q->spare;
        q->spare = lent;
        return ret;
    }
    lent->off = off;
    lent->len = len;
    lent->host = r.host;
    lent->write = write;
    lent->next = q->lent;
    q->lent = lent;
    io_enter(q, &lent->io);
    return 0;
}

int q_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct qcow2 *q = img->priv;
    int ret;

    if (!len || pthread_mutex_trylock(&q->lock))
        return -EAGAIN;
    ret = lend(q, off, len, write, fd, host_off);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

void q_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    struct qcow2 *q = img->priv;
    struct direct **p, *d;

    pthread_mutex_lock(&q->lock);
    for (p = &q->lent; (d = *p); p = &d->next)
        if (d->off == off && d->len == len && d->write == write)
            break;
    if (d) {
        if (q->data->ops->direct_end)
            q->data->ops->direct_end(q->data, d->host, len, write);
        *p = d->next;
        io_leave(q, &d->io);
        d->next = q->spare;
        q->spare = d;
    }
    pthread_mutex_unlock(&q->lock);
}
