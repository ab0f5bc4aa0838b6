/*
 * The gateway's DNS by UDP: names of its own, and the host's resolver, which is a socket of the test's on the loopback.
 * Messages are those of RFC 1035, made by hand.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "netstack/nat_dns.h"
#include "tests/unit/nat_guest.h"

enum { A = 1, NS = 2, PTR = 12, AAAA = 28, ANY = 255 };
enum { SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4, REFUSED = 5 };

static struct nat_guest g;

/* A server of the host's side: 127.0.0.1 and a port that resolv.conf names. */
struct upstream {
    int fd;
    uint16_t port;
    struct sockaddr_storage from; /* of the last question */
    socklen_t from_len;
    uint8_t msg[1500];
    size_t len;
};

static void begin(const struct nat_config *c, struct upstream *u, unsigned n)
{
    char text[256] = "";

    nat_guest_begin(&g, c);
    strcpy(g.f.ip4, "10.0.2.99"); /* who asks; leases are of others */
    for (unsigned i = 0; i < n; i++) {
        u[i] = (struct upstream){.port = 0};
        u[i].fd = host_udp(AF_INET, &u[i].port);
        snprintf(text + strlen(text), sizeof text - strlen(text), "nameserver [127.0.0.1]:%u\n", u[i].port);
    }
    if (n)
        nat_guest_resolv(&g, text);
}

static void end(struct upstream *u, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (u[i].fd >= 0)
            close(u[i].fd);
    nat_guest_end(&g);
}

static void up_recv(struct upstream *u)
{
    world_wait(&g.w, u->fd, LOOP_IN);
    u->from_len = sizeof u->from;
    u->len = (size_t)recvfrom(u->fd, u->msg, sizeof u->msg, 0, (struct sockaddr *)&u->from, &u->from_len);
}

static bool up_silent(struct upstream *u)
{
    uint8_t b;

    world_run(&g.w);
    return recv(u->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static void up_send(struct upstream *u, const void *data, size_t len)
{
    CHECK_EQ(sendto(u->fd, data, len, 0, (struct sockaddr *)&u->from, u->from_len), len);
}

/* The question that was received, as an answer with rcode and, for 0, the address 192.0.2.7. */
static void up_answer(struct upstream *u, unsigned rcode)
{
    static const uint8_t a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
    uint8_t b[1500];

    memcpy(b, u->msg, u->len);
    b[2] |= 0x80;
    b[3] = (uint8_t)(0x80 | rcode);
    b[7] = !rcode;
    memcpy(b + u->len, a, sizeof a);
    up_send(u, b, u->len + (rcode ? 0 : sizeof a));
}

/* --- questions ------------------------------------------------------------------------------------------------------ */

static size_t query(uint8_t *b, uint16_t id, const char *name, uint16_t type)
{
    size_t n = 12;

    memset(b, 0, 12);
    st16be(b, id);
    b[2] = 1; /* recursion desired */
    b[5] = 1;
    while (*name) {
        size_t len = strcspn(name, ".");

        b[n] = (uint8_t)len;
        memcpy(b + n + 1, name, len);
        n += 1 + len;
        name += len + (name[len] == '.');
    }
    b[n++] = 0;
    st16be(b + n, type);
    st16be(b + n + 2, 1);
    return n + 4;
}

static void ask_bytes(const void *b, size_t n, const char *server)
{
    far_send(&g.f, PKT(UDP, .sport = 4000, .dst = server, .dport = 53, DATA(b, n)));
}

static void ask(uint16_t id, const char *name, uint16_t type)
{
    uint8_t b[512];

    ask_bytes(b, query(b, id, name, type), "10.0.2.3");
}

/* The answer's first record's data, NULL: no record. What every answer must have is checked. */
static const uint8_t *answer(uint16_t id, unsigned rcode, size_t *len)
{
    const struct got *r = far_expect(&g.f, PKT(UDP, .src = "10.0.2.3", .sport = 53, .dport = 4000));
    size_t i = 12;

    CHECK(r->len >= 12);
    CHECK_EQ(ld16be(r->data), id);
    CHECK_EQ(r->data[2] & 0xf9, 0x81); /* response, recursion desired */
    CHECK_EQ(r->data[3], 0x80 | rcode);
    *len = 0;
    if (!ld16be(r->data + 6))
        return NULL;
    while (r->data[i])
        i += 1u + r->data[i];
    i += 5;
    CHECK_EQ(ld16be(r->data + i), 0xc00c);
    *len = ld16be(r->data + i + 10);
    CHECK(i + 12 + *len <= r->len);
    return r->data + i + 12;
}

static bool answer_is(uint16_t id, const char *addr)
{
    uint8_t want[16];
    size_t len, n = addr_parse(addr, want) ? 4 : 16;
    const uint8_t *v = answer(id, 0, &len);

    return v && len == n && !memcmp(v, want, n);
}

static bool no_answer(uint16_t id, unsigned rcode)
{
    size_t len;

    return !answer(id, rcode, &len);
}

/* --- names of its own ------------------------------------------------------------------------------------------------ */

static void lease(const char *mac, const char *addr, const char *name)
{
    uint8_t b[300] = {1, 1, 6, 0, 1, 2, 3, 4}, ip[16];

    mac_parse(mac, b + 28);
    st32be(b + 236, 0x63825363);
    memcpy(b + 240, (uint8_t[]){53, 1, 3, 50, 4}, 5);
    addr_parse(addr, ip);
    memcpy(b + 245, ip, 4);
    b[249] = 12;
    b[250] = (uint8_t)strlen(name);
    memcpy(b + 251, name, strlen(name));
    b[251 + strlen(name)] = 255;
    far_send(&g.f, PKT(UDP, .eth_src = mac, .src = "0.0.0.0", .sport = 68, .dst = "255.255.255.255", .dport = 67,
                       DATA(b, 300)));
    far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .sport = 67, .dst = addr));
}

static void the_gateway_and_dns_have_names(void **state)
{
    (void)state;
    begin(NULL, NULL, 0);
    ask(1, "host.guise", A);
    CHECK(answer_is(1, "10.0.2.2"));
    ask(2, "HOST.Guise", AAAA);
    CHECK(answer_is(2, "fec0::2"));
    ask(3, "dns.guise", A);
    CHECK(answer_is(3, "10.0.2.3"));
    ask(4, "host.guise", NS);
    CHECK(no_answer(4, 0)); /* the name is there, the type is not */
    ask(5, "nobody.guise", A);
    CHECK(no_answer(5, NXDOMAIN)); /* and asked of nobody */
    ask(6, "a.host.guise", A);
    CHECK(no_answer(6, NXDOMAIN));
    far_expect_none(&g.f);
    end(NULL, 0);
}

static void guests_have_the_names_they_gave(void **state)
{
    (void)state;
    begin(&(struct nat_config){.domainname = "lab.example"}, NULL, 0);
    lease("52:54:00:00:00:01", "10.0.2.15", "alpha");
    lease("52:54:00:00:00:02", "10.0.2.16", "beta.lab.example");
    ask(1, "alpha", A);
    CHECK(answer_is(1, "10.0.2.15"));
    ask(2, "alpha.guise", A);
    CHECK(answer_is(2, "10.0.2.15"));
    ask(3, "BETA.lab.example", A);
    CHECK(answer_is(3, "10.0.2.16"));
    ask(4, "alpha", AAAA);
    CHECK(no_answer(4, 0));
    world_advance(&g.w, 90000 * NS_PER_SEC); /* the leases end */
    far_drain(&g.f);
    ask(5, "alpha.guise", A);
    CHECK(no_answer(5, NXDOMAIN));
    end(NULL, 0);
}

static void a_guest_has_its_self_made_ipv6_address_too(void **state)
{
    static const uint8_t target[16] = {0xfe, 0xc0, [15] = 2};

    (void)state;
    begin(NULL, NULL, 0);
    strcpy(g.f.ip6, "fec0::5054:ff:fe00:1"); /* as SLAAC makes it of the MAC */
    lease("52:54:00:00:00:01", "10.0.2.15", "alpha");
    far_send(&g.f, PKT(ICMP6, .eth_src = "52:54:00:00:00:01", .type = 128, .dst = "fec0::2", DATA(target, 16)));
    far_drain(&g.f);
    ask(1, "alpha", AAAA);
    CHECK(answer_is(1, "fec0::5054:ff:fe00:1"));
    end(NULL, 0);
}

static void a_guest_cannot_take_names_that_mislead(void **state)
{
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    lease("52:54:00:00:00:01", "10.0.2.15", "host");
    lease("52:54:00:00:00:02", "10.0.2.16", "wpad");
    lease("52:54:00:00:00:03", "10.0.2.17", "www.debian.org");
    ask(1, "host.guise", A);
    CHECK(answer_is(1, "10.0.2.2"));
    ask(2, "wpad.guise", A);
    CHECK(no_answer(2, NXDOMAIN));
    ask(3, "www.debian.org", A);
    up_recv(&u);
    up_answer(&u, 0);
    CHECK(answer_is(3, "192.0.2.7"));
    end(&u, 1);
}

static bool points_to(uint16_t id, const char *labels, size_t n)
{
    size_t len;
    const uint8_t *v = answer(id, 0, &len);

    return v && len == n && !memcmp(v, labels, n);
}

static void addresses_have_names(void **state)
{
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    lease("52:54:00:00:00:01", "10.0.2.15", "alpha");
    ask(1, "15.2.0.10.in-addr.arpa", PTR);
    CHECK(points_to(1,
                    "\x05"
                    "alpha\x05"
                    "guise",
                    13));
    ask(2, "2.2.0.10.in-addr.arpa", PTR);
    CHECK(points_to(2,
                    "\x04"
                    "host\x05"
                    "guise",
                    12));
    ask(3, "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", PTR);
    CHECK(points_to(3,
                    "\x03"
                    "dns\x05"
                    "guise",
                    11));
    ask(4, "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.C.e.F.ip6.arpa", PTR);
    CHECK(points_to(4,
                    "\x03"
                    "dns\x05"
                    "guise",
                    11));
    CHECK(up_silent(&u));
    end(&u, 1);
}

static void nothing_of_the_virtual_network_is_asked_of_the_world(void **state)
{
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    ask(1, "77.2.0.10.in-addr.arpa", PTR);
    CHECK(no_answer(1, NXDOMAIN));
    ask(2, "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.e.f.ip6.arpa", PTR);
    CHECK(no_answer(2, NXDOMAIN));
    ask(3, "secret.guise", A);
    CHECK(no_answer(3, NXDOMAIN));
    CHECK(up_silent(&u));
    ask(4, "8.8.8.8.in-addr.arpa", PTR); /* others' addresses are */
    up_recv(&u);
    end(&u, 1);
}

static void a_question_in_edns_is_answered_in_it(void **state)
{
    uint8_t b[512];
    size_t n = query(b, 7, "host.guise", A);
    const struct got *r;

    (void)state;
    begin(NULL, NULL, 0);
    b[11] = 1;
    memcpy(b + n, (uint8_t[]){0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0}, 11); /* RFC 6891: 1232 bytes, DO */
    ask_bytes(b, n + 11, "10.0.2.3");
    r = far_expect(&g.f, PKT(UDP, .sport = 53));
    CHECK_EQ(ld16be(r->data + 10), 1);
    CHECK(!memcmp(r->data + r->len - 11, "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00", 11));
    end(NULL, 0);
}

/* --- the host's resolver ---------------------------------------------------------------------------------------------- */

static void a_question_goes_out_with_another_id_and_comes_back_with_its_own(void **state)
{
    struct upstream u;
    uint16_t ids[2], ports[2];

    (void)state;
    begin(NULL, &u, 1);
    for (int i = 0; i < 2; i++) {
        ask(0x1111, "example.org", A);
        up_recv(&u);
        ids[i] = ld16be(u.msg);
        ports[i] = ((struct sockaddr_in *)&u.from)->sin_port;
        CHECK(!memcmp(u.msg + 12,
                      "\x07"
                      "example\x03"
                      "org\x00\x00\x01\x00\x01",
                      17));
        up_answer(&u, 0);
        CHECK(answer_is(0x1111, "192.0.2.7"));
    }
    CHECK(ids[0] != 0x1111 && ids[0] != ids[1]);
    CHECK(ports[0] != ports[1]);
    far_expect_none(&g.f);
    end(&u, 1);
}

static void ipv6_guests_are_answered_from_where_they_asked(void **state)
{
    struct upstream u;
    uint8_t b[512];

    (void)state;
    begin(NULL, &u, 1);
    ask_bytes(b, query(b, 9, "example.org", A), "fec0::3");
    up_recv(&u);
    up_answer(&u, 0);
    far_expect(&g.f, PKT(UDP, .src = "fec0::3", .sport = 53, .dst = g.f.ip6, .dport = 4000));
    end(&u, 1);
}

static void forged_answers_are_not_passed_on(void **state)
{
    struct upstream u;
    uint8_t b[1500];

    (void)state;
    begin(NULL, &u, 1);
    ask(5, "example.org", A);
    up_recv(&u);
    memcpy(b, u.msg, u.len);
    b[2] |= 0x80;
    b[0] ^= 1;
    up_send(&u, b, u.len); /* another id */
    b[0] ^= 1;
    b[2] &= 0x7f;
    up_send(&u, b, u.len); /* a question */
    b[2] |= 0x80;
    b[14] ^= 1;
    up_send(&u, b, u.len); /* of another name */
    b[14] ^= 1;
    up_send(&u, b, 11); /* cut */
    far_expect_none(&g.f);
    up_answer(&u, 0);
    CHECK(answer_is(5, "192.0.2.7"));
    end(&u, 1);
}

static void a_truncated_answer_is_passed_on(void **state)
{
    struct upstream u;
    uint8_t b[1500];
    const struct got *r;

    (void)state;
    begin(NULL, &u, 1);
    ask(5, "example.org", A);
    up_recv(&u);
    memcpy(b, u.msg, u.len);
    b[2] |= 0x82; /* TC */
    b[3] = 0x80;
    up_send(&u, b, u.len);
    r = far_expect(&g.f, PKT(UDP, .sport = 53));
    CHECK(r->data[2] & 2);
    end(&u, 1);
}

static void a_large_answer_comes_in_fragments(void **state)
{
    static uint8_t b[4000];
    struct upstream u;
    size_t sum = 0;

    (void)state;
    begin(NULL, &u, 1);
    ask(5, "example.org", A);
    up_recv(&u);
    memcpy(b, u.msg, u.len);
    b[2] |= 0x80;
    up_send(&u, b, sizeof b);
    for (int i = 0; i < 3; i++)
        sum += far_expect(&g.f, PKT(FRAG, .proto = 17))->len;
    CHECK_EQ(sum, sizeof b + 8);
    end(&u, 1);
}

static void the_next_server_is_tried_and_remembered(void **state)
{
    struct upstream u[2];

    (void)state;
    begin(NULL, u, 2);
    ask(1, "example.org", A);
    up_recv(&u[0]); /* silent */
    CHECK(up_silent(&u[1]));
    world_advance(&g.w, NS_PER_SEC);
    up_recv(&u[1]);
    up_answer(&u[1], 0);
    CHECK(answer_is(1, "192.0.2.7"));
    ask(2, "example.net", A);
    up_recv(&u[1]); /* first now */
    up_answer(&u[1], 0);
    CHECK(answer_is(2, "192.0.2.7"));
    CHECK(up_silent(&u[0]));
    end(u, 2);
}

static void a_slow_server_may_still_answer(void **state)
{
    struct upstream u[2];

    (void)state;
    begin(NULL, u, 2);
    ask(1, "example.org", A);
    up_recv(&u[0]);
    world_advance(&g.w, NS_PER_SEC);
    up_recv(&u[1]);
    up_answer(&u[0], 0);
    CHECK(answer_is(1, "192.0.2.7"));
    up_answer(&u[1], 0); /* nobody waits for it any more */
    far_expect_none(&g.f);
    end(u, 2);
}

static void a_lost_question_is_asked_again(void **state)
{
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    ask(1, "example.org", A);
    up_recv(&u);
    world_advance(&g.w, NS_PER_SEC);
    up_recv(&u);
    up_answer(&u, 0);
    CHECK(answer_is(1, "192.0.2.7"));
    end(&u, 1);
}

static void no_server_is_told_at_once(void **state)
{
    struct upstream u[2];

    (void)state;
    begin(NULL, u, 2);
    close(u[0].fd);
    close(u[1].fd);
    u[0].fd = u[1].fd = -1;
    ask(1, "example.org", A);
    CHECK(no_answer(1, SERVFAIL)); /* the fake clock stands: by ICMP, not by time */
    end(u, 2);
}

static void a_silent_server_is_given_up_after_five_seconds(void **state)
{
    struct nat_counts n;
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    ask(1, "example.org", A);
    world_advance(&g.w, 4900 * UINT64_C(1000000));
    far_expect_none(&g.f);
    world_advance(&g.w, 200 * UINT64_C(1000000));
    CHECK(no_answer(1, SERVFAIL));
    nat_counts(g.n, &n);
    CHECK_EQ(n.sockets, 0);
    end(&u, 1);
}

static void a_server_that_refuses_gives_way_to_the_next(void **state)
{
    struct upstream u[2];

    (void)state;
    begin(NULL, u, 2);
    ask(1, "example.org", A);
    up_recv(&u[0]);
    up_answer(&u[0], REFUSED);
    up_recv(&u[1]);
    up_answer(&u[1], 0);
    CHECK(answer_is(1, "192.0.2.7"));
    ask(2, "example.net", A);
    up_recv(&u[1]);
    up_answer(&u[1], SERVFAIL);
    up_recv(&u[0]);
    up_answer(&u[0], REFUSED);
    CHECK(no_answer(2, REFUSED)); /* the last one's word */
    end(u, 2);
}

static void a_name_that_is_not_there_is_passed_on(void **state)
{
    struct upstream u[2];

    (void)state;
    begin(NULL, u, 2);
    ask(1, "no.example.org", A);
    up_recv(&u[0]);
    up_answer(&u[0], NXDOMAIN);
    CHECK(no_answer(1, NXDOMAIN));
    CHECK(up_silent(&u[1]));
    end(u, 2);
}

static void a_change_of_the_hosts_resolver_is_followed(void **state)
{
    struct upstream u, v = {.port = 0};
    char text[64];

    (void)state;
    begin(NULL, &u, 1);
    ask(1, "example.org", A);
    up_recv(&u);
    up_answer(&u, 0);
    CHECK(answer_is(1, "192.0.2.7"));
    v.fd = host_udp(AF_INET, &v.port); /* the laptop is somewhere else */
    snprintf(text, sizeof text, "# new\nnameserver\t[127.0.0.1]:%u\n", v.port);
    nat_guest_resolv(&g, text);
    world_advance(&g.w, 2 * NS_PER_SEC);
    ask(2, "example.org", A);
    up_recv(&v);
    up_answer(&v, 0);
    CHECK(answer_is(2, "192.0.2.7"));
    CHECK(up_silent(&u));
    close(v.fd);
    end(&u, 1);
}

static void a_servers_own_ipv6_address_is_asked_too(void **state)
{
    struct upstream u = {.port = 0};
    char text[64];

    (void)state;
    begin(NULL, NULL, 0);
    u.fd = host_udp(AF_INET6, &u.port);
    snprintf(text, sizeof text, "nameserver [::1]:%u", u.port); /* no newline at the end */
    nat_guest_resolv(&g, text);
    ask(1, "example.org", A);
    up_recv(&u);
    up_answer(&u, 0);
    CHECK(answer_is(1, "192.0.2.7"));
    end(&u, 1);
}

static void the_guests_own_repetition_is_not_another_question(void **state)
{
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    ask(1, "example.org", A);
    up_recv(&u);
    ask(1, "example.org", A);
    CHECK(up_silent(&u));
    up_answer(&u, 0);
    CHECK(answer_is(1, "192.0.2.7"));
    far_expect_none(&g.f);
    end(&u, 1);
}

static void a_flood_of_questions_is_bounded(void **state)
{
    struct nat_counts n;
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    for (unsigned i = 0; i < 1000; i++)
        ask((uint16_t)i, "example.org", A);
    nat_counts(g.n, &n);
    CHECK(n.sockets <= 64);
    CHECK(no_answer(0, SERVFAIL)); /* the oldest */
    far_drain(&g.f);
    strcpy(g.f.ip4, "10.0.2.98"); /* another guest's is not held up by it */
    strcpy(g.f.mac, "52:54:00:00:00:98");
    world_wait(&g.w, u.fd, LOOP_IN);
    while (!up_silent(&u))
        up_recv(&u);
    ask(7, "example.org", A);
    up_recv(&u);
    up_answer(&u, 0);
    CHECK(answer_is(7, "192.0.2.7"));
    world_advance(&g.w, 6 * NS_PER_SEC);
    nat_counts(g.n, &n);
    CHECK_EQ(n.sockets, 0);
    end(&u, 1);
}

static void restrict_asks_nobody(void **state)
{
    struct upstream u;

    (void)state;
    begin(&(struct nat_config){.restrict_ = true}, &u, 1);
    ask(1, "example.org", A);
    CHECK(no_answer(1, REFUSED));
    ask(2, "host.guise", A);
    CHECK(answer_is(2, "10.0.2.2"));
    CHECK(up_silent(&u));
    end(&u, 1);
}

/* --- wrong messages ---------------------------------------------------------------------------------------------------- */

static void what_is_no_question_is_answered_so_or_not_at_all(void **state)
{
    uint8_t b[512];
    struct upstream u;
    size_t n = query(b, 3, "example.org", A);

    (void)state;
    begin(NULL, &u, 1);
    b[2] = 0x28; /* an update (opcode 5) */
    ask_bytes(b, n, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, NOTIMP);
    b[2] = 1;
    b[5] = 2; /* two questions */
    ask_bytes(b, n, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    b[5] = 0;
    ask_bytes(b, n, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    b[2] = 0x80; /* a response */
    ask_bytes(b, n, "10.0.2.3");
    ask_bytes(b, 11, "10.0.2.3"); /* less than a header */
    ask_bytes(b, 0, "10.0.2.3");
    far_expect_none(&g.f);
    CHECK(up_silent(&u));
    end(&u, 1);
}

static void names_cut_short_or_that_loop_are_refused(void **state)
{
    uint8_t b[512] = {0};
    size_t n = query(b, 3, "example.org", A);
    struct upstream u;

    (void)state;
    begin(NULL, &u, 1);
    for (size_t i = 12; i < n; i++) {
        g.f.pieces = i % 5;
        ask_bytes(b, i, "10.0.2.3");
        CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    }
    memcpy(b + 12, "\xc0\x0c\x00\x01\x00\x01", 6); /* a pointer to itself */
    ask_bytes(b, 18, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    memcpy(b + 12,
           "\x01"
           "a\xc0\x0c\x00\x01\x00\x01",
           8); /* a loop of two */
    ask_bytes(b, 20, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    memcpy(b + 12, "\x3f", 1);
    memset(b + 13, 'x', 300);
    for (int i = 0; i < 5; i++)
        b[12 + 64 * i] = 63; /* 320 bytes of name */
    ask_bytes(b, 400, "10.0.2.3");
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 53))->data[3] & 15, 1);
    CHECK(up_silent(&u));
    end(&u, 1);
}

static void other_ports_of_the_dns_address_are_closed(void **state)
{
    (void)state;
    begin(NULL, NULL, 0);
    far_send(&g.f, PKT(UDP, .sport = 4000, .dst = "10.0.2.3", .dport = 54, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .type = 3, .code = 3));
    end(NULL, 0);
}

/* --- resolv.conf ------------------------------------------------------------------------------------------------------- */

static unsigned servers_of(struct resolver *r, const char *text)
{
    nat_guest_resolv(&g, text);
    resolver_init(r, g.resolv_conf);
    resolver_update(r, 0);
    return r->servers;
}

static const char *server_text(const struct resolver *r, unsigned i, uint16_t *port, char buf[NET_ADDR_TEXT])
{
    struct net_addr a = net_addr_of_sock(&r->server[i].addr, port);

    return net_addr_text(&a, buf);
}

static void resolv_conf_is_read_as_the_c_library_reads_it(void **state)
{
    struct resolver r;
    char text[NET_ADDR_TEXT];
    uint16_t port;

    (void)state;
    begin(NULL, NULL, 0);
    CHECK_EQ(servers_of(&r,
                        "# nameserver 192.0.2.9\n; x\nsearch a b\nnameserver 192.0.2.1\r\nnameserver\t2001:db8::1  \n"
                        "nameserver fe80::1%lo\nnameserver 192.0.2.4\noptions edns0\n"),
             3);
    CHECK_STR(server_text(&r, 0, &port, text), "192.0.2.1");
    CHECK_EQ(port, 53);
    CHECK_STR(server_text(&r, 1, &port, text), "2001:db8::1");
    CHECK_STR(server_text(&r, 2, &port, text), "fe80::1");
    CHECK(((struct sockaddr_in6 *)&r.server[2].addr)->sin6_scope_id);
    CHECK_EQ(servers_of(&r, "nameserver\nnameserver x.y\nnameserver 300.1.1.1\nnameserver192.0.2.1\nnameserver [::1\n"),
             1);
    CHECK_STR(server_text(&r, 0, &port, text), "127.0.0.1"); /* resolv.conf(5): none is the local machine */
    CHECK_EQ(servers_of(&r, ""), 1);
    resolver_init(&r, "/nonexistent/resolv.conf");
    resolver_update(&r, 0);
    CHECK_EQ(r.servers, 1);
    resolver_init(&r, "/dev/zero"); /* must not be read for ever */
    resolver_update(&r, 0);
    CHECK_EQ(r.servers, 1);
    end(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gateway_and_dns_have_names),
        cmocka_unit_test(guests_have_the_names_they_gave),
        cmocka_unit_test(a_guest_has_its_self_made_ipv6_address_too),
        cmocka_unit_test(a_guest_cannot_take_names_that_mislead),
        cmocka_unit_test(addresses_have_names),
        cmocka_unit_test(nothing_of_the_virtual_network_is_asked_of_the_world),
        cmocka_unit_test(a_question_in_edns_is_answered_in_it),
        cmocka_unit_test(a_question_goes_out_with_another_id_and_comes_back_with_its_own),
        cmocka_unit_test(ipv6_guests_are_answered_from_where_they_asked),
        cmocka_unit_test(forged_answers_are_not_passed_on),
        cmocka_unit_test(a_truncated_answer_is_passed_on),
        cmocka_unit_test(a_large_answer_comes_in_fragments),
        cmocka_unit_test(the_next_server_is_tried_and_remembered),
        cmocka_unit_test(a_slow_server_may_still_answer),
        cmocka_unit_test(a_lost_question_is_asked_again),
        cmocka_unit_test(no_server_is_told_at_once),
        cmocka_unit_test(a_silent_server_is_given_up_after_five_seconds),
        cmocka_unit_test(a_server_that_refuses_gives_way_to_the_next),
        cmocka_unit_test(a_name_that_is_not_there_is_passed_on),
        cmocka_unit_test(a_change_of_the_hosts_resolver_is_followed),
        cmocka_unit_test(a_servers_own_ipv6_address_is_asked_too),
        cmocka_unit_test(the_guests_own_repetition_is_not_another_question),
        cmocka_unit_test(a_flood_of_questions_is_bounded),
        cmocka_unit_test(restrict_asks_nobody),
        cmocka_unit_test(what_is_no_question_is_answered_so_or_not_at_all),
        cmocka_unit_test(names_cut_short_or_that_loop_are_refused),
        cmocka_unit_test(other_ports_of_the_dns_address_are_closed),
        cmocka_unit_test(resolv_conf_is_read_as_the_c_library_reads_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
