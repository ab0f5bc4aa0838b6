/*
 * Frames over a stream socket, each with its length as four bytes big-endian before it: what QEMU's -netdev socket and
 * stream and passt's unix socket speak.
 *
 * A server serves one client at a time; the next is accepted when that one has gone. A client connects again after
 * reconnect_ms of the machine's time. Without a peer frames are lost, as with a cable that is not plugged at the far end.
 * A peer that announces a frame longer than any has lost count: the connection is closed.
 * Source: QEMU's documentation of -netdev stream; passt(1).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "netstack/host_int.h"

enum { LENGTH = 4, IN_BUFFER = 256 << 10, READS = 8 /* a callback */ };

struct stream {
    struct net_host h; /* first */
    struct sockaddr_storage to;
    socklen_t to_len;
    char *path; /* made by us: removed at the end */
    uint32_t reconnect_ms;
    int listener; /* -1: none; the connection is h.fd */
    bool connecting;
    struct timer retry;
    size_t in_len, in_at, out_len, out_at;
    uint8_t in[IN_BUFFER], out[LENGTH + NET_FRAME_MAX], linear[NET_FRAME_MAX];
};

static void stream_event(void *arg, int fd, unsigned events);

static void later(struct stream *s)
{
    if (s->reconnect_ms)
        timer_arm(&s->retry, clock_now(s->h.env.clock) + s->reconnect_ms * UINT64_C(1000000));
}

static void hang_up(struct stream *s)
{
    if (s->h.fd < 0)
        return;
    loop_remove(s->h.env.loop, s->h.fd);
    close(s->h.fd);
    s->h.fd = -1;
    s->connecting = s->h.held = s->h.waits = false;
    s->in_len = s->in_at = s->out_len = s->out_at = 0;
    if (s->listener >= 0)
        loop_change(s->h.env.loop, s->listener, LOOP_IN);
    else
        later(s);
    net_port_room(&s->h.port); /* into the void */
}

/* fd is the connection from now on. */
static bool begin(struct stream *s, int fd, bool connecting, struct err *e)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* not TCP: refused, which is well */
    if (!loop_add(s->h.env.loop, fd, connecting ? LOOP_OUT : LOOP_IN, stream_event, s, e)) {
        close(fd);
        return false;
    }
    s->h.fd = fd;
    s->connecting = s->h.waits = connecting;
    return true;
}

static bool dial(struct stream *s, struct err *e)
{
    int fd = socket(s->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return err_set(e, "socket: %s", strerror(errno));
    r = connect(fd, (struct sockaddr *)&s->to, s->to_len);
    if (r < 0 && errno != EINPROGRESS) {
        err_set(e, "cannot connect: %s", strerror(errno));
        close(fd);
        return false;
    }
    return begin(s, fd, r < 0, e);
}

static void redial(void *arg)
{
    struct stream *s = arg;
    struct err e;

    if (s->h.fd < 0 && !dial(s, &e))
        later(s);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* Hand on the whole frames there are. false: the peer speaks something else. */
static bool parse(struct stream *s)
{
    while (!s->h.held && s->in_len - s->in_at >= LENGTH) {
        uint32_t len = ld32be(s->in + s->in_at);

        if (len > NET_FRAME_MAX)
            return false;
        if (s->in_len - s->in_at - LENGTH < len)
            break;
        s->h.held = !host_deliver(&s->h, s->in + s->in_at + LENGTH, len);
        if (s->h.fd < 0)
            return true; /* an answer to it found that the peer has gone */
        if (!s->h.held)
            s->in_at += LENGTH + len;
    }
    if (!s->h.held) {
        memmove(s->in, s->in + s->in_at, s->in_len - s->in_at);
        s->in_len -= s->in_at;
        s->in_at = 0;
    }
    return true;
}

static void bad_peer(struct stream *s)
{
    if (s->h.env.log)
        log_guest_msg(s->h.env.log, s->h.name, "the peer sent a length of %u", ld32be(s->in + s->in_at));
    hang_up(s);
}

static void read_frames(struct stream *s)
{
    for (unsigned i = 0; i < READS && s->h.fd >= 0 && !s->h.held; i++) {
        ssize_t n = recv(s->h.fd, s->in + s->in_len, sizeof s->in - s->in_len, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            hang_up(s);
            return;
        }
        s->in_len += (size_t)n;
        if (!parse(s))
            bad_peer(s);
    }
}

static void stream_ready(struct net_port *p)
{
    struct stream *s = p->arg;

    if (!s->h.held)
        return;
    s->h.held = false;
    if (!parse(s))
        bad_peer(s);
    host_watch(&s->h);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static void flush(struct stream *s)
{
    ssize_t n = send(s->h.fd, s->out + s->out_at, s->out_len - s->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            hang_up(s);
        return;
    }
    s->out_at += (size_t)n;
    if (s->out_at < s->out_len)
        return;
    s->out_len = s->out_at = 0;
    host_writable(&s->h);
}

/* The frame was taken but for what follows the first `sent` bytes of length and frame. */
static void keep_rest(struct stream *s, const uint8_t length[LENGTH], const struct net_frame *f, size_t sent)
{
    struct packet p = packet_of(f);

    memcpy(s->out, length, LENGTH);
    s->out_len = LENGTH + packet_copy(&p, 0, s->out + LENGTH, f->len);
    s->out_at = sent;
    s->h.waits = true;
    host_watch(&s->h);
}

static bool stream_receive(struct net_port *p, const struct net_frame *f)
{
    struct stream *s = p->arg;
    uint8_t length[LENGTH];
    struct iovec iov[1 + HOST_IOV] = {{length, LENGTH}};
    struct msghdr m = {.msg_iov = iov};
    ssize_t n;

    if (s->h.fd < 0 || s->connecting) {
        s->h.lost++;
        return true;
    }
    if (s->out_len)
        return false;
    st32be(length, (uint32_t)f->len);
    m.msg_iovlen = 1 + host_pieces(f, iov + 1, s->linear);
    n = sendmsg(s->h.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || errno == EAGAIN || errno == EINTR) {
        if (n < (ssize_t)(LENGTH + f->len))
            keep_rest(s, length, f, n < 0 ? 0 : (size_t)n);
        return true;
    }
    s->h.lost++;
    hang_up(s);
    return true;
}

static void stream_event(void *arg, int fd, unsigned events)
{
    struct stream *s = arg;
    int error = 0;
    socklen_t len = sizeof error;

    if (s->connecting) {
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
            hang_up(s);
            return;
        }
        s->connecting = s->h.waits = false;
    }
    if (events & LOOP_OUT && s->out_len)
        flush(s);
    if (s->h.fd >= 0 && events & (LOOP_IN | LOOP_HUP))
        read_frames(s);
    host_watch(&s->h);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void accept_one(void *arg, int fd, unsigned events)
{
    struct stream *s = arg;
    struct err e;
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (peer >= 0 && begin(s, peer, false, &e))
        loop_change(s->h.env.loop, fd, 0);
}

static void stream_close(struct net_host *h)
{
    struct stream *s = (struct stream *)h;

    s->reconnect_ms = 0;
    if (s->listener >= 0) {
        loop_remove(h->env.loop, s->listener);
        close(s->listener);
        s->listener = -1;
    }
    hang_up(s);
    clock_drop_timer(&s->retry);
    if (s->path)
        unlink(s->path);
    free(s->path);
}

static void stream_info(const struct net_host *h, FILE *out)
{
    const struct stream *s = (const struct stream *)h;

    fprintf(out, "%s", s->connecting         ? "connecting"
                       : s->h.fd >= 0        ? "connected"
                       : s->listener >= 0    ? "listening"
                                             : "not connected");
}

static const struct host_kind stream_kind = {
    .ops = {.kind = "stream", .receive = stream_receive, .ready = stream_ready},
    .close = stream_close,
    .info = stream_info,
};

/* A socket's file that nobody listens on any more is in the way of bind; one that is in use, or no socket, stays. */
static void remove_stale(const char *path, const struct sockaddr_storage *to, socklen_t len)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)to, len) < 0 && errno == ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

static int make_listener(struct stream *s, const struct net_stream_options *o, struct err *e)
{
    int on = 1, fd;

    if (o->path)
        remove_stale(o->path, &s->to, s->to_len);
    fd = socket(s->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&s->to, s->to_len) && !listen(fd, 1)) {
        s->path = o->path ? strdup(o->path) : NULL;
        return fd;
    }
    err_set(e, "cannot listen: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool open_stream(struct stream *s, const struct net_stream_options *o, struct err *e)
{
    if (o->fd < 0 && !(o->path ? host_unix(o->path, &s->to, &s->to_len, e)
                               : host_resolve(o->host, o->port, SOCK_STREAM, o->server, &s->to, &s->to_len, e)))
        return false;
    if (o->server) {
        s->listener = o->fd >= 0 ? o->fd : make_listener(s, o, e);
        return s->listener >= 0 && loop_add(s->h.env.loop, s->listener, LOOP_IN, accept_one, s, e);
    }
    s->reconnect_ms = o->fd < 0 ? o->reconnect_ms : 0;
    if (o->fd >= 0)
        return begin(s, o->fd, false, e);
    if (dial(s, e))
        return true;
    later(s);
    return s->reconnect_ms; /* it may come later */
}

struct net_host *net_host_stream(const struct net_env *env, const struct net_stream_options *o, struct err *e)
{
    struct stream *s = calloc(1, sizeof *s);

    if (!s) {
        err_set(e, "out of memory");
        return NULL;
    }
    host_init(&s->h, env, &stream_kind, o->path ? o->path : o->fd >= 0 ? "fd" : o->port ? o->port : "stream", -1);
    s->listener = -1;
    timer_init(&s->retry, env->clock, redial, s);
    if (open_stream(s, o, e))
        return &s->h;
    net_host_free(&s->h);
    err_prefix(e, "stream %s", o->path ? o->path : o->host ? o->host : "");
    return NULL;
}
