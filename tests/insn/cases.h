/*
 * Instruction tests as rows: one instruction, its inputs, what must be there after. Each row is run by exec_ alone and
 * by the interpreter, the IR interpreter and the JIT as a block of its own.
 *
 * Words come from the assembler, values from the specification, never from the tables under test.
 */
#ifndef TESTS_INSN_CASES_H
#define TESTS_INSN_CASES_H

#include <stdint.h>

/* Rows leave out what they do not use. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define TOP (UINT64_C(1) << 63)
#define ONES UINT64_MAX
#define RD_BEFORE UINT64_C(0x5a5a5a5a5a5a5a5a) /* rd holds it unless rd_before is given */

#define CASE_DATA UINT64_C(0x80004000) /* address of mem[], 16 bytes; what lies around is zero */

struct insn_case {
    const char *text;         /* NULL ends */
    uint32_t word;
    uint64_t rs1, rs2;        /* a1, a2 before; for compressed forms those that the text names */
    uint64_t rd;              /* rd after; 0 when rd is x0 */
    uint64_t rd_before;
    uint64_t mem[2], mem_after[2];
    int64_t jump;             /* pc after, relative; 0: the next instruction */
    unsigned trap;            /* cause + 1; then rd is not written */
    uint64_t tval;
};

void run_insn_cases(const struct insn_case *cases);
/* Under another CPU model than "max". */
void run_insn_cases_on(const char *cpu, const struct insn_case *cases);

#endif
