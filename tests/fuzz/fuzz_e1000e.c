/*
 * Fuzz target: the 82574L with a far end that sends, refuses and answers. Registers take likely values and any;
 * descriptors of all kinds are made of likely fields and of any; frames are well-formed, near to it, or bytes;
 * resets, restores and time come between them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/e1000e.h"
#include "devices/pci_host.h"
#include "netstack/cable.h"
#include "tests/fuzz/machine.h"

#define ECAM UINT64_C(0x30000000)
#define FN (ECAM + (1 << 15))
#define BAR UINT64_C(0x40000000)
#define MSIX (BAR + 0x40000)

enum { ENTRIES = 16, RING = 0x100, DATA = 0x1000, RDBAL = 0x2800, TDBAL = 0x3800 };

/* One machine for all inputs; each begins with a reset. Only tests may have such a thing in the file's scope. */
static struct fuzz_machine m;
static struct loop *loop;
static struct device *host;
static struct pci_device *fn;
static struct net_cable *cable;
static struct net_port far;
static unsigned refuse; /* frames the far end refuses */
static bool echo;       /* it sends back what it gets, from within */
static uint32_t tail[4];

static void wr(gpa off, uint32_t val) { bus_write(m.bus, BAR + off, 4, val); }

static uint32_t rd(gpa off)
{
    uint64_t v = 0;

    bus_read(m.bus, BAR + off, 4, &v);
    return (uint32_t)v;
}

static bool far_receive(struct net_port *p, const struct net_frame *f)
{
    size_t total = 0;

    if (refuse) {
        refuse--;
        return false;
    }
    for (unsigned i = 0; i < f->iovcnt; i++)
        total += f->iov[i].iov_len;
    if (total < f->len || (f->gso && !f->gso_size))
        abort();
    if (echo && !f->gso)
        net_port_send(p, f);
    return true;
}

static const struct net_port_ops far_ops = {.kind = "fuzz", .receive = far_receive};

static void nothing(void *arg) { (void)arg; }

static void turn(void)
{
    for (unsigned i = 0; i < 2; i++) {
        loop_post(loop, nothing, NULL);
        loop_turn(loop);
    }
}

static void make(void)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {BAR, 0x40000000}, .mem64 = {0x400000000, 0x400000000}, .pio = {0x3000000, 0x10000}};
    struct e1000e_options o = {.mac = {0x52, 0x54, 0, 1, 2, 3}};
    struct net_env env;
    struct err e;

    fuzz_machine_open(&m);
    loop = loop_new(m.clock, &e);
    o.loop = loop;
    env = (struct net_env){.loop = loop, .clock = m.clock, .log = m.log, .gate = m.gate};
    far = (struct net_port){.ops = &far_ops, .name = "far", .can = NET_CAN_ALL, .mtu = 9000};
    host = pci_host_new(&m.env, "pcie", &c);
    fn = e1000e_new(&m.env, "nic", &o, &e);
    if (!host || !pci_host_map(host, &e) || !fn || !pci_add(host, fn, 8, &e))
        abort();
    cable = net_cable_new(&env, "cable", nic_port(e1000e_nic(fn)), &far, &e);
    if (!cable)
        abort();
}

static gpa ring_of(unsigned r) { return FUZZ_RAM + RING * (1 + r); }

/* Rings 0 and 1 transmit, 2 and 3 receive. */
static unsigned regs_of(unsigned r) { return (r < 2 ? TDBAL : RDBAL) + (r & 1) * 0x100; }

static void enable(void)
{
    bus_write(m.bus, FN + 0x10, 4, BAR);
    bus_write(m.bus, FN + 0x1c, 4, MSIX);
    bus_write(m.bus, FN + 4, 2, 7);
    for (unsigned r = 0; r < 4; r++) {
        wr(regs_of(r), (uint32_t)ring_of(r));
        wr(regs_of(r) + 8, ENTRIES * 16);
        tail[r] = 0;
    }
    wr(0x100, 0x0400801a); /* on, all filters open */
    wr(0x400, 0xa);
}

static gpa place(struct fuzz_in *in)
{
    unsigned k = (unsigned)fuzz_take(in, 1);

    switch (k & 7) {
    case 0: return fuzz_take(in, 8);
    case 1: return BAR + 4 * fuzz_take(in, 2);
    case 2: return 0;
    case 3: return FUZZ_RAM + FUZZ_RAM_SIZE - (k >> 3);
    default: return FUZZ_RAM + DATA + 16 * fuzz_take(in, 1);
    }
}

static void put(unsigned r, gpa a, uint32_t low, uint32_t high)
{
    uint8_t d[16];

    st64(d, a);
    st32(d + 8, low);
    st32(d + 12, high);
    dma_write(m.bus, ring_of(r) + 16 * tail[r], d, sizeof d);
    tail[r] = (tail[r] + 1) % ENTRIES;
}

static void transmit_descriptor(struct fuzz_in *in, unsigned r)
{
    unsigned k = (unsigned)fuzz_take(in, 1);
    uint32_t cmd = (uint32_t)fuzz_take(in, 1) << 24;

    if ((k & 3) == 0) { /* a context: mostly a sensible one */
        uint32_t l4 = k & 4 ? 34 : 54, seg = (uint32_t)fuzz_take(in, 2) << 16 | (l4 + 20) << 8;
        uint64_t words = 14 | 24 << 8 | (uint64_t)(l4 | (l4 + 16) << 8) << 32;

        if (k & 8)
            words ^= fuzz_take(in, 8);
        put(r, words, (cmd & 0xdf000000) | 1 << 29 | (uint32_t)fuzz_take(in, 2),
            k & 16 ? (uint32_t)fuzz_take(in, 4) : seg);
        return;
    }
    put(r, place(in), cmd | (k & 4 ? 1 << 29 | 1 << 20 : 0) | (uint32_t)fuzz_take(in, k & 8 ? 3 : 1),
        (uint32_t)fuzz_take(in, 2) << 8);
}

static void receive_descriptor(struct fuzz_in *in, unsigned r)
{
    gpa a = place(in), b = place(in);

    put(r, a, (uint32_t)b, (uint32_t)(b >> 32));
}

/* Headers of a UDP or TCP packet over IPv4 or IPv6, some of its bytes changed, or bytes alone. */
static void frame(struct fuzz_in *in)
{
    static const uint8_t start[] = {0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 9, 9, 9};
    uint8_t f[2048] = {0};
    unsigned k = (unsigned)fuzz_take(in, 1), at = 14;
    size_t len = 14 + fuzz_take(in, 2) % 2000;
    struct iovec iov[3];
    struct net_frame nf = {.iov = iov, .len = len, .flags = k & 1 ? NET_CSUM_VALID : 0};

    memcpy(f, start, sizeof start);
    if (k & 2) {
        st16be(f + 12, 0x8100);
        f[15] = (uint8_t)k;
        at = 18;
    }
    st16be(f + at - 2, k & 4 ? 0x86dd : 0x0800);
    f[at] = k & 4 ? 0x60 : 0x45;
    st16be(f + at + (k & 4 ? 4 : 2), (uint16_t)(len - at - (k & 4 ? 40 : 0)));
    f[at + (k & 4 ? 6 : 9)] = k & 8 ? 6 : 17;
    f[at + (k & 4 ? 40 : 20) + 12] = 0x50;
    for (unsigned n = k >> 4; n; n--)
        f[fuzz_take(in, 1)] = (uint8_t)fuzz_take(in, 1);
    iov[0] = (struct iovec){f, len / 3};
    iov[1] = (struct iovec){f + len / 3, len / 3};
    iov[2] = (struct iovec){f + len / 3 * 2, len - len / 3 * 2};
    nf.iovcnt = 3;
    net_port_send(&far, &nf);
}

static void registers(struct fuzz_in *in)
{
    static const uint16_t likely[] = {0x0000, 0x0018, 0x0020, 0x00c4, 0x00c8, 0x00d0, 0x00d8, 0x00dc,
                                      0x00e0, 0x00e4, 0x0100, 0x0400, 0x2170, 0x2810, 0x2818, 0x2820,
                                      0x282c, 0x2808, 0x3808, 0x3810, 0x3818, 0x3820, 0x382c, 0x5000,
                                      0x5008, 0x5818, 0x5c00, 0x5400, 0x5404, 0x0014, 0x102c, 0x3840};
    unsigned k = (unsigned)fuzz_take(in, 1);
    gpa off = k & 0x80 ? fuzz_take(in, 2) & 0x1fffc : likely[k % ARRAY_LEN(likely)];

    if (k & 0x40)
        rd(off);
    else
        wr(off, (uint32_t)fuzz_take(in, 4));
}

/* The PHY's registers, and bits for the EEPROM's pins. */
static void outside(struct fuzz_in *in)
{
    unsigned k = (unsigned)fuzz_take(in, 1);

    if (k & 1) {
        wr(0x20,
           (k & 2 ? 1u << 26 : 2u << 26) | 1u << 21 | (k >> 3) << 16 | (uint32_t)fuzz_take(in, 2) | (k & 4) << 27);
        return;
    }
    for (unsigned bits = (unsigned)fuzz_take(in, 1), i = 0; i < 8; i++) {
        wr(0x10, (k & 2) | (bits >> i & 1) << 2);
        wr(0x10, (k & 2) | (bits >> i & 1) << 2 | 1);
        wr(0x10, (k & 2) | (bits >> i & 1) << 2);
    }
}

static void msix(struct fuzz_in *in)
{
    unsigned on = (unsigned)fuzz_take(in, 1);

    for (uint64_t cap = 0x40, id = 0; cap; bus_read(m.bus, FN + cap + 1, 1, &cap)) {
        bus_read(m.bus, FN + cap, 1, &id);
        if (id != 0x11)
            continue;
        bus_write(m.bus, FN + cap + 2, 2, on & 1 ? 0x8000 : 0);
        break;
    }
    for (unsigned v = 0; v < 5; v++)
        bus_write(m.bus, MSIX + 16 * v + 12, 4, on >> (v + 1) & 1);
}

static void step(struct fuzz_in *in)
{
    unsigned op = (unsigned)fuzz_take(in, 1), r = op >> 4 & 3;

    switch (op & 15) {
    case 0:
    case 1:
    case 2: transmit_descriptor(in, r & 1); break;
    case 3:
    case 4: receive_descriptor(in, 2 | r); break;
    case 5:
        wr(regs_of(r) + 0x18, tail[r]);
        turn();
        break;
    case 6:
    case 7: frame(in); break;
    case 8:
    case 9: registers(in); break;
    case 10: enable(); break;
    case 11: fuzz_disturb(&fn->dev, in); break;
    case 12: clock_advance(m.clock, fuzz_take(in, 2) * 64); break;
    case 13: {
        uint64_t v = fuzz_take(in, 8);

        dma_write(m.bus, FUZZ_RAM + DATA + 8 * fuzz_take(in, 1), &v, 8);
        break;
    }
    case 14:
        refuse = r;
        echo = op & 0x40;
        if (op & 0x80)
            net_cable_set_link(cable, op & 0x40);
        net_port_room(&far);
        break;
    default:
        if (op & 0x80)
            op & 0x40 ? msix(in) : outside(in);
        else
            bus_write(m.bus, FN + (fuzz_take(in, 1) & 0xfc), 4, fuzz_take(in, 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};

    if (!fn)
        make();
    device_reset(&fn->dev);
    net_cable_set_link(cable, true);
    refuse = 0;
    echo = false;
    enable();
    for (unsigned i = 0; i < 500 && in.left; i++)
        step(&in);
    turn();
    device_reset(&fn->dev);
    turn();
    return 0;
}
