/* The host of the window by SDL 2. One a process: SDL has state of its own. Made and used on the process's main thread. */
#ifndef FRONTEND_UI_SDL_H
#define FRONTEND_UI_SDL_H

#include "base/err.h"

struct host;

struct host *sdl_host_new(struct err *e); /* NULL: no SDL, or no screen; e says which */

#endif
