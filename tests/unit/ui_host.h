/*
 * A host for the window's core without a screen: windows are memory, time stands still until a test moves it, and events
 * are what a test puts in.
 */
#ifndef TESTS_UNIT_UI_HOST_H
#define TESTS_UNIT_UI_HOST_H

#include "frontend/ui/host.h"

enum { FAKE_EVENTS = 64, FAKE_WINDOWS = 4 };

struct host_window {
    struct fake_host *host;
    char title[256];
    uint32_t width, height;
    uint32_t *px;
    uint32_t icon_corner, icon_middle; /* pixels of its icon: the corner, the left in the middle */
    bool full_screen, keyboard, relative, text, freed;
    enum ui_shape shape;
    struct ui_cursor cursor;
    unsigned shows;        /* calls of show */
    struct ui_rect shown;  /* what they covered since the test cleared it */
    uint64_t shown_pixels; /* pixels of the rectangles since then */
};

struct fake_host {
    struct host host; /* first */
    struct host_window window[FAKE_WINDOWS];
    unsigned windows;
    struct host_event event[FAKE_EVENTS];
    unsigned first, count;
    uint64_t now;
    int waited; /* what the last call of next would have waited, ms; negative: for ever */
    _Atomic unsigned wakes;
    double density;
    char *clipboard;
};

void fake_host_init(struct fake_host *f);
void fake_host_fini(struct fake_host *f);
void fake_put(struct fake_host *f, struct host_event e);
/* Of window n: */
void fake_type(struct fake_host *f, unsigned n, enum host_event_type t);
void fake_key(struct fake_host *f, unsigned n, uint16_t code, bool down, unsigned mods, uint32_t label);
void fake_motion(struct fake_host *f, unsigned n, int32_t x, int32_t y, int32_t dx, int32_t dy);
void fake_button(struct fake_host *f, unsigned n, uint16_t code, bool down, int32_t x, int32_t y);
void fake_resize(struct fake_host *f, unsigned n, uint32_t width, uint32_t height); /* as a person does */
uint32_t fake_pixel(const struct fake_host *f, unsigned n, uint32_t x, uint32_t y);

#endif
