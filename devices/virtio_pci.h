/*
 * The virtio PCI transport. Transitional (QEMU's default on a root bus): the modern capabilities in BAR 4 and the interface
 * before 1.0 in the I/O BAR 0, device ids 0x1000 and up; or modern only, ids 0x1040 and up. MSI-X in BAR 1, INTx without.
 * Source: virtio 1.2, section 4.1.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci.h"
#include "devices/virtio.h"

struct virtio_pci_options {
    bool modern_only; /* disable-legacy=on */
    bool no_msix;     /* vectors=0 */
    unsigned vectors; /* 0: one for each queue and one for the configuration */
};

/* A function with v plugged in (v is not owned); put it on a bus with pci_add. NULL with e set on failure. */
struct pci_device *virtio_pci_new(const struct device_env *env, const char *name, struct virtio_dev *v,
                                  const struct virtio_pci_options *o, struct err *e);

#endif
