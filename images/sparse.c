/* Reads, writes and flushes of block-table formats over their find/allocate/attach. See sparse.h for the order. */
#include "images/sparse.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "images/fmt.h"

enum { MAP_BLOCKS = 65536 /* looked at for one extent */ };

/* The part of a request in one block. */
struct part {
    uint64_t blk;
    uint32_t in, len;
    struct place place;
};

bool sparse_init(struct sparse *s, const struct sparse_ops *ops, struct image *file, unsigned shift, struct err *e)
{
    pthread_rwlockattr_t attr;

    s->ops = ops;
    s->shift = shift;
    s->clean_from = file->size;
    if (!meta_init(&s->meta, file))
        return err_set(e, "disk image '%s': out of memory", file->path);
    pthread_rwlockattr_init(&attr); /* else readers that never stop keep allocations waiting */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return true;
}

void sparse_fini(struct sparse *s)
{
    meta_fini(&s->meta);
    pthread_rwlock_destroy(&s->lock);
}

static int part_find(struct image *img, uint64_t off, uint64_t left, struct part *p)
{
    struct sparse *s = img->priv;
    uint32_t size = 1u << s->shift;

    p->blk = off >> s->shift;
    p->in = (uint32_t)off & (size - 1);
    p->len = size - p->in;
    if (p->len > left)
        p->len = (uint32_t)left;
    return s->ops->find(img, p->blk, p->in, &p->len, &p->place);
}

static int part_read(struct image *img, const struct part *p, const struct iovec *iov, unsigned n, uint64_t skip,
                     unsigned flags)
{
    struct sparse *s = img->priv;

    switch (p->place.kind) {
    case PLACE_DATA: return fmt_readv(img->file, iov, n, skip, p->len, p->place.off, flags & IMAGE_NOWAIT);
    case PLACE_PACKED:
        return flags & IMAGE_NOWAIT ? -EAGAIN : s->ops->unpack(img, p->blk, &p->place, p->in, p->len, iov, n, skip);
    default: iov_zero(iov, n, skip, p->len); return 0;
    }
}

int sparse_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct sparse *s = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;
    int ret = 0;

    if (flags & IMAGE_NOWAIT ? pthread_rwlock_tryrdlock(&s->lock) : pthread_rwlock_rdlock(&s->lock))
        return -EAGAIN;
    while (!ret && done < total) {
        struct part p;

        ret = part_find(img, off + done, total - done, &p);
        if (!ret)
            ret = part_read(img, &p, iov, n, done, flags);
        done += p.len;
    }
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

/* Everything of a new block at off but [in, in + len), which the caller writes, reads as zero. */
static int fill_around(struct image *img, uint64_t off, uint32_t in, uint32_t len)
{
    struct sparse *s = img->priv;
    uint64_t end = off + (UINT64_C(1) << s->shift);
    int ret = 0;

    if (off < s->clean_from) {
        ret = fmt_zero(img->file, off, in);
        if (!ret)
            ret = fmt_zero(img->file, off + in + len, end - off - in - len);
    }
    return ret ? ret : fmt_grow(img->file, end);
}

/* Exclusive lock. */
static int write_new(struct image *img, const struct part *p, const struct iovec *iov, unsigned n, uint64_t skip)
{
    struct sparse *s = img->priv;
    uint64_t off;
    int ret = s->ops->allocate(img, p->blk, &off);

    if (ret)
        return ret;
    ret = fmt_writev(img->file, iov, n, skip, p->len, off + p->in, 0);
    if (!ret)
        ret = fill_around(img, off, p->in, p->len);
    if (!ret)
        ret = s->ops->attach(img, p->blk, off);
    if (ret) {
        if (s->clean_from < off + (UINT64_C(1) << s->shift))
            s->clean_from = off + (UINT64_C(1) << s->shift); /* something may lie there now */
        s->ops->release(img, off);
        return ret;
    }
    s->dirty = true;
    return meta_crowded(&s->meta) ? sparse_commit(img) : 0;
}

/* Exclusive lock: blocks that are to be allocated or claimed. *done moves on by one part. */
static int write_slow(struct image *img, uint64_t off, const struct iovec *iov, unsigned n, uint64_t total,
                      uint64_t *done)
{
    struct sparse *s = img->priv;
    struct part p;
    int ret = part_find(img, off + *done, total - *done, &p);

    if (!ret && p.place.kind != PLACE_DATA && s->ops->claim) {
        uint32_t size = 1u << s->shift, whole = size - p.in;

        p.len = whole < total - *done ? whole : (uint32_t)(total - *done);
        ret = s->ops->claim(img, p.blk, p.in, p.len); /* 1: nothing to claim, the block is to be allocated */
        if (ret < 0)
            return ret;
        ret = ret ? 0 : part_find(img, off + *done, p.len, &p);
    }
    if (!ret)
        ret = p.place.kind == PLACE_DATA ? fmt_writev(img->file, iov, n, *done, p.len, p.place.off, 0)
                                         : write_new(img, &p, iov, n, *done);
    *done += p.len;
    return ret;
}

int sparse_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct sparse *s = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;
    bool nowait = flags & IMAGE_NOWAIT, allocated = false;
    int ret = 0;

    if (nowait ? pthread_rwlock_tryrdlock(&s->lock) : pthread_rwlock_rdlock(&s->lock))
        return -EAGAIN;
    while (!ret && done < total) {
        struct part p;

        ret = part_find(img, off + done, total - done, &p);
        if (ret)
            break;
        if (p.place.kind == PLACE_DATA) {
            ret = fmt_writev(img->file, iov, n, done, p.len, p.place.off, flags & (IMAGE_NOWAIT | IMAGE_FUA));
            done += p.len;
            continue;
        }
        if (nowait) {
            ret = -EAGAIN;
            break;
        }
        pthread_rwlock_unlock(&s->lock);
        pthread_rwlock_wrlock(&s->lock);
        ret = write_slow(img, off, iov, n, total, &done);
        allocated = true;
        pthread_rwlock_unlock(&s->lock);
        pthread_rwlock_rdlock(&s->lock);
    }
    pthread_rwlock_unlock(&s->lock);
    if (!ret && flags & IMAGE_FUA && (allocated || meta_dirty(&s->meta)))
        ret = sparse_flush(img); /* the block may have been allocated by another request, and not be named yet */
    return ret;
}

int sparse_commit(struct image *img)
{
    struct sparse *s = img->priv;
    int ret = 0;

    if (s->dirty || meta_dirty(&s->meta)) {
        if (s->ops->before)
            ret = s->ops->before(img);
        if (!ret)
            ret = img->file->ops->flush(img->file);
        if (!ret)
            ret = s->ops->entries ? s->ops->entries(img) : meta_write(&s->meta);
    }
    if (!ret)
        ret = img->file->ops->flush(img->file);
    if (!ret) {
        s->dirty = false;
        meta_clean(&s->meta);
        if (s->ops->after)
            s->ops->after(img);
    }
    return ret;
}

int sparse_flush(struct image *img)
{
    struct sparse *s = img->priv;
    bool dirty;
    int ret;

    if (img->read_only)
        return 0; /* pages of a replayed log are not to be written */
    pthread_rwlock_rdlock(&s->lock);
    dirty = s->dirty || meta_dirty(&s->meta);
    ret = dirty ? 0 : img->file->ops->flush(img->file);
    pthread_rwlock_unlock(&s->lock);
    if (!dirty)
        return ret;
    pthread_rwlock_wrlock(&s->lock);
    ret = sparse_commit(img);
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

/* One whole block becomes a hole. 1: it stays as it is. */
static int free_block(struct image *img, uint64_t blk)
{
    struct sparse *s = img->priv;
    int ret = 1;

    if (!s->ops->detach || s->fixed)
        return 1;
    pthread_rwlock_wrlock(&s->lock);
    if (!__atomic_load_n(&s->in_flight, __ATOMIC_ACQUIRE)) {
        ret = s->ops->detach(img, blk);
        s->dirty = true;
        if (ret >= 0 && meta_crowded(&s->meta)) {
            int err = sparse_commit(img);

            ret = err ? err : ret;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    return ret;
}

static bool is_whole(const struct image *img, const struct sparse *s, const struct part *p)
{
    uint64_t start = p->blk << s->shift, end = start + (UINT64_C(1) << s->shift);

    return !p->in && (start + p->len == end || (start + p->len == img->size && img->size < end));
}

static int zero_in_place(struct image *img, const struct part *p, unsigned flags)
{
    struct image *f = img->file;
    int ret = f->ops->write_zeroes(f, p->place.off, p->len, flags & IMAGE_UNMAP);

    return ret == -EOPNOTSUPP ? fmt_zero(f, p->place.off, p->len) : ret;
}

/* Zero what of a compressed block (which has no place to zero in) is in p, by writing it. */
static int zero_by_writing(struct image *img, const struct part *p)
{
    struct sparse *s = img->priv;
    void *zero = calloc(1, p->len);
    struct iovec v = {zero, p->len};
    int ret = zero ? img->ops->writev(img, &v, 1, (p->blk << s->shift) + p->in, 0) : -ENOMEM;

    free(zero);
    return ret;
}

int sparse_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct sparse *s = img->priv;
    int ret = 0;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    for (uint64_t done = 0; !ret && done < len;) {
        struct part p;
        enum place_kind kind;

        pthread_rwlock_rdlock(&s->lock);
        ret = part_find(img, off + done, len - done, &p);
        kind = p.place.kind;
        if (!ret && kind == PLACE_DATA && !(flags & IMAGE_UNMAP && s->ops->detach && is_whole(img, s, &p)))
            ret = zero_in_place(img, &p, flags);
        else if (!ret && kind == PLACE_DATA)
            ret = 1; /* to be freed */
        pthread_rwlock_unlock(&s->lock);
        if (ret == 1) {
            ret = free_block(img, p.blk);
            if (ret == 1)
                ret = sparse_write_zeroes(img, off + done, p.len, flags & ~(unsigned)IMAGE_UNMAP);
        } else if (!ret && kind == PLACE_PACKED) {
            ret = zero_by_writing(img, &p);
        }
        done += p.len;
    }
    return !ret && flags & IMAGE_FUA ? sparse_flush(img) : ret;
}

int sparse_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct sparse *s = img->priv;
    int ret = 0;

    if (s->fixed)
        return 0;
    for (uint64_t done = 0; ret >= 0 && done < len;) {
        struct part p;

        pthread_rwlock_rdlock(&s->lock);
        ret = part_find(img, off + done, len - done, &p);
        if (!ret && p.place.kind == PLACE_DATA && is_whole(img, s, &p) && s->ops->detach)
            ret = 1;
        else if (!ret && p.place.kind == PLACE_DATA && img->file->ops->discard)
            ret = img->file->ops->discard(img->file, p.place.off, p.len);
        pthread_rwlock_unlock(&s->lock);
        if (ret == 1)
            ret = free_block(img, p.blk); /* 1, it stays: a discard is a hint */
        done += p.len;
    }
    return ret < 0 ? ret : 0;
}

int sparse_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct sparse *s = img->priv;
    struct part first, p;
    int ret;

    pthread_rwlock_rdlock(&s->lock);
    ret = part_find(img, off, len, &first);
    *x = (struct image_extent){.len = first.len};
    for (unsigned i = 0; !ret && x->len < len && i < MAP_BLOCKS; i++) {
        if (first.place.kind == PLACE_PACKED || part_find(img, off + x->len, len - x->len, &p) ||
            p.place.kind != first.place.kind || (p.place.kind == PLACE_DATA && p.place.off != first.place.off + x->len))
            break;
        x->len += p.len;
    }
    pthread_rwlock_unlock(&s->lock);
    if (ret)
        return ret;
    x->allocated = first.place.kind != PLACE_HOLE;
    x->data = first.place.kind == PLACE_DATA || first.place.kind == PLACE_PACKED;
    x->zero = !x->data;
    x->compressed = first.place.kind == PLACE_PACKED;
    x->has_offset = first.place.kind == PLACE_DATA;
    x->offset = x->has_offset ? first.place.off : 0;
    return 0;
}

int sparse_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct sparse *s = img->priv;
    struct image *f = img->file;
    struct part first, p;
    int ret;

    if (!f->ops->direct_begin || pthread_rwlock_tryrdlock(&s->lock))
        return -EAGAIN;
    ret = part_find(img, off, len, &first);
    for (uint64_t done = first.len; !ret && done < len; done += p.len) {
        ret = part_find(img, off + done, len - done, &p);
        if (!ret && (p.place.kind != PLACE_DATA || p.place.off != first.place.off + done))
            ret = -EAGAIN;
    }
    if (!ret && first.place.kind != PLACE_DATA)
        ret = -EAGAIN;
    if (!ret)
        ret = f->ops->direct_begin(f, first.place.off, len, write, fd, host_off);
    if (!ret)
        __atomic_fetch_add(&s->in_flight, 1, __ATOMIC_ACQ_REL);
    pthread_rwlock_unlock(&s->lock);
    return ret ? -EAGAIN : 0;
}

void sparse_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    struct sparse *s = img->priv;
    struct image *f = img->file;
    struct part p;

    if (f->ops->direct_end) {
        pthread_rwlock_rdlock(&s->lock);
        if (!part_find(img, off, len, &p) && p.place.kind == PLACE_DATA)
            f->ops->direct_end(f, p.place.off, len, write);
        pthread_rwlock_unlock(&s->lock);
    }
    __atomic_fetch_sub(&s->in_flight, 1, __ATOMIC_ACQ_REL);
}
