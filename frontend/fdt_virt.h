/*
 * The device tree of the `virt` board: its nodes come from the board table, the CPUs' from the ISA configuration.
 */
#ifndef FRONTEND_FDT_VIRT_H
#define FRONTEND_FDT_VIRT_H

#include "base/err.h"
#include "base/types.h"
#include "frontend/board_virt.h"

struct isa_config;
struct screen;

struct fdt_spec {
    const struct isa_config *isa;
    unsigned cpus;
    uint64_t ram;
    bool aclint;
    unsigned ps2; /* ports */
    const char *bootargs;           /* NULL: none */
    gpa initrd_start, initrd_end;   /* equal: none */
    uint8_t rng_seed[32];
    uint64_t kaslr_seed;
    const struct screen *screen;    /* NULL, or without a base: none */
    const void *user;               /* -dtb: used as it is but for /chosen; NULL: build ours */
    uint64_t user_len;
};

/* A flattened tree in heap memory of *len bytes, the caller frees it. NULL: e is set. */
void *fdt_virt_build(const struct fdt_spec *spec, uint64_t *len, struct err *e);

/* Emitters of the board table. */
void fdt_nothing(struct fdt_out *f, const struct board_row *row);
void fdt_test(struct fdt_out *f, const struct board_row *row);
void fdt_rtc(struct fdt_out *f, const struct board_row *row);
void fdt_clint(struct fdt_out *f, const struct board_row *row);
void fdt_sswi(struct fdt_out *f, const struct board_row *row);
void fdt_ps2(struct fdt_out *f, const struct board_row *row);
void fdt_plic(struct fdt_out *f, const struct board_row *row);
void fdt_uart(struct fdt_out *f, const struct board_row *row);
void fdt_virtio(struct fdt_out *f, const struct board_row *row);
void fdt_fw_cfg(struct fdt_out *f, const struct board_row *row);
void fdt_flash(struct fdt_out *f, const struct board_row *row);
void fdt_pcie(struct fdt_out *f, const struct board_row *row);

#endif
