/*
 * The outside of the window, as ui.c sees it: windows with pixels, keys, a pointer, a clipboard, and a queue of events.
 * sdl.c is one (SDL 2), tests have another; a VNC server could be a third. Nothing above this header knows which it is.
 *
 * All calls come from the thread that made the host, but wake, which may come from any. Sizes and positions are pixels
 * of the screen, also on dense ones, where `density` of them make one of an ordinary screen.
 */
#ifndef FRONTEND_UI_HOST_H
#define FRONTEND_UI_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "frontend/ui/tab.h"

struct host;
struct host_window; /* the host's own */

enum host_event_type {
    HOST_NONE,    /* of no interest */
    HOST_WAKE,    /* somebody called wake */
    HOST_QUIT,    /* the session ends: as if every window was closed */
    HOST_CLOSE,   /* a person wants the window away */
    HOST_RESIZED, /* another size or density; the frame is a new one, all of it is to be drawn */
    HOST_EXPOSED, /* the frame is to be shown again */
    HOST_SHOWN,   /* may be seen again, */
    HOST_HIDDEN,  /* or not: minimised, another workspace */
    HOST_FOCUS,   /* has the keyboard, */
    HOST_BLUR,    /* or lost it; no ups come for keys that are down */
    HOST_LEAVE,   /* the pointer left */
    HOST_KEY,     /* code KEY_*, down, repeat, mods, label */
    HOST_TEXT,    /* text, after a KEY */
    HOST_MOTION,  /* x, y in the frame, dx, dy since the last one; relative pointer: dx, dy only */
    HOST_BUTTON,  /* code BTN_*, down, clicks, x, y */
    HOST_WHEEL,   /* wheel, hwheel, x, y */
};

struct host_event {
    enum host_event_type type;
    struct host_window *window; /* NULL with WAKE and QUIT */
    uint16_t code;
    bool down, repeat;
    unsigned mods; /* UI_*: with KEY, BUTTON, WHEEL, MOTION */
    uint32_t label;
    int32_t x, y, dx, dy;
    unsigned clicks;
    int32_t wheel, hwheel;
    const char *text; /* until the next event is taken */
};

struct host_size {
    uint32_t width, height;
    double density;
    unsigned hz;                      /* of the screen it is on */
    uint32_t most_width, most_height; /* a window fits the screen up to here */
};

struct host_ops {
    /* Not larger than the screen. It has no focus yet, and is not hidden; NULL: e is set. */
    struct host_window *(*window_new)(struct host *h, const char *title, uint32_t w, uint32_t height, struct err *e);
    void (*window_free)(struct host_window *w);
    void (*set_title)(struct host_window *w, const char *title);
    void (*set_icon)(struct host_window *w, const struct ui_cursor *picture); /* the hot spot is of no meaning */
    void (*set_size)(struct host_window *w, uint32_t width,
                     uint32_t height);                      /* RESIZED follows when it became another */
    void (*set_fullscreen)(struct host_window *w, bool on); /* on the screen where the window is */
    void (*get_size)(struct host_window *w, struct host_size *s);
    /* The window's pixels; valid until the next event is taken. false: there are none now. */
    bool (*frame)(struct host_window *w, struct canvas *c);
    void (*show)(struct host_window *w, const struct ui_rect *r, unsigned n); /* what was drawn, at least these */
    /* c: for UI_SHAPE_PICTURE. */
    void (*set_pointer)(struct host_window *w, enum ui_shape shape, const struct ui_cursor *c);
    /* keyboard: system keys come here too. relative: the pointer is hidden and held, and gives motion only. */
    void (*set_grab)(struct host_window *w, bool keyboard, bool relative);
    void (*set_text)(struct host_window *w, bool on); /* input methods, and TEXT events */
    void (*copy)(struct host *h, const char *utf8);
    char *(*paste)(struct host *h); /* for the caller to free; NULL: nothing */
    /* The next event; waits at most ms (negative: for ever). false: none came. */
    bool (*next)(struct host *h, int ms, struct host_event *e);
    void (*wake)(struct host *h);    /* any thread */
    uint64_t (*now)(struct host *h); /* milliseconds, of a clock that never goes back */
    void (*free)(struct host *h);    /* windows are freed */
};

struct host {
    const struct host_ops *ops;
};

#endif
