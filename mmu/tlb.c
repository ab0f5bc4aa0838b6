/*
 * The soft TLB of one vCPU: contexts, and the second level behind them.
 *
 * Tags. A context has an id, new at each full flush, and second-level entries carry the id: flushing an address space is
 * one new id, and entries of ids that are gone die by replacement. The second level is L2_WAYS-way associative; an entry
 * holds a page's host base and rights, so that one entry serves loads, stores and fetches of a view.
 *
 * Superpages are entered as 4 KiB pieces. A fence inside a superpage must drop all its pieces: a context remembers a few
 * ranges that cover every superpage it holds pieces of; a fence inside one flushes the context whole. (One range would span a
 * kernel's linear map, its vmalloc area and its image, and every vmalloc fence empty the kernel's context.)
 */
#include "mmu/tlb.h"

#include <stdlib.h>
#include <string.h>

enum { HINTS = 64, L2_SETS = 4096, L2_WAYS = 4, ID_BITS = 20, ID_MAX = (1 << ID_BITS) - 1 };
enum { L2_READ = 1, L2_WRITE = 2, L2_EXEC = 4, L2_GLOBAL = 8, L2_RAM = 16 };

#define RANGE_GAP (UINT64_C(1) << 30)
#define L2_PA (PAGE_MASK & (~UINT64_C(0) >> 8))

struct l2_entry {
    uint64_t tag;  /* virtual page number << ID_BITS | id, bits 55..12 of the address; 0 = empty */
    uint64_t host; /* host address of the page, or 0 */
    uint64_t pa;   /* bits 63..56 of the virtual address, page base, L2_* */
};

struct l2_set {
    struct l2_entry way[L2_WAYS];
};

struct tlb {
    struct tlb_ctx *ctx[TLB_CONTEXTS];
    struct tlb_ctx *cur;
    struct tlb_ctx *last[HINTS]; /* by regime: the context used last, to look at first (trap and sret: 58 -> 45 ns) */
    uint64_t next_id, now;
    struct l2_set *l2;
    uint8_t victim; /* way replaced next, round robin */
    struct tlb_stats stats;
};

struct tlb *tlb_new(void)
{
    struct tlb *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->l2 = calloc(L2_SETS, sizeof *t->l2);
    if (!t->l2) {
        free(t);
        return NULL;
    }
    t->next_id = 1;
    return t;
}

void tlb_free(struct tlb *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        free(t->ctx[i]);
    free(t->l2);
    free(t);
}

struct tlb_stats *tlb_stats(struct tlb *t) { return &t->stats; }

static void clear_chunks(struct tlb_entry *table, uint64_t *used)
{
    for (; *used; *used &= *used - 1) {
        struct tlb_entry *e = table + __builtin_ctzll(*used) * TLB_CHUNK;

        for (unsigned i = 0; i < TLB_CHUNK; i++)
            e[i].tag = TLB_NONE;
    }
}

static void clear_code(struct tlb_ctx *c)
{
    for (; c->slots_used; c->slots_used &= c->slots_used - 1)
        memset(&c->code_id[__builtin_ctzll(c->slots_used) * SLOT_CHUNK], 0, SLOT_CHUNK * sizeof *c->code_id);
    if (!c->code_used)
        return;
    for (; c->code_used; c->code_used &= c->code_used - 1)
        memset(&c->code_at[__builtin_ctzll(c->code_used) * CODE_CHUNK], 0, CODE_CHUNK * sizeof *c->code_at);
    memset(c->code_pages, 0, sizeof c->code_pages);
}

static void clear_level1(struct tlb_ctx *c)
{
    clear_chunks(c->rd, &c->rd_used);
    clear_chunks(c->wr, &c->wr_used);
    clear_code(c);
}

/* A fresh id; when they run out, everything starts over. */
static uint64_t new_id(struct tlb *t)
{
    if (t->next_id > ID_MAX) {
        memset(t->l2, 0, L2_SETS * sizeof *t->l2);
        t->next_id = 1;
        for (unsigned i = 0; i < TLB_CONTEXTS; i++)
            if (t->ctx[i] && t->ctx[i]->live) {
                clear_level1(t->ctx[i]);
                t->ctx[i]->id = t->next_id++;
            }
    }
    return t->next_id++;
}

static void flush_ctx(struct tlb *t, struct tlb_ctx *c)
{
    clear_level1(c);
    c->id = new_id(t);
    c->has_private = c->stale = false;
    c->supers = 0;
}

/* Most contexts are flushed many times before they are used again: clearing their tables each time would be for nothing. */
static void flush_later(struct tlb *t, struct tlb_ctx *c)
{
    if (c == t->cur)
        flush_ctx(t, c);
    else
        c->stale = true;
}

static void ctx_open(struct tlb *t, struct tlb_ctx *c, struct tlb_view view)
{
    if (c->live)
        t->stats.ctx_evicted++;
    flush_ctx(t, c);
    c->view = view;
    c->live = true;
}

/* A free context, or the one used longest ago; never the current one. */
static struct tlb_ctx *ctx_take(struct tlb *t)
{
    struct tlb_ctx *best = NULL;

    for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
        struct tlb_ctx *c = t->ctx[i];

        if (!c) {
            c = t->ctx[i] = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
            if (c) {
                memset(c, 0, sizeof *c);
                c->rd_used = c->wr_used = ~UINT64_C(0);
                return c;
            }
            continue;
        }
        if (c != t->cur && (!best || c->used < best->used))
            best = c;
    }
    return best ? best : t->cur; /* out of memory for a second one: the only one is reopened */
}

static bool serves(const struct tlb_ctx *c, struct tlb_view view)
{
    return c->live && c->view.regime == view.regime && (view.shared || c->view.asid == view.asid);
}

struct tlb_ctx *tlb_switch(struct tlb *t, struct tlb_view view)
{
    struct tlb_ctx **hint = &t->last[view.regime % HINTS], *c = *hint;

    if (!c || !serves(c, view)) {
        c = NULL;
        for (unsigned i = 0; i < TLB_CONTEXTS && t->ctx[i]; i++)
            if (serves(t->ctx[i], view)) {
                c = t->ctx[i];
                break;
            }
    }
    if (!c) {
        c = ctx_take(t);
        if (!c)
            return NULL;
        ctx_open(t, c, view);
    } else if (c->view.asid != view.asid) { /* shared: private pages belonged to the ASID that leaves */
        if (c->has_private)
            flush_ctx(t, c);
        c->view.asid = view.asid;
    }
    if (c->stale)
        flush_ctx(t, c);
    if (c != t->cur)
        t->stats.switches++;
    c->used = ++t->now;
    t->cur = *hint = c;
    return c;
}

static struct l2_set *l2_set(struct tlb *t, gva va, uint64_t id)
{
    uint64_t vpn = va >> PAGE_BITS;

    return &t->l2[(vpn ^ (vpn >> 12) ^ (id * 0x9e5)) & (L2_SETS - 1)];
}

static uint64_t l2_tag(gva va, uint64_t id) { return (va >> PAGE_BITS) << ID_BITS | id; }

static struct l2_entry *l2_find(struct tlb *t, gva va, uint64_t id)
{
    struct l2_set *s = l2_set(t, va, id);
    uint64_t tag = l2_tag(va, id);

    for (unsigned w = 0; w < L2_WAYS; w++)
        if (s->way[w].tag == tag && s->way[w].pa >> 56 == va >> 56)
            return &s->way[w];
    return NULL;
}

bool tlb_find(struct tlb *t, const struct tlb_ctx *ctx, gva va, char right, struct tlb_page *page)
{
    const struct l2_entry *e = l2_find(t, va, ctx->id);
    uint64_t want = right == 'r' ? L2_READ : right == 'w' ? L2_WRITE : L2_EXEC;

    if (!e || !(e->pa & want))
        return false;
    *page = (struct tlb_page){
        .va = va & PAGE_MASK,
        .pa = e->pa & L2_PA,
        .host = e->pa & L2_RAM ? (uint8_t *)(uintptr_t)e->host : NULL,
        .span = PAGE_SIZE,
        .read = e->pa & L2_READ,
        .write = e->pa & L2_WRITE,
        .exec = e->pa & L2_EXEC,
        .global = e->pa & L2_GLOBAL,
    };
    t->stats.l2_hits++;
    return true;
}

/* Superpages within RANGE_GAP of each other share a range; when there are too many, the last takes in the rest. */
static void note_super(struct tlb_ctx *c, gva lo, gva hi)
{
    struct tlb_range *r = c->super;

    for (unsigned i = 0; i < c->supers; i++, r++) {
        bool below = hi < r->lo && r->lo - hi > RANGE_GAP, above = lo > r->hi && lo - r->hi > RANGE_GAP;

        if ((below || above) && i != TLB_RANGES - 1)
            continue;
        if (lo < r->lo)
            r->lo = lo;
        if (hi > r->hi)
            r->hi = hi;
        return;
    }
    *r = (struct tlb_range){lo, hi};
    c->supers++;
}

void tlb_fill(struct tlb *t, struct tlb_ctx *ctx, const struct tlb_page *page)
{
    struct l2_entry *e = l2_find(t, page->va, ctx->id);

    if (!e) {
        struct l2_set *s = l2_set(t, page->va, ctx->id);

        e = &s->way[t->victim++ % L2_WAYS];
        for (unsigned w = 0; w < L2_WAYS; w++)
            if (!s->way[w].tag) {
                e = &s->way[w];
                break;
            }
        t->stats.fills++;
    }
    e->tag = l2_tag(page->va, ctx->id);
    e->host = (uint64_t)(uintptr_t)page->host;
    e->pa = (page->va >> 56 << 56) | (page->pa & L2_PA) | (page->read ? L2_READ : 0u) | (page->write ? L2_WRITE : 0u) |
            (page->exec ? L2_EXEC : 0u) | (page->global ? L2_GLOBAL : 0u) | (page->host ? L2_RAM : 0u);
    if (!page->global)
        ctx->has_private = true;
    if (page->span > PAGE_SIZE)
        note_super(ctx, page->va & ~(page->span - 1), page->va | (page->span - 1));
    if (!page->host)
        return;
    if (page->read)
        tlb_set_read(ctx, page->va & PAGE_MASK, page->host);
    if (page->write)
        tlb_set_write(ctx, page->va & PAGE_MASK, page->host);
}

void tlb_flush_all(struct tlb *t)
{
    t->stats.fences++;
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        if (t->ctx[i] && t->ctx[i]->live)
            flush_later(t, t->ctx[i]);
}

/* Drop the non-global pages of a shared context. Its kernel half stays: that is what sharing is for. */
static void flush_private(struct tlb *t, struct tlb_ctx *c)
{
    if (c->has_private)
        flush_ctx(t, c);
}

/*
 * A context of one ASID may hold global pages beside its own; dropping them too is allowed and costs only refills.
 */
void tlb_flush_asid(struct tlb *t, uint32_t asid)
{
    t->stats.fences++;
    for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
        struct tlb_ctx *c = t->ctx[i];

        if (!c || !c->live || c->view.asid != asid)
            continue;
        if (c->view.shared)
            flush_private(t, c);
        else
            flush_later(t, c);
    }
}

/* Few fences are for code pages, and the bits tell nearly all others apart: the search is rare. */
static void flush_code_at(struct tlb_ctx *c, gva page)
{
    uint64_t vpn = page >> PAGE_BITS;

    if (!(c->code_pages[vpn >> 6 & 63] >> (vpn & 63) & 1))
        return;
    for (uint64_t used = c->code_used; used; used &= used - 1) {
        struct code_at *at = &c->code_at[__builtin_ctzll(used) * CODE_CHUNK];

        for (unsigned i = 0; i < CODE_CHUNK; i++)
            if (at[i].va == page)
                at[i].id = 0;
    }
}

static void flush_page_ctx(struct tlb *t, struct tlb_ctx *c, gva va)
{
    gva page = va & PAGE_MASK;
    unsigned i = TLB_INDEX(page);
    struct l2_entry *e;

    for (unsigned n = 0; n < c->supers; n++)
        if (va >= c->super[n].lo && va <= c->super[n].hi) {
            flush_later(t, c);
            return;
        }
    if (c->rd[i].tag == page)
        c->rd[i].tag = TLB_NONE;
    if (c->wr[i].tag == page)
        c->wr[i].tag = TLB_NONE;
    c->code_id[CODE_SLOT(page)] = 0;
    flush_code_at(c, page);
    e = l2_find(t, page, c->id);
    if (e)
        e->tag = 0;
}

void tlb_flush_page(struct tlb *t, gva va)
{
    t->stats.fences_page++;
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        if (t->ctx[i] && t->ctx[i]->live)
            flush_page_ctx(t, t->ctx[i], va);
}

void tlb_flush_page_asid(struct tlb *t, gva va, uint32_t asid)
{
    t->stats.fences_page++;
    for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
        struct tlb_ctx *c = t->ctx[i];

        if (c && c->live && c->view.asid == asid && (!c->view.shared || c->has_private))
            flush_page_ctx(t, c, va);
    }
}

/* Whether e points into [host, host + len). */
static bool points_into(const struct tlb_entry *e, uint64_t host, uint64_t len)
{
    return e->tag != TLB_NONE && e->tag + e->addend - host < len;
}

static void drop_into(struct tlb_entry *table, uint64_t used, uint64_t host, uint64_t len)
{
    for (; used; used &= used - 1) {
        struct tlb_entry *e = table + __builtin_ctzll(used) * TLB_CHUNK;

        for (unsigned i = 0; i < TLB_CHUNK; i++)
            if (points_into(&e[i], host, len))
                e[i].tag = TLB_NONE;
    }
}

void tlb_drop_write(struct tlb *t, const uint8_t *host) { tlb_drop_writes(t, host, PAGE_SIZE); }

void tlb_drop_writes(struct tlb *t, const uint8_t *host, uint64_t len)
{
    for (unsigned i = 0; i < TLB_CONTEXTS; i++)
        if (t->ctx[i] && t->ctx[i]->live)
            drop_into(t->ctx[i]->wr, t->ctx[i]->wr_used, (uint64_t)(uintptr_t)host, len);
    /* The second level keeps the right: its users look at the page's flags before they fill wr. */
}

void tlb_drop_host(struct tlb *t, const uint8_t *host, uint64_t len)
{
    uint64_t h = (uint64_t)(uintptr_t)host;

    for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
        struct tlb_ctx *c = t->ctx[i];

        if (!c || !c->live)
            continue;
        drop_into(c->rd, c->rd_used, h, len);
        drop_into(c->wr, c->wr_used, h, len);
        clear_code(c);
    }
    for (unsigned s = 0; s < L2_SETS; s++)
        for (unsigned w = 0; w < L2_WAYS; w++) {
            struct l2_entry *e = &t->l2[s].way[w];

            if (e->tag && e->pa & L2_RAM && e->host - h < len)
                e->tag = 0;
        }
}

void tlb_each(struct tlb *t, void (*fn)(void *arg, const struct tlb_ctx *ctx, bool write, const struct tlb_entry *e),
              void *arg)
{
    for (unsigned i = 0; i < TLB_CONTEXTS; i++) {
        const struct tlb_ctx *c = t->ctx[i];

        for (unsigned k = 0; c && c->live && !c->stale && k < TLB_SIZE; k++) {
            if (c->rd[k].tag != TLB_NONE)
                fn(arg, c, false, &c->rd[k]);
            if (c->wr[k].tag != TLB_NONE)
                fn(arg, c, true, &c->wr[k]);
        }
    }
}
