/* Trap entry and return. On the hart's own thread, but for rv_irq_set of rv.h. */
#ifndef CPU_RISCV_TRAP_H
#define CPU_RISCV_TRAP_H

#include "cpu/riscv/rv.h"

void rv_take_trap(struct vcpu *v);   /* isa_ops.take_trap */
bool rv_take_irq(struct vcpu *v);    /* isa_ops.take_irq */
bool rv_irq_pending(struct vcpu *v); /* isa_ops.irq_pending */

/* "load page fault", "STI"; NULL: no such cause. */
const char *rv_cause_name(bool irq, unsigned n);
uint64_t rv_trap_count(const struct rv *c, bool irq, unsigned n); /* taken so far; any thread */

/* sret (PRIV_S) or mret (PRIV_M), permission checked by the caller. Sets npc. Always true. */
bool rv_xret(struct rv *c, unsigned from);

/* Change of privilege, with what counts by mode. The view is the caller's to update. */
void rv_set_priv(struct rv *c, unsigned priv);

#endif
