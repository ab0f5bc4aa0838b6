/* Zba: the instructions of exec_zba.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"

static void shadd(struct tctx *t, const struct insn *i, unsigned sh)
{
    ir_val index = ir_shli(t->ir, S1, sh);

    gen_set_x(t, i->rd, ir_add(t->ir, index, S2));
}

static void shadd_uw(struct tctx *t, const struct insn *i, unsigned sh)
{
    ir_val index = ir_shli(t->ir, ir_zext32(t->ir, S1), sh);

    gen_set_x(t, i->rd, ir_add(t->ir, index, S2));
}

TRANS(sh1add) { shadd(t, i, 1); }
TRANS(sh2add) { shadd(t, i, 2); }
TRANS(sh3add) { shadd(t, i, 3); }
TRANS(add_uw) { shadd_uw(t, i, 0); }
TRANS(sh1add_uw) { shadd_uw(t, i, 1); }
TRANS(sh2add_uw) { shadd_uw(t, i, 2); }
TRANS(sh3add_uw) { shadd_uw(t, i, 3); }
TRANS(slli_uw) { gen_set_x(t, i->rd, ir_shli(t->ir, ir_zext32(t->ir, S1), i->imm)); }
