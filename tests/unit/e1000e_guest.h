/*
 * A small guest for 82574L tests: RAM, a PCIe host bridge with the controller at slot 1, the packet driver at the far
 * end of its cable, and a driver that keeps rings in that RAM. Written from the datasheet; it shares no code with
 * devices/.
 */
#ifndef TESTS_UNIT_E1000E_GUEST_H
#define TESTS_UNIT_E1000E_GUEST_H

#include "devices/e1000e.h"
#include "devices/pci_host.h"
#include "tests/unit/net_driver.h"

enum { EG_RAM_SIZE = 4 << 20, EG_BUFFERS = 64, EG_BUFFER = 0x4000 };
#define EG_RAM UINT64_C(0x80000000)
#define EG_FN (UINT64_C(0x30000000) + (1 << 15)) /* its configuration space */
#define EG_BAR UINT64_C(0x40000000)              /* registers */
#define EG_MSIX UINT64_C(0x40040000)
#define EG_PIO UINT64_C(0x3000000)
#define EG_MAC "52:54:00:ab:cd:ef"

enum { /* registers */
       CTRL = 0x0000,
       STATUS = 0x0008,
       EERD = 0x0014,
       CTRL_EXT = 0x0018,
       MDIC = 0x0020,
       ICR = 0x00c0,
       ITR = 0x00c4,
       ICS = 0x00c8,
       IMS = 0x00d0,
       IMC = 0x00d8,
       EIAC = 0x00dc,
       IAM = 0x00e0,
       IVAR = 0x00e4,
       EITR = 0x00e8,
       RCTL = 0x0100,
       TCTL = 0x0400,
       EEWR = 0x102c,
       PSRCTL = 0x2170,
       RDBAL = 0x2800,
       RDBAH = 0x2804,
       RDLEN = 0x2808,
       RDH = 0x2810,
       RDT = 0x2818,
       RDTR = 0x2820,
       RADV = 0x282c,
       TDBAL = 0x3800,
       TDBAH = 0x3804,
       TDLEN = 0x3808,
       TDH = 0x3810,
       TDT = 0x3818,
       TIDV = 0x3820,
       TADV = 0x382c,
       RXCSUM = 0x5000,
       RFCTL = 0x5008,
       MTA = 0x5200,
       RAL = 0x5400,
       RAH = 0x5404,
       VFTA = 0x5600,
       MRQC = 0x5818,
       RETA = 0x5c00,
       RSSRK = 0x5c80,
       QUEUE = 0x100, /* from a ring register to that of queue 1 */
};

struct eg_ring {
    gpa base;
    uint32_t entries, tail; /* of 16 bytes; split descriptors take two */
    unsigned reg;           /* TDBAL or RDBAL of its queue */
};

struct eg {
    struct world w;
    struct bus *bus;
    struct device_env env;
    struct device *host;
    struct pci_device *fn;
    struct far far;   /* 52:55:0a:00:02:02, 10.0.2.2, fec0::2: who the guest talks to */
    struct far guest; /* never plugged: for frames as the guest would send them */
    bool irq;
    unsigned irq_ups, msis;
    uint32_t msi_data;
    struct eg_ring tx[2], rx[2];
    gpa next; /* free RAM */
};

void eg_begin(struct eg *g); /* reset, BARs, bus mastering; nothing is on */
void eg_end(struct eg *g);

uint32_t eg_rd(struct eg *g, unsigned reg);
void eg_wr(struct eg *g, unsigned reg, uint32_t val);
void eg_set(struct eg *g, unsigned reg, uint32_t bits);   /* or */
void eg_clear(struct eg *g, unsigned reg, uint32_t bits); /* and not */
void eg_cfg_wr(struct eg *g, unsigned off, unsigned size, uint32_t val);
uint32_t eg_cfg_rd(struct eg *g, unsigned off, unsigned size);
unsigned eg_cap(struct eg *g, unsigned id); /* fails the test when there is none */
uint16_t eg_phy_rd(struct eg *g, unsigned reg);
void eg_phy_wr(struct eg *g, unsigned reg, uint16_t val);
uint16_t eg_eeprom(struct eg *g, unsigned word);
gpa eg_alloc(struct eg *g, uint64_t len, uint64_t align);
uint8_t *eg_at(struct eg *g, gpa at);
void eg_msix(struct eg *g); /* on; message data of vector n is 100 + n */

/* Rings of so many 16-byte entries, and the transmitter or receiver on. bits: of TCTL or RCTL. */
void eg_tx_on(struct eg *g, unsigned queue, unsigned entries, uint32_t bits);
void eg_rx_on(struct eg *g, unsigned queue, unsigned entries, uint32_t bits);

/* --- transmit: descriptors are made, then shown by eg_tx_go --- */
enum { /* command bits of a descriptor, in its third word */
       T_EOP = 1 << 24,
       T_IFCS = 1 << 25,
       T_IC = 1 << 26,
       T_TSE = 1 << 26,
       T_RS = 1 << 27,
       T_DEXT = 1 << 29,
       T_VLE = 1 << 30,
       T_DATA = T_DEXT | 1 << 20,
       T_TUCMD_TCP = 1 << 24,
       T_TUCMD_IP = 1 << 25,
       T_POPTS_IXSM = 1 << 8, /* in its fourth word */
       T_POPTS_TXSM = 1 << 9,
};
#define T_IDE (UINT32_C(1) << 31)
gpa eg_tx_desc(struct eg *g, unsigned queue, uint64_t addr, uint32_t lower, uint32_t upper); /* where it is */
void eg_tx_context(struct eg *g, unsigned queue, uint32_t ip, uint32_t tu, uint32_t cmd, uint32_t seg);
void eg_tx_go(struct eg *g, unsigned queue);
/* The frame in a buffer of its own; its length. */
size_t eg_frame(struct eg *g, const struct pkt *p, gpa *at);
/* Send it by one descriptor and wait: done bit, head. lower: more command bits. */
void eg_send(struct eg *g, unsigned queue, const struct pkt *p, uint32_t lower, uint32_t upper);
bool eg_done(struct eg *g, gpa desc); /* a transmit descriptor's done bit */

/* --- receive --- */
/* Give the ring n buffers of EG_BUFFER bytes; the one of entry i is at eg_rx_buffer(queue, i). */
void eg_rx_give(struct eg *g, unsigned queue, unsigned n);
void eg_rx_give_split(struct eg *g, unsigned queue, unsigned n); /* four buffers each, EG_BUFFER apart */
gpa eg_rx_buffer(unsigned queue, unsigned i);
uint8_t *eg_rx_desc(struct eg *g, unsigned queue, unsigned i); /* i in 16-byte entries */

#endif
