/* Floating-point operands that find mistakes: ties, carries, subnormals, limits of integers, cancellation, NaNs. */
#ifndef TESTS_UNIT_FP_OPERANDS_H
#define TESTS_UNIT_FP_OPERANDS_H

#include "cpu/riscv/softfp.h"

struct fp_format {
    const char *name;
    enum sf_fmt id;
    unsigned bits, frac;
    int bias;
};
extern const struct fp_format fp_formats[3]; /* by enum sf_fmt */

struct fp_rng { /* xorshift64*; never 0 */
    uint64_t state;
};
uint64_t fp_random(struct fp_rng *r);

static inline uint64_t fp_low_mask(unsigned n) { return n ? ~UINT64_C(0) >> (64 - n) : 0; }
static inline uint64_t fp_exp_max(const struct fp_format *f) { return (uint64_t)(2 * f->bias + 1); }

uint64_t fp_operand(struct fp_rng *r, const struct fp_format *f);
/* One whose exponent is often near a's, so that sums cancel. */
uint64_t fp_operand_near(struct fp_rng *r, const struct fp_format *f, uint64_t a);
/* One that often nearly cancels the product of a and b. */
uint64_t fp_addend(struct fp_rng *r, const struct fp_format *f, uint64_t a, uint64_t b);
uint64_t fp_integer(struct fp_rng *r);

#endif
