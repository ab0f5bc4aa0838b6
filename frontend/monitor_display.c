/* The monitor and the displays: screendump, and what `info displays` shows. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "devices/display.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"

void monitor_info_displays(struct machine *m, char *args, FILE *out)
{
    struct display *d;

    (void)args;
    for (unsigned i = 0; (d = machine_displays(m, i)) != NULL; i++) {
        const struct surface *s = display_lock(d);

        if (s->data)
            fprintf(out, "%u: %s, %" PRIu32 "x%" PRIu32 "\n", i, display_name(d), s->width, s->height);
        else
            fprintf(out, "%u: %s, dark\n", i, display_name(d));
        display_unlock(d);
    }
}

/* device: a device's id, head: which of its screens; NULL: the first display of all. */
static struct display *find(struct machine *m, const char *device, const char *head)
{
    char name[64];
    struct display *d;
    unsigned i = 0;

    if (!device)
        return machine_displays(m, 0);
    snprintf(name, sizeof name, head && strcmp(head, "0") ? "%s.%s" : "%s", device, head);
    while ((d = machine_displays(m, i++)) != NULL && strcmp(display_name(d), name))
        ;
    return d;
}

static bool ends_in_png(const char *path)
{
    size_t n = strlen(path);

    return n > 4 && !strcasecmp(path + n - 4, ".png");
}

/* As in QEMU, but that a name may say PNG: screendump FILE [-f ppm|png] [DEVICE [HEAD]]. */
void monitor_screendump(struct machine *m, char *args, FILE *out)
{
    const char *word[3] = {0}, *format = NULL, *w;
    struct display *d;
    unsigned n = 0;
    bool png, ok;

    while ((w = monitor_word(&args)) != NULL) {
        if (!strcmp(w, "-f"))
            format = monitor_word(&args);
        else if (n < ARRAY_LEN(word))
            word[n++] = w;
    }
    if (!n || (format && strcmp(format, "png") && strcmp(format, "ppm"))) {
        fputs("expected: screendump FILE [-f ppm|png] [DEVICE [HEAD]]\n", out);
        return;
    }
    d = find(m, word[1], word[2]);
    if (!d) {
        fputs(word[1] ? "no such display; see info displays\n" : "There is no console to take a screendump from.\n",
              out);
        return;
    }
    png = format ? !strcmp(format, "png") : ends_in_png(word[0]);
    ok = png ? display_png(d, word[0]) : display_ppm(d, word[0]);
    if (!ok)
        fprintf(out, "%s: %s\n", word[0], errno == ENODATA ? "the display is dark" : strerror(errno));
}
