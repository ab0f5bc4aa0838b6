/*
 * qcow2: which host clusters hold metadata in use: a hash from cluster to kind.
 *
 * Every write of metadata must find its own kind there, and every write of guest data none: a corrupt image whose
 * tables overlap is stopped before anything is lost (the overlap checks of QEMU's docs/interop and block/qcow2).
 */
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

static size_t place(const struct owner_map *m, uint64_t key)
{
    size_t i = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (m->room - 1);

    while (m->key[i] && m->key[i] != key)
        i = (i + 1) & (m->room - 1);
    return i;
}

static bool grow(struct owner_map *m)
{
    struct owner_map old = *m;
    size_t live = 0;

    for (size_t i = 0; i < old.room; i++)
        live += old.kind[i] != OWNER_NONE;
    m->room = !old.room ? 256 : live > old.room / 4 ? 2 * old.room : old.room;
    m->key = calloc(m->room, sizeof *m->key);
    m->kind = calloc(m->room, 1);
    if (!m->key || !m->kind) {
        free(m->key);
        free(m->kind);
        *m = old;
        return false;
    }
    m->used = 0;
    for (size_t i = 0; i < old.room; i++)
        if (old.kind[i] != OWNER_NONE) {
            size_t to = place(m, old.key[i]);

            m->key[to] = old.key[i];
            m->kind[to] = old.kind[i];
            m->used++;
        }
    free(old.key);
    free(old.kind);
    return true;
}

static bool add_one(struct owner_map *m, uint64_t cluster, enum owner kind)
{
    size_t i;

    if (m->used >= m->room / 2 && !grow(m))
        return false;
    i = place(m, cluster + 1);
    if (m->key[i] && m->kind[i] != OWNER_NONE)
        return false;
    m->used += !m->key[i]; /* deleted ones keep their key, with no kind */
    m->key[i] = cluster + 1;
    m->kind[i] = (uint8_t)kind;
    return true;
}

bool owner_add(struct qcow2 *q, uint64_t off, uint64_t len, enum owner kind)
{
    for (uint64_t c = cluster_of(q, off), end = cluster_of(q, off) + clusters_for(q, len); c < end; c++)
        if (!add_one(&q->owners, c, kind))
            return false;
    return true;
}

void owner_del(struct qcow2 *q, uint64_t off, uint64_t len)
{
    for (uint64_t c = cluster_of(q, off), end = cluster_of(q, off) + clusters_for(q, len); c < end; c++) {
        size_t i = place(&q->owners, c + 1);

        if (q->owners.key[i])
            q->owners.kind[i] = OWNER_NONE;
    }
}

enum owner owner_kind(const struct qcow2 *q, uint64_t off)
{
    const struct owner_map *m = &q->owners;
    size_t i;

    if (!m->room)
        return OWNER_NONE;
    i = place(m, cluster_of(q, off) + 1);
    return m->key[i] ? (enum owner)m->kind[i] : OWNER_NONE;
}

bool owner_is(const struct qcow2 *q, uint64_t off, uint64_t len, enum owner kind)
{
    for (uint64_t at = align_down(off, q->cluster_size); at < off + len; at += q->cluster_size)
        if (owner_kind(q, at) != kind)
            return false;
    return true;
}

void owner_clear(struct qcow2 *q)
{
    free(q->owners.key);
    free(q->owners.kind);
    q->owners = (struct owner_map){0};
}

static bool overlap(struct qcow2 *q, const char *what, uint64_t off, struct err *e)
{
    return err_set(e, "disk image '%s' is corrupt: %s at 0x%llx overlaps other metadata", q->img->path, what,
                   (unsigned long long)off);
}

bool owner_load(struct qcow2 *q, struct err *e)
{
    owner_clear(q);
    if (!owner_add(q, 0, 1, OWNER_HEADER))
        return err_set(e, "disk image '%s': out of memory", q->img->path);
    if (q->l1_size && !owner_add(q, q->l1_offset, 8 * (uint64_t)q->l1_size, OWNER_L1))
        return overlap(q, "the L1 table", q->l1_offset, e);
    if (!owner_add(q, q->reftable_offset, 8 * (uint64_t)q->reftable_size, OWNER_REFTABLE))
        return overlap(q, "the refcount table", q->reftable_offset, e);
    if (q->nb_snapshots && !owner_add(q, q->snapshots_offset, q->snapshots_size, OWNER_SNAPSHOTS))
        return overlap(q, "the snapshot table", q->snapshots_offset, e);
    for (uint32_t i = 0; i < q->nb_snapshots; i++)
        if (q->snapshots[i].l1_size &&
            !owner_add(q, q->snapshots[i].l1_offset, 8 * (uint64_t)q->snapshots[i].l1_size, OWNER_L1))
            return overlap(q, "the L1 table of a snapshot", q->snapshots[i].l1_offset, e);
    for (uint32_t i = 0; i < q->reftable_size; i++) {
        uint64_t off = q->reftable[i] & QCOW2_REF_OFFSET;

        if (off && (in_cluster(q, off) || !owner_add(q, off, 1, OWNER_REFBLOCK)))
            return overlap(q, "a refcount block", off, e);
    }
    for (uint32_t i = 0; i < q->l1_size; i++) {
        uint64_t off = q->l1[i] & QCOW2_OFFSET;

        if (off && (in_cluster(q, off) || !owner_add(q, off, 1, OWNER_L2)))
            return overlap(q, "an L2 table", off, e);
    }
    return true;
}
