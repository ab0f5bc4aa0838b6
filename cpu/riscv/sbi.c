/*
 * Native SBI: dispatch, Base, TIME, SRST, legacy calls, and a hart as firmware hands it to S-mode.
 */
#include "cpu/riscv/sbi.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/isa.h"
#include "cpu/riscv/csr.h"
#include "cpu/riscv/pmp.h"
#include "cpu/riscv/sbi_impl.h"

enum {
    SPEC_VERSION = 3 << 24, /* 3.0 */
    IMPL_ID = 0x67756973,   /* not one of the registered */
    IMPL_VERSION = 1,
};

static struct sbi_ret ok(uint64_t value) { return (struct sbi_ret){SBI_SUCCESS, value}; }
static struct sbi_ret error(int64_t e) { return (struct sbi_ret){e, 0}; }

/* --- the smaller extensions --- */

static sbi_fn sbi_base, sbi_time, sbi_srst;

static struct sbi_ret sbi_time(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    (void)s;
    if (fid != 0)
        return error(SBI_NOT_SUPPORTED);
    sbi_count(c, FW_SET_TIMER);
    write_stimecmp(c, 0, a[0], ~UINT64_C(0));
    return ok(0);
}

static struct sbi_ret sbi_srst(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    uint32_t type = (uint32_t)a[0], reason = (uint32_t)a[1];

    if (fid != 0)
        return error(SBI_NOT_SUPPORTED);
    if (type > SBI_WARM_REBOOT)
        return error(type >= 0xf0000000 ? SBI_NOT_SUPPORTED : SBI_INVALID_PARAM);
    if (reason > SBI_SYSTEM_FAILURE && reason < 0xe0000000)
        return error(SBI_INVALID_PARAM);
    if (!s->host.reset)
        return error(SBI_NOT_SUPPORTED);
    sbi_park(c, HSM_STOPPED); /* the call does not return */
    s->host.reset(s->host.arg, (enum sbi_reset_type)type, reason);
    return ok(0);
}

static const struct extension {
    uint32_t id;
    sbi_fn *fn;
} extensions[] = {
    {0x10, sbi_base},       {0x54494d45, sbi_time}, {0x735049, sbi_ipi}, {0x52464e43, sbi_rfence}, {0x48534d, sbi_hsm},
    {0x53525354, sbi_srst}, {0x4442434e, sbi_dbcn}, {0x504d55, sbi_pmu}, {0x53555350, sbi_susp},
};

static const struct extension *extension_find(uint64_t id)
{
    for (unsigned n = 0; n < ARRAY_LEN(extensions); n++)
        if (extensions[n].id == id)
            return &extensions[n];
    return NULL;
}

enum { LEGACY_LAST = 8 };

static struct sbi_ret sbi_base(struct sbi *s, struct rv *c, uint64_t fid, const uint64_t *a)
{
    (void)s;
    switch (fid) {
    case 0: return ok(SPEC_VERSION);
    case 1: return ok(IMPL_ID);
    case 2: return ok(IMPL_VERSION);
    case 3: return ok(a[0] <= LEGACY_LAST || extension_find(a[0]));
    case 4: return ok(c->cfg->mvendorid);
    case 5: return ok(c->cfg->marchid);
    case 6: return ok(c->cfg->mimpid);
    default: return error(SBI_NOT_SUPPORTED);
    }
}

/* --- legacy: one value, in a0; hart masks are read from the caller's memory --- */

enum { /* extension numbers of the legacy calls */
       LEGACY_SET_TIMER,
       LEGACY_PUTCHAR,
       LEGACY_GETCHAR,
       LEGACY_CLEAR_IPI,
       LEGACY_SEND_IPI,
       LEGACY_FENCE_I,
       LEGACY_SFENCE,
       LEGACY_SFENCE_ASID,
       LEGACY_SHUTDOWN,
};

/* false: reading the mask faulted, trap recorded. */
static bool legacy_mask(struct rv *c, uint64_t addr, struct sbi_mask *m)
{
    *m = (struct sbi_mask){0, addr ? 0 : ~UINT64_C(0)};
    return !addr || vcpu_load(&c->v, addr, 8, &m->bits);
}

static bool sbi_legacy(struct sbi *s, struct rv *c, unsigned eid, const uint64_t *a, int64_t *ret)
{
    uint8_t ch = (uint8_t)a[0];
    struct sbi_mask m;
    uint64_t arg[6];

    *ret = 0;
    switch (eid) {
    case LEGACY_SET_TIMER: sbi_time(s, c, 0, a); return true;
    case LEGACY_PUTCHAR: sbi_console_put(s, &ch, 1); return true;
    case LEGACY_GETCHAR: *ret = sbi_console_get(s, &ch, 1) ? ch : -1; return true;
    case LEGACY_CLEAR_IPI: atomic_fetch_and(&c->irq_soft, ~MIP_BIT(IRQ_SSI)); return true;
    case LEGACY_SHUTDOWN: sbi_srst(s, c, 0, (const uint64_t[]){SBI_SHUTDOWN, SBI_NO_REASON}); return true;
    default: break;
    }
    if (!legacy_mask(c, a[0], &m))
        return false;
    if (eid == LEGACY_SEND_IPI) {
        *ret = sbi_send_ipi(s, c, m).error;
        return true;
    }
    memcpy(arg, (const uint64_t[]){m.bits, m.base, a[1], a[2], a[3], 0}, sizeof arg);
    *ret = sbi_rfence(s, c, eid - LEGACY_FENCE_I, arg).error;
    return true;
}

/* --- dispatch --- */

void sbi_ecall(struct rv *c)
{
    struct sbi *s = c->sbi;
    uint64_t *r = c->v.r, eid = r[17], fid = r[16];
    const struct extension *x;
    struct sbi_ret ret;
    int64_t legacy;
    uint64_t a[6];
    gva pc = c->v.pc;

    memcpy(a, &r[10], sizeof a);
    if (eid <= LEGACY_LAST) {
        if (!sbi_legacy(s, c, (unsigned)eid, a, &legacy)) { /* the caller's pointer was bad: its page fault */
            c->v.isa->take_trap(&c->v);
            return;
        }
        c->v.pc = pc + 4;
        r[10] = (uint64_t)legacy;
        return;
    }
    c->v.pc = pc + 4; /* before the call: HSM may set another */
    x = extension_find(eid);
    if (!x && c->v.log && log_on(c->v.log, LOG_GUEST))
        log_guest_msg(c->v.log, "sbi", "no extension 0x%" PRIx64, eid);
    ret = x ? x->fn(s, c, fid, a) : error(SBI_NOT_SUPPORTED);
    if (c->v.pc != pc + 4) /* resumes elsewhere, with arguments set */
        return;
    r[10] = (uint64_t)ret.error;
    r[11] = ret.value;
}

/* --- console --- */

void sbi_console_put(struct sbi *s, const void *buf, size_t len)
{
    pthread_mutex_lock(&s->console);
    if (s->host.console_write)
        s->host.console_write(s->host.arg, buf, len);
    pthread_mutex_unlock(&s->console);
}

size_t sbi_console_get(struct sbi *s, void *buf, size_t len)
{
    size_t n = 0;

    pthread_mutex_lock(&s->console);
    if (s->host.console_read)
        n = s->host.console_read(s->host.arg, buf, len);
    pthread_mutex_unlock(&s->console);
    return n;
}

/* --- hart masks --- */

bool sbi_mask_has(const struct sbi *s, struct sbi_mask m, unsigned hart)
{
    if (m.base == ~UINT64_C(0))
        return hart < s->harts;
    return hart >= m.base && hart - m.base < 64 && (m.bits >> (hart - m.base) & 1);
}

/* Every hart that is named exists. */
bool sbi_mask_ok(const struct sbi *s, struct sbi_mask m)
{
    if (m.base == ~UINT64_C(0) || !m.bits)
        return true;
    return m.base < s->harts && 63 - (uint64_t)__builtin_clzll(m.bits) < s->harts - m.base;
}

/* --- a hart's life --- */

void sbi_park(struct rv *c, enum sbi_hsm_state state)
{
    atomic_store(&c->hsm, state);
    atomic_fetch_or(&c->v.attention, ATT_WFI);
}

/* What firmware sets up before it enters S-mode, chosen as OpenSBI does. */
void sbi_reset_hart(struct rv *c)
{
    uint64_t all = ~UINT64_C(0);

    c->priv = PRIV_S;
    if (rv_has(c, EXT_F))
        c->mstatus |= MSTATUS_FS;
    c->medeleg = 1 << CAUSE_FETCH_MISALIGNED | 1 << CAUSE_BREAKPOINT | 1 << CAUSE_ECALL_U | 1 << CAUSE_FETCH_PAGE |
                 1 << CAUSE_LOAD_PAGE | 1 << CAUSE_STORE_PAGE;
    write_mideleg(c, 0, all, all);
    write_counteren(c, 0x306, all, all);
    write_counteren(c, 0x106, 7, all);
    counters_set_inhibit(c, ~UINT32_C(7));
    write_envcfg(c, 0x30a, c->menvcfg | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_PBMTE | ENVCFG_STCE, all);
    write_mseccfg(c, 0x747, UINT64_C(0x300), all); /* SSEED, USEED: a kernel with Zkr reads seed itself */
    for (unsigned n = 0; n < 4; n++)
        write_stateen(c, 0x30c + n, all, all);
    pmp_open(c);
    sbi_pmu_reset(c);
    atomic_fetch_and(&c->v.attention, ~(uint32_t)ATT_WFI);
    atomic_store(&c->hsm, HSM_STARTED);
    if (c->v.index != c->sbi->boot)
        sbi_park(c, HSM_STOPPED);
}

struct sbi *sbi_new(unsigned harts, const struct sbi_host *host)
{
    struct sbi *s = calloc(1, sizeof *s + harts * sizeof s->hart[0]);

    if (!s)
        return NULL;
    s->host = *host;
    s->harts = harts;
    pthread_mutex_init(&s->console, NULL);
    return s;
}

void sbi_free(struct sbi *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->console);
    free(s);
}

void sbi_attach(struct sbi *s, struct rv *c)
{
    s->hart[c->v.index].c = c;
    c->sbi = s;
}

void sbi_set_boot_hart(struct sbi *s, unsigned hart) { s->boot = hart; }
