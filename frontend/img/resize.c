/* guise img resize. */
#include <inttypes.h>
#include <string.h>

#include "frontend/img/img.h"

static bool new_size(const char *text, uint64_t old, uint64_t *size, struct err *e)
{
    char sign = *text == '+' || *text == '-' ? *text : 0;

    if (!image_parse_size(text + (sign != 0), size) || *size > INT64_MAX)
        return err_set(e, "Parameter 'size' expects a size such as 10G, +1G or -512M, not '%s'", text);
    if (sign == '-' && *size > old)
        return err_set(e, "New image size must be positive");
    if (sign)
        *size = sign == '+' ? old + *size : old - *size;
    return *size || err_set(e, "New image size must be positive");
}

static bool resize(const struct img_args *a, struct image *img, struct err *e)
{
    enum image_prealloc p = PREALLOC_OFF;
    uint64_t old = image_size(img), size;

    if (a->preallocation && !image_parse_prealloc(a->preallocation, &p))
        return err_set(e, "Invalid preallocation mode '%s' (off, metadata, falloc, full)", a->preallocation);
    if (!new_size(a->file[1], old, &size, e))
        return false;
    if (size < old && !a->shrink) {
        fprintf(stderr,
                "%s: warning: Shrinking an image will delete all data beyond the shrunken image's end. Before "
                "performing such an operation, make sure there is no important data there.\n",
                a->program);
        return err_set(e, "Use the --shrink option to perform a shrink operation.");
    }
    if (size < old && p != PREALLOC_OFF)
        return err_set(e, "Preallocation can only be used for growing images");
    if (!img->ops->resize)
        return err_set(e, "images of format '%s' cannot be resized", img->ops->format);
    return !img->ops->resize(img, size, p, a->shrink, e);
}

int img_cmd_resize(struct img_args *a, struct err *e)
{
    struct img_how how = {.format = a->format, .image_opts = a->image_opts, .write = true, .no_backing = false};
    struct image *img;
    bool ok;

    if (a->files != 2)
        return err_set(e, "Expecting image file name and size"), 1;
    img = img_open_named(a, a->file[0], &how, e);
    if (!img)
        return 1;
    ok = resize(a, img, e);
    image_close(img);
    if (ok && !a->quiet)
        puts("Image resized.");
    return ok ? 0 : 1;
}
