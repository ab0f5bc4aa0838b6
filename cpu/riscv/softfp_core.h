/*
 * What the softfp files share: unpack, round, pack. Private to them.
 *
 * Each operation is written once over `const struct format *` and instantiated by SF_PER_FORMAT with a constant, so
 * that the compiler makes three tight versions of it. A finite number is sig * 2^(exp - 62) with the leading one of
 * sig in bit 62: one bit of headroom for carries, and at least ten bits below the significand for guard and sticky.
 */
#ifndef CPU_RISCV_SOFTFP_CORE_H
#define CPU_RISCV_SOFTFP_CORE_H

#include "cpu/riscv/softfp.h"

#define SF_INLINE static inline __attribute__((always_inline))

typedef unsigned __int128 u128;

struct format {
    unsigned bits, frac; /* width; bits of the fraction field */
    int bias;
};

static const struct format sf_s = {32, 23, 127}, sf_d = {64, 52, 1023}, sf_h = {16, 10, 15};

#define SF_PER_FORMAT(fmt, fn, ...)                                                                                    \
    switch (fmt) {                                                                                                     \
    case SF_S: return fn(&sf_s, __VA_ARGS__);                                                                          \
    case SF_H: return fn(&sf_h, __VA_ARGS__);                                                                          \
    default: return fn(&sf_d, __VA_ARGS__);                                                                            \
    }

enum sf_kind { ZERO, FINITE, INF, QNAN, SNAN };

struct num {
    enum sf_kind kind;
    bool sign;
    int exp;
    uint64_t sig;
};

SF_INLINE uint64_t frac_mask(const struct format *f) { return (UINT64_C(1) << f->frac) - 1; }
SF_INLINE uint64_t exp_max(const struct format *f) { return (uint64_t)(2 * f->bias + 1); }
SF_INLINE uint64_t sign_bit(const struct format *f) { return UINT64_C(1) << (f->bits - 1); }

SF_INLINE uint64_t pack_zero(const struct format *f, bool sign) { return sign ? sign_bit(f) : 0; }
SF_INLINE uint64_t pack_inf(const struct format *f, bool sign) { return pack_zero(f, sign) | exp_max(f) << f->frac; }
SF_INLINE uint64_t pack_nan(const struct format *f) { return exp_max(f) << f->frac | UINT64_C(1) << (f->frac - 1); }

SF_INLINE uint64_t invalid(const struct format *f, struct sf_env *e)
{
    e->flags |= SF_NV;
    return pack_nan(f);
}

SF_INLINE bool is_nan(struct num n) { return n.kind >= QNAN; }

/* The result of an operation with the NaN a, or with one among a and b. */
SF_INLINE uint64_t nan1(const struct format *f, struct sf_env *e, struct num a)
{
    return a.kind == SNAN ? invalid(f, e) : pack_nan(f);
}
SF_INLINE uint64_t nan2(const struct format *f, struct sf_env *e, struct num a, struct num b)
{
    return a.kind == SNAN ? invalid(f, e) : nan1(f, e, b);
}

SF_INLINE struct num unpack(const struct format *f, uint64_t a)
{
    uint64_t frac = a & frac_mask(f), field = a >> f->frac & exp_max(f);
    struct num n = {.sign = a >> (f->bits - 1) & 1};

    if (field == exp_max(f)) {
        n.kind = !frac ? INF : frac >> (f->frac - 1) ? QNAN : SNAN;
    } else if (field) {
        n.kind = FINITE;
        n.exp = (int)field - f->bias;
        n.sig = (frac | UINT64_C(1) << f->frac) << (62 - f->frac);
    } else if (frac) {
        int up = __builtin_clzll(frac) - 1;

        n.kind = FINITE;
        n.exp = 1 - f->bias + 62 - (int)f->frac - up;
        n.sig = frac << up;
    }
    return n;
}

/* Shift right; bits lost leave a one in bit 0. */
SF_INLINE uint64_t shr_jam(uint64_t v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 63)
        return v != 0;
    return v >> n | (v << (64 - n) != 0);
}

SF_INLINE u128 shr_jam128(u128 v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | (v << (128 - n) != 0);
}

/* What to add below the last kept bit, of n bits cut off; a tie to even is corrected by the caller. */
SF_INLINE uint64_t round_increment(uint8_t rm, bool sign, unsigned n)
{
    switch (rm) {
    case SF_RTZ: return 0;
    case SF_RDN: return sign ? (UINT64_C(1) << n) - 1 : 0;
    case SF_RUP: return sign ? 0 : (UINT64_C(1) << n) - 1;
    default: return UINT64_C(1) << (n - 1);
    }
}

/* sig without its n low bits, rounded; sig < 2^63. */
SF_INLINE uint64_t round_off(uint8_t rm, bool sign, uint64_t sig, unsigned n)
{
    uint64_t r = (sig + round_increment(rm, sign, n)) >> n;

    if (rm == SF_RNE && (sig & ((UINT64_C(1) << n) - 1)) == UINT64_C(1) << (n - 1))
        r &= ~UINT64_C(1);
    return r;
}

/* Round to f: sig in [2^62, 2^63), bit 0 sticky. Raises NX, OF, UF. */
SF_INLINE uint64_t round_pack(const struct format *f, struct sf_env *e, bool sign, int exp, uint64_t sig)
{
    unsigned cut = 62 - f->frac;
    int field = exp + f->bias;
    bool tiny = false;
    uint64_t r;

    if (field < 1) {
        /* Tiny unless rounding with unbounded exponent reaches the smallest normal number. */
        tiny = field < 0 || sig + round_increment(e->rm, sign, cut) < UINT64_C(1) << 63;
        sig = shr_jam(sig, (unsigned)(1 - field));
        field = 1;
    }
    /* The leading one of a normal significand counts 1 into the exponent field, as does a carry out of rounding. */
    r = ((uint64_t)(field - 1) << f->frac) + round_off(e->rm, sign, sig, cut);
    if (field >= (int)exp_max(f) || r >= exp_max(f) << f->frac) {
        e->flags |= SF_OF | SF_NX;
        r = exp_max(f) << f->frac;
        if (e->rm == SF_RTZ || e->rm == (sign ? SF_RUP : SF_RDN))
            r--; /* the largest finite number */
    } else if (sig & ((UINT64_C(1) << cut) - 1)) {
        e->flags |= tiny ? SF_UF | SF_NX : SF_NX;
    }
    return r | pack_zero(f, sign);
}

/* The same for any sig but 0. */
SF_INLINE uint64_t norm_round_pack(const struct format *f, struct sf_env *e, bool sign, int exp, uint64_t sig)
{
    int up = __builtin_clzll(sig) - 1;

    return round_pack(f, e, sign, exp - up, up < 0 ? shr_jam(sig, 1) : sig << up);
}

/* The same for sig * 2^(exp - 124). */
SF_INLINE uint64_t norm_round_pack128(const struct format *f, struct sf_env *e, bool sign, int exp, u128 sig)
{
    uint64_t high = (uint64_t)(sig >> 64);
    int top = high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)sig);

    sig = top > 62 ? shr_jam128(sig, (unsigned)(top - 62)) : sig << (62 - top);
    return round_pack(f, e, sign, exp - 124 + top, (uint64_t)sig);
}

#endif
