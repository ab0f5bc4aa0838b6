/* virtio-net: frames out and in. Layouts: virtio 1.2, 5.1.6. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/cable.h"
#include "tests/unit/net_guest.h"

static uint8_t frame[NET_FRAME_MAX + 100];
static char text[60000];

static void out_in(uint64_t features, bool legacy, size_t piece)
{
    struct virtio_net_options o = ng_options();
    size_t n;

    ng_make(legacy, &o);
    ng_drive(features);
    n = ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = 1, .dport = 2, TEXT("out")), frame);
    for (int i = 0; i < 100; i++) {
        ng_send(NULL, frame, n, piece);
        far_expect(&ng.far, PKT(UDP, .eth_src = "52:54:00:12:34:57", .sport = 1, .dport = 2, TEXT("out")));
    }
    for (int i = 0; i < 100; i++) {
        ng_give(0, 1, 1600);
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .sport = 2, .dport = 1, TEXT("in"))));
        CHECK(ng_receive(0));
        n = far_build(&ng.far, PKT(UDP, .dst = "10.0.2.15", .sport = 2, .dport = 1, TEXT("in")), frame);
        CHECK_EQ(ng.len, n);
        assert_memory_equal(ng.frame, frame, n);
        CHECK_EQ(ng.hdr.flags, 0);
        CHECK_EQ(ng.hdr.gso_type, 0);
        CHECK_EQ(ng.hdr.num_buffers, 1);
        n = ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = 1, .dport = 2, TEXT("out")), frame);
    }
    far_expect_none(&ng.far);
    ng_end();
}

static void frames_pass_both_ways(void **state)
{
    (void)state;
    out_in(0, false, 0);
    out_in(VG_EVENT_IDX, false, 7); /* the header in pieces, too */
    out_in(VG_PACKED, false, 0);
    out_in(VG_PACKED | VG_EVENT_IDX | NG(NG_MRG_RXBUF), false, 5000); /* all in one buffer */
    out_in(0, true, 0);
    out_in(NG(NG_MRG_RXBUF) | VG_EVENT_IDX, true, 0);
}

/* Offload fields of the header, and what the far end is to see of them. */
static void offloads_of_the_guest_arrive_as_they_are(void **state)
{
    static const struct {
        const char *dst;
        enum pkt_kind kind;
        uint16_t gso_size;
        uint8_t gso_type, gso, flags;
    } cases[] = {
        {"10.0.2.2", PKT_TCP, 0, 0, NET_GSO_NONE, NET_CSUM_PARTIAL},
        {"10.0.2.2", PKT_TCP, 1448, 1, NET_GSO_TCP4, NET_CSUM_PARTIAL},
        {"10.0.2.2", PKT_TCP, 1448, 1 | 0x80, NET_GSO_TCP4, NET_CSUM_PARTIAL | NET_GSO_ECN},
        {"fec0::2", PKT_TCP, 1428, 4, NET_GSO_TCP6, NET_CSUM_PARTIAL},
        {"10.0.2.2", PKT_UDP, 1400, 5, NET_GSO_UDP4, NET_CSUM_PARTIAL},
        {"fec0::2", PKT_UDP, 1400, 5, NET_GSO_UDP6, NET_CSUM_PARTIAL},
    };

    (void)state;
    ng_begin(NG_OFFLOADS);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool v6 = strchr(cases[i].dst, ':'), tcp = cases[i].kind == PKT_TCP;
        struct pkt p = {.kind = cases[i].kind,
                        .dst = cases[i].dst,
                        .sport = 5,
                        .dport = 6,
                        .flags = tcp ? T_ACK : 0,
                        .data = text,
                        .len = cases[i].gso_size ? 20000 : 500,
                        .sum = SUM_PARTIAL,
                        .gso_size = cases[i].gso_size};
        size_t n = ng_build(&p, frame);
        uint16_t start = v6 ? 54 : 34;
        const struct got *g;

        ng_send(&(struct ng_hdr){1, cases[i].gso_type, (uint16_t)(start + (tcp ? 20 : 8)), cases[i].gso_size, start,
                                 tcp ? 16 : 6, 0},
                frame, n, 4096);
        p.data = NULL;
        p.len = 0;
        g = far_expect(&ng.far, &p);
        CHECK_EQ(g->nf_flags, cases[i].flags);
        CHECK_EQ(g->gso, cases[i].gso);
        CHECK_EQ(g->gso_size, cases[i].gso_size);
        CHECK_EQ(g->frame_len, n);
        assert_memory_equal(g->frame, frame, n);
    }
    ng_end();
}

static void wrong_frames_come_back_unsent(void **state)
{
    size_t n;

    (void)state;
    ng_begin(NG_OFFLOADS);
    n = ng_build(PKT(TCP, .dst = "10.0.2.2", DATA(text, 3000), .sum = SUM_PARTIAL, .gso_size = 1000), frame);
    ng_send(&(struct ng_hdr){1, 3, 54, 1000, 34, 16, 0}, frame, n, 0);     /* UDP fragmentation, not offered */
    ng_send(&(struct ng_hdr){1, 9, 54, 1000, 34, 16, 0}, frame, n, 0);     /* no such thing */
    ng_send(&(struct ng_hdr){0, 1, 54, 1000, 34, 16, 0}, frame, n, 0);     /* segmentation without a checksum */
    ng_send(&(struct ng_hdr){1, 1, 54, 0, 34, 16, 0}, frame, n, 0);        /* segments of nothing */
    ng_send(&(struct ng_hdr){1, 0, 0, 0, 65535, 65535, 0}, frame, 100, 0); /* a checksum beyond the end */
    ng_send(NULL, frame, 13, 0);
    ng_send(NULL, frame, 1, 0);
    ng_send(NULL, frame, NET_FRAME_MAX + 1, 40000);
    far_expect_none(&ng.far);
    ng_send(NULL, frame, ng_build(PKT(UDP, .dst = "10.0.2.2"), frame), 0);
    far_expect(&ng.far, PKT(UDP));
    CHECK_EQ(vg_rd(&ng.g, 0x070), 15);
    ng_end();
}

/* A far end that changes the guest's memory, as another vCPU may, and then looks at the frame again. */
static gpa victim;

static bool meddle(struct net_port *p, const struct net_frame *f)
{
    uint8_t first[54];

    (void)p;
    CHECK(f->iov[0].iov_len >= sizeof first);
    memcpy(first, f->iov[0].iov_base, sizeof first);
    memset(vg_host(&ng.g, victim), 0xff, 54);
    assert_memory_equal(f->iov[0].iov_base, first, sizeof first);
    return true;
}

static void headers_stay_what_they_were(void **state)
{
    static const struct net_port_ops ops = {.kind = "test", .receive = meddle};
    struct net_port port = {.ops = &ops, .name = "meddler", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    struct net_cable *cable;
    struct err e;
    size_t n;

    (void)state;
    ng_begin(0);
    far_unplug(&ng.far);
    cable = net_cable_new(&ng.w.env, "cable", nic_port(virtio_net_nic(ng.v)), &port, &e);
    CHECK(cable != NULL);
    n = ng_build(PKT(TCP, .dst = "10.0.2.2", .flags = T_ACK, DATA(text, 1000)), frame);
    victim = align_up(ng.g.next, 2) + 12;
    ng_send(NULL, frame, n, 0);
    CHECK_EQ(vg_host(&ng.g, victim)[0], 0xff);
    net_cable_free(cable);
    ng_end();
}

static void what_the_far_end_has_no_room_for_waits(void **state)
{
    (void)state;
    ng_begin(VG_EVENT_IDX);
    far_set_room(&ng.far, 3);
    for (unsigned i = 0; i < 40; i++)
        ng_queue_frame(0, NULL, frame, ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = (uint16_t)(i + 1)), frame), 0);
    world_run(&ng.w);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(ng_sent(0));
        far_expect(&ng.far, PKT(UDP, .sport = (uint16_t)(i + 1)));
    }
    CHECK(!ng_sent(0));
    world_advance(&ng.w, NS_PER_SEC);
    CHECK(!ng_sent(0));
    far_set_room(&ng.far, FAR_QUEUE);
    world_run(&ng.w);
    for (unsigned i = 3; i < 40; i++) {
        CHECK(ng_sent(0));
        far_expect(&ng.far, PKT(UDP, .sport = (uint16_t)(i + 1)));
    }
    CHECK_EQ(ng_avail_event(&ng.tx[0]), 40); /* the next one is to be told */
    ng_end();
}

static void a_turn_is_bounded_and_a_busy_queue_wants_no_kicks(void **state)
{
    struct virtio_net_options o = ng_options();
    struct vg_buf b;

    (void)state;
    o.tx_size = 1024;
    ng_make(false, &o);
    ng_drive(0);
    vg_wr(&ng.g, 0x030, 1);
    vg_wr(&ng.g, 0x044, 0);
    vg_queue_init(&ng.g, &ng.tx[0], 1, 1024);
    vg_queue_on(&ng.tx[0]);
    b = (struct vg_buf){vg_alloc(&ng.g, 100, 8), 100, false};
    for (unsigned i = 0; i < 1000; i++)
        vg_add(&ng.tx[0], &b, 1, false);
    vg_kick(&ng.tx[0]);
    loop_poll(ng.w.env.loop);
    CHECK(ng.far.received > 0 && ng.far.received < 600);
    CHECK_EQ(ld16(vg_host(&ng.g, ng.tx[0].device)), 1); /* NO_NOTIFY */
    for (unsigned i = 0; i < 10; i++)
        loop_poll(ng.w.env.loop);
    CHECK_EQ(ng.far.received, 1000);
    CHECK_EQ(ld16(vg_host(&ng.g, ng.tx[0].device)), 0);
    ng_end();
}

/* What the guest has not asked for is done before it gets the frame; what it has is left to it. */
static void offloads_to_the_guest_follow_its_features(void **state)
{
    const struct pkt *big =
        PKT(TCP, .dst = "10.0.2.15", .sport = 2, .dport = 1, .flags = T_ACK, DATA(text, 5000), .gso_size = 1000);
    struct got *g;
    struct iovec iov;

    (void)state;
    ng_begin(0);
    ng_give(0, 20, 2048);
    CHECK(far_send(&ng.far, big));
    for (unsigned i = 0; i < 5; i++) {
        CHECK(ng_receive(0));
        CHECK_EQ(ng.hdr.flags | ng.hdr.gso_type, 0);
        iov = (struct iovec){ng.frame, ng.len};
        g = got_decode(&(struct net_frame){.iov = &iov, .iovcnt = 1, .len = ng.len}, 1500, 0); /* checks the sums */
        CHECK_EQ(g->len, 1000);
        got_free(g);
    }
    CHECK(!ng_receive(0));
    ng_end();

    ng_begin(NG(NG_GUEST_CSUM));
    ng_give(0, 20, 2048);
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .sum = SUM_PARTIAL, TEXT("partial"))));
    CHECK(ng_receive(0));
    CHECK_EQ(ng.hdr.flags, 1);
    CHECK_EQ(ng.hdr.csum_start, 34);
    CHECK_EQ(ng.hdr.csum_offset, 6);
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .sum = SUM_VALID, TEXT("valid"))));
    CHECK(ng_receive(0));
    CHECK_EQ(ng.hdr.flags, 2);
    CHECK(far_send(&ng.far, big));
    for (unsigned i = 0; i < 5; i++) {
        CHECK(ng_receive(0));
        CHECK_EQ(ng.hdr.gso_type, 0);
    }
    ng_end();

    ng_begin(NG_OFFLOADS | NG(NG_MRG_RXBUF));
    ng_give(0, 20, 2048);
    CHECK(far_send(&ng.far, big));
    CHECK(ng_receive(0));
    CHECK_EQ(ng.hdr.num_buffers, 3);
    CHECK_EQ(ng.hdr.flags, 1);
    CHECK_EQ(ng.hdr.gso_type, 1);
    CHECK_EQ(ng.hdr.gso_size, 1000);
    CHECK_EQ(ng.hdr.hdr_len, 54);
    CHECK_EQ(ng.hdr.csum_start, 34);
    CHECK_EQ(ng.hdr.csum_offset, 16);
    CHECK_EQ(ng.len, 5054);
    assert_memory_equal(ng.frame + 54, text, 5000);
    ng_end();
}

static void every_kind_of_segmentation_reaches_a_guest_that_wants_it(void **state)
{
    static const struct {
        const char *dst;
        enum pkt_kind kind;
        uint8_t gso_type;
    } cases[] = {{"10.0.2.15", PKT_TCP, 1}, {"fec0::1", PKT_TCP, 4}, {"10.0.2.15", PKT_UDP, 5}, {"fec0::1", PKT_UDP, 5}};

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        ng_begin(NG_OFFLOADS | NG(NG_MRG_RXBUF) | (packed ? VG_PACKED : 0) | VG_EVENT_IDX);
        for (unsigned round = 0; round < 3; round++)
            for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct pkt p = {.kind = cases[i].kind,
                                .dst = cases[i].dst,
                                .flags = cases[i].kind == PKT_TCP ? T_ACK : 0,
                                .data = text,
                                .len = 50000,
                                .gso_size = 1400};

                ng_give(0, 40, 1300);
                CHECK(far_send(&ng.far, &p));
                CHECK(ng_receive(0));
                CHECK_EQ(ng.hdr.gso_type, cases[i].gso_type);
                CHECK_EQ(ng.hdr.num_buffers, (12 + ng.len + 1299) / 1300);
                assert_memory_equal(ng.frame + ng.len - 50000, text, 50000);
                ng_give(0, 0, 0);
                while (ng.rx[0].avail != ng.rx[0].used && !packed) { /* the rest of the 40 */
                    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15")));
                    CHECK(ng_receive(0));
                }
                if (packed)
                    for (unsigned k = ng.hdr.num_buffers; k < 40; k++) {
                        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15")));
                        CHECK(ng_receive(0));
                    }
            }
        ng_end();
    }
}

static void without_buffers_the_sender_waits_and_is_told(void **state)
{
    (void)state;
    for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
        ng_begin(NG(NG_MRG_RXBUF) | NG_OFFLOADS | (event_idx ? VG_EVENT_IDX : 0));
        CHECK(!far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", TEXT("small"))));
        if (event_idx)
            CHECK_EQ(ng_avail_event(&ng.rx[0]), 0);
        CHECK_EQ(ng.far.readies, 0);
        ng_give(0, 1, 2048);
        CHECK_EQ(ng.far.readies, 1);
        CHECK(!ng_receive(0));
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", TEXT("small"))));
        CHECK(ng_receive(0));
        /* room for a part only: nothing of it is used up, and the kick is asked for behind what is there */
        ng_give(0, 2, 2048);
        CHECK(!far_send(&ng.far, PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 6000), .gso_size = 1000)));
        CHECK(!ng_receive(0));
        if (event_idx)
            CHECK_EQ(ng_avail_event(&ng.rx[0]), 3);
        else
            CHECK_EQ(ld16(vg_host(&ng.g, ng.rx[0].device)), 0);
        ng_give(0, 1, 2048);
        CHECK_EQ(ng.far.readies, 2);
        CHECK(far_send(&ng.far, PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 6000), .gso_size = 1000)));
        CHECK(ng_receive(0));
        CHECK_EQ(ng.hdr.num_buffers, 3);
        ng_end();
    }
}

static void a_frame_that_never_fits_does_not_stop_the_others(void **state)
{
    const struct pkt *big = PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 60000), .gso_size = 1000);

    (void)state;
    ng_begin(NG(NG_MRG_RXBUF) | NG_OFFLOADS);
    ng_give(0, 4, 2048);
    CHECK(!far_send(&ng.far, big));
    world_advance(&ng.w, NS_PER_SEC - 1);
    CHECK_EQ(ng.far.readies, 0);
    world_advance(&ng.w, 1);
    CHECK_EQ(ng.far.readies, 1);
    CHECK(far_send(&ng.far, big)); /* taken, and lost */
    CHECK(!ng_receive(0));
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", TEXT("small"))));
    CHECK(ng_receive(0));
    CHECK(!far_send(&ng.far, big)); /* and so on */
    ng_end();

    ng_begin(NG_OFFLOADS); /* one buffer a frame: one that is too small is known to be so at once */
    ng_give(0, 1, 2048);
    CHECK(far_send(&ng.far, big));
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", TEXT("small"))));
    CHECK(ng_receive(0));
    ng_end();

    ng_begin(NG_OFFLOADS | NG(NG_MRG_RXBUF)); /* more buffers than a frame may have */
    for (unsigned i = 0; i < 60; i++)
        ng_give(0, 1, 16);
    CHECK(!far_send(&ng.far, big));
    ng_end();
}

/*
 * Buffers of a thousand descriptors each, most of them empty: a driver's that wants the device to look at as many as there
 * are, for each frame.
 */
static void a_frame_is_not_spread_over_any_number_of_descriptors(void **state)
{
    static struct vg_buf b[1000];

    (void)state;
    ng_begin(NG(NG_MRG_RXBUF) | NG_OFFLOADS);
    for (unsigned i = 0; i < ARRAY_LEN(b); i++)
        b[i] = (struct vg_buf){vg_alloc(&ng.g, 16, 8), i % 10 ? 0 : 10, true};
    for (unsigned i = 0; i < 3; i++)
        vg_add(&ng.rx[0], b, ARRAY_LEN(b), true);
    vg_kick(&ng.rx[0]);
    world_run(&ng.w);
    /* lost at once */
    CHECK(far_send(&ng.far, PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 3000), .gso_size = 1000)));
    CHECK_EQ(ld16(vg_host(&ng.g, ng.rx[0].device) + 2), 0);
    CHECK(far_send(&ng.far, PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 1500), .gso_size = 1000)));
    CHECK_EQ(ld16(vg_host(&ng.g, ng.rx[0].device) + 2), 2); /* two buffers */
    ng_end();
}

static void a_buffer_without_room_for_the_header_stops_the_device(void **state)
{
    static const uint32_t lens[] = {11, 1, 0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct vg_buf b;
        unsigned id;
        uint32_t len;

        ng_begin(NG(NG_MRG_RXBUF));
        ng_give(0, 1, 40);
        b = (struct vg_buf){vg_alloc(&ng.g, 16, 8), lens[i] ? lens[i] : 16, lens[i] != 0}; /* the last is not writable */
        vg_add(&ng.rx[0], &b, 1, false);
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", DATA(text, 100))));
        CHECK(vg_rd(&ng.g, 0x070) & 64);
        CHECK(!vg_used(&ng.rx[0], &id, &len));
        ng_end();
    }
}

static void frames_of_one_turn_make_one_interrupt(void **state)
{
    (void)state;
    ng_begin(0);
    ng_give(0, 10, 2048);
    CHECK(!(vg_rd(&ng.g, 0x060) & 1));
    ng.g.irq_ups = 0;
    for (unsigned i = 0; i < 5; i++) {
        struct iovec iov = {frame, far_build(&ng.far, PKT(UDP, .dst = "10.0.2.15"), frame)};

        CHECK(net_port_send(&ng.far.port, &(struct net_frame){.iov = &iov, .iovcnt = 1, .len = iov.iov_len}));
    }
    CHECK(!ng.g.irq);
    loop_poll(ng.w.env.loop);
    CHECK(ng.g.irq);
    CHECK_EQ(ng.g.irq_ups, 1);
    for (unsigned i = 0; i < 5; i++)
        CHECK(ng_receive(0));
    ng_end();
}

static void with_several_queues_a_flow_comes_in_where_it_goes_out(void **state)
{
    static const uint8_t four[] = {4, 0}, two[] = {2, 0}, five[] = {5, 0}, none[] = {0, 0};

    (void)state;
    ng_begin(NG_CTRL | NG(NG_MQ));
    CHECK_EQ(ng_config(8, 2), NG_PAIRS);
    CHECK_EQ(ng_command(4, 0, five, 2), 1);
    CHECK_EQ(ng_command(4, 0, none, 2), 1);
    CHECK_EQ(ng_command(4, 1, four, 2), 1); /* RSS */
    CHECK_EQ(ng_command(4, 0, four, 1), 1);
    for (unsigned i = 0; i < NG_PAIRS; i++)
        ng_give(i, 32, 2048);
    for (unsigned port = 1; port < 20; port++) { /* one pair is used at first */
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .src = "10.0.2.2", .sport = 7, .dport = (uint16_t)port)));
        CHECK(ng_receive(0));
    }
    CHECK_EQ(ng_command(4, 0, four, 2), 0);
    for (unsigned port = 1; port < 40; port++) {
        unsigned pair = port % NG_PAIRS;
        size_t n = ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = (uint16_t)port, .dport = 7), frame);

        ng_queue_frame(pair, NULL, frame, n, 0);
        world_run(&ng.w);
        CHECK(ng_sent(pair));
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .src = "10.0.2.2", .sport = 7, .dport = (uint16_t)port)));
        CHECK(ng_receive(pair));
    }
    CHECK_EQ(ng_command(4, 0, two, 2), 0);
    ng_give(0, 20, 2048);
    ng_give(1, 20, 2048);
    for (unsigned port = 1; port < 20; port++) {
        CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15", .src = "10.0.2.2", .sport = 7, .dport = (uint16_t)port)));
        CHECK(ng_receive(port % NG_PAIRS < 2 ? port % NG_PAIRS : 0) || ng_receive(1));
    }
    ng_end();
}

static void a_queue_is_reset_while_its_frames_wait(void **state)
{
    size_t n;

    (void)state;
    ng_begin(NG_RING_RESET);
    far_set_room(&ng.far, 0);
    n = ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = 1), frame);
    for (unsigned i = 0; i < 5; i++)
        ng_queue_frame(0, NULL, frame, n, 0);
    world_run(&ng.w);
    CHECK(!far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15")));
    vg_wr(&ng.g, 0x030, 1);
    vg_wr(&ng.g, 0x0c0, 1);
    vg_wr(&ng.g, 0x030, 0);
    vg_wr(&ng.g, 0x0c0, 1);
    world_run(&ng.w);
    CHECK_EQ(ng.far.readies, 1); /* what it has is lost rather than kept: there is no queue */
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15")));
    vg_queue_init(&ng.g, &ng.tx[0], 1, 64);
    vg_queue_on(&ng.tx[0]);
    far_set_room(&ng.far, FAR_QUEUE);
    world_run(&ng.w);
    far_expect_none(&ng.far);
    n = ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = 2), frame);
    ng_send(NULL, frame, n, 0);
    far_expect(&ng.far, PKT(UDP, .sport = 2));
    ng_end();
}

static void frames_are_lost_without_a_driver(void **state)
{
    struct virtio_net_options o = ng_options();

    (void)state;
    ng_make(false, &o);
    CHECK(far_send(&ng.far, PKT(TCP, .dst = "10.0.2.15", .flags = T_ACK, DATA(text, 6000), .gso_size = 1000)));
    ng_drive(0);
    ng_give(0, 4, 2048);
    CHECK(!ng_receive(0));
    vg_wr(&ng.g, 0x070, 0);
    CHECK(far_send(&ng.far, PKT(UDP, .dst = "10.0.2.15")));
    ng_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_pass_both_ways),
        cmocka_unit_test(offloads_of_the_guest_arrive_as_they_are),
        cmocka_unit_test(wrong_frames_come_back_unsent),
        cmocka_unit_test(headers_stay_what_they_were),
        cmocka_unit_test(what_the_far_end_has_no_room_for_waits),
        cmocka_unit_test(a_turn_is_bounded_and_a_busy_queue_wants_no_kicks),
        cmocka_unit_test(offloads_to_the_guest_follow_its_features),
        cmocka_unit_test(every_kind_of_segmentation_reaches_a_guest_that_wants_it),
        cmocka_unit_test(without_buffers_the_sender_waits_and_is_told),
        cmocka_unit_test(a_frame_that_never_fits_does_not_stop_the_others),
        cmocka_unit_test(a_frame_is_not_spread_over_any_number_of_descriptors),
        cmocka_unit_test(a_buffer_without_room_for_the_header_stops_the_device),
        cmocka_unit_test(frames_of_one_turn_make_one_interrupt),
        cmocka_unit_test(with_several_queues_a_flow_comes_in_where_it_goes_out),
        cmocka_unit_test(a_queue_is_reset_while_its_frames_wait),
        cmocka_unit_test(frames_are_lost_without_a_driver),
    };

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
