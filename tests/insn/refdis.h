/*
 * The second source for the decoder: GNU binutils' RISC-V disassembler, run once over many words.
 */
#ifndef TESTS_INSN_REFDIS_H
#define TESTS_INSN_REFDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct isa_config;

/*
 * Calls fn for each of n words (bytes: 4, none of them of a length other than 4; or 2, compressed halfwords), in order,
 * with the address, and the mnemonic and operands that objdump gives: "" where it knows no instruction.
 * false: the tools did not run.
 */
typedef void refdis_fn(void *arg, uint64_t pc, uint32_t word, const char *mnemonic, const char *operands);
bool refdis_run(const uint32_t *words, size_t n, unsigned bytes, refdis_fn *fn, void *arg);

struct refdis_result {
    size_t words, legal, explained, different; /* differences in legality, name or operands */
    char first[20][160]; /* the first differences, in words */
};

/* Compare our decoder under cfg (all extensions on) with objdump. */
bool refdis_compare(const struct isa_config *cfg, const uint32_t *words, size_t n, unsigned bytes,
                    struct refdis_result *r);

#endif
