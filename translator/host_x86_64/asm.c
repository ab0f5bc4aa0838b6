/* Instruction encoding, the parts too long to inline. */
#include "translator/host_x86_64/asm.h"

#include <assert.h>

/* ModRM, SIB and displacement. A displacement that fits 8 bits takes 8; rbp and r13 as base always have one. */
static void modrm(struct asm_buf *a, unsigned reg, struct rm m, unsigned tail)
{
    unsigned r = (reg & 7) << 3, base = m.base & 7;

    if (m.kind == RM_IS_REG) {
        asm_8(a, 0xc0 | r | base);
        return;
    }
    if (m.kind == RM_IS_ABS) {
        asm_8(a, r | 5);
        asm_32(a, (const uint8_t *)m.abs - (asm_here(a) + 4 + tail));
        return;
    }
    unsigned mod = m.disp == 0 && base != 5 ? 0 : fits8(m.disp) ? 0x40 : 0x80;

    if (m.index != NO_REG || base == 4) {
        asm_8(a, mod | r | 4);
        asm_8(a, (unsigned)m.scale << 6 | (m.index == NO_REG ? 4 : m.index & 7u) << 3 | base);
    } else {
        asm_8(a, mod | r | base);
    }
    if (mod == 0x40)
        asm_8(a, (unsigned)m.disp);
    else if (mod == 0x80)
        asm_32(a, m.disp);
}

static unsigned rex_b(struct rm m) { return m.kind != RM_IS_ABS && m.base >= 8; }
static unsigned rex_x(struct rm m) { return m.kind == RM_IS_MEM && m.index != NO_REG && m.index >= 8; }

void asm_op_tail(struct asm_buf *a, unsigned op, unsigned reg, struct rm m, unsigned tail)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    unsigned rex = (op & OP_W ? 8u : 0u) | (reg >= 8 ? 4u : 0u) | rex_x(m) << 1 | rex_b(m);
    bool byte_reg = op & OP_REG8 && ((reg >= 4 && reg < 8) || (m.kind == RM_IS_REG && m.base >= 4 && m.base < 8));

    if (op & PP_MASK)
        asm_8(a, pp[(op & PP_MASK) >> 8]);
    if (rex || byte_reg)
        asm_8(a, 0x40 | rex);
    if (op & MAP_MASK) {
        asm_8(a, 0x0f);
        if ((op & MAP_MASK) != MAP_0F)
            asm_8(a, (op & MAP_MASK) == MAP_38 ? 0x38 : 0x3a);
    }
    asm_8(a, op & 0xff);
    modrm(a, reg, m, tail);
}

void asm_vex_tail(struct asm_buf *a, unsigned op, unsigned reg, unsigned vreg, struct rm m, unsigned tail)
{
    unsigned not_r = reg >= 8 ? 0 : 0x80, vvvv = (~vreg & 15) << 3, pp = (op & PP_MASK) >> 8;

    if ((op & MAP_MASK) == MAP_0F && !(op & OP_W) && !rex_x(m) && !rex_b(m)) {
        asm_8(a, 0xc5);
        asm_8(a, not_r | vvvv | pp);
    } else {
        asm_8(a, 0xc4);
        asm_8(a, not_r | (rex_x(m) ? 0 : 0x40) | (rex_b(m) ? 0 : 0x20) | (op & MAP_MASK) >> 10);
        asm_8(a, (op & OP_W ? 0x80u : 0u) | vvvv | pp);
    }
    asm_8(a, op & 0xff);
    modrm(a, reg, m, tail);
}

void asm_alu_imm(struct asm_buf *a, unsigned w, enum alu op, struct rm m, int64_t imm)
{
    if (fits8(imm)) {
        asm_op_tail(a, 0x83 | w, op, m, 1);
        asm_8(a, (unsigned)imm);
    } else {
        asm_op_tail(a, 0x81 | w, op, m, 4);
        asm_32(a, imm);
    }
}

void asm_mov_imm(struct asm_buf *a, unsigned r, int64_t v)
{
    if (v >= 0 && v <= (int64_t)UINT32_MAX) {
        if (r >= 8)
            asm_8(a, 0x41);
        asm_8(a, 0xb8 | (r & 7));
        asm_32(a, v);
    } else if (fits32(v)) {
        asm_op_tail(a, 0xc7 | OP_W, 0, rm_reg(r), 4);
        asm_32(a, v);
    } else {
        asm_8(a, 0x48 | r >> 3);
        asm_8(a, 0xb8 | (r & 7));
        asm_64(a, (uint64_t)v);
    }
}

void asm_store_imm(struct asm_buf *a, unsigned size, struct rm m, int64_t v)
{
    switch (size) {
    case 1:
        asm_op_tail(a, 0xc6, 0, m, 1);
        asm_8(a, (unsigned)v);
        break;
    case 2:
        asm_op_tail(a, 0xc7 | PP_66, 0, m, 2);
        asm_8(a, (unsigned)v);
        asm_8(a, (unsigned)(v >> 8));
        break;
    default: asm_op_tail(a, 0xc7u | (size == 8 ? (unsigned)OP_W : 0u), 0, m, 4); asm_32(a, v);
    }
}

void asm_nop(struct asm_buf *a, unsigned bytes)
{
    static const uint8_t nops[5][4] = {{0}, {0x90}, {0x66, 0x90}, {0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0x00}};

    while (bytes) {
        unsigned n = bytes < 4 ? bytes : 4;

        memcpy(a->p, nops[n], n);
        a->p += n;
        bytes -= n;
    }
}

static void rel32(struct asm_buf *a, const void *to)
{
    int64_t d = (const uint8_t *)to - (asm_here(a) + 4);

    assert(fits32(d));
    asm_32(a, d);
}

void asm_jmp(struct asm_buf *a, const void *to)
{
    asm_8(a, 0xe9);
    rel32(a, to);
}

void asm_jcc(struct asm_buf *a, enum cc cc, const void *to)
{
    asm_8(a, 0x0f);
    asm_8(a, 0x80u | cc);
    rel32(a, to);
}

void asm_call(struct asm_buf *a, const void *to)
{
    asm_8(a, 0xe8);
    rel32(a, to);
}

uint8_t *asm_jmp_fwd(struct asm_buf *a)
{
    asm_8(a, 0xe9);
    asm_32(a, 0);
    return a->p - 4;
}

uint8_t *asm_jcc_fwd(struct asm_buf *a, enum cc cc)
{
    asm_8(a, 0x0f);
    asm_8(a, 0x80u | cc);
    asm_32(a, 0);
    return a->p - 4;
}

uint8_t *asm_jcc_short(struct asm_buf *a, enum cc cc)
{
    asm_8(a, 0x70u | cc);
    asm_8(a, 0);
    return a->p - 1;
}

uint8_t *asm_jmp_short(struct asm_buf *a)
{
    asm_8(a, 0xeb);
    asm_8(a, 0);
    return a->p - 1;
}

void asm_bind(struct asm_buf *a, uint8_t *disp32)
{
    int32_t d = (int32_t)(a->p - (disp32 + 4));

    memcpy(disp32, &d, 4);
}

void asm_bind_short(struct asm_buf *a, uint8_t *disp8)
{
    assert(a->p - (disp8 + 1) <= 127);
    *disp8 = (uint8_t)(a->p - (disp8 + 1));
}

void asm_jmp_back(struct asm_buf *a, const uint8_t *to)
{
    int64_t d = to - (a->p + 2);

    if (fits8(d)) {
        asm_8(a, 0xeb);
        asm_8(a, (unsigned)d);
    } else {
        asm_8(a, 0xe9);
        asm_32(a, to - (a->p + 4));
    }
}
