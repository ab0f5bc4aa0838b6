/*
 * An encoder of the x86-64 instructions the back end uses. No state but the buffer; no bounds check per instruction:
 * the caller keeps ASM_ROOM bytes free (Intel SDM volume 2, chapter 2: instruction format).
 */
#ifndef TRANSLATOR_HOST_X86_64_ASM_H
#define TRANSLATOR_HOST_X86_64_ASM_H

#include <string.h>

#include "base/types.h"

enum reg {
    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
    NO_REG = 0xff
};

struct asm_buf {
    uint8_t *p;   /* next byte, write alias */
    uint8_t *end;
    intptr_t rx;  /* add to a write address to get the execute address */
};

enum { ASM_MAX_INSN = 15 };

/* A register-or-memory operand. */
enum rm_kind { RM_IS_REG, RM_IS_MEM, RM_IS_ABS };
struct rm {
    uint8_t kind, base, index, scale; /* scale: log2 */
    int32_t disp;
    const void *abs; /* ABS: an execute-alias address within 2 GiB, reached rip-relative */
};

static inline struct rm rm_reg(unsigned r) { return (struct rm){.kind = RM_IS_REG, .base = (uint8_t)r}; }
static inline struct rm rm_mem(unsigned base, int64_t disp)
{
    return (struct rm){.kind = RM_IS_MEM, .base = (uint8_t)base, .index = NO_REG, .disp = (int32_t)disp};
}
static inline struct rm rm_sib(unsigned base, unsigned index, unsigned scale, int64_t disp)
{
    return (struct rm){RM_IS_MEM, (uint8_t)base, (uint8_t)index, (uint8_t)scale, (int32_t)disp, NULL};
}
static inline struct rm rm_abs(const void *abs) { return (struct rm){.kind = RM_IS_ABS, .abs = abs}; }
static inline bool rm_is(struct rm m, unsigned r) { return m.kind == RM_IS_REG && m.base == r; }
static inline bool rm_uses(struct rm m, unsigned r)
{
    return m.kind != RM_IS_ABS && (m.base == r || (m.kind == RM_IS_MEM && m.index == r));
}

/* An operation: opcode byte, then which map, mandatory prefix and width it has. */
enum {
    PP_66 = 1 << 8, PP_F3 = 2 << 8, PP_F2 = 3 << 8, PP_MASK = 3 << 8,
    MAP_0F = 1 << 10, MAP_38 = 2 << 10, MAP_3A = 3 << 10, MAP_MASK = 3 << 10,
    OP_W = 1 << 12,   /* 64 bits */
    OP_REG8 = 1 << 13 /* byte registers: spl, bpl, sil, dil need a REX prefix */
};

enum { /* legacy and SSE opcodes; OP_W is or-ed in where 64 bits are meant */
    X_STORE8 = 0x88 | OP_REG8, X_STORE = 0x89, X_LOAD = 0x8b, X_LEA = 0x8d, X_MOVSXD = 0x63 | OP_W, X_TEST = 0x85,
    X_XCHG = 0x87,
    X_MOVZX8 = 0xb6 | MAP_0F | OP_REG8, X_MOVZX16 = 0xb7 | MAP_0F, X_MOVSX8 = 0xbe | MAP_0F | OP_REG8 | OP_W,
    X_MOVSX16 = 0xbf | MAP_0F | OP_W,
    X_IMUL = 0xaf | MAP_0F, X_CMOV = 0x40 | MAP_0F, X_SETCC = 0x90 | MAP_0F | OP_REG8,
    X_XADD = 0xc1 | MAP_0F, X_CMPXCHG = 0xb1 | MAP_0F, X_BSR = 0xbd | MAP_0F, X_BSF = 0xbc | MAP_0F,
    X_LZCNT = 0xbd | MAP_0F | PP_F3, X_TZCNT = 0xbc | MAP_0F | PP_F3, X_POPCNT = 0xb8 | MAP_0F | PP_F3,
    X_F7 = 0xf7, X_FF = 0xff, X_SHIFT_CL = 0xd3, X_SHIFT_IMM = 0xc1, X_0FAE = 0xae | MAP_0F,
    /* VEX, general registers */
    V_ANDN = 0xf2 | MAP_38, V_SHLX = 0xf7 | MAP_38 | PP_66, V_SARX = 0xf7 | MAP_38 | PP_F3, V_SHRX = 0xf7 | MAP_38 | PP_F2,
    V_RORX = 0xf0 | MAP_3A | PP_F2,
    /* scalar and bitwise floating point; D forms, see fp_op */
    F_MOVLOAD = 0x10 | MAP_0F, F_MOVSTORE = 0x11 | MAP_0F, F_MOVAPS = 0x28 | MAP_0F,
    F_ADD = 0x58 | MAP_0F, F_MUL = 0x59 | MAP_0F, F_SUB = 0x5c | MAP_0F, F_MIN = 0x5d | MAP_0F, F_DIV = 0x5e | MAP_0F,
    F_MAX = 0x5f | MAP_0F, F_SQRT = 0x51 | MAP_0F,
    F_UCOMI = 0x2e | MAP_0F, F_COMI = 0x2f | MAP_0F,
    F_AND = 0x54 | MAP_0F, F_ANDN = 0x55 | MAP_0F, F_OR = 0x56 | MAP_0F, F_XOR = 0x57 | MAP_0F,
    F_CVT_FROM_INT = 0x2a | MAP_0F, F_CVTT_TO_INT = 0x2c | MAP_0F, F_CVT_TO_INT = 0x2d | MAP_0F, F_CVT_FF = 0x5a | MAP_0F,
    F_MOVQ_FROM_GPR = 0x6e | MAP_0F | PP_66 | OP_W, F_MOVD_FROM_GPR = 0x6e | MAP_0F | PP_66,
    F_MOVQ_TO_GPR = 0x7e | MAP_0F | PP_66 | OP_W, F_MOVD_TO_GPR = 0x7e | MAP_0F | PP_66,
    X_AESENC = 0xdc | MAP_38 | PP_66, X_AESENCLAST = 0xdd | MAP_38 | PP_66, X_AESDEC = 0xde | MAP_38 | PP_66,
    X_AESDECLAST = 0xdf | MAP_38 | PP_66, X_AESIMC = 0xdb | MAP_38 | PP_66,
    X_PCLMULQDQ = 0x44 | MAP_3A | PP_66, X_PINSRQ = 0x22 | MAP_3A | PP_66 | OP_W, X_PEXTRQ = 0x16 | MAP_3A | PP_66 | OP_W,
    X_BT_IMM = 0xba | MAP_0F, /* reg: 4 */
    F_PCMPEQB = 0x74 | MAP_0F | PP_66, F_PXOR = 0xef | MAP_0F | PP_66, F_PADDQ = 0xd4 | MAP_0F | PP_66,
    /* VEX, fused multiply-add: dst = dst * src1 ... (213) or src1 * src2 + dst (231); OP_W for doubles */
    V_FMADD231 = 0xb9 | MAP_38 | PP_66, V_FMSUB231 = 0xbb | MAP_38 | PP_66,
    V_FNMADD231 = 0xbd | MAP_38 | PP_66, V_FNMSUB231 = 0xbf | MAP_38 | PP_66
};

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum shift { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR, SH_SAR = 7 };
enum group_f7 { F7_NOT = 2, F7_NEG, F7_MUL, F7_IMUL, F7_DIV, F7_IDIV };
enum cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

static inline void asm_8(struct asm_buf *a, unsigned v) { *a->p++ = (uint8_t)v; }
static inline void asm_32(struct asm_buf *a, int64_t v)
{
    int32_t w = (int32_t)v;

    memcpy(a->p, &w, 4);
    a->p += 4;
}
static inline void asm_64(struct asm_buf *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}
static inline bool fits8(int64_t v) { return v == (int8_t)v; }
static inline bool fits32(int64_t v) { return v == (int32_t)v; }
static inline const uint8_t *asm_here(const struct asm_buf *a) { return a->p + a->rx; } /* execute address of the next byte */

/* op reg, rm. `tail`: bytes of immediate that will follow (rip-relative operands count them). */
void asm_op_tail(struct asm_buf *a, unsigned op, unsigned reg, struct rm m, unsigned tail);
/* op reg, vreg, rm in VEX form. */
void asm_vex_tail(struct asm_buf *a, unsigned op, unsigned reg, unsigned vreg, struct rm m, unsigned tail);
static inline void asm_op(struct asm_buf *a, unsigned op, unsigned reg, struct rm m) { asm_op_tail(a, op, reg, m, 0); }
static inline void asm_rr(struct asm_buf *a, unsigned op, unsigned reg, unsigned rm) { asm_op_tail(a, op, reg, rm_reg(rm), 0); }
static inline void asm_vex(struct asm_buf *a, unsigned op, unsigned reg, unsigned vreg, struct rm m)
{
    asm_vex_tail(a, op, reg, vreg, m, 0);
}

static inline void asm_mov(struct asm_buf *a, unsigned d, unsigned s) { asm_rr(a, X_LOAD | OP_W, d, s); }
static inline void asm_load(struct asm_buf *a, unsigned d, struct rm m) { asm_op(a, X_LOAD | OP_W, d, m); }
static inline void asm_store(struct asm_buf *a, struct rm m, unsigned s) { asm_op(a, X_STORE | OP_W, s, m); }
static inline void asm_lea(struct asm_buf *a, unsigned d, struct rm m) { asm_op(a, X_LEA | OP_W, d, m); }

/* w: OP_W or 0. d op= m; m op= s; m op= imm (sign-extended 32 bits). */
static inline void asm_alu(struct asm_buf *a, unsigned w, enum alu op, unsigned d, struct rm m)
{
    asm_op(a, ((unsigned)op << 3 | 3) | w, d, m);
}
static inline void asm_alu_store(struct asm_buf *a, unsigned w, enum alu op, struct rm m, unsigned s)
{
    asm_op(a, ((unsigned)op << 3 | 1) | w, s, m);
}
void asm_alu_imm(struct asm_buf *a, unsigned w, enum alu op, struct rm m, int64_t imm);
static inline void asm_shift_imm(struct asm_buf *a, unsigned w, enum shift op, unsigned d, unsigned n)
{
    asm_op_tail(a, X_SHIFT_IMM | w, op, rm_reg(d), 1);
    asm_8(a, n);
}
static inline void asm_shift_cl(struct asm_buf *a, unsigned w, enum shift op, unsigned d)
{
    asm_op(a, X_SHIFT_CL | w, op, rm_reg(d));
}
static inline void asm_f7(struct asm_buf *a, unsigned w, enum group_f7 op, struct rm m) { asm_op(a, X_F7 | w, op, m); }
static inline void asm_lock(struct asm_buf *a) { asm_8(a, 0xf0); }
static inline void asm_push(struct asm_buf *a, unsigned r)
{
    if (r >= 8)
        asm_8(a, 0x41);
    asm_8(a, 0x50 | (r & 7));
}
static inline void asm_pop(struct asm_buf *a, unsigned r)
{
    if (r >= 8)
        asm_8(a, 0x41);
    asm_8(a, 0x58 | (r & 7));
}
static inline void asm_ret(struct asm_buf *a) { asm_8(a, 0xc3); }
static inline void asm_bswap(struct asm_buf *a, unsigned w, unsigned r)
{
    asm_8(a, 0x40u | (w ? 8u : 0u) | r >> 3);
    asm_8(a, 0x0f);
    asm_8(a, 0xc8 | (r & 7));
}

/* The shortest move of a constant; leaves the flags alone. */
void asm_mov_imm(struct asm_buf *a, unsigned r, int64_t v);
/* Store a constant of size bytes (1, 2, 4, 8; for 8 it fits 32 bits signed). */
void asm_store_imm(struct asm_buf *a, unsigned size, struct rm m, int64_t v);
void asm_nop(struct asm_buf *a, unsigned bytes); /* one or more long nops */

/* Jumps to execute-alias addresses within 2 GiB. */
void asm_jmp(struct asm_buf *a, const void *to);
void asm_jcc(struct asm_buf *a, enum cc cc, const void *to);
void asm_call(struct asm_buf *a, const void *to);
/* Forward jumps inside the buffer: return the place of the displacement, for asm_bind. */
uint8_t *asm_jmp_fwd(struct asm_buf *a);
uint8_t *asm_jcc_fwd(struct asm_buf *a, enum cc cc);
uint8_t *asm_jcc_short(struct asm_buf *a, enum cc cc);
uint8_t *asm_jmp_short(struct asm_buf *a);
void asm_bind(struct asm_buf *a, uint8_t *disp32);      /* to here */
void asm_bind_short(struct asm_buf *a, uint8_t *disp8); /* to here */
void asm_jmp_back(struct asm_buf *a, const uint8_t *to); /* to a write-alias address in the buffer */

#endif
