/*
 * 82574L: the PHY behind MDIC, link and speed.
 *
 * The PHY answers at address 1. Register 22 selects a page for registers 16 to 31; the lower ones and 22 and 25 are
 * the same on all pages. Negotiation ends at once with 1000 Mbit/s full duplex when there is a cable. The PHY's
 * loopback (BMCR) makes the device hear its own frames, with or without a cable.
 * Sources: 82574 datasheet, 9.2.3 (PHY), 10.2.2 (registers); IEEE 802.3 clause 22; Linux
 * drivers/net/ethernet/intel/e1000e/phy.c for what drivers look at.
 */
#include "devices/e1000e_parts.h"

enum { /* PHY registers, on all pages */
       BMCR = 0,
       BMSR = 1,
       PHY_ID1 = 2,
       PHY_ID2 = 3,
       ANAR = 4,
       ANLPAR = 5,
       ANER = 6,
       ANNPTR = 7,
       CTRL1000 = 9,
       STAT1000 = 10,
       EXTENDED_STATUS = 15,
       COPPER_CONTROL = 16, /* these on page 0 */
       COPPER_STATUS = 17,
       PAGE_SELECT = 22,
       OEM_BITS = 25,
};

enum {
    BMCR_RESET = 0x8000,
    BMCR_LOOPBACK = 0x4000,
    BMCR_AUTONEG = 0x1000,
    BMCR_POWER_DOWN = 0x0800,
    BMCR_RESTART = 0x0200,
    BMCR_DEFAULT = 0x1140, /* negotiate; 1000 Mbit/s, full duplex */
    BMSR_ABLE = 0x7949,    /* 10 and 100 Mbit/s, both duplex; extended status; negotiation */
    BMSR_DONE = 0x0020,
    BMSR_LINK = 0x0004,
    STATUS_LINK = 0xac08, /* of COPPER_STATUS: 1000 Mbit/s, full duplex, resolved, link */
    PARTNER = 0xcde1,     /* the link partner can do all, pause too */
    PARTNER_1000 = 0x7c00,
};

enum { /* MDIC */
       MDIC_REG_SHIFT = 16,
       MDIC_PHY_SHIFT = 21,
       MDIC_WRITE = 1 << 26,
       MDIC_READ = 1 << 27,
       MDIC_READY = 1 << 28,
       MDIC_INTERRUPT = 1 << 29,
       MDIC_ERROR = 1 << 30,
       MDIC_KEEP = 0x2fffffff, /* what the guest writes and reads back */
       PHY_ADDRESS = 1,
};

enum { /* STATUS */
       STATUS_FD = 1 << 0,
       STATUS_LU = 1 << 1,
       STATUS_1000 = 2 << 6,
       STATUS_ASDV_1000 = 2 << 8,
       STATUS_PHYRA = 1 << 10, /* the PHY was reset; the one bit that is stored */
       STATUS_MASTER = 1 << 19,
};

void e1000e_phy_reset(struct e1000e *e)
{
    memset(e->phy, 0, sizeof e->phy);
    e->phy[BMCR] = BMCR_DEFAULT;
    e->phy[PHY_ID1] = 0x0141; /* BME1000, revision 2 */
    e->phy[PHY_ID2] = 0x0cb1;
    e->phy[ANAR] = 0x0de1;
    e->phy[ANER] = 0x0004;
    e->phy[ANNPTR] = 0x2001;
    e->phy[CTRL1000] = 0x0f00;
    e->phy[EXTENDED_STATUS] = 0x3000;
    e->phy[COPPER_CONTROL] = 0x3360;
    *e1000e_reg(e, R_STATUS) |= STATUS_PHYRA;
}

static bool phy_link(const struct e1000e *e) { return e->link && !(e->phy[BMCR] & BMCR_POWER_DOWN); }

bool e1000e_loopback(const struct e1000e *e)
{
    return e->phy[BMCR] & BMCR_LOOPBACK || reg_get(e, R_RCTL) & RCTL_LOOPBACK;
}

bool e1000e_link_up(const struct e1000e *e)
{
    return (phy_link(e) && reg_get(e, R_CTRL) & CTRL_SLU) || e->phy[BMCR] & BMCR_LOOPBACK;
}

uint32_t e1000e_status(struct e1000e *e, unsigned off)
{
    uint32_t v = STATUS_FD | STATUS_1000 | STATUS_ASDV_1000 | (reg_get(e, off) & STATUS_PHYRA);

    if (e1000e_link_up(e))
        v |= STATUS_LU;
    if (!(reg_get(e, R_CTRL) & CTRL_MASTER_OFF))
        v |= STATUS_MASTER;
    return v;
}

/* Where a register is kept; NULL: a page that holds nothing here. */
static uint16_t *phy_at(struct e1000e *e, unsigned n)
{
    unsigned page = n < COPPER_CONTROL || n == PAGE_SELECT || n == OEM_BITS ? 0 : e->phy[PAGE_SELECT];

    return page < PHY_PAGES ? &e->phy[page * PHY_REGS + n] : NULL;
}

static uint16_t phy_read(struct e1000e *e, unsigned n)
{
    const uint16_t *at = phy_at(e, n);
    bool up = phy_link(e);

    switch (n) {
    case BMSR: return up ? BMSR_ABLE | BMSR_DONE | BMSR_LINK : BMSR_ABLE;
    case ANLPAR: return up ? PARTNER : 0;
    case STAT1000: return up ? PARTNER_1000 : 0;
    case COPPER_STATUS:
        if (at == &e->phy[COPPER_STATUS])
            return up ? STATUS_LINK : 0;
    }
    return at ? *at : 0;
}

/* What starts something reads 0 again; a link that came, went or was negotiated anew is told. */
static void control(struct e1000e *e, uint16_t val)
{
    bool up = e1000e_link_up(e);

    e->phy[BMCR] = val & (uint16_t) ~(BMCR_RESET | BMCR_RESTART);
    if (up != e1000e_link_up(e) || (val & BMCR_RESTART && val & BMCR_AUTONEG && phy_link(e)))
        e1000e_cause(e, ICR_LSC);
}

static void phy_write(struct e1000e *e, unsigned n, uint16_t val)
{
    uint16_t *at = phy_at(e, n);

    switch (n) {
    case BMCR: control(e, val); return;
    case BMSR:
    case PHY_ID1:
    case PHY_ID2:
    case ANLPAR:
    case ANER:
    case STAT1000:
    case EXTENDED_STATUS: return; /* read-only */
    default:
        if (at)
            *at = val;
    }
}

void e1000e_mdic(struct e1000e *e, unsigned off, uint32_t val)
{
    unsigned n = val >> MDIC_REG_SHIFT & 31, phy = val >> MDIC_PHY_SHIFT & 31;

    val &= MDIC_KEEP;
    if (phy != PHY_ADDRESS)
        val |= MDIC_ERROR;
    else if (val & MDIC_READ)
        val = (val & ~UINT32_C(0xffff)) | phy_read(e, n);
    else if (val & MDIC_WRITE)
        phy_write(e, n, (uint16_t)val);
    *e1000e_reg(e, off) = val | MDIC_READY;
    if (val & MDIC_INTERRUPT)
        e1000e_cause(e, ICR_MDAC);
}
