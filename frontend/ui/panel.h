/*
 * A panel: the machine's live counters as rolling plots of the last minute, a tab of the window. It asks for samples
 * only while it is drawn. Window's thread.
 */
#ifndef FRONTEND_UI_PANEL_H
#define FRONTEND_UI_PANEL_H

#include "base/err.h"
#include "frontend/ui/tab.h"

struct counter_log;

/* log lives until the tab is freed. */
struct ui_tab *panel_new(struct counter_log *log, struct err *e);

#endif
