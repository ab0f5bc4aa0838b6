/* UDP through the gateway, with real sockets as peers, in a network namespace of the test's own: see net_ns.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netstack/nat_int.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/net_ns.h"

static struct nat_guest g;
static bool have_ns;
static uint8_t data[65000];

static void begin_with(const struct nat_config *c)
{
    if (!have_ns)
        skip();
    nat_guest_begin(&g, c);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13 + (i >> 8));
}

static void begin(void) { begin_with(NULL); }

static struct nat_counts counts(void)
{
    struct nat_counts c;

    nat_counts(g.n, &c);
    return c;
}

static void end(void)
{
    world_advance(&g.w, 121 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 0);
    CHECK_EQ(counts().sockets, 0);
    CHECK_EQ(counts().memory, 0);
    nat_guest_end(&g);
}

/* --- peers ----------------------------------------------------------------------------------------------------- */

static struct sockaddr_storage address(const char *text, uint16_t port, socklen_t *len)
{
    struct sockaddr_storage ss;
    struct net_addr a;

    if (!net_addr_parse(text, &a))
        fail_msg("%s", text);
    *len = net_addr_to_sock(&a, port, &ss);
    return ss;
}

/* A socket of the world's side at addr:port. */
static int peer(const char *addr, uint16_t port)
{
    socklen_t len;
    struct sockaddr_storage ss = address(addr, port, &len);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
        fail_msg("%s:%u: %s", addr, port, strerror(errno));
    setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    return fd;
}

struct seen {
    uint8_t bytes[65536];
    size_t len;
    struct sockaddr_storage from;
    uint16_t port; /* of from */
    int hops, tos;
};

/* The next datagram at fd. */
static const struct seen *got(int fd)
{
    static struct seen s;
    _Alignas(struct cmsghdr) uint8_t control[128];
    struct iovec iov = {s.bytes, sizeof s.bytes};
    struct msghdr m = {.msg_name = &s.from,
                       .msg_namelen = sizeof s.from,
                       .msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
    ssize_t n;

    world_wait(&g.w, fd, LOOP_IN);
    n = recvmsg(fd, &m, 0);
    if (n < 0)
        fail_msg("recvmsg: %s", strerror(errno));
    s.len = (size_t)n;
    net_addr_of_sock(&s.from, &s.port);
    s.hops = s.tos = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type == (c->cmsg_level == IPPROTO_IP ? IP_TTL : IPV6_HOPLIMIT))
            memcpy(&s.hops, CMSG_DATA(c), sizeof s.hops);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            s.tos = *CMSG_DATA(c);
    }
    return &s;
}

static void expect_nothing(int fd)
{
    uint8_t byte;

    world_run(&g.w);
    CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void send_to(int fd, const struct sockaddr_storage *to, const void *bytes, size_t n)
{
    socklen_t len = to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    if (sendto(fd, bytes, n, 0, (const struct sockaddr *)to, len) != (ssize_t)n)
        fail_msg("sendto: %s", strerror(errno));
}

/* Where the guest's port 1000 is seen from outside: a datagram to fd tells. */
static struct sockaddr_storage outside(int fd, const char *addr, uint16_t port)
{
    far_send(&g.f, PKT(UDP, .dst = addr, .sport = 1000, .dport = port, TEXT("open")));
    return got(fd)->from;
}

/* --- there and back ------------------------------------------------------------------------------------------- */

static void a_datagram_goes_out_and_its_answer_comes_back(void **state)
{
    const struct seen *s;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, TEXT("question")));
    s = got(fd);
    CHECK_EQ(s->len, 8);
    CHECK(!memcmp(s->bytes, "question", 8));
    send_to(fd, &s->from, "answer", 6);
    far_expect(&g.f, PKT(UDP, .src = "192.0.2.7", .dst = "10.0.2.15", .sport = 7000, .dport = 1000, TEXT("answer")));
    send_to(fd, &s->from, "", 0);
    CHECK_EQ(far_expect(&g.f, PKT(UDP, .sport = 7000, .dport = 1000))->len, 0);
    close(fd);
    end();
}

static void the_same_by_ipv6(void **state)
{
    const struct seen *s;
    int fd;

    (void)state;
    begin();
    fd = peer("2001:db8::1", 7000);
    far_send(&g.f, PKT(UDP, .dst = "2001:db8::1", .sport = 1000, .dport = 7000, TEXT("question")));
    s = got(fd);
    CHECK(!memcmp(s->bytes, "question", 8));
    CHECK_EQ(s->hops, 63);
    send_to(fd, &s->from, "answer", 6);
    far_expect(&g.f, PKT(UDP, .src = "2001:db8::1", .dst = g.f.ip6, .sport = 7000, .dport = 1000, TEXT("answer")));
    close(fd);
    end();
}

static void datagrams_of_every_size_go_through(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 63, 1000, 1471, 1472, 1473, 8000, 16384, 65000};
    int fd;

    (void)state;
    begin_with(&(struct nat_config){.mtu = 65535});
    g.f.port.mtu = 65535;
    fd = peer("192.0.2.7", 7000);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        const struct seen *s;

        g.f.pieces = i % 3 ? 1500 : 0;
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, DATA(data, sizes[i])));
        s = got(fd);
        CHECK_EQ(s->len, sizes[i]);
        CHECK(!memcmp(s->bytes, data, sizes[i]));
        send_to(fd, &s->from, data, sizes[i]);
        far_expect(&g.f, PKT(UDP, .sport = 7000, .len = sizes[i], .data = sizes[i] ? data : NULL));
    }
    close(fd);
    end();
}

static void an_answer_larger_than_the_mtu_comes_in_fragments(void **state)
{
    struct sockaddr_storage from;
    uint8_t whole[4008];
    size_t at = 0;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    send_to(fd, &from, data, 4000);
    while (at < sizeof whole) {
        const struct got *f = far_expect(&g.f, PKT(FRAG, .src = "192.0.2.7"));

        CHECK_EQ(f->frag_off, at);
        memcpy(whole + at, f->data, f->len);
        at += f->len;
    }
    CHECK(!memcmp(whole + 8, data, 4000));
    close(fd);
    end();
}

/* CVE-2021-3592 to -3595: libslirp took a datagram's length for its packet's. */
static void udp_length_underflow_and_other_wrong_headers(void **state)
{
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
#define TO(...) PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, TEXT("abcd"), __VA_ARGS__)
    far_send(&g.f, TO(.udp_len = -1));
    far_send(&g.f, TO(.udp_len = 7));
    far_send(&g.f, TO(.udp_len = 13));
    far_send(&g.f, TO(.udp_len = 65535));
    far_send(&g.f, TO(.sum = SUM_WRONG));
    far_send(&g.f, TO(.cut = 14 + 20 + 7, .ip_len = 27));
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 0));
    far_send(&g.f, PKT(UDP, .dst = "2001:db8::1", .sport = 1000, .dport = 7000, .sum = SUM_ZERO));
    CHECK_EQ(g.n->bad_packets, 8);
    expect_nothing(fd);
    far_send(&g.f, TO(.sum = SUM_ZERO)); /* IPv4: none was made (RFC 768) */
    CHECK_EQ(got(fd)->len, 4);
    far_send(&g.f, TO(.sum = SUM_VALID));
    CHECK_EQ(got(fd)->len, 4);
    far_send(&g.f, TO(.sum = SUM_PARTIAL));
    CHECK_EQ(got(fd)->len, 4);
    /* the IP packet may be longer than the datagram (RFC 768): what is behind it is not its */
    far_send(&g.f, PKT(IP, .dst = "192.0.2.7", .proto = 17, DATA("\x03\xe8\x1b\x58\x00\x0a\x00\x00xyJUNK", 14)));
    CHECK_EQ(got(fd)->len, 2);
    far_expect_none(&g.f);
    close(fd);
    end();
}

/* libslirp rewrote what looked like talk or CU-SeeMe (CVE-2019-6778, CVE-2020-7039: beyond its buffer). */
static void emulated_protocols_are_left_out(void **state)
{
    static const uint16_t ports[] = {517, 518, 7648, 7649, 21, 113, 6667};

    (void)state;
    begin();
    for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
        int fd = peer("192.0.2.7", ports[i]);
        const struct seen *s;

        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = ports[i], .dport = ports[i], DATA(data, 100)));
        s = got(fd);
        CHECK_EQ(s->len, 100);
        CHECK(!memcmp(s->bytes, data, 100));
        send_to(fd, &s->from, data, 84);
        far_expect(&g.f, PKT(UDP, .sport = ports[i], .dport = ports[i], DATA(data, 84)));
        close(fd);
    }
    end();
}

/* --- mapping and filtering (RFC 4787) -------------------------------------------------------------------------- */

static void one_guest_port_is_one_port_to_everyone(void **state)
{
    struct sockaddr_storage first;
    uint16_t port, other;
    int a, b, c;

    (void)state;
    begin();
    a = peer("192.0.2.7", 7000);
    b = peer("192.0.2.8", 8000);
    c = peer("192.0.2.9", 9000);
    first = outside(a, "192.0.2.7", 7000);
    net_addr_of_sock(&first, &port);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.8", .sport = 1000, .dport = 8000, TEXT("x"))); /* REQ-1 */
    CHECK_EQ(got(b)->port, port);
    CHECK_EQ(counts().udp, 1);
    CHECK_EQ(counts().sockets, 1);
    send_to(c, &first, "hi", 2); /* REQ-8: from one who was not asked */
    far_expect(&g.f, PKT(UDP, .src = "192.0.2.9", .sport = 9000, .dport = 1000, TEXT("hi")));
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1001, .dport = 7000, TEXT("x")));
    other = got(a)->port;
    CHECK(other != port);
    CHECK_EQ(counts().udp, 2);
    close(a);
    close(b);
    close(c);
    end();
}

static void two_guests_with_one_port_are_told_apart(void **state)
{
    struct sockaddr_storage one, two;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    one = outside(fd, "192.0.2.7", 7000);
    far_send(&g.f, PKT(UDP, .eth_src = "52:54:00:00:00:16", .src = "10.0.2.16", .dst = "192.0.2.7", .sport = 1000,
                       .dport = 7000, TEXT("open")));
    two = got(fd)->from;
    send_to(fd, &two, "second", 6);
    send_to(fd, &one, "first", 5);
    far_expect(&g.f, PKT(UDP, .dst = "10.0.2.16", .eth_dst = "52:54:00:00:00:16", TEXT("second")));
    far_expect(&g.f, PKT(UDP, .dst = "10.0.2.15", TEXT("first")));
    close(fd);
    end();
}

static void flows_end_after_two_minutes_without_traffic(void **state)
{
    struct sockaddr_storage from;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    world_advance(&g.w, 119 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 1);
    send_to(fd, &from, "x", 1); /* keeps it */
    world_advance(&g.w, 119 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 1);
    outside(fd, "192.0.2.7", 7000);
    world_advance(&g.w, 119 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 1);
    world_advance(&g.w, NS_PER_SEC);
    CHECK_EQ(counts().udp, 0);
    CHECK_EQ(counts().sockets, 0);
    close(fd);
    far_drain(&g.f);
    end();
}

static void a_flow_that_only_asks_dns_servers_is_short(void **state)
{
    int fd, other;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 53);
    other = peer("192.0.2.8", 7000);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 53, TEXT("q")));
    send_to(fd, &got(fd)->from, "a", 1);
    far_expect(&g.f, PKT(UDP, .sport = 53));
    world_advance(&g.w, 4 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 1);
    world_advance(&g.w, 1 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 0);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 53, TEXT("q")));
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.8", .sport = 1000, .dport = 7000, TEXT("q"))); /* not any more */
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 53, TEXT("q")));
    world_advance(&g.w, 60 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 1);
    close(fd);
    close(other);
    end();
}

static void the_table_has_a_cap_and_the_busiest_guest_pays(void **state)
{
    struct sockaddr_storage quiet;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    far_send(&g.f, PKT(UDP, .eth_src = "52:54:00:00:00:16", .src = "10.0.2.16", .dst = "192.0.2.7", .sport = 1000,
                       .dport = 7000, TEXT("open")));
    quiet = got(fd)->from;
    for (unsigned i = 0; i < 3000; i++)
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = (uint16_t)(1000 + i), .dport = 7000));
    CHECK_EQ(counts().udp, 1024);
    CHECK_EQ(counts().sockets, 1024);
    send_to(fd, &quiet, "still", 5);
    far_expect(&g.f, PKT(UDP, .dst = "10.0.2.16", TEXT("still")));
    close(fd);
    far_drain(&g.f);
    end();
}

/* Without descriptors for more, a guest's oldest flow makes room; the rest of the process keeps its spare ones. */
static void few_descriptors_end_old_flows(void **state)
{
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    g.n->fd_limit = fd + 20;
    for (unsigned i = 0; i < 100; i++)
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = (uint16_t)(1000 + i), .dport = 7000, TEXT("x")));
    CHECK(counts().udp >= 10 && counts().udp < 20);
    CHECK_EQ(counts().sockets, counts().udp);
    for (unsigned i = 0; i < 100; i++)
        CHECK_EQ(got(fd)->len, 1); /* all were sent */
    close(fd);
    end();
}

/* --- who may reach what ---------------------------------------------------------------------------------------- */

/* TESTING.md N2. libslirp's 10.0.2.2 is the host's loopback, whoever asks. */
static void the_hosts_loopback_is_not_reachable(void **state)
{
    static const char *const to4[] = {"10.0.2.2", "10.0.2.3", "10.0.2.77",       "127.0.0.1",  "127.1.2.3",
                                      "0.0.0.0",  "0.0.0.1",  "255.255.255.255", "10.0.2.255", "169.254.1.1"},
                             *const to6[] = {"fec0::2",     "fec0::3", "::1",     "::",      "::ffff:127.0.0.1",
                                             "::127.0.0.1", "fe80::1", "fe80::2", "ff02::1", "fec0::77"};
    int any4, any6;

    (void)state;
    begin();
    any4 = peer("0.0.0.0", 7000); /* also hears what comes to 127.0.0.1 */
    any6 = peer("::1", 7000);
    for (unsigned i = 0; i < ARRAY_LEN(to4); i++)
        far_send(&g.f, &(struct pkt){.kind = PKT_UDP, .dst = to4[i], .dport = 7000, TEXT("x")});
    for (unsigned i = 0; i < ARRAY_LEN(to6); i++)
        far_send(&g.f, &(struct pkt){.kind = PKT_UDP, .dst = to6[i], .dport = 7000, TEXT("x")});
    expect_nothing(any4);
    expect_nothing(any6);
    CHECK_EQ(counts().udp, 0);
    far_drain(&g.f);
    close(any4);
    close(any6);
    end();
}

static void the_gateway_stands_for_the_loopback_if_the_user_says_so(void **state)
{
    const struct seen *s;
    int fd, fd6;

    (void)state;
    begin_with(&(struct nat_config){.host_loopback = true});
    fd = peer("127.0.0.1", 7000);
    fd6 = peer("::1", 7000);
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 1000, .dport = 7000, TEXT("x")));
    s = got(fd);
    send_to(fd, &s->from, "y", 1);
    far_expect(&g.f, PKT(UDP, .src = "10.0.2.2", .sport = 7000, .dport = 1000, TEXT("y")));
    far_send(&g.f, PKT(UDP, .dst = "fec0::2", .sport = 1000, .dport = 7000, TEXT("x")));
    s = got(fd6);
    send_to(fd6, &s->from, "y", 1);
    far_expect(&g.f, PKT(UDP, .src = "fec0::2", .sport = 7000, .dport = 1000, TEXT("y")));
    far_send(&g.f, PKT(UDP, .dst = "127.0.0.1", .sport = 1000, .dport = 7000, TEXT("x"))); /* still not as such */
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.77", .sport = 1000, .dport = 7000, TEXT("x")));
    expect_nothing(fd);
    far_drain(&g.f);
    close(fd);
    close(fd6);
    end();
}

/* A program on the host finds a flow's port and speaks to the guest: not from the loopback. */
static void the_loopback_is_not_heard_either(void **state)
{
    struct sockaddr_storage from;
    uint16_t port;
    socklen_t len;
    int fd, local;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    local = peer("127.0.0.1", 7001);
    from = outside(fd, "192.0.2.7", 7000);
    net_addr_of_sock(&from, &port);
    from = address("127.0.0.1", port, &len);
    send_to(local, &from, "x", 1);
    far_expect_none(&g.f);
    close(fd);
    close(local);
    end();
}

static void a_restricted_guest_reaches_nobody(void **state)
{
    int fd;

    (void)state;
    begin_with(&(struct nat_config){.restrict_ = true, .host_loopback = true});
    fd = peer("0.0.0.0", 7000);
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 13));
    far_send(&g.f, PKT(UDP, .dst = "10.0.2.2", .sport = 1000, .dport = 7000, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .type = 3, .code = 13));
    far_send(&g.f, PKT(UDP, .dst = "2001:db8::1", .sport = 1000, .dport = 7000, TEXT("x")));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 1, .code = 1));
    expect_nothing(fd);
    CHECK_EQ(counts().sockets, 0);
    close(fd);
    end();
}

static void no_route_is_told_to_the_guest(void **state)
{
    (void)state;
    begin();
    far_send(&g.f, PKT(UDP, .dst = "203.0.113.1", .sport = 1000, .dport = 7000, TEXT("x")));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 0));
    far_send(&g.f, PKT(UDP, .dst = "2001:db8:ffff::1", .sport = 1000, .dport = 7000, TEXT("x")));
    far_expect(&g.f, PKT(ICMP6, .src = "fec0::2", .type = 1, .code = 0));
    end();
}

/* --- what a packet carries besides its bytes ------------------------------------------------------------------- */

static void hops_and_class_of_service_are_kept(void **state)
{
    const struct seen *s;
    int fd, tos = 0x2e << 2 | 1;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    for (unsigned ttl = 2; ttl <= 255; ttl += 23) {
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, .ttl = (uint8_t)ttl,
                           .tos = (uint8_t)(ttl << 2), TEXT("x")));
        s = got(fd);
        CHECK_EQ(s->hops, ttl - 1);
        CHECK_EQ(s->tos & 0xfc, (ttl << 2) & 0xfc);
    }
    setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    send_to(fd, &s->from, "y", 1);
    far_expect(&g.f, PKT(UDP, .tos = 0x2e << 2 | 1, TEXT("y")));
    close(fd);
    end();
}

/* --- several in one -------------------------------------------------------------------------------------------- */

static void a_guests_segments_arrive_as_datagrams(void **state)
{
    static const struct {
        size_t len;
        uint16_t segment;
    } rows[] = {{5000, 1400}, {4200, 1400}, {1401, 1400}, {1400, 1400}, {64000, 1000}, {700, 8}, {10, 1}};
    int fd;

    (void)state;
    begin_with(&(struct nat_config){.mtu = 1500});
    fd = peer("192.0.2.7", 7000);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, .gso_size = rows[i].segment,
                           DATA(data, rows[i].len)));
        for (size_t at = 0; at < rows[i].len; at += rows[i].segment) {
            const struct seen *s = got(fd);
            size_t want = rows[i].len - at < rows[i].segment ? rows[i].len - at : rows[i].segment;

            CHECK_EQ(s->len, want);
            CHECK(!memcmp(s->bytes, data + at, want));
        }
        expect_nothing(fd);
    }
    close(fd);
    end();
}

static void set_lo_mtu(int mtu)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_mtu = mtu};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (ioctl(fd, SIOCSIFMTU, &r) < 0)
        fail_msg("mtu of lo: %s", strerror(errno));
    close(fd);
}

/* The host's kernel cuts nothing up that is larger than its own next hop takes. */
static void segments_larger_than_the_hosts_mtu_go_one_by_one(void **state)
{
    int fd;

    (void)state;
    begin_with(&(struct nat_config){.mtu = 9000});
    g.f.port.mtu = 9000;
    set_lo_mtu(1280);
    fd = peer("192.0.2.7", 7000);
    for (unsigned round = 0; round < 2; round++) {
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, .gso_size = 2000, DATA(data, 9000)));
        for (size_t at = 0; at < 9000; at += 2000) {
            const struct seen *s = got(fd);

            CHECK_EQ(s->len, at < 8000 ? 2000 : 1000);
            CHECK(!memcmp(s->bytes, data + at, s->len));
        }
        expect_nothing(fd);
    }
    /* not to be cut up: the guest is told, for each */
    far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = 1000, .dport = 7000, .df = true, .gso_size = 2000,
                       DATA(data, 9000)));
    far_expect(&g.f, PKT(ICMP, .src = "10.0.2.2", .type = 3, .code = 4, .rest = 1280));
    CHECK_EQ(got(fd)->len, 1000); /* the last one fits */
    set_lo_mtu(65536);
    far_drain(&g.f);
    close(fd);
    end();
}

/* count datagrams of `segment` bytes of data, in one call when the host can. */
static void burst(int fd, const struct sockaddr_storage *to, uint16_t segment, size_t len)
{
    int size = segment;

    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) == 0) {
        send_to(fd, to, data, len);
        size = 0;
        setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        return;
    }
    for (size_t at = 0; at < len; at += segment)
        send_to(fd, to, data + at, len - at < segment ? len - at : segment);
}

static size_t take(size_t at, size_t segment)
{
    const struct got *f = far_expect(&g.f, PKT(UDP, .src = "192.0.2.7", .sport = 7000, .dport = 1000));

    CHECK(!memcmp(f->data, data + at, f->len));
    if (f->gso_size)
        CHECK_EQ(f->gso_size, segment);
    else
        CHECK(f->len <= segment);
    return f->len;
}

static void a_burst_reaches_the_guest_whole_or_in_segments(void **state)
{
    struct sockaddr_storage from;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    for (unsigned round = 0; round < 2; round++) {
        g.f.port.can = round ? 0 : NET_CAN_ALL;
        burst(fd, &from, 1200, 30100);
        for (size_t at = 0; at < 30100;)
            at += take(at, 1200);
        far_expect_none(&g.f);
    }
    CHECK_EQ(g.f.received < 60, true);
    /* segments larger than the guest's MTU: each in fragments */
    g.f.port.can = NET_CAN_ALL;
    g.f.port.mtu = 600;
    burst(fd, &from, 1200, 3600);
    for (unsigned i = 0; i < 9; i++)
        far_expect(&g.f, PKT(FRAG, .src = "192.0.2.7"));
    far_expect_none(&g.f);
    close(fd);
    end();
}

/* --- a guest without room -------------------------------------------------------------------------------------- */

static void what_finds_no_room_waits_and_keeps_its_order(void **state)
{
    struct sockaddr_storage from;
    uint8_t next = 0;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    far_set_room(&g.f, 3);
    for (uint8_t i = 0; i < 100; i++)
        send_to(fd, &from, &i, 1);
    for (unsigned round = 0; next < 100; round++) {
        const struct got *f;

        world_run(&g.w);
        while ((f = far_next(&g.f))) {
            CHECK_EQ(f->data[0], next);
            next++;
        }
        CHECK(round < 100);
        far_set_room(&g.f, 7);
    }
    CHECK_EQ(next, 100);
    close(fd);
    end();
}

static void other_flows_wait_too_and_go_on(void **state)
{
    struct sockaddr_storage from[8];
    unsigned seen[8] = {0}, all = 0;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    for (unsigned i = 0; i < 8; i++) {
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = (uint16_t)(2000 + i), .dport = 7000, TEXT("x")));
        from[i] = got(fd)->from;
    }
    far_set_room(&g.f, 0);
    for (unsigned k = 0; k < 20; k++)
        for (unsigned i = 0; i < 8; i++)
            send_to(fd, &from[i], "y", 1);
    world_run(&g.w);
    far_expect_none(&g.f);
    for (unsigned round = 0; all < 160 && round < 1000; round++) {
        const struct got *f;

        far_set_room(&g.f, 5);
        while ((f = far_next(&g.f))) {
            seen[f->dport - 2000]++;
            all++;
        }
    }
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(seen[i], 20);
    close(fd);
    end();
}

static void a_flow_may_end_while_its_datagrams_wait(void **state)
{
    struct sockaddr_storage from;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    far_set_room(&g.f, 0);
    for (unsigned i = 0; i < 50; i++)
        send_to(fd, &from, "y", 1);
    world_run(&g.w);
    world_advance(&g.w, 121 * NS_PER_SEC);
    CHECK_EQ(counts().udp, 0);
    far_set_room(&g.f, 100);
    far_expect_none(&g.f);
    from = outside(fd, "192.0.2.7", 7000); /* and another begins */
    send_to(fd, &from, "z", 1);
    far_expect(&g.f, PKT(UDP, TEXT("z")));
    close(fd);
    end();
}

static void a_segmented_datagram_that_is_refused_half_way_goes_on_there(void **state)
{
    struct sockaddr_storage from;
    unsigned n = 0;
    int fd;

    (void)state;
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    g.f.port.mtu = 1000; /* so that the segments are sent one by one, in two fragments each */
    far_set_room(&g.f, 5);
    burst(fd, &from, 1200, 12000);
    for (unsigned round = 0; round < 100; round++) {
        world_run(&g.w);
        while (far_next(&g.f))
            n++;
        far_set_room(&g.f, 4);
    }
    CHECK(n >= 18 && n <= 20); /* a fragment behind the first of its datagram may be lost */
    close(fd);
    end();
}

static void nothing_is_left_when_the_gateway_goes(void **state)
{
    struct sockaddr_storage from;
    int fd, before, after;

    (void)state;
    if (!have_ns)
        skip();
    before = dup(0);
    begin();
    fd = peer("192.0.2.7", 7000);
    from = outside(fd, "192.0.2.7", 7000);
    for (unsigned i = 0; i < 50; i++)
        far_send(&g.f, PKT(UDP, .dst = "192.0.2.7", .sport = (uint16_t)(1000 + i), .dport = 7000, TEXT("x")));
    far_set_room(&g.f, 0);
    send_to(fd, &from, "y", 1);
    world_run(&g.w);
    CHECK_EQ(counts().udp, 50);
    nat_guest_end(&g); /* with flows, and a batch that waits */
    close(fd);
    close(before);
    after = dup(0);
    CHECK_EQ(before, after); /* the lowest free number is the same: no socket was left */
    close(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_goes_out_and_its_answer_comes_back),
        cmocka_unit_test(the_same_by_ipv6),
        cmocka_unit_test(datagrams_of_every_size_go_through),
        cmocka_unit_test(an_answer_larger_than_the_mtu_comes_in_fragments),
        cmocka_unit_test(udp_length_underflow_and_other_wrong_headers),
        cmocka_unit_test(emulated_protocols_are_left_out),
        cmocka_unit_test(one_guest_port_is_one_port_to_everyone),
        cmocka_unit_test(two_guests_with_one_port_are_told_apart),
        cmocka_unit_test(flows_end_after_two_minutes_without_traffic),
        cmocka_unit_test(a_flow_that_only_asks_dns_servers_is_short),
        cmocka_unit_test(the_table_has_a_cap_and_the_busiest_guest_pays),
        cmocka_unit_test(few_descriptors_end_old_flows),
        cmocka_unit_test(the_hosts_loopback_is_not_reachable),
        cmocka_unit_test(the_gateway_stands_for_the_loopback_if_the_user_says_so),
        cmocka_unit_test(the_loopback_is_not_heard_either),
        cmocka_unit_test(a_restricted_guest_reaches_nobody),
        cmocka_unit_test(no_route_is_told_to_the_guest),
        cmocka_unit_test(hops_and_class_of_service_are_kept),
        cmocka_unit_test(a_guests_segments_arrive_as_datagrams),
        cmocka_unit_test(segments_larger_than_the_hosts_mtu_go_one_by_one),
        cmocka_unit_test(a_burst_reaches_the_guest_whole_or_in_segments),
        cmocka_unit_test(what_finds_no_room_waits_and_keeps_its_order),
        cmocka_unit_test(other_flows_wait_too_and_go_on),
        cmocka_unit_test(a_flow_may_end_while_its_datagrams_wait),
        cmocka_unit_test(a_segmented_datagram_that_is_refused_half_way_goes_on_there),
        cmocka_unit_test(nothing_is_left_when_the_gateway_goes),
    };

    have_ns = net_ns_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
