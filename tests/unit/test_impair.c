/* Impairment: rates of loss, times of arrival, bounds, and that runs repeat. */
#include "base/clock.h"
#include "netstack/cable.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

#define MS (NS_PER_SEC / 1000)

static struct clock *ck;
static struct test_port a, b;
static struct net_cable *cable;
static struct made_frame m;

static void begin(const struct net_impair *i)
{
    struct net_env env;
    struct err e;

    ck = clock_new_fake();
    env = (struct net_env){.clock = ck};
    tp_init(&a, "a", 0);
    tp_init(&b, "b", 0);
    a.clock = b.clock = ck;
    cable = net_cable_new(&env, "cable", &a.port, &b.port, &e);
    CHECK(cable);
    net_cable_set_impair(cable, i);
}

static void end(void)
{
    net_cable_free(cable);
    tp_clear(&a);
    tp_clear(&b);
    clock_free(ck);
}

/* A frame of len bytes that carries n. */
static bool send_number(struct test_port *t, uint32_t n, size_t len)
{
    uint8_t data[1514] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5};

    st32be(data + 14, n);
    return tp_send(t, data, len);
}

static uint32_t number(const struct test_port *t, unsigned i) { return ld32be(t->got[i].data + 14); }

static void drops_its_share_and_the_same_again(void **state)
{
    uint32_t first[TP_FRAMES];
    unsigned count = 0;

    (void)state;
    for (unsigned run = 0; run < 3; run++) {
        /* the third run adds a delay: the same frames are lost */
        begin(&(struct net_impair){.drop = 600000, .seed = 42, .delay = run == 2 ? MS : 0});
        for (uint32_t n = 0; n < 1000; n++)
            CHECK(send_number(&a, n, 60));
        clock_advance(ck, 2 * MS);
        CHECK(b.count > 350 && b.count < 450);
        CHECK_EQ(b.count + net_cable_impaired(cable), 1000);
        CHECK_EQ(a.port.sent.dropped, 1000 - b.count);
        CHECK_EQ(a.port.sent.frames, b.count);
        if (!run)
            count = b.count;
        CHECK_EQ(b.count, count);
        for (unsigned i = 0; i < count; i++) {
            if (!run)
                first[i] = number(&b, i);
            CHECK_EQ(number(&b, i), first[i]);
        }
        end();
    }
}

static void seeds_and_directions_differ(void **state)
{
    uint64_t lost[3];

    (void)state;
    for (unsigned run = 0; run < 2; run++) {
        begin(&(struct net_impair){.drop = 500000, .seed = run});
        lost[run] = lost[2] = 0;
        for (uint32_t n = 0; n < 64; n++) {
            unsigned at = b.count, back = a.count;

            send_number(&a, n, 60);
            send_number(&b, n, 60);
            lost[run] |= (uint64_t)(b.count == at) << n;
            lost[2] |= (uint64_t)(a.count == back) << n;
        }
        CHECK(lost[run] != lost[2]);
        end();
    }
    CHECK(lost[0] != lost[1]);
}

static void delay_is_exact(void **state)
{
    (void)state;
    begin(&(struct net_impair){.delay = 10 * MS});
    send_number(&a, 1, 60);
    clock_advance(ck, 3 * MS);
    send_number(&a, 2, 60);
    CHECK_EQ(b.count, 0);
    clock_advance(ck, 7 * MS - 1);
    CHECK_EQ(b.count, 0);
    clock_advance(ck, 1);
    CHECK_EQ(b.count, 1);
    clock_advance(ck, 5 * MS);
    CHECK_EQ(b.count, 2);
    CHECK_EQ(b.got[0].when, 10 * MS);
    CHECK_EQ(b.got[1].when, 13 * MS);
    CHECK_EQ(a.port.sent.frames, 2);
    end();
}

static void jitter_spreads_but_keeps_the_order(void **state)
{
    uint64_t lo = UINT64_MAX, hi = 0;

    (void)state;
    begin(&(struct net_impair){.delay = 10 * MS, .jitter = 5 * MS, .seed = 3});
    for (uint32_t n = 0; n < 100; n++) {
        send_number(&a, n, 60);
        clock_advance(ck, 20 * MS);
        CHECK_EQ(b.count, n + 1);
        uint64_t d = b.got[n].when - n * 20 * MS;
        lo = d < lo ? d : lo;
        hi = d > hi ? d : hi;
    }
    CHECK(lo >= 10 * MS && lo < 11 * MS);
    CHECK(hi <= 15 * MS && hi > 14 * MS);
    for (uint32_t n = 0; n < 100; n++) /* all at once: an early one waits for a late one ahead of it */
        send_number(&a, 100 + n, 60);
    clock_advance(ck, 15 * MS);
    CHECK_EQ(b.count, 200);
    for (uint32_t n = 0; n < 200; n++)
        CHECK_EQ(number(&b, n), n);
    end();
}

static void rate_is_that_of_the_bits(void **state)
{
    (void)state;
    begin(&(struct net_impair){.rate = 8000000}); /* 1 byte a microsecond */
    for (uint32_t n = 0; n < 4; n++)
        send_number(&a, n, 1000);
    clock_advance(ck, 10 * MS);
    for (uint32_t n = 0; n < 4; n++)
        CHECK_EQ(b.got[n].when, (n + 1) * MS);
    send_number(&a, 4, 500); /* the line was idle */
    clock_advance(ck, MS);
    CHECK_EQ(b.got[4].when, 10 * MS + MS / 2);
    end();
}

/* The packets of a gso frame take their time each, headers too. */
static void rate_counts_what_goes_over_the_wire(void **state)
{
    (void)state;
    begin(&(struct net_impair){.rate = 8000000});
    b.port.can = NET_CAN_ALL;
    make_frame(&m, NET_GSO_TCP4, 10000, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&a.port, &m.f));
    clock_advance(ck, 20 * MS);
    CHECK_EQ(b.count, 1);
    CHECK_EQ(b.got[0].gso, NET_GSO_TCP4);
    CHECK_EQ(b.got[0].when, (10000 + 10 * 54) * 1000);
    end();
}

static void reordered_frames_go_ahead_of_those_that_wait(void **state)
{
    unsigned ahead = 0;

    (void)state;
    begin(&(struct net_impair){.delay = 10 * MS, .reorder = 250000, .seed = 5});
    for (uint32_t n = 0; n < 400; n++)
        send_number(&a, n, 60);
    ahead = b.count;
    CHECK(ahead > 60 && ahead < 140);
    clock_advance(ck, 10 * MS);
    CHECK_EQ(b.count, 400);
    for (unsigned i = 1; i < 400; i++)
        CHECK(i == ahead || number(&b, i) > number(&b, i - 1));
    end();
}

static void duplicates_arrive_twice(void **state)
{
    unsigned twice = 0;

    (void)state;
    for (unsigned delayed = 0; delayed < 2; delayed++) {
        begin(&(struct net_impair){.duplicate = 300000, .seed = 9, .delay = delayed});
        for (uint32_t n = 0; n < 300; n++)
            send_number(&a, n, 60);
        clock_advance(ck, 1);
        if (!delayed)
            twice = b.count - 300;
        CHECK_EQ(b.count, 300 + twice);
        CHECK(twice > 60 && twice < 120);
        for (unsigned i = 1; i < b.count; i++)
            CHECK(number(&b, i) == number(&b, i - 1) || number(&b, i) == number(&b, i - 1) + 1);
        end();
    }
}

/* A gso frame is many packets on a wire, and they are lost one by one, whatever the receiver can. */
static void packets_of_a_gso_frame_are_lost_one_by_one(void **state)
{
    (void)state;
    begin(&(struct net_impair){.drop = 300000, .seed = 2});
    b.port.can = NET_CAN_ALL;
    make_frame(&m, NET_GSO_TCP4, 60000, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 600;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK(b.count > 50 && b.count < 90);
    CHECK_EQ(b.count + net_cable_impaired(cable), 100);
    for (unsigned i = 0; i < b.count; i++)
        CHECK_EQ(b.got[i].flags, NET_CSUM_PARTIAL);
    end();
}

static void what_waits_is_bounded(void **state)
{
    unsigned sent = 0;

    (void)state;
    begin(&(struct net_impair){.delay = 3600 * NS_PER_SEC});
    for (; sent < 10000; sent++)
        CHECK(send_number(&a, sent, 1514));
    CHECK(net_cable_impaired(cable) > 10000 - NET_IMPAIR_BYTES / 1514);
    clock_advance(ck, 3600 * NS_PER_SEC);
    CHECK_EQ(b.count + net_cable_impaired(cable), 10000);
    CHECK(b.count > NET_IMPAIR_BYTES / 1514 * 9 / 10);
    send_number(&a, 1, 60); /* there is room again */
    clock_advance(ck, 3600 * NS_PER_SEC);
    CHECK_EQ(number(&b, 0), 0);
    CHECK_EQ(b.count + net_cable_impaired(cable), 10001);
    end();
}

static void settings_change_while_frames_wait(void **state)
{
    struct net_impair back;

    (void)state;
    begin(&(struct net_impair){.delay = 10 * MS});
    send_number(&a, 1, 60);
    net_cable_set_impair(cable, &(struct net_impair){.rate = 77});
    net_cable_impair(cable, &back);
    CHECK_EQ(back.rate, 77);
    CHECK_EQ(back.delay, 0);
    net_cable_set_impair(cable, &(struct net_impair){0});
    clock_advance(ck, MS);
    send_number(&a, 2, 60); /* behind what waits */
    CHECK_EQ(b.count, 0);
    clock_advance(ck, 9 * MS - 1);
    CHECK_EQ(b.count, 0);
    clock_advance(ck, 1);
    CHECK_EQ(b.count, 2);
    CHECK_EQ(number(&b, 0), 1);
    send_number(&a, 3, 60); /* and now without delay */
    CHECK_EQ(b.count, 3);
    end();
}

static void the_receiver_may_refuse_what_was_delayed(void **state)
{
    (void)state;
    begin(&(struct net_impair){.delay = MS});
    for (uint32_t n = 0; n < 4; n++)
        send_number(&a, n, 60);
    b.room = 2;
    clock_advance(ck, 10 * MS);
    CHECK_EQ(b.count, 2);
    CHECK(send_number(&a, 4, 60)); /* on its way, whatever the receiver says */
    b.room = -1;
    clock_advance(ck, 10 * MS);
    CHECK_EQ(b.count, 2); /* it has not said that there is room */
    net_port_room(&b.port);
    CHECK_EQ(b.count, 5);
    for (uint32_t n = 0; n < 5; n++)
        CHECK_EQ(number(&b, n), n);
    CHECK_EQ(a.port.sent.frames, 5);
    end();
}

/* Without a delay the sender feels the receiver's refusal, and no frame's fate is decided twice. */
static void loss_is_the_same_with_a_slow_receiver(void **state)
{
    uint32_t want[TP_FRAMES];
    unsigned count = 0;

    (void)state;
    for (unsigned slow = 0; slow < 2; slow++) {
        begin(&(struct net_impair){.drop = 200000, .duplicate = 200000, .seed = 11});
        for (uint32_t n = 0; n < 300; n++) {
            b.room = slow ? 0 : -1;
            while (!send_number(&a, n, 60)) {
                CHECK(a.port.full);
                b.room = 1;
                net_port_room(&b.port);
            }
        }
        b.room = -1;
        net_port_room(&b.port);
        if (!slow)
            count = b.count;
        CHECK_EQ(b.count, count);
        for (unsigned i = 0; i < count; i++) {
            if (!slow)
                want[i] = number(&b, i);
            CHECK_EQ(number(&b, i), want[i]);
        }
        end();
    }
}

static void a_pulled_cable_loses_what_waits(void **state)
{
    (void)state;
    begin(&(struct net_impair){.delay = MS});
    send_number(&a, 1, 60);
    send_number(&b, 1, 60);
    net_cable_set_link(cable, false);
    net_cable_set_link(cable, true);
    send_number(&a, 2, 60);
    clock_advance(ck, MS);
    CHECK_EQ(a.count, 0);
    CHECK_EQ(b.count, 1);
    CHECK_EQ(number(&b, 0), 2);
    CHECK_EQ(a.port.sent.dropped, 1);
    send_number(&a, 3, 60); /* freed with the cable */
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_its_share_and_the_same_again),
        cmocka_unit_test(seeds_and_directions_differ),
        cmocka_unit_test(delay_is_exact),
        cmocka_unit_test(jitter_spreads_but_keeps_the_order),
        cmocka_unit_test(rate_is_that_of_the_bits),
        cmocka_unit_test(rate_counts_what_goes_over_the_wire),
        cmocka_unit_test(reordered_frames_go_ahead_of_those_that_wait),
        cmocka_unit_test(duplicates_arrive_twice),
        cmocka_unit_test(packets_of_a_gso_frame_are_lost_one_by_one),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(settings_change_while_frames_wait),
        cmocka_unit_test(the_receiver_may_refuse_what_was_delayed),
        cmocka_unit_test(loss_is_the_same_with_a_slow_receiver),
        cmocka_unit_test(a_pulled_cable_loses_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
