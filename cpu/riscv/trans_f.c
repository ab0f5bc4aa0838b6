/* F: the instructions of exec_f.c, in the same order, as IR. */
#include "cpu/riscv/trans_fp.h"

void trans_flw(struct tctx *t, const struct insn *i) { gen_fp_load(t, i, IR_32U); }
void trans_fsw(struct tctx *t, const struct insn *i) { gen_fp_store(t, i, IR_32U); }

void trans_fmadd_s(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fmadd, IR_S); }
void trans_fmsub_s(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fmsub, IR_S); }
void trans_fnmsub_s(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fnmsub, IR_S); }
void trans_fnmadd_s(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fnmadd, IR_S); }
void trans_fadd_s(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fadd, IR_S); }
void trans_fsub_s(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fsub, IR_S); }
void trans_fmul_s(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fmul, IR_S); }
void trans_fdiv_s(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fdiv, IR_S); }
void trans_fsqrt_s(struct tctx *t, const struct insn *i) { gen_fp_round1(t, i, IR_fsqrt, IR_S); }

void trans_fsgnj_s(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnj, IR_S); }
void trans_fsgnjn_s(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnjn, IR_S); }
void trans_fsgnjx_s(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnjx, IR_S); }
void trans_fmin_s(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fmin, IR_S); }
void trans_fmax_s(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fmax, IR_S); }
void trans_feq_s(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_feq, IR_S); }
void trans_flt_s(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_flt, IR_S); }
void trans_fle_s(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_fle, IR_S); }
void trans_fclass_s(struct tctx *t, const struct insn *i) { gen_fp_class(t, i, IR_S); }

void trans_fcvt_w_s(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_S, IR_I32); }
void trans_fcvt_wu_s(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_S, IR_U32); }
void trans_fcvt_l_s(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_S, IR_I64); }
void trans_fcvt_lu_s(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_S, IR_U64); }
void trans_fcvt_s_w(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_S, IR_I32); }
void trans_fcvt_s_wu(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_S, IR_U32); }
void trans_fcvt_s_l(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_S, IR_I64); }
void trans_fcvt_s_lu(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_S, IR_U64); }

void trans_fmv_x_w(struct tctx *t, const struct insn *i) { gen_fp_to_x(t, i, IR_S); }
void trans_fmv_w_x(struct tctx *t, const struct insn *i) { gen_fp_from_x(t, i, IR_S); }

void trans_frflags(struct tctx *t, const struct insn *i) { gen_fp_status(t, i, false, true); }
void trans_frrm(struct tctx *t, const struct insn *i) { gen_fp_status(t, i, true, false); }
void trans_frcsr(struct tctx *t, const struct insn *i) { gen_fp_status(t, i, true, true); }
void trans_fsflags(struct tctx *t, const struct insn *i)
{
    ir_val v = gen_x(t, i->rs1);

    if (i->rd)
        gen_fp_status(t, i, false, true);
    ir_emit(t->ir, IR_setfflags, 0, v, IR_NONE, IR_NONE, 0);
}
