/*
 * A raw disk compressed as a whole (gzip, xz, zstd), for reading: spans that can be decompressed by themselves.
 *
 * compressed_index.c finds the spans, compressed_dec.c decompresses one, compressed.c keeps what was decompressed.
 */
#ifndef IMAGES_COMPRESSED_H
#define IMAGES_COMPRESSED_H

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "images/image.h"

enum packing { PACKED_GZIP, PACKED_XZ, PACKED_ZSTD };

enum {
    PACKED_IN = 64 << 10,       /* read at once */
    PACKED_STEP = 1 << 20,      /* decompressed at once */
    PACKED_SPAN_MAX = 64 << 20, /* longer ones are kept in a temporary file */
    PACKED_WINDOW = 32 << 10,   /* what inflate looks back on */
    PACKED_POINTS = 2048,       /* gzip: with a window each, 64 MiB */
    PACKED_SPANS = 1 << 20,
};

#define PACKED_SIZE_MAX (UINT64_C(1) << 40)  /* decompressed: 1 TiB */
#define PACKED_COUNT_MAX (UINT64_C(1) << 37) /* ... if all of it has to be looked at first: 128 GiB */
#define PACKED_UNKNOWN UINT64_MAX
#define PACKED_SKIPPABLE UINT32_C(0x184d2a50) /* zstd; the low 4 bits are free */

struct span {
    uint64_t in, in_len;   /* in the file; in_len 0: to wherever it ends */
    uint64_t out, out_len; /* in the disk; out_len may be PACKED_UNKNOWN */
    uint8_t *window;       /* gzip: what came before, PACKED_WINDOW bytes; NULL: a member begins */
    uint8_t bits;          /* gzip: of the byte before `in` that belong to it */
    uint8_t check;         /* xz: lzma_check of its stream */
};

struct packed {
    enum packing kind;
    struct image *file; /* not owned */
    struct span *spans;
    size_t n, max;
    uint64_t size; /* decompressed; PACKED_UNKNOWN */
};

/* Decompresses one span from its start on. */
struct unpacker {
    const struct packed *p;
    const struct span *s;
    uint64_t in, end, made;
    bool trailer; /* gzip: the member's trailer is ours to pass over */
    bool done;
    union {
        z_stream z;
        ZSTD_DStream *zstd;
        lzma_stream xz;
    } u;
    lzma_block block;
    lzma_filter filters[LZMA_FILTERS_MAX + 1];
    uint8_t buf[PACKED_IN];
    size_t buf_at, buf_n;
};

/* Find the spans and the size. e is set on failure. */
bool packed_index(struct packed *p, const char *path, struct err *e);
struct span *packed_add(struct packed *p); /* the next one, zeroed; NULL: no memory or too many */
void packed_free(struct packed *p);

int unpacker_start(struct unpacker *u, const struct packed *p, const struct span *s);
void unpacker_end(struct unpacker *u);
/* Up to n bytes into out; *got < n: the span ended (then u->done). 0 or a negative errno. */
int unpacker_step(struct unpacker *u, void *out, size_t n, size_t *got);
int unpacker_fill(struct unpacker *u); /* more input; -EIO at the end */

#endif
