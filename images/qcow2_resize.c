/*
 * qcow2: another size, and space set aside for the data.
 *
 * Growing: a longer L1 in a new place if needed, then zeroes over whatever lies beyond the old end (a longer backing
 * file, what a larger disk of before left), then the size. Shrinking: the size, then what is beyond goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

static int write_l1(struct qcow2 *q, const uint64_t *l1, uint64_t n, uint64_t off)
{
    uint64_t bytes = align_up(8 * n, q->cluster_size);
    uint8_t *raw = calloc(1, bytes);
    int ret = raw ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < n && raw; i++)
        st64be(raw + 8 * i, l1[i]);
    if (!ret)
        ret = image_pwrite(q->file, raw, off, bytes, 0);
    free(raw);
    return ret ? ret : q->file->ops->flush(q->file);
}

/* Lock held, exclusive, nothing dirty. */
static int grow_l1(struct qcow2 *q, uint64_t size)
{
    uint64_t n = (size + l2_covers(q) - 1) / l2_covers(q), old = q->l1_offset, old_bytes = 8 * (uint64_t)q->l1_size,
             host, got;
    uint8_t head[512];
    uint64_t *l1;
    bool pristine;
    int ret;

    if (n <= q->l1_size)
        return 0;
    if (n > MAX_L1_BYTES / 8)
        return -EFBIG;
    l1 = calloc(n, 8);
    if (!l1)
        return -ENOMEM;
    if (q->l1_size)
        memcpy(l1, q->l1, old_bytes);
    got = clusters_for(q, 8 * n);
    ret = cluster_alloc(q, got, got, &host, &got, &pristine);
    if (ret) {
        free(l1);
        return ret;
    }
    ret = q_settle(q); /* its refcounts */
    if (!ret)
        ret = write_l1(q, l1, n, host);
    if (!ret && !owner_add(q, host, 8 * n, OWNER_L1))
        ret = -ENOMEM;
    memcpy(head, q->head, sizeof head);
    if (!ret) {
        st32be(q->head + H_L1_SIZE, (uint32_t)n);
        st64be(q->head + H_L1_OFFSET, host);
        ret = header_switch(q, head);
    }
    if (ret) {
        owner_del(q, host, 8 * n);
        if (!q->unsure)
            cluster_unalloc(q, host, 8 * n);
        q->leaked |= q->unsure;
        free(l1);
        return ret;
    }
    free(q->l1);
    q->l1 = l1;
    q->l1_size = (uint32_t)n;
    q->l1_offset = host;
    sectors_clear(&q->l1_dirty);
    if (old_bytes) {
        owner_del(q, old, old_bytes);
        free_later(q, old, old_bytes, false);
    }
    return 0;
}

static int set_size(struct qcow2 *q, uint64_t size)
{
    uint8_t old[512];

    memcpy(old, q->head, sizeof old);
    st64be(q->head + H_SIZE, size);
    return header_switch(q, old);
}

static int grow(struct qcow2 *q, uint64_t size, enum image_prealloc p)
{
    uint64_t old = q->img->size, below = q->img->backing ? image_size(q->img->backing) : 0, zero_end;
    int ret = grow_l1(q, size);

    zero_end = below < size ? below : size;
    if (zero_end < align_up(old, q->cluster_size))
        zero_end = align_up(old, q->cluster_size);
    else
        zero_end = align_up(zero_end, q->cluster_size);
    if (!ret && q->data != q->file && !q->data->read_only && q->data->ops->resize) {
        struct err e;

        ret = q->data->ops->resize(q->data, size, p == PREALLOC_METADATA ? PREALLOC_OFF : p, false, &e);
    }
    if (!ret && old < zero_end)
        ret = q_zero_range(q, old, zero_end);
    if (!ret)
        ret = q_drop_clusters(q, zero_end, (uint64_t)q->l1_size << (q->l2_bits + q->cluster_bits));
    if (!ret)
        ret = q_settle(q);
    if (!ret && p)
        ret = q_preallocate(q, align_up(old, q->cluster_size), align_up(size, q->cluster_size), p);
    if (!ret)
        ret = q_settle(q);
    if (!ret)
        ret = set_size(q, size);
    if (!ret)
        __atomic_store_n(&q->img->size, size, __ATOMIC_RELEASE);
    return ret;
}

static int cut(struct qcow2 *q, uint64_t size)
{
    int ret = set_size(q, size);

    if (ret)
        return ret;
    __atomic_store_n(&q->img->size, size, __ATOMIC_RELEASE);
    ret = q_drop_clusters(q, align_up(size, q->cluster_size), (uint64_t)q->l1_size << (q->l2_bits + q->cluster_bits));
    if (!ret)
        ret = q_settle(q);
    if (!ret && q->data != q->file && q->data_raw && q->data->ops->resize) {
        struct err e;

        ret = q->data->ops->resize(q->data, size, PREALLOC_OFF, true, &e);
    }
    return ret;
}

int q_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct qcow2 *q = img->priv;
    const char *why = NULL;
    int ret;

    size = align_up(size, 512);
    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    ret = q_writable(q);
    if (size > INT64_MAX - 512)
        why = "too large";
    else if (q->nb_snapshots && q->version < 3)
        why = "a version 2 image with snapshots cannot be resized";
    else if (q->nb_bitmaps)
        why = "an image with persistent bitmaps cannot be resized; remove them with qemu-img bitmap --remove first";
    else if (size < img->size && !shrink)
        why = "shrinking loses what is beyond the new end, and was not asked for";
    else if (size < img->size && p)
        why = "preallocation is for growing";
    if (why)
        ret = -EINVAL;
    if (!ret)
        ret = q_settle(q);
    if (!ret)
        ret = size > img->size ? grow(q, size, p) : size < img->size ? cut(q, size) : 0;
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    if (ret)
        err_set(e, "disk image '%s': %s", img->path, why ? why : strerror(-ret));
    return ret;
}

/* The host's side of n new clusters: zeroes that are there, or space for them. */
static int prepare_data(struct qcow2 *q, uint64_t host, uint64_t len, bool pristine, enum image_prealloc p)
{
    struct image *f = q->data;
    void *zero;
    int ret = 0;

    if (p != PREALLOC_FULL)
        return p == PREALLOC_METADATA && pristine ? 0 : f->ops->write_zeroes(f, host, len, 0);
    zero = calloc(1, 1 << 20);
    if (!zero)
        return -ENOMEM;
    for (uint64_t done = 0; done < len && !ret; done += 1 << 20)
        ret = image_pwrite(f, zero, host + done, len - done < 1 << 20 ? len - done : 1 << 20, 0);
    free(zero);
    return ret;
}

/* Holes of one L2 slice get clusters. */
static int preallocate_slice(struct qcow2 *q, uint64_t off, uint64_t end, enum image_prealloc p, uint64_t *next,
                             uint64_t *file_end)
{
    struct l2_ref l;
    int ret = l2_get_own(q, off, &l);
    unsigned i = 0;

    while (!ret && i < l.left && off + ((uint64_t)i << q->cluster_bits) < end) {
        uint64_t at = off + ((uint64_t)i << q->cluster_bits), host = at, got, n = 1;
        bool pristine = false;

        if (l2_entry(q, &l, i) || l2_bitmap(q, &l, i)) {
            i++;
            continue;
        }
        while (i + n < l.left && at + (n << q->cluster_bits) < end && !l2_entry(q, &l, i + (unsigned)n))
            n++;
        got = n;
        if (q->data == q->file)
            ret = cluster_alloc(q, n, 1, &host, &got, &pristine);
        if (!ret)
            ret = prepare_data(q, host, got << q->cluster_bits, pristine, p);
        for (uint64_t k = 0; k < got && !ret; k++, i++)
            l2_set(q, &l, i, (host + (k << q->cluster_bits)) | QCOW2_COPIED, 0);
        if (!ret && host + (got << q->cluster_bits) > *file_end)
            *file_end = host + (got << q->cluster_bits);
        if (ret)
            l2_put(q, &l);
    }
    if (!ret) {
        *next = off + ((uint64_t)i << q->cluster_bits);
        l2_put(q, &l);
    }
    return ret;
}

int q_preallocate(struct qcow2 *q, uint64_t from, uint64_t to, enum image_prealloc p)
{
    uint64_t end = 0;
    struct err e;
    int ret = q_writable(q);

    to = align_up(to, q->cluster_size);
    while (!ret && from < to) {
        if (q_wants_flush(q))
            ret = q_flush(q);
        if (!ret)
            ret = preallocate_slice(q, from, to, p, &from, &end);
    }
    if (!ret && end > image_size(q->data) && q->data->ops->resize)
        ret = q->data->ops->resize(q->data, end, PREALLOC_OFF, false, &e);
    return ret;
}
