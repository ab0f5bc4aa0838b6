/* VMDK: new images of all subformats that qemu-img makes. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vmdk.h"

enum subformat { MONO_SPARSE, MONO_FLAT, SPLIT_SPARSE, SPLIT_FLAT, STREAM };

static const char *const subformats[] = {"monolithicSparse",   "monolithicFlat",  "twoGbMaxExtentSparse",
                                         "twoGbMaxExtentFlat", "streamOptimized", NULL};
static const char *const adapters[] = {"ide", "lsilogic", "buslogic", "legacyESX", NULL};

#define SPLIT (UINT64_C(2) << 30)
#define SECTORS_MAX (UINT64_C(62) << 31) /* 62 TiB, VMware's limit */

enum { DESC_SECTORS = 20 };

struct plan {
    unsigned subformat, adapter, prealloc;
    bool compat6, zeroed_grain;
    char hwversion[64], toolsversion[64];
    uint64_t size;
};

static bool is_number(const char *s) { return *s && strspn(s, "0123456789") == strlen(s); }

static bool is_flat(const struct plan *p) { return p->subformat == MONO_FLAT || p->subformat == SPLIT_FLAT; }
static bool is_split(const struct plan *p) { return p->subformat == SPLIT_SPARSE || p->subformat == SPLIT_FLAT; }

static bool parse(const struct image_create *c, struct plan *p, struct err *e)
{
    const struct fmt_option table[] = {
        {"subformat", FMT_ENUM, &p->subformat, subformats},
        {"adapter_type", FMT_ENUM, &p->adapter, adapters},
        {"compat6", FMT_BOOL, &p->compat6, NULL},
        {"hwversion", FMT_TEXT, p->hwversion, NULL},
        {"toolsversion", FMT_TEXT, p->toolsversion, NULL},
        {"zeroed_grain", FMT_BOOL, &p->zeroed_grain, NULL},
        {"preallocation", FMT_ENUM, &p->prealloc, fmt_prealloc_names},
    };

    *p = (struct plan){.size = align_up(c->size, VMDK_SECTOR)};
    if (!fmt_no_backing(c, e) || !fmt_options(c, table, ARRAY_LEN(table), e))
        return false;
    if (!p->size || p->size / VMDK_SECTOR > SECTORS_MAX)
        return err_set(e, "disk image '%s': a VMDK image holds 512 bytes to 62 TiB", c->path);
    if (p->compat6 && p->hwversion[0])
        return err_set(e, "disk image '%s': compat6 says hwversion=6; give one of them", c->path);
    if ((p->hwversion[0] && !is_number(p->hwversion)) || (p->toolsversion[0] && !is_number(p->toolsversion)))
        return err_set(e, "disk image '%s': hwversion and toolsversion are numbers", c->path);
    if (is_flat(p) && p->zeroed_grain)
        return err_set(e, "disk image '%s': a flat image has no grains for zeroed_grain", c->path);
    if (!is_flat(p) && p->prealloc)
        return err_set(e, "disk image '%s': preallocation goes with a flat subformat", c->path);
    if (c->file && (is_flat(p) || is_split(p)))
        return err_set(e, "disk image '%s': subformat %s needs files beside it", c->path, subformats[p->subformat]);
    return true;
}

/* "disk.vmdk", "-flat" -> "disk-flat.vmdk" */
static void extent_name(char *out, size_t size, const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t stem = dot && dot > (slash ? slash : path) ? (size_t)(dot - path) : strlen(path);

    snprintf(out, size, "%.*s%s%s", (int)stem, path, suffix, path + stem);
}

static void extent_suffix(char *out, size_t size, const struct plan *p, unsigned i)
{
    if (!is_split(p))
        snprintf(out, size, "-flat");
    else
        snprintf(out, size, "-%c%03u", is_flat(p) ? 'f' : 's', i + 1);
}

static const char *base_name(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

struct text {
    char *s;
    size_t n, max;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->s + t->n, t->max - t->n, fmt, ap);
    va_end(ap);
    t->n += (size_t)n < t->max - t->n ? (size_t)n : t->max - t->n - 1;
}

static void describe_extents(struct text *t, const struct plan *p, const char *path)
{
    uint64_t step = is_split(p) ? SPLIT : p->size;

    for (uint64_t off = 0; off < p->size; off += step) {
        uint64_t len = p->size - off < step ? p->size - off : step;
        char name[4096], suffix[16];

        extent_suffix(suffix, sizeof suffix, p, (unsigned)(off / step));
        if (p->subformat == MONO_SPARSE || p->subformat == STREAM)
            snprintf(name, sizeof name, "%s", path);
        else
            extent_name(name, sizeof name, path, suffix);
        add(t, "RW %" PRIu64 " %s \"%s\"%s\n", len / VMDK_SECTOR, is_flat(p) ? "FLAT" : "SPARSE", base_name(name),
            is_flat(p) ? " 0" : "");
    }
}

static void describe(struct text *t, const struct plan *p, const char *path)
{
    uint32_t cid = 0, heads = p->adapter ? 255 : 16;

    if (getrandom(&cid, sizeof cid, 0) != sizeof cid || cid >= 0xfffffffe)
        cid = 0x12345678;
    add(t, "# Disk DescriptorFile\nversion=1\nCID=%08" PRIx32 "\nparentCID=ffffffff\ncreateType=\"%s\"\n\n", cid,
        subformats[p->subformat]);
    add(t, "# Extent description\n");
    describe_extents(t, p, path);
    add(t, "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\n",
        p->compat6        ? "6"
        : p->hwversion[0] ? p->hwversion
                          : "4");
    add(t, "ddb.geometry.cylinders = \"%" PRIu64 "\"\n", p->size / (UINT64_C(63) * heads * VMDK_SECTOR));
    add(t, "ddb.geometry.heads = \"%" PRIu32 "\"\nddb.geometry.sectors = \"63\"\n", heads);
    add(t, "ddb.adapterType = \"%s\"\nddb.toolsVersion = \"%s\"\n", adapters[p->adapter],
        p->toolsversion[0] ? p->toolsversion : "2147483647");
}

static uint64_t sectors_of(uint64_t bytes) { return (bytes + VMDK_SECTOR - 1) / VMDK_SECTOR; }

/* A directory of `tables` tables, and the tables behind it, from sector `at` on. */
static int write_directory(struct image *file, uint64_t at, uint32_t tables)
{
    uint64_t first = at + sectors_of((uint64_t)tables * 4), each = sectors_of(VMDK_ENTRIES * 4);
    uint32_t *dir = calloc(tables, sizeof *dir);
    int ret = dir ? 0 : -ENOMEM;

    for (uint32_t i = 0; !ret && i < tables; i++)
        dir[i] = (uint32_t)(first + i * each);
    if (!ret)
        ret = fmt_write(file, dir, at * VMDK_SECTOR, (size_t)tables * 4);
    free(dir);
    return ret ? ret : fmt_grow(file, (first + tables * each) * VMDK_SECTOR);
}

/* One sparse file; text: the descriptor inside, or NULL. The header comes last. */
static int write_sparse(struct image *file, const struct plan *p, uint64_t size, const struct text *text)
{
    uint64_t grains = (size / VMDK_SECTOR + VMDK_GRAIN - 1) / VMDK_GRAIN;
    uint32_t tables = (uint32_t)((grains + VMDK_ENTRIES - 1) / VMDK_ENTRIES);
    uint64_t dir = sectors_of((uint64_t)tables * 4) + tables * sectors_of(VMDK_ENTRIES * 4);
    uint64_t rgd = 1 + DESC_SECTORS, gd = rgd + dir, overhead = align_up(gd + dir, VMDK_GRAIN);
    bool stream = p->subformat == STREAM;
    uint8_t h[VMDK_HEADER] = "KDMV";
    int ret;

    st32(h + VMDK_VERSION, stream ? 3 : p->zeroed_grain ? 2 : 1);
    st32(h + VMDK_FLAGS, 1u | VMDK_HAS_RGD | (stream ? VMDK_COMPRESSED | VMDK_MARKERS : 0) |
                             (p->zeroed_grain ? VMDK_ZERO_GRAIN : 0)); /* 1: the check bytes are there */
    st64(h + VMDK_CAPACITY, size / VMDK_SECTOR);
    st64(h + VMDK_GRAIN_SIZE, VMDK_GRAIN);
    st64(h + VMDK_DESC_OFF, 1);
    st64(h + VMDK_DESC_SIZE, DESC_SECTORS);
    st32(h + VMDK_GTES, VMDK_ENTRIES);
    st64(h + VMDK_RGD, rgd);
    st64(h + VMDK_GD, gd);
    st64(h + VMDK_OVERHEAD, overhead);
    memcpy(h + VMDK_CHECK, "\n \r\n", 4);
    st16(h + VMDK_ALGORITHM, stream);
    if (!text) {
        st64(h + VMDK_DESC_OFF, 0);
        st64(h + VMDK_DESC_SIZE, 0);
    }
    ret = write_directory(file, rgd, tables);
    if (!ret)
        ret = write_directory(file, gd, tables);
    if (!ret && text)
        ret = fmt_write(file, text->s, VMDK_SECTOR, text->n);
    if (!ret)
        ret = fmt_grow(file, overhead * VMDK_SECTOR);
    return ret ? ret : fmt_write(file, h, 0, sizeof h);
}

static bool create_extent(const struct image_create *c, const struct plan *p, unsigned i, uint64_t size, struct err *e)
{
    char name[4096], suffix[16];
    struct image_create sub = {.path = name, .format = c->format};
    struct image *file;
    bool ok;
    int ret;

    extent_suffix(suffix, sizeof suffix, p, i);
    extent_name(name, sizeof name, c->path, suffix);
    file = image_create_begin(&sub, e);
    if (!file)
        return false;
    if (is_flat(p)) {
        ok = fmt_reserve(&sub, file, size, (enum image_prealloc)p->prealloc, e);
    } else {
        ret = write_sparse(file, p, size, NULL);
        ok = !ret || err_set(e, "disk image '%s': %s", name, strerror(-ret));
    }
    return image_create_end(&sub, file, ok, e);
}

static bool create_extents(const struct image_create *c, const struct plan *p, struct err *e)
{
    uint64_t step = is_split(p) ? SPLIT : p->size;
    bool ok = true;

    for (uint64_t off = 0; ok && off < p->size; off += step)
        ok = create_extent(c, p, (unsigned)(off / step), p->size - off < step ? p->size - off : step, e);
    return ok;
}

bool vmdk_create(const struct image_create *c, struct err *e)
{
    struct plan p;
    struct text text = {.max = VMDK_DESC_MAX};
    bool inside, ok;
    struct image *file;
    int ret;

    if (!parse(c, &p, e))
        return false;
    inside = p.subformat == MONO_SPARSE || p.subformat == STREAM;
    if (!inside && (p.size + SPLIT - 1) / SPLIT > VMDK_EXTENTS_MAX && is_split(&p))
        return err_set(e, "disk image '%s': too large for extents of 2 GiB", c->path);
    text.s = calloc(1, text.max);
    if (!text.s)
        return err_set(e, "disk image '%s': out of memory", c->path);
    describe(&text, &p, c->path);
    ok = (!inside || text.n <= DESC_SECTORS * VMDK_SECTOR ||
          err_set(e, "disk image '%s': its name is too long", c->path)) &&
         (inside || create_extents(c, &p, e));
    file = ok ? image_create_begin(c, e) : NULL;
    if (file) {
        ret = inside ? write_sparse(file, &p, p.size, &text) : fmt_write(file, text.s, 0, text.n);
        ok = !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
        ok = image_create_end(c, file, ok, e);
    }
    free(text.s);
    return file && ok;
}
