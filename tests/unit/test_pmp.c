/* Physical memory protection and Smepmp; rules and tables from the privileged specification. */
#include "tests/unit/hart.h"

#include "cpu/riscv/pmp.h"

enum { R = 1, W = 2, X = 4, TOR = 1 << 3, NA4 = 2 << 3, NAPOT = 3 << 3, L = 0x80 };
enum { PMPCFG0 = 0x3a0, PMPADDR0 = 0x3b0, MSECCFG = 0x747 };
#define PAGE0 RAM_BASE

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

static void entry(unsigned n, uint64_t addr, unsigned cfg)
{
    uint64_t v = csr_get(&h, PMPCFG0) & ~(UINT64_C(0xff) << 8 * n);

    csr_set(&h, PMPADDR0 + n, addr);
    csr_set(&h, PMPCFG0, v | (uint64_t)cfg << 8 * n);
}

static void without_entries_m_may_all_and_s_nothing(void **state)
{
    (void)state;
    CHECK_EQ(pmp_rights(h.c, PAGE0, 4, PRIV_M), R | W | X);
    CHECK_EQ(pmp_rights(h.c, PAGE0, 4, PRIV_S), 0);
    CHECK_EQ(pmp_rights(h.c, PAGE0, 4, PRIV_U), 0);
}

static void napot_covers_its_power_of_two(void **state)
{
    (void)state;
    entry(0, (PAGE0 >> 2) | 0x1ff, NAPOT | R); /* 4 KiB */
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_S), R);
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x1000, PRIV_S), 0);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_M), R | W | X);
    CHECK_EQ(pmp_rights(h.c, PAGE0 + 0xffc, 8, PRIV_S), 0); /* an access partly outside fails */
    entry(0, ~UINT64_C(0), NAPOT | R | W | X);              /* everything */
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_U), R | W | X);
    CHECK_EQ(pmp_page(h.c, 0, PRIV_U), R | W | X);
}

static void na4_covers_one_word_and_the_page_is_partly_covered(void **state)
{
    (void)state;
    entry(0, (PAGE0 + 8) >> 2, NA4 | W | R);
    CHECK_EQ(pmp_rights(h.c, PAGE0 + 8, 4, PRIV_S), R | W);
    CHECK_EQ(pmp_rights(h.c, PAGE0 + 4, 4, PRIV_S), 0);
    CHECK_EQ(pmp_rights(h.c, PAGE0 + 8, 8, PRIV_S), 0);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_S), PMP_PARTLY);
}

static void tor_runs_from_the_entry_before(void **state)
{
    (void)state;
    entry(0, PAGE0 >> 2, 0);
    entry(1, (PAGE0 + 0x2000) >> 2, TOR | X);
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x1000, PRIV_S), X);
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x2000, PRIV_S), 0);
    CHECK_EQ(pmp_page(h.c, PAGE0 - 0x1000, PRIV_S), 0);
    entry(0, (PAGE0 + 0x3000) >> 2, 0); /* empty range: matches nothing */
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x1000, PRIV_S), 0);
    entry(0, (PAGE0 + 0x1000) >> 2, TOR | R); /* entry 0 runs from 0 */
    CHECK_EQ(pmp_page(h.c, 0, PRIV_S), R);
}

static void the_lowest_matching_entry_decides(void **state)
{
    (void)state;
    entry(0, (PAGE0 >> 2) | 0x1ff, NAPOT);
    entry(1, ~UINT64_C(0), NAPOT | R | W | X);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_S), 0);
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x1000, PRIV_S), R | W | X);
}

static void locked_entries_bind_m_mode_and_cannot_be_changed(void **state)
{
    (void)state;
    entry(1, (PAGE0 + 0x1000) >> 2, TOR | L | R);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_M), R);
    entry(1, 0, 0);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_M), R);
    CHECK_EQ(csr_get(&h, PMPADDR0 + 1), (PAGE0 + 0x1000) >> 2);
    csr_set(&h, PMPADDR0, PAGE0 >> 2); /* the base of a locked TOR is locked too */
    CHECK_EQ(csr_get(&h, PMPADDR0), 0);
}

static void write_without_read_is_reserved(void **state)
{
    (void)state;
    entry(0, ~UINT64_C(0), NAPOT | R);
    entry(0, ~UINT64_C(0), NAPOT | W);
    CHECK_EQ(csr_get(&h, PMPCFG0), NAPOT | R);
    csr_set(&h, PMPADDR0, ~UINT64_C(0));
    CHECK_EQ(csr_get(&h, PMPADDR0), (UINT64_C(1) << 54) - 1);
}

static void a_write_empties_the_tlb(void **state)
{
    uint64_t v;

    (void)state;
    entry(0, ~UINT64_C(0), NAPOT | R | W | X);
    hart_mode(&h, PRIV_S);
    CHECK(vcpu_load(&h.c->v, PAGE0, 8, &v));
    hart_mode(&h, PRIV_M);
    entry(0, ~UINT64_C(0), NAPOT | X);
    hart_mode(&h, PRIV_S);
    CHECK(!vcpu_load(&h.c->v, PAGE0, 8, &v));
    CHECK_EQ(h.c->v.trap.cause, CAUSE_LOAD_ACCESS);
    CHECK_EQ(h.c->v.trap.tval, PAGE0);
    CHECK(!vcpu_store(&h.c->v, PAGE0, 8, 0));
    CHECK_EQ(h.c->v.trap.cause, CAUSE_STORE_ACCESS);
}

static void a_partly_covered_page_is_asked_about_each_time(void **state)
{
    uint64_t v;

    (void)state;
    entry(0, (PAGE0 + 0x100) >> 2, TOR | R | W);
    hart_mode(&h, PRIV_S);
    CHECK(vcpu_load(&h.c->v, PAGE0 + 0xf8, 8, &v));
    CHECK(vcpu_store(&h.c->v, PAGE0 + 0xf8, 8, 1));
    CHECK(!vcpu_load(&h.c->v, PAGE0 + 0x100, 8, &v));
    CHECK(!vcpu_load(&h.c->v, PAGE0 + 0xfc, 8, &v));
    CHECK(!vcpu_store(&h.c->v, PAGE0 + 0x100, 1, 1));
}

/* Smepmp, "Truth table when mseccfg.MML is set": one row for each L R W X. */
static void machine_mode_lockdown_follows_the_truth_table(void **state)
{
    static const struct {
        unsigned cfg, m, s;
    } rows[] = {
        {0, 0, 0},
        {X, 0, X},
        {W, R | W, R},
        {W | X, R | W, R | W},
        {R, 0, R},
        {R | X, 0, R | X},
        {R | W, 0, R | W},
        {R | W | X, 0, R | W | X},
        {L, 0, 0},
        {L | X, X, 0},
        {L | W, X, X},
        {L | W | X, R | X, X},
        {L | R, R, 0},
        {L | R | X, R | X, 0},
        {L | R | W, R | W, 0},
        {L | R | W | X, R, R},
    };

    (void)state;
    csr_set(&h, MSECCFG, 5); /* MML, with RLB so that rules can be changed */
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        entry(0, (PAGE0 >> 2) | 0x1ff, NAPOT | rows[n].cfg);
        CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_M), rows[n].m);
        CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_S), rows[n].s);
    }
    CHECK_EQ(pmp_page(h.c, PAGE0 + 0x1000, PRIV_M), R | W); /* no rule: no execution in M */
}

static void lockdown_bits_are_sticky_and_rlb_closes_for_good(void **state)
{
    (void)state;
    csr_set(&h, MSECCFG, 3);
    csr_set(&h, MSECCFG, 0);
    CHECK_EQ(csr_get(&h, MSECCFG), 3);
    CHECK_EQ(pmp_page(h.c, PAGE0, PRIV_M), 0); /* MMWP: no rule, no access */
    entry(0, ~UINT64_C(0), NAPOT | L | X);     /* adding executable M rules is refused */
    CHECK_EQ(csr_get(&h, PMPCFG0), 0);
    entry(0, ~UINT64_C(0), NAPOT | L | R);
    csr_set(&h, MSECCFG, 7);
    CHECK_EQ(csr_get(&h, MSECCFG), 3); /* RLB stays 0 once a rule is locked */
}

static void sixteen_entries_exist(void **state)
{
    uint64_t v;

    (void)state;
    CHECK(csr_try(&h, CSRRS, 0x3a2, 0, &v));
    CHECK(csr_try(&h, CSRRS, 0x3bf, 0, &v));
    CHECK(!csr_try(&h, CSRRS, 0x3a4, 0, &v));
    CHECK(!csr_try(&h, CSRRS, 0x3c0, 0, &v));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(without_entries_m_may_all_and_s_nothing),
        T(napot_covers_its_power_of_two),
        T(na4_covers_one_word_and_the_page_is_partly_covered),
        T(tor_runs_from_the_entry_before),
        T(the_lowest_matching_entry_decides),
        T(locked_entries_bind_m_mode_and_cannot_be_changed),
        T(write_without_read_is_reserved),
        T(a_write_empties_the_tlb),
        T(a_partly_covered_page_is_asked_about_each_time),
        T(machine_mode_lockdown_follows_the_truth_table),
        T(lockdown_bits_are_sticky_and_rlb_closes_for_good),
        T(sixteen_entries_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
