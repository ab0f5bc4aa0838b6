/*
 * Proof by faults: when a host call fails the guest sees it, nothing else is lost, and the work goes on.
 *
 * A workload runs once without faults, to count its host calls; then once for each k with faults from the k-th call on:
 * EIO on that call alone, on some of the calls after it, or ENOSPC on every write until "space is freed". A step that
 * failed may have happened in part; all the rest must hold: each flush that succeeds after the fault is proven by the
 * file as it is at that moment (a copy of it recovers as after a power cut), the steps after the faults succeed, and
 * at the end the check finds no corruption.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk/judge.h"

enum { STEPS = 30, FAILURES_MAX = 5, TRIES = 1000, PROGRESS = 10000 };

struct run {
    const struct proof_options *o;
    uint64_t seed;
    struct shape shape;
    uint8_t *first;
    uint64_t first_size;

    struct fault fault;
    struct image *mem, *img;
    struct workload w;
    struct belief *belief;
    struct judge judge;
    bool verbose;
};

struct totals {
    uint64_t runs, faults, seen, failures;
};

static struct bytes file_now(const struct run *r)
{
    return (struct bytes){(uint8_t *)(uintptr_t)memory_data(r->mem), r->mem->size, 0};
}

static bool over(const struct run *r) { return r->fault.calls >= r->fault.last; }

/* A fault may keep it from opening, but not for ever. */
static bool run_open(struct run *r)
{
    struct err e = {{0}};

    r->img = NULL;
    for (unsigned i = 0; i < TRIES && !r->img; i++) {
        bool good = over(r);
        struct image *file = injector_new(r->mem, &r->fault);

        if (!file)
            abort();
        r->img = shape_open(&r->shape, file, r->o->dir, NULL, &e);
        if (!r->img && good)
            break;
    }
    if (!r->img)
        snprintf(r->judge.why, sizeof r->judge.why, "it does not open: %.800s", e.msg);
    return r->img;
}

static bool flush_at_last(struct run *r)
{
    struct step s = {.kind = STEP_FLUSH, .to = UINT64_MAX};

    for (unsigned i = 0; i < TRIES; i++) {
        bool good = over(r);

        belief_begin(r->belief, &s);
        step_run(r->img, &s);
        s.size = r->img->size / SECTOR;
        belief_end(r->belief, &s);
        if (s.result == 0)
            return true;
        if (good)
            break;
    }
    snprintf(r->judge.why, sizeof r->judge.why, "flush fails for ever: %d", s.result);
    return false;
}

static bool reopen(struct run *r)
{
    if (!flush_at_last(r))
        return false;
    image_close(r->img);
    return run_open(r);
}

static bool may_be_refused(const struct step *s)
{
    return s->kind == STEP_SNAPSHOT || s->kind == STEP_APPLY || s->kind == STEP_RESIZE || s->kind == STEP_COMPRESSED ||
           s->kind == STEP_DELETE;
}

static bool run_step(struct run *r, struct totals *t)
{
    struct step s;
    bool good = over(r), had = r->fault.failed > 0;
    char text[160];
    struct bytes now;

    workload_next(&r->w, &s);
    if (s.kind == STEP_REOPEN) {
        s.result = 0;
        if (!reopen(r))
            return false;
    } else {
        belief_begin(r->belief, &s);
        step_run(r->img, &s);
        t->seen += s.result < 0 && r->fault.failed;
    }
    workload_done(&r->w, &s, r->img);
    if (s.kind != STEP_REOPEN)
        belief_end(r->belief, &s);
    step_print(&s, text, sizeof text);
    if (r->verbose)
        note("host calls %" PRIu64 ", failed %" PRIu64 ": %s", r->fault.calls, r->fault.failed, text);
    if (s.result < 0 && good && !may_be_refused(&s)) {
        snprintf(r->judge.why, sizeof r->judge.why, "no host call failed, yet: %.150s", text);
        return false;
    }
    if (s.kind != STEP_FLUSH || s.result < 0 || !had)
        return true;
    now = file_now(r);
    return judge_recovers(&r->judge, &now);
}

/* No faults any more: contents, close, check, open again. */
static bool run_end(struct run *r)
{
    struct image_check res;
    struct bytes now;
    char line[200];
    bool ok = flush_at_last(r);

    now = file_now(r);
    ok = ok && judge_contents(&r->judge, r->img, &now, false);
    image_close(r->img);
    r->img = NULL;
    now = file_now(r);
    if (!ok || !judge_check(&r->judge, &now, &res, line))
        return false;
    if (res.corruptions || res.check_errors) {
        snprintf(r->judge.why, sizeof r->judge.why, "%" PRIu64 " corruptions at the end: %s", res.corruptions, line);
        return false;
    }
    return judge_recovers(&r->judge, &now);
}

/* One run of the workload. */
static bool run(struct run *r, const struct fault *f, struct totals *t)
{
    bool ok;

    r->fault = *f;
    r->mem = memory_new(r->first, r->first_size);
    workload_init(&r->w, &r->shape, r->seed);
    r->belief = belief_new(&r->shape);
    ok = r->mem && judge_init(&r->judge, &r->shape, r->belief, r->o->dir, r->seed);
    *r->judge.why = 0;
    ok = ok && run_open(r);
    for (unsigned i = 0; ok && i < STEPS; i++)
        ok = run_step(r, t);
    if (ok) {
        r->fault.kinds = 0; /* those that were not reached */
        r->fault.last = 0;
        ok = run_end(r);
    }
    image_close(r->img);
    image_close(r->mem);
    r->img = r->mem = NULL;
    belief_free(r->belief);
    judge_fini(&r->judge);
    t->runs++;
    t->faults += r->fault.failed;
    return ok;
}

static struct fault fault_random(struct rng *rng, uint64_t k)
{
    struct fault f = {.first = k, .last = k + 1, .kinds = FAULT_ALL, .error = -EIO, .tear = rng_one_in(rng, 2)};

    if (rng_one_in(rng, 3))
        f.last = k + 1 + rng_below(rng, 20);
    if (rng_one_in(rng, 3)) {
        f.error = -ENOSPC;
        f.kinds = FAULT_WRITE | FAULT_RESIZE;
    }
    return f;
}

static void run_failed(const struct run *r, const struct fault *f, struct totals *t)
{
    t->failures++;
    note("%s", r->judge.why);
    note("  %s; %s at host calls %" PRIu64 " to %" PRIu64 " of kinds %u%s; again: disk fault --seed %" PRIu64
         " --count %" PRIu64 " --verbose",
         r->shape.options, f->error == -EIO ? "EIO" : "ENOSPC", f->first, f->last - 1, f->kinds,
         f->tear ? ", torn" : "", r->seed, f->last ? f->first + 2 : 1);
}

static bool workload_faults(struct run *r, struct totals *t)
{
    struct rng rng = {r->seed};
    struct fault none = {.kinds = FAULT_ALL};
    uint64_t calls;

    shape_random(&r->shape, r->o->format, &rng);
    r->first = NULL;
    if (!r->shape.backing || shape_backing_file(&r->shape, r->o->dir))
        r->first = shape_create(&r->shape, r->o->dir, rng_one_in(&rng, 2), &r->first_size);
    if (!r->first) {
        note("seed %" PRIu64 ": cannot create the image (%s)", r->seed, r->shape.options);
        return false;
    }
    if (!run(r, &none, t))
        run_failed(r, &none, t);
    calls = r->fault.calls;
    for (uint64_t k = 0; k < calls && t->runs < r->o->count && t->failures < FAILURES_MAX; k++) {
        struct fault f = fault_random(&rng, k);

        r->verbose = r->o->verbose && t->runs == r->o->count - 1;
        if (!run(r, &f, t))
            run_failed(r, &f, t);
    }
    free(r->first);
    return true;
}

bool proof_fault(const struct proof_options *o)
{
    struct run *r = calloc(1, sizeof *r);
    struct totals t = {0};

    if (!r)
        abort();
    r->o = o;
    for (r->seed = o->seed; t.runs < o->count && t.failures < FAILURES_MAX; r->seed++) {
        uint64_t before = t.runs / PROGRESS;

        if (!workload_faults(r, &t))
            t.failures++;
        if (t.runs / PROGRESS != before)
            note("%" PRIu64 " runs so far, %" PRIu64 " bad", t.runs, t.failures);
    }
    note("%s: %" PRIu64 " runs from seed %" PRIu64 ", %" PRIu64 " host calls failed, %" PRIu64 " steps saw an error",
         o->format, t.runs, o->seed, t.faults, t.seen);
    free(r);
    return t.failures == 0;
}
