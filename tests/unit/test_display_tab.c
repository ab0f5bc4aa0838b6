/* A guest's screen as a tab of the window: its picture, its pointer, and what keys and pointer are to the guest. */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/gate.h"
#include "base/loop.h"
#include "devices/display.h"
#include "devices/input.h"
#include "frontend/ui/display_tab.h"
#include "frontend/ui/ui.h"
#include "tests/unit/check.h"
#include "tests/unit/ui_host.h"

enum { W = 640, H = 480, HEARD = 4096 };

/* The guest's input device: remembers the last of everything. */
struct ear {
    struct input_handler h;
    bool down[INPUT_CODES];
    unsigned events, ups, downs;
    int32_t x, y, dx, dy, wheel;
};

static struct fake_host f;
static struct ui *ui;
static struct ui_window *win;
static struct clock *clk;
static struct loop *loop;
static struct gate *gate;
static struct input *in;
static struct ear keyboard, tablet, mouse;
static struct display *d;
static uint32_t screen[W * H], other[W * H];
static unsigned refreshes, resizes;
static uint32_t resized_w, resized_h;

static void hear(void *dev, const struct input_event *e, unsigned n)
{
    struct ear *ear = dev;

    for (unsigned i = 0; i < n; i++) {
        ear->events++;
        if (e[i].type == INPUT_KEY || e[i].type == INPUT_BUTTON) {
            ear->down[e[i].code] = e[i].value;
            ear->ups += !e[i].value;
            ear->downs += e[i].value != 0;
        } else if (e[i].type == INPUT_ABS) {
            *(e[i].code ? &ear->y : &ear->x) = e[i].value;
        } else if (e[i].type == INPUT_REL) {
            *(e[i].code ? &ear->dy : &ear->dx) += e[i].value;
        } else if (e[i].type == INPUT_WHEEL) {
            ear->wheel += e[i].value;
        }
    }
}

static void add(struct ear *ear, enum input_kind kind)
{
    memset(ear, 0, sizeof *ear);
    ear->h = (struct input_handler){.kind = kind, .name = "ear", .event = hear, .dev = ear};
    input_register(in, &ear->h);
}

static void refresh(void *dev)
{
    (void)dev;
    refreshes++;
}

static void resize(void *dev, uint32_t w, uint32_t h, uint32_t mm_w, uint32_t mm_h)
{
    (void)dev;
    (void)mm_w;
    (void)mm_h;
    resizes++;
    resized_w = w;
    resized_h = h;
}

static const struct display_ops follows = {.resize = resize}, polled = {.refresh = refresh};

static void open_with(const struct display_ops *ops)
{
    struct err e;

    fake_host_init(&f);
    clk = clock_new_fake();
    loop = loop_new(clk, &e);
    gate = gate_new(clk);
    in = input_new(loop, gate);
    add(&keyboard, INPUT_KEYBOARD);
    add(&mouse, INPUT_MOUSE);
    add(&tablet, INPUT_TABLET);
    input_set_live(&keyboard.h, true);
    refreshes = resizes = 0;
    d = display_new("screen", ops, NULL);
    ui = ui_new(&f.host, &(struct ui_options){.name = "m"}, NULL);
    win = ui_window_new(ui, W, H, &e);
    CHECK(win && ui_add_tab(win, display_tab_new(d, in, "screen"), &e));
    for (unsigned i = 0; i < W * H; i++)
        screen[i] = 0xff000000 | i;
}

static int begin(void **state)
{
    (void)state;
    open_with(&follows);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ui_free(ui);
    display_free(d);
    input_free(in);
    gate_free(gate);
    loop_free(loop);
    clock_free(clk);
    fake_host_fini(&f);
    return 0;
}

static void turn(unsigned ms)
{
    for (unsigned i = 0; i < 6; i++)
        ui_turn(ui, 0);
    f.now += ms;
    for (unsigned i = 0; i < 6; i++)
        ui_turn(ui, 0);
    for (unsigned i = 0; i < 4; i++)
        loop_poll(loop);
}

static void show_screen(void)
{
    struct surface s = {W, H, W * 4, PIXEL_XRGB8888, (const uint8_t *)screen};

    display_set_surface(d, &s);
    fake_type(&f, 0, HOST_FOCUS);
    turn(300);
    turn(50);
    f.window[0].shown_pixels = 0;
    f.window[0].shown = (struct ui_rect){0};
}

static void key(uint16_t code, bool down, unsigned mods)
{
    fake_key(&f, 0, code, down, mods, 0);
    turn(0);
}

static unsigned keys_down(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < INPUT_CODES; i++)
        n += keyboard.down[i];
    return n;
}

/* --- the picture --- */

static void without_a_picture_there_is_a_message(void **state)
{
    bool text = false;

    (void)state;
    turn(50);
    for (uint32_t x = 0; x < W; x++)
        text |= fake_pixel(&f, 0, x, H / 2) != 0;
    CHECK(text);
    CHECK_EQ(fake_pixel(&f, 0, 3, 3), 0);
    show_screen();
    CHECK_EQ(fake_pixel(&f, 0, W / 2, H / 2) & 0xffffff, H / 2 * W + W / 2);
    display_set_surface(d, NULL);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 3, 3), 0);
}

static void the_picture_is_the_surface_pixel_by_pixel(void **state)
{
    (void)state;
    show_screen();
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++)
            CHECK_EQ(fake_pixel(&f, 0, x, y) & 0xffffff, y * W + x);
}

static void damage_is_what_is_shown(void **state)
{
    (void)state;
    show_screen();
    for (unsigned i = 0; i < W * H; i++)
        screen[i] = 0xabcdef;
    display_damage(d, 100, 50, 7, 5);
    turn(50);
    CHECK_EQ(f.window[0].shown_pixels, 35);
    CHECK_EQ(fake_pixel(&f, 0, 100, 50) & 0xffffff, 0xabcdef);
    CHECK_EQ(fake_pixel(&f, 0, 99, 50) & 0xffffff, 50 * W + 99);
}

static void a_page_flip_shows_the_other_page(void **state)
{
    struct surface s = {W, H, W * 4, PIXEL_XRGB8888, (const uint8_t *)other};

    (void)state;
    show_screen();
    memset(other, 0x55, sizeof other);
    display_set_surface(d, &s);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 17, 3) & 0xffffff, 0x555555);
}

static void another_mode_is_another_window(void **state)
{
    struct surface s = {320, 200, 320 * 4, PIXEL_XRGB8888, (const uint8_t *)screen};

    (void)state;
    show_screen();
    display_set_surface(d, &s);
    turn(300);
    CHECK_EQ(f.window[0].width, 320);
    CHECK_EQ(f.window[0].height, 200);
    CHECK_EQ(fake_pixel(&f, 0, 319, 199) & 0xffffff, 199 * 320 + 319);
}

static void the_guest_is_asked_to_follow_the_window(void **state)
{
    (void)state;
    show_screen();
    resizes = 0;
    fake_resize(&f, 0, 900, 700);
    turn(50);
    CHECK_EQ(resizes, 0);
    turn(200);
    CHECK_EQ(resizes, 1);
    CHECK_EQ(resized_w, 900);
    CHECK_EQ(resized_h, 700);
}

static void a_hundred_random_resizes_and_modes_stay_inside(void **state)
{
    (void)state;
    show_screen();
    srandom(11);
    for (unsigned i = 0; i < 100; i++) {
        struct surface s = {1 + (uint32_t)random() % W, 1 + (uint32_t)random() % H, W * 4, PIXEL_XRGB8888,
                            (const uint8_t *)(random() % 2 ? screen : other)};

        fake_resize(&f, 0, 1 + (uint32_t)random() % 900, 1 + (uint32_t)random() % 700);
        if (random() % 2)
            display_set_surface(d, random() % 8 ? &s : NULL);
        display_damage(d, (uint32_t)random() % W, (uint32_t)random() % H, 50, 50);
        fake_motion(&f, 0, (int32_t)(random() % 2000) - 500, (int32_t)(random() % 2000) - 500, 0, 0);
        turn((unsigned)random() % 40);
    }
    turn(400);
    CHECK_EQ(resized_w, f.window[0].width);
    CHECK_EQ(resized_h, f.window[0].height);
}

static void a_frame_buffer_is_looked_at_less_and_less_often(void **state)
{
    unsigned quick, slow;

    (void)state;
    end(NULL);
    open_with(&polled);
    show_screen();
    for (unsigned ms = 0; ms < 3000; ms += 5)
        turn(5);
    refreshes = 0;
    for (unsigned ms = 0; ms < 1000; ms += 5)
        turn(5);
    slow = refreshes;
    CHECK(slow >= 3 && slow <= 5); /* every 250 ms */
    key(KEY_A, true, 0);
    refreshes = 0;
    for (unsigned ms = 0; ms < 100; ms += 5)
        turn(5);
    quick = refreshes;
    CHECK(quick >= 2);
    fake_type(&f, 0, HOST_HIDDEN);
    turn(50);
    refreshes = 0;
    for (unsigned ms = 0; ms < 1000; ms += 5)
        turn(5);
    CHECK_EQ(refreshes, 0);
}

/* --- the guest's pointer --- */

static const uint32_t arrow[4] = {0xffff0000, 0xff00ff00, 0x00000000, 0xff0000ff};

static void guest_pointer(int32_t x, int32_t y)
{
    struct display_cursor c = {2, 2, 1, 0, arrow};

    display_set_cursor(d, &c);
    display_move_cursor(d, x, y, true);
}

static void an_absolute_pointer_is_the_hosts(void **state)
{
    (void)state;
    show_screen();
    CHECK_EQ(f.window[0].shape, UI_SHAPE_ARROW); /* no pointer is live: the host's own */
    input_set_live(&tablet.h, true);
    fake_motion(&f, 0, 5, 5, 0, 0);
    turn(50);
    CHECK_EQ(f.window[0].shape, UI_SHAPE_DOT); /* the guest may draw one itself */
    guest_pointer(10, 10);
    turn(50);
    CHECK_EQ(f.window[0].shape, UI_SHAPE_PICTURE);
    CHECK_EQ(f.window[0].cursor.w, 2);
    CHECK_EQ(f.window[0].cursor.hot_x, 1);
    CHECK_EQ(fake_pixel(&f, 0, 10, 10) & 0xffffff, 10 * W + 10); /* not drawn into the picture */
    display_move_cursor(d, 10, 10, false);
    turn(50);
    CHECK_EQ(f.window[0].shape, UI_SHAPE_NONE);
}

static void a_relative_pointer_is_drawn_and_leaves_no_trace(void **state)
{
    (void)state;
    show_screen();
    input_set_live(&mouse.h, true);
    fake_motion(&f, 0, 5, 5, 0, 0);
    guest_pointer(10, 10);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 10, 10), 0xff0000);
    CHECK_EQ(fake_pixel(&f, 0, 11, 10), 0x00ff00);
    CHECK_EQ(fake_pixel(&f, 0, 10, 11), 11 * W + 10); /* transparent */
    CHECK_EQ(fake_pixel(&f, 0, 11, 11), 0x0000ff);
    display_move_cursor(d, W - 1, H - 1, true); /* a part of it is outside */
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 10, 10) & 0xffffff, 10 * W + 10);
    CHECK_EQ(fake_pixel(&f, 0, W - 1, H - 1), 0xff0000);
    display_move_cursor(d, -1, -1, true);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 0, 0), 0x0000ff);
    display_move_cursor(d, -1, -1, false);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 0, 0) & 0xffffff, 0);
    CHECK_EQ(fake_pixel(&f, 0, W - 1, H - 1) & 0xffffff, H * W - 1);
}

/* --- input --- */

static void the_pointer_lands_on_its_pixel(void **state)
{
    (void)state;
    show_screen();
    input_set_live(&tablet.h, true);
    for (unsigned i = 0; i < 200; i++) {
        int32_t x = (int32_t)(random() % W), y = (int32_t)(random() % H);

        fake_motion(&f, 0, x, y, 0, 0);
        turn(0);
        CHECK_EQ((int64_t)tablet.x * W / 32768, x); /* libinput: value * size / (max + 1) */
        CHECK_EQ((int64_t)tablet.y * H / 32768, y);
    }
    fake_motion(&f, 0, -5, H + 100, 0, 0); /* dragged outside: at the edge */
    turn(0);
    CHECK_EQ((int64_t)tablet.x * W / 32768, 0);
    CHECK_EQ((int64_t)tablet.y * H / 32768, H - 1);
    fake_button(&f, 0, BTN_RIGHT, true, 3, 4);
    turn(0);
    CHECK(tablet.down[BTN_RIGHT]);
    CHECK_EQ((int64_t)tablet.x * W / 32768, 3);
    fake_put(&f, (struct host_event){.type = HOST_WHEEL, .window = &f.window[0], .wheel = -2});
    turn(0);
    CHECK_EQ(tablet.wheel, -2);
}

static void a_mouse_moves_once_it_is_grabbed(void **state)
{
    (void)state;
    show_screen();
    input_set_live(&mouse.h, true);
    fake_motion(&f, 0, 100, 100, 5, 5);
    turn(0);
    CHECK_EQ(mouse.dx, 0);
    fake_button(&f, 0, BTN_LEFT, true, 100, 100);
    fake_button(&f, 0, BTN_LEFT, false, 100, 100);
    turn(0);
    CHECK(f.window[0].relative);
    fake_motion(&f, 0, 100, 100, 5, -6);
    turn(0);
    CHECK_EQ(mouse.dx, 5);
    CHECK_EQ(mouse.dy, -6);
    CHECK_EQ(mouse.downs, 0);
    input_set_live(&tablet.h, true); /* the newest pointer that lives decides: a tablet needs no grab */
    fake_motion(&f, 0, 100, 100, 1, 1);
    turn(50);
    CHECK(!f.window[0].relative);
}

static void keys_go_down_and_up_and_are_not_repeated(void **state)
{
    (void)state;
    show_screen();
    key(KEY_LEFTSHIFT, true, UI_SHIFT);
    key(KEY_A, true, UI_SHIFT);
    fake_put(
        &f,
        (struct host_event){
            .type = HOST_KEY, .window = &f.window[0], .code = KEY_A, .down = true, .repeat = true, .mods = UI_SHIFT});
    turn(0);
    CHECK_EQ(keyboard.downs, 2);
    key(KEY_A, false, UI_SHIFT);
    key(KEY_LEFTSHIFT, false, 0);
    CHECK_EQ(keyboard.ups, 2);
    CHECK_EQ(keys_down(), 0);
}

static void what_is_down_goes_up_when_the_focus_goes(void **state)
{
    (void)state;
    show_screen();
    input_set_live(&tablet.h, true);
    key(KEY_LEFTALT, true, UI_ALT);
    key(KEY_TAB, true, UI_ALT);
    fake_button(&f, 0, BTN_LEFT, true, 1, 1);
    turn(0);
    CHECK_EQ(keys_down(), 2);
    CHECK(tablet.down[BTN_LEFT]);
    fake_type(&f, 0, HOST_BLUR);
    turn(0);
    CHECK_EQ(keys_down(), 0);
    CHECK(!tablet.down[BTN_LEFT]);
}

static void modifiers_that_changed_unseen_are_put_right(void **state)
{
    (void)state;
    show_screen();
    key(KEY_LEFTCTRL, true, UI_CTRL);
    key(KEY_C, true, 0); /* its up was lost */
    CHECK(!keyboard.down[KEY_LEFTCTRL]);
    key(KEY_C, false, 0);
    key(KEY_X, true, UI_CTRL | UI_SHIFT); /* held since before the focus came */
    CHECK(keyboard.down[KEY_LEFTCTRL] && keyboard.down[KEY_LEFTSHIFT] && keyboard.down[KEY_X]);
    key(KEY_X, false, UI_CTRL | UI_SHIFT);
    key(KEY_X, true, 0);
    CHECK_EQ(keys_down(), 1);
    key(KEY_RIGHTALT, true, UI_ALTGR); /* AltGr is not Alt */
    key(KEY_Q, true, UI_ALTGR);
    CHECK(keyboard.down[KEY_RIGHTALT] && !keyboard.down[KEY_LEFTALT]);
}

/* Keys at random, the focus coming and going: nothing is down in the guest while the window has no focus. */
static void a_thousand_focus_changes_leave_nothing_stuck(void **state)
{
    static const struct {
        uint16_t code;
        unsigned mod;
    } keys[] = {{KEY_LEFTCTRL, UI_CTRL},
                {KEY_RIGHTCTRL, UI_CTRL},
                {KEY_LEFTALT, UI_ALT},
                {KEY_RIGHTALT, UI_ALTGR},
                {KEY_LEFTMETA, UI_META},
                {KEY_LEFTSHIFT, UI_SHIFT},
                {KEY_RIGHTSHIFT, UI_SHIFT},
                {KEY_A, 0},
                {KEY_F4, 0},
                {KEY_TAB, 0},
                {KEY_G, 0},
                {KEY_M, 0},
                {KEY_ESC, 0},
                {KEY_1, 0}};
    bool down[sizeof keys / sizeof keys[0]] = {false};

    (void)state;
    show_screen();
    srandom(3);
    for (unsigned changes = 0; changes < 1000; changes++) {
        for (unsigned n = (unsigned)random() % 6; n; n--) {
            unsigned i = (unsigned)random() % (sizeof keys / sizeof keys[0]), mods = 0;

            down[i] = !down[i];
            for (unsigned k = 0; k < sizeof keys / sizeof keys[0]; k++)
                mods |= down[k] ? keys[k].mod : 0;
            key(keys[i].code, down[i], mods);
        }
        fake_type(&f, 0, HOST_BLUR);
        for (unsigned i = 0; i < sizeof down; i++) /* some go up elsewhere */
            down[i] &= random() % 2;
        turn(0);
        CHECK_EQ(keys_down(), 0);
        fake_type(&f, 0, HOST_FOCUS);
        turn(0);
        CHECK_EQ(keys_down(), 0);
    }
    CHECK_EQ(keyboard.ups, keyboard.downs);
}

static void open_menu_at(unsigned downs)
{
    key(KEY_LEFTCTRL, true, UI_CTRL);
    key(KEY_LEFTALT, true, UI_CTRL | UI_ALT);
    key(KEY_M, true, UI_CTRL | UI_ALT);
    key(KEY_M, false, UI_CTRL | UI_ALT);
    key(KEY_LEFTALT, false, UI_CTRL);
    key(KEY_LEFTCTRL, false, 0);
    while (downs--)
        key(KEY_DOWN, true, 0);
    key(KEY_ENTER, true, 0);
    key(KEY_ENTER, false, 0);
}

/* The clipboard is typed slowly enough for a keyboard of 64 events, and no further when a person types. */
static void the_clipboard_is_typed(void **state)
{
    char many[500];
    unsigned before;

    (void)state;
    show_screen();
    f.clipboard = strdup("aB\xc3\xa9\n");
    keyboard.downs = keyboard.ups = 0;
    open_menu_at(17); /* the window's seven, what is sent: eleven, one heading between */
    for (unsigned i = 0; i < 20; i++)
        turn(20);
    CHECK_EQ(keyboard.downs, 2 + 4); /* the modifiers; a, Shift, b, Enter */
    CHECK_EQ(keys_down(), 0);
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = 0;
    free(f.clipboard);
    f.clipboard = strdup(many);
    open_menu_at(17);
    keyboard.downs = 0;
    turn(20);
    turn(20);
    CHECK(keyboard.downs > 0 && keyboard.downs < 40);
    key(KEY_ESC, true, 0);
    key(KEY_ESC, false, 0);
    before = keyboard.downs;
    for (unsigned i = 0; i < 20; i++)
        turn(20);
    CHECK_EQ(keyboard.downs, before);
    CHECK_EQ(keys_down(), 0);
}

static void a_guest_without_input_devices_is_looked_at(void **state)
{
    struct ui_window *w2;
    struct err e;

    (void)state;
    w2 = ui_window_new(ui, 100, 100, &e);
    CHECK(w2 && ui_add_tab(w2, display_tab_new(d, NULL, "second"), &e));
    show_screen();
    fake_type(&f, 1, HOST_FOCUS);
    fake_key(&f, 1, KEY_A, true, 0, 'a');
    fake_motion(&f, 1, 5, 5, 0, 0);
    fake_button(&f, 1, BTN_LEFT, true, 5, 5);
    turn(50);
    CHECK_EQ(keyboard.events, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_a_picture_there_is_a_message),
        T(the_picture_is_the_surface_pixel_by_pixel),
        T(damage_is_what_is_shown),
        T(a_page_flip_shows_the_other_page),
        T(another_mode_is_another_window),
        T(the_guest_is_asked_to_follow_the_window),
        T(a_hundred_random_resizes_and_modes_stay_inside),
        T(a_frame_buffer_is_looked_at_less_and_less_often),
        T(an_absolute_pointer_is_the_hosts),
        T(a_relative_pointer_is_drawn_and_leaves_no_trace),
        T(the_pointer_lands_on_its_pixel),
        T(a_mouse_moves_once_it_is_grabbed),
        T(keys_go_down_and_up_and_are_not_repeated),
        T(what_is_down_goes_up_when_the_focus_goes),
        T(modifiers_that_changed_unseen_are_put_right),
        T(a_thousand_focus_changes_leave_nothing_stuck),
        T(the_clipboard_is_typed),
        T(a_guest_without_input_devices_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
