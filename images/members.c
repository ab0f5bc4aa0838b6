/* Lists of images: see members.h for the grammar. */
#include "images/members.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The end of the item at s: a comma outside braces that is not doubled. */
static size_t item_length(const char *s)
{
    unsigned depth = 0;
    size_t n;

    for (n = 0; s[n]; n++) {
        if (s[n] == '{')
            depth++;
        else if (s[n] == '}' && depth)
            depth--;
        else if (s[n] == ',' && !depth) {
            if (s[n + 1] != ',')
                break;
            n++;
        }
    }
    return n;
}

/* Item s[0..n) without its outer braces, or with its doubled commas made single. */
static char *item_copy(const char *s, size_t n)
{
    char *out = malloc(n + 1), *p = out;

    if (!out)
        return NULL;
    if (n >= 2 && s[0] == '{' && s[n - 1] == '}') {
        memcpy(out, s + 1, n - 2);
        out[n - 2] = 0;
        return out;
    }
    for (size_t i = 0; i < n; i++) {
        *p++ = s[i];
        i += s[i] == ',' && i + 1 < n && s[i + 1] == ',';
    }
    *p = 0;
    return out;
}

/* An option of the list: 1 taken, 0 not one, -1 an error. */
static int take_option(struct member_options *opt, const char *item, struct err *e)
{
    size_t key = strcspn(item, "=/;:{");

    if (item[key] != '=')
        return 0;
    for (unsigned i = 0; i < MEMBER_OPTIONS && opt->key[i]; i++)
        if (strlen(opt->key[i]) == key && !strncmp(item, opt->key[i], key)) {
            free(opt->value[i]);
            opt->value[i] = strdup(item + key + 1);
            if (opt->value[i])
                return 1;
            err_set(e, "out of memory");
            return -1;
        }
    err_set(e, "'%.*s' is no option here (a file of such a name is written ./%.*s...)", (int)key, item, (int)key, item);
    return -1;
}

void member_options_free(struct member_options *opt)
{
    for (unsigned i = 0; i < MEMBER_OPTIONS; i++) {
        free(opt->value[i]);
        opt->value[i] = NULL;
    }
}

void members_close(struct members *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        image_close(m->img[i]);
        free(m->spec[i]);
    }
    m->n = 0;
}

static bool parse_item(struct members *m, struct member_options *opt, const char *s, size_t n, struct err *e)
{
    char *item = item_copy(s, n);
    int option = item && !m->n ? take_option(opt, item, e) : 0;

    if (!option && item && *item && m->n < MEMBERS_MAX) {
        m->img[m->n] = NULL;
        m->spec[m->n++] = item;
        return true;
    }
    if (!option)
        err_set(e, !item ? "out of memory" : *item ? "too many members" : "an empty name in the list");
    free(item);
    return option > 0;
}

bool members_parse(struct members *m, struct member_options *opt, const char *list, struct err *e)
{
    bool ok = true;

    m->n = 0;
    while (ok) {
        size_t n = item_length(list);

        ok = parse_item(m, opt, list, n, e);
        if (!list[n])
            break;
        list += n + 1;
    }
    if (ok && !m->n)
        ok = err_set(e, "no members");
    if (!ok) {
        members_close(m);
        member_options_free(opt);
    }
    return ok;
}

static bool member_key(struct member_place *p, char *key, struct err *e)
{
    char *value = strchr(key, '=');
    uint64_t n = 0;

    if (!value)
        return err_set(e, "';%s' is not key=value", key);
    *value++ = 0;
    if (!strcmp(key, "format") && strlen(value) < sizeof p->format) {
        strcpy(p->format, value);
        p->o.format = p->format;
        return true;
    }
    if (!image_parse_size(value, &n))
        return err_set(e, "';%s=%s': a number was expected", key, value);
    if (!strcmp(key, "offset"))
        p->o.offset = n;
    else if (!strcmp(key, "size"))
        p->o.length = n;
    else if (!strcmp(key, "partition") && n && n < 1000)
        p->o.partition = (unsigned)n;
    else
        return err_set(e, "';%s=%s' is not known (format, offset, size, partition)", key, value);
    return true;
}

bool member_parse(const char *spec, const struct image_options *o, struct member_place *p, struct err *e)
{
    char keys[256];
    size_t n = 0;
    const char *s = spec;

    p->o = *o;
    p->o.file = NULL;
    p->format[0] = 0;
    if (strlen(spec) >= sizeof p->path)
        return err_set(e, "'%.40s...' is too long", spec);
    if (!access(spec, F_OK) || s[strcspn(s, ":;/{")] == ':') { /* as it is; a list has semicolons of its own */
        strcpy(p->path, spec);
        return true;
    }
    for (; *s && (*s != ';' || s[1] == ';'); s++) {
        s += *s == ';';
        p->path[n++] = *s;
    }
    p->path[n] = 0;
    while (*s == ';') {
        n = strcspn(++s, ";");
        if (n >= sizeof keys)
            return err_set(e, "'%s': too long", spec);
        memcpy(keys, s, n);
        keys[n] = 0;
        if (!member_key(p, keys, e))
            return err_prefix(e, "'%s'", p->path);
        s += n;
    }
    return true;
}

struct image *member_open(const char *spec, const struct image_options *o, struct err *e)
{
    struct member_place p;
    struct image *img;

    if (!member_parse(spec, o, &p, e)) {
        image_close(o->file);
        return NULL;
    }
    p.o.file = o->file;
    img = image_open(p.path, &p.o, e);
    return img;
}

struct image *image_open_spec(const char *spec, const struct image_options *o, struct err *e)
{
    return member_open(spec, o, e);
}

bool members_open(struct members *m, const struct image_options *o, struct err *e)
{
    struct image_options each = {
        .read_only = o->read_only,
        .share = o->share,
        .direct = o->direct,
        .trust_paths = o->trust_paths,
        .allowed = o->allowed,
        .no_repair = o->no_repair,
        .notice = o->notice,
        .notice_arg = o->notice_arg,
        .nested = o->nested + 1,
    };

    if (each.nested > 4)
        return err_set(e, "lists of images are nested too deep");
    for (unsigned i = 0; i < m->n; i++) {
        m->img[i] = member_open(m->spec[i], &each, e);
        if (!m->img[i] && !o->some_missing)
            return false;
    }
    return true;
}
