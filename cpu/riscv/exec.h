/* Short forms for exec_ functions of integer instructions. */
#ifndef CPU_RISCV_EXEC_H
#define CPU_RISCV_EXEC_H

#include "cpu/riscv/rv.h"

#define EXEC(name) bool exec_##name(struct rv *c, const struct insn *i)
#define S1 x_get(c, i->rs1)
#define S2 x_get(c, i->rs2)
#define IMM ((uint64_t)(int64_t)i->imm)

static inline bool set(struct rv *c, const struct insn *i, uint64_t v)
{
    x_set(c, i->rd, v);
    return true;
}

/* The low word, sign-extended. */
static inline bool setw(struct rv *c, const struct insn *i, uint64_t v) { return set(c, i, (uint64_t)(int32_t)v); }

#endif
