/* Words of networks: percentages, times, rates, impairments, ranges, forwards. Rules and reasons from QEMU 10.0's own answers. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/net_words.h"
#include "tests/unit/check.h"

static struct err e;

static void percentages(void **state)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } good[] = {{"1%", 10000}, {"0.5%", 5000}, {"0.0001%", 1}, {"100%", 1000000}, {"0", 0}, {"0%", 0}};
    static const char *const bad[] = {"1", "101%", "-1%", "%", "", "1%%", "0x1%", "1e2%", "nan%", "1 %", "1..2%"};
    uint32_t v = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK(net_percent(good[i].text, &v));
        CHECK_EQ(v, good[i].ppm);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (net_percent(bad[i], &v))
            fail_msg("%s was taken", bad[i]);
}

static void times_and_rates(void **state)
{
    uint64_t v;

    (void)state;
    CHECK(net_duration("10ms", &v) && v == 10000000);
    CHECK(net_duration("10", &v) && v == 10000000);
    CHECK(net_duration("1.5s", &v) && v == 1500000000);
    CHECK(net_duration("200us", &v) && v == 200000);
    CHECK(net_duration("5ns", &v) && v == 5);
    CHECK(!net_duration("5m", &v) && !net_duration("", &v) && !net_duration("4000s", &v) && !net_duration("-1s", &v));
    CHECK(net_bit_rate("100mbit", &v) && v == 100000000);
    CHECK(net_bit_rate("56kbit", &v) && v == 56000);
    CHECK(net_bit_rate("1gbit", &v) && v == 1000000000);
    CHECK(net_bit_rate("9600", &v) && v == 9600);
    CHECK(!net_bit_rate("100mbps", &v) && !net_bit_rate("9999gbit", &v) && !net_bit_rate("mbit", &v));
}

static void impairments_add_up_and_read_back(void **state)
{
    struct net_impair i = {.seed = 9};
    char text[160];

    (void)state;
    CHECK(net_impair_parse(&i, "drop=1%,delay=10ms,jitter=2ms", &e));
    CHECK(net_impair_parse(&i, "rate=100mbit,reorder=0.5%,duplicate=3%", &e));
    net_impair_text(&i, text, sizeof text);
    CHECK_STR(text, "drop=1%,delay=10ms,jitter=2ms,rate=100000kbit,reorder=0.5%,duplicate=3%,seed=9");
    CHECK(net_impair_parse(&i, text, &e)); /* what is printed can be typed */
    CHECK(!net_impair_parse(&i, "drop=2%,delay=fast", &e));
    CHECK_STR(e.msg, "delay=fast: expected a time such as 10ms");
    CHECK_EQ(i.drop, 10000); /* all or nothing */
    CHECK(!net_impair_parse(&i, "dorp=2%", &e));
    CHECK_STR(e.msg, "unknown key 'dorp'; the nearest one is drop");
    CHECK(net_impair_parse(&i, "off", &e));
    net_impair_text(&i, text, sizeof text);
    CHECK_STR(text, "");
    CHECK_EQ(i.seed, 9);
}

static void ranges_and_the_classes_of_old(void **state)
{
    static const struct {
        const char *text, *net;
        unsigned len;
    } good[] = {
        {"10.0.2.0/24", "10.0.2.0", 24},
        {"10.0.2.77/24", "10.0.2.0", 24},
        {"192.168.7.0/255.255.255.128", "192.168.7.0", 25},
        {"10.1.2.3", "10.0.0.0", 8},
        {"172.16.5.0", "172.16.0.0", 12},
        {"130.1.2.0", "130.1.0.0", 16},
        {"192.168.5.0", "192.168.0.0", 16},
        {"198.18.1.0", "198.18.0.0", 15},
        {"200.1.2.0", "200.1.2.0", 24},
    };
    static const char *const bad[] = {"10.0.2.0/33", "10.0.2.0/3", "10.0.2.0/31",         "10.0.2.0/",
                                      "fec0::/64",   "x",          "10.0.2.0/255.0.255.0"};
    char buf[NET_ADDR_TEXT];
    struct net_addr a;
    unsigned len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK(net_range4(good[i].text, &a, &len));
        CHECK_STR(net_addr_text(&a, buf), good[i].net);
        CHECK_EQ(len, good[i].len);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (net_range4(bad[i], &a, &len))
            fail_msg("%s was taken", bad[i]);
    CHECK(net_range6("2001:db8:1:2:3::/64", &a, &len) && len == 64);
    CHECK_STR(net_addr_text(&a, buf), "2001:db8:1:2::");
    CHECK(net_range6("fd00::", &a, &len) && len == 64);
    CHECK(net_range6("fd00:0:0:f::/60", &a, &len) && len == 60);
    CHECK_STR(net_addr_text(&a, buf), "fd00::");
    CHECK(!net_range6("10.0.2.0/24", &a, &len) && !net_range6("fd00::/0", &a, &len) &&
          !net_range6("fd00::/129", &a, &len));
}

static const char *show(const char *text, bool qemu)
{
    static char out[256];
    char host[NET_ADDR_TEXT] = "", guest[NET_ADDR_TEXT] = "", *path;
    struct nat_forward f;

    if (!net_forward_parse(text, qemu, &f, &path, &e))
        return e.msg;
    if (!net_addr_none(&f.host_addr))
        net_addr_text(&f.host_addr, host);
    if (!net_addr_none(&f.guest_addr))
        net_addr_text(&f.guest_addr, guest);
    snprintf(out, sizeof out, "%s %s:%u %s:%u%s%s", f.udp ? "udp" : "tcp", host, f.host_port, guest, f.guest_port,
             path ? " " : "", path ? path : "");
    free(path);
    return out;
}

static void forwards_in_qemus_grammar(void **state)
{
    static const struct {
        const char *text, *means;
    } rows[] = {
        {"tcp::2222-:22", "tcp :2222 :22"},
        {"tcp:127.0.0.1:10022-:22", "tcp 127.0.0.1:10022 :22"},
        {"udp:0.0.0.0:53-10.0.2.9:5353", "udp 0.0.0.0:53 10.0.2.9:5353"},
        {"::8080-:80", "tcp :8080 :80"}, /* an empty protocol is tcp */
        {"tcp::0-:22", "tcp :0 :22"},
        {"tcp:[::1]:8080-[fec0::15]:80", "tcp ::1:8080 fec0::15:80"},
        {"unix:/run/x-y.sock-:22", "tcp :0 :22 /run/x-y.sock"},
        {"tcp::1-:0", "Invalid host forwarding rule 'tcp::1-:0' (Bad guest port)"},
        {"tcp::70000-:22", "Invalid host forwarding rule 'tcp::70000-:22' (Bad host port)"},
        {"tcp:here:1-:22", "Invalid host forwarding rule 'tcp:here:1-:22' (Bad host address)"},
        {"tcp::1-there:22", "Invalid host forwarding rule 'tcp::1-there:22' (Bad guest address)"},
        {"tcp::1-22", "Invalid host forwarding rule 'tcp::1-22' (Missing guest address)"},
        {"tcp::1", "Invalid host forwarding rule 'tcp::1' (Bad host port separator)"},
        {"sctp::1-:22", "Invalid host forwarding rule 'sctp::1-:22' (Bad protocol name)"},
        {"2222-22", "Invalid host forwarding rule '2222-22' (No : separators)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR(show(rows[i].text, true), rows[i].means);
}

static void forwards_in_our_grammar(void **state)
{
    static const struct {
        const char *text, *means;
    } rows[] = {
        {"2222-22", "tcp :2222 :22"},
        {"2222:22", "tcp :2222 :22"},
        {"tcp:2222-22", "tcp :2222 :22"},
        {"udp:53-10.0.2.15:53", "udp :53 10.0.2.15:53"},
        {"127.0.0.1:8080-80", "tcp 127.0.0.1:8080 :80"},
        {"*:8080-80", "tcp 0.0.0.0:8080 :80"},
        {"localhost:8080-80", "tcp 127.0.0.1:8080 :80"},
        {"tcp::2222-:22", "tcp :2222 :22"}, /* QEMU's too */
        {"unix:/tmp/s-22", "tcp :0 :22 /tmp/s"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR(show(rows[i].text, false), rows[i].means);
    CHECK(strstr(show("2222", false), "expected HOSTPORT-GUESTPORT"));
    CHECK(strstr(show("", false), "expected HOSTPORT-GUESTPORT"));
    CHECK(strstr(show("x-22", false), "Bad host port"));
    CHECK(strstr(show("22-localhost:22", false), "Bad guest address"));
}

static void the_hosts_side_alone(void **state)
{
    struct nat_forward f;
    char buf[NET_ADDR_TEXT], *path;

    (void)state;
    CHECK(net_forward_parse_host("udp:127.0.0.1:53", &f, &path, &e) && f.udp && f.host_port == 53 && !path);
    CHECK_STR(net_addr_text(&f.host_addr, buf), "127.0.0.1");
    CHECK(net_forward_parse_host("tcp::2222-:22", &f, &path, &e) && f.host_port == 2222);
    CHECK(net_forward_parse_host("2222", &f, &path, &e) && f.host_port == 2222 && !f.udp);
    CHECK(net_forward_parse_host("unix:/x", &f, &path, &e) && path);
    CHECK_STR(path, "/x");
    free(path);
    CHECK(!net_forward_parse_host("tcp:", &f, &path, &e) && !net_forward_parse_host("nothing", &f, &path, &e));
}

static void guest_forwards(void **state)
{
    struct net_addr a;
    const char *target;
    uint16_t port;

    (void)state;
    CHECK(net_guestfwd_parse("tcp:10.0.2.100:80-cmd:netcat 1.2.3.4 80", &a, &port, &target, &e));
    CHECK_EQ(port, 80);
    CHECK_STR(target, "cmd:netcat 1.2.3.4 80");
    CHECK(net_guestfwd_parse(":10.0.2.100:80-tcp:127.0.0.1:9", &a, &port, &target, &e));
    CHECK(net_guestfwd_parse("10.0.2.100:80-unix:/x-y", &a, &port, &target, &e));
    CHECK_STR(target, "unix:/x-y");
    CHECK(!net_guestfwd_parse("tcp:10.0.2.100:80-stdio", &a, &port, &target, &e));
    CHECK(!net_guestfwd_parse("tcp:10.0.2.100:80", &a, &port, &target, &e));
    CHECK(!net_guestfwd_parse("tcp::80-cmd:x", &a, &port, &target, &e));
    CHECK(!net_guestfwd_parse("tcp:10.0.2.100:0-cmd:x", &a, &port, &target, &e));
}

static void places(void **state)
{
    char host[64], port[8];

    (void)state;
    CHECK(net_place_parse("127.0.0.1:1234", host, port));
    CHECK_STR(host, "127.0.0.1");
    CHECK_STR(port, "1234");
    CHECK(net_place_parse(":1234", host, port) && !*host);
    CHECK(net_place_parse("1234", host, port) && !*host);
    CHECK(net_place_parse("[::1]:7", host, port));
    CHECK_STR(host, "::1");
    CHECK(!net_place_parse("host", host, port) && !net_place_parse("host:70000", host, port) &&
          !net_place_parse("::1:7", host, port) && !net_place_parse("", host, port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentages),
        cmocka_unit_test(times_and_rates),
        cmocka_unit_test(impairments_add_up_and_read_back),
        cmocka_unit_test(ranges_and_the_classes_of_old),
        cmocka_unit_test(forwards_in_qemus_grammar),
        cmocka_unit_test(forwards_in_our_grammar),
        cmocka_unit_test(the_hosts_side_alone),
        cmocka_unit_test(guest_forwards),
        cmocka_unit_test(places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
