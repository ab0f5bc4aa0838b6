/*
 * Fuzz target: qcow2 images. Input: 96 bytes of operations, 3 each, then the file.
 *
 * Whatever the file holds, opening, checking, reading, writing and snapshots end, and read nothing outside. An image in
 * which a check finds nothing wrong must be without corruption after any operations too, and read back what was written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/mem_image.h"

enum { SCRIPT = 96, ROOM = 1 << 20, IO = 8192, NEAR = 1 << 20 };

static struct image_ops below;
static const struct image_ops *memory;

static int grow(struct image *img, uint64_t end)
{
    if (end > ROOM)
        return -ENOSPC;
    if (end > img->size)
        img->size = end;
    return 0;
}

static int grow_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n);
    int ret = off > ROOM ? -ENOSPC : grow(img, off + total);

    return ret ? ret : memory->writev(img, iov, n, off, flags);
}

static int grow_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = off > ROOM || len > ROOM ? -ENOSPC : grow(img, off + len);

    return ret ? ret : memory->write_zeroes(img, off, len, flags);
}

static int grow_resize(struct image *img, uint64_t size, enum image_prealloc p, bool shrink, struct err *e)
{
    (void)p;
    (void)shrink;
    (void)e;
    if (size > ROOM)
        return -ENOSPC;
    if (size < img->size)
        memset(mem_image_bytes(img) + size, 0, img->size - size);
    img->size = size;
    return 0;
}

/* The file survives its image: its bytes are copied out first. */
static struct image *open_file(const uint8_t *data, size_t len, bool read_only, bool no_repair, struct image **file)
{
    struct err e = {""};
    struct image_options o = {.format = "qcow2", .read_only = read_only, .no_backing = true, .no_repair = no_repair};
    struct image *img;

    o.file = mem_image(data, len, ROOM, read_only);
    memory = o.file->ops;
    below = *memory;
    below.writev = grow_writev;
    below.write_zeroes = grow_write_zeroes;
    below.resize = grow_resize;
    o.file->ops = &below;
    o.file->size = len;
    *file = o.file;
    img = image_open("memory", &o, &e);
    if (!img && !e.msg[0])
        abort();
    return img;
}

static uint64_t corruptions(struct image *img, bool *checked)
{
    struct image_check c;
    struct err e;

    *checked = img->ops->check(img, 0, &c, NULL, NULL, &e);
    return c.corruptions;
}

static void snapshot_op(struct image *img, unsigned what)
{
    struct image_snapshot s = {.name = "fuzz"}, *list = NULL;
    struct err e;
    int n = img->ops->snapshot_list(img, &list);

    if (what % 3 == 0)
        img->ops->snapshot_create(img, &s, &e);
    else if (n > 0 && what % 3 == 1)
        img->ops->snapshot_apply(img, list[what / 3 % (unsigned)n].id, &e);
    else if (n > 0)
        img->ops->snapshot_delete(img, list[what / 3 % (unsigned)n].id, &e);
    free(list);
}

static void write_and_read_back(struct image *img, uint64_t off, uint64_t len, uint8_t v)
{
    uint8_t buf[IO], seen[IO];

    memset(buf, v, len);
    if (image_pwrite(img, buf, off, len, v & 1 ? IMAGE_FUA : 0) || image_pread(img, seen, off, len))
        return;
    if (memcmp(buf, seen, len))
        abort();
}

static void run(struct image *img, const uint8_t *op, bool sound)
{
    struct image_extent x;
    struct err e;

    for (unsigned i = 0; i + 3 <= SCRIPT && op[i]; i += 3) {
        uint64_t off = op[i + 1] * (uint64_t)512 * (op[i] & 8 ? 67 : 1), len = (op[i + 2] % 16 + 1) * (uint64_t)512;
        uint8_t buf[IO];

        if (off >= img->size)
            off = img->size > 512 ? img->size - 512 : 0;
        if (len > img->size - off)
            len = img->size - off;
        if (!len)
            return;
        switch (op[i] % 8) {
        case 0: image_pread(img, buf, off, len); break;
        case 1:
        case 2:
            if (sound)
                write_and_read_back(img, off, len, op[i + 2]);
            else
                memset(buf, 1, sizeof buf), image_pwrite(img, buf, off, len, 0);
            break;
        case 3: img->ops->write_zeroes(img, off, len, op[i + 2] & 16 ? IMAGE_UNMAP : 0); break;
        case 4: img->ops->discard(img, off, len); break;
        case 5: snapshot_op(img, op[i + 2]); break;
        case 6:
            if (op[i + 2] & 1)
                img->ops->flush(img);
            else
                image_map_layer(img, off, img->size - off, &x);
            break;
        case 7:
            if (op[i + 2] & 1 && img->cluster <= IO)
                memset(buf, 0, sizeof buf),
                    img->ops->write_compressed(img, buf, off & ~(uint64_t)(img->cluster - 1), img->cluster);
            else if (img->size < NEAR)
                img->ops->resize(img, op[i + 1] * (uint64_t)1024, PREALLOC_OFF, true, &e);
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image *img, *file;
    struct image_check c;
    bool sound, checked;
    uint8_t *kept;
    size_t len;
    struct err e;

    if (size < SCRIPT)
        return 0;
    img = open_file(data + SCRIPT, size - SCRIPT, true, false, &file);
    if (!img)
        return 0;
    sound = !corruptions(img, &checked) && checked;
    run(img, data, false);
    image_close(img);

    img = open_file(data + SCRIPT, size - SCRIPT, false, false, &file);
    if (img) {
        run(img, data, sound);
        img->ops->flush(img);
        if (sound && (corruptions(img, &checked) || !checked))
            abort();
        len = file->size;
        kept = malloc(len ? len : 1);
        if (!kept)
            abort();
        memcpy(kept, mem_image_bytes(file), len); /* as after a crash */
        image_close(img);
        img = open_file(kept, len, false, true, &file);
        if (sound &&
            (!img || (corruptions(img, &checked) && !img->dirty) || !checked)) /* lazy refcounts may be wrong */
            abort();
        image_close(img);
        img = open_file(kept, len, false, false, &file);
        if (sound && (!img || corruptions(img, &checked) || !checked))
            abort();
        free(kept);
        image_close(img);
    }

    img = open_file(data + SCRIPT, size - SCRIPT, false, true, &file);
    if (img)
        img->ops->check(img, IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS, &c, NULL, NULL, &e);
    image_close(img);
    return 0;
}
