/*
 * qcow2: the header and its extensions.
 *
 * The fields that say where the tables are lie in the first sector, which is written alone: a sector is written whole or
 * not at all. Extensions that we do not know stay as they are.
 *
 * The mark. The standard dirty bit says that refcounts are wrong, which ours never are, and is only of version 3; so an
 * extension of ours says "being written" while we write, for both versions. It means a look for leaks at the next
 * opening, no more: another program that does not know it may write the image in between. It is put into images of
 * others at their first change, where there is room; without room, leaks are looked for at each opening for writing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/qcow2.h"

static const struct {
    uint8_t kind, bit; /* 0 incompatible, 1 compatible, 2 autoclear */
    const char *name;
} features[] = {
    {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
    {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},          {2, 1, "raw external data"},
};

size_t header_features(uint8_t *out)
{
    memset(out, 0, ARRAY_LEN(features) * 48);
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        out[48 * i] = features[i].kind;
        out[48 * i + 1] = features[i].bit;
        memcpy(out + 48 * i + 2, features[i].name, strlen(features[i].name));
    }
    return ARRAY_LEN(features) * 48;
}

uint32_t header_find_ext(const uint8_t *head, size_t size, uint32_t start, uint32_t type, uint32_t *len)
{
    for (uint64_t at = start; at + 8 <= size; at += 8 + align_up(*len, 8)) {
        *len = ld32be(head + at + 4);
        if (ld32be(head + at) == EXT_END || *len > size - at - 8)
            return 0;
        if (ld32be(head + at) == type)
            return (uint32_t)at;
    }
    return 0;
}

static bool bad(struct qcow2 *q, struct err *e, const char *why)
{
    return err_set(e, "disk image '%s': %s", q->img->path, why);
}

/* Names of the bits that we do not know, from the image's own table. */
static bool unknown_features(struct qcow2 *q, uint32_t start, size_t end, struct err *e)
{
    uint32_t len, at = header_find_ext(q->head, end, start, EXT_FEATURES, &len);
    uint64_t left = q->incompatible & ~(uint64_t)INCOMPAT_KNOWN;
    char text[512] = "";

    for (uint32_t i = 0; at && i + 48 <= len; i += 48) {
        const uint8_t *row = q->head + at + 8 + i;

        if (row[0] == 0 && row[1] < 64 && left >> row[1] & 1) {
            size_t n = strlen(text);

            snprintf(text + n, sizeof text - n, "%s%.46s", n ? ", " : "", (const char *)row + 2);
            left &= ~(UINT64_C(1) << row[1]);
        }
    }
    for (unsigned bit = 0; bit < 64; bit++)
        if (left >> bit & 1) {
            size_t n = strlen(text);

            snprintf(text + n, sizeof text - n, "%sincompatible feature bit %u", n ? ", " : "", bit);
        }
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 32 || (unsigned char)*p > 126)
            *p = '?';
    return err_set(e, "disk image '%s' uses what guise does not know: %s", q->img->path, text);
}

static bool take_string(struct qcow2 *q, char **out, uint32_t at, uint32_t len, struct err *e)
{
    free(*out);
    *out = strndup((const char *)q->head + at, len);
    if (*out && strlen(*out) != len)
        return bad(q, e, "a name in its header holds a zero byte");
    return *out || bad(q, e, "out of memory");
}

static bool take_bitmaps(struct qcow2 *q, uint32_t at, uint32_t len, struct err *e)
{
    const uint8_t *p = q->head + at;

    if (!(q->autoclear & AUTOCLEAR_BITMAPS))
        return true; /* not consistent: as if it were not there */
    if (len != 24)
        return bad(q, e, "its bitmaps extension has a wrong length");
    q->nb_bitmaps = ld32be(p);
    q->bitmap_dir_size = ld64be(p + 8);
    q->bitmap_dir = ld64be(p + 16);
    if (!q->nb_bitmaps || q->nb_bitmaps > MAX_BITMAPS || q->bitmap_dir_size > MAX_BITMAP_DIRECTORY ||
        q->bitmap_dir_size < 24 * (uint64_t)q->nb_bitmaps || in_cluster(q, q->bitmap_dir) || !q->bitmap_dir ||
        q->bitmap_dir > image_size(q->file) || q->bitmap_dir_size > image_size(q->file) - q->bitmap_dir)
        return bad(q, e, "its bitmaps extension is not valid");
    return true;
}

static bool read_extensions(struct qcow2 *q, uint32_t start, size_t end, struct err *e)
{
    uint64_t at = start;
    uint32_t type, len;

    for (; at + 8 <= end; at += 8 + align_up(len, 8)) {
        type = ld32be(q->head + at);
        len = ld32be(q->head + at + 4);
        if (type == EXT_END)
            break;
        if (len > end - at - 8)
            return bad(q, e, "a header extension is longer than its room");
        if (type == EXT_BACKING_FORMAT && !take_string(q, &q->backing_format, (uint32_t)at + 8, len, e))
            return false;
        if (type == EXT_DATA_FILE && !take_string(q, &q->data_path, (uint32_t)at + 8, len, e))
            return false;
        if (type == EXT_BITMAPS && !take_bitmaps(q, (uint32_t)at + 8, len, e))
            return false;
        if (type == EXT_IN_USE && len == 8) {
            q->in_use_at = (uint32_t)at + 8;
            q->was_in_use = ld32be(q->head + at + 8) & 1;
        }
    }
    q->ext_end = (uint32_t)at;
    return true;
}

static bool read_first(struct qcow2 *q, struct err *e)
{
    uint8_t first[512] = {0};
    uint64_t size = image_size(q->file);
    int ret = q_pread(q->file, first, 0, sizeof first);

    if (ret)
        return err_set(e, "disk image '%s': %s", q->img->path, strerror(-ret));
    if (size < H_V2_LENGTH || memcmp(first, "QFI\xfb", 4))
        return bad(q, e, "not a qcow2 image (no such header)");
    q->version = ld32be(first + H_VERSION);
    if (q->version < 2 || q->version > 3)
        return err_set(e, "disk image '%s': qcow2 version %u is not known (2 and 3 are)", q->img->path, q->version);
    q->cluster_bits = ld32be(first + H_CLUSTER_BITS);
    if (q->cluster_bits < MIN_CLUSTER_BITS || q->cluster_bits > MAX_CLUSTER_BITS)
        return err_set(e, "disk image '%s': clusters of 2^%u bytes (2^9 to 2^21 are known)", q->img->path,
                       q->cluster_bits);
    q->cluster_size = UINT64_C(1) << q->cluster_bits;
    q->head = malloc(q->cluster_size);
    if (!q->head)
        return bad(q, e, "out of memory");
    ret = q_pread(q->file, q->head, 0, q->cluster_size);
    return !ret || err_set(e, "disk image '%s': %s", q->img->path, strerror(-ret));
}

static bool read_version3(struct qcow2 *q, uint32_t *length, struct err *e)
{
    const uint8_t *h = q->head;

    *length = q->version == 2 ? H_V2_LENGTH : ld32be(h + H_LENGTH);
    q->ref_order = 4;
    if (q->version == 2)
        return true;
    if (*length < 104 || *length > q->cluster_size || *length % 8)
        return bad(q, e, "its header has a wrong length");
    q->incompatible = ld64be(h + H_INCOMPATIBLE);
    q->compatible = ld64be(h + H_COMPATIBLE);
    q->autoclear = ld64be(h + H_AUTOCLEAR);
    q->ref_order = ld32be(h + H_REFCOUNT_ORDER);
    if (q->ref_order > 6)
        return bad(q, e, "reference counts wider than 64 bits");
    if (q->incompatible & INCOMPAT_COMPRESSION) {
        uint8_t type = *length > H_COMPRESSION ? h[H_COMPRESSION] : 0;

        if (type != 1)
            return err_set(e, "disk image '%s': compression type %u is not known (zlib and zstd are)", q->img->path,
                           type);
        q->zstd = true;
    } else if (*length > H_COMPRESSION && h[H_COMPRESSION]) {
        return bad(q, e, "a compression type without its feature bit");
    }
    return true;
}

static bool refuse_encrypted(struct qcow2 *q, struct err *e)
{
    uint32_t method = ld32be(q->head + H_CRYPT);

    return !method ||
           err_set(e,
                   "disk image '%s' is encrypted (%s), which guise does not support; qemu-img convert can decrypt it",
                   q->img->path,
                   method == 1   ? "AES"
                   : method == 2 ? "LUKS"
                                 : "unknown method");
}

/* Sizes and places of the tables; nothing is allocated before they are known to be sane. */
static bool read_places(struct qcow2 *q, struct err *e)
{
    const uint8_t *h = q->head;
    uint64_t file = image_size(q->file), clusters = ld32be(h + H_REFTABLE_CLUSTERS), size = ld64be(h + H_SIZE), need;

    q->l1_size = ld32be(h + H_L1_SIZE);
    q->l1_offset = ld64be(h + H_L1_OFFSET);
    q->reftable_offset = ld64be(h + H_REFTABLE_OFFSET);
    q->nb_snapshots = ld32be(h + H_SNAPSHOTS);
    q->snapshots_offset = ld64be(h + H_SNAPSHOTS_OFFSET);
    q->extended = q->incompatible & INCOMPAT_EXTENDED_L2;
    q->entry_bits = q->extended ? 4 : 3;
    q->l2_bits = q->cluster_bits - q->entry_bits;
    q->sub_bits = q->extended ? q->cluster_bits - 5 : q->cluster_bits;
    if (q->extended && q->cluster_bits < 14)
        return bad(q, e, "extended L2 entries with clusters below 16 KiB");
    if (q->l1_size > MAX_L1_BYTES / 8)
        return bad(q, e, "its L1 table is too large");
    need = (size >> (q->l2_bits + q->cluster_bits)) + ((size & (l2_covers(q) - 1)) != 0);
    if (q->l1_size < need || size > INT64_MAX - 512)
        return bad(q, e, "its L1 table is too small for its size");
    if (q->l1_size &&
        (in_cluster(q, q->l1_offset) || q->l1_offset > file || 8 * (uint64_t)q->l1_size > file - q->l1_offset))
        return bad(q, e, "the place of its L1 table is not valid");
    if (!clusters || clusters > (uint64_t)MAX_REFTABLE_BYTES >> q->cluster_bits)
        return bad(q, e, clusters ? "its refcount table is too large" : "it has no refcount table");
    if (in_cluster(q, q->reftable_offset) || !q->reftable_offset || q->reftable_offset > file ||
        clusters << q->cluster_bits > file - q->reftable_offset)
        return bad(q, e, "the place of its refcount table is not valid");
    q->reftable_size = (uint32_t)(clusters << q->cluster_bits >> 3);
    if (q->nb_snapshots > MAX_SNAPSHOTS ||
        (q->nb_snapshots && (in_cluster(q, q->snapshots_offset) || q->snapshots_offset >= file)))
        return bad(q, e, "the place of its snapshot table is not valid");
    q->img->size = align_up(size, 512);
    return true;
}

bool header_read(struct qcow2 *q, struct err *e)
{
    uint32_t length, name_len;
    uint64_t name;
    size_t end;

    if (!read_first(q, e) || !read_version3(q, &length, e))
        return false;
    name = ld64be(q->head + H_BACKING_OFFSET);
    name_len = ld32be(q->head + H_BACKING_SIZE);
    if (name && (name_len > 1023 || name < length || name > q->cluster_size || name_len > q->cluster_size - name))
        return bad(q, e, "the place of its backing file's name is not valid");
    end = name ? name : q->cluster_size;
    if (q->incompatible & ~(uint64_t)INCOMPAT_KNOWN)
        return unknown_features(q, length, end, e);
    if (!refuse_encrypted(q, e) || !read_places(q, e) || !read_extensions(q, length, end, e))
        return false;
    if (name && name_len && !take_string(q, &q->backing_path, (uint32_t)name, name_len, e))
        return false;
    q->data_raw = q->autoclear & AUTOCLEAR_DATA_RAW;
    if (q->data_raw && !(q->incompatible & INCOMPAT_DATA_FILE))
        return bad(q, e, "a raw external data file without its feature bit");
    return true;
}

void header_fields(struct qcow2 *q)
{
    uint8_t *h = q->head;

    st32be(h + H_L1_SIZE, q->l1_size);
    st64be(h + H_L1_OFFSET, q->l1_offset);
    st64be(h + H_REFTABLE_OFFSET, q->reftable_offset);
    st32be(h + H_REFTABLE_CLUSTERS, (uint32_t)((uint64_t)q->reftable_size * 8 >> q->cluster_bits));
    st32be(h + H_SNAPSHOTS, q->nb_snapshots);
    st64be(h + H_SNAPSHOTS_OFFSET, q->snapshots_offset);
    if (q->version >= 3) {
        st64be(h + H_INCOMPATIBLE, q->incompatible);
        st64be(h + H_COMPATIBLE, q->compatible);
        st64be(h + H_AUTOCLEAR, q->autoclear);
    }
}

static int flush_file(struct qcow2 *q) { return q->file->ops->flush(q->file); }

int header_write(struct qcow2 *q)
{
    int ret = image_pwrite(q->file, q->head, 0, 512, 0);

    return ret ? ret : flush_file(q);
}

/*
 * Write the first sector, changed from `old` on. When that fails, which of the two is in the file is not known: the old
 * one is written again, now or before the next change, and memory keeps it.
 */
int header_switch(struct qcow2 *q, const uint8_t old[512])
{
    int ret = header_write(q);

    if (!ret)
        return 0;
    memcpy(q->head, old, 512);
    if (header_write(q)) {
        q->unsure = true;
        q->broken = ret;
    }
    return ret;
}

void header_again(struct qcow2 *q)
{
    if (q->unsure && !header_write(q)) {
        q->unsure = false;
        q->broken = 0;
    }
}

/* [at, at + len) of head, in whole sectors; then a flush. */
static int write_part(struct qcow2 *q, uint64_t at, uint64_t len)
{
    uint64_t from = align_down(at, 512), to = align_up(at + len, 512);
    int ret = image_pwrite(q->file, q->head + from, from, to - from, 0);

    return ret ? ret : flush_file(q);
}

/* The backing file's name to `to`, so that extensions can grow: first the copy, then the field. */
static int move_name(struct qcow2 *q, uint64_t to)
{
    uint64_t from = ld64be(q->head + H_BACKING_OFFSET), len = ld32be(q->head + H_BACKING_SIZE);
    int ret;

    memmove(q->head + to, q->head + from, len);
    ret = write_part(q, to, len);
    st64be(q->head + H_BACKING_OFFSET, to);
    return ret ? ret : header_write(q);
}

/* Where the backing file's name has to be for our mark to fit behind the extensions; 0: it does not fit. */
static uint64_t name_for_mark(const struct qcow2 *q)
{
    uint64_t at = q->ext_end, name = ld64be(q->head + H_BACKING_OFFSET), len = ld32be(q->head + H_BACKING_SIZE), to;

    if (at + 24 > q->cluster_size || (name && at + 8 > name))
        return 0;
    if (!name || name >= at + 24)
        return name ? name : at + 24;
    to = align_up(name + len, 8);
    to = to < at + 24 ? at + 24 : to;
    return to + len <= q->cluster_size ? to : 0;
}

bool header_has_room(const struct qcow2 *q) { return name_for_mark(q); }

/*
 * Append the mark, set. The old end marker is the switch: what follows it is written first. There must be an end marker
 * now, or the extensions would run into the old name for a moment.
 */
static int add_mark(struct qcow2 *q)
{
    uint64_t at = q->ext_end, name = ld64be(q->head + H_BACKING_OFFSET), to = name_for_mark(q);
    int ret = 0;

    if (!to)
        return 0;
    if (name && name != to)
        ret = move_name(q, to);
    memset(q->head + at + 8, 0, 16);
    st32be(q->head + at + 8, 1);
    if (!ret)
        ret = write_part(q, at + 8, 16);
    st32be(q->head + at, EXT_IN_USE);
    st32be(q->head + at + 4, 8);
    if (!ret)
        ret = write_part(q, at, 8);
    if (!ret) {
        q->in_use_at = (uint32_t)at + 8;
        q->ext_end = (uint32_t)at + 16;
    }
    return ret;
}

int header_prepare(struct qcow2 *q)
{
    int ret = bitmaps_before_write(q);

    if (ret)
        return ret;
    q->autoclear &= AUTOCLEAR_KNOWN;
    if (q->compatible & COMPAT_LAZY && q->data == q->file)
        q->incompatible |= INCOMPAT_DIRTY;
    header_fields(q);
    if (q->in_use_at) {
        st32be(q->head + q->in_use_at, 1);
        if (q->in_use_at >= 512)
            ret = write_part(q, q->in_use_at, 4);
    } else {
        ret = add_mark(q);
    }
    if (!ret)
        ret = header_write(q);
    q->prepared = !ret;
    return ret;
}

int header_finish(struct qcow2 *q)
{
    int ret;

    q->incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
    header_fields(q);
    ret = q->version >= 3 ? header_write(q) : 0;
    if (!ret && q->in_use_at) {
        st32be(q->head + q->in_use_at, 0);
        ret = write_part(q, q->in_use_at, 4);
    }
    q->prepared = false;
    return ret;
}

/* Extensions of head but those of `skip`, and a new one at the end, into out. The length; 0: no room. */
static uint32_t copy_extensions(struct qcow2 *q, uint8_t *out, uint32_t skip, bool with_names, const char *string)
{
    uint32_t start = q->version == 2 ? H_V2_LENGTH : ld32be(q->head + H_LENGTH), to = 0, len;

    for (uint32_t at = start; at < q->ext_end; at += 8 + (uint32_t)align_up(len, 8)) {
        uint32_t type = ld32be(q->head + at), whole;

        len = ld32be(q->head + at + 4);
        whole = 8 + (uint32_t)align_up(len, 8);
        if (type == skip || (type == EXT_FEATURES && !with_names))
            continue;
        if (type == EXT_IN_USE)
            q->in_use_at = start + to + 8;
        memcpy(out + to, q->head + at, 8 + len);
        memset(out + to + 8 + len, 0, whole - 8 - len);
        to += whole;
    }
    if (string) {
        len = (uint32_t)strlen(string);
        if (start + to + 16 + align_up(len, 8) > q->cluster_size)
            return 0;
        st32be(out + to, skip);
        st32be(out + to + 4, len);
        memset(out + to + 8, 0, align_up(len, 8));
        memcpy(out + to + 8, string, len);
        to += 8 + (uint32_t)align_up(len, 8);
    }
    return to;
}

/* Everything behind the fixed header anew: extensions, end, name. */
static int rewrite(struct qcow2 *q, uint32_t skip, const char *string, const char *name)
{
    uint32_t start = q->version == 2 ? H_V2_LENGTH : ld32be(q->head + H_LENGTH), n = 0, mark = q->in_use_at;
    uint8_t *area = calloc(1, q->cluster_size + 2048);
    uint64_t len = name ? strlen(name) : 0, at;
    bool fits = false;

    if (!area)
        return -ENOMEM;
    for (int with_names = 1; with_names >= 0 && !fits; with_names--) {
        n = copy_extensions(q, area, skip, with_names, string);
        fits = (n || !string) && start + n + 8 + len <= q->cluster_size;
    }
    if (!fits) {
        q->in_use_at = mark;
        free(area);
        return -ENOSPC;
    }
    memset(area + n, 0, q->cluster_size - start - n);
    at = start + n + 8;
    memcpy(area + n + 8, name ? name : "", len);
    memcpy(q->head + start, area, q->cluster_size - start);
    free(area);
    q->ext_end = start + n;
    st64be(q->head + H_BACKING_OFFSET, name ? at : 0);
    st32be(q->head + H_BACKING_SIZE, (uint32_t)len);
    return write_part(q, 0, name ? at + len : at);
}

int header_drop_ext(struct qcow2 *q, uint32_t type) { return rewrite(q, type, NULL, q->backing_path); }

bool header_set_backing(struct qcow2 *q, const char *path, const char *format, struct err *e)
{
    char *p = path ? strdup(path) : NULL, *f = path && format ? strdup(format) : NULL;
    int ret = 0;

    if ((path && !p) || (path && format && !f))
        ret = -ENOMEM;
    if (!ret && path && (!*path || strlen(path) > 1023))
        ret = -ENAMETOOLONG;
    if (!ret)
        ret = rewrite(q, EXT_BACKING_FORMAT, f, p);
    if (ret) {
        free(p);
        free(f);
        return err_set(e, "disk image '%s': cannot name the backing file: %s", q->img->path,
                       ret == -ENOSPC ? "no room in the header" : strerror(-ret));
    }
    free(q->backing_path);
    free(q->backing_format);
    q->backing_path = p;
    q->backing_format = f;
    return true;
}
