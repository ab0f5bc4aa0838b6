/*
 * Raw disks compressed by gzip, xz or zstd, read in place; an overlay takes the writes.
 *
 * Spans that can be decompressed by themselves are kept in memory, the least used one goes first. Where a span is too long
 * for that (a zstd file of one frame, an xz file of one block) all is decompressed once, as far as it is asked for,
 * into an unlinked temporary file in which zeroes take no space.
 */
#include "images/compressed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "images/fmt.h"

enum { CACHED = 32, CACHE_BYTES = 128 << 20 };

struct cached {
    size_t span;
    uint64_t used; /* by `tick`; 0: empty */
    uint8_t *bytes;
    size_t len;
};

struct compressed {
    struct packed p;
    pthread_mutex_t lock; /* all below */
    struct cached cache[CACHED];
    uint64_t tick;
    size_t cache_bytes;
    struct unpacker *u;
    uint8_t *step;
    int spill;         /* the temporary file; -1: none */
    uint64_t spilled;  /* bytes of disk that it has */
    size_t spill_span; /* which u works on */
    bool spilling;     /* u is started */
};

static size_t span_at(const struct packed *p, uint64_t off)
{
    size_t lo = 0, hi = p->n;

    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;

        if (p->spans[mid].out <= off)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static void drop(struct compressed *c, struct cached *k)
{
    c->cache_bytes -= k->len;
    free(k->bytes);
    *k = (struct cached){0};
}

/* An empty place, with room for len bytes in all. */
static struct cached *make_room(struct compressed *c, size_t len)
{
    for (;;) {
        struct cached *oldest = NULL, *empty = NULL;

        for (unsigned i = 0; i < CACHED; i++) {
            struct cached *k = &c->cache[i];

            if (!k->used)
                empty = k;
            else if (!oldest || k->used < oldest->used)
                oldest = k;
        }
        if (empty && (c->cache_bytes + len <= CACHE_BYTES || !oldest))
            return empty;
        drop(c, oldest);
    }
}

static int unpack_span(struct compressed *c, const struct span *s, uint8_t *out)
{
    size_t got = 0;
    int ret = unpacker_start(c->u, &c->p, s);

    if (!ret)
        ret = unpacker_step(c->u, out, (size_t)s->out_len, &got);
    unpacker_end(c->u);
    return !ret && got < s->out_len ? -EIO : ret;
}

static int cached_span(struct compressed *c, size_t i, struct cached **out)
{
    const struct span *s = &c->p.spans[i];
    struct cached *k;
    int ret;

    for (unsigned n = 0; n < CACHED; n++)
        if (c->cache[n].used && c->cache[n].span == i) {
            c->cache[n].used = ++c->tick;
            *out = &c->cache[n];
            return 0;
        }
    k = make_room(c, (size_t)s->out_len);
    k->bytes = malloc((size_t)s->out_len);
    if (!k->bytes)
        return -ENOMEM;
    ret = unpack_span(c, s, k->bytes);
    if (ret) {
        free(k->bytes);
        k->bytes = NULL;
        return ret;
    }
    k->len = (size_t)s->out_len;
    k->span = i;
    k->used = ++c->tick;
    c->cache_bytes += k->len;
    *out = k;
    return 0;
}

static bool all_zero(const uint8_t *p, size_t n) { return !n || (!*p && !memcmp(p, p + 1, n - 1)); }

/* n decompressed bytes to the temporary file; zeroes stay holes. */
static int spill_bytes(struct compressed *c, const uint8_t *p, size_t n)
{
    enum { PIECE = 64 << 10 };

    for (size_t at = 0; at < n;) {
        size_t len = n - at < PIECE ? n - at : PIECE;
        ssize_t put = all_zero(p + at, len) ? (ssize_t)len : pwrite(c->spill, p + at, len, (off_t)(c->spilled + at));

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        at += (size_t)put;
    }
    c->spilled += n;
    return 0;
}

static void spill_stop(struct compressed *c)
{
    if (c->spilling)
        unpacker_end(c->u);
    c->spilling = false;
}

/* One step further. -ENODATA: nothing is left. */
static int spill_step(struct compressed *c)
{
    size_t got;
    int ret = 0;

    if (!c->spilling && c->spill_span == c->p.n)
        return -ENODATA;
    if (!c->spilling) {
        c->spilling = true;
        ret = unpacker_start(c->u, &c->p, &c->p.spans[c->spill_span]);
    }
    if (!ret)
        ret = unpacker_step(c->u, c->step, PACKED_STEP, &got);
    if (!ret)
        ret = spill_bytes(c, c->step, got);
    if (!ret && c->u->done) {
        const struct span *s = &c->p.spans[c->spill_span++];

        if (s->out_len != PACKED_UNKNOWN && c->u->made != s->out_len)
            ret = -EIO;
        spill_stop(c);
    }
    return ret;
}

static int read_spilled(struct compressed *c, void *buf, uint64_t off, size_t n)
{
    char *p = buf;

    while (n) {
        ssize_t got = pread(c->spill, p, n, (off_t)off);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (!got) { /* a hole at the end */
            memset(p, 0, n);
            return 0;
        }
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

/* Some bytes from off on into iov at `skip`; *n is how many at most, and how many it were. Lock held. */
static int read_some(struct compressed *c, uint64_t off, uint64_t *n, const struct iovec *iov, unsigned cnt,
                     uint64_t skip)
{
    struct cached *k;
    size_t i;
    int ret = 0;

    if (off >= c->p.size) { /* the padding of the last sector */
        iov_zero(iov, cnt, skip, *n);
        return 0;
    }
    if (*n > c->p.size - off)
        *n = c->p.size - off;
    if (c->spill >= 0) {
        if (*n > PACKED_STEP)
            *n = PACKED_STEP;
        while (!ret && c->spilled < off + *n)
            ret = spill_step(c);
        if (!ret)
            ret = read_spilled(c, c->step, off, (size_t)*n);
        if (!ret)
            iov_from_buf(iov, cnt, skip, c->step, *n);
        return ret == -ENODATA ? -EIO : ret;
    }
    i = span_at(&c->p, off);
    ret = cached_span(c, i, &k);
    if (ret)
        return ret;
    off -= c->p.spans[i].out;
    if (*n > k->len - off)
        *n = k->len - off;
    iov_from_buf(iov, cnt, skip, k->bytes + off, *n);
    return 0;
}

static int compressed_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct compressed *c = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;
    int ret = 0;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    while (!ret && done < total) {
        uint64_t some = total - done;

        pthread_mutex_lock(&c->lock);
        ret = read_some(c, off + done, &some, iov, n, done);
        pthread_mutex_unlock(&c->lock);
        done += some;
    }
    return ret;
}

static int compressed_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    (void)img;
    (void)iov;
    (void)n;
    (void)off;
    (void)flags;
    return -EROFS;
}

static int compressed_flush(struct image *img)
{
    (void)img;
    return 0;
}

static int compressed_discard(struct image *img, uint64_t off, uint64_t len)
{
    (void)img;
    (void)off;
    (void)len;
    return -EROFS;
}

static int compressed_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    (void)flags;
    return compressed_discard(img, off, len);
}

static int compressed_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    (void)img;
    (void)off;
    *x = (struct image_extent){.len = len, .allocated = true, .data = true, .compressed = true};
    return 0;
}

/* An unlinked file. /var/tmp rather than /tmp: it may grow large, and /tmp is often memory. */
static int temporary_file(const char *path, struct err *e)
{
    const char *env = getenv("TMPDIR"), *dir = env && *env ? env : "/var/tmp";
    char name[1024];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        snprintf(name, sizeof name, "%s/guise-XXXXXX", dir);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        err_set(e, "disk image '%s': cannot make a temporary file in '%s': %s", path, dir, strerror(errno));
    return fd;
}

/* The size is not known: all of it has to be decompressed now. */
static bool spill_all(struct compressed *c, const char *path, struct err *e)
{
    int ret = 0;

    while (!ret && c->spilled <= PACKED_COUNT_MAX)
        ret = spill_step(c);
    if (!ret)
        return err_set(e, "disk image '%s': decompressed it is too large", path);
    c->p.size = c->spilled;
    return ret == -ENODATA || err_set(e, "disk image '%s': cannot decompress it: %s", path,
                                      ret == -EIO     ? "it is damaged or cut short"
                                      : ret == -EFBIG ? "its zstd window is larger than 128 MiB"
                                                      : strerror(-ret));
}

static bool needs_spill(const struct packed *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->spans[i].out_len > PACKED_SPAN_MAX)
            return true;
    return false;
}

static bool set_up(struct image *img, struct compressed *c, struct err *e)
{
    c->u = calloc(1, sizeof *c->u);
    c->step = malloc(PACKED_STEP);
    if (!c->u || !c->step)
        return err_set(e, "disk image '%s': out of memory", img->path);
    if (!packed_index(&c->p, img->path, e))
        return false;
    if (needs_spill(&c->p) && (c->spill = temporary_file(img->path, e)) < 0)
        return false;
    if (c->p.size == PACKED_UNKNOWN && !spill_all(c, img->path, e))
        return false;
    if (!c->p.size)
        return err_set(e, "disk image '%s': it holds nothing", img->path);
    if (c->p.size > PACKED_SIZE_MAX)
        return err_set(e, "disk image '%s': decompressed it is too large (%" PRIu64 " bytes)", img->path, c->p.size);
    img->size = align_up(c->p.size, 512);
    return true;
}

static void compressed_free(struct compressed *c)
{
    spill_stop(c);
    if (c->spill >= 0)
        close(c->spill);
    for (unsigned i = 0; i < CACHED; i++)
        free(c->cache[i].bytes);
    packed_free(&c->p);
    free(c->step);
    free(c->u);
    free(c);
}

static bool open_as(struct image *img, enum packing kind, const uint8_t *magic, size_t len, struct err *e)
{
    struct compressed *c;
    uint8_t head[8] = {0};

    if (!img->read_only)
        return err_set(e, "disk image '%s': %s images are read only; use snapshot=on to write over them", img->path,
                       img->ops->format);
    if (fmt_read_pad(img->file, head, 0, sizeof head) ||
        (memcmp(head, magic, len) != 0 && !(kind == PACKED_ZSTD && (ld32(head) & ~UINT32_C(15)) == PACKED_SKIPPABLE)))
        return err_set(e, "disk image '%s' is no %s file", img->path, img->ops->format);
    c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, "disk image '%s': out of memory", img->path);
    c->p.kind = kind;
    c->p.file = img->file;
    c->spill = -1;
    if (!set_up(img, c, e)) {
        compressed_free(c);
        return false;
    }
    pthread_mutex_init(&c->lock, NULL);
    img->priv = c;
    return true;
}

static bool gzip_open(struct image *img, const struct image_options *o, struct err *e)
{
    (void)o;
    return open_as(img, PACKED_GZIP, (const uint8_t *)"\x1f\x8b\x08", 3, e);
}

static bool xz_open(struct image *img, const struct image_options *o, struct err *e)
{
    (void)o;
    return open_as(img, PACKED_XZ, (const uint8_t *)"\xfd\x37zXZ", 5, e);
}

static bool zstd_open(struct image *img, const struct image_options *o, struct err *e)
{
    (void)o;
    return open_as(img, PACKED_ZSTD, (const uint8_t *)"\x28\xb5\x2f\xfd", 4, e);
}

static void compressed_close(struct image *img)
{
    struct compressed *c = img->priv;

    pthread_mutex_destroy(&c->lock);
    compressed_free(c);
}

#define COMPRESSED_OPS(name, open_it)                                                                                  \
    {                                                                                                                  \
        .format = name, .open = open_it, .close = compressed_close, .readv = compressed_readv,                         \
        .writev = compressed_writev, .flush = compressed_flush, .discard = compressed_discard,                         \
        .write_zeroes = compressed_write_zeroes, .map = compressed_map,                                                \
    }

const struct image_ops image_gzip = COMPRESSED_OPS("gzip", gzip_open);
const struct image_ops image_xz = COMPRESSED_OPS("xz", xz_open);
const struct image_ops image_zstd = COMPRESSED_OPS("zstd", zstd_open);
