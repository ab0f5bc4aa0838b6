/* Zbs: the instructions of exec_zbs.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"

static ir_val bit(struct tctx *t, const struct insn *i) { return ir_shl(t->ir, ir_const(t->ir, 1), S2); }
static int64_t biti(const struct insn *i) { return (int64_t)(UINT64_C(1) << i->imm); }

/* rd = rs1 op bit */
static void with_bit(struct tctx *t, const struct insn *i, enum ir_op op, ir_val b)
{
    gen_set_x(t, i->rd, ir_bin(t->ir, op, S1, b));
}

static void extract(struct tctx *t, const struct insn *i, ir_val pos)
{
    gen_set_x(t, i->rd, ir_andi(t->ir, ir_shr(t->ir, S1, pos), 1));
}

TRANS(bclr) { with_bit(t, i, IR_andn, bit(t, i)); }
TRANS(bclri) { with_bit(t, i, IR_and, ir_const(t->ir, ~biti(i))); }
TRANS(bext) { extract(t, i, S2); }
TRANS(bexti) { extract(t, i, ir_const(t->ir, i->imm)); }
TRANS(binv) { with_bit(t, i, IR_xor, bit(t, i)); }
TRANS(binvi) { with_bit(t, i, IR_xor, ir_const(t->ir, biti(i))); }
TRANS(bset) { with_bit(t, i, IR_or, bit(t, i)); }
TRANS(bseti) { with_bit(t, i, IR_or, ir_const(t->ir, biti(i))); }
