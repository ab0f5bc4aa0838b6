/* What the atomic instructions share; rv_lr and rv_sc are isa_ops.lr and .sc. */
#ifndef CPU_RISCV_ATOMIC_H
#define CPU_RISCV_ATOMIC_H

#include "cpu/riscv/rv.h"

bool rv_lr(struct vcpu *v, gva va, unsigned size, uint64_t *val);
bool rv_sc(struct vcpu *v, gva va, unsigned size, uint64_t val, uint64_t *fail);
/* Host address of [va, va + size), aligned, for an atomic access; NULL: trap set. Valid until the next access. */
void *rv_amo_target(struct rv *c, gva va, unsigned size);

#endif
