/*
 * Host files that tests put under a format: one in memory, one that records what is asked of it, one that fails.
 * The last two pass everything on to an image that stays their maker's, so that a format that closes its file does not
 * take the bytes away.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk/disk.h"

enum { MEMORY_MAX = 256 << 20 };

struct memory {
    uint8_t *data;
    uint64_t cap;
};

static int memory_grow(struct image *img, uint64_t size)
{
    struct memory *m = img->priv;

    if (size > MEMORY_MAX)
        return -EFBIG;
    if (size > m->cap) {
        uint64_t cap = size * 2;
        uint8_t *more = realloc(m->data, cap);

        if (!more)
            return -ENOMEM;
        memset(more + m->cap, 0, cap - m->cap);
        m->data = more;
        m->cap = cap;
    }
    if (size > img->size)
        img->size = size;
    return 0;
}

static int memory_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct memory *m = img->priv;
    uint64_t total = iov_total(iov, n), have = off < img->size ? img->size - off : 0;

    (void)flags;
    if (have > total)
        have = total;
    if (have)
        iov_from_buf(iov, n, 0, m->data + off, have);
    if (total > have)
        iov_zero(iov, n, have, total - have); /* beyond the end of the file */
    return 0;
}

static int memory_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct memory *m = img->priv;
    uint64_t total = iov_total(iov, n);
    int ret = off > MEMORY_MAX ? -EFBIG : memory_grow(img, off + total);

    (void)flags;
    if (!ret)
        iov_to_buf(m->data + off, iov, n, 0, total);
    return ret;
}

static int memory_flush(struct image *img)
{
    (void)img;
    return 0;
}

static int memory_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct memory *m = img->priv;

    if (off < img->size)
        memset(m->data + off, 0, len < img->size - off ? len : img->size - off);
    return 0;
}

static int memory_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = off > MEMORY_MAX || len > MEMORY_MAX ? -EFBIG : memory_grow(img, off + len);

    (void)flags;
    return ret ? ret : memory_discard(img, off, len);
}

static int memory_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    (void)p, (void)shrink;
    if (size < img->size) {
        memory_discard(img, size, img->size - size);
        img->size = size;
    }
    if (!memory_grow(img, size))
        return 0;
    err_set(e, "memory: too large");
    return -EFBIG;
}

static void memory_close(struct image *img)
{
    struct memory *m = img->priv;

    free(m->data);
    free(m);
}

static const struct image_ops memory_ops = {
    .format = "memory",
    .protocol = true,
    .close = memory_close,
    .readv = memory_readv,
    .writev = memory_writev,
    .flush = memory_flush,
    .discard = memory_discard,
    .write_zeroes = memory_write_zeroes,
    .resize = memory_resize,
};

static struct image *protocol_new(const struct image_ops *ops, const char *name, void *priv)
{
    struct image *img = calloc(1, sizeof *img);

    if (img)
        *img = (struct image){.ops = ops, .logical = 1, .discard = true, .path = strdup(name), .priv = priv};
    return img;
}

struct image *memory_new(const void *data, uint64_t size)
{
    struct memory *m = calloc(1, sizeof *m);
    struct image *img = m ? protocol_new(&memory_ops, "memory", m) : NULL;

    if (!img || memory_grow(img, size)) {
        free(m);
        free(img);
        return NULL;
    }
    if (size)
        memcpy(m->data, data, size);
    return img;
}

const uint8_t *memory_data(const struct image *img) { return ((const struct memory *)img->priv)->data; }

/* --- the recorder ------------------------------------------------------------------------------------------------ */

struct recorder {
    struct image *below;
    struct recording *log;
};

static int record(struct recording *log, struct record r)
{
    if (log->n == log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 256;
        struct record *more = realloc(log->v, cap * sizeof *more);

        if (!more)
            return -ENOMEM;
        log->v = more;
        log->cap = cap;
    }
    log->v[log->n++] = r;
    return 0;
}

void recording_init(struct recording *log)
{
    *log = (struct recording){0};
    pthread_mutex_init(&log->lock, NULL);
}

void recording_free(struct recording *log)
{
    for (size_t i = 0; i < log->n; i++)
        free(log->v[i].data);
    free(log->v);
    pthread_mutex_destroy(&log->lock);
}

static int recorder_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct recorder *r = img->priv;
    int ret;

    pthread_mutex_lock(&r->log->lock);
    ret = r->below->ops->readv(r->below, iov, n, off, flags);
    pthread_mutex_unlock(&r->log->lock);
    return ret;
}

/* In one: the request is recorded and done, so that the recording has the order in which the file changed. */
static int recorder_do(struct image *img, struct record rec, const struct iovec *iov, unsigned n, unsigned flags)
{
    struct recorder *r = img->priv;
    int ret;

    pthread_mutex_lock(&r->log->lock);
    ret = record(r->log, rec);
    if (!ret && rec.kind == RECORD_WRITE)
        ret = r->below->ops->writev(r->below, iov, n, rec.off, flags);
    else if (!ret && rec.kind == RECORD_ZERO)
        ret = r->below->ops->write_zeroes(r->below, rec.off, rec.len, flags);
    __atomic_store_n(&img->size, r->below->size, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&r->log->lock);
    if (r->log->threads)
        sched_yield();
    return ret;
}

static int recorder_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct record rec = {.kind = RECORD_WRITE, .fua = flags & IMAGE_FUA, .off = off, .len = iov_total(iov, n)};

    rec.data = malloc(rec.len ? rec.len : 1);
    if (!rec.data)
        return -ENOMEM;
    iov_to_buf(rec.data, iov, n, 0, rec.len);
    return recorder_do(img, rec, iov, n, flags);
}

/* What is done while a flush is under way need not be stable after it. */
static int recorder_flush(struct image *img)
{
    struct recorder *r = img->priv;
    struct record rec = {.kind = RECORD_FLUSH};

    if (r->log->deaf)
        return 0;
    pthread_mutex_lock(&r->log->lock);
    rec.off = r->log->n;
    pthread_mutex_unlock(&r->log->lock);
    if (r->log->threads)
        sched_yield();
    return recorder_do(img, rec, NULL, 0, 0);
}

static int recorder_zero(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct record rec = {.kind = RECORD_ZERO, .fua = flags & IMAGE_FUA, .off = off, .len = len};

    return recorder_do(img, rec, NULL, 0, flags);
}

static int recorder_discard(struct image *img, uint64_t off, uint64_t len)
{
    uint64_t size = image_size(img), have = off < size ? size - off : 0;

    if (len > have)
        len = have; /* a hole punched beyond the end changes nothing */
    return len ? recorder_zero(img, off, len, 0) : 0;
}

static int recorder_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct recorder *r = img->priv;
    int ret;

    pthread_mutex_lock(&r->log->lock);
    ret = record(r->log, (struct record){.kind = RECORD_RESIZE, .off = size});
    if (!ret)
        ret = r->below->ops->resize(r->below, size, p, shrink, e);
    __atomic_store_n(&img->size, r->below->size, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&r->log->lock);
    return ret;
}

static void recorder_close(struct image *img) { free(img->priv); }

static const struct image_ops recorder_ops = {
    .format = "recorder",
    .protocol = true,
    .close = recorder_close,
    .readv = recorder_readv,
    .writev = recorder_writev,
    .flush = recorder_flush,
    .discard = recorder_discard,
    .write_zeroes = recorder_zero,
    .resize = recorder_resize,
};

struct image *recorder_new(struct image *below, struct recording *log)
{
    struct recorder *r = malloc(sizeof *r);
    struct image *img = r ? protocol_new(&recorder_ops, "recorder", r) : NULL;

    if (!img) {
        free(r);
        return NULL;
    }
    *r = (struct recorder){below, log};
    img->size = below->size;
    return img;
}

/* --- the injector ------------------------------------------------------------------------------------------------ */

struct injector {
    struct image *below;
    struct fault *f;
};

static bool fails(struct fault *f, unsigned kind)
{
    uint64_t call;

    if (!(f->kinds & kind))
        return false;
    call = f->calls++;
    if (call < f->first || call >= f->last)
        return false;
    f->failed++;
    return true;
}

static int injector_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct injector *j = img->priv;

    return fails(j->f, FAULT_READ) ? j->f->error : j->below->ops->readv(j->below, iov, n, off, flags);
}

static int injector_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct injector *j = img->priv;
    int ret;

    if (!fails(j->f, FAULT_WRITE)) {
        ret = j->below->ops->writev(j->below, iov, n, off, flags);
    } else {
        uint64_t half = (off + iov_total(iov, n) / 2) & ~(uint64_t)(SECTOR - 1), got;
        struct iovec part[16];
        unsigned cnt = iov_slice(part, 16, iov, n, 0, half > off ? half - off : 0, &got);

        if (j->f->tear && got)
            j->below->ops->writev(j->below, part, cnt, off, 0);
        ret = j->f->error;
    }
    img->size = j->below->size;
    return ret;
}

static int injector_flush(struct image *img)
{
    struct injector *j = img->priv;

    return fails(j->f, FAULT_FLUSH) ? j->f->error : j->below->ops->flush(j->below);
}

static int injector_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct injector *j = img->priv;

    return fails(j->f, FAULT_DISCARD) ? j->f->error : j->below->ops->discard(j->below, off, len);
}

static int injector_zero(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct injector *j = img->priv;
    int ret = fails(j->f, FAULT_WRITE) ? j->f->error : j->below->ops->write_zeroes(j->below, off, len, flags);

    img->size = j->below->size;
    return ret;
}

static int injector_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct injector *j = img->priv;
    bool bad = fails(j->f, FAULT_RESIZE);
    int ret = bad ? j->f->error : j->below->ops->resize(j->below, size, p, shrink, e);

    if (bad)
        err_set(e, "resize: %s", strerror(-ret));
    img->size = j->below->size;
    return ret;
}

static void injector_close(struct image *img) { free(img->priv); }

static const struct image_ops injector_ops = {
    .format = "injector",
    .protocol = true,
    .close = injector_close,
    .readv = injector_readv,
    .writev = injector_writev,
    .flush = injector_flush,
    .discard = injector_discard,
    .write_zeroes = injector_zero,
    .resize = injector_resize,
};

struct image *injector_new(struct image *below, struct fault *f)
{
    struct injector *j = malloc(sizeof *j);
    struct image *img = j ? protocol_new(&injector_ops, "injector", j) : NULL;

    if (!img) {
        free(j);
        return NULL;
    }
    *j = (struct injector){below, f};
    img->size = below->size;
    return img;
}
