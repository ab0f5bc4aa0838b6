/* The devices -device can add, by the names QEMU gives them: one table for parsing, checks, help and construction. */
#ifndef FRONTEND_DEVICE_TABLE_H
#define FRONTEND_DEVICE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum device_kind {
    DEVICE_BLK,
    DEVICE_RNG,
    DEVICE_SERIAL,
    DEVICE_CONSOLE,
    DEVICE_PORT,
    DEVICE_NVME,
    DEVICE_NVME_NS,
    DEVICE_NET,
    DEVICE_E1000E,
    DEVICE_GPU,
    DEVICE_KEYBOARD,
    DEVICE_TABLET,
    DEVICE_MOUSE,
    DEVICE_TOUCH,
    DEVICE_PS2_KEYBOARD,
    DEVICE_PS2_MOUSE,
    DEVICE_XHCI,
    DEVICE_USB_KEYBOARD,
    DEVICE_USB_TABLET,
    DEVICE_USB_MOUSE,
    DEVICE_BOCHS,
    DEVICE_RAMFB,
    DEVICE_SIMPLEFB,
};
enum device_transport {
    TRANSPORT_MMIO,
    TRANSPORT_PCI,
    TRANSPORT_PORT,  /* sits on a virtio-serial device */
    TRANSPORT_NVME,  /* sits on an NVMe controller */
    TRANSPORT_USB,   /* sits on an xHCI controller */
    TRANSPORT_BOARD, /* on no bus */
};

struct device_type {
    const char *name;
    enum device_kind kind;
    enum device_transport transport;
    bool modern;       /* "-non-transitional" */
    const char *props; /* comma-separated names it takes, beside those every device of its transport takes */
    const char *help;
};

const struct device_type *device_type_find(const char *name);
const char *device_type_nearest(const char *name);
/* Why a device QEMU knows is not here, in words; NULL: never heard of it. */
const char *device_type_missing(const char *name);
bool device_type_takes(const struct device_type *t, const char *prop);
void device_types_help(FILE *out);
/* Names with their help (NULL: none), and the properties of one type (NULL: nothing is called). */
void device_types_each(void (*fn)(void *arg, const char *name, const char *help), void *arg);
void device_props_each(const struct device_type *t, void (*fn)(void *arg, const char *name, size_t len), void *arg);

#endif
