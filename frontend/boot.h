/*
 * What is in memory and in the registers when the machine starts: firmware, kernel, initrd, device tree, reset vector.
 * Done again at every reset, as the guest has written over it.
 */
#ifndef FRONTEND_BOOT_H
#define FRONTEND_BOOT_H

#include "base/err.h"
#include "base/types.h"
#include "frontend/config.h"
#include "frontend/loader.h"

struct bus;
struct gate;
struct isa_config;

enum { BOOT_MROM_SIZE = 0xf000 };

struct boot {
    const struct machine_config *config;
    const struct isa_config *isa;
    struct bus *bus;
    struct gate *gate;
    uint8_t *mrom; /* BOOT_MROM_SIZE bytes, mapped as ROM */
    bool said;     /* a note on missing firmware was printed */
    /* results of boot_load */
    gpa start;     /* where harts begin: S-mode under the native SBI, else M-mode */
    gpa fdt;
    bool supervisor;           /* native SBI */
    struct loaded program;     /* the kernel, or what -device loader brought: entry and symbols */
    gpa cpu_pc[CONFIG_MAX_CPUS]; /* -device loader,cpu-num=: 0 = start */
};

/* Firmware in flash boots this machine: kernel, initrd and command line are fw_cfg's, not memory's. */
bool boot_by_flash(const struct machine_config *c);
bool boot_load(struct boot *b, struct err *e);
/* Only the device tree, to a file (-machine dumpdtb=). */
bool boot_dump_fdt(struct boot *b, const char *path, struct err *e);
/* Memory from begin_signature to end_signature as lines of 8 hex digits. */
bool boot_dump_signature(const struct boot *b, const char *path, struct err *e);

#endif
