/* M: multiplication and division (unprivileged specification, "M"). Division never traps. */
#include "cpu/riscv/exec.h"

static uint64_t mulhu(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t mid = ah * bl + (al * bl >> 32);
    uint64_t mid2 = al * bh + (uint32_t)mid;

    return ah * bh + (mid >> 32) + (mid2 >> 32);
}

/* A negative factor counts 2^64 too much times the other. */
static uint64_t mulhsu(uint64_t a, uint64_t b) { return mulhu(a, b) - ((int64_t)a < 0 ? b : 0); }
static uint64_t mulh(uint64_t a, uint64_t b) { return mulhsu(a, b) - ((int64_t)b < 0 ? a : 0); }

static int64_t div_s(int64_t a, int64_t b)
{
    if (b == 0)
        return -1;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b; /* the smallest number over -1 is itself */
}

static int64_t rem_s(int64_t a, int64_t b)
{
    if (b == 0)
        return a;
    return b == -1 ? 0 : a % b;
}

static uint64_t div_u(uint64_t a, uint64_t b) { return b ? a / b : UINT64_MAX; }
static uint64_t rem_u(uint64_t a, uint64_t b) { return b ? a % b : a; }

EXEC(mul) { return set(c, i, S1 * S2); }
EXEC(mulh) { return set(c, i, mulh(S1, S2)); }
EXEC(mulhsu) { return set(c, i, mulhsu(S1, S2)); }
EXEC(mulhu) { return set(c, i, mulhu(S1, S2)); }
EXEC(div) { return set(c, i, (uint64_t)div_s((int64_t)S1, (int64_t)S2)); }
EXEC(divu) { return set(c, i, div_u(S1, S2)); }
EXEC(rem) { return set(c, i, (uint64_t)rem_s((int64_t)S1, (int64_t)S2)); }
EXEC(remu) { return set(c, i, rem_u(S1, S2)); }
EXEC(mulw) { return setw(c, i, S1 * S2); }
EXEC(divw) { return setw(c, i, (uint64_t)div_s((int32_t)S1, (int32_t)S2)); }
EXEC(divuw) { return setw(c, i, div_u((uint32_t)S1, (uint32_t)S2)); }
EXEC(remw) { return setw(c, i, (uint64_t)rem_s((int32_t)S1, (int32_t)S2)); }
EXEC(remuw) { return setw(c, i, rem_u((uint32_t)S1, (uint32_t)S2)); }
