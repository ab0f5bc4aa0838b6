/* Zba, address generation (unprivileged specification, "Zba"). */
#include "cpu/riscv/exec.h"

EXEC(sh1add) { return set(c, i, (S1 << 1) + S2); }
EXEC(sh2add) { return set(c, i, (S1 << 2) + S2); }
EXEC(sh3add) { return set(c, i, (S1 << 3) + S2); }
EXEC(add_uw) { return set(c, i, (uint32_t)S1 + S2); }
EXEC(sh1add_uw) { return set(c, i, ((uint64_t)(uint32_t)S1 << 1) + S2); }
EXEC(sh2add_uw) { return set(c, i, ((uint64_t)(uint32_t)S1 << 2) + S2); }
EXEC(sh3add_uw) { return set(c, i, ((uint64_t)(uint32_t)S1 << 3) + S2); }
EXEC(slli_uw) { return set(c, i, (uint64_t)(uint32_t)S1 << i->imm); }
