/* Goldfish RTC through its registers, in the order Linux's rtc-goldfish.c uses them. */
#include "devices/goldfish_rtc.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define SEC NS_PER_SEC

static struct dev_bench bench;
static struct device *dev;
static struct dev_line line;

static uint64_t rd(gpa off) { return dev_read(&bench, DEV_BASE + off, 4); }
static void wr(gpa off, uint32_t v) { dev_write(&bench, DEV_BASE + off, 4, v); }

static uint64_t now(void)
{
    uint64_t low = rd(0);

    return rd(4) << 32 | low;
}

static void rtc_at(uint64_t wall)
{
    clock_set_wall(bench.clock, wall);
    dev = goldfish_rtc_new(&bench.env, "rtc");
    dev_map(dev);
    dev_connect(&dev->irq, &line);
}

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static void time_is_the_wall_clocks(void **state)
{
    (void)state;
    rtc_at(UINT64_C(1700000000123456789));
    CHECK_EQ(now(), UINT64_C(1700000000123456789));
    clock_advance(bench.clock, 5);
    CHECK_EQ(now(), UINT64_C(1700000000123456794));
}

static void low_then_high_is_one_value(void **state)
{
    (void)state;
    rtc_at(0xffffffff);
    CHECK_EQ(rd(0), 0xffffffff);
    clock_advance(bench.clock, 1);
    CHECK_EQ(rd(4), 0);
    CHECK_EQ(now(), UINT64_C(0x100000000));
}

static void the_guest_sets_the_time(void **state)
{
    (void)state;
    rtc_at(77);
    wr(4, 0x12345678);
    wr(0, 0x9abcdef0);
    CHECK_EQ(now(), UINT64_C(0x123456789abcdef0));
    device_reset(dev); /* a clock with a battery */
    CHECK_EQ(now(), UINT64_C(0x123456789abcdef0));
}

static void alarm_raises_irq_at_its_time_and_not_before(void **state)
{
    (void)state;
    rtc_at(0);
    wr(0x10, 1);             /* IRQ_ENABLED */
    wr(0x0c, 0);             /* ALARM_HIGH */
    wr(0x08, (uint32_t)SEC); /* ALARM_LOW arms */
    CHECK_EQ(rd(0x18), 1);
    clock_advance(bench.clock, SEC - 1);
    CHECK_EQ(line.level, false);
    clock_advance(bench.clock, 1);
    CHECK_EQ(line.level, true);
    CHECK_EQ(rd(0x18), 0); /* ALARM_ARMED */
    wr(0x1c, 1);           /* CLEAR_IRQ */
    CHECK_EQ(line.level, false);
}

static void a_cleared_alarm_is_silent(void **state)
{
    (void)state;
    rtc_at(0);
    wr(0x10, 1);
    wr(0x08, 1000);
    wr(0x14, 1);
    clock_advance(bench.clock, 2000);
    CHECK_EQ(line.rises, 0);
    wr(0x08, 500); /* in the past */
    clock_advance(bench.clock, 1);
    CHECK_EQ(line.level, true);
}

static void a_masked_alarm_shows_when_enabled(void **state)
{
    (void)state;
    rtc_at(0);
    wr(0x08, 1000);
    clock_advance(bench.clock, 1000);
    CHECK_EQ(line.level, false);
    wr(0x10, 1);
    CHECK_EQ(line.level, true);
    device_reset(dev);
    CHECK_EQ(line.level, false);
}

static void a_snapshot_keeps_the_alarm(void **state)
{
    (void)state;
    rtc_at(10 * SEC);
    wr(0x10, 1);
    wr(0x0c, (uint32_t)(11 * SEC >> 32));
    wr(0x08, (uint32_t)(11 * SEC));
    dev_check_save_restore(dev);
    CHECK_EQ(now(), 10 * SEC);
    clock_advance(bench.clock, SEC);
    CHECK_EQ(line.level, true);
    dev_check_save_restore(dev);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(time_is_the_wall_clocks),    TEST(low_then_high_is_one_value),
        TEST(the_guest_sets_the_time),    TEST(alarm_raises_irq_at_its_time_and_not_before),
        TEST(a_cleared_alarm_is_silent),  TEST(a_masked_alarm_shows_when_enabled),
        TEST(a_snapshot_keeps_the_alarm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
