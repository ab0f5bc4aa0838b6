/*
 * qcow2: reference counts of host clusters, and who gets the next free one.
 *
 * A refcount block that is missing is put at the start of what it counts, where all is free, and written at once; the
 * table gets its entry with the next flush. The table grows into a new place: block(s), table, sync, one header write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

uint64_t ref_max(const struct qcow2 *q) { return q->ref_order == 6 ? UINT64_MAX : (UINT64_C(1) << ref_bits(q)) - 1; }

uint64_t ref_load(const uint8_t *p, unsigned order, uint64_t i)
{
    unsigned bits = 1u << order;

    switch (order) {
    case 3: return p[i];
    case 4: return ld16be(p + 2 * i);
    case 5: return ld32be(p + 4 * i);
    case 6: return ld64be(p + 8 * i);
    default: return p[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
    }
}

void ref_store(uint8_t *p, unsigned order, uint64_t i, uint64_t v)
{
    unsigned bits = 1u << order, shift = (unsigned)(i * bits % 8);

    switch (order) {
    case 3: p[i] = (uint8_t)v; break;
    case 4: st16be(p + 2 * i, (uint16_t)v); break;
    case 5: st32be(p + 4 * i, (uint32_t)v); break;
    case 6: st64be(p + 8 * i, v); break;
    default: p[i * bits / 8] = (uint8_t)((p[i * bits / 8] & ~(((1u << bits) - 1) << shift)) | v << shift);
    }
}

static uint64_t slice_refs(const struct qcow2 *q) { return (uint64_t)q->refs.slice_size * 8 >> q->ref_order; }

enum { NO_BLOCK = 1 };

/* The slice that holds the refcount of cluster c, pinned. NO_BLOCK: all there are 0. */
static int ref_slice(struct qcow2 *q, uint64_t c, struct slice **s)
{
    uint64_t i = c >> refblock_bits(q), block = i < q->reftable_size ? q->reftable[i] & QCOW2_REF_OFFSET : 0;
    uint64_t in = c & ((UINT64_C(1) << refblock_bits(q)) - 1);

    if (!block)
        return NO_BLOCK;
    if (in_cluster(q, block) || block >= image_size(q->file))
        return q_corrupt(q);
    return slices_get(q, &q->refs, block + in / slice_refs(q) * q->refs.slice_size, false, s);
}

int ref_get(struct qcow2 *q, uint64_t c, uint64_t *v)
{
    struct slice *s;
    int ret = ref_slice(q, c, &s);

    *v = 0;
    if (ret)
        return ret == NO_BLOCK ? 0 : ret;
    *v = ref_load(s->data, q->ref_order, c & (slice_refs(q) - 1));
    slices_put(&q->refs, s);
    return 0;
}

static void used_up_to(struct qcow2 *q, uint64_t end)
{
    if (q->pristine < end)
        q->pristine = end;
}

static int write_new(struct qcow2 *q, const void *buf, uint64_t off, uint64_t len)
{
    used_up_to(q, align_up(off + len, q->cluster_size));
    return image_pwrite(q->file, buf, off, len, 0);
}

/*
 * At the start of what block `first` counts, k blocks that are missing followed by n clusters that are counted as used.
 * *payload: where those are. The table in memory is not touched.
 */
static int area_write(struct qcow2 *q, uint64_t first, uint64_t k, uint64_t n)
{
    uint64_t per = UINT64_C(1) << refblock_bits(q);
    uint8_t *buf = calloc(1, q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint64_t b = 0; b < k && !ret; b++) {
        uint64_t off = ((first << refblock_bits(q)) + b) << q->cluster_bits;

        memset(buf, 0, q->cluster_size);
        for (uint64_t i = 0; i < per && b * per + i < k + n; i++)
            ref_store(buf, q->ref_order, i, 1);
        slices_forget(&q->refs, off, q->cluster_size);
        slices_forget(&q->l2, off, q->cluster_size);
        ret = owner_kind(q, off) ? q_corrupt(q) : write_new(q, buf, off, q->cluster_size);
    }
    free(buf);
    return ret;
}

/* How many blocks in a row count themselves and n more clusters. */
static uint64_t area_blocks(const struct qcow2 *q, uint64_t n)
{
    uint64_t k = 1;

    while (k << refblock_bits(q) < k + n)
        k++;
    return k;
}

static bool area_free(const struct qcow2 *q, uint64_t first, uint64_t k)
{
    for (uint64_t i = first; i < first + k && i < q->reftable_size; i++)
        if (q->reftable[i] & QCOW2_REF_OFFSET)
            return false;
    return true;
}

/* Blocks [first, first + k) are in the file: tell the table in memory and the owners. */
static int area_enter(struct qcow2 *q, uint64_t first, uint64_t k)
{
    for (uint64_t b = 0; b < k; b++) {
        uint64_t off = ((first << refblock_bits(q)) + b) << q->cluster_bits;

        if (!sectors_add(&q->reftable_dirty, first + b, q->reftable_size) || !owner_add(q, off, 1, OWNER_REFBLOCK))
            return -ENOMEM;
        q->reftable[first + b] = off;
    }
    return 0;
}

/* A refcount table with room for block `first` and more, in a new area that starts at what that block counts. */
static int reftable_grow(struct qcow2 *q, uint64_t first)
{
    uint64_t per_cluster = q->cluster_size / 8, old = q->reftable_offset, old_bytes = 8 * (uint64_t)q->reftable_size;
    uint64_t want = first + 8 + first / 2, n = want / per_cluster + 1, k = area_blocks(q, n), entries, off;
    uint8_t *raw, head[512];
    uint64_t *table;
    int ret;

    while (n * per_cluster < first + k + 1)
        k = area_blocks(q, ++n);
    if (n << q->cluster_bits > MAX_REFTABLE_BYTES) {
        n = MAX_REFTABLE_BYTES >> q->cluster_bits;
        k = area_blocks(q, n);
        if (n * per_cluster < first + k)
            return -EFBIG;
    }
    entries = n * per_cluster;
    off = ((first << refblock_bits(q)) + k) << q->cluster_bits;
    table = calloc(entries, 8);
    raw = calloc(entries, 8);
    ret = table && raw ? area_write(q, first, k, n) : -ENOMEM;
    if (!ret) {
        memcpy(table, q->reftable, old_bytes);
        for (uint64_t b = 0; b < k; b++)
            table[first + b] = ((first << refblock_bits(q)) + b) << q->cluster_bits;
        for (uint64_t i = 0; i < entries; i++)
            st64be(raw + 8 * i, table[i]);
        ret = write_new(q, raw, off, 8 * entries);
    }
    if (!ret)
        ret = q->file->ops->flush(q->file);
    free(raw);
    memcpy(head, q->head, sizeof head);
    if (!ret) {
        st64be(q->head + H_REFTABLE_OFFSET, off);
        st32be(q->head + H_REFTABLE_CLUSTERS, (uint32_t)n);
        ret = header_switch(q, head);
    }
    if (ret) {
        free(table);
        return ret;
    }
    free(q->reftable);
    q->reftable = table;
    q->reftable_size = (uint32_t)entries;
    q->reftable_offset = off;
    sectors_clear(&q->reftable_dirty);
    owner_del(q, old, old_bytes);
    free_later(q, old, old_bytes, false);
    if (!owner_add(q, off, 8 * entries, OWNER_REFTABLE))
        ret = -ENOMEM;
    for (uint64_t b = 0; b < k; b++)
        if (!owner_add(q, table[first + b], 1, OWNER_REFBLOCK))
            ret = -ENOMEM;
    if (ret)
        q->broken = ret; /* without memory to guard them, no more writes */
    return ret;
}

static int block_new(struct qcow2 *q, uint64_t i)
{
    int ret;

    if (i >= q->reftable_size)
        return reftable_grow(q, i);
    ret = area_write(q, i, 1, 0);
    return ret ? ret : area_enter(q, i, 1);
}

int ref_set(struct qcow2 *q, uint64_t c, uint64_t v)
{
    struct slice *s;
    int ret = ref_slice(q, c, &s);

    if (ret == NO_BLOCK) {
        ret = block_new(q, c >> refblock_bits(q));
        if (!ret)
            ret = ref_slice(q, c, &s);
    }
    if (ret)
        return ret == NO_BLOCK ? -EIO : ret;
    ref_store(s->data, q->ref_order, c & (slice_refs(q) - 1), v);
    slices_dirty(&q->refs, s);
    slices_put(&q->refs, s);
    return 0;
}

static void became_free(struct qcow2 *q, uint64_t c)
{
    if (c < q->next_free)
        q->next_free = c;
    if (q->packed && cluster_of(q, q->packed) == c)
        q->packed = 0;
    codec_forget(q, c << q->cluster_bits, q->cluster_size);
}

int ref_change(struct qcow2 *q, uint64_t c, uint64_t count, int delta)
{
    for (uint64_t end = c + count; c < end; c++) {
        struct slice *s;
        uint64_t i = c & (slice_refs(q) - 1), v;
        int ret = ref_slice(q, c, &s);

        if (ret)
            return ret == NO_BLOCK ? q_corrupt(q) : ret;
        v = ref_load(s->data, q->ref_order, i);
        if (delta < 0 ? !v : v == ref_max(q)) {
            slices_put(&q->refs, s);
            return delta < 0 ? q_corrupt(q) : -ERANGE;
        }
        ref_store(s->data, q->ref_order, i, delta < 0 ? v - 1 : v + 1);
        slices_dirty(&q->refs, s);
        slices_put(&q->refs, s);
        if (delta < 0 && v == 1)
            became_free(q, c);
    }
    return 0;
}

/* From *c on, the next cluster with count 0 and how many follow it, at most n, as far as blocks exist. */
static int find_run(struct qcow2 *q, uint64_t *c, uint64_t n, uint64_t *len)
{
    for (*len = 0; *len < n;) {
        uint64_t at = *c + *len, i = at & (slice_refs(q) - 1);
        struct slice *s;
        int ret = ref_slice(q, at, &s);

        if (ret)
            return ret;
        for (; i < slice_refs(q) && *len < n; i++) {
            bool used = ref_load(s->data, q->ref_order, i);

            if (used && *len)
                break;
            if (used)
                ++*c;
            else
                ++*len;
        }
        slices_put(&q->refs, s);
        if (i < slice_refs(q))
            return 0;
    }
    return 0;
}

static int take_run(struct qcow2 *q, uint64_t c, uint64_t n, uint64_t *host, bool *pristine)
{
    int ret;

    if (c + n > QCOW2_MAX_OFFSET >> q->cluster_bits)
        return -EFBIG;
    *host = c << q->cluster_bits;
    for (uint64_t i = 0; i < n; i++)
        if (owner_kind(q, (c + i) << q->cluster_bits))
            return q_corrupt(q);
    ret = ref_change(q, c, n, 1);
    if (ret)
        return ret;
    *pristine = *host >= q->pristine;
    used_up_to(q, (c + n) << q->cluster_bits);
    return 0;
}

/* n clusters in a row where no refcount blocks are yet. */
static int take_area(struct qcow2 *q, uint64_t i, uint64_t n, uint64_t *host, bool *pristine)
{
    uint64_t k = area_blocks(q, n);
    int ret;

    while (!area_free(q, i, k))
        i++;
    if (i + k > q->reftable_size) {
        ret = reftable_grow(q, i > q->reftable_size ? i : q->reftable_size);
        return ret ? ret : -EAGAIN;
    }
    if ((i + k) << refblock_bits(q) > QCOW2_MAX_OFFSET >> q->cluster_bits)
        return -EFBIG;
    *host = ((i << refblock_bits(q)) + k) << q->cluster_bits;
    *pristine = *host >= q->pristine;
    for (uint64_t c = 0; c < n; c++)
        if (owner_kind(q, *host + (c << q->cluster_bits)))
            return q_corrupt(q);
    ret = area_write(q, i, k, n);
    if (!ret)
        ret = area_enter(q, i, k);
    used_up_to(q, *host + (n << q->cluster_bits));
    return ret;
}

int cluster_alloc(struct qcow2 *q, uint64_t n, uint64_t min, uint64_t *host, uint64_t *got, bool *pristine)
{
    uint64_t c = q->next_free, len;
    bool first = true;
    int ret;

    for (;;) {
        ret = find_run(q, &c, n, &len);
        if (ret && ret != NO_BLOCK)
            return ret;
        if (len >= min)
            break;
        if (first && !len) /* all up to here is used */
            q->next_free = c;
        first = false;
        if (ret == NO_BLOCK) {
            uint64_t i = (c + len) >> refblock_bits(q);

            *got = min;
            ret = min == 1 ? block_new(q, i) : take_area(q, i, min, host, pristine);
            if (min > 1 && ret != -EAGAIN)
                return ret;
            if (ret && ret != -EAGAIN)
                return ret;
            continue;
        }
        c += len;
    }
    ret = take_run(q, c, len, host, pristine);
    if (ret)
        return ret;
    *got = len;
    if (first)
        q->next_free = c + len;
    return 0;
}

void cluster_unalloc(struct qcow2 *q, uint64_t host, uint64_t bytes)
{
    if (q->data == q->file && ref_change(q, cluster_of(q, host), clusters_for(q, bytes), -1))
        q->leaked = true;
}

bool freed_add(struct freed_list *l, uint64_t cluster, uint64_t count, bool punch)
{
    struct freed *last = l->n ? &l->run[l->n - 1] : NULL;

    if (last && last->cluster + last->count == cluster && last->punch == punch) {
        last->count += count;
        return true;
    }
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct freed *run = realloc(l->run, room * sizeof *run);

        if (!run)
            return false;
        l->run = run;
        l->room = room;
    }
    l->run[l->n++] = (struct freed){cluster, count, punch};
    return true;
}

void free_later(struct qcow2 *q, uint64_t host, uint64_t bytes, bool punch)
{
    if (!freed_add(&q->freed, cluster_of(q, host), clusters_for(q, bytes), punch))
        q->leaked = true;
}

void entry_free(struct qcow2 *q, uint64_t entry, uint64_t guest, bool punch)
{
    uint64_t off, len;

    if (entry & QCOW2_COMPRESSED) {
        compressed_place(q, entry, &off, &len);
        len += in_cluster(q, off);
        free_later(q, align_down(off, q->cluster_size), len, punch);
    } else if (q->data != q->file) {
        if (punch && entry_has_host(q, entry))
            q->data->ops->discard(q->data, entry_host(q, entry, guest), q->cluster_size);
    } else if (entry & QCOW2_OFFSET) {
        free_later(q, entry & QCOW2_OFFSET, q->cluster_size, punch);
    }
}

/* Give the host back the clusters of a run that nobody else uses. The lock is dropped; nobody can reach them. */
static void punch(struct qcow2 *q, const struct freed *f)
{
    uint64_t c = f->cluster, end = c + f->count;

    while (c < end) {
        uint64_t n = 0, v;

        while (c + n < end && !ref_get(q, c + n, &v) && v == 1)
            n++;
        if (n && q->file->ops->discard) {
            pthread_mutex_unlock(&q->lock);
            q->file->ops->discard(q->file, c << q->cluster_bits, n << q->cluster_bits);
            pthread_mutex_lock(&q->lock);
        }
        c += n ? n : 1;
    }
}

int limbo_settle(struct qcow2 *q)
{
    struct limbo **p = &q->limbo;
    int ret = 0;

    while (*p) {
        struct limbo *l = *p;
        uint64_t oldest = q->ios.next == &q->ios ? UINT64_MAX : q->ios.next->seq;

        if (l->seq >= oldest) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        for (size_t i = 0; i < l->list.n; i++) {
            if (l->list.run[i].punch)
                punch(q, &l->list.run[i]);
            if (!ret)
                ret = ref_change(q, l->list.run[i].cluster, l->list.run[i].count, -1);
            q->leaked |= ret != 0;
        }
        free(l->list.run);
        free(l);
    }
    return ret;
}
