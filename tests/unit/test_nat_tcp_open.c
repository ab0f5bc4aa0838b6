/* TCP through the NAT: how connections begin, and how they fail to. */
#include <netinet/tcp.h>

#include "netstack/packet.h"
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;

static void guest_connects_and_both_talk_and_close(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    conn_text(&c, "hello");
    host_expect_text(&c, "hello");
    conn_expect_ack(&c);
    host_text(&c, "world");
    conn_expect_text(&c, "world");
    conn_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

static void the_same_over_ipv6(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET6, &port);
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    c = (struct conn){.tw = &tw, .dst = "fec0::2", .port = 40000, .dport = port, .seq = 77, .fd = -1};
    conn_send(&c, .flags = T_SYN, .mss = 1440);
    c.seq++;
    g = conn_expect(&c, .flags = T_SYN | T_ACK, .ack = c.seq, .mss = 1440);
    c.ack = g->seq + 1;
    conn_ack(&c);
    c.fd = world_accept(&tw.w, listener);
    conn_text(&c, "hello");
    host_expect_text(&c, "hello");
    conn_expect_ack(&c);
    host_text(&c, "world");
    conn_expect_text(&c, "world");
    conn_ack(&c);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

/* --- options ------------------------------------------------------------------------------------------------------- */

/* Answers to a SYN; the connection is reset. */
static const struct got *answer_to(const struct pkt *syn)
{
    static struct got answer;
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    struct pkt p = *syn;

    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = 40000, .dport = port, .seq = 1, .fd = -1};
    p.kind = PKT_TCP;
    p.flags = T_SYN;
    conn_send_pkt(&c, &p);
    c.seq++;
    answer = *conn_expect(&c, .flags = T_SYN | T_ACK, .ack = c.seq);
    conn_send(&c, .flags = T_RST, .seq = c.seq);
    CHECK(!conn_flow(&c));
    close(listener);
    return &answer;
}

static void answer_has_what_the_guest_offered_and_no_more(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = answer_to(PKT(TCP, .mss = 1460, .sack_ok = true, WSCALE(7)));
    CHECK_EQ(g->mss, 1460);
    CHECK(g->sack_ok && g->has_wscale && !g->has_ts);
    CHECK_EQ(g->wscale, 7);
    g = answer_to(PKT(TCP, .mss = 1460));
    CHECK_EQ(g->mss, 1460);
    CHECK(!g->sack_ok && !g->has_wscale);
    g = answer_to(PKT(TCP, .sack_ok = true));
    CHECK(g->sack_ok && !g->has_wscale);
    g = answer_to(PKT(TCP, WSCALE(0), .has_ts = true, .ts = 5));
    CHECK(g->has_wscale && !g->sack_ok && !g->has_ts);
    tcp_end(&tw);
}

static void unknown_and_malformed_options_are_survived(void **state)
{
    static const uint8_t unknown[] = {1, 1, 254, 4, 0xf9, 0x89, 2, 4, 5, 0xb4}, zero_len[] = {2, 0, 5, 0xb4},
                         one_len[] = {3, 1, 2, 4}, too_long[] = {2, 40, 5, 0xb4}, odd_mss[] = {2, 3, 5, 1, 4, 2},
                         cut[] = {1, 1, 1, 2}, end_first[] = {0, 0, 0, 0, 2, 4, 5, 0xb4}, big_scale[] = {3, 3, 200, 1};

    (void)state;
    tcp_begin(&tw, NULL);
    answer_to(PKT(TCP, .tcp_options = unknown, .tcp_options_len = sizeof unknown));
    answer_to(PKT(TCP, .tcp_options = zero_len, .tcp_options_len = sizeof zero_len));
    answer_to(PKT(TCP, .tcp_options = one_len, .tcp_options_len = sizeof one_len));
    answer_to(PKT(TCP, .tcp_options = too_long, .tcp_options_len = sizeof too_long));
    CHECK(answer_to(PKT(TCP, .tcp_options = odd_mss, .tcp_options_len = sizeof odd_mss))->sack_ok);
    answer_to(PKT(TCP, .tcp_options = cut, .tcp_options_len = sizeof cut));
    answer_to(PKT(TCP, .tcp_options = end_first, .tcp_options_len = sizeof end_first));
    answer_to(PKT(TCP, .tcp_options = big_scale, .tcp_options_len = sizeof big_scale));
    tcp_end(&tw);
}

/* What the host sends at once comes in frames cut to this; 0: one segment holds it. */
static uint16_t cut_to(const struct pkt *syn, size_t n)
{
    static uint8_t data[4000];
    uint16_t port = 0, gso;
    int listener = host_listen(AF_INET, &port);
    struct pkt p = *syn;
    const struct got *g;

    p.sport = 40000;
    p.dport = port;
    conn_open_as(&c, &tw, &p, listener);
    close(listener);
    world_write(&tw.w, c.fd, data, n);
    g = conn_expect(&c, .flags = T_ACK, .seq = c.ack);
    gso = g->gso ? g->gso_size : 0;
    CHECK(g->len <= 64 * 1460);
    conn_send(&c, .flags = T_RST, .seq = c.seq);
    close(c.fd);
    far_drain(&tw.g);
    return gso;
}

static void segments_are_as_large_as_the_guest_takes(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    CHECK_EQ(cut_to(PKT(TCP, .mss = 1460), 4000), 1460);
    CHECK_EQ(cut_to(PKT(TCP, .mss = 1000), 4000), 1000);
    CHECK_EQ(cut_to(PKT(TCP, .mss = 1000), 1000), 0);
    CHECK_EQ(cut_to(PKT(TCP, .mss = 9000), 4000), 1460); /* never above the MTU */
    CHECK_EQ(cut_to(PKT(TCP, .window = 65535), 4000), 536); /* not said: RFC 9293, 3.7.1 */
    CHECK_EQ(cut_to(PKT(TCP, .mss = 1), 4000), 48);
    tcp_end(&tw);
}

static void mss_follows_the_mtu(void **state)
{
    struct nat_config config = {.mtu = 65535};

    (void)state;
    tcp_begin(&tw, &config);
    CHECK_EQ(answer_to(PKT(TCP, .mss = 65495))->mss, 65495);
    tw.g.port.mtu = 9000;
    CHECK_EQ(answer_to(PKT(TCP, .mss = 8960))->mss, 8960);
    tcp_end(&tw);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static uint16_t closed_port(void)
{
    uint16_t port = 0;

    close(host_listen(AF_INET, &port));
    return port;
}

static void closed_port_of_the_host_refuses(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, closed_port());
    conn_expect(&c, .flags = T_RST | T_ACK, .ack = c.seq);
    CHECK(!conn_flow(&c));
    CHECK_EQ(tcp_counts(&tw).tcp, 0);
    tcp_end(&tw);
}

static void addresses_that_lead_nowhere_refuse(void **state)
{
    struct nat_config restricted = {.restrict_ = true};

    (void)state;
    tcp_begin(&tw, NULL);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.99", .port = 40000, .dport = 80, .seq = 5};
    conn_send(&c, .flags = T_SYN, .seq = 5);
    conn_expect(&c, .flags = T_RST | T_ACK, .ack = 6);
    tcp_end(&tw);
    tcp_begin(&tw, &restricted);
    c.tw = &tw;
    c.dst = "192.0.2.1"; /* TEST-NET-1: no packet may leave */
    conn_send(&c, .flags = T_SYN, .seq = 5);
    conn_expect(&c, .flags = T_RST | T_ACK, .ack = 6);
    tcp_end(&tw);
}

static int connect_error;

static int failing_connect(struct nat_tcp *t, const struct sockaddr_storage *to, socklen_t len)
{
    (void)t;
    (void)to;
    (void)len;
    errno = connect_error;
    return -1;
}

static void failed_connects_are_answered_in_kind(void **state)
{
    static const struct {
        int error;
        uint8_t type, code; /* of ICMP; 0: RST; 255: nothing */
    } cases[] = {
        {ENETUNREACH, 3, 0},  {EHOSTUNREACH, 3, 1}, {EACCES, 3, 13}, {ECONNREFUSED, 0, 0}, {EADDRNOTAVAIL, 0, 0},
        {ETIMEDOUT, 255, 0}, {EMFILE, 255, 0},     {ENOBUFS, 255, 0},
    };
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    tw.t->connect = failing_connect;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        connect_error = cases[i].error;
        conn_syn(&c, &tw, (uint16_t)(40000 + i), 80);
        if (cases[i].type == 3) {
            g = far_expect(&tw.g, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = cases[i].code));
            CHECK(g->len >= 28);
            CHECK_EQ(g->data[9], IP_PROTO_TCP);
            CHECK_EQ(ld16be(g->data + 20), c.port);
            CHECK_EQ(ld16be(g->data + 22), 80);
            CHECK_EQ(ld32be(g->data + 24), c.iss);
        } else if (cases[i].type == 0) {
            conn_expect(&c, .flags = T_RST | T_ACK, .ack = c.seq);
        }
        far_expect_none(&tw.g);
        CHECK_EQ(tcp_counts(&tw).tcp, 0);
        world_advance(&tw.w, NS_PER_SEC); /* ICMP errors are limited in rate */
    }
    tcp_end(&tw);
}

static void unreachable_over_ipv6_names_the_syn(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    tw.t->connect = failing_connect;
    connect_error = EHOSTUNREACH;
    c = (struct conn){.tw = &tw, .dst = "2001:db8::7", .port = 40000, .dport = 443, .seq = 99};
    conn_send(&c, .flags = T_SYN, .seq = 99);
    g = far_expect(&tw.g, PKT(ICMP6, .type = 1, .code = 3));
    CHECK(g->len >= 48);
    CHECK_EQ(ld16be(g->data + 42), 443);
    CHECK_EQ(ld32be(g->data + 44), 99);
    tcp_end(&tw);
}

/* --- while the host connects --------------------------------------------------------------------------------------- */

/* A listener that answers no SYN: its queue is full. */
struct hole {
    int listener, fill[8];
    unsigned n;
    uint16_t port;
};

static void hole_begin(struct hole *h)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *h = (struct hole){0};
    h->listener = host_listen(AF_INET, &h->port);
    listen(h->listener, 0);
    a.sin_port = htons(h->port);
    while (h->n < ARRAY_LEN(h->fill)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = connect(fd, (void *)&a, sizeof a);
        struct tcp_info info = {0};
        socklen_t len = sizeof info;

        (void)error;
        h->fill[h->n++] = fd;
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
        if (info.tcpi_state == TCP_SYN_SENT)
            return;
    }
    fail_msg("the listener's queue does not fill");
}

static void hole_end(struct hole *h)
{
    while (h->n)
        close(h->fill[--h->n]);
    close(h->listener);
}

static void nothing_is_answered_while_the_host_connects(void **state)
{
    struct hole h;

    (void)state;
    hole_begin(&h);
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, h.port);
    far_expect_none(&tw.g);
    CHECK_EQ(conn_flow(&c)->state, FLOW_CONNECTING);
    c.seq--;
    conn_send(&c, .flags = T_SYN, .mss = 1460); /* again: the same connection */
    far_expect_none(&tw.g);
    CHECK_EQ(tw.t->c.opened, 1);
    CHECK_EQ(tcp_counts(&tw).sockets, 1);
    conn_send(&c, .flags = T_RST, .seq = c.seq + 1);
    CHECK_EQ(tcp_counts(&tw).sockets, 0);
    tcp_end(&tw);
    hole_end(&h);
}

static void another_syn_while_the_host_connects_begins_anew(void **state)
{
    struct hole h;

    (void)state;
    hole_begin(&h);
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, h.port);
    conn_send(&c, .flags = T_SYN, .seq = 12345);
    CHECK_EQ(tw.t->c.opened, 2);
    CHECK_EQ(tcp_counts(&tw).sockets, 1);
    CHECK_EQ(conn_flow(&c)->irs, 12345);
    conn_send(&c, .flags = T_RST, .seq = 999); /* not of this connection */
    CHECK(conn_flow(&c));
    conn_send(&c, .flags = T_ACK, .seq = 999); /* means nothing yet */
    CHECK(conn_flow(&c));
    conn_send(&c, .flags = T_RST, .seq = 12346);
    tcp_end(&tw);
    hole_end(&h);
}

/* --- the handshake --------------------------------------------------------------------------------------------------- */

static void syn_ack_is_sent_again_and_given_up(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    uint32_t isn;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, port);
    isn = conn_expect(&c, .flags = T_SYN | T_ACK)->seq;
    c.fd = world_accept(&tw.w, listener);
    for (unsigned i = 0; i < 9; i++) {
        uint64_t wait = 250 * MS << i;

        world_advance(&tw.w, (wait < 60000 * MS ? wait : 60000 * MS) - 20 * MS);
        far_expect_none(&tw.g);
        world_advance(&tw.w, 22 * MS);
        CHECK_EQ(conn_expect(&c, .flags = T_SYN | T_ACK, .ack = c.seq)->seq, isn);
    }
    world_advance(&tw.w, 200 * NS_PER_SEC);
    conn_expect(&c, .flags = T_RST | T_ACK);
    far_expect_none(&tw.g);
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    close(listener);
    tcp_end(&tw);
}

static void syn_repeated_gets_the_same_answer(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    uint32_t isn;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, port);
    isn = conn_expect(&c, .flags = T_SYN | T_ACK)->seq;
    c.seq--;
    conn_send(&c, .flags = T_SYN, .mss = 1460);
    c.seq++;
    CHECK_EQ(conn_expect(&c, .flags = T_SYN | T_ACK, .ack = c.seq)->seq, isn);
    c.ack = isn + 1;
    conn_send(&c, .flags = T_ACK, .ack = isn + 7); /* of something we never sent */
    CHECK_EQ(conn_expect(&c, .flags = T_RST)->seq, isn + 7);
    conn_ack(&c);
    c.fd = world_accept(&tw.w, listener);
    CHECK_EQ(conn_flow(&c)->state, FLOW_ESTABLISHED);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

static void reset_in_the_handshake_ends_it(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    conn_syn(&c, &tw, 40000, port);
    conn_expect(&c, .flags = T_SYN | T_ACK);
    c.fd = world_accept(&tw.w, listener);
    conn_send(&c, .flags = T_RST, .seq = c.seq);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    close(listener);
    tcp_end(&tw);
}

static void data_on_a_syn_are_taken_when_they_come_again(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = 40000, .dport = port, .seq = 500, .fd = -1};
    conn_send(&c, .flags = T_SYN, .mss = 1460, TEXT("early"));
    c.seq++;
    c.ack = conn_expect(&c, .flags = T_SYN | T_ACK, .ack = 501)->seq + 1;
    conn_text(&c, "early"); /* with the ACK of the handshake */
    c.fd = world_accept(&tw.w, listener);
    host_expect_text(&c, "early");
    conn_expect_ack(&c);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

static void initial_numbers_cannot_be_told_from_each_other(void **state)
{
    uint32_t isn[4];
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    for (unsigned i = 0; i < 4; i++) {
        conn_syn(&c, &tw, (uint16_t)(40000 + i % 3), port); /* the last has the first one's ports again */
        isn[i] = conn_expect(&c, .flags = T_SYN | T_ACK)->seq;
        conn_send(&c, .flags = T_RST, .seq = c.seq);
        world_advance(&tw.w, 4 * MS);
    }
    CHECK(isn[0] - isn[1] != isn[1] - isn[2]);
    CHECK(isn[0] - isn[1] > 100000 && isn[1] - isn[0] > 100000);
    CHECK_EQ((int32_t)(isn[3] - isn[0]) > 2000 && (int32_t)(isn[3] - isn[0]) < 20000000, true); /* 4 us a step: RFC 6528 */
    close(listener);
    tcp_end(&tw);
}

/* --- segments of no connection ------------------------------------------------------------------------------------- */

static void segments_of_no_connection_are_reset(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = 40000, .dport = 81, .seq = 100};
    conn_send(&c, .flags = T_ACK, .ack = 4711);
    CHECK_EQ(conn_expect(&c, .flags = T_RST)->seq, 4711);
    conn_send(&c, .flags = T_SYN | T_ACK, .ack = 4712);
    CHECK_EQ(conn_expect(&c, .flags = T_RST)->seq, 4712);
    conn_send(&c, .flags = T_FIN | T_PSH, TEXT("abc"));
    CHECK_EQ(conn_expect(&c, .flags = T_RST | T_ACK, .ack = 104)->seq, 0);
    conn_send(&c, .flags = T_RST);
    conn_send(&c, .flags = T_RST | T_ACK, .ack = 1);
    far_expect_none(&tw.g);
    CHECK_EQ(tcp_counts(&tw).tcp, 0);
    tcp_end(&tw);
}

static void impossible_segments_are_dropped_and_counted(void **state)
{
    uint64_t bad;

    (void)state;
    tcp_begin(&tw, NULL);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = 40000, .dport = 81, .seq = 100};
    bad = tw.nat->bad_packets;
    conn_send(&c, .flags = T_SYN | T_FIN);
    conn_send(&c, .flags = T_SYN, .sum = SUM_WRONG);
    conn_send(&c, .flags = T_SYN, .tcp_off = 16);
    conn_send(&c, .flags = T_SYN, .tcp_off = 60);
    conn_send(&c, .flags = T_ACK, .tcp_off = 4);
    far_expect_none(&tw.g);
    CHECK_EQ(tw.nat->bad_packets, bad + 5);
    CHECK_EQ(tcp_counts(&tw).tcp, 0);
    conn_send(&c, .flags = T_SYN, .eth_dst = "ff:ff:ff:ff:ff:ff");
    conn_send(&c, .flags = T_SYN, .dst = "10.0.2.255");
    far_expect_none(&tw.g);
    tcp_end(&tw);
}

static void header_that_ends_early_is_dropped(void **state)
{
    static const uint8_t half[12] = {0x9c, 0x40, 0, 81, 0, 0, 0, 1};

    (void)state;
    tcp_begin(&tw, NULL);
    for (size_t n = 0; n <= sizeof half; n++)
        far_send(&tw.g, PKT(IP, .dst = "10.0.2.2", .proto = IP_PROTO_TCP, DATA(half, n)));
    far_expect_none(&tw.g);
    CHECK_EQ(tw.nat->bad_packets, sizeof half + 1);
    tcp_end(&tw);
}

static void checksums_left_to_us_are_not_looked_at(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    conn_send(&c, .flags = T_ACK, .sum = SUM_PARTIAL, TEXT("partial"));
    c.seq += 7;
    conn_send(&c, .flags = T_ACK, .sum = SUM_VALID, TEXT("valid"));
    c.seq += 5;
    host_expect_text(&c, "partialvalid");
    conn_expect_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_connects_and_both_talk_and_close),
        cmocka_unit_test(the_same_over_ipv6),
        cmocka_unit_test(answer_has_what_the_guest_offered_and_no_more),
        cmocka_unit_test(unknown_and_malformed_options_are_survived),
        cmocka_unit_test(segments_are_as_large_as_the_guest_takes),
        cmocka_unit_test(mss_follows_the_mtu),
        cmocka_unit_test(closed_port_of_the_host_refuses),
        cmocka_unit_test(addresses_that_lead_nowhere_refuse),
        cmocka_unit_test(failed_connects_are_answered_in_kind),
        cmocka_unit_test(unreachable_over_ipv6_names_the_syn),
        cmocka_unit_test(nothing_is_answered_while_the_host_connects),
        cmocka_unit_test(another_syn_while_the_host_connects_begins_anew),
        cmocka_unit_test(syn_ack_is_sent_again_and_given_up),
        cmocka_unit_test(syn_repeated_gets_the_same_answer),
        cmocka_unit_test(reset_in_the_handshake_ends_it),
        cmocka_unit_test(data_on_a_syn_are_taken_when_they_come_again),
        cmocka_unit_test(initial_numbers_cannot_be_told_from_each_other),
        cmocka_unit_test(segments_of_no_connection_are_reset),
        cmocka_unit_test(impossible_segments_are_dropped_and_counted),
        cmocka_unit_test(header_that_ends_early_is_dropped),
        cmocka_unit_test(checksums_left_to_us_are_not_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
