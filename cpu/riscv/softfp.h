/*
 * Floating point in integer arithmetic: binary16, binary32 and binary64 with RISC-V's choices (unprivileged
 * specification, chapters F, D, Zfh, Zfa): canonical NaN results, tininess detected after rounding, five rounding modes.
 *
 * Operands and results are raw encodings in the low bits, upper bits zero; sf_box and sf_unbox go between them and
 * register images. Every function is total and pure but for e->flags, into which exceptions are ORed.
 */
#ifndef CPU_RISCV_SOFTFP_H
#define CPU_RISCV_SOFTFP_H

#include "base/types.h"

enum sf_fmt { SF_S, SF_D, SF_H }; /* S and D as enum ir_fmt has them */

enum sf_rm { SF_RNE, SF_RTZ, SF_RDN, SF_RUP, SF_RMM }; /* frm's encoding */

enum { SF_NX = 1, SF_UF = 2, SF_OF = 4, SF_DZ = 8, SF_NV = 16 }; /* fflags' encoding */

enum sf_int { SF_I32, SF_U32, SF_I64, SF_U64 }; /* as enum ir_int has them */

struct sf_env {
    uint8_t rm;    /* enum sf_rm */
    uint8_t flags; /* accumulates */
};

#define SF_NAN_H UINT64_C(0x7e00)
#define SF_NAN_S UINT64_C(0x7fc00000)
#define SF_NAN_D UINT64_C(0x7ff8000000000000)

/* The register image of a value of format f: ones above it. */
static inline uint64_t sf_box(enum sf_fmt f, uint64_t v)
{
    switch (f) {
    case SF_S: return v | UINT64_C(0xffffffff00000000);
    case SF_H: return v | UINT64_C(0xffffffffffff0000);
    default: return v;
    }
}

/* The value of format f in a register; one that is not boxed reads as the canonical NaN. */
static inline uint64_t sf_unbox(enum sf_fmt f, uint64_t r)
{
    switch (f) {
    case SF_S: return r >> 32 == 0xffffffff ? (uint32_t)r : SF_NAN_S;
    case SF_H: return r >> 16 == UINT64_C(0xffffffffffff) ? (uint16_t)r : SF_NAN_H;
    default: return r;
    }
}

typedef uint64_t sf_fn1(enum sf_fmt f, struct sf_env *e, uint64_t a);
typedef uint64_t sf_fn2(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b);
typedef uint64_t sf_fn3(enum sf_fmt f, struct sf_env *e, uint64_t a, uint64_t b, uint64_t c);

sf_fn2 sf_add, sf_sub, sf_mul, sf_div;
sf_fn1 sf_sqrt;
sf_fn3 sf_madd;  /* a*b + c */
sf_fn3 sf_msub;  /* a*b - c */
sf_fn3 sf_nmsub; /* -(a*b) + c */
sf_fn3 sf_nmadd; /* -(a*b) - c */

sf_fn2 sf_min, sf_max;   /* minimumNumber, maximumNumber: a NaN loses */
sf_fn2 sf_minm, sf_maxm; /* minimum, maximum: a NaN wins */
sf_fn2 sf_eq;            /* 0 or 1; NV for signalling NaNs only, as the next two */
sf_fn2 sf_ltq, sf_leq;
sf_fn2 sf_lt, sf_le; /* NV for every NaN */
sf_fn2 sf_sgnj, sf_sgnjn, sf_sgnjx;
sf_fn1 sf_class; /* FCLASS's mask of ten bits */

/* To an integral value of the same format; sf_roundnx raises NX, sf_round does not. */
sf_fn1 sf_round, sf_roundnx;

uint64_t sf_cvt(enum sf_fmt from, enum sf_fmt to, struct sf_env *e, uint64_t a);
/* Saturating; NaN gives the largest. 32-bit results are sign-extended, the unsigned ones too. */
uint64_t sf_to_int(enum sf_fmt from, enum sf_int to, struct sf_env *e, uint64_t a);
/* 32-bit sources are taken from the low half of v. */
uint64_t sf_from_int(enum sf_fmt to, enum sf_int from, struct sf_env *e, uint64_t v);
/* FCVTMOD.W.D: truncated modulo 2^32, sign-extended; flags as sf_to_int to SF_I32 under SF_RTZ. */
uint64_t sf_to_i32_mod(struct sf_env *e, uint64_t a);

/* FLI's constant number n (0..31) in format f. */
uint64_t sf_constant(enum sf_fmt f, unsigned n);

#endif
