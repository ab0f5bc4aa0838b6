/* Strings: title and colours (ctlseqs "Operating System Commands"), DECRQSS, and answers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/ui/term_parts.h"

void term_answer(struct term *t, const char *fmt, ...)
{
    char buf[160];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof buf)
        t->reply(t->arg, buf, (size_t)n);
}

/* Well-formed UTF-8 without controls, as far as it fits. */
static void set_title(struct term *t, const char *s)
{
    size_t n = 0;

    while (*s && n < TERM_TITLE - 1) {
        size_t len = 1;
        unsigned char c = (unsigned char)*s;

        if (c >= 0xc0)
            len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        for (size_t i = 1; i < len; i++)
            if (((unsigned char)s[i] & 0xc0) != 0x80)
                len = 0;
        if (len == 0 || c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xc0)) {
            s++;
            continue;
        }
        if (n + len > TERM_TITLE - 1)
            break;
        memcpy(t->title + n, s, len);
        n += len;
        s += len;
    }
    t->title[n] = 0;
}

/* rgb:RR/GG/BB with one to four digits each, or #RRGGBB. */
static bool parse_colour(const char *s, uint32_t *rgb)
{
    unsigned v[3], n = 0;
    char c[3][5];

    if (s[0] == '#' && strlen(s) == 7 && sscanf(s + 1, "%2x%2x%2x", &v[0], &v[1], &v[2]) == 3) {
        *rgb = v[0] << 16 | v[1] << 8 | v[2];
        return true;
    }
    if (sscanf(s, "rgb:%4[0-9a-fA-F]/%4[0-9a-fA-F]/%4[0-9a-fA-F]", c[0], c[1], c[2]) != 3)
        return false;
    for (; n < 3; n++)
        v[n] = (unsigned)strtoul(c[n], NULL, 16) * 255 / ((1u << 4 * strlen(c[n])) - 1);
    *rgb = v[0] << 16 | v[1] << 8 | v[2];
    return true;
}

static void answer_colour(struct term *t, const char *which, uint32_t rgb)
{
    unsigned r = rgb >> 16 & 0xff, g = rgb >> 8 & 0xff, b = rgb & 0xff;

    term_answer(t, "\033]%s;rgb:%02x%02x/%02x%02x/%02x%02x\033\\", which, r, r, g, g, b, b);
}

/* "N;SPEC;N;SPEC...": SPEC "?" asks. */
static void palette(struct term *t, char *arg)
{
    char *rest = arg, *num, *spec;

    while ((num = strsep(&rest, ";")) && (spec = strsep(&rest, ";"))) {
        unsigned long n = strtoul(num, NULL, 10);
        char which[16];

        if (n > 255)
            continue;
        snprintf(which, sizeof which, "4;%lu", n);
        if (!strcmp(spec, "?"))
            answer_colour(t, which, t->palette[n]);
        else
            parse_colour(spec, &t->palette[n]);
    }
}

static void own_colour(struct term *t, unsigned long n, const char *spec)
{
    uint32_t *rgb = n == 11 ? &t->default_bg : &t->default_fg;
    char which[8];

    snprintf(which, sizeof which, "%lu", n);
    if (!strcmp(spec, "?"))
        answer_colour(t, which, *rgb);
    else if (n != 12)
        parse_colour(spec, rgb);
}

/* PNRRGGBB of the Linux console: colour N of the first sixteen. console_codes(4) */
static void linux_colour(struct term *t)
{
    unsigned n, rgb;

    if (sscanf(t->string, "P%1x%6x", &n, &rgb) == 2)
        t->palette[n] = rgb;
}

void term_osc(struct term *t)
{
    char *arg = t->string;
    unsigned long n = strtoul(arg, &arg, 10);

    if (t->string[0] == 'P') {
        linux_colour(t);
    } else if (t->string[0] == 'R' || n == 104) {
        uint32_t fg = t->default_fg, bg = t->default_bg;

        term_colours_reset(t);
        t->default_fg = fg;
        t->default_bg = bg;
    }
    if (arg == t->string || *arg++ != ';')
        return;
    if (n == 0 || n == 2)
        set_title(t, arg);
    else if (n == 4)
        palette(t, arg);
    else if (n >= 10 && n <= 12)
        own_colour(t, n, arg);
}

/* DECRQSS: $q and what is asked for. */
void term_dcs(struct term *t)
{
    static const uint8_t shapes[] = {[TERM_BLOCK] = 1, [TERM_UNDERLINE] = 3, [TERM_BAR] = 5};
    char sgr[80];

    if (strncmp(t->string, "$q", 2))
        return;
    if (!strcmp(t->string + 2, "m")) {
        term_sgr_text(t, sgr, sizeof sgr);
        term_answer(t, "\033P1$r%sm\033\\", sgr);
    } else if (!strcmp(t->string + 2, "r")) {
        term_answer(t, "\033P1$r%d;%dr\033\\", t->top + 1, t->bottom);
    } else if (!strcmp(t->string + 2, " q")) {
        term_answer(t, "\033P1$r%u q\033\\", shapes[t->shape] + !t->blink);
    } else {
        term_answer(t, "\033P0$r\033\\");
    }
}
