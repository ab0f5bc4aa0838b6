/* A hart alone with 2 MiB of RAM at 0x80000000 and a fake clock: for tests of the privileged architecture. */
#ifndef TESTS_UNIT_HART_H
#define TESTS_UNIT_HART_H

#include "base/clock.h"
#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/rv.h"
#include "mmu/bus.h"
#include "tests/unit/check.h"

#define RAM_BASE UINT64_C(0x80000000)
enum { RAM_SIZE = 2 << 20 };

struct hart_env {
    struct log *log;
    struct bus *bus;
    struct clock *clock;
    struct isa_config cfg;
    struct rv *c; /* in M-mode at RAM_BASE */
};

void hart_open(struct hart_env *h, const char *cpu);
void hart_close(struct hart_env *h);

void put32(struct hart_env *h, gpa addr, uint32_t word);
void put64(struct hart_env *h, gpa addr, uint64_t val);
uint64_t get64(struct hart_env *h, gpa addr);

/* One instruction at pc: takes a due interrupt first; delivers its trap. true: it completed. */
bool hart_step(struct hart_env *h);
/* Put word at pc (identity-mapped there) and step. */
bool hart_run1(struct hart_env *h, uint32_t word);

/* csrrw/csrrs with registers, by the encoding of the unprivileged specification, Zicsr: a0 = old, a1 = new. */
enum { CSRRW = 1, CSRRS = 2, CSRRC = 3 };
uint32_t csr_word(unsigned op, unsigned csr, unsigned rd, unsigned rs1);
/* csrrw/s/c a0, csr, a1 with a1 = val at the present privilege; false: it trapped (and pc and priv are back). */
bool csr_try(struct hart_env *h, unsigned op, unsigned csr, uint64_t val, uint64_t *old);
/* The same, must succeed. */
uint64_t csr_get(struct hart_env *h, unsigned csr);
void csr_set(struct hart_env *h, unsigned csr, uint64_t val);

/* To U or S at pc without touching anything else. */
void hart_mode(struct hart_env *h, unsigned priv);

#endif
