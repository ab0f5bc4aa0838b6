/*
 * Raw images: regular files and block devices, byte for byte.
 *
 * A file whose size is no multiple of 512 reads as padded with zeroes; a write there makes the file longer. The file
 * is locked as QEMU locks it (block/file-posix.c: open-file-description locks, byte 100 + n held for each permission
 * in use, byte 200 + n for each one not shared), so that two writers, or a writer and qemu-img, refuse each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/image.h"

enum {
    PERM_READ = 1, /* BLK_PERM_CONSISTENT_READ */
    PERM_WRITE = 2,
    PERM_RESIZE = 8,
    LOCK_HELD = 100,     /* first byte of the permissions in use */
    LOCK_UNSHARED = 200, /* first byte of the permissions not shared */
    WINDOW = 64,         /* pieces of a scatter-gather list per system call */
};

struct raw {
    int fd;
    bool device;
    bool no_dsync, no_nowait_read, no_nowait_write; /* what this host's file system refused; racy and harmless */
    bool no_punch, no_zero;
};

static int lock_byte(int fd, off_t byte)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* Does another open file hold a lock on byte? */
static bool byte_taken(int fd, off_t byte)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* Host file systems without locks are used without them, as QEMU does. */
static bool raw_lock(struct image *img, int fd, struct err *e)
{
    unsigned held = img->read_only ? PERM_READ : PERM_READ | PERM_WRITE;
    unsigned unshared = PERM_WRITE | PERM_RESIZE;

    for (unsigned n = 0; n < 4; n++) {
        if (held >> n & 1 && lock_byte(fd, LOCK_HELD + n) < 0)
            return true;
        if (unshared >> n & 1 && lock_byte(fd, LOCK_UNSHARED + n) < 0)
            return true;
    }
    for (unsigned n = 0; n < 4; n++)
        if ((held >> n & 1 && byte_taken(fd, LOCK_UNSHARED + n)) ||
            (unshared >> n & 1 && byte_taken(fd, LOCK_HELD + n)))
            return err_set(e, "disk image '%s' is in use by another process%s", img->path,
                           img->read_only ? " that writes to it" : "");
    return true;
}

static bool raw_measure(struct image *img, struct raw *r, struct err *e)
{
    struct stat st;
    uint64_t bytes = 0;
    int logical = 512;

    if (fstat(r->fd, &st) < 0)
        return err_set(e, "disk image '%s': %s", img->path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(e, "disk image '%s' is a directory", img->path);
    r->device = S_ISBLK(st.st_mode);
    if (!r->device && !S_ISREG(st.st_mode))
        return err_set(e, "disk image '%s' is neither a file nor a block device", img->path);
    if (r->device && (ioctl(r->fd, BLKGETSIZE64, &bytes) < 0 || ioctl(r->fd, BLKSSZGET, &logical) < 0))
        return err_set(e, "block device '%s': cannot read its size: %s", img->path, strerror(errno));
    if (!r->device)
        bytes = (uint64_t)st.st_size;
    if (!bytes)
        return err_set(e, "disk image '%s' is empty", img->path);
    img->logical = logical == 4096 ? 4096 : 512;
    img->size = align_up(bytes, img->logical);
    img->optimal = 0;
    img->discard = !img->read_only;
    return true;
}

static bool raw_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct raw *r = calloc(1, sizeof *r);

    if (!r)
        return err_set(e, "disk image '%s': out of memory", img->path);
    (void)o;
    /* O_NONBLOCK: a FIFO must not make us wait; it has no effect on files and disks. */
    r->fd = open(img->path, (img->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0) {
        err_set(e, "cannot open disk image '%s'%s: %s", img->path, img->read_only ? "" : " for writing",
                errno == EISDIR ? "it is a directory" : strerror(errno));
        free(r);
        return false;
    }
    if (!raw_measure(img, r, e) || !raw_lock(img, r->fd, e)) {
        close(r->fd);
        free(r);
        return false;
    }
    img->priv = r;
    return true;
}

static void raw_close(struct image *img)
{
    struct raw *r = img->priv;

    close(r->fd);
    free(r);
}

static int raw_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct raw *r = img->priv;
    bool nowait = flags & IMAGE_NOWAIT;
    uint64_t total = iov_total(iov, n), done = 0;

    if (nowait && r->no_nowait_read)
        return -EAGAIN;
    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t want;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, total - done, &want);
        ssize_t got = preadv2(r->fd, win, (int)cnt, (off_t)(off + done), nowait ? RWF_NOWAIT : 0);

        if (got > 0) {
            done += (uint64_t)got;
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            if (nowait && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
                r->no_nowait_read = true;
            return nowait ? -EAGAIN : -errno;
        }
        /* End of file: the last sector is padded; anything else means that the file shrank under us. */
        if (off + total > img->size || off + done + img->logical <= img->size)
            return -EIO;
        iov_zero(iov, n, done, total - done);
        return 0;
    }
    return 0;
}

static int raw_flush(struct image *img)
{
    struct raw *r = img->priv;

    return fdatasync(r->fd) < 0 ? -errno : 0;
}

static int raw_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct raw *r = img->priv;
    bool nowait = flags & IMAGE_NOWAIT, fua = flags & IMAGE_FUA;
    uint64_t total = iov_total(iov, n), done = 0;

    if (nowait && (r->no_nowait_write || fua))
        return -EAGAIN;
    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t want;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, total - done, &want);
        int how = nowait ? RWF_NOWAIT : fua && !r->no_dsync ? RWF_DSYNC : 0;
        ssize_t put = pwritev2(r->fd, win, (int)cnt, (off_t)(off + done), how);

        if (put > 0) {
            done += (uint64_t)put;
        } else if (put < 0 && errno == EINTR) {
            continue;
        } else if (nowait) {
            if (put < 0 && errno != EAGAIN)
                r->no_nowait_write = true;
            return -EAGAIN;
        } else if (put < 0 && how && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
            r->no_dsync = true;
        } else {
            return put < 0 ? -errno : -EIO;
        }
    }
    return fua && r->no_dsync ? raw_flush(img) : 0;
}

static bool not_supported(int err) { return err == EOPNOTSUPP || err == ENOSYS || err == ENOTTY || err == EINVAL; }

static int raw_fallocate(struct raw *r, int mode, uint64_t off, uint64_t len)
{
    int ret;

    do {
        ret = fallocate(r->fd, mode, (off_t)off, (off_t)len);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

static int raw_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct raw *r = img->priv;
    int ret = r->no_punch ? 0 : raw_fallocate(r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);

    if (ret < 0 && not_supported(-ret)) { /* discard is a hint */
        r->no_punch = true;
        return 0;
    }
    return ret;
}

static int write_zero_bytes(struct image *img, uint64_t off, uint64_t len)
{
    size_t piece = len < 65536 ? (size_t)len : 65536;
    char *zero = calloc(1, piece);
    int ret = zero ? 0 : -ENOMEM;

    for (uint64_t done = 0; !ret && done < len; done += piece) {
        struct iovec v = {zero, len - done < piece ? len - done : piece};

        ret = raw_writev(img, &v, 1, off + done, 0);
    }
    free(zero);
    return ret;
}

static int raw_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct raw *r = img->priv;
    int ret = -EOPNOTSUPP;

    if (flags & IMAGE_UNMAP && !r->no_punch)
        ret = raw_fallocate(r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
    if (ret < 0 && !r->no_zero) {
        ret = raw_fallocate(r, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
        if (ret < 0 && not_supported(-ret))
            r->no_zero = true;
    }
    if (ret < 0 && not_supported(-ret))
        ret = write_zero_bytes(img, off, len);
    return ret;
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
};
