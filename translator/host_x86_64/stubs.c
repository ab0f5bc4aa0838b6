/*
 * The code every block shares: entry and exits, and the thunks that call C.
 *
 * A thunk is entered by `call` with rdx = pc of the current instruction, ecx = instructions completed before it (not yet
 * counted), rax = first argument, v->scratch[0], [1] = further ones. It makes v->pc and v->icount exact, keeps the homes,
 * and returns the value in rax; rcx and rdx are lost. After a fault it leaves to the loop instead.
 */
#include "translator/helper.h"
#include "translator/host_x86_64/emit.h"

enum { MXCSR_DEFAULT = 0x1f80 };

static const uint8_t saved[] = {RBX, RBP, R12, R13, R14, R15};

static bool caller_saved(unsigned r) { return r == RSI || r == RDI || (r >= R8 && r <= R11); }

static void homes_move(const struct host_state *h, struct asm_buf *a, bool load, bool all)
{
    for (unsigned g = 0; g < 32; g++) {
        unsigned r = h->home[g];

        if (r == NO_REG || (!all && !caller_saved(r)))
            continue;
        if (load)
            asm_load(a, r, guest_mem(g));
        else
            asm_store(a, guest_mem(g), r);
    }
}

static void fhomes_move(const struct host_state *h, struct asm_buf *a, bool load)
{
    for (unsigned g = 0; g < 32; g++) {
        unsigned op = (load ? F_MOVLOAD : F_MOVSTORE) | PP_F2;

        if (h->fhome[g] == NO_REG)
            continue;
        if (h->avx)
            asm_vex(a, op, h->fhome[g], 0, guest_mem(32 + g));
        else
            asm_op(a, op, h->fhome[g], guest_mem(32 + g));
    }
}

static void mxcsr_load(struct asm_buf *a, struct rm m) { asm_op(a, X_0FAE, 2, m); }
static void mxcsr_store(struct asm_buf *a, struct rm m) { asm_op(a, X_0FAE, 3, m); }
static struct rm pool_at(const struct host_state *h, enum const_pool c) { return rm_abs(h->pool + 16 * c); }

static void call_c(struct asm_buf *a, uintptr_t fn)
{
    asm_lea(a, RDI, rm_mem(RBP, -16 * 8));
    asm_mov_imm(a, RAX, (int64_t)fn);
    asm_op(a, X_FF, 2, rm_reg(RAX));
}

static void sse(const struct host_state *h, struct asm_buf *a, unsigned op, unsigned d, unsigned s, struct rm m)
{
    if (h->avx)
        asm_vex(a, op, d, s, m);
    else
        asm_op(a, op, d, m);
}

static void count_clear(const struct host_state *h, struct asm_buf *a)
{
    sse(h, a, F_PXOR, COUNT_XMM, COUNT_XMM, rm_reg(COUNT_XMM));
}

/* v->icount += the count, and += extra unless NO_REG; r is lost, and so is the count in time: see count_clear. */
static void count_fold(const struct host_state *h, struct asm_buf *a, unsigned r, unsigned extra)
{
    sse(h, a, F_MOVQ_TO_GPR, COUNT_XMM, 0, rm_reg(r));
    if (extra != NO_REG)
        asm_alu(a, OP_W, ALU_ADD, r, rm_reg(extra));
    asm_alu_store(a, OP_W, ALU_ADD, V_MEM(icount), r);
}

static void emit_pool(struct host_state *h, struct asm_buf *a)
{
    static const uint64_t c[POOL_COUNT][2] = {
        [POOL_SIGN_D] = {UINT64_C(1) << 63, 0},    [POOL_ABS_D] = {~(UINT64_C(1) << 63), ~UINT64_C(0)},
        [POOL_SIGN_S] = {0x80000000, 0},           [POOL_ABS_S] = {0xffffffff7fffffff, ~UINT64_C(0)},
        [POOL_BOX] = {0xffffffff00000000, 0},      [POOL_NAN_D] = {0x7ff8000000000000, 0},
        [POOL_NAN_S] = {0xffffffff7fc00000, 0},    [POOL_TWO63_D] = {0x43e0000000000000, 0},
        [POOL_TWO63_S] = {0xffffffff5f000000, 0},  [POOL_TWO64_D] = {0x43f0000000000000, 0},
        [POOL_TWO64_S] = {0xffffffff5f800000, 0},  [POOL_MAX32_D] = {0x41efffffffe00000, 0},
        [POOL_TWO32_D] = {0x41f0000000000000, 0},  [POOL_TWO32_S] = {0xffffffff4f800000, 0},
        [POOL_MINUS1_D] = {0xbff0000000000000, 0}, [POOL_MINUS1_S] = {0xffffffffbf800000, 0},
        [POOL_MXCSR] = {MXCSR_DEFAULT, 0},
    };

    while ((uintptr_t)a->p & 15)
        asm_8(a, 0xcc);
    h->pool = asm_here(a);
    for (unsigned i = 0; i < POOL_COUNT; i++) {
        asm_64(a, c[i][0]);
        asm_64(a, c[i][1]);
    }
    h->counts = asm_here(a);
    for (unsigned n = 0; n <= BLOCK_MAX_INSNS; n++) {
        asm_64(a, n ? n : ~UINT64_C(0));
        asm_64(a, 0);
    }
}

/* uint64_t enter(struct vcpu *v, const void *code): exit kind | index << 8 in rax, block in rdx. */
static void emit_enter(const struct host_state *h, struct asm_buf *a)
{
    for (unsigned i = 0; i < sizeof saved; i++)
        asm_push(a, saved[i]);
    asm_alu_imm(a, OP_W, ALU_SUB, rm_reg(RSP), FRAME);
    asm_mov(a, RAX, RSI);
    asm_lea(a, RBP, rm_mem(RDI, 16 * 8));
    asm_load(a, R15, V_MEM(ctx));
    count_clear(h, a);
    homes_move(h, a, true, true);
    asm_op(a, X_FF, 4, rm_reg(RAX));
}

/* FP state back to memory: homes, flags, the host's own MXCSR. Called with the stack as blocks have it; loses registers. */
static const uint8_t *emit_fp_sync(struct host_state *h, struct asm_buf *a)
{
    const uint8_t *at = asm_here(a);

    fhomes_move(h, a, false);
    mxcsr_store(a, V_MEM(scratch[7]));
    mxcsr_load(a, pool_at(h, POOL_MXCSR));
    asm_store_imm(a, 4, V_MEM(fp_live), 0);
    asm_alu_imm(a, OP_W, ALU_SUB, rm_reg(RSP), 8);
    asm_op(a, X_LOAD, RSI, V_MEM(scratch[7]));
    call_c(a, (uintptr_t)h->isa->fp_flags);
    asm_alu_imm(a, OP_W, ALU_ADD, rm_reg(RSP), 8);
    asm_ret(a);
    return at;
}

/* Around a C function that leaves FP state alone: save 1 keeps the homes and takes the host's MXCSR, 0 puts them back. */
static const uint8_t *emit_fp_swap(struct host_state *h, struct asm_buf *a, bool save)
{
    const uint8_t *at = asm_here(a);

    fhomes_move(h, a, !save);
    if (save) {
        mxcsr_store(a, V_MEM(scratch[7]));
        mxcsr_load(a, pool_at(h, POOL_MXCSR));
    } else {
        mxcsr_load(a, V_MEM(scratch[7]));
    }
    asm_ret(a);
    return at;
}

static void emit_exit_kinds(struct host_state *h, struct asm_buf *a, const uint8_t *fp_sync, const uint8_t **fault,
                            const uint8_t **fault_no_store)
{
    uint8_t *to_store[4], *to_final, *done;

    h->exit_link = asm_here(a); /* called from a stub, see emit_exits: rax = kind and stubs behind, rcx = block */
    asm_pop(a, RDX);
    asm_op(a, X_MOVZX8, RAX, rm_mem(RDX, 0));
    asm_lea(a, RCX, rm_sib(RAX, RAX, 1, 0));
    asm_load(a, RCX, rm_sib(RDX, RCX, 1, 1)); /* a stub is 6 bytes */
    asm_shift_imm(a, 0, SH_SHL, RAX, 8);
    asm_alu_imm(a, 0, ALU_OR, rm_reg(RAX), TB_EXIT_LINK);
    to_store[0] = asm_jmp_fwd(a);
    h->exit_lookup = asm_here(a); /* rdx: pc */
    asm_mov_imm(a, RAX, TB_EXIT_LOOKUP);
    asm_store(a, V_MEM(pc), RDX);
    to_store[1] = asm_jmp_fwd(a);
    h->exit_attention = asm_here(a);
    asm_mov_imm(a, RAX, TB_EXIT_ATTENTION);
    asm_store(a, V_MEM(pc), RDX);
    to_store[2] = asm_jmp_fwd(a);
    h->exit_interp = asm_here(a);
    asm_mov_imm(a, RAX, TB_EXIT_INTERP);
    asm_store(a, V_MEM(pc), RDX);
    to_store[3] = asm_jmp_fwd(a);
    *fault_no_store = asm_here(a); /* registers are in memory already */
    asm_mov_imm(a, RAX, TB_EXIT_FAULT);
    to_final = asm_jmp_fwd(a);
    *fault = asm_here(a);
    asm_mov_imm(a, RAX, TB_EXIT_FAULT);
    for (unsigned i = 0; i < 4; i++)
        asm_bind(a, to_store[i]);
    count_fold(h, a, RDX, NO_REG);
    homes_move(h, a, false, true);
    asm_alu_imm(a, 0, ALU_CMP, V_MEM(fp_live), 0);
    done = asm_jcc_fwd(a, CC_E);
    asm_mov(a, RBX, RAX);
    asm_mov(a, R12, RCX);
    asm_call(a, fp_sync);
    asm_mov(a, RAX, RBX);
    asm_mov(a, RCX, R12);
    asm_bind(a, done);
    asm_bind(a, to_final);
    asm_mov(a, RDX, RCX);
    asm_alu_imm(a, OP_W, ALU_ADD, rm_reg(RSP), FRAME);
    for (unsigned i = sizeof saved; i-- > 0;)
        asm_pop(a, saved[i]);
    asm_ret(a);
}

_Static_assert(sizeof(struct jump_entry) == 16 &&
                   JC_INDEX(UINT64_C(0x123456)) == ((UINT64_C(0x123456) >> 1) & (JC_SIZE - 1)),
               "the index computed here");

void jump_entry(const struct host_state *h, struct asm_buf *a)
{
    if (h->bmi2) {
        asm_vex_tail(a, V_RORX, RAX, 0, rm_reg(RDX), 1);
        asm_8(a, 29);
    } else {
        asm_rr(a, X_LOAD, RAX, RDX);
        asm_shift_imm(a, 0, SH_SHL, RAX, 3);
    }
    asm_alu_imm(a, 0, ALU_AND, rm_reg(RAX), (JC_SIZE - 1) << 4);
    asm_alu(a, OP_W, ALU_ADD, RAX, V_MEM(jc));
}

/* The indirect jump that blocks have inline, for direct exits beyond TB_LINKS. rdx: pc. */
static void emit_jump(struct host_state *h, struct asm_buf *a)
{
    h->jump = asm_here(a);
    jump_entry(h, a);
    asm_alu(a, OP_W, ALU_CMP, RDX, rm_mem(RAX, 0));
    asm_jcc(a, CC_NE, h->exit_lookup);
    asm_op(a, X_FF, 4, rm_mem(RAX, offsetof(struct jump_entry, code)));
}

struct thunks {
    const struct host_state *h;
    struct asm_buf *a;
    const uint8_t *fp_save, *fp_restore, *fault;
};

enum thunk_args { ARGS_LOAD, ARGS_STORE, ARGS_AMO, ARGS_CALL, ARGS_FP };

/*
 * The body of a thunk that calls fn (0: the address in rax, ARGS_CALL). Stack on entry: constant argument, return address.
 * Arguments after the vCPU: LOAD a, const. STORE a, [0], const. AMO a, [0], [1]. CALL [0], [1], [2].
 */
static const uint8_t *thunk_body(const struct thunks *t, uintptr_t fn, enum thunk_args args, bool faults)
{
    struct asm_buf *a = t->a;
    const uint8_t *at = asm_here(a);
    uint8_t *skip;

    asm_store(a, V_MEM(pc), RDX);
    count_fold(t->h, a, RDX, RCX);
    asm_push(a, RCX);
    asm_push(a, RCX); /* alignment */
    homes_move(t->h, a, false, false);
    asm_alu_imm(a, 0, ALU_CMP, V_MEM(fp_live), 0);
    skip = asm_jcc_short(a, CC_E);
    asm_call(a, t->fp_save);
    asm_bind_short(a, skip);
    asm_mov(a, RSI, RAX);
    switch (args) {
    case ARGS_LOAD: asm_load(a, RDX, rm_mem(RSP, 16)); break;
    case ARGS_STORE:
        asm_load(a, RDX, V_MEM(scratch[0]));
        asm_load(a, RCX, rm_mem(RSP, 16));
        break;
    case ARGS_AMO:
        asm_load(a, RDX, V_MEM(scratch[0]));
        asm_load(a, RCX, V_MEM(scratch[1]));
        break;
    default:
        asm_load(a, RSI, V_MEM(scratch[0]));
        asm_load(a, RDX, V_MEM(scratch[1]));
        asm_load(a, RCX, V_MEM(scratch[2]));
        if (args == ARGS_FP)
            asm_load(a, R8, V_MEM(scratch[3]));
    }
    if (fn) {
        call_c(a, fn);
    } else {
        asm_lea(a, RDI, rm_mem(RBP, -16 * 8));
        asm_op(a, X_FF, 2, rm_reg(RAX));
    }
    asm_alu_imm(a, 0, ALU_CMP, V_MEM(fp_live), 0);
    skip = asm_jcc_short(a, CC_E);
    asm_call(a, t->fp_restore);
    asm_bind_short(a, skip);
    count_clear(t->h, a);
    homes_move(t->h, a, true, false);
    asm_pop(a, RCX);
    asm_pop(a, RCX);
    asm_lea(a, RSP, rm_mem(RSP, 8));
    if (faults) {
        asm_alu_imm(a, 0, ALU_CMP, V_MEM(fault), 0);
        skip = asm_jcc_short(a, CC_E);
        asm_lea(a, RSP, rm_mem(RSP, 8));
        asm_jmp(a, t->fault);
        asm_bind_short(a, skip);
    }
    asm_alu_store(a, OP_W, ALU_SUB, V_MEM(icount), RCX);
    asm_ret(a);
    return at;
}

static const uint8_t *thunk_entry(struct asm_buf *a, unsigned k, const uint8_t *body)
{
    const uint8_t *at = asm_here(a);

    asm_8(a, 0x6a); /* push imm8 */
    asm_8(a, k);
    asm_jmp(a, body);
    return at;
}

static void emit_helpers(struct host_state *h, const struct thunks *t)
{
    struct asm_buf *a = t->a;
    const uint8_t *load = thunk_body(t, (uintptr_t)helper_load, ARGS_LOAD, true);
    const uint8_t *loadf = thunk_body(t, (uintptr_t)helper_loadf, ARGS_LOAD, true);
    const uint8_t *store = thunk_body(t, (uintptr_t)helper_store, ARGS_STORE, true);
    const uint8_t *lr = thunk_body(t, (uintptr_t)helper_lr, ARGS_LOAD, true);
    const uint8_t *sc = thunk_body(t, (uintptr_t)helper_sc, ARGS_STORE, true);
    const uint8_t *amo = thunk_body(t, (uintptr_t)helper_amo, ARGS_AMO, true);
    const uint8_t *pure = thunk_body(t, 0, ARGS_CALL, false), *call = thunk_body(t, 0, ARGS_CALL, true);
    const uint8_t *fp = thunk_body(t, 0, ARGS_FP, false);

    for (unsigned k = IR_8U; k <= IR_64; k++) {
        h->load[k] = thunk_entry(a, k, load);
        h->loadf[k] = thunk_entry(a, k, loadf);
        h->store[k] = thunk_entry(a, k, store);
        h->lr[k] = thunk_entry(a, k, lr);
        h->sc[k] = thunk_entry(a, k, sc);
    }
    h->amo = thunk_entry(a, 0, amo);
    h->call[0] = thunk_entry(a, 0, pure);
    h->call[1] = thunk_entry(a, 0, call);
    h->fp_call = thunk_entry(a, 0, fp);
}

/* rax: the decoded instruction; ecx: instructions completed | bytes of this one << 16. Everything may change. */
static void emit_exec(struct host_state *h, struct asm_buf *a, const uint8_t *fp_sync, const uint8_t *fault_no_store)
{
    uint8_t *skip;

    h->exec = asm_here(a);
    homes_move(h, a, false, true);
    asm_store(a, V_MEM(pc), RDX);
    asm_rr(a, X_LOAD, RSI, RCX);
    asm_shift_imm(a, 0, SH_SHR, RSI, 16);
    asm_alu(a, OP_W, ALU_ADD, RDX, rm_reg(RSI));
    asm_store(a, V_MEM(npc), RDX);
    asm_rr(a, X_MOVZX16, R12, RCX);
    count_fold(h, a, RDX, R12);
    asm_mov(a, RBX, RAX);
    asm_alu_imm(a, OP_W, ALU_SUB, rm_reg(RSP), 8);
    asm_alu_imm(a, 0, ALU_CMP, V_MEM(fp_live), 0);
    skip = asm_jcc_short(a, CC_E);
    asm_call(a, fp_sync);
    asm_bind_short(a, skip);
    asm_mov(a, RSI, RBX);
    call_c(a, (uintptr_t)h->isa->exec);
    asm_alu_imm(a, OP_W, ALU_ADD, rm_reg(RSP), 8);
    asm_op(a, 0x84, RAX, rm_reg(RAX)); /* test al, al */
    skip = asm_jcc_short(a, CC_NE);
    asm_lea(a, RSP, rm_mem(RSP, 8));
    asm_jmp(a, fault_no_store);
    asm_bind_short(a, skip);
    asm_alu_store(a, OP_W, ALU_SUB, V_MEM(icount), R12);
    asm_load(a, R15, V_MEM(ctx));
    count_clear(h, a);
    homes_move(h, a, true, true);
    asm_ret(a);
}

/* FP state into the host's registers, or out to the interpreter. */
static void emit_fenter(struct host_state *h, struct asm_buf *a)
{
    uint8_t *skip;

    h->fenter = asm_here(a);
    asm_store(a, V_MEM(pc), RDX);
    count_fold(h, a, RDX, RCX);
    asm_push(a, RCX);
    homes_move(h, a, false, false);
    call_c(a, (uintptr_t)h->isa->fp_enter);
    count_clear(h, a);
    homes_move(h, a, true, false);
    asm_pop(a, RCX);
    asm_op(a, 0x84, RAX, rm_reg(RAX));
    skip = asm_jcc_short(a, CC_NE);
    asm_lea(a, RSP, rm_mem(RSP, 8));
    asm_load(a, RDX, V_MEM(pc));
    asm_jmp(a, h->exit_interp);
    asm_bind_short(a, skip);
    asm_alu_store(a, OP_W, ALU_SUB, V_MEM(icount), RCX);
    fhomes_move(h, a, true);
    mxcsr_load(a, V_MEM(fp_host_csr));
    asm_store_imm(a, 4, V_MEM(fp_live), 1);
    asm_ret(a);
}

bool stubs_emit(struct host_state *h, struct asm_buf *a)
{
    struct thunks t = {.h = h, .a = a};
    const uint8_t *fp_sync, *fault_no_store;

    emit_enter(h, a);
    emit_pool(h, a);
    fp_sync = emit_fp_sync(h, a);
    t.fp_save = emit_fp_swap(h, a, true);
    t.fp_restore = emit_fp_swap(h, a, false);
    emit_exit_kinds(h, a, fp_sync, &t.fault, &fault_no_store);
    emit_jump(h, a);
    emit_helpers(h, &t);
    emit_exec(h, a, fp_sync, fault_no_store);
    emit_fenter(h, a);
    return a->p < a->end;
}
