/* Opening a disk, what it tells about itself, and what is done to its image as a whole: resizing, committing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/block_int.h"

bool block_cache_mode(struct block_options *o, const char *name)
{
    static const struct {
        const char *name;
        bool direct, writethrough, no_flush;
    } modes[] = {
        {"writeback", false, false, false}, {"none", true, false, false},   {"writethrough", false, true, false},
        {"directsync", true, true, false},  {"unsafe", false, false, true},
    };

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(name, modes[i].name)) {
            o->direct = modes[i].direct;
            o->writethrough = modes[i].writethrough;
            o->ignore_flush = modes[i].no_flush;
            return true;
        }
    return false;
}

static struct image *open_base(const struct block *b, bool read_only, struct err *e)
{
    struct image_options how = b->how;

    how.format = b->format;
    how.read_only = read_only;
    how.direct = b->direct;
    return image_open_spec(b->path, &how, e);
}

static struct image *open_image(struct block *b, const struct block_options *o, struct err *e)
{
    struct image *img = o->opened ? o->opened : open_base(b, o->read_only || o->snapshot, e);

    if (img && !img->size) {
        err_set(e, "disk image '%s' is empty", img->path);
        image_close(img);
        return NULL;
    }
    return img && b->snapshot ? overlay_new(img, e) : img;
}

struct block *block_open(const struct block_options *o, struct err *e)
{
    struct block *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, "out of memory");
        image_close(o->opened);
        return NULL;
    }
    b->path = o->path ? strdup(o->path) : NULL;
    b->format = o->format ? strdup(o->format) : NULL;
    if (o->image)
        b->how = *o->image;
    b->read_only = o->read_only || (o->opened && o->opened->read_only && !o->snapshot);
    b->snapshot = o->snapshot && !o->read_only;
    b->direct = o->direct;
    b->writethrough = o->writethrough;
    b->ignore_discard = o->ignore_discard;
    b->ignore_flush = o->ignore_flush;
    b->detect_zeroes = o->detect_zeroes;
    b->rerror = o->rerror;
    b->werror = o->werror;
    b->img = open_image(b, o, e);
    b->how.file = NULL;
    if (!b->img) {
        free(b->path);
        free(b->format);
        free(b);
        return NULL;
    }
    if (block_start(b, o, e))
        return b;
    block_close(b);
    return NULL;
}

static uint64_t counter(const uint64_t *n) { return __atomic_load_n(n, __ATOMIC_RELAXED); }

void block_get_info(const struct block *b, struct block_info *info)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&b->lock;
    const struct block_op_stats *op = b->stat.op;

    pthread_mutex_lock(lock);
    *info = (struct block_info){
        .size = image_size(b->img),
        .logical = b->img->logical,
        .optimal = b->img->optimal,
        .read_only = b->read_only,
        .discard = b->img->discard && !b->read_only && !b->ignore_discard,
        .format = b->img->ops->format,
        .path = b->img->path,
        .reads = counter(&op[BLOCK_READ].count),
        .writes = counter(&op[BLOCK_WRITE].count),
        .flushes = counter(&op[BLOCK_FLUSH].count),
        .read_bytes = counter(&op[BLOCK_READ].bytes),
        .write_bytes = counter(&op[BLOCK_WRITE].bytes),
    };
    pthread_mutex_unlock(lock);
    for (unsigned i = 0; i < BLOCK_OPS; i++)
        info->errors += counter(&op[i].errors);
}

void block_get_stats(struct block *b, struct block_stats *s)
{
    for (unsigned i = 0; i < BLOCK_OPS; i++) {
        const struct block_op_stats *from = &b->stat.op[i];
        struct block_op_stats *to = &s->op[i];

        *to = (struct block_op_stats){counter(&from->count),    counter(&from->bytes),  counter(&from->errors),
                                      counter(&from->total_ns), counter(&from->max_ns), {0}};
        for (unsigned n = 0; n < BLOCK_BUCKETS; n++)
            to->bucket[n] = counter(&from->bucket[n]);
    }
    s->inline_done = counter(&b->stat.inline_done);
    s->by_uring = counter(&b->stat.by_uring);
    s->throttled = counter(&b->stat.throttled);
    s->zeroes_detected = counter(&b->stat.zeroes_detected);
    s->uring = b->uring;
    s->writethrough = b->writethrough;
    s->direct = b->direct;
    s->ignore_flush = b->ignore_flush;
    s->ignore_discard = b->ignore_discard;
    s->snapshot = b->snapshot;
    s->detect_zeroes = b->detect_zeroes;
    s->rerror = __atomic_load_n(&b->rerror, __ATOMIC_RELAXED);
    s->werror = __atomic_load_n(&b->werror, __ATOMIC_RELAXED);
    pthread_mutex_lock(&b->lock);
    s->in_flight = b->in_flight;
    s->kept = b->n_kept;
    pthread_mutex_unlock(&b->lock);
}

struct image *block_image(struct block *b) { return b->img; }

struct image *block_set_image(struct block *b, struct image *img)
{
    struct image *old;

    pthread_mutex_lock(&b->lock);
    old = b->img;
    b->img = img;
    pthread_mutex_unlock(&b->lock);
    return old;
}

void block_on_resize(struct block *b, void (*fn)(void *arg, uint64_t size), void *arg)
{
    b->on_resize = fn;
    b->on_resize_arg = arg;
}

static bool resize(struct block *b, uint64_t size, bool shrink, struct err *e)
{
    const char *path = b->img->path;
    bool ok;

    if (b->read_only)
        return err_set(e, "disk '%s' is read-only", path);
    if (!b->img->ops->resize)
        return err_set(e, "disk '%s': its size is fixed (%s)", path, b->img->ops->format);
    if (!size || size % b->img->logical)
        return err_set(e, "disk '%s': the size must be a multiple of %u", path, b->img->logical);
    block_hold(b);
    ok = b->img->ops->resize(b->img, size, PREALLOC_OFF, shrink, e) == 0;
    block_release(b);
    if (ok && b->on_resize)
        b->on_resize(b->on_resize_arg, size);
    return ok;
}

bool block_resize(struct block *b, uint64_t size, struct err *e)
{
    if (size < image_size(b->img))
        return err_set(e, "disk '%s': a running disk cannot become smaller", b->img->path);
    return resize(b, size, false, e);
}

bool block_shrink(struct block *b, uint64_t size, struct err *e) { return resize(b, size, true, e); }

/*
 * The base was opened for reading, so that others can run on it too. Its own lock is in the way of a second opening, so
 * it is closed first; when it cannot be written, it is opened as it was.
 */
static bool base_for_writing(struct block *b, struct err *e)
{
    struct image *base = b->img->backing, *now;
    struct err again = {""};

    if (!base->read_only)
        return true;
    if (!b->path)
        return err_set(e, "disk '%s' was opened for reading only", base->path);
    image_close(overlay_set_base(b->img, NULL));
    now = open_base(b, false, e);
    if (now) {
        overlay_set_base(b->img, now);
        return true;
    }
    now = open_base(b, true, &again);
    overlay_set_base(b->img, now);
    if (!now)
        err_prefix(e, "the disk is lost (%.300s)", again.msg);
    return false;
}

bool block_commit_overlay(struct block *b, struct err *e)
{
    int ret = 0;
    bool ok;

    if (!b->snapshot)
        return err_set(e, "disk '%s' is not run with -snapshot: nothing to commit", b->img->path);
    block_hold(b);
    ok = base_for_writing(b, e);
    if (ok && (ret = overlay_commit(b->img)))
        ok = err_set(e, "disk '%s': %s; the changes are still in the overlay", b->img->path, strerror(-ret));
    block_release(b);
    return ok;
}
