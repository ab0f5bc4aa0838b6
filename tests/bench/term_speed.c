/*
 * How fast consoles are: bytes of a guest into the terminal, and pictures of it while they scroll by, without a window.
 *
 * Prints MB/s of parsing alone for plain lines, coloured ones and UTF-8, then the cost of a frame in which every line has
 * moved, and of one in which nothing has, at three densities.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/ui/text_draw.h"

enum { COLS = 132, ROWS = 43, MEGABYTES = 32, FRAMES = 100 };

static void reply(void *arg, const void *buf, size_t len)
{
    (void)arg;
    (void)buf;
    (void)len;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

enum kind { PLAIN, COLOURED, UTF8 };

static int line(char *buf, enum kind kind, unsigned i)
{
    switch (kind) {
    case PLAIN:
        return sprintf(buf, "%u: the quick brown fox jumps over the lazy dog, and %u others do so too\r\n", i, i * 7);
    case COLOURED:
        return sprintf(buf,
                       "\033[32m%u\033[m: the \033[1;31mquick\033[0m brown \033[38;5;208mfox\033[m jumps %u times\r\n",
                       i, i * 7);
    default:
        return sprintf(buf,
                       "%u: Gr\xc3\xbc\xc3\x9f"
                       "e \xe2\x94\x80\xe2\x94\x80 \xe6\xbc\xa2\xe5\xad\x97 \xd0\xa0\xd1\x83\xd1\x81 %u\r\n",
                       i, i * 7);
    }
}

static void parse(const char *what, enum kind kind)
{
    static char buf[1 << 20];
    struct term *t = term_new(COLS, ROWS, reply, NULL);
    size_t n = 0;
    double start;

    for (unsigned i = 0; n + 300 < sizeof buf; i++)
        n += (size_t)line(buf + n, kind, i);
    start = now();
    for (int i = 0; i < MEGABYTES; i++)
        term_write(t, buf, n);
    printf("%-24s %8.0f MB/s\n", what, (double)n * MEGABYTES / 1e6 / (now() - start));
    term_free(t);
}

static void frames(double density)
{
    struct err e;
    struct font *f = font_new(44.0 / 3 * density, &e);
    struct text_draw *d = text_draw_new();
    struct term *t = term_new(COLS, ROWS, reply, NULL);
    struct canvas c = {.width = COLS * font_cell_w(f), .height = ROWS * font_cell_h(f)};
    struct ui_rect rect[UI_RECTS];
    struct term_cursor cur;
    double moved = 0, still = 0;

    c.stride = c.width;
    c.px = calloc((size_t)c.width * c.height, sizeof *c.px);
    text_draw_resize(d, COLS, ROWS, 0, 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        double start;
        char text[200];

        for (unsigned k = 0; k < ROWS; k++) {
            int n =
                sprintf(text, "\033[3%um[%12u.%06u]\033[m device %u: %s\r\n", i % 8, i, k * 7919, k,
                        &"the quick brown fox jumps over the lazy dog while the guest prints its log"[(i + k) % 20]);

            term_write(t, text, (size_t)n);
        }
        start = now();
        term_look(t, text_draw_cells(d), &cur);
        text_draw(d, f, &c, false, rect);
        moved += now() - start;
        start = now();
        term_look(t, text_draw_cells(d), &cur);
        text_draw(d, f, &c, false, rect);
        still += now() - start;
    }
    printf("density %.1f, %ux%u: %.2f ms a frame with all lines moved, %.3f ms with nothing new\n", density, c.width,
           c.height, moved / FRAMES * 1e3, still / FRAMES * 1e3);
    free(c.px);
    term_free(t);
    text_draw_free(d);
    font_free(f);
}

int main(void)
{
    parse("plain lines", PLAIN);
    parse("coloured words", COLOURED);
    parse("UTF-8", UTF8);
    for (int i = 2; i <= 4; i++)
        frames(i / 2.0);
    return 0;
}
