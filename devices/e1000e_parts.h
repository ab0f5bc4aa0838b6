/*
 * The inside of the 82574L, shared by e1000e.c (PCI function, reset, life), e1000e_regs.c (register table), e1000e_phy.c
 * (PHY, link), e1000e_eeprom.c, e1000e_irq.c (causes, masks, throttling), e1000e_stats.c (counters), e1000e_tx.c
 * (transmit rings), e1000e_tx_frame.c (what leaves), e1000e_rx.c (receive rings) and e1000e_match.c (filters, RSS,
 * checksums).
 *
 * All functions run with the device's lock held unless they say otherwise. Registers live in reg[], by offset / 4.
 */
#ifndef DEVICES_E1000E_PARTS_H
#define DEVICES_E1000E_PARTS_H

#include "base/bits.h"
#include "devices/e1000e.h"
#include "netstack/packet.h"

enum { /* registers, offsets */
       R_CTRL = 0x0000,
       R_STATUS = 0x0008,
       R_EECD = 0x0010,
       R_EERD = 0x0014,
       R_CTRL_EXT = 0x0018,
       R_MDIC = 0x0020,
       R_VET = 0x0038,
       R_ICR = 0x00c0,
       R_ITR = 0x00c4,
       R_ICS = 0x00c8,
       R_IMS = 0x00d0,
       R_IMC = 0x00d8,
       R_EIAC = 0x00dc,
       R_IAM = 0x00e0,
       R_IVAR = 0x00e4,
       R_EITR = 0x00e8,
       R_RCTL = 0x0100,
       R_TCTL = 0x0400,
       R_EEWR = 0x102c,
       R_PSRCTL = 0x2170,
       R_RDBAL = 0x2800, /* of queue 0; queue 1: + QUEUE_STRIDE */
       RING_BAH = 0x04,  /* from there on, in transmit rings too */
       RING_LEN = 0x08,
       RING_HEAD = 0x10,
       RING_TAIL = 0x18,
       QUEUE_STRIDE = 0x100,
       R_RDTR = 0x2820,
       R_RADV = 0x282c,
       R_RSRPD = 0x2c00,
       R_TDBAL = 0x3800,
       R_TIDV = 0x3820,
       R_TADV = 0x382c,
       R_TARC = 0x3840,
       R_STATS = 0x4000,
       R_RXCSUM = 0x5000,
       R_RFCTL = 0x5008,
       R_MTA = 0x5200,
       R_RA = 0x5400,
       R_VFTA = 0x5600,
       R_MRQC = 0x5818,
       R_SWSM = 0x5b50,
       R_RETA = 0x5c00,
       R_RSSRK = 0x5c80,
       R_SYSTIML = 0xb600,
       R_SYSTIMH = 0xb604,
       R_TIMINCA = 0xb608,
       REGS_END = 0xc000, /* nothing beyond, up to the end of the window */
       REGS = REGS_END / 4,
};

enum { /* statistics that count here; the others stay 0 */
       S_MPC = 0x4010,
       S_PRC64 = 0x405c, /* and five more: 65 to 127 bytes, ... */
       S_GPRC = 0x4074,
       S_BPRC = 0x4078,
       S_MPRC = 0x407c,
       S_GPTC = 0x4080,
       S_GORC = 0x4088, /* 64 bits */
       S_GOTC = 0x4090, /* 64 bits */
       S_RNBC = 0x40a0,
       S_ROC = 0x40ac,
       S_TOR = 0x40c0, /* 64 bits */
       S_TOT = 0x40c8, /* 64 bits */
       S_TPR = 0x40d0,
       S_TPT = 0x40d4,
       S_PTC64 = 0x40d8,
       S_MPTC = 0x40f0,
       S_BPTC = 0x40f4,
       S_TSCTC = 0x40f8,
       S_TSCTFC = 0x40fc,
       S_IAC = 0x4100,
       S_ICRXPTC = 0x4104,
       S_ICRXATC = 0x4108,
       S_ICTXPTC = 0x410c,
       S_ICTXATC = 0x4110,
       S_ICTXQEC = 0x4118,
       S_ICRXDMTC = 0x4120,
       STATS_WORDS = 0x128 / 4,
};

enum { /* CTRL */
       CTRL_MASTER_OFF = 1 << 2,
       CTRL_SLU = 1 << 6,
       CTRL_RST = 1 << 26,
       CTRL_VME = 1 << 30,
};
#define CTRL_PHY_RST (UINT32_C(1) << 31)
enum { /* CTRL_EXT */
       CTRL_EXT_EE_RST = 1 << 13,
       CTRL_EXT_EIAME = 1 << 24,
       CTRL_EXT_IAME = 1 << 27,
};
enum { /* ICR and its like */
       ICR_TXDW = 1 << 0,
       ICR_TXQE = 1 << 1,
       ICR_LSC = 1 << 2,
       ICR_RXDMT0 = 1 << 4,
       ICR_RXO = 1 << 6,
       ICR_RXT0 = 1 << 7,
       ICR_MDAC = 1 << 9,
       ICR_SRPD = 1 << 16,
       ICR_ACK = 1 << 17,
       ICR_MNG = 1 << 18,
       ICR_RXQ0 = 1 << 20,
       ICR_RXQ1 = 1 << 21,
       ICR_TXQ0 = 1 << 22,
       ICR_TXQ1 = 1 << 23,
       ICR_OTHER = 1 << 24,
       ICR_CAUSES = 0x01ffffff, /* what can be stored */
};
enum { /* RCTL */
       RCTL_EN = 1 << 1,
       RCTL_UPE = 1 << 3,
       RCTL_MPE = 1 << 4,
       RCTL_LPE = 1 << 5,
       RCTL_LOOPBACK = 1 << 6, /* of the MAC */
       RCTL_SPLIT = 1 << 10,   /* packet split descriptors */
       RCTL_BAM = 1 << 15,
       RCTL_VFE = 1 << 18,
       RCTL_PMCF = 1 << 23,
       RCTL_BSEX = 1 << 25,
       RCTL_SECRC = 1 << 26,
};
enum { TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3, TARC_ENABLE = 1 << 10 };
enum { RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9, RXCSUM_IPPCSE = 1 << 12, RXCSUM_PCSD = 1 << 13 };
enum { /* RFCTL */
       RFCTL_IPV6_DIS = 1 << 10,
       RFCTL_IPV6_XSUM_DIS = 1 << 11,
       RFCTL_ACK_DIS = 1 << 12,
       RFCTL_ACKD_DIS = 1 << 13,
       RFCTL_IPFRSP_DIS = 1 << 14,
       RFCTL_EXTEN = 1 << 15,
};

enum {
    QUEUES = 2,
    VECTORS = 5,
    EEPROM_WORDS = 64,
    PHY_PAGES = 8,
    PHY_REGS = 32,
    RA_ENTRIES = 16,
    FCS = 4,
    MIN_FRAME = 60
};

/* Delays of interrupts of whole directions (RDTR, RADV, TIDV, TADV): when they end, clock ns, 0: not running. */
enum e1000e_delay { DELAY_RX, DELAY_RX_MAX, DELAY_TX, DELAY_TX_MAX, DELAYS };

/* The offload context that a context descriptor sets for the frames after it. No padding: a snapshot holds it. */
struct e1000e_context {
    uint32_t ip;  /* IPCSE 31:16, IPCSO 15:8, IPCSS 7:0 */
    uint32_t tu;  /* TUCSE, TUCSO, TUCSS */
    uint32_t cmd; /* TUCMD 31:24, PAYLEN 19:0 */
    uint32_t seg; /* MSS 31:16, HDRLEN 15:8 */
};

/* The EEPROM's pins: a command under way. */
struct e1000e_spi {
    uint8_t phase, command, address, bits, in, out;
    uint8_t pin;      /* DO */
    uint8_t writable; /* the write enable latch */
};

/* Received frames for which there were no descriptors yet, one behind the other: u16 length, u8 flags, bytes. */
struct e1000e_fifo {
    unsigned from, to;       /* of bytes[] */
    uint8_t bytes[20 << 10]; /* the packet buffer's part for this direction */
};

struct e1000e {
    struct pci_device pci; /* first */
    struct nic nic;
    uint8_t mac[ETH_ALEN];
    /* state */
    uint32_t reg[REGS];
    uint16_t phy[PHY_PAGES * PHY_REGS];
    uint16_t eeprom[EEPROM_WORDS];
    struct e1000e_spi spi;
    uint32_t io_addr; /* IOADDR, of the I/O BAR */
    struct e1000e_context context[QUEUES];
    bool skip[QUEUES];               /* a transmit frame is being thrown away: to its last descriptor */
    uint32_t delayed_rx, delayed_tx; /* causes that wait for delay[] */
    uint64_t delay[DELAYS];
    uint64_t quiet[1 + VECTORS]; /* no interrupt before this time: ITR, EITR */
    uint32_t told;               /* causes whose MSI-X message was sent and that are pending still */
    uint64_t systim, systim_at;  /* the time stamp counter: its value, at this time of the clock */
    uint32_t systim_high;        /* latched by a read of the lower half */
    /* not state */
    struct timer timer; /* the first of delay[] and quiet[] that matters */
    uint64_t armed;     /* for when, CLOCK_NEVER: not */
    bool link;          /* the cable's, as the loop told it */
    struct e1000e_fifo fifo;
    bool starved;   /* a frame was refused: that was full */
    unsigned epoch; /* counts resets and stops: what was being sent before is not completed */
};

static inline uint32_t *e1000e_reg(struct e1000e *e, unsigned off) { return &e->reg[off / 4]; }
static inline uint32_t reg_get(const struct e1000e *e, unsigned off) { return e->reg[off / 4]; }

/* A descriptor ring as its registers describe it, in units of 16 bytes. */
struct e1000e_ring {
    gpa base;
    uint32_t size, head, tail;
    unsigned regs; /* offset of the first register */
};
/* false: there is none, or its registers make no sense. */
static inline bool ring_load(const struct e1000e *e, unsigned regs, struct e1000e_ring *r)
{
    r->base = reg_get(e, regs) | (gpa)reg_get(e, regs + RING_BAH) << 32;
    r->size = reg_get(e, regs + RING_LEN) / 16;
    r->head = reg_get(e, regs + RING_HEAD);
    r->tail = reg_get(e, regs + RING_TAIL);
    r->regs = regs;
    return r->head < r->size && r->tail < r->size;
}
static inline uint32_t ring_filled(const struct e1000e_ring *r)
{
    return r->tail >= r->head ? r->tail - r->head : r->tail + r->size - r->head;
}
static inline void ring_advance(struct e1000e *e, struct e1000e_ring *r, uint32_t n)
{
    r->head = (r->head + n) % r->size;
    *e1000e_reg(e, r->regs + RING_HEAD) = r->head;
}

/* e1000e.c */
bool e1000e_dma(const struct e1000e *e);  /* the guest lets the device reach memory */
void e1000e_tx_changed(struct e1000e *e); /* the transmitter, or what it needs, may have been turned on or off */
void e1000e_mac_reset(struct e1000e *e);  /* CTRL.RST: all but the PHY, the EEPROM and the PCI side */

/* e1000e_regs.c: aligned, 32 bits */
uint32_t e1000e_reg_read(struct e1000e *e, unsigned off);
void e1000e_reg_write(struct e1000e *e, unsigned off, uint32_t val);
void e1000e_regs_reset(struct e1000e *e);
void e1000e_regs_restored(struct e1000e *e); /* no bits that a guest could not have set */

/* e1000e_eeprom.c */
void e1000e_eeprom_init(struct e1000e *e);
void e1000e_address_load(struct e1000e *e); /* the first receive address, from the EEPROM */
void e1000e_eerd(struct e1000e *e, unsigned off, uint32_t val);
void e1000e_eewr(struct e1000e *e, unsigned off, uint32_t val);
void e1000e_eecd_write(struct e1000e *e, unsigned off, uint32_t val);
uint32_t e1000e_eecd_read(struct e1000e *e, unsigned off);

/* e1000e_phy.c */
void e1000e_phy_reset(struct e1000e *e);
void e1000e_mdic(struct e1000e *e, unsigned off, uint32_t val);
bool e1000e_link_up(const struct e1000e *e); /* as the guest sees it */
bool e1000e_loopback(const struct e1000e *e);
uint32_t e1000e_status(struct e1000e *e, unsigned off);

/* e1000e_irq.c */
void e1000e_cause(struct e1000e *e, uint32_t causes);
void e1000e_cause_rx(struct e1000e *e, uint32_t causes);            /* subject to RDTR and RADV */
void e1000e_cause_tx(struct e1000e *e, uint32_t causes, bool late); /* late: subject to TIDV and TADV */
void e1000e_delay_flush(struct e1000e *e, bool rx);
void e1000e_irq_update(struct e1000e *e); /* lines, messages and the timer, from the registers */
void e1000e_irq_reset(struct e1000e *e);
void e1000e_irq_restored(struct e1000e *e);
void e1000e_timer_expired(void *arg); /* no lock held */
uint32_t e1000e_icr_read(struct e1000e *e, unsigned off);
void e1000e_icr_write(struct e1000e *e, unsigned off, uint32_t val);

/* e1000e_stats.c. Lengths without the FCS. */
void e1000e_count(struct e1000e *e, unsigned off);
uint32_t e1000e_stat_read(struct e1000e *e, unsigned off);
void e1000e_count_rx(struct e1000e *e, const uint8_t *dst, size_t len);
void e1000e_count_rx_filtered(struct e1000e *e, size_t len);
/* A frame that leaves, in segments of at most size bytes of payload behind hdr bytes of headers; size 0: one. */
void e1000e_count_tx(struct e1000e *e, const uint8_t *dst, size_t len, size_t hdr, size_t size);

/* e1000e_tx.c */
void e1000e_transmit(struct nic *n); /* loop's thread, no lock held */
void e1000e_context_set(struct e1000e_context *c, const uint8_t *desc);

/* e1000e_tx_frame.c */
enum { TX_PIECES = 512, TX_HEAD = 264 };
struct e1000e_tx {
    struct net_frame f;
    struct iovec iov[TX_PIECES + 3]; /* headers, what the descriptors point to, padding */
    unsigned pieces;
    size_t len;
    uint8_t head[TX_HEAD + 4];
    uint32_t first[2], last[2]; /* words 2 and 3 of the first and the last descriptor */
    size_t header, segment;     /* of a frame that stands for several: bytes of headers, of payload; 0 */
    bool bad;
    bool local; /* does not leave: loopback */
};
/* From the pieces in iov[1..] and their sum len: t->f. false: it cannot be sent. */
bool e1000e_tx_build(struct e1000e *e, unsigned queue, struct e1000e_tx *t);

/* e1000e_match.c */
enum { /* status and errors of extended descriptors; legacy ones have bits 7:0 and 31:24 */
       RXD_DD = 1 << 0,
       RXD_EOP = 1 << 1,
       RXD_IXSM = 1 << 2,
       RXD_VP = 1 << 3,
       RXD_UDPCS = 1 << 4,
       RXD_TCPCS = 1 << 5,
       RXD_IPCS = 1 << 6,
       RXD_PIF = 1 << 7,
       RXD_IPIDV = 1 << 9,
       RXD_ACK = 1 << 15,
       RXD_TYPE_SHIFT = 16,
       RXD_TCPE = 1 << 29,
       RXD_IPE = 1 << 30,
};
struct e1000e_match {
    uint32_t status; /* RXD_* of the frame's last descriptor */
    uint16_t vlan;   /* the tag, when it is to be stripped (RXD_VP) */
    uint16_t ip_id;
    uint16_t csum;      /* of the packet, RXCSUM.PCSS */
    uint32_t hash, mrq; /* RSS */
    unsigned queue;
    unsigned split; /* bytes of headers, in the frame as it came; 0: do not split here */
    bool tcp_ack;
    uint8_t dst[ETH_ALEN];
};
/* false: not for this guest. The frame has at least ETH_HLEN bytes. */
bool e1000e_match(struct e1000e *e, const struct net_frame *f, struct e1000e_match *m);

/* e1000e_rx.c */
bool e1000e_receive(struct e1000e *e, const struct net_frame *f); /* false: no room now */
void e1000e_room(struct e1000e *e);      /* there may be descriptors again, if there were none */
void e1000e_fifo_drop(struct e1000e *e); /* what waits for descriptors is lost */

#endif
