/*
 * The host bridge: see pci_host.h.
 *
 * BARs are not regions of the bus. Each window is one region, and the BARs that lie in it are found in a sorted table,
 * rebuilt whenever a BAR or a command register changes: a guest can move BARs for ever at no cost in memory, and what no
 * BAR answers reads all ones. A reader copies its table entry under a read lock and calls the BAR without it.
 *
 * A BAR of RAM shows through its window as a region of its own (struct region.inner). Readers keep such regions and take no
 * lock, so they are never changed: each place where the guest has put the BAR has one, kept for when it comes back.
 */
#include "devices/pci_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"

enum { SLOTS = 32, FUNCTIONS = 256, PLACES = FUNCTIONS * PCI_BARS };
enum { BRIDGE_VENDOR = 0x1b36, BRIDGE_DEVICE = 0x0008, CLASS_HOST_BRIDGE = 0x060000, MULTI_FUNCTION = 0x80 };
enum { WINDOW_MEM32, WINDOW_MEM64, WINDOW_PIO, WINDOWS };

struct window {
    struct pci_host *host;
    struct region region;
};

struct place { /* of a mapped BAR, guest physical */
    gpa base;
    struct pci_bar *bar;
    const struct region *ram; /* NULL: by calls */
};

enum { MOVES_MAX = 16 };
struct moves { /* of RAM: what vCPUs must forget */
    struct pci_window at[MOVES_MAX];
    unsigned n;
};

struct pci_host {
    struct device dev; /* its window is the ECAM */
    struct pci_device bridge;
    struct pci_host_config c;
    struct window window[WINDOWS];
    struct pci_device *function[FUNCTIONS];
    pthread_rwlock_t places_lock;
    struct place place[PLACES]; /* by base */
    unsigned places;
    bool any_ram;
    pthread_mutex_t lines_lock;
    unsigned asking[PCI_LINES]; /* functions that drive the line */
    struct irq line[PCI_LINES];
    bool (*msi)(void *arg, gpa addr, uint32_t data);
    void *msi_arg;
};

static const struct device_ops bridge_ops = {.name = "pci-host-bridge"};

/* ECAM: bus in bits 27..20, slot and function in 19..12. Locked function by function. */

static struct pci_device *ecam_function(struct pci_host *h, gpa off)
{
    return off >> 20 ? NULL : h->function[off >> 12 & 0xff];
}

static uint64_t ecam_read(void *dev, gpa off, unsigned size)
{
    struct pci_device *p = ecam_function(dev, off);
    uint32_t v;

    if (!p)
        return UINT64_MAX; /* nobody there: master abort */
    device_lock(&p->dev);
    v = pci_config_read(p, off & 0xfff, size);
    device_unlock(&p->dev);
    return v;
}

static void ecam_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct pci_device *p = ecam_function(dev, off);

    if (!p)
        return;
    device_lock(&p->dev);
    pci_config_write(p, off & 0xfff, (uint32_t)val, size);
    device_unlock(&p->dev);
}

/* Windows. */

static bool place_find(struct pci_host *h, gpa addr, struct place *found)
{
    unsigned lo = 0, hi;
    bool hit;

    pthread_rwlock_rdlock(&h->places_lock);
    hi = h->places;
    while (lo < hi) { /* the last place that does not begin behind addr */
        unsigned mid = (lo + hi) / 2;

        if (h->place[mid].base <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    hit = lo && addr - h->place[lo - 1].base < h->place[lo - 1].bar->size;
    if (hit)
        *found = h->place[lo - 1];
    pthread_rwlock_unlock(&h->places_lock);
    return hit;
}

static const struct region *window_inner(void *dev, gpa addr)
{
    struct window *w = dev;
    struct place at;

    return w->host->any_ram && place_find(w->host, addr, &at) ? at.ram : NULL;
}

static uint64_t window_read(void *dev, gpa off, unsigned size)
{
    struct window *w = dev;
    gpa addr = w->region.base + off;
    struct place at;
    uint64_t v;

    if (!place_find(w->host, addr, &at))
        return UINT64_MAX;
    if (at.bar->lock)
        at.bar->lock(at.bar->lock_arg);
    v = pci_bar_read(at.bar, addr - at.base, size);
    if (at.bar->unlock)
        at.bar->unlock(at.bar->lock_arg);
    return v;
}

static void window_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct window *w = dev;
    gpa addr = w->region.base + off;
    struct place at;

    if (!place_find(w->host, addr, &at))
        return;
    if (at.bar->lock)
        at.bar->lock(at.bar->lock_arg);
    pci_bar_write(at.bar, addr - at.base, val, size);
    if (at.bar->unlock)
        at.bar->unlock(at.bar->lock_arg);
}

static const struct mmio_ops window_ops = {window_read, window_write, .min_size = 1, .max_size = 8};

static bool within(const struct pci_window *w, uint64_t base, uint64_t size)
{
    return w->size >= size && base >= w->base && base - w->base <= w->size - size;
}

/* Another function's registers may be written meanwhile: its bytes are taken one by one, and its own update follows. */
static uint32_t config32(const struct pci_device *p, unsigned off)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++)
        v |= (uint32_t)__atomic_load_n(&p->config[off + i], __ATOMIC_RELAXED) << 8 * i;
    return v;
}

/* Where the guest has put BAR n of p. false: nowhere that a window shows. */
static bool bar_place(const struct pci_host *h, const struct pci_device *p, unsigned n, gpa *base)
{
    const struct pci_bar *b = &p->bar[n];
    uint32_t command = config32(p, PCI_COMMAND);
    uint64_t at = config32(p, PCI_BAR0 + 4 * n);

    if (b->kind == PCI_BAR_NONE)
        return false;
    if (b->kind == PCI_BAR_IO) {
        at &= ~UINT64_C(3);
        *base = h->c.pio.base + at;
        return (command & PCI_COMMAND_IO) && within(&h->c.pio, *base, b->size);
    }
    if (b->kind == PCI_BAR_MEM64 || b->kind == PCI_BAR_MEM64_PREFETCH)
        at |= (uint64_t)config32(p, PCI_BAR0 + 4 * n + 4) << 32;
    *base = at & ~UINT64_C(15);
    return (command & PCI_COMMAND_MEMORY) &&
           (within(&h->c.mem32, *base, b->size) || within(&h->c.mem64, *base, b->size));
}

/* The region that b is at base; NULL: it has been in too many places. places_lock is held for writing. */
static const struct region *ram_at(struct pci_bar *b, gpa base)
{
    struct region *r;

    for (unsigned i = 0; i < b->ram_places; i++)
        if (b->ram_place[i]->base == base)
            return b->ram_place[i];
    if (b->ram_places == PCI_RAM_PLACES || !(r = malloc(sizeof *r))) {
        log_guest(&b->pci->dev, "BAR of RAM moved more than %d times: it is slow now", PCI_RAM_PLACES);
        return NULL;
    }
    *r = *b->ram;
    r->base = base;
    b->ram_place[b->ram_places++] = r;
    return r;
}

static void moved(struct moves *m, const struct region *r)
{
    if (r && m->n < MOVES_MAX)
        m->at[m->n++] = (struct pci_window){r->base, r->size};
}

/* Which BARs of RAM show elsewhere now than before. A write changes one function, and what it hid or hides. */
static void find_moves(struct pci_host *h, struct moves *m)
{
    for (unsigned f = 0; f < FUNCTIONS; f++)
        for (unsigned n = 0; h->function[f] && n < PCI_BARS; n++) {
            struct pci_bar *b = &h->function[f]->bar[n];
            const struct region *now = NULL;

            for (unsigned i = 0; b->ram && i < h->places; i++)
                if (h->place[i].bar == b)
                    now = h->place[i].ram;
            if (now == b->ram_now)
                continue;
            moved(m, b->ram_now);
            moved(m, now);
            b->ram_now = now;
        }
}

/* Of BARs that overlap, the function with the lowest number shows; the table stays one of disjoint ranges. */
static void place_add(struct pci_host *h, struct pci_bar *b, gpa base)
{
    unsigned i = h->places;

    while (i && h->place[i - 1].base > base)
        i--;
    if ((i && base - h->place[i - 1].base < h->place[i - 1].bar->size) ||
        (i < h->places && h->place[i].base - base < b->size)) {
        log_guest(&b->pci->dev, "BAR at 0x%" PRIx64 " overlaps another", base);
        return;
    }
    for (unsigned k = h->places++; k > i; k--)
        h->place[k] = h->place[k - 1];
    h->place[i] = (struct place){.base = base, .bar = b, .ram = b->ram ? ram_at(b, base) : NULL};
}

void pci_host_update_bars(struct pci_host *h)
{
    struct moves m = {0};
    gpa base;

    pthread_rwlock_wrlock(&h->places_lock);
    h->places = 0;
    for (unsigned f = 0; f < FUNCTIONS; f++)
        for (unsigned n = 0; h->function[f] && n < PCI_BARS; n++)
            if (bar_place(h, h->function[f], n, &base))
                place_add(h, &h->function[f]->bar[n], base);
    if (h->any_ram)
        find_moves(h, &m);
    pthread_rwlock_unlock(&h->places_lock);
    for (unsigned i = 0; i < m.n; i++)
        bus_remapped(h->dev.bus, m.at[i].base, m.at[i].size);
}

bool pci_bar_shown(const struct pci_device *p, unsigned n, uint64_t *at)
{
    struct pci_host *h = p->host;
    bool there = false;

    pthread_rwlock_rdlock(&h->places_lock);
    for (unsigned i = 0; i < h->places && !there; i++) {
        there = h->place[i].bar == &p->bar[n];
        *at = h->place[i].base;
    }
    pthread_rwlock_unlock(&h->places_lock);
    if (p->bar[n].kind == PCI_BAR_IO)
        *at -= h->c.pio.base;
    return there;
}

/* Interrupts. */

void pci_host_set_intx(struct pci_host *h, const struct pci_device *p, bool level)
{
    unsigned pin = p->config[PCI_IRQ_PIN] ? p->config[PCI_IRQ_PIN] - 1u : 0;
    unsigned n = (p->devfn / 8 + pin) % PCI_LINES;

    pthread_mutex_lock(&h->lines_lock);
    h->asking[n] += level ? 1 : -1u;
    if (h->line[n].level != !!h->asking[n])
        irq_set(&h->line[n], h->asking[n]);
    pthread_mutex_unlock(&h->lines_lock);
}

bool pci_host_send_msi(struct pci_host *h, gpa addr, uint32_t data)
{
    uint8_t bytes[4];

    if (h->msi && h->msi(h->msi_arg, addr, data))
        return true;
    st32(bytes, data);
    return addr % 4 == 0 && dma_write(h->dev.bus, addr, bytes, sizeof bytes);
}

void pci_host_on_msi(struct device *host, bool (*fn)(void *arg, gpa addr, uint32_t data), void *arg)
{
    struct pci_host *h = (struct pci_host *)host;

    h->msi = fn;
    h->msi_arg = arg;
}

struct irq *pci_host_irq(struct device *host, unsigned line) { return &((struct pci_host *)host)->line[line]; }

/* Functions. */

struct pci_device *pci_at(struct device *host, unsigned devfn)
{
    return devfn < FUNCTIONS ? ((struct pci_host *)host)->function[devfn] : NULL;
}

bool pci_add(struct device *host, struct pci_device *p, int devfn, struct err *e)
{
    struct pci_host *h = (struct pci_host *)host;
    struct pci_device *first;

    for (int s = 0; devfn < 0 && s < SLOTS; s++)
        if (!h->function[8 * s])
            devfn = 8 * s;
    if (devfn < 0)
        return err_set(e, "%s: no free slot for %s", host->name, p->dev.name);
    if (devfn >= FUNCTIONS)
        return err_set(e, "%s: there is no slot 0x%x for %s", host->name, (unsigned)devfn / 8, p->dev.name);
    if (h->function[devfn])
        return err_set(e, "%s: slot %d function %d of %s is taken by %s", host->name, devfn / 8, devfn % 8, p->dev.name,
                       h->function[devfn]->dev.name);
    for (unsigned n = 0; n < PCI_BARS; n++)
        h->any_ram |= p->bar[n].ram != NULL;
    p->devfn = (unsigned)devfn;
    p->host = h;
    h->function[devfn] = p;
    first = h->function[devfn & ~7];
    if (first && devfn % 8)
        pci_set8(first, PCI_HEADER_TYPE, first->initial[PCI_HEADER_TYPE] | MULTI_FUNCTION);
    for (int f = 1; f < 8 && devfn % 8 == 0; f++)
        if (h->function[devfn + f])
            pci_set8(p, PCI_HEADER_TYPE, p->initial[PCI_HEADER_TYPE] | MULTI_FUNCTION);
    return true;
}

/* The device. */

static void pci_host_reset(struct device *d) { pci_reset(&((struct pci_host *)d)->bridge); }
static void pci_host_update(struct device *d) { pci_update(&((struct pci_host *)d)->bridge); }

static void pci_host_info(struct device *d, void (*line)(void *, const char *), void *arg)
{
    struct pci_host *h = (struct pci_host *)d;
    char text[160];

    for (unsigned f = 0; f < FUNCTIONS; f++) {
        const struct pci_device *p = h->function[f];

        if (!p)
            continue;
        snprintf(text, sizeof text, "%02x.%u %04x:%04x %s", f / 8, f % 8, ld16(p->config + PCI_VENDOR),
                 ld16(p->config + PCI_DEVICE), p->dev.name);
        line(arg, text);
    }
    pthread_rwlock_rdlock(&h->places_lock);
    for (unsigned i = 0; i < h->places; i++) {
        const struct pci_bar *b = h->place[i].bar;

        snprintf(text, sizeof text, "0x%016" PRIx64 " 0x%" PRIx64 " bytes: BAR %u of %s%s", h->place[i].base, b->size,
                 (unsigned)(b - b->pci->bar), b->pci->dev.name, h->place[i].ram ? ", RAM" : "");
        line(arg, text);
    }
    pthread_rwlock_unlock(&h->places_lock);
}

static void pci_host_free(struct device *d)
{
    struct pci_host *h = (struct pci_host *)d;

    pci_fini(&h->bridge);
    pthread_rwlock_destroy(&h->places_lock);
    pthread_mutex_destroy(&h->lines_lock);
    device_fini(d);
    free(h);
}

static const struct field pci_host_state[] = {PCI_FIELDS(struct pci_host, bridge), {0}};

static const struct device_ops pci_host_ops = {
    .name = PCI_HOST_KIND,
    .size = PCI_ECAM_SIZE,
    .mmio = {ecam_read, ecam_write, .min_size = 1, .max_size = 4, .split = true},
    .state = pci_host_state,
    .reset = pci_host_reset,
    .update = pci_host_update,
    .free = pci_host_free,
    .info = pci_host_info,
};

static void window_init(struct pci_host *h, unsigned n, const char *name, const struct pci_window *from)
{
    h->window[n].host = h;
    h->window[n].region = (struct region){.name = name,
                                          .base = from->base,
                                          .size = from->size,
                                          .kind = REGION_MMIO,
                                          .ops = &window_ops,
                                          .inner = window_inner,
                                          .dev = &h->window[n]};
}

struct device *pci_host_new(const struct device_env *env, const char *name, const struct pci_host_config *c)
{
    static const struct pci_id id = {.vendor = BRIDGE_VENDOR,
                                     .device = BRIDGE_DEVICE,
                                     .subsystem_vendor = 0x1af4,
                                     .subsystem = 0x1100,
                                     .class_code = CLASS_HOST_BRIDGE};
    struct pci_host *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    device_init(&h->dev, &pci_host_ops, name, env);
    h->dev.region.lock = h->dev.region.unlock = NULL; /* each function has its own lock */
    h->c = *c;
    pthread_rwlock_init(&h->places_lock, NULL);
    pthread_mutex_init(&h->lines_lock, NULL);
    window_init(h, WINDOW_MEM32, "pci-mem32", &c->mem32);
    window_init(h, WINDOW_MEM64, "pci-mem64", &c->mem64);
    window_init(h, WINDOW_PIO, "pci-pio", &c->pio);
    pci_init(&h->bridge, &bridge_ops, name, env, &id);
    h->bridge.host = h;
    h->function[0] = &h->bridge;
    return &h->dev;
}

bool pci_host_map(struct device *host, struct err *e)
{
    struct pci_host *h = (struct pci_host *)host;

    if (!device_map(host, h->c.ecam, e))
        return false;
    for (unsigned n = 0; n < WINDOWS; n++)
        if (h->window[n].region.size && !bus_map(host->bus, &h->window[n].region, e))
            return err_prefix(e, "%s", host->name);
    return true;
}
