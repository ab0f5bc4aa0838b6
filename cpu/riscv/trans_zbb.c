/* Zbb: the instructions of exec_zbb.c, in the same order, as IR. */
#include "cpu/riscv/gen.h"

TRANS(andn) { gen_rr(t, i, IR_andn); }
TRANS(orn) { gen_rr(t, i, IR_orn); }
TRANS(xnor) { gen_rr(t, i, IR_xnor); }
TRANS(rol) { gen_rr(t, i, IR_rol); }
TRANS(ror) { gen_rr(t, i, IR_ror); }
TRANS(rori) { gen_ri(t, i, IR_ror); }
TRANS(rolw) { gen_rr(t, i, IR_rol32); }
TRANS(rorw) { gen_rr(t, i, IR_ror32); }
TRANS(roriw) { gen_ri(t, i, IR_ror32); }
TRANS(rev8) { gen_r(t, i, IR_bswap); }
TRANS(clz) { gen_r(t, i, IR_clz); }
TRANS(ctz) { gen_r(t, i, IR_ctz); }
TRANS(cpop) { gen_r(t, i, IR_popcnt); }
TRANS(clzw) { gen_r(t, i, IR_clz32); }
TRANS(ctzw) { gen_r(t, i, IR_ctz32); }
TRANS(cpopw) { gen_r(t, i, IR_popcnt32); }
TRANS(sext_b) { gen_r(t, i, IR_sext8); }
TRANS(sext_h) { gen_r(t, i, IR_sext16); }
TRANS(zext_h) { gen_r(t, i, IR_zext16); }
TRANS(min) { gen_rr(t, i, IR_mins); }
TRANS(minu) { gen_rr(t, i, IR_minu); }
TRANS(max) { gen_rr(t, i, IR_maxs); }
TRANS(maxu) { gen_rr(t, i, IR_maxu); }
TRANS(orc_b) { gen_r(t, i, IR_orcb); }
