/*
 * The way of a request: submitted, it waits in one list at a time, under the block's lock: `throttled` until the limits
 * let it go, then `inbox` (io_uring's thread) or `ready` (workers, started as load asks for them). Whoever takes it out
 * of there begins it; block_finish() ends it, or puts it into `kept` when the policy for its error is to stop.
 *
 * In flight: submitted, `done` has not returned, and not kept. Running: begun and not ended; block_hold() waits for
 * those, and nothing begins while somebody holds. block_try() begins and ends without the lock, by the atomic counters.
 */
#include "images/block_int.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WORKER_STACK = 256 << 10,
    TRY_MAX = 64 << 10, /* larger copies are better done beside the vCPU */
};

void req_push(struct req_list *l, struct block_req *r)
{
    r->next = NULL;
    *l->tail = r;
    l->tail = &r->next;
}

struct block_req *req_pop(struct req_list *l)
{
    struct block_req *r = l->head;

    if (r && !(l->head = r->next))
        l->tail = &l->head;
    return r;
}

bool req_remove(struct req_list *l, struct block_req *r)
{
    for (struct block_req **p = &l->head; *p; p = &(*p)->next)
        if (*p == r) {
            *p = r->next;
            if (l->tail == &r->next)
                l->tail = p;
            return true;
        }
    return false;
}

uint64_t block_clock(const struct block *b)
{
    struct timespec t;

    (void)b;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static uint64_t limit_clock(const struct block *b) { return b->clock ? clock_now(b->clock) : block_clock(b); }

/* Signals are for the front end's threads. */
bool block_start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    bool ok;

    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK > PTHREAD_STACK_MIN ? WORKER_STACK : PTHREAD_STACK_MIN);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ok = pthread_create(t, &attr, fn, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

/* --- beginning and ending ---------------------------------------------------------------------------------------- */

/* Without the lock: may a request begin now? Then it has. */
static bool begin(struct block *b)
{
    __atomic_fetch_add(&b->running, 1, __ATOMIC_SEQ_CST);
    return !__atomic_load_n(&b->holds, __ATOMIC_SEQ_CST);
}

/* The last one to end tells those who hold. */
static void end(struct block *b)
{
    if (__atomic_fetch_sub(&b->running, 1, __ATOMIC_SEQ_CST) != 1 || !__atomic_load_n(&b->holds, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->quiet);
    pthread_mutex_unlock(&b->lock);
}

/* With the lock held. */
static void left_flight(struct block *b)
{
    if (!--b->in_flight)
        pthread_cond_broadcast(&b->quiet);
}

void block_account(struct block *b, const struct block_req *r, int result)
{
    struct block_op_stats *s = &b->stat.op[r->op];
    uint64_t ns = block_clock(b) - r->start, max = __atomic_load_n(&s->max_ns, __ATOMIC_RELAXED), us = ns / 1000;
    unsigned bucket = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

    block_count(&s->count, 1);
    if (result)
        block_count(&s->errors, 1);
    else if (r->op != BLOCK_FLUSH)
        block_count(&s->bytes, r->len);
    block_count(&s->total_ns, ns);
    block_count(&s->bucket[bucket < BLOCK_BUCKETS ? bucket : BLOCK_BUCKETS - 1], 1);
    while (ns > max && !__atomic_compare_exchange_n(&s->max_ns, &max, ns, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

static enum block_policy policy_for(const struct block *b, const struct block_req *r, int error)
{
    enum block_policy p = __atomic_load_n(r->op == BLOCK_READ ? &b->rerror : &b->werror, __ATOMIC_RELAXED);

    if (p == POLICY_ENOSPC)
        return error == -ENOSPC ? POLICY_STOP : POLICY_REPORT;
    return p;
}

/* An error of the host. true: r is kept, and may be gone when this returns. */
static bool handle_error(struct block *b, struct block_req *r, int *result)
{
    struct block_error err = {r->op, r->offset, r->len, *result, policy_for(b, r, *result)};

    if (err.action == POLICY_IGNORE)
        *result = 0;
    if (err.action == POLICY_STOP) {
        pthread_mutex_lock(&b->lock);
        r->error = *result;
        req_push(&b->kept, r);
        b->n_kept++;
        pthread_mutex_unlock(&b->lock);
    }
    if (b->on_error)
        b->on_error(b->on_error_arg, &err);
    return err.action == POLICY_STOP;
}

void block_finish(struct block *b, struct block_req *r, int result)
{
    bool ours = result && result != -ECANCELED && !block_check(b, r); /* not the guest's own mistake */

    block_account(b, r, result);
    if (!ours || !handle_error(b, r, &result))
        r->done(r, result); /* r may be gone */
    end(b);
    pthread_mutex_lock(&b->lock);
    left_flight(b);
    pthread_mutex_unlock(&b->lock);
}

/* --- lists: all with the lock held ------------------------------------------------------------------------------- */

static void *worker(void *arg);

void block_to_workers(struct block *b, struct block_req *r)
{
    req_push(&b->ready, r);
    if (++b->queued > b->idle && b->threads < b->max_threads && block_start_thread(&b->thread[b->threads], worker, b))
        b->threads++; /* on failure the others (block_open started one) do the work */
    pthread_cond_signal(&b->work);
}

/* The limits let r go. */
static void dispatch(struct block *b, struct block_req *r)
{
    if (!uring_wants(b, r)) {
        block_to_workers(b, r);
        return;
    }
    req_push(&b->inbox, r);
    uring_kick(b->uring);
}

/* Let go all throttled requests that are due; ns until the next one is, CLOCK_NEVER: there is none. */
static uint64_t release_due(struct block *b)
{
    uint64_t now = limit_clock(b), next = CLOCK_NEVER;

    for (unsigned i = 0; i < THROTTLES; i++)
        while (b->throttled[i].head) {
            uint64_t wait = b->draining || !b->limited ? 0 : throttle_wait(&b->throttle, b->throttled[i].head, now);

            if (wait) {
                next = wait < next ? wait : next;
                break;
            }
            throttle_take(&b->throttle, b->throttled[i].head);
            dispatch(b, req_pop(&b->throttled[i]));
        }
    return next;
}

/* Somebody must wake up when the next one is due: a timer of the clock, else a worker that has nothing to do. */
static void throttled_changed(struct block *b)
{
    uint64_t next;

    if (!b->clock) {
        release_due(b);
        pthread_cond_broadcast(&b->work);
        return;
    }
    next = release_due(b);
    if (next != CLOCK_NEVER)
        timer_arm(&b->timer, clock_now(b->clock) + next);
}

static void throttle_expired(void *arg)
{
    struct block *b = arg;

    pthread_mutex_lock(&b->lock);
    throttled_changed(b);
    pthread_mutex_unlock(&b->lock);
}

static void enter(struct block *b, struct block_req *r)
{
    b->in_flight++;
    if (b->limited && !b->draining && throttle_counts(r)) {
        struct req_list *l = &b->throttled[r->op != BLOCK_READ];

        if (l->head || throttle_wait(&b->throttle, r, limit_clock(b))) {
            bool first = !l->head;

            block_count(&b->stat.throttled, 1);
            req_push(l, r);
            if (first)
                throttled_changed(b);
            return;
        }
        throttle_take(&b->throttle, r);
    }
    dispatch(b, r);
}

/* --- workers ----------------------------------------------------------------------------------------------------- */

/* Sleep until there may be work; one of the idle workers keeps the time for the limits. */
static void wait_for_work(struct block *b)
{
    uint64_t next = CLOCK_NEVER, at;
    struct timespec t;

    if (!b->clock && !b->timekeeper && (b->throttled[0].head || b->throttled[1].head))
        next = release_due(b);
    if (b->ready.head && !b->holds)
        return;
    if (next == CLOCK_NEVER) {
        pthread_cond_wait(&b->work, &b->lock);
        return;
    }
    at = block_clock(b) + next;
    t = (struct timespec){(time_t)(at / NS_PER_SEC), (long)(at % NS_PER_SEC)};
    b->timekeeper = true;
    pthread_cond_timedwait(&b->work, &b->lock, &t);
    b->timekeeper = false;
}

static struct block_req *next_request(struct block *b)
{
    if (!b->clock && (b->throttled[0].head || b->throttled[1].head))
        release_due(b); /* workers that are never idle keep no time */
    b->idle++;
    while ((!b->ready.head || b->holds) && !b->closing)
        wait_for_work(b);
    b->idle--;
    if (!b->ready.head)
        return NULL;
    b->queued--;
    __atomic_fetch_add(&b->running, 1, __ATOMIC_SEQ_CST);
    return req_pop(&b->ready);
}

static void *worker(void *arg)
{
    struct block *b = arg;
    struct block_req *r;

    pthread_mutex_lock(&b->lock);
    while ((r = next_request(b))) {
        pthread_mutex_unlock(&b->lock);
        block_finish(b, r, block_perform(b, r, 0));
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- for devices ------------------------------------------------------------------------------------------------- */

void block_submit(struct block *b, struct block_req *r)
{
    r->next = NULL;
    block_submit_list(b, r);
}

void block_submit_list(struct block *b, struct block_req *first)
{
    uint64_t now = block_clock(b);

    pthread_mutex_lock(&b->lock);
    for (struct block_req *r = first, *next; r; r = next) {
        next = r->next;
        r->start = now;
        __atomic_store_n(&r->cancelled, false, __ATOMIC_RELAXED);
        enter(b, r);
    }
    pthread_mutex_unlock(&b->lock);
}

/* The limits are asked and charged before the try, and get it back when it comes to nothing. */
static bool try_limits(struct block *b, struct block_req *r)
{
    bool ok;

    pthread_mutex_lock(&b->lock);
    ok = !b->throttled[r->op != BLOCK_READ].head && !throttle_wait(&b->throttle, r, limit_clock(b));
    if (ok)
        throttle_take(&b->throttle, r);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

bool block_try(struct block *b, struct block_req *r, int *result)
{
    bool limited = __atomic_load_n(&b->limited, __ATOMIC_RELAXED);
    int ret = -EAGAIN;

    if ((r->op != BLOCK_READ && r->op != BLOCK_WRITE) || r->len > TRY_MAX || r->iovcnt > BLOCK_WINDOW)
        return false;
    if (r->op == BLOCK_WRITE && (b->writethrough || b->detect_zeroes || r->flags & BLOCK_FUA))
        return false;
    if (limited && !try_limits(b, r))
        return false;
    r->cancelled = false;
    r->start = block_clock(b);
    if (begin(b))
        ret = block_perform(b, r, IMAGE_NOWAIT);
    if (ret && !block_check(b, r))
        ret = -EAGAIN; /* an error of the host: the policy looks at it when it comes again */
    if (ret != -EAGAIN) {
        block_account(b, r, ret);
        block_count(&b->stat.inline_done, 1);
        *result = ret;
    }
    end(b);
    if (ret == -EAGAIN && limited) {
        pthread_mutex_lock(&b->lock);
        throttle_give_back(&b->throttle, r);
        pthread_mutex_unlock(&b->lock);
    }
    return ret != -EAGAIN;
}

bool block_cancel(struct block *b, struct block_req *r)
{
    bool found = true;

    pthread_mutex_lock(&b->lock);
    if (req_remove(&b->ready, r)) {
        b->queued--;
        left_flight(b);
    } else if (req_remove(&b->inbox, r) || req_remove(&b->throttled[0], r) || req_remove(&b->throttled[1], r)) {
        left_flight(b);
    } else if (req_remove(&b->kept, r)) {
        b->n_kept--;
    } else {
        __atomic_store_n(&r->cancelled, true, __ATOMIC_RELAXED);
        found = false;
    }
    pthread_mutex_unlock(&b->lock);
    return found;
}

void block_drain(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    b->draining++;
    throttled_changed(b);
    while (b->in_flight)
        pthread_cond_wait(&b->quiet, &b->lock);
    b->draining--;
    pthread_mutex_unlock(&b->lock);
}

void block_resume(struct block *b)
{
    struct block_req *r, *next;

    pthread_mutex_lock(&b->lock);
    r = b->kept.head;
    b->kept = (struct req_list){NULL, &b->kept.head};
    b->n_kept = 0;
    for (; r; r = next) {
        next = r->next;
        enter(b, r);
    }
    pthread_mutex_unlock(&b->lock);
}

void block_set_policy(struct block *b, enum block_policy rerror, enum block_policy werror)
{
    __atomic_store_n(&b->rerror, rerror, __ATOMIC_RELAXED);
    __atomic_store_n(&b->werror, werror, __ATOMIC_RELAXED);
}

void block_on_error(struct block *b, void (*fn)(void *arg, const struct block_error *err), void *arg)
{
    b->on_error = fn;
    b->on_error_arg = arg;
}

void block_set_limits(struct block *b, const struct block_limits *l)
{
    pthread_mutex_lock(&b->lock);
    __atomic_store_n(&b->limited, throttle_set(&b->throttle, l, limit_clock(b)), __ATOMIC_RELAXED);
    throttled_changed(b);
    pthread_mutex_unlock(&b->lock);
}

void block_get_limits(struct block *b, struct block_limits *l)
{
    pthread_mutex_lock(&b->lock);
    *l = b->throttle.limits;
    pthread_mutex_unlock(&b->lock);
}

void block_hold(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    __atomic_fetch_add(&b->holds, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&b->running, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&b->quiet, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void block_release(struct block *b)
{
    pthread_mutex_lock(&b->lock);
    if (__atomic_sub_fetch(&b->holds, 1, __ATOMIC_SEQ_CST) == 0) {
        pthread_cond_broadcast(&b->work);
        if (b->inbox.head)
            uring_kick(b->uring);
    }
    pthread_mutex_unlock(&b->lock);
}

/* --- opening and closing ----------------------------------------------------------------------------------------- */

static void init_lists(struct block *b)
{
    struct req_list *const lists[] = {&b->ready, &b->inbox, &b->kept, &b->throttled[0], &b->throttled[1]};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        lists[i]->tail = &lists[i]->head;
}

static void init_sync(struct block *b)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, &attr);
    pthread_cond_init(&b->quiet, NULL);
    pthread_condattr_destroy(&attr);
}

bool block_start(struct block *b, const struct block_options *o, struct err *e)
{
    init_lists(b);
    init_sync(b);
    b->max_threads = o->workers ? o->workers : BLOCK_WORKERS_DEFAULT;
    if (b->max_threads > BLOCK_WORKERS_MAX)
        b->max_threads = BLOCK_WORKERS_MAX;
    b->clock = o->clock;
    if (b->clock)
        timer_init(&b->timer, b->clock, throttle_expired, b);
    b->limited = throttle_set(&b->throttle, o->limits, limit_clock(b));
    if (o->aio != AIO_THREADS)
        b->uring = uring_new(b);
    if (!block_start_thread(&b->thread[0], worker, b))
        return err_set(e, "disk image '%s': cannot start a thread", b->img->path);
    b->threads = 1;
    return true;
}

/* What the policy kept ends with its error. */
static void fail_kept(struct block *b)
{
    struct block_req *r;

    while ((r = req_pop(&b->kept)))
        r->done(r, r->error);
    b->n_kept = 0;
}

void block_close(struct block *b)
{
    if (!b)
        return;
    block_drain(b);
    fail_kept(b);
    if (b->clock)
        clock_drop_timer(&b->timer);
    pthread_mutex_lock(&b->lock);
    b->closing = true;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
    for (unsigned i = 0; i < b->threads; i++)
        pthread_join(b->thread[i], NULL);
    uring_free(b->uring);
    block_flush_now(b);
    image_close(b->img);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->quiet);
    pthread_mutex_destroy(&b->lock);
    free(b->path);
    free(b->format);
    free(b);
}
