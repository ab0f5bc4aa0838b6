/* Short forms for trans_ functions of integer instructions. */
#ifndef CPU_RISCV_GEN_H
#define CPU_RISCV_GEN_H

#include "cpu/riscv/trans.h"

#define TRANS(name) void trans_##name(struct tctx *t, const struct insn *i)
#define S1 gen_x(t, i->rs1)
#define S2 gen_x(t, i->rs2)

/* rd = rs1 op rs2 */
static inline void gen_rr(struct tctx *t, const struct insn *i, enum ir_op op)
{
    ir_val a = S1, b = S2;

    gen_set_x(t, i->rd, ir_bin(t->ir, op, a, b));
}

/* rd = rs1 op imm */
static inline void gen_ri(struct tctx *t, const struct insn *i, enum ir_op op)
{
    gen_set_x(t, i->rd, ir_bini(t->ir, op, S1, i->imm));
}

/* rd = op rs1 */
static inline void gen_r(struct tctx *t, const struct insn *i, enum ir_op op)
{
    gen_set_x(t, i->rd, ir_un(t->ir, op, S1));
}

#endif
