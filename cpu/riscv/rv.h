/*
 * The state of one RISC-V hart. struct vcpu comes first: registers, pc, and what generated code uses are there.
 *
 * exec_ functions: c->v.pc is the instruction's own pc, c->v.npc the next (they overwrite it to jump). They return
 * false after rv_trap or a failed memory access; nothing architectural may have changed then except what the
 * specification says has.
 */
#ifndef CPU_RISCV_RV_H
#define CPU_RISCV_RV_H

#include "cpu/riscv/insn.h"
#include "cpu/vcpu.h"

enum { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };

enum { /* mcause exception codes; interrupts have bit 63 set (CAUSE_IRQ) */
    CAUSE_FETCH_MISALIGNED = 0, CAUSE_FETCH_ACCESS = 1, CAUSE_ILLEGAL = 2, CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4, CAUSE_LOAD_ACCESS = 5, CAUSE_STORE_MISALIGNED = 6, CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8, CAUSE_ECALL_S = 9, CAUSE_ECALL_M = 11,
    CAUSE_FETCH_PAGE = 12, CAUSE_LOAD_PAGE = 13, CAUSE_STORE_PAGE = 15, CAUSE_SOFTWARE_CHECK = 18,
};
#define CAUSE_IRQ (UINT64_C(1) << 63)
enum { IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11, IRQ_LCOFI = 13 };

struct isa_config; /* which extensions and sizes: cpu/riscv/config.h */
struct sbi;

/* The rest of the state (CSRs, PMP, counters, timers) is defined by cpu/riscv/csr.h's owner in this struct. */
struct rv {
    struct vcpu v;
    const struct isa_config *cfg;
    uint8_t priv;
    uint8_t frm;      /* 0..7 as written */
    uint8_t fflags;   /* NV DZ OF UF NX = bits 4..0; complete only when C code runs (the host's are folded in by then) */
    uint64_t mstatus;
    /* CSRs, PMP, counters, timers: the owner of csr.def adds them here */
};

static inline uint64_t x_get(const struct rv *c, unsigned r) { return c->v.r[r]; }
static inline void x_set(struct rv *c, unsigned r, uint64_t v)
{
    if (r)
        c->v.r[r] = v;
}

/* Record a trap. Always false. */
static inline bool rv_trap(struct rv *c, uint64_t cause, uint64_t tval)
{
    c->v.trap = (struct vcpu_trap){.cause = cause, .tval = tval};
    c->v.fault = 1;
    return false;
}
static inline bool rv_illegal(struct rv *c, const struct insn *i) { return rv_trap(c, CAUSE_ILLEGAL, i->raw); }

/* FP instructions begin with it: FS off = illegal instruction, else marks FS dirty (so state is dirty after any FP instruction). */
bool rv_fp_begin(struct rv *c, const struct insn *i);
/* The rounding mode of i (static, or frm): 0..4 in *rm; false: reserved, illegal instruction recorded. */
bool rv_fp_rm(struct rv *c, const struct insn *i, unsigned *rm);

/* May the current privilege do this to a cache block (menvcfg, senvcfg)? false: illegal instruction recorded. */
enum cbo_kind { CBO_INVAL, CBO_CLEAN, CBO_FLUSH, CBO_ZERO };
bool rv_cbo_allowed(struct rv *c, const struct insn *i, enum cbo_kind kind);

#endif
