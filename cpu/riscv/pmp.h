/*
 * Physical memory protection with Smepmp (privileged specification, "Physical Memory Protection").
 */
#ifndef CPU_RISCV_PMP_H
#define CPU_RISCV_PMP_H

#include "cpu/riscv/rv.h"

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_RWX = 7, PMP_PARTLY = 8 };

/* What priv may do with all of [addr, addr+len); nothing when an entry covers only part of it. */
unsigned pmp_rights(const struct rv *c, gpa addr, uint64_t len, unsigned priv);
/* The same for the page of addr; PMP_PARTLY when some entry covers part of it, so that the access itself must be asked about. */
unsigned pmp_page(const struct rv *c, gpa addr, unsigned priv);

void pmp_reset(struct rv *c);
void pmp_open(struct rv *c); /* everything allowed to S and U, as M-mode firmware sets it up */

#endif
