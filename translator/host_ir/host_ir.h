/* What the files of the IR interpreter share. */
#ifndef TRANSLATOR_HOST_IR_HOST_IR_H
#define TRANSLATOR_HOST_IR_HOST_IR_H

#include "cpu/vcpu.h"
#include "translator/ir.h"

/* The value of a floating-point operation, by the ISA's reference functions. */
uint64_t host_ir_fp(struct vcpu *v, const struct ir_insn *i, const uint64_t *val);

#endif
