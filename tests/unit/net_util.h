/*
 * What tests of networks share: a port that keeps what it receives and refuses when told to, and hand-made frames.
 */
#ifndef TESTS_UNIT_NET_UTIL_H
#define TESTS_UNIT_NET_UTIL_H

#include "base/clock.h"
#include "netstack/cable.h"
#include "netstack/packet.h"

enum { TP_FRAMES = 512 };

struct test_frame {
    uint8_t *data;
    size_t len;
    uint8_t flags, gso;
    uint16_t gso_size, csum_start, csum_offset;
    uint64_t when; /* ns, of the port's clock when it has one */
};

struct test_port {
    struct net_port port; /* first */
    struct clock *clock;
    struct test_frame got[TP_FRAMES]; /* beyond them: counted only */
    unsigned count;
    int room;       /* frames it takes before it refuses; -1: any number */
    unsigned refused, ready, link_up, link_down;
    /* Called for each frame that was taken, when set. */
    void (*on_frame)(struct test_port *t, const struct net_frame *f);
    void (*on_ready)(struct test_port *t);
    void *arg;
};

void tp_init(struct test_port *t, const char *name, unsigned can); /* mtu 1500, any room */
void tp_clear(struct test_port *t);                                /* forget the frames; also the end of it */
/* Send these bytes as they are. */
bool tp_send(struct test_port *t, const void *data, size_t len);

/*
 * A TCP or UDP frame over IPv4 or IPv6 with payload bytes 0, 1, 2, ...: from 52:54:00:00:00:01, 10.0.2.15 or
 * fec0::15, port 1000, to 52:54:00:00:00:02, 10.0.2.2 or fec0::2, port 80; TCP: sequence number 1000, ACK|PSH. Checksums
 * are right, or with partial the pseudo-header's sum. The frame points into m.
 */
struct made_frame {
    struct net_frame f;
    struct iovec iov;
    unsigned l3, l4, payload; /* offsets */
    uint8_t data[NET_FRAME_MAX];
};
void make_frame(struct made_frame *m, enum net_gso kind, size_t payload, bool partial);
/* Right IP header checksum (when there is one), lengths and L4 checksum of an untagged frame: NULL, or what is wrong. */
const char *frame_wrong(const uint8_t *data, size_t len);

#endif
