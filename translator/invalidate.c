/*
 * Code that changes: who notices a write to a page with translations, and what fence.i does about it.
 *
 * A page is *watched* while its PAGE_CODE flag is set and no write TLB holds it. The first write clears the flag, marks
 * PAGE_CODE_DIRTY and puts the page on the dirty list; its blocks stay, for no hart has to see new code before it
 * executes fence.i (unprivileged specification, Zifencei). fence.i compares each block of each dirty page with its
 * bytes, drops those that changed and watches the page again: once an epoch a page costs one slow store, whatever is
 * written to it. Watching again always pays: a Linux boot executes 45,000 fence.i, most of them for one patched word,
 * and comparing often-patched pages at each of them instead took a third of the boot.
 *
 * Watching a page takes write rights away from all vCPUs: at once from the calling one, by posted work from the others.
 * Until all have polled the page counts as dirty.
 */
#include <sched.h>
#include <string.h>

#include "mmu/bus.h"
#include "translator/state.h"

static bool others_settled(const struct translator *t, const struct code_page *p)
{
    return !p->armed_at || p->armed_at <= reclaim_quiet(t);
}

bool code_page_watched(const struct translator *t, const struct code_page *p)
{
    return !p->flags || (page_flags_get(p->flags) & PAGE_CODE && others_settled(t, p));
}

void page_dirty(struct translator *t, struct code_page *p)
{
    if (p->dirty || !p->flags)
        return;
    p->dirty = true;
    p->dirty_next = t->tbs.dirty;
    __atomic_store_n(&t->tbs.dirty, p, __ATOMIC_RELEASE);
}

void drop_write_rights(struct vcpu *v, void *arg)
{
    struct translator_vcpu *p = arg;

    pthread_mutex_lock(&p->t->lock);
    if (p->drops > DROP_MAX)
        tlb_flush_all(v->tlb);
    else
        for (unsigned i = 0; i < p->drops; i++)
            tlb_drop_write(v->tlb, p->drop[i]);
    p->drops = 0;
    p->drop_posted = false;
    pthread_mutex_unlock(&p->t->lock);
}

static void post_drop(struct translator *t, const struct vcpu *self, uint8_t *host)
{
    for (unsigned n = 0; n < t->vcpus; n++) {
        struct translator_vcpu *o = t->per[n];

        if (!o || o->v == self)
            continue;
        if (o->drops < DROP_MAX)
            o->drop[o->drops] = host;
        if (o->drops <= DROP_MAX)
            o->drops++;
        if (o->drop_posted)
            continue;
        /* The struct is ours again only when its last run is over, which `done` says after drop_posted was cleared. */
        while (o->drop_work.fn && !atomic_load_explicit(&o->drop_work.done, memory_order_acquire))
            sched_yield();
        o->drop_work.fn = drop_write_rights;
        o->drop_work.arg = o;
        o->drop_posted = true;
        vcpu_post(o->v, &o->drop_work);
    }
}

static void page_resolve(struct translator *t, struct code_page *p)
{
    const struct region *r = bus_find(t->bus, p->page);

    if (r && r->kind == REGION_RAM) {
        p->host = r->host + (p->page - r->base);
        p->flags = &r->page_flags[(p->page - r->base) >> PAGE_BITS];
    }
}

void page_arm(struct translator *t, struct vcpu *v, struct code_page *p)
{
    uint8_t old;

    if (!p->flags)
        page_resolve(t, p);
    if (!p->flags)
        return;
    old = page_flags_get(p->flags);
    /* One step, so that a vCPU that enters a write right either is seen here or sees PAGE_CODE. */
    do {
        if (old & PAGE_CODE)
            return;
    } while (!__atomic_compare_exchange_n(p->flags, &old, (uint8_t)((old | PAGE_CODE) & ~(PAGE_CODE_DIRTY | PAGE_WTLB)),
                                          false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    p->armed_at = 0;
    if (!(old & PAGE_WTLB))
        return;
    tlb_drop_write(v->tlb, p->host);
    if (t->vcpus > 1) {
        post_drop(t, v, p->host);
        reclaim_new_epoch(t);
        p->armed_at = t->epoch;
        page_dirty(t, p);
    }
}

static void page_unwatch(struct translator *t, gpa page, uint8_t *flags)
{
    struct code_page *p;

    pthread_mutex_lock(&t->lock);
    if (page_flags_get(flags) & PAGE_CODE) {
        /* On the list first: from the moment the flag is off, others store without a word. */
        p = tb_page(&t->tbs, page);
        if (p)
            page_dirty(t, p);
        page_flags_set(flags, PAGE_CODE_DIRTY);
        page_flags_clear(flags, PAGE_CODE);
    }
    pthread_mutex_unlock(&t->lock);
}

void invalidate_page_written(void *arg, gpa page, uint8_t *page_flags)
{
    page_unwatch(arg, page & PAGE_MASK, page_flags);
}

static bool page_kill(struct translator *t, gpa page)
{
    struct code_page *p;
    bool any = false;

    while ((p = tb_page(&t->tbs, page)) && p->first) {
        tb_kill(t, p->first);
        any = true;
    }
    return any;
}

/* Flash: no flags watch it, its owner says when it changed (bus_rom_written). */
static void page_forget(struct translator *t, gpa page)
{
    pthread_mutex_lock(&t->lock);
    if (page_kill(t, page))
        reclaim_new_epoch(t);
    reclaim_run(t);
    pthread_mutex_unlock(&t->lock);
}

/* Other memory may lie there now: its flags are found anew with the next block. */
void translator_remapped(struct translator *t, gpa base, uint64_t len)
{
    bool any = false;

    pthread_mutex_lock(&t->lock);
    for (gpa page = base & PAGE_MASK; t->tbs.pages && len && page <= base + len - 1; page += PAGE_SIZE) {
        struct code_page *p;

        any |= page_kill(t, page);
        p = tb_page(&t->tbs, page);
        if (p)
            p->flags = p->host = NULL;
    }
    if (any)
        reclaim_new_epoch(t);
    reclaim_run(t);
    pthread_mutex_unlock(&t->lock);
}

void invalidate_range(void *arg, gpa addr, uint64_t len)
{
    struct translator *t = arg;

    for (gpa page = addr & PAGE_MASK; len && page <= addr + len - 1; page += PAGE_SIZE) {
        const struct region *r = bus_find(t->bus, page);

        if (r && r->kind == REGION_RAM)
            page_unwatch(t, page, &r->page_flags[(page - r->base) >> PAGE_BITS]);
        else
            page_forget(t, page);
    }
}

/* Straddling blocks have their bytes in two pages. Both are known here. */
bool source_changed(struct translator *t, const struct tb *tb)
{
    uint8_t bytes[8];
    const struct code_page *p = tb_page(&t->tbs, tb->phys & PAGE_MASK), *p2;
    size_t first = PAGE_SIZE - (tb->phys & (PAGE_SIZE - 1));

    if (!p)
        return true;
    if (tb->phys2 == ~(gpa)0)
        return p->host && source_hash(p->host + (tb->phys & ~PAGE_MASK), tb->bytes, 0) != tb->source_hash;
    p2 = tb_page(&t->tbs, tb->phys2 & PAGE_MASK);
    if (!p2 || !p->host || !p2->host || tb->bytes > sizeof bytes || first >= tb->bytes)
        return !p2 || p->flags || p2->flags;
    memcpy(bytes, p->host + (tb->phys & ~PAGE_MASK), first);
    memcpy(bytes + first, p2->host, tb->bytes - first);
    return source_hash(bytes, tb->bytes, 0) != tb->source_hash;
}

static unsigned drop_changed(struct translator *t, struct code_page *p)
{
    unsigned killed = 0;

    for (struct tb *tb = p->first, *next; tb; tb = next) {
        next = *tb_page_next(tb, p);
        if (source_changed(t, tb)) {
            tb_kill(t, tb);
            killed++;
        }
    }
    return killed;
}

/* Watch first, compare then: a write in between is noticed. A page that others may still write to unseen stays dirty. */
static unsigned page_fence(struct translator *t, struct vcpu *v, struct code_page *p)
{
    unsigned killed;
    bool watched;

    page_arm(t, v, p);
    watched = code_page_watched(t, p);
    killed = drop_changed(t, p);
    if (!p->first) {
        if (p->flags)
            page_flags_clear(p->flags, PAGE_CODE | PAGE_CODE_DIRTY);
        if (!p->dirty) {
            tb_page_drop(&t->tbs, p);
            return killed;
        }
    }
    if (!watched)
        page_dirty(t, p);
    return killed;
}

void invalidate_fence_i(void *arg, struct vcpu *v)
{
    struct translator *t = arg;
    struct code_page *list;
    unsigned killed = 0;

    __atomic_add_fetch(&t->stats.fence_i, 1, __ATOMIC_RELAXED);
    /* An empty list says nothing while another vCPU works on what was in it: then wait for the lock. */
    if (!__atomic_load_n(&t->tbs.dirty, __ATOMIC_SEQ_CST) && !__atomic_load_n(&t->fencing, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&t->lock);
    __atomic_store_n(&t->fencing, true, __ATOMIC_SEQ_CST);
    list = t->tbs.dirty;
    __atomic_store_n(&t->tbs.dirty, NULL, __ATOMIC_SEQ_CST);
    for (struct code_page *p = list, *next; p; p = next) {
        next = p->dirty_next;
        p->dirty = false;
        killed += page_fence(t, v, p);
    }
    __atomic_store_n(&t->fencing, false, __ATOMIC_RELEASE);
    if (killed)
        reclaim_new_epoch(t);
    reclaim_run(t);
    pthread_mutex_unlock(&t->lock);
}

void translator_flush(struct translator *t)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < (size_t)1 << t->tbs.bits; i++)
        while (t->tbs.bucket[i])
            tb_kill(t, t->tbs.bucket[i]);
    reclaim_new_epoch(t);
    reclaim_run(t);
    pthread_mutex_unlock(&t->lock);
}
