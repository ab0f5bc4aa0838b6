/*
 * Translated blocks, and the contract between the execution loop and a host back end.
 *
 * Life of a block: exec.c misses in the jump cache and the hash of tb.c; isa->decode makes a guest_block, isa->translate
 * IR, host->compile code. Exits to a known pc are *linked*: the first time through they return to the loop, which finds
 * the target and patches the jump. A link inside one gva page goes to `entry`; one across pages, and every indirect
 * jump, goes to `entry_checked`, which first compares v->ctx->code_id[slot] with the block's page id and returns to the
 * loop on a mismatch (the loop fetches through the MMU, sets the slot, and comes back).
 * Position-independent blocks (TB_PIC in mode) are translated once for a physical page and serve every address it is
 * mapped at: their pc and the targets of their links count from the start of the page, whose gva v->pc_page holds while
 * they run. A shell that forks spent two thirds of its time on translating libc again for each process without them. Their
 * page has one id per mode; entry_checked takes the full pc, compares v->ctx->code_at[CODE_ENTRY(id)] with id and page,
 * and sets pc_page. Links between the two kinds are not made.
 * A block dies when its page was written and fence.i finds its bytes changed, or when its arena is evicted: it leaves the
 * hash, incoming links are unlinked, jump-cache entries purged; its memory is used again when every vCPU has polled since.
 */
#ifndef TRANSLATOR_TB_H
#define TRANSLATOR_TB_H

#include "base/types.h"
#include "cpu/isa.h"
#include "translator/ir.h"

struct err;
struct translator;
struct tlb_ctx;
struct vcpu;
struct tb;

enum { TB_PIC = 256 }; /* in tb->mode, above the bits of isa->mode() */
enum { TB_LINKS = 16 }; /* exits to known pcs that can be linked; further ones are jumps through the jump cache */

struct tb_link {
    gva target;         /* TB_PIC: from the start of the page of the block that jumps */
    struct tb *to;      /* NULL: not linked; changed under the translator's lock, read without */
    struct tb *next_in; /* incoming list of `to`: next block and the index of its link */
    uint32_t patch;     /* offset of the patchable displacement in the code cache */
    uint32_t unlinked;  /* offset of the stub the displacement leads to when not linked */
    uint8_t next_in_index;
};

struct tb {
    gva pc;          /* TB_PIC: the offset in its page */
    gva seen;        /* where it was met first, for people */
    gpa phys, phys2; /* see struct guest_block */
    uint32_t mode;
    uint16_t count, bytes;
    uint32_t code_id, code_id2; /* page ids; code_id2 = 0 unless the block straddles */
    _Atomic bool dead;
    _Atomic bool jumped_to; /* it is, or was, in a jump cache */
    bool compiled;     /* runnable by the engine; else by isa->interp only (cold, or the back end cannot take it) */
    uint8_t link_room; /* entries of link: at most TB_LINKS, enough for every brcond and jump of the IR up to that */
    uint8_t nlinks;    /* set by compile */
    uint8_t in_index;
    uint8_t adopted_by; /* arena that lists it without code, plus 1 (cache_adopt) */
    struct tb_link *link;
    const void *entry, *entry_checked; /* execute alias; NULL for engines without code */
    uint32_t code_offset, code_size;   /* in the code cache */
    uint16_t ir_count;
    struct ir_insn *ir;      /* host_ir: the block's own copy of the IR */
    void *insns;             /* decoded instructions (count of them); exec operations point into it */
    uint64_t source_hash;    /* of its guest bytes */
    uint32_t runs;           /* by isa->interp, while not compiled */
    struct tb *in_first;     /* incoming links: blocks that jump here, and the index of their link (in_index) */
    struct tb *hash_next, *page_next[2], *page_prev[2], *arena_next, *retired_next;
    struct tb_ids *ids[2];   /* where code_id and code_id2 come from */
    struct tb **arena_at;    /* what points to it in its arena's list; NULL: not in one */
    uint64_t retired_at;     /* epoch; see translator/state.h */
};

/* Why generated code came back to the loop. v->pc is where execution continues (FAULT: the faulting instruction). */
enum tb_exit_kind {
    TB_EXIT_LINK,      /* direct exit `index` of `tb`, not linked */
    TB_EXIT_LOOKUP,    /* indirect target not in the jump cache, or the view changed, or a page id did not match */
    TB_EXIT_FAULT,     /* v->fault: deliver v->trap */
    TB_EXIT_ATTENTION, /* v->attention was set at a poll */
    TB_EXIT_INTERP,    /* run the block at v->pc by isa->interp (FP state the host cannot hold) */
};

struct tb_exit {
    enum tb_exit_kind kind;
    struct tb *tb;
    unsigned index;
};

/* A host back end: one constant struct. */
struct host_ops {
    const char *name;
    bool needs_cache; /* generates code into the code cache */
    /* Once per translator: emit the common stubs. e: executable memory refused, CPU feature missing... */
    bool (*init)(struct translator *t, struct err *e);
    void (*fini)(struct translator *t);
    /*
     * Compile ir for tb under the translator's lock: sets entry..., link[0..nlinks), commits to the cache.
     * TB_NO_SPACE: cache_reserve refused (the caller makes room and retries, or interprets meanwhile).
     */
    enum tb_compiled { TB_COMPILED, TB_NO_SPACE, TB_TOO_BIG } (*compile)(struct translator *t, struct tb *tb, const struct ir *ir);
    /*
     * Run from tb (its page ids already verified for v->ctx, v->pc at it) until an exit. FP state is in v->f and
     * fp_live 0 before and after; v->pc, npc, icount are exact after. INTERP exits have v->pc at a block's start.
     */
    struct tb_exit (*run)(struct vcpu *v, struct tb *tb);
    /*
     * Patch an exit; other vCPUs may be running it. Called under the lock after link[index].to is set (link) or cleared.
     * same_page: target and source share gva page and page id, so the jump may go to `entry`; else to entry_checked.
     */
    void (*link)(struct translator *t, struct tb *from, unsigned index, struct tb *to, bool same_page);
    void (*unlink)(struct translator *t, struct tb *from, unsigned index);
};

extern const struct host_ops host_ir;
extern const struct host_ops host_x86_64;
extern const struct host_ops *const host_jit; /* the back end of the host we run on (engines.c); NULL: there is none */

/*
 * The table of blocks: by (phys, pc, mode) for lookups, by physical page for invalidation. Lookups take no lock (a reader
 * has polled since the block was retired or sees it dead); everything else is called under the translator's lock.
 */
struct tb_ids { /* a page id of one physical page, while blocks have it */
    struct tb_ids *next, *prev;
    gva page;
    uint32_t mode, id;
    uint32_t blocks;
};

struct code_page {
    gpa page;
    struct tb *first;         /* blocks with bytes in it, through page_next[tb_page_index] */
    struct tb_ids *ids;
    struct code_page *hash_next, *dirty_next;
    uint8_t *flags;           /* PAGE_* of a RAM page; NULL: ROM, whose owner tells of changes */
    uint8_t *host;            /* of the RAM page */
    bool dirty;               /* on the dirty list: fence.i compares its blocks with their bytes */
    uint64_t armed_at;        /* epoch of arming: while a vCPU has not polled since, it may hold a write entry */
};

struct tb_table {
    struct tb **bucket;
    unsigned bits;
    struct code_page **page_bucket;
    unsigned page_bits;
    struct code_page *dirty;
    uint32_t last_id;
    uint64_t blocks, pages;
};

bool tb_table_init(struct tb_table *tt, uint64_t expected_blocks);
void tb_table_fini(struct tb_table *tt); /* frees every block left */

/* A block for a decoded piece of code: insns copied; not in the table yet. NULL: out of memory. */
struct tb *tb_new(const struct isa_ops *isa, const struct guest_block *b);
/* The pc by which a block of this mode is known. */
static inline gva tb_pc(gva pc, uint32_t mode) { return mode & TB_PIC ? pc & ~PAGE_MASK : pc; }
/* tb's pages are where pc, its address, says: its ids hold in c. */
bool tb_ids_hold(const struct tlb_ctx *c, const struct tb *tb, gva pc);
void tb_set_ids(struct tlb_ctx *c, const struct tb *tb, gva pc);
bool tb_room_for_links(struct tb *tb, const struct ir *ir); /* false: out of memory */
void tb_free(struct tb *tb);

struct tb *tb_find(const struct tb_table *tt, gpa phys, gva pc, uint32_t mode); /* pc: of tb_pc; any thread; phys2 is for the caller to check */
/* Enter tb (ids are given to it). false: out of memory. */
bool tb_insert(struct tb_table *tt, struct tb *tb);
void tb_remove(struct tb_table *tt, struct tb *tb); /* from hash and pages; a page without blocks keeps its record while armed */

struct code_page *tb_page(const struct tb_table *tt, gpa page);    /* NULL: not known */
struct code_page *tb_page_get(struct tb_table *tt, gpa page);      /* made when needed; NULL: out of memory */
void tb_page_drop(struct tb_table *tt, struct code_page *p);       /* no blocks and not dirty: forget it */
static inline struct tb **tb_page_next(struct tb *tb, const struct code_page *p) /* tb's link in p's list */
{
    return &tb->page_next[(tb->phys & PAGE_MASK) != p->page];
}

void tb_link(struct tb *from, unsigned index, struct tb *to); /* lists only; the back end patches */
void tb_unlink_out(struct tb *from, unsigned index);
uint64_t source_hash(const void *bytes, size_t len, uint64_t seed);

#endif
