/*
 * guise img commit: what an image holds goes into the image below it (or, with -b, into one further down), after which
 * the image is emptied; -d leaves it as it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/img/copy.h"
#include "frontend/img/img.h"

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;

    return !strcmp(a, b) || (!stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* The image of the chain that takes the data, and its depth below the top. */
static const struct image *find_base(const struct img_args *a, const struct image *top, unsigned *depth, struct err *e)
{
    const struct image *base = top->backing;

    *depth = 1;
    if (!base) {
        err_set(e, "Image does not have a backing file");
        return NULL;
    }
    for (; a->base && base; base = base->backing, ++*depth) {
        const char *path, *format;
        const struct image *above = top;

        for (unsigned i = 1; i < *depth; i++)
            above = above->backing;
        if (same_file(a->base, base->path) ||
            (above->ops->backing_name && above->ops->backing_name((struct image *)(uintptr_t)above, &path, &format) &&
             !strcmp(a->base, path)))
            break;
    }
    if (!base)
        err_set(e, "Could not find '%s' in the backing chain of '%s'", a->base, top->path);
    return base;
}

struct range {
    struct image *top;
    unsigned depth;
};

/* What lies above the base. */
static bool wanted(void *arg, uint64_t off, uint64_t *len)
{
    struct range *r = arg;
    struct image_extent x;

    if (image_map(r->top, off, *len, &x))
        return true; /* the copy meets the same error and tells it */
    *len = x.len;
    return x.depth < r->depth && x.allocated;
}

/*
 * The base, open for reading in the chain, is opened again for writing, and takes its old place there: two openings of
 * one file would refuse each other, and the older would not see what the newer writes. Owned by the chain.
 */
static struct image *open_base(const struct img_args *a, struct image *top, unsigned depth, struct err *e)
{
    struct img_args trusting = *a;
    struct img_how how = {.cache = a->cache, .write = true};
    struct image *above = top, *base;
    char *path;

    for (unsigned i = 1; i < depth; i++)
        above = above->backing;
    how.format = above->backing->ops->format;
    path = strdup(above->backing->path);
    if (!path) {
        err_set(e, "out of memory");
        return NULL;
    }
    image_close(above->backing);
    above->backing = NULL;
    trusting.trust_paths = true;
    base = above->backing = img_open_named(&trusting, path, &how, e);
    free(path);
    return base;
}

static bool grow(struct image *base, uint64_t size, struct err *e)
{
    if (image_size(base) >= size)
        return true;
    if (!base->ops->resize)
        return err_set(e, "the backing file is smaller, and its format '%s' cannot grow", base->ops->format);
    return !base->ops->resize(base, size, PREALLOC_OFF, false, e);
}

static bool copy_down(struct img_args *a, struct image *top, unsigned depth, struct image *base, struct err *e)
{
    struct range r = {top, depth};
    struct copy c = {
        .source = &top,
        .sources = 1,
        .target = base,
        .size = image_size(top),
        .sparse = 4096,
        .threads = job_threads(NULL, e),
        .wanted = wanted,
        .wanted_arg = &r,
    };
    int ret;

    if (a->rate && !img_parse_size(a->rate, "rate limit", &c.rate, e))
        return false;
    if (!grow(base, c.size, e) || !copy_run(&c, a, e))
        return false;
    ret = base->ops->flush(base);
    return !ret || err_set(e, "error while flushing '%s': %s", base->path, strerror(-ret));
}

static bool commit(struct img_args *a, struct image *top, struct err *e)
{
    unsigned depth;
    const struct image *found = find_base(a, top, &depth, e);
    struct image *base = found ? open_base(a, top, depth, e) : NULL;
    bool ok = base && copy_down(a, top, depth, base, e);
    int ret;

    if (!ok)
        return false;
    if (!a->drop && !a->base && top->ops->make_empty) {
        ret = top->ops->make_empty(top);
        if (ret)
            return err_set(e, "Could not empty %s: %s", top->path, strerror(-ret));
    }
    return true;
}

int img_cmd_commit(struct img_args *a, struct err *e)
{
    struct img_how how = {.format = a->format, .cache = a->cache, .image_opts = a->image_opts, .write = true};
    struct image *top;
    bool ok;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    top = img_open_named(a, a->file[0], &how, e);
    if (!top)
        return 1;
    ok = commit(a, top, e);
    image_close(top);
    if (ok && !a->quiet)
        puts("Image committed.");
    return ok ? 0 : 1;
}
