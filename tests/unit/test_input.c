/* Keys and pointers on their way: who gets what, what is down, what is dropped. Codes: linux/input-event-codes.h. */
#include <linux/input-event-codes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/gate.h"
#include "base/loop.h"
#include "devices/input.h"
#include "tests/unit/check.h"

enum { HEARD = 8192 };

/* A device that remembers. */
struct ear {
    struct input_handler h;
    struct input_event e[HEARD];
    unsigned n, calls;
};

static struct clock *clk;
static struct loop *loop;
static struct gate *gate;
static struct input *in;
static struct ear keyboard, tablet, mouse, touch;

static void hear(void *dev, const struct input_event *e, unsigned n)
{
    struct ear *ear = dev;

    ear->calls++;
    CHECK(n > 0 && n <= INPUT_GROUP);
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(e[i].type == INPUT_SYN, i == n - 1);
        if (ear->n < HEARD)
            ear->e[ear->n++] = e[i];
    }
}

static void add(struct ear *ear, enum input_kind kind, const char *name)
{
    memset(ear, 0, sizeof *ear);
    ear->h = (struct input_handler){.kind = kind, .name = name, .event = hear, .dev = ear};
    input_register(in, &ear->h);
}

static int begin(void **state)
{
    struct err e;

    (void)state;
    clk = clock_new_fake();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    in = input_new(loop, gate);
    add(&keyboard, INPUT_KEYBOARD, "keyboard");
    add(&tablet, INPUT_TABLET, "tablet");
    add(&mouse, INPUT_MOUSE, "mouse");
    add(&touch, INPUT_TOUCH, "touch");
    return 0;
}

static int end(void **state)
{
    (void)state;
    input_free(in);
    gate_free(gate);
    loop_free(loop);
    clock_free(clk);
    return 0;
}

static void is(const struct ear *ear, unsigned i, unsigned type, unsigned code, int value)
{
    CHECK(i < ear->n);
    CHECK_EQ(ear->e[i].type, type);
    CHECK_EQ(ear->e[i].code, code);
    CHECK_EQ(ear->e[i].value, value);
}

static void send(unsigned type, unsigned code, int value)
{
    const struct input_event e[] = {{.type = (uint8_t)type, .code = (uint16_t)code, .value = value},
                                    {.type = INPUT_SYN}};

    input_send(in, e, 2);
}

static void sent(unsigned type, unsigned code, int value)
{
    send(type, code, value);
    loop_poll(loop);
}

static void all_live(void)
{
    input_set_live(&keyboard.h, true);
    input_set_live(&tablet.h, true);
    input_set_live(&mouse.h, true);
    input_set_live(&touch.h, true);
}

static void a_key_reaches_a_keyboard_whose_driver_listens(void **state)
{
    (void)state;
    input_key(in, KEY_A, true);
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 0);
    CHECK(!input_has(in, INPUT_KEYBOARD));
    all_live();
    CHECK(input_has(in, INPUT_KEYBOARD));
    input_key(in, KEY_A, false); /* it never was down there */
    input_key(in, KEY_A, true);
    CHECK_EQ(keyboard.n, 0); /* devices are called by the loop only */
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 2);
    is(&keyboard, 0, INPUT_KEY, KEY_A, 1);
    is(&keyboard, 1, INPUT_SYN, 0, 0);
    CHECK_EQ(tablet.n + mouse.n + touch.n, 0);
}

static void a_second_press_is_dropped_and_so_is_a_second_release(void **state)
{
    (void)state;
    all_live();
    for (int i = 0; i < 3; i++)
        input_key(in, KEY_LEFTSHIFT, true);
    for (int i = 0; i < 3; i++)
        input_key(in, KEY_LEFTSHIFT, false);
    loop_poll(loop);
    CHECK_EQ(keyboard.calls, 2);
    is(&keyboard, 0, INPUT_KEY, KEY_LEFTSHIFT, 1);
    is(&keyboard, 2, INPUT_KEY, KEY_LEFTSHIFT, 0);
}

static void the_newest_keyboard_gets_keys_and_a_release_goes_where_the_press_went(void **state)
{
    static struct ear second;

    (void)state;
    all_live();
    add(&second, INPUT_KEYBOARD, "second");
    input_key(in, KEY_A, true); /* the second's driver is not there yet */
    loop_poll(loop);
    input_set_live(&second.h, true);
    input_key(in, KEY_B, true);
    input_key(in, KEY_A, false);
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 4);
    is(&keyboard, 2, INPUT_KEY, KEY_A, 0);
    CHECK_EQ(second.n, 2);
    is(&second, 0, INPUT_KEY, KEY_B, 1);
    input_unregister(&second.h); /* with its key down */
    input_key(in, KEY_B, false);
    input_key(in, KEY_B, true);
    loop_poll(loop);
    CHECK_EQ(second.n, 2);
    CHECK_EQ(keyboard.n, 6);
    is(&keyboard, 4, INPUT_KEY, KEY_B, 1);
}

static void a_driver_that_left_has_nothing_down(void **state)
{
    (void)state;
    all_live();
    input_key(in, KEY_A, true);
    loop_poll(loop);
    input_set_live(&keyboard.h, false);
    input_set_live(&keyboard.h, true);
    input_key(in, KEY_A, false);
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 2);
    input_key(in, KEY_A, true);
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 4);
}

static void positions_go_to_the_tablet_and_motion_to_the_mouse(void **state)
{
    const struct input_event abs[] = {{.type = INPUT_ABS, .code = 0, .value = 100},
                                      {.type = INPUT_ABS, .code = 1, .value = INPUT_ABS_MAX},
                                      {.type = INPUT_SYN}};

    (void)state;
    input_set_live(&tablet.h, true);
    input_set_live(&mouse.h, true);
    input_send(in, abs, 3);
    loop_poll(loop);
    sent(INPUT_REL, 1, -3);
    CHECK_EQ(tablet.calls, 1); /* one group stays one group */
    CHECK_EQ(tablet.n, 3);
    is(&tablet, 1, INPUT_ABS, 1, INPUT_ABS_MAX);
    CHECK_EQ(mouse.n, 2);
    is(&mouse, 0, INPUT_REL, 1, -3);
}

static void a_group_for_two_devices_is_split_and_each_part_ends(void **state)
{
    const struct input_event e[] = {{.type = INPUT_KEY, .code = KEY_LEFTCTRL, .value = 1},
                                    {.type = INPUT_REL, .code = 0, .value = 5},
                                    {.type = INPUT_BUTTON, .code = BTN_LEFT, .value = 1},
                                    {.type = INPUT_SYN}};

    (void)state;
    input_set_live(&keyboard.h, true);
    input_set_live(&mouse.h, true);
    input_send(in, e, 4);
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 2);
    CHECK_EQ(mouse.n, 3);
    CHECK_EQ(mouse.calls, 1);
    is(&mouse, 1, INPUT_BUTTON, BTN_LEFT, 1);
}

static void the_live_pointer_is_the_first_whose_driver_listens(void **state)
{
    (void)state;
    CHECK(input_is_absolute(in)); /* nobody there */
    input_set_live(&tablet.h, true);
    CHECK(input_is_absolute(in));
    input_set_live(&mouse.h, true); /* newer */
    CHECK(!input_is_absolute(in));
    sent(INPUT_WHEEL, 0, 1);
    CHECK_EQ(mouse.n, 2);
    CHECK(input_select(in, tablet.h.id));
    CHECK(input_is_absolute(in));
    sent(INPUT_BUTTON, BTN_RIGHT, 1);
    CHECK_EQ(tablet.n, 2);
    CHECK(input_select(in, mouse.h.id));
    sent(INPUT_BUTTON, BTN_RIGHT, 0);
    CHECK_EQ(tablet.n, 4);
    CHECK(!input_select(in, keyboard.h.id));
    CHECK(!input_select(in, 99));
    CHECK(!input_select(in, 0));
}

static void positions_of_fingers_go_to_the_touch_screen(void **state)
{
    const struct input_event e[] = {{.type = INPUT_ABS, .code = 0, .value = 1},
                                    {.type = INPUT_ABS, .code = 1, .value = 2},
                                    {.type = INPUT_TOUCH_POINT, .code = 3, .value = 1},
                                    {.type = INPUT_SYN}};

    (void)state;
    all_live();
    CHECK(input_select(in, tablet.h.id));
    input_send(in, e, 4);
    input_send(in, e, 4); /* it moves */
    loop_poll(loop);
    CHECK_EQ(tablet.n, 0);
    CHECK_EQ(touch.n, 8);
    is(&touch, 2, INPUT_TOUCH_POINT, 3, 1);
    is(&touch, 6, INPUT_TOUCH_POINT, 3, 1);
    sent(INPUT_TOUCH_POINT, 3, 0);
    sent(INPUT_TOUCH_POINT, 3, 0);
    CHECK_EQ(touch.n, 10);
    input_set_live(&tablet.h, false);
    sent(INPUT_ABS, 0, 9); /* a position with no finger: whoever takes positions */
    CHECK_EQ(touch.n, 12);
}

static void everything_that_is_down_can_be_released_at_once(void **state)
{
    (void)state;
    all_live();
    input_select(in, mouse.h.id);
    send(INPUT_BUTTON, BTN_LEFT, 1);
    send(INPUT_TOUCH_POINT, 9, 1);
    for (unsigned c = 1; c < 0x100; c++)
        input_key(in, (uint16_t)c, true);
    for (unsigned c = 0x160; c < INPUT_CODES; c++)
        input_key(in, (uint16_t)c, true);
    loop_poll(loop);
    loop_poll(loop);
    loop_poll(loop);
    loop_poll(loop);
    keyboard.n = mouse.n = touch.n = 0;
    input_release_all(in);
    loop_poll(loop);
    CHECK_EQ(keyboard.n - 3, INPUT_CODES - 0x60 - 1); /* three groups */
    for (unsigned i = 0; i < keyboard.n; i++)
        CHECK_EQ(keyboard.e[i].value, 0);
    is(&mouse, 0, INPUT_BUTTON, BTN_LEFT, 0);
    is(&touch, 0, INPUT_TOUCH_POINT, 9, 0);
    input_release_all(in);
    loop_poll(loop);
    CHECK_EQ(mouse.n, 2);
}

static void what_is_not_in_the_tables_is_dropped(void **state)
{
    static const struct input_event bad[] = {
        {.type = INPUT_KEY, .code = 0, .value = 1},
        {.type = INPUT_KEY, .code = KEY_A, .value = 2},
        {.type = INPUT_KEY, .code = BTN_LEFT, .value = 1},
        {.type = INPUT_KEY, .code = INPUT_CODES, .value = 1},
        {.type = INPUT_BUTTON, .code = KEY_A, .value = 1},
        {.type = INPUT_ABS, .code = 2, .value = 1},
        {.type = INPUT_ABS, .code = 0, .value = INPUT_ABS_MAX + 1},
        {.type = INPUT_ABS, .code = 0, .value = -1},
        {.type = INPUT_REL, .code = 2, .value = 1},
        {.type = INPUT_WHEEL, .code = 2, .value = 1},
        {.type = INPUT_TOUCH_POINT, .code = INPUT_SLOTS, .value = 1},
        {.type = 77, .code = 1, .value = 1},
    };

    (void)state;
    all_live();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        input_send(in, &bad[i], 1);
    input_send(in, bad, sizeof bad / sizeof bad[0]);
    CHECK(gate_inject(gate, "input", "short", 5));
    loop_poll(loop);
    CHECK_EQ(keyboard.calls + tablet.calls + mouse.calls + touch.calls, 0);
}

static void a_group_without_an_end_gets_one(void **state)
{
    static struct input_event e[600];

    (void)state;
    all_live();
    for (unsigned i = 0; i < 600; i++)
        e[i] = (struct input_event){.type = INPUT_REL, .value = (int32_t)i};
    input_send(in, e, 600);
    loop_poll(loop);
    CHECK_EQ(mouse.calls, 3);
    CHECK_EQ(mouse.n, 603);
    is(&mouse, 601, INPUT_REL, 0, 599);
}

static void too_many_events_lose_the_oldest_groups_but_no_release(void **state)
{
    const struct input_event pair[] = {
        {.type = INPUT_REL, .code = 0, .value = 1}, {.type = INPUT_REL, .code = 1, .value = 1}, {.type = INPUT_SYN}};

    (void)state;
    all_live();
    input_key(in, KEY_A, true);
    input_key(in, KEY_B, true);
    sent(INPUT_BUTTON, BTN_LEFT, 1);
    keyboard.n = mouse.n = touch.n = 0;
    input_key(in, KEY_A, false);
    send(INPUT_BUTTON, BTN_LEFT, 0);
    input_key(in, KEY_C, true);
    input_key(in, KEY_C, false);
    input_key(in, KEY_A, true);
    input_key(in, KEY_A, false);
    for (unsigned i = 0; i < 2000; i++)
        input_send(in, pair, 3);
    input_key(in, KEY_B, false);
    input_key(in, KEY_A, true);
    for (unsigned i = 0; i < 10; i++)
        loop_poll(loop);
    CHECK_EQ(keyboard.n, 6);
    is(&keyboard, 0, INPUT_KEY, KEY_A, 0); /* late, once; that of C, whose press was lost, is not heard */
    is(&keyboard, 2, INPUT_KEY, KEY_B, 0);
    is(&keyboard, 4, INPUT_KEY, KEY_A, 1);
    is(&touch, 0, INPUT_BUTTON, BTN_LEFT, 0);
    CHECK(mouse.n > 3 * 1300 && mouse.n <= INPUT_QUEUE);
    CHECK_EQ(mouse.n % 3, 0);
}

static unsigned taped;

static void tape(void *arg, const struct gate_source *s, uint64_t when, const void *data, size_t len)
{
    (void)arg;
    (void)when;
    (void)data;
    CHECK_STR(s->name, "input");
    taped += (unsigned)len;
}

static void a_run_can_be_recorded_and_replayed(void **state)
{
    const struct input_event e[] = {{.type = INPUT_KEY, .code = KEY_Q, .value = 1}, {.type = INPUT_SYN}};

    (void)state;
    all_live();
    taped = 0;
    gate_set_tap(gate, tape, NULL);
    input_key(in, KEY_A, true);
    CHECK_EQ(taped, 16);
    loop_poll(loop);
    gate_close(gate, true);
    input_key(in, KEY_B, true);
    input_release_all(in); /* a deaf source: the player has the release too */
    CHECK(gate_inject(gate, "input", e, sizeof e));
    loop_poll(loop);
    CHECK_EQ(keyboard.n, 4);
    is(&keyboard, 2, INPUT_KEY, KEY_Q, 1);
}

static void leds_are_what_the_guest_set(void **state)
{
    (void)state;
    CHECK_EQ(input_leds_get(in), 0);
    input_leds(in, 1 << LED_CAPSL);
    CHECK_EQ(input_leds_get(in), 2);
}

static unsigned listed, marked;

static void list(void *arg, const struct input_handler *h, bool current)
{
    CHECK(arg == &listed);
    listed = listed * 10 + h->id;
    if (current)
        marked = h->id;
}

static void a_list_of_devices_has_the_first_first(void **state)
{
    (void)state;
    all_live();
    listed = marked = 0;
    input_select(in, mouse.h.id);
    input_each(in, list, &listed);
    CHECK_EQ(listed, 3421);
    CHECK_EQ(marked, 3);
}

static void *sender(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 2000; i++) {
        input_key(in, KEY_S, true);
        input_key(in, KEY_S, false);
    }
    return NULL;
}

static void threads_may_send_while_the_loop_delivers(void **state)
{
    pthread_t t[2];

    (void)state;
    all_live();
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, sender, NULL), 0);
    for (unsigned i = 0; i < 200; i++) {
        input_set_live(&keyboard.h, i & 1);
        loop_poll(loop);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    input_set_live(&keyboard.h, true);
    for (unsigned i = 0; i < 64; i++)
        loop_poll(loop);
    keyboard.n = 0;
    input_key(in, KEY_S, true);
    input_key(in, KEY_S, false);
    loop_poll(loop);
    is(&keyboard, 0, INPUT_KEY, KEY_S, 1); /* it was up */
    is(&keyboard, 2, INPUT_KEY, KEY_S, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_reaches_a_keyboard_whose_driver_listens),
        TEST(a_second_press_is_dropped_and_so_is_a_second_release),
        TEST(the_newest_keyboard_gets_keys_and_a_release_goes_where_the_press_went),
        TEST(a_driver_that_left_has_nothing_down),
        TEST(positions_go_to_the_tablet_and_motion_to_the_mouse),
        TEST(a_group_for_two_devices_is_split_and_each_part_ends),
        TEST(the_live_pointer_is_the_first_whose_driver_listens),
        TEST(positions_of_fingers_go_to_the_touch_screen),
        TEST(everything_that_is_down_can_be_released_at_once),
        TEST(what_is_not_in_the_tables_is_dropped),
        TEST(a_group_without_an_end_gets_one),
        TEST(too_many_events_lose_the_oldest_groups_but_no_release),
        TEST(a_run_can_be_recorded_and_replayed),
        TEST(leds_are_what_the_guest_set),
        TEST(a_list_of_devices_has_the_first_first),
        TEST(threads_may_send_while_the_loop_delivers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
