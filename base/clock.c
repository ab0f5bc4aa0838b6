/*
 * Virtual time and timers.
 *
 * Armed timers sit in a binary heap ordered by `when`, ties by arming order not needed. A callback runs without the
 * lock; `running` names the timer it belongs to, so that clock_drop_timer can wait for it.
 */
#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct clock {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* a callback ended */
    struct timer **heap;
    unsigned count, room;
    const struct timer *running;
    pthread_t runner;
    bool fake, stopped;
    uint64_t fake_now;
    _Atomic uint64_t offset;   /* real: host time minus virtual time while running */
    _Atomic uint64_t stood_at; /* virtual time while stopped, CLOCK_NEVER while running */
    uint64_t wall;
    void (*rearm)(void *arg);
    void *rearm_arg;
};

static uint64_t host_now(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct clock *clock_new(bool fake)
{
    struct clock *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->idle, NULL);
    c->fake = fake;
    c->stood_at = CLOCK_NEVER;
    if (!fake) {
        c->offset = host_now(CLOCK_MONOTONIC);
        c->wall = host_now(CLOCK_REALTIME);
    }
    return c;
}

struct clock *clock_new_real(void) { return clock_new(false); }
struct clock *clock_new_fake(void) { return clock_new(true); }

void clock_free(struct clock *c)
{
    if (!c)
        return;
    free(c->heap);
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t clock_now(const struct clock *c)
{
    uint64_t stood;

    if (c->fake)
        return __atomic_load_n(&c->fake_now, __ATOMIC_ACQUIRE);
    stood = c->stood_at;
    return stood != CLOCK_NEVER ? stood : host_now(CLOCK_MONOTONIC) - c->offset;
}

void clock_stop(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->stopped)
        c->stood_at = clock_now(c);
    c->stopped = true;
    pthread_mutex_unlock(&c->lock);
}

static void rearm(struct clock *c)
{
    if (c->rearm)
        c->rearm(c->rearm_arg);
}

void clock_start(struct clock *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->stopped && !c->fake)
        c->offset = host_now(CLOCK_MONOTONIC) - c->stood_at;
    c->stopped = false;
    c->stood_at = CLOCK_NEVER;
    pthread_mutex_unlock(&c->lock);
    rearm(c);
}

bool clock_stopped(const struct clock *c) { return c->stood_at != CLOCK_NEVER; }

uint64_t clock_wall_offset(const struct clock *c) { return c->wall; }
void clock_set_wall(struct clock *c, uint64_t ns) { c->wall = ns - clock_now(c); }

void timer_init(struct timer *t, struct clock *c, void (*expired)(void *), void *arg)
{
    *t = (struct timer){.clock = c, .expired = expired, .arg = arg, .when = CLOCK_NEVER};
}

static void heap_put(struct clock *c, unsigned i, struct timer *t)
{
    c->heap[i] = t;
    t->slot = i + 1;
}

static void heap_up(struct clock *c, unsigned i, struct timer *t)
{
    while (i && c->heap[(i - 1) / 2]->when > t->when) {
        heap_put(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(c, i, t);
}

static void heap_down(struct clock *c, unsigned i, struct timer *t)
{
    for (;;) {
        unsigned k = 2 * i + 1;

        if (k + 1 < c->count && c->heap[k + 1]->when < c->heap[k]->when)
            k++;
        if (k >= c->count || c->heap[k]->when >= t->when)
            break;
        heap_put(c, i, c->heap[k]);
        i = k;
    }
    heap_put(c, i, t);
}

static void heap_remove(struct clock *c, struct timer *t)
{
    unsigned i = t->slot - 1;
    struct timer *last;

    if (!t->slot)
        return;
    t->slot = 0;
    t->when = CLOCK_NEVER;
    last = c->heap[--c->count];
    if (last == t)
        return;
    if (i && c->heap[(i - 1) / 2]->when > last->when)
        heap_up(c, i, last);
    else
        heap_down(c, i, last);
}

static bool heap_insert(struct clock *c, struct timer *t)
{
    if (c->count == c->room) {
        unsigned room = c->room ? 2 * c->room : 64;
        struct timer **heap = realloc(c->heap, room * sizeof *heap);

        if (!heap)
            return false;
        c->heap = heap;
        c->room = room;
    }
    heap_up(c, c->count++, t);
    return true;
}

void timer_arm(struct timer *t, uint64_t when)
{
    struct clock *c = t->clock;
    bool first;

    pthread_mutex_lock(&c->lock);
    heap_remove(c, t);
    t->when = when;
    if (when == CLOCK_NEVER || !heap_insert(c, t))
        t->when = CLOCK_NEVER;
    first = c->count && c->heap[0] == t;
    pthread_mutex_unlock(&c->lock);
    if (first)
        rearm(c);
}

void timer_cancel(struct timer *t)
{
    pthread_mutex_lock(&t->clock->lock);
    heap_remove(t->clock, t);
    pthread_mutex_unlock(&t->clock->lock);
}

void clock_drop_timer(struct timer *t)
{
    struct clock *c = t->clock;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    heap_remove(c, t);
    while (c->running == t && !pthread_equal(c->runner, pthread_self()))
        pthread_cond_wait(&c->idle, &c->lock);
    heap_remove(c, t);
    pthread_mutex_unlock(&c->lock);
}

uint64_t clock_next(const struct clock *c)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&c->lock;
    uint64_t when;

    pthread_mutex_lock(lock);
    when = c->count && !c->stopped ? c->heap[0]->when : CLOCK_NEVER;
    pthread_mutex_unlock(lock);
    return when;
}

/* Run the first timer due by `now`; false when there is none. */
static bool run_one(struct clock *c, uint64_t now)
{
    struct timer *t;

    pthread_mutex_lock(&c->lock);
    if (c->stopped || !c->count || c->heap[0]->when > now) {
        pthread_mutex_unlock(&c->lock);
        return false;
    }
    t = c->heap[0];
    heap_remove(c, t);
    c->running = t;
    c->runner = pthread_self();
    pthread_mutex_unlock(&c->lock);

    t->expired(t->arg);

    pthread_mutex_lock(&c->lock);
    c->running = NULL;
    pthread_cond_broadcast(&c->idle);
    pthread_mutex_unlock(&c->lock);
    return true;
}

void clock_run_timers(struct clock *c)
{
    uint64_t now = clock_now(c); /* fixed: a timer that re-arms itself in the past must not hold the thread */

    for (unsigned n = 0; n < 4096 && run_one(c, now); n++)
        ;
}

void clock_on_rearm(struct clock *c, void (*fn)(void *arg), void *arg)
{
    c->rearm_arg = arg;
    c->rearm = fn;
}

void clock_advance(struct clock *c, uint64_t ns)
{
    uint64_t end = c->fake_now + ns;

    for (;;) {
        uint64_t when = clock_next(c);

        if (when > end)
            break;
        if (when > c->fake_now)
            __atomic_store_n(&c->fake_now, when, __ATOMIC_RELEASE);
        run_one(c, c->fake_now);
    }
    __atomic_store_n(&c->fake_now, end, __ATOMIC_RELEASE);
}
