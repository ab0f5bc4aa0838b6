/*
 * See screen.h. Bindings: Linux Documentation/devicetree/bindings/display/simple-framebuffer.yaml,
 * reserved-memory/framebuffer.yaml of dt-schema. Cells are as wide as the root's, as Linux wants them in /reserved-memory.
 */
#include "frontend/screen.h"

#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/board_virt.h"
#include "frontend/config.h"
#include "frontend/machine_parts.h"

#define ALIGN (UINT64_C(2) << 20)       /* so that the rest of memory is in large pages */
#define LEAST_LEFT (UINT64_C(16) << 20) /* for the guest itself */
enum { WIDTH = 1280, HEIGHT = 800, SIDE_MIN = 64 };

static bool format_named(const char *name, struct screen *s)
{
    static const struct {
        const char *name;
        enum pixel_format format;
    } formats[] = {{"x8r8g8b8", PIXEL_XRGB8888}, {"a8r8g8b8", PIXEL_XRGB8888}, {"x8b8g8r8", PIXEL_XBGR8888},
                   {"a8b8g8r8", PIXEL_XBGR8888}, {"r8g8b8", PIXEL_RGB888},     {"r5g6b5", PIXEL_RGB565}};

    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(formats[i].name, name)) {
            s->format = formats[i].name;
            s->surface.format = formats[i].format;
            return true;
        }
    return false;
}

static bool plan(const struct machine_config *c, const struct device_config *d, struct screen *s, struct err *e)
{
    const char *format = device_prop(d, "format");
    uint64_t width = WIDTH, height = HEIGHT, len;
    gpa ram = board_virt[BOARD_DRAM].base;

    if (!device_number(d, "width", DISPLAY_MAX, &width, e) || !device_number(d, "height", DISPLAY_MAX, &height, e))
        return false;
    if (width < SIDE_MIN || height < SIDE_MIN)
        return err_set(e, "width and height must be at least %d", SIDE_MIN);
    if (!format_named(format ? format : "x8r8g8b8", s))
        return err_set(e, "format=%s: expected x8r8g8b8, x8b8g8r8, r8g8b8 or r5g6b5", format);
    s->surface.width = (uint32_t)width;
    s->surface.height = (uint32_t)height;
    s->surface.stride = (uint32_t)align_up(width * pixel_bytes(s->surface.format), 64);
    len = (uint64_t)s->surface.stride * height;
    if (len + ALIGN + LEAST_LEFT > c->ram)
        return err_set(e, "a screen of %" PRIu64 "x%" PRIu64 " takes too much of %" PRIu64 " MiB of memory", width,
                       height, c->ram >> 20);
    s->base = align_down(ram + c->ram - len, ALIGN);
    s->size = ram + c->ram - s->base;
    return true;
}

bool screen_plan(const struct machine_config *c, struct screen *s, struct err *e)
{
    *s = (struct screen){0};
    for (unsigned i = 0; i < c->devices; i++) {
        if (c->device[i].type->kind != DEVICE_SIMPLEFB)
            continue;
        if (s->base)
            return err_set(e, "more than one simple-framebuffer");
        if (!plan(c, &c->device[i], s, e))
            return false;
    }
    return true;
}

static int set_string(void *fdt, int at, const char *name, const char *v)
{
    return fdt_setprop(fdt, at, name, v, (int)strlen(v) + 1);
}

/* address and size in the root's cells. */
static int set_reg(void *fdt, int at, uint64_t base, uint64_t size)
{
    const uint64_t v[] = {base, size};
    const int cells[] = {fdt_address_cells(fdt, 0), fdt_size_cells(fdt, 0)};
    uint8_t reg[16];
    int n = 0;

    for (int i = 0; i < 2; i++) {
        if (cells[i] == 2)
            st64be(reg + n, v[i]);
        else if (cells[i] == 1 && v[i] <= UINT32_MAX)
            st32be(reg + n, (uint32_t)v[i]);
        else
            return -FDT_ERR_BADNCELLS;
        n += 4 * cells[i];
    }
    return fdt_setprop(fdt, at, "reg", reg, n);
}

/* The node name below the root, with the root's cells and addresses. Negative: a code. */
static int bus_node(void *fdt, const char *name)
{
    int at = fdt_subnode_offset(fdt, 0, name), rc;

    if (at == -FDT_ERR_NOTFOUND)
        at = fdt_add_subnode(fdt, 0, name);
    if (at < 0)
        return at;
    rc = fdt_setprop_u32(fdt, at, "#address-cells", (uint32_t)fdt_address_cells(fdt, 0));
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "#size-cells", (uint32_t)fdt_size_cells(fdt, 0));
    rc = rc ? rc : fdt_setprop_empty(fdt, at, "ranges");
    return rc ? rc : at;
}

int screen_describe(void *fdt, const struct screen *s)
{
    uint32_t phandle = fdt_get_max_phandle(fdt) + 1;
    char name[32];
    int at = bus_node(fdt, "reserved-memory"), rc;

    snprintf(name, sizeof name, "framebuffer@%" PRIx64, s->base);
    at = at < 0 ? at : fdt_add_subnode(fdt, at, name);
    if (at < 0)
        return at;
    rc = set_reg(fdt, at, s->base, s->size);
    rc = rc ? rc : fdt_setprop_empty(fdt, at, "no-map");
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "phandle", phandle);
    at = rc ? rc : bus_node(fdt, "chosen");
    at = at < 0 ? at : fdt_add_subnode(fdt, at, name);
    if (at < 0)
        return at;
    rc = set_string(fdt, at, "compatible", "simple-framebuffer");
    rc = rc ? rc : set_reg(fdt, at, s->base, (uint64_t)s->surface.stride * s->surface.height);
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "memory-region", phandle);
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "width", s->surface.width);
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "height", s->surface.height);
    rc = rc ? rc : fdt_setprop_u32(fdt, at, "stride", s->surface.stride);
    return rc ? rc : set_string(fdt, at, "format", s->format);
}
