/* A framebuffer that is just there: shown from the first moment, cleared at reset, and its damage. */
#include <string.h>

#include "devices/display.h"
#include "devices/simplefb.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"
#include "tests/unit/look.h"

#define PLACE (DEV_RAM + 0x80000)

static struct dev_bench bench;
static struct device *dev;
static struct look seen;
static struct err err;

static int setup(void **state)
{
    const struct surface s = {.width = 256, .height = 100, .stride = 1024, .format = PIXEL_XRGB8888};

    (void)state;
    dev_bench_open(&bench);
    dev = simplefb_new(&bench.env, "screen", PLACE, &s, &err);
    CHECK(dev != NULL);
    device_reset(dev);
    look_open(&seen, simplefb_screen(dev));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    look_close(&seen);
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

static void memory_is_the_picture_from_the_start(void **state)
{
    (void)state;
    CHECK(look_news(&seen));
    CHECK(seen.u.has_surface);
    CHECK_EQ(seen.u.surface.width, 256);
    look_news(&seen);
    CHECK(!look_news(&seen));
    dev_write(&bench, PLACE + 1024 * 50 + 4 * 7, 4, 0x102030);
    CHECK(look_news(&seen));
    CHECK_EQ(seen.u.rect[0].y, 48); /* four rows a page */
    CHECK_EQ(seen.u.rect[0].h, 4);
    CHECK_EQ(look_pixel(&seen, 7, 50), 0x102030);
}

static void reset_clears_it_and_nothing_else(void **state)
{
    (void)state;
    dev_write(&bench, PLACE - 4, 4, 1);
    dev_write(&bench, PLACE, 4, 2);
    dev_write(&bench, PLACE + 102396, 4, 3);
    dev_write(&bench, PLACE + 102400, 4, 4);
    look_news(&seen);
    look_news(&seen);
    device_reset(dev);
    CHECK(look_news(&seen));
    CHECK_EQ(look_pixel(&seen, 0, 0), 0);
    CHECK_EQ(look_pixel(&seen, 255, 99), 0);
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
