/* See simplefb.h. */
#include "devices/simplefb.h"

#include <stdlib.h>
#include <string.h>

#include "devices/framebuffer.h"

struct simplefb {
    struct device dev; /* first */
    struct framebuffer fb;
    uint64_t off;
    const struct region *ram;
    struct surface surface;
};

static void simplefb_reset(struct device *d)
{
    struct simplefb *s = (struct simplefb *)d;
    uint64_t len = (uint64_t)s->surface.stride * s->surface.height;

    memset(s->ram->host + s->off, 0, len);
    bus_ram_written(d->bus, s->ram, s->off, len);
}

static void simplefb_update(struct device *d) { framebuffer_touch(&((struct simplefb *)d)->fb); }

static void screen_refresh(void *dev)
{
    struct simplefb *s = dev;

    device_lock(s);
    framebuffer_refresh(&s->fb);
    device_unlock(s);
}

static const struct display_ops screen_ops = {.refresh = screen_refresh};

struct display *simplefb_screen(struct device *d) { return ((struct simplefb *)d)->fb.display; }

static void simplefb_free(struct device *d)
{
    struct simplefb *s = (struct simplefb *)d;

    framebuffer_fini(&s->fb);
    device_fini(d);
    free(s);
}

static const struct field simplefb_state[] = {{0}};

static const struct device_ops simplefb_ops = {
    .name = "simple-framebuffer",
    .state = simplefb_state,
    .reset = simplefb_reset,
    .update = simplefb_update,
    .free = simplefb_free,
};

struct device *simplefb_new(const struct device_env *env, const char *name, gpa base, const struct surface *surface,
                            struct err *e)
{
    struct simplefb *s = calloc(1, sizeof *s);

    if (!s) {
        err_set(e, "%s: out of memory", name);
        return NULL;
    }
    device_init(&s->dev, &simplefb_ops, name, env);
    s->surface = *surface;
    s->fb.bus = env->bus;
    s->fb.display = display_new(name, &screen_ops, s);
    s->ram = bus_find(env->bus, base);
    if (!s->fb.display)
        err_set(e, "%s: out of memory", name);
    else if (!s->ram || s->ram->kind != REGION_RAM ||
             !framebuffer_show(&s->fb, s->ram, s->off = base - s->ram->base, surface))
        err_set(e, "%s: no memory at its place", name);
    else
        return &s->dev;
    simplefb_free(&s->dev);
    return NULL;
}
