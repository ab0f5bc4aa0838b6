/* C, Zcb: what each form expands to, hints, reserved forms. */
#include "cpu/riscv/rv.h"
#include "tests/insn/cases.h"
#include "tests/unit/check.h"

static void compressed(void **state)
{
    static const struct insn_case cases[] = {
        {"c.li a0,-3", 0x5575, 0, 0, UINT64_C(0xfffffffffffffffd)},
        {"c.li a0,31", 0x457d, 0, 0, 0x1f},
        {"c.addi a1,-32", 0x1581, 5, 0, UINT64_C(0xffffffffffffffe5), .rd_before = 5},
        {"c.addiw a1,1", 0x2585, 0x7fffffff, 0, UINT64_C(0xffffffff80000000), .rd_before = 0x7fffffff},
        {"c.lui a0,0xfffe1", 0x7505, 0, 0, UINT64_C(0xfffffffffffe1000)},
        {"c.lui a0,31", 0x657d, 0, 0, 0x1f000},
        {"c.addi16sp sp,-512", 0x7101, 0x1000, 0, 0xe00, .rd_before = 0x1000},
        {"c.addi16sp sp,496", 0x617d, 0x1000, 0, 0x11f0, .rd_before = 0x1000},
        {"c.addi4spn a0,sp,1020", 0x1fe8, 0x1000, 0, 0x13fc},
        {"c.mv a0,a2", 0x8532, 0, 0x4d, 0x4d},
        {"c.add a1,a2", 0x95b2, 5, 6, 0xb, .rd_before = 5},
        {"c.sub a1,a2", 0x8d91, 5, 6, ONES, .rd_before = 5},
        {"c.xor a1,a2", 0x8db1, 5, 6, 3, .rd_before = 5},
        {"c.or a1,a2", 0x8dd1, 5, 6, 7, .rd_before = 5},
        {"c.and a1,a2", 0x8df1, 5, 6, 4, .rd_before = 5},
        {"c.addw a1,a2", 0x9db1, 0x7fffffff, 1, UINT64_C(0xffffffff80000000), .rd_before = 0x7fffffff},
        {"c.subw a1,a2", 0x9d91, 0x80000000, 1, 0x7fffffff, .rd_before = 0x80000000},
        {"c.slli a1,63", 0x15fe, 3, 0, TOP, .rd_before = 3},
        {"c.srli a1,63", 0x91fd, TOP, 0, 1, .rd_before = TOP},
        {"c.srai a1,63", 0x95fd, TOP, 0, ONES, .rd_before = TOP},
        {"c.andi a1,-2", 0x99f9, 7, 0, 6, .rd_before = 7},
        {"c.lw a0,124(a1)", 0x5de8, 0x80003f84, 0, UINT64_C(0xffffffffccddeeff),
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.ld a0,248(a1)", 0x7de8, 0x80003f08, 0, UINT64_C(0x8899aabbccddeeff),
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.sw a2,4(a1)", 0xc1d0, CASE_DATA, 0x11223344, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x11223344ccddeeff), UINT64_C(0x11223344556677)}},
        {"c.sd a2,8(a1)", 0xe590, CASE_DATA, 5, 0, .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), 5}},
        {"c.lwsp a0,252(sp)", 0x557e, 0x80003f04, 0, UINT64_C(0xffffffffccddeeff),
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.ldsp a0,504(sp)", 0x757e, 0x80003e08, 0, UINT64_C(0x8899aabbccddeeff),
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.swsp a2,4(sp)", 0xc232, CASE_DATA, 7, 0, .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x7ccddeeff), UINT64_C(0x11223344556677)}},
        {"c.sdsp a2,8(sp)", 0xe432, CASE_DATA, 7, 0, .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), 7}},
        {"c.j .+32", 0xa005, 0, 0, 0, .jump = 32},
        {"c.j .-64", 0xb7c1, 0, 0, 0, .jump = -64},
        {"c.beqz a1,.+32", 0xc185, 0, 0, 0, .jump = 32},
        {"c.beqz a1,.+32", 0xc185, 1, 0, 0},
        {"c.bnez a1,.-32", 0xf1e5, 1, 0, 0, .jump = -32},
        {"c.bnez a1,.-32", 0xf1e5, 0, 0, 0},
        {"c.nop", 0x0001, 0, 0, 0},
        {"c.li zero,1", 0x4005, 0, 0, 0},
        {"c.lui zero,1", 0x6005, 0, 0, 0},
        {"c.slli zero,1", 0x0006, 0, 0, 0},
        {"c.mv zero,a2", 0x8032, 0, 4, 0},
        {"c.add zero,a2", 0x9032, 0, 4, 0},
        {"c.nop 1", 0x0005, 0, 0, 0},
        {"c.lbu a0,3(a1)", 0x81e8, CASE_DATA, 0, 0xcc,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.lbu a0,1(a1)", 0x81c8, CASE_DATA, 0, 0xee,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.lhu a0,2(a1)", 0x85a8, CASE_DATA, 0, 0xccdd,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.lh a0,2(a1)", 0x85e8, CASE_DATA, 0, UINT64_C(0xffffffffffffccdd),
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)}},
        {"c.sb a2,1(a1)", 0x89d0, CASE_DATA, 0x55, 0, .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabbccdd55ff), UINT64_C(0x11223344556677)}},
        {"c.sh a2,2(a1)", 0x8db0, CASE_DATA, 0x5566, 0,
         .mem = {UINT64_C(0x8899aabbccddeeff), UINT64_C(0x11223344556677)},
         .mem_after = {UINT64_C(0x8899aabb5566eeff), UINT64_C(0x11223344556677)}},
        {"c.zext.b a1", 0x9de1, UINT64_C(0x123456789abcdef0), 0, 0xf0, .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.zext.b a1", 0x9de1, ONES, 0, 0xff, .rd_before = ONES},
        {"c.sext.b a1", 0x9de5, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xfffffffffffffff0),
         .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.sext.b a1", 0x9de5, ONES, 0, ONES, .rd_before = ONES},
        {"c.zext.h a1", 0x9de9, UINT64_C(0x123456789abcdef0), 0, 0xdef0, .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.zext.h a1", 0x9de9, ONES, 0, 0xffff, .rd_before = ONES},
        {"c.sext.h a1", 0x9ded, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xffffffffffffdef0),
         .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.sext.h a1", 0x9ded, ONES, 0, ONES, .rd_before = ONES},
        {"c.zext.w a1", 0x9df1, UINT64_C(0x123456789abcdef0), 0, 0x9abcdef0, .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.zext.w a1", 0x9df1, ONES, 0, 0xffffffff, .rd_before = ONES},
        {"c.not a1", 0x9df5, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xedcba9876543210f),
         .rd_before = UINT64_C(0x123456789abcdef0)},
        {"c.not a1", 0x9df5, ONES, 0, 0, .rd_before = ONES},
        {"c.mul a1,a2", 0x9dd1, 7, UINT64_C(0xfffffffffffffffd), UINT64_C(0xffffffffffffffeb), .rd_before = 7},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

static void reserved_forms(void **state)
{
    static const struct insn_case cases[] = {
        {"c.addi4spn a0,sp,0 (reserved)", 0x0008, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x8},
        {"c.addiw zero,1 (reserved)", 0x2005, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x2005},
        {"c.addi16sp sp,0 (reserved)", 0x6101, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x6101},
        {"c.lwsp zero (reserved)", 0x4002, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x4002},
        {"c.ldsp zero (reserved)", 0x6002, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x6002},
        {"c.jr zero (reserved)", 0x8002, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x8002},
        {"reserved 100_1_11_111 (reserved)", 0x9c7d, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x9c7d},
        {"reserved quadrant 0 100 (reserved)", 0x9c00, 0, 0, 0, .trap = CAUSE_ILLEGAL + 1, .tval = 0x9c00},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed),
        cmocka_unit_test(reserved_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
