/*
 * The terminal's screen: what sequences do to it (ECMA-48, VT220 manual, xterm's ctlseqs), scrollback, rewrapping,
 * selection. Screens are compared as text, a line per row.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term.h"
#include "tests/unit/check.h"

static struct term *t;
static char sent[4096];
static size_t sent_len;
static struct term_cell cells[200 * 200];
static struct term_cursor cursor;

static void reply(void *arg, const void *buf, size_t len)
{
    (void)arg;
    if (sent_len + len >= sizeof sent)
        len = sizeof sent - 1 - sent_len;
    memcpy(sent + sent_len, buf, len);
    sent_len += len;
    sent[sent_len] = 0;
}

static void start(unsigned cols, unsigned rows)
{
    term_free(t);
    t = term_new((uint16_t)cols, (uint16_t)rows, reply, NULL);
    CHECK(t);
    sent_len = 0;
    sent[0] = 0;
}

static int end(void **state)
{
    (void)state;
    term_free(t);
    t = NULL;
    return 0;
}

static void put(const char *s) { term_write(t, s, strlen(s)); }

static struct term_cell cell(int row, int col)
{
    uint16_t cols, rows;

    term_size(t, &cols, &rows);
    term_look(t, cells, &cursor);
    return cells[row * cols + col];
}

/* The view as text, blanks at line ends and empty lines at the end left out. */
static const char *screen(void)
{
    static char text[200 * 201 + 1];
    uint16_t cols, rows;
    size_t n = 0, keep = 0;

    term_size(t, &cols, &rows);
    term_look(t, cells, &cursor);
    for (int r = 0; r < rows; r++) {
        size_t line = n;

        for (int c = 0; c < cols; c++) {
            uint32_t ch = cells[r * cols + c].ch;

            if (ch == TERM_TAIL)
                continue;
            text[n++] = ch > 0x7e ? '?' : ch ? (char)ch : ' ';
        }
        while (n > line && text[n - 1] == ' ')
            n--;
        if (n > line)
            keep = n;
        text[n++] = '\n';
    }
    text[keep] = 0;
    return text;
}

static void cursor_is(int row, int col)
{
    term_look(t, cells, &cursor);
    CHECK_EQ(cursor.row, row);
    CHECK_EQ(cursor.col, col);
}

static void asks(const char *question, const char *answer)
{
    sent_len = 0;
    sent[0] = 0;
    put(question);
    CHECK_STR(sent, answer);
}

static void text_wraps_at_the_margin_and_only_when_more_comes(void **state)
{
    (void)state;
    start(5, 3);
    put("abcde");
    CHECK_STR(screen(), "abcde");
    cursor_is(0, 4);
    put("\r\nX"); /* the pending wrap is gone: no empty line */
    CHECK_STR(screen(), "abcde\nX");
    put("\033[2J\033[Habcdefg");
    CHECK_STR(screen(), "abcde\nfg");
    put("\033[2J\033[H\033[?7labcdefg"); /* no autowrap: the last column takes all */
    CHECK_STR(screen(), "abcdg");
}

static void the_screen_scrolls_into_the_scrollback(void **state)
{
    (void)state;
    start(10, 3);
    put("1\r\n2\r\n3\r\n4\r\n5");
    CHECK_STR(screen(), "3\n4\n5");
    CHECK_EQ(term_history_lines(t), 2);
    term_scroll(t, 1);
    CHECK_STR(screen(), "2\n3\n4");
    put("\r\n6"); /* who looks back is not moved */
    CHECK_STR(screen(), "2\n3\n4");
    term_scroll(t, 100);
    CHECK_STR(screen(), "1\n2\n3");
    CHECK_EQ(term_scrolled(t), 3);
    term_scroll_end(t);
    CHECK_STR(screen(), "4\n5\n6");
    put("\033[3J");
    CHECK_EQ(term_history_lines(t), 0);
    CHECK_STR(screen(), "4\n5\n6");
}

static void the_scrollback_is_bounded(void **state)
{
    (void)state;
    start(10, 2);
    for (int i = 0; i < TERM_HISTORY_LINES + 500; i++)
        put("line\r\n");
    CHECK_EQ(term_history_lines(t), TERM_HISTORY_LINES);
    start(1000, 2); /* 16 kB a line */
    for (int i = 0; i < 3000; i++) {
        char line[1001];

        memset(line, 'x', 1000);
        line[1000] = 0;
        put(line);
    }
    CHECK(term_history_lines(t) <= TERM_HISTORY_BYTES / 16000);
    CHECK(term_history_lines(t) > 1900);
}

static void cursor_moves_stop_at_the_edges(void **state)
{
    (void)state;
    start(10, 5);
    put("\033[3;4HA");
    cursor_is(2, 4);
    put("\033[99A\033[99D");
    cursor_is(0, 0);
    put("\033[99;99H");
    cursor_is(4, 9);
    put("\033[2G\033[2d");
    cursor_is(1, 1);
    put("\033[3C\033[B");
    cursor_is(2, 4);
    put("\033[E");
    cursor_is(3, 0);
    put("\033[2F");
    cursor_is(1, 0);
    put("\033[;5H");
    cursor_is(0, 4);
    put("\033[H\033[16383B\033[16383C");
    cursor_is(4, 9);
    put("\b\b");
    cursor_is(4, 7);
}

static void a_scroll_region_keeps_the_rest(void **state)
{
    (void)state;
    start(10, 5);
    put("1\r\n2\r\n3\r\n4\r\n5\033[2;4r\033[4;1H\n");
    CHECK_STR(screen(), "1\n3\n4\n\n5");
    CHECK_EQ(term_history_lines(t), 0); /* not from the top of the screen */
    put("\033[2;1H\033M");
    CHECK_STR(screen(), "1\n\n3\n4\n5");
    put("\033[2;1HA\033[M");
    CHECK_STR(screen(), "1\n3\n4\n\n5");
    put("\033[2L");
    CHECK_STR(screen(), "1\n\n\n3\n5");
    put("\033[?6h\033[1;1HX\033[9;1HY"); /* origin mode counts from the region */
    CHECK_STR(screen(), "1\nX\n\nY\n5");
    put("\033[?6l\033[r\033[S");
    CHECK_STR(screen(), "X\n\nY\n5");
    put("\033[2T");
    CHECK_STR(screen(), "\n\nX\n\nY");
}

static void erasing_and_shifting_within_a_line(void **state)
{
    (void)state;
    start(10, 3);
    put("abcdefghij\033[1;4H\033[K");
    CHECK_STR(screen(), "abc");
    put("\rabcdefghij\033[1;4H\033[1K");
    CHECK_STR(screen(), "    efghij");
    put("\033[1;1Habcdefghij\033[1;3H\033[2P");
    CHECK_STR(screen(), "abefghij");
    put("\033[2@");
    CHECK_STR(screen(), "ab  efghij");
    put("\033[1;1H\033[3X");
    CHECK_STR(screen(), "    efghij");
    put("\033[4hZ\033[4l");
    CHECK_STR(screen(), "Z    efghi");
    put("\033[1;1Ha\033[4b"); /* REP */
    CHECK_STR(screen(), "aaaaaefghi");
}

static void erasing_the_screen_in_parts(void **state)
{
    (void)state;
    start(4, 3);
    put("aaaabbbbcccc\033[2;2H\033[J");
    CHECK_STR(screen(), "aaaa\nb");
    put("\033[Haaaabbbbcccc\033[2;2H\033[1J");
    CHECK_STR(screen(), "\n  bb\ncccc");
    put("\033[2J");
    CHECK_STR(screen(), "");
    cursor_is(1, 1);
}

static void tabs(void **state)
{
    (void)state;
    start(30, 2);
    put("\ta\tb");
    CHECK_STR(screen(), "        a       b");
    put("\r\033[5C\033H\r\tx\033[2Z");
    cursor_is(0, 0);
    put("\033[3g\r\t");
    cursor_is(0, 29);
}

static void colours_and_attributes(void **state)
{
    struct term_cell c;

    (void)state;
    start(20, 3);
    put("\033[1;3;4;9;38;2;1;2;3;48;5;231mA\033[22;23;24;29;39;49mB\033[38:2::4:5:6mC\033[38:2:7:8:9mD\033[38:5:16mE");
    c = cell(0, 0);
    CHECK_EQ(c.fg, CELL_BOLD | CELL_ITALIC | CELL_STRIKE | 0x010203);
    CHECK_EQ(c.bg, UINT32_C(1) << CELL_UNDERLINE_SHIFT | 0xffffff);
    CHECK_EQ(cell(0, 1).bg, term_background(t));
    CHECK_EQ(cell(0, 1).fg & ~CELL_RGB, 0);
    CHECK_EQ(cell(0, 2).fg, 0x040506);
    CHECK_EQ(cell(0, 3).fg, 0x070809);
    CHECK_EQ(cell(0, 4).fg, 0);
    put("\033[0;7mF");
    CHECK_EQ(cell(0, 5).fg, term_background(t));
    CHECK_EQ(cell(0, 5).bg, cell(0, 1).fg);
    put("\033[0;8mG");
    CHECK_EQ(cell(0, 6).fg, cell(0, 6).bg);
    put("\033[0;38;5;196;48;5;244mH"); /* of the cube, of the greys */
    CHECK_EQ(cell(0, 7).fg, 0xff0000);
    CHECK_EQ(cell(0, 7).bg, 0x808080);
    put("\033[4:3mI\033[21mJ\033[4:0mK");
    CHECK_EQ(cell(0, 8).bg >> CELL_UNDERLINE_SHIFT, 3);
    CHECK_EQ(cell(0, 9).bg >> CELL_UNDERLINE_SHIFT, 2);
    CHECK_EQ(cell(0, 10).bg >> CELL_UNDERLINE_SHIFT, 0);
    put("\033[0;58:2::9:9:9;1mL"); /* a colour for underlines is skipped, with all its parts */
    CHECK_EQ(cell(0, 11).fg & ~CELL_RGB, CELL_BOLD);
    put("\033[41m\033[2J"); /* erasing takes the background */
    CHECK(cell(2, 19).bg != term_background(t));
    put("\033[m\033[?5h\033[2J");
    CHECK_EQ(cell(2, 19).bg, term_background(t));
}

static void palette_sequences(void **state)
{
    (void)state;
    start(10, 2);
    put("\033]4;1;rgb:12/34/56\033\\\033[31mA");
    CHECK_EQ(cell(0, 0).fg, 0x123456);
    put("\033]P1abcdef\033[31mB"); /* the Linux console's has no end */
    CHECK_EQ(cell(0, 1).fg, 0xabcdef);
    put("\033]RC"); /* its reset neither */
    CHECK_EQ(cell(0, 2).ch, 'C');
    put("\033]11;#102030\007");
    CHECK_EQ(term_background(t), 0x102030);
    CHECK_EQ(cell(1, 0).bg, 0x102030);
}

static void utf8_wide_and_combining(void **state)
{
    (void)state;
    start(6, 3);
    put("\xc3\xa4"                   /* ä */
        "e\xcc\x81"                  /* e, combining acute */
        "\xe6\xbc\xa2\xe5\xad\x97"); /* two wide ones */
    CHECK_EQ(cell(0, 0).ch, 0xe4);
    CHECK_EQ(cell(0, 1).ch, 'e');
    CHECK_EQ(cell(0, 1).mark[0], 0x301);
    CHECK_EQ(cell(0, 2).ch, 0x6f22);
    CHECK(cell(0, 2).fg & CELL_WIDE);
    CHECK_EQ(cell(0, 3).ch, TERM_TAIL);
    CHECK_EQ(cell(0, 4).ch, 0x5b57);
    put("\r\nabcde\xe6\xbc\xa2"); /* does not fit: on the next line */
    CHECK_EQ(cell(1, 5).ch, 0);
    CHECK_EQ(cell(2, 0).ch, 0x6f22);
    put("\033[3;2Hx"); /* writing on half of it takes the other half away */
    CHECK_EQ(cell(2, 0).ch, 0);
    CHECK_EQ(cell(2, 0).fg & CELL_WIDE, 0);
    CHECK_EQ(cell(2, 1).ch, 'x');
    put("\033[H\xf0\x9f\x98\x80"); /* an emoji is wide (UAX #11) */
    CHECK(cell(0, 0).fg & CELL_WIDE);
}

static void malformed_utf8_is_replaced(void **state)
{
    (void)state;
    start(20, 2);
    put("a\xff"
        "b\xc3"
        "c\xe2\x82"
        "d\xc0\xaf"
        "e\xed\xa0\x80"
        "f");
    CHECK_EQ(cell(0, 1).ch, 0xfffd);
    CHECK_EQ(cell(0, 2).ch, 'b');
    CHECK_EQ(cell(0, 3).ch, 0xfffd);
    CHECK_EQ(cell(0, 4).ch, 'c');
    CHECK_EQ(cell(0, 5).ch, 0xfffd);
    CHECK_EQ(cell(0, 6).ch, 'd');
    CHECK_EQ(cell(0, 7).ch, 0xfffd); /* overlong: one for each byte */
    CHECK_EQ(cell(0, 8).ch, 0xfffd);
    CHECK_EQ(cell(0, 9).ch, 'e');
    CHECK_EQ(cell(0, 10).ch, 0xfffd); /* a surrogate */
    CHECK_EQ(cell(0, 11).ch, 'f');
    put("\xe2"); /* a character may come in pieces */
    put("\x82");
    put("\xac");
    CHECK_EQ(cell(0, 12).ch, 0x20ac);
}

static void line_drawing(void **state)
{
    (void)state;
    start(10, 2);
    put("\033(0lqk\033(Bq\033)0\016x\017x");
    CHECK_EQ(cell(0, 0).ch, 0x250c);
    CHECK_EQ(cell(0, 1).ch, 0x2500);
    CHECK_EQ(cell(0, 2).ch, 0x2510);
    CHECK_EQ(cell(0, 3).ch, 'q');
    CHECK_EQ(cell(0, 4).ch, 0x2502);
    CHECK_EQ(cell(0, 5).ch, 'x');
}

static void the_alternate_screen_gives_back_what_was(void **state)
{
    (void)state;
    start(10, 3);
    put("one\r\ntwo\033[?1049h\033[Hvi\r\n\n\n\n\n");
    CHECK_EQ(term_history_lines(t), 0);
    put("\033[Hvi");
    CHECK_STR(screen(), "vi");
    put("\033[?1049l");
    CHECK_STR(screen(), "one\ntwo");
    cursor_is(1, 3);
}

static void what_programs_ask(void **state)
{
    (void)state;
    start(132, 43);
    asks("\033[18t", "\033[8;43;132t");
    asks("\0337\033[r\033[999;999H\033[6n\0338", "\033[43;132R"); /* resize(1) */
    asks("\033[5n", "\033[0n");
    asks("\033[c", "\033[?62;22c");
    asks("\033[0c", "\033[?62;22c");
    asks("\033[?25$p", "\033[?25;1$y");
    asks("\033[?2004$p", "\033[?2004;2$y");
    asks("\033[?12345$p", "\033[?12345;0$y");
    asks("\033[4$p", "\033[4;2$y");
    asks("\033]11;?\033\\", "\033]11;rgb:1515/1717/1c1c\033\\");
    asks("\033P$qr\033\\", "\033P1$r1;43r\033\\");
    asks("\033[1m\033P$qm\033\\", "\033P1$r0;1m\033\\");
    asks("\033[3 q\033P$q q\033\\", "\033P1$r3 q\033\\");
    asks("\033P$qx\033\\", "\033P0$r\033\\");
    asks("\033[21t", ""); /* the title would be typed into the guest's shell */
    term_cell_size(t, 9, 17);
    asks("\033[16t", "\033[6;17;9t");
    asks("\033[14t", "\033[4;731;1188t");
}

static void titles(void **state)
{
    char longer[1000];

    (void)state;
    start(10, 2);
    put("\033]0;guest: ~\007");
    CHECK_STR(term_title(t), "guest: ~");
    put("\033]2;\xc3\xbc"
        "ber\033\\");
    CHECK_STR(term_title(t), "\xc3\xbc"
                             "ber");
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "\033]2;", 4);
    longer[sizeof longer - 1] = 0;
    put(longer);
    put("\007.");
    CHECK_EQ(strlen(term_title(t)), TERM_TITLE - 1);
    CHECK_STR(screen(), ".");
}

static void a_hostile_stream_costs_nothing(void **state)
{
    static char big[100001];

    (void)state;
    start(10, 2);
    memset(big, ';', 100000); /* libvterm writes behind its arguments here */
    put("\033[");
    put(big);
    put("mA");
    put("\033[5b\033c\033[9999999999999999b"); /* and loops for ever here */
    put("\033[1;99999999999999999999H\033[999999999999999999999@\033[99999999999P\033[4294967295L\033[4294967297M");
    memset(big, 'A', 100000);
    put("\033]52;");
    put(big);
    put("\033_");
    put(big);
    put("\033\\");
    put("\033P");
    put(big);
    put("\033\\\033[31;;;;;m");
    for (int i = 0; i < 100000; i++)
        put("\xcc\x81");
    put("\033[H\033[2Jok");
    CHECK_STR(screen(), "ok");
}

static void lines_rewrap_with_the_width(void **state)
{
    (void)state;
    start(10, 4);
    put("0123456789abcdef\r\nshort\r\n$ ");
    CHECK_STR(screen(), "0123456789\nabcdef\nshort\n$");
    CHECK(term_resize(t, 20, 4));
    CHECK_STR(screen(), "0123456789abcdef\nshort\n$");
    cursor_is(2, 2);
    CHECK(term_resize(t, 5, 4));
    CHECK_STR(screen(), "abcde\nf\nshort\n$");
    cursor_is(3, 2);
    CHECK_EQ(term_history_lines(t), 2);
    CHECK(term_resize(t, 10, 4));
    CHECK_STR(screen(), "0123456789\nabcdef\nshort\n$");
    cursor_is(3, 2);
    CHECK(term_resize(t, 10, 2));
    CHECK_STR(screen(), "short\n$");
    cursor_is(1, 2);
    CHECK(term_resize(t, 10, 6));
    CHECK_STR(screen(), "0123456789\nabcdef\nshort\n$");
    cursor_is(3, 2);
}

static void wide_characters_are_not_cut_by_rewrapping(void **state)
{
    (void)state;
    start(8, 3);
    put("ab\xe6\xbc\xa2\xe5\xad\x97"
        "cd");
    CHECK(term_resize(t, 3, 4));
    CHECK_EQ(cell(0, 0).ch, 'a');
    CHECK_EQ(cell(0, 2).ch, 0);
    CHECK_EQ(cell(1, 0).ch, 0x6f22);
    CHECK_EQ(cell(2, 0).ch, 0x5b57);
    CHECK_EQ(cell(2, 2).ch, 'c');
    CHECK_EQ(cell(3, 0).ch, 'd');
}

static void the_main_screen_rewraps_behind_the_alternate_one(void **state)
{
    (void)state;
    start(10, 3);
    put("0123456789ab\r\n$ \033[?1049h\033[Htop");
    CHECK(term_resize(t, 6, 3));
    CHECK_STR(screen(), "top");
    put("\033[?1049l");
    CHECK_STR(screen(), "012345\n6789ab\n$");
    cursor_is(2, 2);
}

static void select_is(const char *expected)
{
    char *got = term_copy(t);

    if (!expected)
        CHECK(!got);
    else
        CHECK_STR(got, expected);
    free(got);
}

static void selection_copies_characters_words_and_lines(void **state)
{
    (void)state;
    start(10, 4);
    put("ls /usr/lib/x -l\r\n  two \xc3\xa4\xe6\xbc\xa2\r\n");
    term_select(t, 0, 1, 1, false);
    select_is(NULL); /* a click alone */
    term_select_to(t, 0, 5);
    select_is("s /u");
    term_select_to(t, 2, 5); /* over the wrapped line: no line end where there was none */
    select_is("s /usr/lib/x -l\n  two");
    term_select(t, 0, 6, 2, false);
    select_is("/usr/lib/x"); /* a path is one word, over the margin */
    term_select(t, 0, 0, 2, false);
    select_is("ls");
    term_select_to(t, 0, 4);
    select_is("ls /usr/lib/x");
    term_select(t, 1, 0, 3, false);
    select_is("ls /usr/lib/x -l\n");
    term_select(t, 2, 2, 3, false);
    select_is("  two \xc3\xa4\xe6\xbc\xa2\n");
    CHECK_EQ(cell(2, 3).bg, cell(2, 2).bg);
    CHECK(cell(2, 3).bg != term_background(t));
    term_select_none(t);
    CHECK_EQ(cell(2, 3).bg, term_background(t));
    term_select(t, 0, 1, 1, true); /* a block */
    term_select_to(t, 1, 3);
    select_is("s\n/x");
}

static void a_selection_stays_on_its_text(void **state)
{
    (void)state;
    start(10, 3);
    put("one\r\ntwo\r\nthree");
    term_select(t, 1, 0, 2, false);
    select_is("two");
    put("\r\nfour\r\nfive\r\nsix");
    select_is("two");
    term_scroll(t, 2);
    CHECK(cell(0, 0).bg != term_background(t));
    term_select_all(t);
    select_is("one\ntwo\nthree\nfour\nfive\nsix\n");
    put("\033[3J");
    select_is(NULL);
}

static void cursor_shapes_and_visibility(void **state)
{
    (void)state;
    start(10, 3);
    cursor_is(0, 0);
    CHECK(cursor.blink);
    put("\033[6 q");
    cursor_is(0, 0);
    CHECK_EQ(cursor.shape, TERM_BAR);
    CHECK(!cursor.blink);
    put("\033[?25l");
    term_look(t, cells, &cursor);
    CHECK_EQ(cursor.row, -1);
    put("\033[?25h\r\n\n\n\n");
    term_scroll(t, 1); /* below the view */
    term_look(t, cells, &cursor);
    CHECK_EQ(cursor.row, -1);
}

static void reset_clears_all(void **state)
{
    (void)state;
    start(10, 3);
    put("text\033[?1049h\033[31;44m\033[2;3r\033[?6h\033[?25l\033[?2004h\033(0\033cq");
    CHECK_STR(screen(), "q");
    cursor_is(0, 1);
    CHECK_EQ(cell(0, 5).bg, term_background(t));
    asks("\033[?2004$p", "\033[?2004;2$y");
    put("\a\a");
    CHECK_EQ(term_bells(t), 2);
    CHECK_EQ(term_bells(t), 0);
    CHECK(term_changed(t));
    CHECK(!term_changed(t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(text_wraps_at_the_margin_and_only_when_more_comes, end),
        cmocka_unit_test_teardown(the_screen_scrolls_into_the_scrollback, end),
        cmocka_unit_test_teardown(the_scrollback_is_bounded, end),
        cmocka_unit_test_teardown(cursor_moves_stop_at_the_edges, end),
        cmocka_unit_test_teardown(a_scroll_region_keeps_the_rest, end),
        cmocka_unit_test_teardown(erasing_and_shifting_within_a_line, end),
        cmocka_unit_test_teardown(erasing_the_screen_in_parts, end),
        cmocka_unit_test_teardown(tabs, end),
        cmocka_unit_test_teardown(colours_and_attributes, end),
        cmocka_unit_test_teardown(palette_sequences, end),
        cmocka_unit_test_teardown(utf8_wide_and_combining, end),
        cmocka_unit_test_teardown(malformed_utf8_is_replaced, end),
        cmocka_unit_test_teardown(line_drawing, end),
        cmocka_unit_test_teardown(the_alternate_screen_gives_back_what_was, end),
        cmocka_unit_test_teardown(what_programs_ask, end),
        cmocka_unit_test_teardown(titles, end),
        cmocka_unit_test_teardown(a_hostile_stream_costs_nothing, end),
        cmocka_unit_test_teardown(lines_rewrap_with_the_width, end),
        cmocka_unit_test_teardown(wide_characters_are_not_cut_by_rewrapping, end),
        cmocka_unit_test_teardown(the_main_screen_rewraps_behind_the_alternate_one, end),
        cmocka_unit_test_teardown(selection_copies_characters_words_and_lines, end),
        cmocka_unit_test_teardown(a_selection_stays_on_its_text, end),
        cmocka_unit_test_teardown(cursor_shapes_and_visibility, end),
        cmocka_unit_test_teardown(reset_clears_all, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
