/* The command-line grammar: tables, nearest names, key=value lists, sizes. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/options.h"
#include "tests/unit/check.h"

struct seen {
    const char *memory, *file;
    unsigned verbose;
};

static bool set_memory(void *ctx, const char *arg, struct err *e)
{
    ((struct seen *)ctx)->memory = arg;
    return strcmp(arg, "bad") || err_set(e, "not a size");
}

static bool set_verbose(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct seen *)ctx)->verbose++;
    return true;
}

static bool set_file(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct seen *)ctx)->file = arg;
    return true;
}

static const struct option_row table[] = {
    {"Things", 0, 0, 0, 0},
    {"memory", "SIZE", "how much", set_memory, "1G|2G|16M"},
    {"verbose", NULL, "more", set_verbose, NULL},
    {"hidden", NULL, NULL, set_verbose, NULL},
    {0},
};

static bool parse(struct seen *s, struct err *e, int argc, char **argv)
{
    memset(s, 0, sizeof *s);
    e->msg[0] = 0;
    return options_parse(table, s, argc, argv, 1, set_file, e);
}
#define PARSE(...)                                                                                                     \
    parse(&s, &e, (int)(sizeof((char *[]){"x", __VA_ARGS__}) / sizeof(char *)), (char *[]){"x", __VA_ARGS__})

static void one_or_two_dashes_and_both_ways_to_give_an_argument(void **state)
{
    struct seen s;
    struct err e;

    (void)state;
    CHECK(PARSE("-memory", "1G", "--verbose", "-verbose", "disk.img"));
    CHECK_STR(s.memory, "1G");
    CHECK_STR(s.file, "disk.img");
    CHECK_EQ(s.verbose, 2);
    CHECK(PARSE("--memory=2G"));
    CHECK_STR(s.memory, "2G");
}

static void wrong_options_are_named_with_the_nearest(void **state)
{
    struct seen s;
    struct err e;

    (void)state;
    CHECK(!PARSE("--memroy", "1G"));
    CHECK_STR(e.msg, "--memroy: unknown option; the nearest one is --memory");
    CHECK(!PARSE("-zzzzzz"));
    CHECK_STR(e.msg, "-zzzzzz: unknown option");
    CHECK(!PARSE("-memory"));
    CHECK_STR(e.msg, "-memory: needs an argument (SIZE)");
    CHECK(!PARSE("--verbose=1"));
    CHECK_STR(e.msg, "--verbose=1: takes no argument");
    CHECK(!PARSE("-memory", "bad"));
    CHECK_STR(e.msg, "-memory bad: not a size");
}

static char *printed(void (*fn)(FILE *f))
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    fn(f);
    fclose(f);
    return text;
}

static void print_help(FILE *f) { options_help(table, "--", f); }
static void print_some(FILE *f) { options_help_some(table, "--", (const char *[]){"verbose", "memory", NULL}, f); }

static void help_comes_from_the_table(void **state)
{
    char *text = printed(print_help);

    (void)state;
    CHECK_STR(text, "Things\n  --memory SIZE                 how much\n  --verbose                     more\n");
    free(text);
    CHECK_STR(text = printed(print_some),
              "  --verbose                     more\n  --memory SIZE                 how much\n");
    free(text);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t unit, val;
    } cases[] = {
        {"512", true, 1 << 20, UINT64_C(512) << 20},
        {"4G", true, 1 << 20, UINT64_C(4) << 30},
        {"64k", true, 1, 65536},
        {"1.5G", true, 1, UINT64_C(3) << 29},
        {"2T", true, 1, UINT64_C(2) << 40},
        {"0x10", true, 1, 16},
        {"10B", true, 1 << 20, 10},
        {"1MiB", true, 1, 1 << 20},
        {"", false, 1, 0},
        {"-1", false, 1, 0},
        {"1X", false, 1, 0},
        {"99999999999999999999", false, 1, 0},
        {"18446744073709551615K", false, 1, 0},
        {"1Gx", false, 1, 0},
        {" 5", false, 1, 0},
        {"1e3", false, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 0;

        if (parse_size(cases[i].text, cases[i].unit, &v) != cases[i].ok)
            fail_msg("'%s' taken wrongly", cases[i].text);
        CHECK_EQ(v, cases[i].val);
    }
}

static void lists_with_escapes_and_implied_keys(void **state)
{
    struct keyvals k;
    struct err e;
    bool wait = true, server = false;
    uint64_t n = 7;

    (void)state;
    CHECK(kv_parse(&k, "a,,b.img,server,nowait,n=0x20,x=1,x=2", "file", &e));
    CHECK_STR(kv_get(&k, "file"), "a,b.img");
    CHECK(kv_bool(&k, "server", &server, &e) && server);
    CHECK(kv_bool(&k, "wait", &wait, &e) && !wait);
    CHECK(kv_u64(&k, "n", &n, &e));
    CHECK_EQ(n, 0x20);
    CHECK(!kv_done(&k, &e)); /* x was not asked for */
    CHECK_STR(kv_get(&k, "x"), "2");
    CHECK(kv_done(&k, &e));
    kv_free(&k);
    CHECK(kv_parse(&k, "readonyl=on", NULL, &e));
    kv_get(&k, "readonly");
    CHECK(!kv_done(&k, &e));
    CHECK_STR(e.msg, "unknown property 'readonyl'; the nearest one is 'readonly'");
    kv_free(&k);
    CHECK(!kv_parse(&k, "a,,,b", NULL, &e) || k.count == 2); /* "a," then "b" */
    kv_free(&k);
    CHECK(!kv_parse(&k, "a=1,", NULL, &e) || k.count == 1);
    kv_free(&k);
}

/* drive.c puts keys together on its stack: what was asked for is told from copies. */
static void keys_asked_for_may_be_gone_when_one_is_wrong(void **state)
{
    struct keyvals k;
    struct err e;
    char key[16] = "readonly";

    (void)state;
    CHECK(kv_parse(&k, "readonyl=on", NULL, &e));
    kv_get(&k, key);
    memset(key, 'x', sizeof key);
    CHECK(!kv_done(&k, &e));
    CHECK_STR(e.msg, "unknown property 'readonyl'; the nearest one is 'readonly'");
    kv_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_or_two_dashes_and_both_ways_to_give_an_argument),
        cmocka_unit_test(wrong_options_are_named_with_the_nearest),
        cmocka_unit_test(help_comes_from_the_table),
        cmocka_unit_test(sizes),
        cmocka_unit_test(lists_with_escapes_and_implied_keys),
        cmocka_unit_test(keys_asked_for_may_be_gone_when_one_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
