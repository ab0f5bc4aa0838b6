/*
 * Loads and stores through the soft TLB (mmu/tlb.h).
 *
 *   lea   ecx, [base + off]; shr ecx, 8; and ecx, (TLB_SIZE - 1) << 4     entry of the first byte's page
 *   lea   rdx, [base + off + size - 1]; and rdx, PAGE_MASK                page of the last byte
 *   cmp   rdx, [r15 + rcx + table]; jne cold                              both at once: a crossing access never matches
 *   mov   rcx, [r15 + rcx + table + 8]
 *   mov   dst, [base + rcx + off]
 *
 * (any scratch registers). In a check group (groups.c) the first access goes on `add rcx, base`, which is the group's host
 * pointer, and the others are `test rcx, rcx; js cold; mov dst, [rcx + off]`. Known addresses know their entry.
 *
 * The cold part calls a thunk with the address, the pc and the number of instructions completed; a fault leaves from there.
 * It comes back behind the access: whatever the main path moves between registers and slots, it does before the branch.
 */
#include "translator/host_x86_64/emit.h"

_Static_assert(TLB_INDEX(UINT64_C(0x123456789abcd)) == ((UINT64_C(0x123456789abcd) >> 12) & (TLB_SIZE - 1)),
               "the index computed here");
_Static_assert(sizeof(struct tlb_entry) == 16 && PAGE_BITS == 12, "the scaling of the index");

static const uint8_t mem_bytes[] = {1, 1, 2, 2, 4, 4, 8};

enum value_kind { VALUE_REG, VALUE_MEM, VALUE_IMM, VALUE_XMM };

/* One access on its way. */
struct access {
    const struct ir_insn *in;
    unsigned size, table;
    bool write, fp;
    unsigned dst;         /* of a load */
    enum value_kind kind; /* of a store's value */
    unsigned value;       /* its register */
    int64_t imm;
    struct rm value_mem;
    struct cold *cold;
};

/* ix = entry, flags of the tag comparison, for bytes [lo, hi) from base. */
static void probe(struct emit *e, unsigned base, int64_t lo, int64_t hi, unsigned table, unsigned ix, unsigned tag)
{
    struct asm_buf *a = &e->a;

    if (lo == 0 && e->h->bmi2) {
        asm_vex_tail(a, V_RORX, ix, 0, rm_reg(base), 1);
        asm_8(a, 8);
    } else {
        if (lo == 0)
            asm_rr(a, X_LOAD, ix, base);
        else
            asm_op(a, X_LEA, ix, rm_mem(base, lo));
        asm_shift_imm(a, 0, SH_SHR, ix, 8);
    }
    asm_alu_imm(a, 0, ALU_AND, rm_reg(ix), (TLB_SIZE - 1) << 4);
    if (hi == 1)
        asm_mov(a, tag, base);
    else
        asm_lea(a, tag, rm_mem(base, hi - 1));
    asm_alu_imm(a, OP_W, ALU_AND, rm_reg(tag), (int64_t)PAGE_MASK);
    asm_alu(a, OP_W, ALU_CMP, tag, rm_sib(R15, ix, 0, table));
}

static void addend(struct emit *e, unsigned table, unsigned ix)
{
    asm_load(&e->a, ix, rm_sib(R15, ix, 0, table + offsetof(struct tlb_entry, addend)));
}

static void load_from(struct emit *e, const struct access *x, struct rm m)
{
    static const unsigned op[] = {X_MOVZX8, X_MOVSX8, X_MOVZX16, X_MOVSX16, X_LOAD, X_MOVSXD, X_LOAD | OP_W};

    if (!x->fp) {
        asm_op(&e->a, op[x->in->sub], x->dst, m);
        return;
    }
    fp2(e, F_MOVLOAD, x->size == 8 ? FP_D : FP_S, x->dst, m);
    if (x->size == 4)
        fp3(e, F_OR, FP_PS, x->dst, x->dst, pool(e, POOL_BOX));
}

/* spare: a scratch register for values that are not in one. */
static void store_to(struct emit *e, const struct access *x, struct rm m, unsigned spare)
{
    static const unsigned op[] = {0, X_STORE8, X_STORE | PP_66, 0, X_STORE, 0, 0, 0, X_STORE | OP_W};
    unsigned r = x->value;

    switch (x->kind) {
    case VALUE_XMM: fp2(e, F_MOVSTORE, x->size == 8 ? FP_D : FP_S, r, m); return;
    case VALUE_IMM:
        if (x->size < 8 || fits32(x->imm)) {
            asm_store_imm(&e->a, x->size, m, x->imm);
            return;
        }
        asm_mov_imm(&e->a, spare, x->imm);
        r = spare;
        break;
    case VALUE_MEM:
        asm_load(&e->a, spare, x->value_mem);
        r = spare;
        break;
    case VALUE_REG: break;
    }
    asm_op(&e->a, op[x->size], r, m);
}

static void do_access(struct emit *e, const struct access *x, struct rm m, unsigned spare)
{
    if (x->write)
        store_to(e, x, m, spare);
    else
        load_from(e, x, m);
    if (x->cold)
        x->cold->back = e->a.p;
}

/* Where a store's value is; a scratch register it is in stays. */
static void find_value(struct emit *e, struct access *x)
{
    unsigned v = x->in->b;
    struct rm m;

    if (!x->fp && is_const(e, v, &x->imm)) {
        x->kind = VALUE_IMM;
        return;
    }
    m = x->fp ? fopnd(e, v) : opnd(e, v);
    x->value = m.base;
    x->value_mem = m;
    x->kind = m.kind == RM_IS_MEM ? VALUE_MEM : x->fp ? VALUE_XMM : VALUE_REG;
}

/* --- the cold part --- */

/* c->keep: scratch registers live across, c->m: base, c->off; value in the fields as struct access has it. */
static void cold_save(struct emit *e, const struct cold *c)
{
    for (unsigned r = 0; r < 3; r++)
        if (c->keep >> r & 1)
            asm_store(&e->a, rm_mem(RBP, V_OFF(scratch) + 8 * (int)(4 + r)), r);
}

static void cold_restore(struct emit *e, const struct cold *c)
{
    for (unsigned r = 0; r < 3; r++)
        if (c->keep >> r & 1)
            asm_load(&e->a, r, rm_mem(RBP, V_OFF(scratch) + 8 * (int)(4 + r)));
    asm_jmp_back(&e->a, c->back);
}

enum { BASE_REG, BASE_MEM, BASE_CONST };

static void cold_base(struct emit *e, const struct cold *c, unsigned r)
{
    struct rm m = rm_mem(c->m.base, c->m.disp);

    if (c->c == BASE_CONST)
        asm_mov_imm(&e->a, r, (int64_t)c->addr);
    else if (c->c == BASE_MEM)
        asm_load(&e->a, r, m);
    else if (c->m.base != r)
        asm_mov(&e->a, r, c->m.base);
}

static void cold_value(struct emit *e, const struct cold *c)
{
    struct asm_buf *a = &e->a;

    switch ((enum value_kind)c->b) {
    case VALUE_XMM: fp2(e, F_MOVSTORE, FP_D, c->d, V_MEM(scratch[0])); return;
    case VALUE_REG: asm_store(a, V_MEM(scratch[0]), c->d); return;
    case VALUE_MEM: { /* any scratch register but the base's will do */
        unsigned r = c->c == BASE_REG && c->m.base == RDX ? RCX : RDX;

        asm_load(a, r, rm_mem(c->d, (int64_t)c->x));
        asm_store(a, V_MEM(scratch[0]), r);
        return;
    }
    case VALUE_IMM:
        if (fits32((int64_t)c->x)) {
            asm_store_imm(a, 8, V_MEM(scratch[0]), (int64_t)c->x);
        } else {
            unsigned r = c->c == BASE_REG && c->m.base == RDX ? RCX : RDX;

            asm_mov_imm(a, r, (int64_t)c->x);
            asm_store(a, V_MEM(scratch[0]), r);
        }
    }
}

static void cold_access(struct emit *e, const struct cold *c)
{
    const struct ir_insn *in = c->in;
    struct asm_buf *a = &e->a;
    bool fp = in->op == IR_ldf || in->op == IR_stf, write = in->op == IR_st || in->op == IR_stf;

    if (write)
        cold_value(e, c);
    cold_base(e, c, RAX);
    if (c->off)
        asm_lea(a, RAX, rm_mem(RAX, c->off));
    cold_context(e, c);
    asm_call(a, write ? e->h->store[in->sub] : fp ? e->h->loadf[in->sub] : e->h->load[in->sub]);
}

static void cold_result(struct emit *e, const struct cold *c)
{
    if (c->in->op == IR_ldf)
        fp_raw2(e, F_MOVQ_FROM_GPR, c->d, rm_reg(RAX));
    else if (c->in->op == IR_ld && c->d != RAX)
        asm_mov(&e->a, c->d, RAX);
}

static void cold_plain(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    cold_save(e, c);
    cold_access(e, c);
    cold_result(e, c);
    cold_restore(e, c);
}

/* A member that found the pointer (in scratch register a) to be -1. */
static void cold_member(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    cold_save(e, c);
    cold_access(e, c);
    cold_result(e, c);
    if (c->a != NO_REG)
        asm_alu_imm(&e->a, OP_W, ALU_OR, rm_reg(c->a), -1);
    cold_restore(e, c);
}

/* The first member: the access, then the check again, because now the page may be in the TLB; pointer in register a. */
static void cold_first(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;
    unsigned p = c->a, tag = p == RCX ? RDX : RCX, base = c->m.base;
    unsigned table = c->group->write ? offsetof(struct tlb_ctx, wr) : offsetof(struct tlb_ctx, rd);
    bool result = c->in->op == IR_ld && c->d < 3;
    uint8_t *miss, *done;

    cold_enter(e, c);
    cold_save(e, c);
    cold_access(e, c);
    if (result)
        asm_store(a, V_MEM(scratch[3]), RAX);
    else
        cold_result(e, c);
    if (c->c != BASE_REG || base < 3) {
        base = p == RAX ? RDX : RAX;
        asm_load(a, base, c->c == BASE_MEM ? rm_mem(c->m.base, c->m.disp) : V_MEM(scratch[2]));
    }
    probe(e, base, c->group->lo, c->group->hi, table, p, tag);
    miss = asm_jcc_short(a, CC_NE);
    addend(e, table, p);
    asm_alu(a, OP_W, ALU_ADD, p, rm_reg(base));
    done = asm_jmp_short(a);
    asm_bind_short(a, miss);
    asm_alu_imm(a, OP_W, ALU_OR, rm_reg(p), -1);
    asm_bind_short(a, done);
    if (result)
        asm_load(a, c->d, V_MEM(scratch[3]));
    cold_restore(e, c);
}

static struct cold *branch(struct emit *e, struct access *x, enum cc cc, void (*fn)(struct emit *e, struct cold *c))
{
    struct cold *c = x->cold = cold_new(e, fn);

    c->from = asm_jcc_fwd(&e->a, cc);
    c->in = x->in;
    c->off = (int32_t)x->in->imm;
    c->d = (uint8_t)(x->write ? x->kind == VALUE_MEM ? x->value_mem.base : x->value : x->dst);
    c->b = (uint8_t)x->kind;
    c->x = (uint64_t)(x->kind == VALUE_MEM ? x->value_mem.disp : x->imm);
    for (unsigned r = 0; r < 3; r++)
        if (e->cache[r] || (e->temp[r] != NO_VAL && e->temp[r] != ANON && e->temp[r] != e->i && !dies(e, e->temp[r])))
            c->keep |= (uint8_t)(1u << r);
    return c;
}

/* --- the main path --- */

static void place_result(struct emit *e, struct access *x)
{
    if (x->write)
        return;
    if (x->fp) {
        x->dst = fdef(e, IR_NONE);
        e->val[e->i].boxed = x->size == 4;
    } else {
        x->dst = def(e, IR_NONE);
    }
}

/* A register that may hold the page: the result's when it is a scratch register. */
static unsigned tag_reg(struct emit *e, const struct access *x)
{
    return !x->write && !x->fp && x->dst < 3 ? x->dst : scratch(e);
}

static bool base_in_guest_memory(const struct emit *e, unsigned v, struct cold *c)
{
    if (e->val[v].loc != LOC_MEM)
        return false;
    c->m = guest_mem(e->val[v].g);
    c->c = BASE_MEM;
    return true;
}

/* Alone, or first of its group (then g). */
static void access_checked(struct emit *e, struct access *x, unsigned number)
{
    const struct group *g = number ? &e->group[number - 1] : NULL;
    unsigned v = x->in->a, base = in_reg(e, v), ix, tag, last;
    int64_t off = x->in->imm;
    struct cold *c;

    if (base == NO_REG) {
        base = scratch(e);
        load_opnd(e, base, v);
    } else {
        pin(e, v);
    }
    ix = scratch(e);
    place_result(e, x);
    tag = tag_reg(e, x);
    last = tag;
    if (g)
        probe(e, base, g->lo, g->hi, x->table, ix, tag);
    else
        probe(e, base, off, off + x->size, x->table, ix, tag);
    if (g && base < 3 && e->val[v].loc != LOC_MEM) /* the cold part needs it once more */
        asm_store(&e->a, V_MEM(scratch[2]), base);
    c = branch(e, x, CC_NE, g ? cold_first : cold_plain);
    c->group = g;
    c->a = (uint8_t)ix;
    if (!base_in_guest_memory(e, v, c))
        c->m = rm_reg(base);
    addend(e, x->table, ix);
    if (!g) {
        do_access(e, x, rm_sib(base, ix, 0, off), last);
        return;
    }
    asm_alu(&e->a, OP_W, ALU_ADD, ix, rm_reg(base));
    e->val[IR_MAX + number - 1].loc = LOC_TEMP;
    e->val[IR_MAX + number - 1].reg = (uint8_t)ix;
    e->temp[ix] = (uint16_t)(IR_MAX + number - 1);
    do_access(e, x, rm_mem(ix, off), last);
}

/* By the pointer the first member made. */
static void access_member(struct emit *e, struct access *x, unsigned number)
{
    unsigned v = x->in->a, p = opnd_reg(e, IR_MAX + number - 1), spare = NO_REG;
    struct cold *c;

    if (x->write && (x->kind == VALUE_MEM || (x->kind == VALUE_IMM && x->size == 8 && !fits32(x->imm))))
        spare = scratch(e);
    place_result(e, x);
    asm_rr(&e->a, X_TEST | OP_W, p, p);
    c = branch(e, x, CC_S, cold_member);
    c->keep &= (uint8_t) ~(1u << p);
    c->a = (uint8_t)(e->group[number - 1].last > e->i ? p : (unsigned)NO_REG);
    if (!base_in_guest_memory(e, v, c))
        c->m = opnd(e, v).kind == RM_IS_REG ? rm_reg(in_reg(e, v)) : opnd(e, v);
    if (c->m.kind == RM_IS_MEM)
        c->c = BASE_MEM;
    do_access(e, x, rm_mem(p, x->in->imm), spare);
}

/* The address is known, and that it does not cross. */
static void access_const(struct emit *e, struct access *x, uint64_t addr)
{
    struct asm_buf *a = &e->a;
    uint64_t page = addr & PAGE_MASK;
    int64_t entry = (int64_t)(x->table + 16 * TLB_INDEX(addr));
    unsigned ix = scratch(e), tag;
    struct cold *c;

    place_result(e, x);
    tag = tag_reg(e, x);
    if (fits32((int64_t)page)) {
        asm_alu_imm(a, OP_W, ALU_CMP, rm_mem(R15, entry), (int64_t)page);
    } else {
        asm_mov_imm(a, tag, (int64_t)page);
        asm_alu(a, OP_W, ALU_CMP, tag, rm_mem(R15, entry));
    }
    c = branch(e, x, CC_NE, cold_plain);
    c->c = BASE_CONST;
    c->addr = addr;
    c->off = 0;
    asm_load(a, ix, rm_mem(R15, entry + (int64_t)offsetof(struct tlb_entry, addend)));
    if (fits32((int64_t)addr)) {
        do_access(e, x, rm_mem(ix, (int64_t)addr), tag);
    } else {
        asm_alu(a, OP_W, ALU_ADD, ix, rm_reg(tag));
        do_access(e, x, rm_mem(ix, (int64_t)(addr - page)), tag);
    }
}

static bool needs_scratch(const struct emit *e, unsigned base) { return e->val[base].loc != LOC_HOME; }

static void leave_scratch(struct emit *e, unsigned v)
{
    unsigned r = e->val[v].reg;

    take(e, r);
    e->temp[r] = NO_VAL;
}

static void access(struct emit *e, const struct ir_insn *in)
{
    struct access x = {.in = in, .size = mem_bytes[in->sub]};
    unsigned number = e->val[e->i].group;
    int64_t base;

    x.write = in->op == IR_st || in->op == IR_stf;
    x.fp = in->op == IR_ldf || in->op == IR_stf;
    if (number && e->group[number - 1].members < 2)
        number = 0;
    x.table =
        (number ? e->group[number - 1].write : x.write) ? offsetof(struct tlb_ctx, wr) : offsetof(struct tlb_ctx, rd);
    fspill_temps(e);
    if (x.write) {
        if (in->a != in->b && needs_scratch(e, in->a) && !x.fp && e->val[in->b].loc == LOC_TEMP)
            leave_scratch(e, in->b); /* base, entry and tag take all three */
        find_value(e, &x);
    }
    if (is_const(e, in->a, &base) &&
        (((uint64_t)(base + in->imm) + x.size - 1) ^ (uint64_t)(base + in->imm)) < PAGE_SIZE)
        access_const(e, &x, (uint64_t)(base + in->imm));
    else if (number && e->val[IR_MAX + number - 1].loc != LOC_NONE)
        access_member(e, &x, number);
    else
        access_checked(e, &x, number);
    if (number && e->group[number - 1].last <= e->i)
        free_val(e, IR_MAX + number - 1);
}

bool emit_mem(struct emit *e, const struct ir_insn *in)
{
    if (in->op != IR_ld && in->op != IR_ldf && in->op != IR_st && in->op != IR_stf)
        return false;
    if (in->op == IR_ldf || in->op == IR_stf)
        need_fp(e);
    access(e, in);
    return true;
}
