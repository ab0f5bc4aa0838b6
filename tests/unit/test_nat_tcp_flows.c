/* TCP through the NAT: many flows, forwards into the guest, guestfwd, and a guest that takes no frames for a while. */
#include <sys/resource.h>
#include <sys/un.h>

#include "netstack/cable.h"
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;
static uint8_t data[1 << 20];

/* --- forwards ---------------------------------------------------------------------------------------------------------- */

/* A client of this host has connected to a forward to the guest's port 80; its SYN for the guest is returned. */
static const struct got *forwarded(void)
{
    struct nat_forward f = {.guest_port = 80};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint16_t port = 0;
    struct err e;

    close(host_listen(AF_INET, &port)); /* a port that is free */
    f.host_port = port;
    net_addr_parse("10.0.2.15", &f.guest_addr);
    if (!nat_forward_add(tw.nat, &f, &e))
        fail_msg("%s", e.msg);
    a.sin_port = htons(port);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    CHECK(connect(c.fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == EINPROGRESS);
    return far_expect(&tw.g, PKT(TCP, .dst = "10.0.2.15", .flags = T_SYN, .dport = 80));
}

/* The flow that a SYN to the guest began. */
static struct tcp_flow *flow_of(const struct got *syn)
{
    c.port = syn->dport;
    c.dport = syn->sport;
    return conn_flow(&c);
}

static void forwarded_connection_reaches_the_guest(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    CHECK_STR(g->src, "10.0.2.2");
    CHECK_EQ(g->mss, 1460);
    CHECK(g->sack_ok && g->has_wscale);
    conn_answer(&c, g);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
    host_text(&c, "GET /");
    conn_expect_text(&c, "GET /");
    conn_text(&c, "200 OK");
    host_expect_text(&c, "200 OK");
    conn_expect_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

static void what_the_client_said_before_goes_with_the_handshake(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    CHECK_EQ(send(c.fd, "early", 5, 0), 5);
    conn_answer(&c, g);
    conn_expect(&c, .flags = T_ACK, .ack = c.seq, TEXT("early"));
    conn_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

static void guest_without_a_server_refuses_the_client(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    c.port = 80;
    c.dport = g->sport;
    conn_send(&c, .flags = T_RST, .seq = 0); /* without an ACK it says nothing */
    CHECK(conn_flow(&c));
    conn_send(&c, .flags = T_RST | T_ACK, .ack = g->seq + 1);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    tcp_end(&tw);
}

static void silent_guest_is_asked_for_two_minutes(void **state)
{
    unsigned n = 0;
    uint32_t isn;
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    isn = g->seq;
    CHECK(flow_of(g));
    for (unsigned i = 0; i < 250 && conn_flow(&c); i++) {
        world_advance(&tw.w, NS_PER_SEC);
        while ((g = far_next(&tw.g))) {
            CHECK(g->flags & T_RST || g->seq == isn);
            n += g->flags == T_SYN;
        }
    }
    CHECK_EQ(n, 9);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    tcp_end(&tw);
}

static void both_ends_may_open_at_once(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    c.port = 80;
    c.dport = g->sport;
    c.seq = 7000;
    c.ack = g->seq + 1;
    conn_send(&c, .flags = T_SYN, .mss = 1000); /* from the very port (RFC 9293, figure 7) */
    c.seq++;
    CHECK_EQ(conn_expect(&c, .flags = T_SYN | T_ACK, .ack = c.seq)->seq, c.ack - 1);
    conn_send(&c, .flags = T_SYN | T_ACK, .seq = c.seq - 1, .mss = 1000);
    conn_expect_ack(&c);
    host_text(&c, "both");
    conn_expect_text(&c, "both");
    conn_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

static void syn_that_was_never_sent_cannot_be_acknowledged(void **state)
{
    const struct got *g;
    uint32_t iss;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    c.port = 80;
    c.dport = g->sport;
    iss = g->seq;
    far_set_room(&tw.g, 0);
    conn_flow(&c)->nxt = iss; /* as if there had been no room for it either */
    conn_send(&c, .flags = T_SYN | T_ACK, .seq = 7000, .ack = iss);
    CHECK_EQ(conn_flow(&c)->state, FLOW_SYN_SENT);
    conn_send(&c, .flags = T_SYN, .seq = 7000);
    conn_send(&c, .flags = T_ACK, .seq = 7001, .ack = iss);
    CHECK_EQ(conn_flow(&c)->state, FLOW_SYN_RCVD);
    far_set_room(&tw.g, 100);
    far_drain(&tw.g);
    conn_send(&c, .flags = T_RST, .seq = 7001);
    CHECK(!conn_flow(&c));
    close(c.fd);
    tcp_end(&tw);
}

static void guest_that_remembers_an_older_connection_is_put_right(void **state)
{
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    c.port = 80;
    c.dport = g->sport;
    conn_send(&c, .flags = T_ACK, .seq = 111, .ack = 222); /* what its old connection says to a SYN */
    CHECK_EQ(conn_expect(&c, .flags = T_RST)->seq, 222);
    world_advance(&tw.w, 260 * MS);
    conn_answer(&c, far_expect(&tw.g, PKT(TCP, .flags = T_SYN, .dport = 80)));
    conn_expect(&c, .flags = T_ACK, .ack = c.seq);
    conn_close(&c);
    tcp_end(&tw);
}

static void client_that_leaves_early_is_told_to_the_guest(void **state)
{
    struct linger now = {.l_onoff = 1};
    const struct got *g;

    (void)state;
    tcp_begin(&tw, NULL);
    g = forwarded();
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c.fd);
    conn_answer(&c, g);
    conn_expect(&c, .flags = T_RST | T_ACK, .ack = c.seq);
    CHECK(!conn_flow(&c));
    tcp_end(&tw);
}

static void two_that_look_alike_get_ports_of_their_own(void **state)
{
    struct net_addr from, guest;
    uint16_t first;
    int a[2], b[2];

    (void)state;
    tcp_begin(&tw, NULL);
    net_addr_parse("10.0.2.2", &from);
    net_addr_parse("10.0.2.15", &guest);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, a) &&
          !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, b));
    nat_tcp_forwarded(tw.nat, nat_adopt(tw.nat, a[0]), &from, 5555, &guest, 22);
    nat_tcp_forwarded(tw.nat, nat_adopt(tw.nat, b[0]), &from, 5555, &guest, 22);
    first = far_expect(&tw.g, PKT(TCP, .flags = T_SYN, .dport = 22))->sport;
    CHECK_EQ(first, 5555);
    CHECK(far_expect(&tw.g, PKT(TCP, .flags = T_SYN, .dport = 22))->sport != first);
    CHECK_EQ(tcp_counts(&tw).tcp, 2);
    far_free(&tw.g);
    nat_free(tw.nat);
    world_free(&tw.w);
    close(a[1]);
    close(b[1]);
}

/* --- guestfwd ------------------------------------------------------------------------------------------------------------ */

static void guestfwd_is_a_unix_socket_at_an_address(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char target[128], dir[] = "/tmp/guise-test-XXXXXX";
    struct net_addr at;
    struct err e;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    (void)state;
    CHECK(mkdtemp(dir));
    snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
    snprintf(target, sizeof target, "unix:%s", un.sun_path);
    CHECK(!bind(listener, (struct sockaddr *)&un, sizeof un) && !listen(listener, 5));
    tcp_begin(&tw, NULL);
    net_addr_parse("10.0.2.100", &at);
    if (!nat_guestfwd_add(tw.nat, at, 7, target, &e))
        fail_msg("%s", e.msg);
    c = (struct conn){.tw = &tw, .dst = "10.0.2.100", .port = 40000, .dport = 7, .seq = 1};
    conn_send(&c, .flags = T_SYN, .mss = 1460, .sack_ok = true, WSCALE(7));
    c.seq++;
    c.ack = conn_expect(&c, .flags = T_SYN | T_ACK)->seq + 1;
    conn_ack(&c);
    c.fd = world_accept(&tw.w, listener);
    conn_text(&c, "to the socket");
    host_expect_text(&c, "to the socket");
    conn_expect_ack(&c);
    host_text(&c, "from the socket");
    conn_expect_text(&c, "from the socket");
    world_advance(&tw.w, 1100 * MS); /* lost: a unix socket keeps it for us too */
    c.ack -= 15;
    conn_expect_text(&c, "from the socket");
    conn_ack(&c);
    conn_close(&c);
    c.dport = 8; /* nobody there */
    conn_send(&c, .flags = T_SYN);
    conn_expect(&c, .flags = T_RST | T_ACK);
    tcp_end(&tw);
    close(listener);
    unlink(un.sun_path);
    rmdir(dir);
}

/* --- a guest that takes nothing for a while ------------------------------------------------------------------------------ */

static void what_finds_no_room_comes_later(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    far_set_room(&tw.g, 0);
    world_write(&tw.w, c.fd, data, 5000);
    conn_data(&c, data, 2920);
    world_advance(&tw.w, 10 * MS);
    CHECK_EQ(tw.g.queued, 0);
    CHECK(tw.t->blocked);
    far_set_room(&tw.g, 100);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 5000);
    conn_ack(&c);
    far_set_room(&tw.g, 0);
    shutdown(c.fd, SHUT_WR);
    world_run(&tw.w);
    CHECK_EQ(conn_flow(&c)->state, FLOW_ESTABLISHED);
    far_set_room(&tw.g, 100);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_send(&c, .flags = T_FIN | T_ACK);
    c.seq++;
    conn_expect_ack(&c);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    close(c.fd);
    tcp_end(&tw);
}

static void guest_that_takes_nothing_for_an_hour_is_not_given_up(void **state)
{
    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    host_text(&c, "patience");
    conn_expect_text(&c, "patience");
    far_set_room(&tw.g, 0);
    world_advance(&tw.w, 3600 * NS_PER_SEC);
    CHECK(conn_flow(&c)->retries <= 1);
    far_set_room(&tw.g, 100);
    c.ack -= 8;
    conn_expect_text(&c, "patience");
    conn_ack(&c);
    far_drain(&tw.g);
    conn_close(&c);
    tcp_end(&tw);
}

static void reset_that_finds_no_room_is_kept(void **state)
{
    struct linger now = {.l_onoff = 1};

    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    far_set_room(&tw.g, 0);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c.fd);
    world_run(&tw.w);
    CHECK_EQ(conn_flow(&c)->state, FLOW_RESET);
    CHECK_EQ(tcp_counts(&tw).sockets, 0);
    conn_text(&c, "more"); /* is of no use any more */
    far_set_room(&tw.g, 100);
    conn_expect(&c, .flags = T_RST | T_ACK);
    CHECK(!conn_flow(&c));
    tcp_end(&tw);
}

static void handshake_that_finds_no_room_goes_on(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    far_set_room(&tw.g, 0);
    conn_syn(&c, &tw, 40000, port);
    world_run(&tw.w);
    far_set_room(&tw.g, 100);
    c.ack = conn_expect(&c, .flags = T_SYN | T_ACK)->seq + 1;
    far_expect_none(&tw.g);
    conn_ack(&c);
    c.fd = world_accept(&tw.w, listener);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

static void flows_take_turns_when_room_is_scarce(void **state)
{
    struct conn many[4];
    unsigned seen[4] = {0};
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    for (unsigned i = 0; i < 4; i++)
        conn_open(&many[i], &tw, (uint16_t)(40000 + i), listener, port);
    far_set_room(&tw.g, 0);
    for (unsigned i = 0; i < 4; i++)
        world_write(&tw.w, many[i].fd, data, 200000);
    for (unsigned n = 0; n < 16; n++) {
        const struct got *g;

        far_set_room(&tw.g, 1);
        g = far_expect(&tw.g, PKT(TCP, .flags = T_ACK));
        for (unsigned i = 0; i < 4; i++)
            if (g->dport == many[i].port && g->len) {
                seen[i]++;
                many[i].ack = g->seq + (uint32_t)g->len;
                conn_ack(&many[i]);
            }
    }
    for (unsigned i = 0; i < 4; i++)
        CHECK(seen[i] >= 3);
    far_set_room(&tw.g, 1000);
    for (unsigned i = 0; i < 4; i++) {
        conn_send(&many[i], .flags = T_RST);
        close(many[i].fd);
    }
    close(listener);
    tcp_end(&tw);
}

/* --- answers that come while we send ---------------------------------------------------------------------------------- */

struct hasty { /* a guest that resets the connection while it is handed the first data */
    struct net_port port;
    uint8_t frame[128];
    size_t len;
    unsigned frames;
};

static bool hasty_receive(struct net_port *p, const struct net_frame *f)
{
    struct hasty *h = p->arg;
    struct iovec iov = {h->frame, h->len};

    if (f->len > 100 && !h->frames++)
        net_port_send(p, &(struct net_frame){.iov = &iov, .iovcnt = 1, .len = h->len});
    return true;
}

static void reset_while_data_are_handed_over(void **state)
{
    static const struct net_port_ops ops = {"hasty", hasty_receive, NULL, NULL};
    static uint8_t buf[NET_FRAME_MAX];
    struct hasty h = {.port = {.ops = &ops, .arg = &h, .name = "hasty", .can = NET_CAN_ALL, .mtu = 1500}};
    struct net_cable *cable;
    struct err e;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    h.len = far_build(&tw.g, PKT(TCP, .dst = "10.0.2.2", .sport = c.port, .dport = c.dport, .flags = T_RST, .seq = c.seq), buf);
    memcpy(h.frame, buf, h.len);
    far_unplug(&tw.g);
    cable = net_cable_new(&tw.w.env, "hasty", &h.port, nat_port(tw.nat), &e);
    CHECK(cable);
    world_write(&tw.w, c.fd, data, 500000);
    world_run(&tw.w);
    CHECK_EQ(h.frames, 1);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    net_cable_free(cable);
    far_plug(&tw.g, nat_port(tw.nat));
    tcp_end(&tw);
}

/* --- the table ------------------------------------------------------------------------------------------------------------- */

static void full_table_loses_the_idlest(void **state)
{
    struct nat_config config = {.flows_max = 4};
    struct conn many[5];
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, &config);
    for (unsigned i = 0; i < 4; i++) {
        conn_open(&many[i], &tw, (uint16_t)(40000 + i), listener, port);
        world_advance(&tw.w, MS);
    }
    conn_ack(&many[0]); /* not the idlest any more */
    conn_syn(&many[4], &tw, 40004, port);
    conn_expect(&many[1], .flags = T_RST | T_ACK);
    conn_expect(&many[4], .flags = T_SYN | T_ACK);
    host_expect_error(&many[1], ECONNRESET);
    CHECK(!conn_flow(&many[1]) && conn_flow(&many[0]) && conn_flow(&many[4]));
    CHECK_EQ(tcp_counts(&tw).tcp, 4);
    for (unsigned i = 0; i < 5; i++) {
        conn_send(&many[i], .flags = T_RST);
        close(many[i].fd);
    }
    close(listener);
    far_drain(&tw.g);
    tcp_end(&tw);
}

static void flows_that_wait_for_their_end_go_first(void **state)
{
    struct nat_config config = {.flows_max = 3};
    struct conn many[4];
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, &config);
    for (unsigned i = 0; i < 3; i++)
        conn_open(&many[i], &tw, (uint16_t)(40000 + i), listener, port);
    close(many[2].fd); /* the most recent one */
    conn_expect(&many[2], .flags = T_FIN | T_ACK);
    conn_send(&many[2], .flags = T_FIN | T_ACK);
    many[2].seq++;
    conn_expect_ack(&many[2]);
    conn_open(&many[3], &tw, 40003, listener, port);
    CHECK(conn_flow(&many[0]) && conn_flow(&many[1]) && !conn_flow(&many[2]));
    for (unsigned i = 0; i < 4; i++) {
        conn_send(&many[i], .flags = T_RST);
        if (i != 2)
            close(many[i].fd);
    }
    close(listener);
    tcp_end(&tw);
}

static void guest_with_many_flows_does_not_push_out_another(void **state)
{
    struct nat_config config = {.flows_max = 16};
    struct conn modest, greedy;
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, &config);
    conn_open(&modest, &tw, 1000, listener, port);
    for (unsigned i = 0; i < 64; i++) { /* as from another guest behind a switch */
        greedy = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = (uint16_t)(2000 + i), .dport = port, .seq = 1};
        conn_send(&greedy, .flags = T_SYN, .src = "10.0.2.16", .eth_src = "52:54:00:12:34:57");
    }
    CHECK_EQ(tcp_counts(&tw).tcp, 16);
    CHECK(conn_flow(&modest));
    far_drain(&tw.g);
    conn_text(&modest, "still there");
    host_expect_text(&modest, "still there");
    far_free(&tw.g);
    nat_free(tw.nat);
    world_free(&tw.w);
    close(modest.fd);
    close(listener);
}

static void without_descriptors_the_idlest_makes_room(void **state)
{
    struct conn many[3];
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    (void)state;
    tcp_begin(&tw, NULL);
    conn_open(&many[0], &tw, 40000, listener, port);
    conn_open(&many[1], &tw, 40001, listener, port);
    tw.nat->fd_limit = dup(0);
    close(tw.nat->fd_limit); /* no number from here on */
    conn_syn(&many[2], &tw, 40002, port);
    conn_expect(&many[0], .flags = T_RST | T_ACK);
    conn_expect(&many[2], .flags = T_SYN | T_ACK);
    CHECK_EQ(tcp_counts(&tw).sockets, 2);
    for (unsigned i = 1; i < 3; i++)
        conn_send(&many[i], .flags = T_RST);
    close(many[0].fd);
    close(many[1].fd);
    close(listener);
    tcp_end(&tw);
}

static void ten_thousand_flows_leave_nothing(void **state)
{
    enum { FLOWS = 10000, LISTENERS = 4 };
    static uint32_t isn[FLOWS];
    int listener[LISTENERS];
    uint16_t port[LISTENERS] = {0};
    struct rlimit r;
    unsigned resets = 0;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < FLOWS + 500)
        skip(); /* this host gives a process fewer descriptors */
    tcp_begin(&tw, NULL);
    for (unsigned i = 0; i < LISTENERS; i++) {
        listener[i] = host_listen(AF_INET, &port[i]);
        listen(listener[i], 4096); /* nobody accepts: the kernel's queues hold them */
    }
    for (unsigned i = 0; i < FLOWS; i++) {
        c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = (uint16_t)(10000 + i), .dport = port[i % LISTENERS], .seq = 1};
        conn_send(&c, .flags = T_SYN);
        isn[i] = conn_expect(&c, .flags = T_SYN | T_ACK)->seq;
        conn_send(&c, .flags = T_ACK, .seq = 2, .ack = isn[i] + 1);
    }
    CHECK_EQ(tcp_counts(&tw).tcp, FLOWS);
    CHECK_EQ(tcp_counts(&tw).sockets, FLOWS);
    CHECK(tcp_counts(&tw).memory <= FLOWS * 512);
    for (unsigned i = 0; i < FLOWS / 2; i++) { /* half of them are closed by the guest, one way */
        c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = (uint16_t)(10000 + i), .dport = port[i % LISTENERS]};
        conn_send(&c, .flags = T_FIN | T_ACK, .seq = 2, .ack = isn[i] + 1);
        conn_expect(&c, .flags = T_ACK, .ack = 3);
    }
    for (unsigned i = 0; i < LISTENERS; i++)
        close(listener[i]); /* and all of them reset by the host */
    while (tcp_counts(&tw).tcp) {
        const struct got *g = far_expect(&tw.g, PKT(TCP, .flags = T_RST | T_ACK));

        CHECK_EQ(g->seq, isn[g->dport - 10000] + 1);
        resets++;
    }
    while (far_next(&tw.g))
        resets++;
    CHECK_EQ(resets, FLOWS);
    CHECK_EQ(tcp_counts(&tw).sockets, 0);
    CHECK_EQ(tw.t->guests, NULL);
    tcp_end(&tw);
}

static void people_can_see_the_flows(void **state)
{
    char *text = NULL, line[128];
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
    conn_text(&c, "hello");
    host_text(&c, "hi");
    nat_info(tw.nat, true, f);
    fclose(f);
    snprintf(line, sizeof line, "TCP[ESTABLISHED]  %3d       10.0.2.15 40000        10.0.2.2 %5u     2", conn_flow(&c)->fd,
             c.dport);
    CHECK(strstr(text, line));
    CHECK(strstr(text, "sent 5 got 0"));
    CHECK(strstr(text, "1 of 10240 flows"));
    free(text);
    conn_send(&c, .flags = T_RST);
    close(c.fd);
    tcp_end(&tw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwarded_connection_reaches_the_guest),
        cmocka_unit_test(what_the_client_said_before_goes_with_the_handshake),
        cmocka_unit_test(guest_without_a_server_refuses_the_client),
        cmocka_unit_test(silent_guest_is_asked_for_two_minutes),
        cmocka_unit_test(both_ends_may_open_at_once),
        cmocka_unit_test(syn_that_was_never_sent_cannot_be_acknowledged),
        cmocka_unit_test(guest_that_remembers_an_older_connection_is_put_right),
        cmocka_unit_test(client_that_leaves_early_is_told_to_the_guest),
        cmocka_unit_test(two_that_look_alike_get_ports_of_their_own),
        cmocka_unit_test(guestfwd_is_a_unix_socket_at_an_address),
        cmocka_unit_test(what_finds_no_room_comes_later),
        cmocka_unit_test(guest_that_takes_nothing_for_an_hour_is_not_given_up),
        cmocka_unit_test(reset_that_finds_no_room_is_kept),
        cmocka_unit_test(handshake_that_finds_no_room_goes_on),
        cmocka_unit_test(flows_take_turns_when_room_is_scarce),
        cmocka_unit_test(reset_while_data_are_handed_over),
        cmocka_unit_test(full_table_loses_the_idlest),
        cmocka_unit_test(flows_that_wait_for_their_end_go_first),
        cmocka_unit_test(guest_with_many_flows_does_not_push_out_another),
        cmocka_unit_test(without_descriptors_the_idlest_makes_room),
        cmocka_unit_test(ten_thousand_flows_leave_nothing),
        cmocka_unit_test(people_can_see_the_flows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
