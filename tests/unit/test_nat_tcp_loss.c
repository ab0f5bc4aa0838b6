/* TCP through the NAT: what is lost on the way to the guest, and guests and far ends that fall silent. */
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;
static uint8_t data[1 << 20];

static void fill(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

static void begin(void)
{
    fill();
    tcp_begin(&tw, NULL);
    conn_any(&c, &tw);
}

/* A guest without SACK. */
static void begin_plain(void)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);

    fill();
    tcp_begin(&tw, NULL);
    conn_open_as(&c, &tw, PKT(TCP, .sport = 40000, .dport = port, .seq = 9, .mss = 1460), listener);
    close(listener);
}

static void end(void)
{
    conn_close(&c);
    tcp_end(&tw);
}

/* The next segment has the bytes [off, off + n) of data, which begin at number base. */
static void expect_part(uint32_t base, size_t off, size_t n)
{
    const struct got *g = conn_expect(&c, .flags = T_ACK);

    CHECK_EQ(g->seq, base + off);
    CHECK_EQ(g->len, n);
    CHECK(!memcmp(g->data, data + off, n));
}

static void ack_to(uint32_t n) { conn_send(&c, .flags = T_ACK, .ack = n); }

static void sack(uint32_t ack, uint32_t from, uint32_t to)
{
    conn_send(&c, .flags = T_ACK, .ack = ack, .sacks = 1, .sack = {{from, to}});
}

/* n bytes of data from the host, one segment each; as many segments come. */
static uint32_t segments(unsigned n)
{
    uint32_t base = c.ack;

    for (unsigned i = 0; i < n; i++) {
        world_write(&tw.w, c.fd, data + 1000 * i, 1000);
        expect_part(base, 1000 * i, 1000);
    }
    return base;
}

/* --- time-outs ----------------------------------------------------------------------------------------------------------- */

static void lost_data_come_again_ever_later(void **state)
{
    uint32_t base;
    uint64_t wait = NS_PER_SEC;

    (void)state;
    begin();
    base = segments(1);
    for (unsigned i = 0; i < 6; i++, wait *= 2) {
        world_advance(&tw.w, wait - 20 * MS);
        far_expect_none(&tw.g);
        world_advance(&tw.w, 22 * MS);
        expect_part(base, 0, 1000);
    }
    ack_to(base + 1000);
    world_advance(&tw.w, 100 * NS_PER_SEC);
    far_expect_none(&tw.g);
    end();
}

static void time_out_follows_the_round_trip(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    for (unsigned i = 0; i < 20; i++) { /* round trips of 2 ms: the least time-out holds */
        base = segments(1);
        world_advance(&tw.w, 2 * MS);
        ack_to(base + 1000);
    }
    base = segments(1);
    world_advance(&tw.w, 190 * MS);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 20 * MS);
    expect_part(base, 0, 1000);
    ack_to(base + 1000);
    for (unsigned i = 0; i < 60; i++) { /* of 150 ms, with little between them */
        base = segments(1);
        world_advance(&tw.w, 150 * MS);
        ack_to(base + 1000);
    }
    base = segments(1);
    world_advance(&tw.w, 149 * MS);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 100 * MS);
    expect_part(base, 0, 1000);
    ack_to(base + 1000);
    end();
}

static void silent_guest_is_given_up_after_minutes(void **state)
{
    unsigned tries = 0;

    (void)state;
    begin();
    segments(1);
    for (unsigned i = 0; i < 700 && conn_flow(&c); i++) {
        const struct got *g;

        world_advance(&tw.w, NS_PER_SEC);
        while ((g = far_next(&tw.g)))
            tries += !(g->flags & T_RST);
        CHECK(i > 100 || conn_flow(&c)); /* RFC 9293, 3.8.3: at least 100 s */
    }
    CHECK_EQ(tries, 13);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    tcp_end(&tw);
}

static void everything_on_its_way_is_lost_after_a_time_out(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(6);
    world_advance(&tw.w, 1100 * MS);
    expect_part(base, 0, 1460); /* one segment, as RFC 5681 says, and as full as may be */
    far_expect_none(&tw.g);
    ack_to(base + 1460);
    expect_part(base, 1460, 2920); /* then twice as much */
    ack_to(base + 4380);
    expect_part(base, 4380, 1620);
    ack_to(base + 6000);
    world_advance(&tw.w, 10 * NS_PER_SEC);
    far_expect_none(&tw.g);
    end();
}

static void time_out_that_was_none_sends_no_more_than_that(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(6);
    world_advance(&tw.w, 1100 * MS);
    expect_part(base, 0, 1460);
    ack_to(base + 6000); /* it had all arrived; the guest was slow */
    world_advance(&tw.w, 10 * NS_PER_SEC);
    far_expect_none(&tw.g);
    base = segments(2);
    ack_to(base + 2000);
    end();
}

/* --- recovery ------------------------------------------------------------------------------------------------------------ */

static void three_duplicate_acknowledgements_bring_the_lost_segment(void **state)
{
    uint32_t base;

    (void)state;
    begin_plain();
    base = segments(5);
    ack_to(base);
    ack_to(base);
    far_expect_none(&tw.g);
    ack_to(base);
    expect_part(base, 0, 5000); /* the guest does not say what it has */
    ack_to(base + 5000);
    world_advance(&tw.w, 10 * NS_PER_SEC);
    far_expect_none(&tw.g);
    end();
}

static void window_updates_and_data_are_not_duplicates(void **state)
{
    uint32_t base;

    (void)state;
    begin_plain();
    base = segments(5);
    for (unsigned i = 0; i < 5; i++)
        conn_send(&c, .flags = T_ACK, .ack = base, .window = (uint16_t)(60000 - i));
    for (unsigned i = 0; i < 5; i++) {
        conn_send(&c, .flags = T_ACK, .ack = base, .window = 50000, TEXT("x"));
        c.seq++;
    }
    world_advance(&tw.w, 5 * MS);
    while (far_next(&tw.g))
        ;
    CHECK_EQ(tw.t->c.retransmits, 0);
    ack_to(base + 5000);
    host_expect_text(&c, "xxxxx");
    end();
}

static void sacks_bring_what_is_missing_and_nothing_else(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(8);
    sack(base + 1000, base + 2000, base + 3000);
    far_expect_none(&tw.g); /* it may have been overtaken */
    sack(base + 1000, base + 2000, base + 5000);
    expect_part(base, 1000, 1000);
    far_expect_none(&tw.g);
    conn_send(&c, .flags = T_ACK, .ack = base + 1000, .sacks = 2,
              .sack = {{base + 7000, base + 8000}, {base + 2000, base + 5000}});
    expect_part(base, 5000, 2000);
    far_expect_none(&tw.g);
    ack_to(base + 8000);
    CHECK_EQ(tw.t->c.retransmits, 2);
    world_advance(&tw.w, 10 * NS_PER_SEC);
    far_expect_none(&tw.g);
    end();
}

static void time_out_leaves_out_what_was_sacked_but_not_for_ever(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(4);
    sack(base, base + 1000, base + 2000);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 1100 * MS);
    expect_part(base, 0, 1000);
    world_advance(&tw.w, 2100 * MS); /* it may have thrown it away: RFC 2018, 8 */
    expect_part(base, 0, 1460);
    ack_to(base + 4000);
    end();
}

static void lost_in_a_short_answer_does_not_wait_for_the_timer(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(2);
    sack(base, base + 1000, base + 2000); /* nothing follows that could be acknowledged three times */
    expect_part(base, 0, 1000);
    ack_to(base + 2000);
    end();
}

static void what_is_lost_twice_is_seen_by_what_came_later(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(10);
    sack(base, base + 1000, base + 10000);
    expect_part(base, 0, 1000); /* lost again */
    for (unsigned i = 10; i < 13; i++) {
        world_write(&tw.w, c.fd, data + 1000 * i, 1000);
        expect_part(base, 1000 * i, 1000);
    }
    sack(base, base + 1000, base + 12000);
    far_expect_none(&tw.g);
    sack(base, base + 1000, base + 13000);
    expect_part(base, 0, 1000);
    ack_to(base + 13000);
    CHECK_EQ(tw.t->c.timeouts, 0);
    end();
}

/* A round trip of 2 ms has been measured. */
static uint32_t measured(unsigned n)
{
    uint32_t base = segments(1);

    world_advance(&tw.w, 2 * MS);
    ack_to(base + 1000);
    return segments(n);
}

static void lost_acknowledgement_of_all_is_asked_for(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = measured(4);
    world_advance(&tw.w, 12 * MS);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 4 * MS); /* two round trips and ten milliseconds */
    expect_part(base, 2540, 1460);
    far_expect_none(&tw.g);
    ack_to(base + 4000); /* they had arrived */
    CHECK_EQ(conn_flow(&c)->loss, LOSS_NONE);
    CHECK_EQ(tw.t->c.timeouts, 0);
    end();
}

static void lost_end_of_a_burst_is_found_by_asking(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = measured(4);
    world_advance(&tw.w, 16 * MS);
    expect_part(base, 2540, 1460);
    sack(base + 1000, base + 2540, base + 4000); /* the rest had not */
    expect_part(base, 1000, 1540);
    ack_to(base + 4000);
    CHECK_EQ(tw.t->c.timeouts, 0);
    end();
}

static void after_asking_in_vain_the_time_out_comes(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = measured(4);
    world_advance(&tw.w, 16 * MS);
    expect_part(base, 2540, 1460);
    world_advance(&tw.w, 190 * MS); /* asked once; then it is a time-out */
    far_expect_none(&tw.g);
    world_advance(&tw.w, 20 * MS);
    expect_part(base, 0, 1460);
    ack_to(base + 4000);
    CHECK_EQ(tw.t->c.timeouts, 1);
    end();
}

static void sacks_that_make_no_sense_do_nothing(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(3);
    sack(base, base + 2000, base + 1000);
    sack(base, base + 1000, base + 999000);
    sack(base, base - 5000, base - 1000);
    sack(base, base - 5000, base + 3000);
    sack(base, base + 1000, base + 1000);
    CHECK_EQ(conn_flow(&c)->sacks, 0);
    sack(base + 2000, base, base + 1000); /* what it got twice (RFC 2883) */
    CHECK_EQ(conn_flow(&c)->sacks, 0);
    ack_to(base + 3000);
    far_drain(&tw.g); /* what so many duplicates had us send */
    end();
}

static void more_sacks_than_are_remembered(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(14); /* as many as the first window of the path holds */
    for (unsigned i = 0; i < 7; i++)
        sack(base, base + 2000 * i + 1000, base + 2000 * i + 2000);
    CHECK_EQ(conn_flow(&c)->sacks, TCP_SACKS);
    for (unsigned i = 0; i < 6; i++)
        expect_part(base, 2000 * i, 1000);
    ack_to(base + 14000);
    end();
}

static void lost_recovery_is_recovered_by_time(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = segments(6);
    sack(base, base + 1000, base + 6000);
    expect_part(base, 0, 1000);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 1100 * MS);
    expect_part(base, 0, 1000);
    far_expect_none(&tw.g);
    ack_to(base + 6000);
    end();
}

/* --- kernels without peek offsets ------------------------------------------------------------------------------------------ */

static void kernel_without_peek_offsets_sends_the_same(void **state)
{
    uint32_t base;

    (void)state;
    fill();
    tcp_begin(&tw, NULL);
    tw.t->no_peek_off = true;
    conn_any(&c, &tw);
    CHECK(!conn_flow(&c)->peek_off);
    base = segments(6);
    sack(base, base + 1000, base + 5000);
    expect_part(base, 0, 1000);
    ack_to(base + 5000);
    ack_to(base + 6000);
    world_write(&tw.w, c.fd, data, 200000);
    for (uint32_t got = 0; got < 200000;) {
        const struct got *g = conn_expect(&c, .flags = T_ACK);

        CHECK_EQ(g->seq, base + 6000 + got);
        CHECK(!memcmp(g->data, data + got, g->len));
        got += (uint32_t)g->len;
        conn_ack(&c);
    }
    host_text(&c, "the end");
    conn_expect_text(&c, "the end");
    shutdown(c.fd, SHUT_WR); /* shows when what is before it is acknowledged */
    conn_ack(&c);
    conn_expect(&c, .seq = c.ack, .flags = T_FIN | T_ACK);
    conn_send(&c, .flags = T_FIN | T_ACK);
    c.seq++;
    conn_expect_ack(&c);
    close(c.fd);
    world_advance(&tw.w, 5 * NS_PER_SEC);
    tcp_end(&tw);
}

/* --- keepalive -------------------------------------------------------------------------------------------------------------- */

static void idle_guest_is_asked_and_lives(void **state)
{
    (void)state;
    begin();
    world_advance(&tw.w, 7190 * NS_PER_SEC);
    far_expect_none(&tw.g);
    world_advance(&tw.w, 20 * NS_PER_SEC);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK)->seq, c.ack - 1);
    conn_ack(&c);
    world_advance(&tw.w, 7000 * NS_PER_SEC);
    far_expect_none(&tw.g);
    CHECK(conn_flow(&c));
    end();
}

static void idle_guest_that_is_gone_is_given_up(void **state)
{
    unsigned asked = 0;
    const struct got *g;

    (void)state;
    begin();
    world_advance(&tw.w, 7190 * NS_PER_SEC);
    for (unsigned i = 0; i < 800 && conn_flow(&c); i++) {
        world_advance(&tw.w, NS_PER_SEC);
        while ((g = far_next(&tw.g)))
            asked += !(g->flags & T_RST);
    }
    CHECK_EQ(asked, 9);
    CHECK(!conn_flow(&c));
    host_expect_error(&c, ECONNRESET);
    close(c.fd);
    tcp_end(&tw);
}

static void half_closed_connection_is_asked_about_too(void **state)
{
    (void)state;
    begin();
    shutdown(c.fd, SHUT_WR);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    world_advance(&tw.w, 7210 * NS_PER_SEC);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK)->seq, c.ack - 1);
    conn_send(&c, .flags = T_RST); /* the guest knows nothing of it any more */
    CHECK(!conn_flow(&c));
    close(c.fd);
    tcp_end(&tw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_data_come_again_ever_later),
        cmocka_unit_test(time_out_follows_the_round_trip),
        cmocka_unit_test(silent_guest_is_given_up_after_minutes),
        cmocka_unit_test(everything_on_its_way_is_lost_after_a_time_out),
        cmocka_unit_test(time_out_that_was_none_sends_no_more_than_that),
        cmocka_unit_test(three_duplicate_acknowledgements_bring_the_lost_segment),
        cmocka_unit_test(window_updates_and_data_are_not_duplicates),
        cmocka_unit_test(sacks_bring_what_is_missing_and_nothing_else),
        cmocka_unit_test(time_out_leaves_out_what_was_sacked_but_not_for_ever),
        cmocka_unit_test(lost_in_a_short_answer_does_not_wait_for_the_timer),
        cmocka_unit_test(what_is_lost_twice_is_seen_by_what_came_later),
        cmocka_unit_test(lost_acknowledgement_of_all_is_asked_for),
        cmocka_unit_test(lost_end_of_a_burst_is_found_by_asking),
        cmocka_unit_test(after_asking_in_vain_the_time_out_comes),
        cmocka_unit_test(sacks_that_make_no_sense_do_nothing),
        cmocka_unit_test(more_sacks_than_are_remembered),
        cmocka_unit_test(lost_recovery_is_recovered_by_time),
        cmocka_unit_test(kernel_without_peek_offsets_sends_the_same),
        cmocka_unit_test(idle_guest_is_asked_and_lives),
        cmocka_unit_test(idle_guest_that_is_gone_is_given_up),
        cmocka_unit_test(half_closed_connection_is_asked_about_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
