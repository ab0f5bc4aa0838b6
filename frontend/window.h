/*
 * A machine in a window: its screens, consoles and monitor as tabs, and what its state means there.
 *
 * The window has the process's main thread, as some systems' windows want it; the machine runs on a thread of its own.
 */
#ifndef FRONTEND_WINDOW_H
#define FRONTEND_WINDOW_H

#include <stdbool.h>

#include "base/err.h"

struct machine;

/* As machine_run, with a window; false: there can be none, and e says why. Call on the thread that made m. */
bool window_run(struct machine *m, int *code, struct err *e);

#endif
