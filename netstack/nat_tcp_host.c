/*
 * The host's end of a TCP flow: its socket.
 *
 * A socket is watched once, for edges: a flow whose data wait for the guest's acknowledgement is readable all the time, and
 * must not be reported all the time. `readable` remembers the edge until a peek finds nothing; `host_full` that the
 * kernel was told to report room.
 *
 * The peek offset (SO_PEEK_OFF) counts from the head of the socket's data and moves on with each peek and back with each
 * discard; `peek` is its number in our sequence. Kernels without it, for TCP those before 6.9, peek everything before the
 * place that is wanted as well, into a buffer that nobody reads.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_tcp_int.h"

enum { SKIP = 64 << 10, SKIP_PIECES = 64, DISCARD_WORTH = 32 << 10, WIDE = 1 << 20, WIDE_FROM = 128 << 10 };

/* --- making ------------------------------------------------------------------------------------------------------ */

/* No descriptors are left: one flow less. */
static bool give_up_one(struct nat_tcp *t)
{
    unsigned had = t->n->sockets;

    while (t->n->sockets == had)
        if (!tcp_table_evict(t))
            return false;
    return true;
}

int tcp_host_connect(struct nat_tcp *t, const struct sockaddr_storage *to, socklen_t len)
{
    int fd = nat_socket(t->n, to->ss_family, SOCK_STREAM, 0), error;

    if (fd < 0 && errno == EMFILE && give_up_one(t))
        fd = nat_socket(t->n, to->ss_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (!connect(fd, (const struct sockaddr *)to, len) || errno == EINPROGRESS)
        return fd;
    error = errno;
    nat_close(t->n, fd);
    errno = error;
    return -1;
}

static bool set(int fd, int level, int option, int value)
{
    return !setsockopt(fd, level, option, &value, sizeof value);
}

static int error_of(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void connected(struct tcp_flow *f)
{
    int error = error_of(f->fd);

    if (error) {
        tcp_host_failed(f, error);
        return;
    }
    f->state = FLOW_SYN_RCVD;
    f->todo |= TODO_SYN;
    f->room_stale = true;
    tcp_flow_wake(f);
}

static void event(void *arg, int fd, unsigned events)
{
    struct tcp_flow *f = arg;

    if (f->state == FLOW_CONNECTING) {
        if (events & (LOOP_OUT | LOOP_HUP))
            connected(f);
        return;
    }
    f->readable |= (events & (LOOP_IN | LOOP_HUP)) != 0;
    if (events & LOOP_HUP && f->fin_sent && error_of(fd)) { /* after the stream's end nobody reads, to be told */
        tcp_flow_reset_guest(f);
        return;
    }
    if (f->host_full && events & LOOP_OUT) {
        f->host_full = false;
        f->room_stale = true;
        f->todo |= TODO_WINDOW;
        if (!tcp_recv_flush(f, clock_now(f->t->n->env.clock)))
            return;
    }
    tcp_flow_wake(f);
}

bool tcp_host_attach(struct tcp_flow *f, int fd)
{
    struct nat *n = f->t->n;
    int type = 0;
    socklen_t len = sizeof type;
    struct err e;

    f->fd = fd;
    f->stream = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &type, &len) == 0 && type == AF_UNIX;
    f->peek_off = !f->t->no_peek_off && set(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
    if (!f->stream) {
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    }
    f->readable = f->room_stale = true;
    if (loop_add(n->env.loop, fd, LOOP_IN | LOOP_OUT | LOOP_EDGE, event, f, &e))
        return true;
    f->fd = -1;
    nat_close(n, fd);
    return false;
}

void tcp_host_close(struct tcp_flow *f, bool reset)
{
    struct linger now = {.l_onoff = 1};

    if (f->fd < 0)
        return;
    if (reset)
        setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    loop_remove(f->t->n->env.loop, f->fd);
    nat_close(f->t->n, f->fd);
    f->fd = -1;
}

/* An IP header and the first bytes of the SYN, as the guest sent them but for what it does not look at (RFC 5927, 4.1). */
static size_t rebuild(const struct tcp_flow *f, bool is4, uint8_t h[48])
{
    struct writer w = {.buf = h, .cap = 48};

    if (is4) {
        writer_u16(&w, 0x4500);
        writer_u16(&w, 20 + TCP_HLEN);
        writer_u32(&w, 0);
        writer_u16(&w, 64 << 8 | IP_PROTO_TCP);
        writer_u16(&w, 0);
        writer_bytes(&w, f->key.guest.b + 12, 4);
        writer_bytes(&w, f->key.peer.b + 12, 4);
        writer_set16(&w, 10, csum_fold(csum_add(0, h, 20)));
    } else {
        writer_u32(&w, UINT32_C(0x60000000));
        writer_u16(&w, TCP_HLEN);
        writer_u16(&w, IP_PROTO_TCP << 8 | 64);
        writer_bytes(&w, f->key.guest.b, 16);
        writer_bytes(&w, f->key.peer.b, 16);
    }
    writer_u16(&w, f->key.guest_port);
    writer_u16(&w, f->key.peer_port);
    writer_u32(&w, f->irs);
    return w.len;
}

/*
 * Refused: an RST, as the far host sent. Unreachable: what its router sent. Timed out: nothing, the guest's own time is
 * up as well. Nothing either when this host lacks something for now: the guest asks again.
 */
void tcp_host_failed(struct tcp_flow *f, int error)
{
    struct nat *n = f->t->n;
    bool is4 = net_addr_is4(&f->key.peer);
    uint8_t h[48];
    struct nat_ip ip = {.src = f->key.guest, .dst = f->key.peer, .proto = IP_PROTO_TCP, .ttl = 64, .is4 = is4,
                        .mac = f->guest->mac, .header = h};

    f->t->c.failed++;
    switch (error) {
    case ETIMEDOUT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN: tcp_flow_kill(f); return;
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case EACCES:
    case EPERM:
        ip.header_len = rebuild(f, is4, h);
        nat_icmp_error(n, &ip, nat_unreach_of(error), 0);
        tcp_flow_kill(f);
        return;
    default: tcp_flow_reset_guest(f);
    }
}

/* --- from the guest -------------------------------------------------------------------------------------------- */

ssize_t tcp_host_write(struct tcp_flow *f, const struct iovec *iov, unsigned n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
    ssize_t done;

    do
        done = sendmsg(f->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    if (done < 0) {
        f->host_full |= errno == EAGAIN;
        return -errno;
    }
    f->bytes_out += (size_t)done;
    f->room_stale = true;
    return done;
}

void tcp_host_shutdown(struct tcp_flow *f) { shutdown(f->fd, SHUT_WR); }

/*
 * Bytes the send buffer takes, in the kernel's own count. With little room left the kernel is told that we wait for more:
 * it reports room only to those who were refused, or who polled and saw none.
 */
uint32_t tcp_host_room(struct tcp_flow *f)
{
    uint32_t mem[SK_MEMINFO_VARS] = {0}, used, size;
    socklen_t len = sizeof mem;
    struct pollfd p = {.fd = f->fd, .events = POLLOUT};

    if (getsockopt(f->fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
        return f->host_size = TCP_RING_MIN;
    f->host_size = size = mem[SK_MEMINFO_SNDBUF];
    used = mem[f->stream ? SK_MEMINFO_WMEM_ALLOC : SK_MEMINFO_WMEM_QUEUED];
    if (used >= size / 2)
        f->host_full |= poll(&p, 1, 0) == 0;
    return used < size ? size - used : 0;
}

/* --- to the guest ------------------------------------------------------------------------------------------------ */

static bool seek(struct tcp_flow *f, uint32_t seq)
{
    if (f->peek != seq && !set(f->fd, SOL_SOCKET, SO_PEEK_OFF, (int)(seq - f->head)))
        return false;
    f->peek = seq;
    return true;
}

/* Pieces of the skip buffer that take the bytes before seq; 0: they are too many, or there is no memory. */
static unsigned skip_pieces(struct tcp_flow *f, uint32_t skip, struct iovec *iov)
{
    unsigned n = 0;

    if (!f->t->skip)
        f->t->skip = malloc(SKIP);
    if (!f->t->skip || skip > SKIP * SKIP_PIECES)
        return 0;
    for (; skip; n++) {
        iov[n] = (struct iovec){f->t->skip, skip < SKIP ? skip : SKIP};
        skip -= (uint32_t)iov[n].iov_len;
    }
    return n;
}

static ssize_t peek(struct tcp_flow *f, struct iovec *iov, unsigned n)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t got;

    do
        got = recvmsg(f->fd, &m, MSG_PEEK | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* The end of the stream shows only when nothing is before it: until then it is not there yet. */
static ssize_t peek_behind(struct tcp_flow *f, uint32_t seq, void *buf, size_t len)
{
    struct iovec iov[SKIP_PIECES + 1];
    uint32_t skip = seq - f->head;
    unsigned n = 0;
    ssize_t got;

    if (skip && !(n = skip_pieces(f, skip, iov)))
        return -EAGAIN;
    iov[n] = (struct iovec){buf, len};
    got = peek(f, iov, n + 1);
    if (got < 0 || !skip)
        return got;
    return got > skip ? got - skip : -EAGAIN;
}

ssize_t tcp_host_peek(struct tcp_flow *f, uint32_t seq, void *buf, size_t len)
{
    struct iovec iov = {buf, len};
    ssize_t got;

    if (!f->peek_off)
        return peek_behind(f, seq, buf, len);
    if (!seek(f, seq))
        return -errno;
    got = peek(f, &iov, 1);
    if (got > 0)
        f->peek += (uint32_t)got;
    return got;
}

/*
 * The kernel sizes a receive buffer by the round trip to the far peer, and here the one to the guest comes on top: with a
 * far peer on this host or near, 64 KiB of window would stay for ever. A low-water mark has the kernel make room for it
 * (tcp_set_rcvlowat), up to half of tcp_rmem's maximum and without an end to its own sizing, as SO_RCVBUF would be.
 * Measured to Linux behind a tap and a millisecond of delay, on a busy machine: 1.2 Gbit/s without it, 1.8 with.
 */
static void widen(struct tcp_flow *f)
{
    f->wide = true;
    if (!f->stream && set(f->fd, SOL_SOCKET, SO_RCVLOWAT, WIDE))
        set(f->fd, SOL_SOCKET, SO_RCVLOWAT, 1);
}

/* Unix sockets have no way to discard but reading. */
static ssize_t discard(struct tcp_flow *f, uint32_t n)
{
    if (!f->stream)
        return recv(f->fd, NULL, n, MSG_TRUNC | MSG_DONTWAIT);
    return recv(f->fd, f->t->frame, n < TCP_FRAME ? n : TCP_FRAME, MSG_DONTWAIT);
}

void tcp_host_discard(struct tcp_flow *f, bool all)
{
    uint32_t to = f->una - (f->fin_sent && f->una == f->nxt);

    if (f->fd < 0 || seq_le(to, f->head) || (!all && to - f->head < DISCARD_WORTH))
        return;
    if (!f->wide && f->bytes_in > WIDE_FROM)
        widen(f);
    while (seq_lt(f->head, to)) {
        ssize_t n = discard(f, to - f->head);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* the next peek says why */
        f->head += (uint32_t)n;
    }
    f->peek = seq_max(f->peek, f->head);
}
