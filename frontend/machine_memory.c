/*
 * What vCPUs forget when memory changes under them: RAM behind a PCI BAR that moves, pages that a screen watches.
 *
 * Others only post to a vCPU; it forgets on its own thread, at its next poll. Requests that have not run yet are joined.
 */
#include <sched.h>

#include "frontend/machine_parts.h"
#include "mmu/bus.h"
#include "mmu/watch.h"
#include "translator/translator.h"

static void forget(struct vcpu *v, void *arg)
{
    struct hart_thread *h = arg;
    struct hart_memory *w = &h->memory;
    const uint8_t *from, *to;
    uint64_t ticket;
    bool flush;

    pthread_mutex_lock(&h->m->memory_lock);
    from = w->from;
    to = w->to;
    flush = w->flush;
    ticket = w->asked;
    w->from = w->to = NULL;
    w->flush = w->posted = false;
    pthread_mutex_unlock(&h->m->memory_lock);
    if (flush)
        tlb_flush_all(v->tlb);
    else
        tlb_drop_writes(v->tlb, from, (uint64_t)(to - from));
    atomic_store(&w->done, ticket);
}

/* The lock is held. */
static void post(struct hart_thread *h, const uint8_t *from, const uint8_t *to, bool flush)
{
    struct hart_memory *w = &h->memory;

    w->asked = h->m->memory_ticket;
    w->flush |= flush;
    if (from != to) {
        w->from = w->from && w->from < from ? w->from : from;
        w->to = w->to > to ? w->to : to;
    }
    if (w->posted)
        return;
    while (w->work.fn && !atomic_load_explicit(&w->work.done, memory_order_acquire))
        sched_yield(); /* it has begun, and needs no lock any more */
    w->work.fn = forget;
    w->work.arg = h;
    w->posted = true;
    vcpu_post(&h->c->v, &w->work);
}

static uint64_t post_all(struct machine *m, const uint8_t *from, const uint8_t *to, bool flush)
{
    uint64_t ticket;

    pthread_mutex_lock(&m->memory_lock);
    ticket = ++m->memory_ticket;
    for (unsigned i = 0; i < m->harts; i++)
        post(&m->hart[i], from, to, flush);
    pthread_mutex_unlock(&m->memory_lock);
    return ticket;
}

static uint64_t take_rights(void *arg, const uint8_t *host, uint64_t len)
{
    return post_all(arg, host, host + len, false);
}

static bool rights_taken(void *arg, uint64_t ticket)
{
    struct machine *m = arg;

    for (unsigned i = 0; i < m->harts; i++)
        if (atomic_load(&m->hart[i].memory.done) < ticket)
            return false;
    return true;
}

static void remapped(void *arg, gpa base, uint64_t size)
{
    struct machine *m = arg;

    translator_remapped(m->translator, base, size);
    post_all(m, NULL, NULL, true);
}

void machine_follow_memory(struct machine *m)
{
    bus_on_remap(m->bus, remapped, m);
    bus_on_watch(m->bus, &(struct write_rights){.take = take_rights, .taken = rights_taken, .arg = m});
}
