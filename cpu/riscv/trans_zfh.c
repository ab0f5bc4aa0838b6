/* Zfhmin: loads, stores and moves as IR, which has no half format: the box is put on and taken off by integer operations. */
#include "cpu/riscv/trans_fp.h"

static void set_half(struct tctx *t, unsigned rd, ir_val low)
{
    ir_val boxed = ir_ori(t->ir, low, ~INT64_C(0xffff));

    gen_set_f(t, rd, ir_emit(t->ir, IR_fmv_if, IR_D, boxed, IR_NONE, IR_NONE, 0));
}

static ir_val raw(struct tctx *t, unsigned r)
{
    return ir_emit(t->ir, IR_fmv_fi, IR_D, gen_f(t, r), IR_NONE, IR_NONE, 0);
}

void trans_flh(struct tctx *t, const struct insn *i)
{
    set_half(t, i->rd, ir_ld(t->ir, IR_16U, gen_x(t, i->rs1), i->imm));
}

void trans_fsh(struct tctx *t, const struct insn *i)
{
    ir_val addr = gen_x(t, i->rs1);

    ir_st(t->ir, IR_16U, addr, i->imm, raw(t, i->rs2));
}

void trans_fmv_x_h(struct tctx *t, const struct insn *i) { gen_set_x(t, i->rd, ir_sext16(t->ir, raw(t, i->rs1))); }
void trans_fmv_h_x(struct tctx *t, const struct insn *i) { set_half(t, i->rd, gen_x(t, i->rs1)); }
