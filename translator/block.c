/*
 * From v->pc to a block: the loop's memory, the table, or a new translation.
 *
 * A new block: its page is watched (invalidate.c), its bytes are decoded, translated, and then entered and compiled
 * under the lock; only that, and the watching, is done under the lock, so vCPUs translate in parallel. Its hash is that
 * of the bytes the decoder saw. They may have changed meanwhile, and another vCPU may have executed its fence.i and look
 * for the new ones: a block is entered only when its bytes are still those in memory, else it is made anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "translator/state.h"

enum { ATTEMPTS = 16 }; /* to catch a page that others write to at rest */

static struct tb **recent_slot(struct translator_vcpu *p, gva pc)
{
    return &p->recent[(pc >> 1 ^ pc >> 13) % RECENT_SIZE];
}

/* Of the block at v->pc. */
static uint32_t block_mode(const struct translator *t, const struct vcpu *v)
{
    bool pic = v->isa->moves && (t->o.pic == PIC_AUTO ? v->isa->moves(v) : t->o.pic == PIC_ALWAYS);

    return v->isa->mode(v) | (pic ? TB_PIC : 0u);
}

struct guest_block block_guest(const struct tb *tb)
{
    return (struct guest_block){.pc = tb->pc,
                                .phys = tb->phys,
                                .phys2 = tb->phys2,
                                .mode = tb->mode & ~(uint32_t)TB_PIC,
                                .pic = tb->mode & TB_PIC,
                                .count = tb->count,
                                .limit = tb->count,
                                .bytes = tb->bytes,
                                .insns = tb->insns};
}

/* What one new block is made from, on its way. */
struct making {
    struct translator *t;
    struct translator_vcpu *p;
    struct vcpu *v;
    gpa pa; /* of v->pc */
    uint32_t mode;
    unsigned limit, attempts;
    bool shorter; /* it was too long for the back end */
    bool moved;   /* its bytes changed meanwhile */
    bool hot;     /* compile it now, however often it ran */
};

/* Under the lock. */
static bool watch_page(struct making *m, gpa page)
{
    struct code_page *p = tb_page_get(&m->t->tbs, page);

    if (p && !p->dirty)
        page_arm(m->t, m->v, p);
    return p && code_page_watched(m->t, p);
}

/* IR of tb in p->ir, short enough to fit. false: the block must be shorter. */
static bool translate(struct making *m, struct tb *tb)
{
    struct guest_block b = block_guest(tb);

    ir_reset(&m->p->ir);
    m->t->isa->translate(m->v, &b, &m->p->ir);
#ifdef GUISE_DEBUG
    unsigned where;
    const char *wrong = m->p->ir.full ? NULL : ir_check(&m->p->ir, &where);

    if (wrong) {
        log_write(m->t->log, "IR of block 0x%llx: operation %u: %s\n", (unsigned long long)tb->seen, where, wrong);
        return false;
    }
#endif
    if (m->p->ir.full)
        return false;
    if (log_on(m->t->log, LOG_IR))
        dump_ir(m->t, tb, &m->p->ir);
    return tb_room_for_links(tb, &m->p->ir);
}

static bool has_exec(const struct ir *ir)
{
    for (unsigned i = 0; i < ir->count; i++)
        if (ir->insn[i].op == IR_exec)
            return true;
    return false;
}

static void write_perf(struct translator *t, const struct tb *tb)
{
    if (t->perf && tb->entry)
        fprintf(t->perf, "%llx %x guest_0x%llx\n", (unsigned long long)(uintptr_t)tb->entry, tb->code_size,
                (unsigned long long)tb->seen);
}

/* Under the lock; the IR is in p->ir. */
static enum tb_compiled compile(struct translator *t, struct translator_vcpu *p, struct tb *tb)
{
    enum tb_compiled r;

    reclaim_keep_ahead(t, p->v);
    if (tb->dead) /* it was of the arena that goes; code for it would outlive it */
        return TB_NO_SPACE;
    r = t->host->compile(t, tb, &p->ir);
    if (r == TB_NO_SPACE) {
        reclaim_run(t);
        r = t->host->compile(t, tb, &p->ir);
    }
    if (r != TB_COMPILED)
        return r;
    t->stats.code_bytes += tb->code_size;
    if (log_on(t->log, LOG_OUT_ASM))
        dump_host(t, tb);
    write_perf(t, tb);
    if (!has_exec(&p->ir) && t->o.engine != ENGINE_LOCKSTEP) {
        /* Others may have found it in the table and be interpreting from it right now. */
        if (t->vcpus == 1) {
            free(tb->insns);
            tb->insns = NULL;
        }
    }
    __atomic_store_n(&tb->compiled, true, __ATOMIC_RELEASE);
    return r;
}

static struct tb *decode(struct making *m)
{
    struct guest_block b = {
        .pc = m->v->pc, .insns = m->p->insns, .source = m->p->source, .limit = (uint16_t)m->limit, .phys2 = ~(gpa)0};
    struct tb *tb;

    if (!m->v->isa->decode(m->v, &b))
        return NULL;
    b.mode = m->mode;
    tb = tb_new(m->t->isa, &b);
    if (tb)
        tb->source_hash = source_hash(m->p->source, tb->bytes, 0);
    return tb;
}

/* Enter it, unless another vCPU was faster or its bytes have changed. Under the lock. */
static struct tb *enter(struct making *m, struct tb *tb)
{
    gpa page = tb->phys & PAGE_MASK, page2 = tb->phys2 & PAGE_MASK;
    bool straddles = tb->phys2 != ~(gpa)0, watched, watched2;
    struct tb *other = tb_find(&m->t->tbs, tb->phys, tb->pc, tb->mode);

    if (other && other->phys2 == tb->phys2) {
        tb_free(tb);
        return other;
    }
    watched = watch_page(m, page); /* before the comparison: what is written after it is noticed */
    watched2 = !straddles || watch_page(m, page2);
    m->moved = source_changed(m->t, tb);
    if ((m->moved && m->attempts < ATTEMPTS) || !tb_insert(&m->t->tbs, tb)) {
        tb_free(tb);
        return NULL;
    }
    if (!watched || m->moved)
        page_dirty(m->t, tb_page(&m->t->tbs, page));
    if (!watched2 || (straddles && m->moved))
        page_dirty(m->t, tb_page(&m->t->tbs, page2));
    m->moved = false;
    m->t->stats.blocks++;
    m->t->stats.guest_bytes += tb->bytes;
    return tb;
}

/* One attempt with at most m->limit instructions. */
static struct tb *make_limited(struct making *m)
{
    struct translator *t = m->t;
    bool cold = !t->host || (t->o.jit_after && !m->hot);
    struct tb *tb, *made;

    m->shorter = m->moved = false;
    pthread_mutex_lock(&t->lock);
    watch_page(m, m->pa & PAGE_MASK);
    pthread_mutex_unlock(&t->lock);
    tb = decode(m);
    if (!tb)
        return NULL;
    if (log_on(t->log, LOG_IN_ASM))
        dump_guest(t, m->v, tb);
    if (!cold && !translate(m, tb)) {
        m->shorter = tb->count > 1;
        if (m->shorter) {
            tb_free(tb);
            return NULL;
        }
        cold = true;
    }
    pthread_mutex_lock(&t->lock);
    made = enter(m, tb);
    if (made == tb && !cold && compile(t, m->p, tb) == TB_TOO_BIG && tb->count > 1) {
        m->shorter = true;
        tb_kill(t, tb);
        reclaim_new_epoch(t);
        made = NULL;
    }
    if (made == tb && cold && t->cache) {
        reclaim_keep_ahead(t, m->v);
        cache_adopt(t->cache, tb);
    }
    pthread_mutex_unlock(&t->lock);
    return made;
}

static struct tb *make(struct making *m)
{
    struct tb *tb;

    do {
        tb = make_limited(m);
        if (m->shorter)
            m->limit = (m->limit + 1) / 2;
        m->attempts += m->moved;
    } while (!tb && (m->shorter || m->moved));
    return tb;
}

/* tb straddles: does its second page still follow? *fault: the fetch of that page trapped. */
static bool second_page_holds(struct vcpu *v, const struct tb *tb, bool *fault)
{
    const uint8_t *host;
    gpa pa;

    *fault = !v->isa->fetch(v, (v->pc & PAGE_MASK) + PAGE_SIZE, &host, &pa);
    return !*fault && pa == tb->phys2;
}

static void replace(struct translator *t, struct tb *tb)
{
    pthread_mutex_lock(&t->lock);
    tb_kill(t, tb);
    reclaim_new_epoch(t);
    pthread_mutex_unlock(&t->lock);
}

struct tb *block_at(struct translator *t, struct vcpu *v)
{
    struct translator_vcpu *p = translator_of(t, v);
    uint32_t mode = block_mode(t, v);
    gva pc = tb_pc(v->pc, mode);
    struct tb **slot = recent_slot(p, v->pc), *tb = *slot;
    struct making m;
    const uint8_t *host;
    bool fault = false;
    gpa pa;

    if (tb && tb->pc == pc && tb->mode == mode && tb_ids_hold(v->ctx, tb, v->pc) && !tb->dead)
        return tb;
    p->lookups++;
    if (!v->isa->fetch(v, v->pc, &host, &pa))
        return NULL;
    tb = tb_find(&t->tbs, pa, pc, mode);
    if (tb && tb->phys2 != ~(gpa)0 && !second_page_holds(v, tb, &fault)) {
        if (fault)
            return NULL;
        replace(t, tb);
        tb = NULL;
    }
    if (!tb) {
        m = (struct making){.t = t, .p = p, .v = v, .pa = pa, .mode = mode, .limit = BLOCK_MAX_INSNS};
        tb = make(&m);
    }
    if (!tb)
        return NULL;
    tb_set_ids(v->ctx, tb, v->pc);
    *slot = tb;
    return tb;
}

bool block_compile(struct translator *t, struct vcpu *v, struct tb *tb)
{
    struct making m = {.t = t, .p = translator_of(t, v), .v = v, .pa = tb->phys, .mode = tb->mode, .hot = true};
    uint32_t runs = __atomic_load_n(&tb->runs, __ATOMIC_RELAXED);
    enum tb_compiled r = TB_NO_SPACE;

    if (!t->host || runs < t->o.jit_after) {
        __atomic_store_n(&tb->runs, runs + 1, __ATOMIC_RELAXED);
        return false;
    }
    pthread_mutex_lock(&t->lock);
    if (tb->compiled)
        r = TB_COMPILED;
    else if (!tb->dead)
        r = translate(&m, tb) ? compile(t, m.p, tb) : TB_TOO_BIG;
    if (r == TB_TOO_BIG && tb->count > 1) {
        m.limit = (tb->count + 1u) / 2;
        tb_kill(t, tb);
        reclaim_new_epoch(t);
    }
    pthread_mutex_unlock(&t->lock);
    if (m.limit)
        make(&m); /* the next pass finds it; this one interprets the block it has, whose memory lasts until the poll */
    return r == TB_COMPILED;
}

void block_interp(struct translator *t, struct vcpu *v, const struct tb *tb)
{
    struct guest_block b = {
        .pc = v->pc, .insns = translator_of(t, v)->insns, .limit = BLOCK_MAX_INSNS, .phys2 = ~(gpa)0};
    uint64_t before = v->icount;

    b.mode = v->isa->mode(v);
    if (tb)
        b = block_guest(tb);
    if ((!tb && !v->isa->decode(v, &b)) || !v->isa->interp(v, &b))
        v->isa->take_trap(v);
    translator_of(t, v)->interp_insns += v->icount - before;
}
