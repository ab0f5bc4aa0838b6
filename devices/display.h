/*
 * A guest's screen, between the device that makes it (virtio-gpu scanout, bochs-display, ramfb, simple-framebuffer) and
 * whoever looks at it (a window, a screenshot, later VNC). Neither knows the other.
 *
 * The device owns a struct display for each scanout, gives it a surface (host memory with pixels, which may lie in guest
 * RAM) and says what was damaged. A viewer asks for the damage that gathered since it last looked and reads the pixels under the
 * display's lock; the device takes that lock to change or free the surface, not to draw: a viewer may see a frame
 * half drawn, and then hears of the rest by damage. Damage is one rectangle, or a few.
 *
 * Threads: device calls come with the device's lock held or from any thread; viewer calls from one thread a viewer; the
 * display's lock is innermost. notify runs on the device's thread and only wakes somebody.
 */
#ifndef DEVICES_DISPLAY_H
#define DEVICES_DISPLAY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISPLAY_MAX = 16384 /* pixels a side */, DISPLAY_RECTS = 8, DISPLAY_CURSOR_MAX = 256 /* pixels a side */ };

/* Names give the bytes in memory order on a little-endian host as one number: XRGB8888 is B, G, R, x. */
enum pixel_format { PIXEL_XRGB8888, PIXEL_XBGR8888, PIXEL_BGRX8888, PIXEL_RGBX8888, PIXEL_RGB888, PIXEL_RGB565 };

unsigned pixel_bytes(enum pixel_format f); /* bytes a pixel takes */

struct surface {
    uint32_t width, height, stride; /* pixels, pixels, bytes; stride >= width * bytes a pixel */
    enum pixel_format format;
    const uint8_t *data; /* height * stride bytes are there */
};

struct display_rect {
    uint32_t x, y, w, h;
};

struct display_cursor {
    uint32_t w, h, hot_x, hot_y;
    const uint32_t *argb; /* w * h, not premultiplied; NULL: hidden */
};

struct display;

/* What a device may be asked; any thread, no locks held. All may be NULL. */
struct display_ops {
    /* The viewer has so much room: a device that can tells its guest (EDID). 0 x 0: nobody looks at this one any more. */
    void (*resize)(void *dev, uint32_t width, uint32_t height, uint32_t mm_width, uint32_t mm_height);
    /*
     * For surfaces that the guest draws into without a word (framebuffers): look now for what has changed, and report it
     * by display_damage. Called before a viewer takes damage, at most at its refresh rate; nobody looks, nobody calls.
     */
    void (*refresh)(void *dev);
};

struct display *display_new(const char *name, const struct display_ops *ops, void *dev); /* NULL: no memory */
void display_free(struct display *d);                                                    /* viewers are gone */
const char *display_name(const struct display *d);
bool display_can_resize(const struct display *d); /* has ops->resize */
bool display_is_polled(const struct display *d);  /* has ops->refresh */

/* --- the device's side --- */

/* Another surface (copied struct; NULL: none, the screen is dark). The old one is not read any more when this returns. */
void display_set_surface(struct display *d, const struct surface *s);
void display_damage(struct display *d, uint32_t x, uint32_t y, uint32_t w, uint32_t h); /* clipped */
void display_set_cursor(struct display *d, const struct display_cursor *c); /* pixels are copied; NULL: hidden */
/* x, y: where the picture's upper left pixel is (not its hot spot), in pixels of the surface. */
void display_move_cursor(struct display *d, int32_t x, int32_t y, bool visible);

/* --- the viewer's side --- */

struct display_viewer {
    void (*notify)(void *arg); /* there is damage, a new surface or cursor; only wakes: no call of display_* from it */
    void *arg;
    /* display.c's own: */
    struct display_rect rect[DISPLAY_RECTS];
    unsigned rects;
    bool new_surface, new_cursor, cursor_moved, told, looking;
    struct display_viewer *next;
};

void display_attach(struct display *d, struct display_viewer *v); /* sees a whole new surface first */
void display_detach(struct display *d, struct display_viewer *v);

struct display_update {
    bool new_surface; /* it came, went, or has another size or format: rect is the whole */
    bool has_surface;
    struct surface surface; /* of this update: a page flip changes `data` without new_surface */
    struct display_rect rect[DISPLAY_RECTS];
    unsigned rects;
    bool new_cursor, cursor_moved, cursor_visible;
    int32_t cursor_x, cursor_y;
};

/*
 * Begin to look. True when anything is new: then the display's lock is held until display_end and the surface's memory
 * stays; keep it short. False: nothing is held, u says what was there, without pixels; display_end is allowed.
 * Rectangles lie inside the surface. display_read converts one to XRGB8888 rows of out_stride bytes (the x byte is of no meaning).
 */
bool display_begin(struct display *d, struct display_viewer *v, struct display_update *u);
void display_read(const struct surface *s, const struct display_rect *r, uint32_t *out, size_t out_stride);
/* The cursor's pixels; valid until display_end. */
void display_cursor(struct display *d, struct display_cursor *c);
void display_end(struct display *d, struct display_viewer *v);
/* The viewer's window has this size now: passed to ops->resize. */
void display_wants_size(struct display *d, uint32_t width, uint32_t height, uint32_t mm_width, uint32_t mm_height);
/* Ask the device to look for changes (ops->refresh). */
void display_refresh(struct display *d);

/* The surface as it is (data NULL: none), for pictures of it: its memory stays until display_unlock. Any thread. */
const struct surface *display_lock(struct display *d);
void display_unlock(struct display *d);

/* A screenshot: PNG (true colour, 8 bits) or PPM. False with errno: no surface (ENODATA), or why it cannot be written. */
bool display_png(struct display *d, const char *path);
bool display_ppm(struct display *d, const char *path);

#endif
