/*
 * What all virtio devices share: features, status, queues, configuration space, reset; below them a transport.
 *
 * A device (virtio_blk_new and its like) is a struct device without a window; a transport (an mmio slot or a PCI
 * function) is another. Both are in the machine's list; either may be freed first. The device's lock guards its own
 * state, its queues and the transport's registers, and is the lock of the transport's windows. Lock order: transport
 * (PCI configuration, reset), device, interrupt controller.
 * Source: virtio 1.2, sections 2 and 3; "legacy" is the interface before 1.0 (2.4.4, 4.1.4.9, 4.2.4).
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "devices/device.h"
#include "devices/virtq.h"

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4, VIRTIO_ID_GPU = 16,
       VIRTIO_ID_INPUT = 18 };

enum { /* status */
       VIRTIO_ACKNOWLEDGE = 1,
       VIRTIO_DRIVER = 2,
       VIRTIO_DRIVER_OK = 4,
       VIRTIO_FEATURES_OK = 8,
       VIRTIO_NEEDS_RESET = 64,
       VIRTIO_FAILED = 128,
};

enum { /* feature bits of every device */
       VIRTIO_F_ANY_LAYOUT = 27,
       VIRTIO_F_INDIRECT_DESC = 28,
       VIRTIO_F_EVENT_IDX = 29,
       VIRTIO_F_VERSION_1 = 32,
       VIRTIO_F_RING_PACKED = 34,
       VIRTIO_F_RING_RESET = 40,
};

enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

enum { VIRTIO_QUEUES_MAX = 64, VIRTIO_CONFIG_MAX = 136 };

struct virtio_dev;

/* Called with the device's lock held. All but notify may be NULL. */
struct virtio_ops {
    uint16_t id;        /* VIRTIO_ID_* */
    uint32_t pci_class; /* class, sub-class, interface */
    bool modern_only;   /* younger than 1.0: an mmio slot with it has no legacy registers */
    void (*notify)(struct virtio_dev *v, unsigned queue);
    void (*config_written)(struct virtio_dev *v, unsigned off, unsigned len); /* after config[] has changed */
    void (*driver_ok)(struct virtio_dev *v);
    /* Nothing of this queue may be in flight or held when it returns; the rings are still mapped, push is not allowed. */
    void (*queue_stop)(struct virtio_dev *v, unsigned queue);
    void (*reset)(struct virtio_dev *v); /* after every queue was stopped */
};

struct virtio_transport {
    void (*interrupt)(void *arg, struct virtio_dev *v, uint16_t vector); /* v->isr was set; lock held */
    void (*unplugged)(void *arg);                                        /* the device is being freed */
};

struct virtio_dev {
    struct device dev;
    const struct virtio_ops *ops;
    const struct virtio_transport *transport; /* NULL: not plugged */
    void *transport_arg;
    uint64_t offered; /* features */
    unsigned queues, config_len;
    uint8_t config_writable[VIRTIO_CONFIG_MAX]; /* bytes the driver may change: 0xff */
    struct virtq vq[VIRTIO_QUEUES_MAX];
    struct timer later; /* queues whose work was cut short, on the loop's thread */
    uint64_t later_mask;
    /* state (VIRTIO_FIELDS) */
    uint64_t features; /* accepted by the driver */
    uint32_t offered_sel, features_sel, queue_sel;
    uint32_t legacy_page_size, legacy_align; /* mmio; outlive a reset by the driver: Linux writes the size before it */
    uint32_t generation; /* of config[] */
    uint16_t config_vector;
    uint8_t status, isr, broken;
    uint8_t config[VIRTIO_CONFIG_MAX];
    struct virtq_state vq_state[VIRTIO_QUEUES_MAX];
};

/* First entries of the field table of a device whose first member m is its struct virtio_dev. */
#define VIRTIO_FIELDS(type, m)                                                                                         \
    FIELD(type, m.features), FIELD(type, m.offered_sel), FIELD(type, m.features_sel), FIELD(type, m.queue_sel),        \
        FIELD(type, m.legacy_page_size), FIELD(type, m.legacy_align), FIELD_KEEP(type, m.generation),                  \
        FIELD(type, m.config_vector), FIELD(type, m.status), FIELD(type, m.isr), FIELD(type, m.broken),                \
        FIELD_KEEP(type, m.config), FIELD_KEEP(type, m.vq_state)

/* For devices. v is zeroed; dev_ops->reset and ->update are virtio_dev_reset and virtio_dev_update. */
void virtio_init(struct virtio_dev *v, const struct device_ops *dev_ops, const struct virtio_ops *ops, const char *name,
                 const struct device_env *env);
void virtio_fini(struct virtio_dev *v); /* nothing is in flight any more; ends with device_fini */
void virtio_dev_reset(struct device *d);
void virtio_dev_update(struct device *d);
void virtio_add_queue(struct virtio_dev *v, unsigned index, unsigned size); /* a power of two, <= VIRTQ_SIZE_MAX */
static inline void virtio_offer(struct virtio_dev *v, unsigned bit) { v->offered |= UINT64_C(1) << bit; }
static inline bool virtio_has(const struct virtio_dev *v, unsigned bit) { return v->features >> bit & 1; }
bool virtio_running(const struct virtio_dev *v); /* queues may be served */
/* The device broke a promise of the ring or of its protocol: stop until reset. Logs "who: why". */
void virtio_broken(struct virtio_dev *v, const char *why);
void virtio_config_changed(struct virtio_dev *v);        /* config[] was changed by us */
void virtio_later(struct virtio_dev *v, unsigned queue); /* call notify for it again soon, on the loop's thread */
void virtio_detach(struct virtio_dev *v); /* for ops->free, first: no more interrupts, no more deferred work */

/* For transports. All with the lock held but plug and unplug. */
bool virtio_plug(struct virtio_dev *v, const struct virtio_transport *t, void *arg, struct err *e);
void virtio_unplug(struct virtio_dev *v);
void virtio_reset(struct virtio_dev *v); /* as status 0 */
uint64_t virtio_offered(const struct virtio_dev *v, bool legacy);
void virtio_set_features(struct virtio_dev *v, unsigned sel, uint32_t val); /* modern: 32 bits at 32 * sel */
void virtio_set_features_legacy(struct virtio_dev *v, uint32_t val);
void virtio_set_status(struct virtio_dev *v, uint8_t val, bool legacy);
uint64_t virtio_config_read(struct virtio_dev *v, unsigned off, unsigned size); /* beyond the end: zeroes */
void virtio_config_write(struct virtio_dev *v, unsigned off, uint64_t val, unsigned size);
struct virtq *virtio_queue(struct virtio_dev *v, uint32_t index); /* NULL: no such queue */
void virtio_queue_size(struct virtq *q, uint32_t size);
void virtio_queue_addr(struct virtq *q, unsigned which, bool high, uint32_t val); /* 0 desc, 1 driver, 2 device */
void virtio_queue_enable(struct virtq *q);
void virtio_queue_disable(struct virtq *q);                               /* also queue reset; drains */
void virtio_queue_legacy(struct virtq *q, uint64_t base, uint64_t align); /* base 0: off */
void virtio_kick(struct virtio_dev *v, uint32_t index);
void virtio_interrupt(struct virtio_dev *v, uint8_t cause, uint16_t vector);

#endif
