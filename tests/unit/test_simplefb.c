/* A framebuffer that is just there: shown from the first moment, cleared at reset, and its damage. */
#include <string.h>

#include "devices/display.h"
#include "devices/simplefb.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"

#define PLACE (DEV_RAM + 0x80000)

static struct dev_bench bench;
static struct device *dev;
static struct display *screen;
static struct display_viewer viewer;
static struct display_update u;
static struct err err;

static int setup(void **state)
{
    const struct surface s = {.width = 256, .height = 100, .stride = 1024, .format = PIXEL_XRGB8888};

    (void)state;
    dev_bench_open(&bench);
    dev = simplefb_new(&bench.env, "screen", PLACE, &s, &err);
    CHECK(dev != NULL);
    device_reset(dev);
    screen = simplefb_screen(dev);
    viewer = (struct display_viewer){0};
    display_attach(screen, &viewer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    display_detach(screen, &viewer);
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static bool look(void)
{
    bool any;

    display_refresh(screen);
    any = display_begin(screen, &viewer, &u);
    display_end(screen, &viewer);
    return any;
}

static uint32_t pixel(uint32_t x, uint32_t y)
{
    uint32_t v;

    display_read(display_lock(screen), &(struct display_rect){x, y, 1, 1}, &v, 4);
    display_unlock(screen);
    return v & 0xffffff;
}

static void memory_is_the_picture_from_the_start(void **state)
{
    (void)state;
    CHECK(look());
    CHECK(u.has_surface);
    CHECK_EQ(u.surface.width, 256);
    look();
    CHECK(!look());
    dev_write(&bench, PLACE + 1024 * 50 + 4 * 7, 4, 0x102030);
    CHECK(look());
    CHECK_EQ(u.rect[0].y, 48); /* four rows a page */
    CHECK_EQ(u.rect[0].h, 4);
    CHECK_EQ(pixel(7, 50), 0x102030);
}

static void reset_clears_it_and_nothing_else(void **state)
{
    (void)state;
    dev_write(&bench, PLACE - 4, 4, 1);
    dev_write(&bench, PLACE, 4, 2);
    dev_write(&bench, PLACE + 102396, 4, 3);
    dev_write(&bench, PLACE + 102400, 4, 4);
    look();
    look();
    device_reset(dev);
    CHECK(look());
    CHECK_EQ(pixel(0, 0), 0);
    CHECK_EQ(pixel(255, 99), 0);
    CHECK_EQ(dev_read(&bench, PLACE - 4, 4), 1);
    CHECK_EQ(dev_read(&bench, PLACE + 102400, 4), 4);
    dev_check_save_restore(dev);
}

static void it_must_lie_in_memory(void **state)
{
    const struct surface s = {.width = 256, .height = 100, .stride = 1024, .format = PIXEL_XRGB8888};

    (void)state;
    CHECK(!simplefb_new(&bench.env, "x", DEV_RAM + DEV_RAM_SIZE - 102399, &s, &err));
    CHECK(!simplefb_new(&bench.env, "x", 0x1000, &s, &err));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(memory_is_the_picture_from_the_start),
        T(reset_clears_it_and_nothing_else),
        T(it_must_lie_in_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
