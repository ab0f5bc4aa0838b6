/* VHDX (Hyper-V): what its files share. All fields are little-endian; offsets from Microsoft's [MS-VHDX]. */
#ifndef IMAGES_VHDX_H
#define IMAGES_VHDX_H

#include "images/sparse.h"

enum {
    VHDX_MB = 1 << 20,
    VHDX_HEADER = 4096, /* bytes that its checksum covers */
    VHDX_HEADER_1 = 64 << 10,
    VHDX_HEADER_2 = 128 << 10,
    VHDX_REGIONS_1 = 192 << 10,
    VHDX_REGIONS_2 = 256 << 10,
    VHDX_TABLE = 64 << 10, /* region and metadata tables */
    VHDX_LOG_SECTOR = 4096,

    /* offsets in a header */
    VHDX_CHECKSUM = 4,
    VHDX_SEQUENCE = 8,
    VHDX_FILE_GUID = 0x10,
    VHDX_DATA_GUID = 0x20,
    VHDX_LOG_GUID = 0x30,
    VHDX_LOG_VERSION = 0x40,
    VHDX_VERSION = 0x42,
    VHDX_LOG_LENGTH = 0x44,
    VHDX_LOG_OFFSET = 0x48,

    /* states of a block in its table entry */
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_UNMAPPED_095 = 5, /* of the format's draft */
    VHDX_PRESENT = 6,
    VHDX_PARTIAL = 7,

    VHDX_FIXED = 1, /* flags of the file parameters: LeaveBlocksAllocated, HasParent */
    VHDX_HAS_PARENT = 2,
    VHDX_REQUIRED = 4, /* flag of a metadata item */
};

struct vhdx {
    struct sparse sparse; /* first */
    pthread_mutex_t begin;
    uint8_t head[VHDX_HEADER]; /* the one that counts */
    unsigned slot;             /* 0, 1: where it lies */
    bool begun;                /* written to: the header says so; atomic */
    uint64_t log, table, metadata, end;
    uint32_t log_length, table_length, metadata_length, block_size, chunk_ratio;
    uint64_t blocks, log_sequence;
};

extern const uint8_t vhdx_guid_table[16], vhdx_guid_metadata[16]; /* regions */
extern const uint8_t vhdx_guid_items[6][16];                      /* metadata, as enum vhdx_item */
enum vhdx_item { VHDX_PARAMETERS, VHDX_DISK_SIZE, VHDX_PAGE83, VHDX_LOGICAL, VHDX_PHYSICAL, VHDX_PARENT };

uint32_t vhdx_crc(const uint8_t *p, size_t n, size_t checksum_at); /* CRC-32C with the 4 bytes there as zero */
int vhdx_write_header(struct image *img);                          /* the other slot, next in sequence; stable */

/* vhdx_log.c. Replay what the log holds: to the file, or for a read-only image into the table cache. */
bool vhdx_replay(struct image *img, struct err *e);
int vhdx_log_entries(struct image *img); /* sparse_ops.entries: dirty table pages, by way of the log */

bool vhdx_create(const struct image_create *c, struct err *e);

#endif
