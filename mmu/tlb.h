/*
 * The soft TLB of one vCPU: translated addresses at hand for generated code, tagged by address space.
 *
 * A context (struct tlb_ctx) serves one *view*: an address space seen with one privilege (RISC-V: U, S, S with SUM,
 * M...). v->ctx points to the current one and generated code keeps it in a register, so a write to satp or a trap
 * swaps a pointer and flushes nothing. Contexts come from a small pool, least recently used first.
 *
 *   rd, wr    first level, direct-mapped, separate for loads and stores; an entry with a matching tag means: RAM,
 *             permitted, accessed (wr: dirty) bit set, not watched. Host address = gva + addend.
 *   code_id   which code page (translator's id of one gva page + gpa page + mode) is mapped and executable here,
 *             slot CODE_SLOT(pc); 0 = unknown. Fences clear it.
 *   code_at   where the code pages are that a context may have anywhere (position-independent blocks, translator/tb.h):
 *             entry CODE_ENTRY(id) holds the page's id and gva. Fences clear it too.
 *
 * Behind the contexts: a second level per vCPU (set-associative, tagged by the context's id), consulted on a miss
 * before the page walk. Invalid translations are never cached (Svvptc).
 *
 * Only the owning vCPU's thread calls these functions; other threads post work to it.
 */
#ifndef MMU_TLB_H
#define MMU_TLB_H

#include "base/types.h"

enum {
    TLB_BITS = 12, /* arrays 8 MiB apart share no entries: a stream over three of them took 1.9 s at 10 bits, 0.04 s at 12 */
    TLB_SIZE = 1 << TLB_BITS,
    CODE_SLOTS = 8192, /* 32 MiB: with 4 MiB the parts of Linux took turns, 1,400 times for a fork and exec */
    CODE_BITS = 12,
    CODE_ENTRIES = 1 << CODE_BITS,
    TLB_CONTEXTS = 16,
    TLB_RANGES = 4,
};
enum { TLB_CHUNK = TLB_SIZE / 64 };
#define TLB_NONE UINT64_C(1) /* a tag or pc that matches nothing */
#define TLB_INDEX(va) (((va) >> PAGE_BITS) & (TLB_SIZE - 1))
#define CODE_SLOT(pc) (((pc) >> PAGE_BITS) & (CODE_SLOTS - 1))
#define CODE_ENTRY(id) ((id) & (CODE_ENTRIES - 1))
enum { CODE_CHUNK = CODE_ENTRIES / 64, SLOT_CHUNK = CODE_SLOTS / 64 };

struct tlb_entry {
    uint64_t tag;    /* gva of the page, or TLB_NONE */
    uint64_t addend; /* host address minus gva */
};

struct code_at {
    gva va;      /* page base */
    uint32_t id; /* 0: nothing */
};

struct tlb_view {
    uint32_t regime; /* the ISA's number of translation regime and privilege view, < 256 */
    uint32_t asid;   /* < 65536; 0 where the regime has none */
    bool shared;     /* one context for all ASIDs (kernel view: global pages; others in it are dropped on an ASID change) */
};

struct tlb_ctx {
    struct tlb_entry rd[TLB_SIZE];
    struct tlb_entry wr[TLB_SIZE];
    uint32_t code_id[CODE_SLOTS];
    struct code_at code_at[CODE_ENTRIES];
    struct tlb_view view;
    uint64_t rd_used, wr_used; /* a bit per TLB_CHUNK entries: those not all TLB_NONE; a flush clears only them */
    uint64_t slots_used;       /* likewise of code_id, a bit per SLOT_CHUNK */
    uint64_t code_used;        /* and of code_at, a bit per CODE_CHUNK */
    uint64_t code_pages[64];   /* a bit per virtual page modulo their number: pages without one are not in code_at */
    uint64_t id; /* tag of the second level; a new one after a full flush */
    uint64_t used;
    bool live, has_private; /* private: a non-global entry in a shared context */
    bool stale;             /* flushed while another was current: emptied when it is switched to */
    struct tlb_range { gva lo, hi; } super[TLB_RANGES]; /* [lo, hi] with entries from superpages: a fence inside drops the context */
    unsigned supers;
};

/* Enter a page of RAM into the first level. va, host: of the page. */
static inline void tlb_set_read(struct tlb_ctx *c, gva va, const uint8_t *host)
{
    c->rd[TLB_INDEX(va)] = (struct tlb_entry){va, (uint64_t)(uintptr_t)host - va};
    c->rd_used |= UINT64_C(1) << TLB_INDEX(va) / TLB_CHUNK;
}
static inline void tlb_set_write(struct tlb_ctx *c, gva va, uint8_t *host)
{
    c->wr[TLB_INDEX(va)] = (struct tlb_entry){va, (uint64_t)(uintptr_t)host - va};
    c->wr_used |= UINT64_C(1) << TLB_INDEX(va) / TLB_CHUNK;
}

/* The code page `id` is mapped and executable at va (of a place in it). */
static inline void tlb_set_code_id(struct tlb_ctx *c, gva va, uint32_t id)
{
    c->code_id[CODE_SLOT(va)] = id;
    c->slots_used |= UINT64_C(1) << CODE_SLOT(va) / SLOT_CHUNK;
}
/* Likewise of one that may be anywhere; va: page base. */
static inline void tlb_set_code_at(struct tlb_ctx *c, gva va, uint32_t id)
{
    uint64_t vpn = va >> PAGE_BITS;

    c->code_at[CODE_ENTRY(id)] = (struct code_at){va, id};
    c->code_used |= UINT64_C(1) << CODE_ENTRY(id) / CODE_CHUNK;
    c->code_pages[vpn >> 6 & 63] |= UINT64_C(1) << (vpn & 63);
}

/* What a walk found, or the second level kept. */
struct tlb_page {
    gva va;           /* page base */
    gpa pa;           /* page base */
    uint8_t *host;    /* NULL: MMIO, never cached in rd/wr */
    uint64_t span;    /* bytes mapped by the leaf entry (4 KiB, 64 KiB NAPOT, 2 MiB, ...) */
    bool read, write, exec; /* allowed in this view, with A (and D for write) already set */
    bool global;
};

struct tlb_stats {
    uint64_t misses, l2_hits, walks, fills, fences, fences_page, switches, ctx_evicted;
};

struct tlb;

struct tlb *tlb_new(void); /* NULL: out of memory */
void tlb_free(struct tlb *t);
struct tlb_stats *tlb_stats(struct tlb *t);

/* The context of the view, live and ready; may evict another. Valid until the next tlb_switch. */
struct tlb_ctx *tlb_switch(struct tlb *t, struct tlb_view view);

/* Second level: true when va's page is known in ctx with the right asked for ('r', 'w', 'x'); *page filled. */
bool tlb_find(struct tlb *t, const struct tlb_ctx *ctx, gva va, char right, struct tlb_page *page);
/* Remember a page in both levels. write is entered in wr only when the caller found the page unwatched. */
void tlb_fill(struct tlb *t, struct tlb_ctx *ctx, const struct tlb_page *page);

/* sfence.vma in its four forms; asid -1 = all, and global pages too; one ASID leaves global pages alone. */
void tlb_flush_all(struct tlb *t);
void tlb_flush_asid(struct tlb *t, uint32_t asid);
void tlb_flush_page(struct tlb *t, gva va);
void tlb_flush_page_asid(struct tlb *t, gva va, uint32_t asid);

/* Drop write rights to a physical page (host address of the page) from every context and the second level. */
void tlb_drop_write(struct tlb *t, const uint8_t *host);
/* Likewise to [host, host + len): in one pass, whatever len is. */
void tlb_drop_writes(struct tlb *t, const uint8_t *host, uint64_t len);
/* Drop everything that points into [host, host + len) (unmap, watchpoints). */
void tlb_drop_host(struct tlb *t, const uint8_t *host, uint64_t len);

/* For info tlb: calls fn for each live first-level entry. */
void tlb_each(struct tlb *t, void (*fn)(void *arg, const struct tlb_ctx *ctx, bool write, const struct tlb_entry *e), void *arg);

#endif
