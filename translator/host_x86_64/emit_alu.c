/* Integer arithmetic and logic, comparisons and selection. */
#include "translator/host_x86_64/emit.h"

static void mov_rm(struct emit *e, unsigned d, struct rm m)
{
    if (!rm_is(m, d))
        asm_load(&e->a, d, m);
}

static void mov_rm32(struct emit *e, unsigned d, struct rm m) { asm_op(&e->a, X_LOAD, d, m); }
static void sext_result(struct emit *e, unsigned d) { asm_rr(&e->a, X_MOVSXD, d, d); }

static void alu_with_imm(struct emit *e, enum alu op, unsigned w, unsigned a, int64_t imm)
{
    struct rm A = opnd(e, a);
    unsigned d = def(e, a);
    int64_t add = op == ALU_SUB ? -imm : imm;

    if ((op == ALU_ADD || op == ALU_SUB) && A.kind == RM_IS_REG && A.base != d && fits32(add)) {
        asm_op(&e->a, X_LEA | w, d, rm_mem(A.base, add));
    } else {
        mov_rm(e, d, A);
        asm_alu_imm(&e->a, w, op, rm_reg(d), imm);
    }
    if (!w)
        sext_result(e, d);
}

static void alu(struct emit *e, const struct ir_insn *in, enum alu op, unsigned w, bool commutes, bool invert)
{
    unsigned a = in->a, b = in->b;
    int64_t imm;

    if (commutes && is_const(e, a, &imm)) {
        a = in->b;
        b = in->a;
    }
    if (is_imm32(e, b, &imm) && e->val[a].loc != LOC_CONST) {
        alu_with_imm(e, op, w, a, imm);
        if (invert)
            asm_f7(&e->a, OP_W, F7_NOT, rm_reg(in_reg(e, e->i)));
        return;
    }
    if (commutes && a != b && e->val[b].loc == LOC_TEMP && dies(e, b) && !(e->val[a].loc == LOC_TEMP && dies(e, a))) {
        unsigned t = a;

        a = b;
        b = t;
    }
    struct rm A = opnd(e, a), B = opnd(e, b);
    unsigned d = def(e, a);

    if (op == ALU_ADD && A.kind == RM_IS_REG && B.kind == RM_IS_REG && A.base != d && B.base != d) {
        asm_op(&e->a, X_LEA | w, d, rm_sib(A.base, B.base, 0, 0));
    } else if (rm_is(B, d) && !rm_is(A, d)) {
        if (!commutes) { /* a - d */
            asm_f7(&e->a, w, F7_NEG, B);
            op = ALU_ADD;
        }
        asm_alu(&e->a, w, op, d, A);
    } else {
        mov_rm(e, d, A);
        asm_alu(&e->a, w, op, d, B);
    }
    if (invert)
        asm_f7(&e->a, OP_W, F7_NOT, rm_reg(d));
    if (!w)
        sext_result(e, d);
}

/* a & ~b, a | ~b */
static void alu_not(struct emit *e, const struct ir_insn *in, enum alu op)
{
    if (op == ALU_AND && e->h->bmi1) {
        unsigned b = opnd_reg(e, in->b);
        struct rm A = opnd(e, in->a);

        asm_vex(&e->a, V_ANDN | OP_W, def(e, in->b), b, A);
        return;
    }
    struct rm A = opnd(e, in->a), B = opnd(e, in->b);
    unsigned d = def(e, in->b);

    if (rm_is(A, d)) {
        unsigned t = scratch(e);

        mov_rm(e, t, B);
        asm_f7(&e->a, OP_W, F7_NOT, rm_reg(t));
        asm_alu(&e->a, OP_W, op, d, rm_reg(t));
        return;
    }
    mov_rm(e, d, B);
    asm_f7(&e->a, OP_W, F7_NOT, rm_reg(d));
    asm_alu(&e->a, OP_W, op, d, A);
}

static void shift_const(struct emit *e, const struct ir_insn *in, enum shift op, unsigned w, unsigned n)
{
    struct rm A = opnd(e, in->a);
    unsigned d = def(e, in->a);

    if (!w && op == SH_SAR) {
        asm_op(&e->a, X_MOVSXD, d, A);
        if (n)
            asm_shift_imm(&e->a, OP_W, SH_SAR, d, n);
        return;
    }
    if (op == SH_ROL || op == SH_ROR) {
        if (op == SH_ROL)
            n = -n & (w ? 63 : 31);
        if (e->h->bmi2 && !rm_is(A, d)) {
            asm_vex_tail(&e->a, V_RORX | w, d, 0, A, 1);
            asm_8(&e->a, n);
        } else {
            mov_rm(e, d, A);
            asm_shift_imm(&e->a, w, SH_ROR, d, n);
        }
    } else if (op == SH_SHL && n == 1 && A.kind == RM_IS_REG && A.base != d) {
        asm_op(&e->a, X_LEA | w, d, rm_sib(A.base, A.base, 0, 0));
    } else {
        if (w)
            mov_rm(e, d, A);
        else if (!rm_is(A, d) || !n)
            mov_rm32(e, d, A);
        if (n)
            asm_shift_imm(&e->a, w, op, d, n);
    }
    if (!w && !(op == SH_SHR && n))
        sext_result(e, d);
}

static void shift(struct emit *e, const struct ir_insn *in, enum shift op, unsigned w)
{
    int64_t n;

    if (is_const(e, in->b, &n)) {
        shift_const(e, in, op, w, (unsigned)n & (w ? 63 : 31));
        return;
    }
    if (e->h->bmi2 && op >= SH_SHL) {
        unsigned code = op == SH_SHL ? V_SHLX : op == SH_SHR ? V_SHRX : V_SARX, b = opnd_reg(e, in->b);
        struct rm A = opnd(e, in->a);
        unsigned d = def(e, in->a);

        asm_vex(&e->a, code | w, d, b, A);
        if (!w)
            sext_result(e, d);
        return;
    }
    if (in_reg(e, in->b) == RCX)
        pin(e, in->b);
    else
        take(e, RCX);
    load_opnd(e, RCX, in->b);

    struct rm A = opnd(e, in->a);
    unsigned d = def(e, IR_NONE);

    mov_rm(e, d, A);
    asm_shift_cl(&e->a, w, op, d);
    if (!w)
        sext_result(e, d);
}

static void minmax(struct emit *e, const struct ir_insn *in, enum cc take_b)
{
    struct rm A = opnd(e, in->a), B = opnd(e, in->b);
    unsigned d = def(e, in->a);

    if (rm_is(B, d)) {
        struct rm t = A;

        A = B;
        B = t;
    }
    mov_rm(e, d, A);
    asm_alu(&e->a, OP_W, ALU_CMP, d, B);
    asm_op(&e->a, (X_CMOV + take_b) | OP_W, d, B);
}

static void extend(struct emit *e, const struct ir_insn *in, unsigned op)
{
    struct rm A = opnd(e, in->a);

    asm_op(&e->a, op, def(e, in->a), A);
}

/* Leading and trailing zeros without LZCNT and TZCNT: BSR and BSF leave ZF for 0. */
static void count_zeros(struct emit *e, const struct ir_insn *in, bool leading, unsigned w)
{
    struct rm A = opnd(e, in->a);
    unsigned bits = w ? 64 : 32;

    if (leading ? e->h->lzcnt : e->h->bmi1) {
        asm_op(&e->a, (leading ? X_LZCNT : X_TZCNT) | w, def(e, in->a), A);
        return;
    }
    unsigned t = scratch(e), d = def(e, in->a);

    asm_mov_imm(&e->a, t, leading ? 2 * bits - 1 : bits);
    asm_op(&e->a, (leading ? X_BSR : X_BSF) | w, d, A);
    asm_rr(&e->a, (X_CMOV + CC_E) | w, d, t);
    if (leading)
        asm_alu_imm(&e->a, 0, ALU_XOR, rm_reg(d), bits - 1);
}

/* Bits in pairs, nibbles, bytes; the multiplication sums the bytes. */
static void popcnt_plain(struct emit *e, const struct ir_insn *in, unsigned w)
{
    static const int64_t mask[3] = {0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f};
    struct asm_buf *a = &e->a;

    take_all(e);
    load_opnd(e, RAX, in->a);
    if (!w)
        asm_rr(a, X_LOAD, RAX, RAX);
    for (unsigned k = 0; k < 3; k++) {
        asm_mov(a, RCX, RAX);
        asm_shift_imm(a, OP_W, SH_SHR, RCX, 1u << k);
        asm_mov_imm(a, RDX, mask[k]);
        asm_alu(a, OP_W, ALU_AND, RCX, rm_reg(RDX));
        if (k)
            asm_alu(a, OP_W, ALU_AND, RAX, rm_reg(RDX));
        asm_alu(a, OP_W, k ? ALU_ADD : ALU_SUB, RAX, rm_reg(RCX));
    }
    asm_mov_imm(a, RDX, mask[2]);
    asm_alu(a, OP_W, ALU_AND, RAX, rm_reg(RDX));
    asm_mov_imm(a, RDX, 0x0101010101010101);
    asm_rr(a, X_IMUL | OP_W, RAX, RDX);
    asm_shift_imm(a, OP_W, SH_SHR, RAX, 56);
    e->temp[RAX] = NO_VAL;
    mov_rm(e, def(e, IR_NONE), rm_reg(RAX));
}

static void popcnt(struct emit *e, const struct ir_insn *in, unsigned w)
{
    if (e->h->popcnt) {
        struct rm A = opnd(e, in->a);

        asm_op(&e->a, X_POPCNT | w, def(e, in->a), A);
    } else {
        popcnt_plain(e, in, w);
    }
}

static void bswap(struct emit *e, const struct ir_insn *in)
{
    struct rm A = opnd(e, in->a);
    unsigned d = def(e, in->a);

    mov_rm(e, d, A);
    asm_bswap(&e->a, OP_W, d);
}

static void orcb(struct emit *e, const struct ir_insn *in)
{
    struct rm A = opnd(e, in->a);
    unsigned d = def(e, in->a), x = fscratch(e), z = fscratch(e);

    fp_raw2(e, F_MOVQ_FROM_GPR, x, A);
    asm_rr(&e->a, F_PXOR, z, z);
    asm_rr(&e->a, F_PCMPEQB, x, z);
    fp_raw2(e, F_MOVQ_TO_GPR, x, rm_reg(d));
    asm_f7(&e->a, OP_W, F7_NOT, rm_reg(d));
}

enum cc cond_cc(unsigned cond)
{
    static const uint8_t cc[] = {CC_E, CC_NE, CC_L, CC_GE, CC_B, CC_AE};

    return (enum cc)cc[cond];
}

enum cc emit_compare(struct emit *e, unsigned a, unsigned b, unsigned cond)
{
    static const uint8_t swapped[] = {CC_E, CC_NE, CC_G, CC_LE, CC_A, CC_BE};
    enum cc cc = cond_cc(cond);
    int64_t imm;

    if (is_const(e, a, &imm) && !is_const(e, b, &imm)) {
        unsigned t = a;

        a = b;
        b = t;
        cc = (enum cc)swapped[cond];
    }
    struct rm A = opnd(e, a);

    if (is_imm32(e, b, &imm)) {
        if (imm == 0 && A.kind == RM_IS_REG)
            asm_op(&e->a, X_TEST | OP_W, A.base, A);
        else
            asm_alu_imm(&e->a, OP_W, ALU_CMP, A, imm);
        return cc;
    }
    struct rm B = opnd(e, b);

    if (A.kind == RM_IS_REG) {
        asm_alu(&e->a, OP_W, ALU_CMP, A.base, B);
    } else {
        unsigned r = B.kind == RM_IS_REG ? B.base : opnd_reg(e, b);

        asm_alu_store(&e->a, OP_W, ALU_CMP, A, r);
    }
    return cc;
}

static void setcc(struct emit *e, const struct ir_insn *in)
{
    int64_t imm;

    if (in->sub == IR_LT && is_const(e, in->b, &imm) && imm == 0 && !is_const(e, in->a, &imm)) {
        struct rm A = opnd(e, in->a);
        unsigned d = def(e, in->a);

        mov_rm(e, d, A);
        asm_shift_imm(&e->a, OP_W, SH_SHR, d, 63);
        return;
    }
    unsigned d = def(e, IR_NONE);
    bool clear = in_reg(e, in->a) != d && in_reg(e, in->b) != d;

    if (clear)
        asm_alu(&e->a, 0, ALU_XOR, d, rm_reg(d));

    enum cc cc = emit_compare(e, in->a, in->b, in->sub);

    asm_op(&e->a, X_SETCC + cc, 0, rm_reg(d));
    if (!clear)
        asm_rr(&e->a, X_MOVZX8, d, d);
}

/* d = b; d = c when a is zero. Loads of constants come before the test: they leave the flags alone, but need registers. */
static void sel(struct emit *e, const struct ir_insn *in)
{
    struct rm C = opnd(e, in->c), A = opnd(e, in->a);
    int64_t imm;

    unsigned d = def(e, in->b != in->a && in->b != in->c ? in->b : (ir_val)IR_NONE), t = d;

    if (rm_is(C, d) || rm_is(A, d)) {
        if (is_const(e, in->b, &imm) || !rm_is(opnd(e, in->b), d))
            t = scratch(e);
    }
    if (e->val[in->b].loc != LOC_NONE) /* NONE: def gave us its register */
        load_opnd(e, t, in->b);
    if (A.kind == RM_IS_REG)
        asm_op(&e->a, X_TEST | OP_W, A.base, A);
    else
        asm_alu_imm(&e->a, OP_W, ALU_CMP, A, 0);
    asm_op(&e->a, (X_CMOV + CC_E) | OP_W, t, C);
    if (t != d)
        asm_mov(&e->a, d, t);
}

bool emit_alu(struct emit *e, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_add: alu(e, in, ALU_ADD, OP_W, true, false); break;
    case IR_sub: alu(e, in, ALU_SUB, OP_W, false, false); break;
    case IR_and: alu(e, in, ALU_AND, OP_W, true, false); break;
    case IR_or: alu(e, in, ALU_OR, OP_W, true, false); break;
    case IR_xor: alu(e, in, ALU_XOR, OP_W, true, false); break;
    case IR_xnor: alu(e, in, ALU_XOR, OP_W, true, true); break;
    case IR_add32: alu(e, in, ALU_ADD, 0, true, false); break;
    case IR_sub32: alu(e, in, ALU_SUB, 0, false, false); break;
    case IR_andn: alu_not(e, in, ALU_AND); break;
    case IR_orn: alu_not(e, in, ALU_OR); break;
    case IR_shl: shift(e, in, SH_SHL, OP_W); break;
    case IR_shr: shift(e, in, SH_SHR, OP_W); break;
    case IR_sar: shift(e, in, SH_SAR, OP_W); break;
    case IR_rol: shift(e, in, SH_ROL, OP_W); break;
    case IR_ror: shift(e, in, SH_ROR, OP_W); break;
    case IR_shl32: shift(e, in, SH_SHL, 0); break;
    case IR_shr32: shift(e, in, SH_SHR, 0); break;
    case IR_sar32: shift(e, in, SH_SAR, 0); break;
    case IR_rol32: shift(e, in, SH_ROL, 0); break;
    case IR_ror32: shift(e, in, SH_ROR, 0); break;
    case IR_mins: minmax(e, in, CC_G); break;
    case IR_maxs: minmax(e, in, CC_L); break;
    case IR_minu: minmax(e, in, CC_A); break;
    case IR_maxu: minmax(e, in, CC_B); break;
    case IR_sext8: extend(e, in, X_MOVSX8); break;
    case IR_sext16: extend(e, in, X_MOVSX16); break;
    case IR_sext32: extend(e, in, X_MOVSXD); break;
    case IR_zext8: extend(e, in, X_MOVZX8); break;
    case IR_zext16: extend(e, in, X_MOVZX16); break;
    case IR_zext32: extend(e, in, X_LOAD); break;
    case IR_clz: count_zeros(e, in, true, OP_W); break;
    case IR_ctz: count_zeros(e, in, false, OP_W); break;
    case IR_clz32: count_zeros(e, in, true, 0); break;
    case IR_ctz32: count_zeros(e, in, false, 0); break;
    case IR_popcnt: popcnt(e, in, OP_W); break;
    case IR_popcnt32: popcnt(e, in, 0); break;
    case IR_bswap: bswap(e, in); break;
    case IR_orcb: orcb(e, in); break;
    case IR_setcc: setcc(e, in); break;
    case IR_sel: sel(e, in); break;
    default: return false;
    }
    return true;
}
