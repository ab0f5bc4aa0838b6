/*
 * Conversions between formats, and between floating point and integers; reading and setting FP flags and mode.
 *
 * To integers: the host answers a conversion out of range with 0x80... and the invalid flag, as RISC-V wants the flag;
 * the value is mended off the main path. Unsigned ones are range-checked first, because the host converts them through a
 * wider signed type and would raise other flags; the reference function does what is out of range.
 * A static rounding mode is roundsd's; from integers it matters only for large ones.
 */
#include "translator/host_x86_64/emit.h"

static unsigned kind_of(unsigned fmt) { return fmt == IR_S ? FP_S : FP_D; }

static unsigned int_of(const struct ir_insn *in) { return in->imm & IR_INT_MASK; }
static unsigned mode_of(const struct ir_insn *in) { return in->imm & IR_STATIC_MASK; }

static struct rm const_of(struct emit *e, unsigned kind, enum const_pool d, enum const_pool s)
{
    return pool(e, kind == FP_D ? d : s);
}

static void box(struct emit *e, unsigned d)
{
    fp3(e, F_OR, FP_PS, d, d, pool(e, POOL_BOX));
    e->val[e->i].boxed = true;
}

static void float_to_float(struct emit *e, const struct ir_insn *in)
{
    unsigned from = kind_of(in->sub), a, d;

    check_operands(e, in);
    a = fopnd_reg(e, in->a);
    d = fdef(e, in->a);
    if (e->h->avx)
        fp3(e, F_CVT_FF, from, d, a, rm_reg(a));
    else
        fp2(e, F_CVT_FF, from, d, rm_reg(a));
    if (from == FP_D)
        box(e, d);
    fp_canonical(e, from == FP_D ? FP_S : FP_D, d);
}

/* The host said 0x80...: kept for negative operands, the largest integer for the others and NaN. */
static void cold_saturate(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;
    uint8_t *nan;

    cold_enter(e, c);
    asm_mov_imm(a, c->d, c->x ? INT64_MAX : INT32_MAX);
    fp2(e, F_UCOMI, c->a, c->b, pool(e, POOL_ZERO));
    nan = asm_jcc_short(a, CC_P);
    asm_8(a, 0x70 | CC_AE);
    asm_8(a, 0);

    uint8_t *positive = a->p - 1;

    asm_mov_imm(a, c->d, c->x ? INT64_MIN : INT32_MIN);
    asm_bind_short(a, nan);
    asm_bind_short(a, positive);
    asm_jmp_back(a, c->back);
}

/* a: where the operand is. */
static void to_signed(struct emit *e, const struct ir_insn *in, unsigned op, unsigned kind, unsigned a)
{
    unsigned d = def(e, IR_NONE), w = int_of(in) == IR_I64 ? OP_W : 0;
    struct cold *c;

    fp_raw2(e, op | w | (kind == FP_D ? PP_F2 : PP_F3), d, rm_reg(a));
    asm_alu_imm(&e->a, w, ALU_CMP, rm_reg(d), 1); /* overflows for 0x80... alone */
    c = cold_new(e, cold_saturate);
    c->from = asm_jcc_fwd(&e->a, CC_O);
    if (!w)
        asm_rr(&e->a, X_MOVSXD, d, d);
    c->back = e->a.p;
    c->a = (uint8_t)kind;
    c->b = (uint8_t)a;
    c->d = (uint8_t)d;
    c->x = w != 0;
}

/* 2^63 and above: doubles and singles there are integers, and so is the difference. c->b operand, c->c scratch. */
static void cold_large(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    fp2(e, F_MOVAPS, FP_PS, c->c, rm_reg(c->b));
    fp3(e, F_SUB, c->a, c->c, c->c, const_of(e, c->a, POOL_TWO63_D, POOL_TWO63_S));
    fp_raw2(e, F_CVTT_TO_INT | OP_W | (c->a == FP_D ? PP_F2 : PP_F3), c->d, rm_reg(c->c));
    asm_op_tail(&e->a, 0xba | MAP_0F | OP_W, 7, rm_reg(c->d), 1); /* btc d, 63 */
    asm_8(&e->a, 63);
    asm_jmp_back(&e->a, c->back);
}

static void to_unsigned(struct emit *e, const struct ir_insn *in, unsigned op, unsigned kind)
{
    bool wide = int_of(in) == IR_U64, truncates = mode_of(in) == IR_RTZ;
    unsigned a = fopnd_reg(e, in->a), d, t;
    struct cold *c;

    if (!e->bail)
        bail_begin(e, in);
    /* Below, or NaN. A fraction above -1 truncates to 0; rounded otherwise it may not. */
    fp2(e, F_UCOMI, kind, a, truncates ? const_of(e, kind, POOL_MINUS1_D, POOL_MINUS1_S) : pool(e, POOL_ZERO));
    bail_on(e, truncates ? CC_BE : CC_B);
    if (wide) {
        fp2(e, F_UCOMI, kind, a, const_of(e, kind, POOL_TWO64_D, POOL_TWO64_S));
        bail_on(e, CC_AE);
    } else if (truncates || kind == FP_S) {
        fp2(e, F_UCOMI, kind, a, const_of(e, kind, POOL_TWO32_D, POOL_TWO32_S));
        bail_on(e, CC_AE);
    } else {
        fp2(e, F_UCOMI, kind, a, pool(e, POOL_MAX32_D));
        bail_on(e, CC_A);
    }
    t = fscratch(e);
    d = def(e, IR_NONE);
    if (!wide) {
        fp_raw2(e, op | OP_W | (kind == FP_D ? PP_F2 : PP_F3), d, rm_reg(a));
        asm_rr(&e->a, X_MOVSXD, d, d);
        return;
    }
    fp2(e, F_UCOMI, kind, a, const_of(e, kind, POOL_TWO63_D, POOL_TWO63_S));
    c = cold_new(e, cold_large);
    c->from = asm_jcc_fwd(&e->a, CC_AE);
    fp_raw2(e, op | OP_W | (kind == FP_D ? PP_F2 : PP_F3), d, rm_reg(a));
    c->back = e->a.p;
    c->a = (uint8_t)kind;
    c->b = (uint8_t)a;
    c->c = (uint8_t)t;
    c->d = (uint8_t)d;
}

/*
 * In a static mode: round to an integral number, which raises the inexact flag, then convert. To 64 bits only: what is
 * out of their range has no fraction, but would be inexact and then invalid in 32 bits.
 */
static void to_int_static(struct emit *e, const struct ir_insn *in, unsigned kind)
{
    unsigned mode = mode_of(in), a = fopnd_reg(e, in->a), t = fscratch(e);

    asm_vex_tail(&e->a, (kind == FP_D ? 0x0bu : 0x0au) | MAP_3A | PP_66, t, a, rm_reg(a), 1); /* roundsd, roundss */
    asm_8(&e->a, mode == IR_RNE ? 0 : mode == IR_RDN ? 1 : 2);
    to_signed(e, in, F_CVTT_TO_INT, kind, t);
}

static void to_int(struct emit *e, const struct ir_insn *in)
{
    unsigned kind = kind_of(in->sub), mode = mode_of(in), op = mode == IR_RTZ ? F_CVTT_TO_INT : F_CVT_TO_INT;
    bool other = mode && mode != IR_RTZ;

    if (other && (int_of(in) != IR_I64 || mode == IR_RMM || !e->h->avx)) {
        through_reference(e, in);
        return;
    }
    check_operands(e, in);
    if (other)
        to_int_static(e, in, kind);
    else if (int_of(in) == IR_I32 || int_of(in) == IR_I64)
        to_signed(e, in, op, kind, fopnd_reg(e, in->a));
    else
        to_unsigned(e, in, op, kind);
}

static void from_reg(struct emit *e, unsigned kind, unsigned w, unsigned d, struct rm m)
{
    fp3(e, F_XOR, FP_PS, d, d, rm_reg(d)); /* no wait for the old value */
    fp3(e, F_CVT_FROM_INT | w, kind, d, d, m);
}

/* Unsigned, 2^63 or more: half of it, rounded to odd, converts with the right rounding and flags; then twice that. */
static void cold_from_large(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;

    cold_enter(e, c);
    asm_mov(a, c->b, c->c);
    asm_shift_imm(a, OP_W, SH_SHR, c->c, 1);
    asm_alu_imm(a, 0, ALU_AND, rm_reg(c->b), 1);
    asm_alu(a, OP_W, ALU_OR, c->c, rm_reg(c->b));
    from_reg(e, c->a, OP_W, c->d, rm_reg(c->c));
    fp3(e, F_ADD, c->a, c->d, c->d, rm_reg(c->d));
    asm_jmp_back(a, c->back);
}

/* The reference function on the integer in c->c; c->d: result. */
static void cold_from_reference(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;

    cold_enter(e, c);
    asm_store(a, V_MEM(scratch[1]), c->c);
    asm_store_imm(a, 8, V_MEM(scratch[2]), c->in->imm);
    asm_store_imm(a, 8, V_MEM(scratch[0]), c->in->sub);
    asm_mov_imm(a, RAX, (int64_t)(intptr_t)e->h->isa->fp->cvt_if);
    cold_context(e, c);
    asm_call(a, e->h->fp_call);
    fp_raw2(e, F_MOVQ_FROM_GPR, c->d, rm_reg(RAX));
    asm_jmp_back(a, c->back);
}

/* In a static mode: at once when the integer is exact in any mode, from -2^n (unsigned: 0) to 2^n - 1. */
static void from_int_static(struct emit *e, const struct ir_insn *in, unsigned kind)
{
    struct asm_buf *a = &e->a;
    unsigned n = kind == FP_D ? 53 : 24, from, t, d;
    struct cold *c;

    spill_temps(e, ~0u);
    fspill_temps(e);
    forget_cached(e);
    prepare_def(e);
    from = scratch(e);
    load_opnd(e, from, in->a);
    if (int_of(in) == IR_I32)
        asm_rr(a, X_MOVSXD, from, from);
    else if (int_of(in) == IR_U32)
        asm_rr(a, X_LOAD, from, from);
    t = scratch(e);
    d = fdef(e, IR_NONE);
    if (int_of(in) == IR_U64) {
        asm_mov(a, t, from);
        asm_shift_imm(a, OP_W, SH_SHR, t, n);
    } else {
        asm_mov_imm(a, t, INT64_C(1) << n);
        asm_alu(a, OP_W, ALU_ADD, t, rm_reg(from));
        asm_shift_imm(a, OP_W, SH_SHR, t, n + 1);
    }
    c = cold_new(e, cold_from_reference);
    c->from = asm_jcc_fwd(a, CC_NE);
    from_reg(e, kind, OP_W, d, rm_reg(from));
    if (kind == FP_S)
        box(e, d);
    c->back = a->p;
    c->in = in;
    c->c = (uint8_t)from;
    c->d = (uint8_t)d;
}

static void from_int(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    unsigned kind = kind_of(in->sub), d, t, t2;
    struct cold *c;

    if (mode_of(in)) {
        from_int_static(e, in, kind);
        return;
    }
    d = fdef(e, IR_NONE);
    switch (int_of(in)) {
    case IR_I32:
    case IR_I64: from_reg(e, kind, int_of(in) == IR_I64 ? OP_W : 0, d, opnd(e, in->a)); break;
    case IR_U32: {
        struct rm m = opnd(e, in->a);

        t = scratch(e);
        asm_op(a, X_LOAD, t, m);
        from_reg(e, kind, OP_W, d, rm_reg(t));
        break;
    }
    default:
        t = scratch(e);
        t2 = scratch(e);
        load_opnd(e, t, in->a);
        asm_rr(a, X_TEST | OP_W, t, t);
        c = cold_new(e, cold_from_large);
        c->from = asm_jcc_fwd(a, CC_S);
        from_reg(e, kind, OP_W, d, rm_reg(t));
        c->back = a->p;
        c->a = (uint8_t)kind;
        c->b = (uint8_t)t2;
        c->c = (uint8_t)t;
        c->d = (uint8_t)d;
    }
    if (kind == FP_S)
        box(e, d);
}

static void bits_to_int(struct emit *e, const struct ir_insn *in)
{
    struct rm m = fopnd(e, in->a);
    unsigned d = def(e, IR_NONE);

    if (m.kind == RM_IS_MEM) {
        asm_op(&e->a, in->sub == IR_S ? X_MOVSXD : X_LOAD | OP_W, d, m);
    } else if (in->sub == IR_S) {
        fp_raw2(e, F_MOVD_TO_GPR, m.base, rm_reg(d));
        asm_rr(&e->a, X_MOVSXD, d, d);
    } else {
        fp_raw2(e, F_MOVQ_TO_GPR, m.base, rm_reg(d));
    }
}

static void bits_from_int(struct emit *e, const struct ir_insn *in)
{
    struct rm m = opnd(e, in->a);
    unsigned d = fdef(e, IR_NONE);

    fp_raw2(e, in->sub == IR_S ? F_MOVD_FROM_GPR : F_MOVQ_FROM_GPR, d, m);
    if (in->sub == IR_S)
        box(e, d);
}

/* --- flags and mode --- */

static struct rm status_byte(uint16_t offset) { return rm_mem(RBP, offset - 16 * 8); }

static void get_flags(struct emit *e)
{
    const struct fp_ops *fp = e->h->isa->fp;
    struct asm_buf *a = &e->a;
    unsigned d = def(e, IR_NONE), t = scratch(e);

    asm_op(a, X_0FAE, 3, V_MEM(scratch[7])); /* stmxcsr */
    asm_op(a, X_LOAD, t, V_MEM(scratch[7]));
    asm_alu_imm(a, 0, ALU_AND, rm_reg(t), 63);
    asm_mov_imm(a, d, (int64_t)(intptr_t)fp->flags_of_host);
    asm_op(a, X_MOVZX8, t, rm_sib(d, t, 0, 0));
    asm_op(a, X_MOVZX8, d, status_byte(fp->flags_offset));
    asm_alu(a, 0, ALU_OR, d, rm_reg(t));
}

static void set_flags(struct emit *e, const struct ir_insn *in)
{
    const struct fp_ops *fp = e->h->isa->fp;
    struct asm_buf *a = &e->a;
    unsigned t = scratch(e);

    load_opnd(e, t, in->a);
    asm_alu_imm(a, 0, ALU_AND, rm_reg(t), fp->flags_of_host[63]);
    asm_op(a, X_STORE8, t, status_byte(fp->flags_offset));
    asm_op(a, X_0FAE, 3, V_MEM(scratch[7]));
    asm_alu_imm(a, 0, ALU_AND, V_MEM(scratch[7]), ~63);
    asm_op(a, X_0FAE, 2, V_MEM(scratch[7])); /* ldmxcsr */
}

static void get_mode(struct emit *e)
{
    asm_op(&e->a, X_MOVZX8, def(e, IR_NONE), status_byte(e->h->isa->fp->mode_offset));
}

bool emit_fcvt(struct emit *e, const struct ir_insn *in)
{
    if (in->op < IR_fcvt_ff || in->op > IR_getfrm)
        return false;
    need_fp(e);
    switch (in->op) {
    case IR_fcvt_ff: float_to_float(e, in); break;
    case IR_fcvt_fi: to_int(e, in); break;
    case IR_fcvt_if: from_int(e, in); break;
    case IR_fmv_fi: bits_to_int(e, in); break;
    case IR_fmv_if: bits_from_int(e, in); break;
    case IR_getfflags: get_flags(e); break;
    case IR_setfflags: set_flags(e, in); break;
    default: get_mode(e);
    }
    bail_end(e);
    return true;
}
