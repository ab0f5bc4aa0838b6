/*
 * Native SBI, what harts do to each other: IPI, RFENCE, HSM, SUSP.
 *
 * A remote fence is posted work: the target runs it at its next poll, or at once when it is parked; the caller waits for
 * all of them, and serves its own queue meanwhile, so that harts may fence each other.
 */
#include <sched.h>
#include <stdlib.h>

#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/sbi_impl.h"
#include "mmu/bus.h"

static struct sbi_ret ok(uint64_t value) { return (struct sbi_ret){SBI_SUCCESS, value}; }
static struct sbi_ret error(int64_t e) { return (struct sbi_ret){e, 0}; }

/* --- IPI --- */

struct sbi_ret sbi_send_ipi(struct sbi *s, struct rv *c, struct sbi_mask m)
{
    if (!sbi_mask_ok(s, m))
        return error(SBI_INVALID_PARAM);
    sbi_count(c, FW_IPI_SENT);
    for (unsigned h = 0; h < s->harts; h++)
        if (sbi_mask_has(s, m, h)) {
            sbi_count(s->hart[h].c, FW_IPI_RECEIVED);
            rv_irq_set(s->hart[h].c, IRQ_SSI, true);
        }
    return ok(0);
}

struct sbi_ret sbi_ipi(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    if (fid != 0)
        return error(SBI_NOT_SUPPORTED);
    return sbi_send_ipi(s, c, (struct sbi_mask){a[0], a[1]});
}

/* --- RFENCE --- */

enum { FENCE_I, SFENCE_VMA, SFENCE_VMA_ASID };
enum { RANGE_PAGES_MAX = 64 }; /* beyond that a whole flush is cheaper */

struct fence {
    unsigned kind;
    bool all;
    gva start;
    uint64_t pages;
    uint32_t asid;
};

static void fence_here(struct vcpu *v, void *arg)
{
    static const uint8_t events[] = {FW_FENCE_I_RECEIVED, FW_SFENCE_RECEIVED, FW_SFENCE_ASID_RECEIVED};
    const struct fence *f = arg;
    struct rv *c = (struct rv *)v;
    bool any_asid = f->kind == SFENCE_VMA;

    sbi_count(c, events[f->kind]);
    if (f->kind == FENCE_I) {
        if (v->hooks && v->hooks->fence_i)
            v->hooks->fence_i(v->hooks->arg, v);
    } else if (f->all) {
        rv_sfence(c, true, 0, any_asid, f->asid);
    } else {
        for (uint64_t n = 0; n < f->pages; n++)
            rv_sfence(c, false, f->start + n * PAGE_SIZE, any_asid, f->asid);
    }
}

/* Run f on the harts of m and wait until each has. */
static void fence_harts(struct sbi *s, struct rv *self, struct sbi_mask m, struct fence *f)
{
    struct vcpu_work one[8] = {{0}}, *work = s->harts <= 8 ? one : calloc(s->harts, sizeof *work);
    unsigned spins = 0;

    for (unsigned h = 0; h < s->harts; h++) {
        struct rv *c = s->hart[h].c;

        /* a stopped hart starts with nothing cached */
        if (c == self || !sbi_mask_has(s, m, h) || atomic_load(&c->hsm) == HSM_STOPPED)
            continue;
        if (!work) { /* out of memory: one at a time */
            vcpu_post_wait(&c->v, &self->v, &(struct vcpu_work){.fn = fence_here, .arg = f});
            continue;
        }
        work[h] = (struct vcpu_work){.fn = fence_here, .arg = f};
        vcpu_post(&c->v, &work[h]);
    }
    if (sbi_mask_has(s, m, self->v.index))
        fence_here(&self->v, f);
    for (unsigned h = 0; work && h < s->harts; h++) {
        if (s->hart[h].c == self || !sbi_mask_has(s, m, h) || work[h].fn != fence_here)
            continue;
        while (!atomic_load_explicit(&work[h].done, memory_order_acquire)) {
            if (atomic_load(&self->v.attention) & ATT_WORK)
                vcpu_run_work(&self->v);
            if (++spins > 100)
                sched_yield();
        }
    }
    if (work != one)
        free(work);
}

struct sbi_ret sbi_rfence(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    static const uint8_t events[] = {FW_FENCE_I_SENT, FW_SFENCE_SENT, FW_SFENCE_ASID_SENT};
    struct sbi_mask m = {a[0], a[1]};
    struct fence f = {.kind = (unsigned)fid};
    uint64_t start = a[2], size = a[3], end = start + size;

    if (fid > SFENCE_VMA_ASID) /* the hfences: there is no H extension */
        return error(SBI_NOT_SUPPORTED);
    if (!sbi_mask_ok(s, m))
        return error(SBI_INVALID_PARAM);
    if (fid == SFENCE_VMA_ASID)
        f.asid = (uint32_t)a[4] & 0xffff;
    f.all = (start == 0 && size == 0) || size == ~UINT64_C(0) || end < start;
    f.start = start & PAGE_MASK;
    f.pages = (((end + PAGE_SIZE - 1) & PAGE_MASK) - f.start) >> PAGE_BITS;
    if (f.pages > RANGE_PAGES_MAX)
        f.all = true;
    sbi_count(c, events[fid]);
    fence_harts(s, c, m, &f);
    return ok(0);
}

/* --- HSM --- */

/* A hart enters S-mode anew: HSM start, resume from a non-retentive suspend. Its own thread. */
static void enter_at(struct rv *c, gva pc, uint64_t opaque)
{
    c->priv = PRIV_S;
    c->mstatus &= ~(uint64_t)(MSTATUS_SIE | MSTATUS_SUM | MSTATUS_MXR);
    c->satp = 0;
    c->v.res_addr = ~UINT64_C(0);
    c->v.pc = pc;
    c->v.r[10] = c->v.index;
    c->v.r[11] = opaque;
    rv_update_view(c);
}

static void start_here(struct vcpu *v, void *arg)
{
    struct sbi_hart *h = arg;

    tlb_flush_all(v->tlb);
    enter_at(h->c, h->start_addr, h->opaque);
    if (v->hooks && v->hooks->fence_i)
        v->hooks->fence_i(v->hooks->arg, v);
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WFI);
    atomic_store(&h->c->hsm, HSM_STARTED);
    rv_update_irq(h->c);
}

static struct sbi_ret hart_start(struct sbi *s, struct rv *c, uint64_t hart, uint64_t addr, uint64_t opaque)
{
    uint32_t stopped = HSM_STOPPED;
    struct sbi_hart *h;

    if (hart >= s->harts)
        return error(SBI_INVALID_PARAM);
    if (!bus_mem(c->v.bus, addr & ~UINT64_C(1), 2))
        return error(SBI_INVALID_ADDRESS);
    h = &s->hart[hart];
    if (!atomic_compare_exchange_strong(&h->c->hsm, &stopped, HSM_START_PENDING))
        return error(SBI_ALREADY_AVAILABLE);
    h->start_addr = addr & ~UINT64_C(1);
    h->opaque = opaque;
    h->start = (struct vcpu_work){.fn = start_here, .arg = h};
    vcpu_post(&h->c->v, &h->start);
    return ok(0);
}

#define SUSPEND_RETENTIVE UINT32_C(0)
#define SUSPEND_NON_RETENTIVE UINT32_C(0x80000000)

static struct sbi_ret suspend_at(struct rv *c, uint64_t addr, uint64_t opaque)
{
    if (!bus_mem(c->v.bus, addr & ~UINT64_C(1), 2))
        return error(SBI_INVALID_ADDRESS);
    enter_at(c, addr & ~UINT64_C(1), opaque);
    if (!c->v.isa->irq_pending(&c->v))
        sbi_park(c, HSM_SUSPENDED);
    return ok(0);
}

static struct sbi_ret hart_suspend(struct rv *c, uint32_t type, uint64_t addr, uint64_t opaque)
{
    if (type == SUSPEND_RETENTIVE) {
        if (!c->v.isa->irq_pending(&c->v))
            sbi_park(c, HSM_SUSPENDED);
        return ok(0);
    }
    if (type == SUSPEND_NON_RETENTIVE)
        return suspend_at(c, addr, opaque);
    return error(SBI_INVALID_PARAM);
}

struct sbi_ret sbi_hsm(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    switch (fid) {
    case 0: return hart_start(s, c, a[0], a[1], a[2]);
    case 1: sbi_park(c, HSM_STOPPED); return ok(0);
    case 2: return a[0] < s->harts ? ok(atomic_load(&s->hart[a[0]].c->hsm)) : error(SBI_INVALID_PARAM);
    case 3: return hart_suspend(c, (uint32_t)a[0], a[1], a[2]);
    default: return error(SBI_NOT_SUPPORTED);
    }
}

/* --- SUSP: suspend to RAM, by the last hart that runs --- */

struct sbi_ret sbi_susp(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    if (fid != 0)
        return error(SBI_NOT_SUPPORTED);
    if ((uint32_t)a[0] != 0)
        return error(SBI_INVALID_PARAM);
    for (unsigned h = 0; h < s->harts; h++)
        if (s->hart[h].c != c && atomic_load(&s->hart[h].c->hsm) != HSM_STOPPED)
            return error(SBI_DENIED);
    return suspend_at(c, a[1], a[2]);
}
