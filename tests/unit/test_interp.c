/* Guest blocks: where they end, and where the interpreter stops in them. Words from GNU as. */
#include "tests/unit/hart.h"

enum { NOP = 0x13, BEQ_ZERO_8 = 0x00000463, SD_A0_A1 = 0x00a5b023, CSRR_TIME = 0xc0102573, RET = 0x00008067 };

static struct hart_env h;
static struct vcpu *v;
static struct insn insns[BLOCK_MAX_INSNS];
static struct guest_block b;

static int setup(void **state)
{
    (void)state;
    hart_open(&h, "rv64");
    v = &h.c->v;
    b = (struct guest_block){.insns = insns};
    for (gpa a = RAM_BASE; a < RAM_BASE + 0x2000; a += 4)
        put32(&h, a, NOP);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hart_close(&h);
    return 0;
}

static unsigned decode(gva pc)
{
    b = (struct guest_block){.insns = insns};
    v->pc = pc;
    CHECK(v->isa->decode(v, &b));
    CHECK_EQ(b.pc, pc);
    CHECK_EQ(b.phys, pc);
    return b.count;
}

static void a_block_ends_at_64_instructions_at_the_page_and_after_a_jump(void **state)
{
    (void)state;
    CHECK_EQ(decode(RAM_BASE), 64);
    CHECK_EQ(b.bytes, 256);
    CHECK_EQ(decode(RAM_BASE + 0xff0), 4);
    put32(&h, RAM_BASE + 12, RET);
    CHECK_EQ(decode(RAM_BASE), 4);
    CHECK_EQ(b.bytes, 16);
}

static void it_goes_on_behind_a_branch_not_taken_and_stops_at_one_taken(void **state)
{
    uint64_t count = v->icount;

    (void)state;
    put32(&h, RAM_BASE + 4, BEQ_ZERO_8);
    put32(&h, RAM_BASE + 16, RET);
    CHECK_EQ(decode(RAM_BASE), 5);
    CHECK(v->isa->interp(v, &b));
    CHECK_EQ(v->pc, RAM_BASE + 12);
    CHECK_EQ(v->icount, count + 2);
}

static void a_fault_leaves_pc_and_count_at_the_instruction(void **state)
{
    uint64_t count = v->icount;

    (void)state;
    put32(&h, RAM_BASE + 8, SD_A0_A1);
    v->r[11] = 0x100;
    decode(RAM_BASE);
    CHECK(!v->isa->interp(v, &b));
    CHECK_EQ(v->pc, RAM_BASE + 8);
    CHECK_EQ(v->icount, count + 2);
    CHECK_EQ(v->trap.cause, CAUSE_STORE_ACCESS);
    CHECK_EQ(v->trap.tval, 0x100);
}

static void attention_is_looked_at_behind_a_csr_access(void **state)
{
    (void)state;
    put32(&h, RAM_BASE + 4, CSRR_TIME);
    decode(RAM_BASE);
    atomic_store(&v->attention, ATT_STOP);
    CHECK(v->isa->interp(v, &b));
    CHECK_EQ(v->pc, RAM_BASE + 8);
}

static void the_mode_tells_privilege_and_translation(void **state)
{
    uint32_t m = v->isa->mode(v), s, paged;

    (void)state;
    hart_mode(&h, PRIV_S);
    s = v->isa->mode(v);
    csr_set(&h, 0x180, UINT64_C(8) << 60 | 1);
    paged = v->isa->mode(v);
    CHECK(m != s && s != paged && m != paged);
    hart_mode(&h, PRIV_M); /* satp does not matter here */
    CHECK_EQ(v->isa->mode(v), m);
}

static void registers_have_names(void **state)
{
    uint64_t val;

    (void)state;
    v->r[2] = 77;
    CHECK_STR(v->isa->reg(v, 2, &val), "sp");
    CHECK_EQ(val, 77);
    CHECK_STR(v->isa->reg(v, 32, &val), "pc");
    CHECK_EQ(val, RAM_BASE);
    for (unsigned n = 0; v->isa->reg(v, n, &val); n++)
        CHECK(n < 1000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(a_block_ends_at_64_instructions_at_the_page_and_after_a_jump),
        T(it_goes_on_behind_a_branch_not_taken_and_stops_at_one_taken),
        T(a_fault_leaves_pc_and_count_at_the_instruction),
        T(attention_is_looked_at_behind_a_csr_access),
        T(the_mode_tells_privilege_and_translation),
        T(registers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
