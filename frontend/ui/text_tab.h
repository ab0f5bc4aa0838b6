/*
 * A console of the guest (serial port, virtio console, monitor) as a tab of the window.
 *
 * A thread of the tab's own reads what the guest prints into the terminal, also while another tab is shown, so the guest
 * is never held up by drawing and a megabyte of output is drawn once a frame. A lock of the tab lies over the terminal.
 */
#ifndef FRONTEND_UI_TEXT_TAB_H
#define FRONTEND_UI_TEXT_TAB_H

#include "base/err.h"
#include "frontend/ui/tab.h"

struct vc;

/* The tab is vc's reader until it is freed, which must be before the machine is. name: copied. */
struct ui_tab *text_tab_new(struct vc *vc, const char *name, struct err *e);

#endif
