/* virtio-net: features, configuration, the control queue, the filter, snapshots. Layouts: virtio 1.2, 5.1.4 and 5.1.6.5. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "netstack/cable.h"
#include "tests/unit/dev.h"
#include "tests/unit/net_guest.h"

static uint64_t offered(const struct virtio_net_options *o)
{
    uint64_t f;

    ng_make(false, o);
    f = ng.v->offered;
    ng_end();
    return f;
}

static void features_are_those_of_the_options(void **state)
{
    static const char *const all[] = {"csum",       "guest_csum", "host_tso4",     "host_tso6",     "host_ecn",
                                      "host_uso",   "guest_tso4", "guest_tso6",    "guest_ecn",     "guest_uso4",
                                      "guest_uso6", "mrg_rxbuf",  "status",        "ctrl_vq",       "ctrl_rx",
                                      "ctrl_vlan",  "mq",         "ctrl_rx_extra", "ctrl_mac_addr", "ctrl_guest_offloads",
                                      "guest_announce"};
    struct virtio_net_options o = ng_options();
    uint64_t want = NG_OFFLOADS | NG_CTRL | NG(NG_MAC) | NG(NG_MRG_RXBUF) | NG(NG_STATUS) | NG(NG_GUEST_ANNOUNCE) |
                    NG(NG_CTRL_GUEST_OFFLOADS),
             rest = UINT64_C(3) << 27 | VG_EVENT_IDX | VG_VERSION_1 | VG_PACKED | NG_RING_RESET;

    (void)state;
    CHECK_EQ(offered(&o), want | rest);
    o.queues = 2;
    CHECK_EQ(offered(&o), want | NG(NG_MQ) | rest);
    o.mtu = 9000;
    o.speed = 1000;
    CHECK_EQ(offered(&o), want | NG(NG_MQ) | NG(NG_MTU) | NG(NG_SPEED_DUPLEX) | rest);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int bit = virtio_net_feature(all[i]);

        CHECK(bit >= 0);
        o = ng_options();
        o.queues = 2;
        o.off = UINT64_C(1) << bit;
        CHECK(!(offered(&o) & o.off));
    }
    o.off = UINT64_C(1) << virtio_net_feature("csum");
    CHECK(!(offered(&o) & (NG(NG_HOST_TSO4) | NG(NG_HOST_TSO6) | NG(NG_HOST_ECN) | NG(NG_HOST_USO))));
    o.off = UINT64_C(1) << virtio_net_feature("guest_csum");
    CHECK(!(offered(&o) & (NG(NG_GUEST_TSO4) | NG(NG_GUEST_TSO6) | NG(NG_GUEST_ECN) | NG(NG_GUEST_USO4))));
    o.off = UINT64_C(1) << virtio_net_feature("ctrl_vq");
    CHECK(!(offered(&o) & (NG_CTRL | NG(NG_MQ) | NG(NG_GUEST_ANNOUNCE) | NG(NG_CTRL_GUEST_OFFLOADS))));
    CHECK_EQ(virtio_net_feature("rss_of_nobody"), -1);
    CHECK(virtio_net_feature("gso") >= 0 && virtio_net_feature("guest_ufo") >= 0); /* QEMU's, and off here */
}

static void refused(const struct virtio_net_options *o)
{
    struct virtio_net_options own = *o;
    struct err e = {""};

    vg_init(&ng.g, false);
    own.loop = loop_new(ng.g.env.clock, &e);
    CHECK(!virtio_net_new(&ng.g.env, "net", &own, &e));
    CHECK(!strncmp(e.msg, "net: ", 5));
    loop_free(own.loop);
    vg_fini(&ng.g);
}

static void options_out_of_range_are_refused(void **state)
{
    struct virtio_net_options o = ng_options();

    (void)state;
    o.rx_size = 100;
    refused(&o);
    o = ng_options();
    o.tx_size = 2048;
    refused(&o);
    o = ng_options();
    o.queues = VIRTIO_NET_PAIRS_MAX + 1;
    refused(&o);
    o = ng_options();
    o.mtu = 67;
    refused(&o);
    o = ng_options();
    o.mac[0] = 1;
    refused(&o);
    o = ng_options();
    o.full_duplex = o.half_duplex = true;
    refused(&o);
}

static void configuration_space(void **state)
{
    struct virtio_net_options o = ng_options();

    (void)state;
    o.queues = 3;
    o.mtu = 65535;
    o.speed = 10000;
    o.full_duplex = true;
    ng_make(false, &o);
    CHECK_EQ(vg_rd(&ng.g, 0x008), 1);
    CHECK_EQ(ng_config(0, 6), UINT64_C(0x573412005452));
    CHECK_EQ(ng_config(6, 2), 1); /* link up */
    CHECK_EQ(ng_config(8, 2), 3);
    CHECK_EQ(ng_config(10, 2), 65535);
    CHECK_EQ(ng_config(12, 4), 10000);
    CHECK_EQ(ng_config(16, 1), 1);
    CHECK_EQ(nic_port(virtio_net_nic(ng.v))->mtu, 65535);
    ng_end();
    o.speed = 0;
    ng_make(false, &o);
    CHECK_EQ(ng_config(12, 4), 0xffffffff);
    ng_end();
}

static void only_an_old_driver_writes_the_address(void **state)
{
    struct virtio_net_options o = ng_options();

    (void)state;
    o.off = UINT64_C(1) << NG_CTRL_MAC_ADDR;
    ng_make(true, &o);
    ng_drive(0);
    CHECK(bus_write(ng.g.env.bus, VG_SLOT + 0x105, 1, 0x99));
    CHECK_EQ(ng_config(5, 1), 0x99);
    device_reset(&ng.v->dev);
    CHECK_EQ(ng_config(5, 1), 0x57);
    ng_end();
    ng_begin(NG_CTRL);
    CHECK(bus_write(ng.g.env.bus, VG_SLOT + 0x105, 1, 0x99));
    CHECK_EQ(ng_config(5, 1), 0x57);
    ng_end();
}

static bool arrives(const struct pkt *p)
{
    CHECK(far_send(&ng.far, p));
    return ng_receive(0);
}

#define TO(mac) PKT(UDP, .eth_dst = (mac), .dst = "10.0.2.15")
#define OWN "52:54:00:12:34:57"
#define OTHER "52:54:00:00:00:01"
#define GROUP "01:00:5e:00:00:01"
#define ALL "ff:ff:ff:ff:ff:ff"

static uint8_t rx_command(unsigned command, uint8_t on) { return ng_command(0, command, &on, 1); }

static void the_filter_lets_in_what_it_is_told_to(void **state)
{
    static const uint8_t tables[] = {1, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 1,          /* unicast: OTHER */
                                     2, 0, 0, 0, 1,    0,    0, 0, 0, 9, 1, 0, 0x5e, 0, 0, 1}; /* .., GROUP */
    static const uint8_t none[8] = {0}, mac[] = {0x52, 0x54, 0, 0, 0, 1};

    (void)state;
    ng_begin(NG_CTRL);
    ng_give(0, 50, 2048);
    CHECK(arrives(TO(OTHER))); /* promiscuous until told otherwise */
    CHECK_EQ(rx_command(0, 0), 0);
    CHECK(arrives(TO(OWN)));
    CHECK(arrives(TO(ALL)));
    CHECK(!arrives(TO(OTHER)));
    CHECK(!arrives(TO(GROUP)));
    CHECK_EQ(ng_command(1, 0, tables, sizeof tables), 0);
    CHECK(arrives(TO(OTHER)));
    CHECK(arrives(TO(GROUP)));
    CHECK(!arrives(TO("52:54:00:00:00:02")));
    CHECK(!arrives(TO("01:00:5e:00:00:02")));
    CHECK_EQ(rx_command(1, 1), 0); /* ALLMULTI */
    CHECK(arrives(TO("01:00:5e:00:00:02")));
    CHECK_EQ(rx_command(3, 1), 0); /* NOMULTI */
    CHECK(!arrives(TO("01:00:5e:00:00:02")));
    CHECK(arrives(TO(ALL)));
    CHECK_EQ(rx_command(2, 1), 0); /* ALLUNI */
    CHECK(arrives(TO("52:54:00:00:00:02")));
    CHECK_EQ(rx_command(4, 1), 0); /* NOUNI */
    CHECK(!arrives(TO(OWN)));
    CHECK_EQ(rx_command(5, 1), 0); /* NOBCAST */
    CHECK(!arrives(TO(ALL)));
    CHECK_EQ(rx_command(0, 1), 0);
    CHECK(arrives(TO(ALL)));
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(rx_command(i, 0), 0);
    CHECK_EQ(ng_command(1, 0, none, 8), 0);
    CHECK(!arrives(TO(OTHER)));
    CHECK_EQ(ng_command(1, 1, mac, 6), 0); /* OTHER is the own address now */
    CHECK(arrives(TO(OTHER)));
    CHECK(!arrives(TO(OWN)));
    CHECK_EQ(ng_config(0, 6), UINT64_C(0x010000005452));
    device_reset(&ng.v->dev);
    CHECK_EQ(ng_config(0, 6), UINT64_C(0x573412005452));
    ng_end();
}

static void vlans(void **state)
{
    static const uint8_t five[] = {5, 0}, beyond[] = {0, 16};
    const struct pkt *tagged = PKT(UDP, .eth_dst = OWN, .dst = "10.0.2.15", .vlan = 0xe005);

    (void)state;
    ng_begin(NG_CTRL);
    ng_give(0, 20, 2048);
    CHECK(arrives(tagged));
    rx_command(0, 0);
    CHECK(!arrives(tagged));
    CHECK_EQ(ng_command(2, 0, five, 2), 0);
    CHECK(arrives(tagged));
    CHECK(!arrives(PKT(UDP, .eth_dst = OWN, .dst = "10.0.2.15", .vlan = 6)));
    CHECK_EQ(ng_command(2, 1, five, 2), 0);
    CHECK(!arrives(tagged));
    CHECK_EQ(ng_command(2, 0, beyond, 2), 1);
    ng_end();
    ng_begin(NG(NG_CTRL_VQ) | NG(NG_CTRL_RX)); /* no filter of VLANs */
    ng_give(0, 20, 2048);
    rx_command(0, 0);
    CHECK(arrives(tagged));
    ng_end();
}

static void too_many_addresses_let_in_all_of_their_kind(void **state)
{
    static uint8_t t[4 + 65 * 6 + 4] = {65};

    (void)state;
    ng_begin(NG_CTRL);
    ng_give(0, 20, 2048);
    rx_command(0, 0);
    CHECK_EQ(ng_command(1, 0, t, sizeof t), 0);
    CHECK(arrives(TO(OTHER)));
    CHECK(!arrives(TO(GROUP)));
    ng_end();
}

static void wrong_commands_are_answered_so(void **state)
{
    static const uint8_t junk[300] = {0xff, 0xff, 0xff, 0xff}, one_of_two[] = {2, 0, 0, 0, 1, 2, 3, 4, 5, 6},
                         half[] = {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0};

    (void)state;
    ng_begin(NG_CTRL);
    CHECK_EQ(ng_command(0, 6, junk, 1), 1);
    CHECK_EQ(ng_command(0, 0, junk, 2), 1);
    CHECK_EQ(ng_command(0, 0, NULL, 0), 1);
    CHECK_EQ(ng_command(1, 0, junk, 300), 1);
    CHECK_EQ(ng_command(1, 0, one_of_two, sizeof one_of_two), 1);
    CHECK_EQ(ng_command(1, 0, half, sizeof half), 1);
    CHECK_EQ(ng_command(1, 0, junk, 3), 1);
    CHECK_EQ(ng_command(1, 1, junk, 5), 1);
    CHECK_EQ(ng_command(1, 2, junk, 6), 1);
    CHECK_EQ(ng_command(2, 2, junk, 2), 1);
    CHECK_EQ(ng_command(3, 0, NULL, 0), 1); /* GUEST_ANNOUNCE was not accepted */
    CHECK_EQ(ng_command(4, 0, "\1", 2), 1); /* nor MQ */
    CHECK_EQ(ng_command(5, 0, junk, 8), 1); /* nor CTRL_GUEST_OFFLOADS */
    CHECK_EQ(ng_command(255, 0, junk, 8), 1);
    CHECK_EQ(vg_rd(&ng.g, 0x070), 15);
    ng_end();
}

static void a_command_without_room_for_the_answer_stops_the_device(void **state)
{
    struct vg_buf b;

    (void)state;
    ng_begin(NG_CTRL);
    b = (struct vg_buf){vg_alloc(&ng.g, 8, 8), 3, false};
    vg_add(&ng.ctl, &b, 1, false);
    vg_kick(&ng.ctl);
    CHECK(vg_rd(&ng.g, 0x070) & 64);
    ng_end();
}

static void offloads_are_switched_while_running(void **state)
{
    uint8_t set[8];
    struct net_port *port;

    (void)state;
    ng_begin(NG_CTRL | NG(NG_CTRL_GUEST_OFFLOADS) | NG_OFFLOADS);
    port = nic_port(virtio_net_nic(ng.v));
    CHECK_EQ(port->can, NET_CAN_ALL);
    st64(set, NG(NG_GUEST_CSUM) | NG(NG_GUEST_TSO4));
    CHECK_EQ(ng_command(5, 0, set, 8), 0);
    CHECK_EQ(port->can, NET_CAN_CSUM | NET_CAN_TSO4);
    st64(set, NG(NG_GUEST_CSUM) | NG(NG_GUEST_USO4)); /* segments of one family only: not said by a port */
    CHECK_EQ(ng_command(5, 0, set, 8), 0);
    CHECK_EQ(port->can, NET_CAN_CSUM);
    st64(set, NG(NG_HOST_TSO4));
    CHECK_EQ(ng_command(5, 0, set, 8), 1);
    st64(set, 0);
    CHECK_EQ(ng_command(5, 0, set, 8), 0);
    CHECK_EQ(port->can, 0);
    vg_wr(&ng.g, 0x070, 0);
    world_run(&ng.w);
    CHECK_EQ(port->can, NET_CAN_ALL);
    ng_end();
}

static void the_link_is_told_and_announced(void **state)
{
    (void)state;
    ng_begin(NG_CTRL | NG(NG_STATUS) | NG(NG_GUEST_ANNOUNCE));
    CHECK_EQ(ng_config(6, 2), 1);
    CHECK(!ng_config_irq());
    net_cable_set_link(ng.far.cable, false);
    world_run(&ng.w);
    CHECK(ng_config_irq());
    CHECK_EQ(ng_config(6, 2), 0);
    net_cable_set_link(ng.far.cable, true);
    world_run(&ng.w);
    CHECK(ng_config_irq());
    CHECK_EQ(ng_config(6, 2), 3); /* up, and announce yourself */
    CHECK_EQ(ng_command(3, 0, NULL, 0), 0);
    CHECK_EQ(ng_config(6, 2), 1);
    far_unplug(&ng.far);
    world_run(&ng.w);
    CHECK_EQ(ng_config(6, 2), 0);
    ng_end();
    ng_begin(NG(NG_STATUS));
    net_cable_set_link(ng.far.cable, false);
    world_run(&ng.w);
    net_cable_set_link(ng.far.cable, true);
    world_run(&ng.w);
    CHECK_EQ(ng_config(6, 2), 1);
    ng_end();
}

static void a_restored_guest_goes_on_and_announces_itself(void **state)
{
    static const uint8_t two[] = {2, 0};
    uint8_t frame[200];
    size_t n;
    void *image;
    struct err e;

    (void)state;
    ng_begin(NG_CTRL | NG(NG_STATUS) | NG(NG_GUEST_ANNOUNCE) | NG(NG_MQ) | NG_OFFLOADS | VG_EVENT_IDX);
    CHECK_EQ(ng_command(4, 0, two, 2), 0);
    rx_command(0, 0);
    ng_command(2, 0, two, 2);
    ng_give(0, 4, 2048);
    ng_give(1, 4, 2048);
    dev_check_save_restore(&ng.v->dev);
    world_run(&ng.w);
    CHECK_EQ(ng_config(6, 2), 3);
    CHECK_EQ(ng_command(3, 0, NULL, 0), 0);

    far_set_room(&ng.far, 0); /* a frame waits when the snapshot is taken */
    ng_queue_frame(0, NULL, frame, ng_build(PKT(UDP, .dst = "10.0.2.2", .sport = 9), frame), 0);
    world_run(&ng.w);
    n = device_state_size(&ng.v->dev);
    image = malloc(n);
    device_save(&ng.v->dev, image);
    device_reset(&ng.v->dev);
    far_set_room(&ng.far, FAR_QUEUE);
    world_run(&ng.w);
    far_expect_none(&ng.far);
    CHECK(device_restore(&ng.v->dev, image, n, &e));
    world_run(&ng.w);
    far_expect(&ng.far, PKT(UDP, .sport = 9));
    CHECK(ng_sent(0));
    CHECK(!arrives(TO(OTHER)));
    CHECK(arrives(TO(OWN)) || ng_receive(1));
    CHECK_EQ(nic_port(virtio_net_nic(ng.v))->can, NET_CAN_ALL);

    memset(image, 0xff, n); /* a file of nonsense does no harm */
    CHECK(device_restore(&ng.v->dev, image, n, &e));
    world_run(&ng.w);
    far_send(&ng.far, TO(OWN));
    vg_kick(&ng.ctl);
    device_reset(&ng.v->dev);
    free(image);
    ng_end();
}

static void reset_forgets_what_the_driver_said(void **state)
{
    static const uint8_t two[] = {2, 0};

    (void)state;
    ng_begin(NG_CTRL | NG(NG_MQ) | NG_OFFLOADS);
    ng_command(4, 0, two, 2);
    rx_command(0, 0);
    rx_command(5, 1);
    vg_wr(&ng.g, 0x070, 0);
    ng_drive(0);
    ng_give(0, 10, 2048);
    CHECK(arrives(TO(ALL)));
    CHECK(arrives(TO(OTHER)));
    CHECK_EQ(nic_port(virtio_net_nic(ng.v))->can, 0);
    ng_end();
}

static char said[4096];

static void line(void *arg, const char *s)
{
    (void)arg;
    strncat(said, s, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

static void info_counts(void **state)
{
    uint8_t frame[200];
    size_t n;

    (void)state;
    said[0] = 0;
    ng_begin(NG_CTRL);
    n = ng_build(PKT(UDP, .dst = "10.0.2.2", TEXT("x")), frame);
    for (unsigned i = 0; i < 3; i++)
        ng_send(NULL, frame, n, 0);
    ng_send(NULL, frame, 5, 0);
    ng_give(0, 1, 2048);
    CHECK(arrives(TO(OWN)));
    CHECK(!far_send(&ng.far, TO(OWN)));
    rx_command(0, 0);
    CHECK(far_send(&ng.far, TO(OTHER)));
    ng.v->dev.ops->info(&ng.v->dev, line, NULL);
    CHECK(strstr(said, "port net0, link up, 52:54:00:12:34:57, 1 of 1 pairs"));
    CHECK(strstr(said, "tx0: 3 frames (129 bytes), 4 kicks, 4 interrupts, 1 bad"));
    CHECK(strstr(said, "rx0: 1 frames"));
    CHECK(strstr(said, "1 times without buffers"));
    CHECK(strstr(said, "1 frames not for this guest"));
    ng_end();
}

/* A vCPU that sends, resets and starts again while the loop carries frames both ways. */
enum { ROUNDS = 60 };

static void *vcpu(void *arg)
{
    static uint8_t frame[1600];
    size_t n = ng_build(PKT(UDP, .dst = "10.0.2.2", TEXT("race")), frame);
    gpa mark = ng.g.next;

    for (unsigned round = 0; round < ROUNDS; round++) {
        ng.g.next = mark;
        vg_begin(&ng.g, NG_RING_RESET);
        vg_queue_init(&ng.g, &ng.rx[0], 0, NG_SIZE);
        vg_queue_init(&ng.g, &ng.tx[0], 1, NG_SIZE);
        vg_queue_on(&ng.rx[0]);
        vg_queue_on(&ng.tx[0]);
        vg_go(&ng.g);
        for (unsigned i = 0; i < 30; i++) {
            struct vg_buf b = {vg_alloc(&ng.g, 2048, 8), 2048, true};

            vg_add(&ng.rx[0], &b, 1, false);
            vg_kick(&ng.rx[0]);
            ng_queue_frame(0, NULL, frame, n, 0);
        }
        while (round & 2 && !ng_sent(0)) /* in some rounds it stops when all is under way, in others before */
            sched_yield();
        vg_wr(&ng.g, 0x030, round & 1);
        vg_wr(&ng.g, 0x0c0, 1);
    }
    loop_stop(arg);
    return NULL;
}

/* The far end answers each frame inside its delivery, as a gateway does. */
static unsigned answered;

static bool answer(struct net_port *p, const struct net_frame *f)
{
    if (!net_port_send(p, f))
        answered++;
    answered++;
    return true;
}

static void resets_race_with_traffic(void **state)
{
    static const struct net_port_ops ops = {.kind = "test", .receive = answer};
    struct net_port port = {.ops = &ops, .name = "echo", .can = NET_CAN_ALL, .mtu = NET_MTU_MAX};
    struct virtio_net_options o = ng_options();
    struct net_cable *cable;
    pthread_t t;
    struct err e;

    (void)state;
    ng_make(false, &o);
    ng.hlen = 12;
    far_unplug(&ng.far);
    cable = net_cable_new(&ng.w.env, "cable", nic_port(virtio_net_nic(ng.v)), &port, &e);
    CHECK(cable != NULL);
    answered = 0;
    CHECK(!pthread_create(&t, NULL, vcpu, ng.w.env.loop));
    loop_run(ng.w.env.loop);
    pthread_join(t, NULL);
    CHECK(answered > 0);
    CHECK_EQ(vg_rd(&ng.g, 0x070) & 64, 0);
    net_cable_free(cable);
    ng_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_those_of_the_options),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(configuration_space),
        cmocka_unit_test(only_an_old_driver_writes_the_address),
        cmocka_unit_test(the_filter_lets_in_what_it_is_told_to),
        cmocka_unit_test(vlans),
        cmocka_unit_test(too_many_addresses_let_in_all_of_their_kind),
        cmocka_unit_test(wrong_commands_are_answered_so),
        cmocka_unit_test(a_command_without_room_for_the_answer_stops_the_device),
        cmocka_unit_test(offloads_are_switched_while_running),
        cmocka_unit_test(the_link_is_told_and_announced),
        cmocka_unit_test(a_restored_guest_goes_on_and_announces_itself),
        cmocka_unit_test(reset_forgets_what_the_driver_said),
        cmocka_unit_test(info_counts),
        cmocka_unit_test(resets_race_with_traffic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
