/* The inside of a text tab: text_tab.c (life, drawing) and text_input.c (keys, pointer). */
#ifndef FRONTEND_UI_TEXT_PARTS_H
#define FRONTEND_UI_TEXT_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "frontend/char_vc.h"
#include "frontend/ui/text_draw.h"
#include "frontend/ui/text_tab.h"

struct text_tab {
    struct ui_tab tab;
    struct vc *vc;
    char name[64];
    pthread_t thread;
    pthread_mutex_t signal; /* of data and stop */
    pthread_cond_t changed;
    bool data, stop;
    _Atomic bool live, woken; /* the window knows us; it was woken and has not drawn yet */
    _Atomic unsigned waiting; /* for the terminal: the reader stands back */
    pthread_mutex_t lock;
    struct term *term; /* under lock */

    /* the window's thread */
    struct font *font;
    struct text_draw *draw;
    struct err font_error;
    double density, font_density;
    int zoom, font_zoom;
    unsigned cols, rows, x, y;
    uint32_t width, height;
    uint32_t background;
    bool focused, blink_off;
    uint64_t active, shown; /* ms: last key or output; what the blinking counts from */
    bool bar_shown;         /* the scroll bar is on the canvas */
    struct ui_rect bar;
    uint64_t flash_until; /* ms: the bell rang */
    bool flashing;        /* as drawn */
    bool left_alt, right_alt, swallow;
    uint32_t alt_gr_label; /* a key with the right Alt whose text is awaited */
    uint16_t keypad;       /* what a key of the keypad is when no text follows: NumLock is off */
    unsigned keypad_mods;
    bool selecting;
    enum term_button held;
    int pointer_row, pointer_col; /* cells, outside of the view too */
    uint64_t scrolled_at;         /* ms: the view went on under a selection */
};

static inline struct text_tab *text_tab_of(struct ui_tab *t) { return (struct text_tab *)t; }

uint64_t text_now(void); /* ms */
struct term *text_lock(struct text_tab *t);
void text_unlock(struct text_tab *t);
/* Something was typed or pointed at: the cursor is to be seen. */
void text_active(struct text_tab *t);

/* text_input.c */
void text_key(struct ui_tab *tab, const struct ui_key *k);
void text_text(struct ui_tab *tab, const char *utf8);
void text_pointer(struct ui_tab *tab, const struct ui_pointer *p);
void text_paste(struct ui_tab *tab, const char *utf8);
char *text_copy(struct ui_tab *tab);
/* While a selection is dragged beyond the edge: scroll a line when it is time; ms until the next, 0: not. */
unsigned text_drag(struct text_tab *t);

#endif
