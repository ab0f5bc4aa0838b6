#include "devices/edid.h"

#include <stdbool.h>
#include <string.h>

#include "base/bits.h"

enum { /* offsets in the base block */
       B_VENDOR = 8,
       B_PRODUCT = 10,
       B_SERIAL = 12,
       B_YEAR = 17,
       B_INPUT = 20,
       B_CM = 21,
       B_GAMMA = 23,
       B_COLOURS = 25,
       B_ESTABLISHED = 35,
       B_STANDARD = 38,
       B_DESCRIPTORS = 54,
       B_EXTENSIONS = 126,
};

enum { DESCRIPTOR = 18, CHECKSUM = 127, CTA_TAG = 0x02, DISPLAYID_TAG = 0x70, DISPLAYID_SUM = 126 };

/* A mode with CVT's reduced blanking; clock in units of 10 kHz. */
struct timing {
    uint32_t clock, width, height, hblank, hfront, hsync, vblank, vfront, vsync;
};

/* The width of the vertical sync tells the aspect ratio (CVT 1.1, table 3-2). */
static uint32_t cvt_vsync(uint32_t w, uint32_t h)
{
    static const struct {
        uint32_t w, h, lines;
    } aspects[] = {{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}};

    for (size_t i = 0; i < ARRAY_LEN(aspects); i++)
        if (w * aspects[i].h == h * aspects[i].w)
            return aspects[i].lines;
    return 10;
}

/* CVT 1.1, section 3.4, at 60 Hz: blanking of 160 pixels and at least 460 us; the clock in steps of 0.25 MHz. */
static struct timing cvt_reduced(uint32_t w, uint32_t h)
{
    struct timing t = {.width = w, .height = h, .hblank = 160, .hfront = 48, .hsync = 32, .vfront = 3};
    uint32_t least;

    t.vsync = cvt_vsync(w, h);
    least = t.vfront + t.vsync + 6;
    t.vblank = 460 * 60 * h / (1000000 - 460 * 60) + 1;
    if (t.vblank < least)
        t.vblank = least;
    t.clock = (uint32_t)(UINT64_C(60) * (w + t.hblank) * (h + t.vblank) / 250000 * 25);
    return t;
}

static bool fits_descriptor(const struct timing *t) { return t->width < 4096 && t->height < 4096 && t->clock <= 65535; }

/* Detailed timing descriptor: EDID 1.4, section 3.10.2. */
static void put_timing(uint8_t *p, const struct timing *t, uint32_t mm_w, uint32_t mm_h)
{
    st16(p, (uint16_t)t->clock);
    p[2] = (uint8_t)t->width;
    p[3] = (uint8_t)t->hblank;
    p[4] = (uint8_t)(t->width >> 8 << 4 | t->hblank >> 8);
    p[5] = (uint8_t)t->height;
    p[6] = (uint8_t)t->vblank;
    p[7] = (uint8_t)(t->height >> 8 << 4 | t->vblank >> 8);
    p[8] = (uint8_t)t->hfront;
    p[9] = (uint8_t)t->hsync;
    p[10] = (uint8_t)((t->vfront & 15) << 4 | (t->vsync & 15));
    p[11] = 0; /* upper bits of these four */
    if (mm_w < 4096 && mm_h < 4096) {
        p[12] = (uint8_t)mm_w;
        p[13] = (uint8_t)mm_h;
        p[14] = (uint8_t)(mm_w >> 8 << 4 | mm_h >> 8);
    }
    p[17] = 0x1a; /* separate digital sync, horizontal positive, vertical negative: reduced blanking */
}

/* Display descriptors: EDID 1.4, section 3.10.3. */
static void put_name(uint8_t *p)
{
    static const char text[13] = "guise\n       ";

    p[3] = 0xfc;
    memcpy(p + 5, text, sizeof text);
}

static void put_limits(uint8_t *p)
{
    static const uint8_t limits[] = {0xfd, 0,   24 /* Hz */, 75,  15 /* kHz */, 255, 255 /* 10 MHz */, 1, '\n',
                                     ' ',  ' ', ' ',         ' ', ' ',          ' '};

    memcpy(p + 3, limits, sizeof limits);
}

static void put_standard(uint8_t *p)
{
    enum { R16_10, R4_3, R5_4, R16_9 };
    static const struct {
        uint16_t width;
        uint8_t ratio;
    } modes[8] = {{1920, R16_10}, {1920, R16_9}, {1680, R16_10}, {1600, R4_3},
                  {1440, R16_10}, {1280, R5_4},  {1280, R16_10}, {1280, R16_9}};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        p[2 * i] = (uint8_t)(modes[i].width / 8 - 31);
        p[2 * i + 1] = (uint8_t)(modes[i].ratio << 6); /* 60 Hz */
    }
}

static void put_sum(uint8_t *p, unsigned from, unsigned at)
{
    uint8_t sum = 0;

    for (unsigned i = from; i < at; i++)
        sum = (uint8_t)(sum + p[i]);
    p[at] = (uint8_t)-sum;
}

static void base_block(uint8_t *p, const struct edid_options *o, const struct timing *t, uint32_t mm_w, uint32_t mm_h)
{
    static const uint8_t magic[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    static const uint8_t srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};

    memcpy(p, magic, sizeof magic);
    st16be(p + B_VENDOR, ('G' - 64) << 10 | ('U' - 64) << 5 | ('I' - 64));
    st16(p + B_PRODUCT, 1);
    st32(p + B_SERIAL, o->serial);
    p[B_YEAR] = 2026 - 1990;
    p[B_YEAR + 1] = 1; /* EDID 1.4 */
    p[B_YEAR + 2] = 4;
    p[B_INPUT] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    if (mm_w / 10 < 256 && mm_h / 10 < 256) {
        p[B_CM] = (uint8_t)(mm_w / 10);
        p[B_CM + 1] = (uint8_t)(mm_h / 10);
    }
    p[B_GAMMA] = 120;      /* 2.2 */
    p[B_GAMMA + 1] = 0x06; /* sRGB; the first timing is the native one */
    memcpy(p + B_COLOURS, srgb, sizeof srgb);
    p[B_ESTABLISHED] = 0x21;     /* 640x480, 800x600 */
    p[B_ESTABLISHED + 1] = 0x08; /* 1024x768 */
    put_standard(p + B_STANDARD);
    put_timing(p + B_DESCRIPTORS, t, mm_w, mm_h);
    put_name(p + B_DESCRIPTORS + DESCRIPTOR);
    put_limits(p + B_DESCRIPTORS + 2 * DESCRIPTOR);
    p[B_DESCRIPTORS + 3 * DESCRIPTOR + 3] = 0x10; /* dummy */
}

/* Modes too large for standard timings, in a CTA-861 block. */
static void more_modes(uint8_t *p, uint32_t mm_w, uint32_t mm_h)
{
    static const uint8_t head[] = {
        CTA_TAG, 3 /* revision */, 4 + 3 /* where timings begin */, 0x80 /* underscans */, 7 << 5 | 2, 0,
        0x4a /* video capabilities: underscans, the RGB range may be chosen */};
    static const uint16_t modes[][2] = {{2560, 1440}, {2560, 1600}, {3840, 2160}};

    memcpy(p, head, sizeof head);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct timing t = cvt_reduced(modes[i][0], modes[i][1]);

        put_timing(p + sizeof head + DESCRIPTOR * i, &t, mm_w, mm_h);
    }
    put_sum(p, 0, CHECKSUM);
}

/* Who it is and one type I timing (DisplayID 1.3, 4.1 and 4.4.1). Numbers are stored less one; bit 15: positive sync. */
static void displayid_block(uint8_t *p, const struct timing *t)
{
    static const uint8_t head[] = {DISPLAYID_TAG,
                                   0x13 /* version */,
                                   121 /* bytes */,
                                   3 /* a desktop's display */,
                                   0,
                                   0,
                                   0,
                                   12,
                                   'G',
                                   'U',
                                   'I',
                                   1,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   2026 - 2000,
                                   0, /* product */
                                   3,
                                   0,
                                   20}; /* type I timings */
    uint8_t *b = p + sizeof head;

    memcpy(p, head, sizeof head);
    st32(b, t->clock - 1);
    b[3] = 0x88; /* preferred; aspect ratio undefined */
    st16(b + 4, (uint16_t)(t->width - 1));
    st16(b + 6, (uint16_t)(t->hblank - 1));
    st16(b + 8, (uint16_t)((t->hfront - 1) | 1 << 15));
    st16(b + 10, (uint16_t)(t->hsync - 1));
    st16(b + 12, (uint16_t)(t->height - 1));
    st16(b + 14, (uint16_t)(t->vblank - 1));
    st16(b + 16, (uint16_t)(t->vfront - 1));
    st16(b + 18, (uint16_t)(t->vsync - 1));
    put_sum(p, 1, DISPLAYID_SUM);
    put_sum(p, 0, CHECKSUM);
}

size_t edid_make(uint8_t *out, const struct edid_options *o)
{
    struct timing preferred = cvt_reduced(o->width, o->height), first = preferred;
    uint32_t mm_w = o->mm_width, mm_h = o->mm_height;
    bool large = !fits_descriptor(&preferred);

    if (!mm_w || !mm_h) {
        mm_w = o->width * 254 / 960;
        mm_h = o->height * 254 / 960;
    }
    while (!fits_descriptor(&first)) /* a smaller picture of that shape, for who does not know DisplayID */
        first = cvt_reduced((first.width + 1) / 2, (first.height + 1) / 2);
    memset(out, 0, EDID_MAX);
    base_block(out, o, &first, mm_w, mm_h);
    out[B_EXTENSIONS] = large ? 2 : 1;
    put_sum(out, 0, CHECKSUM);
    more_modes(out + EDID_BLOCK, mm_w, mm_h);
    if (large)
        displayid_block(out + 2 * EDID_BLOCK, &preferred);
    return large ? 3 * EDID_BLOCK : 2 * EDID_BLOCK;
}
