/* How many columns of a terminal a character takes. */
#ifndef FRONTEND_UI_TERM_WIDTH_H
#define FRONTEND_UI_TERM_WIDTH_H

#include <stdint.h>

unsigned term_width(uint32_t ch); /* 0: joins the one before it; 1, 2 */

#endif
