/*
 * Another width: the lines of scrollback and screen are joined where they had wrapped, and wrapped anew.
 *
 * All new lines go into a new scrollback of the old one's size plus a screen; the last ones of it become the screen.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term_grid.h"

struct rewrap {
    struct term_history out;
    int cols;
    struct term_cell *line; /* being filled */
    int len;
    uint64_t lines;    /* put out so far */
    uint64_t cur_line; /* the cursor's */
    int cur_col;
};

static void put_line(struct rewrap *r, bool wrapped)
{
    history_push(&r->out, r->line, r->len, wrapped);
    r->lines++;
    r->len = 0;
}

/* Append cells of a line of text; cursor: its index in them, or -1. */
static void put_cells(struct rewrap *r, const struct term_cell *cell, int n, int cursor)
{
    for (int i = 0; i < n; i++) {
        int width = cell[i].fg & CELL_WIDE ? 2 : 1;

        if (cell[i].ch == TERM_TAIL && (!r->len || !(r->line[r->len - 1].fg & CELL_WIDE)))
            continue;
        if (r->len + width > r->cols)
            put_line(r, true);
        if (i == cursor) {
            r->cur_line = r->lines;
            r->cur_col = r->len;
        }
        r->line[r->len++] = cell[i];
    }
    if (cursor >= n) { /* behind the text */
        int col = r->len + cursor - n;

        r->cur_line = r->lines;
        r->cur_col = col < r->cols ? col : r->cols - 1;
    }
}

static void put_row(struct rewrap *r, const struct term_cell *cell, int len, bool wrapped, int cursor)
{
    put_cells(r, cell, wrapped ? len : grid_used(cell, len), cursor);
    if (!wrapped)
        put_line(r, false);
}

static int last_row(const struct term_grid *g, int cursor)
{
    int last = g->rows - 1;

    while (last > cursor && !grid_used(g->row[last].cell, g->cols))
        last--;
    return last;
}

/* The new screen from the newest lines; those below it, when the cursor is far up, are lost. */
static void take_screen(struct rewrap *r, struct term_grid *g, int *cur_row)
{
    uint64_t top = r->lines > (uint64_t)g->rows ? r->lines - (uint64_t)g->rows : 0;
    struct term_line l;

    top = top < r->cur_line ? top : r->cur_line;
    for (uint64_t n = r->lines; n-- > top && history_pop(&r->out, &l);) {
        if (n - top < (uint64_t)g->rows && l.len) {
            memcpy(g->row[n - top].cell, l.cell, (size_t)l.len * sizeof *l.cell);
            g->row[n - top].wrapped = l.wrapped;
        }
        free(l.cell);
    }
    *cur_row = (int)(r->cur_line - top);
}

static void shrink(struct term_history *h, size_t max, struct term_line *ring)
{
    size_t keep = h->count < max ? h->count : max;

    while (h->count > keep) {
        free(h->line[h->head].cell);
        h->bytes -= (size_t)h->line[h->head].len * sizeof *h->line->cell;
        h->head = (h->head + 1) % h->max;
        h->count--;
        h->dropped++;
    }
    for (size_t i = 0; i < keep; i++)
        ring[i] = *history_line(h, i);
    free(h->line);
    h->line = ring;
    h->head = 0;
    h->max = max;
}

bool term_rewrap(struct term_grid *g, struct term_history *h, int cols, int rows, int *cur_row, int *cur_col,
                 struct term_cell blank)
{
    struct rewrap r = {.cols = cols, .line = malloc((size_t)cols * sizeof *r.line)};
    struct term_line *ring = calloc(h->max, sizeof *ring);
    struct term_grid new = {0};
    int last = last_row(g, *cur_row);

    if (!r.line || !ring || !grid_init(&new, cols, rows, blank) ||
        !history_init(&r.out, h->max + (size_t)g->rows + (size_t)rows, h->max_bytes + (8 << 20))) {
        grid_fini(&new);
        free(ring);
        free(r.line);
        return false;
    }
    for (size_t i = 0; i < h->count; i++) {
        const struct term_line *l = history_line(h, i);

        put_row(&r, l->cell, l->len, l->wrapped, -1);
    }
    for (int i = 0; i <= last; i++)
        put_row(&r, g->row[i].cell, g->cols, g->row[i].wrapped && i < last, i == *cur_row ? *cur_col : -1);
    take_screen(&r, &new, cur_row);
    *cur_col = r.cur_col;
    r.out.dropped += h->dropped + h->count; /* line numbers of before mean nothing any more */
    shrink(&r.out, h->max, ring);
    r.out.max_bytes = h->max_bytes;
    history_fini(h);
    *h = r.out;
    grid_fini(g);
    *g = new;
    free(r.line);
    return true;
}
