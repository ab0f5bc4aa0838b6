/* Cables: what arrives, what is refused, what is lost. */
#include "base/clock.h"
#include "netstack/cable.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

static struct clock *ck;
static struct test_port a, b;
static struct net_cable *cable;
static struct made_frame m;

static void begin(unsigned can_a, unsigned can_b)
{
    struct net_env env;
    struct err e;

    ck = clock_new_fake();
    env = (struct net_env){.clock = ck};
    tp_init(&a, "a", can_a);
    tp_init(&b, "b", can_b);
    cable = net_cable_new(&env, "cable", &a.port, &b.port, &e);
    CHECK(cable);
}

static void end(void)
{
    net_cable_free(cable);
    tp_clear(&a);
    tp_clear(&b);
    clock_free(ck);
}

static const uint8_t hello[60] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5, 'h', 'i'};

static void both_ends_are_alike(void **state)
{
    (void)state;
    begin(0, 0);
    CHECK_EQ(a.link_up, 1);
    CHECK_EQ(b.link_up, 1);
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK(tp_send(&b, hello, 30));
    CHECK_EQ(a.count, 1);
    CHECK_EQ(b.count, 1);
    CHECK_EQ(a.got[0].len, 30);
    CHECK_EQ(b.got[0].len, sizeof hello);
    assert_memory_equal(b.got[0].data, hello, sizeof hello);
    CHECK_EQ(a.port.sent.frames, 1);
    CHECK_EQ(a.port.sent.bytes, 60);
    CHECK_EQ(b.port.sent.bytes, 30);
    assert_ptr_equal(net_port_peer(&a.port), &b.port);
    assert_ptr_equal(net_port_peer(&b.port), &a.port);
    b.port.mtu = 900;
    CHECK_EQ(net_port_mtu(&a.port), 900);
    CHECK_EQ(net_port_mtu(&b.port), 900);
    end();
    CHECK(!net_port_peer(&a.port));
    CHECK_EQ(net_port_mtu(&a.port), 1500);
}

static void a_port_takes_one_cable(void **state)
{
    struct net_env env = {0};
    struct test_port c;
    struct err e;

    (void)state;
    begin(0, 0);
    tp_init(&c, "c", 0);
    CHECK(!net_cable_new(&env, "second", &a.port, &c.port, &e));
    CHECK(!net_cable_new(&env, "loop", &c.port, &c.port, &e));
    CHECK(!c.port.cable);
    end();
}

static void refused_until_there_is_room(void **state)
{
    (void)state;
    begin(0, 0);
    b.room = 1;
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK(!tp_send(&a, hello, sizeof hello));
    CHECK(a.port.full);
    CHECK_EQ(a.port.sent.frames, 1);
    CHECK_EQ(a.ready, 0);
    b.room = -1;
    net_port_room(&b.port);
    CHECK_EQ(a.ready, 1);
    CHECK(!a.port.full);
    net_port_room(&b.port); /* nobody waits for it */
    CHECK_EQ(a.ready, 1);
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK_EQ(b.count, 2);
    end();
}

static void lost_without_a_cable_or_with_the_link_down(void **state)
{
    (void)state;
    begin(0, 0);
    b.room = 0;
    CHECK(!tp_send(&a, hello, sizeof hello));
    net_cable_set_link(cable, false);
    CHECK_EQ(a.link_down, 1);
    CHECK_EQ(b.link_down, 1);
    CHECK_EQ(a.ready, 1); /* who had been refused does not wait for ever */
    CHECK(!net_port_up(&a.port));
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK_EQ(a.port.sent.dropped, 1);
    net_cable_set_link(cable, true);
    CHECK_EQ(a.link_up, 2);
    CHECK(net_port_up(&b.port));
    b.room = -1;
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK_EQ(b.count, 1);
    end();
    CHECK_EQ(a.link_down, 2);
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK_EQ(a.port.sent.dropped, 2);
}

static void malformed_frames_are_lost(void **state)
{
    (void)state;
    begin(0, NET_CAN_ALL);
    CHECK(tp_send(&a, hello, 13));
    make_frame(&m, NET_GSO_TCP4, 3000, true);
    m.f.gso = NET_GSO_TCP4; /* gso_size 0 */
    CHECK(net_port_send(&a.port, &m.f));
    m.f.gso_size = 1000;
    m.f.gso = NET_GSO_TCP6; /* not what the headers say */
    CHECK(net_port_send(&a.port, &m.f));
    m.f.gso = NET_GSO_UDP4;
    CHECK(net_port_send(&a.port, &m.f));
    m.f.gso = 9;
    CHECK(net_port_send(&a.port, &m.f));
    m.f.gso = NET_GSO_TCP4;
    m.f.csum_start++; /* not where the TCP header is */
    CHECK(net_port_send(&a.port, &m.f));
    m.f.csum_start = 0xffff;
    CHECK(net_port_send(&a.port, &m.f));
    m.f.csum_start--;
    m.f.gso = NET_GSO_NONE;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 0);
    CHECK_EQ(a.port.sent.dropped, 8);
    CHECK_EQ(a.port.sent.frames, 0);
    end();
}

static void longer_than_the_receiver_takes_is_lost(void **state)
{
    (void)state;
    begin(0, NET_CAN_ALL);
    make_frame(&m, NET_GSO_UDP4, 1500 - 28, false);
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 1);
    make_frame(&m, NET_GSO_UDP4, 1500 - 27, false);
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 1);
    CHECK_EQ(a.port.sent.dropped, 1);
    b.port.mtu = 1501; /* may change */
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 2);
    make_frame(&m, NET_GSO_TCP4, 9000, true); /* segments of 1502 bytes */
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1502 - 40;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 2);
    m.f.gso_size = 1501 - 40;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 3);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_are_alike),
        cmocka_unit_test(a_port_takes_one_cable),
        cmocka_unit_test(refused_until_there_is_room),
        cmocka_unit_test(lost_without_a_cable_or_with_the_link_down),
        cmocka_unit_test(malformed_frames_are_lost),
        cmocka_unit_test(longer_than_the_receiver_takes_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
