/* The NAT's rules and tables: configuration, who may reach what, how the host's addresses look to guests, flows. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netstack/nat_flow.h"
#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"

static struct nat_guest g;

static struct net_addr addr(const char *text)
{
    struct net_addr a = {{0}};

    if (text && !net_addr_parse(text, &a))
        fail_msg("%s", text);
    return a;
}

static void is(const struct net_addr *a, const char *text)
{
    char buf[NET_ADDR_TEXT];

    CHECK_STR(net_addr_text(a, buf), text);
}

/* --- configuration --------------------------------------------------------------------------------------------- */

static void the_defaults_are_those_of_qemus_user_network(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x55, 10, 0, 2, 2};

    (void)state;
    nat_guest_begin(&g, NULL);
    is(&g.n->c.net, "10.0.2.0");
    is(&g.n->c.host, "10.0.2.2");
    is(&g.n->c.dns, "10.0.2.3");
    is(&g.n->c.dhcp_start, "10.0.2.15");
    CHECK_EQ(g.n->c.prefix_len, 24);
    is(&g.n->c.net6, "fec0::");
    is(&g.n->c.host6, "fec0::2");
    is(&g.n->c.dns6, "fec0::3");
    is(&g.n->link6, "fe80::2");
    CHECK_EQ(g.n->c.prefix6_len, 64);
    CHECK_EQ(nat_port(g.n)->mtu, 1500);
    CHECK(!memcmp(g.n->mac, mac, 6));
    nat_guest_end(&g);
}

static void addresses_follow_the_net_that_is_given(void **state)
{
    static const struct {
        const char *net, *host;
        unsigned prefix;
        const char *host_is, *dns_is, *first_is;
    } rows[] = {
        {"192.168.7.0", NULL, 0, "192.168.7.2", "192.168.7.3", "192.168.7.15"},
        {"192.168.7.99", NULL, 24, "192.168.7.2", "192.168.7.3", "192.168.7.15"},
        {"172.16.0.0", NULL, 12, "172.16.0.2", "172.16.0.3", "172.16.0.15"},
        {NULL, "192.168.7.1", 0, "192.168.7.1", "192.168.7.3", "192.168.7.15"},
        {"10.1.1.0", "10.1.1.254", 24, "10.1.1.254", "10.1.1.3", "10.1.1.15"},
        {"10.1.1.16", NULL, 28, "10.1.1.18", "10.1.1.19", "10.1.1.20"},
        {"10.1.1.8", NULL, 29, "10.1.1.10", "10.1.1.11", "10.1.1.12"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        nat_guest_begin(&g, &(struct nat_config){
                                .net = addr(rows[i].net), .host = addr(rows[i].host), .prefix_len = rows[i].prefix});
        is(&g.n->c.host, rows[i].host_is);
        is(&g.n->c.dns, rows[i].dns_is);
        is(&g.n->c.dhcp_start, rows[i].first_is);
        nat_guest_end(&g);
    }
    nat_guest_begin(&g, &(struct nat_config){.net6 = addr("fd00:1:2:3::99")});
    is(&g.n->c.net6, "fd00:1:2:3::");
    is(&g.n->c.host6, "fd00:1:2:3::2");
    nat_guest_end(&g);
}

struct wrong {
    struct nat_config c;
    const char *error;
};

static void what_is_wrong_in_a_configuration_is_said(void **state)
{
    static const struct nat_static_lease outside = {.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 3, 1}}},
                                         gateway = {.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 2}}},
                                         group = {.mac = {1}, .addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 9}}},
                                         twice[2] = {{.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 9}}, .mac = {2}},
                                                     {.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 9}}, .mac = {4}}},
                                         mac_twice[2] = {
                                             {.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 9}}, .mac = {2}},
                                             {.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 2, 8}}, .mac = {2}}};
    const struct wrong rows[] = {
        {{.host = addr("10.0.3.2"), .net = addr("10.0.2.0")},
         "nat: host 10.0.3.2: it is not an address of the network"},
        {{.dns = addr("10.0.3.2")}, "dns 10.0.3.2: it is not"},
        {{.dns = addr("10.0.2.2")}, "dns 10.0.2.2: it is the gateway's too"},
        {{.host = addr("10.0.2.0")}, "host 10.0.2.0: it is not"},
        {{.host = addr("10.0.2.255")}, "host 10.0.2.255: it is not"},
        {{.dhcp_start = addr("10.0.2.2")}, "dhcp_start 10.0.2.2: it is the gateway's"},
        {{.dhcp_start = addr("10.0.4.2")}, "dhcp_start 10.0.4.2: it is not"},
        {{.net = addr("127.0.0.0")}, "net 127.0.0.0: these addresses are not for networks"},
        {{.net = addr("0.0.0.0")}, "net 0.0.0.0: these"},
        {{.net = addr("224.0.0.0")}, "net 224.0.0.0: these"},
        {{.net = addr("169.254.0.0"), .prefix_len = 16}, "net 169.254.0.0: these"},
        {{.net = addr("fec0::")}, "net: an IPv4 network"},
        {{.prefix_len = 30}, "of 4 to 29 bits"},
        {{.prefix_len = 33}, "of 4 to 29 bits"},
        {{.net6 = addr("10.0.2.0")}, "net6: an IPv6 network"},
        {{.net6 = addr("ff02::")}, "net6 ff02::: these"},
        {{.net6 = addr("fe80::")}, "net6 fe80::: these"},
        {{.prefix6_len = 127}, "net6: an IPv6 network of 8 to 120 bits"},
        {{.host6 = addr("fec0:0:0:1::2"), .net6 = addr("fec0::")}, "host6 fec0:0:0:1::2: it is not"},
        {{.dns6 = addr("fec0::2")}, "dns6 fec0::2: it is the gateway's too"},
        {{.mtu = 67}, "mtu 67: 68 to 65535"},
        {{.mtu = 65536}, "mtu 65536: 68 to 65535"},
        {{.mtu = 576}, "mtu 576: IPv6 needs 1280"},
        {{.no_ipv4 = true, .no_ipv6 = true}, "neither IPv4 nor IPv6"},
        {{.lease = &outside, .leases = 1}, "lease 10.0.3.1: it is not"},
        {{.lease = &gateway, .leases = 1}, "lease 10.0.2.2: it is the gateway's"},
        {{.lease = &group, .leases = 1}, "lease 10.0.2.9: its MAC is a group's"},
        {{.lease = twice, .leases = 2}, "lease 10.0.2.9: it is given twice"},
        {{.lease = mac_twice, .leases = 2}, "lease 10.0.2.8: its MAC has another lease"},
        {{.lease = twice, .leases = 257}, "257 leases: at most 256"},
    };
    struct world w;

    (void)state;
    world_init(&w);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {""};

        if (nat_new(&w.env, &rows[i].c, &e) || !strstr(e.msg, rows[i].error))
            fail_msg("row %u: \"%s\" is not in \"%s\"", i, rows[i].error, e.msg);
    }
    world_free(&w);
    nat_guest_begin(&g, &(struct nat_config){.mtu = 576, .no_ipv6 = true});
    CHECK_EQ(nat_mtu(g.n), 576);
    nat_guest_end(&g);
}

/* --- who may reach what ---------------------------------------------------------------------------------------- */

struct target {
    const char *dst, *plain, *with_loopback; /* where it goes; NULL: nowhere */
    enum nat_unreach why;                    /* when it goes nowhere */
};

static const struct target targets[] = {
    {"192.0.2.1", "192.0.2.1", "192.0.2.1", 0},
    {"8.8.8.8", "8.8.8.8", "8.8.8.8", 0},
    {"10.0.3.1", "10.0.3.1", "10.0.3.1", 0},
    {"10.0.2.2", NULL, "127.0.0.1", UNREACH_PORT},
    {"10.0.2.3", NULL, NULL, UNREACH_PORT},
    {"10.0.2.15", NULL, NULL, UNREACH_HOST},
    {"10.0.2.255", NULL, NULL, UNREACH_HOST},
    {"127.0.0.1", NULL, NULL, UNREACH_ADMIN},
    {"127.255.0.9", NULL, NULL, UNREACH_ADMIN},
    {"0.0.0.0", NULL, NULL, UNREACH_ADMIN},
    {"0.9.9.9", NULL, NULL, UNREACH_ADMIN},
    {"169.254.169.254", NULL, NULL, UNREACH_ADMIN}, /* a cloud's secrets, among others */
    {"224.0.0.1", NULL, NULL, UNREACH_ADMIN},
    {"239.255.255.250", NULL, NULL, UNREACH_ADMIN},
    {"240.0.0.1", NULL, NULL, UNREACH_ADMIN},
    {"255.255.255.255", NULL, NULL, UNREACH_ADMIN},
    {"2001:db8::1", "2001:db8::1", "2001:db8::1", 0},
    {"fd00::1", "fd00::1", "fd00::1", 0},
    {"fec0::2", NULL, "::1", UNREACH_PORT},
    {"fe80::2", NULL, "::1", UNREACH_PORT},
    {"fec0::3", NULL, NULL, UNREACH_PORT},
    {"fec0::15", NULL, NULL, UNREACH_HOST},
    {"fe80::1", NULL, NULL, UNREACH_HOST},
    {"::1", NULL, NULL, UNREACH_ADMIN},
    {"::", NULL, NULL, UNREACH_ADMIN},
    {"::7f00:1", NULL, NULL, UNREACH_ADMIN},
    {"ff02::1", NULL, NULL, UNREACH_ADMIN},
    {"ff0e::1", NULL, NULL, UNREACH_ADMIN},
};

static void check_targets(bool loopback, bool restricted)
{
    nat_guest_begin(&g, &(struct nat_config){.host_loopback = loopback, .restrict_ = restricted});
    for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
        const struct target *t = &targets[i];
        const char *want = restricted ? NULL : loopback ? t->with_loopback : t->plain;
        struct net_addr a = addr(t->dst);
        struct sockaddr_storage to;
        socklen_t len;
        enum nat_unreach why;
        uint16_t port;

        if (nat_host_target(g.n, &a, 80, &to, &len, &why) != (want != NULL))
            fail_msg("%s is %sreachable", t->dst, want ? "not " : "");
        if (!want) {
            CHECK_EQ(why, restricted ? UNREACH_ADMIN : t->why);
            continue;
        }
        a = net_addr_of_sock(&to, &port);
        is(&a, want);
        CHECK_EQ(port, 80);
        CHECK_EQ(len, net_addr_is4(&a) ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    }
    nat_guest_end(&g);
}

static void targets_of_guests(void **state)
{
    (void)state;
    check_targets(false, false);
    check_targets(true, false);
    check_targets(true, true);
    check_targets(false, true);
}

static void peers_that_a_guest_could_not_answer_are_the_gateway_to_it(void **state)
{
    static const struct {
        const char *from, *view, *view_for6;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", "fec0::2"},
        {"127.0.0.1", "10.0.2.2", "fec0::2"},
        {"127.9.9.9", "10.0.2.2", "fec0::2"},
        {"10.0.2.77", "10.0.2.2", "fec0::2"}, /* the host's own net has our numbers */
        {"10.0.2.15", "10.0.2.2", "fec0::2"},
        {"169.254.3.4", "10.0.2.2", "fec0::2"},
        {"2001:db8::1", "10.0.2.2", "2001:db8::1"},
        {"::1", "10.0.2.2", "fec0::2"},
        {"fe80::1234", "10.0.2.2", "fec0::2"},
        {"fec0::77", "10.0.2.2", "fec0::2"},
        {"::ffff:192.0.2.1", "192.0.2.1", "fec0::2"},
    };
    struct net_addr guest4 = addr("10.0.2.15"), guest6 = addr("fec0::15");

    (void)state;
    nat_guest_begin(&g, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_addr a = addr(rows[i].from), view;
        struct sockaddr_storage from;

        net_addr_to_sock(&a, 1, &from);
        view = nat_guest_view_for(g.n, &from, &guest4);
        is(&view, rows[i].view);
        view = nat_guest_view_for(g.n, &from, &guest6);
        is(&view, rows[i].view_for6);
    }
    nat_guest_end(&g);
}

static void ipv4_in_ipv6s_clothes_is_ipv4(void **state)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(77)};
    struct sockaddr_storage ss = {0};
    struct net_addr got;
    uint16_t port;

    (void)state;
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &a.sin6_addr);
    memcpy(&ss, &a, sizeof a);
    got = net_addr_of_sock(&ss, &port);
    is(&got, "192.0.2.1");
    CHECK_EQ(port, 77);
    CHECK(net_addr_is4(&got));
    ss.ss_family = AF_UNIX;
    got = net_addr_of_sock(&ss, &port);
    CHECK(net_addr_none(&got) && !port);
    got = addr("127.3.2.1");
    CHECK(net_addr_loopback(&got));
    got = addr("::1");
    CHECK(net_addr_loopback(&got));
    got = addr("10.0.2.2");
    CHECK(!net_addr_loopback(&got));
}

/* --- sockets --------------------------------------------------------------------------------------------------- */

static void sockets_leave_some_descriptors_to_others(void **state)
{
    int fd, spare;

    (void)state;
    nat_guest_begin(&g, NULL);
    spare = dup(0);
    close(spare);
    g.n->fd_limit = spare + 1;
    fd = nat_socket(g.n, AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(fd, spare);
    CHECK_EQ(g.n->sockets, 1);
    CHECK_EQ(nat_socket(g.n, AF_INET, SOCK_DGRAM, 0), -1);
    CHECK_EQ(errno, EMFILE);
    nat_close(g.n, -1);
    CHECK_EQ(g.n->sockets, 1);
    nat_close(g.n, fd);
    CHECK_EQ(g.n->sockets, 0);
    nat_guest_end(&g);
}

/* --- flows ----------------------------------------------------------------------------------------------------- */

struct row {
    struct nat_flow flow;
    unsigned key;
    bool ended;
};

static struct nat_flows table;
static struct clock *clk;
static struct row rows_[1000];
static unsigned ended[1000], ended_count;

static void row_end(struct nat_flows *t, struct nat_flow *f)
{
    struct row *r = (struct row *)f;

    nat_flows_remove(t, f);
    r->ended = true;
    ended[ended_count++] = r->key;
}

static void table_begin(unsigned cap)
{
    memset(rows_, 0, sizeof rows_);
    ended_count = 0;
    clk = clock_new_fake();
    CHECK(nat_flows_init(&table, clk, cap, row_end));
    table.list[0].timeout = 100;
    table.list[1].timeout = 10;
}

static struct row *table_add(unsigned key, uint8_t guest, unsigned list)
{
    uint8_t mac[6] = {0x52, 0, 0, 0, 0, guest};

    rows_[key] = (struct row){.key = key};
    CHECK(nat_flows_add(&table, &rows_[key].flow, key % 7, guest ? mac : NULL, list));
    return &rows_[key];
}

static void table_end(void)
{
    nat_flows_fini(&table);
    CHECK_EQ(table.count, 0);
    CHECK_EQ(clock_next(clk), CLOCK_NEVER);
    clock_free(clk);
}

static void flows_are_found_by_hash_whatever_else_shares_it(void **state)
{
    unsigned found = 0;

    (void)state;
    table_begin(100);
    for (unsigned i = 0; i < 50; i++)
        table_add(i, 1, 0);
    for (struct nat_flow *f = nat_flows_first(&table, 3); f; f = nat_flows_next(f)) {
        CHECK_EQ(((struct row *)f)->key % 7, 3);
        found++;
    }
    CHECK_EQ(found, 7);
    table_end();
    CHECK_EQ(ended_count, 50);
}

static void flows_end_by_their_lists_time(void **state)
{
    struct row *a, *b;

    (void)state;
    table_begin(100);
    a = table_add(1, 1, 0);
    b = table_add(2, 1, 1);
    clock_advance(clk, 9);
    CHECK(!b->ended);
    clock_advance(clk, 1);
    CHECK(b->ended && !a->ended);
    clock_advance(clk, 80);
    nat_flows_use(&table, &a->flow, 0);
    clock_advance(clk, 99);
    CHECK(!a->ended);
    nat_flows_use(&table, &a->flow, 1); /* into the list of the short ones */
    clock_advance(clk, 10);
    CHECK(a->ended);
    a = table_add(3, 1, 1);
    nat_flows_use(&table, &a->flow, 0);
    clock_advance(clk, 99);
    CHECK(!a->ended);
    clock_advance(clk, 1);
    CHECK(a->ended);
    CHECK_EQ(table.expired, 3);
    table_end();
}

static void the_guest_with_the_most_loses_its_oldest(void **state)
{
    (void)state;
    table_begin(10);
    for (unsigned i = 0; i < 3; i++)
        table_add(i, 1, 0);
    for (unsigned i = 10; i < 17; i++)
        table_add(i, 2, 0);
    nat_flows_use(&table, &rows_[10].flow, 0); /* used last, but the oldest by birth */
    table_add(20, 1, 0);
    table_add(21, 3, 0);
    CHECK_EQ(ended_count, 2);
    CHECK_EQ(ended[0], 10);
    CHECK_EQ(ended[1], 11);
    for (unsigned i = 30; i < 130; i++)
        table_add(i, 4, 0);
    CHECK_EQ(table.count, 10);
    /* in the end each has its share */
    CHECK(!rows_[21].ended && !rows_[20].ended && !rows_[2].ended && !rows_[16].ended && !rows_[129].ended);
    CHECK_EQ(table.evicted, 102);
    table_end();
}

static void nobodys_flows_are_one_guests(void **state)
{
    (void)state;
    table_begin(4);
    table_add(1, 1, 0);
    for (unsigned i = 2; i < 100; i++)
        table_add(i, 0, 0);
    CHECK(!rows_[1].ended);
    CHECK_EQ(table.count, 4);
    table_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_qemus_user_network),
        cmocka_unit_test(addresses_follow_the_net_that_is_given),
        cmocka_unit_test(what_is_wrong_in_a_configuration_is_said),
        cmocka_unit_test(targets_of_guests),
        cmocka_unit_test(peers_that_a_guest_could_not_answer_are_the_gateway_to_it),
        cmocka_unit_test(ipv4_in_ipv6s_clothes_is_ipv4),
        cmocka_unit_test(sockets_leave_some_descriptors_to_others),
        cmocka_unit_test(flows_are_found_by_hash_whatever_else_shares_it),
        cmocka_unit_test(flows_end_by_their_lists_time),
        cmocka_unit_test(the_guest_with_the_most_loses_its_oldest),
        cmocka_unit_test(nobodys_flows_are_one_guests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
