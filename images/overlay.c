/*
 * The throw-away overlay of -snapshot: writes go to an unlinked temporary file, a bitmap says which 4 KiB blocks are
 * there; everything else is read from the base, which is never written.
 *
 * A bit is set after its block's data is in the file, so that a reader sees either the old block or the new one. A write
 * that covers a part of an absent block first copies the block, under `copying`: two such writes would else lose one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images/image.h"

enum { BLOCK = 4096, BLOCK_SHIFT = 12, WINDOW = 64 };

struct overlay {
    struct image *base; /* img->backing; NULL: lost (block_commit_overlay) */
    int fd;
    pthread_mutex_t copying;
    uint8_t *present; /* one bit a block; atomic access */
};

static bool block_present(const struct overlay *o, uint64_t blk)
{
    return __atomic_load_n(&o->present[blk >> 3], __ATOMIC_ACQUIRE) >> (blk & 7) & 1;
}

static void mark_present(struct overlay *o, uint64_t first, uint64_t end)
{
    for (uint64_t blk = first; blk < end; blk++)
        __atomic_fetch_or(&o->present[blk >> 3], (uint8_t)(1u << (blk & 7)), __ATOMIC_RELEASE);
}

/* All of [off, off + total) of the temporary file. */
static int file_io(int fd, bool write, const struct iovec *iov, unsigned n, uint64_t off)
{
    uint64_t total = iov_total(iov, n), done = 0;

    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t want;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, total - done, &want);
        ssize_t got =
            write ? pwritev(fd, win, (int)cnt, (off_t)(off + done)) : preadv(fd, win, (int)cnt, (off_t)(off + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        done += (uint64_t)got;
    }
    return 0;
}

static int base_readv(struct overlay *o, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    return o->base ? o->base->ops->readv(o->base, iov, n, off, flags) : -EIO;
}

static int overlay_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct overlay *o = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;

    while (done < total) {
        struct iovec win[WINDOW];
        uint64_t pos = off + done, blk = pos >> BLOCK_SHIFT, run, end;
        bool here = block_present(o, blk);
        unsigned cnt;
        int ret;

        for (end = blk + 1; end << BLOCK_SHIFT < off + total && block_present(o, end) == here; end++)
            continue;
        run = (end << BLOCK_SHIFT) - pos;
        cnt = iov_slice(win, WINDOW, iov, n, done, run < total - done ? run : total - done, &run);
        ret = here ? file_io(o->fd, false, win, cnt, pos) : base_readv(o, win, cnt, pos, flags);
        if (ret)
            return ret;
        done += run;
    }
    return 0;
}

/* Write bytes [in, in + len) of block blk, the rest of which comes from the base if the block is absent. */
static int write_part(struct image *img, uint64_t blk, unsigned in, const struct iovec *iov, unsigned n, uint64_t skip,
                      unsigned len)
{
    struct overlay *o = img->priv;
    uint8_t buf[BLOCK] = {0};
    uint64_t pos = blk << BLOCK_SHIFT;
    struct iovec whole = {buf, img->size - pos < BLOCK ? img->size - pos : BLOCK};
    struct iovec part = {buf + in, len};
    int ret = 0;

    pthread_mutex_lock(&o->copying);
    if (block_present(o, blk)) {
        iov_to_buf(buf + in, iov, n, skip, len);
        ret = file_io(o->fd, true, &part, 1, pos + in);
    } else {
        ret = base_readv(o, &whole, 1, pos, 0);
        iov_to_buf(buf + in, iov, n, skip, len);
        if (!ret)
            ret = file_io(o->fd, true, &whole, 1, pos);
        if (!ret)
            mark_present(o, blk, blk + 1);
    }
    pthread_mutex_unlock(&o->copying);
    return ret;
}

static int overlay_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct overlay *o = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    while (done < total) {
        uint64_t pos = off + done, left = total - done, blk = pos >> BLOCK_SHIFT, len;
        unsigned in = (unsigned)(pos & (BLOCK - 1));
        int ret;

        if (in || left < BLOCK) {
            len = BLOCK - in < left ? BLOCK - in : left;
            ret = write_part(img, blk, in, iov, n, done, (unsigned)len);
        } else {
            struct iovec win[WINDOW];
            unsigned cnt = iov_slice(win, WINDOW, iov, n, done, left & ~(uint64_t)(BLOCK - 1), &len);

            ret = file_io(o->fd, true, win, cnt, pos);
            if (!ret)
                mark_present(o, blk, blk + (len >> BLOCK_SHIFT));
            len &= ~(uint64_t)(BLOCK - 1); /* a tail cut by the window is written again, as a whole block or a part */
            if (!ret && !len) {
                len = BLOCK;
                ret = write_part(img, blk, 0, iov, n, done, BLOCK);
            }
        }
        if (ret)
            return ret;
        done += len;
    }
    return 0;
}

/* Throw-away data need not survive the host. */
static int overlay_flush(struct image *img)
{
    (void)img;
    return 0;
}

static int overlay_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    static const uint8_t zero[BLOCK];
    struct overlay *o = img->priv;
    uint64_t end = off + len;

    (void)flags;
    while (off < end) {
        uint64_t in = off & (BLOCK - 1), step = BLOCK - in < end - off ? BLOCK - in : end - off;
        struct iovec v = {(void *)(uintptr_t)zero, step};
        int ret;

        if (step == BLOCK) {
            step = (end - off) & ~(uint64_t)(BLOCK - 1);
            if (!fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)step)) {
                mark_present(o, off >> BLOCK_SHIFT, (off + step) >> BLOCK_SHIFT);
                off += step;
                continue;
            }
            step = BLOCK;
        }
        ret = overlay_writev(img, &v, 1, off, 0);
        if (ret)
            return ret;
        off += step;
    }
    return 0;
}

/* Frees the space of the whole blocks; what the guest reads there afterwards is zero. */
static int overlay_discard(struct image *img, uint64_t off, uint64_t len)
{
    uint64_t first = (off + BLOCK - 1) & ~(uint64_t)(BLOCK - 1), end = (off + len) & ~(uint64_t)(BLOCK - 1);

    return first < end ? overlay_write_zeroes(img, first, end - first, IMAGE_UNMAP) : 0;
}

/* Blocks that are here stay here until a commit, which no request runs beside. */
static int overlay_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct overlay *o = img->priv;

    (void)write;
    for (uint64_t blk = off >> BLOCK_SHIFT; blk << BLOCK_SHIFT < off + len; blk++)
        if (!block_present(o, blk))
            return -EAGAIN;
    *fd = o->fd;
    *host_off = off;
    return 0;
}

static void overlay_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    (void)img, (void)off, (void)len, (void)write;
}

static int overlay_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct overlay *o = img->priv;
    uint64_t blk = off >> BLOCK_SHIFT, end = blk + 1, last = off + len;
    bool here = block_present(o, blk);

    while (end << BLOCK_SHIFT < last && block_present(o, end) == here)
        end++;
    x->len = (end << BLOCK_SHIFT < last ? end << BLOCK_SHIFT : last) - off;
    x->allocated = x->data = here;
    return 0;
}

static void overlay_close(struct image *img)
{
    struct overlay *o = img->priv;

    pthread_mutex_destroy(&o->copying);
    close(o->fd);
    free(o->present);
    free(o);
}

static const struct image_ops overlay_ops = {
    .format = "overlay",
    .close = overlay_close,
    .readv = overlay_readv,
    .writev = overlay_writev,
    .flush = overlay_flush,
    .discard = overlay_discard,
    .write_zeroes = overlay_write_zeroes,
    .map = overlay_map,
    .direct_begin = overlay_direct_begin,
    .direct_end = overlay_direct_end,
};

struct image *overlay_set_base(struct image *img, struct image *base)
{
    struct overlay *o = img->priv;
    struct image *old = o->base;

    o->base = img->backing = base;
    return old;
}

/* One piece of what the overlay holds, to the base. */
static int commit_piece(struct image *img, void *buf, uint64_t off, uint64_t len)
{
    struct image *base = img->backing;
    int ret = image_pread(img, buf, off, len);

    if (ret)
        return ret;
    if (buf_is_zero(buf, len))
        return base->ops->write_zeroes(base, off, len, IMAGE_UNMAP);
    return image_pwrite(base, buf, off, len, 0);
}

int overlay_commit(struct image *img)
{
    enum { PIECE = 1 << 20 };
    struct overlay *o = img->priv;
    uint64_t blocks = (img->size + BLOCK - 1) >> BLOCK_SHIFT;
    void *buf = malloc(PIECE);
    int ret = buf ? 0 : -ENOMEM;

    for (uint64_t off = 0; !ret && off < img->size;) {
        struct image_extent x = {0};

        overlay_map(img, off, img->size - off, &x);
        if (x.allocated && x.len > PIECE)
            x.len = PIECE;
        if (x.allocated)
            ret = commit_piece(img, buf, off, x.len);
        off += x.len;
    }
    free(buf);
    if (!ret)
        ret = o->base->ops->flush(o->base);
    if (ret)
        return ret;
    memset(o->present, 0, (blocks + 7) / 8);
    if (ftruncate(o->fd, 0) < 0 || ftruncate(o->fd, (off_t)(blocks << BLOCK_SHIFT)) < 0)
        return -errno;
    return 0;
}

/* An unlinked file. /var/tmp rather than /tmp: it may grow large, and /tmp is often memory. */
static int temporary_file(char *dir, size_t size)
{
    const char *env = getenv("TMPDIR");
    char path[1024];
    int fd;

    snprintf(dir, size, "%s", env && *env ? env : "/var/tmp");
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof path, "%s/guise-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

struct image *overlay_new(struct image *base, struct err *e)
{
    struct image *img = calloc(1, sizeof *img);
    struct overlay *o = calloc(1, sizeof *o);
    uint64_t blocks = (base->size + BLOCK - 1) >> BLOCK_SHIFT;
    uint8_t *present = calloc((blocks + 7) / 8, 1);
    char *path = strdup(base->path), dir[512];
    int fd = -1;

    if (!img || !o || !present || !path) {
        err_set(e, "overlay of '%s': out of memory", base->path);
    } else if ((fd = temporary_file(dir, sizeof dir)) < 0) {
        err_set(e, "overlay of '%s': cannot make a temporary file in '%s': %s", base->path, dir, strerror(errno));
    } else if (ftruncate(fd, (off_t)(blocks << BLOCK_SHIFT)) < 0) {
        err_set(e, "overlay of '%s': %s", base->path, strerror(errno));
    } else {
        *o = (struct overlay){.base = base, .fd = fd, .present = present};
        pthread_mutex_init(&o->copying, NULL);
        *img = (struct image){
            .ops = &overlay_ops,
            .size = base->size,
            .logical = base->logical,
            .optimal = base->optimal,
            .discard = true,
            .path = path,
            .backing = base,
            .priv = o,
        };
        return img;
    }
    if (fd >= 0)
        close(fd);
    free(path);
    free(present);
    free(o);
    free(img);
    image_close(base);
    return NULL;
}
