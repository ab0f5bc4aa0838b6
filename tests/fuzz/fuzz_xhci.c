/*
 * Fuzz target: an xHCI controller with a keyboard, a tablet and a mouse. Rings hold commands and transfers of likely
 * fields and of any; a driver that enumerates a device is one operation, input events, ports, resets and restores the others.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/pci_host.h"
#include "devices/xhci.h"
#include "tests/fuzz/machine.h"

#define ECAM UINT64_C(0x30000000)
#define FN (ECAM + 0x8000)
#define BAR UINT64_C(0x40000000)
#define OP (BAR + 0x40)
#define RT (BAR + 0x1000)
#define DB (BAR + 0x2000)
#define M(at) (FUZZ_RAM + (at))

enum {
    DCBAA = 0x400,
    ERST = 0x800,
    INPUT = 0x1000,
    DEVICE = 0x2000,
    EVENTS = 0x4000,
    RINGS = 0x5000,
    RING = 0x200,
    DATA = 0xc000
};
enum { TRBS = RING / 16, EVENT_TRBS = 16, DEVICES = 3, EPS = 4, STEPS = 400 };
enum { SETUP = 2, STAGE_DATA = 3, STATUS = 4, LINK = 6, ENABLE_SLOT = 9, ADDRESS = 11, CONFIGURE = 12 };

/* One machine for all inputs; each begins with a reset. Only tests may have such a thing in the file's scope. */
static struct fuzz_machine m;
static struct device *host;
static struct pci_device *fn;
static struct loop *loop;
static struct input *input;
static unsigned at[DEVICES * EPS], cycle[DEVICES * EPS]; /* ring 0: commands; slot s, endpoint e: EPS * (s - 1) + e */

static void wr(gpa a, uint32_t v) { bus_write(m.bus, a, 4, v); }

static void make(void)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {BAR, 0x40000000}, .mem64 = {0x400000000, 0x400000000}, .pio = {0x3000000, 0x10000}};
    struct err e;

    fuzz_machine_open(&m);
    loop = loop_new(m.clock, &e);
    input = input_new(loop, m.gate);
    host = pci_host_new(&m.env, "pcie", &c);
    fn = xhci_new(&m.env, "usb", input, &e);
    if (!host || !pci_host_map(host, &e) || !fn || !xhci_plug(fn, "k", INPUT_KEYBOARD, 1, NULL, &e) ||
        !xhci_plug(fn, "t", INPUT_TABLET, 2, NULL, &e) || !xhci_plug(fn, "m", INPUT_MOUSE, 3, NULL, &e) ||
        !pci_add(host, fn, 8, &e))
        abort();
}

static gpa ring_of(unsigned r) { return M(RINGS + RING * r); }

static void store(gpa to, const void *from, unsigned len)
{
    void *p = bus_ram(m.bus, to, len);

    if (p)
        memcpy(p, from, len);
}

static void put(unsigned r, uint64_t parameter, uint32_t status, uint32_t control)
{
    uint8_t t[32] = {0};

    st64(t, parameter);
    st32(t + 8, status);
    st32(t + 12, control | cycle[r]);
    st64(t + 16, ring_of(r));
    st32(t + 28, LINK << 10 | 2 | cycle[r]);
    store(ring_of(r) + 16 * at[r], t, at[r] == TRBS - 2 ? 32 : 16);
    if (++at[r] == TRBS - 1) {
        at[r] = 0;
        cycle[r] ^= 1;
    }
}

static void start(void)
{
    uint8_t entry[16] = {0};

    bus_write(m.bus, FN + 0x10, 8, BAR);
    bus_write(m.bus, FN + 4, 2, 6);
    wr(OP, 2);
    memset(bus_ram(m.bus, M(0), FUZZ_RAM_SIZE), 0, FUZZ_RAM_SIZE);
    for (unsigned i = 0; i < DEVICES * EPS; i++) {
        at[i] = 0;
        cycle[i] = 1;
    }
    st64(entry, M(EVENTS));
    st32(entry + 8, EVENT_TRBS);
    store(M(ERST), entry, sizeof entry);
    for (unsigned s = 1; s <= DEVICES; s++) {
        st64(entry, M(DEVICE + 0x400 * s));
        store(M(DCBAA) + 8 * s, entry, 8);
    }
    wr(OP + 0x38, 16);
    bus_write(m.bus, OP + 0x30, 8, M(DCBAA));
    bus_write(m.bus, OP + 0x18, 8, ring_of(0) | 1);
    wr(RT + 0x28, 1);
    bus_write(m.bus, RT + 0x38, 8, M(EVENTS));
    bus_write(m.bus, RT + 0x30, 8, M(ERST));
    wr(RT + 0x20, 2);
    wr(OP, 5);
}

static void context(unsigned ep, unsigned type, unsigned packet, gpa ring)
{
    uint8_t c[32] = {0};

    st32(c + 4, 3 << 1 | type << 3 | packet << 16);
    st64(c + 8, ring | 1);
    store(M(INPUT) + 32 * (ep + 1), c, sizeof c);
}

static void contexts(unsigned slot, uint32_t add)
{
    uint8_t c[64] = {0};

    st32(c + 4, add);
    st32(c + 32, 3u << 27 | 3 << 20);
    st32(c + 36, (4 + slot) << 16);
    store(M(INPUT), c, sizeof c);
    context(1, 4, 64, ring_of(EPS * (slot - 1) + 1));
    context(3, 7, 8, ring_of(EPS * (slot - 1) + 3));
}

static void control_transfer(unsigned slot, uint64_t setup)
{
    unsigned r = EPS * (slot - 1) + 1, len = (unsigned)(setup >> 48);

    put(r, setup, 8, SETUP << 10 | 0x40);
    if (len)
        put(r, M(DATA), len, STAGE_DATA << 10 | 0x10000 | 4);
    put(r, 0, 0, STATUS << 10 | 0x20);
    wr(DB + 4 * slot, 1);
}

/* What a driver does until the device speaks. */
static void enumerate(unsigned slot)
{
    wr(OP + 0x400 + 16 * (3 + slot), 0x210);
    put(0, 0, 0, ENABLE_SLOT << 10);
    contexts(slot, 3);
    wr(DB, 0);
    put(0, M(INPUT), 0, ADDRESS << 10 | slot << 24);
    wr(DB, 0);
    control_transfer(slot, 0x0000000000010900); /* configuration 1 */
    contexts(slot, 9);
    put(0, M(INPUT), 0, CONFIGURE << 10 | slot << 24);
    wr(DB, 0);
}

static void any_trb(struct fuzz_in *in, unsigned r)
{
    unsigned k = (unsigned)fuzz_take(in, 1);
    uint64_t parameter = k & 0x40 ? fuzz_take(in, 8) : M(k & 0x80 ? DATA : INPUT);
    uint32_t status = (uint32_t)fuzz_take(in, k & 0x40 ? 4 : 1);

    put(r, parameter, status,
        (k & 0x3f) << 10 | ((uint32_t)fuzz_take(in, 2) & 0x3fe) | (uint32_t)fuzz_take(in, 2) << 16);
}

static void host_input(struct fuzz_in *in)
{
    unsigned k = (unsigned)fuzz_take(in, 1);
    int32_t v = (int32_t)fuzz_take(in, 2);
    const struct input_event move[] = {{k & 8 ? INPUT_ABS : INPUT_REL, 0, k >> 4 & 1, k & 8 ? v & 0x7fff : (int16_t)v},
                                       {INPUT_WHEEL, 0, k >> 5 & 1, (int8_t)v},
                                       {INPUT_SYN, 0, 0, 0}};
    const struct input_event button[] = {{INPUT_BUTTON, 0, (uint16_t)(BTN_LEFT + (v & 7)), k >> 4 & 1},
                                         {INPUT_SYN, 0, 0, 0}};

    switch (k % 4) {
    case 0: input_send(input, move, 3); break;
    case 1: input_send(input, button, 2); break;
    case 2: input_key(input, (uint16_t)(v % INPUT_CODES & 0x1ff), k >> 4 & 1); break;
    default: input_release_all(input);
    }
    loop_poll(loop);
}

static gpa address(struct fuzz_in *in)
{
    switch (fuzz_take(in, 1) % 6) {
    case 0: return FN + fuzz_take(in, 1);
    case 1: return OP + (fuzz_take(in, 1) & 0x3f);
    case 2: return OP + 0x400 + (fuzz_take(in, 1) & 0x7f);
    case 3: return RT + (fuzz_take(in, 1) & 0x3f);
    case 4: return DB + (fuzz_take(in, 1) & 0x1f);
    default: return BAR + (fuzz_take(in, 2) & 0x3fff);
    }
}

static void event(struct fuzz_in *in, unsigned kind)
{
    unsigned k = (unsigned)fuzz_take(in, 1), slot = 1 + k % DEVICES, r = k % (DEVICES * EPS);

    switch (kind % 12) {
    case 0: start(); break;
    case 1:
    case 2: enumerate(slot); break;
    case 3: any_trb(in, r); break;
    case 4: wr(DB + 4 * (k & 3), k >> 2 & 7); break;
    case 5: control_transfer(slot, fuzz_take(in, 8)); break;
    case 6:
        put(EPS * (slot - 1) + 3, M(DATA), 8, 1 << 10 | 0x20);
        wr(DB + 4 * slot, 3);
        break;
    case 7: bus_write(m.bus, RT + 0x38, 8, M(EVENTS) + 16 * (k % EVENT_TRBS) + 8); break;
    case 8: loop_poll(loop); break;
    default: host_input(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fn)
        make();
    device_reset(&fn->dev);
    device_reset(host);
    start();
    if (size && data[0] & 1)
        for (unsigned s = 1; s <= DEVICES; s++) {
            enumerate(s);
            bus_write(m.bus, RT + 0x38, 8, M(EVENTS) + 8);
        }
    fuzz_run(&m, &(struct fuzz_target){&fn->dev, address, event}, data, size < STEPS * 4 ? size : STEPS * 4);
    input_release_all(input);
    loop_poll(loop);
    return 0;
}
