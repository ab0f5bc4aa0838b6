/*
 * Taking, restoring and branching: links and renames, in an order in which every name leads to a whole image.
 *
 * take, for a disk D that is qcow2: D.new is made over the name D@ID; D is linked as D@ID; D.new is renamed over D. A disk of
 * another format stays where it is, as the first layer, and goes on as a qcow2 of its name with that suffix.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frontend/drive.h"
#include "frontend/snap.h"
#include "images/image.h"

static const char *base_name(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

/* path without its last suffix, then `more`. */
static bool stem(const char *path, const char *more, char out[SNAP_PATH], struct err *e)
{
    const char *dot = strrchr(base_name(path), '.');
    int n = dot && dot != base_name(path) ? (int)(dot - path) : (int)strlen(path);

    return snprintf(out, SNAP_PATH, "%.*s%s", n, path, more) < SNAP_PATH || err_set(e, "%s: too long a name", path);
}

static bool sync_dir_of(const char *path)
{
    char dir[2 * SNAP_PATH];
    const char *slash = strrchr(path, '/');
    int fd;
    bool ok;

    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && !fsync(fd);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;

    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool name_ok(struct snap_set *s, const char *name, struct err *e)
{
    if (!*name || strlen(name) >= SNAP_NAME || strpbrk(name, "/\n\r\t"))
        return err_set(e, "'%s': a name has 1 to %d characters and no slash", name, SNAP_NAME - 1);
    for (unsigned i = 0; i < s->nodes; i++)
        if (!s->node[i].hidden && !strcmp(s->node[i].name, name))
            return err_set(e, "there is a snapshot '%s' already", name);
    for (unsigned i = 0; i < s->heads; i++)
        if (!strcmp(s->head[i].name, name))
            return err_set(e, "there is a branch '%s' already", name);
    return true;
}

/* The disks of a head, opened for writing: nobody else has them. */
static bool open_head(struct snap_set *s, struct snap_head *h, struct image *img[SNAP_DISKS],
                      uint64_t sizes[SNAP_DISKS], struct err *e)
{
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH];
        const char *format = "qcow2";

        snap_full_path(s, h->path[i], path);
        if (!h->parent)
            format = drive_guess_format(path, e);
        img[i] = format ? image_open(path, &(struct image_options){.format = format}, e) : NULL;
        if (!img[i])
            return false;
        sizes[i] = image_size(img[i]);
    }
    return true;
}

static void close_all(struct image *img[SNAP_DISKS])
{
    for (unsigned i = 0; i < SNAP_DISKS; i++)
        image_close(img[i]);
}

/* An empty qcow2 at path over the layer, which lies in the same folder. */
static bool make_overlay(const char *path, const char *layer, const char *format, uint64_t size, struct err *e)
{
    struct image_create c = {.path = path,
                             .format = "qcow2",
                             .size = size,
                             .backing = base_name(layer),
                             .backing_format = format,
                             .unsafe_backing = true};

    unlink(path);
    return image_create(&c, e);
}

static uint64_t size_of(const char *path, const char *format, struct err *e)
{
    struct image *img =
        image_open(path, &(struct image_options){.format = format, .read_only = true, .share = true}, e);
    uint64_t size = img ? image_size(img) : 0;

    image_close(img);
    return size;
}

/* --- take --- */

void snap_take_overlay(const struct snap_set *s, unsigned i, char out[2 * SNAP_PATH])
{
    snap_full_path(s, s->journal.path[i], out);
    strncat(out, ".new", 2 * SNAP_PATH - strlen(out) - 1);
}

static bool plan(struct snap_set *s, const struct snap_head *h, struct snap_node *n, struct err *e)
{
    for (unsigned i = 0; i < s->disks; i++) {
        char full[2 * SNAP_PATH], suffix[32];
        const char *format = "qcow2";

        snap_full_path(s, h->path[i], full);
        if (!h->parent && !(format = drive_guess_format(full, e)))
            return false;
        snprintf(n->format[i], sizeof n->format[i], "%s", format);
        if (strcmp(format, "qcow2")) {
            snprintf(n->layer[i], SNAP_PATH, "%s", h->path[i]);
            if (!stem(h->path[i], ".qcow2", s->journal.path[i], e))
                return false;
            snap_full_path(s, s->journal.path[i], full);
        } else {
            snprintf(suffix, sizeof suffix, "@%u.qcow2", n->id);
            snprintf(s->journal.path[i], SNAP_PATH, "%s", h->path[i]);
            if (!stem(h->path[i], suffix, n->layer[i], e))
                return false;
            snap_full_path(s, n->layer[i], full);
        }
        if (snap_exists(full))
            return err_set(e, "%s is in the way: it is no part of %s", full, s->path);
    }
    return true;
}

static void forget(struct snap_set *s, struct snap_node *n)
{
    snap_remove_node(s, n);
    s->journal = (struct snap_journal){0};
}

bool snap_take_begin(struct snap_set *s, struct snap_head *h, const char *name, const uint64_t *sizes, struct err *e)
{
    struct snap_node *n = &s->node[s->nodes];

    if (!name_ok(s, name, e))
        return false;
    if (s->nodes == SNAP_NODES)
        return err_set(e, "more than %d snapshots", SNAP_NODES);
    s->nodes++;
    *n = (struct snap_node){.id = s->next, .parent = h->parent, .time = (int64_t)time(NULL)};
    snprintf(n->name, sizeof n->name, "%s", name);
    s->journal = (struct snap_journal){.op = SNAP_TAKE, .id = n->id};
    snprintf(s->journal.head, SNAP_NAME, "%s", h->name);
    if (!plan(s, h, n, e)) {
        forget(s, n);
        return false;
    }
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH];

        snap_take_overlay(s, i, path);
        if (make_overlay(path, n->layer[i], n->format[i], sizes[i], e))
            continue;
        forget(s, n);
        return false;
    }
    s->next++;
    return snap_save(s, e);
}

bool snap_take_swap(struct snap_set *s, unsigned i, struct err *e)
{
    const struct snap_head *h = snap_head(s, s->journal.head, e);
    const struct snap_node *n = snap_node(s, s->journal.id);
    char top[2 * SNAP_PATH], layer[2 * SNAP_PATH], fresh[2 * SNAP_PATH], to[2 * SNAP_PATH];

    if (!h || !n)
        return err_set(e, "%s: its journal names what is not there", s->path);
    snap_full_path(s, h->path[i], top);
    snap_full_path(s, n->layer[i], layer);
    snap_full_path(s, s->journal.path[i], to);
    snap_take_overlay(s, i, fresh);
    if (strcmp(top, layer) && !snap_exists(layer) && link(top, layer))
        return err_set(e, "cannot link %s as %s: %s", top, layer, strerror(errno));
    if (rename(fresh, to))
        return err_set(e, "cannot rename %s to %s: %s", fresh, to, strerror(errno));
    return true;
}

bool snap_take_end(struct snap_set *s, struct err *e)
{
    struct snap_head *h = snap_head(s, s->journal.head, e);
    const struct snap_node *n = snap_node(s, s->journal.id);

    if (!h || !n)
        return err_set(e, "%s: its journal names what is not there", s->path);
    for (unsigned i = 0; i < s->disks; i++) {
        char layer[2 * SNAP_PATH];
        struct stat st;

        snap_full_path(s, n->layer[i], layer);
        sync_dir_of(layer);
        if (!stat(layer, &st)) /* against accidents: a write to it would change every state above */
            chmod(layer, st.st_mode & 0555);
        snprintf(h->path[i], SNAP_PATH, "%s", s->journal.path[i]);
    }
    h->parent = n->id;
    s->journal = (struct snap_journal){0};
    return snap_save(s, e);
}

bool snap_take(struct snap_set *s, struct snap_head *h, const char *name, struct err *e)
{
    struct image *img[SNAP_DISKS] = {0};
    uint64_t sizes[SNAP_DISKS];
    bool ok = open_head(s, h, img, sizes, e) && snap_take_begin(s, h, name, sizes, e);

    for (unsigned i = 0; ok && i < s->disks; i++)
        ok = snap_take_swap(s, i, e);
    ok = ok && snap_take_end(s, e);
    close_all(img);
    return ok;
}

/* --- a head starts anew over a node --- */

static bool reset_head(struct snap_set *s, struct err *e)
{
    struct snap_head *h = snap_head(s, s->journal.head, e);
    struct snap_node *n = snap_node(s, s->journal.id);

    if (!h || !n)
        return err_set(e, "%s: its journal names what is not there", s->path);
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH], fresh[2 * SNAP_PATH + 8], layer[2 * SNAP_PATH];
        uint64_t size;

        snap_full_path(s, h->path[i], path);
        snap_full_path(s, n->layer[i], layer);
        snprintf(fresh, sizeof fresh, "%s.new", path);
        size = size_of(layer, n->format[i], e);
        if (!size || !make_overlay(fresh, layer, n->format[i], size, e))
            return false;
        if (rename(fresh, path))
            return err_set(e, "cannot rename %s to %s: %s", fresh, path, strerror(errno));
        sync_dir_of(path);
    }
    h->parent = n->id;
    s->journal = (struct snap_journal){0};
    return snap_save(s, e);
}

static bool begin_reset(struct snap_set *s, const struct snap_head *h, const struct snap_node *n, struct err *e)
{
    s->journal = (struct snap_journal){.op = SNAP_RESET, .id = n->id};
    snprintf(s->journal.head, SNAP_NAME, "%s", h->name);
    return snap_save(s, e) && reset_head(s, e);
}

/* Has anything been written to the top layer? */
static bool changed(struct image *img)
{
    struct image_extent x;

    for (uint64_t off = 0; off < image_size(img); off += x.len)
        if (image_map_layer(img, off, image_size(img) - off, &x) || x.allocated)
            return true;
    return false;
}

bool snap_restore(struct snap_set *s, struct snap_head *h, struct snap_node *n, bool discard, struct err *e)
{
    struct image *img[SNAP_DISKS] = {0};
    uint64_t sizes[SNAP_DISKS];
    bool ok = h->parent || err_set(e, "branch '%s' has no snapshot yet", h->name), differs = false;

    ok = ok && open_head(s, h, img, sizes, e);
    for (unsigned i = 0; ok && i < s->disks; i++)
        differs |= changed(img[i]);
    if (ok && differs && !discard)
        ok = err_set(
            e, "'%s' has changed since its last snapshot: take one first, or throw the changes away with --discard",
            h->name);
    ok = ok && begin_reset(s, h, n, e);
    close_all(img);
    return ok;
}

bool snap_branch(struct snap_set *s, struct snap_node *n, const char *name, struct err *e)
{
    struct snap_head *h = &s->head[s->heads];

    if (!name_ok(s, name, e))
        return false;
    if (s->heads == SNAP_HEADS)
        return err_set(e, "more than %d branches", SNAP_HEADS);
    *h = (struct snap_head){.parent = n->id};
    snprintf(h->name, sizeof h->name, "%s", name);
    for (unsigned i = 0; i < s->disks; i++) {
        char more[SNAP_NAME + 16], full[2 * SNAP_PATH];

        snprintf(more, sizeof more, "-%s.qcow2", name);
        if (!stem(s->head[0].path[i], more, h->path[i], e))
            return false;
        snap_full_path(s, h->path[i], full);
        if (snap_exists(full))
            return err_set(e, "%s is in the way", full);
    }
    s->heads++;
    return begin_reset(s, h, n, e);
}

/* --- after a crash --- */

/* The size of the disk at path, 0 with e set: also when somebody works with it. */
static uint64_t idle_size(const char *path, const char *format, struct err *e)
{
    struct image *img = image_open(path, &(struct image_options){.format = format, .no_backing = true}, e);
    uint64_t size = img ? image_size(img) : 0;

    image_close(img);
    return size;
}

/* A head that is to start anew is not in use: a machine that runs on it would go on in a file without a name. */
static bool head_idle(struct snap_set *s, struct err *e)
{
    const struct snap_head *h = snap_head(s, s->journal.head, e);

    for (unsigned i = 0; h && i < s->disks; i++) {
        char path[2 * SNAP_PATH];

        snap_full_path(s, h->path[i], path);
        if (snap_exists(path) && !idle_size(path, "qcow2", e))
            return false;
    }
    return h != NULL;
}

static bool finish_take(struct snap_set *s, struct err *e)
{
    struct snap_head *h = snap_head(s, s->journal.head, e);
    struct snap_node *n = snap_node(s, s->journal.id);

    if (!h || !n)
        return err_set(e, "%s: its journal names what is not there", s->path);
    for (unsigned i = 0; i < s->disks; i++) {
        char top[2 * SNAP_PATH], layer[2 * SNAP_PATH], fresh[2 * SNAP_PATH], to[2 * SNAP_PATH];
        uint64_t size;

        snap_full_path(s, h->path[i], top);
        snap_full_path(s, n->layer[i], layer);
        snap_full_path(s, s->journal.path[i], to);
        snap_take_overlay(s, i, fresh);
        if (strcmp(top, layer) ? snap_exists(layer) && !same_file(top, layer) : snap_exists(to)) {
            unlink(fresh);
            continue; /* swapped already */
        }
        size = idle_size(top, n->format[i], e);
        if (!size || !make_overlay(fresh, layer, n->format[i], size, e) || !snap_take_swap(s, i, e))
            return false;
    }
    return snap_take_end(s, e);
}

bool snap_recover(struct snap_set *s, struct err *e)
{
    switch (s->journal.op) {
    case SNAP_TAKE: return finish_take(s, e) || err_prefix(e, "a take was interrupted and cannot be completed");
    case SNAP_RESET:
        return (head_idle(s, e) && reset_head(s, e)) ||
               err_prefix(e, "a restore was interrupted and cannot be completed");
    default: return true; /* a delete goes on with the next delete; until then every state is whole */
    }
}
