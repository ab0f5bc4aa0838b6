/* A: the instructions of exec_a.c as IR. aq and rl ask for no more than the back ends' atomics give. */
#include "cpu/riscv/gen.h"

static void lr(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    gen_set_x(t, i->rd, ir_emit(t->ir, IR_lr, m, S1, IR_NONE, IR_NONE, 0));
}

static void sc(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    ir_val addr = S1, val = S2;

    gen_set_x(t, i->rd, ir_emit(t->ir, IR_sc, m, addr, val, IR_NONE, 0));
}

static void amo(struct tctx *t, const struct insn *i, enum ir_mem m, enum ir_amo op)
{
    ir_val addr = S1, val = S2;

    gen_set_x(t, i->rd, ir_emit(t->ir, IR_amo, m, addr, val, IR_NONE, op));
}

TRANS(lr_w) { lr(t, i, IR_32S); }
TRANS(sc_w) { sc(t, i, IR_32S); }
TRANS(lr_d) { lr(t, i, IR_64); }
TRANS(sc_d) { sc(t, i, IR_64); }

TRANS(amoswap_w) { amo(t, i, IR_32S, AMO_SWAP); }
TRANS(amoadd_w) { amo(t, i, IR_32S, AMO_ADD); }
TRANS(amoxor_w) { amo(t, i, IR_32S, AMO_XOR); }
TRANS(amoand_w) { amo(t, i, IR_32S, AMO_AND); }
TRANS(amoor_w) { amo(t, i, IR_32S, AMO_OR); }
TRANS(amomin_w) { amo(t, i, IR_32S, AMO_MIN); }
TRANS(amomax_w) { amo(t, i, IR_32S, AMO_MAX); }
TRANS(amominu_w) { amo(t, i, IR_32S, AMO_MINU); }
TRANS(amomaxu_w) { amo(t, i, IR_32S, AMO_MAXU); }
TRANS(amoswap_d) { amo(t, i, IR_64, AMO_SWAP); }
TRANS(amoadd_d) { amo(t, i, IR_64, AMO_ADD); }
TRANS(amoxor_d) { amo(t, i, IR_64, AMO_XOR); }
TRANS(amoand_d) { amo(t, i, IR_64, AMO_AND); }
TRANS(amoor_d) { amo(t, i, IR_64, AMO_OR); }
TRANS(amomin_d) { amo(t, i, IR_64, AMO_MIN); }
TRANS(amomax_d) { amo(t, i, IR_64, AMO_MAX); }
TRANS(amominu_d) { amo(t, i, IR_64, AMO_MINU); }
TRANS(amomaxu_d) { amo(t, i, IR_64, AMO_MAXU); }
