/* The IR interpreter, operation by operation: values, memory, exits, and what it leaves in the vCPU. */
#include "check.h"

#include <stdlib.h>

#include "mmu/bus.h"
#include "toy.h"
#include "translator/helper.h"
#include "translator/tb.h"

static struct toy_machine m;
static struct ir ir;

static int start(void **state)
{
    const struct translator_options o = {.engine = ENGINE_IR};

    (void)state;
    toy_start(&m, &o, 1);
    ir_reset(&ir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    toy_stop(&m);
    return 0;
}

static struct vcpu *cpu(void) { return &m.cpu[0].v; }

static ir_val konst(uint64_t v) { return ir_const(&ir, (int64_t)v); }

static void boundary(gva pc, unsigned len) { ir_emit(&ir, IR_insn, len, IR_NONE, IR_NONE, IR_NONE, (int64_t)pc); }

/* Compile what is in ir as the block at TOY_RAM and run it once. */
static struct tb_exit run_it(void)
{
    static struct tb tb; /* its memory is the test's: copied exits point to it */
    struct tb_exit x;
    unsigned where;

    CHECK(ir_check(&ir, &where) == NULL);
    tb = (struct tb){.pc = TOY_RAM, .phys = TOY_RAM, .phys2 = ~(gpa)0, .count = 1};
    CHECK(tb_room_for_links(&tb, &ir));
    CHECK_EQ(host_ir.compile(m.t, &tb, &ir), TB_COMPILED);
    cpu()->pc = TOY_RAM;
    x = host_ir.run(cpu(), &tb);
    free(tb.link);
    free(tb.ir);
    return x;
}

static void an_unlinked_jump_comes_back_with_its_number(void **state)
{
    struct tb_exit x;

    (void)state;
    cpu()->r[5] = 7;
    boundary(TOY_RAM, 4);
    ir_brcond(&ir, IR_EQ, ir_getr(&ir, 5), konst(8), TOY_RAM + 0x100);
    boundary(TOY_RAM + 4, 4);
    ir_jump(&ir, TOY_RAM + 0x200);
    x = run_it();
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK_EQ(x.index, 1);
    CHECK_EQ(cpu()->pc, TOY_RAM + 0x200);
    CHECK_EQ(cpu()->icount, 2);
}

static void a_taken_branch_counts_up_to_itself(void **state)
{
    struct tb_exit x;

    (void)state;
    boundary(TOY_RAM, 4);
    ir_brcond(&ir, IR_GEU, ir_getr(&ir, 5), ir_getr(&ir, 6), TOY_RAM + 0x100);
    boundary(TOY_RAM + 4, 4);
    ir_jump(&ir, TOY_RAM + 0x200);
    x = run_it();
    CHECK_EQ(x.index, 0);
    CHECK_EQ(cpu()->pc, TOY_RAM + 0x100);
    CHECK_EQ(cpu()->icount, 1);
}

static void a_branch_back_sees_attention(void **state)
{
    (void)state;
    atomic_store(&cpu()->attention, ATT_IRQ);
    boundary(TOY_RAM, 4);
    ir_jump(&ir, TOY_RAM);
    CHECK_EQ(run_it().kind, TB_EXIT_ATTENTION);
    CHECK_EQ(cpu()->pc, TOY_RAM);
    CHECK_EQ(cpu()->icount, 1);
}

static void loads_extend_and_faults_name_their_instruction(void **state)
{
    uint64_t bytes = UINT64_C(0x8877665544332281);

    (void)state;
    CHECK(dma_write(m.bus, TOY_RAM + 0x8000, &bytes, 8));
    cpu()->r[9] = TOY_RAM + 0x8000;
    boundary(TOY_RAM, 2);
    ir_setr(&ir, 1, ir_ld(&ir, IR_8S, ir_getr(&ir, 9), 0));
    ir_setr(&ir, 2, ir_ld(&ir, IR_16U, ir_getr(&ir, 9), 1));
    ir_setr(&ir, 3, ir_ld(&ir, IR_32S, ir_getr(&ir, 9), 4));
    ir_setr(&ir, 4, ir_ld(&ir, IR_32U, ir_getr(&ir, 9), 4));
    boundary(TOY_RAM + 2, 4);
    ir_st(&ir, IR_64, konst(0x10), 0, ir_getr(&ir, 1));
    ir_setr(&ir, 1, konst(0));
    ir_jump(&ir, TOY_RAM + 6);
    CHECK_EQ(run_it().kind, TB_EXIT_FAULT);
    CHECK_EQ(cpu()->r[1], UINT64_C(0xffffffffffffff81));
    CHECK_EQ(cpu()->r[2], 0x3322);
    CHECK_EQ(cpu()->r[3], UINT64_C(0xffffffff88776655));
    CHECK_EQ(cpu()->r[4], 0x88776655);
    CHECK_EQ(cpu()->pc, TOY_RAM + 2);
    CHECK_EQ(cpu()->icount, 1);
    CHECK_EQ(cpu()->trap.cause, TOY_CAUSE_STORE);
    CHECK_EQ(cpu()->trap.tval, 0x10);
}

static void atomics_of_32_bits_wrap_and_compare_in_32_bits(void **state)
{
    static const struct {
        unsigned op;
        uint32_t memory;
        uint64_t operand;
        uint32_t after;
    } cases[] = {
        {AMO_ADD, 0xffffffff, 2, 1},
        {AMO_SWAP, 5, UINT64_C(0x1234567800000009), 9},
        {AMO_MAX, 0x80000000, 1, 1},
        {AMO_MAXU, 0x80000000, 1, 0x80000000},
        {AMO_MIN, 0x80000000, 1, 0x80000000},
        {AMO_MINU, 0x80000000, UINT64_C(0xffffffff00000001), 1},
        {AMO_XOR, 0xf0f0f0f0, 0xffffffff, 0x0f0f0f0f},
    };
    uint32_t word;

    (void)state;
    for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
        CHECK(dma_write(m.bus, TOY_RAM + 0x8000, &cases[n].memory, 4));
        ir_reset(&ir);
        cpu()->r[9] = TOY_RAM + 0x8000;
        cpu()->r[8] = cases[n].operand;
        boundary(TOY_RAM, 4);
        ir_setr(&ir, 7, ir_emit(&ir, IR_amo, IR_32S, ir_getr(&ir, 9), ir_getr(&ir, 8), IR_NONE, cases[n].op));
        ir_jump(&ir, TOY_RAM + 4);
        CHECK_EQ(run_it().kind, TB_EXIT_LINK);
        CHECK_EQ(cpu()->r[7], (uint64_t)(int64_t)(int32_t)cases[n].memory);
        CHECK(dma_read(m.bus, TOY_RAM + 0x8000, &word, 4));
        CHECK_EQ(word, cases[n].after);
    }
}

static uint64_t call2(enum helper h, uint64_t a, uint64_t b)
{
    ir_reset(&ir);
    cpu()->r[5] = a;
    cpu()->r[6] = b;
    boundary(TOY_RAM, 4);
    ir_setr(&ir, 7,
            ir_emit(&ir, IR_call, 0, ir_getr(&ir, 5), helpers[h].args > 1 ? ir_getr(&ir, 6) : IR_NONE, IR_NONE, h));
    ir_jump(&ir, TOY_RAM + 4);
    CHECK_EQ(run_it().kind, TB_EXIT_LINK);
    return cpu()->r[7];
}

static void helpers_are_called_with_their_arguments(void **state)
{
    (void)state;
    /* (x^2 + 1)(x + 1) = x^3 + x^2 + x + 1 over GF(2); x^63 * x = x^64 */
    CHECK_EQ(call2(HELPER_clmul, 5, 3), 15);
    CHECK_EQ(call2(HELPER_clmulh, UINT64_C(1) << 63, 2), 1);
    CHECK_EQ(call2(HELPER_clmulr, UINT64_C(1) << 63, 1), 1);
    CHECK_EQ(call2(HELPER_brev8, 0x0180, 0), 0x8001);
    CHECK_EQ(call2(HELPER_xperm8, UINT64_C(0x8877665544332211), UINT64_C(0x0001020304050608)),
             UINT64_C(0x1122334455667700));
    CHECK_EQ(call2(HELPER_xperm4, UINT64_C(0xfedcba9876543210), UINT64_C(0x0f)), UINT64_C(0x000000000000000f));
}

static void registers_read_before_a_write_keep_their_value(void **state)
{
    ir_val old;

    (void)state;
    cpu()->r[1] = 11;
    boundary(TOY_RAM, 4);
    old = ir_getr(&ir, 1);
    ir_setr(&ir, 1, konst(22));
    ir_setr(&ir, 2, old);
    ir_jumpr(&ir, ir_add(&ir, old, ir_getr(&ir, 1)));
    CHECK_EQ(run_it().kind, TB_EXIT_LOOKUP);
    CHECK_EQ(cpu()->r[2], 11);
    CHECK_EQ(cpu()->pc, 33);
}

static void fp_state_that_the_host_cannot_hold_leaves_at_its_instruction(void **state)
{
    (void)state;
    boundary(TOY_RAM, 4);
    ir_setr(&ir, 1, konst(1));
    boundary(TOY_RAM + 4, 4);
    ir_emit(&ir, IR_fenter, 0, IR_NONE, IR_NONE, IR_NONE, 0);
    ir_setr(&ir, 1, konst(2));
    ir_jump(&ir, TOY_RAM + 8);
    CHECK_EQ(run_it().kind, TB_EXIT_INTERP); /* the toy has no FP */
    CHECK_EQ(cpu()->pc, TOY_RAM + 4);
    CHECK_EQ(cpu()->icount, 1);
    CHECK_EQ(cpu()->r[1], 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_unlinked_jump_comes_back_with_its_number),
        T(a_taken_branch_counts_up_to_itself),
        T(a_branch_back_sees_attention),
        T(loads_extend_and_faults_name_their_instruction),
        T(atomics_of_32_bits_wrap_and_compare_in_32_bits),
        T(helpers_are_called_with_their_arguments),
        T(registers_read_before_a_write_keep_their_value),
        T(fp_state_that_the_host_cannot_hold_leaves_at_its_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
