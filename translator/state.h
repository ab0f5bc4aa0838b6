/*
 * The translator's own state, for the files of this folder and its back ends.
 *
 * One lock guards blocks, links, the code cache and page records. vCPUs hold it to find or make blocks the lock-free
 * lookup did not know; running code never takes it.
 *
 * Reclaiming (quiescent states): retired memory carries the epoch of its retirement, and is used again when every
 * vCPU has stored an epoch at least as new in v->poll_epoch, which each does at every pass of the loop, when it holds no
 * pointer to a block. A vCPU outside translator_run, or waiting for the lock, counts as EPOCH_AWAY.
 */
#ifndef TRANSLATOR_STATE_H
#define TRANSLATOR_STATE_H

#include <pthread.h>

#include "cpu/isa.h"
#include "cpu/vcpu.h"
#include "translator/cache.h"
#include "translator/ir.h"
#include "translator/tb.h"
#include "translator/translator.h"

#define EPOCH_AWAY UINT64_MAX
enum { TRANSLATOR_VCPUS = 512, RECENT_SIZE = 4096, DROP_MAX = 32 };

struct lockstep;

/* The loop's memory of one vCPU: blocks by pc, so that most passes need neither the MMU nor the table. */
struct translator_vcpu {
    struct vcpu *v;
    uint64_t seen_epoch; /* recent[] holds nothing retired at or before it */
    struct tb *recent[RECENT_SIZE];
    uint8_t *insns;      /* room to decode into: BLOCK_MAX_INSNS */
    uint8_t source[BLOCK_MAX_BYTES]; /* what was decoded */
    struct ir ir;
    /* pages it must drop its write rights to; under the translator's lock */
    uint8_t *drop[DROP_MAX];
    unsigned drops;      /* more than DROP_MAX: all */
    bool drop_posted;
    struct vcpu_work drop_work;
    struct translator *t;
    uint64_t lookups, interp_insns; /* own thread */
};

struct translator {
    struct translator_options o;
    const struct isa_ops *isa;
    struct bus *bus;
    struct log *log;
    const struct host_ops *host; /* NULL: interpreter only */
    void *host_state;            /* the back end's */
    struct cache *cache;         /* NULL unless host->needs_cache */
    pthread_mutex_t lock;
    struct tb_table tbs;
    bool fencing;                /* atomic; a fence.i is comparing pages it took off the dirty list */
    uint64_t epoch;              /* atomic; see above */
    uint64_t kill_epoch;         /* atomic; the newest epoch at which a block was retired */
    struct tb *retired;          /* newest first */
    uint64_t arena_retired[64];  /* epoch at which a DYING arena is free; 0: it is not dying */
    struct translator_vcpu *per[TRANSLATOR_VCPUS]; /* by vcpu->index */
    unsigned vcpus;
    struct translator_stats stats; /* under lock */
    struct vcpu_hooks hooks;
    struct lockstep *lockstep;
    FILE *perf;
};

static inline struct translator_vcpu *translator_of(const struct translator *t, const struct vcpu *v)
{
    return t->per[v->index];
}

/* block.c: find or make the block at v->pc, for v's view; its page ids are then in v->ctx. NULL: a fetch fault (v->trap). */
struct tb *block_at(struct translator *t, struct vcpu *v);
bool block_compile(struct translator *t, struct vcpu *v, struct tb *tb); /* of one not compiled yet; false: interpret it */
void block_interp(struct translator *t, struct vcpu *v, const struct tb *tb); /* once; a fault is delivered */
struct guest_block block_guest(const struct tb *tb);

/* invalidate.c */
void invalidate_fence_i(void *arg, struct vcpu *v);
void invalidate_page_written(void *arg, gpa page, uint8_t *page_flags);
void invalidate_range(void *arg, gpa addr, uint64_t len); /* bus_code_written */
/* Under the lock: make writes to p noticed, if they are not yet. Before its bytes are decoded. v: the calling vCPU. */
void page_arm(struct translator *t, struct vcpu *v, struct code_page *p);
bool source_changed(struct translator *t, const struct tb *tb); /* its bytes are not those it was made from */
/* A store by anyone since arming is known; false: blocks of p are checked at each fence.i. */
bool code_page_watched(const struct translator *t, const struct code_page *p);
void page_dirty(struct translator *t, struct code_page *p); /* onto the list of fence.i */
void drop_write_rights(struct vcpu *v, void *arg);          /* the posted work */

/* reclaim.c; all under the lock */
void tb_kill(struct translator *t, struct tb *tb); /* dead from now on: unlinked, purged, retired at the next epoch */
void reclaim_new_epoch(struct translator *t);      /* after a batch of tb_kill */
uint64_t reclaim_quiet(const struct translator *t); /* what was retired up to this epoch nobody uses */
void reclaim_run(struct translator *t);            /* free it */
void reclaim_keep_ahead(struct translator *t, const struct vcpu *v); /* evict the oldest arena in time; v: the caller */

/* dump.c */
void dump_guest(struct translator *t, struct vcpu *v, const struct tb *tb);
void dump_ir(struct translator *t, const struct tb *tb, const struct ir *ir);
void dump_host(struct translator *t, const struct tb *tb);
void dump_block(struct vcpu *v, gva pc, unsigned bytes, FILE *f); /* guest disassembly */

/* lockstep.c */
struct lockstep *lockstep_new(struct translator *t);
void lockstep_free(struct lockstep *l);
bool lockstep_step(struct translator *t, struct vcpu *v, struct tb *tb); /* false: a difference, printed */

#endif
