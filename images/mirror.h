/*
 * A disk kept in copies: mirror:[option,...]A,B,...
 *
 * Options: degraded=off (all members must be there), init=N (make a mirror of plain images: member N has the data),
 * replace=N (member N is new: fill it), primary=N (members were changed apart: N is right). A new mirror of empty
 * files: image_create() with format "mirror" and the list as its path.
 *
 * Each member is the disk followed by a trailer of 64 KiB, so that what is in a member can be had without us. The
 * trailer says which members were in step when this one was last written (a generation that grows with each change of
 * that) and which regions may differ between them. Rules:
 *  - Before a member is left out, the others say so, durably, and only then is the write that failed on it acknowledged;
 *    so a member that missed something is known as stale wherever it turns up, and is not read.
 *  - Before a region is written, its bit is set durably in all members in step; bits go only after a flush, when the
 *    region has rested. So after a crash the regions in which the copies may differ are known, and are made alike.
 *  - While a member is missing no bit goes, so that it needs only these regions when it comes back.
 *  - A member that says others missed something, while those say it did, was used apart from them: refused.
 */
#ifndef IMAGES_MIRROR_H
#define IMAGES_MIRROR_H

#include "images/image.h"

enum mirror_state { MIRROR_ABSENT, MIRROR_IN_STEP, MIRROR_REBUILDING };

struct mirror_status {
    unsigned n;
    struct {
        const char *name; /* lives as long as the member is in use */
        enum mirror_state state;
    } member[16];
    uint64_t generation, dirty_bytes; /* bytes of regions that may differ */
    uint64_t rebuilt, to_rebuild;     /* bytes; 0, 0: no rebuild is under way */
};

/* Over images that are open already, NULL for one that is missing; owned from then on, also on failure. */
struct image *mirror_over(struct image *const *member, unsigned n, const struct image_options *o, struct err *e);
/* Make these a new mirror of a disk of `size` bytes; they must be of equal contents there. Not owned. */
bool mirror_format(struct image *const *member, unsigned n, uint64_t size, struct err *e);

/* img: a mirror, or a layer over one (raw, an overlay). false: it has none. */
bool mirror_get_status(struct image *img, struct mirror_status *s);
/* Put the image `spec` in place of member n (from 1), which must not be the last in step; it is filled meanwhile. */
bool mirror_replace(struct image *img, unsigned n, const char *spec, struct err *e);

#endif
