/* Where values are: homes, scratch registers, spill slots. */
#include "translator/host_x86_64/emit.h"

static bool reg_is_fp(unsigned g) { return g >= 32; }

static unsigned home_of(const struct emit *e, unsigned g) { return reg_is_fp(g) ? e->h->fhome[g - 32] : e->h->home[g]; }

struct rm guest_mem(unsigned g) { return rm_mem(RBP, ((int)g - 16) * 8); }
static struct rm slot_mem(unsigned s) { return rm_mem(RSP, s * 8); }

/* The register a setr or setf just after operation i puts its result in, + 1; only getr and const may come between. */
static unsigned taken_by(const struct emit *e, unsigned i)
{
    for (unsigned j = i + 1; j < e->count && j <= i + 6; j++) {
        const struct ir_insn *in = &e->ir[j];

        if ((in->op == IR_setr || in->op == IR_setf) && in->a == i && !e->val[j].dead) {
            unsigned g = (unsigned)in->imm + (in->op == IR_setf ? 32 : 0);

            if (home_of(e, g) == NO_REG)
                return 0;
            for (unsigned k = i + 1; k < j; k++)
                if (e->ir[k].op == (in->op == IR_setf ? IR_getf : IR_getr) && e->ir[k].imm == in->imm)
                    return 0;
            return g + 1;
        }
        if (in->op != IR_const && in->op != IR_page && in->op != IR_getr && in->op != IR_getf)
            return 0;
    }
    return 0;
}

static void use(struct emit *e, unsigned v, unsigned i)
{
    if (v == IR_NONE)
        return;
    e->val[v].uses++;
    if (e->val[v].last < i)
        e->val[v].last = (uint16_t)i;
}

/*
 * Going backwards: whether setr i is undone by a later one before anybody can see the register (auipc and addi). unseen: a
 * bit per register that is set later and not looked at before.
 */
static bool overwritten_unseen(struct emit *e, uint32_t *unseen, unsigned i)
{
    const struct ir_insn *in = &e->ir[i];

    if (in->op == IR_getr) {
        *unseen &= ~(1u << in->imm);
    } else if (in->op == IR_brcond || ir_ops[in->op].flags & (IR_FLT | IR_SIDE | IR_END)) {
        *unseen = 0;
    } else if (in->op == IR_setr) {
        if (*unseen >> in->imm & 1) {
            e->val[i].dead = true;
            return true;
        }
        *unseen |= 1u << in->imm;
    }
    return false;
}

void prepare(struct emit *e)
{
    uint32_t unseen = 0;

    for (unsigned i = 0; i < e->count; i++) {
        e->val[i] = (struct val){0};
        if (ir_ops[e->ir[i].op].flags & IR_END) {
            e->count = i + 1;
            break;
        }
    }
    for (unsigned i = e->count; i-- > 0;) {
        const struct ir_insn *in = &e->ir[i];
        const struct ir_op_info *o = &ir_ops[in->op];

        if ((in->op == IR_getr && !e->val[i].uses) || overwritten_unseen(e, &unseen, i))
            continue;
        if (o->result != '-' && !(o->flags & IR_SIDE) && !e->val[i].uses)
            continue; /* dead */
        use(e, in->a, i);
        use(e, in->b, i);
        use(e, in->c, i);
        if (o->result != '-' && in->op != IR_getr && in->op != IR_getf && in->op != IR_const && in->op != IR_page)
            e->val[i].into = (uint8_t)taken_by(e, i);
        if (in->op == IR_const)
            e->val[i].loc = LOC_CONST;
        if (in->op == IR_page)
            e->val[i].loc = LOC_PAGE;
    }
    prepare_groups(e);
    for (unsigned g = 0; g < 64; g++)
        e->alias[g] = NO_VAL;
    for (unsigned r = 0; r < 3; r++)
        e->temp[r] = NO_VAL;
    forget_cached(e);
    e->xtemp[0] = e->xtemp[1] = NO_VAL;
    e->slots = 0;
    e->pinned = e->xpinned = 0;
}

bool dies(const struct emit *e, unsigned v) { return e->val[v].last <= e->i; }

/* Values from IR_MAX on are the host pointers of groups. */
static bool is_fp_value(const struct emit *e, unsigned v) { return v < IR_MAX && ir_ops[e->ir[v].op].result == 'F'; }

void free_val(struct emit *e, unsigned v)
{
    struct val *x = &e->val[v];
    bool fp = is_fp_value(e, v);

    if (x->loc == LOC_TEMP) {
        if (fp)
            e->xtemp[x->reg] = NO_VAL;
        else
            e->temp[x->reg] = NO_VAL;
    } else if (x->loc == LOC_SPILL) {
        e->slots &= ~(UINT64_C(1) << x->reg);
    }
    if (x->loc != LOC_CONST && x->loc != LOC_PAGE) /* those are made where they are used */
        x->loc = LOC_NONE;
}

void end_op(struct emit *e)
{
    const struct ir_insn *in = &e->ir[e->i];
    const uint16_t args[3] = {in->a, in->b, in->c};

    for (unsigned k = 0; k < 3; k++)
        if (args[k] != IR_NONE && dies(e, args[k]))
            free_val(e, args[k]);
    for (unsigned r = 0; r < 3; r++)
        if (e->temp[r] == ANON)
            e->temp[r] = NO_VAL;
    for (unsigned r = 0; r < 2; r++)
        if (e->xtemp[r] == ANON)
            e->xtemp[r] = NO_VAL;
    e->pinned = e->xpinned = 0;
    if (ir_ops[in->op].result != '-' && !e->val[e->i].uses)
        free_val(e, e->i); /* computed for its side effect only */
}

static unsigned slot_new(struct emit *e)
{
    unsigned s = (unsigned)__builtin_ctzll(~e->slots | UINT64_C(1) << 63);

    if (e->slots == ~UINT64_C(0) >> 1)
        e->failed = true; /* the block is translated shorter */
    e->slots |= UINT64_C(1) << s;
    return s;
}

static void spill(struct emit *e, unsigned r)
{
    struct val *x = &e->val[e->temp[r]];
    unsigned s;

    e->temp[r] = NO_VAL;
    if (x->clean) {
        x->loc = LOC_MEM;
        return;
    }
    s = slot_new(e);
    asm_store(&e->a, slot_mem(s), r);
    x->loc = LOC_SPILL;
    x->reg = (uint8_t)s;
}

void pin(struct emit *e, unsigned v)
{
    if (v != IR_NONE && e->val[v].loc == LOC_TEMP && !is_fp_value(e, v))
        e->pinned |= (uint8_t)(1u << e->val[v].reg);
}

/* rax first: loads need rcx and rdx. Of those that hold a copy the oldest. */
static unsigned free_scratch(const struct emit *e)
{
    static const uint8_t order[3] = {RAX, RDX, RCX};
    unsigned best = NO_REG;

    for (unsigned k = 0; k < 3; k++) {
        unsigned r = order[k];

        if (e->temp[r] != NO_VAL)
            continue;
        if (!e->cache[r])
            return r;
        if (best == NO_REG || e->cached_at[r] < e->cached_at[best])
            best = r;
    }
    return best;
}

/* A free scratch register, else the one whose value is used last goes to memory. */
static unsigned alloc(struct emit *e)
{
    unsigned best = free_scratch(e);

    if (best == NO_REG) {
        for (unsigned r = 0; r < 3; r++)
            if (e->temp[r] != ANON && !(e->pinned >> r & 1) &&
                (best == NO_REG || e->val[e->temp[r]].last > e->val[e->temp[best]].last))
                best = r;
        if (best == NO_REG) { /* our own bug; the block is refused rather than wrong */
            e->failed = true;
            return RAX;
        }
        spill(e, best);
    }
    e->cache[best] = 0;
    return best;
}

void forget_cached(struct emit *e) { memset(e->cache, 0, sizeof e->cache); }

static void remember_cached(struct emit *e, unsigned r, unsigned g)
{
    e->cache[r] = (uint8_t)(g + 1);
    e->cached_at[r] = (uint16_t)e->i;
}

unsigned scratch(struct emit *e)
{
    unsigned r = alloc(e);

    e->temp[r] = ANON;
    return r;
}

void take(struct emit *e, unsigned r)
{
    if (e->temp[r] != NO_VAL && e->temp[r] != ANON)
        spill(e, r);
    e->temp[r] = ANON;
    e->cache[r] = 0;
}

void take_all(struct emit *e)
{
    take(e, RAX);
    take(e, RCX);
    take(e, RDX);
}

void spill_temps(struct emit *e, unsigned mask)
{
    for (unsigned r = 0; r < 3; r++)
        if (mask >> r & 1 && e->temp[r] != NO_VAL && e->temp[r] != ANON && !dies(e, e->temp[r]))
            spill(e, r);
}

void put_pc(struct emit *e, unsigned r, gva pc)
{
    if (!e->pic) {
        asm_mov_imm(&e->a, r, (int64_t)pc);
        return;
    }
    asm_load(&e->a, r, V_MEM(pc_page));
    if (pc)
        asm_lea(&e->a, r, rm_mem(r, (int64_t)pc));
}

bool is_const(const struct emit *e, unsigned v, int64_t *c)
{
    if (e->val[v].loc != LOC_CONST)
        return false;
    *c = e->ir[v].imm;
    return true;
}

bool is_imm32(const struct emit *e, unsigned v, int64_t *c) { return is_const(e, v, c) && fits32(*c); }

unsigned in_reg(const struct emit *e, unsigned v)
{
    const struct val *x = &e->val[v];

    return x->loc == LOC_HOME ? home_of(e, x->g) : x->loc == LOC_TEMP ? x->reg : (unsigned)NO_REG;
}

struct rm opnd(struct emit *e, unsigned v)
{
    const struct val *x = &e->val[v];

    switch (x->loc) {
    case LOC_HOME: return rm_reg(home_of(e, x->g));
    case LOC_TEMP: pin(e, v); return rm_reg(x->reg);
    case LOC_MEM: return guest_mem(x->g);
    case LOC_SPILL: return slot_mem(x->reg);
    default: return rm_reg(opnd_reg(e, v));
    }
}

unsigned opnd_reg(struct emit *e, unsigned v)
{
    struct val *x = &e->val[v];
    unsigned r;

    if (x->loc == LOC_HOME || x->loc == LOC_TEMP) {
        pin(e, v);
        return in_reg(e, v);
    }
    r = alloc(e);
    if (x->loc == LOC_CONST || x->loc == LOC_PAGE) {
        e->temp[r] = ANON;
        if (x->loc == LOC_CONST)
            asm_mov_imm(&e->a, r, e->ir[v].imm);
        else
            put_pc(e, r, (gva)e->ir[v].imm);
        return r;
    }
    asm_load(&e->a, r, opnd(e, v));
    if (x->loc == LOC_SPILL)
        e->slots &= ~(UINT64_C(1) << x->reg);
    x->clean = x->loc == LOC_MEM;
    if (x->clean)
        remember_cached(e, r, x->g);
    x->loc = LOC_TEMP;
    x->reg = (uint8_t)r;
    e->temp[r] = (uint16_t)v;
    pin(e, v);
    return r;
}

void load_opnd(struct emit *e, unsigned r, unsigned v)
{
    uint8_t pinned = e->pinned;
    int64_t c;

    if (is_const(e, v, &c))
        asm_mov_imm(&e->a, r, c);
    else if (e->val[v].loc == LOC_PAGE)
        put_pc(e, r, (gva)e->ir[v].imm);
    else if (in_reg(e, v) != r)
        asm_load(&e->a, r, opnd(e, v));
    e->pinned = pinned; /* it has been read */
}

static void alias_add(struct emit *e, unsigned v, unsigned g)
{
    struct val *x = &e->val[v];

    x->loc = home_of(e, g) != NO_REG ? LOC_HOME : LOC_MEM;
    x->g = (uint8_t)g;
    x->next = e->alias[g];
    e->alias[g] = (uint16_t)v;
}

void read_guest(struct emit *e, unsigned g)
{
    struct val *x = &e->val[e->i];

    alias_add(e, e->i, g);
    for (unsigned r = 0; r < 3 && x->loc == LOC_MEM; r++)
        if (e->cache[r] == g + 1 && e->temp[r] == NO_VAL) {
            x->loc = LOC_TEMP;
            x->reg = (uint8_t)r;
            x->clean = true;
            e->temp[r] = (uint16_t)e->i;
            e->cached_at[r] = (uint16_t)e->i;
        }
}

/* Copies go to memory: they are rare (a register read and written by one instruction that reads it again later). */
void kill_alias(struct emit *e, unsigned g)
{
    for (unsigned v = e->alias[g], next; v != NO_VAL; v = next) {
        struct val *x = &e->val[v];

        next = x->next;
        if (x->loc == LOC_TEMP && x->g == g)
            x->clean = false;
        if ((x->loc != LOC_HOME && x->loc != LOC_MEM) || x->g != g || dies(e, v))
            continue;
        unsigned s = slot_new(e);

        if (x->loc == LOC_MEM) { /* pop computes its address after rsp has moved */
            asm_op(&e->a, X_FF, 6, guest_mem(g));
            asm_op(&e->a, 0x8f, 0, slot_mem(s));
        } else if (reg_is_fp(g)) {
            fp2(e, F_MOVSTORE, FP_D, home_of(e, g), slot_mem(s));
        } else {
            asm_store(&e->a, slot_mem(s), home_of(e, g));
        }
        x->loc = LOC_SPILL;
        x->reg = (uint8_t)s;
    }
    e->alias[g] = NO_VAL;
    for (unsigned r = 0; r < 3; r++)
        if (e->cache[r] == g + 1)
            e->cache[r] = 0;
}

void kill_all_aliases(struct emit *e)
{
    for (unsigned g = 0; g < 64; g++)
        if (e->alias[g] != NO_VAL)
            kill_alias(e, g);
}

void prepare_def(struct emit *e)
{
    if (e->val[e->i].into)
        kill_alias(e, e->val[e->i].into - 1u);
}

unsigned def(struct emit *e, unsigned reuse)
{
    struct val *x = &e->val[e->i];

    if (x->into) {
        unsigned g = x->into - 1u;

        kill_alias(e, g);
        alias_add(e, e->i, g);
        return home_of(e, g);
    }
    unsigned r;

    if (reuse != IR_NONE && e->val[reuse].loc == LOC_TEMP && dies(e, reuse)) {
        r = e->val[reuse].reg;
        e->val[reuse].loc = LOC_NONE; /* the caller has its register */
    } else {
        r = alloc(e);
    }
    define_temp(e, r);
    return r;
}

void define_temp(struct emit *e, unsigned reg)
{
    struct val *x = &e->val[e->i];

    x->loc = LOC_TEMP;
    x->reg = (uint8_t)reg;
    x->clean = false;
    e->temp[reg] = (uint16_t)e->i;
    e->cache[reg] = 0;
    pin(e, e->i);
}

void set_guest(struct emit *e, unsigned g, unsigned v)
{
    struct val *x = &e->val[v];
    unsigned home = home_of(e, g);
    int64_t c;

    if ((x->loc == LOC_HOME || x->loc == LOC_MEM) && x->g == g)
        return; /* computed in place, or a register set to itself */
    kill_alias(e, g);
    if (home != NO_REG) {
        load_opnd(e, home, v);
    } else if (is_imm32(e, v, &c)) {
        asm_store_imm(&e->a, 8, guest_mem(g), c);
    } else {
        unsigned r = opnd_reg(e, v);

        asm_store(&e->a, guest_mem(g), r);
        if (r < 3 && x->loc == LOC_TEMP)
            remember_cached(e, r, g);
    }
    /* From now on read it in its home. (A getr's value stays threaded in the list of the register it came from.) */
    if (home != NO_REG && x->loc == LOC_TEMP && !dies(e, v) && e->ir[v].op != IR_getr) {
        e->temp[x->reg] = NO_VAL;
        alias_add(e, v, g);
    }
}

/* --- floating point --- */

static void fspill(struct emit *e, unsigned r)
{
    struct val *x = &e->val[e->xtemp[r]];
    unsigned s = slot_new(e);

    fp2(e, F_MOVSTORE, FP_D, r, slot_mem(s));
    e->xtemp[r] = NO_VAL;
    x->loc = LOC_SPILL;
    x->reg = (uint8_t)s;
}

static unsigned falloc(struct emit *e)
{
    for (unsigned r = 0; r < 2; r++)
        if (e->xtemp[r] == NO_VAL)
            return r;
    for (unsigned r = 0; r < 2; r++)
        if (e->xtemp[r] != ANON && !(e->xpinned >> r & 1)) {
            fspill(e, r);
            return r;
        }
    e->failed = true;
    return 0;
}

unsigned fscratch(struct emit *e)
{
    unsigned r = falloc(e);

    e->xtemp[r] = ANON;
    return r;
}

void fspill_temps(struct emit *e)
{
    for (unsigned r = 0; r < 2; r++)
        if (e->xtemp[r] != NO_VAL && e->xtemp[r] != ANON && !dies(e, e->xtemp[r]))
            fspill(e, r);
}

struct rm fopnd(struct emit *e, unsigned v)
{
    const struct val *x = &e->val[v];

    switch (x->loc) {
    case LOC_HOME: return rm_reg(home_of(e, x->g));
    case LOC_TEMP: e->xpinned |= (uint8_t)(1u << x->reg); return rm_reg(x->reg);
    case LOC_MEM: return guest_mem(x->g);
    default: return slot_mem(x->reg);
    }
}

/* A value that lives on stays where it is: this may be code that a cold part skips. */
unsigned fopnd_reg(struct emit *e, unsigned v)
{
    struct rm m = fopnd(e, v);
    unsigned r;

    if (m.kind == RM_IS_REG)
        return m.base;
    r = fscratch(e);
    fp2(e, F_MOVLOAD, FP_D, r, m);
    return r;
}

void fdefine_temp(struct emit *e, unsigned reg)
{
    struct val *x = &e->val[e->i];

    x->loc = LOC_TEMP;
    x->reg = (uint8_t)reg;
    e->xtemp[reg] = (uint16_t)e->i;
    e->xpinned |= (uint8_t)(1u << reg);
}

unsigned fdef(struct emit *e, unsigned reuse)
{
    unsigned g = e->val[e->i].into - 1u, r;

    if (e->val[e->i].into) {
        kill_alias(e, g);
        alias_add(e, e->i, g);
        return home_of(e, g);
    }
    if (reuse != IR_NONE && e->val[reuse].loc == LOC_TEMP && dies(e, reuse)) {
        r = e->val[reuse].reg;
        e->val[reuse].loc = LOC_NONE;
    } else if (e->xtemp[0] == ANON && e->xtemp[1] != NO_VAL) {
        r = 0; /* an operand's copy: operations read their operands before they write */
    } else {
        r = falloc(e);
    }
    fdefine_temp(e, r);
    return r;
}

void set_fguest(struct emit *e, unsigned n, unsigned v)
{
    struct val *x = &e->val[v];
    unsigned g = 32 + n, home = home_of(e, g);

    if (x->boxed)
        e->fboxed |= 1u << n;
    else
        e->fboxed &= ~(1u << n);
    if ((x->loc == LOC_HOME || x->loc == LOC_MEM) && x->g == g)
        return;
    kill_alias(e, g);
    if (home != NO_REG) {
        struct rm m = fopnd(e, v);

        fp2(e, m.kind == RM_IS_REG ? F_MOVAPS : F_MOVLOAD, m.kind == RM_IS_REG ? FP_PS : FP_D, home, m);
        if (x->loc == LOC_TEMP && !dies(e, v) && e->ir[v].op != IR_getf) {
            e->xtemp[x->reg] = NO_VAL;
            alias_add(e, v, g);
        }
    } else {
        fp2(e, F_MOVSTORE, FP_D, fopnd_reg(e, v), guest_mem(g));
    }
}
