/*
 * The common virtio device model; see virtio.h.
 *
 * Life of a queue: off, with addresses and size being written; enabled, its rings mapped and served; stopped by reset,
 * queue reset or a broken ring. Before it is stopped the device drains it (ops->queue_stop): after that nothing of ours
 * writes to guest memory that the guest may already use for something else.
 */
#include "devices/virtio.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"

static void run_later(void *arg)
{
    struct virtio_dev *v = arg;
    uint64_t mask;

    device_lock(v);
    mask = v->later_mask;
    v->later_mask = 0;
    for (unsigned q = 0; q < v->queues && mask >> q; q++)
        if (mask >> q & 1 && virtio_running(v) && v->vq_state[q].enabled)
            v->ops->notify(v, q);
    device_unlock(v);
}

void virtio_init(struct virtio_dev *v, const struct device_ops *dev_ops, const struct virtio_ops *ops, const char *name,
                 const struct device_env *env)
{
    device_init(&v->dev, dev_ops, name, env);
    v->ops = ops;
    v->config_vector = VIRTQ_NO_VECTOR;
    timer_init(&v->later, env->clock, run_later, v);
    virtio_offer(v, VIRTIO_F_ANY_LAYOUT);
    virtio_offer(v, VIRTIO_F_INDIRECT_DESC);
    virtio_offer(v, VIRTIO_F_EVENT_IDX);
    virtio_offer(v, VIRTIO_F_VERSION_1);
    virtio_offer(v, VIRTIO_F_RING_RESET);
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        v->vq[i] = (struct virtq){.v = v, .st = &v->vq_state[i], .index = i};
        virtq_reset_state(&v->vq[i]);
    }
}

void virtio_detach(struct virtio_dev *v)
{
    const struct virtio_transport *t;
    void *arg;

    clock_drop_timer(&v->later);
    device_lock(v);
    t = v->transport;
    arg = v->transport_arg;
    v->transport = NULL;
    v->broken = true; /* serves nothing from here on */
    device_unlock(v);
    if (t)
        t->unplugged(arg);
}

void virtio_fini(struct virtio_dev *v) { device_fini(&v->dev); }

bool virtio_plug(struct virtio_dev *v, const struct virtio_transport *t, void *arg, struct err *e)
{
    if (v->transport)
        return err_set(e, "%s is plugged in already", v->dev.name);
    v->transport = t;
    v->transport_arg = arg;
    return true;
}

void virtio_unplug(struct virtio_dev *v)
{
    device_lock(v);
    v->transport = NULL;
    device_unlock(v);
}

void virtio_add_queue(struct virtio_dev *v, unsigned index, unsigned size)
{
    v->vq[index].max_size = (uint16_t)size;
    if (index >= v->queues)
        v->queues = index + 1;
    virtq_reset_state(&v->vq[index]);
}

/* The driver follows 1.0 or later. Some (xv6) use the modern registers and do not accept VERSION_1. */
static bool modern_driver(const struct virtio_dev *v)
{
    return virtio_has(v, VIRTIO_F_VERSION_1) || v->status & VIRTIO_FEATURES_OK;
}

bool virtio_running(const struct virtio_dev *v)
{
    /* Legacy drivers use their queues before DRIVER_OK (virtio 1.2, 3.1.2). */
    return !v->broken && (v->status & VIRTIO_DRIVER_OK || (v->status && !modern_driver(v)));
}

void virtio_interrupt(struct virtio_dev *v, uint8_t cause, uint16_t vector)
{
    v->isr |= cause;
    if (v->transport)
        v->transport->interrupt(v->transport_arg, v, vector);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        virtio_interrupt(v, VIRTIO_ISR_CONFIG, v->config_vector);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
    if (v->broken)
        return;
    log_guest(&v->dev, "%s; stopped until reset", why);
    v->broken = true;
    if (!modern_driver(v))
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    if (v->status & VIRTIO_DRIVER_OK)
        virtio_interrupt(v, VIRTIO_ISR_CONFIG, v->config_vector);
}

void virtio_later(struct virtio_dev *v, unsigned queue)
{
    v->later_mask |= UINT64_C(1) << queue;
    timer_arm(&v->later, 0);
}

static void stop_queue(struct virtio_dev *v, unsigned i)
{
    if (v->ops->queue_stop)
        v->ops->queue_stop(v, i);
    virtq_stop(&v->vq[i]);
}

void virtio_reset(struct virtio_dev *v)
{
    for (unsigned i = 0; i < v->queues; i++)
        stop_queue(v, i);
    v->later_mask = 0;
    v->features = 0;
    v->offered_sel = v->features_sel = v->queue_sel = 0;
    v->config_vector = VIRTQ_NO_VECTOR;
    v->status = v->isr = v->broken = 0;
    if (v->ops->reset)
        v->ops->reset(v);
    if (v->transport) /* the line falls with isr */
        v->transport->interrupt(v->transport_arg, v, VIRTQ_NO_VECTOR);
}

void virtio_dev_reset(struct device *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    virtio_reset(v);
    v->legacy_page_size = 0;
}

static bool state_sane(const struct virtq *q, bool packed)
{
    const struct virtq_state *st = q->st;

    return q->max_size && st->size && st->size <= q->max_size && st->in_use <= st->size && st->avail_wrap <= 1 &&
           st->used_wrap <= 1 && (packed ? st->next_avail < st->size && st->next_used < st->size : is_pow2(st->size));
}

/* After reset this changes nothing; after restore it maps the rings, whose addresses come from outside. */
void virtio_dev_update(struct device *d)
{
    struct virtio_dev *v = (struct virtio_dev *)d;

    v->features &= v->offered;
    for (unsigned i = 0; i < v->queues; i++) {
        struct virtq *q = &v->vq[i];

        q->desc = q->driver = q->device = NULL;
        if (!q->st->enabled)
            continue;
        if (state_sane(q, virtio_has(v, VIRTIO_F_RING_PACKED)))
            virtq_start(q);
        else
            virtq_reset_state(q);
    }
    if (v->transport)
        v->transport->interrupt(v->transport_arg, v, VIRTQ_NO_VECTOR);
}

uint64_t virtio_offered(const struct virtio_dev *v, bool legacy)
{
    return legacy ? (uint32_t)v->offered : v->offered & ~(UINT64_C(1) << VIRTIO_F_ANY_LAYOUT);
}

void virtio_set_features(struct virtio_dev *v, unsigned sel, uint32_t val)
{
    if (v->status & VIRTIO_FEATURES_OK)
        log_guest(&v->dev, "features written after FEATURES_OK");
    else if (sel < 2)
        v->features = deposit64(v->features, 32 * sel, 32, val);
    else if (val)
        log_guest(&v->dev, "features 0x%08" PRIx32 " of word %u, which has none", val, sel);
}

void virtio_set_features_legacy(struct virtio_dev *v, uint32_t val)
{
    if (val & ~(uint32_t)v->offered)
        log_guest(&v->dev, "features 0x%08" PRIx32 " were not offered", val & ~(uint32_t)v->offered);
    v->features = val & (uint32_t)v->offered;
}

/* A driver that does not accept VERSION_1 is let in, as QEMU does it: xv6 is one. */
static bool features_fit(struct virtio_dev *v)
{
    uint64_t alien = v->features & ~v->offered;

    if (alien)
        log_guest(&v->dev, "features 0x%" PRIx64 " were not offered", alien);
    else if (!virtio_has(v, VIRTIO_F_VERSION_1))
        log_guest(&v->dev, "VERSION_1 not accepted through the modern interface");
    return !alien;
}

void virtio_set_status(struct virtio_dev *v, uint8_t val, bool legacy)
{
    uint8_t old = v->status;

    if (!val) {
        virtio_reset(v);
        return;
    }
    if (!legacy && val & VIRTIO_FEATURES_OK && !(old & VIRTIO_FEATURES_OK) && !features_fit(v))
        val &= (uint8_t)~VIRTIO_FEATURES_OK;
    if (!legacy && val & VIRTIO_DRIVER_OK && !(val & VIRTIO_FEATURES_OK)) {
        log_guest(&v->dev, "DRIVER_OK without FEATURES_OK");
        val &= (uint8_t)~VIRTIO_DRIVER_OK;
    }
    v->status = (uint8_t)(val | (old & VIRTIO_NEEDS_RESET));
    if (!(v->status & VIRTIO_DRIVER_OK) || old & VIRTIO_DRIVER_OK)
        return;
    if (v->ops->driver_ok)
        v->ops->driver_ok(v);
    for (unsigned i = 0; i < v->queues; i++) /* what was made available before DRIVER_OK needs no kick */
        if (v->vq_state[i].enabled && !virtq_empty(&v->vq[i]))
            v->ops->notify(v, i);
}

uint64_t virtio_config_read(struct virtio_dev *v, unsigned off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        if (off + i < v->config_len)
            val |= (uint64_t)v->config[off + i] << (8 * i);
    return val;
}

void virtio_config_write(struct virtio_dev *v, unsigned off, uint64_t val, unsigned size)
{
    bool any = false;

    for (unsigned i = 0; i < size; i++)
        if (off + i < v->config_len && v->config_writable[off + i]) {
            v->config[off + i] = (uint8_t)(val >> (8 * i));
            any = true;
        }
    if (!any)
        log_guest(&v->dev, "write to read-only configuration at %u", off);
    else if (v->ops->config_written)
        v->ops->config_written(v, off, size);
}

struct virtq *virtio_queue(struct virtio_dev *v, uint32_t index)
{
    return index < v->queues && v->vq[index].max_size ? &v->vq[index] : NULL;
}

static bool busy(struct virtq *q, const char *what)
{
    if (q->st->enabled)
        log_guest(&q->v->dev, "%s of queue %u written while it is enabled", what, q->index);
    return q->st->enabled;
}

void virtio_queue_size(struct virtq *q, uint32_t size)
{
    bool packed = virtio_has(q->v, VIRTIO_F_RING_PACKED);

    if (busy(q, "size"))
        return;
    if (size && size <= q->max_size && (packed || is_pow2(size)))
        q->st->size = (uint16_t)size;
    else
        log_guest(&q->v->dev, "queue %u: size %" PRIu32 " is not allowed", q->index, size);
}

void virtio_queue_addr(struct virtq *q, unsigned which, bool high, uint32_t val)
{
    uint64_t *const addr[] = {&q->st->desc, &q->st->driver, &q->st->device};

    if (!busy(q, "address"))
        *addr[which] = deposit64(*addr[which], high ? 32 : 0, 32, val);
}

void virtio_queue_enable(struct virtq *q)
{
    if (!q->st->enabled && !q->v->broken)
        virtq_start(q);
}

void virtio_queue_disable(struct virtq *q)
{
    stop_queue(q->v, q->index);
    q->v->later_mask &= ~(UINT64_C(1) << q->index);
}

void virtio_queue_legacy(struct virtq *q, uint64_t base, uint64_t align)
{
    uint16_t size = q->st->size, vector = q->st->vector;

    if (q->st->enabled)
        virtio_queue_disable(q);
    q->st->size = size;
    q->st->vector = vector;
    if (!base)
        return;
    if (!is_pow2(align) || align > UINT64_C(1) << 31) {
        virtio_broken(q->v, "alignment of a ring is not a power of two");
        return;
    }
    q->st->desc = base;
    q->st->driver = base + 16 * (uint64_t)size;
    q->st->device = align_up(q->st->driver + 4 + 2 * (uint64_t)size + 2, align);
    virtq_start(q);
}

void virtio_kick(struct virtio_dev *v, uint32_t index)
{
    struct virtq *q = virtio_queue(v, index);

    if (q)
        q->kicks++;
    if (!q)
        log_guest(&v->dev, "notification of queue %" PRIu32 ", which does not exist", index);
    else if (!virtio_running(v) || !q->st->enabled)
        log_guest(&v->dev, "notification of queue %" PRIu32 " ignored: %s", index,
                  v->broken        ? "the device needs a reset"
                  : q->st->enabled ? "no DRIVER_OK"
                                   : "it is not enabled");
    else
        v->ops->notify(v, index);
}
