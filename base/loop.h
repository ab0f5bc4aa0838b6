/*
 * Event loop: one thread that waits for descriptors, posted calls and the clock's timers.
 *
 * Callbacks run on the loop's thread. loop_post, loop_call and loop_stop may be called from any thread, the rest only
 * from the loop's thread or before it runs.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct clock;
struct loop;

enum {
    LOOP_IN = 1,
    LOOP_OUT = 2,
    LOOP_HUP = 4,  /* error or hang-up, always reported */
    LOOP_EDGE = 8, /* asked for with the others: report what is new only (more data, room again), not what still holds */
};

typedef void loop_fd_fn(void *arg, int fd, unsigned events);
typedef void loop_fn(void *arg);

/* clock may be NULL (no timers); it must live longer than the loop. */
struct loop *loop_new(struct clock *clock, struct err *e);
void loop_free(struct loop *l);

/* Watch fd (the caller keeps it open and owns it). Regular files count as always ready. Each of these three is O(1). */
bool loop_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct err *e);
void loop_change(struct loop *l, int fd, unsigned events); /* 0: reported no more, still known */
void loop_remove(struct loop *l, int fd);                  /* no callback after it returns */

void loop_post(struct loop *l, loop_fn *fn, void *arg);
void loop_run(struct loop *l); /* until loop_stop */
/* One turn: wait for something to happen (not at all when a call is posted) and report it. false: loop_stop was called. */
bool loop_turn(struct loop *l);
bool loop_poll(struct loop *l); /* the same, without waiting */
void loop_stop(struct loop *l);

/*
 * A call that is asked for often: its owner holds the memory, asking again before it has begun costs an atomic exchange,
 * and a loop that is awake is not woken. What the asking thread wrote before, fn sees.
 */
struct loop_call {
    loop_fn *fn;
    void *arg;
    /* the loop's: */
    struct loop *loop;
    struct loop_call *next;
    bool pending; /* atomic */
};

void loop_call_init(struct loop_call *c, struct loop *l, loop_fn *fn, void *arg);
void loop_call(struct loop_call *c);        /* fn runs once, soon; in the next turn when asked for by a call that runs */
void loop_call_cancel(struct loop_call *c); /* it does not run; nobody asks at the same time */

#endif
