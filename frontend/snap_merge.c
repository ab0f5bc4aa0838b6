/*
 * Deleting a snapshot. Its layers are wanted by what was taken after it:
 *   drop    nobody: the files go
 *   pull    one child: what the child lacks is copied up into it, then it names its grandparent as its backing file
 *   commit  one child: what the child has is copied down over the layer, which then takes the child's name
 *   keep    as commit, for a first layer that is no qcow2: it stays, unseen, and the child starts anew over it
 *   (two children or more: the layer stays, unseen, until one is left)
 * Of pull and commit the one that copies less is done, when the host's disk has room for it. The child reads the same at
 * every moment, and each step can be done again: a delete that was interrupted goes on with the next one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "frontend/snap.h"
#include "images/image.h"

enum { CHUNK = 1 << 20, SPARE = 16 << 20 };

static const char *base_name(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

bool snap_space(const char *path, uint64_t need, struct err *e)
{
    char dir[2 * SNAP_PATH];
    const char *slash = strrchr(path, '/');
    struct statvfs v;
    uint64_t have;

    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    if (statvfs(dir, &v))
        return err_set(e, "%s: %s", dir, strerror(errno));
    have = (uint64_t)v.f_bavail * v.f_frsize;
    need += need / 64 + SPARE; /* tables, and what others write meanwhile */
    return have >= need || err_set(e, "%s: merging needs up to %" PRIu64 " MiB of room, there are %" PRIu64, dir,
                                   (need >> 20) + 1, have >> 20);
}

/* --- what one layer holds and another lacks --- */

/* What lower says of off: a hole (allocated false) where what is below it shows, or nothing needs copying. */
static bool lower_at(struct image *lower, uint64_t off, uint64_t end, struct image_extent *x)
{
    uint64_t size = image_size(lower);

    if (off >= size) { /* zeroes, if something larger lies below */
        *x = (struct image_extent){
            .len = end - off, .zero = true, .allocated = lower->backing && image_size(lower->backing) > size};
        return true;
    }
    if (image_map_layer(lower, off, (end < size ? end : size) - off, x))
        return false;
    if (x->allocated && x->zero && !lower->backing)
        x->allocated = false;
    return true;
}

/* The next piece from *off on that lower holds and upper lacks; len 0: none. *off is moved to it. */
static bool next_piece(struct image *upper, struct image *lower, uint64_t *off, struct image_extent *x)
{
    uint64_t end = image_size(upper);

    for (; *off < end; *off += x->len) {
        struct image_extent u;

        if (!lower_at(lower, *off, end, x))
            return false;
        if (!x->allocated)
            continue;
        if (image_map_layer(upper, *off, x->len, &u))
            return false;
        if (u.len < x->len)
            x->len = u.len;
        if (!u.allocated)
            return true;
    }
    x->len = 0;
    return true;
}

uint64_t snap_pull_bytes(struct image *upper, struct image *lower)
{
    struct image_extent x;
    uint64_t sum = 0;

    for (uint64_t off = 0; next_piece(upper, lower, &off, &x) && x.len; off += x.len)
        sum += x.zero ? 0 : x.len;
    return sum;
}

static bool put(struct image *to, struct image *from, const struct image_extent *x, uint64_t off, uint8_t *buf,
                struct err *e)
{
    int ret;

    if (x->zero) {
        ret = to->ops->write_zeroes(to, off, x->len, IMAGE_UNMAP);
    } else {
        ret = image_pread(from, buf, off, x->len);
        if (!ret)
            ret = image_pwrite(to, buf, off, x->len, 0);
    }
    return !ret || err_set(e, "copying from %s to %s at %" PRIu64 ": %s", from->path, to->path, off, strerror(-ret));
}

bool snap_pull_step(struct image *upper, struct image *lower, uint64_t *off, uint64_t max, struct err *e)
{
    uint8_t *buf = malloc(CHUNK);
    struct image_extent x;
    bool ok = buf || err_set(e, "out of memory");

    while (ok && max) {
        ok = next_piece(upper, lower, off, &x) || err_set(e, "%s: its tables cannot be read", lower->path);
        if (!ok || !x.len)
            break;
        if (!x.zero && x.len > CHUNK)
            x.len = CHUNK;
        if (!x.zero && x.len > max)
            x.len = max;
        ok = put(upper, lower, &x, *off, buf, e);
        *off += x.len;
        max -= x.zero ? 0 : x.len;
    }
    free(buf);
    return ok;
}

/* Both lie in one folder, so what lower calls its backing file is it for upper too; none, or one from before the set. */
bool snap_skip_layer(struct image *upper, struct image *lower, struct err *e)
{
    const char *name = NULL, *format = NULL;

    if (!lower->ops->backing_name || !lower->ops->backing_name(lower, &name, &format))
        name = format = NULL;
    if (name && !format && lower->backing)
        format = lower->backing->ops->format;
    return upper->ops->set_backing(upper, name, format, e);
}

/* --- one disk of a delete --- */

struct merge {
    struct snap_set *s;
    struct snap_node *n;     /* to go */
    struct snap_node *child; /* or head */
    struct snap_head *head;
    snap_progress *progress;
    void *arg;
    uint64_t done, all;
};

static void child_path(const struct merge *m, unsigned i, char out[2 * SNAP_PATH])
{
    snap_full_path(m->s, m->child ? m->child->layer[i] : m->head->path[i], out);
}

void snap_layer_writable(const char *path, bool on)
{
    struct stat st;

    if (!stat(path, &st))
        chmod(path, on ? st.st_mode | 0200 : st.st_mode & ~0222u);
}

static bool advance(struct merge *m, uint64_t by, struct err *e)
{
    m->done += by;
    return !m->progress || m->progress(m->arg, m->done, m->all) ||
           err_set(e, "interrupted; nothing is lost, and `guise snap tidy` goes on from here");
}

static bool pull(struct merge *m, unsigned i, struct err *e)
{
    const char *named, *format;
    char path[2 * SNAP_PATH];
    struct image *c;
    bool ok;

    child_path(m, i, path);
    snap_layer_writable(path, true);
    c = image_open(path, &(struct image_options){.format = "qcow2"}, e);
    if (!c)
        return false;
    ok = c->ops->backing_name(c, &named, &format);
    if (ok && !strcmp(base_name(named), base_name(m->n->layer[i]))) { /* else it was done before */
        for (uint64_t off = 0; ok && off < image_size(c);) {
            ok = snap_pull_step(c, c->backing, &off, CHUNK, e) && advance(m, CHUNK, e);
        }
        ok = ok && (!c->ops->flush(c) || err_set(e, "%s: cannot flush", path));
        ok = ok && snap_skip_layer(c, c->backing, e);
    } else {
        ok = true;
    }
    image_close(c);
    if (m->child)
        snap_layer_writable(path, false);
    return ok;
}

/* Copy all that c holds by itself down into s. */
static bool copy_down(struct merge *m, struct image *s, struct image *c, struct err *e)
{
    uint8_t *buf = malloc(CHUNK);
    struct image_extent x;
    bool ok = buf || err_set(e, "out of memory");

    for (uint64_t off = 0; ok && off < image_size(c); off += x.len) {
        if (image_map_layer(c, off, image_size(c) - off, &x)) {
            ok = err_set(e, "%s: its tables cannot be read", c->path);
            break;
        }
        if (!x.allocated)
            continue;
        if (!x.zero && x.len > CHUNK)
            x.len = CHUNK;
        ok = put(s, c, &x, off, buf, e) && advance(m, x.zero ? 0 : x.len, e);
    }
    free(buf);
    return ok && (!s->ops->flush(s) || err_set(e, "%s: cannot flush", s->path));
}

static bool commit(struct merge *m, unsigned i, bool keep, struct err *e)
{
    char layer[2 * SNAP_PATH], path[2 * SNAP_PATH], fresh[2 * SNAP_PATH + 8];
    struct image *s, *c;
    bool ok;

    snap_full_path(m->s, m->n->layer[i], layer);
    child_path(m, i, path);
    if (!keep && !snap_exists(layer))
        return true; /* it has the child's name already */
    snap_layer_writable(layer, true);
    snap_layer_writable(path, true);
    s = image_open(layer, &(struct image_options){.format = m->n->format[i]}, e);
    c = s ? image_open(path, &(struct image_options){.format = "qcow2", .no_backing = true}, e) : NULL;
    ok = c && copy_down(m, s, c, e);
    if (ok && keep) {
        struct image_create o = {.path = fresh,
                                 .format = "qcow2",
                                 .size = image_size(c),
                                 .backing = base_name(layer),
                                 .backing_format = m->n->format[i],
                                 .unsafe_backing = true};

        snprintf(fresh, sizeof fresh, "%s.new", path);
        unlink(fresh);
        ok = image_create(&o, e);
    }
    image_close(s);
    if (ok && rename(keep ? fresh : layer, path))
        ok = err_set(e, "cannot rename %s to %s: %s", keep ? fresh : layer, path, strerror(errno));
    image_close(c);
    if (keep)
        snap_layer_writable(layer, false);
    if (m->child)
        snap_layer_writable(path, false);
    return ok;
}

/* --- the whole --- */

static bool run(struct merge *m, struct err *e)
{
    const char *how = m->s->journal.how;
    bool keep = !strcmp(how, "keep"), ok = true;

    for (unsigned i = 0; ok && i < m->s->disks; i++) {
        if (!strcmp(how, "pull"))
            ok = pull(m, i, e);
        else if (!strcmp(how, "commit") || keep)
            ok = commit(m, i, keep, e);
    }
    if (!ok)
        return false;
    if (keep) {
        m->n->hidden = true;
    } else {
        for (unsigned i = 0; i < m->s->disks; i++) {
            char layer[2 * SNAP_PATH];

            snap_full_path(m->s, m->n->layer[i], layer);
            unlink(layer); /* of a commit it is gone */
        }
        if (m->child)
            m->child->parent = m->n->parent;
        if (m->head)
            m->head->parent = m->n->parent;
        snap_remove_node(m->s, m->n);
    }
    m->s->journal = (struct snap_journal){0};
    return snap_save(m->s, e);
}

static void find_child(struct merge *m)
{
    for (unsigned i = 0; i < m->s->nodes; i++)
        if (m->s->node[i].parent == m->n->id)
            m->child = &m->s->node[i];
    for (unsigned i = 0; i < m->s->heads; i++)
        if (m->s->head[i].parent == m->n->id)
            m->head = &m->s->head[i];
}

/* What each way would copy and need; opens the images to look. */
static bool measure(struct merge *m, uint64_t *pull_all, uint64_t *down_all, uint64_t *down_new, bool *sizes,
                    bool *foreign, struct err *e)
{
    *pull_all = *down_all = *down_new = 0;
    *sizes = true;
    *foreign = false;
    for (unsigned i = 0; i < m->s->disks; i++) {
        char path[2 * SNAP_PATH];
        struct image *c;
        struct image_extent x;

        child_path(m, i, path);
        snap_layer_writable(path, true);
        c = image_open(path, &(struct image_options){.format = "qcow2"}, e); /* for writing: nobody else has it */
        if (!c)
            return false;
        *foreign |= strcmp(m->n->format[i], "qcow2") != 0;
        if (c->backing) {
            *sizes &= image_size(c) == image_size(c->backing);
            *pull_all += snap_pull_bytes(c, c->backing);
            *down_new += snap_pull_bytes(c->backing, c);
        }
        for (uint64_t off = 0; off < image_size(c); off += x.len) {
            if (image_map_layer(c, off, image_size(c) - off, &x))
                break;
            *down_all += x.allocated && !x.zero ? x.len : 0;
        }
        image_close(c);
        if (m->child)
            snap_layer_writable(path, false);
    }
    return true;
}

static bool start(struct merge *m, struct err *e)
{
    uint64_t up, down, fresh, need;
    const char *how = "drop";
    bool sizes, foreign;
    char path[2 * SNAP_PATH];

    if (m->child || m->head) {
        if (!measure(m, &up, &down, &fresh, &sizes, &foreign, e))
            return false;
        if (foreign && !sizes) { /* neither way is open: it stays */
            m->n->hidden = true;
            return snap_save(m->s, e);
        }
        how = foreign ? "keep" : sizes && down < up ? "commit" : "pull";
        need = strcmp(how, "pull") ? fresh : up;
        m->all = strcmp(how, "pull") ? down : 0;
        for (unsigned i = 0; i < m->s->disks; i++) {
            struct stat st;

            child_path(m, i, path);
            if (!strcmp(how, "pull")) { /* counted by how far it has looked */
                struct image *c = image_open(
                    path,
                    &(struct image_options){.format = "qcow2", .read_only = true, .share = true, .no_backing = true},
                    e);

                m->all += c ? image_size(c) : 0;
                image_close(c);
            }
            if (!stat(path, &st) && !snap_space(path, need, e))
                return false;
        }
    }
    m->n->hidden = true; /* from here on it need not read as it did, so nobody may go back to it */
    m->s->journal = (struct snap_journal){.op = SNAP_DELETE, .id = m->n->id};
    snprintf(m->s->journal.how, sizeof m->s->journal.how, "%s", how);
    return snap_save(m->s, e) && run(m, e);
}

/* A delete that was interrupted comes first. */
static bool resume(struct snap_set *s, snap_progress *progress, void *arg, struct err *e)
{
    struct merge m = {.s = s, .n = snap_node(s, s->journal.id), .progress = progress, .arg = arg};

    if (s->journal.op != SNAP_DELETE)
        return true;
    if (!m.n)
        return err_set(e, "%s: its journal names what is not there", s->path);
    find_child(&m);
    return run(&m, e);
}

/* Layers that stayed for the sake of two, and are wanted by one or none now. */
static bool tidy(struct snap_set *s, snap_progress *progress, void *arg, struct err *e)
{
    for (unsigned i = 0; i < s->nodes; i++) {
        struct merge m = {.s = s, .n = &s->node[i], .progress = progress, .arg = arg};
        bool foreign = false;

        for (unsigned k = 0; k < s->disks; k++)
            foreign |= strcmp(s->node[i].format[k], "qcow2") != 0;
        if (!s->node[i].hidden || snap_children(s, s->node[i].id) > 1 || (foreign && snap_children(s, s->node[i].id)))
            continue;
        find_child(&m);
        if (!start(&m, e))
            return err_prefix(e, "a layer that was deleted before");
        i = (unsigned)-1; /* the list has changed */
    }
    return true;
}

bool snap_tidy(struct snap_set *s, snap_progress *progress, void *arg, struct err *e)
{
    return resume(s, progress, arg, e) && tidy(s, progress, arg, e);
}

bool snap_delete(struct snap_set *s, struct snap_node *n, snap_progress *progress, void *arg, struct err *e)
{
    struct merge m = {.s = s, .progress = progress, .arg = arg};
    unsigned id = n->id;

    if (!resume(s, progress, arg, e))
        return false;
    m.n = snap_node(s, id);
    if (!m.n) /* it was the one */
        return tidy(s, progress, arg, e);
    if (snap_children(s, id) > 1) {
        m.n->hidden = true;
        return snap_save(s, e) && tidy(s, progress, arg, e);
    }
    find_child(&m);
    return start(&m, e) && tidy(s, progress, arg, e);
}

bool snap_delete_head(struct snap_set *s, struct snap_head *h, struct err *e)
{
    struct snap_head gone = *h;

    if (s->heads == 1)
        return err_set(e, "'%s' is the only state there is", h->name);
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH];
        struct image *img;

        snap_full_path(s, h->path[i], path);
        img = image_open(path, &(struct image_options){.format = "qcow2", .no_backing = true}, e);
        if (!img)
            return false;
        image_close(img);
    }
    memmove(h, h + 1, (s->heads - (unsigned)(h - s->head) - 1) * sizeof *h);
    s->heads--;
    if (!snap_save(s, e))
        return false;
    for (unsigned i = 0; i < s->disks; i++) {
        char path[2 * SNAP_PATH];

        snap_full_path(s, gone.path[i], path);
        unlink(path);
    }
    return tidy(s, NULL, NULL, e);
}
