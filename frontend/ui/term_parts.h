/* The inside of struct term, shared by the term_*.c files. */
#ifndef FRONTEND_UI_TERM_PARTS_H
#define FRONTEND_UI_TERM_PARTS_H

#include "frontend/ui/term_grid.h"

enum {
    PARAMS = 16,       /* of a CSI; the rest is dropped */
    PARAM_MAX = 65535, /* larger numbers are this one */
    STRING_MAX = 512,  /* bytes of an OSC or DCS; longer ones are cut */
};

enum parse_state {
    GROUND,
    ESCAPE,
    ESCAPE_MORE, /* after an intermediate */
    CSI,
    CSI_SKIP, /* malformed: to its end */
    OSC,
    DCS,
    SKIP_STRING, /* APC, PM, SOS */
};

enum mouse_mode { MOUSE_OFF, MOUSE_X10, MOUSE_CLICK, MOUSE_DRAG, MOUSE_ANY };
enum mouse_format { MOUSE_BYTES, MOUSE_SGR, MOUSE_URXVT };

struct term_pen {
    uint32_t fg, bg; /* with their CELL_ bits */
};

struct term_saved { /* DECSC */
    int row, col;
    struct term_pen pen;
    uint8_t charset[4];
    unsigned gl;
    bool origin, phantom;
};

struct term_point {
    uint64_t line; /* counted since the start: history.dropped is the oldest's number */
    int col;
};

struct term {
    void (*reply)(void *arg, const void *buf, size_t len);
    void *arg;
    struct term_grid main, alt, *grid;
    struct term_history history;
    size_t view; /* lines back */

    int row, col;
    bool phantom; /* the last column was written: the next character goes to the next line */
    struct term_pen pen;
    int top, bottom;    /* scroll region, bottom exclusive */
    uint8_t charset[4]; /* G0 to G3: 'B' ASCII, '0' line drawing */
    unsigned gl;
    struct term_saved saved[2]; /* of the main and of the alternate screen */
    struct term_saved before_alt;
    uint8_t tab[TERM_MAX];
    uint32_t last; /* for REP */

    bool autowrap, insert, origin, newline, app_cursor, app_keypad, bracket, focus, reverse, visible, blink, wheel_keys;
    enum term_shape shape;
    enum mouse_mode mouse;
    enum mouse_format mouse_format;
    unsigned mouse_held; /* a bit per button */
    int mouse_row, mouse_col;

    enum parse_state state;
    bool string_esc; /* ESC within a string: the end, if a backslash follows */
    uint8_t leader, intermediate;
    uint16_t param[PARAMS];
    bool sub[PARAMS]; /* this one came after a colon */
    unsigned params;
    char string[STRING_MAX + 1];
    size_t string_len;
    uint32_t utf8;
    unsigned utf8_left;
    uint32_t utf8_min;

    uint32_t palette[256], default_fg, default_bg;
    char title[TERM_TITLE];
    unsigned bells, cell_w, cell_h;
    bool changed;

    bool selecting, block;
    unsigned clicks;
    struct term_point anchor, end; /* as clicked */
};

/* term_write.c: what appears on the screen */
void term_put_ascii(struct term *t, const uint8_t *buf, size_t len);
void term_put(struct term *t, uint32_t ch);
struct term_cell term_blank(const struct term *t); /* of the pen's background */
void term_linefeed(struct term *t);
void term_scroll_region(struct term *t, int top, int bottom, int n); /* up by n */
void term_goto(struct term *t, int row, int col);                    /* clamped to the screen */
void term_save_cursor(struct term *t);
void term_restore_cursor(struct term *t);
void term_alternate(struct term *t, bool on);
void term_reset(struct term *t, bool hard);
/* term_csi.c, term_modes.c, term_sgr.c, term_osc.c: what sequences mean */
void term_control(struct term *t, uint8_t c);
void term_escape(struct term *t, uint8_t final);
void term_csi(struct term *t, uint8_t final);
void term_set_mode(struct term *t, bool dec, unsigned mode, bool on);
unsigned term_mode_state(const struct term *t, bool dec, unsigned mode); /* as DECRPM says it */
void term_sgr(struct term *t);
void term_sgr_text(const struct term *t, char *buf, size_t len);
void term_colours_reset(struct term *t);
void term_osc(struct term *t);
void term_dcs(struct term *t);
void term_answer(struct term *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* term_select.c */
/* From (inclusive) and to (exclusive, in its line). false: nothing is selected. */
bool term_range(const struct term *t, struct term_point *from, struct term_point *to);
bool term_within(const struct term *t, const struct term_point *from, const struct term_point *to, uint64_t line,
                 int col);
/* A line of the view; *len cells of it exist. NULL: an empty one. */
const struct term_cell *term_view_row(const struct term *t, int row, int *len, bool *wrapped);
uint64_t term_view_line(const struct term *t, int row); /* its number */

static inline unsigned term_param(const struct term *t, unsigned n, unsigned none)
{
    return n < t->params && t->param[n] ? t->param[n] : none;
}

#endif
