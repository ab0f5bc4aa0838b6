#include "tests/fuzz/virtio_fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { SLOT = 0x10001000, RING = 0x1000, RING_STEP = 0x400, QUEUES = 8, SIZE = 16, STEPS = 400 };

/* One machine for each interface; only tests may have such a thing in the file's scope. */
static struct machine {
    struct device_env env;
    struct device *slot;
    struct virtio_dev *v;
    uint8_t *ram;
    uint16_t avail[QUEUES];
    bool legacy;
} machines[2];

uint32_t vf_take(struct vf_in *in, unsigned bytes)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes && in->n; i++, in->n--)
        v |= (uint32_t)*in->p++ << (8 * i);
    return v;
}

static void make_machine(struct machine *m, bool legacy, struct virtio_dev *(*make)(const struct device_env *))
{
    struct err e;

    m->legacy = legacy;
    m->env.clock = clock_new_fake();
    m->env.log = log_new();
    m->env.bus = bus_new(m->env.log);
    m->env.gate = gate_new(m->env.clock);
    gate_set_seed(m->env.gate, 1);
    m->slot = virtio_mmio_new(&m->env, "slot", legacy);
    m->v = make(&m->env);
    if (!m->v || !bus_add_ram(m->env.bus, "ram", VF_RAM, VF_RAM_SIZE, &e) || !device_map(m->slot, SLOT, &e) ||
        !virtio_mmio_plug(m->slot, m->v, &e))
        abort();
    m->ram = bus_ram(m->env.bus, VF_RAM, VF_RAM_SIZE);
}

static void wr(struct machine *m, unsigned reg, uint32_t val) { bus_write(m->env.bus, SLOT + reg, 4, val); }

/* Queue i: descriptors, available and used ring each at a place of its own; several may share pages with the data. */
static gpa ring(unsigned q, unsigned part) { return VF_RAM + RING + (q % QUEUES) * 3 * RING_STEP + part * RING_STEP; }

static void start(struct machine *m, struct vf_in *in)
{
    uint64_t features = m->v->offered & ((uint64_t)vf_take(in, 2) << 32 | vf_take(in, 4) | UINT64_C(1) << 32);

    memset(m->avail, 0, sizeof m->avail);
    wr(m, 0x070, 0);
    wr(m, 0x070, 3);
    for (unsigned i = 0; i < 2; i++) {
        wr(m, 0x024, i);
        wr(m, 0x020, (uint32_t)(features >> (32 * i)));
    }
    wr(m, 0x070, 11);
    wr(m, 0x028, 0x400);
    for (unsigned q = 0; q < QUEUES && q < m->v->queues; q++) {
        wr(m, 0x030, q);
        wr(m, 0x038, SIZE < m->v->vq[q].max_size ? SIZE : m->v->vq[q].max_size);
        wr(m, 0x03c, RING_STEP);
        if (m->legacy)
            wr(m, 0x040, (uint32_t)(ring(q, 0) / 0x400));
        for (unsigned part = 0; part < 3 && !m->legacy; part++)
            wr(m, 0x080 + 0x10 * part, (uint32_t)ring(q, part));
        if (!m->legacy)
            wr(m, 0x044, 1);
    }
    wr(m, 0x070, 15);
}

/* Mostly inside RAM, sometimes anywhere. */
static uint64_t some_address(struct vf_in *in)
{
    uint32_t how = vf_take(in, 1);

    if (how < 240)
        return VF_RAM + 0x7000 + (uint64_t)how * 0x90;
    return (uint64_t)vf_take(in, 4) << 32 | vf_take(in, 4);
}

static void put_desc(struct machine *m, struct vf_in *in)
{
    unsigned q = vf_take(in, 1), i = vf_take(in, 1) % (2 * SIZE), lens = vf_take(in, 1);
    uint8_t *p = m->ram + (ring(q, 0) - VF_RAM) + 16 * i;

    if (lens & 0x80) /* into what may be an indirect table */
        p = m->ram + 0x7000 + 0x90 * (q % 200) + 16 * (i & 7);
    st64(p, some_address(in));
    st32(p + 8, lens & 0x40 ? vf_take(in, 4) : (lens & 0x3f) * 16);
    st16(p + 12, (uint16_t)vf_take(in, 2));
    st16(p + 14, (uint16_t)vf_take(in, 2));
}

static void put_avail(struct machine *m, struct vf_in *in)
{
    unsigned q = vf_take(in, 1) % QUEUES, head = vf_take(in, 1);
    unsigned part = m->legacy ? 0 : RING_STEP;
    uint8_t *p = m->ram + (ring(q, 0) - VF_RAM) + (m->legacy ? 16 * SIZE : part);

    st16(p + 4 + 2 * (m->avail[q] % SIZE), (uint16_t)(head % (SIZE + (head > 250))));
    st16(p + 2, ++m->avail[q]);
}

static void step(struct machine *m, struct vf_in *in, void (*host)(struct vf_in *))
{
    uint64_t val;
    uint32_t at, n;

    switch (vf_take(in, 1) % 12) {
    case 0:
    case 1: put_desc(m, in); break;
    case 2:
    case 3: put_avail(m, in); break;
    case 4:
    case 5: wr(m, 0x050, vf_take(in, 1) % QUEUES); break;
    case 6: /* bytes into RAM */
        at = vf_take(in, 2);
        for (n = vf_take(in, 1) % 64; n && at < VF_RAM_SIZE && in->n; n--)
            m->ram[at++] = (uint8_t)vf_take(in, 1);
        break;
    case 7:
        at = vf_take(in, 2) & 0xfff;
        wr(m, at & ~3u, vf_take(in, 4));
        break;
    case 8:
        at = vf_take(in, 2) & 0x1ff;
        n = 1u << (at & 3);
        bus_read(m->env.bus, SLOT + (at & ~(n - 1)), n, &val);
        bus_write(m->env.bus, SLOT + 0x100 + (at & 0x7f & ~(n - 1)), n, vf_take(in, 4));
        break;
    case 9: start(m, in); break;
    case 10: clock_advance(m->env.clock, vf_take(in, 2)); break;
    case 11: host(in); break;
    }
}

void vf_run(struct virtio_dev *(*make)(const struct device_env *env), void (*host)(struct vf_in *in),
            const uint8_t *data, size_t len)
{
    struct vf_in in = {data, len};
    struct machine *m = &machines[vf_take(&in, 1) & 1];

    if (!m->v)
        make_machine(m, m == &machines[1], make);
    memset(m->ram, 0, VF_RAM_SIZE);
    start(m, &in);
    for (unsigned i = 0; i < STEPS && in.n; i++)
        step(m, &in, host);
    device_reset(m->slot);
}
