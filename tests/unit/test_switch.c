/* The learning switch: who gets which frame. */
#include <stdlib.h>

#include "base/clock.h"
#include "netstack/switch.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

enum { PORTS = 4 };

static struct clock *ck;
static struct net_env env;
static struct net_switch *sw;
static struct test_port t[PORTS];
static struct net_port *port[PORTS];
static struct net_cable *cable[PORTS];

static void plug(unsigned i, bool isolated)
{
    struct err e;

    tp_init(&t[i], "guest", 0);
    port[i] = net_switch_add(sw, "port", isolated);
    CHECK(port[i]);
    cable[i] = net_cable_new(&env, "cable", &t[i].port, port[i], &e);
    CHECK(cable[i]);
}

/* Ports isolated[i] == '1' are isolated. */
static void begin(const char *isolated)
{
    ck = clock_new_fake();
    env = (struct net_env){.clock = ck};
    sw = net_switch_new(&env, "sw");
    CHECK(sw);
    for (unsigned i = 0; i < PORTS; i++)
        plug(i, isolated[i] == '1');
}

static void end(void)
{
    for (unsigned i = 0; i < PORTS; i++) {
        net_cable_free(cable[i]);
        tp_clear(&t[i]);
    }
    net_switch_free(sw);
    clock_free(ck);
}

#define GROUP UINT64_C(0xffffffffffff)

/* Guest i sends from src to dst, addresses as numbers. */
static void send(unsigned i, uint64_t src, uint64_t dst)
{
    uint8_t f[60] = {0};
    uint8_t b[8];

    st64be(b, dst);
    memcpy(f, b + 2, 6);
    st64be(b, src);
    memcpy(f + 6, b + 2, 6);
    CHECK(tp_send(&t[i], f, sizeof f));
}

/* Which guests got something, as a set of bits; and forget it. */
static unsigned got(void)
{
    unsigned set = 0;

    for (unsigned i = 0; i < PORTS; i++) {
        CHECK(t[i].count <= 1);
        set |= t[i].count << i;
        tp_clear(&t[i]);
    }
    return set;
}

static void floods_what_it_does_not_know_and_learns(void **state)
{
    (void)state;
    begin("0000");
    send(0, 0x10, 0x11);
    CHECK_EQ(got(), 0xe);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0x1);
    send(0, 0x10, 0x11);
    CHECK_EQ(got(), 0x2);
    send(2, 0x12, GROUP);
    CHECK_EQ(got(), 0xb);
    send(2, 0x12, UINT64_C(0x333300000001));
    CHECK_EQ(got(), 0xb);
    send(0, 0x10, 0x10); /* to itself: not sent back */
    CHECK_EQ(got(), 0);
    end();
}

static void an_address_may_move(void **state)
{
    (void)state;
    begin("0000");
    send(0, 0x10, GROUP);
    send(3, 0x10, GROUP);
    CHECK_EQ(t[3].count, 1);
    for (unsigned i = 0; i < PORTS; i++)
        tp_clear(&t[i]);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0x8);
    end();
}

static void addresses_age_after_5_minutes(void **state)
{
    (void)state;
    begin("0000");
    send(0, 0x10, GROUP);
    got();
    clock_advance(ck, 300 * NS_PER_SEC);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0x1);
    clock_advance(ck, 1);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0xd);
    send(0, 0x10, GROUP);
    clock_advance(ck, 200 * NS_PER_SEC);
    send(0, 0x10, 0x11); /* seen again: young again */
    for (unsigned i = 0; i < PORTS; i++)
        tp_clear(&t[i]);
    clock_advance(ck, 200 * NS_PER_SEC);
    send(2, 0x12, 0x10);
    CHECK_EQ(got(), 0x1);
    end();
}

static void group_sources_are_dropped(void **state)
{
    (void)state;
    begin("0000");
    send(0, GROUP, 0x11);
    send(0, UINT64_C(0x010000000000), GROUP);
    CHECK_EQ(got(), 0);
    end();
}

/* 802.1D 7.12.6 */
static void link_local_groups_are_not_forwarded(void **state)
{
    (void)state;
    begin("0000");
    send(0, 0x10, UINT64_C(0x0180c2000000));
    send(0, 0x10, UINT64_C(0x0180c200000e));
    CHECK_EQ(got(), 0);
    send(0, 0x10, UINT64_C(0x0180c2000010));
    CHECK_EQ(got(), 0xe);
    net_switch_set_hub(sw, true);
    send(0, 0x10, UINT64_C(0x0180c2000000));
    CHECK_EQ(got(), 0xe);
    end();
}

static void a_hub_repeats_everything(void **state)
{
    (void)state;
    begin("0000");
    net_switch_set_hub(sw, true);
    send(0, 0x10, 0x11);
    CHECK_EQ(got(), 0xe);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0xd);
    send(0, GROUP, 0x11);
    CHECK_EQ(got(), 0xe);
    end();
}

/* Ports 1 to 3 are isolated, 0 is the gateway. */
static void isolated_ports_meet_only_the_gateway(void **state)
{
    (void)state;
    begin("0111");
    send(1, 0x11, GROUP);
    CHECK_EQ(got(), 0x1);
    send(2, 0x12, 0x11);
    CHECK_EQ(got(), 0);
    send(2, 0x12, 0x99); /* unknown: the gateway only */
    CHECK_EQ(got(), 0x1);
    send(0, 0x10, 0x11);
    CHECK_EQ(got(), 0x2);
    send(1, 0x11, 0x10);
    CHECK_EQ(got(), 0x1);
    send(0, 0x10, GROUP);
    CHECK_EQ(got(), 0xe);
    net_switch_set_hub(sw, true);
    send(1, 0x11, GROUP);
    CHECK_EQ(got(), 0x1);
    end();
}

static void an_isolated_port_does_not_take_the_gateways_address(void **state)
{
    (void)state;
    begin("0111");
    send(0, 0x10, GROUP);
    send(1, 0x10, GROUP); /* claims to be the gateway */
    for (unsigned i = 0; i < PORTS; i++)
        tp_clear(&t[i]);
    send(2, 0x12, 0x10);
    CHECK_EQ(got(), 0x1);
    clock_advance(ck, 301 * NS_PER_SEC); /* an address that nobody uses is free */
    send(1, 0x10, GROUP);
    CHECK_EQ(got(), 0x1);
    send(0, 0x13, 0x10);
    CHECK_EQ(got(), 0x2);
    end();
}

/* A guest that invents addresses pushes out its own, not those of others. */
static void a_port_holds_no_more_than_its_share(void **state)
{
    (void)state;
    begin("0000");
    send(0, 0x10, GROUP);
    send(1, 0x11, GROUP);
    for (uint64_t n = 0; n < 3 * NET_SWITCH_MACS; n++)
        send(2, UINT64_C(0x020000000000) + n * 7, 0x10);
    for (unsigned i = 0; i < PORTS; i++)
        tp_clear(&t[i]);
    send(3, 0x13, 0x11);
    CHECK_EQ(got(), 0x2);
    send(3, 0x13, UINT64_C(0x020000000000) + (3 * NET_SWITCH_MACS - 1) * 7); /* its last is known */
    CHECK_EQ(got(), 0x4);
    send(3, 0x13, UINT64_C(0x020000000000)); /* its first is not */
    CHECK_EQ(got(), 0x7);
    end();
}

/* Two ports fill the table with half each; those that come later get their share of it. */
static void shares_shrink_when_ports_are_added(void **state)
{
    (void)state;
    begin("0000");
    for (unsigned i = 2; i < PORTS; i++) {
        net_cable_free(cable[i]);
        net_switch_remove(sw, port[i]);
    }
    for (uint64_t n = 0; n < NET_SWITCH_MACS; n++)
        send((unsigned)n & 1, UINT64_C(0x020000000000) + n, 0x10);
    plug(2, false);
    plug(3, false);
    for (uint64_t n = 0; n < NET_SWITCH_MACS; n++)
        send(2, UINT64_C(0x040000000000) + n, 0x10);
    for (unsigned i = 0; i < PORTS; i++)
        tp_clear(&t[i]);
    send(3, 0x13, UINT64_C(0x020000000000) + NET_SWITCH_MACS - 1);
    CHECK_EQ(got(), 0x2);
    send(3, 0x13, UINT64_C(0x040000000000) + NET_SWITCH_MACS - 1);
    CHECK_EQ(got(), 0x4);
    end();
}

static void a_removed_port_is_forgotten(void **state)
{
    (void)state;
    begin("0000");
    send(3, 0x13, GROUP);
    got();
    net_cable_free(cable[3]);
    net_switch_remove(sw, port[3]);
    send(0, 0x10, 0x13);
    CHECK_EQ(got(), 0x6);
    plug(3, false);
    send(0, 0x10, 0x13);
    CHECK_EQ(got(), 0xe);
    end();
}

static void a_slow_port_does_not_hold_up_the_others(void **state)
{
    (void)state;
    begin("0000");
    t[1].room = 0;
    send(0, 0x10, GROUP);
    CHECK_EQ(got(), 0xc);
    CHECK_EQ(port[1]->sent.dropped, 1);
    t[1].room = -1;
    net_port_room(&t[1].port);
    send(0, 0x10, GROUP);
    CHECK_EQ(got(), 0xe);
    end();
}

static void offloads_are_adapted_for_each_port(void **state)
{
    static struct made_frame m;

    (void)state;
    begin("0000");
    t[1].port.can = NET_CAN_ALL;
    t[2].port.can = NET_CAN_CSUM;
    make_frame(&m, NET_GSO_TCP4, 3000, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&t[0].port, &m.f));
    CHECK_EQ(t[1].count, 1);
    CHECK_EQ(t[2].count, 3);
    CHECK_EQ(t[3].count, 3);
    CHECK_EQ(t[2].got[2].flags, NET_CSUM_PARTIAL);
    CHECK_EQ(t[3].got[2].flags, NET_CSUM_VALID);
    end();
}

static void ports_have_an_end(void **state)
{
    struct net_port *p = NULL;

    (void)state;
    begin("0000");
    for (unsigned i = PORTS; i < NET_SWITCH_PORTS; i++) {
        p = net_switch_add(sw, "more", false);
        CHECK(p);
    }
    CHECK(!net_switch_add(sw, "too many", false));
    net_switch_remove(sw, p);
    CHECK(net_switch_add(sw, "again", false));
    end();
}

/* Two switches joined by `joins` cables: one broadcast would go round for ever. */
static void a_loop_of_two_switches_ends(void **state)
{
    static const unsigned joins[] = {1, 2, 3, 40};
    struct net_cable *c[40];
    struct net_port *pa[40], *pb[40];
    struct err e;

    (void)state;
    for (unsigned k = 0; k < ARRAY_LEN(joins); k++) {
        struct net_switch *other;
        char *text;
        size_t size;
        FILE *f;

        begin("0000");
        other = net_switch_new(&env, "other");
        for (unsigned i = 0; i < joins[k]; i++) {
            pa[i] = net_switch_add(sw, "a", false);
            pb[i] = net_switch_add(other, "b", false);
            c[i] = net_cable_new(&env, "join", pa[i], pb[i], &e);
        }
        for (unsigned n = 0; n < 3; n++)
            send(0, 0x10, GROUP);
        CHECK(t[1].count >= 3);
        CHECK(t[1].count < 3 * 400);
        f = open_memstream(&text, &size);
        net_switch_info(sw, f);
        fclose(f);
        CHECK(!strstr(text, "lost in loops") == (joins[k] == 1));
        free(text);
        for (unsigned i = 0; i < joins[k]; i++)
            net_cable_free(c[i]);
        net_switch_free(other);
        end();
    }
}

static void info_shows_ports_and_addresses(void **state)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    begin("0010");
    send(0, UINT64_C(0x525400123456), GROUP);
    clock_advance(ck, 7 * NS_PER_SEC);
    net_switch_info(sw, f);
    fclose(f);
    CHECK(strstr(text, "switch sw: 4 ports\n"));
    CHECK(strstr(text, "52:54:00:12:34:56, 7 s ago\n"));
    CHECK(strstr(text, "port (isolated): guest, 1 frames to it, 0 lost\n"));
    free(text);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_what_it_does_not_know_and_learns),
        cmocka_unit_test(an_address_may_move),
        cmocka_unit_test(addresses_age_after_5_minutes),
        cmocka_unit_test(group_sources_are_dropped),
        cmocka_unit_test(link_local_groups_are_not_forwarded),
        cmocka_unit_test(a_hub_repeats_everything),
        cmocka_unit_test(isolated_ports_meet_only_the_gateway),
        cmocka_unit_test(an_isolated_port_does_not_take_the_gateways_address),
        cmocka_unit_test(a_port_holds_no_more_than_its_share),
        cmocka_unit_test(shares_shrink_when_ports_are_added),
        cmocka_unit_test(a_removed_port_is_forgotten),
        cmocka_unit_test(a_slow_port_does_not_hold_up_the_others),
        cmocka_unit_test(offloads_are_adapted_for_each_port),
        cmocka_unit_test(ports_have_an_end),
        cmocka_unit_test(a_loop_of_two_switches_ends),
        cmocka_unit_test(info_shows_ports_and_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
