/* virtio-console: character streams, several in one device, with names and terminal sizes. Source: virtio 1.2, section 5.3. */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio.h"

struct chardev;

enum { VIRTIO_CONSOLE_PORTS_MAX = 31 };

struct virtio_console_options {
    unsigned max_ports; /* 0: as many as are added, so that the guest does not make queues that nothing uses */
    bool packed;
};

struct virtio_dev *virtio_console_new(const struct device_env *env, const char *name,
                                      const struct virtio_console_options *o, struct err *e);
/*
 * Before the device is plugged. nr: the port's number, -1 for the first free one; port 0 is for consoles (QEMU's rule,
 * which drivers without multiport rely on). name: what /dev/virtio-ports shows, NULL for none. console: an hvc terminal,
 * otherwise a plain stream. chr is not owned and outlives the device; its device end is set here.
 */
bool virtio_console_add_port(struct virtio_dev *v, int nr, const char *name, bool console, struct chardev *chr,
                             struct err *e);

#endif
