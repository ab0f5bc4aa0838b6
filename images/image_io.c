/* Reads and writes of a contiguous buffer, and what a chain of layers holds where. */
#include <errno.h>

#include "images/image.h"

int image_pread(struct image *img, void *buf, uint64_t off, uint64_t len)
{
    struct iovec v = {buf, len};

    return len ? img->ops->readv(img, &v, 1, off, 0) : 0;
}

int image_pwrite(struct image *img, const void *buf, uint64_t off, uint64_t len, unsigned flags)
{
    struct iovec v = {(void *)(uintptr_t)buf, len}; /* writev only reads it */

    return len ? img->ops->writev(img, &v, 1, off, flags) : 0;
}

int image_map_layer(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    int ret = 0;

    *x = (struct image_extent){
        .len = len, .allocated = true, .data = true, .has_offset = !img->ops->map, .offset = off, .layer = img};
    if (img->ops->map) {
        *x = (struct image_extent){.layer = img};
        ret = img->ops->map(img, off, len, x);
    }
    if (!ret && !x->len)
        ret = -EIO;
    if (!ret && x->len > len)
        x->len = len;
    return ret;
}

int image_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    for (unsigned depth = 0;; depth++) {
        struct image *backing = img->backing;
        uint64_t end = backing ? image_size(backing) : 0;
        int ret = image_map_layer(img, off, len, x);

        x->layer = img;
        x->depth = depth;
        if (ret || x->allocated || x->zero)
            return ret;
        if (off >= end) { /* below is nothing, or a shorter image */
            x->zero = true;
            x->data = x->has_offset = false;
            return 0;
        }
        len = x->len < end - off ? x->len : end - off;
        img = backing;
    }
}
