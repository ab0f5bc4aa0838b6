/* virtio-input: what a driver reads of it, hears from it and tells it. Numbers: virtio 1.2, 5.8, and Linux's input codes. */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/loop.h"
#include "devices/virtio_input.h"
#include "tests/unit/virtio_guest.h"

enum { CONFIG = 0x100, CFG_NAME = 1, CFG_SERIAL, CFG_DEVIDS, CFG_PROPS = 0x10, CFG_BITS, CFG_ABS };

static struct vg g;
static struct vg_queue events, status;
static struct virtio_dev *v;
static struct loop *loop;
static struct input *in;
static gpa buf[1024]; /* of the events queue, by descriptor */

static void start_driver(void)
{
    vg_begin(&g, VG_EVENT_IDX);
    vg_queue_init(&g, &events, 0, 64);
    vg_queue_init(&g, &status, 1, 64);
    vg_queue_on(&events);
    vg_queue_on(&status);
    vg_go(&g);
}

static void begin(enum input_kind kind)
{
    struct err e = {""};

    vg_init(&g, false);
    loop = loop_new(g.env.clock, &e);
    in = input_new(loop, g.env.gate);
    v = virtio_input_new(&g.env, "input0", in, &(struct virtio_input_options){.kind = kind, .serial = "S-1"}, &e);
    if (!v)
        fail_msg("%s", e.msg);
    vg_plug(&g, v);
    start_driver();
}

static void end(void)
{
    device_free(&v->dev);
    input_free(in);
    loop_free(loop);
    vg_fini(&g);
}

static void give(unsigned n)
{
    while (n--) {
        struct vg_buf b = {vg_alloc(&g, 8, 8), 8, true};

        buf[vg_add(&events, &b, 1, false)] = b.addr;
    }
    vg_kick(&events);
}

/* The next event as "type/code/value"; "": none. */
static const char *next(void)
{
    static char text[40];
    const uint8_t *p;
    unsigned id;
    uint32_t len;

    if (!vg_used(&events, &id, &len))
        return "";
    CHECK_EQ(len, 8);
    p = vg_host(&g, buf[id]);
    snprintf(text, sizeof text, "%u/%u/%d", ld16(p), ld16(p + 2), (int32_t)ld32(p + 4));
    return text;
}

static void key(unsigned code, bool down)
{
    input_key(in, (uint16_t)code, down);
    loop_poll(loop);
}

static void send(const struct input_event *e, unsigned n)
{
    input_send(in, e, n);
    loop_poll(loop);
}

static unsigned ask(unsigned select, unsigned subsel, uint8_t data[128])
{
    CHECK(bus_write(g.env.bus, VG_SLOT + CONFIG, 1, select));
    CHECK(bus_write(g.env.bus, VG_SLOT + CONFIG + 1, 1, subsel));
    for (unsigned i = 0; i < 128; i++) {
        uint64_t b;

        CHECK(bus_read(g.env.bus, VG_SLOT + CONFIG + 8 + i, 1, &b));
        data[i] = (uint8_t)b;
    }
    uint64_t size;
    CHECK(bus_read(g.env.bus, VG_SLOT + CONFIG + 2, 1, &size));
    return (unsigned)size;
}

static bool bit(const uint8_t *bits, unsigned i) { return bits[i / 8] >> i % 8 & 1; }

static void a_keyboard_says_what_it_is(void **state)
{
    static const uint8_t ids[] = {6, 0, 0x27, 6, 1, 0, 1, 0};
    uint8_t d[128];

    (void)state;
    begin(INPUT_KEYBOARD);
    CHECK_EQ(vg_rd(&g, 8), 18);
    CHECK_EQ(ask(CFG_NAME, 0, d), strlen("QEMU Virtio Keyboard"));
    CHECK_STR((char *)d, "QEMU Virtio Keyboard");
    CHECK_EQ(ask(CFG_SERIAL, 0, d), 3);
    CHECK_STR((char *)d, "S-1");
    CHECK_EQ(ask(CFG_DEVIDS, 0, d), 8);
    assert_memory_equal(d, ids, 8);
    CHECK_EQ(ask(CFG_PROPS, 0, d), 0);
    CHECK(ask(CFG_BITS, EV_REP, d) > 0);
    CHECK_EQ(ask(CFG_BITS, EV_LED, d), 1);
    CHECK_EQ(d[0], 7);
    CHECK_EQ(ask(CFG_BITS, EV_REL, d), 0);
    CHECK_EQ(ask(CFG_BITS, EV_ABS, d), 0);
    CHECK_EQ(ask(CFG_BITS, EV_KEY, d), 32);
    for (unsigned c = KEY_ESC; c <= KEY_COMPOSE; c++)
        CHECK(bit(d, c));
    CHECK(bit(d, KEY_MICMUTE) && !bit(d, 0) && !bit(d, 249));
    CHECK_EQ(ask(CFG_ABS, 0, d), 0);
    end();
}

static void what_is_asked_amiss_has_no_answer(void **state)
{
    uint8_t d[128];

    (void)state;
    begin(INPUT_TABLET);
    CHECK_EQ(ask(0, 0, d), 0);
    CHECK_EQ(ask(CFG_NAME, 1, d), 0);
    CHECK_EQ(ask(4, 0, d), 0);
    CHECK_EQ(ask(0xff, 0xff, d), 0);
    CHECK_EQ(ask(CFG_BITS, 0xff, d), 0);
    CHECK_EQ(ask(CFG_ABS, 2, d), 0);
    for (unsigned i = 0; i < 128; i++)
        CHECK_EQ(d[i], 0);
    CHECK(bus_write(g.env.bus, VG_SLOT + CONFIG + 8, 1, 0x55)); /* read-only */
    CHECK_EQ(ask(CFG_DEVIDS, 0, d), 8);
    end();
}

static void a_tablet_has_positions_buttons_and_wheels(void **state)
{
    static const uint8_t abs[20] = {0, 0, 0, 0, 0xff, 0x7f};
    uint8_t d[128];

    (void)state;
    begin(INPUT_TABLET);
    ask(CFG_BITS, EV_KEY, d);
    for (unsigned c = BTN_LEFT; c <= BTN_EXTRA; c++)
        CHECK(bit(d, c));
    CHECK(!bit(d, BTN_TOUCH));
    CHECK_EQ(ask(CFG_BITS, EV_ABS, d), 1);
    CHECK_EQ(d[0], 3);
    CHECK_EQ(ask(CFG_BITS, EV_REL, d), 2);
    CHECK(bit(d, REL_WHEEL) && bit(d, REL_HWHEEL) && !bit(d, REL_X));
    CHECK_EQ(ask(CFG_ABS, ABS_Y, d), 20);
    assert_memory_equal(d, abs, 20);
    end();
    begin(INPUT_MOUSE);
    ask(CFG_BITS, EV_REL, d);
    CHECK(bit(d, REL_WHEEL) && bit(d, REL_X) && bit(d, REL_Y));
    CHECK_EQ(ask(CFG_BITS, EV_ABS, d), 0);
    end();
}

static void a_key_is_heard_down_and_up(void **state)
{
    (void)state;
    begin(INPUT_KEYBOARD);
    give(8);
    key(KEY_A, true);
    CHECK(g.irq);
    CHECK_STR(next(), "1/30/1");
    CHECK_STR(next(), "0/0/0");
    CHECK_STR(next(), "");
    key(KEY_A, false);
    CHECK_STR(next(), "1/30/0");
    CHECK_STR(next(), "0/0/0");
    key(249, true); /* which it said it had not */
    CHECK_STR(next(), "");
    end();
}

static void pointers_move_click_and_scroll(void **state)
{
    const struct input_event tablet[] = {{.type = INPUT_ABS, .code = 0, .value = 1234},
                                         {.type = INPUT_ABS, .code = 1, .value = 32767},
                                         {.type = INPUT_BUTTON, .code = BTN_RIGHT, .value = 1},
                                         {.type = INPUT_WHEEL, .code = 0, .value = -1},
                                         {.type = INPUT_SYN}};
    const struct input_event mouse[] = {{.type = INPUT_REL, .code = 0, .value = -5},
                                        {.type = INPUT_REL, .code = 1, .value = 7},
                                        {.type = INPUT_WHEEL, .code = 1, .value = 2},
                                        {.type = INPUT_SYN}};

    (void)state;
    begin(INPUT_TABLET);
    give(16);
    send(tablet, 5);
    CHECK_STR(next(), "3/0/1234");
    CHECK_STR(next(), "3/1/32767");
    CHECK_STR(next(), "1/273/1");
    CHECK_STR(next(), "2/8/-1");
    CHECK_STR(next(), "0/0/0");
    end();
    begin(INPUT_MOUSE);
    give(16);
    send(mouse, 4);
    CHECK_STR(next(), "2/0/-5");
    CHECK_STR(next(), "2/1/7");
    CHECK_STR(next(), "2/6/2");
    CHECK_STR(next(), "0/0/0");
    end();
}

static void a_group_without_room_is_dropped_whole(void **state)
{
    const struct input_event e[] = {
        {.type = INPUT_REL, .code = 0, .value = 1}, {.type = INPUT_REL, .code = 1, .value = 1}, {.type = INPUT_SYN}};

    (void)state;
    begin(INPUT_MOUSE);
    give(2);
    send(e, 3); /* needs three */
    CHECK_STR(next(), "");
    CHECK(!g.irq);
    give(1);
    CHECK_STR(next(), ""); /* it is not sent late */
    send(e, 3);
    CHECK_STR(next(), "2/0/1");
    CHECK_STR(next(), "2/1/1");
    CHECK_STR(next(), "0/0/0");
    end();
}

static void a_release_without_room_comes_when_there_is_room(void **state)
{
    (void)state;
    begin(INPUT_KEYBOARD);
    give(5);
    key(KEY_A, true);
    key(KEY_B, true);
    key(KEY_C, true); /* lost: one buffer is left */
    key(KEY_A, false);
    key(KEY_B, false);
    key(KEY_C, false);
    key(KEY_A, true); /* lost, since its release waits */
    for (int i = 0; i < 4; i++)
        CHECK(*next());
    CHECK_STR(next(), "");
    give(1);
    CHECK_STR(next(), ""); /* a group of three has two */
    give(1);
    CHECK_STR(next(), "1/30/0");
    CHECK_STR(next(), "1/48/0");
    CHECK_STR(next(), "0/0/0");
    give(4);
    key(KEY_A, false);
    CHECK_STR(next(), "");
    key(KEY_A, true);
    CHECK_STR(next(), "1/30/1");
    end();
}

static void all_keys_can_be_released_late(void **state)
{
    unsigned ups = 0;

    (void)state;
    begin(INPUT_KEYBOARD);
    for (unsigned c = 1; c <= KEY_COMPOSE; c++) {
        give(2);
        key(c, true);
        CHECK(*next());
        CHECK_STR(next(), "0/0/0");
    }
    input_release_all(in);
    loop_poll(loop);
    CHECK_STR(next(), "");
    for (unsigned round = 0; round < 3; round++) { /* 64 buffers take 63 of 127 releases */
        give(64);
        for (const char *t; *(t = next());)
            ups += strcmp(t, "0/0/0") != 0;
    }
    CHECK_EQ(ups, KEY_COMPOSE);
    end();
}

static void set_led(unsigned type, unsigned code, unsigned value, uint32_t len)
{
    struct vg_buf b = {vg_alloc(&g, 8, 8), len, false};
    unsigned id;
    uint32_t used;

    st16(vg_host(&g, b.addr), (uint16_t)type);
    st16(vg_host(&g, b.addr) + 2, (uint16_t)code);
    st32(vg_host(&g, b.addr) + 4, value);
    vg_add(&status, &b, 1, false);
    vg_kick(&status);
    CHECK(vg_used(&status, &id, &used));
    CHECK_EQ(used, 0);
}

static void lights_are_heard_of(void **state)
{
    (void)state;
    begin(INPUT_KEYBOARD);
    set_led(EV_LED, LED_CAPSL, 1, 8);
    CHECK_EQ(input_leds_get(in), 2);
    set_led(EV_LED, LED_NUML, 1, 8);
    set_led(EV_LED, LED_CAPSL, 0, 8);
    CHECK_EQ(input_leds_get(in), 1);
    set_led(EV_LED, LED_MISC, 1, 8); /* it has no such */
    set_led(EV_LED, 0xffff, 1, 8);
    set_led(EV_REP, REP_DELAY, 250, 8);
    set_led(EV_LED, LED_CAPSL, 1, 7);
    CHECK_EQ(input_leds_get(in), 1);
    vg_wr(&g, 0x070, 0);
    CHECK_EQ(input_leds_get(in), 0);
    end();
}

static void a_reset_ends_what_is_down_and_what_waits(void **state)
{
    (void)state;
    begin(INPUT_KEYBOARD);
    CHECK(input_has(in, INPUT_KEYBOARD));
    give(2);
    key(KEY_A, true);
    key(KEY_A, false); /* waits */
    vg_wr(&g, 0x070, 0);
    CHECK(!input_has(in, INPUT_KEYBOARD));
    key(KEY_B, true);
    start_driver();
    CHECK(input_has(in, INPUT_KEYBOARD));
    give(8);
    CHECK_STR(next(), "");
    key(KEY_B, false);
    CHECK_STR(next(), "");
    key(KEY_A, true);
    CHECK_STR(next(), "1/30/1");
    end();
}

static void a_short_buffer_gets_what_fits(void **state)
{
    struct vg_buf b;
    unsigned id;
    uint32_t len;

    (void)state;
    begin(INPUT_KEYBOARD);
    b = (struct vg_buf){vg_alloc(&g, 16, 8), 3, true};
    memset(vg_host(&g, b.addr), 0xee, 16);
    vg_add(&events, &b, 1, false);
    vg_add(&events, &b, 1, false);
    vg_kick(&events);
    key(KEY_A, true);
    CHECK(vg_used(&events, &id, &len));
    CHECK_EQ(len, 3);
    CHECK_EQ(vg_host(&g, b.addr)[3], 0xee);
    end();
}

static void a_broken_ring_makes_it_deaf_until_reset(void **state)
{
    (void)state;
    begin(INPUT_KEYBOARD);
    vg_desc(&g, events.desc, 5, 0x1000, 8, 2, 0); /* not RAM */
    vg_avail(&events, 5);
    vg_kick(&events);
    key(KEY_A, true);
    CHECK(vg_rd(&g, 0x070) & VIRTIO_NEEDS_RESET);
    CHECK(!input_has(in, INPUT_KEYBOARD));
    key(KEY_B, true);
    start_driver();
    CHECK(input_has(in, INPUT_KEYBOARD));
    end();
}

static void all_of(const char *const *want)
{
    for (; *want; want++)
        CHECK_STR(next(), *want);
    CHECK_STR(next(), "");
}

/* Linux: Documentation/input/multi-touch-protocol.rst, protocol B; the lowest finger is also told the old way. */
static void fingers_have_slots_and_ids_from_touch_to_lift(void **state)
{
    static const struct input_event two[] = {
        {.type = INPUT_ABS, .code = 0, .value = 10},        {.type = INPUT_ABS, .code = 1, .value = 20},
        {.type = INPUT_TOUCH_POINT, .code = 1, .value = 1}, {.type = INPUT_ABS, .code = 0, .value = 30},
        {.type = INPUT_TOUCH_POINT, .code = 4, .value = 1}, {.type = INPUT_SYN}};
    static const struct input_event move[] = {{.type = INPUT_ABS, .code = 0, .value = 31},
                                              {.type = INPUT_ABS, .code = 1, .value = 21},
                                              {.type = INPUT_TOUCH_POINT, .code = 4, .value = 1},
                                              {.type = INPUT_SYN}};
    static const struct input_event up[] = {{.type = INPUT_TOUCH_POINT, .code = 1, .value = 0},
                                            {.type = INPUT_TOUCH_POINT, .code = 4, .value = 0},
                                            {.type = INPUT_SYN}};
    uint8_t d[128];

    (void)state;
    begin(INPUT_TOUCH);
    CHECK_EQ(ask(CFG_PROPS, 0, d), 1);
    CHECK_EQ(d[0], 1 << INPUT_PROP_DIRECT);
    CHECK_EQ(ask(CFG_ABS, ABS_MT_SLOT, d), 20);
    CHECK_EQ(ld32(d + 4), 9);
    give(48);
    send(two, 6);
    all_of((const char *const[]){"3/47/1", "3/57/1", "3/53/10", "3/54/20", "1/330/1", "3/0/10", "3/1/20", "3/47/4",
                                 "3/57/2", "3/53/30", "3/54/20", "0/0/0", NULL});
    send(move, 4);
    all_of((const char *const[]){"3/47/4", "3/53/31", "3/54/21", "0/0/0", NULL});
    send(up, 3);
    all_of((const char *const[]){"3/47/1", "3/57/-1", "3/47/4", "3/57/-1", "1/330/0", "0/0/0", NULL});
    end();
}

static void a_mouse_is_one_finger_and_a_lift_is_never_lost(void **state)
{
    static const struct input_event at[] = {{.type = INPUT_ABS, .code = 0, .value = 7}, {.type = INPUT_SYN}};
    static const struct input_event down[] = {{.type = INPUT_BUTTON, .code = BTN_LEFT, .value = 1},
                                              {.type = INPUT_SYN}};
    static const struct input_event up[] = {{.type = INPUT_BUTTON, .code = BTN_LEFT, .value = 0}, {.type = INPUT_SYN}};

    (void)state;
    begin(INPUT_TOUCH);
    give(14);
    send(at, 2); /* hovers */
    CHECK_STR(next(), "");
    send(down, 2);
    all_of((const char *const[]){"3/47/0", "3/57/1", "3/53/7", "3/54/0", "1/330/1", "3/0/7", "3/1/0", "0/0/0", NULL});
    send(at, 2); /* drags */
    all_of((const char *const[]){"3/47/0", "3/53/7", "3/54/0", "3/0/7", "3/1/0", "0/0/0", NULL});
    send(up, 2);
    CHECK_STR(next(), "");
    give(4);
    all_of((const char *const[]){"3/47/0", "3/57/-1", "1/330/0", "0/0/0", NULL});
    send(at, 2);
    CHECK_STR(next(), "");
    end();
}

static void state_survives_save_and_restore(void **state)
{
    size_t n;
    void *image;
    struct err e;

    (void)state;
    begin(INPUT_KEYBOARD);
    give(3);
    key(KEY_A, true);
    key(KEY_B, true);  /* lost */
    key(KEY_A, false); /* waits */
    set_led(EV_LED, LED_CAPSL, 1, 8);
    CHECK(*next());
    CHECK(*next());
    n = device_state_size(&v->dev);
    image = malloc(n);
    device_save(&v->dev, image);
    device_reset(&v->dev);
    CHECK_EQ(input_leds_get(in), 0);
    CHECK(!input_has(in, INPUT_KEYBOARD));
    CHECK(device_restore(&v->dev, image, n, &e));
    CHECK_EQ(input_leds_get(in), 2);
    CHECK(input_has(in, INPUT_KEYBOARD));
    give(4);
    CHECK_STR(next(), "1/30/0");
    CHECK_STR(next(), "0/0/0");
    free(image);
    end();
}

static void what_is_down_in_a_restored_guest_can_be_released(void **state)
{
    static const enum input_kind kinds[] = {INPUT_KEYBOARD, INPUT_TOUCH, INPUT_TOUCH};
    static const struct input_event down[] = {{.type = INPUT_KEY, .code = KEY_A, .value = 1},
                                              {.type = INPUT_TOUCH_POINT, .code = 2, .value = 1},
                                              {.type = INPUT_BUTTON, .code = BTN_LEFT, .value = 1}};
    static const char *const up[] = {"1/30/0", "3/47/2", "3/47/0"};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        size_t n;
        void *image;
        struct err e;

        begin(kinds[i]);
        give(32);
        send(&down[i], 1);
        while (*next())
            ;
        n = device_state_size(&v->dev);
        image = malloc(n);
        device_save(&v->dev, image);
        device_reset(&v->dev); /* another process would begin so */
        CHECK(device_restore(&v->dev, image, n, &e));
        input_release_all(in);
        loop_poll(loop);
        CHECK_STR(next(), up[i]);
        free(image);
        end();
    }
}

static void an_impossible_serial_is_refused(void **state)
{
    char serial[65];
    struct err e;

    (void)state;
    begin(INPUT_MOUSE);
    memset(serial, 'x', 64);
    serial[64] = 0;
    CHECK(!virtio_input_new(&g.env, "b", in, &(struct virtio_input_options){.serial = serial}, &e));
    CHECK(strstr(e.msg, "63"));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyboard_says_what_it_is),
        cmocka_unit_test(what_is_asked_amiss_has_no_answer),
        cmocka_unit_test(a_tablet_has_positions_buttons_and_wheels),
        cmocka_unit_test(a_key_is_heard_down_and_up),
        cmocka_unit_test(pointers_move_click_and_scroll),
        cmocka_unit_test(a_group_without_room_is_dropped_whole),
        cmocka_unit_test(a_release_without_room_comes_when_there_is_room),
        cmocka_unit_test(all_keys_can_be_released_late),
        cmocka_unit_test(lights_are_heard_of),
        cmocka_unit_test(a_reset_ends_what_is_down_and_what_waits),
        cmocka_unit_test(a_short_buffer_gets_what_fits),
        cmocka_unit_test(a_broken_ring_makes_it_deaf_until_reset),
        cmocka_unit_test(fingers_have_slots_and_ids_from_touch_to_lift),
        cmocka_unit_test(a_mouse_is_one_finger_and_a_lift_is_never_lost),
        cmocka_unit_test(state_survives_save_and_restore),
        cmocka_unit_test(what_is_down_in_a_restored_guest_can_be_released),
        cmocka_unit_test(an_impossible_serial_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
