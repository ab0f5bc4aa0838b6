/* guise img map: what lies where, through the whole chain. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/img/img.h"

struct entry {
    uint64_t start;
    struct image_extent x;
};

static bool continues(const struct entry *last, const struct image_extent *x)
{
    const struct image_extent *l = &last->x;

    return l->len && l->depth == x->depth && l->allocated == x->allocated && l->data == x->data && l->zero == x->zero &&
           l->compressed == x->compressed && l->has_offset == x->has_offset && l->layer == x->layer &&
           (!l->has_offset || l->offset + l->len == x->offset);
}

static const char *truth(bool b) { return b ? "true" : "false"; }

static void print_json(const struct entry *n, bool first)
{
    const struct image_extent *x = &n->x;

    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s, "
           "\"compressed\": %s",
           first ? "[" : ",\n", n->start, x->len, x->depth, truth(x->allocated), truth(x->zero), truth(x->data),
           truth(x->compressed));
    if (x->has_offset)
        printf(", \"offset\": %" PRIu64, x->offset);
    putchar('}');
}

/* The file of the layer that far below, named as the images above it name it; malloc'ed. */
static char *file_name(const struct image *top, unsigned depth)
{
    char *name = strdup(top->path);

    for (const struct image *img = top; name && depth && img; depth--, img = img->backing) {
        const char *below, *format;
        char *next = NULL;

        if (img->ops->backing_name((struct image *)(uintptr_t)img, &below, &format)) /* reads only */
            next = image_resolve(name, below);
        free(name);
        name = next;
    }
    return name;
}

/* The table has no way to say "compressed". */
static bool print_text(const struct image *top, const struct entry *n, struct err *e)
{
    const struct image_extent *x = &n->x;
    char *name;

    if (!x->data || x->zero)
        return true;
    if (!x->has_offset)
        return err_set(e, "File contains external, encrypted or compressed clusters.");
    name = file_name(top, x->depth);
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", n->start, x->len, x->offset,
           name ? name : x->layer->path);
    free(name);
    return true;
}

static bool print_entry(const struct img_args *a, const struct image *img, const struct entry *n, bool *first,
                        struct err *e)
{
    if (!n->x.len)
        return true;
    if (!a->json)
        return print_text(img, n, e);
    print_json(n, *first);
    *first = false;
    return true;
}

static bool map_image(const struct img_args *a, struct image *img, uint64_t off, uint64_t end, struct err *e)
{
    struct entry last = {0};
    bool first = true, ok = true;

    if (!a->json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    while (ok && off < end) {
        struct image_extent x;
        int ret = img_extent(img, off, end - off, &x);

        if (ret)
            return err_set(e, "Failed to read image metadata: %s", strerror(-ret));
        if (continues(&last, &x)) {
            last.x.len += x.len;
        } else {
            ok = print_entry(a, img, &last, &first, e);
            last = (struct entry){off, x};
        }
        off += x.len;
    }
    ok = ok && print_entry(a, img, &last, &first, e);
    if (a->json && ok)
        puts(first ? "[]" : "]");
    return ok;
}

int img_cmd_map(struct img_args *a, struct err *e)
{
    struct img_how how = {.format = a->format, .image_opts = a->image_opts};
    uint64_t start = 0, len = UINT64_MAX, end;
    struct image *img;
    bool ok;

    if (a->files != 1)
        return err_set(e, "Expecting one image file name"), 1;
    if ((a->start && !img_parse_size(a->start, "start offset", &start, e)) ||
        (a->length && !img_parse_size(a->length, "max length", &len, e)))
        return 1;
    img = img_open_named(a, a->file[0], &how, e);
    if (!img)
        return 1;
    end = image_size(img);
    if (start < end && len < end - start)
        end = start + len;
    ok = map_image(a, img, start, end, e);
    image_close(img);
    return ok ? 0 : 1;
}
