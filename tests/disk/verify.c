/*
 * What both say of an image: contents, check, map, info, snapshots. See sequence.h.
 *
 * A map is compared as a list of extents in which neighbours that are alike are one; a JSON object of info key by key.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/disk/sequence.h"

static bool bytes_equal(struct sequence *q, const char *who, const char *what, const struct bytes *got,
                        const struct bytes *want)
{
    if (got->size != want->size)
        return failed(q, "%s: %s has %" PRIu64 " bytes, not %" PRIu64, who, what, got->size, want->size);
    if (!memcmp(got->data, want->data, want->size))
        return true;
    for (uint64_t i = 0; i < want->size; i++)
        if (got->data[i] != want->data[i])
            return failed(q, "%s: %s reads %02x at 0x%" PRIx64 ", not %02x", who, what, got->data[i], i, want->data[i]);
    return true;
}

static bool verify_contents(struct sequence *q, const struct layer *l, const struct held *s)
{
    const struct bytes *want = s ? &s->bytes : &l->view;
    const char *name = s ? s->name : "the disk";
    char path[1024];
    struct bytes got, part;
    uint64_t least;
    bool ok = ours_read(q, l, s ? s->name : NULL, &got) && bytes_equal(q, "we", name, &got, want);

    free(got.data);
    if (!ok)
        return false;
    snprintf(path, sizeof path, "%s/model.raw", q->o->dir);
    if (!s) {
        char *out;
        int code;

        if (!file_write(path, want->data, want->size))
            return failed(q, "cannot write %.500s", path);
        code = shell(&out, "qemu-img compare -f %s -F raw '%s' '%s' 2>&1", l->format, l->path, path);
        if (code)
            failed(q, "qemu-img compare: %.500s", out);
        free(out);
        return !code;
    }
    /* QEMU 10 reads a snapshot at the size that the disk has now. */
    ok = qemu_read(q, l, s->name, &got);
    least = got.size < want->size ? got.size : want->size;
    part = (struct bytes){want->data, least, 0};
    got.size = least;
    ok = ok && bytes_equal(q, "qemu", name, &got, &part);
    free(got.data);
    return ok;
}

static void report_line(void *arg, const char *line)
{
    char *text = arg;

    if (!*text)
        snprintf(text, 200, "%s", line);
}

static uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static bool verify_check(struct sequence *q, const struct layer *l)
{
    struct image_options o = {.format = l->format, .read_only = true, .no_repair = true, .no_backing = true};
    struct err e = {{0}};
    struct image *img = image_open(l->path, &o, &e);
    struct image_check res = {0};
    char line[200] = "", *out;
    json_t *theirs;
    int code;
    bool ok = img && img->ops->check && img->ops->check(img, 0, &res, report_line, line, &e);

    image_close(img);
    if (!ok)
        return failed(q, "our check fails: %.500s", e.msg);
    code = shell(&out, "qemu-img check --output=json -f %s '%s' 2>/dev/null", l->format, l->path);
    theirs = json_loads(out, 0, NULL);
    if (code)
        failed(q, "qemu-img check ends with %d: %.900s", code, out);
    else if (res.corruptions || res.leaks || res.check_errors)
        failed(q, "our check: %" PRIu64 " corruptions, %" PRIu64 " leaks: %s", res.corruptions, res.leaks, line);
    else if (number(theirs, "image-end-offset") != res.image_end_offset ||
             number(theirs, "total-clusters") != res.total_clusters ||
             number(theirs, "allocated-clusters") != res.allocated_clusters ||
             number(theirs, "compressed-clusters") != res.compressed_clusters ||
             number(theirs, "fragmented-clusters") != res.fragmented_clusters)
        failed(q,
               "our check counts end %" PRIu64 ", total %" PRIu64 ", allocated %" PRIu64 ", compressed %" PRIu64
               ", fragmented %" PRIu64 "; qemu-img: %.700s",
               res.image_end_offset, res.total_clusters, res.allocated_clusters, res.compressed_clusters,
               res.fragmented_clusters, out);
    json_decref(theirs);
    free(out);
    return !*q->why;
}

/* --- maps -------------------------------------------------------------------------------------------------------- */

struct extents {
    struct image_extent *v;
    uint64_t *at;
    size_t n, cap;
};

/* QEMU may look for holes of the host's file inside data clusters, and calls them zero then. */
static void extents_add(struct extents *x, uint64_t at, const struct image_extent *seen)
{
    struct image_extent *l = x->n ? &x->v[x->n - 1] : NULL, plain = *seen;
    const struct image_extent *e = &plain;

    plain.zero &= !(plain.data && plain.has_offset);
    plain.has_offset &= plain.allocated || plain.data; /* QEMU names the place that an empty subcluster would have */

    if (l && l->depth == e->depth && l->allocated == e->allocated && l->data == e->data && l->zero == e->zero &&
        l->compressed == e->compressed && l->has_offset == e->has_offset &&
        (!l->has_offset || l->offset + l->len == e->offset)) {
        l->len += e->len;
        return;
    }
    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 64;
        x->v = realloc(x->v, x->cap * sizeof *x->v);
        x->at = realloc(x->at, x->cap * sizeof *x->at);
        if (!x->v || !x->at)
            abort();
    }
    x->at[x->n] = at;
    x->v[x->n++] = *e;
}

static void extents_free(struct extents *x)
{
    free(x->v);
    free(x->at);
}

static bool our_map(struct sequence *q, const struct layer *l, bool compressed, struct extents *x)
{
    struct image *img = layer_open(q, l, false);
    int ret = img ? 0 : -1;

    for (uint64_t at = 0; img && !ret && at < img->size;) {
        struct image_extent e = {0};

        ret = image_map(img, at, img->size - at, &e);
        if (!ret && (!e.len || e.len > img->size - at))
            ret = -1;
        e.compressed &= compressed;
        if (!ret)
            extents_add(x, at, &e);
        at += e.len;
    }
    if (img && ret)
        failed(q, "our map fails: %d", ret);
    image_close(img);
    return !ret;
}

/* *compressed: this qemu-img tells what is compressed (from 8.2 on). */
static bool qemu_map(struct sequence *q, const struct layer *l, bool *compressed, struct extents *x)
{
    char *out;
    int code = shell(&out, "qemu-img map --output=json -f %s '%s' 2>&1", l->format, l->path);
    json_t *list = code ? NULL : json_loads(out, 0, NULL), *item;
    size_t i;

    if (!list)
        failed(q, "qemu-img map: %.500s", out);
    json_array_foreach(list, i, item)
    {
        struct image_extent e = {
            .len = number(item, "length"),
            .depth = (unsigned)number(item, "depth"),
            .allocated = json_is_true(json_object_get(item, "present")),
            .data = json_is_true(json_object_get(item, "data")),
            .zero = json_is_true(json_object_get(item, "zero")),
            .compressed = json_is_true(json_object_get(item, "compressed")),
            .has_offset = json_object_get(item, "offset"),
            .offset = number(item, "offset"),
        };

        *compressed |= json_object_get(item, "compressed") != NULL;
        if (e.data) /* it asks the host file too, where data that is zero may be a hole */
            e.zero = false;
        if (!e.allocated) /* the place of a subcluster's cluster, where its bytes are not */
            e.has_offset = false;
        extents_add(x, number(item, "start"), &e);
    }
    json_decref(list);
    free(out);
    return !*q->why;
}

static const char *extent_print(const struct extents *x, size_t i, char *text, size_t n)
{
    const struct image_extent *e = &x->v[i];

    if (i >= x->n)
        return "its end";
    snprintf(text, n, "%" PRIu64 "+%" PRIu64 " depth %u%s%s%s%s", x->at[i], e->len, e->depth,
             e->allocated ? " present" : "", e->data ? " data" : "", e->zero ? " zero" : "",
             e->compressed ? " compressed" : "");
    if (e->has_offset)
        snprintf(text + strlen(text), n - strlen(text), " at %" PRIu64, e->offset);
    return text;
}

static bool alike(const struct extents *a, const struct extents *b, size_t i)
{
    const struct image_extent *x = &a->v[i], *y = &b->v[i];

    return i < a->n && i < b->n && a->at[i] == b->at[i] && x->len == y->len && x->depth == y->depth &&
           x->data == y->data && x->zero == y->zero && x->allocated == y->allocated && x->compressed == y->compressed &&
           x->has_offset == y->has_offset && (!x->has_offset || x->offset == y->offset);
}

bool verify_maps(struct sequence *q, const struct layer *l)
{
    struct extents ours = {0}, theirs = {0};
    bool compressed = false, ok = qemu_map(q, l, &compressed, &theirs) && our_map(q, l, compressed, &ours);

    for (size_t i = 0; ok && (i < ours.n || i < theirs.n); i++)
        if (!alike(&ours, &theirs, i)) {
            char a[160], b[160];

            ok = failed(q, "maps differ: ours %s; qemu-img's %s", extent_print(&ours, i, a, sizeof a),
                        extent_print(&theirs, i, b, sizeof b));
        }
    extents_free(&ours);
    extents_free(&theirs);
    return ok;
}

/* --- info -------------------------------------------------------------------------------------------------------- */

/* Keys that depend on the moment, not on the image. */
static bool momentary(const char *key)
{
    return !strcmp(key, "actual-size") || !strcmp(key, "children") || !strcmp(key, "filename");
}

/* Every key of `want` is in `got` with the same value. */
static bool json_holds(struct sequence *q, const char *who, json_t *got, json_t *want)
{
    const char *key;
    json_t *value;

    json_object_foreach(want, key, value)
    {
        json_t *other = json_object_get(got, key);
        char *text;

        if (momentary(key) || (other && json_equal(value, other)))
            continue;
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        failed(q, "info: %s alone says %s: %.300s", who, key, text ? text : "");
        free(text);
        return false;
    }
    return true;
}

bool verify_infos(struct sequence *q, const struct layer *l)
{
    char *a, *b;
    int ca, cb;
    json_t *ours, *theirs;
    bool ok;

    if (!q->guise)
        return true;
    ca = shell(&a, "'%s' img info --output=json -f %s '%s' 2>&1", q->guise, l->format, l->path);
    cb = shell(&b, "qemu-img info --output=json -f %s '%s' 2>&1", l->format, l->path);
    ours = json_loads(a, 0, NULL);
    theirs = json_loads(b, 0, NULL);
    ok = !ca && !cb && ours && theirs;
    if (!ok)
        failed(q, "info: ours ends with %d, qemu-img's with %d: %.400s", ca, cb, ca ? a : b);
    ok = ok && json_holds(q, "qemu", ours, theirs) && json_holds(q, "guise", theirs, ours);
    json_decref(ours);
    json_decref(theirs);
    free(a);
    free(b);
    return ok;
}

/* The list in the image: names, in order. */
static bool verify_list(struct sequence *q, const struct layer *l)
{
    struct image *img = layer_open(q, l, false);
    struct image_snapshot *list = NULL;
    int n = img ? img->ops->snapshot_list(img, &list) : -1;
    unsigned found = 0;

    for (int i = 0; i < n; i++)
        for (unsigned k = 0; k < l->n_snaps; k++)
            found += !strcmp(list[i].name, l->snaps[k].name) && list[i].disk_size == l->snaps[k].bytes.size;
    free(list);
    image_close(img);
    return (n == (int)l->n_snaps && found == l->n_snaps) ||
           failed(q, "the image lists %d snapshots, %u of them right, not %u", n, found, l->n_snaps);
}

/* Only our reading: nobody may have changed what nobody worked on. */
static bool layer_same(struct sequence *q, const struct layer *l)
{
    struct bytes got;
    bool ok = ours_read(q, l, NULL, &got) && bytes_equal(q, "we", "a layer below", &got, &l->view);

    free(got.data);
    return ok;
}

static bool layer_verify(struct sequence *q, struct layer *l)
{
    bool ok;

    if (l->verified)
        return layer_same(q, l);
    ok = verify_contents(q, l, NULL);
    l->verified = ok;
    if (strcmp(l->format, "qcow2") != 0)
        return ok;
    ok = ok && verify_check(q, l) && verify_maps(q, l) && verify_infos(q, l) && verify_list(q, l);
    for (unsigned i = 0; ok && i < l->n_snaps; i++)
        ok = verify_contents(q, l, &l->snaps[i]);
    return ok;
}

bool sequence_verify(struct sequence *q)
{
    bool ok = layer_settle(q);

    for (unsigned i = q->n; ok && i-- > 0;) {
        ok = layer_verify(q, &q->layers[i]);
        if (!ok)
            say(q, OURS, "the layer that is wrong: %s", q->layers[i].path);
    }
    return ok;
}
