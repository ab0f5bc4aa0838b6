/*
 * A: LR/SC and atomic memory operations (unprivileged specification, "A").
 *
 * A reservation is the virtual address and the value that LR loaded (v->res_addr, res_val). SC succeeds when it names the
 * same address and the value is still there, by compare-and-swap: a write of the same value in between goes unseen.
 * Whatever changes the meaning of the address (trap, xRET) drops the reservation, and so does every SC.
 * LR needs only the right to read. Everything is sequentially consistent, so aq and rl ask for nothing more.
 */
#include "cpu/riscv/atomic.h"

#include "cpu/isa.h"
#include "cpu/riscv/exec.h"
#include "cpu/riscv/mem.h"

void *rv_amo_target(struct rv *c, gva va, unsigned size)
{
    if (va & (size - 1)) {
        rv_trap(c, CAUSE_STORE_MISALIGNED, va);
        return NULL;
    }
    return c->v.isa->amo_host(&c->v, va, size);
}

/* Host address for LR, aligned: RAM with the right to read; else NULL with the trap set. */
static const void *reserve_host(struct rv *c, gva va, unsigned size)
{
    const struct tlb_entry *e = &c->v.ctx->rd[TLB_INDEX(va)];
    struct tlb_page p;

    if (e->tag == (va & PAGE_MASK))
        return (const void *)(uintptr_t)(va + e->addend);
    if (!rv_resolve(c, rv_mask_address(c, va), size, WALK_READ, &p))
        return NULL;
    if (p.host)
        return p.host + (va & ~PAGE_MASK);
    rv_trap(c, CAUSE_LOAD_ACCESS, va); /* no reservations on MMIO */
    return NULL;
}

bool rv_lr(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    struct rv *c = (struct rv *)v;
    const void *host;

    if (va & (size - 1))
        return rv_trap(c, CAUSE_LOAD_MISALIGNED, va);
    host = reserve_host(c, va, size);
    if (!host)
        return false;
    *val = size == 4 ? (uint64_t)(int32_t)__atomic_load_n((const uint32_t *)host, __ATOMIC_SEQ_CST)
                     : __atomic_load_n((const uint64_t *)host, __ATOMIC_SEQ_CST);
    v->res_addr = va;
    v->res_val = *val;
    return true;
}

bool rv_sc(struct vcpu *v, gva va, unsigned size, uint64_t val, uint64_t *fail)
{
    struct rv *c = (struct rv *)v;
    void *host = rv_amo_target(c, va, size);
    bool ours = v->res_addr == va;

    if (!host)
        return false;
    v->res_addr = UINT64_MAX;
    if (size == 4) {
        uint32_t old = (uint32_t)v->res_val;

        ours = ours && __atomic_compare_exchange_n((uint32_t *)host, &old, (uint32_t)val, false, __ATOMIC_SEQ_CST,
                                                   __ATOMIC_SEQ_CST);
    } else {
        uint64_t old = v->res_val;

        ours =
            ours && __atomic_compare_exchange_n((uint64_t *)host, &old, val, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    *fail = !ours;
    return true;
}

static bool lr(struct rv *c, const struct insn *i, unsigned size)
{
    uint64_t v;

    return rv_lr(&c->v, S1, size, &v) && set(c, i, v);
}

static bool sc(struct rv *c, const struct insn *i, unsigned size)
{
    uint64_t fail;

    return rv_sc(&c->v, S1, size, S2, &fail) && set(c, i, fail);
}

EXEC(lr_w) { return lr(c, i, 4); }
EXEC(sc_w) { return sc(c, i, 4); }
EXEC(lr_d) { return lr(c, i, 8); }
EXEC(sc_d) { return sc(c, i, 8); }

/* The width's AMOs: those that the host has as one operation, and those made of compare-and-swap. */
#define AMO_DIRECT(name, suffix, type, sign, builtin)                                                                  \
    EXEC(name##_##suffix)                                                                                              \
    {                                                                                                                  \
        type *p = rv_amo_target(c, S1, sizeof *p);                                                                     \
                                                                                                                       \
        return p && set(c, i, (uint64_t)(sign)builtin(p, (type)S2, __ATOMIC_SEQ_CST));                                 \
    }
#define AMO_SELECT(name, suffix, type, sign, compared, op)                                                             \
    EXEC(name##_##suffix)                                                                                              \
    {                                                                                                                  \
        type *p = rv_amo_target(c, S1, sizeof *p), b = (type)S2, old;                                                  \
                                                                                                                       \
        if (!p)                                                                                                        \
            return false;                                                                                              \
        old = __atomic_load_n(p, __ATOMIC_RELAXED);                                                                    \
        while (!__atomic_compare_exchange_n(p, &old, (compared)old op(compared) b ? old : b, false, __ATOMIC_SEQ_CST,  \
                                            __ATOMIC_SEQ_CST))                                                         \
            ;                                                                                                          \
        return set(c, i, (uint64_t)(sign)old);                                                                         \
    }
#define AMOS(suffix, type, sign)                                                                                       \
    AMO_DIRECT(amoswap, suffix, type, sign, __atomic_exchange_n)                                                       \
    AMO_DIRECT(amoadd, suffix, type, sign, __atomic_fetch_add)                                                         \
    AMO_DIRECT(amoxor, suffix, type, sign, __atomic_fetch_xor)                                                         \
    AMO_DIRECT(amoand, suffix, type, sign, __atomic_fetch_and)                                                         \
    AMO_DIRECT(amoor, suffix, type, sign, __atomic_fetch_or)                                                           \
    AMO_SELECT(amomin, suffix, type, sign, sign, <)                                                                    \
    AMO_SELECT(amomax, suffix, type, sign, sign, >)                                                                    \
    AMO_SELECT(amominu, suffix, type, sign, type, <)                                                                   \
    AMO_SELECT(amomaxu, suffix, type, sign, type, >)

AMOS(w, uint32_t, int32_t)
AMOS(d, uint64_t, int64_t)
/* Zabha */
AMOS(b, uint8_t, int8_t)
AMOS(h, uint16_t, int16_t)
