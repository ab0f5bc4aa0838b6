/* The window's core, with a host that is memory and tabs that remember what they heard. */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/ui/ui.h"
#include "tests/unit/check.h"
#include "tests/unit/ui_host.h"

enum { HEARD = 256 };

struct toy_tab {
    struct ui_tab tab;      /* first */
    uint32_t width, height; /* 0: as the window */
    uint32_t colour;
    struct ui_rect damage; /* the next draw's, w 0: none */
    struct ui_key key[HEARD];
    unsigned keys, draws, alls, focus_in, focus_out, next_ms;
    struct ui_pointer pointer[HEARD];
    unsigned pointers;
    char text[64];
    uint32_t settled_w, settled_h, seen_w, seen_h;
    unsigned settles;
    int zoomed;
    bool freed;
};

static struct fake_host f;
static struct ui *ui;
static struct ui_window *win;
static struct toy_tab a, b;
static unsigned closes;

static void size(struct ui_tab *tab, uint32_t w, uint32_t h, double density, uint32_t *cw, uint32_t *ch)
{
    struct toy_tab *t = (struct toy_tab *)tab;

    (void)density;
    t->seen_w = w;
    t->seen_h = h;
    *cw = t->width ? t->width : w;
    *ch = t->height ? t->height : h;
}

static void settled(struct ui_tab *tab, uint32_t w, uint32_t h, uint32_t mm_w, uint32_t mm_h)
{
    struct toy_tab *t = (struct toy_tab *)tab;

    (void)mm_w;
    (void)mm_h;
    t->settled_w = w;
    t->settled_h = h;
    t->settles++;
}

static unsigned draw(struct ui_tab *tab, const struct canvas *c, bool all, struct ui_rect rect[UI_RECTS])
{
    struct toy_tab *t = (struct toy_tab *)tab;
    struct ui_rect r = all ? (struct ui_rect){0, 0, c->width, c->height} : t->damage;

    t->draws++;
    t->alls += all;
    for (uint32_t y = r.y; y < r.y + r.h; y++)
        for (uint32_t x = r.x; x < r.x + r.w; x++)
            c->px[(size_t)y * c->stride + x] = t->colour;
    t->damage.w = 0;
    rect[0] = r;
    return r.w ? 1 : 0;
}

static void key(struct ui_tab *tab, const struct ui_key *k)
{
    struct toy_tab *t = (struct toy_tab *)tab;

    if (t->keys < HEARD)
        t->key[t->keys++] = *k;
}

static void text(struct ui_tab *tab, const char *utf8) { strncat(((struct toy_tab *)tab)->text, utf8, 60); }

static void pointer(struct ui_tab *tab, const struct ui_pointer *p)
{
    struct toy_tab *t = (struct toy_tab *)tab;

    if (t->pointers < HEARD)
        t->pointer[t->pointers++] = *p;
}

static void focus(struct ui_tab *tab, bool in)
{
    struct toy_tab *t = (struct toy_tab *)tab;

    t->focus_in += in;
    t->focus_out += !in;
}

static unsigned next_ms(struct ui_tab *tab) { return ((struct toy_tab *)tab)->next_ms; }
static void freed(struct ui_tab *tab) { ((struct toy_tab *)tab)->freed = true; }
static void zoom(struct ui_tab *tab, int step) { ((struct toy_tab *)tab)->zoomed += step; }
static void paste(struct ui_tab *tab, const char *utf8) { text(tab, utf8); }
static char *copy(struct ui_tab *tab) { return strdup(((struct toy_tab *)tab)->text); }

static const struct ui_tab_ops screen_ops = {.size = size,
                                             .settled = settled,
                                             .draw = draw,
                                             .key = key,
                                             .pointer = pointer,
                                             .focus = focus,
                                             .next = next_ms,
                                             .free = freed};
static const struct ui_tab_ops text_ops = {.size = size,
                                           .draw = draw,
                                           .key = key,
                                           .text = text,
                                           .pointer = pointer,
                                           .focus = focus,
                                           .paste = paste,
                                           .copy = copy,
                                           .zoom = zoom,
                                           .free = freed};

static void on_close(void *arg) { ++*(unsigned *)arg; }

static void open_with(const struct ui_options *o)
{
    struct ui_hooks hooks = {.closed = on_close, .arg = &closes};
    struct err e;

    fake_host_init(&f);
    closes = 0;
    ui = ui_new(&f.host, o, &hooks);
    win = ui_window_new(ui, 640, 480, &e);
    CHECK(win);
    a = (struct toy_tab){.tab = {.ops = &screen_ops, .name = "screen", .keys_to_guest = true}, .colour = 0xaa0000};
    b = (struct toy_tab){.tab = {.ops = &text_ops, .name = "serial0"}, .colour = 0x00bb00};
    CHECK(ui_add_tab(win, &a.tab, &e));
    CHECK(ui_add_tab(win, &b.tab, &e));
}

static int begin(void **state)
{
    (void)state;
    open_with(&(struct ui_options){.name = "toy"});
    return 0;
}

static int end(void **state)
{
    (void)state;
    ui_free(ui);
    fake_host_fini(&f);
    return 0;
}

/* Let everything happen that is due, and ms pass. */
static void turn(unsigned ms)
{
    for (unsigned i = 0; i < 8; i++)
        ui_turn(ui, 0);
    f.now += ms;
    for (unsigned i = 0; i < 8; i++)
        ui_turn(ui, 0);
}

static void settle(void)
{
    fake_type(&f, 0, HOST_FOCUS);
    turn(300);
    turn(50);
    f.window[0].shows = 0;
    f.window[0].shown = (struct ui_rect){0};
    f.window[0].shown_pixels = 0;
    a.keys = a.draws = a.alls = b.keys = b.draws = 0;
}

static void press(uint16_t code, unsigned mods, uint32_t label)
{
    fake_key(&f, 0, code, true, mods, label);
    fake_key(&f, 0, code, false, mods, label);
    turn(0);
}

static void hold_hot(bool down)
{
    fake_key(&f, 0, KEY_LEFTCTRL, down, down ? UI_CTRL : UI_ALT, 0);
    fake_key(&f, 0, KEY_LEFTALT, down, down ? UI_CTRL | UI_ALT : 0, 0);
    turn(0);
}

static void hot(uint16_t code, uint32_t label)
{
    hold_hot(true);
    press(code, UI_CTRL | UI_ALT, label);
    hold_hot(false);
    turn(50);
}

/* --- drawing --- */

static void the_first_tab_fills_the_window(void **state)
{
    (void)state;
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 0, 0), 0xaa0000);
    CHECK_EQ(fake_pixel(&f, 0, 639, 479), 0xaa0000);
    CHECK_EQ(f.window[0].icon_corner >> 24, 0); /* a round corner */
    CHECK_EQ(f.window[0].icon_middle >> 24, 255);
    CHECK_EQ(b.draws, 0);
}

static void nothing_new_nothing_drawn_and_no_waking(void **state)
{
    (void)state;
    settle();
    f.waited = 0;
    ui_turn(ui, -1);
    CHECK(f.waited < 0); /* it would sleep for ever */
    for (unsigned i = 0; i < 20; i++)
        turn(100);
    CHECK_EQ(a.draws, 0);
    CHECK_EQ(f.window[0].shows, 0);
}

static void only_what_changed_is_shown(void **state)
{
    (void)state;
    settle();
    a.colour = 0x0000cc;
    a.damage = (struct ui_rect){10, 20, 30, 40};
    ui_tab_wake(&a.tab);
    turn(50);
    CHECK_EQ(a.draws, 1);
    CHECK_EQ(a.alls, 0);
    CHECK_EQ(f.window[0].shown_pixels, 30 * 40);
    CHECK_EQ(f.window[0].shown.x, 10);
    CHECK_EQ(f.window[0].shown.y, 20);
    CHECK_EQ(fake_pixel(&f, 0, 10, 20), 0x0000cc);
    CHECK_EQ(fake_pixel(&f, 0, 9, 20), 0xaa0000);
}

static void a_tab_that_is_always_new_is_drawn_as_often_as_the_screen(void **state)
{
    (void)state;
    settle();
    for (unsigned ms = 0; ms < 1000; ms++) { /* the host's screen: 50 Hz */
        a.damage = (struct ui_rect){0, 0, 1, 1};
        ui_tab_wake(&a.tab);
        ui_turn(ui, 0);
        ui_turn(ui, 0);
        f.now++;
    }
    CHECK(a.draws >= 45 && a.draws <= 51);
}

static void what_nobody_sees_is_not_drawn(void **state)
{
    (void)state;
    settle();
    fake_type(&f, 0, HOST_HIDDEN);
    turn(0);
    ui_tab_wake(&a.tab);
    turn(100);
    CHECK_EQ(a.draws, 0);
    f.waited = 0;
    ui_turn(ui, -1);
    CHECK(f.waited < 0);
    fake_type(&f, 0, HOST_SHOWN);
    turn(50);
    CHECK_EQ(a.draws, 1);
    CHECK_EQ(a.alls, 1);
    ui_tab_wake(&b.tab); /* a tab that is not shown */
    turn(100);
    CHECK_EQ(b.draws, 0);
}

static void a_tab_gets_its_time(void **state)
{
    (void)state;
    settle();
    a.next_ms = 500;
    ui_tab_wake(&a.tab);
    turn(50);
    a.draws = 0;
    f.waited = 0;
    ui_turn(ui, -1);
    CHECK(f.waited > 400 && f.waited <= 500);
    f.now += 440;
    turn(0);
    CHECK_EQ(a.draws, 0);
    turn(60);
    CHECK_EQ(a.draws, 1);
}

static void a_small_picture_is_enlarged_and_the_pointer_finds_its_pixel(void **state)
{
    (void)state;
    a.width = 160;
    a.height = 100;
    fake_resize(&f, 0, 640, 480); /* by a person: it stays so large */
    settle();
    CHECK_EQ(f.window[0].width, 640);
    CHECK_EQ(fake_pixel(&f, 0, 320, 39), 0);
    CHECK_EQ(fake_pixel(&f, 0, 320, 40), 0xaa0000);
    CHECK_EQ(fake_pixel(&f, 0, 320, 439), 0xaa0000);
    CHECK_EQ(fake_pixel(&f, 0, 320, 440), 0);
    a.pointers = 0;
    fake_motion(&f, 0, 639, 439, 0, 0);
    fake_motion(&f, 0, 4, 44, 0, 0);
    turn(0);
    CHECK_EQ(a.pointers, 2);
    CHECK(a.pointer[0].x == 159 && a.pointer[0].y == 99);
    CHECK(a.pointer[1].x == 1 && a.pointer[1].y == 1);
}

/* --- sizes --- */

static void a_picture_of_a_hundred_megapixels_is_not_held(void **state)
{
    (void)state;
    fake_resize(&f, 0, 640, 480);
    settle();
    a.width = a.height = 10000;
    a.tab.resized = true;
    ui_tab_wake(&a.tab);
    turn(50);
    CHECK_EQ(a.draws, 0);
    CHECK_EQ(fake_pixel(&f, 0, 5, 5), 0);
    CHECK(fake_pixel(&f, 0, 320, 230) != 0); /* it says so */
    a.width = a.height = 6000;
    a.tab.resized = true;
    ui_tab_wake(&a.tab);
    turn(50);
    CHECK(a.draws > 0);
    CHECK_EQ(fake_pixel(&f, 0, 320, 240), 0xaa0000);
}

static void the_window_takes_the_size_of_a_guest_that_cannot_follow(void **state)
{
    (void)state;
    settle();
    a.width = 800;
    a.height = 600;
    a.tab.resized = true;
    ui_tab_wake(&a.tab);
    turn(300);
    CHECK_EQ(f.window[0].width, 800);
    CHECK_EQ(f.window[0].height, 600);
    CHECK_EQ(a.settled_w, 800);
    fake_resize(&f, 0, 500, 400); /* a person's word is the last */
    a.width = 320;
    a.height = 200;
    a.tab.resized = true;
    ui_tab_wake(&a.tab);
    turn(300);
    CHECK_EQ(f.window[0].width, 500);
}

static void a_guest_hears_of_a_size_once_it_stays(void **state)
{
    (void)state;
    settle();
    a.settles = 0;
    for (uint32_t i = 0; i < 100; i++) {
        fake_resize(&f, 0, 300 + i * 7, 200 + i * 5);
        turn(20);
    }
    CHECK_EQ(a.settles, 0);
    turn(200);
    CHECK_EQ(a.settles, 1);
    CHECK_EQ(a.settled_w, 300 + 99 * 7);
    CHECK_EQ(a.settled_h, 200 + 99 * 5);
    CHECK_EQ(fake_pixel(&f, 0, 300 + 99 * 7 - 1, 0), 0xaa0000);
}

static void a_dense_screen_shows_guests_twice_as_large(void **state)
{
    (void)state;
    end(NULL);
    fake_host_init(&f);
    open_with(&(struct ui_options){.name = "toy"});
    f.density = 2; /* the window was moved there */
    fake_resize(&f, 0, 1280, 960);
    settle();
    CHECK_EQ(a.seen_w, 640);
    CHECK_EQ(a.settled_w, 640);
    hot(KEY_2, '2');
    CHECK_EQ(b.seen_w, 1280); /* text scales itself */
}

static void zoom_gives_the_guest_fewer_pixels(void **state)
{
    (void)state;
    a.tab.follows = true;
    settle();
    hot(KEY_EQUAL, '=');
    turn(300);
    CHECK_EQ(a.settled_w, 512); /* 640 / 1.25 */
    CHECK_EQ(f.window[0].width, 640);
    hot(KEY_0, '0');
    turn(300);
    CHECK_EQ(a.settled_w, 640);
    hot(KEY_2, '2');
    hot(KEY_KPMINUS, 0);
    CHECK_EQ(b.zoomed, -1);
}

/* --- keys --- */

static void keys_reach_the_tab_that_is_shown(void **state)
{
    (void)state;
    settle();
    press(KEY_A, 0, 'a');
    CHECK_EQ(a.keys, 2);
    CHECK_EQ(a.key[0].code, KEY_A);
    CHECK(a.key[0].down && !a.key[1].down);
    CHECK_EQ(b.keys, 0);
    fake_put(&f, (struct host_event){.type = HOST_TEXT, .window = &f.window[0], .text = "x"});
    hot(KEY_2, '2');
    CHECK(f.window[0].text);
    fake_put(&f, (struct host_event){.type = HOST_TEXT, .window = &f.window[0], .text = "y"});
    turn(0);
    CHECK_STR(b.text, "y");
}

static bool tab_heard(const struct toy_tab *t, uint16_t code)
{
    for (unsigned i = 0; i < t->keys; i++)
        if (t->key[i].code == code)
            return true;
    return false;
}

static void a_key_of_ours_is_not_the_guests(void **state)
{
    (void)state;
    settle();
    hot(KEY_F, 'f');
    CHECK(f.window[0].full_screen);
    CHECK(!tab_heard(&a, KEY_F));
    CHECK(a.focus_out > 0); /* it was told that all is up */
    a.keys = 0;
    hot(KEY_F, 'f');
    CHECK(!f.window[0].full_screen);
    press(KEY_F, 0, 'f');
    CHECK_EQ(a.keys >= 2 && a.key[a.keys - 1].code == KEY_F, true);
}

static void after_a_key_of_ours_the_held_modifiers_go_up_unheard(void **state)
{
    (void)state;
    settle();
    hold_hot(true);
    CHECK_EQ(a.keys, 2);
    press(KEY_G, UI_CTRL | UI_ALT, 'g');
    hold_hot(false);
    CHECK_EQ(a.keys, 2);
}

static void letters_are_found_by_their_label(void **state)
{
    (void)state;
    settle();
    hot(KEY_Y, 'f'); /* a layout where F is elsewhere */
    CHECK(f.window[0].full_screen);
    hot(KEY_F, 'u');
    CHECK(f.window[0].full_screen);
    hot(KEY_F, 0x430); /* none of ours on that key: its place counts */
    CHECK(!f.window[0].full_screen);
}

static void other_hot_keys_can_be_had(void **state)
{
    (void)state;
    end(NULL);
    open_with(&(struct ui_options){.name = "toy", .hot = UI_HOT_RIGHT_CTRL});
    settle();
    hot(KEY_F, 'f');
    CHECK(!f.window[0].full_screen);
    CHECK(tab_heard(&a, KEY_F));
    fake_key(&f, 0, KEY_RIGHTCTRL, true, UI_CTRL, 0);
    press(KEY_F, UI_CTRL, 'f');
    CHECK(f.window[0].full_screen);
}

static void copy_and_paste_in_tabs_with_text(void **state)
{
    (void)state;
    settle();
    press(KEY_V, UI_CTRL | UI_SHIFT, 'v'); /* a screen has no use for it: the guest's */
    CHECK(tab_heard(&a, KEY_V));
    hot(KEY_2, '2');
    strcpy(b.text, "abc");
    press(KEY_C, UI_CTRL | UI_SHIFT, 'c');
    CHECK_STR(f.clipboard, "abc");
    press(KEY_V, UI_CTRL | UI_SHIFT, 'v');
    CHECK_STR(b.text, "abcabc");
    press(KEY_INSERT, UI_SHIFT, 0);
    CHECK_STR(b.text, "abcabcabc");
    CHECK(!tab_heard(&b, KEY_V));
}

/* --- tabs, focus, grab --- */

static void tabs_change_by_their_number(void **state)
{
    (void)state;
    settle();
    hot(KEY_2, 0xe9); /* a French keyboard has é there */
    CHECK_EQ(fake_pixel(&f, 0, 5, 5), 0x00bb00);
    CHECK_STR(f.window[0].title, "toy: serial0");
    CHECK_EQ(a.focus_in, a.focus_out);
    CHECK_EQ(b.focus_in, b.focus_out + 1);
    hot(KEY_1, '1');
    CHECK_EQ(fake_pixel(&f, 0, 5, 5), 0xaa0000);
    hot(KEY_9, '9'); /* there is none */
    CHECK_EQ(fake_pixel(&f, 0, 5, 5), 0xaa0000);
}

static void focus_comes_and_goes(void **state)
{
    (void)state;
    settle();
    CHECK_EQ(a.focus_in, 1);
    fake_key(&f, 0, KEY_LEFTALT, true, UI_ALT, 0);
    fake_type(&f, 0, HOST_BLUR);
    turn(0);
    CHECK_EQ(a.focus_out, 1);
    fake_type(&f, 0, HOST_FOCUS);
    turn(0);
    CHECK_EQ(a.focus_in, 2);
}

static void a_relative_pointer_is_grabbed_by_a_click(void **state)
{
    (void)state;
    settle();
    a.tab.relative = true;
    a.pointers = 0;
    fake_button(&f, 0, BTN_LEFT, true, 100, 100);
    turn(0);
    CHECK(f.window[0].relative && f.window[0].keyboard);
    CHECK_EQ(a.pointers, 0); /* that click was for us */
    CHECK_STR(f.window[0].title, "toy - Ctrl-Alt-G releases the grab");
    fake_motion(&f, 0, 0, 0, 3, -4);
    fake_button(&f, 0, BTN_LEFT, true, 0, 0);
    turn(0);
    CHECK_EQ(a.pointers, 2);
    CHECK_EQ(a.pointer[0].type, UI_POINTER_RELATIVE);
    CHECK(a.pointer[0].x == 3 && a.pointer[0].y == -4);
    hot(KEY_G, 'g');
    CHECK(!f.window[0].relative && !f.window[0].keyboard);
    CHECK_STR(f.window[0].title, "toy");
}

static void the_grab_ends_with_the_focus_and_with_the_need_for_it(void **state)
{
    (void)state;
    settle();
    a.tab.relative = true;
    hot(KEY_G, 'g');
    CHECK(f.window[0].relative);
    a.tab.relative = false; /* the guest's tablet came to life */
    turn(0);
    CHECK(!f.window[0].relative && f.window[0].keyboard);
    fake_type(&f, 0, HOST_BLUR);
    turn(0);
    CHECK(!f.window[0].keyboard);
}

/* --- messages, the menu, pictures, closing --- */

static void a_message_is_over_the_picture_until_it_goes(void **state)
{
    (void)state;
    settle();
    ui_set_message(ui, "The guest has shut down.");
    turn(50);
    CHECK(fake_pixel(&f, 0, 320, 250) != 0xaa0000);
    CHECK_EQ(fake_pixel(&f, 0, 5, 5), 0xaa0000);
    a.damage = (struct ui_rect){300, 230, 40, 40}; /* the guest draws under it */
    ui_tab_wake(&a.tab);
    turn(50);
    CHECK(fake_pixel(&f, 0, 320, 250) != 0xaa0000);
    ui_set_message(ui, NULL);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 320, 250), 0xaa0000);
}

static void a_notice_goes_by_itself(void **state)
{
    (void)state;
    settle();
    ui_toast(win, "hello", 1000);
    turn(50);
    CHECK(fake_pixel(&f, 0, 320, 445) != 0xaa0000);
    f.waited = 0;
    ui_turn(ui, -1);
    CHECK(f.waited > 900 && f.waited <= 1000);
    turn(1000);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 320, 445), 0xaa0000);
}

static void the_menu_sends_keys_that_the_host_would_keep(void **state)
{
    static const uint16_t codes[] = {KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE, KEY_DELETE, KEY_LEFTALT, KEY_LEFTCTRL};

    (void)state;
    settle();
    hot(KEY_M, 'm');
    turn(50);
    a.keys = 0;
    CHECK(fake_pixel(&f, 0, 320, 240) != 0xaa0000);
    press(KEY_A, 0, 'a'); /* nothing of this is the guest's */
    fake_motion(&f, 0, 1, 1, 0, 0);
    for (unsigned i = 0; i < 9; i++) /* past the window's seven and the tabs' two */
        press(KEY_DOWN, 0, 0);
    CHECK_EQ(a.keys, 0);
    press(KEY_ENTER, 0, '\r');
    CHECK_EQ(a.keys, 6);
    for (unsigned i = 0; i < 6; i++) {
        CHECK_EQ(a.key[i].code, codes[i]);
        CHECK_EQ(a.key[i].down, i < 3);
    }
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 320, 240), 0xaa0000);
    hot(KEY_M, 'm');
    press(KEY_ESC, 0, 27);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 320, 240), 0xaa0000);
    CHECK(!tab_heard(&a, KEY_ESC));
}

static void the_menu_has_what_the_machine_offers(void **state)
{
    const struct ui_action actions[] = {{"Pause", on_close}, {NULL, NULL}};

    (void)state;
    end(NULL);
    open_with(&(struct ui_options){.name = "toy", .actions = actions});
    settle();
    hot(KEY_M, 'm');
    for (unsigned i = 0; i < 9; i++) /* past the window's seven and the tabs' two */
        press(KEY_DOWN, 0, 0);
    press(KEY_ENTER, 0, '\r');
    CHECK_EQ(closes, 1);
    ui_free(ui); /* before its actions go */
    fake_host_fini(&f);
    begin(NULL);
}

static void the_menu_takes_the_pointer_too(void **state)
{
    (void)state;
    settle();
    hot(KEY_M, 'm');
    turn(50);
    a.pointers = 0;
    fake_button(&f, 0, BTN_LEFT, true, 2, 2); /* beside it */
    fake_button(&f, 0, BTN_LEFT, false, 2, 2);
    turn(50);
    CHECK_EQ(fake_pixel(&f, 0, 320, 240), 0xaa0000);
    CHECK(!a.pointers || !a.pointer[0].down);
}

static void closing_is_the_machines_affair_unless_it_is_off(void **state)
{
    (void)state;
    settle();
    fake_type(&f, 0, HOST_CLOSE);
    turn(0);
    CHECK_EQ(closes, 1);
    fake_put(&f, (struct host_event){.type = HOST_QUIT});
    turn(0);
    CHECK_EQ(closes, 2);
    CHECK(ui_turn(ui, 0));
    end(NULL);
    open_with(&(struct ui_options){.name = "toy", .no_close = true});
    settle();
    fake_type(&f, 0, HOST_CLOSE);
    turn(0);
    CHECK_EQ(closes, 0);
}

static void a_further_window_that_is_closed_becomes_a_tab(void **state)
{
    struct toy_tab c = {.tab = {.ops = &screen_ops, .name = "second", .keys_to_guest = true}, .colour = 0xcc};
    struct ui_window *other;
    struct err e;

    (void)state;
    other = ui_window_new(ui, 320, 200, &e);
    CHECK(other && ui_add_tab(other, &c.tab, &e));
    settle();
    turn(50);
    CHECK_EQ(fake_pixel(&f, 1, 0, 0), 0xcc);
    CHECK_EQ(c.settled_w, 320);
    CHECK_STR(f.window[1].title, "toy: second");
    fake_type(&f, 1, HOST_CLOSE);
    turn(0);
    CHECK(f.window[1].freed);
    CHECK_EQ(c.settled_w, 0); /* nobody sees it */
    CHECK_EQ(closes, 0);
    hot(KEY_3, '3');
    turn(300);
    CHECK_EQ(fake_pixel(&f, 0, 0, 0), 0xcc);
    CHECK_EQ(c.settled_w, 640);
    CHECK(!c.freed);
    end(NULL);
    CHECK(c.freed);
    begin(NULL);
}

static void a_picture_of_the_tab_goes_into_a_file(void **state)
{
    char dir[] = "/tmp/guise-ui-XXXXXX", cmd[64];
    unsigned char head[8];
    FILE *p, *png;
    char name[256];

    (void)state;
    CHECK(mkdtemp(dir) && !chdir(dir));
    settle();
    hot(KEY_S, 's');
    p = popen("ls", "r");
    CHECK(p && fgets(name, sizeof name, p));
    CHECK(!strncmp(name, "toy-20", 6));
    name[strcspn(name, "\n")] = 0;
    CHECK_STR(name + strlen(name) - 4, ".png");
    pclose(p);
    png = fopen(name, "rb");
    CHECK(png && fread(head, 1, 8, png) == 8 && !memcmp(head, "\x89PNG\r\n\x1a\n", 8));
    fclose(png);
    CHECK(!chdir("/"));
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    CHECK_EQ(system(cmd), 0);
}

static void stopping_ends_the_loop_from_any_thread(void **state)
{
    (void)state;
    settle();
    ui_stop(ui);
    CHECK(!ui_turn(ui, -1));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_first_tab_fills_the_window),
        T(nothing_new_nothing_drawn_and_no_waking),
        T(only_what_changed_is_shown),
        T(a_tab_that_is_always_new_is_drawn_as_often_as_the_screen),
        T(what_nobody_sees_is_not_drawn),
        T(a_tab_gets_its_time),
        T(a_small_picture_is_enlarged_and_the_pointer_finds_its_pixel),
        T(a_picture_of_a_hundred_megapixels_is_not_held),
        T(the_window_takes_the_size_of_a_guest_that_cannot_follow),
        T(a_guest_hears_of_a_size_once_it_stays),
        T(a_dense_screen_shows_guests_twice_as_large),
        T(zoom_gives_the_guest_fewer_pixels),
        T(keys_reach_the_tab_that_is_shown),
        T(a_key_of_ours_is_not_the_guests),
        T(after_a_key_of_ours_the_held_modifiers_go_up_unheard),
        T(letters_are_found_by_their_label),
        T(other_hot_keys_can_be_had),
        T(copy_and_paste_in_tabs_with_text),
        T(tabs_change_by_their_number),
        T(focus_comes_and_goes),
        T(a_relative_pointer_is_grabbed_by_a_click),
        T(the_grab_ends_with_the_focus_and_with_the_need_for_it),
        T(a_message_is_over_the_picture_until_it_goes),
        T(a_notice_goes_by_itself),
        T(the_menu_sends_keys_that_the_host_would_keep),
        T(the_menu_has_what_the_machine_offers),
        T(the_menu_takes_the_pointer_too),
        T(closing_is_the_machines_affair_unless_it_is_off),
        T(a_further_window_that_is_closed_becomes_a_tab),
        T(a_picture_of_the_tab_goes_into_a_file),
        T(stopping_ends_the_loop_from_any_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
