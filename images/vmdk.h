/*
 * VMDK (VMware): a descriptor text names extents; each is an image of its own here, private to this format.
 * Source: VMware "Virtual Disk Format 5.0" (2011).
 */
#ifndef IMAGES_VMDK_H
#define IMAGES_VMDK_H

#include "images/image.h"

enum {
    VMDK_SECTOR = 512,
    VMDK_HEADER = 512,
    VMDK_DESC_MAX = 1 << 20,
    VMDK_EXTENTS_MAX = 1024,
    VMDK_GRAIN = 128,   /* sectors, in new images */
    VMDK_ENTRIES = 512, /* of a grain table */

    /* offsets in the header of a sparse extent */
    VMDK_VERSION = 0x04,
    VMDK_FLAGS = 0x08,
    VMDK_CAPACITY = 0x0c,
    VMDK_GRAIN_SIZE = 0x14,
    VMDK_DESC_OFF = 0x1c,
    VMDK_DESC_SIZE = 0x24,
    VMDK_GTES = 0x2c,
    VMDK_RGD = 0x30,
    VMDK_GD = 0x38,
    VMDK_OVERHEAD = 0x40,
    VMDK_CHECK = 0x49,
    VMDK_ALGORITHM = 0x4d,

    VMDK_HAS_RGD = 1 << 1, /* flags */
    VMDK_ZERO_GRAIN = 1 << 2,
    VMDK_COMPRESSED = 1 << 16,
    VMDK_MARKERS = 1 << 17,

    VMDK_MARK_FOOTER = 3,
};

#define VMDK_AT_END UINT64_MAX

/* What a line of the descriptor says. */
struct vmdk_line {
    bool writable;
    uint64_t sectors, offset; /* offset: FLAT */
    char type[16], name[1024];
};

struct vmdk_desc {
    char create_type[32];
    uint32_t cid, parent_cid;
    size_t cid_at, cid_digits; /* where in the text */
    struct vmdk_line *lines;
    unsigned n;
};

/* Parse text. path is for messages. lines is the caller's to free, also on failure. */
bool vmdk_parse(const char *path, const char *text, struct vmdk_desc *d, struct err *e);

/* Extents, vmdk_extent.c. Their img->file is not theirs if `borrowed`. */
struct image *vmdk_open_sparse(const char *path, struct image *file, bool borrowed, bool read_only, uint64_t size,
                               struct err *e);
struct image *vmdk_open_flat(const char *path, struct image *file, bool borrowed, bool read_only, uint64_t size,
                             uint64_t offset, struct err *e);
void vmdk_close_extent(struct image *x);
bool vmdk_is_compressed(const struct image *x);

bool vmdk_create(const struct image_create *c, struct err *e);

#endif
