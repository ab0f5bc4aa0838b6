/* guise img dd: a new image from a part of another. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/img/convert.h"

/* --- dd --- */

struct dd {
    const char *in, *out;
    uint64_t block, count, skip;
    bool counted;
};

static bool operand(struct dd *d, const char *text, struct err *e)
{
    static const char *const names[] = {"if", "of", "bs", "count", "skip", NULL};
    const char *eq = strchr(text, '='), *val = eq ? eq + 1 : "", *near;
    size_t n = eq ? (size_t)(eq - text) : strlen(text), which = 0;
    char word[16];

    while (names[which] && (strlen(names[which]) != n || memcmp(names[which], text, n) != 0))
        which++;
    switch (names[which] && eq ? which : 9) {
    case 0: d->in = val; return true;
    case 1: d->out = val; return true;
    case 2:
        return (image_parse_size(val, &d->block) && d->block && d->block <= INT32_MAX) ||
               err_set(e, "Invalid bs specified. Must be between 1 and 2147483647.");
    case 3:
        d->counted = true;
        return image_parse_size(val, &d->count) || err_set(e, "Invalid count specified: '%s'.", val);
    case 4: return image_parse_size(val, &d->skip) || err_set(e, "Invalid skip specified: '%s'.", val);
    }
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    near = nearest_word(word, names);
    return err_set(e, "unrecognized operand %s%s%s", word, near ? "; the nearest one is " : "", near ? near : "");
}

static bool product(uint64_t a, uint64_t b, uint64_t *p) { return !__builtin_mul_overflow(a, b, p) && *p <= INT64_MAX; }

/* Where the output's bytes are in the input. `count` counts from the input's beginning, as in qemu-img. */
static bool range(const struct dd *d, uint64_t size, uint64_t *start, uint64_t *len)
{
    uint64_t bytes;

    if (d->counted && product(d->count, d->block, &bytes) && bytes < size)
        size = bytes;
    if (!product(d->skip, d->block, start) || *start > size)
        *start = size;
    *len = size - *start;
    return *len > 0;
}

int img_cmd_dd(struct img_args *a, struct err *e)
{
    struct dd d = {.block = 512};
    struct img_how how = {.format = a->format, .image_opts = a->image_opts};
    struct new_image n = {.no_flush = true};
    struct image_create c = {.format = a->out_format ? a->out_format : "raw"};
    struct image *in;
    uint64_t start = 0;
    bool ok;

    for (unsigned i = 0; i < a->files; i++)
        if (!operand(&d, a->file[i], e))
            return 1;
    if (!d.in || !d.out)
        return err_set(e, "Must specify both input and output files"), 1;
    in = img_open_named(a, d.in, &how, e);
    if (!in)
        return 1;
    range(&d, image_size(in), &start, &c.size);
    if (start == image_size(in) && d.skip)
        fprintf(stderr, "%s: %s: cannot skip to specified offset\n", a->program, d.in);
    c.path = d.out;
    c.size = align_up(c.size, 512);
    ok = copy_to_new(a, in, start, &c, &n, e);
    ok = new_image_done(&n, ok, e);
    image_close(in);
    return ok ? 0 : 1;
}
