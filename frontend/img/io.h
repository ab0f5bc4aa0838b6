/*
 * guise io: enough of qemu-io that test suites written for it can drive our formats.
 *
 * io.c has the program's options and its loop, io_command.c the commands but for those that move data, which are in
 * io_data.c. A command prints its own results and errors, in qemu-io's words, and returns false when it failed.
 */
#ifndef FRONTEND_IMG_IO_H
#define FRONTEND_IMG_IO_H

#include "frontend/img/img.h"

enum { IO_WORDS_MAX = 64 };

struct io {
    const char *program;  /* "guise io" or "qemu-io" */
    struct img_args args; /* share, quiet, trust_paths for img_open_named() */
    struct image *img;    /* NULL: none open */
    char *name, *options; /* as opened: path, or driver=... list; owned */
    char *format, *cache; /* owned, NULL: not named */
    bool read_only, snapshot, ignore_discard;
    bool fua; /* cache=writethrough: every write is durable before it returns */
    bool quit;
};

struct io_command {
    const char *name, *alias;
    int min, max; /* words after the name; max -1: any number */
    bool needs_image;
    const char *args, *help;
    const struct option_row *options; /* letters; parsed into ctx by run() */
    bool (*run)(struct io *io, const struct io_command *c, int argc, char **argv);
};

extern const struct io_command io_commands[]; /* io_command.c; name == NULL ends it */

/* argv[first...] are the program's options. The exit code. */
int io_main(const char *program, int argc, char **argv, int first);
extern const struct doc io_doc;
/* One line. False: it failed. */
bool io_run_line(struct io *io, const char *line);

/* Open what io->name or io->options say; false: said why. */
bool io_open(struct io *io);
void io_close(struct io *io);

/* io_data.c */
bool io_read(struct io *io, const struct io_command *c, int argc, char **argv);
bool io_write(struct io *io, const struct io_command *c, int argc, char **argv);
bool io_discard(struct io *io, const struct io_command *c, int argc, char **argv);
extern const struct option_row io_read_options[], io_write_options[], io_discard_options[];

/* "65536", "64k"; false: said what is wrong. */
bool io_parse_size(const char *text, uint64_t *size);
/* "64 KiB", "2.938 MiB", "3 bytes" */
void io_size_text(double size, char *text, size_t n);

#endif
