/* Somebody who looks at a display, for the tests of the devices that make one. */
#ifndef TESTS_UNIT_LOOK_H
#define TESTS_UNIT_LOOK_H

#include "devices/display.h"

struct look {
    struct display *screen;
    struct display_viewer viewer;
    struct display_update u; /* what the last look saw */
};

void look_open(struct look *l, struct display *screen); /* l is zeroed first */
void look_close(struct look *l);
bool look_news(struct look *l); /* has the device look, and takes what is new; false: nothing */
uint32_t look_pixel(struct look *l, uint32_t x, uint32_t y); /* 0xrrggbb */

#endif
