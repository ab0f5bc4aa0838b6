/* Keys to what xterm sends for them (ctlseqs "Special Keyboard Keys"), text, paste. */
#include <linux/input-event-codes.h>
#include <string.h>

#include "frontend/ui/tab.h"
#include "frontend/ui/term_parts.h"

/* How a key is sent: a final letter (CSI, or SS3 in application mode) or a number (CSI n ~). */
static const struct special {
    uint16_t code;
    char letter;
    bool function; /* SS3 without modifiers always: F1 to F4 */
    uint8_t number;
} specials[] = {
    {KEY_UP, 'A', false, 0},   {KEY_DOWN, 'B', false, 0},   {KEY_RIGHT, 'C', false, 0}, {KEY_LEFT, 'D', false, 0},
    {KEY_HOME, 'H', false, 0}, {KEY_END, 'F', false, 0},    {KEY_INSERT, 0, false, 2},  {KEY_DELETE, 0, false, 3},
    {KEY_PAGEUP, 0, false, 5}, {KEY_PAGEDOWN, 0, false, 6}, {KEY_F1, 'P', true, 0},     {KEY_F2, 'Q', true, 0},
    {KEY_F3, 'R', true, 0},    {KEY_F4, 'S', true, 0},      {KEY_F5, 0, false, 15},     {KEY_F6, 0, false, 17},
    {KEY_F7, 0, false, 18},    {KEY_F8, 0, false, 19},      {KEY_F9, 0, false, 20},     {KEY_F10, 0, false, 21},
    {KEY_F11, 0, false, 23},   {KEY_F12, 0, false, 24},
};

static void send(struct term *t, const char *buf, size_t len)
{
    if (!len)
        return;
    t->reply(t->arg, buf, len);
    term_scroll_end(t);
}

static unsigned modifier(unsigned mods)
{
    return 1 + (mods & UI_SHIFT ? 1 : 0) + (mods & UI_ALT ? 2 : 0) + (mods & UI_CTRL ? 4 : 0);
}

static void send_special(struct term *t, const struct special *s, unsigned mods)
{
    unsigned m = modifier(mods);

    if (s->number && m == 1)
        term_answer(t, "\033[%u~", s->number);
    else if (s->number)
        term_answer(t, "\033[%u;%u~", s->number, m);
    else if (m == 1)
        term_answer(t, "\033%c%c", s->function || t->app_cursor ? 'O' : '[', s->letter);
    else
        term_answer(t, "\033[1;%u%c", m, s->letter);
    term_scroll_end(t);
}

/* Keys that are one byte; Alt puts an ESC before it. */
static bool send_simple(struct term *t, uint16_t code, unsigned mods)
{
    char buf[4] = "\033";
    size_t n = mods & UI_ALT ? 1 : 0;

    switch (code) {
    case KEY_ENTER:
    case KEY_KPENTER:
        buf[n++] = '\r';
        if (t->newline)
            buf[n++] = '\n';
        break;
    case KEY_TAB:
        if (mods & UI_SHIFT) {
            send(t, "\033[Z", 3);
            return true;
        }
        buf[n++] = '\t';
        break;
    case KEY_BACKSPACE: buf[n++] = mods & UI_CTRL ? 0x08 : 0x7f; break;
    case KEY_ESC: buf[n++] = 0x1b; break;
    default: return false;
    }
    send(t, buf, n);
    return true;
}

/* What stands on the key when the layout has no Latin letters there. */
static uint32_t us_label(uint16_t code)
{
    static const struct {
        uint16_t first;
        const char *keys;
    } rows[] = {{KEY_Q, "qwertyuiop[]"}, {KEY_A, "asdfghjkl;'"}, {KEY_Z, "zxcvbnm,./"}, {KEY_1, "1234567890-="}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (code >= rows[i].first && code < rows[i].first + strlen(rows[i].keys))
            return (uint32_t)rows[i].keys[code - rows[i].first];
    return code == KEY_BACKSLASH ? '\\' : 0;
}

/* Ctrl with a character: -1: nothing sensible. */
static int control(uint32_t label)
{
    static const char digits[] = "\0\033\034\035\036\037\177"; /* Ctrl-2 to Ctrl-8, as on a VT220 */

    if (label >= 'a' && label <= 'z')
        return (int)label - 'a' + 1;
    if (label >= '2' && label <= '8')
        return digits[label - '2'];
    switch (label) {
    case ' ':
    case '@': return 0;
    case '[': return 0x1b;
    case '\\': return 0x1c;
    case ']': return 0x1d;
    case '^': return 0x1e;
    case '_':
    case '-':
    case '/': return 0x1f;
    case '?': return 0x7f;
    default: return -1;
    }
}

static size_t utf8(uint32_t ch, char *out)
{
    if (ch < 0x80) {
        out[0] = (char)ch;
        return 1;
    }
    if (ch < 0x800) {
        out[0] = (char)(0xc0 | ch >> 6);
        out[1] = (char)(0x80 | (ch & 0x3f));
        return 2;
    }
    if (ch < 0x10000) {
        out[0] = (char)(0xe0 | ch >> 12);
        out[1] = (char)(0x80 | (ch >> 6 & 0x3f));
        out[2] = (char)(0x80 | (ch & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (ch >> 18 & 7));
    out[1] = (char)(0x80 | (ch >> 12 & 0x3f));
    out[2] = (char)(0x80 | (ch >> 6 & 0x3f));
    out[3] = (char)(0x80 | (ch & 0x3f));
    return 4;
}

/* Ctrl or Alt with a key that types something. */
static bool send_modified(struct term *t, uint16_t code, unsigned mods, uint32_t label)
{
    char buf[8] = "\033";
    size_t n = mods & UI_ALT ? 1 : 0;

    if (label < 0x20 || label == 0x7f || (label >= 0x80 && mods & UI_CTRL))
        label = us_label(code);
    if (!label || !(mods & (UI_CTRL | UI_ALT)))
        return false;
    if (mods & UI_CTRL) {
        int c = control(label);

        if (c < 0)
            return false;
        buf[n++] = (char)c;
    } else if (mods & UI_SHIFT) { /* only of letters it is known what Shift makes */
        if (label < 'a' || label > 'z')
            return false;
        buf[n++] = (char)(label - 'a' + 'A');
    } else {
        n += utf8(label, buf + n);
    }
    send(t, buf, n);
    return true;
}

bool term_key(struct term *t, uint16_t code, unsigned mods, uint32_t label)
{
    if (send_simple(t, code, mods))
        return true;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        if (specials[i].code == code) {
            send_special(t, &specials[i], mods);
            return true;
        }
    }
    return send_modified(t, code, mods, label);
}

void term_text(struct term *t, const char *text) { send(t, text, strlen(text)); }

void term_focus(struct term *t, bool in)
{
    if (t->focus)
        term_answer(t, in ? "\033[I" : "\033[O");
}

/* Lines end with what Enter sends. Controls are left out: an ESC could end the bracket and type commands. */
void term_paste(struct term *t, const char *text)
{
    char buf[256];
    size_t n = 0;

    if (t->bracket)
        t->reply(t->arg, "\033[200~", 6);
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;

        if (c == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0) { /* C1 */
            p++;
            continue;
        }
        if (c == '\n' && p > text && p[-1] == '\r')
            continue;
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            continue;
        buf[n++] = c == '\n' ? '\r' : (char)c;
        if (n == sizeof buf) {
            t->reply(t->arg, buf, n);
            n = 0;
        }
    }
    if (n)
        t->reply(t->arg, buf, n);
    if (t->bracket)
        t->reply(t->arg, "\033[201~", 6);
    term_scroll_end(t);
}
