/* The instruction tables: what insn.def says, as arrays. The interpreter's table is in exec.c, the translator's in trans.c. */
#include "cpu/riscv/insn.h"

#include "base/bits.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/format.h"

/* Names that insn.def uses in its columns. */
enum {
    NONE = 0,
    END = INSN_END,
    BRANCH = INSN_BRANCH,
    MEM = INSN_MEM,
    FP = INSN_FP,
    ATT = INSN_ATT,
    SUBSET = INSN_SUBSET
};
enum { XLEN_ANY, XLEN_RV64 };

/* An extension column pasted to EXT_: a name, BOTH(a, b) or EITHER(a, b). NEVER: no configuration has it. */
#define EXT_BOTH(a, b) (EXT_##a | EXT_##b << 8)
#define EXT_EITHER(a, b) (EXT_##a | EXT_##b << 8 | EXT_SET_EITHER)
#define EXT_NEVER EXT_SET_NEVER
_Static_assert(EXT_COUNT <= 255, "two extension numbers fit an ext_set");

const struct insn_row insn_rows[] = {
#define INSN(name, format, ext, xlen, bits, disasm, flags, trans)                                                      \
    {#name, bits, disasm, INSN_##name, FORMAT_##format, RULE_ANY, XLEN_##xlen, (uint8_t)(flags), EXT_##ext},
#include "cpu/riscv/insn.def"
};

/* Compressed rules that make a row a special case of another. */
#define FLAGS_RULE_ANY 0
#define FLAGS_RULE_IMM 0
#define FLAGS_RULE_RD 0
#define FLAGS_RULE_RS1 0
#define FLAGS_RULE_RS2 0
#define FLAGS_RULE_SUBSET INSN_SUBSET
#define FLAGS_RULE_SUBSET_IMM INSN_SUBSET
enum { RULE_SUBSET = RULE_ANY, RULE_SUBSET_IMM = RULE_IMM };

const struct insn_row cinsn_rows[] = {
#define CINSN(name, base, format, ext, bits, disasm, rule)                                                             \
    {#name, bits, disasm, INSN_##base, FORMAT_##format, RULE_##rule, XLEN_ANY, FLAGS_RULE_##rule, EXT_##ext},
#include "cpu/riscv/insn.def"
};
const unsigned cinsn_row_count = ARRAY_LEN(cinsn_rows);

const uint8_t insn_flags[INSN_COUNT] = {
#define INSN(name, format, ext, xlen, bits, disasm, flags, trans) [INSN_##name] = (uint8_t)(flags),
#include "cpu/riscv/insn.def"
};
