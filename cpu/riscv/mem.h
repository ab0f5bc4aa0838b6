/*
 * Memory as a hart sees it: translation, protection, RAM and MMIO. On the hart's own thread.
 */
#ifndef CPU_RISCV_MEM_H
#define CPU_RISCV_MEM_H

#include "cpu/riscv/rv.h"
#include "mmu/walk.h"

/* Parts of isa_ops. */
bool rv_load(struct vcpu *v, gva va, unsigned size, uint64_t *val);
bool rv_store(struct vcpu *v, gva va, unsigned size, uint64_t val);
bool rv_fetch(struct vcpu *v, gva va, const uint8_t **host, gpa *pa);
void *rv_amo_host(struct vcpu *v, gva va, unsigned size);

/*
 * Translate a data access that stays in one page and check its rights, as a load (WALK_READ) or store (WALK_WRITE) does; nothing is
 * accessed, though A and D bits are set. Pointer masking is the caller's (rv_mask_address). false: trap recorded.
 * page->host is NULL where there is no RAM (ROM counts as RAM for reads).
 */
bool rv_resolve(struct rv *c, gva va, unsigned size, enum walk_access access, struct tlb_page *page);
/* The address that pointer masking makes of va (Ssnpm, Smnpm); va itself while it is off. */
gva rv_mask_address(const struct rv *c, gva va);

/* For the monitor and gdb: where va lies, in the hart's current view of data or code; changes nothing. false: nowhere. */
bool rv_debug_translate(const struct rv *c, gva va, bool code, gpa *pa);
/* The context of a walk in the current view, for debugging and explain; hw_ad off. */
struct walk_ctx rv_walk_ctx(const struct rv *c, bool code);

#endif
