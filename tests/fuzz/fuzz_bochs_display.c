/*
 * Fuzz target: bochs-display. Registers, modes at the edges of its video memory, BARs that move, a window that is resized,
 * and a viewer that reads every pixel it is told of.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "devices/bochs_display.h"
#include "devices/display.h"
#include "devices/pci_host.h"
#include "tests/fuzz/machine.h"

#define ECAM UINT64_C(0x30000000)
#define FN (ECAM + 0x8000)
#define MEM32 UINT64_C(0x40000000)
#define VIDEO MEM32
#define REGS (MEM32 + 0x1000000)

enum { MEMORY = 4 << 20, LOOKS = 6 };

static struct fuzz_machine m;
static struct pci_device *p;
static struct display_viewer viewer;
static unsigned looks;
static uint32_t line[DISPLAY_MAX];

static gpa address(struct fuzz_in *in)
{
    switch (fuzz_take(in, 1) % 6) {
    case 0: return FN + fuzz_take(in, 1);
    case 1: return VIDEO + fuzz_take(in, 3);
    case 2: return VIDEO + MEMORY - 8 + fuzz_take(in, 1) % 16;
    case 3: return REGS + fuzz_take(in, 2) % 0x1008;
    case 4: return REGS + 0x400 + fuzz_take(in, 1) % 0x20;
    default: return REGS + 0x500 + fuzz_take(in, 2) % 0x110;
    }
}

static void look(void)
{
    struct display *d = bochs_display_screen(p);
    struct display_update u;

    if (looks++ >= LOOKS)
        return;
    display_refresh(d);
    if (display_begin(d, &viewer, &u) && u.has_surface)
        for (unsigned i = 0; i < u.rects; i++)
            for (uint32_t y = 0; y < u.rect[i].h; y++)
                display_read(&u.surface, &(struct display_rect){u.rect[i].x, u.rect[i].y + y, u.rect[i].w, 1}, line, 0);
    display_end(d, &viewer);
}

static void vbe(unsigned reg, unsigned v) { bus_write(m.bus, REGS + 0x500 + 2 * reg, 2, v); }

/* Ordinary modes, often shifted to where they may just fit. */
static void mode(struct fuzz_in *in)
{
    static const uint16_t sides[] = {64, 640, 480, 1024, 2048, 63, 65535, 100};
    static const uint8_t depths[] = {32, 16, 24, 8};

    vbe(4, 0);
    vbe(1, sides[fuzz_take(in, 1) % 8]);
    vbe(2, sides[fuzz_take(in, 1) % 8]);
    vbe(3, depths[fuzz_take(in, 1) % 4]);
    vbe(6, (unsigned)fuzz_take(in, 1) * 8);
    vbe(8, (unsigned)fuzz_take(in, 1) & 0x87);
    vbe(9, (unsigned)fuzz_take(in, 1) * 8);
    vbe(4, 0x41);
}

static void event(struct fuzz_in *in, unsigned kind)
{
    switch (kind % 6) {
    case 0:
    case 1: mode(in); break;
    case 2:
        display_wants_size(bochs_display_screen(p), (uint32_t)fuzz_take(in, 3), (uint32_t)fuzz_take(in, 2), 0, 9);
        break;
    case 3: bus_write(m.bus, FN + 0x10, 4, VIDEO + (fuzz_take(in, 1) << 20)); break;
    case 4: /* as firmware leaves it */
        bus_write(m.bus, FN + 0x10, 4, VIDEO);
        bus_write(m.bus, FN + 0x18, 4, REGS);
        bus_write(m.bus, FN + 4, 2, 2);
        break;
    default: look();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pci_host_config c = {.ecam = ECAM, .mem32 = {MEM32, 0x40000000}};
    struct device *host;
    struct err e;

    fuzz_machine_open(&m);
    host = pci_host_new(&m.env, "pcie", &c);
    p = bochs_display_new(&m.env, "screen", &(struct bochs_display_options){.vgamem = MEMORY}, &e);
    if (!host || !pci_host_map(host, &e) || !p || !pci_add(host, p, -1, &e))
        abort();
    looks = 0;
    viewer = (struct display_viewer){0};
    display_attach(bochs_display_screen(p), &viewer);
    event(&(struct fuzz_in){0}, 4);
    fuzz_run(&m, &(struct fuzz_target){&p->dev, address, event}, data, size);
    look();
    display_detach(bochs_display_screen(p), &viewer);
    device_free(&p->dev);
    device_free(host);
    fuzz_machine_close(&m);
    return 0;
}
