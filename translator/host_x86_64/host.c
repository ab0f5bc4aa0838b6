/* The x86-64 back end: features, compile, run, link. The scheme is told in emit.h. */
#if defined(__x86_64__) /* the emitters are portable C; only this file asks the host what it is */

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "translator/host_x86_64/emit.h"
#include "translator/state.h"

enum { BYTES_PER_OP = 40, BYTES_PER_BLOCK = 1024 };

/* rbx needs no REX prefix for 32-bit operations; r12 and r13 need an extra byte as a base, so they come last. */
static const uint8_t home_order[HOMES] = {RBX, RSI, RDI, R8, R9, R10, R11, R14, R13, R12};

static void assign_homes(struct host_state *h, const struct isa_ops *isa)
{
    memset(h->home, NO_REG, sizeof h->home);
    memset(h->fhome, NO_REG, sizeof h->fhome);
    for (unsigned i = 0; i < isa->hot_r_count && i < HOMES; i++)
        h->home[isa->hot_r[i]] = home_order[i];
    for (unsigned i = 0; i < isa->hot_f_count && i < FHOMES; i++)
        h->fhome[isa->hot_f[i]] = (uint8_t)(FIRST_FHOME + i);
}

/* The operating system must save ymm state too, else VEX forms fault. */
static bool os_saves_avx(void)
{
    uint32_t lo, hi;

    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}

static void find_features(struct host_state *h)
{
    unsigned a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        h->popcnt = c >> 23 & 1;
        h->clmul = (c >> 19 & 1) && (c >> 1 & 1);
        h->aes = (c >> 19 & 1) && (c >> 25 & 1);
        h->avx = (c >> 28 & 1) && (c >> 27 & 1) && os_saves_avx();
        h->fma = h->avx && (c >> 12 & 1);
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        h->bmi1 = h->avx && (b >> 3 & 1); /* VEX encoded */
        h->bmi2 = h->avx && (b >> 8 & 1);
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        h->lzcnt = c >> 5 & 1;
}

/* The translator's lock is held around compile: one work area is enough. */
struct back_end {
    struct host_state h;
    struct emit e;
};

static bool init(struct translator *t, struct err *e)
{
    struct back_end *b = calloc(1, sizeof *b);
    struct host_state *h = &b->h;
    struct asm_buf a;

    if (!b) {
        err_set(e, "out of memory for the code generator");
        return false;
    }
    h->isa = t->isa;
    assign_homes(h, t->isa);
    find_features(h);
    a = (struct asm_buf){.p = cache_rw(t->cache, 0), .end = cache_rw(t->cache, 0) + CACHE_STUBS};
    a.rx = cache_rx(t->cache, 0) - cache_rw(t->cache, 0);
    if (!stubs_emit(h, &a)) {
        err_set(e, "the code generator's common code does not fit its %d bytes", (int)CACHE_STUBS);
        free(b);
        return false;
    }
    t->host_state = b;
    return true;
}

static void fini(struct translator *t)
{
    free(t->host_state);
    t->host_state = NULL;
}

static void emit_op(struct emit *e, const struct ir_insn *in)
{
    const struct ir_op_info *o = &ir_ops[in->op];

    if (e->val[e->i].dead || (o->result != '-' && !(o->flags & IR_SIDE) && !e->val[e->i].uses))
        return;
    if (in->op == IR_getr)
        read_guest(e, (unsigned)in->imm);
    else if (!emit_flow(e, in) && !emit_alu(e, in) && !emit_mem(e, in) && !emit_fp(e, in) && !emit_fcvt(e, in) &&
             !emit_mul(e, in) && !emit_atomic(e, in))
        e->failed = true;
    end_op(e);
}

static bool room_left(const struct emit *e) { return e->a.end - e->a.p >= ROOM_PER_OP; }

/* Leave to the loop, which fetches pc through the MMU and sets the page ids. */
static void cold_wrong_page(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    put_pc(e, RDX, e->tb->pc);
    asm_jmp(&e->a, e->h->exit_lookup);
}

/* Likewise, with the pc in rdx. */
static void cold_wrong_page_rdx(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    asm_jmp(&e->a, e->h->exit_lookup);
}

static void check_page(struct emit *e, uint8_t **from, gva va, uint32_t id)
{
    asm_op_tail(&e->a, 0x81, ALU_CMP, rm_mem(R15, offsetof(struct tlb_ctx, code_id) + 4 * CODE_SLOT(va)), 4);
    asm_32(&e->a, id);
    *from = asm_jcc_fwd(&e->a, CC_NE);
}

/* Whether code page id is at the gva in r. */
static void check_code_at(struct emit *e, struct cold *c, unsigned r, uint32_t id)
{
    int at = (int)(offsetof(struct tlb_ctx, code_at) + sizeof(struct code_at) * CODE_ENTRY(id));

    asm_alu(&e->a, OP_W, ALU_CMP, r, rm_mem(R15, at + (int)offsetof(struct code_at, va)));
    c->from = asm_jcc_fwd(&e->a, CC_NE);
    asm_op_tail(&e->a, 0x81, ALU_CMP, rm_mem(R15, at + (int)offsetof(struct code_at, id)), 4);
    asm_32(&e->a, id);
    c->more[0] = asm_jcc_fwd(&e->a, CC_NE);
}

/* entry_checked of a position-independent block: rdx is its address. */
static void enter_pic(struct emit *e)
{
    struct tb *tb = e->tb;

    tb->entry_checked = asm_here(&e->a);
    asm_lea(&e->a, RAX, rm_mem(RDX, -(int64_t)tb->pc));
    check_code_at(e, cold_new(e, cold_wrong_page_rdx), RAX, tb->code_id);
    asm_store(&e->a, V_MEM(pc_page), RAX);
    tb->entry = asm_here(&e->a);
    if (!tb->code_id2)
        return;
    put_pc(e, RAX, PAGE_SIZE);
    check_code_at(e, cold_new(e, cold_wrong_page), RAX, tb->code_id2);
}

static void enter_at(struct emit *e)
{
    struct cold *c = cold_new(e, cold_wrong_page);
    struct tb *tb = e->tb;

    tb->entry_checked = asm_here(&e->a);
    check_page(e, &c->from, tb->pc, tb->code_id);
    tb->entry = asm_here(&e->a);
    if (tb->code_id2)
        check_page(e, &c->more[0], tb->pc + PAGE_SIZE, tb->code_id2);
}

static void emit_main(struct emit *e)
{
    if (e->pic)
        enter_pic(e);
    else
        enter_at(e);
    for (e->i = 0; e->i < e->count && !e->failed; e->i++) {
        if (room_left(e))
            emit_op(e, &e->ir[e->i]);
        else
            e->failed = true;
    }
    emit_tail(e);
}

static void emit_cold(struct emit *e)
{
    for (unsigned k = 0; k < e->ncold && !e->failed; k++) { /* cold parts may add cold parts */
        if (room_left(e))
            e->cold[k].fn(e, &e->cold[k]);
        else
            e->failed = true;
    }
}

static bool try_compile(struct translator *t, struct emit *e, const struct ir *ir, uint32_t off, uint32_t room)
{
    uint8_t *start = cache_rw(t->cache, off);
    struct tb *tb = e->tb;

    e->a = (struct asm_buf){.p = start, .end = start + room, .rx = cache_rx(t->cache, off) - start};
    e->ir = ir->insn;
    e->count = ir->count;
    e->failed = e->fp_on = false;
    e->pic = tb->mode & TB_PIC;
    e->fboxed = 0;
    e->pc = tb->pc;
    e->len = e->done = e->ncold = e->nexits = 0;
    prepare(e);
    emit_main(e);
    emit_cold(e);
    if (e->failed || e->a.end - e->a.p < TB_LINKS * 8)
        return false;
    emit_exits(e, cache_rw(t->cache, 0));
    tb->code_offset = off;
    tb->code_size = (uint32_t)(e->a.p - start);
    cache_commit(t->cache, off, tb->code_size, tb);
    return true;
}

/* The usual room first; what does not fit gets all that a block can ever have. */
static enum tb_compiled compile(struct translator *t, struct tb *tb, const struct ir *ir)
{
    uint32_t off, room, want = BYTES_PER_BLOCK + ir->count * BYTES_PER_OP, all = cache_largest(t->cache);
    struct back_end *b = t->host_state;
    struct emit *e = &b->e;

    e->h = &b->h;
    e->tb = tb;
    if (want > all)
        return TB_TOO_BIG;
    if (!cache_reserve(t->cache, want, &off, &room))
        return TB_NO_SPACE;
    if (try_compile(t, e, ir, off, room))
        return TB_COMPILED;
    if (room == all)
        return TB_TOO_BIG;
    if (!cache_reserve(t->cache, all, &off, &room))
        return TB_NO_SPACE;
    return try_compile(t, e, ir, off, room) ? TB_COMPILED : TB_TOO_BIG;
}

struct entered {
    uint64_t kind; /* LINK: and the number of exit stubs behind this one << 8 */
    struct tb *tb;
};

/*
 * behind: exits whose stubs come after this one's, see emit_exits. Another vCPU may have made the block, and generated code
 * came to it by a link it patched: what it wrote before `compiled` is read after it here.
 */
static struct tb_exit exit_by_link(struct vcpu *v, struct tb *tb, unsigned behind)
{
    unsigned index;

    (void)__atomic_load_n(&tb->compiled, __ATOMIC_ACQUIRE);
    index = tb->nlinks - 1u - behind;
    v->pc = tb->link[index].target + (tb->mode & TB_PIC ? v->pc_page : 0);
    return (struct tb_exit){.kind = TB_EXIT_LINK, .tb = tb, .index = index};
}

static struct tb_exit run(struct vcpu *v, struct tb *tb)
{
    const uint8_t *stubs = (const uint8_t *)tb->entry_checked - tb->code_offset; /* enter is the first of them */
    struct entered (*enter)(struct vcpu *, const void *);
    struct entered x;

    memcpy(&enter, &stubs, sizeof enter);
    v->pc_page = v->pc & PAGE_MASK;
    x = enter(v, tb->entry);
    if ((x.kind & 0xff) == TB_EXIT_LINK)
        return exit_by_link(v, x.tb, (unsigned)(x.kind >> 8));
    return (struct tb_exit){
        .kind = (enum tb_exit_kind)(x.kind & 0xff),
    };
}

static void patch(struct translator *t, uint32_t at, const uint8_t *to)
{
    int32_t d = (int32_t)(to - (cache_rx(t->cache, at) + 4));

    __atomic_store_n((int32_t *)(void *)cache_rw(t->cache, at), d, __ATOMIC_RELEASE);
}

static void link(struct translator *t, struct tb *from, unsigned index, struct tb *to, bool same_page)
{
    patch(t, from->link[index].patch, same_page ? to->entry : to->entry_checked);
}

static void unlink(struct translator *t, struct tb *from, unsigned index)
{
    patch(t, from->link[index].patch, cache_rx(t->cache, from->link[index].unlinked));
}

const struct host_ops host_x86_64 = {
    .name = "x86_64",
    .needs_cache = true,
    .init = init,
    .fini = fini,
    .compile = compile,
    .run = run,
    .link = link,
    .unlink = unlink,
};

#endif
