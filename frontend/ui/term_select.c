/* What the view shows, and the part of it that is selected. Lines are counted from the start, so that both stay put. */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term_parts.h"

/* --- lines --- */

static uint64_t first_line(const struct term *t) { return t->grid == &t->alt ? 0 : t->history.dropped; }
static size_t lines_back(const struct term *t) { return t->grid == &t->alt ? 0 : t->history.count; }

uint64_t term_view_line(const struct term *t, int row)
{
    return first_line(t) + lines_back(t) - t->view + (uint64_t)(int64_t)row;
}

static const struct term_cell *line_cells(const struct term *t, uint64_t line, int *len, bool *wrapped)
{
    uint64_t n = line - first_line(t), back = lines_back(t);

    *len = 0;
    *wrapped = false;
    if (line < first_line(t) || n >= back + (uint64_t)t->grid->rows)
        return NULL;
    if (n < back) {
        const struct term_line *l = history_line(&t->history, (size_t)n);

        *len = l->len;
        *wrapped = l->wrapped;
        return l->cell;
    }
    *len = t->grid->cols;
    *wrapped = t->grid->row[n - back].wrapped;
    return t->grid->row[n - back].cell;
}

const struct term_cell *term_view_row(const struct term *t, int row, int *len, bool *wrapped)
{
    return line_cells(t, term_view_line(t, row), len, wrapped);
}

/* --- scrolling --- */

void term_scroll(struct term *t, int lines)
{
    size_t most = lines_back(t), by = (size_t)(lines < 0 ? -(int64_t)lines : lines);

    if (lines > 0)
        t->view = by < most - t->view ? t->view + by : most;
    else
        t->view = by < t->view ? t->view - by : 0;
    t->changed = true;
}

void term_scroll_end(struct term *t)
{
    t->changed |= t->view > 0;
    t->view = 0;
}

size_t term_scrolled(const struct term *t) { return t->view; }
size_t term_history_lines(const struct term *t) { return lines_back(t); }

/* --- selection --- */

enum { WORD_LINES = 64 }; /* a longer word is cut: this runs for each picture */

static bool before(struct term_point a, struct term_point b)
{
    return a.line < b.line || (a.line == b.line && a.col < b.col);
}

/* Part of a word: letters of all scripts, digits, and what joins names, paths and addresses. */
static bool word_char(const struct term_cell *c, int len, int col)
{
    uint32_t ch = col < len ? c[col].ch : 0;

    return ch > 0x7f ? ch != 0xa0 && !(ch >= 0x2500 && ch < 0x25a0) && ch != 0x3000
                     : (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
                           (ch && strchr("_-./:~@%+=#?&,", (int)ch));
}

/* Back to the word's beginning, over margins where the text wrapped. */
static void grow_back(const struct term *t, struct term_point *p)
{
    int len;
    bool wrapped;
    const struct term_cell *c = line_cells(t, p->line, &len, &wrapped);

    for (int lines = 0; lines < WORD_LINES; lines++) {
        while (p->col > 0 && word_char(c, len, p->col - 1))
            p->col--;
        if (p->col || p->line == first_line(t))
            return;
        c = line_cells(t, p->line - 1, &len, &wrapped);
        if (!c || !wrapped || !word_char(c, len, len - 1))
            return;
        p->line--;
        p->col = len;
    }
}

static void grow_forth(const struct term *t, struct term_point *p)
{
    int len;
    bool wrapped;
    const struct term_cell *c = line_cells(t, p->line, &len, &wrapped);

    for (int lines = 0; lines < WORD_LINES; lines++) {
        while (p->col < len && word_char(c, len, p->col))
            p->col++;
        if (p->col < len || !wrapped)
            return;
        c = line_cells(t, p->line + 1, &len, &wrapped);
        if (!c || !word_char(c, len, 0))
            return;
        p->line++;
        p->col = 0;
    }
}

static void grow_words(const struct term *t, struct term_point *from, struct term_point *to)
{
    int len;
    bool wrapped;
    const struct term_cell *c = line_cells(t, from->line, &len, &wrapped);

    if (word_char(c, len, from->col))
        grow_back(t, from);
    c = line_cells(t, to->line, &len, &wrapped);
    if (to->col > 0 && word_char(c, len, to->col - 1))
        grow_forth(t, to);
}

/* Whole lines, with what they wrapped into. */
static void grow_lines(const struct term *t, struct term_point *from, struct term_point *to)
{
    int len;
    bool wrapped;

    while (from->line > first_line(t) && line_cells(t, from->line - 1, &len, &wrapped) && wrapped)
        from->line--;
    while (line_cells(t, to->line, &len, &wrapped) && wrapped)
        to->line++;
    from->col = 0;
    to->col = t->grid->cols;
}

bool term_range(const struct term *t, struct term_point *from, struct term_point *to)
{
    bool forward = before(t->anchor, t->end);

    if (!t->selecting)
        return false;
    *from = forward ? t->anchor : t->end;
    *to = forward ? t->end : t->anchor;
    if (t->block) {
        *from = (struct term_point){from->line, t->anchor.col < t->end.col ? t->anchor.col : t->end.col};
        *to = (struct term_point){to->line, t->anchor.col < t->end.col ? t->end.col : t->anchor.col};
        return from->col < to->col;
    }
    if (t->clicks == 1)
        return before(*from, *to);
    to->col += to->col < t->grid->cols;
    (t->clicks == 2 ? grow_words : grow_lines)(t, from, to);
    return true;
}

bool term_within(const struct term *t, const struct term_point *from, const struct term_point *to, uint64_t line,
                 int col)
{
    struct term_point p = {line, col};

    if (t->block)
        return line >= from->line && line <= to->line && col >= from->col && col < to->col;
    return !before(p, *from) && before(p, *to);
}

static struct term_point point(const struct term *t, int row, int col)
{
    uint64_t line = term_view_line(t, row), first = first_line(t),
             last = first + lines_back(t) + (uint64_t)t->grid->rows;

    if ((int64_t)line < (int64_t)first)
        return (struct term_point){first, 0};
    if (line >= last)
        return (struct term_point){last - 1, t->grid->cols};
    return (struct term_point){line, col < 0 ? 0 : col < t->grid->cols ? col : t->grid->cols};
}

void term_select(struct term *t, int row, int col, unsigned clicks, bool block)
{
    t->selecting = true;
    t->block = block;
    t->clicks = clicks < 1 ? 1 : clicks > 3 ? 3 : clicks;
    t->anchor = t->end = point(t, row, col);
    t->changed = true;
}

void term_select_to(struct term *t, int row, int col)
{
    t->end = point(t, row, col);
    t->changed = true;
}

void term_select_all(struct term *t)
{
    t->selecting = true;
    t->block = false;
    t->clicks = 3;
    t->anchor = (struct term_point){first_line(t), 0};
    t->end = (struct term_point){first_line(t) + lines_back(t) + (uint64_t)t->grid->rows - 1, 0};
    t->changed = true;
}

void term_select_none(struct term *t)
{
    t->changed |= t->selecting;
    t->selecting = false;
}

/* --- copying --- */

struct text {
    char *buf;
    size_t len, size;
    bool failed;
};

static void put_char(struct text *x, uint32_t ch)
{
    if (x->failed)
        return;
    if (x->len + 5 > x->size) {
        size_t size = x->size ? x->size * 2 : 256;
        char *buf = realloc(x->buf, size);

        if (!buf) {
            x->failed = true;
            return;
        }
        x->buf = buf;
        x->size = size;
    }
    if (ch < 0x80) {
        x->buf[x->len++] = (char)ch;
        return;
    }
    if (ch < 0x800) {
        x->buf[x->len++] = (char)(0xc0 | ch >> 6);
    } else if (ch < 0x10000) {
        x->buf[x->len++] = (char)(0xe0 | ch >> 12);
        x->buf[x->len++] = (char)(0x80 | (ch >> 6 & 0x3f));
    } else {
        x->buf[x->len++] = (char)(0xf0 | (ch >> 18 & 7));
        x->buf[x->len++] = (char)(0x80 | (ch >> 12 & 0x3f));
        x->buf[x->len++] = (char)(0x80 | (ch >> 6 & 0x3f));
    }
    x->buf[x->len++] = (char)(0x80 | (ch & 0x3f));
}

static int text_end(const struct term_cell *c, int len)
{
    while (len > 0 && (!c[len - 1].ch || c[len - 1].ch == ' '))
        len--;
    return len;
}

static void put_cells(struct text *x, const struct term_cell *c, int from, int to)
{
    for (int i = from; i < to; i++) {
        if (c[i].ch == TERM_TAIL)
            continue;
        put_char(x, c[i].ch ? c[i].ch : ' ');
        for (int m = 0; m < 2 && c[i].mark[m]; m++)
            put_char(x, c[i].mark[m]);
    }
}

char *term_copy(const struct term *t)
{
    struct text x = {0};
    struct term_point from, to;

    if (!term_range(t, &from, &to))
        return NULL;
    from.line = from.line < first_line(t) ? first_line(t) : from.line;
    for (uint64_t line = from.line; line <= to.line && !x.failed; line++) {
        int len, start = t->block || line == from.line ? from.col : 0, end;
        bool wrapped;
        const struct term_cell *c = line_cells(t, line, &len, &wrapped);

        end = t->block || line == to.line ? to.col : t->grid->cols;
        wrapped &= !t->block && end >= t->grid->cols;
        end = end < len ? end : len;
        if (!wrapped)
            end = c ? text_end(c, end) : 0;
        if (c)
            put_cells(&x, c, start, end);
        if (!wrapped && line < to.line)
            put_char(&x, '\n');
    }
    if (!x.failed && t->clicks == 3 && !t->block)
        put_char(&x, '\n');
    if (x.failed || !x.len) {
        free(x.buf);
        return NULL;
    }
    x.buf[x.len] = 0;
    return x.buf;
}
