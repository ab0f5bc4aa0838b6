/*
 * Keys and pointer: what is ours and what the tab hears.
 *
 * A key of ours is one that goes down while the hot modifiers are held; the tab has heard these go down, so that
 * it is told that they are up (ui_release_keys) and hears nothing more of what is held then. Letters are found by what is
 * printed on them, digits by their place.
 */
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/ui_parts.h"

enum hot {
    HOT_NONE,
    HOT_FULL_SCREEN,
    HOT_GRAB,
    HOT_LARGER,
    HOT_SMALLER,
    HOT_ZOOM_RESET,
    HOT_UNSCALED,
    HOT_SCREENSHOT,
    HOT_MENU,
    HOT_TAB, /* and the next eight */
};

const char *ui_hot_name(const struct ui *ui)
{
    static const char *const name[] = {
        [UI_HOT_CTRL_ALT] = "Ctrl-Alt", [UI_HOT_RIGHT_CTRL] = "Right Ctrl", [UI_HOT_SHIFT_CTRL_ALT] = "Shift-Ctrl-Alt"};

    return name[ui->options.hot];
}

static bool hot_held(const struct ui_window *w)
{
    switch (w->ui->options.hot) {
    case UI_HOT_RIGHT_CTRL: return key_in(w->held, KEY_RIGHTCTRL);
    case UI_HOT_SHIFT_CTRL_ALT:
        if (!key_in(w->held, KEY_LEFTSHIFT))
            return false;
        break;
    case UI_HOT_CTRL_ALT: break;
    }
    return key_in(w->held, KEY_LEFTCTRL) && key_in(w->held, KEY_LEFTALT);
}

static enum hot hot_label(uint32_t label)
{
    switch (label) {
    case 'f': return HOT_FULL_SCREEN;
    case 'g': return HOT_GRAB;
    case 'u': return HOT_UNSCALED;
    case 's': return HOT_SCREENSHOT;
    case 'm': return HOT_MENU;
    case '+':
    case '=': return HOT_LARGER;
    case '-': return HOT_SMALLER;
    default: return HOT_NONE;
    }
}

static enum hot hot_code(uint16_t code)
{
    if (code >= KEY_1 && code <= KEY_9)
        return HOT_TAB + code - KEY_1;
    switch (code) {
    case KEY_KPPLUS: return HOT_LARGER;
    case KEY_KPMINUS: return HOT_SMALLER;
    case KEY_0: return HOT_ZOOM_RESET;
    case KEY_F: return HOT_FULL_SCREEN;
    case KEY_G: return HOT_GRAB;
    case KEY_U: return HOT_UNSCALED;
    case KEY_S: return HOT_SCREENSHOT;
    case KEY_M: return HOT_MENU;
    case KEY_EQUAL: return HOT_LARGER;
    case KEY_MINUS: return HOT_SMALLER;
    default: return HOT_NONE;
    }
}

/* A label that is a letter says which key it is; only without one its place does. */
static enum hot hot_of(const struct host_event *e)
{
    bool letter = e->label > ' ' && e->label < 127 && !(e->code >= KEY_1 && e->code <= KEY_0);

    return letter ? hot_label(e->label) : hot_code(e->code);
}

static void hot_do(struct ui_window *w, enum hot hot)
{
    switch (hot) {
    case HOT_NONE: break;
    case HOT_FULL_SCREEN: ui_set_full_screen(w, !w->full_screen); break;
    case HOT_GRAB: ui_set_grab(w, !w->grabbed); break;
    case HOT_LARGER: ui_zoom(w, 1); break;
    case HOT_SMALLER: ui_zoom(w, -1); break;
    case HOT_ZOOM_RESET: ui_zoom(w, 0); break;
    case HOT_UNSCALED: ui_unscaled(w); break;
    case HOT_SCREENSHOT: ui_screenshot(w); break;
    case HOT_MENU: ui_menu_open(w); break;
    default: ui_show_tab(w, hot - HOT_TAB); break;
    }
}

/* --- the clipboard, in tabs that have text --- */

void ui_paste(struct ui_window *w)
{
    struct ui_tab *t = ui_current(w);
    char *text = t->ops->paste ? w->ui->host->ops->paste(w->ui->host) : NULL;

    if (text && *text)
        t->ops->paste(t, text);
    free(text);
    ui_next(w);
}

static bool copy_paste(struct ui_window *w, const struct host_event *e)
{
    struct ui_tab *t = ui_current(w);
    unsigned mods = e->mods & (UI_SHIFT | UI_CTRL | UI_ALT);
    bool ctrl_shift = mods == (UI_SHIFT | UI_CTRL);

    if (t->keys_to_guest) /* these keys are its own */
        return false;
    if (t->ops->copy && ctrl_shift && (e->label ? e->label == 'c' : e->code == KEY_C)) {
        char *text = t->ops->copy(t);

        if (text)
            w->ui->host->ops->copy(w->ui->host, text);
        free(text);
        return true;
    }
    if (t->ops->paste && ((ctrl_shift && (e->label ? e->label == 'v' : e->code == KEY_V)) ||
                          (mods == UI_SHIFT && e->code == KEY_INSERT))) {
        ui_paste(w);
        return true;
    }
    return false;
}

/* --- keys --- */

static void give_key(struct ui_window *w, const struct host_event *e)
{
    struct ui_tab *t = ui_current(w);
    struct ui_key k = {e->code, e->down, e->repeat, e->mods, e->label};

    if (t->ops->key)
        t->ops->key(t, &k);
    ui_next(w);
}

static bool is_modifier(uint16_t code)
{
    return code == KEY_LEFTCTRL || code == KEY_RIGHTCTRL || code == KEY_LEFTALT || code == KEY_RIGHTALT ||
           code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT || code == KEY_LEFTMETA || code == KEY_RIGHTMETA;
}

/* Is it ours? Then the tab does not hear of it, nor of its end. */
static bool take_key(struct ui_window *w, const struct host_event *e)
{
    enum hot hot;

    if (w->menu_state.open) {
        ui_menu_key(w, e);
        return true;
    }
    if (is_modifier(e->code))
        return false;
    hot = hot_held(w) ? hot_of(e) : HOT_NONE;
    if (hot == HOT_NONE)
        return copy_paste(w, e);
    if (!e->repeat || hot == HOT_LARGER || hot == HOT_SMALLER) {
        ui_release_keys(w);
        hot_do(w, hot);
    }
    return true;
}

void ui_key(struct ui_window *w, const struct host_event *e)
{
    bool ours = key_in(w->ours, e->code);

    if (!ui_current(w) || !e->code || e->code >= UI_KEYS)
        return;
    key_put(w->held, e->code, e->down);
    key_put(w->ours, e->code, false);
    if (!e->down) {
        if (!ours)
            give_key(w, e);
        return;
    }
    if (take_key(w, e))
        key_put(w->ours, e->code, key_in(w->held, e->code));
    else if (!ours || !e->repeat)
        give_key(w, e);
    else
        key_put(w->ours, e->code, true);
}

void ui_text(struct ui_window *w, const char *text)
{
    struct ui_tab *t = ui_current(w);

    if (t && t->ops->text && !w->menu_state.open && !hot_held(w)) {
        t->ops->text(t, text);
        ui_next(w);
    }
}

void ui_send_keys(struct ui_window *w, const uint16_t *codes)
{
    struct ui_tab *t = ui_current(w);
    unsigned n = 0, mods = 0;

    if (!t || !t->ops->key)
        return;
    for (; codes[n]; n++) {
        mods |= codes[n] == KEY_LEFTCTRL ? UI_CTRL : codes[n] == KEY_LEFTALT ? UI_ALT : 0;
        t->ops->key(t, &(struct ui_key){codes[n], true, false, mods, 0});
    }
    while (n--)
        t->ops->key(t, &(struct ui_key){codes[n], false, false, mods, 0});
    ui_next(w);
}

/* --- the pointer --- */

static void give_pointer(struct ui_window *w, struct ui_pointer *p, const struct host_event *e)
{
    struct ui_tab *t = ui_current(w);

    p->mods = e->mods;
    if (p->type != UI_POINTER_RELATIVE)
        view_point(&w->view, e->x, e->y, &p->x, &p->y);
    if (t->ops->pointer)
        t->ops->pointer(t, p);
}

static void button(struct ui_window *w, const struct host_event *e)
{
    struct ui_tab *t = ui_current(w);
    struct ui_pointer p = {.type = UI_POINTER_BUTTON, .button = e->code, .down = e->down, .clicks = e->clicks};

    if (e->down && t->relative && !w->grabbed) { /* this click takes the pointer, and is not the guest's */
        ui_set_grab(w, true);
        return;
    }
    if (e->down && e->code == BTN_MIDDLE && t->ops->paste && !t->keys_to_guest) {
        ui_paste(w);
        return;
    }
    give_pointer(w, &p, e);
}

void ui_pointer(struct ui_window *w, const struct host_event *e)
{
    struct ui_tab *t = ui_current(w);
    struct ui_pointer p = {.type = UI_POINTER_MOVE};

    if (!t)
        return;
    if (w->menu_state.open) {
        ui_menu_pointer(w, e);
        return;
    }
    if (e->type == HOST_BUTTON) {
        button(w, e);
    } else if (e->type == HOST_WHEEL) {
        p = (struct ui_pointer){.type = UI_POINTER_WHEEL, .wheel = e->wheel, .hwheel = e->hwheel};
        give_pointer(w, &p, e);
    } else if (e->type == HOST_MOTION) {
        if (w->grab_relative)
            p = (struct ui_pointer){.type = UI_POINTER_RELATIVE, .x = e->dx, .y = e->dy};
        give_pointer(w, &p, e);
    }
    ui_next(w);
}
