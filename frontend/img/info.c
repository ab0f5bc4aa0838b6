/* guise img info: what an image is, as JSON; the text is made from the JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "frontend/img/img.h"

enum { CHAIN_MAX = 64 };

static void set_int(json_t *j, const char *key, uint64_t v)
{
    json_object_set_new(j, key, json_integer((json_int_t)v));
}

/* Bytes of the host's disk; false: not a file of this host. */
static bool host_bytes(const char *path, uint64_t *bytes)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    *bytes = (uint64_t)st.st_blocks * 512;
    return true;
}

static json_t *snapshots_json(struct image *img)
{
    struct image_snapshot *s = NULL;
    int n = img->ops->snapshot_list ? img->ops->snapshot_list(img, &s) : 0;
    json_t *list = n > 0 ? json_array() : NULL;

    for (int i = 0; list && i < n; i++) {
        json_t *j = json_object();

        if (s[i].icount != UINT64_MAX)
            set_int(j, "icount", s[i].icount);
        set_int(j, "vm-clock-nsec", s[i].vm_clock_ns % 1000000000);
        json_object_set_new(j, "name", json_string(s[i].name));
        set_int(j, "date-sec", s[i].date_sec);
        set_int(j, "date-nsec", s[i].date_nsec);
        set_int(j, "vm-clock-sec", s[i].vm_clock_ns / 1000000000);
        json_object_set_new(j, "id", json_string(s[i].id));
        set_int(j, "vm-state-size", s[i].vm_state_size);
        json_array_append_new(list, j);
    }
    free(s);
    return list;
}

static json_t *file_json(struct image *file)
{
    json_t *j = json_object(), *child = json_object();
    uint64_t bytes;

    json_object_set_new(j, "children", json_array());
    set_int(j, "virtual-size", align_up(image_size(file), 512)); /* qemu-img counts sectors */
    json_object_set_new(j, "filename", json_string(file->path));
    json_object_set_new(j, "format", json_string(file->ops->format));
    if (host_bytes(file->path, &bytes))
        set_int(j, "actual-size", bytes);
    json_object_set_new(j, "format-specific", json_pack("{s:s,s:{}}", "type", file->ops->format, "data"));
    json_object_set_new(j, "dirty-flag", json_false());
    json_object_set_new(child, "name", json_string("file"));
    json_object_set_new(child, "info", j);
    return json_pack("[o]", child);
}

static void add_backing(json_t *j, struct image *img)
{
    const char *path, *format;
    char *full;

    if (!img->ops->backing_name || !img->ops->backing_name(img, &path, &format))
        return;
    if (format && *format)
        json_object_set_new(j, "backing-filename-format", json_string(format));
    json_object_set_new(j, "backing-filename", json_string(path));
    full = image_resolve(img->path, path);
    json_object_set_new(j, "full-backing-filename", json_string(full ? full : path));
    free(full);
}

static json_t *image_json(struct image *img, const char *name)
{
    json_t *j = json_object(), *details = img->ops->details ? img->ops->details(img) : NULL, *snapshots;
    uint64_t bytes;

    if (img->file)
        json_object_set_new(j, "children", file_json(img->file));
    add_backing(j, img);
    snapshots = snapshots_json(img);
    if (snapshots)
        json_object_set_new(j, "snapshots", snapshots);
    set_int(j, "virtual-size", image_size(img));
    json_object_set_new(j, "filename", json_string(name));
    if (img->cluster)
        set_int(j, "cluster-size", img->cluster);
    json_object_set_new(j, "format", json_string(img->ops->format));
    if (host_bytes(img->path, &bytes))
        set_int(j, "actual-size", bytes);
    if (details)
        json_object_set_new(j, "format-specific", details);
    json_object_set_new(j, "dirty-flag", json_boolean(img->dirty));
    return j;
}

/* --- text --- */

static void print_value(const json_t *v, unsigned indent);

static void print_members(const json_t *v, unsigned indent)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        { /* reads only */
            bool nested = json_is_object(item) || json_is_array(item);

            printf("%*s", (int)indent * 4, "");
            for (const char *p = key; *p; p++)
                putchar(*p == '-' ? ' ' : *p);
            printf(":%s", nested ? "\n" : " ");
            print_value(item, indent + 1);
        }
    } else {
        json_array_foreach(v, i, item)
        {
            bool nested = json_is_object(item) || json_is_array(item);

            printf("%*s[%zu]:%s", (int)indent * 4, "", i, nested ? "\n" : " ");
            print_value(item, indent + 1);
        }
    }
}

static void print_value(const json_t *v, unsigned indent)
{
    if (json_is_object(v) || json_is_array(v))
        print_members(v, indent);
    else if (json_is_string(v))
        puts(json_string_value(v));
    else if (json_is_boolean(v))
        puts(json_is_true(v) ? "true" : "false");
    else if (json_is_integer(v))
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
    else
        puts("null");
}

void img_print_details(const json_t *details, unsigned indent)
{
    const json_t *data = json_object_get(details, "data");

    if (!data || !json_object_size(data))
        return;
    printf("%*sFormat specific information:\n", (int)indent * 4, "");
    print_members(data, indent + 1);
}

static const char *text_of(const json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }

static void print_disk_size(const json_t *j, const char *indent)
{
    const json_t *v = json_object_get(j, "actual-size");
    char text[32] = "unavailable";

    if (v)
        img_size_text((uint64_t)json_integer_value(v), text, sizeof text);
    printf("%sdisk size: %s\n", indent, text);
}

static void print_backing(const json_t *j)
{
    const char *name = text_of(j, "backing-filename"), *full = text_of(j, "full-backing-filename");
    const char *format = text_of(j, "backing-filename-format");

    if (!name)
        return;
    printf("backing file: %s", name);
    if (full && strcmp(full, name))
        printf(" (actual path: %s)", full);
    putchar('\n');
    if (format)
        printf("backing file format: %s\n", format);
}

static void print_snapshots_of(const json_t *j)
{
    const json_t *list = json_object_get(j, "snapshots");
    size_t n = json_array_size(list);
    struct image_snapshot *s = n ? calloc(n, sizeof *s) : NULL;

    for (size_t i = 0; s && i < n; i++) {
        const json_t *one = json_array_get(list, i), *icount = json_object_get(one, "icount");

        snprintf(s[i].id, sizeof s[i].id, "%s", text_of(one, "id"));
        snprintf(s[i].name, sizeof s[i].name, "%s", text_of(one, "name"));
        s[i].vm_state_size = (uint64_t)json_integer_value(json_object_get(one, "vm-state-size"));
        s[i].date_sec = (uint64_t)json_integer_value(json_object_get(one, "date-sec"));
        s[i].vm_clock_ns = (uint64_t)json_integer_value(json_object_get(one, "vm-clock-sec")) * 1000000000 +
                           (uint64_t)json_integer_value(json_object_get(one, "vm-clock-nsec"));
        s[i].icount = icount ? (uint64_t)json_integer_value(icount) : UINT64_MAX;
    }
    if (s)
        img_print_snapshots(s, (int)n);
    free(s);
}

static void print_children(const json_t *j)
{
    const json_t *child;
    size_t i;

    json_array_foreach(json_object_get(j, "children"), i, child)
    {
        const json_t *info = json_object_get(child, "info");
        uint64_t size = (uint64_t)json_integer_value(json_object_get(info, "virtual-size"));
        char text[32];

        img_size_text(size, text, sizeof text);
        printf("Child node '/%s':\n    filename: %s\n    protocol type: %s\n    file length: %s (%" PRIu64 " bytes)\n",
               text_of(child, "name"), text_of(info, "filename"), text_of(info, "format"), text, size);
        print_disk_size(info, "    ");
    }
}

static void print_image(const json_t *j)
{
    uint64_t size = (uint64_t)json_integer_value(json_object_get(j, "virtual-size"));
    const json_t *cluster = json_object_get(j, "cluster-size");
    char text[32];

    img_size_text(size, text, sizeof text);
    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\n", text_of(j, "filename"),
           text_of(j, "format"), text, size);
    print_disk_size(j, "");
    if (cluster)
        printf("cluster_size: %" JSON_INTEGER_FORMAT "\n", json_integer_value(cluster));
    if (json_is_true(json_object_get(j, "dirty-flag")))
        puts("cleanly shut down: no");
    print_backing(j);
    print_snapshots_of(j);
    img_print_details(json_object_get(j, "format-specific"), 0);
    print_children(j);
}

/* --- the command --- */

/* The image named and those below it, without opening more than one at a time: a chain that loops ends in a message. */
static bool collect(const struct img_args *a, json_t *list, struct err *e)
{
    struct img_how how = {.format = a->format, .image_opts = a->image_opts, .no_backing = true, .no_repair = true};
    char *name = strdup(a->file[0]), *format = NULL;
    bool more = true, ok = true;

    for (unsigned n = 0; ok && more && name; n++) {
        struct image *img = img_open_named(a, name, &how, e);
        json_t *j;
        const char *next, *next_format;

        if (!img || n == CHAIN_MAX) {
            image_close(img);
            ok = img ? err_set(e, "Backing file '%s' creates an infinite loop.", name) : false;
            break;
        }
        j = image_json(img, n ? name : img->path);
        json_array_append_new(list, j);
        image_close(img);
        free(name);
        free(format);
        next = text_of(j, "full-backing-filename");
        next_format = text_of(j, "backing-filename-format");
        name = next ? strdup(next) : NULL;
        format = next_format ? strdup(next_format) : NULL;
        how.format = format;
        how.image_opts = false;
        more = a->backing_chain && next;
    }
    free(name);
    free(format);
    return ok;
}

int img_cmd_info(struct img_args *a, struct err *e)
{
    json_t *list = json_array(), *j;
    size_t i;
    bool ok;

    if (a->files != 1) {
        json_decref(list);
        return err_set(e, "Expecting one image file name"), 1;
    }
    ok = collect(a, list, e);
    if (ok && a->json) {
        json_dumpf(a->backing_chain ? list : json_array_get(list, 0), stdout, JSON_INDENT(4));
        putchar('\n');
    } else if (ok) {
        json_array_foreach(list, i, j)
        {
            if (i)
                putchar('\n');
            print_image(j);
        }
    }
    json_decref(list);
    return ok ? 0 : 1;
}
