/* The way between a device's threads and the network's: devices/nic.h. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nic.h"
#include "tests/unit/net_driver.h"

static struct world w;
static struct far far;
static struct bus *bus;

static struct card {
    struct device dev;
    struct nic nic;
    unsigned transmits, receives, links;
    bool up, refuse;
    struct net_frame got;
    uint8_t bytes[2000];
    void (*on_transmit)(void);
} card;

static void card_transmit(struct nic *n)
{
    (void)n;
    card.transmits++;
    if (card.on_transmit)
        card.on_transmit();
}

static bool card_receive(struct nic *n, const struct net_frame *f)
{
    size_t at = 0;

    (void)n;
    card.receives++;
    card.got = *f;
    for (unsigned i = 0; i < f->iovcnt && at + f->iov[i].iov_len <= sizeof card.bytes; at += f->iov[i++].iov_len)
        memcpy(card.bytes + at, f->iov[i].iov_base, f->iov[i].iov_len);
    return !card.refuse;
}

static void card_link(struct nic *n, bool up)
{
    (void)n;
    card.links++;
    card.up = up;
}

static const struct nic_ops card_nic_ops = {card_transmit, card_receive, card_link};
static const struct device_ops card_ops = {.name = "card", .size = 4096};

static void begin(void)
{
    static const uint8_t mac[ETH_ALEN] = {0x52, 0x54, 0, 1, 2, 3};
    struct device_env env;

    world_init(&w);
    bus = bus_new(w.env.log);
    env = (struct device_env){.clock = w.env.clock, .log = w.env.log, .bus = bus, .gate = w.env.gate};
    memset(&card, 0, sizeof card);
    device_init(&card.dev, &card_ops, "card0", &env);
    nic_init(&card.nic, &card_nic_ops, &card.dev, w.env.loop, "net0", mac);
    far_init(&far, &w, "far");
    far_plug(&far, nic_port(&card.nic));
}

static void end(void)
{
    far_free(&far);
    nic_fini(&card.nic);
    device_fini(&card.dev);
    bus_free(bus);
    world_free(&w);
}

static void kicks_are_gathered(void **state)
{
    (void)state;
    begin();
    CHECK_EQ(card.links, 1);
    CHECK(card.up);
    CHECK(nic_up(&card.nic));
    nic_kick(&card.nic);
    nic_kick(&card.nic);
    CHECK_EQ(card.transmits, 0);
    loop_poll(w.env.loop);
    CHECK_EQ(card.transmits, 1);
    loop_poll(w.env.loop);
    CHECK_EQ(card.transmits, 1);
    end();
}

static bool send_one(void)
{
    static uint8_t bytes[60] = {0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 1, 2, 3, 0x12, 0x34};
    struct iovec iov = {bytes, sizeof bytes};

    return net_port_send(nic_port(&card.nic), &(struct net_frame){.iov = &iov, .iovcnt = 1, .len = sizeof bytes});
}

static void a_far_end_with_room_again_starts_transmission(void **state)
{
    (void)state;
    begin();
    far_set_room(&far, 0);
    CHECK(!send_one());
    CHECK_EQ(card.transmits, 0);
    far_set_room(&far, 5);
    world_run(&w);
    CHECK_EQ(card.transmits, 1);
    CHECK(send_one());
    end();
}

static void room_reaches_who_was_refused(void **state)
{
    (void)state;
    begin();
    card.refuse = true;
    CHECK(!far_send(&far, PKT(ETH, .ethertype = 0x1234, TEXT("hello"))));
    nic_room(&card.nic);
    CHECK_EQ(far.readies, 0);
    loop_poll(w.env.loop);
    CHECK_EQ(far.readies, 1);
    end();
}

static void a_stopped_machine_neither_sends_nor_receives(void **state)
{
    (void)state;
    begin();
    clock_stop(w.env.clock);
    nic_kick(&card.nic);
    CHECK(!far_send(&far, PKT(ETH, .ethertype = 0x1234, TEXT("later"))));
    loop_poll(w.env.loop);
    CHECK_EQ(card.transmits, 0);
    CHECK_EQ(card.receives, 0);
    CHECK_EQ(far.readies, 0);
    clock_start(w.env.clock);
    world_advance(&w, 0);
    CHECK_EQ(card.transmits, 1);
    CHECK_EQ(far.readies, 1);
    CHECK(far_send(&far, PKT(ETH, .ethertype = 0x1234, TEXT("later"))));
    CHECK_EQ(card.receives, 1);
    end();
}

static uint8_t recorded[4096];
static size_t recorded_len;

static void tap(void *arg, const struct gate_source *s, uint64_t when, const void *data, size_t len)
{
    (void)arg, (void)s, (void)when;
    CHECK(len <= sizeof recorded);
    memcpy(recorded, data, len);
    recorded_len = len;
}

static void what_is_recorded_can_be_injected(void **state)
{
    struct net_frame first;
    uint8_t bytes[sizeof card.bytes];
    char data[1400] = "data";

    (void)state;
    begin();
    far.pieces = 100;
    gate_set_tap(w.env.gate, tap, NULL);
    CHECK(far_send(&far, PKT(TCP, .dst = "10.0.2.2", .sport = 1, .dport = 2, .flags = T_ACK, DATA(data, sizeof data),
                             .gso_size = 500)));
    CHECK_EQ(card.receives, 1);
    first = card.got;
    memcpy(bytes, card.bytes, first.len);
    CHECK_EQ(first.gso, NET_GSO_TCP4);
    CHECK_EQ(recorded_len, NIC_MESSAGE_HEAD + first.len);
    gate_set_tap(w.env.gate, NULL, NULL);

    gate_close(w.env.gate, true);
    CHECK(far_send(&far, PKT(ETH, .ethertype = 0x1234, TEXT("lost"))));
    CHECK_EQ(card.receives, 1);
    memset(card.bytes, 0, sizeof card.bytes);
    CHECK(gate_inject(w.env.gate, "card0", recorded, recorded_len));
    CHECK_EQ(card.receives, 2);
    CHECK_EQ(card.got.len, first.len);
    CHECK_EQ(card.got.flags, first.flags);
    CHECK_EQ(card.got.gso, first.gso);
    CHECK_EQ(card.got.gso_size, first.gso_size);
    CHECK_EQ(card.got.header_len, first.header_len);
    CHECK_EQ(card.got.csum_start, first.csum_start);
    CHECK_EQ(card.got.csum_offset, first.csum_offset);
    assert_memory_equal(card.bytes, bytes, first.len);
    CHECK(gate_inject(w.env.gate, "card0", recorded, NIC_MESSAGE_HEAD + ETH_HLEN - 1)); /* a log that was tampered with */
    CHECK_EQ(card.receives, 2);
    end();
}

/* A vCPU that resets the card: it may go on only when the loop's thread has landed. */
static bool landed, settled; /* atomic */

static void *resetter(void *arg)
{
    (void)arg;
    device_lock(&card.dev);
    nic_settle(&card.nic);
    CHECK(__atomic_load_n(&landed, __ATOMIC_SEQ_CST));
    __atomic_store_n(&settled, true, __ATOMIC_SEQ_CST);
    device_unlock(&card.dev);
    return NULL;
}

static pthread_t reset_thread;

static void transmit_while_reset(void)
{
    device_lock(&card.dev);
    nic_fly(&card.nic);
    CHECK(!pthread_create(&reset_thread, NULL, resetter, NULL));
    device_unlock(&card.dev);
    while (!__atomic_load_n(&card.nic.settling, __ATOMIC_ACQUIRE))
        sched_yield();
    CHECK(!nic_enter(&card.nic)); /* as a frame that arrives inside the card's own send */
    CHECK(!__atomic_load_n(&settled, __ATOMIC_SEQ_CST));
    __atomic_store_n(&landed, true, __ATOMIC_SEQ_CST);
    nic_land(&card.nic);
    device_lock(&card.dev);
    CHECK(__atomic_load_n(&settled, __ATOMIC_SEQ_CST));
    device_unlock(&card.dev);
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
    (void)state;
    begin();
    landed = settled = false;
    card.on_transmit = transmit_while_reset;
    card.refuse = true;
    CHECK(!far_send(&far, PKT(ETH, .ethertype = 0x1234, TEXT("refused"))));
    nic_kick(&card.nic);
    loop_poll(w.env.loop);
    pthread_join(reset_thread, NULL);
    CHECK(settled);
    CHECK(nic_enter(&card.nic));
    device_unlock(&card.dev);
    loop_poll(w.env.loop);
    CHECK_EQ(far.readies, 1); /* who was refused meanwhile hears of room */
    device_lock(&card.dev);
    nic_settle(&card.nic); /* nothing in flight: at once */
    device_unlock(&card.dev);
    end();
}

static void nothing_runs_after_the_end(void **state)
{
    (void)state;
    begin();
    nic_kick(&card.nic);
    nic_room(&card.nic);
    far_unplug(&far);
    CHECK(!nic_up(&card.nic));
    CHECK(!card.up);
    loop_poll(w.env.loop);
    card.transmits = 0;
    nic_kick(&card.nic);
    nic_room(&card.nic);
    nic_fini(&card.nic);
    loop_poll(w.env.loop);
    CHECK_EQ(card.transmits, 0);
    far_free(&far);
    device_fini(&card.dev);
    bus_free(bus);
    world_free(&w);
}

static void addresses_are_read_strictly(void **state)
{
    static const char *const wrong[] = {"",
                                        "52:54:00:12:34",
                                        "52:54:00:12:34:5",
                                        "52:54:00:12:34:56:",
                                        "52:54:00:12:34:5g",
                                        "52-54:00:12:34:56",
                                        "52.54.00.12.34.56",
                                        "01:00:5e:00:00:01",
                                        "ff:ff:ff:ff:ff:ff"};
    uint8_t mac[ETH_ALEN];

    (void)state;
    CHECK(nic_mac_parse("52:54:00:aB:Cd:eF", mac));
    assert_memory_equal(mac, "\x52\x54\x00\xab\xcd\xef", ETH_ALEN);
    CHECK(nic_mac_parse("02-00-00-00-00-01", mac));
    assert_memory_equal(mac, "\x02\0\0\0\0\1", ETH_ALEN);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(!nic_mac_parse(wrong[i], mac));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kicks_are_gathered),
        cmocka_unit_test(a_far_end_with_room_again_starts_transmission),
        cmocka_unit_test(room_reaches_who_was_refused),
        cmocka_unit_test(a_stopped_machine_neither_sends_nor_receives),
        cmocka_unit_test(what_is_recorded_can_be_injected),
        cmocka_unit_test(a_reset_waits_for_what_is_in_flight),
        cmocka_unit_test(nothing_runs_after_the_end),
        cmocka_unit_test(addresses_are_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
