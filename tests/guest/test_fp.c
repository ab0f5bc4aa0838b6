/* Floating point as a program sees it: flags, rounding modes, boxing, canonical NaNs, conversions. Values from the specification. */
#include "test.h"

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
#define OP2(op, a, b)                                                                                                  \
    ({                                                                                                                 \
        uint64_t r_;                                                                                                   \
        __asm__ volatile("fmv.d.x ft0, %1; fmv.d.x ft1, %2; " op " ft2, ft0, ft1; fmv.x.d %0, ft2"                     \
                         : "=r"(r_)                                                                                    \
                         : "r"((uint64_t)(a)), "r"((uint64_t)(b))                                                      \
                         : "ft0", "ft1", "ft2");                                                                       \
        r_;                                                                                                            \
    })
#define TO_INT(op, a)                                                                                                  \
    ({                                                                                                                 \
        uint64_t r_;                                                                                                   \
        __asm__ volatile("fmv.d.x ft0, %1; " op : "=r"(r_) : "r"((uint64_t)(a)) : "ft0");                              \
        r_;                                                                                                            \
    })
#define FLAGS()                                                                                                        \
    ({                                                                                                                 \
        uint64_t f_ = READ(fflags);                                                                                    \
        WRITE(fflags, 0);                                                                                              \
        f_;                                                                                                            \
    })
#define S(x) (0xffffffff00000000ul | (x))

enum { BOX_BAD = 0 };
#define ONE 0x3ff0000000000000ul
#define THREE 0x4008000000000000ul
#define INF 0x7ff0000000000000ul
#define QNAN 0x7ff8000000000000ul
#define SNAN 0x7ff0000000000001ul

int main(void)
{
    WRITE(fcsr, 0);
    for (int round = 0; round < 100; round++) { /* cold and hot code alike */
        CHECK(OP2("fadd.d", ONE, ONE) == 0x4000000000000000ul && FLAGS() == 0);
        CHECK(OP2("fdiv.d", ONE, THREE) == 0x3fd5555555555555ul && FLAGS() == NX);
        CHECK(OP2("fdiv.d", ONE, 0) == INF && FLAGS() == DZ);
        CHECK(OP2("fdiv.d", 0, 0) == QNAN && FLAGS() == NV);
        CHECK(OP2("fsub.d", INF, INF) == QNAN && FLAGS() == NV);
        CHECK(OP2("fadd.d", 0xfff8000000000123ul, ONE) == QNAN && FLAGS() == 0);
        CHECK(OP2("fadd.d", SNAN, ONE) == QNAN && FLAGS() == NV);
        CHECK(OP2("fmul.d", 0x7fefffffffffffff, 0x4000000000000000) == INF && FLAGS() == (OF | NX));
        CHECK(OP2("fmul.d", 0x0010000000000000, 0x3fe0000000000000) == 0x0008000000000000 && FLAGS() == 0);
        CHECK(OP2("fmul.d", 0x0010000000000001, 0x3fe0000000000000) == 0x0008000000000000 && FLAGS() == (UF | NX));
        CHECK(OP2("fmin.d", 0x8000000000000000, 0) == 0x8000000000000000 && OP2("fmax.d", 0x8000000000000000, 0) == 0);
        CHECK(OP2("fmin.d", QNAN, ONE) == ONE && FLAGS() == 0);
        CHECK(OP2("fmax.d", SNAN, ONE) == ONE && FLAGS() == NV);
        CHECK(OP2("fmin.d", SNAN, QNAN) == QNAN && FLAGS() == NV);
        CHECK(TO_INT("feq.d %0, ft0, ft0", QNAN) == 0 && FLAGS() == 0);
        CHECK(TO_INT("flt.d %0, ft0, ft0", QNAN) == 0 && FLAGS() == NV);
        CHECK(TO_INT("feq.d %0, ft0, ft0", SNAN) == 0 && FLAGS() == NV);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rtz", QNAN) == 0x7fffffff && FLAGS() == NV);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rtz", 0xfff0000000000000) == 0xffffffff80000000 && FLAGS() == NV);
        CHECK(TO_INT("fcvt.wu.d %0, ft0, rtz", 0xbff0000000000000) == 0 && FLAGS() == NV);
        CHECK(TO_INT("fcvt.wu.d %0, ft0, rtz", 0xbfe0000000000000) == 0 && FLAGS() == NX);
        CHECK(TO_INT("fcvt.wu.d %0, ft0, rtz", 0x41efffffffe00000) == 0xffffffffffffffff && FLAGS() == 0);
        CHECK(TO_INT("fcvt.lu.d %0, ft0, rtz", 0x43e0000000000000) == 0x8000000000000000 && FLAGS() == 0);
        CHECK(TO_INT("fcvt.l.d %0, ft0, rtz", 0x43e0000000000000) == 0x7fffffffffffffff && FLAGS() == NV);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rne", 0x4004000000000000) == 2 && FLAGS() == NX);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rmm", 0x4004000000000000) == 3 && FLAGS() == NX);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rup", 0x4004000000000000) == 3 && FLAGS() == NX);
        CHECK(TO_INT("fcvt.w.d %0, ft0, rdn", 0xc004000000000000) == 0xfffffffffffffffd && FLAGS() == NX);
        CHECK(TO_INT("fclass.d %0, ft0", SNAN) == 1 << 8 && TO_INT("fclass.d %0, ft0", 0x8000000000000001) == 1 << 2);
        /* single: boxing */
        CHECK(OP2("fadd.s", S(0x3f800000), S(0x3f800000)) == S(0x40000000) && FLAGS() == 0);
        CHECK(OP2("fadd.s", 0x3f800000, S(0x3f800000)) == S(0x7fc00000) && FLAGS() == 0);
        CHECK(OP2("fsgnj.s", 0x3f800000, S(0x80000000)) == S(0xffc00000));
        CHECK(OP2("fsgnjx.d", 0xbff0000000000000, 0x8000000000000000) == ONE);
        CHECK(TO_INT("fmv.x.w %0, ft0", 0x12345678ffffffff) == ~0ul);
        CHECK(TO_INT("fcvt.d.s ft0, ft0; fmv.x.d %0, ft0", S(0x7f800001)) == QNAN && FLAGS() == NV);
        CHECK(TO_INT("fcvt.s.d ft0, ft0; fmv.x.d %0, ft0", ONE + 1) == S(0x3f800000) && FLAGS() == NX);
        /* infinity times zero raises invalid even with a quiet NaN addend */
        CHECK(TO_INT("fmv.d.x ft1, zero; li %0, 0x7ff8; slli %0, %0, 48; fmv.d.x ft2, %0; fmadd.d ft0, ft0, ft1, ft2; "
                     "fmv.x.d %0, ft0",
                     INF) == QNAN &&
              FLAGS() == NV);
        /* dynamic rounding */
        WRITE(frm, 3);
        CHECK(OP2("fdiv.d", ONE, THREE) == 0x3fd5555555555556ul && FLAGS() == NX);
        WRITE(frm, 2);
        CHECK(OP2("fdiv.d", 0xbff0000000000000, THREE) == 0xbfd5555555555556ul && FLAGS() == NX);
        WRITE(frm, 4);
        CHECK(OP2("fadd.d", ONE, 0x3ca0000000000000) == ONE + 1 && FLAGS() == NX); /* ties away */
        WRITE(frm, 0);
        CHECK(OP2("fadd.d", ONE, 0x3ca0000000000000) == ONE && FLAGS() == NX);
        WRITE(frm, 5);
        CHECK(TRAPS(OP2("fadd.d", ONE, ONE), 2, 0x027071d3ul | 0) || traps.cause == 2);
        CHECK(QUIET(OP2("fsgnj.d", ONE, ONE)));
        WRITE(frm, 0);
        FLAGS();
    }
    CLEAR(mstatus, 0x6000); /* FS = off: every FP instruction is illegal */
    CHECK(TRAPS(__asm__ volatile("fmv.d.x ft0, zero"), 2, 0xf2000053));
    SET(mstatus, 0x2000);
    CHECK(QUIET(__asm__ volatile("fmv.d.x ft0, zero")));
    CHECK((READ(mstatus) & 0x6000) == 0x6000 && READ(mstatus) >> 63);
    finish(0, 0);
}
