/* Pictures of characters: they fill cells, lines join, styles differ, the cache is bounded and gives the same again. */
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/font.h"
#include "tests/unit/check.h"

static const uint16_t none[2];
static const double sizes[] = {6, 13, 14.667, 22, 29.3, 100};

static struct font *open_font(double px)
{
    struct err e;
    struct font *f = font_new(px, &e);

    CHECK(f);
    return f;
}

static unsigned long ink(const uint8_t *a, unsigned n)
{
    unsigned long sum = 0;

    for (unsigned i = 0; a && i < n; i++)
        sum += a[i];
    return sum;
}

static void characters_have_shapes_and_styles(void **state)
{
    (void)state;
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct font *f = open_font(sizes[s]);
        unsigned n = font_cell_w(f) * font_cell_h(f);
        unsigned long plain, bold, slanted;

        CHECK(font_baseline(f) < font_cell_h(f));
        CHECK(font_cell_h(f) > font_cell_w(f));
        CHECK(!font_glyph(f, ' ', none, 0, false));
        CHECK(!font_glyph(f, 0, none, 0, false));
        plain = ink(font_glyph(f, 'm', none, 0, false), n);
        bold = ink(font_glyph(f, 'm', none, FONT_BOLD, false), n);
        slanted = ink(font_glyph(f, 'm', none, FONT_ITALIC, false), n);
        CHECK(plain > 0 && bold > plain && slanted > 0);
        CHECK(ink(font_glyph(f, 0xe000, none, 0, false), n) > 0); /* a character no font has: a box */
        font_free(f);
    }
}

static void marks_lie_over_their_character(void **state)
{
    struct font *f = open_font(29.3);
    unsigned n = font_cell_w(f) * font_cell_h(f), top = font_baseline(f) / 3 * font_cell_w(f);
    uint16_t acute[2] = {0x301, 0};
    unsigned long plain = ink(font_glyph(f, 'e', none, 0, false), n);
    const uint8_t *a;

    (void)state;
    CHECK_EQ(ink(font_glyph(f, 'e', none, 0, false), top), 0);
    a = font_glyph(f, 'e', acute, 0, false);
    CHECK(ink(a, n) > plain);
    CHECK(ink(a, top) > 0);
    font_free(f);
}

/* An edge of a picture, as it lies beside the next cell. */
static void edge(const uint8_t *a, unsigned w, unsigned h, char side, uint8_t *out)
{
    for (unsigned i = 0; i < (side == 'l' || side == 'r' ? h : w); i++)
        out[i] = side == 'l' ? a[i * w] : side == 'r' ? a[i * w + w - 1] : side == 'u' ? a[i] : a[(h - 1) * w + i];
}

/* left and right (or up and down) of each pair must show the same where they touch. */
static void lines_join(void **state)
{
    static const struct {
        uint32_t a;
        char side;
        uint32_t b;
    } pairs[] = {
        {0x2500, 'r', 0x2500}, {0x2500, 'r', 0x253c}, {0x250c, 'r', 0x2500}, {0x256d, 'r', 0x2500},
        {0x2502, 'd', 0x2502}, {0x2502, 'd', 0x2514}, {0x256e, 'd', 0x2502}, {0x2501, 'r', 0x254b},
        {0x2503, 'd', 0x251b}, {0x2550, 'r', 0x2550}, {0x2554, 'r', 0x2557}, {0x2550, 'r', 0x256c},
        {0x2551, 'd', 0x255d}, {0x2553, 'r', 0x2556}, {0x2552, 'r', 0x2555}, {0x255f, 'r', 0x2562},
        {0x255e, 'r', 0x2561}, {0x2565, 'd', 0x2568}, {0x2588, 'r', 0x2588},
    };

    (void)state;
    for (unsigned s = 1; s < sizeof sizes / sizeof *sizes; s++) { /* in the smallest heavy lines fill the cell */
        struct font *f = open_font(sizes[s]);
        unsigned w = font_cell_w(f), h = font_cell_h(f);

        for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            uint8_t a[300], b[300];
            unsigned n = pairs[i].side == 'r' ? h : w;

            edge(font_glyph(f, pairs[i].a, none, 0, false), w, h, pairs[i].side, a);
            edge(font_glyph(f, pairs[i].b, none, 0, false), w, h, pairs[i].side == 'r' ? 'l' : 'u', b);
            CHECK(ink(a, n) > 0);
            if (memcmp(a, b, n))
                fail_msg("U+%04x and U+%04x do not join at %g pixels", pairs[i].a, pairs[i].b, sizes[s]);
        }
        font_free(f);
    }
}

static void blocks_fill_what_they_say(void **state)
{
    struct font *f = open_font(14.667);
    unsigned n = font_cell_w(f) * font_cell_h(f);
    uint8_t upper[400];

    (void)state;
    CHECK(n <= sizeof upper);
    CHECK_EQ(ink(font_glyph(f, 0x2588, none, 0, false), n), 255ul * n);
    memcpy(upper, font_glyph(f, 0x2580, none, 0, false), n);
    for (unsigned i = 0; i < n; i++)
        CHECK(font_glyph(f, 0x2584, none, 0, false)[i] + upper[i] >= 255); /* no seam */
    CHECK(ink(font_glyph(f, 0x2591, none, 0, false), n) < ink(font_glyph(f, 0x2593, none, 0, false), n));
    for (uint32_t ch = 0x2500; ch < 0x25a0; ch++) /* none is empty */
        CHECK(ink(font_glyph(f, ch, none, 0, false), n) > 0);
    font_free(f);
}

static void the_cache_forgets_and_draws_the_same_again(void **state)
{
    struct font *f = open_font(14.667);
    unsigned n = font_cell_w(f) * font_cell_h(f);
    uint8_t before[400];

    (void)state;
    memcpy(before, font_glyph(f, 'A', none, 0, false), n);
    for (uint32_t ch = 0x2801; ch < 0x2801 + 30000; ch++)
        font_glyph(f, 0x2800 + ch % 256,
                   (uint16_t[]){(uint16_t)(0xfe00 + ch / 256 % 16), (uint16_t)(0xfe00 + ch / 4096)}, 0, false);
    CHECK(!memcmp(before, font_glyph(f, 'A', none, 0, false), n));
    font_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_shapes_and_styles),
        cmocka_unit_test(marks_lie_over_their_character),
        cmocka_unit_test(lines_join),
        cmocka_unit_test(blocks_fill_what_they_say),
        cmocka_unit_test(the_cache_forgets_and_draws_the_same_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
