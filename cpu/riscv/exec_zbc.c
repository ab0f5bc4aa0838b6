/* Zbc and Zbkc: carry-less multiplication (unprivileged specification, "Zbc"). */
#include "cpu/riscv/exec.h"

static uint64_t clmul(uint64_t a, uint64_t b)
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 64; n++)
        if (b >> n & 1)
            r ^= a << n;
    return r;
}

/* Bits 126..63 of the 127-bit product; clmulh is bits 127..64. */
static uint64_t clmulr(uint64_t a, uint64_t b)
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 64; n++)
        if (b >> n & 1)
            r ^= a >> (63 - n);
    return r;
}

EXEC(clmul) { return set(c, i, clmul(S1, S2)); }
EXEC(clmulh) { return set(c, i, clmulr(S1, S2) >> 1); }
EXEC(clmulr) { return set(c, i, clmulr(S1, S2)); }
