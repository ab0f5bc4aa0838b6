/*
 * The portable back end: it keeps each block's IR and interprets it.
 *
 * It is the judge between a front end and a generated-code back end, lets sanitizers see what translated code does,
 * and runs on any host. Exits are linked as generated code's are; every link checks the page ids, and a link or jump
 * backwards polls. `exec` and `call` go through libffi from the one helper table, as generated code calls them.
 */
#include "translator/host_ir/host_ir.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/isa.h"
#include "translator/helper.h"
#include "translator/tb.h"

/* What one operation means for the block's flow. */
enum flow { NEXT, FAULT, EXIT_INTERP, EXIT_TO_PC, EXIT_LINK_TO };

struct run {
    struct vcpu *v;
    unsigned link; /* of the exit taken */
    gva base;      /* position-independent block: of its page, else 0 */
    uint64_t val[IR_MAX];
};

/* A brcond's or jump's c is the number of its link, IR_NONE when it has none. */
static enum tb_compiled compile(struct translator *t, struct tb *tb, const struct ir *ir)
{
    unsigned links = 0;

    (void)t;
    tb->ir = malloc(ir->count * sizeof *ir->insn);
    if (!tb->ir)
        return TB_NO_SPACE;
    memcpy(tb->ir, ir->insn, ir->count * sizeof *ir->insn);
    tb->ir_count = (uint16_t)ir->count;
    for (unsigned n = 0; n < ir->count; n++) {
        struct ir_insn *i = &tb->ir[n];

        if ((i->op == IR_brcond || i->op == IR_jump) && links < tb->link_room) {
            tb->link[links] = (struct tb_link){.target = (gva)i->imm};
            i->c = (ir_val)links++;
        }
    }
    tb->nlinks = (uint8_t)links;
    return TB_COMPILED;
}

static enum flow start_insn(struct vcpu *v, const struct ir_insn *i, gva base, bool first)
{
    if (!first)
        v->icount++;
    v->pc = base + (gva)i->imm;
    v->npc = v->pc + i->sub;
    return NEXT;
}

static enum flow leave_to(struct run *r, const struct ir_insn *i, gva target)
{
    struct vcpu *v = r->v;

    v->icount++;
    if (i->c == IR_NONE || i->op == IR_jumpr || i->op == IR_leave) {
        v->pc = target;
        return EXIT_TO_PC;
    }
    r->link = i->c;
    return EXIT_LINK_TO;
}

static enum flow load(struct run *r, const struct ir_insn *i, uint64_t *out)
{
    uint64_t at = r->val[i->a] + (uint64_t)i->imm, raw;

    if (!vcpu_load(r->v, at, mem_size(i->sub), &raw))
        return FAULT;
    if (i->op == IR_ldf)
        *out = i->sub == IR_64         ? raw
               : mem_size(i->sub) == 4 ? raw | UINT64_C(0xffffffff) << 32
                                       : raw | ~UINT64_C(0) << 16;
    else
        *out = mem_extend(i->sub, raw);
    return NEXT;
}

static enum flow store(struct run *r, const struct ir_insn *i)
{
    return vcpu_store(r->v, r->val[i->a] + (uint64_t)i->imm, mem_size(i->sub), r->val[i->b]) ? NEXT : FAULT;
}

static enum flow atomic_op(struct run *r, const struct ir_insn *i, uint64_t *out)
{
    uint64_t at = r->val[i->a];

    if (i->op == IR_lr)
        *out = helper_lr(r->v, at, i->sub);
    else if (i->op == IR_sc)
        *out = helper_sc(r->v, at, r->val[i->b], i->sub);
    else
        *out = helper_amo(r->v, at, r->val[i->b], i->sub | (uint64_t)i->imm << 8);
    return r->v->fault ? FAULT : NEXT;
}

static enum flow call(struct run *r, const struct ir_insn *i, uint64_t *out)
{
    uint64_t args[MAX_HELPER_ARGS] = {0};
    const ir_val from[MAX_HELPER_ARGS] = {i->a, i->b, i->c};

    if (i->op == IR_exec) {
        args[0] = (uint64_t)i->imm;
        return helper_call(HELPER_exec, r->v, args) ? NEXT : FAULT;
    }
    for (unsigned k = 0; k < MAX_HELPER_ARGS; k++)
        if (from[k] != IR_NONE)
            args[k] = r->val[from[k]];
    *out = helper_call((enum helper)i->imm, r->v, args);
    return i->sub && r->v->fault ? FAULT : NEXT;
}

static enum flow control(struct run *r, const struct ir_insn *i)
{
    switch (i->op) {
    case IR_brcond: return ir_holds(i->sub, r->val[i->a], r->val[i->b]) ? leave_to(r, i, r->base + (gva)i->imm) : NEXT;
    case IR_jump: return leave_to(r, i, r->base + (gva)i->imm);
    case IR_jumpr: return leave_to(r, i, r->val[i->a]);
    default: return leave_to(r, i, r->v->npc);
    }
}

static uint64_t pure(const struct run *r, const struct ir_insn *i)
{
    uint64_t a = r->val[i->a], b = i->b == IR_NONE ? 0 : r->val[i->b];

    if (i->op == IR_setcc)
        return ir_holds(i->sub, a, b);
    return ir_eval(i->op, a, b, i->op == IR_sel ? r->val[i->c] : 0);
}

static enum flow operate(struct run *r, const struct ir_insn *i, uint64_t *out, bool first)
{
    struct vcpu *v = r->v;

    switch (i->op) {
    case IR_nop: return NEXT;
    case IR_insn: return start_insn(v, i, r->base, first);
    case IR_const: *out = (uint64_t)i->imm; return NEXT;
    case IR_page: *out = r->base + (uint64_t)i->imm; return NEXT;
    case IR_getr: *out = v->r[i->imm]; return NEXT;
    case IR_setr: v->r[i->imm] = r->val[i->a]; return NEXT;
    case IR_getf: *out = v->f[i->imm]; return NEXT;
    case IR_setf: v->f[i->imm] = r->val[i->a]; return NEXT;
    case IR_ld:
    case IR_ldf: return load(r, i, out);
    case IR_st:
    case IR_stf: return store(r, i);
    case IR_amo:
    case IR_lr:
    case IR_sc: return atomic_op(r, i, out);
    case IR_fence:
        if (i->imm)
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return NEXT;
    case IR_fenter: return v->isa->fp_enter(v) ? NEXT : EXIT_INTERP;
    case IR_exec:
    case IR_call: return call(r, i, out);
    case IR_brcond:
    case IR_jump:
    case IR_jumpr:
    case IR_leave: return control(r, i);
    default: break;
    }
    *out = ir_is_pure(i->op) || i->op == IR_setcc || i->op == IR_sel ? pure(r, i) : host_ir_fp(v, i, r->val);
    return NEXT;
}

static enum flow interpret(struct run *r, const struct tb *tb)
{
    bool first = true;

    for (unsigned n = 0; n < tb->ir_count; n++) {
        const struct ir_insn *i = &tb->ir[n];
        enum flow f = operate(r, i, &r->val[n], first);

        if (f != NEXT)
            return f;
        first = first && i->op != IR_insn;
    }
    return EXIT_INTERP; /* not reached: the checker saw an end */
}

static struct tb_exit run(struct vcpu *v, struct tb *tb)
{
    struct run r;

    r.v = v;
    for (;;) {
        enum flow f;
        struct tb *to;
        gva target;
        bool back;

        r.base = tb->mode & TB_PIC ? v->pc & PAGE_MASK : 0;
        v->pc_page = r.base;
        f = interpret(&r, tb);

        if (f == FAULT)
            return (struct tb_exit){TB_EXIT_FAULT, tb, 0};
        if (f == EXIT_INTERP)
            return (struct tb_exit){TB_EXIT_INTERP, tb, 0};
        if (f == EXIT_TO_PC)
            return (struct tb_exit){TB_EXIT_LOOKUP, tb, 0};
        target = r.base + tb->link[r.link].target;
        back = target <= v->pc;
        v->pc = target;
        if (back && atomic_load_explicit(&v->attention, memory_order_relaxed))
            return (struct tb_exit){TB_EXIT_ATTENTION, tb, 0};
        to = __atomic_load_n(&tb->link[r.link].to, __ATOMIC_ACQUIRE);
        if (!to)
            return (struct tb_exit){TB_EXIT_LINK, tb, r.link};
        if (!tb_ids_hold(v->ctx, to, target))
            return (struct tb_exit){TB_EXIT_LOOKUP, tb, 0};
        tb = to;
    }
}

/* The link itself is tb->link[].to: nothing to patch. */
static void link_exit(struct translator *t, struct tb *from, unsigned index, struct tb *to, bool same_page)
{
    (void)t, (void)from, (void)index, (void)to, (void)same_page;
}

static void unlink_exit(struct translator *t, struct tb *from, unsigned index) { (void)t, (void)from, (void)index; }

const struct host_ops host_ir = {
    .name = "ir",
    .compile = compile,
    .run = run,
    .link = link_exit,
    .unlink = unlink_exit,
};
