/* VDI: new images, and making them longer. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vdi.h"

enum { BLOCK = 1 << 20, PIECE = 64 << 10 };

/* Entries of [first, end) in the map at map_off: unallocated, or each at the place of its number plus `shift`. */
static int write_map(struct image *file, uint64_t map_off, uint32_t first, uint32_t end, bool fixed, uint32_t shift)
{
    uint32_t *part = malloc(PIECE * sizeof *part);
    int ret = part ? 0 : -ENOMEM;

    while (!ret && first < end) {
        uint32_t n = end - first < PIECE ? end - first : PIECE;

        for (uint32_t i = 0; i < n; i++)
            part[i] = fixed ? first + i + shift : VDI_UNALLOCATED;
        ret = fmt_write(file, part, map_off + (uint64_t)first * 4, n * sizeof *part);
        first += n;
    }
    free(part);
    return ret;
}

static void fill_header(uint8_t *h, uint64_t size, uint32_t blocks, bool fixed, uint32_t data_off)
{
    memset(h, 0, VDI_HEADER);
    memcpy(h, "<<< guise virtual disk image >>>\n", 33);
    memcpy(h + VDI_SIGNATURE_AT, "\x7f\x10\xda\xbe\x01\x00\x01\x00", 8); /* version 1.1 */
    st32(h + 0x48, 0x190);                                               /* header size */
    st32(h + 0x4c, fixed ? VDI_STATIC : VDI_DYNAMIC);
    st32(h + 0x154, VDI_HEADER);
    st32(h + 0x158, data_off);
    st32(h + 0x168, 512);
    st64(h + 0x170, size);
    st32(h + 0x178, BLOCK);
    st32(h + 0x180, blocks);
    st32(h + 0x184, fixed ? blocks : 0);
    fmt_uuid(h + 0x188);
    fmt_uuid(h + 0x198);
    st32(h + 0x1d4, 512); /* sector size of the (unset) logical geometry */
}

struct plan {
    bool fixed;
    enum image_prealloc prealloc;
};

static bool parse(const struct image_create *c, struct plan *p, struct err *e)
{
    unsigned prealloc = PREALLOC_OFF;
    const struct fmt_option table[] = {
        {"static", FMT_BOOL, &p->fixed, NULL},
        {"preallocation", FMT_ENUM, &prealloc, fmt_prealloc_names},
    };

    *p = (struct plan){0};
    if (!fmt_no_backing(c, e) || !fmt_options(c, table, ARRAY_LEN(table), e))
        return false;
    if (!c->size || c->size > (uint64_t)VDI_MAX_BLOCKS * BLOCK)
        return err_set(e, "disk image '%s': a VDI image holds 512 bytes to 512 TiB", c->path);
    p->fixed = p->fixed || prealloc != PREALLOC_OFF;
    p->prealloc = (enum image_prealloc)prealloc;
    return true;
}

bool vdi_create(const struct image_create *c, struct err *e)
{
    struct plan p;
    uint8_t head[VDI_HEADER];
    uint64_t size = align_up(c->size, 512), data_off;
    struct image *file;
    uint32_t blocks;
    bool ok;
    int ret;

    if (!parse(c, &p, e))
        return false;
    blocks = (uint32_t)((size + BLOCK - 1) / BLOCK);
    data_off = align_up(VDI_HEADER + (uint64_t)blocks * 4, BLOCK);
    fill_header(head, size, blocks, p.fixed, (uint32_t)data_off);
    file = image_create_begin(c, e);
    if (!file)
        return false;
    /* the header last: what is not whole is no image */
    ret = write_map(file, VDI_HEADER, 0, blocks, p.fixed, 0);
    ok = !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
    if (ok && p.fixed)
        ok = fmt_reserve(c, file, data_off + (uint64_t)blocks * BLOCK, p.prealloc, e);
    if (ok && (ret = fmt_grow(file, data_off)))
        ok = err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
    if (ok && (ret = fmt_write(file, head, 0, sizeof head)))
        ok = err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
    return image_create_end(c, file, ok, e);
}

/*
 * Room for a map of `blocks` entries: the first k places are emptied (their blocks move to the end), the new map goes
 * there, and one write of the header switches to it. A crash leaves the old map, and at worst unused places.
 */
static int empty_first(struct image *img, uint32_t k)
{
    struct vdi *v = img->priv;
    uint32_t to = v->top > k ? v->top : k;
    int ret = 0;

    for (uint32_t blk = 0; !ret && blk < v->blocks; blk++) {
        uint32_t entry;

        ret = vdi_entry(img, blk, &entry);
        if (ret || entry >= VDI_DISCARDED || entry >= k)
            continue;
        if (to >= VDI_MAX_BLOCKS)
            return -EFBIG;
        ret = fmt_grow(img->file, vdi_place(v, to) + v->block_size);
        if (!ret)
            ret = vdi_move(img, entry, to);
        v->count = to + 1 > v->count ? to + 1 : v->count; /* stable before the entry, as ever */
        if (!ret)
            ret = vdi_write_header(img);
        if (!ret)
            ret = img->file->ops->flush(img->file);
        if (!ret)
            ret = vdi_set_entry(img, blk, to++);
        if (!ret)
            ret = sparse_commit(img);
    }
    return ret;
}

/* Copy the old entries, less k, to the new map, and fill the rest. */
static int copy_map(struct image *img, uint64_t map_off, uint32_t k, uint32_t blocks)
{
    struct vdi *v = img->priv;
    uint32_t *part = malloc(PIECE * sizeof *part);
    int ret = part ? 0 : -ENOMEM;

    for (uint32_t first = 0; !ret && first < v->blocks; first += PIECE) {
        uint32_t n = v->blocks - first < PIECE ? v->blocks - first : PIECE;

        ret = meta_read(&v->sparse.meta, v->map_off + (uint64_t)first * 4, part, n * sizeof *part);
        for (uint32_t i = 0; i < n; i++)
            if (part[i] < VDI_DISCARDED)
                part[i] -= k;
        if (!ret)
            ret = fmt_write(img->file, part, map_off + (uint64_t)first * 4, n * sizeof *part);
    }
    free(part);
    return ret ? ret : write_map(img->file, map_off, v->blocks, blocks, false, 0);
}

/* New blocks of a static image lie behind all others. */
static int add_fixed(struct image *img, uint64_t map_off, uint64_t data_off, uint32_t k, uint32_t blocks)
{
    struct vdi *v = img->priv;
    uint32_t top = (v->top > k ? v->top : k) - k;
    int ret = write_map(img->file, map_off, v->blocks, blocks, true, top - v->blocks);

    top += blocks - v->blocks;
    return ret ? ret
               : fmt_zero(img->file, data_off + ((uint64_t)(top - (blocks - v->blocks)) << v->sparse.shift),
                          (uint64_t)(blocks - v->blocks) << v->sparse.shift);
}

static int grow(struct image *img, uint64_t size, uint32_t blocks)
{
    struct vdi *v = img->priv;
    uint64_t map_off = v->map_off, data_off = v->data_off, need = align_up((uint64_t)blocks * 4, 512);
    uint32_t k = 0;
    int ret = sparse_commit(img);

    if (!ret && map_off + need > data_off) {
        k = (uint32_t)((need + v->block_size - 1) >> v->sparse.shift);
        map_off = data_off;
        data_off += (uint64_t)k << v->sparse.shift;
        if (data_off > UINT32_MAX - 512)
            return -EFBIG;
        ret = empty_first(img, k);
        if (!ret)
            ret = vdi_places(img) ? vdi_scan(img, NULL, NULL, &(uint64_t){0}) : -ENOMEM;
    }
    if (!ret)
        ret = k ? copy_map(img, map_off, k, blocks) : write_map(img->file, map_off, v->blocks, blocks, false, 0);
    if (!ret && v->sparse.fixed)
        ret = add_fixed(img, map_off, data_off, k, blocks);
    if (!ret)
        ret = fmt_grow(img->file, data_off);
    if (!ret)
        ret = img->file->ops->flush(img->file);
    if (ret)
        return ret;
    st32(v->head + 0x154, (uint32_t)map_off);
    st32(v->head + 0x158, (uint32_t)data_off);
    st64(v->head + 0x170, size);
    st32(v->head + 0x180, blocks);
    v->count = (v->top > k ? v->top : k) - k + (v->sparse.fixed ? blocks - v->blocks : 0);
    v->map_off = map_off;
    v->data_off = data_off;
    v->blocks = blocks;
    ret = vdi_write_header(img);
    return ret ? ret : img->file->ops->flush(img->file);
}

int vdi_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct vdi *v = img->priv;
    uint64_t blocks = (size + v->block_size - 1) >> v->sparse.shift;
    int ret;

    (void)shrink;
    if (size < img->size) {
        err_set(e, "disk image '%s': VDI images cannot be made smaller", img->path);
        return -ENOTSUP;
    }
    if (blocks > VDI_MAX_BLOCKS) {
        err_set(e, "disk image '%s': a VDI image holds at most %" PRIu64 " bytes", img->path,
                (uint64_t)VDI_MAX_BLOCKS << v->sparse.shift);
        return -EFBIG;
    }
    if (p != PREALLOC_OFF) {
        err_set(e, "disk image '%s': VDI images grow without preallocation", img->path);
        return -ENOTSUP;
    }
    if (v->damaged) {
        err_set(e, "disk image '%s' is damaged; check it first", img->path);
        return -EROFS;
    }
    pthread_rwlock_wrlock(&v->sparse.lock);
    ret = __atomic_load_n(&v->sparse.in_flight, __ATOMIC_ACQUIRE) ? -EBUSY
                                                                  : grow(img, align_up(size, 512), (uint32_t)blocks);
    if (!ret) {
        meta_forget(&v->sparse.meta);
        ret = vdi_places(img) ? vdi_scan(img, NULL, NULL, &(uint64_t){0}) : -ENOMEM;
        img->size = align_up(size, 512);
    }
    v->sparse.clean_from = image_size(img->file);
    v->damaged = ret != 0; /* the state in memory is not to be trusted: no more writes */
    pthread_rwlock_unlock(&v->sparse.lock);
    if (ret)
        err_set(e, "disk image '%s': cannot resize: %s", img->path, strerror(-ret));
    return ret;
}
