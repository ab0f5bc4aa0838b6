/* ACLINT through its registers, offsets as in the ACLINT specification and SiFive's CLINT. */
#include "devices/aclint.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

enum { TICK = 100 }; /* ns */

static struct dev_bench bench;
static struct device *dev;
static struct dev_line msi[2], mti[2];

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    dev = aclint_new(&bench.env, "clint", 2);
    dev_map(dev);
    for (unsigned h = 0; h < 2; h++) {
        dev_connect(aclint_irq(dev, ACLINT_MSI, h), &msi[h]);
        dev_connect(aclint_irq(dev, ACLINT_MTI, h), &mti[h]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static uint64_t rd(gpa off, unsigned size) { return dev_read(&bench, DEV_BASE + off, size); }
static void wr(gpa off, unsigned size, uint64_t v) { dev_write(&bench, DEV_BASE + off, size, v); }

static void msip_drives_its_own_hart(void **state)
{
    (void)state;
    wr(4, 4, 0xffffffff);
    CHECK_EQ(rd(4, 4), 1);
    CHECK_EQ(rd(0, 4), 0);
    CHECK_EQ(msi[0].level, 0);
    CHECK_EQ(msi[1].level, 1);
    wr(4, 4, 0xfffffffe);
    CHECK_EQ(msi[1].level, 0);
    wr(8, 4, 1); /* a hart that is not there */
    CHECK_EQ(rd(8, 4), 0);
}

static void mtime_counts_at_ten_megahertz(void **state)
{
    (void)state;
    CHECK_EQ(rd(0xbff8, 8), 0);
    clock_advance(bench.clock, NS_PER_SEC);
    CHECK_EQ(rd(0xbff8, 8), 10000000);
    CHECK_EQ(rd(0xbff8, 4), 10000000);
    CHECK_EQ(rd(0xbffc, 4), 0);
    CHECK_EQ(aclint_time(dev), 10000000);
    CHECK_EQ(rd(0xc000, 4), 0); /* behind it there is nothing */
}

static void timer_interrupts_at_its_tick_and_not_before(void **state)
{
    (void)state;
    wr(0x4000, 8, 1000);
    CHECK_EQ(mti[0].level, 0);
    clock_advance(bench.clock, 1000 * TICK - 1);
    CHECK_EQ(mti[0].level, 0);
    clock_advance(bench.clock, 1);
    CHECK_EQ(mti[0].level, 1);
    CHECK_EQ(mti[1].level, 0);
    wr(0x4000, 8, 2000);
    CHECK_EQ(mti[0].level, 0);
    wr(0x4000, 8, 5); /* in the past: at once */
    CHECK_EQ(mti[0].level, 1);
}

static void halves_of_mtimecmp_can_be_written(void **state)
{
    (void)state;
    wr(0x4008, 4, 0xffffffff); /* the order the privileged specification shows for RV32 */
    wr(0x400c, 4, 1);
    wr(0x4008, 4, 2);
    CHECK_EQ(rd(0x4008, 8), UINT64_C(0x100000002));
    CHECK_EQ(rd(0x400c, 4), 1);
    CHECK_EQ(mti[1].rises, 0);
    clock_advance(bench.clock, UINT64_C(0x100000002) * TICK);
    CHECK_EQ(mti[1].level, 1);
}

static void all_ones_never_comes(void **state)
{
    (void)state;
    wr(0x4000, 8, UINT64_MAX);
    CHECK_EQ(aclint_time_to_clock(dev, UINT64_MAX), CLOCK_NEVER);
    clock_advance(bench.clock, 1000 * NS_PER_SEC);
    CHECK_EQ(mti[0].rises, 0);
}

static unsigned changes;

static void changed(void *arg)
{
    (void)arg;
    changes++;
}

static void writing_mtime_moves_pending_timers(void **state)
{
    (void)state;
    changes = 0;
    aclint_on_time_change(dev, changed, NULL);
    wr(0x4000, 8, 5000000);
    wr(0xbff8, 8, 4999999);
    CHECK_EQ(changes, 1);
    CHECK_EQ(mti[0].level, 0);
    clock_advance(bench.clock, TICK);
    CHECK_EQ(rd(0xbff8, 8), 5000000);
    CHECK_EQ(mti[0].level, 1);
    wr(0xbffc, 4, 7);
    CHECK_EQ(rd(0xbff8, 8), UINT64_C(0x7004c4b40));
    wr(0xbff8, 8, 0); /* backwards: not due any more */
    CHECK_EQ(mti[0].level, 0);
    CHECK_EQ(aclint_time_to_clock(dev, 10), clock_now(bench.clock) + 10 * TICK);
}

static void reset_starts_time_anew_and_drops_lines(void **state)
{
    (void)state;
    wr(0x4000, 8, 1);
    wr(0, 4, 1);
    clock_advance(bench.clock, 12345 * TICK);
    CHECK_EQ(mti[0].level, 1);
    device_reset(dev);
    CHECK_EQ(rd(0xbff8, 8), 0);
    CHECK_EQ(mti[0].level, 0);
    CHECK_EQ(msi[0].level, 0);
}

static void a_snapshot_keeps_timers(void **state)
{
    (void)state;
    clock_advance(bench.clock, 500 * TICK);
    wr(0x4000, 8, 700);
    wr(4, 4, 1);
    dev_check_save_restore(dev);
    CHECK_EQ(rd(0xbff8, 8), 500);
    CHECK_EQ(msi[1].level, 1);
    clock_advance(bench.clock, 200 * TICK);
    CHECK_EQ(mti[0].level, 1);
}

static void narrow_accesses_are_refused(void **state)
{
    (void)state;
    CHECK(dev_refused(&bench, DEV_BASE, 1));
    CHECK(dev_refused(&bench, DEV_BASE + 0xbff8, 2));
}

static void sswi_pulses_for_ones_only(void **state)
{
    struct device *s = aclint_sswi_new(&bench.env, "sswi", 2);
    struct dev_line l;
    struct err e;

    (void)state;
    CHECK(device_map(s, 0x2f00000, &e));
    dev_connect(aclint_sswi_irq(s, 1), &l);
    dev_write(&bench, 0x2f00004, 4, 0);
    CHECK_EQ(l.sets, 0);
    dev_write(&bench, 0x2f00004, 4, 1);
    dev_write(&bench, 0x2f00004, 4, 1);
    CHECK_EQ(l.sets, 2);
    CHECK_EQ(dev_read(&bench, 0x2f00004, 4), 0);
    dev_write(&bench, 0x2f00008, 4, 1); /* no such hart */
    bus_unmap(bench.bus, &s->region);
    device_free(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(msip_drives_its_own_hart),
        TEST(mtime_counts_at_ten_megahertz),
        TEST(timer_interrupts_at_its_tick_and_not_before),
        TEST(halves_of_mtimecmp_can_be_written),
        TEST(all_ones_never_comes),
        TEST(writing_mtime_moves_pending_timers),
        TEST(reset_starts_time_anew_and_drops_lines),
        TEST(a_snapshot_keeps_timers),
        TEST(narrow_accesses_are_refused),
        TEST(sswi_pulses_for_ones_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
