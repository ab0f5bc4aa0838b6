#include "tests/unit/fault_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int call(struct image *img, enum fault_call c)
{
    struct fault *f = img->priv;
    unsigned before = __atomic_load_n(&f->after, __ATOMIC_RELAXED);

    __atomic_fetch_add(&f->calls[c], 1, __ATOMIC_RELAXED);
    if (f->delay_us)
        usleep(f->delay_us);
    if (before) {
        __atomic_fetch_sub(&f->after, 1, __ATOMIC_RELAXED);
        return 0;
    }
    return __atomic_load_n(&f->error[c], __ATOMIC_RELAXED);
}

static int fault_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    int ret = flags & IMAGE_NOWAIT ? -EAGAIN : call(img, CALL_READ);

    return ret ? ret : img->file->ops->readv(img->file, iov, n, off, flags);
}

static int fault_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    int ret = flags & IMAGE_NOWAIT ? -EAGAIN : call(img, CALL_WRITE);

    return ret ? ret : img->file->ops->writev(img->file, iov, n, off, flags);
}

static int fault_flush(struct image *img)
{
    int ret = call(img, CALL_FLUSH);

    return ret ? ret : img->file->ops->flush(img->file);
}

static int fault_discard(struct image *img, uint64_t off, uint64_t len)
{
    int ret = call(img, CALL_DISCARD);

    return ret ? ret : img->file->ops->discard(img->file, off, len);
}

static int fault_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = call(img, CALL_ZEROES);

    return ret ? ret : img->file->ops->write_zeroes(img->file, off, len, flags);
}

static int fault_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct fault *f = img->priv;

    return f->direct ? img->file->ops->direct_begin(img->file, off, len, write, fd, host_off) : -EAGAIN;
}

static void fault_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    img->file->ops->direct_end(img->file, off, len, write);
}

static int fault_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    int ret = img->file->ops->resize(img->file, size, p, shrink, e);

    if (!ret)
        __atomic_store_n(&img->size, size, __ATOMIC_RELEASE);
    return ret;
}

static void fault_close(struct image *img) { (void)img; }

static const struct image_ops fault_ops = {
    .format = "fault",
    .close = fault_close,
    .readv = fault_readv,
    .writev = fault_writev,
    .flush = fault_flush,
    .discard = fault_discard,
    .write_zeroes = fault_write_zeroes,
    .direct_begin = fault_direct_begin,
    .direct_end = fault_direct_end,
    .resize = fault_resize,
};

/* On the heap, as image_close() frees it; f keeps what the test looks at. */
struct image *fault_image(struct fault *f, struct image *file)
{
    struct image *img = calloc(1, sizeof *img);

    if (!img)
        abort();
    *img = (struct image){
        .ops = &fault_ops,
        .size = file->size,
        .logical = file->logical,
        .read_only = file->read_only,
        .discard = file->discard,
        .path = strdup(file->path),
        .file = file,
        .priv = f,
    };
    return img;
}
