/*
 * Killing blocks, evicting arenas, and using their memory again (state.h tells of epochs).
 */
#include <stdlib.h>

#include "translator/state.h"

static void purge_jump(struct vcpu *v, const struct tb *tb, gva pc)
{
    struct jump_entry *e = &v->jc[JC_INDEX(pc)];

    if (__atomic_load_n(&e->code, __ATOMIC_RELAXED) == tb->entry_checked)
        __atomic_store_n(&e->pc, TLB_NONE, __ATOMIC_RELAXED);
}

/* The address of a position-independent block may be any with its offset: the index takes in some bits of the page. */
static void purge_jumps(struct translator *t, const struct tb *tb)
{
    gva span = tb->mode & TB_PIC ? 2 * JC_SIZE : PAGE_SIZE;

    for (unsigned n = 0; n < t->vcpus; n++)
        for (gva off = 0; t->per[n] && off < span; off += PAGE_SIZE)
            purge_jump(t->per[n]->v, tb, tb->pc + off);
}

void tb_kill(struct translator *t, struct tb *tb)
{
    if (tb->dead)
        return;
    tb->dead = true;
    cache_forget(tb);
    for (unsigned i = 0; i < tb->nlinks; i++)
        tb_unlink_out(tb, i);
    while (tb->in_first) {
        struct tb *from = tb->in_first;
        unsigned index = tb->in_index;

        tb_unlink_out(from, index);
        t->host->unlink(t, from, index);
    }
    tb_remove(&t->tbs, tb);
    /* Seen dead before the purge: who fills an entry looks at `dead` afterwards (exec.c). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (tb->jumped_to)
        purge_jumps(t, tb);
    tb->retired_at = t->epoch + 1;
    __atomic_store_n(&t->kill_epoch, tb->retired_at, __ATOMIC_SEQ_CST);
    tb->retired_next = t->retired;
    t->retired = tb;
    t->stats.dropped++;
}

void reclaim_new_epoch(struct translator *t) { __atomic_add_fetch(&t->epoch, 1, __ATOMIC_SEQ_CST); }

uint64_t reclaim_quiet(const struct translator *t)
{
    uint64_t least = t->epoch;

    for (unsigned n = 0; n < t->vcpus; n++) {
        uint64_t e = t->per[n] ? __atomic_load_n(&t->per[n]->v->poll_epoch, __ATOMIC_SEQ_CST) : EPOCH_AWAY;

        if (e < least)
            least = e;
    }
    return least;
}

void reclaim_run(struct translator *t)
{
    uint64_t quiet = reclaim_quiet(t);
    struct tb **pt = &t->retired;

    for (unsigned i = 0; t->cache && i < cache_arenas(t->cache); i++)
        if (t->arena_retired[i] && t->arena_retired[i] <= quiet) {
            t->arena_retired[i] = 0;
            cache_arena_free(t->cache, i);
        }
    while (*pt && (*pt)->retired_at > quiet)
        pt = &(*pt)->retired_next;
    for (struct tb *tb = *pt, *next; tb; tb = next) {
        next = tb->retired_next;
        tb_free(tb);
    }
    *pt = NULL;
}

static void kick_others(struct translator *t, const struct vcpu *v)
{
    for (unsigned n = 0; n < t->vcpus; n++)
        if (t->per[n] && t->per[n]->v != v &&
            __atomic_load_n(&t->per[n]->v->poll_epoch, __ATOMIC_SEQ_CST) != EPOCH_AWAY)
            vcpu_kick(t->per[n]->v, ATT_WORK);
}

void reclaim_keep_ahead(struct translator *t, const struct vcpu *v)
{
    int arena;

    if (!t->cache)
        return;
    arena = cache_evict(t->cache);
    if (arena < 0)
        return;
    for (struct tb **first = cache_arena_blocks(t->cache, (unsigned)arena); *first;)
        tb_kill(t, *first);
    t->arena_retired[arena] = t->epoch + 1;
    t->stats.evictions++;
    reclaim_new_epoch(t);
    kick_others(t, v);
}
