/*
 * The hub between sources and input devices; see input.h.
 *
 * Way of an event: input_send, the gate, `arrived` (any thread; checks it and puts it into the queue), then `drain` on
 * the loop's thread, which takes one group at a time, decides under the lock where each of its events goes and hands
 * each handler its share without the lock.
 *
 * Two tables say what is down. `sent` is what sources believe: it serves input_release_all. `owner` is the handler that
 * got the press, so that the release finds it. A group that is dropped for want of room leaves its ups in `late`;
 * they are older than all that waits, and go first.
 */
#include "devices/input.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/gate.h"
#include "base/loop.h"

/* Keys, buttons and fingers in one space, so that one table holds what is down. */
enum { FINGERS = INPUT_CODES, HOLDABLE = INPUT_CODES + INPUT_SLOTS, NOT_HELD = HOLDABLE };
enum { BUTTONS = 0x100, BUTTONS_END = 0x160 /* Linux's BTN_*, amid the keys */ };
enum { TURN = 256 /* groups delivered before the loop has its turn */ };

struct held {
    uint64_t bits[(HOLDABLE + 63) / 64];
};

struct input {
    struct gate_source source;
    struct loop_call wake;
    pthread_mutex_t lock;
    /* under lock */
    struct input_handler *handlers; /* first is first to be asked */
    unsigned last_id;
    uint32_t leds;
    struct held sent, late;
    struct input_handler *owner[HOLDABLE];
    struct input_event queue[INPUT_QUEUE]; /* whole groups; a ring */
    unsigned head, count;
};

static bool held_get(const struct held *h, unsigned i) { return h->bits[i / 64] >> (i % 64) & 1; }

static void held_set(struct held *h, unsigned i, bool on)
{
    h->bits[i / 64] = (h->bits[i / 64] & ~(UINT64_C(1) << (i % 64))) | (uint64_t)on << (i % 64);
}

/* Its place in the tables of what is down; NOT_HELD: it is no press or release. */
static unsigned holdable(const struct input_event *e)
{
    switch (e->type) {
    case INPUT_KEY:
    case INPUT_BUTTON: return e->code;
    case INPUT_TOUCH_POINT: return FINGERS + e->code;
    default: return NOT_HELD;
    }
}

static struct input_event up_of(unsigned i)
{
    uint8_t type = i >= FINGERS ? INPUT_TOUCH_POINT : i >= BUTTONS && i < BUTTONS_END ? INPUT_BUTTON : INPUT_KEY;

    return (struct input_event){.type = type, .code = (uint16_t)(i < FINGERS ? i : i - FINGERS)};
}

/* A replayed message comes from a file. */
static bool valid(const struct input_event *e)
{
    bool button = e->code >= BUTTONS && e->code < BUTTONS_END, two = e->value == 0 || e->value == 1;

    switch (e->type) {
    case INPUT_KEY: return e->code && e->code < INPUT_CODES && !button && two;
    case INPUT_BUTTON: return button && two;
    case INPUT_ABS: return e->code <= 1 && e->value >= 0 && e->value <= INPUT_ABS_MAX;
    case INPUT_REL:
    case INPUT_WHEEL: return e->code <= 1;
    case INPUT_TOUCH_POINT: return e->code < INPUT_SLOTS && two;
    default: return e->type == INPUT_SYN;
    }
}

/* --- the queue, under the lock --- */

static struct input_event *queued(struct input *in, unsigned i) { return &in->queue[(in->head + i) % INPUT_QUEUE]; }

static void drop_oldest(struct input *in)
{
    bool end = false;

    while (in->count && !end) {
        const struct input_event *e = queued(in, 0);
        unsigned i = holdable(e);

        if (i != NOT_HELD && !e->value)
            held_set(&in->late, i, true);
        end = e->type == INPUT_SYN;
        in->head = (in->head + 1) % INPUT_QUEUE;
        in->count--;
    }
}

/* A group of n events, without its SYN. */
static void enqueue(struct input *in, const struct input_event *e, unsigned n)
{
    while (in->count + n + 1 > INPUT_QUEUE)
        drop_oldest(in);
    for (unsigned i = 0; i < n; i++) {
        unsigned h = holdable(&e[i]);

        if (h != NOT_HELD)
            held_set(&in->sent, h, e[i].value);
        *queued(in, in->count++) = e[i];
    }
    *queued(in, in->count++) = (struct input_event){.type = INPUT_SYN};
}

/* From the gate, on whatever thread. */
static void arrived(void *arg, const void *data, size_t len)
{
    struct input *in = arg;
    struct input_event group[INPUT_GROUP], e;
    const uint8_t *p = data;
    unsigned n = 0;

    pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < len / sizeof e; i++) {
        memcpy(&e, p + i * sizeof e, sizeof e);
        if (valid(&e) && e.type != INPUT_SYN)
            group[n++] = e;
        if (n && (e.type == INPUT_SYN || n == INPUT_GROUP - 1)) {
            enqueue(in, group, n);
            n = 0;
        }
    }
    if (n)
        enqueue(in, group, n);
    pthread_mutex_unlock(&in->lock);
    loop_call(&in->wake);
}

/* --- who gets it, under the lock --- */

static bool is_pointer(const struct input_handler *h) { return h->kind != INPUT_KEYBOARD; }

static struct input_handler *first_of(const struct input *in, unsigned kinds)
{
    struct input_handler *h = in->handlers;

    while (h && !(h->live && kinds >> h->kind & 1))
        h = h->next;
    return h;
}

enum { POINTERS = 1 << INPUT_TABLET | 1 << INPUT_MOUSE | 1 << INPUT_TOUCH };

/* touching: the group's positions are a finger's. */
static struct input_handler *device_for(const struct input *in, const struct input_event *e, bool touching)
{
    switch (e->type) {
    case INPUT_KEY: return first_of(in, 1 << INPUT_KEYBOARD);
    case INPUT_REL: return first_of(in, 1 << INPUT_MOUSE);
    case INPUT_TOUCH_POINT: return first_of(in, 1 << INPUT_TOUCH);
    case INPUT_ABS: return first_of(in, touching ? 1 << INPUT_TOUCH : 1 << INPUT_TABLET | 1 << INPUT_TOUCH);
    default: return first_of(in, POINTERS);
    }
}

static struct input_handler *route(struct input *in, const struct input_event *e, bool touching)
{
    unsigned i = holdable(e);
    struct input_handler *h;

    if (i == NOT_HELD)
        return device_for(in, e, touching);
    h = in->owner[i];
    if (!e->value)
        in->owner[i] = NULL;
    else if (!h)
        h = in->owner[i] = device_for(in, e, touching);
    else if (e->type != INPUT_TOUCH_POINT) /* a finger that is down moves */
        h = NULL;
    return h;
}

/* --- delivery, on the loop's thread --- */

/* Ups of dropped groups, as a group. */
static unsigned take_late(struct input *in, struct input_event *e)
{
    unsigned n = 0;

    for (unsigned i = 0; i < HOLDABLE && n < INPUT_GROUP - 1; i++)
        if (held_get(&in->late, i)) {
            held_set(&in->late, i, false);
            e[n++] = up_of(i);
        }
    return n;
}

/* The next group without its SYN; 0: nothing waits. */
static unsigned take_group(struct input *in, struct input_event e[INPUT_GROUP])
{
    unsigned n = take_late(in, e);

    while (!n && in->count) {
        while (in->count && queued(in, 0)->type != INPUT_SYN) {
            e[n++] = *queued(in, 0);
            in->head = (in->head + 1) % INPUT_QUEUE;
            in->count--;
        }
        in->head = (in->head + 1) % INPUT_QUEUE;
        in->count--;
    }
    return n;
}

static void deliver(struct input_event e[INPUT_GROUP], unsigned n, struct input_handler *to[INPUT_GROUP])
{
    struct input_event share[INPUT_GROUP];

    for (unsigned i = 0; i < n; i++) {
        struct input_handler *h = to[i];
        unsigned len = 0;

        if (!h)
            continue;
        for (unsigned j = i; j < n; j++)
            if (to[j] == h) {
                share[len++] = e[j];
                to[j] = NULL;
            }
        share[len++] = (struct input_event){.type = INPUT_SYN};
        h->event(h->dev, share, len);
    }
}

static void drain(void *arg)
{
    struct input *in = arg;
    struct input_event e[INPUT_GROUP];
    struct input_handler *to[INPUT_GROUP];
    unsigned n = 1;

    for (unsigned turn = 0; turn < TURN && n; turn++) {
        bool touching = false;

        pthread_mutex_lock(&in->lock);
        n = take_group(in, e);
        for (unsigned i = 0; i < n; i++)
            touching |= e[i].type == INPUT_TOUCH_POINT;
        for (unsigned i = 0; i < n; i++)
            to[i] = route(in, &e[i], touching);
        pthread_mutex_unlock(&in->lock);
        deliver(e, n, to);
    }
    if (n)
        loop_call(&in->wake);
}

/* --- for devices --- */

struct input *input_new(struct loop *loop, struct gate *gate)
{
    struct input *in = calloc(1, sizeof *in);

    if (!in)
        return NULL;
    pthread_mutex_init(&in->lock, NULL);
    loop_call_init(&in->wake, loop, drain, in);
    in->source = (struct gate_source){.name = "input", .sink = arrived, .arg = in};
    gate_register(gate, &in->source);
    return in;
}

void input_free(struct input *in)
{
    if (!in)
        return;
    gate_unregister(&in->source);
    loop_call_cancel(&in->wake);
    while (in->handlers)
        input_unregister(in->handlers);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

static void unlink_handler(struct input *in, struct input_handler *h)
{
    struct input_handler **p = &in->handlers;

    while (*p != h)
        p = &(*p)->next;
    *p = h->next;
}

static void link_first(struct input *in, struct input_handler *h)
{
    h->next = in->handlers;
    in->handlers = h;
}

static void disown(struct input *in, const struct input_handler *h)
{
    for (unsigned i = 0; i < HOLDABLE; i++)
        if (in->owner[i] == h)
            in->owner[i] = NULL;
}

void input_register(struct input *in, struct input_handler *h)
{
    pthread_mutex_lock(&in->lock);
    h->input = in;
    h->id = ++in->last_id;
    h->live = false;
    link_first(in, h);
    pthread_mutex_unlock(&in->lock);
}

void input_unregister(struct input_handler *h)
{
    struct input *in = h->input;

    if (!in)
        return;
    pthread_mutex_lock(&in->lock);
    unlink_handler(in, h);
    disown(in, h);
    h->input = NULL;
    h->live = false;
    pthread_mutex_unlock(&in->lock);
}

void input_set_live(struct input_handler *h, bool live)
{
    struct input *in = h->input;

    if (!in)
        return;
    pthread_mutex_lock(&in->lock);
    if (h->live && !live)
        disown(in, h);
    h->live = live;
    pthread_mutex_unlock(&in->lock);
}

void input_set_down(struct input_handler *h, uint16_t code, bool finger)
{
    struct input *in = h->input;
    unsigned i = finger ? FINGERS + code : code;

    if (!in || !h->live || i >= HOLDABLE)
        return;
    pthread_mutex_lock(&in->lock);
    in->owner[i] = h;
    held_set(&in->sent, i, true);
    pthread_mutex_unlock(&in->lock);
}

void input_leds(struct input *in, uint32_t mask)
{
    pthread_mutex_lock(&in->lock);
    in->leds = mask;
    pthread_mutex_unlock(&in->lock);
}

/* --- for sources --- */

void input_send(struct input *in, const struct input_event *e, unsigned n)
{
    gate_deliver(&in->source, e, n * sizeof *e);
}

void input_key(struct input *in, uint16_t code, bool down)
{
    const struct input_event e[] = {{.type = INPUT_KEY, .code = code, .value = down}, {.type = INPUT_SYN}};

    input_send(in, e, 2);
}

void input_release_all(struct input *in)
{
    struct input_event e[INPUT_GROUP];
    struct held sent;
    unsigned n = 0;

    pthread_mutex_lock(&in->lock);
    sent = in->sent;
    pthread_mutex_unlock(&in->lock);
    for (unsigned i = 0; i < HOLDABLE; i++) {
        if (held_get(&sent, i))
            e[n++] = up_of(i);
        if (n == INPUT_GROUP - 1 || (n && i == HOLDABLE - 1)) {
            e[n++] = (struct input_event){.type = INPUT_SYN};
            input_send(in, e, n);
            n = 0;
        }
    }
}

static struct input_handler *current(const struct input *in) { return first_of(in, POINTERS); }

static void lock(const struct input *in) { pthread_mutex_lock((pthread_mutex_t *)&in->lock); }
static void unlock(const struct input *in) { pthread_mutex_unlock((pthread_mutex_t *)&in->lock); }

bool input_is_absolute(const struct input *in)
{
    const struct input_handler *h;
    bool absolute;

    lock(in);
    h = current(in);
    absolute = !h || h->kind != INPUT_MOUSE;
    unlock(in);
    return absolute;
}

bool input_has(const struct input *in, enum input_kind kind)
{
    bool has;

    lock(in);
    has = first_of(in, 1u << kind) != NULL;
    unlock(in);
    return has;
}

bool input_select(struct input *in, unsigned id)
{
    struct input_handler *h;

    lock(in);
    for (h = in->handlers; h && h->id != id; h = h->next)
        ;
    if (h && is_pointer(h)) {
        unlink_handler(in, h);
        link_first(in, h);
    }
    unlock(in);
    return h && is_pointer(h);
}

uint32_t input_leds_get(const struct input *in)
{
    uint32_t mask;

    lock(in);
    mask = in->leds;
    unlock(in);
    return mask;
}

void input_each(const struct input *in, void (*fn)(void *arg, const struct input_handler *h, bool current), void *arg)
{
    const struct input_handler *now;

    lock(in);
    now = current(in);
    for (const struct input_handler *h = in->handlers; h; h = h->next)
        fn(arg, h, h == now);
    unlock(in);
}
