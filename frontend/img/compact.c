/*
 * guise img compact: a new image of the same kind, of the same content and over the same backing file takes the place of
 * the old one. Clusters that read as zeroes, or that nothing refers to, are gone.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/img/convert.h"

/* The create options that come from what the image's details say. */
static const struct {
    const char *key, *option;
} kept[] = {
    {"compat", "compat"},
    {"compression-type", "compression_type"},
    {"lazy-refcounts", "lazy_refcounts"},
    {"refcount-bits", "refcount_bits"},
    {"extended-l2", "extended_l2"},
    {"create-type", "subformat"},
};

static void add_option(char *options, size_t size, const char *name, const json_t *v)
{
    size_t n = strlen(options);

    if (json_is_string(v))
        snprintf(options + n, size - n, "%s%s=%s", n ? "," : "", name, json_string_value(v));
    else if (json_is_integer(v))
        snprintf(options + n, size - n, "%s%s=%lld", n ? "," : "", name, (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        snprintf(options + n, size - n, "%s%s=%s", n ? "," : "", name, json_is_true(v) ? "on" : "off");
}

/* The options that make a new image like this one; false: it holds what a new one would not. */
static bool like(struct image *img, char *options, size_t size, struct err *e)
{
    json_t *details = img->ops->details ? img->ops->details(img) : NULL, *data = json_object_get(details, "data");
    const char *compat = json_string_value(json_object_get(data, "compat"));
    bool v2 = compat && !strcmp(compat, "0.10");
    bool ok = true;

    *options = 0;
    if (!strcmp(img->ops->format, "qcow2") && img->cluster)
        snprintf(options, size, "cluster_size=%u", img->cluster);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (!v2 || i == 0)
            add_option(options, size, kept[i].option, json_object_get(data, kept[i].key));
    if (json_object_get(data, "data-file"))
        ok = err_set(e, "'%s' has an external data file", img->path);
    if (json_array_size(json_object_get(data, "bitmaps")))
        ok = err_set(e, "'%s' has bitmaps, which a new image would not hold", img->path);
    json_decref(details);
    return ok;
}

static bool no_snapshots(struct image *img, struct err *e)
{
    struct image_snapshot *s = NULL;
    int n = img->ops->snapshot_list ? img->ops->snapshot_list(img, &s) : 0;

    free(s);
    return n <= 0 ||
           err_set(e, "'%s' has internal snapshots, which a new image would not hold; delete them first", img->path);
}

static bool compact(struct img_args *a, struct image *img, struct err *e)
{
    struct new_image n = {.no_backing = true, .locked = true};
    struct image_create c = {.path = img->path, .format = img->ops->format, .size = image_size(img)};
    const char *backing = NULL, *backing_format = NULL;
    char options[512];
    bool ok;

    if (!img->ops->create)
        return err_set(e, "images of format '%s' cannot be written anew", img->ops->format);
    if (!no_snapshots(img, e) || !like(img, options, sizeof options, e))
        return false;
    c.options = options;
    if (img->ops->backing_name && img->ops->backing_name(img, &backing, &backing_format)) {
        c.backing = backing;
        c.backing_format = backing_format ? backing_format : img->backing ? img->backing->ops->format : "raw";
        c.unsafe_backing = true;
    }
    ok = copy_to_new(a, img, 0, &c, &n, e);
    return new_image_done(&n, ok, e);
}

int img_cmd_compact(struct img_args *a, struct err *e)
{
    struct img_how how = {.format = a->format, .cache = a->cache, .image_opts = a->image_opts, .write = true};
    struct image *img;
    bool ok;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    img = img_open_named(a, a->file[0], &how, e);
    if (!img)
        return 1;
    ok = compact(a, img, e);
    image_close(img);
    return ok ? 0 : 1;
}
