/*
 * Decoded RISC-V instructions: what insn.def says of each, and the decoder.
 */
#ifndef CPU_RISCV_INSN_H
#define CPU_RISCV_INSN_H

#include "base/types.h"

struct ir;
struct rv;
struct isa_config;

/* A decoded instruction, 16 bytes. Compressed ones are decoded to the fields of what they expand to; len stays 2. */
struct insn {
    uint16_t op;                /* enum insn_id */
    uint8_t len;                /* 2 or 4 */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t rm;                 /* FP rounding mode field; AMO: aq << 1 | rl */
    int32_t imm;                /* immediate, sign-extended; shift amount; CSR number */
    uint32_t raw;               /* the word as fetched (16 bits when compressed), for mtval and disassembly */
};

/* What insn.def rows say beyond the encoding. */
enum {
    INSN_END = 1,    /* ends a block: jumps always, or changes view, mode or code (CSR writes that can, xRET, fence.i, sfence...) */
    INSN_BRANCH = 2, /* conditional branch: not taken goes on in the block */
    INSN_MEM = 4,    /* touches memory */
    INSN_FP = 8,     /* needs FS != 0; a block has one `fenter` before its first */
    INSN_ATT = 16,   /* may set attention (CSR, WFI): interp looks after it */
};

typedef bool exec_fn(struct rv *c, const struct insn *i); /* false: fault recorded in c->v */

/* Decode one instruction for the extensions of cfg. word: 32 bits from pc (upper half ignored when compressed).
 * An encoding that is not an instruction there decodes to insn_illegal, whose exec raises the trap. Never fails. */
void insn_decode(const struct isa_config *cfg, uint32_t word, struct insn *out);

#endif
