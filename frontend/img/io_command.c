/* The commands of guise io that do not move data, and the table of all. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "frontend/img/io.h"

/* Parse letters and words of a command; a wrong one is answered with the command's own line. */
static bool parse(const struct io *io, const struct io_command *c, void *ctx, int argc, char **argv,
                  bool (*word)(void *ctx, const char *arg, struct err *e))
{
    struct err e = {{0}};

    if (options_parse_getopt(c->options, ctx, argc, argv, 1, word, &e))
        return true;
    fprintf(stderr, "%s: %s\n%s %s -- %s\n", io->program, e.msg, c->name, c->args ? c->args : "", c->help);
    return false;
}

bool io_parse_size(const char *text, uint64_t *size)
{
    if (!image_parse_size(text, size)) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n", text);
        return false;
    }
    if (*size > INT64_MAX) {
        printf("Parsing error: argument too large -- %s\n", text);
        return false;
    }
    return true;
}

void io_size_text(double size, char *text, size_t n)
{
    static const char *const units[] = {" bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    unsigned i = 0;
    char number[64], *zeroes;

    for (; size >= 1024 && i < 6; i++)
        size /= 1024;
    snprintf(number, sizeof number, i ? "%.3f" : "%f", size);
    zeroes = strstr(number, ".000");
    if (zeroes)
        *zeroes = 0;
    snprintf(text, n, "%s%s", number, units[i]);
}

/* --- files --- */

struct open_words {
    const char *name, *options, *cache, *discard;
    bool read_only, write, snapshot, nocache, share;
};

#define TEXT(field) OPTION_TEXT(struct open_words, field)
#define FLAG(field) OPTION_FLAG(struct open_words, field)
TEXT(name)
TEXT(options)
TEXT(cache)
TEXT(discard)
FLAG(read_only)
FLAG(write)
FLAG(snapshot)
FLAG(nocache)
FLAG(share)

static bool take_mode(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    (void)e;
    return true;
}

static const struct option_row open_options[] = {
    {"r|", NULL, "", set_read_only, NULL},    {"s|", NULL, "", set_snapshot, NULL},
    {"n|", NULL, "", set_nocache, NULL},      {"U|", NULL, "", set_share, NULL},
    {"k|", NULL, "", take_mode, NULL},        {"i|", "MODE", "", take_mode, NULL},
    {"t|", "CACHE", "", set_cache, NULL},     {"d|", "DISCARD", "", set_discard, NULL},
    {"o|", "OPTIONS", "", set_options, NULL}, {0},
};

static const struct option_row reopen_options[] = {
    {"r|", NULL, "", set_read_only, NULL},
    {"w|", NULL, "", set_write, NULL},
    {"c|", "CACHE", "", set_cache, NULL},
    {"o|", "OPTIONS", "", set_options, NULL},
    {0},
};

/* -o without a file name in it is for the file named: its driver then. */
static bool set_names(struct io *io, const struct open_words *w)
{
    if (w->options && w->name) {
        size_t n = strlen(w->options) + strlen(w->name) + 32;

        io->options = malloc(n);
        if (io->options)
            snprintf(io->options, n, "%s,file.filename=%s", w->options, w->name);
        return io->options != NULL;
    }
    if (w->options)
        io->options = strdup(w->options);
    else if (w->name)
        io->name = strdup(w->name);
    else
        fprintf(stderr, "%s: open: no file named\n", io->program);
    return io->options || io->name;
}

static bool cmd_open(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct open_words w = {0};

    if (!parse(io, c, &w, argc, argv, set_name))
        return false;
    if (io->img) {
        fprintf(stderr, "%s: file open already, try 'help close'\n", io->program);
        return false;
    }
    io_close(io); /* what an open that failed has left */
    io->read_only = w.read_only;
    io->snapshot = w.snapshot;
    io->args.share = w.share;
    io->cache = w.nocache ? strdup("none") : w.cache ? strdup(w.cache) : NULL;
    io->ignore_discard = w.discard && !strcmp(w.discard, "ignore");
    return set_names(io, &w) && io_open(io);
}

static bool cmd_close(struct io *io, const struct io_command *c, int argc, char **argv)
{
    (void)c;
    (void)argc;
    (void)argv;
    io_close(io);
    return true;
}

static bool cmd_reopen(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct open_words w = {0};
    char *cache;

    if (!parse(io, c, &w, argc, argv, NULL))
        return false;
    if (w.read_only && w.write) {
        fprintf(stderr, "Only one of -r/-c/-w may be given\n");
        return false;
    }
    if (w.cache) {
        cache = strdup(w.cache);
        free(io->cache);
        io->cache = cache;
    }
    if (w.read_only || w.write)
        io->read_only = w.read_only;
    image_close(io->img);
    io->img = NULL;
    return io_open(io);
}

/* --- what the image is --- */

static bool cmd_length(struct io *io, const struct io_command *c, int argc, char **argv)
{
    char text[64];

    (void)c;
    (void)argc;
    (void)argv;
    io_size_text((double)image_size(io->img), text, sizeof text);
    printf("%s\n", text);
    return true;
}

/* The VM state of a qcow2 image begins with the first L2 table after the disk's. */
static uint64_t vm_state_offset(const struct image *img, const json_t *details)
{
    bool extended = json_is_true(json_object_get(json_object_get(details, "data"), "extended-l2"));
    uint64_t reach = (uint64_t)img->cluster * (img->cluster / (extended ? 16 : 8));

    return strcmp(img->ops->format, "qcow2") || !reach ? 0 : align_up(image_size(img), reach);
}

static bool cmd_info(struct io *io, const struct io_command *c, int argc, char **argv)
{
    json_t *details = io->img->ops->details ? io->img->ops->details(io->img) : NULL;
    char cluster[64], state[64];

    (void)c;
    (void)argc;
    (void)argv;
    io_size_text(io->img->cluster, cluster, sizeof cluster);
    io_size_text((double)vm_state_offset(io->img, details), state, sizeof state);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n", io->img->ops->format, cluster, state);
    img_print_details(details, 0);
    json_decref(details);
    return true;
}

/* Of this layer. */
static bool next_run(struct io *io, uint64_t off, uint64_t end, uint64_t *len, bool *allocated)
{
    struct image_extent x;

    *len = 0;
    while (off + *len < end) {
        int ret = image_map_layer(io->img, off + *len, end - off - *len, &x);

        if (ret) {
            printf("Failed to get allocation status: %s\n", strerror(-ret));
            return false;
        }
        x.allocated = x.allocated || !io->img->ops->backing_name; /* see img_extent() */
        if (*len && x.allocated != *allocated)
            break;
        *allocated = x.allocated;
        *len += x.len;
    }
    return true;
}

static bool cmd_map(struct io *io, const struct io_command *c, int argc, char **argv)
{
    uint64_t size = image_size(io->img), len;
    bool allocated = false;

    (void)c;
    (void)argc;
    (void)argv;
    for (uint64_t off = 0; off < size; off += len) {
        char length[64], offset[64];

        if (!next_run(io, off, size, &len, &allocated))
            return false;
        io_size_text((double)len, length, sizeof length);
        io_size_text((double)off, offset, sizeof offset);
        printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", length, len,
               allocated ? "   " : "not", offset, off);
    }
    return true;
}

static bool cmd_alloc(struct io *io, const struct io_command *c, int argc, char **argv)
{
    uint64_t size = image_size(io->img), off, count = 512, sum = 0, end;
    char text[64];

    (void)c;
    if (!io_parse_size(argv[1], &off) || (argc > 2 && !io_parse_size(argv[2], &count)))
        return false;
    end = off > size ? off : count < size - off ? off + count : size;
    for (uint64_t pos = off, len; pos < end; pos += len) {
        bool allocated = false;

        if (!next_run(io, pos, end, &len, &allocated))
            return false;
        sum += allocated ? len : 0;
    }
    io_size_text((double)off, text, sizeof text);
    printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, count, text);
    return true;
}

/* --- the rest --- */

static bool cmd_flush(struct io *io, const struct io_command *c, int argc, char **argv)
{
    int ret = io->img->read_only ? 0 : io->img->ops->flush(io->img);

    (void)c;
    (void)argc;
    (void)argv;
    if (ret)
        printf("flush failed: %s\n", strerror(-ret));
    return !ret;
}

/* aio_read and aio_write have done their work when they return. */
static bool cmd_aio_flush(struct io *io, const struct io_command *c, int argc, char **argv)
{
    (void)io;
    (void)c;
    (void)argc;
    (void)argv;
    return true;
}

static const struct option_row truncate_options[] = {{"m|", "MODE", "", set_options, NULL}, {0}};

static bool cmd_truncate(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct open_words w = {0};
    enum image_prealloc p = PREALLOC_OFF;
    struct err e = {{0}};
    uint64_t size;

    if (!parse(io, c, &w, argc, argv, set_name) || !w.name || !io_parse_size(w.name, &size))
        return false;
    if (w.options && !image_parse_prealloc(w.options, &p))
        err_set(&e, "invalid preallocation mode '%s'", w.options);
    else if (!io->img->ops->resize)
        err_set(&e, "images of format '%s' cannot be resized", io->img->ops->format);
    else if (!io->img->ops->resize(io->img, size, p, true, &e))
        return true;
    fprintf(stderr, "%s: %s\n", io->program, e.msg);
    return false;
}

static bool cmd_sleep(struct io *io, const struct io_command *c, int argc, char **argv)
{
    uint64_t ms;
    struct timespec t;

    (void)io;
    (void)c;
    (void)argc;
    if (!parse_u64(argv[1], &ms)) {
        printf("%s is not a valid number of milliseconds\n", argv[1]);
        return false;
    }
    t = (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
    return true;
}

/* For tests of what a crash leaves behind: sigraise 9. */
static bool cmd_sigraise(struct io *io, const struct io_command *c, int argc, char **argv)
{
    uint64_t sig;

    (void)io;
    (void)c;
    (void)argc;
    if (!parse_u64(argv[1], &sig) || sig > 64) {
        printf("%s is not a valid signal number\n", argv[1]);
        return false;
    }
    fflush(stdout);
    raise((int)sig);
    return true;
}

static bool cmd_abort(struct io *io, const struct io_command *c, int argc, char **argv)
{
    (void)io;
    (void)c;
    (void)argc;
    (void)argv;
    fflush(stdout);
    raise(SIGABRT);
    return false;
}

static bool cmd_quit(struct io *io, const struct io_command *c, int argc, char **argv)
{
    (void)c;
    (void)argc;
    (void)argv;
    io->quit = true;
    return true;
}

static void print_line(const struct io_command *c)
{
    printf("%s%s%s%s%s -- %s\n", c->name, c->alias ? ", " : "", c->alias ? c->alias : "", c->args ? " " : "",
           c->args ? c->args : "", c->help);
}

static bool cmd_help(struct io *io, const struct io_command *self, int argc, char **argv)
{
    (void)io;
    (void)self;
    for (const struct io_command *c = io_commands; c->name; c++) {
        if (argc > 1 && strcmp(argv[1], c->name) && (!c->alias || strcmp(argv[1], c->alias)))
            continue;
        print_line(c);
        if (argc == 1)
            continue;
        for (const struct option_row *r = c->options; r && r->name; r++)
            printf(" -%c, -- %s\n", r->name[0], r->help);
        putchar('\n');
        return true;
    }
    if (argc == 1)
        printf("\nUse 'help commandname' for extended help.\n");
    else
        printf("command %s not found\n", argv[1]);
    return true;
}

const struct io_command io_commands[] = {
    {"abort", NULL, 0, 0, false, NULL, "end as a crash does", NULL, cmd_abort},
    {"aio_flush", NULL, 0, 0, true, NULL, "completes all outstanding aio requests", NULL, cmd_aio_flush},
    {"aio_read", NULL, 2, -1, true, "[-Ciqrv] [-P pattern] off len [len..]", "asynchronously reads a number of bytes",
     io_read_options, io_read},
    {"aio_write", NULL, 2, -1, true, "[-Cfiqruz] [-P pattern] off len [len..]",
     "asynchronously writes a number of bytes", io_write_options, io_write},
    {"alloc", NULL, 1, 2, true, "offset [count]", "checks if offset is allocated in the file", NULL, cmd_alloc},
    {"close", NULL, 0, 0, true, NULL, "close the current open file", NULL, cmd_close},
    {"discard", "d", 2, -1, true, "[-Cq] off len", "discards a number of bytes at a specified offset",
     io_discard_options, io_discard},
    {"flush", "f", 0, 0, true, NULL, "flush all in-core file state to disk", NULL, cmd_flush},
    {"help", "?", 0, 1, false, "[command]", "help for one or all commands", NULL, cmd_help},
    {"info", "i", 0, 0, true, NULL, "prints information about the current file", NULL, cmd_info},
    {"length", "l", 0, 0, true, NULL, "gets the length of the current file", NULL, cmd_length},
    {"map", NULL, 0, 1, true, "", "prints the allocated areas of a file", NULL, cmd_map},
    {"open", "o", 0, -1, false, "[-rsnkU] [-t cache] [-d discard] [-o options] [path]",
     "open the file specified by path", open_options, cmd_open},
    {"quit", "q", 0, 0, false, NULL, "exit the program", NULL, cmd_quit},
    {"read", "r", 2, -1, true, "[-Cqrv] [-P pattern [-s off] [-l len]] off len",
     "reads a number of bytes at a specified offset", io_read_options, io_read},
    {"readv", "rv", 2, -1, true, "[-Cqrv] [-P pattern] off len [len..]",
     "reads a number of bytes at a specified offset", io_read_options, io_read},
    {"reopen", NULL, 0, -1, true, "[(-r|-w)] [-c cache]", "reopens an image with new options", reopen_options,
     cmd_reopen},
    {"sigraise", NULL, 1, 1, false, "signal", "raises a signal", NULL, cmd_sigraise},
    {"sleep", NULL, 1, 1, false, NULL, "waits for the given value in milliseconds", NULL, cmd_sleep},
    {"truncate", "t", 1, 3, true, "[-m prealloc_mode] off", "truncates the current file at the given offset",
     truncate_options, cmd_truncate},
    {"write", "w", 2, -1, true, "[-cCfnqruz] [-P pattern | -s source_file] off len",
     "writes a number of bytes at a specified offset", io_write_options, io_write},
    {"writev", "wv", 2, -1, true, "[-Cfqr] [-P pattern] off len [len..]",
     "writes a number of bytes at a specified offset", io_write_options, io_write},
    {0},
};
