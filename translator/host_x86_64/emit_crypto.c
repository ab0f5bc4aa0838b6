/*
 * Calls of helpers that the host's AES and carry-less multiplication do in a few instructions.
 *
 * AES of RISC-V works on 64 of a block's 128 bits; the host's instructions do the whole block, with a key of zero.
 */
#include "translator/host_x86_64/emit.h"

static void packed(struct emit *e, unsigned op, unsigned d, unsigned s)
{
    if (e->h->avx)
        asm_vex(&e->a, op, d, d, rm_reg(s));
    else
        asm_rr(&e->a, op, d, s);
}

/* clmulr: bits 126..63 of the product, the high half with one more bit below it. */
static void carryless(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    struct rm A = opnd(e, in->a), B = opnd(e, in->b);
    unsigned x = fscratch(e), y = fscratch(e), d = def(e, IR_NONE);

    fp_raw2(e, F_MOVQ_FROM_GPR, x, A);
    fp_raw2(e, F_MOVQ_FROM_GPR, y, B);
    asm_op_tail(a, X_PCLMULQDQ, x, rm_reg(y), 1);
    asm_8(a, 0);
    if (in->imm == HELPER_clmul) {
        fp_raw2(e, F_MOVQ_TO_GPR, x, rm_reg(d));
        return;
    }
    asm_op_tail(a, X_PEXTRQ, x, rm_reg(d), 1);
    asm_8(a, 1);
    if (in->imm == HELPER_clmulr) { /* through memory: a third register is not always to be had */
        fp_raw2(e, F_MOVQ_TO_GPR, x, V_MEM(scratch[0]));
        asm_op_tail(a, X_BT_IMM | OP_W, 4, V_MEM(scratch[0]), 1);
        asm_8(a, 63);
        asm_alu(a, OP_W, ALU_ADC, d, rm_reg(d));
    }
}

static void aes_round(struct emit *e, const struct ir_insn *in, unsigned op)
{
    struct asm_buf *a = &e->a;
    struct rm A = opnd(e, in->a), B = opnd(e, in->b);
    unsigned x = fscratch(e), key = fscratch(e), d = def(e, IR_NONE);

    fp_raw2(e, F_MOVQ_FROM_GPR, x, A);
    asm_op_tail(a, X_PINSRQ, x, B, 1);
    asm_8(a, 1);
    packed(e, F_PXOR, key, key);
    packed(e, op, x, key);
    fp_raw2(e, F_MOVQ_TO_GPR, x, rm_reg(d));
}

static void aes_inverse_mix(struct emit *e, const struct ir_insn *in)
{
    struct rm A = opnd(e, in->a);
    unsigned x = fscratch(e), d = def(e, IR_NONE);

    fp_raw2(e, F_MOVQ_FROM_GPR, x, A);
    fp_raw2(e, X_AESIMC, x, rm_reg(x));
    fp_raw2(e, F_MOVQ_TO_GPR, x, rm_reg(d));
}

bool emit_crypto(struct emit *e, const struct ir_insn *in)
{
    switch (in->imm) {
    case HELPER_clmul:
    case HELPER_clmulh:
    case HELPER_clmulr:
        if (!e->h->clmul)
            return false;
        break;
    case HELPER_aes_es:
    case HELPER_aes_esm:
    case HELPER_aes_ds:
    case HELPER_aes_dsm:
    case HELPER_aes_im:
        if (!e->h->aes)
            return false;
        break;
    default: return false;
    }
    if (!e->val[e->i].uses)
        return true;
    switch (in->imm) {
    case HELPER_aes_es: aes_round(e, in, X_AESENCLAST); break;
    case HELPER_aes_esm: aes_round(e, in, X_AESENC); break;
    case HELPER_aes_ds: aes_round(e, in, X_AESDECLAST); break;
    case HELPER_aes_dsm: aes_round(e, in, X_AESDEC); break;
    case HELPER_aes_im: aes_inverse_mix(e, in); break;
    default: carryless(e, in);
    }
    return true;
}
