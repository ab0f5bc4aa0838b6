/*
 * The format table; opening an image with the layers below it.
 *
 * A format is never guessed from the content: a guest may write any header into a raw disk (CVE-2008-1945 and its
 * kin). A known header only makes us refuse a file whose format was not named.
 */
#include "images/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

static const struct image_ops *const formats[] = {
#define FORMAT(name) &image_##name,
#include "images/formats.def"
#undef FORMAT
};

static const struct {
    const char *format;
    int64_t offset; /* negative: from the end */
    const char *magic;
    size_t len;
} magics[] = {
    {"qcow2", 0, "QFI\xfb", 4},
    {"vmdk", 0, "KDMV", 4},
    {"vmdk", 0, "COWD", 4},
    {"vmdk", 0, "# Disk DescriptorFile", 21},
    {"vhdx", 0, "vhdxfile", 8},
    {"vdi", 64, "\x7f\x10\xda\xbe", 4},
    {"vpc", 0, "conectix", 8},
    {"vpc", -512, "conectix", 8}, /* fixed: a footer only */
    {"luks", 0, "LUKS\xba\xbe", 6},
    {"qed", 0, "QED\0", 4},
    {"parallels", 0, "WithoutFreeSpace", 16},
    {"parallels", 0, "WithouFreSpacExt", 16},
    {"gzip", 0, "\x1f\x8b\x08", 3},
    {"zstd", 0, "\x28\xb5\x2f\xfd", 4},
    {"xz", 0,
     "\xfd"
     "7zXZ\0",
     6},
};

const char *image_probe(struct image *file)
{
    enum { HEAD = 128, TAIL = 512 };
    uint8_t head[HEAD] = {0}, tail[TAIL] = {0};
    uint64_t size = image_size(file);
    bool has_tail = size >= TAIL && !image_pread(file, tail, size - TAIL, TAIL);

    if (image_pread(file, head, 0, size < HEAD ? size : HEAD))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        int64_t at = magics[i].offset;

        if (at < 0 && !has_tail)
            continue;
        if (!memcmp(at < 0 ? tail + TAIL + at : head + at, magics[i].magic, magics[i].len))
            return magics[i].format;
    }
    return NULL;
}

const struct image_ops *image_format(const char *name)
{
    if (!strcmp(name, "vhd")) /* QEMU's name is the one of its makers' other product */
        name = "vpc";
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!strcmp(name, formats[i]->format))
            return formats[i];
    return NULL;
}

const char *image_format_name(unsigned n) { return n < ARRAY_LEN(formats) ? formats[n]->format : NULL; }

static bool unknown_format(const char *path, const char *format, struct err *e)
{
    char known[256] = "";

    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (!formats[i]->protocol) {
            strncat(known, *known ? ", " : "", sizeof known - strlen(known) - 1);
            strncat(known, formats[i]->format, sizeof known - strlen(known) - 1);
        }
    return err_set(e, "disk image '%s': format '%s' is not known (known: %s)", path, format, known);
}

/* The new image with its layers below set; not yet open. Takes file over. */
static struct image *image_new(const struct image_ops *ops, const char *path, const struct image_options *o,
                               struct image *file, struct err *e)
{
    struct image *img = calloc(1, sizeof *img);
    char *copy = strdup(path);

    if (!img || !copy) {
        err_set(e, "disk image '%s': out of memory", path);
        free(img);
        free(copy);
        image_close(file);
        return NULL;
    }
    *img = (struct image){
        .ops = ops,
        .logical = 512,
        .read_only = o->read_only,
        .path = copy,
        .file = file,
        .above = o->above,
        .guessed = o->guessed,
    };
    return img;
}

static void image_free(struct image *img)
{
    image_close(img->file);
    image_close(img->backing);
    free(img->path);
    free(img);
}

static struct image *layer_open(const struct image_ops *ops, const char *path, const struct image_options *o,
                                struct image *file, struct err *e)
{
    struct image *img = image_new(ops, path, o, file, e);

    if (!img)
        return NULL;
    if (ops->open(img, o, e))
        return img;
    image_free(img);
    return NULL;
}

static const struct image_ops *protocol_of(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i]->protocol && formats[i]->claims && formats[i]->claims(path))
            return formats[i];
    return &image_file;
}

const char *image_probe_path(const char *path, struct err *e)
{
    struct image *file = image_open(
        path, &(struct image_options){.format = protocol_of(path)->format, .read_only = true, .share = true}, e);
    const char *seen = file ? image_probe(file) : NULL;

    image_close(file);
    return file && !seen ? "raw" : seen;
}

static bool has_range(const struct image_options *o) { return o->offset || o->length || o->partition; }

/* The bytes that a format `ops` reads: the given file or the protocol's, cut to the range unless raw does that. */
static struct image *file_below(const struct image_ops *ops, const char *path, const struct image_options *o,
                                struct err *e)
{
    struct image_options below = *o;
    struct image *file = o->file;

    below.file = NULL;
    if (!file)
        file = layer_open(protocol_of(path), path, &below, NULL, e);
    if (file && has_range(o) && ops != &image_raw)
        file = layer_open(&image_raw, path, &below, file, e);
    return file;
}

struct image *image_open(const char *path, const struct image_options *o, struct err *e)
{
    const struct image_ops *ops = o->format ? image_format(o->format) : &image_raw;
    struct image_options upper = *o;
    const char *seen;
    struct image *file;

    if (!ops) {
        unknown_format(path, o->format, e);
        image_close(o->file);
        return NULL;
    }
    if (ops->protocol) {
        image_close(o->file);
        upper.file = NULL;
        return layer_open(ops, path, &upper, NULL, e);
    }
    file = file_below(ops, path, o, e);
    if (!file)
        return NULL;
    seen = o->format || has_range(o) ? NULL : image_probe(file);
    if (seen) {
        err_set(e, "disk image '%s' looks like %s; name its format with format=", path, seen);
        image_close(file);
        return NULL;
    }
    if (ops != &image_raw)
        upper.offset = upper.length = upper.partition = 0; /* done below */
    upper.file = NULL;
    return layer_open(ops, path, &upper, file, e);
}

void image_close(struct image *img)
{
    if (!img)
        return;
    img->ops->close(img);
    image_free(img);
}
