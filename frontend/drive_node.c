/* Trees of block nodes: from key=value lists, checked, and opened. See drive.h. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/drive.h"
#include "images/image.h"

enum { DEPTH_MAX = 32, PATH_LEN = 4096 };

/* --- key=value to tree --- */

static bool put(json_t *root, const char *key, const char *value)
{
    const char *dot = strchr(key, '.');
    json_t *child;
    char name[64];

    if (!dot)
        return !json_object_set_new(root, key, json_string(value));
    snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
    child = json_object_get(root, name);
    if (!json_is_object(child)) {
        child = json_object();
        if (json_object_set_new(root, name, child))
            return false;
    }
    return put(child, dot + 1, value);
}

json_t *drive_tree(struct keyvals *k, struct err *e)
{
    json_t *root = json_object();

    for (unsigned i = 0; root && i < k->count; i++) {
        if (k->kv[i].used)
            continue;
        k->kv[i].used = true;
        if (!put(root, k->kv[i].key, k->kv[i].value)) {
            err_set(e, "%s: not a text", k->kv[i].key);
            json_decref(root);
            return NULL;
        }
    }
    if (!root)
        err_set(e, "out of memory");
    return root;
}

/* --- values: as JSON has them, or texts --- */

static const char *text_of(const json_t *node, const char *key)
{
    return json_string_value(json_object_get(node, key));
}

static bool flag_of(const json_t *node, const char *key, bool *val, struct err *e)
{
    const json_t *v = json_object_get(node, key);

    if (!v)
        return true;
    if (json_is_boolean(v)) {
        *val = json_is_true(v);
        return true;
    }
    if (json_is_string(v) && (!strcmp(json_string_value(v), "auto") || parse_bool(json_string_value(v), val)))
        return true;
    return err_set(e, "%s: expected on or off", key);
}

static bool number_of(const json_t *node, const char *key, uint64_t *val, struct err *e)
{
    const json_t *v = json_object_get(node, key);

    if (!v)
        return true;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *val = (uint64_t)json_integer_value(v);
        return true;
    }
    if (json_is_string(v) && parse_size(json_string_value(v), 1, val))
        return true;
    return err_set(e, "%s: expected a number", key);
}

/* --- checks --- */

/* What each kind of node takes, besides "driver" and "node-name". A '!' marks what has one value here: off. */
static const char any_keys[] = "read-only auto-read-only discard detect-zeroes cache !force-share";
static const char file_keys[] = "filename aio locking !drop-cache";
static const char nbd_keys[] = "server export host port path reconnect-delay open-timeout";
static const char raw_keys[] = "file offset size";
static const char format_keys[] = "file backing lazy-refcounts pass-discard-request pass-discard-snapshot "
                                  "pass-discard-other overlap-check cache-size l2-cache-size l2-cache-entry-size "
                                  "refcount-cache-size cache-clean-interval subformat";

static bool listed(const char *list, const char *key, bool *must_be_off)
{
    size_t n = strlen(key);

    for (const char *s = list; *s; s += *s == ' ') {
        size_t len = strcspn(s, " ");

        *must_be_off = *s == '!';
        if (len - *must_be_off == n && !strncmp(s + *must_be_off, key, n))
            return true;
        s += len;
    }
    return false;
}

static const char *keys_of(const char *driver)
{
    const struct image_ops *ops;

    if (!strcmp(driver, "file") || !strcmp(driver, "host_device"))
        return file_keys;
    if (!strcmp(driver, "raw"))
        return raw_keys;
    ops = image_format(driver);
    if (!strcmp(driver, "nbd") && ops)
        return nbd_keys;
    return ops && !ops->protocol ? format_keys : NULL;
}

static bool check_keys(const json_t *node, const char *driver, struct err *e)
{
    const char *keys = keys_of(driver), *key;
    const json_t *v;

    if (!keys)
        return err_set(e, "driver=%s: not there (file, host_device, raw and the formats of guise img)", driver);
    json_object_foreach((json_t *)(uintptr_t)node, key, v)
    {
        bool off = false, on = false;

        if (!strcmp(key, "driver") || !strcmp(key, "node-name"))
            continue;
        if (!listed(any_keys, key, &off) && !listed(keys, key, &off))
            return err_set(e, "%s has no property '%s'", driver, key);
        if (off && (!flag_of(node, key, &on, e) || on))
            return err_set(e, "%s: %s=on is not there", driver, key);
    }
    return true;
}

static bool check(struct machine_config *c, json_t *node, unsigned depth, struct err *e);

/* A child is a node itself, or the name of one that nothing else uses. */
static bool check_child(struct machine_config *c, json_t *node, const char *key, unsigned depth, struct err *e)
{
    json_t *child = json_object_get(node, key);
    struct drive_config *d;

    if (!child || json_is_null(child))
        return true;
    if (json_is_object(child))
        return check(c, child, depth + 1, e) || err_prefix(e, "%s", key);
    if (!json_is_string(child))
        return err_set(e, "%s: expected a node or the name of one", key);
    if (!*json_string_value(child) && !strcmp(key, "backing")) /* backing="" or backing=null: none */
        return true;
    d = config_drive_find(c, json_string_value(child));
    if (!d || !d->node)
        return err_set(e, "%s=%s: no such node before it", key, json_string_value(child));
    if (d->layer)
        return err_set(e, "%s=%s: the node is in use already", key, json_string_value(child));
    d->layer = true;
    return true;
}

static bool check(struct machine_config *c, json_t *node, unsigned depth, struct err *e)
{
    const char *driver = text_of(node, "driver"), *keys;
    bool protocol;

    if (depth > DEPTH_MAX)
        return err_set(e, "nodes are nested too deep");
    if (!driver && text_of(node, "filename")) { /* file.filename=X alone */
        driver = "file";
        json_object_set_new(node, "driver", json_string(driver));
    }
    if (!driver)
        return err_set(e, "needs driver=DRIVER");
    if (!check_keys(node, driver, e))
        return false;
    keys = keys_of(driver);
    protocol = keys == file_keys || keys == nbd_keys;
    if (keys == file_keys && !text_of(node, "filename"))
        return err_set(e, "driver=%s needs filename=FILE", driver);
    if (!protocol && !json_object_get(node, "file"))
        return err_set(e, "driver=%s needs file=NODE or file.filename=FILE", driver);
    return protocol || (check_child(c, node, "file", depth, e) && check_child(c, node, "backing", depth, e));
}

bool drive_check_node(struct machine_config *c, json_t *node, struct err *e) { return check(c, node, 0, e); }

/* --- opening --- */

struct opening {
    const struct machine_config *c;
    bool read_only, direct;
};

static struct image *open_node(const struct opening *up, json_t *node, struct err *e);

static json_t *child_of(const struct machine_config *c, const json_t *node, const char *key)
{
    json_t *child = json_object_get(node, key);

    if (!json_is_string(child))
        return json_is_object(child) ? child : NULL;
    for (unsigned i = 0; i < c->drives; i++)
        if (c->drive[i].id && !strcmp(c->drive[i].id, json_string_value(child)))
            return c->drive[i].node;
    return NULL;
}

/* nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH */
static void nbd_name(const json_t *node, char *out, size_t size)
{
    const json_t *server = json_object_get(node, "server"), *at = server ? server : node;
    const char *export = text_of(node, "export"), *path = text_of(at, "path"), *host = text_of(at, "host"),
               *port = text_of(at, "port");

    if (path)
        snprintf(out, size, "nbd+unix:///%s?socket=%s", export ? export : "", path);
    else
        snprintf(out, size, "nbd://%s:%s/%s", host ? host : "localhost", port ? port : "10809", export ? export : "");
}

static struct image *open_protocol(const struct opening *o, const json_t *node, const char *driver, struct err *e)
{
    struct image_options how = {.format = "file", .read_only = o->read_only, .direct = o->direct};
    char name[PATH_LEN];

    if (strcmp(driver, "nbd"))
        return image_open(text_of(node, "filename"), &how, e);
    how.format = "nbd";
    nbd_name(node, name, sizeof name);
    return image_open(name, &how, e);
}

static struct image *open_format(const struct opening *o, json_t *node, const char *driver, struct err *e)
{
    json_t *backing = json_object_get(node, "backing"), *below = child_of(o->c, node, "backing");
    struct image_options how = {
        .format = driver, .read_only = o->read_only, .direct = o->direct, .no_backing = backing != NULL};
    struct opening base = {o->c, true, o->direct};
    struct image *img;

    if (!number_of(node, "offset", &how.offset, e) || !number_of(node, "size", &how.length, e))
        return NULL;
    how.file = open_node(o, child_of(o->c, node, "file"), e);
    if (!how.file)
        return NULL;
    img = image_open(how.file->path, &how, e);
    if (!img || !below)
        return img;
    img->backing = open_node(&base, below, e);
    if (img->backing)
        return img;
    image_close(img);
    return NULL;
}

static struct image *open_node(const struct opening *up, json_t *node, struct err *e)
{
    const char *driver = text_of(node, "driver");
    struct opening o = *up;

    if (!flag_of(node, "read-only", &o.read_only, e) ||
        !flag_of(json_object_get(node, "cache"), "direct", &o.direct, e))
        return NULL;
    o.read_only |= up->read_only;
    if (keys_of(driver) == file_keys || keys_of(driver) == nbd_keys)
        return open_protocol(&o, node, driver, e);
    return open_format(&o, node, driver, e);
}

struct image *drive_open_node(const struct machine_config *c, json_t *node, bool read_only, bool direct, struct err *e)
{
    const char *driver = text_of(node, "driver");
    struct opening o = {c, read_only, direct};
    struct image *img = open_node(&o, node, e), *raw;

    if (!img || (keys_of(driver) != file_keys && keys_of(driver) != nbd_keys))
        return img;
    raw = image_open(img->path, /* a disk has whole sectors */
                     &(struct image_options){.format = "raw", .read_only = img->read_only, .file = img}, e);
    return raw;
}
