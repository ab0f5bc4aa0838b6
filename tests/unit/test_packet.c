/* Packet reader, writer and Internet checksum. */
#include <string.h>

#include "netstack/packet.h"
#include "tests/unit/check.h"

static const uint8_t bytes[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

/* bytes in pieces of 3, 0, 1, 5 and 1. */
static struct packet pieces(struct iovec iov[5])
{
    static const uint8_t size[5] = {3, 0, 1, 5, 1};
    size_t at = 0;

    for (unsigned i = 0; i < 5; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)(bytes + at), size[i]};
        at += size[i];
    }
    return packet_of(&(struct net_frame){.iov = iov, .iovcnt = 5, .len = 10});
}

static void pulls_in_place_and_across_pieces(void **state)
{
    struct iovec iov[5];
    struct packet p = pieces(iov);
    uint8_t scratch[8];

    (void)state;
    assert_ptr_equal(packet_pull(&p, 3, scratch), bytes);
    assert_ptr_equal(packet_pull(&p, 3, scratch), scratch);
    CHECK(!memcmp(scratch, bytes + 3, 3));
    assert_ptr_equal(packet_at(&p, 1, 2, scratch), bytes + 7);
    CHECK_EQ(p.len, 4);
    CHECK_EQ(packet_u16(&p), 0x0607);
    CHECK_EQ(packet_u8(&p), 8);
    CHECK(!p.bad);
    CHECK_EQ(packet_u16(&p), 0);
    CHECK(p.bad);
    CHECK_EQ(p.len, 1); /* what could not be read is still there */
    CHECK_EQ(packet_u8(&p), 9);
}

static void numbers_are_big_endian(void **state)
{
    struct iovec iov[5];
    struct packet p = pieces(iov);

    (void)state;
    CHECK_EQ(packet_u32(&p), 0x00010203);
    CHECK_EQ(packet_u32(&p), 0x04050607);
    CHECK_EQ(packet_u32(&p), 0);
    CHECK(p.bad);
}

static void nothing_beyond_the_end_is_read(void **state)
{
    struct iovec iov;
    struct packet p = packet_of_bytes(&iov, bytes, 4);
    uint8_t scratch[8] = {0};

    (void)state;
    CHECK(!packet_at(&p, 4, 1, scratch));
    CHECK(!packet_at(&p, 1, 4, scratch));
    CHECK(!packet_at(&p, SIZE_MAX, 2, scratch));
    CHECK(!packet_at(&p, 2, SIZE_MAX, scratch));
    CHECK(!p.bad); /* looking ahead does not mark */
    CHECK_EQ(packet_copy(&p, 2, scratch, 8), 2);
    CHECK_EQ(packet_copy(&p, 9, scratch, 8), 0);
    CHECK(packet_trim(&p, 3));
    CHECK(!packet_trim(&p, 4));
    CHECK(!packet_at(&p, 3, 1, scratch)); /* bytes that are there but were trimmed */
    CHECK(!packet_skip(&p, 4));
    CHECK(p.bad);
    CHECK(packet_skip(&p, 3));
    CHECK_EQ(p.len, 0);
}

static void the_rest_as_a_list(void **state)
{
    struct iovec iov[5], out[3];
    struct packet p = pieces(iov);
    size_t left;

    (void)state;
    packet_skip(&p, 1);
    packet_trim(&p, 6);
    CHECK_EQ(packet_iov(&p, out, 3, &left), 3);
    CHECK_EQ(left, 0);
    assert_ptr_equal(out[0].iov_base, bytes + 1);
    CHECK_EQ(out[0].iov_len, 2);
    CHECK_EQ(out[1].iov_len, 1);
    CHECK_EQ(out[2].iov_len, 3); /* of 5 */
    CHECK_EQ(packet_iov(&p, out, 2, &left), 2);
    CHECK_EQ(left, 3);
}

static void writes_until_full_and_then_nothing(void **state)
{
    uint8_t buf[9], guard = 0x55;
    struct writer w = {.buf = buf, .cap = 8};

    (void)state;
    buf[8] = guard;
    writer_u8(&w, 1);
    writer_u16(&w, 0x0203);
    writer_u32(&w, 0x04050607);
    CHECK_EQ(w.len, 7);
    writer_u16(&w, 0xffff);
    CHECK(w.bad);
    CHECK_EQ(w.len, 7);
    writer_u8(&w, 8); /* would fit, but a writer that is bad stays as it is */
    CHECK_EQ(w.len, 7);
    CHECK_EQ(buf[8], guard);
    CHECK(!memcmp(buf, "\1\2\3\4\5\6\7", 7));
}

static void sets_only_what_was_written(void **state)
{
    uint8_t buf[8] = {0};
    struct writer w = {.buf = buf, .cap = 8};

    (void)state;
    writer_room(&w, 4);
    writer_set16(&w, 2, 0xabcd);
    CHECK(!w.bad);
    CHECK_EQ(ld32be(buf), 0xabcd);
    writer_set16(&w, 3, 0x1111);
    CHECK(w.bad);
    CHECK_EQ(buf[4], 0);
}

/* RFC 1071, 3: the worked example; its sum is ddf2. */
static void checksum_of_rfc_1071(void **state)
{
    static const uint8_t example[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    CHECK_EQ(csum_fold(csum_add(0, example, 8)), (uint16_t)~0xddf2);
    CHECK_EQ(csum_fold(csum_add(csum_add(0, example + 4, 4), example, 4)), (uint16_t)~0xddf2);
}

/* A header with its checksum, as in Wikipedia's article on the IPv4 header checksum. */
static void checksum_of_an_ip_header(void **state)
{
    static const uint8_t ip[20] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                   0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    uint8_t blank[20];

    (void)state;
    CHECK_EQ(csum_fold(csum_add(0, ip, 20)), 0);
    memcpy(blank, ip, 20);
    st16be(blank + 10, 0);
    CHECK_EQ(csum_fold(csum_add(0, blank, 20)), 0xb861);
}

/* The definition, word by word. */
static uint16_t slow(const uint8_t *p, size_t len)
{
    uint32_t s = 0;

    for (size_t i = 0; i < len; i++) {
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
        s = (s & 0xffff) + (s >> 16);
    }
    return (uint16_t)~s;
}

static void checksum_of_every_length_and_alignment(void **state)
{
    uint8_t data[300];
    uint32_t r = 12345;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++) {
        r = r * 1664525 + 1013904223;
        data[i] = i % 7 ? (uint8_t)(r >> 24) : 0xff;
    }
    for (size_t off = 0; off < 9; off++)
        for (size_t len = 0; len + off <= sizeof data; len++)
            CHECK_EQ(csum_fold(csum_add(0, data + off, len)), slow(data + off, len));
}

static void checksum_carries_are_brought_round(void **state)
{
    static uint8_t ones[65536];

    (void)state;
    memset(ones, 0xff, sizeof ones);
    CHECK_EQ(csum_fold(csum_add(0, ones, sizeof ones)), 0);
    CHECK_EQ(csum_fold(csum_add(0xffffffff, ones, 2)), 0);
    memset(ones, 0, sizeof ones);
    CHECK_EQ(csum_fold(csum_add(0, ones, sizeof ones)), 0xffff);
    CHECK_EQ(csum_fold(csum_add(17, ones, 4)), 0xffff - 17); /* numbers may be added to a sum */
}

static void checksum_across_pieces_at_odd_places(void **state)
{
    struct iovec iov[5];
    struct packet p = pieces(iov);

    (void)state;
    for (size_t off = 0; off <= 10; off++)
        for (size_t len = 0; off + len <= 10; len++)
            CHECK_EQ(csum_fold(csum_packet(0, &p, off, len)), slow(bytes + off, len));
    CHECK_EQ(csum_packet(7, &p, 11, 1), 7); /* nothing there */
    CHECK_EQ(csum_fold(csum_packet(0, &p, 5, 100)), slow(bytes + 5, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulls_in_place_and_across_pieces),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(nothing_beyond_the_end_is_read),
        cmocka_unit_test(the_rest_as_a_list),
        cmocka_unit_test(writes_until_full_and_then_nothing),
        cmocka_unit_test(sets_only_what_was_written),
        cmocka_unit_test(checksum_of_rfc_1071),
        cmocka_unit_test(checksum_of_an_ip_header),
        cmocka_unit_test(checksum_of_every_length_and_alignment),
        cmocka_unit_test(checksum_carries_are_brought_round),
        cmocka_unit_test(checksum_across_pieces_at_odd_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
