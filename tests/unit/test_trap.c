/* Traps, interrupts and returns, as the privileged specification has them. Words from GNU as. */
#include "tests/unit/hart.h"

enum {
    ECALL = 0x00000073,
    EBREAK = 0x00100073,
    C_EBREAK = 0x9002,
    MRET = 0x30200073,
    SRET = 0x10200073,
    WFI = 0x10500073,
    SFENCE_VMA = 0x12000073,
    NOP = 0x00000013,
    LW_A0_1_A1 = 0x0015a503, /* lw a0, 1(a1) */
    JALR_A1 = 0x00058067,
};
#define S_VEC (RAM_BASE + 0x1000)
#define M_VEC (RAM_BASE + 0x2000)
#define SUPER(bit) (UINT64_C(1) << (bit))

static struct hart_env h;

static int setup(void **state)
{
    (void)state;
    hart_open(&h, "rv64");
    csr_set(&h, 0x105, S_VEC);
    csr_set(&h, 0x305, M_VEC);
    csr_set(&h, 0x3b0, ~UINT64_C(0)); /* PMP: S and U may do everything */
    csr_set(&h, 0x3a0, 0x1f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hart_close(&h);
    return 0;
}

static void an_ecall_goes_to_m_unless_delegated(void **state)
{
    (void)state;
    hart_mode(&h, PRIV_U);
    CHECK(!hart_run1(&h, ECALL));
    CHECK_EQ(h.c->priv, PRIV_M);
    CHECK_EQ(h.c->v.pc, M_VEC);
    CHECK_EQ(csr_get(&h, 0x342), 8);
    CHECK_EQ(csr_get(&h, 0x341), RAM_BASE);
    CHECK_EQ(csr_get(&h, 0x343), 0);
    CHECK_EQ(csr_get(&h, 0x300) >> 11 & 3, PRIV_U);
}

static void a_delegated_ecall_goes_to_s_and_sret_returns(void **state)
{
    (void)state;
    csr_set(&h, 0x302, 1 << 8);
    csr_set(&h, 0x300, MSTATUS_SIE);
    hart_mode(&h, PRIV_U);
    CHECK(!hart_run1(&h, ECALL));
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK_EQ(h.c->v.pc, S_VEC);
    CHECK_EQ(csr_get(&h, 0x142), 8);
    CHECK_EQ(csr_get(&h, 0x100) & 0x122, 0x20); /* SPIE = old SIE, SIE = 0, SPP = U */
    csr_set(&h, 0x141, RAM_BASE + 4);
    CHECK(hart_run1(&h, SRET));
    CHECK_EQ(h.c->priv, PRIV_U);
    CHECK_EQ(h.c->v.pc, RAM_BASE + 4);
    CHECK_EQ(h.c->mstatus & 0x122, 0x22); /* SIE = SPIE, SPIE = 1 */
}

static void m_mode_never_delegates_its_own_exceptions(void **state)
{
    (void)state;
    csr_set(&h, 0x302, 0xffff);
    CHECK(!hart_run1(&h, EBREAK));
    CHECK_EQ(h.c->priv, PRIV_M);
    CHECK_EQ(csr_get(&h, 0x342), 3);
    CHECK_EQ(csr_get(&h, 0x343), RAM_BASE);
    h.c->v.pc = RAM_BASE + 0x100;
    CHECK(!hart_run1(&h, C_EBREAK));
    CHECK_EQ(csr_get(&h, 0x341), RAM_BASE + 0x100);
    CHECK(!hart_run1(&h, ECALL));
    CHECK_EQ(csr_get(&h, 0x342), 11);
}

static void mret_restores_the_mode_and_clears_mprv_below_m(void **state)
{
    (void)state;
    csr_set(&h, 0x341, RAM_BASE + 0x40);
    csr_set(&h, 0x300, MSTATUS_MPIE | MSTATUS_MPRV | PRIV_S << 11);
    CHECK(hart_run1(&h, MRET));
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK_EQ(h.c->v.pc, RAM_BASE + 0x40);
    CHECK_EQ(h.c->mstatus & (MSTATUS_MPRV | MSTATUS_MPP | MSTATUS_MIE | MSTATUS_MPIE), MSTATUS_MIE | MSTATUS_MPIE);
    CHECK(!hart_run1(&h, MRET)); /* illegal below M */
    CHECK_EQ(csr_get(&h, 0x342), 2);
    CHECK_EQ(csr_get(&h, 0x343), MRET);
}

static void tsr_tw_and_tvm_trap_s_mode(void **state)
{
    static const uint32_t words[] = {SRET, WFI, SFENCE_VMA};

    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        hart_mode(&h, PRIV_M);
        csr_set(&h, 0x300, MSTATUS_TSR | MSTATUS_TW | MSTATUS_TVM);
        hart_mode(&h, PRIV_S);
        h.c->v.pc = RAM_BASE;
        CHECK(!hart_run1(&h, words[n]));
        CHECK_EQ(h.c->mcause, 2);
        CHECK_EQ(h.c->mtval, words[n]);
    }
    for (unsigned n = 0; n < 3; n++) { /* U-mode: never */
        hart_mode(&h, PRIV_M);
        csr_set(&h, 0x300, 0);
        hart_mode(&h, PRIV_U);
        h.c->v.pc = RAM_BASE;
        CHECK(!hart_run1(&h, words[n]));
        CHECK_EQ(h.c->mcause, 2);
    }
}

static void an_illegal_compressed_word_is_reported_with_16_bits(void **state)
{
    (void)state;
    CHECK(!hart_run1(&h, 0xffff0000));
    CHECK_EQ(h.c->mcause, 2);
    CHECK_EQ(h.c->mtval, 0);
    h.c->v.pc = RAM_BASE;
    CHECK(!hart_run1(&h, 0xffffffff));
    CHECK_EQ(h.c->mtval, 0xffffffff);
}

static void interrupts_come_in_the_order_of_the_specification(void **state)
{
    static const unsigned order[] = {11, 3, 7, 9, 1, 5};

    (void)state;
    csr_set(&h, 0x304, 0xaaa);
    csr_set(&h, 0x344, 0x222);
    rv_irq_set(h.c, IRQ_MEI, true);
    rv_irq_set(h.c, IRQ_MSI, true);
    rv_irq_set(h.c, IRQ_MTI, true);
    put32(&h, M_VEC, NOP);
    for (unsigned n = 0; n < 6; n++) {
        csr_set(&h, 0x300, MSTATUS_MIE);
        h.c->v.pc = RAM_BASE;
        CHECK(h.c->v.isa->take_irq(&h.c->v));
        CHECK_EQ(h.c->mcause, CAUSE_IRQ | order[n]);
        CHECK_EQ(h.c->v.pc, M_VEC);
        CHECK(!h.c->v.isa->take_irq(&h.c->v)); /* MIE is clear now */
        if (order[n] == 11 || order[n] == 3 || order[n] == 7)
            rv_irq_set(h.c, order[n], false);
        else
            csr_set(&h, 0x344, csr_get(&h, 0x344) & ~SUPER(order[n]));
    }
}

static void delegated_interrupts_wait_in_m_and_vector_in_s(void **state)
{
    (void)state;
    csr_set(&h, 0x303, 0x222);
    csr_set(&h, 0x304, 0x222);
    csr_set(&h, 0x344, 0x20);
    csr_set(&h, 0x105, S_VEC | 1);
    csr_set(&h, 0x300, MSTATUS_MIE | MSTATUS_SIE);
    CHECK(!h.c->v.isa->take_irq(&h.c->v));
    hart_mode(&h, PRIV_S);
    CHECK(h.c->v.isa->take_irq(&h.c->v));
    CHECK_EQ(h.c->v.pc, S_VEC + 4 * 5);
    CHECK_EQ(h.c->scause, CAUSE_IRQ | 5);
    CHECK_EQ(h.c->stval, 0);
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK(!h.c->v.isa->take_irq(&h.c->v)); /* SIE = 0 */
    hart_mode(&h, PRIV_U);                 /* in U always enabled */
    CHECK(h.c->v.isa->take_irq(&h.c->v));
}

static void exceptions_ignore_the_vector_mode(void **state)
{
    (void)state;
    csr_set(&h, 0x305, M_VEC | 1);
    CHECK(!hart_run1(&h, ECALL));
    CHECK_EQ(h.c->v.pc, M_VEC);
}

static void enabling_an_interrupt_that_waits_asks_for_a_poll(void **state)
{
    (void)state;
    csr_set(&h, 0x304, 0x80);
    rv_irq_set(h.c, IRQ_MTI, true);
    CHECK(!h.c->v.isa->take_irq(&h.c->v));
    CHECK_EQ(atomic_load(&h.c->v.attention), 0);
    csr_set(&h, 0x300, MSTATUS_MIE);
    CHECK_EQ(atomic_load(&h.c->v.attention), ATT_IRQ);
}

static void wfi_waits_only_when_nothing_is_pending(void **state)
{
    (void)state;
    CHECK(hart_run1(&h, WFI));
    CHECK_EQ(atomic_load(&h.c->v.attention), ATT_WFI);
    CHECK_EQ(h.c->v.pc, RAM_BASE + 4);
    CHECK(!h.c->v.isa->irq_pending(&h.c->v));
    atomic_store(&h.c->v.attention, 0);
    csr_set(&h, 0x304, 0x80); /* locally enabled; mstatus.MIE does not matter */
    rv_irq_set(h.c, IRQ_MTI, true);
    CHECK(h.c->v.isa->irq_pending(&h.c->v));
    CHECK(hart_run1(&h, WFI));
    CHECK_EQ(atomic_load(&h.c->v.attention) & ATT_WFI, 0);
}

static void traps_and_returns_drop_the_reservation(void **state)
{
    (void)state;
    h.c->v.res_addr = RAM_BASE;
    CHECK(!hart_run1(&h, ECALL));
    CHECK_EQ(h.c->v.res_addr, ~UINT64_C(0));
    h.c->v.res_addr = RAM_BASE;
    CHECK(hart_run1(&h, MRET));
    CHECK_EQ(h.c->v.res_addr, ~UINT64_C(0));
}

static void a_fetch_from_nowhere_is_an_access_fault_at_its_address(void **state)
{
    (void)state;
    h.c->v.r[11] = 0x123450;
    CHECK(hart_run1(&h, JALR_A1));
    CHECK(!hart_step(&h));
    CHECK_EQ(h.c->mcause, 1);
    CHECK_EQ(h.c->mtval, 0x123450);
    CHECK_EQ(h.c->mepc, 0x123450);
}

static void loads_from_nowhere_are_access_faults(void **state)
{
    (void)state;
    h.c->v.r[11] = 0x1000;
    CHECK(!hart_run1(&h, LW_A0_1_A1));
    CHECK_EQ(h.c->mcause, 5);
    CHECK_EQ(h.c->mtval, 0x1001);
}

static bool exit_call(void *arg, struct rv *c)
{
    *(uint64_t *)arg = c->v.r[10];
    return true;
}

static void the_semihosting_sequence_reaches_the_host_and_a_lone_ebreak_does_not(void **state)
{
    uint64_t op = 0;

    (void)state;
    h.c->host.semihost = exit_call;
    h.c->host.arg = &op;
    put32(&h, RAM_BASE + 0x10, 0x01f01013); /* slli zero, zero, 0x1f */
    put32(&h, RAM_BASE + 0x18, 0x40705013); /* srai zero, zero, 7 */
    h.c->v.r[10] = 0x18;
    h.c->v.pc = RAM_BASE + 0x14;
    CHECK(hart_run1(&h, EBREAK));
    CHECK_EQ(op, 0x18);
    CHECK_EQ(h.c->v.pc, RAM_BASE + 0x18);
    h.c->v.pc = RAM_BASE + 0x34;
    CHECK(!hart_run1(&h, EBREAK));
}

static void state_put_back_is_state_as_it_was(void **state)
{
    uint8_t buf[8192];

    (void)state;
    CHECK(h.c->v.isa->state_size <= sizeof buf);
    csr_set(&h, 0x140, 0x1234);
    hart_mode(&h, PRIV_S);
    h.c->v.isa->state_save(&h.c->v, buf);
    hart_mode(&h, PRIV_M);
    csr_set(&h, 0x140, 0);
    h.c->v.isa->state_restore(&h.c->v, buf);
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK_EQ(csr_get(&h, 0x140), 0x1234);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(an_ecall_goes_to_m_unless_delegated),
        T(a_delegated_ecall_goes_to_s_and_sret_returns),
        T(m_mode_never_delegates_its_own_exceptions),
        T(mret_restores_the_mode_and_clears_mprv_below_m),
        T(tsr_tw_and_tvm_trap_s_mode),
        T(an_illegal_compressed_word_is_reported_with_16_bits),
        T(interrupts_come_in_the_order_of_the_specification),
        T(delegated_interrupts_wait_in_m_and_vector_in_s),
        T(exceptions_ignore_the_vector_mode),
        T(enabling_an_interrupt_that_waits_asks_for_a_poll),
        T(wfi_waits_only_when_nothing_is_pending),
        T(traps_and_returns_drop_the_reservation),
        T(a_fetch_from_nowhere_is_an_access_fault_at_its_address),
        T(loads_from_nowhere_are_access_faults),
        T(the_semihosting_sequence_reaches_the_host_and_a_lone_ebreak_does_not),
        T(state_put_back_is_state_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
