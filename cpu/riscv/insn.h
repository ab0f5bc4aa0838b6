/*
 * Decoded RISC-V instructions: what insn.def says of each, and the decoder.
 */
#ifndef CPU_RISCV_INSN_H
#define CPU_RISCV_INSN_H

#include "base/err.h"
#include "base/types.h"

struct ir;
struct rv;
struct isa_config;

enum insn_id {
#define INSN(name, ...) INSN_##name,
#include "cpu/riscv/insn.def"
    INSN_COUNT
};

/* A decoded instruction, 16 bytes. Compressed ones are decoded to the fields of what they expand to; len stays 2. */
struct insn {
    uint16_t op;                /* enum insn_id */
    uint8_t len;                /* 2 or 4 */
    uint8_t rd, rs1, rs2, rs3;  /* 0 where the format has no such field */
    uint8_t rm;                 /* FP rounding mode field (0..4, 7); AMO: aq << 1 | rl */
    int32_t imm;                /* immediate, sign-extended; shift amount; CSR number; fence: the upper 12 bits */
    uint32_t raw;               /* the word as fetched (16 bits when compressed), for mtval and disassembly */
};
_Static_assert(sizeof(struct insn) == 16, "blocks are arrays of these");

/* What insn.def rows say beyond the encoding. */
enum {
    INSN_END = 1,    /* ends a block: jumps always, or changes view, mode or code (CSR writes that can, xRET, fence.i, sfence...) */
    INSN_BRANCH = 2, /* conditional branch: not taken goes on in the block */
    INSN_MEM = 4,    /* touches memory */
    INSN_FP = 8,     /* needs FS != 0; a block has one `fenter` before its first */
    INSN_ATT = 16,   /* may set attention (CSR, WFI): interp looks after it */
    INSN_SUBSET = 32,/* table only: encodings that another row has too, matched first */
};

typedef bool exec_fn(struct rv *c, const struct insn *i); /* false: fault recorded in c->v */

/* exec_<name> of every row */
#define INSN(name, ...) exec_fn exec_##name;
#include "cpu/riscv/insn.def"

extern exec_fn *const insn_exec[INSN_COUNT]; /* by op */
extern const uint8_t insn_flags[INSN_COUNT];

/* Decode one instruction for the extensions of cfg. word: 32 bits from pc (upper half ignored when compressed).
 * An encoding that is not an instruction there decodes to INSN_illegal, whose exec raises the trap. Never fails. */
void insn_decode(const struct isa_config *cfg, uint32_t word, struct insn *out);

/* Length in bytes, from the low halfword. Longer formats than 4 bytes do not exist in our extensions: illegal, 4. */
static inline unsigned insn_length(uint16_t half) { return (half & 3) == 3 ? 4 : 2; }

/* Text in objdump's manner without aliases: "addi    a0,a0,1". pc gives branch targets. Returns the length in bytes. */
unsigned insn_disasm(const struct isa_config *cfg, gva pc, uint32_t word, char *buf, size_t size);
/* isa_ops.disasm */
struct vcpu;
unsigned rv_disasm(const struct vcpu *v, gva pc, const uint8_t *code, unsigned len, char *buf, unsigned size);
/* The mnemonic of word ("c.addi", "amoadd.w.aq"...), "" when illegal. */
void insn_mnemonic(const struct isa_config *cfg, uint32_t word, char *buf, size_t size);

/* --- the table itself, for the decoder's constructor, the disassembler and tests --- */

/* Which extensions bring a row: see insn.def. */
typedef uint32_t ext_set;
enum { EXT_SET_EITHER = 1 << 16 };

struct insn_row {
    const char *name, *bits, *disasm;
    uint16_t op;    /* what it decodes to */
    uint8_t format, rule, xlen, flags;
    ext_set ext;
};
extern const struct insn_row insn_rows[];  /* 32-bit forms, [op] */
extern const struct insn_row cinsn_rows[]; /* compressed forms */
extern const unsigned cinsn_row_count;

/* Build the decoder of cfg from tables; owned by the caller. Rows that overlap without SUBSET are refused. */
struct insn_index *insn_index_new(const struct isa_config *cfg, const struct insn_row *rows, unsigned nrows,
                                  const struct insn_row *crows, unsigned ncrows, struct err *e);
void insn_index_free(struct insn_index *x);
/* The row that word matches under cfg; NULL: illegal. */
const struct insn_row *insn_find_row(const struct isa_config *cfg, uint32_t word);

#endif
