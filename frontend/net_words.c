/* Percentages, times, rates, impairments and address ranges as a person writes them. See net_words.h. */
#include "frontend/net_words.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/clock.h"
#include "frontend/options.h"

/* A plain decimal number (no sign, no exponent, no hexadecimal) and what follows it. */
static bool decimal(const char *text, double *v, const char **rest)
{
    size_t n = strspn(text, "0123456789.");
    char buf[32], *end;

    if (!n || n >= sizeof buf)
        return false;
    memcpy(buf, text, n);
    buf[n] = 0;
    *v = strtod(buf, &end);
    *rest = text + n;
    return !*end && isfinite(*v);
}

bool net_percent(const char *text, uint32_t *ppm)
{
    const char *rest;
    double v;

    if (!decimal(text, &v, &rest) || v > 100 || (strcmp(rest, "%") && (*rest || v != 0)))
        return false;
    *ppm = (uint32_t)llround(v * 10000);
    return true;
}

struct unit {
    const char *name;
    double scale;
};

static bool with_unit(const char *text, const struct unit *units, double max, uint64_t *out)
{
    const char *rest;
    double v;

    if (!decimal(text, &v, &rest))
        return false;
    for (; units->name; units++) {
        if (strcmp(rest, units->name))
            continue;
        v *= units->scale;
        if (v > max)
            return false;
        *out = (uint64_t)llround(v);
        return true;
    }
    return false;
}

bool net_duration(const char *text, uint64_t *ns)
{
    static const struct unit units[] = {{"ms", 1e6}, {"", 1e6}, {"s", 1e9}, {"us", 1e3}, {"ns", 1}, {0}};

    return with_unit(text, units, 3600e9, ns);
}

bool net_bit_rate(const char *text, uint64_t *bits)
{
    static const struct unit units[] = {
        {"bit", 1}, {"", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {0}};

    return with_unit(text, units, 1e12, bits);
}

/* --- impairments --- */

bool net_impair_key(struct net_impair *i, const char *key, const char *value, struct err *e)
{
    const struct {
        const char *key, *expected;
        uint32_t *ppm;
        uint64_t *time, *rate, *number;
    } rows[] = {
        {"drop", "a percentage such as 1%", .ppm = &i->drop},
        {"reorder", "a percentage such as 1%", .ppm = &i->reorder},
        {"duplicate", "a percentage such as 1%", .ppm = &i->duplicate},
        {"delay", "a time such as 10ms", .time = &i->delay},
        {"jitter", "a time such as 10ms", .time = &i->jitter},
        {"rate", "bits a second such as 100mbit", .rate = &i->rate},
        {"seed", "a number", .number = &i->seed},
    };
    const char *names[ARRAY_LEN(rows) + 1], *near;

    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        names[r] = rows[r].key;
        if (strcmp(key, rows[r].key))
            continue;
        if ((rows[r].ppm && net_percent(value, rows[r].ppm)) || (rows[r].time && net_duration(value, rows[r].time)) ||
            (rows[r].rate && net_bit_rate(value, rows[r].rate)) || (rows[r].number && parse_u64(value, rows[r].number)))
            return true;
        return err_set(e, "%s=%s: expected %s", key, value, rows[r].expected);
    }
    names[ARRAY_LEN(rows)] = NULL;
    near = nearest_word(key, names);
    return err_set(e, "unknown key '%s'%s%s", key, near ? "; the nearest one is " : "", near ? near : "");
}

bool net_impair_parse(struct net_impair *i, const char *text, struct err *e)
{
    struct net_impair v = *i;
    struct keyvals k;
    bool ok = kv_parse(&k, text, NULL, e);

    if (ok && k.count == 1 && k.kv[0].bare && (!strcmp(k.kv[0].key, "off") || !strcmp(k.kv[0].key, "none"))) {
        kv_free(&k);
        *i = (struct net_impair){.seed = i->seed};
        return true;
    }
    for (unsigned n = 0; ok && n < k.count; n++)
        ok = net_impair_key(&v, k.kv[n].key, k.kv[n].value, e);
    kv_free(&k);
    if (ok)
        *i = v;
    return ok;
}

static void add_text(char *buf, size_t len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void add_text(char *buf, size_t len, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    if (used && used + 1 < len) {
        buf[used++] = ',';
        buf[used] = 0;
    }
    va_start(ap, fmt);
    vsnprintf(buf + used, len - used, fmt, ap);
    va_end(ap);
}

void net_impair_text(const struct net_impair *i, char *buf, size_t len)
{
    const struct {
        const char *key;
        double v;
        const char *unit;
    } rows[] = {{"drop", i->drop / 1e4, "%"},
                {"delay", (double)i->delay / 1e6, "ms"},
                {"jitter", (double)i->jitter / 1e6, "ms"},
                {"rate", (double)i->rate / 1e3, "kbit"},
                {"reorder", i->reorder / 1e4, "%"},
                {"duplicate", i->duplicate / 1e4, "%"}};
    bool any = false;

    buf[0] = 0;
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        if (rows[r].v == 0)
            continue;
        add_text(buf, len, "%s=%.12g%s", rows[r].key, rows[r].v, rows[r].unit);
        any = true;
    }
    if (any && i->seed)
        add_text(buf, len, "seed=%" PRIu64, i->seed);
}

/* --- ranges of addresses --- */

static uint32_t number4(const struct net_addr *a) { return ld32be(a->b + 12); }

/* What QEMU takes for the mask of a network that was given without one (net/slirp.c). */
static unsigned class_length(uint32_t a)
{
    static const struct {
        uint32_t mask, value;
        unsigned len;
    } rows[] = {{0x80000000, 0, 8},           {0xfff00000, 0xac100000, 12}, {0xc0000000, 0x80000000, 16},
                {0xffff0000, 0xc0a80000, 16}, {0xfffe0000, 0xc6120000, 15}, {0xe0000000, 0xc0000000, 24}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((a & rows[i].mask) == rows[i].value)
            return rows[i].len;
    return 28;
}

static bool mask_length(const char *text, unsigned *len)
{
    struct net_addr mask;
    uint64_t n;

    if (net_addr_parse(text, &mask) && net_addr_is4(&mask)) {
        uint32_t m = number4(&mask);

        *len = m ? (unsigned)(32 - __builtin_ctz(m)) : 0;
        return *len && m == (uint32_t)(UINT64_C(0xffffffff) << (32 - *len));
    }
    if (!parse_u64(text, &n) || n > 32)
        return false;
    *len = (unsigned)n;
    return true;
}

bool net_range4(const char *text, struct net_addr *net, unsigned *len)
{
    size_t n = strcspn(text, "/");
    char addr[NET_ADDR_TEXT];
    struct net_addr a;

    if (n >= sizeof addr)
        return false;
    memcpy(addr, text, n);
    addr[n] = 0;
    if (!net_addr_parse(addr, &a) || !net_addr_is4(&a))
        return false;
    *len = class_length(number4(&a));
    if (text[n] && !mask_length(text + n + 1, len))
        return false;
    if (*len < 4 || *len > 30)
        return false;
    *net = net_addr_of4(number4(&a) & (uint32_t)(UINT64_C(0xffffffff) << (32 - *len)));
    return true;
}

bool net_range6(const char *text, struct net_addr *net, unsigned *len)
{
    size_t n = strcspn(text, "/");
    char addr[NET_ADDR_TEXT];
    struct net_addr a;
    uint64_t bits = 64;

    if (n >= sizeof addr)
        return false;
    memcpy(addr, text, n);
    addr[n] = 0;
    if (!net_addr_parse(addr, &a) || net_addr_is4(&a))
        return false;
    if (text[n] && (!parse_u64(text + n + 1, &bits) || !bits || bits > 126))
        return false;
    for (unsigned i = (unsigned)bits; i < 128; i++)
        a.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    *net = a;
    *len = (unsigned)bits;
    return true;
}
