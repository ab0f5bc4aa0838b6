/* The shape of the IR that RISC-V blocks become: what is folded, what order state is written in, how blocks end. */
#include <string.h>

#include "base/bits.h"
#include "cpu/isa.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/rv.h"
#include "cpu/riscv/trans.h"
#include "tests/unit/check.h"

enum { PC = 0x1000 };

static struct ir ir;
static struct insn insns[BLOCK_MAX_INSNS];

/* Translate words (0 ends) as a block at PC. */
static void translate(const char *cpu, const uint32_t *words)
{
    struct isa_config cfg;
    struct guest_block b = {.pc = PC, .insns = insns};
    static struct rv c;
    unsigned where;
    struct err e;

    CHECK(isa_config_parse(&cfg, cpu, &e));
    for (; words[b.count]; b.count++) {
        insn_decode(&cfg, words[b.count], &insns[b.count]);
        b.bytes = (uint16_t)(b.bytes + insns[b.count].len);
    }
    c.cfg = &cfg;
    ir_reset(&ir);
    rv_emit_block(&c.v, &b, &ir);
    if (ir_check(&ir, &where)) {
        ir_print(&ir, stderr);
        fail_msg("%s at %u", ir_check(&ir, &where), where);
    }
    isa_config_fini(&cfg);
}

static unsigned count(enum ir_op op)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ir.count; i++)
        n += ir.insn[i].op == op;
    return n;
}

/* Index of the n-th op. */
static unsigned find(enum ir_op op, unsigned n)
{
    for (unsigned i = 0; i < ir.count; i++)
        if (ir.insn[i].op == op && n-- == 0)
            return i;
    ir_print(&ir, stderr);
    fail_msg("no such operation");
    return 0;
}

static const struct ir_insn *at(enum ir_op op, unsigned n) { return &ir.insn[find(op, n)]; }
static const struct ir_insn *last(void) { return &ir.insn[ir.count - 1]; }

static int64_t constant(ir_val v)
{
    int64_t c = 0;

    CHECK(ir_is_const(&ir, v, &c));
    return c;
}

static void constants_are_folded(void **state)
{
    (void)state;
    /* lui a0,0x12345; addiw a0,a0,0x678; slli a0,a0,12 */
    translate("max", (const uint32_t[]){0x12345537, 0x6785051b, 0x00c51513, 0});
    CHECK_EQ(count(IR_add32) + count(IR_shl) + count(IR_getr), 0);
    CHECK_EQ(constant(at(IR_setr, 2)->a), INT64_C(0x12345678000));
    /* auipc a0,1; ld a0,8(a0) */
    translate("max", (const uint32_t[]){0x00001517, 0x00853503, 0});
    CHECK_EQ(constant(at(IR_ld, 0)->a), PC + 0x1000);
    CHECK_EQ(at(IR_ld, 0)->imm, 8);
}

static void moves_are_copies(void **state)
{
    (void)state;
    /* mv a0,a1 (addi); c.mv a0,a2; sext.w a0,a1 (addiw); zext.w a0,a1 (add.uw) */
    translate("max", (const uint32_t[]){0x00058513, 0x8532, 0x0005851b, 0x0805853b, 0});
    CHECK_EQ(count(IR_add) + count(IR_add32), 0);
    CHECK_EQ(count(IR_sext32), 1);
    CHECK_EQ(count(IR_zext32), 1);
    CHECK_EQ(ir.insn[at(IR_setr, 0)->a].op, IR_getr);
    CHECK_EQ(ir.insn[at(IR_setr, 1)->a].op, IR_getr);
}

static void x0_is_zero_and_never_written(void **state)
{
    (void)state;
    /* add zero,a0,a1; lw zero,0(a0); sd zero,0(a0); beq a0,zero,.+8; amoswap.w zero,zero,(a0) */
    translate("max", (const uint32_t[]){0x00b50033, 0x00052003, 0x00053023, 0x00050463, 0x0805202f, 0});
    CHECK_EQ(count(IR_setr), 0);
    CHECK_EQ(count(IR_ld), 1); /* it may fault, all the same */
    CHECK_EQ(count(IR_amo), 1);
    CHECK_EQ(constant(at(IR_st, 0)->b), 0);
    CHECK_EQ(constant(at(IR_brcond, 0)->b), 0);
    for (unsigned i = 0; i < ir.count; i++)
        CHECK(ir.insn[i].op != IR_getr || ir.insn[i].imm != 0);
}

static void calls_and_returns_end_blocks(void **state)
{
    (void)state;
    translate("max", (const uint32_t[]){0x100000ef, 0x00000013, 0}); /* jal ra,.+256; nop */
    CHECK_EQ(last()->op, IR_jump);
    CHECK_EQ(last()->imm, PC + 256);
    CHECK_EQ(constant(at(IR_setr, 0)->a), PC + 4);
    CHECK_EQ(count(IR_insn), 1);
    translate("max", (const uint32_t[]){0x00001097, 0x010080e7, 0}); /* call: auipc ra,1; jalr ra,16(ra) */
    CHECK_EQ(last()->op, IR_jump);
    CHECK_EQ(last()->imm, PC + 0x1010);
    CHECK_EQ(constant(at(IR_setr, 1)->a), PC + 8);
    translate("max", (const uint32_t[]){0x8082, 0}); /* ret */
    CHECK_EQ(last()->op, IR_jumpr);
    CHECK_EQ(count(IR_setr), 0);
    translate("max", (const uint32_t[]){0x9582, 0}); /* c.jalr a1 */
    CHECK_EQ(constant(at(IR_setr, 0)->a), PC + 2);
    CHECK(find(IR_setr, 0) > find(IR_getr, 0));
}

static void branches_leave_and_fall_through(void **state)
{
    (void)state;
    /* bltu a0,a1,.-16; c.bnez a0,.+32; c.nop */
    translate("max", (const uint32_t[]){0xfeb568e3, 0xe105, 0x0001, 0});
    CHECK_EQ(at(IR_brcond, 0)->imm, PC - 16);
    CHECK_EQ(at(IR_brcond, 0)->sub, IR_LTU);
    CHECK_EQ(at(IR_brcond, 1)->imm, PC + 4 + 32);
    CHECK_EQ(at(IR_brcond, 1)->sub, IR_NE);
    CHECK_EQ(last()->op, IR_jump);
    CHECK_EQ(last()->imm, PC + 8);
    CHECK_EQ(at(IR_insn, 1)->sub, 2);
    CHECK_EQ(at(IR_insn, 2)->imm, PC + 6);
}

static void floating_point_is_entered_once_and_at_its_first_use(void **state)
{
    (void)state;
    /* addi a0,a0,1; fld fa0,0(a0); fadd.d fa0,fa0,fa0; fsd fa0,0(a0) */
    translate("max", (const uint32_t[]){0x00150513, 0x00053507, 0x02a57553, 0x00a53027, 0});
    CHECK_EQ(count(IR_fenter), 1);
    CHECK(find(IR_fenter, 0) > find(IR_insn, 1) && find(IR_fenter, 0) < find(IR_ldf, 0));
    translate("max", (const uint32_t[]){0x00150513, 0});
    CHECK_EQ(count(IR_fenter), 0);
}

static void what_has_no_translation_is_executed(void **state)
{
    (void)state;
    translate("max", (const uint32_t[]){0x0ab59533, 0x00150513, 0}); /* clmul a0,a1,a1; addi: a helper in the middle */
    CHECK_EQ(count(IR_call), 1);
    CHECK_EQ(count(IR_exec), 0);
    CHECK_EQ(last()->op, IR_jump);
    translate("max", (const uint32_t[]){0x30051073, 0}); /* csrw mstatus,a0 */
    CHECK_EQ(last()->op, IR_leave);
    translate("max", (const uint32_t[]){0xc0102573, 0x00150513, 0}); /* rdtime a0: reads end nothing */
    CHECK_EQ(count(IR_exec), 1);
    CHECK_EQ((uintptr_t)at(IR_exec, 0)->imm, (uintptr_t)&insns[0]);
    CHECK_EQ(last()->op, IR_jump);
    CHECK_EQ(count(IR_insn), 2);
    translate("max", (const uint32_t[]){0xffffffff, 0}); /* illegal */
    CHECK_EQ(last()->op, IR_leave);
    translate("max,c=off", (const uint32_t[]){0x02b50163, 0x00000013, 0}); /* beq to an address that is not aligned */
    CHECK_EQ(last()->op, IR_leave);
}

static void fences_order_stores_before_loads_only_when_asked(void **state)
{
    (void)state;
    /* fence rw,rw; fence r,rw; fence.tso; fence w,w; fence o,i */
    translate("max", (const uint32_t[]){0x0330000f, 0x0230000f, 0x8330000f, 0x0110000f, 0x0480000f, 0});
    CHECK_EQ(at(IR_fence, 0)->imm, 1);
    CHECK_EQ(at(IR_fence, 1)->imm, 0);
    CHECK_EQ(at(IR_fence, 2)->imm, 0);
    CHECK_EQ(at(IR_fence, 3)->imm, 0);
    CHECK_EQ(at(IR_fence, 4)->imm, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_are_folded),
        cmocka_unit_test(moves_are_copies),
        cmocka_unit_test(x0_is_zero_and_never_written),
        cmocka_unit_test(calls_and_returns_end_blocks),
        cmocka_unit_test(branches_leave_and_fall_through),
        cmocka_unit_test(floating_point_is_entered_once_and_at_its_first_use),
        cmocka_unit_test(what_has_no_translation_is_executed),
        cmocka_unit_test(fences_order_stores_before_loads_only_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
