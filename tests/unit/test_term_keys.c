/* What the terminal sends for keys, mouse and paste: xterm's ctlseqs, terminfo entry xterm-256color. */
#include <linux/input-event-codes.h>
#include <string.h>

#include "frontend/ui/tab.h"
#include "frontend/ui/term.h"
#include "tests/unit/check.h"

static struct term *t;
static char sent[4096];
static size_t len;

static void reply(void *arg, const void *buf, size_t n)
{
    (void)arg;
    CHECK(len + n < sizeof sent);
    memcpy(sent + len, buf, n);
    len += n;
    sent[len] = 0;
}

static int start(void **state)
{
    (void)state;
    t = term_new(80, 24, reply, NULL);
    len = 0;
    sent[0] = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    term_free(t);
    return 0;
}

static void put(const char *s) { term_write(t, s, strlen(s)); }

static void is(const char *expected)
{
    CHECK_STR(sent, expected);
    len = 0;
    sent[0] = 0;
}

static void key(uint16_t code, unsigned mods, uint32_t label, const char *expected)
{
    CHECK_EQ(term_key(t, code, mods, label), *expected != 0);
    is(expected);
}

static void special_keys(void **state)
{
    (void)state;
    key(KEY_UP, 0, 0, "\033[A");
    key(KEY_HOME, 0, 0, "\033[H");
    key(KEY_LEFT, UI_CTRL, 0, "\033[1;5D");
    key(KEY_F1, 0, 0, "\033OP");
    key(KEY_F1, UI_SHIFT, 0, "\033[1;2P");
    key(KEY_F5, 0, 0, "\033[15~");
    key(KEY_F12, UI_ALT, 0, "\033[24;3~");
    key(KEY_DELETE, 0, 0, "\033[3~");
    key(KEY_PAGEUP, UI_CTRL | UI_ALT | UI_SHIFT, 0, "\033[5;8~");
    key(KEY_ENTER, 0, 0, "\r");
    key(KEY_KPENTER, 0, 0, "\r");
    key(KEY_TAB, 0, 0, "\t");
    key(KEY_TAB, UI_SHIFT, 0, "\033[Z");
    key(KEY_BACKSPACE, 0, 0, "\177");
    key(KEY_BACKSPACE, UI_ALT, 0, "\033\177");
    key(KEY_ESC, 0, 0, "\033");
    put("\033[?1h");
    key(KEY_UP, 0, 0, "\033OA");
    key(KEY_UP, UI_SHIFT, 0, "\033[1;2A");
    put("\033[20h");
    key(KEY_ENTER, 0, 0, "\r\n");
}

static void control_and_alt(void **state)
{
    (void)state;
    key(KEY_C, 0, 'c', ""); /* its text follows */
    key(KEY_C, UI_CTRL, 'c', "\003");
    key(KEY_I, UI_CTRL, 'i', "\t");
    key(KEY_LEFTBRACE, UI_CTRL, '[', "\033");
    key(KEY_SLASH, UI_CTRL, '/', "\037");
    key(KEY_X, UI_ALT, 'x', "\033x");
    key(KEY_X, UI_ALT | UI_SHIFT, 'x', "\033X");
    key(KEY_X, UI_ALT | UI_CTRL, 'x', "\033\030");
    key(KEY_C, UI_CTRL, 0x441, "\003");                /* a Cyrillic layout: by the key's place */
    key(KEY_APOSTROPHE, UI_ALT, 0xe4, "\033\xc3\xa4"); /* de: ä */
    key(KEY_1, UI_CTRL, '1', "");
    CHECK(term_key(t, KEY_SPACE, UI_CTRL, ' '));
    CHECK_EQ(len, 1);
    CHECK_EQ(sent[0], 0);
}

static void typing_brings_the_view_back(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        put("line\r\n");
    term_scroll(t, 10);
    term_text(t, "x");
    CHECK_EQ(term_scrolled(t), 0);
    is("x");
}

static void paste_is_bracketed_and_harmless(void **state)
{
    (void)state;
    term_paste(t, "a\nb\r\nc\td");
    is("a\rb\rc\td");
    put("\033[?2004h");
    term_paste(t, "rm\033[201~ -rf\x07\xc2\x9b\x7f\xc3\xa4");
    is("\033[200~rm[201~ -rf\xc3\xa4\033[201~");
}

static void the_mouse_is_reported_as_asked(void **state)
{
    (void)state;
    CHECK(!term_mouse(t, TERM_LEFT, true, 1, 2, 0));
    put("\033[?1000h");
    CHECK(term_mouse(t, TERM_LEFT, true, 1, 2, 0));
    is("\033[M #\"");
    CHECK(term_mouse(t, TERM_LEFT, false, 1, 2, 0));
    is("\033[M##\"");
    put("\033[?1006h");
    CHECK(term_mouse(t, TERM_RIGHT, true, 9, 19, UI_CTRL));
    is("\033[<18;20;10M");
    term_mouse_move(t, TERM_RIGHT, 9, 20, 0);
    is("");
    CHECK(term_mouse(t, TERM_RIGHT, false, 9, 19, 0));
    is("\033[<2;20;10m");
    put("\033[?1002h");
    CHECK(term_mouse(t, TERM_LEFT, true, 0, 0, 0));
    term_mouse_move(t, TERM_LEFT, 5, 6, 0);
    term_mouse_move(t, TERM_LEFT, 5, 6, 0); /* the same cell */
    CHECK(term_mouse(t, TERM_LEFT, false, 99, 999, 0));
    is("\033[<0;1;1M\033[<32;7;6M\033[<0;80;24m");
    put("\033[?1003h");
    term_mouse_move(t, TERM_NO_BUTTON, 6, 6, 0);
    is("\033[<35;7;7M");
    CHECK(term_wheel(t, 1, 0, 0, 0));
    CHECK(term_wheel(t, -1, 0, 0, 0));
    is("\033[<64;1;1M\033[<65;1;1M");
    CHECK(!term_mouse(t, TERM_LEFT, true, 1, 2, UI_SHIFT)); /* Shift: for the person */
    CHECK(!term_mouse(t, TERM_LEFT, false, 1, 2, 0));
    put("\033[?1015h");
    CHECK(term_mouse(t, TERM_MIDDLE, true, 1, 2, 0));
    is("\033[33;3;2M");
    put("\033[?1003l");
    CHECK(term_mouse(t, TERM_MIDDLE, false, 1, 2, 0) == false);
}

static void the_wheel_scrolls_pagers(void **state)
{
    (void)state;
    CHECK(!term_wheel(t, 1, 0, 0, 0));
    put("\033[?1049h");
    CHECK(term_wheel(t, 1, 0, 0, 0));
    is("\033[A\033[A\033[A");
    put("\033[?1007l");
    CHECK(!term_wheel(t, 1, 0, 0, 0));
}

static void focus_is_told_to_who_asks(void **state)
{
    (void)state;
    term_focus(t, true);
    is("");
    put("\033[?1004h");
    term_focus(t, false);
    term_focus(t, true);
    is("\033[O\033[I");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(special_keys, start, end),
        cmocka_unit_test_setup_teardown(control_and_alt, start, end),
        cmocka_unit_test_setup_teardown(typing_brings_the_view_back, start, end),
        cmocka_unit_test_setup_teardown(paste_is_bracketed_and_harmless, start, end),
        cmocka_unit_test_setup_teardown(the_mouse_is_reported_as_asked, start, end),
        cmocka_unit_test_setup_teardown(the_wheel_scrolls_pagers, start, end),
        cmocka_unit_test_setup_teardown(focus_is_told_to_who_asks, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
