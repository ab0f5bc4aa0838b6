/*
 * The intermediate representation of one block: a linear array of 16-byte operations in SSA form.
 *
 * Guest registers are read and written by getr/setr at the point where the guest does, so guest state is exact at every
 * operation that may fault: a trans_ function writes rd after the access that may fault.
 * A value is the index of the operation that made it. Builders fold constants where it costs nothing.
 * When the array is full the builders drop silently and ir->full is set: the caller translates a shorter block.
 */
#ifndef TRANSLATOR_IR_H
#define TRANSLATOR_IR_H

#include <stdio.h>

#include "base/types.h"

typedef uint16_t ir_val; /* index of an operation; IR_NONE = no operand */
enum { IR_NONE = 0xffff, IR_MAX = 2048 };

enum { IR_FLT = 1, IR_SIDE = 2, IR_END = 4, IR_SUB = 8, IR_IMM = 16 };

enum ir_op {
#define IR(name, result, args, flags, text) IR_##name,
#include "translator/ir.def"
#undef IR
    IR_OPS
};

enum ir_cond { IR_EQ, IR_NE, IR_LT, IR_GE, IR_LTU, IR_GEU };
enum ir_mem { IR_8U, IR_8S, IR_16U, IR_16S, IR_32U, IR_32S, IR_64 };
enum ir_amo { AMO_SWAP, AMO_ADD, AMO_XOR, AMO_AND, AMO_OR, AMO_MIN, AMO_MAX, AMO_MINU, AMO_MAXU };
enum ir_fmt { IR_S, IR_D };
enum ir_int { IR_I32, IR_U32, IR_I64, IR_U64, IR_INT_MASK = 3 };
/* Static rounding of conversions, or-ed to enum ir_int; none: dynamic. */
enum ir_static_rm { IR_RNE = 16, IR_RTZ = 32, IR_RDN = 48, IR_RUP = 64, IR_RMM = 80, IR_STATIC_MASK = 112 };

/* What IR_call calls: its imm. helper.h has the functions. */
enum helper {
#define HELPER(name, args, faults, text) HELPER_##name,
#include "translator/helper.def"
#undef HELPER
    HELPERS
};

struct ir_insn {
    uint8_t op;  /* enum ir_op */
    uint8_t sub;
    ir_val a, b, c;
    int64_t imm;
};
_Static_assert(sizeof(struct ir_insn) == 16, "an IR operation is 16 bytes");

struct ir {
    struct ir_insn insn[IR_MAX];
    unsigned count;
    bool full;
    bool pic; /* targets of jump and brcond count from the start of the block's page */
    ir_val known[32]; /* constants and `page` values that guest registers hold here, IR_NONE: not known */
    ir_val held[32];     /* the value that was set last, IR_NONE: none in this block */
    uint8_t version[32]; /* how often it was set; getr carries it in sub */
};

struct ir_op_info {
    const char *name;
    char result;
    const char *args;
    unsigned flags;
};
extern const struct ir_op_info ir_ops[IR_OPS];

void ir_reset(struct ir *ir);
/* The general builder; operands of the wrong class are a bug of the caller (assert in debug builds, ir_check finds it). */
ir_val ir_emit(struct ir *ir, enum ir_op op, unsigned sub, ir_val a, ir_val b, ir_val c, int64_t imm);
ir_val ir_const(struct ir *ir, int64_t v); /* shared within the block */
ir_val ir_page(struct ir *ir, int64_t off); /* off fits in 32 bits, signed */
static inline bool ir_is_const(const struct ir *ir, ir_val v, int64_t *c)
{
    if (v == IR_NONE || ir->insn[v].op != IR_const)
        return false;
    *c = ir->insn[v].imm;
    return true;
}

/* Short forms used by trans_ functions. All fold constants and identities; getr of a register set to a constant is that constant. */
ir_val ir_bin(struct ir *ir, enum ir_op op, ir_val a, ir_val b);
ir_val ir_bini(struct ir *ir, enum ir_op op, ir_val a, int64_t b);
ir_val ir_un(struct ir *ir, enum ir_op op, ir_val a);
ir_val ir_setcc(struct ir *ir, enum ir_cond c, ir_val a, ir_val b);
ir_val ir_sel(struct ir *ir, ir_val c, ir_val a, ir_val b);
ir_val ir_ld(struct ir *ir, enum ir_mem m, ir_val addr, int64_t off);
void ir_st(struct ir *ir, enum ir_mem m, ir_val addr, int64_t off, ir_val v);
ir_val ir_getr(struct ir *ir, unsigned r);
void ir_setr(struct ir *ir, unsigned r, ir_val v);
ir_val ir_getf(struct ir *ir, unsigned r);
void ir_setf(struct ir *ir, unsigned r, ir_val v);
void ir_brcond(struct ir *ir, enum ir_cond c, ir_val a, ir_val b, gva target); /* folded to nothing when never taken */
void ir_jump(struct ir *ir, gva target);
void ir_jumpr(struct ir *ir, ir_val target); /* to a constant (pic: a `page`) it becomes a jump */
void ir_leave(struct ir *ir);
void ir_exec(struct ir *ir, const void *insn);

/* ir_add(ir, a, b) and ir_addi(ir, a, 4) for each two-operand operation; ir_sext32(ir, a) for each one-operand one. */
#define IR_BINARY(X) \
    X(add) X(sub) X(and) X(or) X(xor) X(andn) X(orn) X(xnor) X(shl) X(shr) X(sar) X(rol) X(ror) \
    X(add32) X(sub32) X(shl32) X(shr32) X(sar32) X(rol32) X(ror32) X(mul) X(mul32) X(mulhs) X(mulhu) X(mulhsu) \
    X(divs) X(divu) X(rems) X(remu) X(divs32) X(divu32) X(rems32) X(remu32) X(mins) X(maxs) X(minu) X(maxu)
#define IR_UNARY(X) \
    X(sext8) X(sext16) X(sext32) X(zext8) X(zext16) X(zext32) X(clz) X(ctz) X(popcnt) X(clz32) X(ctz32) X(popcnt32) X(bswap) \
    X(orcb)
#define IR_FORM(op) \
    static inline ir_val ir_##op(struct ir *ir, ir_val a, ir_val b) { return ir_bin(ir, IR_##op, a, b); } \
    static inline ir_val ir_##op##i(struct ir *ir, ir_val a, int64_t b) { return ir_bini(ir, IR_##op, a, b); }
IR_BINARY(IR_FORM)
#undef IR_FORM
#define IR_FORM(op) static inline ir_val ir_##op(struct ir *ir, ir_val a) { return ir_un(ir, IR_##op, a); }
IR_UNARY(IR_FORM)
#undef IR_FORM

/* What a pure integer operation computes: the IR interpreter and the folding use the same function. */
uint64_t ir_eval(enum ir_op op, uint64_t a, uint64_t b, uint64_t c);
bool ir_holds(enum ir_cond c, uint64_t a, uint64_t b);
static inline bool ir_is_pure(enum ir_op op) { return op >= IR_add && op <= IR_orcb; }

void ir_print(const struct ir *ir, FILE *f);
/* NULL when well-formed, else what is wrong (static string) and where. Run after every pass in debug builds. */
const char *ir_check(const struct ir *ir, unsigned *where);

#endif
