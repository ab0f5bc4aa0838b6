/*
 * A monospace font at one size: pictures of characters that fill whole cells of a terminal.
 *
 * DejaVu Sans Mono (Debian's fonts-dejavu-core), else what fontconfig calls monospace; characters it lacks come from the
 * other fonts of the system. Lines and blocks (U+2500 to U+259F, Braille) are drawn to the cell's size, so they join.
 * Nothing is loaded before the first font_new, and fontconfig not before a character is missing.
 *
 * One thread. Pictures are kept up to FONT_CACHE bytes; all go when that is full.
 */
#ifndef FRONTEND_UI_FONT_H
#define FRONTEND_UI_FONT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { FONT_CACHE = 8 << 20, FONT_MIN = 6, FONT_MAX = 160 /* pixels of the em */ };
enum { FONT_BOLD = 1, FONT_ITALIC = 2 };

struct font;

/* px: of the em, clamped. NULL: no font at all (e says which package has one). */
struct font *font_new(double px, struct err *e);
void font_free(struct font *f);
unsigned font_cell_w(const struct font *f);
unsigned font_cell_h(const struct font *f);
unsigned font_baseline(const struct font *f);  /* from the cell's top */
unsigned font_thickness(const struct font *f); /* of lines */
/*
 * Coverage, 0 to 255, of the cell (of two side by side when wide), row by row; NULL: nothing to draw. Valid until the
 * next call. mark: up to two combining characters, 0: none.
 */
const uint8_t *font_glyph(struct font *f, uint32_t ch, const uint16_t mark[2], unsigned style, bool wide);

/* font_box.c: draw ch into a zeroed picture; false: not one of these. */
bool font_box(uint8_t *a, int w, int h, int thickness, uint32_t ch);
/* font_find.c: path of a file to be freed, NULL: none. index: of the face in it. */
char *font_find_mono(unsigned style, int *index);
struct font_fallbacks;
struct font_fallbacks *font_fallbacks_new(void); /* NULL: no fontconfig */
void font_fallbacks_free(struct font_fallbacks *f);
/* The n-th choice for ch, or NULL. The path lives as long as f. */
const char *font_fallback(struct font_fallbacks *f, uint32_t ch, int *index);

#endif
