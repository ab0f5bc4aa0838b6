/* The gateway's DNS by TCP (RFC 7766): each message with its length before it, over a connection that the test scripts. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/nat_guest.h"

enum { A = 1, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

static struct nat_guest g;
static uint16_t port; /* the guest's */
static uint32_t seq, ack;
static uint8_t stream[1 << 17]; /* what came and was not looked at */
static size_t heard;

static void begin(const struct nat_config *c) { nat_guest_begin(&g, c); }

static void end(void)
{
    struct nat_counts n;

    world_advance(&g.w, 200 * NS_PER_SEC); /* whatever idles ends */
    far_drain(&g.f);
    nat_counts(g.n, &n);
    CHECK_EQ(n.sockets, n.tcp); /* what is left is the TCP layer's, which waits for the guest's FIN */
    nat_guest_end(&g);
}

static int listener(uint16_t *p, int n)
{
    char text[256];
    uint16_t dead = 0;
    int fd = host_listen(AF_INET, p), first = host_listen(AF_INET, &dead);

    close(first); /* a port where nobody listens */
    if (n == 2)
        snprintf(text, sizeof text, "nameserver [127.0.0.1]:%u\nnameserver [127.0.0.1]:%u\n", dead, *p);
    else
        snprintf(text, sizeof text, "nameserver [127.0.0.1]:%u\n", n ? *p : dead);
    nat_guest_resolv(&g, text);
    return fd;
}

static void connect_dns(void)
{
    const struct got *r;

    port++;
    seq = 1000;
    heard = 0;
    far_drain(&g.f);
    far_send(&g.f, PKT(TCP, .sport = port, .dst = "10.0.2.3", .dport = 53, .seq = seq, .flags = T_SYN, .mss = 1460,
                       WSCALE(7)));
    do
        r = far_expect(&g.f, PKT(TCP, .src = "10.0.2.3", .sport = 53));
    while (r->dport != port); /* the end of another one */
    CHECK_EQ(r->flags, T_SYN | T_ACK);
    CHECK_EQ(r->ack, 1001);
    ack = r->seq + 1;
    seq++;
    far_send(&g.f, PKT(TCP, .sport = port, .dst = "10.0.2.3", .dport = 53, .seq = seq, .ack = ack, .flags = T_ACK));
}

static void say(const void *data, size_t n)
{
    far_send(&g.f, PKT(TCP, .sport = port, .dst = "10.0.2.3", .dport = 53, .seq = seq, .ack = ack,
                       .flags = T_PSH | T_ACK, DATA(data, n)));
    seq += (uint32_t)n;
}

/* The next n bytes of the stream; each segment is acknowledged. */
static void hear(uint8_t *buf, size_t n)
{
    while (heard < n) {
        const struct got *r = far_expect(&g.f, PKT(TCP, .src = "10.0.2.3", .dport = port));

        CHECK(!(r->flags & (T_RST | T_FIN)));
        if (!r->len || r->seq != ack)
            continue;
        CHECK(heard + r->len <= sizeof stream);
        memcpy(stream + heard, r->data, r->len);
        heard += r->len;
        ack += (uint32_t)r->len;
        far_send(&g.f, PKT(TCP, .sport = port, .dst = "10.0.2.3", .dport = 53, .seq = seq, .ack = ack, .flags = T_ACK));
    }
    memcpy(buf, stream, n);
    heard -= n;
    memmove(stream, stream + n, heard);
}

static void expect_fin(void)
{
    const struct got *r;

    do
        r = far_expect(&g.f, PKT(TCP, .src = "10.0.2.3", .dport = port));
    while (!(r->flags & (T_FIN | T_RST)));
}

/* A question with its length; its bytes. */
static size_t query(uint8_t *b, uint16_t id, const char *name)
{
    size_t n = 14;

    memset(b, 0, 14);
    st16be(b + 2, id);
    b[4] = 1;
    b[7] = 1;
    while (*name) {
        size_t len = strcspn(name, ".");

        b[n] = (uint8_t)len;
        memcpy(b + n + 1, name, len);
        n += 1 + len;
        name += len + (name[len] == '.');
    }
    memcpy(b + n, "\x00\x00\x01\x00\x01", 5);
    st16be(b, (uint16_t)(n + 5 - 2));
    return n + 5;
}

static void ask(uint16_t id, const char *name)
{
    uint8_t b[300];

    say(b, query(b, id, name));
}

/* The answer to id: its rcode; the last four bytes of it in last. */
static unsigned answer(uint16_t id, uint32_t *last)
{
    static uint8_t b[65535];
    size_t n;

    hear(b, 2);
    n = ld16be(b);
    CHECK(n >= 12);
    hear(b, n);
    CHECK_EQ(ld16be(b), id);
    CHECK(b[2] & 0x80);
    *last = ld32be(b + n - 4);
    return b[3] & 15;
}

/* As the host's resolver: read a question, answer with 192.0.2.n as its end. */
static void serve(int fd, uint8_t n, size_t size)
{
    static uint8_t b[65537];
    size_t len;

    CHECK_EQ(world_recv(&g.w, fd, b, 2), 2);
    len = ld16be(b);
    CHECK_EQ(world_recv(&g.w, fd, b + 2, len), len);
    b[4] |= 0x80;
    memset(b + 2 + len, 0, size - len);
    st32be(b + 2 + size - 4, 0xc0000200u | n);
    st16be(b, (uint16_t)size);
    world_write(&g.w, fd, b, 2 + size);
}

static void names_of_its_own_are_answered(void **state)
{
    uint32_t last;

    (void)state;
    begin(NULL);
    connect_dns();
    ask(1, "host.guise");
    CHECK_EQ(answer(1, &last), 0);
    CHECK_EQ(last, 0x0a000202);
    ask(2, "nobody.guise");
    CHECK_EQ(answer(2, &last), NXDOMAIN);
    end();
}

static void questions_in_pieces_and_in_one_piece(void **state)
{
    uint8_t b[300];
    size_t n = query(b, 1, "host.guise");
    uint32_t last;

    (void)state;
    begin(NULL);
    connect_dns();
    for (size_t i = 0; i < n; i++)
        say(b + i, 1);
    CHECK_EQ(answer(1, &last), 0);
    n = query(b, 2, "host.guise");
    n += query(b + n, 3, "dns.guise");
    n += query(b + n, 4, "host.guise");
    say(b, n);
    CHECK_EQ(answer(2, &last), 0);
    CHECK_EQ(answer(3, &last), 0);
    CHECK_EQ(last, 0x0a000203);
    CHECK_EQ(answer(4, &last), 0);
    end();
}

static void others_are_asked_over_one_connection(void **state)
{
    uint16_t p = 0;
    int l, c;
    uint32_t last;

    (void)state;
    begin(NULL);
    l = listener(&p, 1);
    connect_dns();
    ask(0x1234, "example.org");
    c = world_accept(&g.w, l);
    serve(c, 7, 100);
    CHECK_EQ(answer(0x1234, &last), 0);
    CHECK_EQ(last, 0xc0000207);
    ask(0x1235, "example.net");
    serve(c, 8, 40000); /* more than UDP would carry */
    CHECK_EQ(answer(0x1235, &last), 0);
    CHECK_EQ(last, 0xc0000208);
    close(c); /* the server does not keep it: another is made */
    world_run(&g.w);
    ask(0x1236, "example.com");
    c = world_accept(&g.w, l);
    serve(c, 9, 50);
    CHECK_EQ(answer(0x1236, &last), 0);
    close(c);
    close(l);
    end();
}

static void the_next_server_is_asked_when_one_is_not_there(void **state)
{
    uint16_t p = 0;
    int l, c;
    uint32_t last;

    (void)state;
    begin(NULL);
    l = listener(&p, 2);
    connect_dns();
    ask(1, "example.org");
    c = world_accept(&g.w, l);
    serve(c, 7, 100);
    CHECK_EQ(answer(1, &last), 0);
    close(c);
    close(l);
    end();
}

static void a_server_that_fails_is_told(void **state)
{
    uint16_t p = 0;
    int l, c;
    uint8_t b[64];
    uint32_t last;

    (void)state;
    begin(NULL);
    l = listener(&p, 0);
    connect_dns();
    ask(1, "example.org");
    CHECK_EQ(answer(1, &last), SERVFAIL); /* nobody listens */
    close(l);
    world_advance(&g.w, 2 * NS_PER_SEC);
    l = listener(&p, 1);
    ask(2, "example.org");
    c = world_accept(&g.w, l);
    CHECK(world_recv(&g.w, c, b, 20) == 20);
    world_write(&g.w, c, "\x00\x40\x00\x02\x80", 5); /* and ends within its answer */
    close(c);
    CHECK_EQ(answer(2, &last), SERVFAIL);
    ask(3, "example.org");
    c = world_accept(&g.w, l); /* and says nothing */
    world_advance(&g.w, 6 * NS_PER_SEC);
    CHECK_EQ(answer(3, &last), SERVFAIL);
    close(c);
    close(l);
    end();
}

static void restrict_asks_nobody(void **state)
{
    uint32_t last;

    (void)state;
    begin(&(struct nat_config){.restrict_ = true});
    connect_dns();
    ask(1, "example.org");
    CHECK_EQ(answer(1, &last), REFUSED);
    ask(2, "host.guise");
    CHECK_EQ(answer(2, &last), 0);
    end();
}

static void a_connection_that_idles_ends(void **state)
{
    (void)state;
    begin(NULL);
    connect_dns();
    world_advance(&g.w, 31 * NS_PER_SEC);
    expect_fin();
    end();
}

static void lengths_that_no_question_has_end_it(void **state)
{
    uint32_t last;
    uint8_t b[300];

    (void)state;
    begin(NULL);
    connect_dns();
    say("\xff\xff", 2);
    expect_fin();
    connect_dns();
    say("\x00\x00", 2);
    expect_fin();
    connect_dns();
    say("\x00\x05"
        "abcde",
        7); /* shorter than a header */
    expect_fin();
    connect_dns();
    query(b, 9, "example.org");
    st16be(b, 20); /* the name is cut */
    say(b, 22);
    CHECK_EQ(answer(9, &last), 1); /* format error */
    end();
}

static void connections_are_bounded(void **state)
{
    struct nat_counts n;
    uint32_t last;

    (void)state;
    begin(NULL);
    for (int i = 0; i < 100; i++)
        connect_dns();
    nat_counts(g.n, &n);
    CHECK(n.sockets <= 100 + 32);
    far_drain(&g.f);
    ask(1, "host.guise"); /* the newest is served */
    CHECK_EQ(answer(1, &last), 0);
    nat_guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_its_own_are_answered),
        cmocka_unit_test(questions_in_pieces_and_in_one_piece),
        cmocka_unit_test(others_are_asked_over_one_connection),
        cmocka_unit_test(the_next_server_is_asked_when_one_is_not_there),
        cmocka_unit_test(a_server_that_fails_is_told),
        cmocka_unit_test(restrict_asks_nobody),
        cmocka_unit_test(a_connection_that_idles_ends),
        cmocka_unit_test(lengths_that_no_question_has_end_it),
        cmocka_unit_test(connections_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
