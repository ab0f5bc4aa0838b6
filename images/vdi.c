/*
 * VDI, the image format of VirtualBox: a header, a map of 32-bit place numbers, and blocks (of 1 MiB as a rule).
 *
 * VirtualBox and QEMU put a new block at the place whose number is the header's count of allocated blocks. So the
 * count must never be too small: it is stable before any entry that makes it right. It may be too large after a crash;
 * places without an entry are used again by the next allocation, and closing moves the last blocks into what is left.
 * Source: VirtualBox src/VBox/Storage/VDICore.h (the layout), the forum's "All about VDIs"; limits as in QEMU.
 */
#include "images/vdi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"

enum { /* offsets in the header */
       VERSION = 0x44,
       TYPE = 0x4c,
       MAP_OFF = 0x154,
       DATA_OFF = 0x158,
       SECTOR_SIZE = 0x168,
       DISK_SIZE = 0x170,
       BLOCK_SIZE = 0x178,
       BLOCK_EXTRA = 0x17c,
       BLOCKS = 0x180,
       ALLOCATED = 0x184,
       UUID_LINK = 0x1a8,
       UUID_PARENT = 0x1b8,
       SCAN = 16384, /* entries read at once */
};

uint64_t vdi_place(const struct vdi *v, uint32_t n) { return v->data_off + ((uint64_t)n << v->sparse.shift); }

int vdi_entry(struct image *img, uint64_t blk, uint32_t *entry)
{
    struct vdi *v = img->priv;
    int ret = meta_read(&v->sparse.meta, v->map_off + blk * 4, entry, 4);

    return ret;
}

int vdi_set_entry(struct image *img, uint64_t blk, uint32_t entry)
{
    struct vdi *v = img->priv;

    return meta_change(&v->sparse.meta, v->map_off + blk * 4, &entry, 4);
}

bool vdi_is_used(const struct vdi *v, uint32_t n) { return n < v->places && v->used[n >> 3] >> (n & 7) & 1; }

void vdi_use(struct vdi *v, uint32_t n, bool yes)
{
    if (vdi_is_used(v, n) == yes)
        return;
    v->used[n >> 3] ^= (uint8_t)(1u << (n & 7));
    v->in_use += yes ? 1 : UINT32_MAX;
    if (yes && n >= v->top)
        v->top = n + 1;
    if (!yes && n < v->lowest)
        v->lowest = n;
    while (v->top && !vdi_is_used(v, v->top - 1))
        v->top--;
}

static int vdi_find(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p)
{
    struct vdi *v = img->priv;
    uint32_t entry;
    int ret = vdi_entry(img, blk, &entry);

    (void)len;
    *p = (struct place){.kind = PLACE_HOLE};
    if (ret || entry >= VDI_DISCARDED)
        return ret;
    *p = (struct place){PLACE_DATA, vdi_place(v, entry) + in};
    return p->off < image_size(img->file) ? 0 : -EIO; /* the file was cut, or the entry is wrong */
}

int vdi_take_place(struct vdi *v, uint32_t *n)
{
    for (*n = v->lowest; *n < v->top && vdi_is_used(v, *n);)
        ++*n;
    if (*n >= v->blocks || *n >= v->places)
        return -EAGAIN;
    v->lowest = *n;
    vdi_use(v, *n, true);
    return 0;
}

static int vdi_allocate(struct image *img, uint64_t blk, uint64_t *off)
{
    struct vdi *v = img->priv;
    uint32_t n;
    int ret;

    (void)blk;
    if (v->damaged)
        return -EROFS;
    ret = vdi_take_place(v, &n);
    if (ret == -EAGAIN && v->freed_n) { /* all that are free wait for a flush */
        ret = sparse_commit(img);
        if (!ret)
            ret = vdi_take_place(v, &n);
    }
    if (!ret)
        *off = vdi_place(v, n);
    return ret == -EAGAIN ? -EIO : ret;
}

static void vdi_release(struct image *img, uint64_t off)
{
    struct vdi *v = img->priv;

    vdi_use(v, (uint32_t)((off - v->data_off) >> v->sparse.shift), false);
}

static int vdi_attach(struct image *img, uint64_t blk, uint64_t off)
{
    struct vdi *v = img->priv;
    uint64_t end = off + v->block_size;

    if (v->sparse.clean_from < end)
        v->sparse.clean_from = end;
    return vdi_set_entry(img, blk, (uint32_t)((off - v->data_off) >> v->sparse.shift));
}

static int vdi_detach(struct image *img, uint64_t blk)
{
    struct vdi *v = img->priv;
    uint32_t entry;
    int ret = v->damaged ? -EROFS : vdi_entry(img, blk, &entry);

    if (ret || entry >= VDI_DISCARDED)
        return ret;
    if (v->freed_n == v->freed_max) {
        uint32_t max = v->freed_max ? 2 * v->freed_max : 64;
        uint32_t *more = realloc(v->freed, max * sizeof *more);

        if (!more)
            return -ENOMEM;
        v->freed = more;
        v->freed_max = max;
    }
    ret = vdi_set_entry(img, blk, VDI_DISCARDED);
    if (ret)
        return ret;
    v->freed[v->freed_n++] = entry;
    return 0;
}

int vdi_write_header(struct image *img)
{
    struct vdi *v = img->priv;

    v->stable = 0;
    v->sparse.dirty = true; /* until a flush has made it stable */
    st32(v->head + ALLOCATED, v->count);
    return fmt_write(img->file, v->head, 0, VDI_HEADER);
}

/* The count covers every place that an entry names or is about to. */
static int vdi_before(struct image *img)
{
    struct vdi *v = img->priv;

    if (v->stable >= v->top)
        return 0;
    if (v->count < v->top)
        v->count = v->top;
    return vdi_write_header(img);
}

/* The entries are stable: what they gave up is free, and its space goes back to the host. */
static void vdi_after(struct image *img)
{
    struct vdi *v = img->priv;

    v->stable = v->count;
    for (uint32_t i = 0; i < v->freed_n; i++) {
        vdi_use(v, v->freed[i], false);
        if (img->file->ops->discard)
            img->file->ops->discard(img->file, vdi_place(v, v->freed[i]), v->block_size);
    }
    v->freed_n = 0;
}

static const struct sparse_ops vdi_sparse = {
    .find = vdi_find,
    .allocate = vdi_allocate,
    .release = vdi_release,
    .attach = vdi_attach,
    .detach = vdi_detach,
    .before = vdi_before,
    .after = vdi_after,
};

/* One entry of a scan. */
static bool scan_entry(struct image *img, uint64_t blk, uint32_t entry, char *line, size_t size)
{
    struct vdi *v = img->priv;

    if (entry >= v->places || vdi_place(v, entry) >= image_size(img->file))
        snprintf(line, size, "block %" PRIu64 " lies outside the file, at place %" PRIu32, blk, entry);
    else if (vdi_is_used(v, entry))
        snprintf(line, size, "block %" PRIu64 " lies at place %" PRIu32 ", which another one uses too", blk, entry);
    else
        return true;
    return false;
}

int vdi_scan(struct image *img, void (*report)(void *, const char *), void *arg, uint64_t *bad)
{
    struct vdi *v = img->priv;
    uint32_t *part = malloc(SCAN * sizeof *part);
    int ret = part ? 0 : -ENOMEM;

    *bad = 0;
    memset(v->used, 0, (v->places + 7) / 8);
    v->top = v->in_use = v->lowest = 0;
    for (uint64_t blk = 0; !ret && blk < v->blocks; blk += SCAN) {
        uint32_t n = v->blocks - blk < SCAN ? (uint32_t)(v->blocks - blk) : SCAN;

        ret = meta_read(&v->sparse.meta, v->map_off + blk * 4, part, n * sizeof *part);
        for (uint32_t i = 0; !ret && i < n; i++) {
            char line[128];

            if (part[i] >= VDI_DISCARDED)
                continue;
            if (scan_entry(img, blk + i, part[i], line, sizeof line)) {
                vdi_use(v, part[i], true);
                continue;
            }
            ++*bad;
            if (report)
                report(arg, line);
        }
    }
    v->damaged = *bad || ret;
    free(part);
    return ret;
}

int vdi_move(struct image *img, uint32_t from, uint32_t to)
{
    enum { STEP = 64 << 10 };
    struct vdi *v = img->priv;
    uint8_t *buf = malloc(STEP);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t done = 0; !ret && done < v->block_size;) {
        uint32_t n = v->block_size - done < STEP ? v->block_size - done : STEP;

        ret = fmt_read_pad(img->file, buf, vdi_place(v, from) + done, n);
        if (!ret)
            ret = fmt_write(img->file, buf, vdi_place(v, to) + done, n);
        done += n;
    }
    free(buf);
    return ret;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n && !*p)
        p++, n--;
    return !n;
}

static bool check_header(struct image *img, const uint8_t *h, struct err *e)
{
    uint64_t size = ld64(h + DISK_SIZE), blocks = ld32(h + BLOCKS), block = ld32(h + BLOCK_SIZE);
    uint32_t type = ld32(h + TYPE);

    if (memcmp(h + VDI_SIGNATURE_AT, "\x7f\x10\xda\xbe", 4) != 0)
        return err_set(e, "disk image '%s' is no VDI image", img->path);
    if (ld32(h + VERSION) >> 16 != 1)
        return err_set(e, "disk image '%s': VDI version %u.%u is not known", img->path, ld16(h + VERSION + 2),
                       ld16(h + VERSION));
    if (type != VDI_DYNAMIC && type != VDI_STATIC)
        return err_set(e, "disk image '%s' is a VDI image of type %u%s; only dynamic and static ones are opened",
                       img->path, type,
                       type == 4   ? " (differencing)"
                       : type == 3 ? " (undo)"
                                   : "");
    if (!all_zero(h + UUID_PARENT, 16) || !all_zero(h + UUID_LINK, 16))
        return err_set(e, "disk image '%s' is a differencing VDI image; merge it with its parent first", img->path);
    if (ld32(h + SECTOR_SIZE) != 512)
        return err_set(e, "disk image '%s': a VDI sector size of %u is not known", img->path, ld32(h + SECTOR_SIZE));
    if (!is_pow2(block) || block < 4096 || block > 256u << 20 || ld32(h + BLOCK_EXTRA))
        return err_set(e, "disk image '%s': a VDI block size of %" PRIu64 " with %u extra bytes is not supported",
                       img->path, block, ld32(h + BLOCK_EXTRA));
    if (!size || blocks > VDI_MAX_BLOCKS || size > blocks * block)
        return err_set(e, "disk image '%s': its VDI header has a size of %" PRIu64 " in %" PRIu64 " blocks", img->path,
                       size, blocks);
    return true;
}

/* The map and the data lie in the file and apart. */
static bool check_layout(struct image *img, const struct vdi *v, struct err *e)
{
    uint64_t map_end = v->map_off + (uint64_t)v->blocks * 4;

    if (v->map_off < VDI_HEADER || v->map_off % 512 || v->data_off % 512 || map_end > v->data_off)
        return err_set(
            e, "disk image '%s': its VDI map (at %" PRIu64 ") and data (at %" PRIu64 ") overlap or are misplaced",
            img->path, v->map_off, v->data_off);
    if (map_end > image_size(img->file))
        return err_set(e, "disk image '%s': the file ends inside its VDI map", img->path);
    return true;
}

bool vdi_places(struct image *img)
{
    struct vdi *v = img->priv;
    uint64_t bytes = image_size(img->file), inside;

    inside = bytes > v->data_off ? (bytes - v->data_off + v->block_size - 1) >> v->sparse.shift : 0;
    v->places = inside < v->blocks ? v->blocks : inside < VDI_MAX_BLOCKS ? (uint32_t)inside : VDI_MAX_BLOCKS;
    free(v->used);
    v->used = calloc(v->places / 8 + 1, 1);
    return v->used;
}

/* For writing: what is in use, and whether it makes sense. */
static bool open_for_writing(struct image *img, const struct image_options *o, struct err *e)
{
    struct vdi *v = img->priv;
    uint64_t bad;
    int ret;

    if (!vdi_places(img))
        return err_set(e, "disk image '%s': out of memory", img->path);
    ret = vdi_scan(img, NULL, NULL, &bad);
    if (ret)
        return err_set(e, "disk image '%s': cannot read its VDI map: %s", img->path, strerror(-ret));
    if (v->damaged && !o->no_repair)
        return err_set(e, "disk image '%s': its VDI map is damaged; open it read-only, or run check -r all", img->path);
    v->sparse.clean_from = align_up(image_size(img->file), 512);
    return true;
}

static bool vdi_open(struct image *img, const struct image_options *o, struct err *e)
{
    struct vdi *v = calloc(1, sizeof *v);
    int ret;

    if (!v)
        return err_set(e, "disk image '%s': out of memory", img->path);
    img->priv = v;
    ret = fmt_read(img->file, v->head, 0, VDI_HEADER);
    if (ret) {
        err_set(e, "disk image '%s': cannot read a VDI header: %s", img->path,
                ret == -EIO ? "too short" : strerror(-ret));
        goto bad;
    }
    v->map_off = ld32(v->head + MAP_OFF);
    v->data_off = ld32(v->head + DATA_OFF);
    v->block_size = ld32(v->head + BLOCK_SIZE);
    v->blocks = ld32(v->head + BLOCKS);
    v->count = v->stable = ld32(v->head + ALLOCATED);
    if (!check_header(img, v->head, e) || !check_layout(img, v, e) ||
        !sparse_init(&v->sparse, &vdi_sparse, img->file, (unsigned)__builtin_ctz(v->block_size), e))
        goto bad;
    v->sparse.fixed = ld32(v->head + TYPE) == VDI_STATIC;
    img->size = align_up(ld64(v->head + DISK_SIZE), 512); /* VBoxManage convertfromraw makes odd sizes */
    img->cluster = v->block_size;
    img->discard = !img->read_only && !v->sparse.fixed;
    if (img->read_only || open_for_writing(img, o, e))
        return true;
    sparse_fini(&v->sparse);
bad:
    free(v->used);
    free(v);
    return false;
}

static void vdi_close(struct image *img)
{
    struct vdi *v = img->priv;

    if (!img->read_only && !v->damaged && !sparse_flush(img)) {
        pthread_rwlock_wrlock(&v->sparse.lock);
        vdi_compact(img); /* fails: the next close tries again */
        pthread_rwlock_unlock(&v->sparse.lock);
    }
    sparse_fini(&v->sparse);
    free(v->used);
    free(v->freed);
    free(v);
}

static int vdi_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    return ((struct vdi *)img->priv)->damaged ? -EROFS : sparse_writev(img, iov, n, off, flags);
}

const struct image_ops image_vdi = {
    .format = "vdi",
    .open = vdi_open,
    .close = vdi_close,
    .readv = sparse_readv,
    .writev = vdi_writev,
    .flush = sparse_flush,
    .discard = sparse_discard,
    .write_zeroes = sparse_write_zeroes,
    .map = sparse_map,
    .direct_begin = sparse_direct_begin,
    .direct_end = sparse_direct_end,
    .resize = vdi_resize,
    .create = vdi_create,
    .check = vdi_check,
};
