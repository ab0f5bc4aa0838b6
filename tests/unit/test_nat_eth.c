/* The gateway's port: Ethernet, ARP, neighbour discovery, who is behind which address. */
#include <string.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"

static struct nat_guest g;
static const char other[] = "52:54:00:00:00:99", ours[] = "52:55:0a:00:02:02", zero_mac[] = "00:00:00:00:00:00";

static void begin(void) { nat_guest_begin(&g, NULL); }
static void end(void) { nat_guest_end(&g); }
static uint64_t bad(void) { return g.n->bad_packets; }

/* Is it heard? A datagram to the gateway's discard port is answered: nobody listens there. */
static void expect_heard(void) { far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 3)); }

static bool knows(const char *addr, const char *mac)
{
    struct net_addr a;
    uint8_t want[6], got[6] = {0};

    net_addr_parse(addr, &a);
    mac_parse(mac, want);
    return nat_neighbour(g.n, &a, got) && !memcmp(want, got, 6);
}

/* --- ARP ------------------------------------------------------------------------------------------------------- */

static void arp_for_the_gateway_is_answered(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2"));
    far_expect(&g.f, PKT(ARP, .arp = 2, .eth_src = ours, .eth_dst = g.f.mac, .src = "10.0.2.2", .dst = "10.0.2.15",
                         .arp_src_mac = ours, .arp_dst_mac = g.f.mac));
    CHECK(knows("10.0.2.15", g.f.mac));
    end();
}

static void arp_for_the_dns_address_is_answered(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.3"));
    far_expect(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.3", .arp_src_mac = ours));
    end();
}

static void arp_for_a_guestfwd_address_is_answered(void **state)
{
    struct err e;
    struct net_addr a;

    (void)state;
    begin();
    net_addr_parse("10.0.2.100", &a);
    CHECK(nat_guestfwd_add(g.n, a, 80, "tcp:127.0.0.1:80", &e));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.100"));
    far_expect(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.100"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.101"));
    far_expect_none(&g.f);
    end();
}

static void arp_for_other_addresses_is_not_answered(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.4"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.15"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.255"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "192.0.2.1"));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 0);
    end();
}

/* RFC 5227: a guest that probes for its own address hears nothing, one that probes for the gateway's hears of the conflict. */
static void arp_probes_are_not_learnt_from(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .src = "0.0.0.0", .dst = "10.0.2.15"));
    far_expect_none(&g.f);
    CHECK(!knows("10.0.2.15", g.f.mac));
    far_send(&g.f, PKT(ARP, .arp = 1, .src = "0.0.0.0", .dst = "10.0.2.2"));
    far_expect(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.2", .dst = "0.0.0.0"));
    CHECK(!knows("0.0.0.0", g.f.mac));
    end();
}

static void wrong_arp_is_dropped(void **state)
{
    static const uint8_t token_ring[28] = {0, 6, 8, 0, 6, 4, 0, 1}, ipx[28] = {0, 1, 0x81, 0x37, 6, 4, 0, 1},
                         long_mac[28] = {0, 1, 8, 0, 255, 4, 0, 1}, long_ip[28] = {0, 1, 8, 0, 6, 16, 0, 1};
    const uint8_t *heads[] = {token_ring, ipx, long_mac, long_ip};

    (void)state;
    begin();
    for (unsigned i = 0; i < 4; i++)
        far_send(&g.f, PKT(ETH, .ethertype = 0x0806, DATA(heads[i], 28)));
    CHECK_EQ(bad(), 4);
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2", .cut = 41));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2", .cut = 15));
    far_send(&g.f, PKT(ARP, .arp = 3, .dst = "10.0.2.2"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2", .arp_src_mac = other));
    CHECK_EQ(bad(), 8);
    far_expect_none(&g.f);
    end();
}

static void gratuitous_arp_moves_an_address(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.15"));
    CHECK(knows("10.0.2.15", g.f.mac));
    far_send(&g.f, PKT(ARP, .arp = 1, .eth_src = other, .arp_src_mac = other, .dst = "10.0.2.15"));
    CHECK(knows("10.0.2.15", other));
    far_send(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.15", .dst = "10.0.2.15"));
    CHECK(knows("10.0.2.15", g.f.mac));
    far_expect_none(&g.f);
    end();
}

static void claims_for_the_gateways_address_are_not_believed(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.2", .dst = "10.0.2.2"));
    far_send(&g.f, PKT(ARP, .arp = 1, .src = "10.0.2.3", .dst = "10.0.2.3"));
    CHECK_EQ(bad(), 2);
    CHECK(!knows("10.0.2.2", g.f.mac) && !knows("10.0.2.3", g.f.mac));
    far_drain(&g.f); /* it defends the address that was asked for */
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2"));
    far_expect(&g.f, PKT(ARP, .arp = 2, .src = "10.0.2.2", .arp_src_mac = ours));
    end();
}

static void arp_is_not_answered_without_ipv4(void **state)
{
    (void)state;
    nat_guest_begin(&g, &(struct nat_config){.no_ipv4 = true});
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.2"));
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "0.0.0.0"));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .dport = 9));
    far_expect_none(&g.f);
    end();
}

/* --- Ethernet -------------------------------------------------------------------------------------------------- */

static void frames_for_others_are_not_heard(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .eth_dst = other, .dst = "10.0.2.2", .dport = 9));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 0);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .dport = 9));
    expect_heard();
    end();
}

static void frames_from_group_addresses_are_dropped(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .eth_src = "ff:ff:ff:ff:ff:ff", .dst = "10.0.2.2", .dport = 9));
    far_send(&g.f, PKT(UDP, .eth_src = "01:00:5e:00:00:01", .dst = "10.0.2.2", .dport = 9));
    far_send(&g.f, PKT(UDP, .eth_src = ours, .dst = "10.0.2.2", .dport = 9));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 3);
    end();
}

static void short_frames_are_dropped(void **state)
{
    uint8_t frame[64];

    (void)state;
    begin();
    memset(frame, 0xff, sizeof frame);
    memset(frame + 6, 0x52, 6);
    for (size_t len = 1; len < 14; len++)
        far_send_frame(&g.f, frame, len);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .cut = 14));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .vlan = 0x2000, .cut = 16));
    far_expect_none(&g.f);
    end();
}

static void a_priority_tag_is_taken_off_and_other_vlans_are_not_heard(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .vlan = 0x6000, .dst = "10.0.2.2", .dport = 9)); /* priority 3, no VLAN */
    expect_heard();
    far_send(&g.f, PKT(UDP, .vlan = 0x6005, .dst = "10.0.2.2", .dport = 9));
    far_send(&g.f, PKT(UDP, .ethertype = 0x88a8, .dst = "10.0.2.2", .dport = 9));
    far_expect_none(&g.f);
    end();
}

/* --- neighbours ------------------------------------------------------------------------------------------------ */

static void send_udp(const char *dst)
{
    struct net_addr from, to;

    net_addr_parse(strchr(dst, ':') ? "fec0::2" : "10.0.2.2", &from);
    net_addr_parse(dst, &to);
    CHECK(nat_udp_send(g.n, &from, 1, &to, 2, "hello", 5));
    world_run(&g.w);
}

static void an_unknown_guest_is_asked_for_and_then_gets_its_packets(void **state)
{
    (void)state;
    begin();
    g.f.answer = false;
    send_udp("10.0.2.15");
    send_udp("10.0.2.15");
    far_expect(&g.f, PKT(ARP, .arp = 1, .eth_dst = "ff:ff:ff:ff:ff:ff", .src = "10.0.2.2", .dst = "10.0.2.15",
                         .arp_dst_mac = zero_mac));
    far_expect_none(&g.f);
    far_send(&g.f, PKT(ARP, .arp = 2, .dst = "10.0.2.2", .arp_dst_mac = ours));
    far_expect(&g.f, PKT(UDP, .eth_dst = g.f.mac, .sport = 1, .dport = 2, TEXT("hello")));
    far_expect(&g.f, PKT(UDP, .eth_dst = g.f.mac, .sport = 1, .dport = 2, TEXT("hello")));
    send_udp("10.0.2.15");
    far_expect(&g.f, PKT(UDP));
    far_expect_none(&g.f);
    end();
}

static void an_unknown_guest_is_solicited_by_ipv6(void **state)
{
    uint8_t na[24] = {0};

    (void)state;
    begin();
    g.f.answer = false;
    send_udp("fec0::5054:ff:fe12:3456");
    const struct got *ns = far_expect(&g.f, PKT(ICMP6, .eth_dst = "33:33:ff:12:34:56", .src = "fe80::2",
                                                .dst = "ff02::1:ff12:3456", .type = 135, .ttl = 255));
    CHECK_EQ(ns->len, 24);
    addr_parse("fec0::5054:ff:fe12:3456", na);
    CHECK(!memcmp(ns->data, na, 16));
    CHECK_EQ(ns->data[16], 1); /* source link-layer address */
    /* a solicited answer may leave out the option (RFC 4861, 4.4) */
    far_send(&g.f, PKT(ICMP6, .dst = "fe80::2", .type = 136, .rest = 0x60000000, DATA(na, 16)));
    far_expect(&g.f, PKT(UDP, .eth_dst = g.f.mac, .dst = "fec0::5054:ff:fe12:3456", TEXT("hello")));
    end();
}

static void three_questions_a_second_apart_are_enough(void **state)
{
    struct nat_counts before, after;

    (void)state;
    begin();
    g.f.answer = false;
    nat_counts(g.n, &before);
    send_udp("10.0.2.15");
    for (unsigned i = 0; i < 3; i++) {
        far_expect(&g.f, PKT(ARP, .arp = 1));
        far_expect_none(&g.f);
        world_advance(&g.w, NS_PER_SEC);
    }
    world_advance(&g.w, 10 * NS_PER_SEC);
    far_send(&g.f, PKT(ARP, .arp = 2, .dst = "10.0.2.2")); /* too late: the packet is gone */
    far_expect_none(&g.f);
    nat_counts(g.n, &after);
    CHECK_EQ(before.memory, after.memory);
    end();
}

static void only_a_few_packets_wait_for_an_address(void **state)
{
    unsigned n = 0;

    (void)state;
    begin();
    g.f.answer = false;
    for (unsigned i = 0; i < 100; i++)
        send_udp("10.0.2.15");
    far_expect(&g.f, PKT(ARP, .arp = 1));
    far_send(&g.f, PKT(ARP, .arp = 2, .dst = "10.0.2.2"));
    while (far_next(&g.f))
        n++;
    CHECK_EQ(n, 4);
    end();
}

static void a_datagram_from_another_mac_does_not_speak_for_a_guest(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .dport = 9));
    expect_heard();
    far_send(&g.f, PKT(UDP, .eth_src = other, .dst = "10.0.2.2", .dport = 9));
    far_send(&g.f, PKT(UDP, .eth_src = other, .src = "10.0.2.16", .dst = "10.0.2.2", .dport = 9));
    far_expect(&g.f, PKT(ICMP, .dst = "10.0.2.16"));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 1);
    /* in IPv6 too, echo included */
    far_send(&g.f, PKT(UDP, .dst = "fec0::2", .dport = 9));
    far_expect(&g.f, PKT(ICMP6, .type = 1, .code = 4));
    far_send(&g.f, PKT(UDP, .eth_src = other, .dst = "fec0::2", .dport = 9));
    far_send(&g.f, PKT(ICMP6, .eth_src = other, .dst = "fec0::2", .type = 128, ECHO(1, 1)));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 3);
    end();
}

static void an_address_not_seen_for_a_minute_may_come_from_another_mac(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .dport = 9));
    expect_heard();
    world_advance(&g.w, 61 * NS_PER_SEC);
    far_send(&g.f, PKT(UDP, .eth_src = other, .dst = "10.0.2.2", .dport = 9));
    far_expect(&g.f, PKT(ICMP, .eth_dst = other));
    CHECK(knows("10.0.2.15", other));
    end();
}

static void one_guest_with_many_addresses_does_not_push_out_others(void **state)
{
    char addr[32], known = 0;

    (void)state;
    begin();
    far_send(&g.f, PKT(ARP, .arp = 1, .dst = "10.0.2.15"));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(addr, sizeof addr, "fec0::9:%x", i);
        far_send(&g.f, PKT(UDP, .eth_src = other, .src = addr, .dst = "fec0::2", .dport = 9));
    }
    far_drain(&g.f);
    CHECK(knows("10.0.2.15", g.f.mac));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(addr, sizeof addr, "fec0::9:%x", i);
        known = (char)(known + knows(addr, other));
    }
    CHECK_EQ(known, 16);
    CHECK(knows("fec0::9:3e7", other)); /* the last ones */
    end();
}

static void many_macs_fill_the_table_and_no_more(void **state)
{
    char addr[32], mac[24];
    unsigned known = 0;

    (void)state;
    begin();
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(addr, sizeof addr, "fec0::9:%x", i);
        snprintf(mac, sizeof mac, "52:54:00:01:%02x:%02x", i >> 8, i & 255);
        far_send(&g.f, PKT(UDP, .eth_src = mac, .src = addr, .dst = "fec0::2", .dport = 9));
        far_drain(&g.f);
    }
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(addr, sizeof addr, "fec0::9:%x", i);
        snprintf(mac, sizeof mac, "52:54:00:01:%02x:%02x", i >> 8, i & 255);
        known += knows(addr, mac);
    }
    CHECK_EQ(known, 256);
    end();
}

/* --- neighbour discovery ----------------------------------------------------------------------------------------- */

static uint8_t body[64];

static size_t target_and_mac(const char *target, uint8_t option, const char *mac)
{
    memset(body, 0, sizeof body);
    addr_parse(target, body);
    if (!option)
        return 16;
    body[16] = option;
    body[17] = 1;
    mac_parse(mac, body + 18);
    return 24;
}

static void solicit(const char *target)
{
    size_t len = target_and_mac(target, 1, g.f.mac);

    far_send(&g.f, PKT(ICMP6, .dst = target, .type = 135, DATA(body, len)));
}

static void solicitations_for_our_addresses_are_answered(void **state)
{
    static const char *const addr[] = {"fec0::2", "fec0::3", "fe80::2"};

    (void)state;
    begin();
    for (unsigned i = 0; i < 3; i++) {
        uint8_t want[24];
        const struct got *na;

        solicit(addr[i]);
        na = far_expect(&g.f, PKT(ICMP6, .eth_src = ours, .eth_dst = g.f.mac, .src = addr[i], .dst = g.f.ip6,
                                  .type = 136, .ttl = 255, .rest = 0xe0000000)); /* router, solicited, override */
        target_and_mac(addr[i], 2, ours);
        memcpy(want, body, 24);
        CHECK_EQ(na->len, 24);
        CHECK(!memcmp(na->data, want, 24));
    }
    CHECK(knows(g.f.ip6, g.f.mac));
    solicit("fec0::4");
    solicit(g.f.ip6);
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 0);
    end();
}

static void a_guest_that_wants_the_gateways_address_is_told_by_all_nodes(void **state)
{
    (void)state;
    begin();
    target_and_mac("fec0::2", 0, NULL);
    far_send(&g.f, PKT(ICMP6, .src = "::", .dst = "ff02::1:ff00:2", .type = 135, DATA(body, 16)));
    far_expect(&g.f, PKT(ICMP6, .eth_dst = "33:33:00:00:00:01", .src = "fec0::2", .dst = "ff02::1", .type = 136,
                         .rest = 0xa0000000));
    target_and_mac("fec0::77", 0, NULL);
    far_send(&g.f, PKT(ICMP6, .src = "::", .dst = "ff02::1:ff00:77", .type = 135, DATA(body, 16)));
    far_expect_none(&g.f);
    end();
}

/* RFC 4861, 7.1.1 */
static void wrong_solicitations_are_dropped(void **state)
{
    static const uint8_t atomic[8] = {58, 0, 0, 0, 0, 0, 0, 1};
    size_t len;

    (void)state;
    begin();
    len = target_and_mac("fec0::2", 1, g.f.mac);
    far_send(&g.f, PKT(ICMP6, .ttl = 64, .dst = "fec0::2", .type = 135, DATA(body, len)));
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, .code = 1, DATA(body, len)));
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, .sum = SUM_WRONG, DATA(body, len)));
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, DATA(body, 15)));
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, DATA(body, 20))); /* half an option */
    far_send(&g.f, PKT(ICMP6, .ip_ext = 44, .ip_options = atomic, .ip_options_len = 8, .dst = "fec0::2", .type = 135,
                       DATA(body, len)));                                                           /* RFC 6980 */
    far_send(&g.f, PKT(ICMP6, .src = "::", .dst = "ff02::1:ff00:2", .type = 135, DATA(body, len))); /* with a MAC */
    far_send(&g.f, PKT(ICMP6, .src = "::", .dst = "fec0::2", .type = 135, DATA(body, 16)));
    CHECK_EQ(bad(), 8);
    body[17] = 0; /* an option of length 0: a reader that trusts it turns for ever */
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, DATA(body, len)));
    body[17] = 200;
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, DATA(body, len)));
    len = target_and_mac("ff02::1", 1, g.f.mac);
    far_send(&g.f, PKT(ICMP6, .dst = "fec0::2", .type = 135, DATA(body, len)));
    CHECK_EQ(bad(), 11);
    far_expect_none(&g.f);
    CHECK(!knows("fec0::2", g.f.mac));
    end();
}

static void advertisements_move_an_address_only_if_they_override(void **state)
{
    size_t len;

    (void)state;
    begin();
    solicit("fec0::2");
    far_drain(&g.f);
    CHECK(knows(g.f.ip6, g.f.mac));
    len = target_and_mac(g.f.ip6, 2, other);
    far_send(&g.f, PKT(ICMP6, .eth_src = other, .dst = "ff02::1", .type = 136, .rest = 0, DATA(body, len)));
    CHECK(knows(g.f.ip6, g.f.mac));
    far_send(&g.f, PKT(ICMP6, .eth_src = other, .dst = "ff02::1", .type = 136, .rest = 0x20000000, DATA(body, len)));
    CHECK(knows(g.f.ip6, other));
    /* not for the gateway, and not with the solicited flag to all */
    len = target_and_mac("fec0::2", 2, other);
    far_send(&g.f, PKT(ICMP6, .eth_src = other, .dst = "ff02::1", .type = 136, .rest = 0x20000000, DATA(body, len)));
    len = target_and_mac(g.f.ip6, 2, g.f.mac);
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::1", .type = 136, .rest = 0x60000000, DATA(body, len)));
    CHECK(knows(g.f.ip6, other));
    CHECK(!knows("fec0::2", other));
    CHECK_EQ(bad(), 2);
    far_expect_none(&g.f);
    end();
}

/* Thousands of neighbours that solicit and advertise: each is answered, none is remembered beyond the table. */
static void ipv6_nd_storm(void **state)
{
    char mac[24], addr[32];
    struct nat_counts before, after;
    unsigned answers = 0;

    (void)state;
    begin();
    nat_counts(g.n, &before);
    for (unsigned i = 0; i < 3000; i++) {
        size_t len;

        snprintf(mac, sizeof mac, "52:54:00:02:%02x:%02x", i >> 8, i & 255);
        snprintf(addr, sizeof addr, "fe80::7:%x", i);
        len = target_and_mac("fec0::2", 1, mac);
        far_send(&g.f, PKT(ICMP6, .eth_src = mac, .src = addr, .dst = "ff02::1:ff00:2", .type = 135, DATA(body, len)));
        len = target_and_mac(addr, 2, mac);
        far_send(&g.f, PKT(ICMP6, .eth_src = mac, .src = addr, .dst = "ff02::1", .type = 136, .rest = 0x20000000,
                           DATA(body, len)));
        far_send(&g.f, PKT(ICMP6, .eth_src = mac, .src = addr, .dst = "ff02::2", .type = 133));
        while (far_next(&g.f))
            answers++;
    }
    CHECK_EQ(answers, 3000);
    nat_counts(g.n, &after);
    CHECK_EQ(after.memory, before.memory);
    CHECK_EQ(after.sockets, 0);
    end();
}

static void a_solicitation_of_routers_is_answered(void **state)
{
    static const uint8_t zero_option[8] = {1, 0};

    (void)state;
    begin();
    g.f.ignore_ra = false;
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::2", .type = 133));
    far_expect(&g.f, PKT(ICMP6, .src = "fe80::2", .type = 134, .ttl = 255));
    far_drain(&g.f);
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::2", .type = 133, .ttl = 254));
    far_send(&g.f, PKT(ICMP6, .dst = "ff02::2", .type = 133, DATA(zero_option, 8)));
    far_expect_none(&g.f);
    CHECK_EQ(bad(), 2);
    end();
}

static void guests_that_play_router_are_not_heard(void **state)
{
    static const uint8_t ra[8], redirect[32];

    (void)state;
    begin();
    far_send(&g.f, PKT(ICMP6, .src = "fe80::9", .dst = "ff02::1", .type = 134, DATA(ra, 8)));
    far_send(&g.f, PKT(ICMP6, .src = "fe80::9", .dst = "fec0::2", .type = 137, DATA(redirect, 32)));
    CHECK_EQ(bad(), 2);
    far_expect_none(&g.f);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arp_for_the_gateway_is_answered),
        cmocka_unit_test(arp_for_the_dns_address_is_answered),
        cmocka_unit_test(arp_for_a_guestfwd_address_is_answered),
        cmocka_unit_test(arp_for_other_addresses_is_not_answered),
        cmocka_unit_test(arp_probes_are_not_learnt_from),
        cmocka_unit_test(wrong_arp_is_dropped),
        cmocka_unit_test(gratuitous_arp_moves_an_address),
        cmocka_unit_test(claims_for_the_gateways_address_are_not_believed),
        cmocka_unit_test(arp_is_not_answered_without_ipv4),
        cmocka_unit_test(frames_for_others_are_not_heard),
        cmocka_unit_test(frames_from_group_addresses_are_dropped),
        cmocka_unit_test(short_frames_are_dropped),
        cmocka_unit_test(a_priority_tag_is_taken_off_and_other_vlans_are_not_heard),
        cmocka_unit_test(an_unknown_guest_is_asked_for_and_then_gets_its_packets),
        cmocka_unit_test(an_unknown_guest_is_solicited_by_ipv6),
        cmocka_unit_test(three_questions_a_second_apart_are_enough),
        cmocka_unit_test(only_a_few_packets_wait_for_an_address),
        cmocka_unit_test(a_datagram_from_another_mac_does_not_speak_for_a_guest),
        cmocka_unit_test(an_address_not_seen_for_a_minute_may_come_from_another_mac),
        cmocka_unit_test(one_guest_with_many_addresses_does_not_push_out_others),
        cmocka_unit_test(many_macs_fill_the_table_and_no_more),
        cmocka_unit_test(solicitations_for_our_addresses_are_answered),
        cmocka_unit_test(a_guest_that_wants_the_gateways_address_is_told_by_all_nodes),
        cmocka_unit_test(wrong_solicitations_are_dropped),
        cmocka_unit_test(advertisements_move_an_address_only_if_they_override),
        cmocka_unit_test(ipv6_nd_storm),
        cmocka_unit_test(a_solicitation_of_routers_is_answered),
        cmocka_unit_test(guests_that_play_router_are_not_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
