/* What back ends of foreign formats share. */
#include "images/fmt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bits.h"

enum { WINDOW = 64, ZEROES = 64 << 10 };

const char *const fmt_prealloc_names[] = {"off", "metadata", "falloc", "full", NULL};

int fmt_readv(struct image *file, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len, uint64_t off,
              unsigned flags)
{
    uint64_t size = image_size(file);

    while (len) {
        struct iovec win[WINDOW];
        uint64_t want = off >= size ? 0 : size - off < len ? size - off : len, bytes;
        unsigned cnt;
        int ret;

        if (!want) {
            iov_zero(iov, n, skip, len);
            return 0;
        }
        cnt = iov_slice(win, WINDOW, iov, n, skip, want, &bytes);
        if (!cnt)
            return -EINVAL;
        ret = file->ops->readv(file, win, cnt, off, flags);
        if (ret)
            return ret;
        skip += bytes;
        off += bytes;
        len -= bytes;
    }
    return 0;
}

int fmt_writev(struct image *file, const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len, uint64_t off,
               unsigned flags)
{
    while (len) {
        struct iovec win[WINDOW];
        uint64_t bytes;
        unsigned cnt = iov_slice(win, WINDOW, iov, n, skip, len, &bytes);
        int ret;

        if (!cnt)
            return -EINVAL;
        ret = file->ops->writev(file, win, cnt, off, flags);
        if (ret)
            return ret;
        skip += bytes;
        off += bytes;
        len -= bytes;
    }
    return 0;
}

int fmt_read_pad(struct image *file, void *buf, uint64_t off, size_t len)
{
    struct iovec v = {buf, len};

    return fmt_readv(file, &v, 1, 0, len, off, 0);
}

int fmt_read(struct image *file, void *buf, uint64_t off, size_t len)
{
    uint64_t size = image_size(file);

    return off > size || len > size - off ? -EIO : fmt_read_pad(file, buf, off, len);
}

int fmt_write(struct image *file, const void *buf, uint64_t off, size_t len)
{
    struct iovec v = {(void *)(uintptr_t)buf, len}; /* a write only reads it */

    return file->ops->writev(file, &v, 1, off, 0);
}

static int write_zero_bytes(struct image *file, uint64_t off, uint64_t len)
{
    char *zero = calloc(1, ZEROES);
    int ret = zero ? 0 : -ENOMEM;

    while (!ret && len) {
        size_t step = len < ZEROES ? (size_t)len : ZEROES;

        ret = fmt_write(file, zero, off, step);
        off += step;
        len -= step;
    }
    free(zero);
    return ret;
}

int fmt_zero(struct image *file, uint64_t off, uint64_t len)
{
    uint64_t size = image_size(file), inside;
    int ret = 0;

    if (!len)
        return 0;
    inside = off >= size ? 0 : size - off < len ? size - off : len;
    if (inside) {
        ret = file->ops->write_zeroes(file, off, inside, IMAGE_UNMAP);
        if (ret == -EOPNOTSUPP)
            ret = write_zero_bytes(file, off, inside);
    }
    return ret || inside == len ? ret : fmt_grow(file, off + len);
}

int fmt_grow(struct image *file, uint64_t end)
{
    static const char zero[512];
    uint64_t size = image_size(file);
    size_t tail;

    if (end <= size)
        return 0;
    tail = end - size < sizeof zero ? (size_t)(end - size) : sizeof zero;
    return fmt_write(file, zero, end - tail, tail);
}

static bool set_option(const struct image_create *c, const struct fmt_option *o, const char *value, struct err *e)
{
    bool ok = true;

    if (o->kind == FMT_BOOL) {
        ok = image_parse_bool(value, o->out);
    } else if (o->kind == FMT_SIZE) {
        ok = image_parse_size(value, o->out);
    } else if (o->kind == FMT_TEXT) {
        ok = snprintf(o->out, 64, "%s", value) < 64;
    } else {
        unsigned i = 0;

        while (o->names[i] && strcmp(o->names[i], value) != 0)
            i++;
        ok = o->names[i];
        if (ok)
            *(unsigned *)o->out = i;
    }
    return ok || err_set(e, "disk image '%s': '%s' is no value for option %s of format %s", c->path, value, o->name,
                         c->format);
}

bool fmt_options(const struct image_create *c, const struct fmt_option *table, size_t n, struct err *e)
{
    const char *text = c->options;
    struct image_option o;

    e->msg[0] = '\0';
    while (image_option_next(&text, &o, e)) {
        size_t i = 0;

        while (i < n && strcmp(table[i].name, o.key) != 0)
            i++;
        if (i == n)
            return err_set(e, "disk image '%s': format %s has no option '%s'", c->path, c->format, o.key);
        if (!set_option(c, &table[i], o.value, e))
            return false;
    }
    return !e->msg[0];
}

bool fmt_no_backing(const struct image_create *c, struct err *e)
{
    return !c->backing ||
           err_set(e, "disk image '%s': format %s is made without a backing file here", c->path, c->format);
}

bool fmt_reserve(const struct image_create *c, struct image *file, uint64_t end, enum image_prealloc p, struct err *e)
{
    int ret;

    if (p == PREALLOC_METADATA)
        p = PREALLOC_OFF;
    if (file->ops->resize && image_size(file) < end)
        return !file->ops->resize(file, end, p, false, e);
    if (p != PREALLOC_OFF && image_size(file) < end)
        return err_set(e, "disk image '%s': what it lies on cannot preallocate", c->path);
    ret = fmt_grow(file, end);
    return !ret || err_set(e, "disk image '%s': %s", c->path, strerror(-ret));
}

void fmt_uuid(uint8_t uuid[16])
{
    if (getrandom(uuid, 16, 0) != 16)
        memset(uuid, 0x5a, 16);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}
