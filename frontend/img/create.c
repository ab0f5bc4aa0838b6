/* guise img create, and the making of images for the other sub-commands. */
#include <stdlib.h>
#include <string.h>

#include "frontend/img/img.h"

/* The backing file is opened to learn its size and to see that it can be: the user named it, so it may lie anywhere. */
static bool look_at_backing(const struct img_args *a, const struct image_create *c, uint64_t *size, struct err *e)
{
    struct img_args trusting = *a;
    struct img_how how = {.format = c->backing_format};
    char *path = image_resolve(c->path, c->backing);
    struct image *img;

    if (!path)
        return err_set(e, "out of memory");
    trusting.trust_paths = trusting.share = true;
    img = img_open_named(&trusting, path, &how, e);
    free(path);
    if (!img)
        return err_prefix(e, "Could not open backing file");
    if (*size == IMG_SIZE_UNKNOWN)
        *size = image_size(img);
    image_close(img);
    return true;
}

static bool check_backing(const struct img_args *a, struct image_create *c, struct err *e)
{
    if (!c->backing_format)
        return err_set(e, "Backing file specified without backing format (-F)");
    if (!image_format(c->backing_format))
        return err_set(e, "Unknown backing file format '%s'", c->backing_format);
    if (!image_format(c->format)->set_backing)
        return err_set(e, "Backing file not supported for file format '%s'", c->format);
    return c->unsafe_backing || look_at_backing(a, c, &c->size, e);
}

/* -o size=, backing_file=, backing_fmt= say the same as the arguments. */
static bool take_from_options(struct image_create *c, char **size, char **backing, char **format, struct err *e)
{
    *size = img_option_get(c->options, "size");
    *backing = img_option_get(c->options, "backing_file");
    *format = img_option_get(c->options, "backing_fmt");
    if (*size && c->size != IMG_SIZE_UNKNOWN)
        return err_set(e, "The image size must be specified only once");
    if (*size && !img_parse_size(*size, "image size", &c->size, e))
        return false;
    if (*backing && c->backing)
        return err_set(e, "the backing file must be specified only once");
    c->backing = c->backing ? c->backing : *backing;
    c->backing_format = c->backing_format ? c->backing_format : *format;
    return true;
}

static bool create_image(const struct img_args *a, struct image_create *c, bool quiet, struct err *e)
{
    if (c->backing && !*c->backing)
        c->backing = NULL;
    if (c->backing && !check_backing(a, c, e))
        return false;
    if (c->size == IMG_SIZE_UNKNOWN)
        return err_set(e, "Image creation needs a size parameter");
    if (!quiet)
        img_print_formatting(c, c->size);
    return image_create(c, e);
}

bool img_create_file(const struct img_args *a, const struct image_create *want, bool quiet, struct err *e)
{
    struct image_create c = *want;
    char *size = NULL, *backing = NULL, *format = NULL, *options = NULL;
    bool ok;

    if (!image_format(c.format))
        return err_set(e, "Unknown file format '%s'", c.format);
    c.options = options = img_options_strip(want->options);
    ok = img_options_check(c.format, want->options, e) && take_from_options(&c, &size, &backing, &format, e) &&
         create_image(a, &c, quiet, e);
    free(options);
    free(size);
    free(backing);
    free(format);
    return ok;
}

static bool wants_help(const char *options)
{
    return options && (!strcmp(options, "help") || !strcmp(options, "?") || strstr(options, ",help"));
}

int img_cmd_create(struct img_args *a, struct err *e)
{
    struct image_create c = {
        .format = a->format ? a->format : "raw",
        .options = a->options,
        .backing = a->backing,
        .backing_format = a->backing_format,
        .unsafe_backing = a->unsafe,
    };

    if (wants_help(a->options))
        return img_options_help(c.format, stdout, e) ? 0 : 1;
    if (!a->files)
        return err_set(e, "Expecting image file name"), 1;
    if (a->files > 2)
        return err_set(e, "Unexpected argument: %s", a->file[2]), 1;
    c.path = a->file[0];
    if (a->files == 2 && !img_parse_size(a->file[1], "image size", &c.size, e))
        return 1;
    c.size = a->files == 2 ? c.size : IMG_SIZE_UNKNOWN;
    if (!img_create_file(a, &c, a->quiet, e)) {
        err_prefix(e, "%s", c.path);
        return 1;
    }
    return 0;
}
