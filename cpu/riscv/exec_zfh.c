/* Zfhmin and Zfh, half precision: reference semantics (unprivileged specification, chapter Zfh). */
#include "cpu/riscv/fp.h"

bool exec_flh(struct rv *c, const struct insn *i) { return fp_load(c, i, SF_H); }
bool exec_fsh(struct rv *c, const struct insn *i) { return fp_store(c, i, SF_H); }

bool exec_fmadd_h(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_H, sf_madd); }
bool exec_fmsub_h(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_H, sf_msub); }
bool exec_fnmsub_h(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_H, sf_nmsub); }
bool exec_fnmadd_h(struct rv *c, const struct insn *i) { return fp_round3(c, i, SF_H, sf_nmadd); }
bool exec_fadd_h(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_H, sf_add); }
bool exec_fsub_h(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_H, sf_sub); }
bool exec_fmul_h(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_H, sf_mul); }
bool exec_fdiv_h(struct rv *c, const struct insn *i) { return fp_round2(c, i, SF_H, sf_div); }
bool exec_fsqrt_h(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_H, sf_sqrt); }

bool exec_fsgnj_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_sgnj); }
bool exec_fsgnjn_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_sgnjn); }
bool exec_fsgnjx_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_sgnjx); }
bool exec_fmin_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_min); }
bool exec_fmax_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_max); }
bool exec_feq_h(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_H, sf_eq); }
bool exec_flt_h(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_H, sf_lt); }
bool exec_fle_h(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_H, sf_le); }
bool exec_fclass_h(struct rv *c, const struct insn *i) { return fp_class(c, i, SF_H); }

bool exec_fcvt_w_h(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_H, SF_I32); }
bool exec_fcvt_wu_h(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_H, SF_U32); }
bool exec_fcvt_l_h(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_H, SF_I64); }
bool exec_fcvt_lu_h(struct rv *c, const struct insn *i) { return fp_to_int(c, i, SF_H, SF_U64); }
bool exec_fcvt_h_w(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_H, SF_I32); }
bool exec_fcvt_h_wu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_H, SF_U32); }
bool exec_fcvt_h_l(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_H, SF_I64); }
bool exec_fcvt_h_lu(struct rv *c, const struct insn *i) { return fp_from_int(c, i, SF_H, SF_U64); }

bool exec_fmv_x_h(struct rv *c, const struct insn *i) { return fp_move_to_x(c, i, SF_H); }
bool exec_fmv_h_x(struct rv *c, const struct insn *i) { return fp_move_from_x(c, i, SF_H); }

bool exec_fcvt_s_h(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_H, SF_S); }
bool exec_fcvt_h_s(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_S, SF_H); }
bool exec_fcvt_d_h(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_H, SF_D); }
bool exec_fcvt_h_d(struct rv *c, const struct insn *i) { return fp_convert(c, i, SF_D, SF_H); }
