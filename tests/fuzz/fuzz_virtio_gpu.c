/*
 * virtio-gpu: commands of fuzz bytes on a well-kept ring (the ring itself is fuzz_virtq's), a viewer that reads every
 * pixel it is told of, a window that is resized, and snapshots restored with bytes changed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"
#include "devices/virtio_gpu.h"
#include "tests/fuzz/virtio_fuzz.h"

enum { SLOT = 0x10001000, RAM_SIZE = 256 << 10, SCANOUTS = 2, SIZE = 16, STEPS = 200 };
enum { RING = 0x1000, RING_STEP = 0x1000, REQUEST = 0x8000, ANSWER = 0x9000 }; /* in RAM */

/* Made once; each input starts from reset. Only tests may have such a thing in the file's scope. */
static struct device_env env;
static struct device *slot;
static struct virtio_dev *v;
static struct display_viewer viewer[SCANOUTS];
static uint8_t *ram;
static uint16_t avail[2];

static void make(void)
{
    const struct virtio_gpu_options o = {.max_outputs = SCANOUTS, .xres = 64, .yres = 48, .max_hostmem = 1 << 20};
    struct err e;

    env.clock = clock_new_fake();
    env.log = log_new();
    env.bus = bus_new(env.log);
    env.gate = gate_new(env.clock);
    slot = virtio_mmio_new(&env, "slot", false);
    v = virtio_gpu_new(&env, "gpu0", &o, &e);
    if (!v || !bus_add_ram(env.bus, "ram", VF_RAM, RAM_SIZE, &e) || !device_map(slot, SLOT, &e) ||
        !virtio_mmio_plug(slot, v, &e))
        abort();
    ram = bus_ram(env.bus, VF_RAM, RAM_SIZE);
    for (unsigned i = 0; i < SCANOUTS; i++)
        display_attach(virtio_gpu_display(v, i), &viewer[i]);
}

static void wr(unsigned reg, uint32_t val) { bus_write(env.bus, SLOT + reg, 4, val); }

static uint8_t *ring(unsigned q, unsigned part) { return ram + RING + (3 * q + part) * RING_STEP / 2; }

static void start(void)
{
    memset(ram, 0, 0x10000);
    memset(avail, 0, sizeof avail);
    wr(0x070, 0);
    wr(0x070, 3);
    wr(0x024, 0);
    wr(0x020, 2);
    wr(0x024, 1);
    wr(0x020, 1);
    wr(0x070, 11);
    for (unsigned q = 0; q < 2; q++) {
        wr(0x030, q);
        wr(0x038, SIZE);
        for (unsigned part = 0; part < 3; part++)
            wr(0x080 + 0x10 * part, (uint32_t)(VF_RAM + (ring(q, part) - ram)));
        wr(0x044, 1);
    }
    wr(0x070, 15);
}

static void put_desc(uint8_t *p, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    st64(p, addr);
    st32(p + 8, len);
    st16(p + 12, flags);
    st16(p + 14, next);
}

static void send(unsigned q, uint32_t len, uint32_t room)
{
    uint8_t *d = ring(q, 0), *a = ring(q, 1);

    put_desc(d, VF_RAM + REQUEST, len, 1, 1);
    put_desc(d + 16, VF_RAM + ANSWER, room, 2, 0);
    st16(a + 4 + 2 * (avail[q] % SIZE), 0);
    st16(a + 2, ++avail[q]);
    wr(0x050, q);
}

/* Mostly very small, sometimes at an edge. */
static uint32_t number(struct vf_in *in)
{
    static const uint32_t edges[] = {UINT32_MAX, 0x80000000, 0x40000000, 0x10000,       16385,
                                     16384,      512,        4096,       UINT32_MAX - 3};
    uint32_t b = vf_take(in, 1);

    if (b < 0xa0)
        return b % 4; /* so that ids are met again */
    return b < 0xf4 ? b % 80 : edges[b % ARRAY_LEN(edges)];
}

static void command(struct vf_in *in)
{
    static const uint16_t types[] = {0x100, 0x101, 0x101, 0x102, 0x103, 0x103, 0x104, 0x104, 0x105, 0x105, 0x105,
                                     0x106, 0x106, 0x107, 0x108, 0x109, 0x10a, 0x300, 0x300, 0x301, 0x10c};
    uint8_t *p = ram + REQUEST;
    uint32_t how = vf_take(in, 1), type = types[vf_take(in, 1) % ARRAY_LEN(types)], len = 56;

    memset(p, 0, 0x200);
    st32(p, type);
    st32(p + 4, how & 1);
    for (unsigned at = 24; at < 56; at += 4)
        st32(p + at, number(in));
    if (type == 0x101) { /* a format, and often a cursor's size */
        st32(p + 28, 1 + ld32(p + 28) % 5);
        if (how & 2) {
            st32(p + 32, 64);
            st32(p + 36, 64);
        }
    }
    if (type == 0x106) {
        uint32_t n = ld32(p + 28);

        len = 32;
        for (uint32_t i = 0; i < n && i < 8; i++, len += 16) {
            st64(p + len, VF_RAM + (uint64_t)number(in) * 0x400);
            st32(p + len + 8, number(in) * 0x80);
        }
    }
    send(type >= 0x300, how & 4 ? vf_take(in, 1) : len, how & 8 ? vf_take(in, 1) : 1100);
}

static void look(unsigned i)
{
    static uint32_t line[DISPLAY_MAX];
    struct display *d = virtio_gpu_display(v, i);
    struct display_update u;
    struct display_cursor c;

    if (display_begin(d, &viewer[i], &u)) {
        for (unsigned k = 0; k < u.rects; k++)
            for (uint32_t y = 0; y < u.rect[k].h; y++)
                display_read(&u.surface, &(struct display_rect){u.rect[k].x, u.rect[k].y + y, u.rect[k].w, 1}, line, 0);
        display_cursor(d, &c);
        if (c.argb)
            memcpy(line, c.argb, sizeof *line * c.w * c.h); /* 64 x 64 at most */
    }
    display_end(d, &viewer[i]);
}

/* A snapshot with a few bytes changed among the resources and scanouts, which follow virtio's own fields. */
static void restore(struct vf_in *in)
{
    size_t n = device_state_size(&v->dev);
    uint8_t *a = malloc(n);
    struct err e;

    if (!a)
        abort();
    device_save(&v->dev, a);
    for (unsigned k = vf_take(in, 1) % 16; k; k--) {
        uint32_t at = vf_take(in, 1) & 1 ? vf_take(in, 1) : 12288 + vf_take(in, 2) % 900;

        a[(2660 + at) % n] = (uint8_t)vf_take(in, 1);
    }
    if (!device_restore(&v->dev, a, n, &e))
        abort();
    free(a);
}

static void step(struct vf_in *in)
{
    uint32_t what = vf_take(in, 1), w, h;

    switch (what % 16) {
    case 0: look(what >> 4 & 1); break;
    case 1:
        w = vf_take(in, 2);
        h = vf_take(in, 2);
        display_wants_size(virtio_gpu_display(v, what >> 4 & 1), w, h, vf_take(in, 1), vf_take(in, 1));
        break;
    case 2:
        if (what == 2)
            restore(in);
        break;
    case 3: clock_advance(env.clock, 1); break;
    default: command(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct vf_in in = {data, len};

    if (!v)
        make();
    start();
    for (unsigned i = 0; i < STEPS && in.n; i++)
        step(&in);
    for (unsigned i = 0; i < SCANOUTS; i++)
        look(i);
    device_reset(&v->dev);
    return 0;
}
