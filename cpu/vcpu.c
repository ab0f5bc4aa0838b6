/*
 * vCPU threads' common ground: attention, posted work, waking.
 *
 * Posting: the poster links its work under the target's lock, then sets ATT_WORK. A waiting poster serves its own
 * queue meanwhile, so that two vCPUs that fence each other do not lock up. A parked vCPU is woken to serve; that
 * keeps every touch of its TLB on its own thread.
 */
#include "cpu/vcpu.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "cpu/isa.h"

bool vcpu_init(struct vcpu *v, const struct isa_ops *isa, struct bus *bus, struct clock *clock, struct log *log,
               unsigned index)
{
    v->isa = isa;
    v->bus = bus;
    v->clock = clock;
    v->log = log;
    v->index = index;
    v->res_addr = ~UINT64_C(0);
    v->tlb = tlb_new();
    v->jc = aligned_alloc(64, JC_SIZE * sizeof *v->jc);
    if (!v->tlb || !v->jc) {
        tlb_free(v->tlb);
        free(v->jc);
        v->tlb = NULL;
        return false;
    }
    for (unsigned i = 0; i < JC_SIZE; i++)
        v->jc[i] = (struct jump_entry){.pc = TLB_NONE};
    v->ctx = tlb_switch(v->tlb, (struct tlb_view){0});
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    return true;
}

void vcpu_fini(struct vcpu *v)
{
    if (!v->tlb)
        return;
    tlb_free(v->tlb);
    free(v->jc);
    v->tlb = NULL;
    pthread_cond_destroy(&v->wake);
    pthread_mutex_destroy(&v->lock);
}

void vcpu_kick(struct vcpu *v, uint32_t attention)
{
    atomic_fetch_or(&v->attention, attention);
    pthread_mutex_lock(&v->lock);
    if (v->parked)
        pthread_cond_broadcast(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_post(struct vcpu *v, struct vcpu_work *w)
{
    struct vcpu_work **p = &v->work;

    w->next = NULL;
    atomic_store_explicit(&w->done, false, memory_order_relaxed);
    pthread_mutex_lock(&v->lock);
    while (*p)
        p = &(*p)->next;
    *p = w;
    atomic_fetch_or(&v->attention, ATT_WORK);
    if (v->parked)
        pthread_cond_broadcast(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

void vcpu_run_work(struct vcpu *v)
{
    for (;;) {
        struct vcpu_work *w;

        pthread_mutex_lock(&v->lock);
        w = v->work;
        if (w)
            v->work = w->next;
        else
            atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WORK);
        pthread_mutex_unlock(&v->lock);
        if (!w)
            return;
        w->fn(v, w->arg);
        atomic_store_explicit(&w->done, true, memory_order_release); /* w is the poster's again */
    }
}

void vcpu_post_wait(struct vcpu *v, struct vcpu *self, struct vcpu_work *w)
{
    unsigned spins = 0;

    if (v == self) {
        w->fn(v, w->arg);
        atomic_store_explicit(&w->done, true, memory_order_release);
        return;
    }
    vcpu_post(v, w);
    while (!atomic_load_explicit(&w->done, memory_order_acquire)) {
        if (self && atomic_load(&self->attention) & ATT_WORK)
            vcpu_run_work(self);
        if (++spins > 100)
            sched_yield();
    }
}

bool vcpu_park(struct vcpu *v, uint64_t ns)
{
    struct timespec ts;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (ns < 3600 * UINT64_C(1000000000)) {
        ts.tv_nsec += (long)(ns % 1000000000);
        ts.tv_sec += (time_t)(ns / 1000000000) + ts.tv_nsec / 1000000000;
        ts.tv_nsec %= 1000000000;
    } else {
        ts.tv_sec += 3600;
    }
    pthread_mutex_lock(&v->lock);
    v->parked = true;
    while (!(atomic_load(&v->attention) & ~(uint32_t)ATT_WFI) && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&v->wake, &v->lock, &ts);
    v->parked = false;
    pthread_mutex_unlock(&v->lock);
    return r != ETIMEDOUT;
}

bool vcpu_load_slow(struct vcpu *v, gva va, unsigned size, uint64_t *val) { return v->isa->load(v, va, size, val); }
bool vcpu_store_slow(struct vcpu *v, gva va, unsigned size, uint64_t val) { return v->isa->store(v, va, size, val); }
