/*
 * Softfp without rounding: minimum and maximum, comparison, sign injection, classification, FLI's constants.
 */
#include "cpu/riscv/softfp.h"
#include "cpu/riscv/softfp_core.h"

/* Encodings as integers that order as the numbers do; -0 comes just before +0. */
SF_INLINE int64_t order(const struct format *f, uint64_t a)
{
    int64_t magnitude = (int64_t)(a & ~sign_bit(f));

    return a & sign_bit(f) ? ~magnitude : magnitude;
}

SF_INLINE bool both_zero(const struct format *f, uint64_t a, uint64_t b) { return !((a | b) & ~sign_bit(f)); }

enum { MAX = 1, PROPAGATE = 2 }; /* how */

/* F 11.6 and IEEE 754-2019 9.6: -0 < +0; NV for signalling NaNs only. */
SF_INLINE uint64_t pick(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb, int how)
{
    struct num a = unpack(f, ra), b = unpack(f, rb);

    if (is_nan(a) || is_nan(b)) {
        uint64_t nan = nan2(f, e, a, b);

        if ((is_nan(a) && is_nan(b)) || how & PROPAGATE)
            return nan;
        return is_nan(a) ? rb : ra;
    }
    return (order(f, ra) < order(f, rb)) == !(how & MAX) ? ra : rb;
}

uint64_t sf_min(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, pick, e, a, b, 0)} uint64_t
    sf_max(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, pick, e, a, b, MAX)} uint64_t
    sf_minm(enum sf_fmt f, struct sf_env *e, uint64_t a,
            uint64_t b){SF_PER_FORMAT(f, pick, e, a, b, PROPAGATE)} uint64_t
    sf_maxm(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b)
{
    SF_PER_FORMAT(f, pick, e, a, b, MAX | PROPAGATE)
}

enum compare { EQUAL, LESS, LESS_EQUAL };

SF_INLINE uint64_t compare(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb, enum compare op,
                           bool signalling)
{
    struct num a = unpack(f, ra), b = unpack(f, rb);
    bool equal = ra == rb || both_zero(f, ra, rb);

    if (is_nan(a) || is_nan(b)) {
        if (signalling || a.kind == SNAN || b.kind == SNAN)
            e->flags |= SF_NV;
        return 0;
    }
    if (op == EQUAL || equal)
        return equal && op != LESS;
    return order(f, ra) < order(f, rb);
}

uint64_t sf_eq(enum sf_fmt f, struct sf_env *e, uint64_t a,
               uint64_t b){SF_PER_FORMAT(f, compare, e, a, b, EQUAL, false)}

uint64_t sf_lt(enum sf_fmt f, struct sf_env *e, uint64_t a,
               uint64_t b){SF_PER_FORMAT(f, compare, e, a, b, LESS, true)} uint64_t
    sf_le(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, compare, e, a, b, LESS_EQUAL, true)}

uint64_t
    sf_ltq(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, compare, e, a, b, LESS, false)}

uint64_t sf_leq(enum sf_fmt f, struct sf_env *e, uint64_t a,
                uint64_t b){SF_PER_FORMAT(f, compare, e, a, b, LESS_EQUAL, false)}

/* a with its sign replaced by that of b, flipped by `flip` (or mixed with its own by mix). NaNs are nothing special. */
SF_INLINE uint64_t sign_from(const struct format *f, uint64_t a, uint64_t b, uint64_t flip)
{
    return (a & ~sign_bit(f)) | ((b ^ flip) & sign_bit(f));
}

uint64_t sf_sgnj(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b)
{
    (void)e;
    SF_PER_FORMAT(f, sign_from, a, b, 0)
}

uint64_t sf_sgnjn(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b)
{
    (void)e;
    SF_PER_FORMAT(f, sign_from, a, b, ~UINT64_C(0))
}

uint64_t sf_sgnjx(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b)
{
    (void)e;
    SF_PER_FORMAT(f, sign_from, a, b, a)
}

/* F 11.9, table of FCLASS: bit 0 -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, sNaN, qNaN. */
SF_INLINE uint64_t classify(const struct format *f, uint64_t ra)
{
    struct num a = unpack(f, ra);
    unsigned outward = 0; /* from zero, in table positions */

    switch (a.kind) {
    case SNAN: return 1 << 8;
    case QNAN: return 1 << 9;
    case INF: outward = 3; break;
    case FINITE: outward = a.exp < 1 - f->bias ? 1 : 2; break;
    case ZERO: break;
    }
    return UINT64_C(1) << (a.sign ? 3 - outward : 4 + outward);
}

uint64_t sf_class(enum sf_fmt f, struct sf_env *e, uint64_t a)
{
    (void)e;
    SF_PER_FORMAT(f, classify, a)
}

/* Zfa, table of FLI: sixteenths-exact numbers as binary64; 1 and 31 depend on the format. */
uint64_t sf_constant(enum sf_fmt f, unsigned n)
{
    static const uint16_t top[32] = {
        /* bits 63..48 of the binary64 number; the rest is 0 */
        0xbff0, 0,      0x3ef0, 0x3f00, 0x3f70, 0x3f80, 0x3fb0, 0x3fc0, 0x3fd0, 0x3fd4, 0x3fd8,
        0x3fdc, 0x3fe0, 0x3fe4, 0x3fe8, 0x3fec, 0x3ff0, 0x3ff4, 0x3ff8, 0x3ffc, 0x4000, 0x4004,
        0x4008, 0x4010, 0x4020, 0x4030, 0x4060, 0x4070, 0x40e0, 0x40f0, 0x7ff0, 0x7ff8,
    };
    static const uint64_t min_normal[] = {
        [SF_S] = UINT64_C(1) << 23, [SF_D] = UINT64_C(1) << 52, [SF_H] = UINT64_C(1) << 10};
    struct sf_env e = {.rm = SF_RNE};

    if (n == 1)
        return min_normal[f];
    return sf_cvt(SF_D, f, &e, (uint64_t)top[n & 31] << 48);
}
