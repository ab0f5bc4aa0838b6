/*
 * qcow2: compressed clusters.
 *
 * Deflate without a header, or zstd frames. Deflate is libdeflate's: some two times as fast as zlib both ways, and it
 * packs better, since its window is all of RFC 1951's (QEMU writes with one of 4 KiB, and like all who inflate a cluster
 * in one piece reads any). zlib takes the streams that libdeflate does not: those without an end, which fill a cluster.
 *
 * Inflating never gives more than a cluster, and a zstd frame is decoded in one piece, so that no frame can ask for a
 * window of its own: bombs cost a cluster. Reads of a part keep the cluster in a small cache; a read of the whole goes
 * straight to its target.
 */
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "images/qcow2.h"

enum {
    CACHE_BYTES = 4 << 20,
    CACHE_MIN = 4,
    CACHE_MAX = 64,
    DEFLATE_LEVEL = 6, /* of libdeflate */
    ZLIB_WINDOW = -15,
    ZSTD_LEVEL = 3
};

struct worker { /* what a thread needs for one (de)compression */
    struct worker *next;
    uint8_t *buf; /* two clusters */
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    struct libdeflate_compressor *deflater;
    struct libdeflate_decompressor *inflater;
    z_stream inf;
    bool has_inf;
};

struct cached {
    uint64_t entry, used; /* entry 0: empty */
    uint8_t *data;
};

struct codec {
    pthread_mutex_t lock;
    struct worker *idle;
    struct cached *cache;
    unsigned cached;
    uint64_t clock;
};

bool codec_init(struct qcow2 *q)
{
    struct codec *c = calloc(1, sizeof *c);
    uint64_t n = CACHE_BYTES >> q->cluster_bits;

    if (!c)
        return false;
    c->cached = n < CACHE_MIN ? CACHE_MIN : n > CACHE_MAX ? CACHE_MAX : (unsigned)n;
    c->cache = calloc(c->cached, sizeof *c->cache);
    if (!c->cache) {
        free(c);
        return false;
    }
    pthread_mutex_init(&c->lock, NULL);
    q->codec = c;
    return true;
}

static void worker_free(struct worker *w)
{
    ZSTD_freeCCtx(w->cctx);
    ZSTD_freeDCtx(w->dctx);
    if (w->has_inf)
        inflateEnd(&w->inf);
    if (w->deflater)
        libdeflate_free_compressor(w->deflater);
    if (w->inflater)
        libdeflate_free_decompressor(w->inflater);
    free(w->buf);
    free(w);
}

void codec_fini(struct qcow2 *q)
{
    struct codec *c = q->codec;

    if (!c)
        return;
    while (c->idle) {
        struct worker *w = c->idle;

        c->idle = w->next;
        worker_free(w);
    }
    for (unsigned i = 0; i < c->cached; i++)
        free(c->cache[i].data);
    free(c->cache);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct worker *worker_get(struct qcow2 *q)
{
    struct codec *c = q->codec;
    struct worker *w;

    pthread_mutex_lock(&c->lock);
    w = c->idle;
    if (w)
        c->idle = w->next;
    pthread_mutex_unlock(&c->lock);
    if (w)
        return w;
    w = calloc(1, sizeof *w);
    if (w && !(w->buf = malloc(2 * q->cluster_size + 512))) {
        free(w);
        w = NULL;
    }
    return w;
}

static void worker_put(struct qcow2 *q, struct worker *w)
{
    pthread_mutex_lock(&q->codec->lock);
    w->next = q->codec->idle;
    q->codec->idle = w;
    pthread_mutex_unlock(&q->codec->lock);
}

/* A stream that goes on where the cluster is full. */
static int unzlib_endless(struct worker *w, void *out, size_t size, const void *in, size_t len)
{
    int ret = w->has_inf ? inflateReset(&w->inf) : inflateInit2(&w->inf, ZLIB_WINDOW);

    if (ret != Z_OK)
        return -ENOMEM;
    w->has_inf = true;
    w->inf.next_in = (Bytef *)(uintptr_t)in;
    w->inf.avail_in = (uInt)len;
    w->inf.next_out = out;
    w->inf.avail_out = (uInt)size;
    ret = inflate(&w->inf, Z_FINISH);
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !w->inf.avail_out ? 0 : -EIO;
}

static int unzlib(struct worker *w, void *out, size_t size, const void *in, size_t len)
{
    size_t used, got;

    if (!w->inflater && !(w->inflater = libdeflate_alloc_decompressor()))
        return -ENOMEM;
    if (libdeflate_deflate_decompress_ex(w->inflater, in, len, out, size, &used, &got) == LIBDEFLATE_SUCCESS &&
        got == size)
        return 0;
    return unzlib_endless(w, out, size, in, len);
}

static int unzstd(struct worker *w, void *out, size_t size, const void *in, size_t len)
{
    size_t done = 0;

    if (!w->dctx && !(w->dctx = ZSTD_createDCtx()))
        return -ENOMEM;
    while (done < size) { /* a cluster may be several frames; the last is followed by what fills the sector */
        size_t frame = ZSTD_findFrameCompressedSize(in, len), n;

        if (ZSTD_isError(frame))
            return -EIO;
        n = ZSTD_decompressDCtx(w->dctx, (char *)out + done, size - done, in, frame);
        if (ZSTD_isError(n))
            return -EIO;
        done += n;
        in = (const char *)in + frame;
        len -= frame;
    }
    return 0;
}

static int decode(struct qcow2 *q, struct worker *w, uint64_t entry, void *out)
{
    uint64_t off, len;
    int ret;

    compressed_place(q, entry, &off, &len);
    ret = q_pread(q->file, w->buf, off, len);
    if (ret)
        return ret;
    return q->zstd ? unzstd(w, out, q->cluster_size, w->buf, len) : unzlib(w, out, q->cluster_size, w->buf, len);
}

static bool from_cache(struct qcow2 *q, uint64_t entry, uint64_t in, const struct iovec *iov, unsigned n, uint64_t skip,
                       uint64_t len)
{
    struct codec *c = q->codec;
    bool found = false;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->cached && !found; i++)
        if (c->cache[i].entry == entry) {
            c->cache[i].used = ++c->clock;
            iov_from_buf(iov, n, skip, c->cache[i].data + in, len);
            found = true;
        }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* Takes data over. */
static void to_cache(struct qcow2 *q, uint64_t entry, uint8_t *data)
{
    struct codec *c = q->codec;
    struct cached *slot = c->cache;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->cached; i++) {
        if (c->cache[i].entry == entry) {
            slot = &c->cache[i];
            break;
        }
        if (c->cache[i].used < slot->used)
            slot = &c->cache[i];
    }
    free(slot->data);
    *slot = (struct cached){entry, ++c->clock, data};
    pthread_mutex_unlock(&c->lock);
}

void codec_forget(struct qcow2 *q, uint64_t host, uint64_t bytes)
{
    struct codec *c = q->codec;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->cached; i++) {
        uint64_t off, len;

        if (!c->cache[i].entry)
            continue;
        compressed_place(q, c->cache[i].entry, &off, &len);
        if (off < host + bytes && host < off + len) {
            free(c->cache[i].data);
            c->cache[i] = (struct cached){0};
        }
    }
    pthread_mutex_unlock(&c->lock);
}

int codec_read(struct qcow2 *q, uint64_t entry, uint64_t in, const struct iovec *iov, unsigned n, uint64_t skip,
               uint64_t len)
{
    bool whole = !in && len == q->cluster_size;
    uint8_t *data = NULL, *direct = NULL;
    struct worker *w;
    struct iovec v;
    uint64_t got;
    int ret;

    entry &= ~QCOW2_COPIED;
    if (from_cache(q, entry, in, iov, n, skip, len))
        return 0;
    if (whole && iov_slice(&v, 1, iov, n, skip, len, &got) == 1 && got == len)
        direct = v.iov_base;
    if (!direct && !(data = malloc(q->cluster_size)))
        return -ENOMEM;
    w = worker_get(q);
    ret = w ? decode(q, w, entry, direct ? direct : data) : -ENOMEM;
    if (w)
        worker_put(q, w);
    if (!ret && data)
        iov_from_buf(iov, n, skip, data + in, len);
    if (!ret && data && !whole)
        to_cache(q, entry, data);
    else
        free(data);
    return ret;
}

/* The compressed size, at most room; 0: it does not fit; or a negative errno. */
static int64_t encode(struct qcow2 *q, struct worker *w, const void *in, uint8_t *out, size_t room)
{
    if (q->zstd) {
        size_t n;

        if (!w->cctx && !(w->cctx = ZSTD_createCCtx()))
            return -ENOMEM;
        n = ZSTD_compressCCtx(w->cctx, out, room, in, q->cluster_size, ZSTD_LEVEL);
        return ZSTD_isError(n) ? 0 : (int64_t)n;
    }
    if (!w->deflater && !(w->deflater = libdeflate_alloc_compressor(DEFLATE_LEVEL)))
        return -ENOMEM;
    return (int64_t)libdeflate_deflate_compress(w->deflater, in, q->cluster_size, out, room);
}

/*
 * Room for len bytes of compressed data: behind the last one, if the refcounts can take it, or in new clusters. Each
 * piece counts once in every cluster that it touches.
 */
static int place_bytes(struct qcow2 *q, uint64_t len, uint64_t *at)
{
    uint64_t left = q->packed ? q->cluster_size - in_cluster(q, q->packed) : 0, host, got, count = 0;
    bool pristine, shared = false;
    int ret;

    if (left == q->cluster_size) /* it ended exactly with its cluster */
        left = 0;
    if (left && (ret = ref_get(q, cluster_of(q, q->packed), &count)))
        return ret;
    if (left && (!count || count >= ref_max(q)))
        left = 0;
    if (left < len) {
        uint64_t need = clusters_for(q, len - left);

        ret = cluster_alloc(q, need, need, &host, &got, &pristine);
        if (ret)
            return ret;
        shared = left && host == align_up(q->packed, q->cluster_size);
        if (left && !shared && clusters_for(q, len) > need) { /* not behind it: it needs one more of its own */
            cluster_unalloc(q, host, got << q->cluster_bits);
            need = clusters_for(q, len);
            ret = cluster_alloc(q, need, need, &host, &got, &pristine);
            if (ret)
                return ret;
        }
        *at = shared ? q->packed : host;
    } else {
        *at = q->packed;
        shared = true;
    }
    if (shared && (ret = ref_change(q, cluster_of(q, *at), 1, 1))) {
        if (left < len)
            cluster_unalloc(q, host, got << q->cluster_bits);
        return ret;
    }
    q->packed = *at + len;
    return 0;
}

static void unplace(struct qcow2 *q, uint64_t at, uint64_t len)
{
    uint64_t first = cluster_of(q, at), last = cluster_of(q, at + len - 1);

    q->packed = 0;
    ref_change(q, first, last - first + 1, -1);
}

/* Lock held. The old cluster goes when the entry has changed. */
static int link_compressed(struct qcow2 *q, uint64_t guest, uint64_t at, uint64_t len)
{
    unsigned x = 62 - (q->cluster_bits - 8);
    uint64_t sectors = ((at + len - 1) >> 9) - (at >> 9), old;
    struct l2_ref l;
    int ret = l2_get_own(q, guest, &l);

    if (ret)
        return ret;
    old = l2_entry(q, &l, 0);
    l2_set(q, &l, 0, QCOW2_COMPRESSED | at | sectors << x, 0);
    l2_put(q, &l);
    entry_free(q, old, guest, false);
    return 0;
}

static int store_compressed(struct qcow2 *q, const uint8_t *data, uint64_t len, uint64_t guest)
{
    struct alloc_op op = {cluster_of(q, guest), cluster_of(q, guest) + 1, NULL};
    uint64_t at;
    int ret;

    ops_wait(q, op.first, op.end);
    op_begin(q, &op);
    ret = place_bytes(q, len, &at);
    if (!ret && at + len > UINT64_C(1) << (62 - (q->cluster_bits - 8) < 56 ? 62 - (q->cluster_bits - 8) : 56)) {
        unplace(q, at, len);
        ret = -EFBIG;
    }
    if (!ret) {
        pthread_mutex_unlock(&q->lock);
        ret = image_pwrite(q->file, data, at, len, 0);
        pthread_mutex_lock(&q->lock);
        if (!ret)
            ret = link_compressed(q, guest, at, len);
        if (ret)
            unplace(q, at, len);
    }
    op_end(q, &op);
    return ret;
}

static bool all_zero(const uint8_t *p, size_t n) { return !n || (!p[0] && !memcmp(p, p + 1, n - 1)); }

int q_write_compressed(struct image *img, const void *buf, uint64_t off, uint64_t len)
{
    struct qcow2 *q = img->priv;
    struct iovec v = {(void *)(uintptr_t)buf, len};
    struct worker *w;
    int64_t n;
    int ret;
    struct io io;

    if (q->data != q->file)
        return -EOPNOTSUPP;
    if (in_cluster(q, off) || !len || len > q->cluster_size || (len < q->cluster_size && off + len != img->size))
        return -EINVAL;
    if (len == q->cluster_size && all_zero(buf, len) && q->version >= 3)
        return q_write_zeroes(img, off, len, IMAGE_UNMAP);
    w = worker_get(q);
    if (!w)
        return -ENOMEM;
    if (len < q->cluster_size) { /* the last cluster is whole, with zeroes */
        uint8_t *pad = w->buf + q->cluster_size;

        memcpy(pad, buf, len);
        memset(pad + len, 0, q->cluster_size - len);
        buf = pad;
    }
    n = encode(q, w, buf, w->buf, q->cluster_size - 1);
    ret = n < 0 ? (int)n : 0;
    if (n > 0) {
        pthread_mutex_lock(&q->lock);
        io_enter(q, &io);
        ret = q_writable(q);
        if (!ret)
            ret = store_compressed(q, w->buf, (uint64_t)n, off);
        io_leave(q, &io);
        pthread_mutex_unlock(&q->lock);
    }
    worker_put(q, w);
    return n ? ret : q_writev_op(img, &v, 1, off, 0);
}
