/*
 * A picture that the guest draws into memory without a word: a display over RAM of the bus (video memory, or the
 * guest's own), which tells its viewers of the rows that were written since they last asked.
 *
 * Its device owns it and calls it with the device's lock held. The memory is the bus's and outlives the device.
 */
#ifndef DEVICES_FRAMEBUFFER_H
#define DEVICES_FRAMEBUFFER_H

#include "devices/display.h"
#include "mmu/watch.h"

struct framebuffer { /* zeroed but for bus and display; read only outside */
    struct bus *bus;
    struct display *display;
    struct surface shown; /* data NULL: dark */
    uint64_t skip;        /* bytes from the beginning of its first page */
    struct bus_watch watch;
    uint8_t *news; /* a bit a page */
};

/*
 * Show s (its data is not looked at) from byte off of ram. What would not lie in ram, or is no picture (no side, more than
 * DISPLAY_MAX pixels, rows that overlap), makes it dark: false.
 */
bool framebuffer_show(struct framebuffer *f, const struct region *ram, uint64_t off, const struct surface *s);
void framebuffer_dark(struct framebuffer *f);
void framebuffer_touch(struct framebuffer *f);   /* all of it may have changed: after restore */
void framebuffer_refresh(struct framebuffer *f); /* for display_ops.refresh, under the device's lock */
void framebuffer_fini(struct framebuffer *f);    /* frees the display too */

#endif
