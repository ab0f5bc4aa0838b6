/* Options of disks, and opening them. See drive.h. */
#include "frontend/drive.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bits.h"
#include "images/image.h"

/* --- options --- */

struct word {
    const char *name;
    int value;
};

static bool pick(struct keyvals *k, const char *key, const struct word *words, int *val, struct err *e)
{
    const char *text = kv_get(k, key);
    char known[160] = "";

    if (!text)
        return true;
    for (const struct word *w = words; w->name; w++) {
        if (!strcmp(w->name, text)) {
            *val = w->value;
            return true;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", *known ? ", " : "", w->name);
    }
    return err_set(e, "%s=%s: expected one of %s", key, text, known);
}

const char *drive_policy_name(enum block_policy p)
{
    static const char *const names[] = {
        [POLICY_REPORT] = "report", [POLICY_IGNORE] = "ignore", [POLICY_STOP] = "stop", [POLICY_ENOSPC] = "enospc"};

    return names[p];
}

static bool policies(struct drive_config *d, struct keyvals *k, struct err *e)
{
    static const struct word read[] = {
        {"report", POLICY_REPORT}, {"ignore", POLICY_IGNORE}, {"stop", POLICY_STOP}, {0}};
    static const struct word write[] = {
        {"enospc", POLICY_ENOSPC}, {"report", POLICY_REPORT}, {"ignore", POLICY_IGNORE}, {"stop", POLICY_STOP}, {0}};
    int rerror = d->rerror, werror = d->werror;
    bool ok = pick(k, "rerror", read, &rerror, e) && pick(k, "werror", write, &werror, e);

    d->rerror = (enum block_policy)rerror;
    d->werror = (enum block_policy)werror;
    return ok;
}

static bool cache(struct drive_config *d, struct keyvals *k, struct err *e)
{
    const char *name = kv_get(k, "cache");
    struct block_options o = {0};
    bool writeback = true;

    if (name) {
        if (!block_cache_mode(&o, name))
            return err_set(e, "cache=%s: expected writeback, none, writethrough, directsync or unsafe", name);
        d->direct = o.direct;
        d->writethrough = o.writethrough;
        d->ignore_flush = o.ignore_flush;
    }
    if (!kv_bool(k, "cache.direct", &d->direct, e) || !kv_bool(k, "cache.no-flush", &d->ignore_flush, e) ||
        !kv_bool(k, "cache.writeback", &writeback, e))
        return false;
    d->writethrough |= !writeback;
    return true;
}

static bool host_side(struct drive_config *d, struct keyvals *k, struct err *e)
{
    static const struct word aio[] = {
        {"threads", AIO_THREADS}, {"native", AIO_AUTO}, {"io_uring", AIO_URING}, {"auto", AIO_AUTO}, {0}};
    static const struct word zeroes[] = {{"off", ZEROES_OFF}, {"on", ZEROES_ON}, {"unmap", ZEROES_UNMAP}, {0}};
    static const struct word discard[] = {{"unmap", false}, {"on", false}, {"ignore", true}, {"off", true}, {0}};
    int how = d->aio, detect = d->detect_zeroes, ignore = d->no_discard;
    bool ok = pick(k, "aio", aio, &how, e) && pick(k, "detect-zeroes", zeroes, &detect, e) &&
              pick(k, "discard", discard, &ignore, e);

    d->aio = (enum block_aio)how;
    d->detect_zeroes = (enum block_zeroes)detect;
    d->no_discard = ignore;
    return ok;
}

/* A number of the limits under either of its names. */
static bool limit(struct keyvals *k, const char *group, const char *old, const char *new, uint64_t *val, bool *any,
                  struct err *e)
{
    char key[64];
    const char *text;

    text = kv_get(k, old);
    snprintf(key, sizeof key, "%s%s", group, new);
    if (kv_get(k, key))
        text = kv_get(k, key);
    if (!text)
        return true;
    *any = true;
    return parse_size(text, 1, val) || err_set(e, "%s=%s: expected a number", old, text);
}

static bool limits(struct drive_config *d, struct keyvals *k, struct err *e)
{
    static const char *const old[LIMITS] = {"iops", "iops_rd", "iops_wr", "bps", "bps_rd", "bps_wr"};
    static const char *const new[LIMITS] = {"iops-total", "iops-read", "iops-write",
                                            "bps-total",  "bps-read",  "bps-write"};

    for (unsigned i = 0; i < LIMITS; i++) {
        struct block_rate *r = &d->limits.rate[i];
        char old_max[32], new_max[32], old_len[40], new_len[40];
        uint64_t seconds = r->max_seconds;

        snprintf(old_max, sizeof old_max, "%s_max", old[i]);
        snprintf(new_max, sizeof new_max, "%s-max", new[i]);
        snprintf(old_len, sizeof old_len, "%s_max_length", old[i]);
        snprintf(new_len, sizeof new_len, "%s-max-length", new[i]);
        if (!limit(k, "throttling.", old[i], new[i], &r->avg, &d->limited, e) ||
            !limit(k, "throttling.", old_max, new_max, &r->max, &d->limited, e) ||
            !limit(k, "throttling.", old_len, new_len, &seconds, &d->limited, e))
            return false;
        r->max_seconds = seconds > 3600 ? 3600 : (unsigned)seconds;
    }
    if (kv_get(k, "throttling.group") || kv_get(k, "group"))
        return err_set(e, "throttling.group: groups of drives with one limit are not there; give each drive its own");
    return limit(k, "throttling.", "iops_size", "iops-size", &d->limits.iops_size, &d->limited, e);
}

bool drive_format(struct machine_config *c, struct drive_config *d, const char *format, struct err *e)
{
    const struct image_ops *ops = format ? image_format(format) : NULL;

    d->format = config_str(c, format);
    if (!format || (ops && !ops->protocol))
        return true;
    return err_set(e, "format=%s: not known; guise img --help lists the formats", format);
}

bool drive_options(struct drive_config *d, struct keyvals *k, struct err *e)
{
    return policies(d, k, e) && cache(d, k, e) && host_side(d, k, e) && limits(d, k, e) &&
           kv_bool(k, "readonly", &d->read_only, e) && kv_bool(k, "read-only", &d->read_only, e) &&
           kv_bool(k, "snapshot", &d->snapshot, e);
}

/* --- opening --- */

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);

    return n > k && !strcasecmp(path + n - k, end);
}

const char *drive_guess_format(const char *path, struct err *e)
{
    static const struct {
        const char *end, *format;
    } names[] = {{".qcow2", "qcow2"}, {".qcow", "qcow2"}, {".vdi", "vdi"}, {".vmdk", "vmdk"}, {".vhdx", "vhdx"},
                 {".vhd", "vpc"},     {".vpc", "vpc"},    {".gz", "gzip"}, {".zst", "zstd"},  {".xz", "xz"}};
    const char *seen = image_probe_path(path, e), *named = NULL;

    if (!seen)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (ends_with(path, names[i].end))
            named = names[i].format;
    if (!strcmp(seen, "raw") && !named)
        return seen;
    if (named && !strcmp(seen, named) && image_format(seen))
        return seen;
    if (named && strcmp(seen, named))
        err_set(e, "disk image '%s' has the name of a %s file and looks like %s; name its format with format=", path,
                named, seen);
    else if (image_format(seen))
        err_set(e,
                "disk image '%s' looks like %s, which a guest may have written; name its format with format=%s or raw",
                path, seen, seen);
    else
        err_set(e, "disk image '%s' looks like %s, which is not known; format=raw takes it byte for byte", path, seen);
    return NULL;
}

/* A list of images or an address: no plain path. */
static bool is_spec(const char *file)
{
    static const char *const lists[] = {"concat:", "stripe:", "mirror:", "nbd:", "nbd+unix:"};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (!strncmp(file, lists[i], strlen(lists[i])))
            return true;
    return strchr(file, ';') != NULL;
}

struct block *drive_open(const struct machine_config *c, const struct drive_config *d, struct clock *clock,
                         struct err *e)
{
    const char *allowed[2] = {d->allow, NULL};
    struct image_options how = {
        .offset = d->offset, .length = d->length, .partition = d->partition, .allowed = allowed};
    struct block_options o = {
        .path = d->file,
        .format = d->format,
        .read_only = d->read_only,
        .snapshot = d->snapshot || (c->snapshot && !d->read_only),
        .writethrough = d->writethrough,
        .ignore_discard = d->no_discard,
        .ignore_flush = d->ignore_flush,
        .direct = d->direct,
        .aio = d->aio,
        .detect_zeroes = d->detect_zeroes,
        .rerror = d->rerror,
        .werror = d->werror,
        .limits = d->limited ? &d->limits : NULL,
        .image = &how,
        .clock = clock,
    };

    if (d->node) {
        o.opened = drive_open_node(c, d->node, d->read_only || o.snapshot, d->direct, e);
        if (!o.opened)
            return NULL;
        o.path = NULL;
    } else if (!d->format && !is_spec(d->file) && !(how.offset || how.length || how.partition)) {
        o.format = drive_guess_format(d->file, e);
        if (!o.format)
            return NULL;
    }
    return block_open(&o, e);
}
