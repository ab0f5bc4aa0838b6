/* Parts of isa_ops: decoding and interpreting guest blocks. icount counts every instruction that completed. */
#ifndef CPU_RISCV_INTERP_H
#define CPU_RISCV_INTERP_H

#include "cpu/isa.h"
#include "cpu/riscv/rv.h"

bool rv_decode(struct vcpu *v, struct guest_block *b);
bool rv_exec(struct vcpu *v, const void *insn);
bool rv_interp(struct vcpu *v, const struct guest_block *b);

#endif
