/*
 * CSRs of status, interrupts, translation and environment (privileged specification, Machine-Level and
 * Supervisor-Level ISA). Fields are WARL: what is not supported is not stored.
 */
#include "cpu/riscv/csr.h"

#define SSTATUS_WRITE ((uint64_t)(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR))
#define MSTATUS_WRITE                                                                                                  \
    (SSTATUS_WRITE |                                                                                                   \
     (uint64_t)(MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR))
#define MSTATUS_VIEW ((uint64_t)(MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR))

/* --- status --- */

static uint64_t with_sd(uint64_t v) { return (v & MSTATUS_FS) == MSTATUS_FS ? v | MSTATUS_SD : v; }

uint64_t read_mstatus(struct rv *c, unsigned num)
{
    (void)num;
    return with_sd(c->mstatus);
}

uint64_t read_sstatus(struct rv *c, unsigned num)
{
    (void)num;
    return with_sd(c->mstatus & (SSTATUS_WRITE | MSTATUS_UXL));
}

static void status_write(struct rv *c, uint64_t val, uint64_t mask)
{
    uint64_t old = c->mstatus, changed;

    if (!rv_has(c, EXT_F))
        mask &= ~(uint64_t)MSTATUS_FS;
    if (!rv_has(c, EXT_S))
        mask &= ~(SSTATUS_WRITE & ~(uint64_t)MSTATUS_FS) & ~(uint64_t)(MSTATUS_TVM | MSTATUS_TSR);
    if (((val & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT) == 2)
        mask &= ~(uint64_t)MSTATUS_MPP;
    c->mstatus = (old & ~mask) | (val & mask);
    changed = old ^ c->mstatus;
    if (changed & MSTATUS_VIEW)
        rv_update_view(c);
    if (changed & c->mstatus & (MSTATUS_SIE | MSTATUS_MIE))
        rv_update_irq(c);
}

void write_mstatus(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    status_write(c, val, MSTATUS_WRITE);
}

void write_sstatus(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    status_write(c, val, SSTATUS_WRITE);
}

/* --- interrupts --- */

/* The interrupts that exist here. */
static uint64_t irqs(const struct rv *c)
{
    uint64_t m = MIP_M;

    if (rv_has(c, EXT_S))
        m |= MIP_BIT(IRQ_SSI) | MIP_BIT(IRQ_STI) | MIP_BIT(IRQ_SEI);
    if (rv_has(c, EXT_SSCOFPMF))
        m |= MIP_BIT(IRQ_LCOFI);
    return m;
}

uint64_t read_mie(struct rv *c, unsigned num)
{
    (void)num;
    return c->mie;
}

void write_mie(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    c->mie = val & irqs(c);
    rv_update_irq(c);
}

uint64_t read_sie(struct rv *c, unsigned num)
{
    (void)num;
    return c->mie & c->mideleg;
}

void write_sie(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    c->mie = (c->mie & ~c->mideleg) | (val & c->mideleg);
    rv_update_irq(c);
}

uint64_t read_mip(struct rv *c, unsigned num)
{
    (void)num;
    return rv_mip(c);
}

uint64_t read_sip(struct rv *c, unsigned num)
{
    (void)num;
    return rv_mip(c) & c->mideleg;
}

/* Set and clear the software bits that are named, and no others: lines of devices and IPIs may come in meanwhile. */
static void mip_write(struct rv *c, uint64_t val, uint64_t mask)
{
    atomic_fetch_and(&c->irq_soft, ~(mask & ~val));
    atomic_fetch_or(&c->irq_soft, mask & val);
    rv_update_irq(c);
}

void write_mip(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    uint64_t can = irqs(c) & MIP_S;

    (void)num;
    if (c->menvcfg & ENVCFG_STCE) /* then it follows stimecmp */
        can &= ~MIP_BIT(IRQ_STI);
    mip_write(c, val, mask & can);
}

void write_sip(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num;
    mip_write(c, val, mask & c->mideleg & (MIP_BIT(IRQ_SSI) | (irqs(c) & MIP_BIT(IRQ_LCOFI))));
}

uint64_t read_mideleg(struct rv *c, unsigned num)
{
    (void)num;
    return c->mideleg;
}

void write_mideleg(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)num, (void)mask;
    c->mideleg = val & irqs(c) & MIP_S;
    rv_update_irq(c);
}

/* --- trap vectors and return addresses --- */

/* MODE above 1 is reserved: such a write changes nothing. */
void write_tvec(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    if ((val & 3) > 1)
        return;
    if ((num >> 8 & 3) == PRIV_S)
        c->stvec = val;
    else
        c->mtvec = val;
}

void write_epc(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    val &= rv_has(c, EXT_C) ? ~UINT64_C(1) : ~UINT64_C(3);
    if ((num >> 8 & 3) == PRIV_S)
        c->sepc = val;
    else
        c->mepc = val;
}

/* --- translation --- */

/* A write with a mode this hart lacks has no effect at all. */
void write_satp(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    unsigned mode = SATP_MODE(val);

    (void)num, (void)mask;
    if (mode != SATP_BARE && (mode < SATP_SV39 || mode - SATP_SV39 + 3 > c->cfg->sv_levels))
        return;
    if (c->satp == val)
        return;
    c->satp = val;
    rv_update_view(c);
}

/* --- environment of lower modes --- */

static uint64_t envcfg_mask(const struct rv *c, bool m)
{
    uint64_t w = ENVCFG_FIOM;

    if (rv_has(c, EXT_ZICBOM))
        w |= ENVCFG_CBIE | ENVCFG_CBCFE;
    if (rv_has(c, EXT_ZICBOZ))
        w |= ENVCFG_CBZE;
    if (rv_has(c, m ? EXT_SMNPM : EXT_SSNPM))
        w |= ENVCFG_PMM;
    if (!m)
        return w;
    if (rv_has(c, EXT_SVADU))
        w |= ENVCFG_ADUE;
    if (rv_has(c, EXT_SVPBMT))
        w |= ENVCFG_PBMTE;
    if (rv_has(c, EXT_SSTC))
        w |= ENVCFG_STCE;
    return w;
}

void write_envcfg(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    bool m = (num >> 8 & 3) == PRIV_M;
    uint64_t *f = m ? &c->menvcfg : &c->senvcfg, old = *f;

    (void)mask;
    if ((val & ENVCFG_CBIE) >> ENVCFG_CBIE_SHIFT == 2) /* reserved */
        val = (val & ~ENVCFG_CBIE) | (old & ENVCFG_CBIE);
    if ((val & ENVCFG_PMM) >> ENVCFG_PMM_SHIFT == 1) /* reserved */
        val = (val & ~ENVCFG_PMM) | (old & ENVCFG_PMM);
    *f = val & envcfg_mask(c, m);
    if ((old ^ *f) & ENVCFG_PMM)
        rv_update_view(c);
    if ((old ^ *f) & (ENVCFG_ADUE | ENVCFG_PBMTE))
        tlb_flush_all(c->v.tlb); /* entries were made under the other rules */
    if ((old ^ *f) & ENVCFG_STCE)
        rv_timer_update(c);
}

/* M-mode may always; S needs menvcfg, U both. CBIE = 1 lets cbo.inval run as a flush, which is the same here. */
bool rv_cbo_allowed(struct rv *c, const struct insn *i, enum cbo_kind kind)
{
    uint64_t need = kind == CBO_ZERO ? ENVCFG_CBZE : kind == CBO_INVAL ? ENVCFG_CBIE : ENVCFG_CBCFE;

    if (c->priv < PRIV_M && !(c->menvcfg & need))
        return rv_illegal(c, i);
    if (c->priv == PRIV_U && rv_has(c, EXT_S) && !(c->senvcfg & need))
        return rv_illegal(c, i);
    return true;
}

/* Smstateen: of the state it guards, senvcfg and the sstateen registers themselves exist here. */
uint64_t read_stateen(struct rv *c, unsigned num) { return num >> 8 & 2 ? c->mstateen[num & 3] : c->sstateen[num & 3]; }

void write_stateen(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    if (num >> 8 & 2)
        c->mstateen[num & 3] = val & ((num & 3) ? STATEEN_SE : STATEEN_SE | STATEEN_ENVCFG);
}

uint64_t read_counteren(struct rv *c, unsigned num) { return num >> 8 & 2 ? c->mcounteren : c->scounteren; }

void write_counteren(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    uint32_t v = (uint32_t)val & counters_mask(c);

    (void)mask;
    if (num >> 8 & 2)
        c->mcounteren = v;
    else
        c->scounteren = v;
}
