/* PLIC through its registers: the sequences of the RISC-V PLIC specification, offsets of its memory map. */
#include "devices/plic.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

static struct dev_bench bench;
static struct device *dev;
static struct dev_line out[4]; /* hart 0 M, hart 0 S, hart 1 M, hart 1 S */
static struct irq in[PLIC_SOURCES];

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    dev = plic_new(&bench.env, "plic", 2);
    dev_map(dev);
    for (unsigned c = 0; c < 4; c++)
        dev_connect(plic_irq(dev, c / 2, c % 2), &out[c]);
    for (unsigned n = 0; n < PLIC_SOURCES; n++)
        in[n] = plic_input(dev, n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static uint32_t rd(gpa off) { return (uint32_t)dev_read(&bench, DEV_BASE + off, 4); }
static void wr(gpa off, uint32_t v) { dev_write(&bench, DEV_BASE + off, 4, v); }

static void priority(unsigned n, uint32_t p) { wr(4 * n, p); }
static void enable(unsigned c, unsigned n)
{
    wr(0x2000 + 0x80 * c + n / 32 * 4, rd(0x2000 + 0x80 * c + n / 32 * 4) | 1u << n % 32);
}
static void disable(unsigned c, unsigned n) { wr(0x2000 + 0x80 * c + n / 32 * 4, 0); }
static void threshold(unsigned c, uint32_t t) { wr(0x200000 + 0x1000 * c, t); }
static uint32_t claim(unsigned c) { return rd(0x200004 + 0x1000 * c); }
static void complete(unsigned c, uint32_t n) { wr(0x200004 + 0x1000 * c, n); }
static uint32_t pending(unsigned n) { return rd(0x1000 + n / 32 * 4) >> n % 32 & 1; }

static void an_enabled_source_with_priority_reaches_its_context_only(void **state)
{
    (void)state;
    irq_set(&in[10], true);
    CHECK_EQ(pending(10), 1);
    CHECK_EQ(out[1].level, 0);
    enable(1, 10);
    CHECK_EQ(out[1].level, 0); /* priority 0 never interrupts */
    priority(10, 1);
    CHECK_EQ(out[1].level, 1);
    CHECK_EQ(out[0].level, 0);
    CHECK_EQ(out[3].level, 0);
}

static void claim_takes_the_highest_priority_then_the_lowest_number(void **state)
{
    (void)state;
    for (unsigned n = 30; n < 36; n++) {
        priority(n, n == 33 ? 7 : 3);
        enable(1, n);
        irq_set(&in[n], true);
    }
    CHECK_EQ(claim(1), 33);
    CHECK_EQ(claim(1), 30);
    CHECK_EQ(claim(1), 31);
    CHECK_EQ(claim(0), 0);
    CHECK_EQ(out[1].level, 1);
    CHECK_EQ(claim(1), 32);
    CHECK_EQ(claim(1), 34);
    CHECK_EQ(claim(1), 35);
    CHECK_EQ(claim(1), 0);
    CHECK_EQ(out[1].level, 0);
}

static void a_level_asks_once_until_completed_and_again_after(void **state)
{
    (void)state;
    priority(8, 1);
    enable(1, 8);
    irq_set(&in[8], true);
    CHECK_EQ(claim(1), 8);
    CHECK_EQ(out[1].level, 0);
    irq_set(&in[8], false);
    irq_set(&in[8], true); /* the gateway waits for the completion */
    CHECK_EQ(pending(8), 0);
    CHECK_EQ(out[1].level, 0);
    complete(1, 8);
    CHECK_EQ(pending(8), 1);
    CHECK_EQ(out[1].level, 1);
    CHECK_EQ(claim(1), 8);
    irq_set(&in[8], false);
    complete(1, 8);
    CHECK_EQ(pending(8), 0);
    CHECK_EQ(out[1].level, 0);
}

static void a_request_once_forwarded_stays_when_the_level_falls(void **state)
{
    (void)state;
    priority(5, 2);
    enable(0, 5);
    irq_set(&in[5], true);
    irq_set(&in[5], false);
    CHECK_EQ(out[0].level, 1);
    CHECK_EQ(claim(0), 5);
    complete(0, 5);
    CHECK_EQ(out[0].level, 0);
}

static void completion_of_a_source_not_enabled_is_ignored(void **state)
{
    (void)state;
    priority(5, 2);
    enable(0, 5);
    irq_set(&in[5], true);
    CHECK_EQ(claim(0), 5);
    disable(0, 5);
    complete(0, 5);
    enable(0, 5);
    CHECK_EQ(out[0].level, 0); /* still in service */
    complete(3, 5);            /* another context that has it not enabled */
    CHECK_EQ(out[0].level, 0);
    complete(0, 5);
    CHECK_EQ(out[0].level, 1);
    complete(0, 0);
    complete(0, 96);
    complete(0, 0xffffffff);
    CHECK_EQ(out[0].level, 1);
}

static void threshold_masks_lines_but_not_claims(void **state)
{
    (void)state;
    priority(5, 3);
    enable(1, 5);
    irq_set(&in[5], true);
    threshold(1, 3);
    CHECK_EQ(out[1].level, 0);
    threshold(1, 2);
    CHECK_EQ(out[1].level, 1);
    threshold(1, 7);
    CHECK_EQ(out[1].level, 0);
    CHECK_EQ(claim(1), 5); /* "not affected by the setting of the priority threshold register" */
}

static void two_contexts_race_for_one_request(void **state)
{
    (void)state;
    priority(20, 1);
    enable(1, 20);
    enable(3, 20);
    irq_set(&in[20], true);
    CHECK_EQ(out[1].level, 1);
    CHECK_EQ(out[3].level, 1);
    CHECK_EQ(claim(3), 20);
    CHECK_EQ(out[1].level, 0);
    CHECK_EQ(claim(1), 0);
    irq_set(&in[20], false);
    complete(1, 20); /* any context that has it enabled may complete */
    irq_set(&in[20], true);
    CHECK_EQ(out[1].level, 1);
}

static void registers_hold_what_exists(void **state)
{
    (void)state;
    wr(0, 7);
    CHECK_EQ(rd(0), 0); /* no source 0 */
    wr(4 * 95, 0xffffffff);
    CHECK_EQ(rd(4 * 95), 7);
    wr(4 * 96, 1);
    CHECK_EQ(rd(4 * 96), 0);
    wr(0x2000, 0xffffffff);
    CHECK_EQ(rd(0x2000), 0xfffffffe);
    wr(0x200c, 0xffffffff);
    CHECK_EQ(rd(0x200c), 0);
    wr(0x1000, 0xffffffff); /* pending is read-only */
    CHECK_EQ(rd(0x1000), 0);
    wr(0x200000 + 4 * 0x1000, 5); /* context 4: no such hart */
    CHECK_EQ(rd(0x200000 + 4 * 0x1000), 0);
    CHECK(dev_refused(&bench, DEV_BASE, 8));
    CHECK(dev_refused(&bench, DEV_BASE, 1));
}

static void reset_forgets_requests_but_not_levels(void **state)
{
    (void)state;
    priority(9, 1);
    enable(1, 9);
    irq_set(&in[9], true);
    irq_set(&in[4], true);
    irq_set(&in[4], false);
    device_reset(dev);
    CHECK_EQ(out[1].level, 0);
    CHECK_EQ(rd(4 * 9), 0);
    CHECK_EQ(pending(9), 1);
    CHECK_EQ(pending(4), 0);
}

static void a_snapshot_keeps_requests_in_service(void **state)
{
    (void)state;
    priority(9, 1);
    priority(40, 6);
    enable(1, 9);
    enable(1, 40);
    irq_set(&in[9], true);
    irq_set(&in[40], true);
    CHECK_EQ(claim(1), 40);
    dev_check_save_restore(dev);
    CHECK_EQ(out[1].level, 1);
    CHECK_EQ(claim(1), 9);
    complete(1, 40);
    CHECK_EQ(claim(1), 40);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_enabled_source_with_priority_reaches_its_context_only),
        TEST(claim_takes_the_highest_priority_then_the_lowest_number),
        TEST(a_level_asks_once_until_completed_and_again_after),
        TEST(a_request_once_forwarded_stays_when_the_level_falls),
        TEST(completion_of_a_source_not_enabled_is_ignored),
        TEST(threshold_masks_lines_but_not_claims),
        TEST(two_contexts_race_for_one_request),
        TEST(registers_hold_what_exists),
        TEST(reset_forgets_requests_but_not_levels),
        TEST(a_snapshot_keeps_requests_in_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
