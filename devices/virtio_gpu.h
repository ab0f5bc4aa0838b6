/*
 * virtio-gpu, 2D: scanouts, resources that live in host memory, a hardware cursor. Source: virtio 1.2, section 5.7.
 *
 * No 3D, no blobs. The guest learns sizes from EDID: when a viewer's window changes, so does its monitor.
 */
#ifndef DEVICES_VIRTIO_GPU_H
#define DEVICES_VIRTIO_GPU_H

#include "devices/virtio.h"

struct display;

enum { VIRTIO_GPU_SCANOUTS_MAX = 16 };

struct virtio_gpu_options {
    unsigned max_outputs; /* scanouts, 1 to 16; 0: 1 */
    unsigned xres, yres;  /* of each at first, pixels, 32 to 16384; 0: 1280 x 800 */
    uint64_t max_hostmem; /* bytes all resources may take; 0: 256 MiB */
    bool no_edid, packed;
};

struct virtio_dev *virtio_gpu_new(const struct device_env *env, const char *name, const struct virtio_gpu_options *o,
                                  struct err *e);
/* The device's; NULL: it has no such scanout. */
struct display *virtio_gpu_display(struct virtio_dev *v, unsigned scanout);

#endif
