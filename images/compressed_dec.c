/* Decompressing one span of a compressed disk, in steps. */
#include <errno.h>
#include <string.h>
#include <zstd_errors.h>

#include "base/bits.h"
#include "images/compressed.h"
#include "images/fmt.h"

enum { GZIP_TRAILER = 8, XZ_MEMORY = 256 << 20 };

int unpacker_fill(struct unpacker *u)
{
    uint64_t left = u->in < u->end ? u->end - u->in : 0;
    size_t n = left < PACKED_IN ? (size_t)left : PACKED_IN;
    int ret = n ? fmt_read(u->p->file, u->buf, u->in, n) : -EIO;

    if (ret)
        return ret;
    u->in += n;
    u->buf_at = 0;
    u->buf_n = n;
    return 0;
}

/* Input where there is some; without, a decompressor may still hold output. */
static int more_input(struct unpacker *u) { return u->buf_at == u->buf_n && u->in < u->end ? unpacker_fill(u) : 0; }

/* Nothing came of a call, and nothing can: the data was cut short. */
static bool is_stuck(const struct unpacker *u, size_t before, size_t got)
{
    return !got && before == u->buf_at && u->buf_at == u->buf_n && u->in >= u->end;
}

static int start_gzip(struct unpacker *u)
{
    const struct span *s = u->s;

    /* A member's header is read by zlib (31); inside a member there is only the deflate stream (-15). */
    if (inflateInit2(&u->u.z, s->window ? -15 : 31) != Z_OK)
        return -ENOMEM;
    if (!s->window)
        return 0;
    u->trailer = true;
    if (s->bits) {
        uint8_t byte;
        int ret = fmt_read(u->p->file, &byte, s->in - 1, 1);

        if (ret || inflatePrime(&u->u.z, s->bits, byte >> (8 - s->bits)) != Z_OK)
            return ret ? ret : -EIO;
    }
    return inflateSetDictionary(&u->u.z, s->window, PACKED_WINDOW) == Z_OK ? 0 : -EIO;
}

static int start_xz(struct unpacker *u)
{
    int ret = unpacker_fill(u);

    if (ret)
        return ret;
    u->block = (lzma_block){.version = 1, .check = (lzma_check)u->s->check, .filters = u->filters};
    u->block.header_size = lzma_block_header_size_decode(u->buf[0]);
    if (!u->buf[0] || u->block.header_size > u->buf_n || lzma_block_header_decode(&u->block, NULL, u->buf) != LZMA_OK) {
        u->filters[0].id = LZMA_VLI_UNKNOWN;
        return -EIO;
    }
    u->buf_at = u->block.header_size;
    if (lzma_raw_decoder_memusage(u->filters) > XZ_MEMORY)
        return -ENOMEM;
    return lzma_block_decoder(&u->u.xz, &u->block) == LZMA_OK ? 0 : -EIO;
}

int unpacker_start(struct unpacker *u, const struct packed *p, const struct span *s)
{
    uint64_t size = image_size(p->file);

    *u = (struct unpacker){.p = p, .s = s, .in = s->in, .end = s->in_len ? s->in + s->in_len : size};
    u->filters[0].id = LZMA_VLI_UNKNOWN;
    if (u->end > size)
        return -EIO;
    switch (p->kind) {
    case PACKED_GZIP: return start_gzip(u);
    case PACKED_XZ: return start_xz(u);
    default: u->u.zstd = ZSTD_createDStream(); return u->u.zstd ? 0 : -ENOMEM;
    }
}

void unpacker_end(struct unpacker *u)
{
    switch (u->p->kind) {
    case PACKED_GZIP: inflateEnd(&u->u.z); break;
    case PACKED_XZ:
        lzma_end(&u->u.xz);
        lzma_filters_free(u->filters, NULL);
        break;
    default: ZSTD_freeDStream(u->u.zstd); break;
    }
}

/* Behind a member: its trailer (which zlib passes over itself when it read the header), then another one or the end. */
static int next_member(struct unpacker *u)
{
    unsigned skip = u->trailer ? GZIP_TRAILER : 0;

    while (skip) {
        size_t have = u->buf_n - u->buf_at;
        int ret = have ? 0 : unpacker_fill(u);

        if (ret)
            return ret;
        have = u->buf_n - u->buf_at < skip ? u->buf_n - u->buf_at : skip;
        u->buf_at += have;
        skip -= (unsigned)have;
    }
    if (u->buf_at == u->buf_n && (u->in >= u->end || unpacker_fill(u))) {
        u->done = true;
        return 0;
    }
    u->trailer = false;
    return inflateReset2(&u->u.z, 31) == Z_OK ? 0 : -EIO;
}

static int step_gzip(struct unpacker *u, uint8_t *out, size_t n, size_t *got)
{
    z_stream *z = &u->u.z;
    size_t before = u->buf_at;
    int r;

    z->next_in = u->buf + u->buf_at;
    z->avail_in = (uInt)(u->buf_n - u->buf_at);
    z->next_out = out;
    z->avail_out = (uInt)n;
    r = inflate(z, Z_NO_FLUSH);
    u->buf_at = u->buf_n - z->avail_in;
    *got = n - z->avail_out;
    if (r == Z_STREAM_END)
        return next_member(u);
    if (is_stuck(u, before, *got))
        return -EIO;
    return r == Z_OK || r == Z_BUF_ERROR ? 0 : r == Z_MEM_ERROR ? -ENOMEM : -EIO;
}

static int step_zstd(struct unpacker *u, uint8_t *out, size_t n, size_t *got)
{
    ZSTD_outBuffer o = {out, n, 0};
    ZSTD_inBuffer i = {u->buf, u->buf_n, u->buf_at};
    size_t before = u->buf_at, r = ZSTD_decompressStream(u->u.zstd, &o, &i);

    u->buf_at = i.pos;
    *got = o.pos;
    if (ZSTD_isError(r))
        return ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge ? -EFBIG : -EIO;
    u->done = !r; /* the frame ended */
    return r && is_stuck(u, before, *got) ? -EIO : 0;
}

static int step_xz(struct unpacker *u, uint8_t *out, size_t n, size_t *got)
{
    lzma_stream *x = &u->u.xz;
    size_t before = u->buf_at;
    lzma_ret r;

    x->next_in = u->buf + u->buf_at;
    x->avail_in = u->buf_n - u->buf_at;
    x->next_out = out;
    x->avail_out = n;
    r = lzma_code(x, LZMA_RUN);
    u->buf_at = u->buf_n - x->avail_in;
    *got = n - x->avail_out;
    u->done = r == LZMA_STREAM_END;
    if (r == LZMA_OK && is_stuck(u, before, *got))
        return -EIO;
    return r == LZMA_OK || r == LZMA_STREAM_END ? 0 : r == LZMA_MEM_ERROR ? -ENOMEM : -EIO;
}

int unpacker_step(struct unpacker *u, void *out, size_t n, size_t *got)
{
    uint8_t *p = out;
    uint64_t left = u->s->out_len - u->made;
    int ret = 0;

    *got = 0;
    if (left < n)
        n = (size_t)left;
    while (!ret && *got < n && !u->done) {
        size_t some = 0;

        ret = more_input(u);
        if (ret)
            break;
        ret = u->p->kind == PACKED_GZIP ? step_gzip(u, p + *got, n - *got, &some)
              : u->p->kind == PACKED_XZ ? step_xz(u, p + *got, n - *got, &some)
                                        : step_zstd(u, p + *got, n - *got, &some);
        *got += some;
    }
    u->made += *got;
    if (u->made == u->s->out_len)
        u->done = true;
    return ret;
}
