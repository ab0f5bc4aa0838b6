#include "base/gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

struct gate {
    struct clock *clock;
    pthread_mutex_t lock; /* sources, tap, seed */
    struct gate_source *sources;
    gate_tap *tap;
    void *tap_arg;
    bool closed, seeded;
    uint64_t seed;
};

struct gate *gate_new(struct clock *clock)
{
    struct gate *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->clock = clock;
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void gate_register(struct gate *g, struct gate_source *s)
{
    pthread_mutex_lock(&g->lock);
    s->gate = g;
    s->messages = s->bytes = 0;
    s->next = g->sources;
    g->sources = s;
    pthread_mutex_unlock(&g->lock);
}

void gate_unregister(struct gate_source *s)
{
    struct gate *g = s->gate;

    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    for (struct gate_source **p = &g->sources; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    s->gate = NULL;
    pthread_mutex_unlock(&g->lock);
}

/* Count a message. false: the gate is closed. *tap, *tap_arg: who records it; NULL: nobody. */
static bool enter(struct gate_source *s, size_t len, gate_tap **tap, void **tap_arg)
{
    struct gate *g = s->gate;
    bool open;

    pthread_mutex_lock(&g->lock);
    open = !g->closed;
    *tap = g->tap;
    *tap_arg = g->tap_arg;
    if (open) {
        s->messages++;
        s->bytes += len;
    }
    pthread_mutex_unlock(&g->lock);
    return open;
}

void gate_deliver(struct gate_source *s, const void *data, size_t len)
{
    gate_tap *tap;
    void *tap_arg;

    if (!enter(s, len, &tap, &tap_arg))
        return;
    if (tap)
        tap(tap_arg, s, clock_now(s->gate->clock), data, len);
    s->sink(s->arg, data, len);
}

static void copy_pieces(uint8_t *to, const struct iovec *iov, size_t len)
{
    for (size_t n; len; iov++, to += n, len -= n) {
        n = iov->iov_len < len ? iov->iov_len : len;
        memcpy(to, iov->iov_base, n);
    }
}

bool gate_pass(struct gate_source *s, const void *head, size_t head_len, const struct iovec *iov, size_t len)
{
    gate_tap *tap;
    void *tap_arg;
    uint8_t *all;

    if (!enter(s, head_len + len, &tap, &tap_arg))
        return false;
    if (!tap)
        return true;
    all = malloc(head_len + len + 1);
    if (!all)
        return false; /* what is not recorded may not happen */
    memcpy(all, head, head_len);
    copy_pieces(all + head_len, iov, len);
    tap(tap_arg, s, clock_now(s->gate->clock), all, head_len + len);
    free(all);
    return true;
}

void gate_set_tap(struct gate *g, gate_tap *tap, void *arg)
{
    pthread_mutex_lock(&g->lock);
    g->tap = tap;
    g->tap_arg = arg;
    pthread_mutex_unlock(&g->lock);
}

void gate_close(struct gate *g, bool closed)
{
    pthread_mutex_lock(&g->lock);
    g->closed = closed;
    pthread_mutex_unlock(&g->lock);
}

bool gate_inject(struct gate *g, const char *name, const void *data, size_t len)
{
    struct gate_source *s;

    pthread_mutex_lock(&g->lock);
    for (s = g->sources; s && strcmp(s->name, name) != 0; s = s->next)
        ;
    pthread_mutex_unlock(&g->lock);
    if (s)
        s->sink(s->arg, data, len);
    return s != NULL;
}

/* splitmix64 (Steele, Lea, Flood 2014): small, and every seed gives a full-period stream. */
static uint64_t next_random(struct gate *g)
{
    uint64_t z = g->seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void gate_random(struct gate *g, void *buf, size_t len)
{
    uint8_t *p = buf;

    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; g->seeded && i < len; i += 8) {
        uint64_t z = next_random(g);

        memcpy(p + i, &z, len - i < 8 ? len - i : 8);
    }
    pthread_mutex_unlock(&g->lock);
    while (!g->seeded && len) {
        ssize_t n = getrandom(p, len, 0);

        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

void gate_set_seed(struct gate *g, uint64_t seed)
{
    pthread_mutex_lock(&g->lock);
    g->seed = seed;
    g->seeded = true;
    pthread_mutex_unlock(&g->lock);
}
