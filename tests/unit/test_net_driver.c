/* The packet driver against itself: what one far end builds the other decodes. Frames of known bytes come from RFCs and tshark. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netstack/cable.h"
#include "tests/unit/net_driver.h"

static struct world w;
static struct far a, b;

static void begin(void)
{
    world_init(&w);
    far_init(&a, &w, "a");
    far_init(&b, &w, "b");
    strcpy(b.mac, "52:55:0a:00:02:02");
    strcpy(b.ip4, "10.0.2.2");
    strcpy(b.ip6, "fec0::2");
    far_plug(&a, &b.port);
}

static void end(void)
{
    far_free(&a);
    far_free(&b);
    world_free(&w);
}

static void sums_are_those_of_rfc_1071(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    CHECK_EQ(sum_of(0, bytes, 8), (uint16_t)~0xddf2); /* section 3 */
}

static void an_arp_request_is_the_bytes_of_rfc_826(void **state)
{
    static const uint8_t want[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x08, 0x06,
                                   0,    1,    8,    0,    6,    4,    0,    1,    0x52, 0x54, 0x00, 0x12, 0x34, 0x56,
                                   10,   0,    2,    15,   0,    0,    0,    0,    0,    0,    10,   0,    2,    2};
    uint8_t buf[NET_FRAME_MAX];

    (void)state;
    begin();
    CHECK_EQ(far_build(&a, PKT(ARP, .arp = 1, .dst = "10.0.2.2"), buf), sizeof want);
    assert_memory_equal(buf, want, sizeof want);
    end();
}

static void neighbours_answer_by_themselves(void **state)
{
    static const uint8_t target[16] = {0xfe, 0xc0, [15] = 2};

    (void)state;
    begin();
    far_send(&a, PKT(ARP, .arp = 1, .dst = "10.0.2.2"));
    far_expect(&a, PKT(ARP, .arp = 2, .src = "10.0.2.2", .arp_src_mac = "52:55:0a:00:02:02", .eth_dst = a.mac));
    far_send(&a, PKT(ICMP6, .type = 135, .dst = "fec0::2", DATA(target, 16)));
    far_expect(&a, PKT(ICMP6, .type = 136, .src = "fec0::2", .dst = a.ip6, .rest = 0x60000000));
    far_expect_none(&b);
    b.answer = false;
    far_send(&a, PKT(ARP, .arp = 1, .dst = "10.0.2.2"));
    far_expect(&b, PKT(ARP, .arp = 1, .dst = "10.0.2.2", .eth_dst = "ff:ff:ff:ff:ff:ff"));
    end();
}

static void each_kind_arrives_as_it_was_sent(void **state)
{
    const struct got *g;

    (void)state;
    begin();
    for (a.pieces = 0; a.pieces < 8; a.pieces++) {
        far_send(&a, PKT(UDP, .sport = 68, .dst = "255.255.255.255", .src = "0.0.0.0", .dport = 67, TEXT("odd")));
        far_expect(&b,
                   PKT(UDP, .src = "0.0.0.0", .sport = 68, .dport = 67, .eth_dst = "ff:ff:ff:ff:ff:ff", TEXT("odd")));
        far_send(&a, PKT(TCP, .sport = 1, .dst = "fec0::2", .dport = 2, .seq = 5, .flags = T_SYN, .mss = 1440,
                         WSCALE(7), .sack_ok = true, TS(9, 8), .vlan = 3));
        g = far_expect(&b, PKT(TCP, .src = a.ip6, .sport = 1, .dport = 2, .seq = 5, .flags = T_SYN, .mss = 1440,
                               WSCALE(7), .sack_ok = true, .has_ts = true, .ts_echo = 8, .vlan = 3));
        CHECK_EQ(g->len, 0);
        CHECK_EQ(g->ts, 9);
        far_send(&a, PKT(ICMP, .type = 8, .dst = "10.0.2.2", ECHO(7, 1), TEXT("ping")));
        far_expect(&b, PKT(ICMP, .type = 8, ECHO(7, 1), TEXT("ping")));
        far_send(&a, PKT(ICMP6, .type = 128, .dst = "ff02::1", ECHO(7, 1)));
        far_expect(&b, PKT(ICMP6, .type = 128, .ttl = 255, .eth_dst = "33:33:00:00:00:01"));
        far_send(&a,
                 PKT(IP, .proto = 132, .dst = "10.0.2.2", TEXT("sctp"), .ip_options = "\1\1\1\0", .ip_options_len = 4));
        far_expect(&b, PKT(IP, .proto = 132, TEXT("sctp")));
    }
    far_expect_none(&b);
    end();
}

static void fragments_carry_the_bytes_of_the_whole(void **state)
{
    const struct pkt *p =
        PKT(UDP, .sport = 1, .dst = "10.0.2.2", .dport = 2, .ip_id = 77, TEXT("0123456789abcdefghij"));
    const struct got *g;

    (void)state;
    begin();
    far_send_part(&a, p, 16, 100);
    g = far_expect(&b, PKT(FRAG, .proto = 17, .frag_off = 16, TEXT("89abcdefghij")));
    CHECK(!g->more);
    CHECK_EQ(g->frag_id, 77);
    far_send_part(&a, p, 0, 16);
    far_expect(&b, PKT(FRAG, .more = true, .len = 16));
    p = PKT(UDP, .sport = 1, .dst = "fec0::2", .dport = 2, .ip_id = 77, TEXT("0123456789abcdefghij"));
    far_send_part(&a, p, 16, 8);
    far_expect(&b, PKT(FRAG, .proto = 17, .frag_off = 16, .more = true, TEXT("89abcdef")));
    end();
}

static void a_refused_frame_is_told_when_there_is_room(void **state)
{
    (void)state;
    begin();
    far_set_room(&b, 1);
    CHECK(far_send(&a, PKT(UDP, .dst = "10.0.2.2", .dport = 1)));
    CHECK(!far_send(&a, PKT(UDP, .dst = "10.0.2.2", .dport = 2)));
    CHECK_EQ(a.readies, 0);
    far_set_room(&b, 5);
    CHECK_EQ(a.readies, 1);
    CHECK(far_send(&a, PKT(UDP, .dst = "10.0.2.2", .dport = 3)));
    far_expect(&b, PKT(UDP, .dport = 1));
    far_expect(&b, PKT(UDP, .dport = 3));
    end();
}

static void a_frame_for_several_keeps_its_offload_fields(void **state)
{
    static const uint8_t data[4000];

    (void)state;
    begin();
    far_send(&a, PKT(TCP, .dst = "10.0.2.2", .dport = 80, .flags = T_ACK, DATA(data, 4000), .gso_size = 1460));
    far_expect(&b, PKT(TCP, .dport = 80, .gso_size = 1460, .len = 4000));
    far_send(&a, PKT(UDP, .dst = "10.0.2.2", .dport = 80, DATA(data, 100), .sum = SUM_PARTIAL));
    CHECK_EQ(far_expect(&b, PKT(UDP, .len = 100))->nf_flags, NET_CSUM_PARTIAL);
    end();
}

static void the_world_waits_for_real_sockets(void **state)
{
    uint16_t port = 0;
    int listener, c, s;
    char buf[8];

    (void)state;
    begin();
    listener = host_listen(AF_INET, &port);
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!connect(c,
                   (struct sockaddr *)&(struct sockaddr_in){
                       .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                   sizeof(struct sockaddr_in)));
    s = world_accept(&w, listener);
    world_write(&w, s, "hello", 5);
    CHECK_EQ(world_recv(&w, c, buf, 5), 5);
    close(s);
    CHECK_EQ(world_recv(&w, c, buf, 5), 0);
    close(c);
    close(listener);
    end();
}

/* --- the judge is judged --------------------------------------------------------------------------------------------- */

/*
 * Whether the driver refuses the frame of p when its receiver can `can` and takes `mtu`. Tried in a child: a test that
 * fails there goes on with the tests behind it (there are none) and ends with their number.
 */
static bool refused(const struct pkt *p, unsigned can, uint32_t mtu, unsigned spoil)
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        uint8_t *buf = malloc(NET_FRAME_MAX);
        struct iovec iov = {buf, 0};
        struct net_frame f = {.iov = &iov, .iovcnt = 1};

        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(0);
        f.len = iov.iov_len = far_build(&a, p, buf);
        if (p->sum == SUM_PARTIAL || p->gso_size) {
            f.flags = NET_CSUM_PARTIAL;
            f.csum_start = 34;
            f.csum_offset = p->kind == PKT_TCP ? 16 : 6;
            f.gso = p->gso_size ? NET_GSO_TCP4 : NET_GSO_NONE;
            f.gso_size = p->gso_size;
        }
        if (spoil)
            buf[spoil] ^= 1;
        got_free(got_decode(&f, mtu, can));
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) != 0;
}

static void wrong_frames_are_refused(void **state)
{
    static const uint8_t data[2000];
    const struct pkt *udp = PKT(UDP, .dst = "10.0.2.2", .dport = 1, DATA(data, 100));
    const struct pkt *tcp = PKT(TCP, .dst = "10.0.2.2", .dport = 1, .flags = T_ACK, DATA(data, 2000), .gso_size = 1000);
    const struct pkt *partial = PKT(UDP, .dst = "10.0.2.2", .dport = 1, DATA(data, 100), .sum = SUM_PARTIAL);

    (void)state;
    begin();
    CHECK(!refused(udp, 0, 1500, 0));
    CHECK(refused(udp, 0, 1500, 60)); /* a byte of the payload: the UDP sum */
    CHECK(refused(udp, 0, 1500, 22)); /* the TTL: the IPv4 sum */
    CHECK(refused(udp, 0, 127, 0));   /* the MTU */
    CHECK(refused(udp, 0, 1500, 6));  /* a group address as source */
    CHECK(refused(PKT(UDP, .dst = "10.0.2.2", .udp_len = 99, DATA(data, 100)), 0, 1500, 0));
    CHECK(refused(PKT(UDP, .dst = "10.0.2.2", .ip_len = 200, DATA(data, 100)), 0, 1500, 0));
    CHECK(refused(PKT(UDP, .dst = "fec0::2", .sum = SUM_ZERO), 0, 1500, 0)); /* RFC 8200, 8.1 */
    CHECK(!refused(PKT(UDP, .dst = "10.0.2.2", .sum = SUM_ZERO), 0, 1500, 0));
    CHECK(refused(PKT(TCP, .dst = "10.0.2.2", .sum = SUM_WRONG), 0, 1500, 0));
    CHECK(refused(PKT(TCP, .dst = "10.0.2.2", .tcp_off = 60), 0, 1500, 0));
    CHECK(refused(PKT(ICMP6, .dst = "fec0::2", .sum = SUM_WRONG), 0, 1500, 0));
    CHECK(refused(PKT(ICMP, .dst = "10.0.2.2", .cut = 40), 0, 1500, 0));
    CHECK(!refused(partial, NET_CAN_CSUM, 1500, 0));
    CHECK(refused(partial, 0, 1500, 0));
    CHECK(refused(partial, NET_CAN_CSUM, 1500, 40)); /* not the pseudo-header's sum */
    CHECK(!refused(tcp, NET_CAN_ALL, 1500, 0));
    CHECK(refused(tcp, NET_CAN_CSUM, 1500, 0));
    CHECK(refused(tcp, NET_CAN_ALL, 1000, 0)); /* segments larger than the MTU */
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_rfc_1071),
        cmocka_unit_test(an_arp_request_is_the_bytes_of_rfc_826),
        cmocka_unit_test(neighbours_answer_by_themselves),
        cmocka_unit_test(each_kind_arrives_as_it_was_sent),
        cmocka_unit_test(fragments_carry_the_bytes_of_the_whole),
        cmocka_unit_test(a_refused_frame_is_told_when_there_is_room),
        cmocka_unit_test(a_frame_for_several_keeps_its_offload_fields),
        cmocka_unit_test(the_world_waits_for_real_sockets),
        cmocka_unit_test(wrong_frames_are_refused), /* the last: see refused() */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
