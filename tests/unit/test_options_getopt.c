/* Option tables read as getopt_long(3) does: joined letters, cut names, permutation, and what wrong words are told. */
#include <string.h>

#include "base/bits.h"
#include "frontend/options.h"
#include "tests/unit/check.h"

struct seen {
    const char *format, *output, *file[4];
    unsigned quiet, progress, files;
};

static bool set_format(void *ctx, const char *arg, struct err *e)
{
    ((struct seen *)ctx)->format = arg;
    return strcmp(arg, "bad") || err_set(e, "no such format");
}

static bool set_output(void *ctx, const char *arg, struct err *e)
{
    (void)e;
    ((struct seen *)ctx)->output = arg;
    return true;
}

static bool set_quiet(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct seen *)ctx)->quiet++;
    return true;
}

static bool set_progress(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct seen *)ctx)->progress++;
    return true;
}

static bool take_file(void *ctx, const char *arg, struct err *e)
{
    struct seen *s = ctx;

    s->file[s->files++] = arg;
    return s->files <= 3 || err_set(e, "too many");
}

static const struct option_row table[] = {
    {"f|format", "FMT", "format", set_format, NULL},  {"q|quiet", NULL, "say nothing", set_quiet, NULL},
    {"p|", NULL, "progress", set_progress, NULL},     {"output", "FMT", "how to print", set_output, NULL},
    {"output-format", "FMT", NULL, set_output, NULL}, {0},
};

static bool parse(struct seen *s, struct err *e, int argc, char **argv)
{
    memset(s, 0, sizeof *s);
    e->msg[0] = 0;
    return options_parse_getopt(table, s, argc, argv, 1, take_file, e);
}
#define PARSE(...)                                                                                                     \
    parse(&s, &e, (int)(sizeof((char *[]){"x", __VA_ARGS__}) / sizeof(char *)), (char *[]){"x", __VA_ARGS__})

static void letters_join_and_take_arguments_both_ways(void **state)
{
    struct seen s;
    struct err e;

    (void)state;
    CHECK(PARSE("-qpf", "raw", "a"));
    CHECK_EQ(s.quiet + s.progress, 2);
    CHECK_STR(s.format, "raw");
    CHECK(PARSE("-qfraw", "-pq"));
    CHECK_STR(s.format, "raw");
    CHECK_EQ(s.quiet, 2);
}

static void files_and_options_mix_until_two_dashes(void **state)
{
    struct seen s;
    struct err e;

    (void)state;
    CHECK(PARSE("a", "-q", "b", "--", "-p"));
    CHECK_EQ(s.files, 3);
    CHECK_STR(s.file[2], "-p");
    CHECK_EQ(s.progress, 0);
    CHECK(PARSE("-")); /* a lone dash is a word */
    CHECK_EQ(s.files, 1);
}

static void long_names_may_be_cut_short(void **state)
{
    struct seen s;
    struct err e;

    (void)state;
    CHECK(PARSE("--form", "raw", "--qui"));
    CHECK_STR(s.format, "raw");
    CHECK(PARSE("--output=json")); /* an exact name beside a longer one */
    CHECK_STR(s.output, "json");
    CHECK(!PARSE("--outp", "json"));
    CHECK(strstr(e.msg, "more than one"));
}

static void wrong_words_are_named_with_the_nearest(void **state)
{
    static const struct {
        const char *word, *answer;
    } cases[] = {
        {"--fromat", "--format"},
        {"--ouptut=x", "--output"},
        {"-Q", "-q"},
        {"-quiet", NULL},
        {"-output=json", "--output"},
        {"--output", "needs an argument"},
        {"-f", "needs an argument"},
        {"--quiet=1", "takes no argument"},
    };
    struct seen s;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(!PARSE((char *)(uintptr_t)cases[i].word));
        CHECK(e.msg[0]);
        CHECK(!cases[i].answer || strstr(e.msg, cases[i].answer));
    }
    CHECK(!PARSE("-f", "bad"));
    CHECK_STR(e.msg, "-f bad: no such format");
}

static void help_shows_letters_and_names(void **state)
{
    char text[1024] = {0};
    FILE *f = fmemopen(text, sizeof text, "w");

    (void)state;
    CHECK(f);
    options_help_getopt(table, f);
    fclose(f);
    CHECK(strstr(text, "  -f, --format FMT"));
    CHECK(strstr(text, "  -p  "));
    CHECK(strstr(text, "      --output FMT"));
    CHECK(!strstr(text, "output-format")); /* no help text: hidden */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_join_and_take_arguments_both_ways),
        cmocka_unit_test(files_and_options_mix_until_two_dashes),
        cmocka_unit_test(long_names_may_be_cut_short),
        cmocka_unit_test(wrong_words_are_named_with_the_nearest),
        cmocka_unit_test(help_shows_letters_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
