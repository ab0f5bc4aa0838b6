/*
 * The CSR table: lookup, permission, and the registers too small for a file of their own.
 */
#include "cpu/riscv/csr.h"

#include <stddef.h>
#include <stdio.h>

#include "base/bits.h"
#include "cpu/trace.h"

/* --- conditions --- */

static bool c_s(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_S);
}

static bool c_u(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_U);
}

static bool c_fp(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_F) && (c->mstatus & MSTATUS_FS);
}

/* Zkr: only with an instruction that writes; below M, where mseccfg allows. */
static bool c_seed(const struct rv *c, unsigned num, bool write)
{
    unsigned bit = c->priv == PRIV_U ? 8 : 9; /* USEED, SSEED */

    (void)num;
    return rv_has(c, EXT_ZKR) && write && (c->priv == PRIV_M || (c->mseccfg >> bit & 1));
}

static bool counter_enabled(const struct rv *c, unsigned num)
{
    unsigned n = num & 31;

    if (c->priv < PRIV_M && !(c->mcounteren >> n & 1))
        return false;
    return c->priv != PRIV_U || !rv_has(c, EXT_S) || (c->scounteren >> n & 1);
}

static bool c_counter(const struct rv *c, unsigned num, bool write)
{
    (void)write;
    return rv_has(c, EXT_ZICNTR) && counter_enabled(c, num);
}

static bool c_time(const struct rv *c, unsigned num, bool write) { return c_counter(c, num, write); }

static bool c_hpm(const struct rv *c, unsigned num, bool write)
{
    (void)write;
    return rv_has(c, EXT_ZIHPM) && counter_enabled(c, num);
}

/* Sstc: below M it needs menvcfg.STCE and mcounteren.TM. */
static bool c_stimecmp(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_SSTC) && (c->priv == PRIV_M || ((c->menvcfg & ENVCFG_STCE) && (c->mcounteren & 2)));
}

static bool c_satp(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_S) && !(c->priv == PRIV_S && (c->mstatus & MSTATUS_TVM));
}

static bool c_scofpmf(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_SSCOFPMF);
}

static bool c_mseccfg(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_SMEPMP) || rv_has(c, EXT_ZKR);
}

static bool c_stateen(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    return rv_has(c, EXT_SMSTATEEN);
}

static bool c_sstateen(const struct rv *c, unsigned num, bool write)
{
    (void)write;
    return rv_has(c, EXT_SMSTATEEN) && (c->priv == PRIV_M || (c->mstateen[num & 3] & STATEEN_SE));
}

static bool c_senvcfg(const struct rv *c, unsigned num, bool write)
{
    (void)num, (void)write;
    if (!rv_has(c, EXT_S))
        return false;
    return c->priv == PRIV_M || !rv_has(c, EXT_SMSTATEEN) || (c->mstateen[0] & STATEEN_ENVCFG);
}

/* On RV64 the odd pmpcfg do not exist; each even one holds eight entries. */
static bool c_pmp(const struct rv *c, unsigned num, bool write)
{
    (void)write;
    if (num < 0x3b0)
        return !(num & 1) && (num - 0x3a0) * 4 < c->cfg->pmp_count;
    return num - 0x3b0 < c->cfg->pmp_count;
}

/* --- small registers --- */

static uint64_t read_zero(struct rv *c, unsigned num)
{
    (void)c, (void)num;
    return 0;
}

static void write_ignored(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)c, (void)num, (void)val, (void)mask;
}

static uint64_t read_identity(struct rv *c, unsigned num)
{
    switch (num & 15) {
    case 1: return c->cfg->mvendorid;
    case 2: return c->cfg->marchid;
    case 3: return c->cfg->mimpid;
    default: return c->v.index; /* mhartid */
    }
}

enum { CSR_FFLAGS = 1, CSR_FRM = 2, CSR_FCSR = 3 };

static uint64_t read_fcsr(struct rv *c, unsigned num)
{
    switch (num) {
    case CSR_FFLAGS: return c->fflags;
    case CSR_FRM: return c->frm;
    default: return (uint64_t)c->frm << 5 | c->fflags;
    }
}

static void write_fcsr(struct rv *c, unsigned num, uint64_t val, uint64_t mask)
{
    (void)mask;
    c->mstatus |= MSTATUS_FS; /* dirty */
    if (num != CSR_FRM)
        c->fflags = val & 31;
    if (num != CSR_FFLAGS)
        c->frm = (num == CSR_FRM ? val : val >> 5) & 7;
}

/* Zkr: OPST in bits 31..30 (1 = WAIT, 2 = ES16 with 16 bits of entropy). */
static uint64_t read_seed(struct rv *c, unsigned num)
{
    uint16_t e;

    (void)num;
    if (!c->host.random)
        return UINT64_C(1) << 30;
    c->host.random(c->host.arg, &e, sizeof e);
    return UINT64_C(2) << 30 | e;
}

/* --- the table --- */

enum {
#define CSR(num, name, need, field, mask, read, write, text) ROW_##name,
#define CSR_BLOCK(num, count, name, need, read, write, text) ROW_##name,
#include "cpu/riscv/csr.def"
#undef CSR
#undef CSR_BLOCK
};

#define NEED_any NULL
#define NEED_s c_s
#define NEED_u c_u
#define NEED_fp c_fp
#define NEED_seed c_seed
#define NEED_counter c_counter
#define NEED_time c_time
#define NEED_hpm c_hpm
#define NEED_stimecmp c_stimecmp
#define NEED_satp c_satp
#define NEED_scofpmf c_scofpmf
#define NEED_mseccfg c_mseccfg
#define NEED_pmp c_pmp
#define NEED_stateen c_stateen
#define NEED_sstateen c_sstateen
#define NEED_senvcfg c_senvcfg
#define none priv /* any member: never reached through */

static const struct csr table[] = {
#define CSR(num, name, need, field, mask, read, write, text)                                                           \
    {#name, text, NEED_##need, read, write, offsetof(struct rv, field), mask},
#define CSR_BLOCK(num, count, name, need, read, write, text) {#name, text, NEED_##need, read, write, 0, 0},
#include "cpu/riscv/csr.def"
#undef CSR
#undef CSR_BLOCK
};
#undef none

/* Row number + 1 by CSR number. */
static const uint8_t row_of[4096] = {
#define CSR(num, name, need, field, mask, read, write, text) [num] = ROW_##name + 1,
#define CSR_BLOCK(num, count, name, need, read, write, text) [num... num + count - 1] = ROW_##name + 1,
#include "cpu/riscv/csr.def"
#undef CSR
#undef CSR_BLOCK
};
_Static_assert(ARRAY_LEN(table) < 255, "row_of holds bytes");

static const struct {
    uint16_t first, count;
} blocks[] = {
#define CSR(num, name, need, field, mask, read, write, text)
#define CSR_BLOCK(num, count, name, need, read, write, text) {num, count},
#include "cpu/riscv/csr.def"
#undef CSR
#undef CSR_BLOCK
};

const struct csr *csr_find(unsigned num) { return num < 4096 && row_of[num] ? &table[row_of[num] - 1] : NULL; }

/* Numbers within a block: hpmcounter3 is the first of its block, pmpaddr0 and sstateen0 of theirs. */
const char *csr_name(unsigned num, char *buf, unsigned size)
{
    const struct csr *r = csr_find(num);

    if (!r)
        return NULL;
    for (unsigned i = 0; i < ARRAY_LEN(blocks); i++)
        if (num >= blocks[i].first && num - blocks[i].first < blocks[i].count) {
            unsigned base = blocks[i].count == 29 ? HPM_FIRST : 0;

            snprintf(buf, size, "%s%u", r->name, num - blocks[i].first + base);
            return buf;
        }
    snprintf(buf, size, "%s", r->name);
    return buf;
}

const char *csr_shown_name(unsigned num)
{
    const struct csr *r = csr_find(num);

    return r ? r->name : NULL;
}

/* --- access --- */

static bool row_allowed(const struct rv *c, const struct csr *r, unsigned num, bool write)
{
    if (c->priv < (num >> 8 & 3) || (write && num >> 10 == 3))
        return false;
    return !r->need || r->need(c, num, write);
}

bool csr_allowed(const struct rv *c, unsigned num, bool write)
{
    const struct csr *r = csr_find(num);

    return r && row_allowed(c, r, num, write);
}

static inline uint64_t *row_field(struct rv *c, const struct csr *r)
{
    return (uint64_t *)(void *)((char *)c + r->field);
}

static inline uint64_t row_read(struct rv *c, const struct csr *r, unsigned num)
{
    return r->read ? r->read(c, num) : *row_field(c, r);
}

static inline void row_write(struct rv *c, const struct csr *r, unsigned num, uint64_t val, uint64_t mask)
{
    uint64_t *f;

    if (r->write) {
        r->write(c, num, val, mask);
        return;
    }
    f = row_field(c, r);
    *f = (*f & ~r->mask) | (val & r->mask);
}

/* As the most privileged mode would see it, so that only what does not exist is refused. */
static const struct csr *debug_row(struct rv *c, unsigned num, bool write)
{
    const struct csr *r = csr_find(num);
    uint64_t status = c->mstatus;
    uint8_t priv = c->priv;
    bool ok;

    c->priv = PRIV_M;
    c->mstatus |= MSTATUS_FS;
    ok = r && row_allowed(c, r, num, write);
    c->priv = priv;
    c->mstatus = status;
    return ok ? r : NULL;
}

bool csr_peek(struct rv *c, unsigned num, uint64_t *val)
{
    const struct csr *r = debug_row(c, num, false);

    if (!r)
        return false;
    *val = row_read(c, r, num);
    return true;
}

bool csr_poke(struct rv *c, unsigned num, uint64_t val)
{
    const struct csr *r = debug_row(c, num, true);

    if (!r)
        return false;
    row_write(c, r, num, val, ~UINT64_C(0));
    return true;
}

/* --- instructions (Zicsr) --- */

/* Reaches beyond the hart's own state, so that a block that is only tried (lockstep) must not do it. */
static bool reaches_out(const struct csr *r, bool write)
{
    static csr_write_fn *const writes[] = {write_mip,     write_sip,          write_stimecmp, write_envcfg,
                                           write_counter, write_countinhibit, write_hpmevent};

    if (r->read == read_seed)
        return true;
    for (unsigned n = 0; write && n < ARRAY_LEN(writes); n++)
        if (r->write == writes[n])
            return true;
    return false;
}

enum csr_op { CSR_WRITE, CSR_SET, CSR_CLEAR };

static inline bool csr_insn(struct rv *c, const struct insn *i, enum csr_op op, uint64_t src, bool write)
{
    unsigned num = (unsigned)i->imm & 0xfff;
    const struct csr *r = row_of[num] ? &table[row_of[num] - 1] : NULL;
    uint64_t old = 0;

    if (!r || !row_allowed(c, r, num, write))
        return rv_illegal(c, i);
    if (__builtin_expect(c->v.trace != NULL, 0) && c->v.trace->log && reaches_out(r, write)) {
        c->v.trace->mmio_seen = true;
        return rv_illegal(c, i);
    }
    if (op != CSR_WRITE || i->rd)
        old = row_read(c, r, num);
    if (write)
        switch (op) {
        case CSR_WRITE: row_write(c, r, num, src, ~UINT64_C(0)); break;
        case CSR_SET: row_write(c, r, num, old | src, src); break;
        case CSR_CLEAR: row_write(c, r, num, old & ~src, src); break;
        }
    x_set(c, i->rd, old);
    return true;
}

/* These are floating-point instructions to the translator, and leave FS dirty as all of them do. */
static bool fp_status(struct rv *c, const struct insn *i) { return rv_fp_begin(c, i) && exec_csrr(c, i); }

bool exec_frflags(struct rv *c, const struct insn *i) { return fp_status(c, i); }
bool exec_frrm(struct rv *c, const struct insn *i) { return fp_status(c, i); }
bool exec_frcsr(struct rv *c, const struct insn *i) { return fp_status(c, i); }
bool exec_fsflags(struct rv *c, const struct insn *i) { return exec_csrrw(c, i); }

bool exec_csrr(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_SET, 0, false); }
bool exec_csrrw(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_WRITE, x_get(c, i->rs1), true); }
bool exec_csrrs(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_SET, x_get(c, i->rs1), i->rs1); }
bool exec_csrrc(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_CLEAR, x_get(c, i->rs1), i->rs1); }
bool exec_csrrwi(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_WRITE, i->rs1, true); }
bool exec_csrrsi(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_SET, i->rs1, i->rs1); }
bool exec_csrrci(struct rv *c, const struct insn *i) { return csr_insn(c, i, CSR_CLEAR, i->rs1, i->rs1); }
