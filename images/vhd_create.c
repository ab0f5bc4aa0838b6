/* VHD: new images. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vhd.h"

enum { BLOCK = 2 << 20, TABLE = 3 * VHD_SECTOR };

static const char *const subformats[] = {"dynamic", "fixed", NULL};

struct plan {
    unsigned fixed, prealloc;
    bool force_size;
    uint64_t sectors;
    uint16_t cylinders;
    uint8_t heads, spt;
};

/* The specification's appendix "CHS Calculation". */
static void geometry(uint64_t sectors, struct plan *p)
{
    uint64_t tracks;

    if (sectors > VHD_MAX_CHS)
        sectors = VHD_MAX_CHS;
    p->spt = 17;
    p->heads = 16;
    tracks = sectors / 17;
    if (sectors >= UINT64_C(65535) * 16 * 63) {
        p->spt = 255;
        tracks = sectors / 255;
    } else {
        uint64_t heads = (tracks + 1023) / 1024;

        heads = heads < 4 ? 4 : heads;
        if (tracks >= heads * 1024 || heads > 16) {
            p->spt = 31;
            heads = 16;
            tracks = sectors / 31;
        }
        if (tracks >= heads * 1024) {
            p->spt = 63;
            heads = 16;
            tracks = sectors / 63;
        }
        p->heads = (uint8_t)heads;
    }
    p->cylinders = (uint16_t)(tracks / p->heads);
}

static uint64_t chs(const struct plan *p) { return (uint64_t)p->cylinders * p->heads * p->spt; }

/* Without force_size the disk is made as large as the next geometry, so that every reader finds the same size. */
static bool choose_size(const struct image_create *c, struct plan *p, struct err *e)
{
    p->sectors = (c->size + VHD_SECTOR - 1) / VHD_SECTOR;
    if (!p->sectors || p->sectors > VHD_MAX_SECTORS)
        return err_set(e, "disk image '%s': a VHD image holds 512 bytes to 2040 GiB", c->path);
    if (p->force_size || p->sectors >= VHD_MAX_CHS) {
        p->cylinders = 65535;
        p->heads = 16;
        p->spt = 255;
        return true;
    }
    geometry(p->sectors, p);
    for (uint64_t more = 1; chs(p) < p->sectors; more++)
        geometry(p->sectors + more, p);
    p->sectors = chs(p) == VHD_MAX_CHS ? p->sectors : chs(p);
    return true;
}

static bool parse(const struct image_create *c, struct plan *p, struct err *e)
{
    const struct fmt_option table[] = {
        {"subformat", FMT_ENUM, &p->fixed, subformats},
        {"force_size", FMT_BOOL, &p->force_size, NULL},
        {"preallocation", FMT_ENUM, &p->prealloc, fmt_prealloc_names},
    };

    *p = (struct plan){0};
    if (!fmt_no_backing(c, e) || !fmt_options(c, table, ARRAY_LEN(table), e))
        return false;
    if (p->prealloc && !p->fixed)
        return err_set(e, "disk image '%s': preallocation goes with subformat=fixed", c->path);
    return choose_size(c, p, e);
}

static void fill_footer(uint8_t *f, const struct plan *p)
{
    time_t now = time(NULL);

    memset(f, 0, VHD_SECTOR);
    memcpy(f, "conectix", 8);
    st32be(f + 0x08, 2);          /* features: the bit that is always set */
    st32be(f + 0x0c, 0x00010000); /* version */
    st64be(f + VHD_DATA_OFF, p->fixed ? UINT64_MAX : VHD_SECTOR);
    st32be(f + 0x18, now > 946684800 ? (uint32_t)(now - 946684800) : 0); /* since 2000 */
    memcpy(f + VHD_CREATOR, "gise\0\1\0\0Wi2k", 12);
    st64be(f + 0x28, p->sectors * VHD_SECTOR);
    st64be(f + VHD_SIZE, p->sectors * VHD_SECTOR);
    st16be(f + VHD_CYLINDERS, p->cylinders);
    f[VHD_HEADS] = p->heads;
    f[VHD_SPT] = p->spt;
    st32be(f + VHD_TYPE, p->fixed ? VHD_FIXED : VHD_DYNAMIC);
    fmt_uuid(f + VHD_UUID);
    st32be(f + VHD_CHECKSUM, vhd_checksum(f, VHD_SECTOR, VHD_CHECKSUM));
}

static int write_table(struct image *file, uint64_t bytes)
{
    enum { PIECE = 64 << 10 };
    uint8_t *ones = malloc(PIECE);
    int ret = ones ? 0 : -ENOMEM;

    if (ones)
        memset(ones, 0xff, PIECE);
    for (uint64_t done = 0; !ret && done < bytes; done += PIECE)
        ret = fmt_write(file, ones, TABLE + done, bytes - done < PIECE ? (size_t)(bytes - done) : PIECE);
    free(ones);
    return ret;
}

static int write_dynamic(struct image *file, const struct plan *p, const uint8_t *footer)
{
    uint32_t entries = (uint32_t)((p->sectors + BLOCK / VHD_SECTOR - 1) / (BLOCK / VHD_SECTOR));
    uint64_t bytes = align_up((uint64_t)entries * 4, VHD_SECTOR);
    uint8_t h[VHD_DYN_SIZE] = "cxsparse";
    int ret;

    st64be(h + 0x08, UINT64_MAX);
    st64be(h + VHD_DYN_TABLE, TABLE);
    st32be(h + 0x18, 0x00010000); /* version */
    st32be(h + VHD_DYN_ENTRIES, entries);
    st32be(h + VHD_DYN_BLOCK, BLOCK);
    st32be(h + VHD_DYN_CHECKSUM, vhd_checksum(h, VHD_DYN_SIZE, VHD_DYN_CHECKSUM));
    ret = write_table(file, bytes);
    if (!ret)
        ret = fmt_write(file, h, VHD_SECTOR, sizeof h);
    if (!ret)
        ret = fmt_write(file, footer, TABLE + bytes, VHD_SECTOR);
    return ret ? ret : fmt_write(file, footer, 0, VHD_SECTOR);
}

static bool write_fixed(const struct image_create *c, struct image *file, const struct plan *p, const uint8_t *footer,
                        struct err *e)
{
    uint64_t size = p->sectors * VHD_SECTOR;
    int ret;

    if (!fmt_reserve(c, file, size, (enum image_prealloc)p->prealloc, e))
        return false;
    ret = fmt_write(file, footer, size, VHD_SECTOR);
    return !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
}

bool vhd_create(const struct image_create *c, struct err *e)
{
    uint8_t footer[VHD_SECTOR];
    struct plan p;
    struct image *file;
    bool ok;
    int ret;

    if (!parse(c, &p, e))
        return false;
    fill_footer(footer, &p);
    file = image_create_begin(c, e);
    if (!file)
        return false;
    if (p.fixed) {
        ok = write_fixed(c, file, &p, footer, e);
    } else {
        ret = write_dynamic(file, &p, footer);
        ok = !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
    }
    return image_create_end(c, file, ok, e);
}
