/*
 * Life of the window's core: windows and tabs, the loop, what events of the host mean. See ui.h.
 *
 * A turn: wait for an event until the earliest of what is due (a picture that changed and may be shown again, a tab's
 * own time, a notice that goes away, the hook), take it, then do what is due.
 */
#include "frontend/ui/ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/ui_parts.h"

enum { BURST = 256 }; /* events between two pictures */

struct ui *ui_new(struct host *h, const struct ui_options *o, const struct ui_hooks *hooks)
{
    struct ui *ui = calloc(1, sizeof *ui);

    if (!ui)
        return NULL;
    ui->host = h;
    ui->options = *o;
    if (hooks)
        ui->hooks = *hooks;
    ui->tick_at = ui->hooks.tick ? 1 : 0;
    return ui;
}

/* What it has of the host, and of memory but for itself. */
static void window_close(struct ui_window *w)
{
    for (unsigned i = 0; i < w->tabs; i++)
        if (w->tab[i]->ops->free)
            w->tab[i]->ops->free(w->tab[i]);
    w->tabs = 0;
    view_fini(&w->view);
    free(w->own.px);
    w->own.px = NULL;
    w->ui->host->ops->window_free(w->hw);
    w->hw = NULL;
}

static void free_list(struct ui_window *w)
{
    while (w) {
        struct ui_window *next = w->next;

        if (w->hw)
            window_close(w);
        free(w);
        w = next;
    }
}

void ui_free(struct ui *ui)
{
    if (!ui)
        return;
    free_list(ui->windows);
    free_list(ui->closed);
    overlay_font_free(ui);
    free(ui->message);
    free(ui);
}

static void wake(struct ui *ui)
{
    if (!atomic_exchange(&ui->woken, true))
        ui->host->ops->wake(ui->host);
}

void ui_wake(struct ui *ui)
{
    atomic_store(&ui->poked, true);
    wake(ui);
}

void ui_stop(struct ui *ui)
{
    atomic_store(&ui->stop, true);
    ui_wake(ui);
}

static void tab_woke(void *arg)
{
    struct ui_window *w = arg;

    atomic_store(&w->dirty, true);
    wake(w->ui);
}

/* --- windows and tabs --- */

static void set_icon(struct ui_window *w)
{
    uint32_t px[OVERLAY_ICON * OVERLAY_ICON];

    if (overlay_icon(px))
        w->ui->host->ops->set_icon(w->hw, &(struct ui_cursor){OVERLAY_ICON, OVERLAY_ICON, 0, 0, px});
}

struct ui_window *ui_window_new(struct ui *ui, uint32_t width, uint32_t height, struct err *e)
{
    struct ui_window *w = calloc(1, sizeof *w), **end = &ui->windows;

    if (!w) {
        err_set(e, "out of memory");
        return NULL;
    }
    w->ui = ui;
    snprintf(w->title, sizeof w->title, "%s", ui->options.name);
    w->hw = ui->host->ops->window_new(ui->host, w->title, width, height, e);
    if (!w->hw) {
        free(w);
        return NULL;
    }
    set_icon(w);
    w->visible = w->layout = w->all = true;
    ui->host->ops->get_size(w->hw, &w->size);
    w->zoom = w->size.density < 1.5 ? 1 : (double)(int)(w->size.density + 0.5);
    w->settle_at = ui_now(ui) + 1;
    while (*end)
        end = &(*end)->next;
    *end = w;
    if (ui->options.full_screen && w == ui->windows)
        ui_set_full_screen(w, true);
    return w;
}

void ui_redraw(struct ui_window *w)
{
    w->all = true;
    atomic_store(&w->dirty, true);
}

void ui_next(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    unsigned ms = t && t->ops->next ? t->ops->next(t) : 0;

    w->next_at = ms ? ui_now(w->ui) + ms : 0;
}

static void set_focus(struct ui_window *w, bool in)
{
    struct ui_tab *t = ui_current(w);

    if (t && t->ops->focus)
        t->ops->focus(t, in);
    w->ui->host->ops->set_text(w->hw, in && t && t->ops->text);
}

/* The tab shown gets the focus anew; it hears nothing more of keys that are held now. */
static void refocus(struct ui_window *w, unsigned tab)
{
    if (w->focused)
        set_focus(w, false);
    w->current = tab;
    if (w->focused)
        set_focus(w, true);
    memcpy(w->ours, w->held, sizeof w->ours);
}

void ui_release_keys(struct ui_window *w) { refocus(w, w->current); }

void ui_show_tab(struct ui_window *w, unsigned n)
{
    if (n >= w->tabs || n == w->current)
        return;
    ui_set_grab(w, false);
    refocus(w, n);
    w->layout = true;
    w->tab[n]->shape_new = true;
    w->settle_at = ui_now(w->ui) + 1;
    ui_redraw(w);
    ui_titles(w->ui);
}

bool ui_add_tab(struct ui_window *w, struct ui_tab *t, struct err *e)
{
    if (w->tabs == UI_TABS) {
        if (t->ops->free)
            t->ops->free(t);
        return err_set(e, "more than %d tabs in one window", UI_TABS);
    }
    w->tab[w->tabs++] = t;
    t->wake = tab_woke;
    t->wake_arg = w;
    if (w->tabs == 1) {
        w->layout = true;
        t->shape_new = true;
        ui_redraw(w);
    }
    ui_titles(w->ui);
    return true;
}

unsigned ui_tabs(const struct ui_window *w) { return w->tabs; }

/*
 * A window but the main one was closed: its tabs go on in the main one. A device that draws on another thread may just be
 * about to wake the tab's window, so that its memory stays.
 */
static void fold_window(struct ui_window *w)
{
    struct ui *ui = w->ui;
    struct err e;

    for (struct ui_window **p = &ui->windows; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    for (unsigned i = 0; i < w->tabs; i++) {
        struct ui_tab *t = w->tab[i];

        if (t->ops->focus)
            t->ops->focus(t, false);
        if (t->ops->settled)
            t->ops->settled(t, 0, 0, 0, 0);
        ui_add_tab(ui->windows, t, &e);
    }
    w->tabs = 0;
    window_close(w);
    w->next = ui->closed;
    ui->closed = w;
}

static void close_window(struct ui_window *w)
{
    struct ui *ui = w->ui;

    if (ui->options.no_close)
        ui_toast(w, "This window stays open as long as the machine runs (window-close=off).", 4000);
    else if (w != ui->windows)
        fold_window(w);
    else if (ui->hooks.closed)
        ui->hooks.closed(ui->hooks.arg);
    else
        ui_stop(ui);
}

void ui_set_grab(struct ui_window *w, bool on)
{
    struct ui_tab *t = ui_current(w);
    bool relative = on && t && t->relative;

    on = on && t && t->keys_to_guest && w->focused;
    if (on == w->grabbed && (relative && on) == w->grab_relative)
        return;
    w->grabbed = on;
    w->grab_relative = relative && on;
    w->ui->host->ops->set_grab(w->hw, on || w->full_screen, w->grab_relative);
    ui_titles(w->ui);
}

void ui_set_full_screen(struct ui_window *w, bool on)
{
    char text[96];

    w->full_screen = on;
    w->ui->host->ops->set_fullscreen(w->hw, on);
    w->ui->host->ops->set_grab(w->hw, on || w->grabbed, w->grab_relative);
    w->toast_until = 0;
    ui_redraw(w);
    if (!on)
        return;
    snprintf(text, sizeof text, "%s-F leaves full screen, %s-M opens the menu", ui_hot_name(w->ui), ui_hot_name(w->ui));
    ui_toast(w, text, 4000);
}

/* --- titles and messages --- */

void ui_titles(struct ui *ui)
{
    for (struct ui_window *w = ui->windows; w; w = w->next) {
        const struct ui_tab *t = ui_current(w);
        bool first = w == ui->windows && !w->current;
        char title[sizeof w->title];

        snprintf(title, sizeof title, "%s%s%s%s%s%s%s%s", ui->options.name, first || !t ? "" : ": ",
                 first || !t ? "" : t->name, *ui->state ? " - " : "", ui->state, w->grabbed ? " - " : "",
                 w->grabbed ? ui_hot_name(ui) : "", w->grabbed ? "-G releases the grab" : "");
        if (!strcmp(title, w->title))
            continue;
        memcpy(w->title, title, sizeof title);
        ui->host->ops->set_title(w->hw, title);
    }
}

void ui_set_state(struct ui *ui, const char *state)
{
    if (!strcmp(ui->state, state))
        return;
    snprintf(ui->state, sizeof ui->state, "%s", state);
    ui_titles(ui);
}

void ui_set_message(struct ui *ui, const char *text)
{
    if (ui->message && text && !strcmp(ui->message, text))
        return;
    if (!ui->message && !text)
        return;
    free(ui->message);
    ui->message = text ? strdup(text) : NULL;
    for (struct ui_window *w = ui->windows; w; w = w->next)
        ui_redraw(w);
}

void ui_toast(struct ui_window *w, const char *text, unsigned ms)
{
    snprintf(w->toast_text, sizeof w->toast_text, "%s", text);
    w->toast_until = ui_now(w->ui) + ms;
    ui_redraw(w);
}

/* --- events --- */

static void focus_lost(struct ui_window *w)
{
    if (!w->focused)
        return;
    ui_set_grab(w, false);
    set_focus(w, false);
    w->focused = false;
    memset(w->held, 0, sizeof w->held);
    memset(w->ours, 0, sizeof w->ours);
}

static void focus_came(struct ui_window *w)
{
    if (w->focused)
        return;
    w->focused = true;
    set_focus(w, true);
}

static void resized(struct ui_window *w)
{
    struct host_size was = w->size;

    w->ui->host->ops->get_size(w->hw, &w->size);
    w->layout = true;
    ui_redraw(w);
    if (was.density != w->size.density)
        w->zoom *= w->size.density / was.density;
    if (!w->full_screen && (w->size.width != w->asked_w || w->size.height != w->asked_h))
        w->person_sized = true;
    w->settle_at = ui_now(w->ui) + UI_SETTLE_MS;
}

static struct ui_window *window_of(struct ui *ui, const struct host_window *hw)
{
    for (struct ui_window *w = ui->windows; w; w = w->next)
        if (w->hw == hw)
            return w;
    return NULL;
}

static void window_event(struct ui_window *w, const struct host_event *e)
{
    switch (e->type) {
    case HOST_CLOSE: close_window(w); break;
    case HOST_RESIZED: resized(w); break;
    case HOST_EXPOSED: ui_redraw(w); break;
    case HOST_SHOWN:
        w->visible = true;
        ui_redraw(w);
        break;
    case HOST_HIDDEN: w->visible = false; break;
    case HOST_FOCUS: focus_came(w); break;
    case HOST_BLUR: focus_lost(w); break;
    case HOST_KEY: ui_key(w, e); break;
    case HOST_TEXT: ui_text(w, e->text); break;
    case HOST_LEAVE:
    case HOST_MOTION:
    case HOST_BUTTON:
    case HOST_WHEEL: ui_pointer(w, e); break;
    case HOST_NONE:
    case HOST_WAKE:
    case HOST_QUIT: break;
    }
}

static void event(struct ui *ui, const struct host_event *e)
{
    struct ui_window *w = e->window ? window_of(ui, e->window) : NULL;

    if (e->type == HOST_QUIT && ui->windows)
        close_window(ui->windows);
    else if (w)
        window_event(w, e);
}

/* --- what is due --- */

static uint64_t earlier(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

/* When the window may be drawn, should it have to. */
static uint64_t frame_time(const struct ui_window *w) { return w->shown_at + 1000 / (w->size.hz ? w->size.hz : 60); }

static uint64_t window_due(const struct ui_window *w)
{
    uint64_t at = earlier(w->settle_at, w->toast_until);

    if (!w->visible)
        return at;
    at = earlier(at, w->next_at);
    return atomic_load(&w->dirty) ? earlier(at, frame_time(w) + 1) : at;
}

static void window_do(struct ui_window *w, uint64_t now)
{
    struct ui_tab *t = ui_current(w);

    if (w->toast_until && now >= w->toast_until) {
        w->toast_until = 0;
        ui_redraw(w);
    }
    if (w->settle_at && now >= w->settle_at) {
        w->settle_at = 0;
        ui_settled(w);
    }
    if (w->next_at && now >= w->next_at)
        atomic_store(&w->dirty, true);
    if (w->visible && t && atomic_load(&w->dirty) && now >= frame_time(w)) {
        atomic_store(&w->dirty, false);
        ui_draw(w);
        w->shown_at = ui_now(w->ui);
        ui_next(w);
    }
    if (w->ask) {
        w->ask = false;
        w->ui->host->ops->set_size(w->hw, w->asked_w, w->asked_h);
    }
    if (t && w->grabbed && t->relative != w->grab_relative)
        ui_set_grab(w, true);
}

static void do_due(struct ui *ui)
{
    uint64_t now = ui_now(ui);

    if (ui->tick_at && now >= ui->tick_at) {
        unsigned ms = ui->hooks.tick(ui->hooks.arg);

        ui->tick_at = ms ? now + ms : 0;
    }
    for (struct ui_window *w = ui->windows; w; w = w->next)
        window_do(w, now);
}

static int time_left(const struct ui *ui, int most)
{
    uint64_t at = ui->tick_at, now = ui_now(ui);

    for (const struct ui_window *w = ui->windows; w; w = w->next)
        at = earlier(at, window_due(w));
    if (!at)
        return most;
    at = at > now ? at - now : 0;
    if (at > 3600000)
        at = 3600000;
    return most < 0 || at < (uint64_t)most ? (int)at : most;
}

bool ui_turn(struct ui *ui, int ms)
{
    struct host_event e = {0};

    if (atomic_load(&ui->stop))
        return false;
    if (ui->host->ops->next(ui->host, time_left(ui, ms), &e)) {
        event(ui, &e);
        for (unsigned i = 0; i < BURST && ui->host->ops->next(ui->host, 0, &e); i++)
            event(ui, &e);
    }
    atomic_store(&ui->woken,
                 false); /* before what is due is looked at: who wakes from here on is heard the next time */
    if (atomic_exchange(&ui->poked, false) && ui->hooks.tick)
        ui->tick_at = ui_now(ui);
    do_due(ui);
    return !atomic_load(&ui->stop);
}

void ui_run(struct ui *ui)
{
    while (ui_turn(ui, -1))
        continue;
}
