/*
 * What every guest ISA's vCPU has in common, and the layout generated code relies on.
 *
 * A vCPU belongs to its thread. Others reach it by vcpu_kick (attention bits) and vcpu_post (work run by its thread
 * at the next poll point). The ISA's struct (struct rv) has struct vcpu first.
 */
#ifndef CPU_VCPU_H
#define CPU_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/types.h"
#include "mmu/ram.h"
#include "mmu/tlb.h"

struct bus;
struct clock;
struct isa_ops;
struct log;
struct vcpu;

/* Reasons for generated code to leave at its next poll; 0 = run on. */
enum {
    ATT_IRQ = 1,    /* interrupt lines or enables changed: look again */
    ATT_WORK = 2,   /* posted work waits */
    ATT_STOP = 4,   /* the machine pauses, resets or ends: return to the thread's loop */
    ATT_WFI = 8,    /* set by the vCPU itself: park until an interrupt is pending */
    ATT_DEBUG = 16, /* breakpoint or single step: return to the thread's loop */
};

struct vcpu_trap {
    uint64_t cause; /* ISA's code */
    uint64_t tval, tval2;
};

struct vcpu_work { /* owned by the poster; `done` is set (release) when it ran */
    void (*fn)(struct vcpu *v, void *arg);
    void *arg;
    struct vcpu_work *next;
    _Atomic bool done;
};

/*
 * The jump cache: guest pc -> host code, for indirect jumps. Filled by the translator on the vCPU's own thread; an entry
 * is purged (atomic store of pc = TLB_NONE) by any thread when its block dies. It serves all views, and no fence flushes it:
 * the code compares the ids of its pages with those of the current view first. The index is plain bits of the pc, so that
 * purging needs no search; with 12 of them, fork and exec in Linux missed 6,600 times, with 14 2,600, with 16 1,500.
 */
enum { JC_BITS = 16, JC_SIZE = 1 << JC_BITS };
#define JC_INDEX(pc) (((pc) >> 1) & (JC_SIZE - 1))

struct jump_entry {
    gva pc; /* or TLB_NONE */
    const void *code;
};

/* Upward calls, set by the translator (it owns the struct). */
struct vcpu_hooks {
    void *arg;
    void (*fence_i)(void *arg, struct vcpu *v);                      /* v executed fence.i */
    void (*page_written)(void *arg, gpa page, uint8_t *page_flags);  /* a watched code page is about to be written */
};

struct vcpu {
    /* --- generated code addresses these; keep the order --- */
    uint64_t r[32];      /* integer registers; RISC-V: r[0] is 0 and never written */
    uint64_t f[32];      /* floating point, raw, NaN-boxed */
    uint64_t pc;         /* of the instruction being executed; exact in every C function that generated code calls */
    uint64_t npc;        /* of the next one; a helper that jumps writes it */
    uint64_t icount;     /* instructions retired; exact at block exits and faults */
    struct tlb_ctx *ctx; /* current view */
    _Atomic uint32_t attention;
    uint32_t fault;      /* set with `trap` by a helper that failed: 1; generated code leaves */
    uint32_t fp_live;    /* 1: FP state is in host registers (generated code's own, 0 in C code); 0: in f[] */
    uint32_t fp_host_csr;/* host FP control/status image to load when fp_live is set; sticky flags are folded from it */
    uint64_t res_addr, res_val; /* LR reservation: gva and the value loaded (sign-extended); res_addr = -1: none */
    uint64_t scratch[8]; /* generated code's own */
    struct jump_entry *jc; /* JC_SIZE of them */
    gva pc_page;         /* page base of pc while position-independent code runs (translator/tb.h) */
    struct vcpu_trap trap;
    /* --- the rest --- */
    const struct isa_ops *isa;
    struct tlb *tlb;
    struct bus *bus;
    struct clock *clock;
    struct log *log;
    const struct vcpu_hooks *hooks;
    struct mem_trace *trace; /* lockstep: log (and undo) memory writes; NULL otherwise */
    unsigned index;          /* 0..n-1 */
    /* thread */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct vcpu_work *work; /* under lock */
    bool parked;            /* under lock: in WFI or stopped */
    uint64_t poll_epoch;    /* release-stored at each poll: reclaiming of code waits for it */
};

/* ISA-independent part of construction. v is zeroed memory of the ISA's struct. */
bool vcpu_init(struct vcpu *v, const struct isa_ops *isa, struct bus *bus, struct clock *clock, struct log *log, unsigned index);
void vcpu_fini(struct vcpu *v);

void vcpu_kick(struct vcpu *v, uint32_t attention); /* any thread; wakes a parked vCPU */
void vcpu_post(struct vcpu *v, struct vcpu_work *w); /* any thread; async */
void vcpu_post_wait(struct vcpu *v, struct vcpu *self, struct vcpu_work *w); /* and wait; self (may be NULL) serves its own work meanwhile */
void vcpu_run_work(struct vcpu *v); /* own thread */
/* Own thread: sleep until attention other than ATT_WFI is set, at most ns of host time. false: time ran out. */
bool vcpu_park(struct vcpu *v, uint64_t ns);

/* Slow paths, see isa.h. */
bool vcpu_load_slow(struct vcpu *v, gva va, unsigned size, uint64_t *val);
bool vcpu_store_slow(struct vcpu *v, gva va, unsigned size, uint64_t val);

/* Load size bytes (1, 2, 4, 8), zero-extended. false: v->trap is set. */
static inline bool vcpu_load(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    const struct tlb_entry *e = &v->ctx->rd[TLB_INDEX(va)];

    if (__builtin_expect(e->tag == ((va + size - 1) & PAGE_MASK), 1)) {
        *val = ram_load((const void *)(uintptr_t)(va + e->addend), size);
        return true;
    }
    return vcpu_load_slow(v, va, size, val);
}

static inline bool vcpu_store(struct vcpu *v, gva va, unsigned size, uint64_t val)
{
    const struct tlb_entry *e = &v->ctx->wr[TLB_INDEX(va)];

    if (__builtin_expect(e->tag == ((va + size - 1) & PAGE_MASK), 1)) {
        ram_store((void *)(uintptr_t)(va + e->addend), size, val);
        return true;
    }
    return vcpu_store_slow(v, va, size, val);
}

#endif
