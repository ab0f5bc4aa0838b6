/*
 * Boxes with text over a picture: messages, short notices, the menu. Opaque, so that they can be drawn again over a picture of
 * which only a part was redrawn.
 */
#ifndef FRONTEND_UI_OVERLAY_H
#define FRONTEND_UI_OVERLAY_H

#include "frontend/ui/tab.h"

struct ui;

enum overlay_place { OVERLAY_MIDDLE, OVERLAY_BOTTOM };

struct overlay {
    bool shown;
    struct ui_rect at; /* where it was drawn last */
};

/* Does anything of rect[0..n) touch it? */
bool overlay_touched(const struct overlay *o, const struct ui_rect *rect, unsigned n);
/* Draw lines of text (\n between them) in a box, broken where the frame is too narrow; o->at says where. */
void overlay_text(struct ui *ui, struct overlay *o, const struct canvas *frame, double density,
                  enum overlay_place place, const char *text);

struct overlay_item {
    const char *text, *key; /* key: on the right, "" for none */
    bool heading;
};
/* A list in a box in the middle, in as many columns as it takes and fit, and the page that has the chosen one. */
void overlay_list(struct ui *ui, struct overlay *o, const struct canvas *frame, double density,
                  const struct overlay_item *item, unsigned n, unsigned chosen);
/* Which item is at a place of a frame of that size; n: none. */
unsigned overlay_list_at(struct ui *ui, const struct overlay *o, const struct ui_rect *frame, double density,
                         const struct overlay_item *item, unsigned n, unsigned chosen, int32_t x, int32_t y);
/* The window's icon, OVERLAY_ICON pixels a side, ARGB; false: no font. */
enum { OVERLAY_ICON = 64 };
bool overlay_icon(uint32_t px[OVERLAY_ICON * OVERLAY_ICON]);
void overlay_font_free(struct ui *ui);

#endif
