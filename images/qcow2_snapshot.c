/*
 * qcow2: the table of internal snapshots, read and written; list and view.
 *
 * Extra data of an entry: 64-bit VM state size, disk size, icount (-1: none); what follows is unknown and kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum { ENTRY = 40, EXTRA_KNOWN = 24 };

void snapshot_free(struct snapshot *s)
{
    free(s->id);
    free(s->name);
    free(s->unknown);
}

void snapshots_free(struct qcow2 *q)
{
    for (uint32_t i = 0; q->snapshots && i < q->nb_snapshots; i++)
        snapshot_free(&q->snapshots[i]);
    free(q->snapshots);
    q->snapshots = NULL;
}

static bool bad(struct qcow2 *q, struct err *e, const char *why)
{
    return err_set(e, "disk image '%s': %s", q->img->path, why);
}

/* The entry at p, of at most room bytes. Its length; 0: it makes no sense or memory is short. */
static uint64_t unpack(struct qcow2 *q, const uint8_t *p, uint64_t room, struct snapshot *s)
{
    uint32_t id, name, unknown;
    uint64_t len;

    if (room < ENTRY)
        return 0;
    *s = (struct snapshot){
        .l1_offset = ld64be(p),
        .l1_size = ld32be(p + 8),
        .date_sec = ld32be(p + 16),
        .date_nsec = ld32be(p + 20),
        .vm_clock = ld64be(p + 24),
        .vm_state_32 = ld32be(p + 32),
        .vm_state_size = ld32be(p + 32),
        .extra_size = ld32be(p + 36),
        .disk_size = q->img->size,
        .icount = UINT64_MAX,
    };
    id = ld16be(p + 12);
    name = ld16be(p + 14);
    len = ENTRY + (uint64_t)s->extra_size + id + name;
    if (s->extra_size > MAX_SNAPSHOT_EXTRA || len > room)
        return 0;
    if (s->extra_size >= 8)
        s->vm_state_size = ld64be(p + ENTRY);
    if (s->extra_size >= 16)
        s->disk_size = ld64be(p + ENTRY + 8);
    if (s->extra_size >= 24)
        s->icount = ld64be(p + ENTRY + 16);
    unknown = s->extra_size > EXTRA_KNOWN ? s->extra_size - EXTRA_KNOWN : 0;
    s->id = strndup((const char *)p + ENTRY + s->extra_size, id);
    s->name = strndup((const char *)p + ENTRY + s->extra_size + id, name);
    s->unknown = malloc(unknown ? unknown : 1);
    if (!s->id || !s->name || !s->unknown)
        return 0;
    if (unknown)
        memcpy(s->unknown, p + ENTRY + EXTRA_KNOWN, unknown);
    return align_up(len, 8);
}

static bool place_valid(const struct qcow2 *q, const struct snapshot *s)
{
    uint64_t file = image_size(q->file);

    return s->l1_size <= MAX_L1_BYTES / 8 && !in_cluster(q, s->l1_offset) && s->l1_offset <= file &&
           8 * (uint64_t)s->l1_size <= file - s->l1_offset;
}

/* Read in growing pieces: the table's length is known only at its end. */
bool snapshots_load(struct qcow2 *q, struct err *e)
{
    uint64_t file = image_size(q->file), have = 0, at = 0,
             most = (uint64_t)q->nb_snapshots * (ENTRY + MAX_SNAPSHOT_EXTRA + 2 * 65536);
    uint8_t *table = NULL;
    uint32_t i = 0, n = q->nb_snapshots;
    bool ok = true;

    if (!n)
        return true;
    most = most < file - q->snapshots_offset ? most : file - q->snapshots_offset;
    most = most < MAX_SNAPSHOT_TABLE ? most : MAX_SNAPSHOT_TABLE;
    q->snapshots = calloc(n, sizeof *q->snapshots);
    if (!q->snapshots)
        return bad(q, e, "out of memory");
    while (ok && i < n) {
        uint64_t want = have ? 4 * have : 65536, len;
        uint8_t *more = NULL;

        want = want < most ? want : most;
        if (want > have)
            more = realloc(table, want);
        if (more)
            table = more;
        if (!more || q_pread(q->file, table + have, q->snapshots_offset + have, want - have)) {
            ok = bad(q, e, want > have ? "cannot read its snapshot table" : "its snapshot table is not valid");
            break;
        }
        have = want;
        while (i < n && (len = unpack(q, table + at, have - at, &q->snapshots[i]))) {
            if (!place_valid(q, &q->snapshots[i])) {
                ok = bad(q, e, "the place of a snapshot's L1 table is not valid");
                break;
            }
            at += len;
            i++;
        }
        if (i < n)
            snapshot_free(&q->snapshots[i]), q->snapshots[i] = (struct snapshot){0};
    }
    q->snapshots_size = at;
    free(table);
    return ok;
}

uint8_t *snapshots_pack(const struct snapshot *s, uint32_t n, unsigned version, uint64_t *size)
{
    uint64_t at = 0;
    uint8_t *out;

    for (uint32_t i = 0; i < n; i++)
        at += align_up(ENTRY + (s[i].extra_size > EXTRA_KNOWN ? s[i].extra_size : EXTRA_KNOWN) + strlen(s[i].id) +
                           strlen(s[i].name),
                       8);
    *size = at;
    (void)version;
    out = calloc(1, at ? at : 1);
    if (!out || at > MAX_SNAPSHOT_TABLE) {
        free(out);
        return NULL;
    }
    at = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t extra = s[i].extra_size > EXTRA_KNOWN ? s[i].extra_size : EXTRA_KNOWN;
        size_t id = strlen(s[i].id), name = strlen(s[i].name);
        uint8_t *p = out + at;

        st64be(p, s[i].l1_offset);
        st32be(p + 8, s[i].l1_size);
        st16be(p + 12, (uint16_t)id);
        st16be(p + 14, (uint16_t)name);
        st32be(p + 16, s[i].date_sec);
        st32be(p + 20, s[i].date_nsec);
        st64be(p + 24, s[i].vm_clock);
        st32be(p + 32, s[i].vm_state_size <= UINT32_MAX ? (uint32_t)s[i].vm_state_size : 0);
        st32be(p + 36, extra);
        st64be(p + ENTRY, s[i].vm_state_size);
        st64be(p + ENTRY + 8, s[i].disk_size);
        st64be(p + ENTRY + 16, s[i].icount);
        if (extra > EXTRA_KNOWN)
            memcpy(p + ENTRY + EXTRA_KNOWN, s[i].unknown, extra - EXTRA_KNOWN);
        memcpy(p + ENTRY + extra, s[i].id, id);
        memcpy(p + ENTRY + extra + id, s[i].name, name);
        at += align_up(ENTRY + extra + id + name, 8);
    }
    return out;
}

/* Host order; malloc'ed. */
int snapshot_l1(struct qcow2 *q, const struct snapshot *s, uint64_t **out)
{
    uint64_t *l1;
    int ret;

    if (!place_valid(q, s))
        return -EIO;
    l1 = calloc(s->l1_size ? s->l1_size : 1, 8);
    ret = l1 ? q_pread(q->file, l1, s->l1_offset, 8 * (uint64_t)s->l1_size) : -ENOMEM;
    if (ret) {
        free(l1);
        return ret;
    }
    for (uint32_t i = 0; i < s->l1_size; i++)
        l1[i] = __builtin_bswap64(l1[i]);
    *out = l1;
    return 0;
}

/* By id first, then by name. -1: none. */
int snapshot_find(const struct qcow2 *q, const char *id_or_name)
{
    for (uint32_t i = 0; i < q->nb_snapshots; i++)
        if (!strcmp(q->snapshots[i].id, id_or_name))
            return (int)i;
    for (uint32_t i = 0; i < q->nb_snapshots; i++)
        if (!strcmp(q->snapshots[i].name, id_or_name))
            return (int)i;
    return -1;
}

int q_snapshot_list(struct image *img, struct image_snapshot **out)
{
    struct qcow2 *q = img->priv;

    pthread_mutex_lock(&q->lock);
    *out = calloc(q->nb_snapshots + 1, sizeof **out);
    for (uint32_t i = 0; *out && i < q->nb_snapshots; i++) {
        const struct snapshot *s = &q->snapshots[i];
        struct image_snapshot *o = &(*out)[i];

        snprintf(o->id, sizeof o->id, "%s", s->id);
        snprintf(o->name, sizeof o->name, "%s", s->name);
        o->vm_state_size = s->vm_state_size;
        o->disk_size = s->disk_size;
        o->date_sec = s->date_sec;
        o->date_nsec = s->date_nsec;
        o->vm_clock_ns = s->vm_clock;
        o->icount = s->icount;
    }
    pthread_mutex_unlock(&q->lock);
    return *out ? (int)q->nb_snapshots : -ENOMEM;
}

bool q_snapshot_view(struct image *img, const char *id_or_name, struct err *e)
{
    struct qcow2 *q = img->priv;
    uint64_t *l1;
    int i, ret;

    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    i = snapshot_find(q, id_or_name);
    ret = i < 0 ? -ENOENT : q_finish(q);
    if (!ret)
        ret = snapshot_l1(q, &q->snapshots[i], &l1);
    if (!ret && q->snapshots[i].disk_size > (uint64_t)q->snapshots[i].l1_size << (q->l2_bits + q->cluster_bits)) {
        free(l1);
        ret = -EIO;
    }
    if (!ret) {
        free(q->l1);
        q->l1 = l1;
        q->l1_size = q->snapshots[i].l1_size;
        q->view = true;
        img->size = align_up(q->snapshots[i].disk_size, 512);
        img->read_only = true;
        img->discard = false;
    }
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    return !ret || err_set(e, "disk image '%s': snapshot '%s': %s", img->path, id_or_name,
                           i < 0 ? "there is none of that name" : strerror(-ret));
}
