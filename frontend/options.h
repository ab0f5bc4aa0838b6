/*
 * Command-line options as tables, and the `key=value,key=value` grammar of their arguments.
 *
 * One table gives the parser, the help text and the words of shell completion, so the three cannot drift.
 * Options take one or two dashes; an argument follows as the next word or after '='.
 */
#ifndef FRONTEND_OPTIONS_H
#define FRONTEND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* A row with set == NULL is a heading (name is its text). A row with name == NULL ends the table. */
struct option_row {
    const char *name; /* without dashes */
    const char *arg;  /* what the help calls the argument; NULL: the option takes none */
    const char *help;
    bool (*set)(void *ctx, const char *arg, struct err *e);
    const char *words; /* values offered by completion, "a|b|c"; NULL: none or file names */
};

/* Setters for a table: set_FIELD keeps the argument's text in that field of a TYPE, or makes the field true. */
#define OPTION_TEXT(type, field)                                                                                       \
    static bool set_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        (void)e;                                                                                                       \
        ((type *)ctx)->field = arg;                                                                                    \
        return true;                                                                                                   \
    }
#define OPTION_FLAG(type, field)                                                                                       \
    static bool set_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        (void)e;                                                                                                       \
        ((type *)ctx)->field = true;                                                                                   \
        return true;                                                                                                   \
    }

/*
 * Parse argv[first..argc). Words that are not options go to `positional` (an error when it is NULL). Errors name the
 * option; an unknown one is answered with the nearest we have.
 */
bool options_parse(const struct option_row *table, void *ctx, int argc, char **argv, int first,
                   bool (*positional)(void *ctx, const char *arg, struct err *e), struct err *e);
/*
 * The same as getopt_long(3) reads it, for tools that take the place of one that uses it. A row's name is "f|format",
 * "f|" (a letter alone) or "format": letters may be joined (-pO qcow2, -Oqcow2), long names take two dashes and may be
 * cut short, "--" ends the options. (options_getopt.c)
 */
bool options_parse_getopt(const struct option_row *table, void *ctx, int argc, char **argv, int first,
                          bool (*positional)(void *ctx, const char *arg, struct err *e), struct err *e);
void options_help_getopt(const struct option_row *table, FILE *out);

void options_help(const struct option_row *table, const char *dash, FILE *out);
/* Only the rows named in the NULL-ended list, in its order. */
void options_help_some(const struct option_row *table, const char *dash, const char *const *names, FILE *out);

/* The name among `names` (a NULL-ended list) that is nearest to `word`; NULL when none is close. */
const char *nearest_word(const char *word, const char *const *names);

/* Numbers: decimal, 0x hexadecimal. Sizes: a number (a fraction too) with an optional suffix B K M G T; `unit` without one. */
bool parse_u64(const char *text, uint64_t *val);
bool parse_size(const char *text, uint64_t unit, uint64_t *bytes);
bool parse_bool(const char *text, bool *val); /* on/off, yes/no, true/false, 1/0 */

enum { KV_MAX = 96 };

struct kv {
    const char *key, *value;
    bool bare; /* written without '=': value is "on" */
    bool used;
};

/* A parsed list. Getters remember which keys were asked for, so that kv_done can name a wrong one and the nearest. */
struct keyvals {
    char *text; /* owner of the strings */
    unsigned count, asked_count;
    struct kv kv[KV_MAX];
    const char *asked[KV_MAX + 1]; /* copies: a key may be put together on the caller's stack */
};

/*
 * Split text at commas (",," is a comma). A first item without '=' is the value of key `implied` when that is given;
 * any other bare item KEY means KEY=on. kv_free may be called after failure too.
 */
bool kv_parse(struct keyvals *k, const char *text, const char *implied, struct err *e);
void kv_free(struct keyvals *k);

const char *kv_get(struct keyvals *k, const char *key); /* the last one given, or NULL */
/* Leave *val alone when the key is absent. kv_bool also takes the old bare "noKEY". */
bool kv_bool(struct keyvals *k, const char *key, bool *val, struct err *e);
bool kv_u64(struct keyvals *k, const char *key, uint64_t *val, struct err *e);
bool kv_size(struct keyvals *k, const char *key, uint64_t *bytes, struct err *e);
bool kv_done(const struct keyvals *k, struct err *e); /* false: names the first key nobody asked for */

#endif
