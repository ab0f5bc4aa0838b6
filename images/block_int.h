/* What the files of the block layer share: struct block and the way of a request through it. */
#ifndef IMAGES_BLOCK_INT_H
#define IMAGES_BLOCK_INT_H

#include <pthread.h>

#include "base/clock.h"
#include "images/block.h"
#include "images/image.h"
#include "images/throttle.h"

enum {
    BLOCK_WORKERS_DEFAULT = 8,
    BLOCK_WORKERS_MAX = 64,
    BLOCK_WINDOW = 64,     /* scatter-gather entries a piece has at most */
    BLOCK_PIECE = 2 << 20, /* bytes of data moved between looks at `cancelled` */
};

struct req_list {
    struct block_req *head, **tail;
};

struct uring;

struct block {
    struct image *img;
    char *path, *format;      /* how it was opened, to open the base of a -snapshot run for writing */
    struct image_options how; /* the same */
    bool writethrough, ignore_discard, ignore_flush, read_only, snapshot, direct;
    enum block_zeroes detect_zeroes;
    enum block_policy rerror, werror; /* atomic access */
    void (*on_error)(void *arg, const struct block_error *err);
    void (*on_resize)(void *arg, uint64_t size);
    void *on_error_arg, *on_resize_arg;
    struct clock *clock;
    struct timer timer; /* of clock: the next throttled request is due */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work, quiet;
    struct req_list ready;                /* for workers */
    struct req_list inbox;                /* for io_uring's thread */
    struct req_list throttled[THROTTLES]; /* wait for a limit */
    struct req_list kept;                 /* by POLICY_STOP */
    unsigned queued, in_flight, idle, threads, max_threads, draining, n_kept;
    unsigned running; /* begun and not ended; atomic access as well */
    unsigned holds;   /* atomic access as well */
    bool closing, timekeeper;
    struct throttle throttle;
    bool limited; /* atomic access as well */
    struct uring *uring;
    pthread_t thread[BLOCK_WORKERS_MAX];
    struct block_stats stat; /* the counters only; atomic access, no lock */
};

static inline void block_count(uint64_t *n, uint64_t by) { __atomic_fetch_add(n, by, __ATOMIC_RELAXED); }

uint64_t block_clock(const struct block *b);                           /* ns: for latencies */
bool block_start_thread(pthread_t *t, void *(*fn)(void *), void *arg); /* all signals blocked, small stack */

void req_push(struct req_list *l, struct block_req *r);
struct block_req *req_pop(struct req_list *l);
bool req_remove(struct req_list *l, struct block_req *r);

bool block_start(struct block *b, const struct block_options *o, struct err *e); /* lists and threads; img is set */
/* block.c, with the lock held: r waits for a worker. */
void block_to_workers(struct block *b, struct block_req *r);
/* r, which has begun, ends: policy, counters, done. No locks held. */
void block_finish(struct block *b, struct block_req *r, int result);
void block_account(struct block *b, const struct block_req *r, int result);

/* block_exec.c: check r; do all of it here. flags: IMAGE_NOWAIT or 0 */
int block_check(const struct block *b, const struct block_req *r);
int block_perform(struct block *b, struct block_req *r, unsigned flags);
int block_flush_now(struct block *b);

/* block_uring.c. new: NULL where the kernel refuses. wants: may r go this way? kick: the inbox has more; lock held. */
struct uring *uring_new(struct block *b);
void uring_free(struct uring *u);
bool uring_wants(const struct block *b, const struct block_req *r);
void uring_kick(struct uring *u);

#endif
