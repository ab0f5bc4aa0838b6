/*
 * Lockstep's hand on a vCPU's memory and time: two engines run the same block and must see the same world.
 *
 * v->trace is NULL outside lockstep. With it set, clocks read by the guest (time, cycle) come from `now`.
 * While `log` is set, too (the trial run): every write to guest RAM made on the vCPU's behalf is recorded with
 * the bytes it replaces, before it happens (trace_write); MMIO is not done: the access sets mmio_seen and fails like
 * a fault (the trial is thrown away); nothing is filled into v->ctx, which is an empty context of the tracer, so
 * that every access takes the slow path. Owner: translator/lockstep.c; used on the vCPU's thread only.
 */
#ifndef CPU_TRACE_H
#define CPU_TRACE_H

#include <string.h>

#include "base/types.h"

enum { TRACE_WRITES = 1024 };

struct trace_entry {
    uint8_t *host;
    uint32_t size; /* <= 16 */
    uint8_t old[16], new[16]; /* new: filled in by the tracer when the run is over */
};

struct mem_trace {
    bool log;
    bool mmio_seen;
    bool overflow; /* more than TRACE_WRITES: the trial proves nothing */
    uint64_t now;  /* ns of the vCPU's clock, in both runs */
    unsigned count;
    struct trace_entry entry[TRACE_WRITES];
};

/* len bytes at host are about to be written. Call only while t && t->log. */
static inline void trace_write(struct mem_trace *t, void *host, uint64_t len)
{
    uint8_t *p = host;

    while (len) {
        uint32_t n = len < 16 ? (uint32_t)len : 16;

        if (t->count == TRACE_WRITES) {
            t->overflow = true;
            return;
        }
        t->entry[t->count].host = p;
        t->entry[t->count].size = n;
        memcpy(t->entry[t->count++].old, p, n);
        p += n;
        len -= n;
    }
}

#endif
