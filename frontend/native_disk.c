/* `--disk` of guise run: a file or a list of files, with options of the image, of the host's side and of the device. */
#include "frontend/native_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/drive.h"

/* Keys that end a list of images (stripe:chunk=64k,a,b has keys of its own). */
static const char *const keys[] = {
    "bus",      "serial", "format", "partition", "offset",   "size",    "cache",         "aio",        "discard",
    "ro",       "queues", "allow",  "snapshot",  "readonly", "rerror",  "detect-zeroes", "werror",     "read-only",
    "on-error", "bps",    "iops",   "bps_rd",    "bps_wr",   "iops_rd", "iops_wr",       "block-size", "throttling"};

static bool is_key(const char *item)
{
    size_t n = strcspn(item, "=,._-"), whole = strcspn(item, "=,");

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if ((strlen(keys[i]) == whole || strlen(keys[i]) == n) && !strncmp(item, keys[i], strlen(keys[i])))
            return true;
    return false;
}

static bool is_list(const char *text)
{
    return !strncmp(text, "concat:", 7) || !strncmp(text, "stripe:", 7) || !strncmp(text, "mirror:", 7);
}

/* How much of text is the list of images: up to the first item that is an option of the disk. */
static size_t list_length(const char *text)
{
    unsigned depth = 0;

    for (size_t i = 0; text[i]; i++) {
        depth += text[i] == '{';
        depth -= text[i] == '}' && depth;
        if (text[i] != ',' || depth)
            continue;
        if (text[i + 1] == ',')
            i++;
        else if (is_key(text + i + 1))
            return i;
    }
    return strlen(text);
}

/* text as a list of keys, with the images in *file. */
static bool split(struct machine_config *c, const char *text, const char **file, struct keyvals *k, struct err *e)
{
    size_t n = is_list(text) ? list_length(text) : 0;
    char *list;

    if (!n) {
        if (!kv_parse(k, text, "file", e))
            return false;
        *file = config_str(c, kv_get(k, "file"));
        return *file || err_set(e, "needs a file");
    }
    list = strndup(text, n);
    if (!list)
        return err_set(e, "out of memory");
    *file = config_str(c, list);
    free(list);
    return kv_parse(k, text + n + (text[n] == ','), NULL, e);
}

static bool image_options(struct machine_config *c, struct drive_config *d, struct keyvals *k, struct err *e)
{
    uint64_t partition = 0;
    bool ro = false;

    d->allow = config_str(c, kv_get(k, "allow"));
    if (!drive_format(c, d, kv_get(k, "format"), e) || !kv_size(k, "offset", &d->offset, e) || !kv_size(k, "size", &d->length, e) ||
        !kv_u64(k, "partition", &partition, e) || !kv_bool(k, "ro", &ro, e) || !drive_options(d, k, e))
        return false;
    if (partition > 128 || (kv_get(k, "partition") && !partition))
        return err_set(e, "partition=%s: expected 1 to 128", kv_get(k, "partition"));
    if (partition && (d->offset || d->length))
        return err_set(e, "partition= and offset= or size= together");
    d->partition = (unsigned)partition;
    d->read_only |= ro;
    return true;
}

/* on-error=stop|report|ignore|enospc: both directions at once. */
static bool on_error(struct drive_config *d, struct keyvals *k, struct err *e)
{
    static const enum block_policy all[] = {POLICY_REPORT, POLICY_IGNORE, POLICY_STOP, POLICY_ENOSPC};
    const char *text = kv_get(k, "on-error");

    for (size_t i = 0; text && i < ARRAY_LEN(all); i++) {
        if (strcmp(text, drive_policy_name(all[i])))
            continue;
        d->werror = all[i];
        d->rerror = all[i] == POLICY_ENOSPC ? POLICY_REPORT : all[i];
        return true;
    }
    return !text || err_set(e, "on-error=%s: expected stop, report, ignore or enospc", text);
}

static bool add_device(struct machine_config *c, const char *id, struct keyvals *k, struct err *e)
{
    static const struct {
        const char *bus, *driver, *queues;
    } buses[] = {{"pci", "virtio-blk-pci", "num-queues"},
                 {"virtio", "virtio-blk-pci", "num-queues"},
                 {"mmio", "virtio-blk-device", "num-queues"},
                 {"nvme", "nvme", "max_ioqpairs"}};
    const char *bus = kv_get(k, "bus"), *serial = kv_get(k, "serial");
    uint64_t queues = 0, size = 0;
    char spec[256];
    int n;

    if (!kv_u64(k, "queues", &queues, e) || !kv_u64(k, "block-size", &size, e) || !kv_done(k, e))
        return false;
    if (serial && (strlen(serial) > 20 || strpbrk(serial, ",=")))
        return err_set(e, "serial=%s: at most 20 characters, no comma", serial);
    if (!bus)
        bus = "pci";
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        if (strcmp(bus, buses[i].bus))
            continue;
        n = snprintf(spec, sizeof spec, "%s,drive=%s,serial=%s", buses[i].driver, id, serial ? serial : id);
        if (queues)
            n += snprintf(spec + n, sizeof spec - (size_t)n, ",%s=%u", buses[i].queues, (unsigned)queues);
        if (size)
            snprintf(spec + n, sizeof spec - (size_t)n, ",logical_block_size=%u", (unsigned)size);
        return config_add_device(c, spec, e);
    }
    return err_set(e, "bus=%s: expected pci, mmio or nvme", bus);
}

bool native_disk(struct machine_config *c, const char *text, struct err *e)
{
    struct drive_config *d = config_drive_new(c, e);
    struct keyvals k = {0};
    char id[16];
    bool ok;

    if (!d)
        return false;
    snprintf(id, sizeof id, "disk%u", c->drives - 1);
    d->id = config_str(c, id);
    ok =
        split(c, text, &d->file, &k, e) && image_options(c, d, &k, e) && on_error(d, &k, e) && add_device(c, id, &k, e);
    kv_free(&k);
    return ok;
}
