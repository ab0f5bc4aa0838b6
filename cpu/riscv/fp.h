/*
 * What the scalar floating-point instructions share: the shapes their exec_ functions have, and the hooks of
 * struct isa_ops for FP state in host registers.
 */
#ifndef CPU_RISCV_FP_H
#define CPU_RISCV_FP_H

#include "cpu/isa.h"
#include "cpu/riscv/rv.h"
#include "cpu/riscv/softfp.h"

static inline uint64_t f_get(const struct rv *c, unsigned r, enum sf_fmt f) { return sf_unbox(f, c->v.f[r]); }
static inline void f_set(struct rv *c, unsigned r, enum sf_fmt f, uint64_t v) { c->v.f[r] = sf_box(f, v); }

/* rd = fn(rs1...), rounded as the instruction's rm field says */
bool fp_round1(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn1 *fn);
bool fp_round2(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn);
bool fp_round3(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn3 *fn);
/* the same for instructions that do not round and have no rm field */
bool fp_plain2(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn);
/* integer rd = fn(rs1, rs2) or fn(rs1): comparison, classification */
bool fp_compare(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn);
bool fp_class(struct rv *c, const struct insn *i, enum sf_fmt f);

bool fp_convert(struct rv *c, const struct insn *i, enum sf_fmt from, enum sf_fmt to);
bool fp_to_int(struct rv *c, const struct insn *i, enum sf_fmt from, enum sf_int to);
bool fp_from_int(struct rv *c, const struct insn *i, enum sf_fmt to, enum sf_int from);

bool fp_load(struct rv *c, const struct insn *i, enum sf_fmt f);
bool fp_store(struct rv *c, const struct insn *i, enum sf_fmt f);
bool fp_move_to_x(struct rv *c, const struct insn *i, enum sf_fmt f); /* raw bits, sign-extended */
bool fp_move_from_x(struct rv *c, const struct insn *i, enum sf_fmt f);

/* For struct isa_ops. */
extern const struct fp_ops rv_fp_ops;
bool rv_fp_enter(struct vcpu *v);
void rv_fp_flags(struct vcpu *v, uint32_t host_csr);
extern const uint8_t rv_flags_of_host[64]; /* by MXCSR bits 5..0 */

#endif
