/* D, double precision: reference semantics (unprivileged specification, chapter D). */
#include "cpu/riscv/fp.h"

bool exec_fld(struct rv *c, const struct insn *i) { return fp_load(c, i, SF_D); }
bool exec_fsd(struct rv *c, const struct insn *i) { return fp_store(c, i, SF_D); }

bool exec_fmadd_d(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_D, sf_madd); }
bool exec_fmsub_d(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_D, sf_msub); }
bool exec_fnmsub_d(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_D, sf_nmsub); }
bool exec_fnmadd_d(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_D, sf_nmadd); }
bool exec_fadd_d(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_D, sf_add); }
bool exec_fsub_d(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_D, sf_sub); }
bool exec_fmul_d(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_D, sf_mul); }
bool exec_fdiv_d(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_D, sf_div); }
bool exec_fsqrt_d(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_D, sf_sqrt); }

bool exec_fsgnj_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_sgnj); }
bool exec_fsgnjn_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_sgnjn); }
bool exec_fsgnjx_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_sgnjx); }
bool exec_fmin_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_min); }
bool exec_fmax_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_max); }
bool exec_feq_d(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_D, sf_eq); }
bool exec_flt_d(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_D, sf_lt); }
bool exec_fle_d(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_D, sf_le); }
bool exec_fclass_d(struct rv *c, const struct insn *i) { return fp_class(c, i, SF_D); }

bool exec_fcvt_w_d(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_D, SF_I32); }
bool exec_fcvt_wu_d(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_D, SF_U32); }
bool exec_fcvt_l_d(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_D, SF_I64); }
bool exec_fcvt_lu_d(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_D, SF_U64); }
bool exec_fcvt_d_w(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_D, SF_I32); }
bool exec_fcvt_d_wu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_D, SF_U32); }
bool exec_fcvt_d_l(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_D, SF_I64); }
bool exec_fcvt_d_lu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_D, SF_U64); }

bool exec_fmv_x_d(struct rv *c, const struct insn *i) { return fp_move_to_x(c, i, SF_D); }
bool exec_fmv_d_x(struct rv *c, const struct insn *i) { return fp_move_from_x(c, i, SF_D); }

bool exec_fcvt_s_d(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_D, SF_S); }
bool exec_fcvt_d_s(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_S, SF_D); }
