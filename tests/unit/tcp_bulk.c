#include "tests/unit/tcp_bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/nat_tcp_int.h"

enum { BUF = 256 << 10 };

static void begin(struct bulk *b)
{
    struct nat_config c = {.host_loopback = true, .mtu = b->c.mss + 40u, .resolv_conf = "/dev/null"};
    uint16_t port = 0;
    struct err e;

    world_init(&b->w);
    b->nat = nat_new(&b->w.env, &c, &e);
    if (!b->nat)
        fail_msg("%s", e.msg);
    b->nat->tcp->no_peek_off = b->no_peek_off;
    b->listener = host_listen(AF_INET, &port);
    b->c.port = 40000;
    b->c.dport = port;
    b->fd = -1;
    tcp_model_init(&b->m, &b->w.env, &b->c);
    b->cable = net_cable_new(&b->w.env, "bulk", &b->m.port, nat_port(b->nat), &e);
    if (!b->cable)
        fail_msg("%s", e.msg);
    net_cable_set_impair(b->cable, &b->impair);
    b->buf = malloc(3 * BUF);
    b->want = b->buf + BUF;
    b->out = b->want + BUF;
}

/* false: nothing was there. */
static bool host_reads(struct bulk *b)
{
    size_t size = b->host_reads && b->host_reads < BUF ? b->host_reads : BUF;
    ssize_t n = b->host_end ? -1 : recv(b->fd, b->buf, size, MSG_DONTWAIT);

    if (!n) {
        b->host_end = true;
        return true;
    }
    if (n < 0) {
        if (!b->host_end && errno != EAGAIN)
            fail_msg("the host's recv: %s", strerror(errno));
        return false;
    }
    model_data(0, b->got, b->want, (size_t)n);
    if (memcmp(b->buf, b->want, (size_t)n) != 0)
        fail_msg("wrong data at %llu", (unsigned long long)b->got);
    b->got += (uint64_t)n;
    return true;
}

static bool host_writes(struct bulk *b)
{
    uint64_t left = b->c.receive - b->sent;
    ssize_t n;

    if (!left)
        return false;
    if (!b->ready) {
        b->ready = left < BUF ? (size_t)left : BUF;
        model_data(1, b->sent, b->out, b->ready);
        b->next = b->out;
    }
    n = send(b->fd, b->next, b->ready, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            fail_msg("the host's send: %s", strerror(errno));
        return false;
    }
    b->sent += (uint64_t)n;
    b->next += n;
    b->ready -= (size_t)n;
    if (b->sent == b->c.receive)
        shutdown(b->fd, SHUT_WR);
    return true;
}

static bool host(struct bulk *b)
{
    bool busy = false;

    if (b->fd < 0) {
        b->fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (b->fd >= 0 && !b->c.receive)
            shutdown(b->fd, SHUT_WR);
        return b->fd >= 0;
    }
    for (unsigned i = 0; i < 8 && host_writes(b); i++)
        busy = true;
    if (b->lazy && b->turns % 8)
        return busy;
    return host_reads(b) || busy;
}

static void nothing(void *arg) { (void)arg; }

static void turn(struct bulk *b)
{
    loop_post(b->w.env.loop, nothing, NULL);
    loop_turn(b->w.env.loop);
    tcp_model_run(&b->m);
    b->turns++;
}

/* Fake time to the next thing that happens by itself. */
static uint64_t until_next(struct bulk *b)
{
    uint64_t now = clock_now(b->w.env.clock), next = clock_next(b->w.env.clock);

    if (b->m.rto_at < next)
        next = b->m.rto_at;
    if (b->lazy && next > now + 100000)
        next = now + 100000;
    return next > now + 5000 && next != CLOCK_NEVER ? next - now : 5000;
}

/* Both ends have everything; what the last losses still need, and TIME_WAIT. */
static void end(struct bulk *b, uint64_t patience)
{
    struct nat_counts c;

    for (nat_counts(b->nat, &c); c.tcp && clock_now(b->w.env.clock) < patience; nat_counts(b->nat, &c)) {
        turn(b);
        clock_advance(b->w.env.clock, until_next(b));
    }
    CHECK_EQ(c.tcp, 0);
    CHECK_EQ(c.sockets, 0);
    CHECK_EQ(c.memory, 0);
    net_cable_free(b->cable);
    nat_free(b->nat);
    tcp_model_free(&b->m);
    world_free(&b->w);
    close(b->listener);
    free(b->buf);
}

void bulk_run(struct bulk *b, uint64_t patience)
{
    begin(b);
    while (!(tcp_model_sent(&b->m) && tcp_model_received(&b->m) && b->host_end)) {
        uint64_t frames = b->m.port.sent.frames + nat_port(b->nat)->sent.frames;

        turn(b);
        if (!host(b) && frames == b->m.port.sent.frames + nat_port(b->nat)->sent.frames)
            clock_advance(b->w.env.clock, until_next(b)); /* nothing to do but to wait */
        else
            clock_advance(b->w.env.clock, 5000);
        if (b->m.state == MODEL_RESET || clock_now(b->w.env.clock) > patience)
            fail_msg("%s after %llu ms: sent %llu of %llu, got %llu of %llu", b->m.state == MODEL_RESET ? "reset" : "stuck",
                     (unsigned long long)(clock_now(b->w.env.clock) / 1000000), (unsigned long long)b->m.una,
                     (unsigned long long)b->c.send, (unsigned long long)b->m.rcv, (unsigned long long)b->c.receive);
    }
    b->guest_time = clock_now(b->w.env.clock);
    b->sent_again = b->nat->tcp->c.retransmits;
    CHECK_EQ(b->got, b->c.send);
    CHECK_EQ(b->m.rcv, b->c.receive + 2);
    CHECK_EQ(b->m.bad, 0);
    close(b->fd);
    end(b, patience + 100 * NS_PER_SEC);
}
