/*
 * A frame a datagram, as QEMU's -netdev dgram and socket,mcast= and ,udp= have it: unix sockets, UDP, a multicast group.
 *
 * A unix peer that is there is connected to, so that its full queue (10 datagrams by Linux' default) is felt here as "no
 * room" instead of losing most of what is sent; when it has gone or is not there yet, frames are lost and connecting is
 * tried with each frame. In a group all members are bound to one port; we send from another socket, by whose address our
 * own frames are known when they come back.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "netstack/host_int.h"

enum { UDP_FRAME_MAX = 65507, MTU_UDP = UDP_FRAME_MAX - ETH_HLEN - 4 };

struct dgram {
    struct net_host h; /* first */
    int out;           /* what we send with: h.fd, but for a group */
    struct sockaddr_storage to;
    socklen_t to_len;
    bool connected;
    char *path;                  /* made by us: removed at the end */
    struct sockaddr_storage own; /* of `out`, for a group */
    socklen_t own_len;
    size_t in_len;
    uint8_t in[NET_FRAME_MAX + 1], linear[NET_FRAME_MAX];
};

static bool from_us(const struct dgram *d, const struct sockaddr_storage *from, socklen_t len)
{
    return d->own_len && len == d->own_len && !memcmp(from, &d->own, len);
}

/* One datagram into d->in. false: none there. */
static bool fetch(struct dgram *d)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(d->h.fd, d->in, sizeof d->in, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

    d->in_len = n > 0 && n <= NET_FRAME_MAX && !from_us(d, &from, len) ? (size_t)n : 0;
    return n >= 0 || (errno != EAGAIN && errno != EINTR && errno != EBADF && errno != ENOTCONN);
}

/* As host_watch, but for two sockets. */
static void watch(struct dgram *d)
{
    if (d->out == d->h.fd) {
        host_watch(&d->h);
        return;
    }
    loop_change(d->h.env.loop, d->h.fd, d->h.held ? 0 : LOOP_IN);
    loop_change(d->h.env.loop, d->out, d->h.waits ? LOOP_OUT : 0);
}

static void dgram_event(void *arg, int fd, unsigned events)
{
    struct dgram *d = arg;

    if (events & LOOP_OUT && fd == d->out) {
        d->h.waits = false;
        watch(d);
        net_port_room(&d->h.port);
    }
    if (fd != d->h.fd || !(events & (LOOP_IN | LOOP_HUP)))
        return;
    for (unsigned i = 0; i < HOST_BURST && !d->h.held && fetch(d); i++)
        d->h.held = d->in_len && !host_deliver(&d->h, d->in, d->in_len);
    watch(d);
}

static void dgram_ready(struct net_port *p)
{
    struct dgram *d = p->arg;

    if (!d->h.held)
        return;
    d->h.held = !host_deliver(&d->h, d->in, d->in_len);
    watch(d);
}

static void try_connect(struct dgram *d)
{
    d->connected = d->to.ss_family == AF_UNIX && !connect(d->out, (struct sockaddr *)&d->to, d->to_len);
}

static ssize_t send_frame(struct dgram *d, const struct net_frame *f)
{
    struct iovec iov[HOST_IOV];
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = host_pieces(f, iov, d->linear)};

    if (!d->connected) {
        m.msg_name = &d->to;
        m.msg_namelen = d->to_len;
    }
    return sendmsg(d->out, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool dgram_receive(struct net_port *p, const struct net_frame *f)
{
    struct dgram *d = p->arg;
    ssize_t n;

    if (!d->connected && d->to.ss_family == AF_UNIX)
        try_connect(d);
    n = d->connected || d->to_len ? send_frame(d, f) : -1;
    if (n < 0 && d->connected && d->to.ss_family == AF_UNIX && (errno == ECONNREFUSED || errno == ENOTCONN)) {
        try_connect(d); /* another has taken its place */
        n = send_frame(d, f);
    }
    /* Only a connected socket tells when its peer has room. */
    if (n < 0 && errno == EAGAIN && (d->connected || d->to.ss_family != AF_UNIX)) {
        d->h.waits = true;
        watch(d);
        return false;
    }
    d->h.lost += n < 0;
    return true;
}

static void dgram_close(struct net_host *h)
{
    struct dgram *d = (struct dgram *)h;

    if (d->out >= 0 && d->out != d->h.fd) {
        loop_remove(h->env.loop, d->out);
        close(d->out);
    }
    if (d->h.fd >= 0) {
        loop_remove(h->env.loop, d->h.fd);
        close(d->h.fd);
    }
    if (d->path)
        unlink(d->path);
    free(d->path);
}

static void dgram_info(const struct net_host *h, FILE *out)
{
    const struct dgram *d = (const struct dgram *)h;

    fprintf(out, "%s", d->own_len ? "group" : d->connected ? "connected" : d->to_len ? "open" : "no peer");
}

static const struct host_kind dgram_kind = {
    .ops = {.kind = "dgram", .receive = dgram_receive, .ready = dgram_ready},
    .close = dgram_close,
    .info = dgram_info,
};

/* --- the three kinds ------------------------------------------------------------------------------------------------ */

static int open_socket(int family, struct err *e)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        err_set(e, "socket: %s", strerror(errno));
    return fd;
}

static bool bind_to(int fd, const struct sockaddr_storage *at, socklen_t len, struct err *e)
{
    return !bind(fd, (const struct sockaddr *)at, len) || err_set(e, "cannot bind: %s", strerror(errno));
}

static bool open_unix(struct dgram *d, const struct net_dgram_options *o, struct err *e)
{
    struct sockaddr_storage at;
    socklen_t len;

    d->h.fd = d->out = open_socket(AF_UNIX, e);
    if (d->h.fd < 0 || (o->remote_path && !host_unix(o->remote_path, &d->to, &d->to_len, e)))
        return false;
    if (!o->local_path)
        return true;
    if (!host_unix(o->local_path, &at, &len, e))
        return false;
    unlink(o->local_path); /* as QEMU does: datagram sockets leave their files behind */
    if (!bind_to(d->h.fd, &at, len, e))
        return false;
    d->path = strdup(o->local_path);
    return true;
}

static bool open_udp(struct dgram *d, const struct net_dgram_options *o, struct err *e)
{
    struct sockaddr_storage at;
    socklen_t len;
    int on = 1;

    if (o->remote_port && !host_resolve(o->remote_host, o->remote_port, SOCK_DGRAM, false, &d->to, &d->to_len, e))
        return false;
    if (o->local_port) {
        if (!host_resolve(o->local_host, o->local_port, SOCK_DGRAM, true, &at, &len, e))
            return false;
        d->h.fd = d->out = open_socket(at.ss_family, e);
        if (d->h.fd < 0)
            return false;
        setsockopt(d->h.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (!bind_to(d->h.fd, &at, len, e))
            return false;
    } else {
        d->h.fd = d->out = open_socket(d->to.ss_family, e);
    }
    d->h.port.mtu = MTU_UDP;
    return d->h.fd >= 0;
}

/* HOST:PORT; the group and, in *in, the address of the interface. */
static bool group_address(struct dgram *d, const struct net_dgram_options *o, struct in_addr *in, struct err *e)
{
    char host[64];
    const char *colon = strrchr(o->mcast, ':');
    struct sockaddr_storage local;
    socklen_t len;

    if (!colon || colon - o->mcast >= (ptrdiff_t)sizeof host)
        return err_set(e, "%s: not HOST:PORT", o->mcast);
    snprintf(host, sizeof host, "%.*s", (int)(colon - o->mcast), o->mcast);
    if (!host_resolve(host, colon + 1, SOCK_DGRAM, false, &d->to, &d->to_len, e))
        return false;
    if (d->to.ss_family != AF_INET || !IN_MULTICAST(ntohl(((struct sockaddr_in *)&d->to)->sin_addr.s_addr)))
        return err_set(e, "%s: not an IPv4 multicast group (224.0.0.0 to 239.255.255.255)", host);
    in->s_addr = htonl(INADDR_ANY);
    if (!o->local_host)
        return true;
    if (!host_resolve(o->local_host, "0", SOCK_DGRAM, false, &local, &len, e))
        return false;
    if (local.ss_family != AF_INET)
        return err_set(e, "%s: not an IPv4 address", o->local_host);
    *in = ((struct sockaddr_in *)&local)->sin_addr;
    return true;
}

static bool open_group(struct dgram *d, const struct net_dgram_options *o, struct err *e)
{
    struct ip_mreq join;
    int on = 1;

    if (!group_address(d, o, &join.imr_interface, e))
        return false;
    join.imr_multiaddr = ((struct sockaddr_in *)&d->to)->sin_addr;
    d->h.fd = open_socket(AF_INET, e);
    d->out = d->h.fd < 0 ? -1 : open_socket(AF_INET, e);
    if (d->out < 0)
        return false;
    setsockopt(d->h.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!bind_to(d->h.fd, &d->to, d->to_len, e))
        return false;
    if (setsockopt(d->h.fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join) < 0 ||
        (o->local_host && setsockopt(d->out, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof join.imr_interface) < 0))
        return err_set(e, "cannot join the group: %s", strerror(errno));
    setsockopt(d->out, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on); /* other processes of this host */
    /* connected, so that the kernel chooses our address now */
    d->own_len = sizeof d->own;
    if (connect(d->out, (struct sockaddr *)&d->to, d->to_len) < 0 ||
        getsockname(d->out, (struct sockaddr *)&d->own, &d->own_len) < 0)
        return err_set(e, "cannot reach the group: %s", strerror(errno));
    d->connected = true;
    d->h.port.mtu = MTU_UDP;
    return true;
}

static bool open_fd(struct dgram *d, const struct net_dgram_options *o, struct err *e)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;

    d->h.fd = d->out = o->fd;
    d->connected = !getpeername(o->fd, (struct sockaddr *)&peer, &len);
    if (d->connected || (!o->remote_path && !o->remote_port))
        return true;
    return o->remote_path ? host_unix(o->remote_path, &d->to, &d->to_len, e)
                          : host_resolve(o->remote_host, o->remote_port, SOCK_DGRAM, false, &d->to, &d->to_len, e);
}

static bool open_dgram(struct dgram *d, const struct net_dgram_options *o, struct err *e)
{
    bool ok = o->fd >= 0                            ? open_fd(d, o, e)
              : o->mcast                            ? open_group(d, o, e)
              : o->local_path || o->remote_path     ? open_unix(d, o, e)
              : o->local_port || o->remote_port     ? open_udp(d, o, e)
                                                    : err_set(e, "neither an address nor a descriptor");
    struct loop *loop = d->h.env.loop;

    return ok && loop_add(loop, d->h.fd, LOOP_IN, dgram_event, d, e) &&
           (d->out == d->h.fd || loop_add(loop, d->out, 0, dgram_event, d, e));
}

struct net_host *net_host_dgram(const struct net_env *env, const struct net_dgram_options *o, struct err *e)
{
    struct dgram *d = calloc(1, sizeof *d);

    if (!d) {
        err_set(e, "out of memory");
        return NULL;
    }
    d->out = -1;
    host_init(&d->h, env, &dgram_kind, o->mcast ? o->mcast : o->local_path ? o->local_path : o->local_port ? o->local_port : "fd", -1);
    if (open_dgram(d, o, e))
        return &d->h;
    net_host_free(&d->h);
    err_prefix(e, "dgram");
    return NULL;
}
