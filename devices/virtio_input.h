/*
 * virtio-input: keyboard, tablet, mouse and multitouch screen, which hear events from the machine's struct input.
 *
 * Events go to the guest in whole groups, each ended by SYN_REPORT; a group for which the guest has no room is dropped,
 * but what is released stays in mind until there is room, so that no key hangs.
 * Source: virtio 1.2, section 5.8; linux/input-event-codes.h.
 */
#ifndef DEVICES_VIRTIO_INPUT_H
#define DEVICES_VIRTIO_INPUT_H

#include "devices/input.h"
#include "devices/virtio.h"

struct virtio_input_options {
    enum input_kind kind;
    const char *serial; /* copied, up to 63 bytes; NULL: none */
    bool packed;        /* offer packed rings */
};

/* name, as everywhere, is borrowed, and so is in. NULL: e is set. */
struct virtio_dev *virtio_input_new(const struct device_env *env, const char *name, struct input *in,
                                    const struct virtio_input_options *o, struct err *e);

#endif
