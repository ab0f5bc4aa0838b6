/* Addresses as text: RFC 4291 (IPv6, IPv4-mapped), RFC 5952 (how IPv6 is written). */
#include <string.h>

#include "base/bits.h"
#include "netstack/nat.h"
#include "tests/unit/check.h"

static const char *again(const char *text)
{
    static char buf[NET_ADDR_TEXT];
    struct net_addr a;

    return net_addr_parse(text, &a) ? net_addr_text(&a, buf) : "refused";
}

static void addresses_read_and_write(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"10.0.2.2", "10.0.2.2"},
        {"255.255.255.255", "255.255.255.255"},
        {"0.0.0.0", "0.0.0.0"},
        {"fec0::2", "fec0::2"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"::", "::"},
        {"::ffff:10.0.2.3", "10.0.2.3"},
        {"::1", "::1"},
        {"10.0.2", "refused"},
        {"10.0.2.2.2", "refused"},
        {"10.0.2.256", "refused"},
        {"", "refused"},
        {"host", "refused"},
        {"fe80::1%eth0", "refused"},
        {"1:2:3:4:5:6:7:8:9", "refused"},
        {"10.0.2.2 ", "refused"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR(again(rows[i].in), rows[i].out);
}

static void none_is_neither_family(void **state)
{
    struct net_addr none = {{0}}, any4 = net_addr_of4(0), a = net_addr_of4(0x0a000202);

    (void)state;
    CHECK(net_addr_none(&none) && !net_addr_is4(&none));
    CHECK(!net_addr_none(&any4) && net_addr_is4(&any4));
    CHECK(net_addr_is4(&a) && a.b[12] == 10 && a.b[15] == 2);
    CHECK(net_addr_equal(&a, &a) && !net_addr_equal(&a, &any4));
    CHECK(!net_addr_parse("nothing", &a)); /* and a stays */
    CHECK(a.b[12] == 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_read_and_write),
                                       cmocka_unit_test(none_is_neither_family)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
