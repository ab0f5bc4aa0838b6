/* VMDK: the descriptor, a text of key=value lines and lines of extents. Anything may be in it: it is bounded and checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bits.h"
#include "images/vmdk.h"

static bool value_of(const char *line, const char *key, const char **value)
{
    size_t n = strlen(key);

    if (strncasecmp(line, key, n) != 0)
        return false;
    line += n;
    line += strspn(line, " \t");
    if (*line != '=')
        return false;
    line++;
    *value = line + strspn(line, " \t");
    return true;
}

static bool hex(const char *s, uint32_t *out, size_t *digits)
{
    *digits = strspn(s, "0123456789abcdefABCDEF");
    if (!*digits || *digits > 8)
        return false;
    *out = (uint32_t)strtoul(s, NULL, 16);
    return true;
}

/* `RW 4192256 SPARSE "name" 0`. Returns whether it is such a line; *ok, whether it makes sense. */
static bool extent_line(const char *line, struct vmdk_line *x, bool *ok)
{
    static const char *const access[] = {"RW ", "RDONLY ", "NOACCESS "};
    size_t a = 0, n;
    char *end;

    *ok = false;
    while (a < ARRAY_LEN(access) && strncmp(line, access[a], strlen(access[a])) != 0)
        a++;
    if (a == ARRAY_LEN(access))
        return false;
    *x = (struct vmdk_line){.writable = a == 0};
    line += strlen(access[a]);
    x->sectors = strtoull(line, &end, 10);
    if (end == line || *end != ' ' || a == 2)
        return true;
    line = end + 1;
    n = strcspn(line, " \r");
    if (!n || n >= sizeof x->type)
        return true;
    memcpy(x->type, line, n);
    line += n;
    line += strspn(line, " ");
    if (*line == '"') {
        n = strcspn(line + 1, "\"\r");
        if (line[1 + n] != '"' || n >= sizeof x->name)
            return true;
        memcpy(x->name, line + 1, n);
        line += n + 2;
        x->offset = strtoull(line, NULL, 10);
    }
    *ok = x->sectors && x->sectors <= UINT64_C(1) << 45 && x->offset <= UINT64_C(1) << 45;
    return true;
}

static bool add_line(const char *path, struct vmdk_desc *d, const struct vmdk_line *x, struct err *e)
{
    struct vmdk_line *more;

    if (d->n == VMDK_EXTENTS_MAX)
        return err_set(e, "disk image '%s': more than %d VMDK extents", path, VMDK_EXTENTS_MAX);
    more = realloc(d->lines, (d->n + 1) * sizeof *more);
    if (!more)
        return err_set(e, "disk image '%s': out of memory", path);
    d->lines = more;
    d->lines[d->n++] = *x;
    return true;
}

/* line begins at byte `at` of the text. */
static bool parse_line(const char *path, const char *line, size_t at, struct vmdk_desc *d, struct err *e)
{
    struct vmdk_line x;
    const char *v;
    size_t digits;
    bool ok;

    if (extent_line(line, &x, &ok))
        return ok ? add_line(path, d, &x, e)
                  : err_set(e, "disk image '%s': an extent line of its VMDK descriptor is not understood: %.80s", path,
                            line);
    if (value_of(line, "CID", &v)) {
        if (!hex(v, &d->cid, &d->cid_digits))
            return err_set(e, "disk image '%s': a VMDK CID is no number", path);
        d->cid_at = at + (size_t)(v - line);
    } else if (value_of(line, "parentCID", &v)) {
        if (!hex(v, &d->parent_cid, &digits))
            return err_set(e, "disk image '%s': a VMDK parentCID is no number", path);
    } else if (value_of(line, "createType", &v)) {
        size_t n = strcspn(v + (*v == '"'), "\"\r\n");

        snprintf(d->create_type, sizeof d->create_type, "%.*s", (int)(n < 31 ? n : 31), v + (*v == '"'));
    }
    return true;
}

bool vmdk_parse(const char *path, const char *text, struct vmdk_desc *d, struct err *e)
{
    char line[2048];

    *d = (struct vmdk_desc){.parent_cid = UINT32_MAX};
    for (const char *s = text; *s;) {
        size_t skip = strspn(s, " \t"), n;

        s += skip;
        n = strcspn(s, "\n");
        if (n >= sizeof line)
            return err_set(e, "disk image '%s': a line of its VMDK descriptor is too long", path);
        memcpy(line, s, n);
        line[n] = '\0';
        if (!parse_line(path, line, (size_t)(s - text), d, e))
            return false;
        s += n + (s[n] == '\n');
    }
    if (!d->create_type[0])
        return err_set(e, "disk image '%s': its VMDK descriptor names no createType", path);
    return true;
}
