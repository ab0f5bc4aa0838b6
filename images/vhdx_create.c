/* VHDX: new images. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vhdx.h"

static const char *const subformats[] = {"dynamic", "fixed", NULL};

struct plan {
    unsigned fixed, prealloc;
    uint64_t size, block_size, log_size, blocks, entries, table_size, table, metadata, data;
    bool zero_state;
};

static uint64_t default_block(uint64_t size)
{
    uint64_t gb = UINT64_C(1) << 30;

    return (size > 32 * 1024 * gb ? 64 : size > 100 * gb ? 32 : size > gb ? 16 : 8) * UINT64_C(0x100000);
}

static bool parse(const struct image_create *c, struct plan *p, struct err *e)
{
    const struct fmt_option table[] = {
        {"subformat", FMT_ENUM, &p->fixed, subformats},
        {"block_size", FMT_SIZE, &p->block_size, NULL},
        {"log_size", FMT_SIZE, &p->log_size, NULL},
        {"block_state_zero", FMT_BOOL, &p->zero_state, NULL},
        {"preallocation", FMT_ENUM, &p->prealloc, fmt_prealloc_names},
    };

    *p = (struct plan){.log_size = VHDX_MB, .zero_state = true, .size = align_up(c->size, 512)};
    if (!fmt_no_backing(c, e) || !fmt_options(c, table, ARRAY_LEN(table), e))
        return false;
    if (p->prealloc && !p->fixed)
        return err_set(e, "disk image '%s': preallocation goes with subformat=fixed", c->path);
    if (!p->size || p->size > UINT64_C(64) << 40)
        return err_set(e, "disk image '%s': a VHDX image holds 512 bytes to 64 TiB", c->path);
    if (!p->block_size)
        p->block_size = default_block(p->size);
    if (!is_pow2(p->block_size) || p->block_size < VHDX_MB || p->block_size > 256u * VHDX_MB)
        return err_set(e, "disk image '%s': block_size is a power of two from 1M to 256M", c->path);
    if (p->log_size < VHDX_MB || p->log_size % VHDX_MB || p->log_size > 256u * VHDX_MB)
        return err_set(e, "disk image '%s': log_size is a multiple of 1M, up to 256M", c->path);
    return true;
}

static void lay_out(struct plan *p)
{
    uint64_t chunk = (UINT64_C(1) << 23) * 512 / p->block_size;

    p->blocks = (p->size + p->block_size - 1) / p->block_size;
    p->entries = p->blocks + (p->blocks - 1) / chunk;
    p->metadata = VHDX_MB + p->log_size;
    p->table = p->metadata + VHDX_MB;
    p->table_size = align_up(p->entries * 8, VHDX_MB);
    p->data = p->table + p->table_size;
}

static int write_table(struct image *file, const struct plan *p)
{
    enum { PIECE = 8192 };
    uint64_t chunk = (UINT64_C(1) << 23) * 512 / p->block_size, blk = 0;
    uint64_t empty = p->zero_state ? VHDX_ZERO : VHDX_NOT_PRESENT;
    uint64_t *part = malloc(PIECE * sizeof *part);
    int ret = part ? 0 : -ENOMEM;

    if (!p->fixed && !p->zero_state) {
        free(part);
        return 0; /* all zeroes, as the file is */
    }
    for (uint64_t i = 0; !ret && i < p->entries; i += PIECE) {
        uint64_t n = p->entries - i < PIECE ? p->entries - i : PIECE;

        for (uint64_t k = 0; k < n; k++) {
            bool bitmap = (i + k) % (chunk + 1) == chunk;

            st64(&part[k], bitmap ? 0 : p->fixed ? (p->data + blk * p->block_size) | VHDX_PRESENT : empty);
            blk += !bitmap;
        }
        ret = fmt_write(file, part, p->table + i * 8, n * 8);
    }
    free(part);
    return ret;
}

static int write_metadata(struct image *file, const struct plan *p)
{
    static const struct {
        uint32_t off, length, flags;
    } items[] = {{0, 8, 4}, {8, 8, 6}, {16, 16, 6}, {32, 4, 6}, {36, 4, 6}}; /* 4: required, 2: of the disk */
    uint8_t *t = calloc(1, VHDX_TABLE + 64), *values = t ? t + VHDX_TABLE : NULL;
    int ret;

    if (!t)
        return -ENOMEM;
    memcpy(t, "metadata", 8);
    st16(t + 10, ARRAY_LEN(items));
    for (unsigned i = 0; i < ARRAY_LEN(items); i++) {
        uint8_t *entry = t + 32 + i * 32;

        memcpy(entry, vhdx_guid_items[i], 16);
        st32(entry + 16, VHDX_TABLE + items[i].off);
        st32(entry + 20, items[i].length);
        st32(entry + 24, items[i].flags);
    }
    st32(values, (uint32_t)p->block_size);
    st32(values + 4, p->fixed ? VHDX_FIXED : 0);
    st64(values + 8, p->size);
    fmt_uuid(values + 16);
    st32(values + 32, 512);
    st32(values + 36, 512);
    ret = fmt_write(file, t, p->metadata, VHDX_TABLE + 64);
    free(t);
    return ret;
}

static void put_region(uint8_t *entry, const uint8_t *guid, uint64_t off, uint64_t len)
{
    memcpy(entry, guid, 16);
    st64(entry + 16, off);
    st32(entry + 24, (uint32_t)len);
    st32(entry + 28, 1); /* required */
}

static int write_regions(struct image *file, const struct plan *p)
{
    uint8_t *t = calloc(1, VHDX_TABLE);
    int ret;

    if (!t)
        return -ENOMEM;
    memcpy(t, "regi", 4);
    st32(t + 8, 2);
    put_region(t + 16, vhdx_guid_table, p->table, p->table_size);
    put_region(t + 48, vhdx_guid_metadata, p->metadata, VHDX_MB);
    st32(t + 4, vhdx_crc(t, VHDX_TABLE, 4));
    ret = fmt_write(file, t, VHDX_REGIONS_1, VHDX_TABLE);
    if (!ret)
        ret = fmt_write(file, t, VHDX_REGIONS_2, VHDX_TABLE);
    free(t);
    return ret;
}

/* The identifier comes last: what is not whole is no image. */
static int write_headers(struct image *file, const struct plan *p)
{
    uint8_t h[VHDX_HEADER] = "head", id[24] = "vhdxfileg\0u\0i\0s\0e";
    int ret = 0;

    fmt_uuid(h + VHDX_FILE_GUID);
    fmt_uuid(h + VHDX_DATA_GUID);
    st16(h + VHDX_VERSION, 1);
    st32(h + VHDX_LOG_LENGTH, (uint32_t)p->log_size);
    st64(h + VHDX_LOG_OFFSET, VHDX_MB);
    for (unsigned i = 0; !ret && i < 2; i++) {
        st64(h + VHDX_SEQUENCE, i);
        st32(h + VHDX_CHECKSUM, vhdx_crc(h, VHDX_HEADER, VHDX_CHECKSUM));
        ret = fmt_write(file, h, i ? VHDX_HEADER_2 : VHDX_HEADER_1, VHDX_HEADER);
    }
    return ret ? ret : fmt_write(file, id, 0, sizeof id);
}

bool vhdx_create(const struct image_create *c, struct err *e)
{
    struct plan p;
    struct image *file;
    bool ok;
    int ret;

    if (!parse(c, &p, e))
        return false;
    lay_out(&p);
    file = image_create_begin(c, e);
    if (!file)
        return false;
    ok = fmt_reserve(c, file, p.data + (p.fixed ? p.blocks * p.block_size : 0), (enum image_prealloc)p.prealloc, e);
    if (ok) {
        ret = write_table(file, &p);
        if (!ret)
            ret = write_metadata(file, &p);
        if (!ret)
            ret = write_regions(file, &p);
        if (!ret)
            ret = write_headers(file, &p);
        ok = !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
    }
    return image_create_end(c, file, ok, e);
}
