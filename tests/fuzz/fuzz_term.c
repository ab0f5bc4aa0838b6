/*
 * Fuzz target: the terminal. Bytes are the guest's, but those no UTF-8 has (0xf7 to 0xff), which resize, press keys, move
 * the mouse, select, copy, scroll, paste and look. What is to be seen must be well formed whatever came.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term.h"
#include "tests/fuzz/machine.h"

enum { COLS = 100, ROWS = 60 };

static size_t sent, most;

static void reply(void *arg, const void *buf, size_t len)
{
    (void)arg;
    (void)buf;
    sent += len;
    if (sent > most) /* answers are not much longer than questions */
        abort();
}

static void look(struct term *t)
{
    static struct term_cell cells[COLS * ROWS];
    struct term_cursor cur;
    uint16_t cols, rows;

    term_size(t, &cols, &rows);
    if (cols > COLS || rows > ROWS || term_history_lines(t) > TERM_HISTORY_LINES ||
        term_scrolled(t) > term_history_lines(t))
        abort();
    term_look(t, cells, &cur);
    if (cur.row >= rows || (cur.row >= 0 && (cur.col < 0 || cur.col >= cols)))
        abort();
    for (int i = 0; i < cols * rows; i++) {
        if (cells[i].ch > TERM_TAIL || cells[i].bg & (CELL_DEFAULT | CELL_REVERSE) || cells[i].fg & CELL_DEFAULT)
            abort();
        if (cells[i].fg & CELL_WIDE && (i % cols == cols - 1 || cells[i + 1].ch != TERM_TAIL) && !term_scrolled(t))
            abort();
    }
    if (strlen(term_title(t)) >= TERM_TITLE)
        abort();
}

static void paste(struct term *t, struct fuzz_in *in)
{
    char text[33];
    size_t n = fuzz_take(in, 1) % 32;

    for (size_t i = 0; i < n; i++)
        text[i] = (char)fuzz_take(in, 1);
    text[n] = 0;
    term_paste(t, text);
}

static void mouse(struct term *t, struct fuzz_in *in)
{
    unsigned what = (unsigned)fuzz_take(in, 1);
    int row = (int8_t)fuzz_take(in, 1), col = (int8_t)fuzz_take(in, 1);

    if (what & 8)
        term_wheel(t, what & 1 ? 3 : -3, row, col, what >> 4);
    else if (what & 4)
        term_mouse_move(t, what & 3, row, col, what >> 4);
    else
        term_mouse(t, what & 3, what & 128, row, col, what >> 4 & 7);
}

static void choose(struct term *t, struct fuzz_in *in)
{
    unsigned what = (unsigned)fuzz_take(in, 1);
    int row = (int8_t)fuzz_take(in, 1), col = (int8_t)fuzz_take(in, 1);

    if (what & 1)
        term_select_to(t, row, col);
    else if (what == 2)
        term_select_all(t);
    else
        term_select(t, row, col, what >> 1 & 3, what & 128);
    free(term_copy(t));
}

static void event(struct term *t, struct fuzz_in *in, unsigned kind)
{
    switch (kind) {
    case 0xf7: look(t); break;
    case 0xf8: {
        uint16_t cols = (uint16_t)(fuzz_take(in, 1) % COLS), rows = (uint16_t)(fuzz_take(in, 1) % ROWS);

        term_resize(t, cols, rows);
        look(t);
        break;
    }
    case 0xf9: {
        uint16_t code = (uint16_t)fuzz_take(in, 1);
        unsigned mods = (unsigned)fuzz_take(in, 1);

        term_key(t, code, mods, (uint32_t)fuzz_take(in, 2));
        break;
    }
    case 0xfa: mouse(t, in); break;
    case 0xfb: choose(t, in); break;
    case 0xfc: term_scroll(t, (int8_t)fuzz_take(in, 1)); break;
    case 0xfd: paste(t, in); break;
    case 0xfe: term_focus(t, fuzz_take(in, 1) & 1); break;
    default: term_clear_history(t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_in in = {data, size};
    struct term *t;
    uint8_t text[64];
    size_t n = 0;

    sent = 0;
    most = 64 * size + 4096;
    t = term_new((uint16_t)(fuzz_take(&in, 1) % COLS), (uint16_t)(fuzz_take(&in, 1) % ROWS), reply, NULL);
    if (!t)
        return 0;
    while (in.left) {
        uint8_t b = (uint8_t)fuzz_take(&in, 1);

        if (b < 0xf7)
            text[n++] = b;
        if (b >= 0xf7 || n == sizeof text || !in.left) {
            term_write(t, text, n);
            n = 0;
        }
        if (b >= 0xf7)
            event(t, &in, b);
    }
    look(t);
    term_free(t);
    return 0;
}
