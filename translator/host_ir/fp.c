/* Floating point of the IR interpreter: every operation is the ISA's reference function for it. */
#include "cpu/isa.h"
#include "translator/host_ir/host_ir.h"

static uint64_t arg(const uint64_t *val, ir_val v) { return v == IR_NONE ? 0 : val[v]; }

/* Raw moves: a single is boxed on the way in and sign-extended on the way out. */
static uint64_t move(const struct ir_insn *i, uint64_t a)
{
    if (i->sub == IR_D)
        return a;
    return i->op == IR_fmv_fi ? (uint64_t)(int64_t)(int32_t)(uint32_t)a : a | UINT64_C(0xffffffff) << 32;
}

/* No flags are in the host's register: the reference functions keep them all in the vCPU. */
static uint8_t *status(struct vcpu *v, uint16_t offset) { return (uint8_t *)v + offset; }

uint64_t host_ir_fp(struct vcpu *v, const struct ir_insn *i, const uint64_t *val)
{
    const struct fp_ops *fp = v->isa->fp;
    uint64_t a = arg(val, i->a), b = arg(val, i->b), c = arg(val, i->c);
    unsigned fmt = i->sub;

    switch (i->op) {
    case IR_fadd: return fp->add(v, fmt, a, b);
    case IR_fsub: return fp->sub(v, fmt, a, b);
    case IR_fmul: return fp->mul(v, fmt, a, b);
    case IR_fdiv: return fp->div(v, fmt, a, b);
    case IR_fsqrt: return fp->sqrt(v, fmt, a);
    case IR_fmin: return fp->min(v, fmt, a, b);
    case IR_fmax: return fp->max(v, fmt, a, b);
    case IR_fmadd: return fp->madd(v, fmt, a, b, c);
    case IR_fmsub: return fp->msub(v, fmt, a, b, c);
    case IR_fnmsub: return fp->nmsub(v, fmt, a, b, c);
    case IR_fnmadd: return fp->nmadd(v, fmt, a, b, c);
    case IR_fsgnj: return fp->sgnj(v, fmt, a, b);
    case IR_fsgnjn: return fp->sgnjn(v, fmt, a, b);
    case IR_fsgnjx: return fp->sgnjx(v, fmt, a, b);
    case IR_feq: return fp->eq(v, fmt, a, b);
    case IR_flt: return fp->lt(v, fmt, a, b);
    case IR_fle: return fp->le(v, fmt, a, b);
    case IR_fclass: return fp->class(v, fmt, a);
    case IR_fcvt_ff: return fp->cvt_ff(v, fmt, a);
    case IR_fcvt_fi: return fp->cvt_fi(v, fmt, a, (uint64_t)i->imm);
    case IR_fcvt_if: return fp->cvt_if(v, fmt, a, (uint64_t)i->imm);
    case IR_getfflags: return *status(v, fp->flags_offset);
    case IR_setfflags: return *status(v, fp->flags_offset) = (uint8_t)(a & fp->flags_of_host[63]);
    case IR_getfrm: return *status(v, fp->mode_offset);
    default: return move(i, a);
    }
}
