/* EDID: modes against those that edid-decode --cvt prints, checksums, sizes. */
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"
#include "devices/edid.h"
#include "tests/unit/check.h"

static uint8_t edid[EDID_MAX];

static size_t make(uint32_t w, uint32_t h)
{
    return edid_make(edid, &(struct edid_options){.width = w, .height = h, .serial = 7});
}

static void sums_are_zero(size_t len)
{
    for (size_t b = 0; b < len; b += 128) {
        uint8_t sum = 0;

        for (unsigned i = 0; i < 128; i++)
            sum = (uint8_t)(sum + edid[b + i]);
        CHECK_EQ(sum, 0);
    }
}

/* Modeline numbers: clock in 10 kHz, hdisp hsyncstart hsyncend htotal, vdisp vsyncstart vsyncend vtotal. */
static void is_modeline(const uint8_t *p, const unsigned *m)
{
    unsigned h = p[2] | (p[4] & 0xf0u) << 4, hblank = p[3] | (p[4] & 15u) << 8;
    unsigned v = p[5] | (p[7] & 0xf0u) << 4, vblank = p[6] | (p[7] & 15u) << 8;

    CHECK_EQ(ld16(p), m[0]);
    CHECK_EQ(h, m[1]);
    CHECK_EQ(h + p[8], m[2]);
    CHECK_EQ(h + p[8] + p[9], m[3]);
    CHECK_EQ(h + hblank, m[4]);
    CHECK_EQ(v, m[5]);
    CHECK_EQ(v + (p[10] >> 4), m[6]);
    CHECK_EQ(v + (p[10] >> 4) + (p[10] & 15), m[7]);
    CHECK_EQ(v + vblank, m[8]);
}

static void the_preferred_mode_is_vesas(void **state)
{
    static const unsigned modes[][9] = {
        {13850, 1920, 1968, 2000, 2080, 1080, 1083, 1088, 1111},
        {24150, 2560, 2608, 2640, 2720, 1440, 1443, 1448, 1481},
        {7100, 1280, 1328, 1360, 1440, 800, 803, 809, 823},
        {9100, 1280, 1328, 1360, 1440, 1024, 1027, 1034, 1054},
        {53325, 3840, 3888, 3920, 4000, 2160, 2163, 2168, 2222},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        CHECK_EQ(make(modes[i][1], modes[i][5]), 256);
        is_modeline(edid + 54, modes[i]);
        sums_are_zero(256);
    }
}

static void the_head_says_who_it_is(void **state)
{
    static const uint8_t magic[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};

    (void)state;
    make(1280, 800);
    assert_memory_equal(edid, magic, 8);
    CHECK_EQ(ld32(edid + 12), 7);
    CHECK_EQ(edid[18], 1);
    CHECK_EQ(edid[19], 4);
    CHECK_EQ(edid[126], 1);
    CHECK_EQ(edid[38], 1920 / 8 - 31);
    CHECK_EQ(edid[40], 1920 / 8 - 31);
    CHECK_EQ(edid[41], 0xc0); /* 16:9, 60 Hz */
    assert_memory_equal(edid + 72, "\0\0\0\xfc\0guise\n", 11);
    CHECK_EQ(edid[128], 2);
}

static void a_size_in_millimetres_is_given_or_follows_from_96_dpi(void **state)
{
    (void)state;
    make(960, 480);
    CHECK_EQ(edid[21], 25);
    CHECK_EQ(edid[22], 12);
    CHECK_EQ(edid[54 + 12], 254);
    CHECK_EQ(edid[54 + 13], 127);
    edid_make(edid, &(struct edid_options){.width = 960, .height = 480, .mm_width = 600, .mm_height = 300});
    CHECK_EQ(edid[21], 60);
    CHECK_EQ(edid[54 + 12] | (edid[54 + 14] & 0xf0) << 4, 600);
    CHECK_EQ(edid[54 + 13] | (edid[54 + 14] & 15) << 8, 300);
}

/* What a 12-bit field cannot hold stands in a DisplayID block; the base block has a mode of that shape that fits. */
static void large_modes_stand_in_a_displayid_block(void **state)
{
    uint8_t sum = 0;
    const uint8_t *p = edid + 256, *t = p + 23;

    (void)state;
    CHECK_EQ(make(5120, 2880), 384);
    CHECK_EQ(edid[126], 2);
    sums_are_zero(384);
    CHECK_EQ(edid[54 + 2] | (edid[54 + 4] & 0xf0) << 4, 2560);
    CHECK_EQ(p[0], 0x70);
    for (unsigned i = 1; i <= 126; i++)
        sum = (uint8_t)(sum + p[i]);
    CHECK_EQ(sum, 0);
    CHECK_EQ(p[20], 3);
    CHECK_EQ((ld32(t) & 0xffffff) + 1, 93825); /* 938.25 5120 5168 5200 5280 2880 2883 2888 2962 */
    CHECK_EQ(ld16(t + 4) + 1, 5120);
    CHECK_EQ(ld16(t + 6) + 1, 160);
    CHECK_EQ((ld16(t + 8) & 0x7fff) + 1, 48);
    CHECK_EQ(ld16(t + 10) + 1, 32);
    CHECK_EQ(ld16(t + 12) + 1, 2880);
    CHECK_EQ(ld16(t + 14) + 1, 82);
    CHECK_EQ(ld16(t + 16) + 1, 3);
    CHECK_EQ(ld16(t + 18) + 1, 5);
}

static void every_size_makes_one(void **state)
{
    (void)state;
    for (uint32_t w = 1; w <= 16384; w += 117)
        for (uint32_t h = 1; h <= 16384; h += 331) {
            size_t n = make(w, h);

            CHECK(n == 256 || n == 384);
            sums_are_zero(n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preferred_mode_is_vesas),
        cmocka_unit_test(the_head_says_who_it_is),
        cmocka_unit_test(a_size_in_millimetres_is_given_or_follows_from_96_dpi),
        cmocka_unit_test(large_modes_stand_in_a_displayid_block),
        cmocka_unit_test(every_size_makes_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
