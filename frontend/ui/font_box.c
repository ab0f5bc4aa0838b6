/*
 * Box drawing, blocks and Braille (Unicode charts U2500, U2580, U2800), drawn to the size of the cell.
 *
 * Lines go from an edge to the middle, all cells have the same middle: what stands side by side joins.
 */
#include <math.h>

#include "frontend/ui/font.h"

enum { NONE, LIGHT, HEAVY, DOUBLE };
enum { LEFT, RIGHT, UP, DOWN };

/* From the names in the chart: two bits for each of left, right, up, down. 0: dashes, arcs, diagonals, below. */
static const uint8_t arms[128] = {
    0x05, 0x0a, 0x50, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x44, 0x48, 0x84, 0x88, 0x41, 0x42, 0x81,
    0x82, 0x14, 0x18, 0x24, 0x28, 0x11, 0x12, 0x21, 0x22, 0x54, 0x58, 0x64, 0x94, 0xa4, 0x68, 0x98, 0xa8, 0x51, 0x52,
    0x61, 0x91, 0xa1, 0x62, 0x92, 0xa2, 0x45, 0x46, 0x49, 0x4a, 0x85, 0x86, 0x89, 0x8a, 0x15, 0x16, 0x19, 0x1a, 0x25,
    0x26, 0x29, 0x2a, 0x55, 0x56, 0x59, 0x5a, 0x65, 0x95, 0xa5, 0x66, 0x69, 0x96, 0x99, 0x6a, 0x9a, 0xa6, 0xa9, 0xaa,
    0x00, 0x00, 0x00, 0x00, 0x0f, 0xf0, 0x4c, 0xc4, 0xcc, 0x43, 0xc1, 0xc3, 0x1c, 0x34, 0x3c, 0x13, 0x31, 0x33, 0x5c,
    0xf4, 0xfc, 0x53, 0xf1, 0xf3, 0x4f, 0xc5, 0xcf, 0x1f, 0x35, 0x3f, 0x5f, 0xf5, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x10, 0x04, 0x40, 0x02, 0x20, 0x08, 0x80, 0x09, 0x90, 0x06, 0x60,
};

struct picture {
    uint8_t *a;
    int w, h, t; /* t: thickness of a light line */
};

static int max(int a, int b) { return a > b ? a : b; }
static int min(int a, int b) { return a < b ? a : b; }

static void fill(const struct picture *p, int x0, int y0, int x1, int y1, uint8_t alpha)
{
    for (int y = max(y0, 0); y < min(y1, p->h); y++)
        for (int x = max(x0, 0); x < min(x1, p->w); x++)
            p->a[y * p->w + x] = alpha;
}

static int weight(uint8_t code, int arm) { return code >> 2 * arm & 3; }

/*
 * One strip of an arm: `along` is how far beyond the middle it goes (negative: stops before), `side` its distance from
 * the middle line, thick its thickness.
 */
static void strip(const struct picture *p, int arm, int along, int side, int thick)
{
    int cx = (p->w - p->t) / 2, cy = (p->h - p->t) / 2; /* where a light line begins */
    int off = (p->t - thick) / 2;

    switch (arm) {
    case LEFT: fill(p, 0, cy + side + off, cx + p->t + along, cy + side + off + thick, 255); break;
    case RIGHT: fill(p, cx - along, cy + side + off, p->w, cy + side + off + thick, 255); break;
    case UP: fill(p, cx + side + off, 0, cx + side + off + thick, cy + p->t + along, 255); break;
    default: fill(p, cx + side + off, cy - along, cx + side + off + thick, p->h, 255); break;
    }
}

/* The arms to the two sides of one: that with the smaller coordinates first. */
static int side_arm(int arm, int which) { return arm <= RIGHT ? UP + which : LEFT + which; }

static int heavy(const struct picture *p) { return 2 * p->t; }

/* How far an arm goes beyond a light line's middle to cover a heavy one. */
static int over_heavy(const struct picture *p, int arm)
{
    int off = (p->t - heavy(p)) / 2;

    return arm == RIGHT || arm == DOWN ? -off : off + heavy(p) - p->t;
}

static void single_arm(const struct picture *p, uint8_t code, int arm)
{
    int kind = weight(code, arm), gap = 2 * p->t, along = 0;
    int a = weight(code, side_arm(arm, 0)), b = weight(code, side_arm(arm, 1));

    if (!weight(code, arm ^ 1) && a == DOUBLE && b == DOUBLE)
        along = -gap; /* begins at the near one of the two */
    else if (!weight(code, arm ^ 1) && (a == DOUBLE || b == DOUBLE))
        along = gap; /* a corner: covers both */
    else if (kind == HEAVY || a == HEAVY || b == HEAVY)
        along = over_heavy(p, arm);
    strip(p, arm, along, 0, kind == HEAVY ? heavy(p) : p->t);
}

static void double_arm(const struct picture *p, uint8_t code, int arm)
{
    int gap = 2 * p->t;

    for (int which = 0; which < 2; which++) {
        int near = weight(code, side_arm(arm, which)), far = weight(code, side_arm(arm, !which)), along = 0;

        if (near == DOUBLE)
            along = -gap; /* the inner strip stops at the other line's near one */
        else if (!near && !weight(code, arm ^ 1) && far == DOUBLE)
            along = gap; /* the outer one goes around the corner */
        strip(p, arm, along, which ? gap : -gap, p->t);
    }
}

static bool lines(const struct picture *p, uint8_t code)
{
    for (int arm = LEFT; arm <= DOWN; arm++) {
        if (weight(code, arm) == DOUBLE)
            double_arm(p, code, arm);
        else if (weight(code, arm))
            single_arm(p, code, arm);
    }
    return true;
}

static bool dashes(const struct picture *p, uint32_t ch)
{
    int n = ch >= 0x254c ? 2 : ch >= 0x2508 ? 4 : 3, thick = ch & 1 ? heavy(p) : p->t;
    bool down = ch & 2;
    int len = down ? p->h : p->w, at = ((down ? p->w : p->h) - thick) / 2;

    for (int i = 0; i < n; i++) {
        int from = i * len / n, to = (i + 1) * len / n, gap = max(1, (to - from) / 3);

        from += gap / 2;
        to -= gap - gap / 2;
        if (down)
            fill(p, at, from, at + thick, to, 255);
        else
            fill(p, from, at, to, at + thick, 255);
    }
    return true;
}

static uint8_t coverage(double distance, double thick)
{
    double c = thick / 2 + 0.5 - distance;

    return (uint8_t)(c <= 0 ? 0 : c >= 1 ? 255 : c * 255);
}

/* Quarter of a circle in the middle, straight lines from its ends to the edges. */
static bool arc(const struct picture *p, uint32_t ch)
{
    bool left = ch == 0x256e || ch == 0x256f, up = ch >= 0x256f;
    double cx = (p->w - p->t) / 2 + p->t / 2.0, cy = (p->h - p->t) / 2 + p->t / 2.0, r = fmin(cx, cy) - 0.5;

    for (int y = 0; y < p->h; y++) {
        for (int x = 0; x < p->w; x++) {
            double dx = left ? cx - (x + 0.5) : x + 0.5 - cx, dy = up ? cy - (y + 0.5) : y + 0.5 - cy, d;

            if (dx < r && dy < r)
                d = fabs(hypot(r - dx, r - dy) - r);
            else
                d = dx >= r ? fabs(dy) : fabs(dx);
            if (dx >= -p->t && dy >= -p->t)
                p->a[y * p->w + x] = coverage(d, p->t);
        }
    }
    return true;
}

static bool diagonal(const struct picture *p, uint32_t ch)
{
    double len = hypot(p->w, p->h);

    for (int y = 0; y < p->h; y++) {
        for (int x = 0; x < p->w; x++) {
            double fx = x + 0.5, fy = y + 0.5, rising = fabs(fx * p->h + fy * p->w - (double)p->w * p->h) / len,
                   falling = fabs(fx * p->h - fy * p->w) / len;

            p->a[y * p->w + x] = coverage(ch == 0x2571 ? rising : ch == 0x2572 ? falling : fmin(rising, falling), p->t);
        }
    }
    return true;
}

static bool blocks(const struct picture *p, uint32_t ch)
{
    static const uint8_t quadrants[] = {4, 8, 1, 13, 9, 7, 11, 2, 6, 14}; /* upper left 1, right 2, lower 4, 8 */
    int n = (int)(ch - 0x2580), w = p->w, h = p->h;

    if (ch == 0x2580) {
        fill(p, 0, 0, w, h / 2, 255);
    } else if (ch <= 0x2588) { /* lower eighths */
        fill(p, 0, h - (n * h + 4) / 8, w, h, 255);
    } else if (ch <= 0x258f) { /* left eighths */
        fill(p, 0, 0, ((16 - n) * w + 4) / 8, h, 255);
    } else if (ch == 0x2590) {
        fill(p, w / 2, 0, w, h, 255);
    } else if (ch <= 0x2593) {
        fill(p, 0, 0, w, h, (uint8_t)(64 * (ch - 0x2590)));
    } else if (ch == 0x2594) {
        fill(p, 0, 0, w, (h + 4) / 8, 255);
    } else if (ch == 0x2595) {
        fill(p, w - (w + 4) / 8, 0, w, h, 255);
    } else {
        unsigned q = quadrants[ch - 0x2596];

        for (int i = 0; i < 4; i++)
            if (q >> i & 1)
                fill(p, i & 1 ? w / 2 : 0, i & 2 ? h / 2 : 0, i & 1 ? w : w / 2, i & 2 ? h : h / 2, 255);
    }
    return true;
}

/* Dots 1 to 8 are bits 0 to 7: two columns of four, the lowest row last. */
static bool braille(const struct picture *p, uint32_t ch)
{
    static const uint8_t place[8][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 3}, {1, 3}};
    int size = max(1, min(p->w / 4, p->h / 8));

    for (int i = 0; i < 8; i++) {
        int x = p->w * (2 * place[i][0] + 1) / 4 - size / 2, y = p->h * (2 * place[i][1] + 1) / 8 - size / 2;

        if (ch >> i & 1)
            fill(p, x, y, x + size, y + size, 255);
    }
    return true;
}

bool font_box(uint8_t *a, int w, int h, int thickness, uint32_t ch)
{
    struct picture p = {a, w, h, thickness};

    if (ch >= 0x2800 && ch < 0x2900)
        return braille(&p, ch);
    if (ch < 0x2500 || ch >= 0x25a0)
        return false;
    if (ch >= 0x2580)
        return blocks(&p, ch);
    if (arms[ch - 0x2500])
        return lines(&p, arms[ch - 0x2500]);
    if (ch >= 0x2571)
        return diagonal(&p, ch);
    return ch >= 0x256d ? arc(&p, ch) : dashes(&p, ch);
}
