/* Zicbom, Zicboz in M-mode. */
#include "cpu/riscv/rv.h"
#include "tests/insn/cases.h"
#include "tests/unit/check.h"

static void cache_blocks(void **state)
{
    static const struct insn_case cases[] = {
        {"cbo.zero (a1)", 0x0045a00f, 0x80004005, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}, .mem_after = {0, 0}},
        {"cbo.zero (a1)", 0x0045a00f, 0x8000403f, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}, .mem_after = {0, 0}},
        {"cbo.zero (a1)", 0x0045a00f, 0x80004040, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"cbo.clean (a1)", 0x0015a00f, CASE_DATA, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"cbo.flush (a1)", 0x0025a00f, 0x80004009, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"cbo.inval (a1)", 0x0005a00f, CASE_DATA, 0, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"cbo.zero (a1)", 0x0045a00f, 0x1005, 0, 0, .trap = CAUSE_STORE_ACCESS + 1, .tval = 0x1005},
        {"cbo.clean (a1)", 0x0015a00f, 0x1005, 0, 0, .trap = CAUSE_STORE_ACCESS + 1, .tval = 0x1005},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
