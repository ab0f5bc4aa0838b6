/*
 * bochs-display: a PCI display without VGA's past. Video memory in BAR 0, registers in BAR 2; no interrupt, no
 * acceleration. Linux's bochs driver, EDK2's QemuVideoDxe and U-Boot drive it. The video memory is the bus's: who saves all
 * RAM (bus_next_ram) saves it, the device's state is its registers.
 *
 * BAR 2: EDID at 0, VGA ports from 0x3c0 at 0x400 (only what blanks the screen), Bochs' VBE registers (16 bits each) at
 * 0x500, byte order at 0x600. Sources: QEMU docs/specs/standard-vga.rst; Bochs' VBE extensions; Linux
 * drivers/gpu/drm/tiny/bochs.c.
 */
#ifndef DEVICES_BOCHS_DISPLAY_H
#define DEVICES_BOCHS_DISPLAY_H

#include "devices/pci.h"

struct display;

struct bochs_display_options {
    uint64_t vgamem;     /* bytes, 4 MiB to 256 MiB, made a power of two; 0: 16 MiB */
    unsigned xres, yres; /* the monitor at first, pixels, 32 to 16384; 0: 1280 x 800 */
    bool no_edid;
};

struct pci_device *bochs_display_new(const struct device_env *env, const char *name,
                                     const struct bochs_display_options *o, struct err *e);
struct display *bochs_display_screen(struct pci_device *p);

#endif
