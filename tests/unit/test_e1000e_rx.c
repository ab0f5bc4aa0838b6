/*
 * The 82574L receives: filters, descriptors of three kinds, checksums, RSS. Frames come from the packet driver;
 * hashes are those of Microsoft's "Verifying the RSS Hash Calculation".
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/e1000e_guest.h"

enum { /* RCTL */
       UPE = 1 << 3,
       MPE = 1 << 4,
       LPE = 1 << 5,
       SPLIT = 1 << 10,
       BAM = 1 << 15,
       VFE = 1 << 18,
       SECRC = 1 << 26,
       EXTEN = 1 << 15, /* RFCTL */
       VME = 1 << 30,   /* CTRL */
};
enum { /* status of a descriptor */
       DD = 1,
       EOP = 2,
       IXSM = 4,
       VP = 8,
       UDPCS = 0x10,
       TCPCS = 0x20,
       IPCS = 0x40,
       PIF = 0x80,
       ACK = 0x8000,
       TCPE = 0x20, /* legacy errors */
       IPE = 0x40,
};
enum { RXDMT0 = 1 << 4, RXT0 = 1 << 7, SRPD = 1 << 16, ACKED = 1 << 17, RXQ1 = 1 << 21 };
enum {
    MPC = 0x4010,
    PRC64 = 0x405c,
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407c,
    GORCL = 0x4088,
    RNBC = 0x40a0,
    ROC = 0x40ac,
    TPR = 0x40d0
};

static struct eg g;
static uint8_t data[9000];
static const struct pkt hello = {
    .kind = PKT_UDP, .dst = "10.0.2.15", .sport = 5, .dport = 7, TEXT("hello, world, here is a long line")};

static int setup(void **state)
{
    (void)state;
    eg_begin(&g);
    eg_wr(&g, RXCSUM, 0x300 | 1 << 13);
    eg_rx_on(&g, 0, 32, BAM | SECRC);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 + i / 256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eg_end(&g);
    return 0;
}

static void send(const struct pkt *p) { CHECK(far_send(&g.far, p)); }

/* The frame of p is in the buffer of entry i of queue q, with what the guest is to see of it. */
static void expect_in(unsigned q, unsigned i, const struct pkt *p)
{
    static uint8_t want[NET_FRAME_MAX];
    size_t n = far_build(&g.far, p, want);
    const uint8_t *d = eg_rx_desc(&g, q, i);

    if (n < 60) {
        memset(want + n, 0, 60 - n);
        n = 60;
    }
    CHECK_EQ(ld16(d + (eg_rd(&g, RFCTL) & EXTEN ? 12 : 8)), n);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(q, i)), want, n);
}

static unsigned head(void) { return eg_rd(&g, RDH); }

/* --- descriptors --- */

static void a_legacy_descriptor(void **state)
{
    const uint8_t *d = eg_rx_desc(&g, 0, 0);

    (void)state;
    eg_wr(&g, IMS, RXT0);
    eg_rx_give(&g, 0, 8);
    send(&hello);
    CHECK_EQ(head(), 1);
    expect_in(0, 0, &hello);
    CHECK_EQ(ld64(d), eg_rx_buffer(0, 0));
    CHECK_EQ(d[12], DD | EOP | IPCS | TCPCS | UDPCS);
    CHECK_EQ(d[13], 0);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR) & RXT0, RXT0);
}

static void an_extended_descriptor(void **state)
{
    const uint8_t *d = eg_rx_desc(&g, 0, 0);

    (void)state;
    eg_wr(&g, RFCTL, EXTEN);
    eg_rx_give(&g, 0, 8);
    send(&hello);
    expect_in(0, 0, &hello);
    CHECK_EQ(ld64(d), 0); /* no hash */
    CHECK_EQ(ld32(d + 8), DD | EOP | IPCS | TCPCS | UDPCS | 2u << 16 /* IPv4 with a transport */);
    CHECK_EQ(ld16(d + 14), 0);
}

static void packet_checksum_and_identification(void **state)
{
    const uint8_t *d = eg_rx_desc(&g, 0, 0);
    struct pkt p = hello;
    uint8_t frame[200];
    size_t n;

    (void)state;
    p.ip_id = 0x1234;
    n = far_build(&g.far, &p, frame);
    eg_wr(&g, RFCTL, EXTEN);
    eg_wr(&g, RXCSUM, 0x300 | 14);
    eg_rx_give(&g, 0, 8);
    send(&p);
    CHECK_EQ(ld16(d + 4), 0x1234);
    CHECK_EQ(ld16(d + 6), sum_of(0, frame + 14, n - 14));
    CHECK_EQ(ld32(d + 8) >> 9 & 1, 1);
    eg_wr(&g, RFCTL, 0);
    send(&p);
    CHECK_EQ(ld16(eg_rx_desc(&g, 0, 1) + 10), sum_of(0, frame + 14, n - 14));
}

static void a_long_frame_takes_several_descriptors(void **state)
{
    const struct pkt p = {.kind = PKT_ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 1400)};
    uint8_t frame[1500];

    (void)state;
    eg_wr(&g, RCTL, 2 | SECRC | 2 << 16); /* 512 bytes each */
    eg_rx_give(&g, 0, 8);
    far_build(&g.far, &p, frame);
    send(&p);
    CHECK_EQ(head(), 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *d = eg_rx_desc(&g, 0, i);

        CHECK_EQ(ld16(d + 8), i < 2 ? 512 : 1414 - 1024);
        CHECK_EQ(d[12], i < 2 ? DD : DD | EOP | IXSM);
        assert_memory_equal(eg_at(&g, eg_rx_buffer(0, i)), frame + 512 * i, ld16(d + 8));
    }
}

static void buffer_sizes(void **state)
{
    static const struct {
        uint32_t rctl;
        unsigned descriptors; /* for 9014 bytes */
    } sizes[] = {{0, 5},
                 {1 << 16, 9},
                 {2 << 16, 18},
                 {3 << 16, 36},
                 {1 << 25 | 1 << 16, 1},
                 {1 << 25 | 2 << 16, 2},
                 {1 << 25 | 3 << 16, 3},
                 {9 << 27, 1},
                 {3 << 27, 3}};

    (void)state;
    g.far.port.mtu = 9000;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        eg_rx_on(&g, 0, 64, LPE | SECRC | sizes[i].rctl);
        eg_rx_give(&g, 0, 63);
        send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 9000)));
        CHECK_EQ(head(), sizes[i].descriptors);
    }
}

static void split_descriptors(void **state)
{
    static const struct pkt p = {.kind = PKT_TCP, .dst = "10.0.2.15", .dport = 80, .flags = T_ACK, DATA(data, 1400)};
    const uint8_t *d = eg_rx_desc(&g, 0, 0);
    uint8_t frame[1500];
    size_t n = far_build(&g.far, &p, frame);

    (void)state;
    eg_wr(&g, RFCTL, EXTEN);
    eg_wr(&g, PSRCTL, 2 | 1 << 8 | 4 << 16);
    eg_wr(&g, RCTL, 2 | SECRC | SPLIT);
    eg_rx_give_split(&g, 0, 8);
    send(&p);
    CHECK_EQ(head(), 2); /* of 16 bytes */
    CHECK_EQ(ld32(d + 8) & 0xffff, DD | EOP | IPCS | TCPCS | ACK);
    CHECK_EQ(ld16(d + 12), 54);
    CHECK_EQ(ld16(d + 16), 54 | 0x8000); /* split */
    CHECK_EQ(ld16(d + 18), 1024);
    CHECK_EQ(ld16(d + 20), 1400 - 1024);
    CHECK_EQ(ld16(d + 22), 0);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(0, 0)), frame, 54);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(0, 1)), frame + 54, 1024);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(0, 2)), frame + 54 + 1024, n - 54 - 1024);
}

static void what_has_no_header_is_not_split(void **state)
{
    const uint8_t *d = eg_rx_desc(&g, 0, 0);

    (void)state;
    eg_wr(&g, RFCTL, EXTEN);
    eg_wr(&g, PSRCTL, 2 | 1 << 8 | 4 << 16);
    eg_wr(&g, RCTL, 2 | SECRC | SPLIT);
    eg_rx_give_split(&g, 0, 8);
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 500)));
    CHECK_EQ(ld16(d + 12), 256); /* the first buffer, and on */
    CHECK_EQ(ld16(d + 16), 0);
    CHECK_EQ(ld16(d + 18), 514 - 256);
}

static void a_null_descriptor_takes_nothing(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 0);
    st64(eg_rx_desc(&g, 0, 1), eg_rx_buffer(0, 1));
    g.rx[0].tail = 4;
    eg_rx_give(&g, 0, 0);
    send(&hello);
    CHECK_EQ(head(), 2);
    CHECK_EQ(eg_rx_desc(&g, 0, 0)[12], DD);
    CHECK_EQ(eg_rx_desc(&g, 0, 1)[12] & (DD | EOP), DD | EOP);
    expect_in(0, 1, &hello);
}

static void short_frames_are_padded_and_the_fcs_can_be_had(void **state)
{
    uint32_t crc = UINT32_MAX;
    const uint8_t *b = eg_at(&g, eg_rx_buffer(0, 0));

    (void)state;
    eg_wr(&g, RCTL, 2 | BAM);
    eg_rx_give(&g, 0, 8);
    send(PKT(ARP, .arp = 1, .src = "10.0.2.2", .dst = "10.0.2.15"));
    CHECK_EQ(ld16(eg_rx_desc(&g, 0, 0) + 8), 64);
    for (unsigned i = 0; i < 64; i++) { /* IEEE 802.3, 3.2.9, bit by bit: what is left is always the same */
        crc ^= b[i];
        for (unsigned k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    CHECK_EQ(crc, 0xdebb20e3);
}

/* --- room --- */

static void frames_wait_for_descriptors(void **state)
{
    struct pkt p = hello;

    (void)state;
    for (p.dport = 1; p.dport <= 3; p.dport++)
        send(&p);
    CHECK_EQ(eg_rd(&g, RNBC), 3);
    CHECK_EQ(head(), 0);
    eg_rx_give(&g, 0, 2);
    CHECK_EQ(head(), 2);
    p.dport = 4;
    send(&p);
    eg_rx_give(&g, 0, 3);
    CHECK_EQ(head(), 4);
    for (unsigned i = 0; i < 4; i++) { /* in their order */
        p.dport = (uint16_t)(i + 1);
        expect_in(0, i, &p);
    }
    eg_rx_on(&g, 0, 32, BAM | SECRC);
    send(&p);
    eg_clear(&g, RCTL, 2); /* the receiver off: what waited is gone */
    eg_set(&g, RCTL, 2);
    eg_rx_give(&g, 0, 2);
    CHECK_EQ(head(), 0);
}

static void when_the_packet_buffer_is_full_the_sender_waits(void **state)
{
    const struct pkt p = {.kind = PKT_ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 1486)};
    unsigned n = 0;

    (void)state;
    while (far_send(&g.far, &p))
        n++;
    CHECK_EQ(n, 20 * 1024 / 1503);
    CHECK_EQ(g.far.readies, 0);
    eg_rx_give(&g, 0, 1);
    CHECK_EQ(g.far.readies, 0);
    eg_rx_give(&g, 0, n);
    CHECK_EQ(g.far.readies, 1);
    CHECK_EQ(head(), n);
    send(&p);
    while (far_send(&g.far, &p))
        n++;
    eg_set(&g, CTRL, 1 << 26); /* a reset lets go of who waits */
    world_run(&g.w);
    CHECK_EQ(g.far.readies, 2);
    send(&hello);
}

static void few_descriptors_left_are_told(void **state)
{
    (void)state;
    eg_wr(&g, IMS, RXDMT0);
    eg_rx_give(&g, 0, 18); /* half of 32 is 16 */
    send(&hello);
    CHECK(!g.irq);
    send(&hello);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR) & RXDMT0, RXDMT0);
    send(&hello);
    CHECK(!g.irq);
}

static void a_ring_that_does_not_exist_loses(void **state)
{
    (void)state;
    eg_wr(&g, RDLEN, 0);
    send(&hello);
    CHECK_EQ(eg_rd(&g, MPC), 1);
    eg_wr(&g, RDLEN, 512);
    eg_wr(&g, RDBAL, 0x1000); /* not RAM */
    eg_wr(&g, RDBAH, 0);
    eg_wr(&g, RDT, 8);
    send(&hello);
    CHECK_EQ(eg_rd(&g, MPC), 1);
    CHECK_EQ(eg_rd(&g, RDH), 0);
}

static void buffers_outside_of_ram_get_nothing(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 4);
    st64(eg_rx_desc(&g, 0, 0), EG_BAR + TDT); /* the device's own registers */
    st64(eg_rx_desc(&g, 0, 1), UINT64_MAX - 7);
    for (unsigned i = 0; i < 3; i++)
        send(&hello);
    CHECK_EQ(head(), 3);
    CHECK_EQ(eg_rd(&g, TDT), 0);
    expect_in(0, 2, &hello);
}

static void sizes_of_frames(void **state)
{
    (void)state;
    g.far.port.mtu = 9000;
    eg_rx_on(&g, 0, 32, SECRC | 9 << 27);
    eg_rx_give(&g, 0, 16);
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 1505)));
    CHECK_EQ(eg_rd(&g, ROC), 1);
    CHECK_EQ(head(), 0);
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 1504))); /* 1522 with header and FCS */
    CHECK_EQ(head(), 1);
    eg_set(&g, RCTL, LPE);
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 9000)));
    CHECK_EQ(head(), 2);
}

/* --- filters --- */

static bool arrives(const struct pkt *p)
{
    unsigned before = head();

    send(p);
    return head() != before;
}

static bool arrives_at(const char *mac)
{
    return arrives(PKT(ETH, .eth_dst = mac, .ethertype = 0x1234, DATA(data, 64)));
}

static void addresses(void **state)
{
    (void)state;
    eg_rx_on(&g, 0, 32, SECRC);
    eg_rx_give(&g, 0, 31);
    CHECK(arrives_at(EG_MAC));
    CHECK(!arrives_at("52:54:00:ab:cd:ee"));
    CHECK(!arrives_at("ff:ff:ff:ff:ff:ff"));
    CHECK(!arrives_at("01:00:5e:00:00:01"));
    eg_wr(&g, RAL + 15 * 8, 0xab005452);
    eg_wr(&g, RAH + 15 * 8, 0x0000eecd); /* not valid */
    CHECK(!arrives_at("52:54:00:ab:cd:ee"));
    eg_wr(&g, RAH + 15 * 8, 0x8000eecd);
    CHECK(arrives_at("52:54:00:ab:cd:ee"));
    eg_wr(&g, RAH + 15 * 8, 0x8001eecd); /* of the source */
    CHECK(!arrives_at("52:54:00:ab:cd:ee"));
    eg_set(&g, RCTL, BAM);
    CHECK(arrives_at("ff:ff:ff:ff:ff:ff"));
    CHECK(!arrives_at("01:00:5e:00:00:01"));
    eg_set(&g, RCTL, MPE);
    CHECK(arrives_at("01:00:5e:00:00:01"));
    CHECK(!arrives_at("52:54:00:00:00:01"));
    eg_set(&g, RCTL, UPE);
    CHECK(arrives_at("52:54:00:00:00:01"));
    CHECK_EQ(eg_rx_desc(&g, 0, head() - 1)[12] & PIF, PIF);
}

/* Bits 47:36, 46:35, 45:34 or 43:32 of the address, as RCTL.MO says: of its last two bytes, the number 0x5634. */
static void multicast_table(void **state)
{
    static const unsigned hash[] = {0x563, 0xac6, 0x58d, 0x634};

    (void)state;
    eg_rx_on(&g, 0, 32, SECRC);
    eg_rx_give(&g, 0, 31);
    for (unsigned i = 0; i < 4; i++) {
        eg_wr(&g, RCTL, 2 | SECRC | i << 12);
        CHECK(!arrives_at("01:aa:00:12:34:56"));
        eg_wr(&g, MTA + hash[i] / 32 * 4, UINT32_C(1) << hash[i] % 32);
        CHECK(arrives_at("01:aa:00:12:34:56"));
        CHECK_EQ(eg_rx_desc(&g, 0, head() - 1)[12] & PIF, PIF);
        eg_wr(&g, MTA + hash[i] / 32 * 4, 0);
    }
}

static void vlan_filter(void **state)
{
    struct pkt p = hello;

    (void)state;
    eg_rx_give(&g, 0, 31);
    p.vlan = 0x6123;
    CHECK(arrives(&p));
    eg_set(&g, RCTL, VFE);
    CHECK(!arrives(&p));
    CHECK(arrives(&hello));
    eg_wr(&g, VFTA + 0x123 / 32 * 4, 1 << 0x123 % 32);
    CHECK(arrives(&p));
}

static void tags_are_stripped(void **state)
{
    struct pkt p = hello;
    const uint8_t *d;

    (void)state;
    eg_rx_give(&g, 0, 31);
    p.vlan = 0x6123;
    send(&p);
    expect_in(0, 0, &p);
    CHECK_EQ(eg_rx_desc(&g, 0, 0)[12], DD | EOP | IPCS | TCPCS | UDPCS);
    eg_set(&g, CTRL, VME);
    send(&p);
    expect_in(0, 1, &hello);
    d = eg_rx_desc(&g, 0, 1);
    CHECK_EQ(d[12], DD | EOP | VP | IPCS | TCPCS | UDPCS);
    CHECK_EQ(ld16(d + 14), 0x6123);
    eg_wr(&g, RFCTL, EXTEN);
    send(&p);
    d = eg_rx_desc(&g, 0, 2);
    CHECK_EQ(ld16(d + 14), 0x6123);
    CHECK_EQ(ld32(d + 8) & VP, VP);
    send(&hello);
    CHECK_EQ(ld32(eg_rx_desc(&g, 0, 3) + 8) & VP, 0);
}

static void a_tagged_frame_is_split_behind_its_headers(void **state)
{
    struct pkt p = hello;
    const uint8_t *d = eg_rx_desc(&g, 0, 0);

    (void)state;
    p.vlan = 5;
    eg_set(&g, CTRL, VME);
    eg_wr(&g, RFCTL, EXTEN);
    eg_wr(&g, RCTL, 2 | SECRC | SPLIT);
    eg_rx_give_split(&g, 0, 8);
    send(&p);
    CHECK_EQ(ld16(d + 12), 42);
    CHECK_EQ(ld16(d + 16), 42 | 0x8000);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(0, 1)), hello.data, hello.len);
}

static void pause_frames_stay_below(void **state)
{
    static const struct pkt pause = {.kind = PKT_ETH, .eth_dst = EG_MAC, .ethertype = 0x8808, DATA(data, 46)};

    (void)state;
    eg_rx_give(&g, 0, 31);
    CHECK(!arrives(&pause));
    eg_set(&g, RCTL, 1 << 23);
    CHECK(arrives(&pause));
}

static void the_receiver_can_be_off(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 31);
    eg_clear(&g, RCTL, 2);
    CHECK(!arrives(&hello));
    eg_set(&g, RCTL, 2);
    CHECK(arrives(&hello));
}

/* --- checksums --- */

static void checksum_status(void **state)
{
    static const uint8_t options[24] = {60, 0, 1, 4, 0, 0, 0, 0, 17, 1, 1, 12}, beyond[8] = {17, 255};
    static const struct {
        struct pkt p;
        uint8_t status, errors;
    } cases[] = {
        {{.kind = PKT_UDP, .dst = "10.0.2.15", TEXT("abc")}, IPCS | TCPCS | UDPCS, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .sum = SUM_WRONG, TEXT("abc")}, IPCS | TCPCS | UDPCS, TCPE},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .sum = SUM_ZERO, TEXT("abc")}, IPCS, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .sum = SUM_VALID, TEXT("abc")}, IPCS | TCPCS | UDPCS, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .sum = SUM_PARTIAL, TEXT("abc")}, IPCS | TCPCS | UDPCS, 0},
        {{.kind = PKT_TCP, .dst = "10.0.2.15", .flags = T_SYN, .mss = 1460}, IPCS | TCPCS, 0},
        {{.kind = PKT_TCP, .dst = "10.0.2.15", .flags = T_SYN, .sum = SUM_WRONG}, IPCS | TCPCS, TCPE},
        {{.kind = PKT_TCP, .dst = "10.0.2.15", .flags = T_SYN, .bad_ip_sum = true}, IPCS | TCPCS, IPE},
        {{.kind = PKT_TCP, .dst = "fec0::5054:ff:fe12:3456", .flags = T_SYN}, TCPCS, 0},
        {{.kind = PKT_TCP, .dst = "fec0::5054:ff:fe12:3456", .flags = T_SYN, .sum = SUM_WRONG}, TCPCS, TCPE},
        {{.kind = PKT_UDP, .dst = "fec0::5054:ff:fe12:3456", TEXT("abc"), .pad = 20}, TCPCS | UDPCS, 0},
        {{.kind = PKT_UDP, .dst = "fec0::5054:ff:fe12:3456", .ip_options = options, .ip_options_len = 24, TEXT("abc")},
         TCPCS | UDPCS,
         0},
        {{.kind = PKT_UDP, .dst = "fec0::5054:ff:fe12:3456", .ip_options = beyond, .ip_options_len = 8, TEXT("abc")},
         0,
         0},
        {{.kind = PKT_ICMP, .dst = "10.0.2.15", .type = 8, TEXT("abc")}, IPCS, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .more = true, TEXT("12345678")}, IPCS, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .ip_len = 2000, TEXT("abc")}, IXSM, 0},
        {{.kind = PKT_UDP, .dst = "10.0.2.15", .version = 0x41, TEXT("abc")}, IXSM, 0},
        {{.kind = PKT_TCP, .dst = "10.0.2.15", .flags = T_ACK, .tcp_off = 60}, IPCS, 0},
        {{.kind = PKT_ETH, .ethertype = 0x1234, DATA(data, 64)}, IXSM, 0},
    };

    (void)state;
    eg_rx_give(&g, 0, 31);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct pkt p = cases[i].p;
        const uint8_t *d = eg_rx_desc(&g, 0, i);

        p.eth_dst = EG_MAC;
        send(&p);
        CHECK_EQ(i << 16 | d[12], i << 16 | DD | EOP | cases[i].status);
        CHECK_EQ(i << 16 | d[13], i << 16 | cases[i].errors);
    }
}

static void checksums_can_be_left_to_the_guest(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 31);
    eg_wr(&g, RXCSUM, 1 << 13 | 1 << 9);
    send(&hello);
    CHECK_EQ(eg_rx_desc(&g, 0, 0)[12], DD | EOP | TCPCS | UDPCS);
    eg_wr(&g, RXCSUM, 1 << 13 | 1 << 8);
    send(&hello);
    CHECK_EQ(eg_rx_desc(&g, 0, 1)[12], DD | EOP | IPCS);
    eg_wr(&g, RXCSUM, 1 << 13);
    send(&hello);
    CHECK_EQ(eg_rx_desc(&g, 0, 2)[12], DD | EOP | IXSM);
}

/* --- RSS --- */

static void rss_begin(uint32_t types)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

    for (unsigned i = 0; i < 10; i++)
        eg_wr(&g, RSSRK + 4 * i, ld32(key + 4 * i));
    eg_wr(&g, RFCTL, EXTEN);
    eg_wr(&g, MRQC, 1 | types);
    eg_rx_give(&g, 0, 16);
}

static void rss_hashes(void **state)
{
    static const struct {
        const char *src, *dst;
        uint16_t sport, dport;
        bool tcp;
        uint32_t hash, type;
    } cases[] = {
        {"66.9.149.187", "161.142.100.80", 2794, 1766, true, 0x51ccc178, 1},
        {"66.9.149.187", "161.142.100.80", 2794, 1766, false, 0x323e8fc2, 2},
        {"199.92.111.2", "65.69.140.83", 14230, 4739, true, 0xc626b0ea, 1},
        {"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, true, 0x40207d3d, 3},
        {"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, false, 0x2cc18cd5, 5},
    };

    (void)state;
    rss_begin(1 << 16 | 1 << 17 | 1 << 18 | 1 << 20);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct pkt p = {.kind = cases[i].tcp ? PKT_TCP : PKT_UDP,
                        .src = cases[i].src,
                        .dst = cases[i].dst,
                        .sport = cases[i].sport,
                        .dport = cases[i].dport,
                        .flags = T_ACK,
                        TEXT("x")};

        send(&p);
        CHECK_EQ(ld32(eg_rx_desc(&g, 0, i) + 4), cases[i].hash);
        CHECK_EQ(ld32(eg_rx_desc(&g, 0, i)), cases[i].type);
    }
}

static void rss_chooses_the_queue(void **state)
{
    const uint8_t *d;

    (void)state;
    eg_rx_on(&g, 1, 32, BAM | SECRC);
    rss_begin(1 << 17);
    eg_rx_give(&g, 1, 16);
    eg_wr(&g, RETA + (0x323e8fc2 & 0x7f) / 4 * 4, 0x80u << 8 * (0x323e8fc2 & 3));
    send(PKT(UDP, .src = "66.9.149.187", .dst = "161.142.100.80", TEXT("x")));
    CHECK_EQ(head(), 0);
    CHECK_EQ(eg_rd(&g, RDH + QUEUE), 1);
    d = eg_rx_desc(&g, 1, 0);
    CHECK_EQ(ld32(d), 2 | 1 << 8);
    CHECK_EQ(ld32(d + 8) & (DD | EOP), DD | EOP);
    send(&hello);
    CHECK_EQ(head(), 1);
}

/* --- interrupts, statistics --- */

static void rdtr_delays_and_radv_bounds(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 31);
    eg_wr(&g, IMS, RXT0);
    eg_wr(&g, RDTR, 10);
    eg_wr(&g, RADV, 25);
    send(&hello);
    CHECK(!g.irq);
    world_advance(&g.w, 10 * 1024 - 1);
    CHECK(!g.irq);
    world_advance(&g.w, 1);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, 0x4104), 1); /* packet timer */
    eg_rd(&g, ICR);
    for (unsigned i = 0; i < 3; i++) { /* each frame begins it anew */
        send(&hello);
        CHECK(!g.irq);
        world_advance(&g.w, 8 * 1024);
    }
    CHECK(!g.irq);
    world_advance(&g.w, 1024);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, 0x4108), 1); /* absolute timer */
    eg_rd(&g, ICR);
    send(&hello);
    eg_wr(&g, RDTR, 10 | UINT32_C(1) << 31);
    CHECK(g.irq);
}

static void small_frames_and_acknowledgements_do_not_wait(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 31);
    eg_wr(&g, IMS, RXT0);
    eg_wr(&g, RDTR, 10);
    eg_wr(&g, 0x2c00, 70); /* RSRPD */
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 56)));
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR) & (SRPD | RXT0), SRPD | RXT0);
    eg_wr(&g, 0x2c00, 0);
    send(PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK));
    CHECK_EQ(eg_rd(&g, ICR) & (ACKED | RXT0), ACKED | RXT0);
    eg_wr(&g, RFCTL, 1 << 12); /* ACK_DIS */
    send(PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK));
    CHECK(!g.irq);
}

static void msix_cause_of_a_queue(void **state)
{
    (void)state;
    eg_msix(&g);
    eg_wr(&g, IVAR, 12 << 4);
    eg_wr(&g, IMS, RXQ1);
    eg_rx_on(&g, 1, 32, BAM | SECRC);
    rss_begin(1 << 17);
    eg_rx_give(&g, 1, 16);
    for (unsigned i = 0; i < 32; i++)
        eg_wr(&g, RETA + 4 * i, 0x80808080);
    send(&hello);
    CHECK_EQ(g.msi_data, 104);
}

static void statistics(void **state)
{
    (void)state;
    eg_rx_give(&g, 0, 31);
    eg_set(&g, RCTL, MPE);
    send(PKT(ARP, .arp = 1, .src = "10.0.2.2", .dst = "10.0.2.15"));
    send(PKT(ETH, .eth_dst = "01:00:5e:00:00:01", .ethertype = 0x1234, DATA(data, 500)));
    send(PKT(ETH, .eth_dst = "52:00:00:00:00:01", .ethertype = 0x1234, DATA(data, 500))); /* filtered */
    send(PKT(ETH, .eth_dst = EG_MAC, .ethertype = 0x1234, DATA(data, 1000)));
    CHECK_EQ(eg_rd(&g, GPRC), 3);
    CHECK_EQ(eg_rd(&g, GPRC), 0);
    CHECK_EQ(eg_rd(&g, BPRC), 1);
    CHECK_EQ(eg_rd(&g, MPRC), 1);
    CHECK_EQ(eg_rd(&g, TPR), 4);
    CHECK_EQ(eg_rd(&g, GORCL), 64 + 518 + 1018);
    CHECK_EQ(eg_rd(&g, PRC64), 1);
    CHECK_EQ(eg_rd(&g, PRC64 + 16), 2); /* 512 to 1023 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_legacy_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(an_extended_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(packet_checksum_and_identification, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_frame_takes_several_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(buffer_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(split_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(what_has_no_header_is_not_split, setup, teardown),
        cmocka_unit_test_setup_teardown(a_null_descriptor_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(short_frames_are_padded_and_the_fcs_can_be_had, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_wait_for_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(when_the_packet_buffer_is_full_the_sender_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(few_descriptors_left_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_that_does_not_exist_loses, setup, teardown),
        cmocka_unit_test_setup_teardown(buffers_outside_of_ram_get_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_of_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(multicast_table, setup, teardown),
        cmocka_unit_test_setup_teardown(vlan_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(tags_are_stripped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tagged_frame_is_split_behind_its_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(pause_frames_stay_below, setup, teardown),
        cmocka_unit_test_setup_teardown(the_receiver_can_be_off, setup, teardown),
        cmocka_unit_test_setup_teardown(checksum_status, setup, teardown),
        cmocka_unit_test_setup_teardown(checksums_can_be_left_to_the_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(rss_hashes, setup, teardown),
        cmocka_unit_test_setup_teardown(rss_chooses_the_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(rdtr_delays_and_radv_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(small_frames_and_acknowledgements_do_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(msix_cause_of_a_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(statistics, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
