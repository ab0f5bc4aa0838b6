/*
 * The virtio MMIO transport: a slot of 0x200 bytes and one interrupt line, for one device or none.
 *
 * legacy: version 1 of the interface (QEMU's default); otherwise version 2. An empty slot answers device id 0.
 * Source: virtio 1.2, section 4.2 (4.2.4 for version 1).
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/virtio.h"

struct device *virtio_mmio_new(const struct device_env *env, const char *name, bool legacy);
/* Before the machine runs. The slot does not own v. */
bool virtio_mmio_plug(struct device *slot, struct virtio_dev *v, struct err *e);
struct virtio_dev *virtio_mmio_device(struct device *slot); /* NULL: empty */

#endif
