/* Zbs, single bits (unprivileged specification, "Zbs"). */
#include "cpu/riscv/exec.h"

static uint64_t bit(uint64_t n) { return UINT64_C(1) << (n & 63); }

EXEC(bclr) { return set(c, i, S1 & ~bit(S2)); }
EXEC(bclri) { return set(c, i, S1 & ~bit(IMM)); }
EXEC(bext) { return set(c, i, S1 >> (S2 & 63) & 1); }
EXEC(bexti) { return set(c, i, S1 >> i->imm & 1); }
EXEC(binv) { return set(c, i, S1 ^ bit(S2)); }
EXEC(binvi) { return set(c, i, S1 ^ bit(IMM)); }
EXEC(bset) { return set(c, i, S1 | bit(S2)); }
EXEC(bseti) { return set(c, i, S1 | bit(IMM)); }
