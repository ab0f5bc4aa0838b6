/*
 * Translated blocks, and the contract between the execution loop and a host back end.
 *
 * Life of a block: exec.c misses in the jump cache and the hash of tb.c; isa->decode makes a guest_block, isa->translate
 * IR, host->compile code. Exits to a known pc are *linked*: the first time through they return to the loop, which finds
 * the target and patches the jump. A link inside one gva page goes to `entry`; one across pages, and every indirect
 * jump, goes to `entry_checked`, which first compares v->ctx->code_id[slot] with the block's page id and returns to the
 * loop on a mismatch (the loop fetches through the MMU, sets the slot, and comes back).
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
struct vcpu;
struct tb;

enum { TB_LINKS = 16 }; /* exits to known pcs that can be linked; further ones are jumps through the jump cache */

struct tb_link {
    gva target;
    struct tb *to;          /* NULL: not linked */
    struct tb *next_in;     /* incoming list of `to`: next block and the index of its link */
    uint8_t next_in_index;
    uint32_t patch;         /* offset of the patchable displacement in the code cache */
    uint32_t unlinked;      /* offset of the stub the displacement leads to when not linked */
};

struct tb {
    gva pc;
    gpa phys, phys2; /* see struct guest_block */
    uint32_t mode;
    uint16_t count, bytes;
    uint32_t code_id, code_id2; /* page ids; code_id2 = 0 unless the block straddles */
    uint64_t source_hash;       /* of its guest bytes */
    const void *entry, *entry_checked; /* execute alias; NULL for engines without code */
    uint32_t code_size;
    void *insns;             /* T0: decoded instructions; JIT and IR: those that exec operations point to */
    struct ir_insn *ir;      /* host_ir */
    uint16_t ir_count;
    _Atomic bool dead;
    unsigned nlinks;
    struct tb_link link[TB_LINKS];
    struct tb *in_first; /* incoming links */
    uint8_t in_index;
    struct tb *hash_next, *page_next;
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
    /* Compile ir for tb. false: out of cache space (the caller evicts and retries) or ir does not fit. */
    bool (*compile)(struct translator *t, struct tb *tb, const struct ir *ir);
    /* Run from tb until an exit. FP state is in v->f and fp_live 0 before and after. */
    struct tb_exit (*run)(struct vcpu *v, struct tb *tb);
    void (*link)(struct translator *t, struct tb *from, unsigned index, struct tb *to); /* patch; other vCPUs may be running it */
    void (*unlink)(struct translator *t, struct tb *from, unsigned index);
};

extern const struct host_ops host_ir;
extern const struct host_ops host_x86_64;

#endif
