/* Counters and the supervisor's timer on a fake clock: Zicntr, Zihpm, Sscofpmf, Sstc. */
#include "tests/unit/hart.h"

enum {
    MCYCLE = 0xb00,
    MINSTRET = 0xb02,
    MHPM3 = 0xb03,
    MEVENT3 = 0x323,
    INHIBIT = 0x320,
    INSTRET = 0xc02,
    TIME = 0xc01
};
enum { STIMECMP = 0x14d, MENVCFG = 0x30a, NOP = 0x13 };
#define OF (UINT64_C(1) << 63)
#define MINH (UINT64_C(1) << 62)
#define TICK 100 /* ns: mtime runs at 10 MHz */

static struct hart_env h;

static int setup(void **state)
{
    (void)state;
    hart_open(&h, "rv64");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hart_close(&h);
    return 0;
}

static void nops(unsigned n)
{
    while (n--) {
        h.c->v.pc = RAM_BASE;
        CHECK(hart_run1(&h, NOP));
    }
}

static void run(uint32_t word)
{
    h.c->v.pc = RAM_BASE;
    CHECK(hart_run1(&h, word));
}

static void instret_counts_completed_instructions(void **state)
{
    uint64_t a = csr_get(&h, INSTRET);

    (void)state;
    nops(5);
    CHECK_EQ(csr_get(&h, INSTRET), a + 5);
    h.c->v.pc = RAM_BASE;
    CHECK(!hart_run1(&h, 0x73)); /* ecall does not retire */
    CHECK_EQ(csr_get(&h, INSTRET), a + 5);
}

static void the_instruction_after_a_write_reads_the_value_written(void **state)
{
    (void)state;
    h.c->v.r[11] = 1000;
    run(csr_word(CSRRW, MINSTRET, 0, 11));
    run(csr_word(CSRRS, MINSTRET, 10, 0));
    CHECK_EQ(h.c->v.r[10], 1000);
    run(csr_word(CSRRS, INSTRET, 10, 0));
    CHECK_EQ(h.c->v.r[10], 1001);
}

static void an_inhibited_counter_stands_still(void **state)
{
    uint64_t c, i;

    (void)state;
    csr_set(&h, INHIBIT, 4);
    CHECK_EQ(csr_get(&h, INHIBIT), 4);
    i = csr_get(&h, MINSTRET);
    c = csr_get(&h, MCYCLE);
    nops(10);
    CHECK_EQ(csr_get(&h, MINSTRET), i);
    CHECK_EQ(csr_get(&h, MCYCLE), c + 10);
    csr_set(&h, INHIBIT, 0);
    nops(3);
    CHECK_EQ(csr_get(&h, MINSTRET), i + 3);
    csr_set(&h, INHIBIT, 2); /* TIME cannot be inhibited */
    CHECK_EQ(csr_get(&h, INHIBIT), 0);
}

static void a_programmable_counter_counts_its_event_only(void **state)
{
    (void)state;
    csr_set(&h, MHPM3, 0);
    nops(3);
    CHECK_EQ(csr_get(&h, MHPM3), 0);
    csr_set(&h, MEVENT3, 2); /* instructions */
    nops(3);
    CHECK_EQ(csr_get(&h, MHPM3), 3);
    csr_set(&h, MEVENT3, 0x10019); /* loads that miss the TLB */
    nops(3);
    CHECK_EQ(csr_get(&h, MHPM3), 3);
}

static void overflow_sets_of_and_the_local_interrupt(void **state)
{
    (void)state;
    csr_set(&h, MEVENT3, 2);
    csr_set(&h, MHPM3, ~UINT64_C(0) - 4);
    nops(4);
    CHECK_EQ(csr_get(&h, MEVENT3) & OF, 0);
    nops(4);
    clock_advance(h.clock, NS_PER_SEC); /* whoever looks late still finds it */
    CHECK(atomic_load(&h.c->v.attention) & ATT_IRQ);
    h.c->v.isa->take_irq(&h.c->v);
    CHECK_EQ(csr_get(&h, 0x344), 1 << 13);
    CHECK_EQ(csr_get(&h, MEVENT3), OF | 2);
    CHECK_EQ(csr_get(&h, 0xda0), 8);
    csr_set(&h, 0x344, 0);
    csr_set(&h, MHPM3, ~UINT64_C(0)); /* with OF still set no second interrupt */
    nops(4);
    csr_get(&h, MHPM3);
    CHECK_EQ(csr_get(&h, 0x344), 0);
}

static void a_filtered_counter_stops_in_its_mode(void **state)
{
    (void)state;
    csr_set(&h, 0x3b0, ~UINT64_C(0));
    csr_set(&h, 0x3a0, 0x1f);
    csr_set(&h, MEVENT3, 2 | MINH);
    csr_set(&h, MHPM3, 0);
    nops(5);
    CHECK_EQ(csr_get(&h, MHPM3), 0);
    csr_set(&h, 0x341, RAM_BASE + 4);
    csr_set(&h, 0x300, PRIV_S << 11);
    run(0x30200073); /* mret */
    nops(4);
    h.c->v.pc = RAM_BASE;
    CHECK(!hart_run1(&h, 0x73)); /* back to M */
    CHECK(h.c->priv == PRIV_M);
    CHECK(csr_get(&h, MHPM3) >= 4 && csr_get(&h, MHPM3) <= 5); /* whose mode the mret counts in is open */
}

static void time_runs_at_10_mhz(void **state)
{
    (void)state;
    CHECK_EQ(csr_get(&h, TIME), 0);
    clock_advance(h.clock, 12345);
    CHECK_EQ(csr_get(&h, TIME), 123);
    rv_time_set(h.c, 1000000);
    CHECK_EQ(csr_get(&h, TIME), 1000000);
    clock_advance(h.clock, TICK * 5);
    CHECK_EQ(csr_get(&h, TIME), 1000005);
}

static void stimecmp_raises_stip_at_its_time_and_not_before(void **state)
{
    (void)state;
    csr_set(&h, MENVCFG, UINT64_C(1) << 63);
    csr_set(&h, STIMECMP, 50);
    clock_advance(h.clock, 50 * TICK - 1);
    CHECK_EQ(csr_get(&h, 0x344), 0);
    clock_advance(h.clock, 1);
    CHECK_EQ(csr_get(&h, 0x344), 0x20);
    csr_set(&h, 0x344, 0); /* it is a line now: software cannot clear it */
    CHECK_EQ(csr_get(&h, 0x344), 0x20);
    csr_set(&h, STIMECMP, 100);
    CHECK_EQ(csr_get(&h, 0x344), 0);
    csr_set(&h, STIMECMP, 10); /* in the past */
    CHECK_EQ(csr_get(&h, 0x344), 0x20);
    csr_set(&h, STIMECMP, ~UINT64_C(0));
    CHECK_EQ(csr_get(&h, 0x344), 0);
    clock_advance(h.clock, 1000 * NS_PER_SEC);
    CHECK_EQ(csr_get(&h, 0x344), 0);
}

static void without_stce_stip_is_softwares(void **state)
{
    (void)state;
    csr_set(&h, STIMECMP, 1);
    clock_advance(h.clock, NS_PER_SEC);
    CHECK_EQ(csr_get(&h, 0x344), 0);
    csr_set(&h, 0x344, 0x20);
    CHECK_EQ(csr_get(&h, 0x344), 0x20);
}

static void unimplemented_counters_read_zero(void **state)
{
    (void)state;
    csr_set(&h, 0xb1f, 77);
    CHECK_EQ(csr_get(&h, 0xb1f), 0);
    csr_set(&h, 0x33f, 2);
    CHECK_EQ(csr_get(&h, 0x33f), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(instret_counts_completed_instructions),
        T(the_instruction_after_a_write_reads_the_value_written),
        T(an_inhibited_counter_stands_still),
        T(a_programmable_counter_counts_its_event_only),
        T(overflow_sets_of_and_the_local_interrupt),
        T(a_filtered_counter_stops_in_its_mode),
        T(time_runs_at_10_mhz),
        T(stimecmp_raises_stip_at_its_time_and_not_before),
        T(without_stce_stip_is_softwares),
        T(unimplemented_counters_read_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
