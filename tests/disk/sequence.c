/* Random work on a chain of images: see sequence.h. */
#include "tests/disk/sequence.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[OP_KINDS] = {
    [OP_WRITE] = "write",   [OP_NOISE] = "write of noise", [OP_COMPRESSED] = "compressed write",
    [OP_ZERO] = "zeroes",   [OP_DISCARD] = "discard",      [OP_FLUSH] = "flush",
    [OP_REOPEN] = "reopen",
};

bool failed(struct sequence *q, const char *fmt, ...)
{
    va_list ap;

    if (*q->why) /* the first reason is the one */
        return false;
    va_start(ap, fmt);
    vsnprintf(q->why, sizeof q->why, fmt, ap);
    va_end(ap);
    return false;
}

void say(const struct sequence *q, enum side side, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    if (!q->o->verbose)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    note("%s: %s", side == OURS ? "ours" : "qemu", text);
}

static enum side side_random(struct sequence *q) { return rng_below(&q->rng, 4) < q->ours_of_4 ? OURS : QEMU; }

static void view_size(struct layer *l, uint64_t size)
{
    uint64_t sectors = (size + SECTOR - 1) / SECTOR, had = (l->view.size + SECTOR - 1) / SECTOR;

    if (size > l->view.cap) {
        l->view.data = realloc(l->view.data, size);
        l->loose = realloc(l->loose, sectors);
        l->touched = realloc(l->touched, sectors);
        if (!l->view.data || !l->loose || !l->touched)
            abort();
        l->view.cap = size;
    }
    for (uint64_t i = sectors; i < had; i++)
        l->loose_n -= l->loose[i];
    if (size > l->view.size)
        memset(l->view.data + l->view.size, 0, size - l->view.size);
    if (sectors > had) {
        memset(l->loose + had, 0, sectors - had);
        memset(l->touched + had, had || l->preallocated, sectors - had); /* growing may have to write zeroes */
    }
    l->view.size = size;
}

static void layer_drop(struct layer *l)
{
    remove(l->path);
    free(l->view.data);
    free(l->loose);
    free(l->touched);
    for (unsigned i = 0; i < l->n_snaps; i++)
        free(l->snaps[i].bytes.data);
    *l = (struct layer){0};
}

/* --- making images ----------------------------------------------------------------------------------------------- */

static void layer_shape(struct sequence *q, struct layer *l)
{
    struct rng *r = &q->rng;
    uint64_t x = rng_below(r, 100);
    const char *prealloc = "";
    bool ext;

    l->format = "qcow2";
    l->cluster_bits = x < 30   ? 9
                      : x < 55 ? 10 + (unsigned)rng_below(r, 4)
                      : x < 75 ? 14 + (unsigned)rng_below(r, 2)
                      : x < 92 ? 16
                               : 17 + (unsigned)rng_below(r, 5);
    l->v3 = !rng_one_in(r, 5);
    l->refcount_bits = l->v3 ? 1u << rng_below(r, 7) : 16;
    ext = l->v3 && l->cluster_bits >= 14 && rng_one_in(r, 3);
    l->preallocated = rng_one_in(r, 12);
    if (l->preallocated) {
        static const char *const kinds[] = {"metadata", "falloc", "full"};

        prealloc = kinds[rng_below(r, 3)];
    }
    snprintf(l->options, sizeof l->options, "cluster_size=%u,refcount_bits=%u,compat=%s%s%s%s%s%s",
             1u << l->cluster_bits, l->refcount_bits, l->v3 ? "1.1" : "0.10",
             l->v3 && rng_one_in(r, 4) ? ",lazy_refcounts=on" : "", ext ? ",extended_l2=on" : "",
             l->v3 && rng_one_in(r, 2) ? ",compression_type=zstd" : "", *prealloc ? ",preallocation=" : "", prealloc);
}

static uint64_t size_random(struct sequence *q, unsigned cluster_bits)
{
    uint64_t most = cluster_bits < 12 ? 1 << 20 : cluster_bits < 17 ? 4 << 20 : 24 << 20;
    uint64_t size = (1 + rng_below(&q->rng, most / SECTOR)) * SECTOR;

    return rng_one_in(&q->rng, 8) ? (1 + rng_below(&q->rng, 8)) * SECTOR : size;
}

static bool raw_bottom(struct sequence *q, struct layer *l)
{
    l->format = "raw";
    view_size(l, size_random(q, 12));
    for (unsigned i = 0; i < 10; i++) {
        uint64_t off = rng_below(&q->rng, l->view.size), len = 1 + rng_below(&q->rng, 65536);

        noise_fill(l->view.data + off, off, len < l->view.size - off ? len : l->view.size - off, (uint8_t)i);
    }
    return file_write(l->path, l->view.data, l->view.size) || failed(q, "cannot write %.500s", l->path);
}

static bool layer_create(struct sequence *q, struct layer *l, const struct layer *backing, uint64_t size)
{
    enum side side = side_random(q);
    struct image_create c = {.path = l->path, .format = "qcow2", .size = size, .options = l->options};
    char under[700] = "", *out;
    struct err e = {{0}};
    int code;

    say(q, side, "create %s, %" PRIu64 " bytes, %s%s%s", l->path, size, l->options, backing ? " on " : "",
        backing ? backing->path : "");
    if (side == OURS) {
        c.backing = backing ? backing->path : NULL;
        c.backing_format = backing ? backing->format : NULL;
        return image_create(&c, &e) || failed(q, "we cannot create (%.200s): %.500s", l->options, e.msg);
    }
    if (backing)
        snprintf(under, sizeof under, "-b '%s' -F %s", backing->path, backing->format);
    code = shell(&out, "qemu-img create -q -f qcow2 -o %s %s '%s' %" PRIu64 " 2>&1", l->options, under, l->path, size);
    if (code)
        failed(q, "qemu-img create -o %s fails: %.500s", l->options, out);
    free(out);
    return !code;
}

static bool layer_add(struct sequence *q)
{
    struct layer *l = &q->layers[q->n], *under = q->n ? top(q) : NULL;
    uint64_t size;

    if (under && !layer_settle(q))
        return false;
    *l = (struct layer){0};
    snprintf(l->path, sizeof l->path, "%s/%u.img", q->o->dir, q->serial++);
    q->n++;
    if (!under && rng_one_in(&q->rng, 4))
        return raw_bottom(q, l);
    do
        layer_shape(q, l);
    while (under && l->preallocated); /* not with a backing file */
    size = !under || rng_one_in(&q->rng, 3) ? size_random(q, l->cluster_bits) : under->view.size;
    q->did.overlays += q->n > 1;
    view_size(l, size);
    if (under)
        memcpy(l->view.data, under->view.data, size < under->view.size ? size : under->view.size);
    return layer_create(q, l, under, size);
}

bool sequence_begin(struct sequence *q)
{
    static const unsigned mixes[] = {4, 0, 2};

    q->rng = (struct rng){q->seed};
    q->ours_of_4 = mixes[q->seed % 3];
    if (!layer_add(q))
        return false;
    return strcmp(top(q)->format, "raw") != 0 || layer_add(q);
}

void sequence_end(struct sequence *q)
{
    while (q->n)
        layer_drop(&q->layers[--q->n]);
}

/* --- operations on the open image -------------------------------------------------------------------------------- */

static void op_random(struct sequence *q, struct op *op)
{
    static const enum op_kind kinds[] = {OP_WRITE,      OP_WRITE,      OP_WRITE, OP_NOISE, OP_NOISE,
                                         OP_COMPRESSED, OP_COMPRESSED, OP_ZERO,  OP_ZERO,  OP_DISCARD,
                                         OP_DISCARD,    OP_FLUSH,      OP_REOPEN};
    struct rng *r = &q->rng;
    const struct layer *l = top(q);
    uint64_t size = l->view.size, cluster = UINT64_C(1) << l->cluster_bits,
             most = rng_one_in(r, 6) ? size : cluster * 3;

    *op = (struct op){.kind = kinds[rng_below(r, sizeof kinds / sizeof *kinds)],
                      .byte = (uint8_t)(1 + rng_below(r, 255))};
    op->flag = rng_one_in(r, op->kind == OP_ZERO ? 2 : 8);
    op->off = rng_below(r, size) & ~(uint64_t)(SECTOR - 1);
    op->len = (1 + rng_below(r, most / SECTOR)) * SECTOR;
    if (rng_one_in(r, 3) || op->kind == OP_COMPRESSED) {
        op->off &= ~(cluster - 1);
        op->len = op->kind == OP_COMPRESSED ? cluster : (op->len + cluster - 1) & ~(cluster - 1);
    }
    if (op->len > (1 << 20) && op->kind == OP_NOISE)
        op->len = 1 << 20;
    if (op->len > size - op->off)
        op->len = size - op->off;
}

static void tighten(struct layer *l, uint64_t off, uint64_t len)
{
    for (uint64_t i = off / SECTOR; i < (off + len + SECTOR - 1) / SECTOR; i++) {
        l->loose_n -= l->loose[i];
        l->loose[i] = 0;
    }
}

static void op_model(struct layer *l, const struct op *op)
{
    uint8_t *at = l->view.data + op->off;

    if (op->result < 0)
        return;
    switch (op->kind) {
    case OP_WRITE:
    case OP_COMPRESSED: memset(at, op->byte, op->len); break;
    case OP_NOISE: noise_fill(at, op->off, op->len, op->byte); break;
    case OP_ZERO: memset(at, 0, op->len); break;
    case OP_DISCARD:
        tighten(l, op->off, op->len);
        memset(l->loose + op->off / SECTOR, 1, op->len / SECTOR);
        l->loose_n += op->len / SECTOR;
        return;
    default: return;
    }
    tighten(l, op->off, op->len);
}

/* Are clusters of an operation perhaps allocated? mark: from now on they are. */
static bool touched(struct layer *l, const struct op *op, bool mark)
{
    uint64_t cluster = (UINT64_C(1) << l->cluster_bits) / SECTOR, from = op->off / SECTOR / cluster * cluster;
    uint64_t end = ((op->off + op->len) / SECTOR + cluster - 1) / cluster * cluster, most = l->view.size / SECTOR;
    bool before = false;

    if (op->kind == OP_FLUSH || op->kind == OP_REOPEN)
        return false;
    for (uint64_t i = from; i < end && i < most; i++) {
        before |= l->touched[i];
        l->touched[i] |= mark;
    }
    return before;
}

static bool batch(struct sequence *q)
{
    unsigned n = 1 + (unsigned)rng_below(&q->rng, BATCH_MAX);
    enum side side = side_random(q);
    struct op ops[BATCH_MAX];
    bool freed = false;

    for (unsigned i = 0; i < n; i++) {
        op_random(q, &ops[i]);
        /*
         * QEMU 10 writes compressed clusters once: over another it fails and leaves wrong refcounts, and when the
         * place it would go on at was freed by the same process it writes into what has the place by then.
         */
        if (side == QEMU && ops[i].kind == OP_COMPRESSED && (freed || touched(top(q), &ops[i], false)))
            ops[i].kind = OP_WRITE;
        freed |= touched(top(q), &ops[i], true);
    }
    if (!(side == OURS ? ours_batch : qemu_batch)(q, ops, n))
        return false;
    for (unsigned i = 0; i < n; i++) {
        const struct op *op = &ops[i];

        say(q, side, "%s %u at %" PRIu64 "+%" PRIu64 "%s = %d", op_names[op->kind], op->byte, op->off, op->len,
            op->flag ? " (flag)" : "", op->result);
        if (op->result < 0 && (side == QEMU || op->kind != OP_COMPRESSED))
            return failed(q, "%s: %s fails: %d", side == OURS ? "ours" : "qemu", op_names[op->kind], op->result);
        op_model(top(q), op);
        q->did.ops++;
        q->did.refused += op->result < 0;
    }
    return true;
}

/* The loose places of the top as one side reads them. */
bool layer_settle(struct sequence *q)
{
    struct layer *l = top(q);
    const struct layer *under = q->n > 1 ? l - 1 : NULL;
    enum side side = side_random(q);
    struct bytes seen;
    bool ok;

    if (!l->loose_n)
        return true;
    ok = (side == OURS ? ours_read : qemu_read)(q, l, NULL, &seen);
    if (ok && seen.size != l->view.size)
        ok = failed(q, "the disk has %" PRIu64 " bytes, not %" PRIu64, seen.size, l->view.size);
    for (uint64_t i = 0; ok && i < l->view.size / SECTOR; i++) {
        static const uint8_t zero[SECTOR];
        const uint8_t *s = seen.data + i * SECTOR;
        bool below_ok =
            under && !l->v3 &&
            ((i + 1) * SECTOR <= under->view.size ? !memcmp(s, under->view.data + i * SECTOR, SECTOR) : false);

        if (!l->loose[i])
            continue;
        if (memcmp(s, l->view.data + i * SECTOR, SECTOR) != 0 && memcmp(s, zero, SECTOR) != 0 && !below_ok)
            ok = failed(q, "%s read after a discard, at %" PRIu64 ", what was never there",
                        side == OURS ? "we" : "qemu", i * SECTOR);
        else
            memcpy(l->view.data + i * SECTOR, s, SECTOR);
        l->loose[i] = 0;
    }
    l->loose_n = 0;
    free(seen.data);
    return ok;
}

/* --- operations on the image as a whole -------------------------------------------------------------------------- */

static bool tool(struct sequence *q, bool may_fail, bool *refused, const char *cmd)
{
    char *out;
    int code = shell(&out, "%s 2>&1", cmd);

    *refused = code != 0;
    if (code)
        say(q, QEMU, "refused: %.400s", out);
    if (code && !may_fail)
        failed(q, "%.500s: %.500s", cmd, out);
    q->did.refused += *refused;
    free(out);
    return !code || may_fail;
}

/* May a refcount overflow? A cluster is shared by three snapshots and, compressed, by many guest clusters. */
static bool narrow(const struct layer *l) { return l->refcount_bits < 16; }

static bool our_snapshot(struct sequence *q, char letter, const char *name, bool *refused)
{
    struct image *img = layer_open(q, top(q), true);
    struct image_snapshot s = {.disk_size = top(q)->view.size, .icount = UINT64_MAX, .date_sec = 1700000000};
    struct err e = {{0}};
    bool ok;

    if (!img)
        return false;
    snprintf(s.name, sizeof s.name, "%s", name);
    if (letter == 'c')
        ok = img->ops->snapshot_create(img, &s, &e);
    else
        ok = (letter == 'a' ? img->ops->snapshot_apply : img->ops->snapshot_delete)(img, name, &e);
    image_close(img);
    *refused = !ok;
    if (!ok)
        say(q, OURS, "refused: %s", e.msg);
    return ok || letter == 'c' || letter == 'a' || failed(q, "our snapshot -%c %s: %.500s", letter, name, e.msg);
}

/*
 * Refused where the refcounts are too narrow (create), or (apply) where the disk's size was another. QEMU 10, when it
 * runs out of refcount in the middle of a snapshot, leaves wrong refcounts: the narrow ones are our work alone.
 */
static bool snapshot_do(struct sequence *q, char letter, const char *name, bool *refused)
{
    enum side side = narrow(top(q)) ? OURS : side_random(q);
    char cmd[700];

    say(q, side, "snapshot -%c %s", letter, name);
    q->did.snapshots++;
    if (side == OURS)
        return our_snapshot(q, letter, name, refused);
    snprintf(cmd, sizeof cmd, "qemu-img snapshot -%c %s '%s'", letter, name, top(q)->path);
    return tool(q, letter != 'd', refused, cmd);
}

static bool snapshot(struct sequence *q)
{
    struct layer *l = top(q);
    struct held *s = &l->snaps[l->n_snaps];
    bool refused, take = l->n_snaps < SNAPSHOTS_MAX && (!l->n_snaps || rng_one_in(&q->rng, 2));

    if (narrow(l) && !q->ours_of_4)
        return batch(q);
    if (!layer_settle(q))
        return false;
    if (take) {
        snprintf(s->name, sizeof s->name, "s%u", q->serial++);
        if (!snapshot_do(q, 'c', s->name, &refused))
            return false;
        if (refused)
            return l->refcount_bits < 8 ||
                   failed(q, "a snapshot is refused, with refcounts of %u bits", l->refcount_bits);
        s->bytes = (struct bytes){0};
        bytes_copy(&s->bytes, &l->view);
        l->n_snaps++;
        return true;
    }
    s = &l->snaps[rng_below(&q->rng, l->n_snaps)];
    if (rng_one_in(&q->rng, 2)) {
        if (!snapshot_do(q, 'a', s->name, &refused))
            return false;
        if (refused)
            return s->bytes.size != l->view.size || narrow(l) || failed(q, "a snapshot is not applied");
        view_size(l, s->bytes.size);
        memcpy(l->view.data, s->bytes.data, s->bytes.size);
        memset(l->touched, 1, l->view.size / SECTOR);
        return true;
    }
    if (!snapshot_do(q, 'd', s->name, &refused))
        return false;
    free(s->bytes.data);
    *s = l->snaps[--l->n_snaps];
    return true;
}

static bool resize(struct sequence *q)
{
    struct layer *l = top(q);
    uint64_t size = rng_one_in(&q->rng, 3) ? l->view.size + SECTOR * (1 + rng_below(&q->rng, 200))
                                           : size_random(q, l->cluster_bits);
    uint64_t cluster = UINT64_C(1) << l->cluster_bits;
    enum side side = side_random(q);
    bool refused;
    char cmd[700];

    if (!layer_settle(q))
        return false;
    /* QEMU 10 leaves the rest of a cut cluster as it was, and shows it when the disk grows again. */
    if (side == QEMU && size < l->view.size)
        size = (size + cluster - 1) & ~(cluster - 1);
    else if (side == QEMU && l->cut)
        side = OURS;
    l->cut = side == OURS && size < l->view.size && size & (cluster - 1);
    say(q, side, "resize to %" PRIu64, size);
    q->did.resizes++;
    if (side == OURS) {
        struct image *img = layer_open(q, l, true);
        struct err e = {{0}};
        int ret = img ? img->ops->resize(img, size, PREALLOC_OFF, true, &e) : -1;

        image_close(img);
        if (!img)
            return false;
        refused = ret < 0;
        if (refused)
            say(q, OURS, "refused: %s", e.msg);
    } else {
        snprintf(cmd, sizeof cmd, "qemu-img resize -q --shrink -f qcow2 '%s' %" PRIu64, l->path, size);
        if (!tool(q, true, &refused, cmd))
            return false;
    }
    if (refused) /* version 2 keeps no size with its snapshots, and QEMU 10 writes it no zeroes over a backing file */
        return !l->v3 || l->n_snaps || failed(q, "a resize to %" PRIu64 " is refused", size);
    view_size(l, size);
    return true;
}

/* Through a program of the user's: qemu-img, or ours under the same name. */
static bool whole(struct sequence *q, const char *args)
{
    enum side side = q->guise ? side_random(q) : QEMU;
    bool refused;
    char cmd[1500];

    say(q, side, "%s", args);
    snprintf(cmd, sizeof cmd, "%s%s %s", side == OURS ? q->guise : "qemu-img", side == OURS ? " img" : "", args);
    return tool(q, false, &refused, cmd);
}

/* The top's content goes into its backing image. */
static bool commit(struct sequence *q)
{
    struct layer *l = top(q), *under = l - 1;
    bool keep = rng_one_in(&q->rng, 2);
    char args[700];

    /* A base that must grow: not with snapshots, and (QEMU 10, version 2) not over a backing file. */
    if (l->n_snaps || (under->view.size < l->view.size && (under->n_snaps || (!under->v3 && q->n > 2))) ||
        !layer_settle(q))
        return !*q->why;
    snprintf(args, sizeof args, "commit -q %s -f qcow2 '%s'", keep ? "" : "-d", l->path);
    if (!whole(q, args))
        return false;
    q->did.commits++;
    if (under->view.size < l->view.size)
        view_size(under, l->view.size);
    memcpy(under->view.data, l->view.data, l->view.size);
    memset(under->touched, 1, under->view.size / SECTOR);
    under->verified = false;
    if (!keep && !strcmp(under->format, "qcow2"))
        layer_drop(&q->layers[--q->n]);
    return true;
}

/* The top stands on another layer of its chain, or on none, and reads the same. */
static bool rebase(struct sequence *q)
{
    struct layer *l = top(q);
    unsigned onto = (unsigned)rng_below(&q->rng, q->n); /* 0: none; else layer onto - 1 */
    char args[1300];

    if (l->n_snaps || !layer_settle(q))
        return !*q->why;
    if (onto)
        snprintf(args, sizeof args, "rebase -f qcow2 -b '%s' -F %s '%s'", q->layers[onto - 1].path,
                 q->layers[onto - 1].format, l->path);
    else
        snprintf(args, sizeof args, "rebase -f qcow2 -b '' '%s'", l->path);
    if (!whole(q, args))
        return false;
    q->did.rebases++;
    memset(l->touched, 1, l->view.size / SECTOR);
    l->cut = true; /* QEMU 10 fills the last cluster from a longer backing file, beyond the disk's end too */
    for (unsigned i = onto; i < q->n - 1; i++)
        layer_drop(&q->layers[i]);
    q->layers[onto] = *l;
    q->n = onto + 1;
    return true;
}

bool sequence_step(struct sequence *q)
{
    uint64_t x = rng_below(&q->rng, 100);

    top(q)->verified = false;
    if (x < 60)
        return batch(q);
    if (x < 75)
        return snapshot(q);
    if (x < 84)
        return resize(q);
    if (x < 92)
        return q->n == LAYERS_MAX || layer_add(q);
    if (q->n < 2)
        return batch(q);
    return x < 96 ? commit(q) : rebase(q);
}
