/* `guise run --window`: what a guest needs to be used through a window, where nothing else was said. */
#ifndef FRONTEND_NATIVE_WINDOW_H
#define FRONTEND_NATIVE_WINDOW_H

#include "frontend/config.h"

bool native_window(struct machine_config *c, struct err *e);

#endif
