/*
 * Event loop on epoll: descriptors, posted calls (eventfd) and the clock's timers (the wait's time-out).
 *
 * Watches are found by their descriptor's number. One that epoll refuses (a regular file) is also in the list `always`
 * and reported at each turn. A removed watch is freed only between turns, so a callback may remove any, its own too.
 *
 * Who posts writes to the eventfd only when the loop sleeps (waits_until), and tells the next one that it did: a busy
 * loop costs its callers no system call. The loop says that it goes to sleep before it looks for posts the last time.
 */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct watch {
    int fd;
    unsigned events;
    bool always, dead;
    loop_fd_fn *fn;
    void *arg;
    struct watch *next; /* in always or gone */
};

struct post {
    loop_fn *fn;
    void *arg;
    struct post *next;
};

struct loop {
    struct clock *clock;
    int epoll, wake;
    struct watch **by_fd;
    unsigned fds; /* room in by_fd */
    struct watch *always, *gone;
    pthread_mutex_t lock;
    struct post *posts, **posts_end;      /* under lock */
    struct loop_call *calls, **calls_end; /* under lock */
    bool stop;                            /* under lock */
    uint64_t waits_until;                 /* under lock: deadline of the wait under way; 0 when awake, or woken */
    struct loop_call *due;                /* taken from calls, not run yet; the loop's thread */
};

static void wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof one);

    (void)n; /* full counter: it is awake already */
}

/* End the section in which something was added, and see to it that the loop looks. */
static void unlock_and_wake(struct loop *l)
{
    bool asleep = l->waits_until;

    l->waits_until = 0;
    pthread_mutex_unlock(&l->lock);
    if (asleep)
        wake(l);
}

/* A timer got earlier: wake the loop only if it would sleep past it. */
static void rearmed(void *arg)
{
    struct loop *l = arg;
    uint64_t next = clock_next(l->clock);
    bool late;

    pthread_mutex_lock(&l->lock);
    late = l->waits_until > next;
    pthread_mutex_unlock(&l->lock);
    if (late)
        wake(l);
}

struct loop *loop_new(struct clock *clock, struct err *e)
{
    struct loop *l = calloc(1, sizeof *l);
    struct epoll_event ev = {.events = EPOLLIN};

    if (!l) {
        err_set(e, "out of memory");
        return NULL;
    }
    l->clock = clock;
    l->posts_end = &l->posts;
    l->calls_end = &l->calls;
    pthread_mutex_init(&l->lock, NULL);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->wake < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &ev) < 0) {
        err_set(e, "event loop: %s", strerror(errno));
        loop_free(l);
        return NULL;
    }
    if (clock)
        clock_on_rearm(clock, rearmed, l);
    return l;
}

/* Free the watches that were removed. */
static void sweep(struct loop *l)
{
    struct watch **p = &l->always;

    while (*p) {
        struct watch *w = *p;

        if (w->dead) {
            *p = w->next;
            w->next = l->gone;
            l->gone = w;
        } else {
            p = &w->next;
        }
    }
    while (l->gone) {
        struct watch *w = l->gone;

        l->gone = w->next;
        free(w);
    }
}

/* What was watched under this number is not any more. */
static void forget(struct loop *l, int fd)
{
    struct watch *w = l->by_fd[fd];

    l->by_fd[fd] = NULL;
    if (!w)
        return;
    w->dead = true;
    if (!w->always) { /* the others are in a list already */
        w->next = l->gone;
        l->gone = w;
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (l->clock)
        clock_on_rearm(l->clock, NULL, NULL);
    for (unsigned i = 0; i < l->fds; i++)
        forget(l, (int)i);
    sweep(l);
    free(l->by_fd);
    while (l->posts) {
        struct post *p = l->posts;

        l->posts = p->next;
        free(p);
    }
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct watch *watch_find(struct loop *l, int fd)
{
    return fd >= 0 && (unsigned)fd < l->fds ? l->by_fd[fd] : NULL;
}

static bool make_room(struct loop *l, int fd)
{
    unsigned fds = l->fds ? l->fds : 64;
    struct watch **by_fd;

    if (fd >= 0 && (unsigned)fd < l->fds)
        return true;
    while (fds <= (unsigned)fd)
        fds *= 2;
    by_fd = realloc(l->by_fd, fds * sizeof(struct watch *));
    if (!by_fd)
        return false;
    memset(by_fd + l->fds, 0, (fds - l->fds) * sizeof(struct watch *));
    l->by_fd = by_fd;
    l->fds = fds;
    return true;
}

static uint32_t to_epoll(unsigned events)
{
    return (events & LOOP_IN ? (uint32_t)EPOLLIN : 0) | (events & LOOP_OUT ? (uint32_t)EPOLLOUT : 0) |
           (events & LOOP_EDGE ? (uint32_t)EPOLLET : 0);
}

bool loop_add(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};

    if (!w || fd < 0 || !make_room(l, fd)) {
        free(w);
        return err_set(e, fd < 0 ? "cannot watch descriptor %d" : "out of memory", fd);
    }
    *w = (struct watch){.fd = fd, .events = events, .fn = fn, .arg = arg};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        if (errno != EPERM) {
            err_set(e, "cannot watch descriptor %d: %s", fd, strerror(errno));
            free(w);
            return false;
        }
        w->always = true;
        w->next = l->always;
        l->always = w;
    } else if (!events) {
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL); /* as loop_change leaves it */
    }
    forget(l, fd); /* closed without being removed, if there is one */
    l->by_fd[fd] = w;
    return true;
}

void loop_change(struct loop *l, int fd, unsigned events)
{
    struct watch *w = watch_find(l, fd);
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = w};

    if (!w || w->events == events)
        return;
    /* A hung-up descriptor reports for ever: take it out of the set when nothing is asked. */
    if (!w->always) {
        if (!events)
            epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
        else
            epoll_ctl(l->epoll, w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    }
    w->events = events;
}

void loop_remove(struct loop *l, int fd)
{
    struct watch *w = watch_find(l, fd);

    if (!w)
        return;
    if (!w->always && w->events)
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
    forget(l, fd);
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    struct post *p = malloc(sizeof *p);

    while (!p) { /* a lost call would hang the machine: wait for memory */
        usleep(1000);
        p = malloc(sizeof *p);
    }
    *p = (struct post){fn, arg, NULL};
    pthread_mutex_lock(&l->lock);
    *l->posts_end = p;
    l->posts_end = &p->next;
    unlock_and_wake(l);
}

void loop_call_init(struct loop_call *c, struct loop *l, loop_fn *fn, void *arg)
{
    *c = (struct loop_call){.fn = fn, .arg = arg, .loop = l};
}

void loop_call(struct loop_call *c)
{
    struct loop *l = c->loop;

    if (__atomic_exchange_n(&c->pending, true, __ATOMIC_ACQ_REL))
        return;
    c->next = NULL;
    pthread_mutex_lock(&l->lock);
    *l->calls_end = c;
    l->calls_end = &c->next;
    unlock_and_wake(l);
}

static void unlink_call(struct loop_call **list, const struct loop_call *c)
{
    while (*list && *list != c)
        list = &(*list)->next;
    if (*list)
        *list = c->next;
}

void loop_call_cancel(struct loop_call *c)
{
    struct loop *l = c->loop;

    if (!l || !__atomic_load_n(&c->pending, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&l->lock);
    unlink_call(&l->calls, c);
    for (l->calls_end = &l->calls; *l->calls_end; l->calls_end = &(*l->calls_end)->next)
        continue;
    pthread_mutex_unlock(&l->lock);
    unlink_call(&l->due, c);
    __atomic_store_n(&c->pending, false, __ATOMIC_RELEASE);
}

void loop_stop(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    unlock_and_wake(l);
}

static void run_posts(struct loop *l)
{
    struct post *p;

    pthread_mutex_lock(&l->lock);
    p = l->posts;
    l->posts = NULL;
    l->posts_end = &l->posts;
    pthread_mutex_unlock(&l->lock);
    while (p) {
        struct post *next = p->next;

        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void run_calls(struct loop *l)
{
    struct loop_call *c;

    pthread_mutex_lock(&l->lock);
    l->due = l->calls;
    l->calls = NULL;
    l->calls_end = &l->calls;
    pthread_mutex_unlock(&l->lock);
    while ((c = l->due)) {
        bool was;

        l->due = c->next;
        was = __atomic_exchange_n(&c->pending, false, __ATOMIC_ACQ_REL); /* who asks from here on is queued anew */
        (void)was;
        c->fn(c->arg);
    }
}

/* Nanoseconds until the next timer, CLOCK_NEVER for ever. Sets waits_until. */
static uint64_t wait_time(struct loop *l, bool always)
{
    uint64_t now, next = CLOCK_NEVER;

    pthread_mutex_lock(&l->lock);
    l->waits_until = CLOCK_NEVER; /* a re-arm from here on wakes us */
    if (l->posts || l->calls || l->stop)
        always = true;
    pthread_mutex_unlock(&l->lock);
    if (always)
        return 0;
    if (l->clock)
        next = clock_next(l->clock);
    if (next == CLOCK_NEVER)
        return CLOCK_NEVER;
    pthread_mutex_lock(&l->lock);
    l->waits_until = next;
    pthread_mutex_unlock(&l->lock);
    if (clock_next(l->clock) < next)
        return 0;
    now = clock_now(l->clock);
    return next <= now ? 0 : next - now;
}

/* epoll_pwait2 waits with nanoseconds; kernels before 5.11 have only milliseconds, rounded up. */
static int wait_events(struct loop *l, struct epoll_event *ev, int max, bool always)
{
    uint64_t ns = wait_time(l, always);
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)};
    int n = epoll_pwait2(l->epoll, ev, max, ns == CLOCK_NEVER ? NULL : &ts, NULL);

    if (n < 0 && errno != EINTR)
        n = epoll_wait(l->epoll, ev, max,
                       ns == CLOCK_NEVER ? -1
                       : ns > NS_PER_SEC ? 1000
                                         : (int)((ns + 999999) / 1000000));
    pthread_mutex_lock(&l->lock);
    l->waits_until = 0;
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void report(struct loop *l, const struct epoll_event *ev)
{
    struct watch *w = ev->data.ptr;
    unsigned events = (ev->events & EPOLLIN ? LOOP_IN : 0u) | (ev->events & EPOLLOUT ? LOOP_OUT : 0u) |
                      (ev->events & (EPOLLHUP | EPOLLERR) ? LOOP_HUP : 0u);
    uint64_t count;

    if (!w) {
        ssize_t n = read(l->wake, &count, sizeof count);

        (void)n;
        return;
    }
    if (!w->dead && w->events)
        w->fn(w->arg, w->fd, events);
}

static bool turn(struct loop *l, bool wait)
{
    struct epoll_event ev[32];
    bool always = false, stop;
    int n;

    sweep(l);
    for (struct watch *w = l->always; w; w = w->next)
        always |= w->events && !w->dead;
    n = wait_events(l, ev, 32, always || !wait);
    for (int i = 0; i < n; i++)
        report(l, &ev[i]);
    for (struct watch *w = l->always; w; w = w->next)
        if (w->events && !w->dead)
            w->fn(w->arg, w->fd, w->events);
    run_posts(l);
    run_calls(l);
    if (l->clock)
        clock_run_timers(l->clock);
    pthread_mutex_lock(&l->lock);
    stop = l->stop;
    l->stop = false;
    pthread_mutex_unlock(&l->lock);
    return !stop;
}

bool loop_turn(struct loop *l) { return turn(l, true); }
bool loop_poll(struct loop *l) { return turn(l, false); }

void loop_run(struct loop *l)
{
    while (loop_turn(l))
        ;
    sweep(l);
}
