/*
 * The 82574L transmits: descriptors as Linux's driver and older ones make them. The packet driver at the far end
 * checks every length, checksum and offload field by itself.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/cable.h"
#include "tests/unit/e1000e_guest.h"
#include "tests/unit/net_util.h"

enum { TXDW = 1, TXQE = 2, RXT0 = 1 << 7, TXQ1 = 1 << 23, PSP = 8, VME = 1 << 30, MSS = 1000 };
enum {
    GPTC = 0x4080,
    GOTCL = 0x4090,
    GOTCH = 0x4094,
    PTC64 = 0x40d8,
    PTC127 = 0x40dc,
    PTC1522 = 0x40ec,
    TSCTC = 0x40f8,
    TSCTFC = 0x40fc
};

static struct eg g;
static const struct pkt udp = {.kind = PKT_UDP, .dst = "10.0.2.2", .sport = 5, .dport = 7, TEXT("hello, world")};

static int setup(void **state)
{
    (void)state;
    eg_begin(&g);
    eg_tx_on(&g, 0, 64, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    eg_end(&g);
    return 0;
}

static void a_legacy_descriptor_is_a_frame(void **state)
{
    (void)state;
    eg_wr(&g, IMS, TXDW);
    eg_send(&g, 0, &udp, 0, 0);
    far_expect(&g.far, PKT(UDP, .src = "10.0.2.15", .dst = "10.0.2.2", .sport = 5, .dport = 7, TEXT("hello, world")));
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR) & (TXDW | TXQE), TXDW | TXQE);
}

static void without_rs_nothing_is_reported(void **state)
{
    gpa at, desc;
    size_t n;

    (void)state;
    eg_wr(&g, IMS, TXDW);
    n = eg_frame(&g, &udp, &at);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP, 0);
    eg_tx_go(&g, 0);
    far_expect(&g.far, &udp);
    CHECK(!eg_done(&g, desc));
    CHECK(!g.irq);
    CHECK_EQ(eg_rd(&g, TDH), 1);
}

static void a_frame_may_be_in_many_descriptors(void **state)
{
    static uint8_t data[1400];
    gpa at, last = 0;
    size_t n;

    (void)state;
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    n = eg_frame(&g, PKT(UDP, .dst = "10.0.2.2", DATA(data, sizeof data)), &at);
    for (size_t off = 0; off < n; off += 47) {
        eg_tx_desc(&g, 0, 0, T_RS, 0); /* an empty one, at no address */
        last = eg_tx_desc(&g, 0, at + off, (uint32_t)(n - off < 47 ? n - off : 47) | T_RS | (off + 47 >= n ? T_EOP : 0),
                          0);
    }
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, last));
    far_expect(&g.far, PKT(UDP, DATA(data, sizeof data)));
    far_expect_none(&g.far);
}

static void a_frame_waits_for_its_last_descriptor(void **state)
{
    gpa at, first;
    size_t n;

    (void)state;
    n = eg_frame(&g, &udp, &at);
    first = eg_tx_desc(&g, 0, at, 20 | T_RS, 0);
    eg_tx_go(&g, 0);
    far_expect_none(&g.far);
    CHECK(!eg_done(&g, first));
    eg_tx_desc(&g, 0, at + 20, (uint32_t)(n - 20) | T_RS | T_EOP, 0);
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, first));
    far_expect(&g.far, &udp);
}

static void a_ring_full_of_one_frame_is_thrown_away(void **state)
{
    gpa at;

    (void)state;
    eg_frame(&g, &udp, &at);
    for (unsigned i = 0; i < 63; i++)
        eg_tx_desc(&g, 0, at, 10 | T_RS, 0);
    eg_tx_go(&g, 0);
    CHECK_EQ(eg_rd(&g, TDH), 63);
    eg_tx_desc(&g, 0, at, 10 | T_RS, 0);
    eg_tx_desc(&g, 0, at, 10 | T_RS | T_EOP, 0); /* its end */
    eg_send(&g, 0, &udp, 0, 0);
    far_expect(&g.far, &udp);
    far_expect_none(&g.far);
}

static void legacy_checksum(void **state)
{
    struct pkt p = udp;
    gpa at, desc;
    size_t n;

    (void)state;
    p.sum = SUM_PARTIAL;
    n = eg_frame(&g, &p, &at);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | 40u << 16 | T_IC | T_EOP | T_RS, 34 << 8);
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, desc));
    CHECK_EQ(far_expect(&g.far, &udp)->nf_flags, NET_CSUM_PARTIAL);
}

/* A frame with its IP checksum missing and its transport's begun, and the context that completes both. */
static void send_with_context(const struct pkt *p, unsigned sum_at, uint32_t tucmd, uint32_t tu_end)
{
    gpa at, desc;
    size_t n = eg_frame(&g, p, &at);

    st16(eg_at(&g, at + 24), 0);
    eg_tx_context(&g, 0, 14 | 24 << 8 | 33u << 16, 34 | sum_at << 8 | tu_end << 16, T_TUCMD_IP | tucmd, 0);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_DATA | T_EOP | T_RS, T_POPTS_IXSM | T_POPTS_TXSM);
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, desc));
}

static void checksums_by_context(void **state)
{
    (void)state;
    send_with_context(PKT(TCP, .dst = "10.0.2.2", .dport = 80, .flags = T_ACK, .sum = SUM_PARTIAL, TEXT("abc")), 50,
                      T_TUCMD_TCP, 0);
    CHECK_EQ(far_expect(&g.far, PKT(TCP, .dport = 80, TEXT("abc")))->nf_flags, NET_CSUM_PARTIAL);
    send_with_context(PKT(UDP, .dst = "10.0.2.2", .dport = 53, .sum = SUM_PARTIAL, TEXT("abcd")), 40, 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, .dport = 53, TEXT("abcd")))->nf_flags, NET_CSUM_PARTIAL);
    g.far.port.can = 0; /* the cable completes them */
    send_with_context(PKT(UDP, .dst = "10.0.2.2", .dport = 54, .sum = SUM_PARTIAL, TEXT("abcde")), 40, 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, .dport = 54, TEXT("abcde")))->nf_flags, NET_CSUM_VALID);
}

/* Bytes behind the end of the checksum do not count: then it cannot be left to the network. */
static void a_checksum_with_an_end_is_computed_here(void **state)
{
    (void)state;
    send_with_context(PKT(UDP, .dst = "10.0.2.2", .dport = 53, .sum = SUM_PARTIAL, TEXT("abcd"), .pad = 7), 40, 0,
                      34 + 8 + 4 - 1);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, .dport = 53, TEXT("abcd")))->nf_flags, 0);
}

/* --- segmentation: headers without lengths, and with a sum of a pseudo-header without one, as Linux leaves them --- */

static uint8_t payload[20000];

static gpa large(const struct pkt *p, unsigned l4, size_t *n)
{
    gpa at;
    uint8_t *f;
    bool v4 = l4 == 34, tcp = p->kind == PKT_TCP;
    uint32_t sum;

    for (unsigned i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 31 + i / 256);
    *n = eg_frame(&g, p, &at);
    f = eg_at(&g, at);
    st16(f + (v4 ? 16 : 18), 0);
    if (v4)
        st16(f + 24, 0);
    sum = sum_pseudo(v4, f + (v4 ? 26 : 22), f + (v4 ? 30 : 38), tcp ? 6 : 17, 0);
    st16be(f + l4 + (tcp ? 16 : 6), (uint16_t)~sum_of(sum, NULL, 0));
    return at;
}

/* Headers and data in descriptors of their own. */
static void send_large(const struct pkt *p, unsigned l4, unsigned header, uint32_t lower, uint32_t upper)
{
    size_t n;
    gpa at = large(p, l4, &n), desc = 0;
    bool v4 = l4 == 34, tcp = p->kind == PKT_TCP;

    eg_tx_context(&g, 0, 14 | 24 << 8 | (v4 ? 33u : 0) << 16, l4 | (l4 + (tcp ? 16 : 6)) << 8,
                  (uint32_t)(n - header) | T_TSE | (v4 ? T_TUCMD_IP : 0) | (tcp ? T_TUCMD_TCP : 0),
                  MSS << 16 | header << 8);
    upper |= T_POPTS_TXSM | (v4 ? T_POPTS_IXSM : 0);
    eg_tx_desc(&g, 0, at, header | T_DATA | T_TSE, upper);
    for (size_t off = header; off < n; off += 8192)
        desc = eg_tx_desc(&g, 0, at + off,
                          (uint32_t)(n - off < 8192 ? n - off : 8192) | T_DATA | T_TSE |
                              (off + 8192 >= n ? T_EOP | T_RS | lower : 0),
                          upper);
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, desc));
}

#define LARGE_TCP4                                                                                                     \
    PKT(TCP, .dst = "10.0.2.2", .dport = 80, .seq = 1000, .flags = T_ACK | T_PSH | T_FIN, DATA(payload, 12345))
#define LARGE_TCP6 PKT(TCP, .dst = "fec0::2", .dport = 80, .seq = 1000, .flags = T_ACK | T_PSH, DATA(payload, 12345))

static void tso4_is_one_frame_for_who_takes_it(void **state)
{
    const struct got *f;

    (void)state;
    send_large(LARGE_TCP4, 34, 54, 0, 0);
    f = far_expect(&g.far, PKT(TCP, .dport = 80, .seq = 1000, DATA(payload, 12345)));
    CHECK_EQ(f->gso, NET_GSO_TCP4);
    CHECK_EQ(f->gso_size, MSS);
    far_expect_none(&g.far);
    CHECK_EQ(eg_rd(&g, TSCTC), 1);
}

static void tso4_is_segments_for_who_does_not(void **state)
{
    (void)state;
    g.far.port.can = 0;
    send_large(LARGE_TCP4, 34, 54, 0, 0);
    for (uint32_t i = 0; i < 13; i++)
        far_expect(&g.far, PKT(TCP, .seq = 1000 + i * MSS, .flags = i == 12 ? T_ACK | T_FIN : T_ACK,
                               DATA(payload + i * MSS, i == 12 ? 345 : MSS)));
    far_expect_none(&g.far);
}

static void tso6(void **state)
{
    (void)state;
    send_large(LARGE_TCP6, 54, 74, 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(TCP, .dst = "fec0::2", .seq = 1000, DATA(payload, 12345)))->gso, NET_GSO_TCP6);
    g.far.port.can = 0;
    send_large(LARGE_TCP6, 54, 74, 0, 0);
    for (uint32_t i = 0; i < 13; i++)
        far_expect(&g.far, PKT(TCP, .seq = 1000 + i * MSS, DATA(payload + i * MSS, i == 12 ? 345 : MSS)));
}

static void udp_segmentation(void **state)
{
    (void)state;
    send_large(PKT(UDP, .dst = "10.0.2.2", .dport = 9, DATA(payload, 2500)), 34, 42, 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, .dport = 9, DATA(payload, 2500)))->gso, NET_GSO_UDP4);
    g.far.port.can = 0;
    send_large(PKT(UDP, .dst = "10.0.2.2", .dport = 9, DATA(payload, 2500)), 34, 42, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        far_expect(&g.far, PKT(UDP, .dport = 9, DATA(payload + i * MSS, i == 2 ? 500 : MSS)));
}

static void a_small_large_frame_is_not_segmented(void **state)
{
    (void)state;
    send_large(PKT(TCP, .dst = "10.0.2.2", .dport = 80, .flags = T_ACK, DATA(payload, 300)), 34, 54, 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(TCP, DATA(payload, 300)))->gso, 0);
}

static void segments_are_counted(void **state)
{
    (void)state;
    send_large(LARGE_TCP4, 34, 54, 0, 0);
    CHECK_EQ(eg_rd(&g, GPTC), 13);
    CHECK_EQ(eg_rd(&g, GOTCL), 12345 + 13 * (54 + 4));
    CHECK_EQ(eg_rd(&g, GOTCL), 12345 + 13 * (54 + 4));
    CHECK_EQ(eg_rd(&g, GOTCH), 0); /* that ends it */
    CHECK_EQ(eg_rd(&g, GOTCL), 0);
    CHECK_EQ(eg_rd(&g, PTC1522), 12);
    CHECK_EQ(eg_rd(&g, GPTC), 0);
    eg_wr(&g, TCTL, 2 | PSP);
    eg_send(&g, 0, PKT(UDP, .dst = "10.0.2.2", TEXT("a")), 0, 0);
    CHECK_EQ(eg_rd(&g, PTC64), 1);
    eg_send(&g, 0, PKT(ETH, .eth_dst = "ff:ff:ff:ff:ff:ff", .ethertype = 0x1234, DATA(payload, 100)), 0, 0);
    CHECK_EQ(eg_rd(&g, PTC127), 1);
    CHECK_EQ(eg_rd(&g, 0x40f4), 1); /* broadcasts */
    eg_send(&g, 0, PKT(ETH, .eth_dst = "01:00:5e:00:00:01", .ethertype = 0x1234, DATA(payload, 100)), 0, 0);
    CHECK_EQ(eg_rd(&g, 0x40f0), 1); /* multicasts */
}

static void segmentation_that_makes_no_sense_is_not_sent(void **state)
{
    static const uint32_t bad[][3] = {
        /* ip, tu, seg */
        {14 | 24 << 8, 34 | 50 << 8, 54 << 8},              /* MSS 0 */
        {14 | 24 << 8, 34 | 50 << 8, MSS << 16 | 20 << 8},  /* headers shorter than they are */
        {14 | 24 << 8, 34 | 200 << 8, MSS << 16 | 54 << 8}, /* the checksum outside of them */
        {30 | 24 << 8, 34 | 50 << 8, MSS << 16 | 54 << 8},  /* no room for IP */
        {14 | 24 << 8, 200 | 216 << 8, MSS << 16 | 255 << 8},
        {14 | 24 << 8, 34 | 8 << 8, MSS << 16 | 54 << 8},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        size_t n;
        gpa at = large(PKT(TCP, .dst = "10.0.2.2", .flags = T_ACK, DATA(payload, i == 4 ? 150 : 3000)), 34, &n), desc;

        eg_tx_context(&g, 0, bad[i][0], bad[i][1], T_TSE | T_TUCMD_IP | T_TUCMD_TCP, bad[i][2]);
        desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_DATA | T_TSE | T_EOP | T_RS, T_POPTS_IXSM | T_POPTS_TXSM);
        eg_tx_go(&g, 0);
        CHECK(eg_done(&g, desc));
    }
    far_expect_none(&g.far);
    CHECK_EQ(eg_rd(&g, TSCTFC), ARRAY_LEN(bad));
}

/* --- tags, padding --- */

static void a_tag_is_inserted(void **state)
{
    struct pkt p = udp;

    (void)state;
    eg_send(&g, 0, &udp, T_VLE, 0x6123u << 16); /* not unless CTRL says so */
    CHECK_EQ(far_expect(&g.far, &udp)->vlan, 0);
    eg_set(&g, CTRL, VME);
    p.vlan = 0x6123;
    eg_send(&g, 0, &udp, T_VLE, 0x6123u << 16);
    far_expect(&g.far, &p);
    eg_send(&g, 0, &udp, 0, 0x6123u << 16);
    CHECK_EQ(far_expect(&g.far, &udp)->vlan, 0);
}

static void a_tag_moves_the_offsets(void **state)
{
    (void)state;
    eg_set(&g, CTRL, VME);
    send_large(LARGE_TCP4, 34, 54, T_VLE, 5u << 16);
    CHECK_EQ(far_expect(&g.far, PKT(TCP, .vlan = 5, .seq = 1000, DATA(payload, 12345)))->gso, NET_GSO_TCP4);
    g.far.port.can = 0;
    send_large(LARGE_TCP4, 34, 54, T_VLE, 5u << 16);
    far_expect(&g.far, PKT(TCP, .vlan = 5, .seq = 1000, DATA(payload, MSS)));
    CHECK_EQ(eg_rd(&g, GOTCL), 2 * (12345 + 13 * (58 + 4)));
}

static void short_frames_are_padded(void **state)
{
    (void)state;
    eg_send(&g, 0, PKT(UDP, .dst = "10.0.2.2", TEXT("a")), 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, TEXT("a")))->frame_len, 43);
    eg_wr(&g, TCTL, 2 | PSP);
    eg_send(&g, 0, PKT(UDP, .dst = "10.0.2.2", TEXT("a")), 0, 0);
    CHECK_EQ(far_expect(&g.far, PKT(UDP, TEXT("a")))->frame_len, 60);
}

/* --- the way out --- */

static void a_full_network_holds_the_frame(void **state)
{
    gpa at, desc;
    size_t n;

    (void)state;
    far_set_room(&g.far, 1);
    eg_send(&g, 0, &udp, 0, 0);
    n = eg_frame(&g, PKT(UDP, .dst = "10.0.2.2", .dport = 8, TEXT("second")), &at);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP | T_RS, 0);
    eg_tx_go(&g, 0);
    CHECK(!eg_done(&g, desc));
    CHECK_EQ(eg_rd(&g, TDH), 1);
    far_set_room(&g.far, 10);
    world_run(&g.w);
    CHECK(eg_done(&g, desc));
    far_expect(&g.far, &udp);
    far_expect(&g.far, PKT(UDP, TEXT("second")));
    far_expect_none(&g.far);
}

static void the_transmitter_and_its_queues_are_turned_on(void **state)
{
    gpa at, desc;
    size_t n = eg_frame(&g, &udp, &at);

    (void)state;
    eg_wr(&g, TCTL, 0);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP | T_RS, 0);
    eg_tx_go(&g, 0);
    CHECK(!eg_done(&g, desc));
    eg_wr(&g, 0x3840, 0); /* TARC: this queue is off */
    eg_wr(&g, TCTL, 2);
    world_run(&g.w);
    CHECK(!eg_done(&g, desc));
    eg_wr(&g, 0x3840, 0x403);
    world_run(&g.w);
    CHECK(eg_done(&g, desc));
    far_expect(&g.far, &udp);
}

static void the_second_queue(void **state)
{
    (void)state;
    eg_msix(&g);
    eg_wr(&g, IVAR, 11 << 12);
    eg_wr(&g, IMS, TXQ1);
    eg_tx_on(&g, 1, 64, 0);
    eg_send(&g, 1, &udp, 0, 0);
    far_expect(&g.far, &udp);
    CHECK_EQ(g.msi_data, 103);
    CHECK_EQ(eg_rd(&g, TDH), 0);
}

static void frames_that_cannot_be_sent_are_done_all_the_same(void **state)
{
    gpa at = eg_alloc(&g, 0x20000, 16), desc[5];

    (void)state;
    desc[0] = eg_tx_desc(&g, 0, 0x1000, 100 | T_EOP | T_RS, 0);          /* not RAM */
    desc[1] = eg_tx_desc(&g, 0, EG_BAR + TDT, 100 | T_EOP | T_RS, 0);    /* itself */
    desc[2] = eg_tx_desc(&g, 0, at, 13 | T_EOP | T_RS, 0);               /* no header */
    desc[3] = eg_tx_desc(&g, 0, at, 0xfffff | T_DATA | T_EOP | T_RS, 0); /* larger than any */
    desc[4] = eg_tx_desc(&g, 0, EG_RAM + EG_RAM_SIZE - 50, 100 | T_EOP | T_RS, 0);
    eg_tx_go(&g, 0);
    for (unsigned i = 0; i < 5; i++)
        CHECK(eg_done(&g, desc[i]));
    far_expect_none(&g.far);
    eg_send(&g, 0, &udp, 0, 0);
    far_expect(&g.far, &udp);
}

static void a_frame_in_too_many_pieces_is_not_sent(void **state)
{
    gpa at;

    (void)state;
    eg_tx_on(&g, 0, 1024, 0);
    eg_frame(&g, PKT(UDP, .dst = "10.0.2.2", DATA(payload, 1000)), &at);
    for (unsigned i = 0; i < 600; i++)
        eg_tx_desc(&g, 0, at + i, 1 | T_RS | (i == 599 ? T_EOP : 0), 0);
    eg_tx_go(&g, 0);
    CHECK_EQ(eg_rd(&g, TDH), 600);
    far_expect_none(&g.far);
}

static void rings_out_of_range_do_nothing(void **state)
{
    (void)state;
    eg_wr(&g, TDT, 64); /* beyond the end */
    world_run(&g.w);
    CHECK_EQ(eg_rd(&g, TDH), 0);
    eg_wr(&g, TDH, 0xffff);
    eg_wr(&g, TDT, 5);
    world_run(&g.w);
    eg_wr(&g, TDH, 0);
    eg_wr(&g, TDBAL, 0x1000); /* not RAM: its descriptors are passed over */
    eg_wr(&g, TDBAH, 0);
    eg_wr(&g, TDT, 6);
    world_run(&g.w);
    CHECK_EQ(eg_rd(&g, TDH), 6);
    eg_wr(&g, TDLEN, 0);
    eg_wr(&g, TDT, 0);
    world_run(&g.w);
    far_expect_none(&g.far);
}

/* --- interrupts --- */

static void ide_delays_the_interrupt(void **state)
{
    (void)state;
    eg_wr(&g, IMS, TXDW);
    eg_wr(&g, TIDV, 10); /* of 1.024 us */
    eg_wr(&g, TADV, 15);
    eg_send(&g, 0, &udp, T_IDE, 0);
    CHECK(!g.irq);
    world_advance(&g.w, 8 * 1024);
    eg_send(&g, 0, &udp, T_IDE, 0); /* begins anew */
    world_advance(&g.w, 7 * 1024 - 1);
    CHECK(!g.irq);
    world_advance(&g.w, 1); /* 15 since the first */
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, ICR) & TXDW, TXDW);
    CHECK_EQ(eg_rd(&g, 0x4110), 1); /* absolute timer */
    eg_send(&g, 0, &udp, T_IDE, 0);
    world_advance(&g.w, 10 * 1024);
    CHECK(g.irq);
    CHECK_EQ(eg_rd(&g, 0x410c), 1); /* packet timer */
    eg_rd(&g, ICR);
    eg_send(&g, 0, &udp, T_IDE, 0);
    CHECK(!g.irq);
    eg_wr(&g, TIDV, 10 | UINT32_C(1) << 31); /* flush */
    CHECK(g.irq);
    eg_rd(&g, ICR);
    eg_send(&g, 0, &udp, 0, 0); /* without IDE: at once */
    CHECK(g.irq);
}

static void a_reset_leaves_nothing_to_send(void **state)
{
    gpa at, desc;
    size_t n = eg_frame(&g, &udp, &at);

    (void)state;
    far_set_room(&g.far, 0);
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP | T_RS, 0);
    eg_tx_go(&g, 0);
    eg_set(&g, CTRL, 1 << 26);
    far_set_room(&g.far, 10);
    world_run(&g.w);
    CHECK(!eg_done(&g, desc));
    far_expect_none(&g.far);
}

/* A vCPU resets the device while the network's thread has a frame of it: it waits, and nothing is written after that. */
static void *resetter(void *arg)
{
    (void)arg;
    eg_set(&g, CTRL, 1 << 26);
    return NULL;
}

static pthread_t thread;
static bool answered;

static void reset_meanwhile(struct test_port *t, const struct net_frame *f)
{
    pthread_create(&thread, NULL, resetter, NULL);
    while (!__atomic_load_n(&e1000e_nic(g.fn)->settling, __ATOMIC_ACQUIRE))
        sched_yield();
    answered = net_port_send(&t->port, f); /* the lock is held: refused, and no dead-lock */
}

/* Another far end, that only counts. */
static struct net_cable *plug(struct test_port *t)
{
    struct err e;

    far_unplug(&g.far);
    tp_init(t, "test", NET_CAN_ALL);
    return net_cable_new(&g.w.env, "cable", nic_port(e1000e_nic(g.fn)), &t->port, &e);
}

static void a_reset_waits_for_what_is_being_sent(void **state)
{
    struct test_port t;
    struct net_cable *cable = plug(&t);
    gpa at, desc;
    size_t n = eg_frame(&g, &udp, &at);

    (void)state;
    t.on_frame = reset_meanwhile;
    desc = eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP | T_RS, 0);
    eg_tx_go(&g, 0);
    pthread_join(thread, NULL);
    CHECK_EQ(t.count, 1);
    CHECK(!answered);
    CHECK(!eg_done(&g, desc));
    CHECK_EQ(eg_rd(&g, TDT), 0);
    world_run(&g.w);
    net_cable_free(cable);
    tp_clear(&t);
}

/* A context in the midst of a frame is for the next one. */
static void contexts_among_the_data(void **state)
{
    struct pkt p = udp;
    gpa at, desc;
    size_t n;

    (void)state;
    p.sum = SUM_PARTIAL;
    n = eg_frame(&g, &p, &at);
    eg_tx_context(&g, 0, 0, 34 | 40 << 8, 0, 0);
    for (unsigned i = 0; i < 2; i++) {
        eg_tx_desc(&g, 0, at, 30 | T_DATA, T_POPTS_TXSM);
        eg_tx_context(&g, 0, 0, i ? 0 : 34 | 40 << 8, 0, 0);
        desc = eg_tx_desc(&g, 0, at + 30, (uint32_t)(n - 30) | T_DATA | T_EOP | T_RS, 0);
    }
    eg_tx_go(&g, 0);
    CHECK(eg_done(&g, desc));
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(far_expect(&g.far, &udp)->nf_flags, NET_CSUM_PARTIAL);
}

/* Much work is done in turns, so that others on the thread come too. */
static void a_long_ring_is_worked_off_in_turns(void **state)
{
    struct test_port t;
    struct net_cable *cable = plug(&t);
    gpa at;
    size_t n = eg_frame(&g, &udp, &at);

    (void)state;
    eg_tx_on(&g, 0, 4096, 0);
    for (unsigned i = 0; i < 4095; i++)
        eg_tx_desc(&g, 0, at, (uint32_t)n | T_EOP, 0);
    eg_tx_go(&g, 0);
    world_run(&g.w);
    CHECK_EQ(eg_rd(&g, TDH), 4095);
    CHECK_EQ(t.count, 4095);
    net_cable_free(cable);
    tp_clear(&t);
}

/* As ethtool's loopback test does it. */
static void the_phys_loopback_hears_its_own_frames(void **state)
{
    static const struct pkt p = {.kind = PKT_ETH, .eth_dst = EG_MAC, .ethertype = 0xffff, DATA(payload, 1000)};
    uint8_t frame[2000];
    size_t n = far_build(&g.guest, &p, frame);

    (void)state;
    eg_rx_on(&g, 0, 64, 1 << 26);
    eg_rx_give(&g, 0, 8);
    eg_phy_wr(&g, 0, 0x4140);
    eg_send(&g, 0, &p, 0, 0);
    CHECK_EQ(eg_rd(&g, RDH), 1);
    assert_memory_equal(eg_at(&g, eg_rx_buffer(0, 0)), frame, n);
    send_with_context(PKT(UDP, .eth_dst = EG_MAC, .dst = "10.0.2.2", .dport = 53, .sum = SUM_PARTIAL, TEXT("abcd")), 40,
                      0, 0);
    CHECK_EQ(eg_rx_desc(&g, 0, 1)[12] & 0x33, 0x33); /* done, end, UDP checksum right: it was computed */
    CHECK_EQ(eg_rx_desc(&g, 0, 1)[13], 0);
    far_expect_none(&g.far);
    eg_phy_wr(&g, 0, 0x1140);
    eg_send(&g, 0, &udp, 0, 0);
    far_expect(&g.far, &udp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_legacy_descriptor_is_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(without_rs_nothing_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_may_be_in_many_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_waits_for_its_last_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_full_of_one_frame_is_thrown_away, setup, teardown),
        cmocka_unit_test_setup_teardown(legacy_checksum, setup, teardown),
        cmocka_unit_test_setup_teardown(checksums_by_context, setup, teardown),
        cmocka_unit_test_setup_teardown(a_checksum_with_an_end_is_computed_here, setup, teardown),
        cmocka_unit_test_setup_teardown(tso4_is_one_frame_for_who_takes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(tso4_is_segments_for_who_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(tso6, setup, teardown),
        cmocka_unit_test_setup_teardown(udp_segmentation, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_large_frame_is_not_segmented, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(segmentation_that_makes_no_sense_is_not_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tag_is_inserted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tag_moves_the_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(short_frames_are_padded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_network_holds_the_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(the_transmitter_and_its_queues_are_turned_on, setup, teardown),
        cmocka_unit_test_setup_teardown(the_second_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_that_cannot_be_sent_are_done_all_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_in_too_many_pieces_is_not_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(rings_out_of_range_do_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(ide_delays_the_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_leaves_nothing_to_send, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_waits_for_what_is_being_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(contexts_among_the_data, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_ring_is_worked_off_in_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(the_phys_loopback_hears_its_own_frames, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
