/*
 * qcow2: persistent dirty bitmaps. We do not keep them: one that is enabled becomes inconsistent with our first write,
 * and says so (in_use); disabled ones stay what they are. When the directory makes no sense, all of them go (autoclear).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

enum { ENTRY = 24, FLAG_IN_USE = 1, FLAG_AUTO = 2, MAX_TABLE = 8 << 20 /* entries, of all together */ };

static uint8_t *directory(struct qcow2 *q, int *ret)
{
    uint8_t *dir = malloc(q->bitmap_dir_size);

    *ret = dir ? q_pread(q->file, dir, q->bitmap_dir, q->bitmap_dir_size) : -ENOMEM;
    if (!*ret)
        return dir;
    free(dir);
    return NULL;
}

/* The length of the entry at `at`; 0: it makes no sense. */
static uint64_t entry_len(const struct qcow2 *q, const uint8_t *dir, uint64_t at)
{
    uint64_t len;

    if (at + ENTRY > q->bitmap_dir_size)
        return 0;
    len = align_up(ENTRY + (uint64_t)ld16be(dir + at + 18) + ld32be(dir + at + 20), 8);
    return len <= q->bitmap_dir_size - at && ld16be(dir + at + 18) ? len : 0;
}

int bitmaps_before_write(struct qcow2 *q)
{
    bool changed = false;
    uint64_t at = 0, len;
    uint8_t *dir;
    int ret;

    if (!q->nb_bitmaps || !(q->autoclear & AUTOCLEAR_BITMAPS))
        return 0;
    dir = directory(q, &ret);
    if (!dir)
        return ret;
    for (unsigned i = 0; i < q->nb_bitmaps && !ret; i++, at += len) {
        uint32_t flags;

        len = entry_len(q, dir, at);
        if (!len) {
            q->autoclear &= ~(uint64_t)AUTOCLEAR_BITMAPS;
            break;
        }
        flags = ld32be(dir + at + 12);
        if (!(flags & FLAG_AUTO) || flags & FLAG_IN_USE)
            continue;
        st32be(dir + at + 12, flags | FLAG_IN_USE);
        ret = image_pwrite(q->file, dir + at + 12, q->bitmap_dir + at + 12, 4, 0);
        changed = true;
    }
    if (!ret && changed)
        ret = q->file->ops->flush(q->file);
    free(dir);
    return ret;
}

/* The clusters of one bitmap: its table and what that points at. */
static int each_of(struct qcow2 *q, const uint8_t *entry, int (*fn)(void *arg, uint64_t off, uint64_t len), void *arg)
{
    uint64_t off = ld64be(entry), n = ld32be(entry + 8);
    uint8_t *table;
    int ret;

    if (!n)
        return 0;
    if (n > MAX_TABLE || in_cluster(q, off) || off > image_size(q->file))
        return -EIO;
    table = malloc(8 * n);
    if (!table)
        return -ENOMEM;
    ret = q_pread(q->file, table, off, 8 * n);
    if (!ret)
        ret = fn(arg, off, 8 * n);
    for (uint64_t i = 0; i < n && !ret; i++) {
        uint64_t data = ld64be(table + 8 * i) & QCOW2_OFFSET;

        if (data)
            ret = in_cluster(q, data) ? -EIO : fn(arg, data, q->cluster_size);
    }
    free(table);
    return ret;
}

int bitmaps_each_range(struct qcow2 *q, int (*fn)(void *arg, uint64_t off, uint64_t len), void *arg)
{
    uint64_t at = 0, len, entries = 0;
    uint8_t *dir;
    int ret;

    if (!q->nb_bitmaps || !(q->autoclear & AUTOCLEAR_BITMAPS))
        return 0;
    dir = directory(q, &ret);
    if (!dir)
        return ret;
    ret = fn(arg, q->bitmap_dir, q->bitmap_dir_size);
    for (unsigned i = 0; i < q->nb_bitmaps && !ret; i++, at += len) {
        len = entry_len(q, dir, at);
        entries += len ? ld32be(dir + at + 8) : 0;
        ret = len && entries <= MAX_TABLE ? each_of(q, dir + at, fn, arg) : -EIO;
    }
    free(dir);
    return ret;
}
