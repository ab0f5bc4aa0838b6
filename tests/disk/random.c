/*
 * Proof by random sequences of operations, ours and those of QEMU's tools on the same images: see sequence.h.
 *
 * Of three sequences one is all our work, one all QEMU's, one mixed. After each, and now and then on the way, both read
 * every layer and snapshot as the model has it, both checks are clean and count the same, maps and infos agree.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/disk/sequence.h"

enum { STEPS_LEAST = 3, STEPS_MORE = 14, FAILURES_MAX = 5 };

static bool sequence_run(struct sequence *q)
{
    uint64_t steps;
    bool ok = sequence_begin(q);

    steps = STEPS_LEAST + rng_below(&q->rng, STEPS_MORE);
    for (uint64_t i = 0; ok && i < steps; i++)
        ok = sequence_step(q) && (!rng_one_in(&q->rng, 12) || sequence_verify(q));
    return ok && sequence_verify(q);
}

bool proof_random(const struct proof_options *o)
{
    struct sequence *q = calloc(1, sizeof *q);
    unsigned failures = 0;
    uint64_t ran = 0;

    if (!q)
        abort();
    q->o = o;
    q->guise = getenv("GUISE_IMG");
    for (; ran < o->count && failures < FAILURES_MAX; ran++) {
        q->seed = o->seed + ran;
        q->n = 0;
        *q->why = 0;
        if (!sequence_run(q)) {
            failures++;
            note("sequence %" PRIu64 " (%s): %s", q->seed,
                 q->ours_of_4 == 4 ? "ours"
                 : q->ours_of_4    ? "mixed"
                                   : "qemu's",
                 q->why);
            if (q->n)
                note("  %s, %s; again: disk random --seed %" PRIu64 " --count 1 --verbose", top(q)->path,
                     top(q)->options, q->seed);
            if (o->keep)
                break;
        }
        sequence_end(q);
    }
    note("%" PRIu64 " sequences from seed %" PRIu64 ": %" PRIu64 " operations, %" PRIu64 " on snapshots, %" PRIu64
         " resizes, %" PRIu64 " commits, %" PRIu64 " rebases, %" PRIu64 " overlays; %" PRIu64
         " refused; %u differences",
         ran, o->seed, q->did.ops, q->did.snapshots, q->did.resizes, q->did.commits, q->did.rebases, q->did.overlays,
         q->did.refused, failures);
    free(q);
    return failures == 0;
}
