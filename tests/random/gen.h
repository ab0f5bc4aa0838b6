/*
 * Random RISC-V programs for lockstep: a bare-metal machine's memory, made from a seed.
 *
 * A program is an M-mode boot stub and trap handler, and random code that runs in M, S or U, bare or under Sv39, in a
 * loop. Instructions come from the rows of insn.def with random operands; what could run away (stores, jumps, CSR
 * writes) is led by reserved registers. Traps are hashed into memory and skipped; a fetch that traps goes on behind
 * the jump. The program ends with a store to the finisher.
 */
#ifndef TESTS_RANDOM_GEN_H
#define TESTS_RANDOM_GEN_H

#include "base/types.h"

struct isa_config;

#define GEN_RAM UINT64_C(0x80000000)
#define GEN_FINISHER UINT64_C(0x00100000)
#define GEN_TRAP_ENTRY UINT64_C(0x80200000)
enum { GEN_TRAPS = 0x1038 };                                 /* offset of the number of traps taken */
enum { GEN_RAM_SIZE = 2 << 20, GEN_IMAGE_SIZE = 640 << 10 }; /* nothing behind the image is ever written */

struct gen_options {
    unsigned items;      /* pieces of code in the loop; an item is one to twenty instructions */
    unsigned iterations; /* of the loop */
    /* For another emulator: traps go to GEN_TRAP_ENTRY (guest/trap.c), the end is an ecall with R_FINISH 0, and nothing
     * is asked that the specification leaves open or that depends on time. */
    bool portable;
};

/* Fill image (GEN_IMAGE_SIZE bytes, for GEN_RAM; boot at its start). */
void gen_program(const struct isa_config *cfg, uint64_t seed, const struct gen_options *o, uint8_t *image);
/* One line on what the seed chose: mode, paging... */
void gen_describe(uint64_t seed, char *buf, size_t size);

#endif
