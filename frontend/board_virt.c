/* The board table. See board_virt.def. */
#include "frontend/board_virt.h"

#include "base/bits.h"
#include "frontend/fdt_virt.h"

const struct board_row board_virt[BOARD_ROWS] = {
#define BOARD(id, name, base, size, irq, fdt) [BOARD_##id] = {name, base, size, irq, fdt},
#include "frontend/board_virt.def"
#undef BOARD
};

gpa board_pcie_mem64(uint64_t ram) { return align_up(board_virt[BOARD_DRAM].base + ram, BOARD_PCIE_MEM64_SIZE); }
