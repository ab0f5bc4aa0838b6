/*
 * Zfa, additional floating point: reference semantics (unprivileged specification, chapter Zfa).
 */
#include "cpu/riscv/fp.h"

/* The constant's number is in the rs1 field. */
static bool load_constant(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    if (!rv_fp_begin(c, i))
        return false;
    f_set(c, i->rd, f, sf_constant(f, i->rs1));
    return true;
}

bool exec_fli_s(struct rv *c, const struct insn *i) { return load_constant(c, i, SF_S); }
bool exec_fminm_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_minm); }
bool exec_fmaxm_s(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_S, sf_maxm); }
bool exec_fround_s(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_S, sf_round); }
bool exec_froundnx_s(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_S, sf_roundnx); }
bool exec_fleq_s(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_S, sf_leq); }
bool exec_fltq_s(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_S, sf_ltq); }

bool exec_fli_d(struct rv *c, const struct insn *i) { return load_constant(c, i, SF_D); }
bool exec_fminm_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_minm); }
bool exec_fmaxm_d(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_D, sf_maxm); }
bool exec_fround_d(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_D, sf_round); }
bool exec_froundnx_d(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_D, sf_roundnx); }
bool exec_fleq_d(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_D, sf_leq); }
bool exec_fltq_d(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_D, sf_ltq); }

bool exec_fli_h(struct rv *c, const struct insn *i) { return load_constant(c, i, SF_H); }
bool exec_fminm_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_minm); }
bool exec_fmaxm_h(struct rv *c, const struct insn *i) { return fp_plain2(c, i, SF_H, sf_maxm); }
bool exec_fround_h(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_H, sf_round); }
bool exec_froundnx_h(struct rv *c, const struct insn *i) { return fp_round1(c, i, SF_H, sf_roundnx); }
bool exec_fleq_h(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_H, sf_leq); }
bool exec_fltq_h(struct rv *c, const struct insn *i) { return fp_compare(c, i, SF_H, sf_ltq); }

/* Its rm field is fixed to RTZ. */
bool exec_fcvtmod_w_d(struct rv *c, const struct insn *i)
{
    struct sf_env e = {.rm = SF_RTZ};

    if (!rv_fp_begin(c, i))
        return false;
    x_set(c, i->rd, sf_to_i32_mod(&e, f_get(c, i->rs1, SF_D)));
    c->fflags |= e.flags;
    return true;
}
