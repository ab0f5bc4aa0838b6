/* One plot of a panel: curves over the last minute, a scale that fits them, a legend with the newest values. */
#ifndef FRONTEND_UI_PANEL_PLOT_H
#define FRONTEND_UI_PANEL_PLOT_H

#include "frontend/ui/font.h"
#include "frontend/ui/tab.h"

enum { PLOT_CURVES = 6, PLOT_POINTS = 96, PLOT_SECONDS = 60 };

struct plot_curve {
    const char *name;
    uint32_t colour;
    double value[PLOT_POINTS]; /* per second */
};

struct plot {
    const char *title;
    const char *unit; /* "B": bytes, in powers of 1024 */
    struct plot_curve curve[PLOT_CURVES];
    unsigned curves;
    double age[PLOT_POINTS]; /* seconds before now, falling */
    unsigned points;
};

#define PLOT_BACKGROUND UINT32_C(0x15171c)

/* Everything within the rectangle is drawn. density: for thickness. */
void plot_draw(const struct plot *p, struct font *f, const struct canvas *c, const struct ui_rect *r, double density);
/* "1.2M", "340", "12 KiB": at most 10 characters. */
void plot_number(double v, const char *unit, char *buf, unsigned len);
double plot_scale(double most, const char *unit); /* the next round number that is not below */

#endif
