/*
 * The IR's floating point in the back ends against the reference: blocks of random FP operations run by the IR interpreter
 * and by the host's generated code, and the same operations through struct fp_ops (which MPFR has judged). All registers
 * and flags must agree bit for bit: NaN payloads, signalling NaNs, singles that are not boxed, subnormals, all modes.
 * GUISE_FP_BLOCKS sets the number of random blocks, GUISE_FP_SEED what they hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/riscv/fp.h"
#include "tests/unit/backend.h"
#include "tests/unit/check.h"
#include "tests/unit/fp_operands.h"
#include "translator/host_x86_64/emit.h"

enum { PC = 0x1000, FREGS = 6, XREGS = 4, FIRST_X = 10, OPS_MAX = 10, RUNS = 40 };

/* Registers with homes in host registers and without. */
static const uint8_t hot_r[] = {10, 11}, hot_f[] = {0, 1, 2};

static const struct isa_ops isa = {
    .name = "fp test",
    .fp = &rv_fp_ops,
    .insn_size = sizeof(struct insn),
    .hot_r = hot_r,
    .hot_f = hot_f,
    .hot_r_count = ARRAY_LEN(hot_r),
    .hot_f_count = ARRAY_LEN(hot_f),
    .fp_enter = rv_fp_enter,
    .fp_flags = rv_fp_flags,
};

struct op { /* one FP operation on registers */
    enum ir_op op;
    unsigned sub;
    int64_t imm;
    unsigned d, a, b, c; /* 0..FREGS-1, or 0..XREGS-1 from FIRST_X on where the operation has integers */
};

static const enum ir_op ops[] = {IR_fadd,   IR_fsub,   IR_fmul,      IR_fdiv,      IR_fsqrt,   IR_fmin,    IR_fmax,
                                 IR_fmadd,  IR_fmsub,  IR_fnmsub,    IR_fnmadd,    IR_fsgnj,   IR_fsgnjn,  IR_fsgnjx,
                                 IR_feq,    IR_flt,    IR_fle,       IR_fclass,    IR_fcvt_ff, IR_fcvt_fi, IR_fcvt_if,
                                 IR_fmv_fi, IR_fmv_if, IR_getfflags, IR_setfflags, IR_getfrm};

static struct fp_rng rng;
static uint64_t first_seed;

static struct op random_op(enum ir_op op)
{
    uint64_t r = fp_random(&rng);
    struct op o = {.op = op, .sub = r & 1 ? IR_D : IR_S};

    o.d = (unsigned)(r >> 8 & 0xff);
    o.a = (unsigned)(r >> 16 & 0xff);
    o.b = (unsigned)(r >> 24 & 0xff) % FREGS;
    o.c = (unsigned)(r >> 32 & 0xff) % FREGS;
    o.d = ir_ops[op].result == 'F' ? o.d % FREGS : FIRST_X + o.d % XREGS;
    o.a = ir_ops[op].args[0] == 'F' ? o.a % FREGS : FIRST_X + o.a % XREGS;
    if (op == IR_fcvt_fi || op == IR_fcvt_if)
        o.imm = (int64_t)(r >> 40 & 3) | (r >> 42 & 1 ? (int64_t)(r >> 48) % 6 << 4 : 0);
    if (op == IR_fcvt_fi && r >> 43 & 1)
        o.imm = (o.imm & IR_INT_MASK) | IR_RTZ;
    return o;
}

static void reference(struct vcpu *v, const struct op *o)
{
    const struct fp_ops *fp = &rv_fp_ops;
    uint64_t *f = v->f, a = ir_ops[o->op].args[0] == 'F' ? f[o->a] : v->r[o->a], b = f[o->b], c = f[o->c], r;

    switch (o->op) {
    case IR_fadd: r = fp->add(v, o->sub, a, b); break;
    case IR_fsub: r = fp->sub(v, o->sub, a, b); break;
    case IR_fmul: r = fp->mul(v, o->sub, a, b); break;
    case IR_fdiv: r = fp->div(v, o->sub, a, b); break;
    case IR_fsqrt: r = fp->sqrt(v, o->sub, a); break;
    case IR_fmin: r = fp->min(v, o->sub, a, b); break;
    case IR_fmax: r = fp->max(v, o->sub, a, b); break;
    case IR_fmadd: r = fp->madd(v, o->sub, a, b, c); break;
    case IR_fmsub: r = fp->msub(v, o->sub, a, b, c); break;
    case IR_fnmsub: r = fp->nmsub(v, o->sub, a, b, c); break;
    case IR_fnmadd: r = fp->nmadd(v, o->sub, a, b, c); break;
    case IR_fsgnj: r = fp->sgnj(v, o->sub, a, b); break;
    case IR_fsgnjn: r = fp->sgnjn(v, o->sub, a, b); break;
    case IR_fsgnjx: r = fp->sgnjx(v, o->sub, a, b); break;
    case IR_feq: r = fp->eq(v, o->sub, a, b); break;
    case IR_flt: r = fp->lt(v, o->sub, a, b); break;
    case IR_fle: r = fp->le(v, o->sub, a, b); break;
    case IR_fclass: r = fp->class(v, o->sub, a); break;
    case IR_fcvt_ff: r = fp->cvt_ff(v, o->sub, a); break;
    case IR_fcvt_fi: r = fp->cvt_fi(v, o->sub, a, (uint64_t)o->imm); break;
    case IR_fcvt_if: r = fp->cvt_if(v, o->sub, a, (uint64_t)o->imm); break;
    case IR_getfflags: r = ((struct rv *)v)->fflags; break;
    case IR_setfflags: r = ((struct rv *)v)->fflags = a & 31; break;
    case IR_getfrm: r = ((struct rv *)v)->frm; break;
    case IR_fmv_fi: r = o->sub == IR_S ? (uint64_t)(int32_t)a : a; break;
    default: r = o->sub == IR_S ? a | UINT64_C(0xffffffff00000000) : a; break; /* fmv_if */
    }
    if (ir_ops[o->op].result == 'F')
        f[o->d] = r;
    else if (ir_ops[o->op].result == 'V')
        v->r[o->d] = r;
}

static ir_val operand_of(struct ir *ir, char class, unsigned reg)
{
    switch (class) {
    case 'F': return ir_getf(ir, reg);
    case 'V': return ir_getr(ir, reg);
    default: return IR_NONE;
    }
}

static void emit_op(struct ir *ir, const struct op *o, unsigned n)
{
    const char *args = ir_ops[o->op].args;
    ir_val a, b, c, r;

    ir_emit(ir, IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC + 4 * n);
    if (n == 0)
        ir_emit(ir, IR_fenter, 0, IR_NONE, IR_NONE, IR_NONE, 0);
    a = operand_of(ir, args[0], o->a);
    b = operand_of(ir, args[1], o->b);
    c = operand_of(ir, args[2], o->c);
    r = ir_emit(ir, o->op, o->sub, a, b, c, o->imm);
    if (ir_ops[o->op].result == 'F')
        ir_setf(ir, o->d, r);
    else if (ir_ops[o->op].result == 'V')
        ir_setr(ir, o->d, r);
}

/* --- one back end --- */

static struct rv got, want, start;
static struct tlb_ctx ctx;
static struct ir ir;
static struct translator tr;

static struct tb *compile(const struct op *block, unsigned count)
{
    struct insn insns[OPS_MAX] = {0};
    struct guest_block b = {.pc = PC,
                            .phys = PC,
                            .phys2 = (gpa)-1,
                            .count = (uint16_t)count,
                            .bytes = (uint16_t)(4 * count),
                            .insns = insns};
    struct tb *tb = tb_new(&isa, &b);

    assert_non_null(tb);
    ir_reset(&ir);
    for (unsigned n = 0; n < count; n++)
        emit_op(&ir, &block[n], n);
    ir_jump(&ir, PC + 4 * count);
    backend_compile(&tr, tb, &ir);
    return tb;
}

static uint64_t f_register(void)
{
    uint64_t r = fp_random(&rng), s;

    if (r & 1)
        return fp_operand(&rng, &fp_formats[SF_D]);
    s = fp_operand(&rng, &fp_formats[SF_S]);
    return (r >> 8 & 15) ? sf_box(SF_S, s) : s | (uint64_t)(r & 0xffff0000) << 32;
}

static void new_registers(void)
{
    const struct fp_format *f = &fp_formats[fp_random(&rng) % 2];

    memset(&start, 0, sizeof start);
    start.v.isa = &isa;
    start.v.hooks = &tr.hooks;
    start.v.ctx = &ctx;
    start.v.res_addr = (uint64_t)-1;
    start.v.pc = PC;
    start.mstatus = 1 << 13;
    start.frm = fp_random(&rng) % 4;
    start.fflags = fp_random(&rng) % 4 ? 0 : fp_random(&rng) & 31;
    for (unsigned n = 0; n < FREGS; n++)
        start.v.f[n] = f_register();
    if (fp_random(&rng) % 2) { /* operands that belong together */
        uint64_t a = fp_operand(&rng, f), b = fp_operand_near(&rng, f, a), c = fp_addend(&rng, f, a, b);
        unsigned n = (unsigned)(fp_random(&rng) % FREGS);

        start.v.f[n] = sf_box(f->id, a);
        start.v.f[(n + 1) % FREGS] = sf_box(f->id, b);
        start.v.f[(n + 2) % FREGS] = sf_box(f->id, c);
    }
    for (unsigned n = 0; n < XREGS; n++)
        start.v.r[FIRST_X + n] = fp_integer(&rng);
}

static void print_block(const struct op *block, unsigned count)
{
    printf("# %s, seed %" PRIu64 ", frm %u, flags before %02x, got %02x, want %02x\n", tr.host->name, first_seed,
           start.frm, start.fflags, got.fflags, want.fflags);
    for (unsigned n = 0; n < count; n++)
        printf("#   %s.%s d%u a%u b%u c%u imm %d\n", ir_ops[block[n].op].name, block[n].sub == IR_D ? "d" : "s",
               block[n].d, block[n].a, block[n].b, block[n].c, (int)block[n].imm);
    for (unsigned n = 0; n < FREGS; n++)
        printf("#   f%u %016" PRIx64 " -> %016" PRIx64 ", want %016" PRIx64 "\n", n, start.v.f[n], got.v.f[n],
               want.v.f[n]);
    for (unsigned n = FIRST_X; n < FIRST_X + XREGS; n++)
        printf("#   x%u %016" PRIx64 " -> %016" PRIx64 ", want %016" PRIx64 "\n", n, start.v.r[n], got.v.r[n],
               want.v.r[n]);
}

static void run_block(struct tb *tb, const struct op *block, unsigned count)
{
    struct tb_exit exit;

    new_registers();
    got = want = start;
    for (unsigned n = 0; n < count; n++)
        reference(&want.v, &block[n]);
    exit = tr.host->run(&got.v, tb);
    CHECK_EQ(got.v.fp_live, 0);
    if (exit.kind == TB_EXIT_INTERP) /* as the loop does it; so may code meet operands that are not boxed */
        for (unsigned n = (unsigned)(got.v.pc - PC) / 4; n < count; n++)
            reference(&got.v, &block[n]);
    else
        CHECK_EQ(got.v.pc, PC + 4 * count);
    if (memcmp(got.v.f, want.v.f, sizeof got.v.f) || memcmp(got.v.r, want.v.r, sizeof got.v.r) ||
        got.fflags != want.fflags) {
        print_block(block, count);
        fail_msg("%s differs from the reference", tr.host->name);
    }
    CHECK(exit.kind == TB_EXIT_LINK || exit.kind == TB_EXIT_INTERP);
    CHECK_EQ(got.mstatus, 3 << 13);
}

static bool plain; /* the instructions of every x86-64 only */

static bool open_host(const struct host_ops *host)
{
    if (!backend_open(&tr, host, &isa))
        return false;
    if (plain && host == &host_x86_64) {
        struct host_state *h = tr.host_state;

        h->avx = h->bmi1 = h->bmi2 = h->fma = false;
    }
    return true;
}

static void single_operations(const struct host_ops *host)
{
    CHECK(open_host(host));
    for (unsigned n = 0; n < ARRAY_LEN(ops) * 24; n++) {
        struct op o = random_op(ops[n / 24]);
        struct tb *tb = compile(&o, 1);

        for (unsigned k = 0; k < 500; k++)
            run_block(tb, &o, 1);
        backend_drop(&tr, tb);
    }
    backend_close(&tr);
}

static void random_blocks(const struct host_ops *host)
{
    const char *s = getenv("GUISE_FP_BLOCKS");
    uint64_t blocks = s ? strtoull(s, NULL, 0) : 2500;

    CHECK(open_host(host));
    while (blocks--) {
        struct op block[OPS_MAX];
        unsigned count = 2 + (unsigned)(fp_random(&rng) % (OPS_MAX - 1));
        struct tb *tb;

        for (unsigned n = 0; n < count; n++)
            block[n] = random_op(ops[fp_random(&rng) % ARRAY_LEN(ops)]);
        tb = compile(block, count);
        for (unsigned k = 0; k < RUNS; k++)
            run_block(tb, block, count);
        backend_drop(&tr, tb);
    }
    backend_close(&tr);
}

static void modes_the_host_lacks_are_left_to_the_interpreter(const struct host_ops *host)
{
    struct op o = {.op = IR_fadd, .sub = IR_D, .d = 0, .a = 1, .b = 2};
    struct tb *tb;

    CHECK(open_host(host));
    tb = compile(&o, 1);
    for (unsigned frm = 4; frm < 8; frm++) {
        new_registers();
        got = start;
        got.frm = (uint8_t)frm;
        CHECK_EQ(tr.host->run(&got.v, tb).kind, TB_EXIT_INTERP);
        CHECK_EQ(got.v.pc, PC);
        CHECK(!memcmp(got.v.f, start.v.f, sizeof got.v.f));
        CHECK_EQ(got.fflags, start.fflags);
    }
    new_registers();
    got = start;
    got.mstatus = 0; /* FS off */
    CHECK_EQ(tr.host->run(&got.v, tb).kind, TB_EXIT_INTERP);
    backend_drop(&tr, tb);
    backend_close(&tr);
}

static void ir_singles(void **state) { (void)state, single_operations(&host_ir); }
static void ir_blocks(void **state) { (void)state, random_blocks(&host_ir); }
static void ir_modes(void **state) { (void)state, modes_the_host_lacks_are_left_to_the_interpreter(&host_ir); }

static void jit_singles(void **state) { (void)state, single_operations(host_jit); }
static void jit_blocks(void **state) { (void)state, random_blocks(host_jit); }
static void jit_plain(void **state)
{
    (void)state;
    plain = true;
    single_operations(host_jit);
    random_blocks(host_jit);
    plain = false;
}

static void jit_modes(void **state) { (void)state, modes_the_host_lacks_are_left_to_the_interpreter(host_jit); }

int main(void)
{
    static const struct CMUnitTest ir_tests[] = {
        cmocka_unit_test(ir_singles),
        cmocka_unit_test(ir_blocks),
        cmocka_unit_test(ir_modes),
    };
    static const struct CMUnitTest all_tests[] = {
        cmocka_unit_test(ir_singles),  cmocka_unit_test(ir_blocks),  cmocka_unit_test(ir_modes),
        cmocka_unit_test(jit_singles), cmocka_unit_test(jit_blocks), cmocka_unit_test(jit_modes),
        cmocka_unit_test(jit_plain),
    };
    const char *s = getenv("GUISE_FP_SEED");

    first_seed = s ? strtoull(s, NULL, 0) : 0;
    if (!first_seed)
        first_seed = 20260102;
    rng.state = first_seed;
    if (!host_jit) /* a host that has the IR interpreter only */
        return cmocka_run_group_tests(ir_tests, NULL, NULL);
    return cmocka_run_group_tests(all_tests, NULL, NULL);
}
