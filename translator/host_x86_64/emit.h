/*
 * T1, the baseline back end: one pass over a block's IR, guest registers in fixed host registers.
 *
 *   rbp            &v->r[16]: every r[] is [rbp + disp8]
 *   r15            v->ctx
 *   rsp            host stack; [rsp + 8 k] are the block's spill slots
 *   rax rcx rdx    scratch
 *   rbx rsi rdi r8-r14   homes of ten guest integer registers (isa->hot_r), true at every block boundary
 *   xmm0 xmm1      scratch
 *   xmm2-xmm14     homes of thirteen FP registers (isa->hot_f), true while v->fp_live; MXCSR is then the guest's
 *   v->pc_page     of a position-independent block: the gva of its page, from which all its addresses count
 *   xmm15          instructions retired, not yet added to v->icount (an addition to memory in every block costs 10 to 30 %
 *                  in short loops, for it waits for the one before)
 *
 * Every IR value has a place (enum loc). getr makes no code: the value is an alias of the register's home or memory until
 * that is overwritten while the value is still wanted; then it is copied to a spill slot. An operation whose result goes
 * to the next setr computes right into that home. Scratch registers hold values from one operation to a later one.
 */
#ifndef TRANSLATOR_HOST_X86_64_EMIT_H
#define TRANSLATOR_HOST_X86_64_EMIT_H

#include "cpu/vcpu.h"
#include "translator/host_x86_64/asm.h"
#include "translator/ir.h"
#include "translator/tb.h"

enum {
    HOMES = 10, FHOMES = 13, FIRST_FHOME = 2, COUNT_XMM = 15,
    SLOTS = 64,
    FRAME = SLOTS * 8 + 8,
    ROOM_PER_OP = 512, /* code bytes one operation and its cold part may take; compile checks it before each */
    MAX_COLD = 1024,
    MAX_GROUPS = 64, GROUP_RANGE = 512,
    NO_VAL = 0xffff, ANON = 0xfffe,
};

/* Where a field of struct vcpu is, from rbp. */
#define V_OFF(field) ((int)offsetof(struct vcpu, field) - 16 * 8)
#define V_MEM(field) rm_mem(RBP, V_OFF(field))

enum const_pool { /* 16 bytes each, in the stub area */
    POOL_SIGN_D, POOL_ABS_D, POOL_SIGN_S, POOL_ABS_S, POOL_BOX, POOL_NAN_D, POOL_NAN_S, POOL_TWO63_D, POOL_TWO63_S,
    POOL_TWO64_D, POOL_TWO64_S, POOL_TWO32_D, POOL_TWO32_S, POOL_MAX32_D, POOL_MINUS1_D, POOL_MINUS1_S, POOL_ZERO,
    POOL_MXCSR, POOL_COUNT
};

/* What init finds out and emits; constant afterwards. Addresses are of the execute alias. Entry is at offset 0. */
struct host_state {
    const struct isa_ops *isa;
    bool avx, bmi1, bmi2, lzcnt, popcnt, fma, clmul, aes; /* the last two with SSE4.1 */
    uint8_t home[32], fhome[32]; /* host register of a guest register, or NO_REG */
    const uint8_t *pool, *counts; /* counts: n at 16 n; -1 at 0 */
    const uint8_t *exit_link, *exit_lookup, *exit_attention, *exit_interp, *jump;
    const uint8_t *load[7], *loadf[7], *store[7], *amo, *lr[7], *sc[7], *exec, *call[2], *fp_call, *fenter;
};

enum loc { LOC_NONE, LOC_CONST, LOC_PAGE, LOC_HOME, LOC_MEM, LOC_TEMP, LOC_SPILL, LOC_FUSED };

struct val {
    uint8_t loc;   /* enum loc */
    uint8_t reg;   /* TEMP: register; SPILL: slot */
    uint8_t g;     /* HOME, MEM: guest register, 32 + n for FP */
    uint8_t into;  /* guest register + 1 of the setr that takes it, see prepare */
    bool boxed;    /* F: known to be a boxed single */
    bool dead;     /* setr: overwritten before it is seen */
    bool clean;    /* TEMP: guest register g's memory holds it too */
    uint8_t group; /* ld, st...: number + 1 of its check group, see groups.c */
    uint16_t uses, last, next; /* next: in the alias list of g */
};

struct emit;
struct fp_operand { /* of a reference function called off the main path */
    uint8_t kind, base; /* as in struct rm */
    int16_t disp;
};

struct cold {
    void (*fn)(struct emit *e, struct cold *c);
    uint8_t *from, *more[4]; /* disp32 of jumps that lead here */
    uint8_t *back;         /* where to go on, write alias */
    gva pc;
    uint64_t x;
    struct rm m;
    uint16_t done;         /* guest instructions completed before this one */
    uint8_t a, b, c, d;
    uint8_t keep;          /* scratch registers to preserve: a bit each */
    uint64_t addr;
    int32_t off;
    const struct group *group;
    const struct ir_insn *in;
    struct fp_operand f[3];
};

/* Accesses through one base register that share a check, see groups.c. Its host pointer is value IR_MAX + number. */
struct group {
    uint16_t members, last;
    int32_t lo, hi; /* bytes from the base: [lo, hi) */
    bool write;
};

struct exit_stub {
    uint8_t *disp;
    gva target;
};

struct emit {
    struct asm_buf a;
    const struct host_state *h;
    struct tb *tb;
    const struct ir_insn *ir;
    unsigned count, i;
    gva pc;
    unsigned len, done; /* bytes of the current instruction; how many come before it */
    bool failed, fp_on, pic;
    uint32_t fboxed;    /* guest FP registers known to hold boxed singles */
    uint8_t pinned, xpinned;
    uint16_t temp[3];   /* value in rax, rcx, rdx; NO_VAL, ANON */
    uint8_t cache[3];   /* guest register + 1 whose value rax, rcx, rdx hold beside its memory; 0 = none */
    uint16_t cached_at[3];
    uint16_t xtemp[2];
    uint64_t slots;     /* used spill slots */
    unsigned ncold, nexits;
    uint16_t alias[64];
    struct exit_stub exits[TB_LINKS];
    struct cold *bail;  /* of the current FP operation: the reference function does it */
    struct cold cold[MAX_COLD];
    struct group group[MAX_GROUPS];
    unsigned ngroups;
    struct val val[IR_MAX + MAX_GROUPS];
};

/* --- regs.c --- */
void prepare(struct emit *e);                    /* use counts, hints */
void end_op(struct emit *e);                     /* free what the current operation used last */
struct rm guest_mem(unsigned g);                 /* memory of guest register g (32 + n: FP) */
void pin(struct emit *e, unsigned v);            /* keep v's scratch register during this operation */
unsigned scratch(struct emit *e);                /* a scratch register until the end of this operation */
void forget_cached(struct emit *e);              /* scratch registers hold no copies any more */
void take(struct emit *e, unsigned r);           /* make scratch register r free (its value moves), anonymous until end_op */
void take_all(struct emit *e);                   /* all three; values that are not used later stay readable by peek only */
void spill_temps(struct emit *e, unsigned mask); /* move values live after this operation out of the scratch registers in mask */
void put_pc(struct emit *e, unsigned r, gva pc);  /* r = pc, counted as the block's is; flags are kept */
bool is_const(const struct emit *e, unsigned v, int64_t *c);
bool is_imm32(const struct emit *e, unsigned v, int64_t *c);
struct rm opnd(struct emit *e, unsigned v);      /* register or memory; a constant is loaded into a scratch register */
unsigned opnd_reg(struct emit *e, unsigned v);   /* in a register, pinned */
bool dies(const struct emit *e, unsigned v);     /* v is not used after the current operation */
unsigned in_reg(const struct emit *e, unsigned v); /* its register, or NO_REG */
/* Place of the current operation's result: the home it goes to, or a scratch register (one of reuse, if it dies there). */
unsigned def(struct emit *e, unsigned reuse);
/* The copies def may have to make, before a branch to a cold part that comes back behind the result. */
void prepare_def(struct emit *e);
void define_temp(struct emit *e, unsigned reg);  /* result is in scratch register reg (anonymous so far) */
void read_guest(struct emit *e, unsigned g);     /* the current operation is a getr of g */
void kill_alias(struct emit *e, unsigned g);     /* guest register g is about to change: copy values that live on */
void kill_all_aliases(struct emit *e);
void set_guest(struct emit *e, unsigned g, unsigned v);
void load_opnd(struct emit *e, unsigned r, unsigned v); /* copy the value into host register r; flags are kept */
/* FP */
unsigned fscratch(struct emit *e);
struct rm fopnd(struct emit *e, unsigned v);
unsigned fopnd_reg(struct emit *e, unsigned v);
unsigned fdef(struct emit *e, unsigned reuse);
void fdefine_temp(struct emit *e, unsigned reg);
void fspill_temps(struct emit *e);
void set_fguest(struct emit *e, unsigned g, unsigned v);

void free_val(struct emit *e, unsigned v);        /* v is not wanted any more */

/* --- groups.c --- */
void prepare_groups(struct emit *e);

/* --- emit_*.c --- */
struct cold *cold_new(struct emit *e, void (*fn)(struct emit *e, struct cold *c));
void cold_enter(struct emit *e, struct cold *c);  /* bind the jumps that lead here */
void cold_context(struct emit *e, const struct cold *c); /* rdx = pc, ecx = done: what thunks take */
bool emit_alu(struct emit *e, const struct ir_insn *in);  /* false: not one of its operations */
bool emit_mul(struct emit *e, const struct ir_insn *in);
bool emit_mem(struct emit *e, const struct ir_insn *in);
bool emit_atomic(struct emit *e, const struct ir_insn *in);
bool emit_fp(struct emit *e, const struct ir_insn *in);
bool emit_fcvt(struct emit *e, const struct ir_insn *in);
bool emit_crypto(struct emit *e, const struct ir_insn *in); /* false: a call like any other */
bool emit_flow(struct emit *e, const struct ir_insn *in);
void emit_exits(struct emit *e, const uint8_t *base);
void emit_tail(struct emit *e);
enum cc cond_cc(unsigned cond);
enum cc emit_compare(struct emit *e, unsigned a, unsigned b, unsigned cond); /* flags for cc */
void need_fp(struct emit *e);
/* Between bail_begin and bail_end, while the operands are intact, bail_on leaves the operation to its reference function. */
void bail_begin(struct emit *e, const struct ir_insn *in);
void bail_on(struct emit *e, enum cc cc);
void bail_end(struct emit *e);
void check_operands(struct emit *e, const struct ir_insn *in); /* singles that are not boxed: bail */
void through_reference(struct emit *e, const struct ir_insn *in); /* a call instead of host instructions */

/* scalar FP: op d, s, rm. prefix: none for S/D pairs is chosen by fmt */
enum { FP_PS, FP_S, FP_D }; /* packed bits (andps), scalar single, scalar double */
void fp3(struct emit *e, unsigned op, unsigned kind, unsigned d, unsigned s, struct rm m);
void fp2(struct emit *e, unsigned op, unsigned kind, unsigned d, struct rm m); /* two operands: moves, compares */
void fp_canonical(struct emit *e, unsigned kind, unsigned d); /* a NaN in d becomes the canonical one */
void fp_raw2(struct emit *e, unsigned op, unsigned d, struct rm m);            /* prefix already in op */
static inline struct rm pool(const struct emit *e, enum const_pool c) { return rm_abs(e->h->pool + 16 * c); }

/* --- stubs.c --- */
void jump_entry(const struct host_state *h, struct asm_buf *a); /* rax = where the jump cache keeps the pc in rdx */
bool stubs_emit(struct host_state *h, struct asm_buf *a);

#endif
