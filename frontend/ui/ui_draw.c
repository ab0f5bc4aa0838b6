/*
 * From a tab's canvas to the window's frame. A canvas that needs no scaling is a part of the frame, and the tab draws there;
 * another one has memory of its own, and what changed in it is scaled over. Then boxes (messages, menu) that were touched
 * are drawn again on top, and the host shows the rectangles that changed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/display.h"
#include "frontend/ui/ui_parts.h"

enum {
    RECTS = UI_RECTS + 8,
    CANVAS_MOST = 40 << 20, /* pixels that are scaled: 8K has 32 Mi. A guest must not fill the host's memory */
};

static const double zooms[] = {0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8};

struct changes {
    struct ui_rect rect[RECTS];
    unsigned n;
};

static void changed(struct changes *c, struct ui_rect r)
{
    if (r.w && r.h && c->n < RECTS)
        c->rect[c->n++] = r;
}

/* --- layout --- */

static uint32_t divided(uint32_t pixels, double by)
{
    double n = pixels / by;

    return n < 1 ? 1 : (uint32_t)n;
}

static double zoom_of(const struct ui_window *w)
{
    const struct ui_tab *t = ui_current(w);

    return t->ops->zoom ? 1 : w->zoom;
}

/* Ask the host for a window of so much picture; not at once, since its frame may be in use. */
static void ask_size(struct ui_window *w, uint32_t pic_w, uint32_t pic_h)
{
    uint32_t width = (uint32_t)(pic_w * w->zoom), height = (uint32_t)(pic_h * w->zoom);

    w->asked_w = width < w->size.most_width ? width : w->size.most_width;
    w->asked_h = height < w->size.most_height ? height : w->size.most_height;
    w->person_sized = false;
    w->ask = w->asked_w != w->size.width || w->asked_h != w->size.height;
}

static bool own_canvas(struct ui_window *w, uint32_t width, uint32_t height)
{
    size_t pixels = (size_t)width * height;

    free(w->own.px);
    w->own = (struct canvas){pixels <= CANVAS_MOST ? calloc(pixels, sizeof *w->own.px) : NULL, width, height, width};
    return w->own.px;
}

static void layout(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    uint32_t width = 0, height = 0;
    double z = zoom_of(w);

    t->resized = w->layout = false;
    w->all = true;
    t->ops->size(t, divided(w->size.width, z), divided(w->size.height, z), w->size.density, &width, &height);
    width = !width ? 1 : width > DISPLAY_MAX ? DISPLAY_MAX : width;
    height = !height ? 1 : height > DISPLAY_MAX ? DISPLAY_MAX : height;
    if (t->keys_to_guest && !t->message && !w->person_sized && !w->full_screen &&
        (width != w->view.pic_w || height != w->view.pic_h) &&
        (width != divided(w->size.width, z) || height != divided(w->size.height, z)))
        ask_size(w, width, height);
    w->too_large = !view_set(&w->view, w->size.width, w->size.height, width, height, w->ui->options.whole) ||
                   (w->view.how != VIEW_DIRECT && !own_canvas(w, width, height));
    if (w->too_large)
        w->view.w = w->view.h = 0;
}

void ui_settled(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    double mm = 25.4 / 96 / w->size.density;

    if (t && t->ops->settled)
        t->ops->settled(t, divided(w->size.width, zoom_of(w)), divided(w->size.height, zoom_of(w)),
                        (uint32_t)(w->size.width * mm), (uint32_t)(w->size.height * mm));
}

void ui_unscaled(struct ui_window *w)
{
    if (w->full_screen || !w->view.pic_w)
        return;
    w->zoom = 1;
    w->layout = true;
    ask_size(w, w->view.pic_w, w->view.pic_h);
    w->settle_at = ui_now(w->ui) + UI_SETTLE_MS;
    ui_redraw(w);
}

static double next_zoom(double z, int step)
{
    const int n = sizeof zooms / sizeof zooms[0];

    for (int i = 0; step > 0 && i < n; i++)
        if (zooms[i] > z + 0.01)
            return zooms[i];
    for (int i = n - 1; step < 0 && i >= 0; i--)
        if (zooms[i] < z - 0.01)
            return zooms[i];
    return z;
}

void ui_zoom(struct ui_window *w, int step)
{
    struct ui_tab *t = ui_current(w);
    double usual = w->size.density < 1.5 ? 1 : (double)(int)(w->size.density + 0.5);
    char text[32];

    if (t && t->ops->zoom)
        t->ops->zoom(t, step);
    else
        w->zoom = step ? next_zoom(w->zoom, step) : usual;
    w->layout = true;
    if (t && !t->ops->zoom) {
        snprintf(text, sizeof text, "%.0f %%", w->zoom * 100);
        ui_toast(w, text, 1500);
        if (!t->follows && !w->full_screen && w->view.pic_w)
            ask_size(w, w->view.pic_w, w->view.pic_h);
    }
    w->settle_at = ui_now(w->ui) + UI_SETTLE_MS;
    ui_redraw(w);
}

/* --- drawing --- */

static void draw_tab(struct ui_window *w, const struct canvas *frame, struct changes *c)
{
    struct ui_tab *t = ui_current(w);
    struct ui_rect rect[UI_RECTS], border[4];
    struct canvas pic = w->own;
    unsigned n;

    if (w->view.how == VIEW_DIRECT)
        pic = (struct canvas){frame->px + (size_t)w->view.y * frame->stride + w->view.x, w->view.w, w->view.h,
                              frame->stride};
    if (w->all) {
        n = view_borders(&w->view, frame, border);
        for (unsigned i = 0; i < n; i++)
            changed(c, border[i]);
    }
    if (!w->view.w || !w->view.h)
        return;
    n = t->ops->draw(t, &pic, w->all, rect);
    for (unsigned i = 0; i < n && !t->resized; i++)
        changed(c,
                w->view.how == VIEW_DIRECT ? view_rect(&w->view, rect[i]) : view_draw(&w->view, &pic, rect[i], frame));
}

static const char *message_of(const struct ui_window *w)
{
    const struct ui_tab *t = ui_current(w);

    if (w->ui->message && t->keys_to_guest)
        return w->ui->message;
    return w->too_large ? "This screen is too large to be shown." : t->message;
}

static void draw_boxes(struct ui_window *w, const struct canvas *frame, struct changes *c)
{
    struct {
        struct overlay *o;
        const char *text;
        enum overlay_place place;
    } box[] = {{&w->message, message_of(w), OVERLAY_MIDDLE},
               {&w->toast, w->toast_until ? w->toast_text : NULL, OVERLAY_BOTTOM}};

    for (unsigned i = 0; i < 2; i++) {
        box[i].o->shown = box[i].text;
        if (!box[i].text || (!w->all && !overlay_touched(box[i].o, c->rect, c->n)))
            continue;
        overlay_text(w->ui, box[i].o, frame, w->size.density, box[i].place, box[i].text);
        changed(c, box[i].o->at);
    }
    w->menu.shown = w->menu_state.open;
    if (w->menu.shown && (w->all || overlay_touched(&w->menu, c->rect, c->n))) {
        ui_menu_draw(w, frame);
        changed(c, w->menu.at);
    }
}

/* The guest's pointer, scaled as its picture is. */
static void scaled_pointer(struct ui_window *w, const struct ui_cursor *in)
{
    const struct view *v = &w->view;
    struct ui_cursor out = *in;
    uint32_t *px;

    if (v->how == VIEW_DIRECT || !v->pic_w || !v->pic_h) {
        w->ui->host->ops->set_pointer(w->hw, UI_SHAPE_PICTURE, in);
        return;
    }
    out.w = (uint32_t)((uint64_t)in->w * v->w / v->pic_w);
    out.h = (uint32_t)((uint64_t)in->h * v->h / v->pic_h);
    out.w = !out.w ? 1 : out.w > DISPLAY_CURSOR_MAX ? DISPLAY_CURSOR_MAX : out.w;
    out.h = !out.h ? 1 : out.h > DISPLAY_CURSOR_MAX ? DISPLAY_CURSOR_MAX : out.h;
    out.hot_x = (uint32_t)((uint64_t)in->hot_x * out.w / in->w);
    out.hot_y = (uint32_t)((uint64_t)in->hot_y * out.h / in->h);
    px = malloc(sizeof *px * out.w * out.h);
    if (!px)
        return;
    for (uint32_t y = 0; y < out.h; y++)
        for (uint32_t x = 0; x < out.w; x++)
            px[y * out.w + x] = in->argb[(uint64_t)y * in->h / out.h * in->w + (uint64_t)x * in->w / out.w];
    out.argb = px;
    w->ui->host->ops->set_pointer(w->hw, UI_SHAPE_PICTURE, &out);
    free(px);
}

static void set_pointer(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    enum ui_shape shape = t->shape;

    if (!t->shape_new && !w->all)
        return;
    t->shape_new = false;
    if (w->menu_state.open || (w->ui->options.show_cursor && shape != UI_SHAPE_TEXT))
        shape = UI_SHAPE_ARROW;
    if (shape == UI_SHAPE_PICTURE && t->cursor.argb && t->cursor.w && t->cursor.h)
        scaled_pointer(w, &t->cursor);
    else
        w->ui->host->ops->set_pointer(w->hw, shape, NULL);
}

void ui_draw(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    struct canvas frame;
    struct changes c = {.n = 0};

    if (!t || !w->ui->host->ops->frame(w->hw, &frame))
        return;
    if (frame.width != w->size.width || frame.height != w->size.height) {
        w->ui->host->ops->get_size(w->hw, &w->size);
        w->size.width = frame.width;
        w->size.height = frame.height;
        w->layout = true;
    }
    for (unsigned tries = 0; tries < 3; tries++) { /* a tab learns of another size or message as it draws */
        if (w->layout || t->resized)
            layout(w);
        c.n = 0;
        draw_tab(w, &frame, &c);
        if (!t->resized && message_of(w) == w->message_text)
            break;
        w->message_text = message_of(w);
        w->all = true;
    }
    draw_boxes(w, &frame, &c);
    set_pointer(w);
    if (t->resized)
        atomic_store(&w->dirty, true);
    w->all = false;
    if (c.n)
        w->ui->host->ops->show(w->hw, c.rect, c.n);
}

/* --- pictures of it --- */

static bool write_png(const struct canvas *c, const char *path)
{
    struct surface s = {c->width, c->height, c->stride * 4, PIXEL_XRGB8888, (const uint8_t *)c->px};
    struct display *d = display_new("picture", NULL, NULL);
    bool ok;

    if (!d)
        return false;
    display_set_surface(d, &s);
    ok = display_png(d, path);
    display_free(d);
    return ok;
}

/* NAME-20261231-235959.png in the current folder. A name with a slash in it gets another letter there. */
static void picture_path(const struct ui *ui, char *path, size_t len)
{
    time_t now = time(NULL);
    struct tm tm;
    char stamp[32];

    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    snprintf(path, len, "%.100s-%s.png", ui->options.name, stamp);
    for (char *p = path; *p; p++)
        if (*p == '/')
            *p = '_';
}

void ui_screenshot(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    uint32_t width = w->view.pic_w, height = w->view.pic_h;
    struct canvas c = {t && width ? malloc(sizeof *c.px * width * height) : NULL, width, height, width};
    struct ui_rect rect[UI_RECTS];
    char path[144], text[sizeof w->toast_text];

    if (!c.px)
        return;
    memset(c.px, 0, sizeof *c.px * width * height);
    t->ops->draw(t, &c, true, rect);
    picture_path(w->ui, path, sizeof path);
    if (write_png(&c, path))
        snprintf(text, sizeof text, "Saved %s", path);
    else
        snprintf(text, sizeof text, "No picture: %s", strerror(errno));
    free(c.px);
    ui_toast(w, text, 4000);
}
