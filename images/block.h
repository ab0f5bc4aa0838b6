/*
 * A virtual disk as devices see it: asynchronous requests over a synchronous back end served by io_uring or by worker
 * threads, with limits, counters and a policy for errors.
 *
 * A request is owned by its submitter until `done` runs (on a thread of the block's, once, no locks held). Requests in
 * flight may finish in any order; a flush finishes after all writes that had finished before it was submitted are
 * stable. All functions may be called from any thread unless they say otherwise.
 */
#ifndef IMAGES_BLOCK_H
#define IMAGES_BLOCK_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/types.h"

struct block;
struct clock;
struct image;
struct image_options;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES, BLOCK_OPS };
enum { BLOCK_FUA = 1, BLOCK_MAY_UNMAP = 2 };

struct block_req {
    enum block_op op;
    unsigned flags;
    uint64_t offset,
        len;           /* bytes; inside the disk or the request fails with -EINVAL (-ENOSPC for writes past the end) */
    struct iovec *iov; /* READ, WRITE: total >= len */
    unsigned iovcnt;
    void (*done)(struct block_req *r, int result); /* 0 or a negative errno */
    void *arg;
    struct block_req *next; /* from here on the block layer's own; a list for block_submit_list() */
    uint64_t start;         /* ns */
    int error;
    bool cancelled;
};

/* Limits: what flows is metered like water in a leaking bucket. Write-zeroes count as writes, of their length. */
enum block_limit { LIMIT_IOPS, LIMIT_IOPS_READ, LIMIT_IOPS_WRITE, LIMIT_BPS, LIMIT_BPS_READ, LIMIT_BPS_WRITE, LIMITS };
struct block_rate {
    uint64_t avg;         /* operations or bytes a second; 0: no limit */
    uint64_t max;         /* a burst may reach this rate, 0: a tenth of a second's worth of avg at once */
    unsigned max_seconds; /* and last so long; 0 is 1 */
};
struct block_limits {
    struct block_rate rate[LIMITS];
    uint64_t iops_size; /* a request of more bytes counts as several; 0: as one */
};

/* rerror, werror. STOP keeps the request: the machine stops (see block_on_error) and block_resume() tries again. */
enum block_policy { POLICY_REPORT, POLICY_IGNORE, POLICY_STOP, POLICY_ENOSPC /* stop if full, else report */ };

enum block_aio { AIO_AUTO, AIO_THREADS, AIO_URING /* threads where the kernel refuses */ };
enum block_zeroes { ZEROES_OFF, ZEROES_ON, ZEROES_UNMAP }; /* detect-zeroes: a write of zeroes becomes write-zeroes */

struct block_options {
    const char *path;   /* required unless `opened`; as image_open_spec() takes it */
    const char *format; /* "raw"; NULL is raw too, but a file that looks like another format is refused */
    bool read_only, snapshot /* throw-away: writes go to an unlinked overlay */, writethrough, ignore_discard;
    bool ignore_flush; /* cache=unsafe */
    bool direct;       /* cache=none, directsync */
    unsigned workers;  /* at most so many threads; 0 = default */
    enum block_aio aio;
    enum block_zeroes detect_zeroes;
    enum block_policy rerror, werror;
    const struct block_limits *limits; /* NULL: none */
    const struct image_options *image; /* partition, allowed folders, ...: the rest of how to open path; or NULL */
    struct image *opened;              /* instead of path: owned by the block from then on, also on failure */
    struct clock *clock;               /* for limits; NULL: the host's, which does not stop with the machine */
};

struct block_info {
    uint64_t size;    /* bytes, a multiple of `logical` */
    uint32_t logical; /* block size, 512 or 4096 */
    uint32_t optimal; /* I/O size hint, 0 = none */
    bool read_only, discard;
    const char *format, *path; /* live as long as the block (block_set_image(): as that image) */
    uint64_t reads, writes, flushes, read_bytes, write_bytes, errors;
};

/* Latency: bucket n counts requests that took less than 2^n us (and not less than 2^(n-1)); the last, all longer ones. */
enum { BLOCK_BUCKETS = 26 };
struct block_op_stats {
    uint64_t count, bytes, errors, total_ns, max_ns, bucket[BLOCK_BUCKETS];
};
struct block_stats {
    struct block_op_stats op[BLOCK_OPS];
    uint64_t inline_done;     /* by block_try() */
    uint64_t by_uring;        /* without a worker */
    uint64_t throttled;       /* had to wait for a limit */
    uint64_t zeroes_detected; /* writes that became write-zeroes */
    unsigned in_flight, kept; /* now: with the block layer; kept by POLICY_STOP */
    bool uring;               /* io_uring is in use */
    enum block_policy rerror, werror;
    bool writethrough, direct, ignore_flush, ignore_discard, snapshot;
    enum block_zeroes detect_zeroes;
};

struct block *block_open(const struct block_options *o, struct err *e);
void block_close(struct block *b); /* waits for requests in flight, flushes; no submit may run beside it */
/* Sets direct, writethrough, ignore_flush by QEMU's name: writeback none writethrough directsync unsafe. */
bool block_cache_mode(struct block_options *o, const char *name);

void block_submit(struct block *b, struct block_req *r);
void block_submit_list(struct block *b, struct block_req *first); /* several, by `next`: cheaper than one by one */
/*
 * Do r here and now when it is small and cannot block (its data is in the host's page cache). true: done, with the
 * result in *result and `done` not called. false: nothing happened that counts; submit it.
 */
bool block_try(struct block *b, struct block_req *r, int *result);
/*
 * r was submitted. true: it had not begun (or was kept by POLICY_STOP), and is its owner's again with `done` not called.
 * false: it ends soon, with -ECANCELED or what it came to, and its `done` is (or was) called as ever.
 */
bool block_cancel(struct block *b, struct block_req *r);
/* Wait until nothing is in flight and every `done` has returned; limits do not hold back what waits. Kept ones stay. */
void block_drain(struct block *b);
void block_get_info(const struct block *b, struct block_info *info);
void block_get_stats(struct block *b, struct block_stats *s);

void block_set_limits(struct block *b, const struct block_limits *l); /* NULL: none */
void block_get_limits(struct block *b, struct block_limits *l);

/* A request failed, and what became of it. On a thread of the block's, no locks held. Set before the first request. */
struct block_error {
    enum block_op op;
    uint64_t offset, len;
    int error;                /* negative errno */
    enum block_policy action; /* POLICY_REPORT, _IGNORE or _STOP: stop the machine */
};
void block_on_error(struct block *b, void (*fn)(void *arg, const struct block_error *err), void *arg);
void block_set_policy(struct block *b, enum block_policy rerror, enum block_policy werror);
void block_resume(struct block *b); /* try the kept requests again */

/* The size has changed: the device tells the guest. On the thread of block_resize(), no locks held. */
void block_on_resize(struct block *b, void (*fn)(void *arg, uint64_t size), void *arg);
bool block_resize(struct block *b, uint64_t size, struct err *e); /* never below the present size unless shrink */
bool block_shrink(struct block *b, uint64_t size, struct err *e);

/*
 * Between hold and release (they nest) no request begins, and hold returns when none is under way: the image may be
 * looked at, flushed, snapshotted, or another put in its place (a new overlay over it), as a set over several disks.
 * Requests submitted meanwhile wait. Not from `done`.
 */
void block_hold(struct block *b);
void block_release(struct block *b);
struct image *block_image(struct block *b); /* the top image; use it between hold and release */
/* Put img in place of the top image, which is the caller's from then on (often below img). Only while held. */
struct image *block_set_image(struct block *b, struct image *img);

/* Write what a -snapshot run changed into the image it runs on, and go on. The guest waits meanwhile. */
bool block_commit_overlay(struct block *b, struct err *e);

#endif
