/* Making images, and the option strings of formats. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/file.h"
#include "images/image.h"

bool image_create(const struct image_create *c, struct err *e)
{
    const struct image_ops *ops = image_format(c->format);

    if (!ops)
        return err_set(e, "'%s': format '%s' is not known", c->path, c->format);
    if (!ops->create)
        return err_set(e, "'%s': images of format '%s' cannot be made", c->path, c->format);
    return ops->create(c, e);
}

struct image *image_create_begin(const struct image_create *c, struct err *e)
{
    return c->file ? c->file : file_make(c->path, e);
}

bool image_create_end(const struct image_create *c, struct image *file, bool ok, struct err *e)
{
    int ret = ok ? file->ops->flush(file) : 0;

    if (ret)
        ok = err_set(e, "'%s': %s", c->path, strerror(-ret));
    if (file == c->file)
        return ok;
    if (!ok)
        file_unmake(file);
    image_close(file);
    return ok;
}

bool image_option_next(const char **s, struct image_option *o, struct err *e)
{
    const char *p = *s;
    size_t n;

    if (!p || !*p)
        return false;
    n = strcspn(p, "=,");
    if (n >= sizeof o->key)
        return err_set(e, "option '%.40s...' is not known", p);
    memcpy(o->key, p, n);
    o->key[n] = 0;
    strcpy(o->value, "on");
    p += n;
    if (*p == '=') {
        for (n = 0, p++; *p && (*p != ',' || p[1] == ','); p++) {
            p += *p == ',';
            if (n == sizeof o->value - 1)
                return err_set(e, "the value of option '%s' is too long", o->key);
            o->value[n++] = *p;
        }
        o->value[n] = 0;
    }
    *s = *p ? p + 1 : p;
    return true;
}

bool image_parse_size(const char *s, uint64_t *out)
{
    static const char units[] = "bkmgtpe";
    char *end;
    const char *unit;
    double d;
    unsigned shift = 0;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    *out = strtoull(s, &end, 0);
    if (errno)
        return false;
    d = *end == '.' ? strtod(s, &end) : (double)*out;
    if (*end) {
        unit = strchr(units, *end | 0x20);
        if (!unit || !*unit || (end[1] && strcmp(end + 1, "iB") && strcmp(end + 1, "B")))
            return false;
        shift = 10 * (unsigned)(unit - units);
    }
    if (d == (double)*out && *out <= UINT64_MAX >> shift) {
        *out <<= shift;
        return true;
    }
    d = ldexp(d, (int)shift);
    *out = (uint64_t)(d < 9e18 ? d : 0);
    return d < 9e18;
}

static int word(const char *s, const char *const words[], int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(s, words[i]))
            return i;
    return -1;
}

bool image_parse_bool(const char *s, bool *out)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};
    int i = word(s, words, ARRAY_LEN(words));

    *out = i & 1;
    return i >= 0;
}

bool image_parse_prealloc(const char *s, enum image_prealloc *out)
{
    static const char *const words[] = {"off", "metadata", "falloc", "full"};
    int i = word(s, words, ARRAY_LEN(words));

    *out = (enum image_prealloc)(i < 0 ? 0 : i);
    return i >= 0;
}
