/*
 * Surfaces, damage, cursors and viewers; see display.h.
 *
 * Two locks. `lock` is held by a viewer that reads and by a device that takes a surface or the cursor's pixels away; so
 * what is read stays. `news` guards what is new for each viewer, and is held for moments only: a device that has drawn
 * something never waits for a viewer. Order: lock, news.
 *
 * Damage is up to DISPLAY_RECTS rectangles a viewer. A new one is joined with a neighbour when that paints no pixel in
 * vain, or when there is no room, with the one that grows least.
 */
#include "devices/display.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

struct display {
    const char *name; /* borrowed */
    const struct display_ops *ops;
    void *dev;
    pthread_mutex_t lock, news;
    struct surface surface; /* written under both locks; data NULL: none */
    struct display_cursor cursor;
    uint32_t *cursor_pixels; /* cursor.argb, as large as any may be; NULL until there was one */
    int32_t cursor_x, cursor_y;
    bool cursor_visible;
    struct display_viewer *viewers;
};

unsigned pixel_bytes(enum pixel_format f) { return f == PIXEL_RGB565 ? 2 : f == PIXEL_RGB888 ? 3 : 4; }

struct display *display_new(const char *name, const struct display_ops *ops, void *dev)
{
    struct display *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->name = name;
    d->ops = ops;
    d->dev = dev;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->news, NULL);
    return d;
}

void display_free(struct display *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->news);
    free(d->cursor_pixels);
    free(d);
}

const char *display_name(const struct display *d) { return d->name; }
bool display_can_resize(const struct display *d) { return d->ops && d->ops->resize; }
bool display_is_polled(const struct display *d) { return d->ops && d->ops->refresh; }

/* --- damage, under `news` --- */

static uint64_t area(const struct display_rect *r) { return (uint64_t)r->w * r->h; }

static uint32_t min32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max32(uint32_t a, uint32_t b) { return a > b ? a : b; }

static struct display_rect join(const struct display_rect *a, const struct display_rect *b)
{
    uint32_t x = min32(a->x, b->x), y = min32(a->y, b->y);

    return (struct display_rect){x, y, max32(a->x + a->w, b->x + b->w) - x, max32(a->y + a->h, b->y + b->h) - y};
}

/* The one that costs least to join with r, and pixels painted in vain by it (negative: they overlap). */
static unsigned best_to_join(const struct display_viewer *v, const struct display_rect *r, int64_t *cost)
{
    unsigned best = 0;

    *cost = INT64_MAX;
    for (unsigned i = 0; i < v->rects; i++) {
        struct display_rect both = join(&v->rect[i], r);
        int64_t c = (int64_t)(area(&both) - area(&v->rect[i]) - area(r));

        if (c < *cost) {
            *cost = c;
            best = i;
        }
    }
    return best;
}

static void add_rect(struct display_viewer *v, struct display_rect r)
{
    while (v->rects) { /* one fewer each time */
        int64_t cost;
        unsigned i = best_to_join(v, &r, &cost);

        if (cost > 0 && v->rects < DISPLAY_RECTS)
            break;
        r = join(&v->rect[i], &r);
        v->rect[i] = v->rect[--v->rects];
    }
    v->rect[v->rects++] = r;
}

static void add_whole(struct display *d, struct display_viewer *v)
{
    v->rects = 0;
    if (d->surface.data)
        v->rect[v->rects++] = (struct display_rect){0, 0, d->surface.width, d->surface.height};
}

/* Once until it looks. */
static void tell(struct display_viewer *v)
{
    if (v->told)
        return;
    v->told = true;
    if (v->notify)
        v->notify(v->arg);
}

/* --- the device's side --- */

static bool readable(const struct surface *s)
{
    return s && s->data && s->width && s->height && s->width <= DISPLAY_MAX && s->height <= DISPLAY_MAX &&
           s->stride >= s->width * pixel_bytes(s->format);
}

static bool same_shape(const struct surface *a, const struct surface *b)
{
    return a->data && b->data && a->width == b->width && a->height == b->height && a->format == b->format;
}

void display_set_surface(struct display *d, const struct surface *s)
{
    struct surface now = readable(s) ? *s : (struct surface){0};
    bool flip;

    pthread_mutex_lock(&d->lock);
    pthread_mutex_lock(&d->news);
    flip = same_shape(&d->surface, &now);
    if (d->surface.data || now.data) {
        d->surface = now;
        for (struct display_viewer *v = d->viewers; v; v = v->next) {
            v->new_surface |= !flip;
            add_whole(d, v);
            tell(v);
        }
    }
    pthread_mutex_unlock(&d->news);
    pthread_mutex_unlock(&d->lock);
}

void display_damage(struct display *d, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    pthread_mutex_lock(&d->news);
    if (d->surface.data && w && h && x < d->surface.width && y < d->surface.height) {
        struct display_rect r = {x, y, min32(w, d->surface.width - x), min32(h, d->surface.height - y)};

        for (struct display_viewer *v = d->viewers; v; v = v->next) {
            add_rect(v, r);
            tell(v);
        }
    }
    pthread_mutex_unlock(&d->news);
}

/* Take a copy of c; false: hidden, too large or no memory. Under `lock`. */
static bool copy_cursor(struct display *d, const struct display_cursor *c)
{
    const size_t most = sizeof(uint32_t) * DISPLAY_CURSOR_MAX * DISPLAY_CURSOR_MAX;

    if (!c || !c->argb || !c->w || !c->h || c->w > DISPLAY_CURSOR_MAX || c->h > DISPLAY_CURSOR_MAX)
        return false;
    if (!d->cursor_pixels)
        d->cursor_pixels = malloc(most);
    if (!d->cursor_pixels)
        return false;
    memcpy(d->cursor_pixels, c->argb, sizeof(uint32_t) * c->w * c->h);
    d->cursor = *c;
    d->cursor.argb = d->cursor_pixels;
    return true;
}

void display_set_cursor(struct display *d, const struct display_cursor *c)
{
    pthread_mutex_lock(&d->lock);
    pthread_mutex_lock(&d->news);
    if (!copy_cursor(d, c))
        d->cursor = (struct display_cursor){0};
    for (struct display_viewer *v = d->viewers; v; v = v->next) {
        v->new_cursor = true;
        tell(v);
    }
    pthread_mutex_unlock(&d->news);
    pthread_mutex_unlock(&d->lock);
}

void display_move_cursor(struct display *d, int32_t x, int32_t y, bool visible)
{
    pthread_mutex_lock(&d->news);
    if (d->cursor_x != x || d->cursor_y != y || d->cursor_visible != visible) {
        d->cursor_x = x;
        d->cursor_y = y;
        d->cursor_visible = visible;
        for (struct display_viewer *v = d->viewers; v; v = v->next) {
            v->cursor_moved = true;
            tell(v);
        }
    }
    pthread_mutex_unlock(&d->news);
}

/* --- the viewer's side --- */

void display_attach(struct display *d, struct display_viewer *v)
{
    pthread_mutex_lock(&d->news);
    v->new_surface = v->new_cursor = v->cursor_moved = true;
    v->told = v->looking = false;
    add_whole(d, v);
    v->next = d->viewers;
    d->viewers = v;
    tell(v);
    pthread_mutex_unlock(&d->news);
}

void display_detach(struct display *d, struct display_viewer *v)
{
    pthread_mutex_lock(&d->news);
    for (struct display_viewer **p = &d->viewers; *p; p = &(*p)->next)
        if (*p == v) {
            *p = v->next;
            break;
        }
    pthread_mutex_unlock(&d->news);
}

static bool take_news(struct display *d, struct display_viewer *v, struct display_update *u)
{
    bool any = v->new_surface || v->new_cursor || v->cursor_moved || v->rects;

    *u = (struct display_update){
        .new_surface = v->new_surface,
        .has_surface = d->surface.data != NULL,
        .surface = d->surface,
        .rects = v->rects,
        .new_cursor = v->new_cursor,
        .cursor_moved = v->cursor_moved,
        .cursor_visible = d->cursor_visible && d->cursor.argb,
        .cursor_x = d->cursor_x,
        .cursor_y = d->cursor_y,
    };
    memcpy(u->rect, v->rect, sizeof u->rect[0] * v->rects);
    if (!any)
        u->surface.data = NULL;
    v->rects = 0;
    v->new_surface = v->new_cursor = v->cursor_moved = v->told = false;
    return any;
}

bool display_begin(struct display *d, struct display_viewer *v, struct display_update *u)
{
    pthread_mutex_lock(&d->lock);
    pthread_mutex_lock(&d->news);
    v->looking = take_news(d, v, u);
    pthread_mutex_unlock(&d->news);
    if (!v->looking)
        pthread_mutex_unlock(&d->lock);
    return v->looking;
}

void display_end(struct display *d, struct display_viewer *v)
{
    if (!v->looking)
        return;
    v->looking = false;
    pthread_mutex_unlock(&d->lock);
}

void display_cursor(struct display *d, struct display_cursor *c) { *c = d->cursor; }

void display_wants_size(struct display *d, uint32_t width, uint32_t height, uint32_t mm_width, uint32_t mm_height)
{
    if (d->ops && d->ops->resize && width <= DISPLAY_MAX && height <= DISPLAY_MAX)
        d->ops->resize(d->dev, width, height, mm_width, mm_height);
}

void display_refresh(struct display *d)
{
    if (d->ops && d->ops->refresh)
        d->ops->refresh(d->dev);
}

const struct surface *display_lock(struct display *d)
{
    pthread_mutex_lock(&d->lock);
    return &d->surface;
}

void display_unlock(struct display *d) { pthread_mutex_unlock(&d->lock); }
