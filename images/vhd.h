/* VHD (Virtual PC, Hyper-V; QEMU's name is vpc): what its files share. All fields are big-endian. */
#ifndef IMAGES_VHD_H
#define IMAGES_VHD_H

#include "images/image.h"

enum {
    VHD_SECTOR = 512,
    VHD_FIXED = 2,
    VHD_DYNAMIC = 3,
    VHD_DIFFERENCING = 4,

    /* offsets in the footer */
    VHD_DATA_OFF = 0x10,
    VHD_CREATOR = 0x1c,
    VHD_SIZE = 0x30,
    VHD_CYLINDERS = 0x38,
    VHD_HEADS = 0x3a,
    VHD_SPT = 0x3b,
    VHD_TYPE = 0x3c,
    VHD_CHECKSUM = 0x40,
    VHD_UUID = 0x44,

    /* offsets in the header of a dynamic disk, which is 1024 bytes long */
    VHD_DYN_SIZE = 1024,
    VHD_DYN_TABLE = 0x10,
    VHD_DYN_ENTRIES = 0x1c,
    VHD_DYN_BLOCK = 0x20,
    VHD_DYN_CHECKSUM = 0x24,
};

#define VHD_UNUSED 0xffffffffu
#define VHD_MAX_SECTORS 0xff000000u              /* 2040 GiB, as Hyper-V and QEMU */
#define VHD_MAX_CHS (UINT64_C(65535) * 16 * 255) /* what geometry can say */

/* One's complement of the sum of the bytes but the checksum's own. */
uint32_t vhd_checksum(const uint8_t *p, size_t n, size_t checksum_at);
uint32_t vhd_bitmap_size(uint32_t block_size);

bool vhd_create(const struct image_create *c, struct err *e);

#endif
