/* Keys, text and pointer of a text tab. */
#include <linux/input-event-codes.h>
#include <string.h>

#include "frontend/ui/text_parts.h"

enum { WHEEL_LINES = 3, DRAG_MS = 40 };

/* --- keys --- */

/* Keys that move the view over the scrollback. */
static bool view_key(struct text_tab *t, const struct ui_key *k)
{
    unsigned mods = k->mods & (UI_SHIFT | UI_CTRL | UI_ALT);
    int page = (int)t->rows > 1 ? (int)t->rows - 1 : 1;
    struct term *term = text_lock(t);
    bool ours = mods & UI_SHIFT && !(mods & UI_ALT) && term_history_lines(term) > 0, ctrl = mods & UI_CTRL;

    if (ours && k->code == KEY_PAGEUP && !ctrl)
        term_scroll(term, page);
    else if (ours && k->code == KEY_PAGEDOWN && !ctrl)
        term_scroll(term, -page);
    else if (ours && k->code == KEY_UP && ctrl)
        term_scroll(term, 1);
    else if (ours && k->code == KEY_DOWN && ctrl)
        term_scroll(term, -1);
    else if (ours && k->code == KEY_HOME && !ctrl)
        term_scroll(term, TERM_HISTORY_LINES);
    else if (ours && k->code == KEY_END && !ctrl)
        term_scroll_end(term);
    else
        ours = false;
    text_unlock(t);
    return ours;
}

static void track_alt(struct text_tab *t, const struct ui_key *k)
{
    if (k->code == KEY_LEFTALT)
        t->left_alt = k->down;
    if (k->code == KEY_RIGHTALT)
        t->right_alt = k->down;
}

static uint16_t keypad_key(uint16_t code)
{
    static const uint16_t keys[][2] = {{KEY_KP0, KEY_INSERT},   {KEY_KP1, KEY_END},  {KEY_KP2, KEY_DOWN},
                                       {KEY_KP3, KEY_PAGEDOWN}, {KEY_KP4, KEY_LEFT}, {KEY_KP6, KEY_RIGHT},
                                       {KEY_KP7, KEY_HOME},     {KEY_KP8, KEY_UP},   {KEY_KP9, KEY_PAGEUP},
                                       {KEY_KPDOT, KEY_DELETE}};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] == code)
            return keys[i][1];
    return 0;
}

/* No text came for the key of the keypad before this event: it moves the cursor. */
static void keypad_moves(struct text_tab *t)
{
    if (!t->keypad)
        return;
    term_key(text_lock(t), t->keypad, t->keypad_mods, 0);
    text_unlock(t);
    t->keypad = 0;
    text_active(t);
}

/*
 * The right Alt may be AltGr, which picks another character: that shows in the text that follows. The left one is Alt,
 * which puts an ESC before the character.
 */
void text_key(struct ui_tab *tab, const struct ui_key *k)
{
    struct text_tab *t = text_tab_of(tab);
    unsigned mods = k->mods;

    track_alt(t, k);
    keypad_moves(t);
    if (!k->down)
        return;
    t->swallow = false;
    t->alt_gr_label = 0;
    if (view_key(t, k)) {
        text_active(t);
        return;
    }
    if (mods & UI_META)
        return; /* the desktop's */
    t->keypad = keypad_key(k->code);
    t->keypad_mods = mods;
    if (t->keypad)
        return;
    if (t->right_alt && !t->left_alt) {
        mods &= ~(unsigned)(UI_ALT | UI_CTRL);
        t->alt_gr_label = k->label;
        if (k->label) {
            text_active(t);
            return;
        }
    }
    t->swallow = term_key(text_lock(t), k->code, mods, k->label);
    text_unlock(t);
    text_active(t);
}

static bool is_label(const char *utf8, uint32_t label) { return label < 0x80 && utf8[0] == (char)label && !utf8[1]; }

void text_text(struct ui_tab *tab, const char *utf8)
{
    struct text_tab *t = text_tab_of(tab);
    struct term *term;

    t->keypad = 0;
    if (t->swallow || !*utf8) { /* the key was sent already */
        t->swallow = false;
        return;
    }
    term = text_lock(t);
    if (t->alt_gr_label && is_label(utf8, t->alt_gr_label))
        term_text(term, "\033"); /* a layout without AltGr */
    term_text(term, utf8);
    text_unlock(t);
    t->alt_gr_label = 0;
    text_active(t);
}

void text_paste(struct ui_tab *tab, const char *utf8)
{
    struct text_tab *t = text_tab_of(tab);

    term_paste(text_lock(t), utf8);
    text_unlock(t);
    text_active(t);
}

char *text_copy(struct ui_tab *tab)
{
    struct text_tab *t = text_tab_of(tab);
    char *text = term_copy(text_lock(t));

    text_unlock(t);
    return text;
}

/* --- pointer --- */

static int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

static enum term_button button_of(uint16_t code)
{
    return code == BTN_LEFT     ? TERM_LEFT
           : code == BTN_MIDDLE ? TERM_MIDDLE
           : code == BTN_RIGHT  ? TERM_RIGHT
                                : TERM_NO_BUTTON;
}

/* Lock held. Selecting characters, a border between two cells is meant; words and lines are under the pointer. */
static void left_down(struct text_tab *t, struct term *term, const struct ui_pointer *p, int row, int col, int border)
{
    if (p->mods & UI_SHIFT && p->clicks <= 1) {
        term_select_to(term, row, border);
    } else {
        bool block = p->mods & (UI_ALT | UI_CTRL);

        term_select(term, row, p->clicks > 1 ? col : border, p->clicks, block);
    }
    t->selecting = true;
    t->held = TERM_LEFT;
    t->pointer_row = row;
    t->pointer_col = p->clicks > 1 ? col : border;
}

static void button(struct text_tab *t, struct term *term, const struct ui_pointer *p, int row, int col, int border)
{
    enum term_button b = button_of(p->button);

    if (!p->down && b == TERM_LEFT && t->selecting) {
        t->selecting = false;
        t->held = TERM_NO_BUTTON;
        return;
    }
    if (term_mouse(term, b, p->down, row, col, p->mods))
        t->held = p->down ? b : TERM_NO_BUTTON;
    else if (p->down && b == TERM_LEFT)
        left_down(t, term, p, row, col, border);
}

static void move(struct text_tab *t, struct term *term, const struct ui_pointer *p, int row, int col, int border)
{
    (void)col;
    if (!t->selecting) {
        term_mouse_move(term, t->held, row, col, p->mods);
        return;
    }
    t->pointer_row = row;
    t->pointer_col = border;
    term_select_to(term, row, border);
}

void text_pointer(struct ui_tab *tab, const struct ui_pointer *p)
{
    struct text_tab *t = text_tab_of(tab);
    int w, h, row, col, border;
    struct term *term;

    if (!t->font || p->type == UI_POINTER_RELATIVE)
        return;
    w = (int)font_cell_w(t->font);
    h = (int)font_cell_h(t->font);
    row = floor_div(p->y - (int)t->y, h);
    col = floor_div(p->x - (int)t->x, w);
    border = floor_div(p->x - (int)t->x + w / 2, w);
    term = text_lock(t);
    switch (p->type) {
    case UI_POINTER_BUTTON: button(t, term, p, row, col, border); break;
    case UI_POINTER_MOVE: move(t, term, p, row, col, border); break;
    case UI_POINTER_WHEEL:
        if (p->wheel && !term_wheel(term, p->wheel, row, col, p->mods))
            term_scroll(term, p->wheel * WHEEL_LINES);
        break;
    default: break;
    }
    text_unlock(t);
    if (t->selecting || p->type != UI_POINTER_MOVE)
        text_active(t);
}

unsigned text_drag(struct text_tab *t)
{
    int beyond = t->pointer_row < 0 ? -t->pointer_row : t->pointer_row - (int)t->rows + 1;
    uint64_t now = text_now();
    struct term *term;

    if (!t->selecting || (t->pointer_row >= 0 && t->pointer_row < (int)t->rows))
        return 0;
    if (now - t->scrolled_at >= DRAG_MS) {
        beyond = beyond < 10 ? beyond : 10;
        term = text_lock(t);
        term_scroll(term, t->pointer_row < 0 ? beyond : -beyond);
        term_select_to(term, t->pointer_row, t->pointer_col);
        text_unlock(t);
        t->scrolled_at = now;
    }
    return DRAG_MS;
}
