/* virtio-rng: random bytes from the input gate. Source: virtio 1.2, section 5.4. */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio.h"

struct virtio_rng_options {
    uint64_t max_bytes; /* in a period, 0: no limit */
    uint64_t period_ns; /* 0: 1 s */
    bool packed;
};

struct virtio_dev *virtio_rng_new(const struct device_env *env, const char *name, const struct virtio_rng_options *o,
                                  struct err *e);

#endif
