/* A console's tab with a window that is only memory: what is printed is drawn, what is typed arrives. */
#include <linux/input-event-codes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "frontend/char_vc.h"
#include "frontend/chardevs.h"
#include "frontend/ui/text_tab.h"
#include "tests/unit/check.h"

enum { W = 800, H = 480, CELL_W = 9, MARGIN = 4 };

static struct loop *loop;
static struct clock *clk;
static struct gate *gate;
static struct chardev *chr;
static struct ui_tab *tab;
static uint32_t px[W * H], old[W * H];
static struct canvas canvas = {px, W, H, W};
static struct ui_rect rect[UI_RECTS];
static sem_t woken;
static char got[1 << 16];
static size_t got_len;
static unsigned resized;

static size_t room(void *dev)
{
    (void)dev;
    return sizeof got - 1 - got_len;
}

static void receive(void *dev, const uint8_t *buf, size_t len)
{
    (void)dev;
    memcpy(got + got_len, buf, len);
    got_len += len;
    got[got_len] = 0;
}

static void event(void *dev, enum chardev_event e)
{
    (void)dev;
    resized += e == CHARDEV_RESIZE;
}

static void wake(void *arg)
{
    (void)arg;
    sem_post(&woken);
}

static int start(void **state)
{
    struct chardev_config cfg = {.id = "serial0", .kind = CHARDEV_VC};
    struct chardev_env env;
    struct err e;

    (void)state;
    got_len = resized = 0;
    got[0] = 0;
    sem_init(&woken, 0, 0);
    clk = clock_new_real();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    env = (struct chardev_env){.loop = loop, .gate = gate};
    chr = chardev_open(&env, &cfg, &e);
    chr->room = room;
    chr->receive = receive;
    chr->event = event;
    tab = text_tab_new(vc_of(chr), "serial0", &e);
    CHECK(tab);
    tab->wake = wake;
    return 0;
}

static int end(void **state)
{
    (void)state;
    tab->ops->free(tab);
    chr->free(chr);
    gate_free(gate);
    loop_free(loop);
    clock_free(clk);
    sem_destroy(&woken);
    return 0;
}

static void show(void)
{
    uint32_t w, h;

    tab->ops->size(tab, W, H, 1, &w, &h);
    CHECK_EQ(w, W);
    CHECK_EQ(h, H);
    tab->ops->focus(tab, true);
    tab->ops->draw(tab, &canvas, true, rect);
    while (!sem_trywait(&woken)) {
    }
}

static void wait_wake(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    CHECK_EQ(sem_timedwait(&woken, &until), 0);
}

static void print(const char *s)
{
    CHECK_EQ(chr->write(chr, (const uint8_t *)s, strlen(s)), strlen(s));
    wait_wake();
}

/* What arrived at the guest. */
static void arrives(const char *expected)
{
    while (loop_poll(loop) && got_len < strlen(expected)) {
    }
    CHECK_STR(got, expected);
    got_len = 0;
    got[0] = 0;
}

static void key(uint16_t code, unsigned mods, uint32_t label)
{
    tab->ops->key(tab, &(struct ui_key){code, true, false, mods, label});
    tab->ops->key(tab, &(struct ui_key){code, false, false, mods, label});
}

static void only_what_changed_is_drawn(void **state)
{
    unsigned n;

    (void)state;
    show();
    print("\033[?25lx");
    n = tab->ops->draw(tab, &canvas, false, rect);
    CHECK(n >= 1);
    memcpy(old, px, sizeof px);
    print("\033[5;10HA");
    CHECK_EQ(tab->ops->draw(tab, &canvas, false, rect), 1);
    CHECK_EQ(rect[0].w, CELL_W);
    CHECK_EQ(rect[0].x, MARGIN + 9 * CELL_W);
    CHECK_EQ(rect[0].y, MARGIN + 4 * rect[0].h);
    for (uint32_t y = 0, changed = 0; y < H; y++) {
        for (uint32_t x = 0; x < W; x++) {
            bool within = x - rect[0].x < rect[0].w && y - rect[0].y < rect[0].h;

            changed += px[y * W + x] != old[y * W + x];
            CHECK(within || px[y * W + x] == old[y * W + x]);
        }
        CHECK(y < H - 1 || changed > 5);
    }
    CHECK_EQ(tab->ops->draw(tab, &canvas, false, rect), 0);
}

static void drawing_all_gives_the_same_picture(void **state)
{
    (void)state;
    show();
    print("\033[1;31mred\033[m \xe6\xbc\xa2 \033[4:3mwave\033[m\r\nsecond\033[1;2HX\033[44m\033[K");
    tab->ops->draw(tab, &canvas, false, rect);
    memcpy(old, px, sizeof px);
    tab->ops->draw(tab, &canvas, true, rect);
    CHECK(!memcmp(old, px, sizeof px));
}

static void keys_and_text_reach_the_guest(void **state)
{
    (void)state;
    show();
    key(KEY_L, 0, 'l');
    tab->ops->text(tab, "l");
    key(KEY_C, UI_CTRL, 'c');
    key(KEY_UP, 0, 0);
    key(KEY_X, UI_ALT, 'x');
    tab->ops->text(tab, "x"); /* some hosts report it although Alt was down: it was sent */
    key(KEY_Y, 0, 'y');
    tab->ops->text(tab, "y");
    arrives("l\003\033[A\033xy");
}

static void the_right_alt_is_altgr_where_the_layout_has_it(void **state)
{
    struct ui_key alt = {KEY_RIGHTALT, true, false, 0, 0};

    (void)state;
    show();
    tab->ops->key(tab, &alt);
    key(KEY_Q, UI_ALT, 'q');
    tab->ops->text(tab, "@"); /* de */
    key(KEY_Q, UI_ALT, 'q');
    tab->ops->text(tab, "q"); /* us */
    arrives("@\033q");
}

static void the_keypad_types_or_moves_as_numlock_says(void **state)
{
    struct ui_key seven = {KEY_KP7, true, false, 0, '7'};

    (void)state;
    show();
    tab->ops->key(tab, &seven);
    tab->ops->text(tab, "7");
    seven.down = false;
    tab->ops->key(tab, &seven);
    key(KEY_KP7, 0, '7'); /* no text: off */
    key(KEY_KP4, UI_CTRL, '4');
    arrives("7\033[H\033[1;5D");
}

static void a_console_that_is_not_shown_lives(void **state)
{
    (void)state;
    chr->write(chr, (const uint8_t *)"\033[18t", 5);
    while (!got_len)
        loop_turn(loop);
    arrives("\033[8;24;80t");
}

static void the_guest_follows_the_window(void **state)
{
    uint16_t cols, rows;
    uint32_t w, h;

    (void)state;
    show();
    loop_poll(loop);
    CHECK_EQ(resized, 1);
    chr->size(chr, &cols, &rows);
    CHECK_EQ(cols, (W - MARGIN - 8) / CELL_W);
    tab->ops->zoom(tab, 1);
    CHECK(tab->resized);
    tab->ops->size(tab, W, H, 1, &w, &h);
    loop_poll(loop);
    CHECK_EQ(resized, 2);
    chr->size(chr, &rows, &rows);
    chr->size(chr, &cols, &rows);
    CHECK(cols < (W - MARGIN - 8) / CELL_W);
    tab->ops->zoom(tab, 0);
    tab->ops->size(tab, 20, 20, 4, &w, &h); /* smaller than a character */
    tab->ops->draw(tab, &(struct canvas){px, 20, 20, 20}, true, rect);
    tab->ops->size(tab, W, H, 1, &w, &h);
    tab->ops->draw(tab, &canvas, true, rect);
}

static void point(enum ui_pointer_type type, int x, int y, bool down, unsigned clicks)
{
    struct ui_pointer p = {.type = type, .x = x, .y = y, .button = BTN_LEFT, .down = down, .clicks = clicks};

    tab->ops->pointer(tab, &p);
}

static void dragging_selects_and_wheels_scroll(void **state)
{
    char *text;

    (void)state;
    show();
    print("hello world\r\nsecond line");
    point(UI_POINTER_BUTTON, MARGIN + 6 * CELL_W + 1, MARGIN + 3, true, 1);
    point(UI_POINTER_MOVE, MARGIN + 6 * CELL_W - 1, MARGIN + 30, false, 0);
    text = tab->ops->copy(tab);
    CHECK_STR(text, "world\nsecond");
    free(text);
    point(UI_POINTER_BUTTON, 0, 0, false, 0);
    point(UI_POINTER_BUTTON, MARGIN + CELL_W, MARGIN + 3, true, 2);
    point(UI_POINTER_BUTTON, MARGIN + CELL_W, MARGIN + 3, false, 0);
    text = tab->ops->copy(tab);
    CHECK_STR(text, "hello");
    free(text);
    while (!sem_trywait(&woken)) {
    }
    for (int i = 0; i < 60; i++) {
        tab->ops->draw(tab, &canvas, false, rect);
        print("\r\nline");
    }
    tab->ops->draw(tab, &canvas, false, rect);
    memcpy(old, px, sizeof px);
    tab->ops->pointer(tab, &(struct ui_pointer){.type = UI_POINTER_WHEEL, .wheel = 20});
    CHECK(tab->ops->draw(tab, &canvas, false, rect) > 0);
    CHECK(memcmp(old, px, sizeof px));
    key(KEY_END, UI_SHIFT, 0);
    arrives(""); /* ours */
    tab->ops->draw(tab, &canvas, false, rect);
    CHECK(!memcmp(old, px, sizeof px));
}

static void a_selection_dragged_over_the_edge_scrolls(void **state)
{
    char *text;

    (void)state;
    show();
    for (int i = 0; i < 60; i++) {
        print("line\r\n");
        tab->ops->draw(tab, &canvas, false, rect);
    }
    point(UI_POINTER_BUTTON, MARGIN, MARGIN + 30, true, 1);
    point(UI_POINTER_MOVE, MARGIN, -100, false, 0);
    CHECK(tab->ops->next(tab) > 0);
    text = tab->ops->copy(tab);
    CHECK(strlen(text) > 2 * strlen("line\n"));
    free(text);
    point(UI_POINTER_BUTTON, MARGIN, -100, false, 0);
}

static void the_cursor_blinks_with_focus_only(void **state)
{
    unsigned ms;

    (void)state;
    show();
    ms = tab->ops->next(tab);
    CHECK(ms > 0 && ms <= 530);
    tab->ops->focus(tab, false);
    CHECK_EQ(tab->ops->next(tab), 0);
}

static void the_bell_is_a_frame_for_a_moment(void **state)
{
    uint32_t quiet;

    (void)state;
    show();
    tab->ops->focus(tab, false);
    tab->ops->draw(tab, &canvas, false, rect);
    while (!sem_trywait(&woken)) {
    }
    quiet = px[0];
    print("\a");
    CHECK_EQ(tab->ops->draw(tab, &canvas, false, rect), 1);
    CHECK(px[0] != quiet);
    for (unsigned ms; (ms = tab->ops->next(tab)) != 0;) {
        CHECK(ms <= 120);
        tab->ops->draw(tab, &canvas, false, rect);
    }
    CHECK_EQ(px[0], quiet);
}

static void paste_reaches_the_guest(void **state)
{
    (void)state;
    show();
    print("\033[?2004h");
    tab->ops->paste(tab, "two\nlines");
    arrives("\033[200~two\rlines\033[201~");
}

static void *flood(void *arg)
{
    static const char line[] = "the quick brown fox jumps over the lazy dog 0123456789\r\n", last[] = "\033[2J\033[18t";
    size_t *total = arg;

    while (*total < 10 << 20)
        *total += chr->write(chr, (const uint8_t *)line, sizeof line - 1);
    for (size_t done = 0; done < sizeof last - 1;)
        done += chr->write(chr, (const uint8_t *)last + done, sizeof last - 1 - done);
    return NULL;
}

/* Ten megabytes while nobody draws and one frame while they come: the guest is through, the answer comes at the end. */
static void a_flood_is_not_held_up_by_drawing(void **state)
{
    pthread_t thread;
    size_t total = 0;

    (void)state;
    show();
    pthread_create(&thread, NULL, flood, &total);
    wait_wake();
    tab->ops->draw(tab, &canvas, false, rect);
    while (!got_len)
        loop_turn(loop);
    pthread_join(thread, NULL);
    CHECK(total >= 10 << 20);
    CHECK(!memcmp(got, "\033[8;", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_changed_is_drawn, start, end),
        cmocka_unit_test_setup_teardown(drawing_all_gives_the_same_picture, start, end),
        cmocka_unit_test_setup_teardown(keys_and_text_reach_the_guest, start, end),
        cmocka_unit_test_setup_teardown(the_right_alt_is_altgr_where_the_layout_has_it, start, end),
        cmocka_unit_test_setup_teardown(the_keypad_types_or_moves_as_numlock_says, start, end),
        cmocka_unit_test_setup_teardown(a_console_that_is_not_shown_lives, start, end),
        cmocka_unit_test_setup_teardown(the_guest_follows_the_window, start, end),
        cmocka_unit_test_setup_teardown(dragging_selects_and_wheels_scroll, start, end),
        cmocka_unit_test_setup_teardown(a_selection_dragged_over_the_edge_scrolls, start, end),
        cmocka_unit_test_setup_teardown(the_cursor_blinks_with_focus_only, start, end),
        cmocka_unit_test_setup_teardown(the_bell_is_a_frame_for_a_moment, start, end),
        cmocka_unit_test_setup_teardown(paste_reaches_the_guest, start, end),
        cmocka_unit_test_setup_teardown(a_flood_is_not_held_up_by_drawing, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
