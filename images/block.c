/*
 * Asynchronous requests over a synchronous image: one queue, and worker threads that are started as load asks for them.
 *
 * A worker takes the oldest request, does it in pieces (so that a cancelled one ends soon, and one of a terabyte does
 * not hold a reset up), and calls `done`. A request is in flight from its submission until its `done` has returned.
 */
#include "images/block.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "images/image.h"

enum {
    WORKERS_DEFAULT = 8,
    WORKERS_MAX = 64,
    WORKER_STACK = 256 << 10,
    WINDOW = 64,             /* scatter-gather entries a piece has at most */
    PIECE = 2 << 20,         /* bytes of data moved between looks at `cancelled` */
    PIECE_CLEAR = 256 << 20, /* the same for discard and write-zeroes, which are cheap by the byte */
    TRY_MAX = 64 << 10,      /* larger copies are better done beside the vCPU */
};

struct block {
    struct image *img;
    bool writethrough, ignore_discard, ignore_flush;
    bool read_only;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work, quiet;
    struct block_req *head, **tail;
    unsigned queued, in_flight, idle, threads, max_threads;
    bool closing;
    pthread_t thread[WORKERS_MAX];
    struct block_info stat; /* the counters only; atomic access */
};

static void count(uint64_t *n, uint64_t by) { __atomic_fetch_add(n, by, __ATOMIC_RELAXED); }

static int check(const struct block *b, const struct block_req *r)
{
    uint64_t size = b->img->size;
    bool writes = r->op != BLOCK_READ && r->op != BLOCK_FLUSH;

    if (writes && b->read_only)
        return -EROFS;
    if (r->op == BLOCK_FLUSH || (r->offset <= size && r->len <= size - r->offset))
        return 0;
    return writes ? -ENOSPC : -EINVAL;
}

static int move_piece(struct block *b, struct block_req *r, uint64_t done, uint64_t *step, unsigned flags)
{
    struct image *img = b->img;
    struct iovec win[WINDOW];
    unsigned n = iov_slice(win, WINDOW, r->iov, r->iovcnt, done, r->len - done < PIECE ? r->len - done : PIECE, step);

    if (!*step)
        return -EINVAL; /* the list is shorter than len */
    if (r->op == BLOCK_READ)
        return img->ops->readv(img, win, n, r->offset + done, flags);
    return img->ops->writev(img, win, n, r->offset + done, flags);
}

static int clear_piece(struct block *b, struct block_req *r, uint64_t done, uint64_t *step)
{
    struct image *img = b->img;

    *step = r->len - done < PIECE_CLEAR ? r->len - done : PIECE_CLEAR;
    if (r->op == BLOCK_DISCARD)
        return b->ignore_discard ? 0 : img->ops->discard(img, r->offset + done, *step);
    return img->ops->write_zeroes(img, r->offset + done, *step,
                                  r->flags & BLOCK_MAY_UNMAP && !b->ignore_discard ? IMAGE_UNMAP : 0);
}

static int flush(struct block *b) { return b->ignore_flush || b->read_only ? 0 : b->img->ops->flush(b->img); }

/* flags: IMAGE_NOWAIT or 0 */
static int perform(struct block *b, struct block_req *r, unsigned flags)
{
    bool data = r->op == BLOCK_READ || r->op == BLOCK_WRITE;
    bool durable = r->op != BLOCK_READ && (r->flags & BLOCK_FUA || b->writethrough) && !b->ignore_flush;
    uint64_t step = 0;
    int ret = check(b, r);

    if (ret)
        return ret;
    if (r->op == BLOCK_FLUSH)
        return flush(b);
    if (durable && r->op == BLOCK_WRITE && r->len <= PIECE && r->iovcnt <= WINDOW) {
        flags |= IMAGE_FUA; /* one piece: cheaper than a flush of everything */
        durable = false;
    }
    for (uint64_t done = 0; !ret && done < r->len; done += step) {
        if (__atomic_load_n(&r->cancelled, __ATOMIC_RELAXED))
            return -ECANCELED;
        ret = data ? move_piece(b, r, done, &step, flags) : clear_piece(b, r, done, &step);
    }
    return !ret && durable && r->op != BLOCK_DISCARD ? flush(b) : ret;
}

static void account(struct block *b, const struct block_req *r, int result)
{
    if (result)
        count(&b->stat.errors, 1);
    if (r->op == BLOCK_READ) {
        count(&b->stat.reads, 1);
        count(&b->stat.read_bytes, r->len);
    } else if (r->op == BLOCK_FLUSH) {
        count(&b->stat.flushes, 1);
    } else if (r->op == BLOCK_WRITE) {
        count(&b->stat.writes, 1);
        count(&b->stat.write_bytes, r->len);
    }
}

bool block_try(struct block *b, struct block_req *r, int *result)
{
    int ret;

    if ((r->op != BLOCK_READ && r->op != BLOCK_WRITE) || r->len > TRY_MAX || r->iovcnt > WINDOW)
        return false;
    if (r->op == BLOCK_WRITE && (b->writethrough || r->flags & BLOCK_FUA))
        return false;
    r->cancelled = false;
    ret = perform(b, r, IMAGE_NOWAIT);
    if (ret == -EAGAIN)
        return false;
    account(b, r, ret);
    *result = ret;
    return true;
}

static struct block_req *next_request(struct block *b)
{
    struct block_req *r;

    b->idle++;
    while (!b->head && !b->closing)
        pthread_cond_wait(&b->work, &b->lock);
    b->idle--;
    r = b->head;
    if (r) {
        b->head = r->next;
        if (!b->head)
            b->tail = &b->head;
        b->queued--;
    }
    return r;
}

static void *worker(void *arg)
{
    struct block *b = arg;
    struct block_req *r;

    pthread_mutex_lock(&b->lock);
    while ((r = next_request(b))) {
        int ret;

        pthread_mutex_unlock(&b->lock);
        ret = perform(b, r, 0);
        account(b, r, ret);
        r->done(r, ret); /* r may be gone */
        pthread_mutex_lock(&b->lock);
        if (!--b->in_flight)
            pthread_cond_broadcast(&b->quiet);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* Signals are for the front end's threads. */
static bool start_worker(struct block *b)
{
    pthread_attr_t attr;
    sigset_t all, old;
    bool ok;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ok = pthread_create(&b->thread[b->threads], &attr, worker, b) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    b->threads += ok;
    return ok;
}

void block_submit(struct block *b, struct block_req *r)
{
    r->next = NULL;
    __atomic_store_n(&r->cancelled, false, __ATOMIC_RELAXED);
    pthread_mutex_lock(&b->lock);
    *b->tail = r;
    b->tail = &r->next;
    b->in_flight++;
    if (++b->queued > b->idle && b->threads < b->max_threads)
        start_worker(b); /* on failure the others (block_open started one) do the work */
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
}

bool block_cancel(struct block *b, struct block_req *r)
{
    bool found = false;

    pthread_mutex_lock(&b->lock);
    for (struct block_req **p = &b->head; *p; p = &(*p)->next)
        if (*p == r) {
            *p = r->next;
            if (b->tail == &r->next)
                b->tail = p;
            b->queued--;
            if (!--b->in_flight)
                pthread_cond_broadcast(&b->quiet);
            found = true;
            break;
        }
    if (!found)
        __atomic_store_n(&r->cancelled, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&b->lock);
    return found;
}

void block_drain(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->in_flight)
        pthread_cond_wait(&b->quiet, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

struct block *block_open(const struct block_options *o, struct err *e)
{
    struct image_options how = {.format = o->format, .read_only = o->read_only || o->snapshot};
    struct image *img = image_open(o->path, &how, e);
    struct block *b = img ? calloc(1, sizeof *b) : NULL;

    if (img && b && !img->size) {
        err_set(e, "disk image '%s' is empty", o->path);
        free(b);
        image_close(img);
        return NULL;
    }
    if (img && o->snapshot && !o->read_only)
        img = overlay_new(img, e);
    if (!img || !b) {
        if (img)
            err_set(e, "disk image '%s': out of memory", o->path);
        image_close(img);
        free(b);
        return NULL;
    }
    b->img = img;
    b->read_only = o->read_only;
    b->writethrough = o->writethrough;
    b->ignore_discard = o->ignore_discard;
    b->ignore_flush = o->ignore_flush;
    b->max_threads = o->workers ? o->workers : WORKERS_DEFAULT;
    if (b->max_threads > WORKERS_MAX)
        b->max_threads = WORKERS_MAX;
    b->tail = &b->head;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->quiet, NULL);
    if (!start_worker(b)) {
        err_set(e, "disk image '%s': cannot start a thread", o->path);
        block_close(b);
        return NULL;
    }
    return b;
}

void block_close(struct block *b)
{
    if (!b)
        return;
    block_drain(b);
    pthread_mutex_lock(&b->lock);
    b->closing = true;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
    for (unsigned i = 0; i < b->threads; i++)
        pthread_join(b->thread[i], NULL);
    flush(b);
    image_close(b->img);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->quiet);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static uint64_t counter(const uint64_t *n) { return __atomic_load_n(n, __ATOMIC_RELAXED); }

void block_get_info(const struct block *b, struct block_info *info)
{
    *info = (struct block_info){
        .size = b->img->size,
        .logical = b->img->logical,
        .optimal = b->img->optimal,
        .read_only = b->read_only,
        .discard = b->img->discard && !b->read_only && !b->ignore_discard,
        .format = b->img->ops->format,
        .path = b->img->path,
        .reads = counter(&b->stat.reads),
        .writes = counter(&b->stat.writes),
        .flushes = counter(&b->stat.flushes),
        .read_bytes = counter(&b->stat.read_bytes),
        .write_bytes = counter(&b->stat.write_bytes),
        .errors = counter(&b->stat.errors),
    };
}
