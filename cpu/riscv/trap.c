/*
 * Traps and interrupts: delegation, entry, return, pending interrupts (privileged specification, "Machine-Level ISA",
 * "Supervisor-Level ISA").
 *
 * mip is never stored: it is irq_lines | irq_soft. Whoever changes one of them, or an enable, asks the hart to look
 * (ATT_IRQ); the hart looks in take_irq, at a poll point.
 */
#include "cpu/riscv/trap.h"

#include <inttypes.h>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/sbi.h"

uint64_t rv_mip(const struct rv *c)
{
    return atomic_load_explicit(&c->irq_lines, memory_order_seq_cst) |
           atomic_load_explicit(&c->irq_soft, memory_order_seq_cst);
}

void rv_irq_set(struct rv *c, unsigned irq, bool level)
{
    uint64_t bit = MIP_BIT(irq);

    if (irq == IRQ_SSI) { /* an edge: software clears it */
        if (level && !(atomic_fetch_or(&c->irq_soft, bit) & bit))
            vcpu_kick(&c->v, ATT_IRQ);
        return;
    }
    if (level) {
        if (!(atomic_fetch_or(&c->irq_lines, bit) & bit))
            vcpu_kick(&c->v, ATT_IRQ);
    } else {
        atomic_fetch_and(&c->irq_lines, ~bit);
    }
}

/* Interrupts that would be taken now: of M first, then of S. */
static uint64_t deliverable(const struct rv *c)
{
    uint64_t pending = rv_mip(c) & c->mie, m, s;

    if (__builtin_expect(!pending, 1))
        return 0;
    m = pending & ~c->mideleg;
    if (m && (c->priv < PRIV_M || (c->mstatus & MSTATUS_MIE)))
        return m;
    s = pending & c->mideleg;
    if (s && (c->priv < PRIV_S || (c->priv == PRIV_S && (c->mstatus & MSTATUS_SIE))))
        return s;
    return 0;
}

void rv_update_irq(struct rv *c)
{
    if (deliverable(c))
        atomic_fetch_or(&c->v.attention, ATT_IRQ);
}

void rv_set_priv(struct rv *c, unsigned priv)
{
    c->priv = (uint8_t)priv;
    if (c->counters.filtered)
        counters_mode_changed(c);
}

/* BASE, or with MODE = 1 and an interrupt BASE + 4 * cause. */
static gva vector(uint64_t tvec, uint64_t cause)
{
    gva base = tvec & ~UINT64_C(3);

    return (tvec & 1) && (cause & CAUSE_IRQ) ? base + 4 * (cause & 63) : base;
}

static void enter_s(struct rv *c, uint64_t cause, uint64_t tval)
{
    uint64_t st = c->mstatus & ~(uint64_t)(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE);

    if (c->mstatus & MSTATUS_SIE)
        st |= MSTATUS_SPIE;
    if (c->priv == PRIV_S)
        st |= MSTATUS_SPP;
    c->mstatus = st;
    c->sepc = c->v.pc;
    c->scause = cause;
    c->stval = tval;
    rv_set_priv(c, PRIV_S);
    c->v.pc = vector(c->stvec, cause);
}

static void enter_m(struct rv *c, uint64_t cause, uint64_t tval)
{
    uint64_t st = c->mstatus & ~(uint64_t)(MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE);

    if (c->mstatus & MSTATUS_MIE)
        st |= MSTATUS_MPIE;
    c->mstatus = st | (uint64_t)c->priv << MSTATUS_MPP_SHIFT;
    c->mepc = c->v.pc;
    c->mcause = cause;
    c->mtval = tval;
    rv_set_priv(c, PRIV_M);
    c->v.pc = vector(c->mtvec, cause);
}

const char *rv_cause_name(bool irq, unsigned n)
{
    static const char *const exceptions[] = {
        "misaligned fetch",
        "fetch access",
        "illegal instruction",
        "breakpoint",
        "misaligned load",
        "load access",
        "misaligned store",
        "store access",
        "ecall from U",
        "ecall from S",
        NULL,
        "ecall from M",
        "fetch page fault",
        "load page fault",
        NULL,
        "store page fault",
    };
    static const char *const interrupts[] = {
        NULL, "SSI", NULL, "MSI", NULL, "STI", NULL, "MTI", NULL, "SEI", NULL, "MEI", NULL, "LCOFI",
    };

    if (irq)
        return n < ARRAY_LEN(interrupts) ? interrupts[n] : NULL;
    return n < ARRAY_LEN(exceptions) ? exceptions[n] : NULL;
}

uint64_t rv_trap_count(const struct rv *c, bool irq, unsigned n)
{
    return n < RV_CAUSES ? __atomic_load_n(&c->trap_count[irq][n], __ATOMIC_RELAXED) : 0;
}

/* Only this thread writes. */
static void count_trap(struct rv *c, uint64_t cause)
{
    uint64_t n = cause & ~CAUSE_IRQ, *at = &c->trap_count[(cause & CAUSE_IRQ) != 0][n < RV_CAUSES ? n : 0];

    __atomic_store_n(at, *at + 1, __ATOMIC_RELAXED);
}

static void note_trap(struct rv *c, uint64_t cause, uint64_t tval, bool to_s)
{
    static const char mode[] = {'U', 'S', '?', 'M'};
    const char *name;

    count_trap(c, cause);
    if (!c->v.log || !log_on(c->v.log, LOG_INT))
        return;
    name = rv_cause_name(cause & CAUSE_IRQ, (unsigned)(cause & ~CAUSE_IRQ));
    log_write(c->v.log, "hart %u: %s %" PRIu64 " (%s) %c -> %c pc 0x%016" PRIx64 " tval 0x%016" PRIx64, c->v.index,
              cause & CAUSE_IRQ ? "interrupt" : "exception", cause & ~CAUSE_IRQ, name ? name : "?", mode[c->priv],
              to_s ? 'S' : 'M', c->v.pc, tval);
}

static void enter(struct rv *c, uint64_t cause, uint64_t tval, bool to_s)
{
    note_trap(c, cause, tval, to_s);
    c->v.res_addr = ~UINT64_C(0);
    if (to_s)
        enter_s(c, cause, tval);
    else
        enter_m(c, cause, tval);
    rv_update_view(c);
}

void rv_take_trap(struct vcpu *v)
{
    struct rv *c = (struct rv *)v;
    uint64_t cause = v->trap.cause;
    bool to_s = c->priv != PRIV_M && cause < 64 && (c->medeleg >> cause & 1);

    v->fault = 0;
    if (c->sbi && cause == CAUSE_ECALL_S) {
        note_trap(c, cause, 0, false);
        sbi_ecall(c);
        return;
    }
    /* Native SBI: what firmware would get and not handle, it hands back to S-mode. */
    enter(c, cause, v->trap.tval, to_s || c->sbi);
}

bool rv_take_irq(struct vcpu *v)
{
    static const uint8_t order[] = {IRQ_MEI, IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI, IRQ_LCOFI};
    struct rv *c = (struct rv *)v;
    uint64_t now;

    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_IRQ);
    if (__builtin_expect(atomic_load_explicit(&c->overflow_due, memory_order_relaxed), 0)) {
        atomic_store(&c->overflow_due, false);
        counters_overflow(c);
    }
    if (c->sbi && !sbi_runs(c)) { /* a stopped hart takes none; a suspended one resumes */
        if (!rv_irq_pending(v))
            return false;
        atomic_store(&c->hsm, HSM_STARTED);
    }
    now = deliverable(c);
    if (!now)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (now >> order[i] & 1) {
            enter(c, CAUSE_IRQ | order[i], 0, c->mideleg >> order[i] & 1);
            return true;
        }
    return false;
}

bool rv_irq_pending(struct vcpu *v)
{
    struct rv *c = (struct rv *)v;

    if (!(rv_mip(c) & c->mie))
        return false;
    return !c->sbi || sbi_wakes(c);
}

/* xRET from x, to the mode and address saved there. */
bool rv_xret(struct rv *c, unsigned from)
{
    uint64_t st = c->mstatus;
    unsigned to;

    if (from == PRIV_S) {
        to = st & MSTATUS_SPP ? PRIV_S : PRIV_U;
        st = (st & ~(uint64_t)(MSTATUS_SIE | MSTATUS_SPP)) | (st & MSTATUS_SPIE ? MSTATUS_SIE : 0u) | MSTATUS_SPIE;
        c->v.npc = c->sepc;
    } else {
        to = (unsigned)(st & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT;
        st = (st & ~(uint64_t)(MSTATUS_MIE | MSTATUS_MPP)) | (st & MSTATUS_MPIE ? MSTATUS_MIE : 0u) | MSTATUS_MPIE;
        if (!rv_has(c, EXT_U)) /* the least privileged mode there is */
            st |= MSTATUS_MPP;
        c->v.npc = c->mepc;
    }
    if (to != PRIV_M)
        st &= ~(uint64_t)MSTATUS_MPRV;
    c->mstatus = st;
    c->v.res_addr = ~UINT64_C(0);
    rv_set_priv(c, to);
    rv_update_view(c);
    rv_update_irq(c);
    return true;
}
