/* Pixels out of a display: the conversion of every format, and pictures in files. PPM: netpbm's P6; PNG by libpng. */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"

/* A row of n pixels at p, to XRGB8888. */
static void row_xrgb(const uint8_t *p, uint32_t *out, uint32_t n) { memcpy(out, p, sizeof *out * n); }

static void row_xbgr(const uint8_t *p, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = __builtin_bswap32(ld32(p + 4 * i)) >> 8;
}

static void row_bgrx(const uint8_t *p, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = __builtin_bswap32(ld32(p + 4 * i));
}

static void row_rgbx(const uint8_t *p, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = ld32(p + 4 * i) >> 8;
}

static void row_rgb888(const uint8_t *p, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, p += 3)
        out[i] = (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The upper bits are repeated below, so that white is white. */
static void row_rgb565(const uint8_t *p, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = ld16(p + 2 * i), r = v >> 11, g = v >> 5 & 63, b = v & 31;

        out[i] = (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
    }
}

static void (*const rows[])(const uint8_t *p, uint32_t *out, uint32_t n) = {
    [PIXEL_XRGB8888] = row_xrgb, [PIXEL_XBGR8888] = row_xbgr, [PIXEL_BGRX8888] = row_bgrx,
    [PIXEL_RGBX8888] = row_rgbx, [PIXEL_RGB888] = row_rgb888, [PIXEL_RGB565] = row_rgb565,
};

void display_read(const struct surface *s, const struct display_rect *r, uint32_t *out, size_t out_stride)
{
    for (uint32_t y = 0; y < r->h; y++) {
        const uint8_t *from = s->data + (size_t)(r->y + y) * s->stride + (size_t)r->x * pixel_bytes(s->format);

        rows[s->format](from, (uint32_t *)(void *)((uint8_t *)out + y * out_stride), r->w);
    }
}

struct shot {
    uint32_t width, height;
    uint8_t *rgb; /* 3 bytes a pixel */
};

static void pack_rgb(const uint32_t *in, uint8_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, out += 3) {
        out[0] = (uint8_t)(in[i] >> 16);
        out[1] = (uint8_t)(in[i] >> 8);
        out[2] = (uint8_t)in[i];
    }
}

/* A copy of what is there now, so that writing the file holds nobody up. */
static bool take(struct display *d, struct shot *shot)
{
    const struct surface *s;
    uint32_t *line = malloc(sizeof *line * DISPLAY_MAX);

    display_refresh(d);
    s = display_lock(d);
    *shot = (struct shot){s->width, s->height, NULL};
    errno = s->data ? ENOMEM : ENODATA;
    if (s->data && line)
        shot->rgb = malloc((size_t)3 * s->width * s->height);
    for (uint32_t y = 0; shot->rgb && y < s->height; y++) {
        display_read(s, &(struct display_rect){0, y, s->width, 1}, line, 0);
        pack_rgb(line, shot->rgb + (size_t)3 * y * s->width, s->width);
    }
    display_unlock(d);
    free(line);
    return shot->rgb != NULL;
}

static bool write_ppm(FILE *f, const struct shot *s)
{
    fprintf(f, "P6\n%u %u\n255\n", s->width, s->height);
    return fwrite(s->rgb, 3 * (size_t)s->width, s->height, f) == s->height;
}

static bool write_png(FILE *f, const struct shot *s)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = s->width,
                       .height = s->height,
                       .format = PNG_FORMAT_RGB,
                       .flags = PNG_IMAGE_FLAG_FAST}; /* a screenshot holds the caller up */
    bool ok;

    errno = 0;
    ok = png_image_write_to_stdio(&image, f, 0, s->rgb, 0, NULL);
    if (!ok && !errno)
        errno = EIO;
    png_image_free(&image);
    return ok;
}

static bool shoot(struct display *d, const char *path, bool (*write)(FILE *f, const struct shot *s))
{
    struct shot s;
    FILE *f;
    bool ok;
    int why;

    if (!take(d, &s))
        return false;
    f = fopen(path, "wbe");
    ok = f && write(f, &s);
    why = errno;
    if (f && fclose(f) && ok) {
        ok = false;
        why = errno;
    }
    free(s.rgb);
    errno = why;
    return ok;
}

bool display_png(struct display *d, const char *path) { return shoot(d, path, write_png); }
bool display_ppm(struct display *d, const char *path) { return shoot(d, path, write_ppm); }
