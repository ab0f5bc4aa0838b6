/* Multiplication and division, with RISC-V's answers for zero divisors and overflow. */
#include "translator/host_x86_64/emit.h"

static void mul_low(struct emit *e, const struct ir_insn *in, unsigned w)
{
    unsigned a = in->a, b = in->b;
    int64_t imm;

    if (e->val[a].loc == LOC_CONST) {
        a = in->b;
        b = in->a;
    }
    if (is_imm32(e, b, &imm)) {
        struct rm A = opnd(e, a);
        unsigned d = def(e, a);

        asm_op_tail(&e->a, 0x69 | w, d, A, 4);
        asm_32(&e->a, imm);
        if (!w)
            asm_rr(&e->a, X_MOVSXD, d, d);
        return;
    }
    struct rm A = opnd(e, a), B = opnd(e, b);
    unsigned d = def(e, a);

    if (rm_is(B, d)) {
        asm_op(&e->a, X_IMUL | w, d, A);
    } else {
        if (!rm_is(A, d))
            asm_load(&e->a, d, A);
        asm_op(&e->a, X_IMUL | w, d, B);
    }
    if (!w)
        asm_rr(&e->a, X_MOVSXD, d, d);
}

/* The result is in scratch register r (taken). */
static void result(struct emit *e, unsigned r, bool sext)
{
    unsigned d = r;

    e->temp[r] = NO_VAL;
    if (e->val[e->i].into)
        d = def(e, IR_NONE);
    else
        define_temp(e, r);
    if (sext)
        asm_rr(&e->a, X_MOVSXD, d, r);
    else if (d != r)
        asm_mov(&e->a, d, r);
}

static void mul_high(struct emit *e, const struct ir_insn *in)
{
    take_all(e);
    load_opnd(e, RAX, in->a);
    load_opnd(e, RCX, in->b);
    asm_f7(&e->a, OP_W, in->op == IR_mulhs ? F7_IMUL : F7_MUL, rm_reg(RCX));
    if (in->op == IR_mulhsu) { /* a as unsigned was 2^64 too large when negative */
        load_opnd(e, RAX, in->a);
        asm_shift_imm(&e->a, OP_W, SH_SAR, RAX, 63);
        asm_alu(&e->a, OP_W, ALU_AND, RAX, rm_reg(RCX));
        asm_alu(&e->a, OP_W, ALU_SUB, RDX, rm_reg(RAX));
    }
    result(e, RDX, false);
}

/* rcx is 0, or -1 in a signed division. c->a: the operation; c->b: OP_W is meant. */
static void cold_divide(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;
    unsigned w = c->b ? OP_W : 0;
    bool rem = c->a == IR_rems || c->a == IR_remu || c->a == IR_rems32 || c->a == IR_remu32;
    bool sign = c->a == IR_divs || c->a == IR_rems || c->a == IR_divs32 || c->a == IR_rems32;

    cold_enter(e, c);
    if (rem) {
        asm_rr(a, X_LOAD | w, RDX, RAX); /* x % 0 = x; for -1: and with 0 */
        if (sign)                        /* rcx is 0 or -1: ~rcx is the mask */
            asm_f7(a, OP_W, F7_NOT, rm_reg(RCX)), asm_alu(a, OP_W, ALU_AND, RDX, rm_reg(RCX));
    } else if (sign) { /* x / -1 = -x; x / 0 = -1 */
        asm_f7(a, w, F7_NEG, rm_reg(RAX));
        asm_f7(a, w, F7_NOT, rm_reg(RCX)); /* 0 for -1, -1 for 0 */
        asm_alu(a, w, ALU_OR, RAX, rm_reg(RCX));
    } else {
        asm_mov_imm(a, RAX, -1);
    }
    asm_jmp_back(a, c->back);
}

static void divide(struct emit *e, const struct ir_insn *in, bool sign, bool rem, unsigned w)
{
    struct asm_buf *a = &e->a;
    struct cold *c = NULL;
    int64_t k;

    take_all(e);
    load_opnd(e, RCX, in->b);
    load_opnd(e, RAX, in->a);
    if (!is_const(e, in->b, &k) || (int32_t)k == 0 || (int32_t)k == -1) {
        if (sign) {
            asm_op(a, X_LEA | w, RDX, rm_mem(RCX, 1));
            asm_alu_imm(a, w, ALU_CMP, rm_reg(RDX), 1);
        } else {
            asm_rr(a, X_TEST | w, RCX, RCX);
        }
        c = cold_new(e, cold_divide);
        c->from = asm_jcc_fwd(a, sign ? CC_BE : CC_E);
        c->a = in->op;
        c->b = w != 0;
    }
    if (sign) {
        if (w)
            asm_8(a, 0x48);
        asm_8(a, 0x99); /* cdq, cqo */
    } else {
        asm_alu(a, 0, ALU_XOR, RDX, rm_reg(RDX));
    }
    asm_f7(a, w, sign ? F7_IDIV : F7_DIV, rm_reg(RCX));
    if (c)
        c->back = a->p;
    result(e, rem ? RDX : RAX, !w);
}

bool emit_mul(struct emit *e, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_mul: mul_low(e, in, OP_W); break;
    case IR_mul32: mul_low(e, in, 0); break;
    case IR_mulhs:
    case IR_mulhu:
    case IR_mulhsu: mul_high(e, in); break;
    case IR_divs: divide(e, in, true, false, OP_W); break;
    case IR_divu: divide(e, in, false, false, OP_W); break;
    case IR_rems: divide(e, in, true, true, OP_W); break;
    case IR_remu: divide(e, in, false, true, OP_W); break;
    case IR_divs32: divide(e, in, true, false, 0); break;
    case IR_divu32: divide(e, in, false, false, 0); break;
    case IR_rems32: divide(e, in, true, true, 0); break;
    case IR_remu32: divide(e, in, false, true, 0); break;
    default: return false;
    }
    return true;
}
