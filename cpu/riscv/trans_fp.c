/*
 * Floating-point instructions as IR: the shapes that trans_f.c, trans_d.c and trans_zfa.c instantiate.
 *
 * No check of FS or frm is emitted: `fenter`, before the first FP instruction of a block, has made both good (else the
 * block runs by the interpreter), and whatever changes them ends FP state in host registers.
 */
#include "cpu/riscv/trans_fp.h"

enum { RM_RTZ = 1, RM_LAST = 4, RM_DYN = 7 };

static bool dynamic(const struct insn *i) { return i->rm == RM_DYN; }
static bool any_mode(const struct insn *i) { return i->rm <= RM_LAST || i->rm == RM_DYN; }

void gen_fp_round1(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f)
{
    if (dynamic(i))
        gen_set_f(t, i->rd, ir_emit(t->ir, op, f, gen_f(t, i->rs1), IR_NONE, IR_NONE, 0));
    else
        gen_exec(t, i);
}

void gen_fp_round2(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f)
{
    if (dynamic(i))
        gen_fp_plain2(t, i, op, f);
    else
        gen_exec(t, i);
}

void gen_fp_round3(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f)
{
    ir_val a, b, c;

    if (!dynamic(i)) {
        gen_exec(t, i);
        return;
    }
    a = gen_f(t, i->rs1);
    b = gen_f(t, i->rs2);
    c = gen_f(t, i->rs3);
    gen_set_f(t, i->rd, ir_emit(t->ir, op, f, a, b, c, 0));
}

void gen_fp_plain2(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f)
{
    ir_val a = gen_f(t, i->rs1), b = gen_f(t, i->rs2);

    gen_set_f(t, i->rd, ir_emit(t->ir, op, f, a, b, IR_NONE, 0));
}

/* A comparison into x0 still raises flags. */
void gen_fp_compare(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f)
{
    ir_val a = gen_f(t, i->rs1), b = gen_f(t, i->rs2);

    gen_set_x(t, i->rd, ir_emit(t->ir, op, f, a, b, IR_NONE, 0));
}

void gen_fp_class(struct tctx *t, const struct insn *i, enum ir_fmt f)
{
    gen_set_x(t, i->rd, ir_emit(t->ir, IR_fclass, f, gen_f(t, i->rs1), IR_NONE, IR_NONE, 0));
}

static void convert(struct tctx *t, const struct insn *i, enum ir_fmt from)
{
    gen_set_f(t, i->rd, ir_emit(t->ir, IR_fcvt_ff, from, gen_f(t, i->rs1), IR_NONE, IR_NONE, 0));
}

void gen_fp_narrow(struct tctx *t, const struct insn *i)
{
    if (dynamic(i))
        convert(t, i, IR_D);
    else
        gen_exec(t, i);
}

void gen_fp_widen(struct tctx *t, const struct insn *i)
{
    if (any_mode(i))
        convert(t, i, IR_S);
    else
        gen_exec(t, i);
}

/* What a conversion's imm says of rounding. */
static int64_t static_mode(const struct insn *i) { return dynamic(i) ? 0 : (i->rm + 1) << 4; }

/* Other static modes are as libm's floor, ceil and round use them, over 64 bits. */
void gen_fp_to_int(struct tctx *t, const struct insn *i, enum ir_fmt from, enum ir_int to)
{
    if (dynamic(i) || i->rm == RM_RTZ || (to == IR_I64 && any_mode(i)))
        gen_set_x(t, i->rd, ir_emit(t->ir, IR_fcvt_fi, from, gen_f(t, i->rs1), IR_NONE, IR_NONE, to | static_mode(i)));
    else
        gen_exec(t, i);
}

void gen_fp_from_int(struct tctx *t, const struct insn *i, enum ir_fmt to, enum ir_int from)
{
    bool exact = to == IR_D && (from == IR_I32 || from == IR_U32);
    int64_t how = exact ? from : from | static_mode(i);

    if (dynamic(i) || ((exact || from == IR_I64) && any_mode(i)))
        gen_set_f(t, i->rd, ir_emit(t->ir, IR_fcvt_if, to, gen_x(t, i->rs1), IR_NONE, IR_NONE, how));
    else
        gen_exec(t, i);
}

void gen_fp_load(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    gen_set_f(t, i->rd, ir_emit(t->ir, IR_ldf, m, gen_x(t, i->rs1), IR_NONE, IR_NONE, i->imm));
}

void gen_fp_store(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    ir_val addr = gen_x(t, i->rs1);

    ir_emit(t->ir, IR_stf, m, addr, gen_f(t, i->rs2), IR_NONE, i->imm);
}

static ir_val status(struct tctx *t, enum ir_op op) { return ir_emit(t->ir, op, 0, IR_NONE, IR_NONE, IR_NONE, 0); }

void gen_fp_status(struct tctx *t, const struct insn *i, bool mode, bool flags)
{
    ir_val v = mode ? status(t, IR_getfrm) : IR_NONE;

    if (mode && flags)
        v = ir_or(t->ir, ir_shli(t->ir, v, 5), status(t, IR_getfflags));
    else if (flags)
        v = status(t, IR_getfflags);
    gen_set_x(t, i->rd, v);
}

void gen_fp_to_x(struct tctx *t, const struct insn *i, enum ir_fmt f)
{
    gen_set_x(t, i->rd, ir_emit(t->ir, IR_fmv_fi, f, gen_f(t, i->rs1), IR_NONE, IR_NONE, 0));
}

void gen_fp_from_x(struct tctx *t, const struct insn *i, enum ir_fmt f)
{
    gen_set_f(t, i->rd, ir_emit(t->ir, IR_fmv_if, f, gen_x(t, i->rs1), IR_NONE, IR_NONE, 0));
}
