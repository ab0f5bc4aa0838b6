/* IPv4 and IPv6 headers at the gateway: what is dropped, what is answered, what gets through. */
#include <string.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"

static struct nat_guest g;

static void begin(void) { nat_guest_begin(&g, NULL); }
static void end(void) { nat_guest_end(&g); }

/* A datagram to a port of the gateway's where nobody listens is answered, if it came so far. */
static void expect_heard4(void) { far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 3)); }
static void expect_heard6(void) { far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 1, .code = 4)); }

static void expect_bad(void)
{
    CHECK_EQ(g.n->bad_packets, 1);
    g.n->bad_packets = 0;
    far_expect_none(&g.f);
}

#define TO4(...) PKT(UDP, .dst = "10.0.2.2", .sport = 1000, .dport = 9, __VA_ARGS__)
#define TO6(...) PKT(UDP, .dst = "fec0::2", .sport = 1000, .dport = 9, __VA_ARGS__)

/* --- IPv4 ------------------------------------------------------------------------------------------------------ */

static void wrong_ipv4_headers_are_dropped(void **state)
{
    const struct pkt *wrong[] = {
        TO4(.version = 0x55),    TO4(.version = 0x65), /* another version */
        TO4(.version = 0x44),    TO4(.version = 0x40), /* shorter than a header */
        TO4(.version = 0x4f),                          /* longer than the packet */
        TO4(.ip_len = -1),       TO4(.ip_len = 19),    /* ends inside the header */
        TO4(.ip_len = 29),       TO4(.ip_len = 65535), /* longer than the frame */
        TO4(.bad_ip_sum = true), TO4(.cut = 14 + 19),
    };

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        far_send(&g.f, wrong[i]);
        expect_bad();
    }
    end();
}

static void padding_of_the_frame_is_not_the_packets(void **state)
{
    const struct got *e;

    (void)state;
    begin();
    far_send(&g.f, TO4(TEXT("x"), .pad = 18));
    e = far_expect(&g.f, PKT(ICMP, .type = 3, .code = 3));
    CHECK_EQ(e->len, 29);
    end();
}

static void ipv4_options_are_stepped_over(void **state)
{
    static const uint8_t record_route[40] = {7, 39, 4}, rubbish[8] = {0x88, 0, 0xff, 0xff, 1, 2, 3, 4};

    (void)state;
    begin();
    far_send(&g.f, TO4(.ip_options = record_route, .ip_options_len = 40));
    expect_heard4();
    far_send(&g.f, TO4(.ip_options = rubbish, .ip_options_len = 8));
    expect_heard4();
    CHECK_EQ(g.n->bad_packets, 0);
    end();
}

static void a_header_in_pieces_is_read(void **state)
{
    (void)state;
    begin();
    g.f.pieces = 1;
    far_send(&g.f, TO4(TEXT("in pieces")));
    expect_heard4();
    far_send(&g.f, TO6(TEXT("in pieces")));
    expect_heard6();
    end();
}

/* RFC 1122, 3.2.1.3; the third is the "land" attack, and the gateway would answer itself. */
static void ipv4_sources_that_are_no_guests_are_dropped(void **state)
{
    static const char *const from[] = {"10.0.3.15", "192.0.2.1",  "10.0.2.2",        "10.0.2.3",
                                       "10.0.2.0",  "10.0.2.255", "255.255.255.255", "224.0.0.1",
                                       "127.0.0.1", "0.0.0.0",    "169.254.1.1",     "240.0.0.1"};

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(from); i++) {
        far_send(&g.f, PKT(UDP, .src = from[i], .dst = "10.0.2.2", .sport = 9, .dport = 9));
        expect_bad();
    }
    end();
}

static void ipv4_targets_that_no_router_knows_are_dropped(void **state)
{
    static const char *const to[] = {"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3"};

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(to); i++) {
        far_send(&g.f, PKT(UDP, .dst = to[i], .dport = 9));
        expect_bad();
    }
    end();
}

static void a_unicast_packet_in_a_broadcast_frame_is_dropped(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, TO4(.eth_dst = "ff:ff:ff:ff:ff:ff"));
    expect_bad();
    far_send(&g.f, TO6(.eth_dst = "33:33:00:00:00:01"));
    expect_bad();
    end();
}

static void group_packets_are_not_answered(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .dst = "255.255.255.255", .dport = 9));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.255", .dport = 9, .eth_dst = "ff:ff:ff:ff:ff:ff"));
    far_send(&g.f, PKT(UDP, .dst = "224.0.0.251", .dport = 5353));
    far_send(&g.f, PKT(IP, .dst = "224.0.0.22", .proto = 2, .ttl = 1));
    far_send(&g.f, PKT(TCP, .dst = "255.255.255.255", .dport = 80, .flags = T_SYN));
    far_send(&g.f, PKT(ICMP, .dst = "255.255.255.255", .type = 8));
    far_send(&g.f, PKT(UDP, .dst = "ff02::fb", .dport = 5353));
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::1", .type = 128));
    far_expect_none(&g.f);
    end();
}

static void an_unknown_protocol_is_answered_so(void **state)
{
    const struct got *e;

    (void)state;
    begin();
    far_send(&g.f, PKT(IP, .dst = "192.0.2.1", .proto = 47, TEXT("abcdefgh")));
    e = far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 2));
    CHECK_EQ(e->len, 28); /* the header and what was behind it */
    CHECK(!memcmp(e->data + 20, "abcdefgh", 8));
    far_send(&g.f, PKT(IP, .dst = "2001:db8::1", .proto = 47, TEXT("abcdefgh")));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 4, .code = 1, .rest = 6)); /* place of the next header */
    end();
}

/* traceroute's first hop */
static void a_packet_with_one_hop_left_ends_at_the_gateway(void **state)
{
    const struct got *e;

    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.1", .sport = 1000, .dport = 33434, .ttl = 1, .df = true));
    e = far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .dst = "10.0.2.15", .type = 11, .code = 0));
    CHECK_EQ(e->data[0], 0x45);
    CHECK_EQ(ld16be(e->data + 20), 1000);
    CHECK_EQ(ld16be(e->data + 22), 33434);
    far_send(&g.f, PKT(TCP, .dst = "192.0.2.1", .dport = 80, .ttl = 1, .flags = T_SYN));
    far_expect(&g.f, PKT(ICMP, .type = 11));
    far_send(&g.f, PKT(UDP, .dst = "2001:db8::1", .dport = 33434, .ttl = 1));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 3, .code = 0));
    far_send(&g.f, TO4(.ttl = 1)); /* the gateway itself is at no hop */
    expect_heard4();
    end();
}

static void frames_that_were_verified_are_not_summed_again(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, TO4(TEXT("abc"), .sum = SUM_VALID));
    expect_heard4();
    far_send(&g.f, TO4(TEXT("abc"), .sum = SUM_PARTIAL));
    expect_heard4();
    far_send(&g.f, TO4(TEXT("abc"), .sum = SUM_WRONG));
    expect_bad();
    end();
}

/* --- IPv6 ------------------------------------------------------------------------------------------------------ */

static void wrong_ipv6_headers_are_dropped(void **state)
{
    const struct pkt *wrong[] = {
        TO6(.version = 0x40), TO6(.version = 0x70), TO6(.ip_len = -1),
        TO6(.ip_len = 9),     TO6(.ip_len = 65535), TO6(.cut = 14 + 39),
    };

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        far_send(&g.f, wrong[i]);
        expect_bad();
    }
    end();
}

/* An IPv4 address in IPv6's clothes would pass for the IPv4 one behind the check (CVE-2019-9636's kind of mistake). */
static void ipv6_addresses_that_hide_others_are_dropped(void **state)
{
    static const char
        *const to[] = {"::ffff:127.0.0.1", "::ffff:10.0.2.2", "::ffff:192.0.2.1", "::127.0.0.1", "::1", "::"},
               *const from[] = {"::ffff:10.0.2.15", "::1", "::", "ff02::1", "2001:db8::1", "fec0::2", "fec0:0:0:1::15"};

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(to); i++) {
        far_send(&g.f, &(const struct pkt){.kind = PKT_UDP, .dst = to[i], .dport = 9});
        expect_bad();
    }
    for (unsigned i = 0; i < ARRAY_LEN(from); i++) {
        far_send(&g.f, TO6(.src = from[i]));
        expect_bad();
    }
    far_send(&g.f, PKT(UDP, .src = "fe80::15", .dst = "2001:db8::1", .dport = 9)); /* beyond its link */
    expect_bad();
    far_send(&g.f, PKT(UDP, .src = "fe80::15", .dst = "fec0::2", .dport = 9));
    far_expect(&g.f, PKT(ICMP6, .src = "fe80::2", .dst = "fe80::15", .type = 1, .code = 4));
    end();
}

static void extension_headers_are_stepped_over(void **state)
{
    static const uint8_t ext[] = {
        60, 0, 5, 2, 0, 0, 1, 0,                            /* hop-by-hop: router alert, PadN; destination follows */
        43, 1, 1, 4, 0, 0, 0, 0, 0x1e, 5, 1, 2, 3, 4, 5, 0, /* destination: PadN, an option to be skipped, Pad1 */
        44, 0, 0, 0, 0, 0, 0, 0,                            /* routing, used up */
        17, 0, 0, 0, 1, 2, 3, 4,                            /* an atomic fragment (RFC 6946) */
    };

    (void)state;
    begin();
    far_send(&g.f, TO6(.ip_ext = 0, .ip_options = ext, .ip_options_len = sizeof ext, TEXT("abc")));
    expect_heard6();
    g.f.pieces = 3;
    far_send(&g.f, TO6(.ip_ext = 0, .ip_options = ext, .ip_options_len = sizeof ext, TEXT("abc")));
    expect_heard6();
    CHECK_EQ(g.n->bad_packets, 0);
    end();
}

struct ext_case {
    const char *what;
    uint8_t first, len;
    uint8_t bytes[24];
    int code; /* of the parameter problem; -1: silence */
    uint32_t place;
};

static const struct ext_case ext_cases[] = {
    {"hop-by-hop not first", 60, 16, {0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4}, 1, 40},
    {"an unknown next header", 99, 8, {17}, 1, 6},
    {"the same behind another", 60, 8, {99, 0, 1, 4}, 1, 40},
    {"a routing header to be used (RFC 5095)", 43, 8, {17, 0, 0, 1}, 0, 42},
    {"an option to be discarded", 60, 8, {17, 0, 0x5e, 4}, -1, 0},
    {"an option to be complained of", 60, 8, {17, 0, 0x9e, 4}, 2, 42},
    {"an option to be complained of to one", 60, 8, {17, 0, 0xde, 4}, 2, 42},
    {"an option longer than its header", 60, 8, {17, 0, 1, 5}, 0, 42},
    {"an option without its length", 60, 8, {17, 0, 1, 3, 0, 0, 0, 1}, 0, 47},
    {"a jumbo payload", 0, 8, {17, 0, 0xc2, 4, 0, 1, 0, 0}, 0, 42},
    {"a header longer than the packet", 60, 8, {17, 250}, 0, 41},
    {"a fragment of 4 bytes with more to come", 44, 8, {17, 0, 0, 1}, 0, 4},
};

static void wrong_extension_headers_are_answered(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(ext_cases); i++) {
        const struct ext_case *c = &ext_cases[i];

        far_send(&g.f, TO6(.ip_ext = c->first, .ip_options = c->bytes, .ip_options_len = c->len, TEXT("abcd")));
        if (c->code < 0) {
            far_expect_none(&g.f);
        } else {
            const struct got *e = far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 4, .code = (uint8_t)c->code));

            if (e->rest != c->place)
                fail_msg("%s: place %u", c->what, e->rest);
        }
    }
    end();
}

static void an_endless_chain_of_headers_ends(void **state)
{
    uint8_t ext[240];

    (void)state;
    begin();
    memset(ext, 0, sizeof ext);
    for (unsigned i = 0; i < sizeof ext; i += 8) {
        ext[i] = i + 8 < sizeof ext ? 60 : 17;
        ext[i + 2] = 1;
        ext[i + 3] = 4;
    }
    far_send(&g.f, TO6(.ip_ext = 60, .ip_options = ext, .ip_options_len = 240));
    far_expect(&g.f, PKT(ICMP6, .type = 4, .code = 1));
    far_send(&g.f, TO6(.ip_ext = 60, .ip_options = ext, .ip_options_len = 240, .cut = 14 + 40 + 8 + 3, .ip_len = 11));
    far_expect(&g.f, PKT(ICMP6, .type = 4, .code = 0));
    end();
}

static void a_packet_without_next_header_is_done_with(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 59, TEXT("abc")));
    far_expect_none(&g.f);
    CHECK_EQ(g.n->bad_packets, 0);
    end();
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

static void errors_are_rate_limited_for_each_guest(void **state)
{
    unsigned n = 0;

    (void)state;
    begin();
    for (unsigned i = 0; i < 500; i++) {
        far_send(&g.f, TO4(.ttl = 64));
        while (far_next(&g.f))
            n++;
    }
    CHECK_EQ(n, 100);
    /* another guest has its own measure */
    far_send(&g.f, PKT(UDP, .eth_src = "52:54:00:12:34:01", .src = "10.0.2.16", .dst = "10.0.2.2", .dport = 9));
    far_expect(&g.f, PKT(ICMP, .dst = "10.0.2.16", .type = 3, .code = 3));
    world_advance(&g.w, NS_PER_SEC / 10);
    for (n = 0; n < 10; n++) {
        far_send(&g.f, TO4(.ttl = 64));
        expect_heard4();
    }
    far_send(&g.f, TO4(.ttl = 64));
    far_expect_none(&g.f);
    end();
}

static void errors_are_not_answered_with_errors(void **state)
{
    uint8_t quoted[28] = {0x45};

    (void)state;
    begin();
    far_send(&g.f, PKT(ICMP, .dst = "192.0.2.1", .ttl = 1, .type = 3, .code = 3, DATA(quoted, 28)));
    far_send(&g.f, PKT(ICMP, .dst = "192.0.2.1", .ttl = 1, .type = 11, DATA(quoted, 28)));
    far_send(&g.f, PKT(ICMP6, .dst = "2001:db8::1", .ttl = 1, .type = 1, DATA(quoted, 28)));
    far_send(&g.f, PKT(IP, .dst = "192.0.2.1", .ttl = 1, .proto = 17, .frag_off = 1480, TEXT("later")));
    far_expect_none(&g.f);
    far_send(&g.f, PKT(ICMP, .dst = "192.0.2.1", .ttl = 1, .type = 8, ECHO(1, 1)));
    far_expect(&g.f, PKT(ICMP, .type = 11, .code = 0));
    end();
}

/* --- the way out ----------------------------------------------------------------------------------------------- */

static void a_packet_larger_than_the_mtu_is_cut_up(void **state)
{
    static uint8_t data[4000];
    uint8_t whole[4008];
    size_t at = 0;

    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.mtu = 9000});
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    g.f.port.mtu = 576;
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 8, ECHO(1, 1), DATA(data, sizeof data)));
    while (at < sizeof whole) {
        const struct got *e = far_expect(&g.f, PKT(FRAG, .src = "10.0.2.2"));

        CHECK_EQ(e->frag_off, at);
        CHECK(e->ip_len <= 576 && !e->df);
        memcpy(whole + at, e->data, e->len);
        at += e->len;
        CHECK_EQ(e->more, at < sizeof whole);
    }
    CHECK_EQ(whole[0], 0);
    CHECK_EQ(sum_of(0, whole, sizeof whole), 0);
    CHECK(!memcmp(whole + 8, data, sizeof data));
    far_expect_none(&g.f);
    end();
}

static void an_ipv6_datagram_larger_than_the_mtu_is_cut_up(void **state)
{
    static uint8_t data[3000];
    uint8_t whole[3008], src[16], dst[16];
    struct net_addr from, to;
    size_t at = 0;

    (void)state;
    begin();
    far_send(&g.f, TO6(.ttl = 64));
    expect_heard6();
    net_addr_parse("fec0::2", &from);
    net_addr_parse(g.f.ip6, &to);
    nat_udp_send(g.n, &from, 1, &to, 2, data, sizeof data);
    while (at < sizeof whole) {
        const struct got *e = far_expect(&g.f, PKT(FRAG, .src = "fec0::2"));

        CHECK_EQ(e->frag_off, at);
        memcpy(whole + at, e->data, e->len);
        at += e->len;
    }
    addr_parse("fec0::2", src);
    addr_parse(g.f.ip6, dst);
    CHECK_EQ(sum_of(sum_pseudo(false, src, dst, 17, sizeof whole), whole, sizeof whole), 0);
    end();
}

static void a_packet_in_one_piece_is_not_to_be_fragmented(void **state)
{
    const struct got *e;

    (void)state;
    begin();
    far_send(&g.f, PKT(ICMP, .dst = "10.0.2.2", .type = 8, ECHO(1, 1), TEXT("x")));
    e = far_expect(&g.f, PKT(ICMP, .type = 0, .df = true, .ttl = 64));
    CHECK_EQ(e->ip_id, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_ipv4_headers_are_dropped),
        cmocka_unit_test(padding_of_the_frame_is_not_the_packets),
        cmocka_unit_test(ipv4_options_are_stepped_over),
        cmocka_unit_test(a_header_in_pieces_is_read),
        cmocka_unit_test(ipv4_sources_that_are_no_guests_are_dropped),
        cmocka_unit_test(ipv4_targets_that_no_router_knows_are_dropped),
        cmocka_unit_test(a_unicast_packet_in_a_broadcast_frame_is_dropped),
        cmocka_unit_test(group_packets_are_not_answered),
        cmocka_unit_test(an_unknown_protocol_is_answered_so),
        cmocka_unit_test(a_packet_with_one_hop_left_ends_at_the_gateway),
        cmocka_unit_test(frames_that_were_verified_are_not_summed_again),
        cmocka_unit_test(wrong_ipv6_headers_are_dropped),
        cmocka_unit_test(ipv6_addresses_that_hide_others_are_dropped),
        cmocka_unit_test(extension_headers_are_stepped_over),
        cmocka_unit_test(wrong_extension_headers_are_answered),
        cmocka_unit_test(an_endless_chain_of_headers_ends),
        cmocka_unit_test(a_packet_without_next_header_is_done_with),
        cmocka_unit_test(errors_are_rate_limited_for_each_guest),
        cmocka_unit_test(errors_are_not_answered_with_errors),
        cmocka_unit_test(a_packet_larger_than_the_mtu_is_cut_up),
        cmocka_unit_test(an_ipv6_datagram_larger_than_the_mtu_is_cut_up),
        cmocka_unit_test(a_packet_in_one_piece_is_not_to_be_fragmented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
