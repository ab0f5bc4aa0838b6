/*
 * Intel 82574L, a Gigabit Ethernet controller on PCIe, for guests that have no virtio driver.
 * Source: Intel 82574 GbE Controller Family datasheet; what the drivers of Linux expect
 * (drivers/net/ethernet/intel/e1000e).
 */
#ifndef DEVICES_E1000E_H
#define DEVICES_E1000E_H

#include "devices/nic.h"
#include "devices/pci.h"

struct loop;

struct e1000e_options {
    uint8_t mac[ETH_ALEN]; /* in its EEPROM */
    struct loop *loop;     /* the machine's; outlives the device */
    const char *port;      /* the port's name, NULL: the device's; borrowed */
};

/* Put it on a bus with pci_add. NULL with e set on failure. To be freed on the loop's thread, its port unplugged. */
struct pci_device *e1000e_new(const struct device_env *env, const char *name, const struct e1000e_options *o,
                              struct err *e);
struct nic *e1000e_nic(struct pci_device *p);

#endif
