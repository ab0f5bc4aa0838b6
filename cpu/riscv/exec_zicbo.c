/*
 * Zicbom, Zicboz, Zawrs (unprivileged specification, "CMO" and "Zawrs"). Guest memory is coherent, so the management
 * instructions change nothing; they check what the specification has them check.
 */
#include <sched.h>

#include "cpu/riscv/config.h"
#include "cpu/riscv/exec.h"
#include "cpu/riscv/mem.h"

/* A management operation needs the right to read or to write, and reports any lack of it as a store would. */
static bool manage(struct rv *c, const struct insn *i, enum cbo_kind kind)
{
    struct tlb_page page;
    gva va = rv_mask_address(c, S1);

    if (!rv_cbo_allowed(c, i, kind))
        return false;
    if (rv_resolve(c, va, 1, WALK_READ, &page))
        return true;
    c->v.trap.tval = S1;
    if (c->v.trap.cause == CAUSE_LOAD_PAGE)
        c->v.trap.cause = CAUSE_STORE_PAGE;
    else if (c->v.trap.cause == CAUSE_LOAD_ACCESS)
        c->v.trap.cause = CAUSE_STORE_ACCESS;
    return false;
}

EXEC(cbo_inval) { return manage(c, i, CBO_INVAL); }
EXEC(cbo_clean) { return manage(c, i, CBO_CLEAN); }
EXEC(cbo_flush) { return manage(c, i, CBO_FLUSH); }

/*
 * A block lies in one page, so that only the first store can fault. The kernel clears pages with it: with the page in
 * the first level it is stores one after another.
 */
EXEC(cbo_zero)
{
    gva va = S1 & ~(uint64_t)(c->cfg->cbo_size - 1);
    const struct tlb_entry *e = &c->v.ctx->wr[TLB_INDEX(va)];

    if (!rv_cbo_allowed(c, i, CBO_ZERO))
        return false;
    if (e->tag == (va & PAGE_MASK)) {
        for (unsigned n = 0; n < c->cfg->cbo_size; n += 8)
            ram_store((void *)(uintptr_t)(va + e->addend + n), 8, 0);
        return true;
    }
    for (unsigned n = 0; n < c->cfg->cbo_size; n += 8) {
        if (!vcpu_store(&c->v, va + n, 8, 0)) {
            c->v.trap.tval = S1;
            return false;
        }
    }
    return true;
}

/* Waiting on a reservation may end at any time: give the core away once. With none held it ends at once. */
static bool wait_reservation(struct rv *c)
{
    if (c->v.res_addr != UINT64_MAX)
        sched_yield();
    return true;
}

EXEC(wrs_nto) { return (void)i, wait_reservation(c); }
EXEC(wrs_sto) { return (void)i, wait_reservation(c); }
