/*
 * The helpers of generated code, and the one table that names them.
 */
#include "translator/helper.h"

#include <ffi.h>

#include "base/bits.h"
#include "cpu/isa.h"
#include "cpu/vcpu.h"
#include "translator/ir.h"

const struct helper_info helpers[HELPERS] = {
#define HELPER(name, args, faults, text) [HELPER_##name] = {#name, args, faults, (void (*)(void))helper_##name},
#include "translator/helper.def"
#undef HELPER
};

/* The call is described anew each time: ffi_prep_cif is cheap beside the ffi_call, and it keeps no state between machines. */
uint64_t helper_call(enum helper h, struct vcpu *v, const uint64_t args[MAX_HELPER_ARGS])
{
    ffi_type *types[1 + MAX_HELPER_ARGS] = {&ffi_type_pointer, &ffi_type_uint64, &ffi_type_uint64, &ffi_type_uint64};
    uint64_t copy[MAX_HELPER_ARGS] = {args[0], args[1], args[2]};
    void *values[1 + MAX_HELPER_ARGS] = {&v, &copy[0], &copy[1], &copy[2]};
    ffi_cif cif;
    uint64_t result = 0;

    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1 + helpers[h].args, &ffi_type_uint64, types) == FFI_OK)
        ffi_call(&cif, helpers[h].fn, &result, values);
    return result;
}

unsigned mem_size(unsigned m)
{
    static const uint8_t sizes[] = {
        [IR_8U] = 1, [IR_8S] = 1, [IR_16U] = 2, [IR_16S] = 2, [IR_32U] = 4, [IR_32S] = 4, [IR_64] = 8};

    return sizes[m];
}

uint64_t mem_extend(unsigned m, uint64_t v)
{
    switch (m) {
    case IR_8U: return (uint8_t)v;
    case IR_8S: return (uint64_t)(int64_t)(int8_t)v;
    case IR_16U: return (uint16_t)v;
    case IR_16S: return (uint64_t)(int64_t)(int16_t)v;
    case IR_32U: return (uint32_t)v;
    case IR_32S: return (uint64_t)(int64_t)(int32_t)v;
    default: return v;
    }
}

uint64_t helper_load(struct vcpu *v, uint64_t a, uint64_t b)
{
    uint64_t val = 0;

    return vcpu_load(v, a, mem_size((unsigned)b), &val) ? mem_extend((unsigned)b, val) : 0;
}

uint64_t helper_store(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c)
{
    vcpu_store(v, a, mem_size((unsigned)c), b);
    return 0;
}

uint64_t helper_loadf(struct vcpu *v, uint64_t a, uint64_t b)
{
    unsigned size = mem_size((unsigned)b);
    uint64_t val = 0;

    if (!vcpu_load(v, a, size, &val))
        return 0;
    return size == 8 ? val : size == 4 ? val | UINT64_C(0xffffffff) << 32 : val | ~UINT64_C(0) << 16;
}

/* What `op` leaves in memory where it held `old`; both sign-extended from the access's width. */
static uint64_t amo_result(unsigned op, unsigned mem, uint64_t old, uint64_t b)
{
    bool narrow = mem == IR_32S;
    uint64_t uo = narrow ? (uint32_t)old : old, ub = narrow ? (uint32_t)b : b;

    b = mem_extend(mem, b);
    switch (op) {
    case AMO_SWAP: return b;
    case AMO_ADD: return old + b;
    case AMO_XOR: return old ^ b;
    case AMO_AND: return old & b;
    case AMO_OR: return old | b;
    case AMO_MIN: return (int64_t)old < (int64_t)b ? old : b;
    case AMO_MAX: return (int64_t)old > (int64_t)b ? old : b;
    case AMO_MINU: return uo < ub ? old : b;
    default: return uo > ub ? old : b;
    }
}

uint64_t amo_apply(void *host, unsigned mem, unsigned op, uint64_t operand)
{
    if (mem == IR_32S) {
        uint32_t *p = host, old = __atomic_load_n(p, __ATOMIC_SEQ_CST);

        while (!__atomic_compare_exchange_n(p, &old, (uint32_t)amo_result(op, mem, mem_extend(mem, old), operand),
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
        return mem_extend(mem, old);
    }
    uint64_t *p = host, old = __atomic_load_n(p, __ATOMIC_SEQ_CST);

    while (!__atomic_compare_exchange_n(p, &old, amo_result(op, mem, old, operand), false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    return old;
}

uint64_t helper_amo(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c)
{
    unsigned mem = c & 0xff;
    void *host = v->isa->amo_host(v, a, mem_size(mem));

    return host ? amo_apply(host, mem, (unsigned)(c >> 8), b) : 0;
}

uint64_t helper_lr(struct vcpu *v, uint64_t a, uint64_t b)
{
    uint64_t val = 0;

    return v->isa->lr(v, a, mem_size((unsigned)b), &val) ? val : 0;
}

uint64_t helper_sc(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t fail = 1;

    return v->isa->sc(v, a, mem_size((unsigned)c), b, &fail) ? fail : 1;
}

uint64_t helper_exec(struct vcpu *v, uint64_t a) { return v->isa->exec(v, (const void *)(uintptr_t)a); }

static uint64_t brev8(uint64_t a)
{
    a = (a & UINT64_C(0x5555555555555555)) << 1 | (a >> 1 & UINT64_C(0x5555555555555555));
    a = (a & UINT64_C(0x3333333333333333)) << 2 | (a >> 2 & UINT64_C(0x3333333333333333));
    return (a & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4 | (a >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f));
}

/*
 * Carry-less products, by ordinary ones of every fourth bit: at most 15 ones meet in a place of the low half, so that carries
 * stay below the next bit that counts (in the top place 16 may, and the carry leaves the word). Linux makes its CRCs with these.
 */
static uint64_t clmul(uint64_t a, uint64_t b)
{
    const uint64_t every4th = UINT64_C(0x1111111111111111);
    uint64_t r = 0;

    for (unsigned n = 0; n < 4; n++) {
        uint64_t sum = 0;

        for (unsigned k = 0; k < 4; k++)
            sum ^= (a & every4th << k) * (b & every4th << ((n - k) & 3));
        r |= sum & every4th << n;
    }
    return r;
}

static uint64_t reversed(uint64_t a) { return __builtin_bswap64(brev8(a)); }

uint64_t helper_clmul(struct vcpu *v, uint64_t a, uint64_t b)
{
    (void)v;
    return clmul(a, b);
}

uint64_t helper_clmulr(struct vcpu *v, uint64_t a, uint64_t b)
{
    (void)v;
    return reversed(clmul(reversed(a), reversed(b)));
}

uint64_t helper_clmulh(struct vcpu *v, uint64_t a, uint64_t b) { return helper_clmulr(v, a, b) >> 1; }

uint64_t helper_brev8(struct vcpu *v, uint64_t a)
{
    (void)v;
    return brev8(a);
}

uint64_t helper_xperm4(struct vcpu *v, uint64_t a, uint64_t b)
{
    uint64_t r = 0;

    (void)v;
    for (unsigned i = 0; i < 64; i += 4)
        r |= (a >> (b >> i & 15) * 4 & 15) << i;
    return r;
}

uint64_t helper_xperm8(struct vcpu *v, uint64_t a, uint64_t b)
{
    uint64_t r = 0;

    (void)v;
    for (unsigned i = 0; i < 64; i += 8)
        if ((b >> i & 0xff) < 8)
            r |= (a >> (b >> i & 7) * 8 & 0xff) << i;
    return r;
}

uint64_t helper_apply(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c)
{
    (void)v;
    return ((uint64_t(*)(uint64_t, uint64_t))(uintptr_t)c)(a, b);
}

uint64_t helper_aes_es(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) { return helper_apply(v, a, b, c); }
uint64_t helper_aes_esm(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) { return helper_apply(v, a, b, c); }
uint64_t helper_aes_ds(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) { return helper_apply(v, a, b, c); }
uint64_t helper_aes_dsm(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) { return helper_apply(v, a, b, c); }
uint64_t helper_aes_im(struct vcpu *v, uint64_t a, uint64_t b, uint64_t c) { return helper_apply(v, a, b, c); }
