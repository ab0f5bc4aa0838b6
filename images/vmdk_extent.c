/*
 * VMDK extents: flat, a range of a file; sparse, grains found by a directory of grain tables; compressed sparse, whose
 * grains are zlib streams behind a marker (sector number, length), written at the end and never in place.
 *
 * Most writers keep a second directory with tables of its own; it gets the same entries. A grain table entry of 1 is a
 * grain of zeroes where the header's flag says so.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/sparse.h"
#include "images/vmdk.h"

enum { MARKER = 12, NO_GRAIN = 0, ZERO_GRAIN = 1 };

struct extent {
    struct sparse sparse; /* first */
    bool borrowed, packed, markers, zero_grain, footer;
    uint64_t gd, rgd; /* directories, bytes; rgd 0: none */
    uint64_t overhead, end;
    uint32_t grain, gtes, tables;
    pthread_mutex_t cache_lock; /* packed: the grain that was read last */
    uint64_t cached;
    uint8_t *cache, *raw;
};

static int load(struct extent *x, uint64_t at, uint32_t *v) { return meta_read(&x->sparse.meta, at, v, 4); }

/* Where the table entry of grain blk lies; 0: there is no table. */
static int entry_at(struct extent *x, uint64_t dir, uint64_t blk, uint64_t *at)
{
    uint32_t table;
    int ret = blk / x->gtes < x->tables ? load(x, dir + blk / x->gtes * 4, &table) : -EIO;

    *at = ret || !table ? 0 : (uint64_t)table * VMDK_SECTOR + blk % x->gtes * 4;
    return ret;
}

static int extent_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct extent *x = img->priv;
    uint64_t at;
    uint32_t entry = NO_GRAIN;
    int ret = entry_at(x, x->gd, blk, &at);

    (void)len;
    *p = (struct place){.kind = PLACE_HOLE};
    if (!ret && at)
        ret = load(x, at, &entry);
    if (ret || entry == NO_GRAIN)
        return ret;
    if (entry == ZERO_GRAIN && x->zero_grain) {
        p->kind = PLACE_ZERO;
        return 0;
    }
    *p = (struct place){x->packed ? PLACE_PACKED : PLACE_DATA, (uint64_t)entry * VMDK_SECTOR + (x->packed ? 0 : in)};
    return p->off >= x->overhead && p->off < image_size(img->file) ? 0 : -EIO;
}

static int extent_allocate(struct image *img, uint64_t blk, uint64_t *off)
{
    struct extent *x = img->priv;

    (void)blk;
    *off = align_up(x->end, x->grain);
    if ((*off + x->grain) / VMDK_SECTOR > UINT32_MAX)
        return -EFBIG;
    x->end = *off + x->grain;
    return 0;
}

static void extent_release(struct image *img, uint64_t off)
{
    struct extent *x = img->priv;

    if (x->end == off + x->grain) /* else a new table lies behind it */
        x->end = off;
}

/* An empty table for grain blk in directory dir, at the end of the file. It is there before it is named. */
static int new_table(struct image *img, uint64_t dir, uint64_t blk, uint64_t *at)
{
    struct extent *x = img->priv;
    uint8_t zero[VMDK_ENTRIES * 4] = {0};
    uint64_t off = align_up(x->end, VMDK_SECTOR);
    uint32_t size = x->gtes * 4, sector = (uint32_t)(off / VMDK_SECTOR);
    int ret = off / VMDK_SECTOR > UINT32_MAX ? -EFBIG : fmt_write(img->file, zero, off, size);

    if (!ret)
        ret = meta_change(&x->sparse.meta, off, zero, size);
    if (!ret)
        ret = meta_change(&x->sparse.meta, dir + blk / x->gtes * 4, &sector, 4);
    if (ret)
        return ret;
    x->end = align_up(off + size, VMDK_SECTOR);
    if (x->sparse.clean_from < x->end)
        x->sparse.clean_from = x->end;
    *at = off + blk % x->gtes * 4;
    return 0;
}

static int set_entry(struct image *img, uint64_t dir, uint64_t blk, uint32_t entry)
{
    struct extent *x = img->priv;
    uint64_t at;
    int ret = entry_at(x, dir, blk, &at);

    if (!ret && !at)
        ret = new_table(img, dir, blk, &at);
    return ret ? ret : meta_change(&x->sparse.meta, at, &entry, 4);
}

static int extent_attach(struct image *img, uint64_t blk, uint64_t off)
{
    struct extent *x = img->priv;
    uint32_t entry = (uint32_t)(off / VMDK_SECTOR);
    int ret;

    if (x->sparse.clean_from < x->end)
        x->sparse.clean_from = x->end;
    ret = set_entry(img, x->gd, blk, entry);
    return ret || !x->rgd ? ret : set_entry(img, x->rgd, blk, entry);
}

/* The bytes of a compressed grain into x->cache. cache_lock is held. */
static int unpack_grain(struct image *img, uint64_t blk, uint64_t off)
{
    struct extent *x = img->priv;
    uint8_t mark[MARKER];
    uint32_t max = 2 * x->grain, size = max;
    z_stream z = {0};
    int ret = 0;

    x->cached = UINT64_MAX;
    if (x->markers) {
        ret = fmt_read(img->file, mark, off, MARKER);
        size = ret ? 0 : ld32(mark + 8);
        if (!ret && (ld64(mark) != blk * (x->grain / VMDK_SECTOR) || !size || size > max))
            ret = -EIO;
        off += MARKER;
    }
    if (!ret)
        ret = fmt_read_pad(img->file, x->raw, off, size);
    if (ret || inflateInit(&z) != Z_OK)
        return ret ? ret : -ENOMEM;
    z.next_in = x->raw;
    z.avail_in = size;
    z.next_out = x->cache;
    z.avail_out = x->grain;
    ret = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (ret != Z_STREAM_END)
        return -EIO;
    memset(x->cache + (x->grain - z.avail_out), 0, z.avail_out); /* the disk's last grain may be short */
    x->cached = off;
    return 0;
}

static int extent_unpack(struct image *img, uint64_t blk, const struct place *p, uint32_t in, uint32_t len,
                         const struct iovec *iov, unsigned n, uint64_t skip)
{
    struct extent *x = img->priv;
    uint64_t key = p->off + (x->markers ? MARKER : 0);
    int ret;

    pthread_mutex_lock(&x->cache_lock);
    ret = x->cached == key ? 0 : unpack_grain(img, blk, p->off);
    if (!ret)
        iov_from_buf(iov, n, skip, x->cache + in, len);
    pthread_mutex_unlock(&x->cache_lock);
    return ret;
}

static const struct sparse_ops sparse_extent = {
    .find = extent_find,
    .allocate = extent_allocate,
    .release = extent_release,
    .attach = extent_attach,
    .unpack = extent_unpack,
};

static bool all_zero(const uint8_t *p, size_t n) { return !n || (!*p && !memcmp(p, p + 1, n - 1)); }

/* Exclusive lock: grain blk is what x->cache holds. */
static int append_grain(struct image *img, uint64_t blk)
{
    struct extent *x = img->priv;
    uLongf size = 2 * x->grain;
    uint64_t off = align_up(x->end, VMDK_SECTOR), lba = blk * (x->grain / VMDK_SECTOR);
    uint32_t head = x->markers ? MARKER : 0, total;
    int ret;

    if (compress2(x->raw + MARKER, &size, x->cache, x->grain, Z_DEFAULT_COMPRESSION) != Z_OK)
        return -EIO;
    memcpy(x->raw, &lba, 8);
    st32(x->raw + 8, (uint32_t)size);
    total = (uint32_t)align_up(head + size, VMDK_SECTOR);
    memset(x->raw + MARKER + size, 0, total - head - size);
    if ((off + total) / VMDK_SECTOR > UINT32_MAX)
        return -EFBIG;
    ret = fmt_write(img->file, x->raw + MARKER - head, off, total);
    if (ret)
        return ret;
    x->end = off + total;
    ret = extent_attach(img, blk, off);
    x->cached = ret ? UINT64_MAX : off + head;
    x->sparse.dirty = true;
    return ret ? ret : meta_crowded(&x->sparse.meta) ? sparse_commit(img) : 0;
}

static int packed_part(struct image *img, uint64_t off, uint32_t len, const struct iovec *iov, unsigned n,
                       uint64_t skip)
{
    struct extent *x = img->priv;
    uint64_t blk = off >> x->sparse.shift;
    uint32_t in = (uint32_t)off & (x->grain - 1);
    struct place p;
    int ret = extent_find(img, blk, 0, &len, &p);

    if (!ret && p.kind == PLACE_PACKED && len < x->grain) {
        if (x->cached != p.off + (x->markers ? MARKER : 0))
            ret = unpack_grain(img, blk, p.off);
    } else if (!ret) {
        memset(x->cache, 0, x->grain);
    }
    if (ret)
        return ret;
    x->cached = UINT64_MAX;
    iov_to_buf(x->cache + in, iov, n, skip, len);
    if (p.kind != PLACE_PACKED && all_zero(x->cache, x->grain))
        return 0;
    return append_grain(img, blk);
}

static int packed_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct extent *x = img->priv;
    uint64_t total = iov_total(iov, n), done = 0;
    int ret = 0;

    if (flags & IMAGE_NOWAIT)
        return -EAGAIN;
    if (x->footer)
        return -EROFS;
    pthread_rwlock_wrlock(&x->sparse.lock);
    pthread_mutex_lock(&x->cache_lock);
    while (!ret && done < total) {
        uint64_t room = x->grain - ((off + done) & (x->grain - 1));
        uint32_t len = (uint32_t)(room < total - done ? room : total - done);

        ret = packed_part(img, off + done, len, iov, n, done);
        done += len;
    }
    pthread_mutex_unlock(&x->cache_lock);
    pthread_rwlock_unlock(&x->sparse.lock);
    return !ret && flags & IMAGE_FUA ? sparse_flush(img) : ret;
}

static int no_discard(struct image *img, uint64_t off, uint64_t len)
{
    (void)img;
    (void)off;
    (void)len;
    return 0;
}

static const struct image_ops sparse_ops = {
    .format = "vmdk-sparse",
    .readv = sparse_readv,
    .writev = sparse_writev,
    .flush = sparse_flush,
    .discard = sparse_discard,
    .write_zeroes = sparse_write_zeroes,
    .map = sparse_map,
    .direct_begin = sparse_direct_begin,
    .direct_end = sparse_direct_end,
};

static const struct image_ops packed_ops = {
    .format = "vmdk-packed",
    .readv = sparse_readv,
    .writev = packed_writev,
    .flush = sparse_flush,
    .discard = no_discard,
    .write_zeroes = sparse_write_zeroes,
    .map = sparse_map,
};

static int flat_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct extent *x = img->priv;

    (void)len;
    *p = (struct place){PLACE_DATA, x->overhead + (blk << x->sparse.shift) + in};
    return 0;
}

static const struct sparse_ops flat_extent = {.find = flat_find};

/* The header that counts: that of the footer, if the one in front says so. */
static bool read_header(const char *path, struct image *file, uint8_t *h, bool *footer, struct err *e)
{
    uint8_t tail[3 * VMDK_SECTOR];
    uint64_t size = image_size(file);

    *footer = false;
    if (fmt_read(file, h, 0, VMDK_HEADER) || memcmp(h, "KDMV", 4) != 0)
        return err_set(e, "disk image '%s' is no sparse VMDK extent", path);
    if (ld64(h + VMDK_GD) != VMDK_AT_END)
        return true;
    if (size < sizeof tail || fmt_read(file, tail, size - sizeof tail, sizeof tail) ||
        ld32(tail + 12) != VMDK_MARK_FOOTER || ld32(tail + 8) || memcmp(tail + VMDK_SECTOR, "KDMV", 4) != 0 ||
        ld64(tail + VMDK_SECTOR + VMDK_GD) == VMDK_AT_END)
        return err_set(e, "disk image '%s': its VMDK footer is missing or damaged", path);
    memcpy(h, tail + VMDK_SECTOR, VMDK_HEADER);
    *footer = true;
    return true;
}

static bool check_header(const char *path, struct image *file, const uint8_t *h, struct extent *x, struct err *e)
{
    uint64_t grain = ld64(h + VMDK_GRAIN_SIZE), capacity = ld64(h + VMDK_CAPACITY), tables, size = image_size(file);
    uint32_t flags = ld32(h + VMDK_FLAGS), version = ld32(h + VMDK_VERSION);

    if (!version || version > 3)
        return err_set(e, "disk image '%s': VMDK version %" PRIu32 " is not known", path, version);
    if (!is_pow2(grain) || grain > 4096)
        return err_set(e, "disk image '%s': a VMDK grain of %" PRIu64 " sectors is not supported", path, grain);
    x->gtes = ld32(h + VMDK_GTES);
    if (!x->gtes || x->gtes > VMDK_ENTRIES)
        return err_set(e, "disk image '%s': VMDK grain tables of %" PRIu32 " entries are not supported", path, x->gtes);
    if (!capacity || capacity > UINT64_C(1) << 42)
        return err_set(e, "disk image '%s': a VMDK extent of %" PRIu64 " sectors is not supported", path, capacity);
    x->packed = flags & VMDK_COMPRESSED;
    x->markers = flags & VMDK_MARKERS;
    x->zero_grain = flags & VMDK_ZERO_GRAIN;
    if (x->packed && ld16(h + VMDK_ALGORITHM) != 1)
        return err_set(e, "disk image '%s': VMDK compression %u is not known", path, ld16(h + VMDK_ALGORITHM));
    x->grain = (uint32_t)grain * VMDK_SECTOR;
    tables = (capacity + grain * x->gtes - 1) / (grain * x->gtes);
    x->tables = (uint32_t)tables;
    x->gd = ld64(h + VMDK_GD) * VMDK_SECTOR;
    x->rgd = flags & VMDK_HAS_RGD ? ld64(h + VMDK_RGD) * VMDK_SECTOR : 0;
    x->overhead = ld64(h + VMDK_OVERHEAD) * VMDK_SECTOR;
    if (tables > UINT32_MAX || ld64(h + VMDK_GD) > size / VMDK_SECTOR || x->gd < VMDK_HEADER ||
        tables * 4 > size - x->gd ||
        (x->rgd && (ld64(h + VMDK_RGD) > size / VMDK_SECTOR || tables * 4 > size - x->rgd || x->rgd < VMDK_HEADER)))
        return err_set(e, "disk image '%s': its VMDK grain directory lies outside the file", path);
    if (ld64(h + VMDK_OVERHEAD) > UINT64_C(1) << 40)
        return err_set(e, "disk image '%s': its VMDK header is damaged", path);
    return true;
}

static struct image *extent_new(const char *path, struct image *file, bool borrowed, bool read_only, uint64_t size,
                                struct err *e)
{
    struct image *img = calloc(1, sizeof *img);
    struct extent *x = calloc(1, sizeof *x);
    char *copy = strdup(path);

    if (!img || !x || !copy) {
        err_set(e, "disk image '%s': out of memory", path);
        free(img);
        free(x);
        free(copy);
        if (!borrowed)
            image_close(file);
        return NULL;
    }
    *img = (struct image){.size = size, .logical = 512, .path = copy, .read_only = read_only, .file = file, .priv = x};
    x->borrowed = borrowed;
    return img;
}

static void extent_free(struct image *img)
{
    struct extent *x = img->priv;

    if (!x->borrowed)
        image_close(img->file);
    free(x->cache);
    free(x->raw);
    free(x);
    free(img->path);
    free(img);
}

static bool open_sparse(struct image *img, struct err *e)
{
    struct extent *x = img->priv;
    uint8_t h[VMDK_HEADER];

    if (!read_header(img->path, img->file, h, &x->footer, e) || !check_header(img->path, img->file, h, x, e))
        return false;
    if (img->size && img->size > ld64(h + VMDK_CAPACITY) * VMDK_SECTOR)
        return err_set(e, "disk image '%s' holds less than its descriptor says", img->path);
    if (!img->size)
        img->size = ld64(h + VMDK_CAPACITY) * VMDK_SECTOR;
    img->ops = x->packed ? &packed_ops : &sparse_ops;
    img->cluster = x->grain;
    x->end = align_up(image_size(img->file), VMDK_SECTOR);
    if (x->overhead > x->end)
        x->end = x->overhead;
    if (x->packed) {
        x->cached = UINT64_MAX;
        x->cache = malloc(x->grain);
        x->raw = malloc(2 * (size_t)x->grain + MARKER + 2 * VMDK_SECTOR);
        if (!x->cache || !x->raw)
            return err_set(e, "disk image '%s': out of memory", img->path);
    }
    return sparse_init(&x->sparse, &sparse_extent, img->file, (unsigned)__builtin_ctz(x->grain), e);
}

struct image *vmdk_open_sparse(const char *path, struct image *file, bool borrowed, bool read_only, uint64_t size,
                               struct err *e)
{
    struct image *img = extent_new(path, file, borrowed, read_only, size, e);
    struct extent *x = img ? img->priv : NULL;

    if (!img)
        return NULL;
    if (!open_sparse(img, e)) {
        extent_free(img);
        return NULL;
    }
    pthread_mutex_init(&x->cache_lock, NULL);
    return img;
}

struct image *vmdk_open_flat(const char *path, struct image *file, bool borrowed, bool read_only, uint64_t size,
                             uint64_t offset, struct err *e)
{
    struct image *img = extent_new(path, file, borrowed, read_only, size, e);
    struct extent *x = img ? img->priv : NULL;

    if (!img)
        return NULL;
    x->overhead = offset;
    x->sparse.fixed = true;
    img->ops = &sparse_ops;
    if (offset > image_size(file) || size > image_size(file) - offset) {
        err_set(e, "disk image '%s' is shorter than its VMDK descriptor says", path);
    } else if (sparse_init(&x->sparse, &flat_extent, file, 20, e)) {
        pthread_mutex_init(&x->cache_lock, NULL);
        return img;
    }
    extent_free(img);
    return NULL;
}

void vmdk_close_extent(struct image *img)
{
    struct extent *x = img->priv;

    sparse_flush(img);
    sparse_fini(&x->sparse);
    pthread_mutex_destroy(&x->cache_lock);
    extent_free(img);
}

bool vmdk_is_compressed(const struct image *img) { return ((const struct extent *)img->priv)->packed; }
