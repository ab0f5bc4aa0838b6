/*
 * The log of VHDX: replay of what a crash left in it, and table changes by way of it.
 *
 * An entry is a header, descriptors (32 bytes each: zero a range, or write one sector), and the data sectors. The
 * sequence that counts ends with the entry of the highest number such that all entries from its `tail` on are whole.
 * We write entries of our own one at a time, each its own tail: the tables of the one before are stable by then.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/fmt.h"
#include "images/vhdx.h"

enum { /* offsets in an entry's header, and in a descriptor */
       LENGTH = 8,
       TAIL = 12,
       SEQUENCE = 16,
       COUNT = 24,
       GUID = 32,
       FLUSHED_SIZE = 48,
       LAST_SIZE = 56,
       ENTRY_HEADER = 64,
       DESC = 32,
       DESC_OFFSET = 16,
       DESC_SEQUENCE = 24,
       BATCH = 128,   /* pages of one entry of ours */
       WORK = 8,      /* at most so many times the log's length is looked at */
       LOG_MAX = 256, /* MiB: more is not replayed */
};

struct replay {
    struct image *img;
    uint8_t *log;    /* all of it */
    uint64_t budget; /* bytes still to be looked at */
    uint8_t *entry;  /* one entry, unwrapped */
};

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n && !*p)
        p++, n--;
    return !n;
}

/* The entry at `at`, copied to r->entry if it is whole. Its length, or 0. */
static uint32_t load_entry(struct replay *r, uint32_t at)
{
    struct vhdx *v = r->img->priv;
    const uint8_t *h = r->log + at;
    uint32_t len = ld32(h + LENGTH), n = ld32(h + COUNT), first;

    if (memcmp(h, "loge", 4) != 0 || !len || len % VHDX_LOG_SECTOR || len > v->log_length || !ld64(h + SEQUENCE) ||
        memcmp(h + GUID, v->head + VHDX_LOG_GUID, 16) != 0 || n > (len - ENTRY_HEADER) / DESC ||
        ld32(h + TAIL) % VHDX_LOG_SECTOR || ld32(h + TAIL) >= v->log_length || r->budget < len)
        return 0;
    r->budget -= len;
    first = v->log_length - at < len ? v->log_length - at : len;
    memcpy(r->entry, h, first);
    memcpy(r->entry + first, r->log, len - first);
    return ld32(r->entry + 4) == vhdx_crc(r->entry, len, 4) ? len : 0;
}

/* Does each descriptor of the loaded entry make sense, and is there data for it? */
static bool check_entry(struct replay *r)
{
    struct vhdx *v = r->img->priv;
    const uint8_t *h = r->entry;
    uint32_t n = ld32(h + COUNT), len = ld32(h + LENGTH);
    uint64_t data = align_up(ENTRY_HEADER + (uint64_t)n * DESC, VHDX_LOG_SECTOR), last = ld64(h + LAST_SIZE);

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *d = h + ENTRY_HEADER + i * DESC, *s = h + data;
        bool write = !memcmp(d, "desc", 4);
        uint64_t off = ld64(d + DESC_OFFSET), size = write ? VHDX_LOG_SECTOR : ld64(d + 8);

        if ((!write && memcmp(d, "zero", 4) != 0) || ld64(d + DESC_SEQUENCE) != ld64(h + SEQUENCE) ||
            off % VHDX_LOG_SECTOR || size % VHDX_LOG_SECTOR || off < VHDX_MB || off > last || size > last - off ||
            (off < v->log + v->log_length && v->log < off + size))
            return false;
        if (!write)
            continue;
        if (data + VHDX_LOG_SECTOR > len || memcmp(s, "data", 4) != 0 ||
            ld32(s + 4) != (uint32_t)(ld64(h + SEQUENCE) >> 32) ||
            ld32(s + VHDX_LOG_SECTOR - 4) != (uint32_t)ld64(h + SEQUENCE))
            return false;
        data += VHDX_LOG_SECTOR;
    }
    return last <= UINT64_C(1) << 48;
}

struct found {
    uint32_t tail;
    uint64_t first, last; /* sequence numbers; last 0: none */
};

/* The run of whole entries that begins at `at`; *end is behind it. */
static struct found follow(struct replay *r, uint32_t at, uint32_t *end)
{
    struct vhdx *v = r->img->priv;
    struct found f = {.tail = at};
    uint32_t walked = 0, tail = at;

    *end = at;
    while (walked < v->log_length) {
        uint32_t len = load_entry(r, *end);
        uint64_t seq = len ? ld64(r->entry + SEQUENCE) : 0;

        if (!len || (f.last && seq != f.last + 1) || !check_entry(r))
            break;
        f.first = f.last ? f.first : seq;
        f.last = seq;
        tail = ld32(r->entry + TAIL);
        walked += len;
        *end = (*end + len) % v->log_length;
    }
    if (f.last && tail != f.tail) { /* the sequence begins at a later entry of this run, or is broken */
        uint32_t pos = f.tail;
        uint64_t seq = f.first;

        while (pos != tail && seq < f.last) {
            pos = (pos + load_entry(r, pos)) % v->log_length;
            seq++;
        }
        f = pos == tail ? (struct found){tail, seq, f.last} : (struct found){0};
    }
    return f;
}

static struct found search(struct replay *r)
{
    struct vhdx *v = r->img->priv;
    struct found best = {0};

    for (uint32_t at = 0; at < v->log_length;) {
        uint32_t end;
        struct found f = follow(r, at, &end);

        if (f.last > best.last)
            best = f;
        if (end <= at && f.last)
            break; /* went around */
        at = end > at ? end : at + VHDX_LOG_SECTOR;
    }
    return best;
}

static int put(struct image *img, uint64_t off, const void *sector)
{
    struct vhdx *v = img->priv;

    return img->read_only ? meta_change(&v->sparse.meta, off, sector, VHDX_LOG_SECTOR)
                          : fmt_write(img->file, sector, off, VHDX_LOG_SECTOR);
}

static int put_zeroes(struct image *img, uint64_t off, uint64_t len)
{
    static const uint8_t zero[VHDX_LOG_SECTOR];
    int ret = 0;

    if (!img->read_only)
        return fmt_zero(img->file, off, len);
    for (uint64_t done = 0; !ret && done < len; done += VHDX_LOG_SECTOR)
        ret = put(img, off + done, zero);
    return ret;
}

/* In memory only the tables can be changed. */
static bool can_keep(const struct vhdx *v, uint64_t off, uint64_t len)
{
    return (off >= v->table && off + len <= v->table + v->table_length) ||
           (off >= v->metadata && off + len <= v->metadata + v->metadata_length);
}

/* Do what the loaded entry says. */
static int apply(struct replay *r)
{
    struct image *img = r->img;
    const uint8_t *h = r->entry;
    uint32_t n = ld32(h + COUNT);
    const uint8_t *data = h + align_up(ENTRY_HEADER + (uint64_t)n * DESC, VHDX_LOG_SECTOR);
    int ret = image_size(img->file) < ld64(h + FLUSHED_SIZE) ? -EIO : 0; /* the file was cut */

    for (uint32_t i = 0; !ret && i < n; i++) {
        const uint8_t *d = h + ENTRY_HEADER + i * DESC;
        bool write = !memcmp(d, "desc", 4);
        uint64_t off = ld64(d + DESC_OFFSET), len = write ? VHDX_LOG_SECTOR : ld64(d + 8);
        uint8_t sector[VHDX_LOG_SECTOR];

        if (img->read_only && !can_keep(img->priv, off, len))
            return -EROFS;
        if (!write) {
            ret = put_zeroes(img, off, len);
            continue;
        }
        memcpy(sector, d + 8, 8);
        memcpy(sector + 8, data + 8, VHDX_LOG_SECTOR - 12);
        memcpy(sector + VHDX_LOG_SECTOR - 4, d + 4, 4);
        ret = put(img, off, sector);
        data += VHDX_LOG_SECTOR;
    }
    if (!ret && !img->read_only)
        ret = fmt_grow(img->file, ld64(h + LAST_SIZE));
    return ret;
}

static int apply_all(struct replay *r, const struct found *f)
{
    struct image *img = r->img;
    struct vhdx *v = img->priv;
    uint32_t at = f->tail;
    int ret = 0;

    r->budget = (uint64_t)v->log_length * 2;
    for (uint64_t seq = f->first; !ret && seq <= f->last; seq++) {
        uint32_t len = load_entry(r, at);

        ret = len ? apply(r) : -EIO;
        at = (at + len) % v->log_length;
    }
    if (ret || img->read_only)
        return ret;
    ret = img->file->ops->flush(img->file);
    memset(v->head + VHDX_LOG_GUID, 0, 16);
    return ret ? ret : vhdx_write_header(img);
}

bool vhdx_replay(struct image *img, struct err *e)
{
    struct vhdx *v = img->priv;
    struct replay r = {.img = img, .budget = (uint64_t)v->log_length * WORK};
    struct found f = {0};
    int ret;

    if (is_zero(v->head + VHDX_LOG_GUID, 16) || !v->log_length)
        return true;
    if (ld16(v->head + VHDX_LOG_VERSION))
        return err_set(e, "disk image '%s': VHDX log version %u is not known", img->path,
                       ld16(v->head + VHDX_LOG_VERSION));
    if (v->log_length > (uint64_t)LOG_MAX * VHDX_MB || v->log + v->log_length > image_size(img->file))
        return err_set(e, "disk image '%s': its VHDX log of %" PRIu32 " bytes is too large", img->path, v->log_length);
    r.log = malloc(v->log_length);
    r.entry = malloc(v->log_length);
    ret = r.log && r.entry ? fmt_read(img->file, r.log, v->log, v->log_length) : -ENOMEM;
    if (!ret)
        f = search(&r);
    if (!ret && f.last) {
        img->dirty = img->read_only;
        ret = apply_all(&r, &f);
    }
    free(r.log);
    free(r.entry);
    if (ret == -EROFS || ret == -ENOSPC)
        return err_set(e, "disk image '%s' has a VHDX log that can be replayed only when it is opened for writing",
                       img->path);
    return !ret || err_set(e, "disk image '%s': cannot replay its VHDX log: %s", img->path,
                           ret == -EIO ? "the file was cut" : strerror(-ret));
}

struct batch {
    struct image *img;
    unsigned n;
    uint8_t *entry; /* BATCH sectors of data behind the descriptors' */
    uint64_t offs[BATCH];
    uint32_t head; /* bytes before the data */
};

/* Entry stable, then the tables. */
static int batch_write(struct batch *b)
{
    struct image *img = b->img;
    struct vhdx *v = img->priv;
    uint8_t *h = b->entry;
    uint32_t head = (uint32_t)align_up(ENTRY_HEADER + (uint64_t)b->n * DESC, VHDX_LOG_SECTOR);
    uint32_t len = head + b->n * VHDX_LOG_SECTOR;
    uint64_t seq = ++v->log_sequence;
    int ret;

    if (!b->n)
        return 0;
    memmove(h + head, h + b->head, (size_t)b->n * VHDX_LOG_SECTOR); /* head <= b->head */
    memset(h, 0, head);
    memcpy(h, "loge", 4);
    st32(h + LENGTH, len);
    st64(h + SEQUENCE, seq);
    st32(h + COUNT, b->n);
    memcpy(h + GUID, v->head + VHDX_LOG_GUID, 16);
    st64(h + FLUSHED_SIZE, align_down(image_size(img->file), VHDX_LOG_SECTOR));
    st64(h + LAST_SIZE, align_up(image_size(img->file), VHDX_LOG_SECTOR));
    for (unsigned i = 0; i < b->n; i++) {
        uint8_t *d = h + ENTRY_HEADER + i * DESC, *s = h + head + i * VHDX_LOG_SECTOR;

        memcpy(d, "desc", 4);
        memcpy(d + 4, s + VHDX_LOG_SECTOR - 4, 4);
        memcpy(d + 8, s, 8);
        st64(d + DESC_OFFSET, b->offs[i]);
        st64(d + DESC_SEQUENCE, seq);
        memcpy(s, "data", 4);
        st32(s + 4, (uint32_t)(seq >> 32));
        st32(s + VHDX_LOG_SECTOR - 4, (uint32_t)seq);
    }
    st32(h + 4, vhdx_crc(h, len, 4));
    ret = fmt_write(img->file, h, v->log, len);
    if (!ret)
        ret = img->file->ops->flush(img->file);
    for (unsigned i = 0; !ret && i < b->n; i++) {
        uint8_t *d = h + ENTRY_HEADER + i * DESC, *s = h + head + i * VHDX_LOG_SECTOR;

        memcpy(s, d + 8, 8);
        memcpy(s + VHDX_LOG_SECTOR - 4, d + 4, 4);
        ret = fmt_write(img->file, s, b->offs[i], VHDX_LOG_SECTOR);
    }
    if (!ret)
        ret = img->file->ops->flush(img->file);
    b->n = 0;
    return ret;
}

static int batch_add(void *arg, uint64_t off, const void *page)
{
    struct batch *b = arg;
    int ret = !page || b->n == BATCH ? batch_write(b) : 0;

    if (ret || !page)
        return ret;
    memcpy(b->entry + b->head + (size_t)b->n * VHDX_LOG_SECTOR, page, VHDX_LOG_SECTOR);
    b->offs[b->n++] = off;
    return 0;
}

int vhdx_log_entries(struct image *img)
{
    struct vhdx *v = img->priv;
    struct batch b = {.img = img, .head = 2 * VHDX_LOG_SECTOR};
    int ret;

    if (!v->log_length)
        return -EIO;
    b.entry = malloc(b.head + (size_t)BATCH * VHDX_LOG_SECTOR);
    if (!b.entry)
        return -ENOMEM;
    ret = meta_write_by(&v->sparse.meta, batch_add, &b);
    free(b.entry);
    return ret;
}
