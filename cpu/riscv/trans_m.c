/* M: the instructions of exec_m.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"

TRANS(mul) { gen_rr(t, i, IR_mul); }
TRANS(mulh) { gen_rr(t, i, IR_mulhs); }
TRANS(mulhsu) { gen_rr(t, i, IR_mulhsu); }
TRANS(mulhu) { gen_rr(t, i, IR_mulhu); }
TRANS(div) { gen_rr(t, i, IR_divs); }
TRANS(divu) { gen_rr(t, i, IR_divu); }
TRANS(rem) { gen_rr(t, i, IR_rems); }
TRANS(remu) { gen_rr(t, i, IR_remu); }
TRANS(mulw) { gen_rr(t, i, IR_mul32); }
TRANS(divw) { gen_rr(t, i, IR_divs32); }
TRANS(divuw) { gen_rr(t, i, IR_divu32); }
TRANS(remw) { gen_rr(t, i, IR_rems32); }
TRANS(remuw) { gen_rr(t, i, IR_remu32); }
