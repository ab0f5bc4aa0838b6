/*
 * The format `raw`: the bytes of `file` as they are, or a range of them: given by offset and length, or a partition.
 *
 * The size is rounded up to whole sectors: the rest of the last one reads as zeroes, and a write there makes the file
 * longer. A range that is a part of the file is locked as a part, so that others can use the rest of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/file.h"
#include "images/image.h"
#include "images/partition.h"

struct raw {
    uint64_t start; /* of the file */
    bool range;     /* ends before the file does: keeps its size */
};

static bool raw_range(struct image *img, const struct image_options *o, uint64_t *start, uint64_t *len, struct err *e)
{
    uint64_t bytes = image_size(img->file);
    struct partition p = {.length = bytes};

    if (o->partition && !partition_find(img->file, o->partition, &p, e))
        return false;
    if (o->offset % img->logical || o->length % img->logical)
        return err_set(e, "disk image '%s': offset and size must be multiples of %u", img->path, img->logical);
    if (o->offset > p.length || o->length > p.length - o->offset || (o->offset && o->offset == p.length))
        return err_set(e, "disk image '%s': the range is not inside its %llu bytes", img->path,
                       (unsigned long long)p.length);
    *start = p.offset + o->offset;
    *len = o->length ? o->length : p.length - o->offset;
    return true;
}

static bool raw_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct raw *r;
    uint64_t start = 0, len = image_size(img->file);
    bool range = o->offset || o->length || o->partition;

    img->logical = img->file->logical;
    img->optimal = img->file->optimal;
    img->discard = img->file->discard && !img->read_only;
    if (range && (!raw_range(img, o, &start, &len, e) || (!o->share && !file_lock_range(img->file, start, len, e))))
        return false;
    img->size = align_up(len, img->logical);
    r = malloc(sizeof *r);
    if (!r)
        return err_set(e, "disk image '%s': out of memory", img->path);
    *r = (struct raw){.start = start, .range = range};
    img->priv = r;
    return true;
}

static void raw_close(struct image *img) { free(img->priv); }

static int raw_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct raw *r = img->priv;

    return img->file->ops->readv(img->file, iov, n, r->start + off, flags);
}

static int raw_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct raw *r = img->priv;

    return img->file->ops->writev(img->file, iov, n, r->start + off, flags);
}

static int raw_flush(struct image *img) { return img->file->ops->flush(img->file); }

static int raw_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct raw *r = img->priv;

    return img->file->ops->discard(img->file, r->start + off, len);
}

static int raw_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct raw *r = img->priv;

    return img->file->ops->write_zeroes(img->file, r->start + off, len, flags);
}

static int raw_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct raw *r = img->priv;
    int ret = image_map_layer(img->file, r->start + off, len, x);

    x->allocated = x->has_offset = true;
    x->offset = r->start + off;
    return ret;
}

static int raw_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct raw *r = img->priv;

    if (!img->file->ops->direct_begin)
        return -EAGAIN;
    return img->file->ops->direct_begin(img->file, r->start + off, len, write, fd, host_off);
}

static void raw_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    struct raw *r = img->priv;

    img->file->ops->direct_end(img->file, r->start + off, len, write);
}

static int raw_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct raw *r = img->priv;
    int ret;

    if (r->range || !img->file->ops->resize) {
        err_set(e, "disk image '%s': %s keeps its size", img->path, r->range ? "a part of a file" : "this");
        return -ENOTSUP;
    }
    ret = img->file->ops->resize(img->file, size, p, shrink, e);
    if (!ret)
        __atomic_store_n(&img->size, align_up(size, img->logical), __ATOMIC_RELEASE);
    return ret;
}

static bool raw_create(const struct image_create *c, struct err *e)
{
    enum image_prealloc p = PREALLOC_OFF;
    const char *s = c->options;
    struct image_option o;
    struct image *file;
    uint64_t have;
    bool ok;

    if (c->backing)
        return err_set(e, "'%s': a raw image has no backing file", c->path);
    e->msg[0] = 0;
    while (image_option_next(&s, &o, e)) {
        if (strcmp(o.key, "preallocation"))
            return err_set(e, "'%s': a raw image has no option '%s' (known: preallocation)", c->path, o.key);
        if (!image_parse_prealloc(o.value, &p) || p == PREALLOC_METADATA)
            return err_set(e, "'%s': preallocation is off, falloc or full", c->path);
    }
    if (e->msg[0] || !(file = image_create_begin(c, e)))
        return false;
    have = image_size(file);
    if (have >= c->size && have && !c->file) /* a block device */
        ok = true;
    else
        ok = file->ops->resize ? !file->ops->resize(file, c->size, p, true, e)
                               : err_set(e, "'%s' has room for %llu bytes only", c->path, (unsigned long long)have);
    return image_create_end(c, file, ok, e);
}

const struct image_ops image_raw = {
    .format = "raw",
    .open = raw_open,
    .close = raw_close,
    .readv = raw_readv,
    .writev = raw_writev,
    .flush = raw_flush,
    .discard = raw_discard,
    .write_zeroes = raw_write_zeroes,
    .map = raw_map,
    .direct_begin = raw_direct_begin,
    .direct_end = raw_direct_end,
    .resize = raw_resize,
    .create = raw_create,
};
