/*
 * Boundaries, exits, helper calls.
 *
 * A direct exit is `add [icount], n; jmp rel32` with the displacement on a 4-byte boundary: link patches it with one
 * store. Unlinked it leads to a stub that returns TB_EXIT_LINK. Exits that go backwards, and indirect jumps, first look
 * at v->attention: every cycle of blocks passes one of them.
 */
#include "translator/helper.h"
#include "translator/host_x86_64/emit.h"

struct cold *cold_new(struct emit *e, void (*fn)(struct emit *e, struct cold *c))
{
    if (e->ncold == MAX_COLD - 1)
        e->failed = true;
    else
        e->ncold++;

    struct cold *c = &e->cold[e->ncold - 1];

    *c = (struct cold){.fn = fn, .pc = e->pc, .done = (uint16_t)e->done};
    return c;
}

void cold_enter(struct emit *e, struct cold *c)
{
    if (c->from)
        asm_bind(&e->a, c->from);
    for (unsigned i = 0; i < 4 && c->more[i]; i++)
        asm_bind(&e->a, c->more[i]);
}

void cold_context(struct emit *e, const struct cold *c)
{
    put_pc(e, RDX, c->pc);
    asm_mov_imm(&e->a, RCX, c->done);
}

/* n: 1 to BLOCK_MAX_INSNS, or -1. */
static void retire(struct emit *e, int n)
{
    struct rm count = rm_abs(e->h->counts + 16 * (n < 0 ? 0 : n));

    if (e->h->avx)
        asm_vex(&e->a, F_PADDQ, COUNT_XMM, COUNT_XMM, count);
    else
        asm_op(&e->a, F_PADDQ, COUNT_XMM, count);
}

/* Leave at c->pc; c->a: its instruction was counted already and will be executed again. */
static void cold_attention(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    if (c->a)
        retire(e, -1);
    put_pc(e, RDX, c->pc);
    asm_jmp(&e->a, e->h->exit_attention);
}

static void poll(struct emit *e, gva pc, bool take_back)
{
    struct cold *c = cold_new(e, cold_attention);

    asm_alu_imm(&e->a, 0, ALU_CMP, V_MEM(attention), 0);
    c->from = asm_jcc_fwd(&e->a, CC_NE);
    c->pc = pc;
    c->a = take_back;
}

static void align_disp(struct emit *e, unsigned opcode_bytes)
{
    asm_nop(&e->a, -((uintptr_t)e->a.p + opcode_bytes) & 3);
}

/* The displacement at disp leads to target: an exit that can be linked, or a jump through the jump cache. */
static void exit_at(struct emit *e, uint8_t *disp, gva target);

static void cold_far_exit(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    put_pc(e, RDX, c->pc);
    asm_jmp(&e->a, e->h->jump);
}

static void exit_at(struct emit *e, uint8_t *disp, gva target)
{
    if (e->nexits < e->tb->link_room) {
        e->exits[e->nexits++] = (struct exit_stub){disp, target};
    } else {
        struct cold *c = cold_new(e, cold_far_exit);

        c->from = disp;
        c->pc = target;
    }
}

/* As distances, for addresses that count from a page may be below it. */
static bool backwards(const struct emit *e, gva target) { return (int64_t)(target - e->pc) <= 0; }

/* To where a position-independent block must say its address: entry_checked wants it. */
static bool leaves_page(const struct emit *e, gva target) { return e->pic && target & PAGE_MASK; }

static void exit_jump(struct emit *e, gva target)
{
    if (leaves_page(e, target))
        put_pc(e, RDX, target);
    align_disp(e, 1);
    exit_at(e, asm_jmp_fwd(&e->a), target);
}

static void cold_leave_page(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    exit_jump(e, c->x);
}

/* On condition cc, with everything counted. */
static void exit_if(struct emit *e, enum cc cc, gva target)
{
    if (leaves_page(e, target)) {
        struct cold *c = cold_new(e, cold_leave_page);

        c->from = asm_jcc_fwd(&e->a, cc);
        c->x = target;
    } else {
        align_disp(e, 2);
        exit_at(e, asm_jcc_fwd(&e->a, cc), target);
    }
}

static void cold_side_exit(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    retire(e, c->done);
    exit_jump(e, c->x);
}

/* Backwards in the middle of a block: most likely taken. */
static void brcond_back(struct emit *e, const struct ir_insn *in)
{
    enum cc cc = emit_compare(e, in->a, in->b, in->sub);
    uint8_t *not_taken = asm_jcc_fwd(&e->a, (enum cc)(cc ^ 1u));

    retire(e, (int)e->done + 1);
    poll(e, (gva)in->imm, false);
    exit_jump(e, (gva)in->imm);
    asm_bind(&e->a, not_taken);
}

static void brcond(struct emit *e, const struct ir_insn *in)
{
    struct cold *c;
    bool back = backwards(e, (gva)in->imm);
    const struct ir_insn *next = in + 1;
    enum cc cc;

    if (e->i + 1 < e->count &&
        next->op == IR_jump) { /* the end: count and poll once, then jump straight from the condition */
        retire(e, (int)e->done + 1);
        if (back || backwards(e, (gva)next->imm))
            poll(e, e->pc, true);
        cc = emit_compare(e, in->a, in->b, in->sub);
        exit_if(e, cc, (gva)in->imm);
        exit_jump(e, (gva)next->imm);
        e->count = e->i + 1;
        return;
    }
    if (back) {
        brcond_back(e, in);
        return;
    }
    cc = emit_compare(e, in->a, in->b, in->sub);
    c = cold_new(e, cold_side_exit);
    c->from = asm_jcc_fwd(&e->a, cc);
    c->x = (gva)in->imm;
    c->done++;
}

static void jump(struct emit *e, gva target)
{
    retire(e, (int)e->done + 1);
    if (backwards(e, target))
        poll(e, target, false);
    exit_jump(e, target);
}

/* To the pc in rdx: the jump cache; what it leads to compares the page's id first. */
static void cold_lookup(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    asm_jmp(&e->a, e->h->exit_lookup);
}

static void cold_attention_rdx(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    asm_jmp(&e->a, e->h->exit_attention);
}

static void jump_rdx(struct emit *e)
{
    struct asm_buf *a = &e->a;
    struct cold *c;

    retire(e, (int)e->done + 1);
    asm_alu_imm(a, 0, ALU_CMP, V_MEM(attention), 0);
    c = cold_new(e, cold_attention_rdx);
    c->from = asm_jcc_fwd(a, CC_NE);
    jump_entry(e->h, a);
    asm_alu(a, OP_W, ALU_CMP, RDX, rm_mem(RAX, 0));
    c = cold_new(e, cold_lookup);
    c->from = asm_jcc_fwd(a, CC_NE);
    asm_op(a, X_FF, 4, rm_mem(RAX, offsetof(struct jump_entry, code)));
}

static void exec(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;

    spill_temps(e, ~0u);
    fspill_temps(e);
    kill_all_aliases(e);
    take_all(e);
    asm_mov_imm(a, RAX, in->imm);
    put_pc(e, RDX, e->pc);
    asm_mov_imm(a, RCX, e->done | e->len << 16);
    asm_call(a, e->h->exec);
    e->fp_on = false;
    e->fboxed = 0;
}

static void call(struct emit *e, const struct ir_insn *in)
{
    struct asm_buf *a = &e->a;
    const uint16_t args[3] = {in->a, in->b, in->c};
    struct cold here = {.pc = e->pc, .done = (uint16_t)e->done};

    take_all(e);
    fspill_temps(e);
    for (unsigned k = 0; k < 3 && args[k] != IR_NONE; k++) {
        load_opnd(e, RAX, args[k]);
        asm_store(a, rm_mem(RBP, V_OFF(scratch) + (int)k * 8), RAX);
    }
    asm_mov_imm(a, RAX, (int64_t)(intptr_t)helpers[in->imm].fn);
    cold_context(e, &here);
    asm_call(a, e->h->call[in->sub]);
    e->temp[RAX] = NO_VAL;
    if (!e->val[e->i].uses)
        return;
    if (e->val[e->i].into)
        asm_mov(a, def(e, IR_NONE), RAX);
    else
        define_temp(e, RAX);
}

static void insn_boundary(struct emit *e, const struct ir_insn *in)
{
    e->done += e->len != 0;
    e->pc = (gva)in->imm;
    e->len = in->sub;
}

/*
 * The stubs of exits that are not linked, and what tb.h wants to know of them. base: offset 0 of the cache.
 * A stub is `call exit_link` and a byte, the number of stubs behind it; the block's address follows the last one.
 */
void emit_exits(struct emit *e, const uint8_t *base)
{
    struct asm_buf *a = &e->a;

    e->tb->nlinks = (uint8_t)e->nexits;
    for (unsigned i = 0; i < e->nexits; i++) {
        struct tb_link *l = &e->tb->link[i];

        l->target = e->exits[i].target;
        l->to = NULL;
        l->patch = (uint32_t)(e->exits[i].disp - base);
        l->unlinked = (uint32_t)(a->p - base);
        asm_bind(a, e->exits[i].disp);
        asm_call(a, e->h->exit_link);
        asm_8(a, e->nexits - 1 - i);
    }
    if (e->nexits)
        asm_64(a, (uint64_t)(uintptr_t)e->tb);
}

/* A block whose IR ran full has no END: it goes on at the next instruction. */
void emit_tail(struct emit *e)
{
    if (!(ir_ops[e->ir[e->count - 1].op].flags & IR_END) && e->ir[e->count - 1].op != IR_brcond)
        e->failed = true;
}

bool emit_flow(struct emit *e, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_nop:
    case IR_const:
    case IR_page: break;
    case IR_insn: insn_boundary(e, in); break;
    case IR_setr: set_guest(e, (unsigned)in->imm, in->a); break;
    case IR_exec: exec(e, in); break;
    case IR_call:
        if (!emit_crypto(e, in))
            call(e, in);
        break;
    case IR_brcond: brcond(e, in); break;
    case IR_jump: jump(e, (gva)in->imm); break;
    case IR_jumpr:
        if (in_reg(e, in->a) != RDX)
            take(e, RDX);
        load_opnd(e, RDX, in->a);
        jump_rdx(e);
        break;
    case IR_leave:
        asm_load(&e->a, RDX, V_MEM(npc));
        jump_rdx(e);
        break;
    default: return false;
    }
    return true;
}
