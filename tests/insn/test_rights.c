/* What atomics and cache-block operations ask of memory and of the CSRs that allow them, and when reservations end. */
#include "base/bits.h"
#include "tests/unit/hart.h"

#define READ_ONLY (RAM_BASE + 0x100000) /* a page that PMP lets S and U only read */
#define PLAIN (RAM_BASE + 0x140000)
#define DEVICE UINT64_C(0x10000000)

/* from the assembler: address in a1, operand in a2, result in a0 */
enum {
    LR_D = 0x1005b52f,
    SC_D = 0x18c5b52f,
    AMOADD_D = 0x00c5b52f,
    WORD_INVAL = 0x0005a00f,
    WORD_CLEAN = 0x0015a00f,
    WORD_FLUSH = 0x0025a00f,
    WORD_ZERO = 0x0045a00f,
    ECALL = 0x00000073,
    NOP = 0x00000013,
};
#define MRET UINT32_C(0x30200073)

static struct hart_env h;
static unsigned device_reads;

static uint64_t dev_read(void *dev, gpa off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    device_reads++;
    return 0;
}

static void dev_write(void *dev, gpa off, uint64_t val, unsigned size) { (void)dev, (void)off, (void)val, (void)size; }

static const struct mmio_ops dev_ops = {.read = dev_read, .write = dev_write, .min_size = 1, .max_size = 8};
static struct region dev_region = {.name = "dev", .base = DEVICE, .size = 4096, .kind = REGION_MMIO, .ops = &dev_ops};

static int setup(void **state)
{
    struct err e;

    (void)state;
    hart_open(&h, "max");
    CHECK(bus_map(h.bus, &dev_region, &e));
    device_reads = 0;
    csr_set(&h, 0x3b0, READ_ONLY >> 2 | 0x1ff); /* pmpaddr0: 4 KiB, naturally aligned */
    csr_set(&h, 0x3b1, ~UINT64_C(0));
    csr_set(&h, 0x3a0, 0x1f19);            /* entry 0: R; entry 1: RWX everywhere else */
    csr_set(&h, 0x305, RAM_BASE + 0x8000); /* mtvec */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bus_unmap(h.bus, &dev_region);
    hart_close(&h);
    return 0;
}

/* Execute word at priv with a1 = addr, a2 = 1. -1: completed, else the cause; mtval in *tval. */
static int run(unsigned priv, uint32_t word, gva addr, uint64_t *tval)
{
    hart_mode(&h, priv);
    h.c->v.pc = RAM_BASE + 0x1000;
    h.c->v.r[11] = addr;
    h.c->v.r[12] = 1;
    if (hart_run1(&h, word))
        return -1;
    *tval = h.c->mtval;
    return (int)h.c->mcause;
}

static void completes(unsigned priv, uint32_t word, gva addr)
{
    uint64_t tval;
    int cause = run(priv, word, addr, &tval);

    if (cause >= 0)
        fail_msg("%08x at 0x%llx trapped: %d", word, (unsigned long long)addr, cause);
}

static void faults(unsigned priv, uint32_t word, gva addr, int want, uint64_t want_tval)
{
    uint64_t tval = 0;
    int cause = run(priv, word, addr, &tval);

    if (cause != want)
        fail_msg("%08x at 0x%llx: cause %d, expected %d", word, (unsigned long long)addr, cause, want);
    CHECK_EQ(tval, want_tval);
}

static void lr_needs_to_read_and_the_others_to_write(void **state)
{
    (void)state;
    put64(&h, READ_ONLY, 5);
    completes(PRIV_S, LR_D, READ_ONLY);
    CHECK_EQ(h.c->v.r[10], 5);
    faults(PRIV_S, SC_D, READ_ONLY, CAUSE_STORE_ACCESS, READ_ONLY);
    faults(PRIV_S, AMOADD_D, READ_ONLY, CAUSE_STORE_ACCESS, READ_ONLY);
    faults(PRIV_S, LR_D, 0x2000, CAUSE_LOAD_ACCESS, 0x2000);
    CHECK_EQ(get64(&h, READ_ONLY), 5);
    completes(PRIV_M, AMOADD_D, READ_ONLY); /* PMP without its lock does not bind M-mode */
    CHECK_EQ(get64(&h, READ_ONLY), 6);
}

static void atomics_do_not_reach_devices(void **state)
{
    (void)state;
    faults(PRIV_M, LR_D, DEVICE, CAUSE_LOAD_ACCESS, DEVICE);
    faults(PRIV_M, SC_D, DEVICE, CAUSE_STORE_ACCESS, DEVICE);
    faults(PRIV_M, AMOADD_D, DEVICE, CAUSE_STORE_ACCESS, DEVICE);
    completes(PRIV_M, WORD_CLEAN, DEVICE);
    CHECK_EQ(device_reads, 0);
}

static bool sc_succeeds_after(uint32_t between)
{
    completes(PRIV_M, LR_D, PLAIN);
    hart_run1(&h, between);
    completes(PRIV_M, SC_D, PLAIN);
    return h.c->v.r[10] == 0;
}

static void traps_and_their_returns_end_a_reservation(void **state)
{
    (void)state;
    csr_set(&h, 0x341, RAM_BASE + 0x1000); /* mepc */
    CHECK(sc_succeeds_after(NOP));
    CHECK(!sc_succeeds_after(ECALL));
    CHECK(!sc_succeeds_after(MRET));
    CHECK(!sc_succeeds_after(0)); /* illegal */
    CHECK(sc_succeeds_after(NOP));
}

static void cache_block_operations_need_leave(void **state)
{
    static const struct {
        uint32_t word;
        uint64_t bits; /* of menvcfg and senvcfg (CMO extensions, "Control and Status Register Support") */
    } rows[] = {{WORD_INVAL, 3 << 4}, {WORD_CLEAN, 1 << 6}, {WORD_FLUSH, 1 << 6}, {WORD_ZERO, 1 << 7}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        hart_mode(&h, PRIV_M);
        csr_set(&h, 0x30a, 0);
        csr_set(&h, 0x10a, 0);
        completes(PRIV_M, rows[i].word, PLAIN);
        faults(PRIV_S, rows[i].word, PLAIN, CAUSE_ILLEGAL, rows[i].word);
        hart_mode(&h, PRIV_M);
        csr_set(&h, 0x30a, rows[i].bits);
        completes(PRIV_S, rows[i].word, PLAIN);
        faults(PRIV_U, rows[i].word, PLAIN, CAUSE_ILLEGAL, rows[i].word);
        hart_mode(&h, PRIV_M);
        csr_set(&h, 0x10a, rows[i].bits);
        completes(PRIV_U, rows[i].word, PLAIN);
    }
}

static void cache_block_operations_check_rights_as_stores(void **state)
{
    (void)state;
    csr_set(&h, 0x30a, 0xf0);
    completes(PRIV_S, WORD_CLEAN, READ_ONLY + 9); /* the right to read is enough */
    completes(PRIV_S, WORD_FLUSH, READ_ONLY);
    faults(PRIV_S, WORD_ZERO, READ_ONLY + 9, CAUSE_STORE_ACCESS, READ_ONLY + 9);
    faults(PRIV_S, WORD_CLEAN, 0x2004, CAUSE_STORE_ACCESS, 0x2004);
}

static void zeroing_covers_its_block_and_no_more(void **state)
{
    (void)state;
    for (unsigned again = 0; again < 2; again++) { /* slow path, then first level */
        for (unsigned n = 0; n < 256; n += 8)
            put64(&h, PLAIN + n, ~UINT64_C(0));
        completes(PRIV_M, WORD_ZERO, PLAIN + 64 + 17);
        for (unsigned n = 0; n < 256; n += 8)
            CHECK_EQ(get64(&h, PLAIN + n), n >= 64 && n < 128 ? 0 : ~UINT64_C(0));
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lr_needs_to_read_and_the_others_to_write),      T(atomics_do_not_reach_devices),
        T(traps_and_their_returns_end_a_reservation),     T(cache_block_operations_need_leave),
        T(cache_block_operations_check_rights_as_stores), T(zeroing_covers_its_block_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
