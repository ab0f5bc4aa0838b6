/* The inside of the window's core, shared by ui.c (life, events), ui_draw.c, ui_keys.c (what keys of ours do), ui_menu.c. */
#ifndef FRONTEND_UI_UI_PARTS_H
#define FRONTEND_UI_UI_PARTS_H

#include <stdatomic.h>
#include <stddef.h>

#include "frontend/ui/overlay.h"
#include "frontend/ui/ui.h"
#include "frontend/ui/view.h"

enum { UI_TABS = 48, UI_KEYS = 768 /* KEY_CNT */, UI_SETTLE_MS = 150 };

struct ui_window {
    struct ui *ui;
    struct host_window *hw;
    struct ui_window *next;
    struct ui_tab *tab[UI_TABS];
    unsigned tabs, current;
    struct host_size size;
    struct view view;
    struct canvas own; /* the tab's, when it is not drawn into the frame itself */
    double zoom;       /* pixels of the window for one of the canvas, where the core scales */
    bool too_large;    /* for memory; nothing is shown of it */
    bool layout;       /* sizes are to be asked anew */
    bool all;          /* draw everything */
    _Atomic bool dirty;
    bool visible, focused, full_screen, grabbed, grab_relative, person_sized;
    bool ask; /* the host for the size that is */
    uint32_t asked_w, asked_h;
    uint64_t shown_at, next_at, settle_at; /* host's milliseconds; 0: never */
    uint8_t held[UI_KEYS / 8];             /* keys that are down */
    uint8_t ours[UI_KEYS / 8];             /* of these: the tab did not hear of it */
    struct overlay toast, message, menu;
    char toast_text[160];
    uint64_t toast_until;
    const char *message_text; /* what is shown; compared by address */
    struct ui_menu_state {
        bool open;
        unsigned chosen;
    } menu_state;
    char title[256]; /* as the host has it */
};

struct ui {
    struct host *host;
    struct ui_options options;
    struct ui_hooks hooks;
    struct font *font; /* of messages; NULL until there was one */
    double font_density;
    bool no_font;
    struct ui_window *windows; /* the main one first */
    struct ui_window *closed;  /* without anything of the host */
    char *message;
    char state[96];
    uint64_t tick_at;
    _Atomic bool stop, woken, poked;
};

static inline struct ui_tab *ui_current(const struct ui_window *w) { return w->tabs ? w->tab[w->current] : NULL; }
static inline uint64_t ui_now(const struct ui *ui) { return ui->host->ops->now(ui->host); }
static inline bool key_in(const uint8_t *set, uint16_t code) { return code < UI_KEYS && set[code / 8] >> code % 8 & 1; }
static inline void key_put(uint8_t *set, uint16_t code, bool in)
{
    if (code < UI_KEYS)
        set[code / 8] = (uint8_t)(in ? set[code / 8] | 1 << code % 8 : set[code / 8] & ~(1 << code % 8));
}

/* ui.c */
void ui_show_tab(struct ui_window *w, unsigned n);
void ui_set_grab(struct ui_window *w, bool on);
void ui_set_full_screen(struct ui_window *w, bool on);
/* The tab as if the focus left it for a moment: every key it holds goes up. */
void ui_release_keys(struct ui_window *w);
void ui_titles(struct ui *ui);
void ui_redraw(struct ui_window *w); /* everything, soon */
void ui_next(struct ui_window *w);   /* ask the tab when it wants to draw */

/* ui_draw.c */
void ui_draw(struct ui_window *w);
void ui_settled(struct ui_window *w);
void ui_zoom(struct ui_window *w, int step); /* +1, -1, 0: as at the start */
void ui_unscaled(struct ui_window *w);       /* the window gets the picture's size */
void ui_screenshot(struct ui_window *w);

/* ui_keys.c */
void ui_key(struct ui_window *w, const struct host_event *e);
void ui_text(struct ui_window *w, const char *text);
void ui_paste(struct ui_window *w);
void ui_pointer(struct ui_window *w, const struct host_event *e);
void ui_send_keys(struct ui_window *w,
                  const uint16_t *codes);     /* down in this order, up the other way round; ends with 0 */
const char *ui_hot_name(const struct ui *ui); /* "Ctrl-Alt" */

/* ui_menu.c */
void ui_menu_open(struct ui_window *w);
void ui_menu_close(struct ui_window *w);
void ui_menu_key(struct ui_window *w, const struct host_event *e);
void ui_menu_pointer(struct ui_window *w, const struct host_event *e);
void ui_menu_draw(struct ui_window *w, const struct canvas *frame);

#endif
