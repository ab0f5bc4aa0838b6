/*
 * The window's core: windows with tabs, what a key or the pointer means, the grab, scaling, messages and the menu.
 *
 * It stands between a host (host.h: SDL, or a test) and tabs (tab.h), and knows no device and no machine; window.c brings them
 * together. One thread has all of it; ui_wake and ui_stop may be called from any.
 *
 * It sleeps until the host has an event, somebody calls ui_wake, or a tab asked for time; it draws a window at most as often as
 * its screen does, and not at all while nobody can see it.
 */
#ifndef FRONTEND_UI_UI_H
#define FRONTEND_UI_UI_H

#include "frontend/ui/host.h"

struct ui;
struct ui_window;

enum ui_hot { UI_HOT_CTRL_ALT, UI_HOT_RIGHT_CTRL, UI_HOT_SHIFT_CTRL_ALT };

/* A row of the menu that means something to the caller. */
struct ui_action {
    const char *name;       /* NULL ends a list */
    void (*run)(void *arg); /* hooks.arg; on the ui's thread */
};

struct ui_options {
    enum ui_hot hot;                 /* what is held with a key of ours: the left ones */
    bool no_close;                   /* a window cannot be closed */
    bool show_cursor;                /* the host's pointer is always seen */
    bool whole;                      /* enlarge by whole numbers only */
    bool full_screen;                /* from the beginning */
    const char *name;                /* of the machine, for titles and files; lives as long as the ui */
    const struct ui_action *actions; /* the menu's rows about it; NULL: none */
};

/* All may be NULL; on the ui's thread. */
struct ui_hooks {
    void (*closed)(void *arg); /* the main window is to go */
    /* Called now and then; milliseconds until the next time, 0: when ui_wake is called. */
    unsigned (*tick)(void *arg);
    void *arg;
};

struct ui *ui_new(struct host *h, const struct ui_options *o, const struct ui_hooks *hooks); /* NULL: no memory */
void ui_free(struct ui *ui); /* its windows and their tabs too; not the host */

/* The first one is the main window. NULL: e is set. */
struct ui_window *ui_window_new(struct ui *ui, uint32_t width, uint32_t height, struct err *e);
/* Add a tab; the first one is shown. The window owns it, also when this fails. */
bool ui_add_tab(struct ui_window *w, struct ui_tab *t, struct err *e);
unsigned ui_tabs(const struct ui_window *w);

/* "running - 412 MIPS", for the titles. */
void ui_set_state(struct ui *ui, const char *state);
/* Over every guest's screen, until it is replaced; NULL: nothing. Lines end with \n. */
void ui_set_message(struct ui *ui, const char *text);
void ui_toast(struct ui_window *w, const char *text, unsigned ms); /* a line that goes away by itself */

void ui_run(struct ui *ui); /* until ui_stop */
/* One event, or less when none comes within ms (negative: as long as it takes), and what is due then. false: stopped. */
bool ui_turn(struct ui *ui, int ms);
void ui_wake(struct ui *ui);
void ui_stop(struct ui *ui);

#endif
