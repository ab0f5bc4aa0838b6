/*
 * See window.h. Closing the window asks the machine to end, as `quit` does, and the window goes when that is done: disks are
 * written by then.
 */
#include "frontend/window.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "devices/display.h"
#include "frontend/machine.h"
#include "frontend/ui/display_tab.h"
#include "frontend/ui/panel.h"
#include "frontend/ui/sdl.h"
#include "frontend/ui/text_tab.h"
#include "frontend/ui/ui.h"

enum { WIDTH = 1280, HEIGHT = 800, STATE_MS = 2000, STATE_MOST_MS = 16000, GREETING_MS = 6000 };

struct window {
    struct machine *m;
    struct host *host;
    struct ui *ui;
    struct ui_window *main;
    pthread_t thread;
    int code;
    bool ending;
    uint64_t executed, at; /* when the speed was measured last: instructions, milliseconds */
    unsigned state_ms;     /* until the next time */
};

/* --- what the machine does, in words --- */

static void show_message(struct window *w, const struct machine_status *s)
{
    char text[700];

    text[0] = 0;
    if (s->phase == MACHINE_OFF && s->code)
        snprintf(text, sizeof text, "The guest has stopped with a failure (exit code %d).\nClose the window to end.",
                 s->code);
    else if (s->phase == MACHINE_OFF)
        snprintf(text, sizeof text, "The guest has shut down.\nClose the window to end.");
    else if (s->phase == MACHINE_STOPPED && s->reason[0])
        snprintf(text, sizeof text,
                 "Paused: %s.\nSet it right, then the menu, or `cont` in the monitor, lets it go on.", s->reason);
    else if (s->phase == MACHINE_STOPPED)
        snprintf(text, sizeof text, "Paused.\nThe menu, or `cont` in the monitor, lets it go on.");
    ui_set_message(w->ui, text[0] ? text : NULL);
}

/* Million instructions a second since the last time. */
static double speed(struct window *w, const struct machine_status *s)
{
    uint64_t now = w->host->ops->now(w->host), ms = now - w->at;
    double mips = ms ? (double)(s->executed - w->executed) / 1000 / (double)ms : 0;

    w->executed = s->executed;
    w->at = now;
    return mips;
}

/* The state of the machine into the titles. A speed that stays the same is looked at less and less often. */
static unsigned tick(void *arg)
{
    struct window *w = arg;
    struct machine_status s;
    char text[64];
    double mips;

    machine_get_status(w->m, &s);
    show_message(w, &s);
    if (w->ending || s.phase != MACHINE_RUNS) {
        ui_set_state(w->ui, w->ending ? "ending" : s.phase == MACHINE_OFF ? "off" : "paused");
        return 0;
    }
    mips = speed(w, &s);
    if (mips < 0.5)
        snprintf(text, sizeof text, "running - idle");
    else
        snprintf(text, sizeof text, "running - %.0f MIPS", mips);
    w->state_ms = mips >= 0.5 ? STATE_MS : w->state_ms * 2 > STATE_MOST_MS ? STATE_MOST_MS : w->state_ms * 2;
    ui_set_state(w->ui, text);
    return w->state_ms;
}

static void changed(void *arg) { ui_wake(arg); }

static void closed(void *arg)
{
    struct window *w = arg;

    w->ending = true;
    ui_set_state(w->ui, "ending");
    machine_request_quit(w->m, 0);
}

/* --- the menu's rows about the machine --- */

static void pause_or_go_on(void *machine)
{
    if (machine_running(machine))
        machine_stop(machine);
    else
        machine_cont(machine);
}

static void action_pause(void *arg)
{
    struct window *w = arg;

    loop_post(machine_loop(w->m), pause_or_go_on, w->m);
}

static void action_reset(void *arg) { machine_request(((struct window *)arg)->m, MACHINE_RESET, 0); }

static const struct ui_action actions[] = {
    {"Pause, or go on", action_pause},
    {"Reset", action_reset},
    {"End", closed},
    {NULL, NULL},
};

/* --- tabs --- */

/* A screen's size as its device was given it. */
static void first_size(const struct machine_config *c, uint32_t *width, uint32_t *height)
{
    for (unsigned i = 0; i < c->devices; i++) {
        const char *x = device_prop(&c->device[i], "xres"), *y = device_prop(&c->device[i], "yres");
        uint64_t w, h;

        if (x && y && parse_u64(x, &w) && parse_u64(y, &h) && w && h && w <= DISPLAY_MAX && h <= DISPLAY_MAX) {
            *width = (uint32_t)w;
            *height = (uint32_t)h;
            return;
        }
    }
}

static bool add_screen(struct window *w, struct ui_window *where, struct display *d, struct err *e)
{
    struct ui_tab *t = display_tab_new(d, machine_input(w->m), display_name(d));

    return t ? ui_add_tab(where, t, e) : err_set(e, "out of memory");
}

/* The first screen is the main window's first tab; each further one has a window of its own. */
static bool add_screens(struct window *w, uint32_t width, uint32_t height, struct err *e)
{
    struct display *d;

    for (unsigned i = 0; (d = machine_displays(w->m, i)) != NULL; i++) {
        struct ui_window *where = i ? ui_window_new(w->ui, width, height, e) : w->main;

        if (!where || !add_screen(w, where, d, e))
            return false;
    }
    return true;
}

/* Consoles and monitors that are in the window. */
static bool add_consoles(struct window *w, struct err *e)
{
    char name[64];
    struct vc *vc;

    for (unsigned i = 0; (vc = machine_vc(w->m, i, name, sizeof name)) != NULL; i++) {
        struct ui_tab *t = text_tab_new(vc, name, e);

        if (!t || !ui_add_tab(w->main, t, e))
            return false;
    }
    return true;
}

/* Last, and in the main window: what the machine counts. */
static bool add_panel(struct window *w, struct err *e)
{
    struct ui_tab *t = panel_new(machine_counters(w->m), e);

    return t && ui_add_tab(w->main, t, e);
}

/* For who has never been here. */
static void greet(struct window *w)
{
    static const char *const hot[] = {
        [GRAB_CTRL_ALT] = "Ctrl-Alt", [GRAB_RIGHT_CTRL] = "Right Ctrl", [GRAB_SHIFT_CTRL_ALT] = "Shift-Ctrl-Alt"};
    const char *keys = hot[machine_config_of(w->m)->display.keys];
    unsigned tabs = ui_tabs(w->main);
    char text[128];

    if (tabs > 1)
        snprintf(text, sizeof text, "%s-M: menu    %s-1 to %u: screens, consoles, counters", keys, keys,
                 tabs < 9 ? tabs : 9);
    else
        snprintf(text, sizeof text, "%s-M: menu", keys);
    ui_toast(w->main, text, GREETING_MS);
}

static bool open_window(struct window *w, struct err *e)
{
    const struct machine_config *c = machine_config_of(w->m);
    struct ui_options o = {.hot = (enum ui_hot)c->display.keys,
                           .no_close = c->display.no_close,
                           .show_cursor = c->display.show_cursor,
                           .whole = c->display.whole,
                           .full_screen = c->display.full_screen,
                           .name = c->name ? c->name : "guise",
                           .actions = actions};
    struct ui_hooks hooks = {.closed = closed, .tick = tick, .arg = w};
    uint32_t width = WIDTH, height = HEIGHT;

    w->host = sdl_host_new(e);
    if (!w->host)
        return false;
    w->ui = ui_new(w->host, &o, &hooks);
    if (!w->ui)
        return err_set(e, "out of memory");
    first_size(c, &width, &height);
    w->main = ui_window_new(w->ui, width, height, e);
    if (!w->main || !add_screens(w, width, height, e) || !add_consoles(w, e))
        return false;
    if (!ui_tabs(w->main))
        return err_set(e, "a window, but nothing to show in it: a screen is --device virtio-gpu-pci");
    if (!add_panel(w, e))
        return false;
    greet(w);
    return true;
}

static void *machine_thread(void *arg)
{
    struct window *w = arg;

    pthread_setname_np(pthread_self(), "machine");
    w->code = machine_run(w->m);
    ui_stop(w->ui);
    return NULL;
}

bool window_run(struct machine *m, int *code, struct err *e)
{
    struct window w = {.m = m, .state_ms = STATE_MS};
    bool ok = open_window(&w, e);
    int rc;

    if (ok) {
        machine_watch(m, changed, w.ui);
        rc = pthread_create(&w.thread, NULL, machine_thread, &w);
        ok = !rc || err_set(e, "cannot start a thread for the machine: %s", strerror(rc));
    }
    if (ok) {
        ui_run(w.ui);
        pthread_join(w.thread, NULL);
        *code = w.code;
    }
    machine_watch(m, NULL, NULL);
    ui_free(w.ui);
    if (w.host)
        w.host->ops->free(w.host);
    return ok;
}
