/*
 * bochs-display: see bochs_display.h.
 *
 * The picture follows from the registers (screen_update), which a driver writes one by one: what is no mode on the way
 * shows nothing. The EDID says how large the viewer's window is; a guest reads it again when it looks for modes.
 */
#include "devices/bochs_display.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/gate.h"
#include "devices/edid.h"
#include "devices/framebuffer.h"

enum { /* places in BAR 2 */
       EDID_AT = 0x000,
       VGA_AT = 0x400,
       VBE_AT = 0x500,
       EXT_AT = 0x600,
       MMIO_SIZE = 0x1000,
};

enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X,
    VBE_Y,
    VBE_64K,
    VBE_REGS
};
enum { VBE_ID5 = 0xb0c5, VBE_ENABLED = 1, SIDE_MIN = 64 };
enum { VGA_PORTS = 0x20, VGA_ATTRIBUTE = 0x00, VGA_STATUS = 0x1a, ATTRIBUTE_SHOWS = 0x20 };
enum { EXT_ORDER = EXT_AT + 4, EXT_SIZE = 8 };
#define ORDER_LITTLE UINT32_C(0x1e1e1e1e)
#define ORDER_BIG UINT32_C(0xbebebebe)

enum { MONITOR_MIN = 32, NAME_MAX_LEN = 48, SIZE_WORDS = 4 /* of a message: pixels, then millimetres */ };
enum { VGAMEM = 16 << 20, VGAMEM_MIN = 4 << 20, VGAMEM_MAX = 256 << 20 };

struct bochs {
    struct pci_device pci; /* first */
    const struct region *vram;
    struct framebuffer fb;
    bool has_edid;
    uint8_t edid[EDID_MAX]; /* of monitor */
    struct gate_source resized;
    char resized_name[NAME_MAX_LEN];
    /* state */
    uint16_t vbe[VBE_REGS];
    bool big_endian;
    bool attribute_data; /* the next write of the attribute port is data */
    bool blank;
    uint32_t monitor[SIZE_WORDS]; /* the host's: outlives a reset */
};

/* --- the picture --- */

static bool mode(const struct bochs *b, struct surface *s, uint64_t *off)
{
    uint32_t bytes, line = b->vbe[VBE_VIRT_WIDTH] > b->vbe[VBE_XRES] ? b->vbe[VBE_VIRT_WIDTH] : b->vbe[VBE_XRES];

    switch (b->vbe[VBE_BPP]) {
    case 16: s->format = PIXEL_RGB565; break;
    case 24: s->format = PIXEL_RGB888; break;
    case 32: s->format = b->big_endian ? PIXEL_BGRX8888 : PIXEL_XRGB8888; break;
    default: return false;
    }
    bytes = pixel_bytes(s->format);
    s->width = b->vbe[VBE_XRES];
    s->height = b->vbe[VBE_YRES];
    s->stride = line * bytes;
    *off = (uint64_t)b->vbe[VBE_X] * bytes + (uint64_t)b->vbe[VBE_Y] * s->stride;
    return (b->vbe[VBE_ENABLE] & VBE_ENABLED) && !b->blank && s->width >= SIDE_MIN && s->height >= SIDE_MIN;
}

static void screen_update(struct bochs *b)
{
    struct surface s = {0};
    uint64_t off;

    if (!mode(b, &s, &off))
        framebuffer_dark(&b->fb);
    else if (!framebuffer_show(&b->fb, b->vram, off, &s))
        log_guest(&b->pci.dev, "%" PRIu32 "x%" PRIu32 " with rows of %" PRIu32 " bytes does not fit at 0x%" PRIx64,
                  s.width, s.height, s.stride, off);
}

static void screen_refresh(void *dev)
{
    struct bochs *b = dev;

    device_lock(b);
    framebuffer_refresh(&b->fb);
    device_unlock(b);
}

/* --- the monitor --- */

static uint32_t within(uint32_t side)
{
    return side < MONITOR_MIN ? MONITOR_MIN : side > DISPLAY_MAX ? DISPLAY_MAX : side;
}

static void monitor_update(struct bochs *b)
{
    b->monitor[0] = within(b->monitor[0]);
    b->monitor[1] = within(b->monitor[1]);
    if (b->has_edid)
        edid_make(b->edid, &(struct edid_options){.width = b->monitor[0],
                                                  .height = b->monitor[1],
                                                  .mm_width = b->monitor[2],
                                                  .mm_height = b->monitor[3]});
}

/* From a viewer, through the gate. The monitor of a machine is never unplugged. */
static void size_arrived(void *arg, const void *data, size_t len)
{
    struct bochs *b = arg;
    uint32_t w[SIZE_WORDS];

    if (len != sizeof w)
        return;
    memcpy(w, data, sizeof w);
    if (!w[0] || !w[1])
        return;
    device_lock(b);
    memcpy(b->monitor, w, sizeof w);
    monitor_update(b);
    device_unlock(b);
}

static void screen_resize(void *dev, uint32_t width, uint32_t height, uint32_t mm_width, uint32_t mm_height)
{
    const uint32_t w[SIZE_WORDS] = {width, height, mm_width, mm_height};

    gate_deliver(&((struct bochs *)dev)->resized, w, sizeof w);
}

static const struct display_ops screen_ops = {.resize = screen_resize, .refresh = screen_refresh};

struct display *bochs_display_screen(struct pci_device *p) { return ((struct bochs *)p)->fb.display; }

/* --- registers --- */

static uint16_t vbe_read(const struct bochs *b, unsigned reg)
{
    return reg == VBE_ID ? VBE_ID5 : reg == VBE_64K ? (uint16_t)(b->vram->size >> 16) : b->vbe[reg];
}

/* Attribute controller: index and data in turns; reading the status begins with an index. Its bit 5 shows the picture. */
static void vga_write(struct bochs *b, unsigned port, uint8_t v)
{
    if (port != VGA_ATTRIBUTE)
        return;
    if (!b->attribute_data)
        b->blank = !(v & ATTRIBUTE_SHOWS);
    b->attribute_data = !b->attribute_data;
}

static uint8_t byte_read(struct bochs *b, unsigned off)
{
    if (off < EDID_AT + EDID_MAX)
        return b->edid[off];
    if (off == VGA_AT + VGA_STATUS)
        b->attribute_data = false;
    if (off - VBE_AT < 2 * VBE_REGS)
        return (uint8_t)(vbe_read(b, (off - VBE_AT) / 2) >> 8 * (off & 1));
    if (off == EXT_AT)
        return EXT_SIZE;
    if (off - EXT_ORDER < 4)
        return (uint8_t)(b->big_endian ? ORDER_BIG : ORDER_LITTLE);
    return 0;
}

static uint64_t mmio_read(void *arg, gpa off, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)byte_read(arg, (unsigned)off + i) << 8 * i;
    return v;
}

static void mmio_write(void *arg, gpa off, uint64_t val, unsigned size)
{
    struct bochs *b = arg;

    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)off + i;
        uint8_t v = (uint8_t)(val >> 8 * i);

        if (at - VBE_AT < 2 * VBE_REGS)
            b->vbe[(at - VBE_AT) / 2] = (uint16_t)deposit64(b->vbe[(at - VBE_AT) / 2], 8 * (at & 1), 8, v);
        else if (at - VGA_AT < VGA_PORTS)
            vga_write(b, at - VGA_AT, v);
    }
    if (off == EXT_ORDER && size == 4 && (val == ORDER_BIG || val == ORDER_LITTLE))
        b->big_endian = val == ORDER_BIG;
    screen_update(b);
}

static const struct mmio_ops mmio_ops = {mmio_read, mmio_write, .min_size = 1, .max_size = 4, .split = true};

/* --- life --- */

static void bochs_reset(struct device *d) { pci_reset((struct pci_device *)d); }

static void bochs_update(struct device *d)
{
    struct bochs *b = (struct bochs *)d;

    pci_update(&b->pci);
    monitor_update(b);
    screen_update(b);
    framebuffer_touch(&b->fb);
}

static void bochs_free(struct device *d)
{
    struct bochs *b = (struct bochs *)d;

    gate_unregister(&b->resized);
    framebuffer_fini(&b->fb);
    pci_fini(&b->pci);
    free(b);
}

static void bochs_info(struct device *d, void (*line)(void *arg, const char *text), void *arg)
{
    struct bochs *b = (struct bochs *)d;
    char text[128];

    snprintf(text, sizeof text,
             "video memory: %" PRIu64 " KiB; monitor %" PRIu32 "x%" PRIu32 ", shows %" PRIu32 "x%" PRIu32,
             b->vram->size >> 10, b->monitor[0], b->monitor[1], b->fb.shown.width, b->fb.shown.height);
    line(arg, text);
}

static const struct field bochs_state[] = {
    PCI_FIELDS(struct bochs, pci),
    FIELD_ARRAY(struct bochs, vbe, VBE_REGS),
    FIELD(struct bochs, big_endian),
    FIELD(struct bochs, attribute_data),
    FIELD(struct bochs, blank),
    FIELD_KEEP(struct bochs, monitor),
    {0},
};

static const struct device_ops bochs_ops = {
    .name = "bochs-display",
    .state = bochs_state,
    .reset = bochs_reset,
    .update = bochs_update,
    .free = bochs_free,
    .info = bochs_info,
};

static bool options_fit(const char *name, const struct bochs_display_options *o, struct err *e)
{
    if (o->vgamem && (o->vgamem < VGAMEM_MIN || o->vgamem > VGAMEM_MAX))
        return err_set(e, "%s: vgamem must be %d to %d MiB", name, VGAMEM_MIN >> 20, VGAMEM_MAX >> 20);
    if ((o->xres && within(o->xres) != o->xres) || (o->yres && within(o->yres) != o->yres))
        return err_set(e, "%s: xres and yres must be %d to %d", name, MONITOR_MIN, DISPLAY_MAX);
    return true;
}

static uint64_t power_of_two(uint64_t size)
{
    uint64_t p = 1;

    while (p < size)
        p <<= 1;
    return p;
}

static bool fit_out(struct bochs *b, const struct bochs_display_options *o, struct err *e)
{
    struct device *d = &b->pci.dev;

    b->vram = bus_make_ram(d->bus, "video memory", o->vgamem ? power_of_two(o->vgamem) : VGAMEM, e);
    b->fb.bus = d->bus;
    b->fb.display = display_new(d->name, &screen_ops, b);
    if (!b->vram || !b->fb.display)
        return err_set(e, "%s: out of memory", d->name);
    return pci_set_ram_bar(&b->pci, 0, PCI_BAR_MEM32_PREFETCH, b->vram, e) &&
           pci_set_bar(&b->pci, 2, PCI_BAR_MEM32, MMIO_SIZE, &mmio_ops, b, e);
}

struct pci_device *bochs_display_new(const struct device_env *env, const char *name,
                                     const struct bochs_display_options *o, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x1234,
                                     .device = 0x1111,
                                     .subsystem_vendor = 0x1af4,
                                     .subsystem = 0x1100,
                                     .class_code = 0x038000, /* display controller, other */
                                     .revision = 2 /* has the byte order's register */};
    struct bochs *b;

    if (!options_fit(name, o, e))
        return NULL;
    b = calloc(1, sizeof *b);
    if (!b) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    pci_init(&b->pci, &bochs_ops, name, env, &id);
    b->has_edid = !o->no_edid;
    b->monitor[0] = o->xres ? o->xres : 1280;
    b->monitor[1] = o->yres ? o->yres : 800;
    snprintf(b->resized_name, sizeof b->resized_name, "%s.size", name);
    b->resized = (struct gate_source){.name = b->resized_name, .sink = size_arrived, .arg = b};
    gate_register(env->gate, &b->resized);
    if (fit_out(b, o, e)) {
        monitor_update(b);
        return &b->pci;
    }
    bochs_free(&b->pci.dev);
    return NULL;
}
