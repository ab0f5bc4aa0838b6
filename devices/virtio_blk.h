/* virtio-blk: a disk of the block layer (images/block.h). Source: virtio 1.2, section 5.2. */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio.h"

struct block;

struct virtio_blk_options {
    struct block *block;         /* required; outlives the device */
    const char *serial;          /* at most 20 bytes are shown to the guest; NULL: none */
    unsigned queues, queue_size; /* 0: 1 and 256. At most VIRTIO_QUEUES_MAX; a power of two */
    bool packed;                 /* offer packed rings */
    bool no_config_wce;          /* do not let the guest switch the write cache */
    bool no_discard, no_write_zeroes;
    bool writethrough;      /* at start the write cache is off */
    unsigned block_size;    /* logical: 512 to 4096, 0: that of block */
    unsigned physical_size; /* at least that, a power of two up to 64 KiB; 0: the same */
};

struct virtio_dev *virtio_blk_new(const struct device_env *env, const char *name, const struct virtio_blk_options *o,
                                  struct err *e);

/* The size of the disk has changed: the guest is told. Any thread. */
void virtio_blk_resized(struct virtio_dev *v);

#endif
