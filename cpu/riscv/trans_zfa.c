/* Zfa: FLI as IR. The rest of exec_zfa.c has no IR operation. */
#include "cpu/riscv/softfp.h"
#include "cpu/riscv/trans_fp.h"

static void constant(struct tctx *t, const struct insn *i, enum sf_fmt f)
{
    ir_val raw = ir_const(t->ir, (int64_t)sf_box(f, sf_constant(f, i->rs1)));

    gen_set_f(t, i->rd, ir_emit(t->ir, IR_fmv_if, IR_D, raw, IR_NONE, IR_NONE, 0));
}

void trans_fli_s(struct tctx *t, const struct insn *i) { constant(t, i, SF_S); }
void trans_fli_d(struct tctx *t, const struct insn *i) { constant(t, i, SF_D); }
void trans_fli_h(struct tctx *t, const struct insn *i) { constant(t, i, SF_H); }
