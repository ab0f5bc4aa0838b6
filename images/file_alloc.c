/* The space of a host file: holes, zeroes, its size. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "images/file.h"

static bool not_supported(int err) { return err == EOPNOTSUPP || err == ENOSYS || err == ENOTTY || err == EINVAL; }

static int file_fallocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
    int ret;

    do {
        ret = fallocate(f->fd, mode, (off_t)off, (off_t)len);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

static int punch(struct file *f, uint64_t off, uint64_t len)
{
    int ret = f->no_punch ? -EOPNOTSUPP : file_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);

    if (ret < 0 && not_supported(-ret))
        f->no_punch = true;
    return ret;
}

int file_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct file *f = img->priv;
    uint64_t range[2] = {off, len}, size = image_size(img);
    int ret;

    if (off >= size)
        return 0;
    if (f->device)
        ret = ioctl(f->fd, BLKDISCARD, range) < 0 ? -errno : 0;
    else
        ret = punch(f, off, len);
    return ret < 0 && not_supported(-ret) ? 0 : ret; /* discard is a hint */
}

static int write_zero_bytes(struct image *img, uint64_t off, uint64_t len)
{
    enum { PIECE = 256 << 10 };
    size_t piece = len < PIECE ? (size_t)len : PIECE;
    struct file *f = img->priv;
    void *zero = NULL;
    int ret = posix_memalign(&zero, f->mem_align, piece) ? -ENOMEM : 0;

    if (!ret)
        memset(zero, 0, piece);
    for (uint64_t done = 0; !ret && done < len; done += piece)
        ret = image_pwrite(img, zero, off + done, len - done < piece ? len - done : piece, 0);
    free(zero);
    return ret;
}

int file_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct file *f = img->priv;
    bool grows = off + len > image_size(img);
    int ret = -EOPNOTSUPP;

    if (!len)
        return 0;
    if (flags & IMAGE_UNMAP) {
        ret = punch(f, off, len);
        if (!ret && grows)
            return image_pwrite(img, "", off + len - 1, 1, 0); /* the last byte: the end only ever moves up */
    }
    if (ret < 0 && !f->no_zero) {
        ret = file_fallocate(f, FALLOC_FL_ZERO_RANGE | (grows ? 0 : FALLOC_FL_KEEP_SIZE), off, len);
        if (ret < 0 && not_supported(-ret))
            f->no_zero = true;
        if (!ret)
            file_grown(img, off + len);
    }
    if (ret < 0 && not_supported(-ret))
        ret = write_zero_bytes(img, off, len);
    return ret;
}

int file_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct file *f = img->priv;
    off_t data = f->device || f->no_seek ? (off_t)off : lseek(f->fd, (off_t)off, SEEK_DATA), end = -1;

    *x = (struct image_extent){.len = len, .allocated = true, .data = true, .has_offset = true, .offset = off};
    if (data < 0 && errno != ENXIO) {
        f->no_seek = true;
        data = (off_t)off;
    }
    if (data == (off_t)off && !f->device && !f->no_seek)
        end = lseek(f->fd, (off_t)off, SEEK_HOLE);
    if (data < 0 || data > (off_t)off) { /* ENXIO: no data up to the end */
        x->data = false;
        x->zero = true;
        end = data;
    }
    if (end > (off_t)off && (uint64_t)end - off < len)
        x->len = (uint64_t)end - off;
    return 0;
}

int file_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct file *f = img->priv;
    uint64_t old = image_size(img);
    int ret = 0;

    if (f->device) {
        err_set(e, "'%s': a block device keeps its size", img->path);
        return size <= old ? 0 : -ENOTSUP;
    }
    if (p == PREALLOC_METADATA) {
        err_set(e, "'%s': preallocation=metadata means nothing to a plain file", img->path);
        return -ENOTSUP;
    }
    if (size < old && !shrink) {
        err_set(e, "'%s': shrinking loses the data beyond the new end", img->path);
        return -EINVAL;
    }
    if (size > old && p == PREALLOC_FALLOC)
        ret = -posix_fallocate(f->fd, (off_t)old, (off_t)(size - old));
    else if (size > old && p == PREALLOC_FULL)
        ret = write_zero_bytes(img, old, size - old);
    if (ret || (size != old && ftruncate(f->fd, (off_t)size) < 0)) {
        ret = ret ? ret : -errno;
        if (size > old && ftruncate(f->fd, (off_t)old) == 0)
            __atomic_store_n(&img->size, old, __ATOMIC_RELEASE);
        err_set(e, "'%s': cannot change its size: %s", img->path, strerror(-ret));
        return ret;
    }
    __atomic_store_n(&img->size, size, __ATOMIC_RELEASE);
    return 0;
}
