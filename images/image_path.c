/*
 * Files that an image names: its backing file, its data file. The name came with the image, maybe from a stranger, and
 * opening it gives its bytes to the guest (CVE-2024-4467 and its kin). So it must lie in the folder of an image that the
 * user chose, be a plain path, and be of the format that the image names.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/image.h"

enum { CHAIN_MAX = 64 };

/* "json:", "nbd:", ...: a colon before any slash, as QEMU sees it. */
static bool has_protocol(const char *name)
{
    size_t n = strcspn(name, ":/");

    return name[n] == ':';
}

static const char *plain_name(const char *name) { return strncmp(name, "file:", 5) ? name : name + 5; }

char *image_resolve(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    char *out = NULL;

    name = plain_name(name);
    if (*name == '/' || !slash || has_protocol(name))
        return strdup(name);
    if (asprintf(&out, "%.*s%s", (int)(slash - path + 1), path, name) < 0)
        return NULL;
    return out;
}

static bool under(const char *real, const char *folder)
{
    char dir[PATH_MAX];
    size_t n;

    if (!realpath(folder, dir))
        return false;
    n = strlen(dir);
    if (n == 1) /* the root */
        return true;
    return !strncmp(real, dir, n) && real[n] == '/';
}

/* In the folder of the file at path, as it was named or where its links lead? */
static bool beside(const char *real, const char *path)
{
    char buf[PATH_MAX], *slash;

    for (int links = 0; links < 2; links++) {
        if (links ? !realpath(path, buf) : snprintf(buf, sizeof buf, "%s", path) >= (int)sizeof buf)
            return false;
        slash = strrchr(buf, '/');
        if (slash)
            slash[slash == buf] = 0;
        if (under(real, slash ? buf : "."))
            return true;
    }
    return false;
}

static bool allowed(const struct image *img, const struct image_options *o, const char *real)
{
    if (o->trust_paths)
        return true;
    for (const char *const *dir = o->allowed; dir && *dir; dir++)
        if (under(real, *dir))
            return true;
    for (const struct image *i = img; i; i = i->above)
        if (beside(real, i->path))
            return true;
    return false;
}

static bool in_chain(const struct image *img, const char *real)
{
    for (const struct image *i = img; i; i = i->above) {
        char other[PATH_MAX];

        if (realpath(i->path, other) && !strcmp(other, real))
            return true;
    }
    return false;
}

/* The real path of the file that img calls `name`, malloc'ed. */
static char *policy(struct image *img, const struct image_options *o, const char *name, const char *what, struct err *e)
{
    unsigned depth = 0;
    char *path = NULL, *real = NULL;

    for (const struct image *i = img; i; i = i->above)
        depth++;
    if (has_protocol(plain_name(name))) {
        err_set(e, "disk image '%s': its %s '%s' is no plain path, and is not opened", img->path, what, name);
    } else if (depth > CHAIN_MAX) {
        err_set(e, "disk image '%s': its chain of backing files is longer than %d", img->path, CHAIN_MAX);
    } else if (img->guessed && !o->trust_paths) {
        err_set(e, "disk image '%s' names a %s, but its own format is a guess; name it in the image above it",
                img->path, what);
    } else if (!(path = image_resolve(img->path, name)) || !(real = realpath(path, NULL))) {
        err_set(e, "disk image '%s': cannot find its %s '%s'", img->path, what, path ? path : name);
    } else if (in_chain(img, real)) {
        err_set(e, "disk image '%s': its chain of backing files comes back to '%s'", img->path, real);
    } else if (!allowed(img, o, real)) {
        err_set(e, "disk image '%s': its %s '%s' lies outside its folder, and is not opened unless you name it",
                img->path, what, real);
    } else {
        free(path);
        return real;
    }
    free(path);
    free(real);
    return NULL;
}

static struct image_options for_named(const struct image *img, const struct image_options *o)
{
    return (struct image_options){
        .read_only = true,
        .share = o->share,
        .direct = o->direct,
        .trust_paths = o->trust_paths,
        .allowed = o->allowed,
        .above = img,
    };
}

bool image_open_backing(struct image *img, const struct image_options *o, const char *name, const char *format,
                        struct err *e)
{
    struct image_options below = for_named(img, o);
    const char *seen = format;
    char *real;

    if (o->no_backing)
        return true;
    real = policy(img, o, name, "backing file", e);
    if (!real)
        return false;
    if (!format && (seen = image_probe_path(real, e)) && !strcmp(seen, "raw")) {
        err_set(e,
                "disk image '%s' does not say of what format its backing file '%s' is; name it (qemu-img rebase -u -F)",
                img->path, real);
        seen = NULL;
    }
    below.format = seen;
    below.guessed = !format;
    img->backing = seen ? image_open(real, &below, e) : NULL;
    free(real);
    return img->backing || err_prefix(e, "backing file of '%s'", img->path);
}

struct image *image_open_data(struct image *img, const struct image_options *o, const char *name, struct err *e)
{
    struct image_options below = for_named(img, o);
    char *real = policy(img, o, name, "data file", e);
    struct image *file;

    below.format = "file";
    below.read_only = img->read_only;
    file = real ? image_open(real, &below, e) : NULL;
    free(real);
    return file;
}
