/* The finisher's codes as Linux's and OpenSBI's syscon drivers write them. */
#include "devices/test_finisher.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

static struct dev_bench bench;
static struct device *dev;
static int calls;
static enum finish what;
static unsigned code;

static void finish(void *arg, enum finish w, unsigned c)
{
    (void)arg;
    calls++;
    what = w;
    code = c;
}

static int setup(void **state)
{
    (void)state;
    calls = 0;
    dev_bench_open(&bench);
    dev = test_finisher_new(&bench.env, "test", finish, NULL);
    dev_map(dev);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static void codes_reach_the_machine(void **state)
{
    (void)state;
    dev_write(&bench, DEV_BASE, 4, 0x5555);
    CHECK_EQ(what, FINISH_PASS);
    dev_write(&bench, DEV_BASE, 4, 0x2a3333);
    CHECK_EQ(what, FINISH_FAIL);
    CHECK_EQ(code, 0x2a);
    dev_write(&bench, DEV_BASE, 2, 0x7777);
    CHECK_EQ(what, FINISH_RESET);
    CHECK_EQ(calls, 3);
}

static void anything_else_is_ignored(void **state)
{
    (void)state;
    dev_write(&bench, DEV_BASE, 4, 0);
    dev_write(&bench, DEV_BASE, 4, 0x5554);
    dev_write(&bench, DEV_BASE + 4, 4, 0x5555);
    CHECK_EQ(dev_read(&bench, DEV_BASE, 4), 0);
    CHECK(dev_refused(&bench, DEV_BASE, 8));
    CHECK_EQ(calls, 0);
    dev_check_save_restore(dev);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(codes_reach_the_machine), TEST(anything_else_is_ignored)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
