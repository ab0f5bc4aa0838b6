/*
 * qcow2: a new image. The order in the file is header, refcount table, first refcount block, L1; then, as asked for, L2
 * tables and space for the data, by way of opening the new image.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

struct wish {
    uint64_t size, cluster_size;
    unsigned version, ref_order;
    bool lazy, extended, zstd, data_raw, has_refcount, has_compression;
    enum image_prealloc prealloc;
    char backing[1024], backing_format[64], data[1024];
};

static bool wrong(const struct image_create *c, const struct image_option *o, const char *what, struct err *e)
{
    return err_set(e, "'%s': %s=%s: %s", c->path, o->key, o->value, what);
}

static bool take_bool(const struct image_create *c, const struct image_option *o, bool *out, struct err *e)
{
    return image_parse_bool(o->value, out) || wrong(c, o, "on or off", e);
}

static bool take_text(const struct image_create *c, const struct image_option *o, char *out, size_t size, struct err *e)
{
    if (strlen(o->value) >= size)
        return wrong(c, o, "too long", e);
    strcpy(out, o->value);
    return true;
}

static bool take_option(const struct image_create *c, const struct image_option *o, struct wish *w, struct err *e)
{
    const char *k = o->key, *v = o->value;
    uint64_t n;

    if (!strcmp(k, "size"))
        return image_parse_size(v, &w->size) || wrong(c, o, "not a size", e);
    if (!strcmp(k, "cluster_size"))
        return (image_parse_size(v, &w->cluster_size) && is_pow2(w->cluster_size) && w->cluster_size >= 512 &&
                w->cluster_size <= 2 << 20) ||
               wrong(c, o, "a power of two from 512 to 2M", e);
    if (!strcmp(k, "compat")) {
        w->version = !strcmp(v, "0.10") || !strcmp(v, "v2") ? 2 : !strcmp(v, "1.1") || !strcmp(v, "v3") ? 3 : 0;
        return w->version || wrong(c, o, "0.10 or 1.1", e);
    }
    if (!strcmp(k, "refcount_bits")) {
        w->has_refcount = true;
        if (!image_parse_size(v, &n) || !is_pow2(n) || n > 64)
            return wrong(c, o, "a power of two from 1 to 64", e);
        w->ref_order = (unsigned)__builtin_ctzll(n);
        return true;
    }
    if (!strcmp(k, "compression_type")) {
        w->has_compression = true;
        w->zstd = !strcmp(v, "zstd");
        return w->zstd || !strcmp(v, "zlib") || wrong(c, o, "zlib or zstd", e);
    }
    if (!strcmp(k, "preallocation"))
        return image_parse_prealloc(v, &w->prealloc) || wrong(c, o, "off, metadata, falloc or full", e);
    if (!strcmp(k, "lazy_refcounts"))
        return take_bool(c, o, &w->lazy, e);
    if (!strcmp(k, "extended_l2"))
        return take_bool(c, o, &w->extended, e);
    if (!strcmp(k, "data_file_raw"))
        return take_bool(c, o, &w->data_raw, e);
    if (!strcmp(k, "backing_file"))
        return take_text(c, o, w->backing, sizeof w->backing, e);
    if (!strcmp(k, "backing_fmt"))
        return take_text(c, o, w->backing_format, sizeof w->backing_format, e);
    if (!strcmp(k, "data_file"))
        return take_text(c, o, w->data, sizeof w->data, e);
    if (!strncmp(k, "encrypt", 7))
        return err_set(e, "'%s': encrypted images are not supported", c->path);
    return err_set(e, "'%s': qcow2 has no option '%s'", c->path, k);
}

static bool consistent(const struct image_create *c, const struct wish *w, struct err *e)
{
    const char *why = NULL;

    if (w->version == 2 && (w->lazy || w->extended || w->zstd || *w->data || (w->has_refcount && w->ref_order != 4)))
        why = "lazy_refcounts, extended_l2, zstd, data_file and other refcount_bits than 16 need compat=1.1";
    else if (w->extended && w->cluster_size < 16384)
        why = "extended_l2 needs clusters of at least 16k";
    else if (w->data_raw && !*w->data)
        why = "data_file_raw needs data_file";
    else if (w->data_raw && *w->backing)
        why = "a raw data file and a backing file exclude each other";
    else if (*w->backing && w->prealloc && !w->extended)
        why = "preallocation with a backing file needs extended_l2";
    else if (*w->backing_format && !*w->backing)
        why = "a backing format without a backing file";
    return !why || err_set(e, "'%s': %s", c->path, why);
}

static bool read_wish(const struct image_create *c, struct wish *w, struct err *e)
{
    const char *s = c->options;
    struct image_option o;

    *w = (struct wish){.size = c->size, .cluster_size = 65536, .version = 3, .ref_order = 4};
    if ((c->backing && strlen(c->backing) >= sizeof w->backing) ||
        (c->backing_format && strlen(c->backing_format) >= sizeof w->backing_format))
        return err_set(e, "'%s': the backing file's name is too long", c->path);
    strcpy(w->backing, c->backing ? c->backing : "");
    strcpy(w->backing_format, c->backing_format ? c->backing_format : "");
    e->msg[0] = 0;
    while (image_option_next(&s, &o, e))
        if (!take_option(c, &o, w, e))
            return false;
    return !e->msg[0] && consistent(c, w, e);
}

/* Its size, and that it can be opened at all. The user names it here, so any place is fine. */
static bool look_at_backing(const struct image_create *c, struct wish *w, struct err *e)
{
    struct image *b;
    char *path;

    if (!*w->backing || c->unsafe_backing)
        return w->size || !*w->backing ||
               err_set(e, "'%s': no size given, and the backing file is not opened", c->path);
    if (!*w->backing_format)
        return err_set(e, "'%s': the backing file's format is not named (backing_fmt=, -F)", c->path);
    path = image_resolve(c->path, w->backing);
    if (!path)
        return err_set(e, "out of memory");
    b = image_open(
        path,
        &(struct image_options){.format = w->backing_format, .read_only = true, .share = true, .trust_paths = true}, e);
    free(path);
    if (!b)
        return err_prefix(e, "backing file of '%s'", c->path);
    if (!w->size)
        w->size = b->size;
    image_close(b);
    return true;
}

static void put_ext(uint8_t *head, uint32_t *at, uint32_t type, const void *data, uint32_t len)
{
    st32be(head + *at, type);
    st32be(head + *at + 4, len);
    memcpy(head + *at + 8, data, len);
    *at += 8 + (uint32_t)align_up(len, 8);
}

/* The first cluster. Our mark comes first, so that it lies in the first sector. 0: no room. */
static bool make_head(const struct wish *w, uint8_t *h, uint64_t reftable, uint64_t reftable_clusters, uint64_t l1,
                      uint64_t l1_size)
{
    uint32_t at = w->version == 2 ? H_V2_LENGTH : H_V3_LENGTH;
    uint8_t names[1024], none[8] = {0};
    uint64_t incompatible = (w->extended ? INCOMPAT_EXTENDED_L2 : 0) | (w->zstd ? INCOMPAT_COMPRESSION : 0) |
                            (*w->data ? INCOMPAT_DATA_FILE : 0);
    size_t n = header_features(names), backing = strlen(w->backing), fmt = strlen(w->backing_format),
           data = strlen(w->data);

    if (at + 16 + 8 + backing + (fmt ? 8 + align_up(fmt, 8) : 0) + (data ? 8 + align_up(data, 8) : 0) > w->cluster_size)
        return false;
    memcpy(h, "QFI\xfb", 4);
    st32be(h + H_VERSION, w->version);
    st32be(h + H_CLUSTER_BITS, (uint32_t)__builtin_ctzll(w->cluster_size));
    st64be(h + H_SIZE, w->size);
    st32be(h + H_L1_SIZE, (uint32_t)l1_size);
    st64be(h + H_L1_OFFSET, l1);
    st64be(h + H_REFTABLE_OFFSET, reftable);
    st32be(h + H_REFTABLE_CLUSTERS, (uint32_t)reftable_clusters);
    if (w->version >= 3) {
        st64be(h + H_INCOMPATIBLE, incompatible);
        st64be(h + H_COMPATIBLE, w->lazy ? COMPAT_LAZY : 0);
        st64be(h + H_AUTOCLEAR, w->data_raw ? AUTOCLEAR_DATA_RAW : 0);
        st32be(h + H_REFCOUNT_ORDER, w->ref_order);
        st32be(h + H_LENGTH, H_V3_LENGTH);
        h[H_COMPRESSION] = w->zstd;
    }
    put_ext(h, &at, EXT_IN_USE, none, 8);
    if (fmt)
        put_ext(h, &at, EXT_BACKING_FORMAT, w->backing_format, (uint32_t)fmt);
    if (data)
        put_ext(h, &at, EXT_DATA_FILE, w->data, (uint32_t)data);
    if (w->version >= 3 && at + 8 + n + 8 + backing <= w->cluster_size)
        put_ext(h, &at, EXT_FEATURES, names, (uint32_t)n);
    at += 8; /* the end of the extensions */
    if (backing) {
        st64be(h + H_BACKING_OFFSET, at);
        st32be(h + H_BACKING_SIZE, (uint32_t)backing);
        memcpy(h + at, w->backing, backing);
    }
    return true;
}

/* Header, refcount table, refcount blocks that count all of this, L1. */
static int write_skeleton(struct image *file, const struct wish *w, bool *fits)
{
    unsigned cb = (unsigned)__builtin_ctzll(w->cluster_size), ref_bits_log = cb + 3 - w->ref_order;
    unsigned l2_cover = cb + cb - (w->extended ? 4 : 3);
    uint64_t l1_size = (w->size + (UINT64_C(1) << l2_cover) - 1) >> l2_cover;
    uint64_t l1_clusters = (8 * l1_size + w->cluster_size - 1) >> cb, blocks = 1, table = 1, total;
    uint8_t *buf = calloc(1, w->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    l1_clusters += !l1_clusters;
    do {
        total = 1 + table + blocks + l1_clusters;
        if (blocks << ref_bits_log < total)
            blocks++;
        else if (table * w->cluster_size / 8 < blocks)
            table++;
        else
            break;
    } while (true);
    *fits = buf && make_head(w, buf, w->cluster_size, table, (1 + table + blocks) << cb, l1_size);
    for (uint64_t i = 1 + table + blocks; i < total && !ret && *fits; i++) { /* L1, empty */
        uint8_t *zero = calloc(1, w->cluster_size);

        ret = zero ? image_pwrite(file, zero, i << cb, w->cluster_size, 0) : -ENOMEM;
        free(zero);
    }
    if (!ret && *fits)
        ret = image_pwrite(file, buf, 0, w->cluster_size, 0);
    for (uint64_t i = 0; i < table && !ret && *fits; i++) {
        memset(buf, 0, w->cluster_size);
        for (uint64_t k = 0; k < w->cluster_size / 8 && i * w->cluster_size / 8 + k < blocks; k++)
            st64be(buf + 8 * k, (1 + table + i * w->cluster_size / 8 + k) << cb);
        ret = image_pwrite(file, buf, (1 + i) << cb, w->cluster_size, 0);
    }
    for (uint64_t i = 0; i < blocks && !ret && *fits; i++) {
        memset(buf, 0, w->cluster_size);
        for (uint64_t k = 0; k < UINT64_C(1) << ref_bits_log && (i << ref_bits_log) + k < total; k++)
            ref_store(buf, w->ref_order, k, 1);
        ret = image_pwrite(file, buf, (1 + table + i) << cb, w->cluster_size, 0);
    }
    free(buf);
    return ret;
}

/* The external data file: made if it is not there, as long as the disk. */
static bool make_data_file(const struct image_create *c, const struct wish *w, struct err *e)
{
    char *path = image_resolve(c->path, w->data);
    struct image_create d = {.path = path, .format = "raw", .size = w->size};
    struct image *f;
    bool ok = true;

    if (!path)
        return err_set(e, "out of memory");
    f = image_open(path, &(struct image_options){.format = "file"}, e);
    if (!f)
        ok = image_create(&d, e);
    else if (f->size < w->size && f->ops->resize)
        ok = !f->ops->resize(f, w->size, PREALLOC_OFF, false, e);
    image_close(f);
    free(path);
    return ok || err_prefix(e, "data file of '%s'", c->path);
}

/* A layer that writes through to the file of the new image but is not closed with it. */
static bool preallocate(const struct image_create *c, const struct wish *w, struct image *file, struct err *e)
{
    struct image img = {.ops = &image_qcow2, .logical = 512, .path = (char *)(uintptr_t)c->path, .file = file};
    struct qcow2 *q;
    int ret;

    if (!image_qcow2.open(&img, &(struct image_options){.trust_paths = true, .no_backing = true}, e))
        return false;
    q = img.priv;
    pthread_mutex_lock(&q->lock);
    ret = q_preallocate(q, 0, img.size, w->prealloc);
    pthread_mutex_unlock(&q->lock);
    image_qcow2.close(&img);
    return !ret || err_set(e, "'%s': %s", c->path, strerror(-ret));
}

bool q_create(const struct image_create *c, struct err *e)
{
    struct wish w;
    struct image *file;
    uint64_t most;
    bool fits = true, ok;
    int ret;

    if (!read_wish(c, &w, e) || !look_at_backing(c, &w, e))
        return false;
    w.size = align_up(w.size, 512);
    most = (uint64_t)MAX_L1_BYTES / 8 * (w.cluster_size >> (w.extended ? 4 : 3)) * w.cluster_size;
    if (w.size > most || w.size > INT64_MAX - 512)
        return err_set(e, "'%s': too large for clusters of %llu bytes", c->path, (unsigned long long)w.cluster_size);
    if (*w.data && !make_data_file(c, &w, e))
        return false;
    file = image_create_begin(c, e);
    if (!file)
        return false;
    ret = write_skeleton(file, &w, &fits);
    ok = !ret && fits;
    if (!fits)
        err_set(e, "'%s': the names do not fit into a cluster of %llu bytes", c->path,
                (unsigned long long)w.cluster_size);
    else if (ret)
        err_set(e, "'%s': %s", c->path, strerror(-ret));
    if (ok && w.prealloc)
        ok = preallocate(c, &w, file, e);
    return image_create_end(c, file, ok, e);
}
