/*
 * Scaling of pictures; see view.h.
 *
 * Linear: a source row is scaled to the width of the view once and kept while it is one of the two that the rows of the frame
 * lie between; then each row of the frame is a mixture of two lines. Channels are mixed two at a time: 0x00RR00BB
 * and 0x0000GG00 leave room for a weight of 8 bits.
 */
#include "frontend/ui/view.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 32768 }; /* pixels a side, so that products of three fit */

void canvas_fill(const struct canvas *c, struct ui_rect r, uint32_t rgb)
{
    for (uint32_t y = r.y; y < r.y + r.h; y++)
        for (uint32_t x = r.x; x < r.x + r.w; x++)
            c->px[(size_t)y * c->stride + x] = rgb;
}

void view_fini(struct view *v)
{
    free(v->col);
    free(v->line[0]);
    free(v->line[1]);
    *v = (struct view){0};
}

/* Source position of the middle of each pixel of the frame, in 1/256 of a pixel, and not beyond the last. */
static uint32_t source_of(uint32_t i, uint32_t to, uint32_t from)
{
    int64_t at = ((int64_t)(2 * i + 1) * from * 256 / to - 256) / 2;

    if (at < 0)
        return 0;
    return at > (int64_t)(from - 1) * 256 ? (from - 1) * 256 : (uint32_t)at;
}

static bool make_tables(struct view *v)
{
    v->col = malloc(v->w * sizeof *v->col);
    for (unsigned i = 0; i < 2; i++)
        v->line[i] = malloc(v->w * sizeof *v->line[i]);
    if (!v->col || !v->line[0] || !v->line[1])
        return false;
    for (uint32_t x = 0; x < v->w; x++)
        v->col[x] = source_of(x, v->w, v->pic_w);
    return true;
}

static void place(struct view *v, uint32_t w, uint32_t h)
{
    v->w = w;
    v->h = h;
    v->x = (v->frame_w - w) / 2;
    v->y = (v->frame_h - h) / 2;
}

static void fit(struct view *v)
{
    if ((uint64_t)v->frame_w * v->pic_h <= (uint64_t)v->frame_h * v->pic_w)
        place(v, v->frame_w, (uint32_t)((uint64_t)v->pic_h * v->frame_w / v->pic_w));
    else
        place(v, (uint32_t)((uint64_t)v->pic_w * v->frame_h / v->pic_h), v->frame_h);
}

bool view_set(struct view *v, uint32_t frame_w, uint32_t frame_h, uint32_t pic_w, uint32_t pic_h, bool whole)
{
    uint32_t times;

    view_fini(v);
    v->frame_w = frame_w;
    v->frame_h = frame_h;
    if (!frame_w || !frame_h || !pic_w || !pic_h || frame_w > MOST || frame_h > MOST || pic_w > MOST || pic_h > MOST)
        return true;
    v->pic_w = pic_w;
    v->pic_h = pic_h;
    times = frame_w / pic_w < frame_h / pic_h ? frame_w / pic_w : frame_h / pic_h;
    fit(v);
    if (times && (whole || v->w - pic_w * times <= frame_w / 50)) {
        place(v, pic_w * times, pic_h * times);
        v->how = times == 1 ? VIEW_DIRECT : VIEW_WHOLE;
        return true;
    }
    if (!v->w || !v->h) {
        v->x = v->y = v->w = v->h = 0;
        return true;
    }
    v->how = v->w * 2 < pic_w ? VIEW_AVERAGE : VIEW_LINEAR;
    if (v->how == VIEW_AVERAGE || make_tables(v))
        return true;
    view_fini(v);
    return false;
}

void view_point(const struct view *v, int32_t fx, int32_t fy, int32_t *x, int32_t *y)
{
    int64_t px = (int64_t)fx - v->x, py = (int64_t)fy - v->y;

    if (!v->w || !v->h) {
        *x = *y = 0;
        return;
    }
    px *= v->pic_w;
    py *= v->pic_h;
    *x = (int32_t)(px < 0 ? -((-px + v->w - 1) / v->w) : px / v->w);
    *y = (int32_t)(py < 0 ? -((-py + v->h - 1) / v->h) : py / v->h);
}

/* The span of `to` pixels that from..from+len of `of` source pixels have an influence on. */
static void span(uint32_t from, uint32_t len, uint32_t of, uint32_t to, uint32_t reach, uint32_t *first,
                 uint32_t *count)
{
    uint64_t lo = from > reach ? from - reach : 0, hi = (uint64_t)from + len + reach;

    if (hi > of)
        hi = of;
    *first = (uint32_t)(lo * to / of);
    *count = (uint32_t)((hi * to + of - 1) / of) - *first;
}

struct ui_rect view_rect(const struct view *v, struct ui_rect r)
{
    uint32_t reach = v->how == VIEW_LINEAR;
    struct ui_rect out = {0};

    if (!v->w || !v->h || !r.w || !r.h || r.x >= v->pic_w || r.y >= v->pic_h)
        return out;
    span(r.x, r.w, v->pic_w, v->w, reach, &out.x, &out.w);
    span(r.y, r.h, v->pic_h, v->h, reach, &out.y, &out.h);
    out.x += v->x;
    out.y += v->y;
    return out;
}

static uint32_t mix(uint32_t a, uint32_t b, uint32_t weight)
{
    uint32_t rb = ((a & 0xff00ff) * (256 - weight) + (b & 0xff00ff) * weight) >> 8;
    uint32_t g = ((a & 0x00ff00) * (256 - weight) + (b & 0x00ff00) * weight) >> 8;

    return (rb & 0xff00ff) | (g & 0x00ff00);
}

static void copy_rows(const struct view *v, const struct canvas *pic, struct ui_rect o, const struct canvas *frame)
{
    for (uint32_t y = o.y; y < o.y + o.h; y++)
        memcpy(frame->px + (size_t)y * frame->stride + o.x, pic->px + (size_t)(y - v->y) * pic->stride + (o.x - v->x),
               o.w * sizeof *pic->px);
}

static void draw_whole(const struct view *v, const struct canvas *pic, struct ui_rect o, const struct canvas *frame)
{
    uint32_t times = v->w / v->pic_w;

    for (uint32_t y = o.y; y < o.y + o.h; y++) {
        const uint32_t *in = pic->px + (size_t)((y - v->y) / times) * pic->stride;
        uint32_t *out = frame->px + (size_t)y * frame->stride;

        if (y > o.y && (y - v->y) % times) { /* as the row before */
            memcpy(out + o.x, out + o.x - frame->stride, o.w * sizeof *out);
            continue;
        }
        for (uint32_t x = o.x, at = (o.x - v->x) / times, n = (o.x - v->x) % times; x < o.x + o.w; x++) {
            out[x] = in[at];
            if (++n == times)
                n = 0, at++;
        }
    }
}

static void scale_line(const struct view *v, const struct canvas *pic, uint32_t row, uint32_t x0, uint32_t n,
                       uint32_t *line)
{
    const uint32_t *in = pic->px + (size_t)row * pic->stride;

    for (uint32_t x = x0; x < x0 + n; x++) {
        uint32_t at = v->col[x] >> 8, weight = v->col[x] & 255;

        line[x] = weight ? mix(in[at], in[at + 1], weight) : in[at];
    }
}

static void draw_linear(struct view *v, const struct canvas *pic, struct ui_rect o, const struct canvas *frame)
{
    uint32_t held[2] = {UINT32_MAX, UINT32_MAX}, x0 = o.x - v->x; /* which source rows the lines hold */

    for (uint32_t y = o.y; y < o.y + o.h; y++) {
        uint32_t at = source_of(y - v->y, v->h, v->pic_h), row = at >> 8, weight = at & 255;
        uint32_t *out = frame->px + (size_t)y * frame->stride + v->x;

        for (uint32_t k = row; k <= row + (weight > 0); k++)
            if (held[k & 1] != k) {
                scale_line(v, pic, k, x0, o.w, v->line[k & 1]);
                held[k & 1] = k;
            }
        if (!weight) {
            memcpy(out + x0, v->line[row & 1] + x0, o.w * sizeof *out);
            continue;
        }
        for (uint32_t x = x0; x < x0 + o.w; x++)
            out[x] = mix(v->line[row & 1][x], v->line[(row + 1) & 1][x], weight);
    }
}

/* The mean of a block of source pixels. */
static uint32_t average(const struct canvas *pic, uint32_t x0, uint32_t x1, uint32_t y0, uint32_t y1)
{
    uint64_t r = 0, g = 0, b = 0, n = (x1 - x0) * (y1 - y0);

    for (uint32_t y = y0; y < y1; y++)
        for (uint32_t x = x0; x < x1; x++) {
            uint32_t p = pic->px[(size_t)y * pic->stride + x];

            r += p >> 16 & 255;
            g += p >> 8 & 255;
            b += p & 255;
        }
    return (uint32_t)(r / n << 16 | g / n << 8 | b / n);
}

static void draw_average(const struct view *v, const struct canvas *pic, struct ui_rect o, const struct canvas *frame)
{
    for (uint32_t y = o.y; y < o.y + o.h; y++) {
        uint32_t y0 = (uint32_t)((uint64_t)(y - v->y) * v->pic_h / v->h);
        uint32_t y1 = (uint32_t)((uint64_t)(y - v->y + 1) * v->pic_h / v->h);

        for (uint32_t x = o.x; x < o.x + o.w; x++) {
            uint32_t x0 = (uint32_t)((uint64_t)(x - v->x) * v->pic_w / v->w);
            uint32_t x1 = (uint32_t)((uint64_t)(x - v->x + 1) * v->pic_w / v->w);

            frame->px[(size_t)y * frame->stride + x] = average(pic, x0, x1, y0, y1 > y0 ? y1 : y0 + 1);
        }
    }
}

struct ui_rect view_draw(struct view *v, const struct canvas *pic, struct ui_rect r, const struct canvas *frame)
{
    struct ui_rect o = view_rect(v, r);

    if (!o.w || !o.h)
        return o;
    switch (v->how) {
    case VIEW_DIRECT: copy_rows(v, pic, o, frame); break;
    case VIEW_WHOLE: draw_whole(v, pic, o, frame); break;
    case VIEW_LINEAR: draw_linear(v, pic, o, frame); break;
    case VIEW_AVERAGE: draw_average(v, pic, o, frame); break;
    }
    return o;
}

unsigned view_borders(const struct view *v, const struct canvas *frame, struct ui_rect out[4])
{
    uint32_t right = v->x + v->w, below = v->y + v->h;
    const struct ui_rect r[4] = {{0, 0, v->frame_w, v->y},
                                 {0, below, v->frame_w, v->frame_h - below},
                                 {0, v->y, v->x, v->h},
                                 {right, v->y, v->frame_w - right, v->h}};
    unsigned n = 0;

    for (unsigned i = 0; i < 4; i++)
        if (r[i].w && r[i].h) {
            canvas_fill(frame, r[i], 0);
            out[n++] = r[i];
        }
    return n;
}
