/* Frames that a host's stack left unfinished, as libpcap shows them. */
#include "netstack/cable.h"
#include "netstack/host_int.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

static struct made_frame m;

/* What arrives when the mended frame goes to a receiver that can nothing. */
static void through_a_cable(struct test_port *b)
{
    struct clock *ck = clock_new_fake();
    struct net_env env = {.clock = ck};
    struct test_port a;
    struct net_cable *c;
    struct err e;

    tp_init(&a, "a", 0);
    tp_init(b, "b", 0);
    c = net_cable_new(&env, "c", &a.port, &b->port, &e);
    CHECK(net_port_send(&a.port, &m.f));
    net_cable_free(c);
    clock_free(ck);
}

static void a_right_frame_stays_as_it_is(void **state)
{
    (void)state;
    for (unsigned k = NET_GSO_TCP4; k <= NET_GSO_UDP6; k++) {
        make_frame(&m, k, 100, false);
        CHECK(host_repair(&m.f, 1500));
        CHECK_EQ(m.f.flags, 0);
        CHECK_EQ(m.f.gso, 0);
        CHECK_EQ(m.f.len, m.iov.iov_len);
    }
}

static void a_pseudo_headers_sum_is_completed(void **state)
{
    struct test_port b;

    (void)state;
    for (unsigned k = NET_GSO_TCP4; k <= NET_GSO_UDP6; k++) {
        make_frame(&m, k, 101, true);
        m.f = (struct net_frame){.iov = &m.iov, .iovcnt = 1, .len = m.f.len};
        CHECK(host_repair(&m.f, 1500));
        CHECK_EQ(m.f.flags, NET_CSUM_PARTIAL);
        through_a_cable(&b);
        CHECK_EQ(b.count, 1);
        CHECK(!frame_wrong(b.got[0].data, b.got[0].len));
        tp_clear(&b);
    }
}

/* A frame of 60 bytes whose padding is not part of the datagram. */
static void padding_is_left_out(void **state)
{
    struct test_port b;

    (void)state;
    make_frame(&m, NET_GSO_UDP4, 2, true);
    memset(m.data + m.f.len, 0xee, 60 - m.f.len);
    m.iov.iov_len = 60;
    m.f = (struct net_frame){.iov = &m.iov, .iovcnt = 1, .len = 60};
    CHECK(host_repair(&m.f, 1500));
    through_a_cable(&b);
    CHECK_EQ(b.got[0].len, 44);
    CHECK(!frame_wrong(b.got[0].data, 44));
    tp_clear(&b);
}

static void joined_tcp_segments_are_parted(void **state)
{
    struct test_port b;

    (void)state;
    for (unsigned k = NET_GSO_TCP4; k <= NET_GSO_TCP6; k++) {
        size_t at = 0;

        make_frame(&m, k, 20000, true);
        m.f = (struct net_frame){.iov = &m.iov, .iovcnt = 1, .len = m.f.len};
        CHECK(host_repair(&m.f, 1500));
        through_a_cable(&b);
        for (unsigned i = 0; i < b.count; i++) {
            CHECK(b.got[i].len <= 1514);
            CHECK(!frame_wrong(b.got[i].data, b.got[i].len));
            CHECK(!memcmp(b.got[i].data + m.payload, m.data + m.payload + at, b.got[i].len - m.payload));
            at += b.got[i].len - m.payload;
        }
        CHECK_EQ(at, 20000);
        tp_clear(&b);
    }
}

static void joined_datagrams_are_beyond_repair(void **state)
{
    (void)state;
    make_frame(&m, NET_GSO_UDP4, 3000, true);
    CHECK(!host_repair(&m.f, 1500));
    make_frame(&m, NET_GSO_UDP6, 1453, false);
    CHECK(!host_repair(&m.f, 1500));
    make_frame(&m, NET_GSO_UDP6, 1452, false);
    CHECK(host_repair(&m.f, 1500));
    st16be(m.data + 12, 0x88b5); /* no IP at all */
    CHECK(host_repair(&m.f, 1500));
    m.f.len++;
    CHECK(!host_repair(&m.f, 1500));
}

static void fragments_and_rubbish_are_left_alone(void **state)
{
    (void)state;
    make_frame(&m, NET_GSO_UDP4, 100, true);
    m.f.flags = 0;
    m.data[m.l3 + 6] = 0x20;
    CHECK(host_repair(&m.f, 1500));
    CHECK_EQ(m.f.flags, 0);
    for (size_t len = ETH_HLEN; len < 60; len++) {
        make_frame(&m, NET_GSO_TCP6, 100, true);
        m.f = (struct net_frame){.iov = &m.iov, .iovcnt = 1, .len = len};
        CHECK(host_repair(&m.f, 1500));
        CHECK_EQ(m.f.flags, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_frame_stays_as_it_is),
        cmocka_unit_test(a_pseudo_headers_sum_is_completed),
        cmocka_unit_test(padding_is_left_out),
        cmocka_unit_test(joined_tcp_segments_are_parted),
        cmocka_unit_test(joined_datagrams_are_beyond_repair),
        cmocka_unit_test(fragments_and_rubbish_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
