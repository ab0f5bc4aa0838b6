/* Modes that are set and reset (ctlseqs: SM, DECSET), and what DECRQM says of them. */
#include "frontend/ui/term_parts.h"

/* The modes that are a flag and nothing more. */
static bool *flag_of(struct term *t, bool dec, unsigned mode)
{
    if (!dec)
        return mode == 4 ? &t->insert : mode == 20 ? &t->newline : NULL;
    switch (mode) {
    case 1: return &t->app_cursor;
    case 5: return &t->reverse;
    case 7: return &t->autowrap;
    case 12: return &t->blink;
    case 25: return &t->visible;
    case 66: return &t->app_keypad;
    case 1004: return &t->focus;
    case 1007: return &t->wheel_keys;
    case 2004: return &t->bracket;
    default: return NULL;
    }
}

static const struct {
    unsigned mode;
    enum mouse_mode mouse;
} mice[] = {{9, MOUSE_X10}, {1000, MOUSE_CLICK}, {1002, MOUSE_DRAG}, {1003, MOUSE_ANY}};
enum { MICE = sizeof mice / sizeof *mice };

static void set_mouse(struct term *t, unsigned mode, bool on)
{
    for (unsigned i = 0; i < MICE; i++)
        if (mice[i].mode == mode)
            t->mouse = on ? mice[i].mouse : t->mouse == mice[i].mouse ? MOUSE_OFF : t->mouse;
    t->mouse_held = 0;
}

/* 1049: with the cursor, and a clean screen each time. */
static void alternate_and_cursor(struct term *t, bool on)
{
    if (on == (t->grid == &t->alt))
        return;
    if (on)
        term_save_cursor(t);
    term_alternate(t, on);
    if (!on)
        term_restore_cursor(t);
}

void term_set_mode(struct term *t, bool dec, unsigned mode, bool on)
{
    bool *flag = flag_of(t, dec, mode);

    if (flag) {
        *flag = on;
        t->phantom &= t->autowrap;
        return;
    }
    if (!dec)
        return;
    switch (mode) {
    case 6:
        t->origin = on;
        term_goto(t, on ? t->top : 0, 0);
        break;
    case 47:
    case 1047: term_alternate(t, on); break;
    case 1048: (on ? term_save_cursor : term_restore_cursor)(t); break;
    case 1049: alternate_and_cursor(t, on); break;
    case 1006: t->mouse_format = on ? MOUSE_SGR : MOUSE_BYTES; break;
    case 1015: t->mouse_format = on ? MOUSE_URXVT : MOUSE_BYTES; break;
    default: set_mouse(t, mode, on);
    }
}

unsigned term_mode_state(const struct term *t, bool dec, unsigned mode)
{
    enum { UNKNOWN, SET, RESET };
    const bool *flag = flag_of((struct term *)t, dec, mode);

    if (flag)
        return *flag ? SET : RESET;
    if (!dec)
        return UNKNOWN;
    for (unsigned i = 0; i < MICE; i++)
        if (mice[i].mode == mode)
            return t->mouse == mice[i].mouse ? SET : RESET;
    switch (mode) {
    case 6: return t->origin ? SET : RESET;
    case 47:
    case 1047:
    case 1049: return t->grid == &t->alt ? SET : RESET;
    case 1006: return t->mouse_format == MOUSE_SGR ? SET : RESET;
    case 1015: return t->mouse_format == MOUSE_URXVT ? SET : RESET;
    default: return UNKNOWN;
    }
}
