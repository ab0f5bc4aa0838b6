/* TCP through the NAT: data from the guest and to it, windows, what comes out of order. */
#include "tests/unit/tcp_peer.h"

static struct tcp_world tw;
static struct conn c;
static uint8_t data[7 << 20], back[7 << 20];

static void begin_without(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
    tcp_begin(&tw, NULL);
}

static void begin(void)
{
    begin_without();
    conn_any(&c, &tw);
}

static void end(void)
{
    conn_close(&c);
    tcp_end(&tw);
}

/* Read what the host got, which are the bytes [off, off + n) of data. */
static void host_expect(size_t off, size_t n)
{
    CHECK_EQ(world_recv(&tw.w, c.fd, back, n), n);
    CHECK(!memcmp(back, data + off, n));
}

/* --- acknowledgements ------------------------------------------------------------------------------------------------- */

static void little_data_are_acknowledged_after_two_milliseconds(void **state)
{
    (void)state;
    begin();
    conn_text(&c, "a");
    host_expect_text(&c, "a");
    world_advance(&tw.w, MS);
    far_expect_none(&tw.g);
    conn_text(&c, "b");
    host_expect_text(&c, "b");
    world_advance(&tw.w, 3 * MS);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0); /* both at once */
    far_expect_none(&tw.g);
    end();
}

static void answer_carries_the_acknowledgement(void **state)
{
    (void)state;
    begin();
    conn_text(&c, "question");
    host_expect_text(&c, "question");
    host_text(&c, "answer");
    conn_expect(&c, .seq = c.ack, .flags = T_ACK, .ack = c.seq, TEXT("answer"));
    world_advance(&tw.w, 5 * MS);
    far_expect_none(&tw.g);
    conn_ack(&c);
    end();
}

static void two_full_segments_are_acknowledged_at_once(void **state)
{
    (void)state;
    begin();
    conn_data(&c, data, 1460);
    far_expect_none(&tw.g);
    conn_data(&c, data + 1460, 1460);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
    host_expect(0, 2920);
    end();
}

static void a_frame_of_64_kilobytes_is_one_piece_and_one_acknowledgement(void **state)
{
    (void)state;
    begin();
    tw.g.pieces = 4096;
    for (unsigned i = 0; i < 8; i++) {
        conn_send(&c, .flags = T_ACK | T_PSH, .sum = SUM_PARTIAL, .gso_size = 1460, DATA(data + i * 64240, 64240));
        c.seq += 64240;
        CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->len, 0);
        far_expect_none(&tw.g);
        host_expect(i * 64240, 64240);
    }
    end();
}

static void many_small_pieces_of_a_frame_lose_nothing(void **state)
{
    (void)state;
    begin();
    tw.g.pieces = 7;
    conn_send(&c, .flags = T_ACK | T_PSH, .sum = SUM_PARTIAL, .gso_size = 1460, DATA(data, 14600));
    c.seq += 14600;
    conn_expect(&c, .flags = T_ACK, .ack = c.seq);
    host_expect(0, 14600);
    end();
}

static void questions_whether_we_are_there_are_answered(void **state)
{
    (void)state;
    begin();
    conn_text(&c, "x");
    conn_expect_ack(&c);
    conn_send(&c, .flags = T_ACK, .seq = c.seq - 1); /* a keepalive */
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = c.seq)->seq, c.ack);
    conn_send(&c, .flags = T_ACK, .seq = c.seq - 1, TEXT("x")); /* one with a byte */
    conn_expect(&c, .flags = T_ACK, .ack = c.seq);
    host_expect_text(&c, "x");
    conn_text(&c, "y");
    host_expect_text(&c, "y"); /* and not the x again */
    conn_expect_ack(&c);
    end();
}

/* --- order ---------------------------------------------------------------------------------------------------------------- */

/* Bytes [off, off + n) of data, numbered so that data[0] is at base. */
static void send_part(uint32_t base, size_t off, size_t n)
{
    conn_send(&c, .flags = T_ACK, .seq = base + (uint32_t)off, DATA(data + off, n));
}

static void expect_sack(uint32_t ack, uint32_t from, uint32_t to)
{
    const struct got *g = conn_expect(&c, .flags = T_ACK, .ack = ack);

    CHECK(g->sacks >= 1);
    CHECK_EQ(g->sack[0][0], from);
    CHECK_EQ(g->sack[0][1], to);
}

static void data_ahead_of_lost_ones_are_held_and_named(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = c.seq;
    send_part(base, 1000, 500);
    expect_sack(base, base + 1000, base + 1500);
    CHECK_EQ(tw.t->held, TCP_RING_MIN);
    send_part(base, 1500, 500);
    expect_sack(base, base + 1000, base + 2000);
    send_part(base, 0, 1000);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = base + 2000)->sacks, 0);
    host_expect(0, 2000);
    CHECK_EQ(tw.t->held, 0);
    c.seq += 2000;
    end();
}

static void several_gaps_the_newest_named_first(void **state)
{
    const struct got *g;
    uint32_t base;

    (void)state;
    begin();
    base = c.seq;
    send_part(base, 100, 100);
    expect_sack(base, base + 100, base + 200);
    send_part(base, 500, 100);
    expect_sack(base, base + 500, base + 600);
    send_part(base, 300, 100);
    g = conn_expect(&c, .flags = T_ACK, .ack = base);
    CHECK_EQ(g->sacks, 3);
    CHECK_EQ(g->sack[0][0], base + 300);
    CHECK_EQ(g->sack[1][0], base + 100);
    CHECK_EQ(g->sack[2][0], base + 500);
    send_part(base, 150, 200); /* overlaps two and joins them */
    expect_sack(base, base + 100, base + 400);
    send_part(base, 0, 150);
    expect_sack(base + 400, base + 500, base + 600);
    host_expect(0, 400);
    send_part(base, 350, 300); /* old and new */
    conn_expect(&c, .flags = T_ACK, .ack = base + 650);
    host_expect(400, 250);
    c.seq += 650;
    end();
}

static void what_comes_twice_is_passed_on_once(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = c.seq;
    send_part(base, 0, 3000);
    conn_expect(&c, .flags = T_ACK, .ack = base + 3000);
    send_part(base, 0, 3000);
    conn_expect(&c, .flags = T_ACK, .ack = base + 3000);
    send_part(base, 2900, 200);
    c.seq = base + 3100;
    conn_expect_ack(&c);
    host_expect(0, 3100);
    send_part(base, 4000, 100);
    expect_sack(base + 3100, base + 4000, base + 4100);
    send_part(base, 4000, 100);
    expect_sack(base + 3100, base + 4000, base + 4100);
    send_part(base, 3100, 1000);
    conn_expect(&c, .flags = T_ACK, .ack = base + 4100);
    host_expect(3100, 1000);
    c.seq = base + 4100;
    end();
}

static void too_many_gaps_are_dropped_and_cost_nothing(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = c.seq;
    for (unsigned i = 0; i < 76; i++) {
        send_part(base, 100 + 200 * i, 100);
        CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = base)->len, 0);
    }
    CHECK_EQ(tw.t->c.dropped, 12);
    CHECK_EQ(tw.t->held, TCP_RING_MIN);
    conn_data(&c, data, 20000);
    conn_expect(&c, .flags = T_ACK, .ack = c.seq);
    host_expect(0, 20000);
    CHECK_EQ(tw.t->held, 0);
    end();
}

static void data_outside_the_window_are_answered_and_dropped(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    base = c.seq;
    conn_send(&c, .flags = T_ACK, .seq = base + (16u << 20), TEXT("far ahead"));
    CHECK_EQ(conn_expect(&c, .flags = T_ACK, .ack = base)->sacks, 0);
    conn_send(&c, .flags = T_ACK, .seq = base - 5000, TEXT("old"));
    conn_expect(&c, .flags = T_ACK, .ack = base);
    CHECK_EQ(tw.t->held, 0);
    send_part(base, (4 << 20) + 1000, 100); /* not so far, but behind what is held at most */
    conn_expect(&c, .flags = T_ACK, .ack = base);
    CHECK_EQ(tw.t->held, 0);
    end();
}

static void held_data_grow_with_the_gap(void **state)
{
    uint32_t base;

    (void)state;
    begin();
    conn_data(&c, data, 2920); /* to be offered a window of more than 64 KiB */
    conn_expect(&c, .flags = T_ACK, .ack = c.seq);
    host_expect(0, 2920);
    base = c.seq;
    for (size_t off = 10000; off < 500000; off += 10000) {
        send_part(base, off, 10000);
        expect_sack(base, base + 10000, base + (uint32_t)off + 10000);
    }
    CHECK_EQ(tw.t->held, 512 << 10);
    conn_data(&c, data, 10000);
    conn_expect(&c, .flags = T_ACK, .ack = base + 500000);
    host_expect(0, 500000);
    CHECK_EQ(tw.t->held, 0);
    c.seq = base + 500000;
    end();
}

static void held_data_are_freed_with_the_flow(void **state)
{
    (void)state;
    begin();
    send_part(c.seq, 1000, 500);
    CHECK(tcp_counts(&tw).memory > TCP_RING_MIN);
    conn_send(&c, .flags = T_RST);
    close(c.fd);
    tcp_end(&tw);
}

/* --- windows ------------------------------------------------------------------------------------------------------------- */

/* The window that an ACK offers. */
static uint32_t offered(const struct got *g) { return (uint32_t)g->window << 7; }

static void window_closes_while_the_host_does_not_read_and_opens_again(void **state)
{
    uint64_t sent = 0, read = 0;
    uint32_t wnd = 65535;
    const struct got *g;

    (void)state;
    begin_without();
    conn_slow(&c, &tw);
    while (wnd >= 1460) { /* a guest that keeps to the window */
        size_t n = wnd < 14600 ? 1460 : 14600;

        conn_data(&c, data + sent, n);
        sent += n;
        world_advance(&tw.w, 3 * MS);
        wnd -= (uint32_t)n;
        while ((g = far_next(&tw.g)) && g->ack == c.seq)
            wnd = offered(g);
        CHECK(sent < 2 << 20);
    }
    CHECK(sent > 10000);
    CHECK_EQ(tw.t->c.dropped, 0);
    far_expect_none(&tw.g);
    while (read < sent) {
        size_t n = world_recv(&tw.w, c.fd, back + read, sent - read < 20000 ? sent - read : 20000);

        read += n;
    }
    CHECK(!memcmp(back, data, sent));
    while ((g = far_next(&tw.g)))
        wnd = offered(g);
    CHECK(wnd >= 2920);
    end();
}

static void guest_that_ignores_the_window_is_held_bounded(void **state)
{
    uint64_t sent = 0;
    uint32_t acked;

    (void)state;
    begin_without();
    conn_slow(&c, &tw);
    acked = c.seq;
    for (unsigned i = 0; i < 320; i++) {
        const struct got *g;

        conn_send(&c, .flags = T_ACK, .seq = acked, DATA(data + sent, 20000));
        world_advance(&tw.w, 3 * MS);
        while ((g = far_next(&tw.g)))
            if ((int32_t)(g->ack - acked) > 0) {
                sent += g->ack - acked;
                acked = g->ack;
            }
    }
    CHECK(tw.t->held <= TCP_RING_MAX);
    CHECK(sent > TCP_RING_MAX / 2 && sent < 5 << 20);
    for (uint64_t read = 0; read < sent;)
        read += world_recv(&tw.w, c.fd, back + read, sent - read < 100000 ? sent - read : 100000);
    CHECK(!memcmp(back, data, sent));
    CHECK_EQ(tw.t->held, 0);
    c.seq = acked;
    far_drain(&tw.g);
    end();
}

static void fin_waits_until_the_host_took_what_is_held(void **state)
{
    const struct got *g;
    uint64_t sent = 0;
    bool held = false;

    (void)state;
    begin_without();
    conn_slow(&c, &tw);
    while (!held && sent < sizeof data / 2) {
        conn_data(&c, data + sent, 10000);
        sent += 10000;
        held = tw.t->held != 0;
    }
    CHECK(held);
    far_drain(&tw.g);
    conn_send(&c, .flags = T_FIN | T_ACK);
    world_advance(&tw.w, 10 * MS);
    while ((g = far_next(&tw.g)))
        CHECK((int32_t)(g->ack - c.seq) <= 0);
    for (uint64_t read = 0; read < sent;)
        read += world_recv(&tw.w, c.fd, back + read, sent - read);
    CHECK(!memcmp(back, data, sent));
    host_expect_end(&c);
    c.seq++;
    while ((g = far_next(&tw.g)) && g->ack != c.seq)
        ;
    CHECK(g);
    close(c.fd);
    conn_expect(&c, .flags = T_FIN | T_ACK);
    conn_ack(&c);
    tcp_end(&tw);
}

static void data_go_no_farther_than_the_guests_window(void **state)
{
    uint16_t port = 0;
    int listener = host_listen(AF_INET, &port);
    uint32_t got = 0;

    (void)state;
    begin();
    conn_send(&c, .flags = T_RST);
    close(c.fd);
    /* a window of 20 << 7 once it is scaled */
    c = (struct conn){.tw = &tw, .dst = "10.0.2.2", .port = 41000, .dport = port, .seq = 1, .fd = -1};
    conn_send(&c, .flags = T_SYN, .mss = 1460, WSCALE(7), .window = 5000);
    c.seq++;
    c.ack = conn_expect(&c, .flags = T_SYN | T_ACK)->seq + 1;
    conn_send(&c, .flags = T_ACK, .window = 20);
    c.fd = world_accept(&tw.w, listener);
    world_write(&tw.w, c.fd, data, 10000);
    for (unsigned i = 0; i < 8 && got < 10000; i++) {
        uint32_t round = 0;
        const struct got *g;

        while (round < 2560 && (g = far_next(&tw.g))) {
            CHECK(!memcmp(g->data, data + got + round, g->len));
            round += (uint32_t)g->len;
        }
        CHECK(round <= 2560 && (round > 1000 || got + round == 10000));
        far_expect_none(&tw.g);
        got += round;
        c.ack += round;
        conn_send(&c, .flags = T_ACK, .window = 20);
    }
    CHECK_EQ(got, 10000);
    close(listener);
    end();
}

static void closed_window_of_the_guest_is_asked_about(void **state)
{
    uint64_t wait = NS_PER_SEC; /* no round trip was measured */

    (void)state;
    begin();
    conn_send(&c, .flags = T_ACK, .zero_window = true);
    host_text(&c, "stuck");
    far_expect_none(&tw.g);
    for (unsigned i = 0; i < 4; i++, wait *= 2) {
        world_advance(&tw.w, wait - 50 * MS);
        far_expect_none(&tw.g);
        world_advance(&tw.w, 60 * MS);
        CHECK_EQ(conn_expect(&c, .flags = T_ACK)->seq, c.ack - 1); /* old: it must be answered */
        conn_send(&c, .flags = T_ACK, .zero_window = true);
    }
    conn_ack(&c);
    conn_expect_text(&c, "stuck");
    conn_ack(&c);
    world_advance(&tw.w, 100 * NS_PER_SEC);
    far_expect_none(&tw.g);
    end();
}

static void guest_with_a_closed_window_that_is_silent_is_given_up(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_ACK, .zero_window = true);
    host_text(&c, "stuck");
    for (unsigned i = 0; i < 15; i++) {
        world_advance(&tw.w, 61 * NS_PER_SEC);
        while (far_next(&tw.g))
            ;
    }
    CHECK(!conn_flow(&c));
    close(c.fd);
    tcp_end(&tw);
}

static void silly_window_is_not_filled_while_data_are_on_their_way(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_ACK, .window = 100); /* 12800 bytes */
    world_write(&tw.w, c.fd, data, 20000);
    CHECK_EQ(conn_expect(&c, .flags = T_ACK)->len, 8 * 1460); /* 1120 more would be silly */
    far_expect_none(&tw.g);
    conn_ack(&c);
    conn_expect(&c, .flags = T_ACK);
    conn_ack(&c);
    end();
}

/* --- urgent ---------------------------------------------------------------------------------------------------------------- */

static void urgent_data_are_data(void **state)
{
    (void)state;
    begin();
    conn_send(&c, .flags = T_ACK | T_URG, .urgent = 3, TEXT("urgent"));
    c.seq += 6;
    conn_send(&c, .flags = T_ACK | T_URG, .urgent = 65535, TEXT("beyond"));
    c.seq += 6;
    host_expect_text(&c, "urgentbeyond");
    conn_expect_ack(&c);
    CHECK_EQ(send(c.fd, "abc", 3, MSG_OOB), 3);
    CHECK_EQ(send(c.fd, "def", 3, 0), 3);
    world_run(&tw.w);
    {
        const struct got *g = conn_expect(&c, .flags = T_ACK);
        char text[8] = "";
        size_t n = 0;

        for (; n < 6; g = n < 6 ? conn_expect(&c, .flags = T_ACK) : NULL) {
            CHECK(!(g->flags & T_URG) && n + g->len <= 6);
            memcpy(text + n, g->data, g->len);
            n += g->len;
        }
        CHECK_STR(text, "abcdef");
    }
    conn_ack(&c);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_data_are_acknowledged_after_two_milliseconds),
        cmocka_unit_test(answer_carries_the_acknowledgement),
        cmocka_unit_test(two_full_segments_are_acknowledged_at_once),
        cmocka_unit_test(a_frame_of_64_kilobytes_is_one_piece_and_one_acknowledgement),
        cmocka_unit_test(many_small_pieces_of_a_frame_lose_nothing),
        cmocka_unit_test(questions_whether_we_are_there_are_answered),
        cmocka_unit_test(data_ahead_of_lost_ones_are_held_and_named),
        cmocka_unit_test(several_gaps_the_newest_named_first),
        cmocka_unit_test(what_comes_twice_is_passed_on_once),
        cmocka_unit_test(too_many_gaps_are_dropped_and_cost_nothing),
        cmocka_unit_test(data_outside_the_window_are_answered_and_dropped),
        cmocka_unit_test(held_data_grow_with_the_gap),
        cmocka_unit_test(held_data_are_freed_with_the_flow),
        cmocka_unit_test(window_closes_while_the_host_does_not_read_and_opens_again),
        cmocka_unit_test(guest_that_ignores_the_window_is_held_bounded),
        cmocka_unit_test(fin_waits_until_the_host_took_what_is_held),
        cmocka_unit_test(data_go_no_farther_than_the_guests_window),
        cmocka_unit_test(closed_window_of_the_guest_is_asked_about),
        cmocka_unit_test(guest_with_a_closed_window_that_is_silent_is_given_up),
        cmocka_unit_test(silly_window_is_not_filled_while_data_are_on_their_way),
        cmocka_unit_test(urgent_data_are_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
