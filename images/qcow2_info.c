/* qcow2: "format-specific" of qemu-img info. */
#include <jansson.h>
#include <stdlib.h>

#include "images/qcow2.h"

/* Bitmaps as qemu-img lists them. NULL: none, or not readable. */
static json_t *bitmap_list(struct qcow2 *q)
{
    uint8_t *dir = q->nb_bitmaps ? malloc(q->bitmap_dir_size) : NULL;
    json_t *list = dir ? json_array() : NULL;
    uint64_t at = 0;

    if (dir && q_pread(q->file, dir, q->bitmap_dir, q->bitmap_dir_size))
        q->nb_bitmaps = 0;
    for (unsigned i = 0; dir && i < q->nb_bitmaps && at + 24 <= q->bitmap_dir_size; i++) {
        uint32_t flags = ld32be(dir + at + 12), extra = ld32be(dir + at + 20), name = ld16be(dir + at + 18);
        json_t *f, *row;

        if ((uint64_t)name + extra > q->bitmap_dir_size - at - 24 || dir[at + 17] > 63)
            break;
        f = json_array();
        if (flags & 1)
            json_array_append_new(f, json_string("in-use"));
        if (flags & 2)
            json_array_append_new(f, json_string("auto"));
        row = json_object();
        json_object_set_new(row, "flags", f);
        json_object_set_new(row, "name", json_stringn((const char *)dir + at + 24 + extra, name));
        json_object_set_new(row, "granularity", json_integer((json_int_t)(UINT64_C(1) << dir[at + 17])));
        json_array_append_new(list, row);
        at += align_up(24 + (uint64_t)extra + name, 8);
    }
    free(dir);
    return list;
}

json_t *q_details(struct image *img)
{
    struct qcow2 *q = img->priv;
    json_t *data = json_object(), *out = json_object(), *bitmaps;

    json_object_set_new(data, "compat", json_string(q->version == 2 ? "0.10" : "1.1"));
    json_object_set_new(data, "compression-type", json_string(q->zstd ? "zstd" : "zlib"));
    if (q->version >= 3)
        json_object_set_new(data, "lazy-refcounts", json_boolean(q->compatible & COMPAT_LAZY));
    json_object_set_new(data, "refcount-bits", json_integer(ref_bits(q)));
    if (q->version >= 3) {
        bitmaps = bitmap_list(q);
        if (bitmaps)
            json_object_set_new(data, "bitmaps", bitmaps);
        if (q->data_path) {
            json_object_set_new(data, "data-file", json_string(q->data_path));
            json_object_set_new(data, "data-file-raw", json_boolean(q->data_raw));
        }
        json_object_set_new(data, "corrupt", json_boolean(q->incompatible & INCOMPAT_CORRUPT));
        json_object_set_new(data, "extended-l2", json_boolean(q->extended));
    }
    json_object_set_new(out, "type", json_string("qcow2"));
    json_object_set_new(out, "data", data);
    return out;
}
