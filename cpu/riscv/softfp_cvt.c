/*
 * Softfp conversions: between formats, to and from integers, to integral values.
 */
#include "cpu/riscv/softfp.h"
#include "cpu/riscv/softfp_core.h"

SF_INLINE uint64_t pack_num(const struct format *f, struct sf_env *e, struct num a)
{
    switch (a.kind) {
    case ZERO: return pack_zero(f, a.sign);
    case FINITE: return round_pack(f, e, a.sign, a.exp, a.sig);
    case INF: return pack_inf(f, a.sign);
    default: return nan1(f, e, a);
    }
}

static struct num unpack_any(enum sf_fmt f, uint64_t a){SF_PER_FORMAT(f, unpack, a)}

uint64_t sf_cvt(enum sf_fmt from, enum sf_fmt to, struct sf_env *e, uint64_t a)
{
    struct num n = unpack_any(from, a);

    SF_PER_FORMAT(to, pack_num, e, n)
}

/* The magnitude of the finite a rounded to an integer; a.exp <= 63. */
static uint64_t integral(struct num a, uint8_t rm, bool *inexact)
{
    uint64_t sig = a.sig;
    unsigned cut;

    *inexact = false;
    if (a.exp >= 62)
        return sig << (a.exp - 62);
    cut = (unsigned)(62 - a.exp);
    if (cut > 62) { /* below 1: keep two places, half and sticky, at the top */
        sig = shr_jam(sig, cut - 62);
        cut = 62;
    }
    *inexact = (sig & ((UINT64_C(1) << cut) - 1)) != 0;
    return round_off(rm, a.sign, sig, cut);
}

uint64_t sf_to_int(enum sf_fmt from, enum sf_int to, struct sf_env *e, uint64_t ra)
{
    static const struct {
        uint64_t above, below; /* largest magnitudes of positive and of negative results */
    } limits[] = {
        [SF_I32] = {INT32_MAX, UINT64_C(1) << 31},
        [SF_U32] = {UINT32_MAX, 0},
        [SF_I64] = {INT64_MAX, UINT64_C(1) << 63},
        [SF_U64] = {UINT64_MAX, 0},
    };
    struct num a = unpack_any(from, ra);
    bool negative = a.sign && !is_nan(a), inexact = false, fits = a.kind == ZERO;
    uint64_t limit = negative ? limits[to].below : limits[to].above, mag = 0;

    if (a.kind == FINITE && a.exp <= 63) {
        mag = integral(a, e->rm, &inexact);
        fits = mag <= limit;
    }
    if (!fits) {
        e->flags |= SF_NV;
        mag = limit;
    } else if (inexact) {
        e->flags |= SF_NX;
    }
    if (negative)
        mag = -mag;
    return to == SF_I32 || to == SF_U32 ? (uint64_t)(int32_t)mag : mag;
}

uint64_t sf_to_i32_mod(struct sf_env *e, uint64_t ra)
{
    struct num a = unpack(&sf_d, ra);
    struct sf_env trunc = {.rm = SF_RTZ};
    bool inexact;
    uint64_t mag = 0;

    sf_to_int(SF_D, SF_I32, &trunc, ra); /* for its flags */
    e->flags |= trunc.flags;
    if (a.kind == FINITE && a.exp <= 62)
        mag = integral(a, SF_RTZ, &inexact);
    else if (a.kind == FINITE && a.exp < 62 + 32)
        mag = a.sig << (a.exp - 62);
    return (uint64_t)(int32_t)(a.sign ? -mag : mag);
}

SF_INLINE uint64_t pack_int(const struct format *f, struct sf_env *e, bool sign, uint64_t mag)
{
    return mag ? norm_round_pack(f, e, sign, 62, mag) : 0;
}

uint64_t sf_from_int(enum sf_fmt to, enum sf_int from, struct sf_env *e, uint64_t v)
{
    bool sign;

    if (from == SF_I32)
        v = (uint64_t)(int32_t)v;
    else if (from == SF_U32)
        v = (uint32_t)v;
    sign = (from == SF_I32 || from == SF_I64) && v >> 63;
    if (sign)
        v = -v;
    SF_PER_FORMAT(to, pack_int, e, sign, v)
}

SF_INLINE uint64_t to_integral(const struct format *f, struct sf_env *e, uint64_t ra, bool raise_nx)
{
    struct num a = unpack(f, ra);
    bool inexact;
    uint64_t mag;

    if (is_nan(a))
        return nan1(f, e, a);
    if (a.kind != FINITE || a.exp >= (int)f->frac)
        return ra;
    mag = integral(a, e->rm, &inexact);
    if (inexact && raise_nx)
        e->flags |= SF_NX;
    return mag ? norm_round_pack(f, e, a.sign, 62, mag) : pack_zero(f, a.sign);
}

uint64_t sf_round(enum sf_fmt f, struct sf_env *e, uint64_t a){SF_PER_FORMAT(f, to_integral, e, a, false)} uint64_t
    sf_roundnx(enum sf_fmt f, struct sf_env *e, uint64_t a)
{
    SF_PER_FORMAT(f, to_integral, e, a, true)
}
