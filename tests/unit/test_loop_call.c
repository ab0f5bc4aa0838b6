/* Calls to the event loop from other threads, and who wakes it. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/loop.h"
#include "tests/unit/check.h"

static struct loop *loop;
static unsigned ran;
static char order[16];

static void begin(void)
{
    struct err e;

    loop = loop_new(NULL, &e);
    CHECK(loop != NULL);
    ran = 0;
    order[0] = 0;
}

static void count(void *arg)
{
    (void)arg;
    ran++;
}

static void a_call_asked_for_often_runs_once(void **state)
{
    struct loop_call c;

    (void)state;
    begin();
    loop_call_init(&c, loop, count, NULL);
    for (int i = 0; i < 5; i++)
        loop_call(&c);
    CHECK_EQ(ran, 0);
    loop_poll(loop);
    CHECK_EQ(ran, 1);
    loop_poll(loop);
    CHECK_EQ(ran, 1);
    loop_call(&c);
    loop_poll(loop);
    CHECK_EQ(ran, 2);
    loop_free(loop);
}

static void again(void *arg)
{
    if (++ran < 3)
        loop_call(arg);
}

static void a_call_that_asks_again_runs_in_the_next_turn(void **state)
{
    struct loop_call c;

    (void)state;
    begin();
    loop_call_init(&c, loop, again, &c);
    loop_call(&c);
    loop_poll(loop);
    CHECK_EQ(ran, 1);
    loop_poll(loop);
    loop_poll(loop);
    loop_poll(loop);
    CHECK_EQ(ran, 3);
    loop_free(loop);
}

static void letter(void *arg)
{
    order[ran++] = *(char *)arg;
    order[ran] = 0;
}

static struct loop_call a, b, c;

static void cancel_b(void *arg)
{
    letter(arg);
    loop_call_cancel(&b);
}

static void a_cancelled_call_stays_silent_and_the_others_run_in_order(void **state)
{
    (void)state;
    begin();
    loop_call_init(&a, loop, cancel_b, "a");
    loop_call_init(&b, loop, letter, "b");
    loop_call_init(&c, loop, letter, "c");
    loop_call(&a);
    loop_call(&b);
    loop_call(&c);
    loop_poll(loop); /* b was taken off the list already when a cancels it */
    CHECK_STR(order, "ac");
    loop_call(&c);
    loop_call(&b);
    loop_call_cancel(&b); /* the last one */
    loop_call(&a);
    loop_poll(loop);
    CHECK_STR(order, "acca");
    loop_call(&b);
    loop_poll(loop);
    CHECK_STR(order, "accab");
    loop_free(loop);
}

/* Another thread asks N times, each time after the last was seen: a lost wake-up would hang here. */
enum { PINGS = 2000 };
static struct loop_call ping;
static unsigned seen; /* atomic */

static void pinged(void *arg)
{
    (void)arg;
    if (__atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) == PINGS)
        loop_stop(loop);
}

static void *pinger(void *arg)
{
    for (unsigned i = 0; i < PINGS; i++) {
        if (arg)
            loop_post(loop, pinged, NULL);
        else
            loop_call(&ping);
        while (__atomic_load_n(&seen, __ATOMIC_SEQ_CST) <= i)
            sched_yield();
    }
    return NULL;
}

static void a_sleeping_loop_is_always_woken(void **state)
{
    pthread_t t;

    (void)state;
    for (int posts = 0; posts < 2; posts++) {
        begin();
        seen = 0;
        loop_call_init(&ping, loop, pinged, NULL);
        CHECK(!pthread_create(&t, NULL, pinger, posts ? loop : NULL));
        loop_run(loop);
        pthread_join(t, NULL);
        CHECK_EQ(seen, PINGS);
        loop_free(loop);
    }
}

/* Two threads ask without waiting; whatever was asked before the end is seen by the end. */
static unsigned asked[2], last_seen[2]; /* atomic */
static struct loop_call calls[2];

static void note(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;

    __atomic_store_n(&last_seen[i], __atomic_load_n(&asked[i], __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&last_seen[0], __ATOMIC_SEQ_CST) == PINGS * 10 &&
        __atomic_load_n(&last_seen[1], __ATOMIC_SEQ_CST) == PINGS * 10)
        loop_stop(loop);
}

static void *asker(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;

    for (unsigned k = 1; k <= PINGS * 10; k++) {
        __atomic_store_n(&asked[i], k, __ATOMIC_RELAXED);
        loop_call(&calls[i]);
    }
    return NULL;
}

static void what_was_written_before_the_call_is_seen_by_it(void **state)
{
    pthread_t t[2];

    (void)state;
    begin();
    for (unsigned i = 0; i < 2; i++) {
        asked[i] = last_seen[i] = 0;
        loop_call_init(&calls[i], loop, note, (void *)(uintptr_t)i);
        CHECK(!pthread_create(&t[i], NULL, asker, (void *)(uintptr_t)i));
    }
    loop_run(loop);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_asked_for_often_runs_once),
        cmocka_unit_test(a_call_that_asks_again_runs_in_the_next_turn),
        cmocka_unit_test(a_cancelled_call_stays_silent_and_the_others_run_in_order),
        cmocka_unit_test(a_sleeping_loop_is_always_woken),
        cmocka_unit_test(what_was_written_before_the_call_is_seen_by_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
