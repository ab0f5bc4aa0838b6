/*
 * Deleting a snapshot of a running machine: its layers are merged into what came after them, in a thread beside the guest.
 *
 * The disk is held for each step of the merge, so nobody reads or writes its chain meanwhile. What takes the layer's data is
 * the live top image, or an older layer further down the chain, which is frozen: that one is opened anew for writing, with
 * the lock of a writer, so that a layer which another machine's chain leads through is left alone. A layer of a branch that
 * this machine does not run on is deleted as `guise snap delete` does it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/machine_snap.h"
#include "images/block.h"
#include "images/file.h"

enum { STEP = 2 << 20 }; /* bytes merged while the disk is held */

/* The image of the chain that lies over the layer at path; NULL: the chain does not lead there. */
static struct image *over_layer(struct image *top, const char *path)
{
    for (struct image *img = top; img->backing; img = img->backing)
        if (machine_snap_same_path(img->backing->path, path))
            return img;
    return NULL;
}

/* --- a frozen layer in a live chain --- */

static struct image *open_layer(const struct image *like, bool read_only, struct err *e)
{
    struct image_options o = {.format = "qcow2", .no_backing = true, .read_only = read_only, .share = true};

    return image_open(like->path, &o, e);
}

/* now takes the place of what lies below above, which is closed. */
static void replace(struct image *above, struct image *now)
{
    struct image *old = above->backing;

    now->above = old->above;
    now->backing = old->backing;
    if (now->backing)
        now->backing->above = now;
    old->backing = NULL;
    above->backing = now;
    image_close(old);
}

static bool lock_layer(struct image *img, struct err *e)
{
    return img->file->ops != &image_file || file_lock(img->file, e);
}

/* The layer below above is frozen again. When it cannot be opened so, it stays as it is, and nobody writes to it. */
static void freeze(struct image *above)
{
    struct err e;
    struct image *img = open_layer(above->backing, true, &e);

    if (!img)
        return;
    replace(above, img);
    lock_layer(img, &e); /* whoever holds it against readers gets no reader's word from us */
    snap_layer_writable(img->path, false);
}

/* Open the layer below above for writing. Its old lock would be in the new one's way, so that goes first. */
static bool thaw(struct image *above, struct err *e)
{
    struct image *img;

    if (!above->backing->read_only)
        return true;
    snap_layer_writable(above->backing->path, true);
    img = open_layer(above->backing, false, e);
    if (!img)
        return false;
    replace(above, img);
    if (lock_layer(img, e))
        return true;
    freeze(above);
    return false;
}

/* --- the merge --- */

/* lower has been copied into upper: leave it out of the chain. */
static bool leave_out(struct image *upper, struct err *e)
{
    struct image *lower = upper->backing;

    if (upper->ops->flush(upper))
        return err_set(e, "%s: cannot flush", upper->path);
    if (!snap_skip_layer(upper, lower, e))
        return false;
    upper->backing = lower->backing;
    if (upper->backing)
        upper->backing->above = upper;
    lower->backing = NULL;
    image_close(lower);
    return true;
}

/* One step of the merge of the layer at path into what lies over it; the disk is held. *off reaches *end when all is done. */
static bool merge_step(struct image *top, const char *path, uint64_t *off, uint64_t *end, struct err *e)
{
    struct image *upper = over_layer(top, path), *above = NULL;

    if (!upper)
        return err_set(e, "%s is not in the chain of %s", path, top->path);
    if (upper != top) {
        above = over_layer(top, upper->path);
        if (!thaw(above, e))
            return false;
        upper = above->backing;
    }
    *end = image_size(upper);
    if (!snap_pull_step(upper, upper->backing, off, STEP, e))
        return false;
    if (*off < *end)
        return true;
    if (!leave_out(upper, e))
        return false;
    if (above)
        freeze(above);
    return true;
}

static bool merge_disk(struct machine *m, struct block *b, const char *path, struct err *e)
{
    uint64_t off = 0, end = 1;
    bool ok = true;

    while (ok && off < end) {
        if (atomic_load(&m->snap.stop))
            return err_set(e, "the machine ended");
        block_hold(b);
        ok = merge_step(block_image(b), path, &off, &end, e);
        block_release(b);
        atomic_store(&m->snap.done, off);
        atomic_store(&m->snap.all, end);
    }
    return ok;
}

static bool going_on(void *arg, uint64_t done, uint64_t all)
{
    struct machine *m = arg;

    atomic_store(&m->snap.done, done);
    atomic_store(&m->snap.all, all);
    return !atomic_load(&m->snap.stop);
}

static bool merge_live(struct machine *m, struct snap_set *s, struct snap_node *n, struct err *e)
{
    char path[2 * SNAP_PATH];

    for (unsigned i = 0; i < s->disks; i++) {
        snap_full_path(s, n->layer[i], path);
        if (!merge_disk(m, m->snap.block[i], path, e))
            return false;
    }
    for (unsigned i = 0; i < s->disks; i++) {
        snap_full_path(s, n->layer[i], path);
        unlink(path);
    }
    for (unsigned i = 0; i < s->nodes; i++)
        if (s->node[i].parent == n->id)
            s->node[i].parent = n->parent;
    for (unsigned i = 0; i < s->heads; i++)
        if (s->head[i].parent == n->id)
            s->head[i].parent = n->parent;
    snap_remove_node(s, n);
    s->journal = (struct snap_journal){0};
    return snap_save(s, e);
}

static void *merge_main(void *arg)
{
    struct machine *m = arg;
    struct snap_set *s = m->snap.set;
    struct snap_node *n = snap_node(s, m->snap.id);
    bool ok = m->snap.live ? merge_live(m, s, n, &m->snap.err) : snap_delete(s, n, going_on, m, &m->snap.err);

    snap_close(s);
    m->snap.set = NULL;
    atomic_store(&m->snap.state, ok ? SNAP_JOB_DONE : SNAP_JOB_FAILED);
    return NULL;
}

/* --- whether and how --- */

static bool qcow2_only(const struct snap_set *s, const struct snap_node *n)
{
    for (unsigned i = 0; i < s->disks; i++)
        if (strcmp(n->format[i], "qcow2"))
            return false;
    return true;
}

/* Does the machine run over n? *bytes: what the merge of n into what lies over it copies. */
static bool runs_over(const struct snap_set *s, const struct snap_node *n, const struct snap_disks *d, uint64_t *bytes)
{
    bool all = true;

    *bytes = 0;
    for (unsigned i = 0; i < d->n; i++) {
        char path[2 * SNAP_PATH];
        struct image *upper;

        snap_full_path(s, n->layer[i], path);
        block_hold(d->block[i]);
        upper = over_layer(block_image(d->block[i]), path);
        all &= upper != NULL;
        *bytes += upper ? snap_pull_bytes(upper, upper->backing) : 0;
        block_release(d->block[i]);
    }
    return all;
}

static bool start_thread(struct machine *m, struct snap_set *s, const struct snap_node *n, bool live, struct err *e)
{
    m->snap.set = s;
    m->snap.id = n->id;
    m->snap.live = live;
    atomic_store(&m->snap.stop, false);
    atomic_store(&m->snap.state, SNAP_JOB_RUNNING);
    if (!pthread_create(&m->snap.thread, NULL, merge_main, m)) {
        m->snap.started = true;
        return true;
    }
    m->snap.set = NULL;
    atomic_store(&m->snap.state, SNAP_JOB_NONE);
    return err_set(e, "cannot start a thread");
}

/* What takes the layer's data is opened for writing (on), or frozen again. false: in use by others. */
static bool open_upper(const struct snap_set *s, const struct snap_node *n, struct block *b, unsigned i, bool on,
                       struct err *e)
{
    char path[2 * SNAP_PATH];
    struct image *top, *upper;
    bool ok = true;

    snap_full_path(s, n->layer[i], path);
    block_hold(b);
    top = block_image(b);
    upper = over_layer(top, path);
    if (upper && upper != top) {
        struct image *above = over_layer(top, upper->path);

        if (on)
            ok = thaw(above, e);
        else
            freeze(above);
    }
    block_release(b);
    return ok;
}

/* Of all disks or of none, before anything is noted or changed. */
static bool open_uppers(const struct snap_set *s, const struct snap_node *n, const struct snap_disks *d, struct err *e)
{
    for (unsigned i = 0; i < d->n; i++) {
        if (open_upper(s, n, d->block[i], i, true, e))
            continue;
        while (i--)
            open_upper(s, n, d->block[i], i, false, e);
        return false;
    }
    return true;
}

static bool start_live(struct machine *m, struct snap_set *s, struct snap_node *n, const struct snap_disks *d,
                       uint64_t bytes, struct err *e)
{
    for (unsigned i = 0; i < d->n; i++)
        if (!snap_space(d->file[i], bytes, e))
            return false;
    if (!open_uppers(s, n, d, e))
        return false;
    n->hidden = true;
    s->journal = (struct snap_journal){.op = SNAP_DELETE, .id = n->id, .how = "pull"};
    if (!snap_save(s, e))
        return false;
    memcpy(m->snap.block, d->block, sizeof d->block);
    return start_thread(m, s, n, true, e);
}

void machine_snap_join(struct machine *m)
{
    if (m->snap.started)
        pthread_join(m->snap.thread, NULL);
    m->snap.started = false;
}

/* A delete that was interrupted comes first: it goes on when no machine runs on the disks. */
static bool journal_free(const struct snap_set *s, struct err *e)
{
    return s->journal.op == SNAP_NONE ||
           err_set(e, "an earlier delete is not finished: it goes on with `guise snap tidy` when the machine is off");
}

bool machine_snap_drop(struct machine *m, const char *name, const char **what, struct err *e)
{
    struct snap_disks d = {0};
    struct snap_set *s;
    struct snap_node *n;
    uint64_t bytes;
    bool ok;

    machine_snap_join(m);
    s = machine_snap_disks(m, &d, e) ? machine_snap_set(m, &d, false, e) : NULL;
    n = s && machine_snap_head(s, &d, e) && journal_free(s, e) ? snap_find(s, name, e) : NULL;
    ok = n != NULL;
    if (ok && snap_children(s, n->id) == 1 && qcow2_only(s, n)) {
        bool live = runs_over(s, n, &d, &bytes);

        *what = "merging while the guest runs; `snap list` shows how far";
        if (live ? start_live(m, s, n, &d, bytes, e) : start_thread(m, s, n, false, e))
            return true; /* the set is the thread's */
        ok = false;
    } else if (ok && !snap_children(s, n->id)) {
        *what = "deleted";
        ok = snap_delete(s, n, NULL, NULL, e);
    } else if (ok) {
        *what = "deleted; its space comes back with `guise snap tidy` when the machine is off";
        n->hidden = true;
        ok = snap_save(s, e);
    }
    snap_close(s);
    return ok;
}

void machine_snap_end(struct machine *m)
{
    atomic_store(&m->snap.stop, true);
    machine_snap_join(m);
}
