/* See look.h. */
#include "tests/unit/look.h"

void look_open(struct look *l, struct display *screen)
{
    *l = (struct look){.screen = screen};
    display_attach(screen, &l->viewer);
}

void look_close(struct look *l) { display_detach(l->screen, &l->viewer); }

bool look_news(struct look *l)
{
    bool any;

    display_refresh(l->screen);
    any = display_begin(l->screen, &l->viewer, &l->u);
    display_end(l->screen, &l->viewer);
    return any;
}

uint32_t look_pixel(struct look *l, uint32_t x, uint32_t y)
{
    uint32_t v;

    display_read(display_lock(l->screen), &(struct display_rect){x, y, 1, 1}, &v, 4);
    display_unlock(l->screen);
    return v & 0xffffff;
}
