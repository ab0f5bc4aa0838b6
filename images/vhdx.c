/*
 * VHDX, the image format of Hyper-V, fixed and dynamic.
 *
 * Two headers of which the higher sequence number counts; two copies of a table of regions; a region of metadata items
 * (sizes, flags); a region with the block table, in which each chunk of entries is followed by one for a block of
 * sector bitmaps (which only differencing images use); a log through which tables change. Before the first
 * write a header with new GUIDs and the log's GUID is made stable; closing takes the log's GUID out again.
 * Source: [MS-VHDX] Virtual Hard Disk v2 File Format.
 */
#include "images/vhdx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"

/* Fields of GUIDs are little-endian in the file. */
const uint8_t vhdx_guid_table[16] = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const uint8_t vhdx_guid_metadata[16] = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const uint8_t vhdx_guid_items[6][16] = {
    "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b",
    "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8",
    "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46",
    "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f",
    "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56",
    "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c",
};

static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    static const uint32_t nibble[16] = {
        /* CRC-32C (Castagnoli, reflected 0x82f63b78) of four bits */
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    crc ^= byte;
    crc = crc >> 4 ^ nibble[crc & 15];
    return crc >> 4 ^ nibble[crc & 15];
}

uint32_t vhdx_crc(const uint8_t *p, size_t n, size_t checksum_at)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++)
        crc = crc_step(crc, i >= checksum_at && i < checksum_at + 4 ? 0 : p[i]);
    return ~crc;
}

int vhdx_write_header(struct image *img)
{
    struct vhdx *v = img->priv;
    int ret;

    st64(v->head + VHDX_SEQUENCE, ld64(v->head + VHDX_SEQUENCE) + 1);
    st32(v->head + VHDX_CHECKSUM, vhdx_crc(v->head, VHDX_HEADER, VHDX_CHECKSUM));
    v->slot ^= 1;
    ret = fmt_write(img->file, v->head, v->slot ? VHDX_HEADER_2 : VHDX_HEADER_1, VHDX_HEADER);
    return ret ? ret : img->file->ops->flush(img->file);
}

static uint64_t entry_at(const struct vhdx *v, uint64_t blk) { return v->table + (blk + blk / v->chunk_ratio) * 8; }

static int vhdx_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct vhdx *v = img->priv;
    uint8_t raw[8];
    uint64_t entry;
    int ret = blk < v->blocks ? meta_read(&v->sparse.meta, entry_at(v, blk), raw, 8) : -EIO;

    (void)len;
    *p = (struct place){.kind = PLACE_HOLE};
    if (ret)
        return ret;
    entry = ld64(raw);
    switch (entry & 7) {
    case VHDX_ZERO: p->kind = PLACE_ZERO; return 0;
    case VHDX_NOT_PRESENT:
    case VHDX_UNDEFINED:
    case VHDX_UNMAPPED:
    case VHDX_UNMAPPED_095: return 0;
    case VHDX_PRESENT:
        *p = (struct place){PLACE_DATA, (entry & ~UINT64_C(0xfffff)) + in};
        return entry >> 20 && p->off < image_size(img->file) ? 0 : -EIO;
    default: return -EIO;
    }
}

static int vhdx_allocate(struct image *img, uint64_t blk, uint64_t *off)
{
    struct vhdx *v = img->priv;

    (void)blk;
    *off = v->end;
    v->end += v->block_size;
    return 0;
}

static void vhdx_release(struct image *img, uint64_t off) { ((struct vhdx *)img->priv)->end = off; }

static int vhdx_attach(struct image *img, uint64_t blk, uint64_t off)
{
    struct vhdx *v = img->priv;
    uint8_t raw[8];

    st64(raw, off | VHDX_PRESENT);
    if (v->sparse.clean_from < v->end)
        v->sparse.clean_from = v->end;
    return meta_change(&v->sparse.meta, entry_at(v, blk), raw, 8);
}

static const struct sparse_ops vhdx_sparse = {
    .find = vhdx_find,
    .allocate = vhdx_allocate,
    .release = vhdx_release,
    .attach = vhdx_attach,
    .entries = vhdx_log_entries,
};

/* The header with the higher sequence number of those that are whole. */
static bool read_headers(struct image *img, struct vhdx *v, struct err *e)
{
    uint8_t h[2][VHDX_HEADER], id[8];
    bool ok[2];
    int ret = fmt_read(img->file, id, 0, sizeof id);

    if (!ret && memcmp(id, "vhdxfile", 8) != 0)
        return err_set(e, "disk image '%s' is no VHDX image", img->path);
    for (unsigned i = 0; !ret && i < 2; i++) {
        ret = fmt_read(img->file, h[i], i ? VHDX_HEADER_2 : VHDX_HEADER_1, VHDX_HEADER);
        ok[i] = !ret && !memcmp(h[i], "head", 4) &&
                ld32(h[i] + VHDX_CHECKSUM) == vhdx_crc(h[i], VHDX_HEADER, VHDX_CHECKSUM);
    }
    if (ret)
        return err_set(e, "disk image '%s': cannot read a VHDX header: %s", img->path,
                       ret == -EIO ? "too short" : strerror(-ret));
    if (!ok[0] && !ok[1])
        return err_set(e, "disk image '%s': both VHDX headers are damaged", img->path);
    v->slot = ok[1] && (!ok[0] || ld64(h[1] + VHDX_SEQUENCE) > ld64(h[0] + VHDX_SEQUENCE));
    memcpy(v->head, h[v->slot], VHDX_HEADER);
    if (ld16(v->head + VHDX_VERSION) != 1)
        return err_set(e, "disk image '%s': VHDX version %u is not known", img->path, ld16(v->head + VHDX_VERSION));
    v->log = ld64(v->head + VHDX_LOG_OFFSET);
    v->log_length = ld32(v->head + VHDX_LOG_LENGTH);
    if (v->log < VHDX_MB || v->log % VHDX_MB || v->log_length % VHDX_MB || v->log > UINT64_C(1) << 48)
        return err_set(e, "disk image '%s': its VHDX log is misplaced", img->path);
    return true;
}

static bool set_region(struct image *img, const uint8_t *entry, uint64_t *at, uint32_t *length, struct err *e)
{
    uint64_t off = ld64(entry + 16);
    uint32_t len = ld32(entry + 24);

    if (*at || off < VHDX_MB || off % VHDX_MB || !len || len % VHDX_MB || off > image_size(img->file) ||
        len > image_size(img->file) - off)
        return err_set(e, "disk image '%s': a VHDX region at %" PRIu64 " is misplaced or named twice", img->path, off);
    *at = off;
    *length = len;
    return true;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len) { return a < b + b_len && b < a + a_len; }

static bool parse_regions(struct image *img, struct vhdx *v, const uint8_t *t, struct err *e)
{
    uint32_t n = ld32(t + 8);

    if (n > 2047)
        return err_set(e, "disk image '%s': a VHDX table of %" PRIu32 " regions", img->path, n);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *entry = t + 16 + i * 32;
        bool ok = true;

        if (!memcmp(entry, vhdx_guid_table, 16))
            ok = set_region(img, entry, &v->table, &v->table_length, e);
        else if (!memcmp(entry, vhdx_guid_metadata, 16))
            ok = set_region(img, entry, &v->metadata, &v->metadata_length, e);
        else if (ld32(entry + 28) & 1)
            ok = err_set(e, "disk image '%s': a required VHDX region is not known", img->path);
        if (!ok)
            return false;
    }
    if (!v->table || !v->metadata)
        return err_set(e, "disk image '%s' has no VHDX %s", img->path, v->table ? "metadata" : "block table");
    if (overlap(v->table, v->table_length, v->metadata, v->metadata_length) ||
        overlap(v->table, v->table_length, v->log, v->log_length) ||
        overlap(v->metadata, v->metadata_length, v->log, v->log_length))
        return err_set(e, "disk image '%s': VHDX regions overlap", img->path);
    return true;
}

static bool read_regions(struct image *img, struct vhdx *v, struct err *e)
{
    uint8_t *t = malloc(VHDX_TABLE);
    bool ok = false;
    int ret = 0;

    for (unsigned i = 0; t && !ok && i < 2; i++) {
        ret = fmt_read(img->file, t, i ? VHDX_REGIONS_2 : VHDX_REGIONS_1, VHDX_TABLE);
        ok = !ret && !memcmp(t, "regi", 4) && ld32(t + 4) == vhdx_crc(t, VHDX_TABLE, 4);
    }
    ok =
        ok ? parse_regions(img, v, t, e) : err_set(e, "disk image '%s': its VHDX region tables are damaged", img->path);
    free(t);
    return ok;
}

struct items {
    uint32_t flags, logical;
    uint64_t size;
    unsigned seen;
};

static bool read_item(struct image *img, struct vhdx *v, const uint8_t *entry, struct items *items, struct err *e)
{
    static const uint32_t lengths[] = {8, 8, 16, 4, 4, 0};
    uint8_t b[16] = {0};
    uint32_t off = ld32(entry + 16), len = ld32(entry + 20);
    unsigned k = 0;

    while (k < ARRAY_LEN(lengths) && memcmp(entry, vhdx_guid_items[k], 16) != 0)
        k++;
    if (k == ARRAY_LEN(lengths))
        return !(ld32(entry + 24) & VHDX_REQUIRED) ||
               err_set(e, "disk image '%s': a required VHDX metadata item is not known", img->path);
    items->seen |= 1u << k;
    if (k == VHDX_PARENT)
        return true;
    if (len < lengths[k] || off < VHDX_TABLE || off > v->metadata_length || len > v->metadata_length - off ||
        meta_read(&v->sparse.meta, v->metadata + off, b, lengths[k]))
        return err_set(e, "disk image '%s': a VHDX metadata item lies outside its region", img->path);
    if (k == VHDX_PARAMETERS) {
        v->block_size = ld32(b);
        items->flags = ld32(b + 4);
    } else if (k == VHDX_DISK_SIZE) {
        items->size = ld64(b);
    } else if (k == VHDX_LOGICAL) {
        items->logical = ld32(b);
    }
    return true;
}

static bool check_items(struct image *img, struct vhdx *v, const struct items *it, struct err *e)
{
    unsigned need = 1u << VHDX_PARAMETERS | 1u << VHDX_DISK_SIZE | 1u << VHDX_LOGICAL;
    uint64_t entries;

    if ((it->seen & need) != need)
        return err_set(e, "disk image '%s' lacks required VHDX metadata", img->path);
    if (it->flags & VHDX_HAS_PARENT)
        return err_set(e, "disk image '%s' is a differencing VHDX image; merge it with its parent first", img->path);
    if (it->logical != 512 && it->logical != 4096)
        return err_set(e, "disk image '%s': a VHDX sector size of %" PRIu32 " is not known", img->path, it->logical);
    if (!is_pow2(v->block_size) || v->block_size < VHDX_MB || v->block_size > 256u * VHDX_MB)
        return err_set(e, "disk image '%s': a VHDX block size of %" PRIu32 " is not allowed", img->path, v->block_size);
    if (!it->size || it->size % it->logical || it->size > UINT64_C(64) << 40)
        return err_set(e, "disk image '%s': a VHDX disk of %" PRIu64 " bytes is not allowed", img->path, it->size);
    img->size = it->size;
    img->logical = it->logical;
    v->chunk_ratio = (uint32_t)((UINT64_C(1) << 23) * it->logical / v->block_size);
    v->blocks = (it->size + v->block_size - 1) / v->block_size;
    entries = v->blocks + (v->blocks - 1) / v->chunk_ratio;
    if (entries * 8 > v->table_length)
        return err_set(e, "disk image '%s': its VHDX block table is too short", img->path);
    v->sparse.fixed = it->flags & VHDX_FIXED;
    return true;
}

static bool read_metadata(struct image *img, struct vhdx *v, struct err *e)
{
    struct items items = {0};
    uint8_t *t = malloc(VHDX_TABLE);
    bool ok = t && !meta_read(&v->sparse.meta, v->metadata, t, VHDX_TABLE) && !memcmp(t, "metadata", 8);
    uint32_t n = ok ? ld16(t + 10) : 0;

    if (!ok || n > 2047)
        ok = err_set(e, "disk image '%s': its VHDX metadata table is damaged", img->path);
    for (uint32_t i = 0; ok && i < n; i++)
        ok = read_item(img, v, t + 32 + i * 32, &items, e);
    free(t);
    return ok && check_items(img, v, &items, e);
}

/* For writing: where allocated blocks end, and that they lie in the file and off the tables. */
static int scan_table(struct image *img, struct vhdx *v, bool *bad)
{
    uint64_t size = image_size(img->file);
    uint64_t ends[] = {v->log + v->log_length, v->table + v->table_length, v->metadata + v->metadata_length};
    int ret = 0;

    v->end = VHDX_MB;
    *bad = false;
    for (unsigned i = 0; i < 3; i++)
        v->end = v->end > ends[i] ? v->end : ends[i];
    for (uint64_t blk = 0; !ret && blk < v->blocks; blk++) {
        uint8_t raw[8];
        uint64_t at;

        ret = meta_read(&v->sparse.meta, entry_at(v, blk), raw, 8);
        if (ret || (ld64(raw) & 7) != VHDX_PRESENT)
            continue;
        at = ld64(raw) & ~UINT64_C(0xfffff);
        *bad = *bad || at >= size || at < VHDX_MB || overlap(at, v->block_size, v->table, v->table_length) ||
               overlap(at, v->block_size, v->metadata, v->metadata_length) ||
               overlap(at, v->block_size, v->log, v->log_length);
        if (at + v->block_size > v->end)
            v->end = at + v->block_size;
    }
    v->end = align_up(v->end > size ? v->end : size, VHDX_MB); /* others may keep things behind the last block */
    return ret;
}

static bool open_tables(struct image *img, struct vhdx *v, struct err *e)
{
    bool bad = false;
    int ret;

    if (!vhdx_replay(img, e) || !read_metadata(img, v, e))
        return false;
    v->sparse.shift = (unsigned)__builtin_ctz(v->block_size);
    ret = img->read_only ? 0 : scan_table(img, v, &bad);
    if (ret || bad)
        return err_set(e, "disk image '%s': its VHDX block table %s", img->path,
                       ret ? "cannot be read" : "is damaged; it can be opened read-only");
    img->cluster = v->block_size;
    img->discard = !img->read_only && !v->sparse.fixed;
    v->sparse.clean_from = image_size(img->file);
    return true;
}

static bool vhdx_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct vhdx *v = calloc(1, sizeof *v);

    (void)o;
    if (!v)
        return err_set(e, "disk image '%s': out of memory", img->path);
    img->priv = v;
    if (read_headers(img, v, e) && read_regions(img, v, e) && sparse_init(&v->sparse, &vhdx_sparse, img->file, 20, e)) {
        if (open_tables(img, v, e)) {
            pthread_mutex_init(&v->begin, NULL);
            return true;
        }
        sparse_fini(&v->sparse);
    }
    free(v);
    return false;
}

/* Before the first write: other GUIDs, so that nobody takes this for the old image, and the log's. */
static int begin_writing(struct image *img)
{
    struct vhdx *v = img->priv;
    int ret = 0;

    if (__atomic_load_n(&v->begun, __ATOMIC_ACQUIRE))
        return 0;
    pthread_mutex_lock(&v->begin);
    if (!v->begun) {
        fmt_uuid(v->head + VHDX_FILE_GUID);
        fmt_uuid(v->head + VHDX_DATA_GUID);
        fmt_uuid(v->head + VHDX_LOG_GUID);
        ret = vhdx_write_header(img);
        __atomic_store_n(&v->begun, !ret, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&v->begin);
    return ret;
}

static int vhdx_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct vhdx *v = img->priv;
    int ret = flags & IMAGE_NOWAIT && !__atomic_load_n(&v->begun, __ATOMIC_ACQUIRE) ? -EAGAIN : begin_writing(img);

    return ret ? ret : sparse_writev(img, iov, n, off, flags);
}

static int vhdx_discard(struct image *img, uint64_t off, uint64_t len)
{
    int ret = begin_writing(img);

    return ret ? ret : sparse_discard(img, off, len);
}

static int vhdx_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = flags & IMAGE_NOWAIT ? -EAGAIN : begin_writing(img);

    return ret ? ret : sparse_write_zeroes(img, off, len, flags);
}

static int vhdx_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct vhdx *v = img->priv;

    if (write && !__atomic_load_n(&v->begun, __ATOMIC_ACQUIRE))
        return -EAGAIN;
    return sparse_direct_begin(img, off, len, write, fd, host_off);
}

static void vhdx_close(struct image *img)
{
    struct vhdx *v = img->priv;

    if (v->begun && !sparse_flush(img)) {
        memset(v->head + VHDX_LOG_GUID, 0, 16); /* nothing is left to be replayed */
        vhdx_write_header(img);
    }
    sparse_fini(&v->sparse);
    pthread_mutex_destroy(&v->begin);
    free(v);
}

const struct image_ops image_vhdx = {
    .format = "vhdx",
    .open = vhdx_open,
    .close = vhdx_close,
    .readv = sparse_readv,
    .writev = vhdx_writev,
    .flush = sparse_flush,
    .discard = vhdx_discard,
    .write_zeroes = vhdx_write_zeroes,
    .map = sparse_map,
    .direct_begin = vhdx_direct_begin,
    .direct_end = sparse_direct_end,
    .create = vhdx_create,
};
