/*
 * Speed of the NAT engine alone: no guest, 64 kB segments at its port, a peer on the loopback. Run by `make bench-nat`.
 *
 * One thread is the engine and the guest's end of the cable (tests/unit/tcp_model.c, which copies nothing here); its CPU
 * time is what counts as one core. The peer is a thread of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/nat.h"
#include "netstack/packet.h"
#include "tests/unit/net_driver.h"
#include "tests/unit/tcp_model.h"

enum { PEER_BUF = 256 << 10, TURNS = 16 };

struct bench {
    struct net_env env;
    struct nat *nat;
    struct tcp_model m;
    struct net_cable *cable;
    struct timer timer;
};

struct peer {
    int listener;
    uint16_t port;
    uint64_t send, receive;
    pthread_t thread;
};

static void die(const char *what)
{
    fprintf(stderr, "nat_speed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double seconds(const struct timespec *t) { return (double)t->tv_sec + (double)t->tv_nsec / 1e9; }

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return seconds(&t);
}

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return seconds(&t);
}

/* --- the peer ------------------------------------------------------------------------------------------------------ */

static int listen_any(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

static void *bulk_peer(void *arg)
{
    struct peer *p = arg;
    uint64_t left = p->send;
    char *buf = calloc(1, PEER_BUF);
    int fd = accept(p->listener, NULL, NULL);
    ssize_t n;

    if (!buf || fd < 0)
        die("accept");
    while (left && (n = write(fd, buf, left < PEER_BUF ? left : PEER_BUF)) > 0)
        left -= (uint64_t)n;
    shutdown(fd, SHUT_WR);
    while (read(fd, buf, PEER_BUF) > 0)
        ;
    close(fd);
    free(buf);
    return NULL;
}

static void *short_peer(void *arg)
{
    struct peer *p = arg;

    for (;;) {
        int fd = accept(p->listener, NULL, NULL);

        if (fd < 0)
            return NULL;
        close(fd);
    }
}

static void peer_begin(struct peer *p, void *(*fn)(void *))
{
    p->listener = listen_any(&p->port);
    if (pthread_create(&p->thread, NULL, fn, p))
        die("thread");
}

static void peer_end(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

/* --- the engine ---------------------------------------------------------------------------------------------------- */

static void begin(struct bench *b, uint32_t mtu)
{
    struct nat_config c = {.host_loopback = true, .mtu = mtu, .resolv_conf = "/dev/null"};
    struct err e;

    b->env.clock = clock_new_real();
    b->env.loop = loop_new(b->env.clock, &e);
    b->env.log = log_new();
    b->env.gate = gate_new(b->env.clock);
    b->nat = nat_new(&b->env, &c, &e);
    if (!b->nat)
        die(e.msg);
}

static void plug(struct bench *b, struct net_port *p)
{
    struct err e;

    b->cable = net_cable_new(&b->env, "bench", p, nat_port(b->nat), &e);
    if (!b->cable)
        die(e.msg);
}

static void end(struct bench *b)
{
    net_cable_free(b->cable);
    nat_free(b->nat);
    gate_free(b->env.gate);
    log_free(b->env.log);
    loop_free(b->env.loop);
    clock_free(b->env.clock);
}

static void nothing(void *arg) { (void)arg; }

/* Something happens, or the guest's timer runs out. */
static void turn(struct bench *b)
{
    timer_arm(&b->timer, b->m.rto_at);
    loop_turn(b->env.loop);
}

static void bulk(const char *what, uint32_t mtu, uint64_t send, uint64_t receive)
{
    struct tcp_model_config c = {.send = send, .receive = receive, .port = 40000, .mss = (uint16_t)(mtu - 40),
                                 .window = 4 << 20, .sack = true, .scale = true, .no_verify = true};
    struct bench b;
    struct peer p = {.send = receive, .receive = send};
    double wall, used, bits = 8e-9 * (double)(send + receive);
    struct rusage ru[2];

    c.frame = c.mss > 32768 ? c.mss : 65435u / c.mss * c.mss;
    peer_begin(&p, bulk_peer);
    c.dport = p.port;
    begin(&b, mtu);
    tcp_model_init(&b.m, &b.env, &c);
    plug(&b, &b.m.port);
    timer_init(&b.timer, b.env.clock, nothing, NULL);
    wall = now();
    used = cpu();
    getrusage(RUSAGE_THREAD, &ru[0]);
    while (!(tcp_model_sent(&b.m) && tcp_model_received(&b.m)) && b.m.state != MODEL_RESET) {
        tcp_model_run(&b.m);
        turn(&b);
    }
    wall = now() - wall;
    used = cpu() - used;
    getrusage(RUSAGE_THREAD, &ru[1]);
    printf("%-16s mtu %5u  %6.2f Gbit/s  (%.2f for each second of the engine's core; user %.2f s, system %.2f s of %.2f s)\n", what,
           mtu, bits / wall, bits / used,
           (double)(ru[1].ru_utime.tv_sec - ru[0].ru_utime.tv_sec) + 1e-6 * (double)(ru[1].ru_utime.tv_usec - ru[0].ru_utime.tv_usec),
           (double)(ru[1].ru_stime.tv_sec - ru[0].ru_stime.tv_sec) + 1e-6 * (double)(ru[1].ru_stime.tv_usec - ru[0].ru_stime.tv_usec),
           wall);
    if (b.m.state == MODEL_RESET || b.m.retransmitted)
        printf("  %s, %llu frames sent again\n", b.m.state == MODEL_RESET ? "reset" : "done", (unsigned long long)b.m.retransmitted);
    if (getenv("NAT_INFO"))
        nat_info(b.nat, true, stdout);
    fflush(stdout);
    end(&b);
    tcp_model_free(&b.m);
    peer_end(&p);
}

/* --- connections ------------------------------------------------------------------------------------------------------ */

enum { CALLS = 64 }; /* at once */

struct call {
    uint16_t port;
    uint32_t seq, ack;
    bool due;
    uint8_t flags; /* of the segment that is due */
};

struct caller {
    struct net_port port;
    struct call call[CALLS];
    uint16_t next_port, dport;
    unsigned started, done, wanted;
};

static void start(struct caller *c, struct call *k)
{
    bool more = c->started < c->wanted;

    *k = (struct call){.port = c->next_port, .seq = c->started * 64000u, .due = more, .flags = T_SYN};
    c->next_port = c->next_port == 65535 ? 1024 : (uint16_t)(c->next_port + 1);
    c->started += more;
}

static void send_call(struct caller *c, struct call *k)
{
    static const uint8_t ip[20] = {0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2};
    uint8_t h[54] = {0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0};
    struct iovec iov = {h, sizeof h};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = sizeof h, .flags = NET_CSUM_PARTIAL, .csum_start = 34, .csum_offset = 16};

    memcpy(h + 14, ip, 20);
    st16be(h + 24, sum_of(0, h + 14, 20));
    st16be(h + 34, k->port);
    st16be(h + 36, c->dport);
    st32be(h + 38, k->seq);
    st32be(h + 42, k->flags & T_ACK ? k->ack : 0);
    h[46] = 0x50;
    h[47] = k->flags;
    st16be(h + 48, 65535);
    st16be(h + 50, (uint16_t)~sum_of(sum_pseudo(true, h + 26, h + 30, 6, 20), NULL, 0));
    k->due = !net_port_send(&c->port, &f);
}

static bool caller_receive(struct net_port *p, const struct net_frame *f)
{
    struct caller *c = p->arg;
    uint8_t h[54];
    struct packet r = packet_of(f);

    if (packet_copy(&r, 0, h, sizeof h) < sizeof h || h[23] != 6)
        return true;
    for (struct call *k = c->call; k < c->call + CALLS; k++) {
        if (k->port != ld16be(h + 36))
            continue;
        if (h[47] & T_SYN) {
            k->seq++;
            k->ack = ld32be(h + 38) + 1;
            k->flags = T_ACK;
            k->due = true;
        } else if (h[47] & T_FIN) {
            k->ack++;
            k->flags = T_FIN | T_ACK;
            k->due = true;
        } else if (ld32be(h + 42) == k->seq + 1 && k->flags & T_FIN) {
            c->done++;
            start(c, k);
        }
        break;
    }
    return true;
}

static void connections(unsigned n)
{
    static const struct net_port_ops ops = {"caller", caller_receive, NULL, NULL};
    struct caller c = {.next_port = 1024, .wanted = n};
    struct bench b;
    struct peer p = {0};
    double wall, used;

    c.port = (struct net_port){.ops = &ops, .arg = &c, .name = "caller", .can = NET_CAN_ALL, .mtu = 1500};
    peer_begin(&p, short_peer);
    c.dport = p.port;
    begin(&b, 1500);
    plug(&b, &c.port);
    for (unsigned i = 0; i < CALLS; i++)
        start(&c, &c.call[i]);
    wall = now();
    used = cpu();
    while (c.done < n) {
        for (unsigned i = 0; i < CALLS; i++)
            if (c.call[i].due)
                send_call(&c, &c.call[i]);
        if (c.done < n)
            loop_turn(b.env.loop);
    }
    wall = now() - wall;
    used = cpu() - used;
    printf("connections      opened and closed: %.0f a second (%.0f for each second of the engine's core)\n", n / wall, n / used);
    end(&b);
    peer_end(&p);
}

int main(int argc, char **argv)
{
    uint64_t size = (argc > 1 ? strtoull(argv[1], NULL, 0) : 8) << 30;

    bulk("guest to host", 1500, size, 0);
    bulk("host to guest", 1500, 0, size);
    bulk("guest to host", 65535, size, 0);
    bulk("host to guest", 65535, 0, size);
    connections(argc > 2 ? (unsigned)atoi(argv[2]) : 20000);
    return 0;
}
