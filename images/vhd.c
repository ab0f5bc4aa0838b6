/*
 * VHD, the image format of Virtual PC and Hyper-V, fixed and dynamic.
 *
 * A fixed image is the disk with a footer behind it. A dynamic one begins with a copy of the footer and a header, has a
 * table of 32-bit sector numbers, and blocks (of 2 MiB as a rule), each behind a bitmap of the sectors that hold data.
 * A new block takes the place of the footer, which moves on at the next flush; until then the copy in front counts.
 * The sectors of a new block are all marked at once, as QEMU does.
 * Source: Microsoft "Virtual Hard Disk Image Format Specification", 1.0 (2006).
 */
#include "images/vhd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/sparse.h"

struct vhd {
    struct sparse sparse; /* first */
    uint8_t footer[VHD_SECTOR];
    uint64_t table, end; /* end: of what is allocated; the footer's place */
    uint32_t entries, block_size, bitmap_size;
    bool footer_moved; /* the footer at `end` is to be written */
};

uint32_t vhd_checksum(const uint8_t *p, size_t n, size_t checksum_at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i >= checksum_at && i < checksum_at + 4 ? 0 : p[i];
    return ~sum;
}

uint32_t vhd_bitmap_size(uint32_t block_size)
{
    return (uint32_t)align_up((block_size / VHD_SECTOR + 7) / 8, VHD_SECTOR);
}

static int table_entry(struct image *img, uint64_t blk, uint32_t *entry)
{
    struct vhd *v = img->priv;
    uint8_t raw[4];
    int ret = blk < v->entries ? meta_read(&v->sparse.meta, v->table + blk * 4, raw, 4) : -EIO;

    *entry = ret ? VHD_UNUSED : ld32be(raw);
    return ret;
}

/* How many bits from `bit` on, at most max, are alike in the bitmap at `at`; *set is what they are. */
static int bitmap_run(struct vhd *v, uint64_t at, uint32_t bit, uint32_t max, bool *set, uint32_t *run)
{
    uint8_t part[256];
    uint32_t done = 0;

    while (done < max) {
        uint32_t first = (bit + done) / 8, n = (bit + max + 7) / 8 - first;
        int ret;

        if (n > sizeof part)
            n = sizeof part;
        ret = meta_read(&v->sparse.meta, at + first, part, n);
        if (ret)
            return ret;
        if (!done)
            *set = part[0] >> (7 - bit % 8) & 1;
        while (done < max && (bit + done) / 8 < first + n) {
            uint32_t b = bit + done;
            uint8_t byte = part[b / 8 - first];

            if (b % 8 == 0 && byte == (*set ? 0xff : 0) && max - done >= 8) {
                done += 8;
            } else if ((byte >> (7 - b % 8) & 1) == *set) {
                done++;
            } else {
                *run = done;
                return 0;
            }
        }
    }
    *run = done;
    return 0;
}

static int vhd_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct vhd *v = img->priv;
    uint32_t entry, sector = in / VHD_SECTOR, end = (in + *len + VHD_SECTOR - 1) / VHD_SECTOR, run;
    uint64_t at, bytes;
    bool set;
    int ret = table_entry(img, blk, &entry);

    *p = (struct place){.kind = PLACE_HOLE};
    if (ret || entry == VHD_UNUSED)
        return ret;
    at = (uint64_t)entry * VHD_SECTOR;
    ret = bitmap_run(v, at, sector, end - sector, &set, &run);
    if (ret)
        return ret;
    bytes = (uint64_t)(sector + run) * VHD_SECTOR - in;
    if (bytes < *len)
        *len = (uint32_t)bytes;
    if (set)
        *p = (struct place){PLACE_DATA, at + v->bitmap_size + in};
    return 0;
}

static int vhd_allocate(struct image *img, uint64_t blk, uint64_t *off)
{
    struct vhd *v = img->priv;

    (void)blk;
    if (v->end / VHD_SECTOR >= VHD_UNUSED)
        return -EFBIG;
    *off = v->end + v->bitmap_size;
    v->end = *off + v->block_size;
    v->footer_moved = true;
    return 0;
}

static void vhd_release(struct image *img, uint64_t off)
{
    struct vhd *v = img->priv;

    v->end = off - v->bitmap_size;
}

/* Into the table cache and to the file: it is to be stable before the entry that makes it count. */
static int write_bitmap(struct image *img, uint64_t at)
{
    struct vhd *v = img->priv;
    uint8_t ones[VHD_SECTOR];
    int ret = 0;

    memset(ones, 0xff, sizeof ones);
    for (uint32_t done = 0; !ret && done < v->bitmap_size; done += VHD_SECTOR) {
        ret = fmt_write(img->file, ones, at + done, sizeof ones);
        if (!ret)
            ret = meta_change(&v->sparse.meta, at + done, ones, sizeof ones);
    }
    return ret;
}

static int vhd_attach(struct image *img, uint64_t blk, uint64_t off)
{
    struct vhd *v = img->priv;
    uint8_t raw[4];
    int ret = write_bitmap(img, off - v->bitmap_size);

    st32be(raw, (uint32_t)((off - v->bitmap_size) / VHD_SECTOR));
    if (!ret)
        ret = meta_change(&v->sparse.meta, v->table + blk * 4, raw, 4);
    if (!ret && v->sparse.clean_from < v->end)
        v->sparse.clean_from = v->end;
    return ret;
}

/* A sector that is only partly written and had no data before: the rest of it is zero. */
static int zero_edge(struct image *img, uint64_t data, uint32_t at)
{
    return at % VHD_SECTOR ? fmt_zero(img->file, data + at - at % VHD_SECTOR, VHD_SECTOR) : 0;
}

/* Mark the sectors of [in, in + len) of a block that is there. */
static int vhd_claim(struct image *img, uint64_t blk, uint32_t in, uint32_t len)
{
    struct vhd *v = img->priv;
    uint32_t entry, end = (in + len + VHD_SECTOR - 1) / VHD_SECTOR;
    int ret = table_entry(img, blk, &entry);
    uint64_t at = (uint64_t)entry * VHD_SECTOR;

    if (ret || entry == VHD_UNUSED)
        return ret ? ret : 1;
    for (uint32_t s = in / VHD_SECTOR; !ret && s < end; s++) {
        uint8_t byte;

        ret = meta_read(&v->sparse.meta, at + s / 8, &byte, 1);
        if (ret || byte >> (7 - s % 8) & 1)
            continue;
        if (s == in / VHD_SECTOR)
            ret = zero_edge(img, at + v->bitmap_size, in);
        if (!ret && s == end - 1)
            ret = zero_edge(img, at + v->bitmap_size, in + len);
        byte |= (uint8_t)(0x80u >> (s % 8));
        if (!ret)
            ret = meta_change(&v->sparse.meta, at + s / 8, &byte, 1);
    }
    return ret;
}

static int vhd_before(struct image *img)
{
    struct vhd *v = img->priv;
    return v->footer_moved ? fmt_write(img->file, v->footer, v->end, VHD_SECTOR) : 0;
}

static void vhd_after(struct image *img) { ((struct vhd *)img->priv)->footer_moved = false; }

static const struct sparse_ops vhd_dynamic = {
    .find = vhd_find,
    .allocate = vhd_allocate,
    .release = vhd_release,
    .attach = vhd_attach,
    .claim = vhd_claim,
    .before = vhd_before,
    .after = vhd_after,
};

static int fixed_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct vhd *v = img->priv;

    (void)len;
    *p = (struct place){PLACE_DATA, (blk << v->sparse.shift) + in};
    return 0;
}

static const struct sparse_ops vhd_fixed = {.find = fixed_find};

static bool is_footer(const uint8_t *f)
{
    return !memcmp(f, "conectix", 8) && vhd_checksum(f, VHD_SECTOR, VHD_CHECKSUM) == ld32be(f + VHD_CHECKSUM);
}

/*
 * The footer that counts: of a fixed disk it is the one at the end, whatever the guest wrote to the first sector; of
 * a dynamic one the copy in front, as a crash may have left none behind.
 */
static bool read_footer(struct image *img, struct vhd *v, struct err *e)
{
    uint64_t size = image_size(img->file);
    uint8_t last[VHD_SECTOR];
    int ret = size < VHD_SECTOR ? -EIO : fmt_read(img->file, last, size - VHD_SECTOR, VHD_SECTOR);

    if (!ret)
        ret = fmt_read(img->file, v->footer, 0, VHD_SECTOR);
    if (ret)
        return err_set(e, "disk image '%s': cannot read a VHD footer: %s", img->path,
                       size < VHD_SECTOR ? "too short" : strerror(-ret));
    if (is_footer(last) && (ld32be(last + VHD_TYPE) == VHD_FIXED || !is_footer(v->footer)))
        memcpy(v->footer, last, VHD_SECTOR);
    if (is_footer(v->footer))
        return true;
    if (!memcmp(v->footer, "conectix", 8) || !memcmp(last, "conectix", 8))
        return err_set(e, "disk image '%s': the checksum of its VHD footer is wrong", img->path);
    return err_set(e, "disk image '%s' is no VHD image", img->path);
}

/*
 * Virtual PC's disks are as large as their geometry says, Hyper-V's as the footer's size: by the program that made it,
 * or where geometry says no more than that the disk is large (QEMU's rules, block/vpc.c).
 */
static uint64_t disk_size(const uint8_t *f)
{
    static const char by_size[][5] = {"qem2", "win ", "d2v ", "tap\0", "wa\0\0", "CTXS", "gise"};
    uint64_t chs = (uint64_t)ld16be(f + VHD_CYLINDERS) * f[VHD_HEADS] * f[VHD_SPT];

    for (size_t i = 0; i < ARRAY_LEN(by_size); i++)
        if (!memcmp(f + VHD_CREATOR, by_size[i], 4))
            chs = VHD_MAX_CHS;
    return chs == VHD_MAX_CHS ? ld64be(f + VHD_SIZE) & ~(uint64_t)(VHD_SECTOR - 1) : chs * VHD_SECTOR;
}

/* Where allocated blocks end. Blocks must lie behind the table and inside the file. */
static int scan_table(struct image *img, struct vhd *v, bool *bad)
{
    enum { SCAN = 16384 };
    uint64_t first = align_up(v->table + (uint64_t)v->entries * 4, VHD_SECTOR), size = image_size(img->file);
    uint8_t *part = malloc(SCAN * 4);
    int ret = part ? 0 : -ENOMEM;

    v->end = first;
    *bad = false;
    for (uint64_t i = 0; !ret && i < v->entries; i += SCAN) {
        uint32_t n = v->entries - i < SCAN ? (uint32_t)(v->entries - i) : SCAN;

        ret = meta_read(&v->sparse.meta, v->table + i * 4, part, n * 4);
        for (uint32_t k = 0; !ret && k < n; k++) {
            uint64_t at = (uint64_t)ld32be(part + k * 4) * VHD_SECTOR, end = at + v->bitmap_size + v->block_size;

            if (ld32be(part + k * 4) == VHD_UNUSED)
                continue;
            *bad = *bad || at < VHD_SECTOR || at + v->bitmap_size > size;
            if (end > v->end)
                v->end = end;
        }
    }
    free(part);
    return ret;
}

static bool check_dynamic(struct image *img, struct vhd *v, const uint8_t *h, struct err *e)
{
    uint64_t table_end;

    if (memcmp(h, "cxsparse", 8) != 0 ||
        vhd_checksum(h, VHD_DYN_SIZE, VHD_DYN_CHECKSUM) != ld32be(h + VHD_DYN_CHECKSUM))
        return err_set(e, "disk image '%s': the header of this dynamic VHD image is damaged", img->path);
    v->table = ld64be(h + VHD_DYN_TABLE);
    v->entries = ld32be(h + VHD_DYN_ENTRIES);
    v->block_size = ld32be(h + VHD_DYN_BLOCK);
    v->bitmap_size = vhd_bitmap_size(v->block_size);
    if (!is_pow2(v->block_size) || v->block_size < VHD_SECTOR || v->block_size > 256u << 20)
        return err_set(e, "disk image '%s': a VHD block size of %" PRIu32 " is not supported", img->path,
                       v->block_size);
    if ((uint64_t)v->entries * v->block_size < img->size)
        return err_set(e, "disk image '%s': its VHD table of %" PRIu32 " blocks is too small for its size", img->path,
                       v->entries);
    table_end = v->table + (uint64_t)v->entries * 4;
    if (v->table % 4 || v->table > image_size(img->file) || table_end > image_size(img->file))
        return err_set(e, "disk image '%s': its VHD table lies outside the file", img->path);
    return true;
}

static bool open_dynamic(struct image *img, struct vhd *v, struct err *e)
{
    uint8_t h[VHD_DYN_SIZE];
    bool bad = false;
    int ret = fmt_read(img->file, h, ld64be(v->footer + VHD_DATA_OFF), VHD_DYN_SIZE);

    if (ret)
        return err_set(e, "disk image '%s': cannot read the header of a dynamic VHD image: %s", img->path,
                       strerror(-ret));
    if (!check_dynamic(img, v, h, e) ||
        !sparse_init(&v->sparse, &vhd_dynamic, img->file, (unsigned)__builtin_ctz(v->block_size), e))
        return false;
    ret = img->read_only ? 0 : scan_table(img, v, &bad);
    img->cluster = v->block_size;
    img->discard = !img->read_only;
    if (!ret && !bad)
        return true;
    sparse_fini(&v->sparse);
    return err_set(e, "disk image '%s': its VHD table %s", img->path,
                   ret ? "cannot be read" : "is damaged; it can be opened read-only");
}

static bool open_fixed(struct image *img, struct vhd *v, struct err *e)
{
    if (img->size > image_size(img->file) - VHD_SECTOR)
        return err_set(e, "disk image '%s': a VHD disk of %" PRIu64 " bytes does not fit in its file", img->path,
                       img->size);
    v->sparse.fixed = true;
    return sparse_init(&v->sparse, &vhd_fixed, img->file, 21, e);
}

static bool vhd_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct vhd *v = calloc(1, sizeof *v);
    uint32_t type;
    bool ok = false;

    (void)o;
    if (!v)
        return err_set(e, "disk image '%s': out of memory", img->path);
    img->priv = v;
    if (read_footer(img, v, e)) {
        type = ld32be(v->footer + VHD_TYPE);
        img->size = disk_size(v->footer);
        if (!img->size || img->size / VHD_SECTOR > VHD_MAX_SECTORS)
            err_set(e, "disk image '%s': a VHD disk of %" PRIu64 " bytes is not supported", img->path, img->size);
        else if (type == VHD_DIFFERENCING)
            err_set(e, "disk image '%s' is a differencing VHD image; merge it with its parent first", img->path);
        else if (type != VHD_FIXED && type != VHD_DYNAMIC)
            err_set(e, "disk image '%s': a VHD image of type %u is not known", img->path, type);
        else
            ok = type == VHD_FIXED ? open_fixed(img, v, e) : open_dynamic(img, v, e);
    }
    if (!ok)
        free(v);
    return ok;
}

static void vhd_close(struct image *img)
{
    struct vhd *v = img->priv;

    if (!img->read_only)
        sparse_flush(img);
    sparse_fini(&v->sparse);
    free(v);
}

const struct image_ops image_vpc = {
    .format = "vpc",
    .open = vhd_open,
    .close = vhd_close,
    .readv = sparse_readv,
    .writev = sparse_writev,
    .flush = sparse_flush,
    .discard = sparse_discard,
    .write_zeroes = sparse_write_zeroes,
    .map = sparse_map,
    .direct_begin = sparse_direct_begin,
    .direct_end = sparse_direct_end,
    .create = vhd_create,
};
