/*
 * Our terminal beside libvterm's on the same random well-formed input: text, colours and the cursor must be the same.
 *
 * Left out is what libvterm cannot take (many parameters, REP with nothing to repeat) and where the two differ on
 * purpose: what erases cancels a pending wrap with us, so a move comes before each; moves stop at the scroll region's
 * edge, ICH and DCH work outside of it, as in xterm; IL and DL go to the first column, as on a VT220; a wide character
 * of which half is overwritten goes away.
 */
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "frontend/ui/term.h"
#include "tests/unit/check.h"

enum { COLS = 40, ROWS = 12 };

static uint64_t seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void reply(void *arg, const void *buf, size_t len)
{
    (void)arg;
    (void)buf;
    (void)len;
}

static size_t text(char *s)
{
    static const char *const odd[] = {"\xc3\xa4", "\xe2\x82\xac", "e\xcc\x81", "\xe2\x94\x80"};
    size_t n = 0;

    for (unsigned i = 1 + rnd(60); i; i--) {
        if (rnd(12)) {
            s[n++] = (char)('!' + rnd(94));
        } else {
            const char *o = odd[rnd(4)];

            memcpy(s + n, o, strlen(o));
            n += strlen(o);
        }
    }
    return n;
}

/* One sequence; each erase is after a move, which cancels a pending wrap in both. */
static size_t piece(char *s)
{
    static const char edits[] = "JKJKPLMX@STABCDEFGd";

    switch (rnd(10)) {
    case 0: return (size_t)sprintf(s, "\033[%u;%uH", rnd(ROWS + 2), rnd(COLS + 2));
    case 1:
        return (size_t)sprintf(s, "\033[%u;%uH\033[%u%c", 1 + rnd(ROWS), 1 + rnd(COLS - 1), rnd(3),
                               edits[rnd(6)] == 'K' ? 'K' : 'J');
    case 2: {
        char edit = edits[4 + rnd(15)];

        return (size_t)sprintf(s, "%s\033[%u;%uH\033[%u%c%s", strchr("LMST", edit) ? "" : "\033[r", 1 + rnd(ROWS),
                               1 + rnd(COLS - 1), 1 + rnd(5), edit, edit == 'L' || edit == 'M' ? "\r" : "");
    }
    case 3: return (size_t)sprintf(s, "\033[%u;%u;%um", rnd(2), 30 + rnd(8), 40 + rnd(8));
    case 4: return (size_t)sprintf(s, "\033[38;5;%um\033[48;2;%u;%u;%um", rnd(256), rnd(256), rnd(256), rnd(256));
    case 5: return (size_t)sprintf(s, "\r\n");
    case 6: {
        unsigned top = 1 + rnd(ROWS - 2);

        return (size_t)sprintf(s, "\033[%u;%ur", top, top + 1 + rnd(ROWS - top));
    }
    case 7: return (size_t)sprintf(s, "\033[m\033[%uG\t", 1 + rnd(COLS - 1));
    case 8: return (size_t)sprintf(s, "\033[%u;%uH\033%c", 1 + rnd(ROWS), 1 + rnd(COLS - 1), "M78DE"[rnd(5)]);
    default: return text(s);
    }
}

static uint32_t rgb(VTermState *s, VTermColor c)
{
    vterm_state_convert_color_to_rgb(s, &c);
    return (uint32_t)c.rgb.red << 16 | (uint32_t)c.rgb.green << 8 | c.rgb.blue;
}

/* Both are given the colours that may differ. */
static void same_palette(VTermState *s, struct term *t)
{
    for (int i = 0; i < 256; i++) {
        char osc[40];
        VTermColor c;

        vterm_state_get_palette_color(s, i, &c);
        sprintf(osc, "\033]4;%d;#%06x\007", i, rgb(s, c));
        term_write(t, osc, strlen(osc));
    }
}

static void compare(VTerm *v, struct term *t, const char *what, size_t len)
{
    static struct term_cell cells[ROWS * COLS];
    VTermState *state = vterm_obtain_state(v);
    VTermScreen *screen = vterm_obtain_screen(v);
    struct term_cursor cur;
    VTermPos pos;

    term_look(t, cells, &cur);
    vterm_state_get_cursorpos(state, &pos);
    if (pos.row != cur.row || pos.col != cur.col)
        fail_msg("cursor %d,%d, libvterm %d,%d after '%.*s'", cur.row, cur.col, pos.row, pos.col, (int)len, what);
    for (pos.row = 0; pos.row < ROWS; pos.row++) {
        for (pos.col = 0; pos.col < COLS; pos.col++) {
            const struct term_cell *c = &cells[pos.row * COLS + pos.col];
            VTermScreenCell theirs;
            uint32_t ch;

            vterm_screen_get_cell(screen, pos, &theirs);
            ch = theirs.chars[0] == UINT32_MAX ? (uint32_t)TERM_TAIL : theirs.chars[0];
            if (ch != c->ch || (ch != TERM_TAIL && theirs.chars[0] && theirs.chars[1] != c->mark[0]))
                fail_msg("U+%04x at %d,%d, libvterm U+%04x after '%.*s'", c->ch, pos.row, pos.col, ch, (int)len, what);
            if (ch == TERM_TAIL)
                continue;
            if (!VTERM_COLOR_IS_DEFAULT_BG(&theirs.bg) && rgb(state, theirs.bg) != (c->bg & CELL_RGB))
                fail_msg("background %06x at %d,%d, libvterm %06x after '%.*s'", c->bg, pos.row, pos.col,
                         rgb(state, theirs.bg), (int)len, what);
            if (ch && !VTERM_COLOR_IS_DEFAULT_FG(&theirs.fg) && rgb(state, theirs.fg) != (c->fg & CELL_RGB))
                fail_msg("colour %06x at %d,%d, libvterm %06x after '%.*s'", c->fg, pos.row, pos.col,
                         rgb(state, theirs.fg), (int)len, what);
        }
    }
}

static void the_same_screens_as_libvterm(void **unused)
{
    (void)unused;
    for (unsigned run = 0; run < 200; run++) {
        VTerm *v = vterm_new(ROWS, COLS);
        struct term *t = term_new(COLS, ROWS, reply, NULL);

        seed = run;
        vterm_set_utf8(v, 1);
        vterm_screen_reset(vterm_obtain_screen(v), 1);
        same_palette(vterm_obtain_state(v), t);
        vterm_input_write(v, "\0337", 2); /* nothing saved is black on black there */
        term_write(t, "\0337", 2);
        for (unsigned i = 0; i < 200; i++) {
            char s[512];
            size_t len = piece(s);

            vterm_input_write(v, s, len);
            term_write(t, s, len);
            compare(v, t, s, len);
        }
        vterm_free(v);
        term_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_screens_as_libvterm)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
