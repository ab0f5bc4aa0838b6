/*
 * Softfp on values that the specification names (unprivileged ISA: F 11.3, 11.6 to 11.9, D 12.2, Zfa, Zfh).
 * Expected encodings are the host compiler's constants or the specification's own numbers.
 */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/softfp.h"
#include "tests/unit/check.h"

static uint64_t bits_s(float x)
{
    uint32_t v;

    memcpy(&v, &x, sizeof v);
    return v;
}

static uint64_t bits_d(double x)
{
    uint64_t v;

    memcpy(&v, &x, sizeof v);
    return v;
}

#define SNAN_S UINT64_C(0x7f800001)
#define QNAN_S UINT64_C(0xffc12345) /* not canonical */
#define SNAN_D UINT64_C(0x7ff0000000000001)
#define QNAN_D UINT64_C(0xfff8000000000123)

static struct sf_env env;

static void expect_flags(unsigned flags)
{
    CHECK_EQ(env.flags, flags);
    env = (struct sf_env){.rm = env.rm};
}

static int fresh(void **state)
{
    (void)state;
    env = (struct sf_env){.rm = SF_RNE};
    return 0;
}

static void values_that_are_not_boxed_read_as_the_canonical_nan(void **state)
{
    (void)state;
    CHECK_EQ(sf_box(SF_S, 0x3f800000), UINT64_C(0xffffffff3f800000));
    CHECK_EQ(sf_box(SF_H, 0x3c00), UINT64_C(0xffffffffffff3c00));
    CHECK_EQ(sf_box(SF_D, 1), 1);
    CHECK_EQ(sf_unbox(SF_S, UINT64_C(0xffffffff3f800000)), 0x3f800000);
    CHECK_EQ(sf_unbox(SF_S, UINT64_C(0xfffffffe3f800000)), 0x7fc00000);
    CHECK_EQ(sf_unbox(SF_H, UINT64_C(0xffffffffffff3c00)), 0x3c00);
    CHECK_EQ(sf_unbox(SF_H, UINT64_C(0xffffffff00003c00)), 0x7e00);
    CHECK_EQ(sf_unbox(SF_D, UINT64_C(0xfffffffe3f800000)), UINT64_C(0xfffffffe3f800000));
}

static void nan_results_are_canonical(void **state)
{
    (void)state;
    CHECK_EQ(sf_add(SF_S, &env, QNAN_S, bits_s(1)), SF_NAN_S);
    expect_flags(0);
    CHECK_EQ(sf_add(SF_S, &env, bits_s(1), SNAN_S), SF_NAN_S);
    expect_flags(SF_NV);
    CHECK_EQ(sf_sub(SF_D, &env, bits_d(INFINITY), bits_d(INFINITY)), SF_NAN_D);
    expect_flags(SF_NV);
    CHECK_EQ(sf_sqrt(SF_D, &env, bits_d(-1)), SF_NAN_D);
    expect_flags(SF_NV);
    CHECK_EQ(sf_div(SF_H, &env, 0, 0), SF_NAN_H);
    expect_flags(SF_NV);
    CHECK_EQ(sf_cvt(SF_S, SF_D, &env, QNAN_S), SF_NAN_D);
    expect_flags(0);
    CHECK_EQ(sf_cvt(SF_D, SF_S, &env, SNAN_D), SF_NAN_S);
    expect_flags(SF_NV);
}

static void fma_of_infinity_and_zero_is_invalid_even_with_a_quiet_nan(void **state)
{
    (void)state;
    CHECK_EQ(sf_madd(SF_D, &env, bits_d(INFINITY), 0, QNAN_D), SF_NAN_D);
    expect_flags(SF_NV);
    CHECK_EQ(sf_nmadd(SF_S, &env, 0, bits_s(-INFINITY), QNAN_S), SF_NAN_S);
    expect_flags(SF_NV);
    CHECK_EQ(sf_madd(SF_D, &env, bits_d(2), bits_d(3), QNAN_D), SF_NAN_D);
    expect_flags(0);
    CHECK_EQ(sf_madd(SF_D, &env, bits_d(2), bits_d(3), bits_d(4)), bits_d(10));
    CHECK_EQ(sf_msub(SF_D, &env, bits_d(2), bits_d(3), bits_d(4)), bits_d(2));
    CHECK_EQ(sf_nmsub(SF_D, &env, bits_d(2), bits_d(3), bits_d(4)), bits_d(-2));
    CHECK_EQ(sf_nmadd(SF_D, &env, bits_d(2), bits_d(3), bits_d(4)), bits_d(-10));
    /* one rounding: the product alone would lose the 2^-104 */
    CHECK_EQ(sf_msub(SF_D, &env, bits_d(1 + 0x1p-52), bits_d(1 + 0x1p-52), bits_d(1 + 0x1p-51)), bits_d(0x1p-104));
    expect_flags(0);
}

static void division_by_zero_raises_dz(void **state)
{
    (void)state;
    CHECK_EQ(sf_div(SF_S, &env, bits_s(-1), 0), bits_s(-INFINITY));
    expect_flags(SF_DZ);
    CHECK_EQ(sf_div(SF_S, &env, bits_s(INFINITY), 0), bits_s(INFINITY));
    expect_flags(0);
    CHECK_EQ(sf_div(SF_D, &env, bits_d(1), bits_d(3)), bits_d(1.0 / 3));
    expect_flags(SF_NX);
}

static void overflow_goes_to_infinity_or_to_the_largest_by_mode(void **state)
{
    static const struct {
        uint8_t rm;
        uint64_t plus, minus;
    } rows[] = {
        {SF_RNE, 0x7f800000, 0xff800000}, {SF_RTZ, 0x7f7fffff, 0xff7fffff}, {SF_RDN, 0x7f7fffff, 0xff800000},
        {SF_RUP, 0x7f800000, 0xff7fffff}, {SF_RMM, 0x7f800000, 0xff800000},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        env.rm = rows[i].rm;
        CHECK_EQ(sf_mul(SF_S, &env, bits_s(0x1p100f), bits_s(0x1p100f)), rows[i].plus);
        expect_flags(SF_OF | SF_NX);
        CHECK_EQ(sf_mul(SF_S, &env, bits_s(0x1p100f), bits_s(-0x1p100f)), rows[i].minus);
        expect_flags(SF_OF | SF_NX);
    }
}

static void ties_follow_the_mode(void **state)
{
    /* 1 + 2^-24 lies in the middle between 1 and its successor */
    static const uint64_t want[] = {0x3f800000, 0x3f800000, 0x3f800000, 0x3f800001, 0x3f800001};

    (void)state;
    for (uint8_t rm = SF_RNE; rm <= SF_RMM; rm++) {
        env.rm = rm;
        CHECK_EQ(sf_add(SF_S, &env, bits_s(1), bits_s(0x1p-24f)), want[rm]);
        expect_flags(SF_NX);
    }
}

static void tininess_is_detected_after_rounding(void **state)
{
    (void)state;
    /* (1 - 2^-44) * 2^-126 rounds up to the smallest normal: tiny before rounding, not after */
    CHECK_EQ(sf_mul(SF_S, &env, bits_s(0x1.000004p-63f), bits_s(0x1.fffff8p-64f)), bits_s(0x1p-126f));
    expect_flags(SF_NX);
    /* exact subnormal results raise nothing */
    CHECK_EQ(sf_mul(SF_S, &env, bits_s(0x1p-126f), bits_s(0.5f)), bits_s(0x1p-127f));
    expect_flags(0);
    CHECK_EQ(sf_mul(SF_S, &env, bits_s(0x1p-149f), bits_s(0.5f)), 0);
    expect_flags(SF_UF | SF_NX);
    CHECK_EQ(sf_mul(SF_D, &env, bits_d(0x1.8p-1073), bits_d(0.5)), bits_d(0x1p-1073));
    expect_flags(SF_UF | SF_NX);
}

static void exact_cancellation_is_positive_zero_except_rounding_down(void **state)
{
    (void)state;
    CHECK_EQ(sf_sub(SF_D, &env, bits_d(5), bits_d(5)), 0);
    env.rm = SF_RDN;
    CHECK_EQ(sf_sub(SF_D, &env, bits_d(5), bits_d(5)), bits_d(-0.0));
    CHECK_EQ(sf_madd(SF_S, &env, bits_s(2), bits_s(3), bits_s(-6)), bits_s(-0.0f));
    CHECK_EQ(sf_add(SF_S, &env, bits_s(-0.0f), bits_s(0.0f)), bits_s(-0.0f));
    CHECK_EQ(sf_add(SF_S, &env, 0, 0), 0);
    expect_flags(0);
}

static void minimum_ignores_a_nan_and_orders_zeros(void **state)
{
    (void)state;
    CHECK_EQ(sf_min(SF_S, &env, bits_s(0.0f), bits_s(-0.0f)), bits_s(-0.0f));
    CHECK_EQ(sf_max(SF_S, &env, bits_s(-0.0f), bits_s(0.0f)), bits_s(0.0f));
    CHECK_EQ(sf_min(SF_S, &env, QNAN_S, bits_s(3)), bits_s(3));
    expect_flags(0);
    CHECK_EQ(sf_max(SF_S, &env, bits_s(3), SNAN_S), bits_s(3));
    expect_flags(SF_NV);
    CHECK_EQ(sf_min(SF_S, &env, QNAN_S, QNAN_S), SF_NAN_S);
    expect_flags(0);
    CHECK_EQ(sf_minm(SF_S, &env, QNAN_S, bits_s(3)), SF_NAN_S);
    expect_flags(0);
    CHECK_EQ(sf_maxm(SF_S, &env, bits_s(3), SNAN_S), SF_NAN_S);
    expect_flags(SF_NV);
    CHECK_EQ(sf_minm(SF_D, &env, bits_d(-0.0), 0), bits_d(-0.0));
    CHECK_EQ(sf_maxm(SF_D, &env, bits_d(2), bits_d(3)), bits_d(3));
}

static void comparisons_signal_as_specified(void **state)
{
    (void)state;
    CHECK_EQ(sf_eq(SF_D, &env, bits_d(0.0), bits_d(-0.0)), 1);
    CHECK_EQ(sf_lt(SF_D, &env, bits_d(-0.0), bits_d(0.0)), 0);
    CHECK_EQ(sf_le(SF_D, &env, bits_d(0.0), bits_d(-0.0)), 1);
    CHECK_EQ(sf_lt(SF_S, &env, bits_s(-2), bits_s(-1)), 1);
    expect_flags(0);
    CHECK_EQ(sf_eq(SF_D, &env, QNAN_D, QNAN_D), 0);
    expect_flags(0);
    CHECK_EQ(sf_eq(SF_D, &env, SNAN_D, 0), 0);
    expect_flags(SF_NV);
    CHECK_EQ(sf_le(SF_D, &env, QNAN_D, QNAN_D), 0);
    expect_flags(SF_NV);
    CHECK_EQ(sf_leq(SF_D, &env, QNAN_D, QNAN_D), 0);
    CHECK_EQ(sf_ltq(SF_D, &env, 0, QNAN_D), 0);
    expect_flags(0);
    CHECK_EQ(sf_ltq(SF_D, &env, 0, SNAN_D), 0);
    expect_flags(SF_NV);
}

static void sign_injection_moves_bits_only(void **state)
{
    (void)state;
    CHECK_EQ(sf_sgnj(SF_S, &env, SNAN_S, bits_s(-1)), UINT64_C(0xff800001));
    CHECK_EQ(sf_sgnjn(SF_D, &env, bits_d(2), bits_d(2)), bits_d(-2));
    CHECK_EQ(sf_sgnjx(SF_H, &env, 0xbc00, 0xbc00), 0x3c00);
    expect_flags(0);
}

static void class_has_ten_bits(void **state)
{
    static const struct {
        uint64_t value;
        unsigned bit;
    } rows[] = {
        {0xff800000, 0}, {0xbf800000, 1}, {0x80000001, 2}, {0x80000000, 3}, {0x00000000, 4},
        {0x007fffff, 5}, {0x00800000, 6}, {0x7f800000, 7}, {0x7f800001, 8}, {0xffc00000, 9},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_EQ(sf_class(SF_S, &env, rows[i].value), UINT64_C(1) << rows[i].bit);
    CHECK_EQ(sf_class(SF_D, &env, 1), 1 << 5);
    CHECK_EQ(sf_class(SF_H, &env, 0x83ff), 1 << 2);
    CHECK_EQ(sf_class(SF_H, &env, 0x8400), 1 << 1);
    expect_flags(0);
}

/* F, table "Domains of float-to-integer conversions and behaviour for invalid inputs". */
static void conversions_to_integers_saturate(void **state)
{
    static const struct {
        double in;
        uint64_t want[4]; /* w, wu, l, lu */
        unsigned flags[4];
    } rows[] = {
        {-INFINITY, {(uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0}, {16, 16, 16, 16}},
        {INFINITY, {INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX}, {16, 16, 16, 16}},
        {NAN, {INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX}, {16, 16, 16, 16}},
        {-0.75, {0, 0, 0, 0}, {1, 1, 1, 1}},
        {-1.0, {UINT64_MAX, 0, UINT64_MAX, 0}, {0, 16, 0, 16}},
        {-1.5, {UINT64_MAX, 0, UINT64_MAX, 0}, {1, 16, 1, 16}},
        {2147483647.5, {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}, {1, 1, 1, 1}},
        {-2147483648.5, {(uint64_t)INT32_MIN, 0, (uint64_t)INT32_MIN, 0}, {1, 16, 1, 16}},
        {-2147483649.0, {(uint64_t)INT32_MIN, 0, UINT64_C(0xffffffff7fffffff), 0}, {16, 16, 0, 16}},
        {4294967295.0, {INT32_MAX, UINT64_MAX, 0xffffffff, 0xffffffff}, {16, 0, 0, 0}},
        {0x1p63, {INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63}, {16, 16, 16, 0}},
        {-0x1p63, {(uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0}, {16, 16, 0, 16}},
        {0x1p64, {INT32_MAX, UINT64_MAX, INT64_MAX, UINT64_MAX}, {16, 16, 16, 16}},
    };

    (void)state;
    env.rm = SF_RTZ;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned to = SF_I32; to <= SF_U64; to++) {
            CHECK_EQ(sf_to_int(SF_D, (enum sf_int)to, &env, bits_d(rows[i].in)), rows[i].want[to]);
            expect_flags(rows[i].flags[to]);
        }
    env.rm = SF_RDN; /* out of range only after rounding */
    CHECK_EQ(sf_to_int(SF_D, SF_U64, &env, bits_d(-0.25)), 0);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_int(SF_D, SF_I32, &env, bits_d(-2147483648.5)), (uint64_t)INT32_MIN);
    expect_flags(SF_NV);
}

static void conversion_modulo_wraps(void **state)
{
    (void)state;
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(0x1p32 + 5)), 5);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(-(0x1p40 + 3))), (uint64_t)-3);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(3000000000.0)), (uint64_t)(int32_t)3000000000u);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(-1.75)), (uint64_t)-1);
    expect_flags(SF_NX);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(0x1.fffffffffffffp83)), (uint64_t)(int32_t)0x80000000);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(0x1p84)), 0);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, bits_d(-INFINITY)), 0);
    expect_flags(SF_NV);
    CHECK_EQ(sf_to_i32_mod(&env, QNAN_D), 0);
    expect_flags(SF_NV);
}

static void conversions_from_integers(void **state)
{
    (void)state;
    CHECK_EQ(sf_from_int(SF_S, SF_I32, &env, UINT64_C(0x1ffffffff)), bits_s(-1));
    CHECK_EQ(sf_from_int(SF_D, SF_U32, &env, UINT64_MAX), bits_d(4294967295.0));
    CHECK_EQ(sf_from_int(SF_D, SF_I64, &env, (uint64_t)INT64_MIN), bits_d(-0x1p63));
    CHECK_EQ(sf_from_int(SF_S, SF_I64, &env, 0), 0);
    expect_flags(0);
    CHECK_EQ(sf_from_int(SF_S, SF_U64, &env, UINT64_MAX), bits_s(0x1p64f));
    expect_flags(SF_NX);
    CHECK_EQ(sf_from_int(SF_H, SF_I32, &env, 65520), 0x7c00);
    expect_flags(SF_OF | SF_NX);
}

static void round_to_integral_keeps_the_sign_of_zero(void **state)
{
    (void)state;
    CHECK_EQ(sf_round(SF_D, &env, bits_d(-0.25)), bits_d(-0.0));
    CHECK_EQ(sf_round(SF_D, &env, bits_d(2.5)), bits_d(2));
    CHECK_EQ(sf_round(SF_D, &env, bits_d(0x1p60)), bits_d(0x1p60));
    expect_flags(0);
    CHECK_EQ(sf_roundnx(SF_S, &env, bits_s(2.5f)), bits_s(2));
    expect_flags(SF_NX);
    env.rm = SF_RMM;
    CHECK_EQ(sf_roundnx(SF_S, &env, bits_s(-2.5f)), bits_s(-3));
    expect_flags(SF_NX);
    CHECK_EQ(sf_round(SF_S, &env, SNAN_S), SF_NAN_S);
    expect_flags(SF_NV);
}

/* Zfa, table of FLI. */
static void constants(void **state)
{
    static const double want[32] = {-1,   0,      0x1p-16, 0x1p-15, 0x1p-8, 0x1p-7, 0.0625,   0.125,
                                    0.25, 0.3125, 0.375,   0.4375,  0.5,    0.625,  0.75,     0.875,
                                    1,    1.25,   1.5,     1.75,    2,      2.5,    3,        4,
                                    8,    16,     128,     256,     0x1p15, 0x1p16, INFINITY, 0};

    (void)state;
    for (unsigned n = 0; n < 31; n++) {
        if (n == 1)
            continue;
        CHECK_EQ(sf_constant(SF_D, n), bits_d(want[n]));
        CHECK_EQ(sf_constant(SF_S, n), bits_s((float)want[n]));
    }
    CHECK_EQ(sf_constant(SF_D, 1), bits_d(0x1p-1022));
    CHECK_EQ(sf_constant(SF_S, 1), bits_s(0x1p-126f));
    CHECK_EQ(sf_constant(SF_H, 1), 0x0400);
    CHECK_EQ(sf_constant(SF_H, 2), 0x0100);  /* 2^-16, subnormal */
    CHECK_EQ(sf_constant(SF_H, 29), 0x7c00); /* 2^16 is not representable: inf */
    CHECK_EQ(sf_constant(SF_D, 31), SF_NAN_D);
    CHECK_EQ(sf_constant(SF_S, 31), SF_NAN_S);
    CHECK_EQ(sf_constant(SF_H, 31), SF_NAN_H);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(values_that_are_not_boxed_read_as_the_canonical_nan),
        TEST(nan_results_are_canonical),
        TEST(fma_of_infinity_and_zero_is_invalid_even_with_a_quiet_nan),
        TEST(division_by_zero_raises_dz),
        TEST(overflow_goes_to_infinity_or_to_the_largest_by_mode),
        TEST(ties_follow_the_mode),
        TEST(tininess_is_detected_after_rounding),
        TEST(exact_cancellation_is_positive_zero_except_rounding_down),
        TEST(minimum_ignores_a_nan_and_orders_zeros),
        TEST(comparisons_signal_as_specified),
        TEST(sign_injection_moves_bits_only),
        TEST(class_has_ten_bits),
        TEST(conversions_to_integers_saturate),
        TEST(conversion_modulo_wraps),
        TEST(conversions_from_integers),
        TEST(round_to_integral_keeps_the_sign_of_zero),
        TEST(constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
