/* Shapes of images and random steps of work: see workload.h. */
#include "tests/disk/workload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const step_names[STEP_KINDS] = {
    [STEP_WRITE] = "write",       [STEP_COMPRESSED] = "write compressed",
    [STEP_ZERO] = "write zeroes", [STEP_DISCARD] = "discard",
    [STEP_FLUSH] = "flush",       [STEP_RESIZE] = "resize",
    [STEP_SNAPSHOT] = "snapshot", [STEP_APPLY] = "apply",
    [STEP_DELETE] = "delete",     [STEP_REOPEN] = "reopen",
};

static unsigned cluster_bits_random(struct rng *r)
{
    /* Small clusters fill their tables soon; large ones make the states large, and are drawn seldom. */
    uint64_t x = rng_below(r, 100);

    return x < 60 ? 9 : x < 70 ? 10 : x < 80 ? 12 : x < 95 ? 14 : x < 99 ? 16 : 17 + (unsigned)rng_below(r, 5);
}

void shape_random(struct shape *s, const char *format, struct rng *r)
{
    uint64_t clusters;
    bool ext;

    *s = (struct shape){.format = format, .cluster_bits = 9, .v3 = true, .discards = true};
    if (!strcmp(format, "raw") || !strcmp(format, "vdi")) {
        s->cluster_bits = !strcmp(format, "vdi") ? 20 : 12;
        s->resizes = false;
        s->sectors = s->sectors_max = !strcmp(format, "vdi") ? 2048 * (1 + rng_below(r, 6)) : 8 + rng_below(r, 500);
        return;
    }
    s->cluster_bits = cluster_bits_random(r);
    s->v3 = !rng_one_in(r, 5);
    s->refcount_bits = s->v3 ? 1u << rng_below(r, 7) : 16;
    s->lazy = s->v3 && rng_one_in(r, 4);
    ext = s->v3 && s->cluster_bits >= 14 && rng_one_in(r, 2);
    snprintf(s->options, sizeof s->options, "cluster_size=%u,refcount_bits=%u,compat=%s,lazy_refcounts=%s%s%s",
             1u << s->cluster_bits, s->refcount_bits, s->v3 ? "1.1" : "0.10", s->lazy ? "on" : "off",
             ext ? ",extended_l2=on" : "", s->v3 && rng_one_in(r, 2) ? ",compression_type=zstd" : "");
    clusters = 4 + rng_below(r, s->cluster_bits < 12 ? 1000 : s->cluster_bits < 16 ? 60 : 6);
    s->sectors = (clusters << s->cluster_bits) / SECTOR;
    s->sectors_max = s->sectors + s->sectors / 2;
    if (rng_one_in(r, 3))
        s->sectors -= rng_below(r, (1u << s->cluster_bits) / SECTOR);
    s->backing = rng_one_in(r, 3);
    s->snapshots = s->resizes = s->compresses = true;
}

bool shape_backing_file(const struct shape *s, const char *dir)
{
    uint8_t *buf = malloc(s->sectors * SECTOR);
    char path[1024];
    bool ok = buf;

    for (uint64_t i = 0; ok && i < s->sectors; i++)
        stamp_fill(buf + i * SECTOR, BACKING_STAMP, i);
    snprintf(path, sizeof path, "%s/backing.raw", dir);
    ok = ok && file_write(path, buf, s->sectors * SECTOR);
    free(buf);
    return ok;
}

static uint8_t *create_ours(const struct shape *s, const char *dir, uint64_t *size)
{
    char path[1024], backing[1024];
    struct image *file = memory_new(NULL, 0);
    struct image_create c = {.path = path, .format = s->format, .size = s->sectors * SECTOR, .file = file};
    uint8_t *data = NULL;
    struct err e = {{0}};

    snprintf(path, sizeof path, "%s/disk.img", dir);
    snprintf(backing, sizeof backing, "%s/backing.raw", dir);
    c.options = *s->options ? s->options : NULL;
    if (s->backing) {
        c.backing = backing;
        c.backing_format = "raw";
    }
    if (file && image_create(&c, &e)) {
        *size = file->size;
        data = malloc(*size);
        if (data)
            memcpy(data, memory_data(file), *size);
    } else {
        note("create: %s", e.msg);
    }
    image_close(file);
    return data;
}

static uint8_t *create_qemu(const struct shape *s, const char *dir, uint64_t *size)
{
    char path[1024], backing[1100] = "";
    uint8_t *data;

    snprintf(path, sizeof path, "%s/new.img", dir);
    if (s->backing)
        snprintf(backing, sizeof backing, "-b '%s/backing.raw' -F raw", dir);
    if (shell(NULL, "qemu-img create -q -f %s %s%s %s '%s' %" PRIu64 " >&2", s->format, *s->options ? "-o " : "",
              s->options, backing, path, s->sectors * SECTOR))
        return NULL;
    data = file_read(path, size);
    remove(path);
    return data;
}

uint8_t *shape_create(const struct shape *s, const char *dir, bool ours, uint64_t *size)
{
    if (!strcmp(s->format, "raw")) {
        *size = s->sectors * SECTOR;
        return calloc(s->sectors, SECTOR);
    }
    return ours ? create_ours(s, dir, size) : create_qemu(s, dir, size);
}

struct image *shape_open(const struct shape *s, struct image *file, const char *dir, const struct image_options *o,
                         struct err *e)
{
    struct image_options opt = o ? *o : (struct image_options){0};
    char path[1024];

    if (!strcmp(s->format, "raw"))
        return file;
    snprintf(path, sizeof path, "%s/disk.img", dir);
    opt.format = s->format;
    opt.file = file;
    opt.trust_paths = true;
    return image_open(path, &opt, e);
}

void workload_init(struct workload *w, const struct shape *shape, uint64_t seed)
{
    *w = (struct workload){.shape = *shape, .rng = {seed}, .sectors = shape->sectors, .stamp = FIRST_STAMP};
    w->span = w->sectors;
}

void workload_part(struct workload *part, const struct workload *whole, uint64_t base, uint64_t span, uint32_t stamp,
                   uint64_t seed)
{
    *part = *whole;
    part->rng = (struct rng){seed};
    part->part = true;
    part->base = part->hot = base;
    part->span = span;
    part->stamp = stamp;
}

/* A range: mostly near the hot place, mostly short, often along cluster borders. */
static void range(struct workload *w, struct step *s)
{
    struct rng *r = &w->rng;
    uint64_t cluster = (UINT64_C(1) << w->shape.cluster_bits) / SECTOR, limit = w->base + w->span;

    if (rng_one_in(r, 12))
        w->hot = w->base + rng_below(r, w->span);
    s->sector = rng_one_in(r, 4) ? w->base + rng_below(r, w->span) : w->hot + rng_below(r, cluster * 4);
    if (s->sector >= limit)
        s->sector = limit - 1 - rng_below(r, w->span < 4 ? w->span : 4);
    s->count = 1 + rng_below(r, rng_one_in(r, 3) ? cluster * 3 : rng_one_in(r, 8) ? cluster * 20 : 12);
    if (rng_one_in(r, 3) && s->sector - s->sector % cluster >= w->base) {
        s->sector -= s->sector % cluster;
        s->count += (cluster - s->count % cluster) % cluster;
    }
    if (s->count > limit - s->sector)
        s->count = limit - s->sector;
}

/* The whole cluster, if all of it is ours; else it is written plainly. */
static void compressed_range(struct workload *w, struct step *s)
{
    uint64_t cluster = (UINT64_C(1) << w->shape.cluster_bits) / SECTOR, from = s->sector - s->sector % cluster;
    uint64_t count = w->sectors - from < cluster ? w->sectors - from : cluster;

    if (from < w->base || from + count > w->base + w->span) {
        s->kind = STEP_WRITE;
        return;
    }
    s->sector = from;
    s->count = count;
}

static void snapshot_step(struct workload *w, struct step *s)
{
    unsigned which = (unsigned)rng_below(&w->rng, w->n_snaps);

    if (w->n_snaps && (w->n_snaps == 3 || rng_one_in(&w->rng, 2))) {
        s->kind = rng_one_in(&w->rng, 2) ? STEP_APPLY : STEP_DELETE;
        snprintf(s->name, sizeof s->name, "%s", w->snaps[which]);
    } else {
        s->kind = STEP_SNAPSHOT;
        snprintf(s->name, sizeof s->name, "s%u", ++w->serial % 100000);
    }
}

void workload_next(struct workload *w, struct step *s)
{
    struct rng *r = &w->rng;
    uint64_t x = rng_below(r, 100);

    *s = (struct step){.kind = STEP_WRITE, .from = w->base, .to = w->part ? w->base + w->span : UINT64_MAX};
    range(w, s);
    if (x < 45) {
        s->kind = STEP_WRITE;
    } else if (x < 55) {
        s->kind = w->shape.compresses ? STEP_COMPRESSED : STEP_WRITE;
    } else if (x < 63) {
        s->kind = STEP_ZERO;
    } else if (x < 73) {
        s->kind = w->shape.discards ? STEP_DISCARD : STEP_ZERO;
    } else if (x < 87) {
        s->kind = STEP_FLUSH;
    } else if (x < 95 && w->shape.snapshots && !w->part) {
        snapshot_step(w, s);
    } else if (x < 98 && w->shape.resizes && !w->part) {
        s->kind = STEP_RESIZE;
        s->count = w->shape.sectors_max / 3 + rng_below(r, w->shape.sectors_max - w->shape.sectors_max / 3) + 1;
    } else if (x >= 98 && !w->part) {
        s->kind = STEP_REOPEN;
    }
    if (s->kind == STEP_COMPRESSED)
        compressed_range(w, s);
    if (s->kind == STEP_WRITE || s->kind == STEP_COMPRESSED)
        s->stamp = w->stamp++ | (rng_one_in(r, 5) ? STAMP_NOISE : 0);
    if (s->kind == STEP_WRITE && rng_one_in(r, 10))
        s->flags = IMAGE_FUA;
    if (s->kind == STEP_ZERO && rng_one_in(r, 2))
        s->flags = IMAGE_UNMAP;
}

void workload_done(struct workload *w, struct step *s, const struct image *img)
{
    w->sectors = s->size = img->size / SECTOR;
    if (w->sectors > w->shape.sectors_max)
        w->sectors = w->shape.sectors_max;
    w->span = w->sectors;
    if (w->hot >= w->sectors)
        w->hot = 0;
    if (s->result < 0)
        return;
    if (s->kind == STEP_SNAPSHOT && w->n_snaps < 3)
        memcpy(w->snaps[w->n_snaps++], s->name, sizeof s->name);
    for (unsigned i = 0; s->kind == STEP_DELETE && i < w->n_snaps; i++)
        if (!strcmp(w->snaps[i], s->name)) {
            memmove(w->snaps[i], w->snaps[--w->n_snaps], sizeof w->snaps[i]);
            break;
        }
}

static int write_step(struct image *img, const struct step *s)
{
    uint8_t *buf = malloc(s->count * SECTOR);
    int ret = -EOPNOTSUPP;

    if (!buf)
        return -ENOMEM;
    for (uint64_t i = 0; i < s->count; i++)
        stamp_fill(buf + i * SECTOR, s->stamp, s->sector + i);
    if (s->kind == STEP_COMPRESSED && img->ops->write_compressed)
        ret = img->ops->write_compressed(img, buf, s->sector * SECTOR, s->count * SECTOR);
    if (ret == -EOPNOTSUPP)
        ret = image_write_at(img, buf, s->count * SECTOR, s->sector * SECTOR, s->flags);
    free(buf);
    return ret;
}

static int snapshot_take(struct image *img, const char *name, struct err *e)
{
    struct image_snapshot sn = {.disk_size = img->size, .icount = UINT64_MAX};

    snprintf(sn.name, sizeof sn.name, "%s", name);
    return img->ops->snapshot_create(img, &sn, e) ? 0 : -EIO;
}

int step_run(struct image *img, struct step *s)
{
    const struct image_ops *ops = img->ops;
    uint64_t off = s->sector * SECTOR, len = s->count * SECTOR;
    struct err e;
    int ret = -EOPNOTSUPP;

    switch (s->kind) {
    case STEP_WRITE:
    case STEP_COMPRESSED: ret = write_step(img, s); break;
    case STEP_ZERO: ret = ops->write_zeroes(img, off, len, s->flags); break;
    case STEP_DISCARD: ret = ops->discard(img, off, len); break;
    case STEP_FLUSH: ret = ops->flush(img); break;
    case STEP_RESIZE:
        if (ops->resize)
            ret = ops->resize(img, len, PREALLOC_OFF, true, &e);
        break;
    case STEP_SNAPSHOT:
        if (ops->snapshot_create)
            ret = snapshot_take(img, s->name, &e);
        break;
    case STEP_APPLY:
        if (ops->snapshot_apply)
            ret = ops->snapshot_apply(img, s->name, &e) ? 0 : -EIO;
        break;
    case STEP_DELETE:
        if (ops->snapshot_delete)
            ret = ops->snapshot_delete(img, s->name, &e) ? 0 : -EIO;
        break;
    case STEP_REOPEN:
    case STEP_KINDS: break;
    }
    return s->result = ret;
}

void step_print(const struct step *s, char *text, size_t n)
{
    if (s->kind == STEP_FLUSH || s->kind == STEP_REOPEN)
        snprintf(text, n, "%s = %d", step_names[s->kind], s->result);
    else if (s->kind == STEP_RESIZE)
        snprintf(text, n, "resize to %" PRIu64 " sectors = %d", s->count, s->result);
    else if (*s->name)
        snprintf(text, n, "%s %s = %d", step_names[s->kind], s->name, s->result);
    else
        snprintf(text, n, "%s %u%s at %" PRIu64 "+%" PRIu64 " = %d", step_names[s->kind],
                 s->stamp & ~(uint32_t)STAMP_NOISE, s->flags ? " (flag)" : "", s->sector, s->count, s->result);
}
