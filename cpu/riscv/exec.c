/* The interpreter's table: the exec_ function of each instruction. */
#include "cpu/riscv/insn.h"

exec_fn *const insn_exec[INSN_COUNT] = {
#define INSN(name, ...) [INSN_##name] = exec_##name,
#include "cpu/riscv/insn.def"
};
