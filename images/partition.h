/* Partition tables: MBR with logical partitions, and GPT. Read only, and everything in them is doubted. */
#ifndef IMAGES_PARTITION_H
#define IMAGES_PARTITION_H

#include "base/err.h"
#include "base/types.h"

struct image;

enum { PARTITIONS_MAX = 256 };

struct partition {
    unsigned number;         /* as Linux counts: 1 to 4 primary, 5... logical; GPT: the entry's place + 1 */
    uint64_t offset, length; /* bytes, inside the disk */
};

/* Those in use, at most max, in the order of the table; their number, or a negative errno with e set. */
int partition_list(struct image *disk, struct partition *out, unsigned max, struct err *e);
bool partition_find(struct image *disk, unsigned number, struct partition *out, struct err *e);

#endif
