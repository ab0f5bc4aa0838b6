/*
 * O_DIRECT wants buffers, offsets and lengths aligned. What is not goes through a buffer of our own; a write that covers
 * a part of a block reads the block first, and no other write of this file runs beside it: else one of them is lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/file.h"

enum { BOUNCE = 1 << 20 };

bool file_is_aligned(const struct file *f, const struct iovec *iov, unsigned n, uint64_t off)
{
    uint64_t bits = off & (f->off_align - 1);

    for (unsigned i = 0; i < n; i++)
        bits |= ((uintptr_t)iov[i].iov_base & (f->mem_align - 1)) | (iov[i].iov_len & (f->off_align - 1));
    return !bits;
}

/* A buffer for bytes [off, off + total) or a first part of them, whole blocks. */
static uint8_t *bounce_new(const struct file *f, uint64_t off, uint64_t total, uint64_t *size)
{
    uint64_t span = align_up(off + total, f->off_align) - align_down(off, f->off_align);

    *size = span < BOUNCE ? span : BOUNCE;
    return aligned_alloc(f->mem_align, align_up(*size, f->mem_align));
}

int file_bounce_read(struct image *img, const struct iovec *iov, unsigned n, uint64_t off)
{
    struct file *f = img->priv;
    uint64_t total = iov_total(iov, n), size;
    uint8_t *buf = bounce_new(f, off, total, &size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint64_t done = 0; !ret && done < total;) {
        uint64_t pos = align_down(off + done, f->off_align), in = off + done - pos;
        uint64_t end = align_up(off + total, f->off_align), span = end - pos < size ? end - pos : size;
        uint64_t len = span - in < total - done ? span - in : total - done;
        struct iovec v = {buf, span};

        ret = file_read_host(img, &v, 1, pos, 0);
        if (!ret)
            iov_from_buf(iov, n, done, buf + in, len);
        done += len;
    }
    free(buf);
    return ret;
}

/* Read the first and the last block of [pos, pos + span), of which [in, in + len) will be written over. */
static int fill_edges(struct image *img, uint8_t *buf, uint64_t pos, uint64_t span, uint64_t in, uint64_t len)
{
    struct file *f = img->priv;
    struct iovec first = {buf, f->off_align}, last = {buf + span - f->off_align, f->off_align};
    int ret = in || len < f->off_align ? file_read_host(img, &first, 1, pos, 0) : 0;

    if (!ret && in + len < span && span > f->off_align)
        ret = file_read_host(img, &last, 1, pos + span - f->off_align, 0);
    return ret;
}

static int write_blocks(struct image *img, uint8_t *buf, uint64_t size, const struct iovec *iov, unsigned n,
                        uint64_t off, unsigned flags)
{
    struct file *f = img->priv;
    uint64_t total = iov_total(iov, n), old = image_size(img), end = off + total > old ? off + total : old;
    int ret = 0;

    for (uint64_t done = 0; !ret && done < total;) {
        uint64_t pos = align_down(off + done, f->off_align), in = off + done - pos;
        uint64_t stop = align_up(off + total, f->off_align), span = stop - pos < size ? stop - pos : size;
        uint64_t len = span - in < total - done ? span - in : total - done;
        struct iovec v = {buf, span};

        ret = fill_edges(img, buf, pos, span, in, len);
        iov_to_buf(buf + in, iov, n, done, len);
        if (!ret)
            ret = file_write_host(img, &v, 1, pos, flags);
        done += len;
    }
    if (image_size(img) > end && !f->device) { /* the last block's rest was none of ours */
        if (ftruncate(f->fd, (off_t)end) < 0)
            return ret ? ret : -errno;
        __atomic_store_n(&img->size, end, __ATOMIC_RELEASE);
    }
    return ret;
}

int file_bounce_write(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct file *f = img->priv;
    uint64_t size;
    uint8_t *buf = bounce_new(f, off, iov_total(iov, n), &size);
    int ret;

    if (!buf)
        return -ENOMEM;
    pthread_rwlock_wrlock(&f->rmw);
    ret = write_blocks(img, buf, size, iov, n, off, flags);
    pthread_rwlock_unlock(&f->rmw);
    free(buf);
    return ret;
}
