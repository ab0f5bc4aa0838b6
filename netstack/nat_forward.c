/*
 * Forwards: listening sockets of this host that lead to guests.
 *
 * Bound at once, to 127.0.0.1 unless told otherwise, so that what is wrong is known at start. A unix socket is the user's
 * alone (mode 0600); a stale one, to which nobody answers, is replaced. A forward that is removed takes no new connections
 * or clients; what it has goes on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/loop.h"
#include "netstack/nat_guestfwd.h"

enum {
    BACKLOG = 128,
    ACCEPTS = 16,         /* at a time */
    PORT_DYNAMIC = 49152, /* RFC 6335: connections from unix sockets come "from" ports of here on */
};

struct forward {
    struct nat *nat;
    struct nat_forward f; /* host_port: the one it got; host_path: ours */
    int fd;
    bool paused; /* no descriptor was left for a connection */
    uint16_t next_port;
    struct forward *next;
};

/* --- names ----------------------------------------------------------------------------------------------------- */

enum { SIDE_TEXT = 160 };

/* "tcp 127.0.0.1:2222" or the path, for errors. */
static const char *host_side(const struct nat_forward *f, char buf[SIDE_TEXT])
{
    char text[NET_ADDR_TEXT];
    bool is4 = net_addr_is4(&f->host_addr);

    if (f->host_path)
        snprintf(buf, SIDE_TEXT, "%s", f->host_path);
    else
        snprintf(buf, SIDE_TEXT, "%s %s%s%s:%u", f->udp ? "udp" : "tcp", is4 ? "" : "[",
                 net_addr_text(&f->host_addr, text), is4 ? "" : "]", f->host_port);
    return buf;
}

bool nat_forward_same_host(const struct nat_forward *a, const struct nat_forward *b)
{
    if (a->host_path || b->host_path)
        return a->host_path && b->host_path && !strcmp(a->host_path, b->host_path);
    return a->udp == b->udp && a->host_port == b->host_port && net_addr_equal(&a->host_addr, &b->host_addr);
}

/* With what was left out filled in. */
static struct nat_forward whole(const struct nat_forward *f)
{
    struct nat_forward w = *f;

    if (w.host_any6)
        memset(&w.host_addr, 0, sizeof w.host_addr); /* which as an address for bind is :: */
    else if (net_addr_none(&w.host_addr))
        w.host_addr = net_addr_of4(INADDR_LOOPBACK);
    return w;
}

/* --- connections ----------------------------------------------------------------------------------------------- */

static void pause_forward(struct forward *w)
{
    struct nat_forwards *t = w->nat->forwards;

    w->paused = true;
    loop_change(w->nat->env.loop, w->fd, 0);
    if (t->timer.when == CLOCK_NEVER)
        timer_arm(&t->timer, clock_now(w->nat->env.clock) + NS_PER_SEC);
}

/* false: none waits. */
static bool accept_one(struct forward *w)
{
    struct nat *n = w->nat;
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof from;
    struct net_addr view, guest;
    uint16_t port;
    int fd = accept4(w->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        pause_forward(w);
    if (fd < 0)
        return errno == ECONNABORTED;
    fd = nat_adopt(n, fd);
    guest = nat_forward_guest(n, &w->f);
    if (fd < 0 || net_addr_none(&guest)) {
        nat_close(n, fd);
        return true;
    }
    view = nat_guest_view_for(n, &from, &guest);
    net_addr_of_sock(&from, &port);
    if (!port) { /* a unix socket's */
        port = (uint16_t)(PORT_DYNAMIC + w->next_port);
        w->next_port = (uint16_t)((w->next_port + 1) % (65536 - PORT_DYNAMIC));
    }
    nat_tcp_forwarded(n, fd, &view, port, &guest, w->f.guest_port);
    return true;
}

static void event(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS; i++)
        if (!accept_one(arg))
            return;
}

static void resume(void *arg)
{
    struct nat_forwards *t = arg;

    for (struct forward *w = t->forwards; w; w = w->next) {
        if (w->paused)
            loop_change(w->nat->env.loop, w->fd, LOOP_IN);
        w->paused = false;
    }
}

/* --- sockets --------------------------------------------------------------------------------------------------- */

static bool fail(struct nat *n, int fd, const struct nat_forward *f, const char *reason, struct err *e)
{
    char side[SIDE_TEXT];
    struct nat_forward full = whole(f);

    nat_close(n, fd);
    return err_set(e, "%s: %s", host_side(&full, side), reason);
}

static const char *reason_of(const struct nat_forward *f, int error)
{
    if (error == EACCES && !f->host_path && f->host_port && f->host_port < 1024)
        return "this user may not use ports below 1024 (see net.ipv4.ip_unprivileged_port_start)";
    return strerror(error);
}

/* A socket file that nobody listens on is in the way only. */
static void remove_stale(const char *path, const struct sockaddr_un *to)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int bind_path(struct nat *n, const struct nat_forward *f, struct err *e)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(f->host_path) >= sizeof to.sun_path) {
        fail(n, -1, f, "the path is too long for a socket", e);
        return -1;
    }
    memcpy(to.sun_path, f->host_path, strlen(f->host_path));
    remove_stale(f->host_path, &to);
    fd = nat_socket(n, AF_UNIX, SOCK_STREAM, 0);
    /* the mode before listen: until then nobody can connect */
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0 || chmod(f->host_path, 0600) < 0) {
        fail(n, fd, f, strerror(errno), e);
        return -1;
    }
    return fd;
}

static int bind_port(struct nat *n, struct nat_forward *f, struct err *e)
{
    struct sockaddr_storage sa;
    socklen_t len = net_addr_to_sock(&f->host_addr, f->host_port, &sa);
    int on = 1, off = 0, fd = nat_socket(n, sa.ss_family, f->udp ? SOCK_DGRAM : SOCK_STREAM, 0);

    if (fd >= 0 && !f->udp) /* connections of a former run in TIME_WAIT do not matter */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && sa.ss_family == AF_INET6) /* "::" is both families */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0) {
        fail(n, fd, f, reason_of(f, errno), e);
        return -1;
    }
    len = sizeof sa;
    getsockname(fd, (struct sockaddr *)&sa, &len);
    net_addr_of_sock(&sa, &f->host_port);
    return fd;
}

/* --- adding and removing --------------------------------------------------------------------------------------- */

static bool right(struct nat *n, const struct nat_forward *f, struct err *e)
{
    const struct nat_forwards *t = n->forwards;
    const struct net_addr *g = &f->guest_addr;
    struct nat_forward full = whole(f);

    if (!f->guest_port)
        return fail(n, -1, f, "the guest's port is 0", e);
    if (f->host_path && f->udp)
        return fail(n, -1, f, "a unix socket carries connections (tcp), not udp", e);
    if (!net_addr_none(g) && (!nat_in_net(n, g) || nat_is_ours(n, g)))
        return fail(n, -1, f, "the guest's address is not one of the network's guests", e);
    if (t->count >= NAT_FORWARDS_MAX)
        return fail(n, -1, f, "there are too many forwards", e);
    for (const struct forward *w = t->forwards; w; w = w->next)
        if (nat_forward_same_host(&w->f, &full) && (f->host_path || f->host_port))
            return fail(n, -1, f, "this forward exists already", e);
    return true;
}

/* Give the bound socket to who serves it. */
static bool serve(struct forward *w, struct err *e)
{
    struct nat *n = w->nat;
    struct err why;

    if (w->f.udp)
        return nat_udp_forward(n, w->fd, &w->f) || fail(n, -1, &w->f, "out of memory", e);
    if (listen(w->fd, BACKLOG) < 0)
        return fail(n, w->fd, &w->f, strerror(errno), e);
    return loop_add(n->env.loop, w->fd, LOOP_IN, event, w, &why) || fail(n, w->fd, &w->f, why.msg, e);
}

static bool open_host_side(struct forward *w, struct err *e)
{
    if (w->f.udp) { /* one that was removed may still have its socket, and clients */
        w->fd = nat_udp_forward_again(w->nat, &w->f);
        if (w->fd >= 0)
            return true;
    }
    w->fd = w->f.host_path ? bind_path(w->nat, &w->f, e) : bind_port(w->nat, &w->f, e);
    if (w->fd < 0)
        return false;
    if (serve(w, e))
        return true;
    if (w->f.host_path)
        unlink(w->f.host_path);
    return false;
}

static void forward_free(struct forward *w)
{
    free((char *)(uintptr_t)w->f.host_path);
    free(w);
}

bool nat_forward_add(struct nat *n, const struct nat_forward *f, struct err *e)
{
    struct forward *w;

    if (!right(n, f, e))
        return false;
    w = calloc(1, sizeof *w);
    if (w)
        *w = (struct forward){.nat = n, .f = whole(f)};
    if (w && f->host_path)
        w->f.host_path = strdup(f->host_path);
    if (!w || (f->host_path && !w->f.host_path)) {
        free(w);
        return fail(n, -1, f, "out of memory", e);
    }
    if (!open_host_side(w, e)) {
        forward_free(w);
        return false;
    }
    w->next = n->forwards->forwards;
    n->forwards->forwards = w;
    n->forwards->count++;
    return true;
}

uint16_t nat_forward_last_port(const struct nat *n)
{
    const struct forward *last = n->forwards->forwards;

    return last ? last->f.host_port : 0;
}

static void end_forward(struct forward *w)
{
    struct nat *n = w->nat;

    if (w->f.udp) {
        nat_udp_forward_end(n, w->fd);
    } else {
        loop_remove(n->env.loop, w->fd);
        nat_close(n, w->fd);
    }
    if (w->f.host_path)
        unlink(w->f.host_path);
    n->forwards->count--;
    forward_free(w);
}

bool nat_forward_remove(struct nat *n, const struct nat_forward *f, struct err *e)
{
    struct nat_forward full = whole(f);

    for (struct forward **p = &n->forwards->forwards; *p; p = &(*p)->next) {
        struct forward *w = *p;

        if (!nat_forward_same_host(&w->f, &full))
            continue;
        *p = w->next;
        end_forward(w);
        return true;
    }
    return fail(n, -1, &full, "there is no such forward", e);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

struct nat_forwards *nat_forwards_new(struct nat *n)
{
    struct nat_forwards *t = calloc(1, sizeof *t);

    if (t)
        timer_init(&t->timer, n->env.clock, resume, t);
    return t;
}

void nat_forwards_free(struct nat_forwards *t)
{
    if (!t)
        return;
    clock_drop_timer(&t->timer);
    while (t->forwards) {
        struct forward *w = t->forwards;

        t->forwards = w->next;
        end_forward(w);
    }
    nat_guestfwd_free(t);
    free(t);
}

/* As QEMU shows its forwards: tools look for the port of "TCP[HOST_FORWARD]". */
void nat_forwards_info(const struct nat_forwards *t, FILE *out)
{
    for (const struct forward *w = t->forwards; w; w = w->next) {
        struct nat_info_row r = {.state = w->f.udp ? "UDP[HOST_FORWARD]" : "TCP[HOST_FORWARD]",
                                 .fd = w->fd,
                                 .sport = w->f.host_port,
                                 .dport = w->f.guest_port};
        struct net_addr guest;

        guest = nat_forward_guest(w->nat, &w->f);
        if (!w->f.host_any6 && ld32be(w->f.host_addr.b + 12)) /* "*": 0.0.0.0 and :: */
            r.src = &w->f.host_addr;
        r.dst = &guest;
        if (w->f.host_path)
            fprintf(out, "  UNIX[HOST_FORWARD] %s to port %u\n", w->f.host_path, w->f.guest_port);
        else
            nat_info_row(out, &r);
    }
    nat_guestfwd_info(t, out);
}
