/*
 * 82574L registers: one table of what is where, which bits stick, what reset gives, and who handles an access that is
 * more than storage. Registers of parts that are not modelled (packet buffers, flow control, wake-up, manageability,
 * PCIe tuning) are storage. Source: 82574 datasheet, 10.2; masks as Linux's register test (ethtool -t) expects them.
 */
#include <inttypes.h>

#include "devices/e1000e_parts.h"

struct reg {
    uint16_t off, count; /* of the first; so many, 4 bytes apart */
    uint32_t writable, reset;
    uint32_t (*read)(struct e1000e *e, unsigned off);            /* NULL: what is stored */
    void (*write)(struct e1000e *e, unsigned off, uint32_t val); /* after that is stored; with `writable` 0, instead */
};

#define ALL UINT32_MAX

static uint32_t read_zero(struct e1000e *e, unsigned off)
{
    (void)e;
    (void)off;
    return 0;
}

static void ctrl_write(struct e1000e *e, unsigned off, uint32_t val)
{
    bool up = e1000e_link_up(e);

    *e1000e_reg(e, off) = val & ~(CTRL_RST | CTRL_PHY_RST);
    if (val & CTRL_PHY_RST)
        e1000e_phy_reset(e);
    if (val & CTRL_RST)
        e1000e_mac_reset(e);
    else
        e1000e_tx_changed(e);
    if (up != e1000e_link_up(e))
        e1000e_cause(e, ICR_LSC);
}

static void ctrl_ext_write(struct e1000e *e, unsigned off, uint32_t val)
{
    *e1000e_reg(e, off) = val & ~(uint32_t)CTRL_EXT_EE_RST;
    if (val & CTRL_EXT_EE_RST)
        e1000e_address_load(e);
}

/* PHY reset asserted: the driver clears it. */
static void status_write(struct e1000e *e, unsigned off, uint32_t val) { *e1000e_reg(e, off) &= val; }

static void ics_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    e1000e_cause(e, val);
}

static void ims_write(struct e1000e *e, unsigned off, uint32_t val)
{
    *e1000e_reg(e, off) |= val & ICR_CAUSES;
    e1000e_irq_update(e);
}

static void imc_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    *e1000e_reg(e, R_IMS) &= ~val;
    e1000e_irq_update(e);
}

static void irq_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    (void)val;
    e1000e_irq_update(e);
}

/* Bit 31 ends the delays under way and is not kept. */
static void rdtr_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    if (val >> 31)
        e1000e_delay_flush(e, true);
}

static void tidv_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    if (val >> 31)
        e1000e_delay_flush(e, false);
}

static void tx_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    (void)val;
    e1000e_tx_changed(e);
}

static void rx_write(struct e1000e *e, unsigned off, uint32_t val)
{
    (void)off;
    (void)val;
    e1000e_room(e);
}

/* A semaphore that a read takes; 0 is written to give it back. */
static uint32_t swsm_read(struct e1000e *e, unsigned off)
{
    uint32_t v = reg_get(e, off);

    *e1000e_reg(e, off) = v | 1;
    return v;
}

/* Time stamps: each TIMINCA.INCPERIOD cycles of 40 ns (0: stands still) the counter grows by INCVALUE. */
static uint64_t systim(const struct e1000e *e)
{
    uint32_t inca = reg_get(e, R_TIMINCA);
    uint64_t passed = clock_now(e->pci.dev.clock) - e->systim_at;

    return inca >> 24 ? e->systim + passed / (40 * (inca >> 24)) * (inca & 0xffffff) : e->systim;
}

static void systim_set(struct e1000e *e, uint64_t v)
{
    e->systim = v;
    e->systim_at = clock_now(e->pci.dev.clock);
}

static uint32_t systiml_read(struct e1000e *e, unsigned off)
{
    uint64_t v = systim(e);

    (void)off;
    e->systim_high = (uint32_t)(v >> 32);
    return (uint32_t)v;
}

static uint32_t systimh_read(struct e1000e *e, unsigned off)
{
    (void)off;
    return e->systim_high;
}

static void systim_write(struct e1000e *e, unsigned off, uint32_t val)
{
    systim_set(e, deposit64(systim(e), off == R_SYSTIMH ? 32 : 0, 32, val));
}

static void timinca_write(struct e1000e *e, unsigned off, uint32_t val)
{
    systim_set(e, systim(e));
    *e1000e_reg(e, off) = val;
}

#define RING(base, tail_write)                                                                                         \
    {(base), 1, 0xfffffff0, 0, NULL, tail_write}, {(base) + RING_BAH, 1, ALL, 0, NULL, tail_write},                    \
        {(base) + RING_LEN, 1, 0x000fff80, 0, NULL, tail_write}, {(base) + RING_HEAD, 1, 0xffff, 0, NULL, NULL},       \
    {                                                                                                                  \
        (base) + RING_TAIL, 1, 0xffff, 0, NULL, tail_write                                                             \
    }

static const struct reg table[] = {
    /* by offset */
    {R_CTRL, 1, 0, 0x00140241, NULL, ctrl_write}, /* full duplex, link up, 1000 Mbit/s, two pins, wake-up from D3 */
    {R_STATUS, 1, 0, 0, e1000e_status, status_write},
    {R_EECD, 1, 0, 0, e1000e_eecd_read, e1000e_eecd_write},
    {R_EERD, 1, 0, 2, NULL, e1000e_eerd},
    {R_CTRL_EXT, 1, 0, 0, NULL, ctrl_ext_write},
    {0x001c, 1, ALL, 0, NULL, NULL}, /* FLA */
    {R_MDIC, 1, 0, 0, NULL, e1000e_mdic},
    {0x0028, 1, ALL, 0, NULL, NULL},    /* FCAL */
    {0x002c, 1, 0xffff, 0, NULL, NULL}, /* FCAH */
    {0x0030, 1, 0xffff, 0, NULL, NULL}, /* FCT */
    {R_VET, 1, 0xffff, 0x8100, NULL, NULL},
    {R_ICR, 1, 0, 0, e1000e_icr_read, e1000e_icr_write},
    {R_ITR, 1, 0xffff, 0, NULL, irq_write},
    {R_ICS, 1, 0, 0, read_zero, ics_write},
    {R_IMS, 1, 0, 0, NULL, ims_write},
    {R_IMC, 1, 0, 0, read_zero, imc_write},
    {R_EIAC, 1, 0x01f00000, 0, NULL, NULL},
    {R_IAM, 1, ALL, 0, NULL, NULL},
    {R_IVAR, 1, 0x800fffff, 0, NULL, irq_write},
    {R_EITR, VECTORS, 0xffff, 0, NULL, irq_write},
    {R_RCTL, 1, 0x7ffffffe, 0, NULL, rx_write},
    {0x0170, 1, 0xffff, 0, NULL, NULL},     /* FCTTV */
    {0x0178, 1, 0xc000ffff, 0, NULL, NULL}, /* TXCW */
    {0x0180, 1, 0, 0, NULL, NULL},          /* RXCW */
    {R_TCTL, 1, 0x7ffffffe, 0, NULL, tx_write},
    {0x0404, 1, ALL, 0, NULL, NULL},                 /* TCTL_EXT */
    {0x0410, 1, 0x3fffffff, 0x00602008, NULL, NULL}, /* TIPG */
    {0x0458, 1, 0xffff, 0, NULL, NULL},              /* AIT */
    {0x0e00, 1, ALL, 0x00068302, NULL, NULL},        /* LEDCTL */
    {0x0f00, 1, ALL, 0x00000008, NULL, NULL},        /* EXTCNF_CTRL */
    {0x0f08, 1, ALL, 0, NULL, NULL},                 /* EXTCNF_SIZE */
    {0x0f10, 1, 0xffff, 0x030d, NULL, NULL},         /* POEMB */
    {0x1000, 1, 0x003f003f, 0x00140014, NULL, NULL}, /* PBA */
    {0x1008, 1, 0xffff, 0x0028, NULL, NULL},         /* PBS */
    {0x1010, 1, 0, 0x80040000, NULL, NULL},          /* EEMNGCTL: done, configuration done */
    {0x1028, 1, ALL, 2, NULL, NULL},                 /* FLASHT */
    {R_EEWR, 1, 0, 2, NULL, e1000e_eewr},
    {0x1030, 1, 0, 0xc0000000, NULL, NULL}, /* FLSWCTL: done */
    {0x1034, 2, ALL, 0, NULL, NULL},        /* FLSWDATA, FLSWCNT */
    {0x103c, 1, ALL, 0, NULL, NULL},        /* FLOP */
    {0x1100, 1, ALL, 0, NULL, NULL},        /* PBA_ECC */
    {0x2008, 1, ALL, 0, NULL, NULL},        /* ERT */
    {0x2160, 1, 0x8000fff8, 0, NULL, NULL}, /* FCRTL */
    {0x2168, 1, 0x0000fff8, 0, NULL, NULL}, /* FCRTH */
    {R_PSRCTL, 1, 0x3f3f3f7f, 0x00040402, NULL, NULL},
    {0x2410, 1, 0x1fff, 0, NULL, NULL}, /* RDFH, RDFT, RDFHS, RDFTS, RDFPC */
    {0x2418, 1, 0x1fff, 0, NULL, NULL},
    {0x2420, 1, 0x1fff, 0, NULL, NULL},
    {0x2428, 1, 0x1fff, 0, NULL, NULL},
    {0x2430, 1, 0x1fff, 0, NULL, NULL},
    RING(R_RDBAL, rx_write),
    {R_RDTR, 1, 0xffff, 0, NULL, rdtr_write},
    {R_RDBAL + 0x28, 1, ALL, 0x00010000, NULL, NULL}, /* RXDCTL */
    {R_RADV, 1, 0xffff, 0, NULL, NULL},
    RING(R_RDBAL + QUEUE_STRIDE, rx_write),
    {R_RDBAL + QUEUE_STRIDE + 0x28, 1, ALL, 0x00010000, NULL, NULL},
    {R_RSRPD, 1, 0x0fff, 0, NULL, NULL},
    {0x2c08, 1, 0xffff, 0, NULL, NULL},      /* RAID */
    {0x3004, 1, ALL, 0, NULL, NULL},         /* KABGTXD */
    {0x3410, 1, 0x1fff, 0x0600, NULL, NULL}, /* TDFH, TDFT, TDFHS, TDFTS, TDFPC */
    {0x3418, 1, 0x1fff, 0x0600, NULL, NULL},
    {0x3420, 1, 0x1fff, 0x0600, NULL, NULL},
    {0x3428, 1, 0x1fff, 0x0600, NULL, NULL},
    {0x3430, 1, 0x1fff, 0, NULL, NULL},
    RING(R_TDBAL, tx_write),
    {R_TIDV, 1, 0xffff, 0, NULL, tidv_write},
    {R_TDBAL + 0x28, 1, ALL, 0, NULL, NULL}, /* TXDCTL */
    {R_TADV, 1, 0xffff, 0, NULL, NULL},
    {R_TARC, 1, ALL, 0x0403, NULL, tx_write},
    RING(R_TDBAL + QUEUE_STRIDE, tx_write),
    {R_TDBAL + QUEUE_STRIDE + 0x28, 1, ALL, 0, NULL, NULL},
    {R_TARC + QUEUE_STRIDE, 1, ALL, 0x0403, NULL, tx_write},
    {R_STATS, STATS_WORDS, 0, 0, e1000e_stat_read, NULL},
    {R_RXCSUM, 1, 0x0000ffff, RXCSUM_IPOFL | RXCSUM_TUOFL, NULL, NULL},
    {R_RFCTL, 1, ALL, 0, NULL, rx_write},
    {R_MTA, 128, ALL, 0, NULL, NULL},
    {R_RA, 2 * RA_ENTRIES, ALL, 0, NULL, NULL}, /* the upper halves: see store */
    {R_VFTA, 128, ALL, 0, NULL, NULL},
    {0x5800, 1, ALL, 0, NULL, NULL}, /* WUC */
    {0x5808, 1, ALL, 0, NULL, NULL}, /* WUFC */
    {0x5810, 1, ALL, 0, NULL, NULL}, /* WUS */
    {R_MRQC, 1, 0xffff0003, 0, NULL, NULL},
    {0x5820, 1, ALL, 0, NULL, NULL}, /* MANC */
    {0x5828, 3, ALL, 0, NULL, NULL}, /* MFUTP */
    {0x5838, 1, ALL, 0, NULL, NULL}, /* IPAV */
    {0x5840, 8, ALL, 0, NULL, NULL}, /* IP4AT */
    {0x5860, 1, ALL, 0, NULL, NULL}, /* MANC2H */
    {0x5864, 7, ALL, 0, NULL, NULL},
    {0x5880, 4, ALL, 0, NULL, NULL},        /* IP6AT */
    {0x5890, 8, ALL, 0, NULL, NULL},        /* MDEF */
    {0x5900, 1, 0, 0, NULL, NULL},          /* WUPL */
    {0x5a00, 32, 0, 0, NULL, NULL},         /* WUPM */
    {0x5b00, 1, ALL, 0x0, NULL, NULL},      /* GCR */
    {0x5b08, 1, ALL, 0, NULL, NULL},        /* FUNCTAG */
    {0x5b10, 4, ALL, 0, NULL, NULL},        /* GSCL */
    {0x5b30, 1, 0, 0x20000002, NULL, NULL}, /* FACTPS: the LAN function is on */
    {R_SWSM, 1, 0xf, 0, swsm_read, NULL},
    {0x5b54, 1, 0, 0, NULL, NULL},   /* FWSM: no firmware */
    {0x5b58, 1, ALL, 0, NULL, NULL}, /* SWSM2 */
    {0x5b5c, 1, ALL, 0, NULL, NULL}, /* SW_FW_SYNC */
    {0x5b64, 1, ALL, 0, NULL, NULL}, /* GCR2 */
    {R_RETA, 32, ALL, 0, NULL, NULL},
    {R_RSSRK, 10, ALL, 0, NULL, NULL},
    {0x5f00, 8, ALL, 0, NULL, NULL}, /* FFLT */
    {0x8f00, 1, 0, 0, NULL, NULL},   /* HICR: no firmware to talk to */
    {R_SYSTIML, 1, 0, 0, systiml_read, systim_write},
    {R_SYSTIMH, 1, 0, 0, systimh_read, systim_write},
    {R_TIMINCA, 1, 0, 0, NULL, timinca_write},
    {0xb60c, 2, ALL, 0, NULL, NULL},  /* TIMADJ */
    {0xb614, 1, 0x10, 0, NULL, NULL}, /* TSYNCTXCTL: nothing is ever stamped */
    {0xb618, 2, 0, 0, NULL, NULL},    /* TXSTMP */
    {0xb620, 1, 0x3e, 0, NULL, NULL}, /* TSYNCRXCTL */
    {0xb624, 4, 0, 0, NULL, NULL},    /* RXSTMP, RXSATR */
    {0xb634, 1, ALL, 0x88f7, NULL, NULL},
    {0xb638, 1, ALL, 0x0319, NULL, NULL}, /* RXUDP */
};

/* Places where older chips of the family had them. */
static const struct {
    uint16_t from, count, to; /* so many words */
} alias[] = {
    {0x0004, 1, R_CTRL},
    {0x0040, 2 * RA_ENTRIES, R_RA},
    {0x0108, 1, R_RDTR},
    {0x0110, 3, R_RDBAL},
    {0x0120, 1, R_RDBAL + RING_HEAD},
    {0x0128, 1, R_RDBAL + RING_TAIL},
    {0x0160, 1, 0x2168},
    {0x0168, 1, 0x2160},
    {0x0200, 128, R_MTA},
    {0x0420, 3, R_TDBAL},
    {0x0430, 1, R_TDBAL + RING_HEAD},
    {0x0438, 1, R_TDBAL + RING_TAIL},
    {0x0440, 1, R_TIDV},
    {0x0600, 128, R_VFTA},
};

static unsigned resolve(unsigned off)
{
    for (unsigned i = 0; i < ARRAY_LEN(alias); i++)
        if (off - alias[i].from < 4u * alias[i].count)
            return alias[i].to + (off - alias[i].from);
    return off;
}

static const struct reg *find(unsigned off)
{
    unsigned low = 0, high = ARRAY_LEN(table);

    while (low < high) {
        unsigned mid = (low + high) / 2;

        if (off < table[mid].off)
            high = mid;
        else if (off - table[mid].off < 4u * table[mid].count)
            return &table[mid];
        else
            low = mid + 1;
    }
    return NULL;
}

/* The upper half of a receive address has bits that are not there. */
static uint32_t writable(const struct reg *r, unsigned off)
{
    return r->off == R_RA && off & 4 ? 0x8003ffff : r->writable;
}

uint32_t e1000e_reg_read(struct e1000e *e, unsigned off)
{
    const struct reg *r;

    off = resolve(off);
    r = find(off);
    if (!r) {
        log_guest(&e->pci.dev, "read of register 0x%05x", off);
        return 0;
    }
    return r->read ? r->read(e, off) : reg_get(e, off);
}

void e1000e_reg_write(struct e1000e *e, unsigned off, uint32_t val)
{
    const struct reg *r;
    uint32_t mask;

    off = resolve(off);
    r = find(off);
    if (!r) {
        log_guest(&e->pci.dev, "write of register 0x%05x", off);
        return;
    }
    mask = writable(r, off);
    *e1000e_reg(e, off) = (reg_get(e, off) & ~mask) | (val & mask);
    if (r->write)
        r->write(e, off, val);
}

void e1000e_regs_reset(struct e1000e *e)
{
    memset(e->reg, 0, sizeof e->reg);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        for (unsigned n = 0; n < table[i].count; n++)
            *e1000e_reg(e, table[i].off + 4 * n) = table[i].reset;
    systim_set(e, 0);
    e->systim_high = 0;
}

/* The rest is for those who handle it to look at. */
static void row_restored(struct e1000e *e, const struct reg *r)
{
    for (unsigned n = 0; r->writable && n < r->count; n++) {
        unsigned off = r->off + 4 * n;
        uint32_t mask = writable(r, off), *v = e1000e_reg(e, off);

        *v = (*v & mask) | (r->reset & ~mask);
    }
}

void e1000e_regs_restored(struct e1000e *e)
{
    unsigned at = 0;

    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        memset(e1000e_reg(e, at), 0, table[i].off - at);
        row_restored(e, &table[i]);
        at = table[i].off + 4u * table[i].count;
    }
    memset(e1000e_reg(e, at), 0, REGS_END - at);
    *e1000e_reg(e, R_ICR) &= ICR_CAUSES;
    *e1000e_reg(e, R_IMS) &= ICR_CAUSES;
    if (e->systim_at > clock_now(e->pci.dev.clock))
        systim_set(e, e->systim);
}
