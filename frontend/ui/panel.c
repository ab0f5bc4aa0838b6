/* The panel of live counters. See panel.h. */
#include "frontend/ui/panel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/counters.h"
#include "frontend/ui/panel_plot.h"
#include "frontend/ui/text_draw.h"

enum { PERIOD_MS = 1000, PLOTS = 6, RANGES = 4 };
static const double usual_px = 40.0 / 3; /* 10 points */

/* A curve is the sum of ranges of counters. */
struct curve_spec {
    const char *name;
    uint32_t colour;
    struct {
        uint8_t first, last; /* last 0: only first */
    } of[RANGES];
};

struct plot_spec {
    const char *title, *unit;
    struct curve_spec curve[PLOT_CURVES];
};

enum { BLUE = 0x6aa7ff, GREEN = 0x7bd06b, ORANGE = 0xf0a04b, RED = 0xf2666c, VIOLET = 0xc58af0, GREY = 0x8a929e };

/* Causes: privileged specification, table of mcause. */
#define EXC(n) COUNTER_EXCEPTION + (n)
#define INT(n) COUNTER_INTERRUPT + (n)
static const struct plot_spec specs[PLOTS] = {
    {"Instructions per second", "", {{"guest", BLUE, {{COUNTER_INSNS, 0}}}}},
    {"Traps per second",
     "",
     {{"ecall", GREEN, {{EXC(8), EXC(11)}}},
      {"page fault", ORANGE, {{EXC(12), EXC(13)}, {EXC(15), 0}, {EXC(20), EXC(23)}}},
      {"timer", BLUE, {{INT(5), INT(7)}}},
      {"software", VIOLET, {{INT(1), INT(3)}}},
      {"external", RED, {{INT(9), INT(11)}}},
      {"other", GREY, {{EXC(0), EXC(7)}, {EXC(14), 0}, {EXC(16), EXC(19)}, {INT(12), INT(15)}}}}},
    {"TLB per second",
     "",
     {{"misses", ORANGE, {{COUNTER_TLB_MISSES, 0}}},
      {"walks", RED, {{COUNTER_TLB_WALKS, 0}}},
      {"fences", VIOLET, {{COUNTER_TLB_FENCES, 0}}}}},
    {"Translation per second",
     "",
     {{"blocks", GREEN, {{COUNTER_BLOCKS, 0}}},
      {"dropped", RED, {{COUNTER_BLOCKS_DROPPED, 0}}},
      {"lookups", BLUE, {{COUNTER_LOOKUPS, 0}}}}},
    {"Disks per second",
     "B",
     {{"read", GREEN, {{COUNTER_DISK_READ_BYTES, 0}}}, {"written", ORANGE, {{COUNTER_DISK_WRITE_BYTES, 0}}}}},
    {"Networks per second",
     "B",
     {{"in", GREEN, {{COUNTER_NET_IN_BYTES, 0}}}, {"out", ORANGE, {{COUNTER_NET_OUT_BYTES, 0}}}}},
};

struct panel {
    struct ui_tab tab;
    struct counter_log *log;
    struct font *font;
    struct err font_error;
    double density, font_density;
    int zoom, font_zoom;
    uint32_t width, height;
    uint64_t asked; /* ms */
    struct counter_sample sample[COUNTER_SAMPLES];
    struct plot plot; /* being drawn */
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void panel_size(struct ui_tab *tab, uint32_t win_w, uint32_t win_h, double density, uint32_t *w, uint32_t *h)
{
    struct panel *p = (struct panel *)tab;

    *w = p->width = win_w;
    *h = p->height = win_h;
    p->density = density;
    if (!p->font || p->font_density != density || p->font_zoom != p->zoom) {
        struct font *f = font_new(usual_px * density * pow(1.1, p->zoom), &p->font_error);

        tab->message = f || p->font ? NULL : p->font_error.msg;
        if (!f)
            return;
        font_free(p->font);
        p->font = f;
        p->font_density = density;
        p->font_zoom = p->zoom;
    }
}

static void panel_zoom(struct ui_tab *tab, int step)
{
    struct panel *p = (struct panel *)tab;
    int zoom = step ? p->zoom + step : 0;

    p->zoom = zoom < -5 ? -5 : zoom > 15 ? 15 : zoom;
    tab->resized = true;
}

static double rate(const struct curve_spec *s, const struct counter_sample *a, const struct counter_sample *b)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < RANGES; i++) {
        unsigned first = s->of[i].first, last = s->of[i].last ? s->of[i].last : first;

        if (i && !first)
            break;
        for (unsigned n = first; n <= last; n++)
            sum += b->value[n] - a->value[n];
    }
    return (double)sum * 1e9 / (double)(b->ns - a->ns);
}

static void fill_plot(struct panel *p, const struct plot_spec *s, unsigned samples, uint64_t now)
{
    struct plot *out = &p->plot;

    *out = (struct plot){.title = s->title, .unit = s->unit};
    while (out->curves < PLOT_CURVES && s->curve[out->curves].name) {
        out->curve[out->curves].name = s->curve[out->curves].name;
        out->curve[out->curves].colour = s->curve[out->curves].colour;
        out->curves++;
    }
    for (unsigned i = 1; i < samples; i++) {
        const struct counter_sample *a = &p->sample[i - 1], *b = &p->sample[i];

        if (b->ns < a->ns + 50000000) /* too near for a rate: the monitor asked too */
            continue;
        out->age[out->points] = now > b->ns ? (double)(now - b->ns) / 1e9 : 0;
        for (unsigned k = 0; k < out->curves; k++)
            out->curve[k].value[out->points] = rate(&s->curve[k], a, b);
        out->points++;
    }
}

static void fill(const struct canvas *c, uint32_t px)
{
    for (uint32_t y = 0; y < c->height; y++)
        for (uint32_t x = 0; x < c->width; x++)
            c->px[(size_t)y * c->stride + x] = px;
}

/* Below the plots: what is a level, and not a rate. */
static void foot(struct panel *p, const struct canvas *c, unsigned samples, uint32_t x, uint32_t y)
{
    const struct counter_sample *s = samples ? &p->sample[samples - 1] : NULL;
    char text[160], used[24], size[24], insns[24];

    if (!s)
        return;
    plot_number((double)s->value[COUNTER_CACHE_USED], "B", used, sizeof used);
    plot_number((double)s->value[COUNTER_CACHE_SIZE], "B", size, sizeof size);
    plot_number((double)s->value[COUNTER_INSNS], "", insns, sizeof insns);
    snprintf(text, sizeof text, "code cache %s of %s, %llu blocks translated, %s instructions since the start", used,
             size, (unsigned long long)s->value[COUNTER_BLOCKS], insns);
    text_draw_string(p->font, c, (int)x, (int)y, text, 0x8a929e, PLOT_BACKGROUND, 0);
}

static unsigned panel_draw(struct ui_tab *tab, const struct canvas *c, bool all, struct ui_rect rect[UI_RECTS])
{
    struct panel *p = (struct panel *)tab;
    uint64_t now = now_ns();
    unsigned samples, gap, across, down;
    bool due = now / 1000000 - p->asked >= PERIOD_MS - 50;

    if (due) { /* what it brings is drawn the next time */
        counter_log_ask(p->log);
        p->asked = now / 1000000;
    }
    if (!due && !all)
        return 0;
    rect[0] = (struct ui_rect){0, 0, c->width, c->height};
    fill(c, PLOT_BACKGROUND);
    if (!p->font)
        return 1;
    samples = counter_log_get(p->log, p->sample, COUNTER_SAMPLES);
    gap = font_cell_h(p->font);
    across = c->width > 70 * font_cell_w(p->font) ? 2 : 1;
    down = PLOTS / across;
    for (unsigned i = 0; i < PLOTS; i++) {
        uint32_t w = c->width / across, h = c->height > gap ? (c->height - gap - gap / 2) / down : 0;
        struct ui_rect r = {i % across * w + gap, i / across * h + gap / 2, w > 2 * gap ? w - 2 * gap : 0,
                            h > gap ? h - gap / 2 : 0};

        fill_plot(p, &specs[i], samples, now);
        plot_draw(&p->plot, p->font, c, &r, p->density);
    }
    foot(p, c, samples, gap, c->height > gap + gap / 4 ? c->height - gap - gap / 4 : 0);
    return 1;
}

static unsigned panel_next(struct ui_tab *tab)
{
    const struct panel *p = (struct panel *)tab;
    uint64_t since = now_ns() / 1000000 - p->asked;

    return since < PERIOD_MS ? (unsigned)(PERIOD_MS - since) : 1;
}

static void panel_free(struct ui_tab *tab)
{
    struct panel *p = (struct panel *)tab;

    font_free(p->font);
    free(p);
}

static const struct ui_tab_ops panel_ops = {
    .size = panel_size,
    .draw = panel_draw,
    .next = panel_next,
    .zoom = panel_zoom,
    .free = panel_free,
};

struct ui_tab *panel_new(struct counter_log *log, struct err *e)
{
    struct panel *p = calloc(1, sizeof *p);

    if (!p) {
        err_set(e, "out of memory");
        return NULL;
    }
    p->tab = (struct ui_tab){.ops = &panel_ops, .name = "counters", .shape_new = true};
    p->log = log;
    p->density = 1;
    return &p->tab;
}
