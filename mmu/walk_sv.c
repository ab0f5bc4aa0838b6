/*
 * Sv39, Sv48, Sv57: the algorithm of "Virtual Address Translation Process" in the privileged specification, step by
 * step in its order, so that the first fault found is the one the specification names.
 */
#include "base/bits.h"
#include "mmu/bus.h"
#include "mmu/walk.h"

enum {
    PTE_V = 1,
    PTE_R = 2,
    PTE_W = 4,
    PTE_X = 8,
    PTE_U = 16,
    PTE_G = 32,
    PTE_A = 64,
    PTE_D = 128,
};
#define PTE_PPN(pte) extract64(pte, 10, 44)
#define PTE_RESERVED UINT64_C(0x1fc0000000000000) /* bits 54..60 */
#define PTE_PBMT(pte) extract64(pte, 61, 2)
#define PTE_N (UINT64_C(1) << 63)

static struct walk_result fail(struct walk_result r, enum walk_fault fault, const char *why)
{
    r.fault = fault;
    r.why = why;
    return r;
}

/* Encodings reserved at any level; NULL when the entry is a well-formed pointer or leaf. */
static const char *pte_malformed(const struct walk_ctx *c, uint64_t pte)
{
    bool leaf = pte & (PTE_R | PTE_X);

    if (!(pte & PTE_V))
        return "the entry is not valid (V=0)";
    if ((pte & (PTE_R | PTE_W)) == PTE_W)
        return "writable but not readable (R=0, W=1) is reserved";
    if (pte & PTE_RESERVED)
        return "reserved bits 60..54 are set";
    if (PTE_PBMT(pte) && (!c->pbmt || PTE_PBMT(pte) == 3))
        return c->pbmt ? "PBMT=3 is reserved" : "PBMT bits are set but Svpbmt is off";
    if ((pte & PTE_N) && !c->napot)
        return "the N bit is set but there is no Svnapot";
    if (!leaf && pte & (PTE_N | PTE_A | PTE_D | PTE_U))
        return "a pointer entry has A, D, U or N set";
    if (!leaf && PTE_PBMT(pte))
        return "a pointer entry has PBMT set";
    return NULL;
}

/* Rights of a leaf against the access and the view; NULL when allowed. */
static const char *leaf_refuses(const struct walk_ctx *c, uint64_t pte, enum walk_access access)
{
    if (c->user && !(pte & PTE_U))
        return "a supervisor page (U=0) accessed from U-mode";
    if (!c->user && pte & PTE_U) {
        if (access == WALK_EXEC)
            return "S-mode never executes user pages (U=1)";
        if (!c->sum)
            return "a user page (U=1) accessed from S-mode with SUM=0";
    }
    if (access == WALK_EXEC && !(pte & PTE_X))
        return "not executable (X=0)";
    if (access == WALK_WRITE && !(pte & PTE_W))
        return "not writable (W=0)";
    if (access == WALK_READ && !(pte & PTE_R) && !(c->mxr && pte & PTE_X))
        return "not readable (R=0)";
    return NULL;
}

/* Fill the rights that a TLB may keep, once the access itself is granted. */
static void grant(struct walk_result *r, const struct walk_ctx *c, uint64_t pte)
{
    bool user_ok = c->user ? (pte & PTE_U) != 0 : !(pte & PTE_U) || c->sum;

    r->pte = pte;
    r->user = pte & PTE_U;
    r->read = user_ok && (pte & PTE_R || (c->mxr && pte & PTE_X));
    r->write = user_ok && (pte & PTE_W) && (pte & PTE_D);
    r->exec = (pte & PTE_X) && (c->user ? (pte & PTE_U) != 0 : !(pte & PTE_U));
}

/* One attempt; *again when a PTE changed under the A/D update. */
static struct walk_result walk_once(const struct walk_ctx *c, gva va, enum walk_access access, bool *again)
{
    struct walk_result r = {0};
    unsigned va_bits = PAGE_BITS + 9 * c->levels, level = c->levels;
    gpa table = c->root;

    *again = false;
    if ((uint64_t)sext64(va, va_bits) != va)
        return fail(r, WALK_PAGE_FAULT, "the address is not canonical: its upper bits differ from the sign bit");
    while (level-- > 0) {
        gpa pte_addr = table + extract64(va, PAGE_BITS + 9 * level, 9) * 8;
        uint64_t *host = bus_ram(c->bus, pte_addr, 8), pte, span, need;
        const uint64_t *rom = host ? host : bus_mem(c->bus, pte_addr, 8);
        const char *why;

        if (!rom || (c->allowed && !c->allowed(c->allowed_arg, pte_addr, 8, false)))
            return fail(r, WALK_ACCESS_FAULT, "the page table is not in readable memory");
        pte = __atomic_load_n(rom, __ATOMIC_ACQUIRE);
        r.step[r.steps++] = (struct walk_step){pte_addr, pte, level};
        why = pte_malformed(c, pte);
        if (why)
            return fail(r, WALK_PAGE_FAULT, why);
        r.global |= (pte & PTE_G) != 0;
        if (!(pte & (PTE_R | PTE_X))) {
            table = PTE_PPN(pte) << PAGE_BITS;
            continue;
        }
        span = UINT64_C(1) << (PAGE_BITS + 9 * level);
        if (pte & PTE_N) {
            if (level != 0 || extract64(pte, 10, 4) != 8)
                return fail(r, WALK_PAGE_FAULT, "N is set on a reserved NAPOT pattern");
            span = UINT64_C(1) << 16;
        }
        why = leaf_refuses(c, pte, access);
        if (why)
            return fail(r, WALK_PAGE_FAULT, why);
        if (!(pte & PTE_N) && (PTE_PPN(pte) << PAGE_BITS) & (span - 1))
            return fail(r, WALK_PAGE_FAULT, "a misaligned superpage");
        need = pte | PTE_A | (access == WALK_WRITE ? PTE_D : 0u);
        if (need != pte) {
            if (!c->hw_ad)
                return fail(r, WALK_PAGE_FAULT,
                            access == WALK_WRITE && pte & PTE_A ? "not dirty (D=0) and no hardware update"
                                                                : "not accessed (A=0) and no hardware update");
            if (!host || (c->allowed && !c->allowed(c->allowed_arg, pte_addr, 8, true)))
                return fail(r, WALK_ACCESS_FAULT, "the page table is not in writable memory");
            if (!__atomic_compare_exchange_n(host, &pte, need, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
                *again = true;
                return r;
            }
            dma_written((struct bus *)c->bus, pte_addr, 8);
        }
        r.pa = ((PTE_PPN(pte) << PAGE_BITS) & ~(span - 1)) | (va & (span - 1));
        r.span = span;
        grant(&r, c, need);
        return r;
    }
    return fail(r, WALK_PAGE_FAULT, "the last level holds a pointer, not a leaf");
}

struct walk_result walk_sv(const struct walk_ctx *c, gva va, enum walk_access access)
{
    struct walk_result r;
    bool again;

    do
        r = walk_once(c, va, access, &again);
    while (again);
    return r;
}
