/*
 * Live counters of a machine: instructions, traps by cause, TLB, translator, disks, networks.
 *
 * Whoever counts goes on counting: a sample is relaxed reads of numbers that other threads write, so two numbers of one
 * sample may be some microseconds apart, and no vCPU stops. Samples are taken on the loop's thread, when somebody asks
 * (a panel that is shown, the monitor); a minute and a half of them is kept.
 */
#ifndef FRONTEND_COUNTERS_H
#define FRONTEND_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct machine;

enum {
    COUNTER_INSNS,
    COUNTER_EXCEPTION, /* by cause: privileged specification, mcause */
    COUNTER_EXCEPTION_LAST = COUNTER_EXCEPTION + 23,
    COUNTER_INTERRUPT,
    COUNTER_INTERRUPT_LAST = COUNTER_INTERRUPT + 15,
    COUNTER_TLB_MISSES,
    COUNTER_TLB_SECOND,
    COUNTER_TLB_WALKS,
    COUNTER_TLB_FILLS,
    COUNTER_TLB_FENCES,
    COUNTER_BLOCKS,
    COUNTER_CODE_BYTES,
    COUNTER_BLOCKS_DROPPED,
    COUNTER_EVICTIONS,
    COUNTER_LOOKUPS,
    COUNTER_INTERPRETED,
    COUNTER_CACHE_USED, /* these two are levels, not counts */
    COUNTER_CACHE_SIZE,
    COUNTER_DISK_READS,
    COUNTER_DISK_WRITES,
    COUNTER_DISK_READ_BYTES,
    COUNTER_DISK_WRITE_BYTES,
    COUNTER_NET_IN_FRAMES, /* to the guest */
    COUNTER_NET_OUT_FRAMES,
    COUNTER_NET_IN_BYTES,
    COUNTER_NET_OUT_BYTES,
    COUNTER_KINDS,
    COUNTER_SAMPLES = 96,
};

struct counter_sample {
    uint64_t ns; /* host's monotonic clock */
    uint64_t value[COUNTER_KINDS];
};

/* "instructions", "tlb.walks", "exceptions.load page fault"; NULL: a cause that does not exist. Constant. */
const char *counter_name(unsigned counter);
bool counter_is_level(unsigned counter);
/* Loop's thread, or before it runs. */
void counter_read(struct machine *m, struct counter_sample *s);

/* What was sampled, newest last. Owned by the machine; functions but new and free: any thread. */
struct counter_log;

struct counter_log *counter_log_new(struct machine *m); /* NULL: out of memory */
void counter_log_free(struct counter_log *l);           /* the loop does not run */
void counter_log_ask(struct counter_log *l);            /* one more sample, soon */
/* The newest, at most max of them; *out is filled from the oldest on. */
unsigned counter_log_get(struct counter_log *l, struct counter_sample *out, unsigned max);
/* Now, on the loop's thread; the one before, when there is one, in *before (ns 0: none). */
void counter_log_take(struct counter_log *l, struct counter_sample *now, struct counter_sample *before);

/* `info counters [-j]` */
void counters_print(const struct counter_sample *now, const struct counter_sample *before, FILE *out);
void counters_print_json(const struct counter_sample *now, const struct counter_sample *before, FILE *out);

#endif
