/*
 * virtio-input: all four devices on one struct input, a driver with well-kept rings (the ring itself is fuzz_virtq's)
 * that gives few or many buffers, host events of fuzz bytes through the gate, lights, configuration, resets, and
 * snapshots restored with bytes changed.
 *
 * Whatever happened, when all is released and there are buffers enough, the guest has heard of nothing that is down.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/virtio_input.h"
#include "tests/fuzz/virtio_fuzz.h"

enum { RAM_SIZE = 64 << 10, SIZE = 64, STEPS = 300, PART = 0x800, AREA = 0x4000 };

/* A device and its driver. Its memory: rings of two queues in parts of PART, then buffers. */
struct guest {
    struct device *slot;
    struct virtio_dev *v;
    gpa base;     /* of the slot's registers */
    uint8_t *ram; /* AREA bytes */
    gpa at;       /* where they are */
    uint16_t avail[2], used[2];
    uint64_t given; /* event buffers the device has, a bit each */
    uint8_t down[INPUT_CODES];
    uint16_t fingers, slot_now;
    bool spoilt; /* its state was tampered with: no promise holds until it starts again */
};

static struct device_env env;
static struct loop *loop;
static struct input *in;
static struct guest guest[INPUT_KINDS];

static void wr(struct guest *g, unsigned reg, uint32_t val) { bus_write(env.bus, g->base + reg, 4, val); }

static uint8_t *ring(struct guest *g, unsigned q, unsigned part) { return g->ram + (3 * q + part) * PART; }

static void make(void)
{
    static const char *const names[] = {"k", "t", "m", "mt"};
    struct err e;

    env.clock = clock_new_fake();
    env.log = log_new();
    env.bus = bus_new(env.log);
    env.gate = gate_new(env.clock);
    loop = loop_new(env.clock, &e);
    in = input_new(loop, env.gate);
    if (!bus_add_ram(env.bus, "ram", VF_RAM, RAM_SIZE, &e))
        abort();
    for (unsigned i = 0; i < INPUT_KINDS; i++) {
        struct guest *g = &guest[i];

        g->base = 0x10001000 + 0x1000 * i;
        g->at = VF_RAM + AREA * i;
        g->ram = bus_ram(env.bus, g->at, AREA);
        g->slot = virtio_mmio_new(&env, names[i], false);
        g->v = virtio_input_new(&env, names[i], in, &(struct virtio_input_options){.kind = (enum input_kind)i}, &e);
        if (!g->v || !device_map(g->slot, g->base, &e) || !virtio_mmio_plug(g->slot, g->v, &e))
            abort();
    }
}

static void start(struct guest *g, bool event_idx)
{
    memset(g->ram, 0, AREA);
    memset(g->avail, 0, sizeof g->avail);
    memset(g->used, 0, sizeof g->used);
    memset(g->down, 0, sizeof g->down);
    g->given = 0;
    g->fingers = g->slot_now = 0;
    g->spoilt = false;
    wr(g, 0x070, 0);
    wr(g, 0x070, 3);
    wr(g, 0x024, 0);
    wr(g, 0x020, event_idx ? UINT32_C(1) << 29 : 0);
    wr(g, 0x024, 1);
    wr(g, 0x020, 1);
    wr(g, 0x070, 11);
    for (unsigned q = 0; q < 2; q++) {
        wr(g, 0x030, q);
        wr(g, 0x038, SIZE);
        for (unsigned part = 0; part < 3; part++)
            wr(g, 0x080 + 0x10 * part, (uint32_t)(g->at + (uint32_t)(ring(g, q, part) - g->ram)));
        wr(g, 0x044, 1);
    }
    wr(g, 0x070, 15);
}

static void offer(struct guest *g, unsigned q, unsigned i, uint32_t len, bool write)
{
    uint8_t *d = ring(g, q, 0) + 16 * i, *a = ring(g, q, 1);

    st64(d, g->at + 6 * PART + 0x400 * q + 16 * i);
    st32(d + 8, len);
    st16(d + 12, write ? 2 : 0);
    st16(a + 4 + 2 * (g->avail[q] % SIZE), (uint16_t)i);
    st16(a + 2, ++g->avail[q]);
}

static void give(struct guest *g, unsigned n, uint32_t len)
{
    for (unsigned i = 0; i < SIZE && n; i++)
        if (!(g->given >> i & 1)) {
            offer(g, 0, i, len, true);
            g->given |= UINT64_C(1) << i;
            n--;
        }
    wr(g, 0x050, 0);
}

static void hear(struct guest *g, const uint8_t *e)
{
    unsigned type = ld16(e), code = ld16(e + 2);
    int32_t value = (int32_t)ld32(e + 4);

    if (type == EV_KEY) {
        if (code >= INPUT_CODES || value == g->down[code]) /* told twice */
            abort();
        g->down[code] = (uint8_t)value;
    } else if (type == EV_ABS && code == ABS_MT_SLOT) {
        g->slot_now = (uint16_t)value;
    } else if (type == EV_ABS && code == ABS_MT_TRACKING_ID) {
        g->fingers = (uint16_t)(value < 0 ? g->fingers & ~(1u << g->slot_now) : g->fingers | 1u << g->slot_now);
    }
}

static void take(struct guest *g)
{
    uint8_t *u = ring(g, 0, 2);

    while (!g->spoilt && g->used[0] != ld16(u + 2)) {
        uint8_t *entry = u + 4 + 8 * (g->used[0]++ % SIZE);
        uint32_t i = ld32(entry);

        if (i >= SIZE || !(g->given >> i & 1))
            abort();
        g->given &= ~(UINT64_C(1) << i);
        if (ld32(entry + 4) == 8)
            hear(g, g->ram + 6 * PART + 16 * i);
        else
            g->spoilt = true; /* a buffer was too short */
    }
}

static void run_loop(void)
{
    for (unsigned i = 0; i < 3; i++)
        loop_poll(loop);
}

static void host_events(struct vf_in *f)
{
    static const uint16_t codes[] = {KEY_A, KEY_LEFTSHIFT, KEY_MICMUTE, BTN_LEFT, BTN_TASK, BTN_TOUCH, 0, 1, 9};
    struct input_event e[24];
    unsigned n = vf_take(f, 1) % 24;

    for (unsigned i = 0; i < n; i++) {
        uint32_t how = vf_take(f, 2);

        e[i].type = (uint8_t)(how % 8);
        e[i].zero = 0;
        e[i].code = how & 0x4000 ? (uint16_t)vf_take(f, 2) : codes[(how >> 3) % ARRAY_LEN(codes)];
        e[i].value = how & 0x8000 ? (int32_t)vf_take(f, 4) : (int32_t)(how >> 7 & 1);
    }
    gate_inject(env.gate, "input", e, n * sizeof e[0]);
}

static void restore_changed(struct guest *g, struct vf_in *f)
{
    static uint8_t image[1 << 16];
    size_t n = device_state_size(&g->v->dev);
    struct err e;

    if (n > sizeof image)
        abort();
    device_save(&g->v->dev, image);
    for (unsigned i = vf_take(f, 1) % 4; i; i--) {
        image[(vf_take(f, 2) * 7) % n] = (uint8_t)vf_take(f, 1);
        g->spoilt = true;
    }
    device_restore(&g->v->dev, image, n, &e);
}

static void step(struct vf_in *f)
{
    uint32_t op = vf_take(f, 1);
    struct guest *g = &guest[op >> 6];
    uint64_t val;
    uint32_t n;

    switch (op % 16) {
    case 0:
    case 1:
    case 2: host_events(f); break;
    case 3: run_loop(); break;
    case 4: give(g, vf_take(f, 1) % (SIZE + 1), 8); break;
    case 5: give(g, 1 + vf_take(f, 1) % 3, vf_take(f, 1) % 17); break;
    case 6:
    case 7: take(g); break;
    case 8: /* lights */
        n = vf_take(f, 1) % SIZE;
        for (unsigned i = 0; i < 8; i++)
            g->ram[6 * PART + 0x400 + 16 * n + i] = (uint8_t)vf_take(f, 1);
        offer(g, 1, n, op & 16 ? 8 : vf_take(f, 1), false);
        wr(g, 0x050, 1);
        break;
    case 9:
        bus_write(env.bus, g->base + 0x100 + vf_take(f, 1) % 3, 1, vf_take(f, 1));
        for (unsigned i = 0; i < 136; i += 4)
            bus_read(env.bus, g->base + 0x100 + i, 4, &val);
        break;
    case 10: start(g, op & 16); break;
    case 11: restore_changed(g, f); break;
    case 12:
        wr(g, (vf_take(f, 1) & 0x3f) * 4, vf_take(f, 4));
        g->spoilt = true;
        break;
    case 13: input_release_all(in); break;
    case 14: clock_advance(env.clock, vf_take(f, 2)); break;
    case 15: input_select(in, vf_take(f, 1)); break;
    }
}

static void nothing_is_down(struct guest *g)
{
    for (unsigned i = 0; i < 40; i++) {
        take(g);
        give(g, SIZE, 8);
    }
    take(g);
    for (unsigned i = 0; i < INPUT_CODES && !g->spoilt; i++)
        if (g->down[i])
            abort();
    if (g->fingers && !g->spoilt)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_in f = {data, len};

    if (!in)
        make();
    for (unsigned i = 0; i < INPUT_KINDS; i++)
        start(&guest[i], i & 1);
    for (unsigned i = 0; i < STEPS && f.n; i++)
        step(&f);
    input_release_all(in);
    for (unsigned i = 0; i < 40; i++)
        loop_poll(loop);
    for (unsigned i = 0; i < INPUT_KINDS; i++)
        nothing_is_down(&guest[i]);
    for (unsigned i = 0; i < INPUT_KINDS; i++)
        device_reset(guest[i].slot);
    return 0;
}
