/*
 * qcow2: check and repair.
 *
 * Count who refers to each host cluster, compare with the reference counts, then look at the COPIED flags of the active
 * tables. Counts that are too high are leaks and are lowered in place. Counts that are too low, or a broken table of them,
 * make all of them be built anew (qcow2_txn.c). Memory is bounded by what the file really holds: the array of counts has
 * a chunk only where something refers to.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum { CHUNK_BITS = 14, MAX_SNAPSHOT_L1 = 1 << 30 /* bytes of all together */, PAST_END = 1 << 16 };

struct checker {
    struct qcow2 *q;
    struct image_check *res;
    void (*report)(void *arg, const char *line);
    void *arg;
    uint32_t **chunk;
    uint64_t clusters; /* in the file, and one more */
    bool bad_refs;     /* the refcount structures themselves are wrong */
    bool quiet;
};

static void say(struct checker *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct checker *k, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!k->report || k->quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    k->report(k->arg, line);
}

static bool counts_init(struct checker *k)
{
    k->clusters = clusters_for(k->q, image_size(k->q->file)) + 1;
    k->chunk = calloc((k->clusters >> CHUNK_BITS) + 1, sizeof *k->chunk);
    return k->chunk;
}

static void counts_free(struct checker *k)
{
    for (uint64_t i = 0; k->chunk && i <= k->clusters >> CHUNK_BITS; i++)
        free(k->chunk[i]);
    free(k->chunk);
    k->chunk = NULL;
}

static uint32_t count_of(const struct checker *k, uint64_t c)
{
    const uint32_t *chunk = c < k->clusters ? k->chunk[c >> CHUNK_BITS] : NULL;

    return chunk ? chunk[c & ((1 << CHUNK_BITS) - 1)] : 0;
}

/* Someone refers to [off, off + len). */
static int count(struct checker *k, uint64_t off, uint64_t len, const char *what)
{
    uint64_t c = cluster_of(k->q, off), end;

    if (!len)
        return 0;
    if (off + len < off || cluster_of(k->q, off + len - 1) >= k->clusters) {
        say(k, "ERROR: %s at 0x%llx lies beyond the end of the file", what, (unsigned long long)off);
        k->res->corruptions++;
        return 0;
    }
    for (end = cluster_of(k->q, off + len - 1) + 1; c < end; c++) {
        uint32_t **chunk = &k->chunk[c >> CHUNK_BITS], *n;

        if (!*chunk && !(*chunk = calloc(1 << CHUNK_BITS, sizeof **chunk)))
            return -ENOMEM;
        n = &(*chunk)[c & ((1 << CHUNK_BITS) - 1)];
        *n += *n < UINT32_MAX;
    }
    return 0;
}

static int count_range(void *arg, uint64_t off, uint64_t len) { return count(arg, off, len, "bitmap data"); }

static int count_entry(struct checker *k, uint64_t entry, uint64_t bitmap, uint64_t guest, uint64_t *next, bool active)
{
    struct qcow2 *q = k->q;
    uint64_t off, len;

    if (entry & QCOW2_COMPRESSED) {
        if (entry & QCOW2_COPIED || q->data != q->file) {
            say(k, "ERROR: compressed cluster of guest offset 0x%llx is marked as a plain one",
                (unsigned long long)guest);
            k->res->corruptions++;
        }
        compressed_place(q, entry, &off, &len);
        if (active) {
            k->res->allocated_clusters++;
            k->res->compressed_clusters++;
            k->res->fragmented_clusters++;
        }
        return count(k, off, len, "a compressed cluster");
    }
    if (!entry_valid(q, entry, bitmap, guest)) {
        say(k, "ERROR: L2 entry 0x%llx of guest offset 0x%llx is not valid", (unsigned long long)entry,
            (unsigned long long)guest);
        k->res->corruptions++;
        return 0;
    }
    if (!entry_has_host(q, entry))
        return 0;
    off = entry_host(q, entry, guest);
    if (active) {
        k->res->allocated_clusters++;
        if (*next && off != *next)
            k->res->fragmented_clusters++;
        *next = off + q->cluster_size;
    }
    return q->data != q->file ? 0 : count(k, off, q->cluster_size, "a data cluster");
}

static int count_table(struct checker *k, uint64_t off, uint64_t guest, uint8_t *buf, bool active)
{
    struct qcow2 *q = k->q;
    uint64_t step = UINT64_C(1) << q->entry_bits, next = 0;
    int ret = q_pread(q->file, buf, off, q->cluster_size);

    for (uint64_t at = 0; at < q->cluster_size && !ret; at += step, guest += q->cluster_size)
        ret = count_entry(k, ld64be(buf + at), q->extended ? ld64be(buf + at + 8) : 0, guest, &next, active);
    return ret;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Does a table come twice? Then the time to look at all would not be bounded by what the file holds. */
static int find_doubles(struct checker *k, const uint64_t *l1, uint32_t n, bool *found)
{
    uint64_t *sorted = malloc(8 * (size_t)n + 8);

    *found = false;
    if (!sorted)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = l1[i] & QCOW2_OFFSET;
    qsort(sorted, n, 8, by_value);
    for (uint32_t i = 1; i < n && !*found; i++)
        *found = sorted[i] && sorted[i] == sorted[i - 1];
    if (*found) {
        say(k, "ERROR: an L1 table names the same L2 table twice");
        k->res->corruptions++;
    }
    free(sorted);
    return 0;
}

static int count_l1(struct checker *k, const uint64_t *l1, uint32_t n, uint64_t off, bool active)
{
    struct qcow2 *q = k->q;
    uint8_t *buf = malloc(q->cluster_size);
    bool doubles;
    int ret = buf ? find_doubles(k, l1, n, &doubles) : -ENOMEM;

    if (!ret)
        ret = count(k, off, 8 * (uint64_t)n, "an L1 table");
    for (uint32_t i = 0; i < n && !ret; i++) {
        uint64_t table = l1[i] & QCOW2_OFFSET;

        if (!table)
            continue;
        if (in_cluster(q, table) || l1[i] & QCOW2_L1_RESERVED) {
            say(k, "ERROR: L1 entry %u, 0x%llx, is not valid", i, (unsigned long long)l1[i]);
            k->res->corruptions++;
            if (in_cluster(q, table))
                continue;
        }
        ret = count(k, table, q->cluster_size, "an L2 table");
        if (!ret && !(doubles && count_of(k, cluster_of(q, table)) > 1 + q->nb_snapshots) &&
            table < image_size(q->file))
            ret = count_table(k, table, (uint64_t)i << (q->l2_bits + q->cluster_bits), buf, active);
    }
    free(buf);
    return ret;
}

static int count_snapshots(struct checker *k)
{
    struct qcow2 *q = k->q;
    uint64_t total = 0;
    int ret = q->nb_snapshots ? count(k, q->snapshots_offset, q->snapshots_size, "the snapshot table") : 0;

    for (uint32_t i = 0; i < q->nb_snapshots && !ret; i++) {
        uint64_t *l1;

        total += 8 * (uint64_t)q->snapshots[i].l1_size;
        if (total > MAX_SNAPSHOT_L1)
            return -EFBIG;
        if (q->snapshots[i].l1_size && count_of(k, cluster_of(q, q->snapshots[i].l1_offset))) {
            say(k, "ERROR: the L1 table of snapshot %u is in use otherwise too", i);
            k->res->corruptions++;
            continue;
        }
        ret = snapshot_l1(q, &q->snapshots[i], &l1);
        if (ret)
            return ret;
        ret = count_l1(k, l1, q->snapshots[i].l1_size, q->snapshots[i].l1_offset, false);
        free(l1);
    }
    return ret;
}

static int count_refs(struct checker *k)
{
    struct qcow2 *q = k->q;
    int ret = count(k, q->reftable_offset, 8 * (uint64_t)q->reftable_size, "the refcount table");

    for (uint32_t i = 0; i < q->reftable_size && !ret; i++) {
        uint64_t off = q->reftable[i];

        if (!off)
            continue;
        if (in_cluster(q, off) || off >= image_size(q->file)) {
            say(k, "ERROR: refcount block %u, at 0x%llx, is not valid", i, (unsigned long long)off);
            k->res->corruptions++;
            k->bad_refs = true;
            continue;
        }
        ret = count(k, off, q->cluster_size, "a refcount block");
        if (!ret && count_of(k, cluster_of(q, off)) > 1) {
            say(k, "ERROR: refcount block %u, at 0x%llx, is in use otherwise too", i, (unsigned long long)off);
            k->bad_refs = true;
        }
    }
    return ret;
}

/* LUKS headers do not come here: encrypted images are not opened. */
static int count_all(struct checker *k, bool refs)
{
    struct qcow2 *q = k->q;
    int ret = count(k, 0, q->cluster_size, "the header");

    k->res->total_clusters = clusters_for(q, q->img->size);
    if (!ret)
        ret = count_l1(k, q->l1, q->l1_size, q->l1_offset, true);
    if (!ret)
        ret = count_snapshots(k);
    if (!ret)
        ret = bitmaps_each_range(q, count_range, k);
    return !ret && refs ? count_refs(k) : ret;
}

/* One cluster's refcount against its count; fix: lower it if it is too high. */
static int compare_one(struct checker *k, uint64_t c, uint64_t have, bool fix)
{
    struct qcow2 *q = k->q;
    uint64_t want = count_of(k, c);
    bool beyond = c >= k->clusters - 1 && !want; /* past the end of the file: qemu-img does not count it either */
    int ret = 0;

    if (have && !beyond)
        k->res->image_end_offset = (c + 1) << q->cluster_bits;
    if (have == want)
        return 0;
    if (have < want) {
        say(k, "ERROR cluster %llu refcount=%llu reference=%llu", (unsigned long long)c, (unsigned long long)have,
            (unsigned long long)want);
        k->res->corruptions++;
        k->bad_refs = true;
        return 0;
    }
    if (!beyond) {
        say(k, "Leaked cluster %llu refcount=%llu reference=%llu", (unsigned long long)c, (unsigned long long)have,
            (unsigned long long)want);
        k->res->leaks++;
    }
    if (fix)
        ret = ref_set(q, c, want);
    if (fix && !want && c < q->next_free)
        q->next_free = c;
    return ret;
}

/* Clusters [c, end) whose refcounts are 0 for want of a block. Where nobody refers to is passed over quickly. */
static int compare_none(struct checker *k, uint64_t c, uint64_t end, bool fix)
{
    int ret = 0;

    end = end < k->clusters ? end : k->clusters;
    while (c < end && !ret) {
        if (!k->chunk[c >> CHUNK_BITS])
            c = ((c >> CHUNK_BITS) + 1) << CHUNK_BITS;
        else
            ret = compare_one(k, c++, 0, fix);
    }
    return ret;
}

static int compare_block(struct checker *k, uint64_t c, uint64_t end, bool fix)
{
    int ret = 0;

    for (; c < end && !ret; c++) {
        uint64_t have;

        ret = ref_get(k->q, c, &have);
        if (!ret)
            ret = compare_one(k, c, have, fix);
    }
    return ret;
}

/* Refcounts against counts. Far past the end of the file nothing is looked at: a block can claim to count any place. */
static int compare(struct checker *k, bool fix)
{
    struct qcow2 *q = k->q;
    uint64_t per = UINT64_C(1) << refblock_bits(q), most = k->clusters + PAST_END;
    int ret = 0;

    for (uint64_t i = 0; i < q->reftable_size && i * per < most && !ret; i++) {
        uint64_t block = q->reftable[i], end = (i + 1) * per < most ? (i + 1) * per : most;

        if (!block || in_cluster(q, block) || block >= image_size(q->file))
            ret = compare_none(k, i * per, end, fix);
        else
            ret = compare_block(k, i * per, end, fix);
    }
    return ret ? ret : compare_none(k, (uint64_t)q->reftable_size * per, k->clusters, fix);
}

/* One L2 table's flags. */
static int check_flags_of(struct checker *k, uint64_t table, uint8_t *buf, bool fix)
{
    struct qcow2 *q = k->q;
    bool changed = false;
    int ret = q_pread(q->file, buf, table, q->cluster_size);

    for (uint64_t at = 0; at < q->cluster_size && !ret; at += UINT64_C(1) << q->entry_bits) {
        uint64_t e = ld64be(buf + at), v = 1;

        if (e & QCOW2_COMPRESSED || !entry_has_host(q, e) || in_cluster(q, e & QCOW2_OFFSET))
            continue;
        if (q->data == q->file)
            ret = ref_get(q, cluster_of(q, e & QCOW2_OFFSET), &v);
        if (ret || (v == 1) == !!(e & QCOW2_COPIED))
            continue;
        say(k, "ERROR OFLAG_COPIED data cluster: l2_entry=%llx refcount=%llu", (unsigned long long)e,
            (unsigned long long)v);
        k->res->corruptions++;
        st64be(buf + at, e ^ QCOW2_COPIED);
        changed = true;
    }
    if (ret || !fix || !changed)
        return ret;
    if (owner_kind(q, table) != OWNER_L2)
        return 0; /* overlaps something: hands off */
    slices_forget(&q->l2, table, q->cluster_size);
    return image_pwrite(q->file, buf, table, q->cluster_size, 0);
}

static int check_flags(struct checker *k, bool fix)
{
    struct qcow2 *q = k->q;
    uint8_t *buf = malloc(q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < q->l1_size && !ret; i++) {
        uint64_t table = q->l1[i] & QCOW2_OFFSET, v;

        if (!table || in_cluster(q, table) || table >= image_size(q->file))
            continue;
        ret = ref_get(q, cluster_of(q, table), &v);
        if (!ret && (v == 1) != !!(q->l1[i] & QCOW2_COPIED)) {
            say(k, "ERROR OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%llx refcount=%llu", i,
                (unsigned long long)q->l1[i], (unsigned long long)v);
            k->res->corruptions++;
            if (fix) {
                q->l1[i] ^= QCOW2_COPIED;
                ret = sectors_add(&q->l1_dirty, i, q->l1_size) ? 0 : -ENOMEM;
            }
        }
        if (!ret)
            ret = check_flags_of(k, table, buf, fix);
    }
    free(buf);
    return ret;
}

/* All refcounts anew from who refers to what. */
static int rebuild(struct checker *k)
{
    struct qcow2 *q = k->q;
    struct image_check scratch = {0};
    struct checker all = {.q = q, .res = &scratch};
    struct txn *t = txn_begin(q, true);
    int ret = t && counts_init(&all) ? count_all(&all, false) : -ENOMEM;

    for (uint64_t c = 0; c < all.clusters && !ret; c++) {
        uint32_t n;

        if (!all.chunk[c >> CHUNK_BITS]) {
            c |= (1 << CHUNK_BITS) - 1;
            continue;
        }
        n = count_of(&all, c);
        if (n)
            ret = txn_ref(t, c, n);
    }
    counts_free(&all);
    if (!ret)
        return txn_commit(t, NULL, NULL, NULL);
    if (t)
        txn_abort(t);
    return ret;
}

static int pass(struct checker *k, unsigned fix)
{
    int ret = counts_init(k) ? count_all(k, true) : -ENOMEM;

    if (!ret)
        ret = compare(k, fix & IMAGE_FIX_LEAKS && !(fix & IMAGE_FIX_ERRORS && k->bad_refs));
    counts_free(k);
    return ret;
}

static int repair(struct checker *k, unsigned fix, bool sound)
{
    struct image_check scratch = {0};
    struct checker quiet = {.q = k->q, .res = &scratch, .quiet = true};
    int ret = 0;

    if (fix & IMAGE_FIX_ERRORS && k->bad_refs)
        ret = rebuild(k);
    if (!ret)
        ret = q_settle(k->q);
    if (!ret && (fix & IMAGE_FIX_ERRORS || sound)) /* a leak gone from a cluster in use changes its flag */
        ret = check_flags(&quiet, true);
    return ret ? ret : q_settle(k->q);
}

/* Lock held, exclusive. */
static int check(struct checker *k, unsigned fix)
{
    struct qcow2 *q = k->q;
    struct image_check before;
    struct err e;
    bool sound;
    int ret = q->prepared ? q_settle(q) : 0;

    if (!ret && fix && !q->prepared) {
        owner_load(q, &e); /* as far as it makes sense: what overlaps is not written */
        ret = header_prepare(q);
    }
    if (!ret)
        ret = pass(k, fix);
    if (!ret && !fix)
        return check_flags(k, false);
    sound = !k->res->corruptions;
    if (!ret)
        ret = check_flags(k, false);
    if (!ret)
        ret = repair(k, fix, sound);
    if (ret)
        return ret;
    before = *k->res;
    *k->res = (struct image_check){0};
    k->quiet = true;
    k->bad_refs = false;
    ret = pass(k, 0);
    if (!ret)
        ret = check_flags(k, false);
    k->res->corruptions_fixed = before.corruptions > k->res->corruptions ? before.corruptions - k->res->corruptions : 0;
    k->res->leaks_fixed = before.leaks > k->res->leaks ? before.leaks - k->res->leaks : 0;
    if (!ret && fix & IMAGE_FIX_ERRORS && !k->res->corruptions) {
        q->incompatible &= ~(uint64_t)INCOMPAT_CORRUPT;
        if (!(q->compatible & COMPAT_LAZY))
            q->incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
        header_fields(q);
        ret = header_write(q);
        q->broken = ret;
    }
    return ret;
}

bool q_check(struct image *img, unsigned fix, struct image_check *res, void (*report)(void *, const char *), void *arg,
             struct err *e)
{
    struct qcow2 *q = img->priv;
    struct checker k = {.q = q, .res = res, .report = report, .arg = arg};
    int ret;

    *res = (struct image_check){0};
    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    if (q->view || (fix && !q->can_write))
        ret = -EROFS;
    else
        ret = check(&k, fix);
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    return !ret || err_set(e, "disk image '%s': cannot check it: %s", img->path, strerror(-ret));
}

bool check_at_open(struct qcow2 *q, struct err *e)
{
    struct image_check res = {0};
    struct checker k = {.q = q, .res = &res, .quiet = true};
    int ret;

    pthread_mutex_lock(&q->lock);
    exclusive_begin(q);
    ret = check(&k, IMAGE_FIX_LEAKS |
                        IMAGE_FIX_ERRORS); /* errors: lazy refcounts, or a host that lost what it had synced */
    exclusive_end(q);
    pthread_mutex_unlock(&q->lock);
    if (ret)
        return err_set(e, "disk image '%s' was not closed cleanly, and cannot be repaired: %s", q->img->path,
                       strerror(-ret));
    if (res.corruptions)
        return err_set(e, "disk image '%s' was not closed cleanly and has %llu errors; repair it with check -r all",
                       q->img->path, (unsigned long long)res.corruptions);
    return true;
}
