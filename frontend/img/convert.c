/*
 * guise img convert (and the making of a new image for dd and compact).
 *
 * The target is written into a new file beside its place, which takes the place when all is done: an interrupted or
 * failed conversion leaves what was there before. Devices, -n and formats of several files are written in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/img/convert.h"

/* --- a new target --- */

/* May a file be made beside `path` and take its place? It may not when path is a device, or its folder is read-only. */
static bool replaceable(const struct new_image *n, const char *options)
{
    struct stat st;
    char *sub = img_option_get(options, "subformat"), *data = img_option_get(options, "data_file");
    bool several = data || (sub && (strstr(sub, "Flat") || strstr(sub, "twoGb")));

    free(sub);
    free(data);
    if (several || strstr(n->path, "://"))
        return false;
    return stat(n->path, &st) < 0 ? errno == ENOENT : S_ISREG(st.st_mode);
}

/* An existing target must not be in use: its lock is held until the new one is in its place. */
static bool lock_old(struct new_image *n, struct err *e)
{
    struct image_options o = {.format = "file"};

    if (access(n->path, F_OK) < 0)
        return true;
    n->old = image_open(n->path, &o, e);
    return n->old != NULL;
}

static bool make_temporary(struct new_image *n, struct err *e)
{
    const char *slash = strrchr(n->path, '/');
    int dir = slash ? (int)(slash - n->path + 1) : 0;
    mode_t mask = umask(0);
    struct stat st;
    int fd;

    umask(mask);
    n->temporary = malloc(strlen(n->path) + 16);
    if (!n->temporary)
        return err_set(e, "out of memory");
    sprintf(n->temporary, "%.*s.%s.XXXXXX", dir, n->path, n->path + dir);
    fd = mkostemp(n->temporary, O_CLOEXEC);
    if (fd < 0) {
        err_set(e, "cannot make a file beside it: %s", strerror(errno));
        free(n->temporary);
        n->temporary = NULL;
        return false;
    }
    if (fchmod(fd, stat(n->path, &st) < 0 ? 0666 & ~mask : st.st_mode & 07777) < 0) {
        /* A file system without modes. */
    }
    close(fd);
    return true;
}

static bool create_into(const struct img_args *a, struct new_image *n, struct image_create *c, struct err *e)
{
    struct image_options file = {.format = "file", .direct = n->direct};
    struct image_options o = {
        .format = c->format, .direct = n->direct, .trust_paths = true, .no_backing = n->no_backing};
    const char *where = n->temporary ? n->temporary : n->path;

    if (!n->temporary && !img_create_file(a, c, true, e))
        return false;
    o.file = image_open(where, &file, e);
    if (o.file && n->no_flush)
        o.file = img_no_flush(o.file, e);
    if (!o.file)
        return false;
    if (n->temporary) {
        c->file = o.file;
        if (!img_create_file(a, c, true, e)) {
            image_close(o.file);
            return false;
        }
    }
    n->img = image_open(n->path, &o, e);
    return n->img != NULL;
}

bool new_image_open(struct new_image *n, const struct img_args *a, struct image_create *c, struct err *e)
{
    char *real = realpath(c->path, NULL); /* what a link leads to is replaced, not the link */

    n->path = real ? real : strdup(c->path);
    if (!n->path)
        return err_set(e, "out of memory");
    c->path = n->path;
    if (replaceable(n, c->options) && ((!n->locked && !lock_old(n, e)) || !make_temporary(n, e)))
        return false;
    return create_into(a, n, c, e);
}

bool new_image_done(struct new_image *n, bool ok, struct err *e)
{
    int ret = ok && n->img && !n->no_flush ? n->img->ops->flush(n->img) : 0;

    if (ret)
        ok = err_set(e, "error while flushing: %s", strerror(-ret));
    image_close(n->img);
    if (ok && n->temporary && rename(n->temporary, n->path) < 0)
        ok = err_set(e, "cannot put the new image in its place: %s", strerror(errno));
    if (!ok && n->temporary)
        unlink(n->temporary);
    image_close(n->old);
    free(n->temporary);
    free(n->path);
    return ok;
}

bool copy_to_new(struct img_args *a, struct image *source, uint64_t start, struct image_create *c, struct new_image *n,
                 struct err *e)
{
    struct copy copy = {
        .source = &source,
        .sources = 1,
        .start = start,
        .size = c->size,
        .sparse = 4096,
        .compress = a->compress,
        .threads = job_threads(a->parallel, e),
    };
    const char *backing = c->backing;

    if (!copy.threads || !new_image_open(n, a, c, e))
        return false;
    copy.target = n->img;
    copy.top_only = backing != NULL;
    copy.target_zero = !backing && n->temporary;
    if (a->compress && !n->img->ops->write_compressed)
        return err_set(e, "Compression not supported for this file format");
    return copy_run(&copy, a, e);
}

/* --- convert --- */

struct convert {
    struct img_args *a;
    struct image *source[IMG_FILES_MAX];
    unsigned sources;
    uint64_t size;
    struct new_image target;
    struct image *existing; /* -n */
    struct copy copy;
};

static bool load_snapshot(const struct img_args *a, struct image *img, struct err *e)
{
    const char *name = a->snapshot;

    if (!strncmp(name, "snapshot.id=", 12) || !strncmp(name, "snapshot.name=", 14))
        name = strchr(name, '=') + 1;
    if (!img->ops->snapshot_view)
        return err_set(e, "Failed to load snapshot: format '%s' has none", img->ops->format);
    return img->ops->snapshot_view(img, name, e) || err_prefix(e, "Failed to load snapshot");
}

static bool open_sources(struct convert *v, struct err *e)
{
    const struct img_args *a = v->a;
    struct img_how how = {.format = a->format, .cache = a->source_cache, .image_opts = a->image_opts};

    if (a->snapshot && a->files > 2)
        return err_set(e, "No support for concatenating multiple snapshot");
    for (unsigned i = 0; i + 1 < a->files; i++) {
        struct image *img = img_open_named(a, a->file[i], &how, e);

        if (!img)
            return false;
        v->source[v->sources++] = img;
        if (a->snapshot && !load_snapshot(a, img, e))
            return false;
        v->size += align_up(image_size(img), 512);
    }
    return true;
}

static bool parse_numbers(struct convert *v, struct err *e)
{
    const struct img_args *a = v->a;
    uint64_t sparse = 4096;

    v->copy.threads = job_threads(a->parallel, e);
    if (!v->copy.threads)
        return false;
    if (a->sparse && (!image_parse_size(a->sparse, &sparse) || sparse % 512 || sparse > 16 << 20))
        return err_set(
            e, "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to 16777216. "
               "Select 0 to disable sparse detection (fully allocates output).");
    v->copy.sparse = (uint32_t)sparse;
    return !a->rate || img_parse_size(a->rate, "rate limit", &v->copy.rate, e);
}

static bool check_combination(const struct img_args *a, struct err *e)
{
    if (a->compress && a->oob_writes)
        return err_set(e, "Out of order write and compress are mutually exclusive");
    if (a->copy_range && a->compress)
        return err_set(e, "Cannot enable copy offloading when -c is used");
    if (a->copy_range && a->sparse)
        return err_set(e, "Cannot enable copy offloading when -S is used");
    if (a->target_is_zero && !a->no_create)
        return err_set(e, "--target-is-zero requires use of -n flag");
    if (a->target_is_zero && a->backing)
        return err_set(e, "Cannot use --target-is-zero when the destination image has a backing file");
    if (a->target_image_opts && !a->no_create)
        return err_set(e, "--target-image-opts requires use of -n flag");
    if (a->no_create && a->options)
        fprintf(stderr, "%s: warning: -o has no effect when skipping image creation\n", a->program);
    return a->files >= 2 || err_set(e, "Must specify image file name");
}

/* -n: the target is there, and large enough. */
static bool open_existing(struct convert *v, struct err *e)
{
    const struct img_args *a = v->a;
    struct img_how how = {
        .format = a->target_image_opts ? NULL
                  : a->out_format      ? a->out_format
                                       : "raw",
        .cache = a->cache ? a->cache : "unsafe",
        .image_opts = a->target_image_opts,
        .write = true,
    };

    v->existing = img_open_named(a, a->file[a->files - 1], &how, e);
    if (!v->existing)
        return false;
    if (image_size(v->existing) < v->size)
        return err_set(e, "output file is smaller than input file");
    return true;
}

static bool open_new(struct convert *v, struct err *e)
{
    const struct img_args *a = v->a;
    struct image_create c = {
        .path = a->file[a->files - 1],
        .format = a->out_format ? a->out_format : "raw",
        .size = v->size,
        .options = a->options,
        .backing = a->backing,
        .backing_format = a->backing_format,
    };
    const struct image_ops *ops = image_format(c.format);
    bool through;

    if (!ops)
        return err_set(e, "Unknown file format '%s'", c.format);
    if (!ops->create)
        return err_set(e, "Format driver '%s' does not support image creation", c.format);
    if (a->compress && !ops->write_compressed)
        return err_set(e, "Compression not supported for this file format");
    if (!img_parse_cache(a->cache ? a->cache : "unsafe", &v->target.direct, &through, &v->target.no_flush, e))
        return false;
    v->target.no_backing = true; /* the copy reads the sources alone */
    return new_image_open(&v->target, a, &c, e) || err_prefix(e, "%s", a->file[a->files - 1]);
}

static bool copy_all(struct convert *v, struct err *e)
{
    struct img_args *a = v->a;
    struct copy *c = &v->copy;
    char *backing = a->backing ? NULL : img_option_get(a->options, "backing_file");
    bool based = a->backing || backing;
    bool ok;

    free(backing);
    c->source = v->source;
    c->sources = v->sources;
    c->target = v->existing ? v->existing : v->target.img;
    c->size = v->size;
    c->top_only = based;
    c->target_zero = v->existing ? a->target_is_zero : !based && v->target.temporary && c->sparse;
    c->compress = a->compress;
    c->copy_range = a->copy_range;
    c->salvage = a->salvage;
    if (c->compress && !c->target->ops->write_compressed)
        return err_set(e, "Compression not supported for this file format");
    ok = copy_run(c, a, e);
    if (!ok && v->existing && a->signal)
        err_prefix(e, "'%s' is whole but holds a part of the data", a->file[a->files - 1]);
    return ok;
}

static bool close_target(struct convert *v, bool ok, struct err *e)
{
    bool durable = v->a->cache && strcmp(v->a->cache, "unsafe");
    int ret = ok && durable && v->existing ? v->existing->ops->flush(v->existing) : 0;

    image_close(v->existing);
    if (ret)
        ok = err_set(e, "error while flushing: %s", strerror(-ret));
    return v->existing ? ok : new_image_done(&v->target, ok, e);
}

int img_cmd_convert(struct img_args *a, struct err *e)
{
    struct convert v = {.a = a};
    bool ok;

    if (a->options && (!strcmp(a->options, "help") || !strcmp(a->options, "?")))
        return img_options_help(a->out_format ? a->out_format : "raw", stdout, e) ? 0 : 1;
    ok = check_combination(a, e) && parse_numbers(&v, e) && open_sources(&v, e) &&
         (a->no_create ? open_existing(&v, e) : open_new(&v, e)) && copy_all(&v, e);
    ok = close_target(&v, ok, e);
    for (unsigned i = 0; i < v.sources; i++)
        image_close(v.source[i]);
    return ok ? 0 : 1;
}
