/* Zicond: conditional zero (unprivileged specification, "Zicond"). */
#include "cpu/riscv/exec.h"

EXEC(czero_eqz) { return set(c, i, S2 ? S1 : 0); }
EXEC(czero_nez) { return set(c, i, S2 ? 0 : S1); }
