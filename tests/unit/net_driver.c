#include "tests/unit/net_driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/cable.h"

/* --- the world ----------------------------------------------------------------------------------------------------- */

void world_init(struct world *w)
{
    struct err e;

    *w = (struct world){0};
    w->env.clock = clock_new_fake();
    clock_set_wall(w->env.clock, UINT64_C(1700000000) * NS_PER_SEC);
    w->env.loop = loop_new(w->env.clock, &e);
    w->env.log = log_new();
    w->env.gate = gate_new(w->env.clock);
    gate_set_seed(w->env.gate, 1);
}

void world_free(struct world *w)
{
    gate_free(w->env.gate);
    log_free(w->env.log);
    loop_free(w->env.loop);
    clock_free(w->env.clock);
}

/* Loopback traffic is delivered by the system call that sends it; a few turns let an answer cause an answer. */
void world_run(struct world *w)
{
    for (int i = 0; i < 4; i++)
        loop_poll(w->env.loop);
}

void world_advance(struct world *w, uint64_t ns)
{
    uint64_t end = clock_now(w->env.clock) + ns, now;

    world_run(w);
    while ((now = clock_now(w->env.clock)) < end) {
        uint64_t next = clock_next(w->env.clock);

        clock_advance(w->env.clock, next <= now ? 0 : next < end ? next - now : end - now);
        world_run(w);
    }
}

static void out_of_patience(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    *(bool *)arg = true;
}

/* false: WORLD_PATIENCE_MS of real time went by, told by a timer that the loop watches. */
static bool turn_until(struct world *w, bool (*done)(void *arg), void *arg)
{
    struct itimerspec patience = {.it_value = {.tv_sec = WORLD_PATIENCE_MS / 1000}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    bool late = false;
    struct err e;

    world_run(w);
    if (fd < 0 || !loop_add(w->env.loop, fd, LOOP_IN, out_of_patience, &late, &e))
        fail_msg("cannot wait for events");
    timerfd_settime(fd, 0, &patience, NULL);
    while (!late && !done(arg))
        loop_turn(w->env.loop);
    loop_remove(w->env.loop, fd);
    close(fd);
    return !late;
}

void world_until(struct world *w, bool (*done)(void *arg), void *arg, const char *what)
{
    if (!turn_until(w, done, arg))
        fail_msg("waited in vain for %s", what);
}

static void happened(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    *(bool *)arg = true;
}

static bool is_true(void *arg) { return *(bool *)arg; }

void world_wait(struct world *w, int fd, unsigned events)
{
    bool yes = false;
    struct err e;

    if (!loop_add(w->env.loop, fd, events, happened, &yes, &e))
        fail_msg("%s", e.msg);
    world_until(w, is_true, &yes, "a descriptor");
    loop_remove(w->env.loop, fd);
}

/* --- sockets of the host's side ------------------------------------------------------------------------------------ */

static int host_socket(int family, int type, uint16_t *port)
{
    struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
    socklen_t len = family == AF_INET ? sizeof *v4 : sizeof *v6;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        v6->sin6_addr = in6addr_loopback;
    v4->sin_port = htons(*port); /* at the same place in both */
    if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0 || getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        fail_msg("socket on the loopback: %s", strerror(errno));
    *port = ntohs(v4->sin_port);
    return fd;
}

int host_udp(int family, uint16_t *port) { return host_socket(family, SOCK_DGRAM, port); }

int host_listen(int family, uint16_t *port)
{
    int fd = host_socket(family, SOCK_STREAM, port);

    if (listen(fd, 1024) < 0)
        fail_msg("listen: %s", strerror(errno));
    return fd;
}

int world_accept(struct world *w, int listener)
{
    int fd;

    world_wait(w, listener, LOOP_IN);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        fail_msg("accept: %s", strerror(errno));
    return fd;
}

size_t world_recv(struct world *w, int fd, void *buf, size_t n)
{
    int type = SOCK_STREAM;
    socklen_t len = sizeof type;
    size_t got = 0;

    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    while (got < n) {
        ssize_t r;

        world_wait(w, fd, LOOP_IN);
        r = recv(fd, (uint8_t *)buf + got, n - got, 0);
        if (r < 0 && errno != EAGAIN)
            fail_msg("recv: %s", strerror(errno));
        got += r > 0 ? (size_t)r : 0;
        if (!r || (r > 0 && type == SOCK_DGRAM))
            break;
    }
    return got;
}

void world_write(struct world *w, int fd, const void *data, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r;

        world_wait(w, fd, LOOP_OUT);
        r = send(fd, (const uint8_t *)data + done, n - done, MSG_NOSIGNAL);
        if (r < 0 && errno != EAGAIN)
            fail_msg("send: %s", strerror(errno));
        done += r > 0 ? (size_t)r : 0;
    }
    world_run(w);
}

/* --- the far end's port --------------------------------------------------------------------------------------------- */

struct answer { /* waits for the loop, as a guest's does for its CPU */
    struct far *f;
    size_t len;
    uint8_t frame[128];
};

static void send_answer(void *arg)
{
    struct answer *a = arg;
    struct iovec iov = {a->frame, a->len};

    net_port_send(&a->f->port, &(struct net_frame){.iov = &iov, .iovcnt = 1, .len = a->len});
    free(a);
}

static void post_answer(struct far *f, const struct pkt *p)
{
    uint8_t *buf = malloc(NET_FRAME_MAX);
    struct answer *a = malloc(sizeof *a);

    a->f = f;
    a->len = far_build(f, p, buf);
    memcpy(a->frame, buf, a->len);
    free(buf);
    loop_post(f->w->env.loop, send_answer, a);
}

/* What a guest's kernel answers by itself. true: it was that. */
static bool answer_neighbour(struct far *f, const struct got *g)
{
    uint8_t body[24] = {0};
    char text[46];

    if (g->kind == PKT_ARP && g->arp == 1 && !strcmp(g->dst, f->ip4)) {
        post_answer(
            f, PKT(ARP, .arp = 2, .eth_dst = g->eth_src, .src = f->ip4, .dst = g->src, .arp_dst_mac = g->arp_src_mac));
        return true;
    }
    if (g->kind != PKT_ICMP6 || g->type != 135 || g->len < 16)
        return false;
    memcpy(body, g->data, 16);
    inet_ntop(AF_INET6, body, text, sizeof text);
    if (strcmp(text, f->ip6) != 0)
        return false;
    body[16] = 2; /* target link-layer address */
    body[17] = 1;
    mac_parse(f->mac, body + 18);
    post_answer(f, PKT(ICMP6, .eth_dst = g->eth_src, .src = f->ip6, .dst = g->src, .type = 136, .rest = 0x60000000,
                       DATA(body, 24)));
    return true;
}

static bool far_receive(struct net_port *p, const struct net_frame *nf)
{
    struct far *f = p->arg;
    struct got *g;

    if (f->queued >= f->room || f->queued >= FAR_QUEUE) {
        f->refused = true;
        return false;
    }
    g = got_decode(nf, p->mtu, p->can);
    f->received++;
    if ((f->answer && answer_neighbour(f, g)) || (f->ignore_ra && g->kind == PKT_ICMP6 && g->type == 134)) {
        got_free(g);
        return true;
    }
    *f->end = g;
    f->end = &g->next;
    f->queued++;
    return true;
}

static void far_ready(struct net_port *p) { ((struct far *)p->arg)->readies++; }

static void far_link(struct net_port *p, bool up)
{
    struct far *f = p->arg;

    f->link_changes++;
    f->link = up;
}

static const struct net_port_ops far_ops = {"far", far_receive, far_ready, far_link};

void far_init(struct far *f, struct world *w, const char *name)
{
    *f = (struct far){.w = w,
                      .port = {.ops = &far_ops, .arg = f, .name = name, .can = NET_CAN_ALL, .mtu = NET_MTU_DEFAULT},
                      .mac = "52:54:00:12:34:56",
                      .gateway = "52:55:0a:00:02:02",
                      .ip4 = "10.0.2.15",
                      .ip6 = "fec0::5054:ff:fe12:3456",
                      .answer = true,
                      .ignore_ra = true,
                      .room = FAR_QUEUE,
                      .end = &f->first};
}

/* For a look with tshark: FAR_CAPTURE=FOLDER. */
static void capture(struct far *f)
{
    static unsigned number;
    const char *dir = getenv("FAR_CAPTURE");
    char path[512];
    struct err e;

    if (!dir)
        return;
    snprintf(path, sizeof path, "%s/%s-%u-%s.pcapng", dir, program_invocation_short_name, number++, f->port.name);
    if (!net_cable_capture(f->cable, &(struct net_capture_options){.path = path, .only_from = -1}, &e))
        fail_msg("%s", e.msg);
}

void far_plug(struct far *f, struct net_port *to)
{
    struct err e;

    f->cable = net_cable_new(&f->w->env, f->port.name, &f->port, to, &e);
    if (!f->cable)
        fail_msg("cable: %s", e.msg);
    capture(f);
    f->link = true;
}

void far_unplug(struct far *f)
{
    net_cable_free(f->cable);
    f->cable = NULL;
}

void far_free(struct far *f)
{
    world_run(f->w); /* answers that were posted */
    far_unplug(f);
    far_drain(f);
    got_free(f->shown);
    f->shown = NULL;
}

void far_set_room(struct far *f, unsigned frames)
{
    f->room = f->queued + frames;
    if (f->refused && frames) {
        f->refused = false;
        net_port_room(&f->port);
        world_run(f->w);
    }
}

/* --- what came ------------------------------------------------------------------------------------------------------ */

static struct got *unqueue(struct far *f)
{
    struct got *g = f->first;

    if (!g)
        return NULL;
    f->first = g->next;
    if (!f->first)
        f->end = &f->first;
    f->queued--;
    g->next = NULL;
    got_free(f->shown);
    f->shown = g;
    if (f->refused && f->room == FAR_QUEUE)
        far_set_room(f, FAR_QUEUE - f->queued);
    return g;
}

const struct got *far_next(struct far *f)
{
    if (!f->first)
        world_run(f->w);
    return unqueue(f);
}

void far_drain(struct far *f)
{
    while (unqueue(f))
        ;
}

static bool has_frame(void *arg) { return ((struct far *)arg)->first != NULL; }

static bool same_mac(const char *text, const char *got)
{
    uint8_t a[6], b[6];

    mac_parse(text, a);
    mac_parse(got, b);
    return !memcmp(a, b, 6);
}

static bool same_addr(const char *text, const char *got)
{
    uint8_t a[16], b[16];

    return *got && addr_parse(text, a) == addr_parse(got, b) && !memcmp(a, b, 16);
}

/* The first field of p that g does not have; NULL: it matches. */
static const char *differs(const struct pkt *p, const struct got *g)
{
#define GIVEN(field)                                                                                                   \
    if (p->field && p->field != g->field)                                                                              \
    return #field
    if (p->kind != PKT_ANY && p->kind != g->kind)
        return "kind";
    if (p->eth_src && !same_mac(p->eth_src, g->eth_src))
        return "eth_src";
    if (p->eth_dst && !same_mac(p->eth_dst, g->eth_dst))
        return "eth_dst";
    if (p->arp_src_mac && !same_mac(p->arp_src_mac, g->arp_src_mac))
        return "arp_src_mac";
    if (p->arp_dst_mac && !same_mac(p->arp_dst_mac, g->arp_dst_mac))
        return "arp_dst_mac";
    if (p->src && !same_addr(p->src, g->src))
        return "src";
    if (p->dst && !same_addr(p->dst, g->dst))
        return "dst";
    GIVEN(ethertype);
    GIVEN(vlan);
    GIVEN(arp);
    GIVEN(proto);
    GIVEN(ttl);
    GIVEN(tos);
    GIVEN(df);
    GIVEN(more);
    GIVEN(frag_off);
    GIVEN(sport);
    GIVEN(dport);
    GIVEN(seq);
    GIVEN(ack);
    if (p->flags && p->flags != (p->flags & T_PSH ? g->flags : g->flags & ~T_PSH))
        return "flags";
    GIVEN(window);
    GIVEN(urgent);
    GIVEN(mss);
    GIVEN(sack_ok);
    GIVEN(has_ts);
    GIVEN(ts_echo);
    GIVEN(has_wscale);
    GIVEN(wscale);
    GIVEN(type);
    GIVEN(rest);
    GIVEN(gso_size);
#undef GIVEN
    if (p->type && p->code != g->code)
        return "code";
    if (p->zero_window && g->window)
        return "window (zero)";
    if ((p->data || p->len) && p->len != g->len)
        return "len";
    if (p->data && memcmp(p->data, g->data, p->len) != 0)
        return "data";
    return NULL;
}

const struct got *far_expect_at(struct far *f, const struct pkt *p, const char *file, int line)
{
    const struct got *g;
    const char *field;
    char text[256];

    if (!turn_until(f->w, has_frame, f))
        fail_msg("%s:%d: %s received nothing", file, line, f->port.name);
    g = unqueue(f);
    field = differs(p, g);
    if (field)
        fail_msg("%s:%d: %s received another %s: %s", file, line, f->port.name, field, got_text(g, text, sizeof text));
    return g;
}

void far_expect_none_at(struct far *f, const char *file, int line)
{
    const struct got *g = far_next(f);
    char text[256];

    if (g)
        fail_msg("%s:%d: %s received %s", file, line, f->port.name, got_text(g, text, sizeof text));
}
