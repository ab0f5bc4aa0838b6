/*
 * guise img rebase: another backing file under an image. The content stays: where the image itself holds nothing and the
 * old and the new backing files differ, the old content is copied into the image first. -u changes the name alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/img/copy.h"
#include "frontend/img/img.h"

struct rebase {
    struct image *top, *fresh; /* fresh: the new backing file, NULL: none */
    char *old, *new;           /* buffers of the comparison */
};

enum { PIECE = 2 << 20 /* no less than a cluster */ };

static int read_backing(struct image *backing, char *buf, uint64_t off, uint64_t len)
{
    if (backing)
        return img_read_padded(backing, buf, off, len);
    memset(buf, 0, len);
    return 0;
}

/* Are old and new backing file both known to read as zeroes at off? Shortens *len. */
static bool both_zero(const struct rebase *r, uint64_t off, uint64_t *len)
{
    struct image *const side[2] = {r->top->backing, r->fresh};

    for (unsigned i = 0; i < 2; i++) {
        struct image_extent x;
        uint64_t size = side[i] ? image_size(side[i]) : 0;

        if (off >= size)
            continue;
        if (size - off < *len)
            *len = size - off;
        if (image_map(side[i], off, *len, &x))
            return false;
        *len = x.len;
        if (!x.zero)
            return false;
    }
    return true;
}

/* Bytes of the first clusters in the buffers that all differ, or that are all the same. */
static uint64_t run_of(const struct rebase *r, uint64_t len, bool *differs)
{
    uint64_t unit = r->top->cluster ? r->top->cluster : 4096, done;

    for (done = 0; done < len; done += unit) {
        bool other = memcmp(r->old + done, r->new + done, len - done < unit ? len - done : unit) != 0;

        if (done && other != *differs)
            return done;
        *differs = other;
    }
    return len;
}

/* Is what the image reads at off, through its old backing file, to be copied into it? Called under the copier's lock. */
static bool wanted(void *arg, uint64_t off, uint64_t *len)
{
    struct rebase *r = arg;
    struct image_extent x;
    bool differs = false;

    if (image_map_layer(r->top, off, *len, &x))
        return true;
    *len = x.len;
    if (x.allocated || both_zero(r, off, len))
        return false;
    if (*len > PIECE)
        *len = PIECE;
    if (read_backing(r->top->backing, r->old, off, *len) || read_backing(r->fresh, r->new, off, *len))
        return true;
    *len = run_of(r, *len, &differs);
    return differs;
}

/* Nothing of the image's own is overwritten: only holes are wanted, and they read as their old content. */
static bool copy_up(struct img_args *a, struct rebase *r, struct err *e)
{
    struct copy c = {
        .source = &r->top,
        .sources = 1,
        .target = r->top,
        .size = image_size(r->top),
        .sparse = 4096,
        .compress = a->compress,
        .threads = job_threads(NULL, e),
        .wanted = wanted,
        .wanted_arg = r,
    };
    int ret;

    if (a->compress && !r->top->ops->write_compressed)
        return err_set(e, "Compression not supported for this file format");
    r->old = malloc(PIECE);
    r->new = malloc(PIECE);
    if (!r->old || !r->new)
        return err_set(e, "out of memory");
    if (!copy_run(&c, a, e))
        return false;
    ret = r->top->ops->flush(r->top); /* before the name changes */
    return !ret || err_set(e, "error while flushing '%s': %s", r->top->path, strerror(-ret));
}

static bool open_fresh(const struct img_args *a, struct rebase *r, struct err *e)
{
    struct img_args trusting = *a;
    struct img_how how = {.format = a->backing_format, .cache = a->source_cache};
    char *path = image_resolve(r->top->path, a->backing);

    if (!path)
        return err_set(e, "out of memory");
    trusting.trust_paths = true;
    r->fresh = img_open_named(&trusting, path, &how, e);
    free(path);
    return r->fresh || err_prefix(e, "Could not open new backing file '%s'", a->backing);
}

static bool rebase(struct img_args *a, struct rebase *r, struct err *e)
{
    const char *name = a->backing && *a->backing ? a->backing : NULL;
    const char *format = a->backing_format;
    const char *seen = NULL;

    if (!r->top->ops->set_backing)
        return err_set(e, "Could not change the backing file to '%s': Operation not supported", name ? name : "");
    if (!a->unsafe && ((name && !open_fresh(a, r, e)) || !copy_up(a, r, e)))
        return false;
    if (name && !format) {
        seen = r->fresh ? r->fresh->ops->format : "the format";
        return err_set(e, "Could not change the backing file to '%s': backing format must be specified (-F %s)", name,
                       seen);
    }
    return r->top->ops->set_backing(r->top, name, format, e) ||
           err_prefix(e, "Could not change the backing file to '%s'", name ? name : "");
}

int img_cmd_rebase(struct img_args *a, struct err *e)
{
    struct img_how how = {
        .format = a->format,
        .cache = a->cache,
        .image_opts = a->image_opts,
        .write = true,
        .no_backing = a->unsafe,
    };
    struct rebase r = {0};
    bool ok;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    if (!a->backing)
        return err_set(e, "Must specify backing file (-b)"), 1;
    r.top = img_open_named(a, a->file[0], &how, e);
    if (!r.top)
        return 1;
    ok = rebase(a, &r, e);
    image_close(r.top);
    image_close(r.fresh);
    free(r.old);
    free(r.new);
    return ok ? 0 : 1;
}
