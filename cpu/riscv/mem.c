/*
 * The slow paths of memory: what generated code and the interpreter call when the first level of the TLB has no answer.
 *
 * Order: pointer masking; an access over a page boundary is split, with both parts translated and checked before a
 * store writes anything; second level of the TLB, page walk, PMP, bus. What lies in RAM and is allowed for a whole page goes
 * into the TLB; MMIO and pages that PMP covers only in part are asked about each time.
 *
 * A store to a RAM page announces itself (PAGE_WTLB) before it looks at the page's other flags: whoever starts to watch
 * a page sets its flag first, then drops it from the write TLBs of those that announced themselves.
 */
#include "cpu/riscv/mem.h"

#include <inttypes.h>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/pmp.h"
#include "cpu/trace.h"
#include "mmu/bus.h"

enum { /* numbers of translation regimes: struct tlb_view */
       REGIME_M,
       REGIME_S_BARE,
       REGIME_U_BARE,
       REGIME_S,
       REGIME_S_SUM,
       REGIME_U,
       REGIME_MXR = 8,     /* + : loads from executable pages */
       REGIME_MPRV = 16,   /* + : M-mode code, data of a lower mode */
       REGIME_LEVELS = 32, /* * (levels - 3) */
       REGIME_TRACE = 128, /* + : never filled, so that every access is seen */
};

/* --- views --- */

static bool tracing(const struct rv *c) { return __builtin_expect(c->v.trace != NULL, 0) && c->v.trace->log; }

static uint8_t mask_bits(const struct rv *c, unsigned priv)
{
    static const uint8_t bits[] = {0, 0, 7, 16};

    if (priv == PRIV_M)
        return 0;
    return bits[(priv == PRIV_U ? c->senvcfg : c->menvcfg) >> ENVCFG_PMM_SHIFT & 3];
}

void rv_update_view(struct rv *c)
{
    unsigned priv = c->priv, mode = SATP_MODE(c->satp);
    struct tlb_view view = {.regime = REGIME_M};

    if (priv == PRIV_M && (c->mstatus & MSTATUS_MPRV)) {
        priv = (unsigned)(c->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT;
        if (priv != PRIV_M)
            view.regime = REGIME_MPRV;
    }
    c->data.priv = (uint8_t)priv;
    c->data.sum = c->mstatus & MSTATUS_SUM;
    c->data.mxr = c->mstatus & MSTATUS_MXR;
    c->data.mask_bits = mask_bits(c, priv);
    if (priv == PRIV_M || mode == SATP_BARE) {
        c->data.levels = 0;
        view.regime |= priv == PRIV_M ? REGIME_M : priv == PRIV_S ? REGIME_S_BARE : REGIME_U_BARE;
    } else {
        c->data.levels = (uint8_t)(mode - SATP_SV39 + 3);
        view.regime |= priv == PRIV_U ? REGIME_U : c->data.sum ? REGIME_S_SUM : REGIME_S;
        view.regime += REGIME_LEVELS * (c->data.levels - 3u) + (c->data.mxr ? REGIME_MXR : 0u);
        view.asid = SATP_ASID(c->satp);
        view.shared = priv == PRIV_S && !c->data.sum;
    }
    if (tracing(c))
        view.regime |= REGIME_TRACE;
    c->v.ctx = tlb_switch(c->v.tlb, view);
}

gva rv_mask_address(const struct rv *c, gva va)
{
    unsigned n = c->data.mask_bits;

    if (!n || (c->data.mxr && c->data.levels)) /* off, or MXR in force ("Pointer Masking", interaction with MXR) */
        return va;
    return c->data.levels ? (gva)sext64(va, 64 - n) : extract64(va, 0, 64 - n);
}

/* --- translation --- */

static bool fail(struct rv *c, enum walk_fault fault, enum walk_access access, gva va)
{
    static const uint8_t page[] = {CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE};
    static const uint8_t denied[] = {CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS};

    return rv_trap(c, fault == WALK_PAGE_FAULT ? page[access] : denied[access], va);
}

/* Page tables are read and updated with the rights of S-mode. */
static bool pte_allowed(void *arg, gpa addr, unsigned len, bool write)
{
    return pmp_rights(arg, addr, len, PRIV_S) & (write ? PMP_W : PMP_R);
}

struct walk_ctx rv_walk_ctx(const struct rv *c, bool code)
{
    unsigned mode = SATP_MODE(c->satp), priv = code ? c->priv : c->data.priv;

    return (struct walk_ctx){
        .bus = c->v.bus,
        .root = SATP_PPN(c->satp) << PAGE_BITS,
        .levels = priv == PRIV_M || mode == SATP_BARE ? 0 : mode - SATP_SV39 + 3,
        .user = priv == PRIV_U,
        .sum = c->data.sum,
        .mxr = c->data.mxr,
        .napot = rv_has(c, EXT_SVNAPOT),
        .pbmt = c->menvcfg & ENVCFG_PBMTE,
        .allowed = pte_allowed,
        .allowed_arg = (void *)c,
    };
}

/* -d mmu */
static void log_walk(struct rv *c, gva va, enum walk_access access, const struct walk_result *r)
{
    static const char *const what[] = {[WALK_READ] = "load", [WALK_WRITE] = "store", [WALK_EXEC] = "fetch"};

    if (r->fault != WALK_OK)
        log_write(c->v.log, "hart %u: walk for %s of 0x%016" PRIx64 ": %s", c->v.index, what[access], va,
                  r->fault == WALK_PAGE_FAULT ? "page fault" : "access fault");
    else
        log_write(c->v.log, "hart %u: walk for %s of 0x%016" PRIx64 " -> 0x%" PRIx64 ", 0x%" PRIx64 " bytes %c%c%c%s",
                  c->v.index, what[access], va, r->pa, r->span, r->read ? 'r' : '-', r->write ? 'w' : '-',
                  r->exec ? 'x' : '-', r->global ? ", global" : "");
}

/* va's page by walk, or as it is when the view is bare. Rights are those of the page table. */
static bool walk(struct rv *c, gva va, enum walk_access access, struct tlb_page *p)
{
    struct walk_ctx w = rv_walk_ctx(c, access == WALK_EXEC);
    struct walk_result r;

    p->va = va & PAGE_MASK;
    if (!w.levels) {
        p->pa = p->va;
        p->span = PAGE_SIZE;
        p->read = p->write = p->exec = true;
        p->global = false;
        return true;
    }
    w.hw_ad = c->menvcfg & ENVCFG_ADUE;
    tlb_stats(c->v.tlb)->walks++;
    r = walk_sv(&w, va, access);
    if (c->v.log && log_on(c->v.log, LOG_MMU))
        log_walk(c, va, access, &r);
    if (r.fault != WALK_OK)
        return fail(c, r.fault, access, va);
    p->pa = r.pa & PAGE_MASK;
    p->span = r.span;
    p->read = r.read;
    p->write = r.write;
    p->exec = r.exec;
    p->global = r.global;
    return true;
}

/* PMP and the bus on top of the walk. *whole: the answer holds for the entire page. */
static bool protect(struct rv *c, gva va, unsigned size, enum walk_access access, struct tlb_page *p, bool *whole)
{
    static const uint8_t need[] = {PMP_R, PMP_W, PMP_X};
    unsigned priv = access == WALK_EXEC ? c->priv : c->data.priv, rights = pmp_page(c, p->pa, priv);
    gpa pa = p->pa | (va & ~PAGE_MASK);
    const struct region *r;

    *whole = rights != PMP_PARTLY;
    if (!*whole)
        rights = pmp_rights(c, pa, size, priv);
    r = bus_find(c->v.bus, pa);
    if (!(rights & need[access]) || !r)
        return fail(c, WALK_ACCESS_FAULT, access, va);
    p->read &= (rights & PMP_R) != 0;
    p->write &= (rights & PMP_W) && r->kind != REGION_ROM;
    p->exec &= (rights & PMP_X) != 0;
    p->host = r->kind == REGION_MMIO ? NULL : r->host + (p->pa - r->base);
    if (r->kind == REGION_ROM && access == WALK_WRITE) { /* the bus passes it on, as it does MMIO */
        p->host = NULL;
        *whole = false;
    }
    if (r->kind == REGION_ROM && r->ops) { /* flash: a command makes it registers, so loads ask each time */
        p->read &= access == WALK_READ;
        *whole &= access != WALK_READ;
    }
    return true;
}

/* Enter what the load or fetch found. wr gets the page only by stores, which ask its flags first. */
static void fill_read(struct rv *c, const struct tlb_page *p)
{
    struct tlb_entry *wr = &c->v.ctx->wr[TLB_INDEX(p->va)], old = *wr;

    tlb_fill(c->v.tlb, c->v.ctx, p);
    *wr = old;
}

static void count_miss(struct rv *c, enum walk_access access)
{
    tlb_stats(c->v.tlb)->misses++;
    if (access == WALK_READ)
        c->counters.dtlb_read++;
    else if (access == WALK_WRITE)
        c->counters.dtlb_write++;
    else
        c->counters.itlb++;
}

bool rv_resolve(struct rv *c, gva va, unsigned size, enum walk_access access, struct tlb_page *p)
{
    static const char right[] = {'r', 'w', 'x'};
    bool whole, quiet = tracing(c);

    *p = (struct tlb_page){0};
    if (!quiet && tlb_find(c->v.tlb, c->v.ctx, va, right[access], p)) {
        if (access == WALK_READ && p->host)
            tlb_set_read(c->v.ctx, p->va, p->host);
        return true;
    }
    if (!quiet)
        count_miss(c, access);
    if (!walk(c, va, access, p) || !protect(c, va, size, access, p, &whole))
        return false;
    if (whole && !quiet)
        fill_read(c, p);
    return true;
}

/* --- loads --- */

/* Not while a block is only tried: sets mmio_seen and fails. */
static bool mmio_refused(struct rv *c, enum walk_access access, gva va)
{
    if (!tracing(c))
        return false;
    c->v.trace->mmio_seen = true;
    fail(c, WALK_ACCESS_FAULT, access, va);
    return true;
}

static bool load_piece(struct rv *c, gva va, unsigned size, uint64_t *val)
{
    struct tlb_page p;

    if (!rv_resolve(c, va, size, WALK_READ, &p))
        return false;
    if (p.host) {
        *val = ram_load(p.host + (va & ~PAGE_MASK), size);
        return true;
    }
    if (mmio_refused(c, WALK_READ, va))
        return false;
    if ((va & (size - 1)) || !bus_read(c->v.bus, p.pa | (va & ~PAGE_MASK), size, val))
        return fail(c, WALK_ACCESS_FAULT, WALK_READ, va);
    return true;
}

/* Over a page boundary: RAM on both sides, or an access fault on the side that is not. */
static bool load_split(struct rv *c, gva va, unsigned size, uint64_t *val)
{
    unsigned first = PAGE_SIZE - (unsigned)(va & ~PAGE_MASK);
    struct tlb_page a, b;
    uint8_t buf[8] = {0};

    if (!rv_resolve(c, va, first, WALK_READ, &a))
        return false;
    if (!rv_resolve(c, va + first, size - first, WALK_READ, &b))
        return false;
    if (!a.host || !b.host)
        return fail(c, WALK_ACCESS_FAULT, WALK_READ, a.host ? va + first : va);
    ram_copy_from(buf, a.host + (va & ~PAGE_MASK), first);
    ram_copy_from(buf + first, b.host, size - first);
    *val = ld64(buf);
    return true;
}

static bool crosses(gva va, unsigned size) { return (va & ~PAGE_MASK) + size > PAGE_SIZE; }

bool rv_load(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    struct rv *c = (struct rv *)v;

    va = rv_mask_address(c, va);
    return crosses(va, size) ? load_split(c, va, size, val) : load_piece(c, va, size, val);
}

/* --- stores --- */

/* The page is about to be written: settle with those who watch it. */
static void announce_write(struct rv *c, const struct tlb_page *p)
{
    const struct region *r = bus_find(c->v.bus, p->pa);
    uint8_t *flags = r && r->page_flags ? r->page_flags + ((p->pa - r->base) >> PAGE_BITS) : NULL, f;

    if (!flags)
        return;
    f = page_flags_set(flags, PAGE_WTLB | PAGE_TOUCHED);
    if (!page_watched(f))
        return;
    if ((f & PAGE_CODE) && c->v.hooks && c->v.hooks->page_written)
        c->v.hooks->page_written(c->v.hooks->arg, p->pa, flags);
    if (f & PAGE_LOGS)
        page_flags_clear(flags, PAGE_LOGS);
}

/* Ready p for len bytes of writing at va: watchers told, wr filled, the old bytes logged in a trial. */
static void open_write(struct rv *c, const struct tlb_page *p, gva va, unsigned len)
{
    if (tracing(c)) {
        trace_write(c->v.trace, p->host + (va & ~PAGE_MASK), len);
        return;
    }
    announce_write(c, p);
    if (p->write && pmp_page(c, p->pa, c->data.priv) != PMP_PARTLY)
        tlb_set_write(c->v.ctx, p->va, p->host);
}

static bool store_piece(struct rv *c, gva va, unsigned size, uint64_t val)
{
    struct tlb_page p;

    if (!rv_resolve(c, va, size, WALK_WRITE, &p))
        return false;
    if (p.host) {
        open_write(c, &p, va, size);
        ram_store(p.host + (va & ~PAGE_MASK), size, val);
        return true;
    }
    if (mmio_refused(c, WALK_WRITE, va))
        return false;
    if ((va & (size - 1)) || !bus_write(c->v.bus, p.pa | (va & ~PAGE_MASK), size, val))
        return fail(c, WALK_ACCESS_FAULT, WALK_WRITE, va);
    return true;
}

static bool store_split(struct rv *c, gva va, unsigned size, uint64_t val)
{
    unsigned first = PAGE_SIZE - (unsigned)(va & ~PAGE_MASK);
    struct tlb_page a, b;
    uint8_t buf[8];

    if (!rv_resolve(c, va, first, WALK_WRITE, &a))
        return false;
    if (!rv_resolve(c, va + first, size - first, WALK_WRITE, &b))
        return false;
    if (!a.host || !b.host)
        return fail(c, WALK_ACCESS_FAULT, WALK_WRITE, a.host ? va + first : va);
    st64(buf, val);
    open_write(c, &a, va, first);
    open_write(c, &b, va + first, size - first);
    ram_copy_to(a.host + (va & ~PAGE_MASK), buf, first);
    ram_copy_to(b.host, buf + first, size - first);
    return true;
}

bool rv_store(struct vcpu *v, gva va, unsigned size, uint64_t val)
{
    struct rv *c = (struct rv *)v;

    va = rv_mask_address(c, va);
    return crosses(va, size) ? store_split(c, va, size, val) : store_piece(c, va, size, val);
}

/* Misaligned before anything else: which of the two faults wins is the implementation's choice. */
void *rv_amo_host(struct vcpu *v, gva va, unsigned size)
{
    struct rv *c = (struct rv *)v;
    const struct tlb_entry *e = &v->ctx->wr[TLB_INDEX(va)];
    struct tlb_page p;

    if (va & (size - 1)) {
        rv_trap(c, CAUSE_STORE_MISALIGNED, va);
        return NULL;
    }
    if (e->tag == (va & PAGE_MASK))
        return (void *)(uintptr_t)(va + e->addend);
    va = rv_mask_address(c, va);
    if (!rv_resolve(c, va, size, WALK_WRITE, &p))
        return NULL;
    if (!p.host || !p.read) { /* no atomics on MMIO; PMP may forbid the reading half */
        fail(c, WALK_ACCESS_FAULT, WALK_WRITE, va);
        return NULL;
    }
    open_write(c, &p, va, size);
    return p.host + (va & ~PAGE_MASK);
}

/* --- fetch --- */

bool rv_fetch(struct vcpu *v, gva va, const uint8_t **host, gpa *pa)
{
    struct rv *c = (struct rv *)v;
    struct tlb_page p;

    if (c->priv == PRIV_M) { /* its context may be that of MPRV data: ask afresh */
        bool whole;

        p = (struct tlb_page){0};
        if (!walk(c, va, WALK_EXEC, &p) || !protect(c, va, 2, WALK_EXEC, &p, &whole))
            return false;
    } else if (!rv_resolve(c, va, 2, WALK_EXEC, &p)) {
        return false;
    }
    if (!p.host)
        return fail(c, WALK_ACCESS_FAULT, WALK_EXEC, va);
    *host = p.host + (va & ~PAGE_MASK);
    *pa = p.pa | (va & ~PAGE_MASK);
    return true;
}

/* --- debugging --- */

bool rv_debug_translate(const struct rv *c, gva va, bool code, gpa *pa)
{
    struct walk_ctx w = rv_walk_ctx(c, code);
    struct walk_result r;

    if (!w.levels) {
        *pa = va;
        return true;
    }
    w.sum = w.mxr = true;
    w.allowed = NULL;
    r = walk_sv(&w, va, code ? WALK_EXEC : WALK_READ);
    *pa = r.pa;
    return r.fault == WALK_OK;
}
