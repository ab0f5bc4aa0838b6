/*
 * Windows by SDL 2; see sdl.h and host.h.
 *
 * A window's pixels are SDL's window surface: under X11 that is shared memory with the server, and showing rectangles of it
 * costs one copy and no graphics library. Where SDL has no such thing (Wayland) it makes a texture of it by itself.
 */
#include "frontend/ui/sdl.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/ui/sdl_parts.h"

static struct sdl_lib *lib(struct host *h) { return &((struct sdl_host *)h)->sdl; }

/* --- sizes --- */

/* X11 says nothing of dense screens; desktops tell programs by this variable. */
static double told_density(const struct sdl_host *h)
{
    const char *driver = h->sdl.GetCurrentVideoDriver(), *scale = getenv("GDK_SCALE");

    if (!driver || strcmp(driver, "x11") || !scale || scale[0] < '1' || scale[0] > '4' || scale[1])
        return 1;
    return scale[0] - '0';
}

void sdl_measure(struct host_window *w)
{
    struct sdl_lib *s = &w->host->sdl;
    int units, pixels, height;

    s->GetWindowSize(w->win, &units, &height);
    s->GetWindowSizeInPixels(w->win, &pixels, &height);
    w->ratio = units > 0 && pixels > 0 ? (double)pixels / units : 1;
}

static void get_size(struct host_window *w, struct host_size *out)
{
    struct sdl_lib *s = &w->host->sdl;
    int width = 0, height = 0, top = 0, left = 0, bottom = 0, right = 0;
    SDL_DisplayMode mode;
    SDL_Rect room;

    *out = (struct host_size){.density = w->ratio * told_density(w->host), .hz = 60};
    s->GetWindowSizeInPixels(w->win, &width, &height);
    out->width = out->most_width = (uint32_t)(width > 0 ? width : 1);
    out->height = out->most_height = (uint32_t)(height > 0 ? height : 1);
    if (!s->GetDesktopDisplayMode(s->GetWindowDisplayIndex(w->win), &mode) && mode.refresh_rate > 0)
        out->hz = (unsigned)mode.refresh_rate;
    if (s->GetDisplayUsableBounds(s->GetWindowDisplayIndex(w->win), &room))
        return;
    s->GetWindowBordersSize(w->win, &top, &left, &bottom, &right);
    room.w -= left + right;
    room.h -= top + bottom;
    out->most_width = (uint32_t)((room.w > 64 ? room.w : 64) * w->ratio);
    out->most_height = (uint32_t)((room.h > 64 ? room.h : 64) * w->ratio);
}

/* --- windows --- */

/* c's pixels stay where they are. */
static SDL_Surface *picture_of(struct sdl_lib *s, const struct ui_cursor *c)
{
    return s->CreateRGBSurfaceWithFormatFrom((void *)(uintptr_t)c->argb, (int)c->w, (int)c->h, 32, (int)c->w * 4,
                                             SDL_PIXELFORMAT_ARGB8888);
}

static struct host_window *window_new(struct host *host, const char *title, uint32_t width, uint32_t height,
                                      struct err *e)
{
    struct sdl_host *h = (struct sdl_host *)host;
    struct host_window *w = calloc(1, sizeof *w);
    double density = told_density(h);
    SDL_Rect room = {0, 0, 4096, 4096};

    if (!w) {
        err_set(e, "out of memory");
        return NULL;
    }
    h->sdl.GetDisplayUsableBounds(0, &room);
    room.w = room.w * 98 / 100; /* a frame and a title have room too */
    room.h = room.h * 93 / 100;
    width = (uint32_t)(width * density) < (uint32_t)room.w ? (uint32_t)(width * density) : (uint32_t)room.w;
    height = (uint32_t)(height * density) < (uint32_t)room.h ? (uint32_t)(height * density) : (uint32_t)room.h;
    w->host = h;
    w->win = h->sdl.CreateWindow(title, (int)SDL_WINDOWPOS_UNDEFINED, (int)SDL_WINDOWPOS_UNDEFINED, (int)width,
                                 (int)height, SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    if (!w->win) {
        err_set(e, "no window: %s", h->sdl.GetError());
        free(w);
        return NULL;
    }
    w->id = h->sdl.GetWindowID(w->win);
    h->sdl.SetWindowMinimumSize(w->win, 160, 120);
    sdl_measure(w);
    w->next = h->windows;
    h->windows = w;
    return w;
}

static void free_shadow(struct host_window *w)
{
    if (!w->shadow)
        return;
    free(w->shadow->pixels);
    w->host->sdl.FreeSurface(w->shadow);
    w->shadow = NULL;
}

static void window_free(struct host_window *w)
{
    struct sdl_host *h = w->host;

    for (struct host_window **p = &h->windows; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    if (h->under_pointer == w)
        h->under_pointer = NULL;
    free_shadow(w);
    if (w->picture)
        h->sdl.FreeCursor(w->picture);
    h->sdl.DestroyWindow(w->win);
    free(w);
}

static void set_title(struct host_window *w, const char *title) { w->host->sdl.SetWindowTitle(w->win, title); }

static void set_icon(struct host_window *w, const struct ui_cursor *c)
{
    struct sdl_lib *s = &w->host->sdl;
    SDL_Surface *picture = picture_of(s, c);

    if (!picture)
        return;
    s->SetWindowIcon(w->win, picture);
    s->FreeSurface(picture);
}

static void set_size(struct host_window *w, uint32_t width, uint32_t height)
{
    w->host->sdl.SetWindowSize(w->win, (int)(width / w->ratio + 0.5), (int)(height / w->ratio + 0.5));
}

static void set_fullscreen(struct host_window *w, bool on)
{
    w->host->sdl.SetWindowFullscreen(w->win, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

/* --- pixels --- */

static bool ours(const SDL_Surface *s)
{
    return s->format->format == SDL_PIXELFORMAT_RGB888 || s->format->format == SDL_PIXELFORMAT_ARGB8888;
}

static bool make_shadow(struct host_window *w)
{
    int width = w->frame->w, height = w->frame->h;
    void *px;

    if (w->shadow && w->shadow->w == width && w->shadow->h == height)
        return true;
    free_shadow(w);
    px = calloc((size_t)width * height, 4);
    if (!px)
        return false;
    w->shadow = w->host->sdl.CreateRGBSurfaceWithFormatFrom(px, width, height, 32, width * 4, SDL_PIXELFORMAT_RGB888);
    if (!w->shadow)
        free(px);
    return w->shadow;
}

static bool frame(struct host_window *w, struct canvas *c)
{
    SDL_Surface *s;

    w->frame = w->host->sdl.GetWindowSurface(w->win);
    if (!w->frame || !w->frame->pixels || (!ours(w->frame) && !make_shadow(w)))
        return false;
    s = ours(w->frame) ? w->frame : w->shadow;
    *c = (struct canvas){s->pixels, (uint32_t)s->w, (uint32_t)s->h, (uint32_t)s->pitch / 4};
    return true;
}

static void show(struct host_window *w, const struct ui_rect *r, unsigned n)
{
    SDL_Rect rect[32];

    n = n > ARRAY_LEN(rect) ? ARRAY_LEN(rect) : n;
    for (unsigned i = 0; i < n; i++) {
        rect[i] = (SDL_Rect){(int)r[i].x, (int)r[i].y, (int)r[i].w, (int)r[i].h};
        if (!ours(w->frame)) {
            SDL_Rect to = rect[i];

            w->host->sdl.UpperBlit(w->shadow, &rect[i], w->frame, &to);
        }
    }
    w->host->sdl.UpdateWindowSurfaceRects(w->win, rect, (int)n);
}

/* --- the pointer --- */

static SDL_Cursor *color_cursor(struct sdl_lib *s, const struct ui_cursor *c)
{
    SDL_Surface *picture = picture_of(s, c);
    SDL_Cursor *cursor = NULL;

    if (picture) {
        cursor = s->CreateColorCursor(picture, (int)c->hot_x, (int)c->hot_y);
        s->FreeSurface(picture);
    }
    return cursor;
}

static SDL_Cursor *dot(struct sdl_lib *s)
{
    const uint32_t b = 0xff000000, w = 0xffffffff;
    const uint32_t px[] = {b, b, b, b, b, b, w, w, w, b, b, w, w, w, b, b, w, w, w, b, b, b, b, b, b};

    return color_cursor(s, &(struct ui_cursor){5, 5, 2, 2, px});
}

static SDL_Cursor *shape_cursor(struct sdl_host *h, enum ui_shape shape)
{
    if (!h->cursor[shape])
        h->cursor[shape] =
            shape == UI_SHAPE_DOT
                ? dot(&h->sdl)
                : h->sdl.CreateSystemCursor(shape == UI_SHAPE_TEXT ? SDL_SYSTEM_CURSOR_IBEAM : SDL_SYSTEM_CURSOR_ARROW);
    return h->cursor[shape];
}

void sdl_apply_pointer(struct host_window *w)
{
    struct sdl_lib *s = &w->host->sdl;
    SDL_Cursor *c = w->picture;

    if (w->host->under_pointer != w)
        return;
    if (w->shape < UI_SHAPE_NONE)
        c = shape_cursor(w->host, w->shape);
    if (c && w->shape != UI_SHAPE_NONE)
        s->SetCursor(c);
    s->ShowCursor(c && w->shape != UI_SHAPE_NONE ? SDL_ENABLE : SDL_DISABLE);
}

static void set_pointer(struct host_window *w, enum ui_shape shape, const struct ui_cursor *c)
{
    SDL_Cursor *was = w->picture;

    if (shape == w->shape && shape != UI_SHAPE_PICTURE)
        return;
    w->shape = shape;
    w->picture = shape == UI_SHAPE_PICTURE ? color_cursor(&w->host->sdl, c) : NULL;
    sdl_apply_pointer(w);
    if (was)
        w->host->sdl.FreeCursor(was);
}

static void set_grab(struct host_window *w, bool keyboard, bool relative)
{
    w->host->sdl.SetWindowKeyboardGrab(w->win, keyboard ? SDL_TRUE : SDL_FALSE);
    if (relative != w->host->relative)
        w->host->sdl.SetRelativeMouseMode(relative ? SDL_TRUE : SDL_FALSE);
    w->host->relative = relative;
}

/* --- text and clipboard --- */

static void set_text(struct host_window *w, bool on)
{
    if (on)
        w->host->sdl.StartTextInput();
    else
        w->host->sdl.StopTextInput();
}

static void copy(struct host *h, const char *utf8) { lib(h)->SetClipboardText(utf8); }

static char *paste(struct host *h)
{
    char *text = lib(h)->GetClipboardText(), *mine = text ? strdup(text) : NULL;

    lib(h)->free(text);
    return mine;
}

static uint64_t now(struct host *h) { return lib(h)->GetTicks64() + 1; }

/* --- life --- */

static void host_free(struct host *host)
{
    struct sdl_host *h = (struct sdl_host *)host;

    for (unsigned i = 0; i < SHAPES; i++)
        if (h->cursor[i])
            h->sdl.FreeCursor(h->cursor[i]);
    if (h->woken)
        h->sdl.DestroySemaphore(h->woken);
    if (h->started)
        h->sdl.QuitSubSystem(SDL_INIT_VIDEO);
    sdl_lib_unload(&h->sdl);
    free(h);
}

static void set_hints(struct sdl_lib *s)
{
    static const char *const hint[][2] = {
        {SDL_HINT_NO_SIGNAL_HANDLERS, "1"}, /* signals are the machine's loop's */
        {SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0"},
        {SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1"},
        {SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0"},
        {SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0"}, /* full screen beside another screen */
        {SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1"},
        {SDL_HINT_APP_NAME, "guise"},
    };

    for (size_t i = 0; i < ARRAY_LEN(hint); i++)
        s->SetHint(hint[i][0], hint[i][1]);
}

#define NO_SCREEN "no screen for a window (DISPLAY or WAYLAND_DISPLAY say where one is)"

static bool start(struct sdl_host *h, struct err *e)
{
    struct sdl_lib *s = &h->sdl;
    const char *driver;

    if (!sdl_lib_load(s, e))
        return false;
    set_hints(s);
    if (s->InitSubSystem(SDL_INIT_VIDEO))
        return err_set(e, NO_SCREEN ": %s", s->GetError());
    h->started = true;
    driver = s->GetCurrentVideoDriver();
    if (driver && !strcmp(driver, "x11")) /* a texture for what is only copied costs more, much more without a GPU */
        s->SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    h->deaf = driver && (!strcmp(driver, "dummy") || !strcmp(driver, "offscreen"));
    if (h->deaf && !getenv("SDL_VIDEODRIVER")) /* SDL's last resort; a window that nobody can see is no window */
        return err_set(e, NO_SCREEN ": %s", "none found");
    h->wake_event = s->RegisterEvents(1);
    h->woken = s->CreateSemaphore(0);
    s->EventState(SDL_FINGERMOTION, SDL_IGNORE); /* comes as the pointer, too */
    return h->woken || err_set(e, "SDL: %s", s->GetError());
}

struct host *sdl_host_new(struct err *e)
{
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
        .next = sdl_next,
        .wake = sdl_wake,
        .now = now,
        .free = host_free,
    };
    struct sdl_host *h = calloc(1, sizeof *h);

    if (!h) {
        err_set(e, "out of memory");
        return NULL;
    }
    h->host.ops = &ops;
    if (start(h, e))
        return &h->host;
    host_free(&h->host);
    return NULL;
}
