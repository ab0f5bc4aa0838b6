/* Keys by name, number and character, and the player that holds them. Codes: linux/input-event-codes.h. */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/loop.h"
#include "devices/input.h"
#include "frontend/input_player.h"
#include "frontend/keys.h"
#include "tests/unit/check.h"

enum { MS = 1000000 };

/* The keys of a board of 105 keys, row by row, by the names of QEMU's monitor. */
static const struct {
    const char *name;
    unsigned code;
} board[] = {
    {"esc", KEY_ESC},
    {"f1", KEY_F1},
    {"f2", KEY_F2},
    {"f3", KEY_F3},
    {"f4", KEY_F4},
    {"f5", KEY_F5},
    {"f6", KEY_F6},
    {"f7", KEY_F7},
    {"f8", KEY_F8},
    {"f9", KEY_F9},
    {"f10", KEY_F10},
    {"f11", KEY_F11},
    {"f12", KEY_F12},
    {"print", KEY_SYSRQ},
    {"scroll_lock", KEY_SCROLLLOCK},
    {"pause", KEY_PAUSE},
    {"grave_accent", KEY_GRAVE},
    {"1", KEY_1},
    {"2", KEY_2},
    {"3", KEY_3},
    {"4", KEY_4},
    {"5", KEY_5},
    {"6", KEY_6},
    {"7", KEY_7},
    {"8", KEY_8},
    {"9", KEY_9},
    {"0", KEY_0},
    {"minus", KEY_MINUS},
    {"equal", KEY_EQUAL},
    {"backspace", KEY_BACKSPACE},
    {"insert", KEY_INSERT},
    {"home", KEY_HOME},
    {"pgup", KEY_PAGEUP},
    {"num_lock", KEY_NUMLOCK},
    {"kp_divide", KEY_KPSLASH},
    {"kp_multiply", KEY_KPASTERISK},
    {"kp_subtract", KEY_KPMINUS},
    {"tab", KEY_TAB},
    {"q", KEY_Q},
    {"w", KEY_W},
    {"e", KEY_E},
    {"r", KEY_R},
    {"t", KEY_T},
    {"y", KEY_Y},
    {"u", KEY_U},
    {"i", KEY_I},
    {"o", KEY_O},
    {"p", KEY_P},
    {"bracket_left", KEY_LEFTBRACE},
    {"bracket_right", KEY_RIGHTBRACE},
    {"ret", KEY_ENTER},
    {"delete", KEY_DELETE},
    {"end", KEY_END},
    {"pgdn", KEY_PAGEDOWN},
    {"kp_7", KEY_KP7},
    {"kp_8", KEY_KP8},
    {"kp_9", KEY_KP9},
    {"kp_add", KEY_KPPLUS},
    {"caps_lock", KEY_CAPSLOCK},
    {"a", KEY_A},
    {"s", KEY_S},
    {"d", KEY_D},
    {"f", KEY_F},
    {"g", KEY_G},
    {"h", KEY_H},
    {"j", KEY_J},
    {"k", KEY_K},
    {"l", KEY_L},
    {"semicolon", KEY_SEMICOLON},
    {"apostrophe", KEY_APOSTROPHE},
    {"backslash", KEY_BACKSLASH},
    {"kp_4", KEY_KP4},
    {"kp_5", KEY_KP5},
    {"kp_6", KEY_KP6},
    {"shift", KEY_LEFTSHIFT},
    {"less", KEY_102ND},
    {"z", KEY_Z},
    {"x", KEY_X},
    {"c", KEY_C},
    {"v", KEY_V},
    {"b", KEY_B},
    {"n", KEY_N},
    {"m", KEY_M},
    {"comma", KEY_COMMA},
    {"dot", KEY_DOT},
    {"slash", KEY_SLASH},
    {"shift_r", KEY_RIGHTSHIFT},
    {"up", KEY_UP},
    {"kp_1", KEY_KP1},
    {"kp_2", KEY_KP2},
    {"kp_3", KEY_KP3},
    {"kp_enter", KEY_KPENTER},
    {"ctrl", KEY_LEFTCTRL},
    {"meta_l", KEY_LEFTMETA},
    {"alt", KEY_LEFTALT},
    {"spc", KEY_SPACE},
    {"alt_r", KEY_RIGHTALT},
    {"meta_r", KEY_RIGHTMETA},
    {"compose", KEY_COMPOSE},
    {"ctrl_r", KEY_RIGHTCTRL},
    {"left", KEY_LEFT},
    {"down", KEY_DOWN},
    {"right", KEY_RIGHT},
    {"kp_0", KEY_KP0},
    {"kp_decimal", KEY_KPDOT},
};

static void all_keys_of_a_board_have_names(void **state)
{
    (void)state;
    CHECK_EQ(ARRAY_LEN(board), 105);
    for (size_t i = 0; i < ARRAY_LEN(board); i++) {
        if (key_by_name(board[i].name, strlen(board[i].name)) != board[i].code)
            fail_msg("%s", board[i].name);
        for (size_t j = 0; j < i; j++)
            CHECK(board[i].code != board[j].code);
        CHECK_STR(key_name((uint16_t)board[i].code),
                  board[i].name[0] == 'k' && board[i].code == KEY_KPASTERISK ? "asterisk" : board[i].name);
    }
}

static void names_are_whole_and_known(void **state)
{
    (void)state;
    CHECK_EQ(key_by_name("sysrq", 5), KEY_SYSRQ);
    CHECK_EQ(key_by_name("asterisk", 8), KEY_KPASTERISK);
    CHECK_EQ(key_by_name("audiomute", 9), KEY_MUTE);
    CHECK_EQ(key_by_name("f24", 3), KEY_F24);
    CHECK_EQ(key_by_name("f1", 1), KEY_F);
    CHECK_EQ(key_by_name("unmapped", 8), 0);
    CHECK_EQ(key_by_name("", 0), 0);
    CHECK_EQ(key_by_name("ct", 2), 0);
    CHECK(key_name(KEY_MAX) == NULL);
}

/* Numbers are those of scan code set 1, with bit 7 for E0. */
static void numbers_are_scan_codes(void **state)
{
    (void)state;
    CHECK_EQ(key_by_number(0x1e), KEY_A);
    CHECK_EQ(key_by_number(0x01), KEY_ESC);
    CHECK_EQ(key_by_number(0xc8), KEY_UP);
    CHECK_EQ(key_by_number(0x9d), KEY_RIGHTCTRL);
    CHECK_EQ(key_by_number(0x54), KEY_SYSRQ);
    CHECK_EQ(key_by_number(0), 0);
    CHECK_EQ(key_by_number(0xff), 0);
    CHECK_EQ(key_by_number(0x11e), 0);
}

static void every_printable_character_has_a_key(void **state)
{
    static const struct {
        char c;
        unsigned code;
        bool shift;
    } some[] = {{'a', KEY_A, false},          {'A', KEY_A, true},         {'1', KEY_1, false},
                {'!', KEY_1, true},           {'0', KEY_0, false},        {')', KEY_0, true},
                {'-', KEY_MINUS, false},      {'_', KEY_MINUS, true},     {'[', KEY_LEFTBRACE, false},
                {'}', KEY_RIGHTBRACE, true},  {'\n', KEY_ENTER, false},   {'\t', KEY_TAB, false},
                {'\b', KEY_BACKSPACE, false}, {'\x1b', KEY_ESC, false},   {' ', KEY_SPACE, false},
                {'"', KEY_APOSTROPHE, true},  {'~', KEY_GRAVE, true},     {'`', KEY_GRAVE, false},
                {'|', KEY_BACKSLASH, true},   {'?', KEY_SLASH, true},     {'m', KEY_M, false},
                {'<', KEY_COMMA, true},       {':', KEY_SEMICOLON, true}, {'P', KEY_P, true}};
    uint16_t code;
    bool shift;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        CHECK(key_for_char(some[i].c, &code, &shift));
        CHECK_EQ(code, some[i].code);
        CHECK_EQ(shift, some[i].shift);
    }
    for (int c = ' '; c <= '~'; c++)
        CHECK(key_for_char((char)c, &code, &shift));
    CHECK(!key_for_char(0, &code, &shift));
    CHECK(!key_for_char('\r', &code, &shift));
    CHECK(!key_for_char((char)0xe4, &code, &shift));
}

/* --- the player --- */

static struct clock *clk;
static struct loop *loop;
static struct gate *gate;
static struct input *in;
static struct input_player *player;
static struct input_handler keyboard, mouse;
static char heard[4096];

static void hear(void *dev, const struct input_event *e, unsigned n)
{
    (void)dev;
    for (unsigned i = 0; i + 1 < n; i++)
        snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%s%u ", e[i].value ? "+" : "-", e[i].code);
}

static int begin(void **state)
{
    struct err e;

    (void)state;
    clk = clock_new_fake();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    in = input_new(loop, gate);
    player = input_player_new(in, clk);
    keyboard = (struct input_handler){.kind = INPUT_KEYBOARD, .event = hear};
    mouse = (struct input_handler){.kind = INPUT_MOUSE, .event = hear};
    input_register(in, &keyboard);
    input_register(in, &mouse);
    input_set_live(&keyboard, true);
    input_set_live(&mouse, true);
    heard[0] = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    input_player_free(player);
    input_free(in);
    gate_free(gate);
    loop_free(loop);
    clock_free(clk);
    return 0;
}

static const char *after(unsigned ms)
{
    heard[0] = 0;
    clock_advance(clk, (uint64_t)ms * MS);
    loop_poll(loop);
    loop_poll(loop);
    return heard;
}

static void a_chord_is_held_and_released_backwards(void **state)
{
    const uint16_t chord[] = {29, 56, 59};

    (void)state;
    CHECK(input_player_chord(player, chord, 3, 100));
    CHECK_STR(after(0), "+29 ");
    CHECK_STR(after(20), "+56 +59 ");
    CHECK_STR(after(99), "");
    CHECK_STR(after(1), "-59 ");
    CHECK_STR(after(100), "-56 -29 ");
    CHECK_STR(after(1000), "");
    CHECK(input_player_chord(player, chord, 1, 0));
    CHECK_STR(after(0), "+29 -29 ");
}

static void chords_wait_for_each_other(void **state)
{
    const uint16_t a = 30, b = 48;

    (void)state;
    CHECK(input_player_chord(player, &a, 1, 50));
    CHECK(input_player_chord(player, &b, 1, 50));
    CHECK_STR(after(50), "+30 -30 ");
    CHECK_STR(after(9), "");
    CHECK_STR(after(1), "+48 ");
    CHECK_STR(after(200), "-48 ");
}

static void text_is_typed_with_shift_where_it_is_needed(void **state)
{
    char bad;

    (void)state;
    CHECK(input_player_type(player, "aB\n", &bad));
    CHECK_STR(after(1000), "+30 -30 +42 +48 -48 -42 +28 -28 ");
    CHECK(!input_player_type(player, "a\xc3", &bad));
    CHECK_EQ(bad, (char)0xc3);
    CHECK_STR(after(1000), "");
}

static void what_waits_is_bounded(void **state)
{
    static char text[INPUT_STEPS_MAX / 2 + 1];
    const uint16_t a = 30;
    char bad;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    CHECK(input_player_type(player, text, &bad));
    CHECK(!input_player_type(player, "y", &bad));
    CHECK_EQ(bad, 0);
    CHECK(!input_player_chord(player, &a, 1, 1));
    after(1000);
    CHECK(input_player_type(player, "y", &bad));
}

static void what_waits_can_be_forgotten(void **state)
{
    const uint16_t a = 30;

    (void)state;
    CHECK(input_player_chord(player, &a, 1, 1000));
    input_player_buttons(player, 1);
    CHECK_STR(after(0), "+272 +30 ");
    input_player_clear(player);
    input_release_all(in);
    CHECK_STR(after(0), "-30 -272 ");
    CHECK_STR(after(5000), "");
    CHECK(input_player_chord(player, &a, 1, 0));
    CHECK_STR(after(0), "+30 -30 ");
}

static void buttons_change_together(void **state)
{
    (void)state;
    input_player_buttons(player, 5);
    CHECK_STR(after(0), "+272 +274 ");
    input_player_buttons(player, 2);
    CHECK_STR(after(0), "-272 +273 -274 ");
    input_player_buttons(player, 2);
    CHECK_STR(after(0), "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_of_a_board_have_names),
        cmocka_unit_test(names_are_whole_and_known),
        cmocka_unit_test(numbers_are_scan_codes),
        cmocka_unit_test(every_printable_character_has_a_key),
        TEST(a_chord_is_held_and_released_backwards),
        TEST(chords_wait_for_each_other),
        TEST(text_is_typed_with_shift_where_it_is_needed),
        TEST(what_waits_is_bounded),
        TEST(what_waits_can_be_forgotten),
        TEST(buttons_change_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
