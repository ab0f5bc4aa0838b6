/*
 * Generic PCI Express host bridge: ECAM configuration window, memory and I/O windows, four interrupt lines.
 *
 * One bus of 32 slots with 8 functions. Function 0 of slot 0 is the bridge itself. Accesses in the windows that no BAR
 * answers read all ones and write nothing, as on a PC. INTx pin A..D of slot s drives line (s + pin) mod 4.
 * Source: PCI Express base specification, 7.2.2 (ECAM); Linux Documentation/devicetree/bindings/pci/host-generic-pci.yaml.
 */
#ifndef DEVICES_PCI_HOST_H
#define DEVICES_PCI_HOST_H

#include "devices/pci.h"

struct pci_window {
    gpa base;
    uint64_t size;
};

struct pci_host_config {
    gpa ecam;                  /* 1 MiB a bus; 256 MiB is mapped */
    struct pci_window mem32;   /* bus address = guest physical address */
    struct pci_window mem64;
    struct pci_window pio;     /* guest physical place of I/O port 0 */
};

enum { PCI_LINES = 4, PCI_ECAM_SIZE = 0x10000000 };

struct device *pci_host_new(const struct device_env *env, const char *name, const struct pci_host_config *c);
/* Map ECAM and windows on the bus. */
bool pci_host_map(struct device *host, struct err *e);
struct irq *pci_host_irq(struct device *host, unsigned line); /* 0..3; the machine connects them */

/* devfn: slot * 8 + function, or -1 for the first free slot. The host does not own p. */
bool pci_add(struct device *host, struct pci_device *p, int devfn, struct err *e);
struct pci_device *pci_at(struct device *host, unsigned devfn); /* NULL: empty; for `info pci` */
/* Where BAR n answers, an address on the bus (of ports: a port). False: nowhere. Under p's lock. */
bool pci_bar_shown(const struct pci_device *p, unsigned n, uint64_t *at);
#define PCI_HOST_KIND "pci-host-ecam-generic" /* its ops->name */

/*
 * Where MSIs go when they hit no RAM: fn returns false for an address that is not an interrupt file's. It runs with
 * device locks held. Without it an MSI is a plain 4-byte write to RAM.
 */
void pci_host_on_msi(struct device *host, bool (*fn)(void *arg, gpa addr, uint32_t data), void *arg);

/* For pci.c. */
void pci_host_update_bars(struct pci_host *h);
void pci_host_set_intx(struct pci_host *h, const struct pci_device *p, bool level); /* only changes; irq_lock held */
bool pci_host_send_msi(struct pci_host *h, gpa addr, uint32_t data);

#endif
