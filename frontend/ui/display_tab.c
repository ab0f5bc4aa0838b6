/*
 * A guest's screen in the window; see display_tab.h.
 *
 * What is new of the picture is taken from the display by rectangles. A screen that the guest draws without a word (a frame
 * buffer) is looked at as often as it is drawn, and less and less often while nothing changes; a key or the pointer
 * makes that quick again.
 */
#include "frontend/ui/display_tab.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/display.h"
#include "frontend/ui/display_input.h"

enum {
    QUICK_MS = 16,
    SLOW_MS = 250,
    TYPE_MS = 20,     /* between letters that are typed for somebody, */
    TYPE_LETTERS = 4, /* so many at once: a virtio keyboard has room for 64 events */
};

struct display_tab {
    struct ui_tab tab; /* first */
    struct display *display;
    struct display_viewer viewer;
    struct guest_input in;
    bool has_surface, drawn_cursor;
    uint32_t width, height; /* of the surface, as the canvas is */
    unsigned look_ms;       /* a polled display's next look */
    uint32_t *cursor_px;
    struct display_cursor cursor; /* argb is cursor_px, NULL: none */
    int32_t cursor_x, cursor_y;
    bool cursor_visible, had_cursor;
    char *typing; /* what is left to be typed, and where in it */
    size_t typed;
};

static void notified(void *arg) { ui_tab_wake(&((struct display_tab *)arg)->tab); }

static const char no_screen[] = "No picture yet.\nThe guest has not begun to draw, or has no driver for this screen.";

static void take_surface(struct display_tab *t, const struct surface *s)
{
    bool has = s && s->data;
    uint32_t width = has ? s->width : 0, height = has ? s->height : 0;

    if (has == t->has_surface && width == t->width && height == t->height)
        return;
    t->has_surface = has;
    t->width = width;
    t->height = height;
    t->tab.message = has ? NULL : no_screen;
    t->tab.resized = true;
}

static void tab_size(struct ui_tab *tab, uint32_t win_w, uint32_t win_h, double density, uint32_t *w, uint32_t *h)
{
    struct display_tab *t = (struct display_tab *)tab;

    (void)density;
    take_surface(t, display_lock(t->display));
    display_unlock(t->display);
    tab->resized = false;
    *w = t->has_surface ? t->width : win_w;
    *h = t->has_surface ? t->height : win_h;
}

static void tab_settled(struct ui_tab *tab, uint32_t w, uint32_t h, uint32_t mm_w, uint32_t mm_h)
{
    display_wants_size(((struct display_tab *)tab)->display, w, h, mm_w, mm_h);
}

/* --- the guest's pointer --- */

static void take_cursor(struct display_tab *t)
{
    struct display_cursor c;

    display_cursor(t->display, &c);
    t->cursor = (struct display_cursor){0};
    if (!c.argb)
        return;
    if (!t->cursor_px)
        t->cursor_px = malloc(sizeof *t->cursor_px * DISPLAY_CURSOR_MAX * DISPLAY_CURSOR_MAX);
    if (!t->cursor_px)
        return;
    memcpy(t->cursor_px, c.argb, sizeof *t->cursor_px * c.w * c.h);
    t->cursor = c;
    t->cursor.argb = t->cursor_px;
    t->had_cursor = true;
}

/* Who draws the pointer: the host, where it points absolutely. */
static void choose_shape(struct display_tab *t)
{
    bool live = guest_input_pointer(&t->in);
    enum ui_shape shape = UI_SHAPE_ARROW;

    t->tab.relative = live && !guest_input_absolute(&t->in);
    if (t->tab.relative)
        shape = UI_SHAPE_ARROW; /* until it is grabbed */
    else if (live && t->had_cursor)
        shape = t->cursor.argb && t->cursor_visible ? UI_SHAPE_PICTURE : UI_SHAPE_NONE;
    else if (live)
        shape = UI_SHAPE_DOT;
    t->tab.shape_new |= shape != t->tab.shape;
    t->tab.shape = shape;
    t->tab.cursor = (struct ui_cursor){t->cursor.w, t->cursor.h, t->cursor.hot_x, t->cursor.hot_y, t->cursor.argb};
}

/* The part of the canvas that the drawn pointer covers; w 0: none. */
static struct display_rect cursor_rect(const struct display_tab *t)
{
    int64_t x0 = t->cursor_x, y0 = t->cursor_y, x1 = x0 + t->cursor.w, y1 = y0 + t->cursor.h;

    if (!t->cursor.argb || !t->cursor_visible)
        return (struct display_rect){0};
    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 > t->width ? t->width : x1;
    y1 = y1 > t->height ? t->height : y1;
    if (x0 >= x1 || y0 >= y1)
        return (struct display_rect){0};
    return (struct display_rect){(uint32_t)x0, (uint32_t)y0, (uint32_t)(x1 - x0), (uint32_t)(y1 - y0)};
}

static uint32_t over(uint32_t below, uint32_t argb)
{
    uint32_t a = argb >> 24, rb, g;

    a += a >> 7; /* 0..256 */
    rb = ((below & 0xff00ff) * (256 - a) + (argb & 0xff00ff) * a) >> 8;
    g = ((below & 0xff00) * (256 - a) + (argb & 0xff00) * a) >> 8;
    return (rb & 0xff00ff) | (g & 0xff00);
}

static void draw_cursor(const struct display_tab *t, const struct canvas *c)
{
    struct display_rect r = cursor_rect(t);

    for (uint32_t y = r.y; y < r.y + r.h; y++)
        for (uint32_t x = r.x; x < r.x + r.w; x++) {
            uint32_t *px = &c->px[(size_t)y * c->stride + x];

            *px = over(*px, t->cursor.argb[(y - t->cursor_y) * (size_t)t->cursor.w + (x - t->cursor_x)]);
        }
}

/* --- the picture --- */

static unsigned add(struct ui_rect *out, unsigned n, struct display_rect r)
{
    if (!r.w || !r.h)
        return n;
    if (n == UI_RECTS) { /* the last one grows over it */
        struct ui_rect *o = &out[n - 1];
        uint32_t x1 = o->x + o->w > r.x + r.w ? o->x + o->w : r.x + r.w;
        uint32_t y1 = o->y + o->h > r.y + r.h ? o->y + o->h : r.y + r.h;

        o->x = o->x < r.x ? o->x : r.x;
        o->y = o->y < r.y ? o->y : r.y;
        o->w = x1 - o->x;
        o->h = y1 - o->y;
        return n;
    }
    out[n] = (struct ui_rect){r.x, r.y, r.w, r.h};
    return n + 1;
}

/* What is new since the last time, as rectangles; the pointer where it was and where it is, too. */
static unsigned gather(struct display_tab *t, bool all, struct ui_rect *rect)
{
    struct display_rect old = t->drawn_cursor ? cursor_rect(t) : (struct display_rect){0};
    struct display_update u;
    bool any = display_begin(t->display, &t->viewer, &u), moved;
    unsigned n = 0;

    moved = any && (u.new_cursor || u.cursor_moved);
    if (any && u.new_cursor)
        take_cursor(t);
    if (any)
        take_surface(t, u.has_surface ? &u.surface : NULL);
    display_end(t->display, &t->viewer);
    t->cursor_visible = u.cursor_visible;
    t->cursor_x = u.cursor_x;
    t->cursor_y = u.cursor_y;
    t->tab.shape_new |= any && u.new_cursor;
    choose_shape(t);
    if (all && t->has_surface)
        return add(rect, 0, (struct display_rect){0, 0, t->width, t->height});
    for (unsigned i = 0; i < u.rects; i++)
        n = add(rect, n, u.rect[i]);
    if (moved || t->drawn_cursor != t->tab.relative) {
        n = add(rect, n, old);
        if (t->tab.relative)
            n = add(rect, n, cursor_rect(t));
    }
    return n;
}

static void read_rects(struct display_tab *t, const struct canvas *c, const struct ui_rect *rect, unsigned n)
{
    const struct surface *s = display_lock(t->display);

    if (s->data && s->width == c->width && s->height == c->height)
        for (unsigned i = 0; i < n; i++) {
            struct display_rect r = {rect[i].x, rect[i].y, rect[i].w, rect[i].h};

            display_read(s, &r, c->px + (size_t)r.y * c->stride + r.x, (size_t)c->stride * sizeof *c->px);
        }
    else /* another one since: its news came already */
        take_surface(t, s);
    display_unlock(t->display);
}

static void stop_typing(struct display_tab *t)
{
    free(t->typing);
    t->typing = NULL;
}

static void type_some(struct display_tab *t)
{
    for (unsigned n = 0; t->typing && n < TYPE_LETTERS; n++)
        if (t->typing[t->typed])
            guest_input_letter(&t->in, t->typing[t->typed++]);
        else
            stop_typing(t);
}

static unsigned tab_draw(struct ui_tab *tab, const struct canvas *c, bool all, struct ui_rect rect[UI_RECTS])
{
    struct display_tab *t = (struct display_tab *)tab;
    unsigned n;

    type_some(t);
    if (display_is_polled(t->display))
        display_refresh(t->display);
    n = gather(t, all, rect);
    if (tab->resized)
        return 0;
    t->look_ms = n || t->look_ms < QUICK_MS ? QUICK_MS : t->look_ms * 2 > SLOW_MS ? SLOW_MS : t->look_ms * 2;
    if (!t->has_surface) {
        if (!all)
            return 0;
        for (uint32_t y = 0; y < c->height; y++)
            memset(c->px + (size_t)y * c->stride, 0, sizeof *c->px * c->width);
        rect[0] = (struct ui_rect){0, 0, c->width, c->height};
        return 1;
    }
    read_rects(t, c, rect, n);
    t->drawn_cursor = tab->relative;
    if (tab->relative && n)
        draw_cursor(t, c);
    return n;
}

static unsigned tab_next(struct ui_tab *tab)
{
    struct display_tab *t = (struct display_tab *)tab;

    if (t->typing)
        return TYPE_MS;
    return display_is_polled(t->display) ? t->look_ms : 0;
}

/* --- keys and pointer --- */

static void tab_key(struct ui_tab *tab, const struct ui_key *k)
{
    struct display_tab *t = (struct display_tab *)tab;

    t->look_ms = QUICK_MS;
    if (k->down)
        stop_typing(t);
    guest_input_key(&t->in, k);
}

static void tab_paste(struct ui_tab *tab, const char *utf8)
{
    struct display_tab *t = (struct display_tab *)tab;

    stop_typing(t);
    t->typing = strdup(utf8);
    t->typed = 0;
}

static void tab_pointer(struct ui_tab *tab, const struct ui_pointer *p)
{
    struct display_tab *t = (struct display_tab *)tab;
    bool relative = tab->relative;

    t->look_ms = QUICK_MS;
    choose_shape(t);
    if (tab->shape_new || relative != tab->relative)
        ui_tab_wake(tab);
    if (t->has_surface)
        guest_input_pointer_event(&t->in, p, t->width, t->height);
}

static void tab_focus(struct ui_tab *tab, bool in)
{
    struct display_tab *t = (struct display_tab *)tab;

    if (!in)
        guest_input_release(&t->in);
}

static void tab_free(struct ui_tab *tab)
{
    struct display_tab *t = (struct display_tab *)tab;

    stop_typing(t);
    guest_input_release(&t->in);
    display_detach(t->display, &t->viewer);
    free(t->cursor_px);
    free(t);
}

static const struct ui_tab_ops display_ops = {
    .size = tab_size,
    .settled = tab_settled,
    .draw = tab_draw,
    .key = tab_key,
    .pointer = tab_pointer,
    .focus = tab_focus,
    .paste = tab_paste,
    .next = tab_next,
    .free = tab_free,
};

struct ui_tab *display_tab_new(struct display *d, struct input *in, const char *name)
{
    struct display_tab *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->tab.ops = &display_ops;
    t->tab.name = name;
    t->tab.keys_to_guest = true;
    t->tab.follows = display_can_resize(d);
    t->tab.message = no_screen;
    t->display = d;
    t->look_ms = QUICK_MS;
    t->in.input = in;
    t->viewer.notify = notified;
    t->viewer.arg = t;
    display_attach(d, &t->viewer);
    return &t->tab;
}
