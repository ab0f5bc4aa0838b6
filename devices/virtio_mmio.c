#include "devices/virtio_mmio.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"

enum { /* offsets; 1: legacy only, 2: modern only */
       MAGIC = 0x000,
       VERSION = 0x004,
       DEVICE_ID = 0x008,
       VENDOR_ID = 0x00c,
       DEVICE_FEATURES = 0x010,
       DEVICE_FEATURES_SEL = 0x014,
       DRIVER_FEATURES = 0x020,
       DRIVER_FEATURES_SEL = 0x024,
       GUEST_PAGE_SIZE = 0x028, /* 1 */
       QUEUE_SEL = 0x030,
       QUEUE_NUM_MAX = 0x034,
       QUEUE_NUM = 0x038,
       QUEUE_ALIGN = 0x03c, /* 1 */
       QUEUE_PFN = 0x040,   /* 1 */
       QUEUE_READY = 0x044, /* 2, as the rest but the four below */
       QUEUE_NOTIFY = 0x050,
       INTERRUPT_STATUS = 0x060,
       INTERRUPT_ACK = 0x064,
       STATUS = 0x070,
       QUEUE_DESC_LOW = 0x080,
       QUEUE_DESC_HIGH = 0x084,
       QUEUE_DRIVER_LOW = 0x090,
       QUEUE_DRIVER_HIGH = 0x094,
       QUEUE_DEVICE_LOW = 0x0a0,
       QUEUE_DEVICE_HIGH = 0x0a4,
       SHM_LEN_LOW = 0x0b0,
       SHM_BASE_HIGH = 0x0bc,
       QUEUE_RESET = 0x0c0,
       CONFIG_GENERATION = 0x0fc,
       CONFIG = 0x100,
};

enum { WINDOW = 0x1000, MAGIC_VALUE = 0x74726976, VENDOR = 0x554d4551 }; /* "virt", "QEMU": drivers know no other */

struct slot {
    struct device dev;
    struct virtio_dev *v; /* NULL: empty */
    bool legacy;
};

static void slot_interrupt(void *arg, struct virtio_dev *v, uint16_t vector)
{
    struct slot *s = arg;

    (void)vector;
    irq_set(&s->dev.irq, v->isr != 0);
}

static void slot_unplugged(void *arg)
{
    struct slot *s = arg;

    device_lock(&s->dev);
    s->v = NULL;
    device_unlock(&s->dev);
}

static const struct virtio_transport slot_transport = {slot_interrupt, slot_unplugged};

static uint32_t offered_word(const struct slot *s)
{
    uint64_t f = virtio_offered(s->v, s->legacy);

    return s->v->offered_sel < 2 ? (uint32_t)(f >> (32 * s->v->offered_sel)) : 0;
}

static uint32_t unknown(struct slot *s, gpa off, const char *what)
{
    log_guest(&s->dev, "%s of register 0x%03" PRIx64, what, off);
    return 0;
}

static uint32_t legacy_read(struct slot *s, gpa off)
{
    struct virtq *q = virtio_queue(s->v, s->v->queue_sel);

    if (off == QUEUE_PFN)
        return q && q->st->enabled && s->v->legacy_page_size ? (uint32_t)(q->st->desc / s->v->legacy_page_size) : 0;
    return unknown(s, off, "read");
}

static uint32_t modern_read(struct slot *s, gpa off)
{
    struct virtq *q = virtio_queue(s->v, s->v->queue_sel);

    switch (off) {
    case QUEUE_READY: return q && q->st->enabled;
    case QUEUE_RESET: return 0; /* a reset is complete when its write returns */
    case CONFIG_GENERATION: return s->v->generation;
    default: break;
    }
    if (off >= SHM_LEN_LOW && off <= SHM_BASE_HIGH)
        return UINT32_MAX; /* no shared memory region: length -1 (4.2.2) */
    return unknown(s, off, "read");
}

static uint32_t register_read(struct slot *s, gpa off)
{
    struct virtq *q = virtio_queue(s->v, s->v->queue_sel);

    switch (off) {
    case DEVICE_FEATURES: return offered_word(s);
    case QUEUE_NUM_MAX: return q ? q->max_size : 0;
    case INTERRUPT_STATUS: return s->v->isr;
    case STATUS: return s->v->status;
    default: return s->legacy ? legacy_read(s, off) : modern_read(s, off);
    }
}

static uint64_t slot_read(void *dev, gpa off, unsigned size)
{
    struct slot *s = dev;
    uint64_t val;

    if (off < CONFIG && size != 4)
        return unknown(s, off, "narrow read");
    switch (off) {
    case MAGIC: return MAGIC_VALUE;
    case VERSION: return s->legacy ? 1 : 2;
    case DEVICE_ID: return s->v ? s->v->ops->id : 0;
    case VENDOR_ID: return s->v ? VENDOR : 0;
    default: break;
    }
    if (!s->v)
        return 0;
    device_lock(s->v);
    val = off >= CONFIG ? virtio_config_read(s->v, (unsigned)(off - CONFIG), size) : register_read(s, off);
    device_unlock(s->v);
    return val;
}

static void legacy_write(struct slot *s, gpa off, uint32_t val)
{
    struct virtio_dev *v = s->v;
    struct virtq *q = virtio_queue(v, v->queue_sel);

    switch (off) {
    case GUEST_PAGE_SIZE:
        if (is_pow2(val))
            v->legacy_page_size = val;
        else
            log_guest(&s->dev, "page size %" PRIu32 " is not a power of two", val);
        break;
    case QUEUE_ALIGN: v->legacy_align = val; break;
    case QUEUE_PFN:
        if (q && val && !v->legacy_page_size)
            log_guest(&s->dev, "queue placed before the page size is known");
        else if (q)
            virtio_queue_legacy(q, (uint64_t)val * v->legacy_page_size, v->legacy_align ? v->legacy_align : PAGE_SIZE);
        break;
    default: unknown(s, off, "write");
    }
}

static void modern_write(struct slot *s, gpa off, uint32_t val)
{
    struct virtq *q = virtio_queue(s->v, s->v->queue_sel);

    if (!q) {
        log_guest(&s->dev, "register 0x%03" PRIx64 " written for queue %" PRIu32 ", which does not exist", off,
                  s->v->queue_sel);
        return;
    }
    switch (off) {
    case QUEUE_READY:
        if (val & 1)
            virtio_queue_enable(q);
        else
            virtio_queue_disable(q);
        break;
    case QUEUE_RESET:
        if (val & 1 && virtio_has(s->v, VIRTIO_F_RING_RESET))
            virtio_queue_disable(q);
        break;
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH: virtio_queue_addr(q, 0, off & 4, val); break;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH: virtio_queue_addr(q, 1, off & 4, val); break;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH: virtio_queue_addr(q, 2, off & 4, val); break;
    default: unknown(s, off, "write");
    }
}

static void write_features(struct slot *s, uint32_t val)
{
    if (!s->legacy)
        virtio_set_features(s->v, s->v->features_sel, val);
    else if (!s->v->features_sel)
        virtio_set_features_legacy(s->v, val);
    else if (val)
        log_guest(&s->dev, "features above bit 31 through the legacy interface");
}

static void register_write(struct slot *s, gpa off, uint32_t val)
{
    struct virtio_dev *v = s->v;
    struct virtq *q = virtio_queue(v, v->queue_sel);

    switch (off) {
    case DEVICE_FEATURES_SEL: v->offered_sel = val; break;
    case DRIVER_FEATURES_SEL: v->features_sel = val; break;
    case DRIVER_FEATURES: write_features(s, val); break;
    case QUEUE_SEL: v->queue_sel = val; break;
    case QUEUE_NUM:
        if (q)
            virtio_queue_size(q, val);
        break;
    case QUEUE_NOTIFY: virtio_kick(v, val & 0xffff); break;
    case INTERRUPT_ACK:
        v->isr &= (uint8_t)~val;
        irq_set(&s->dev.irq, v->isr != 0);
        break;
    case STATUS: virtio_set_status(v, (uint8_t)val, s->legacy); break;
    default:
        if (s->legacy)
            legacy_write(s, off, val);
        else
            modern_write(s, off, val);
    }
}

static void slot_write(void *dev, gpa off, uint64_t val, unsigned size)
{
    struct slot *s = dev;

    if (!s->v)
        return;
    if (off < CONFIG && size != 4) {
        unknown(s, off, "narrow write");
        return;
    }
    device_lock(s->v);
    if (off >= CONFIG)
        virtio_config_write(s->v, (unsigned)(off - CONFIG), val, size);
    else
        register_write(s, off, (uint32_t)val);
    device_unlock(s->v);
}

static void slot_reset(struct device *d)
{
    struct slot *s = (struct slot *)d;

    if (s->v)
        device_reset(&s->v->dev);
}

static void slot_free(struct device *d)
{
    struct slot *s = (struct slot *)d;

    if (s->v)
        virtio_unplug(s->v);
    device_fini(d);
    free(s);
}

static const struct field slot_state[] = {{0}}; /* the registers are the plugged device's */

static const struct device_ops slot_ops = {
    .name = "virtio-mmio",
    .size = WINDOW,
    .mmio = {slot_read, slot_write, .min_size = 1, .max_size = 4, .split = true},
    .state = slot_state,
    .reset = slot_reset,
    .free = slot_free,
};

struct device *virtio_mmio_new(const struct device_env *env, const char *name, bool legacy)
{
    struct slot *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    device_init(&s->dev, &slot_ops, name, env);
    s->legacy = legacy;
    return &s->dev;
}

bool virtio_mmio_plug(struct device *slot, struct virtio_dev *v, struct err *e)
{
    struct slot *s = (struct slot *)slot;

    if (s->v)
        return err_set(e, "%s is taken by %s", slot->name, s->v->dev.name);
    if (!virtio_plug(v, &slot_transport, s, e))
        return false;
    s->v = v;
    s->legacy &= !v->ops->modern_only;
    return true;
}

struct virtio_dev *virtio_mmio_device(struct device *slot) { return ((struct slot *)slot)->v; }
