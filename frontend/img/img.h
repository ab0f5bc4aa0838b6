/*
 * guise img: qemu-img's sub-commands, option names, output and exit codes over images/.
 *
 * img.c finds the sub-command and parses its options (img_options.c) into one struct img_args; a sub-command's function
 * does the work and returns the exit code. Errors come back in a struct err and are printed once, by img_main().
 */
#ifndef FRONTEND_IMG_IMG_H
#define FRONTEND_IMG_IMG_H

#include <stdio.h>

#include "base/err.h"
#include "frontend/docs/docs.h"
#include "frontend/options.h"
#include "images/image.h"

enum { IMG_FILES_MAX = 64 };

struct img_command;

/* What the options of all sub-commands set. Strings are argv's. */
struct img_args {
    const char *program; /* "guise img" or "qemu-img": begins every message */
    const struct img_command *command;
    const char *file[IMG_FILES_MAX];
    unsigned files;
    char *options; /* owned: all -o, joined by commas */
    const char *format, *format2, *out_format, *backing, *backing_format, *base, *cache, *source_cache, *repair,
        *snapshot;
    const char *output, *sparse, *parallel, *rate, *preallocation, *size, *aio;
    const char *start, *length, *count, *depth, *offset, *buffer, *step, *pattern, *flush_interval;
    char snapshot_action; /* l a c d */
    bool help, json, quiet, progress, image_opts, target_image_opts, share, unsafe, backing_chain, compress, no_create;
    bool target_is_zero, oob_writes, copy_range, salvage, shrink, drop, strict, write, no_drain, native, trust_paths;
    int signal; /* the signal that ended the operation early, 0: none */
};

struct img_command {
    const char *name, *help, *usage;
    const struct option_row *options;
    int (*run)(struct img_args *a, struct err *e); /* exit code; e->msg is printed when set */
};

extern const struct img_command img_commands[]; /* img_options.c; name == NULL ends it */

/* argv[first] is the sub-command. The exit code of the process. */
int img_main(const char *program, int argc, char **argv, int first);
extern const struct doc img_doc;

/* --- open.c --- */

struct img_how {
    const char *format, *cache; /* NULL: taken from the file's header; "writeback" */
    bool image_opts;            /* the name is driver=...,file.filename=... */
    bool write, no_backing, no_repair;
    bool no_flush; /* cache=unsafe: nothing waits for the host's disk */
};

/* Open what the user named. A warning may go to stderr. */
struct image *img_open_named(const struct img_args *a, const char *name, const struct img_how *how, struct err *e);
/* Wrap a protocol so that flushes and FUA do nothing; owns it. On failure it is closed. */
struct image *img_no_flush(struct image *file, struct err *e);
/* -t and -T: none, writeback, writethrough, directsync, unsafe. */
bool img_parse_cache(const char *mode, bool *direct, bool *through, bool *no_flush, struct err *e);
/* A size as qemu-img takes it ("10M", no suffix: bytes); message as qemu-img's with `what` in it. */
bool img_parse_size(const char *text, const char *what, uint64_t *size, struct err *e);
bool img_parse_count(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *n, struct err *e);

/*
 * image_map() as qemu-img prints it: a format that knows no backing files has no holes, and where data lies plainly in
 * the file (preallocated clusters, a fixed VDI), the file's own holes are data that reads as zeroes.
 */
int img_extent(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
/* Bytes [off, off + len) of the image; zeroes beyond its end. 0 or a negative errno. */
int img_read_padded(struct image *img, void *buf, uint64_t off, uint64_t len);
/* Zeroes by the image's own means, or written. */
int img_zero(struct image *img, uint64_t off, uint64_t len, unsigned flags);

bool buffer_is_zero(const void *buf, size_t len);
/* "1.5 MiB" in at most four significant digits, as qemu-img prints sizes. */
void img_size_text(uint64_t size, char *text, size_t n);

/* --- snapshot.c, info.c --- */

void img_print_snapshots(const struct image_snapshot *s, int n);
/* qemu-img's "Format specific information" of details (may be NULL), indented by so many steps of four. */
void img_print_details(const struct json_t *details, unsigned indent);

/* --- create.c, create_options.c --- */

#define IMG_SIZE_UNKNOWN UINT64_MAX
/* Make an image (size IMG_SIZE_UNKNOWN: by -o size= or the backing file) and say so ("Formatting ...") unless quiet. */
bool img_create_file(const struct img_args *a, const struct image_create *c, bool quiet, struct err *e);
/* The value of one key in "a=b,c=d" (the last one), malloc'ed; NULL: not there. */
char *img_option_get(const char *options, const char *key);
bool img_options_check(const char *format, const char *options, struct err *e);
char *img_options_strip(const char *options); /* without what is true anyway (nocow=off); malloc'ed */
bool img_options_help(const char *format, FILE *out, struct err *e);
/* "Formatting 'x', fmt=..." */
void img_print_formatting(const struct image_create *c, uint64_t size);

/* --- sub-commands --- */

int img_cmd_create(struct img_args *a, struct err *e);
int img_cmd_info(struct img_args *a, struct err *e);
int img_cmd_map(struct img_args *a, struct err *e);
int img_cmd_check(struct img_args *a, struct err *e);
int img_cmd_repair(struct img_args *a, struct err *e);
int img_cmd_convert(struct img_args *a, struct err *e);
int img_cmd_resize(struct img_args *a, struct err *e);
int img_cmd_rebase(struct img_args *a, struct err *e);
int img_cmd_commit(struct img_args *a, struct err *e);
int img_cmd_compact(struct img_args *a, struct err *e);
int img_cmd_compare(struct img_args *a, struct err *e);
int img_cmd_snapshot(struct img_args *a, struct err *e);
int img_cmd_bench(struct img_args *a, struct err *e);
int img_cmd_dd(struct img_args *a, struct err *e);
int img_cmd_measure(struct img_args *a, struct err *e);

#endif
