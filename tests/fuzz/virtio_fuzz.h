/*
 * A guest made of fuzz bytes: 64 KiB of RAM, an mmio slot, a device, and a little language of what a driver may do, so
 * that the fuzzer soon reaches past the handshake. The environment is made once; each input starts from reset.
 */
#ifndef TESTS_FUZZ_VIRTIO_FUZZ_H
#define TESTS_FUZZ_VIRTIO_FUZZ_H

#include "devices/virtio_mmio.h"

enum { VF_RAM = 0x80000000, VF_RAM_SIZE = 64 << 10 };

struct vf_in {
    const uint8_t *p;
    size_t n;
};

uint32_t vf_take(struct vf_in *in, unsigned bytes); /* zeroes at the end */

/* make: called once for each of legacy and modern. host: what the device's other side does, with fuzz bytes. */
void vf_run(struct virtio_dev *(*make)(const struct device_env *env), void (*host)(struct vf_in *in),
            const uint8_t *data, size_t len);

#endif
