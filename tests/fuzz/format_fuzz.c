/* See format_fuzz.h. */
#include "tests/fuzz/format_fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, TEMPLATES = 8, REQUESTS = 40, LONGEST = 192 << 10 };

/* The pages of an image that are not zero. */
struct template
{
    uint8_t *pages;
    uint32_t *at;
    size_t n, size;
};

/* A memory image that grows up to `optimal` bytes: its functions, with ours over them. */
static int grow_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    uint64_t total = iov_total(iov, n);

    (void)flags;
    if (off > img->optimal || total > img->optimal - off)
        return -ENOSPC;
    iov_to_buf(mem_image_bytes(img) + off, iov, n, 0, total);
    if (off + total > img->size)
        img->size = off + total;
    return 0;
}

static struct image *growing(const struct format_fuzz *f, size_t size, bool read_only)
{
    static struct image_ops ops;
    struct image *img = mem_image("", 0, f->bytes, read_only);

    if (!ops.format) {
        ops = *img->ops;
        ops.writev = grow_writev;
    }
    img->ops = &ops;
    img->size = size;
    img->optimal = f->bytes;
    return img;
}

static bool all_zero(const uint8_t *p, size_t n) { return !*p && !memcmp(p, p + 1, n - 1); }

static void template_keep(struct template *t, const uint8_t *bytes, size_t size)
{
    for (size_t off = 0; off < size; off += PAGE) {
        if (all_zero(bytes + off, PAGE))
            continue;
        t->pages = realloc(t->pages, (t->n + 1) * PAGE);
        t->at = realloc(t->at, (t->n + 1) * sizeof *t->at);
        if (!t->pages || !t->at)
            abort();
        memcpy(t->pages + t->n * PAGE, bytes + off, PAGE);
        t->at[t->n++] = (uint32_t)off;
    }
}

/* A new image with something in it, as it is after a flush and before it is closed. */
static void template_make(struct template *t, const struct format_fuzz *f, const char *options)
{
    struct image *file = growing(f, 0, false), *img;
    struct image_create c = {
        .path = "/nowhere/x", .format = f->format, .size = f->disk, .options = options, .file = file};
    struct err e = {""};
    char text[5000];
    struct iovec v = {text, sizeof text};

    memset(text, 'x', sizeof text);
    if (!image_create(&c, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    img = image_open("/nowhere/x", &(struct image_options){.format = f->format, .file = file}, &e);
    if (!img) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    if (img->ops->writev(img, &v, 1, f->disk / 2, 0) || img->ops->writev(img, &v, 1, 0, 0) || img->ops->flush(img))
        abort();
    t->size = file->size;
    template_keep(t, mem_image_bytes(file), f->bytes);
    image_close(img);
}

static uint32_t le24(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16; }

static void request(struct image *img, unsigned kind, uint64_t off, uint64_t len, uint8_t *buf)
{
    struct iovec v = {buf, len};
    struct image_extent x = {0};

    switch (kind % 7) {
    case 0: img->ops->writev(img, &v, 1, off, kind & 128 ? IMAGE_FUA : 0); break;
    case 1: img->ops->flush(img); break;
    case 2: img->ops->discard(img, off, len); break;
    case 3: img->ops->write_zeroes(img, off, len, kind & 128 ? IMAGE_UNMAP : 0); break;
    case 4:
        if (!img->ops->map(img, off, img->size - off, &x) && (!x.len || x.len > img->size - off))
            abort();
        break;
    default: img->ops->readv(img, &v, 1, off, 0);
    }
}

void format_requests(struct image *img, const uint8_t *data, size_t size)
{
    uint8_t *buf = malloc(LONGEST);

    if (!buf)
        abort();
    memset(buf, 0x5a, LONGEST);
    for (unsigned i = 0; i < REQUESTS && size >= 6; i++, data += 6, size -= 6) {
        uint64_t off = (uint64_t)le24(data + 1) * 512, len = 512 + (data[4] | (uint64_t)data[5] << 8) * 8;

        if (off >= img->size)
            off %= img->size;
        len = len > LONGEST ? LONGEST : len;
        if (len > img->size - off)
            len = img->size - off;
        request(img, data[0], off, len, buf);
    }
    free(buf);
}

static void no_report(void *arg, const char *line)
{
    (void)arg;
    if (strchr(line, '\n'))
        abort();
}

static void use(const struct format_fuzz *f, struct image *file, unsigned flags, const uint8_t *data, size_t size)
{
    struct image_options o = {.format = f->format, .read_only = flags & 1, .no_repair = flags & 8, .file = file};
    struct image_check c;
    struct err e = {""};
    struct image *img = image_open("/nowhere/x", &o, &e);

    if (!img) {
        if (!e.msg[0] || strchr(e.msg, '\n'))
            abort();
        return;
    }
    if (!img->size || img->size % img->logical)
        abort();
    format_requests(img, data, size);
    if (img->ops->check)
        img->ops->check(img, flags & 1 ? 0 : IMAGE_FIX_LEAKS | IMAGE_FIX_ERRORS, &c, no_report, NULL, &e);
    if (img->ops->resize && flags & 16 && !(flags & 1))
        img->ops->resize(img, img->size * 3, PREALLOC_OFF, false, &e);
    format_requests(img, data, size);
    image_close(img);
}

int format_fuzz(const struct format_fuzz *f, const uint8_t *data, size_t size)
{
    static struct template all[TEMPLATES];
    struct image *file;
    struct template *t;
    uint8_t *bytes;
    unsigned n = 0, flags, changes;

    while (f->options[n])
        n++;
    if (size < 3)
        return 0;
    n = data[0] % n;
    flags = data[1];
    changes = data[2];
    t = &all[n];
    if (!t->n)
        template_make(t, f, f->options[n]);
    file = growing(f, t->size, flags & 1);
    bytes = mem_image_bytes(file);
    for (size_t i = 0; i < t->n; i++)
        memcpy(bytes + t->at[i], t->pages + i * PAGE, PAGE);
    data += 3;
    size -= 3;
    for (unsigned i = 0; i < changes && size >= 4; i++) {
        uint32_t off = le24(data) % (uint32_t)t->size;
        size_t len = data[3] < size - 4 ? data[3] : size - 4;

        len = len < f->bytes - off ? len : f->bytes - off;
        memcpy(bytes + off, data + 4, len);
        data += 4 + len;
        size -= 4 + len;
    }
    if (flags & 2 && f->seal)
        f->seal(bytes, t->size);
    if (flags & 4 && size)
        file->size = (uint64_t)data[0] * 512 * 64 % t->size + data[0];
    use(f, file, flags, data, size);
    return 0;
}
