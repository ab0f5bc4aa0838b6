/* NBD: the row of the format table. Requests are cut to what the server takes, and aligned to its blocks. */
#include "images/nbd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/fmt.h"

enum {
    STATE_HOLE = 1, /* flags of base:allocation */
    STATE_ZERO = 2,
    LONG = 1 << 30, /* for commands without data */
};

bool nbd_attach(struct image *img, struct nbd *b, struct err *e)
{
    if (b->ex.flags & NBD_READ_ONLY && !img->read_only) {
        close(b->fd);
        nbd_address_free(&b->at);
        free(b);
        return err_set(e, "'%s': the NBD export is read-only; open it so", img->path);
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->send, NULL);
    pthread_cond_init(&b->change, NULL);
    pthread_rwlock_init(&b->rmw, NULL);
    b->path = img->path;
    b->attempts = NBD_ATTEMPTS;
    img->priv = b;
    img->size = b->ex.size;
    img->logical = b->ex.min_block <= 512 ? 512 : 4096;
    img->discard = !img->read_only && b->ex.flags & NBD_SEND_TRIM;
    return true;
}

static bool nbd_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct nbd *b = calloc(1, sizeof *b);

    (void)o;
    if (!b)
        return err_set(e, "'%s': out of memory", img->path);
    if (nbd_parse(img->path, &b->at, e) && (b->fd = nbd_connect(img->path, &b->at, &b->ex, e)) >= 0)
        return nbd_attach(img, b, e);
    nbd_address_free(&b->at);
    free(b);
    return false;
}

static void nbd_close(struct image *img)
{
    struct nbd *b = img->priv;
    uint8_t h[28] = {0};

    if (b->fd >= 0) {
        st32be(h, 0x25609513);
        st16be(h + 6, NBD_CMD_DISC);
        nbd_send(b->fd, h, sizeof h); /* it may be gone already */
        close(b->fd);
    }
    nbd_address_free(&b->at);
    pthread_rwlock_destroy(&b->rmw);
    pthread_cond_destroy(&b->change);
    pthread_mutex_destroy(&b->send);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static int nbd_flush(struct image *img)
{
    struct nbd *b = img->priv;

    return b->ex.flags & NBD_SEND_FLUSH ? nbd_request(b, &(struct nbd_request){.cmd = NBD_CMD_FLUSH}) : 0;
}

/* [off, off + total), aligned, in pieces. */
static int rw_aligned(struct nbd *b, uint16_t cmd, uint16_t flags, const struct iovec *iov, unsigned n, uint64_t skip,
                      uint64_t off, uint64_t total)
{
    int ret = 0;

    for (uint64_t done = 0; !ret && done < total;) {
        struct nbd_request r = {.cmd = cmd, .flags = flags, .off = off + done, .iov = iov, .n = n, .skip = skip + done};

        r.len = total - done < b->ex.max_payload ? total - done : b->ex.max_payload;
        ret = nbd_request(b, &r);
        done += r.len;
    }
    return ret;
}

static bool is_aligned(const struct nbd *b, uint64_t off, uint64_t len)
{
    return !((off | len) & (b->ex.min_block - 1)) || (!(off & (b->ex.min_block - 1)) && off + len == b->ex.size);
}

/* The server's block around off, into or out of buf. Its last one may be short. */
static int rw_block(struct nbd *b, uint16_t cmd, uint16_t flags, uint8_t *buf, uint64_t start)
{
    uint64_t len = b->ex.size - start < b->ex.min_block ? b->ex.size - start : b->ex.min_block;
    struct iovec v = {buf, len};

    return rw_aligned(b, cmd, flags, &v, 1, 0, start, len);
}

/* Block by block through a buffer; a write reads around itself, while no other write is under way. */
static int rw_unaligned(struct nbd *b, bool write, uint16_t flags, const struct iovec *iov, unsigned n, uint64_t off,
                        uint64_t total)
{
    uint8_t *buf = malloc(b->ex.min_block);
    int ret = buf ? 0 : -ENOMEM;

    for (uint64_t done = 0; !ret && done < total;) {
        uint64_t start = align_down(off + done, b->ex.min_block), in = off + done - start, len = b->ex.min_block - in;

        if (len > total - done)
            len = total - done;
        ret = rw_block(b, NBD_CMD_READ, 0, buf, start);
        if (!ret && write) {
            iov_to_buf(buf + in, iov, n, done, len);
            ret = rw_block(b, NBD_CMD_WRITE, flags, buf, start);
        } else if (!ret) {
            iov_from_buf(iov, n, done, buf + in, len);
        }
        done += len;
    }
    free(buf);
    return ret;
}

static int nbd_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct nbd *b = img->priv;
    uint64_t total = iov_total(iov, n);

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    if (off > b->ex.size || total > b->ex.size - off)
        return -EINVAL;
    return is_aligned(b, off, total) ? rw_aligned(b, NBD_CMD_READ, 0, iov, n, 0, off, total)
                                     : rw_unaligned(b, false, 0, iov, n, off, total);
}

static int nbd_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct nbd *b = img->priv;
    uint64_t total = iov_total(iov, n);
    bool fua = flags & IMAGE_FUA, aligned = is_aligned(b, off, total);
    uint16_t how = fua && b->ex.flags & NBD_SEND_FUA ? NBD_FLAG_FUA : 0;
    int ret;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    if (img->read_only)
        return -EROFS;
    if (off > b->ex.size || total > b->ex.size - off)
        return -ENOSPC; /* an export does not grow */
    if (aligned)
        pthread_rwlock_rdlock(&b->rmw);
    else
        pthread_rwlock_wrlock(&b->rmw);
    ret = aligned ? rw_aligned(b, NBD_CMD_WRITE, how, iov, n, 0, off, total)
                  : rw_unaligned(b, true, how, iov, n, off, total);
    pthread_rwlock_unlock(&b->rmw);
    return !ret && fua && !how ? nbd_flush(img) : ret;
}

/* A command without data over [off, off + len), both aligned. */
static int range_command(struct nbd *b, uint16_t cmd, uint16_t flags, uint64_t off, uint64_t len)
{
    int ret = 0;

    for (uint64_t done = 0; !ret && done < len;) {
        struct nbd_request r = {.cmd = cmd, .flags = flags, .off = off + done};

        r.len = len - done < LONG ? len - done : LONG;
        ret = nbd_request(b, &r);
        done += r.len;
    }
    return ret;
}

/* The whole blocks of a range; false: none. */
static bool whole_blocks(const struct nbd *b, uint64_t *off, uint64_t *len)
{
    uint64_t start = align_up(*off, b->ex.min_block), end = *off + *len;

    if (end != b->ex.size)
        end = align_down(end, b->ex.min_block);
    *off = start;
    *len = end > start ? end - start : 0;
    return *len;
}

static int nbd_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct nbd *b = img->priv;

    if (img->read_only)
        return -EROFS;
    if (off > b->ex.size || len > b->ex.size - off)
        return -EINVAL;
    if (!(b->ex.flags & NBD_SEND_TRIM) || !whole_blocks(b, &off, &len))
        return 0;
    return range_command(b, NBD_CMD_TRIM, 0, off, len);
}

static int write_zero_bytes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    enum { PIECE = 1 << 20 };
    char *zero = calloc(1, PIECE);
    int ret = zero ? 0 : -ENOMEM;

    for (uint64_t done = 0; !ret && done < len; done += PIECE) {
        struct iovec v = {zero, len - done < PIECE ? len - done : PIECE};

        ret = nbd_writev(img, &v, 1, off + done, flags);
    }
    free(zero);
    return ret;
}

static int nbd_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct nbd *b = img->priv;
    uint64_t start = off, whole = len;
    uint16_t how = flags & IMAGE_UNMAP ? 0 : NBD_FLAG_NO_HOLE;
    int ret;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    if (img->read_only)
        return -EROFS;
    if (off > b->ex.size || len > b->ex.size - off)
        return -ENOSPC;
    if (!(b->ex.flags & NBD_SEND_WRITE_ZEROES) || !whole_blocks(b, &start, &whole))
        return write_zero_bytes(img, off, len, flags & IMAGE_FUA);
    if (flags & IMAGE_FUA && b->ex.flags & NBD_SEND_FUA)
        how |= NBD_FLAG_FUA;
    pthread_rwlock_rdlock(&b->rmw);
    ret = range_command(b, NBD_CMD_WRITE_ZEROES, how, start, whole);
    pthread_rwlock_unlock(&b->rmw);
    if (!ret && start > off)
        ret = write_zero_bytes(img, off, start - off, flags & IMAGE_FUA);
    if (!ret && off + len > start + whole)
        ret = write_zero_bytes(img, start + whole, off + len - start - whole, flags & IMAGE_FUA);
    return !ret && flags & IMAGE_FUA && !(how & NBD_FLAG_FUA) ? nbd_flush(img) : ret;
}

static int nbd_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct nbd *b = img->priv;
    uint64_t start = align_down(off, b->ex.min_block), end = align_up(off + len, b->ex.min_block);
    struct nbd_request r = {.cmd = NBD_CMD_BLOCK_STATUS, .flags = NBD_FLAG_REQ_ONE, .off = start};
    int ret;

    *x = (struct image_extent){.len = len, .allocated = true, .data = true, .has_offset = true, .offset = off};
    if (!b->ex.has_context || off > b->ex.size || len > b->ex.size - off)
        return 0;
    if (end > b->ex.size)
        end = b->ex.size;
    r.len = end - start < LONG ? end - start : LONG;
    ret = nbd_request(b, &r);
    if (ret)
        return ret;
    if (r.extent_len <= off - start)
        return -EIO;
    if (r.extent_len - (off - start) < len)
        x->len = r.extent_len - (off - start);
    if (r.len < x->len)
        x->len = r.len;
    x->zero = r.extent_flags & STATE_ZERO;
    x->data = !(r.extent_flags & STATE_HOLE) || !x->zero; /* a hole that may read as anything has to be read */
    return 0;
}

const struct image_ops image_nbd = {
    .format = "nbd",
    .protocol = true,
    .claims = nbd_claims,
    .open = nbd_open,
    .close = nbd_close,
    .readv = nbd_readv,
    .writev = nbd_writev,
    .flush = nbd_flush,
    .discard = nbd_discard,
    .write_zeroes = nbd_write_zeroes,
    .map = nbd_map,
};
