/* The event loop: who is called when, and what may happen while it is. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "tests/unit/check.h"

static struct loop *l;
static struct clock *cl;
static int pair[2];
static unsigned calls, seen;

static void begin(void)
{
    struct err e;

    cl = clock_new_fake();
    l = loop_new(cl, &e);
    CHECK(l && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    calls = seen = 0;
}

static void end(void)
{
    loop_free(l);
    clock_free(cl);
    close(pair[0]);
    close(pair[1]);
}

static void stop(void *arg) { loop_stop(arg); }

/* A turn of the loop: what is ready is reported, then it stops. */
static void turn(void)
{
    loop_post(l, stop, l);
    loop_run(l);
}

static void count(void *arg, int fd, unsigned events)
{
    (void)arg;
    (void)fd;
    calls++;
    seen = events;
}

static void put(int fd) { CHECK_EQ(write(fd, "x", 1), 1); }

static void level_watch_repeats_until_the_data_are_read(void **state)
{
    struct err e;
    char c;

    (void)state;
    begin();
    CHECK(loop_add(l, pair[0], LOOP_IN, count, NULL, &e));
    turn();
    CHECK_EQ(calls, 0);
    put(pair[1]);
    turn();
    turn();
    CHECK_EQ(calls, 2);
    CHECK_EQ(seen, LOOP_IN);
    CHECK_EQ(read(pair[0], &c, 1), 1);
    turn();
    CHECK_EQ(calls, 2);
    end();
}

static void edge_watch_reports_each_arrival_once(void **state)
{
    struct err e;

    (void)state;
    begin();
    put(pair[1]);
    CHECK(loop_add(l, pair[0], LOOP_IN | LOOP_EDGE, count, NULL, &e));
    turn();
    turn();
    CHECK_EQ(calls, 1);
    put(pair[1]);
    turn();
    turn();
    CHECK_EQ(calls, 2);
    shutdown(pair[1], SHUT_RDWR);
    turn();
    CHECK(calls == 3 && (seen & LOOP_HUP));
    turn();
    CHECK_EQ(calls, 3);
    end();
}

static void nothing_asked_is_nothing_reported_and_can_be_asked_again(void **state)
{
    struct err e;

    (void)state;
    begin();
    CHECK(loop_add(l, pair[0], 0, count, NULL, &e));
    put(pair[1]);
    turn();
    CHECK_EQ(calls, 0);
    loop_change(l, pair[0], LOOP_IN);
    turn();
    CHECK_EQ(calls, 1);
    loop_change(l, pair[0], 0);
    shutdown(pair[1], SHUT_RDWR); /* a hang-up does not come through either */
    turn();
    CHECK_EQ(calls, 1);
    end();
}

static void remove_both(void *arg, int fd, unsigned events)
{
    (void)arg;
    (void)fd;
    (void)events;
    calls++;
    loop_remove(l, pair[0]);
    loop_remove(l, pair[1]);
}

static void callback_removes_itself_and_another_that_is_due(void **state)
{
    struct err e;

    (void)state;
    begin();
    put(pair[0]);
    put(pair[1]);
    CHECK(loop_add(l, pair[0], LOOP_IN, remove_both, NULL, &e));
    CHECK(loop_add(l, pair[1], LOOP_IN, remove_both, NULL, &e));
    turn();
    turn();
    CHECK_EQ(calls, 1);
    CHECK(loop_add(l, pair[0], LOOP_IN, count, NULL, &e)); /* the number may be used again */
    turn();
    CHECK_EQ(calls, 2);
    end();
}

static void number_closed_unremoved_and_used_again_is_the_new_one(void **state)
{
    struct err e;

    (void)state;
    begin();
    CHECK(loop_add(l, pair[0], LOOP_IN, remove_both, NULL, &e));
    close(pair[0]);
    pair[0] = dup(pair[1]); /* takes the lowest number, the one just closed */
    CHECK(loop_add(l, pair[0], LOOP_OUT, count, NULL, &e));
    turn();
    CHECK_EQ(calls, 1);
    CHECK(seen & LOOP_OUT);
    end();
}

static void regular_file_is_always_ready(void **state)
{
    FILE *f = tmpfile();
    struct err e;

    (void)state;
    begin();
    CHECK(f && loop_add(l, fileno(f), LOOP_IN, count, NULL, &e));
    turn();
    turn();
    CHECK_EQ(calls, 2);
    loop_change(l, fileno(f), 0);
    turn();
    CHECK_EQ(calls, 2);
    loop_remove(l, fileno(f));
    turn();
    CHECK_EQ(calls, 2);
    fclose(f);
    end();
}

static void bad_descriptor_is_refused(void **state)
{
    struct err e;

    (void)state;
    begin();
    CHECK(!loop_add(l, -1, LOOP_IN, count, NULL, &e));
    CHECK(!loop_add(l, 100000, LOOP_IN, count, NULL, &e));
    loop_change(l, 100000, LOOP_OUT);
    loop_remove(l, -1);
    turn();
    CHECK_EQ(calls, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_watch_repeats_until_the_data_are_read),
        cmocka_unit_test(edge_watch_reports_each_arrival_once),
        cmocka_unit_test(nothing_asked_is_nothing_reported_and_can_be_asked_again),
        cmocka_unit_test(callback_removes_itself_and_another_that_is_due),
        cmocka_unit_test(number_closed_unremoved_and_used_again_is_the_new_one),
        cmocka_unit_test(regular_file_is_always_ready),
        cmocka_unit_test(bad_descriptor_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
