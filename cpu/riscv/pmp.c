/*
 * Physical memory protection: registers, matching, rights.
 *
 * Writes derive `rule`: the active entries in order as byte ranges, so that a check is a short scan. Answers are cached in the TLB a
 * page at a time; any write to the registers empties it.
 */
#include "cpu/riscv/pmp.h"

#include "cpu/riscv/csr.h"

enum { CFG_A_SHIFT = 3, CFG_A = 3 << CFG_A_SHIFT, CFG_L = 0x80, CFG_MASK = 0x9f };
enum { A_OFF, A_TOR, A_NA4, A_NAPOT };

#define SECCFG_MML UINT64_C(1)
#define SECCFG_MMWP UINT64_C(2)
#define SECCFG_RLB UINT64_C(4)
#define SECCFG_SEED UINT64_C(0x300)
#define PMP_ADDR_MASK ((UINT64_C(1) << 54) - 1)

static unsigned mode_of(uint8_t cfg) { return (cfg & CFG_A) >> CFG_A_SHIFT; }

static bool rule_make(const struct pmp *p, unsigned i, struct pmp_rule *r)
{
    uint64_t a = p->addr[i], low;

    r->cfg = p->cfg[i];
    switch (mode_of(p->cfg[i])) {
    case A_TOR:
        r->lo = i ? p->addr[i - 1] << 2 : 0;
        r->hi = (a << 2) - 1;
        return a << 2 > r->lo;
    case A_NA4:
        r->lo = a << 2;
        r->hi = r->lo + 3;
        return true;
    case A_NAPOT:
        low = a ^ (a + 1); /* the trailing ones and the zero above them */
        r->lo = (a & ~low) << 2;
        r->hi = r->lo + (low << 2 | 3);
        return true;
    default: return false;
    }
}

static void derive(struct rv *c)
{
    struct pmp *p = &c->pmp;

    p->rules = 0;
    for (unsigned i = 0; i < c->cfg->pmp_count; i++)
        if (rule_make(p, i, &p->rule[p->rules]))
            p->rules++;
    tlb_flush_all(c->v.tlb);
}

void pmp_reset(struct rv *c)
{
    c->pmp = (struct pmp){0};
    derive(c);
}

void pmp_open(struct rv *c)
{
    if (!c->cfg->pmp_count)
        return;
    c->pmp.cfg[0] = PMP_RWX | A_NAPOT << CFG_A_SHIFT;
    c->pmp.addr[0] = PMP_ADDR_MASK;
    derive(c);
}

/* Smepmp, table "Encoding of mseccfg.MML = 1": rights of one entry by its L, R, W, X bits. */
static unsigned rights_mml(uint8_t cfg, bool m)
{
    static const struct {
        uint8_t m, su;
    } table[16] = {/* index: L X W R */
                   [0x0] = {0, 0},
                   [0x1] = {0, PMP_R},
                   [0x2] = {PMP_R | PMP_W, PMP_R}, /* shared data */
                   [0x3] = {0, PMP_R | PMP_W},
                   [0x4] = {0, PMP_X},
                   [0x5] = {0, PMP_R | PMP_X},
                   [0x6] = {PMP_R | PMP_W, PMP_R | PMP_W}, /* shared data */
                   [0x7] = {0, PMP_RWX},
                   [0x8] = {0, 0},
                   [0x9] = {PMP_R, 0},
                   [0xa] = {PMP_X, PMP_X}, /* shared code */
                   [0xb] = {PMP_R | PMP_W, 0},
                   [0xc] = {PMP_X, 0},
                   [0xd] = {PMP_R | PMP_X, 0},
                   [0xe] = {PMP_R | PMP_X, PMP_X}, /* shared code */
                   [0xf] = {PMP_R, PMP_R}};
    unsigned i = (cfg & PMP_RWX) | (cfg & CFG_L ? 8 : 0);

    return m ? table[i].m : table[i].su;
}

static unsigned rule_rights(const struct rv *c, const struct pmp_rule *r, bool m)
{
    if (c->mseccfg & SECCFG_MML)
        return rights_mml(r->cfg, m);
    return m && !(r->cfg & CFG_L) ? PMP_RWX : r->cfg & PMP_RWX;
}

static unsigned rights_without_rule(const struct rv *c, bool m)
{
    if (!m)
        return c->cfg->pmp_count ? 0 : PMP_RWX;
    if (c->mseccfg & SECCFG_MMWP)
        return 0;
    return c->mseccfg & SECCFG_MML ? PMP_R | PMP_W : PMP_RWX;
}

static unsigned match(const struct rv *c, gpa lo, gpa hi, unsigned priv, unsigned partly)
{
    bool m = priv == PRIV_M;

    for (unsigned i = 0; i < c->pmp.rules; i++) {
        const struct pmp_rule *r = &c->pmp.rule[i];

        if (hi < r->lo || lo > r->hi)
            continue;
        return lo >= r->lo && hi <= r->hi ? rule_rights(c, r, m) : partly;
    }
    return rights_without_rule(c, m);
}

unsigned pmp_rights(const struct rv *c, gpa addr, uint64_t len, unsigned priv)
{
    return match(c, addr, addr + len - 1, priv, 0);
}

unsigned pmp_page(const struct rv *c, gpa addr, unsigned priv)
{
    return match(c, addr & PAGE_MASK, addr | ~PAGE_MASK, priv, PMP_PARTLY);
}

/* --- registers --- */

static bool locked(const struct rv *c, unsigned i)
{
    return i < PMP_ENTRIES && (c->pmp.cfg[i] & CFG_L) && !(c->mseccfg & SECCFG_RLB);
}

/* With MML set and RLB clear no rule that lets M-mode execute may be added. */
static bool cfg_refused(const struct rv *c, uint8_t cfg)
{
    if (!(c->mseccfg & SECCFG_MML))
        return (cfg & (PMP_R | PMP_W)) == PMP_W; /* R = 0, W = 1 is reserved */
    return !(c->mseccfg & SECCFG_RLB) && (cfg & CFG_L) && (rights_mml(cfg, true) & PMP_X);
}

uint64_t read_pmpcfg(struct rv *c, unsigned num)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)c->pmp.cfg[(num & 15) * 4 + i] << 8 * i;
    return v;
}

void write_pmpcfg(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    bool changed = false;

    (void)mask;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = (num & 15) * 4 + i;
        uint8_t cfg = (uint8_t)(val >> 8 * i) & CFG_MASK;

        if (n >= c->cfg->pmp_count || locked(c, n) || cfg_refused(c, cfg) || cfg == c->pmp.cfg[n])
            continue;
        c->pmp.cfg[n] = cfg;
        changed = true;
    }
    if (changed)
        derive(c);
}

uint64_t read_pmpaddr(struct rv *c, unsigned num) { return c->pmp.addr[num - 0x3b0]; }

void write_pmpaddr(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    unsigned n = num - 0x3b0;

    (void)mask;
    val &= PMP_ADDR_MASK;
    if (locked(c, n) || val == c->pmp.addr[n])
        return;
    if (n + 1 < c->cfg->pmp_count && locked(c, n + 1) && mode_of(c->pmp.cfg[n + 1]) == A_TOR)
        return; /* it is the base of a locked range */
    c->pmp.addr[n] = val;
    derive(c);
}

uint64_t read_mseccfg(struct rv *c, unsigned num)
{
    (void)num;
    return c->mseccfg;
}

/* MML and MMWP are sticky; RLB cannot be set any more once a rule is locked. */
void write_mseccfg(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    uint64_t old = c->mseccfg, can = 0;
    bool any_locked = false;

    (void)num, (void)mask;
    for (unsigned i = 0; i < c->cfg->pmp_count; i++)
        any_locked |= c->pmp.cfg[i] & CFG_L;
    if (rv_has(c, EXT_SMEPMP)) {
        can |= SECCFG_MML | SECCFG_MMWP | SECCFG_RLB;
        val |= old & (SECCFG_MML | SECCFG_MMWP);
        if (any_locked && !(old & SECCFG_RLB))
            val &= ~SECCFG_RLB;
    }
    if (rv_has(c, EXT_ZKR))
        can |= SECCFG_SEED;
    c->mseccfg = val & can;
    if ((old ^ c->mseccfg) & ~SECCFG_SEED)
        tlb_flush_all(c->v.tlb);
}
