/* Zbkb, Zbkx, Zkne, Zknd, Zknh. */
#include "cpu/riscv/rv.h"
#include "tests/insn/cases.h"
#include "tests/unit/check.h"

static void zbkb_and_zbkx(void **state)
{
    static const struct insn_case cases[] = {
        {"pack a0,a1,a2", 0x08c5c533, 0x64, 3, UINT64_C(0x300000064)},
        {"pack a0,a1,a2", 0x08c5c533, ONES, 1, UINT64_C(0x1ffffffff)},
        {"pack a0,a1,a2", 0x08c5c533, TOP, ONES, UINT64_C(0xffffffff00000000)},
        {"pack a0,a1,a2", 0x08c5c533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0x765432109abcdef0)},
        {"pack a0,a1,a2", 0x08c5c533, 0x80000000, 0x7fffffff, UINT64_C(0x7fffffff80000000)},
        {"pack zero,a1,a2", 0x08c5c033, 0x64, 3, 0},
        {"packh a0,a1,a2", 0x08c5f533, 0x64, 3, 0x364},
        {"packh a0,a1,a2", 0x08c5f533, ONES, 1, 0x1ff},
        {"packh a0,a1,a2", 0x08c5f533, TOP, ONES, 0xff00},
        {"packh a0,a1,a2", 0x08c5f533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0x10f0},
        {"packh a0,a1,a2", 0x08c5f533, 0x80000000, 0x7fffffff, 0xff00},
        {"packh zero,a1,a2", 0x08c5f033, 0x64, 3, 0},
        {"packw a0,a1,a2", 0x08c5c53b, 0x64, 3, 0x30064},
        {"packw a0,a1,a2", 0x08c5c53b, ONES, 1, 0x1ffff},
        {"packw a0,a1,a2", 0x08c5c53b, TOP, ONES, UINT64_C(0xffffffffffff0000)},
        {"packw a0,a1,a2", 0x08c5c53b, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0x3210def0},
        {"packw a0,a1,a2", 0x08c5c53b, 0x80000000, 0x7fffffff, UINT64_C(0xffffffffffff0000)},
        {"packw zero,a1,a2", 0x08c5c03b, 0x64, 3, 0},
        {"brev8 a0,a1", 0x6875d513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0x482c6a1e593d7b0f)},
        {"brev8 a0,a1", 0x6875d513, ONES, 0, ONES},
        {"brev8 a0,a1", 0x6875d513, 0, 0, 0},
        {"brev8 a0,a1", 0x6875d513, TOP, 0, UINT64_C(0x100000000000000)},
        {"brev8 a0,a1", 0x6875d513, UINT64_C(0x80000080008080), 0, UINT64_C(0x1000001000101)},
        {"brev8 zero,a1", 0x6875d013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"xperm4 a0,a1,a2", 0x28c5a533, 0x64, 3, UINT64_C(0x4444444444444440)},
        {"xperm4 a0,a1,a2", 0x28c5a533, ONES, 1, ONES},
        {"xperm4 a0,a1,a2", 0x28c5a533, TOP, ONES, UINT64_C(0x8888888888888888)},
        {"xperm4 a0,a1,a2", 0x28c5a533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0x123456789abcdef0)},
        {"xperm4 a0,a1,a2", 0x28c5a533, UINT64_C(0x8877665544332211), UINT64_C(0x1020304050607),
         UINT64_C(0x1111121213131414)},
        {"xperm4 a0,a1,a2", 0x28c5a533, UINT64_C(0x8877665544332211), UINT64_C(0x708ff0080000106),
         UINT64_C(0x1415881151111114)},
        {"xperm4 zero,a1,a2", 0x28c5a033, 0x64, 3, 0},
        {"xperm8 a0,a1,a2", 0x28c5c533, 0x64, 3, UINT64_C(0x6464646464646400)},
        {"xperm8 a0,a1,a2", 0x28c5c533, ONES, 1, ONES},
        {"xperm8 a0,a1,a2", 0x28c5c533, TOP, ONES, 0},
        {"xperm8 a0,a1,a2", 0x28c5c533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {"xperm8 a0,a1,a2", 0x28c5c533, UINT64_C(0x8877665544332211), UINT64_C(0x1020304050607),
         UINT64_C(0x1122334455667788)},
        {"xperm8 a0,a1,a2", 0x28c5c533, UINT64_C(0x8877665544332211), UINT64_C(0x708ff0080000106),
         UINT64_C(0x8800001100112277)},
        {"xperm8 zero,a1,a2", 0x28c5c033, 0x64, 3, 0},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

static void sha2(void **state)
{
    static const struct insn_case cases[] = {
        {"sha256sum0 a0,a1", 0x10059513, UINT64_C(0x123456789abcdef0), 0, 0x22502030},
        {"sha256sum0 a0,a1", 0x10059513, ONES, 0, ONES},
        {"sha256sum0 a0,a1", 0x10059513, UINT64_C(0x8000000080000001), 0, 0x600c0600},
        {"sha256sum0 zero,a1", 0x10059013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha256sum1 a0,a1", 0x10159513, UINT64_C(0x123456789abcdef0), 0, 0x4216dcad},
        {"sha256sum1 a0,a1", 0x10159513, ONES, 0, ONES},
        {"sha256sum1 a0,a1", 0x10159513, UINT64_C(0x8000000080000001), 0, 0x63000c0},
        {"sha256sum1 zero,a1", 0x10159013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha256sig0 a0,a1", 0x10259513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xffffffffc5dec4cc)},
        {"sha256sig0 a0,a1", 0x10259513, ONES, 0, 0x1fffffff},
        {"sha256sig0 a0,a1", 0x10259513, UINT64_C(0x8000000080000001), 0, 0x13006000},
        {"sha256sig0 zero,a1", 0x10259013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha256sig1 a0,a1", 0x10359513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xfffffffff480f13e)},
        {"sha256sig1 a0,a1", 0x10359513, ONES, 0, 0x3fffff},
        {"sha256sig1 a0,a1", 0x10359513, UINT64_C(0x8000000080000001), 0, 0x20f000},
        {"sha256sig1 zero,a1", 0x10359013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha512sum0 a0,a1", 0x10459513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0x7c57a100c7ec1abb)},
        {"sha512sum0 a0,a1", 0x10459513, ONES, 0, ONES},
        {"sha512sum0 a0,a1", 0x10459513, UINT64_C(0x8000000080000001), 0, UINT64_C(0x2100001863000008)},
        {"sha512sum0 zero,a1", 0x10459013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha512sum1 a0,a1", 0x10559513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0x7031123334755677)},
        {"sha512sum1 a0,a1", 0x10559513, ONES, 0, ONES},
        {"sha512sum1 a0,a1", 0x10559513, UINT64_C(0x8000000080000001), 0, UINT64_C(0x46600000c22000)},
        {"sha512sum1 zero,a1", 0x10559013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha512sig0 a0,a1", 0x10659513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xf92c77c6c4f1aa1b)},
        {"sha512sig0 a0,a1", 0x10659513, ONES, 0, UINT64_C(0x1ffffffffffffff)},
        {"sha512sig0 a0,a1", 0x10659513, UINT64_C(0x8000000080000001), 0, UINT64_C(0xc080000041800000)},
        {"sha512sig0 zero,a1", 0x10659013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"sha512sig1 a0,a1", 0x10759513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xa3460dbbd4317ac)},
        {"sha512sig1 a0,a1", 0x10759513, ONES, 0, UINT64_C(0x3ffffffffffffff)},
        {"sha512sig1 a0,a1", 0x10759513, UINT64_C(0x8000000080000001), 0, UINT64_C(0x20030040200100c)},
        {"sha512sig1 zero,a1", 0x10759013, UINT64_C(0x123456789abcdef0), 0, 0},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

static void aes(void **state)
{
    static const struct insn_case cases[] = {
        {"aes64es a0,a1,a2", 0x32c58533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0xb88623bcbb20b18c)},
        {"aes64es a0,a1,a2", 0x32c58533, 0, ONES, UINT64_C(0x6316166316166363)},
        {"aes64es a0,a1,a2", 0x32c58533, UINT64_C(0x706050403020100), UINT64_C(0xf0e0d0c0b0a0908),
         UINT64_C(0x7bab01f276676b63)},
        {"aes64es zero,a1,a2", 0x32c58033, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {"aes64esm a0,a1,a2", 0x36c58533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0x115bd33873ab2e50)},
        {"aes64esm a0,a1,a2", 0x36c58533, 0, ONES, UINT64_C(0x63fc1689fc168963)},
        {"aes64esm a0,a1,a2", 0x36c58533, UINT64_C(0x706050403020100), UINT64_C(0xf0e0d0c0b0a0908),
         UINT64_C(0x51336d2c455c6a6a)},
        {"aes64esm zero,a1,a2", 0x36c58033, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {"aes64ds a0,a1,a2", 0x3ac58533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0xf939cc139fdc017)},
        {"aes64ds a0,a1,a2", 0x3ac58533, 0, ONES, UINT64_C(0x7d7d5252527d7d52)},
        {"aes64ds a0,a1,a2", 0x3ac58533, UINT64_C(0x706050403020100), UINT64_C(0xf0e0d0c0b0a0908),
         UINT64_C(0x9ed7093038a3f352)},
        {"aes64ds zero,a1,a2", 0x3ac58033, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {"aes64dsm a0,a1,a2", 0x3ec58533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0x61706bbb2760f8ac)},
        {"aes64dsm a0,a1,a2", 0x3ec58533, 0, ONES, UINT64_C(0x9fc1b0eeee9fc1b0)},
        {"aes64dsm a0,a1,a2", 0x3ec58533, UINT64_C(0x706050403020100), UINT64_C(0xf0e0d0c0b0a0908),
         UINT64_C(0x6e29192e1c96a313)},
        {"aes64dsm zero,a1,a2", 0x3ec58033, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {"aes64im a0,a1", 0x30059513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0x851bd1470d9359cf)},
        {"aes64im a0,a1", 0x30059513, ONES, 0, ONES},
        {"aes64im a0,a1", 0x30059513, UINT64_C(0x706050403020100), 0, UINT64_C(0x90c0b0e0d080f0a)},
        {"aes64im zero,a1", 0x30059013, UINT64_C(0x123456789abcdef0), 0, 0},
        {"aes64ks1i a0,a1,0", 0x31059513, UINT64_C(0x9cf4f3c2b7e1516), 0, UINT64_C(0xeb018a85eb018a85)},
        {"aes64ks1i a0,a1,9", 0x31959513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xbcc91887bcc91887)},
        {"aes64ks1i a0,a1,10", 0x31a59513, UINT64_C(0x123456789abcdef0), 0, UINT64_C(0xc918b1bcc918b1bc)},
        {"aes64ks1i a0,a1,8", 0x31859513, ONES, 0, UINT64_C(0x1616160d1616160d)},
        {"aes64ks1i zero,a1,0", 0x31059013, UINT64_C(0x9cf4f3c2b7e1516), 0, 0},
        {"aes64ks2 a0,a1,a2", 0x7ec58533, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210),
         UINT64_C(0x9abcdef064606468)},
        {"aes64ks2 a0,a1,a2", 0x7ec58533, 0, ONES, 0xffffffff},
        {"aes64ks2 a0,a1,a2", 0x7ec58533, UINT64_C(0x706050403020100), UINT64_C(0xf0e0d0c0b0a0908),
         UINT64_C(0x30201000c0c0c0c)},
        {"aes64ks2 zero,a1,a2", 0x7ec58033, UINT64_C(0x123456789abcdef0), UINT64_C(0xfedcba9876543210), 0},
        {0},
    };

    (void)state;
    run_insn_cases(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zbkb_and_zbkx),
        cmocka_unit_test(sha2),
        cmocka_unit_test(aes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
