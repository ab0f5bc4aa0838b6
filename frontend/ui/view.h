/*
 * Where a tab's picture lies in the window's frame, and how it gets there: as it is, enlarged by a whole number of pixels,
 * or smoothly. The aspect is kept; what is left of the frame is black. Pure computation: no locks, no host.
 */
#ifndef FRONTEND_UI_VIEW_H
#define FRONTEND_UI_VIEW_H

#include "frontend/ui/tab.h"

enum view_how {
    VIEW_DIRECT,  /* pixel for pixel */
    VIEW_WHOLE,   /* each pixel is a square of several */
    VIEW_LINEAR,  /* between pixels, weighted */
    VIEW_AVERAGE, /* of those that fall together, where it shrinks by more than half */
};

struct view {
    enum view_how how;
    uint32_t frame_w, frame_h, pic_w, pic_h;
    uint32_t x, y, w, h; /* of the picture in the frame */
    uint32_t *col;       /* LINEAR: for each column of w, the left source column << 8 | weight of its neighbour */
    uint32_t *line[2];   /* LINEAR: source rows, scaled to w */
};

/*
 * Lay it out anew. whole: enlarge by whole numbers only. An enlargement that leaves less than a fiftieth of the frame
 * free is whole always: text stays crisp when a guest cannot have just the size of the window.
 * false: no memory; the view then shows nothing. v is zeroed at first.
 */
bool view_set(struct view *v, uint32_t frame_w, uint32_t frame_h, uint32_t pic_w, uint32_t pic_h, bool whole);
void view_fini(struct view *v);

/* Bring rectangle r of pic into frame; answers the rectangle of the frame that changed. DIRECT copies too. */
struct ui_rect view_draw(struct view *v, const struct canvas *pic, struct ui_rect r, const struct canvas *frame);
/* The part of the frame that shows r. */
struct ui_rect view_rect(const struct view *v, struct ui_rect r);
/* The borders of the frame, black; up to 4 rectangles. */
unsigned view_borders(const struct view *v, const struct canvas *frame, struct ui_rect out[4]);
/* A place of the frame in the picture; it may lie outside. */
void view_point(const struct view *v, int32_t fx, int32_t fy, int32_t *x, int32_t *y);

void canvas_fill(const struct canvas *c, struct ui_rect r, uint32_t rgb);

#endif
