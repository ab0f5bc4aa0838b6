/*
 * --engine=lockstep: every block is run by the interpreter, undone, and run by the engine under test.
 *
 * The interpreter's run is a trial: the vCPU gets an empty TLB context, so that each access takes the slow path, which
 * logs writes and refuses MMIO (cpu/trace.h). Then memory and state are put back, the engine runs the same block for
 * real, and registers, trap and every byte the trial wrote are compared. A block that touches MMIO is run once, by
 * the interpreter, and proves nothing. Time stands still across both runs. A difference must show twice: a device may
 * raise a line between the runs, and a CSR read sees that.
 *
 * vCPUs take turns, block by block.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cpu/isa.h"
#include "cpu/trace.h"
#include "translator/state.h"

enum { REGS_MAX = 512, ATTEMPTS = 3 };

/* What both runs are judged by, and what undoing needs. */
struct image {
    uint64_t r[32], f[32], pc, npc, icount, res_addr, res_val;
    uint32_t fault;
    struct vcpu_trap trap;
    struct tlb_ctx *ctx;
    void *state; /* isa->state_size bytes */
};

struct lockstep {
    pthread_mutex_t turn;
    struct mem_trace trace;
    struct tlb_ctx *empty;
    struct image before;
    uint8_t *insns;
    unsigned regs;
    unsigned limit; /* instructions of the block that the trial runs */
    uint64_t want[REGS_MAX];
    bool want_fault;
    struct vcpu_trap want_trap;
    uint64_t want_icount;
};

struct lockstep *lockstep_new(struct translator *t)
{
    struct lockstep *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    pthread_mutex_init(&l->turn, NULL);
    l->empty = aligned_alloc(64, (sizeof *l->empty + 63) & ~(size_t)63);
    l->before.state = malloc(t->isa->state_size + 1);
    l->insns = calloc(BLOCK_MAX_INSNS, t->isa->insn_size);
    if (!l->empty || !l->before.state || !l->insns) {
        lockstep_free(l);
        return NULL;
    }
    memset(l->empty, 0, sizeof *l->empty);
    for (unsigned i = 0; i < TLB_SIZE; i++)
        l->empty->rd[i].tag = l->empty->wr[i].tag = TLB_NONE;
    return l;
}

void lockstep_free(struct lockstep *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->turn);
    free(l->empty);
    free(l->before.state);
    free(l->insns);
    free(l);
}

static void save(struct image *m, const struct vcpu *v)
{
    memcpy(m->r, v->r, sizeof m->r);
    memcpy(m->f, v->f, sizeof m->f);
    m->pc = v->pc;
    m->npc = v->npc;
    m->icount = v->icount;
    m->res_addr = v->res_addr;
    m->res_val = v->res_val;
    m->fault = v->fault;
    m->trap = v->trap;
    m->ctx = v->ctx;
    v->isa->state_save(v, m->state);
}

static void restore(const struct image *m, struct vcpu *v)
{
    memcpy(v->r, m->r, sizeof m->r);
    memcpy(v->f, m->f, sizeof m->f);
    v->pc = m->pc;
    v->npc = m->npc;
    v->icount = m->icount;
    v->res_addr = m->res_addr;
    v->res_val = m->res_val;
    v->fault = m->fault;
    v->trap = m->trap;
    v->ctx = m->ctx;
    v->isa->state_restore(v, m->state);
}

static void undo_memory(const struct mem_trace *tr)
{
    for (unsigned i = tr->count; i-- > 0;)
        memcpy(tr->entry[i].host, tr->entry[i].old, tr->entry[i].size);
}

/* v stopped inside the block because an instruction asked for attention (no branch): the engine goes on, and so must we. */
static bool stopped_early(struct lockstep *l, struct vcpu *v, uint64_t done)
{
    struct guest_block b = {.pc = l->before.pc, .limit = (uint16_t)done, .insns = l->insns, .phys2 = ~(gpa)0};
    gva at = v->pc;
    bool early;

    if (!done || done >= l->limit || !atomic_load(&v->attention))
        return false;
    v->pc = l->before.pc;
    early = v->isa->decode(v, &b) && b.count == done && l->before.pc + b.bytes == at;
    v->pc = at;
    return early;
}

static bool interp_whole(struct lockstep *l, struct vcpu *v, const struct tb *tb)
{
    struct guest_block b = block_guest(tb);
    uint64_t start = v->icount, done = 0;

    b.count = (uint16_t)l->limit;
    for (;;) {
        if (!v->isa->interp(v, &b))
            return false;
        done = v->icount - start;
        if (!stopped_early(l, v, done))
            return true;
        b = block_guest(tb);
        b.pc = v->pc;
        b.count = (uint16_t)(l->limit - done);
        b.insns = (uint8_t *)tb->insns + done * v->isa->insn_size;
    }
}

static unsigned read_regs(const struct vcpu *v, uint64_t *val)
{
    unsigned n = 0;

    while (n < REGS_MAX && v->isa->reg(v, n, &val[n]))
        n++;
    return n;
}

/* The interpreter's run, and back to where it began. false: it proves nothing (MMIO, too many writes). */
static bool trial(struct lockstep *l, struct vcpu *v, const struct tb *tb)
{
    struct mem_trace *tr = &l->trace;
    bool ok;

    tr->log = true;
    tr->mmio_seen = tr->overflow = false;
    tr->count = 0;
    l->empty->view = v->ctx->view;
    l->empty->id = v->ctx->id;
    l->empty->live = true;
    v->ctx = l->empty;
    ok = interp_whole(l, v, tb);
    tr->log = false;
    l->want_fault = !ok;
    l->want_trap = ok ? (struct vcpu_trap){0} : v->trap;
    l->want_icount = v->icount;
    l->regs = read_regs(v, l->want);
    for (unsigned i = 0; i < tr->count; i++)
        memcpy(tr->entry[i].new, tr->entry[i].host, tr->entry[i].size);
    undo_memory(tr);
    restore(&l->before, v);
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_WFI);
    return !tr->mmio_seen && !tr->overflow;
}

/* The engine's run of the same block; what it leaves to the interpreter is done too. */
static void engine_run(struct translator *t, struct lockstep *l, struct vcpu *v, struct tb *tb)
{
    uint64_t start = v->icount;
    struct tb_exit x = t->host->run(v, tb);
    struct guest_block b = {.pc = v->pc, .insns = l->insns, .phys2 = ~(gpa)0};

    if (x.kind != TB_EXIT_INTERP)
        return;
    b.limit = (uint16_t)(tb->count - (v->icount - start));
    if (v->isa->decode(v, &b))
        v->isa->interp(v, &b);
}

static bool memory_agrees(const struct mem_trace *tr)
{
    for (unsigned i = 0; i < tr->count; i++)
        if (memcmp(tr->entry[i].host, tr->entry[i].new, tr->entry[i].size))
            return false;
    return true;
}

static bool agrees(const struct lockstep *l, const struct vcpu *v)
{
    uint64_t have[REGS_MAX];

    read_regs(v, have);
    return !memcmp(have, l->want, l->regs * sizeof *have) && v->icount == l->want_icount &&
           (v->fault != 0) == l->want_fault &&
           (!l->want_fault || (v->trap.cause == l->want_trap.cause && v->trap.tval == l->want_trap.tval)) &&
           memory_agrees(&l->trace);
}

static void print_regs(const struct lockstep *l, const struct vcpu *v, FILE *f)
{
    uint64_t have;

    for (unsigned n = 0; n < l->regs; n++) {
        const char *name = v->isa->reg(v, n, &have);

        if (have != l->want[n])
            fprintf(f, "  %-10s interp %016" PRIx64 "  engine %016" PRIx64 "\n", name, l->want[n], have);
    }
    if (v->icount != l->want_icount)
        fprintf(f, "  %-10s interp %" PRIu64 "  engine %" PRIu64 "\n", "icount", l->want_icount, v->icount);
    if ((v->fault != 0) != l->want_fault ||
        (l->want_fault && (v->trap.cause != l->want_trap.cause || v->trap.tval != l->want_trap.tval)))
        fprintf(f,
                "  %-10s interp %d cause %" PRIx64 " tval %" PRIx64 "  engine %u cause %" PRIx64 " tval %" PRIx64 "\n",
                "trap", l->want_fault, l->want_trap.cause, l->want_trap.tval, v->fault, v->trap.cause, v->trap.tval);
}

static void print_bytes(const uint8_t *p, unsigned n, FILE *f)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%02x", p[i]);
}

static void print_memory(const struct mem_trace *tr, FILE *f)
{
    for (unsigned i = 0; i < tr->count; i++) {
        const struct trace_entry *e = &tr->entry[i];

        if (!memcmp(e->host, e->new, e->size))
            continue;
        fprintf(f, "  memory at host %p: interp ", (void *)e->host);
        print_bytes(e->new, e->size, f);
        fprintf(f, "  engine ");
        print_bytes(e->host, e->size, f);
        fputc('\n', f);
    }
}

/* Registers the block started with, the block, its IR, and what differs. */
static void report(struct translator *t, struct lockstep *l, struct vcpu *v, const struct tb *tb)
{
    struct guest_block b = block_guest(tb);
    struct ir *ir = &translator_of(t, v)->ir;
    FILE *f = stderr;

    fprintf(f,
            "lockstep: vCPU %u: %s differs from the interpreter in the block at 0x%" PRIx64
            " (%u instructions, mode 0x%x)\n",
            v->index, t->host->name, l->before.pc, tb->count, tb->mode);
    dump_block(v, l->before.pc, tb->bytes, f);
    fprintf(f, "before:\n");
    for (unsigned i = 0; i < 32; i++)
        fprintf(f, "  r%-2u %016" PRIx64 "%s", i, l->before.r[i], i % 4 == 3 ? "\n" : "");
    fprintf(f, "differences:\n");
    print_regs(l, v, f);
    print_memory(&l->trace, f);
    ir_reset(ir);
    t->isa->translate(v, &b, ir);
    fprintf(f, "IR:\n");
    ir_print(ir, f);
    fflush(f);
}

static bool compare(struct translator *t, struct lockstep *l, struct vcpu *v, struct tb *tb)
{
    save(&l->before, v);
    l->limit = tb->count;
    for (unsigned attempt = 1;; attempt++) {
        if (!trial(l, v, tb)) {
            v->trace = NULL;
            l->limit = tb->count;
            if (!interp_whole(l, v, tb))
                v->isa->take_trap(v);
            return true;
        }
        engine_run(t, l, v, tb);
        if (agrees(l, v))
            break;
        if (!v->fault && v->icount == l->before.icount && atomic_load(&v->attention)) {
            /* Something asked for attention since the interpreter ran, so the engine did not even begin: again later. */
            undo_memory(&l->trace);
            restore(&l->before, v);
            return true;
        }
        if (!v->fault && v->icount > l->before.icount && v->icount < l->want_icount) {
            /* A branch to the next instruction leaves the engine's block but not the interpreter's: look at that point. */
            l->limit = (unsigned)(v->icount - l->before.icount);
        }
        if (attempt == ATTEMPTS) {
            report(t, l, v, tb);
            return false;
        }
        undo_memory(&l->trace);
        restore(&l->before, v);
    }
    if (v->fault)
        v->isa->take_trap(v);
    return true;
}

bool lockstep_step(struct translator *t, struct vcpu *v, struct tb *tb)
{
    struct lockstep *l = t->lockstep;
    bool ok = true;

    if (pthread_mutex_trylock(&l->turn)) {
        sched_yield(); /* and serve posted work meanwhile: the other may be waiting for us */
        return true;
    }
    if (!tb->compiled && !block_compile(t, v, tb)) {
        block_interp(t, v, tb);
    } else {
        l->trace.now = v->clock ? clock_now(v->clock) : 0;
        v->trace = &l->trace;
        ok = compare(t, l, v, tb);
        v->trace = NULL;
    }
    pthread_mutex_unlock(&l->turn);
    return ok;
}
