/*
 * Proof by random sequences of operations, ours and those of QEMU's tools on the same images: see sequence.h.
 *
 * Of three sequences one is all our work, one all QEMU's, one mixed. After each, and now and then on the way, both read
 * every layer and snapshot as the model has it, both checks are clean and count the same, maps and infos agree.
 * The tools of QEMU wait a little as they end, so several processes share the sequences.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/disk/sequence.h"

enum { STEPS_LEAST = 3, STEPS_MORE = 14, FAILURES_MAX = 5, JOBS = 6, PROGRESS = 100 };

struct totals {
    struct done did;
    uint64_t ran, failures;
};

static bool sequence_run(struct sequence *q)
{
    uint64_t steps;
    bool ok = sequence_begin(q);

    steps = STEPS_LEAST + rng_below(&q->rng, STEPS_MORE);
    for (uint64_t i = 0; ok && i < steps; i++)
        ok = sequence_step(q) && (!rng_one_in(&q->rng, 12) || sequence_verify(q));
    return ok && sequence_verify(q);
}

static void sequence_failed(const struct sequence *q)
{
    static const char *const whose[] = {"qemu's", "", "mixed", "", "ours"};

    note("sequence %" PRIu64 " (%s): %s", q->seed, whose[q->ours_of_4], q->why);
    if (q->n)
        note("  %s, %s; again: disk random --seed %" PRIu64 " --count 1 --verbose", q->layers[q->n - 1].path,
             q->layers[q->n - 1].options, q->seed);
}

/* Every step-th sequence from the first. */
static void run(const struct proof_options *o, uint64_t first, uint64_t step, struct totals *t)
{
    struct sequence *q = calloc(1, sizeof *q);

    if (!q)
        abort();
    q->o = o;
    q->guise = getenv("GUISE_IMG");
    for (uint64_t i = first; i < o->count && t->failures < FAILURES_MAX; i += step) {
        q->seed = o->seed + i;
        q->n = 0;
        *q->why = 0;
        t->ran++;
        if (!sequence_run(q)) {
            t->failures++;
            sequence_failed(q);
            if (o->keep)
                break;
        }
        sequence_end(q);
        if (t->ran % PROGRESS == 0)
            note("%" PRIu64 " sequences so far (of those with every %" PRIu64 ". seed), %" PRIu64 " differences",
                 t->ran, step, t->failures);
    }
    t->did = q->did;
    free(q);
}

/* A process of its own, with a folder of its own; what it did comes through the pipe. */
static int job(const struct proof_options *o, uint64_t n)
{
    struct proof_options mine = *o;
    struct totals t = {0};
    char dir[600];
    int pipes[2];

    if (pipe(pipes))
        abort();
    if (fork()) {
        close(pipes[1]);
        return pipes[0];
    }
    close(pipes[0]);
    snprintf(dir, sizeof dir, "%s/%u", o->dir, (unsigned)n);
    mkdir(dir, 0700);
    mine.dir = dir;
    run(&mine, n, JOBS, &t);
    fflush(stdout);
    _exit(write(pipes[1], &t, sizeof t) != sizeof t);
}

static void add(struct totals *to, const struct totals *from)
{
    to->did.ops += from->did.ops;
    to->did.snapshots += from->did.snapshots;
    to->did.resizes += from->did.resizes;
    to->did.commits += from->did.commits;
    to->did.rebases += from->did.rebases;
    to->did.overlays += from->did.overlays;
    to->did.refused += from->did.refused;
    to->ran += from->ran;
    to->failures += from->failures;
}

bool proof_random(const struct proof_options *o)
{
    struct totals all = {0};
    bool ended = true;

    fflush(stdout);
    if (o->count < JOBS) {
        run(o, 0, 1, &all);
    } else {
        int pipes[JOBS];

        for (uint64_t i = 0; i < JOBS; i++)
            pipes[i] = job(o, i);
        for (uint64_t i = 0; i < JOBS; i++) {
            struct totals t = {0};

            ended &= read(pipes[i], &t, sizeof t) == sizeof t;
            close(pipes[i]);
            add(&all, &t);
        }
        while (wait(NULL) > 0)
            continue;
    }
    if (!ended)
        note("a process did not come to its end");
    note("%" PRIu64 " sequences from seed %" PRIu64 ": %" PRIu64 " operations, %" PRIu64 " on snapshots, %" PRIu64
         " resizes, %" PRIu64 " commits, %" PRIu64 " rebases, %" PRIu64 " overlays; %" PRIu64 " refused; %" PRIu64
         " differences",
         all.ran, o->seed, all.did.ops, all.did.snapshots, all.did.resizes, all.did.commits, all.did.rebases,
         all.did.overlays, all.did.refused, all.failures);
    return ended && all.failures == 0;
}
