#include "tests/unit/fp_operands.h"

const struct fp_format fp_formats[3] = {
    {"S", SF_S, 32, 23, 127},
    {"D", SF_D, 64, 52, 1023},
    {"H", SF_H, 16, 10, 15},
};

uint64_t fp_random(struct fp_rng *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* A fraction with the patterns that make ties, carries and stickies. */
static uint64_t some_frac(struct fp_rng *rng, const struct fp_format *f)
{
    uint64_t m = fp_low_mask(f->frac), r = fp_random(rng);

    switch (fp_random(rng) % 8) {
    case 0: return 0;
    case 1: return m;
    case 2: return (m << (r % f->frac)) & m;
    case 3: return m >> (r % f->frac);
    case 4: return UINT64_C(1) << (r % f->frac);
    case 5: return (m << (r % f->frac) & m) ^ (UINT64_C(1) << ((r >> 8) % f->frac));
    case 6: return (r & 7) ^ (r & 8 ? m : 0);
    default: return r & m;
    }
}

static uint64_t some_exp(struct fp_rng *rng, const struct fp_format *f)
{
    uint64_t r = fp_random(rng), max = fp_exp_max(f), bias = (uint64_t)f->bias;

    switch (fp_random(rng) % 8) {
    case 0: return r % 3;           /* subnormal, smallest normals */
    case 1: return max - 1 - r % 3; /* largest */
    case 2: return r % 16 ? bias - 2 + r % 5 : max;
    case 3: return bias + r % (max - bias < 66 ? max - bias : 66); /* integers */
    case 4: return bias / 2 + r % 5;                               /* products near the smallest normal */
    case 5: return bias * 3 / 2 + r % 5;                           /* and near the largest */
    default: return r % (max + 1);
    }
}

uint64_t fp_operand(struct fp_rng *r, const struct fp_format *f)
{
    uint64_t sign = (fp_random(r) & 1) << (f->bits - 1), e;

    if (fp_random(r) % 8 == 0)
        return fp_random(r) & fp_low_mask(f->bits);
    e = some_exp(r, f);
    return sign | e << f->frac | some_frac(r, f);
}

uint64_t fp_operand_near(struct fp_rng *r, const struct fp_format *f, uint64_t a)
{
    uint64_t e = a >> f->frac & fp_exp_max(f), sign = (fp_random(r) & 1) << (f->bits - 1);

    if (fp_random(r) % 3)
        return fp_operand(r, f);
    e += fp_random(r) % 5 - 2;
    return sign | (e & fp_exp_max(f)) << f->frac | (fp_random(r) & 1 ? some_frac(r, f) : a & fp_low_mask(f->frac));
}

uint64_t fp_addend(struct fp_rng *r, const struct fp_format *f, uint64_t a, uint64_t b)
{
    struct sf_env e = {.rm = (uint8_t)(fp_random(r) % 5)};
    uint64_t nudge = fp_random(r) % 5 - 2, sign = (fp_random(r) & 1) << (f->bits - 1);

    if (fp_random(r) % 2)
        return fp_operand(r, f);
    return (sf_mul(f->id, &e, a, b) + nudge + sign) & fp_low_mask(f->bits);
}

uint64_t fp_integer(struct fp_rng *rng)
{
    uint64_t r = fp_random(rng), v = fp_random(rng) >> (r % 64);

    switch (r >> 8 & 7) {
    case 0: v = UINT64_C(1) << (r % 64); break;
    case 1: v = (UINT64_C(1) << (r % 64)) - 1; break;
    case 2: v = (UINT64_C(1) << (r % 64)) + (UINT64_C(1) << (r >> 16 & 63)); break;
    case 3: v &= 0xff; break;
    }
    return r >> 32 & 1 ? -v : v;
}
