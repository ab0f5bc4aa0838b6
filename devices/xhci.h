/*
 * An xHCI USB host controller on PCIe with four sockets (each a USB 2 and a USB 3 port) for keyboards, mice, tablets.
 * Source: eXtensible Host Controller Interface for USB 1.2.
 */
#ifndef DEVICES_XHCI_H
#define DEVICES_XHCI_H

#include "devices/input.h"
#include "devices/pci.h"

enum { XHCI_SOCKETS = 4 };

/* A controller with nothing plugged in; put it on a bus with pci_add. NULL with e set on failure. */
struct pci_device *xhci_new(const struct device_env *env, const char *name, struct input *in, struct err *e);
/*
 * Plug a keyboard, mouse or tablet in, before the machine runs. port: 1 to XHCI_SOCKETS, 0: the first free one. serial:
 * its number, copied; NULL: made from the port. name: for messages.
 */
bool xhci_plug(struct pci_device *p, const char *name, enum input_kind kind, unsigned port, const char *serial,
               struct err *e);

#endif
