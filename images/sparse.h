/*
 * The common part of formats that keep a disk in blocks of one size, found through a table: VDI, VHD, VHDX, VMDK.
 *
 * Order of writes, so that a crash can lose only what was not flushed: a new block's data goes to a place that no
 * table names; its table entry stays in memory (images/meta.h) until a flush, which makes the data and the format's
 * counts stable (`before`), then writes the entries, then makes these stable; only then places freed by entries
 * that changed may be used again (`after`). `lock` is held shared to use places, exclusive to give or take them away.
 */
#ifndef IMAGES_SPARSE_H
#define IMAGES_SPARSE_H

#include <pthread.h>

#include "images/image.h"
#include "images/meta.h"

enum place_kind {
    PLACE_HOLE,  /* nothing is kept: reads as zeroes */
    PLACE_ZERO,  /* kept as zeroes */
    PLACE_DATA,  /* at `off` of the file */
    PLACE_PACKED /* compressed: ops.unpack */
};

struct place {
    enum place_kind kind;
    uint64_t off;
};

struct sparse_ops {
    /* Where byte `in` of block blk lies, and, in *len, how much from there on is alike (never more than given). */
    int (*find)(struct image *img, uint64_t blk, uint32_t in, uint32_t *len, struct place *p);
    /* Those below have the exclusive lock. */
    int (*allocate)(struct image *img, uint64_t blk, uint64_t *off); /* a place for a whole block, in no table */
    void (*release)(struct image *img, uint64_t off);                /* ... not used after all */
    int (*attach)(struct image *img, uint64_t blk, uint64_t off);    /* name it in the table */
    int (*detach)(struct image *img, uint64_t blk);                  /* may be NULL: make blk a hole, free its place */
    int (*before)(struct image *img);                                /* may be NULL */
    int (*entries)(struct image *img);                               /* NULL: meta_write() */
    void (*after)(struct image *img);                                /* may be NULL */
    /* May be NULL: mark the sectors of an allocated block as written (VHD); VMDK unpacks a grain here. */
    int (*claim)(struct image *img, uint64_t blk, uint32_t in, uint32_t len);
    /* Compressed blocks: bytes of block blk into iov. Shared lock. */
    int (*unpack)(struct image *img, uint64_t blk, const struct place *p, uint32_t in, uint32_t len,
                  const struct iovec *iov, unsigned n, uint64_t skip);
};

/* First in a back end's priv. */
struct sparse {
    const struct sparse_ops *ops;
    struct meta meta;
    pthread_rwlock_t lock;
    unsigned shift;      /* block size is 1 << shift */
    uint64_t clean_from; /* bytes of the file from here on were never written: zero */
    bool dirty;          /* something besides table pages waits for a flush; exclusive lock */
    bool fixed;          /* all blocks are there, for good */
    unsigned in_flight;  /* places given out by sparse_direct_begin(); atomic */
};

bool sparse_init(struct sparse *s, const struct sparse_ops *ops, struct image *file, unsigned shift, struct err *e);
void sparse_fini(struct sparse *s);

int sparse_readv(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int sparse_writev(struct image *img, const struct iovec *iov, unsigned n, uint64_t off, unsigned flags);
int sparse_flush(struct image *img);
int sparse_commit(struct image *img); /* the same for one who has the exclusive lock */
int sparse_discard(struct image *img, uint64_t off, uint64_t len);
int sparse_write_zeroes(struct image *img, uint64_t off, uint64_t len, unsigned flags);
int sparse_map(struct image *img, uint64_t off, uint64_t len, struct image_extent *x);
int sparse_direct_begin(struct image *img, uint64_t off, uint64_t len, bool write, int *fd, uint64_t *host_off);
void sparse_direct_end(struct image *img, uint64_t off, uint64_t len, bool write);

#endif
