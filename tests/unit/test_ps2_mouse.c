/* A PS/2 mouse on Altera's port. Packets and commands: IBM's mouse reference; wheel and buttons as Linux's psmouse reads them. */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/ps2_bench.h"

static struct ps2_bench p;

static int begin(void **state)
{
    (void)state;
    ps2_begin(&p, INPUT_MOUSE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ps2_end(&p);
    return 0;
}

static void rate(unsigned n)
{
    CHECK_STR(ps2_ask(&p, 0xf3), "fa");
    CHECK_STR(ps2_ask(&p, n), "fa");
}

static void knock(unsigned a, unsigned b, unsigned c)
{
    rate(a);
    rate(b);
    rate(c);
}

static void enable(void) { CHECK_STR(ps2_ask(&p, 0xf4), "fa"); }

static const char *move(int x, int y)
{
    const struct input_event e[] = {
        {.type = INPUT_REL, .code = 0, .value = x}, {.type = INPUT_REL, .code = 1, .value = y}, {.type = INPUT_SYN}};

    input_send(p.in, e, 3);
    loop_poll(p.loop);
    return ps2_read(&p);
}

static const char *button(unsigned code, bool down)
{
    ps2_send(&p, INPUT_BUTTON, code, down);
    return ps2_read(&p);
}

static void commands_are_answered(void **state)
{
    (void)state;
    CHECK_STR(ps2_ask(&p, 0xff), "fa aa 00");
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 00");
    CHECK_STR(ps2_ask(&p, 0xe9), "fa 00 02 64");
    CHECK_STR(ps2_ask(&p, 0xe8), "fa");
    CHECK_STR(ps2_ask(&p, 0x03), "fa");
    rate(40);
    CHECK_STR(ps2_ask(&p, 0xe7), "fa");
    enable();
    CHECK_STR(ps2_ask(&p, 0xe9), "fa 30 03 28");
    CHECK_STR(ps2_ask(&p, 0xfe), "28"); /* again */
    CHECK_STR(ps2_ask(&p, 0xe8), "fa");
    CHECK_STR(ps2_ask(&p, 0x04), "fe");
    CHECK_STR(ps2_ask(&p, 0xf6), "fa");
    CHECK_STR(ps2_ask(&p, 0xe9), "fa 00 02 64");
    CHECK_STR(ps2_ask(&p, 0x55), "fe");
    CHECK_STR(ps2_ask(&p, 0xe1), "fe");
    CHECK_STR(ps2_ask(&p, 0xf3), "fa");
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 00"); /* a command where an argument should be */
}

/* Up is positive on the wire; signs are bits 4 and 5 of the first byte. */
static void motion_and_buttons_come_as_packets(void **state)
{
    (void)state;
    CHECK_STR(move(1, 1), ""); /* not enabled */
    enable();
    CHECK_STR(move(5, 3), "28 05 fd");
    CHECK_STR(move(-2, -255), "18 fe ff");
    CHECK_STR(button(BTN_LEFT, true), "09 00 00");
    CHECK_STR(button(BTN_RIGHT, true), "0b 00 00");
    CHECK_STR(move(0, 1), "2b 00 ff");
    CHECK_STR(button(BTN_MIDDLE, true), "0f 00 00");
    CHECK_STR(button(BTN_LEFT, false), "0e 00 00");
    ps2_send(&p, INPUT_WHEEL, 0, 1); /* which this mouse has not */
    CHECK_STR(ps2_read(&p), "");
}

static void fast_motion_takes_several_packets(void **state)
{
    (void)state;
    enable();
    CHECK_STR(move(600, -300), "08 ff ff 08 ff 2d 08 5a 00");
}

static void motion_adds_up_while_bytes_wait_and_clicks_do_not(void **state)
{
    (void)state;
    enable();
    ps2_send(&p, INPUT_REL, 0, 1);
    for (int i = 0; i < 10; i++)
        ps2_send(&p, INPUT_REL, 0, 2);
    ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 1);
    ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 0);
    ps2_send(&p, INPUT_REL, 0, 3);
    CHECK_STR(ps2_read(&p), "08 01 00 09 14 00 08 00 00 08 03 00");
}

static void a_full_queue_ends_with_the_buttons_as_they_are(void **state)
{
    const char *text;

    (void)state;
    enable();
    for (int i = 0; i < 100; i++) {
        ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 1);
        ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 0);
    }
    CHECK(dev_read(&p.b, DEV_BASE, 4) >> 16 <= 240);
    text = ps2_read(&p);
    CHECK_STR(text + strlen(text) - 8, "08 00 00");
    for (int i = 0; i < 100; i++) {
        ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 0);
        ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 1);
    }
    text = ps2_read(&p);
    CHECK_STR(text + strlen(text) - 8, "09 00 00");
}

static void a_knock_makes_a_wheel_mouse_and_another_an_explorer(void **state)
{
    (void)state;
    knock(200, 200, 80); /* an ordinary one does not know this */
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 00");
    knock(200, 100, 80);
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 03");
    enable();
    ps2_send(&p, INPUT_WHEEL, 0, 1); /* up: towards -1 */
    CHECK_STR(ps2_read(&p), "08 00 00 ff");
    ps2_send(&p, INPUT_WHEEL, 0, -2);
    CHECK_STR(ps2_read(&p), "08 00 00 02");
    CHECK_STR(button(BTN_SIDE, true), "08 00 00 00");
    CHECK_STR(button(BTN_SIDE, false), "08 00 00 00");
    knock(200, 200, 80);
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 04");
    CHECK_STR(button(BTN_SIDE, true), "08 00 00 10");
    CHECK_STR(button(BTN_EXTRA, true), "08 00 00 30");
    CHECK_STR(button(BTN_SIDE, false), "08 00 00 20");
    CHECK_STR(button(BTN_EXTRA, false), "08 00 00 00");
    ps2_send(&p, INPUT_WHEEL, 0, 9);
    CHECK_STR(ps2_read(&p), "08 00 00 09 08 00 00 0e");
    CHECK_STR(ps2_ask(&p, 0xff), "fa aa 00");
    CHECK_STR(ps2_ask(&p, 0xf2), "fa 00");
}

static void in_remote_mode_it_speaks_when_it_is_asked(void **state)
{
    (void)state;
    CHECK_STR(ps2_ask(&p, 0xf0), "fa");
    CHECK(input_has(p.in, INPUT_MOUSE));
    CHECK_STR(move(3, -4), "");
    CHECK_STR(button(BTN_LEFT, true), "");
    CHECK_STR(ps2_ask(&p, 0xeb), "fa 09 03 04");
    CHECK_STR(ps2_ask(&p, 0xeb), "fa 09 00 00");
    CHECK_STR(ps2_ask(&p, 0xe9), "fa 44 02 64");
    CHECK_STR(ps2_ask(&p, 0xea), "fa"); /* stream, not enabled */
    CHECK(!input_has(p.in, INPUT_MOUSE));
}

static void in_wrap_mode_it_is_an_echo(void **state)
{
    (void)state;
    enable();
    CHECK_STR(ps2_ask(&p, 0xee), "fa");
    CHECK_STR(ps2_ask(&p, 0x12), "12");
    CHECK_STR(ps2_ask(&p, 0xf4), "f4");
    CHECK_STR(move(1, 1), "");
    CHECK_STR(ps2_ask(&p, 0xec), "fa");
    CHECK_STR(move(1, 0), "08 01 00");
    CHECK_STR(ps2_ask(&p, 0xee), "fa");
    CHECK_STR(ps2_ask(&p, 0xff), "fa aa 00");
}

static void scaling_doubles_fast_motion(void **state)
{
    (void)state;
    enable();
    CHECK_STR(ps2_ask(&p, 0xe7), "fa");
    CHECK_STR(move(1, 0), "08 01 00");
    CHECK_STR(move(-3, 0), "18 fd 00");
    CHECK_STR(move(5, 0), "08 09 00");
    CHECK_STR(move(10, 0), "08 14 00");
    CHECK_STR(move(200, 0), "08 ff 00");
    CHECK_STR(ps2_ask(&p, 0xe6), "fa");
    CHECK_STR(move(5, 0), "08 05 00");
}

static void a_mouse_that_is_disabled_has_nothing_down(void **state)
{
    (void)state;
    CHECK(!input_has(p.in, INPUT_MOUSE));
    enable();
    CHECK(input_has(p.in, INPUT_MOUSE));
    CHECK_STR(button(BTN_LEFT, true), "09 00 00");
    CHECK_STR(ps2_ask(&p, 0xf5), "fa");
    CHECK(!input_has(p.in, INPUT_MOUSE));
    CHECK_STR(button(BTN_LEFT, false), "");
    enable();
    CHECK_STR(move(1, 0), "08 01 00");
}

static void a_host_that_never_reads_does_no_harm(void **state)
{
    (void)state;
    enable();
    for (int i = 0; i < 5000; i++)
        ps2_send(&p, INPUT_REL, 1, INT32_MIN);
    for (int i = 0; i < 500; i++)
        ps2_command(&p, 0xe9);
    CHECK_EQ(dev_read(&p.b, DEV_BASE, 4) >> 16, 256);
    for (int i = 0; i < 256; i++)
        dev_read(&p.b, DEV_BASE, 4);
    CHECK((dev_read(&p.b, DEV_BASE, 4) >> 16) <= 4);
}

static void state_survives_save_and_restore(void **state)
{
    (void)state;
    knock(200, 100, 80);
    enable();
    ps2_send(&p, INPUT_BUTTON, BTN_LEFT, 1);
    ps2_send(&p, INPUT_REL, 0, 7);
    dev_write(&p.b, DEV_BASE + 4, 4, 1);
    dev_check_save_restore(p.port);
    CHECK(input_has(p.in, INPUT_MOUSE));
    CHECK_STR(ps2_read(&p), "09 00 00 00 09 07 00 00");
    CHECK_STR(button(BTN_LEFT, false), "08 00 00 00");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commands_are_answered),
        TEST(motion_and_buttons_come_as_packets),
        TEST(fast_motion_takes_several_packets),
        TEST(motion_adds_up_while_bytes_wait_and_clicks_do_not),
        TEST(a_full_queue_ends_with_the_buttons_as_they_are),
        TEST(a_knock_makes_a_wheel_mouse_and_another_an_explorer),
        TEST(in_remote_mode_it_speaks_when_it_is_asked),
        TEST(in_wrap_mode_it_is_an_echo),
        TEST(scaling_doubles_fast_motion),
        TEST(a_mouse_that_is_disabled_has_nothing_down),
        TEST(a_host_that_never_reads_does_no_harm),
        TEST(state_survives_save_and_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
