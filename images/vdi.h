/* VDI (VirtualBox): the header and what the files of this format share. All fields are little-endian. */
#ifndef IMAGES_VDI_H
#define IMAGES_VDI_H

#include "images/sparse.h"

enum {
    VDI_SIGNATURE_AT = 0x40,
    VDI_HEADER = 512, /* bytes of it that we read and write */
    VDI_DYNAMIC = 1,
    VDI_STATIC = 2,
};

#define VDI_UNALLOCATED 0xffffffffu
#define VDI_DISCARDED 0xfffffffeu
#define VDI_MAX_BLOCKS 0x1fffffffu /* QEMU's limit too */

struct vdi {
    struct sparse sparse; /* first */
    uint8_t head[VDI_HEADER];
    uint64_t map_off, data_off;
    uint32_t block_size, blocks, count; /* count: what the header says is allocated */
    uint32_t stable;                    /* the count that is surely in the file; 0: none is */

    /* Opened for writing. Places are numbered from data_off on, in blocks. */
    bool damaged;    /* two blocks share a place, or one lies outside the file: no writes but check's */
    uint8_t *used;   /* one bit a place */
    uint32_t places; /* bits in used */
    uint32_t top;    /* the highest place in use, plus 1 */
    uint32_t in_use; /* how many are */
    uint32_t lowest; /* no free place below */
    uint32_t *freed; /* given up by entries that are not yet stable */
    uint32_t freed_n, freed_max;
};

int vdi_entry(struct image *img, uint64_t blk, uint32_t *entry);
int vdi_set_entry(struct image *img, uint64_t blk, uint32_t entry);
uint64_t vdi_place(const struct vdi *v, uint32_t n); /* its offset in the file */
bool vdi_places(struct image *img);                  /* make `used` for what the file can hold */
int vdi_take_place(struct vdi *v, uint32_t *n);      /* a free one; -EAGAIN: none */
bool vdi_is_used(const struct vdi *v, uint32_t n);
void vdi_use(struct vdi *v, uint32_t n, bool yes);
/* Walk the map: fills used, top, in_use; sets damaged. report may be NULL; counts errors in *bad. */
int vdi_scan(struct image *img, void (*report)(void *, const char *), void *arg, uint64_t *bad);
int vdi_write_header(struct image *img);
int vdi_move(struct image *img, uint32_t from, uint32_t to); /* copy a block's bytes */

/* vdi_check.c */
int vdi_compact(struct image *img); /* exclusive lock: no free place below top, and the file ends there */
bool vdi_check(struct image *img, unsigned fix, struct image_check *result, void (*report)(void *, const char *line),
               void *arg, struct err *e);

/* vdi_create.c */
bool vdi_create(const struct image_create *c, struct err *e);
int vdi_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e);

#endif
