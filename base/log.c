/*
 * The log: `-d` items to one stream, whole lines, and guest errors with a budget for each reporter.
 *
 * The item table is the only list of items: parsing and `-d help` read it.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"

enum { WHO_MAX = 64, FILTER_MAX = 16, GUEST_LINES_PER_SEC = 10 };

struct who { /* rate limit of one reporter */
    char name[32];
    time_t second;
    unsigned lines, dropped;
};

struct dev_item {
    char name[32];
    struct dev_item *next;
};

struct log_state {
    pthread_mutex_t lock;
    FILE *out;
    bool own;
    struct who who[WHO_MAX];
    struct dev_item *devs;
    struct {
        gva lo, hi;
    } filter[FILTER_MAX];
    unsigned filters;
};

static const struct {
    const char *name, *help;
} items[LOG_ITEMS] = {
    [LOG_IN_ASM] = {"in_asm", "guest code of each new block"},
    [LOG_IR] = {"ir", "its IR"},
    [LOG_OUT_ASM] = {"out_asm", "host code of each new block"},
    [LOG_EXEC] = {"exec", "each block entered from the execution loop"},
    [LOG_INT] = {"int", "traps and interrupts"},
    [LOG_MMU] = {"mmu", "page walks and TLB flushes"},
    [LOG_GUEST] = {"guest_errors", "what the guest did wrong"},
    [LOG_DEVICE] = {"dev:NAME", "register accesses of the device NAME (dev:all for every device)"},
};

struct log *log_new(void)
{
    struct log *l = calloc(1, sizeof *l);
    struct log_state *s = calloc(1, sizeof *s);

    if (!l || !s) {
        free(l);
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->out = stderr;
    l->state = s;
    return l;
}

void log_free(struct log *l)
{
    struct log_state *s;

    if (!l)
        return;
    s = l->state;
    if (s->own)
        fclose(s->out);
    while (s->devs) {
        struct dev_item *d = s->devs;

        s->devs = d->next;
        free(d);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
    free(l);
}

static bool add_device(struct log *l, const char *name, size_t n, struct err *e)
{
    struct dev_item *d;

    if (n == 0 || n >= sizeof d->name)
        return err_set(e, "-d dev: needs a device name");
    d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, "out of memory");
    memcpy(d->name, name, n);
    d->next = l->state->devs;
    l->state->devs = d;
    l->mask |= 1u << LOG_DEVICE;
    return true;
}

static bool add_item(struct log *l, const char *name, size_t n, struct err *e)
{
    if (n > 4 && !strncmp(name, "dev:", 4))
        return add_device(l, name + 4, n - 4, e);
    for (unsigned i = 0; i < LOG_ITEMS; i++)
        if (i != LOG_DEVICE && strlen(items[i].name) == n && !strncmp(items[i].name, name, n)) {
            l->mask |= 1u << i;
            return true;
        }
    return err_set(e, "no log item '%.*s' (try -d help)", (int)n, name);
}

bool log_set_items(struct log *l, const char *spec, struct err *e)
{
    while (*spec) {
        size_t n = strcspn(spec, ",");

        if (n && !add_item(l, spec, n, e))
            return false;
        spec += n + (spec[n] == ',');
    }
    return true;
}

bool log_set_file(struct log *l, const char *path, struct err *e)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return err_set(e, "log file %s: %s", path, strerror(errno));
    if (l->state->own)
        fclose(l->state->out);
    l->state->out = f;
    l->state->own = true;
    return true;
}

void log_add_filter(struct log *l, gva lo, gva hi)
{
    struct log_state *s = l->state;

    if (s->filters < FILTER_MAX) {
        s->filter[s->filters].lo = lo;
        s->filter[s->filters++].hi = hi;
    }
}

bool log_in_filter(const struct log *l, gva pc)
{
    const struct log_state *s = l->state;

    for (unsigned i = 0; i < s->filters; i++)
        if (pc >= s->filter[i].lo && pc <= s->filter[i].hi)
            return true;
    return !s->filters;
}

void log_items_help(FILE *f)
{
    for (unsigned i = 0; i < LOG_ITEMS; i++)
        fprintf(f, "%-15s %s\n", items[i].name, items[i].help);
}

bool log_dev_on(const struct log *l, const char *device)
{
    if (!log_on(l, LOG_DEVICE))
        return false;
    for (const struct dev_item *d = l->state->devs; d; d = d->next)
        if (!strcmp(d->name, "all") || !strcmp(d->name, device))
            return true;
    return false;
}

static void put_line(struct log_state *s, const char *text)
{
    size_t n = strlen(text);

    fputs(text, s->out);
    if (!n || text[n - 1] != '\n')
        fputc('\n', s->out);
    fflush(s->out);
}

void log_write(struct log *l, const char *fmt, ...)
{
    char line[4096];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&l->state->lock);
    put_line(l->state, line);
    pthread_mutex_unlock(&l->state->lock);
}

/* The reporter's slot; the last one is shared by all that find no slot of their own. */
static struct who *who_find(struct log_state *s, const char *name)
{
    for (unsigned i = 0; i < WHO_MAX - 1; i++) {
        struct who *w = &s->who[i];

        if (!w->name[0])
            snprintf(w->name, sizeof w->name, "%s", name);
        if (!strncmp(w->name, name, sizeof w->name - 1))
            return w;
    }
    return &s->who[WHO_MAX - 1];
}

/* Count one line against the budget: false when it must be left out. */
static bool who_charge(struct who *w, unsigned *dropped)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    *dropped = 0;
    if (w->second != now.tv_sec) {
        *dropped = w->dropped;
        w->second = now.tv_sec;
        w->lines = w->dropped = 0;
    }
    if (w->lines < GUEST_LINES_PER_SEC) {
        w->lines++;
        return true;
    }
    w->dropped++;
    return false;
}

void log_guest_msg(struct log *l, const char *who, const char *fmt, ...)
{
    char text[512], line[640];
    unsigned dropped;
    va_list ap;

    if (!l || !log_on(l, LOG_GUEST))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&l->state->lock);
    if (who_charge(who_find(l->state, who), &dropped)) {
        if (dropped)
            snprintf(line, sizeof line, "%s: %s (%u more lines left out)", who, text, dropped);
        else
            snprintf(line, sizeof line, "%s: %s", who, text);
        put_line(l->state, line);
    }
    pthread_mutex_unlock(&l->state->lock);
}
