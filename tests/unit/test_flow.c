/* Flows as what spreads frames over queues sees them: netstack/flow.h. */
#include <stdlib.h>
#include <string.h>

#include "netstack/flow.h"
#include "tests/unit/net_driver.h"

static struct world w;
static struct far far;

static struct net_frame built(const struct pkt *p)
{
    static uint8_t buf[4][NET_FRAME_MAX];
    static struct iovec iov[4];
    static unsigned next;
    unsigned i = next++ % 4;

    iov[i] = (struct iovec){buf[i], far_build(&far, p, buf[i])};
    return (struct net_frame){.iov = &iov[i], .iovcnt = 1, .len = iov[i].iov_len};
}

static uint32_t hash(const struct pkt *p)
{
    struct net_frame f = built(p);

    return net_flow_hash(&f);
}

static void begin(void)
{
    world_init(&w);
    far_init(&far, &w, "far");
}

static void end(void)
{
    far_free(&far);
    world_free(&w);
}

static void both_directions_are_one_flow(void **state)
{
    (void)state;
    begin();
    CHECK_EQ(hash(PKT(TCP, .src = "10.0.2.15", .dst = "192.0.2.1", .sport = 1000, .dport = 80, TEXT("a"))),
             hash(PKT(TCP, .src = "192.0.2.1", .dst = "10.0.2.15", .sport = 80, .dport = 1000, .flags = T_ACK)));
    CHECK_EQ(hash(PKT(UDP, .src = "fec0::1", .dst = "2001:db8::1", .sport = 1000, .dport = 53, .vlan = 7)),
             hash(PKT(UDP, .src = "2001:db8::1", .dst = "fec0::1", .sport = 53, .dport = 1000)));
    CHECK_EQ(hash(PKT(ETH, .eth_src = "52:54:00:00:00:01", .eth_dst = "52:54:00:00:00:02", .ethertype = 0x88cc)),
             hash(PKT(ETH, .eth_src = "52:54:00:00:00:02", .eth_dst = "52:54:00:00:00:01", .ethertype = 0x88cc)));
    end();
}

static void flows_spread_over_the_queues(void **state)
{
    unsigned hits[4] = {0};

    (void)state;
    begin();
    for (unsigned i = 0; i < 400; i++)
        hits[hash(PKT(TCP, .src = "10.0.2.15", .dst = "192.0.2.1", .sport = (uint16_t)(40000 + i), .dport = 80)) % 4]++;
    for (unsigned i = 0; i < 4; i++)
        CHECK(hits[i] > 60 && hits[i] < 140);
    end();
}

static void fragments_of_a_datagram_stay_together(void **state)
{
    uint32_t first = 0;
    uint8_t buf[NET_FRAME_MAX];

    (void)state;
    begin();
    for (unsigned i = 0; i < 2; i++) { /* what a fragment has where the ports would be differs */
        size_t n = far_build(&far,
                             PKT(IP, .dst = "192.0.2.1", .proto = 17, .more = !i, .frag_off = (uint16_t)(i * 8),
                                 .data = i ? "second one" : "the first.", .len = 10),
                             buf);
        struct iovec iov = {buf, n};
        uint32_t h = net_flow_hash(&(struct net_frame){.iov = &iov, .iovcnt = 1, .len = n});

        if (i)
            CHECK_EQ(h, first);
        first = h;
    }
    end();
}

static void truncated_frames_are_hashed_too(void **state)
{
    struct net_frame f;

    (void)state;
    begin();
    f = built(PKT(TCP, .dst = "192.0.2.1", .sport = 1, .dport = 2));
    for (size_t n = f.len; n--;) {
        uint8_t *exact = malloc(n + 1); /* the sanitizer sees what is read beyond */
        struct iovec iov = {exact, n};

        memcpy(exact, f.iov->iov_base, n);
        net_flow_hash(&(struct net_frame){.iov = &iov, .iovcnt = 1, .len = n});
        free(exact);
    }
    end();
}

static void ipv6_is_told_behind_tags(void **state)
{
    struct net_frame f;

    (void)state;
    begin();
    f = built(PKT(UDP, .dst = "2001:db8::1", .vlan = 5));
    CHECK(net_flow_ip6(&f));
    f = built(PKT(UDP, .dst = "192.0.2.1"));
    CHECK(!net_flow_ip6(&f));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_are_one_flow),
        cmocka_unit_test(flows_spread_over_the_queues),
        cmocka_unit_test(fragments_of_a_datagram_stay_together),
        cmocka_unit_test(truncated_frames_are_hashed_too),
        cmocka_unit_test(ipv6_is_told_behind_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
