/* A new image that takes the place of whatever has its name only when it is whole. */
#ifndef FRONTEND_IMG_CONVERT_H
#define FRONTEND_IMG_CONVERT_H

#include "frontend/img/copy.h"
#include "frontend/img/img.h"

/* The first line is the caller's; the rest is filled in. `locked`: the caller has the old image open for writing. */
struct new_image {
    bool direct, no_flush, no_backing, locked;
    char *path, *temporary;
    struct image *img, *old;
};

/* Make c (whose path is changed) and open it as n->img. new_image_done() is called whatever the result. */
bool new_image_open(struct new_image *n, const struct img_args *a, struct image_create *c, struct err *e);
/* ok: it takes its place; else it is removed. Closes it. */
bool new_image_done(struct new_image *n, bool ok, struct err *e);
/* new_image_open(), then the bytes of source from start on are copied into it, c->size of them. */
bool copy_to_new(struct img_args *a, struct image *source, uint64_t start, struct image_create *c, struct new_image *n,
                 struct err *e);

#endif
