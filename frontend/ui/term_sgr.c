/* Colours and attributes (ECMA-48 8.3.117; ISO 8613-6 for 38 and 48), and the palette. */
#include <stdio.h>
#include <string.h>

#include "frontend/ui/term_parts.h"

/* Legible as text on the dark background and as a background under white and black text. */
static const uint32_t sixteen[16] = {
    0x1d2025, 0xdd5157, 0x6cbf5e, 0xdcab3c, 0x3d7ad6, 0xb870d3, 0x3fb6bb, 0xc9cdd4,
    0x6c7380, 0xff7b80, 0x9be389, 0xf7d070, 0x86b7ff, 0xdd9bf0, 0x7ae2e5, 0xffffff,
};
enum { FOREGROUND = 0xd6d9de, BACKGROUND = 0x15171c };

/* ctlseqs "256 colours": a cube of six steps, then 24 greys. */
static uint32_t cube_or_grey(unsigned n)
{
    static const uint8_t step[6] = {0, 95, 135, 175, 215, 255};
    unsigned grey = 8 + (n - 232) * 10;

    if (n >= 232)
        return grey << 16 | grey << 8 | grey;
    n -= 16;
    return (uint32_t)step[n / 36] << 16 | (uint32_t)step[n / 6 % 6] << 8 | step[n % 6];
}

void term_colours_reset(struct term *t)
{
    memcpy(t->palette, sixteen, sizeof sixteen);
    for (unsigned i = 16; i < 256; i++)
        t->palette[i] = cube_or_grey(i);
    t->default_fg = FOREGROUND;
    t->default_bg = BACKGROUND;
}

static void colour(uint32_t *attr, uint32_t rgb) { *attr = (*attr & ~(CELL_RGB | CELL_DEFAULT)) | rgb; }

static unsigned byte(unsigned v) { return v < 255 ? v : 255; }

/*
 * 38;5;N, 38;2;R;G;B, and with colons 38:5:N, 38:2:R:G:B, 38:2:SPACE:R:G:B. at: the parameter 38 itself. Returns how
 * many parameters it has.
 */
static unsigned extended(struct term *t, unsigned at, uint32_t *attr)
{
    unsigned have = t->params - at, kind = have > 1 ? t->param[at + 1] : 0, len = 1, first = at + 2;
    bool colons = have > 1 && t->sub[at + 1];

    if (colons) {
        while (at + len < t->params && t->sub[at + len])
            len++;
        have = len;
    } else {
        len = kind == 5 ? 3 : kind == 2 ? 5 : 2;
        len = len < have ? len : have;
    }
    if (kind == 5 && have >= 3)
        colour(attr, t->palette[byte(t->param[first])]);
    if (kind == 2 && colons && have >= 6)
        first++;
    if (kind == 2 && have >= 5)
        colour(attr, byte(t->param[first]) << 16 | byte(t->param[first + 1]) << 8 | byte(t->param[first + 2]));
    return len;
}

static void underline(struct term_pen *p, unsigned kind)
{
    static const uint8_t shape[] = {0, 1, 2, 3, 1, 1}; /* dotted and dashed as single */

    p->bg = (p->bg & ~CELL_UNDERLINE) | (uint32_t)(kind < sizeof shape ? shape[kind] : 1) << CELL_UNDERLINE_SHIFT;
}

static void attribute(struct term_pen *p, unsigned n)
{
    switch (n) {
    case 1: p->fg |= CELL_BOLD; break;
    case 2: p->fg |= CELL_DIM; break;
    case 3: p->fg |= CELL_ITALIC; break;
    case 5:
    case 6: p->fg |= CELL_BLINK; break;
    case 7: p->bg |= CELL_REVERSE; break;
    case 8: p->fg |= CELL_CONCEAL; break;
    case 9: p->fg |= CELL_STRIKE; break;
    case 21: underline(p, 2); break;
    case 22: p->fg &= ~(CELL_BOLD | CELL_DIM); break;
    case 23: p->fg &= ~CELL_ITALIC; break;
    case 24: underline(p, 0); break;
    case 25: p->fg &= ~CELL_BLINK; break;
    case 27: p->bg &= ~CELL_REVERSE; break;
    case 28: p->fg &= ~CELL_CONCEAL; break;
    case 29: p->fg &= ~CELL_STRIKE; break;
    default: break;
    }
}

/* One attribute at parameter i; returns how many parameters it took. */
static unsigned one(struct term *t, unsigned i)
{
    struct term_pen *p = &t->pen;
    unsigned n = t->param[i], len = 1;

    if (n == 38)
        return extended(t, i, &p->fg);
    if (n == 48)
        return extended(t, i, &p->bg);
    if (n == 0)
        *p = (struct term_pen){t->default_fg | CELL_DEFAULT, t->default_bg | CELL_DEFAULT};
    else if (n == 4)
        underline(p, i + 1 < t->params && t->sub[i + 1] ? t->param[i + 1] : 1);
    else if (n < 30)
        attribute(p, n);
    else if (n < 38)
        colour(&p->fg, t->palette[n - 30]);
    else if (n == 39)
        p->fg = (p->fg & ~CELL_RGB) | t->default_fg | CELL_DEFAULT;
    else if (n >= 40 && n < 48)
        colour(&p->bg, t->palette[n - 40]);
    else if (n == 49)
        p->bg = (p->bg & ~CELL_RGB) | t->default_bg | CELL_DEFAULT;
    else if (n >= 90 && n < 98)
        colour(&p->fg, t->palette[n - 90 + 8]);
    else if (n >= 100 && n < 108)
        colour(&p->bg, t->palette[n - 100 + 8]);
    while (i + len < t->params && t->sub[i + len]) /* 58:2::R:G:B and the like */
        len++;
    return len;
}

void term_sgr(struct term *t)
{
    if (!t->params) {
        t->param[0] = 0;
        t->params = 1;
    }
    for (unsigned i = 0; i < t->params;)
        i += t->param[i] == 58 && i + 1 < t->params && !t->sub[i + 1] ? (t->param[i + 1] == 5 ? 3 : 5) : one(t, i);
}

static int put(char *buf, size_t len, int at, const char *text)
{
    int n = at >= 0 && (size_t)at < len ? snprintf(buf + at, len - (size_t)at, "%s", text) : 0;

    return at + n;
}

static int put_colour(char *buf, size_t len, int at, uint32_t attr, const char *kind)
{
    char text[32];

    if (attr & CELL_DEFAULT)
        return at;
    snprintf(text, sizeof text, ";%s:2::%u:%u:%u", kind, (unsigned)(attr >> 16 & 0xff), (unsigned)(attr >> 8 & 0xff),
             (unsigned)(attr & 0xff));
    return put(buf, len, at, text);
}

/* The pen as SGR parameters, for DECRQSS. */
void term_sgr_text(const struct term *t, char *buf, size_t len)
{
    static const struct {
        uint32_t bit;
        const char *text;
    } fg[] = {{CELL_BOLD, ";1"},  {CELL_DIM, ";2"},     {CELL_ITALIC, ";3"},
              {CELL_BLINK, ";5"}, {CELL_CONCEAL, ";8"}, {CELL_STRIKE, ";9"}};
    static const char *const line[] = {"", ";4", ";21", ";4:3"};
    int at = put(buf, len, 0, "0");

    for (size_t i = 0; i < sizeof fg / sizeof *fg; i++)
        if (t->pen.fg & fg[i].bit)
            at = put(buf, len, at, fg[i].text);
    at = put(buf, len, at, line[(t->pen.bg & CELL_UNDERLINE) >> CELL_UNDERLINE_SHIFT]);
    if (t->pen.bg & CELL_REVERSE)
        at = put(buf, len, at, ";7");
    at = put_colour(buf, len, at, t->pen.fg, "38");
    put_colour(buf, len, at, t->pen.bg, "48");
}
