/* Mouse reports (ctlseqs "Mouse Tracking"), and the wheel. */
#include "frontend/ui/tab.h"
#include "frontend/ui/term_parts.h"

enum { MOTION = 32, WHEEL_UP = 64, WHEEL_DOWN = 65, RELEASE = 3, BYTE_MAX = 223 };

static bool listens(const struct term *t, unsigned mods) { return t->mouse != MOUSE_OFF && !(mods & UI_SHIFT); }

static unsigned modifiers(const struct term *t, unsigned mods)
{
    return t->mouse == MOUSE_X10 ? 0 : (mods & UI_ALT ? 8 : 0) + (mods & UI_CTRL ? 16 : 0);
}

static int clamp(int v, int n) { return v < 0 ? 0 : v < n ? v : n - 1; }

static void report(struct term *t, unsigned code, bool down, int row, int col, unsigned mods)
{
    unsigned c = code | modifiers(t, mods), x = (unsigned)clamp(col, t->grid->cols) + 1,
             y = (unsigned)clamp(row, t->grid->rows) + 1;

    if (t->mouse_format == MOUSE_SGR) {
        term_answer(t, "\033[<%u;%u;%u%c", c, x, y, down ? 'M' : 'm');
        return;
    }
    if (!down)
        c = (c & ~3u) | RELEASE;
    if (t->mouse_format == MOUSE_URXVT) {
        term_answer(t, "\033[%u;%u;%uM", c + 32, x, y);
    } else if (x <= BYTE_MAX && y <= BYTE_MAX) {
        char buf[6] = {'\033', '[', 'M', (char)(c + 32), (char)(x + 32), (char)(y + 32)};

        t->reply(t->arg, buf, sizeof buf);
    }
}

bool term_mouse(struct term *t, enum term_button b, bool down, int row, int col, unsigned mods)
{
    unsigned bit = 1u << b;

    if (b > TERM_RIGHT || (!(t->mouse_held & bit) && (!down || !listens(t, mods))))
        return false; /* a release whose press was not the program's is not either */
    t->mouse_held = down ? t->mouse_held | bit : t->mouse_held & ~bit;
    if (t->mouse == MOUSE_OFF)
        return true;
    if (down || t->mouse != MOUSE_X10)
        report(t, b, down, row, col, mods);
    return true;
}

bool term_mouse_move(struct term *t, enum term_button held, int row, int col, unsigned mods)
{
    if (!listens(t, mods) && !t->mouse_held)
        return false;
    row = clamp(row, t->grid->rows);
    col = clamp(col, t->grid->cols);
    if (row == t->mouse_row && col == t->mouse_col)
        return true;
    t->mouse_row = row;
    t->mouse_col = col;
    if (t->mouse == MOUSE_ANY || (t->mouse == MOUSE_DRAG && t->mouse_held))
        report(t, MOTION + (held <= TERM_RIGHT ? held : RELEASE), true, row, col, mods);
    return true;
}

bool term_wheel(struct term *t, int up, int row, int col, unsigned mods)
{
    int n = up < 0 ? -up : up;

    n = n < 10 ? n : 10;
    if (t->mouse != MOUSE_X10 && listens(t, mods)) {
        while (n--)
            report(t, up > 0 ? WHEEL_UP : WHEEL_DOWN, true, row, col, mods);
        return true;
    }
    if (t->grid != &t->alt || !t->wheel_keys || mods & UI_SHIFT)
        return false;
    for (n *= 3; n; n--) /* a pager scrolls */
        term_answer(t, "\033%c%c", t->app_cursor ? 'O' : '[', up > 0 ? 'A' : 'B');
    return true;
}
