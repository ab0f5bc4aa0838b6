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

static void send_segments(unsigned count)
{
    make_frame(&m, NET_GSO_TCP4, (size_t)count * 1000, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
}

/* Each room from 0 to all: no segment is lost, none repeated, and the sender's buffer is not needed any more. */
static void refused_in_the_midst_of_segments(void **state)
{
    (void)state;
    for (int room = 0; room <= 5; room++) {
        begin(0, 0);
        send_segments(5);
        b.room = room;
        CHECK_EQ(net_port_send(&a.port, &m.f), room > 0);
        CHECK_EQ(b.count, room);
        if (room && room < 5) {
            CHECK(!tp_send(&a, hello, sizeof hello)); /* it would overtake them */
            CHECK(a.port.full);
        }
        memset(m.data + m.payload, 0x77, 5000); /* the sender does what it likes with its buffer */
        b.room = 1;
        net_port_room(&b.port);
        CHECK_EQ(b.count, room == 0 || room == 5 ? room : room + 1);
        b.room = -1;
        net_port_room(&b.port);
        if (room)
            CHECK_EQ(b.count, 5);
        for (unsigned i = 0; i < b.count; i++) {
            CHECK_EQ(ld32be(b.got[i].data + m.l4 + 4), 1000 + i * 1000);
            CHECK(b.got[i].data[m.payload] != 0x77);
            CHECK(!frame_wrong(b.got[i].data, b.got[i].len));
        }
        CHECK_EQ(a.port.sent.frames, room > 0);
        CHECK_EQ(a.ready, room < 5);
        CHECK(!a.port.full);
        CHECK(tp_send(&a, hello, sizeof hello));
        end();
    }
}

static void what_was_kept_is_lost_with_the_link(void **state)
{
    (void)state;
    begin(0, 0);
    send_segments(5);
    b.room = 2;
    CHECK(net_port_send(&a.port, &m.f));
    net_cable_set_link(cable, false);
    CHECK_EQ(a.port.sent.dropped, 1);
    net_cable_set_link(cable, true);
    b.room = -1;
    net_port_room(&b.port);
    CHECK_EQ(b.count, 2);
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK_EQ(b.count, 3);
    end();
}

static void answer(struct test_port *t, const struct net_frame *f)
{
    (void)f;
    if (!tp_send(t, hello, sizeof hello))
        t->refused++;
}

/* A receiver that answers each segment at once, and a sender that sends more at each answer. */
static void answers_from_within_receive(void **state)
{
    (void)state;
    begin(0, 0);
    b.on_frame = answer;
    send_segments(4);
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 4);
    CHECK_EQ(a.count, 4);
    end();
}

static void nothing_comes_between_segments(void **state)
{
    (void)state;
    begin(0, 0);
    b.on_frame = answer;
    a.on_frame = answer;
    send_segments(4);
    CHECK(net_port_send(&a.port, &m.f));
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(b.got[i].len, m.payload + 1000);
    CHECK_EQ(a.refused, 4);
    CHECK_EQ(a.ready, 1); /* and hears when it may */
    end();
}

static void two_that_answer_each_other_do_not_hang(void **state)
{
    (void)state;
    begin(0, 0);
    a.on_frame = b.on_frame = answer;
    CHECK(tp_send(&a, hello, sizeof hello));
    CHECK(a.count + b.count > 4);
    CHECK(a.count + b.count < 64);
    end();
}

static void keep_sending(struct test_port *t)
{
    while (tp_send(t, hello, sizeof hello) && t->port.sent.frames < 100)
        ;
}

static void send_more_when_ready(void **state)
{
    (void)state;
    begin(0, 0);
    a.on_ready = keep_sending;
    b.room = 0;
    CHECK(!tp_send(&a, hello, sizeof hello));
    for (unsigned i = 0; i < 200 && b.count < 100; i++) {
        b.room = 3;
        net_port_room(&b.port);
    }
    CHECK_EQ(b.count, 100);
    end();
}

static void a_receiver_that_is_full_is_not_asked_again_and_again(void **state)
{
    (void)state;
    begin(0, 0);
    a.on_ready = keep_sending;
    b.room = 0;
    CHECK(!tp_send(&a, hello, sizeof hello));
    b.room = 3;
    net_port_room(&b.port);
    CHECK_EQ(b.count, 3);
    CHECK_EQ(b.refused, 2);
    CHECK_EQ(clock_next(ck), CLOCK_NEVER);
    clock_advance(ck, NS_PER_SEC);
    CHECK_EQ(b.refused, 2);
    CHECK_EQ(a.ready, 1);
    a.on_ready = NULL;
    end();
}

static void unplugged_ports_hear_of_it(void **state)
{
    (void)state;
    begin(0, 0);
    net_cable_free(cable);
    cable = NULL;
    CHECK_EQ(a.link_down, 1);
    CHECK_EQ(b.link_down, 1);
    CHECK(!net_port_up(&a.port));
    net_port_room(&a.port); /* harmless */
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
        cmocka_unit_test(refused_in_the_midst_of_segments),
        cmocka_unit_test(what_was_kept_is_lost_with_the_link),
        cmocka_unit_test(answers_from_within_receive),
        cmocka_unit_test(nothing_comes_between_segments),
        cmocka_unit_test(two_that_answer_each_other_do_not_hang),
        cmocka_unit_test(send_more_when_ready),
        cmocka_unit_test(a_receiver_that_is_full_is_not_asked_again_and_again),
        cmocka_unit_test(unplugged_ports_hear_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
