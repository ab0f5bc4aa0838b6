/* Controls, escape sequences and control sequences (ECMA-48 8.3; ctlseqs "CSI", "ESC"). */
#include <string.h>

#include "frontend/ui/term_parts.h"
#include "frontend/version.h"

/* --- controls --- */

static void tab_forward(struct term *t, unsigned n)
{
    t->phantom = false;
    while (n-- && t->col < t->grid->cols - 1)
        do
            t->col++;
        while (t->col < t->grid->cols - 1 && !t->tab[t->col]);
}

static void tab_back(struct term *t, unsigned n)
{
    t->phantom = false;
    while (n-- && t->col > 0)
        do
            t->col--;
        while (t->col > 0 && !t->tab[t->col]);
}

void term_control(struct term *t, uint8_t c)
{
    switch (c) {
    case 0x07: t->bells++; break;
    case 0x08: term_goto(t, t->row, t->col - 1); break;
    case 0x09: tab_forward(t, 1); break;
    case 0x0a:
    case 0x0b:
    case 0x0c:
        term_linefeed(t);
        if (t->newline)
            t->col = 0;
        t->phantom = false;
        break;
    case 0x0d:
        t->col = 0;
        t->phantom = false;
        break;
    case 0x0e: t->gl = 1; break;
    case 0x0f: t->gl = 0; break;
    default: break;
    }
}

/* --- escapes --- */

static void reverse_index(struct term *t)
{
    if (t->row == t->top)
        term_scroll_region(t, t->top, t->bottom, -1);
    else if (t->row > 0)
        t->row--;
    t->phantom = false;
}

static void alignment(struct term *t) /* DECALN */
{
    struct term_cell e = {.ch = 'E', .fg = t->default_fg | CELL_DEFAULT, .bg = t->default_bg | CELL_DEFAULT};

    for (int i = 0; i < t->grid->rows; i++)
        grid_fill(&t->grid->row[i], 0, t->grid->cols, e);
    t->top = 0;
    t->bottom = t->grid->rows;
    term_goto(t, 0, 0);
}

static void designate(struct term *t, uint8_t final)
{
    static const char which[] = "()*+";
    const char *g = strchr(which, t->intermediate);

    if (g)
        t->charset[g - which] = final == '0' || final == '2' ? '0' : 'B';
    else if (t->intermediate == '#' && final == '8')
        alignment(t);
}

void term_escape(struct term *t, uint8_t final)
{
    if (t->intermediate) {
        designate(t, final);
        return;
    }
    switch (final) {
    case '7': term_save_cursor(t); break;
    case '8': term_restore_cursor(t); break;
    case 'D':
        term_linefeed(t);
        t->phantom = false;
        break;
    case 'E':
        term_linefeed(t);
        term_goto(t, t->row, 0);
        break;
    case 'H': t->tab[t->col] = 1; break;
    case 'M': reverse_index(t); break;
    case 'Z': term_answer(t, "\033[?62;22c"); break;
    case 'c': term_reset(t, true); break;
    case 'n': t->gl = 2; break;
    case 'o': t->gl = 3; break;
    case '=': t->app_keypad = true; break;
    case '>': t->app_keypad = false; break;
    default: break;
    }
}

/* --- erasing, inserting, deleting --- */

static void erase(struct term *t, int row, int from, int to)
{
    struct term_row *r = &t->grid->row[row];

    grid_unwide(t->grid, row, from, to);
    grid_fill(r, from, to, term_blank(t));
    if (to == t->grid->cols)
        r->wrapped = false;
}

static void erase_line(struct term *t, unsigned how)
{
    if (how <= 2)
        erase(t, t->row, how ? 0 : t->col, how == 1 ? t->col + 1 : t->grid->cols);
    t->phantom = false;
}

static void erase_screen(struct term *t, unsigned how)
{
    int first = how ? 0 : t->row + 1, last = how == 1 ? t->row : t->grid->rows;

    if (how == 3)
        term_clear_history(t);
    if (how >= 3)
        return;
    if (how != 2)
        erase_line(t, how);
    for (int i = first; i < last; i++)
        erase(t, i, 0, t->grid->cols);
}

static bool in_region(const struct term *t) { return t->row >= t->top && t->row < t->bottom; }

static void insert_lines(struct term *t, int n)
{
    if (!in_region(t))
        return;
    /* from within the screen: what goes out at the top of the part does not belong into the scrollback */
    grid_scroll(t->grid, t->row, t->bottom, -n, term_blank(t));
    t->col = 0;
    t->phantom = false;
}

static void insert_chars(struct term *t, int n)
{
    grid_shift(t->grid, t->row, t->col, n, term_blank(t));
    t->phantom = false;
}

static void repeat(struct term *t, unsigned n)
{
    unsigned most = (unsigned)t->grid->cols; /* no program needs more, and a hostile one must not hold us up */

    for (n = n < most ? n : most; t->last && n; n--)
        term_put(t, t->last);
}

/* --- moving --- */

/* Up and down stop at the region's edge when they begin within it. */
static void move_rows(struct term *t, int n)
{
    int low = t->row >= t->top ? t->top : 0, high = t->row < t->bottom ? t->bottom - 1 : t->grid->rows - 1;
    int row = t->row + n;

    term_goto(t, row < low ? low : row > high ? high : row, t->col);
}

static void position(struct term *t, int row, int col)
{
    if (t->origin) {
        row += t->top;
        row = row < t->bottom ? row : t->bottom - 1;
    }
    term_goto(t, row, col);
}

static void set_region(struct term *t)
{
    int top = (int)term_param(t, 0, 1) - 1, bottom = (int)term_param(t, 1, (unsigned)t->grid->rows);

    bottom = bottom < t->grid->rows ? bottom : t->grid->rows;
    if (top + 1 >= bottom)
        return;
    t->top = top;
    t->bottom = bottom;
    position(t, 0, 0);
}

static void clear_tabs(struct term *t)
{
    if (term_param(t, 0, 0) == 0)
        t->tab[t->col] = 0;
    else if (t->param[0] == 3)
        memset(t->tab, 0, sizeof t->tab);
}

/* --- reports --- */

static void device_status(struct term *t)
{
    if (t->param[0] == 5 && !t->leader)
        term_answer(t, "\033[0n");
    else if (t->param[0] == 6)
        term_answer(t, "\033[%s%d;%dR", t->leader ? "?" : "", t->row + 1 - (t->origin ? t->top : 0), t->col + 1);
}

static void device_attributes(struct term *t)
{
    if (term_param(t, 0, 0))
        return;
    if (t->leader == 0)
        term_answer(t, "\033[?62;22c"); /* a VT220 with colours */
    else if (t->leader == '>')
        term_answer(t, "\033[>1;10;0c");
    else if (t->leader == '=')
        term_answer(t, "\033P!|00000000\033\\");
}

/* Sizes only; a title that the guest could read back as its own input is not sent (ctlseqs: 20, 21). */
static void window(struct term *t)
{
    int rows = t->grid->rows, cols = t->grid->cols, w = (int)t->cell_w, h = (int)t->cell_h;

    switch (term_param(t, 0, 0)) {
    case 11: term_answer(t, "\033[1t"); break;
    case 13: term_answer(t, "\033[3;0;0t"); break;
    case 14: term_answer(t, "\033[4;%d;%dt", rows * h, cols * w); break;
    case 15: term_answer(t, "\033[5;%d;%dt", rows * h, cols * w); break;
    case 16: term_answer(t, "\033[6;%d;%dt", h, w); break;
    case 18: term_answer(t, "\033[8;%d;%dt", rows, cols); break;
    case 19: term_answer(t, "\033[9;%d;%dt", rows, cols); break;
    default: break;
    }
}

static void cursor_shape(struct term *t)
{
    static const enum term_shape shapes[] = {TERM_BLOCK,     TERM_BLOCK, TERM_BLOCK, TERM_UNDERLINE,
                                             TERM_UNDERLINE, TERM_BAR,   TERM_BAR};
    unsigned n = term_param(t, 0, 0);

    if (n > 6)
        return;
    t->shape = shapes[n];
    t->blink = !n || n % 2;
}

static void modes(struct term *t, bool on)
{
    for (unsigned i = 0; i < t->params && (!t->leader || t->leader == '?'); i++)
        term_set_mode(t, t->leader == '?', t->param[i], on);
}

/* Sequences with an intermediate or a leader other than '?'. */
static void csi_rare(struct term *t, uint8_t final)
{
    if (t->intermediate == ' ' && final == 'q')
        cursor_shape(t);
    else if (t->intermediate == '!' && final == 'p')
        term_reset(t, false);
    else if (t->intermediate == '$' && final == 'p')
        term_answer(t, "\033[%s%u;%u$y", t->leader ? "?" : "", term_param(t, 0, 0),
                    term_mode_state(t, t->leader == '?', term_param(t, 0, 0)));
    else if (!t->intermediate && final == 'c')
        device_attributes(t);
    else if (t->leader == '>' && final == 'q' && !t->intermediate)
        term_answer(t, "\033P>|guise(%s)\033\\", GUISE_VERSION);
}

static void csi_edit(struct term *t, uint8_t final, int n)
{
    switch (final) {
    case '@': insert_chars(t, n); break;
    case 'P': insert_chars(t, -n); break;
    case 'L': insert_lines(t, n); break;
    case 'M': insert_lines(t, -n); break;
    case 'J': erase_screen(t, term_param(t, 0, 0)); break;
    case 'K': erase_line(t, term_param(t, 0, 0)); break;
    case 'S': term_scroll_region(t, t->top, t->bottom, n); break;
    case 'T': term_scroll_region(t, t->top, t->bottom, -n); break;
    case 'X': erase(t, t->row, t->col, n < t->grid->cols - t->col ? t->col + n : t->grid->cols); break;
    case 'b': repeat(t, (unsigned)n); break;
    default: break;
    }
}

void term_csi(struct term *t, uint8_t final)
{
    int n = (int)term_param(t, 0, 1);
    bool dec = t->leader == '?';

    if (!t->params)
        t->param[0] = 0;
    if (t->intermediate || (t->leader && !dec) || (!t->leader && final == 'c')) {
        csi_rare(t, final);
        return;
    }
    if (dec && !strchr("hlnJK", final))
        return;
    switch (final) {
    case 'A': move_rows(t, -n); break;
    case 'B':
    case 'e': move_rows(t, n); break;
    case 'C':
    case 'a': term_goto(t, t->row, t->col + n); break;
    case 'D': term_goto(t, t->row, t->col - n); break;
    case 'E':
        move_rows(t, n);
        t->col = 0;
        break;
    case 'F':
        move_rows(t, -n);
        t->col = 0;
        break;
    case 'G':
    case '`': term_goto(t, t->row, n - 1); break;
    case 'd': position(t, n - 1, t->col); break;
    case 'H':
    case 'f': position(t, n - 1, (int)term_param(t, 1, 1) - 1); break;
    case 'I': tab_forward(t, (unsigned)n); break;
    case 'Z': tab_back(t, (unsigned)n); break;
    case 'g': clear_tabs(t); break;
    case 'h': modes(t, true); break;
    case 'l': modes(t, false); break;
    case 'm': term_sgr(t); break;
    case 'n': device_status(t); break;
    case 'r': set_region(t); break;
    case 's': term_save_cursor(t); break;
    case 'u': term_restore_cursor(t); break;
    case 't': window(t); break;
    default: csi_edit(t, final, n);
    }
}
