/* RV64I: the instructions of exec_i.c, in the same order, as IR. */
#include "cpu/riscv/config.h"
#include "cpu/riscv/gen.h"

TRANS(lui) { gen_set_const(t, i->rd, (uint64_t)(int64_t)i->imm); }
TRANS(auipc) { gen_set_pc(t, i->rd, t->pc + (uint64_t)(int64_t)i->imm); }

/* A jump to where no instruction can start, known or possible: exec_ raises the fault. */
static bool misaligned(const struct tctx *t, gva target) { return (target & 2) && !isa_has(t->cfg, EXT_ZCA); }

TRANS(jal)
{
    gva target = t->pc + (uint64_t)(int64_t)i->imm;

    if (misaligned(t, target)) {
        gen_exec_leave(t, i);
        return;
    }
    gen_set_pc(t, i->rd, t->npc);
    gen_jump(t, target);
}

TRANS(jalr)
{
    ir_val target;

    if (!isa_has(t->cfg, EXT_ZCA)) {
        gen_exec_leave(t, i);
        return;
    }
    target = ir_andi(t->ir, ir_addi(t->ir, S1, i->imm), ~1);
    gen_set_pc(t, i->rd, t->npc);
    ir_jumpr(t->ir, target);
    t->ended = true;
}

static void branch(struct tctx *t, const struct insn *i, enum ir_cond cond)
{
    gva target = t->pc + (uint64_t)(int64_t)i->imm;
    ir_val a, b;

    if (misaligned(t, target)) {
        gen_exec_leave(t, i);
        return;
    }
    if (target == t->npc) /* goes on either way (static keys leave such); the block need not end there */
        return;
    a = S1;
    b = S2;
    ir_brcond(t->ir, cond, a, b, target);
}

TRANS(beq) { branch(t, i, IR_EQ); }
TRANS(bne) { branch(t, i, IR_NE); }
TRANS(blt) { branch(t, i, IR_LT); }
TRANS(bge) { branch(t, i, IR_GE); }
TRANS(bltu) { branch(t, i, IR_LTU); }
TRANS(bgeu) { branch(t, i, IR_GEU); }

static void load(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    gen_set_x(t, i->rd, ir_ld(t->ir, m, S1, i->imm));
}

static void store(struct tctx *t, const struct insn *i, enum ir_mem m)
{
    ir_val addr = S1, val = S2;

    ir_st(t->ir, m, addr, i->imm, val);
}

TRANS(lb) { load(t, i, IR_8S); }
TRANS(lh) { load(t, i, IR_16S); }
TRANS(lw) { load(t, i, IR_32S); }
TRANS(ld) { load(t, i, IR_64); }
TRANS(lbu) { load(t, i, IR_8U); }
TRANS(lhu) { load(t, i, IR_16U); }
TRANS(lwu) { load(t, i, IR_32U); }
TRANS(sb) { store(t, i, IR_8U); }
TRANS(sh) { store(t, i, IR_16U); }
TRANS(sw) { store(t, i, IR_32U); }
TRANS(sd) { store(t, i, IR_64); }

static void compare(struct tctx *t, const struct insn *i, enum ir_cond cond, ir_val b)
{
    ir_val a = S1;

    gen_set_x(t, i->rd, ir_setcc(t->ir, cond, a, b));
}

TRANS(addi) { gen_ri(t, i, IR_add); }
TRANS(slti) { compare(t, i, IR_LT, ir_const(t->ir, i->imm)); }
TRANS(sltiu) { compare(t, i, IR_LTU, ir_const(t->ir, i->imm)); }
TRANS(xori) { gen_ri(t, i, IR_xor); }
TRANS(ori) { gen_ri(t, i, IR_or); }
TRANS(andi) { gen_ri(t, i, IR_and); }
TRANS(slli) { gen_ri(t, i, IR_shl); }
TRANS(srli) { gen_ri(t, i, IR_shr); }
TRANS(srai) { gen_ri(t, i, IR_sar); }
TRANS(add) { gen_rr(t, i, IR_add); }
TRANS(sub) { gen_rr(t, i, IR_sub); }
TRANS(sll) { gen_rr(t, i, IR_shl); }
TRANS(slt) { compare(t, i, IR_LT, S2); }
TRANS(sltu) { compare(t, i, IR_LTU, S2); }
TRANS(xor) { gen_rr(t, i, IR_xor); }
TRANS(srl) { gen_rr(t, i, IR_shr); }
TRANS(sra) { gen_rr(t, i, IR_sar); }
TRANS(or) { gen_rr(t, i, IR_or); }
TRANS(and) { gen_rr(t, i, IR_and); }

TRANS(addiw) { gen_ri(t, i, IR_add32); }
TRANS(slliw) { gen_ri(t, i, IR_shl32); }
TRANS(srliw) { gen_ri(t, i, IR_shr32); }
TRANS(sraiw) { gen_ri(t, i, IR_sar32); }
TRANS(addw) { gen_rr(t, i, IR_add32); }
TRANS(subw) { gen_rr(t, i, IR_sub32); }
TRANS(sllw) { gen_rr(t, i, IR_shl32); }
TRANS(srlw) { gen_rr(t, i, IR_shr32); }
TRANS(sraw) { gen_rr(t, i, IR_sar32); }

static void fence(struct tctx *t, bool store_load)
{
    ir_emit(t->ir, IR_fence, 0, IR_NONE, IR_NONE, IR_NONE, store_load);
}

TRANS(fence) { fence(t, (i->imm & 0x50) && (i->imm & 0x0a)); }
TRANS(fence_tso) { (void)i, fence(t, false); }

/* Hints. */
static void nop(void) {}

TRANS(ntl_p1) { (void)t, (void)i, nop(); }
TRANS(ntl_pall) { (void)t, (void)i, nop(); }
TRANS(ntl_s1) { (void)t, (void)i, nop(); }
TRANS(ntl_all) { (void)t, (void)i, nop(); }
TRANS(prefetch_i) { (void)t, (void)i, nop(); }
TRANS(prefetch_r) { (void)t, (void)i, nop(); }
TRANS(prefetch_w) { (void)t, (void)i, nop(); }

TRANS(mop_r) { gen_set_const(t, i->rd, 0); }
TRANS(mop_rr) { gen_set_const(t, i->rd, 0); }
