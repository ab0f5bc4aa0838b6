/*
 * A virtual disk as devices see it: asynchronous requests over a synchronous back end served by worker threads.
 *
 * A request is owned by its submitter until `done` runs (on a worker thread, once, no locks held). Requests in flight
 * may finish in any order; a flush finishes after all writes that had finished before it was submitted are stable.
 * All functions may be called from any thread.
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
    uint64_t offset,
        len;           /* bytes; inside the disk or the request fails with -EINVAL (-ENOSPC for writes past the end) */
    struct iovec *iov; /* READ, WRITE: total == len */
    unsigned iovcnt;
    void (*done)(struct block_req *r, int result); /* 0 or a negative errno */
    void *arg;
    struct block_req *next; /* the queue's own, as is the next */
    bool cancelled;
};

struct block_info {
    uint64_t size;    /* bytes, a multiple of `logical` */
    uint32_t logical; /* block size, 512 or 4096 */
    uint32_t optimal; /* I/O size hint, 0 = none */
    bool read_only, discard;
    const char *format, *path; /* live as long as the block */
    uint64_t reads, writes, flushes, read_bytes, write_bytes, errors;
};

struct block_options {
    const char *path;   /* required */
    const char *format; /* "raw"; NULL is raw too, but a file that looks like another format is refused */
    bool read_only, snapshot /* throw-away: writes go to an unlinked overlay */, writethrough, ignore_discard;
    bool ignore_flush; /* cache=unsafe */
    unsigned workers;  /* at most so many threads; 0 = default */
};

struct block *block_open(const struct block_options *o, struct err *e);
void block_close(struct block *b); /* waits for requests in flight, flushes; no submit may run beside it */
void block_submit(struct block *b, struct block_req *r);
/*
 * Do r here and now when it is small and cannot block (its data is in the host's page cache). true: done, with the
 * result in *result and `done` not called. false: nothing happened that counts; submit it.
 */
bool block_try(struct block *b, struct block_req *r, int *result);
/*
 * r was submitted. true: it had not begun, and is its owner's again with nothing done and `done` not called.
 * false: it ends soon, with -ECANCELED or what it came to, and its `done` is (or was) called as ever.
 */
bool block_cancel(struct block *b, struct block_req *r);
void block_drain(struct block *b); /* wait until nothing is in flight and every `done` has returned */
void block_get_info(const struct block *b, struct block_info *info);

#endif
