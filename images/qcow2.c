/*
 * qcow2: the row of the format table; opening and closing. Theory: qcow2.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum { L2_CACHE_MAX = 32 << 20, REF_CACHE = 4 << 20, CUT_MAX = 1 << 22 /* clusters */ };

static void free_all(struct qcow2 *q)
{
    if (q->data && q->data != q->file)
        image_close(q->data);
    codec_fini(q);
    snapshots_free(q);
    slices_fini(&q->l2);
    slices_fini(&q->refs);
    owner_clear(q);
    sectors_clear(&q->l1_dirty);
    sectors_clear(&q->reftable_dirty);
    free(q->freed.run);
    while (q->limbo) {
        struct limbo *l = q->limbo;

        q->limbo = l->next;
        free(l->list.run);
        free(l);
    }
    while (q->spare) {
        struct direct *d = q->spare;

        q->spare = d->next;
        free(d);
    }
    free(q->l1);
    free(q->reftable);
    free(q->head);
    free(q->backing_path);
    free(q->backing_format);
    free(q->data_path);
    pthread_cond_destroy(&q->wake);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static uint64_t *load_table(struct qcow2 *q, uint64_t off, uint32_t n, struct err *e)
{
    uint64_t *t = calloc(n ? n : 1, 8);
    int ret = t ? q_pread(q->file, t, off, 8 * (uint64_t)n) : -ENOMEM;

    if (ret) {
        err_set(e, "disk image '%s': cannot read its tables: %s", q->img->path, strerror(-ret));
        free(t);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        t[i] = __builtin_bswap64(t[i]);
    return t;
}

/* L2 slices for the whole disk, within limits. */
static bool load_tables(struct qcow2 *q, const struct image_options *o, struct err *e)
{
    uint64_t l2 = clusters_for(q, q->img->size) << q->entry_bits;
    uint32_t slice = q->cluster_size < SLICE_MAX ? (uint32_t)q->cluster_size : SLICE_MAX;

    l2 = l2 < 16 * SLICE_MAX ? 16 * SLICE_MAX : l2 > L2_CACHE_MAX ? L2_CACHE_MAX : l2;
    l2 = o->table_cache ? o->table_cache : l2;
    if (!slices_init(&q->l2, slice, l2) || !slices_init(&q->refs, slice, REF_CACHE) || !codec_init(q))
        return err_set(e, "disk image '%s': out of memory", q->img->path);
    q->l1 = load_table(q, q->l1_offset, q->l1_size, e);
    q->reftable = q->l1 ? load_table(q, q->reftable_offset, q->reftable_size, e) : NULL;
    return q->reftable && snapshots_load(q, e);
}

/* May it be written? What forbids it is refused, or with no_repair opened to look only. */
static bool settle_state(struct qcow2 *q, const struct image_options *o, struct err *e)
{
    bool unclean = q->incompatible & INCOMPAT_DIRTY || q->was_in_use;

    q->img->dirty = q->incompatible & INCOMPAT_DIRTY;
    q->can_write = !q->img->read_only;
    if (q->img->read_only)
        return true;
    if (q->incompatible & INCOMPAT_CORRUPT) {
        if (!o->no_repair)
            return err_set(
                e, "disk image '%s' is marked corrupt and can only be opened read-only; repair it with check -r all",
                q->img->path);
        q->img->read_only = true;
        return true;
    }
    if (o->no_repair) {
        q->img->read_only = unclean;
        return true;
    }
    if (!owner_load(q, e))
        return err_prefix(e, "it cannot be opened for writing");
    return (!unclean && (q->in_use_at || header_has_room(q))) || check_at_open(q, e);
}

static bool open_below(struct qcow2 *q, const struct image_options *o, struct err *e)
{
    q->data = q->file;
    if (q->incompatible & INCOMPAT_DATA_FILE) {
        if (!q->data_path)
            return err_set(e, "disk image '%s' has an external data file but does not name it", q->img->path);
        q->data = image_open_data(q->img, o, q->data_path, e);
        if (!q->data)
            return false;
    }
    return !q->backing_path || image_open_backing(q->img, o, q->backing_path, q->backing_format, e);
}

static bool qcow2_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct qcow2 *q = calloc(1, sizeof *q);

    if (!q)
        return err_set(e, "disk image '%s': out of memory", img->path);
    q->img = img;
    q->file = img->file;
    q->data = img->file;
    q->ios.prev = q->ios.next = &q->ios;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, NULL);
    img->priv = q;
    if (!header_read(q, e) || !load_tables(q, o, e) || !open_below(q, o, e)) {
        free_all(q);
        return false;
    }
    q->pristine = align_up(image_size(q->file), q->cluster_size);
    if (!settle_state(q, o, e)) {
        free_all(q);
        return false;
    }
    img->logical = 512;
    img->optimal = img->cluster = (uint32_t)q->cluster_size;
    img->discard = !img->read_only;
    return true;
}

/* Unused space at the end of the file goes back to the host; only a file can be cut. */
static void cut_end(struct qcow2 *q)
{
    uint64_t end = clusters_for(q, image_size(q->file)), used = end, v;
    struct err e;

    while (used && end - used < CUT_MAX && !ref_get(q, used - 1, &v) && !v)
        used--;
    if (used && used < end && end - used < CUT_MAX && q->file->ops->resize)
        q->file->ops->resize(q->file, used << q->cluster_bits, PREALLOC_OFF, true, &e); /* failing, it stays long */
}

int q_finish(struct qcow2 *q)
{
    int ret;

    if (!q->prepared || q->broken)
        return q->broken;
    q->incompatible &= ~(uint64_t)INCOMPAT_DIRTY; /* in memory: now the refcounts are written too */
    ret = q_settle(q);
    if (ret)
        return ret;
    cut_end(q);
    return q->leaked ? 0 : header_finish(q);
}

static void qcow2_close(struct image *img)
{
    struct qcow2 *q = img->priv;

    pthread_mutex_lock(&q->lock);
    q_finish(q); /* failing, the next opening looks for leaks */
    pthread_mutex_unlock(&q->lock);
    free_all(q);
}

static int qcow2_flush(struct image *img)
{
    struct qcow2 *q = img->priv;
    int ret;

    if (img->read_only)
        return 0;
    pthread_mutex_lock(&q->lock);
    while (q->exclusive)
        pthread_cond_wait(&q->wake, &q->lock);
    q->flushers++;
    ret = q_flush(q);
    q->flushers--;
    if (q->exclusive)
        pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
    return ret;
}

static bool qcow2_backing_name(struct image *img, const char **path, const char **format)
{
    struct qcow2 *q = img->priv;

    *path = q->backing_path;
    *format = q->backing_format;
    return q->backing_path;
}

static bool qcow2_set_backing(struct image *img, const char *path, const char *format, struct err *e)
{
    struct qcow2 *q = img->priv;
    bool ok;
    int ret;

    if (q->data_raw && path)
        return err_set(e, "disk image '%s' has a raw data file, which cannot have a backing file", img->path);
    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    ret = q_writable(q);
    if (!ret)
        ret = q_settle(q);
    ok = ret ? err_set(e, "disk image '%s': %s", img->path, strerror(-ret)) : header_set_backing(q, path, format, e);
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    return ok;
}

const struct image_ops image_qcow2 = {
    .format = "qcow2",
    .open = qcow2_open,
    .close = qcow2_close,
    .readv = q_readv_op,
    .writev = q_writev_op,
    .flush = qcow2_flush,
    .discard = q_discard,
    .write_zeroes = q_write_zeroes,
    .map = q_map,
    .direct_begin = q_direct_begin,
    .direct_end = q_direct_end,
    .resize = q_resize,
    .write_compressed = q_write_compressed,
    .create = q_create,
    .check = q_check,
    .details = q_details,
    .backing_name = qcow2_backing_name,
    .set_backing = qcow2_set_backing,
    .make_empty = q_make_empty,
    .snapshot_list = q_snapshot_list,
    .snapshot_create = q_snapshot_create,
    .snapshot_apply = q_snapshot_apply,
    .snapshot_delete = q_snapshot_delete,
    .snapshot_view = q_snapshot_view,
};
