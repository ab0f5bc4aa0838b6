/* guise io: the program's options, and its commands from -c or standard input. See io.h. */
#include "frontend/img/io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/version.h"

enum { COMMANDS_MAX = 1024 };

struct line {
    struct io io;
    const char *command[COMMANDS_MAX];
    unsigned commands;
    bool help, version, image_opts;
    const char *file, *format, *cache, *discard;
};

#define TEXT(field)                                                                                                    \
    static bool set_##field(void *ctx, const char *arg, struct err *e)                                                 \
    {                                                                                                                  \
        (void)e;                                                                                                       \
        ((struct line *)ctx)->field = arg;                                                                             \
        return true;                                                                                                   \
    }
#define FLAG(name, field)                                                                                              \
    static bool set_##name(void *ctx, const char *arg, struct err *e)                                                  \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        (void)e;                                                                                                       \
        ((struct line *)ctx)->field = true;                                                                            \
        return true;                                                                                                   \
    }
TEXT(format)
TEXT(cache)
TEXT(discard)
FLAG(help, help)
FLAG(version, version)
FLAG(image_opts, image_opts)
FLAG(read_only, io.read_only)
FLAG(snapshot, io.snapshot)
FLAG(share, io.args.share)
FLAG(trust, io.args.trust_paths)

static bool set_nocache(void *ctx, const char *arg, struct err *e)
{
    (void)arg;
    (void)e;
    ((struct line *)ctx)->cache = "none";
    return true;
}

static bool set_command(void *ctx, const char *arg, struct err *e)
{
    struct line *l = ctx;

    if (l->commands == COMMANDS_MAX)
        return err_set(e, "more than %d commands", COMMANDS_MAX);
    l->command[l->commands++] = arg;
    return true;
}

/* How requests reach the host is the image's own choice here; the words are known so that scripts run. */
static bool set_aio(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    return !arg || !strcmp(arg, "threads") || !strcmp(arg, "native") || !strcmp(arg, "io_uring") ||
           err_set(e, "expected threads, native or io_uring");
}

static bool refuse(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "not supported here");
}

static bool set_file(void *ctx, const char *arg, struct err *e)
{
    struct line *l = ctx;

    if (l->file)
        return err_set(e, "%s: one file at a time", arg);
    l->file = arg;
    return true;
}

static const struct option_row rows[] = {
    {"c|cmd", "COMMAND", "run COMMAND (may be given several times); else commands come from standard input",
     set_command, NULL},
    {"f|format", "FMT", "format of the file; else its header tells", set_format, NULL},
    {"image-opts", NULL, "the file is driver=FMT,file.filename=PATH,...", set_image_opts, NULL},
    {"r|read-only", NULL, "open read-only", set_read_only, NULL},
    {"s|snapshot", NULL, "throw writes away at the end", set_snapshot, NULL},
    {"n|nocache", NULL, "short for -t none", set_nocache, NULL},
    {"t|cache", "MODE", "writeback (default), none, writethrough, directsync, unsafe", set_cache, NULL},
    {"d|discard", "MODE", "unmap (default) or ignore", set_discard, "unmap|ignore"},
    {"k|native-aio", NULL, "known for compatibility", set_aio, NULL},
    {"i|aio", "MODE", "known for compatibility", set_aio, "threads|native|io_uring"},
    {"U|force-share", NULL, "do not lock: another process may have the image open", set_share, NULL},
    {"trust-paths", NULL, "backing and data files may lie outside the image's folder", set_trust, NULL},
    {"C|copy-on-read", NULL, NULL, refuse, NULL},
    {"m|misalign", NULL, NULL, set_aio, NULL},
    {"object", "OBJDEF", NULL, refuse, NULL},
    {"T|trace", "TRACE", NULL, refuse, NULL},
    {"h|help", NULL, "print this", set_help, NULL},
    {"V|version", NULL, "print the version", set_version, NULL},
    {0},
};

const struct doc io_doc = {
    .usage = "[options] [-c COMMAND]... [FILE]",
    .options = rows,
    .getopt = true,
    .dash = "--",
    .files = true,
    .program = "qemu-io",
};

/* --- opening --- */

bool io_open(struct io *io)
{
    const char *name = io->options ? io->options : io->name;
    struct img_how how = {
        .format = io->format,
        .cache = io->cache,
        .image_opts = io->options != NULL,
        .write = !io->read_only && !io->snapshot,
    };
    struct err e = {{0}};
    bool direct, through = false, no_flush;

    io->args.quiet = true; /* no warning about raw: here the user writes, no guest */
    io->img = img_open_named(&io->args, name, &how, &e);
    if (io->img && io->snapshot)
        io->img = overlay_new(io->img, &e);
    if (!io->img) {
        fprintf(stderr, "%s: can't open%s%s: %s\n", io->program, io->options ? "" : " device ", io->options ? "" : name,
                e.msg);
        return false;
    }
    if (io->cache)
        img_parse_cache(io->cache, &direct, &through, &no_flush, &e);
    io->fua = through;
    return true;
}

void io_close(struct io *io)
{
    image_close(io->img);
    io->img = NULL;
    free(io->name);
    free(io->options);
    free(io->format);
    free(io->cache);
    io->name = io->options = io->format = io->cache = NULL;
}

/* --- lines --- */

static const struct io_command *find_command(const char *name)
{
    for (const struct io_command *c = io_commands; c->name; c++)
        if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
            return c;
    return NULL;
}

static bool count_ok(const struct io_command *c, int n)
{
    if (n >= c->min && (c->max < 0 || n <= c->max))
        return true;
    if (c->max < 0)
        fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n", n, c->name, c->min);
    else if (c->min == c->max)
        fprintf(stderr, "bad argument count %d to %s, expected %d arguments\n", n, c->name, c->min);
    else
        fprintf(stderr, "bad argument count %d to %s, expected between %d and %d arguments\n", n, c->name, c->min,
                c->max);
    return false;
}

static bool run_words(struct io *io, int argc, char **argv)
{
    const struct io_command *c = find_command(argv[0]);

    if (!c) {
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
        return false;
    }
    if (c->needs_image && !io->img) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return false;
    }
    return count_ok(c, argc - 1) && c->run(io, c, argc, argv);
}

bool io_run_line(struct io *io, const char *line)
{
    char *copy = strdup(line), *argv[IO_WORDS_MAX + 1], *save = NULL;
    int argc = 0;
    bool ok = copy != NULL;

    for (char *w = copy ? strtok_r(copy, " \t\r\n", &save) : NULL; w; w = strtok_r(NULL, " \t\r\n", &save)) {
        if (argc == IO_WORDS_MAX) {
            fprintf(stderr, "more than %d words in a command\n", IO_WORDS_MAX);
            ok = false;
            break;
        }
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    if (ok && argc)
        ok = run_words(io, argc, argv);
    free(copy);
    fflush(stdout);
    return ok;
}

static bool run_input(struct io *io)
{
    char *line = NULL;
    size_t size = 0;
    bool ok = true;

    while (!io->quit) {
        printf("%s> ", io->program);
        fflush(stdout);
        if (getline(&line, &size, stdin) < 0)
            break;
        ok = io_run_line(io, line) && ok;
    }
    if (isatty(STDOUT_FILENO) && !io->quit)
        putchar('\n');
    free(line);
    return ok;
}

static int run(struct line *l)
{
    struct io *io = &l->io;
    bool ok = true;

    io->ignore_discard = l->discard && (!strcmp(l->discard, "ignore") || !strcmp(l->discard, "off"));
    io->format = l->format ? strdup(l->format) : NULL;
    io->cache = l->cache ? strdup(l->cache) : NULL;
    if (l->file) {
        *(l->image_opts ? &io->options : &io->name) = strdup(l->file);
        ok = io_open(io);
        if (!ok) {
            io_close(io);
            return 1;
        }
    }
    for (unsigned i = 0; i < l->commands && !io->quit; i++)
        ok = io_run_line(io, l->command[i]) && ok;
    if (!l->commands)
        ok = run_input(io);
    io_close(io);
    return ok ? 0 : 1;
}

int io_main(const char *program, int argc, char **argv, int first)
{
    struct line *l = calloc(1, sizeof *l);
    struct err e = {{0}};
    int code = 1;

    if (!l)
        return 1;
    l->io.program = l->io.args.program = program;
    if (!options_parse_getopt(rows, l, argc, argv, first, set_file, &e)) {
        fprintf(stderr, "%s: %s\nTry '%s --help' for more information.\n", program, e.msg, program);
    } else if (l->help) {
        printf("usage: %s [options] [-c COMMAND]... [FILE]\n\nReads and writes disk images. -c help lists the "
               "commands.\n\n",
               program);
        options_help_getopt(rows, stdout);
        code = 0;
    } else if (l->version) {
        printf("qemu-io version 10.0.2 (guise " GUISE_VERSION ")\n");
        code = 0;
    } else {
        code = run(l);
    }
    free(l);
    return code;
}
