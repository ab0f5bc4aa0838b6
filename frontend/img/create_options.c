/*
 * The options of each format's create (-o), as qemu-img names, lists and prints them. The format parses their values;
 * this table is what -o help prints, what a wrong name is compared with, and the "Formatting" line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/img/img.h"

enum kind { STR, SIZE, BOOL, NUM };

/* In the order of the "Formatting" line; initial NULL: named there only when given. */
struct create_option {
    const char *name;
    enum kind kind;
    const char *initial, *help;
};

#define COMMON_SIZE                                                                                                    \
    {                                                                                                                  \
        "size", SIZE, NULL, "Virtual disk size"                                                                        \
    }
#define PREALLOC                                                                                                       \
    {                                                                                                                  \
        "preallocation", STR, NULL, "Preallocation mode (allowed values: off, falloc, full)"                           \
    }

static const struct create_option raw_options[] = {COMMON_SIZE, PREALLOC, {0}};

static const struct create_option qcow2_options[] = {
    {"cluster_size", SIZE, "65536", "qcow2 cluster size"},
    {"extended_l2", BOOL, "off", "Extended L2 tables"},
    {"preallocation", STR, NULL, "Preallocation mode (allowed values: off, metadata, falloc, full)"},
    {"compression_type", STR, "zlib", "Compression method used for image cluster compression (zlib, zstd)"},
    COMMON_SIZE,
    {"compat", STR, NULL, "Compatibility level (v2 [0.10] or v3 [1.1])"},
    {"backing_file", STR, NULL, "File name of a base image"},
    {"backing_fmt", STR, NULL, "Image format of the base image"},
    {"data_file", STR, NULL, "File name of an external data file"},
    {"data_file_raw", BOOL, NULL, "The external data file must stay valid as a raw image"},
    {"lazy_refcounts", BOOL, "off", "Postpone refcount updates"},
    {"refcount_bits", NUM, "16", "Width of a reference count entry in bits"},
    {0},
};

static const struct create_option vdi_options[] = {
    COMMON_SIZE,
    {"static", BOOL, "off", "VDI static (pre-allocated) image"},
    PREALLOC,
    {0},
};

static const struct create_option vpc_options[] = {
    COMMON_SIZE,
    {"subformat", STR, NULL, "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed}"},
    {"force_size", BOOL, NULL, "Use the actual size specified, rather than the nearest CHS-based one"},
    {0},
};

static const struct create_option vhdx_options[] = {
    COMMON_SIZE,
    {"log_size", SIZE, "1048576", "Log size; min 1MB."},
    {"block_size", SIZE, "0", "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size."},
    {"subformat", STR, NULL, "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'."},
    {"block_state_zero", BOOL, NULL, "Force use of payload blocks of type 'ZERO'."},
    {0},
};

static const struct create_option vmdk_options[] = {
    COMMON_SIZE,
    {"compat6", BOOL, "off", "VMDK version 6 image"},
    {"hwversion", STR, "undefined", "VMDK hardware version"},
    {"adapter_type", STR, NULL, "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX"},
    {"subformat", STR, NULL, "{monolithicSparse (default) | monolithicFlat | streamOptimized}"},
    {"backing_file", STR, NULL, "File name of a base image"},
    {"backing_fmt", STR, NULL, "Must be 'vmdk' if present"},
    {"zeroed_grain", BOOL, NULL, "Enable efficient zero writes using the zeroed-grain GTE feature"},
    {0},
};

static const struct {
    const char *format;
    const struct create_option *options;
} tables[] = {
    {"raw", raw_options}, {"file", raw_options},  {"qcow2", qcow2_options}, {"vdi", vdi_options},
    {"vpc", vpc_options}, {"vhdx", vhdx_options}, {"vmdk", vmdk_options},
};

/* The format itself says when it knows no create. */
static const struct create_option *options_of(const char *format)
{
    static const struct create_option none[] = {COMMON_SIZE, {0}};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (!strcmp(tables[i].format, format))
            return tables[i].options;
    return none;
}

char *img_option_get(const char *options, const char *key)
{
    struct image_option o;
    struct err e = {{0}};
    char *val = NULL;

    while (options && image_option_next(&options, &o, &e)) {
        if (!strcmp(o.key, key)) {
            free(val);
            val = strdup(o.value);
        }
    }
    return val;
}

static bool known(const struct create_option *t, const char *format, const char *key, struct err *e)
{
    const char *names[32], *near;
    unsigned n = 0;

    for (; t->name; t++) {
        if (!strcmp(t->name, key))
            return true;
        names[n++] = t->name;
    }
    names[n] = NULL;
    if (!strncmp(key, "encrypt", 7) && !strcmp(format, "qcow2"))
        return err_set(e, "%s: encrypted images are not supported", key);
    near = nearest_word(key, names);
    return err_set(e, "Invalid parameter '%s'%s%s%s", key, near ? "; the nearest one is '" : "", near ? near : "",
                   near ? "'" : "");
}

/* What qemu-img takes that is true here anyway: it is left out of what the format is given. */
static bool granted(const struct image_option *o)
{
    return (!strcmp(o->key, "nocow") || !strcmp(o->key, "encryption")) && !strcmp(o->value, "off");
}

char *img_options_strip(const char *options)
{
    char *out = calloc(1, options ? 4 * strlen(options) + 8 : 1), *p = out;
    struct image_option o;
    struct err e = {{0}};

    while (out && options && image_option_next(&options, &o, &e)) {
        if (granted(&o))
            continue;
        p += sprintf(p, "%s%s=", p == out ? "" : ",", o.key);
        for (const char *v = o.value; *v; v++) {
            if (*v == ',')
                *p++ = ',';
            *p++ = *v;
        }
        *p = 0;
    }
    return out;
}

bool img_options_check(const char *format, const char *options, struct err *e)
{
    const struct create_option *t = options_of(format);
    struct image_option o;

    e->msg[0] = 0;
    while (options && image_option_next(&options, &o, e))
        if (!granted(&o) && !known(t, format, o.key, e))
            return false;
    return !e->msg[0];
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct create_option *const *)a)->name, (*(const struct create_option *const *)b)->name);
}

bool img_options_help(const char *format, FILE *out, struct err *e)
{
    static const char *const kinds[] = {
        [STR] = "<str>", [SIZE] = "<size>", [BOOL] = "<bool (on/off)>", [NUM] = "<num>"};
    const struct create_option *sorted[32];
    size_t n = 0;

    if (!image_format(format))
        return err_set(e, "Unknown file format '%s'", format);
    for (const struct create_option *t = options_of(format); t->name; t++)
        sorted[n++] = t;
    qsort(sorted, n, sizeof *sorted, by_name);
    fputs("Supported options:\n", out);
    for (size_t i = 0; i < n; i++) {
        int width = fprintf(out, "  %s=%s", sorted[i]->name, kinds[sorted[i]->kind]);

        fprintf(out, "%*s - %s\n", width < 24 ? 24 - width : 0, "", sorted[i]->help);
    }
    return true;
}

static void print_value(const struct create_option *t, const char *val)
{
    uint64_t bytes;
    bool on;

    if (t->kind == SIZE && image_parse_size(val, &bytes))
        printf(" %s=%llu", t->name, (unsigned long long)bytes);
    else if (t->kind == BOOL && image_parse_bool(val, &on))
        printf(" %s=%s", t->name, on ? "on" : "off");
    else
        printf(" %s=%s", t->name, val);
}

void img_print_formatting(const struct image_create *c, uint64_t size)
{
    printf("Formatting '%s', fmt=%s", c->path, c->format);
    for (const struct create_option *t = options_of(c->format); t->name; t++) {
        char *given = img_option_get(c->options, t->name);
        const char *val = given ? given : t->initial;
        char number[24];

        if (!strcmp(t->name, "size")) {
            snprintf(number, sizeof number, "%llu", (unsigned long long)size);
            val = number;
        } else if (!strcmp(t->name, "backing_file") && c->backing) {
            val = c->backing;
        } else if (!strcmp(t->name, "backing_fmt") && c->backing_format) {
            val = c->backing_format;
        }
        if (val)
            print_value(t, val);
        free(given);
    }
    putchar('\n');
}
