/* A console as a tab: the reader's thread, size, drawing. See text_tab.h. */
#include "frontend/ui/text_tab.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/ui/text_parts.h"

enum {
    PIECE = 4 << 10,   /* read under one lock: 20 ms at most, of a stream that clears the screen with each sequence */
    NAP_NS = 1000000,  /* between small reads: a UART brings a byte at a time */
    BLINK_MS = 530,    /* half a period of the cursor's */
    FLASH_MS = 120,    /* the bell */
    BLINK_FOR = 10000, /* then it stands still, and the window sleeps */
    MARGIN = 4,        /* around the text, in pixels of an ordinary screen */
    BAR = 8,           /* to the right of it: the scroll bar's place */
};
static const double usual_px = 44.0 / 3, zoom_factor = 1.1; /* 11 points at 96 per inch */
static const uint32_t bar_colour = 0x6a7280;

uint64_t text_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The window's thread goes before the reader, which takes the lock again and again. */
struct term *text_lock(struct text_tab *t)
{
    atomic_fetch_add(&t->waiting, 1);
    pthread_mutex_lock(&t->lock);
    atomic_fetch_sub(&t->waiting, 1);
    return t->term;
}

void text_unlock(struct text_tab *t) { pthread_mutex_unlock(&t->lock); }

static void wake(struct text_tab *t)
{
    if (atomic_load(&t->live) && !atomic_exchange(&t->woken, true))
        ui_tab_wake(&t->tab);
}

void text_active(struct text_tab *t)
{
    t->active = t->shown = text_now();
    wake(t);
}

/* --- the reader --- */

static void data_came(void *arg)
{
    struct text_tab *t = arg;

    pthread_mutex_lock(&t->signal);
    t->data = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->signal);
}

/* false: the tab goes away. */
static bool wait_for_data(struct text_tab *t)
{
    bool stop;

    pthread_mutex_lock(&t->signal);
    while (!t->data && !t->stop)
        pthread_cond_wait(&t->changed, &t->signal);
    t->data = false;
    stop = t->stop;
    pthread_mutex_unlock(&t->signal);
    return !stop;
}

static void *reader(void *arg)
{
    static const struct timespec nap = {.tv_nsec = NAP_NS};
    struct text_tab *t = arg;
    uint8_t buf[PIECE];

    while (wait_for_data(t)) {
        size_t n, all = 0;

        while ((n = vc_read(t->vc, buf, sizeof buf)) > 0) {
            while (atomic_load(&t->waiting))
                sched_yield();
            pthread_mutex_lock(&t->lock);
            term_write(t->term, buf, n);
            pthread_mutex_unlock(&t->lock);
            wake(t);
            all += n;
        }
        if (all < PIECE)
            nanosleep(&nap, NULL);
    }
    return NULL;
}

static void reply(void *arg, const void *buf, size_t len) { vc_input(((struct text_tab *)arg)->vc, buf, len); }

/* --- size --- */

static void load_font(struct text_tab *t)
{
    struct font *f;

    if (t->font && t->density == t->font_density && t->zoom == t->font_zoom)
        return;
    f = font_new(usual_px * t->density * pow(zoom_factor, t->zoom), &t->font_error);
    t->tab.message = f || t->font ? NULL : t->font_error.msg;
    if (!f)
        return;
    font_free(t->font);
    t->font = f;
    t->font_density = t->density;
    t->font_zoom = t->zoom;
}

static unsigned clamp(unsigned n) { return n < 2 ? 2 : n > TERM_MAX ? TERM_MAX : n; }

static void text_size(struct ui_tab *tab, uint32_t win_w, uint32_t win_h, double density, uint32_t *w, uint32_t *h)
{
    struct text_tab *t = text_tab_of(tab);
    unsigned margin = (unsigned)lround(MARGIN * density), bar = (unsigned)lround(BAR * density);
    uint16_t cols, rows;
    struct term *term;

    atomic_store(&t->live, true);
    *w = t->width = win_w;
    *h = t->height = win_h;
    t->density = density;
    load_font(t);
    if (!t->font)
        return;
    t->cols = clamp((win_w > margin + bar ? win_w - margin - bar : 0) / font_cell_w(t->font));
    t->rows = clamp((win_h > 2 * margin ? win_h - 2 * margin : 0) / font_cell_h(t->font));
    t->x = t->y = margin;
    term = text_lock(t);
    term_cell_size(term, font_cell_w(t->font), font_cell_h(t->font));
    term_resize(term, (uint16_t)t->cols, (uint16_t)t->rows); /* without memory it stays as it was */
    term_size(term, &cols, &rows);
    text_unlock(t);
    t->cols = cols;
    t->rows = rows;
    if (!text_draw_resize(t->draw, cols, rows, t->x, t->y))
        t->cols = t->rows = 0;
    vc_resize(t->vc, cols, rows);
}

static void text_zoom(struct ui_tab *tab, int step)
{
    struct text_tab *t = text_tab_of(tab);
    int zoom = step ? t->zoom + step : 0;

    t->zoom = zoom < -8 ? -8 : zoom > 24 ? 24 : zoom;
    tab->resized = true;
}

/* --- drawing --- */

static bool cursor_blinks(const struct text_tab *t, const struct term_cursor *c)
{
    return t->focused && c->row >= 0 && c->blink && text_now() - t->active < BLINK_FOR;
}

/* The cursor as a change of its cell: without focus it is hollow. */
static void put_cursor(struct text_tab *t, struct term_cell *cells, const struct term_cursor *c)
{
    struct term_cell *cell;
    uint32_t fg;

    if (c->row < 0 || c->row >= (int)t->rows || c->col >= (int)t->cols)
        return;
    if (cursor_blinks(t, c) && (text_now() - t->shown) / BLINK_MS % 2)
        return;
    cell = &cells[c->row * (int)t->cols + c->col];
    if (cell->ch == TERM_TAIL && c->col)
        cell--;
    if (!t->focused) {
        cell->bg |= TEXT_CURSOR_HOLLOW;
    } else if (c->shape == TERM_BLOCK) {
        fg = cell->fg & CELL_RGB;
        cell->fg = (cell->fg & ~(CELL_RGB | CELL_BLINK)) | (cell->bg & CELL_RGB);
        cell->bg = (cell->bg & ~CELL_RGB) | fg;
    } else {
        cell->bg |= c->shape == TERM_BAR ? TEXT_CURSOR_BAR : TEXT_CURSOR_LINE;
    }
}

static void fill(const struct canvas *c, const struct ui_rect *r, uint32_t px)
{
    for (uint32_t y = r->y; y < r->y + r->h && y < c->height; y++)
        for (uint32_t x = r->x; x < r->x + r->w && x < c->width; x++)
            c->px[(size_t)y * c->stride + x] = px;
}

/* Where the view lies in the scrollback, while it is looked at. Returns whether anything was drawn. */
static bool draw_bar(struct text_tab *t, const struct canvas *c, size_t back, size_t lines, struct ui_rect *changed)
{
    unsigned w = (unsigned)lround(BAR * t->density) / 2;
    struct ui_rect track = {t->width > 2 * w ? t->width - w - w / 2 : 0, t->y, w, t->height - 2 * t->y}, bar = track;
    double all = (double)(lines + t->rows);

    if (t->height <= 2 * t->y)
        return false;
    bar.h = (uint32_t)(track.h * t->rows / all);
    bar.h = bar.h < 4 * w ? 4 * w : bar.h;
    bar.h = bar.h < track.h ? bar.h : track.h;
    bar.y = track.y + (uint32_t)((double)(track.h - bar.h) * (double)(lines - back) / (lines ? (double)lines : 1));
    if (!back && !t->bar_shown)
        return false;
    if (back && t->bar_shown && bar.y == t->bar.y && bar.h == t->bar.h)
        return false;
    fill(c, &track, t->background);
    if (back)
        fill(c, &bar, bar_colour);
    t->bar_shown = back > 0;
    t->bar = bar;
    *changed = track;
    return true;
}

/* The bell is a frame around the text for a moment. Returns whether it came or went. */
static bool draw_bell(struct text_tab *t, const struct canvas *c)
{
    bool flash = text_now() < t->flash_until;
    uint32_t px = flash ? bar_colour : t->background;
    unsigned m = t->y;

    if (flash == t->flashing)
        return false;
    t->flashing = flash;
    t->bar_shown = false;
    fill(c, &(struct ui_rect){0, 0, c->width, m}, px);
    fill(c, &(struct ui_rect){0, 0, m, c->height}, px);
    fill(c, &(struct ui_rect){c->width > m ? c->width - m : 0, 0, m, c->height}, px);
    fill(c, &(struct ui_rect){0, c->height > m ? c->height - m : 0, c->width, m}, px);
    return true;
}

static unsigned text_redraw(struct ui_tab *tab, const struct canvas *c, bool all, struct ui_rect rect[UI_RECTS])
{
    struct text_tab *t = text_tab_of(tab);
    struct term_cursor cursor;
    struct term *term;
    size_t back, lines;
    uint32_t background;
    unsigned n;

    atomic_store(&t->woken, false); /* first: what comes from here on wakes again */
    if (!t->font || !t->cols) {
        if (all)
            fill(c, &(struct ui_rect){0, 0, c->width, c->height}, 0);
        rect[0] = (struct ui_rect){0, 0, c->width, c->height};
        return all;
    }
    text_drag(t);
    term = text_lock(t);
    if (term_changed(term))
        t->shown = text_now();
    if (term_bells(term))
        t->flash_until = text_now() + FLASH_MS;
    term_look(term, text_draw_cells(t->draw), &cursor);
    background = term_background(term);
    back = term_scrolled(term);
    lines = term_history_lines(term);
    text_unlock(t);
    put_cursor(t, text_draw_cells(t->draw), &cursor);
    if (all || background != t->background) {
        t->background = background;
        t->bar_shown = t->flashing = false;
        text_draw_all(t->draw, background);
    }
    n = text_draw(t->draw, t->font, c, t->focused && text_now() / BLINK_MS % 2, rect);
    if (draw_bell(t, c)) {
        rect[0] = (struct ui_rect){0, 0, c->width, c->height};
        n = 1;
    }
    if (n < UI_RECTS && draw_bar(t, c, back, lines, &rect[n]))
        n++;
    return n;
}

static unsigned text_next(struct ui_tab *tab)
{
    struct text_tab *t = text_tab_of(tab);
    struct term_cursor cursor = {.row = t->focused ? 0 : -1, .blink = true};
    unsigned drag = text_drag(t);
    uint64_t now = text_now();

    if (drag)
        return drag;
    if (t->flashing)
        return now < t->flash_until ? (unsigned)(t->flash_until - now) : 1;
    if (cursor_blinks(t, &cursor))
        return (unsigned)(BLINK_MS - (now - t->shown) % BLINK_MS);
    if (t->focused && t->draw && text_draw_blinks(t->draw))
        return (unsigned)(BLINK_MS - now % BLINK_MS);
    return 0;
}

static void text_focus(struct ui_tab *tab, bool in)
{
    struct text_tab *t = text_tab_of(tab);

    t->focused = in;
    t->left_alt = t->right_alt = t->swallow = false;
    t->alt_gr_label = t->keypad = 0;
    t->selecting = false;
    term_focus(text_lock(t), in);
    text_unlock(t);
    text_active(t);
}

/* --- life --- */

static void text_free(struct ui_tab *tab)
{
    struct text_tab *t = text_tab_of(tab);

    vc_detach(t->vc);
    pthread_mutex_lock(&t->signal);
    t->stop = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->signal);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->signal);
    pthread_mutex_destroy(&t->lock);
    term_free(t->term);
    text_draw_free(t->draw);
    font_free(t->font);
    free(t);
}

static const struct ui_tab_ops text_ops = {
    .size = text_size,
    .draw = text_redraw,
    .key = text_key,
    .text = text_text,
    .pointer = text_pointer,
    .focus = text_focus,
    .paste = text_paste,
    .copy = text_copy,
    .next = text_next,
    .zoom = text_zoom,
    .free = text_free,
};

struct ui_tab *text_tab_new(struct vc *vc, const char *name, struct err *e)
{
    struct text_tab *t = calloc(1, sizeof *t);
    uint16_t cols, rows;

    if (t) {
        vc_size(vc, &cols, &rows);
        t->term = term_new(cols, rows, reply, t);
        t->draw = text_draw_new();
    }
    if (!t || !t->term || !t->draw) {
        if (t) {
            term_free(t->term);
            text_draw_free(t->draw);
        }
        free(t);
        err_set(e, "out of memory");
        return NULL;
    }
    snprintf(t->name, sizeof t->name, "%s", name);
    t->tab = (struct ui_tab){.ops = &text_ops, .name = t->name, .shape = UI_SHAPE_TEXT, .shape_new = true};
    t->vc = vc;
    t->held = TERM_NO_BUTTON;
    t->density = 1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->signal, NULL);
    pthread_cond_init(&t->changed, NULL);
    if (pthread_create(&t->thread, NULL, reader, t)) {
        term_free(t->term);
        text_draw_free(t->draw);
        free(t);
        err_set(e, "no thread for a console's tab");
        return NULL;
    }
    vc_attach(vc, data_came, t);
    return &t->tab;
}
