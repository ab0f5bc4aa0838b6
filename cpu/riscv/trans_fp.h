/*
 * The shapes of trans_ functions of F and D. The IR rounds dynamically: an instruction with a static mode calls its exec_,
 * unless its result is always exact or it is a conversion that has the mode in the IR.
 */
#ifndef CPU_RISCV_TRANS_FP_H
#define CPU_RISCV_TRANS_FP_H

#include "cpu/riscv/trans.h"

/* rd = op(rs1...), rounding; `op` takes one, two or three operands */
void gen_fp_round1(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f);
void gen_fp_round2(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f);
void gen_fp_round3(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f);
/* no rounding */
void gen_fp_plain2(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f);
void gen_fp_compare(struct tctx *t, const struct insn *i, enum ir_op op, enum ir_fmt f);
void gen_fp_class(struct tctx *t, const struct insn *i, enum ir_fmt f);

void gen_fp_narrow(struct tctx *t, const struct insn *i); /* D to S */
void gen_fp_widen(struct tctx *t, const struct insn *i);  /* S to D: exact */
void gen_fp_to_int(struct tctx *t, const struct insn *i, enum ir_fmt from, enum ir_int to);
void gen_fp_from_int(struct tctx *t, const struct insn *i, enum ir_fmt to, enum ir_int from);

void gen_fp_load(struct tctx *t, const struct insn *i, enum ir_mem m);
void gen_fp_store(struct tctx *t, const struct insn *i, enum ir_mem m);
void gen_fp_status(struct tctx *t, const struct insn *i, bool mode, bool flags); /* rd = FRM << 5 | FFLAGS, or one */

void gen_fp_to_x(struct tctx *t, const struct insn *i, enum ir_fmt f); /* raw bits */
void gen_fp_from_x(struct tctx *t, const struct insn *i, enum ir_fmt f);

#endif
