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
enum { TRANSLATOR_VCPUS = 512, RECENT_SIZE = 4096 };

struct lockstep;

/* The loop's memory of one vCPU: blocks by pc, so that most passes need neither the MMU nor the table. */
struct translator_vcpu {
    struct vcpu *v;
    uint64_t seen_epoch; /* recent[] holds nothing retired before it */
    struct tb *recent[RECENT_SIZE];
    uint8_t *insns;      /* room to decode into: BLOCK_MAX_INSNS */
    struct ir ir;
    struct vcpu_work drop; /* posted to it: run drop_fn */
    uint64_t lookups, interp_insns;
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
    uint64_t epoch;              /* atomic; see above */
    struct tb *retired;          /* newest first */
    uint64_t arena_retired[64];  /* epoch at which a DYING arena was evicted; 0: none */
    bool arena_dying[64];
    struct translator_vcpu *per[TRANSLATOR_VCPUS]; /* by vcpu->index */
    unsigned vcpus;
    struct translator_stats stats; /* under lock */
    struct vcpu_hooks hooks;
    struct lockstep *lockstep;
    FILE *perf;
};

/* invalidate.c */
void invalidate_fence_i(void *arg, struct vcpu *v);
void invalidate_page_written(void *arg, gpa page, uint8_t *page_flags);
void invalidate_range(void *arg, gpa addr, uint64_t len); /* bus_code_written */
/* Under the lock: make p noticed when written. Before its bytes are decoded. */
void page_arm(struct translator *t, struct vcpu *v, struct code_page *p);
bool page_settled(const struct translator *t, const struct code_page *p); /* a store by anyone since arming is known */

/* reclaim.c; all under the lock */
void tb_kill(struct translator *t, struct tb *tb);       /* dead from now on: unlinked, purged, retired at the next epoch */
void reclaim_new_epoch(struct translator *t);            /* after a batch of tb_kill */
void reclaim_run(struct translator *t);                  /* free what every vCPU has left behind */
bool reclaim_quiet(const struct translator *t, uint64_t epoch);
bool reclaim_make_room(struct translator *t);            /* false: no arena free yet; laggards were kicked */
void reclaim_keep_ahead(struct translator *t);           /* evict the oldest arena in time */

#endif
