/*
 * Softfp arithmetic: add, subtract, multiply, divide, square root, fused multiply-add.
 *
 * Every operation computes its result with more bits than the format has, the rest ORed into a sticky bit, and rounds
 * once (round_pack). IEEE 754-2019 sections 5.4.1, 6.1 to 6.3, 7.
 */
#include "cpu/riscv/softfp.h"

#include "cpu/riscv/softfp_core.h"

/* An exact zero sum of operands of opposite signs is +0, but -0 when rounding down. */
SF_INLINE uint64_t zero_sum(const struct format *f, const struct sf_env *e) { return pack_zero(f, e->rm == SF_RDN); }

SF_INLINE uint64_t add_finite(const struct format *f, struct sf_env *e, struct num a, struct num b)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        struct num t = a;

        a = b;
        b = t;
    }
    /* Bits lost here are ten places below the significand's end; then at most one leading place cancels. */
    b.sig = shr_jam(b.sig, (unsigned)(a.exp - b.exp));
    if (a.sign == b.sign)
        return norm_round_pack(f, e, a.sign, a.exp, a.sig + b.sig);
    if (a.sig == b.sig)
        return zero_sum(f, e);
    return norm_round_pack(f, e, a.sign, a.exp, a.sig - b.sig);
}

SF_INLINE uint64_t add(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb)
{
    struct num a = unpack(f, ra), b = unpack(f, rb);

    if (__builtin_expect(a.kind == FINITE && b.kind == FINITE, 1))
        return add_finite(f, e, a, b);
    if (is_nan(a) || is_nan(b))
        return nan2(f, e, a, b);
    if (a.kind == INF)
        return b.kind == INF && a.sign != b.sign ? invalid(f, e) : ra;
    if (b.kind == INF || (a.kind == ZERO && b.kind == FINITE))
        return rb;
    if (a.kind == FINITE || a.sign == b.sign)
        return ra;
    return zero_sum(f, e);
}

uint64_t sf_add(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, add, e, a, b)}

SF_INLINE uint64_t sub(const struct format *f, struct sf_env *e, uint64_t a, uint64_t b)
{
    return add(f, e, a, b ^ sign_bit(f));
}

uint64_t sf_sub(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, sub, e, a, b)}

SF_INLINE uint64_t mul(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb)
{
    struct num a = unpack(f, ra), b = unpack(f, rb);
    bool sign = a.sign != b.sign;

    if (__builtin_expect(a.kind == FINITE && b.kind == FINITE, 1))
        return norm_round_pack128(f, e, sign, a.exp + b.exp, (u128)a.sig * b.sig);
    if (is_nan(a) || is_nan(b))
        return nan2(f, e, a, b);
    if (a.kind == INF || b.kind == INF)
        return a.kind == ZERO || b.kind == ZERO ? invalid(f, e) : pack_inf(f, sign);
    return pack_zero(f, sign);
}

uint64_t sf_mul(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, mul, e, a, b)}

/* The quotient of significands, 2^62 standing for 1, bit 0 sticky. */
SF_INLINE uint64_t quotient(const struct format *f, uint64_t a, uint64_t b)
{
    if (f->frac < 30) { /* the divisor's low 32 bits are 0: one 64-bit division gives 32 bits of quotient */
        uint64_t d = b >> 32, q = a / d;

        return q << 30 | (q * d != a);
    } else {
        u128 n = (u128)a << 62;
        uint64_t q = (uint64_t)(n / b);

        return q | ((u128)q * b != n);
    }
}

SF_INLINE uint64_t quo(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb)
{
    struct num a = unpack(f, ra), b = unpack(f, rb);
    bool sign = a.sign != b.sign;

    if (__builtin_expect(a.kind == FINITE && b.kind == FINITE, 1))
        return norm_round_pack(f, e, sign, a.exp - b.exp, quotient(f, a.sig, b.sig));
    if (is_nan(a) || is_nan(b))
        return nan2(f, e, a, b);
    if (a.kind == b.kind) /* 0/0 or inf/inf */
        return invalid(f, e);
    if (a.kind == INF)
        return pack_inf(f, sign);
    if (b.kind == ZERO) {
        e->flags |= SF_DZ;
        return pack_inf(f, sign);
    }
    return pack_zero(f, sign);
}

uint64_t sf_div(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b){SF_PER_FORMAT(f, quo, e, a, b)}

/*
 * The root of x, 2^60 standing for 1 and 1 <= x < 4, digit by digit: with y the root so far and d the digit tried,
 * (y + d)^2 <= x means 2y + d <= (x - y^2) / d. That quotient is kept in rest, doubled as d halves; it stays below 8.
 */
SF_INLINE uint64_t root(const struct format *f, uint64_t x)
{
    uint64_t y = 0, rest = x, d = UINT64_C(1) << 60;

    for (unsigned i = 0; i < f->frac + 3; i++) {
        uint64_t t = 2 * y + d, take = -(uint64_t)(t <= rest);

        rest = (rest - (t & take)) << 1;
        y += d & take;
        d >>= 1;
    }
    return y << 2 | (rest != 0);
}

SF_INLINE uint64_t square_root(const struct format *f, struct sf_env *e, uint64_t ra)
{
    struct num a = unpack(f, ra);

    if (is_nan(a))
        return nan1(f, e, a);
    if (a.kind == ZERO)
        return ra;
    if (a.sign)
        return invalid(f, e);
    if (a.kind == INF)
        return ra;
    /* The exponent must be even; the significand's low ten bits are 0. */
    return round_pack(f, e, false, a.exp >> 1, root(f, a.exp & 1 ? a.sig >> 1 : a.sig >> 2));
}

uint64_t sf_sqrt(enum sf_fmt f, struct sf_env *e, uint64_t a){SF_PER_FORMAT(f, square_root, e, a)}

/* Product (exact, 2^124 standing for 1) plus c. */
SF_INLINE uint64_t add_product(const struct format *f, struct sf_env *e, bool sign, int exp, u128 p, struct num c)
{
    u128 s = (u128)c.sig << 62;

    /* The low 20 bits of both are 0: bits are lost only where at most one leading place can cancel. */
    if (exp > c.exp) {
        s = shr_jam128(s, (unsigned)(exp - c.exp));
    } else {
        p = shr_jam128(p, (unsigned)(c.exp - exp));
        exp = c.exp;
    }
    if (sign == c.sign)
        return norm_round_pack128(f, e, sign, exp, p + s);
    if (p == s)
        return zero_sum(f, e);
    return p > s ? norm_round_pack128(f, e, sign, exp, p - s) : norm_round_pack128(f, e, c.sign, exp, s - p);
}

/* Both signs are flipped before the only rounding, as if the operands had come so. */
SF_INLINE uint64_t mul_add(const struct format *f, struct sf_env *e, uint64_t ra, uint64_t rb, uint64_t rc, bool neg)
{
    struct num a = unpack(f, ra), b = unpack(f, rb), c = unpack(f, rc);
    bool sign = a.sign ^ b.sign ^ neg;

    if (__builtin_expect(a.kind == FINITE && b.kind == FINITE && c.kind == FINITE, 1))
        return add_product(f, e, sign, a.exp + b.exp, (u128)a.sig * b.sig, c);
    /* F 11.6: inf * 0 + NaN raises NV even if the NaN is quiet. */
    if ((a.kind == INF && b.kind == ZERO) || (a.kind == ZERO && b.kind == INF) || c.kind == SNAN)
        return invalid(f, e);
    if (is_nan(a) || is_nan(b) || is_nan(c))
        return nan2(f, e, a, b);
    if (a.kind == INF || b.kind == INF)
        return c.kind == INF && c.sign != sign ? invalid(f, e) : pack_inf(f, sign);
    if (c.kind == INF)
        return rc;
    if (a.kind == FINITE && b.kind == FINITE) /* c is 0 */
        return norm_round_pack128(f, e, sign, a.exp + b.exp, (u128)a.sig * b.sig);
    if (c.kind == ZERO && c.sign != sign)
        return zero_sum(f, e);
    return rc;
}

SF_INLINE uint64_t fmsub(const struct format *f, struct sf_env *e, uint64_t a, uint64_t b, uint64_t c, bool neg)
{
    return mul_add(f, e, a, b, c ^ sign_bit(f), neg);
}

uint64_t sf_madd(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b,
                 uint64_t c){SF_PER_FORMAT(f, mul_add, e, a, b, c, false)}

uint64_t sf_msub(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b,
                 uint64_t c){SF_PER_FORMAT(f, fmsub, e, a, b, c, false)}

uint64_t sf_nmsub(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b,
                  uint64_t c){SF_PER_FORMAT(f, mul_add, e, a, b, c, true)}

uint64_t sf_nmadd(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b, uint64_t c)
{
    SF_PER_FORMAT(f, fmsub, e, a, b, c, true)
}
