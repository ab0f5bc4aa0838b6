/*
 * Scalar floating point on the host's registers, with the guest's rounding mode and sticky flags in MXCSR.
 *
 * What differs from the host is caught after the operation and mended off the main path: NaN results become the canonical
 * NaN; min, max of NaNs and zeros. Singles are boxed: the upper half of the register is all ones. Scalar SSE operations
 * keep the upper bits of their first source, so results of boxed operands are boxed. An operand whose boxing the block
 * does not know is tested; with one that is not boxed (hardly in compiled code) the reference function does the operation.
 */
#include "translator/host_x86_64/emit.h"

static unsigned prefixed(unsigned op, unsigned kind)
{
    bool compare = op == F_UCOMI || op == F_COMI;

    if (kind == FP_PS)
        return op;
    if (compare)
        return kind == FP_D ? op | PP_66 : op;
    return kind == FP_D ? op | PP_F2 : op | PP_F3;
}

void fp_raw2(struct emit *e, unsigned op, unsigned d, struct rm m)
{
    if (e->h->avx)
        asm_vex(&e->a, op, d, 0, m);
    else
        asm_op(&e->a, op, d, m);
}

void fp2(struct emit *e, unsigned op, unsigned kind, unsigned d, struct rm m) { fp_raw2(e, prefixed(op, kind), d, m); }

/* d = s op m; without AVX d must be s or not be in m. */
void fp3(struct emit *e, unsigned op, unsigned kind, unsigned d, unsigned s, struct rm m)
{
    if (e->h->avx) {
        asm_vex(&e->a, prefixed(op, kind), d, s, m);
        return;
    }
    if (d != s)
        fp2(e, F_MOVAPS, FP_PS, d, rm_reg(s));
    asm_op(&e->a, prefixed(op, kind), d, m);
}

static void move(struct emit *e, unsigned d, unsigned s)
{
    if (d != s)
        fp2(e, F_MOVAPS, FP_PS, d, rm_reg(s));
}

/* --- FP state --- */

static void cold_fenter(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    cold_context(e, c);
    asm_call(&e->a, e->h->fenter);
    asm_jmp_back(&e->a, c->back);
}

/* The cold part calls into C: values in scratch registers must not live across. */
void need_fp(struct emit *e)
{
    struct cold *c;

    if (e->fp_on)
        return;
    for (unsigned r = 0; r < 3; r++)
        if (e->temp[r] != NO_VAL)
            take(e, r), e->temp[r] = NO_VAL;
    forget_cached(e);
    e->fp_on = true;
    asm_alu_imm(&e->a, 0, ALU_CMP, V_MEM(fp_live), 0);
    c = cold_new(e, cold_fenter);
    c->from = asm_jcc_fwd(&e->a, CC_E);
    c->back = e->a.p;
}

/* --- the reference functions, off the main path or for what the host has no instruction for --- */

static uintptr_t reference(const struct emit *e, unsigned op)
{
    const struct fp_ops *f = e->h->isa->fp;
    const struct {
        uint8_t op;
        void (*fn)(void);
    } fns[] = {
        {IR_fadd, (void (*)(void))f->add},       {IR_fsub, (void (*)(void))f->sub},
        {IR_fmul, (void (*)(void))f->mul},       {IR_fdiv, (void (*)(void))f->div},
        {IR_fsqrt, (void (*)(void))f->sqrt},     {IR_fmin, (void (*)(void))f->min},
        {IR_fmax, (void (*)(void))f->max},       {IR_fmadd, (void (*)(void))f->madd},
        {IR_fmsub, (void (*)(void))f->msub},     {IR_fnmsub, (void (*)(void))f->nmsub},
        {IR_fnmadd, (void (*)(void))f->nmadd},   {IR_fsgnj, (void (*)(void))f->sgnj},
        {IR_fsgnjn, (void (*)(void))f->sgnjn},   {IR_fsgnjx, (void (*)(void))f->sgnjx},
        {IR_feq, (void (*)(void))f->eq},         {IR_flt, (void (*)(void))f->lt},
        {IR_fle, (void (*)(void))f->le},         {IR_fclass, (void (*)(void))f->class},
        {IR_fcvt_ff, (void (*)(void))f->cvt_ff}, {IR_fcvt_fi, (void (*)(void))f->cvt_fi},
    };

    for (unsigned i = 0; i < sizeof fns / sizeof fns[0]; i++)
        if (fns[i].op == op)
            return (uintptr_t)fns[i].fn;
    return 0;
}

static struct fp_operand operand(struct rm m)
{
    return (struct fp_operand){.kind = m.kind, .base = m.base, .disp = (int16_t)m.disp};
}

/* rax = reference function of c->in on the operands of c->f. */
static void call_reference(struct emit *e, const struct cold *c)
{
    struct asm_buf *a = &e->a;
    const struct ir_insn *in = c->in;
    const uint16_t args[3] = {in->a, in->b, in->c};

    for (unsigned k = 0; k < 3 && args[k] != IR_NONE; k++) {
        struct rm to = rm_mem(RBP, V_OFF(scratch) + 8 * ((int)k + 1));

        if (c->f[k].kind == RM_IS_REG) {
            fp2(e, F_MOVSTORE, FP_D, c->f[k].base, to);
        } else {
            asm_load(a, RAX, rm_mem(c->f[k].base, c->f[k].disp));
            asm_store(a, to, RAX);
        }
    }
    if (in->op == IR_fcvt_fi)
        asm_store_imm(a, 8, V_MEM(scratch[2]), in->imm);
    asm_store_imm(a, 8, V_MEM(scratch[0]), in->sub);
    asm_mov_imm(a, RAX, (int64_t)reference(e, in->op));
    cold_context(e, c);
    asm_call(a, e->h->fp_call);
}

static void cold_none(struct emit *e, struct cold *c) { (void)e, (void)c; }

static void cold_bail(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    call_reference(e, c);
    if (ir_ops[c->in->op].result == 'F')
        fp_raw2(e, F_MOVQ_FROM_GPR, c->d, rm_reg(RAX));
    else if (c->d != RAX && c->d != NO_REG)
        asm_mov(&e->a, c->d, RAX);
    asm_jmp_back(&e->a, c->back);
}

/* The call loses scratch registers: values that live on leave them. */
void bail_begin(struct emit *e, const struct ir_insn *in)
{
    const uint16_t args[3] = {in->a, in->b, in->c};
    struct cold *c;

    spill_temps(e, ~0u);
    fspill_temps(e);
    forget_cached(e);
    prepare_def(e);
    c = e->bail = cold_new(e, cold_bail);
    c->in = in;
    for (unsigned k = 0; k < 3 && args[k] != IR_NONE; k++)
        c->f[k] = operand(fopnd(e, args[k]));
}

void bail_on(struct emit *e, enum cc cc)
{
    struct cold *c = e->bail;
    uint8_t *from = asm_jcc_fwd(&e->a, cc);
    unsigned i = 0;

    if (!c->from) {
        c->from = from;
        return;
    }
    while (c->more[i])
        i++;
    c->more[i] = from;
}

void bail_end(struct emit *e)
{
    const struct val *x = &e->val[e->i];
    struct cold *c = e->bail;

    e->bail = NULL;
    if (!c)
        return;
    if (!c->from) { /* none was needed */
        *c = (struct cold){.fn = cold_none};
        return;
    }
    c->back = e->a.p;
    forget_cached(e);
    if (ir_ops[c->in->op].result == 'V')
        c->d = (uint8_t)in_reg(e, e->i);
    else
        c->d = x->loc == LOC_TEMP ? x->reg : e->h->fhome[x->g - 32];
}

void through_reference(struct emit *e, const struct ir_insn *in)
{
    const uint16_t args[3] = {in->a, in->b, in->c};
    struct cold c = {.in = in, .pc = e->pc, .done = (uint16_t)e->done};

    take_all(e);
    for (unsigned k = 0; k < 3 && args[k] != IR_NONE; k++)
        c.f[k] = operand(fopnd(e, args[k]));
    fspill_temps(e);
    call_reference(e, &c);
    e->temp[RAX] = NO_VAL;
    if (ir_ops[in->op].result == 'F') {
        fp_raw2(e, F_MOVQ_FROM_GPR, fdef(e, IR_NONE), rm_reg(RAX));
        e->val[e->i].boxed = in->sub == IR_S;
    } else if (e->val[e->i].into) {
        asm_mov(&e->a, def(e, IR_NONE), RAX);
    } else {
        define_temp(e, RAX);
    }
}

/* An operand of an S operation whose boxing is not known. */
static void check_boxed(struct emit *e, unsigned v)
{
    struct rm m;

    if (e->val[v].boxed)
        return;
    m = fopnd(e, v);
    if (m.kind == RM_IS_MEM) {
        m.disp += 4;
        asm_alu_imm(&e->a, 0, ALU_CMP, m, -1);
    } else {
        unsigned r = scratch(e);

        fp_raw2(e, F_MOVQ_TO_GPR, m.base, rm_reg(r));
        asm_shift_imm(&e->a, OP_W, SH_SAR, r, 32);
        asm_alu_imm(&e->a, 0, ALU_CMP, rm_reg(r), -1);
        e->temp[r] = NO_VAL;
    }
    bail_on(e, CC_NE); /* that comes back: its boxing stays unknown */
}

void check_operands(struct emit *e, const struct ir_insn *in)
{
    const uint16_t v[3] = {in->a, in->b, in->c};
    bool known = true;

    for (unsigned k = 0; k < 3; k++)
        known &= v[k] == IR_NONE || e->val[v[k]].boxed;
    if (in->sub != IR_S || known)
        return;
    bail_begin(e, in);
    for (unsigned k = 0; k < 3; k++)
        if (v[k] != IR_NONE)
            check_boxed(e, v[k]);
}

static unsigned kind_of(const struct ir_insn *in) { return in->sub == IR_S ? FP_S : FP_D; }

/* --- results --- */

static void cold_nan(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    fp2(e, F_MOVLOAD, FP_D, c->d, pool(e, c->a == FP_S ? POOL_NAN_S : POOL_NAN_D));
    asm_jmp_back(&e->a, c->back);
}

void fp_canonical(struct emit *e, unsigned kind, unsigned d)
{
    struct cold *c;

    fp2(e, F_UCOMI, kind, d, rm_reg(d));
    c = cold_new(e, cold_nan);
    c->from = asm_jcc_fwd(&e->a, CC_P);
    c->back = e->a.p;
    c->a = (uint8_t)kind;
    c->d = (uint8_t)d;
}

static void arith(struct emit *e, const struct ir_insn *in, unsigned op)
{
    unsigned kind = kind_of(in), a = fopnd_reg(e, in->a), d;
    struct rm B = fopnd(e, in->b);

    d = fdef(e, in->a);
    if (!e->h->avx && rm_is(B, d) && a != d) {
        unsigned t = fscratch(e);

        fp3(e, op, kind, t, a, B);
        move(e, d, t);
    } else {
        fp3(e, op, kind, d, a, B);
    }
    fp_canonical(e, kind, d);
    e->val[e->i].boxed = kind == FP_S;
}

/* The upper bits of a square root come from the destination's old value (SSE) or the first source (AVX). */
static void square_root(struct emit *e, const struct ir_insn *in)
{
    unsigned kind = kind_of(in), a = fopnd_reg(e, in->a), d = fdef(e, in->a);

    move(e, d, a);
    fp3(e, F_SQRT, kind, d, d, rm_reg(d));
    fp_canonical(e, kind, d);
    e->val[e->i].boxed = kind == FP_S;
}

/* --- fused multiply-add --- */

/*
 * A NaN from a fused multiply-add: the canonical one. RISC-V wants the invalid flag for infinity times zero even when
 * the addend is a quiet NaN, and the host does not promise it: where a factor is zero, multiply the factors for the
 * flag (zero times anything raises no other). c->a: kind; c->b, c->m: factors; c->d: the result, free until it is set.
 */
static void cold_fma(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;
    uint8_t *mul, *done;

    cold_enter(e, c);
    fp3(e, F_XOR, FP_PS, c->d, c->d, rm_reg(c->d));
    fp2(e, F_UCOMI, c->a, c->d, rm_reg(c->b));
    mul = asm_jcc_short(a, CC_E);
    fp2(e, F_UCOMI, c->a, c->d, c->m);
    done = asm_jcc_short(a, CC_NE);
    asm_bind_short(a, mul);
    fp3(e, F_MUL, c->a, c->d, c->b, c->m);
    asm_bind_short(a, done);
    fp2(e, F_MOVLOAD, FP_D, c->d, pool(e, c->a == FP_S ? POOL_NAN_S : POOL_NAN_D));
    asm_jmp_back(a, c->back);
}

/* The sum is made in the result's home unless a factor is there: the cold part reads the factors again. */
static void fma_(struct emit *e, const struct ir_insn *in, unsigned op)
{
    unsigned kind = kind_of(in), a, d = NO_REG, sum;
    struct rm B, C;
    struct cold *c;

    a = fopnd_reg(e, in->a);
    B = fopnd(e, in->b);
    C = fopnd(e, in->c);
    if (e->val[e->i].into)
        d = fdef(e, IR_NONE);
    sum = d != NO_REG && d != a && !rm_is(B, d) ? d : fscratch(e);
    if (C.kind != RM_IS_REG)
        fp2(e, F_MOVLOAD, FP_D, sum, C);
    else
        move(e, sum, C.base);
    asm_vex(&e->a, op | (kind == FP_D ? (unsigned)OP_W : 0u), sum, a, B);
    fp2(e, F_UCOMI, kind, sum, rm_reg(sum));
    c = cold_new(e, cold_fma);
    c->from = asm_jcc_fwd(&e->a, CC_P);
    c->back = e->a.p;
    c->a = (uint8_t)kind;
    c->b = (uint8_t)a;
    c->m = B;
    c->d = (uint8_t)sum;
    if (d == NO_REG) {
        e->xtemp[sum] = NO_VAL;
        fdefine_temp(e, sum);
    } else {
        move(e, d, sum);
    }
    e->val[e->i].boxed = kind == FP_S;
}

/* --- minimum, maximum, signs, comparisons --- */

/* Equal operands (then zeros may differ in sign) or a NaN. c->b, c->c: operands; c->x: IR_fmin is meant. */
static void cold_minmax(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;
    uint8_t *nan, *b_or_none, *none;
    unsigned zero = c->x ? F_OR : F_AND;

    cold_enter(e, c);
    nan = asm_jcc_short(a, CC_P);
    if (c->d == c->c)
        fp3(e, zero, FP_PS, c->d, c->c, rm_reg(c->b));
    else
        fp3(e, zero, FP_PS, c->d, c->b, rm_reg(c->c));
    asm_jmp_back(a, c->back);
    asm_bind_short(a, nan);
    fp2(e, F_UCOMI, c->a, c->b, rm_reg(c->b));
    b_or_none = asm_jcc_short(a, CC_P);
    move(e, c->d, c->b);
    asm_jmp_back(a, c->back);
    asm_bind_short(a, b_or_none);
    fp2(e, F_UCOMI, c->a, c->c, rm_reg(c->c));
    none = asm_jcc_short(a, CC_P);
    move(e, c->d, c->c);
    asm_jmp_back(a, c->back);
    asm_bind_short(a, none);
    fp2(e, F_MOVLOAD, FP_D, c->d, pool(e, c->a == FP_S ? POOL_NAN_S : POOL_NAN_D));
    asm_jmp_back(a, c->back);
}

static void minmax(struct emit *e, const struct ir_insn *in, unsigned op)
{
    unsigned kind = kind_of(in), a = fopnd_reg(e, in->a), b = fopnd_reg(e, in->b), d;
    struct cold *c = cold_new(e, cold_minmax);

    d = fdef(e, in->a);
    fp2(e, F_UCOMI, kind, a, rm_reg(b)); /* ZF: equal or unordered */
    c->from = asm_jcc_fwd(&e->a, CC_E);
    c->a = (uint8_t)kind;
    c->b = (uint8_t)a;
    c->c = (uint8_t)b;
    c->d = (uint8_t)d;
    c->x = op == F_MIN;
    if (d == b) /* neither a NaN nor equal: commutes */
        fp3(e, op, kind, d, b, rm_reg(a));
    else
        fp3(e, op, kind, d, a, rm_reg(b));
    c->back = e->a.p;
    e->val[e->i].boxed = kind == FP_S;
}

static bool same_place(struct rm x, struct rm y) { return x.kind == y.kind && x.base == y.base && x.disp == y.disp; }

static void sign(struct emit *e, const struct ir_insn *in)
{
    struct rm sign_bit = pool(e, in->sub == IR_S ? POOL_SIGN_S : POOL_SIGN_D);
    struct rm abs_bits = pool(e, in->sub == IR_S ? POOL_ABS_S : POOL_ABS_D);
    unsigned a = fopnd_reg(e, in->a), b, d, t;

    e->val[e->i].boxed = in->sub == IR_S;
    if (in->a == in->b || same_place(rm_reg(a), fopnd(e, in->b))) { /* fmv, fneg, fabs */
        d = fdef(e, in->a);
        if (in->op == IR_fsgnj)
            move(e, d, a);
        else
            fp3(e, in->op == IR_fsgnjn ? F_XOR : F_AND, FP_PS, d, a, in->op == IR_fsgnjn ? sign_bit : abs_bits);
        return;
    }
    b = fopnd_reg(e, in->b);
    if (b < FIRST_FHOME && (e->xtemp[b] == ANON || dies(e, in->b)))
        t = b;
    else
        t = fscratch(e);
    fp3(e, in->op == IR_fsgnjn ? F_ANDN : F_AND, FP_PS, t, b, sign_bit);
    d = fdef(e, in->a);
    if (in->op == IR_fsgnjx) {
        fp3(e, F_XOR, FP_PS, d, a, rm_reg(t));
    } else {
        fp3(e, F_AND, FP_PS, d, a, abs_bits);
        fp3(e, F_OR, FP_PS, d, d, rm_reg(t));
    }
}

static void compare(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    unsigned kind = kind_of(in), d, t = NO_REG;

    if (in->op == IR_feq) {
        unsigned x = fopnd_reg(e, in->a);
        struct rm y = fopnd(e, in->b);

        d = def(e, IR_NONE);
        t = scratch(e);
        asm_alu(a, 0, ALU_XOR, d, rm_reg(d));
        asm_alu(a, 0, ALU_XOR, t, rm_reg(t));
        fp2(e, F_UCOMI, kind, x, y);
        asm_op(a, X_SETCC + CC_NP, 0, rm_reg(d));
        asm_rr(a, X_CMOV + CC_NE, d, t);
        return;
    }
    /* a < b as b > a: "above" is false for unordered operands */
    unsigned y = fopnd_reg(e, in->b);
    struct rm x = fopnd(e, in->a);

    d = def(e, IR_NONE);
    asm_alu(a, 0, ALU_XOR, d, rm_reg(d));
    fp2(e, F_COMI, kind, y, x);
    asm_op(a, X_SETCC + (in->op == IR_flt ? CC_A : CC_AE), 0, rm_reg(d));
}

bool emit_fp(struct emit *e, const struct ir_insn *in)
{
    static const unsigned fma_op[] = {V_FMADD231, V_FMSUB231, V_FNMADD231, V_FNMSUB231}; /* as the IR numbers them */
    if (in->op == IR_getf) {
        read_guest(e, 32 + (unsigned)in->imm);
        e->val[e->i].boxed = e->fboxed >> in->imm & 1;
        return true;
    }
    if (in->op != IR_setf && (in->op < IR_fenter || in->op > IR_fclass))
        return false;
    need_fp(e);
    if (in->op == IR_fenter)
        return true;
    if (in->op == IR_setf) {
        set_fguest(e, (unsigned)in->imm, in->a);
        return true;
    }
    if (in->op == IR_fclass || (in->op >= IR_fmadd && in->op <= IR_fnmadd && !e->h->fma)) {
        through_reference(e, in);
        return true;
    }
    check_operands(e, in);
    switch (in->op) {
    case IR_fadd: arith(e, in, F_ADD); break;
    case IR_fsub: arith(e, in, F_SUB); break;
    case IR_fmul: arith(e, in, F_MUL); break;
    case IR_fdiv: arith(e, in, F_DIV); break;
    case IR_fsqrt: square_root(e, in); break;
    case IR_fmin: minmax(e, in, F_MIN); break;
    case IR_fmax: minmax(e, in, F_MAX); break;
    case IR_fmadd:
    case IR_fmsub:
    case IR_fnmsub:
    case IR_fnmadd: fma_(e, in, fma_op[in->op - IR_fmadd]); break;
    case IR_fsgnj:
    case IR_fsgnjn:
    case IR_fsgnjx: sign(e, in); break;
    default: compare(e, in); break;
    }
    bail_end(e);
    return true;
}
