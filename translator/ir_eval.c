/*
 * What the IR's pure integer operations compute (ir.def): one function for constant folding and for host_ir.
 */
#include "translator/ir.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

static uint64_t sx32(uint64_t v) { return (uint64_t)(int64_t)(int32_t)(uint32_t)v; }
static uint64_t sar(uint64_t v, unsigned n) { return (uint64_t)((int64_t)v >> n); }
static uint64_t rol(uint64_t v, unsigned n) { return v << (n & 63) | v >> (-n & 63); }
static uint64_t rol32(uint64_t v, unsigned n)
{
    uint32_t w = (uint32_t)v;

    return sx32((uint32_t)(w << (n & 31)) | w >> (-n & 31));
}

/* RISC-V's answers where C has none: x/0 = -1, x%0 = x, overflow gives the dividend and remainder 0. */
static uint64_t divs(int64_t a, int64_t b)
{
    if (!b)
        return ~UINT64_C(0);
    return a == INT64_MIN && b == -1 ? (uint64_t)a : (uint64_t)(a / b);
}

static uint64_t rems(int64_t a, int64_t b)
{
    if (!b)
        return (uint64_t)a;
    return a == INT64_MIN && b == -1 ? 0 : (uint64_t)(a % b);
}

static uint64_t orc_b(uint64_t v)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 64; i += 8)
        if (v >> i & 0xff)
            r |= UINT64_C(0xff) << i;
    return r;
}

static uint64_t eval_divide(enum ir_op op, uint64_t a, uint64_t b)
{
    uint32_t wa = (uint32_t)a, wb = (uint32_t)b;

    switch (op) {
    case IR_divs: return divs((int64_t)a, (int64_t)b);
    case IR_rems: return rems((int64_t)a, (int64_t)b);
    case IR_divu: return b ? a / b : ~UINT64_C(0);
    case IR_remu: return b ? a % b : a;
    case IR_divs32: return sx32(divs((int32_t)wa, (int32_t)wb));
    case IR_rems32: return sx32(rems((int32_t)wa, (int32_t)wb));
    case IR_divu32: return wb ? sx32(wa / wb) : ~UINT64_C(0);
    default: return wb ? sx32(wa % wb) : sx32(wa);
    }
}

static uint64_t eval_unary(enum ir_op op, uint64_t a)
{
    uint32_t w = (uint32_t)a;

    switch (op) {
    case IR_sext8: return (uint64_t)(int64_t)(int8_t)a;
    case IR_sext16: return (uint64_t)(int64_t)(int16_t)a;
    case IR_sext32: return sx32(a);
    case IR_zext8: return (uint8_t)a;
    case IR_zext16: return (uint16_t)a;
    case IR_zext32: return w;
    case IR_clz: return a ? (uint64_t)__builtin_clzll(a) : 64;
    case IR_ctz: return a ? (uint64_t)__builtin_ctzll(a) : 64;
    case IR_popcnt: return (uint64_t)__builtin_popcountll(a);
    case IR_clz32: return w ? (uint64_t)__builtin_clz(w) : 32;
    case IR_ctz32: return w ? (uint64_t)__builtin_ctz(w) : 32;
    case IR_popcnt32: return (uint64_t)__builtin_popcount(w);
    case IR_bswap: return __builtin_bswap64(a);
    default: return orc_b(a);
    }
}

uint64_t ir_eval(enum ir_op op, uint64_t a, uint64_t b, uint64_t c)
{
    unsigned n = b & 63, n32 = b & 31;

    switch (op) {
    case IR_add: return a + b;
    case IR_sub: return a - b;
    case IR_and: return a & b;
    case IR_or: return a | b;
    case IR_xor: return a ^ b;
    case IR_andn: return a & ~b;
    case IR_orn: return a | ~b;
    case IR_xnor: return ~(a ^ b);
    case IR_shl: return a << n;
    case IR_shr: return a >> n;
    case IR_sar: return sar(a, n);
    case IR_rol: return rol(a, n);
    case IR_ror: return rol(a, -n & 63);
    case IR_add32: return sx32(a + b);
    case IR_sub32: return sx32(a - b);
    case IR_shl32: return sx32(a << n32);
    case IR_shr32: return sx32((uint32_t)a >> n32);
    case IR_sar32: return sar(sx32(a), n32);
    case IR_rol32: return rol32(a, n32);
    case IR_ror32: return rol32(a, -n32 & 31);
    case IR_mul: return a * b;
    case IR_mul32: return sx32(a * b);
    case IR_mulhs: return (uint64_t)((int128)(int64_t)a * (int64_t)b >> 64);
    case IR_mulhu: return (uint64_t)((uint128)a * b >> 64);
    case IR_mulhsu: return (uint64_t)((int128)(int64_t)a * (int128)(uint128)b >> 64);
    case IR_divs:
    case IR_divu:
    case IR_rems:
    case IR_remu:
    case IR_divs32:
    case IR_divu32:
    case IR_rems32:
    case IR_remu32: return eval_divide(op, a, b);
    case IR_mins: return (int64_t)a < (int64_t)b ? a : b;
    case IR_maxs: return (int64_t)a < (int64_t)b ? b : a;
    case IR_minu: return a < b ? a : b;
    case IR_maxu: return a < b ? b : a;
    case IR_sel: return a ? b : c;
    default: return eval_unary(op, a);
    }
}

bool ir_holds(enum ir_cond c, uint64_t a, uint64_t b)
{
    switch (c) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LT: return (int64_t)a < (int64_t)b;
    case IR_GE: return (int64_t)a >= (int64_t)b;
    case IR_LTU: return a < b;
    case IR_GEU: return a >= b;
    }
    return false;
}
