/*
 * Cells of a terminal onto pixels: only those that differ from what was drawn before.
 *
 * One thread. The drawer remembers what is on the canvas; text_draw_all makes it forget (another canvas or font).
 */
#ifndef FRONTEND_UI_TEXT_DRAW_H
#define FRONTEND_UI_TEXT_DRAW_H

#include "frontend/ui/font.h"
#include "frontend/ui/tab.h"
#include "frontend/ui/term.h"

/* Bits of cell.bg that term_look leaves free: a cursor over the cell. */
#define TEXT_CURSOR_BAR (UINT32_C(1) << 28)
#define TEXT_CURSOR_LINE (UINT32_C(1) << 29)
#define TEXT_CURSOR_HOLLOW (UINT32_C(1) << 30)

struct text_draw;

struct text_draw *text_draw_new(void); /* NULL: out of memory */
void text_draw_free(struct text_draw *d);
/* Room for so many cells, all to be drawn; their top left pixel is at x, y. false: out of memory. */
bool text_draw_resize(struct text_draw *d, unsigned cols, unsigned rows, unsigned x, unsigned y);
void text_draw_all(struct text_draw *d, uint32_t background); /* the next time everything, margins too */
/* Fill in cols * rows cells here, then draw. */
struct term_cell *text_draw_cells(struct text_draw *d);
unsigned text_draw(struct text_draw *d, struct font *f, const struct canvas *c, bool blink_off,
                   struct ui_rect rect[UI_RECTS]);
bool text_draw_blinks(const struct text_draw *d); /* something that was drawn has CELL_BLINK */

/* Plain text at a place, without memory: for panels. Returns the width. */
unsigned text_draw_string(struct font *f, const struct canvas *c, int x, int y, const char *ascii, uint32_t fg,
                          uint32_t bg, unsigned style);

#endif
