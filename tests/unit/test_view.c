/* Where pictures lie in the window, and what scaling makes of pixels. Expected values by hand. */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/view.h"
#include "tests/unit/check.h"

static struct view v;

static int end(void **state)
{
    (void)state;
    view_fini(&v);
    return 0;
}

static void placed(uint32_t x, uint32_t y, uint32_t w, uint32_t h, enum view_how how)
{
    CHECK_EQ(v.x, x);
    CHECK_EQ(v.y, y);
    CHECK_EQ(v.w, w);
    CHECK_EQ(v.h, h);
    CHECK_EQ(v.how, how);
}

static void a_picture_as_large_as_the_frame_is_drawn_directly(void **state)
{
    (void)state;
    CHECK(view_set(&v, 640, 480, 640, 480, false));
    placed(0, 0, 640, 480, VIEW_DIRECT);
}

static void aspect_is_kept_and_the_rest_is_black(void **state)
{
    uint32_t px[100 * 60];
    struct canvas frame = {px, 100, 60, 100};
    struct ui_rect r[4];

    (void)state;
    memset(px, 0xff, sizeof px);
    CHECK(view_set(&v, 100, 60, 20, 20, false)); /* three times */
    placed(20, 0, 60, 60, VIEW_WHOLE);
    CHECK_EQ(view_borders(&v, &frame, r), 2);
    CHECK_EQ(px[0], 0);
    CHECK_EQ(px[19], 0);
    CHECK_EQ(px[20], 0xffffffff);
    CHECK_EQ(px[79], 0xffffffff);
    CHECK_EQ(px[80], 0);
    CHECK_EQ(px[59 * 100 + 99], 0);
}

static void nearly_whole_is_whole(void **state)
{
    (void)state;
    CHECK(view_set(&v, 1001, 801, 500, 400, false));
    placed(0, 0, 1000, 800, VIEW_WHOLE);
    CHECK(view_set(&v, 1281, 801, 1280, 800, false));
    placed(0, 0, 1280, 800, VIEW_DIRECT);
    CHECK(view_set(&v, 1500, 1200, 500, 400, false)); /* exactly */
    placed(0, 0, 1500, 1200, VIEW_WHOLE);
    CHECK(view_set(&v, 1250, 1000, 500, 400, false));
    placed(0, 0, 1250, 1000, VIEW_LINEAR);
    CHECK(view_set(&v, 1250, 1000, 500, 400, true)); /* only whole numbers wanted */
    placed(125, 100, 1000, 800, VIEW_WHOLE);
    CHECK(view_set(&v, 300, 300, 400, 400, true)); /* no whole number makes it smaller */
    placed(0, 0, 300, 300, VIEW_LINEAR);
    CHECK(view_set(&v, 100, 100, 400, 400, false));
    placed(0, 0, 100, 100, VIEW_AVERAGE);
}

static void whole_enlargement_repeats_pixels(void **state)
{
    uint32_t in[4] = {1, 2, 3, 4}, out[36];
    struct canvas pic = {in, 2, 2, 2}, frame = {out, 6, 6, 6};

    (void)state;
    CHECK(view_set(&v, 6, 6, 2, 2, false));
    view_draw(&v, &pic, (struct ui_rect){0, 0, 2, 2}, &frame);
    for (unsigned y = 0; y < 6; y++)
        for (unsigned x = 0; x < 6; x++)
            CHECK_EQ(out[y * 6 + x], in[y / 3 * 2 + x / 3]);
}

/* 3 x 3 of 2 x 2: the middle column lies between both source pixels. */
static void linear_scaling_mixes_neighbours(void **state)
{
    uint32_t in[4] = {0x000000, 0x808080, 0x000000, 0x808080}, out[9];
    struct canvas pic = {in, 2, 2, 2}, frame = {out, 3, 3, 3};

    (void)state;
    CHECK(view_set(&v, 3, 3, 2, 2, false));
    CHECK_EQ(v.how, VIEW_LINEAR);
    view_draw(&v, &pic, (struct ui_rect){0, 0, 2, 2}, &frame);
    for (unsigned y = 0; y < 3; y++) {
        CHECK_EQ(out[y * 3], 0x000000);
        CHECK_EQ(out[y * 3 + 1], 0x404040);
        CHECK_EQ(out[y * 3 + 2], 0x808080);
    }
}

static void shrinking_by_more_than_half_takes_means(void **state)
{
    uint32_t in[16], out[1];
    struct canvas pic = {in, 4, 4, 4}, frame = {out, 1, 1, 1};

    (void)state;
    for (unsigned i = 0; i < 16; i++)
        in[i] = i < 8 ? 0x102030 : 0x304050;
    CHECK(view_set(&v, 1, 1, 4, 4, false));
    view_draw(&v, &pic, (struct ui_rect){0, 0, 4, 4}, &frame);
    CHECK_EQ(out[0], 0x203040);
}

/* Whatever part of a picture is drawn again, the frame is as if all of it was. */
static void parts_drawn_again_leave_no_seams(void **state)
{
    static const struct {
        uint32_t fw, fh, pw, ph;
    } sizes[] = {{90, 70, 90, 70}, {130, 95, 60, 40}, {120, 80, 60, 40}, {50, 40, 61, 47}, {20, 17, 64, 48}};
    uint32_t *in = malloc(4 * 100 * 100), *whole = malloc(4 * 200 * 200), *parts = malloc(4 * 200 * 200);

    (void)state;
    srandom(7);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct canvas pic = {in, sizes[s].pw, sizes[s].ph, sizes[s].pw};
        struct canvas a = {whole, sizes[s].fw, sizes[s].fh, sizes[s].fw},
                      b = {parts, sizes[s].fw, sizes[s].fh, sizes[s].fw};
        size_t bytes = 4ul * sizes[s].fw * sizes[s].fh;

        CHECK(view_set(&v, sizes[s].fw, sizes[s].fh, sizes[s].pw, sizes[s].ph, false));
        for (unsigned i = 0; i < sizes[s].pw * sizes[s].ph; i++)
            in[i] = (uint32_t)random() & 0xffffff;
        memset(parts, 0, bytes);
        view_draw(&v, &pic, (struct ui_rect){0, 0, pic.width, pic.height}, &b);
        for (unsigned n = 0; n < 200; n++) {
            struct ui_rect r = {(uint32_t)random() % pic.width, (uint32_t)random() % pic.height, 0, 0};

            r.w = 1 + (uint32_t)random() % (pic.width - r.x);
            r.h = 1 + (uint32_t)random() % (pic.height - r.y);
            for (uint32_t y = r.y; y < r.y + r.h; y++)
                for (uint32_t x = r.x; x < r.x + r.w; x++)
                    in[y * pic.width + x] = (uint32_t)random() & 0xffffff;
            view_draw(&v, &pic, r, &b);
            memset(whole, 0, bytes);
            view_draw(&v, &pic, (struct ui_rect){0, 0, pic.width, pic.height}, &a);
            assert_memory_equal(whole, parts, bytes);
        }
    }
    free(in);
    free(whole);
    free(parts);
}

static void points_go_back_to_the_pixel_that_is_seen_there(void **state)
{
    int32_t x, y;

    (void)state;
    CHECK(view_set(&v, 100, 60, 20, 20, false)); /* three times, 20 to the right */
    view_point(&v, 20, 0, &x, &y);
    CHECK(x == 0 && y == 0);
    view_point(&v, 22, 2, &x, &y);
    CHECK(x == 0 && y == 0);
    view_point(&v, 23, 3, &x, &y);
    CHECK(x == 1 && y == 1);
    view_point(&v, 79, 59, &x, &y);
    CHECK(x == 19 && y == 19);
    view_point(&v, 19, 60, &x, &y); /* outside */
    CHECK(x == -1 && y == 20);
}

static void sizes_of_nothing_draw_nothing(void **state)
{
    uint32_t px[4] = {1, 1, 1, 1};
    struct canvas frame = {px, 2, 2, 2};
    struct ui_rect r[4];
    int32_t x, y;

    (void)state;
    CHECK(view_set(&v, 2, 2, 0, 5, false));
    CHECK_EQ(view_draw(&v, &frame, (struct ui_rect){0, 0, 1, 1}, &frame).w, 0);
    CHECK_EQ(view_borders(&v, &frame, r), 1);
    CHECK_EQ(px[3], 0);
    view_point(&v, 1, 1, &x, &y);
    CHECK(view_set(&v, 1, 500, 16000, 1, false)); /* less than a pixel high */
    CHECK_EQ(view_draw(&v, &frame, (struct ui_rect){0, 0, 1, 1}, &frame).w, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_picture_as_large_as_the_frame_is_drawn_directly, end),
        cmocka_unit_test_teardown(aspect_is_kept_and_the_rest_is_black, end),
        cmocka_unit_test_teardown(nearly_whole_is_whole, end),
        cmocka_unit_test_teardown(whole_enlargement_repeats_pixels, end),
        cmocka_unit_test_teardown(linear_scaling_mixes_neighbours, end),
        cmocka_unit_test_teardown(shrinking_by_more_than_half_takes_means, end),
        cmocka_unit_test_teardown(parts_drawn_again_leave_no_seams, end),
        cmocka_unit_test_teardown(points_go_back_to_the_pixel_that_is_seen_there, end),
        cmocka_unit_test_teardown(sizes_of_nothing_draw_nothing, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
