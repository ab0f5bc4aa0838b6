/*
 * Instructions of the privileged architecture: environment calls, returns, wfi, fences. Reference semantics (privileged
 * specification, "Machine-Level ISA", "Supervisor-Level ISA"; Svinval; Zifencei). CSR instructions are in csr.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/trap.h"
#include "cpu/trace.h"

bool exec_ecall(struct rv *c, const struct insn *i)
{
    (void)i;
    return rv_trap(c, c->priv == PRIV_M ? CAUSE_ECALL_M : c->priv == PRIV_S ? CAUSE_ECALL_S : CAUSE_ECALL_U, 0);
}

/* The word at pc, as fetch sees it; 0 when it cannot be fetched. */
static uint32_t code_word(struct rv *c, gva pc)
{
    struct vcpu_trap trap = c->v.trap;
    uint32_t fault = c->v.fault, w = 0;
    const uint8_t *host;
    gpa pa;

    for (unsigned n = 0; n < 4; n += 2)
        if (c->v.isa->fetch(&c->v, pc + n, &host, &pa))
            w |= (uint32_t)ram_load(host, 2) << 8 * n;
    c->v.trap = trap;
    c->v.fault = fault;
    return w;
}

/* slli x0,x0,0x1f; ebreak; srai x0,x0,7 (RISC-V Semihosting specification, "Semihosting Trap Instruction Sequence"). */
static bool semihosting(struct rv *c, const struct insn *i)
{
    return c->host.semihost && i->len == 4 && code_word(c, c->v.pc - 4) == 0x01f01013 &&
           code_word(c, c->v.pc + 4) == 0x40705013;
}

bool exec_ebreak(struct rv *c, const struct insn *i)
{
    if (semihosting(c, i)) {
        if (c->v.trace && c->v.trace->log)
            c->v.trace->mmio_seen = true; /* not while the block is only tried */
        else if (c->host.semihost(c->host.arg, c))
            return true;
    }
    return rv_trap(c, CAUSE_BREAKPOINT, c->v.pc);
}

bool exec_mret(struct rv *c, const struct insn *i)
{
    if (c->priv != PRIV_M)
        return rv_illegal(c, i);
    return rv_xret(c, PRIV_M);
}

bool exec_sret(struct rv *c, const struct insn *i)
{
    if (c->priv == PRIV_U || (c->priv == PRIV_S && (c->mstatus & MSTATUS_TSR)))
        return rv_illegal(c, i);
    return rv_xret(c, PRIV_S);
}

/*
 * TW makes it illegal below M (its time limit is zero here), and so does U-mode where there is an S-mode. With an interrupt pending it is a
 * nop; else the loop parks the thread before the next instruction.
 */
bool exec_wfi(struct rv *c, const struct insn *i)
{
    if (c->priv == PRIV_U && rv_has(c, EXT_S))
        return rv_illegal(c, i);
    if (c->priv != PRIV_M && (c->mstatus & MSTATUS_TW))
        return rv_illegal(c, i);
    if (!rv_irq_pending(&c->v))
        atomic_fetch_or(&c->v.attention, ATT_WFI);
    return true;
}

static bool fence_allowed(const struct rv *c)
{
    return c->priv == PRIV_M || (c->priv == PRIV_S && !(c->mstatus & MSTATUS_TVM));
}

/* -d mmu */
static void log_sfence(struct rv *c, bool all_va, gva va, bool all_asid, uint32_t asid)
{
    char page[40] = "all pages", space[24] = "all address spaces";

    if (!all_va)
        snprintf(page, sizeof page, "page 0x%016" PRIx64, (uint64_t)(va & PAGE_MASK));
    if (!all_asid)
        snprintf(space, sizeof space, "asid %u", asid);
    log_write(c->v.log, "hart %u: flush of %s, %s", c->v.index, page, space);
}

void rv_sfence(struct rv *c, bool all_va, gva va, bool all_asid, uint32_t asid)
{
    if (c->v.log && log_on(c->v.log, LOG_MMU))
        log_sfence(c, all_va, va, all_asid, asid);
    if (all_va && all_asid)
        tlb_flush_all(c->v.tlb);
    else if (all_va)
        tlb_flush_asid(c->v.tlb, asid);
    else if (all_asid)
        tlb_flush_page(c->v.tlb, va);
    else
        tlb_flush_page_asid(c->v.tlb, va, asid);
}

bool exec_sfence_vma(struct rv *c, const struct insn *i)
{
    if (!fence_allowed(c))
        return rv_illegal(c, i);
    rv_sfence(c, !i->rs1, x_get(c, i->rs1), !i->rs2, x_get(c, i->rs2) & 0xffff);
    return true;
}

/* Nothing is deferred between the sfence.w.inval and sfence.inval.ir around it. */
bool exec_sinval_vma(struct rv *c, const struct insn *i) { return exec_sfence_vma(c, i); }

bool exec_sfence_w_inval(struct rv *c, const struct insn *i) { return c->priv != PRIV_U || rv_illegal(c, i); }
bool exec_sfence_inval_ir(struct rv *c, const struct insn *i) { return c->priv != PRIV_U || rv_illegal(c, i); }

bool exec_fence_i(struct rv *c, const struct insn *i)
{
    (void)i;
    if (c->v.hooks && c->v.hooks->fence_i)
        c->v.hooks->fence_i(c->v.hooks->arg, &c->v);
    return true;
}
