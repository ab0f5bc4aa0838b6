/*
 * Softfp against MPFR: every operation, format and rounding mode on edge and random operands, results and flags.
 *
 * MPFR has no subnormals, signalling NaNs, RMM or underflow flag of IEEE's kind; the oracle below derives them:
 * mpfr_subnormalize rounds to the format; tininess is read from the result rounded with a wide exponent range; RMM is
 * round-to-nearest-even except in a tie, which an exact comparison with the midpoint tells, and then goes outward.
 * GUISE_FP_CASES sets the number of cases (operation, format, mode and operands); GUISE_FP_SEED the operands.
 */
#include <inttypes.h>
#include <mpfr.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/softfp.h"
#include "tests/unit/check.h"
#include "tests/unit/fp_operands.h"

enum { WIDE_PREC = 320 };

static const char *const rm_names[] = {"rne", "rtz", "rdn", "rup", "rmm"};
static const mpfr_rnd_t mpfr_rms[] = {MPFR_RNDN, MPFR_RNDZ, MPFR_RNDD, MPFR_RNDU, MPFR_RNDN};

static struct fp_rng rng;
static uint64_t first_seed;

static bool raw_is_nan(const struct fp_format *f, uint64_t a)
{
    return (a & fp_low_mask(f->bits - 1)) > fp_exp_max(f) << f->frac;
}
static bool raw_is_snan(const struct fp_format *f, uint64_t a) { return raw_is_nan(f, a) && !(a >> (f->frac - 1) & 1); }
static uint64_t canonical_nan(const struct fp_format *f)
{
    return fp_exp_max(f) << f->frac | UINT64_C(1) << (f->frac - 1);
}

static void wide_range(void)
{
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
}

static void format_range(const struct fp_format *f)
{
    mpfr_set_emin(3 - f->bias - 1 - (mpfr_exp_t)f->frac);
    mpfr_set_emax(f->bias + 1);
}

/* x has 64 bits of precision or more. */
static void decode(const struct fp_format *f, uint64_t a, mpfr_t x)
{
    uint64_t e = a >> f->frac & fp_exp_max(f), frac = a & fp_low_mask(f->frac);
    int sign = a >> (f->bits - 1) & 1;

    if (e == fp_exp_max(f) && frac)
        mpfr_set_nan(x);
    else if (e == fp_exp_max(f))
        mpfr_set_inf(x, 1);
    else if (!e && !frac)
        mpfr_set_zero(x, 1);
    else if (!e)
        mpfr_set_uj_2exp(x, frac, 1 - f->bias - (int)f->frac, MPFR_RNDN);
    else
        mpfr_set_uj_2exp(x, frac | UINT64_C(1) << f->frac, (int)e - f->bias - (int)f->frac, MPFR_RNDN);
    if (!mpfr_nan_p(x))
        mpfr_setsign(x, x, sign, MPFR_RNDN);
}

/* --- the oracle --- */

static mpfr_t in[3], value, toward, outward, wide, decoded;

typedef int mpfr_op(mpfr_t r, mpfr_rnd_t rm); /* of in[]; returns the ternary value */

/* Round with a wide exponent range first, which tells tininess after rounding, then to the format (MPFR's manual,
 * mpfr_subnormalize). */
static int to_format(const struct fp_format *f, mpfr_op *op, mpfr_t r, mpfr_rnd_t rm, bool *tiny)
{
    int t;

    mpfr_set_prec(r, f->frac + 1);
    t = op(r, rm);
    *tiny = mpfr_regular_p(r) && mpfr_get_exp(r) < 2 - f->bias; /* MPFR's significands are below 1 */
    format_range(f);
    t = mpfr_check_range(r, t, rm);
    t = mpfr_subnormalize(r, t, rm);
    wide_range();
    return t;
}

/* Whether the exact result lies in the middle between two neighbours of the format. */
static bool is_tie(const struct fp_format *f, mpfr_op *op)
{
    mpfr_rnd_t out = mpfr_signbit(value) ? MPFR_RNDD : MPFR_RNDU;
    bool tie = false, tiny;

    to_format(f, op, toward, MPFR_RNDZ, &tiny);
    to_format(f, op, outward, out, &tiny);
    if (mpfr_number_p(toward) && mpfr_number_p(outward)) {
        mpfr_set_prec(decoded, WIDE_PREC);
        mpfr_add(decoded, toward, outward, MPFR_RNDN);
        mpfr_div_2ui(decoded, decoded, 1, MPFR_RNDN);
        tie = op(wide, MPFR_RNDZ) == 0 && mpfr_equal_p(wide, decoded);
    }
    return tie;
}

/* Into `value`; returns flags but NV for signalling NaNs. */
static unsigned oracle(const struct fp_format *f, mpfr_op *op, unsigned rm)
{
    unsigned flags = 0;
    bool tiny;
    int t;

    mpfr_clear_flags();
    t = to_format(f, op, value, mpfr_rms[rm], &tiny);
    if (mpfr_nan_p(value))
        return mpfr_nan_p(in[0]) || mpfr_nan_p(in[1]) || mpfr_nan_p(in[2]) ? 0 : SF_NV;
    if (mpfr_divby0_p())
        flags |= SF_DZ;
    if (t)
        flags |= SF_NX | (mpfr_overflow_p() ? SF_OF : 0) | (tiny ? SF_UF : 0);
    if (rm == SF_RMM && t && mpfr_number_p(value) && is_tie(f, op)) {
        mpfr_set_prec(value, f->frac + 1);
        mpfr_set(value, outward, MPFR_RNDN);
    }
    return flags;
}

/* Whether got encodes `value`. */
static bool same(const struct fp_format *f, uint64_t got)
{
    if (got & ~fp_low_mask(f->bits))
        return false;
    if (mpfr_nan_p(value))
        return got == canonical_nan(f);
    mpfr_set_prec(decoded, 64);
    decode(f, got, decoded);
    return mpfr_equal_p(decoded, value) && mpfr_signbit(decoded) == mpfr_signbit(value);
}

static int do_add(mpfr_t r, mpfr_rnd_t rm) { return mpfr_add(r, in[0], in[1], rm); }
static int do_sub(mpfr_t r, mpfr_rnd_t rm) { return mpfr_sub(r, in[0], in[1], rm); }
static int do_mul(mpfr_t r, mpfr_rnd_t rm) { return mpfr_mul(r, in[0], in[1], rm); }
static int do_div(mpfr_t r, mpfr_rnd_t rm) { return mpfr_div(r, in[0], in[1], rm); }
static int do_sqrt(mpfr_t r, mpfr_rnd_t rm) { return mpfr_sqrt(r, in[0], rm); }
static int do_madd(mpfr_t r, mpfr_rnd_t rm) { return mpfr_fma(r, in[0], in[1], in[2], rm); }
static int do_msub(mpfr_t r, mpfr_rnd_t rm) { return mpfr_fms(r, in[0], in[1], in[2], rm); }
static int do_set(mpfr_t r, mpfr_rnd_t rm) { return mpfr_set(r, in[0], rm); }
static int do_min(mpfr_t r, mpfr_rnd_t rm) { return mpfr_min(r, in[0], in[1], rm); }
static int do_max(mpfr_t r, mpfr_rnd_t rm) { return mpfr_max(r, in[0], in[1], rm); }

static void negate_first(void) { mpfr_neg(in[0], in[0], MPFR_RNDN); }
static int do_nmsub(mpfr_t r, mpfr_rnd_t rm)
{
    int t;

    negate_first();
    t = do_madd(r, rm);
    negate_first();
    return t;
}
static int do_nmadd(mpfr_t r, mpfr_rnd_t rm)
{
    int t;

    negate_first();
    t = do_msub(r, rm);
    negate_first();
    return t;
}

/* --- the loops --- */

static uint64_t cases_wanted, cases_done;

/* Iterations for one of the test functions' inner loops; share in thousandths of all cases. */
static uint64_t share(unsigned thousandths, unsigned per_iteration)
{
    return cases_wanted * thousandths / 1000 / per_iteration + 1;
}

static void verdict(const char *op, const struct fp_format *f, unsigned rm, const uint64_t a[3], uint64_t got,
                    unsigned flags, bool ok, unsigned want_flags)
{
    cases_done++;
    if (ok && flags == want_flags)
        return;
    wide_range();
    mpfr_printf("# %s.%s %s %016lx %016lx %016lx: got %016lx flags %02x; MPFR %Ra flags %02x\n", op, f->name,
                rm_names[rm], (unsigned long)a[0], (unsigned long)a[1], (unsigned long)a[2], (unsigned long)got, flags,
                value, want_flags);
    fail_msg("%s.%s differs from MPFR, seed %" PRIu64, op, f->name, first_seed);
}

struct arith {
    const char *name;
    unsigned arity;
    mpfr_op *mpfr;
    sf_fn1 *fn1;
    sf_fn2 *fn2;
    sf_fn3 *fn3;
};

static uint64_t apply(const struct arith *op, const struct fp_format *f, struct sf_env *e, const uint64_t a[3])
{
    switch (op->arity) {
    case 1: return op->fn1(f->id, e, a[0]);
    case 2: return op->fn2(f->id, e, a[0], a[1]);
    default: return op->fn3(f->id, e, a[0], a[1], a[2]);
    }
}

static unsigned nan_flags(const struct fp_format *f, const struct arith *op, const uint64_t a[3])
{
    for (unsigned i = 0; i < op->arity; i++)
        if (raw_is_snan(f, a[i]))
            return SF_NV;
    if (op->arity == 3 && ((mpfr_inf_p(in[0]) && mpfr_zero_p(in[1])) || (mpfr_zero_p(in[0]) && mpfr_inf_p(in[1]))))
        return SF_NV;
    return 0;
}

static void run_arith(const struct arith *op, const struct fp_format *f, uint64_t n)
{
    while (n--) {
        uint64_t a[3] = {fp_operand(&rng, f), 0, 0};

        if (op->arity > 1)
            a[1] = fp_operand_near(&rng, f, a[0]);
        if (op->arity > 2)
            a[2] = fp_addend(&rng, f, a[0], a[1]);
        for (unsigned i = 0; i < 3; i++)
            decode(f, a[i], in[i]);
        for (unsigned rm = 0; rm < 5; rm++) {
            struct sf_env e = {.rm = (uint8_t)rm};
            uint64_t got = apply(op, f, &e, a);
            unsigned want = oracle(f, op->mpfr, rm) | nan_flags(f, op, a);

            verdict(op->name, f, rm, a, got, e.flags, same(f, got), want);
        }
    }
}

static void arithmetic(void **state)
{
    static const struct arith ops[] = {
        {"fadd", 2, do_add, .fn2 = sf_add},       {"fsub", 2, do_sub, .fn2 = sf_sub},
        {"fmul", 2, do_mul, .fn2 = sf_mul},       {"fdiv", 2, do_div, .fn2 = sf_div},
        {"fsqrt", 1, do_sqrt, .fn1 = sf_sqrt},    {"fmadd", 3, do_madd, .fn3 = sf_madd},
        {"fmsub", 3, do_msub, .fn3 = sf_msub},    {"fnmsub", 3, do_nmsub, .fn3 = sf_nmsub},
        {"fnmadd", 3, do_nmadd, .fn3 = sf_nmadd},
    };
    (void)state;
    for (unsigned o = 0; o < ARRAY_LEN(ops); o++)
        for (unsigned f = 0; f < ARRAY_LEN(fp_formats); f++)
            run_arith(&ops[o], &fp_formats[f], share(22, 5));
}

static void between_formats(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 9; pair++) {
        const struct fp_format *from = &fp_formats[pair / 3], *to = &fp_formats[pair % 3];

        for (uint64_t n = share(13, 5); n--;) {
            uint64_t a[3] = {fp_operand(&rng, from), 0, 0};

            decode(from, a[0], in[0]);
            decode(from, 0, in[1]);
            decode(from, 0, in[2]);
            for (unsigned rm = 0; rm < 5; rm++) {
                struct sf_env e = {.rm = (uint8_t)rm};
                uint64_t got = sf_cvt(from->id, to->id, &e, a[0]);
                unsigned want = oracle(to, do_set, rm) | (raw_is_snan(from, a[0]) ? SF_NV : 0);

                verdict("fcvt", to, rm, a, got, e.flags, same(to, got), want);
            }
        }
    }
}

/* in[0] to an integral value in `value`; NX. */
static unsigned integral(unsigned rm)
{
    int t;

    mpfr_set_prec(value, 64);
    t = rm == SF_RMM ? mpfr_round(value, in[0]) : mpfr_rint(value, in[0], mpfr_rms[rm]);
    return t ? SF_NX : 0;
}

/* The integer the specification asks for (table "Domains of float-to-integer conversions"). */
static uint64_t want_int(enum sf_int to, unsigned rm, unsigned *flags)
{
    bool fits;
    int sign = mpfr_nan_p(in[0]) ? 0 : mpfr_signbit(in[0]);

    *flags = integral(rm);
    switch (to) {
    case SF_I32: fits = mpfr_fits_sint_p(value, MPFR_RNDN); break;
    case SF_U32: fits = mpfr_fits_uint_p(value, MPFR_RNDN); break;
    case SF_I64: fits = mpfr_fits_slong_p(value, MPFR_RNDN); break;
    default: fits = mpfr_fits_ulong_p(value, MPFR_RNDN); break;
    }
    if (!fits) {
        *flags = SF_NV;
        switch (to) {
        case SF_I32: return sign ? (uint64_t)INT32_MIN : INT32_MAX;
        case SF_U32: return sign ? 0 : UINT64_MAX; /* 2^32 - 1, sign-extended */
        case SF_I64: return sign ? (uint64_t)INT64_MIN : INT64_MAX;
        default: return sign ? 0 : UINT64_MAX;
        }
    }
    switch (to) {
    case SF_U64: return mpfr_get_uj(value, MPFR_RNDN);
    case SF_U32: return (uint64_t)(int32_t)mpfr_get_uj(value, MPFR_RNDN);
    default: return (uint64_t)mpfr_get_sj(value, MPFR_RNDN);
    }
}

static void to_integers(void **state)
{
    static const char *const names[] = {"fcvt.w", "fcvt.wu", "fcvt.l", "fcvt.lu"};

    (void)state;
    for (unsigned pair = 0; pair < 12; pair++) {
        const struct fp_format *f = &fp_formats[pair / 4];
        enum sf_int to = (enum sf_int)(pair % 4);

        for (uint64_t n = share(10, 5); n--;) {
            uint64_t a[3] = {fp_operand(&rng, f), 0, 0};

            decode(f, a[0], in[0]);
            for (unsigned rm = 0; rm < 5; rm++) {
                struct sf_env e = {.rm = (uint8_t)rm};
                uint64_t got = sf_to_int(f->id, to, &e, a[0]);
                unsigned flags;
                uint64_t want = want_int(to, rm, &flags);

                verdict(names[to], f, rm, a, got, e.flags, got == want, flags);
            }
        }
    }
}

static void modulo_2_32(void **state)
{
    const struct fp_format *f = &fp_formats[SF_D];
    mpz_t z;

    (void)state;
    mpz_init(z);
    for (uint64_t n = share(5, 1); n--;) {
        uint64_t a[3] = {fp_operand(&rng, f), 0, 0}, want = 0, got;
        struct sf_env e = {.rm = SF_RTZ};
        unsigned flags;

        decode(f, a[0], in[0]);
        if (mpfr_number_p(in[0])) {
            mpfr_get_z(z, in[0], MPFR_RNDZ);
            mpz_fdiv_r_2exp(z, z, 32);
            want = (uint64_t)(int32_t)mpz_get_ui(z);
        }
        got = sf_to_i32_mod(&e, a[0]);
        want_int(SF_I32, SF_RTZ, &flags);
        verdict("fcvtmod.w", f, SF_RTZ, a, got, e.flags, got == want, flags);
    }
    mpz_clear(z);
}

static uint64_t int_source;
static int do_from_signed(mpfr_t r, mpfr_rnd_t rm) { return mpfr_set_sj(r, (int64_t)int_source, rm); }
static int do_from_unsigned(mpfr_t r, mpfr_rnd_t rm) { return mpfr_set_uj(r, int_source, rm); }

static void from_integers(void **state)
{
    static const char *const names[] = {"from.w", "from.wu", "from.l", "from.lu"};

    (void)state;
    for (unsigned pair = 0; pair < 12; pair++) {
        const struct fp_format *f = &fp_formats[pair / 4];
        enum sf_int from = (enum sf_int)(pair % 4);

        for (uint64_t n = share(5, 5); n--;) {
            uint64_t a[3] = {fp_integer(&rng), 0, 0};

            switch (from) {
            case SF_I32: int_source = (uint64_t)(int32_t)a[0]; break;
            case SF_U32: int_source = (uint32_t)a[0]; break;
            default: int_source = a[0]; break;
            }
            for (unsigned rm = 0; rm < 5; rm++) {
                struct sf_env e = {.rm = (uint8_t)rm};
                uint64_t got = sf_from_int(f->id, from, &e, a[0]);
                unsigned want = oracle(f, from == SF_I32 || from == SF_I64 ? do_from_signed : do_from_unsigned, rm);

                verdict(names[from], f, rm, a, got, e.flags, same(f, got), want);
            }
        }
    }
}

static void to_integral_values(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(fp_formats); i++) {
        const struct fp_format *f = &fp_formats[i];

        for (uint64_t n = share(10, 10); n--;) {
            uint64_t a[3] = {fp_operand(&rng, f), 0, 0};
            unsigned nv = raw_is_snan(f, a[0]) ? SF_NV : 0;

            decode(f, a[0], in[0]);
            for (unsigned rm = 0; rm < 5; rm++) {
                struct sf_env quiet = {.rm = (uint8_t)rm}, loud = quiet;
                uint64_t got = sf_round(f->id, &quiet, a[0]), got_nx = sf_roundnx(f->id, &loud, a[0]);
                unsigned nx = integral(rm);

                verdict("fround", f, rm, a, got, quiet.flags, same(f, got), nv);
                verdict("froundnx", f, rm, a, got_nx, loud.flags, same(f, got_nx), nv | nx);
            }
        }
    }
}

static void minimum_and_maximum(void **state)
{
    static const struct arith ops[] = {
        {"fmin", 2, do_min, .fn2 = sf_min},
        {"fmax", 2, do_max, .fn2 = sf_max},
        {"fminm", 2, do_min, .fn2 = sf_minm},
        {"fmaxm", 2, do_max, .fn2 = sf_maxm},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ops) * ARRAY_LEN(fp_formats); i++) {
        const struct arith *op = &ops[i / ARRAY_LEN(fp_formats)];
        const struct fp_format *f = &fp_formats[i % ARRAY_LEN(fp_formats)];

        for (uint64_t n = share(3, 1); n--;) {
            uint64_t a[3] = {fp_operand(&rng, f), 0, 0}, got;
            struct sf_env e = {0};

            a[1] = fp_operand_near(&rng, f, a[0]);
            for (unsigned j = 0; j < 3; j++)
                decode(f, a[j], in[j]);
            got = apply(op, f, &e, a);
            oracle(f, op->mpfr, SF_RNE);
            if ((op->fn2 == sf_minm || op->fn2 == sf_maxm) && (mpfr_nan_p(in[0]) || mpfr_nan_p(in[1])))
                mpfr_set_nan(value);
            verdict(op->name, f, 0, a, got, e.flags, same(f, got), nan_flags(f, op, a));
        }
    }
}

static void comparisons(void **state)
{
    static const struct {
        const char *name;
        sf_fn2 *fn;
        int (*mpfr)(mpfr_srcptr, mpfr_srcptr);
        bool signalling;
    } ops[] = {
        {"feq", sf_eq, mpfr_equal_p, false},       {"flt", sf_lt, mpfr_less_p, true},
        {"fle", sf_le, mpfr_lessequal_p, true},    {"fltq", sf_ltq, mpfr_less_p, false},
        {"fleq", sf_leq, mpfr_lessequal_p, false},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ops) * ARRAY_LEN(fp_formats); i++) {
        const struct fp_format *f = &fp_formats[i % ARRAY_LEN(fp_formats)];
        unsigned o = i / ARRAY_LEN(fp_formats);

        for (uint64_t n = share(3, 1); n--;) {
            uint64_t a[3] = {fp_operand(&rng, f), 0, 0}, got;
            struct sf_env e = {0};
            bool nan, snan;

            a[1] = fp_operand_near(&rng, f, a[0]);
            decode(f, a[0], in[0]);
            decode(f, a[1], in[1]);
            nan = mpfr_nan_p(in[0]) || mpfr_nan_p(in[1]);
            snan = raw_is_snan(f, a[0]) || raw_is_snan(f, a[1]);
            got = ops[o].fn(f->id, &e, a[0], a[1]);
            verdict(ops[o].name, f, 0, a, got, e.flags, got == (uint64_t)(ops[o].mpfr(in[0], in[1]) != 0),
                    snan || (nan && ops[o].signalling) ? SF_NV : 0);
        }
    }
}

static int setup(void **state)
{
    const char *cases = getenv("GUISE_FP_CASES"), *s = getenv("GUISE_FP_SEED");

    (void)state;
    cases_wanted = cases ? strtoull(cases, NULL, 0) : 10500000;
    first_seed = s ? strtoull(s, NULL, 0) : 0;
    if (!first_seed)
        first_seed = 20260101;
    rng.state = first_seed;
    mpfr_inits2(64, in[0], in[1], in[2], value, toward, outward, decoded, (mpfr_ptr)NULL);
    mpfr_init2(wide, WIDE_PREC);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mpfr_clears(in[0], in[1], in[2], value, toward, outward, decoded, wide, (mpfr_ptr)NULL);
    mpfr_free_cache();
    printf("# %" PRIu64 " cases compared with MPFR %s\n", cases_done, mpfr_get_version());
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),          cmocka_unit_test(between_formats), cmocka_unit_test(to_integers),
        cmocka_unit_test(modulo_2_32),         cmocka_unit_test(from_integers),   cmocka_unit_test(to_integral_values),
        cmocka_unit_test(minimum_and_maximum), cmocka_unit_test(comparisons),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
