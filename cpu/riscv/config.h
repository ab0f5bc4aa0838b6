/*
 * What one RISC-V CPU model is: its extensions, sizes and identity, and the decoder made for them.
 *
 * Made once by isa_config_parse from `--cpu NAME[,PROPERTY...]`, then constant: shared by all vCPUs of a machine
 * without a lock. The owner (the machine) outlives them.
 */
#ifndef CPU_RISCV_CONFIG_H
#define CPU_RISCV_CONFIG_H

#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

enum isa_ext {
#define EXT(id, ...) EXT_##id,
#include "cpu/riscv/ext.def"
#undef EXT
    EXT_COUNT
};

struct insn_index;

struct isa_config {
    const char *name;       /* of the profile: static */
    bool ext[EXT_COUNT];
    unsigned xlen;          /* 64 */
    unsigned sv_levels;     /* deepest paging: 3 Sv39, 4 Sv48, 5 Sv57; 0: Bare only */
    unsigned pmp_count;     /* 0, 16 or 64 entries */
    unsigned asid_bits;     /* 16 */
    unsigned hpm_count;     /* programmable counters, from mhpmcounter3 on */
    unsigned cbo_size;      /* bytes of a cache block: 64 */
    uint64_t mvendorid, marchid, mimpid;
    struct insn_index *index; /* the decoder's tables: owned */
};

/* spec: "rv64", "max,zbb=off,sv48=on,+zfh,-zkr". Unknown names and contradictions are errors. c needs isa_config_fini. */
bool isa_config_parse(struct isa_config *c, const char *spec, struct err *e);
void isa_config_fini(struct isa_config *c);

static inline bool isa_has(const struct isa_config *c, enum isa_ext x) { return c->ext[x]; }

/* "rv64imafdcb_zic64b_...", cut at size; the length it wants is returned as snprintf does. */
size_t isa_string(const struct isa_config *c, char *buf, size_t size);
/* riscv,isa-extensions: the names one after another, each with its NUL. Returns the bytes wanted. */
size_t isa_extensions(const struct isa_config *c, char *buf, size_t size);
/* The device tree's mmu-type: "riscv,sv39"..., "riscv,none". */
const char *isa_mmu_type(const struct isa_config *c);
/* For -cpu help: the models, then the properties. */
void isa_config_help(FILE *f);
/* Model names, for completion and query-cpu-definitions; NULL ends. */
const char *isa_config_name(unsigned n);
const char *isa_ext_name(enum isa_ext x);

#endif
