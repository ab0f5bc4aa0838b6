/*
 * An NVMe controller on PCIe with one or more namespaces, each a disk of the block layer (images/block.h).
 * Source: NVM Express base specification 1.4.
 */
#ifndef DEVICES_NVME_H
#define DEVICES_NVME_H

#include "devices/pci.h"

struct block;

enum { NVME_NAMESPACES_MAX = 16, NVME_IO_QUEUES_MAX = 63 };

struct nvme_options {
    const char *serial;     /* at most 20 characters are shown; NULL: from the name */
    unsigned queues;        /* I/O queue pairs, 0: 8 */
    unsigned vectors;       /* MSI-X vectors, 0: one for each I/O queue and one for the admin queue */
    unsigned queue_entries; /* 0: 1024, the most an I/O queue may have; a power of two from 2 to 4096 */
    int mdts;               /* a transfer has at most 4 KiB << mdts, 1 to 9; 0: 7 */
};

/* A controller without namespaces; put it on a bus with pci_add. NULL with e set on failure. */
struct pci_device *nvme_new(const struct device_env *env, const char *name, const struct nvme_options *o,
                            struct err *e);
/*
 * Add a namespace before the machine runs. b outlives the device. nsid: 1..NVME_NAMESPACES_MAX, 0: the next free one.
 * block_size: 512 or 4096, 0: that of b.
 */
bool nvme_add_namespace(struct pci_device *p, struct block *b, unsigned nsid, unsigned block_size, struct err *e);
/* The size of b has changed: the guest is told by an event. Any thread. */
void nvme_resized(struct pci_device *p, struct block *b);

#endif
