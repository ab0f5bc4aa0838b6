/*
 * A toy guest for tests of the translator: 4-byte instructions op, rd, rs, imm (signed 8 bits), at even addresses, flat
 * memory at TOY_RAM. A trap puts its cause in r30 and the pc in r29, and goes to the address in r28.
 */
#ifndef TESTS_UNIT_TOY_H
#define TESTS_UNIT_TOY_H

#include "cpu/isa.h"
#include "cpu/vcpu.h"
#include "translator/translator.h"

#define TOY_RAM UINT64_C(0x80000000)
enum { TOY_RAM_SIZE = 4 << 20 };

enum toy_op {
    TOY_ILLEGAL, /* trap, cause 2 */
    TOY_ADDI,    /* rd = rs + imm */
    TOY_ADD,     /* rd += rs */
    TOY_LD,      /* rd = 64 bits at rs + imm */
    TOY_ST,      /* 64 bits at rs + imm = rd */
    TOY_ST32,
    TOY_BNE,     /* rd != rs: to pc + imm * 4 */
    TOY_J,       /* to pc + imm * 4 */
    TOY_JR,      /* to rs + imm */
    TOY_FENCEI,  /* ends the block */
    TOY_XADDI,   /* TOY_ADDI through exec */
    TOY_HALT,    /* ends the block, sets ATT_STOP */
    TOY_SHLI,    /* rd = rs << imm */
    TOY_AMOADD,  /* rd = 64 bits at rs, += imm */
    TOY_OPS
};
#define TOY(op, rd, rs, imm) ((uint32_t)(op) | (uint32_t)(rd) << 8 | (uint32_t)(rs) << 16 | (uint32_t)(uint8_t)(imm) << 24)

enum { TOY_CAUSE_FETCH = 1, TOY_CAUSE_ILLEGAL = 2, TOY_CAUSE_LOAD = 5, TOY_CAUSE_STORE = 7 };

struct toy {
    struct vcpu v;
    uint64_t traps;
};

struct toy_machine {
    struct bus *bus;
    struct log *log;
    struct translator *t;
    struct toy cpu[4];
    unsigned cpus;
};

extern const struct isa_ops toy_isa;

/* A machine with cpus vCPUs, engine and code cache as asked for. */
void toy_start(struct toy_machine *m, const struct translator_options *o, unsigned cpus);
void toy_stop(struct toy_machine *m);
void toy_code(struct toy_machine *m, gpa at, const uint32_t *words, unsigned count); /* as a DMA write */
/* Run vCPU n from pc until TOY_HALT. */
enum run_exit toy_run(struct toy_machine *m, unsigned n, gva pc);

#endif
