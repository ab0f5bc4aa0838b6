/*
 * A character stream between a device (UART, virtio-console port) and its host end (terminal, file, pty, socket, nothing).
 *
 * The device calls write; it never blocks: bytes the host end cannot take yet are reported by a short count and
 * `writable` follows. The host end offers input through the gate; the device takes what it has room for and calls
 * `drained` when it can take more. write and drained are called with the device's lock held: they never call the
 * device back (drained posts to the loop). One device per chardev; muxing is the front end's.
 */
#ifndef DEVICES_CHARDEV_H
#define DEVICES_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chardev_event { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK, CHARDEV_RESIZE };

struct chardev {
    /* host end; set by its constructor */
    size_t (*write)(struct chardev *c, const uint8_t *buf, size_t len); /* bytes taken */
    void (*drained)(struct chardev *c);
    void (*size)(struct chardev *c, uint16_t *cols, uint16_t *rows);   /* 0, 0: unknown; may be NULL */
    void (*free)(struct chardev *c);
    bool open; /* somebody listens */
    /* device end; set by the device, called on the loop's thread without locks held */
    size_t (*room)(void *dev); /* bytes the device can take now */
    void (*receive)(void *dev, const uint8_t *buf, size_t len); /* len <= room */
    void (*writable)(void *dev);
    void (*event)(void *dev, enum chardev_event e);
    void *dev;
};

#endif
