/*
 * A small guest for virtio tests: RAM, a bus, an mmio slot at 0x10001000, and a driver that builds rings in that RAM.
 * Written from the virtio specification; it shares no code with devices/.
 */
#ifndef TESTS_UNIT_VIRTIO_GUEST_H
#define TESTS_UNIT_VIRTIO_GUEST_H

#include "devices/virtio_mmio.h"
#include "tests/unit/check.h"

enum { VG_RAM = 0x80000000, VG_RAM_SIZE = 16 << 20, VG_SLOT = 0x10001000 };
#define VG_VERSION_1 (UINT64_C(1) << 32)
#define VG_EVENT_IDX (UINT64_C(1) << 29)
#define VG_PACKED (UINT64_C(1) << 34)

struct vg {
    struct device_env env;
    struct device *slot;
    gpa next; /* free RAM */
    bool legacy;
    uint64_t features;
    bool irq;         /* the line's level */
    unsigned irq_ups; /* rising edges */
};

struct vg_queue {
    struct vg *g;
    unsigned index, size;
    gpa desc, driver, device;
    unsigned free; /* next descriptor to use: tests never wrap over live ones */
    uint16_t avail, used;
    bool avail_wrap, used_wrap;
};

struct vg_buf {
    gpa addr;
    uint32_t len;
    bool write;
};

void vg_init(struct vg *g, bool legacy);
void vg_fini(struct vg *g); /* frees the slot; the device first */
void vg_plug(struct vg *g, struct virtio_dev *v);

gpa vg_alloc(struct vg *g, uint64_t len, uint64_t align);
uint8_t *vg_host(struct vg *g, gpa addr);
uint32_t vg_rd(struct vg *g, unsigned reg); /* 32-bit slot registers */
void vg_wr(struct vg *g, unsigned reg, uint32_t val);

/* Reset, features, FEATURES_OK (modern). The features that the device kept. */
void vg_begin(struct vg *g, uint64_t features);
void vg_go(struct vg *g);                                                            /* DRIVER_OK */
void vg_queue_init(struct vg *g, struct vg_queue *q, unsigned index, unsigned size); /* memory only */
void vg_queue_on(struct vg_queue *q);
/* Write descriptor i of a table. next < 0: the last one. */
void vg_desc(struct vg *g, gpa table, unsigned i, gpa addr, uint32_t len, unsigned flags, unsigned next);
/* Make a chain available (linked descriptors); returns its id. indirect: through a table. */
unsigned vg_add(struct vg_queue *q, const struct vg_buf *b, unsigned n, bool indirect);
void vg_avail(struct vg_queue *q, unsigned head); /* split: publish a chain made with vg_desc */
void vg_kick(struct vg_queue *q);
bool vg_used(struct vg_queue *q, unsigned *id, uint32_t *len); /* the next used buffer, if any */
bool vg_wait(struct vg_queue *q, unsigned *id, uint32_t *len); /* waits up to 5 s for it */

#endif
