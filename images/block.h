/*
 * A virtual disk as devices see it: asynchronous requests over a synchronous back end served by worker threads.
 *
 * A request is owned by its submitter until `done` runs (on a worker thread, once, no locks held). Requests in flight
 * may finish in any order; a flush finishes after all writes that had finished before it was submitted are stable.
 */
#ifndef IMAGES_BLOCK_H
#define IMAGES_BLOCK_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/types.h"

struct block;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };
enum { BLOCK_FUA = 1, BLOCK_MAY_UNMAP = 2 };

struct block_req {
    enum block_op op;
    unsigned flags;
    uint64_t offset, len; /* bytes; inside the disk or the request fails with -EINVAL (-ENOSPC for writes past the end) */
    struct iovec *iov;    /* READ, WRITE: total == len */
    unsigned iovcnt;
    void (*done)(struct block_req *r, int result); /* 0 or a negative errno */
    void *arg;
    struct block_req *next; /* the queue's own */
};

struct block_info {
    uint64_t size;       /* bytes */
    uint32_t logical;    /* block size, 512 or 4096 */
    uint32_t optimal;    /* I/O size hint, 0 = none */
    bool read_only, discard;
    const char *format, *path;
    uint64_t reads, writes, flushes, read_bytes, write_bytes, errors;
};

/* One row per format; raw first. A back end is synchronous and re-entrant: workers call it in parallel. */
struct block_backend {
    const char *format;
    bool (*open)(struct block *b, const char *path, bool read_only, struct err *e); /* sets *priv and size */
    void (*close)(struct block *b);
    int (*readv)(struct block *b, const struct iovec *iov, unsigned n, uint64_t off); /* all, or -errno */
    int (*writev)(struct block *b, const struct iovec *iov, unsigned n, uint64_t off, bool fua);
    int (*flush)(struct block *b);
    int (*discard)(struct block *b, uint64_t off, uint64_t len);
    int (*write_zeroes)(struct block *b, uint64_t off, uint64_t len, bool may_unmap);
};

struct block_options {
    const char *path;   /* required */
    const char *format; /* "raw"; never probed */
    bool read_only, snapshot /* throw-away: writes go to an unlinked overlay */, writethrough, ignore_discard;
    unsigned workers; /* 0 = default */
};

struct block *block_open(const struct block_options *o, struct err *e);
void block_close(struct block *b); /* waits for requests in flight, flushes */
void block_submit(struct block *b, struct block_req *r);
void block_drain(struct block *b); /* wait until nothing is in flight */
void block_get_info(const struct block *b, struct block_info *info);

#endif
