/* Reassembly: what is whole again, what is dropped, and what it costs. Bounds as in nat_frag.c. */
#include <string.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"

static struct nat_guest g;
static uint8_t data[65536 + 2048];

static void begin(void)
{
    nat_guest_begin(&g, &(struct nat_config){.mtu = 65535});
    g.f.port.mtu = 65535;
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31 + (i >> 8));
}

static unsigned under_way(void)
{
    struct nat_counts c;

    nat_counts(g.n, &c);
    return c.fragments;
}

static void end(void)
{
    world_advance(&g.w, 61 * NS_PER_SEC);
    CHECK_EQ(under_way(), 0);
    nat_guest_end(&g);
}

/* An echo request to the gateway with n bytes: what comes back tells what was put together. */
#define PING4(id, n) PKT(ICMP, .dst = "10.0.2.2", .type = 8, .ip_id = (uint16_t)(id), ECHO(7, id), DATA(data, n))
#define PING6(id, n) PKT(ICMP6, .dst = "fec0::2", .type = 128, .ip_id = (uint16_t)(id), ECHO(7, id), DATA(data, n))

static void expect_whole4(unsigned id, size_t n)
{
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 0, ECHO(7, id), DATA(data, n)));
}

static void expect_whole6(unsigned id, size_t n)
{
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 129, ECHO(7, id), DATA(data, n)));
}

/* A piece with bytes of its own, of the datagram with this identification. */
static void piece(unsigned id, unsigned off, unsigned len, bool more)
{
    far_send(&g.f, PKT(IP, .dst = "10.0.2.2", .proto = 1, .ip_id = (uint16_t)id, .frag_off = (uint16_t)off,
                       .more = more, DATA(data + off, len)));
}

static void piece6(unsigned id, unsigned off, unsigned len, bool more)
{
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 58, .ip_id = (uint16_t)id, .frag_off = (uint16_t)off,
                       .more = more, DATA(data + off, len)));
}

/* --- what is whole again --------------------------------------------------------------------------------------- */

static void fragments_in_any_order_are_put_together(void **state)
{
    static const unsigned order[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};

    (void)state;
    begin();
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++) {
            far_expect_none(&g.f);
            far_send_part(&g.f, PING4(i + 1, 5000), order[i][k] * 1480, 1480);
        }
        expect_whole4(i + 1, 5000);
        CHECK_EQ(under_way(), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++)
            far_send_part(&g.f, PING6(i + 1, 5000), order[i][k] * 1480, 1480);
        expect_whole6(i + 1, 5000);
    }
    end();
}

static void datagrams_may_be_mixed(void **state)
{
    (void)state;
    begin();
    for (unsigned part = 0; part < 3; part++)
        for (unsigned id = 1; id <= 5; id++)
            far_send_part(&g.f, PING4(id, 4000), part * 1480, 1480);
    for (unsigned id = 1; id <= 5; id++)
        expect_whole4(id, 4000);
    end();
}

static void the_longest_packet_is_put_together(void **state)
{
    (void)state;
    begin();
    for (size_t off = 0; off < 65507 + 8; off += 1480)
        far_send_part(&g.f, PING4(1, 65507), off, 1480);
    expect_whole4(1, 65507);
    end();
}

/* RFC 1858: the first piece is too small for the header of what it carries. It is looked at when it is whole. */
static void tiny_fragments_are_put_together(void **state)
{
    (void)state;
    begin();
    for (size_t off = 0; off < 108; off += 8)
        far_send_part(&g.f, PING4(1, 100), off, 8);
    expect_whole4(1, 100);
    for (size_t off = 0; off < 108; off += 8)
        far_send_part(&g.f, PING6(1, 100), off, 8);
    expect_whole6(1, 100);
    end();
}

static void a_piece_that_comes_twice_does_no_harm(void **state)
{
    (void)state;
    begin();
    far_send_part(&g.f, PING4(1, 4000), 0, 1480);
    far_send_part(&g.f, PING4(1, 4000), 0, 1480);
    far_send_part(&g.f, PING4(1, 4000), 1480, 1480);
    far_send_part(&g.f, PING4(1, 4000), 1480, 1480);
    far_send_part(&g.f, PING4(1, 4000), 2960, 1480);
    expect_whole4(1, 4000);
    end();
}

/* The key is source, target, protocol and identification (RFC 791). */
static void the_same_identification_of_another_protocol_is_another_datagram(void **state)
{
    (void)state;
    begin();
    far_send_part(&g.f, PING4(1, 2000), 0, 1480);
    far_send(&g.f, PKT(IP, .dst = "10.0.2.2", .proto = 17, .ip_id = 1, .frag_off = 1480, DATA(data, 528)));
    far_send(&g.f, PKT(IP, .src = "10.0.2.16", .eth_src = "52:54:00:00:00:16", .dst = "10.0.2.2", .proto = 1,
                       .ip_id = 1, .frag_off = 1480, DATA(data, 528)));
    far_expect_none(&g.f);
    CHECK_EQ(under_way(), 3);
    far_send_part(&g.f, PING4(1, 2000), 1480, 1480);
    expect_whole4(1, 2000);
    end();
}

static void extension_headers_behind_the_fragment_header_are_read(void **state)
{
    /* destination options, then UDP to a port where nobody listens; checksum by hand below */
    uint8_t whole[8 + 8 + 16] = {17, 0, 1, 4, 0, 0, 0, 0, 3, 232, 0, 9, 0, 24}, src[16], dst[16];

    (void)state;
    begin();
    addr_parse(g.f.ip6, src);
    addr_parse("fec0::2", dst);
    st16be(whole + 14, sum_of(sum_pseudo(false, src, dst, 17, 24), whole + 8, 24));
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 60, .ip_id = 5, .more = true, DATA(whole, 16)));
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 60, .ip_id = 5, .frag_off = 16, DATA(whole + 16, 16)));
    far_expect(&g.f, PKT(ICMP6, .type = 1, .code = 4));
    end();
}

/* --- what is dropped ------------------------------------------------------------------------------------------- */

/* RFC 5722: the datagram is spoilt, and what still comes of it is swallowed. */
static void overlapping_fragments_are_dropped(void **state)
{
    (void)state;
    begin();
    piece(1, 0, 64, true);
    piece(1, 56, 64, true);
    CHECK_EQ(g.n->bad_packets, 1);
    far_send_part(&g.f, PING4(1, 4000), 0, 1480);
    far_send_part(&g.f, PING4(1, 4000), 1480, 1480);
    far_send_part(&g.f, PING4(1, 4000), 2960, 1480);
    far_expect_none(&g.f);
    piece6(1, 0, 64, true);
    piece6(1, 56, 64, true);
    far_send_part(&g.f, PING6(1, 4000), 0, 1480);
    far_send_part(&g.f, PING6(1, 4000), 1480, 1480);
    far_send_part(&g.f, PING6(1, 4000), 2960, 1480);
    far_expect_none(&g.f);
    world_advance(&g.w, 31 * NS_PER_SEC); /* the identification is free again, and nothing is said of the spoilt one */
    far_expect_none(&g.f);
    far_send_part(&g.f, PING4(1, 2000), 0, 1480);
    far_send_part(&g.f, PING4(1, 2000), 1480, 1480);
    expect_whole4(1, 2000);
    end();
}

/* CVE-1999-0015: the second piece lies inside the first, and ends before it: a length below zero. */
static void teardrop(void **state)
{
    (void)state;
    begin();
    piece(1, 0, 48, true);
    piece(1, 24, 4, false);
    CHECK_EQ(g.n->bad_packets, 1);
    far_expect_none(&g.f);
    piece(2, 24, 4, false); /* the same in the other order */
    piece(2, 0, 48, true);
    CHECK_EQ(g.n->bad_packets, 2);
    far_expect_none(&g.f);
    end();
}

static void the_same_piece_with_other_bytes_is_an_overlap(void **state)
{
    (void)state;
    begin();
    piece(1, 0, 64, true);
    data[63] ^= 1;
    piece(1, 0, 64, true);
    CHECK_EQ(g.n->bad_packets, 1);
    end();
}

/* CVE-1999-0128: the last piece ends beyond the longest packet. */
static void ping_of_death(void **state)
{
    (void)state;
    begin();
    for (unsigned off = 0; off < 65120; off += 1480)
        piece(1, off, 1480, true);
    piece(1, 65120, 1480, false);
    CHECK_EQ(g.n->bad_packets, 1);
    piece(2, 65528, 8, false); /* the largest offset there is */
    CHECK_EQ(g.n->bad_packets, 2);
    piece6(3, 65528, 8, false);
    CHECK_EQ(g.n->bad_packets, 3);
    far_expect(&g.f, PKT(ICMP6, .type = 4, .code = 0, .rest = 42)); /* RFC 8200, 4.5: the offset's place */
    far_expect_none(&g.f);
    end();
}

static void pieces_of_nothing_or_of_odd_length_are_dropped(void **state)
{
    (void)state;
    begin();
    piece(1, 0, 0, true);
    piece(1, 64, 0, false);
    piece(1, 0, 63, true);
    piece(1, 0, 1, true);
    CHECK_EQ(g.n->bad_packets, 4);
    CHECK_EQ(under_way(), 0);
    end();
}

static void two_ends_are_one_too_many(void **state)
{
    (void)state;
    begin();
    piece(1, 64, 16, false);
    piece(1, 128, 16, false);
    piece(2, 64, 16, false);
    piece(2, 80, 16, true); /* behind the end */
    piece(3, 64, 16, true);
    piece(3, 32, 8, false); /* an end before what is there */
    CHECK_EQ(g.n->bad_packets, 3);
    far_expect_none(&g.f);
    end();
}

static void too_many_pieces_spoil_a_datagram(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 200; i++) /* every second one, so that nothing grows together */
        piece(1, i * 16, 8, true);
    CHECK_EQ(g.n->bad_packets, 1);
    CHECK_EQ(under_way(), 1);
    end();
}

static void a_fragment_in_a_fragment_is_refused(void **state)
{
    static const uint8_t inner[16] = {17, 0, 0, 1, 0, 0, 0, 9};

    (void)state;
    begin();
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 44, .ip_id = 5, .more = true, DATA(inner, 16)));
    far_send(&g.f, PKT(IP, .dst = "fec0::2", .proto = 44, .ip_id = 5, .frag_off = 16, DATA(data, 16)));
    far_expect(&g.f, PKT(ICMP6, .type = 4));
    far_expect_none(&g.f);
    end();
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void time_is_up_after_30_seconds_and_the_sender_is_told(void **state)
{
    const struct got *e;

    (void)state;
    begin();
    far_send_part(&g.f, PING4(1, 4000), 0, 1480);
    world_advance(&g.w, 29 * NS_PER_SEC);
    far_send_part(&g.f, PING4(1, 4000), 1480, 1480); /* does not give it more */
    far_expect_none(&g.f);
    world_advance(&g.w, 1 * NS_PER_SEC);
    e = far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 11, .code = 1));
    CHECK_EQ(ld16be(e->data + 4), 1); /* its identification */
    CHECK_EQ(e->data[20], 8);         /* its echo header */
    CHECK_EQ(under_way(), 0);
    far_send_part(&g.f, PING4(1, 4000), 2960, 1480);
    far_expect_none(&g.f);
    end();
}

static void ipv6_has_60_seconds(void **state)
{
    (void)state;
    begin();
    far_send_part(&g.f, PING6(1, 4000), 0, 1480);
    world_advance(&g.w, 59 * NS_PER_SEC);
    far_expect_none(&g.f);
    world_advance(&g.w, 1 * NS_PER_SEC);
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 3, .code = 1));
    CHECK_EQ(under_way(), 0);
    end();
}

/* RFC 792, RFC 8200: without the first piece the sender would not know what it is about. */
static void nothing_is_said_of_a_datagram_without_its_first_piece(void **state)
{
    (void)state;
    begin();
    far_send_part(&g.f, PING4(1, 4000), 1480, 1480);
    far_send_part(&g.f, PING6(1, 4000), 1480, 1480);
    world_advance(&g.w, 61 * NS_PER_SEC);
    far_expect_none(&g.f);
    CHECK_EQ(under_way(), 0);
    end();
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static void a_guest_has_a_share_of_the_table(void **state)
{
    struct nat_counts c;

    (void)state;
    begin();
    far_send(&g.f, PKT(IP, .eth_src = "52:54:00:00:00:16", .src = "10.0.2.16", .dst = "10.0.2.2", .proto = 1,
                       .ip_id = 9, .more = true, DATA(data, 64)));
    for (unsigned id = 0; id < 1000; id++)
        piece(id, 65520, 8, true); /* each as large as it gets */
    CHECK_EQ(under_way(), 17);
    nat_counts(g.n, &c);
    CHECK(c.memory < 17 * 70000);
    far_send(&g.f, PKT(IP, .eth_src = "52:54:00:00:00:16", .src = "10.0.2.16", .dst = "10.0.2.2", .proto = 1,
                       .ip_id = 9, .frag_off = 64, DATA(data, 8)));
    CHECK_EQ(under_way(), 16); /* the other guest's was still there, and is whole */
    end();
}

static void many_guests_fill_the_table_and_no_more(void **state)
{
    char mac[24], addr[24];

    (void)state;
    begin();
    for (unsigned i = 0; i < 200; i++) {
        snprintf(mac, sizeof mac, "52:54:00:00:01:%02x", i);
        snprintf(addr, sizeof addr, "10.0.2.%u", 20 + i);
        for (unsigned id = 0; id < 3; id++)
            far_send(&g.f, PKT(IP, .eth_src = mac, .src = addr, .dst = "10.0.2.2", .proto = 1, .ip_id = (uint16_t)id,
                               .more = true, DATA(data, 64)));
    }
    CHECK_EQ(under_way(), 64);
    end();
}

/* CVE-2019-14378, CVE-2019-15890: libslirp used a first fragment's buffer after it was freed, or before it was long enough. */
static void reassembly_use_after_free(void **state)
{
    (void)state;
    begin();
    for (unsigned round = 0; round < 4; round++) {
        g.f.pieces = round * 7;
        /* pieces that shrink, the first one last and larger than what it was made of before */
        far_send_part(&g.f, PING4(1, 60000), 59200, 1480);
        far_send_part(&g.f, PING4(1, 60000), 29600, 29600);
        far_send_part(&g.f, PING4(1, 60000), 1480, 28120);
        far_send_part(&g.f, PING4(1, 60000), 0, 1480);
        expect_whole4(1, 60000);
        far_send_part(&g.f, PING4(1, 60000), 0, 1480); /* one more of a datagram that is gone */
        CHECK_EQ(under_way(), 1);
        world_advance(&g.w, 31 * NS_PER_SEC);
        far_drain(&g.f);
    }
    end();
}

static void freeing_the_gateway_frees_what_is_under_way(void **state)
{
    (void)state;
    begin();
    for (unsigned id = 0; id < 10; id++)
        far_send_part(&g.f, PING4(id, 4000), 0, 1480);
    CHECK_EQ(under_way(), 10);
    nat_guest_end(&g); /* the sanitizer looks */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_in_any_order_are_put_together),
        cmocka_unit_test(datagrams_may_be_mixed),
        cmocka_unit_test(the_longest_packet_is_put_together),
        cmocka_unit_test(tiny_fragments_are_put_together),
        cmocka_unit_test(a_piece_that_comes_twice_does_no_harm),
        cmocka_unit_test(the_same_identification_of_another_protocol_is_another_datagram),
        cmocka_unit_test(extension_headers_behind_the_fragment_header_are_read),
        cmocka_unit_test(overlapping_fragments_are_dropped),
        cmocka_unit_test(teardrop),
        cmocka_unit_test(the_same_piece_with_other_bytes_is_an_overlap),
        cmocka_unit_test(ping_of_death),
        cmocka_unit_test(pieces_of_nothing_or_of_odd_length_are_dropped),
        cmocka_unit_test(two_ends_are_one_too_many),
        cmocka_unit_test(too_many_pieces_spoil_a_datagram),
        cmocka_unit_test(a_fragment_in_a_fragment_is_refused),
        cmocka_unit_test(time_is_up_after_30_seconds_and_the_sender_is_told),
        cmocka_unit_test(ipv6_has_60_seconds),
        cmocka_unit_test(nothing_is_said_of_a_datagram_without_its_first_piece),
        cmocka_unit_test(a_guest_has_a_share_of_the_table),
        cmocka_unit_test(many_guests_fill_the_table_and_no_more),
        cmocka_unit_test(reassembly_use_after_free),
        cmocka_unit_test(freeing_the_gateway_frees_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
