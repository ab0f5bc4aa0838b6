/* The RISC-V isa_ops; harts are made by rv_new. */
#ifndef CPU_RISCV_ISA_H
#define CPU_RISCV_ISA_H

struct isa_ops;

extern const struct isa_ops riscv_isa;

#endif
