/* Characters as pictures, by FreeType. See font.h. */
#include "frontend/ui/font.h"

#include <ft2build.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include "base/bits.h"

enum { STYLES = 4, FALLBACKS = 16, SLOTS = 1 << 14 };

struct fallback {
    FT_Face face;
    const char *path;
    int index;
};

struct picture_slot {
    uint64_t key; /* 0: free */
    uint8_t *a;   /* NULL: nothing to draw */
};

struct font {
    FT_Library lib;
    FT_Face face[STYLES]; /* NULL: made from the upright one */
    double px;
    int cell_w, cell_h, baseline, thickness;
    struct font_fallbacks *find;
    bool searched;
    struct fallback fallback[FALLBACKS];
    unsigned fallbacks;
    struct picture_slot *slot;
    unsigned used;
    size_t bytes;
};

/* --- faces --- */

static bool set_px(FT_Face face, double px)
{
    return FT_Set_Char_Size(face, 0, (FT_F26Dot6)lround(px * 64), 72, 72) == 0;
}

static FT_Face open_face(struct font *f, const char *path, int index)
{
    FT_Face face;

    if (FT_New_Face(f->lib, path, index, &face))
        return NULL;
    if (FT_IS_SCALABLE(face) && set_px(face, f->px))
        return face;
    FT_Done_Face(face);
    return NULL;
}

static bool open_faces(struct font *f, struct err *e)
{
    for (unsigned style = 0; style < STYLES; style++) {
        int index;
        char *path = font_find_mono(style, &index);

        if (path)
            f->face[style] = open_face(f, path, index);
        free(path);
    }
    return f->face[0] || err_set(e, "no monospace font found: install fonts-dejavu-core");
}

static void measure(struct font *f)
{
    const FT_Size_Metrics *m = &f->face[0]->size->metrics;
    double advance = (double)FT_MulFix(f->face[0]->max_advance_width, m->x_scale) / 64;
    double up = (double)FT_MulFix(f->face[0]->ascender, m->y_scale) / 64,
           down = (double)-FT_MulFix(f->face[0]->descender, m->y_scale) / 64;

    if (!FT_Load_Char(f->face[0], 'M', FT_LOAD_NO_HINTING))
        advance = (double)f->face[0]->glyph->linearHoriAdvance / 65536;
    f->cell_w = advance < 1.5 ? 1 : (int)lround(advance);
    f->baseline = (int)lround(up);
    f->cell_h = f->baseline + (int)ceil(down - 0.25);
    f->cell_h = f->cell_h > 1 ? f->cell_h : 1;
    f->thickness = (int)lround(f->px / 14);
    f->thickness = f->thickness > 1 ? f->thickness : 1;
}

/* The face that has ch, its glyph's index; the style that is to be made in *make. */
static FT_Face face_of(struct font *f, uint32_t ch, unsigned style, unsigned *glyph, unsigned *make)
{
    static const uint8_t order[STYLES][STYLES] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {2, 0, 0, 0}, {3, 1, 2, 0}};
    int index;
    const char *path;

    for (unsigned i = 0; i < STYLES; i++) {
        FT_Face face = f->face[order[style][i]];

        *make = style & ~(unsigned)order[style][i];
        if (face && (*glyph = FT_Get_Char_Index(face, ch)))
            return face;
    }
    *make = style;
    for (unsigned i = 0; i < f->fallbacks; i++)
        if ((*glyph = FT_Get_Char_Index(f->fallback[i].face, ch)))
            return f->fallback[i].face;
    if (!f->searched) {
        f->searched = true;
        f->find = font_fallbacks_new();
    }
    path = f->find && f->fallbacks < FALLBACKS ? font_fallback(f->find, ch, &index) : NULL;
    if (path) {
        FT_Face face = open_face(f, path, index);

        if (face) {
            f->fallback[f->fallbacks++] = (struct fallback){face, path, index};
            *glyph = FT_Get_Char_Index(face, ch);
            if (*glyph)
                return face;
        }
    }
    return NULL;
}

/* --- drawing --- */

static void slant(FT_Outline *o)
{
    FT_Matrix m = {0x10000, 0x3333, 0, 0x10000}; /* a fifth */

    FT_Outline_Transform(o, &m);
}

/* Lay a bitmap over the picture. */
static void lay(const struct font *f, uint8_t *a, int w, const FT_Bitmap *b, int left, int top)
{
    for (int y = 0; y < (int)b->rows; y++) {
        int to = top + y;

        for (int x = 0; to >= 0 && to < f->cell_h && x < (int)b->width; x++) {
            uint8_t c = b->buffer[y * b->pitch + x], *p;

            if (left + x < 0 || left + x >= w)
                continue;
            p = &a[to * w + left + x];
            *p = c > *p ? c : *p;
        }
    }
}

/* A glyph into the middle of the cell, smaller when it is too wide for it. mark: over what is there. */
static void draw_glyph(struct font *f, uint8_t *a, int w, uint32_t ch, unsigned style, bool mark)
{
    unsigned glyph, make;
    FT_Face face = face_of(f, ch, style, &glyph, &make);
    bool main_face = false;
    double advance;
    FT_GlyphSlot g;

    for (unsigned i = 0; i < STYLES; i++)
        main_face |= face && face == f->face[i];
    if (!face || FT_Load_Glyph(face, glyph, FT_LOAD_TARGET_LIGHT | FT_LOAD_NO_BITMAP))
        return;
    g = face->glyph;
    advance = (double)g->linearHoriAdvance / 65536;
    if (!mark && !main_face && advance > w) {
        bool ok =
            set_px(face, f->px * w / advance) && !FT_Load_Glyph(face, glyph, FT_LOAD_TARGET_LIGHT | FT_LOAD_NO_BITMAP);

        advance = w;
        set_px(face, f->px);
        if (!ok)
            return;
    }
    if (g->format == FT_GLYPH_FORMAT_OUTLINE) {
        if (make & FONT_BOLD)
            FT_Outline_Embolden(&g->outline, (FT_Pos)(f->px * 64 / 24));
        if (make & FONT_ITALIC)
            slant(&g->outline);
    }
    if (FT_Render_Glyph(g, FT_RENDER_MODE_NORMAL))
        return;
    if (mark && advance < 1) /* drawn behind the pen: over the cell before it */
        lay(f, a, w, &g->bitmap, w + g->bitmap_left, f->baseline - g->bitmap_top);
    else
        lay(f, a, w, &g->bitmap, g->bitmap_left + (main_face ? 0 : (int)lround((w - advance) / 2)),
            f->baseline - g->bitmap_top);
}

/* A box with the hexadecimal number would not be legible: an empty one, as fonts have it. */
static void draw_missing(const struct font *f, uint8_t *a, int w)
{
    int x0 = w / 8, x1 = w - 1 - w / 8, y0 = f->baseline - f->baseline * 3 / 4, y1 = f->baseline;

    for (int x = x0; x <= x1; x++)
        a[y0 * w + x] = a[y1 * w + x] = 160;
    for (int y = y0; y <= y1; y++)
        a[y * w + x0] = a[y * w + x1] = 160;
}

static uint8_t *draw(struct font *f, uint32_t ch, const uint16_t mark[2], unsigned style, bool wide)
{
    int w = f->cell_w * (wide ? 2 : 1);
    uint8_t *a = calloc((size_t)w * (size_t)f->cell_h, 1);
    unsigned glyph, make;

    if (!a)
        return NULL;
    if (!font_box(a, w, f->cell_h, f->thickness, ch)) {
        if (face_of(f, ch, style, &glyph, &make))
            draw_glyph(f, a, w, ch, style, false);
        else
            draw_missing(f, a, w);
    }
    for (unsigned i = 0; i < 2 && mark[i]; i++)
        if (mark[i] < 0xfe00 || mark[i] > 0xfe0f) /* variation selectors have no shape */
            draw_glyph(f, a, w, mark[i], style, true);
    return a;
}

/* --- cache --- */

static void forget(struct font *f)
{
    for (unsigned i = 0; i < SLOTS; i++)
        free(f->slot[i].a);
    memset(f->slot, 0, SLOTS * sizeof *f->slot);
    f->used = 0;
    f->bytes = 0;
}

const uint8_t *font_glyph(struct font *f, uint32_t ch, const uint16_t mark[2], unsigned style, bool wide)
{
    uint64_t key = (uint64_t)mark[0] << 40 | (uint64_t)mark[1] << 24 | ch;
    struct picture_slot *s;
    size_t size = (size_t)f->cell_w * (size_t)f->cell_h * (wide ? 2 : 1);
    uint64_t i;

    if (ch <= ' ' && !mark[0])
        return NULL;
    key = key << 3 | (uint64_t)style << 1 | wide;
    i = key * UINT64_C(0x9e3779b97f4a7c15) >> 50;
    while (f->slot[i].key && f->slot[i].key != key)
        i = (i + 1) % SLOTS;
    s = &f->slot[i];
    if (s->key)
        return s->a;
    if (f->used > SLOTS / 2 || f->bytes + size > FONT_CACHE) {
        forget(f);
        s = &f->slot[key * UINT64_C(0x9e3779b97f4a7c15) >> 50];
    }
    s->key = key;
    s->a = draw(f, ch, mark, style, wide);
    f->used++;
    f->bytes += size;
    return s->a;
}

/* --- life --- */

struct font *font_new(double px, struct err *e)
{
    struct font *f = calloc(1, sizeof *f);

    if (f)
        f->slot = calloc(SLOTS, sizeof *f->slot);
    if (!f || !f->slot || FT_Init_FreeType(&f->lib)) {
        if (f)
            free(f->slot);
        free(f);
        err_set(e, "out of memory");
        return NULL;
    }
    f->px = px < FONT_MIN ? FONT_MIN : px > FONT_MAX ? FONT_MAX : px;
    if (!open_faces(f, e)) {
        font_free(f);
        return NULL;
    }
    measure(f);
    return f;
}

void font_free(struct font *f)
{
    if (!f)
        return;
    forget(f);
    free(f->slot);
    for (unsigned i = 0; i < STYLES; i++)
        if (f->face[i])
            FT_Done_Face(f->face[i]);
    for (unsigned i = 0; i < f->fallbacks; i++)
        FT_Done_Face(f->fallback[i].face);
    FT_Done_FreeType(f->lib);
    font_fallbacks_free(f->find);
    free(f);
}

unsigned font_cell_w(const struct font *f) { return (unsigned)f->cell_w; }
unsigned font_cell_h(const struct font *f) { return (unsigned)f->cell_h; }
unsigned font_baseline(const struct font *f) { return (unsigned)f->baseline; }
unsigned font_thickness(const struct font *f) { return (unsigned)f->thickness; }
