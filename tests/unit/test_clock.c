/* Timers on the fake clock, and the loop that runs them on the real one. */
#include "tests/unit/check.h"

#include "base/clock.h"
#include "base/loop.h"

static unsigned fired;
static uint64_t fired_at;
static struct clock *c;

static void note(void *arg)
{
    fired++;
    fired_at = clock_now(arg);
}

static void timers_fire_in_order_at_their_time(void **state)
{
    struct timer a, b;

    (void)state;
    c = clock_new_fake();
    fired = 0;
    timer_init(&a, c, note, c);
    timer_init(&b, c, note, c);
    timer_arm(&a, 300);
    timer_arm(&b, 200);
    timer_arm(&b, 100); /* re-armed, not twice */
    CHECK_EQ(clock_next(c), 100);
    clock_advance(c, 99);
    CHECK_EQ(fired, 0);
    clock_advance(c, 1);
    CHECK_EQ(fired, 1);
    CHECK_EQ(fired_at, 100);
    clock_advance(c, 500);
    CHECK_EQ(fired, 2);
    CHECK_EQ(fired_at, 300);
    CHECK_EQ(clock_now(c), 600);
    clock_free(c);
}

static void cancelled_timers_stay_silent(void **state)
{
    struct timer t[100];

    (void)state;
    c = clock_new_fake();
    fired = 0;
    for (unsigned i = 0; i < 100; i++) {
        timer_init(&t[i], c, note, c);
        timer_arm(&t[i], (i * 37) % 100 + 1);
    }
    for (unsigned i = 0; i < 100; i += 2)
        timer_cancel(&t[i]);
    clock_advance(c, 1000);
    CHECK_EQ(fired, 50);
    CHECK_EQ(clock_next(c), CLOCK_NEVER);
    clock_free(c);
}

static void a_stopped_clock_stands_still(void **state)
{
    uint64_t then;

    (void)state;
    c = clock_new_real();
    clock_stop(c);
    then = clock_now(c);
    CHECK_EQ(clock_now(c), then);
    clock_start(c);
    CHECK(clock_now(c) >= then);
    clock_free(c);
}

static struct loop *loop;

static void stop_loop(void *arg)
{
    note(arg);
    loop_stop(loop);
}

static void the_loop_runs_timers_and_posts(void **state)
{
    struct timer t;
    struct err e;

    (void)state;
    c = clock_new_real();
    loop = loop_new(c, &e);
    CHECK(loop != NULL);
    fired = 0;
    loop_post(loop, note, c);
    timer_init(&t, c, stop_loop, c);
    timer_arm(&t, clock_now(c) + 1000000);
    loop_run(loop);
    CHECK_EQ(fired, 2);
    loop_free(loop);
    clock_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_at_their_time),
        cmocka_unit_test(cancelled_timers_stay_silent),
        cmocka_unit_test(a_stopped_clock_stands_still),
        cmocka_unit_test(the_loop_runs_timers_and_posts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
