/*
 * Floating-point instructions over softfp: FS and rounding mode checks, operands and flags.
 */
#include "cpu/riscv/fp.h"

#include "base/bits.h"

enum {
    FS_DIRTY = 3 << 13, /* mstatus.FS, all ones */
    RM_DYN = 7,
};

bool rv_fp_begin(struct rv *c, const struct insn *i)
{
    if (!(c->mstatus & FS_DIRTY))
        return rv_illegal(c, i);
    c->mstatus |= FS_DIRTY;
    return true;
}

/* F 11.2: rm 5 and 6 are reserved, and so is a dynamic mode with frm of 5 to 7, for instructions that never round too. */
bool rv_fp_rm(struct rv *c, const struct insn *i, unsigned *rm)
{
    *rm = i->rm == RM_DYN ? c->frm : i->rm;
    return *rm <= SF_RMM || rv_illegal(c, i);
}

/* Both, for instructions with an rm field. */
static bool begin(struct rv *c, const struct insn *i, struct sf_env *e)
{
    unsigned rm;

    if (!rv_fp_begin(c, i) || !rv_fp_rm(c, i, &rm))
        return false;
    *e = (struct sf_env){.rm = (uint8_t)rm};
    return true;
}

static bool end_f(struct rv *c, const struct insn *i, enum sf_fmt f, const struct sf_env *e, uint64_t v)
{
    f_set(c, i->rd, f, v);
    c->fflags |= e->flags;
    return true;
}

static bool end_x(struct rv *c, const struct insn *i, const struct sf_env *e, uint64_t v)
{
    x_set(c, i->rd, v);
    c->fflags |= e->flags;
    return true;
}

bool fp_round1(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn1 *fn)
{
    struct sf_env e;

    return begin(c, i, &e) && end_f(c, i, f, &e, fn(f, &e, f_get(c, i->rs1, f)));
}

bool fp_round2(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn)
{
    struct sf_env e;

    return begin(c, i, &e) && end_f(c, i, f, &e, fn(f, &e, f_get(c, i->rs1, f), f_get(c, i->rs2, f)));
}

bool fp_round3(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn3 *fn)
{
    struct sf_env e;

    return begin(c, i, &e) &&
           end_f(c, i, f, &e, fn(f, &e, f_get(c, i->rs1, f), f_get(c, i->rs2, f), f_get(c, i->rs3, f)));
}

bool fp_plain2(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn)
{
    struct sf_env e = {0};

    return rv_fp_begin(c, i) && end_f(c, i, f, &e, fn(f, &e, f_get(c, i->rs1, f), f_get(c, i->rs2, f)));
}

bool fp_compare(struct rv *c, const struct insn *i, enum sf_fmt f, sf_fn2 *fn)
{
    struct sf_env e = {0};

    return rv_fp_begin(c, i) && end_x(c, i, &e, fn(f, &e, f_get(c, i->rs1, f), f_get(c, i->rs2, f)));
}

bool fp_class(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    struct sf_env e = {0};

    return rv_fp_begin(c, i) && end_x(c, i, &e, sf_class(f, &e, f_get(c, i->rs1, f)));
}

bool fp_convert(struct rv *c, const struct insn *i, enum sf_fmt from, enum sf_fmt to)
{
    struct sf_env e;

    return begin(c, i, &e) && end_f(c, i, to, &e, sf_cvt(from, to, &e, f_get(c, i->rs1, from)));
}

bool fp_to_int(struct rv *c, const struct insn *i, enum sf_fmt from, enum sf_int to)
{
    struct sf_env e;

    return begin(c, i, &e) && end_x(c, i, &e, sf_to_int(from, to, &e, f_get(c, i->rs1, from)));
}

bool fp_from_int(struct rv *c, const struct insn *i, enum sf_fmt to, enum sf_int from)
{
    struct sf_env e;

    return begin(c, i, &e) && end_f(c, i, to, &e, sf_from_int(to, from, &e, x_get(c, i->rs1)));
}

static unsigned bytes(enum sf_fmt f) { return f == SF_S ? 4 : f == SF_H ? 2 : 8; }

bool fp_load(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    uint64_t v;

    if (!rv_fp_begin(c, i) || !vcpu_load(&c->v, x_get(c, i->rs1) + (uint64_t)i->imm, bytes(f), &v))
        return false;
    f_set(c, i->rd, f, v);
    return true;
}

/* Stores and moves take the raw low bits, boxed or not (D 12.2). */
bool fp_store(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    return rv_fp_begin(c, i) && vcpu_store(&c->v, x_get(c, i->rs1) + (uint64_t)i->imm, bytes(f), c->v.f[i->rs2]);
}

bool fp_move_to_x(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    if (!rv_fp_begin(c, i))
        return false;
    x_set(c, i->rd, (uint64_t)sext64(c->v.f[i->rs1], bytes(f) * 8));
    return true;
}

bool fp_move_from_x(struct rv *c, const struct insn *i, enum sf_fmt f)
{
    if (!rv_fp_begin(c, i))
        return false;
    f_set(c, i->rd, f, extract64(x_get(c, i->rs1), 0, bytes(f) * 8));
    return true;
}

/* --- host FP state --- */

/* The host's rounding control (MXCSR bits 14..13: nearest, down, up, zero) by frm. It has no RMM. */
bool rv_fp_enter(struct vcpu *v)
{
    static const uint8_t host_rc[] = {[SF_RNE] = 0, [SF_RTZ] = 3, [SF_RDN] = 1, [SF_RUP] = 2};
    struct rv *c = (struct rv *)v;

    if (!(c->mstatus & FS_DIRTY) || c->frm >= ARRAY_LEN(host_rc))
        return false;
    c->mstatus |= FS_DIRTY;
    v->fp_host_csr = 0x1f80u | (uint32_t)host_rc[c->frm]
                                   << 13; /* all exceptions masked, no sticky flag, DAZ and FTZ off */
    return true;
}

/* MXCSR bits 0 invalid, 1 denormal operand (RISC-V has no such flag), 2 divide by zero, 3 overflow, 4 underflow, 5 precision. */
#define FLAGS(x)                                                                                                       \
    ((x)&1 ? SF_NV : 0) | ((x)&4 ? SF_DZ : 0) | ((x)&8 ? SF_OF : 0) | ((x)&16 ? SF_UF : 0) | ((x)&32 ? SF_NX : 0)
#define FLAGS4(x) FLAGS(x), FLAGS((x) + 1), FLAGS((x) + 2), FLAGS((x) + 3)
#define FLAGS16(x) FLAGS4(x), FLAGS4((x) + 4), FLAGS4((x) + 8), FLAGS4((x) + 12)

const uint8_t rv_flags_of_host[64] = {FLAGS16(0), FLAGS16(16), FLAGS16(32), FLAGS16(48)};

void rv_fp_flags(struct vcpu *v, uint32_t host_csr) { ((struct rv *)v)->fflags |= rv_flags_of_host[host_csr & 63]; }
