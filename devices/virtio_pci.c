#include "devices/virtio_pci.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"

enum { /* BAR 4, and where its parts are */
       BAR_LEGACY = 0,
       BAR_MSIX = 1,
       BAR_MODERN = 4,
       PART = 0x1000,
       COMMON = 0 * PART,
       ISR = 1 * PART,
       CONFIG = 2 * PART,
       NOTIFY = 3 * PART,
       MODERN_SIZE = 4 * PART,
       NOTIFY_STEP = 4,
       MSIX_SIZE = 0x1000,
       MSIX_PBA = 0x800,
};

enum { /* common configuration, offsets */
       DEVICE_FEATURE_SELECT = 0x00,
       DEVICE_FEATURE = 0x04,
       DRIVER_FEATURE_SELECT = 0x08,
       DRIVER_FEATURE = 0x0c,
       CONFIG_MSIX_VECTOR = 0x10,
       NUM_QUEUES = 0x12,
       DEVICE_STATUS = 0x14,
       CONFIG_GENERATION = 0x15,
       QUEUE_SELECT = 0x16,
       QUEUE_SIZE = 0x18,
       QUEUE_MSIX_VECTOR = 0x1a,
       QUEUE_ENABLE = 0x1c,
       QUEUE_NOTIFY_OFF = 0x1e,
       QUEUE_DESC = 0x20, /* then driver and device, low and high words */
       QUEUE_ADDR_END = 0x38,
       QUEUE_NOTIFY_DATA = 0x38,
       QUEUE_RESET = 0x3a,
       COMMON_LEN = 0x3c,
};

enum { /* legacy I/O, offsets */
       L_HOST_FEATURES = 0,
       L_GUEST_FEATURES = 4,
       L_QUEUE_PFN = 8,
       L_QUEUE_NUM = 12,
       L_QUEUE_SEL = 14,
       L_QUEUE_NOTIFY = 16,
       L_STATUS = 18,
       L_ISR = 19,
       L_CONFIG = 20, /* without MSI-X; with it two vectors come first */
       L_CONFIG_VECTOR = 20,
       L_QUEUE_VECTOR = 22,
       L_CONFIG_MSIX = 24,
       L_PAGE = 4096,
};

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };
enum { CAP_LEN = 16, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MORE = 16 };

enum { VENDOR = 0x1af4, MODERN_ID = 0x1040, MODERN_SUBSYSTEM = 0x1100 };

struct vpci {
    struct pci_device pci;
    struct virtio_dev *v; /* NULL once it was freed */
    unsigned window;      /* offset of the PCI configuration access capability */
};

static void vpci_interrupt(void *arg, struct virtio_dev *v, uint16_t vector)
{
    struct vpci *p = arg;
    bool msix = pci_msix_enabled(&p->pci);

    pci_intx(&p->pci, v->isr && !msix);
    if (msix && vector != VIRTQ_NO_VECTOR)
        pci_msix_notify(&p->pci, vector);
}

static void vpci_unplugged(void *arg)
{
    struct vpci *p = arg;

    device_lock(&p->pci.dev);
    p->v = NULL;
    for (unsigned i = 0; i < PCI_BARS; i++)
        p->pci.bar[i].lock = p->pci.bar[i].unlock = NULL;
    device_unlock(&p->pci.dev);
}

static const struct virtio_transport vpci_transport = {vpci_interrupt, vpci_unplugged};

static uint32_t unknown(struct vpci *p, const char *what, uint64_t off)
{
    log_guest(&p->pci.dev, "%s at 0x%" PRIx64, what, off);
    return 0;
}

static uint16_t vector_of(struct vpci *p, uint64_t val)
{
    return val < p->pci.msix_vectors ? (uint16_t)val : VIRTQ_NO_VECTOR;
}

static uint8_t isr_take(struct vpci *p)
{
    uint8_t isr = p->v->isr;

    p->v->isr = 0;
    pci_intx(&p->pci, false);
    return isr;
}

static void kick(struct vpci *p, uint32_t queue)
{
    if (pci_master(&p->pci))
        virtio_kick(p->v, queue);
    else
        log_guest(&p->pci.dev, "notification of queue %" PRIu32 " while bus mastering is off", queue);
}

/* --- modern --- */

static uint32_t feature_word(uint64_t features, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(features >> (32 * sel)) : 0;
}

static uint32_t queue_read(struct vpci *p, unsigned off)
{
    const struct virtq *q = virtio_queue(p->v, p->v->queue_sel);

    if (!q)
        return off == QUEUE_MSIX_VECTOR ? VIRTQ_NO_VECTOR : 0;
    if (off >= QUEUE_DESC && off < QUEUE_ADDR_END) {
        const uint64_t addr[] = {q->st->desc, q->st->driver, q->st->device};

        return (uint32_t)(addr[(off - QUEUE_DESC) / 8] >> (off & 4 ? 32 : 0));
    }
    switch (off) {
    case QUEUE_SIZE: return q->st->size;
    case QUEUE_MSIX_VECTOR: return q->st->vector;
    case QUEUE_ENABLE: return q->st->enabled;
    case QUEUE_NOTIFY_OFF:
    case QUEUE_NOTIFY_DATA: return q->index;
    default: return unknown(p, "read of the common configuration", off);
    }
}

static uint32_t common_read(struct vpci *p, unsigned off)
{
    const struct virtio_dev *v = p->v;

    switch (off) {
    case DEVICE_FEATURE_SELECT: return v->offered_sel;
    case DEVICE_FEATURE: return feature_word(virtio_offered(v, false), v->offered_sel);
    case DRIVER_FEATURE_SELECT: return v->features_sel;
    case DRIVER_FEATURE: return feature_word(v->features, v->features_sel);
    case CONFIG_MSIX_VECTOR: return v->config_vector;
    case NUM_QUEUES: return v->queues;
    case DEVICE_STATUS: return v->status;
    case CONFIG_GENERATION: return (uint8_t)v->generation;
    case QUEUE_SELECT: return v->queue_sel;
    case QUEUE_RESET: return 0; /* complete when its write returns */
    default: return queue_read(p, off);
    }
}

static void queue_write(struct vpci *p, unsigned off, uint32_t val)
{
    struct virtq *q = virtio_queue(p->v, p->v->queue_sel);

    if (!q) {
        log_guest(&p->pci.dev, "write for queue %" PRIu32 ", which does not exist", p->v->queue_sel);
        return;
    }
    if (off >= QUEUE_DESC && off < QUEUE_ADDR_END) {
        virtio_queue_addr(q, (off - QUEUE_DESC) / 8, off & 4, val);
        return;
    }
    switch (off) {
    case QUEUE_SIZE: virtio_queue_size(q, val & 0xffff); break;
    case QUEUE_MSIX_VECTOR: q->st->vector = vector_of(p, val & 0xffff); break;
    case QUEUE_ENABLE:
        if ((val & 0xffff) == 1) /* 0 is not allowed (4.1.4.3.2) */
            virtio_queue_enable(q);
        break;
    case QUEUE_RESET:
        if (val & 1 && virtio_has(p->v, VIRTIO_F_RING_RESET))
            virtio_queue_disable(q);
        break;
    default: unknown(p, "write to the common configuration", off);
    }
}

static void common_write(struct vpci *p, unsigned off, uint32_t val)
{
    struct virtio_dev *v = p->v;

    switch (off) {
    case DEVICE_FEATURE_SELECT: v->offered_sel = val; break;
    case DRIVER_FEATURE_SELECT: v->features_sel = val; break;
    case DRIVER_FEATURE: virtio_set_features(v, v->features_sel, val); break;
    case CONFIG_MSIX_VECTOR: v->config_vector = vector_of(p, val & 0xffff); break;
    case DEVICE_STATUS: virtio_set_status(v, (uint8_t)val, false); break;
    case QUEUE_SELECT: v->queue_sel = val & 0xffff; break;
    default: queue_write(p, off, val);
    }
}

static uint64_t modern_read(void *dev, gpa off, unsigned size)
{
    struct vpci *p = dev;
    unsigned in = off % PART;

    if (!p->v)
        return 0;
    switch (off - in) {
    case COMMON: return common_read(p, in);
    case ISR: return in ? 0 : isr_take(p);
    case CONFIG: return virtio_config_read(p->v, in, size);
    default: return 0;
    }
}

static void modern_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct vpci *p = dev;
    unsigned in = off % PART;

    if (!p->v)
        return;
    switch (off - in) {
    case COMMON: common_write(p, in, (uint32_t)val); break;
    case CONFIG: virtio_config_write(p->v, in, val, size); break;
    case NOTIFY: kick(p, in / NOTIFY_STEP); break;
    default: unknown(p, "write to the interrupt status", in);
    }
}

static const struct mmio_ops modern_ops = {modern_read, modern_write, .min_size = 1, .max_size = 4, .split = true};

/* --- legacy --- */

static unsigned legacy_config(struct vpci *p) { return pci_msix_enabled(&p->pci) ? L_CONFIG_MSIX : L_CONFIG; }

static uint64_t legacy_read(void *dev, gpa off, unsigned size)
{
    struct vpci *p = dev;
    struct virtio_dev *v = p->v;
    const struct virtq *q = v ? virtio_queue(v, v->queue_sel) : NULL;

    if (!v)
        return 0;
    if (off >= legacy_config(p))
        return virtio_config_read(v, (unsigned)off - legacy_config(p), size);
    switch (off) {
    case L_HOST_FEATURES: return virtio_offered(v, true);
    case L_GUEST_FEATURES: return (uint32_t)v->features;
    case L_QUEUE_PFN: return q && q->st->enabled ? q->st->desc / L_PAGE : 0;
    case L_QUEUE_NUM: return q ? q->max_size : 0;
    case L_QUEUE_SEL: return v->queue_sel;
    case L_STATUS: return v->status;
    case L_ISR: return isr_take(p);
    case L_CONFIG_VECTOR: return v->config_vector;
    case L_QUEUE_VECTOR: return q ? q->st->vector : VIRTQ_NO_VECTOR;
    default: return unknown(p, "legacy read", off);
    }
}

static void legacy_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct vpci *p = dev;
    struct virtio_dev *v = p->v;
    struct virtq *q = v ? virtio_queue(v, v->queue_sel) : NULL;

    if (!v)
        return;
    if (off >= legacy_config(p)) {
        virtio_config_write(v, (unsigned)off - legacy_config(p), val, size);
        return;
    }
    switch (off) {
    case L_GUEST_FEATURES: virtio_set_features_legacy(v, (uint32_t)val); break;
    case L_QUEUE_PFN:
        if (q)
            virtio_queue_legacy(q, (uint32_t)val * (uint64_t)L_PAGE, L_PAGE);
        break;
    case L_QUEUE_SEL: v->queue_sel = (uint16_t)val; break;
    case L_QUEUE_NOTIFY: kick(p, (uint16_t)val); break;
    case L_STATUS: virtio_set_status(v, (uint8_t)val, true); break;
    case L_CONFIG_VECTOR: v->config_vector = vector_of(p, (uint16_t)val); break;
    case L_QUEUE_VECTOR:
        if (q)
            q->st->vector = vector_of(p, (uint16_t)val);
        break;
    default: unknown(p, "legacy write", off);
    }
}

static const struct mmio_ops legacy_ops = {legacy_read, legacy_write, .min_size = 1, .max_size = 4, .split = true};

/* --- the capability through which configuration accesses reach the BARs (4.1.4.9) --- */

static struct pci_bar *window_target(struct vpci *p, uint32_t *off, uint32_t *len)
{
    const uint8_t *c = p->pci.config + p->window;

    *off = ld32(c + CAP_OFFSET);
    *len = ld32(c + CAP_LENGTH);
    if (!p->v || (*len != 1 && *len != 2 && *len != 4) || *off % *len)
        return NULL;
    if (c[CAP_BAR] == BAR_MODERN || (c[CAP_BAR] == BAR_LEGACY && p->pci.bar[BAR_LEGACY].kind))
        return &p->pci.bar[c[CAP_BAR]];
    return NULL;
}

static bool touches_data(const struct vpci *p, unsigned off, unsigned len)
{
    return off < p->window + CAP_MORE + 4 && p->window + CAP_MORE < off + len;
}

static void vpci_config_read(struct pci_device *pci, unsigned off, unsigned size)
{
    struct vpci *p = (struct vpci *)pci;
    struct pci_bar *bar;
    uint32_t at, len;

    if (!touches_data(p, off, size) || !(bar = window_target(p, &at, &len)))
        return;
    device_lock(p->v);
    st32(pci->config + p->window + CAP_MORE, (uint32_t)pci_bar_read(bar, at, len));
    device_unlock(p->v);
}

static void vpci_config_written(struct pci_device *pci, unsigned off, unsigned size)
{
    struct vpci *p = (struct vpci *)pci;
    struct pci_bar *bar;
    uint32_t at, len;

    if (!touches_data(p, off, size) || !(bar = window_target(p, &at, &len)))
        return;
    device_lock(p->v);
    pci_bar_write(bar, at, ld32(pci->config + p->window + CAP_MORE) & (~UINT64_C(0) >> (64 - 8 * len)), len);
    device_unlock(p->v);
}

/* --- set-up --- */

static unsigned add_cap(struct vpci *p, uint8_t type, uint32_t off, uint32_t len, unsigned more)
{
    unsigned at = pci_add_cap(&p->pci, PCI_CAP_VENDOR, CAP_LEN + more);

    if (!at)
        return 0;
    pci_set8(&p->pci, at + 2, (uint8_t)(CAP_LEN + more));
    pci_set8(&p->pci, at + 3, type);
    pci_set8(&p->pci, at + CAP_BAR, type == CAP_PCI ? 0 : BAR_MODERN);
    pci_set32(&p->pci, at + CAP_OFFSET, off);
    pci_set32(&p->pci, at + CAP_LENGTH, len);
    return at;
}

static bool add_caps(struct vpci *p, struct err *e)
{
    unsigned notify;
    bool ok = add_cap(p, CAP_COMMON, COMMON, COMMON_LEN, 0) && add_cap(p, CAP_ISR, ISR, PART, 0) &&
              add_cap(p, CAP_DEVICE, CONFIG, PART, 0);

    notify = add_cap(p, CAP_NOTIFY, NOTIFY, PART, 4);
    p->window = add_cap(p, CAP_PCI, 0, 0, 4);
    if (!ok || !notify || !p->window)
        return err_set(e, "%s: no room for the virtio capabilities", p->pci.dev.name);
    pci_set32(&p->pci, notify + CAP_MORE, NOTIFY_STEP);
    pci_set_writable(&p->pci, p->window + CAP_BAR, 1);
    pci_set_writable(&p->pci, p->window + CAP_OFFSET, 12); /* offset, length, data */
    p->pci.config_read = vpci_config_read;
    p->pci.config_written = vpci_config_written;
    return true;
}

static bool add_bars(struct vpci *p, const struct virtio_pci_options *o, struct err *e)
{
    struct pci_device *pci = &p->pci;
    unsigned vectors = o->vectors ? o->vectors : p->v->queues + 1;
    uint64_t io_size = 32;

    if (vectors > PCI_MSIX_MAX && !o->vectors)
        vectors = PCI_MSIX_MAX;
    while (io_size < L_CONFIG_MSIX + p->v->config_len)
        io_size *= 2;
    if (!o->modern_only && !pci_set_bar(pci, BAR_LEGACY, PCI_BAR_IO, io_size, &legacy_ops, p, e))
        return false;
    if (!pci_set_bar(pci, BAR_MODERN, PCI_BAR_MEM64_PREFETCH, MODERN_SIZE, &modern_ops, p, e))
        return false;
    pci->bar[BAR_LEGACY].lock_arg = pci->bar[BAR_MODERN].lock_arg = &p->v->dev;
    if (o->no_msix)
        return true;
    return pci_set_bar(pci, BAR_MSIX, PCI_BAR_MEM32, MSIX_SIZE, NULL, NULL, e) &&
           pci_add_msix(pci, vectors, BAR_MSIX, 0, MSIX_PBA, e);
}

/* 4.1.2.1 and 4.1.2.3: transitional ids exist for the devices that are older than 1.0. */
static struct pci_id identity(const struct virtio_dev *v, bool modern_only)
{
    static const uint16_t transitional[] = {0, 0x1000, 0x1001, 0x1003, 0x1005, 0x1002, 0, 0, 0x1004, 0x1009};
    uint16_t old = v->ops->id < ARRAY_LEN(transitional) ? transitional[v->ops->id] : 0;
    bool modern = modern_only || !old;

    return (struct pci_id){.vendor = VENDOR,
                           .device = modern ? (uint16_t)(MODERN_ID + v->ops->id) : old,
                           .subsystem_vendor = VENDOR,
                           .subsystem = modern ? MODERN_SUBSYSTEM : v->ops->id,
                           .class_code = v->ops->pci_class,
                           .revision = modern};
}

static void vpci_reset(struct device *d)
{
    struct vpci *p = (struct vpci *)d;

    pci_reset(&p->pci);
    if (p->v)
        device_reset(&p->v->dev);
}

static void vpci_update(struct device *d) { pci_update((struct pci_device *)d); }

static void vpci_free(struct device *d)
{
    struct vpci *p = (struct vpci *)d;

    if (p->v)
        virtio_unplug(p->v);
    pci_fini(&p->pci);
    free(p);
}

static const struct field vpci_state[] = {
    PCI_FIELDS(struct vpci, pci),
    {0},
};

static const struct device_ops vpci_ops = {
    .name = "virtio-pci",
    .state = vpci_state,
    .reset = vpci_reset,
    .update = vpci_update,
    .free = vpci_free,
};

struct pci_device *virtio_pci_new(const struct device_env *env, const char *name, struct virtio_dev *v,
                                  const struct virtio_pci_options *o, struct err *e)
{
    struct pci_id id = identity(v, o->modern_only);
    struct virtio_pci_options opts = *o;
    struct vpci *p = calloc(1, sizeof *p);

    if (!p) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    opts.modern_only = id.device >= MODERN_ID;
    pci_init(&p->pci, &vpci_ops, name, env, &id);
    p->v = v;
    pci_use_intx(&p->pci);
    if (!add_bars(p, &opts, e) || !add_caps(p, e) || !virtio_plug(v, &vpci_transport, p, e)) {
        pci_fini(&p->pci);
        free(p);
        return NULL;
    }
    return &p->pci;
}
