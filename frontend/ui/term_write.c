/* Characters onto the screen: wrapping, wide characters, marks, scrolling, the alternate screen. */
#include <string.h>

#include "frontend/ui/term_parts.h"
#include "frontend/ui/term_width.h"

struct term_cell term_blank(const struct term *t)
{
    return (struct term_cell){.fg = t->default_fg | CELL_DEFAULT, .bg = t->pen.bg & (CELL_RGB | CELL_DEFAULT)};
}

void term_scroll_region(struct term *t, int top, int bottom, int n)
{
    if (n > 0 && top == 0 && t->grid == &t->main) {
        for (int i = 0; i < n && i < bottom; i++) {
            uint64_t dropped = t->history.dropped;

            history_push(&t->history, t->main.row[i].cell, t->main.cols, t->main.row[i].wrapped);
            if (t->view) /* who looks back keeps what he sees */
                t->view += t->history.dropped == dropped;
            t->view = t->view < t->history.count ? t->view : t->history.count;
        }
    }
    grid_scroll(t->grid, top, bottom, n, term_blank(t));
}

void term_linefeed(struct term *t)
{
    if (t->row == t->bottom - 1)
        term_scroll_region(t, t->top, t->bottom, 1);
    else if (t->row < t->grid->rows - 1)
        t->row++;
}

void term_goto(struct term *t, int row, int col)
{
    int rows = t->grid->rows, cols = t->grid->cols;

    t->row = row < 0 ? 0 : row < rows ? row : rows - 1;
    t->col = col < 0 ? 0 : col < cols ? col : cols - 1;
    t->phantom = false;
}

static void wrap(struct term *t)
{
    t->grid->row[t->row].wrapped = true;
    t->col = 0;
    t->phantom = false;
    term_linefeed(t);
}

/* The cursor after width columns were written. */
static void advance(struct term *t, int width)
{
    t->col += width;
    if (t->col >= t->grid->cols) {
        t->col = t->grid->cols - 1;
        t->phantom = t->autowrap;
        t->grid->row[t->row].wrapped = false;
    }
}

/* DEC special graphics, 0x5f to 0x7e (VT220 manual, table 2-4). */
static uint32_t graphic(uint32_t ch)
{
    static const uint16_t map[] = {
        0x00a0, 0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1, 0x2424, 0x240b,
        0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c,
        0x2524, 0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7,
    };

    return ch >= 0x5f && ch <= 0x7e ? map[ch - 0x5f] : ch;
}

static void run(struct term *t, const uint8_t *buf, int n)
{
    struct term_cell *c = t->grid->row[t->row].cell + t->col, cell = {.fg = t->pen.fg, .bg = t->pen.bg};

    grid_unwide(t->grid, t->row, t->col, t->col + n);
    for (int i = 0; i < n; i++) {
        cell.ch = buf[i];
        c[i] = cell;
    }
    advance(t, n);
}

void term_put_ascii(struct term *t, const uint8_t *buf, size_t len)
{
    if (t->insert || t->charset[t->gl] != 'B') {
        for (size_t i = 0; i < len; i++)
            term_put(t, buf[i]);
        return;
    }
    t->last = buf[len - 1];
    while (len) {
        size_t n;

        if (t->phantom)
            wrap(t);
        n = (size_t)(t->grid->cols - t->col);
        n = n < len ? n : len;
        run(t, buf, (int)n);
        buf += n;
        len -= n;
    }
}

static void put_mark(struct term *t, uint32_t ch)
{
    struct term_cell *c;
    int col = t->phantom ? t->col : t->col - 1;

    if (col < 0 || ch > 0xffff)
        return;
    c = &t->grid->row[t->row].cell[col];
    if (c->ch == TERM_TAIL && col)
        c--;
    if (!c->ch || c->ch == TERM_TAIL)
        return;
    if (!c->mark[0])
        c->mark[0] = (uint16_t)ch;
    else if (!c->mark[1])
        c->mark[1] = (uint16_t)ch;
}

void term_put(struct term *t, uint32_t ch)
{
    int width, cols = t->grid->cols;
    struct term_cell *c;

    if (ch < 0x80 && t->charset[t->gl] == '0')
        ch = graphic(ch);
    width = (int)term_width(ch);
    if (!width) {
        put_mark(t, ch);
        return;
    }
    if (t->phantom || (t->col + width > cols && t->autowrap))
        wrap(t);
    if (t->col + width > cols)
        t->col = cols - width;
    if (t->insert)
        grid_shift(t->grid, t->row, t->col, width, term_blank(t));
    grid_unwide(t->grid, t->row, t->col, t->col + width);
    c = &t->grid->row[t->row].cell[t->col];
    c[0] = (struct term_cell){.ch = ch, .fg = t->pen.fg, .bg = t->pen.bg};
    if (width == 2) {
        c[1] = (struct term_cell){.ch = TERM_TAIL, .fg = t->pen.fg, .bg = t->pen.bg};
        c[0].fg |= CELL_WIDE;
    }
    t->last = ch;
    advance(t, width);
}

void term_save_cursor(struct term *t)
{
    struct term_saved *s = &t->saved[t->grid == &t->alt];

    *s = (struct term_saved){
        .row = t->row, .col = t->col, .pen = t->pen, .gl = t->gl, .origin = t->origin, .phantom = t->phantom};
    memcpy(s->charset, t->charset, sizeof s->charset);
}

void term_restore_cursor(struct term *t)
{
    const struct term_saved *s = &t->saved[t->grid == &t->alt];

    term_goto(t, s->row, s->col);
    t->phantom = s->phantom && t->col == t->grid->cols - 1;
    t->pen = s->pen;
    t->gl = s->gl;
    t->origin = s->origin;
    memcpy(t->charset, s->charset, sizeof s->charset);
}

void term_alternate(struct term *t, bool on)
{
    struct term_cell blank;

    if (on == (t->grid == &t->alt))
        return;
    t->grid = on ? &t->alt : &t->main;
    t->view = 0;
    t->selecting = false;
    blank = term_blank(t);
    for (int i = 0; on && i < t->alt.rows; i++) {
        grid_fill(&t->alt.row[i], 0, t->alt.cols, blank);
        t->alt.row[i].wrapped = false;
    }
}

static void default_tabs(struct term *t)
{
    for (int i = 0; i < TERM_MAX; i++)
        t->tab[i] = i % 8 == 0;
}

/* DECSTR, or RIS (VT510 manual, "DECSTR": table 5-9). */
void term_reset(struct term *t, bool hard)
{
    struct term_saved home;

    t->insert = t->origin = t->app_cursor = t->app_keypad = false;
    t->autowrap = t->visible = true;
    t->phantom = false;
    t->top = 0;
    t->bottom = t->grid->rows;
    memset(t->charset, 'B', sizeof t->charset);
    t->gl = 0;
    t->pen = (struct term_pen){t->default_fg | CELL_DEFAULT, t->default_bg | CELL_DEFAULT};
    home = (struct term_saved){.pen = t->pen};
    memset(home.charset, 'B', sizeof home.charset);
    t->saved[t->grid == &t->alt] = home;
    if (!hard)
        return;
    t->saved[0] = t->saved[1] = home;
    term_alternate(t, false);
    term_colours_reset(t);
    t->pen = (struct term_pen){t->default_fg | CELL_DEFAULT, t->default_bg | CELL_DEFAULT};
    t->newline = t->bracket = t->focus = t->reverse = false;
    t->wheel_keys = t->blink = true;
    t->shape = TERM_BLOCK;
    t->mouse = MOUSE_OFF;
    t->mouse_format = MOUSE_BYTES;
    t->title[0] = 0;
    t->last = 0;
    t->selecting = false;
    default_tabs(t);
    term_goto(t, 0, 0);
    for (int i = 0; i < t->grid->rows; i++) {
        grid_fill(&t->grid->row[i], 0, t->grid->cols, term_blank(t));
        t->grid->row[i].wrapped = false;
    }
}
