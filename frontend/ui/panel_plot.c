/* A plot: frame, grid, curves, legend. See panel_plot.h. */
#include "frontend/ui/panel_plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/ui/text_draw.h"

enum { LEGEND_LINES = 2, GAP = 5 /* seconds without samples: nobody looked */ };
static const uint32_t field = 0x1b1e24, grid = 0x2b3038, text_dim = 0x8a929e, text_bright = 0xd6d9de;

static bool bytes(const char *unit) { return unit[0] == 'B'; }

void plot_number(double v, const char *unit, char *buf, unsigned len)
{
    static const char *const plain[] = {"", "k", "M", "G", "T"}, *const binary[] = {"", "Ki", "Mi", "Gi", "Ti"};
    double step = bytes(unit) ? 1024 : 1000;
    unsigned n = 0;

    while (v >= step * 0.9995 && n < 4) {
        v /= step;
        n++;
    }
    snprintf(buf, len, "%.*f%s%s",
             v < 9.995 && (n || v != floor(v)) ? 2
             : v < 99.95 && n                  ? 1
                                               : 0,
             v, bytes(unit) ? " " : "", bytes(unit) ? binary[n] : plain[n]);
    if (bytes(unit)) {
        size_t at = strlen(buf);

        snprintf(buf + at, len - at, "B");
    }
}

double plot_scale(double most, const char *unit)
{
    static const double steps[] = {1, 2, 5, 10};
    double base = 1, step = bytes(unit) ? 1024 : 1000, left = most;

    if (most <= 10)
        return 10;
    while (left > step) {
        left /= step;
        base *= step;
    }
    for (double ten = 1;; ten *= 10)
        for (unsigned i = 0; i < 3; i++)
            if (left <= steps[i] * ten)
                return steps[i] * ten * base;
}

static uint32_t blend(uint32_t a, uint32_t b, unsigned alpha)
{
    uint32_t k = alpha + (alpha >> 7); /* of 256 */
    uint32_t rb = ((a & 0xff00ff) * (256 - k) + (b & 0xff00ff) * k) >> 8 & 0xff00ff;

    return rb | (((a & 0xff00) * (256 - k) + (b & 0xff00) * k) >> 8 & 0xff00);
}

static void fill(const struct canvas *c, const struct ui_rect *r, uint32_t px)
{
    for (uint32_t y = r->y; y < r->y + r->h && y < c->height; y++)
        for (uint32_t x = r->x; x < r->x + r->w && x < c->width; x++)
            c->px[(size_t)y * c->stride + x] = px;
}

/* How much of pixel row y lies in [from, to), 0 to 255. */
static unsigned cover(int y, double from, double to)
{
    double top = from > y ? from : y, bottom = to < y + 1 ? to : y + 1;

    return bottom > top ? (unsigned)((bottom - top) * 255) : 0;
}

/* A column of the curve: the span between its heights at both sides, thick enough to be seen. */
static void column(const struct canvas *c, const struct ui_rect *r, uint32_t x, double y0, double y1, double thick,
                   uint32_t colour, bool shade)
{
    double from = (y0 < y1 ? y0 : y1) - thick / 2, to = (y0 > y1 ? y0 : y1) + thick / 2;
    int top = (int)floor(from), end = (int)(r->y + r->h);

    top = top > (int)r->y ? top : (int)r->y;
    for (int y = top; y < (shade || (int)ceil(to) > end ? end : (int)ceil(to)); y++) {
        uint32_t *px = &c->px[(size_t)y * c->stride + x];
        unsigned a = cover(y, from, to);

        if (a)
            *px = blend(*px, colour, a);
        else if (shade)
            *px = blend(*px, colour, 40);
    }
}

/*
 * The curve's value at a moment, between two samples; *i is the later one, and only grows while age falls. false: before
 * the first, or in a gap.
 */
static bool value_at(const struct plot *p, const struct plot_curve *v, double age, unsigned *i, double *out)
{
    double a, b;

    while (*i < p->points && age < p->age[*i])
        ++*i;
    if (*i >= p->points || !*i || age > p->age[*i - 1])
        return false;
    a = p->age[*i - 1];
    b = p->age[*i];
    *out = a > b ? v->value[*i - 1] + (v->value[*i] - v->value[*i - 1]) * (a - age) / (a - b) : v->value[*i];
    return a - b <= GAP;
}

static void curve(const struct plot *p, const struct plot_curve *v, const struct canvas *c, const struct ui_rect *r,
                  double top, double thick, bool shade)
{
    double last = 0;
    bool have = false;
    unsigned i = 1;

    for (uint32_t x = 0; x < r->w && r->x + x < c->width; x++) {
        double age = PLOT_SECONDS * (1 - (double)x / r->w), value;
        bool now = value_at(p, v, age, &i, &value);
        double y = now ? r->y + r->h - thick / 2 - (r->h - thick) * (value < top ? value / top : 1) : 0;

        if (now)
            column(c, r, r->x + x, have ? last : y, y, thick, v->colour, shade);
        last = y;
        have = now;
    }
}

static double highest(const struct plot *p)
{
    double most = 0;

    for (unsigned i = 0; i < p->curves; i++)
        for (unsigned k = 0; k < p->points; k++)
            if (p->age[k] <= PLOT_SECONDS + 2 && p->curve[i].value[k] > most)
                most = p->curve[i].value[k];
    return most;
}

static unsigned entry(const struct plot *p, unsigned i, char *text, unsigned len)
{
    char number[24];

    plot_number(p->points ? p->curve[i].value[p->points - 1] : 0, p->unit, number, sizeof number);
    return (unsigned)snprintf(text, len, "%s %s", p->curve[i].name, number);
}

/*
 * Names with their newest values, in lines as wide as r; what does not fit in LEGEND_LINES is left out. Returns the number
 * of lines; canvas NULL: only that.
 */
static unsigned legend(const struct plot *p, struct font *f, const struct canvas *c, const struct ui_rect *r)
{
    unsigned w = font_cell_w(f), h = font_cell_h(f), x = 0, lines = 1;

    for (unsigned i = 0; i < p->curves; i++) {
        char text[48];
        unsigned width = w + w / 2 + w * entry(p, i, text, sizeof text);

        if (x && x + width > r->w) {
            if (lines == LEGEND_LINES)
                break;
            lines++;
            x = 0;
        }
        if (c) {
            uint32_t y = r->y + (lines - 1) * h;
            struct ui_rect dot = {r->x + x, y + font_baseline(f) / 2, w, h / 4};

            fill(c, &dot, p->curve[i].colour);
            text_draw_string(f, c, (int)(r->x + x + w + w / 2), (int)y, text, text_bright, PLOT_BACKGROUND, 0);
        }
        x += width + 2 * w;
    }
    return lines;
}

/* The field with its grid: quarters, and every ten seconds. */
static void draw_field(const struct canvas *c, const struct ui_rect *r, unsigned thick)
{
    struct ui_rect line;

    fill(c, r, field);
    for (unsigned i = 0; i <= 4; i++) {
        line = (struct ui_rect){r->x, r->y + (r->h - thick) * i / 4, r->w, thick};
        fill(c, &line, grid);
    }
    for (unsigned i = 1; i < 6; i++) {
        line = (struct ui_rect){r->x + r->w * i / 6, r->y, thick, r->h};
        fill(c, &line, grid);
    }
}

void plot_draw(const struct plot *p, struct font *f, const struct canvas *c, const struct ui_rect *r, double density)
{
    unsigned w = font_cell_w(f), h = font_cell_h(f), lines = legend(p, f, NULL, r);
    double top = plot_scale(highest(p), p->unit), thick = 1.5 * density;
    struct ui_rect area = {r->x, r->y + h + h / 4, r->w, 0}, below;
    char number[24];

    fill(c, r, PLOT_BACKGROUND);
    if (r->h < (3 + lines) * h || r->w < 12 * w)
        return;
    area.h = r->h - (1 + lines) * h - h / 2;
    text_draw_string(f, c, (int)r->x, (int)r->y, p->title, text_bright, PLOT_BACKGROUND, FONT_BOLD);
    plot_number(top, p->unit, number, sizeof number);
    text_draw_string(f, c, (int)(r->x + r->w - w * strlen(number)), (int)r->y, number, text_dim, PLOT_BACKGROUND, 0);
    draw_field(c, &area, density < 1.5 ? 1 : (unsigned)density);
    for (unsigned i = p->curves; i-- > 0;) /* the first one is on top */
        curve(p, &p->curve[i], c, &area, top, thick, p->curves == 1);
    below = (struct ui_rect){r->x, area.y + area.h + h / 4, r->w, h};
    legend(p, f, c, &below);
}
