/*
 * Several images as one larger disk: `concat` one after the other, `stripe` in turns of `chunk` bytes. Nothing is kept
 * about it in the members: the same list in the same order gives the same disk.
 *
 * All arithmetic is in two functions: locate() says where a byte lies, and before() how many bytes of a member lie
 * before a place of the disk, so that [before(off), before(end)) is a member's part of a range.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/members.h"

enum { WINDOW = 64 };

struct span {
    struct members m;
    uint64_t chunk;                  /* 0: concat */
    uint64_t start[MEMBERS_MAX + 1]; /* concat: where each begins, and the end */
};

static struct image *locate(const struct span *s, uint64_t off, uint64_t *at, uint64_t *run)
{
    unsigned i = 0;

    if (s->chunk) {
        uint64_t chunk = off / s->chunk, in = off % s->chunk;

        *at = chunk / s->m.n * s->chunk + in;
        *run = s->chunk - in;
        return s->m.img[chunk % s->m.n];
    }
    while (i + 1 < s->m.n && off >= s->start[i + 1])
        i++;
    *at = off - s->start[i];
    *run = s->start[i + 1] - off;
    return s->m.img[i];
}

static uint64_t clamp(uint64_t v, uint64_t from, uint64_t len)
{
    if (v <= from)
        return 0;
    return v - from < len ? v - from : len;
}

static uint64_t before(const struct span *s, unsigned i, uint64_t off)
{
    uint64_t row = s->chunk * s->m.n;

    if (!s->chunk)
        return clamp(off, s->start[i], s->start[i + 1] - s->start[i]);
    return off / row * s->chunk + clamp(off % row, i * s->chunk, s->chunk);
}

static int move(struct image *img, bool write, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    struct span *s = img->priv;
    uint64_t total = iov_total(iov, n);
    int ret = 0;

    for (uint64_t done = 0; !ret && done < total;) {
        struct iovec win[WINDOW];
        uint64_t at, run;
        struct image *m = locate(s, off + done, &at, &run);
        unsigned cnt = iov_slice(win, WINDOW, iov, n, done, run < total - done ? run : total - done, &run);

        ret = write ? m->ops->writev(m, win, cnt, at, flags) : m->ops->readv(m, win, cnt, at, flags);
        done += run;
    }
    return ret;
}

static int span_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    return move(img, false, iov, n, off, flags);
}

static int span_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags)
{
    return move(img, true, iov, n, off, flags);
}

static int span_flush(struct image *img)
{
    struct span *s = img->priv;
    int ret = 0;

    for (unsigned i = 0; i < s->m.n; i++) {
        int one = s->m.img[i]->ops->flush(s->m.img[i]);

        ret = ret ? ret : one;
    }
    return ret;
}

static int clear(struct image *img, bool discard, uint64_t off, uint64_t len, unsigned flags)
{
    struct span *s = img->priv;
    int ret = 0;

    for (unsigned i = 0; !ret && i < s->m.n; i++) {
        struct image *m = s->m.img[i];
        uint64_t from = before(s, i, off), bytes = before(s, i, off + len) - from;

        if (bytes)
            ret = discard ? m->ops->discard(m, from, bytes) : m->ops->write_zeroes(m, from, bytes, flags);
    }
    return ret;
}

static int span_discard(struct image *img, uint64_t off, uint64_t len) { return clear(img, true, off, len, 0); }

static int span_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags)
{
    return clear(img, false, off, len, flags);
}

static int span_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x)
{
    uint64_t at, run;
    struct image *m = locate(img->priv, off, &at, &run);
    int ret = image_map(m, at, run < len ? run : len, x);

    x->allocated = true;
    x->has_offset = x->compressed = false;
    return ret;
}

static int span_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off)
{
    uint64_t at, run;
    struct image *m = locate(img->priv, off, &at, &run);

    if (run < len || !m->ops->direct_begin)
        return -EAGAIN;
    return m->ops->direct_begin(m, at, len, write, fd, host_off);
}

static void span_direct_end(struct image *img, uint64_t off, uint64_t len, bool write)
{
    uint64_t at, run;
    struct image *m = locate(img->priv, off, &at, &run);

    m->ops->direct_end(m, at, len, write);
}

static json_t *span_details(struct image *img)
{
    struct span *s = img->priv;
    json_t *list = json_array();

    for (unsigned i = 0; i < s->m.n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I}", "member", s->m.spec[i], "size", (json_int_t)image_size(s->m.img[i])));
    return json_pack("{s:s, s:{s:I, s:o}}", "type", img->ops->format, "data", "chunk", (json_int_t)s->chunk, "members",
                     list);
}

static void span_close(struct image *img)
{
    struct span *s = img->priv;

    members_close(&s->m);
    free(s);
}

/* Sizes: whole blocks of the largest kind; stripes are as long as the shortest member allows. */
static void measure(struct image *img, struct span *s)
{
    uint64_t least = UINT64_MAX, sum = 0;

    img->discard = true;
    for (unsigned i = 0; i < s->m.n; i++) {
        if (s->m.img[i]->logical > img->logical)
            img->logical = s->m.img[i]->logical;
        img->discard &= s->m.img[i]->discard;
    }
    for (unsigned i = 0; i < s->m.n; i++) {
        uint64_t size = align_down(image_size(s->m.img[i]), img->logical);

        s->start[i] = sum;
        sum += size;
        least = size < least ? size : least;
    }
    s->start[s->m.n] = sum;
    img->size = s->chunk ? least / s->chunk * s->chunk * s->m.n : sum;
    img->optimal = s->chunk <= 1 << 20 ? (uint32_t)(s->chunk * s->m.n) : 0;
}

static bool span_open(struct image *img, const struct image_options *o, const char *list, bool stripe, struct err *e)
{
    struct member_options opt = {.key = {stripe ? "chunk" : NULL}};
    struct span *s = calloc(1, sizeof *s);
    bool ok;

    if (!s)
        return err_set(e, "out of memory");
    ok = members_parse(&s->m, &opt, list, e);
    s->chunk = stripe ? 64 << 10 : 0;
    if (ok && opt.value[0] &&
        (!image_parse_size(opt.value[0], &s->chunk) || !is_pow2(s->chunk) || s->chunk < 4096 || s->chunk > 1 << 30))
        ok = err_set(e, "chunk=%s: a power of two from 4k to 1G was expected", opt.value[0]);
    member_options_free(&opt);
    if (ok && members_open(&s->m, o, e)) {
        measure(img, s);
        img->priv = s;
        return true;
    }
    members_close(&s->m);
    free(s);
    return err_prefix(e, "'%s'", img->path);
}

static const char CONCAT[] = "concat:", STRIPE[] = "stripe:";

/* The list of members in path: also when the format was named and the prefix left out. */
static const char *list_of(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) ? path : path + strlen(prefix);
}

static bool is_concat(const char *path) { return !strncmp(path, CONCAT, strlen(CONCAT)); }
static bool is_stripe(const char *path) { return !strncmp(path, STRIPE, strlen(STRIPE)); }

static bool concat_open(struct image *img, const struct image_options *o, struct err *e)
{
    return span_open(img, o, list_of(img->path, CONCAT), false, e);
}

static bool stripe_open(struct image *img, const struct image_options *o, struct err *e)
{
    return span_open(img, o, list_of(img->path, STRIPE), true, e);
}

/* clang-format off */
#define SPAN_OPS \
    .protocol = true, .close = span_close, .readv = span_readv, .writev = span_writev, .flush = span_flush, \
    .discard = span_discard, .write_zeroes = span_write_zeroes, .map = span_map, .direct_begin = span_direct_begin, \
    .direct_end = span_direct_end, .details = span_details
/* clang-format on */

const struct image_ops image_concat = {.format = "concat", .claims = is_concat, .open = concat_open, SPAN_OPS};
const struct image_ops image_stripe = {.format = "stripe", .claims = is_stripe, .open = stripe_open, SPAN_OPS};
