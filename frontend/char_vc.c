/* A terminal in the window as the host end of a character stream. See char_vc.h. */
#include "frontend/char_vc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/chardevs.h"

enum { INPUT_PIECE = 4096, INPUT_FIRST = 256 };

struct vc {
    struct chardev dev;
    struct gate_source source;
    char *name;
    struct loop_call deliver, told; /* input waits; the size changed or there is room again */
    pthread_mutex_t lock;           /* of what follows */
    uint8_t *ring;
    size_t head, count;
    bool short_count, room_again, resized;
    vc_wake_fn *wake;
    void *wake_arg;
    uint8_t *in; /* in[in_done..in_len) is to be delivered */
    size_t in_done, in_len, in_size;
    uint16_t cols, rows;
};

struct vc *vc_of(struct chardev *c) { return (struct vc *)c; }
const char *vc_name(const struct vc *v) { return v->name; }

/* --- from the guest --- */

static void ring_put(struct vc *v, const uint8_t *buf, size_t len)
{
    size_t at = (v->head + v->count) % VC_RING, n = VC_RING - at;

    n = n < len ? n : len;
    memcpy(v->ring + at, buf, n);
    memcpy(v->ring, buf + n, len - n);
    v->count += len;
}

static size_t vc_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct vc *v = vc_of(c);
    size_t room, taken = len;
    bool empty;

    pthread_mutex_lock(&v->lock);
    room = VC_RING - v->count;
    if (v->wake && len > room) {
        taken = room;
        v->short_count = true;
    } else if (len > room) { /* nobody reads: the oldest goes */
        size_t drop = len > VC_RING ? v->count : len - room;

        buf += len > VC_RING ? len - VC_RING : 0;
        len = len > VC_RING ? VC_RING : len;
        v->head = (v->head + drop) % VC_RING;
        v->count -= drop;
    }
    empty = !v->count;
    ring_put(v, buf, taken < len ? taken : len);
    if (v->wake && empty)
        v->wake(v->wake_arg);
    pthread_mutex_unlock(&v->lock);
    return taken;
}

/* Lock held: whoever got a short count may write again. */
static void make_writable(struct vc *v)
{
    if (!v->short_count)
        return;
    v->short_count = false;
    v->room_again = true;
    loop_call(&v->told);
}

size_t vc_read(struct vc *v, void *buf, size_t len)
{
    size_t n, first;

    pthread_mutex_lock(&v->lock);
    n = len < v->count ? len : v->count;
    first = VC_RING - v->head < n ? VC_RING - v->head : n;
    memcpy(buf, v->ring + v->head, first);
    memcpy((uint8_t *)buf + first, v->ring, n - first);
    v->head = (v->head + n) % VC_RING;
    v->count -= n;
    if (v->count < VC_RING / 2)
        make_writable(v);
    pthread_mutex_unlock(&v->lock);
    return n;
}

void vc_attach(struct vc *v, vc_wake_fn *wake, void *arg)
{
    pthread_mutex_lock(&v->lock);
    v->wake = wake;
    v->wake_arg = arg;
    if (v->count)
        wake(arg);
    pthread_mutex_unlock(&v->lock);
}

void vc_detach(struct vc *v)
{
    pthread_mutex_lock(&v->lock);
    v->wake = NULL;
    make_writable(v);
    pthread_mutex_unlock(&v->lock);
}

/* Loop's thread. */
static void tell(void *arg)
{
    struct vc *v = arg;
    bool room_again, resized;

    pthread_mutex_lock(&v->lock);
    room_again = v->room_again;
    resized = v->resized;
    v->room_again = v->resized = false;
    pthread_mutex_unlock(&v->lock);
    if (room_again && v->dev.writable)
        v->dev.writable(v->dev.dev);
    if (resized && v->dev.event)
        v->dev.event(v->dev.dev, CHARDEV_RESIZE);
}

/* --- to the guest --- */

/* Lock held. false: no memory, or as much waits as may. */
static bool input_grow(struct vc *v, size_t len)
{
    size_t size = v->in_size ? v->in_size : INPUT_FIRST;
    uint8_t *in;

    if (v->in_done) {
        memmove(v->in, v->in + v->in_done, v->in_len - v->in_done);
        v->in_len -= v->in_done;
        v->in_done = 0;
    }
    while (size < VC_INPUT && size < v->in_len + len)
        size *= 2;
    if (size == v->in_size)
        return true;
    in = realloc(v->in, size);
    if (!in)
        return false;
    v->in = in;
    v->in_size = size;
    return true;
}

size_t vc_input(struct vc *v, const void *buf, size_t len)
{
    pthread_mutex_lock(&v->lock);
    if (v->in_size - v->in_len < len)
        input_grow(v, len);
    len = len < v->in_size - v->in_len ? len : v->in_size - v->in_len;
    if (len) {
        memcpy(v->in + v->in_len, buf, len);
        v->in_len += len;
        loop_call(&v->deliver);
    }
    pthread_mutex_unlock(&v->lock);
    return len;
}

static size_t input_take(struct vc *v, uint8_t *buf, size_t max)
{
    size_t n;

    pthread_mutex_lock(&v->lock);
    n = v->in_len - v->in_done < max ? v->in_len - v->in_done : max;
    if (n)
        memcpy(buf, v->in + v->in_done, n);
    v->in_done += n;
    if (v->in_done == v->in_len)
        v->in_done = v->in_len = 0;
    pthread_mutex_unlock(&v->lock);
    return n;
}

/* Loop's thread: as much as the device has room for; drained asks again. */
static void deliver(void *arg)
{
    struct vc *v = arg;
    uint8_t buf[INPUT_PIECE];

    while (v->dev.room) {
        size_t room = v->dev.room(v->dev.dev), n = input_take(v, buf, room < sizeof buf ? room : sizeof buf);

        if (!n)
            return;
        gate_deliver(&v->source, buf, n);
    }
}

static void vc_drained(struct chardev *c)
{
    struct vc *v = vc_of(c);

    pthread_mutex_lock(&v->lock);
    if (v->in_len > v->in_done)
        loop_call(&v->deliver);
    pthread_mutex_unlock(&v->lock);
}

static void sink(void *arg, const void *data, size_t len)
{
    struct vc *v = arg;

    if (v->dev.receive)
        v->dev.receive(v->dev.dev, data, len);
}

/* --- size --- */

void vc_resize(struct vc *v, uint16_t cols, uint16_t rows)
{
    pthread_mutex_lock(&v->lock);
    if (cols != v->cols || rows != v->rows) {
        v->cols = cols;
        v->rows = rows;
        v->resized = true;
        loop_call(&v->told);
    }
    pthread_mutex_unlock(&v->lock);
}

void vc_size(struct vc *v, uint16_t *cols, uint16_t *rows)
{
    pthread_mutex_lock(&v->lock);
    *cols = v->cols;
    *rows = v->rows;
    pthread_mutex_unlock(&v->lock);
}

static void dev_size(struct chardev *c, uint16_t *cols, uint16_t *rows) { vc_size(vc_of(c), cols, rows); }

/* --- life --- */

static void vc_free(struct chardev *c)
{
    struct vc *v = vc_of(c);

    loop_call_cancel(&v->deliver);
    loop_call_cancel(&v->told);
    gate_unregister(&v->source);
    pthread_mutex_destroy(&v->lock);
    free(v->in);
    free(v->ring);
    free(v->name);
    free(v);
}

struct chardev *char_vc_new(const struct chardev_env *env, const struct chardev_config *c, struct err *e)
{
    struct vc *v = calloc(1, sizeof *v);

    if (v) {
        v->name = strdup(c->id ? c->id : "vc");
        v->ring = malloc(VC_RING);
    }
    if (!v || !v->name || !v->ring) {
        if (v) {
            free(v->name);
            free(v->ring);
        }
        free(v);
        err_set(e, "out of memory");
        return NULL;
    }
    v->cols = c->cols ? c->cols : VC_COLS;
    v->rows = c->rows ? c->rows : VC_ROWS;
    pthread_mutex_init(&v->lock, NULL);
    loop_call_init(&v->deliver, env->loop, deliver, v);
    loop_call_init(&v->told, env->loop, tell, v);
    v->source = (struct gate_source){.name = v->name, .sink = sink, .arg = v};
    gate_register(env->gate, &v->source);
    v->dev =
        (struct chardev){.write = vc_write, .drained = vc_drained, .size = dev_size, .free = vc_free, .open = true};
    return &v->dev;
}
