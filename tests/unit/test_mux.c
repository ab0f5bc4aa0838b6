/* One terminal with several users: focus, the Ctrl-A keys, time stamps, slow ends. */
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "frontend/mux.h"
#include "tests/unit/check.h"

static char screen[4096];
static size_t screen_len, screen_room;
static bool quit;

static size_t host_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    size_t n = len < screen_room ? len : screen_room;

    (void)c;
    memcpy(screen + screen_len, buf, n);
    screen_len += n;
    screen_room -= n;
    screen[screen_len] = 0;
    return n;
}

static void host_drained(struct chardev *c) { (void)c; }
static void host_free(struct chardev *c) { (void)c; }

static struct chardev host = {.write = host_write, .drained = host_drained, .free = host_free, .open = true};

struct user {
    char got[600];
    size_t len, room;
    unsigned breaks, writable;
};

static size_t user_room(void *dev) { return ((struct user *)dev)->room; }

static void user_receive(void *dev, const uint8_t *buf, size_t len)
{
    struct user *u = dev;

    memcpy(u->got + u->len, buf, len);
    u->len += len;
    u->room -= len;
    u->got[u->len] = 0;
}

static void user_event(void *dev, enum chardev_event e)
{
    if (e == CHARDEV_BREAK)
        ((struct user *)dev)->breaks++;
}

static void user_writable(void *dev) { ((struct user *)dev)->writable++; }

static struct user serial, console;
static bool console_focus;
static struct mux *mux;
static struct loop *loop;
static struct chardev *port[2];

static void on_quit(void *arg)
{
    (void)arg;
    quit = true;
}

static const char *on_commit(void *arg)
{
    (void)arg;
    return "nothing to commit";
}

static void on_focus(void *arg, bool in)
{
    (void)arg;
    console_focus = in;
}

static void plug(struct chardev *c, struct user *u)
{
    *u = (struct user){.room = 500};
    c->dev = u;
    c->room = user_room;
    c->receive = user_receive;
    c->event = user_event;
    c->writable = user_writable;
}

static int setup(void **state)
{
    struct mux_actions actions = {.quit = on_quit, .commit = on_commit};
    struct err e;

    (void)state;
    screen_len = 0;
    screen_room = 2000;
    screen[0] = 0;
    quit = console_focus = false;
    loop = loop_new(NULL, &e);
    mux = mux_new(&host, loop, 1, &actions);
    port[0] = mux_port(mux, NULL, NULL);
    port[1] = mux_port(mux, on_focus, NULL);
    plug(port[0], &serial);
    plug(port[1], &console);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mux_free(mux);
    loop_free(loop);
    return 0;
}

static void type(const char *keys)
{
    size_t len = strlen(keys);

    while (len) {
        size_t n = host.room(host.dev);

        if (!n)
            return;
        n = n < len ? n : len;
        host.receive(host.dev, (const uint8_t *)keys, n);
        keys += n;
        len -= n;
    }
}

static void write_to(unsigned n, const char *text) { port[n]->write(port[n], (const uint8_t *)text, strlen(text)); }

static void input_goes_to_the_focus_and_output_comes_from_all(void **state)
{
    (void)state;
    type("abc");
    CHECK_STR(serial.got, "abc");
    CHECK_STR(console.got, "");
    type("before\x01"
         "cafter");
    CHECK(console_focus);
    CHECK_STR(serial.got, "abcbefore");
    CHECK_STR(console.got, "after");
    type("\x01"
         "c!");
    CHECK(!console_focus);
    CHECK_STR(serial.got, "abcbefore!");
    write_to(0, "one ");
    write_to(1, "two");
    CHECK_STR(screen, "one two");
}

/* What was typed ahead of a switch is not lost when the user in focus had no room for it. */
static void typed_ahead_waits_for_its_user(void **state)
{
    (void)state;
    serial.room = 2;
    type("wxyz\x01"
         "cq");
    CHECK_STR(serial.got, "wx");
    CHECK_STR(console.got, "q");
    serial.room = 10;
    port[0]->drained(port[0]);
    loop_post(loop, (loop_fn *)loop_stop, loop);
    loop_run(loop);
    CHECK_STR(serial.got, "wxyz");
}

static void keys(void **state)
{
    (void)state;
    type("\x01\x01");
    CHECK_STR(serial.got, "\x01");
    type("\x01"
         "b");
    CHECK_EQ(serial.breaks, 1);
    CHECK(!quit);
    type("\x01"
         "x");
    CHECK(quit);
    screen_len = 0;
    type("\x01"
         "h");
    CHECK(strstr(screen, "C-a x    exit emulator"));
    CHECK(strstr(screen, "C-a c    switch between console and monitor"));
    screen_len = 0;
    type("\x01"
         "s");
    CHECK(strstr(screen, "nothing to commit"));
    screen_len = 0;
    type("\x01");
    type("Z"); /* unknown: nothing, not even to the user */
    CHECK_STR(serial.got, "\x01");
}

static void time_stamps_begin_each_line(void **state)
{
    (void)state;
    type("\x01"
         "t");
    write_to(0, "rest\nline\nmo");
    write_to(0, "re\n");
    type("\x01"
         "t");
    write_to(0, "plain\n");
    CHECK(!strncmp(screen, "rest\n[00:00:0", 13));
    CHECK(strstr(screen, "] line\n["));
    CHECK(strstr(screen, "] more\nplain\n"));
}

static void a_slow_terminal_loses_nothing_but_waits(void **state)
{
    size_t n;

    (void)state;
    screen_room = 3;
    n = port[0]->write(port[0], (const uint8_t *)"abcdef", 6);
    CHECK_EQ(n, 3);
    type("\x01"
         "t");
    screen_room = 5;
    n = port[0]->write(port[0], (const uint8_t *)"d\nef", 4); /* the stamp is cut in its middle */
    CHECK_EQ(n, 2);
    screen_room = 100;
    host.writable(host.dev);
    CHECK_EQ(serial.writable, 1);
    n = port[0]->write(port[0], (const uint8_t *)"ef", 2);
    CHECK_EQ(n, 2);
    CHECK(!strncmp(screen, "abcd\n[00:00:0", 13));
    CHECK_STR(screen + strlen("abcd\n[00:00:00.000] "), "ef");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(input_goes_to_the_focus_and_output_comes_from_all, setup, teardown),
        cmocka_unit_test_setup_teardown(typed_ahead_waits_for_its_user, setup, teardown),
        cmocka_unit_test_setup_teardown(keys, setup, teardown),
        cmocka_unit_test_setup_teardown(time_stamps_begin_each_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_terminal_loses_nothing_but_waits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
