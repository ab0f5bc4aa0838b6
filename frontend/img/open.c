/*
 * Opening the images a command line names, and what the sub-commands share to read and write them.
 *
 * A name is a path, "file:PATH", "json:{...}", a name of a protocol (nbd://...), or with --image-opts a list of
 * properties: driver=qcow2,file.filename=PATH. json: names are flattened into such a list.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/img/img.h"

/* --- cache modes --- */

bool img_parse_cache(const char *mode, bool *direct, bool *through, bool *no_flush, struct err *e)
{
    static const struct {
        const char *name;
        bool direct, through, no_flush;
    } modes[] = {
        {"writeback", false, false, false},   {"none", true, false, false},      {"off", true, false, false},
        {"writethrough", false, true, false}, {"directsync", true, true, false}, {"unsafe", false, false, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (!strcmp(mode, modes[i].name)) {
            *direct = modes[i].direct;
            *through = modes[i].through;
            *no_flush = modes[i].no_flush;
            return true;
        }
    }
    return err_set(e, "Invalid cache option: %s (writeback, none, writethrough, directsync, unsafe)", mode);
}

/* --- a protocol without flushes --- */

struct no_flush {
    struct image_ops ops; /* the protocol's, but for two */
    struct image *inner;
};

static int no_flush_flush(struct image *img)
{
    (void)img;
    return 0;
}

static int no_flush_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct no_flush *f = img->priv;
    int ret = f->inner->ops->writev(f->inner, iov, n, off, flags & ~(unsigned)IMAGE_FUA);

    __atomic_store_n(&img->size, image_size(f->inner), __ATOMIC_RELEASE); /* the file may have grown */
    return ret;
}

static int no_flush_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;

    return in->ops->readv(in, iov, n, off, flags);
}

static int no_flush_discard(struct image *img, uint64_t off, uint64_t len)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;

    return in->ops->discard(in, off, len);
}

static int no_flush_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    struct no_flush *f = img->priv;
    int ret = f->inner->ops->write_zeroes(f->inner, off, len, flags);

    __atomic_store_n(&img->size, image_size(f->inner), __ATOMIC_RELEASE);
    return ret;
}

static int no_flush_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;

    return in->ops->map(in, off, len, x);
}

static int no_flush_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;

    return in->ops->direct_begin(in, off, len, write, fd, host_off);
}

static void no_flush_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;

    in->ops->direct_end(in, off, len, write);
}

static int no_flush_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    struct image *in = ((struct no_flush *)img->priv)->inner;
    int ret = in->ops->resize(in, size, p, shrink, e);

    __atomic_store_n(&img->size, image_size(in), __ATOMIC_RELEASE);
    return ret;
}

static void no_flush_close(struct image *img)
{
    struct no_flush *f = img->priv;

    image_close(f->inner);
    free(f);
}

struct image *img_no_flush(struct image *file, struct err *e)
{
    const struct image_ops *ops = file->ops;
    struct no_flush *f = calloc(1, sizeof *f);
    struct image *img = calloc(1, sizeof *img);
    char *path = strdup(file->path);

    if (!f || !img || !path) {
        err_set(e, "out of memory");
        free(f);
        free(img);
        free(path);
        image_close(file);
        return NULL;
    }
    f->inner = file;
    f->ops = (struct image_ops){
        .format = ops->format,
        .protocol = true,
        .close = no_flush_close,
        .readv = no_flush_readv,
        .writev = no_flush_writev,
        .flush = no_flush_flush,
        .discard = no_flush_discard,
        .write_zeroes = no_flush_write_zeroes,
        .map = ops->map ? no_flush_map : NULL,
        .direct_begin = ops->direct_begin ? no_flush_direct_begin : NULL,
        .direct_end = ops->direct_end ? no_flush_direct_end : NULL,
        .resize = ops->resize ? no_flush_resize : NULL,
    };
    *img = *file;
    img->ops = &f->ops;
    img->path = path;
    img->priv = f;
    img->file = img->backing = NULL;
    return img;
}

/* --- names --- */

/* {"driver": "qcow2", "file": {"filename": "x"}} as driver=qcow2,file.filename=x */
static bool flatten(json_t *j, const char *prefix, char **text, size_t *len, struct err *e)
{
    const char *key;
    json_t *val;

    json_object_foreach(j, key, val)
    {
        char name[256], number[32];
        const char *s = json_is_string(val) ? json_string_value(val) : number;

        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(val)) {
            if (!flatten(val, name, text, len, e))
                return false;
            continue;
        }
        if (json_is_integer(val))
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(val));
        else if (json_is_boolean(val) || json_is_null(val))
            snprintf(number, sizeof number, "%s", json_is_true(val) ? "on" : json_is_null(val) ? "" : "off");
        else if (!json_is_string(val))
            return err_set(e, "json: '%s' is no string, number or truth value", name);
        *text = realloc(*text, *len + strlen(name) + 2 * strlen(s) + 3);
        if (!*text)
            return err_set(e, "out of memory");
        *len += (size_t)sprintf(*text + *len, "%s%s=", *len ? "," : "", name);
        for (; *s; s++) {
            if (*s == ',')
                (*text)[(*len)++] = ',';
            (*text)[(*len)++] = *s;
        }
        (*text)[*len] = 0;
    }
    return true;
}

static char *flatten_json(const char *name, struct err *e)
{
    json_error_t je;
    json_t *j = json_loads(name, 0, &je);
    char *text = NULL;
    size_t len = 0;
    bool ok = json_is_object(j);

    if (!ok)
        err_set(e, "json: %s", j ? "not an object" : je.text);
    ok = ok && flatten(j, "", &text, &len, e);
    json_decref(j);
    if (ok && !text)
        err_set(e, "json: names no file");
    if (!ok)
        free(text);
    return ok ? text : NULL;
}

/* What a name comes to. */
struct target {
    struct keyvals kv;
    const char *path, *format;
    bool direct, no_flush, ignored;
    struct image_options o;
};

static bool take_properties(struct target *t, const char *text, struct err *e)
{
    struct keyvals *k = &t->kv;
    const char *file_driver, *discard, *backing;
    bool locking = true, offset = false;

    if (!kv_parse(k, text, NULL, e))
        return false;
    t->format = kv_get(k, "driver");
    t->path = kv_get(k, "file.filename");
    file_driver = kv_get(k, "file.driver");
    if (!t->path)
        t->path = kv_get(k, "filename");
    if (!t->path)
        return err_set(e, "no file named: file.filename=PATH");
    if (file_driver && strcmp(file_driver, "file") && strcmp(file_driver, "host_device"))
        return err_set(e, "file.driver=%s is not supported (file, host_device)", file_driver);
    discard = kv_get(k, "discard");
    (void)discard; /* a hint in an offline tool */
    backing = kv_get(k, "backing");
    if (backing && *backing)
        return err_set(e, "backing=%s: only an empty name is supported, for none", backing);
    t->o.no_backing = t->o.no_backing || backing;
    offset = kv_get(k, "offset") != NULL;
    if (!kv_bool(k, "read-only", &t->o.read_only, e) || !kv_bool(k, "force-share", &t->o.share, e) ||
        !kv_bool(k, "cache.direct", &t->direct, e) || !kv_bool(k, "file.cache.direct", &t->direct, e) ||
        !kv_bool(k, "cache.no-flush", &t->no_flush, e) || !kv_bool(k, "file.locking", &locking, e) ||
        !kv_bool(k, "lazy-refcounts", &t->ignored, e) || !kv_size(k, "offset", &t->o.offset, e) ||
        !kv_size(k, "size", &t->o.length, e))
        return false;
    if ((offset || t->o.length) && t->format && strcmp(t->format, "raw"))
        return err_set(e, "offset and size are properties of the driver raw");
    t->o.share = t->o.share || !locking;
    return kv_done(k, e);
}

static bool take_name(struct target *t, const char *name, bool image_opts, struct err *e)
{
    char *text;
    bool ok;

    if (image_opts)
        return take_properties(t, name, e);
    if (strncmp(name, "json:", 5)) {
        t->path = !strncmp(name, "file:", 5) ? name + 5 : name;
        return true;
    }
    text = flatten_json(name + 5, e);
    ok = text && take_properties(t, text, e);
    free(text);
    return ok;
}

static void warn_raw(const struct img_args *a, const char *name)
{
    if (!a->quiet)
        fprintf(stderr,
                "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         A guest that writes another format's header into it would be believed next time.\n"
                "         Specify the 'raw' format explicitly to remove this warning.\n",
                name);
}

static struct image *open_target(const struct img_args *a, const char *name, const struct img_how *how,
                                 struct target *t, struct err *e)
{
    struct image_options file = {
        .format = "file", .read_only = t->o.read_only, .share = t->o.share, .direct = t->o.direct};

    if (!t->format) {
        t->format = image_probe_path(t->path, e);
        if (!t->format)
            return NULL;
        if (how->write && !strcmp(t->format, "raw"))
            warn_raw(a, name);
    }
    t->o.format = t->format;
    if (t->no_flush && how->write) {
        t->o.file = image_open(t->path, &file, e);
        if (t->o.file)
            t->o.file = img_no_flush(t->o.file, e);
        if (!t->o.file)
            return NULL;
    }
    return image_open(t->path, &t->o, e);
}

struct image *img_open_named(const struct img_args *a, const char *name, const struct img_how *how, struct err *e)
{
    struct target t = {
        .format = how->format,
        .no_flush = how->no_flush,
        .o = {.read_only = !how->write,
              .share = a->share,
              .no_backing = how->no_backing,
              .no_repair = how->no_repair,
              .trust_paths = a->trust_paths},
    };
    bool direct = false, through = false, no_flush = false;
    struct image *img = NULL;

    if ((!how->cache || img_parse_cache(how->cache, &direct, &through, &no_flush, e)) &&
        take_name(&t, name, how->image_opts, e)) {
        t.o.direct = t.direct || direct;
        t.no_flush = t.no_flush || no_flush;
        img = open_target(a, name, how, &t, e);
    }
    if (!img)
        err_prefix(e, "Could not open '%s'", name);
    kv_free(&t.kv);
    return img;
}

/* --- numbers --- */

bool img_parse_size(const char *text, const char *what, uint64_t *size, struct err *e)
{
    if (image_parse_size(text, size) && *size <= INT64_MAX)
        return true;
    return err_set(e, "Invalid %s specified: '%s'.", what, text);
}

bool img_parse_count(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *n, struct err *e)
{
    if (parse_u64(text, n) && *n >= min && *n <= max)
        return true;
    return err_set(e, "Invalid %s specified. Must be between %llu and %llu.", what, (unsigned long long)min,
                   (unsigned long long)max);
}

void img_size_text(uint64_t size, char *text, size_t n)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    unsigned i = 0;
    double v = (double)size;

    /* 1000 and not 1024, so that three digits are enough. */
    for (; v >= 1000 && i + 1 < ARRAY_LEN(units); i++)
        v /= 1024;
    snprintf(text, n, "%0.3g %sB", v, units[i]);
}

/* --- data --- */

int img_extent(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    int ret = image_map(img, off, len, x);
    struct image *layer = (struct image *)(uintptr_t)x->layer; /* map does not change it */
    struct image_extent below;

    if (ret)
        return ret;
    if (!layer->ops->backing_name)
        x->allocated = true; /* there is nothing below that a hole could show */
    if (!x->data || !x->has_offset || x->zero || !layer->file || image_map(layer->file, x->offset, x->len, &below))
        return 0;
    x->zero = below.zero;
    x->len = below.len;
    return 0;
}

int img_read_padded(struct image *img, void *buf, uint64_t off, uint64_t len)
{
    uint64_t size = image_size(img), here = off >= size ? 0 : size - off < len ? size - off : len;
    int ret = here ? image_pread(img, buf, off, here) : 0;

    if (!ret && here < len)
        memset((char *)buf + here, 0, len - here);
    return ret;
}

int img_zero(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    enum { PIECE = 1 << 20 };
    char *zero;
    int ret = img->ops->write_zeroes ? img->ops->write_zeroes(img, off, len, flags) : -EOPNOTSUPP;

    if (ret != -EOPNOTSUPP)
        return ret;
    zero = calloc(1, PIECE);
    if (!zero)
        return -ENOMEM;
    for (ret = 0; len && !ret;) {
        uint64_t step = len < PIECE ? len : PIECE;

        ret = image_pwrite(img, zero, off, step, 0);
        off += step;
        len -= step;
    }
    free(zero);
    return ret;
}

typedef uint64_t lanes __attribute__((vector_size(32), aligned(1), may_alias));

bool buffer_is_zero(const void *buf, size_t len)
{
    const char *p = buf, *end = p + len;

    if (len < 256) {
        while (p < end && !*p)
            p++;
        return p == end;
    }
    if (ld64(p) | ld64(p + len / 2) | ld64(end - 8)) /* most data ends here */
        return false;
    for (; end - p >= 128; p += 128) {
        const lanes *v = (const lanes *)p;
        lanes any = v[0] | v[1] | v[2] | v[3];

        if (any[0] | any[1] | any[2] | any[3])
            return false;
    }
    while (p < end && !*p)
        p++;
    return p == end;
}
