/*
 * bochs-display as its drivers use it: registers and layout from QEMU's docs/specs/standard-vga.rst and Linux's bochs.c;
 * what a viewer sees of the video memory, and what a hostile driver does not get.
 */
#include <string.h>

#include "base/bits.h"
#include "devices/bochs_display.h"
#include "devices/display.h"
#include "devices/pci_host.h"
#include "tests/unit/check.h"
#include "tests/unit/dev.h"
#include "tests/unit/look.h"

#define ECAM UINT64_C(0x30000000)
#define FN (ECAM + 0x8000) /* slot 1 */
#define VRAM UINT64_C(0x40000000)
#define REGS UINT64_C(0x48000000)
enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY_64K };

static struct dev_bench bench;
static struct device *host;
static struct pci_device *p;
static struct look seen;
static struct err err;

static uint64_t rd(gpa a, unsigned size) { return dev_read(&bench, a, size); }
static void wr(gpa a, unsigned size, uint64_t v) { dev_write(&bench, a, size, v); }
static void vbe(unsigned reg, unsigned v) { wr(REGS + 0x500 + 2 * reg, 2, v); }

static void plug(const struct bochs_display_options *o)
{
    const struct pci_host_config c = {
        .ecam = ECAM, .mem32 = {VRAM, 0x40000000}, .mem64 = {0x400000000, 0x400000000}, .pio = {0x3000000, 0x10000}};

    dev_bench_open(&bench);
    host = pci_host_new(&bench.env, "pcie", &c);
    CHECK(pci_host_map(host, &err));
    p = bochs_display_new(&bench.env, "vga", o, &err);
    if (!p)
        fail_msg("%s", err.msg);
    CHECK(pci_add(host, p, -1, &err));
    device_reset(&p->dev);
    wr(FN + 0x10, 4, VRAM);
    wr(FN + 0x18, 4, REGS);
    wr(FN + 4, 2, 2);
    look_open(&seen, bochs_display_screen(p));
}

static void unplug(void)
{
    look_close(&seen);
    device_free(&p->dev);
    device_free(host);
    dev_bench_close(&bench);
}

static int setup(void **state)
{
    (void)state;
    plug(&(struct bochs_display_options){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unplug();
    return 0;
}

/* As Linux sets a mode. */
static void set_mode(unsigned w, unsigned h, unsigned bpp)
{
    wr(REGS + 0x402, 1, 1);
    rd(REGS + 0x41a, 1);
    wr(REGS + 0x400, 1, 0x20);
    vbe(ENABLE, 0);
    vbe(BPP, bpp);
    vbe(XRES, w);
    vbe(YRES, h);
    vbe(BANK, 0);
    vbe(VIRT_WIDTH, w);
    vbe(VIRT_HEIGHT, h);
    vbe(X_OFFSET, 0);
    vbe(Y_OFFSET, 0);
    vbe(ENABLE, 0x41);
}

static void it_says_who_it_is(void **state)
{
    (void)state;
    CHECK_EQ(rd(FN, 4), 0x11111234);
    CHECK_EQ(rd(FN + 8, 4), 0x03800002);
    wr(FN + 0x10, 4, 0xffffffff);
    wr(FN + 0x18, 4, 0xffffffff);
    CHECK_EQ(rd(FN + 0x10, 4), 0xff000008); /* 16 MiB, prefetchable */
    CHECK_EQ(rd(FN + 0x18, 4), 0xfffff000);
    wr(FN + 0x18, 4, REGS);
    CHECK_EQ(rd(REGS + 0x500, 2), 0xb0c5);
    CHECK_EQ(rd(REGS + 0x514, 2), 256);
    CHECK_EQ(rd(REGS + 0x600, 4), 8);
    CHECK_EQ(rd(REGS + 0x604, 4), 0x1e1e1e1e);
    CHECK_EQ(rd(REGS, 8), UINT64_C(0x00ffffffffffff00)); /* an EDID's header */
    CHECK_EQ(rd(REGS + 0x700, 4), 0);
}

static void a_mode_shows_the_video_memory(void **state)
{
    (void)state;
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    set_mode(800, 600, 32);
    wr(VRAM + 4 * (800 * 10 + 20), 4, 0x123456);
    CHECK(look_news(&seen));
    CHECK(seen.u.new_surface && seen.u.has_surface);
    CHECK_EQ(seen.u.surface.width, 800);
    CHECK_EQ(seen.u.surface.height, 600);
    CHECK_EQ(seen.u.surface.stride, 3200);
    CHECK_EQ(look_pixel(&seen, 20, 10), 0x123456);
    vbe(ENABLE, 0);
    CHECK(look_news(&seen));
    CHECK(!seen.u.has_surface);
    set_mode(800, 600, 16);
    wr(VRAM + 2 * (800 * 3 + 5), 2, 0xf81f);
    CHECK(look_news(&seen));
    CHECK_EQ(look_pixel(&seen, 5, 3), 0xff00ff);
}

static void written_rows_are_damage_and_others_are_not(void **state)
{
    (void)state;
    set_mode(1024, 768, 32); /* a row is a page */
    look_news(&seen);
    look_news(&seen);
    CHECK(!look_news(&seen));
    wr(VRAM + 4096 * 100 + 8, 8, 1);
    wr(VRAM + 4096 * 101, 4, 1);
    wr(VRAM + 4096 * 500, 1, 1);
    wr(VRAM + 4096 * 768, 8, 1); /* below the picture */
    CHECK(look_news(&seen));
    CHECK(!seen.u.new_surface);
    CHECK_EQ(seen.u.rects, 2);
    CHECK_EQ(seen.u.rect[0].y, 100);
    CHECK_EQ(seen.u.rect[0].h, 2);
    CHECK_EQ(seen.u.rect[0].w, 1024);
    CHECK_EQ(seen.u.rect[1].y, 500);
    CHECK_EQ(seen.u.rect[1].h, 1);
    CHECK(!look_news(&seen));
}

static void a_page_that_holds_parts_of_rows_damages_them_all(void **state)
{
    (void)state;
    set_mode(800, 600, 32); /* 3200 bytes a row */
    vbe(Y_OFFSET, 1);       /* the picture begins within a page */
    look_news(&seen);
    look_news(&seen);
    CHECK(!look_news(&seen));
    wr(VRAM + 2 * 4096, 1, 1); /* bytes 8192 to 12287: from 3200 on, row 1 (4992) to row 2 (9087) */
    CHECK(look_news(&seen));
    CHECK_EQ(seen.u.rects, 1);
    CHECK_EQ(seen.u.rect[0].y, 1);
    CHECK_EQ(seen.u.rect[0].h, 2);
}

static void a_flip_is_no_new_surface(void **state)
{
    (void)state;
    set_mode(640, 480, 32);
    look_news(&seen);
    wr(VRAM + 640 * 4 * 480, 4, 0xabcdef);
    vbe(Y_OFFSET, 480);
    CHECK(look_news(&seen));
    CHECK(!seen.u.new_surface);
    CHECK_EQ(look_pixel(&seen, 0, 0), 0xabcdef);
    CHECK_EQ(seen.u.rect[0].h, 480);
    vbe(VIRT_WIDTH, 700);
    vbe(X_OFFSET, 60);
    vbe(Y_OFFSET, 2);
    CHECK(look_news(&seen));
    CHECK_EQ(seen.u.surface.stride, 2800);
    wr(VRAM + 4 * (700 * 2 + 60), 4, 0x010203);
    CHECK_EQ(look_pixel(&seen, 0, 0), 0x010203);
}

static void byte_order_follows_its_register(void **state)
{
    (void)state;
    set_mode(640, 480, 32);
    wr(VRAM, 4, 0x11223300);
    wr(REGS + 0x604, 4, 0xbebebebe);
    CHECK_EQ(rd(REGS + 0x604, 4), 0xbebebebe);
    CHECK_EQ(look_pixel(&seen, 0, 0), 0x332211);
    wr(REGS + 0x604, 4, 0x12345678);
    CHECK_EQ(rd(REGS + 0x604, 4), 0xbebebebe);
    wr(REGS + 0x604, 4, 0x1e1e1e1e);
    CHECK_EQ(look_pixel(&seen, 0, 0), 0x223300);
}

static void blanking_darkens_and_keeps_the_memory(void **state)
{
    (void)state;
    set_mode(640, 480, 32);
    wr(VRAM, 4, 7);
    rd(REGS + 0x41a, 1);
    wr(REGS + 0x400, 1, 0);
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    wr(REGS + 0x400, 1, 0x20); /* data of index 0 */
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    rd(REGS + 0x41a, 1);
    wr(REGS + 0x400, 1, 0x20);
    look_news(&seen);
    CHECK(seen.u.has_surface);
    CHECK_EQ(look_pixel(&seen, 0, 0), 7);
}

static void what_does_not_fit_is_dark(void **state)
{
    static const uint16_t bad[][6] = {/* xres, yres, bpp, virtual width, x, y */
                                      {2048, 2049, 32, 2048, 0, 0},  {2048, 2048, 32, 2048, 1, 0},
                                      {2048, 2048, 32, 2048, 0, 1},  {63, 64, 32, 63, 0, 0},
                                      {64, 63, 32, 64, 0, 0},        {800, 600, 8, 800, 0, 0},
                                      {800, 600, 0, 800, 0, 0},      {65535, 65535, 32, 65535, 65535, 65535},
                                      {64, 65535, 16, 64, 0, 65535}, {800, 600, 32, 65535, 0, 0}};

    (void)state;
    set_mode(2048, 2048, 32); /* all of it */
    look_news(&seen);
    CHECK(seen.u.has_surface);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        set_mode(bad[i][0], bad[i][1], bad[i][2]);
        vbe(VIRT_WIDTH, bad[i][3]);
        vbe(X_OFFSET, bad[i][4]);
        vbe(Y_OFFSET, bad[i][5]);
        look_news(&seen);
        if (seen.u.has_surface)
            fail_msg("mode %u is shown", i);
    }
}

static void the_monitor_is_as_large_as_the_viewer_s_window(void **state)
{
    (void)state;
    CHECK_EQ(rd(REGS + 54 + 2, 1) | (rd(REGS + 54 + 4, 1) & 0xf0) << 4, 1280);
    CHECK_EQ(rd(REGS + 54 + 5, 1) | (rd(REGS + 54 + 7, 1) & 0xf0) << 4, 800);
    display_wants_size(seen.screen, 1000, 700, 0, 0);
    CHECK_EQ(rd(REGS + 54 + 2, 1) | (rd(REGS + 54 + 4, 1) & 0xf0) << 4, 1000);
    CHECK_EQ(rd(REGS + 54 + 5, 1) | (rd(REGS + 54 + 7, 1) & 0xf0) << 4, 700);
    display_wants_size(seen.screen, 0, 0, 0, 0); /* nobody looks: it stays */
    CHECK_EQ(rd(REGS + 54 + 2, 1) | (rd(REGS + 54 + 4, 1) & 0xf0) << 4, 1000);
    device_reset(&p->dev);
    wr(FN + 0x18, 4, REGS);
    wr(FN + 4, 2, 2);
    CHECK_EQ(rd(REGS + 54 + 2, 1) | (rd(REGS + 54 + 4, 1) & 0xf0) << 4, 1000);
    unplug();
    plug(&(struct bochs_display_options){.no_edid = true});
    CHECK_EQ(rd(REGS, 8), 0);
}

static void reset_is_dark_and_restore_shows_again(void **state)
{
    uint8_t image[8192 * 4];
    size_t n = device_state_size(&p->dev);

    (void)state;
    CHECK(n <= sizeof image);
    set_mode(640, 480, 32);
    wr(REGS + 0x604, 4, 0xbebebebe);
    dev_check_save_restore(&p->dev);
    device_save(&p->dev, image);
    device_reset(&p->dev);
    look_news(&seen);
    CHECK(!seen.u.has_surface);
    wr(FN + 0x18, 4, REGS);
    wr(FN + 4, 2, 2);
    CHECK_EQ(rd(REGS + 0x508, 2), 0);
    CHECK_EQ(rd(REGS + 0x604, 4), 0x1e1e1e1e);
    CHECK(device_restore(&p->dev, image, n, &err));
    look_news(&seen);
    CHECK(seen.u.has_surface);
    CHECK_EQ(seen.u.surface.width, 640);
    CHECK(seen.u.surface.format == PIXEL_BGRX8888);
    look_news(&seen);
    CHECK(!look_news(&seen));
    CHECK(device_restore(&p->dev, image, n, &err)); /* its memory may be another now */
    CHECK(look_news(&seen));
    CHECK_EQ(seen.u.rect[0].h, 480);
}

static void the_picture_stays_while_the_bar_moves(void **state)
{
    (void)state;
    set_mode(640, 480, 32);
    wr(VRAM, 4, 9);
    wr(FN + 0x10, 4, VRAM + 0x1000000);
    CHECK_EQ(rd(VRAM + 0x1000000, 4), 9);
    CHECK_EQ(look_pixel(&seen, 0, 0), 9);
    look_news(&seen);
    look_news(&seen);
    wr(VRAM + 0x1000000, 4, 10);
    CHECK(look_news(&seen));
    CHECK_EQ(look_pixel(&seen, 0, 0), 10);
}

static void options_are_checked(void **state)
{
    struct err e;

    (void)state;
    CHECK(!bochs_display_new(&bench.env, "x", &(struct bochs_display_options){.vgamem = 1 << 20}, &e));
    CHECK(!bochs_display_new(&bench.env, "x", &(struct bochs_display_options){.vgamem = 512 << 20}, &e));
    CHECK(!bochs_display_new(&bench.env, "x", &(struct bochs_display_options){.xres = 16385}, &e));
    CHECK(!bochs_display_new(&bench.env, "x", &(struct bochs_display_options){.yres = 31}, &e));
    unplug();
    plug(&(struct bochs_display_options){.vgamem = 20 << 20});
    CHECK_EQ(rd(REGS + 0x514, 2), 512);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_says_who_it_is),
        T(a_mode_shows_the_video_memory),
        T(written_rows_are_damage_and_others_are_not),
        T(a_page_that_holds_parts_of_rows_damages_them_all),
        T(a_flip_is_no_new_surface),
        T(byte_order_follows_its_register),
        T(blanking_darkens_and_keeps_the_memory),
        T(what_does_not_fit_is_dark),
        T(the_monitor_is_as_large_as_the_viewer_s_window),
        T(reset_is_dark_and_restore_shows_again),
        T(the_picture_stays_while_the_bar_moves),
        T(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
