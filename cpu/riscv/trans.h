/*
 * Emitting IR for RISC-V: what trans_ functions share.
 *
 * A trans_ function writes rd after everything that may fault, and needs no care for x0: gen_set_x drops the write.
 * It may fall back to gen_exec for forms it does not cover.
 */
#ifndef CPU_RISCV_TRANS_H
#define CPU_RISCV_TRANS_H

#include "cpu/riscv/insn.h"
#include "translator/ir.h"

struct guest_block;
struct vcpu;

/* State of the translation of one block. */
struct tctx {
    struct ir *ir;
    const struct isa_config *cfg;
    gva pc, npc; /* of the instruction at hand and the next; pic: from the start of the block's page */
    bool pic;
    bool fp;     /* `fenter` was emitted */
    bool ended;  /* a jump was emitted: the block is complete */
};

typedef void trans_fn(struct tctx *t, const struct insn *i);

/* trans_<name>; rows marked H have none */
#define INSN(name, ...) trans_fn trans_##name;
#include "cpu/riscv/insn.def"

extern trans_fn *const insn_trans[INSN_COUNT]; /* NULL: call the exec_ */

/* isa_ops.translate */
void rv_emit_block(const struct vcpu *v, const struct guest_block *b, struct ir *ir);

ir_val gen_x(struct tctx *t, unsigned r);              /* x[r] */
void gen_set_x(struct tctx *t, unsigned r, ir_val v);  /* x[r] = v; nothing for x0 */
void gen_set_const(struct tctx *t, unsigned r, uint64_t v);
void gen_set_pc(struct tctx *t, unsigned r, gva pc); /* r = an address counted as t->pc is */
ir_val gen_f(struct tctx *t, unsigned r);              /* f[r], raw */
void gen_set_f(struct tctx *t, unsigned r, ir_val v);
void gen_exec(struct tctx *t, const struct insn *i);       /* call its exec_ */
void gen_exec_leave(struct tctx *t, const struct insn *i); /* and go where it says: ends the block */
void gen_jump(struct tctx *t, gva target);                 /* ends the block */

#endif
