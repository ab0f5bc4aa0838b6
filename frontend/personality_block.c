/* QEMU's options for disks: -drive, -blockdev, -hda and its kin. */
#include <jansson.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/drive.h"
#include "frontend/personality_parts.h"

static bool drive_bus(struct drive_config *d, const char *bus, struct err *e)
{
    d->bus_given = bus != NULL;
    d->bus = !bus || !strcmp(bus, "virtio") ? DRIVE_VIRTIO : !strcmp(bus, "pflash") ? DRIVE_PFLASH : DRIVE_NONE;
    if (bus && d->bus == DRIVE_NONE && strcmp(bus, "none"))
        return err_set(e, "if=%s: not on this board (none, virtio or pflash; NVMe: if=none and -device nvme)", bus);
    return true;
}

/* media=, if=, unit=, index=: where the guest finds the drive. */
static bool drive_place(struct drive_config *d, struct keyvals *k, struct err *e)
{
    const char *media = kv_get(k, "media");
    uint64_t unit = UINT64_MAX, index = UINT64_MAX;

    if (media && strcmp(media, "disk") && strcmp(media, "cdrom"))
        return err_set(e, "media=%s: expected disk or cdrom", media);
    if (media && !strcmp(media, "cdrom"))
        d->read_only = true;
    if (!drive_bus(d, kv_get(k, "if"), e) || !kv_u64(k, "index", &index, e) || !kv_u64(k, "unit", &unit, e))
        return false;
    if (unit == UINT64_MAX)
        unit = index;
    if (unit != UINT64_MAX)
        d->unit = unit < 64 ? (int)unit : 64;
    return true;
}

/* The rest of a -drive: a plain file, or options of its driver and of the layers below it. */
static bool drive_layers(struct machine_config *c, struct drive_config *d, struct keyvals *k, struct err *e)
{
    const char *format = kv_get(k, "format"), *driver = kv_get(k, "driver");
    bool more = false;

    if (!drive_format(c, d, format ? format : driver, e))
        return false;
    for (unsigned i = 0; i < k->count; i++)
        more |= !k->kv[i].used;
    if (!more)
        return d->file || err_set(e, "needs file=FILE");
    d->node = drive_tree(k, e);
    if (!d->node)
        return false;
    if (d->format)
        json_object_set_new(d->node, "driver", json_string(d->format));
    else if (!json_object_get(d->node, "driver"))
        return err_set(e, "needs format= beside '%s'", json_object_iter_key(json_object_iter(d->node)));
    if (d->file && json_object_get(d->node, "file"))
        return err_set(e, "file= and file.…= together");
    if (d->file)
        json_object_set_new(d->node, "file", json_pack("{s:s, s:s}", "driver", "file", "filename", d->file));
    d->file = NULL;
    return drive_check_node(c, d->node, e);
}

bool qemu_drive(void *ctx, const char *arg, struct err *e)
{
    struct machine_config *c = ((struct qemu_cli *)ctx)->c;
    struct drive_config *d = NULL;
    struct keyvals k;
    bool ok = kv_parse(&k, arg, NULL, e) && (d = config_drive_new(c, e)) != NULL, copy_on_read = false;

    if (ok) {
        d->id = config_str(c, kv_get(&k, "id"));
        d->file = config_str(c, kv_get(&k, "file"));
        ok = drive_place(d, &k, e) && drive_options(d, &k, e) && kv_bool(&k, "copy-on-read", &copy_on_read, e) &&
             drive_layers(c, d, &k, e) && kv_done(&k, e);
    }
    if (ok && copy_on_read)
        ok = err_set(e, "copy-on-read=on is not there");
    kv_free(&k);
    return ok;
}

static bool simple_drive(void *ctx, const char *arg, enum drive_bus bus, bool read_only, struct err *e)
{
    struct machine_config *c = ((struct qemu_cli *)ctx)->c;
    struct drive_config *d = config_drive_new(c, e);

    if (!d)
        return false;
    d->file = config_str(c, arg);
    d->bus = bus;
    d->read_only = read_only;
    return true;
}

bool qemu_hd(void *ctx, const char *arg, struct err *e) { return simple_drive(ctx, arg, DRIVE_VIRTIO, false, e); }
bool qemu_cdrom(void *ctx, const char *arg, struct err *e) { return simple_drive(ctx, arg, DRIVE_VIRTIO, true, e); }
bool qemu_pflash(void *ctx, const char *arg, struct err *e) { return simple_drive(ctx, arg, DRIVE_PFLASH, false, e); }

bool qemu_no_such_bus(void *ctx, const char *arg, struct err *e)
{
    (void)ctx;
    (void)arg;
    return err_set(e, "this board has no such drive; use -drive with if=virtio, or -device nvme");
}

/* --- -blockdev --- */

static json_t *blockdev_tree(const char *arg, struct err *e)
{
    json_error_t why;
    struct keyvals k;
    json_t *node = NULL;

    if (arg[0] == '{') {
        node = json_loads(arg, JSON_REJECT_DUPLICATES, &why);
        if (!node)
            err_set(e, "JSON: %s at character %d", why.text, why.position);
        return node;
    }
    if (kv_parse(&k, arg, "driver", e))
        node = drive_tree(&k, e);
    kv_free(&k);
    return node;
}

/* Back to a list, so that options of the node are read by the same code as those of a -drive. */
static const char *const node_options[] = {"discard", "detect-zeroes", "read-only"};

static bool blockdev_options(struct machine_config *c, struct drive_config *d, struct err *e)
{
    const json_t *cache = json_object_get(d->node, "cache");
    struct keyvals k = {0};
    bool ok;

    d->no_discard = true; /* QEMU's default for nodes */
    for (size_t i = 0; i < ARRAY_LEN(node_options) + 2; i++) {
        static const char *const cache_keys[] = {"direct", "no-flush"}, *const names[] = {"cache.direct",
                                                                                          "cache.no-flush"};
        bool is_cache = i >= ARRAY_LEN(node_options);
        const char *key = is_cache ? names[i - ARRAY_LEN(node_options)] : node_options[i];
        const json_t *v =
            is_cache ? json_object_get(cache, cache_keys[i - ARRAY_LEN(node_options)]) : json_object_get(d->node, key);

        if (v)
            k.kv[k.count++] = (struct kv){.key = key,
                                          .value = json_is_string(v) ? json_string_value(v)
                                                   : json_is_true(v) ? "on"
                                                                     : "off"};
    }
    ok = drive_options(d, &k, e);
    kv_free(&k);
    d->id = config_str(c, json_string_value(json_object_get(d->node, "node-name")));
    d->file = config_str(c, json_string_value(json_object_get(d->node, "filename"))); /* for messages */
    return ok;
}

bool qemu_blockdev(void *ctx, const char *arg, struct err *e)
{
    struct machine_config *c = ((struct qemu_cli *)ctx)->c;
    json_t *node = blockdev_tree(arg, e);
    const char *name = json_string_value(json_object_get(node, "node-name"));
    struct drive_config *d;

    if (!node)
        return false;
    if (name && config_drive_find(c, name)) {
        err_set(e, "node-name=%s: there is one already", name);
        json_decref(node);
        return false;
    }
    d = config_drive_new(c, e);
    if (!d) {
        json_decref(node);
        return false;
    }
    d->node = node;
    if (!name)
        return err_set(e, "needs node-name=NAME");
    return drive_check_node(c, node, e) && blockdev_options(c, d, e);
}
