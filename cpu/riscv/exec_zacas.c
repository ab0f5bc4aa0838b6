/* Zacas (with Zabha): compare and swap (unprivileged specification, "Zacas"). rd holds the value to compare. */
#include "base/atomic.h"
#include "cpu/riscv/atomic.h"
#include "cpu/riscv/exec.h"

#define AMOCAS(suffix, type, sign)                                                                                     \
    EXEC(amocas_##suffix)                                                                                              \
    {                                                                                                                  \
        type *p = rv_amo_target(c, S1, sizeof *p), old = (type)x_get(c, i->rd);                                        \
                                                                                                                       \
        if (!p)                                                                                                        \
            return false;                                                                                              \
        __atomic_compare_exchange_n(p, &old, (type)S2, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                     \
        return set(c, i, (uint64_t)(sign)old);                                                                         \
    }

AMOCAS(b, uint8_t, int8_t)
AMOCAS(h, uint16_t, int16_t)
AMOCAS(w, uint32_t, int32_t)
AMOCAS(d, uint64_t, int64_t)

/* A register pair; the pair of x0 reads as zero in both halves, and is not written. */
static void pair_get(const struct rv *c, unsigned r, uint64_t v[2])
{
    v[0] = x_get(c, r);
    v[1] = r ? x_get(c, r + 1) : 0;
}

EXEC(amocas_q)
{
    uint64_t *p = rv_amo_target(c, S1, 16), old[2], desired[2];

    if (!p)
        return false;
    pair_get(c, i->rd, old);
    pair_get(c, i->rs2, desired);
    cas128(p, old, desired);
    if (i->rd) {
        x_set(c, i->rd, old[0]);
        x_set(c, i->rd + 1u, old[1]);
    }
    return true;
}
