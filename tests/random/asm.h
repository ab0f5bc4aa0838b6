/* The few RISC-V encodings that the generator writes itself (unprivileged specification, instruction formats). */
#ifndef TESTS_RANDOM_ASM_H
#define TESTS_RANDOM_ASM_H

#include <stdint.h>

static inline uint32_t enc_r(unsigned f7, unsigned rs2, unsigned rs1, unsigned f3, unsigned rd, unsigned op)
{
    return f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op;
}
static inline uint32_t enc_i(int32_t imm, unsigned rs1, unsigned f3, unsigned rd, unsigned op)
{
    return (uint32_t)imm << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op;
}
static inline uint32_t enc_s(int32_t imm, unsigned rs2, unsigned rs1, unsigned f3, unsigned op)
{
    return ((uint32_t)imm >> 5 & 127) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | ((uint32_t)imm & 31) << 7 | op;
}
static inline uint32_t enc_b(int32_t off, unsigned rs2, unsigned rs1, unsigned f3)
{
    uint32_t o = (uint32_t)off;

    return (o >> 12 & 1) << 31 | (o >> 5 & 63) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (o >> 1 & 15) << 8 |
           (o >> 11 & 1) << 7 | 0x63;
}
static inline uint32_t enc_j(int32_t off, unsigned rd)
{
    uint32_t o = (uint32_t)off;

    return (o >> 20 & 1) << 31 | (o >> 1 & 1023) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 255) << 12 | rd << 7 | 0x6f;
}

#define A_ADDI(rd, rs, imm) enc_i(imm, rs, 0, rd, 0x13)
#define A_SLLI(rd, rs, n) enc_i(n, rs, 1, rd, 0x13)
#define A_RORI(rd, rs, n) enc_i(0x600 | (n), rs, 5, rd, 0x13)
#define A_ANDI(rd, rs, imm) enc_i(imm, rs, 7, rd, 0x13)
#define A_XOR(rd, a, b) enc_r(0, b, a, 4, rd, 0x33)
#define A_AND(rd, a, b) enc_r(0, b, a, 7, rd, 0x33)
#define A_ADD(rd, a, b) enc_r(0, b, a, 0, rd, 0x33)
#define A_LUI(rd, imm20) ((uint32_t)(imm20) << 12 | (uint32_t)(rd) << 7 | 0x37)
#define A_AUIPC(rd, imm20) ((uint32_t)(imm20) << 12 | (uint32_t)(rd) << 7 | 0x17)
#define A_LD(rd, rs, imm) enc_i(imm, rs, 3, rd, 0x03)
#define A_LW(rd, rs, imm) enc_i(imm, rs, 2, rd, 0x03)
#define A_LHU(rd, rs, imm) enc_i(imm, rs, 5, rd, 0x03)
#define A_FLD(rd, rs, imm) enc_i(imm, rs, 3, rd, 0x07)
#define A_SD(rs2, rs1, imm) enc_s(imm, rs2, rs1, 3, 0x23)
#define A_SW(rs2, rs1, imm) enc_s(imm, rs2, rs1, 2, 0x23)
#define A_JALR(rd, rs, imm) enc_i(imm, rs, 0, rd, 0x67)
#define A_CSRRW(rd, csr, rs) enc_i((int32_t)(csr), rs, 1, rd, 0x73)
#define A_CSRRS(rd, csr, rs) enc_i((int32_t)(csr), rs, 2, rd, 0x73)
#define A_CSRRC(rd, csr, rs) enc_i((int32_t)(csr), rs, 3, rd, 0x73)
#define A_MRET 0x30200073u
#define A_FENCE_I 0x0000100fu
#define A_FENCE 0x0ff0000fu
#define A_ECALL 0x00000073u
#define A_EBREAK 0x00100073u
#define A_SFENCE(rs1, rs2) enc_r(9, rs2, rs1, 0, 0, 0x73)

enum { F3_BEQ = 0, F3_BNE = 1, F3_BLT = 4, F3_BLTU = 6 };

#endif
