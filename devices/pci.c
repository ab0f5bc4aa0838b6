/*
 * A PCI function: see pci.h. The configuration space is three byte arrays: what it holds, which bits the guest may change,
 * and what reset gives. Single bytes are stored and loaded atomically, because interrupts look at the command register
 * and at MSI-X's control without the device's lock.
 */
#include "devices/pci.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/pci_host.h"

enum {
    CACHE_LINE = 0x0c,
    CAPS_FIRST = 0x40,
    CAPS_END = 0x100,
    BAR_IS_IO = 1,
    BAR_IS_64 = 4,
    BAR_PREFETCH = 8,
    COMMAND_WRITABLE = 0x0547, /* I/O, memory, master, parity, SERR, INTx off */
};

enum { /* MSI-X capability */
       MSIX_CONTROL = 2,
       MSIX_TABLE = 4,
       MSIX_PBA = 8,
       MSIX_CAP_SIZE = 12,
       MSIX_ENABLE = 0x80, /* in the upper byte of the control word */
       MSIX_MASK = 0x40,
       MSIX_ENTRY = 16,
       ENTRY_MASKED = 1, /* in word 3 of an entry */
};

static uint8_t byte_get(const struct pci_device *p, unsigned off)
{
    return __atomic_load_n(&p->config[off], __ATOMIC_RELAXED);
}

static void byte_put(struct pci_device *p, unsigned off, uint8_t v)
{
    __atomic_store_n(&p->config[off], v, __ATOMIC_RELAXED);
}

/* Set-up. */

void pci_set8(struct pci_device *p, unsigned off, uint8_t v)
{
    byte_put(p, off, v);
    p->initial[off] = v;
}

void pci_set16(struct pci_device *p, unsigned off, uint16_t v)
{
    pci_set8(p, off, (uint8_t)v);
    pci_set8(p, off + 1, (uint8_t)(v >> 8));
}

void pci_set32(struct pci_device *p, unsigned off, uint32_t v)
{
    pci_set16(p, off, (uint16_t)v);
    pci_set16(p, off + 2, (uint16_t)(v >> 16));
}

void pci_set_writable(struct pci_device *p, unsigned off, unsigned len) { memset(p->writable + off, 0xff, len); }

void pci_init(struct pci_device *p, const struct device_ops *ops, const char *name, const struct device_env *env,
              const struct pci_id *id)
{
    device_init(&p->dev, ops, name, env);
    pthread_mutex_init(&p->irq_lock, NULL);
    pci_set16(p, PCI_VENDOR, id->vendor);
    pci_set16(p, PCI_DEVICE, id->device);
    pci_set8(p, PCI_REVISION, id->revision);
    pci_set16(p, PCI_CLASS, (uint16_t)id->class_code);
    pci_set8(p, PCI_CLASS + 2, (uint8_t)(id->class_code >> 16));
    pci_set16(p, PCI_SUBSYSTEM_VENDOR, id->subsystem_vendor);
    pci_set16(p, PCI_SUBSYSTEM, id->subsystem);
    st16(p->writable + PCI_COMMAND, COMMAND_WRITABLE);
    pci_set_writable(p, CACHE_LINE, 1);
    pci_set_writable(p, PCI_IRQ_LINE, 1);
    p->next_cap = CAPS_FIRST;
    p->last_cap = PCI_CAP_POINTER;
}

void pci_fini(struct pci_device *p)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        for (unsigned i = 0; i < p->bar[n].ram_places; i++)
            free(p->bar[n].ram_place[i]);
        free(p->bar[n].ram_place);
    }
    pthread_mutex_destroy(&p->irq_lock);
    device_fini(&p->dev);
}

bool pci_set_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, uint64_t size, const struct mmio_ops *ops,
                 void *arg, struct err *e)
{
    bool wide = kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
    bool prefetch = kind == PCI_BAR_MEM32_PREFETCH || kind == PCI_BAR_MEM64_PREFETCH;
    unsigned off = PCI_BAR0 + 4 * n;
    uint64_t mask = ~(size - 1);

    if (n + wide >= PCI_BARS || p->bar[n].kind || (wide && p->bar[n + 1].kind))
        return err_set(e, "%s: BAR %u is taken or does not exist", p->dev.name, n);
    if (!is_pow2(size) || size < 16 || (!wide && size > UINT32_C(1) << 31))
        return err_set(e, "%s: BAR %u cannot have 0x%" PRIx64 " bytes", p->dev.name, n, size);
    p->bar[n] = (struct pci_bar){.kind = kind,
                                 .size = size,
                                 .ops = ops,
                                 .arg = arg,
                                 .lock = device_lock,
                                 .unlock = device_unlock,
                                 .lock_arg = &p->dev,
                                 .pci = p};
    st32(p->writable + off, (uint32_t)mask);
    if (wide) {
        p->bar[n + 1].size = 0; /* the upper half */
        st32(p->writable + off + 4, (uint32_t)(mask >> 32));
    }
    pci_set32(p, off, (kind == PCI_BAR_IO ? BAR_IS_IO : 0) | (wide ? BAR_IS_64 : 0) | (prefetch ? BAR_PREFETCH : 0));
    return true;
}

/* Where it is not RAM: the guest has moved it too often. */

static uint64_t ram_bar_read(void *arg, gpa off, unsigned size)
{
    const struct pci_bar *b = arg;
    uint64_t v = 0;

    memcpy(&v, b->ram->host + off, size);
    return v;
}

static void ram_bar_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    const struct pci_bar *b = arg;

    memcpy(b->ram->host + off, &val, size);
    bus_ram_written(b->pci->dev.bus, b->ram, off, size);
}

static const struct mmio_ops ram_bar_ops = {ram_bar_read, ram_bar_write, .min_size = 1, .max_size = 8};

bool pci_set_ram_bar(struct pci_device *p, unsigned n, enum pci_bar_kind kind, const struct region *ram, struct err *e)
{
    struct pci_bar *b = &p->bar[n];

    if (kind == PCI_BAR_IO || ram->size % PAGE_SIZE)
        return err_set(e, "%s: BAR %u cannot be RAM", p->dev.name, n);
    if (!pci_set_bar(p, n, kind, ram->size, &ram_bar_ops, b, e))
        return false;
    b->lock = b->unlock = NULL;
    b->ram = ram;
    b->ram_place = calloc(PCI_RAM_PLACES, sizeof *b->ram_place);
    return b->ram_place || err_set(e, "%s: out of memory", p->dev.name);
}

unsigned pci_add_cap(struct pci_device *p, uint8_t id, unsigned len)
{
    unsigned at = p->next_cap;

    if (len < 2 || len > CAPS_END - at)
        return 0;
    pci_set8(p, at, id);
    pci_set8(p, at + 1, 0);
    pci_set8(p, p->last_cap, (uint8_t)at);
    pci_set16(p, PCI_STATUS, PCI_STATUS_CAPS);
    p->last_cap = at + 1;
    p->next_cap = (unsigned)align_up(at + len, 4);
    return at;
}

void pci_use_intx(struct pci_device *p) { pci_set8(p, PCI_IRQ_PIN, 1); }

static unsigned pba_size(const struct pci_device *p) { return (p->msix_vectors + 63) / 64 * 8; }

static void msix_mask_all(struct pci_device *p)
{
    for (unsigned v = 0; v < PCI_MSIX_MAX; v++)
        p->msix_table[4 * v + 3] = ENTRY_MASKED;
}

bool pci_add_msix(struct pci_device *p, unsigned vectors, unsigned bar, uint32_t table, uint32_t pba, struct err *e)
{
    unsigned cap;

    if (!vectors || vectors > PCI_MSIX_MAX)
        return err_set(e, "%s: MSI-X with %u vectors, 1 to %d are possible", p->dev.name, vectors, PCI_MSIX_MAX);
    if (bar >= PCI_BARS || !p->bar[bar].kind || p->bar[bar].kind == PCI_BAR_IO || table % 8 || pba % 8 ||
        table + (uint64_t)vectors * MSIX_ENTRY > p->bar[bar].size ||
        pba + (uint64_t)(vectors + 63) / 64 * 8 > p->bar[bar].size)
        return err_set(e, "%s: the MSI-X table does not fit BAR %u", p->dev.name, bar);
    cap = pci_add_cap(p, PCI_CAP_MSIX, MSIX_CAP_SIZE);
    if (!cap)
        return err_set(e, "%s: no room for the MSI-X capability", p->dev.name);
    pci_set16(p, cap + MSIX_CONTROL, (uint16_t)(vectors - 1));
    pci_set32(p, cap + MSIX_TABLE, table | bar);
    pci_set32(p, cap + MSIX_PBA, pba | bar);
    p->writable[cap + MSIX_CONTROL + 1] = MSIX_ENABLE | MSIX_MASK;
    p->msix_cap = cap;
    p->msix_vectors = vectors;
    p->msix_bar = bar;
    p->msix_table_off = table;
    p->msix_pba_off = pba;
    msix_mask_all(p);
    return true;
}

/* Interrupts; those that end in _locked hold irq_lock. */

static uint8_t msix_control(const struct pci_device *p)
{
    return p->msix_cap ? byte_get(p, p->msix_cap + MSIX_CONTROL + 1) : 0;
}

bool pci_master(const struct pci_device *p) { return byte_get(p, PCI_COMMAND) & PCI_COMMAND_MASTER; }

bool pci_msix_enabled(struct pci_device *p) { return msix_control(p) & MSIX_ENABLE; }

static void intx_drive_locked(struct pci_device *p)
{
    bool off = byte_get(p, PCI_COMMAND + 1) & (PCI_COMMAND_INTX_OFF >> 8);
    bool level = p->intx && !off && !pci_msix_enabled(p);

    if (level == p->intx_driven || !p->host)
        return;
    p->intx_driven = level;
    pci_host_set_intx(p->host, p, level);
}

static bool pending(const struct pci_device *p, unsigned v) { return p->msix_pending[v / 64] >> v % 64 & 1; }

/* Send vector v, or keep it pending while it or the whole function is masked. */
static void msix_fire_locked(struct pci_device *p, unsigned v)
{
    const uint32_t *entry = &p->msix_table[4 * v];
    uint64_t bit = UINT64_C(1) << v % 64;

    if ((msix_control(p) & MSIX_MASK) || (entry[3] & ENTRY_MASKED)) {
        p->msix_pending[v / 64] |= bit;
        return;
    }
    p->msix_pending[v / 64] &= ~bit;
    if (p->host && pci_master(p) && !pci_host_send_msi(p->host, entry[0] | (uint64_t)entry[1] << 32, entry[2]))
        log_guest(&p->dev, "MSI to 0x%08" PRIx32 "%08" PRIx32 ", where nothing takes it", entry[1], entry[0]);
}

/* What an unmasking lets go. */
static void msix_release_locked(struct pci_device *p)
{
    if (!pci_msix_enabled(p))
        return;
    for (unsigned v = 0; v < p->msix_vectors; v++)
        if (pending(p, v))
            msix_fire_locked(p, v);
}

void pci_msix_notify(struct pci_device *p, unsigned vector)
{
    pthread_mutex_lock(&p->irq_lock);
    if (vector < p->msix_vectors && pci_msix_enabled(p))
        msix_fire_locked(p, vector);
    pthread_mutex_unlock(&p->irq_lock);
}

void pci_intx(struct pci_device *p, bool level)
{
    pthread_mutex_lock(&p->irq_lock);
    p->intx = level;
    intx_drive_locked(p);
    pthread_mutex_unlock(&p->irq_lock);
}

static void interrupts_update(struct pci_device *p)
{
    pthread_mutex_lock(&p->irq_lock);
    intx_drive_locked(p);
    msix_release_locked(p);
    pthread_mutex_unlock(&p->irq_lock);
}

/* Configuration. */

static bool touches(unsigned off, unsigned len, unsigned from, unsigned size)
{
    return off < from + size && from < off + len;
}

uint32_t pci_config_read(struct pci_device *p, unsigned off, unsigned size)
{
    uint32_t v = 0;

    if (off > PCI_CONFIG_SIZE - size)
        return UINT32_MAX;
    if (p->config_read)
        p->config_read(p, off, size);
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)byte_get(p, off + i) << 8 * i;
    if (touches(off, size, PCI_STATUS, 1)) {
        pthread_mutex_lock(&p->irq_lock);
        if (p->intx) /* pending, whether or not the line may be driven */
            v |= (uint32_t)PCI_STATUS_IRQ << 8 * (PCI_STATUS - off);
        pthread_mutex_unlock(&p->irq_lock);
    }
    return v;
}

void pci_config_write(struct pci_device *p, unsigned off, uint32_t val, unsigned size)
{
    if (off > PCI_CONFIG_SIZE - size)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t w = p->writable[off + i];

        byte_put(p, off + i, (uint8_t)((byte_get(p, off + i) & ~w) | (val >> 8 * i & w)));
    }
    if (p->host && (touches(off, size, PCI_COMMAND, 1) || touches(off, size, PCI_BAR0, 4 * PCI_BARS)))
        pci_host_update_bars(p->host);
    if (touches(off, size, PCI_COMMAND, 2) || (p->msix_cap && touches(off, size, p->msix_cap + MSIX_CONTROL, 2)))
        interrupts_update(p);
    if (p->config_written)
        p->config_written(p, off, size);
}

void pci_reset(struct pci_device *p)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        byte_put(p, i, p->initial[i]);
    msix_mask_all(p);
}

void pci_update(struct pci_device *p)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) { /* a snapshot cannot change what the guest could not */
        uint8_t w = p->writable[i];

        byte_put(p, i, (uint8_t)((p->initial[i] & ~w) | (byte_get(p, i) & w)));
    }
    if (p->host)
        pci_host_update_bars(p->host);
    interrupts_update(p);
}

/* BARs. */

/* Where in the MSI-X table or pending bits an access falls; NULL: in neither. Both are read as 32-bit words. */
static uint32_t *msix_word(struct pci_device *p, uint64_t off, bool *is_table)
{
    *is_table = off - p->msix_table_off < (uint64_t)p->msix_vectors * MSIX_ENTRY;
    if (*is_table)
        return &p->msix_table[(off - p->msix_table_off) / 4];
    if (off - p->msix_pba_off < pba_size(p))
        return (uint32_t *)p->msix_pending + (off - p->msix_pba_off) / 4;
    return NULL;
}

static bool is_msix(const struct pci_bar *b, uint64_t off)
{
    bool table;

    return b->pci->msix_cap && b == &b->pci->bar[b->pci->msix_bar] && msix_word(b->pci, off, &table);
}

static uint64_t msix_read(struct pci_device *p, uint64_t off, unsigned size)
{
    uint64_t v = 0;
    bool table;

    pthread_mutex_lock(&p->irq_lock);
    for (unsigned i = 0; i < size; i += 4) {
        const uint32_t *w = msix_word(p, off + i, &table);

        v |= w ? (uint64_t)*w << 8 * i : 0;
    }
    pthread_mutex_unlock(&p->irq_lock);
    return v >> 8 * (off & 3);
}

/* Only whole words of the table can be written (PCI Express, 7.7.2: other accesses are undefined). */
static void msix_write(struct pci_device *p, uint64_t off, uint64_t val, unsigned size)
{
    if (size < 4) {
        log_guest(&p->dev, "write of %u bytes to the MSI-X table", size);
        return;
    }
    pthread_mutex_lock(&p->irq_lock);
    for (unsigned i = 0; i < size; i += 4) {
        bool table;
        uint32_t *w = msix_word(p, off + i, &table);

        if (w && table)
            *w = (uint32_t)(val >> 8 * i);
    }
    msix_release_locked(p);
    pthread_mutex_unlock(&p->irq_lock);
}

/* As bus.c does it for regions; what does not fit reads all ones, as on a PC. */
static bool bar_takes(const struct pci_bar *b, uint64_t off, unsigned size, const char *what)
{
    const struct mmio_ops *o = b->ops;

    if (o && (o->split || (size >= o->min_size && size <= o->max_size)))
        return true;
    log_guest(&b->pci->dev, "%s of %u bytes at 0x%" PRIx64 " of BAR %u refused", what, size, off,
              (unsigned)(b - b->pci->bar));
    return false;
}

static bool bar_holds(const struct pci_bar *b, uint64_t off, unsigned size)
{
    return size <= b->size && off <= b->size - size && !(off & (size - 1));
}

static uint64_t low_bytes(uint64_t v, unsigned n) { return v & (~UINT64_C(0) >> (64 - 8 * n)); }

uint64_t pci_bar_read(struct pci_bar *b, uint64_t off, unsigned size)
{
    const struct mmio_ops *o = b->ops;
    uint64_t v = 0, base;

    if (!bar_holds(b, off, size))
        return UINT64_MAX;
    if (is_msix(b, off))
        return msix_read(b->pci, off, size);
    if (!bar_takes(b, off, size, "read"))
        return UINT64_MAX;
    if (size < o->min_size) {
        base = align_down(off, o->min_size);
        return low_bytes(o->read(b->arg, base, o->min_size) >> 8 * (off - base), size);
    }
    if (size <= o->max_size)
        return o->read(b->arg, off, size);
    for (unsigned i = 0; i < size; i += o->max_size)
        v |= low_bytes(o->read(b->arg, off + i, o->max_size), o->max_size) << 8 * i;
    return v;
}

void pci_bar_write(struct pci_bar *b, uint64_t off, uint64_t val, unsigned size)
{
    const struct mmio_ops *o = b->ops;
    uint64_t base;

    if (!bar_holds(b, off, size))
        return;
    if (is_msix(b, off)) {
        msix_write(b->pci, off, val, size);
        return;
    }
    if (!bar_takes(b, off, size, "write"))
        return;
    if (size < o->min_size) { /* the neighbours keep what a read of them gives */
        base = align_down(off, o->min_size);
        val = deposit64(o->read(b->arg, base, o->min_size), (unsigned)(8 * (off - base)), 8 * size, val);
        o->write(b->arg, base, val, o->min_size);
    } else if (size <= o->max_size) {
        o->write(b->arg, off, val, size);
    } else {
        for (unsigned i = 0; i < size; i += o->max_size)
            o->write(b->arg, off + i, low_bytes(val >> 8 * i, o->max_size), o->max_size);
    }
}
