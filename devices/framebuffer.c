/* See framebuffer.h. */
#include "devices/framebuffer.h"

#include <stdlib.h>

#include "mmu/bus.h"

static bool lies_in(const struct region *ram, uint64_t off, const struct surface *s)
{
    uint64_t len = (uint64_t)s->stride * s->height;

    return s->width && s->height && s->width <= DISPLAY_MAX && s->height <= DISPLAY_MAX &&
           s->stride >= s->width * pixel_bytes(s->format) && len <= ram->size && off <= ram->size - len;
}

static bool same(const struct surface *a, const struct surface *b)
{
    return a->data == b->data && a->width == b->width && a->height == b->height && a->stride == b->stride &&
           a->format == b->format;
}

void framebuffer_dark(struct framebuffer *f)
{
    if (f->shown.data)
        display_set_surface(f->display, NULL);
    f->shown = (struct surface){0};
    bus_watch_stop(f->bus, &f->watch);
    free(f->news);
    f->news = NULL;
}

bool framebuffer_show(struct framebuffer *f, const struct region *ram, uint64_t off, const struct surface *s)
{
    struct surface now = *s;
    struct err e;

    if (!lies_in(ram, off, s)) {
        framebuffer_dark(f);
        return false;
    }
    now.data = ram->host + off;
    if (same(&f->shown, &now))
        return true;
    f->shown = now;
    f->skip = off % PAGE_SIZE;
    free(f->news);
    f->news = NULL;
    if (bus_watch_start(f->bus, &f->watch, ram, off, (uint64_t)now.stride * now.height, &e))
        f->news = calloc(1, (f->watch.pages + 7) / 8);
    display_set_surface(f->display, &now);
    return true;
}

static bool is_news(const struct framebuffer *f, size_t page)
{
    return page < f->watch.pages && f->news[page / 8] >> page % 8 & 1;
}

/* Pages [from, to) were written: the rows that have bytes in them. */
static void damage(struct framebuffer *f, size_t from, size_t to)
{
    uint64_t begin = from ? from * PAGE_SIZE - f->skip : 0, end = to * PAGE_SIZE - f->skip;
    uint64_t first = begin / f->shown.stride, last = (end + f->shown.stride - 1) / f->shown.stride;

    display_damage(f->display, 0, (uint32_t)first, f->shown.width, (uint32_t)(last - first));
}

void framebuffer_touch(struct framebuffer *f) { display_damage(f->display, 0, 0, f->shown.width, f->shown.height); }

void framebuffer_refresh(struct framebuffer *f)
{
    if (!f->shown.data)
        return;
    if (!f->news) { /* there was no memory to watch it with */
        framebuffer_touch(f);
        return;
    }
    if (!bus_watch_take(f->bus, &f->watch, f->news))
        return;
    for (size_t page = 0, from; page < f->watch.pages; page++) {
        if (!is_news(f, page))
            continue;
        for (from = page; is_news(f, page + 1);)
            page++;
        damage(f, from, page + 1);
    }
}

void framebuffer_fini(struct framebuffer *f)
{
    if (f->display)
        framebuffer_dark(f);
    display_free(f->display);
    f->display = NULL;
}
