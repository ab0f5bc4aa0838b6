/*
 * The reference semantics of the IR's floating point (struct fp_ops): softfp on register images in the dynamic mode.
 */
#include "cpu/riscv/fp.h"
#include "translator/ir.h"

_Static_assert((int)SF_S == (int)IR_S && (int)SF_D == (int)IR_D, "formats are numbered alike");
_Static_assert((int)SF_I32 == (int)IR_I32 && (int)SF_U32 == (int)IR_U32 && (int)SF_I64 == (int)IR_I64 &&
                   (int)SF_U64 == (int)IR_U64,
               "integers are numbered alike");

static struct sf_env env_of(const struct vcpu *v) { return (struct sf_env){.rm = ((const struct rv *)v)->frm}; }
static void keep_flags(struct vcpu *v, const struct sf_env *e) { ((struct rv *)v)->fflags |= e->flags; }

static uint64_t op1(struct vcpu *v, unsigned fmt, sf_fn1 *fn, uint64_t a)
{
    enum sf_fmt f = (enum sf_fmt)fmt;
    struct sf_env e = env_of(v);
    uint64_t r = fn(f, &e, sf_unbox(f, a));

    keep_flags(v, &e);
    return r;
}

static uint64_t op2(struct vcpu *v, unsigned fmt, sf_fn2 *fn, uint64_t a, uint64_t b)
{
    enum sf_fmt f = (enum sf_fmt)fmt;
    struct sf_env e = env_of(v);
    uint64_t r = fn(f, &e, sf_unbox(f, a), sf_unbox(f, b));

    keep_flags(v, &e);
    return r;
}

static uint64_t op3(struct vcpu *v, unsigned fmt, sf_fn3 *fn, uint64_t a, uint64_t b, uint64_t c)
{
    enum sf_fmt f = (enum sf_fmt)fmt;
    struct sf_env e = env_of(v);
    uint64_t r = fn(f, &e, sf_unbox(f, a), sf_unbox(f, b), sf_unbox(f, c));

    keep_flags(v, &e);
    return r;
}

#define F1(name, fn)                                                                                                   \
    static uint64_t name(struct vcpu *v, unsigned f, uint64_t a) { return sf_box((enum sf_fmt)f, op1(v, f, fn, a)); }
#define F2(name, fn)                                                                                                   \
    static uint64_t name(struct vcpu *v, unsigned f, uint64_t a, uint64_t b)                                           \
    {                                                                                                                  \
        return sf_box((enum sf_fmt)f, op2(v, f, fn, a, b));                                                            \
    }
#define F3(name, fn)                                                                                                   \
    static uint64_t name(struct vcpu *v, unsigned f, uint64_t a, uint64_t b, uint64_t c)                               \
    {                                                                                                                  \
        return sf_box((enum sf_fmt)f, op3(v, f, fn, a, b, c));                                                         \
    }
#define X2(name, fn)                                                                                                   \
    static uint64_t name(struct vcpu *v, unsigned f, uint64_t a, uint64_t b) { return op2(v, f, fn, a, b); }

F2(op_add, sf_add)
F2(op_sub, sf_sub)
F2(op_mul, sf_mul)
F2(op_div, sf_div)
F2(op_min, sf_min)
F2(op_max, sf_max)
F1(op_sqrt, sf_sqrt)
F3(op_madd, sf_madd)
F3(op_msub, sf_msub)
F3(op_nmsub, sf_nmsub)
F3(op_nmadd, sf_nmadd)
F2(op_sgnj, sf_sgnj)
F2(op_sgnjn, sf_sgnjn)
F2(op_sgnjx, sf_sgnjx)
X2(op_eq, sf_eq)
X2(op_lt, sf_lt)
X2(op_le, sf_le)

static uint64_t op_class(struct vcpu *v, unsigned f, uint64_t a) { return op1(v, f, sf_class, a); }

static uint64_t op_cvt_ff(struct vcpu *v, unsigned fmt, uint64_t a)
{
    enum sf_fmt from = (enum sf_fmt)fmt, to = from == SF_S ? SF_D : SF_S;
    struct sf_env e = env_of(v);
    uint64_t r = sf_cvt(from, to, &e, sf_unbox(from, a));

    keep_flags(v, &e);
    return sf_box(to, r);
}

_Static_assert((int)IR_RNE == (SF_RNE + 1) << 4 && (int)IR_RMM == (SF_RMM + 1) << 4, "static modes are frm's plus one");

/* The static mode in a conversion's imm, or the dynamic one. */
static struct sf_env mode_of(const struct vcpu *v, uint64_t imm)
{
    uint64_t rm = imm & IR_STATIC_MASK;

    return rm ? (struct sf_env){.rm = (uint8_t)((rm >> 4) - 1)} : env_of(v);
}

static uint64_t op_cvt_fi(struct vcpu *v, unsigned fmt, uint64_t a, uint64_t to)
{
    struct sf_env e = mode_of(v, to);
    uint64_t r = sf_to_int((enum sf_fmt)fmt, (enum sf_int)(to & IR_INT_MASK), &e, sf_unbox((enum sf_fmt)fmt, a));

    keep_flags(v, &e);
    return r;
}

static uint64_t op_cvt_if(struct vcpu *v, unsigned fmt, uint64_t a, uint64_t from)
{
    struct sf_env e = mode_of(v, from);
    uint64_t r = sf_from_int((enum sf_fmt)fmt, (enum sf_int)(from & IR_INT_MASK), &e, a);

    keep_flags(v, &e);
    return sf_box((enum sf_fmt)fmt, r);
}

const struct fp_ops rv_fp_ops = {
    .add = op_add,
    .sub = op_sub,
    .mul = op_mul,
    .div = op_div,
    .min = op_min,
    .max = op_max,
    .sqrt = op_sqrt,
    .madd = op_madd,
    .msub = op_msub,
    .nmsub = op_nmsub,
    .nmadd = op_nmadd,
    .sgnj = op_sgnj,
    .sgnjn = op_sgnjn,
    .sgnjx = op_sgnjx,
    .eq = op_eq,
    .lt = op_lt,
    .le = op_le,
    .class = op_class,
    .cvt_ff = op_cvt_ff,
    .cvt_fi = op_cvt_fi,
    .cvt_if = op_cvt_if,
    .flags_offset = offsetof(struct rv, fflags),
    .mode_offset = offsetof(struct rv, frm),
    .flags_of_host = rv_flags_of_host,
};
