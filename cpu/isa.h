/*
 * What the translator and the machine need to know of a guest ISA: one constant struct per ISA.
 */
#ifndef CPU_ISA_H
#define CPU_ISA_H

#include "base/types.h"

struct guest_block;
struct ir;
struct vcpu;

enum { BLOCK_MAX_INSNS = 64, BLOCK_MAX_BYTES = 4 * BLOCK_MAX_INSNS };

/*
 * A decoded piece of guest code: straight-line but for forward branches not taken, within one page; only the last
 * instruction may reach into the next page (it then stands alone, count == 1, and phys2 is set).
 */
struct guest_block {
    gva pc;
    gpa phys;      /* of pc */
    gpa phys2;     /* of the second page when the instruction straddles, else -1 */
    uint32_t mode; /* isa->mode() it was decoded for */
    bool pic;      /* for translate: pc counts from the start of its page, wherever that is mapped */
    uint16_t limit; /* in: decode at most so many instructions, 0: BLOCK_MAX_INSNS */
    uint16_t count;
    uint16_t bytes;
    void *insns;   /* the ISA's decoded instructions, isa->insn_size each; room for BLOCK_MAX_INSNS */
    uint8_t *source; /* decode leaves the bytes here as it saw them: room for BLOCK_MAX_BYTES; NULL: not wanted */
};

/*
 * The reference semantics of the IR's floating point, one function per operation and under its name (IR_fadd: add),
 * for back ends that have no host instruction for a case (host_ir: for any). They take and return what the IR says:
 * F values are raw register images (IR_S boxed; an operand that is not boxed counts as the canonical NaN), V values
 * integers. fmt is the operation's `sub` (enum ir_fmt). Rounding is the guest's dynamic mode; flags accumulate in the
 * guest's state (v need not be spilled: f[] is not touched). Every argument is of 64 bits but fmt.
 *
 * What an x86-64 back end may do inline, with MXCSR from fp_host_csr (all masked, DAZ and FTZ off), and where it must call:
 * - Operands of IR_S: bits 63..32 all ones, else the operand is 0x7fc00000. No SSE instruction looks at them.
 * - add, sub, mul, div, sqrt, cvt_ff: flags are the guest's (tininess is after rounding in both; DE is ignored). A NaN
 *   result must become 0x7ff8000000000000 or 0xffffffff7fc00000: SSE keeps payloads and makes negative default NaNs.
 *   ucomis of the result with itself raises nothing, as arithmetic never gives a signalling NaN.
 * - madd and its kin: vfmadd, vfmsub, vfnmadd (= nmsub), vfnmsub (= nmadd) likewise, but inf * 0 + qNaN is NV for the
 *   guest and silent on the host: when the result is a NaN call the function here.
 * - min, max: ucomis first (NV for signalling NaNs only, as the guest). Unordered: call. Equal, thus the same number or
 *   zeros of both signs: or (min), and (max) of the bits. Else minsd or maxsd, which would raise NV for any NaN.
 * - eq: ucomis; lt, le: comis with operands swapped and `above`, which is false when unordered.
 * - cvt_fi: I32 and I64 by cvt(t)s[sd]2si of that width; the "indefinite" result 0x80... means NV or the most negative
 *   number: take it for signal to call (NaN and positive overflow give the largest). NV comes without NX in both. U32 by the
 *   64-bit form, when 0 <= x <= 2^32 - 1 is known from the bits, else call: the host would round -0.75 and -1.5 alike with
 *   NX, and rounding may carry out of the range. U64 likewise below 2^63.
 * - cvt_if: U32 zero-extended through the 64-bit form. U64 from 2^63: ((x >> 1) | (x & 1)) converted and added to itself;
 *   the OR keeps the sticky bit, doubling is exact.
 * - Calls may be made with sticky flags live in MXCSR: both are ORed in the end.
 */
typedef uint64_t fp_fn1(struct vcpu *v, unsigned fmt, uint64_t a);
typedef uint64_t fp_fn2(struct vcpu *v, unsigned fmt, uint64_t a, uint64_t b);
typedef uint64_t fp_fn3(struct vcpu *v, unsigned fmt, uint64_t a, uint64_t b, uint64_t c);

struct fp_ops {
    fp_fn2 *add, *sub, *mul, *div, *min, *max;
    fp_fn1 *sqrt;
    fp_fn3 *madd, *msub, *nmsub, *nmadd;
    fp_fn2 *sgnj, *sgnjn, *sgnjx;
    fp_fn2 *eq, *lt, *le;
    fp_fn1 *class;
    fp_fn1 *cvt_ff; /* fmt: source */
    fp_fn2 *cvt_fi; /* b: the operation's imm */
    fp_fn2 *cvt_if; /* b: likewise; fmt: destination */
    /*
     * For IR_getfflags, setfflags and getfrm: where in the ISA's vCPU struct the bytes with flags and mode are, and the
     * guest's flags for each value of MXCSR's bits 5..0. The flags are those in the byte and those sticky on the host.
     */
    uint16_t flags_offset, mode_offset;
    const uint8_t *flags_of_host;
};

struct isa_ops {
    const char *name;
    const struct fp_ops *fp;
    unsigned insn_size;
    /* guest registers that deserve host registers, best first */
    const uint8_t *hot_r, *hot_f;
    unsigned hot_r_count, hot_f_count;

    /* State outside the address space that changes the meaning of code (privilege, translation on...); part of the block key; < 256. */
    uint32_t (*mode)(const struct vcpu *v);
    /* NULL, or: the code at v->pc is likely mapped elsewhere by other address spaces (shared libraries): translate it for any place. */
    bool (*moves)(const struct vcpu *v);
    /* Host address and gpa of the code at va (2-byte parcel), with execute permission; fills code pages. false: trap set. */
    bool (*fetch)(struct vcpu *v, gva va, const uint8_t **host, gpa *pa);
    /* Decode at v->pc into b (b->insns given by the caller). false: the fetch of the first instruction faulted, trap set. */
    bool (*decode)(struct vcpu *v, struct guest_block *b);
    /* Emit IR for b. */
    void (*translate)(const struct vcpu *v, const struct guest_block *b, struct ir *ir);
    /*
     * Interpret b from its start; v->pc is its pc. Stops at its end, at a taken branch, at a fault, or after an
     * instruction that set attention. Leaves v->pc at the next instruction to execute (faulting one when false).
     */
    bool (*interp)(struct vcpu *v, const struct guest_block *b);
    /* Execute one decoded instruction through its exec_: v->pc is set by the caller; false = v->fault and v->trap are set. */
    bool (*exec)(struct vcpu *v, const void *insn);

    void (*take_trap)(struct vcpu *v);  /* deliver v->trap at v->pc; clears fault */
    bool (*take_irq)(struct vcpu *v);   /* deliver the interrupt that is due, if any: true when v->pc changed */
    bool (*irq_pending)(struct vcpu *v);/* an interrupt that ends WFI is pending (enabled in mie, whatever mstatus says) */

    /* Slow paths of memory: walk, PMP, MMIO, page crossing, misalignment, watched pages; they fill the TLB. */
    bool (*load)(struct vcpu *v, gva va, unsigned size, uint64_t *val);
    bool (*store)(struct vcpu *v, gva va, unsigned size, uint64_t val);
    /* Host address for an atomic access of size bytes (aligned, RAM, writable); NULL: trap set. */
    void *(*amo_host)(struct vcpu *v, gva va, unsigned size);
    /* LR and SC as exec_ does them, alignment included; size 4 or 8. *val is sign-extended; *fail is 0 (stored) or 1. */
    bool (*lr)(struct vcpu *v, gva va, unsigned size, uint64_t *val);
    bool (*sc)(struct vcpu *v, gva va, unsigned size, uint64_t val, uint64_t *fail);

    /*
     * FP entry: called before the first FP instruction of a block when fp_live is 0. true: FP is enabled and the
     * rounding mode is one the host has (state marked dirty, fp_host_csr prepared). false: run the block by interp.
     */
    bool (*fp_enter)(struct vcpu *v);
    void (*fp_flags)(struct vcpu *v, uint32_t host_csr); /* fold the host's sticky flags into the guest's */

    void (*reset)(struct vcpu *v);
    /*
     * Everything architectural that is not in struct vcpu's r, f, pc, npc, icount and reservation, as state_size bytes:
     * lockstep runs a block, puts the state back and runs it again. restore derives the rest anew (view, timers, lines).
     */
    size_t state_size;
    void (*state_save)(const struct vcpu *v, void *buf);
    void (*state_restore)(struct vcpu *v, const void *buf);
    /* Text of the instruction at code (len bytes available), e.g. "addi    a0,a0,1"; returns its length in bytes. */
    unsigned (*disasm)(const struct vcpu *v, gva pc, const uint8_t *code, unsigned len, char *buf, unsigned size);
    /* Name and value of register n for info registers, lockstep and gdb; NULL name ends. */
    const char *(*reg)(const struct vcpu *v, unsigned n, uint64_t *val);
};

#endif
