/*
 * EDID: what a monitor says of itself, so that a guest takes the size of the window it is shown in.
 * Sources: VESA E-EDID release A revision 2 (EDID 1.4), CVT 1.1 (reduced blanking), CTA-861, DisplayID 1.3.
 */
#ifndef DEVICES_EDID_H
#define DEVICES_EDID_H

#include <stddef.h>
#include <stdint.h>

enum { EDID_BLOCK = 128, EDID_MAX = 3 * EDID_BLOCK };

struct edid_options {
    uint32_t width, height;       /* the preferred mode, pixels; 1 to 16384 */
    uint32_t mm_width, mm_height; /* of the picture; either 0: as if it had 96 pixels an inch */
    uint32_t serial;
};

/*
 * Fill out (EDID_MAX bytes, the rest zeroed); the bytes used, whole blocks: the base block and one of further modes, and a third
 * one for what the base block has no room for (more than 4095 pixels a side, or a pixel clock over 655.35 MHz).
 */
size_t edid_make(uint8_t *out, const struct edid_options *o);

#endif
