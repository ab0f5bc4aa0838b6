/* One request done here and now by the image's own calls, in pieces: cancelled ones end soon. */
#include <errno.h>

#include "images/block_int.h"

enum { PIECE_CLEAR = 256 << 20 }; /* discard and write-zeroes are cheap by the byte */

int block_check(const struct block *b, const struct block_req *r)
{
    uint64_t size = image_size(b->img);
    bool writes = r->op != BLOCK_READ && r->op != BLOCK_FLUSH;

    if (writes && b->read_only)
        return -EROFS;
    if (r->op == BLOCK_FLUSH || (r->offset <= size && r->len <= size - r->offset))
        return 0;
    return writes ? -ENOSPC : -EINVAL;
}

static unsigned zero_flags(const struct block *b, const struct block_req *r)
{
    bool may = r->op == BLOCK_WRITE ? b->detect_zeroes == ZEROES_UNMAP : (r->flags & BLOCK_MAY_UNMAP) != 0;

    return may && !b->ignore_discard ? IMAGE_UNMAP : 0;
}

static int move_piece(struct block *b, struct block_req *r, uint64_t done, uint64_t *step, unsigned flags)
{
    struct image *img = b->img;
    struct iovec win[BLOCK_WINDOW];
    uint64_t left = r->len - done;
    unsigned n = iov_slice(win, BLOCK_WINDOW, r->iov, r->iovcnt, done, left < BLOCK_PIECE ? left : BLOCK_PIECE, step);

    if (!*step)
        return -EINVAL; /* the list is shorter than len */
    if (r->op == BLOCK_READ)
        return img->ops->readv(img, win, n, r->offset + done, flags);
    if (b->detect_zeroes && iov_is_zero(win, n)) {
        block_count(&b->stat.zeroes_detected, 1);
        return img->ops->write_zeroes(img, r->offset + done, *step, zero_flags(b, r));
    }
    return img->ops->writev(img, win, n, r->offset + done, flags);
}

static int clear_piece(struct block *b, struct block_req *r, uint64_t done, uint64_t *step)
{
    struct image *img = b->img;

    *step = r->len - done < PIECE_CLEAR ? r->len - done : PIECE_CLEAR;
    if (r->op == BLOCK_DISCARD)
        return b->ignore_discard ? 0 : img->ops->discard(img, r->offset + done, *step);
    return img->ops->write_zeroes(img, r->offset + done, *step, zero_flags(b, r));
}

int block_flush_now(struct block *b) { return b->ignore_flush || b->read_only ? 0 : b->img->ops->flush(b->img); }

int block_perform(struct block *b, struct block_req *r, unsigned flags)
{
    bool data = r->op == BLOCK_READ || r->op == BLOCK_WRITE;
    bool durable = r->op != BLOCK_READ && (r->flags & BLOCK_FUA || b->writethrough) && !b->ignore_flush;
    uint64_t step = 0;
    int ret = block_check(b, r);

    if (ret)
        return ret;
    if (r->op == BLOCK_FLUSH)
        return block_flush_now(b);
    if (durable && r->op == BLOCK_WRITE && !b->detect_zeroes && r->len <= BLOCK_PIECE && r->iovcnt <= BLOCK_WINDOW) {
        flags |= IMAGE_FUA; /* one piece: cheaper than a flush of everything */
        durable = false;
    }
    for (uint64_t done = 0; !ret && done < r->len; done += step) {
        if (__atomic_load_n(&r->cancelled, __ATOMIC_RELAXED))
            return -ECANCELED;
        ret = data ? move_piece(b, r, done, &step, flags) : clear_piece(b, r, done, &step);
    }
    return !ret && durable && r->op != BLOCK_DISCARD ? block_flush_now(b) : ret;
}
