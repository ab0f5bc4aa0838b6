/*
 * RISC-V as the machine and the translator see it: struct isa_ops, and a hart's life.
 */
#include "cpu/isa.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/bits.h"
#include "cpu/riscv/atomic.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/fp.h"
#include "cpu/riscv/interp.h"
#include "cpu/riscv/isa.h"
#include "cpu/riscv/mem.h"
#include "cpu/riscv/pmp.h"
#include "cpu/riscv/sbi.h"
#include "cpu/riscv/trans.h"
#include "cpu/riscv/trap.h"

/* Privilege, and whether code addresses are translated; which satp, the context and its page ids tell. */
static uint32_t rv_mode(const struct vcpu *v)
{
    const struct rv *c = (const struct rv *)v;

    return c->priv | (c->priv != PRIV_M && SATP_MODE(c->satp) != SATP_BARE ? 4u : 0u);
}

/*
 * Programs linked for a fixed address lie below 4 GiB; what lies above is placed anew in each process, and every process
 * would have its own translation of libc.
 */
static bool rv_moves(const struct vcpu *v)
{
    const struct rv *c = (const struct rv *)v;

    return c->priv == PRIV_U && SATP_MODE(c->satp) != SATP_BARE && v->pc >> 32;
}

static uint64_t misa(const struct rv *c)
{
    static const struct {
        enum isa_ext ext;
        char letter;
    } letters[] = {{EXT_A, 'A'}, {EXT_B, 'B'}, {EXT_C, 'C'}, {EXT_D, 'D'}, {EXT_F, 'F'},
                   {EXT_I, 'I'}, {EXT_M, 'M'}, {EXT_S, 'S'}, {EXT_U, 'U'}, {EXT_V, 'V'}};
    uint64_t v = UINT64_C(2) << 62;

    for (unsigned n = 0; n < ARRAY_LEN(letters); n++)
        if (rv_has(c, letters[n].ext))
            v |= UINT64_C(1) << (letters[n].letter - 'A');
    return v;
}

/* Guest-visible state lies between these two members of struct rv. */
#define STATE_FROM offsetof(struct rv, priv)
#define STATE_SIZE (offsetof(struct rv, data) - STATE_FROM)

static void rv_state_save(const struct vcpu *v, void *buf) { memcpy(buf, (const char *)v + STATE_FROM, STATE_SIZE); }

static void rv_state_restore(struct vcpu *v, const void *buf)
{
    memcpy((char *)v + STATE_FROM, buf, STATE_SIZE);
    rv_update_view((struct rv *)v);
    rv_update_irq((struct rv *)v);
}

static void rv_reset(struct vcpu *v)
{
    struct rv *c = (struct rv *)v;

    memset(v->r, 0, sizeof v->r);
    memset(v->f, 0, sizeof v->f);
    memset((char *)c + STATE_FROM, 0, STATE_SIZE);
    v->fault = 0;
    v->res_addr = ~UINT64_C(0);
    c->priv = PRIV_M;
    c->mstatus = rv_has(c, EXT_U) ? UINT64_C(2) << 32 : 0;
    c->mstatus |= rv_has(c, EXT_S) ? UINT64_C(2) << 34 : 0;
    c->misa = misa(c);
    c->menvcfg =
        rv_has(c, EXT_SVADU) && !rv_has(c, EXT_SVADE) ? ENVCFG_ADUE : 0; /* as QEMU's virt comes out of reset */
    c->stimecmp = ~UINT64_C(0);
    atomic_store(&c->irq_soft, 0);
    counters_reset(c);
    pmp_reset(c);
    rv_timer_update(c);
    v->pc = v->npc = c->start_pc;
    v->r[10] = v->index;
    v->r[11] = c->start_a[1];
    v->r[12] = c->start_a[2];
    if (c->sbi)
        sbi_reset_hart(c);
    tlb_flush_all(v->tlb);
    rv_update_view(c);
}

/* Everything worth showing or comparing, but what moves by itself (time, counters) or asks the host (seed). */
static const uint16_t shown_csrs[] = {
    0x001, 0x002, 0x300, 0x301, 0x302, 0x303, 0x304, 0x344, 0x305, 0x340, 0x341, 0x342, 0x343,
    0x306, 0x30a, 0x320, 0x747, 0x105, 0x140, 0x141, 0x142, 0x143, 0x106, 0x10a, 0x14d, 0x180,
};
enum { REG_PC = 32, REG_PRIV, REG_F, REG_CSR = REG_F + 32 };

static const char *rv_reg(const struct vcpu *v, unsigned n, uint64_t *val)
{
    static const char *const x[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    static const char *const f[] = {"ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1", "fa0",
                                    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4", "fs5",
                                    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};
    struct rv *c = (struct rv *)v;

    *val = 0;
    if (n < REG_PC) {
        *val = v->r[n];
        return x[n];
    }
    if (n == REG_PC) {
        *val = v->pc;
        return "pc";
    }
    if (n == REG_PRIV) {
        *val = c->priv;
        return "priv";
    }
    if (n < REG_CSR) {
        *val = v->f[n - REG_F];
        return f[n - REG_F];
    }
    n -= REG_CSR;
    if (n >= ARRAY_LEN(shown_csrs))
        return NULL;
    csr_peek(c, shown_csrs[n], val); /* absent ones show 0 */
    return csr_shown_name(shown_csrs[n]);
}

/* a0-a5, sp, s0, s1, ra, then the rest of what compilers use most. */
static const uint8_t hot_r[] = {10, 15, 14, 2,  11, 12, 13, 8,  9, 1,  5,  18, 16,
                                17, 6,  7,  19, 20, 28, 29, 21, 4, 22, 30, 31};
static const uint8_t hot_f[] = {10, 11, 12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 8, 9, 4, 5, 6, 7, 18, 19, 20, 21};

const struct isa_ops riscv_isa = {
    .name = "riscv64",
    .fp = &rv_fp_ops,
    .insn_size = sizeof(struct insn),
    .hot_r = hot_r,
    .hot_f = hot_f,
    .hot_r_count = ARRAY_LEN(hot_r),
    .hot_f_count = ARRAY_LEN(hot_f),
    .mode = rv_mode,
    .moves = rv_moves,
    .fetch = rv_fetch,
    .decode = rv_decode,
    .translate = rv_emit_block,
    .interp = rv_interp,
    .exec = rv_exec,
    .take_trap = rv_take_trap,
    .take_irq = rv_take_irq,
    .irq_pending = rv_irq_pending,
    .load = rv_load,
    .store = rv_store,
    .amo_host = rv_amo_host,
    .lr = rv_lr,
    .sc = rv_sc,
    .fp_enter = rv_fp_enter,
    .fp_flags = rv_fp_flags,
    .reset = rv_reset,
    .state_size = STATE_SIZE,
    .state_save = rv_state_save,
    .state_restore = rv_state_restore,
    .disasm = rv_disasm,
    .reg = rv_reg,
};

static void overflow_expired(void *arg)
{
    struct rv *c = arg;

    atomic_store(&c->overflow_due, true);
    vcpu_kick(&c->v, ATT_IRQ);
}

struct rv *rv_new(const struct isa_config *cfg, struct bus *bus, struct clock *clock, struct log *log, unsigned index,
                  struct err *e)
{
    struct rv *c = calloc(1, sizeof *c);

    if (!c || !vcpu_init(&c->v, &riscv_isa, bus, clock, log, index)) {
        free(c);
        err_set(e, "hart %u: out of memory", index);
        return NULL;
    }
    c->cfg = cfg;
    pthread_mutex_init(&c->timer_lock, NULL);
    timer_init(&c->stimer, clock, rv_timer_expired, c);
    timer_init(&c->overflow_timer, clock, overflow_expired, c);
    rv_reset(&c->v);
    return c;
}

void rv_free(struct rv *c)
{
    if (!c)
        return;
    clock_drop_timer(&c->stimer);
    clock_drop_timer(&c->overflow_timer);
    pthread_mutex_destroy(&c->timer_lock);
    vcpu_fini(&c->v);
    free(c);
}

void rv_set_start(struct rv *c, gva pc, uint64_t a1, uint64_t a2)
{
    c->start_pc = pc;
    c->start_a[1] = a1;
    c->start_a[2] = a2;
}
