/*
 * A tab of the window: a guest's screen, a terminal (serial port, console, monitor) or a panel. The window core (ui.h)
 * has the list, shows one and gives it keys and pointer; a tab draws into the core's canvas and knows nothing of SDL.
 *
 * Everything here is called on the window's thread. Only ui_tab_wake may be called from any thread.
 */
#ifndef FRONTEND_UI_TAB_H
#define FRONTEND_UI_TAB_H

#include <stdbool.h>
#include <stdint.h>

enum { UI_RECTS = 8 };

/* Pixels are 0x00RRGGBB, row y begins at px + y * stride. */
struct canvas {
    uint32_t *px;
    uint32_t width, height, stride; /* pixels */
};

struct ui_rect {
    uint32_t x, y, w, h;
};

enum { UI_SHIFT = 1, UI_CTRL = 2, UI_ALT = 4 /* the left one */, UI_META = 8, UI_ALTGR = 16 /* the right Alt */ };

struct ui_key {
    uint16_t code; /* KEY_* of linux/input-event-codes.h: the place of the key, whatever the layout says */
    bool down, repeat;
    unsigned mods;  /* UI_*, as they are with this key */
    uint32_t label; /* what the host's layout makes of it without modifiers, as Unicode; 0: nothing */
};

enum ui_pointer_type { UI_POINTER_MOVE, UI_POINTER_BUTTON, UI_POINTER_WHEEL, UI_POINTER_RELATIVE };

struct ui_pointer {
    enum ui_pointer_type type;
    int32_t x, y;          /* in the canvas, may lie outside of it; RELATIVE: motion */
    uint16_t button;       /* BTN_LEFT, ... */
    bool down;             /* of button */
    unsigned clicks;       /* 1, 2, 3: of BUTTON down */
    int32_t wheel, hwheel; /* notches, up and right are positive */
    unsigned mods;         /* UI_* */
};

/* How the host's pointer looks over the tab. DOT: hardly there, where the guest draws a pointer itself. */
enum ui_shape { UI_SHAPE_ARROW, UI_SHAPE_TEXT, UI_SHAPE_DOT, UI_SHAPE_NONE, UI_SHAPE_PICTURE };

struct ui_cursor {
    uint32_t w, h, hot_x, hot_y; /* pixels of the canvas */
    const uint32_t *argb;        /* w * h, not premultiplied */
};

struct ui_tab;

/* Any may be NULL, but size and draw. */
struct ui_tab_ops {
    /*
     * The window has so many pixels, and so many of them make one of an ordinary screen (1, or up to 4 on a dense one):
     * answer how large the canvas shall be. One of another size than the window is scaled with kept aspect.
     * Asked again when the tab says so (resized) and when the window's size changes.
     */
    void (*size)(struct ui_tab *t, uint32_t win_w, uint32_t win_h, double density, uint32_t *w, uint32_t *h);
    /*
     * The window has kept its size for a moment and there is so much room for the canvas: a guest that can is told.
     * 0 x 0: its window was closed, nobody will see it soon.
     */
    void (*settled)(struct ui_tab *t, uint32_t w, uint32_t h, uint32_t mm_w, uint32_t mm_h);
    /* Draw what changed since the last time (all: everything); the changed rectangles, none: 0. */
    unsigned (*draw)(struct ui_tab *t, const struct canvas *c, bool all, struct ui_rect rect[UI_RECTS]);
    void (*key)(struct ui_tab *t, const struct ui_key *k);
    void (*text)(struct ui_tab *t, const char *utf8); /* what the keys typed, after layout and input method */
    void (*pointer)(struct ui_tab *t, const struct ui_pointer *p);
    void (*focus)(struct ui_tab *t, bool in); /* shown and with the window's focus, or not any more */
    void (*paste)(struct ui_tab *t, const char *utf8);
    char *(*copy)(struct ui_tab *t); /* what is selected, for the caller to free; NULL: nothing */
    /* Milliseconds until draw is to be called without anything new (a blinking cursor, a plot); 0: not needed. */
    unsigned (*next)(struct ui_tab *t);
    void (*zoom)(struct ui_tab *t,
                 int step); /* larger +1, smaller -1, as at the start 0: text tabs; NULL: the core scales */
    void (*free)(struct ui_tab *t);
};

struct ui_tab {
    const struct ui_tab_ops *ops;
    const char *name;    /* for the title; lives as long as the tab */
    bool resized;        /* set by the tab: ask its size again */
    bool keys_to_guest;  /* a screen: the grab and the send-keys menu mean something */
    bool follows;        /* its canvas becomes what settled says, sooner or later */
    bool relative;       /* the pointer's motion is wanted: a click grabs it */
    const char *message; /* shown over the picture; NULL: nothing. Lives until it is replaced */
    bool shape_new;      /* set by the tab: shape or cursor are others now */
    enum ui_shape shape;
    struct ui_cursor cursor; /* of PICTURE; its pixels stay until the tab is called the next time */
    /* the core's own: */
    void (*wake)(void *arg);
    void *wake_arg;
    struct ui_tab *next;
};

/* There is something to draw: the window's thread will call draw when the tab is shown. */
static inline void ui_tab_wake(struct ui_tab *t)
{
    if (t->wake)
        t->wake(t->wake_arg);
}

#endif
