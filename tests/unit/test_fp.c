/*
 * Floating-point instructions as a guest sees them: FS, rounding modes, NaN boxing, flags; and the hooks for FP state
 * in host registers. Expected values: unprivileged specification, chapters F, D, Zfh, Zfa.
 */
#include "cpu/riscv/fp.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/check.h"
#include "translator/ir.h"

enum { FS_INITIAL = 1 << 13, FS_DIRTY = 3 << 13, DYN = 7 };
#define BOX_S UINT64_C(0xffffffff00000000)
#define BOX_H UINT64_C(0xffffffffffff0000)
#define ONE_S UINT64_C(0x3f800000)
#define ONE_D UINT64_C(0x3ff0000000000000)
#define THREE_D UINT64_C(0x4008000000000000)

static struct rv c;
static struct tlb_ctx ctx;
static _Alignas(4096) uint8_t page[4096];

static int fresh(void **state)
{
    (void)state;
    c = (struct rv){.mstatus = FS_INITIAL};
    memset(page, 0, sizeof page);
    ctx.rd[0] = ctx.wr[0] = (struct tlb_entry){.tag = 0, .addend = (uint64_t)(uintptr_t)page};
    c.v.ctx = &ctx;
    return 0;
}

/* rd 1, rs1 2, rs2 3, rs3 4 */
static struct insn with_rm(uint8_t rm)
{
    return (struct insn){.len = 4, .rd = 1, .rs1 = 2, .rs2 = 3, .rs3 = 4, .rm = rm, .raw = 0x12345678};
}

static void operands(uint64_t a, uint64_t b)
{
    c.v.f[2] = a;
    c.v.f[3] = b;
}

static bool run(exec_fn *fn, uint8_t rm)
{
    struct insn i = with_rm(rm);

    return fn(&c, &i);
}

static void expect_illegal(exec_fn *fn, uint8_t rm)
{
    CHECK(!run(fn, rm));
    CHECK_EQ(c.v.trap.cause, CAUSE_ILLEGAL);
    CHECK_EQ(c.v.trap.tval, 0x12345678);
    CHECK_EQ(c.v.fault, 1);
    CHECK_EQ(c.v.f[1], 0);
    CHECK_EQ(c.v.r[1], 0);
    CHECK_EQ(c.fflags, 0);
}

static void every_instruction_is_illegal_while_fs_is_off(void **state)
{
    static exec_fn *const some[] = {exec_fadd_d,   exec_fmadd_s,    exec_fsqrt_h, exec_fsgnj_d,  exec_feq_s,
                                    exec_fclass_d, exec_flw,        exec_fsd,     exec_fmv_x_w,  exec_fmv_d_x,
                                    exec_fcvt_w_s, exec_fcvt_d_l,   exec_fli_s,   exec_fround_d, exec_fminm_h,
                                    exec_fleq_d,   exec_fcvtmod_w_d};

    (void)state;
    c.mstatus = 0;
    for (unsigned n = 0; n < ARRAY_LEN(some); n++)
        expect_illegal(some[n], 0);
    CHECK_EQ(c.mstatus, 0);
}

static void state_becomes_dirty(void **state)
{
    (void)state;
    CHECK(run(exec_fmv_w_x, 0));
    CHECK_EQ(c.mstatus, FS_DIRTY);
}

static void reserved_rounding_modes_are_illegal(void **state)
{
    static exec_fn *const rounding[] = {exec_fadd_s,   exec_fdiv_d,   exec_fsqrt_d,  exec_fmadd_h,   exec_fcvt_d_w,
                                        exec_fcvt_d_s, exec_fcvt_l_d, exec_fround_s, exec_froundnx_d};

    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(rounding); n++) {
        c.frm = 0;
        expect_illegal(rounding[n], 5);
        expect_illegal(rounding[n], 6);
        for (c.frm = 5; c.frm < 8; c.frm++)
            expect_illegal(rounding[n], DYN);
    }
    CHECK(run(exec_fadd_d, 1)); /* a static mode does not ask frm; nor do instructions without a mode */
    CHECK(run(exec_fmin_d, 0));
    CHECK(run(exec_feq_d, 0));
}

static void rounding_is_static_or_dynamic(void **state)
{
    static const uint64_t third[] = {0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555556,
                                     0x3fd5555555555555};

    (void)state;
    operands(ONE_D, THREE_D);
    for (uint8_t rm = SF_RNE; rm <= SF_RMM; rm++) {
        c.frm = SF_RDN;
        CHECK(run(exec_fdiv_d, rm));
        CHECK_EQ(c.v.f[1], third[rm]);
        c.frm = rm;
        CHECK(run(exec_fdiv_d, DYN));
        CHECK_EQ(c.v.f[1], third[rm]);
    }
    CHECK_EQ(c.fflags, SF_NX);
}

static void flags_accumulate(void **state)
{
    (void)state;
    operands(ONE_D, 0);
    CHECK(run(exec_fdiv_d, DYN));
    operands(ONE_D, THREE_D);
    CHECK(run(exec_fdiv_d, DYN));
    operands(UINT64_C(0x7ff0000000000001), ONE_D);
    CHECK(run(exec_feq_d, 0));
    CHECK_EQ(c.fflags, SF_DZ | SF_NX | SF_NV);
}

static void narrow_operands_must_be_boxed(void **state)
{
    (void)state;
    operands(BOX_S | ONE_S, BOX_S | ONE_S);
    CHECK(run(exec_fadd_s, DYN));
    CHECK_EQ(c.v.f[1], BOX_S | 0x40000000);
    operands(BOX_S | ONE_S, ONE_S);
    CHECK(run(exec_fadd_s, DYN));
    CHECK_EQ(c.v.f[1], BOX_S | 0x7fc00000);
    CHECK(run(exec_fmin_s, 0)); /* the NaN loses */
    CHECK_EQ(c.v.f[1], BOX_S | ONE_S);
    operands(ONE_S, BOX_S | 0x80000000);
    CHECK(run(exec_fsgnj_s, 0));
    CHECK_EQ(c.v.f[1], BOX_S | 0xffc00000);
    CHECK(run(exec_fclass_s, 0));
    CHECK_EQ(c.v.r[1], 1 << 9);
    CHECK(run(exec_fcvt_d_s, 0));
    CHECK_EQ(c.v.f[1], SF_NAN_D);
    CHECK(run(exec_fcvt_w_s, DYN));
    CHECK_EQ(c.v.r[1], INT32_MAX);
    CHECK_EQ(c.fflags, SF_NV);
    operands(BOX_S | 0x3c00, 0); /* boxed for S, not for H */
    CHECK(run(exec_fclass_h, 0));
    CHECK_EQ(c.v.r[1], 1 << 9);
    operands(BOX_H | 0x3c00, 0);
    CHECK(run(exec_fcvt_s_h, DYN));
    CHECK_EQ(c.v.f[1], BOX_S | ONE_S);
}

static void loads_box_and_stores_and_moves_take_raw_bits(void **state)
{
    struct insn i = {.rd = 1, .rs1 = 2, .rs2 = 3, .imm = -8};

    (void)state;
    c.v.r[2] = 24;
    st64(page + 16, UINT64_C(0x1122334455667788));
    CHECK(exec_flw(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0xffffffff55667788));
    CHECK(exec_fld(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0x1122334455667788));
    CHECK(exec_flh(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0xffffffffffff7788));
    c.v.f[3] = UINT64_C(0x00000000c0ffee00); /* not boxed */
    i.imm = 8;
    CHECK(exec_fsw(&c, &i));
    CHECK_EQ(ld64(page + 32), 0xc0ffee00);
    CHECK(exec_fsh(&c, &i));
    CHECK(exec_fsd(&c, &i));
    CHECK_EQ(ld64(page + 32), 0xc0ffee00);
    c.v.f[2] = 0xc0ffee00;
    CHECK(exec_fmv_x_w(&c, &i));
    CHECK_EQ(c.v.r[1], UINT64_C(0xffffffffc0ffee00));
    CHECK(exec_fmv_x_h(&c, &i));
    CHECK_EQ(c.v.r[1], UINT64_C(0xffffffffffffee00));
    c.v.r[2] = UINT64_C(0x123456789abcdef0);
    CHECK(exec_fmv_w_x(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0xffffffff9abcdef0));
    CHECK(exec_fmv_h_x(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0xffffffffffffdef0));
    CHECK(exec_fmv_d_x(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0x123456789abcdef0));
}

static void results_for_x0_are_dropped_but_flags_stay(void **state)
{
    struct insn i = {.rd = 0, .rs1 = 2, .rs2 = 3, .rm = 1};

    (void)state;
    operands(UINT64_C(0x7ff8000000000000), ONE_D);
    CHECK(exec_flt_d(&c, &i));
    CHECK(exec_fcvt_w_d(&c, &i));
    CHECK_EQ(c.v.r[0], 0);
    CHECK_EQ(c.fflags, SF_NV);
}

static void zfa_constants_come_from_the_rs1_field(void **state)
{
    struct insn i = {.rd = 1, .rs1 = 17};

    (void)state;
    CHECK(exec_fli_s(&c, &i));
    CHECK_EQ(c.v.f[1], BOX_S | 0x3fa00000); /* 1.25 */
    CHECK(exec_fli_h(&c, &i));
    CHECK_EQ(c.v.f[1], BOX_H | 0x3d00);
    i.rs1 = 30;
    CHECK(exec_fli_d(&c, &i));
    CHECK_EQ(c.v.f[1], UINT64_C(0x7ff0000000000000));
}

static void host_state_has_the_rounding_mode(void **state)
{
    static const uint32_t want[] = {0x1f80, 0x7f80, 0x3f80, 0x5f80}; /* MXCSR: nearest, zero, down, up */

    (void)state;
    for (c.frm = 0; c.frm < 4; c.frm++) {
        CHECK(rv_fp_enter(&c.v));
        CHECK_EQ(c.v.fp_host_csr, want[c.frm]);
    }
    CHECK_EQ(c.mstatus, FS_DIRTY);
    for (c.frm = 4; c.frm < 8; c.frm++)
        CHECK(!rv_fp_enter(&c.v));
    c.frm = 0;
    c.mstatus = 0;
    CHECK(!rv_fp_enter(&c.v));
    CHECK_EQ(c.mstatus, 0);
}

static void host_flags_are_folded_in(void **state)
{
    static const uint8_t want[6] = {SF_NV, 0, SF_DZ, SF_OF, SF_UF, SF_NX};

    (void)state;
    for (unsigned bit = 0; bit < 6; bit++) {
        c.fflags = 0;
        rv_fp_flags(&c.v, 0x1f80u | 1u << bit);
        CHECK_EQ(c.fflags, want[bit]);
    }
    rv_fp_flags(&c.v, 0x1f81);
    CHECK_EQ(c.fflags, SF_NX | SF_NV);
}

static void ir_reference_works_on_register_images(void **state)
{
    (void)state;
    c.frm = SF_RUP;
    CHECK_EQ(rv_fp_ops.div(&c.v, IR_D, ONE_D, THREE_D), UINT64_C(0x3fd5555555555556));
    CHECK_EQ(c.fflags, SF_NX);
    CHECK_EQ(rv_fp_ops.add(&c.v, IR_S, ONE_S, BOX_S | ONE_S), BOX_S | 0x7fc00000);
    CHECK_EQ(rv_fp_ops.cvt_ff(&c.v, IR_S, BOX_S | ONE_S), ONE_D);
    CHECK_EQ(rv_fp_ops.cvt_ff(&c.v, IR_D, ONE_D), BOX_S | ONE_S);
    CHECK_EQ(rv_fp_ops.cvt_fi(&c.v, IR_D, UINT64_C(0x3ff8000000000000), IR_I32), 2);
    CHECK_EQ(rv_fp_ops.cvt_fi(&c.v, IR_D, UINT64_C(0x3ff8000000000000), IR_I32 | IR_RTZ), 1);
    CHECK_EQ(rv_fp_ops.cvt_if(&c.v, IR_S, UINT64_MAX, IR_I32), BOX_S | 0xbf800000);
    CHECK_EQ(rv_fp_ops.le(&c.v, IR_D, ONE_D, THREE_D), 1);
    CHECK_EQ(rv_fp_ops.class(&c.v, IR_D, ONE_D), 1 << 6);
    CHECK_EQ(rv_fp_ops.nmadd(&c.v, IR_D, ONE_D, THREE_D, ONE_D), UINT64_C(0xc010000000000000));
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_instruction_is_illegal_while_fs_is_off),
        TEST(state_becomes_dirty),
        TEST(reserved_rounding_modes_are_illegal),
        TEST(rounding_is_static_or_dynamic),
        TEST(flags_accumulate),
        TEST(narrow_operands_must_be_boxed),
        TEST(loads_box_and_stores_and_moves_take_raw_bits),
        TEST(results_for_x0_are_dropped_but_flags_stay),
        TEST(zfa_constants_come_from_the_rs1_field),
        TEST(host_state_has_the_rounding_mode),
        TEST(host_flags_are_folded_in),
        TEST(ir_reference_works_on_register_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
