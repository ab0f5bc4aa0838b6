/*
 * The sub-commands of guise img and their options, as tables: parser, help and completion come from them.
 * Names and letters are qemu-img's; what guise adds has a long name alone.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/img/img.h"

/* A setter keeps the argument's text; sub-commands parse it when they know what it is for. */
#define TEXT(field) OPTION_TEXT(struct img_args, field)
#define FLAG(field) OPTION_FLAG(struct img_args, field)

TEXT(format)
TEXT(format2)
TEXT(out_format)
TEXT(backing)
TEXT(backing_format)
TEXT(base)
TEXT(cache)
TEXT(source_cache)
TEXT(repair)
TEXT(snapshot)
TEXT(sparse)
TEXT(parallel)
TEXT(rate) TEXT(preallocation) TEXT(size) TEXT(aio) TEXT(start) TEXT(length) TEXT(count) TEXT(depth) TEXT(offset)
    TEXT(buffer) TEXT(step) TEXT(pattern) TEXT(flush_interval) FLAG(help) FLAG(quiet) FLAG(progress) FLAG(image_opts)
        FLAG(target_image_opts) FLAG(share) FLAG(unsafe) FLAG(backing_chain) FLAG(compress) FLAG(no_create)
            FLAG(target_is_zero) FLAG(oob_writes) FLAG(copy_range) FLAG(salvage) FLAG(shrink) FLAG(drop) FLAG(strict)
                FLAG(write) FLAG(no_drain) FLAG(native) FLAG(trust_paths)

    /* -o may be given several times. */
    static bool set_options(void *ctx, const char *arg, struct err *e)
{
    struct img_args *a = ctx;
    size_t have = a->options ? strlen(a->options) : 0;
    char *joined = realloc(a->options, have + strlen(arg) + 2);

    if (!joined)
        return err_set(e, "out of memory");
    a->options = joined;
    if (have)
        joined[have++] = ',';
    strcpy(joined + have, arg);
    return true;
}

static bool set_output(void *ctx, const char *arg, struct err *e)
{
    struct img_args *a = ctx;

    a->output = arg;
    a->json = !strcmp(arg, "json");
    return a->json || !strcmp(arg, "human") || err_set(e, "expects 'human' or 'json' not '%s'", arg);
}

static bool refuse_object(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "objects (secrets, throttle groups) are not known here; encrypted images are not supported");
}

static bool refuse_bitmaps(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "copying dirty bitmaps is not supported");
}

static bool snapshot_action(struct img_args *a, char action, const char *name, struct err *e)
{
    if (a->snapshot_action)
        return err_set(e, "only one of -l, -a, -c and -d may be given");
    a->snapshot_action = action;
    a->snapshot = name;
    return true;
}
static bool set_list(void *ctx, const char *arg, struct err *e) { return snapshot_action(ctx, 'l', arg, e); }
static bool set_apply(void *ctx, const char *arg, struct err *e) { return snapshot_action(ctx, 'a', arg, e); }
static bool set_take(void *ctx, const char *arg, struct err *e) { return snapshot_action(ctx, 'c', arg, e); }
static bool set_delete(void *ctx, const char *arg, struct err *e) { return snapshot_action(ctx, 'd', arg, e); }

#define FORMATS "raw|qcow2|vdi|vpc|vhdx|vmdk"
#define CACHES "writeback|none|writethrough|directsync|unsafe"
#define HELP                                                                                                           \
    {                                                                                                                  \
        "h|help", NULL, "print this", set_help, NULL                                                                   \
    }
#define QUIET                                                                                                          \
    {                                                                                                                  \
        "q|quiet", NULL, "print errors alone", set_quiet, NULL                                                         \
    }
#define PROGRESS                                                                                                       \
    {                                                                                                                  \
        "p|progress", NULL, "show progress also where stdout is no terminal", set_progress, NULL                       \
    }
#define FORMAT                                                                                                         \
    {                                                                                                                  \
        "f|format", "FMT", "format of FILENAME; else its header tells", set_format, FORMATS                            \
    }
#define IMAGE_OPTS                                                                                                     \
    {                                                                                                                  \
        "image-opts", NULL, "FILENAME is driver=FMT,file.filename=PATH,...", set_image_opts, NULL                      \
    }
#define SHARE                                                                                                          \
    {                                                                                                                  \
        "U|force-share", NULL, "do not lock: another process may have the image open", set_share, NULL                 \
    }
#define TRUST                                                                                                          \
    {                                                                                                                  \
        "trust-paths", NULL, "backing and data files may lie outside the image's folder", set_trust_paths, NULL        \
    }
#define OBJECT                                                                                                         \
    {                                                                                                                  \
        "object", "OBJDEF", NULL, refuse_object, NULL                                                                  \
    }
#define OUTPUT                                                                                                         \
    {                                                                                                                  \
        "output", "human|json", "how to print (default human)", set_output, "human|json"                               \
    }
#define CACHE                                                                                                          \
    {                                                                                                                  \
        "t|cache", "MODE", "cache mode (default writeback)", set_cache, CACHES                                         \
    }
#define CACHE_T                                                                                                        \
    {                                                                                                                  \
        "T|cache", "MODE", "cache mode (default writeback)", set_source_cache, CACHES                                  \
    }
#define ALWAYS HELP, QUIET, IMAGE_OPTS, TRUST, OBJECT

static const struct option_row create_rows[] = {
    {"f|format", "FMT", "format of the new image (default raw)", set_format, FORMATS},
    {"o|options", "OPTS", "options of the format, a=b,c=d; -o help lists them", set_options, NULL},
    {"b|backing", "FILE", "the new image holds differences to FILE", set_backing, NULL},
    {"F|backing-format", "FMT", "format of the backing file", set_backing_format, FORMATS},
    {"u|backing-unsafe", NULL, "do not look at the backing file", set_unsafe, NULL},
    ALWAYS,
    {0},
};

static const struct option_row info_rows[] = {
    FORMAT, {"b|backing-chain", NULL, "the images below it too", set_backing_chain, NULL}, OUTPUT, SHARE, ALWAYS, {0},
};

static const struct option_row map_rows[] = {
    FORMAT,
    {"s|start-offset", "OFFSET", "begin there", set_start, NULL},
    {"l|max-length", "LENGTH", "and look at so many bytes", set_length, NULL},
    OUTPUT,
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row check_rows[] = {
    FORMAT,  {"r|repair", "leaks|all", "free lost clusters, or correct all that can be", set_repair, "leaks|all"},
    CACHE_T, OUTPUT,
    SHARE,   ALWAYS,
    {0},
};

static const struct option_row repair_rows[] = {FORMAT, CACHE_T, OUTPUT, ALWAYS, {0}};

static const struct option_row convert_rows[] = {
    {"f|source-format", "FMT", "format of the sources; else their headers tell", set_format, FORMATS},
    {"O|target-format", "FMT", "format of the target (default raw)", set_out_format, FORMATS},
    {"o|target-options", "OPTS", "options of the target's format, a=b,c=d; -o help lists them", set_options, NULL},
    {"c|compress", NULL, "compress (qcow2, vmdk), on all cores", set_compress, NULL},
    {"B|backing", "FILE", "the target holds differences to FILE", set_backing, NULL},
    {"F|backing-format", "FMT", "format of the backing file", set_backing_format, FORMATS},
    {"n|no-create", NULL, "write into the existing target", set_no_create, NULL},
    {"target-is-zero", NULL, "the existing target (-n) holds zeroes", set_target_is_zero, NULL},
    {"S|sparse-size", "SIZE", "runs of zeroes from so many bytes on become holes (default 4k; 0: allocate all)",
     set_sparse, NULL},
    {"l|source-snapshot", "NAME", "convert that internal snapshot", set_snapshot, NULL},
    {"m|parallel", "N", "threads, 1 to 16 (default: two a core)", set_parallel, NULL},
    {"W|oob-writes", NULL, "write out of order (always so here)", set_oob_writes, NULL},
    {"C|copy-range-offloading", NULL, "let the host's file system copy or share blocks", set_copy_range, NULL},
    {"r|rate-limit", "RATE", "at most so many bytes a second", set_rate, NULL},
    {"salvage", NULL, "zeroes for what cannot be read", set_salvage, NULL},
    {"t|target-cache", "MODE", "cache mode of the target (default unsafe)", set_cache, CACHES},
    {"T|source-cache", "MODE", "cache mode of the sources (default writeback)", set_source_cache, CACHES},
    {"target-image-opts", NULL, "the target is driver=FMT,file.filename=PATH,... (with -n)", set_target_image_opts,
     NULL},
    {"bitmaps", NULL, NULL, refuse_bitmaps, NULL},
    {"skip-broken-bitmaps", NULL, NULL, refuse_bitmaps, NULL},
    PROGRESS,
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row resize_rows[] = {
    FORMAT,
    {"shrink", NULL, "allow a smaller size: what lies beyond is lost", set_shrink, NULL},
    {"preallocation", "MODE", "of what is added: off, metadata, falloc, full", set_preallocation,
     "off|metadata|falloc|full"},
    ALWAYS,
    {0},
};

static const struct option_row rebase_rows[] = {
    FORMAT,
    {"b|backing", "FILE", "the new backing file; \"\": none", set_backing, NULL},
    {"F|backing-format", "FMT", "its format", set_backing_format, FORMATS},
    {"u|backing-unsafe", NULL, "change the name alone, the content is the caller's business", set_unsafe, NULL},
    {"c|compress", NULL, "compress what is copied", set_compress, NULL},
    CACHE,
    {"T|backing-cache", "MODE", "cache mode of the backing files", set_source_cache, CACHES},
    PROGRESS,
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row commit_rows[] = {
    FORMAT,
    {"b|base", "FILE", "commit down to that image of the chain (implies -d)", set_base, NULL},
    {"d|drop", NULL, "leave FILENAME as it is afterwards", set_drop, NULL},
    {"r|rate-limit", "RATE", "at most so many bytes a second", set_rate, NULL},
    CACHE,
    PROGRESS,
    ALWAYS,
    {0},
};

static const struct option_row compact_rows[] = {
    FORMAT,
    {"c|compress", NULL, "compress", set_compress, NULL},
    {"m|parallel", "N", "threads", set_parallel, NULL},
    CACHE,
    PROGRESS,
    ALWAYS,
    {0},
};

static const struct option_row compare_rows[] = {
    {"f|a-format", "FMT", "format of FILENAME1", set_format, FORMATS},
    {"F|b-format", "FMT", "format of FILENAME2", set_format2, FORMATS},
    {"s|strict", NULL, "sizes and allocation must be alike too", set_strict, NULL},
    CACHE_T,
    PROGRESS,
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row snapshot_rows[] = {
    FORMAT,
    {"l|list", NULL, "list the snapshots (the default)", set_list, NULL},
    {"c|create", "NAME", "take one", set_take, NULL},
    {"a|apply", "NAME", "go back to it", set_apply, NULL},
    {"d|delete", "NAME", "delete it", set_delete, NULL},
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row bench_rows[] = {
    FORMAT,
    {"c|count", "N", "requests (default 75000)", set_count, NULL},
    {"d|depth", "N", "requests in flight (default 64)", set_depth, NULL},
    {"o|offset", "OFFSET", "of the first request (default 0)", set_offset, NULL},
    {"s|buffer-size", "SIZE", "of each request (default 4k)", set_buffer, NULL},
    {"S|step-size", "SIZE", "from one request to the next (default: the request's size)", set_step, NULL},
    {"w|write", NULL, "write (default: read)", set_write, NULL},
    {"pattern", "BYTE", "write that byte (default 0)", set_pattern, NULL},
    {"flush-interval", "N", "flush after every N requests", set_flush_interval, NULL},
    {"no-drain", NULL, "flush without waiting for requests in flight", set_no_drain, NULL},
    {"i|aio", "MODE", "threads, native or io_uring (default: what suits)", set_aio, "threads|native|io_uring"},
    {"n|native", NULL, "short for -i native", set_native, NULL},
    CACHE,
    SHARE,
    ALWAYS,
    {0},
};

static const struct option_row dd_rows[] = {
    FORMAT, {"O|output-format", "FMT", "format of the output (default raw)", set_out_format, FORMATS}, SHARE, ALWAYS,
    {0},
};

static const struct option_row measure_rows[] = {
    FORMAT,
    {"O|target-format", "FMT", "format of the image to be made (default raw)", set_out_format, FORMATS},
    {"o|options", "OPTS", "its options, a=b,c=d", set_options, NULL},
    {"s|size", "SIZE", "of an image of that size, instead of FILENAME", set_size, NULL},
    {"l|snapshot", "NAME", "use that internal snapshot", set_snapshot, NULL},
    OUTPUT,
    SHARE,
    ALWAYS,
    {0},
};

const struct img_command img_commands[] = {
    {"bench", "time reads or writes of an image", "[-c COUNT] [-d DEPTH] [-s SIZE] [-w] FILENAME", bench_rows,
     img_cmd_bench},
    {"check", "is the image consistent? (exit code 0, 1, 2 corrupt, 3 leaks, 63 format without check)",
     "[-f FMT] [-r leaks|all] [--output human|json] FILENAME", check_rows, img_cmd_check},
    {"commit", "write an image's differences into its backing file", "[-b BASE] [-d] FILENAME", commit_rows,
     img_cmd_commit},
    {"compact", "rewrite an image without holes, lost and zero clusters", "[-c] [-m N] FILENAME", compact_rows,
     img_cmd_compact},
    {"compare", "have two images the same content? (exit code 0 yes, 1 no, 2 and more: an error)",
     "[-f FMT] [-F FMT] [-s] FILENAME1 FILENAME2", compare_rows, img_cmd_compare},
    {"convert", "copy images into one, in another format", "[-f FMT] [-O FMT] [-o OPTS] [-c] [-n] SOURCE... TARGET",
     convert_rows, img_cmd_convert},
    {"create", "make an image", "[-f FMT] [-o OPTS] [-b BACKING [-F FMT]] FILENAME [SIZE]", create_rows,
     img_cmd_create},
    {"dd", "copy a part of an image", "[-f FMT] [-O FMT] [bs=SIZE] [count=N] [skip=N] if=INPUT of=OUTPUT", dd_rows,
     img_cmd_dd},
    {"info", "what an image is", "[-f FMT] [--backing-chain] [--output human|json] FILENAME", info_rows, img_cmd_info},
    {"map", "which parts are data, zeroes or holes, and where", "[-f FMT] [--output human|json] FILENAME", map_rows,
     img_cmd_map},
    {"measure", "how large a file a new image would need",
     "[-O FMT] [-o OPTS] [--output human|json] --size SIZE | FILENAME", measure_rows, img_cmd_measure},
    {"rebase", "give an image another backing file", "-b BACKING [-F FMT] [-u] FILENAME", rebase_rows, img_cmd_rebase},
    {"repair", "check, and correct all that can be", "[-f FMT] FILENAME", repair_rows, img_cmd_repair},
    {"resize", "change the size of an image", "[-f FMT] [--shrink] [--preallocation MODE] FILENAME [+|-]SIZE",
     resize_rows, img_cmd_resize},
    {"snapshot", "list, take, apply or delete internal snapshots", "[-l | -a NAME | -c NAME | -d NAME] FILENAME",
     snapshot_rows, img_cmd_snapshot},
    {0},
};
