/*
 * The x86-64 back end against the IR interpreter: random blocks of integer operations, memory accesses, atomics and exits
 * over registers with and without homes must leave the same registers, memory, pc, instruction count and fault. And what
 * only generated code has: links, the jump cache, page ids, polls.
 * GUISE_JIT_BLOCKS sets the number of random blocks, GUISE_JIT_SEED what they hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/err.h"
#include "cpu/riscv/zk.h"
#include "cpu/vcpu.h"
#include "tests/unit/backend.h"
#include "tests/unit/check.h"
#include "translator/cache.h"
#include "translator/helper.h"
#include "translator/host_x86_64/emit.h"
#include "translator/state.h"

enum { PC = 0x40001000, MEM = 0x10000, MEM_PAGES = 3, MAX_INSNS = 24, LIVE = 8 };

static const uint8_t hot_r[] = {2, 10, 11, 12, 13, 14, 15, 8, 9, 1};
static const uint8_t regs[] = {1, 2, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 28}; /* ten with homes, four without */

static uint8_t ram[(MEM_PAGES + 1) * PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t seed = UINT64_C(0x1234567890abcdef);

static uint64_t rnd(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(unsigned n) { return (unsigned)(rnd() >> 33) % n; }

static uint64_t edge(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0x8000,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     UINT64_C(0x100000000),
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     ~UINT64_C(0),
                                     ~UINT64_C(1),
                                     UINT64_C(0xffffffff80000000),
                                     UINT64_C(0xffffffff7fffffff)};
    uint64_t r = rnd();

    switch (below(3)) {
    case 0: return edges[r % ARRAY_LEN(edges)];
    case 1: return (uint64_t)(int64_t)(int16_t)r;
    default: return r;
    }
}

/* --- a guest with four pages of memory, of which the last is not there --- */

static bool reachable(struct vcpu *v, gva va, unsigned size)
{
    if (va >= MEM && va < MEM + MEM_PAGES * PAGE_SIZE && va + size <= MEM + MEM_PAGES * PAGE_SIZE)
        return true;
    v->fault = 1;
    v->trap = (struct vcpu_trap){.cause = 13, .tval = va};
    return false;
}

static void fill(struct vcpu *v, gva va)
{
    gva page = va & PAGE_MASK;
    struct tlb_entry e = {page, (uint64_t)(uintptr_t)ram - MEM};

    if (va & 1) /* some accesses stay slow */
        return;
    v->ctx->rd[TLB_INDEX(va)] = e;
    if (va & 2)
        v->ctx->wr[TLB_INDEX(va)] = e;
}

static bool toy_load(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    if (!reachable(v, va, size))
        return false;
    *val = 0;
    memcpy(val, ram + (va - MEM), size);
    fill(v, va);
    return true;
}

static bool toy_store(struct vcpu *v, gva va, unsigned size, uint64_t val)
{
    if (!reachable(v, va, size))
        return false;
    memcpy(ram + (va - MEM), &val, size);
    fill(v, va);
    return true;
}

static void *toy_amo_host(struct vcpu *v, gva va, unsigned size)
{
    if (va & (size - 1)) {
        v->fault = 1;
        v->trap = (struct vcpu_trap){.cause = 6, .tval = va};
        return NULL;
    }
    if (!reachable(v, va, size))
        return NULL;
    fill(v, va);
    return ram + (va - MEM);
}

static bool toy_lr(struct vcpu *v, gva va, unsigned size, uint64_t *val)
{
    void *p = toy_amo_host(v, va, size);

    if (!p)
        return false;
    *val = size == 8 ? ld64(p) : (uint64_t)(int32_t)ld32(p);
    v->res_addr = va;
    v->res_val = *val;
    return true;
}

static bool toy_sc(struct vcpu *v, gva va, unsigned size, uint64_t val, uint64_t *fail)
{
    uint8_t *p = toy_amo_host(v, va, size);
    uint64_t old;

    if (!p)
        return false;
    old = size == 8 ? ld64(p) : (uint64_t)(int32_t)ld32(p);
    *fail = v->res_addr != va || old != (size == 8 ? v->res_val : (uint64_t)(int32_t)v->res_val);
    v->res_addr = UINT64_MAX;
    if (!*fail)
        memcpy(p, &val, size);
    return true;
}

/* An instruction of the toy guest: adds to a register; 0xff faults. */
struct toy_insn {
    uint8_t rd, rs;
    uint16_t add;
};

static bool toy_exec(struct vcpu *v, const void *insn)
{
    const struct toy_insn *i = insn;

    if (i->rd == 0xff) {
        v->fault = 1;
        v->trap = (struct vcpu_trap){.cause = 2, .tval = v->icount};
        return false;
    }
    v->r[i->rd] = v->r[i->rs] + i->add + v->pc;
    return true;
}

static const struct isa_ops isa = {
    .name = "toy",
    .insn_size = sizeof(struct toy_insn),
    .hot_r = hot_r,
    .hot_r_count = ARRAY_LEN(hot_r),
    .load = toy_load,
    .store = toy_store,
    .amo_host = toy_amo_host,
    .lr = toy_lr,
    .sc = toy_sc,
    .exec = toy_exec,
};

/* --- blocks --- */

static struct toy_insn insns[MAX_INSNS];
static struct tlb_ctx *ctx;
static struct vcpu start, got, want;
static struct jump_entry jumps[JC_SIZE];
static struct translator tr, tr_ir;
static struct ir ir;
static uint8_t ram_start[sizeof ram], ram_want[sizeof ram];

struct gen {
    ir_val live[LIVE]; /* values of this block, old and new */
    unsigned n;
};

static ir_val remember(struct gen *g, ir_val v)
{
    g->live[g->n < LIVE ? g->n++ : below(LIVE)] = v;
    return v;
}

static unsigned any_reg(void) { return regs[below(ARRAY_LEN(regs))]; }
static ir_val emit(enum ir_op op, unsigned sub, ir_val a, ir_val b, ir_val c, int64_t imm)
{
    return ir_emit(&ir, op, sub, a, b, c, imm);
}

static ir_val operand(struct gen *g)
{
    unsigned kind = below(8);

    if (kind == 0)
        return ir_const(&ir, (int64_t)edge());
    if (kind <= 2 && g->n)
        return g->live[below(g->n)];
    return emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, any_reg());
}

static void set(ir_val v) { emit(IR_setr, 0, v, IR_NONE, IR_NONE, any_reg()); }

/* An address in the guest's memory: x2 and x5 point there, mostly. */
static ir_val address(int64_t *off)
{
    static const int near[] = {0, 0, 8, 16, 24, 32, -8, 4, 2, 1, 3, 64, 2040, -2048, 2047};

    *off = near[below(ARRAY_LEN(near))];
    return emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, below(3) ? 2 : below(2) ? 5 : 10);
}

static void one_op(struct gen *g)
{
    enum ir_op op = IR_add + below(IR_orcb - IR_add + 1);
    const char *args = ir_ops[op].args;
    ir_val a = operand(g), b = args[1] == 'V' ? operand(g) : (ir_val)IR_NONE, v;

    v = emit(op, 0, a, b, IR_NONE, 0);
    if (below(4))
        set(v);
    if (below(3) == 0)
        remember(g, v);
    if (below(16) == 0)
        set(v);
}

static void one_access(struct gen *g)
{
    int64_t off;
    ir_val at = address(&off), v;

    switch (below(10)) {
    default: v = emit(IR_ld, below(IR_64 + 1), at, IR_NONE, IR_NONE, off); break;
    case 0:
    case 1:
    case 2:
    case 3: emit(IR_st, (unsigned[]){IR_8U, IR_16U, IR_32U, IR_64}[below(4)], at, operand(g), IR_NONE, off); return;
    case 4: v = emit(IR_amo, below(2) ? IR_32S : IR_64, at, operand(g), IR_NONE, below(AMO_MAXU + 1)); break;
    case 5: v = emit(IR_lr, below(2) ? IR_32S : IR_64, at, IR_NONE, IR_NONE, 0); break;
    case 6: v = emit(IR_sc, below(2) ? IR_32S : IR_64, at, operand(g), IR_NONE, 0); break;
    }
    if (below(8))
        set(v);
    if (below(4) == 0)
        remember(g, v);
}

static ir_val carryless_or_aes(ir_val a, ir_val b)
{
    static const struct {
        enum helper h;
        uint64_t (*fn)(uint64_t, uint64_t);
    } calls[] = {
        {HELPER_clmul, NULL},          {HELPER_clmulh, NULL},         {HELPER_clmulr, NULL},
        {HELPER_aes_es, zk_aes64es},   {HELPER_aes_esm, zk_aes64esm}, {HELPER_aes_ds, zk_aes64ds},
        {HELPER_aes_dsm, zk_aes64dsm}, {HELPER_aes_im, zk_aes64im},   {HELPER_apply, zk_aes64es},
    };
    unsigned k = below(ARRAY_LEN(calls));
    ir_val f = calls[k].fn ? ir_const(&ir, (int64_t)(intptr_t)calls[k].fn) : IR_NONE;

    return emit(IR_call, 0, a, b, f, calls[k].h);
}

static void one_insn(struct gen *g, unsigned n)
{
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC + 4 * n);
    switch (below(16)) {
    default: one_op(g); break;
    case 0: {
        ir_val v = emit(IR_setcc, below(6), operand(g), operand(g), IR_NONE, 0);

        set(v);
        remember(g, v);
        break;
    }
    case 1: {
        ir_val a = operand(g), b = operand(g), c = operand(g);

        set(remember(g, emit(IR_sel, 0, a, b, c, 0)));
        break;
    }
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7: one_access(g); break;
    case 8: {
        ir_val a = operand(g), b = operand(g);

        emit(IR_brcond, below(6), a, b, IR_NONE, PC - 64 + 4 * below(64));
        break;
    }
    case 9:
        insns[n] = (struct toy_insn){(uint8_t)(below(8) ? any_reg() : 0xff), (uint8_t)any_reg(), (uint16_t)rnd()};
        emit(IR_exec, 0, IR_NONE, IR_NONE, IR_NONE, (int64_t)(intptr_t)&insns[n]);
        break;
    case 10: {
        ir_val a = operand(g), b = operand(g);

        set(remember(g, carryless_or_aes(a, b)));
        break;
    }
    case 11:
        emit(IR_fence, 0, IR_NONE, IR_NONE, IR_NONE, below(2));
        set(ir_const(&ir, (int64_t)edge()));
        break;
    }
}

static void random_block(unsigned count)
{
    struct gen g = {.n = 0};

    ir_reset(&ir);
    for (unsigned n = 0; n < count; n++)
        one_insn(&g, n);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC + 4 * count);
    unsigned end = below(4);

    if (end == 0) {
        ir_val a = operand(&g), b = operand(&g);

        emit(IR_brcond, below(6), a, b, IR_NONE, PC - 64 + 4 * below(64));
    }
    switch (end) {
    case 0:
    case 1: emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, PC - 64 + 4 * below(64)); break;
    case 2: { /* guest code is never at an odd address */
        ir_val to = emit(IR_and, 0, operand(&g), ir_const(&ir, ~1), IR_NONE, 0);

        emit(IR_jumpr, 0, to, IR_NONE, IR_NONE, 0);
        break;
    }
    default:
        insns[0] = (struct toy_insn){1, 2, 3};
        emit(IR_exec, 0, IR_NONE, IR_NONE, IR_NONE, (int64_t)(intptr_t)&insns[0]);
        emit(IR_leave, 0, IR_NONE, IR_NONE, IR_NONE, 0);
    }
}

static struct tb *compile(struct translator *t, gva pc, uint32_t code_id)
{
    struct guest_block b = {.pc = pc, .phys = pc, .phys2 = (gpa)-1, .count = MAX_INSNS, .bytes = 64, .insns = insns};
    struct tb *tb = tb_new(&isa, &b);

    assert_non_null(tb);
    tb->code_id = code_id;
    backend_compile(t, tb, &ir);
    return tb;
}

static void clear_ctx(void)
{
    memset(ctx, 0, sizeof *ctx);
    for (unsigned i = 0; i < TLB_SIZE; i++)
        ctx->rd[i].tag = ctx->wr[i].tag = TLB_NONE;
    for (unsigned i = 0; i < JC_SIZE; i++)
        jumps[i].pc = TLB_NONE;
}

static void new_memory(void)
{
    for (unsigned i = 0; i < sizeof ram_start; i++)
        ram_start[i] = (uint8_t)(i * 37 + seed);
}

static void new_state(void)
{
    memset(&start, 0, sizeof start);
    start.isa = &isa;
    start.ctx = ctx;
    start.jc = jumps;
    start.pc = PC;
    start.icount = rnd() & 0xffff;
    start.res_addr = UINT64_MAX;
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        start.r[regs[i]] = edge();
    for (unsigned i = 0; i < 3; i++) {
        unsigned r = (unsigned[]){2, 5, 10}[i];

        if (below(8))
            start.r[r] = MEM + below(MEM_PAGES * PAGE_SIZE + 64);
        if (below(2))
            start.r[r] &= ~UINT64_C(7);
    }
    start.res_addr = below(2) ? start.r[2] : UINT64_MAX;
    start.res_val = below(2) && start.res_addr >= MEM && start.res_addr < MEM + MEM_PAGES * PAGE_SIZE
                        ? ld64(ram_start + (start.res_addr - MEM))
                        : 0;
}

static struct tb_exit run_on(struct translator *t, struct tb *tb, struct vcpu *v)
{
    *v = start;
    memcpy(ram, ram_start, sizeof ram);
    return t->host->run(v, tb);
}

static bool same(void)
{
    return !memcmp(got.r, want.r, sizeof got.r) && got.pc == want.pc && got.icount == want.icount &&
           got.fault == want.fault && (!got.fault || !memcmp(&got.trap, &want.trap, sizeof got.trap)) &&
           got.res_addr == want.res_addr && !memcmp(ram, ram_want, sizeof ram);
}

static void print_difference(void)
{
    ir_print(&ir, stdout);
    for (unsigned i = 0; i < 32; i++)
        if (got.r[i] != want.r[i])
            printf("# r%u %016" PRIx64 " -> %016" PRIx64 ", want %016" PRIx64 "\n", i, start.r[i], got.r[i], want.r[i]);
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        printf("# start r%u %016" PRIx64 "\n", regs[i], start.r[regs[i]]);
    printf("# pc %" PRIx64 " want %" PRIx64 ", icount %" PRIu64 " want %" PRIu64 ", fault %u want %u\n", got.pc,
           want.pc, got.icount - start.icount, want.icount - start.icount, got.fault, want.fault);
    if (got.fault)
        printf("# trap %" PRIx64 " at %" PRIx64 ", want %" PRIx64 " at %" PRIx64 "\n", got.trap.cause, got.trap.tval,
               want.trap.cause, want.trap.tval);
    for (unsigned i = 0; i < sizeof ram; i++)
        if (ram[i] != ram_want[i])
            printf("# memory %x: %02x want %02x\n", MEM + i, ram[i], ram_want[i]);
}

/* The instructions of every x86-64 only. */
static void forget_features(struct translator *t)
{
    struct host_state *h = t->host_state;

    h->avx = h->bmi1 = h->bmi2 = h->lzcnt = h->popcnt = h->fma = h->clmul = h->aes = false;
}

static void compare_random_blocks(bool plain)
{
    const char *s = getenv("GUISE_JIT_BLOCKS"), *first = getenv("GUISE_JIT_SEED");
    unsigned blocks = s ? (unsigned)strtoul(s, NULL, 0) : 4000;

    if (first)
        seed = strtoull(first, NULL, 0);
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    if (plain)
        forget_features(&tr);
    CHECK(backend_open(&tr_ir, &host_ir, &isa));
    while (blocks--) {
        uint64_t block_seed = seed;
        struct tb *a, *b;

        random_block(1 + below(MAX_INSNS - 2));
        new_memory();
        a = compile(&tr, PC, 0);
        b = compile(&tr_ir, PC, 0);
        for (unsigned k = 0; k < 12; k++) {
            struct tb_exit xa, xb;

            new_state();
            if (k % 4 == 0)
                clear_ctx();
            xb = run_on(&tr_ir, b, &want);
            memcpy(ram_want, ram, sizeof ram);
            xa = run_on(&tr, a, &got);
            if (!same()) {
                print_difference();
                fail_msg("differs from the IR interpreter, GUISE_JIT_SEED=0x%" PRIx64, block_seed);
            }
            CHECK_EQ(xa.kind, xb.kind);
            if (xa.kind == TB_EXIT_LINK)
                CHECK_EQ(xa.tb->link[xa.index].target, got.pc);
        }
        backend_drop(&tr, a);
        backend_drop(&tr_ir, b);
    }
    backend_close(&tr);
    backend_close(&tr_ir);
}

static void random_blocks_do_what_the_ir_interpreter_does(void **state)
{
    (void)state;
    compare_random_blocks(false);
}

static void so_do_they_on_the_oldest_x86_64(void **state)
{
    (void)state;
    compare_random_blocks(true);
}

/* Every pure operation on every pair of edge values, operands and result in homes and in memory. */
static void compare_operations(bool plain)
{
    static const unsigned places[][3] = {{10, 11, 12}, {10, 10, 11}, {10, 11, 10}, {10, 10, 10}, {5, 6, 7},
                                         {5, 10, 6},   {10, 5, 6},   {5, 5, 10},   {5, 6, 5}};

    CHECK(backend_open(&tr, &host_x86_64, &isa));
    if (plain)
        forget_features(&tr);
    clear_ctx();
    for (unsigned op = IR_add; op <= IR_orcb; op++)
        for (unsigned p = 0; p < ARRAY_LEN(places); p++) {
            const unsigned *r = places[p];
            struct tb *tb;
            ir_val a, b;

            ir_reset(&ir);
            emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC);
            a = emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, r[1]);
            b = ir_ops[op].args[1] == 'V' ? emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, r[2]) : (ir_val)IR_NONE;
            a = emit(op, 0, a, b, IR_NONE, 0);
            emit(IR_setr, 0, a, IR_NONE, IR_NONE, r[0]);
            emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, PC + 4);
            tb = compile(&tr, PC, 0);
            for (unsigned k = 0; k < 200; k++) {
                uint64_t x, y, z;

                new_state();
                x = start.r[r[1]] = edge();
                y = start.r[r[2]] = edge();
                x = start.r[r[1]];
                z = ir_eval(op, x, y, 0);
                run_on(&tr, tb, &got);
                if (got.r[r[0]] != z)
                    fail_msg("%s(%016" PRIx64 ", %016" PRIx64 ") is %016" PRIx64 ", expected %016" PRIx64
                             " (r%u r%u r%u)",
                             ir_ops[op].name, x, y, got.r[r[0]], z, r[0], r[1], r[2]);
                CHECK_EQ(got.icount, start.icount + 1);
            }
            backend_drop(&tr, tb);
        }
    backend_close(&tr);
}

static void operations_give_what_plain_c_gives(void **state)
{
    (void)state;
    compare_operations(false);
    compare_operations(true);
}

/* --- links, page ids, polls --- */

static struct tb *block_to(gva pc, gva target, uint32_t id)
{
    ir_reset(&ir);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, (int64_t)pc);
    emit(IR_setr, 0, ir_addi(&ir, emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, 10), 1), IR_NONE, IR_NONE, 10);
    emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, (int64_t)target);
    return compile(&tr, pc, id);
}

static void linked_exits_run_on_until_unlinked(void **state)
{
    struct tb *a, *b;
    struct tb_exit x;

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    a = block_to(PC, PC + 8, 7);
    b = block_to(PC + 8, PC + 16, 7);
    start.r[10] = 100;
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK(x.tb == a && x.index == 0);
    CHECK_EQ(got.pc, PC + 8);
    host_x86_64.link(&tr, a, 0, b, true);
    x = run_on(&tr, a, &got);
    CHECK(x.tb == b);
    CHECK_EQ(got.r[10], 102);
    CHECK_EQ(got.icount, start.icount + 2);
    CHECK_EQ(got.pc, PC + 16);
    host_x86_64.unlink(&tr, a, 0);
    x = run_on(&tr, a, &got);
    CHECK(x.tb == a);
    CHECK_EQ(got.r[10], 101);
    backend_drop(&tr, b);
    backend_drop(&tr, a);
    backend_close(&tr);
}

static void links_to_other_pages_check_the_page_id(void **state)
{
    struct tb *a, *b;
    struct tb_exit x;

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    a = block_to(PC, PC + PAGE_SIZE, 7);
    b = block_to(PC + PAGE_SIZE, PC + PAGE_SIZE + 8, 8);
    host_x86_64.link(&tr, a, 0, b, false);
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LOOKUP);
    CHECK_EQ(got.pc, PC + PAGE_SIZE);
    CHECK_EQ(got.r[10], start.r[10] + 1);
    ctx->code_id[CODE_SLOT(PC + PAGE_SIZE)] = 8;
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK_EQ(got.r[10], start.r[10] + 2);
    backend_drop(&tr, b);
    backend_drop(&tr, a);
    backend_close(&tr);
}

static void a_straddling_block_checks_its_second_page(void **state)
{
    struct guest_block g = {.pc = PC + 4094, .phys = 4094, .phys2 = 0x9000, .count = 1, .bytes = 4, .insns = insns};
    struct tb *tb = tb_new(&isa, &g);

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    ir_reset(&ir);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC + 4094);
    emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, PC + 4098);
    tb->code_id = 3;
    tb->code_id2 = 4;
    CHECK(tb_room_for_links(tb, &ir));
    CHECK_EQ(host_x86_64.compile(&tr, tb, &ir), TB_COMPILED);
    CHECK_EQ(run_on(&tr, tb, &got).kind, TB_EXIT_LOOKUP);
    CHECK_EQ(got.pc, PC + 4094);
    CHECK_EQ(got.icount, start.icount);
    ctx->code_id[CODE_SLOT(PC + PAGE_SIZE)] = 4;
    CHECK_EQ(run_on(&tr, tb, &got).kind, TB_EXIT_LINK);
    CHECK_EQ(got.pc, PC + 4098);
    backend_drop(&tr, tb);
    backend_close(&tr);
}

/* r1 = its address, then to the next page. */
static void position_independent_code_runs_where_it_is_mapped(void **state)
{
    struct guest_block g = {
        .pc = PC + 8, .phys = 8, .phys2 = (gpa)-1, .mode = TB_PIC, .count = 1, .bytes = 4, .insns = insns};
    struct tb *a = NULL, *b = NULL;
    struct tb_exit x;

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    for (unsigned n = 0; n < 2; n++) {
        struct tb *tb = tb_new(&isa, &g);

        ir_reset(&ir);
        emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, 8);
        emit(IR_setr, 0, emit(IR_page, 0, IR_NONE, IR_NONE, IR_NONE, 8), IR_NONE, IR_NONE, 1);
        emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, PAGE_SIZE + 8);
        tb->code_id = 3 + n;
        backend_compile(&tr, tb, &ir);
        *(n ? &b : &a) = tb;
    }
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK_EQ(got.r[1], (PC & PAGE_MASK) + 8);
    CHECK_EQ(got.pc, (PC & PAGE_MASK) + PAGE_SIZE + 8);
    start.pc = 0x2345678000 + 8;
    x = run_on(&tr, a, &got);
    CHECK_EQ(got.r[1], 0x2345678008);
    CHECK_EQ(got.pc, 0x2345679008);
    host_x86_64.link(&tr, a, 0, b, false);
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LOOKUP);
    CHECK_EQ(got.pc, 0x2345679008);
    tlb_set_code_at(ctx, 0x2345679000, 4);
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK(x.tb == b);
    CHECK_EQ(got.r[1], 0x2345679008);
    CHECK_EQ(got.pc, 0x234567a008);
    CHECK_EQ(got.icount, start.icount + 2);
    start.pc = PC + 8; /* mapped here too, but the next page is not known to be b's */
    CHECK_EQ(run_on(&tr, a, &got).kind, TB_EXIT_LOOKUP);
    backend_drop(&tr, b);
    backend_drop(&tr, a);
    backend_close(&tr);
}

static void indirect_jumps_use_the_jump_cache(void **state)
{
    struct tb *a, *b;
    struct tb_exit x;

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    ir_reset(&ir);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC);
    emit(IR_jumpr, 0, emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, 1), IR_NONE, IR_NONE, 0);
    a = compile(&tr, PC, 7);
    b = block_to(PC + 0x7654, PC + 0x7660, 9);
    start.r[1] = PC + 0x7654;
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LOOKUP);
    CHECK_EQ(got.pc, PC + 0x7654);
    CHECK_EQ(got.icount, start.icount + 1);
    ctx->code_id[CODE_SLOT(b->pc)] = 9;
    jumps[JC_INDEX(b->pc)] = (struct jump_entry){b->pc, b->entry_checked};
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_LINK);
    CHECK(x.tb == b);
    start.r[1] += JC_SIZE * 2; /* same slot, other pc */
    CHECK_EQ(run_on(&tr, a, &got).kind, TB_EXIT_LOOKUP);
    backend_drop(&tr, b);
    backend_drop(&tr, a);
    backend_close(&tr);
}

static void a_loop_leaves_when_attention_is_set(void **state)
{
    struct tb *a;
    struct tb_exit x;

    (void)state;
    CHECK(backend_open(&tr, &host_x86_64, &isa));
    clear_ctx();
    new_state();
    a = block_to(PC, PC, 7); /* to itself */
    host_x86_64.link(&tr, a, 0, a, true);
    atomic_store(&start.attention, ATT_IRQ);
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_ATTENTION);
    CHECK_EQ(got.pc, PC);
    CHECK_EQ(got.icount, start.icount + 1);
    backend_drop(&tr, a);

    /* A conditional branch backwards: nothing of it is counted when it is put off. */
    ir_reset(&ir);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC);
    emit(IR_setr, 0, ir_const(&ir, 5), IR_NONE, IR_NONE, 10);
    emit(IR_insn, 4, IR_NONE, IR_NONE, IR_NONE, PC + 4);
    emit(IR_brcond, IR_EQ, emit(IR_getr, 0, IR_NONE, IR_NONE, IR_NONE, 10), ir_const(&ir, 5), IR_NONE, PC);
    emit(IR_jump, 0, IR_NONE, IR_NONE, IR_NONE, PC + 8);
    a = compile(&tr, PC, 7);
    x = run_on(&tr, a, &got);
    CHECK_EQ(x.kind, TB_EXIT_ATTENTION);
    CHECK_EQ(got.r[10], 5);
    CHECK(got.pc == PC + 4 ? got.icount == start.icount + 1 : got.pc == PC && got.icount == start.icount + 2);
    backend_drop(&tr, a);
    backend_close(&tr);
}

static int make_ctx(void **state)
{
    (void)state;
    ctx = aligned_alloc(64, (sizeof *ctx + 63) & ~(size_t)63);
    return ctx ? 0 : -1;
}

static int drop_ctx(void **state)
{
    (void)state;
    free(ctx);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_give_what_plain_c_gives),
        cmocka_unit_test(random_blocks_do_what_the_ir_interpreter_does),
        cmocka_unit_test(so_do_they_on_the_oldest_x86_64),
        cmocka_unit_test(linked_exits_run_on_until_unlinked),
        cmocka_unit_test(links_to_other_pages_check_the_page_id),
        cmocka_unit_test(a_straddling_block_checks_its_second_page),
        cmocka_unit_test(position_independent_code_runs_where_it_is_mapped),
        cmocka_unit_test(indirect_jumps_use_the_jump_cache),
        cmocka_unit_test(a_loop_leaves_when_attention_is_set),
    };

    return cmocka_run_group_tests(tests, make_ctx, drop_ctx);
}
