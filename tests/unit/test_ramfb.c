/* ramfb as firmware sets it up through fw_cfg; layout from QEMU's hw/display/ramfb.c, formats from drm_fourcc.h. */
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"
#include "devices/fw_cfg.h"
#include "devices/ramfb.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"
#include "tests/unit/look.h"

#define PIXELS (DEV_RAM + 0x10000)
#define XR24 0x34325258
#define RG16 0x36314752

static struct dev_bench bench;
static struct device *fw, *dev;
static struct look seen;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dev_bench_open(&bench);
    fw = fw_cfg_new(&bench.env, "fw_cfg");
    dev_map(fw);
    dev = ramfb_new(&bench.env, "ramfb", &err);
    CHECK(ramfb_offer(dev, fw, &err));
    look_open(&seen, ramfb_screen(dev));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    look_close(&seen);
    device_free(fw);
    device_free(dev);
    dev_bench_close(&bench);
    return 0;
}

/* Writes bytes of file 0x20, the only one: select and write by one DMA request. */
static uint32_t put(const void *bytes, uint32_t len)
{
    uint8_t d[16];

    CHECK(dma_write(bench.bus, DEV_RAM + 0x100, bytes, len));
    st32be(d, 0x00200018);
    st32be(d + 4, len);
    st64be(d + 8, DEV_RAM + 0x100);
    CHECK(dma_write(bench.bus, DEV_RAM, d, sizeof d));
    dev_write(&bench, DEV_BASE + 16, 8, __builtin_bswap64(DEV_RAM));
    CHECK(dma_read(bench.bus, DEV_RAM, d, sizeof d));
    return ld32be(d);
}

static void configure(gpa addr, uint32_t fourcc, uint32_t width, uint32_t height, uint32_t stride)
{
    uint8_t c[28] = {0};

    st64be(c, addr);
    st32be(c + 8, fourcc);
    st32be(c + 16, width);
    st32be(c + 20, height);
    st32be(c + 24, stride);
    CHECK_EQ(put(c, sizeof c), 0);
}

static void a_written_configuration_shows_guest_memory(void **state)
{
    (void)state;
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    configure(PIXELS, XR24, 100, 50, 512);
    CHECK(look_news(&seen));
    CHECK(seen.u.has_surface);
    CHECK_EQ(seen.u.surface.width, 100);
    CHECK_EQ(seen.u.surface.height, 50);
    CHECK_EQ(seen.u.surface.stride, 512);
    dev_write(&bench, PIXELS + 512 * 7 + 4 * 3, 4, 0x00aabbcc);
    CHECK_EQ(look_pixel(&seen, 3, 7), 0xaabbcc);
}

static void a_stride_of_none_has_no_gap(void **state)
{
    (void)state;
    configure(PIXELS, RG16, 64, 64, 0);
    look_news(&seen);
    CHECK_EQ(seen.u.surface.stride, 128);
    dev_write(&bench, PIXELS + 128 + 2, 2, 0x07e0);
    CHECK_EQ(look_pixel(&seen, 1, 1), 0x00ff00);
}

static void every_byte_order_is_known(void **state)
{
    static const struct {
        char name[5];
        uint8_t bytes[4]; /* of red 1, green 2, blue 3 */
    } rows[] = {{"XR24", {3, 2, 1, 9}}, {"AR24", {3, 2, 1, 9}}, {"XB24", {1, 2, 3, 9}},
                {"AB24", {1, 2, 3, 9}}, {"BX24", {9, 1, 2, 3}}, {"BA24", {9, 1, 2, 3}},
                {"RX24", {9, 3, 2, 1}}, {"RA24", {9, 3, 2, 1}}, {"RG24", {3, 2, 1, 9}}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        configure(PIXELS, ld32((const uint8_t *)rows[i].name), 16, 16, 0);
        CHECK(dma_write(bench.bus, PIXELS, rows[i].bytes, 4));
        look_news(&seen);
        CHECK(seen.u.has_surface);
        CHECK_EQ(look_pixel(&seen, 0, 0), 0x010203);
    }
}

static void what_the_guest_writes_is_damage(void **state)
{
    (void)state;
    configure(PIXELS, XR24, 256, 100, 1024); /* four rows a page */
    look_news(&seen);
    look_news(&seen);
    CHECK(!look_news(&seen));
    dev_write(&bench, PIXELS + 1024 * 9, 1, 1);
    CHECK(look_news(&seen));
    CHECK_EQ(seen.u.rects, 1);
    CHECK_EQ(seen.u.rect[0].y, 8);
    CHECK_EQ(seen.u.rect[0].h, 4);
    dev_write(&bench, PIXELS + 1024 * 100, 1, 1); /* below it, in a page that it has no part of */
    CHECK(!look_news(&seen));
}

static void what_is_not_in_memory_is_dark(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t fourcc, width, height, stride;
    } bad[] = {
        {DEV_RAM + DEV_RAM_SIZE - 4096, XR24, 32, 33, 128}, /* a row too many */
        {DEV_RAM + DEV_RAM_SIZE, XR24, 32, 32, 128},
        {DEV_RAM - 1, XR24, 32, 32, 128},
        {0, XR24, 32, 32, 128},
        {UINT64_MAX - 100, XR24, 32, 32, 128},
        {DEV_BASE, XR24, 1, 1, 4}, /* registers */
        {PIXELS, XR24, 32, 32, 127},
        {PIXELS, XR24, 32, 0xffffffff, 0xffffffff},
        {PIXELS, XR24, 0xffffffff, 1, 0},
        {PIXELS, XR24, 0x40000000, 1, 0}, /* 2^32 bytes */
        {PIXELS, XR24, 16385, 1, 0},
        {PIXELS, XR24, 0, 32, 128},
        {PIXELS, XR24, 32, 0, 128},
        {PIXELS, 0x20203852, 32, 32, 128}, /* R8 */
        {PIXELS, 0, 32, 32, 128},
    };

    (void)state;
    configure(DEV_RAM + DEV_RAM_SIZE - 4096, XR24, 32, 32, 128); /* the last page, whole */
    look_news(&seen);
    CHECK(seen.u.has_surface);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        configure(PIXELS, XR24, 32, 32, 128);
        configure(bad[i].addr, bad[i].fourcc, bad[i].width, bad[i].height, bad[i].stride);
        look_news(&seen);
        if (seen.u.has_surface)
            fail_msg("row %zu is shown", i);
    }
}

static void too_much_is_refused_and_a_part_counts(void **state)
{
    uint8_t c[32] = {0};

    (void)state;
    configure(PIXELS, XR24, 32, 32, 128);
    CHECK_EQ(put(c, 29), 1);
    look_news(&seen);
    CHECK(seen.u.has_surface);
    st64be(c, PIXELS + 64);
    CHECK_EQ(put(c, 8), 0); /* another address: a flip */
    CHECK(look_news(&seen));
    CHECK(!seen.u.new_surface);
}

static void reset_is_dark_and_restore_shows_again(void **state)
{
    uint8_t image[64];
    size_t n = device_state_size(dev);

    (void)state;
    CHECK(n <= sizeof image);
    configure(PIXELS, XR24, 32, 32, 128);
    dev_check_save_restore(dev);
    device_save(dev, image);
    device_reset(dev);
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    CHECK(device_restore(dev, image, n, &err));
    look_news(&seen);
    CHECK(seen.u.has_surface);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_written_configuration_shows_guest_memory),
        T(a_stride_of_none_has_no_gap),
        T(every_byte_order_is_known),
        T(what_the_guest_writes_is_damage),
        T(what_is_not_in_memory_is_dark),
        T(too_much_is_refused_and_a_part_counts),
        T(reset_is_dark_and_restore_shows_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
