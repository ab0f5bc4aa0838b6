/* Option tables read as getopt_long(3) reads a command line: see options_parse_getopt() in options.h. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/options.h"

enum { NAMES_MAX = 64 };

static char letter_of(const struct option_row *r) { return r->name[0] && r->name[1] == '|' ? r->name[0] : 0; }

static const char *long_of(const struct option_row *r) { return letter_of(r) ? r->name + 2 : r->name; }

static const struct option_row *find_letter(const struct option_row *table, char letter)
{
    for (const struct option_row *r = table; r->name; r++)
        if (r->set && letter_of(r) == letter)
            return r;
    return NULL;
}

/* The row of that long name, or the only one that begins so. */
static const struct option_row *find_long(const struct option_row *table, const char *name, size_t len, bool *ambiguous)
{
    const struct option_row *found = NULL;

    *ambiguous = false;
    for (const struct option_row *r = table; r->name; r++) {
        if (!r->set || strncmp(long_of(r), name, len) || !*long_of(r))
            continue;
        if (!long_of(r)[len])
            return r;
        *ambiguous = *ambiguous || found;
        found = r;
    }
    return *ambiguous ? NULL : found;
}

static bool unknown_long(const struct option_row *table, const char *given, const char *name, size_t len, struct err *e)
{
    const char *names[NAMES_MAX + 1], *near;
    unsigned n = 0;
    char *word = strndup(name, len);

    for (const struct option_row *r = table; r->name && n < NAMES_MAX; r++)
        if (r->set && *long_of(r))
            names[n++] = long_of(r);
    names[n] = NULL;
    near = word ? nearest_word(word, names) : NULL;
    free(word);
    if (near)
        return err_set(e, "%s: unknown option; the nearest one is --%s", given, near);
    return err_set(e, "%s: unknown option", given);
}

static bool unknown_letter(const struct option_row *table, const char *given, char letter, struct err *e)
{
    char other =
        (char)(islower((unsigned char)letter) ? toupper((unsigned char)letter) : tolower((unsigned char)letter));
    bool ambiguous;
    const struct option_row *r = find_long(table, given + 1, strcspn(given + 1, "="), &ambiguous);

    if (r && given[2]) /* -output for --output */
        return err_set(e, "%s: unknown option; the nearest one is --%s", given, long_of(r));
    r = find_letter(table, other);
    if (r)
        return err_set(e, "-%c: unknown option; the nearest one is -%c (%s)", letter, other,
                       r->help ? r->help : long_of(r));
    return err_set(e, "-%c: unknown option", letter);
}

static bool set_named(const struct option_row *r, void *ctx, const char *name, const char *arg, struct err *e)
{
    return r->set(ctx, arg, e) || (arg ? err_prefix(e, "%s %s", name, arg) : err_prefix(e, "%s", name));
}

static bool parse_long(const struct option_row *table, void *ctx, int argc, char **argv, int *i, struct err *e)
{
    const char *given = argv[*i], *name = given + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    bool ambiguous;
    const struct option_row *r = find_long(table, name, len, &ambiguous);
    char shown[48];

    if (ambiguous)
        return err_set(e, "%s: more than one option begins so", given);
    if (!r)
        return unknown_long(table, given, name, len, e);
    if (!r->arg && eq)
        return err_set(e, "--%s: takes no argument", long_of(r));
    if (r->arg && !eq && *i + 1 >= argc)
        return err_set(e, "--%s: needs an argument (%s)", long_of(r), r->arg);
    snprintf(shown, sizeof shown, "--%s", long_of(r));
    return set_named(r, ctx, shown, !r->arg ? NULL : eq ? eq + 1 : argv[++*i], e);
}

static bool parse_letters(const struct option_row *table, void *ctx, int argc, char **argv, int *i, struct err *e)
{
    const char *given = argv[*i];

    for (const char *p = given + 1; *p; p++) {
        const struct option_row *r = find_letter(table, *p);
        char shown[3] = {'-', *p, 0};

        if (!r)
            return unknown_letter(table, given, *p, e);
        if (!r->arg) {
            if (!set_named(r, ctx, shown, NULL, e))
                return false;
            continue;
        }
        if (!p[1] && *i + 1 >= argc)
            return err_set(e, "%s: needs an argument (%s)", shown, r->arg);
        return set_named(r, ctx, shown, p[1] ? p + 1 : argv[++*i], e);
    }
    return true;
}

bool options_parse_getopt(const struct option_row *table, void *ctx, int argc, char **argv, int first,
                          bool (*positional)(void *ctx, const char *arg, struct err *e), struct err *e)
{
    bool options = true;

    for (int i = first; i < argc; i++) {
        const char *arg = argv[i];

        if (options && !strcmp(arg, "--")) {
            options = false;
        } else if (options && arg[0] == '-' && arg[1]) {
            if (!(arg[1] == '-' ? parse_long : parse_letters)(table, ctx, argc, argv, &i, e))
                return false;
        } else if (!positional) {
            return err_set(e, "%s: not an option, and no file name is expected here", arg);
        } else if (!positional(ctx, arg, e)) {
            return false;
        }
    }
    return true;
}

void options_help_getopt(const struct option_row *table, FILE *out)
{
    for (const struct option_row *r = table; r->name; r++) {
        const char *name = long_of(r);
        int width;

        if (!r->set) {
            fprintf(out, "%s%s\n", r == table ? "" : "\n", r->name);
            continue;
        }
        if (!r->help)
            continue;
        width = letter_of(r) ? fprintf(out, "  -%c%s", letter_of(r), *name ? ", " : "") : fprintf(out, "      ");
        width += fprintf(out, "%s%s%s%s", *name ? "--" : "", name, r->arg ? " " : "", r->arg ? r->arg : "");
        if (width > 33)
            fprintf(out, "\n%34s%s\n", "", r->help);
        else
            fprintf(out, "%*s%s\n", 34 - width, "", r->help);
    }
}
