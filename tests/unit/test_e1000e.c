/*
 * The 82574L through its configuration space and registers, as drivers use them; numbers from the datasheet and from
 * Linux's driver, whose register test (ethtool -t) is one of the tables here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/cable.h"
#include "tests/unit/e1000e_guest.h"

enum { /* interrupt causes */
       TXDW = 1 << 0,
       LSC = 1 << 2,
       RXT0 = 1 << 7,
       MDAC = 1 << 9,
       RXQ0 = 1 << 20,
       TXQ0 = 1 << 22,
       OTHER = 1 << 24,
};
#define ASSERTED (UINT32_C(1) << 31)

static struct eg g;

static int setup(void **state)
{
    (void)state;
    eg_begin(&g);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eg_end(&g);
    return 0;
}

static void it_is_an_82574l(void **state)
{
    static const struct {
        unsigned off;
        uint32_t size_mask;
    } bars[] = {{0x10, 0xfffe0000}, {0x14, 0xfffe0000}, {0x18, 0xffffffe1}, {0x1c, 0xffffc000}};
    unsigned cap;

    (void)state;
    CHECK_EQ(eg_cfg_rd(&g, 0, 4), 0x10d38086);
    CHECK_EQ(eg_cfg_rd(&g, 9, 1) | eg_cfg_rd(&g, 10, 2) << 8, 0x020000);
    CHECK_EQ(eg_cfg_rd(&g, 0x3d, 1), 1);
    for (unsigned i = 0; i < 4; i++) {
        eg_cfg_wr(&g, bars[i].off, 4, UINT32_MAX);
        CHECK_EQ(eg_cfg_rd(&g, bars[i].off, 4), bars[i].size_mask);
    }
    eg_cap(&g, 0x01);
    eg_cap(&g, 0x10);
    cap = eg_cap(&g, 0x11);
    CHECK_EQ(eg_cfg_rd(&g, cap + 2, 2), 4);     /* five vectors */
    CHECK_EQ(eg_cfg_rd(&g, cap + 4, 4) & 7, 3); /* in BAR 3 */
}

/* drivers/net/ethernet/intel/e1000e/ethtool.c, e1000_reg_test: what is written, and what of it is read again. */
static void registers_pass_the_drivers_test(void **state)
{
    static const struct {
        unsigned reg;
        uint32_t mask, write;
    } pattern[] = {
        {0x0028, UINT32_MAX, UINT32_MAX},
        {0x002c, 0xffff, UINT32_MAX},
        {0x0030, 0xffff, UINT32_MAX},
        {0x0038, 0xffff, UINT32_MAX},
        {RDTR, 0xffff, UINT32_MAX},
        {RDBAH, UINT32_MAX, UINT32_MAX},
        {RDLEN, 0xfff80, 0xfffff},
        {RDH, 0xffff, 0xffff},
        {RDT, 0xffff, 0xffff},
        {0x2168, 0xfff8, 0xfff8},
        {0x0170, 0xffff, 0xffff},
        {0x0410, 0x3fffffff, 0x3fffffff},
        {TDBAH, UINT32_MAX, UINT32_MAX},
        {TDLEN, 0xfff80, 0xfffff},
        {RDBAL, 0xfffffff0, UINT32_MAX},
        {0x0178, 0xc000ffff, 0xffff},
        {TDBAL, 0xfffffff0, UINT32_MAX},
        {TIDV, 0xffff, 0xffff},
        {RAH, 0x8003ffff, UINT32_MAX},
        {RAH + 14 * 8, 0x8003ffff, UINT32_MAX},
        {MTA, UINT32_MAX, UINT32_MAX},
        {MTA + 127 * 4, UINT32_MAX, UINT32_MAX},
    };
    static const uint32_t test[] = {0x5a5a5a5a, 0xa5a5a5a5, 0, UINT32_MAX};
    uint32_t before;

    (void)state;
    before = eg_rd(&g, STATUS) & 0x7ffff033;
    eg_wr(&g, STATUS, 0x7ffff033);
    CHECK_EQ(eg_rd(&g, STATUS) & 0x7ffff033, before);
    for (unsigned i = 0; i < ARRAY_LEN(pattern); i++)
        for (unsigned t = 0; t < ARRAY_LEN(test); t++) {
            eg_wr(&g, pattern[i].reg, test[t] & pattern[i].write);
            CHECK_EQ(eg_rd(&g, pattern[i].reg), test[t] & pattern[i].write & pattern[i].mask);
        }
    eg_wr(&g, RCTL, 0);
    CHECK_EQ(eg_rd(&g, RCTL), 0);
    eg_wr(&g, RCTL, 0x003ffffb & 0x06dfb3fe);
    CHECK_EQ(eg_rd(&g, RCTL) & 0x06dfb3fe, 0x003ffffb & 0x06dfb3fe);
    eg_wr(&g, TCTL, 0);
    CHECK_EQ(eg_rd(&g, TCTL), 0);
    eg_wr(&g, RCTL, 0x06dfb3fe);
    CHECK_EQ(eg_rd(&g, RCTL) & 0x06dfb3fe, 0x06dfb3fe);
}

static void registers_are_reached_in_other_ways(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xcd, 0xef};
    uint64_t v;

    (void)state;
    for (unsigned i = 0; i < 6; i++) { /* by bytes */
        CHECK(bus_read(g.bus, EG_BAR + RAL + i, 1, &v));
        CHECK_EQ(v, mac[i]);
    }
    CHECK(bus_read(g.bus, EG_BAR + RAL, 8, &v)); /* at once */
    CHECK_EQ(v, UINT64_C(0x8000efcdab005452));
    CHECK(bus_write(g.bus, EG_BAR + 0x28, 1, 0x55)); /* a byte cannot be written */
    CHECK_EQ(eg_rd(&g, 0x28), 0);
    CHECK(bus_write(g.bus, EG_PIO + 0x1000, 4, RAL)); /* by index and data */
    CHECK(bus_read(g.bus, EG_PIO + 0x1004, 4, &v));
    CHECK_EQ(v, 0xab005452);
    CHECK(bus_write(g.bus, EG_PIO + 0x1000, 4, MTA));
    CHECK(bus_write(g.bus, EG_PIO + 0x1004, 4, 0x1234));
    CHECK_EQ(eg_rd(&g, MTA), 0x1234);
    CHECK_EQ(eg_rd(&g, 0x0200), 0x1234); /* where older chips had it */
    CHECK_EQ(eg_rd(&g, 0x1fffc), 0);
    CHECK(bus_read(g.bus, EG_BAR + 0x20000, 4, &v)); /* flash: none */
    CHECK_EQ(v, 0xffffffff);
}

static void eeprom_has_the_address_and_a_right_checksum(void **state)
{
    uint16_t sum = 0;

    (void)state;
    CHECK_EQ(eg_eeprom(&g, 0), 0x5452);
    CHECK_EQ(eg_eeprom(&g, 1), 0xab00);
    CHECK_EQ(eg_eeprom(&g, 2), 0xefcd);
    for (unsigned i = 0; i < 64; i++)
        sum = (uint16_t)(sum + eg_eeprom(&g, i));
    CHECK_EQ(sum, 0xbaba);
    CHECK_EQ(eg_eeprom(&g, 0x3fff), 0xffff);     /* beyond its end */
    CHECK_EQ(eg_rd(&g, 0x10) & 0x18300, 0x8300); /* present, read, SPI */
}

static void eeprom_can_be_written_and_is_loaded_by_reset(void **state)
{
    (void)state;
    eg_wr(&g, EEWR, 0x1234u << 16 | 2 << 2 | 1);
    CHECK_EQ(eg_rd(&g, EEWR) & 2, 2);
    CHECK_EQ(eg_eeprom(&g, 2), 0x1234);
    CHECK_EQ(eg_rd(&g, RAH), 0x8000efcd);
    eg_set(&g, CTRL, 1 << 26);
    CHECK_EQ(eg_rd(&g, RAH), 0x80001234);
    device_reset(&g.fn->dev); /* it keeps what it holds */
    eg_cfg_wr(&g, 0x10, 4, (uint32_t)EG_BAR);
    eg_cfg_wr(&g, 4, 2, 7);
    CHECK_EQ(eg_eeprom(&g, 2), 0x1234);
}

/* Eight bits by the pins of EECD: request, chip select low, data in before the clock rises, data out after it fell. */
static uint8_t spi(uint8_t out)
{
    uint8_t in = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint32_t pins = 0x40 | (out >> (7 - i) & 1) << 2;

        in = (uint8_t)(in << 1 | (eg_rd(&g, 0x10) >> 3 & 1));
        eg_wr(&g, 0x10, pins);
        eg_wr(&g, 0x10, pins | 1);
        eg_wr(&g, 0x10, pins);
    }
    return in;
}

static void deselect(void) { eg_wr(&g, 0x10, 0x42); }

/* As drivers that know no EERD do it (U-Boot): AT25010 commands. */
static void eeprom_by_its_pins(void **state)
{
    (void)state;
    CHECK_EQ(eg_rd(&g, 0x10) & 0x80, 0);
    eg_wr(&g, 0x10, 0x42);
    CHECK_EQ(eg_rd(&g, 0x10) & 0x80, 0x80); /* granted */
    spi(5);
    CHECK_EQ(spi(0), 0); /* status: ready */
    deselect();
    spi(3);
    spi(2 * 1);
    CHECK_EQ(spi(0), 0x00); /* 52 54 | 00 ab | cd ef */
    CHECK_EQ(spi(0), 0xab);
    CHECK_EQ(spi(0), 0xcd);
    CHECK_EQ(spi(0), 0xef);
    deselect();
    spi(2);
    spi(2 * 8);
    spi(0x34); /* not enabled */
    deselect();
    CHECK_EQ(eg_eeprom(&g, 8), 0);
    spi(6);
    deselect();
    spi(5);
    CHECK_EQ(spi(0), 2);
    deselect();
    spi(2);
    spi(2 * 8);
    spi(0x34);
    spi(0x12);
    deselect();
    CHECK_EQ(eg_eeprom(&g, 8), 0x1234);
    spi(5);
    CHECK_EQ(spi(0), 0); /* for one write */
    deselect();
    spi(3);
    spi(127);
    CHECK_EQ(spi(0), eg_eeprom(&g, 63) >> 8);
    CHECK_EQ(spi(0), 0x52); /* and around */
    eg_wr(&g, 0x10, 2);
    CHECK_EQ(eg_rd(&g, 0x10) & 0xcf, 2);
}

static void phy_answers_at_address_1(void **state)
{
    (void)state;
    CHECK_EQ(eg_phy_rd(&g, 2), 0x0141);
    CHECK_EQ(eg_phy_rd(&g, 3), 0x0cb1);           /* what Linux wants of an 82574 */
    CHECK_EQ(eg_phy_rd(&g, 1), 0x796d);           /* link, negotiation done */
    CHECK_EQ(eg_phy_rd(&g, 17) & 0xec00, 0xac00); /* 1000 Mbit/s, full duplex */
    eg_phy_wr(&g, 2, 0xffff);
    CHECK_EQ(eg_phy_rd(&g, 2), 0x0141);
    eg_wr(&g, MDIC, 2u << 26 | 2u << 21 | 2u << 16);
    CHECK_EQ(eg_rd(&g, MDIC) >> 28, 5); /* ready, error */
    eg_wr(&g, IMS, MDAC);
    eg_wr(&g, MDIC, 1u << 29 | 2u << 26 | 1u << 21 | 2u << 16);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | MDAC);
}

static void phy_has_pages(void **state)
{
    (void)state;
    eg_phy_wr(&g, 22, 2);
    eg_phy_wr(&g, 21, 0x1046);
    CHECK_EQ(eg_phy_rd(&g, 21), 0x1046);
    CHECK_EQ(eg_phy_rd(&g, 2), 0x0141); /* the same on all */
    eg_phy_wr(&g, 22, 769);
    CHECK_EQ(eg_phy_rd(&g, 21), 0);
    eg_phy_wr(&g, 22, 0);
    CHECK_EQ(eg_phy_rd(&g, 21), 0);
}

static void link_follows_cable_and_phy(void **state)
{
    (void)state;
    CHECK_EQ(eg_rd(&g, STATUS) & 0xc3, 0x83); /* full duplex, up, 1000 Mbit/s */
    eg_rd(&g, ICR);
    eg_wr(&g, IMS, LSC);
    net_cable_set_link(g.far.cable, false);
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 0);
    CHECK_EQ(eg_phy_rd(&g, 1) & 0x24, 0);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | LSC);
    net_cable_set_link(g.far.cable, true);
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 2);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | LSC);
    eg_phy_wr(&g, 0, 0x1140 | 0x0800); /* power down */
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 0);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | LSC);
    eg_phy_wr(&g, 0, 0x1140 | 0x0200 | 0x8000); /* up, reset, negotiate */
    CHECK_EQ(eg_phy_rd(&g, 0), 0x1140);
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 2);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | LSC);
}

static void reset_of_the_mac(void **state)
{
    (void)state;
    eg_phy_wr(&g, 4, 0x0001);
    eg_wr(&g, IMS, UINT32_MAX);
    eg_wr(&g, ICS, RXT0);
    eg_wr(&g, MTA, 5);
    eg_wr(&g, RAL, 0);
    CHECK(g.irq);
    eg_set(&g, CTRL, 1 << 26);
    CHECK(!g.irq);
    CHECK_EQ(eg_rd(&g, CTRL) >> 26 & 1, 0);
    CHECK_EQ(eg_rd(&g, CTRL) & 0x40, 0x40);
    CHECK_EQ(eg_rd(&g, IMS), 0);
    CHECK_EQ(eg_rd(&g, ICR), 0);
    CHECK_EQ(eg_rd(&g, MTA), 0);
    CHECK_EQ(eg_rd(&g, RAL), 0xab005452);
    CHECK_EQ(eg_phy_rd(&g, 4), 0x0001); /* the PHY has its own */
    CHECK_EQ(eg_cfg_rd(&g, 4, 2) & 7, 7);
    eg_set(&g, CTRL, UINT32_C(1) << 31);
    CHECK_EQ(eg_phy_rd(&g, 4), 0x0de1);
    CHECK_EQ(eg_rd(&g, STATUS) >> 10 & 1, 1); /* the PHY was reset, until told */
    eg_wr(&g, STATUS, 0);
    CHECK_EQ(eg_rd(&g, STATUS) >> 10 & 1, 0);
}

static void semaphores_and_done_bits(void **state)
{
    (void)state;
    CHECK_EQ(eg_rd(&g, 0x5b50) & 1, 0); /* SWSM.SMBI: a read takes it */
    CHECK_EQ(eg_rd(&g, 0x5b50) & 1, 1);
    eg_wr(&g, 0x5b50, 2);
    CHECK_EQ(eg_rd(&g, 0x5b50) & 3, 2);
    eg_set(&g, 0x0f00, 0x20); /* EXTCNF_CTRL: MDIO ownership */
    CHECK_EQ(eg_rd(&g, 0x0f00) & 0x20, 0x20);
    CHECK_EQ(eg_rd(&g, 0x1010) >> 18 & 1, 1); /* EEMNGCTL: configuration done */
    CHECK_EQ(eg_rd(&g, 0x5b54), 0);           /* FWSM: no firmware */
    CHECK_EQ(eg_rd(&g, STATUS) >> 19 & 1, 1);
    eg_set(&g, CTRL, 4); /* no new requests as a master */
    CHECK_EQ(eg_rd(&g, STATUS) >> 19 & 1, 0);
}

static void time_stamps_count(void **state)
{
    uint64_t t;

    (void)state;
    eg_wr(&g, 0xb608, 1u << 24 | (40u << 18 & 0xffffff)); /* TIMINCA as Linux sets it for 25 MHz */
    eg_wr(&g, 0xb600, 0);
    eg_wr(&g, 0xb604, 0);
    world_advance(&g.w, NS_PER_SEC);
    t = eg_rd(&g, 0xb600);
    t |= (uint64_t)eg_rd(&g, 0xb604) << 32;
    CHECK_EQ(t, NS_PER_SEC << 18);
}

static void link_needs_the_macs_leave(void **state)
{
    (void)state;
    eg_wr(&g, IMS, LSC);
    eg_clear(&g, CTRL, 0x40); /* SLU */
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 0);
    CHECK_EQ(eg_phy_rd(&g, 5), 0xcde1); /* the PHY has it, and what its partner can do */
    CHECK_EQ(eg_phy_rd(&g, 10), 0x7c00);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | LSC);
    eg_set(&g, CTRL, 0x40);
    CHECK_EQ(eg_rd(&g, STATUS) & 2, 2);
}

static void the_eeprom_can_be_loaded_again(void **state)
{
    (void)state;
    eg_wr(&g, RAL, 0);
    eg_set(&g, CTRL_EXT, 1 << 13);
    CHECK_EQ(eg_rd(&g, RAL), 0xab005452);
    CHECK_EQ(eg_rd(&g, CTRL_EXT) >> 13 & 1, 0);
}

static void places_without_a_register(void **state)
{
    uint64_t v;

    (void)state;
    for (unsigned off = 0; off < 0x20000; off += 4) { /* all can be read and written, and the device goes on */
        eg_rd(&g, off);
        eg_wr(&g, off, 0x20);
    }
    eg_set(&g, CTRL, 1 << 26);
    CHECK_EQ(eg_rd(&g, 0x5004), 0);
    CHECK(bus_read(g.bus, EG_MSIX + 0x1000, 4, &v) && !v);
    CHECK(bus_write(g.bus, EG_MSIX + 0x1000, 4, 1));
    CHECK(bus_read(g.bus, EG_PIO + 0x1008, 4, &v));
    CHECK_EQ(v, 0xffffffff);
    CHECK_EQ(eg_rd(&g, RAL), 0xab005452);
}

static void count_line(void *arg, const char *text)
{
    if (strstr(text, "ring") || strstr(text, "link"))
        ++*(unsigned *)arg;
}

static void it_describes_itself(void **state)
{
    unsigned lines = 0;

    (void)state;
    eg_tx_on(&g, 0, 64, 8);
    device_info(&g.fn->dev, count_line, &lines);
    CHECK_EQ(lines, 2);
}

/* --- interrupts --- */

static void causes_and_masks(void **state)
{
    (void)state;
    eg_wr(&g, ICS, RXT0);
    CHECK(!g.irq);
    eg_wr(&g, IMS, RXT0 | LSC);
    CHECK(g.irq);
    CHECK_EQ(eg_cfg_rd(&g, 6, 2) & 8, 8); /* the function's interrupt status */
    eg_wr(&g, IMC, RXT0);
    CHECK(!g.irq);
    CHECK_EQ(eg_rd(&g, IMS), LSC);
    CHECK_EQ(eg_rd(&g, ICR), RXT0); /* not ours: something is unmasked, but nothing of it is set */
    CHECK_EQ(eg_rd(&g, ICR), RXT0);
    eg_wr(&g, IMS, RXT0);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | RXT0);
    CHECK(!g.irq);
    CHECK_EQ(eg_rd(&g, ICR), 0);
    eg_wr(&g, IMC, UINT32_MAX);
    eg_wr(&g, ICS, LSC);
    CHECK_EQ(eg_rd(&g, ICR), LSC); /* all masked: polling clears */
    CHECK_EQ(eg_rd(&g, ICR), 0);
    eg_wr(&g, IMS, TXDW | LSC);
    eg_wr(&g, ICS, TXDW | LSC);
    eg_wr(&g, ICR, LSC); /* ones clear */
    CHECK(g.irq);
    eg_wr(&g, ICR, TXDW);
    CHECK(!g.irq);
}

static void reading_the_cause_masks_by_itself(void **state)
{
    (void)state;
    eg_set(&g, CTRL_EXT, 1 << 27);
    eg_wr(&g, IAM, RXT0);
    eg_wr(&g, IMS, RXT0 | LSC);
    eg_rd(&g, ICR); /* nothing was asserted */
    CHECK_EQ(eg_rd(&g, IMS), RXT0 | LSC);
    eg_wr(&g, ICS, RXT0);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | RXT0);
    CHECK_EQ(eg_rd(&g, IMS), LSC);
}

static void command_register_turns_the_line_off(void **state)
{
    (void)state;
    eg_wr(&g, IMS, LSC);
    eg_wr(&g, ICS, LSC);
    CHECK(g.irq);
    eg_cfg_wr(&g, 4, 2, 0x407);
    CHECK(!g.irq);
    eg_cfg_wr(&g, 4, 2, 7);
    CHECK(g.irq);
}

static void itr_spaces_interrupts(void **state)
{
    (void)state;
    eg_wr(&g, ITR, 200); /* of 256 ns: 51.2 us */
    eg_wr(&g, IMS, RXT0);
    eg_wr(&g, ICS, RXT0);
    CHECK(g.irq); /* the first one at once */
    eg_rd(&g, ICR);
    eg_wr(&g, ICS, RXT0);
    CHECK(!g.irq);
    world_advance(&g.w, 200 * 256 - 1);
    CHECK(!g.irq);
    world_advance(&g.w, 1);
    CHECK(g.irq);
    CHECK_EQ(g.irq_ups, 2);
    eg_rd(&g, ICR);
    CHECK_EQ(eg_rd(&g, 0x4100), 2); /* IAC */
    world_advance(&g.w, NS_PER_SEC);
    eg_wr(&g, ICS, RXT0);
    CHECK(g.irq);
    eg_wr(&g, IMC, RXT0);
    eg_wr(&g, ICS, RXT0);
    world_advance(&g.w, NS_PER_SEC);
    CHECK(!g.irq); /* nor by the timer */
}

static void msix_vectors_of_causes(void **state)
{
    (void)state;
    eg_msix(&g);
    eg_wr(&g, IVAR, 8 | 9 << 8 | 10 << 16); /* RxQ0: 0, TxQ0: 1, other: 2 */
    eg_wr(&g, EIAC, RXQ0 | TXQ0);
    eg_wr(&g, IMS, RXQ0 | TXQ0 | OTHER | LSC);
    eg_wr(&g, ICS, RXQ0);
    CHECK_EQ(g.msis, 1);
    CHECK_EQ(g.msi_data, 100);
    CHECK_EQ(eg_rd(&g, IMS), RXQ0 | TXQ0 | OTHER | LSC);
    eg_wr(&g, ICS, RXQ0); /* the first cleared itself */
    CHECK_EQ(g.msis, 2);
    eg_wr(&g, ICS, TXQ0);
    CHECK_EQ(g.msi_data, 101);
    net_cable_set_link(g.far.cable, false);
    CHECK_EQ(g.msis, 4);
    CHECK_EQ(g.msi_data, 102);
    net_cable_set_link(g.far.cable, true); /* was told, and nobody has looked */
    CHECK_EQ(g.msis, 4);
    CHECK_EQ(eg_rd(&g, ICR), ASSERTED | OTHER | LSC);
    net_cable_set_link(g.far.cable, false);
    CHECK_EQ(g.msis, 5);
    CHECK(!g.irq);
}

static void msix_masks_what_it_tells(void **state)
{
    (void)state;
    eg_msix(&g);
    eg_set(&g, CTRL_EXT, 1 << 24);
    eg_wr(&g, IVAR, 8);
    eg_wr(&g, EIAC, RXQ0);
    eg_wr(&g, IAM, UINT32_MAX);
    eg_wr(&g, IMS, RXQ0 | TXQ0);
    eg_wr(&g, ICS, RXQ0);
    CHECK_EQ(g.msis, 1);
    CHECK_EQ(eg_rd(&g, IMS), TXQ0);
    eg_wr(&g, ICS, RXQ0);
    CHECK_EQ(g.msis, 1);
    eg_wr(&g, IMS, RXQ0);
    CHECK_EQ(g.msis, 2);
    eg_wr(&g, ICS, TXQ0); /* no vector */
    CHECK_EQ(g.msis, 2);
}

static void eitr_spaces_the_messages_of_one_vector(void **state)
{
    (void)state;
    eg_msix(&g);
    eg_wr(&g, IVAR, 8 | 9 << 8);
    eg_wr(&g, EIAC, RXQ0 | TXQ0);
    eg_wr(&g, EITR, 100);
    eg_wr(&g, IMS, RXQ0 | TXQ0);
    eg_wr(&g, ICS, RXQ0);
    eg_wr(&g, ICS, RXQ0);
    CHECK_EQ(g.msis, 1);
    eg_wr(&g, ICS, TXQ0);
    CHECK_EQ(g.msis, 2);
    world_advance(&g.w, 100 * 256 - 1);
    CHECK_EQ(g.msis, 2);
    world_advance(&g.w, 1);
    CHECK_EQ(g.msis, 3);
    CHECK_EQ(g.msi_data, 100);
}

static void power_down_stops_transfers(void **state)
{
    unsigned pm = eg_cap(&g, 1);

    (void)state;
    eg_rx_on(&g, 0, 16, 1 << 15 | 1 << 26);
    eg_rx_give(&g, 0, 8);
    eg_cfg_wr(&g, pm + 4, 2, 3); /* D3 */
    CHECK(far_send(&g.far, PKT(UDP, .dst = "10.0.2.15", .dport = 1, TEXT("lost"))));
    CHECK_EQ(eg_rd(&g, RDH), 0);
    eg_cfg_wr(&g, pm + 4, 2, 0);
    CHECK(far_send(&g.far, PKT(UDP, .dst = "10.0.2.15", .dport = 1, TEXT("there"))));
    CHECK_EQ(eg_rd(&g, RDH), 1);
    eg_cfg_wr(&g, 4, 2, 3); /* no bus master */
    CHECK(far_send(&g.far, PKT(UDP, .dst = "10.0.2.15", .dport = 1, TEXT("lost"))));
    CHECK_EQ(eg_rd(&g, RDH), 1);
}

static void a_saved_device_comes_back_equal(void **state)
{
    size_t n = device_state_size(&g.fn->dev);
    uint8_t *a = malloc(n), *b = malloc(n);
    struct err e;

    (void)state;
    eg_tx_on(&g, 0, 64, 8);
    eg_rx_on(&g, 0, 64, 1 << 15);
    eg_rx_give(&g, 0, 10);
    eg_wr(&g, RDTR, 100);
    eg_wr(&g, ITR, 50);
    eg_wr(&g, IMS, LSC | TXDW);
    eg_send(&g, 0, PKT(UDP, .dst = "10.0.2.2", .dport = 9, TEXT("x")), 0, 0);
    CHECK(far_send(&g.far, PKT(UDP, .dst = "10.0.2.15", .dport = 1, TEXT("y"))));
    CHECK(g.irq);
    device_save(&g.fn->dev, a);
    device_reset(&g.fn->dev);
    CHECK(!g.irq);
    CHECK(device_restore(&g.fn->dev, a, n, &e));
    device_save(&g.fn->dev, b);
    assert_memory_equal(a, b, n);
    CHECK(g.irq);
    eg_send(&g, 0, PKT(UDP, .dst = "10.0.2.2", .dport = 9, TEXT("z")), 0, 0);
    far_expect(&g.far, PKT(UDP, TEXT("x")));
    far_expect(&g.far, PKT(UDP, TEXT("z")));
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_an_82574l, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_pass_the_drivers_test, setup, teardown),
        cmocka_unit_test_setup_teardown(registers_are_reached_in_other_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(eeprom_has_the_address_and_a_right_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(eeprom_can_be_written_and_is_loaded_by_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(eeprom_by_its_pins, setup, teardown),
        cmocka_unit_test_setup_teardown(phy_answers_at_address_1, setup, teardown),
        cmocka_unit_test_setup_teardown(phy_has_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(link_follows_cable_and_phy, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_of_the_mac, setup, teardown),
        cmocka_unit_test_setup_teardown(semaphores_and_done_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(time_stamps_count, setup, teardown),
        cmocka_unit_test_setup_teardown(link_needs_the_macs_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(the_eeprom_can_be_loaded_again, setup, teardown),
        cmocka_unit_test_setup_teardown(places_without_a_register, setup, teardown),
        cmocka_unit_test_setup_teardown(it_describes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(causes_and_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_the_cause_masks_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(command_register_turns_the_line_off, setup, teardown),
        cmocka_unit_test_setup_teardown(itr_spaces_interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(msix_vectors_of_causes, setup, teardown),
        cmocka_unit_test_setup_teardown(msix_masks_what_it_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(eitr_spaces_the_messages_of_one_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(power_down_stops_transfers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_saved_device_comes_back_equal, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
