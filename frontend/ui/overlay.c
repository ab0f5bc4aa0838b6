/*
 * See overlay.h. All text here has cells of one size (font.h), so that a box is measured in columns and rows.
 */
#include "frontend/ui/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/ui/font.h"
#include "frontend/ui/ui_parts.h"
#include "frontend/ui/view.h"

enum {
    INK = 0xe8e8e8,
    PAPER = 0x202428,
    EDGE = 0x707880,
    MARK = 0x2f5d8a,
    FAINT = 0x98a0a8,
    COLUMNS_MOST = 100, /* of a message */
    LINES_MOST = 24,
};

enum { POINT_PX = 15 }; /* of the font's em on an ordinary screen */

struct cells {
    struct font *font;  /* NULL: none on this system; boxes are empty then */
    uint32_t w, h, pad; /* pixels */
};

static struct cells cells(struct ui *ui, double density)
{
    struct cells c = {.w = (uint32_t)(9 * density), .h = (uint32_t)(18 * density), .pad = (uint32_t)(10 * density)};
    struct err e;

    if (ui->font && ui->font_density != density)
        overlay_font_free(ui);
    if (!ui->font && !ui->no_font) {
        ui->font = font_new(POINT_PX * density, &e);
        ui->font_density = density;
        ui->no_font = !ui->font;
    }
    c.font = ui->font;
    if (c.font) {
        c.w = font_cell_w(c.font);
        c.h = font_cell_h(c.font);
    }
    return c;
}

void overlay_font_free(struct ui *ui)
{
    if (ui->font)
        font_free(ui->font);
    ui->font = NULL;
}

/* The character at *s, and beyond it; a byte that begins none is a question mark. */
static uint32_t next_char(const char **s, const char *end)
{
    unsigned char c = (unsigned char)*(*s)++;
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    uint32_t ch = more ? c & (0x3fu >> more) : c;

    if (c >= 0x80 && !more)
        return '?';
    while (more-- && *s < end && ((unsigned char)**s & 0xc0) == 0x80)
        ch = ch << 6 | ((unsigned char)*(*s)++ & 0x3f);
    return ch;
}

static uint32_t mix(uint32_t below, uint32_t ink, unsigned a)
{
    uint32_t out = 0;

    for (unsigned shift = 0; shift < 24; shift += 8)
        out |= ((below >> shift & 255) * (255 - a) + (ink >> shift & 255) * a) / 255 << shift;
    return out;
}

static void put_glyph(const struct cells *c, const struct canvas *f, uint32_t x0, uint32_t y0, const uint8_t *cover,
                      uint32_t ink)
{
    for (uint32_t y = 0; y < c->h && y0 + y < f->height; y++)
        for (uint32_t x = 0; x < c->w && x0 + x < f->width; x++) {
            uint32_t *px = &f->px[(size_t)(y0 + y) * f->stride + x0 + x];

            *px = mix(*px, ink, cover[y * c->w + x]);
        }
}

static void put(const struct cells *c, const struct canvas *f, uint32_t x, uint32_t y, const char *text, size_t len,
                uint32_t ink)
{
    static const uint16_t no_mark[2] = {0, 0};

    for (const char *s = text; c->font && s < text + len; x += c->w) {
        const uint8_t *cover = font_glyph(c->font, next_char(&s, text + len), no_mark, 0, false);

        if (cover)
            put_glyph(c, f, x, y, cover, ink);
    }
}

bool overlay_touched(const struct overlay *o, const struct ui_rect *rect, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (rect[i].x < o->at.x + o->at.w && o->at.x < rect[i].x + rect[i].w && rect[i].y < o->at.y + o->at.h &&
            o->at.y < rect[i].y + rect[i].h)
            return true;
    return false;
}

/* A box of w x h pixels inside, with an edge; where its inside begins. Cut to the frame. */
static void box(struct overlay *o, const struct canvas *f, uint32_t w, uint32_t h, uint32_t pad,
                enum overlay_place place)
{
    uint32_t bw = w + 2 * pad, bh = h + 2 * pad, off;

    bw = bw > f->width ? f->width : bw;
    bh = bh > f->height ? f->height : bh;
    off = place == OVERLAY_BOTTOM && f->height - bh > 4 * pad ? f->height - bh - 2 * pad : (f->height - bh) / 2;
    o->at = (struct ui_rect){(f->width - bw) / 2, off, bw, bh};
    canvas_fill(f, o->at, EDGE);
    if (bw > 2 && bh > 2)
        canvas_fill(f, (struct ui_rect){o->at.x + 1, o->at.y + 1, bw - 2, bh - 2}, PAPER);
}

/* --- messages --- */

struct line {
    const char *text;
    size_t len;
};

/* Columns that so many bytes of UTF-8 take: one a character. */
static size_t columns(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* The next line of *text, at most `most` columns wide: broken at a space if there is one. */
static struct line next_line(const char **text, size_t most)
{
    size_t len = strcspn(*text, "\n"), n = 0, col = 0, space = 0;
    struct line l = {*text, len};

    while (n < len && col < most) {
        if ((*text)[n] == ' ')
            space = n;
        n++;
        while (n < len && ((unsigned char)(*text)[n] & 0xc0) == 0x80)
            n++;
        col++;
    }
    if (n < len && (*text)[n] == ' ')
        space = n;
    if (n < len)
        l.len = space ? space : n;
    *text += l.len;
    *text += **text == ' ' || **text == '\n';
    return l;
}

void overlay_text(struct ui *ui, struct overlay *o, const struct canvas *f, double density, enum overlay_place place,
                  const char *text)
{
    struct cells c = cells(ui, density);
    size_t most = f->width > 2 * c.pad + c.w ? (f->width - 2 * c.pad) / c.w : 1, wide = 0;
    struct line line[LINES_MOST];
    unsigned n = 0;

    most = most > COLUMNS_MOST ? COLUMNS_MOST : most;
    while (*text && n < LINES_MOST) {
        line[n] = next_line(&text, most);
        if (columns(line[n].text, line[n].len) > wide)
            wide = columns(line[n].text, line[n].len);
        n++;
    }
    box(o, f, (uint32_t)wide * c.w, n * c.h, c.pad, place);
    for (unsigned i = 0; i < n; i++) {
        uint32_t spare = ((uint32_t)wide - (uint32_t)columns(line[i].text, line[i].len)) * c.w / 2;

        put(&c, f, o->at.x + c.pad + spare, o->at.y + c.pad + i * c.h, line[i].text, line[i].len, INK);
    }
}

/* --- lists --- */

/* Where the items are: down, then in the next column, then on the next page. */
struct grid {
    struct cells c;
    uint32_t rows, cols, col_w; /* items, items, pixels */
    unsigned first, count;      /* of the page that is shown */
};

static struct grid grid_of(struct ui *ui, double density, uint32_t width, uint32_t height,
                           const struct overlay_item *item, unsigned n, unsigned chosen)
{
    struct grid g = {.c = cells(ui, density)};
    uint32_t inside = width > 2 * g.c.pad + g.c.w ? width - 2 * g.c.pad : g.c.w;
    uint32_t room = height > 4 * g.c.pad + g.c.h ? (height - 4 * g.c.pad) / g.c.h : 1, most;
    size_t wide = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t len = columns(item[i].text, strlen(item[i].text)) + columns(item[i].key, strlen(item[i].key)) + 4;

        wide = len > wide ? len : wide;
    }
    g.col_w = (uint32_t)wide * g.c.w < inside ? (uint32_t)wide * g.c.w : inside;
    most = inside / g.col_w;
    g.cols = (n + room - 1) / room;
    g.cols = g.cols > most ? most : g.cols;
    g.rows = (n + g.cols - 1) / g.cols;
    g.rows = g.rows > room ? room : g.rows;
    g.first = chosen / (g.rows * g.cols) * g.rows * g.cols;
    g.count = n - g.first < g.rows * g.cols ? n - g.first : g.rows * g.cols;
    return g;
}

static void draw_item(const struct grid *g, const struct canvas *f, uint32_t x, uint32_t y,
                      const struct overlay_item *item)
{
    uint32_t indent = item->heading ? 0 : 2, room = g->col_w / g->c.w;
    uint32_t len = (uint32_t)columns(item->text, strlen(item->text)),
             key = (uint32_t)columns(item->key, strlen(item->key));

    put(&g->c, f, x + indent * g->c.w, y, item->text, strlen(item->text), item->heading ? FAINT : INK);
    if (key && indent + len + key + 2 <= room)
        put(&g->c, f, x + g->col_w - (key + 1) * g->c.w, y, item->key, strlen(item->key), FAINT);
}

void overlay_list(struct ui *ui, struct overlay *o, const struct canvas *f, double density,
                  const struct overlay_item *item, unsigned n, unsigned chosen)
{
    struct grid g = grid_of(ui, density, f->width, f->height, item, n, chosen);

    box(o, f, g.cols * g.col_w, g.rows * g.c.h, g.c.pad, OVERLAY_MIDDLE);
    for (unsigned i = 0; i < g.count; i++) {
        uint32_t x = o->at.x + g.c.pad + i / g.rows * g.col_w, y = o->at.y + g.c.pad + i % g.rows * g.c.h;

        if (g.first + i == chosen && x + g.col_w <= f->width && y + g.c.h <= f->height)
            canvas_fill(f, (struct ui_rect){x, y, g.col_w, g.c.h}, MARK);
        draw_item(&g, f, x, y, &item[g.first + i]);
    }
}

unsigned overlay_list_at(struct ui *ui, const struct overlay *o, const struct ui_rect *frame, double density,
                         const struct overlay_item *item, unsigned n, unsigned chosen, int32_t x, int32_t y)
{
    struct grid g = grid_of(ui, density, frame->w, frame->h, item, n, chosen);
    int64_t dx = (int64_t)x - o->at.x - g.c.pad, dy = (int64_t)y - o->at.y - g.c.pad;
    uint64_t at;

    if (dx < 0 || dy < 0 || dx >= (int64_t)g.cols * g.col_w || dy >= (int64_t)g.rows * g.c.h)
        return n;
    at = (uint64_t)dx / g.col_w * g.rows + (uint64_t)dy / g.c.h;
    return at < g.count ? g.first + (unsigned)at : n;
}

/* --- the icon: a g on a square with round corners --- */

static bool in_corner(uint32_t x, uint32_t y, uint32_t side, uint32_t radius)
{
    int64_t dx = x < radius ? (int64_t)radius - x : x >= side - radius ? (int64_t)x - (side - 1 - radius) : 0;
    int64_t dy = y < radius ? (int64_t)radius - y : y >= side - radius ? (int64_t)y - (side - 1 - radius) : 0;

    return dx * dx + dy * dy > (int64_t)radius * radius;
}

bool overlay_icon(uint32_t px[OVERLAY_ICON * OVERLAY_ICON])
{
    static const uint16_t no_mark[2] = {0, 0};
    struct canvas c = {px, OVERLAY_ICON, OVERLAY_ICON, OVERLAY_ICON};
    struct err e;
    struct font *f = font_new(OVERLAY_ICON * 0.85, &e);
    const uint8_t *g = f ? font_glyph(f, 'g', no_mark, FONT_BOLD, false) : NULL;
    struct cells cell = {f, f ? font_cell_w(f) : 0, f ? font_cell_h(f) : 0, 0};

    if (g && cell.w <= OVERLAY_ICON) {
        uint32_t top = cell.h < OVERLAY_ICON ? (OVERLAY_ICON - cell.h) / 2 : 0;

        canvas_fill(&c, (struct ui_rect){0, 0, OVERLAY_ICON, OVERLAY_ICON}, MARK);
        put_glyph(&cell, &c, (OVERLAY_ICON - cell.w) / 2, top, g, INK);
        for (uint32_t i = 0; i < OVERLAY_ICON * OVERLAY_ICON; i++)
            px[i] =
                in_corner(i % OVERLAY_ICON, i / OVERLAY_ICON, OVERLAY_ICON, OVERLAY_ICON / 6) ? 0 : px[i] | 0xff000000;
    }
    if (f)
        font_free(f);
    return g;
}
