/*
 * Loads and stores through the soft TLB (mmu/tlb.h).
 *
 *   lea   ecx, [base + off]; shr ecx, 8; and ecx, (TLB_SIZE - 1) << 4     entry of the first byte's page
 *   lea   rdx, [base + off + size - 1]; and rdx, PAGE_MASK                page of the last byte
 *   cmp   rdx, [r15 + rcx + table]; jne cold                              both at once: a crossing access never matches
 *   mov   rcx, [r15 + rcx + table + 8]
 *   mov   dst, [base + rcx + off]
 *
 * The cold part calls a thunk with the address, the pc and the number of instructions completed; a fault leaves from there.
 */
#include "translator/host_x86_64/emit.h"

_Static_assert(TLB_INDEX(UINT64_C(0x123456789abcd)) == ((UINT64_C(0x123456789abcd) >> 12) & (TLB_SIZE - 1)),
               "the index computed here");
_Static_assert(sizeof(struct tlb_entry) == 16 && PAGE_BITS == 12, "the scaling of the index");

static const uint8_t mem_bytes[] = {1, 1, 2, 2, 4, 4, 8};

/* The base in a home or in rax, so that rcx and rdx are free for the check. */
static unsigned base_reg(struct emit *e, unsigned v)
{
    unsigned r = in_reg(e, v);

    if (r == NO_REG) {
        take(e, RAX);
        load_opnd(e, RAX, v);
        return RAX;
    }
    if (r == RCX || r == RDX) {
        take(e, RAX);
        asm_mov(&e->a, RAX, r);
        e->temp[r] = NO_VAL;
        e->temp[RAX] = (uint16_t)v;
        e->val[v].reg = RAX;
        r = RAX;
    }
    pin(e, v);
    return r;
}

/* rcx = entry, flags of the tag comparison. table: offset of rd or wr in struct tlb_ctx. */
static void probe(struct emit *e, unsigned base, int64_t off, unsigned size, unsigned table)
{
    struct asm_buf *a = &e->a;

    if (off == 0 && e->h->bmi2) {
        asm_vex_tail(a, V_RORX, RCX, 0, rm_reg(base), 1);
        asm_8(a, 8);
    } else {
        if (off == 0)
            asm_rr(a, X_LOAD, RCX, base);
        else
            asm_op(a, X_LEA, RCX, rm_mem(base, off));
        asm_shift_imm(a, 0, SH_SHR, RCX, 8);
    }
    asm_alu_imm(a, 0, ALU_AND, rm_reg(RCX), (TLB_SIZE - 1) << 4);
    if (off + size == 1)
        asm_mov(a, RDX, base);
    else
        asm_lea(a, RDX, rm_mem(base, off + size - 1));
    asm_alu_imm(a, OP_W, ALU_AND, rm_reg(RDX), (int64_t)PAGE_MASK);
    asm_alu(a, OP_W, ALU_CMP, RDX, rm_sib(R15, RCX, 0, table));
}

static void addend(struct emit *e, unsigned table)
{
    asm_load(&e->a, RCX, rm_sib(R15, RCX, 0, table + offsetof(struct tlb_entry, addend)));
}

static void load_from(struct asm_buf *a, unsigned mem, unsigned d, struct rm m)
{
    static const unsigned op[] = {X_MOVZX8, X_MOVSX8, X_MOVZX16, X_MOVSX16, X_LOAD, X_MOVSXD, X_LOAD | OP_W};

    asm_op(a, op[mem], d, m);
}

static void store_to(struct asm_buf *a, unsigned size, struct rm m, unsigned s)
{
    static const unsigned op[] = {0, X_STORE8, X_STORE | PP_66, 0, X_STORE, 0, 0, 0, X_STORE | OP_W};

    asm_op(a, op[size], s, m);
}

/* Keeps a live value of rax over the cold part; the thunks take the address there. */
static void cold_address(struct emit *e, struct cold *c)
{
    if (c->keep != NO_REG)
        asm_store(&e->a, V_MEM(scratch[6]), c->keep);
    if (!(c->m.disp == 0 && c->m.base == RAX))
        asm_lea(&e->a, RAX, c->m);
}

static void cold_back(struct emit *e, struct cold *c)
{
    if (c->keep != NO_REG)
        asm_load(&e->a, c->keep, V_MEM(scratch[6]));
    asm_jmp_back(&e->a, c->back);
}

static struct cold *cold_access(struct emit *e, void (*fn)(struct emit *e, struct cold *c), unsigned base, int64_t off)
{
    struct cold *c = cold_new(e, fn);
    unsigned v = e->temp[RAX];

    c->from = asm_jcc_fwd(&e->a, CC_NE);
    c->m = rm_mem(base, off);
    c->keep = v != NO_VAL && v != ANON && !dies(e, v) ? RAX : NO_REG;
    return c;
}

static void cold_load(struct emit *e, struct cold *c)
{
    cold_enter(e, c);
    cold_address(e, c);
    cold_context(e, c);
    asm_call(&e->a, c->b ? e->h->loadf[c->a] : e->h->load[c->a]);
    if (c->b)
        fp_raw2(e, F_MOVQ_FROM_GPR, c->d, rm_reg(RAX));
    else if (c->d != RAX)
        asm_mov(&e->a, c->d, RAX);
    cold_back(e, c);
}

static unsigned load_check(struct emit *e, const struct ir_insn *in)
{
    unsigned base = base_reg(e, in->a);

    fspill_temps(e);
    take(e, RCX);
    take(e, RDX);
    prepare_def(e);
    probe(e, base, in->imm, mem_bytes[in->sub], offsetof(struct tlb_ctx, rd));
    return base;
}

static void load(struct emit *e, const struct ir_insn *in)
{
    unsigned base = load_check(e, in);
    struct cold *c = cold_access(e, cold_load, base, in->imm);

    addend(e, offsetof(struct tlb_ctx, rd));
    e->temp[RDX] = NO_VAL;
    c->a = in->sub;
    c->d = (uint8_t)def(e, IR_NONE);
    load_from(&e->a, in->sub, c->d, rm_sib(base, RCX, 0, in->imm));
    c->back = e->a.p;
}

static void loadf(struct emit *e, const struct ir_insn *in)
{
    unsigned base = load_check(e, in);
    struct cold *c = cold_access(e, cold_load, base, in->imm);

    addend(e, offsetof(struct tlb_ctx, rd));
    c->a = in->sub;
    c->b = 1;
    c->d = (uint8_t)fdef(e, IR_NONE);
    fp2(e, F_MOVLOAD, in->sub == IR_64 ? FP_D : FP_S, c->d, rm_sib(base, RCX, 0, in->imm));
    if (in->sub != IR_64) {
        fp3(e, F_OR, FP_PS, c->d, c->d, pool(e, POOL_BOX));
        e->val[e->i].boxed = true;
    }
    c->back = e->a.p;
}

enum { VALUE_REG, VALUE_MEM, VALUE_IMM, VALUE_XMM };

/* c->b: how the value is given (VALUE_*), c->d: its register; c->x: its constant or displacement. */
static void cold_store(struct emit *e, struct cold *c)
{
    struct asm_buf *a = &e->a;

    cold_enter(e, c);
    switch (c->b) {
    case VALUE_REG: asm_store(a, V_MEM(scratch[0]), c->d); break;
    case VALUE_MEM:
        asm_load(a, RDX, rm_mem(c->d, (int64_t)c->x));
        asm_store(a, V_MEM(scratch[0]), RDX);
        break;
    case VALUE_IMM:
        asm_mov_imm(a, RDX, (int64_t)c->x);
        asm_store(a, V_MEM(scratch[0]), RDX);
        break;
    default: fp2(e, F_MOVSTORE, FP_D, c->d, V_MEM(scratch[0]));
    }
    cold_address(e, c);
    cold_context(e, c);
    asm_call(a, e->h->store[c->a]);
    cold_back(e, c);
}

static void store(struct emit *e, const struct ir_insn *in)
{
    unsigned size = mem_bytes[in->sub], vreg = NO_REG;
    bool fp = in->op == IR_stf;
    int64_t imm = 0;
    unsigned base = base_reg(e, in->a);

    fspill_temps(e);
    take(e, RCX);
    take(e, RDX);
    probe(e, base, in->imm, size, offsetof(struct tlb_ctx, wr));

    struct cold *c = cold_access(e, cold_store, base, in->imm);
    struct rm to = rm_sib(base, RCX, 0, in->imm);

    c->a = in->sub;
    addend(e, offsetof(struct tlb_ctx, wr));
    if (!fp && is_const(e, in->b, &imm) && (size < 8 || fits32(imm))) {
        c->b = VALUE_IMM;
        c->x = (uint64_t)imm;
        asm_store_imm(&e->a, size, to, imm);
    } else if (!fp && is_const(e, in->b, &imm)) {
        c->b = VALUE_IMM;
        c->x = (uint64_t)imm;
        asm_mov_imm(&e->a, RDX, imm);
        asm_store(&e->a, to, RDX);
    } else {
        struct rm m = fp ? fopnd(e, in->b) : opnd(e, in->b);

        if (m.kind == RM_IS_REG) {
            vreg = m.base;
            c->b = fp ? VALUE_XMM : VALUE_REG;
            c->d = (uint8_t)vreg;
        } else {
            c->b = VALUE_MEM;
            c->d = m.base;
            c->x = (uint64_t)(int64_t)m.disp;
            asm_load(&e->a, RDX, m);
            vreg = RDX;
        }
        if (m.kind == RM_IS_REG && fp)
            fp2(e, F_MOVSTORE, size == 8 ? FP_D : FP_S, vreg, to);
        else
            store_to(&e->a, size, to, vreg);
    }
    c->back = e->a.p;
}

bool emit_mem(struct emit *e, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_ld: load(e, in); break;
    case IR_ldf:
        need_fp(e);
        loadf(e, in);
        break;
    case IR_st: store(e, in); break;
    case IR_stf:
        need_fp(e);
        store(e, in);
        break;
    default: return false;
    }
    return true;
}
