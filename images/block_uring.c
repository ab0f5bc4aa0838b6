/*
 * Requests through io_uring: one thread owns the ring, takes what submitters put into the inbox, hands it to the kernel
 * in one call together with waiting for what has ended, and calls `done`.
 *
 * Only a read or write whose bytes lie in one place of a host file goes this way (image_ops.direct_begin); the image's
 * own calls on worker threads do all else, and also what the kernel did in part or refused. The thread sleeps in the
 * kernel; an eventfd whose read is always in the ring wakes it. `asleep` is under the block's lock, so that no push of
 * the inbox is missed and no eventfd is written while the thread is awake.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "images/block_int.h"

enum { DEPTH = 256 };

struct slot {
    struct block_req *r;
    struct slot *next; /* free list */
    struct image *img;
    struct iovec iov[BLOCK_WINDOW];
};

struct uring {
    struct io_uring ring;
    struct block *block;
    pthread_t thread;
    int wake;
    uint64_t woken;             /* the eventfd is read into this */
    bool armed;                 /* its read is in the ring */
    bool asleep, begun, failed; /* under the block's lock */
    bool closing;
    unsigned in_kernel;
    struct slot *free;
    struct slot slot[DEPTH];
};

bool uring_wants(const struct block *b, const struct block_req *r)
{
    if (!b->uring || !r->len || r->iovcnt > BLOCK_WINDOW || r->len > BLOCK_PIECE)
        return false;
    if (r->op == BLOCK_READ)
        return true;
    return r->op == BLOCK_WRITE && !(r->flags & BLOCK_FUA) && !b->writethrough && !b->detect_zeroes;
}

void uring_kick(struct uring *u)
{
    uint64_t one = 1;

    if (!u->asleep)
        return;
    u->asleep = false;
    if (write(u->wake, &one, sizeof one) < 0)
        u->asleep = true; /* cannot be: the counter is never near its end */
}

static void to_worker(struct block *b, struct block_req *r)
{
    pthread_mutex_lock(&b->lock);
    block_to_workers(b, r); /* which begin it again */
    if (__atomic_sub_fetch(&b->running, 1, __ATOMIC_SEQ_CST) == 0)
        pthread_cond_broadcast(&b->quiet);
    pthread_mutex_unlock(&b->lock);
}

/* Put r into the ring. It has begun. */
static void start(struct uring *u, struct block_req *r)
{
    struct block *b = u->block;
    struct image *img = b->img;
    bool write = r->op == BLOCK_WRITE;
    struct slot *s = u->free;
    struct io_uring_sqe *sqe;
    uint64_t at, bytes;
    int fd, ret = block_check(b, r);
    unsigned n;

    if (ret) {
        block_finish(b, r, ret);
        return;
    }
    if (!s || !img->ops->direct_begin || img->ops->direct_begin(img, r->offset, r->len, write, &fd, &at)) {
        to_worker(b, r);
        return;
    }
    n = iov_slice(s->iov, BLOCK_WINDOW, r->iov, r->iovcnt, 0, r->len, &bytes);
    sqe = bytes == r->len ? io_uring_get_sqe(&u->ring) : NULL;
    if (!sqe) {
        img->ops->direct_end(img, r->offset, r->len, write);
        to_worker(b, r);
        return;
    }
    u->free = s->next;
    s->r = r;
    s->img = img;
    if (n == 1 && write)
        io_uring_prep_write(sqe, fd, s->iov->iov_base, (unsigned)bytes, at);
    else if (n == 1)
        io_uring_prep_read(sqe, fd, s->iov->iov_base, (unsigned)bytes, at);
    else if (write)
        io_uring_prep_writev(sqe, fd, s->iov, n, at);
    else
        io_uring_prep_readv(sqe, fd, s->iov, n, at);
    io_uring_sqe_set_data(sqe, s);
    u->in_kernel++;
}

static void ended(struct uring *u, struct slot *s, int res)
{
    struct block *b = u->block;
    struct block_req *r = s->r;
    bool again = res == -EAGAIN || res == -EINVAL || res == -EOPNOTSUPP || res == -EINTR || res == -ENOMEM;

    s->img->ops->direct_end(s->img, r->offset, r->len, r->op == BLOCK_WRITE);
    s->next = u->free;
    u->free = s;
    u->in_kernel--;
    if (again || (res >= 0 && (uint64_t)res != r->len)) {
        to_worker(b, r);
        return;
    }
    block_count(&b->stat.by_uring, 1);
    block_finish(b, r, res < 0 ? res : 0);
}

/* The inbox, begun; or asleep. */
static struct block_req *take_inbox(struct uring *u)
{
    struct block *b = u->block;
    struct block_req *first = NULL;

    pthread_mutex_lock(&b->lock);
    if (!b->holds) {
        first = b->inbox.head;
        b->inbox = (struct req_list){NULL, &b->inbox.head};
        for (struct block_req *r = first; r; r = r->next)
            __atomic_fetch_add(&b->running, 1, __ATOMIC_SEQ_CST);
    }
    u->asleep = !first;
    pthread_mutex_unlock(&b->lock);
    return first;
}

static void arm(struct uring *u)
{
    struct io_uring_sqe *sqe = u->armed ? NULL : io_uring_get_sqe(&u->ring);

    if (!sqe)
        return;
    io_uring_prep_read(sqe, u->wake, &u->woken, sizeof u->woken, 0);
    io_uring_sqe_set_data(sqe, NULL);
    u->armed = true;
}

static void reap(struct uring *u)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct slot *s = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        io_uring_cqe_seen(&u->ring, cqe);
        if (s)
            ended(u, s, res);
        else
            u->armed = false;
    }
}

static bool ring_init(struct io_uring *ring)
{
    static const unsigned flags[] = {
#ifdef IORING_SETUP_DEFER_TASKRUN
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
        0,
    };

    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
        if (io_uring_queue_init(DEPTH * 2, ring, flags[i]) == 0)
            return true;
    return false;
}

/* The ring belongs to this thread, which makes it: DEFER_TASKRUN wants that. */
static void *uring_thread(void *arg)
{
    struct uring *u = arg;
    bool ok = ring_init(&u->ring), closing;

    pthread_mutex_lock(&u->block->lock);
    u->begun = true; /* uring_new() waits for this news */
    u->failed = !ok;
    pthread_cond_broadcast(&u->block->quiet);
    pthread_mutex_unlock(&u->block->lock);
    if (!ok)
        return NULL;
    do {
        struct block_req *r, *next;

        while ((r = take_inbox(u)))
            for (; r; r = next) {
                next = r->next;
                start(u, r);
            }
        arm(u);
        if (io_uring_submit_and_wait(&u->ring, 1) < 0 && errno != EINTR)
            usleep(1000); /* never seen: out of memory in the kernel */
        reap(u);
        closing = __atomic_load_n(&u->closing, __ATOMIC_ACQUIRE);
    } while (!closing || u->in_kernel);
    io_uring_queue_exit(&u->ring);
    return NULL;
}

struct uring *uring_new(struct block *b)
{
    struct uring *u = calloc(1, sizeof *u);
    bool ok;

    if (!u)
        return NULL;
    u->block = b;
    u->wake = eventfd(0, EFD_CLOEXEC);
    for (unsigned i = 0; i < DEPTH; i++) {
        u->slot[i].next = u->free;
        u->free = &u->slot[i];
    }
    if (u->wake < 0 || !block_start_thread(&u->thread, uring_thread, u)) {
        if (u->wake >= 0)
            close(u->wake);
        free(u);
        return NULL;
    }
    pthread_mutex_lock(&b->lock);
    while (!u->begun)
        pthread_cond_wait(&b->quiet, &b->lock);
    ok = !u->failed;
    pthread_mutex_unlock(&b->lock);
    if (ok)
        return u;
    pthread_join(u->thread, NULL);
    close(u->wake);
    free(u);
    return NULL;
}

void uring_free(struct uring *u)
{
    uint64_t one = 1;

    if (!u)
        return;
    __atomic_store_n(&u->closing, true, __ATOMIC_RELEASE);
    if (write(u->wake, &one, sizeof one) == sizeof one)
        pthread_join(u->thread, NULL);
    close(u->wake);
    free(u);
}
