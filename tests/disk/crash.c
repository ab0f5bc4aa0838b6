/*
 * Proof by power cuts: nothing that a guest flushed is lost, and no cut leaves an image corrupt.
 *
 * Random work runs on an image whose file records every request (host.c). For each prefix of the recording (of long
 * files, that is large clusters, one in so many as the file has MiB), for sampled states that reordering and torn
 * writes can leave (states.c), and for cuts in the midst of their repair, the file is made anew and judged:
 *   - our check finds no corruption in it as it is (leaks are allowed; a dirty image of lazy refcounts is judged after
 *     its repair), and on a sample qemu-img check counts the same;
 *   - it opens, every sector reads as the belief allows (belief.h), each snapshot is there whole;
 *   - it takes new writes, and the check after them is clean: leaks were repaired.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk/judge.h"

enum {
    PROGRESS = 10000,
    STEPS_MAX = 48,
    THREADS = 3,
    THREAD_STEPS = 5,
    FAILURES_MAX = 5,
    QEMU_EVERY = 50,
    REPAIR_EVERY = 60,
    REPAIR_CUTS = 8,
    HEADER_FEATURES = 79
};

struct crash {
    const struct proof_options *o;
    struct workload w;
    struct step steps[STEPS_MAX];
    struct event {
        const struct step *step;
        bool end;
    } events[2 * STEPS_MAX];
    unsigned n_steps, n_events, believed;
    struct recording log;
    uint8_t *first;
    uint64_t first_size;
    struct belief *belief;
    struct states states;
    struct rng rng;
    uint64_t *seen; /* hashes of the states of this workload */
    size_t seen_cap, seen_n;
    uint64_t workloads, total, repairs, prefixes, qemu, leaky, dirty, failures, refused;
    uint64_t belief_version, workload_seed;
    struct judge judge;
};

static void crash_failed(struct crash *c, const struct bytes *state, const char *variant)
{
    char path[1024], text[160] = "nothing";
    const struct step *in = NULL;

    for (unsigned i = 0; i < c->n_steps; i++)
        if (c->steps[i].begin < c->states.at)
            in = &c->steps[i];
    if (in)
        step_print(in, text, sizeof text);
    c->failures++;
    if (c->o->plant && !c->o->verbose)
        return;
    note("%s", c->judge.why);
    note("  %s, %s; after host request %zu of %zu, %s; in or after: %s", c->w.shape.format, c->w.shape.options,
         c->states.at, c->log.n, variant, text);
    snprintf(path, sizeof path, "%s/crash-%" PRIu64 "-%zu.img", c->o->dir, c->workload_seed, c->states.at);
    if (c->o->keep && file_write(path, state->data, state->size))
        note("  the state is in %s", path);
    note("  again: disk crash --format %s --seed %" PRIu64 " --count 1 --verbose", c->w.shape.format, c->workload_seed);
}

static bool is_qcow2(const struct crash *c) { return !strcmp(c->w.shape.format, "qcow2"); }

static bool seen_before(struct crash *c, uint64_t hash)
{
    size_t i;

    if (c->seen_n * 2 >= c->seen_cap) {
        uint64_t *old = c->seen;
        size_t cap = c->seen_cap;

        c->seen_cap = cap ? cap * 2 : 1024;
        c->seen = calloc(c->seen_cap, sizeof *c->seen);
        if (!c->seen)
            abort();
        c->seen_n = 0;
        for (i = 0; i < cap; i++)
            if (old[i])
                seen_before(c, old[i]);
        free(old);
    }
    for (i = hash % c->seen_cap; c->seen[i]; i = (i + 1) % c->seen_cap)
        if (c->seen[i] == hash)
            return true;
    c->seen[i] = hash;
    c->seen_n++;
    return false;
}

/* All that is asked of one state. */
static bool state_judge(struct crash *c, const struct bytes *state, bool dirty)
{
    struct image_check res;
    char line[200];

    if (!judge_check(&c->judge, state, &res, line))
        return false;
    c->leaky += res.leaks > 0;
    if ((res.corruptions || res.check_errors) && !dirty) {
        snprintf(c->judge.why, sizeof c->judge.why, "%" PRIu64 " corruptions: %s", res.corruptions, line);
        return false;
    }
    if (is_qcow2(c) && c->total % QEMU_EVERY == 0) {
        c->qemu++;
        if (!judge_qemu(&c->judge, state, &res, dirty))
            return false;
    }
    return judge_recovers(&c->judge, state);
}

static bool is_dirty(const struct crash *c, const struct bytes *b)
{
    return is_qcow2(c) && b->size > HEADER_FEATURES && c->w.shape.v3 && b->data[HEADER_FEATURES] & 1;
}

/* The power goes again while the image is repaired, at sampled moments. */
static bool repair_judge(struct crash *c, const struct bytes *state)
{
    struct image *mem = memory_new(state->data, state->size);
    struct recording log;
    struct states s;
    struct bytes cut = {0};
    struct err e;
    char name[100];
    bool ok = true;

    recording_init(&log);
    image_close(shape_open(&c->w.shape, recorder_new(mem, &log), c->o->dir, NULL, &e));
    states_init(&s, &log, state->data, state->size);
    while (ok && s.at < log.n) {
        states_step(&s);
        if (log.n > REPAIR_CUTS && !rng_one_in(&c->rng, log.n / REPAIR_CUTS))
            continue;
        states_variant(&s, &c->rng, &cut, name, sizeof name);
        c->total += 2;
        c->repairs += 2;
        ok = state_judge(c, &s.live, is_dirty(c, &s.live)) && state_judge(c, &cut, is_dirty(c, &cut));
    }
    if (!ok)
        note("the next one is of a cut in the midst of its repair");
    free(cut.data);
    states_fini(&s);
    recording_free(&log);
    image_close(mem);
    return ok;
}

static void state_count(struct crash *c, const struct bytes *state, const char *variant)
{
    bool dirty = is_dirty(c, state);

    if (seen_before(c, hash_bytes(state->data, state->size, c->belief_version) | 1))
        return;
    c->total++;
    c->dirty += dirty;
    if (!state_judge(c, state, dirty) || (rng_one_in(&c->rng, REPAIR_EVERY) && !repair_judge(c, state)))
        crash_failed(c, state, variant);
}

/* --- running the work -------------------------------------------------------------------------------------------- */

static struct image *work_open(struct crash *c, struct image *mem, struct err *e)
{
    struct image *file = recorder_new(mem, &c->log);

    if (!file)
        abort();
    return shape_open(&c->w.shape, file, c->o->dir, NULL, e);
}

/* A step begins or ends; the list of events is in the order of time, also of several threads. */
static void event(struct crash *c, struct step *s, bool end)
{
    pthread_mutex_lock(&c->log.lock);
    *(end ? &s->end : &s->begin) = c->log.n;
    c->events[c->n_events++] = (struct event){s, end};
    pthread_mutex_unlock(&c->log.lock);
}

/* Errors that an image may give with nothing wrong: refcounts too narrow for a snapshot, a resize with snapshots. */
static bool may_be_refused(const struct step *s)
{
    return s->kind == STEP_SNAPSHOT || s->kind == STEP_APPLY || s->kind == STEP_RESIZE || s->kind == STEP_COMPRESSED;
}

static void step_note(struct crash *c, const struct step *s)
{
    char text[160];

    step_print(s, text, sizeof text);
    if (c->o->verbose)
        note("%zu-%zu: %s", s->begin, s->end, text);
    c->refused += s->result < 0;
    if (s->result < 0 && !may_be_refused(s)) {
        note("%s, on a host without faults (%s, workload %" PRIu64 ")", text, c->w.shape.options, c->workload_seed);
        c->failures++;
    }
}

struct thread {
    pthread_t id;
    struct crash *c;
    struct image *img;
    struct workload w;
    struct step *steps;
};

static void *thread_run(void *arg)
{
    struct thread *t = arg;

    for (unsigned i = 0; i < THREAD_STEPS; i++) {
        struct step *s = &t->steps[i];

        workload_next(&t->w, s);
        event(t->c, s, false);
        step_run(t->img, s);
        s->size = image_size(t->img) / SECTOR;
        event(t->c, s, true);
    }
    return NULL;
}

/* Threads side by side, each in sectors of its own; their clusters and tables are the same. */
static void work_together(struct crash *c, struct image *img)
{
    struct thread t[THREADS];
    uint64_t each = c->w.sectors / THREADS;

    if (!each || c->n_steps + THREADS * THREAD_STEPS > STEPS_MAX)
        return;
    c->log.threads = true;
    for (unsigned i = 0; i < THREADS; i++) {
        t[i] = (struct thread){.c = c, .img = img, .steps = &c->steps[c->n_steps]};
        workload_part(&t[i].w, &c->w, i * each, i < THREADS - 1 ? each : c->w.sectors - i * each, c->w.stamp,
                      rng_next(&c->rng));
        c->w.stamp += THREAD_STEPS;
        c->n_steps += THREAD_STEPS;
    }
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&t[i].id, NULL, thread_run, &t[i]))
            abort();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i].id, NULL);
    c->log.threads = false;
    for (unsigned i = 0; i < THREADS * THREAD_STEPS; i++)
        step_note(c, &t[0].steps[i]);
}

/* One step; the image, or NULL when it does not open again. */
static struct image *work_step(struct crash *c, struct image *mem, struct image *img, struct err *e)
{
    struct step *s = &c->steps[c->n_steps++];

    workload_next(&c->w, s);
    event(c, s, false);
    if (s->kind == STEP_REOPEN) {
        image_close(img);
        img = work_open(c, mem, e);
    } else {
        step_run(img, s);
    }
    event(c, s, true);
    if (!img)
        return NULL;
    workload_done(&c->w, s, img);
    step_note(c, s);
    return img;
}

/* All steps, each with its place in the recording. */
static bool work(struct crash *c, struct image *mem)
{
    struct err e = {{0}};
    unsigned steps = 6 + (unsigned)rng_below(&c->rng, STEPS_MAX - 6);
    struct image *img = work_open(c, mem, &e);
    bool together = rng_one_in(&c->rng, 3);

    c->n_steps = c->n_events = 0;
    while (img && c->n_steps < steps) {
        if (together && rng_one_in(&c->rng, 6))
            work_together(c, img);
        else
            img = work_step(c, mem, img, &e);
    }
    if (!img) {
        note("cannot open the image (%s, workload %" PRIu64 "): %s", c->w.shape.options, c->workload_seed, e.msg);
        c->failures++;
        return false;
    }
    image_close(img);
    return true;
}

/* Bring the belief to where the recording is. A step that asked nothing of the host has begun when it has ended. */
static void believe(struct crash *c)
{
    for (; c->believed < c->n_events; c->believed++) {
        const struct event *v = &c->events[c->believed];
        const struct step *s = v->step;

        if (v->end ? s->end > c->states.at
                   : s->begin >= c->states.at && !(s->begin == s->end && s->end <= c->states.at))
            return;
        (v->end ? belief_end : belief_begin)(c->belief, s);
        c->belief_version++;
    }
}

static void explore(struct crash *c)
{
    struct bytes state = {0};
    char name[100];

    for (size_t k = 0; c->failures < FAILURES_MAX; k++) {
        bool now = rng_one_in(&c->rng, 1 + (c->states.live.size >> 20));

        believe(c);
        if (now) {
            c->prefixes++;
            state_count(c, &c->states.live, "all requests kept");
        }
        for (unsigned v = 0; now && c->states.at > c->states.epoch && v < 2; v++) {
            states_variant(&c->states, &c->rng, &state, name, sizeof name);
            state_count(c, &state, name);
        }
        if (k == c->log.n || c->total >= c->o->count)
            break;
        states_step(&c->states);
    }
    free(state.data);
}

static bool workload_run(struct crash *c, uint64_t seed)
{
    struct shape shape;
    struct image *mem;
    bool ok;

    c->workload_seed = seed;
    c->rng = (struct rng){seed};
    shape_random(&shape, c->o->format, &c->rng);
    workload_init(&c->w, &shape, rng_next(&c->rng));
    if (c->o->verbose)
        note("workload %" PRIu64 ": %s, %" PRIu64 " sectors%s", seed, shape.options, shape.sectors,
             shape.backing ? ", backing file" : "");
    if (!shape.backing || shape_backing_file(&shape, c->o->dir))
        c->first = shape_create(&shape, c->o->dir, rng_one_in(&c->rng, 2), &c->first_size);
    if (!c->first) {
        c->failures++;
        note("workload %" PRIu64 ": cannot create the image (%s)", seed, shape.options);
        return false;
    }
    mem = memory_new(c->first, c->first_size);
    recording_init(&c->log);
    c->log.deaf = c->o->plant && !strcmp(c->o->plant, "flush");
    c->believed = 0;
    ok = mem && work(c, mem);
    image_close(mem);
    c->belief = belief_new(&c->w.shape);
    ok = judge_init(&c->judge, &c->w.shape, c->belief, c->o->dir, seed) && ok;
    states_init(&c->states, &c->log, c->first, c->first_size);
    c->workloads++;
    if (ok)
        explore(c);
    states_fini(&c->states);
    belief_free(c->belief);
    recording_free(&c->log);
    free(c->seen);
    free(c->first);
    judge_fini(&c->judge);
    c->seen = NULL;
    c->seen_n = c->seen_cap = 0;
    return ok;
}

bool proof_crash(const struct proof_options *o)
{
    struct crash *c = calloc(1, sizeof *c);
    bool pass;

    if (!c)
        abort();
    c->o = o;
    for (uint64_t seed = o->seed; c->total < o->count && c->failures < FAILURES_MAX; seed++) {
        uint64_t before = c->total / PROGRESS;

        workload_run(c, seed);
        if (c->total / PROGRESS != before)
            note("%" PRIu64 " states so far, %" PRIu64 " bad", c->total, c->failures);
    }
    note("%s: %" PRIu64 " states (%" PRIu64 " prefixes) of %" PRIu64 " workloads from seed %" PRIu64 "; %" PRIu64
         " with leaks, %" PRIu64 " dirty, %" PRIu64 " in repair, %" PRIu64 " also checked by qemu-img; %" PRIu64
         " steps refused",
         o->format, c->total, c->prefixes, c->workloads, o->seed, c->leaky, c->dirty, c->repairs, c->qemu, c->refused);
    pass = c->failures == 0;
    free(c);
    return pass;
}
