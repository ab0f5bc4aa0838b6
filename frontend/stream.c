/* Descriptors as the host end of a character stream. See stream.h. */
#include "frontend/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SHARED_PIECE = 256, INPUT_PIECE = 4096 };

static void input_ready(void *arg, int fd, unsigned events);
static void output_ready(void *arg, int fd, unsigned events);

struct stream *stream_of(struct chardev *c) { return (struct stream *)c; }

int stream_reopen(int fd, int flags, bool *own)
{
    char path[32];
    struct stat st;
    int mine = -1;

    /* a regular file's position is shared on purpose: what another program appends must not be overwritten */
    if (fstat(fd, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        mine = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    *own = mine >= 0;
    return mine >= 0 ? mine : fd;
}

static enum stream_out out_kind(int fd, bool own)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (fstat(fd, &st) < 0)
        return STREAM_SHARED;
    if (S_ISREG(st.st_mode))
        return STREAM_FILE;
    if (S_ISSOCK(st.st_mode))
        return STREAM_SOCKET;
    return own && flags >= 0 && (flags & O_NONBLOCK) ? STREAM_NONBLOCK : STREAM_SHARED;
}

/* One write that does not block. -1 with errno EAGAIN: later. */
static ssize_t put(struct stream *s, const uint8_t *buf, size_t len)
{
    struct pollfd p = {.fd = s->out, .events = POLLOUT};

    switch (s->how) {
    case STREAM_SOCKET: return send(s->out, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case STREAM_SHARED:
        if (poll(&p, 1, 0) != 1 || !(p.revents & (POLLOUT | POLLERR | POLLHUP))) {
            errno = EAGAIN;
            return -1;
        }
        return write(s->out, buf, len < SHARED_PIECE ? len : SHARED_PIECE);
    default: return write(s->out, buf, len);
    }
}

/* Write what the ring holds. Lock held. false: the other end is gone. */
static bool drain(struct stream *s)
{
    while (s->count && s->out >= 0) {
        size_t n = STREAM_RING - s->head < s->count ? STREAM_RING - s->head : s->count;
        ssize_t done = put(s, s->ring + s->head, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            return true;
        if (done < 0) {
            s->count = 0;
            return false;
        }
        s->head = (s->head + (size_t)done) % STREAM_RING;
        s->count -= (size_t)done;
    }
    if (s->out < 0)
        s->count = 0;
    return true;
}

static void watch_output(struct stream *s, bool on)
{
    struct err ignored;

    if (s->out < 0 || on == s->out_watched)
        return;
    if (s->out == s->in && s->in_watched) {
        unsigned in = s->in_paused ? 0 : LOOP_IN;

        loop_change(s->loop, s->in, in | (on ? LOOP_OUT : 0));
        s->out_watched = on;
    } else if (on) {
        s->out_watched = loop_add(s->loop, s->out, LOOP_OUT, output_ready, s, &ignored);
    } else {
        loop_remove(s->loop, s->out);
        s->out_watched = false;
    }
}

/* Loop's thread: write, and watch for room when that did not take all. */
static void flush_now(void *arg)
{
    struct stream *s = arg;
    bool alive, more, tell;

    pthread_mutex_lock(&s->lock);
    s->flushing = false;
    alive = drain(s);
    more = s->count > 0;
    tell = s->short_count && !more;
    if (tell)
        s->short_count = false;
    pthread_mutex_unlock(&s->lock);
    watch_output(s, more);
    if (!alive && s->hangup)
        s->hangup(s);
    if (tell && s->dev.writable)
        s->dev.writable(s->dev.dev);
}

static void output_ready(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    flush_now(arg);
}

static size_t stream_write(struct chardev *c, const uint8_t *buf, size_t len)
{
    struct stream *s = stream_of(c);
    size_t taken = 0;
    bool post = false;

    pthread_mutex_lock(&s->lock);
    if (s->out < 0) {
        pthread_mutex_unlock(&s->lock);
        return len;
    }
    while (taken < len && s->count < STREAM_RING) {
        size_t at = (s->head + s->count) % STREAM_RING, n = STREAM_RING - s->count;

        n = n < STREAM_RING - at ? n : STREAM_RING - at;
        n = n < len - taken ? n : len - taken;
        memcpy(s->ring + at, buf + taken, n);
        s->count += n;
        taken += n;
    }
    if (taken < len)
        s->short_count = true;
    if (!s->flushing) {
        s->flushing = true;
        post = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (post)
        loop_post(s->loop, flush_now, s);
    return taken;
}

static void unwatch_input(struct stream *s)
{
    if (s->in_watched)
        loop_remove(s->loop, s->in);
    if (s->in == s->out)
        s->out_watched = false;
    s->in_watched = false;
}

static void sink(void *arg, const void *data, size_t len)
{
    struct stream *s = arg;

    if (s->dev.receive)
        s->dev.receive(s->dev.dev, data, len);
}

static size_t device_room(struct stream *s) { return s->dev.room ? s->dev.room(s->dev.dev) : 0; }

static void input_ready(void *arg, int fd, unsigned events)
{
    struct stream *s = arg;
    uint8_t buf[INPUT_PIECE];
    size_t room;
    ssize_t n;

    if (events & LOOP_OUT)
        output_ready(s, fd, events);
    if (!(events & (LOOP_IN | LOOP_HUP)) || s->in != fd)
        return;
    s->in_paused = true; /* first: the device may drain between the question and the pause */
    room = device_room(s);
    if (!room) {
        if (!(events & LOOP_IN) && s->hangup)
            s->hangup(s);
        else
            loop_change(s->loop, fd, s->out == fd && s->out_watched ? LOOP_OUT : 0);
        return;
    }
    s->in_paused = false;
    n = read(fd, buf, room < sizeof buf ? room : sizeof buf);
    if (n > 0) {
        gate_deliver(&s->source, buf, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (s->hangup)
            s->hangup(s);
        else
            unwatch_input(s); /* end of a script on stdin: the guest just gets no more */
    }
}

static void resume_input(void *arg)
{
    struct stream *s = arg;

    if (s->in >= 0 && s->in_watched)
        loop_change(s->loop, s->in, LOOP_IN | (s->out == s->in && s->out_watched ? LOOP_OUT : 0));
}

static void stream_drained(struct chardev *c)
{
    struct stream *s = stream_of(c);

    if (atomic_exchange(&s->in_paused, false))
        loop_post(s->loop, resume_input, s);
}

static void stream_size(struct chardev *c, uint16_t *cols, uint16_t *rows)
{
    struct stream *s = stream_of(c);
    struct winsize ws = {0};

    if (s->out >= 0)
        ioctl(s->out, TIOCGWINSZ, &ws);
    *cols = ws.ws_col;
    *rows = ws.ws_row;
}

static void stream_free(struct chardev *c)
{
    struct stream *s = stream_of(c);

    if (s->closed)
        s->closed(s);
    stream_fini(s);
    free(s);
}

bool stream_init(struct stream *s, const char *name, struct loop *loop, struct gate *gate, struct err *e)
{
    s->loop = loop;
    s->in = s->out = -1;
    s->name = strdup(name);
    s->ring = malloc(STREAM_RING);
    if (!s->name || !s->ring) {
        free(s->name);
        free(s->ring);
        return err_set(e, "out of memory");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->source = (struct gate_source){.name = s->name, .sink = sink, .arg = s};
    gate_register(gate, &s->source);
    s->dev.write = stream_write;
    s->dev.drained = stream_drained;
    s->dev.size = stream_size;
    s->dev.free = stream_free;
    return true;
}

void stream_fini(struct stream *s)
{
    if (!s->ring)
        return;
    stream_detach(s);
    gate_unregister(&s->source);
    pthread_mutex_destroy(&s->lock);
    free(s->ring);
    free(s->name);
    s->ring = NULL;
}

bool stream_attach(struct stream *s, int in, int out, bool own, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    s->in = in;
    s->out = out;
    s->own_in = s->own_out = own;
    s->head = s->count = 0;
    s->how = out >= 0 ? out_kind(out, own) : STREAM_SHARED;
    pthread_mutex_unlock(&s->lock);
    s->in_paused = false;
    s->dev.open = true;
    if (in >= 0 && !loop_add(s->loop, in, LOOP_IN, input_ready, s, e))
        return false;
    s->in_watched = in >= 0;
    if (s->dev.event)
        s->dev.event(s->dev.dev, CHARDEV_OPENED);
    return true;
}

void stream_start(struct stream *s)
{
    if (s->truncate && ftruncate(s->out, 0) == 0)
        s->truncate = false;
}

void stream_detach(struct stream *s)
{
    int in = s->in, out = s->out;

    unwatch_input(s);
    watch_output(s, false);
    pthread_mutex_lock(&s->lock);
    s->in = s->out = -1;
    s->count = 0;
    pthread_mutex_unlock(&s->lock);
    if (s->own_in && in >= 0)
        close(in);
    if (s->own_out && out >= 0 && out != in)
        close(out);
    if (s->dev.open) {
        s->dev.open = false;
        if (s->dev.event)
            s->dev.event(s->dev.dev, CHARDEV_CLOSED);
    }
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void stream_flush(struct stream *s, int ms)
{
    int64_t until = now_ms() + ms;

    pthread_mutex_lock(&s->lock);
    while (s->count && s->out >= 0 && drain(s) && s->count) {
        struct pollfd p = {.fd = s->out, .events = POLLOUT};
        int64_t left = until - now_ms();

        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            break;
    }
    pthread_mutex_unlock(&s->lock);
}
