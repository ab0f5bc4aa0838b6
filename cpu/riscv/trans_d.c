/* D: the instructions of exec_d.c, in the same order, as IR. */
#include "cpu/riscv/trans_fp.h"

void trans_fld(struct tctx *t, const struct insn *i) { gen_fp_load(t, i, IR_64); }
void trans_fsd(struct tctx *t, const struct insn *i) { gen_fp_store(t, i, IR_64); }

void trans_fmadd_d(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fmadd, IR_D); }
void trans_fmsub_d(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fmsub, IR_D); }
void trans_fnmsub_d(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fnmsub, IR_D); }
void trans_fnmadd_d(struct tctx *t, const struct insn *i) { gen_fp_round3(t, i, IR_fnmadd, IR_D); }
void trans_fadd_d(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fadd, IR_D); }
void trans_fsub_d(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fsub, IR_D); }
void trans_fmul_d(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fmul, IR_D); }
void trans_fdiv_d(struct tctx *t, const struct insn *i) { gen_fp_round2(t, i, IR_fdiv, IR_D); }
void trans_fsqrt_d(struct tctx *t, const struct insn *i) { gen_fp_round1(t, i, IR_fsqrt, IR_D); }

void trans_fsgnj_d(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnj, IR_D); }
void trans_fsgnjn_d(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnjn, IR_D); }
void trans_fsgnjx_d(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fsgnjx, IR_D); }
void trans_fmin_d(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fmin, IR_D); }
void trans_fmax_d(struct tctx *t, const struct insn *i) { gen_fp_plain2(t, i, IR_fmax, IR_D); }
void trans_feq_d(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_feq, IR_D); }
void trans_flt_d(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_flt, IR_D); }
void trans_fle_d(struct tctx *t, const struct insn *i) { gen_fp_compare(t, i, IR_fle, IR_D); }
void trans_fclass_d(struct tctx *t, const struct insn *i) { gen_fp_class(t, i, IR_D); }

void trans_fcvt_w_d(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_D, IR_I32); }
void trans_fcvt_wu_d(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_D, IR_U32); }
void trans_fcvt_l_d(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_D, IR_I64); }
void trans_fcvt_lu_d(struct tctx *t, const struct insn *i) { gen_fp_to_int(t, i, IR_D, IR_U64); }
void trans_fcvt_d_w(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_D, IR_I32); }
void trans_fcvt_d_wu(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_D, IR_U32); }
void trans_fcvt_d_l(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_D, IR_I64); }
void trans_fcvt_d_lu(struct tctx *t, const struct insn *i) { gen_fp_from_int(t, i, IR_D, IR_U64); }

void trans_fmv_x_d(struct tctx *t, const struct insn *i) { gen_fp_to_x(t, i, IR_D); }
void trans_fmv_d_x(struct tctx *t, const struct insn *i) { gen_fp_from_x(t, i, IR_D); }

void trans_fcvt_s_d(struct tctx *t, const struct insn *i) { gen_fp_narrow(t, i); }
void trans_fcvt_d_s(struct tctx *t, const struct insn *i) { gen_fp_widen(t, i); }
