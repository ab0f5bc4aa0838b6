/* The chardev behind a tab of the window: nothing is lost while somebody reads, nobody waits when nobody does. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "frontend/char_vc.h"
#include "frontend/chardevs.h"
#include "tests/unit/check.h"

static struct loop *loop;
static struct clock *clk;
static struct gate *gate;
static struct chardev *chr;
static struct vc *vc;
static unsigned wakes;

static struct {
    uint8_t got[VC_INPUT];
    size_t len, room;
    unsigned writable, resized;
} guest;

static size_t room(void *dev)
{
    (void)dev;
    return guest.room;
}

static void receive(void *dev, const uint8_t *buf, size_t len)
{
    (void)dev;
    CHECK(len <= guest.room);
    memcpy(guest.got + guest.len, buf, len);
    guest.len += len;
    guest.room -= len;
}

static void writable(void *dev)
{
    (void)dev;
    guest.writable++;
}

static void event(void *dev, enum chardev_event e)
{
    (void)dev;
    guest.resized += e == CHARDEV_RESIZE;
}

static void wake(void *arg)
{
    (void)arg;
    wakes++;
}

static int plug(void **state)
{
    struct chardev_config cfg = {.id = "serial0", .kind = CHARDEV_VC, .cols = 100, .rows = 30};
    struct chardev_env env;
    struct err e;

    (void)state;
    memset(&guest, 0, sizeof guest);
    wakes = 0;
    clk = clock_new_real();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    env = (struct chardev_env){.loop = loop, .gate = gate};
    chr = chardev_open(&env, &cfg, &e);
    CHECK(chr);
    vc = vc_of(chr);
    chr->room = room;
    chr->receive = receive;
    chr->writable = writable;
    chr->event = event;
    return 0;
}

static int unplug(void **state)
{
    (void)state;
    chr->free(chr);
    gate_free(gate);
    loop_free(loop);
    clock_free(clk);
    return 0;
}

static size_t print(const char *text) { return chr->write(chr, (const uint8_t *)text, strlen(text)); }

static void what_was_printed_before_the_window_came_is_there(void **state)
{
    char buf[64] = "";

    (void)state;
    CHECK_EQ(print("booting\n"), 8);
    CHECK_EQ(wakes, 0);
    vc_attach(vc, wake, NULL);
    CHECK_EQ(wakes, 1);
    CHECK_EQ(vc_read(vc, buf, sizeof buf), 8);
    CHECK_STR(buf, "booting\n");
    CHECK_EQ(vc_read(vc, buf, sizeof buf), 0);
    CHECK_EQ(print("x"), 1);
    CHECK_EQ(wakes, 2);
    CHECK_STR(vc_name(vc), "serial0");
}

static void without_a_reader_the_newest_stays_and_nobody_waits(void **state)
{
    static uint8_t out[3 * VC_RING], back[VC_RING + 1];

    (void)state;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t done = 0, n = 1; done < sizeof out; done += n, n = n * 3 % 10007) {
        n = n < sizeof out - done ? n : sizeof out - done;
        CHECK_EQ(chr->write(chr, out + done, n), n);
    }
    vc_attach(vc, wake, NULL);
    CHECK_EQ(vc_read(vc, back, sizeof back), VC_RING);
    CHECK(!memcmp(back, out + sizeof out - VC_RING, VC_RING));
    vc_detach(vc);
    CHECK_EQ(chr->write(chr, out, sizeof out), sizeof out); /* in one piece, larger than the ring */
    vc_attach(vc, wake, NULL);
    CHECK_EQ(vc_read(vc, back, sizeof back), VC_RING);
    CHECK(!memcmp(back, out + sizeof out - VC_RING, VC_RING));
}

static void with_a_reader_a_full_ring_is_a_short_count_and_writable_follows(void **state)
{
    static uint8_t out[VC_RING + 100], back[VC_RING];

    (void)state;
    vc_attach(vc, wake, NULL);
    CHECK_EQ(chr->write(chr, out, sizeof out), VC_RING);
    CHECK_EQ(chr->write(chr, out, 1), 0);
    loop_poll(loop);
    CHECK_EQ(guest.writable, 0);
    CHECK_EQ(vc_read(vc, back, sizeof back), VC_RING);
    loop_poll(loop);
    CHECK_EQ(guest.writable, 1);
    loop_poll(loop);
    CHECK_EQ(guest.writable, 1); /* once */
    CHECK_EQ(chr->write(chr, out, sizeof out), VC_RING);
    vc_detach(vc); /* the window is closed while the guest waits */
    loop_poll(loop);
    CHECK_EQ(guest.writable, 2);
    CHECK_EQ(chr->write(chr, out, sizeof out), sizeof out);
}

static void input_waits_for_the_devices_room(void **state)
{
    (void)state;
    guest.room = 3;
    CHECK_EQ(vc_input(vc, "hello", 5), 5);
    CHECK_EQ(guest.len, 0); /* on the loop's thread only */
    loop_poll(loop);
    CHECK_EQ(guest.len, 3);
    guest.room = 100;
    chr->drained(chr);
    loop_poll(loop);
    CHECK_EQ(guest.len, 5);
    CHECK(!memcmp(guest.got, "hello", 5));
}

static void a_paste_is_bounded_and_arrives_in_order(void **state)
{
    static uint8_t text[VC_INPUT + 5];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 31 + i / 253);
    CHECK_EQ(vc_input(vc, text, sizeof text), VC_INPUT);
    CHECK_EQ(vc_input(vc, "x", 1), 0);
    while (guest.len < VC_INPUT) {
        guest.room = 10007 < VC_INPUT - guest.len ? 10007 : VC_INPUT - guest.len;
        chr->drained(chr);
        loop_poll(loop);
    }
    CHECK(!memcmp(guest.got, text, VC_INPUT));
    CHECK_EQ(vc_input(vc, "x", 1), 1);
}

static void the_guest_is_told_of_a_new_size_once(void **state)
{
    uint16_t cols, rows;

    (void)state;
    chr->size(chr, &cols, &rows);
    CHECK_EQ(cols, 100);
    CHECK_EQ(rows, 30);
    vc_resize(vc, 132, 43);
    vc_resize(vc, 132, 43);
    loop_poll(loop);
    loop_poll(loop);
    CHECK_EQ(guest.resized, 1);
    chr->size(chr, &cols, &rows);
    CHECK_EQ(cols, 132);
    CHECK_EQ(rows, 43);
}

static void sizes_of_the_command_line(void **state)
{
    static const struct {
        const char *spec;
        unsigned cols, rows; /* 0: refused */
    } cases[] = {{"vc", 0, 0},     {"vc:80Cx25C", 80, 25}, {"vc:640x480", 80, 30}, {"vc:1Cx1C", 1, 0},
                 {"vc:80C", 1, 0}, {"vc:80x", 1, 0},       {"vc:9999Cx9C", 1, 0},  {"vc:80Cx25Cx", 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool good = cases[i].rows || !cases[i].cols;
        struct machine_config c;
        struct err e;
        int n;

        config_init(&c);
        CHECK_EQ(config_chardev_spec(&c, cases[i].spec, "serial0", &n, &e), good);
        if (good) {
            CHECK_EQ(c.chardev[n].kind, CHARDEV_VC);
            CHECK_EQ(c.chardev[n].cols, cases[i].cols);
            CHECK_EQ(c.chardev[n].rows, cases[i].rows);
        }
        config_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_printed_before_the_window_came_is_there, plug, unplug),
        cmocka_unit_test_setup_teardown(without_a_reader_the_newest_stays_and_nobody_waits, plug, unplug),
        cmocka_unit_test_setup_teardown(with_a_reader_a_full_ring_is_a_short_count_and_writable_follows, plug, unplug),
        cmocka_unit_test_setup_teardown(input_waits_for_the_devices_room, plug, unplug),
        cmocka_unit_test_setup_teardown(a_paste_is_bounded_and_arrives_in_order, plug, unplug),
        cmocka_unit_test_setup_teardown(the_guest_is_told_of_a_new_size_once, plug, unplug),
        cmocka_unit_test(sizes_of_the_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
