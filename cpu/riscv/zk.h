/* The AES instructions as functions of their operands, for exec_ and generated code alike. */
#ifndef CPU_RISCV_ZK_H
#define CPU_RISCV_ZK_H

#include "base/types.h"

uint64_t zk_aes64es(uint64_t a, uint64_t b);
uint64_t zk_aes64esm(uint64_t a, uint64_t b);
uint64_t zk_aes64ds(uint64_t a, uint64_t b);
uint64_t zk_aes64dsm(uint64_t a, uint64_t b);
uint64_t zk_aes64im(uint64_t a, uint64_t b); /* b is not looked at */
uint64_t zk_aes64ks1i(uint64_t a, uint64_t round);

#endif
