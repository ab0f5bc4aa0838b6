/* guise img: finds the sub-command, parses its options and prints what went wrong. See img.h. */
#include "frontend/img/img.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "frontend/version.h"

static bool take_file(void *ctx, const char *arg, struct err *e)
{
    struct img_args *a = ctx;

    if (a->files == IMG_FILES_MAX)
        return err_set(e, "more than %d file names", IMG_FILES_MAX);
    a->file[a->files++] = arg;
    return true;
}

static int print_commands(const char *program)
{
    printf("usage: %s COMMAND [options]\n\nDisk images: raw, qcow2, vdi, vpc (VHD), vhdx, vmdk. The options are "
           "qemu-img's.\n\n",
           program);
    for (const struct img_command *c = img_commands; c->name; c++)
        printf("  %-10s %s\n", c->name, c->help);
    printf("\n%s COMMAND --help lists the options of a command; sizes take the suffixes k, M, G, T.\n", program);
    return 0;
}

static int print_help(const struct img_args *a)
{
    printf("usage: %s %s %s\n\n%s\n\n", a->program, a->command->name, a->command->usage, a->command->help);
    options_help_getopt(a->command->options, stdout);
    return 0;
}

static const struct img_command *find_command(const char *program, const char *word)
{
    const char *names[32], *near;
    unsigned n = 0;

    for (const struct img_command *c = img_commands; c->name; c++) {
        if (!strcmp(c->name, word))
            return c;
        names[n++] = c->name;
    }
    names[n] = NULL;
    near = nearest_word(word, names);
    fprintf(stderr, "%s: Command not found: %s%s%s\nTry '%s --help' for more info\n", program, word,
            near ? "; the nearest one is " : "", near ? near : "", program);
    return NULL;
}

/*
 * `resize` takes "-SIZE" as its last word, which looks like an option. Returns argc without that word, which then goes
 * to the files after all others.
 */
static int keep_last(const struct img_command *c, int argc, char **argv, int first, const char **last)
{
    bool signed_size = !strcmp(c->name, "resize") && argc > first + 1 && argv[argc - 1][0] == '-' &&
                       isdigit((unsigned char)argv[argc - 1][1]);

    *last = signed_size ? argv[argc - 1] : NULL;
    return signed_size ? argc - 1 : argc;
}

static int run_command(const char *program, const struct img_command *c, int argc, char **argv, int first)
{
    struct img_args a = {.program = program, .command = c};
    struct err e = {{0}};
    const char *last;
    int code = 1;

    argc = keep_last(c, argc, argv, first, &last);
    if (!options_parse_getopt(c->options, &a, argc, argv, first, take_file, &e) || (last && !take_file(&a, last, &e))) {
        fprintf(stderr, "%s %s: %s\nTry '%s %s --help' for more info\n", program, c->name, e.msg, program, c->name);
    } else if (a.help) {
        code = print_help(&a);
    } else {
        code = c->run(&a, &e);
        fflush(stdout);
        if (e.msg[0])
            fprintf(stderr, "%s: %s\n", program, e.msg);
        if (a.signal)
            code = 128 + a.signal;
    }
    free(a.options);
    return code;
}

static bool sub(unsigned n, struct doc_sub *s)
{
    const struct img_command *c = &img_commands[n];

    *s = (struct doc_sub){.name = c->name, .args = c->usage, .help = c->help, .options = c->options};
    return c->name != NULL;
}

const struct doc img_doc = {
    .usage = "COMMAND [options] FILE...", .getopt = true, .dash = "--", .sub = sub, .program = "qemu-img"};

int img_main(const char *program, int argc, char **argv, int first)
{
    const char *word = argc > first ? argv[first] : NULL;
    const struct img_command *c;

    if (!word || !strcmp(word, "-h") || !strcmp(word, "--help") || !strcmp(word, "help"))
        return print_commands(program), word ? 0 : 1;
    if (!strcmp(word, "-V") || !strcmp(word, "--version")) {
        /* The first number is what scripts compare: the qemu-img whose options and output these are. */
        printf("qemu-img version 10.0.2 (guise " GUISE_VERSION ")\n");
        return 0;
    }
    c = find_command(program, word);
    return c ? run_command(program, c, argc, argv, first + 1) : 1;
}
