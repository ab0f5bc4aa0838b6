/* The IR's builders, evaluation, printer and checker. Expected values are worked out by hand from the RISC-V text. */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "translator/ir.h"

#define ONES UINT64_MAX
#define TOP (UINT64_C(1) << 63)

static struct ir ir;

static void operations_compute_what_riscv_says(void **state)
{
    static const struct {
        enum ir_op op;
        uint64_t a, b, r;
    } cases[] = {
        {IR_add32, 0x7fffffff, 1, UINT64_C(0xffffffff80000000)},
        {IR_sub32, 0, 1, ONES},
        {IR_shl32, 1, 31, UINT64_C(0xffffffff80000000)},
        {IR_shr32, UINT64_C(0xffffffff80000000), 4, 0x08000000},
        {IR_sar32, 0x80000000, 4, UINT64_C(0xfffffffff8000000)},
        {IR_sar, TOP, 63, ONES},
        {IR_shl, 1, 64, 1},
        {IR_rol, TOP | 1, 1, 3},
        {IR_rol, 5, 0, 5},
        {IR_ror, 1, 1, TOP},
        {IR_ror32, 1, 1, UINT64_C(0xffffffff80000000)},
        {IR_rol32, 0x80000000, 1, 1},
        {IR_mulhs, ONES, ONES, 0},
        {IR_mulhu, ONES, ONES, ONES - 1},
        {IR_mulhsu, ONES, ONES, ONES},
        {IR_mulhsu, TOP, ONES, TOP},
        {IR_mul32, 0x10000, 0x8000, UINT64_C(0xffffffff80000000)},
        {IR_divs, 7, 0, ONES},
        {IR_divs, TOP, ONES, TOP},
        {IR_rems, TOP, ONES, 0},
        {IR_rems, 7, 0, 7},
        {IR_divs, (uint64_t)-7, 2, (uint64_t)-3},
        {IR_divu, 7, 0, ONES},
        {IR_remu, 7, 0, 7},
        {IR_divs32, 0x80000000, ONES, UINT64_C(0xffffffff80000000)},
        {IR_rems32, 0x80000000, ONES, 0},
        {IR_divu32, ONES, 1, ONES},
        {IR_divu32, 5, 0, ONES},
        {IR_remu32, 0x80000000, 0, UINT64_C(0xffffffff80000000)},
        {IR_mins, ONES, 0, ONES},
        {IR_minu, ONES, 0, 0},
        {IR_maxs, ONES, 0, 0},
        {IR_maxu, ONES, 0, ONES},
        {IR_andn, 0xff, 0x0f, 0xf0},
        {IR_orn, 0, 1, ONES - 1},
        {IR_xnor, 5, 5, ONES},
        {IR_sext8, 0x80, 0, UINT64_C(0xffffffffffffff80)},
        {IR_zext16, ONES, 0, 0xffff},
        {IR_clz, 0, 0, 64},
        {IR_ctz, 0, 0, 64},
        {IR_clz32, UINT64_C(0x100000000), 0, 32},
        {IR_ctz32, UINT64_C(0x100000000), 0, 32},
        {IR_popcnt32, ONES, 0, 32},
        {IR_bswap, UINT64_C(0x0102030405060708), 0, UINT64_C(0x0807060504030201)},
        {IR_orcb, UINT64_C(0x0100000000800010), 0, UINT64_C(0xff00000000ff00ff)},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t r = ir_eval(cases[i].op, cases[i].a, cases[i].b, 0);

        if (r != cases[i].r)
            fail_msg("%s(%#llx, %#llx) = %#llx", ir_ops[cases[i].op].name, (unsigned long long)cases[i].a,
                     (unsigned long long)cases[i].b, (unsigned long long)r);
    }
}

static int64_t const_of(ir_val v)
{
    int64_t c = 0;

    CHECK(ir_is_const(&ir, v, &c));
    return c;
}

static void constants_fold_and_are_shared(void **state)
{
    ir_val x;

    (void)state;
    ir_reset(&ir);
    CHECK_EQ(ir_const(&ir, 7), ir_const(&ir, 7));
    CHECK_EQ(const_of(ir_add(&ir, ir_const(&ir, 7), ir_const(&ir, 8))), 15);
    CHECK_EQ(const_of(ir_shli(&ir, ir_const(&ir, 1), 40)), INT64_C(1) << 40);
    CHECK_EQ(const_of(ir_sext32(&ir, ir_const(&ir, 0x80000000))), INT64_C(-0x80000000));
    x = ir_getr(&ir, 10);
    CHECK_EQ(ir_addi(&ir, x, 0), x);
    CHECK_EQ(ir_andi(&ir, x, -1), x);
    CHECK_EQ(const_of(ir_andi(&ir, x, 0)), 0);
    CHECK_EQ(const_of(ir_xor(&ir, x, x)), 0);
    CHECK_EQ(ir.insn[ir_andi(&ir, x, 255)].op, IR_zext8);
    CHECK_EQ(ir.insn[ir_add32i(&ir, x, 0)].op, IR_sext32); /* addiw rd, rs, 0 is not the identity */
    CHECK_EQ(ir_sext32(&ir, ir_add32i(&ir, x, 3)), ir.count - 1);
    CHECK_EQ(const_of(ir_setcc(&ir, IR_LT, ir_const(&ir, -1), ir_const(&ir, 0))), 1);
    CHECK_EQ(ir_sel(&ir, ir_const(&ir, 0), x, ir_const(&ir, 9)), ir_const(&ir, 9));
}

static void commuted_constants_fold_but_subtraction_does_not_commute(void **state)
{
    ir_val x, r;

    (void)state;
    ir_reset(&ir);
    x = ir_getr(&ir, 10);
    CHECK_EQ(ir_add(&ir, ir_const(&ir, 0), x), x);
    r = ir_sub(&ir, ir_const(&ir, 0), x);
    CHECK_EQ(ir.insn[r].op, IR_sub);
    CHECK_EQ(const_of(ir.insn[r].a), 0);
    CHECK_EQ(ir.insn[r].b, x);
}

static void a_register_set_to_a_constant_is_known_until_code_may_change_it(void **state)
{
    (void)state;
    ir_reset(&ir);
    ir_setr(&ir, 5, ir_const(&ir, 0x12345000));
    CHECK_EQ(const_of(ir_addi(&ir, ir_getr(&ir, 5), 0x678)), 0x12345678);
    ir_exec(&ir, &ir);
    CHECK_EQ(ir.insn[ir_getr(&ir, 5)].op, IR_getr);
    ir_setr(&ir, 5, ir_const(&ir, 1));
    ir_setr(&ir, 5, ir_getr(&ir, 6));
    CHECK_EQ(ir.insn[ir_getr(&ir, 5)].op, IR_getr);
}

static void addresses_in_a_page_fold_like_constants(void **state)
{
    ir_val v;

    (void)state;
    ir_reset(&ir);
    ir.pic = true;
    ir_setr(&ir, 10, ir_page(&ir, 0x234)); /* auipc a0, 0 */
    v = ir_addi(&ir, ir_getr(&ir, 10), 0x11);
    CHECK_EQ(ir.insn[v].op, IR_page);
    CHECK_EQ(ir.insn[v].imm, 0x245);
    v = ir_andi(&ir, v, ~1);
    CHECK_EQ(ir.insn[v].imm, 0x244);
    ir_jumpr(&ir, v);
    CHECK_EQ(ir.insn[ir.count - 1].op, IR_jump);
    CHECK_EQ(ir.insn[ir.count - 1].imm, 0x244);
    v = ir_addi(&ir, ir_page(&ir, INT32_MAX - 1), 4);
    CHECK_EQ(ir.insn[v].op, IR_add);
    v = ir_andi(&ir, ir_page(&ir, 0x234), ~0x1fff); /* takes in bits of the page */
    CHECK_EQ(ir.insn[v].op, IR_and);
    ir_jumpr(&ir, ir_const(&ir, 0x1000)); /* not from the page: where it says */
    CHECK_EQ(ir.insn[ir.count - 1].op, IR_jumpr);
}

/* r12 = r11 >> n; r13 = r11 << m; r12 | r13 */
static enum ir_op rotated(enum ir_op right, int64_t n, enum ir_op left, int64_t m, unsigned clobber, bool swap)
{
    ir_val a, b;

    ir_reset(&ir);
    ir_setr(&ir, 12, ir_bini(&ir, right, ir_getr(&ir, 11), n));
    ir_setr(&ir, 13, ir_bini(&ir, left, ir_getr(&ir, 11), m));
    if (clobber)
        ir_setr(&ir, clobber, ir_getr(&ir, 10));
    a = ir_getr(&ir, swap ? 13 : 12);
    b = ir_getr(&ir, swap ? 12 : 13);
    return ir.insn[ir_or(&ir, a, b)].op;
}

static void shifts_both_ways_are_a_rotation(void **state)
{
    (void)state;
    CHECK_EQ(rotated(IR_shr32, 7, IR_shl32, 25, 0, false), IR_ror32);
    CHECK_EQ(rotated(IR_shr32, 7, IR_shl32, 25, 0, true), IR_ror32);
    CHECK_EQ(rotated(IR_shr, 7, IR_shl, 57, 0, false), IR_ror);
    CHECK_EQ(rotated(IR_shr, 7, IR_shl, 57, 14, true), IR_ror);
    CHECK_EQ(rotated(IR_shr32, 7, IR_shl32, 24, 0, false), IR_or);
    CHECK_EQ(rotated(IR_shr, 7, IR_shl32, 25, 0, false), IR_or);
    CHECK_EQ(rotated(IR_sar32, 7, IR_shl32, 25, 0, false), IR_or);
    CHECK_EQ(rotated(IR_shr32, 7, IR_shl32, 25, 11, false), IR_or); /* r11 is another one now */
    CHECK_EQ(rotated(IR_shr32, 7, IR_shl32, 25, 13, false), IR_or);
}

static void branches_never_taken_vanish(void **state)
{
    unsigned n;

    (void)state;
    ir_reset(&ir);
    ir_const(&ir, 1);
    ir_const(&ir, 2);
    n = ir.count;
    ir_brcond(&ir, IR_EQ, ir_const(&ir, 1), ir_const(&ir, 2), 0x1000);
    CHECK_EQ(ir.count, n);
    ir_brcond(&ir, IR_NE, ir_const(&ir, 1), ir_const(&ir, 2), 0x1000);
    CHECK_EQ(ir.count, n + 1);
    ir_jumpr(&ir, ir_const(&ir, 2));
    CHECK_EQ(ir.insn[n + 1].op, IR_jump);
}

static void checker_finds_malformed_ir(void **state)
{
    unsigned at;
    ir_val x;

    (void)state;
    ir_reset(&ir);
    CHECK(ir_check(&ir, &at) != NULL);
    x = ir_getr(&ir, 3);
    CHECK_STR(ir_check(&ir, &at), "no end");
    ir_setr(&ir, 4, x);
    ir_jump(&ir, 0x80000000);
    CHECK(ir_check(&ir, &at) == NULL);
    ir.insn[1].a = 2;
    CHECK_STR(ir_check(&ir, &at), "an operand that is not made yet");
    CHECK_EQ(at, 1);
    ir.insn[1].a = IR_NONE;
    CHECK_STR(ir_check(&ir, &at), "an operand is missing");
    ir.insn[1] = (struct ir_insn){.op = IR_setf, .a = 0, .b = IR_NONE, .c = IR_NONE, .imm = 1};
    CHECK_STR(ir_check(&ir, &at), "an operand of the wrong class");
    ir.insn[1] = (struct ir_insn){.op = IR_leave, .a = IR_NONE, .b = IR_NONE, .c = IR_NONE};
    CHECK_STR(ir_check(&ir, &at), "operations after the end");
}

static void a_full_array_is_flagged_and_written_no_further(void **state)
{
    (void)state;
    ir_reset(&ir);
    for (unsigned i = 0; i < IR_MAX + 10; i++)
        ir_setr(&ir, 1, ir_getr(&ir, 2));
    CHECK(ir.full);
    CHECK_EQ(ir.count, IR_MAX);
    CHECK_EQ(ir_add(&ir, ir_getr(&ir, 1), ir_const(&ir, 12345)), IR_NONE);
}

static void printer_shows_each_operation(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    ir_reset(&ir);
    ir_emit(&ir, IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, 0x80000000);
    ir_setr(&ir, 10, ir_ld(&ir, IR_32S, ir_getr(&ir, 11), -8));
    ir_brcond(&ir, IR_LTU, 1, 2, 0x80000010);
    ir_jump(&ir, 0x80000008);
    ir_print(&ir, f);
    fclose(f);
    CHECK_STR(text, "  insn 0x80000000 +4\n"
                    "  %1    = getr r11\n"
                    "  %2    = ld.32s %1 -8\n"
                    "          setr %2 r10\n"
                    "          brcond.ltu %1, %2 -> 0x80000010\n"
                    "          jump -> 0x80000008\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_compute_what_riscv_says),
        cmocka_unit_test(constants_fold_and_are_shared),
        cmocka_unit_test(commuted_constants_fold_but_subtraction_does_not_commute),
        cmocka_unit_test(a_register_set_to_a_constant_is_known_until_code_may_change_it),
        cmocka_unit_test(addresses_in_a_page_fold_like_constants),
        cmocka_unit_test(shifts_both_ways_are_a_rotation),
        cmocka_unit_test(branches_never_taken_vanish),
        cmocka_unit_test(checker_finds_malformed_ir),
        cmocka_unit_test(a_full_array_is_flagged_and_written_no_further),
        cmocka_unit_test(printer_shows_each_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
