/*
 * Intel 82574L: PCI function, BARs, reset, life.
 *
 * Threads: register accesses come from vCPUs with the device's lock; frames are sent and received on the loop's
 * thread, which takes the lock for the descriptors (devices/nic.h). Memory is reached by DMA accessors, which know
 * RAM only: rings and buffers that point at registers, this device's own or others', reach nothing, and nothing
 * re-enters.
 * Source: 82574 datasheet, 9.1 (PCI configuration), 10.1 (access to registers), 10.2.2 (CTRL).
 */
#include "devices/e1000e.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/e1000e_parts.h"

enum {
    VENDOR = 0x8086,
    DEVICE = 0x10d3,
    CLASS = 0x020000, /* Ethernet controller */
    REGS_BAR = 128 << 10,
    FLASH_BAR = 128 << 10,
    IO_BAR = 32,
    MSIX_BAR = 16 << 10,
    MSIX_TABLE = 0,
    MSIX_PBA = 0x2000,
    JUMBO_MTU = 9216,
};
enum { PM_SIZE = 8, PM_CAPS = 2, PM_CONTROL = 4, PM_STATE = 3, PM_NO_RESET = 8 };
enum {
    EXPRESS_SIZE = 20,
    EXPRESS_CAPS = 2,
    EXPRESS_DEVICE = 4,
    EXPRESS_CONTROL = 8,
    EXPRESS_LINK = 12,
    EXPRESS_LINK_CONTROL = 16
};
enum { IOADDR = 0, IODATA = 4 };

bool e1000e_dma(const struct e1000e *e)
{
    unsigned pm = e->pci.config[PCI_CAP_POINTER]; /* the first capability */

    return pci_master(&e->pci) && !(reg_get(e, R_CTRL) & CTRL_MASTER_OFF) &&
           !(e->pci.config[pm + PM_CONTROL] & PM_STATE);
}

/* The guest may use again the memory of what is being sent: not before it was sent. */
static void tx_stopped(struct e1000e *e)
{
    nic_settle(&e->nic);
    e->epoch++;
}

void e1000e_tx_changed(struct e1000e *e)
{
    if (reg_get(e, R_TCTL) & TCTL_EN && e1000e_dma(e))
        nic_kick(&e->nic);
    else
        tx_stopped(e);
}

void e1000e_mac_reset(struct e1000e *e)
{
    tx_stopped(e);
    e1000e_regs_reset(e);
    e1000e_address_load(e);
    memset(e->context, 0, sizeof e->context);
    memset(e->skip, 0, sizeof e->skip);
    e1000e_irq_reset(e);
    e1000e_irq_update(e);
    e1000e_fifo_drop(e);
    e1000e_room(e); /* who waits may throw away what he has */
}

/* --- BARs --- */

static uint64_t regs_read(void *arg, gpa off, unsigned size)
{
    uint64_t v = 0;

    if (off >= REGS_END)
        return 0;
    for (unsigned i = 0; i < size; i += 4)
        v |= (uint64_t)e1000e_reg_read(arg, (unsigned)(off & ~UINT64_C(3)) + i) << 8 * i;
    return extract64(v, 8 * (off & 3), 8 * size);
}

static void regs_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct e1000e *e = arg;

    if (size < 4 || off >= REGS_END) { /* byte enables are ignored: such a write is lost (10.1.1.1) */
        log_guest(&e->pci.dev, "write of %u bytes to register 0x%05" PRIx64, size, off);
        return;
    }
    for (unsigned i = 0; i < size; i += 4)
        e1000e_reg_write(e, (unsigned)off + i, (uint32_t)(val >> 8 * i));
}

/* Index and data, for code that has no memory BAR yet. */
static uint64_t io_read(void *arg, gpa off, unsigned size)
{
    struct e1000e *e = arg;

    (void)size;
    if (off == IOADDR)
        return e->io_addr;
    if (off == IODATA && e->io_addr < REGS_END)
        return e1000e_reg_read(e, e->io_addr & ~3u);
    return off == IODATA ? 0 : UINT32_MAX;
}

static void io_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct e1000e *e = arg;

    (void)size;
    if (off == IOADDR)
        e->io_addr = (uint32_t)val;
    else if (off == IODATA && e->io_addr < REGS_END)
        e1000e_reg_write(e, e->io_addr & ~3u, (uint32_t)val);
}

/* No flash is fitted. */
static uint64_t flash_read(void *arg, gpa off, unsigned size)
{
    (void)arg;
    (void)off;
    return UINT64_MAX >> (64 - 8 * size);
}

static uint64_t nothing_read(void *arg, gpa off, unsigned size)
{
    (void)arg;
    (void)off;
    (void)size;
    return 0;
}

static void nothing_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    (void)arg;
    (void)off;
    (void)val;
    (void)size;
}

static const struct mmio_ops regs_ops = {regs_read, regs_write, .min_size = 1, .max_size = 8};
static const struct mmio_ops io_ops = {io_read, io_write, .min_size = 4, .max_size = 4};
static const struct mmio_ops flash_ops = {flash_read, nothing_write, .min_size = 1, .max_size = 8};
static const struct mmio_ops msix_ops = {nothing_read, nothing_write, .min_size = 1, .max_size = 8};

/* Bus mastering, MSI-X or power came or went. */
static void config_written(struct pci_device *p, unsigned off, unsigned len)
{
    struct e1000e *e = (struct e1000e *)p;

    (void)off;
    (void)len;
    e1000e_irq_update(e);
    e1000e_room(e);
    e1000e_tx_changed(e);
}

static void capabilities(struct pci_device *p)
{
    unsigned at = pci_add_cap(p, PCI_CAP_PM, PM_SIZE);

    pci_set16(p, at + PM_CAPS, 0x0003 | 1 << 5); /* version 3; needs initialisation; no wake-up */
    pci_set16(p, at + PM_CONTROL, PM_NO_RESET);
    p->writable[at + PM_CONTROL] = PM_STATE;
    at = pci_add_cap(p, PCI_CAP_EXPRESS, EXPRESS_SIZE);
    pci_set16(p, at + EXPRESS_CAPS, 0x0001);       /* version 1, endpoint */
    pci_set32(p, at + EXPRESS_DEVICE, 0x00008cc1); /* payload of 256 bytes */
    pci_set16(p, at + EXPRESS_CONTROL, 0x2810);    /* its default */
    p->writable[at + EXPRESS_CONTROL] = 0xff;
    p->writable[at + EXPRESS_CONTROL + 1] = 0x7f;
    pci_set32(p, at + EXPRESS_LINK, 0x00000011);         /* 2.5 GT/s, one lane, no power management */
    pci_set16(p, at + EXPRESS_LINK_CONTROL + 2, 0x0011); /* that is what it runs at */
    p->writable[at + EXPRESS_LINK_CONTROL] = 0xc8;
}

/* --- the network's side --- */

static bool nic_receive(struct nic *n, const struct net_frame *f)
{
    struct e1000e *e = CONTAINER_OF(n, struct e1000e, nic);
    bool taken;

    if (!nic_enter(n))
        return false;
    taken = e1000e_receive(e, f);
    device_unlock(e);
    return taken;
}

static void nic_link(struct nic *n, bool up)
{
    struct e1000e *e = CONTAINER_OF(n, struct e1000e, nic);
    bool was;

    device_lock(e);
    was = e1000e_link_up(e);
    e->link = up;
    if (was != e1000e_link_up(e))
        e1000e_cause(e, ICR_LSC);
    device_unlock(e);
}

static const struct nic_ops nic_ops = {.transmit = e1000e_transmit, .receive = nic_receive, .link = nic_link};

/* --- the device --- */

static void e1000e_reset(struct device *d)
{
    struct e1000e *e = (struct e1000e *)d;

    pci_reset(&e->pci);
    e1000e_mac_reset(e);
    e1000e_phy_reset(e);
}

static void e1000e_update(struct device *d)
{
    struct e1000e *e = (struct e1000e *)d;

    e1000e_regs_restored(e);
    e1000e_irq_restored(e);
    pci_update(&e->pci);
    e1000e_irq_update(e);
    e1000e_fifo_drop(e);
    e1000e_room(e);
    tx_stopped(e);
    e1000e_tx_changed(e);
}

static void e1000e_free(struct device *d)
{
    struct e1000e *e = (struct e1000e *)d;

    clock_drop_timer(&e->timer);
    nic_fini(&e->nic);
    pci_fini(&e->pci);
    free(e);
}

static void e1000e_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    struct e1000e *e = (struct e1000e *)d;
    char text[160];

    for (unsigned i = 0; i < 2 * QUEUES; i++) {
        struct e1000e_ring r;
        bool rx = i < QUEUES, good = ring_load(e, (rx ? R_RDBAL : R_TDBAL) + i % QUEUES * QUEUE_STRIDE, &r);

        if (!r.size)
            continue;
        snprintf(text, sizeof text,
                 "%s ring %u: %" PRIu32 " x 16 bytes at 0x%" PRIx64 ", head %" PRIu32 ", tail %" PRIu32 "%s",
                 rx ? "receive" : "transmit", i % QUEUES, r.size, r.base, r.head, r.tail, good ? "" : ", out of range");
        line(arg, text);
    }
    snprintf(text, sizeof text, "link %s, receiver %s, transmitter %s", e1000e_link_up(e) ? "up" : "down",
             reg_get(e, R_RCTL) & RCTL_EN ? "on" : "off", reg_get(e, R_TCTL) & TCTL_EN ? "on" : "off");
    line(arg, text);
}

static const struct field e1000e_state[] = {
    PCI_FIELDS(struct e1000e, pci),
    FIELD_ARRAY(struct e1000e, reg, REGS),
    FIELD_ARRAY(struct e1000e, phy, PHY_PAGES *PHY_REGS),
    {"eeprom", offsetof(struct e1000e, eeprom), 2, EEPROM_WORDS, true, false},
    FIELD(struct e1000e, spi),
    FIELD(struct e1000e, io_addr),
    FIELD_ARRAY(struct e1000e, context, QUEUES),
    FIELD_ARRAY(struct e1000e, skip, QUEUES),
    FIELD(struct e1000e, delayed_rx),
    FIELD(struct e1000e, delayed_tx),
    FIELD_ARRAY(struct e1000e, delay, DELAYS),
    FIELD_ARRAY(struct e1000e, quiet, 1 + VECTORS),
    FIELD(struct e1000e, told),
    FIELD(struct e1000e, systim),
    FIELD(struct e1000e, systim_at),
    FIELD(struct e1000e, systim_high),
    {0},
};

static const struct device_ops e1000e_ops = {
    .name = "e1000e",
    .state = e1000e_state,
    .reset = e1000e_reset,
    .update = e1000e_update,
    .free = e1000e_free,
    .info = e1000e_info,
};

struct pci_device *e1000e_new(const struct device_env *env, const char *name, const struct e1000e_options *o,
                              struct err *e)
{
    static const struct pci_id id = {VENDOR, DEVICE, VENDOR, 0, CLASS, 0};
    struct e1000e *d = calloc(1, sizeof *d);

    if (!d) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    pci_init(&d->pci, &e1000e_ops, name, env, &id);
    memcpy(d->mac, o->mac, ETH_ALEN);
    nic_init(&d->nic, &nic_ops, &d->pci.dev, o->loop, o->port ? o->port : name, o->mac);
    nic_port(&d->nic)->can = 0;
    nic_port(&d->nic)->mtu = JUMBO_MTU;
    timer_init(&d->timer, env->clock, e1000e_timer_expired, d);
    d->armed = CLOCK_NEVER;
    d->pci.config_written = config_written;
    e1000e_eeprom_init(d);
    capabilities(&d->pci);
    pci_use_intx(&d->pci);
    if (pci_set_bar(&d->pci, 0, PCI_BAR_MEM32, REGS_BAR, &regs_ops, d, e) &&
        pci_set_bar(&d->pci, 1, PCI_BAR_MEM32, FLASH_BAR, &flash_ops, d, e) &&
        pci_set_bar(&d->pci, 2, PCI_BAR_IO, IO_BAR, &io_ops, d, e) &&
        pci_set_bar(&d->pci, 3, PCI_BAR_MEM32, MSIX_BAR, &msix_ops, d, e) &&
        pci_add_msix(&d->pci, VECTORS, 3, MSIX_TABLE, MSIX_PBA, e))
        return &d->pci;
    e1000e_free(&d->pci.dev);
    return NULL;
}

struct nic *e1000e_nic(struct pci_device *p) { return &((struct e1000e *)p)->nic; }
