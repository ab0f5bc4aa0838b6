/*
 * A guest's screen as a tab: the picture of a struct display, keys and pointer to a struct input.
 *
 * The guest's own pointer is the host's while it points absolutely (a tablet), and is drawn into the picture while its motion is
 * relative and grabbed. Keys that are down go up when the focus leaves.
 */
#ifndef FRONTEND_UI_DISPLAY_TAB_H
#define FRONTEND_UI_DISPLAY_TAB_H

#include "frontend/ui/tab.h"

struct display;
struct input;

/* d and in (NULL: no input devices) live longer than the tab. NULL: out of memory. */
struct ui_tab *display_tab_new(struct display *d, struct input *in, const char *name);

#endif
