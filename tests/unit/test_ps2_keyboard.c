/*
 * A PS/2 keyboard on Altera's port: registers, commands, scan codes, repeating, and what a full queue does.
 * Codes of set 2 and 3 are those in Linux's atkbd.c, of set 1 those of the PC AT; sequences from IBM's reference.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/ps2_bench.h"

enum { MS = 1000000 };

static struct ps2_bench p;

static int begin(void **state)
{
    (void)state;
    ps2_begin(&p, INPUT_KEYBOARD);
    CHECK_STR(ps2_ask(&p, 0xf4), "fa");
    return 0;
}

static int end(void **state)
{
    (void)state;
    ps2_end(&p);
    return 0;
}

static void registers_tell_how_many_bytes_wait(void **state)
{
    (void)state;
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4), 0);
    ps2_command(&p, 0xff);
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4), 0x000280fa);
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4), 0x000180aa);
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4), 0);
    CHECK(dev_refused(&p.b, DEV_BASE, 1));
    CHECK(dev_refused(&p.b, DEV_BASE + 8, 4));
}

static void bytes_interrupt_when_that_is_enabled(void **state)
{
    (void)state;
    ps2_command(&p, 0xee);
    CHECK(!p.line.level);
    CHECK_EQ(dev_read(&p.b, DEV_BASE + 4, 4), 0);
    dev_write(&p.b, DEV_BASE + 4, 4, 0xffffffff);
    CHECK(p.line.level);
    CHECK_EQ(dev_read(&p.b, DEV_BASE + 4, 4), 0x101);
    CHECK_STR(ps2_read(&p), "ee");
    CHECK(!p.line.level);
    CHECK_EQ(dev_read(&p.b, DEV_BASE + 4, 4), 1);
    ps2_send(&p, INPUT_KEY, KEY_A, 1);
    CHECK(p.line.level);
    dev_write(&p.b, DEV_BASE + 4, 4, 0);
    CHECK(!p.line.level);
}

static void a_keyboard_nobody_asked_for_gets_no_keys(void **state)
{
    (void)state;
    device_reset(p.port);
    CHECK(!input_has(p.in, INPUT_KEYBOARD));
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4), 0); /* a driver looks */
    CHECK(input_has(p.in, INPUT_KEYBOARD));
    CHECK_STR(ps2_key(&p, KEY_A, true), "1c");
    CHECK_STR(ps2_ask(&p, 0xf5), "fa");
    CHECK(!input_has(p.in, INPUT_KEYBOARD));
    CHECK_STR(ps2_key(&p, KEY_A, false), "");
    CHECK_STR(ps2_ask(&p, 0xf4), "fa");
    CHECK_STR(ps2_key(&p, KEY_B, true), "32");
}

static void commands_are_answered(void **state)
{
    (void)state;
    CHECK_STR(ps2_ask(&p, 0xff), "fa aa");
    CHECK_STR(ps2_ask(&p, 0xf2), "fa ab 83");
    CHECK_STR(ps2_ask(&p, 0xee), "ee");
    CHECK_STR(ps2_ask(&p, 0xfe), "ee"); /* again */
    CHECK_STR(ps2_ask(&p, 0xf3), "fa");
    CHECK_STR(ps2_ask(&p, 0x00), "fa");
    CHECK_STR(ps2_ask(&p, 0xf0), "fa");
    CHECK_STR(ps2_ask(&p, 0x00), "fa 02");
    CHECK_STR(ps2_ask(&p, 0xf0), "fa");
    CHECK_STR(ps2_ask(&p, 0x04), "fe");
    CHECK_STR(ps2_ask(&p, 0x00), "fe"); /* no command */
    CHECK_STR(ps2_ask(&p, 0xef), "fe");
    CHECK_STR(ps2_ask(&p, 0xf6), "fa");
    CHECK_STR(ps2_ask(&p, 0xed), "fa");
    CHECK_STR(ps2_ask(&p, 0xf2), "fa ab 83"); /* a command where an argument should be */
    CHECK_STR(ps2_ask(&p, 0x02), "fe");
}

static void lights_are_heard_of(void **state)
{
    (void)state;
    ps2_ask(&p, 0xed);
    CHECK_STR(ps2_ask(&p, 0x06), "fa"); /* num, caps */
    CHECK_EQ(input_leds_get(p.in), 1 << LED_NUML | 1 << LED_CAPSL);
    ps2_ask(&p, 0xed);
    ps2_ask(&p, 0x01);
    CHECK_EQ(input_leds_get(p.in), 1 << LED_SCROLLL);
    device_reset(p.port);
    CHECK_EQ(input_leds_get(p.in), 0);
}

static void choose_set(unsigned n)
{
    CHECK_STR(ps2_ask(&p, 0xf0), "fa");
    CHECK_STR(ps2_ask(&p, n), "fa");
}

static void keys_have_codes_in_each_set(void **state)
{
    static const struct {
        unsigned key;
        const char *down[3], *up[3]; /* sets 1 to 3 */
    } cases[] = {
        {KEY_A, {"1e", "1c", "1c"}, {"9e", "f0 1c", "f0 1c"}},
        {KEY_F7, {"41", "83", "37"}, {"c1", "f0 83", "f0 37"}},
        {KEY_LEFTCTRL, {"1d", "14", "11"}, {"9d", "f0 14", "f0 11"}},
        {KEY_RIGHTCTRL, {"e0 1d", "e0 14", "58"}, {"e0 9d", "e0 f0 14", "f0 58"}},
        {KEY_UP, {"e0 48", "e0 75", "63"}, {"e0 c8", "e0 f0 75", "f0 63"}},
        {KEY_KPENTER, {"e0 1c", "e0 5a", "79"}, {"e0 9c", "e0 f0 5a", "f0 79"}},
        {KEY_102ND, {"56", "61", "13"}, {"d6", "f0 61", "f0 13"}},
        {KEY_LEFTMETA, {"e0 5b", "e0 1f", "8b"}, {"e0 db", "e0 f0 1f", "f0 8b"}},
        {KEY_PAUSE, {"e1 1d 45 e1 9d c5", "e1 14 77 e1 f0 14 f0 77", "62"}, {"", "", "f0 62"}},
        {KEY_SYSRQ, {"e0 2a e0 37", "e0 12 e0 7c", "57"}, {"e0 b7 e0 aa", "e0 f0 7c e0 f0 12", "f0 57"}},
        {249, {"", "", ""}, {"", "", ""}}, /* no such key */
    };

    (void)state;
    for (unsigned s = 0; s < 3; s++) {
        choose_set(s + 1);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            CHECK_STR(ps2_key(&p, cases[i].key, true), cases[i].down[s]);
            CHECK_STR(ps2_key(&p, cases[i].key, false), cases[i].up[s]);
        }
    }
}

static void print_with_alt_and_pause_with_ctrl_are_other_keys(void **state)
{
    (void)state;
    ps2_key(&p, KEY_LEFTALT, true);
    CHECK_STR(ps2_key(&p, KEY_SYSRQ, true), "84");
    CHECK_STR(ps2_key(&p, KEY_SYSRQ, false), "f0 84");
    ps2_key(&p, KEY_LEFTALT, false);
    ps2_key(&p, KEY_RIGHTCTRL, true);
    CHECK_STR(ps2_key(&p, KEY_PAUSE, true), "e0 7e e0 f0 7e");
    CHECK_STR(ps2_key(&p, KEY_PAUSE, false), "");
}

static const char *after(unsigned ms)
{
    clock_advance(p.b.clock, (uint64_t)ms * MS);
    return ps2_read(&p);
}

static void a_key_repeats_after_a_delay_until_it_is_released(void **state)
{
    (void)state;
    ps2_ask(&p, 0xf3);
    ps2_ask(&p, 0x00); /* 250 ms, then each 33 ms */
    CHECK_STR(ps2_key(&p, KEY_A, true), "1c");
    CHECK_STR(after(249), "");
    CHECK_STR(after(1), "1c");
    CHECK_STR(after(33), "");
    CHECK_STR(after(1), "1c");
    ps2_key(&p, KEY_B, true); /* the last one repeats */
    CHECK_STR(after(250), "32");
    ps2_key(&p, KEY_A, false);
    CHECK_STR(after(34), "32");
    ps2_key(&p, KEY_B, false);
    CHECK_STR(after(1000), "");
    ps2_key(&p, KEY_PAUSE, true);
    CHECK_STR(after(2000), "");
    ps2_key(&p, KEY_PAUSE, false);
    ps2_ask(&p, 0xf3);
    ps2_ask(&p, 0x7f); /* a second, then each half */
    ps2_key(&p, KEY_C, true);
    CHECK_STR(after(999), "");
    CHECK_STR(after(1), "21");
    CHECK_STR(after(499), "");
    CHECK_STR(after(2), "21");
}

static void a_host_that_does_not_read_gets_no_repeats(void **state)
{
    (void)state;
    ps2_send(&p, INPUT_KEY, KEY_A, 1);
    clock_advance(p.b.clock, UINT64_C(60000) * MS);
    CHECK_STR(ps2_read(&p), "1c");
}

static void set_3_keys_behave_as_they_are_told(void **state)
{
    (void)state;
    choose_set(3);
    CHECK_STR(ps2_ask(&p, 0xf8), "fa"); /* make and break */
    CHECK_STR(ps2_key(&p, KEY_A, true), "1c");
    CHECK_STR(after(1000), "");
    CHECK_STR(ps2_key(&p, KEY_A, false), "f0 1c");
    CHECK_STR(ps2_ask(&p, 0xf9), "fa"); /* make */
    CHECK_STR(ps2_key(&p, KEY_A, true), "1c");
    CHECK_STR(ps2_key(&p, KEY_A, false), "");
    CHECK_STR(ps2_ask(&p, 0xfb), "fa"); /* A repeats, without break */
    CHECK_STR(ps2_ask(&p, 0x1c), "fa");
    CHECK_STR(ps2_ask(&p, 0x32), "fa"); /* and B */
    CHECK_STR(ps2_ask(&p, 0xf4), "fa");
    CHECK_STR(ps2_key(&p, KEY_A, true), "1c");
    CHECK_STR(after(500), "1c");
    CHECK_STR(ps2_key(&p, KEY_A, false), "");
    CHECK_STR(ps2_ask(&p, 0xf6), "fa"); /* defaults: set 2 */
    CHECK_STR(ps2_key(&p, KEY_RIGHTCTRL, true), "e0 14");
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        n++;
    return n;
}

/* 82 presses of a byte and releases of two are 246; 240 find room. */
static void a_full_queue_loses_presses_and_no_releases(void **state)
{
    const char *text;

    (void)state;
    for (unsigned c = KEY_ESC; c < KEY_KPDOT; c++)
        ps2_send(&p, INPUT_KEY, c, 1);
    for (unsigned c = KEY_ESC; c < KEY_KPDOT; c++)
        ps2_send(&p, INPUT_KEY, c, 0);
    ps2_send(&p, INPUT_KEY, KEY_KP0, 1); /* its release waits, so this one is lost */
    ps2_send(&p, INPUT_KEY, KEY_F12, 1);
    ps2_send(&p, INPUT_KEY, KEY_F12, 0);
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4) >> 16, 240);
    ps2_command(&p, 0xee); /* an answer has a place of its own */
    text = ps2_read(&p);
    CHECK_EQ(count(text, "f0 "), 82);
    CHECK_EQ(count(text, "ee"), 1);
    CHECK_EQ(count(text, "f0 70"), 1);
    CHECK_EQ(count(text, "07"), 0);
    CHECK_STR(ps2_key(&p, KEY_KP0, false), ""); /* of the press that was lost */
    CHECK_STR(ps2_key(&p, KEY_KP0, true), "70");
}

static void state_survives_save_and_restore(void **state)
{
    (void)state;
    choose_set(3);
    ps2_key(&p, KEY_A, true);
    ps2_send(&p, INPUT_KEY, KEY_B, 1);
    ps2_ask(&p, 0xed);
    ps2_ask(&p, 0x07);
    dev_write(&p.b, DEV_BASE + 4, 4, 1);
    dev_check_save_restore(p.port);
    CHECK_EQ(input_leds_get(p.in), 7);
    CHECK(input_has(p.in, INPUT_KEYBOARD));
    CHECK_STR(ps2_key(&p, KEY_C, true), "21");
    CHECK_STR(ps2_key(&p, KEY_A, false), "f0 1c"); /* pressed before */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_tell_how_many_bytes_wait),
        TEST(bytes_interrupt_when_that_is_enabled),
        TEST(a_keyboard_nobody_asked_for_gets_no_keys),
        TEST(commands_are_answered),
        TEST(lights_are_heard_of),
        TEST(keys_have_codes_in_each_set),
        TEST(print_with_alt_and_pause_with_ctrl_are_other_keys),
        TEST(a_key_repeats_after_a_delay_until_it_is_released),
        TEST(a_host_that_does_not_read_gets_no_repeats),
        TEST(set_3_keys_behave_as_they_are_told),
        TEST(a_full_queue_loses_presses_and_no_releases),
        TEST(state_survives_save_and_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
