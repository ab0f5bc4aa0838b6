/*
 * qcow2: internal snapshots made, applied and deleted, each as one transaction (qcow2_txn.c).
 *
 * The COPIED flags of the active tables change with the reference counts. A table in use is never changed in place for
 * that: a copy with the right flags takes its part in the new state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

struct next {                /* the new state, for txn_commit */
    uint64_t *l1, l1_offset; /* l1 NULL: as it was */
    uint32_t l1_size, nb_snapshots;
    struct snapshot *snapshots; /* the new array; entries move */
    uint64_t snapshots_offset, snapshots_size, disk_size;
    bool adopted;
};

static void adopt_next(struct qcow2 *q, void *arg)
{
    struct next *n = arg;

    n->adopted = true;
    if (n->l1) {
        free(q->l1);
        q->l1 = n->l1;
        q->l1_size = n->l1_size;
        q->l1_offset = n->l1_offset;
    }
    if (n->snapshots) {
        free(q->snapshots);
        q->snapshots = n->snapshots;
        q->nb_snapshots = n->nb_snapshots;
        q->snapshots_offset = n->snapshots_offset;
        q->snapshots_size = n->snapshots_size;
    }
}

static int ref_entry(struct txn *t, const struct qcow2 *q, uint64_t entry, int delta)
{
    uint64_t off, len, c, end;
    int ret = 0;

    if (entry & QCOW2_COMPRESSED) {
        compressed_place(q, entry, &off, &len);
        for (c = cluster_of(q, off), end = cluster_of(q, off + len - 1) + 1; c < end && !ret; c++)
            ret = txn_ref(t, c, delta);
    } else if (entry & QCOW2_OFFSET) {
        ret = in_cluster(q, entry & QCOW2_OFFSET) ? -EIO : txn_ref(t, cluster_of(q, entry & QCOW2_OFFSET), delta);
    }
    return ret;
}

static int read_table(struct qcow2 *q, uint64_t off, uint8_t *buf)
{
    if (in_cluster(q, off) || off >= image_size(q->file))
        return q_corrupt(q);
    return q_pread(q->file, buf, off, q->cluster_size);
}

static int ref_table(struct txn *t, const struct qcow2 *q, const uint8_t *table, int delta)
{
    int ret = 0;

    for (uint64_t at = 0; at < q->cluster_size && !ret; at += UINT64_C(1) << q->entry_bits)
        ret = ref_entry(t, q, ld64be(table + at), delta);
    return ret;
}

/* All that an L1 table leads to. */
static int ref_tree(struct txn *t, struct qcow2 *q, const uint64_t *l1, uint32_t n, int delta)
{
    uint8_t *buf = malloc(q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && !ret; i++) {
        uint64_t table = l1[i] & QCOW2_OFFSET;

        if (!table)
            continue;
        ret = read_table(q, table, buf);
        if (!ret)
            ret = ref_table(t, q, buf, delta);
        if (!ret)
            ret = txn_ref(t, cluster_of(q, table), delta);
    }
    free(buf);
    return ret;
}

static int ref_range(struct txn *t, const struct qcow2 *q, uint64_t off, uint64_t bytes, int delta)
{
    int ret = 0;

    for (uint64_t i = 0; i < clusters_for(q, bytes) && !ret; i++)
        ret = txn_ref(t, cluster_of(q, off) + i, delta);
    return ret;
}

/* The flags of a table by the new counts. *changed: it has to be copied. */
static int set_flags(struct txn *t, const struct qcow2 *q, uint8_t *table, bool *changed)
{
    *changed = false;
    for (uint64_t at = 0; at < q->cluster_size; at += UINT64_C(1) << q->entry_bits) {
        uint64_t e = ld64be(table + at), v;
        int ret;

        if (e & QCOW2_COMPRESSED || !(e & QCOW2_OFFSET))
            continue;
        ret = txn_ref_get(t, cluster_of(q, e & QCOW2_OFFSET), &v);
        if (ret)
            return ret;
        if ((v == 1) != !!(e & QCOW2_COPIED)) {
            st64be(table + at, e ^ QCOW2_COPIED);
            *changed = true;
        }
    }
    return 0;
}

/* The table in buf, which stood at old, written to a new place that l1's entry then names; refs: how many L1s share it. */
static int move_table(struct txn *t, struct qcow2 *q, const uint8_t *buf, uint64_t old, int refs, uint64_t *entry)
{
    uint64_t off;
    int ret = txn_ref(t, cluster_of(q, old), -refs);

    if (!ret)
        ret = txn_alloc(t, 1, &off);
    if (!ret && refs > 1)
        ret = txn_ref(t, cluster_of(q, off), refs - 1);
    if (!ret)
        ret = image_pwrite(q->file, buf, off, q->cluster_size, 0);
    *entry = off;
    return ret;
}

/* Where an L1 table of n entries goes; written. */
static int write_l1(struct txn *t, struct qcow2 *q, const uint64_t *l1, uint32_t n, uint64_t *off)
{
    uint64_t bytes = align_up(8 * (uint64_t)n, q->cluster_size);
    uint8_t *raw;
    int ret;

    *off = 0;
    if (!n)
        return 0;
    raw = calloc(1, bytes);
    if (!raw)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        st64be(raw + 8 * (uint64_t)i, l1[i]);
    ret = txn_alloc(t, bytes >> q->cluster_bits, off);
    if (!ret)
        ret = image_pwrite(q->file, raw, *off, bytes, 0);
    free(raw);
    return ret;
}

static int write_snapshots(struct txn *t, struct qcow2 *q, struct next *n)
{
    uint8_t *raw = snapshots_pack(n->snapshots, n->nb_snapshots, q->version, &n->snapshots_size);
    int ret = raw ? 0 : -EFBIG;

    n->snapshots_offset = 0;
    if (!ret && n->nb_snapshots)
        ret = txn_alloc(t, clusters_for(q, n->snapshots_size), &n->snapshots_offset);
    if (!ret && n->nb_snapshots)
        ret = image_pwrite(q->file, raw, n->snapshots_offset, n->snapshots_size, 0);
    if (!ret && q->nb_snapshots)
        ret = ref_range(t, q, q->snapshots_offset, q->snapshots_size, -1);
    free(raw);
    return ret;
}

/* The new L1, of the active tables and their flags by the counts of t. It is n->l1 (to be filled in), written. */
static int rebuild_active(struct txn *t, struct qcow2 *q, struct next *n)
{
    uint8_t *buf = malloc(q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n->l1_size && !ret; i++) {
        uint64_t table = n->l1[i] & QCOW2_OFFSET, v;
        bool changed = false;

        if (!table)
            continue;
        ret = read_table(q, table, buf);
        if (!ret)
            ret = set_flags(t, q, buf, &changed);
        if (!ret)
            ret = txn_ref_get(t, cluster_of(q, table), &v);
        if (!ret && changed)
            ret = move_table(t, q, buf, table, (int)v, &table);
        if (!ret)
            n->l1[i] = table | (v == 1 ? QCOW2_COPIED : 0);
    }
    free(buf);
    if (!ret)
        ret = write_l1(t, q, n->l1, n->l1_size, &n->l1_offset);
    if (!ret && q->l1_size)
        ret = ref_range(t, q, q->l1_offset, 8 * (uint64_t)q->l1_size, -1);
    return ret;
}

static uint64_t *copy_l1(const uint64_t *l1, uint32_t n, uint32_t room)
{
    uint64_t *out = calloc(room ? room : 1, 8);

    if (out && n)
        memcpy(out, l1, 8 * (size_t)n);
    return out;
}

static void new_id(const struct qcow2 *q, char *out, size_t size)
{
    unsigned long max = 0;

    for (uint32_t i = 0; i < q->nb_snapshots; i++) {
        unsigned long id = strtoul(q->snapshots[i].id, NULL, 10);

        max = id > max && id < 0xffffffff ? id : max;
    }
    snprintf(out, size, "%lu", max + 1);
}

static int begin(struct qcow2 *q)
{
    int ret;

    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    ret = q->view ? -EROFS : q_writable(q);
    if (!ret && q->data != q->file)
        ret = -EOPNOTSUPP;
    return ret ? ret : q_settle(q);
}

static bool finish(struct qcow2 *q, int ret, const char *what, const char *name, struct err *e)
{
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    if (!ret)
        return true;
    return err_set(e, "disk image '%s': cannot %s snapshot '%s': %s", q->img->path, what, name,
                   ret == -ENOENT       ? "there is none of that name"
                   : ret == -ERANGE     ? "reference counts of so few bits cannot hold it (refcount_bits)"
                   : ret == -EOPNOTSUPP ? "not with an external data file"
                                        : strerror(-ret));
}

/* Commit, or give up when something failed. What was not adopted of n is the caller's, but for l1. */
static int end(struct qcow2 *q, struct txn *t, struct next *n, int ret)
{
    struct places p = {
        .l1_offset = n->l1_offset,
        .l1_size = n->l1_size,
        .nb_snapshots = n->snapshots ? n->nb_snapshots : q->nb_snapshots,
        .snapshots_offset = n->snapshots ? n->snapshots_offset : q->snapshots_offset,
        .disk_size = n->disk_size,
    };

    if (!ret)
        ret = txn_commit(t, &p, adopt_next, n);
    else if (t)
        txn_abort(t);
    if (!n->adopted)
        free(n->l1);
    return ret;
}

/* Array of the old snapshots and one more, whose strings are of its own. */
static int append_snapshot(struct qcow2 *q, const struct image_snapshot *s, struct next *n)
{
    struct snapshot *one;

    if (q->nb_snapshots >= MAX_SNAPSHOTS)
        return -EFBIG;
    n->snapshots = calloc(q->nb_snapshots + 1, sizeof *n->snapshots);
    if (!n->snapshots)
        return -ENOMEM;
    if (q->nb_snapshots)
        memcpy(n->snapshots, q->snapshots, q->nb_snapshots * sizeof *n->snapshots);
    n->nb_snapshots = q->nb_snapshots + 1;
    one = &n->snapshots[q->nb_snapshots];
    *one = (struct snapshot){
        .vm_clock = s->vm_clock_ns,
        .vm_state_size = s->vm_state_size,
        .disk_size = ld64be(q->head + H_SIZE),
        .icount = s->icount,
        .date_sec = (uint32_t)s->date_sec,
        .date_nsec = s->date_nsec,
        .id = strdup(s->id),
        .name = strdup(s->name),
        .unknown = malloc(1),
    };
    return one->id && one->name && one->unknown ? 0 : -ENOMEM;
}

/* The active tables get their second reference; counts and flags follow. */
static int create(struct qcow2 *q, struct image_snapshot *s)
{
    struct next n = {.disk_size = ld64be(q->head + H_SIZE), .l1_size = q->l1_size};
    struct txn *t = txn_begin(q, false);
    struct snapshot *one = NULL;
    int ret = t ? append_snapshot(q, s, &n) : -ENOMEM;

    if (n.snapshots)
        one = &n.snapshots[q->nb_snapshots];
    if (!ret && !(n.l1 = copy_l1(q->l1, q->l1_size, q->l1_size)))
        ret = -ENOMEM;
    if (!ret)
        ret = ref_tree(t, q, q->l1, q->l1_size, 1);
    if (!ret)
        ret = rebuild_active(t, q, &n);
    if (!ret)
        ret = write_l1(t, q, n.l1, n.l1_size, &one->l1_offset);
    if (!ret) {
        one->l1_size = n.l1_size;
        ret = write_snapshots(t, q, &n);
    }
    ret = end(q, t, &n, ret);
    if (!n.adopted && one)
        snapshot_free(one);
    if (!n.adopted)
        free(n.snapshots);
    return ret;
}

bool q_snapshot_create(struct image *img, struct image_snapshot *s, struct err *e)
{
    struct qcow2 *q = img->priv;
    int ret = begin(q);

    if (!ret) {
        new_id(q, s->id, sizeof s->id);
        s->disk_size = img->size;
        ret = create(q, s);
    }
    return finish(q, ret, "make", s->name, e);
}

/* Tables that only snapshots use may have stale flags; they are put right in place before they become active. */
static int clear_flags(struct txn *t, struct qcow2 *q, const uint64_t *l1, uint32_t n)
{
    uint8_t *buf = malloc(q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && !ret; i++) {
        uint64_t table = l1[i] & QCOW2_OFFSET;
        bool changed;

        if (!table || owner_kind(q, table) == OWNER_L2) /* active now: its flags are right for two references */
            continue;
        ret = read_table(q, table, buf);
        if (!ret)
            ret = set_flags(t, q, buf, &changed);
        if (!ret && changed)
            ret = image_pwrite(q->file, buf, table, q->cluster_size, 0);
    }
    free(buf);
    return ret;
}

static int apply(struct qcow2 *q, int i)
{
    const struct snapshot *s = &q->snapshots[i];
    struct next n = {.disk_size = s->disk_size};
    uint64_t need = (s->disk_size + l2_covers(q) - 1) / l2_covers(q), *l1 = NULL;
    struct txn *t;
    int ret = s->disk_size > INT64_MAX - 512 || need > MAX_L1_BYTES / 8 ? -EIO : snapshot_l1(q, s, &l1);

    if (ret)
        return ret;
    n.l1_size = need > s->l1_size ? (uint32_t)need : s->l1_size;
    n.l1 = copy_l1(l1, s->l1_size, n.l1_size);
    free(l1);
    t = txn_begin(q, false);
    if (!t || !n.l1)
        ret = -ENOMEM;
    for (uint32_t k = 0; k < n.l1_size && !ret; k++)
        n.l1[k] &= ~QCOW2_COPIED;
    if (!ret)
        ret = ref_tree(t, q, q->l1, q->l1_size, -1);
    if (!ret)
        ret = ref_tree(t, q, n.l1, n.l1_size, 1);
    if (!ret)
        ret = clear_flags(t, q, n.l1, n.l1_size);
    if (!ret)
        ret = write_l1(t, q, n.l1, n.l1_size, &n.l1_offset);
    if (!ret && q->l1_size)
        ret = ref_range(t, q, q->l1_offset, 8 * (uint64_t)q->l1_size, -1);
    ret = end(q, t, &n, ret);
    if (!ret)
        __atomic_store_n(&q->img->size, align_up(n.disk_size, 512), __ATOMIC_RELEASE);
    return ret;
}

bool q_snapshot_apply(struct image *img, const char *id_or_name, struct err *e)
{
    struct qcow2 *q = img->priv;
    int ret = begin(q), i = snapshot_find(q, id_or_name);

    if (!ret)
        ret = i < 0 ? -ENOENT : apply(q, i);
    return finish(q, ret, "apply", id_or_name, e);
}

static int drop(struct qcow2 *q, int i)
{
    struct snapshot gone = q->snapshots[i];
    struct next n = {.disk_size = ld64be(q->head + H_SIZE), .l1_size = q->l1_size, .nb_snapshots = q->nb_snapshots - 1};
    uint64_t *l1 = NULL;
    struct txn *t = txn_begin(q, false);
    int ret = t ? snapshot_l1(q, &gone, &l1) : -ENOMEM;

    n.l1 = copy_l1(q->l1, q->l1_size, q->l1_size);
    n.snapshots = calloc(q->nb_snapshots, sizeof *n.snapshots);
    if (!ret && (!n.l1 || !n.snapshots))
        ret = -ENOMEM;
    if (n.snapshots) {
        memcpy(n.snapshots, q->snapshots, (size_t)i * sizeof gone);
        memcpy(n.snapshots + i, q->snapshots + i + 1, (n.nb_snapshots - (size_t)i) * sizeof gone);
    }
    if (!ret)
        ret = ref_tree(t, q, l1, gone.l1_size, -1);
    if (!ret)
        ret = ref_range(t, q, gone.l1_offset, 8 * (uint64_t)gone.l1_size, -1);
    if (!ret)
        ret = rebuild_active(t, q, &n);
    if (!ret)
        ret = write_snapshots(t, q, &n);
    free(l1);
    ret = end(q, t, &n, ret);
    if (n.adopted)
        snapshot_free(&gone);
    else
        free(n.snapshots);
    return ret;
}

bool q_snapshot_delete(struct image *img, const char *id_or_name, struct err *e)
{
    struct qcow2 *q = img->priv;
    int ret = begin(q), i = snapshot_find(q, id_or_name);

    if (!ret)
        ret = i < 0 ? -ENOENT : drop(q, i);
    return finish(q, ret, "delete", id_or_name, e);
}
