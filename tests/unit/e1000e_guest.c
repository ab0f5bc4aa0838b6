#include "tests/unit/e1000e_guest.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { LOWER_LEN = 0xfffff };

static void on_irq(void *arg, unsigned n, bool level)
{
    struct eg *g = arg;

    (void)n;
    g->irq_ups += level && !g->irq;
    g->irq = level;
}

static bool on_msi(void *arg, gpa addr, uint32_t data)
{
    struct eg *g = arg;

    (void)addr;
    g->msis++;
    g->msi_data = data;
    return true;
}

void eg_cfg_wr(struct eg *g, unsigned off, unsigned size, uint32_t val)
{
    CHECK(bus_write(g->bus, EG_FN + off, size, val));
}

uint32_t eg_cfg_rd(struct eg *g, unsigned off, unsigned size)
{
    uint64_t v;

    CHECK(bus_read(g->bus, EG_FN + off, size, &v));
    return (uint32_t)v;
}

unsigned eg_cap(struct eg *g, unsigned id)
{
    unsigned at = eg_cfg_rd(g, 0x34, 1);

    for (unsigned i = 0; at && i < 48 && eg_cfg_rd(g, at, 1) != id; i++)
        at = eg_cfg_rd(g, at + 1, 1);
    CHECK(at);
    return at;
}

uint32_t eg_rd(struct eg *g, unsigned reg)
{
    uint64_t v;

    CHECK(bus_read(g->bus, EG_BAR + reg, 4, &v));
    return (uint32_t)v;
}

void eg_wr(struct eg *g, unsigned reg, uint32_t val) { CHECK(bus_write(g->bus, EG_BAR + reg, 4, val)); }
void eg_set(struct eg *g, unsigned reg, uint32_t bits) { eg_wr(g, reg, eg_rd(g, reg) | bits); }
void eg_clear(struct eg *g, unsigned reg, uint32_t bits) { eg_wr(g, reg, eg_rd(g, reg) & ~bits); }

void eg_begin(struct eg *g)
{
    const struct pci_host_config c = {.ecam = 0x30000000,
                                      .mem32 = {EG_BAR, 0x40000000},
                                      .mem64 = {UINT64_C(0x400000000), 0x40000000},
                                      .pio = {EG_PIO, 0x10000}};
    struct e1000e_options o = {.port = "net0"};
    struct err e = {""};

    *g = (struct eg){.next = EG_RAM};
    world_init(&g->w);
    g->bus = bus_new(g->w.env.log);
    g->env = (struct device_env){.clock = g->w.env.clock, .log = g->w.env.log, .bus = g->bus, .gate = g->w.env.gate};
    CHECK(bus_add_ram(g->bus, "ram", EG_RAM, EG_RAM_SIZE, &e));
    g->host = pci_host_new(&g->env, "pcie", &c);
    CHECK(g->host && pci_host_map(g->host, &e));
    for (unsigned n = 0; n < PCI_LINES; n++)
        *pci_host_irq(g->host, n) = (struct irq){on_irq, g, n, false};
    pci_host_on_msi(g->host, on_msi, g);
    mac_parse(EG_MAC, o.mac);
    o.loop = g->w.env.loop;
    g->fn = e1000e_new(&g->env, "nic0", &o, &e);
    CHECK(g->fn && pci_add(g->host, g->fn, 8, &e));
    device_reset(&g->fn->dev);
    far_init(&g->far, &g->w, "far");
    strcpy(g->far.mac, "52:55:0a:00:02:02");
    strcpy(g->far.gateway, EG_MAC);
    strcpy(g->far.ip4, "10.0.2.2");
    strcpy(g->far.ip6, "fec0::2");
    far_plug(&g->far, nic_port(e1000e_nic(g->fn)));
    far_init(&g->guest, &g->w, "guest");
    strcpy(g->guest.mac, EG_MAC);
    eg_cfg_wr(g, 0x10, 4, (uint32_t)EG_BAR);
    eg_cfg_wr(g, 0x14, 4, (uint32_t)EG_BAR + 0x20000);
    eg_cfg_wr(g, 0x18, 4, 0x1000);
    eg_cfg_wr(g, 0x1c, 4, (uint32_t)EG_MSIX);
    eg_cfg_wr(g, 4, 2, 7);
    eg_rd(g, ICR); /* the link came up */
    world_run(&g->w);
}

void eg_end(struct eg *g)
{
    far_free(&g->far);
    far_free(&g->guest);
    device_free(&g->fn->dev);
    device_free(g->host);
    bus_free(g->bus);
    world_free(&g->w);
}

uint16_t eg_phy_rd(struct eg *g, unsigned reg)
{
    uint32_t v;

    eg_wr(g, MDIC, 2u << 26 | 1u << 21 | reg << 16);
    v = eg_rd(g, MDIC);
    CHECK_EQ(v & 3u << 28 & ~(1u << 29), 1u << 28); /* ready */
    CHECK_EQ(v >> 30, 0);                           /* no error */
    return (uint16_t)v;
}

void eg_phy_wr(struct eg *g, unsigned reg, uint16_t val)
{
    eg_wr(g, MDIC, 1u << 26 | 1u << 21 | reg << 16 | val);
    CHECK_EQ(eg_rd(g, MDIC) >> 28 & 5, 1);
}

uint16_t eg_eeprom(struct eg *g, unsigned word)
{
    eg_wr(g, EERD, word << 2 | 1);
    CHECK_EQ(eg_rd(g, EERD) & 2, 2);
    return (uint16_t)(eg_rd(g, EERD) >> 16);
}

gpa eg_alloc(struct eg *g, uint64_t len, uint64_t align)
{
    gpa at = align_up(g->next, align);

    g->next = at + len;
    CHECK(g->next <= EG_RAM + EG_RAM_SIZE);
    return at;
}

uint8_t *eg_at(struct eg *g, gpa at) { return bus_ram(g->bus, at, 1); }

void eg_msix(struct eg *g)
{
    unsigned cap = eg_cap(g, 0x11);

    for (unsigned v = 0; v < 5; v++) {
        CHECK(bus_write(g->bus, EG_MSIX + 16 * v, 4, 0x28000000));
        CHECK(bus_write(g->bus, EG_MSIX + 16 * v + 4, 4, 0));
        CHECK(bus_write(g->bus, EG_MSIX + 16 * v + 8, 4, 100 + v));
        CHECK(bus_write(g->bus, EG_MSIX + 16 * v + 12, 4, 0));
    }
    eg_cfg_wr(g, cap + 2, 2, 0x8000);
}

static void ring_on(struct eg *g, struct eg_ring *r, unsigned reg, unsigned entries)
{
    *r = (struct eg_ring){.base = eg_alloc(g, entries * 16, 128), .entries = entries, .reg = reg};
    memset(eg_at(g, r->base), 0, entries * 16);
    eg_wr(g, reg, (uint32_t)r->base);
    eg_wr(g, reg + (TDBAH - TDBAL), (uint32_t)(r->base >> 32));
    eg_wr(g, reg + (TDLEN - TDBAL), entries * 16);
    eg_wr(g, reg + (TDH - TDBAL), 0);
    eg_wr(g, reg + (TDT - TDBAL), 0);
}

void eg_tx_on(struct eg *g, unsigned queue, unsigned entries, uint32_t bits)
{
    ring_on(g, &g->tx[queue], TDBAL + QUEUE * queue, entries);
    eg_wr(g, TCTL, 2 | bits);
}

void eg_rx_on(struct eg *g, unsigned queue, unsigned entries, uint32_t bits)
{
    ring_on(g, &g->rx[queue], RDBAL + QUEUE * queue, entries);
    eg_wr(g, RCTL, 2 | bits);
}

/* --- transmit --- */

gpa eg_tx_desc(struct eg *g, unsigned queue, uint64_t addr, uint32_t lower, uint32_t upper)
{
    struct eg_ring *r = &g->tx[queue];
    gpa at = r->base + 16 * r->tail;

    st64(eg_at(g, at), addr);
    st32(eg_at(g, at + 8), lower);
    st32(eg_at(g, at + 12), upper);
    r->tail = (r->tail + 1) % r->entries;
    return at;
}

void eg_tx_context(struct eg *g, unsigned queue, uint32_t ip, uint32_t tu, uint32_t cmd, uint32_t seg)
{
    eg_tx_desc(g, queue, ip | (uint64_t)tu << 32, cmd | T_DEXT, seg);
}

void eg_tx_go(struct eg *g, unsigned queue)
{
    eg_wr(g, g->tx[queue].reg + (TDT - TDBAL), g->tx[queue].tail);
    world_run(&g->w);
}

size_t eg_frame(struct eg *g, const struct pkt *p, gpa *at)
{
    static uint8_t buf[NET_FRAME_MAX];
    size_t n = far_build(&g->guest, p, buf);

    *at = eg_alloc(g, n, 16);
    CHECK(dma_write(g->bus, *at, buf, n));
    return n;
}

bool eg_done(struct eg *g, gpa desc) { return *eg_at(g, desc + 12) & 1; }

void eg_send(struct eg *g, unsigned queue, const struct pkt *p, uint32_t lower, uint32_t upper)
{
    gpa at, desc;
    size_t n = eg_frame(g, p, &at);

    desc = eg_tx_desc(g, queue, at, (uint32_t)n | T_EOP | T_IFCS | T_RS | lower, upper);
    eg_tx_go(g, queue);
    CHECK(eg_done(g, desc));
    CHECK_EQ(eg_rd(g, g->tx[queue].reg + (TDH - TDBAL)), g->tx[queue].tail);
}

/* --- receive --- */

gpa eg_rx_buffer(unsigned queue, unsigned i)
{
    return EG_RAM + EG_RAM_SIZE - (gpa)(1 + (queue * 32 + i) % EG_BUFFERS) * EG_BUFFER;
}

uint8_t *eg_rx_desc(struct eg *g, unsigned queue, unsigned i) { return eg_at(g, g->rx[queue].base + 16 * i); }

static void show(struct eg *g, struct eg_ring *r)
{
    eg_wr(g, r->reg + (RDT - RDBAL), r->tail);
    world_run(&g->w);
}

void eg_rx_give(struct eg *g, unsigned queue, unsigned n)
{
    struct eg_ring *r = &g->rx[queue];

    for (; n; n--) {
        uint8_t *d = eg_rx_desc(g, queue, r->tail);

        st64(d, eg_rx_buffer(queue, r->tail));
        st64(d + 8, 0);
        r->tail = (r->tail + 1) % r->entries;
    }
    show(g, r);
}

void eg_rx_give_split(struct eg *g, unsigned queue, unsigned n)
{
    struct eg_ring *r = &g->rx[queue];

    for (; n; n--) {
        for (unsigned b = 0; b < 4; b++)
            st64(eg_rx_desc(g, queue, r->tail) + 8 * b, eg_rx_buffer(queue, 2 * r->tail + b));
        r->tail = (r->tail + 2) % r->entries;
    }
    show(g, r);
}
