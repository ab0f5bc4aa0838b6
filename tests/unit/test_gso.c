/*
 * Software segmentation and checksum completion, seen at the far end of a cable. Expected headers follow RFC 9293, 768,
 * 791, 8200 and 3168; sums are checked by the tests' own code.
 */
#include "base/clock.h"
#include "netstack/cable.h"
#include "tests/unit/check.h"
#include "tests/unit/net_util.h"

static struct clock *ck;
static struct test_port a, b;
static struct net_cable *cable;
static struct made_frame m;

static void begin(unsigned can)
{
    struct net_env env;
    struct err e;

    ck = clock_new_fake();
    env = (struct net_env){.clock = ck};
    tp_init(&a, "a", 0);
    tp_init(&b, "b", can);
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

static void send_gso(enum net_gso kind, size_t payload, uint16_t size)
{
    make_frame(&m, kind, payload, true);
    m.f.gso = (uint8_t)kind;
    m.f.gso_size = size;
    CHECK(net_port_send(&a.port, &m.f));
}

/* The payloads of all that arrived are that of m, in order, no segment longer than size. */
static void check_payload(size_t size)
{
    size_t at = m.payload;

    for (unsigned i = 0; i < b.count; i++) {
        const struct test_frame *g = &b.got[i];
        size_t n = g->len - m.payload;

        CHECK(g->len >= m.payload && n <= size && at + n <= m.f.len);
        CHECK(!memcmp(g->data + m.payload, m.data + at, n));
        CHECK_EQ(g->gso, NET_GSO_NONE);
        CHECK(g->flags & NET_CSUM_VALID);
        if (frame_wrong(g->data, g->len))
            fail_msg("segment %u: %s", i, frame_wrong(g->data, g->len));
        at += n;
    }
    CHECK_EQ(at, m.f.len);
}

/* 65535 segments for one frame would keep everybody else waiting. */
static void segments_smaller_than_any_mss_are_refused(void **state)
{
    (void)state;
    begin(0);
    send_gso(NET_GSO_TCP4, 4096, 1);
    CHECK_EQ(b.count, 0);
    send_gso(NET_GSO_UDP6, 4097, 2);
    CHECK_EQ(b.count, 0);
    send_gso(NET_GSO_TCP4, 72, 36);
    CHECK_EQ(b.count, 2);
    end();
}

static void tcp4_in_segments(void **state)
{
    (void)state;
    begin(0);
    send_gso(NET_GSO_TCP4, 3500, 1000);
    CHECK_EQ(b.count, 4);
    check_payload(1000);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *ip = b.got[i].data + 14, *tcp = ip + 20;

        CHECK_EQ(ld16be(ip + 4), 0x1234 + i); /* ids differ (RFC 6864) */
        CHECK_EQ(ld32be(tcp + 4), 1000 + i * 1000);
        CHECK_EQ(ld32be(tcp + 8), 7);
        CHECK_EQ(tcp[13], i == 3 ? 0x18 : 0x10); /* PSH with the last byte */
    }
    CHECK_EQ(a.port.sent.frames, 1);
    CHECK_EQ(a.port.sent.bytes, m.f.len);
    end();
}

static void fin_and_psh_last_cwr_first(void **state)
{
    static const uint8_t want[3] = {0xd0, 0x50, 0x59}; /* CWR ECE ACK; ECE ACK; ECE ACK PSH FIN */

    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_TCP4, 2100, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    m.f.flags |= NET_GSO_ECN;
    m.data[m.l4 + 13] = 0xd9;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(b.got[i].data[m.l4 + 13], want[i]);
    check_payload(1000);
    end();
}

static void sequence_numbers_and_ids_wrap(void **state)
{
    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_TCP4, 2500, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    st32be(m.data + m.l4 + 4, 0xfffffc18); /* -1000 */
    st16be(m.data + m.l3 + 4, 0xffff);
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(ld32be(b.got[1].data + m.l4 + 4), 0);
    CHECK_EQ(ld32be(b.got[2].data + m.l4 + 4), 1000);
    CHECK_EQ(ld16be(b.got[1].data + m.l3 + 4), 0);
    check_payload(1000);
    end();
}

static void tcp6_udp4_udp6_in_segments(void **state)
{
    static const enum net_gso kind[] = {NET_GSO_TCP6, NET_GSO_UDP4, NET_GSO_UDP6};

    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        begin(0);
        send_gso(kind[k], 2801, 1400);
        CHECK_EQ(b.count, 3);
        check_payload(1400);
        CHECK_EQ(b.got[2].len - m.payload, 1);
        end();
    }
}

static void a_receiver_that_can_gets_it_whole(void **state)
{
    static const unsigned can[] = {NET_CAN_TSO4, NET_CAN_TSO6, NET_CAN_USO, NET_CAN_USO};

    (void)state;
    for (unsigned k = 0; k < 4; k++) {
        begin(can[k] | NET_CAN_CSUM);
        send_gso(NET_GSO_TCP4 + k, 2500, 1000);
        CHECK_EQ(b.count, 1);
        CHECK_EQ(b.got[0].gso, NET_GSO_TCP4 + k);
        CHECK_EQ(b.got[0].gso_size, 1000);
        CHECK_EQ(b.got[0].csum_start, m.l4);
        CHECK_EQ(b.got[0].flags, NET_CSUM_PARTIAL);
        b.port.can = NET_CAN_ALL & ~can[k];
        CHECK(net_port_send(&a.port, &m.f));
        CHECK_EQ(b.count, 4);
        b.port.can = can[k]; /* segments without checksums are of no use */
        CHECK(net_port_send(&a.port, &m.f));
        CHECK_EQ(b.count, 7);
        end();
    }
}

static void segments_with_partial_checksums(void **state)
{
    struct clock *ck2 = clock_new_fake();
    struct net_env env = {.clock = ck2};
    struct test_port c, d;
    struct net_cable *second;
    struct err e;

    (void)state;
    begin(NET_CAN_CSUM);
    send_gso(NET_GSO_TCP6, 2500, 1000);
    CHECK_EQ(b.count, 3);
    tp_init(&c, "c", 0);
    tp_init(&d, "d", 0);
    second = net_cable_new(&env, "second", &c.port, &d.port, &e);
    for (unsigned i = 0; i < 3; i++) { /* completed by the next cable they are right */
        struct test_frame *g = &b.got[i];
        struct iovec iov = {g->data, g->len};
        struct net_frame f = {&iov, 1, g->len, g->flags, 0, 0, 0, g->csum_start, g->csum_offset};

        CHECK_EQ(g->flags, NET_CSUM_PARTIAL);
        CHECK(frame_wrong(g->data, g->len));
        CHECK(net_port_send(&c.port, &f));
        CHECK(!frame_wrong(d.got[i].data, d.got[i].len));
    }
    net_cable_free(second);
    tp_clear(&d);
    clock_free(ck2);
    end();
}

static void partial_checksum_is_completed(void **state)
{
    static const size_t payload[] = {0, 1, 100, 1001};

    (void)state;
    begin(0);
    for (unsigned k = NET_GSO_TCP4; k <= NET_GSO_UDP6; k++)
        for (unsigned i = 0; i < 4; i++) {
            make_frame(&m, k, payload[i], true);
            CHECK(net_port_send(&a.port, &m.f));
            CHECK(!frame_wrong(b.got[b.count - 1].data, m.f.len));
            CHECK_EQ(b.got[b.count - 1].flags, NET_CSUM_VALID);
        }
    CHECK_EQ(b.count, 16);
    end();
}

/* RFC 768: a checksum that comes out as zero is sent as all ones, for zero means that there is none. */
static void a_udp_checksum_is_never_zero(void **state)
{
    uint8_t *last;
    uint16_t sum;

    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_UDP4, 100, false);
    sum = ld16be(m.data + m.l4 + 6);
    make_frame(&m, NET_GSO_UDP4, 100, true);
    last = m.data + m.f.len - 2;
    sum = (uint16_t)(ld16be(last) + sum);
    if (sum < ld16be(last)) /* one's complement addition */
        sum++;
    st16be(last, sum); /* the data now sum up to the checksum's complement */
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(ld16be(b.got[0].data + m.l4 + 6), 0xffff);
    end();
}

/* Put n bytes of tags or extension headers at `at`. */
static void insert(size_t at, const uint8_t *bytes, unsigned n)
{
    memmove(m.data + at + n, m.data + at, m.f.len - at);
    memcpy(m.data + at, bytes, n);
    m.f.len += n;
    m.iov.iov_len = m.f.len;
    m.f.csum_start = (uint16_t)(m.f.csum_start + n);
    m.l4 += n;
    m.payload += n;
}

static void vlan_tags_are_repeated(void **state)
{
    static const uint8_t tags[8] = {0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 7};

    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        begin(0);
        b.port.mtu = 1040; /* tags do not count */
        make_frame(&m, NET_GSO_TCP4, 2500, true);
        insert(12, tags + 8 - 4 * n, 4 * n);
        m.f.gso = NET_GSO_TCP4;
        m.f.gso_size = 1000;
        CHECK(net_port_send(&a.port, &m.f));
        CHECK_EQ(b.count, 3);
        for (unsigned i = 0; i < 3; i++) {
            uint8_t *d = b.got[i].data;

            CHECK(!memcmp(d + 12, tags + 8 - 4 * n, 4 * n));
            memmove(d + 12, d + 12 + 4 * n, b.got[i].len - 12 - 4 * n);
            CHECK(!frame_wrong(d, b.got[i].len - 4 * n));
        }
        end();
    }
}

static void three_tags_are_not_understood(void **state)
{
    static const uint8_t tags[12] = {0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3};

    (void)state;
    begin(NET_CAN_ALL);
    make_frame(&m, NET_GSO_TCP4, 2500, true);
    insert(12, tags, 12);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 0);
    CHECK_EQ(a.port.sent.dropped, 1);
    end();
}

/* Hop-by-hop options and a segment routing header with one stop to make: fec0::9, the first of its list. */
static void ipv6_extension_headers(void **state)
{
    static const uint8_t ext[8 + 24] = {43, 0, 1, 4,    0,    0, 0, 0, /* hop by hop: PadN */
                                        6,  2, 4, 1,    0,    0, 0, 0, 0xfe, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};

    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_TCP6, 2500, true);
    insert(m.l4, ext, sizeof ext);
    m.data[m.l3 + 6] = 0;
    m.f.gso = NET_GSO_TCP6;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *d = b.got[i].data;
        size_t len = b.got[i].len;

        CHECK_EQ(ld16be(d + 18), len - 54);
        CHECK(!memcmp(d + 54, ext, sizeof ext));
        memcpy(d + 38, ext + 16, 16); /* as it arrives at the last stop, without the headers, it is right */
        d[20] = 6;
        st16be(d + 18, (uint16_t)(len - 54 - sizeof ext));
        memmove(d + 54, d + 54 + sizeof ext, len - 54 - sizeof ext);
        CHECK(!frame_wrong(d, len - sizeof ext));
    }
    end();
}

static void ipv4_options_and_tcp_options(void **state)
{
    static const uint8_t nop[4] = {1, 1, 1, 1};
    static const uint8_t stamp[12] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_TCP4, 2000, true);
    insert(m.payload, stamp, 12);
    m.f.csum_start = (uint16_t)(m.l4 -= 12);
    m.data[m.l4 + 12] = 8 << 4;
    insert(m.l4, nop, 4);
    m.data[m.l3] = 0x46;
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1000;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct iovec iov;
        const uint8_t *d = b.got[i].data;
        struct packet p = packet_of_bytes(&iov, d, b.got[i].len);
        uint32_t pseudo = csum_add(6 + (uint32_t)b.got[i].len - m.l4, d + m.l3 + 12, 8);

        CHECK_EQ(b.got[i].len, 14 + 24 + 32 + 1000);
        CHECK_EQ(ld16be(d + m.l3 + 2), 24 + 32 + 1000);
        CHECK_EQ(csum_fold(csum_add(0, d + m.l3, 24)), 0);
        CHECK(!memcmp(d + m.l4 + 20, stamp, 12));
        CHECK_EQ(csum_fold(csum_packet(pseudo, &p, m.l4, p.len - m.l4)), 0);
    }
    end();
}

static void lost(void)
{
    uint64_t before = a.port.sent.dropped;

    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 0);
    CHECK_EQ(a.port.sent.dropped, before + 1);
}

static void make_gso(enum net_gso kind)
{
    make_frame(&m, kind, 3000, true);
    m.f.gso = (uint8_t)kind;
    m.f.gso_size = 1000;
}

static void headers_that_lie_are_lost(void **state)
{
    (void)state;
    begin(NET_CAN_ALL);
    make_gso(NET_GSO_TCP4);
    m.data[m.l3] = 0x44; /* IP header of 16 bytes */
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l3] = 0x65;
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l3 + 6] = 0x20; /* a fragment */
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l3 + 7] = 1;
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l3 + 9] = 17;
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l4 + 12] = 4 << 4; /* TCP header of 16 bytes */
    lost();
    make_gso(NET_GSO_TCP4);
    m.data[m.l4 + 12] = 15 << 4;
    m.f.len = m.l4 + 59; /* ends within the options */
    lost();
    make_gso(NET_GSO_TCP4);
    m.f.len = m.l4 + 19;
    lost();
    make_gso(NET_GSO_TCP6);
    m.data[m.l3 + 6] = 44; /* a fragment header */
    lost();
    make_gso(NET_GSO_TCP6);
    m.data[m.l3 + 6] = 60; /* the TCP header read as options that end nowhere */
    m.data[m.l4 + 1] = 255;
    lost();
    make_gso(NET_GSO_UDP6);
    m.f.csum_offset = 16;
    lost();
    make_gso(NET_GSO_UDP6);
    m.f.flags = 0;
    lost();
    end();
}

/* The header chain is longer than any that is worked on; it ends the walk. */
static void endless_extension_headers_are_lost(void **state)
{
    uint8_t ext[480] = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof ext; i += 8)
        ext[i] = 60;
    begin(NET_CAN_ALL);
    make_gso(NET_GSO_UDP6);
    insert(m.l4, ext, sizeof ext);
    m.data[m.l3 + 6] = 60;
    lost();
    end();
}

static void one_segment_of_a_short_frame(void **state)
{
    (void)state;
    begin(0);
    send_gso(NET_GSO_TCP4, 500, 1000);
    CHECK_EQ(b.count, 1);
    check_payload(500);
    tp_clear(&b);
    send_gso(NET_GSO_UDP6, 0, 1000);
    CHECK_EQ(b.count, 1);
    CHECK(!frame_wrong(b.got[0].data, b.got[0].len));
    end();
}

static void the_longest_frame_in_many_pieces(void **state)
{
    static struct iovec iov[1200];
    size_t at = 0;

    (void)state;
    begin(0);
    make_frame(&m, NET_GSO_TCP4, 65535 - 40, true);
    m.f.gso = NET_GSO_TCP4;
    m.f.gso_size = 1460;
    for (unsigned i = 0; i < 1200; i++) {
        size_t n = i < 60 ? 1 : i == 1199 ? m.f.len - at : 57;

        iov[i] = (struct iovec){m.data + at, n};
        at += n;
    }
    CHECK_EQ(at, m.f.len);
    m.f.iov = iov;
    m.f.iovcnt = 1200;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 45);
    check_payload(1460);
    tp_clear(&b);
    m.f.gso = NET_GSO_NONE; /* only the checksum */
    b.port.mtu = NET_MTU_MAX;
    CHECK(net_port_send(&a.port, &m.f));
    CHECK_EQ(b.count, 1);
    CHECK(!frame_wrong(b.got[0].data, b.got[0].len));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_smaller_than_any_mss_are_refused),
        cmocka_unit_test(tcp4_in_segments),
        cmocka_unit_test(fin_and_psh_last_cwr_first),
        cmocka_unit_test(sequence_numbers_and_ids_wrap),
        cmocka_unit_test(tcp6_udp4_udp6_in_segments),
        cmocka_unit_test(a_receiver_that_can_gets_it_whole),
        cmocka_unit_test(segments_with_partial_checksums),
        cmocka_unit_test(partial_checksum_is_completed),
        cmocka_unit_test(a_udp_checksum_is_never_zero),
        cmocka_unit_test(vlan_tags_are_repeated),
        cmocka_unit_test(three_tags_are_not_understood),
        cmocka_unit_test(ipv6_extension_headers),
        cmocka_unit_test(ipv4_options_and_tcp_options),
        cmocka_unit_test(headers_that_lie_are_lost),
        cmocka_unit_test(endless_extension_headers_are_lost),
        cmocka_unit_test(one_segment_of_a_short_frame),
        cmocka_unit_test(the_longest_frame_in_many_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
