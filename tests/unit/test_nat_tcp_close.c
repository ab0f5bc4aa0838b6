/* TCP through the NAT: how connections end, in order, at once, half, and by force. */
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;

static void begin(void)
{
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
}

static void end(void)
{
    close(c.fd);
    tcp_end(&tw);
}

static unsigned state_of(void)
{
    struct tcp_flow *f = conn_flow(&c);

    return f ? f->state : FLOW_DEAD;
}

static void send_fin(void)
{
    conn_send(&c, .flags = T_FIN | T_ACK);
    c.seq++;
}

/* --- in order ---------------------------------------------------------------------------------------------------------- */

static void host_closes_first_and_the_guest_may_go_on(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    CHECK_EQ(state_of(), FLOW_FIN_WAIT_1);
    conn_ack(&c);
    CHECK_EQ(state_of(), FLOW_FIN_WAIT_2);
    conn_text(&c, "the guest has more to say");
    host_expect_text(&c, "the guest has more to say");
    conn_expect_ack(&c);
    send_fin();
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_TIME_WAIT);
    host_expect_end(&c);
    CHECK_EQ(tcp_counts(&tw).sockets, 0);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    CHECK_EQ(state_of(), FLOW_DEAD);
    end();
}

static void guest_closes_first_and_the_host_may_go_on(void **state)
{
    (void)state;
    begin();
    send_fin();
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_CLOSE_WAIT);
    host_expect_end(&c);
    host_text(&c, "the host has more to say");
    conn_expect_text(&c, "the host has more to say");
    conn_ack(&c);
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    CHECK_EQ(state_of(), FLOW_LAST_ACK);
    conn_ack(&c);
    CHECK_EQ(state_of(), FLOW_DEAD);
    end();
}

static void both_close_at_once(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_send(&c, .flags = T_FIN | T_ACK, .ack = c.ack - 1); /* sent before ours arrived */
    c.seq++;
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_CLOSING);
    host_expect_end(&c);
    conn_ack(&c);
    CHECK_EQ(state_of(), FLOW_TIME_WAIT);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    end();
}

static void fin_that_acknowledges_ours_ends_it_at_once(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    send_fin();
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_TIME_WAIT);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    end();
}

static void last_words_come_with_the_fin(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_FIN | T_ACK | T_PSH, TEXT("last words"));
    c.seq += 11;
    conn_expect_ack(&c);
    host_expect_text(&c, "last words");
    host_expect_end(&c);
    world_write(&tw.w, c.fd, "farewell", 8);
    CHECK_EQ(conn_expect(&c, .seq = c.ack, .flags = T_ACK)->len, 8);
    conn_ack(&c);
    close(c.fd);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    tcp_end(&tw);
}

static void data_and_end_of_the_host_go_in_one_segment(void **state)
{
    (void)state;
    begin();
    CHECK_EQ(send(c.fd, "bye", 3, 0), 3); /* both before the loop turns */
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK, TEXT("bye"));
    send_fin();
    conn_expect_ack(&c);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    end();
}

/* --- losses ------------------------------------------------------------------------------------------------------------ */

static void fin_of_the_guest_is_acknowledged_again(void **state)
{
    (void)state;
    begin();
    send_fin();
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_FIN | T_ACK, .seq = c.seq - 1);
    conn_expect_ack(&c);
    close(c.fd);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_send(&c, .flags = T_FIN | T_ACK, .seq = c.seq - 1, .ack = c.ack - 1);
    conn_expect_ack(&c);
    conn_ack(&c);
    tcp_end(&tw);
}

static void fin_in_time_wait_is_acknowledged_again(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    send_fin();
    conn_expect_ack(&c);
    for (unsigned i = 0; i < 3; i++) {
        world_advance(&tw.w, 3 * NS_PER_SEC); /* and the time begins anew */
        conn_send(&c, .flags = T_FIN | T_ACK, .seq = c.seq - 1);
        conn_expect_ack(&c);
    }
    world_advance(&tw.w, 5 * NS_PER_SEC);
    CHECK_EQ(state_of(), FLOW_DEAD);
    end();
}

static void our_fin_is_sent_again(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    world_advance(&tw.w, 1100 * MS); /* no round trip was measured */
    conn_expect(&c, .seq = c.ack - 1, .flags = T_FIN | T_ACK);
    world_advance(&tw.w, 2100 * MS);
    conn_expect(&c, .seq = c.ack - 1, .flags = T_FIN | T_ACK);
    send_fin();
    conn_expect_ack(&c);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    end();
}

static void data_and_fin_lost_are_sent_again_together(void **state)
{
    (void)state;
    begin();
    host_text(&c, "the end");
    conn_expect_text(&c, "the end");
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    world_advance(&tw.w, 1100 * MS);
    conn_expect(&c, .seq = c.ack - 8, .flags = T_FIN | T_ACK, TEXT("the end"));
    send_fin();
    conn_expect_ack(&c);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    end();
}

static void fin_ahead_of_lost_data_waits_for_them(void **state)
{
    (void)state;
    begin();
    c.seq += 5;
    send_fin();
    c.seq -= 6;
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
    CHECK_EQ(state_of(), FLOW_ESTABLISHED);
    conn_text(&c, "first");
    c.seq++;
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_CLOSE_WAIT);
    host_expect_text(&c, "first");
    host_expect_end(&c);
    close(c.fd);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    tcp_end(&tw);
}

static void data_behind_the_guests_end_are_not_passed_on(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_FIN | T_ACK, TEXT("one"));
    c.seq += 4;
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_ACK, TEXT("two"));
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
    conn_send(&c, .flags = T_FIN | T_ACK, .seq = c.seq - 4, TEXT("onetwo")); /* an end that moves */
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
    host_expect_text(&c, "one");
    host_expect_end(&c);
    close(c.fd);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    tcp_end(&tw);
}

/* --- resets ------------------------------------------------------------------------------------------------------------ */

static void reset_by_the_guest_resets_the_host(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_RST);
    CHECK_EQ(state_of(), FLOW_DEAD);
    host_expect_error(&c, ECONNRESET);
    far_expect_none(&tw.g);
    end();
}

static void reset_by_the_host_resets_the_guest(void **state)
{
    struct linger now = {.l_onoff = 1};

    (void)state;
    begin();
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c.fd);
    conn_expect(&c, .seq = c.ack, .flags = T_RST | T_ACK, .ack = c.seq);
    CHECK_EQ(state_of(), FLOW_DEAD);
    tcp_end(&tw);
}

static void reset_by_the_host_with_data_on_their_way(void **state)
{
    struct linger now = {.l_onoff = 1};

    (void)state;
    begin();
    host_text(&c, "unread");
    conn_expect_text(&c, "unread");
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c.fd);
    conn_expect(&c, .seq = c.ack, .flags = T_RST | T_ACK);
    CHECK_EQ(state_of(), FLOW_DEAD);
    tcp_end(&tw);
}

static void data_for_a_host_that_has_gone_are_answered_by_a_reset(void **state)
{
    (void)state;
    begin();
    close(c.fd); /* both ways, but only the end of its stream shows */
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    conn_text(&c, "anybody there?"); /* the host's kernel answers with an RST */
    conn_expect(&c, .flags = T_RST | T_ACK);
    CHECK_EQ(state_of(), FLOW_DEAD);
    tcp_end(&tw);
}

static void resets_that_are_not_exact_are_challenged(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_RST, .seq = c.seq + 100); /* in the window: RFC 5961, 3.2 */
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_RST, .seq = c.seq - 1);
    conn_send(&c, .flags = T_RST, .seq = c.seq + (64 << 20));
    far_expect_none(&tw.g);
    CHECK_EQ(state_of(), FLOW_ESTABLISHED);
    conn_close(&c);
    tcp_end(&tw);
}

static void guest_that_was_reset_finds_its_way_to_a_new_connection(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    uint32_t challenge;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_open(&c, &tw, 40000, listener, port);
    conn_send(&c, .flags = T_SYN, .mss = 1460, .seq = 123); /* the same ports after a boot */
    challenge = conn_expect(&c, .flags = T_ACK)->ack;
    CHECK_EQ(challenge, c.seq);
    conn_send(&c, .flags = T_RST, .seq = challenge); /* what SYN-SENT answers */
    CHECK_EQ(state_of(), FLOW_DEAD);
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    conn_open(&c, &tw, 40000, listener, port);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

static void syn_inside_the_window_is_challenged_too(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_SYN);
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_SYN | T_ACK, .seq = c.seq + 10);
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_ESTABLISHED);
    conn_close(&c);
    tcp_end(&tw);
}

static void acknowledgement_of_what_was_not_sent_is_challenged(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_ACK, .ack = c.ack + 1, TEXT("forged"));
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_ACK, .ack = c.ack - (8u << 20), TEXT("forged"));
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_PSH, TEXT("no acknowledgement"));
    far_expect_none(&tw.g);
    conn_text(&c, "genuine");
    host_expect_text(&c, "genuine");
    conn_expect_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

static void challenges_are_limited(void **state)
{
    unsigned n = 0;

    (void)state;
    begin();
    for (unsigned i = 0; i < 1100; i++) {
        conn_send(&c, .flags = T_SYN);
        n += far_next(&tw.g) != NULL;
    }
    CHECK_EQ(n, 1000);
    world_advance(&tw.w, NS_PER_SEC);
    conn_send(&c, .flags = T_SYN);
    conn_expect_ack(&c);
    conn_close(&c);
    tcp_end(&tw);
}

/* --- TIME_WAIT ----------------------------------------------------------------------------------------------------------- */

static void time_wait_gives_way_to_a_new_connection(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    uint32_t seq;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_open(&c, &tw, 40000, listener, port);
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    send_fin();
    conn_expect_ack(&c);
    close(c.fd);
    seq = c.seq;
    conn_send(&c, .flags = T_SYN, .seq = seq - 5); /* old */
    conn_expect_ack(&c);
    CHECK_EQ(state_of(), FLOW_TIME_WAIT);
    conn_open_as(&c, &tw, PKT(TCP, .sport = 40000, .dport = port, .seq = seq + 5, .mss = 1460), listener);
    conn_text(&c, "again");
    host_expect_text(&c, "again");
    conn_expect_ack(&c);
    conn_close(&c);
    close(listener);
    tcp_end(&tw);
}

static void reset_ends_time_wait(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    send_fin();
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_RST);
    CHECK_EQ(state_of(), FLOW_DEAD);
    end();
}

/* --- the end of it all ----------------------------------------------------------------------------------------------------- */

static void end_of_the_nat_resets_the_peers_of_guests_that_had_not_closed(void **state)
{
    struct conn other;
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    char b;

    (void)state;
    tcp_begin(&tw, NULL);
    conn_open(&c, &tw, 40000, listener, port);
    conn_open(&other, &tw, 40001, listener, port);
    conn_send(&other, .flags = T_FIN | T_ACK, TEXT("all"));
    world_run(&tw.w);
    far_free(&tw.g);
    nat_free(tw.nat);
    host_expect_error(&c, ECONNRESET);
    CHECK_EQ(recv(other.fd, &b, 1, 0), 1);
    CHECK_EQ(recv(other.fd, &b, 1, 0), 1);
    CHECK_EQ(recv(other.fd, &b, 1, 0), 1);
    CHECK_EQ(recv(other.fd, &b, 1, 0), 0);
    world_free(&tw.w);
    close(c.fd);
    close(other.fd);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_closes_first_and_the_guest_may_go_on),
        cmocka_unit_test(guest_closes_first_and_the_host_may_go_on),
        cmocka_unit_test(both_close_at_once),
        cmocka_unit_test(fin_that_acknowledges_ours_ends_it_at_once),
        cmocka_unit_test(last_words_come_with_the_fin),
        cmocka_unit_test(data_and_end_of_the_host_go_in_one_segment),
        cmocka_unit_test(fin_of_the_guest_is_acknowledged_again),
        cmocka_unit_test(fin_in_time_wait_is_acknowledged_again),
        cmocka_unit_test(our_fin_is_sent_again),
        cmocka_unit_test(data_and_fin_lost_are_sent_again_together),
        cmocka_unit_test(fin_ahead_of_lost_data_waits_for_them),
        cmocka_unit_test(data_behind_the_guests_end_are_not_passed_on),
        cmocka_unit_test(reset_by_the_guest_resets_the_host),
        cmocka_unit_test(reset_by_the_host_resets_the_guest),
        cmocka_unit_test(reset_by_the_host_with_data_on_their_way),
        cmocka_unit_test(data_for_a_host_that_has_gone_are_answered_by_a_reset),
        cmocka_unit_test(resets_that_are_not_exact_are_challenged),
        cmocka_unit_test(guest_that_was_reset_finds_its_way_to_a_new_connection),
        cmocka_unit_test(syn_inside_the_window_is_challenged_too),
        cmocka_unit_test(acknowledgement_of_what_was_not_sent_is_challenged),
        cmocka_unit_test(challenges_are_limited),
        cmocka_unit_test(time_wait_gives_way_to_a_new_connection),
        cmocka_unit_test(reset_ends_time_wait),
        cmocka_unit_test(end_of_the_nat_resets_the_peers_of_guests_that_had_not_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
