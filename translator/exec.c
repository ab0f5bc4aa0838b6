/*
 * The execution loop of one vCPU: attention, then a block, by one of the engines; then what its exit asks for.
 */
#include "base/log.h"
#include "cpu/isa.h"
#include "translator/state.h"

/* Interrupts and posted work. false: the thread's own loop has to act, *why says on what. */
static bool serve(struct vcpu *v, enum run_exit *why)
{
    uint32_t att = atomic_load(&v->attention);

    if (att & ATT_WORK)
        vcpu_run_work(v);
    if (att & (ATT_STOP | ATT_DEBUG)) {
        *why = att & ATT_STOP ? RUN_STOP : RUN_DEBUG;
        return false;
    }
    if (att & ATT_IRQ) {
        atomic_fetch_and(&v->attention, ~(uint32_t)ATT_IRQ);
        if (v->isa->take_irq(v))
            atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WFI);
    }
    if (atomic_load(&v->attention) & ATT_WFI) {
        if (!v->isa->irq_pending(v)) {
            *why = RUN_WFI;
            return false;
        }
        atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WFI);
    }
    return true;
}

/* The exit that tb's link leads to is known now: patch it, when source and target still live and agree. */
static void link_exit(struct translator *t, struct tb *from, unsigned index, struct tb *to)
{
    bool near = (from->pc & PAGE_MASK) == (from->link[index].target & PAGE_MASK);
    bool same_page = near && from->code_id == to->code_id;

    /* A near exit of position-independent code does not say where it goes, so it cannot enter another page. */
    if (t->o.no_link || from->mode != to->mode || (from->mode & TB_PIC && near && !same_page))
        return;
    pthread_mutex_lock(&t->lock);
    if (!from->dead && !to->dead && to->compiled && !from->link[index].to) {
        tb_link(from, index, to);
        t->host->link(t, from, index, to, same_page);
        t->stats.links++;
    }
    pthread_mutex_unlock(&t->lock);
}

/* The owner fills; anyone may purge. The block may die between the lookup and the entry: then the entry goes again. */
static void fill_jump_cache(struct vcpu *v, struct tb *to)
{
    struct jump_entry *e = &v->jc[JC_INDEX(v->pc)];

    to->jumped_to = true;
    __atomic_store_n(&e->pc, TLB_NONE, __ATOMIC_RELAXED);
    __atomic_store_n(&e->code, to->entry_checked, __ATOMIC_RELEASE);
    __atomic_store_n(&e->pc, v->pc, __ATOMIC_SEQ_CST);
    if (to->dead)
        __atomic_store_n(&e->pc, TLB_NONE, __ATOMIC_RELAXED);
}

/* No block at v->pc: the fetch trapped, or the host is out of memory (then it is tried again). */
static void fetch_failed(struct vcpu *v)
{
    if (v->fault)
        v->isa->take_trap(v);
}

static gva link_target(const struct vcpu *v, struct tb_exit x)
{
    return x.tb->link[x.index].target + (x.tb->mode & TB_PIC ? v->pc_page : 0);
}

/* Look up where the exit leads and connect the two, so that it need not come back here. */
static void connect(struct translator *t, struct vcpu *v, struct tb_exit x)
{
    struct tb *to = block_at(t, v);

    if (!to) {
        fetch_failed(v);
        return;
    }
    if (!__atomic_load_n(&to->compiled, __ATOMIC_ACQUIRE))
        return;
    if (x.kind == TB_EXIT_LINK && x.index < x.tb->nlinks && link_target(v, x) == v->pc)
        link_exit(t, x.tb, x.index, to);
    else if (t->host->needs_cache && !t->o.no_link)
        fill_jump_cache(v, to);
}

static void run_compiled(struct translator *t, struct vcpu *v, struct tb *tb)
{
    struct tb_exit x = t->host->run(v, tb);

    switch (x.kind) {
    case TB_EXIT_LINK:
    case TB_EXIT_LOOKUP: connect(t, v, x); break;
    case TB_EXIT_FAULT: v->isa->take_trap(v); break;
    case TB_EXIT_INTERP: block_interp(t, v, NULL); break;
    case TB_EXIT_ATTENTION: break;
    }
}

static void log_exec(struct translator *t, const struct vcpu *v)
{
    if (log_in_filter(t->log, v->pc))
        log_write(t->log, "exec %u: 0x%llx\n", v->index, (unsigned long long)v->pc);
}

/* One pass. false: lockstep found a difference. */
static bool step(struct translator *t, struct vcpu *v)
{
    struct tb *tb = block_at(t, v);

    if (!tb) {
        fetch_failed(v);
        return true;
    }
    if (log_on(t->log, LOG_EXEC))
        log_exec(t, v);
    if (t->lockstep)
        return lockstep_step(t, v, tb);
    if (__atomic_load_n(&tb->compiled, __ATOMIC_ACQUIRE) || block_compile(t, v, tb))
        run_compiled(t, v, tb);
    else
        block_interp(t, v, tb);
    return true;
}

static void forget_recent(struct translator_vcpu *p, uint64_t epoch)
{
    for (unsigned i = 0; i < RECENT_SIZE; i++)
        p->recent[i] = NULL;
    p->seen_epoch = epoch;
}

enum run_exit translator_run(struct translator *t, struct vcpu *v)
{
    struct translator_vcpu *p = translator_of(t, v);
    enum run_exit why = RUN_STOP;

    /* No longer away, before attention is looked at: who posts work now and reads AWAY could think it was done. */
    __atomic_store_n(&v->poll_epoch, __atomic_load_n(&t->epoch, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
    for (;;) {
        /* Read before attention is looked at: work posted before this epoch has run when it is stored. */
        uint64_t epoch = __atomic_load_n(&t->epoch, __ATOMIC_SEQ_CST);

        if (__builtin_expect(atomic_load(&v->attention) != 0, 0) && !serve(v, &why))
            break;
        if (__atomic_load_n(&t->kill_epoch, __ATOMIC_SEQ_CST) > p->seen_epoch)
            forget_recent(p, epoch);
        if (v->poll_epoch != epoch)
            __atomic_store_n(&v->poll_epoch, epoch, __ATOMIC_SEQ_CST);
        if (!step(t, v)) {
            why = RUN_DIFFERS;
            break;
        }
    }
    __atomic_store_n(&v->poll_epoch, EPOCH_AWAY, __ATOMIC_SEQ_CST);
    return why;
}
