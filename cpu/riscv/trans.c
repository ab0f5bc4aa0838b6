/* From a block of decoded RISC-V instructions to IR. */
#include "cpu/riscv/trans.h"

#include "cpu/isa.h"
#include "cpu/riscv/rv.h"

#define INSN_TRANS_T(name) trans_##name
#define INSN_TRANS_H(name) NULL

trans_fn *const insn_trans[INSN_COUNT] = {
#define INSN(name, format, ext, xlen, bits, disasm, flags, trans) [INSN_##name] = INSN_TRANS_##trans(name),
#include "cpu/riscv/insn.def"
};

ir_val gen_x(struct tctx *t, unsigned r) { return r ? ir_getr(t->ir, r) : ir_const(t->ir, 0); }

void gen_set_x(struct tctx *t, unsigned r, ir_val v)
{
    if (r)
        ir_setr(t->ir, r, v);
}

void gen_set_const(struct tctx *t, unsigned r, uint64_t v)
{
    if (r)
        ir_setr(t->ir, r, ir_const(t->ir, (int64_t)v));
}

void gen_set_pc(struct tctx *t, unsigned r, gva pc)
{
    if (t->pic && r)
        ir_setr(t->ir, r, ir_page(t->ir, (int64_t)pc));
    else
        gen_set_const(t, r, pc);
}

ir_val gen_f(struct tctx *t, unsigned r) { return ir_getf(t->ir, r); }
void gen_set_f(struct tctx *t, unsigned r, ir_val v) { ir_setf(t->ir, r, v); }
void gen_exec(struct tctx *t, const struct insn *i) { ir_exec(t->ir, i); }

void gen_exec_leave(struct tctx *t, const struct insn *i)
{
    ir_exec(t->ir, i);
    ir_leave(t->ir);
    t->ended = true;
}

void gen_jump(struct tctx *t, gva target)
{
    ir_jump(t->ir, target);
    t->ended = true;
}

/* One instruction. `fenter` comes behind the boundary, so that what it leaves for is this instruction. */
static void emit_insn(struct tctx *t, const struct insn *i)
{
    trans_fn *trans = insn_trans[i->op];
    unsigned flags = insn_flags[i->op];

    t->npc = t->pc + i->len;
    ir_emit(t->ir, IR_insn, i->len, IR_NONE, IR_NONE, IR_NONE, (int64_t)t->pc);
    if (trans && (flags & INSN_FP) && !t->fp) {
        ir_emit(t->ir, IR_fenter, 0, IR_NONE, IR_NONE, IR_NONE, 0);
        t->fp = true;
    }
    if (trans)
        trans(t, i);
    else if (flags & INSN_END)
        gen_exec_leave(t, i);
    else
        gen_exec(t, i);
    t->pc = t->npc;
}

void rv_emit_block(const struct vcpu *v, const struct guest_block *b, struct ir *ir)
{
    const struct rv *c = (const struct rv *)v;
    const struct insn *i = b->insns, *end = i + b->count;
    struct tctx t = {.ir = ir, .cfg = c->cfg, .pc = b->pc, .pic = b->pic};

    ir->pic = b->pic;
    for (; i < end && !t.ended; i++)
        emit_insn(&t, i);
    if (!t.ended)
        gen_jump(&t, t.pc);
}
