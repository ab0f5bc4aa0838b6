/* Option tables: parser, help, completion; key=value lists. See options.h. */
#include "frontend/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { WORD_MAX = 40 }; /* longer words are not compared */

/* Edit distance with transpositions (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned d[3][WORD_MAX + 1] = {{0}};

    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *nearest_word(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t len = strlen(word);
    unsigned best_d = len < 4 ? 2 : (unsigned)len / 2 + 1;

    for (; *names; names++) {
        unsigned d = distance(word, *names);

        if (d < best_d) {
            best_d = d;
            best = *names;
        }
    }
    return best;
}

static const struct option_row *find_row(const struct option_row *table, const char *name, size_t len)
{
    for (const struct option_row *r = table; r->name; r++)
        if (r->set && strlen(r->name) == len && !memcmp(r->name, name, len))
            return r;
    return NULL;
}

static bool unknown_option(const struct option_row *table, const char *given, const char *name, size_t len,
                           struct err *e)
{
    const char *names[256], *near;
    char word[WORD_MAX + 1];
    unsigned n = 0;
    int dashes = given[1] == '-' ? 2 : 1;

    for (const struct option_row *r = table; r->name && n < ARRAY_LEN(names) - 1; r++)
        if (r->set)
            names[n++] = r->name;
    names[n] = NULL;
    snprintf(word, sizeof word, "%.*s", (int)len, name);
    near = nearest_word(word, names);
    if (near)
        return err_set(e, "%s: unknown option; the nearest one is %.*s%s", given, dashes, "--", near);
    return err_set(e, "%s: unknown option", given);
}

/* Handle the option argv[*i]; moves *i past its argument. */
static bool parse_option(const struct option_row *table, void *ctx, int argc, char **argv, int *i, struct err *e)
{
    const char *given = argv[*i], *name = given + (given[1] == '-' ? 2 : 1);
    const char *eq = strchr(name, '='), *arg = NULL;
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    const struct option_row *r = find_row(table, name, len);

    if (!r)
        return unknown_option(table, given, name, len, e);
    if (!r->arg && eq)
        return err_set(e, "%s: takes no argument", given);
    if (r->arg) {
        if (eq) {
            arg = eq + 1;
        } else if (*i + 1 < argc) {
            arg = argv[++*i];
        } else {
            return err_set(e, "%s: needs an argument (%s)", given, r->arg);
        }
    }
    if (r->set(ctx, arg, e))
        return true;
    return arg && !eq ? err_prefix(e, "%s %s", given, arg) : err_prefix(e, "%s", given);
}

bool options_parse(const struct option_row *table, void *ctx, int argc, char **argv, int first,
                   bool (*positional)(void *ctx, const char *arg, struct err *e), struct err *e)
{
    for (int i = first; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--")) {
            if (!parse_option(table, ctx, argc, argv, &i, e))
                return false;
        } else if (!positional) {
            return err_set(e, "%s: not an option, and no file name is expected here", argv[i]);
        } else if (!positional(ctx, argv[i], e)) {
            return err_prefix(e, "%s", argv[i]);
        }
    }
    return true;
}

static void row_help(const struct option_row *r, const char *dash, FILE *out)
{
    int width = fprintf(out, "  %s%s%s%s", r->name[1] ? dash : "-", r->name, r->arg ? " " : "", r->arg ? r->arg : "");

    if (width > 31)
        fprintf(out, "\n%32s%s\n", "", r->help);
    else
        fprintf(out, "%*s%s\n", 32 - width, "", r->help);
}

void options_help(const struct option_row *table, const char *dash, FILE *out)
{
    for (const struct option_row *r = table; r->name; r++) {
        if (!r->set)
            fprintf(out, "%s%s\n", r == table ? "" : "\n", r->name);
        else if (r->help)
            row_help(r, dash, out);
    }
}

void options_help_some(const struct option_row *table, const char *dash, const char *const *names, FILE *out)
{
    for (; *names; names++) {
        const struct option_row *r = find_row(table, *names, strlen(*names));

        if (r && r->help)
            row_help(r, dash, out);
    }
}

bool parse_u64(const char *text, uint64_t *val)
{
    char *end;
    unsigned long long v;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

    if (!(text[0] >= '0' && text[0] <= '9'))
        return false;
    errno = 0;
    v = strtoull(text, &end, hex ? 16 : 10);
    if (errno || *end || end == text || (hex && end == text + 1))
        return false;
    *val = v;
    return true;
}

static bool suffix_shift(const char *s, unsigned *shift)
{
    static const char letters[] = "BKMGTP";
    const char *p;

    if (!s[0] || (s[1] && strcmp(s + 1, "iB") && strcmp(s + 1, "B")))
        return false;
    p = strchr(letters, s[0] & ~0x20);
    if (!p || !*p)
        return false;
    *shift = 10 * (unsigned)(p - letters);
    return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    char *end;
    unsigned shift = 0;
    uint64_t scale = unit, whole;

    if (!(text[0] >= '0' && text[0] <= '9'))
        return false;
    errno = 0;
    whole = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
    if (errno)
        return false;
    if (*end == '.') {
        double d;
        char *dend;

        d = strtod(text, &dend);
        if (*dend) {
            if (!suffix_shift(dend, &shift))
                return false;
            scale = UINT64_C(1) << shift;
        }
        d *= (double)scale;
        if (!isfinite(d) || d < 0 || d >= 0x1p63)
            return false;
        *bytes = (uint64_t)d;
        return true;
    }
    if (*end) {
        if (!suffix_shift(end, &shift))
            return false;
        scale = UINT64_C(1) << shift;
    }
    if (scale && whole > UINT64_MAX / scale)
        return false;
    *bytes = whole * scale;
    return true;
}

bool parse_bool(const char *text, bool *val)
{
    static const struct {
        const char *word;
        bool val;
    } words[] = {{"on", true},   {"off", false},   {"yes", true}, {"no", false},
                 {"true", true}, {"false", false}, {"1", true},   {"0", false}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!strcmp(text, words[i].word)) {
            *val = words[i].val;
            return true;
        }
    }
    return false;
}

/* Copy one item (up to a lone comma) into *out, ",," as ","; returns where the next one starts, NULL at the end. */
static const char *take_item(const char *in, char **out)
{
    char *o = *out;

    for (;; in++) {
        if (*in == ',') {
            if (in[1] != ',')
                break;
            in++;
        } else if (!*in) {
            break;
        }
        *o++ = *in;
    }
    *o++ = 0;
    *out = o;
    return *in ? in + 1 : NULL;
}

bool kv_parse(struct keyvals *k, const char *text, const char *implied, struct err *e)
{
    char *out;
    const char *in = text;

    memset(k, 0, sizeof *k);
    k->text = out = malloc(strlen(text) + 2);
    if (!out)
        return err_set(e, "out of memory");
    while (in && *in) {
        char *item = out, *eq;
        struct kv *kv;

        in = take_item(in, &out);
        if (!*item)
            return err_set(e, "an empty item between commas");
        if (k->count == KV_MAX)
            return err_set(e, "more than %d properties", KV_MAX);
        kv = &k->kv[k->count++];
        eq = strchr(item, '=');
        if (eq) {
            *eq = 0;
            *kv = (struct kv){.key = item, .value = eq + 1};
        } else if (implied && k->count == 1) {
            *kv = (struct kv){.key = implied, .value = item};
        } else {
            *kv = (struct kv){.key = item, .value = "on", .bare = true};
        }
    }
    return true;
}

void kv_free(struct keyvals *k)
{
    free(k->text);
    for (unsigned i = 0; i < k->asked_count; i++)
        free((void *)k->asked[i]);
    memset(k->asked, 0, sizeof k->asked);
    k->text = NULL;
    k->count = k->asked_count = 0;
}

static void kv_ask(struct keyvals *k, const char *key)
{
    if (k->asked_count < KV_MAX && (k->asked[k->asked_count] = strdup(key)))
        k->asked_count++;
}

const char *kv_get(struct keyvals *k, const char *key)
{
    const char *val = NULL;

    kv_ask(k, key);
    for (unsigned i = 0; i < k->count; i++) {
        if (!strcmp(k->kv[i].key, key)) {
            k->kv[i].used = true;
            val = k->kv[i].value;
        }
    }
    return val;
}

bool kv_bool(struct keyvals *k, const char *key, bool *val, struct err *e)
{
    kv_ask(k, key);
    for (unsigned i = 0; i < k->count; i++) {
        struct kv *kv = &k->kv[i];

        if (!strcmp(kv->key, key)) {
            kv->used = true;
            if (!parse_bool(kv->value, val))
                return err_set(e, "%s=%s: expected on or off", key, kv->value);
        } else if (kv->bare && !strncmp(kv->key, "no", 2) && !strcmp(kv->key + 2, key)) {
            kv->used = true;
            *val = false;
        }
    }
    return true;
}

bool kv_u64(struct keyvals *k, const char *key, uint64_t *val, struct err *e)
{
    const char *text = kv_get(k, key);

    if (text && !parse_u64(text, val))
        return err_set(e, "%s=%s: expected a number", key, text);
    return true;
}

bool kv_size(struct keyvals *k, const char *key, uint64_t *bytes, struct err *e)
{
    const char *text = kv_get(k, key);

    if (text && !parse_size(text, 1, bytes))
        return err_set(e, "%s=%s: expected a size such as 512M", key, text);
    return true;
}

bool kv_done(const struct keyvals *k, struct err *e)
{
    for (unsigned i = 0; i < k->count; i++) {
        const char *near;

        if (k->kv[i].used)
            continue;
        near = nearest_word(k->kv[i].key, k->asked);
        if (near)
            return err_set(e, "unknown property '%s'; the nearest one is '%s'", k->kv[i].key, near);
        return err_set(e, "unknown property '%s'", k->kv[i].key);
    }
    return true;
}
