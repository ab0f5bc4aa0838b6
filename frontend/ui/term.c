/* A terminal: life, size, and the look of it. See term.h. */
#include "frontend/ui/term.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term_parts.h"

static const uint32_t selected_fg = 0xffffff, selected_bg = 0x2d5d95;

static uint16_t clamp_size(uint16_t n) { return n < 2 ? 2 : n > TERM_MAX ? TERM_MAX : n; }

struct term *term_new(uint16_t cols, uint16_t rows, void (*reply)(void *arg, const void *buf, size_t len), void *arg)
{
    struct term *t = calloc(1, sizeof *t);
    struct term_cell blank;

    if (!t)
        return NULL;
    t->reply = reply;
    t->arg = arg;
    t->grid = &t->main;
    t->cell_w = 8;
    t->cell_h = 16;
    t->changed = true;
    term_colours_reset(t);
    t->pen = (struct term_pen){t->default_fg | CELL_DEFAULT, t->default_bg | CELL_DEFAULT};
    blank = term_blank(t);
    cols = clamp_size(cols);
    rows = clamp_size(rows);
    if (!grid_init(&t->main, cols, rows, blank) || !grid_init(&t->alt, cols, rows, blank) ||
        !history_init(&t->history, TERM_HISTORY_LINES, TERM_HISTORY_BYTES)) {
        term_free(t);
        return NULL;
    }
    term_reset(t, true);
    return t;
}

void term_free(struct term *t)
{
    if (!t)
        return;
    grid_fini(&t->main);
    grid_fini(&t->alt);
    history_fini(&t->history);
    free(t);
}

/* Where a cursor that was saved lies now: where it was, within the screen. */
static void clamp_saved(struct term *t)
{
    for (int i = 0; i < 2; i++) {
        t->saved[i].row = t->saved[i].row < t->main.rows ? t->saved[i].row : t->main.rows - 1;
        t->saved[i].col = t->saved[i].col < t->main.cols ? t->saved[i].col : t->main.cols - 1;
    }
}

bool term_resize(struct term *t, uint16_t cols, uint16_t rows)
{
    bool alt = t->grid == &t->alt;
    struct term_grid new;
    struct term_cell blank = {.fg = t->default_fg | CELL_DEFAULT, .bg = t->default_bg | CELL_DEFAULT};
    /* of the main screen: the live cursor, or the one the alternate screen will give back */
    int row = alt ? t->saved[0].row : t->row, col = alt ? t->saved[0].col : t->col + t->phantom;

    cols = clamp_size(cols);
    rows = clamp_size(rows);
    if (cols == t->main.cols && rows == t->main.rows)
        return true;
    if (!grid_fit(&t->alt, &new, cols, rows, blank))
        return false;
    if (!term_rewrap(&t->main, &t->history, cols, rows, &row, &col, blank)) {
        grid_fini(&new);
        return false;
    }
    grid_fini(&t->alt);
    t->alt = new;
    if (alt) {
        t->saved[0].row = row;
        t->saved[0].col = col;
    } else {
        t->row = row;
        t->col = col;
    }
    t->phantom = false;
    term_goto(t, t->row, t->col);
    clamp_saved(t);
    t->top = 0;
    t->bottom = rows;
    t->view = 0;
    t->selecting = false;
    t->changed = true;
    return true;
}

void term_cell_size(struct term *t, unsigned cell_w, unsigned cell_h)
{
    t->cell_w = cell_w;
    t->cell_h = cell_h;
}

void term_size(const struct term *t, uint16_t *cols, uint16_t *rows)
{
    *cols = (uint16_t)t->grid->cols;
    *rows = (uint16_t)t->grid->rows;
}

bool term_changed(struct term *t)
{
    bool changed = t->changed;

    t->changed = false;
    return changed;
}

const char *term_title(const struct term *t) { return t->title; }

unsigned term_bells(struct term *t)
{
    unsigned n = t->bells;

    t->bells = 0;
    return n;
}

void term_clear_history(struct term *t)
{
    history_clear(&t->history);
    t->view = 0;
    t->selecting = false;
    t->changed = true;
}

uint32_t term_background(const struct term *t) { return t->reverse ? t->default_fg : t->default_bg; }

/* --- the look --- */

/* Halfway between a and b. */
static uint32_t mix(uint32_t a, uint32_t b) { return ((a & 0xfefefe) >> 1) + ((b & 0xfefefe) >> 1); }

static struct term_cell work_out(const struct term *t, struct term_cell c, bool selected)
{
    uint32_t fg = c.fg & CELL_DEFAULT ? t->default_fg : c.fg & CELL_RGB,
             bg = c.bg & CELL_DEFAULT ? t->default_bg : c.bg & CELL_RGB;

    if (!(c.bg & CELL_REVERSE) != !t->reverse) {
        uint32_t swap = fg;

        fg = bg;
        bg = swap;
    }
    if (c.fg & CELL_DIM)
        fg = mix(fg, bg);
    if (selected) {
        fg = selected_fg;
        bg = selected_bg;
    }
    if (c.fg & CELL_CONCEAL)
        fg = bg;
    c.fg = (c.fg & (CELL_BOLD | CELL_ITALIC | CELL_BLINK | CELL_STRIKE | CELL_WIDE)) | fg;
    c.bg = (c.bg & CELL_UNDERLINE) | bg;
    return c;
}

struct selection {
    bool any;
    struct term_point from, to;
};

static void look_row(const struct term *t, int row, const struct selection *s, struct term_cell *out)
{
    struct term_cell blank = {.fg = t->default_fg | CELL_DEFAULT, .bg = t->default_bg | CELL_DEFAULT};
    int len, cols = t->grid->cols;
    bool wrapped;
    const struct term_cell *c = term_view_row(t, row, &len, &wrapped);
    uint64_t line = term_view_line(t, row);
    bool any = s->any && line >= s->from.line && line <= s->to.line;

    len = c ? (len < cols ? len : cols) : 0;
    for (int i = 0; i < cols; i++)
        out[i] = work_out(t, i < len ? c[i] : blank, any && term_within(t, &s->from, &s->to, line, i));
}

void term_look(const struct term *t, struct term_cell *cells, struct term_cursor *cursor)
{
    int64_t row = t->row + (int64_t)t->view;
    struct selection s;

    s.any = term_range(t, &s.from, &s.to);
    for (int i = 0; i < t->grid->rows; i++)
        look_row(t, i, &s, cells + (size_t)i * (size_t)t->grid->cols);
    *cursor = (struct term_cursor){
        .row = t->visible && row < t->grid->rows ? (int)row : -1, .col = t->col, .shape = t->shape, .blink = t->blink};
}
