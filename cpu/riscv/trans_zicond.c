/* Zicond: the instructions of exec_zicond.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"

TRANS(czero_eqz)
{
    ir_val cond = S2, val = S1;

    gen_set_x(t, i->rd, ir_sel(t->ir, cond, val, ir_const(t->ir, 0)));
}

TRANS(czero_nez)
{
    ir_val cond = S2, val = S1;

    gen_set_x(t, i->rd, ir_sel(t->ir, cond, ir_const(t->ir, 0), val));
}
