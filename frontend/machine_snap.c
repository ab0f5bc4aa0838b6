/*
 * Snapshots of a running machine, taken at one instant over all its disks; machine_snap_drop.c deletes them.
 *
 * take: the overlays are made and opened first and what the guest has written is flushed, all while it runs. Then every
 * disk is held (no request begins, none is under way), flushed again, linked, renamed, and given its overlay as the top
 * image. That is the pause. Requests that came meanwhile go on in the overlays.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "frontend/drive.h"
#include "frontend/machine_snap.h"
#include "images/block.h"
#include "images/image.h"

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

bool machine_snap_disks(struct machine *m, struct snap_disks *d, struct err *e)
{
    for (unsigned i = 0; i < m->config->drives; i++) {
        const struct drive_config *c = &m->config->drive[i];
        struct block_stats st;
        struct block_info info;

        if (!m->block[i])
            continue;
        block_get_info(m->block[i], &info);
        block_get_stats(m->block[i], &st);
        if (info.read_only)
            continue;
        if (st.snapshot)
            return err_set(e, "disk '%s' runs with snapshot: what it writes is thrown away", c->id ? c->id : c->file);
        if (c->node || c->offset || c->length || c->partition || access(c->file, F_OK))
            return err_set(e, "disk '%s' is no plain file", c->id ? c->id : "drive");
        if (d->n == SNAP_DISKS)
            return err_set(e, "more than %d disks", SNAP_DISKS);
        d->file[d->n] = c->file;
        d->block[d->n++] = m->block[i];
    }
    return d->n || err_set(e, "the machine has no disk that is written to");
}

bool machine_snap_same_path(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];

    return realpath(a, x) && realpath(b, y) && !strcmp(x, y);
}

/*
 * The head whose disks the machine runs on; d is put into its order. A first layer that was no qcow2 has another name on the
 * head: the machine that took the snapshot still calls it by the old one, so the top image's path decides.
 */
struct snap_head *machine_snap_head(struct snap_set *s, struct snap_disks *d, struct err *e)
{
    for (unsigned h = 0; h < s->heads && s->disks == d->n; h++) {
        struct snap_disks sorted = {.n = d->n};
        unsigned found = 0;

        for (unsigned i = 0; i < s->disks; i++) {
            char path[2 * SNAP_PATH];

            snap_full_path(s, s->head[h].path[i], path);
            for (unsigned k = 0; k < d->n; k++) {
                struct block_info info;

                block_get_info(d->block[k], &info);
                if (!machine_snap_same_path(info.path, path))
                    continue;
                sorted.block[i] = d->block[k];
                sorted.file[i] = info.path;
                found++;
            }
        }
        if (found == d->n) {
            *d = sorted;
            return &s->head[h];
        }
    }
    err_set(e, "the disks of the machine are not those of %s", s->path);
    return NULL;
}

/* The set beside the disks, or a new one named after the first of them. */
struct snap_set *machine_snap_set(struct machine *m, struct snap_disks *d, bool make, struct err *e)
{
    char path[SNAP_PATH];
    const char *dot;
    int n;

    for (unsigned i = 0; i < d->n; i++) {
        struct block_info info;

        block_get_info(d->block[i], &info);
        if (snap_find_set(info.path, path))
            return snap_open(path, e);
    }
    if (!make) {
        err_set(e, "there are no snapshots of this machine's disks");
        return NULL;
    }
    (void)m;
    dot = strrchr(d->file[0], '.');
    n = dot && !strchr(dot, '/') ? (int)(dot - d->file[0]) : (int)strlen(d->file[0]);
    snprintf(path, sizeof path, "%.*s.snaps", n, d->file[0]);
    if (snap_exists(path)) {
        err_set(e, "%s is there, and is not of these disks", path);
        return NULL;
    }
    return snap_new(path, d->file, d->n, e);
}

/* --- take --- */

static void close_images(struct image *img[SNAP_DISKS])
{
    for (unsigned i = 0; i < SNAP_DISKS; i++)
        image_close(img[i]);
}

static bool open_overlays(struct snap_set *s, struct image *img[SNAP_DISKS], struct err *e)
{
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH], to[2 * SNAP_PATH], *name;

        snap_take_overlay(s, i, path);
        snap_full_path(s, s->journal.path[i], to);
        img[i] = image_open(path, &(struct image_options){.format = "qcow2", .no_backing = true}, e);
        name = img[i] ? strdup(to) : NULL;
        if (!name)
            return img[i] ? err_set(e, "out of memory") : false;
        free(img[i]->path); /* what it is called from the swap on */
        img[i]->path = name;
    }
    return true;
}

static int flush_top(struct block *b)
{
    struct image *img = block_image(b);

    return img->ops->flush(img);
}

/* All disks are held: make what was written stable, then let the overlays take over. */
static bool swap_all(struct snap_set *s, const struct snap_disks *d, struct image *img[SNAP_DISKS], struct err *e)
{
    for (unsigned i = 0; i < d->n; i++)
        if (flush_top(d->block[i]))
            return err_set(e, "a disk cannot be flushed");
    for (unsigned i = 0; i < d->n; i++) {
        char layer[2 * SNAP_PATH], *name;

        if (!snap_take_swap(s, i, e))
            return false;
        img[i]->backing = block_set_image(d->block[i], img[i]);
        snap_full_path(s, snap_node(s, s->journal.id)->layer[i], layer);
        name = strdup(layer);
        if (name) { /* what it is called now */
            free(img[i]->backing->path);
            img[i]->backing->path = name;
        }
        img[i] = NULL;
    }
    return true;
}

static bool take(struct machine *m, const char *name, uint64_t *pause_ns, struct err *e)
{
    struct snap_disks d = {0};
    struct image *img[SNAP_DISKS] = {0};
    uint64_t sizes[SNAP_DISKS], begin;
    struct snap_set *s = machine_snap_disks(m, &d, e) ? machine_snap_set(m, &d, true, e) : NULL;
    struct snap_head *h = s ? machine_snap_head(s, &d, e) : NULL;
    bool ok = h != NULL;

    for (unsigned i = 0; ok && i < d.n; i++) {
        struct block_info info;

        block_get_info(d.block[i], &info);
        sizes[i] = info.size;
    }
    ok = ok && snap_take_begin(s, h, name, sizes, e) && open_overlays(s, img, e);
    for (unsigned i = 0; ok && i < d.n; i++) { /* so that little is left to flush in the pause */
        block_hold(d.block[i]);
        block_release(d.block[i]);
        flush_top(d.block[i]);
    }
    if (ok) {
        begin = now_ns();
        for (unsigned i = 0; i < d.n; i++)
            block_hold(d.block[i]);
        ok = swap_all(s, &d, img, e);
        for (unsigned i = 0; i < d.n; i++)
            block_release(d.block[i]);
        *pause_ns = now_ns() - begin;
    }
    ok = ok && snap_take_end(s, e);
    close_images(img);
    snap_close(s);
    return ok;
}

/* --- the monitor's words --- */

static void list(struct machine *m, FILE *out)
{
    struct snap_disks d = {0};
    struct err e;
    struct snap_set *s;
    uint64_t done = atomic_load(&m->snap.done), all = atomic_load(&m->snap.all);

    if (atomic_load(&m->snap.state) == SNAP_JOB_RUNNING) {
        fprintf(out, "merging: %" PRIu64 " of %" PRIu64 " MiB\n", done >> 20, all >> 20);
        return;
    }
    machine_snap_join(m);
    if (atomic_load(&m->snap.state) == SNAP_JOB_FAILED)
        fprintf(out, "the last merge failed: %s\n", m->snap.err.msg);
    s = machine_snap_disks(m, &d, &e) ? machine_snap_set(m, &d, false, &e) : NULL;
    if (s)
        snap_list(s, out);
    else
        fprintf(out, "error: %s\n", e.msg);
    snap_close(s);
}

void machine_snap(struct machine *m, const char *verb, const char *name, FILE *out)
{
    const char *what = NULL;
    uint64_t pause = 0;
    struct err e = {{0}};
    bool ok;

    if (!strcmp(verb, "list")) {
        list(m, out);
        return;
    }
    if (!name || (strcmp(verb, "take") && strcmp(verb, "delete"))) {
        fputs("error: snap take NAME, snap delete NAME, or snap list\n", out);
        return;
    }
    if (atomic_load(&m->snap.state) == SNAP_JOB_RUNNING) {
        fputs("error: a merge is under way\n", out);
        return;
    }
    ok = !strcmp(verb, "take") ? take(m, name, &pause, &e) : machine_snap_drop(m, name, &what, &e);
    if (!ok)
        fprintf(out, "error: %s\n", e.msg);
    else if (what)
        fprintf(out, "%s: %s\n", name, what);
    else
        fprintf(out, "%s: taken; the disks paused for %" PRIu64 ".%03" PRIu64 " ms\n", name, pause / 1000000,
                pause / 1000 % 1000);
}

/* A take that a crash interrupted is completed before its disks are used. */
bool machine_snap_recover(const struct machine_config *c, struct err *e)
{
    for (unsigned i = 0; i < c->drives; i++) {
        char path[SNAP_PATH];
        struct snap_set *s;

        if (c->drive[i].node || !c->drive[i].file || !snap_find_set(c->drive[i].file, path) || !snap_interrupted(path))
            continue;
        s = snap_open(path, e);
        if (!s)
            return false;
        snap_close(s);
    }
    return true;
}
