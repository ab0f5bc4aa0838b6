/*
 * The protocol `file`: a host file or a block device, opened, read, written and flushed by plain system calls.
 *
 * `size` is what the host's file had when it was opened, and grows with our writes. A read beyond the host's end gives
 * zeroes beyond `size` and an error inside it: then the file shrank under us.
 */
#include "images/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

enum {
    WINDOW = 64,          /* pieces of a scatter-gather list per system call */
    DIRECT_ALIGN = 4096,  /* where the host does not say better */
    ALIGN_MAX = 64 << 10, /* more is not believed */
};

void file_grown(struct image *img, uint64_t end)
{
    uint64_t size = image_size(img);

    while (size < end &&
           !__atomic_compare_exchange_n(&img->size, &size, end, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
}

/* What O_DIRECT wants here (statx, Linux 6.1). */
static void measure_direct(struct file *f, uint32_t logical)
{
    struct statx sx = {0};

    f->mem_align = f->off_align = DIRECT_ALIGN;
    if (f->device)
        f->off_align = logical;
#ifdef STATX_DIOALIGN
    if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && sx.stx_mask & STATX_DIOALIGN &&
        is_pow2(sx.stx_dio_offset_align) && is_pow2(sx.stx_dio_mem_align) && sx.stx_dio_offset_align <= ALIGN_MAX &&
        sx.stx_dio_mem_align <= ALIGN_MAX) {
        f->off_align = sx.stx_dio_offset_align;
        f->mem_align = sx.stx_dio_mem_align;
    }
#else
    (void)sx;
#endif
    if (f->mem_align < sizeof(void *))
        f->mem_align = sizeof(void *);
}

static bool file_measure(struct image *img, struct err *e)
{
    struct file *f = img->priv;
    struct stat st;
    uint64_t bytes = 0;
    int logical = 512;

    if (fstat(f->fd, &st) < 0)
        return err_set(e, "disk image '%s': %s", img->path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(e, "disk image '%s' is a directory", img->path);
    f->device = S_ISBLK(st.st_mode);
    if (!f->device && !S_ISREG(st.st_mode))
        return err_set(e, "disk image '%s' is neither a file nor a block device", img->path);
    if (f->device && (ioctl(f->fd, BLKGETSIZE64, &bytes) < 0 || ioctl(f->fd, BLKSSZGET, &logical) < 0))
        return err_set(e, "block device '%s': cannot read its size: %s", img->path, strerror(errno));
    img->size = f->device ? bytes : (uint64_t)st.st_size;
    img->logical = logical == 4096 ? 4096 : 512;
    img->discard = !img->read_only;
    measure_direct(f, img->logical);
    return true;
}

static bool file_start(struct image *img, int flags, const struct image_options *o, struct err *e)
{
    struct file *f = calloc(1, sizeof *f);

    if (!f)
        return err_set(e, "disk image '%s': out of memory", img->path);
    f->direct = o->direct;
    f->range = o->offset || o->length || o->partition;
    pthread_rwlock_init(&f->rmw, NULL);
    /* O_NONBLOCK: a FIFO must not make us wait; it has no effect on files and disks. */
    flags |= (img->read_only ? O_RDONLY : O_RDWR) | (o->direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK;
    if (flags & O_CREAT) {
        f->fd = open(img->path, flags | O_EXCL, 0666);
        f->made = f->fd >= 0;
        if (!f->made && errno == EEXIST)
            f->fd = open(img->path, flags & ~O_CREAT);
    } else {
        f->fd = open(img->path, flags);
    }
    img->priv = f;
    if (f->fd < 0)
        err_set(e, "cannot %s disk image '%s'%s: %s", flags & O_CREAT ? "make" : "open", img->path,
                img->read_only || flags & O_CREAT ? "" : " for writing",
                errno == EISDIR                ? "it is a directory"
                : o->direct && errno == EINVAL ? "its file system knows no O_DIRECT (cache=none, directsync)"
                                               : strerror(errno));
    else if (file_measure(img, e) && (o->share || file_lock(img, e)))
        return true;
    if (f->fd >= 0)
        close(f->fd);
    pthread_rwlock_destroy(&f->rmw);
    free(f);
    return false;
}

static bool file_open(struct image *img, const struct image_options *o, struct err *e)
{
    return file_start(img, 0, o, e);
}

static void file_close(struct image *img)
{
    struct file *f = img->priv;

    close(f->fd);
    pthread_rwlock_destroy(&f->rmw);
    free(f);
}

struct image *file_make(const char *path, struct err *e)
{
    struct image *img = calloc(1, sizeof *img);
    struct file *f;

    if (!img || !(img->path = strdup(path))) {
        err_set(e, "'%s': out of memory", path);
        free(img);
        return NULL;
    }
    img->ops = &image_file;
    if (!file_start(img, O_CREAT, &(struct image_options){0}, e)) {
        free(img->path);
        free(img);
        return NULL;
    }
    f = img->priv;
    if (!f->device && ftruncate(f->fd, 0) < 0) { /* after the lock: it may be somebody's disk */
        err_set(e, "cannot empty '%s': %s", path, strerror(errno));
        image_close(img);
        return NULL;
    }
    if (!f->device)
        img->size = 0;
    return img;
}

void file_unmake(struct image *img)
{
    struct file *f = img->priv;

    if (img->ops == &image_file && f->made)
        unlink(img->path);
}

int file_read_host(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct file *f = img->priv;
    bool nowait = flags & IMAGE_NOWAIT;
    uint64_t total = iov_total(iov, n), done = 0;

    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t want;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, total - done, &want);
        ssize_t got = preadv2(f->fd, win, (int)cnt, (off_t)(off + done), nowait ? RWF_NOWAIT : 0);

        if (got > 0) {
            done += (uint64_t)got;
            if (f->direct && done & (f->off_align - 1)) /* only at the end of the file */
                got = 0;
            else
                continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            if (nowait && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
                f->no_nowait_read = true;
            return nowait ? -EAGAIN : -errno;
        }
        if (off + done < image_size(img))
            return -EIO;
        iov_zero(iov, n, done, total - done);
        return 0;
    }
    return 0;
}

static int file_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct file *f = img->priv;

    if (flags & IMAGE_NOWAIT && (f->no_nowait_read || f->direct))
        return -EAGAIN;
    if (f->direct && !file_is_aligned(f, iov, n, off))
        return file_bounce_read(img, iov, n, off);
    return file_read_host(img, iov, n, off, flags);
}

static int file_flush(struct image *img)
{
    struct file *f = img->priv;

    return fdatasync(f->fd) < 0 ? -errno : 0;
}

int file_write_host(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct file *f = img->priv;
    bool nowait = flags & IMAGE_NOWAIT, fua = flags & IMAGE_FUA;
    uint64_t total = iov_total(iov, n), done = 0;

    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t want;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, total - done, &want);
        int how = nowait ? RWF_NOWAIT : fua && !f->no_dsync ? RWF_DSYNC : 0;
        ssize_t put = pwritev2(f->fd, win, (int)cnt, (off_t)(off + done), how);

        if (put > 0) {
            done += (uint64_t)put;
            file_grown(img, off + done);
        } else if (put < 0 && errno == EINTR) {
            continue;
        } else if (nowait) {
            if (put < 0 && errno != EAGAIN)
                f->no_nowait_write = true;
            return -EAGAIN;
        } else if (put < 0 && how && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
            f->no_dsync = true;
        } else {
            return put < 0 ? -errno : -EIO;
        }
    }
    return fua && f->no_dsync ? file_flush(img) : 0;
}

static int file_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct file *f = img->priv;
    int ret;

    if (flags & IMAGE_NOWAIT && (f->no_nowait_write || f->direct || flags & IMAGE_FUA))
        return -EAGAIN;
    if (!f->direct)
        return file_write_host(img, iov, n, off, flags);
    if (!file_is_aligned(f, iov, n, off))
        return file_bounce_write(img, iov, n, off, flags);
    pthread_rwlock_rdlock(&f->rmw);
    ret = file_write_host(img, iov, n, off, flags);
    pthread_rwlock_unlock(&f->rmw);
    return ret;
}

static int file_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct file *f = img->priv;
    uint64_t size = image_size(img);

    (void)write;
    if (off > size || len > size - off)
        return -EAGAIN;
    if (f->direct && (off | len) & (f->off_align - 1))
        return -EAGAIN;
    *fd = f->fd;
    *host_off = off;
    return 0;
}

static void file_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    (void)img, (void)off, (void)len, (void)write;
}

const struct image_ops image_file = {
    .format = "file",
    .protocol = true,
    .open = file_open,
    .close = file_close,
    .readv = file_readv,
    .writev = file_writev,
    .flush = file_flush,
    .discard = file_discard,
    .write_zeroes = file_write_zeroes,
    .map = file_map,
    .direct_begin = file_direct_begin,
    .direct_end = file_direct_end,
    .resize = file_resize,
};
