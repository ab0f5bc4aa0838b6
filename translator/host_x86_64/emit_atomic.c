/* Atomics: inline on pages the TLB knows, naturally aligned; everything else, and SC without its LR, through the helpers. */
#include "translator/helper.h"
#include "translator/host_x86_64/emit.h"

/* The entry of the address in rax: rcx = addend, or off to the cold part. */
static struct cold *probe_aligned(struct emit *e, unsigned size, unsigned table,
                                  void (*fn)(struct emit *, struct cold *))
{
    struct asm_buf *a = &e->a;
    struct cold *c;

    asm_rr(a, X_LOAD, RCX, RAX);
    asm_shift_imm(a, 0, SH_SHR, RCX, 8);
    asm_alu_imm(a, 0, ALU_AND, rm_reg(RCX), (TLB_SIZE - 1) << 4);
    asm_mov(a, RDX, RAX);
    asm_alu_imm(a, OP_W, ALU_AND, rm_reg(RDX), (int64_t)PAGE_MASK);
    asm_alu(a, OP_W, ALU_CMP, RDX, rm_sib(R15, RCX, 0, table));
    c = cold_new(e, fn);
    c->from = asm_jcc_fwd(a, CC_NE);
    asm_8(a, 0xa8); /* test al, size - 1 */
    asm_8(a, size - 1);
    c->more[0] = asm_jcc_fwd(a, CC_NE);
    asm_load(a, RCX, rm_sib(R15, RCX, 0, table + offsetof(struct tlb_entry, addend)));
    return c;
}

/* rax = address on entry. c->x: mem | op << 8, c->m: the operand. The whole operation is done by the helper. */
static void cold_amo(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;

    cold_enter(e, c);
    if (c->b) { /* operand is a constant */
        asm_mov_imm(a, RDX, (int64_t)c->x);
        asm_store(a, V_MEM(scratch[0]), RDX);
    } else if (c->m.kind == RM_IS_REG) {
        asm_store(a, V_MEM(scratch[0]), c->m.base);
    } else {
        asm_load(a, RDX, c->m);
        asm_store(a, V_MEM(scratch[0]), RDX);
    }
    asm_store_imm(a, 8, V_MEM(scratch[1]), c->a | c->d << 8);
    cold_context(e, c);
    asm_call(a, e->h->amo);
    asm_jmp_back(a, c->back);
}

/* rdx = f(old value in rdx, operand B) */
static void apply(struct asm_buf *a, unsigned amo, unsigned w, struct rm b)
{
    static const uint8_t alu[] = {[AMO_XOR] = ALU_XOR, [AMO_AND] = ALU_AND, [AMO_OR] = ALU_OR};
    static const uint8_t take_b[] = {[AMO_MIN] = CC_G, [AMO_MAX] = CC_L, [AMO_MINU] = CC_A, [AMO_MAXU] = CC_B};

    if (amo < AMO_MIN) {
        asm_alu(a, w, (enum alu)alu[amo], RDX, b);
    } else {
        asm_alu(a, w, ALU_CMP, RDX, b);
        asm_op(a, (X_CMOV + take_b[amo]) | w, RDX, b);
    }
}

static void amo(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    unsigned size = in->sub == IR_64 ? 8 : 4, w = size == 8 ? OP_W : 0, op = (unsigned)in->imm;
    bool wanted = e->val[e->i].uses;
    int64_t imm = 0;
    struct rm to = rm_mem(RCX, 0), b;
    struct cold *c;

    take_all(e);
    fspill_temps(e);
    load_opnd(e, RAX, in->a);
    c = probe_aligned(e, size, offsetof(struct tlb_ctx, wr), cold_amo);
    c->a = in->sub;
    c->d = (uint8_t)op;
    c->b = is_const(e, in->b, &imm);
    c->x = (uint64_t)imm;
    if (!c->b)
        c->m = opnd(e, in->b);
    asm_alu(a, OP_W, ALU_ADD, RCX, rm_reg(RAX));
    if (op == AMO_SWAP || op == AMO_ADD) {
        load_opnd(e, RAX, in->b);
        if (op == AMO_ADD)
            asm_lock(a);
        asm_op(a, (op == AMO_ADD ? X_XADD : X_XCHG) | w, RAX, to);
    } else if (!wanted && op < AMO_MIN) {
        load_opnd(e, RDX, in->b);
        asm_lock(a);
        asm_alu_store(a, w, op == AMO_XOR ? ALU_XOR : op == AMO_AND ? ALU_AND : ALU_OR, to, RDX);
    } else {
        const uint8_t *again;

        if (c->b) {
            asm_mov_imm(a, RDX, imm);
            asm_store(a, V_MEM(scratch[1]), RDX);
            b = V_MEM(scratch[1]);
        } else {
            b = c->m;
        }
        asm_op(a, X_LOAD | w, RAX, to);
        again = a->p;
        asm_rr(a, X_LOAD | w, RDX, RAX);
        apply(a, op, w, b);
        asm_lock(a);
        asm_op(a, X_CMPXCHG | w, RDX, to);
        asm_8(a, 0x70 | CC_NE);
        asm_8(a, (unsigned)(again - (a->p + 1)));
    }
    if (!w && wanted)
        asm_rr(a, X_MOVSXD, RAX, RAX);
    c->back = a->p;
    e->temp[RAX] = NO_VAL;
    if (wanted) {
        unsigned d = RAX;

        if (e->val[e->i].into)
            d = def(e, IR_NONE);
        else
            define_temp(e, RAX);
        if (d != RAX)
            asm_mov(a, d, RAX);
    }
}

/* rax = address on entry; c->d: where the result is expected. c->a: memory access, c->b: SC, its value in scratch[0]. */
static void cold_lr_sc(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    cold_context(e, c);
    asm_call(&e->a, c->b ? e->h->sc[c->a] : e->h->lr[c->a]);
    if (c->d != RAX)
        asm_mov(&e->a, c->d, RAX);
    asm_jmp_back(&e->a, c->back);
}

static void lr_sc_result(struct emit *e, struct cold *c, unsigned r)
{
    c->back = e->a.p;
    c->d = (uint8_t)r;
    e->temp[r] = NO_VAL;
    if (e->val[e->i].into)
        asm_mov(&e->a, def(e, IR_NONE), r);
    else
        define_temp(e, r);
}

static void load_reserve(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    bool wide = in->sub == IR_64;
    struct cold *c;

    take_all(e);
    fspill_temps(e);
    load_opnd(e, RAX, in->a);
    c = probe_aligned(e, wide ? 8 : 4, offsetof(struct tlb_ctx, rd), cold_lr_sc);
    c->a = in->sub;
    asm_op(a, wide ? X_LOAD | OP_W : X_MOVSXD, RDX, rm_sib(RAX, RCX, 0, 0));
    asm_store(a, V_MEM(res_addr), RAX);
    asm_store(a, V_MEM(res_val), RDX);
    lr_sc_result(e, c, RDX);
}

static void store_conditional(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    unsigned w = in->sub == IR_64 ? OP_W : 0;
    struct cold *c;

    take_all(e);
    fspill_temps(e);
    load_opnd(e, RDX, in->b);
    asm_store(a, V_MEM(scratch[0]), RDX);
    load_opnd(e, RAX, in->a);
    c = probe_aligned(e, w ? 8 : 4, offsetof(struct tlb_ctx, wr), cold_lr_sc);
    c->a = in->sub;
    c->b = 1;
    asm_alu(a, OP_W, ALU_CMP, RAX, V_MEM(res_addr));
    c->more[1] = asm_jcc_fwd(a, CC_NE);
    asm_alu(a, OP_W, ALU_ADD, RCX, rm_reg(RAX));
    asm_store_imm(a, 8, V_MEM(res_addr), -1);
    asm_load(a, RAX, V_MEM(res_val));
    asm_load(a, RDX, V_MEM(scratch[0]));
    asm_lock(a);
    asm_op(a, X_CMPXCHG | w, RDX, rm_mem(RCX, 0));
    asm_op(a, X_SETCC + CC_NE, 0, rm_reg(RAX));
    asm_rr(a, X_MOVZX8, RAX, RAX);
    lr_sc_result(e, c, RAX);
}

bool emit_atomic(struct emit *e, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_amo: amo(e, in); break;
    case IR_lr: load_reserve(e, in); break;
    case IR_sc: store_conditional(e, in); break;
    case IR_fence:
        if (in->imm) { /* a locked operation orders like mfence and is cheaper */
            asm_lock(&e->a);
            asm_alu_imm(&e->a, 0, ALU_OR, rm_mem(RSP, 8 * (SLOTS - 1)), 0);
        }
        break;
    default: return false;
    }
    return true;
}
