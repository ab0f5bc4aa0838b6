/* Zbc, Zbkb, Zbkx, Zknd, Zkne, Zknh: the instructions of exec_zbc.c and exec_zk.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"
#include "cpu/riscv/zk.h"

static void helper(struct tctx *t, const struct insn *i, enum helper h, bool two)
{
    ir_val a = S1, b = two ? S2 : IR_NONE;

    gen_set_x(t, i->rd, ir_emit(t->ir, IR_call, 0, a, b, IR_NONE, h));
}

/* rd = fn(rs1, b), which is what h says */
static void aes(struct tctx *t, const struct insn *i, enum helper h, uint64_t (*fn)(uint64_t, uint64_t), ir_val b)
{
    ir_val a = S1, f = ir_const(t->ir, (int64_t)(intptr_t)fn);

    gen_set_x(t, i->rd, ir_emit(t->ir, IR_call, 0, a, b, f, h));
}

TRANS(clmul) { helper(t, i, HELPER_clmul, true); }
TRANS(clmulh) { helper(t, i, HELPER_clmulh, true); }
TRANS(clmulr) { helper(t, i, HELPER_clmulr, true); }

TRANS(pack)
{
    ir_val low = ir_zext32(t->ir, S1), high = ir_shli(t->ir, S2, 32);

    gen_set_x(t, i->rd, ir_or(t->ir, low, high));
}

TRANS(packh)
{
    ir_val low = ir_zext8(t->ir, S1), high = ir_shli(t->ir, ir_zext8(t->ir, S2), 8);

    gen_set_x(t, i->rd, ir_or(t->ir, low, high));
}

TRANS(packw)
{
    ir_val low = ir_zext16(t->ir, S1), high = ir_shl32i(t->ir, S2, 16);

    gen_set_x(t, i->rd, ir_or(t->ir, low, high));
}

TRANS(brev8) { helper(t, i, HELPER_brev8, false); }
TRANS(xperm4) { helper(t, i, HELPER_xperm4, true); }
TRANS(xperm8) { helper(t, i, HELPER_xperm8, true); }

TRANS(aes64es) { aes(t, i, HELPER_aes_es, zk_aes64es, S2); }
TRANS(aes64esm) { aes(t, i, HELPER_aes_esm, zk_aes64esm, S2); }
TRANS(aes64ds) { aes(t, i, HELPER_aes_ds, zk_aes64ds, S2); }
TRANS(aes64dsm) { aes(t, i, HELPER_aes_dsm, zk_aes64dsm, S2); }
TRANS(aes64im) { aes(t, i, HELPER_aes_im, zk_aes64im, ir_const(t->ir, 0)); }
TRANS(aes64ks1i) { aes(t, i, HELPER_apply, zk_aes64ks1i, ir_const(t->ir, i->imm)); }

TRANS(aes64ks2)
{
    ir_val a = S1, b = S2, low = ir_zext32(t->ir, ir_xor(t->ir, ir_shri(t->ir, a, 32), b));
    ir_val high = ir_xor(t->ir, low, ir_shri(t->ir, b, 32));

    gen_set_x(t, i->rd, ir_or(t->ir, ir_shli(t->ir, high, 32), low));
}

/* ror(x, a) ^ ror(x, b) ^ third */
static void sha256(struct tctx *t, const struct insn *i, unsigned a, unsigned b, enum ir_op op, unsigned c)
{
    ir_val x = S1, r = ir_xor(t->ir, ir_ror32i(t->ir, x, a), ir_ror32i(t->ir, x, b));

    gen_set_x(t, i->rd, ir_xor(t->ir, r, ir_bini(t->ir, op, x, c)));
}

static void sha512(struct tctx *t, const struct insn *i, unsigned a, unsigned b, enum ir_op op, unsigned c)
{
    ir_val x = S1, r = ir_xor(t->ir, ir_rori(t->ir, x, a), ir_rori(t->ir, x, b));

    gen_set_x(t, i->rd, ir_xor(t->ir, r, ir_bini(t->ir, op, x, c)));
}

TRANS(sha256sum0) { sha256(t, i, 2, 13, IR_ror32, 22); }
TRANS(sha256sum1) { sha256(t, i, 6, 11, IR_ror32, 25); }
TRANS(sha256sig0) { sha256(t, i, 7, 18, IR_shr32, 3); }
TRANS(sha256sig1) { sha256(t, i, 17, 19, IR_shr32, 10); }
TRANS(sha512sum0) { sha512(t, i, 28, 34, IR_ror, 39); }
TRANS(sha512sum1) { sha512(t, i, 14, 18, IR_ror, 41); }
TRANS(sha512sig0) { sha512(t, i, 1, 8, IR_shr, 7); }
TRANS(sha512sig1) { sha512(t, i, 19, 61, IR_shr, 6); }
