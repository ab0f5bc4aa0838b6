/* guise img measure: how large the file of a new image would be, empty holes left out, and at most. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/img/img.h"

struct measure {
    uint64_t size, required, full, cluster;
};

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* Refcount blocks and table that count themselves too. docs/interop/qcow2.txt, "Host cluster management". */
static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster, unsigned bits)
{
    uint64_t per_block = cluster * 8 / bits, per_table = cluster / 8, blocks = 0, tables = 0, n = clusters, last;

    do {
        last = n;
        blocks = (n + per_block - 1) / per_block;
        tables = (blocks + per_table - 1) / per_table;
        n = clusters + blocks + tables;
    } while (n != last);
    return (blocks + tables) * cluster;
}

static bool qcow2_options(const char *options, uint64_t *cluster, uint64_t *bits, bool *extended, bool *full,
                          struct err *e)
{
    char *c = img_option_get(options, "cluster_size"), *b = img_option_get(options, "refcount_bits");
    char *x = img_option_get(options, "extended_l2"), *p = img_option_get(options, "preallocation");
    bool ok = true;

    if (c && (!image_parse_size(c, cluster) || !is_pow2(*cluster) || *cluster < 512 || *cluster > 2 << 20))
        ok = err_set(e, "Cluster size must be a power of two between 512 and 2048k");
    if (ok && b && (!parse_u64(b, bits) || !is_pow2(*bits) || *bits > 64))
        ok = err_set(e, "Refcount width must be a power of two and may not exceed 64 bits");
    if (ok && x && !image_parse_bool(x, extended))
        ok = err_set(e, "extended_l2=%s: expected on or off", x);
    *full = p && (!strcmp(p, "full") || !strcmp(p, "falloc"));
    free(c);
    free(b);
    free(x);
    free(p);
    return ok;
}

/* required: without data. */
static bool measure_qcow2(struct measure *m, const char *options, struct err *e)
{
    uint64_t cluster = 65536, bits = 16, meta, aligned, tables, entry;
    bool extended = false, full = false;

    if (!qcow2_options(options, &cluster, &bits, &extended, &full, e))
        return false;
    entry = extended ? 16 : 8;
    aligned = align_up(m->size, cluster);
    tables = round_up(aligned / cluster, cluster / entry);       /* L2 entries in whole tables */
    meta = cluster + tables * entry;                             /* header, L2 */
    meta += round_up(tables * entry / cluster, cluster / 8) * 8; /* L1 */
    meta += refcount_bytes((meta + aligned) / cluster, cluster, (unsigned)bits);
    m->full = meta + aligned;
    m->required = full ? m->full : meta;
    m->cluster = full ? 0 : cluster;
    return true;
}

static bool measure_raw(struct measure *m, const char *options, struct err *e)
{
    (void)options;
    (void)e;
    m->required = m->full = m->size;
    m->cluster = 0; /* data lies within */
    return true;
}

static const struct {
    const char *format;
    bool (*measure)(struct measure *m, const char *options, struct err *e);
} formats[] = {{"raw", measure_raw}, {"file", measure_raw}, {"qcow2", measure_qcow2}};

/* Clusters of the new image that hold data of this one. */
static bool count_data(struct measure *m, struct image *img, struct err *e)
{
    uint64_t end = 0; /* of the last cluster counted */

    for (uint64_t off = 0; m->cluster && off < image_size(img);) {
        struct image_extent x;
        int ret = img_extent(img, off, image_size(img) - off, &x);
        uint64_t from = align_down(off, m->cluster), to = align_up(off + x.len, m->cluster);

        if (ret)
            return err_set(e, "error while checking block status: %s", strerror(-ret));
        if (x.data && !x.zero) {
            m->required += to - (from > end ? from : end);
            end = to;
        }
        off += x.len;
    }
    return true;
}

static struct image *open_source(const struct img_args *a, struct err *e)
{
    struct img_how how = {.format = a->format, .image_opts = a->image_opts};
    struct image *img = img_open_named(a, a->file[0], &how, e);

    if (img && a->snapshot &&
        (!img->ops->snapshot_view ? !err_set(e, "Failed to load snapshot: format '%s' has none", img->ops->format)
                                  : !img->ops->snapshot_view(img, a->snapshot, e))) {
        image_close(img);
        return NULL;
    }
    return img;
}

static bool measure(const struct img_args *a, struct measure *m, struct image *source, struct err *e)
{
    const char *format = a->out_format ? a->out_format : "raw";

    if (source)
        m->size = image_size(source);
    if (!img_options_check(format, a->options, e))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(format, formats[i].format))
            return formats[i].measure(m, a->options, e) && (!source || count_data(m, source, e));
    return err_set(
        e, image_format(format) ? "Block driver '%s' does not support size measurement" : "Unknown file format '%s'",
        format);
}

static void print(const struct img_args *a, const struct measure *m)
{
    if (a->json)
        printf("{\n    \"required\": %" PRIu64 ",\n    \"fully-allocated\": %" PRIu64 "\n}\n", m->required, m->full);
    else
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", m->required, m->full);
}

int img_cmd_measure(struct img_args *a, struct err *e)
{
    struct measure m = {0};
    struct image *source = NULL;
    bool ok;

    if (a->files > 1)
        return err_set(e, "At most one filename argument is allowed."), 1;
    if (!a->files == !a->size) {
        err_set(e, a->size ? "--size N cannot be used together with a filename."
                           : "Either --size N or one filename must be specified.");
        return 1;
    }
    if (a->size ? !img_parse_size(a->size, "image size", &m.size, e) : !(source = open_source(a, e)))
        return 1;
    ok = measure(a, &m, source, e);
    image_close(source);
    if (ok)
        print(a, &m);
    return ok ? 0 : 1;
}
