/* Rows of cells: a screen, and the lines that left it. Plain data of the terminal, no locks. */
#ifndef FRONTEND_UI_TERM_GRID_H
#define FRONTEND_UI_TERM_GRID_H

#include "frontend/ui/term.h"

struct term_row {
    struct term_cell *cell; /* cols of them */
    bool wrapped;           /* the text goes on in the next row */
};

struct term_grid {
    struct term_row *row;
    int rows, cols;
};

bool grid_init(struct term_grid *g, int cols, int rows, struct term_cell blank); /* false: out of memory */
void grid_fini(struct term_grid *g);
/* A new one of another size, cut or filled. */
bool grid_fit(const struct term_grid *g, struct term_grid *new, int cols, int rows, struct term_cell blank);
void grid_fill(struct term_row *r, int from, int to, struct term_cell blank);
/* Rows [top, bottom): up by n (down when negative), what comes in is blank. */
void grid_scroll(struct term_grid *g, int top, int bottom, int n, struct term_cell blank);
void grid_shift(struct term_grid *g, int row, int col, int n, struct term_cell blank); /* cells from col: right by n */
/* A wide character that a write at [from, to) would cut in two goes away. */
void grid_unwide(struct term_grid *g, int row, int from, int to);
int grid_used(const struct term_cell *cell, int cols); /* without the blanks at the end */

struct term_line { /* of the scrollback: without blanks at its end */
    struct term_cell *cell;
    int len;
    bool wrapped;
};

struct term_history {
    struct term_line *line; /* a ring */
    size_t max, head, count;
    size_t bytes, max_bytes;
    uint64_t dropped; /* lines that are gone, so that line numbers stay */
};

bool history_init(struct term_history *h, size_t max, size_t max_bytes);
void history_fini(struct term_history *h);
void history_push(struct term_history *h, const struct term_cell *cell, int len, bool wrapped);
bool history_pop(struct term_history *h, struct term_line *l); /* the newest; its cells are the caller's */
const struct term_line *history_line(const struct term_history *h, size_t n); /* 0: the oldest */
void history_clear(struct term_history *h);

/*
 * Rewrap to another width: the text keeps its lines, the cursor its character. false: out of memory, nothing changed.
 */
bool term_rewrap(struct term_grid *g, struct term_history *h, int cols, int rows, int *cur_row, int *cur_col,
                 struct term_cell blank);

#endif
