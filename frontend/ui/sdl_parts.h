/* The inside of the SDL host, shared by sdl.c (windows) and sdl_events.c. */
#ifndef FRONTEND_UI_SDL_PARTS_H
#define FRONTEND_UI_SDL_PARTS_H

#include "frontend/ui/host.h"
#include "frontend/ui/sdl_lib.h"

enum { SHAPES = UI_SHAPE_NONE };

struct host_window {
    struct sdl_host *host;
    struct host_window *next;
    SDL_Window *win;
    uint32_t id;
    double ratio;        /* pixels for one of SDL's units */
    SDL_Surface *frame;  /* SDL's: the window's own pixels */
    SDL_Surface *shadow; /* ours, where those are no XRGB8888; NULL: not needed */
    enum ui_shape shape;
    SDL_Cursor *picture; /* of UI_SHAPE_PICTURE */
    float wheel, hwheel; /* parts of a notch that wait for the rest */
};

struct sdl_host {
    struct host host; /* first */
    struct sdl_lib sdl;
    struct host_window *windows, *under_pointer;
    SDL_Cursor *cursor[SHAPES];
    uint32_t wake_event; /* its type */
    bool deaf;           /* a driver that cannot wait: no events but ours come */
    SDL_sem *woken;      /* of a deaf driver */
    bool started, relative;
    char text[64]; /* of the last event */
};

void sdl_apply_pointer(struct host_window *w); /* sdl.c: the shape of the window under the pointer */
void sdl_measure(struct host_window *w);       /* sdl.c: its ratio, after it moved or changed */
bool sdl_next(struct host *h, int ms, struct host_event *e);
void sdl_wake(struct host *h);

#endif
