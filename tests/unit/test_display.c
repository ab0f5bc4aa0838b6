/* Displays: what a viewer hears of damage, surfaces and cursors, how pixels are converted, and pictures in files. */
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/display.h"
#include "tests/unit/check.h"

static struct display *d;
static struct display_viewer viewer;
static struct display_update u;
static unsigned notified, refreshed;
static uint32_t wanted[4];

static void on_notify(void *arg)
{
    (void)arg;
    notified++;
}

static void on_resize(void *dev, uint32_t w, uint32_t h, uint32_t mw, uint32_t mh)
{
    uint32_t got[] = {w, h, mw, mh};

    (void)dev;
    memcpy(wanted, got, sizeof wanted);
}

static void on_refresh(void *dev)
{
    (void)dev;
    refreshed++;
}

static const struct display_ops ops = {.resize = on_resize, .refresh = on_refresh};
static uint8_t pixels[100 * 100 * 4];

static void show(uint32_t w, uint32_t h)
{
    struct surface s = {w, h, w * 4, PIXEL_XRGB8888, pixels};

    display_set_surface(d, &s);
}

static bool look(void)
{
    bool any = display_begin(d, &viewer, &u);

    display_end(d, &viewer);
    return any;
}

static int begin(void **state)
{
    (void)state;
    d = display_new("screen", &ops, NULL);
    viewer = (struct display_viewer){.notify = on_notify};
    notified = refreshed = 0;
    show(100, 100);
    display_attach(d, &viewer);
    return 0;
}

static int end(void **state)
{
    (void)state;
    display_detach(d, &viewer);
    display_free(d);
    return 0;
}

static void rect_is(unsigned i, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
    CHECK(i < u.rects);
    CHECK_EQ(u.rect[i].x, x);
    CHECK_EQ(u.rect[i].y, y);
    CHECK_EQ(u.rect[i].w, w);
    CHECK_EQ(u.rect[i].h, h);
}

static void a_new_viewer_sees_the_whole_surface_once(void **state)
{
    (void)state;
    CHECK_EQ(notified, 1);
    CHECK(look());
    CHECK(u.new_surface && u.has_surface && u.new_cursor);
    CHECK_EQ(u.rects, 1);
    rect_is(0, 0, 0, 100, 100);
    CHECK(!look());
    CHECK(u.surface.data == NULL);
    CHECK_EQ(u.surface.width, 100);
}

static void damage_wakes_a_viewer_once_until_it_looks(void **state)
{
    (void)state;
    look();
    display_damage(d, 1, 2, 3, 4);
    display_damage(d, 50, 50, 3, 4);
    CHECK_EQ(notified, 2);
    CHECK(look());
    CHECK(!u.new_surface);
    CHECK_EQ(u.rects, 2);
    rect_is(0, 1, 2, 3, 4);
    rect_is(1, 50, 50, 3, 4);
    display_damage(d, 1, 2, 3, 4);
    CHECK_EQ(notified, 3);
}

static void damage_is_clipped_and_empty_damage_is_none(void **state)
{
    (void)state;
    look();
    display_damage(d, 100, 0, 1, 1);
    display_damage(d, 0, UINT32_MAX, 1, 1);
    display_damage(d, 5, 5, 0, 9);
    CHECK(!look());
    CHECK_EQ(notified, 1);
    display_damage(d, 90, 99, UINT32_MAX, UINT32_MAX);
    CHECK(look());
    rect_is(0, 90, 99, 10, 1);
}

static void neighbours_and_overlaps_become_one_rectangle(void **state)
{
    (void)state;
    look();
    display_damage(d, 0, 0, 10, 8); /* lines of text: they touch */
    display_damage(d, 0, 8, 10, 8);
    display_damage(d, 2, 2, 3, 3); /* inside */
    look();
    CHECK_EQ(u.rects, 1);
    rect_is(0, 0, 0, 10, 16);
    display_damage(d, 0, 0, 10, 10);
    display_damage(d, 40, 40, 10, 10);
    display_damage(d, 0, 0, 50, 50); /* swallows both */
    look();
    CHECK_EQ(u.rects, 1);
    rect_is(0, 0, 0, 50, 50);
}

/* Whatever the damage, the rectangles cover it, do not leave the surface and are few. */
static void many_rectangles_stay_few_and_cover_all(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        static uint8_t drawn[100][100];

        look();
        memset(drawn, 0, sizeof drawn);
        for (unsigned i = 0; i < 30; i++) {
            uint32_t x, y;

            seed = seed * 1103515245 + 12345;
            x = seed >> 8 & 63;
            y = seed >> 16 & 63;
            display_damage(d, x, y, 1 + (seed >> 24 & 7), 1 + (seed >> 28 & 7));
            drawn[y][x] = drawn[y + (seed >> 28 & 7)][x + (seed >> 24 & 7)] = 1;
        }
        CHECK(look());
        CHECK(u.rects <= DISPLAY_RECTS);
        for (unsigned i = 0; i < u.rects; i++) {
            CHECK(u.rect[i].x + u.rect[i].w <= 100 && u.rect[i].y + u.rect[i].h <= 100);
            for (uint32_t y = 0; y < u.rect[i].h; y++)
                memset(&drawn[u.rect[i].y + y][u.rect[i].x], 0, u.rect[i].w);
        }
        for (unsigned i = 0; i < 100 * 100; i++)
            CHECK(!drawn[i / 100][i % 100]);
    }
}

static void a_page_flip_is_damage_and_another_size_is_a_new_surface(void **state)
{
    static uint8_t other[100 * 100 * 4];
    struct surface s = {100, 100, 400, PIXEL_XRGB8888, other};

    (void)state;
    look();
    display_set_surface(d, &s);
    CHECK(look());
    CHECK(!u.new_surface);
    CHECK(u.surface.data == other);
    rect_is(0, 0, 0, 100, 100);
    show(50, 60);
    CHECK(look());
    CHECK(u.new_surface);
    CHECK_EQ(u.rects, 1);
    rect_is(0, 0, 0, 50, 60);
    display_set_surface(d, NULL);
    CHECK(look());
    CHECK(u.new_surface && !u.has_surface);
    CHECK_EQ(u.rects, 0);
    display_set_surface(d, NULL);
    CHECK(!look());
    display_damage(d, 0, 0, 5, 5);
    CHECK(!look());
}

static void a_surface_that_cannot_be_is_none(void **state)
{
    static const struct surface bad[] = {
        {100, 100, 399, PIXEL_XRGB8888, pixels}, {DISPLAY_MAX + 1, 1, 4 * DISPLAY_MAX + 4, PIXEL_XRGB8888, pixels},
        {0, 5, 400, PIXEL_XRGB8888, pixels},     {5, 0, 400, PIXEL_XRGB8888, pixels},
        {100, 100, 400, PIXEL_XRGB8888, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        show(10, 10);
        look();
        display_set_surface(d, &bad[i]);
        CHECK(look());
        CHECK(!u.has_surface);
    }
}

static void two_viewers_hear_each_for_itself(void **state)
{
    struct display_viewer second = {.notify = on_notify};
    struct display_update v;

    (void)state;
    look();
    display_attach(d, &second);
    CHECK(!look());
    CHECK(display_begin(d, &second, &v));
    display_end(d, &second);
    CHECK(v.new_surface);
    display_damage(d, 1, 1, 1, 1);
    CHECK(look());
    CHECK(display_begin(d, &second, &v));
    display_end(d, &second);
    CHECK_EQ(v.rects, 1);
    display_detach(d, &second);
    display_damage(d, 1, 1, 1, 1);
    CHECK(!second.rects);
}

static void a_cursor_is_copied_moved_and_hidden(void **state)
{
    uint32_t argb[6] = {1, 2, 3, 4, 5, 0x80ff0000};
    struct display_cursor c = {3, 2, 1, 1, argb}, got;

    (void)state;
    look();
    display_set_cursor(d, &c);
    display_move_cursor(d, -3, 7, true);
    memset(argb, 0, sizeof argb);
    CHECK(display_begin(d, &viewer, &u));
    CHECK(u.new_cursor && u.cursor_moved && u.cursor_visible);
    CHECK_EQ(u.cursor_x, -3);
    CHECK_EQ(u.cursor_y, 7);
    display_cursor(d, &got);
    CHECK_EQ(got.argb[5], 0x80ff0000);
    CHECK_EQ(got.hot_x, 1);
    display_end(d, &viewer);
    display_move_cursor(d, -3, 7, true); /* it is there already */
    CHECK(!look());
    display_set_cursor(d, NULL);
    CHECK(look());
    CHECK(!u.cursor_visible);
    c.w = DISPLAY_CURSOR_MAX + 1; /* refused before a pixel of it is read */
    display_set_cursor(d, &c);
    CHECK(look());
    CHECK(!u.cursor_visible);
}

static void requests_reach_the_device(void **state)
{
    const uint32_t expected[] = {800, 600, 210, 150};

    (void)state;
    display_wants_size(d, 800, 600, 210, 150);
    assert_memory_equal(wanted, expected, sizeof expected);
    display_wants_size(d, DISPLAY_MAX + 1, 600, 210, 150);
    assert_memory_equal(wanted, expected, sizeof expected);
    display_refresh(d);
    CHECK_EQ(refreshed, 1);
}

/* Red 0x12, green 0x34, blue 0x56 in memory order, as the names in display.h say. */
static void every_format_reads_as_xrgb(void **state)
{
    static const struct {
        enum pixel_format f;
        uint8_t bytes[4];
        uint32_t xrgb;
    } cases[] = {
        {PIXEL_XRGB8888, {0x56, 0x34, 0x12, 0xaa}, 0x123456},
        {PIXEL_XBGR8888, {0x12, 0x34, 0x56, 0xaa}, 0x123456},
        {PIXEL_BGRX8888, {0xaa, 0x12, 0x34, 0x56}, 0x123456},
        {PIXEL_RGBX8888, {0xaa, 0x56, 0x34, 0x12}, 0x123456},
        {PIXEL_RGB888, {0x56, 0x34, 0x12}, 0x123456},
        {PIXEL_RGB565, {0x00, 0xf8}, 0xff0000},
        {PIXEL_RGB565, {0xe0, 0x07}, 0x00ff00},
        {PIXEL_RGB565, {0x1f, 0x00}, 0x0000ff},
        {PIXEL_RGB565, {0x10, 0x84}, 0x848284}, /* 16, 32, 16 of 31, 63, 31 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned n = pixel_bytes(cases[i].f);
        uint8_t mem[64] = {0};
        uint32_t out[4] = {0};
        struct surface s = {3, 2, 3 * n + 1, cases[i].f, mem}; /* rows that are not aligned */

        memcpy(mem + s.stride + 2 * n, cases[i].bytes, n);
        display_read(&s, &(struct display_rect){1, 0, 2, 2}, out, 8);
        CHECK_EQ(out[3] & 0xffffff, cases[i].xrgb);
        CHECK_EQ(out[1] & 0xffffff, 0);
    }
}

static void picture_path(char path[64])
{
    snprintf(path, 64, "/tmp/guise-shot-XXXXXX");
    close(mkstemp(path));
}

static void a_ppm_has_the_pixels(void **state)
{
    static const uint8_t expected[] = "P6\n2 1\n255\n\x12\x34\x56\xff\xff\xff";
    static uint8_t two[] = {0x56, 0x34, 0x12, 0, 0xff, 0xff, 0xff, 0};
    char path[64], got[64];
    FILE *f;

    (void)state;
    picture_path(path);
    display_set_surface(d, &(struct surface){2, 1, 8, PIXEL_XRGB8888, two});
    CHECK(display_ppm(d, path));
    CHECK_EQ(refreshed, 1);
    f = fopen(path, "rb");
    CHECK_EQ(fread(got, 1, sizeof got, f), sizeof expected - 1);
    assert_memory_equal(got, expected, sizeof expected - 1);
    fclose(f);
    unlink(path);
}

static void a_png_read_back_has_the_pixels(void **state)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    static uint8_t got[100 * 100 * 3];
    char path[64];

    (void)state;
    for (unsigned i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 400);
    picture_path(path);
    CHECK(display_png(d, path));
    CHECK(png_image_begin_read_from_file(&image, path));
    CHECK_EQ(image.width, 100);
    CHECK_EQ(image.height, 100);
    CHECK_EQ(image.format, PNG_FORMAT_RGB);
    CHECK(png_image_finish_read(&image, NULL, got, 0, NULL));
    for (unsigned i = 0; i < 100 * 100; i++) {
        CHECK_EQ(got[3 * i], pixels[4 * i + 2]);
        CHECK_EQ(got[3 * i + 1], pixels[4 * i + 1]);
        CHECK_EQ(got[3 * i + 2], pixels[4 * i]);
    }
    unlink(path);
}

static void a_picture_that_cannot_be_says_why(void **state)
{
    (void)state;
    CHECK(!display_png(d, "/nonexistent/x.png"));
    CHECK_EQ(errno, ENOENT);
    CHECK(!display_ppm(d, "/dev/full"));
    CHECK_EQ(errno, ENOSPC);
    CHECK(!display_png(d, "/dev/full"));
    display_set_surface(d, NULL);
    CHECK(!display_ppm(d, "/dev/null"));
    CHECK_EQ(errno, ENODATA);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_viewer_sees_the_whole_surface_once),
        TEST(damage_wakes_a_viewer_once_until_it_looks),
        TEST(damage_is_clipped_and_empty_damage_is_none),
        TEST(neighbours_and_overlaps_become_one_rectangle),
        TEST(many_rectangles_stay_few_and_cover_all),
        TEST(a_page_flip_is_damage_and_another_size_is_a_new_surface),
        TEST(a_surface_that_cannot_be_is_none),
        TEST(two_viewers_hear_each_for_itself),
        TEST(a_cursor_is_copied_moved_and_hidden),
        TEST(requests_reach_the_device),
        TEST(every_format_reads_as_xrgb),
        TEST(a_ppm_has_the_pixels),
        TEST(a_png_read_back_has_the_pixels),
        TEST(a_picture_that_cannot_be_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
