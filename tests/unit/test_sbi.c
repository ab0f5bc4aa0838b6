/* Native SBI against the SBI specification 3.0: numbers, errors, and what each call does. Two harts. */
#include "tests/unit/hart.h"

#include <pthread.h>
#include <sched.h>

#include "cpu/riscv/sbi.h"

enum { BASE = 0x10, TIME = 0x54494d45, IPI = 0x735049, RFENCE = 0x52464e43, HSM = 0x48534d, SRST = 0x53525354 };
enum { DBCN = 0x4442434e, PMU = 0x504d55, SUSP = 0x53555350 };
enum {
    NOT_SUPPORTED = -2,
    INVALID_PARAM = -3,
    DENIED = -4,
    INVALID_ADDRESS = -5,
    ALREADY_AVAILABLE = -6,
    ALREADY_STARTED = -7,
    ALREADY_STOPPED = -8
};
#define KERNEL (RAM_BASE + 0x200000 / 2)
#define ECALL 0x73

static struct hart_env h;
static struct rv *second;
static struct sbi *sbi;
static char console[64], input[16];
static size_t console_len, input_len;
static int reset_type;
static uint32_t reset_reason;

static void console_write(void *arg, const void *buf, size_t len)
{
    (void)arg;
    memcpy(console + console_len, buf, len);
    console_len += len;
}

static size_t console_read(void *arg, void *buf, size_t len)
{
    size_t n = input_len < len ? input_len : len;

    (void)arg;
    memcpy(buf, input, n);
    input_len -= n;
    return n;
}

static void reset(void *arg, enum sbi_reset_type type, uint32_t reason)
{
    (void)arg;
    reset_type = (int)type;
    reset_reason = reason;
}

static int setup(void **state)
{
    static const struct sbi_host host = {NULL, console_write, console_read, reset};
    struct err e;

    (void)state;
    console_len = input_len = 0;
    reset_type = -1;
    hart_open(&h, "rv64");
    sbi = sbi_new(2, &host);
    second = rv_new(&h.cfg, h.bus, h.clock, h.log, 1, &e);
    sbi_attach(sbi, h.c);
    sbi_attach(sbi, second);
    rv_set_start(h.c, KERNEL, 0x1000, 0);
    h.c->v.isa->reset(&h.c->v);
    h.c->v.isa->reset(&second->v);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rv_free(second);
    hart_close(&h);
    sbi_free(sbi);
    return 0;
}

/* The call as a guest makes it; a1 is left in *value. */
static int64_t call(uint64_t eid, uint64_t fid, const uint64_t a[6], uint64_t *value)
{
    uint64_t *r = h.c->v.r;
    gva pc = h.c->v.pc;

    for (unsigned n = 0; n < 6; n++)
        r[10 + n] = a[n];
    r[16] = fid;
    r[17] = eid;
    CHECK(!hart_run1(&h, ECALL));
    if (h.c->priv == PRIV_S && h.c->v.pc == pc + 4)
        h.c->v.pc = pc;
    if (value)
        *value = r[11];
    return (int64_t)r[10];
}
#define CALL(eid, fid, ...) call(eid, fid, (const uint64_t[6]){__VA_ARGS__}, NULL)

static void the_boot_hart_starts_in_s_mode_and_the_other_waits(void **state)
{
    (void)state;
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK_EQ(h.c->v.pc, KERNEL);
    CHECK_EQ(h.c->v.r[10], 0);
    CHECK_EQ(h.c->v.r[11], 0x1000);
    CHECK_EQ(h.c->satp, 0);
    CHECK_EQ(h.c->mstatus & MSTATUS_SIE, 0);
    CHECK_EQ(atomic_load(&h.c->v.attention) & ATT_WFI, 0);
    CHECK_EQ(atomic_load(&second->v.attention) & ATT_WFI, ATT_WFI);
    CHECK(csr_get(&h, 0xc01) == 0); /* time is open to S-mode */
    csr_set(&h, 0x14d, 5);          /* and so is stimecmp */
}

static void base_tells_version_and_extensions(void **state)
{
    static const uint64_t there[] = {BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN, PMU, SUSP, 0, 8};
    uint64_t v;

    (void)state;
    CHECK_EQ(call(BASE, 0, (const uint64_t[6]){0}, &v), 0);
    CHECK_EQ(v, 3 << 24);
    for (unsigned n = 0; n < sizeof there / sizeof there[0]; n++) {
        CHECK_EQ(call(BASE, 3, (const uint64_t[6]){there[n]}, &v), 0);
        CHECK(v != 0);
    }
    CHECK_EQ(call(BASE, 3, (const uint64_t[6]){0x46574654}, &v), 0); /* FWFT */
    CHECK_EQ(v, 0);
    CHECK_EQ(CALL(BASE, 99, 0), NOT_SUPPORTED);
    CHECK_EQ(CALL(0x12345678, 0, 0), NOT_SUPPORTED);
}

static void set_timer_raises_stip_and_the_next_one_clears_it(void **state)
{
    (void)state;
    CHECK_EQ(CALL(TIME, 0, 100), 0);
    clock_advance(h.clock, 9999);
    CHECK_EQ(csr_get(&h, 0x144), 0);
    clock_advance(h.clock, 1);
    CHECK_EQ(csr_get(&h, 0x144), 0x20);
    CHECK_EQ(CALL(TIME, 0, ~UINT64_C(0)), 0);
    CHECK_EQ(csr_get(&h, 0x144), 0);
}

static void an_ipi_sets_ssip_of_the_named_harts(void **state)
{
    (void)state;
    CHECK_EQ(CALL(IPI, 0, 1, 1), 0); /* bit 0 from base 1: hart 1 */
    CHECK_EQ(rv_mip(second) & 2, 2);
    CHECK_EQ(rv_mip(h.c) & 2, 0);
    CHECK_EQ(CALL(IPI, 0, 0, ~UINT64_C(0)), 0); /* all */
    CHECK_EQ(rv_mip(h.c) & 2, 2);
    CHECK_EQ(CALL(IPI, 0, 4, 0), INVALID_PARAM);
    CHECK_EQ(CALL(IPI, 0, 1, 2), INVALID_PARAM);
}

static void the_console_writes_and_reads_physical_memory(void **state)
{
    uint64_t v;

    (void)state;
    memcpy(bus_ram(h.bus, RAM_BASE, 6), "hello\n", 6);
    CHECK_EQ(call(DBCN, 0, (const uint64_t[6]){6, RAM_BASE, 0}, &v), 0);
    CHECK_EQ(v, 6);
    CHECK_EQ(CALL(DBCN, 2, '!'), 0);
    CHECK_EQ(CALL(1, 0, '?'), 0); /* legacy putchar */
    CHECK_EQ(console_len, 8);
    CHECK(!memcmp(console, "hello\n!?", 8));
    memcpy(input, "ab", 2);
    input_len = 2;
    CHECK_EQ(call(DBCN, 1, (const uint64_t[6]){100, RAM_BASE + 64, 0}, &v), 0);
    CHECK_EQ(v, 2);
    CHECK(!memcmp(bus_ram(h.bus, RAM_BASE + 64, 2), "ab", 2));
    CHECK_EQ(CALL(2, 0, 0), -1); /* legacy getchar: none */
    CHECK_EQ(CALL(DBCN, 0, 6, 0x1000, 0), INVALID_PARAM);
    CHECK_EQ(CALL(DBCN, 0, 6, RAM_BASE, 1), INVALID_PARAM);
    CHECK_EQ(CALL(DBCN, 0, ~UINT64_C(0), RAM_BASE, 0), INVALID_PARAM);
}

static void reset_reaches_the_machine_and_does_not_return(void **state)
{
    (void)state;
    CHECK_EQ(CALL(SRST, 0, 3, 0), INVALID_PARAM);
    CHECK_EQ(CALL(SRST, 0, 0xf0000000, 0), NOT_SUPPORTED);
    CHECK_EQ(CALL(SRST, 0, 0, 2), INVALID_PARAM);
    CHECK_EQ(reset_type, -1);
    CALL(SRST, 0, 1, 1);
    CHECK_EQ(reset_type, SBI_COLD_REBOOT);
    CHECK_EQ(reset_reason, SBI_SYSTEM_FAILURE);
    CHECK(atomic_load(&h.c->v.attention) & ATT_WFI);
    CHECK(!h.c->v.isa->irq_pending(&h.c->v));
}

static void a_hart_is_started_stopped_and_started_again(void **state)
{
    uint64_t v;

    (void)state;
    CHECK_EQ(call(HSM, 2, (const uint64_t[6]){1}, &v), 0);
    CHECK_EQ(v, 1); /* STOPPED */
    CHECK_EQ(CALL(HSM, 0, 0, KERNEL, 0), ALREADY_AVAILABLE);
    CHECK_EQ(CALL(HSM, 0, 2, KERNEL, 0), INVALID_PARAM);
    CHECK_EQ(CALL(HSM, 0, 1, 0x100, 0), INVALID_ADDRESS);
    for (unsigned again = 0; again < 2; again++) {
        CHECK_EQ(CALL(HSM, 0, 1, KERNEL + 0x100, 0x77), 0);
        CHECK_EQ(call(HSM, 2, (const uint64_t[6]){1}, &v), 0);
        CHECK_EQ(v, 2); /* START_PENDING */
        CHECK_EQ(CALL(HSM, 0, 1, KERNEL, 0), ALREADY_AVAILABLE);
        vcpu_run_work(&second->v); /* what its thread does */
        CHECK_EQ(second->v.pc, KERNEL + 0x100);
        CHECK_EQ(second->v.r[10], 1);
        CHECK_EQ(second->v.r[11], 0x77);
        CHECK_EQ(second->priv, PRIV_S);
        CHECK_EQ(atomic_load(&second->v.attention) & ATT_WFI, 0);
        CHECK_EQ(call(HSM, 2, (const uint64_t[6]){1}, &v), 0);
        CHECK_EQ(v, 0);      /* STARTED */
        second->v.r[16] = 1; /* hart_stop */
        second->v.r[17] = HSM;
        sbi_ecall(second);
        CHECK_EQ(atomic_load(&second->v.attention) & ATT_WFI, ATT_WFI);
        rv_irq_set(second, IRQ_SEI, true);
        second->mie = 0x200;
        CHECK(!second->v.isa->irq_pending(&second->v)); /* interrupts do not wake a stopped hart */
        rv_irq_set(second, IRQ_SEI, false);
    }
    CHECK_EQ(CALL(HSM, 2, 2), INVALID_PARAM);
}

static void a_suspended_hart_resumes_with_the_next_interrupt(void **state)
{
    uint64_t v;

    (void)state;
    CHECK_EQ(CALL(HSM, 3, 1), INVALID_PARAM);
    csr_set(&h, 0x104, 0x200);
    CALL(HSM, 3, 0x80000000, KERNEL + 0x40, 0x55);
    CHECK_EQ(h.c->v.pc, KERNEL + 0x40);
    CHECK_EQ(h.c->v.r[10], 0);
    CHECK_EQ(h.c->v.r[11], 0x55);
    CHECK_EQ(atomic_load(&h.c->hsm), HSM_SUSPENDED);
    CHECK(!h.c->v.isa->irq_pending(&h.c->v));
    rv_irq_set(h.c, IRQ_SEI, true);
    CHECK(h.c->v.isa->irq_pending(&h.c->v));
    CHECK(!h.c->v.isa->take_irq(&h.c->v)); /* SIE = 0: it goes on where it was told */
    CHECK_EQ(atomic_load(&h.c->hsm), HSM_STARTED);
    atomic_store(&h.c->v.attention, 0);
    CHECK_EQ(call(HSM, 3, (const uint64_t[6]){0}, &v), 0); /* retentive, with one pending: returns at once */
    CHECK_EQ(atomic_load(&h.c->v.attention) & ATT_WFI, 0);
}

static void system_suspend_wants_all_others_stopped(void **state)
{
    (void)state;
    CHECK_EQ(CALL(HSM, 0, 1, KERNEL, 0), 0);
    vcpu_run_work(&second->v);
    CHECK_EQ(CALL(SUSP, 0, 0, KERNEL, 0), DENIED);
    sbi_reset_hart(second);
    CHECK_EQ(CALL(SUSP, 0, 1, KERNEL, 0), INVALID_PARAM);
    CALL(SUSP, 0, 0, KERNEL + 0x80, 9);
    CHECK_EQ(h.c->v.pc, KERNEL + 0x80);
    CHECK_EQ(h.c->v.r[11], 9);
}

/* --- remote fences: the second hart's thread serves posted work --- */

static _Atomic bool stop_thread;

static void *serve(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop_thread)) {
        if (atomic_load(&second->v.attention) & ATT_WORK)
            vcpu_run_work(&second->v);
        sched_yield();
    }
    return NULL;
}

static void a_remote_fence_is_done_when_the_call_returns(void **state)
{
    pthread_t t;
    uint64_t before, v;

    (void)state;
    CHECK_EQ(CALL(HSM, 0, 1, KERNEL, 0), 0);
    vcpu_run_work(&second->v);
    stop_thread = false;
    CHECK_EQ(pthread_create(&t, NULL, serve, NULL), 0);
    before = tlb_stats(second->v.tlb)->fences;
    CHECK_EQ(CALL(RFENCE, 1, 3, 0, 0, ~UINT64_C(0)), 0);
    CHECK_EQ(tlb_stats(second->v.tlb)->fences, before + 1);
    before = tlb_stats(second->v.tlb)->fences_page;
    CHECK_EQ(CALL(RFENCE, 2, 2, 0, 0x1800, 0x1000, 7), 0); /* touches two pages */
    CHECK_EQ(tlb_stats(second->v.tlb)->fences_page, before + 2);
    CHECK_EQ(CALL(RFENCE, 0, 0, ~UINT64_C(0)), 0);
    CHECK_EQ(CALL(RFENCE, 1, 4, 0, 0, 0), INVALID_PARAM);
    CHECK_EQ(CALL(RFENCE, 3, 1, 0, 0, 0), NOT_SUPPORTED); /* hfence */
    CHECK_EQ(call(BASE, 0, (const uint64_t[6]){0}, &v), 0);
    atomic_store(&stop_thread, true);
    pthread_join(t, NULL);
}

static void legacy_masks_are_read_from_the_callers_memory(void **state)
{
    (void)state;
    put64(&h, RAM_BASE + 8, 2);
    CHECK_EQ(CALL(4, 0, RAM_BASE + 8), 0);
    CHECK_EQ(rv_mip(second) & 2, 2);
    CHECK_EQ(rv_mip(h.c) & 2, 0);
    csr_set(&h, 0x105, RAM_BASE + 0x400);
    h.c->v.pc = KERNEL;
    CALL(4, 0, 0x10); /* a bad pointer is the caller's fault */
    CHECK_EQ(h.c->v.pc, RAM_BASE + 0x400);
    CHECK_EQ(h.c->scause, CAUSE_LOAD_ACCESS);
    CHECK_EQ(h.c->stval, 0x10);
    CHECK_EQ(h.c->sepc, KERNEL);
}

static void traps_that_firmware_would_get_come_to_s_mode(void **state)
{
    (void)state;
    csr_set(&h, 0x105, RAM_BASE + 0x400);
    CHECK(!hart_run1(&h, 0xffffffff));
    CHECK_EQ(h.c->priv, PRIV_S);
    CHECK_EQ(h.c->scause, CAUSE_ILLEGAL);
    CHECK_EQ(h.c->stval, 0xffffffff);
    CHECK_EQ(h.c->v.pc, RAM_BASE + 0x400);
}

static void counters_are_configured_started_and_stopped(void **state)
{
    uint64_t n, ctr, v;

    (void)state;
    CHECK_EQ(call(PMU, 0, (const uint64_t[6]){0}, &n), 0);
    CHECK(n > 3);
    CHECK_EQ(call(PMU, 1, (const uint64_t[6]){0}, &v), 0);
    CHECK_EQ(v, 0xc00 | 63 << 12);
    CHECK_EQ(CALL(PMU, 1, 1), INVALID_PARAM); /* time is no counter */
    CHECK_EQ(call(PMU, 1, (const uint64_t[6]){n - 1}, &v), 0);
    CHECK_EQ(v >> 63, 1);
    /* instructions, any counter, cleared, started at once */
    CHECK_EQ(call(PMU, 2, (const uint64_t[6]){0, (UINT64_C(1) << n) - 1, 2 | 4, 2}, &ctr), 0);
    CHECK(ctr >= 3 && ctr < 32);
    for (unsigned k = 0; k < 4; k++)
        CHECK(hart_run1(&h, 0x13));
    CHECK_EQ(csr_get(&h, 0xc00 + (unsigned)ctr), 4);
    CHECK_EQ(CALL(PMU, 3, ctr, 1, 0), ALREADY_STARTED);
    CHECK_EQ(CALL(PMU, 4, ctr, 1, 0), 0);
    CHECK_EQ(CALL(PMU, 4, ctr, 1, 0), ALREADY_STOPPED);
    v = csr_get(&h, 0xc00 + (unsigned)ctr);
    CHECK(hart_run1(&h, 0x13));
    CHECK_EQ(csr_get(&h, 0xc00 + (unsigned)ctr), v);
    CHECK_EQ(CALL(PMU, 3, ctr, 1, 1, 1000), 0); /* with an initial value */
    CHECK(hart_run1(&h, 0x13));
    CHECK_EQ(csr_get(&h, 0xc00 + (unsigned)ctr), 1001);
    CHECK_EQ(CALL(PMU, 2, 0, (UINT64_C(1) << n) - 1, 0, 3), NOT_SUPPORTED); /* cache references */
    /* firmware event 6: IPIs sent */
    CHECK_EQ(call(PMU, 2, (const uint64_t[6]){0, (UINT64_C(1) << n) - 1, 2 | 4, 15 << 16 | 6}, &ctr), 0);
    CHECK_EQ(CALL(IPI, 0, 1, 1), 0);
    CHECK_EQ(call(PMU, 5, (const uint64_t[6]){ctr}, &v), 0);
    CHECK_EQ(v, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(the_boot_hart_starts_in_s_mode_and_the_other_waits),
        T(base_tells_version_and_extensions),
        T(set_timer_raises_stip_and_the_next_one_clears_it),
        T(an_ipi_sets_ssip_of_the_named_harts),
        T(the_console_writes_and_reads_physical_memory),
        T(reset_reaches_the_machine_and_does_not_return),
        T(a_hart_is_started_stopped_and_started_again),
        T(a_suspended_hart_resumes_with_the_next_interrupt),
        T(system_suspend_wants_all_others_stopped),
        T(a_remote_fence_is_done_when_the_call_returns),
        T(legacy_masks_are_read_from_the_callers_memory),
        T(traps_that_firmware_would_get_come_to_s_mode),
        T(counters_are_configured_started_and_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
