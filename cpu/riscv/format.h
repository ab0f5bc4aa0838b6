/* How the operands of a row of insn.def are laid out in the word, and which values are reserved. */
#ifndef CPU_RISCV_FORMAT_H
#define CPU_RISCV_FORMAT_H

enum insn_format {
    FORMAT_NONE,
    FORMAT_R,   /* rd rs1 rs2 */
    FORMAT_R2,  /* rd rs1 */
    FORMAT_RM,  /* rd rs1 rs2 rm */
    FORMAT_R2M, /* rd rs1 rm */
    FORMAT_R4,  /* rd rs1 rs2 rs3 rm */
    FORMAT_I,
    FORMAT_SH6, /* I with a 6-bit shift amount */
    FORMAT_SH5,
    FORMAT_RNUM, /* I with a 4-bit round number, 0..10 */
    FORMAT_S,
    FORMAT_B,
    FORMAT_U,
    FORMAT_J,
    FORMAT_CSR, /* imm = CSR; rs1 may be a 5-bit immediate */
    FORMAT_AMO, /* rd rs1 rs2, rm = aq rl */
    FORMAT_LR,  /* without rs2 */
    FORMAT_RS1,
    FORMAT_RS12,
    FORMAT_FENCE,    /* imm = fm, pred, succ */
    FORMAT_PREFETCH, /* rs1, imm with its low five bits zero */
    /* compressed; see the table "RVC instruction formats" */
    FORMAT_CIW, /* addi4spn */
    FORMAT_CL_B,
    FORMAT_CL_H,
    FORMAT_CL_W,
    FORMAT_CL_D,
    FORMAT_CS_B,
    FORMAT_CS_H,
    FORMAT_CS_W,
    FORMAT_CS_D,
    FORMAT_CI,    /* rd = rs1 */
    FORMAT_CI_LI, /* rs1 = x0 */
    FORMAT_CI_SH,
    FORMAT_CI_16SP,
    FORMAT_CI_LUI,
    FORMAT_CI_WSP,
    FORMAT_CI_DSP,
    FORMAT_CMOP,
    FORMAT_CSS_W,
    FORMAT_CSS_D,
    FORMAT_CR,      /* rd = rs1, rs2 */
    FORMAT_CR_MV,   /* rs1 = x0 */
    FORMAT_CR_JR,   /* rd = x0 */
    FORMAT_CR_JALR, /* rd = ra */
    FORMAT_CA,
    FORMAT_CB,
    FORMAT_CB_SH,
    FORMAT_CB_ANDI,
    FORMAT_CJ,
    FORMAT_CU,      /* rd' = rs1', rs2 = x0 */
    FORMAT_CU_FF,   /* imm = 255 */
    FORMAT_CU_ONES, /* imm = -1 */
    FORMAT_C_NONE,
};

/* The field whose value zero is reserved. */
enum insn_rule { RULE_ANY, RULE_IMM, RULE_RD, RULE_RS1, RULE_RS2 };

/* An ext_set that no configuration has. */
enum { EXT_SET_NEVER = 0xff };

#endif
