/*
 * Floating-point instructions, F, D, Zfh and Zfa. First the words of fp_cases.def, decoded and run by exec_, as IR in the
 * IR interpreter and as code of the host. Then random blocks, static and dynamic rounding, loads and stores included,
 * through the translator against exec_.
 * GUISE_FP_BLOCKS sets the number of blocks, GUISE_FP_SEED what they hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/err.h"
#include "cpu/riscv/config.h"
#include "cpu/riscv/fp.h"
#include "cpu/riscv/trans.h"
#include "tests/unit/backend.h"
#include "tests/unit/check.h"
#include "tests/unit/fp_operands.h"

enum { PC = 0x1000, FREGS = 6, XREGS = 4, FIRST_X = 10, BASE = 15, INSNS_MAX = 10, RUNS = 40, DYN = 7 };
enum { FS_INITIAL = 1 << 13, FS_DIRTY = 3 << 13 };

static const uint8_t hot_r[] = {10, 11}, hot_f[] = {0, 1, 2}; /* others live in memory */

static bool exec_insn(struct vcpu *v, const void *insn)
{
    const struct insn *i = insn;

    return insn_exec[i->op]((struct rv *)v, i);
}

static const struct isa_ops isa = {
    .name = "fp test",
    .fp = &rv_fp_ops,
    .insn_size = sizeof(struct insn),
    .hot_r = hot_r,
    .hot_f = hot_f,
    .hot_r_count = ARRAY_LEN(hot_r),
    .hot_f_count = ARRAY_LEN(hot_f),
    .exec = exec_insn,
    .fp_enter = rv_fp_enter,
    .fp_flags = rv_fp_flags,
};

static struct fp_rng rng;
static uint64_t first_seed;
static uint16_t fp_insns[INSN_COUNT]; /* those with INSN_FP */
static unsigned fp_insn_count;

/* Rounding modes as programs use them: mostly dynamic; RTZ to integers. */
static uint8_t random_rm(void)
{
    uint64_t r = fp_random(&rng);

    return r & 3 ? DYN : (uint8_t)(r >> 8) % 5;
}

/* A register of the class that the disassembly's letter asks for. */
static uint8_t random_reg(const char *disasm, char f, uint64_t r)
{
    return (uint8_t)(strchr(disasm, f) ? r % FREGS : FIRST_X + r % XREGS);
}

static int32_t csr_of(uint16_t op)
{
    switch (op) {
    case INSN_frflags:
    case INSN_fsflags: return 1;
    case INSN_frrm: return 2;
    case INSN_frcsr: return 3;
    default: return 0;
    }
}

static struct insn random_insn(uint16_t op)
{
    const char *disasm = insn_rows[op].disasm;
    uint64_t r = fp_random(&rng);
    struct insn i = {.op = op, .len = 4, .rm = random_rm(), .rd = random_reg(disasm, 'D', r & 0xff)};

    i.imm = csr_of(op);
    i.rs2 = random_reg(disasm, 'T', r >> 8 & 0xff);
    i.rs3 = (uint8_t)((r >> 16 & 0xff) % FREGS);
    if (insn_flags[op] & INSN_MEM) {
        i.rs1 = BASE;
        i.imm = (int32_t)(r >> 24 & 0xff) - 128;
    } else if (strchr(disasm, 'v')) {
        i.rs1 = r >> 24 & 31;
    } else {
        i.rs1 = random_reg(disasm, 'S', r >> 24 & 0xff);
    }
    return i;
}

static struct isa_config cfg;
static struct rv got, want, start;
static struct tlb_ctx got_ctx, want_ctx;
static _Alignas(4096) uint8_t got_page[PAGE_SIZE], want_page[PAGE_SIZE];
static struct ir ir;
static struct translator tr;
static unsigned runs, left_early; /* blocks run in a mode that the host has; those that ended in the interpreter */

/* Guest page 0 is the given memory. */
static void map_page(struct tlb_ctx *ctx, const uint8_t *page)
{
    for (unsigned n = 0; n < TLB_SIZE; n++)
        ctx->rd[n].tag = ctx->wr[n].tag = TLB_NONE;
    ctx->rd[0] = ctx->wr[0] = (struct tlb_entry){.tag = 0, .addend = (uint64_t)(uintptr_t)page};
}

static bool open_host(const struct host_ops *host)
{
    runs = left_early = 0;
    return backend_open(&tr, host, &isa);
}

static struct tb *compile(struct insn *insns, unsigned count)
{
    struct guest_block b = {.pc = PC,
                            .phys = PC,
                            .phys2 = (gpa)-1,
                            .count = (uint16_t)count,
                            .bytes = (uint16_t)(4 * count),
                            .insns = insns};
    struct tb *tb = tb_new(&isa, &b);

    assert_non_null(tb);
    b.insns = tb->insns; /* exec operations point to the block's own copy */
    ir_reset(&ir);
    rv_emit_block(&start.v, &b, &ir);
    backend_compile(&tr, tb, &ir);
    return tb;
}

static uint64_t f_register(void)
{
    uint64_t r = fp_random(&rng);
    enum sf_fmt f = (enum sf_fmt)(r % 3);
    uint64_t v = sf_box(f, fp_operand(&rng, &fp_formats[f]));

    return f == SF_D || r >> 8 & 15 ? v : v ^ (r & UINT64_C(0xffffffff00000000)); /* seldom not boxed */
}

static void new_state(void)
{
    memset(&start, 0, sizeof start);
    start.cfg = &cfg;
    start.v.isa = &isa;
    start.v.hooks = &tr.hooks;
    start.v.res_addr = (uint64_t)-1;
    start.v.pc = PC;
    start.mstatus = FS_INITIAL;
    start.frm = fp_random(&rng) % 16 ? fp_random(&rng) % 4 : SF_RMM;
    for (unsigned n = 0; n < FREGS; n++)
        start.v.f[n] = f_register();
    for (unsigned n = 0; n < XREGS; n++)
        start.v.r[FIRST_X + n] = fp_integer(&rng);
    start.v.r[BASE] = 1024;
    for (unsigned n = 1024 - 128; n < 1024 + 256; n += 8)
        st64(got_page + n, f_register());
    memcpy(want_page, got_page, PAGE_SIZE);
}

static void print_block(const struct insn *insns, unsigned count)
{
    printf("# %s, seed %" PRIu64 ", frm %u, flags got %02x, want %02x\n", tr.host->name, first_seed, start.frm,
           got.fflags, want.fflags);
    for (unsigned n = 0; n < count; n++)
        printf("#   %s rd %u rs1 %u rs2 %u rs3 %u rm %u imm %d\n", insn_rows[insns[n].op].name, insns[n].rd,
               insns[n].rs1, insns[n].rs2, insns[n].rs3, insns[n].rm, insns[n].imm);
    for (unsigned n = 0; n < FREGS; n++)
        printf("#   f%u %016" PRIx64 " -> %016" PRIx64 ", want %016" PRIx64 "\n", n, start.v.f[n], got.v.f[n],
               want.v.f[n]);
    for (unsigned n = FIRST_X; n < FIRST_X + XREGS; n++)
        printf("#   x%u %016" PRIx64 " -> %016" PRIx64 ", want %016" PRIx64 "\n", n, start.v.r[n], got.v.r[n],
               want.v.r[n]);
}

static void run_block(struct tb *tb, const struct insn *insns, unsigned count)
{
    struct tb_exit exit;

    new_state();
    got = want = start;
    got.v.ctx = &got_ctx;
    want.v.ctx = &want_ctx;
    for (unsigned n = 0; n < count; n++)
        CHECK(exec_insn(&want.v, &insns[n]));
    exit = tr.host->run(&got.v, tb);
    CHECK_EQ(got.v.fp_live, 0);
    CHECK_EQ(got.v.icount, (got.v.pc - PC) / 4);
    if (exit.kind == TB_EXIT_INTERP) /* as the loop does it */
        for (unsigned n = (unsigned)(got.v.pc - PC) / 4; n < count; n++)
            CHECK(exec_insn(&got.v, &insns[n]));
    else
        CHECK_EQ(got.v.pc, PC + 4 * count);
    runs += start.frm != SF_RMM;
    left_early += exit.kind == TB_EXIT_INTERP && start.frm != SF_RMM;
    if (memcmp(got.v.f, want.v.f, sizeof got.v.f) || memcmp(got.v.r, want.v.r, sizeof got.v.r) ||
        got.fflags != want.fflags || memcmp(got_page, want_page, PAGE_SIZE)) {
        print_block(insns, count);
        fail_msg("%s differs from exec_", tr.host->name);
    }
    CHECK(exit.kind == TB_EXIT_LINK || exit.kind == TB_EXIT_INTERP);
    CHECK_EQ(got.mstatus, FS_DIRTY);
}

static void run_insns(struct insn *insns, unsigned count)
{
    struct tb *tb = compile(insns, count);

    for (unsigned k = 0; k < RUNS; k++)
        run_block(tb, insns, count);
    backend_drop(&tr, tb);
}

static void each_alone(const struct host_ops *host)
{
    CHECK(open_host(host));
    for (unsigned n = 0; n < fp_insn_count * 16; n++) {
        struct insn i = random_insn(fp_insns[n / 16]);

        run_insns(&i, 1);
    }
    CHECK(left_early * 4 < runs);
    backend_close(&tr);
}

static void random_blocks(const struct host_ops *host)
{
    const char *s = getenv("GUISE_FP_BLOCKS");
    uint64_t blocks = s ? strtoull(s, NULL, 0) : 2500;

    CHECK(open_host(host));
    while (blocks--) {
        struct insn insns[INSNS_MAX];
        unsigned count = 2 + (unsigned)(fp_random(&rng) % (INSNS_MAX - 1));

        for (unsigned n = 0; n < count; n++)
            insns[n] = random_insn(fp_insns[fp_random(&rng) % fp_insn_count]);
        run_insns(insns, count);
    }
    backend_close(&tr);
}

/* --- given words --- */

enum { NX = SF_NX, UF = SF_UF, OF = SF_OF, DZ = SF_DZ, NV = SF_NV };

static const struct word_case {
    const char *text;
    uint32_t word;
    uint64_t a1, a2, a3, result;
    unsigned flags;
} word_cases[] = {
#define ROW(text, word, a1, a2, a3, result, flags) {text, word, a1, a2, a3, result, flags},
#include "tests/insn/fp_cases.def"
#undef ROW
};

static void word_state(const struct word_case *w)
{
    new_state();
    start.frm = SF_RNE;
    start.v.f[10] = start.v.r[10] = UINT64_C(0x5555555555555555);
    start.v.f[11] = start.v.r[11] = w->a1;
    start.v.f[12] = w->a2;
    start.v.f[13] = w->a3;
}

static void check_word(const char *engine, const struct word_case *w, const struct rv *c)
{
    uint64_t result = strchr(w->text, ' ')[1] == 'f' ? c->v.f[10] : c->v.r[10];

    if (result != w->result || c->fflags != w->flags)
        fail_msg("%s, %s: %016" PRIx64 " flags %02x, expected %016" PRIx64 " flags %02x", w->text, engine, result,
                 c->fflags, w->result, w->flags);
}

static void run_word(const struct host_ops *host, const struct word_case *w, struct insn *i)
{
    struct tb *tb = compile(i, 1);
    struct tb_exit exit;

    word_state(w);
    got = start;
    got.v.ctx = &got_ctx;
    exit = host->run(&got.v, tb);
    if (exit.kind == TB_EXIT_INTERP)
        CHECK(exec_insn(&got.v, i));
    check_word(host->name, w, &got);
    backend_drop(&tr, tb);
}

static void words_on(const struct host_ops *host)
{
    if (host)
        CHECK(open_host(host));
    for (unsigned n = 0; n < ARRAY_LEN(word_cases); n++) {
        const struct word_case *w = &word_cases[n];
        struct insn i;

        insn_decode(&cfg, w->word, &i);
        if (host) {
            run_word(host, w, &i);
            continue;
        }
        word_state(w);
        if (!exec_insn(&start.v, &i))
            fail_msg("%s is illegal", w->text);
        check_word("exec", w, &start);
    }
    if (host)
        backend_close(&tr);
}

static void words_by_exec(void **state) { (void)state, words_on(NULL); }
static void words_by_ir(void **state) { (void)state, words_on(&host_ir); }
static void words_by_jit(void **state) { (void)state, words_on(host_jit); }

static void ir_alone(void **state) { (void)state, each_alone(&host_ir); }
static void ir_blocks(void **state) { (void)state, random_blocks(&host_ir); }
static void jit_alone(void **state) { (void)state, each_alone(host_jit); }
static void jit_blocks(void **state) { (void)state, random_blocks(host_jit); }

static int setup(void **state)
{
    const char *s = getenv("GUISE_FP_SEED");
    struct err e = {0};

    (void)state;
    if (!isa_config_parse(&cfg, "max", &e))
        return -1;
    first_seed = s ? strtoull(s, NULL, 0) : 0;
    if (!first_seed)
        first_seed = 20260103;
    rng.state = first_seed;
    for (unsigned op = 0; op < INSN_COUNT; op++)
        if (insn_flags[op] & INSN_FP)
            fp_insns[fp_insn_count++] = (uint16_t)op;
    map_page(&got_ctx, got_page);
    map_page(&want_ctx, want_page);
    return fp_insn_count ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    isa_config_fini(&cfg);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest ir_tests[] = {
        cmocka_unit_test(words_by_exec),
        cmocka_unit_test(words_by_ir),
        cmocka_unit_test(ir_alone),
        cmocka_unit_test(ir_blocks),
    };
    static const struct CMUnitTest all_tests[] = {
        cmocka_unit_test(words_by_exec), cmocka_unit_test(words_by_ir),  cmocka_unit_test(ir_alone),
        cmocka_unit_test(ir_blocks),     cmocka_unit_test(words_by_jit), cmocka_unit_test(jit_alone),
        cmocka_unit_test(jit_blocks),
    };

    if (!host_jit) /* a host that has the IR interpreter only */
        return cmocka_run_group_tests(ir_tests, setup, teardown);
    return cmocka_run_group_tests(all_tests, setup, teardown);
}
