/*
 * Bytes to characters and control sequences (ECMA-48 5.2 to 5.6; the state machine follows DEC's as xterm has it).
 *
 * Runs of printable ASCII go to the screen in one piece: a guest that prints megabytes is read at memory speed.
 */
#include "frontend/ui/term_parts.h"

enum { CAN = 0x18, SUB = 0x1a, ESC = 0x1b, DEL = 0x7f, BAD = 0xfffd };

static size_t printable(const uint8_t *buf, size_t len)
{
    size_t n = 0;

    while (n < len && buf[n] >= 0x20 && buf[n] < DEL)
        n++;
    return n;
}

static void start_sequence(struct term *t)
{
    t->state = ESCAPE;
    t->leader = t->intermediate = 0;
    t->string_len = 0;
    t->string_esc = false;
}

static void in_escape(struct term *t, uint8_t c)
{
    if (c < 0x30) {
        t->intermediate = t->state == ESCAPE ? c : t->intermediate;
        t->state = ESCAPE_MORE;
        return;
    }
    t->state = GROUND;
    if (t->intermediate) {
        term_escape(t, c);
        return;
    }
    switch (c) {
    case '[':
        t->state = CSI;
        t->params = 0;
        break;
    case ']': t->state = OSC; break;
    case 'P': t->state = DCS; break;
    case 'X':
    case '^':
    case '_': t->state = SKIP_STRING; break;
    default: term_escape(t, c);
    }
}

static void add_param(struct term *t, bool sub)
{
    if (t->params < PARAMS) {
        t->param[t->params] = 0;
        t->sub[t->params] = sub;
    }
    if (t->params <= PARAMS) /* one more than fits: digits of the rest go nowhere */
        t->params++;
}

static void add_digit(struct term *t, unsigned digit)
{
    unsigned n;

    if (!t->params)
        add_param(t, false);
    if (t->params > PARAMS)
        return;
    n = t->param[t->params - 1] * 10u + digit;
    t->param[t->params - 1] = (uint16_t)(n < PARAM_MAX ? n : PARAM_MAX);
}

static void in_csi(struct term *t, uint8_t c)
{
    if (c >= '0' && c <= '9' && !t->intermediate) {
        add_digit(t, c - '0');
    } else if ((c == ';' || c == ':') && !t->intermediate) {
        if (!t->params)
            add_param(t, false);
        add_param(t, c == ':');
    } else if (c >= '<' && c <= '?' && !t->params && !t->leader) {
        t->leader = c;
    } else if (c < 0x30 && !t->intermediate) {
        t->intermediate = c;
    } else if (c >= 0x40) {
        t->params = t->params < PARAMS ? t->params : PARAMS;
        t->state = GROUND;
        term_csi(t, c);
    } else {
        t->state = CSI_SKIP;
    }
}

static void end_string(struct term *t)
{
    enum parse_state what = t->state;

    t->string[t->string_len] = 0;
    t->state = GROUND;
    if (what == OSC)
        term_osc(t);
    else if (what == DCS)
        term_dcs(t);
}

/* The Linux console's palette sequences are OSCs without an end: P and seven digits, R. */
static bool linux_palette(const struct term *t)
{
    return t->state == OSC && t->string_len && (t->string[0] == 'R' || (t->string[0] == 'P' && t->string_len == 8));
}

static void in_string(struct term *t, uint8_t c)
{
    if (t->string_esc) {
        t->string_esc = false;
        if (c == '\\') {
            end_string(t);
        } else { /* another sequence cuts it off */
            start_sequence(t);
            in_escape(t, c);
        }
    } else if (c == 0x07) {
        end_string(t);
    } else {
        if (t->string_len < STRING_MAX)
            t->string[t->string_len++] = (char)c;
        if (linux_palette(t))
            end_string(t);
    }
}

static bool in_a_string(const struct term *t) { return t->state >= OSC; }

static void utf8_start(struct term *t, uint8_t c)
{
    if (c >= 0xc2 && c < 0xe0) {
        t->utf8 = c & 0x1f;
        t->utf8_left = 1;
        t->utf8_min = 0x80;
    } else if (c >= 0xe0 && c < 0xf0) {
        t->utf8 = c & 0x0f;
        t->utf8_left = 2;
        t->utf8_min = 0x800;
    } else if (c >= 0xf0 && c < 0xf5) {
        t->utf8 = c & 0x07;
        t->utf8_left = 3;
        t->utf8_min = 0x10000;
    } else {
        term_put(t, BAD);
    }
}

/* false: c does not belong to the character that was begun. */
static bool utf8_more(struct term *t, uint8_t c)
{
    uint32_t ch;

    if ((c & 0xc0) != 0x80) {
        t->utf8_left = 0;
        term_put(t, BAD);
        return false;
    }
    t->utf8 = t->utf8 << 6 | (c & 0x3f);
    if (--t->utf8_left)
        return true;
    ch = t->utf8;
    if (ch < t->utf8_min || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
        ch = BAD;
    if (ch >= 0xa0) /* C1 controls are sent as ESC sequences; as characters they do nothing */
        term_put(t, ch);
    return true;
}

static void one_byte(struct term *t, uint8_t c)
{
    if (t->utf8_left && utf8_more(t, c))
        return;
    if (c == ESC && in_a_string(t)) {
        t->string_esc = true;
    } else if (c == ESC) {
        start_sequence(t);
    } else if (c == CAN || c == SUB) {
        t->state = GROUND;
        t->string_esc = false;
    } else if (in_a_string(t)) {
        in_string(t, c);
    } else if (c < 0x20) { /* controls act within sequences too */
        term_control(t, c);
    } else if (c == DEL) {
        return;
    } else if (t->state == GROUND) {
        if (c < DEL)
            term_put(t, c);
        else
            utf8_start(t, c);
    } else if (c >= 0x80) {
        t->state = GROUND;
    } else if (t->state == ESCAPE || t->state == ESCAPE_MORE) {
        in_escape(t, c);
    } else if (t->state == CSI) {
        in_csi(t, c);
    } else if (c >= 0x40) { /* CSI_SKIP */
        t->state = GROUND;
    }
}

void term_write(struct term *t, const void *buf, size_t len)
{
    const uint8_t *p = buf, *end = p + len;

    t->changed |= len > 0;
    while (p < end) {
        size_t n = t->state == GROUND && !t->utf8_left ? printable(p, (size_t)(end - p)) : 0;

        if (n) {
            term_put_ascii(t, p, n);
            p += n;
        } else {
            one_byte(t, *p++);
        }
    }
}
