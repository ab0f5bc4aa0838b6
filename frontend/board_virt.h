/* The address space of the `virt` board, from board_virt.def. */
#ifndef FRONTEND_BOARD_VIRT_H
#define FRONTEND_BOARD_VIRT_H

#include "base/types.h"

struct fdt_out;
struct board_row;

enum board_id {
#define BOARD(id, ...) BOARD_##id,
#include "frontend/board_virt.def"
#undef BOARD
    BOARD_ROWS
};

enum { BOARD_VIRTIO_SLOTS = 8, BOARD_PCIE_LINES = 4, BOARD_PS2_SLOTS = 4 };

struct board_row {
    const char *name;
    gpa base;
    uint64_t size; /* 0: given by the config (RAM) */
    unsigned irq;
    void (*fdt)(struct fdt_out *f, const struct board_row *row); /* emit its node(s) */
};

extern const struct board_row board_virt[BOARD_ROWS];

/* The 64-bit PCI window: above RAM, aligned to its size of 16 GiB. */
#define BOARD_PCIE_MEM64_SIZE (UINT64_C(16) << 30)
gpa board_pcie_mem64(uint64_t ram);

#endif
