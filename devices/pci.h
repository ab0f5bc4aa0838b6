/*
 * A PCI function (configuration header type 0) and what it offers its owner: BARs, capabilities, INTx, MSI-X.
 *
 * A device embeds struct pci_device first, calls pci_init, describes its BARs and capabilities, and is put on a bus by
 * pci_add (devices/pci_host.h) before the machine runs. Its field table starts with PCI_FIELDS, its ops->reset calls
 * pci_reset and its ops->update calls pci_update.
 *
 * Locks: configuration accesses run under the function's device lock (dev.lock; the host bridge's lock is outside it).
 * A BAR access runs under the lock that the BAR names (bar.lock; the function's own by default, NULL for none).
 * pci_intx, pci_msix_notify and pci_notify take only an inner lock and may be called from any thread with any device
 * lock held.
 * BARs are reached through the host bridge's windows: a guest may move a BAR while other vCPUs use it, each access
 * sees the old or the new place; of RAM behind a BAR, a vCPU may see the old place until it next polls.
 * Source: PCI Local Bus 3.0, chapter 6; PCI Express base specification, 7.5 and 7.7.2 (MSI-X).
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include "devices/device.h"

struct pci_host;

enum { /* configuration space, offsets */
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* 3 bytes: interface, sub-class, class */
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c,
    PCI_SUBSYSTEM = 0x2e,
    PCI_CAP_POINTER = 0x34,
    PCI_IRQ_LINE = 0x3c,
    PCI_IRQ_PIN = 0x3d,
    PCI_CONFIG_SIZE = 4096,
};

enum { /* PCI_COMMAND */
    PCI_COMMAND_IO = 0x1,
    PCI_COMMAND_MEMORY = 0x2,
    PCI_COMMAND_MASTER = 0x4,
    PCI_COMMAND_INTX_OFF = 0x400,
};
enum { PCI_STATUS_IRQ = 0x8, PCI_STATUS_CAPS = 0x10 };

enum { PCI_CAP_PM = 0x01, PCI_CAP_VENDOR = 0x09, PCI_CAP_EXPRESS = 0x10, PCI_CAP_MSIX = 0x11 };

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM32_PREFETCH,
    PCI_BAR_MEM64,
    PCI_BAR_MEM64_PREFETCH
};

/* A RAM BAR is memory at the first PCI_RAM_PLACES places where a guest puts it; elsewhere it answers as registers do. */
enum { PCI_BARS = 6, PCI_MSIX_MAX = 128, PCI_RAM_PLACES = 64 };

struct pci_device;

struct pci_bar {
    enum pci_bar_kind kind;
    uint64_t size;              /* a power of two, >= 16 */
    const struct mmio_ops *ops; /* called with arg as dev; limits are checked, and split, as the bus does it */
    void *arg;
    void (*lock)(void *lock_arg), (*unlock)(void *lock_arg);
    void *lock_arg;
    /* pci.c's own: */
    struct pci_device *pci;
    const struct region *ram;     /* NULL: registers */
    struct region **ram_place;    /* made so far, never changed; under the host's places_lock */
    unsigned ram_places;
    const struct region *ram_now; /* the one of them that shows */
};

struct pci_id {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits: class, sub-class, interface */
    uint8_t revision;
};

struct pci_device {
    struct device dev;
    uint8_t config[PCI_CONFIG_SIZE];   /* under dev.lock */
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
    uint8_t initial[PCI_CONFIG_SIZE];  /* what reset restores */
    struct pci_bar bar[PCI_BARS];
    /*
     * Hooks, under dev.lock; may be NULL. config_read runs before bytes [off, off+len) are taken from config[];
     * config_written after they were stored.
     */
    void (*config_read)(struct pci_device *p, unsigned off, unsigned len);
    void (*config_written)(struct pci_device *p, unsigned off, unsigned len);
    unsigned devfn;        /* slot * 8 + function, once added */
    struct pci_host *host; /* NULL until added */
    unsigned next_cap;     /* where the next capability goes */
    unsigned last_cap;     /* offset of the byte that points to it */
    /* MSI-X and INTx, under irq_lock */
    pthread_mutex_t irq_lock;
    unsigned msix_cap; /* offset of the capability, 0: none */
    unsigned msix_vectors, msix_bar;
    uint32_t msix_table_off, msix_pba_off;
    uint32_t msix_table[PCI_MSIX_MAX * 4];
    uint64_t msix_pending[PCI_MSIX_MAX / 64];
    bool intx; /* the function asks for its interrupt; what it drives depends on the command register */
    bool intx_driven;
};

/* First entries of the owner's field table. The configuration is kept over the zeroing: pci_reset restores it. */
#define PCI_FIELDS(type, member) \
    FIELD_KEEP(type, member.config), FIELD_ARRAY(type, member.msix_table, PCI_MSIX_MAX * 4), \
        FIELD_ARRAY(type, member.msix_pending, PCI_MSIX_MAX / 64), FIELD(type, member.intx)

/* p: zeroed, embedded first in the owner's struct. Calls device_init. */
void pci_init(struct pci_device *p, const struct device_ops *ops, const char *name, const struct device_env *env,
              const struct pci_id *id);
void pci_fini(struct pci_device *p);   /* for the owner's ops->free; calls device_fini */
void pci_reset(struct pci_device *p);  /* from ops->reset */
void pci_update(struct pci_device *p); /* from ops->update: BAR places and interrupts from the configuration */

/*
 * Set-up, before pci_add. pci_set_bar: a 64-bit BAR takes n and n + 1; the lock is the function's, change p->bar[n] after
 * the call for another. pci_add_cap returns the offset of the new capability of len bytes (id and next pointer included,
 * both filled in), 0 when there is no room.
 */
bool pci_set_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, uint64_t size, const struct mmio_ops *ops,
                 void *arg, struct err *e);
/* BAR n is all of ram (bus_make_ram), of a power of two in size: vCPUs reach it as they reach RAM, without a lock. */
bool pci_set_ram_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, const struct region *ram, struct err *e);
unsigned pci_add_cap(struct pci_device *p, uint8_t id, unsigned len);
void pci_set_writable(struct pci_device *p, unsigned off, unsigned len); /* all bits of these bytes */
void pci_use_intx(struct pci_device *p);                                 /* interrupt pin A */
/* MSI-X with its table and pending bits at these offsets of BAR bar, served by pci.c before the BAR's ops. */
bool pci_add_msix(struct pci_device *p, unsigned vectors, unsigned bar, uint32_t table, uint32_t pba, struct err *e);

/* Interrupts. Vectors out of range are ignored. */
bool pci_msix_enabled(struct pci_device *p);
void pci_msix_notify(struct pci_device *p, unsigned vector); /* nothing when MSI-X is off */
void pci_intx(struct pci_device *p, bool level);             /* drives nothing while MSI-X is on or the guest has it off */
bool pci_master(const struct pci_device *p);                 /* the guest lets the function do DMA */

/* Configuration bytes from set-up code, little-endian, reset value too. */
void pci_set8(struct pci_device *p, unsigned off, uint8_t v);
void pci_set16(struct pci_device *p, unsigned off, uint16_t v);
void pci_set32(struct pci_device *p, unsigned off, uint32_t v);

/*
 * Access of the guest to the configuration (aligned, sizes 1, 2, 4; dev.lock held) or to a BAR (sizes 1, 2, 4, 8; the BAR's
 * lock held). The latter also serves capabilities that reach BARs. What nothing answers reads all ones.
 */
uint32_t pci_config_read(struct pci_device *p, unsigned off, unsigned size);
void pci_config_write(struct pci_device *p, unsigned off, uint32_t val, unsigned size);
uint64_t pci_bar_read(struct pci_bar *b, uint64_t off, unsigned size);
void pci_bar_write(struct pci_bar *b, uint64_t off, uint64_t val, unsigned size);

#endif
