/* What the monitor shows of disks and does with them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/drive.h"
#include "frontend/machine.h"
#include "frontend/monitor.h"
#include "images/block.h"
#include "images/image.h"

static const char *const op_names[BLOCK_OPS] = {[BLOCK_READ] = "read",
                                                [BLOCK_WRITE] = "write",
                                                [BLOCK_FLUSH] = "flush",
                                                [BLOCK_DISCARD] = "discard",
                                                [BLOCK_WRITE_ZEROES] = "zeroes"};

static const char *cache_name(const struct block_stats *s)
{
    if (s->ignore_flush)
        return "unsafe";
    if (s->direct)
        return s->writethrough ? "directsync" : "none";
    return s->writethrough ? "writethrough" : "writeback";
}

static void print_chain(struct block *b, FILE *out)
{
    const struct image *img;

    block_hold(b);
    img = block_image(b);
    for (const struct image *i = img ? img->backing : NULL; i; i = i->backing)
        fprintf(out, "    over %s (%s)\n", i->path, i->ops->format);
    block_release(b);
}

static void print_limits(struct block *b, FILE *out)
{
    static const char *const names[LIMITS] = {"iops", "iops_rd", "iops_wr", "bps", "bps_rd", "bps_wr"};
    struct block_limits l;
    bool any = false;

    block_get_limits(b, &l);
    for (unsigned i = 0; i < LIMITS; i++) {
        if (!l.rate[i].avg)
            continue;
        fprintf(out, "%s%s %" PRIu64, any ? ", " : "    limits: ", names[i], l.rate[i].avg);
        if (l.rate[i].max)
            fprintf(out, " (bursts of %" PRIu64 ")", l.rate[i].max);
        any = true;
    }
    if (any)
        fputc('\n', out);
}

/* The time below which `percent` of the requests ended, in microseconds: the upper end of its bucket. */
static uint64_t percentile(const struct block_op_stats *s, unsigned percent)
{
    uint64_t sum = 0, all = 0;

    for (unsigned i = 0; i < BLOCK_BUCKETS; i++)
        all += s->bucket[i];
    for (unsigned i = 0; i < BLOCK_BUCKETS; i++) {
        sum += s->bucket[i];
        if (sum * 100 >= all * percent)
            return UINT64_C(1) << i;
    }
    return 0;
}

static void print_ops(const struct block_stats *s, FILE *out)
{
    for (unsigned i = 0; i < BLOCK_OPS; i++) {
        const struct block_op_stats *o = &s->op[i];

        if (!o->count)
            continue;
        fprintf(out, "    %-8s %" PRIu64, op_names[i], o->count);
        if (o->bytes)
            fprintf(out, " (%" PRIu64 " bytes)", o->bytes);
        fprintf(out, ", mean %" PRIu64 " us, 99%% below %" PRIu64 " us, longest %" PRIu64 " us",
                o->total_ns / o->count / 1000, percentile(o, 99), o->max_ns / 1000);
        if (o->errors)
            fprintf(out, ", %" PRIu64 " failed", o->errors);
        fputc('\n', out);
    }
}

static void print_disk(struct block *b, const char *id, FILE *out)
{
    static const char *const zeroes[] = {[ZEROES_OFF] = "off", [ZEROES_ON] = "on", [ZEROES_UNMAP] = "unmap"};
    struct block_info info;
    struct block_stats s;

    block_get_info(b, &info);
    block_get_stats(b, &s);
    fprintf(out, "%s: %s (%s%s%s)\n", id, info.path, info.format, info.read_only ? ", read-only" : "",
            s.snapshot ? ", snapshot: what is written is thrown away" : "");
    fprintf(out, "    %" PRIu64 " bytes in blocks of %" PRIu32 "\n", info.size, info.logical);
    fprintf(out, "    cache %s, aio %s, discard %s, detect-zeroes %s, rerror %s, werror %s\n", cache_name(&s),
            s.uring ? "io_uring" : "threads", s.ignore_discard ? "ignore" : "unmap", zeroes[s.detect_zeroes],
            drive_policy_name(s.rerror), drive_policy_name(s.werror));
    print_chain(b, out);
    print_limits(b, out);
    if (s.kept)
        fprintf(out, "    %u requests wait for cont after an error\n", s.kept);
}

void monitor_info_block(struct machine *m, char *args, FILE *out)
{
    const char *id, *word;
    struct block *b;
    bool found = false;

    do
        word = monitor_word(&args);
    while (word && word[0] == '-');
    for (unsigned i = 0; (b = machine_drive(m, i, &id)) != NULL; i++) {
        struct block_stats s;

        if (word && strcmp(word, id))
            continue;
        found = true;
        print_disk(b, id, out);
        block_get_stats(b, &s);
        print_ops(&s, out);
    }
    if (word && !found)
        fprintf(out, "no disk '%s'\n", word);
}

void monitor_info_blockstats(struct machine *m, char *args, FILE *out)
{
    struct block_stats s;
    const char *id;
    struct block *b;

    (void)args;
    for (unsigned i = 0; (b = machine_drive(m, i, &id)) != NULL; i++) {
        block_get_stats(b, &s);
        fprintf(out,
                "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64 " wr_operations=%" PRIu64
                " flush_operations=%" PRIu64 " rd_total_time_ns=%" PRIu64 " wr_total_time_ns=%" PRIu64
                " flush_total_time_ns=%" PRIu64 " failed_rd_operations=%" PRIu64 " failed_wr_operations=%" PRIu64 "\n",
                id, s.op[BLOCK_READ].bytes, s.op[BLOCK_WRITE].bytes, s.op[BLOCK_READ].count, s.op[BLOCK_WRITE].count,
                s.op[BLOCK_FLUSH].count, s.op[BLOCK_READ].total_ns, s.op[BLOCK_WRITE].total_ns,
                s.op[BLOCK_FLUSH].total_ns, s.op[BLOCK_READ].errors, s.op[BLOCK_WRITE].errors);
        fprintf(out,
                "    done where they were submitted %" PRIu64 ", by io_uring %" PRIu64 ", held by limits %" PRIu64
                ", zeroes detected %" PRIu64 ", in flight %u, kept %u\n",
                s.inline_done, s.by_uring, s.throttled, s.zeroes_detected, s.in_flight, s.kept);
    }
}

/* The disk that a command names first. */
static struct block *named(struct machine *m, char **args, FILE *out)
{
    const char *word = monitor_word(args);
    struct block *b = word ? machine_drive_find(m, word) : NULL;

    if (!word)
        fputs("name a disk; info block lists them\n", out);
    else if (!b)
        fprintf(out, "no disk '%s'; info block lists them\n", word);
    return b;
}

void monitor_block_resize(struct machine *m, char *args, FILE *out)
{
    struct block *b = named(m, &args, out);
    const char *word = b ? monitor_word(&args) : NULL;
    uint64_t size;
    struct err e;

    if (!b)
        return;
    if (!word || !parse_size(word, 1 << 20, &size)) /* a bare number is MiB, as in QEMU */
        fputs("needs a size such as 20G\n", out);
    else if (!block_resize(b, size, &e))
        fprintf(out, "%s\n", e.msg);
}

void monitor_block_limits(struct machine *m, char *args, FILE *out)
{
    static const enum block_limit order[LIMITS] = {LIMIT_BPS,  LIMIT_BPS_READ,  LIMIT_BPS_WRITE,
                                                   LIMIT_IOPS, LIMIT_IOPS_READ, LIMIT_IOPS_WRITE};
    struct block *b = named(m, &args, out);
    struct block_limits l = {0};
    struct drive_config d = {0};
    struct keyvals k;
    struct err e;
    const char *word;
    bool ok;

    if (!b)
        return;
    if (strchr(args, '=')) {
        word = monitor_word(&args);
        ok = kv_parse(&k, word, NULL, &e) && drive_options(&d, &k, &e) && kv_done(&k, &e);
        l = d.limits;
        kv_free(&k);
        if (!ok) {
            fprintf(out, "%s\n", e.msg);
            return;
        }
    } else {
        for (unsigned i = 0; i < LIMITS; i++) {
            word = monitor_word(&args);
            if (!word || !parse_size(word, 1, &l.rate[order[i]].avg)) {
                fputs("needs six numbers: bps bps_rd bps_wr iops iops_rd iops_wr; or key=value,...\n", out);
                return;
            }
        }
    }
    block_set_limits(b, &l);
}

void monitor_commit(struct machine *m, char *args, FILE *out)
{
    const char *word = monitor_word(&args);
    unsigned done;
    struct err e;

    if (!word)
        fputs("commit all, or one disk\n", out);
    else if (!machine_commit(m, strcmp(word, "all") ? word : NULL, &done, &e))
        fprintf(out, "%s\n", e.msg);
    else if (!done)
        fputs("nothing to commit: no disk runs with snapshot\n", out);
}
