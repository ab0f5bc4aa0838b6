/*
 * A stream peer that sends anything, in any pieces, to a guest that now and then has no room and sends frames itself.
 *
 * Input: operations of one byte: 0..15 the guest's room, 16..31 a frame from the guest, the others: that many bytes of the
 * input to the peer's socket.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "netstack/cable.h"
#include "netstack/host.h"
#include "netstack/packet.h"
#include "tests/fuzz/machine.h"

static struct net_port guest;
static unsigned room;

static bool receive(struct net_port *p, const struct net_frame *f)
{
    struct packet pk = packet_of(f);
    static uint8_t copy[NET_FRAME_MAX];

    (void)p;
    if (f->len < ETH_HLEN || packet_copy(&pk, 0, copy, f->len) != f->len)
        abort();
    return room && room--;
}

static void guest_sends(unsigned op)
{
    static uint8_t data[1514];
    struct iovec iov = {data, 60 + op * 90};
    struct net_frame f = {.iov = &iov, .iovcnt = 1, .len = iov.iov_len};

    if (!net_port_send(&guest, &f))
        net_port_drop(&guest, 1);
}

static void run(int peer, struct loop *loop, const uint8_t *data, size_t len)
{
    static uint8_t sink[65536];

    while (len) {
        size_t n = *data++;

        len--;
        if (n < 16) {
            room = (unsigned)n;
            net_port_room(&guest);
        } else if (n < 32) {
            guest_sends((unsigned)n - 16);
        } else {
            n = n < len ? n : len;
            if (send(peer, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                break;
            data += n;
            len -= n;
        }
        loop_poll(loop);
        while (recv(peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
            continue;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct net_port_ops ops = {.kind = "guest", .receive = receive};
    struct err e;
    struct net_env env = {.clock = clock_new_fake()};
    struct net_stream_options o = {0};
    struct net_cable *cable;
    struct net_host *host;
    int pair[2];

    guest = (struct net_port){.ops = &ops, .name = "guest", .mtu = NET_MTU_MAX};
    env.loop = loop_new(env.clock, &e);
    if (!env.loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    o.fd = pair[0];
    host = net_host_stream(&env, &o, &e);
    cable = host ? net_cable_new(&env, "cable", &guest, net_host_port(host), &e) : NULL;
    if (!cable)
        abort();
    run(pair[1], env.loop, data, len);
    net_cable_free(cable);
    net_host_free(host);
    close(pair[1]);
    loop_free(env.loop);
    clock_free(env.clock);
    return 0;
}
