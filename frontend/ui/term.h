/*
 * A terminal, as ECMA-48, the VT220 and xterm made it: bytes of the guest in, cells out; keys in, bytes for the guest
 * out.
 *
 * UTF-8 with wide characters and up to two marks per cell, 256 and true colours, alternate screen, scrollback that is
 * rewrapped when the width changes, selection, mouse reports, bracketed paste, and answers to what programs ask (DA,
 * DSR, size, colours, modes).
 *
 * Why not libvterm: the bytes come from a guest, and the library (0.1.4 as Debian 12 ships it; 0.3.3's parser is alike)
 * writes past its argument array on a CSI with many parameters, loops for ever on REP after a reset and keeps every
 * combining mark it is sent. Here each buffer has a size and each loop a bound. Behaviour is compared with the
 * library's on well-formed input (tests/unit/test_term_vterm.c).
 *
 * No locks, no threads, no files: the owner serialises. Nothing grows with what the guest sends but the scrollback, up
 * to TERM_HISTORY_LINES and TERM_HISTORY_BYTES.
 *
 * Sources: ECMA-48 (5th ed.), DEC VT220 and VT510 manuals, xterm's ctlseqs.
 */
#ifndef FRONTEND_UI_TERM_H
#define FRONTEND_UI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TERM_HISTORY_LINES = 10000,
    TERM_HISTORY_BYTES = 32 << 20,
    TERM_MAX = 1000,      /* columns or rows */
    TERM_TITLE = 128,     /* bytes */
    TERM_TAIL = 0x110000, /* cell.ch: the second half of a wide character */
};

/* Bits above the colour: of fg */
#define CELL_RGB UINT32_C(0xffffff)
#define CELL_DEFAULT (UINT32_C(1) << 24) /* of fg and of bg: the terminal's own colour */
#define CELL_BOLD (UINT32_C(1) << 25)
#define CELL_DIM (UINT32_C(1) << 26)
#define CELL_ITALIC (UINT32_C(1) << 27)
#define CELL_BLINK (UINT32_C(1) << 28)
#define CELL_STRIKE (UINT32_C(1) << 29)
#define CELL_CONCEAL (UINT32_C(1) << 30)
#define CELL_WIDE (UINT32_C(1) << 31)
/* of bg */
#define CELL_REVERSE (UINT32_C(1) << 25)
#define CELL_UNDERLINE (UINT32_C(3) << 26) /* 1, double 2, curly 3 */
#define CELL_UNDERLINE_SHIFT 26

struct term_cell {
    uint32_t ch;      /* Unicode; 0: nothing */
    uint16_t mark[2]; /* what joins it, 0: none */
    uint32_t fg, bg;  /* 0xRRGGBB and CELL_ bits */
};

enum term_shape { TERM_BLOCK, TERM_UNDERLINE, TERM_BAR };

struct term_cursor {
    int row, col; /* in the view; row -1: not to be seen */
    enum term_shape shape;
    bool blink;
};

struct term;

/* reply is called from the functions that take input or keys: what goes to the guest. NULL: out of memory. */
struct term *term_new(uint16_t cols, uint16_t rows, void (*reply)(void *arg, const void *buf, size_t len), void *arg);
void term_free(struct term *t);
void term_write(struct term *t, const void *buf, size_t len); /* from the guest */
/* 2 to TERM_MAX, clamped. cell_w, cell_h: pixels, for programs that ask. false: out of memory, nothing changed. */
bool term_resize(struct term *t, uint16_t cols, uint16_t rows);
void term_cell_size(struct term *t, unsigned cell_w, unsigned cell_h);
void term_size(const struct term *t, uint16_t *cols, uint16_t *rows);
bool term_changed(struct term *t); /* anything to draw since the last call */
const char *term_title(const struct term *t);
unsigned term_bells(struct term *t); /* since the last call */
void term_clear_history(struct term *t);

/*
 * What is to be seen: rows * cols cells with their colours worked out (no CELL_DEFAULT, DIM, CONCEAL or REVERSE left,
 * selection applied).
 */
void term_look(const struct term *t, struct term_cell *cells, struct term_cursor *cursor);
uint32_t term_background(const struct term *t); /* 0xRRGGBB */
/* Look back by so many lines (negative: towards now). */
void term_scroll(struct term *t, int lines);
void term_scroll_end(struct term *t);
size_t term_scrolled(const struct term *t);      /* lines back, 0: now */
size_t term_history_lines(const struct term *t); /* that can be looked back */

/* Keys. mods: UI_* of tab.h. true: the terminal knows this key and sent it; else its text follows. */
bool term_key(struct term *t, uint16_t code, unsigned mods, uint32_t label);
void term_text(struct term *t, const char *utf8);
void term_paste(struct term *t, const char *utf8);
void term_focus(struct term *t, bool in);

/* Mouse, cells of the view. A program that listens gets it (true), unless Shift is held: then it selects. */
enum term_button { TERM_LEFT, TERM_MIDDLE, TERM_RIGHT, TERM_NO_BUTTON };
bool term_mouse(struct term *t, enum term_button b, bool down, int row, int col, unsigned mods);
bool term_mouse_move(struct term *t, enum term_button held, int row, int col, unsigned mods);
bool term_wheel(struct term *t, int up, int row, int col, unsigned mods); /* also arrows where there is no scrollback */

/* Selection. clicks: 1 characters, 2 words, 3 lines. Row may lie outside of the view. */
void term_select(struct term *t, int row, int col, unsigned clicks, bool block);
void term_select_to(struct term *t, int row, int col);
void term_select_all(struct term *t);
void term_select_none(struct term *t);
char *term_copy(const struct term *t); /* UTF-8, for the caller to free; NULL: nothing selected */

#endif
