/* See ui_host.h. */
#include "tests/unit/ui_host.h"

#include <stdlib.h>
#include <string.h>

static void new_frame(struct host_window *w, uint32_t width, uint32_t height)
{
    free(w->px);
    w->width = width;
    w->height = height;
    w->px = malloc(sizeof *w->px * width * height);
    for (size_t i = 0; i < (size_t)width * height; i++)
        w->px[i] = 0x123456; /* nobody drew this */
}

static struct host_window *window_new(struct host *h, const char *title, uint32_t width, uint32_t height, struct err *e)
{
    struct fake_host *f = (struct fake_host *)h;
    struct host_window *w = &f->window[f->windows];

    if (f->windows == FAKE_WINDOWS) {
        err_set(e, "no more windows");
        return NULL;
    }
    f->windows++;
    w->host = f;
    strncpy(w->title, title, sizeof w->title - 1);
    new_frame(w, width, height);
    return w;
}

static void window_free(struct host_window *w)
{
    free(w->px);
    w->px = NULL;
    w->freed = true;
}

static void set_title(struct host_window *w, const char *title) { strncpy(w->title, title, sizeof w->title - 1); }

static void set_icon(struct host_window *w, const struct ui_cursor *picture)
{
    w->icon_corner = picture->argb[0];
    w->icon_middle = picture->argb[picture->h / 2 * picture->w + 4];
}

static void set_size(struct host_window *w, uint32_t width, uint32_t height)
{
    new_frame(w, width, height);
    fake_put(w->host, (struct host_event){.type = HOST_RESIZED, .window = w});
}

static void set_fullscreen(struct host_window *w, bool on) { w->full_screen = on; }

static void get_size(struct host_window *w, struct host_size *s)
{
    *s = (struct host_size){w->width, w->height, w->host->density, 50, 2000, 1500};
}

static bool frame(struct host_window *w, struct canvas *c)
{
    *c = (struct canvas){w->px, w->width, w->height, w->width};
    return true;
}

static void show(struct host_window *w, const struct ui_rect *r, unsigned n)
{
    w->shows++;
    for (unsigned i = 0; i < n; i++) {
        uint32_t x1 = w->shown.x + w->shown.w, y1 = w->shown.y + w->shown.h;

        if (r[i].x + r[i].w > w->width || r[i].y + r[i].h > w->height)
            abort(); /* outside of the window */
        w->shown_pixels += (uint64_t)r[i].w * r[i].h;
        if (!w->shown.w) {
            w->shown = r[i];
            continue;
        }
        x1 = x1 > r[i].x + r[i].w ? x1 : r[i].x + r[i].w;
        y1 = y1 > r[i].y + r[i].h ? y1 : r[i].y + r[i].h;
        w->shown.x = w->shown.x < r[i].x ? w->shown.x : r[i].x;
        w->shown.y = w->shown.y < r[i].y ? w->shown.y : r[i].y;
        w->shown.w = x1 - w->shown.x;
        w->shown.h = y1 - w->shown.y;
    }
}

static void set_pointer(struct host_window *w, enum ui_shape shape, const struct ui_cursor *c)
{
    w->shape = shape;
    w->cursor = c ? *c : (struct ui_cursor){0};
}

static void set_grab(struct host_window *w, bool keyboard, bool relative)
{
    w->keyboard = keyboard;
    w->relative = relative;
}

static void set_text(struct host_window *w, bool on) { w->text = on; }

static void copy(struct host *h, const char *utf8)
{
    struct fake_host *f = (struct fake_host *)h;

    free(f->clipboard);
    f->clipboard = strdup(utf8);
}

static char *paste(struct host *h)
{
    struct fake_host *f = (struct fake_host *)h;

    return f->clipboard ? strdup(f->clipboard) : NULL;
}

/* Never waits: says what it would have. */
static bool next(struct host *h, int ms, struct host_event *e)
{
    struct fake_host *f = (struct fake_host *)h;

    if (ms)
        f->waited = ms;
    if (!f->count) {
        if (!f->wakes)
            return false;
        f->wakes = 0;
        *e = (struct host_event){.type = HOST_WAKE};
        return true;
    }
    *e = f->event[f->first];
    f->first = (f->first + 1) % FAKE_EVENTS;
    f->count--;
    return true;
}

static void wake(struct host *h) { ((struct fake_host *)h)->wakes++; }
static uint64_t now(struct host *h) { return ((struct fake_host *)h)->now; }
static void no_free(struct host *h) { (void)h; }

static const struct host_ops ops = {
    .window_new = window_new,
    .window_free = window_free,
    .set_title = set_title,
    .set_icon = set_icon,
    .set_size = set_size,
    .set_fullscreen = set_fullscreen,
    .get_size = get_size,
    .frame = frame,
    .show = show,
    .set_pointer = set_pointer,
    .set_grab = set_grab,
    .set_text = set_text,
    .copy = copy,
    .paste = paste,
    .next = next,
    .wake = wake,
    .now = now,
    .free = no_free,
};

void fake_host_init(struct fake_host *f)
{
    memset(f, 0, sizeof *f);
    f->host.ops = &ops;
    f->now = 1000;
    f->density = 1;
}

void fake_host_fini(struct fake_host *f) { free(f->clipboard); }

void fake_put(struct fake_host *f, struct host_event e)
{
    if (f->count == FAKE_EVENTS)
        abort();
    f->event[(f->first + f->count++) % FAKE_EVENTS] = e;
}

void fake_type(struct fake_host *f, unsigned n, enum host_event_type t)
{
    fake_put(f, (struct host_event){.type = t, .window = &f->window[n]});
}

void fake_key(struct fake_host *f, unsigned n, uint16_t code, bool down, unsigned mods, uint32_t label)
{
    fake_put(f,
             (struct host_event){
                 .type = HOST_KEY, .window = &f->window[n], .code = code, .down = down, .mods = mods, .label = label});
}

void fake_motion(struct fake_host *f, unsigned n, int32_t x, int32_t y, int32_t dx, int32_t dy)
{
    fake_put(f, (struct host_event){.type = HOST_MOTION, .window = &f->window[n], .x = x, .y = y, .dx = dx, .dy = dy});
}

void fake_button(struct fake_host *f, unsigned n, uint16_t code, bool down, int32_t x, int32_t y)
{
    fake_put(
        f, (struct host_event){
               .type = HOST_BUTTON, .window = &f->window[n], .code = code, .down = down, .clicks = 1, .x = x, .y = y});
}

void fake_resize(struct fake_host *f, unsigned n, uint32_t width, uint32_t height)
{
    new_frame(&f->window[n], width, height);
    fake_type(f, n, HOST_RESIZED);
}

uint32_t fake_pixel(const struct fake_host *f, unsigned n, uint32_t x, uint32_t y)
{
    return f->window[n].px[(size_t)y * f->window[n].width + x];
}
