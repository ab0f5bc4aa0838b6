/*
 * The state of one RISC-V hart. struct vcpu comes first: registers, pc, and what generated code uses are there.
 *
 * exec_ functions: c->v.pc is the instruction's own pc, c->v.npc the next (they overwrite it to jump). They return
 * false after rv_trap or a failed memory access; nothing architectural may have changed then except what the
 * specification says has.
 */
#ifndef CPU_RISCV_RV_H
#define CPU_RISCV_RV_H

#include "base/clock.h"
#include "base/err.h"
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

enum { /* mstatus */
    MSTATUS_SIE = 1 << 1, MSTATUS_MIE = 1 << 3, MSTATUS_SPIE = 1 << 5, MSTATUS_MPIE = 1 << 7, MSTATUS_SPP = 1 << 8,
    MSTATUS_MPP = 3 << 11, MSTATUS_FS = 3 << 13, MSTATUS_MPRV = 1 << 17, MSTATUS_SUM = 1 << 18, MSTATUS_MXR = 1 << 19,
    MSTATUS_TVM = 1 << 20, MSTATUS_TW = 1 << 21, MSTATUS_TSR = 1 << 22,
};
enum { MSTATUS_MPP_SHIFT = 11, MSTATUS_FS_SHIFT = 13 };
#define MSTATUS_UXL (UINT64_C(3) << 32)
#define MSTATUS_SXL (UINT64_C(3) << 34)
#define MSTATUS_SD (UINT64_C(1) << 63)

enum { PMP_ENTRIES = 64, HPM_FIRST = 3, COUNTERS = 32 };

struct pmp {
    uint8_t cfg[PMP_ENTRIES];
    uint64_t addr[PMP_ENTRIES];
    /* derived: the active entries in order, [lo, hi] in bytes */
    struct pmp_rule {
        uint64_t lo, hi;
        uint8_t cfg;
    } rule[PMP_ENTRIES];
    unsigned rules;
};

/* value[i] was right when its source stood at mark[i]; it runs on from there while its bit in `running` is set. */
struct counters {
    uint64_t value[COUNTERS], mark[COUNTERS];
    uint64_t event[COUNTERS]; /* mhpmevent3.. by their counter's number */
    uint32_t inhibit;         /* mcountinhibit */
    uint32_t running;
    uint32_t filtered;        /* counters that stop in some privilege mode */
    uint64_t dtlb_read, dtlb_write, itlb; /* TLB misses: sources of their events */
};

enum { RV_CAUSES = 24 }; /* mcause without the interrupt bit, that have a name or could get one */

/* What the machine gives a hart, apart from memory and time. Set before it runs; all may be NULL. */
struct rv_host {
    void *arg;
    /* Bytes of entropy for the seed CSR (gate_random). NULL: the seed CSR reports ES16 never, always WAIT. */
    void (*random)(void *arg, void *buf, size_t len);
    /* The semihosting sequence was executed: a0 = operation, a1 = parameter. false: it is an ordinary ebreak. */
    bool (*semihost)(void *arg, struct rv *c);
};

/*
 * Guest-visible state is written by the hart's thread alone, except for irq_lines and irq_soft (atomic). mip is the OR
 * of both: lines follow devices and Sstc's comparator, soft bits are what software (or an IPI) has set.
 */
struct rv {
    struct vcpu v;
    const struct isa_config *cfg;
    uint8_t priv;
    uint8_t frm;      /* 0..7 as written */
    uint8_t fflags;   /* NV DZ OF UF NX = bits 4..0; complete only when C code runs (the host's are folded in by then) */
    uint64_t mstatus; /* SD is computed when read */
    uint64_t mie, medeleg, mideleg, mtvec, mscratch, mepc, mcause, mtval, misa;
    uint64_t stvec, sscratch, sepc, scause, stval, satp;
    uint64_t menvcfg, senvcfg, mseccfg;
    uint64_t mstateen[4], sstateen[4];
    uint64_t stimecmp;
    uint32_t mcounteren, scounteren;
    struct pmp pmp;
    struct counters counters;

    /* derived by rv_update_view: how data addresses are translated */
    struct {
        uint8_t priv;   /* effective privilege (MPRV) */
        uint8_t levels; /* 0: bare */
        bool sum, mxr;
        uint8_t mask_bits; /* pointer masking: upper bits ignored, 0 = off */
    } data;

    /* --- shared with other threads --- */
    _Atomic uint64_t irq_lines, irq_soft;
    pthread_mutex_t timer_lock; /* stimecmp against its timer's callback */
    struct timer stimer;
    struct timer overflow_timer; /* looks after counters about to overflow (Sscofpmf) */
    _Atomic bool overflow_due;
    _Atomic uint64_t time_delta; /* guest time minus clock, in ticks (mtime was written) */
    /* --- set up by the machine --- */
    struct rv_host host;
    struct sbi *sbi;      /* NULL: M-mode firmware runs in the guest */
    _Atomic uint32_t hsm; /* enum sbi_hsm_state, see sbi.h */
    gva start_pc;         /* where reset goes, and with what in a0..a2 */
    uint64_t start_a[3];
    /* Traps taken since the start: exceptions, interrupts, by cause; calls to native SBI too. Others read it, relaxed. */
    uint64_t trap_count[2][RV_CAUSES];
};

#define RV_TIME_HZ UINT64_C(10000000)
#define RV_NS_PER_TICK (NS_PER_SEC / RV_TIME_HZ)

/* A hart in reset; free with rv_free. bus, clock and log live longer; log may be NULL. */
struct rv *rv_new(const struct isa_config *cfg, struct bus *bus, struct clock *clock, struct log *log, unsigned index,
                  struct err *e);
void rv_free(struct rv *c);
/* Where reset leads (M-mode firmware: the reset vector; native SBI: the kernel), a0 = hart number, a1 = device tree. */
void rv_set_start(struct rv *c, gva pc, uint64_t a1, uint64_t a2);

/* An interrupt line of the hart (IRQ_MSI, IRQ_MTI, IRQ_MEI, IRQ_SEI: level; IRQ_SSI: raising sets SSIP). Any thread. */
void rv_irq_set(struct rv *c, unsigned irq, bool level);
uint64_t rv_mip(const struct rv *c);
/* mtime as the ACLINT shows it, in ticks; and what writing it does (call for every hart). Any thread. */
uint64_t rv_time(const struct rv *c);
void rv_time_set(struct rv *c, uint64_t ticks);

/* sfence.vma on this hart, its own thread: all addresses or va's page, all address spaces or one. */
void rv_sfence(struct rv *c, bool all_va, gva va, bool all_asid, uint32_t asid);

/* After a change of privilege, satp, mstatus' translation bits, envcfg or PMP: v.ctx becomes the view that now holds. */
void rv_update_view(struct rv *c);
/* After a change of enables: asks for a poll when an interrupt can now be taken. */
void rv_update_irq(struct rv *c);

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
