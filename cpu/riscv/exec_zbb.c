/* Zbb, basic bit manipulation (unprivileged specification, "Zbb"), and the part of it that Zbkb shares. */
#include "cpu/riscv/exec.h"

static uint64_t ror64(uint64_t v, unsigned n) { return v >> (n & 63) | v << (-n & 63); }
static uint32_t ror32(uint32_t v, unsigned n) { return v >> (n & 31) | v << (-n & 31); }

static uint64_t orc_b(uint64_t v)
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 64; n += 8)
        if (v >> n & 0xff)
            r |= UINT64_C(0xff) << n;
    return r;
}

EXEC(andn) { return set(c, i, S1 & ~S2); }
EXEC(orn) { return set(c, i, S1 | ~S2); }
EXEC(xnor) { return set(c, i, ~(S1 ^ S2)); }
EXEC(rol) { return set(c, i, ror64(S1, 64 - (S2 & 63))); }
EXEC(ror) { return set(c, i, ror64(S1, S2 & 63)); }
EXEC(rori) { return set(c, i, ror64(S1, (unsigned)i->imm)); }
EXEC(rolw) { return setw(c, i, ror32((uint32_t)S1, 32 - (S2 & 31))); }
EXEC(rorw) { return setw(c, i, ror32((uint32_t)S1, S2 & 31)); }
EXEC(roriw) { return setw(c, i, ror32((uint32_t)S1, (unsigned)i->imm)); }
EXEC(rev8) { return set(c, i, __builtin_bswap64(S1)); }
EXEC(clz) { return set(c, i, S1 ? (uint64_t)__builtin_clzll(S1) : 64); }
EXEC(ctz) { return set(c, i, S1 ? (uint64_t)__builtin_ctzll(S1) : 64); }
EXEC(cpop) { return set(c, i, (uint64_t)__builtin_popcountll(S1)); }
EXEC(clzw) { return set(c, i, (uint32_t)S1 ? (uint64_t)__builtin_clz((uint32_t)S1) : 32); }
EXEC(ctzw) { return set(c, i, (uint32_t)S1 ? (uint64_t)__builtin_ctz((uint32_t)S1) : 32); }
EXEC(cpopw) { return set(c, i, (uint64_t)__builtin_popcount((uint32_t)S1)); }
EXEC(sext_b) { return set(c, i, (uint64_t)(int8_t)S1); }
EXEC(sext_h) { return set(c, i, (uint64_t)(int16_t)S1); }
EXEC(zext_h) { return set(c, i, (uint16_t)S1); }
EXEC(min) { return set(c, i, (int64_t)S1 < (int64_t)S2 ? S1 : S2); }
EXEC(minu) { return set(c, i, S1 < S2 ? S1 : S2); }
EXEC(max) { return set(c, i, (int64_t)S1 < (int64_t)S2 ? S2 : S1); }
EXEC(maxu) { return set(c, i, S1 < S2 ? S2 : S1); }
EXEC(orc_b) { return set(c, i, orc_b(S1)); }
