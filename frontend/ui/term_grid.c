/* Rows of cells. See term_grid.h. */
#include "frontend/ui/term_grid.h"

#include <stdlib.h>
#include <string.h>

void grid_fill(struct term_row *r, int from, int to, struct term_cell blank)
{
    for (int i = from; i < to; i++)
        r->cell[i] = blank;
}

bool grid_init(struct term_grid *g, int cols, int rows, struct term_cell blank)
{
    *g = (struct term_grid){.rows = rows, .cols = cols, .row = calloc((size_t)rows, sizeof *g->row)};
    for (int i = 0; g->row && i < rows; i++) {
        g->row[i].cell = malloc((size_t)cols * sizeof(struct term_cell));
        if (!g->row[i].cell) {
            grid_fini(g);
            return false;
        }
        grid_fill(&g->row[i], 0, cols, blank);
    }
    return g->row != NULL;
}

void grid_fini(struct term_grid *g)
{
    for (int i = 0; g->row && i < g->rows; i++)
        free(g->row[i].cell);
    free(g->row);
    g->row = NULL;
}

bool grid_fit(const struct term_grid *g, struct term_grid *new, int cols, int rows, struct term_cell blank)
{
    int width = cols < g->cols ? cols : g->cols;

    if (!grid_init(new, cols, rows, blank))
        return false;
    for (int i = 0; i < rows && i < g->rows; i++) {
        memcpy(new->row[i].cell, g->row[i].cell, (size_t)width * sizeof(struct term_cell));
        if (new->row[i].cell[width - 1].fg & CELL_WIDE)
            new->row[i].cell[width - 1] = blank;
    }
    return true;
}

void grid_scroll(struct term_grid *g, int top, int bottom, int n, struct term_cell blank)
{
    int size = bottom - top, by = n < 0 ? -n : n;
    struct term_row *moved = g->row + top;

    by = by < size ? by : size;
    for (int i = 0; i < by; i++) { /* the ones that leave become the new ones */
        struct term_row gone = n > 0 ? moved[0] : moved[size - 1];

        memmove(moved + (n < 0), moved + (n > 0), (size_t)(size - 1) * sizeof *moved);
        gone.wrapped = false;
        grid_fill(&gone, 0, g->cols, blank);
        moved[n > 0 ? size - 1 : 0] = gone;
    }
    if (n < 0 && top > 0)
        g->row[top - 1].wrapped = false;
}

void grid_unwide(struct term_grid *g, int row, int from, int to)
{
    struct term_cell *c = g->row[row].cell;

    if (from > 0 && from < g->cols && c[from].ch == TERM_TAIL) {
        c[from - 1].ch = 0;
        c[from - 1].fg &= ~CELL_WIDE;
    }
    if (to > 0 && to < g->cols && c[to].ch == TERM_TAIL)
        c[to].ch = 0;
}

void grid_shift(struct term_grid *g, int row, int col, int n, struct term_cell blank)
{
    struct term_row *r = &g->row[row];
    int by = n < 0 ? -n : n, rest = g->cols - col;

    by = by < rest ? by : rest;
    grid_unwide(g, row, col, n < 0 ? col + by : col);
    if (n > 0) {
        memmove(r->cell + col + by, r->cell + col, (size_t)(rest - by) * sizeof *r->cell);
        grid_fill(r, col, col + by, blank);
        if (r->cell[g->cols - 1].fg & CELL_WIDE)
            r->cell[g->cols - 1] = blank;
    } else {
        memmove(r->cell + col, r->cell + col + by, (size_t)(rest - by) * sizeof *r->cell);
        grid_fill(r, g->cols - by, g->cols, blank);
        r->wrapped = false;
    }
}

int grid_used(const struct term_cell *cell, int cols)
{
    while (cols > 0 && (cell[cols - 1].ch == 0 || cell[cols - 1].ch == ' ') && (cell[cols - 1].bg & CELL_DEFAULT) &&
           !(cell[cols - 1].bg & (CELL_REVERSE | CELL_UNDERLINE)))
        cols--;
    return cols;
}

/* --- scrollback --- */

bool history_init(struct term_history *h, size_t max, size_t max_bytes)
{
    *h = (struct term_history){.max = max, .max_bytes = max_bytes, .line = calloc(max, sizeof *h->line)};
    return h->line != NULL;
}

static void drop_oldest(struct term_history *h)
{
    struct term_line *l = &h->line[h->head];

    h->bytes -= (size_t)l->len * sizeof *l->cell;
    free(l->cell);
    h->head = (h->head + 1) % h->max;
    h->count--;
    h->dropped++;
}

void history_clear(struct term_history *h)
{
    while (h->count)
        drop_oldest(h);
}

void history_fini(struct term_history *h)
{
    if (h->line)
        history_clear(h);
    free(h->line);
    h->line = NULL;
}

void history_push(struct term_history *h, const struct term_cell *cell, int len, bool wrapped)
{
    size_t bytes;
    struct term_line l = {.wrapped = wrapped};

    len = wrapped ? len : grid_used(cell, len); /* a wrapped line's blanks are within its text */
    bytes = (size_t)len * sizeof *cell;
    while (h->count && (h->count == h->max || h->bytes + bytes > h->max_bytes))
        drop_oldest(h);
    if (len) {
        l.cell = malloc(bytes);
        if (l.cell) { /* else an empty line */
            memcpy(l.cell, cell, bytes);
            l.len = len;
            h->bytes += bytes;
        }
    }
    h->line[(h->head + h->count++) % h->max] = l;
}

bool history_pop(struct term_history *h, struct term_line *l)
{
    if (!h->count)
        return false;
    *l = h->line[(h->head + --h->count) % h->max];
    h->bytes -= (size_t)l->len * sizeof *l->cell;
    return true;
}

const struct term_line *history_line(const struct term_history *h, size_t n)
{
    return &h->line[(h->head + n) % h->max];
}
