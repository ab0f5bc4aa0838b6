/* F, single precision: reference semantics (unprivileged specification, chapter F). */
#include "cpu/riscv/fp.h"

bool exec_flw(struct rv *c, const struct insn *i) { return fp_load(c, i, SF_S); }
bool exec_fsw(struct rv *c, const struct insn *i) { return fp_store(c, i, SF_S); }

bool exec_fmadd_s(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_S, sf_madd); }
bool exec_fmsub_s(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_S, sf_msub); }
bool exec_fnmsub_s(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_S, sf_nmsub); }
bool exec_fnmadd_s(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_S, sf_nmadd); }
bool exec_fadd_s(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_S, sf_add); }
bool exec_fsub_s(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_S, sf_sub); }
bool exec_fmul_s(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_S, sf_mul); }
bool exec_fdiv_s(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_S, sf_div); }
bool exec_fsqrt_s(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_S, sf_sqrt); }

bool exec_fsgnj_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_sgnj); }
bool exec_fsgnjn_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_sgnjn); }
bool exec_fsgnjx_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_sgnjx); }
bool exec_fmin_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_min); }
bool exec_fmax_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_max); }
bool exec_feq_s(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_S, sf_eq); }
bool exec_flt_s(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_S, sf_lt); }
bool exec_fle_s(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_S, sf_le); }
bool exec_fclass_s(struct rv *c, const struct insn *i) { return fp_class(c, i, SF_S); }

bool exec_fcvt_w_s(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_S, SF_I32); }
bool exec_fcvt_wu_s(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_S, SF_U32); }
bool exec_fcvt_l_s(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_S, SF_I64); }
bool exec_fcvt_lu_s(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_S, SF_U64); }
bool exec_fcvt_s_w(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_S, SF_I32); }
bool exec_fcvt_s_wu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_S, SF_U32); }
bool exec_fcvt_s_l(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_S, SF_I64); }
bool exec_fcvt_s_lu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_S, SF_U64); }

bool exec_fmv_x_w(struct rv *c, const struct insn *i) { return fp_move_to_x(c, i, SF_S); }
bool exec_fmv_w_x(struct rv *c, const struct insn *i) { return fp_move_from_x(c, i, SF_S); }
