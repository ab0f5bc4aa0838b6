/* Fuzz target: ramfb. Configurations of hostile sizes, strides and addresses, whole and in parts; every pixel is read. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"
#include "devices/fw_cfg.h"
#include "devices/ramfb.h"
#include "tests/fuzz/machine.h"

enum { AT_REQUEST = 0x40, AT_CONFIG = 0x80 };

static struct fuzz_machine m;
static struct device *dev;
static struct display_viewer viewer;
static uint32_t line[DISPLAY_MAX];

static gpa address(struct fuzz_in *in)
{
    return fuzz_take(in, 1) & 1 ? FUZZ_BASE + fuzz_take(in, 1) % 0x18 : FUZZ_RAM + fuzz_take(in, 2);
}

static void look(void)
{
    struct display *d = ramfb_screen(dev);
    struct display_update u;

    display_refresh(d);
    if (display_begin(d, &viewer, &u) && u.has_surface)
        for (unsigned i = 0; i < u.rects; i++)
            for (uint32_t y = 0; y < u.rect[i].h; y++)
                display_read(&u.surface, &(struct display_rect){u.rect[i].x, u.rect[i].y + y, u.rect[i].w, 1}, line, 0);
    display_end(d, &viewer);
}

/* What lies at AT_CONFIG, len bytes of it. */
static void submit(uint32_t len)
{
    uint8_t d[16];

    st32be(d, 0x00200018);
    st32be(d + 4, len);
    st64be(d + 8, FUZZ_RAM + AT_CONFIG);
    dma_write(m.bus, FUZZ_RAM + AT_REQUEST, d, sizeof d);
    bus_write(m.bus, FUZZ_BASE + 0x10, 8, __builtin_bswap64(FUZZ_RAM + AT_REQUEST));
}

static uint32_t side(struct fuzz_in *in)
{
    static const uint32_t edges[] = {0, 16384, 16385, 0x40000000, 0x80000000, UINT32_MAX, 4096, 65536};
    uint32_t b = (uint32_t)fuzz_take(in, 1);

    return b < 0xe0 ? b : edges[b & 7];
}

static void configure(struct fuzz_in *in, unsigned kind)
{
    static const char formats[][5] = {"XR24", "AR24", "XB24", "BX24", "RX24", "RG24", "RG16", "R8  "};
    uint8_t c[RAMFB_CONFIG] = {0};

    st64be(c, kind & 1 ? fuzz_take(in, 8) : FUZZ_RAM + fuzz_take(in, 3) % (FUZZ_RAM_SIZE + 0x100));
    st32be(c + 8, ld32((const uint8_t *)formats[fuzz_take(in, 1) % 8]));
    st32be(c + 16, side(in));
    st32be(c + 20, side(in));
    st32be(c + 24, kind & 2 ? (uint32_t)fuzz_take(in, 4) : side(in) * 4);
    dma_write(m.bus, FUZZ_RAM + AT_CONFIG, c, sizeof c);
    submit(sizeof c);
}

static void event(struct fuzz_in *in, unsigned kind)
{
    switch (kind % 8) {
    case 0: look(); break;
    case 1: submit((uint32_t)fuzz_take(in, 1)); break;
    case 2: fuzz_disturb(dev, in); break;
    default: configure(in, kind);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device *fw;
    struct err e;

    fuzz_machine_open(&m);
    fw = fw_cfg_new(&m.env, "fw_cfg");
    dev = ramfb_new(&m.env, "ramfb", &e);
    if (!fw || !device_map(fw, FUZZ_BASE, &e) || !dev || !ramfb_offer(dev, fw, &e))
        abort();
    viewer = (struct display_viewer){0};
    display_attach(ramfb_screen(dev), &viewer);
    fuzz_run(&m, &(struct fuzz_target){fw, address, event}, data, size);
    look();
    display_detach(ramfb_screen(dev), &viewer);
    device_free(fw);
    device_free(dev);
    fuzz_machine_close(&m);
    return 0;
}
