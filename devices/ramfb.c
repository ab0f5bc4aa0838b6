/* ramfb: see ramfb.h. What the guest wrote is the state; a picture follows from it when it lies in RAM, whole. */
#include "devices/ramfb.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/framebuffer.h"
#include "devices/fw_cfg.h"

enum { AT_ADDR = 0, AT_FOURCC = 8, AT_WIDTH = 16, AT_HEIGHT = 20, AT_STRIDE = 24 };

struct ramfb {
    struct device dev; /* first */
    struct framebuffer fb;
    uint8_t config[RAMFB_CONFIG]; /* state: as written */
};

#define FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static bool format_of(uint32_t fourcc, enum pixel_format *f)
{
    static const struct {
        uint32_t fourcc;
        enum pixel_format format;
    } known[] = {
        {FOURCC('X', 'R', '2', '4'), PIXEL_XRGB8888}, {FOURCC('A', 'R', '2', '4'), PIXEL_XRGB8888},
        {FOURCC('X', 'B', '2', '4'), PIXEL_XBGR8888}, {FOURCC('A', 'B', '2', '4'), PIXEL_XBGR8888},
        {FOURCC('B', 'X', '2', '4'), PIXEL_BGRX8888}, {FOURCC('B', 'A', '2', '4'), PIXEL_BGRX8888},
        {FOURCC('R', 'X', '2', '4'), PIXEL_RGBX8888}, {FOURCC('R', 'A', '2', '4'), PIXEL_RGBX8888},
        {FOURCC('R', 'G', '2', '4'), PIXEL_RGB888},   {FOURCC('R', 'G', '1', '6'), PIXEL_RGB565},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].fourcc == fourcc) {
            *f = known[i].format;
            return true;
        }
    return false;
}

static bool show(struct ramfb *r)
{
    gpa addr = ld64be(r->config + AT_ADDR);
    const struct region *ram = bus_find(r->dev.bus, addr);
    struct surface s = {.width = ld32be(r->config + AT_WIDTH),
                        .height = ld32be(r->config + AT_HEIGHT),
                        .stride = ld32be(r->config + AT_STRIDE)};

    if (!format_of(ld32be(r->config + AT_FOURCC), &s.format) || !ram || ram->kind != REGION_RAM)
        return false;
    if (!s.stride && s.width <= DISPLAY_MAX)
        s.stride = s.width * pixel_bytes(s.format);
    return framebuffer_show(&r->fb, ram, addr - ram->base, &s);
}

static void screen_update(struct ramfb *r)
{
    static const uint8_t none[RAMFB_CONFIG];

    if (show(r))
        return;
    framebuffer_dark(&r->fb);
    if (memcmp(r->config, none, sizeof none))
        log_guest(&r->dev, "%" PRIu32 "x%" PRIu32 " of format 0x%08" PRIx32 " at 0x%" PRIx64 " cannot be shown",
                  ld32be(r->config + AT_WIDTH), ld32be(r->config + AT_HEIGHT), ld32be(r->config + AT_FOURCC),
                  ld64be(r->config + AT_ADDR));
}

static void ramfb_update(struct device *d)
{
    screen_update((struct ramfb *)d);
    framebuffer_touch(&((struct ramfb *)d)->fb);
}

/* Under fw_cfg's lock. */
static void config_written(void *arg, const void *data, uint32_t off, uint32_t len)
{
    struct ramfb *r = arg;

    (void)off;
    (void)len;
    device_lock(r);
    memcpy(r->config, data, sizeof r->config);
    screen_update(r);
    device_unlock(r);
}

static void screen_refresh(void *dev)
{
    struct ramfb *r = dev;

    device_lock(r);
    framebuffer_refresh(&r->fb);
    device_unlock(r);
}

static const struct display_ops screen_ops = {.refresh = screen_refresh};

struct display *ramfb_screen(struct device *d) { return ((struct ramfb *)d)->fb.display; }

static void ramfb_free(struct device *d)
{
    struct ramfb *r = (struct ramfb *)d;

    framebuffer_fini(&r->fb);
    device_fini(d);
    free(r);
}

static const struct field ramfb_state[] = {FIELD_ARRAY(struct ramfb, config, RAMFB_CONFIG), {0}};

static const struct device_ops ramfb_ops = {
    .name = "ramfb",
    .state = ramfb_state,
    .update = ramfb_update,
    .free = ramfb_free,
};

bool ramfb_offer(struct device *d, struct device *fw_cfg, struct err *e)
{
    return fw_cfg_add(
        fw_cfg,
        &(struct fw_cfg_item){
            .name = "etc/ramfb", .len = RAMFB_CONFIG, .writable = true, .written = config_written, .arg = d},
        e);
}

struct device *ramfb_new(const struct device_env *env, const char *name, struct err *e)
{
    struct ramfb *r = calloc(1, sizeof *r);

    if (!r) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    device_init(&r->dev, &ramfb_ops, name, env);
    r->fb.bus = env->bus;
    r->fb.display = display_new(name, &screen_ops, r);
    if (r->fb.display)
        return &r->dev;
    err_set(e, "%s: out of memory", name);
    ramfb_free(&r->dev);
    return NULL;
}
