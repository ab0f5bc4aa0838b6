/* Live counters. See counters.h. */
#include "frontend/counters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/loop.h"
#include "cpu/riscv/rv.h"
#include "cpu/riscv/trap.h"
#include "frontend/machine.h"
#include "frontend/machine_net.h"
#include "images/block.h"
#include "netstack/port.h"

/* A number another thread writes. */
static uint64_t peek(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }

static void read_hart(const struct rv *c, uint64_t *v)
{
    const struct tlb_stats *t = tlb_stats(c->v.tlb);

    v[COUNTER_INSNS] += peek(&c->v.icount);
    for (unsigned i = 0; i <= COUNTER_EXCEPTION_LAST - COUNTER_EXCEPTION; i++)
        v[COUNTER_EXCEPTION + i] += rv_trap_count(c, false, i);
    for (unsigned i = 0; i <= COUNTER_INTERRUPT_LAST - COUNTER_INTERRUPT; i++)
        v[COUNTER_INTERRUPT + i] += rv_trap_count(c, true, i);
    v[COUNTER_TLB_MISSES] += peek(&t->misses);
    v[COUNTER_TLB_SECOND] += peek(&t->l2_hits);
    v[COUNTER_TLB_WALKS] += peek(&t->walks);
    v[COUNTER_TLB_FILLS] += peek(&t->fills);
    v[COUNTER_TLB_FENCES] += peek(&t->fences) + peek(&t->fences_page);
}

static void read_translator(const struct machine *m, uint64_t *v)
{
    struct translator_stats s;

    translator_get_stats(machine_translator(m), &s);
    v[COUNTER_BLOCKS] = s.blocks;
    v[COUNTER_CODE_BYTES] = s.code_bytes;
    v[COUNTER_BLOCKS_DROPPED] = s.dropped;
    v[COUNTER_EVICTIONS] = s.evictions;
    v[COUNTER_LOOKUPS] = s.lookups;
    v[COUNTER_INTERPRETED] = s.interp_insns;
    v[COUNTER_CACHE_USED] = s.cache_used;
    v[COUNTER_CACHE_SIZE] = s.cache_size;
}

static void read_disks(const struct machine *m, uint64_t *v)
{
    struct block *b;
    const char *id;

    for (unsigned i = 0; (b = machine_drive(m, i, &id)) != NULL; i++) {
        struct block_info info;

        block_get_info(b, &info);
        v[COUNTER_DISK_READS] += info.reads;
        v[COUNTER_DISK_WRITES] += info.writes;
        v[COUNTER_DISK_READ_BYTES] += info.read_bytes;
        v[COUNTER_DISK_WRITE_BYTES] += info.write_bytes;
    }
}

/* Both ends of the cable at each network: what the far one sent came to the guest. */
static void read_nets(struct machine *m, uint64_t *v)
{
    struct net_link *l;

    for (unsigned i = 0; (l = machine_net(m, i)) != NULL; i++) {
        struct net_port *guest = l->port ? net_port_peer(l->port) : NULL;

        if (!guest)
            continue;
        v[COUNTER_NET_IN_FRAMES] += peek(&l->port->sent.frames);
        v[COUNTER_NET_IN_BYTES] += peek(&l->port->sent.bytes);
        v[COUNTER_NET_OUT_FRAMES] += peek(&guest->sent.frames);
        v[COUNTER_NET_OUT_BYTES] += peek(&guest->sent.bytes);
    }
}

void counter_read(struct machine *m, struct counter_sample *s)
{
    struct timespec ts;

    memset(s, 0, sizeof *s);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    s->ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
    for (unsigned i = 0; i < machine_vcpus(m); i++)
        read_hart(machine_hart(m, i), s->value);
    read_translator(m, s->value);
    read_disks(m, s->value);
    read_nets(m, s->value);
}

/* --- the log --- */

struct counter_log {
    struct machine *m;
    struct loop_call call;
    pthread_mutex_t lock; /* of what follows */
    struct counter_sample *ring;
    unsigned head, count;
};

static void push(struct counter_log *l, const struct counter_sample *s)
{
    l->ring[(l->head + l->count) % COUNTER_SAMPLES] = *s;
    if (l->count < COUNTER_SAMPLES)
        l->count++;
    else
        l->head = (l->head + 1) % COUNTER_SAMPLES;
}

void counter_log_take(struct counter_log *l, struct counter_sample *now, struct counter_sample *before)
{
    counter_read(l->m, now);
    pthread_mutex_lock(&l->lock);
    before->ns = 0;
    if (l->count)
        *before = l->ring[(l->head + l->count - 1) % COUNTER_SAMPLES];
    push(l, now);
    pthread_mutex_unlock(&l->lock);
}

static void take(void *arg)
{
    struct counter_sample now, before;

    counter_log_take(arg, &now, &before);
}

struct counter_log *counter_log_new(struct machine *m)
{
    struct counter_log *l = calloc(1, sizeof *l);

    if (l)
        l->ring = calloc(COUNTER_SAMPLES, sizeof *l->ring);
    if (!l || !l->ring) {
        free(l);
        return NULL;
    }
    l->m = m;
    pthread_mutex_init(&l->lock, NULL);
    loop_call_init(&l->call, machine_loop(m), take, l);
    return l;
}

void counter_log_free(struct counter_log *l)
{
    if (!l)
        return;
    loop_call_cancel(&l->call);
    pthread_mutex_destroy(&l->lock);
    free(l->ring);
    free(l);
}

void counter_log_ask(struct counter_log *l) { loop_call(&l->call); }

unsigned counter_log_get(struct counter_log *l, struct counter_sample *out, unsigned max)
{
    unsigned n;

    pthread_mutex_lock(&l->lock);
    n = l->count < max ? l->count : max;
    for (unsigned i = 0; i < n; i++)
        out[i] = l->ring[(l->head + l->count - n + i) % COUNTER_SAMPLES];
    pthread_mutex_unlock(&l->lock);
    return n;
}
