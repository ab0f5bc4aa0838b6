/*
 * The commands of guise io that move data: read, write, discard and their vectored and asynchronous names.
 *
 * aio_read and aio_write do their work before they return: one order of completions among those that are allowed.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "frontend/img/io.h"

enum { LENS_MAX = 64, DEFAULT_PATTERN = 0xcd };
static const uint64_t LENGTH_MAX = INT32_MAX & ~511u; /* of one request, as QEMU's */

struct data {
    const char *pattern, *skip, *verify_len, *source;
    bool parsable, fua, quiet, dump, zeroes, unmap, compressed, no_fallback, invalid;
    const char *word[LENS_MAX + 1]; /* offset, lengths */
    unsigned words;
    /* from here on made of the above */
    uint64_t off, total;
    struct iovec iov[LENS_MAX];
    unsigned iovs;
    uint64_t byte, verify_off, verify_bytes;
    char *buf;
};

#define TEXT(field) OPTION_TEXT(struct data, field)
#define FLAG(field) OPTION_FLAG(struct data, field)
TEXT(pattern)
TEXT(skip)
TEXT(verify_len)
TEXT(source)
FLAG(parsable)
FLAG(fua)
FLAG(quiet)
FLAG(dump)
FLAG(zeroes)
FLAG(unmap)
FLAG(compressed)
FLAG(no_fallback)
FLAG(invalid)

static bool ignored(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    (void)e;
    return true;
}

static bool no_vm_state(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "the VM state is not accessible here");
}

static bool take_word(void *ctx, const char *arg, struct err *e)
{
    struct data *d = ctx;

    if (d->words > LENS_MAX)
        return err_set(e, "more than %d lengths", LENS_MAX);
    d->word[d->words++] = arg;
    return true;
}

const struct option_row io_read_options[] = {
    {"b|", NULL, "(not supported) read from the VM state", no_vm_state, NULL},
    {"C|", NULL, "report statistics in a machine parsable format", set_parsable, NULL},
    {"i|", NULL, "treat request as invalid, for exercising stats", set_invalid, NULL},
    {"l|", "LEN", "length for pattern verification (only with -P)", set_verify_len, NULL},
    {"p|", NULL, "ignored for backwards compatibility", ignored, NULL},
    {"P|", "PATTERN", "use a pattern to verify read data", set_pattern, NULL},
    {"q|", NULL, "quiet mode, do not show I/O statistics", set_quiet, NULL},
    {"r|", NULL, "register I/O buffer", ignored, NULL},
    {"s|", "OFF", "start offset for pattern verification (only with -P)", set_skip, NULL},
    {"v|", NULL, "dump buffer to standard output", set_dump, NULL},
    {0},
};

const struct option_row io_write_options[] = {
    {"b|", NULL, "(not supported) write to the VM state", no_vm_state, NULL},
    {"c|", NULL, "write compressed data", set_compressed, NULL},
    {"C|", NULL, "report statistics in a machine parsable format", set_parsable, NULL},
    {"f|", NULL, "use Force Unit Access semantics", set_fua, NULL},
    {"i|", NULL, "treat request as invalid, for exercising stats", set_invalid, NULL},
    {"n|", NULL, "with -z, don't allow slow fallback", set_no_fallback, NULL},
    {"p|", NULL, "ignored for backwards compatibility", ignored, NULL},
    {"P|", "PATTERN", "use different pattern to fill file", set_pattern, NULL},
    {"q|", NULL, "quiet mode, do not show I/O statistics", set_quiet, NULL},
    {"r|", NULL, "register I/O buffer", ignored, NULL},
    {"s|", "FILE", "use a pattern file to fill the write buffer", set_source, NULL},
    {"u|", NULL, "with -z, allow unmapping", set_unmap, NULL},
    {"z|", NULL, "write zeroes", set_zeroes, NULL},
    {0},
};

const struct option_row io_discard_options[] = {
    {"C|", NULL, "report statistics in a machine parsable format", set_parsable, NULL},
    {"q|", NULL, "quiet mode, do not show I/O statistics", set_quiet, NULL},
    {0},
};

/* --- the words of a command --- */

static bool say(const char *text)
{
    printf("%s\n", text);
    return false;
}

static bool lengths(struct data *d, const char *name)
{
    bool vector = strstr(name, "v") || !strncmp(name, "aio_", 4);

    if (d->words < 2 || (!vector && d->words != 2)) {
        fprintf(stderr, "bad argument count to %s: expected an offset and a length\n", name);
        return false;
    }
    if (!io_parse_size(d->word[0], &d->off))
        return false;
    for (unsigned i = 1; i < d->words; i++) {
        uint64_t len;

        if (!io_parse_size(d->word[i], &len))
            return false;
        if (len > LENGTH_MAX || d->total + len > LENGTH_MAX) {
            printf("length cannot exceed %" PRIu64 ", given %s\n", LENGTH_MAX, d->word[i]);
            return false;
        }
        d->iov[d->iovs++].iov_len = len;
        d->total += len;
    }
    return true;
}

static bool pattern(struct data *d)
{
    d->byte = DEFAULT_PATTERN;
    if (d->pattern && (!parse_u64(d->pattern, &d->byte) || d->byte > 255)) {
        printf("%s is not a valid pattern byte\n", d->pattern);
        return false;
    }
    return true;
}

static bool parse(const struct io *io, const struct io_command *c, struct data *d, int argc, char **argv)
{
    struct err e = {{0}};

    if (!options_parse_getopt(c->options, d, argc, argv, 1, take_word, &e)) {
        fprintf(stderr, "%s: %s\n%s %s -- %s\n", io->program, e.msg, c->name, c->args, c->help);
        return false;
    }
    return lengths(d, c->name) && pattern(d);
}

static bool make_buffer(struct data *d)
{
    char *p;

    if (posix_memalign((void **)&d->buf, 4096, d->total ? d->total : 1))
        return say("out of memory");
    p = d->buf;
    for (unsigned i = 0; i < d->iovs; i++) {
        d->iov[i].iov_base = p;
        p += d->iov[i].iov_len;
    }
    return true;
}

/* --- results --- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void time_text(double sec, bool fixed, char *text, size_t n)
{
    unsigned whole = (unsigned)sec, hours = whole / 3600, minutes = whole / 60 % 60;
    double rest = sec - hours * 3600.0 - minutes * 60.0;

    if (hours || fixed)
        snprintf(text, n, "%u:%02u:%05.2f", hours, minutes, rest);
    else if (minutes)
        snprintf(text, n, "%02u:%05.2f", minutes, rest);
    else
        snprintf(text, n, "%05.2f sec", rest);
}

static void report(const struct data *d, const char *did, double sec, int ops)
{
    char size[64], rate[64], time[32];

    if (d->quiet)
        return;
    sec = sec > 0 ? sec : 1e-9;
    time_text(sec, d->parsable, time, sizeof time);
    if (d->parsable) {
        printf("%" PRIu64 ",%d,%s,%.3f,%.3f\n", d->total, ops, time, (double)d->total / sec, ops / sec);
        return;
    }
    io_size_text((double)d->total, size, sizeof size);
    io_size_text((double)d->total / sec, rate, sizeof rate);
    printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n%s, %d ops; %s (%s/sec and %.4f ops/sec)\n", did,
           d->total, d->total, d->off, size, ops, time, rate, ops / sec);
}

/* True when the command did what it says; an asynchronous one has succeeded when it was begun. */
static bool finish(struct data *d, const struct io_command *c, const char *verb, const char *did, int ret, double sec)
{
    bool async = !strncmp(c->name, "aio_", 4);

    if (ret)
        printf("%s%s failed: %s\n", async ? "aio_" : "", verb, strerror(-ret));
    else
        report(d, did, sec, 1);
    free(d->buf);
    return !ret || async;
}

static int inside(const struct io *io, const struct data *d)
{
    uint64_t size = image_size(io->img);

    return d->off > size || d->total > size - d->off ? -EIO : 0;
}

/* --- read --- */

static void dump(const struct data *d)
{
    for (uint64_t i = 0; i < d->total; i += 16) {
        printf("%08" PRIx64 ": ", d->off + i);
        for (uint64_t k = i; k < i + 16 && k < d->total; k++)
            printf(" %02x", (unsigned char)d->buf[k]);
        printf("  ");
        for (uint64_t k = i; k < i + 16 && k < d->total; k++)
            putchar(isalnum((unsigned char)d->buf[k]) ? d->buf[k] : '.');
        putchar('\n');
    }
}

static bool verify_range(struct data *d)
{
    if ((d->skip || d->verify_len) && !d->pattern)
        return say("-s and -l need -P");
    d->verify_bytes = d->total;
    if ((d->skip && !io_parse_size(d->skip, &d->verify_off)) ||
        (d->verify_len && !io_parse_size(d->verify_len, &d->verify_bytes)))
        return false;
    if (!d->verify_len && d->verify_off <= d->total)
        d->verify_bytes = d->total - d->verify_off;
    if (d->verify_off > d->total || d->verify_bytes > d->total - d->verify_off)
        return say("pattern verification range exceeds end of read data");
    return true;
}

static bool verify(const struct data *d)
{
    for (uint64_t i = 0; d->pattern && i < d->verify_bytes; i++) {
        if ((unsigned char)d->buf[d->verify_off + i] == d->byte)
            continue;
        printf("Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes\n", d->off + d->verify_off,
               d->verify_bytes);
        return false;
    }
    return true;
}

bool io_read(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct data d = {0};
    bool same = true;
    double start;
    int ret;

    if (!parse(io, c, &d, argc, argv) || !verify_range(&d) || !make_buffer(&d))
        return false;
    memset(d.buf, 0xab, d.total);
    start = now();
    ret = d.invalid ? -EINVAL : inside(io, &d);
    if (!ret && d.total)
        ret = io->img->ops->readv(io->img, d.iov, d.iovs, d.off, 0);
    start = now() - start;
    if (!ret) {
        same = verify(&d) || !strncmp(c->name, "aio_", 4);
        if (d.dump)
            dump(&d);
    }
    return finish(&d, c, "read", "read", ret, start) && same;
}

/* --- write --- */

static bool combination(const struct data *d)
{
    if (d->compressed && d->zeroes)
        return say("-b and -c or -z flags cannot be specified at the same time");
    if (d->zeroes && d->pattern)
        return say("-z and -P cannot be specified at the same time");
    if (d->fua && d->compressed)
        return say("-f and -b or -c flags cannot be specified at the same time");
    if (d->no_fallback && !d->zeroes)
        return say("-n requires -z to be specified");
    if (d->unmap && !d->zeroes)
        return say("-u requires -z to be specified");
    if (d->source && (d->pattern || d->zeroes))
        return say("Only one of -z, -P, and -s can be specified at the same time");
    return true;
}

/* The file's bytes over and over. */
static bool fill_from_file(struct data *d)
{
    FILE *f = fopen(d->source, "re");
    size_t n = f ? fread(d->buf, 1, d->total, f) : 0;

    if (f)
        fclose(f);
    else
        printf("%s: %s\n", d->source, strerror(errno));
    if (f && !n && d->total)
        printf("%s: file is empty\n", d->source);
    for (uint64_t i = n; n && i < d->total; i++)
        d->buf[i] = d->buf[i - n];
    return f && (n || !d->total);
}

static bool fill(struct data *d)
{
    if (d->zeroes)
        return true;
    if (!make_buffer(d))
        return false;
    if (d->source)
        return fill_from_file(d);
    memset(d->buf, (int)d->byte, d->total);
    return true;
}

static int write_compressed(struct io *io, struct data *d)
{
    const struct image_ops *ops = io->img->ops;
    uint64_t cluster = io->img->cluster;

    if (!ops->write_compressed || !cluster)
        return -ENOTSUP;
    if (d->off % cluster || (d->total % cluster && d->off + d->total != image_size(io->img)))
        return -EINVAL;
    for (uint64_t done = 0; done < d->total; done += cluster) {
        uint64_t len = d->total - done < cluster ? d->total - done : cluster;
        int ret = ops->write_compressed(io->img, d->buf + done, d->off + done, len);

        if (ret == -EOPNOTSUPP) /* it does not shrink */
            ret = image_pwrite(io->img, d->buf + done, d->off + done, len, 0);
        if (ret)
            return ret;
    }
    return 0;
}

static int do_write(struct io *io, struct data *d)
{
    int ret = d->invalid ? -EINVAL : io->img->read_only ? -EPERM : inside(io, d);
    bool fua = d->fua || io->fua;

    if (ret || !d->total)
        return ret;
    if (d->compressed)
        return write_compressed(io, d);
    if (!d->zeroes)
        return io->img->ops->writev(io->img, d->iov, d->iovs, d->off, fua ? IMAGE_FUA : 0);
    if (d->no_fallback && !io->img->ops->write_zeroes)
        return -ENOTSUP;
    ret = img_zero(io->img, d->off, d->total, d->unmap && !io->ignore_discard ? IMAGE_UNMAP : 0);
    return ret || !fua ? ret : io->img->ops->flush(io->img);
}

bool io_write(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct data d = {0};
    double start;
    int ret;

    if (!parse(io, c, &d, argc, argv) || !combination(&d) || !fill(&d)) {
        free(d.buf);
        return false;
    }
    if (io->img->read_only) {
        fprintf(stderr, "%s: Block node is read-only\n", io->program);
        free(d.buf);
        return false;
    }
    start = now();
    ret = do_write(io, &d);
    return finish(&d, c, "write", "wrote", ret, now() - start);
}

/* --- discard --- */

bool io_discard(struct io *io, const struct io_command *c, int argc, char **argv)
{
    struct data d = {0};
    double start;
    int ret;

    if (!parse(io, c, &d, argc, argv))
        return false;
    start = now();
    ret = io->img->read_only ? -EPERM : inside(io, &d);
    if (!ret && !io->ignore_discard && io->img->ops->discard && d.total)
        ret = io->img->ops->discard(io->img, d.off, d.total);
    return finish(&d, c, "discard", "discard", ret, now() - start);
}
