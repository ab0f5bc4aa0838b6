/*
 * Where a compressed disk can be entered.
 *
 * xz: its index names the blocks. zstd: a seek table (contrib/seekable_format of zstd) or the headers of frames and
 * blocks, which are walked without decompressing. gzip: one pass, that notes at deflate block borders the 32 KiB that
 * the next block may look back on (as zlib's examples/zran.c); when there are too many such points every other one
 * is dropped, so that memory is bounded.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "images/compressed.h"
#include "images/fmt.h"

enum {
    INDEX_MEMORY = 64 << 20, /* xz */
    ZSTD_MAGIC_LEN = 4,
    SEEK_FOOTER = 9,
    POINT_FIRST = 1 << 20, /* gzip: bytes of disk between points, at first */
};

#define SEEK_FRAME UINT32_C(0x184d2a5e)
#define SEEK_MAGIC UINT32_C(0x8f92eab1)
#define ZSTD_FRAME UINT32_C(0xfd2fb528)

struct span *packed_add(struct packed *p)
{
    if (p->n == p->max) {
        size_t max = p->max ? 2 * p->max : 64;
        struct span *more = max <= PACKED_SPANS ? realloc(p->spans, max * sizeof *more) : NULL;

        if (!more)
            return NULL;
        p->spans = more;
        p->max = max;
    }
    p->spans[p->n] = (struct span){0};
    return &p->spans[p->n++];
}

void packed_free(struct packed *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->spans[i].window);
    free(p->spans);
    p->spans = NULL;
    p->n = p->max = 0;
}

static bool too_large(const char *path, struct err *e)
{
    return err_set(e, "disk image '%s': decompressed it is too large, or in too many parts", path);
}

static bool damaged(const char *path, const char *what, struct err *e)
{
    return err_set(e, "disk image '%s': the %s data is damaged or cut short", path, what);
}

/* ---- xz ---- */

static lzma_ret xz_read_index(struct packed *p, lzma_index **index)
{
    uint8_t *buf = malloc(PACKED_IN);
    lzma_stream x = LZMA_STREAM_INIT;
    uint64_t at = 0, size = image_size(p->file);
    lzma_ret r = buf ? lzma_file_info_decoder(&x, index, INDEX_MEMORY, size) : LZMA_MEM_ERROR;

    while (r == LZMA_OK) {
        if (!x.avail_in && at < size) {
            size_t n = size - at < PACKED_IN ? (size_t)(size - at) : PACKED_IN;

            if (fmt_read(p->file, buf, at, n)) {
                r = LZMA_DATA_ERROR;
                break;
            }
            x.next_in = buf;
            x.avail_in = n;
            at += n;
        }
        r = lzma_code(&x, at == size ? LZMA_FINISH : LZMA_RUN);
        if (r == LZMA_SEEK_NEEDED) {
            at = x.seek_pos;
            x.avail_in = 0;
            r = LZMA_OK;
        }
    }
    lzma_end(&x);
    free(buf);
    return r;
}

static bool xz_index(struct packed *p, const char *path, struct err *e)
{
    lzma_index *index = NULL;
    lzma_index_iter it;
    lzma_ret r = xz_read_index(p, &index);
    bool ok = true;

    if (r == LZMA_MEMLIMIT_ERROR || r == LZMA_MEM_ERROR)
        return too_large(path, e);
    if (r != LZMA_STREAM_END)
        return damaged(path, "xz", e);
    p->size = lzma_index_uncompressed_size(index);
    lzma_index_iter_init(&it, index);
    while (ok && !lzma_index_iter_next(&it, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
        struct span *s = packed_add(p);

        ok = s || too_large(path, e);
        if (ok)
            *s = (struct span){.in = it.block.compressed_file_offset,
                               .in_len = it.block.total_size,
                               .out = it.block.uncompressed_file_offset,
                               .out_len = it.block.uncompressed_size,
                               .check = (uint8_t)it.stream.flags->check};
    }
    lzma_index_end(index, NULL);
    return ok;
}

/* ---- zstd ---- */

static bool zstd_add(struct packed *p, uint64_t in, uint64_t in_len, uint64_t out_len, const char *path, struct err *e)
{
    struct span *s;

    if (!out_len)
        return true;
    s = packed_add(p);
    if (!s)
        return too_large(path, e);
    *s = (struct span){.in = in, .in_len = in_len, .out = p->size, .out_len = out_len};
    if (p->size == PACKED_UNKNOWN || out_len == PACKED_UNKNOWN)
        p->size = PACKED_UNKNOWN;
    else if (out_len > PACKED_SIZE_MAX || p->size + out_len > PACKED_SIZE_MAX)
        return too_large(path, e);
    else
        p->size += out_len;
    return true;
}

/* The seek table. *found false: there is none that makes sense. */
static bool zstd_seek_table(struct packed *p, const char *path, bool *found, struct err *e)
{
    uint8_t foot[SEEK_FOOTER], head[8], *table;
    uint64_t size = image_size(p->file), in = 0, n, each, bytes;
    bool ok = true;

    *found = false;
    if (size < SEEK_FOOTER + 8 || fmt_read(p->file, foot, size - SEEK_FOOTER, SEEK_FOOTER) ||
        ld32(foot + 5) != SEEK_MAGIC)
        return true;
    n = ld32(foot);
    each = foot[4] & 0x80 ? 12 : 8;
    bytes = n * each + SEEK_FOOTER;
    if (!n || n > PACKED_SPANS || foot[4] & 0x7c || bytes + 8 > size || fmt_read(p->file, head, size - bytes - 8, 8) ||
        ld32(head) != SEEK_FRAME || ld32(head + 4) != bytes)
        return true;
    table = malloc(n * each);
    if (!table || fmt_read(p->file, table, size - bytes, n * each)) {
        free(table);
        return damaged(path, "zstd", e);
    }
    for (uint64_t i = 0; ok && i < n; i++) {
        uint32_t in_len = ld32(table + i * each);

        ok = zstd_add(p, in, in_len, ld32(table + i * each + 4), path, e);
        in += in_len;
    }
    free(table);
    *found = ok && in <= size - bytes - 8;
    return ok;
}

/* Length of a frame's header, and the content size if it tells. RFC 8878, 3.1.1.1. */
static int zstd_header(struct packed *p, uint64_t at, uint64_t *len, uint64_t *content, bool *checksum)
{
    static const uint8_t dict[] = {0, 1, 2, 4}, sizes[] = {0, 2, 4, 8};
    uint8_t h[18] = {0};
    uint64_t size = image_size(p->file);
    unsigned long long c;
    int ret = fmt_read(p->file, h, at, size - at < sizeof h ? (size_t)(size - at) : sizeof h);
    bool single = h[4] >> 5 & 1;

    if (ret)
        return ret;
    *checksum = h[4] >> 2 & 1;
    *len = 5 + !single + dict[h[4] & 3] + (h[4] >> 6 ? sizes[h[4] >> 6] : single);
    c = ZSTD_getFrameContentSize(h, sizeof h);
    if (c == ZSTD_CONTENTSIZE_ERROR)
        return -EIO;
    *content = c == ZSTD_CONTENTSIZE_UNKNOWN ? PACKED_UNKNOWN : c;
    return 0;
}

/* The end of the frame at `at`, by its blocks' headers. */
static int zstd_frame_end(struct packed *p, uint64_t at, uint64_t head, bool checksum, uint64_t *end)
{
    uint64_t pos = at + head;

    for (;;) {
        uint8_t b[3];
        uint32_t v;
        int ret = fmt_read(p->file, b, pos, sizeof b);

        if (ret)
            return ret;
        v = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
        if ((v >> 1 & 3) == 3)
            return -EIO;
        pos += 3 + ((v >> 1 & 3) == 1 ? 1 : v >> 3); /* RLE: one byte */
        if (v & 1)
            break;
    }
    *end = pos + (checksum ? 4 : 0);
    return *end <= image_size(p->file) ? 0 : -EIO;
}

static bool zstd_frames(struct packed *p, const char *path, struct err *e)
{
    uint64_t size = image_size(p->file), at = 0, head, content, end;

    while (at + 8 <= size) {
        uint8_t m[8];
        bool checksum;

        if (fmt_read(p->file, m, at, sizeof m))
            return damaged(path, "zstd", e);
        if ((ld32(m) & ~UINT32_C(15)) == PACKED_SKIPPABLE) {
            at += 8 + (uint64_t)ld32(m + 4);
            continue;
        }
        if (ld32(m) != ZSTD_FRAME || zstd_header(p, at, &head, &content, &checksum) ||
            zstd_frame_end(p, at, head, checksum, &end))
            return damaged(path, "zstd", e);
        if (!zstd_add(p, at, end - at, content, path, e))
            return false;
        at = end;
    }
    return at == size || damaged(path, "zstd", e);
}

static bool zstd_index(struct packed *p, const char *path, struct err *e)
{
    bool found;

    if (!zstd_seek_table(p, path, &found, e))
        return false;
    if (found)
        return true;
    packed_free(p);
    p->size = 0;
    return zstd_frames(p, path, e);
}

/* ---- gzip ---- */

struct pass {
    struct packed *p;
    struct unpacker u; /* for its input */
    uint8_t *window;   /* the last PACKED_WINDOW bytes, around and around */
    uint64_t out, last, step;
};

/* Twice as far apart. The first point stays. */
static void thin_out(struct pass *g)
{
    struct packed *p = g->p;
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++)
        if (i % 2 == 0)
            p->spans[kept++] = p->spans[i];
        else
            free(p->spans[i].window);
    p->n = kept;
    g->step *= 2;
}

static bool add_point(struct pass *g, const z_stream *z)
{
    struct span *s;
    size_t at = PACKED_WINDOW - z->avail_out; /* oldest byte */

    if (g->p->n == PACKED_POINTS)
        thin_out(g);
    s = packed_add(g->p);
    if (!s || !(s->window = malloc(PACKED_WINDOW)))
        return false;
    s->in = g->u.in - (g->u.buf_n - g->u.buf_at);
    s->out = g->last = g->out;
    s->bits = z->data_type & 7;
    memcpy(s->window, g->window + at, PACKED_WINDOW - at);
    memcpy(s->window + PACKED_WINDOW - at, g->window, at);
    return true;
}

/* One call of inflate up to the next block border, the window's end or the input's. */
static int pass_step(struct pass *g, z_stream *z)
{
    size_t before;
    int r;

    if (g->u.buf_at == g->u.buf_n && unpacker_fill(&g->u))
        return Z_DATA_ERROR;
    z->next_in = g->u.buf + g->u.buf_at;
    z->avail_in = (uInt)(g->u.buf_n - g->u.buf_at);
    if (!z->avail_out) {
        z->next_out = g->window;
        z->avail_out = PACKED_WINDOW;
    }
    before = z->avail_out;
    r = inflate(z, Z_BLOCK);
    g->out += before - z->avail_out;
    g->u.buf_at = g->u.buf_n - z->avail_in;
    return r == Z_BUF_ERROR ? Z_OK : r;
}

/* Is there another member behind this one? Zeroes and rubbish are not, as for gzip. */
static bool another(struct pass *g)
{
    uint8_t m[2];
    uint64_t at = g->u.in - (g->u.buf_n - g->u.buf_at);

    return at + 18 <= image_size(g->p->file) && !fmt_read(g->p->file, m, at, 2) && m[0] == 0x1f && m[1] == 0x8b;
}

static bool gzip_pass(struct pass *g, z_stream *z, const char *path, struct err *e)
{
    for (;;) {
        int r = pass_step(g, z);

        if (r == Z_STREAM_END && !another(g))
            return true;
        if (r == Z_STREAM_END) {
            if (inflateReset(z) != Z_OK)
                return damaged(path, "gzip", e);
            continue;
        }
        if (r != Z_OK)
            return damaged(path, "gzip", e);
        if (g->out > PACKED_COUNT_MAX)
            return too_large(path, e);
        /* 128: a block has ended; 64: it was the last one, and the trailer follows */
        if ((z->data_type & 0xc0) == 128 && g->out - g->last >= g->step && !add_point(g, z))
            return too_large(path, e);
    }
}

static bool gzip_index(struct packed *p, const char *path, struct err *e)
{
    struct pass *g = calloc(1, sizeof *g);
    struct span *first = packed_add(p);
    z_stream z = {0};
    bool ok = g && first && (g->window = calloc(1, PACKED_WINDOW)) && inflateInit2(&z, 31) == Z_OK;

    if (!ok) {
        err_set(e, "disk image '%s': out of memory", path);
    } else {
        g->p = p;
        g->step = POINT_FIRST;
        g->u = (struct unpacker){.p = p, .end = image_size(p->file)};
        ok = gzip_pass(g, &z, path, e);
        inflateEnd(&z);
        p->size = g->out;
        for (size_t i = 0; i < p->n; i++)
            p->spans[i].out_len = (i + 1 < p->n ? p->spans[i + 1].out : p->size) - p->spans[i].out;
    }
    if (g)
        free(g->window);
    free(g);
    return ok;
}

bool packed_index(struct packed *p, const char *path, struct err *e)
{
    p->size = 0;
    switch (p->kind) {
    case PACKED_GZIP: return gzip_index(p, path, e);
    case PACKED_XZ: return xz_index(p, path, e);
    default: return zstd_index(p, path, e);
    }
}
