/* Cells onto pixels. See text_draw.h. */
#include "frontend/ui/text_draw.h"

#include <stdlib.h>
#include <string.h>

enum { MIXES = 16 };

/* All the colours between two, by coverage: most text has few pairs, so a pixel is a look-up. */
struct mix {
    bool valid;
    uint32_t fg, bg, px[256];
};

struct text_draw {
    unsigned cols, rows, x, y;
    struct term_cell *cell, *drawn;
    bool all, margins, blinks;
    bool blink_off; /* as drawn */
    uint32_t background;
    struct mix mix[MIXES];
};

struct text_draw *text_draw_new(void) { return calloc(1, sizeof(struct text_draw)); }

void text_draw_free(struct text_draw *d)
{
    if (!d)
        return;
    free(d->cell);
    free(d->drawn);
    free(d);
}

bool text_draw_resize(struct text_draw *d, unsigned cols, unsigned rows, unsigned x, unsigned y)
{
    struct term_cell *cell = calloc((size_t)cols * rows, sizeof *cell),
                     *drawn = calloc((size_t)cols * rows, sizeof *drawn);

    if (!cell || !drawn) {
        free(cell);
        free(drawn);
        return false;
    }
    free(d->cell);
    free(d->drawn);
    d->cell = cell;
    d->drawn = drawn;
    d->cols = cols;
    d->rows = rows;
    d->x = x;
    d->y = y;
    d->all = d->margins = true;
    return true;
}

void text_draw_all(struct text_draw *d, uint32_t background)
{
    d->all = d->margins = true;
    d->background = background;
}

struct term_cell *text_draw_cells(struct text_draw *d) { return d->cell; }
bool text_draw_blinks(const struct text_draw *d) { return d->blinks; }

/* --- pixels --- */

static void make_mix(struct mix *m, uint32_t fg, uint32_t bg)
{
    m->valid = true;
    m->fg = fg;
    m->bg = bg;
    for (uint32_t a = 0; a < 256; a++) {
        uint32_t px = 0;

        for (unsigned shift = 0; shift < 24; shift += 8) {
            uint32_t f = fg >> shift & 0xff, b = bg >> shift & 0xff;

            px |= (f * a + b * (255 - a) + 127) / 255 << shift;
        }
        m->px[a] = px;
    }
}

static const uint32_t *mix_of(struct text_draw *d, uint32_t fg, uint32_t bg)
{
    struct mix *m = &d->mix[((fg * 31 + bg) * UINT32_C(0x9e3779b1)) >> 28];

    if (!m->valid || m->fg != fg || m->bg != bg)
        make_mix(m, fg, bg);
    return m->px;
}

static void fill(const struct canvas *c, unsigned x, unsigned y, unsigned w, unsigned h, uint32_t px)
{
    if (x >= c->width || y >= c->height)
        return;
    w = w < c->width - x ? w : c->width - x;
    h = h < c->height - y ? h : c->height - y;
    for (; h; h--, y++)
        for (unsigned i = 0; i < w; i++)
            c->px[(size_t)y * c->stride + x + i] = px;
}

static void picture(const struct canvas *c, unsigned x, unsigned y, unsigned w, unsigned h, const uint8_t *a,
                    const uint32_t *mix)
{
    unsigned stride = w;

    if (x >= c->width || y >= c->height)
        return;
    w = w < c->width - x ? w : c->width - x;
    h = h < c->height - y ? h : c->height - y;
    for (; h; h--, y++, a += stride) {
        uint32_t *px = c->px + (size_t)y * c->stride + x;

        for (unsigned i = 0; i < w; i++)
            px[i] = mix[a[i]];
    }
}

/* --- a cell --- */

struct box {
    unsigned x, y, w, h;
};

static void underline(const struct font *f, const struct canvas *c, const struct box *b, unsigned kind, uint32_t px)
{
    unsigned t = font_thickness(f), y = b->y + font_baseline(f) + 1 + t / 2, end = b->y + b->h;

    y = y + t <= end ? y : end - t;
    switch (kind) {
    case 1: fill(c, b->x, y, b->w, t, px); break;
    case 2:
        y = y + 3 * t <= end ? y : end - 3 * t;
        fill(c, b->x, y, b->w, t, px);
        fill(c, b->x, y + 2 * t, b->w, t, px);
        break;
    case 3: /* a zigzag of two by two */
        y = y + 2 * t <= end ? y : end - 2 * t;
        for (unsigned x = 0; x < b->w; x += t)
            fill(c, b->x + x, y + ((b->x + x) / t / 2 % 2 ? t : 0), t, t, px);
        break;
    default: break;
    }
}

static void cursor(const struct font *f, const struct canvas *c, const struct box *b, uint32_t bits, uint32_t px)
{
    unsigned t = font_thickness(f), bar = t + (t + 1) / 2;

    if (bits & TEXT_CURSOR_BAR)
        fill(c, b->x, b->y, bar, b->h, px);
    if (bits & TEXT_CURSOR_LINE)
        fill(c, b->x, b->y + b->h - bar, b->w, bar, px);
    if (bits & TEXT_CURSOR_HOLLOW) {
        fill(c, b->x, b->y, b->w, t, px);
        fill(c, b->x, b->y + b->h - t, b->w, t, px);
        fill(c, b->x, b->y, t, b->h, px);
        fill(c, b->x + b->w - t, b->y, t, b->h, px);
    }
}

static unsigned style_of(uint32_t fg)
{
    return (fg & CELL_BOLD ? FONT_BOLD : 0) | (fg & CELL_ITALIC ? FONT_ITALIC : 0);
}

static void draw_cell(struct text_draw *d, struct font *f, const struct canvas *c, const struct term_cell *cell,
                      const struct box *b)
{
    uint32_t bg = cell->bg & CELL_RGB, fg = cell->fg & CELL_BLINK && d->blink_off ? bg : cell->fg & CELL_RGB;
    const uint8_t *a = NULL;

    if (cell->ch != TERM_TAIL)
        a = font_glyph(f, cell->ch, cell->mark, style_of(cell->fg), cell->fg & CELL_WIDE);
    if (a)
        picture(c, b->x, b->y, b->w, b->h, a, mix_of(d, fg, bg));
    else
        fill(c, b->x, b->y, b->w, b->h, bg);
    underline(f, c, b, (cell->bg & CELL_UNDERLINE) >> CELL_UNDERLINE_SHIFT, fg);
    if (cell->fg & CELL_STRIKE)
        fill(c, b->x, b->y + font_baseline(f) * 2 / 3, b->w, font_thickness(f), fg);
    cursor(f, c, b, cell->bg, cell->fg & CELL_RGB);
}

/* --- what changed --- */

static bool same(const struct text_draw *d, size_t i, bool blink_turned)
{
    return !d->all && !memcmp(&d->cell[i], &d->drawn[i], sizeof *d->cell) &&
           !(blink_turned && d->cell[i].fg & CELL_BLINK);
}

static void add_rect(struct ui_rect *rect, unsigned *n, struct ui_rect r)
{
    struct ui_rect *last = *n ? &rect[*n - 1] : NULL;

    if (last && (*n == UI_RECTS || (last->y + last->h == r.y && last->x <= r.x + r.w && r.x <= last->x + last->w))) {
        uint32_t x1 = last->x + last->w > r.x + r.w ? last->x + last->w : r.x + r.w;

        last->x = last->x < r.x ? last->x : r.x;
        last->w = x1 - last->x;
        last->h = r.y + r.h - last->y;
        return;
    }
    rect[(*n)++] = r;
}

/* The cells of one row that differ; returns whether any did. */
static bool draw_row(struct text_draw *d, struct font *f, const struct canvas *c, unsigned row, bool blink_turned,
                     struct ui_rect *changed)
{
    unsigned w = font_cell_w(f), h = font_cell_h(f), first = d->cols, last = 0;
    size_t base = (size_t)row * d->cols;

    for (unsigned col = 0; col < d->cols; col++) {
        const struct term_cell *cell = &d->cell[base + col];
        struct box b = {d->x + col * w, d->y + row * h, w, h};
        bool wide = cell->fg & CELL_WIDE && col + 1 < d->cols;

        d->blinks |= (cell->fg & CELL_BLINK) != 0;
        if (same(d, base + col, blink_turned) && !(wide && !same(d, base + col + 1, blink_turned)))
            continue;
        first = first < col ? first : col;
        last = col + 1 + wide;
        b.w += wide ? w : 0;
        draw_cell(d, f, c, cell, &b);
        d->drawn[base + col] = *cell;
        if (wide) {
            d->drawn[base + col + 1] = d->cell[base + col + 1];
            col++;
        }
    }
    *changed = (struct ui_rect){d->x + first * w, d->y + row * h, (last - first) * w, h};
    return first < last;
}

static void margins(const struct text_draw *d, const struct font *f, const struct canvas *c)
{
    unsigned right = d->x + d->cols * font_cell_w(f), bottom = d->y + d->rows * font_cell_h(f);

    fill(c, 0, 0, c->width, d->y, d->background);
    fill(c, 0, d->y, d->x, bottom - d->y, d->background);
    fill(c, right, d->y, c->width, bottom - d->y, d->background);
    fill(c, 0, bottom, c->width, c->height, d->background);
}

unsigned text_draw(struct text_draw *d, struct font *f, const struct canvas *c, bool blink_off,
                   struct ui_rect rect[UI_RECTS])
{
    bool all = d->all, turned = blink_off != d->blink_off;
    unsigned n = 0;

    d->blink_off = blink_off;
    d->blinks = false;
    for (unsigned row = 0; row < d->rows; row++) {
        struct ui_rect r;

        if (draw_row(d, f, c, row, turned, &r))
            add_rect(rect, &n, r);
    }
    if (all) {
        margins(d, f, c);
        rect[0] = (struct ui_rect){0, 0, c->width, c->height};
        n = 1;
    }
    d->all = d->margins = false;
    return n;
}

unsigned text_draw_string(struct font *f, const struct canvas *c, int x, int y, const char *ascii, uint32_t fg,
                          uint32_t bg, unsigned style)
{
    static const uint16_t no_mark[2];
    struct mix m;
    unsigned w = font_cell_w(f), at = 0;

    make_mix(&m, fg, bg);
    for (; *ascii; ascii++, at += w) {
        const uint8_t *a = font_glyph(f, (unsigned char)*ascii, no_mark, style, false);

        if (a && x >= 0 && y >= 0)
            picture(c, (unsigned)x + at, (unsigned)y, w, font_cell_h(f), a, m.px);
    }
    return at;
}
