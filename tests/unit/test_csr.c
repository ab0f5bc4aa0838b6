/* CSRs through the Zicsr instructions; values and WARL rules from the privileged specification. */
#include "tests/unit/hart.h"

#define ONES (~UINT64_C(0))

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

static bool reads(unsigned csr)
{
    uint64_t v;

    return csr_try(&h, CSRRS, csr, 0, &v);
}

static bool writes(unsigned csr, uint64_t val)
{
    uint64_t v;

    return csr_try(&h, CSRRW, csr, val, &v);
}

/* Writes all ones, then zeros; what the ones left behind. */
static uint64_t ones(unsigned csr)
{
    uint64_t v;

    csr_set(&h, csr, ONES);
    v = csr_get(&h, csr);
    csr_set(&h, csr, 0);
    return v;
}

static void an_unknown_csr_is_an_illegal_instruction_with_its_word(void **state)
{
    (void)state;
    CHECK(!reads(0x5c0));
    CHECK_EQ(h.c->v.trap.cause, CAUSE_ILLEGAL);
    CHECK_EQ(h.c->v.trap.tval, 0x5c002573); /* csrrs a0, 0x5c0, zero */
    CHECK(!reads(0x3a1));                   /* odd pmpcfg on RV64 */
    CHECK(!reads(0x600));                   /* hstatus without H */
    CHECK(!reads(0x008));                   /* vstart without V */
}

static void the_number_tells_the_lowest_privilege(void **state)
{
    (void)state;
    hart_mode(&h, PRIV_S);
    CHECK(!reads(0x300));
    CHECK(!reads(0xf14));
    CHECK(reads(0x100));
    hart_mode(&h, PRIV_U);
    CHECK(!reads(0x100));
    CHECK(!reads(0x180));
}

static void read_only_csrs_take_csrrs_x0_but_no_write(void **state)
{
    uint64_t v;

    (void)state;
    CHECK(reads(0xf11));
    CHECK(!writes(0xf11, 0));
    CHECK(!csr_try(&h, CSRRS, 0xf14, 1, &v));
    CHECK_EQ(csr_get(&h, 0xf14), 0);
}

static void set_and_clear_change_the_named_bits_and_return_the_old_value(void **state)
{
    uint64_t v;

    (void)state;
    csr_set(&h, 0x340, 0xf0f0);
    CHECK(csr_try(&h, CSRRS, 0x340, 0x000f, &v));
    CHECK_EQ(v, 0xf0f0);
    CHECK(csr_try(&h, CSRRC, 0x340, 0x00f0, &v));
    CHECK_EQ(v, 0xf0ff);
    CHECK_EQ(csr_get(&h, 0x340), 0xf00f);
}

static void status_fields_are_warl(void **state)
{
    (void)state;
    CHECK_EQ(csr_get(&h, 0x300), UINT64_C(0xa00000000)); /* SXL = UXL = 64 */
    csr_set(&h, 0x300, ONES);
    CHECK_EQ(csr_get(&h, 0x300), UINT64_C(0x8000000a007e79aa));
    CHECK_EQ(csr_get(&h, 0x100), UINT64_C(0x80000002000c6122));
    csr_set(&h, 0x300, 2 << 11); /* MPP = 2 is reserved: stays 3 */
    CHECK_EQ(csr_get(&h, 0x300) >> 11 & 3, 3);
    csr_set(&h, 0x100, ONES); /* from sstatus only its own fields */
    CHECK_EQ(csr_get(&h, 0x300), UINT64_C(0x8000000a000c7922));
}

static void delegation_and_enables_hold_only_what_exists(void **state)
{
    (void)state;
    CHECK_EQ(ones(0x302), 0xb3ff);
    CHECK_EQ(ones(0x303), 0x2222);
    CHECK_EQ(ones(0x304), 0x2aaa);
    csr_set(&h, 0x303, 0x0200);
    csr_set(&h, 0x304, ONES);
    CHECK_EQ(csr_get(&h, 0x104), 0x0200); /* sie: what is delegated */
    csr_set(&h, 0x104, 0);
    CHECK_EQ(csr_get(&h, 0x304), 0x28aa);
}

static void vectors_keep_their_value_on_a_reserved_mode(void **state)
{
    (void)state;
    csr_set(&h, 0x305, 0x80000101);
    CHECK_EQ(csr_get(&h, 0x305), 0x80000101);
    csr_set(&h, 0x305, 0x80000202);
    CHECK_EQ(csr_get(&h, 0x305), 0x80000101);
    csr_set(&h, 0x105, 0x1234);
    CHECK_EQ(csr_get(&h, 0x105), 0x1234);
    CHECK_EQ(csr_get(&h, 0x305), 0x80000101);
    csr_set(&h, 0x341, 0x80000003);
    CHECK_EQ(csr_get(&h, 0x341), 0x80000002); /* IALIGN = 16 */
}

static void satp_ignores_modes_the_hart_lacks(void **state)
{
    (void)state;
    csr_set(&h, 0x180, UINT64_C(8) << 60 | UINT64_C(0xffff) << 44 | 0x80001);
    CHECK_EQ(csr_get(&h, 0x180), UINT64_C(0x8ffff00000080001)); /* ASIDLEN = 16 */
    csr_set(&h, 0x180, UINT64_C(9) << 60 | 5);
    CHECK_EQ(csr_get(&h, 0x180), UINT64_C(0x8ffff00000080001));
    csr_set(&h, 0x180, UINT64_C(10) << 60 | 5);
    csr_set(&h, 0x180, UINT64_C(1) << 60 | 5);
    CHECK_EQ(csr_get(&h, 0x180), UINT64_C(0x8ffff00000080001));
    csr_set(&h, 0x180, 0);
    CHECK_EQ(csr_get(&h, 0x180), 0);
}

static void tvm_takes_satp_from_s_mode(void **state)
{
    (void)state;
    csr_set(&h, 0x300, MSTATUS_TVM);
    CHECK(reads(0x180));
    hart_mode(&h, PRIV_S);
    CHECK(!reads(0x180));
    CHECK(!writes(0x180, 0));
}

static void fp_csrs_need_fs_and_share_fcsr(void **state)
{
    (void)state;
    CHECK(!reads(0x003));
    csr_set(&h, 0x300, 1 << 13); /* FS = Initial */
    csr_set(&h, 0x003, 0x1ff);
    CHECK_EQ(csr_get(&h, 0x001), 0x1f);
    CHECK_EQ(csr_get(&h, 0x002), 7);
    CHECK_EQ(csr_get(&h, 0x003), 0xff);
    CHECK_EQ(csr_get(&h, 0x300) >> 13 & 3, 3); /* dirty now */
    csr_set(&h, 0x002, 1);
    csr_set(&h, 0x001, 0);
    CHECK_EQ(csr_get(&h, 0x003), 0x20);
}

static void counters_need_enables_of_every_mode_above(void **state)
{
    (void)state;
    hart_mode(&h, PRIV_S);
    CHECK(!reads(0xc01));
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x306, 2);
    hart_mode(&h, PRIV_S);
    CHECK(reads(0xc01));
    CHECK(!reads(0xc00));
    hart_mode(&h, PRIV_U);
    CHECK(!reads(0xc01));
    hart_mode(&h, PRIV_S);
    csr_set(&h, 0x106, 2);
    hart_mode(&h, PRIV_U);
    CHECK(reads(0xc01));
}

static void stimecmp_needs_stce_and_tm_below_m(void **state)
{
    (void)state;
    CHECK(reads(0x14d));
    hart_mode(&h, PRIV_S);
    CHECK(!reads(0x14d));
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x30a, UINT64_C(1) << 63);
    csr_set(&h, 0x306, 2);
    hart_mode(&h, PRIV_S);
    CHECK(reads(0x14d));
    hart_mode(&h, PRIV_U);
    CHECK(!reads(0x14d));
}

static void envcfg_fields_are_warl(void **state)
{
    (void)state;
    csr_set(&h, 0x30a, 0x10); /* CBIE = 1 */
    csr_set(&h, 0x30a, 0x20); /* CBIE = 2 is reserved */
    CHECK_EQ(csr_get(&h, 0x30a), 0x10);
    CHECK_EQ(ones(0x30a), UINT64_C(0xe0000000000000f1)); /* STCE PBMTE ADUE, CBZE CBCFE CBIE, FIOM */
    CHECK_EQ(ones(0x10a), UINT64_C(0xf1));
}

static void state_enables_guard_senvcfg(void **state)
{
    (void)state;
    hart_mode(&h, PRIV_S);
    CHECK(!reads(0x10a));
    CHECK(!reads(0x10c));
    hart_mode(&h, PRIV_M);
    CHECK(reads(0x10a));
    csr_set(&h, 0x30c, ONES);
    hart_mode(&h, PRIV_S);
    CHECK(reads(0x10a));
    CHECK(reads(0x10c));
    CHECK(!reads(0x10d));
}

static void set_bits_of_mip_do_not_latch_a_device_line(void **state)
{
    uint64_t v;

    (void)state;
    rv_irq_set(h.c, IRQ_SEI, true);
    CHECK(csr_try(&h, CSRRS, 0x344, 2, &v)); /* set SSIP */
    CHECK_EQ(v, 0x200);
    rv_irq_set(h.c, IRQ_SEI, false);
    CHECK_EQ(csr_get(&h, 0x344), 2);
    csr_set(&h, 0x344, 0x222);
    CHECK_EQ(csr_get(&h, 0x344), 0x222); /* SEIP and STIP by software */
    csr_set(&h, 0x344, ONES);
    CHECK_EQ(csr_get(&h, 0x344) & 0x888, 0); /* those of M are lines only */
    csr_set(&h, 0x344, 0);
    csr_set(&h, 0x303, 0x222);
    csr_set(&h, 0x144, ONES); /* sip: SSIP alone (LCOFIP is not delegated) */
    CHECK_EQ(csr_get(&h, 0x344), 2);
}

static void give_random(void *arg, void *buf, size_t len)
{
    (void)arg;
    memset(buf, 0xa5, len);
}

static void seed_wants_a_write_and_permission(void **state)
{
    uint64_t v;

    (void)state;
    h.c->host.random = give_random;
    CHECK(!reads(0x015));
    CHECK(csr_try(&h, CSRRW, 0x015, 0, &v));
    CHECK_EQ(v, UINT64_C(0x8000a5a5)); /* ES16 */
    hart_mode(&h, PRIV_S);
    CHECK(!writes(0x015, 0));
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x747, 0x200); /* SSEED */
    hart_mode(&h, PRIV_S);
    CHECK(writes(0x015, 0));
    hart_mode(&h, PRIV_U);
    CHECK(!writes(0x015, 0));
}

static void misa_names_the_base_and_its_letters(void **state)
{
    (void)state;
    CHECK_EQ(csr_get(&h, 0x301), UINT64_C(0x800000000014112f)); /* ABCDF I M S U */
    csr_set(&h, 0x301, 0);
    CHECK_EQ(csr_get(&h, 0x301), UINT64_C(0x800000000014112f));
}

static void no_triggers_exist(void **state)
{
    (void)state;
    csr_set(&h, 0x7a0, 1);
    CHECK_EQ(csr_get(&h, 0x7a0), 0);
    CHECK_EQ(ones(0x7a1), 0);
}

static void names_come_with_their_numbers(void **state)
{
    char buf[32];

    (void)state;
    CHECK_STR(csr_name(0x180, buf, sizeof buf), "satp");
    CHECK_STR(csr_name(0xc03, buf, sizeof buf), "hpmcounter3");
    CHECK_STR(csr_name(0xb1f, buf, sizeof buf), "mhpmcounter31");
    CHECK_STR(csr_name(0x3ef, buf, sizeof buf), "pmpaddr63");
    CHECK(csr_name(0x5c0, buf, sizeof buf) == NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(an_unknown_csr_is_an_illegal_instruction_with_its_word),
        T(the_number_tells_the_lowest_privilege),
        T(read_only_csrs_take_csrrs_x0_but_no_write),
        T(set_and_clear_change_the_named_bits_and_return_the_old_value),
        T(status_fields_are_warl),
        T(delegation_and_enables_hold_only_what_exists),
        T(vectors_keep_their_value_on_a_reserved_mode),
        T(satp_ignores_modes_the_hart_lacks),
        T(tvm_takes_satp_from_s_mode),
        T(fp_csrs_need_fs_and_share_fcsr),
        T(counters_need_enables_of_every_mode_above),
        T(stimecmp_needs_stce_and_tm_below_m),
        T(envcfg_fields_are_warl),
        T(state_enables_guard_senvcfg),
        T(set_bits_of_mip_do_not_latch_a_device_line),
        T(seed_wants_a_write_and_permission),
        T(misa_names_the_base_and_its_letters),
        T(no_triggers_exist),
        T(names_come_with_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
