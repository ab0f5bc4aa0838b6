/* VDI: what check finds and mends, and moving blocks down so that no place is left unused. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vdi.h"

enum { ROUND = 4096 /* blocks moved or mended before their entries are written */ };

struct owner {
    uint32_t blk, place, to;
};

/* Up to ROUND blocks whose place is at or above `from`. */
static int owners_above(struct image *img, uint32_t from, struct owner *list, unsigned *n)
{
    struct vdi *v = img->priv;

    *n = 0;
    for (uint32_t blk = 0; blk < v->blocks && *n < ROUND; blk++) {
        uint32_t entry;
        int ret = vdi_entry(img, blk, &entry);

        if (ret)
            return ret;
        if (entry < VDI_DISCARDED && entry >= from)
            list[(*n)++] = (struct owner){.blk = blk, .place = entry};
    }
    return 0;
}

/* Copies first, then stable, then the entries, then stable: at each point either place holds the block. */
static int move_round(struct image *img, struct owner *list, unsigned n)
{
    struct vdi *v = img->priv;
    int ret = 0;

    for (unsigned i = 0; !ret && i < n; i++) {
        ret = vdi_take_place(v, &list[i].to);
        if (!ret)
            ret = vdi_move(img, list[i].place, list[i].to);
    }
    if (!ret)
        ret = img->file->ops->flush(img->file);
    for (unsigned i = 0; !ret && i < n; i++)
        ret = vdi_set_entry(img, list[i].blk, list[i].to);
    if (!ret)
        ret = sparse_commit(img);
    for (unsigned i = 0; !ret && i < n; i++)
        vdi_use(v, list[i].place, false);
    return ret;
}

int vdi_compact(struct image *img)
{
    struct vdi *v = img->priv;
    struct owner *list = NULL;
    unsigned n;
    int ret = 0;

    if (v->in_use < v->top && !v->sparse.fixed) {
        list = malloc(ROUND * sizeof *list);
        ret = list ? 0 : -ENOMEM;
    }
    while (!ret && list && v->in_use < v->top) {
        ret = owners_above(img, v->in_use, list, &n);
        if (!ret && !n)
            ret = -EIO;
        if (!ret)
            ret = move_round(img, list, n);
    }
    free(list);
    if (!ret && (v->count != v->top || v->stable != v->top)) {
        v->count = v->top;
        ret = vdi_write_header(img);
        if (!ret)
            ret = sparse_commit(img);
    }
    if (!ret && !v->sparse.fixed && image_size(img->file) > vdi_place(v, v->top) && img->file->ops->resize) {
        struct err e; /* space that stays is no error */

        img->file->ops->resize(img->file, vdi_place(v, v->top), PREALLOC_OFF, true, &e);
        v->sparse.clean_from = image_size(img->file);
    }
    return ret;
}

/* Give each block but the first of a shared place its own copy; forget places outside the file. */
static int mend_round(struct image *img, uint64_t *fixed, bool *more)
{
    struct vdi *v = img->priv;
    struct owner *list = malloc(ROUND * sizeof *list);
    unsigned n = 0;
    int ret = list ? 0 : -ENOMEM;

    *more = false;
    memset(v->used, 0, v->places / 8 + 1);
    v->top = v->in_use = v->lowest = 0;
    for (uint32_t blk = 0; !ret && blk < v->blocks; blk++) {
        uint32_t entry;

        ret = vdi_entry(img, blk, &entry);
        if (ret || entry >= VDI_DISCARDED)
            continue;
        if (entry >= v->places || vdi_place(v, entry) >= image_size(img->file)) {
            ret = vdi_set_entry(img, blk, VDI_UNALLOCATED);
            ++*fixed;
            if (!ret && meta_crowded(&v->sparse.meta))
                ret = sparse_commit(img);
        } else if (!vdi_is_used(v, entry)) {
            vdi_use(v, entry, true);
        } else if (n < ROUND) {
            list[n++] = (struct owner){.blk = blk, .place = entry};
        } else {
            *more = true;
        }
    }
    for (unsigned i = 0; !ret && i < n; i++) {
        ret = vdi_take_place(v, &list[i].to);
        if (!ret)
            ret = vdi_move(img, list[i].place, list[i].to);
        if (!ret)
            ret = vdi_set_entry(img, list[i].blk, list[i].to);
        ++*fixed;
    }
    free(list);
    v->sparse.dirty = true;
    return ret ? ret : sparse_commit(img);
}

static int mend(struct image *img, uint64_t *fixed)
{
    struct vdi *v = img->priv;
    uint64_t bad;
    bool more = true;
    int ret = 0;

    while (!ret && more)
        ret = mend_round(img, fixed, &more);
    if (!ret)
        ret = vdi_scan(img, NULL, NULL, &bad);
    if (!ret && v->count < v->top) {
        v->count = v->top;
        ret = vdi_write_header(img);
    }
    return ret;
}

static void report_counts(const struct vdi *v, struct image_check *c, void (*report)(void *, const char *), void *arg)
{
    char line[160];

    if (v->count < v->top) {
        c->corruptions++;
        snprintf(line, sizeof line, "the header counts %" PRIu32 " blocks, but place %" PRIu32 " is in use", v->count,
                 v->top - 1);
        report(arg, line);
    }
    if (v->in_use < v->top || v->in_use < v->count) {
        c->leaks = (v->count > v->top ? v->count : v->top) - v->in_use;
        snprintf(line, sizeof line, "%" PRIu64 " places of the header's %" PRIu32 " are not in use", c->leaks,
                 v->count);
        report(arg, line);
    }
}

static void no_report(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static bool check_locked(struct image *img, unsigned fix, struct image_check *c, void (*report)(void *, const char *),
                         void *arg, struct err *e)
{
    struct vdi *v = img->priv;
    uint64_t bad, fixed = 0;
    int ret = vdi_places(img) ? 0 : -ENOMEM;

    if (!ret && !img->read_only && !v->damaged)
        ret = sparse_commit(img);
    if (!ret)
        ret = vdi_scan(img, report, arg, &bad);
    if (ret)
        return err_set(e, "disk image '%s': cannot check it: %s", img->path, strerror(-ret));
    c->corruptions = bad;
    c->total_clusters = v->blocks;
    c->allocated_clusters = v->in_use;
    c->image_end_offset = vdi_place(v, v->top);
    report_counts(v, c, report, arg);
    if (fix && img->read_only)
        return err_set(e, "disk image '%s' is opened read-only and cannot be mended", img->path);
    if (fix & IMAGE_FIX_ERRORS && c->corruptions) {
        ret = mend(img, &fixed);
        if (!ret) {
            c->corruptions_fixed = c->corruptions;
            c->corruptions = 0;
        }
    }
    if (!ret && fix & IMAGE_FIX_LEAKS && !v->damaged) {
        uint64_t leaks = c->leaks;

        ret = vdi_compact(img);
        c->leaks_fixed = ret ? 0 : leaks;
        c->leaks = ret ? leaks : 0;
    }
    return !ret || err_set(e, "disk image '%s': cannot mend it: %s", img->path, strerror(-ret));
}

bool vdi_check(struct image *img, unsigned fix, struct image_check *result, void (*report)(void *, const char *line),
               void *arg, struct err *e)
{
    struct vdi *v = img->priv;
    bool ok;

    *result = (struct image_check){0};
    pthread_rwlock_wrlock(&v->sparse.lock);
    ok = check_locked(img, fix, result, report ? report : no_report, arg, e);
    pthread_rwlock_unlock(&v->sparse.lock);
    return ok;
}
