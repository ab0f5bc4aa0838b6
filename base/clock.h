/*
 * The clock of one machine: nanoseconds since it started, standing still while the machine is stopped, and timers.
 *
 * Two makes behind one interface: real (CLOCK_MONOTONIC; an event loop calls clock_run_timers when
 * clock_next is due) and fake (moves only by clock_advance; tests, and later seeded runs).
 * Thread-safe. A timer's callback runs without the clock's lock, on the thread that runs timers, once per
 * arming. timer_cancel does not wait for a callback under way: the callback re-checks its device's state.
 * clock_drop_timer waits, for use before the owner is freed.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_SEC UINT64_C(1000000000)

struct clock;

struct timer {
    struct clock *clock;
    void (*expired)(void *arg);
    void *arg;
    uint64_t when; /* ns, CLOCK_NEVER when not armed */
    unsigned slot; /* place in the clock's heap + 1, 0 when not armed */
};

struct clock *clock_new_real(void);
struct clock *clock_new_fake(void);
void clock_free(struct clock *c);

uint64_t clock_now(const struct clock *c);           /* ns; no system call on the usual hosts */
void clock_stop(struct clock *c);                    /* time stands still; nests not */
void clock_start(struct clock *c);                   /* and goes on from where it stood */
bool clock_stopped(const struct clock *c);
uint64_t clock_wall_offset(const struct clock *c);   /* add to clock_now for ns since 1970 */
void clock_set_wall(struct clock *c, uint64_t ns);   /* wall time now (-rtc, tests) */

void timer_init(struct timer *t, struct clock *c, void (*expired)(void *), void *arg);
void timer_arm(struct timer *t, uint64_t when);      /* absolute; re-arms; the past is due at once */
void timer_cancel(struct timer *t);
void clock_drop_timer(struct timer *t);

uint64_t clock_next(const struct clock *c);          /* when the first timer is due, CLOCK_NEVER if none */
void clock_run_timers(struct clock *c);              /* run all that are due now */
/* Called (any thread) when clock_next got earlier; set by the loop that runs the timers. */
void clock_on_rearm(struct clock *c, void (*fn)(void *arg), void *arg);

void clock_advance(struct clock *c, uint64_t ns);    /* fake only: step through every timer on the way */

#endif
