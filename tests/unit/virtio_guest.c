#include "tests/unit/virtio_guest.h"

#include <string.h>
#include <unistd.h>

#include "base/bits.h"

static void on_irq(void *arg, unsigned n, bool level)
{
    struct vg *g = arg;

    (void)n;
    if (level && !g->irq)
        g->irq_ups++;
    g->irq = level;
}

void vg_init(struct vg *g, bool legacy)
{
    struct err e;

    *g = (struct vg){.legacy = legacy, .next = VG_RAM};
    g->env.clock = clock_new_fake();
    g->env.log = log_new();
    g->env.bus = bus_new(g->env.log);
    g->env.gate = gate_new(g->env.clock);
    CHECK(bus_add_ram(g->env.bus, "ram", VG_RAM, VG_RAM_SIZE, &e));
    g->slot = virtio_mmio_new(&g->env, "slot0", legacy);
    g->slot->irq = (struct irq){on_irq, g, 1, false};
    CHECK(device_map(g->slot, VG_SLOT, &e));
}

void vg_fini(struct vg *g)
{
    device_free(g->slot);
    bus_free(g->env.bus);
    gate_free(g->env.gate);
    clock_free(g->env.clock);
    log_free(g->env.log);
}

void vg_plug(struct vg *g, struct virtio_dev *v)
{
    struct err e = {""};

    if (!virtio_mmio_plug(g->slot, v, &e))
        fail_msg("%s", e.msg);
    device_reset(&v->dev);
}

gpa vg_alloc(struct vg *g, uint64_t len, uint64_t align)
{
    gpa a = align_up(g->next, align);

    g->next = a + len;
    CHECK(g->next <= (gpa)VG_RAM + VG_RAM_SIZE);
    return a;
}

uint8_t *vg_host(struct vg *g, gpa addr) { return bus_ram(g->env.bus, addr, 1); }

uint32_t vg_rd(struct vg *g, unsigned reg)
{
    uint64_t v = 0;

    CHECK(bus_read(g->env.bus, VG_SLOT + reg, 4, &v));
    return (uint32_t)v;
}

void vg_wr(struct vg *g, unsigned reg, uint32_t val) { CHECK(bus_write(g->env.bus, VG_SLOT + reg, 4, val)); }

void vg_begin(struct vg *g, uint64_t features)
{
    g->features = g->legacy ? features & 0xffffffff : features | VG_VERSION_1;
    vg_wr(g, 0x070, 0);
    vg_wr(g, 0x070, 1);
    vg_wr(g, 0x070, 3);
    vg_wr(g, 0x024, 0);
    vg_wr(g, 0x020, (uint32_t)g->features);
    if (g->legacy) {
        vg_wr(g, 0x028, 4096);
        return;
    }
    vg_wr(g, 0x024, 1);
    vg_wr(g, 0x020, (uint32_t)(g->features >> 32));
    vg_wr(g, 0x070, 11);
    CHECK_EQ(vg_rd(g, 0x070), 11);
}

void vg_go(struct vg *g) { vg_wr(g, 0x070, g->legacy ? 7 : 15); }

void vg_queue_init(struct vg *g, struct vg_queue *q, unsigned index, unsigned size)
{
    *q = (struct vg_queue){.g = g, .index = index, .size = size, .avail_wrap = true, .used_wrap = true};
    q->desc = vg_alloc(g, 16 * size, 4096);
    q->driver = vg_alloc(g, 6 + 2 * size, 2);
    q->device = vg_alloc(g, 6 + 8 * size, 4096);
    memset(vg_host(g, q->desc), 0, g->next - q->desc);
}

void vg_queue_on(struct vg_queue *q)
{
    struct vg *g = q->g;
    const gpa addr[] = {q->desc, q->driver, q->device};

    vg_wr(g, 0x030, q->index);
    vg_wr(g, 0x038, q->size);
    if (g->legacy) {
        vg_wr(g, 0x03c, 4096);
        vg_wr(g, 0x040, (uint32_t)(q->desc / 4096));
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        vg_wr(g, 0x080 + 0x10 * i, (uint32_t)addr[i]);
        vg_wr(g, 0x084 + 0x10 * i, (uint32_t)(addr[i] >> 32));
    }
    vg_wr(g, 0x044, 1);
}

void vg_desc(struct vg *g, gpa table, unsigned i, gpa addr, uint32_t len, unsigned flags, unsigned next)
{
    uint8_t *p = vg_host(g, table) + 16 * i;

    st64(p, addr);
    st32(p + 8, len);
    st16(p + 12, (uint16_t)flags);
    st16(p + 14, (uint16_t)next);
}

void vg_avail(struct vg_queue *q, unsigned head)
{
    uint8_t *p = vg_host(q->g, q->driver);

    st16(p + 4 + 2 * (q->avail % q->size), (uint16_t)head);
    q->avail++;
    __atomic_store_n((uint16_t *)(void *)(p + 2), q->avail, __ATOMIC_SEQ_CST);
}

static unsigned packed_add(struct vg_queue *q, const struct vg_buf *b, unsigned n, bool indirect)
{
    gpa table = indirect ? vg_alloc(q->g, 16 * n, 16) : 0;
    unsigned count = indirect ? 1 : n, id = q->avail + 100u, first = q->avail;
    uint16_t first_flags = 0;

    for (unsigned i = 0; indirect && i < n; i++) {
        vg_desc(q->g, table, i, b[i].addr, b[i].len, 0, 0);
        st16(vg_host(q->g, table) + 16 * i + 14, b[i].write ? 2 : 0);
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = vg_host(q->g, q->desc) + 16 * q->avail;
        uint16_t f = (uint16_t)((q->avail_wrap ? 1 << 7 : 1 << 15) | (i + 1 < count ? 1 : 0));

        f |= indirect ? 4 : b[i].write ? 2 : 0;
        st64(p, indirect ? table : b[i].addr);
        st32(p + 8, indirect ? 16 * n : b[i].len);
        st16(p + 12, (uint16_t)id);
        if (i)
            st16(p + 14, f);
        else
            first_flags = f;
        if (++q->avail == q->size) {
            q->avail = 0;
            q->avail_wrap = !q->avail_wrap;
        }
    }
    __atomic_store_n((uint16_t *)(void *)(vg_host(q->g, q->desc) + 16 * first + 14), first_flags, __ATOMIC_SEQ_CST);
    return id;
}

unsigned vg_add(struct vg_queue *q, const struct vg_buf *b, unsigned n, bool indirect)
{
    gpa table = indirect ? vg_alloc(q->g, 16 * n, 16) : q->desc;
    unsigned head = q->free, at = indirect ? 0 : head;

    if (q->g->features & VG_PACKED)
        return packed_add(q, b, n, indirect);
    for (unsigned i = 0; i < n; i++) {
        unsigned next = indirect ? i + 1 : (at + 1) % q->size;

        vg_desc(q->g, table, at, b[i].addr, b[i].len, (b[i].write ? 2 : 0) | (i + 1 < n ? 1 : 0), i + 1 < n ? next : 0);
        at = next;
    }
    if (indirect)
        vg_desc(q->g, q->desc, head, table, 16 * n, 4, 0);
    q->free = (head + (indirect ? 1 : n)) % q->size;
    vg_avail(q, head);
    return head;
}

void vg_kick(struct vg_queue *q) { vg_wr(q->g, 0x050, q->index); }

static bool packed_used(struct vg_queue *q, unsigned *id, uint32_t *len)
{
    uint8_t *p = vg_host(q->g, q->desc) + 16 * q->used;
    uint16_t f = __atomic_load_n((uint16_t *)(void *)(p + 14), __ATOMIC_SEQ_CST);

    if ((f >> 7 & 1) != q->used_wrap || (f >> 15 & 1) != q->used_wrap)
        return false;
    *id = ld16(p + 12);
    *len = ld32(p + 8);
    return true;
}

/* Move a packed queue's used position over a buffer of n descriptors. vg_used does it for 1. */
bool vg_used(struct vg_queue *q, unsigned *id, uint32_t *len)
{
    uint8_t *p = vg_host(q->g, q->device);

    if (q->g->features & VG_PACKED) {
        if (!packed_used(q, id, len))
            return false;
        if (++q->used == q->size) {
            q->used = 0;
            q->used_wrap = !q->used_wrap;
        }
        return true;
    }
    if (__atomic_load_n((uint16_t *)(void *)(p + 2), __ATOMIC_SEQ_CST) == q->used)
        return false;
    *id = ld32(p + 4 + 8 * (q->used % q->size));
    *len = ld32(p + 8 + 8 * (q->used % q->size));
    q->used++;
    return true;
}

bool vg_wait(struct vg_queue *q, unsigned *id, uint32_t *len)
{
    for (int i = 0; i < 5000; i++) {
        if (vg_used(q, id, len))
            return true;
        usleep(1000);
    }
    return false;
}
