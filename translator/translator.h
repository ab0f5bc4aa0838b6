/*
 * The translator of one machine: blocks, code cache, engines. Shared by its vCPUs.
 */
#ifndef TRANSLATOR_TRANSLATOR_H
#define TRANSLATOR_TRANSLATOR_H

#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

struct bus;
struct isa_ops;
struct log;
struct translator;
struct vcpu;

enum engine { ENGINE_INTERP, ENGINE_IR, ENGINE_JIT, ENGINE_LOCKSTEP };

/*
 * Most blocks of a boot or of a short process run once or twice. Compiling at the fifth time instead of the first took a
 * shell loop that forks from 1.6 s to 1.1 s of CPU, python from 1.1 to 0.9; 16 and 32 lose again.
 */
enum { JIT_AFTER = 4 };

/* Which code is translated for any address it may be mapped at (tb.h): what the ISA says, for tests all or none. */
enum pic { PIC_AUTO, PIC_ALWAYS, PIC_NEVER };

struct translator_options {
    enum engine engine;
    enum engine checked;  /* LOCKSTEP: which engine runs against the interpreter (IR or JIT) */
    uint64_t cache_size;  /* bytes of code cache; 0 = default (32 MiB); at least 64 KiB */
    unsigned jit_after;   /* executions by interp before a block is compiled; 0 = at once */
    enum pic pic;
    bool no_link;         /* for debugging: never link blocks */
    bool perf_map;        /* write /tmp/perf-PID.map */
};

/* Falls back from JIT to interp with a line on stderr where the host refuses executable memory. */
struct translator *translator_new(const struct translator_options *o, const struct isa_ops *isa, struct bus *bus,
                                  struct log *log, struct err *e);
void translator_free(struct translator *t); /* no vCPU runs any more */

/* Why vcpu_run came back. */
enum run_exit {
    RUN_STOP,     /* ATT_STOP */
    RUN_WFI,      /* park, then call again */
    RUN_DEBUG,    /* ATT_DEBUG */
    RUN_DIFFERS,  /* lockstep found a difference, and has printed it: the machine ends with an error */
};
/* Run v until something needs its thread. Serves interrupts and posted work on the way. */
enum run_exit translator_run(struct translator *t, struct vcpu *v);

/* Make v one of its vCPUs: sets v->hooks (fence.i drops blocks whose bytes changed; stores to watched code pages mark them). */
bool translator_attach(struct translator *t, struct vcpu *v); /* false: out of memory, or its index is taken */

/* Forget the blocks of [base, base + len): other memory lies there now (bus_on_remap). Any thread. */
void translator_remapped(struct translator *t, gpa base, uint64_t len);

struct translator_stats {
    uint64_t blocks, guest_bytes, code_bytes, dropped, evictions, lookups, links, interp_insns, fence_i;
    uint64_t cache_used, cache_size;
};
/* Forget every block: RAM was replaced under the translator's feet (reset with a reload, restore). Any thread; vCPUs stopped. */
void translator_flush(struct translator *t);

void translator_get_stats(const struct translator *t, struct translator_stats *s);
const char *engine_name(enum engine e);
void translator_print_info(const struct translator *t, FILE *f); /* info jit */

#endif
